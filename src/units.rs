//! Rates, sizes and spans of time as text: what a person types, and what a person reads.
//!
//! [`Count`], [`Rate`], [`Size`] and [`Span`] are exact: what one prints, it parses back to the same value. The free
//! functions ([`latency`], [`rate`], [`fn@bytes`], [`count`], [`grouped`]) are for reading only and round.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Text that is not a rate, size or span. Each variant names the value and what is expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    #[error("`{0}` is not a rate: expected messages per second above 0, such as 0.066, 500, 20k or 1.5M")]
    Rate(String),
    #[error("`{0}` is not a count: expected a whole number, such as 10, 500, 20k or 1.5M")]
    Count(String),
    #[error("`{0}` is not a size: expected whole bytes, such as 100, 100B, 4KiB, 1MB or 1MiB")]
    Size(String),
    #[error("`{0}` is ambiguous: say `{1}kB` (1000 bytes each) or `{1}KiB` (1024 bytes each)")]
    AmbiguousSize(String, String),
    #[error("`{0}` is not a span of time: expected seconds or units, such as 10, 0.5, 1.5s, 250ms or 2m 30s")]
    Span(String),
}

/// Things per second (messages, connections): finite and above 0.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Rate(f64);

impl Rate {
    /// `None` unless `per_second` is finite and above 0.
    pub fn new(per_second: f64) -> Option<Rate> {
        (per_second.is_finite() && per_second > 0.0).then_some(Rate(per_second))
    }

    /// Per second.
    pub fn per_second(self) -> f64 {
        self.0
    }
}

const RATE_SCALES: [(&str, f64); 3] = [("G", 1e9), ("M", 1e6), ("k", 1e3)];

impl FromStr for Rate {
    type Err = UnitError;

    /// `0.066`, `500`, `20k`, `1.5M`, `2G`, each also with `/s` behind it. `K` counts as `k`; `m` is refused,
    /// because a rate in thousandths of a message is never what was meant.
    fn from_str(text: &str) -> Result<Rate, UnitError> {
        let error = || UnitError::Rate(text.to_owned());
        let bare = text.trim();
        let bare = bare.strip_suffix("/s").unwrap_or(bare).trim_end();
        let (number, scale) = match bare.char_indices().next_back() {
            Some((at, 'k' | 'K')) => (&bare[..at], 1e3),
            Some((at, 'M')) => (&bare[..at], 1e6),
            Some((at, 'G')) => (&bare[..at], 1e9),
            _ => (bare, 1.0),
        };
        let number = number.trim_end();
        if !is_decimal(number) {
            return Err(error());
        }
        let value: f64 = number.parse().map_err(|_| error())?;
        Rate::new(value * scale).ok_or_else(error)
    }
}

impl fmt::Display for Rate {
    /// The largest scale that loses nothing: `20k`, `1.5M`, `0.066`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (suffix, scale) in RATE_SCALES {
            let scaled = self.0 / scale;
            if scaled >= 1.0 && scaled * scale == self.0 && scaled.to_string().len() <= 6 {
                return f.pad(&format!("{scaled}{suffix}"));
            }
        }
        f.pad(&self.0.to_string())
    }
}

/// A number of things (clients, messages).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Count(u64);

impl Count {
    /// `count` things.
    pub fn new(count: u64) -> Count {
        Count(count)
    }

    /// How many.
    pub fn get(self) -> u64 {
        self.0
    }
}

const COUNT_SCALES: [(char, u64); 4] = [('G', 1_000_000_000), ('M', 1_000_000), ('k', 1_000), ('K', 1_000)];

impl FromStr for Count {
    type Err = UnitError;

    /// `7`, `200k`, `1.5M`, `2G`: with the suffixes of [`Rate`], and whole once they are applied.
    fn from_str(text: &str) -> Result<Count, UnitError> {
        let bare = text.trim();
        let scaled =
            COUNT_SCALES.iter().find_map(|(suffix, scale)| Some((bare.strip_suffix(*suffix)?, *scale)));
        let (number, scale) = scaled.map_or((bare, 1), |(number, scale)| (number.trim_end(), scale));
        let count = is_decimal(number).then(|| scale_exactly(number, scale)).flatten();
        count.map(Count).ok_or_else(|| UnitError::Count(text.to_owned()))
    }
}

