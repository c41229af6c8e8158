//! Typed numbers.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use super::PayloadError;
use crate::seed::Draw;

/// The type of a number, with Java's names, as tuanhiep's JMeter sampler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberKind {
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// 32 bits, IEEE 754.
    Float,
    /// 64 bits, IEEE 754.
    Double,
}

impl NumberKind {
    pub(super) const ALL: [NumberKind; 4] =
        [NumberKind::Int, NumberKind::Long, NumberKind::Float, NumberKind::Double];

    pub(super) fn name(self) -> &'static str {
        match self {
            NumberKind::Int => "int",
            NumberKind::Long => "long",
            NumberKind::Float => "float",
            NumberKind::Double => "double",
        }
    }

    /// In the flag byte of tuanhiep's JMeter sampler.
    pub(super) fn flag(self) -> u8 {
        match self {
            NumberKind::Int => 0x20,
            NumberKind::Long => 0x10,
            NumberKind::Float => 0x08,
            NumberKind::Double => 0x04,
        }
    }
}

/// Uniform numbers from `min` (included) to `max` (not included), or one number always.
///
/// ```
/// use malaria_bench::load::{NumberKind, NumberRange};
///
/// let range = NumberRange::parse(NumberKind::Int, "-10..10")?;      // -10 to 9
/// assert_eq!(range.to_string(), "-10..10");
/// NumberRange::parse(NumberKind::Double, "0.5..2")?;                // such as 1.3400671529637466
/// NumberRange::parse(NumberKind::Double, "0..100:2")?;              // two decimals, such as 21.57
/// NumberRange::parse(NumberKind::Long, "42")?;                      // always 42
/// assert!(NumberRange::parse(NumberKind::Int, "10..10").is_err());  // there is none
/// # Ok::<(), malaria_bench::load::PayloadError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NumberRange {
    kind: NumberKind,
    range: Range,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Range {
    /// Both included.
    Whole { first: i64, last: i64 },
    /// From min on, below max; always min when they are equal.
    Real { min: f64, max: f64 },
    /// Whole numbers of 10^-decimals, both included; `min` and `max` as typed.
    Steps { first: i64, last: i64, decimals: u8, min: f64, max: f64 },
}

/// A number of its type.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Number {
    Whole(i64),
    Single(f32),
    Double(f64),
    Decimal(f64, u8),
}

/// No `f64` prints longer: `-2.2250738585072014e-308` spelled out.
const LONGEST_REAL: u64 = 330;

impl NumberRange {
    /// `MIN..MAX` or one number; for reals with `:DECIMALS` behind it, at most 9.
    pub fn parse(kind: NumberKind, text: &str) -> Result<NumberRange, PayloadError> {
        let range = match kind {
            NumberKind::Int => whole(text, i32::MIN.into(), i32::MAX.into()),
            NumberKind::Long => whole(text, i64::MIN, i64::MAX),
            NumberKind::Float => real(text, f32::MAX.into()),
            NumberKind::Double => real(text, f64::MAX),
        };
        let error = |why| PayloadError::Range { text: text.into(), kind: kind.name(), why };
        Ok(NumberRange { kind, range: range.map_err(error)? })
    }

    pub fn kind(&self) -> NumberKind {
        self.kind
    }

    fn draw(&self, draw: &mut Draw) -> Number {
        match self.range {
            Range::Whole { first, last } => Number::Whole(draw.whole(first, last)),
            Range::Steps { first, last, decimals, .. } => {
                let step = draw.whole(first, last) as f64;
                Number::Decimal(step / 10f64.powi(decimals.into()), decimals)
            }
            Range::Real { min, max } => {
                let share = draw.unit();
                let value = min * (1.0 - share) + max * share;
                match self.kind {
                    // Rounding must not reach the end that is not included.
                    NumberKind::Float => {
                        let (min, max) = (min as f32, max as f32);
                        Number::Single((value as f32).min(max.next_down()).max(min))
                    }
                    _ => Number::Double(value.min(max.next_down()).max(min)),
                }
            }
        }
    }

    /// As decimal text, reals with the fewest digits that tell them apart.
    pub(super) fn write_text(&self, draw: &mut Draw, out: &mut Vec<u8>) {
        let written = match self.draw(draw) {
            Number::Whole(value) => write!(out, "{value}"),
            Number::Single(value) => write!(out, "{value}"),
            Number::Double(value) => write!(out, "{value}"),
            Number::Decimal(value, decimals) => write!(out, "{value:.*}", usize::from(decimals)),
        };
        written.expect("writing to memory");
    }

