//! Topics with fields.

mod filter;
mod parse;
#[cfg(test)]
mod tests;

use crate::seed::{Draw, Purpose};
use std::fmt;

/// The random picks of a topic, one number for each.
const TOPIC: Purpose = Purpose::named("topic");

/// A topic template: text with fields that each message fills in.
///
/// | field | stands for |
/// | --- | --- |
/// | `%c` | client id |
/// | `%i`, `%i{4}` | index of the publishing client, and the same modulo 4 |
/// | `%p` | pair: the group of the publisher |
/// | `%r` | run id, 8 hexadecimal digits |
/// | `%n` | number of the message, from 1 |
/// | `%N` | messages of the client in total, 0 when there is no end |
/// | `[a,b,c]` | one of these, at random for each message |
/// | `<a,b,c>` | these in turn, message by message |
/// | `%%` | a percent sign |
///
/// A backslash before one of `[]<>{},%\` takes its meaning away; before anything else it is itself. What
/// stands between brackets is plain text.
///
/// ```
/// use malaria_bench::load::{Name, Template, Values};
/// let template: Template = "mqtt-malaria/%c/data/%n/%N".parse().unwrap();
/// let client = Name::Numbered { prefix: "loadr", index: 7 };
/// let values = Values { client, index: 7, pair: 0, run_id: 0, sequence: 1, total: 10, seed: 0 };
/// let mut topic = String::new();
/// template.render(&values, &mut topic).unwrap();
/// assert_eq!(topic, "mqtt-malaria/loadr-7/data/1/10");
/// assert_eq!(template.filter(), "mqtt-malaria/+/data/+/+");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    ClientId,
    /// Modulo this number.
    Index(Option<u32>),
    Pair,
    RunId,
    Sequence,
    Total,
    Pick(Pick),
}

/// One of several texts for each message.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Pick {
    choices: Vec<String>,
    random: bool,
}

/// The id of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name<'a> {
    /// `<prefix>-<index>`.
    Numbered { prefix: &'a str, index: u32 },
    /// As it is.
    Given(&'a str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Numbered { prefix, index } => write!(f, "{prefix}-{index}"),
            Name::Given(id) => f.write_str(id),
        }
    }
}

/// What the fields stand for.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    pub client: Name<'a>,
    /// Of the client, from 0.
    pub index: u32,
    pub pair: u32,
    pub run_id: u32,
    /// Number of the message, from 1.
    pub sequence: u64,
    /// Messages of the client, 0 when there is no end.
    pub total: u64,
    /// What random picks follow from, with `index` and `sequence`.
    pub seed: u64,
}

/// Why a text is no topic template.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "topic template `{template}`: unknown field `%{field}`; there are %c, %i, %i{{m}}, %n, %N, %p, %r and %%"
    )]
    UnknownField { template: String, field: String },
    #[error("topic template `{template}`: `{bracket}` is not closed; write `\\{bracket}` for the character")]
    Unclosed { template: String, bracket: char },
    #[error("topic template `{template}`: `{pick}` has an empty choice; name each, as in [a,b] or <a,b>")]
    EmptyPick { template: String, pick: String },
    #[error("topic template `{template}`: `{field}` between brackets; only plain text can be picked")]
    FieldInPick { template: String, field: String },
    #[error("topic template `{template}`: `%i{{{modulus}}}` needs a number from 1 to 4294967295")]
    Modulus { template: String, modulus: String },
    #[error("topic template `{0}` is empty")]
    Empty(String),
    #[error("topic template `{0}`: `+` and `#` are for filters; messages are published to plain topics")]
    Wildcard(String),
    #[error("topic template `{0}` contains the character U+0000, which MQTT forbids [MQTT-1.5.3-2]")]
    Null(String),
}

impl Pick {
    /// `draw` is there from the first random pick of a topic on.
    fn choice(&self, values: &Values<'_>, draw: &mut Option<Draw>) -> &str {
        let count = self.choices.len();
        let place = if self.random {
            let draw =
                draw.get_or_insert_with(|| Draw::of(values.seed, TOPIC, values.index, values.sequence));
            draw.below(count as u64) as usize
        } else {
            (values.sequence.saturating_sub(1) % count as u64) as usize
        };
        &self.choices[place]
    }
}

impl Template {
    /// Whether different publishers may have different topics.
    pub fn varies(&self) -> bool {
        self.is_per_publisher() || self.0.contains(&Piece::Pair)
    }

    /// Whether the topic tells the publishers of one group apart.
    pub fn is_per_publisher(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::ClientId | Piece::Index(_)))
    }

    /// Whether messages of one client may have different topics.
    pub fn is_per_message(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Sequence | Piece::Pick(_)))
    }

    /// Whether clients share topics by their index modulo a number.
    pub fn is_modular(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Index(Some(_))))
    }

    /// Appends the topic to `out`. Allocates nothing itself.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn render(&self, values: &Values<'_>, out: &mut impl fmt::Write) -> fmt::Result {
        let mut draw = None;
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => out.write_str(text),
            Piece::ClientId => write!(out, "{}", values.client),
            Piece::Index(modulus) => write!(out, "{}", modulus.map_or(values.index, |m| values.index % m)),
            Piece::Pair => write!(out, "{}", values.pair),
            Piece::RunId => write!(out, "{:08x}", values.run_id),
            Piece::Sequence => write!(out, "{}", values.sequence),
            Piece::Total => write!(out, "{}", values.total),
            Piece::Pick(pick) => out.write_str(pick.choice(values, &mut draw)),
        })
    }

    /// Bytes of the longest topic of a client with this id, whatever the numbers.
    pub fn longest(&self, client: Name<'_>) -> usize {
        let digits = |most: u64| most.to_string().len();
        let length = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::ClientId => client.to_string().len(),
            Piece::Index(modulus) => digits(modulus.map_or(u32::MAX, |modulus| modulus - 1).into()),
            Piece::Pair => digits(u32::MAX.into()),
            Piece::RunId => 8,
            Piece::Sequence | Piece::Total => digits(u64::MAX),
            Piece::Pick(pick) => pick.choices.iter().map(String::len).max().unwrap_or(0),
        };
        self.0.iter().map(length).sum()
    }
}

impl fmt::Display for Template {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&parse::escape(text, "[<{")),
            Piece::ClientId => f.write_str("%c"),
            Piece::Index(None) => f.write_str("%i"),
            Piece::Index(Some(modulus)) => write!(f, "%i{{{modulus}}}"),
            Piece::Pair => f.write_str("%p"),
            Piece::RunId => f.write_str("%r"),
            Piece::Sequence => f.write_str("%n"),
            Piece::Total => f.write_str("%N"),
            Piece::Pick(pick) => {
                let (open, close) = if pick.random { ('[', ']') } else { ('<', '>') };
                let choices: Vec<_> = pick.choices.iter().map(|text| parse::escape(text, "[]<>,")).collect();
                write!(f, "{open}{}{close}", choices.join(","))
            }
        })
    }
}