impl fmt::Display for Count {
    /// The largest scale that leaves a whole number: `200k`, `1500k`, `1234`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match COUNT_SCALES.iter().find(|(_, scale)| self.0 != 0 && self.0.is_multiple_of(*scale)) {
            Some((suffix, scale)) => f.pad(&format!("{}{suffix}", self.0 / scale)),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Size(u64);

impl Size {
    pub fn new(bytes: u64) -> Size {
        Size(bytes)
    }

    /// Bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// Largest first; binary before decimal, so that a value both divide prints the way memory is counted.
const SIZE_SCALES: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
];

impl FromStr for Size {
    type Err = UnitError;

    /// A number, whole once its unit is applied (`1.5KiB` is 1536), and `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`
    /// or `GiB` in any case. `4k` alone is refused: it means 4000 to some and 4096 to others.
    fn from_str(text: &str) -> Result<Size, UnitError> {
        let error = || UnitError::Size(text.to_owned());
        let bare = text.trim();
        let at = bare.find(|c: char| c.is_alphabetic()).unwrap_or(bare.len());
        let (number, unit) = (bare[..at].trim_end(), &bare[at..]);
        if !is_decimal(number) {
            return Err(error());
        }
        let scale = match unit {
            "" | "B" | "b" => 1,
            "k" | "K" => return Err(UnitError::AmbiguousSize(text.to_owned(), number.to_owned())),
            _ => SIZE_SCALES.iter().find(|s| s.0.eq_ignore_ascii_case(unit)).ok_or_else(error)?.1,
        };
        scale_exactly(number, scale).map(Size).ok_or_else(error)
    }
}

impl fmt::Display for Size {
    /// The largest unit that loses nothing: `100 B`, `4 KiB`, `1 MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = SIZE_SCALES.iter().find(|s| self.0 != 0 && self.0.is_multiple_of(s.1));
        let (unit, scale) = fits.copied().unwrap_or(("B", 1));
        f.pad(&format!("{} {unit}", self.0 / scale))
    }
}

/// A span of time in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Span(u64);

impl Span {
    pub fn from_nanos(nanos: u64) -> Span {
        Span(nanos)
    }

    /// Nanoseconds.
    pub fn nanos(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = UnitError;

    /// A bare number is seconds (`10`, `0.5`); everything else is `humantime`'s (`1.5s`, `250ms`, `2m 30s`).
    /// At most 2^64 ns, about 584 years.
    fn from_str(text: &str) -> Result<Span, UnitError> {
        let bare = text.trim();
        let parsed = match is_decimal(bare) {
            true => humantime::parse_duration(&format!("{bare}s")),
            false => humantime::parse_duration(bare),
        };
        let nanos = parsed.ok().and_then(|span| u64::try_from(span.as_nanos()).ok());
        nanos.map(Span).ok_or_else(|| UnitError::Span(text.to_owned()))
    }
}

impl fmt::Display for Span {
    /// Below a minute one decimal number in the unit that fits (`250ms`, `1.5s`), above it as `2m 30s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale, decimals) = match self.0 {
            0 => return f.pad("0s"),
            1..1_000 => ("ns", 1, 0),
            1_000..1_000_000 => ("us", 1_000, 3),
            1_000_000..1_000_000_000 => ("ms", 1_000_000, 6),
            1_000_000_000..60_000_000_000 => ("s", 1_000_000_000, 9),
            _ => return f.pad(&humantime::format_duration(Duration::from_nanos(self.0)).to_string()),
        };
        let fraction = format!("{:0decimals$}", self.0 % scale);
        let point = if self.0.is_multiple_of(scale) { "" } else { "." };
        f.pad(&format!("{}{point}{}{unit}", self.0 / scale, fraction.trim_end_matches('0')))
    }
}

/// Digits with at most one point among them: no sign, exponent, `inf` or `nan`.
fn is_decimal(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits > 0 && digits + text.bytes().filter(|b| *b == b'.').count().min(1) == text.len()
}

