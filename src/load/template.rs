//! Topics with fields.

use std::fmt;
use std::str::FromStr;

/// A topic template: text with the fields `%c` (client id), `%i` (index of the publishing client), `%p`
/// (pair: the group of the publisher), `%r` (run id, 8 hexadecimal digits) and `%%` (a percent sign).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    ClientId,
    Index,
    Pair,
    RunId,
}

/// What the fields stand for.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// Prefix of the client ids; client i is `<prefix>-<i>`.
    pub prefix: &'a str,
    pub index: u32,
    pub pair: u32,
    pub run_id: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("topic template `{template}`: unknown field `%{field}`; there are %c, %i, %p, %r and %%")]
    UnknownField { template: String, field: String },
    #[error("topic template `{0}` is empty")]
    Empty(String),
    #[error("topic template `{0}`: `+` and `#` are for filters; messages are published to plain topics")]
    Wildcard(String),
    #[error("topic template `{0}` contains the character U+0000, which MQTT forbids [MQTT-1.5.3-2]")]
    Null(String),
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Template, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty(text.into()));
        }
        if text.contains(['+', '#']) {
            return Err(TemplateError::Wildcard(text.into()));
        }
        if text.contains('\0') {
            return Err(TemplateError::Null(text.into()));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                plain.push(char);
                continue;
            }
            let field = chars.next();
            let piece = match field {
                Some('%') => {
                    plain.push('%');
                    continue;
                }
                Some('c') => Piece::ClientId,
                Some('i') => Piece::Index,
                Some('p') => Piece::Pair,
                Some('r') => Piece::RunId,
                _ => {
                    let field = field.map(String::from).unwrap_or_default();
                    return Err(TemplateError::UnknownField { template: text.into(), field });
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template(pieces))
    }
}

impl Template {
    /// Whether different publishers may have different topics.
    pub fn varies(&self) -> bool {
        self.is_per_publisher() || self.0.contains(&Piece::Pair)
    }

    /// Whether every publisher has a topic of its own.
    pub fn is_per_publisher(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::ClientId | Piece::Index))
    }

    /// Appends the topic to `out`.
    pub fn render(&self, values: &Values<'_>, out: &mut impl fmt::Write) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => out.write_str(text),
            Piece::ClientId => write!(out, "{}-{}", values.prefix, values.index),
            Piece::Index => write!(out, "{}", values.index),
            Piece::Pair => write!(out, "{}", values.pair),
            Piece::RunId => write!(out, "{:08x}", values.run_id),
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&text.replace('%', "%%")),
            Piece::ClientId => f.write_str("%c"),
            Piece::Index => f.write_str("%i"),
            Piece::Pair => f.write_str("%p"),
            Piece::RunId => f.write_str("%r"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_filled_in() {
        let values = Values { prefix: "malaria-h-1", index: 7, pair: 3, run_id: 0xbeef };
        for (template, topic) in [
            ("bench/%p", "bench/3"),
            ("%c/%i/%r", "malaria-h-1-7/7/0000beef"),
            ("100%%/%i%i", "100%/77"),
            ("plain", "plain"),
        ] {
            let parsed: Template = template.parse().unwrap();
            let mut out = String::new();
            parsed.render(&values, &mut out).unwrap();
            assert_eq!(out, topic);
            assert_eq!(parsed.to_string(), template);
        }
    }

    #[test]
    fn what_is_no_topic_is_an_error() {
        for (template, part) in [
            ("a/%x", "`%x`"),
            ("a/%", "`%`"),
            ("", "empty"),
            ("a/+", "plain"),
            ("#", "plain"),
            ("\0", "U+0000"),
        ] {
            let error = template.parse::<Template>().unwrap_err().to_string();
            assert!(error.contains(part), "{template}: {error}");
        }
    }
}
