//! `${name}` in texts.

/// A stretch of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece<'t> {
    Plain(&'t str),
    /// What stood between `${` and `}`.
    Variable(&'t str),
}

/// The pieces of `text`. `$${` is a plain `${`; any other `$` is itself.
///
/// # Errors
/// What is wrong with a `${`, in words.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            pieces.push(Piece::Plain(&rest[..at - 1]));
            pieces.push(Piece::Plain("${"));
            rest = &rest[at + 2..];
            continue;
        }
        pieces.push(Piece::Plain(&rest[..at]));
        let behind = &rest[at + 2..];
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let end = behind.find(|c| !fits(c)).unwrap_or(behind.len());
        match behind[end..].chars().next() {
            Some('}') if end > 0 => pieces.push(Piece::Variable(&behind[..end])),
            Some('}') => return Err("`${}` has no name in it".into()),
            _ => {
                let start: String = rest[at..].chars().take(20).collect();
                return Err(format!(
                    "`{start}` is not closed: expected ${{name}}, or $${{ for the characters"
                ));
            }
        }
        rest = &behind[end + 1..];
    }
    pieces.push(Piece::Plain(rest));
    pieces.retain(|piece| *piece != Piece::Plain(""));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::Piece::{Plain, Variable};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_falls_into_pieces() {
        let cases: [(&str, &[Piece]); 8] = [
            ("", &[]),
            ("plain", &[Plain("plain")]),
            ("${a}", &[Variable("a")]),
            ("-n ${count} x", &[Plain("-n "), Variable("count"), Plain(" x")]),
            ("${a}${b-1}", &[Variable("a"), Variable("b-1")]),
            ("cost $5 $HOME $", &[Plain("cost $5 $HOME $")]),
            ("$${HOME}", &[Plain("${"), Plain("HOME}")]),
            ("a}b{", &[Plain("a}b{")]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_open_end_is_told() {
        for text in ["${", "${a", "x ${a b}", "${}", "${a ${b}}"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// Nothing is lost and nothing added: the pieces, written again, are the text.
        #[test]
        fn pieces_make_up_the_text(text in "[a$x{} ]{0,20}") {
            if let Ok(pieces) = pieces(&text) {
                let again: String = pieces.iter().map(|piece| match piece {
                    Plain("${") => "$${".to_owned(),
                    Plain(plain) => plain.to_string(),
                    Variable(name) => format!("${{{name}}}"),
                }).collect();
                prop_assert_eq!(again, text);
            }
        }
    }
}
