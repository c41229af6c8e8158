//! Conditions that end a run early.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use super::figure::Count;
use super::{Amount, Bound, BoundError, Claim, measured, windows};
use crate::clock::{Nanos, SECOND};
use crate::record::{BoundResult, BoundState, Phase};
use crate::stage::Progress;
use crate::stats::{Counters, Histogram};

/// What ends a run when it comes true: `flight p99 > 1s over 10s`. It is written as a bound is, on a latency, a rate, a
/// count or a part that is known while a run goes on.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition(Bound);

/// Counts that are settled when everybody has gone.
const SETTLED: [&str; 6] = ["lost", "undelivered-at-end", "unconfirmed", "unacked-at-end", "late", "dropped"];

impl FromStr for Condition {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Condition, BoundError> {
        let bound: Bound = text.parse()?;
        let live = |of: &Count| !SETTLED.contains(&of.name());
        let known = match &bound.claim {
            Claim::Latency { of, .. } => windows::timed(*of, &Default::default()).is_some(),
            Claim::Count { of, .. } | Claim::Part { of, .. } => live(of),
            Claim::Rate { .. } => true,
            Claim::Share { .. }
            | Claim::Cost { .. }
            | Claim::Own { .. }
            | Claim::Series { .. }
            | Claim::SeriesRate { .. }
            | Claim::Verdict { .. } => false,
        };
        if known { Ok(Condition(bound)) } else { Err(BoundError::Later(text.trim().to_owned())) }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Condition {
    /// Whether it is on a response time, which only a schedule gives.
    pub fn needs_a_schedule(&self) -> bool {
        self.0.needs_a_schedule()
    }
}

/// Looks at conditions once a second of the measure phase.
#[derive(Debug)]
pub struct Watch {
    watched: Vec<Watched>,
    /// Whole seconds of the measure phase in which nothing is judged yet.
    patience: u64,
}

#[derive(Debug)]
struct Watched {
    bound: Bound,
    /// The whole seconds that count: all of them, or the last of a window.
    seconds: VecDeque<(Histogram, u64)>,
    /// How many are one window.
    length: usize,
}

impl Watch {
    /// Of `conditions`, once so much of the measure phase is over.
    pub fn new(conditions: &[Condition], after: Nanos) -> Watch {
        let watched = |Condition(bound): &Condition| Watched::new(bound);
        Watch { watched: conditions.iter().map(watched).collect(), patience: after.div_ceil(SECOND) }
    }

    /// A second of the run is over: why the run is to end, if it is.
    pub fn second(&mut self, progress: &Progress) -> Option<String> {
        if progress.phase != Some(Phase::Measure) || progress.part {
            return None;
        }
        let patient = self.patience > 0;
        self.patience = self.patience.saturating_sub(1);
        let mut reasons = Vec::new();
        for watched in &mut self.watched {
            watched.add(progress);
            let found = watched.find(&progress.total).filter(|_| !patient);
            let limit = watched.bound.limit();
            if let Some(found) = found.filter(|found| watched.bound.keeps(*found, limit)) {
                let bound = watched.bound.to_string();
                let result =
                    BoundResult { bound, result: BoundState::Held, found: Some(found), limit, reason: None };
                reasons.push(format!("{} ({})", result.bound, result.found_in_words()));
            }
        }
        let at = progress.elapsed / SECOND;
        (!reasons.is_empty()).then(|| format!("--abort-on {}, at {at} s", reasons.join(", ")))
    }
}

/// How bounds stand while a run goes on.
#[derive(Debug)]
pub struct Ticker {
    watched: Vec<Watched>,
}

impl Ticker {
    /// Of these bounds.
    pub fn new(bounds: &[Bound]) -> Ticker {
        Ticker { watched: bounds.iter().map(Watched::new).collect() }
    }

    /// A second of the run is over.
    pub fn second(&mut self, progress: &Progress) {
        if progress.phase == Some(Phase::Measure) && !progress.part {
            self.watched.iter_mut().for_each(|watched| watched.add(progress));
        }
    }

    /// Each bound, with what there is of it in words and whether that keeps it: of a window the last, of everything else all
    /// so far. `None` where that is known at the end only, or not yet.
    pub fn stand(&self, progress: &Progress) -> Vec<(String, Option<(String, bool)>)> {
        let stand = |watched: &Watched| {
            let (bound, limit) = (watched.bound.to_string(), watched.bound.limit());
            let found = watched.find(&progress.total).map(|found| {
                let keeps = watched.bound.keeps(found, limit);
                let result = BoundState::Held;
                let told =
                    BoundResult { bound: bound.clone(), result, found: Some(found), limit, reason: None };
                (told.found_in_words(), keeps)
            });
            (bound, found)
        };
        self.watched.iter().map(stand).collect()
    }
}

impl Watched {
    fn new(bound: &Bound) -> Watched {
        let length = bound.over.map_or(1, |over| (over.nanos() / SECOND) as usize);
        Watched { bound: bound.clone(), seconds: VecDeque::new(), length }
    }

    fn add(&mut self, progress: &Progress) {
        let second = match &self.bound.claim {
            Claim::Latency { of, .. } => match windows::timed(*of, &progress.measured) {
                Some(timed) => (timed.clone(), 0),
                None => return,
            },
            Claim::Rate { of, .. } => (Histogram::default(), (of.0.of)(&progress.second.counters)),
            _ => return,
        };
        match self.seconds.back_mut() {
            // Without a window one entry has everything, and the second half of it how long that was.
            Some(all) if self.bound.over.is_none() => {
                all.0.merge(&second.0);
                all.1 += second.1;
                self.length += 1;
            }
            _ => self.seconds.push_back(second),
        }
        if self.seconds.len() > self.length {
            self.seconds.pop_front();
        }
    }