/// `number` (a decimal, see [`is_decimal`]) times `scale`, if that is a whole number that fits.
fn scale_exactly(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let denominator = 10u128.checked_pow(fraction.len().try_into().ok()?)?;
    let digits = format!("0{whole}{fraction}");
    let numerator = digits.parse::<u128>().ok()?.checked_mul(scale.into())?;
    numerator.is_multiple_of(denominator).then(|| u64::try_from(numerator / denominator).ok()).flatten()
}

/// A share (0 to 1) in per cent, rounded down, so that what is below a limit never reads as on it.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", (share * 1000.0 + 1e-9).floor() / 10.0)
}

/// Per cent with two decimals, rounded down: one of many short of all is never 100.
pub fn part(of: u64, all: u64) -> String {
    format!("{:.2} %", (u128::from(of) * 10_000 / u128::from(all.max(1))) as f64 / 100.0)
}

/// Nanoseconds with three significant digits in the unit that fits: `850 ns`, `12.3 us`, `1.24 ms`, `3.02 s`.
pub fn latency(nanos: u64) -> String {
    if nanos < 1_000 {
        return format!("{nanos} ns");
    }
    scaled(nanos as f64, &[(1e3, "us"), (1e6, "ms"), (1e9, "s")])
}

/// What is left of something, in words that do not jump: whole seconds, `1m 05s` from a minute on.
pub fn left(nanos: u64) -> String {
    match nanos.div_ceil(1_000_000_000) {
        seconds @ 0..60 => format!("{seconds}s left"),
        seconds @ 60..3600 => format!("{}m {:02}s left", seconds / 60, seconds % 60),
        seconds => format!("{}h {:02}m left", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The same of work of which `done` of `all` parts took so long: `, about 5s left`; nothing before the first and after
/// the last.
pub fn outlook(took: Duration, done: usize, all: usize) -> String {
    let each = took.as_nanos().checked_div(done as u128);
    let rest = each.map(|each| each * all.saturating_sub(done) as u128).filter(|rest| *rest > 0);
    rest.map_or(String::new(), |rest| format!(", about {}", left(u64::try_from(rest).unwrap_or(u64::MAX))))
}

/// Things per second with three significant digits: `0.0660 /s`, `20.0 k/s`, `1.50 M/s`.
pub fn rate(per_second: f64) -> String {
    scaled(per_second, &[(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s"), (1e9, "G/s")])
}

/// Bytes in binary units with one decimal: `219 B`, `1.2 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    // 1023.95 and above would print as 1024.0
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count in at most nine columns: exact up to 9,999,999, three significant digits above (`12.3 M`).
pub fn count(count: u64) -> String {
    match count {
        ..10_000_000 => grouped(count),
        _ => scaled(count as f64, &[(1e6, "M"), (1e9, "G"), (1e12, "T")]),
    }
}

/// A value of a Prometheus series, whose name says its unit: a time of `..._seconds_total`, memory of `..._bytes`, all
/// digits of a whole number, three significant ones of others.
pub fn metric(name: &str, value: f64) -> String {
    let name = name.split('{').next().unwrap_or(name);
    let is = |unit: &str| name.strip_suffix("_total").unwrap_or(name).ends_with(unit);
    match value {
        _ if is("_seconds") && value >= 0.0 => latency((value * 1e9).round() as u64),
        _ if is("_bytes") && value >= 0.0 => bytes(value.round() as u64),
        0.0..1e15 if value.fract() == 0.0 => grouped(value as u64),
        0.0.. => scaled(value, &[(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")]).trim_end().to_owned(),
        _ => value.to_string(),
    }
}

/// Every digit of a count, in groups of three: `1,234,567`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `value` with three significant digits in the first of `scales` (ascending) that keeps it under 1000.
fn scaled(value: f64, scales: &[(f64, &str)]) -> String {
    // 999.5 and above would print as 1000
    let fits = scales.iter().find(|s| value / s.0 < 999.5).or(scales.last());
    let (scale, unit) = fits.expect("a table of units is never empty");
    let value = value / scale;
    let decimals = match value {
        99.95.. => 0,
        9.995.. => 1,
        0.9995.. => 2,
        _ if value <= 0.0 => 0,
        // 0.066 per second is a usual rate of one client, so small numbers keep their digits too
        _ => (2.0 - value.log10().floor()).min(9.0) as usize,
    };
    format!("{value:.decimals$} {unit}")
}
