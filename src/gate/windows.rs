//! Windows of so many whole seconds, each of which has to keep a bound.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::figure::{Statistic, Timing};
use super::{Bound, Claim};
use crate::clock::{Nanos, SECOND};
use crate::record::{Phase, Window};
use crate::stage::Progress;
use crate::stats::{Histogram, Latencies};

/// How long a window may be: one keeps a histogram for each of its seconds.
pub const LENGTHS: RangeInclusive<Nanos> = SECOND..=300 * SECOND;

/// Whether there are windows of it: of what is timed and counted message by message.
pub fn has(claim: &Claim) -> bool {
    match claim {
        Claim::Latency { of, .. } => timed(*of, &Latencies::default()).is_some(),
        Claim::Rate { .. } => true,
        _ => false,
    }
}

/// What was timed of messages.
pub fn timed(of: Timing, latencies: &Latencies) -> Option<&Histogram> {
    Some(match of {
        Timing::AckResponse => &latencies.ack_response,
        Timing::AckService => &latencies.ack_service,
        Timing::FlightResponse => &latencies.flight_response,
        Timing::FlightService => &latencies.flight_service,
        Timing::Lateness => &latencies.lateness,
        Timing::WakeLag => &latencies.wake_lag,
        Timing::HearingLag => &latencies.hearing_lag,
        Timing::RoundTrip
        | Timing::TcpConnect
        | Timing::Handshake
        | Timing::HandshakeResumed
        | Timing::Connack
        | Timing::Suback
        | Timing::Unsuback
        | Timing::Disconnect => return None,
    })
}

/// A figure of what was timed; `None` where the samples are too few, or clipped.
pub fn figure(histogram: &Histogram, at: Statistic) -> Option<Nanos> {
    let whole = Some(histogram).filter(|histogram| !histogram.is_empty())?;
    match at {
        Statistic::Min => Some(whole.min()),
        Statistic::Max => Some(whole.max()),
        Statistic::Mean => (whole.overflow() == 0).then(|| whole.mean().round() as Nanos),
        Statistic::Percentile(millionths) => whole.supported_quantile(f64::from(millionths) / 1e6),
    }
}

/// Measures the windows of latencies that bounds ask for, second by second.
#[derive(Debug)]
pub struct Windows(Vec<Rolling>);

#[derive(Debug)]
struct Rolling {
    of: Timing,
    at: Statistic,
    length: usize,
    /// The last whole seconds, as many as are in a window at most.
    seconds: VecDeque<Histogram>,
    /// What came before the first.
    before: Histogram,
    found: Window,
}

impl Windows {
    /// Those of `bounds`.
    pub fn new(bounds: &[Bound]) -> Windows {
        let rolling = |bound: &Bound| match (&bound.claim, bound.over) {
            (Claim::Latency { of, at, .. }, Some(over)) => Some(Rolling::new(*of, *at, over.nanos())),
            _ => None,
        };
        Windows(bounds.iter().filter_map(rolling).collect())
    }

    /// A second of the run is over.
    pub fn second(&mut self, progress: &Progress) {
        let is_whole = progress.phase == Some(Phase::Measure) && !progress.part;
        for rolling in &mut self.0 {
            let timed = timed(rolling.of, &progress.measured).expect("it was read so");
            rolling.second(timed, is_whole);
        }
    }

    /// What they were like, in a run that is over.
    pub fn finish(self) -> Vec<Window> {
        self.0.into_iter().map(Rolling::finish).collect()
    }
}

impl Rolling {
    fn new(of: Timing, at: Statistic, over_ns: Nanos) -> Rolling {
        let found = Window {
            latency: of.name().to_owned(),
            figure: at.to_string(),
            over_ns,
            windows: 0,
            unknown: 0,
            lowest_ns: None,
            highest_ns: None,
        };
        let length = (over_ns / SECOND) as usize;
        Rolling { of, at, length, seconds: VecDeque::new(), before: Histogram::default(), found }
    }

    fn second(&mut self, timed: &Histogram, is_whole: bool) {
        if is_whole {
            // Only now is it known that nothing more comes to the last one.
            self.close();
            if self.seconds.len() == self.length {
                self.seconds.pop_front();
            }
            let mut second = std::mem::take(&mut self.before);
            second.merge(timed);
            return self.seconds.push_back(second);
        }
        self.seconds.back_mut().unwrap_or(&mut self.before).merge(timed);
    }

