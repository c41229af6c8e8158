//! Which series are meant.

use std::fmt;
use std::str::FromStr;

/// A name, and the labels that a series has to have at least: `emqx_messages_dropped{node="a"}`. Or a topic of `$SYS`,
/// which has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector {
    /// Name of the metric.
    pub name: String,
    /// Sorted by name.
    labels: Vec<(String, String)>,
}

/// Text that selects no series.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is no series: expected a name with or without labels, such as `process_cpu_seconds_total` or \
     `emqx_messages_dropped{{node=\"a\"}}`"
)]
pub struct SelectorError(String);

impl Selector {
    /// What `text` begins with, and what follows it.
    pub fn split(text: &str) -> Option<(Selector, &str)> {
        let text = text.trim_start();
        let (name, rest) = match text.starts_with("$SYS/") {
            true => text.split_at(text.find(|c: char| " <>=".contains(c)).unwrap_or(text.len())),
            false => name(text, ':')?,
        };
        let (mut labels, rest) = match rest.strip_prefix('{') {
            Some(within) if !name.starts_with('$') => labels(within)?,
            _ => (Vec::new(), rest),
        };
        labels.sort();
        Some((Selector { name: name.to_owned(), labels }, rest))
    }

    /// Whether a series of this name with these labels is meant.
    pub fn takes(&self, labels: &[(String, String)]) -> bool {
        self.labels.iter().all(|label| labels.contains(label))
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        match Selector::split(text.trim()) {
            Some((selector, "")) => Ok(selector),
            _ => Err(SelectorError(text.trim().to_owned())),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let labels = self.labels.iter().map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        });
        let labels = labels.collect::<Vec<_>>().join(",");
        if labels.is_empty() { Ok(()) } else { write!(f, "{{{labels}}}") }
    }
}

/// The name that `text` begins with, in which there may be `also`, and what follows.
fn name(text: &str, also: char) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == also;
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let begins = text.starts_with(|c: char| !c.is_ascii_digit());
    (end > 0 && begins).then(|| text.split_at(end))
}

/// The labels up to the closing brace, and what follows it.
pub fn labels(mut text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix('}') {
            return Some((found, rest));
        }
        let (label, rest) = name(text, '_')?;
        let rest = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
        let (value, rest) = quoted(rest)?;
        found.push((label.to_owned(), value));
        let rest = rest.trim_start();
        text = match rest.strip_prefix(',') {
            Some(more) => more,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// What stands before the next quotation mark, without its escapes, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            c => value.push(c),
        }
    }
    None
}
