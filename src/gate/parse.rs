//! Bounds as text.

use std::fmt;
use std::str::FromStr;

use super::cost::{Cost, Unit};
use super::figure::{Count, Own, Share, Statistic, Timing};
use super::series::{self, Series};
use super::{Bound, Claim, Percent, Relation, windows};
use crate::clock::SECOND;
use crate::record::Verdict;
use crate::stats::HIGHEST;
use crate::units::{self, Rate, Size, Span, UnitError};

/// Text that is not a bound. Each message names the value and what there is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BoundError {
    #[error(
        "`{0}` is not a bound: expected a name, one of < <= > >= ==, and a value, such as `ack p99 < 5ms`, \
         `acked >= 10k/s` or `lost == 0`"
    )]
    Shape(String),
    #[error("`{name}` is not measured; there are {known}")]
    Name { name: String, known: String },
    #[error("`{name}` is a latency: say which figure of it, such as `{name} p99` or `{name} max`")]
    NoStatistic { name: &'static str },
    #[error(
        "`{found}` is no figure of the latency `{name}`: expected min, mean, max or a percentile such as p50, \
         p99 or p99.9"
    )]
    Statistic { name: &'static str, found: String },
    #[error(transparent)]
    Unit(UnitError),
    #[error("`{0}` is too long for a bound: latencies are told apart up to 1h")]
    Span(String),
    #[error("`{found}` is no value for `{name}`: expected {expected}")]
    Value { name: &'static str, found: String, expected: String },
    #[error("`{0}` has no unit: say {1}")]
    Bare(String, String),
    #[error("`{0}` is no window: expected whole seconds, from 1s to 5m, such as `over 10s`")]
    Window(String),
    #[error(
        "`{0}` has no windows: only latencies of messages, and due, sent, acked and delivered as rates, are bounded `over` a time"
    )]
    NoWindows(String),
    #[error(
        "`{0}` is no verdict to bound a run by: expected `verdict == clean` or `verdict == broker-limited`"
    )]
    Verdict(String),
    #[error(
        "`{0}` is no bound on what others tell of the broker: expected `metric`, the series as --broker-series has it, at \
         will per-message, per-connection, min, mean or max, one of < <= > >= ==, and a number, such as \
         `metric emqx_messages_dropped < 1` or `metric process_cpu_seconds_total per-message < 40us`"
    )]
    Series(String),
    #[error("`{0}` is known at the end only, not while a run goes on: give it to --require")]
    Later(String),
    #[error("`{0}` never is exactly a value: use <, <=, > or >= instead of ==")]
    Exactly(&'static str),
}

fn known() -> String {
    let latencies: Vec<_> = Timing::all().map(Timing::name).collect();
    let counts: Vec<_> = Count::all().map(Count::name).collect();
    let (shares, own) = (Share::ALL.map(Share::name), Own::ALL.map(Own::name));
    let costs: Vec<_> = Cost::all().map(|cost| cost.name).collect();
    format!(
        "the latencies {}; the counts {}; the shares {}; of the broker {}; of the generator {}; the verdict; \
         and with `metric` in front what --broker-series names",
        latencies.join(", "),
        counts.join(", "),
        shares.join(", "),
        costs.join(", "),
        own.join(", ")
    )
}

impl FromStr for Bound {
    type Err = BoundError;

    /// `NAME RELATION VALUE [over SPAN]`, spaces as one likes. Names are those of the summary and of the record in any
    /// case, with spaces, `-` or `_`; behind a latency stands `min`, `mean`, `max` or a percentile. Times, rates and
    /// sizes need their unit: what is meant is nobody's guess.
    fn from_str(text: &str) -> Result<Bound, BoundError> {
        let shape = || BoundError::Shape(text.trim().to_owned());
        if text.trim_start().starts_with(series::WORD) {
            return series_bound(text).unwrap_or_else(|| Err(BoundError::Series(text.trim().to_owned())));
        }
        let at = text.find(['<', '>', '=']).ok_or_else(shape)?;
        let (name, rest) = text.split_at(at);
        let (relation, value) = relation(rest).ok_or_else(shape)?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || value.is_empty() || value.contains(['<', '>', '=']) {
            return Err(shape());
        }
        let (value, over) = match value.rsplit_once(" over ") {
            Some((value, over)) => (value.trim(), Some(window(over.trim())?)),
            None => (value, None),
        };
        let claim = claim(name, relation, value)?;
        if over.is_some() && !windows::has(&claim) {
            return Err(BoundError::NoWindows(name.to_owned()));
        }
        Ok(Bound { claim, relation, over })
    }
}