    /// What there is to compare; `None` where that says nothing yet.
    fn find(&self, total: &Counters) -> Option<Amount> {
        let is_full = self.bound.over.is_none() || self.seconds.len() == self.length;
        match &self.bound.claim {
            Claim::Latency { at, .. } if is_full => {
                let mut all = Histogram::default();
                self.seconds.iter().for_each(|(timed, _)| all.merge(timed));
                windows::figure(&all, *at).map(Amount::Ns)
            }
            Claim::Rate { .. } if is_full && !self.seconds.is_empty() => {
                let count: u64 = self.seconds.iter().map(|(_, count)| count).sum();
                Some(Amount::PerS(count as f64 / self.length as f64))
            }
            Claim::Count { of, .. } => Some(of.0.unit.amount((of.0.of)(total))),
            Claim::Part { of, .. } => {
                let whole = (of.0.whole?)(total);
                measured::percent((of.0.of)(total), whole).ok().map(Amount::Percent)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MILLISECOND;

    fn condition(text: &str) -> Condition {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// One second in which `acked` answers took so long each.
    fn second(at: u64, acked: u64, ms: u64) -> Progress {
        let mut progress =
            Progress { phase: Some(Phase::Measure), elapsed: at * SECOND, ..Progress::default() };
        progress.second.counters.acked = acked;
        progress.measured.ack_response.record_n(ms * MILLISECOND, acked);
        progress.total = Counters { acked: at * acked, due: at * acked + at, ..Counters::default() };
        (progress.total.ack_timeouts, progress.total.sent) = (at, at * acked);
        progress
    }

    /// When a condition ends a run of these seconds, and why.
    fn ended(text: &str, after: Nanos, seconds: &[Progress]) -> Option<(usize, String)> {
        let mut watch = Watch::new(&[condition(text)], after);
        seconds.iter().enumerate().find_map(|(at, second)| Some((at + 1, watch.second(second)?)))
    }

    #[test]
    fn a_run_ends_in_the_second_in_which_a_condition_comes_true() {
        let run: Vec<Progress> = (1..=10).map(|at| second(at, 1000, if at < 5 { 1 } else { 100 })).collect();
        let when = |text: &str| ended(text, 0, &run).map(|(at, _)| at);
        assert_eq!(when("ack p99 > 50ms over 1s"), Some(5));
        assert_eq!(when("ack p50 > 50ms over 3s"), Some(6), "two of three seconds");
        assert_eq!(when("ack p50 > 50ms"), Some(9), "5 of 9 seconds, of everything so far");
        assert_eq!(when("ack max > 50ms over 5m"), None, "there is no such window yet");
        assert_eq!(when("acked < 900/s over 2s"), None);
        assert_eq!(when("acked <= 1k/s over 2s"), Some(2));
        assert_eq!(when("acked <= 1k/s"), Some(1));
        assert_eq!(when("ack-timeouts >= 7"), Some(7));
        assert_eq!(when("acked < 99.95%"), Some(1));
        let reason = ended("ack p99 > 50ms over 1s", 0, &run).expect("it is").1;
        assert_eq!(reason, "--abort-on ack p99 > 50ms over 1s (100 ms), at 5 s");
        assert_eq!(ended("ack p99 > 50ms over 1s", 7 * SECOND, &run).map(|(at, _)| at), Some(8), "patience");
    }

    #[test]
    fn bounds_tick_by_what_there_is_so_far() {
        let bounds = [
            "ack p99 < 50ms",
            "acked >= 900/s over 2s",
            "ack-timeouts < 2",
            "verdict == clean",
            "connack p99 < 1s",
        ];
        let bounds =
            bounds.map(|text| text.parse::<Bound>().unwrap_or_else(|error| panic!("{text}: {error}")));
        let mut ticker = Ticker::new(&bounds);
        let mut stand = |progress: &Progress| {
            ticker.second(progress);
            ticker.stand(progress).into_iter().map(|(_, found)| found).collect::<Vec<_>>()
        };
        let is = |text: &str, keeps| Some((text.to_owned(), keeps));
        let before = Progress { phase: Some(Phase::WarmUp), ..Progress::default() };
        assert_eq!(stand(&before), [None, None, is("0", true), None, None], "nothing is measured");
        assert_eq!(stand(&second(1, 1000, 1)), [is("1.00 ms", true), None, is("1", true), None, None]);
        let second = stand(&second(2, 1000, 100));
        assert_eq!(second, [is("100 ms", false), is("1000.00/s", true), is("2", false), None, None]);
    }

    #[test]
    fn what_is_not_measured_ends_nothing() {
        let mut run: Vec<Progress> = (1..=3).map(|at| second(at, 599, 100)).collect();
        assert_eq!(ended("ack p99 > 1ms over 1s", 0, &run), None, "too few samples");
        run.iter_mut().for_each(|second| second.part = true);
        assert_eq!(ended("acked > 1/s", 0, &run), None, "no whole second");
        let drain = Progress { phase: Some(Phase::Drain), ..second(1, 1000, 100) };
        assert_eq!(ended("ack p50 > 1ms over 1s", 0, &[drain]), None, "it is over");
    }

    #[test]
    fn what_is_known_at_the_end_only_ends_nothing_before() {
        for text in
            ["lost > 0", "undelivered-at-end > 1%", "verdict == clean", "cpu > 90%", "connack p99 > 1s"]
        {
            let error = text.parse::<Condition>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{text}` is known at the end only")), "{error}");
        }
        assert!("ack p99 > 5".parse::<Condition>().is_err(), "units, as in bounds");
        assert_eq!(condition("flight p99 > 1s over 10s").to_string(), "flight p99 > 1s over 10s");
    }
}
