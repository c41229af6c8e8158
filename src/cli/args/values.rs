//! Values of single flags.

use crate::clock::Nanos;
use crate::record::{Absence, Flap, Part};
use crate::units::{Count, Rate, Span, UnitError};
use std::str::FromStr;

/// Text that is none of the values here. Each message names the value and what is expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueError {
    #[error(
        "`{0}` is not a rate: expected messages per second, such as 0.066, 5 or 20k, or 0 or `max` for no limit"
    )]
    PerSecond(String),
    #[error(
        "`{0}` is not a rate: expected messages per second above 0, such as 500, 20k or 1.5M, or `max` for no limit"
    )]
    Total(String),
    #[error("`{0}` is not a share: expected more than 0 and less than 1, such as 1% or 0.01")]
    Share(String),
    #[error("`{0}` is too few: it must be at least {1}")]
    TooFew(String, u64),
    #[error("`{0}` is too large: it must be at most {1}")]
    TooMany(String, u64),
    #[error("`{0}` is not a fraction: expected a number up to 1, such as 0.1 for 10 %; 0 turns it off")]
    Fraction(String),
    #[error("`{0}` is not a range of time: expected min..max, such as 0.5..1.5s, or one time, such as 2s")]
    Between(String),
    #[error(
        "`{0}` is not an absence: expected who,at,for, such as subscribers,0s,5s or all,10s,0s; who is publishers, \
         subscribers, idle or all"
    )]
    Away(String),
    #[error("`{0}` is no flapping: expected EVERY, above 0, or EVERY,FOR, such as 10s or 10s,1s")]
    Flapping(String),
    #[error("`{0}` is not a scale: expected a number above 0 and up to 1000, such as 0.01 or 10")]
    Scale(String),
    #[error("`{0}`: the range ends before it begins")]
    Backwards(String),
    #[error(
        "`{0}` is not a burst: expected slow,fast,length,period, such as 10,500,1s,30s: 500 messages a second \
         for 1 second of every 30, and 10 a second in between; the period is the longest"
    )]
    Burst(String),
    #[error("`{0}` is not a step: expected +clients@time or -clients@time, such as +100@10s,-50@30s")]
    Step(String),
    #[error(
        "`{0}` is not a pause: expected messages,time, such as 100,50ms: 50 ms after every 100th message"
    )]
    Slow(String),
    #[error(transparent)]
    Unit(#[from] UnitError),
}

/// A number of things, at least `LEAST`, in the unsigned `T`: `7`, `200k`, `1.5M`. Every count of every command is
/// read by this.
///
/// # Errors
/// What is no count, or out of range.
pub fn count<T: TryFrom<u64>, const LEAST: u64>(text: &str) -> Result<T, ValueError> {
    let count = text.parse::<Count>()?.get();
    if count < LEAST {
        return Err(ValueError::TooFew(text.into(), LEAST));
    }
    T::try_from(count).map_err(|_| ValueError::TooMany(text.into(), u64::MAX >> (64 - 8 * size_of::<T>())))
}

/// Messages a second of one client; `None` is as fast as the broker acknowledges.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PerSecond(pub Option<Rate>);

impl FromStr for PerSecond {
    type Err = ValueError;

    /// A rate, or `max`, or 0 for the same.
    fn from_str(text: &str) -> Result<PerSecond, ValueError> {
        if text == "max" || text.parse::<f64>() == Ok(0.0) {
            return Ok(PerSecond(None));
        }
        text.parse().map(|rate| PerSecond(Some(rate))).map_err(|_| ValueError::PerSecond(text.into()))
    }
}

/// Messages a second of all clients together; `None` is as fast as the broker acknowledges.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Total(pub Option<Rate>);

impl FromStr for Total {
    type Err = ValueError;

    /// A rate, or `max`. Not 0: in all that would be nothing to some.
    fn from_str(text: &str) -> Result<Total, ValueError> {
        if text == "max" {
            return Ok(Total(None));
        }
        text.parse().map(|rate| Total(Some(rate))).map_err(|_| ValueError::Total(text.into()))
    }
}

/// A share between 0 and 1, in per cent (`0.5%`) or not (`0.005`).
pub fn share(text: &str) -> Result<f64, ValueError> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().ok().map(|number| number / whole);
    share.filter(|share| *share > 0.0 && *share < 1.0).ok_or_else(|| ValueError::Share(text.into()))
}