    /// As 4 or 8 bytes, big-endian.
    pub(super) fn write_binary(&self, draw: &mut Draw, out: &mut Vec<u8>) {
        let real = match self.draw(draw) {
            Number::Whole(value) if self.kind == NumberKind::Int => {
                return out.extend((value as i32).to_be_bytes());
            }
            Number::Whole(value) => return out.extend(value.to_be_bytes()),
            Number::Single(value) => return out.extend(value.to_be_bytes()),
            Number::Double(value) | Number::Decimal(value, _) => value,
        };
        match self.kind {
            NumberKind::Float => out.extend((real as f32).to_be_bytes()),
            _ => out.extend(real.to_be_bytes()),
        }
    }

    /// No number is longer as text.
    pub(super) fn longest_text(&self) -> u64 {
        match self.range {
            Range::Whole { .. } | Range::Steps { .. } => "-9223372036854775808".len() as u64 + 2,
            Range::Real { .. } => LONGEST_REAL,
        }
    }

    pub(super) fn binary_length(&self) -> u64 {
        if matches!(self.kind, NumberKind::Int | NumberKind::Float) { 4 } else { 8 }
    }
}

fn whole(text: &str, least: i64, most: i64) -> Result<Range, String> {
    let number = |text: &str| {
        let number = text.trim().parse::<i128>();
        number.map_err(|_| format!("`{text}` is not a whole number, expected MIN..MAX"))
    };
    let (first, last) = match text.split_once("..") {
        Some((min, max)) => (number(min)?, number(max)? - 1),
        None => (number(text)?, number(text)?),
    };
    if first < least.into() || last > most.into() {
        return Err(format!("it holds {least} to {most}"));
    }
    match first <= last {
        true => Ok(Range::Whole { first: first as i64, last: last as i64 }),
        false => Err("there is no number from MIN to below MAX".into()),
    }
}

fn real(text: &str, most: f64) -> Result<Range, String> {
    let (range, decimals) = match text.split_once(':') {
        Some((range, decimals)) => (range, Some(decimals)),
        None => (text, None),
    };
    let number = |text: &str| match text.trim().parse::<f64>() {
        Ok(number) if number.abs() <= most => Ok(number),
        _ => Err(format!("`{text}` is not a number it holds, expected MIN..MAX")),
    };
    let (min, max) = match range.split_once("..") {
        Some((min, max)) => (number(min)?, number(max)?),
        None => (number(range)?, number(range)?),
    };
    let empty = || Err("there is no number from MIN to below MAX".into());
    if min > max || (min == max && range.contains("..")) {
        return empty();
    }
    let Some(decimals) = decimals else {
        return Ok(Range::Real { min, max });
    };
    let decimals: u8 = decimals
        .trim()
        .parse()
        .ok()
        .filter(|decimals| *decimals <= 9)
        .ok_or_else(|| format!("`{decimals}` is not a number of decimals, expected 0 to 9"))?;
    let scale = 10f64.powi(decimals.into());
    // Whole numbers up to 2^53 are exact.
    if min.abs().max(max.abs()) * scale > 2f64.powi(53) {
        return Err(format!("too large for {decimals} decimals"));
    }
    let first = (min * scale).ceil() as i64;
    let last = if min == max { first } else { (max * scale).ceil() as i64 - 1 };
    match first <= last {
        true => Ok(Range::Steps { first, last, decimals, min, max }),
        false => empty(),
    }
}

impl FromStr for NumberRange {
    type Err = PayloadError;

    /// `int:0..100`: the type and the range.
    fn from_str(text: &str) -> Result<NumberRange, PayloadError> {
        let unknown = || PayloadError::UnknownBody(text.into());
        let (name, range) = text.split_once(':').ok_or_else(unknown)?;
        let kind = NumberKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(unknown)?;
        NumberRange::parse(kind, range)
    }
}

