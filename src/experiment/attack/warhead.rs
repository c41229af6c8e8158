//! The format of warheads: one shell command a line, formatted as Python's `%` does it.

/// A command of a warhead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shot {
    /// Of the file, from 1.
    pub number: usize,
    /// For sh.
    pub line: String,
    /// Whether its exit code is that of this program.
    pub is_ours: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {number}: {what}")]
pub struct WarheadError {
    pub number: usize,
    pub what: String,
}

/// The commands in `text`, against `target`. Blank lines and those that begin with `#` or `;` are skipped.
///
/// # Errors
/// A `%` that is neither `%(malaria_target)s` nor `%%`.
pub fn parse(text: &str, target: &str) -> Result<Vec<Shot>, WarheadError> {
    let mut shots = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let number = at + 1;
        let line = format(line, target).map_err(|what| WarheadError { number, what })?;
        let is_ours = is_ours(&line);
        shots.push(Shot { number, line, is_ours });
    }
    Ok(shots)
}

/// Whether the command is `malaria`, behind assignments of variables.
fn is_ours(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| word.contains('='));
    words.next().is_some_and(|name| name == "malaria" || name == "malaria-bench")
}

fn format(line: &str, target: &str) -> Result<String, String> {
    const TARGET: &str = "(malaria_target)s";
    let mut formatted = String::with_capacity(line.len() + target.len());
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once('%') {
        formatted += before;
        rest = if let Some(rest) = behind.strip_prefix(TARGET) {
            formatted += target;
            rest
        } else if let Some(rest) = behind.strip_prefix('%') {
            formatted.push('%');
            rest
        } else {
            let end = behind.find([')', ' ']).map_or(behind.len(), |end| end + 1);
            return Err(format!(
                "`%{}` stands for nothing: expected %(malaria_target)s, or %% for a percent sign",
                &behind[..end].trim_end()
            ));
        };
    }
    Ok(formatted + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// checklist 11: comments, blank lines, `sleep` and the target.
    #[test]
    fn a_warhead_of_the_old_tool_is_read() {
        let text = "# bees\n; more bees\n\n  \t\nmalaria publish -n 10 -P 10 -t -T 1 -H %(malaria_target)s\r\n\
                    sleep 4\n  # indented\ndate +%%s; echo 100%%\nA=1 malaria watch -H %(malaria_target)s:1884\n";
        let shots = parse(text, "broker.lab").unwrap();
        let seen: Vec<_> = shots.iter().map(|shot| (shot.number, shot.line.as_str(), shot.is_ours)).collect();
        assert_eq!(
            seen,
            [
                (5, "malaria publish -n 10 -P 10 -t -T 1 -H broker.lab", true),
                (6, "sleep 4", false),
                (8, "date +%s; echo 100%", false),
                (9, "A=1 malaria watch -H broker.lab:1884", true),
            ]
        );
    }

    /// checklist 11, bad input: where Python raises KeyError or ValueError, the line is named.
    #[test]
    fn other_percent_signs_are_told() {
        for (line, part) in [
            ("echo %(malaria_home)s", "%(malaria_home)"),
            ("echo 5%", "`%`"),
            ("date +%s now", "`%s`"),
            ("echo %(malaria_target)", "%(malaria_target)"),
            ("echo %é", "%é"),
        ] {
            let error = parse(&format!("\n{line}\n"), "x").unwrap_err();
            assert!(error.number == 2 && error.what.contains(part), "{line}: {error}");
        }
    }

    proptest! {
        /// checklist 11: a text whose percent signs are doubled stays as it is.
        #[test]
        fn doubled_percent_signs_are_percent_signs(text in "[a-z%( )]{1,30}") {
            let text = text.trim();
            prop_assume!(!text.is_empty());
            let shots = parse(&text.replace('%', "%%"), "target").unwrap();
            prop_assert_eq!(&shots[0].line, text);
        }
    }
}