/// A part of a whole, 0 to 1. What is below 0 counts as 0, as it always has.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fraction(pub f64);

impl FromStr for Fraction {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Fraction, ValueError> {
        let value = text.parse::<f64>().ok().filter(|value| *value <= 1.0);
        value.map(|value| Fraction(value.max(0.0))).ok_or_else(|| ValueError::Fraction(text.into()))
    }
}

/// Clients that leave and come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Away(pub Absence);

impl FromStr for Away {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Away, ValueError> {
        let error = || ValueError::Away(text.into());
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let [who, at, length] = parts[..] else { return Err(error()) };
        let part = match who {
            "publishers" => Part::Publishers,
            "subscribers" => Part::Subscribers,
            "idle" => Part::Idle,
            "all" => Part::All,
            _ => return Err(error()),
        };
        let time = |text: &str| text.parse::<Span>().map(Span::nanos).map_err(|_| error());
        Ok(Away(Absence { part, at_ns: time(at)?, for_ns: time(length)? }))
    }
}

/// Subscriptions that come and go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flapping(pub Flap);

impl FromStr for Flapping {
    type Err = ValueError;

    /// `10s` or `10s,1s`.
    fn from_str(text: &str) -> Result<Flapping, ValueError> {
        let error = || ValueError::Flapping(text.into());
        let (every, length) = text.split_once(',').unwrap_or((text, "0"));
        let time = |text: &str| text.trim().parse::<Span>().map(Span::nanos).map_err(|_| error());
        let (every_ns, for_ns) = (time(every)?, time(length)?);
        if every_ns == 0 { Err(error()) } else { Ok(Flapping(Flap { every_ns, for_ns })) }
    }
}

/// How many times the clients and rates that are said there are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scale(f64);

impl Scale {
    /// So many clients; of some there is at least one.
    pub fn clients(self, clients: u32) -> u32 {
        ((f64::from(clients) * self.0).round() as u32).max(clients.min(1))
    }

    /// Of a rate of all clients together.
    pub fn rate(self, per_second: f64) -> f64 {
        per_second * self.0
    }

    /// Whether nothing changes.
    pub fn is_one(self) -> bool {
        self.0 == 1.0
    }
}

impl FromStr for Scale {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Scale, ValueError> {
        let scale = text.parse::<f64>().ok().filter(|scale| *scale > 0.0 && *scale <= 1000.0);
        scale.map(Scale).ok_or_else(|| ValueError::Scale(text.into()))
    }
}

/// A time within bounds, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Between {
    pub min: Nanos,
    pub max: Nanos,
}

impl FromStr for Between {
    type Err = ValueError;

    /// `0.5..1.5s`, `500ms..2s`, or one time for both bounds. A lower bound without a unit has that of the
    /// upper one.
    fn from_str(text: &str) -> Result<Between, ValueError> {
        let time = |text: &str| text.parse::<Span>().map(Span::nanos);
        let error = |_| ValueError::Between(text.into());
        let Some((min, max)) = text.split_once("..") else {
            let both = time(text).map_err(error)?;
            return Ok(Between { min: both, max: both });
        };
        let unit = max.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let min = match min.ends_with(char::is_alphabetic) {
            true => time(min),
            false => time(&format!("{min}{unit}")),
        };
        let (min, max) = (min.map_err(error)?, time(max).map_err(error)?);
        if min > max { Err(ValueError::Backwards(text.into())) } else { Ok(Between { min, max }) }
    }
}

/// Fast for `length` of every `period`, slow in between.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bursts {
    /// `None` is nothing.
    pub slow: Option<Rate>,
    pub fast: Rate,
    pub length: Nanos,
    pub period: Nanos,
}

impl FromStr for Bursts {
    type Err = ValueError;

    /// `slow,fast,length,period`; slow may be 0, nothing in between.
    fn from_str(text: &str) -> Result<Bursts, ValueError> {
        let error = || ValueError::Burst(text.into());
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let [slow, fast, length, period] = parts[..] else { return Err(error()) };
        let time = |text: &str| text.parse::<Span>().map(Span::nanos).map_err(|_| error());
        let (length, period) = (time(length)?, time(period)?);
        if length == 0 || length >= period {
            return Err(error());
        }
        let nothing = slow.parse::<f64>() == Ok(0.0);
        let slow = (!nothing).then(|| slow.parse().map_err(|_| error())).transpose()?;
        Ok(Bursts { slow, fast: fast.parse().map_err(|_| error())?, length, period })
    }
}