impl fmt::Display for NumberRange {
    /// The range alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.range {
            Range::Whole { first, last } => write!(f, "{first}..{}", i128::from(last) + 1),
            Range::Real { min, max } if min == max => write!(f, "{min}"),
            Range::Real { min, max } => write!(f, "{min}..{max}"),
            Range::Steps { decimals, min, max, .. } if min == max => write!(f, "{min}:{decimals}"),
            Range::Steps { decimals, min, max, .. } => write!(f, "{min}..{max}:{decimals}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PAYLOAD;
    use super::*;
    use proptest::prelude::*;

    fn texts(range: &str, count: u64) -> Vec<String> {
        let range: NumberRange = range.parse().unwrap();
        let text = |sequence| {
            let mut out = Vec::new();
            range.write_text(&mut Draw::of(3, PAYLOAD, 0, sequence), &mut out);
            assert!(out.len() as u64 <= range.longest_text());
            String::from_utf8(out).unwrap()
        };
        (0..count).map(text).collect()
    }

    #[test]
    fn checklist_22_numbers_lie_in_their_range_and_reach_all_of_it() {
        let seen: std::collections::BTreeSet<i64> =
            texts("int:-3..3", 1000).iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-3, -2, -1, 0, 1, 2]);
        let values: Vec<f64> = texts("double:-1..1", 10_000).iter().map(|t| t.parse().unwrap()).collect();
        assert!(values.iter().all(|value| (-1.0..1.0).contains(value)));
        let mean = values.iter().sum::<f64>() / 1e4;
        assert!(mean.abs() < 4.0 * (1.0f64 / 3.0 / 1e4).sqrt(), "{mean}");
        assert!(texts("float:0..0.1", 1000).iter().all(|t| (0.0..0.1f32).contains(&t.parse().unwrap())));
        assert_eq!(texts("long:42", 2), ["42", "42"]);
        assert_eq!(texts("float:0.1", 1), ["0.1"]);
    }

    #[test]
    fn checklist_22_decimals_stay_in_the_range() {
        let seen: std::collections::BTreeSet<String> = texts("double:0.98..1:2", 200).into_iter().collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["0.98", "0.99"]);
        assert_eq!(texts("double:21.5:2", 1), ["21.50"]);
    }

    #[test]
    fn checklist_22_binary_numbers_are_big_endian() {
        for (range, bytes) in [
            ("int:1", &[0, 0, 0, 1][..]),
            ("int:-2", &[255, 255, 255, 254]),
            ("long:258", &[0, 0, 0, 0, 0, 0, 1, 2]),
            ("float:1", &[0x3f, 0x80, 0, 0]),
            ("float:1.5:1", &[0x3f, 0xc0, 0, 0]),
            ("double:1", &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
        ] {
            let mut out = Vec::new();
            let range: NumberRange = range.parse().unwrap();
            range.write_binary(&mut Draw::of(1, PAYLOAD, 0, 0), &mut out);
            assert_eq!((out.as_slice(), out.len() as u64), (bytes, range.binary_length()));
        }
    }

    #[test]
    fn senseless_ranges_are_errors() {
        for (text, part) in [
            ("int:5..5", "no number"),
            ("int:9..5", "no number"),
            ("int:0..2147483649", "holds -2147483648 to 2147483647"),
            ("int:x", "`x`"),
            ("int:", "expected MIN..MAX"),
            ("int:0.5..2", "`0.5`"),
            ("float:1e39..1e40", "`1e39`"),
            ("double:NaN..1", "`NaN`"),
            ("double:1..1", "no number"),
            ("double:0.001..0.009:2", "no number"),
            ("double:0..1:10", "0 to 9"),
            ("double:0..1e15:9", "too large"),
        ] {
            let error = text.parse::<NumberRange>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
        assert!("long:-9223372036854775808..9223372036854775808".parse::<NumberRange>().is_ok());
    }

    proptest! {
        #[test]
        fn every_real_is_in_its_range(a: f64, b: f64, sequence: u64) {
            prop_assume!(a.is_finite() && b.is_finite() && a != b);
            let text = format!("double:{}..{}", a.min(b), a.max(b));
            let range: NumberRange = text.parse().unwrap();
            prop_assert_eq!(format!("double:{range}"), text);
            let mut out = Vec::new();
            range.write_text(&mut Draw::of(1, PAYLOAD, 0, sequence), &mut out);
            prop_assert!(out.len() as u64 <= range.longest_text());
            let value: f64 = String::from_utf8(out).unwrap().parse().unwrap();
            prop_assert!((a.min(b)..a.max(b)).contains(&value));
        }
    }
}