    /// The window that ends with the last whole second.
    fn close(&mut self) {
        if self.seconds.len() < self.length {
            return;
        }
        let mut all = Histogram::default();
        self.seconds.iter().for_each(|second| all.merge(second));
        self.found.windows += 1;
        match figure(&all, self.at) {
            None => self.found.unknown += 1,
            Some(ns) => {
                self.found.lowest_ns = Some(self.found.lowest_ns.map_or(ns, |lowest| lowest.min(ns)));
                self.found.highest_ns = self.found.highest_ns.max(Some(ns));
            }
        }
    }

    fn finish(mut self) -> Window {
        self.close();
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MILLISECOND;

    fn second(phase: Phase, part: bool, ms: &[(Nanos, u64)]) -> Progress {
        let mut progress = Progress { phase: Some(phase), part, ..Progress::default() };
        let timed = &mut progress.measured.ack_response;
        ms.iter().for_each(|(ms, times)| timed.record_n(ms * MILLISECOND, *times));
        progress
    }

    fn windows(bound: &str, seconds: &[Progress]) -> Window {
        let mut windows = Windows::new(&[bound.parse().expect("a bound")]);
        seconds.iter().for_each(|second| windows.second(second));
        windows.finish().remove(0)
    }

    fn is(found: Option<Nanos>, ms: Nanos) -> bool {
        found.is_some_and(|ns| ns.abs_diff(ms * MILLISECOND) <= ms * MILLISECOND / 500)
    }

    /// Each window is of merged histograms; what lies at the ends belongs to the nearest one.
    #[test]
    fn every_window_counts_and_nothing_is_left_out() {
        use Phase::{Drain, Measure, WarmUp};
        let whole = |ms| second(Measure, false, &[(ms, 1000)]);
        let quiet = || [second(WarmUp, false, &[]), whole(1), whole(2), whole(3), whole(2)];
        let found = windows("ack p50 < 5ms over 2s", &quiet());
        assert_eq!((found.windows, found.unknown), (3, 0));
        assert!(is(found.lowest_ns, 1) && is(found.highest_ns, 2), "{found:?}");
        assert_eq!(
            (found.latency.as_str(), found.figure.as_str(), found.over_ns),
            ("ack", "p50", 2 * SECOND)
        );
        // A stall of one second shows in the window, though not in the whole.
        let mut stalled = quiet().to_vec();
        stalled[2] = second(Measure, false, &[(2, 960), (500, 40)]);
        assert!(is(windows("ack p99 < 5ms over 1s", &stalled).highest_ns, 500));
        assert!(is(windows("ack p99 < 5ms over 2s", &stalled).highest_ns, 500), "20 of 2,000");
        assert!(is(windows("ack p90 < 5ms over 2s", &stalled).highest_ns, 3));
        let ends = [
            second(Measure, true, &[(70, 5)]),
            second(Measure, true, &[(80, 5)]),
            second(Drain, false, &[(90, 5)]),
        ];
        let [first, last, drained] = ends;
        let mut run = vec![first];
        run.extend(quiet().into_iter().skip(1));
        assert!(is(windows("ack max < 5ms over 1s", &run).highest_ns, 70));
        run.push(last);
        assert!(is(windows("ack max < 5ms over 1s", &run).highest_ns, 80));
        run.push(drained);
        let found = windows("ack max < 5ms over 1s", &run);
        assert!(is(found.highest_ns, 90) && found.windows == 4, "{found:?}");
    }

    #[test]
    fn a_window_of_too_few_samples_is_unknown() {
        let few = [second(Phase::Measure, false, &[(1, 599)]), second(Phase::Measure, false, &[(1, 600)])];
        let found = windows("ack p99 < 5ms over 1s", &few);
        assert_eq!((found.windows, found.unknown), (2, 1));
        let found = windows("ack p99 < 5ms over 3s", &few);
        assert_eq!((found.windows, found.lowest_ns, found.highest_ns), (0, None, None));
    }
}
