//! Rates that change in time: how many messages are due until when, exactly.

use crate::clock::{Nanos, SECOND};
use crate::units::{Rate, Span};
use std::fmt;
use std::str::FromStr;

/// A message in the parts that [`Profile::due`] counts in: times of a Poisson stream lie between those of whole ones.
pub const WHOLE: u128 = 1_000_000_000;

/// The rate of all publishers over time, from the start of the schedule on: pieces, each with a rate that is constant or
/// changes evenly.
///
/// Message n (from 0) is due when the integral of the rate goes beyond n, to the nearest nanosecond. So a profile has as
/// many messages as its integral, rounded up, and which piece has which of them is told in whole numbers: rates count in
/// billionths of a message a second.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    pieces: Vec<Piece>,
    /// Of all pieces together.
    area: Area,
    /// Nanoseconds between two messages, where the rate never changes.
    gap: Option<f64>,
    end: Nanos,
    /// As it was typed; of a constant rate nothing was.
    text: String,
}

/// Twice the integral of a rate, in billionths of a message a second times nanoseconds: whole, also under a slope.
type Area = u128;

/// The area of a message,
const MESSAGE: Area = 2 * 1_000_000_000 * SECOND as Area;
/// and of a part of it.
const PART: Area = MESSAGE / WHOLE;

#[derive(Clone, PartialEq, Debug)]
struct Piece {
    start: Nanos,
    span: Nanos,
    /// Rates at its start and its end, in billionths of a message a second.
    from: u64,
    to: u64,
    /// Area of the pieces before it.
    before: Area,
}

/// Text that is no profile. Each message names the part and what is expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProfileError {
    #[error(
        "`{0}` is not a piece of a schedule: expected const(rate,time), line(from,to,time) or step(from,to,by,time), such \
         as `line(0,50k,30s) const(50k,2m)`"
    )]
    Piece(String),
    #[error(
        "`{0}`: `{1}` is not a rate: expected messages a second from 0 to 1G, such as 0, 0.5, 500 or 20k"
    )]
    Rate(String, String),
    #[error("`{0}`: `{1}` is not a length: expected a time above 0, at most 100 days, such as 30s or 2m")]
    Span(String, String),
    #[error("`{0}`: no whole number of steps of `{1}` leads from its first rate to its last")]
    Steps(String, String),
    #[error("a schedule has 1 to {LONGEST} pieces")]
    Length,
    #[error("`{0}`: nothing is ever due in it: give at least one piece a rate")]
    Nothing(String),
}

/// Most pieces.
const LONGEST: usize = 1000;
/// Longest piece, so that no area is too large for a number,
const MOST: Nanos = 100 * 24 * 3600 * SECOND;
/// and the highest rate.
const FASTEST: f64 = 1e9;

impl Profile {
    /// A rate that never changes, per second.
    pub fn constant(rate_per_s: f64) -> Profile {
        let rate = ((rate_per_s * 1e9).round() as u64).max(1);
        let piece = Piece { start: 0, span: Nanos::MAX, from: rate, to: rate, before: 0 };
        let gap = Some(1e9 * SECOND as f64 / rate as f64);
        Profile { area: Area::MAX, gap, end: Nanos::MAX, pieces: vec![piece], text: String::new() }
    }

    fn of(pieces: &[(u64, u64, Nanos)], text: &str) -> Result<Profile, ProfileError> {
        let text = text.trim().to_owned();
        let mut profile = Profile { pieces: Vec::new(), area: 0, gap: None, end: 0, text };
        if !(1..=LONGEST).contains(&pieces.len()) {
            return Err(ProfileError::Length);
        }
        for &(from, to, span) in pieces {
            let piece = Piece { start: profile.end, span, from, to, before: profile.area };
            profile.area += piece.area();
            profile.end += span;
            profile.pieces.push(piece);
        }
        if profile.area == 0 {
            return Err(ProfileError::Nothing(profile.text));
        }
        Ok(profile)
    }

    /// When it is over.
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// How many messages are due before `time`: the integral until then, rounded up.
    pub fn count(&self, time: Nanos) -> u64 {
        let begun = self.pieces.iter().rfind(|piece| piece.start < time);
        let area = begun.map_or(0, |piece| piece.before + piece.until(time - piece.start));
        area.div_ceil(MESSAGE) as u64
    }

    /// The highest rate, per second.
    pub fn peak(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.from.max(piece.to)).max().unwrap_or(0) as f64 / 1e9
    }

    /// When message `number` (from 0) is due; `None` when there are not so many.
    #[inline]
    pub fn due_whole(&self, number: u64) -> Option<Nanos> {
        match self.gap {
            Some(gap) => Some((number as f64 * gap).round() as Nanos),
            None => self.due(u128::from(number) * WHOLE),
        }
    }

    /// When the integral goes beyond so many billionths of a message; `None` when it never does.
    pub fn due(&self, parts: u128) -> Option<Nanos> {
        let area = parts * PART;
        if area >= self.area {
            return None;
        }
        // Of several that begin with it, those before the last have no messages.
        let at = self.pieces.partition_point(|piece| piece.before <= area) - 1;
        let piece = &self.pieces[at];
        Some(piece.start + piece.time(area - piece.before))
    }
}