/// A bound on what others tell; `None` where it has not the shape of one.
fn series_bound(text: &str) -> Option<Result<Bound, BoundError>> {
    let (of, rest) = Series::split(text)?;
    let (relation, value) = relation(rest)?;
    let value = value.trim();
    let claim = match value.strip_suffix("/s") {
        // Only what counts rises, and that by itself.
        Some(_) => {
            let limit = value.parse().ok().filter(|_| of.of == series::Of::Itself)?;
            Claim::SeriesRate { of, limit }
        }
        None => Claim::Series { of, limit: series::value(value)? },
    };
    Some(Ok(Bound { claim, relation, over: None }))
}

/// The relation that `text` begins with, and what follows.
fn relation(text: &str) -> Option<(Relation, &str)> {
    // what is longer stands before what it begins with
    let all = [
        ("<=", Relation::AtMost),
        (">=", Relation::AtLeast),
        ("==", Relation::Exactly),
        ("<", Relation::Below),
        (">", Relation::Above),
        ("=", Relation::Exactly),
    ];
    all.into_iter().find_map(|(sign, relation)| Some((relation, text.strip_prefix(sign)?)))
}

fn claim(name: &str, relation: Relation, value: &str) -> Result<Claim, BoundError> {
    let lower = name.to_ascii_lowercase().replace('_', "-");
    let words: Vec<&str> = lower.split_whitespace().collect();
    let whole = words.join("-");
    if let Some(count) = Count::named(&whole) {
        return count_claim(count, relation, value);
    }
    if let Some(share) = Share::named(&whole) {
        let percent = percent(value).ok_or_else(|| expected(share.name(), value, "a share such as 99.9%"))?;
        return Ok(Claim::Share { of: share, limit: percent });
    }
    if let Some(of) = Cost::named(&whole) {
        return Ok(Claim::Cost { of, limit: amount(of.name, of.unit, relation, value)? });
    }
    if let Some(of) = Own::named(&whole) {
        return Ok(Claim::Own { of, limit: amount(of.name(), of.unit(), relation, value)? });
    }
    if whole == "verdict" {
        return verdict(relation, value);
    }
    if let Some(timing) = Timing::named(&whole) {
        return Err(BoundError::NoStatistic { name: timing.name() });
    }
    let unknown = || BoundError::Name { name: name.to_owned(), known: known() };
    let (last, before) = words.split_last().ok_or_else(unknown)?;
    let of = Timing::named(&before.join("-")).ok_or_else(unknown)?;
    let statistic = Statistic::named(last);
    let at = statistic.ok_or_else(|| BoundError::Statistic { name: of.name(), found: (*last).to_owned() })?;
    let limit = span(value)?;
    if limit.nanos() > HIGHEST {
        return Err(BoundError::Span(value.to_owned()));
    }
    inexact(relation, of.name())?;
    Ok(Claim::Latency { of, at, limit })
}

/// Whether a number stands alone, and so may be anything; 0 is 0 in every unit.
fn is_bare(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|number| number != 0.0) && !text.ends_with(char::is_alphabetic)
}

/// A time, with its unit.
fn span(text: &str) -> Result<Span, BoundError> {
    if is_bare(text) {
        return Err(BoundError::Bare(text.to_owned(), format!("`{text}ms` or `{text}s`")));
    }
    text.parse().map_err(BoundError::Unit)
}

/// A size, with its unit.
fn size(name: &'static str, text: &str) -> Result<Size, BoundError> {
    if is_bare(text) {
        return Err(BoundError::Bare(text.to_owned(), format!("`{text}kB` or `{text}KiB`")));
    }
    text.parse().map_err(|error| match error {
        error @ UnitError::AmbiguousSize(..) => BoundError::Unit(error),
        _ => expected(name, text, "a size such as 10MB or 4KiB"),
    })
}

/// How long a window is.
fn window(text: &str) -> Result<Span, BoundError> {
    let wrong = || BoundError::Window(text.to_owned());
    let over = span(text).map_err(|_| wrong())?;
    if windows::LENGTHS.contains(&over.nanos()) && over.nanos().is_multiple_of(SECOND) {
        Ok(over)
    } else {
        Err(wrong())
    }
}

