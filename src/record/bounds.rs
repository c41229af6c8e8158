//! What came of the bounds that a run had to keep.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::clock::Nanos;
use crate::units::{self, Size, Span};

/// A bound that was required of a run, and whether it held.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BoundResult {
    /// The bound: `ack p99 < 5ms`.
    pub bound: String,
    /// Whether it held.
    pub result: BoundState,
    /// What the run had; null when that was not measured.
    pub found: Option<Amount>,
    /// What the bound is.
    pub limit: Amount,
    /// Why it was not measured, in words; null unless so.
    pub reason: Option<String>,
}

/// Whether a bound held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundState {
    /// The figure keeps to it.
    Held,
    /// The figure does not.
    Broken,
    /// Nobody can tell. It counts as broken: a bound that nobody could check has not held.
    NotMeasured,
    /// The generator was the bottleneck: the figure is not the broker's, whatever it is.
    Void,
}

/// A value with its unit, in JSON the key of the value: `{ "ns": 4200000 }`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// A latency in nanoseconds.
    Ns(Nanos),
    /// Events.
    Count(u64),
    /// Messages per second.
    PerS(f64),
    /// A share of a whole, 0 to 100.
    Percent(f64),
    /// Memory, or what went over the network, in bytes.
    Bytes(u64),
    /// Which side set the limit.
    Verdict(Verdict),
    /// What others told of the broker, in their unit.
    Number(f64),
}

impl BoundResult {
    /// Whether it held; what was not measured did not.
    pub fn holds(&self) -> bool {
        self.result == BoundState::Held
    }

    /// What was found, with as many digits as it takes to tell it from the limit: `4.20 ms`, `not measured`.
    pub fn found_in_words(&self) -> String {
        match (self.found, self.limit) {
            (None, _) => "not measured".to_owned(),
            (Some(Amount::Ns(found)), Amount::Ns(limit)) => match units::latency(found) {
                text if found == limit || text != units::latency(limit) => text,
                _ => Span::from_nanos(found).to_string(),
            },
            (Some(Amount::Bytes(found)), Amount::Bytes(limit)) => match units::bytes(found) {
                text if found == limit || text != units::bytes(limit) => text,
                _ => Size::new(found).to_string(),
            },
            (Some(Amount::Count(found)), _) => units::grouped(found),
            (Some(Amount::PerS(found)), Amount::PerS(limit)) => format!("{}/s", apart(found, limit)),
            (Some(Amount::Percent(found)), Amount::Percent(limit)) => format!("{}%", apart(found, limit)),
            (Some(Amount::Number(found)), Amount::Number(limit)) => small(found, limit),
            (Some(Amount::Number(found)), _) => found.to_string(),
            (Some(Amount::Ns(ns)), _) => units::latency(ns),
            (Some(Amount::PerS(value)), _) => format!("{value}/s"),
            (Some(Amount::Bytes(bytes)), _) => units::bytes(bytes),
            (Some(Amount::Percent(value)), _) => format!("{value}%"),
            (Some(Amount::Verdict(verdict)), _) => verdict.name().to_owned(),
        }
    }
}

/// `found` with two decimals, or as many more as tell it from `limit` or show that it is on it.
fn apart(found: f64, limit: f64) -> String {
    let said = |text: &String| match found == limit {
        true => text.parse() == Ok(found),
        false => text.parse() != Ok(limit),
    };
    let mut texts = (2..16).map(|decimals| format!("{found:.decimals$}")).filter(said);
    texts.next().unwrap_or_else(|| found.to_string())
}

/// The same for what may be small: with at least four digits that say something.
fn small(found: f64, limit: f64) -> String {
    let digits = -found.abs().log10().floor();
    if found == 0.0 || !(2.0..16.0).contains(&digits) {
        return apart(found, limit);
    }
    let text = format!("{found:.0$}", digits as usize + 3);
    if text.parse() == Ok(limit) && found != limit { found.to_string() } else { text }
}

impl fmt::Display for BoundResult {
    /// `ack p99 < 5ms: 4.20 ms, held`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.bound, self.found_in_words())?;
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        f.write_str(match self.result {
            BoundState::Held => ", held",
            BoundState::Broken | BoundState::NotMeasured => ", BROKEN",
            BoundState::Void => ", void",
        })
    }
}

/// What the windows of a latency were like: every so many whole seconds of the measure phase in a row.
///
/// A message is in the second in which it was answered or delivered, and only if its intended time lies in the measure
/// phase; what came in the part-seconds at either end of the phase, or in the drain, is in the nearest whole one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// Which latency, by its name in bounds: `flight`.
    pub latency: String,
    /// Which figure of it: `p99`.
    pub figure: String,
    /// How long each is, in nanoseconds.
    pub over_ns: Nanos,
    /// How many there are.
    pub windows: u64,
    /// How many of them have too few samples for the figure.
    pub unknown: u64,
    /// The lowest figure of one, in nanoseconds; null where none has any.
    pub lowest_ns: Option<Nanos>,
    /// The highest.
    pub highest_ns: Option<Nanos>,
}

/// The bounds that did not hold, in one line; `None` when all did.
pub(super) fn broken(bounds: &[BoundResult]) -> Option<String> {
    /// The rest is in the record.
    const NAMED: usize = 3;
    let broken: Vec<_> = bounds.iter().filter(|bound| !bound.holds()).collect();
    let words =
        broken.iter().take(NAMED).map(|bound| format!("{} ({})", bound.bound, bound.found_in_words()));
    let words = words.collect::<Vec<_>>().join(", ");
    match broken.len() {
        0 => None,
        1 => Some(format!("a bound did not hold: {words}")),
        count @ ..=NAMED => Some(format!("{count} bounds did not hold: {words}")),
        count => Some(format!("{count} bounds did not hold: {words} and {} more", count - NAMED)),
    }
}