/// Clients that join or leave a run together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Below 0: they leave.
    pub clients: i64,
    /// Since the start of the run.
    pub at: Nanos,
}

impl FromStr for Step {
    type Err = ValueError;

    /// `+100@10s` or `-50@30s`.
    fn from_str(text: &str) -> Result<Step, ValueError> {
        let error = || ValueError::Step(text.into());
        let (clients, at) = text.trim().split_once('@').ok_or_else(error)?;
        let sign = match clients.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(error()),
        };
        let count = count::<u32, 1>(&clients[1..]).map_err(|_| error())?;
        let at = at.parse::<Span>().map_err(|_| error())?.nanos();
        Ok(Step { clients: sign * i64::from(count), at })
    }
}

/// A pause after every so many messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pauses {
    pub every: u64,
    pub pause: Nanos,
}

impl FromStr for Pauses {
    type Err = ValueError;

    /// `100,50ms`.
    fn from_str(text: &str) -> Result<Pauses, ValueError> {
        let error = || ValueError::Slow(text.into());
        let (every, pause) = text.split_once(',').ok_or_else(error)?;
        let every = count::<u64, 1>(every).map_err(|_| error())?;
        let pause = pause.parse::<Span>().map_err(|_| error())?.nanos();
        if pause == 0 { Err(error()) } else { Ok(Pauses { every, pause }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{MILLISECOND, SECOND};

    /// Issue section 1: a count is the same wherever it is typed.
    #[test]
    fn counts_have_a_least_and_a_most() {
        for (text, value) in [("1", 1), ("200k", 200_000), ("1.5M", 1_500_000), ("4294967295", u32::MAX)] {
            assert_eq!(count::<u32, 1>(text), Ok(value));
        }
        assert_eq!(count::<u16, 1>("65.535k"), Ok(65_535));
        assert_eq!(count::<u64, 0>("0"), Ok(0));
        assert_eq!(count::<u32, 1>("0").unwrap_err().to_string(), "`0` is too few: it must be at least 1");
        let error = count::<u16, 1>("70k").unwrap_err().to_string();
        assert_eq!(error, "`70k` is too large: it must be at most 65535");
        assert_eq!(count::<u32, 1>("5G"), Err(ValueError::TooMany("5G".into(), u32::MAX.into())));
        for text in ["-1", "", "few", "1.5", "+3"] {
            let error = count::<u64, 0>(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not a count")), "{error}");
        }
    }

    #[test]
    fn as_fast_as_possible_is_max_and_per_client_also_0() {
        let total = |text: &str| text.parse::<Total>().map(|total| total.0.map(Rate::per_second));
        assert_eq!((total("max"), total("20k")), (Ok(None), Ok(Some(20_000.0))));
        for text in ["0", "-1", "", "fast"] {
            assert_eq!(total(text), Err(ValueError::Total(text.into())));
        }
        assert_eq!("max".parse(), Ok(PerSecond(None)));
    }

    #[test]
    fn a_rate_of_0_is_no_limit() {
        let rate = |text: &str| text.parse::<PerSecond>().map(|rate| rate.0.map(Rate::per_second));
        assert_eq!(rate("0"), Ok(None));
        assert_eq!(rate("0.0"), Ok(None));
        assert_eq!(rate("0.066"), Ok(Some(0.066)));
        assert_eq!(rate("20k"), Ok(Some(20_000.0)));
        for text in ["-1", "", "fast", "NaN", "inf"] {
            assert_eq!(rate(text), Err(ValueError::PerSecond(text.into())));
        }
    }

    #[test]
    fn jitter_is_a_fraction_and_0_or_below_turns_it_off() {
        for (text, value) in [("0.1", 0.1), ("0", 0.0), ("-3", 0.0), ("1", 1.0)] {
            assert_eq!(text.parse(), Ok(Fraction(value)));
        }
        for text in ["1.5", "10%", "NaN", ""] {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
    }

    #[test]
    fn absences_have_a_part_a_time_and_a_length() {
        let away = |part, at_ns, for_ns| Ok(Away(Absence { part, at_ns, for_ns }));
        assert_eq!("subscribers,0,5s".parse(), away(Part::Subscribers, 0, 5 * SECOND));
        assert_eq!("all, 10s, 0".parse(), away(Part::All, 10 * SECOND, 0));
        for text in ["", "all", "all,1s", "me,1s,1s", "all,x,1s", "all,1s,-1", "all,1s,1s,1s"] {
            assert_eq!(text.parse::<Away>(), Err(ValueError::Away(text.into())));
        }
    }

    #[test]
    fn flapping_has_a_period_and_perhaps_a_pause() {
        let flap = |every_ns, for_ns| Ok(Flapping(Flap { every_ns, for_ns }));
        assert_eq!("10s,500ms".parse(), flap(10 * SECOND, SECOND / 2));
        assert_eq!("250ms".parse(), flap(SECOND / 4, 0));
        for text in ["", "0", "0,1s", "1s,", "x", "1s,1s,1s"] {
            assert_eq!(text.parse::<Flapping>(), Err(ValueError::Flapping(text.into())));
        }
    }

    #[test]
    fn a_scale_leaves_somebody_of_whom_there_were_some() {
        let clients = |scale: &str, clients| scale.parse::<Scale>().unwrap().clients(clients);
        assert_eq!(["0.01", "1", "10"].map(|scale| clients(scale, 1000)), [10, 1000, 10_000]);
        assert_eq!([clients("0.01", 5), clients("0.01", 0), clients("0.5", 3)], [1, 0, 2]);
        for text in ["0", "-1", "1001", "x", "", "NaN", "inf"] {
            assert_eq!(text.parse::<Scale>(), Err(ValueError::Scale(text.into())));
        }
    }

    #[test]
    fn a_range_of_time_shares_its_unit() {
        for (text, min, max) in [
            ("0.5..1.5s", SECOND / 2, 3 * SECOND / 2),
            ("1..10s", SECOND, 10 * SECOND),
            ("1..10", SECOND, 10 * SECOND),
            ("500..1500ms", SECOND / 2, 3 * SECOND / 2),
            ("500ms..2s", SECOND / 2, 2 * SECOND),
            ("0", 0, 0),
            ("2s", 2 * SECOND, 2 * SECOND),
        ] {
            assert_eq!(text.parse(), Ok(Between { min, max }), "{text}");
        }
        for text in ["", "..", "1..", "..2", "-1..2s", "a..b", "5..1s"] {
            let error = text.parse::<Between>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn bursts_are_shorter_than_their_period() {
        let bursts: Bursts = "0, 500, 250ms, 30".parse().unwrap();
        assert_eq!(bursts.slow, None);
        assert_eq!(bursts.fast.per_second(), 500.0);
        assert_eq!((bursts.length, bursts.period), (250 * MILLISECOND, 30 * SECOND));
        for text in
            ["", "1,2,3", "1,2,3s,3s", "1,0,1s,3s", "1,2,0,3s", "1,2,1s,3s,4s", "x,2,1s,3s", "max,2,1s,3s"]
        {
            assert_eq!(text.parse::<Bursts>(), Err(ValueError::Burst(text.into())));
        }
    }

    #[test]
    fn steps_add_and_remove_clients() {
        assert_eq!("+100@10s".parse(), Ok(Step { clients: 100, at: 10 * SECOND }));
        assert_eq!("-50@0.5".parse(), Ok(Step { clients: -50, at: SECOND / 2 }));
        assert_eq!("+1.5k@1m".parse(), Ok(Step { clients: 1500, at: 60 * SECOND }));
        for text in ["", "100@10s", "+@1s", "+1", "+0@1s", "--1@2s", "+1@x"] {
            assert_eq!(text.parse::<Step>(), Err(ValueError::Step(text.into())));
        }
    }

    #[test]
    fn a_slow_consumer_pauses_after_every_so_many() {
        assert_eq!("100,50ms".parse(), Ok(Pauses { every: 100, pause: 50 * MILLISECOND }));
        assert_eq!("2k,1s".parse(), Ok(Pauses { every: 2000, pause: SECOND }));
        for text in ["", "100", "0,50ms", "100,0", "-1,1s", "1,x"] {
            assert_eq!(text.parse::<Pauses>(), Err(ValueError::Slow(text.into())));
        }
    }
}