impl Profile {
    /// The same with rates that are so many times as high.
    pub fn scaled(&self, factor: f64) -> Profile {
        let scale = |rate: u64| (rate as f64 * factor).round() as u64;
        let mut text = String::new();
        for Piece { span, from, to, .. } in &self.pieces {
            let rate =
                |rate: u64| Rate::new(scale(rate) as f64 / 1e9).map_or("0".into(), |rate| rate.to_string());
            let (from, to, span) = (rate(*from), rate(*to), Span::from_nanos(*span));
            text += if text.is_empty() { "" } else { " " };
            text += &if from == to {
                format!("const({from},{span})")
            } else {
                format!("line({from},{to},{span})")
            };
        }
        text.parse().unwrap_or_else(|_| self.clone())
    }
}

impl Piece {
    fn area(&self) -> Area {
        (Area::from(self.from) + Area::from(self.to)) * Area::from(self.span)
    }

    /// The area of its first `span`.
    fn until(&self, span: Nanos) -> Area {
        if self.from == self.to {
            return 2 * Area::from(self.from) * Area::from(span);
        }
        if span >= self.span {
            return self.area();
        }
        let share = span as f64 / self.span as f64;
        let rate = self.from as f64 + (self.to as f64 - self.from as f64) * share;
        ((self.from as f64 + rate) * span as f64).round() as Area
    }

    /// When its first `area` is full, since its start and before its end.
    fn time(&self, area: Area) -> Nanos {
        // x = from t + slope t^2 / 2, solved for t so that nothing cancels out, for a slope of 0 as for any other.
        let (from, to, span) = (self.from as f64, self.to as f64, self.span as f64);
        let (area, slope) = (area as f64, (to - from) / span);
        let root = (from * from + slope * area).max(0.0).sqrt();
        let time = if area == 0.0 { 0.0 } else { area / (from + root) };
        (time.round() as Nanos).min(self.span - 1)
    }
}

impl From<f64> for Profile {
    /// A constant rate, per second.
    fn from(rate_per_s: f64) -> Profile {
        Profile::constant(rate_per_s)
    }
}

impl FromStr for Profile {
    type Err = ProfileError;

    /// Pieces one after the other: `const(rate,time)`; `line(from,to,time)`; `step(from,to,by,time)`, which is `const`
    /// at each of the rates from the first to the last, each for the time.
    fn from_str(text: &str) -> Result<Profile, ProfileError> {
        let mut pieces = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.find(')').map_or(rest.len(), |at| at + 1));
            rest = behind.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            add(&mut pieces, piece)?;
            if pieces.len() > LONGEST {
                return Err(ProfileError::Length);
            }
        }
        Profile::of(&pieces, text)
    }
}

impl fmt::Display for Profile {
    /// As it was typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Reads what stands between two pieces.
fn add(pieces: &mut Vec<(u64, u64, Nanos)>, text: &str) -> Result<(), ProfileError> {
    let wrong = || ProfileError::Piece(text.to_owned());
    let (name, inner) = text.strip_suffix(')').and_then(|text| text.split_once('(')).ok_or_else(wrong)?;
    let words: Vec<&str> = inner.split(',').map(str::trim).collect();
    let rate = |word: &str| match word.parse::<Rate>() {
        Ok(rate) if rate.per_second() <= FASTEST => Ok((rate.per_second() * 1e9).round() as u64),
        Err(_) if word.parse() == Ok(0.0) => Ok(0),
        _ => Err(ProfileError::Rate(text.to_owned(), word.to_owned())),
    };
    let span = |word: &str| match word.parse::<Span>().map(Span::nanos) {
        Ok(span @ 1..=MOST) => Ok(span),
        _ => Err(ProfileError::Span(text.to_owned(), word.to_owned())),
    };
    match (name.trim(), &words[..]) {
        ("const", [at, time]) => pieces.push((rate(at)?, rate(at)?, span(time)?)),
        ("line", [from, to, time]) => pieces.push((rate(from)?, rate(to)?, span(time)?)),
        ("step", [from, to, by, time]) => {
            let (from, to, span) = (rate(from)?, rate(to)?, span(time)?);
            let steps = ProfileError::Steps(text.to_owned(), (*by).to_owned());
            let by = rate(by)?;
            let way = from.abs_diff(to);
            if by == 0 || !way.is_multiple_of(by) {
                return Err(steps);
            }
            if way / by >= LONGEST as u64 {
                return Err(ProfileError::Length);
            }
            let rates = (0..=way / by).map(|n| if from < to { from + n * by } else { from - n * by });
            pieces.extend(rates.map(|rate| (rate, rate, span)));
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