/// The unit of the value says what is meant: so many, so many a second, or such a share.
fn count_claim(of: Count, relation: Relation, value: &str) -> Result<Claim, BoundError> {
    let wrong = || {
        let rate = if of.0.has_rate { ", a rate such as 10k/s" } else { "" };
        let share = if of.0.whole.is_some() { ", a share such as 0.1%" } else { "" };
        expected(of.name(), value, &format!("a count such as 0 or 10k{rate}{share}"))
    };
    if value.ends_with('%') {
        let limit = percent(value).filter(|_| of.0.whole.is_some()).ok_or_else(wrong)?;
        return Ok(Claim::Part { of, limit });
    }
    if value.ends_with("/s") {
        let limit = value.parse::<Rate>().ok().filter(|_| of.0.has_rate).ok_or_else(wrong)?;
        inexact(relation, "a rate")?;
        return Ok(Claim::Rate { of, limit });
    }
    if of.0.unit == Unit::Bytes {
        return Ok(Claim::Count { of, limit: size(of.name(), value)?.bytes() });
    }
    let number = ["messages", "message"].iter().find_map(|unit| value.strip_suffix(unit));
    let number = number.filter(|_| of.0.has_rate).map(str::trim_end);
    let limit = number.unwrap_or(value).parse::<units::Count>().map_err(|_| wrong())?.get();
    // Nothing but a count is exact, and none is none at any time.
    if number.is_none() && of.0.has_rate && relation != Relation::Exactly && limit > 0 {
        return Err(BoundError::Bare(value.to_owned(), format!("`{value}/s` or `{value} messages`")));
    }
    Ok(Claim::Count { of, limit })
}

/// A limit in this unit.
fn amount(name: &'static str, unit: Unit, relation: Relation, value: &str) -> Result<u64, BoundError> {
    let limit = match unit {
        Unit::Time => span(value)?.nanos(),
        Unit::Bytes => size(name, value)?.bytes(),
        Unit::Count => {
            let limit = value.parse::<units::Count>();
            return Ok(limit.map_err(|_| expected(name, value, "a count such as 0 or 10k"))?.get());
        }
    };
    // Nothing at all is exact.
    if limit > 0 {
        inexact(relation, name)?;
    }
    Ok(limit)
}

/// What a run can be bounded by: of the others nothing passes, and nothing else is exactly something.
fn verdict(relation: Relation, value: &str) -> Result<Claim, BoundError> {
    let allowed = [Verdict::Clean, Verdict::BrokerLimited].into_iter();
    let limit = allowed.into_iter().find(|limit| limit.name() == value && relation == Relation::Exactly);
    limit.map(|limit| Claim::Verdict { limit }).ok_or_else(|| BoundError::Verdict(value.to_owned()))
}

fn inexact(relation: Relation, what: &'static str) -> Result<(), BoundError> {
    if relation == Relation::Exactly { Err(BoundError::Exactly(what)) } else { Ok(()) }
}

fn expected(name: &'static str, found: &str, expected: &str) -> BoundError {
    BoundError::Value { name, found: found.to_owned(), expected: expected.to_owned() }
}

/// `0%` to `100%`
fn percent(text: &str) -> Option<Percent> {
    let number = text.strip_suffix('%')?.trim_end();
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    number.parse().ok().and_then(Percent::new)
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Below => "<",
            Relation::AtMost => "<=",
            Relation::Above => ">",
            Relation::AtLeast => ">=",
            Relation::Exactly => "==",
        })
    }
}

impl fmt::Display for Bound {
    /// As it is typed, with one space between the parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = self.relation;
        match &self.claim {
            Claim::Latency { of, at, limit } => write!(f, "{} {at} {relation} {limit}", of.name()),
            Claim::Cost { of, limit } => write!(f, "{} {relation} {}", of.name, of.unit.text(*limit)),
            Claim::Count { of, limit } => {
                write!(f, "{} {relation} ", of.name())?;
                match of.0.unit {
                    Unit::Bytes => write!(f, "{}", Size::new(*limit)),
                    _ if of.0.has_rate && relation != Relation::Exactly && *limit > 0 => {
                        write!(f, "{limit} message{}", if *limit == 1 { "" } else { "s" })
                    }
                    _ => write!(f, "{limit}"),
                }
            }
            Claim::Rate { of, limit } => write!(f, "{} {relation} {limit}/s", of.name()),
            Claim::Part { of, limit } => write!(f, "{} {relation} {}%", of.name(), limit.get()),
            Claim::Share { of, limit } => write!(f, "{} {relation} {}%", of.name(), limit.get()),
            Claim::Own { of, limit } => write!(f, "{} {relation} {}", of.name(), of.unit().text(*limit)),
            Claim::Series { of, limit } => write!(f, "{of} {relation} {limit}"),
            Claim::SeriesRate { of, limit } => write!(f, "{of} {relation} {limit}/s"),
            Claim::Verdict { limit } => write!(f, "verdict {relation} {}", limit.name()),
        }?;
        self.over.map_or(Ok(()), |over| write!(f, " over {over}"))
    }
}
