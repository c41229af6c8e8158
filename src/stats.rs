//! What is measured: latency histograms, counters, and intervals that carry both and merge; and what may be said of
//! several runs ([`inference`]).
//!
//! A worker records into an [`Interval`] of its own, without locks; intervals are merged off the workers.
//! Percentiles come from merged histograms only, never from averages of averages.

use crate::clock::Nanos;

mod counters;
mod histogram;
pub mod inference;
pub mod interval_log;
mod levels;
mod moments;
mod reasons;
mod strain;
mod tally;

pub use counters::Counters;
pub use histogram::{HIGHEST, Histogram, HistogramError, samples_for, supported};
pub use levels::{Gauges, Levels};
pub use moments::Moments;
pub use reasons::Reasons;
pub use strain::Strain;
pub use tally::{Tally, Times};

/// Defines [`Latencies`], so that a new histogram joins `merge`, `clear` and `iter` by being declared.
macro_rules! latencies {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// One histogram for each kind of time measured. Empty ones own no memory.
        #[derive(Clone, PartialEq, Debug, Default)]
        pub struct Latencies {
            $($(#[doc = $doc])* pub $name: Histogram,)*
        }

        impl Latencies {
            /// What each measures, in the order of declaration.
            pub const HELP: &'static [&'static str] = &[$(concat!($($doc),*).trim_ascii()),*];

            /// Adds everything `other` has counted.
            pub fn merge(&mut self, other: &Latencies) {
                $(self.$name.merge(&other.$name);)*
            }

            /// Forgets all counts and keeps the memory.
            pub fn clear(&mut self) {
                $(self.$name.clear();)*
            }

            /// Every histogram by its name, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
                [$((stringify!($name), &self.$name)),*].into_iter()
            }
        }
    };
}

latencies! {
    /// From the start of connecting to the established TCP connection.
    tcp_connect,
    /// From there to the end of what carries the connection agreed on anew (TLS, WebSocket), without waiting for this
    /// side to have time for it,
    handshake,
    /// or on what an earlier connection had left.
    handshake_resumed,
    /// From the hand-over of CONNECT to its CONNACK.
    connack,
    /// From the hand-over of SUBSCRIBE to its SUBACK.
    suback,
    /// From the hand-over of UNSUBSCRIBE to its UNSUBACK.
    unsuback,
    /// From the hand-over of DISCONNECT to the end of the connection by the broker [MQTT-3.14.4-3].
    disconnect,
    /// Response time of acknowledgements: from the intended send time to PUBACK (QoS 1) or PUBCOMP (QoS 2).
    ack_response,
    /// Service time of acknowledgements: from the hand-over to the kernel to PUBACK or PUBCOMP.
    ack_service,
    /// Response time of delivery: from the intended send time to the arrival at a subscriber.
    flight_response,
    /// Service time of delivery: from the hand-over to the kernel to the arrival at a subscriber.
    flight_service,
    /// Round trip of a request: from just before it was sent to the arrival of its answer.
    round_trip,
    /// Hand-over to the kernel minus intended send time, waiting for a blocked connection included.
    lateness,
    /// How late a worker noticed that a message was due: the generator's own fault.
    wake_lag,
    /// From the arrival of bytes, by the kernel's clock, until a worker looked at them: the generator's own, too.
    hearing_lag,
}

/// Everything measured between two moments.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Interval {
    /// Its start, in nanoseconds.
    pub start: Nanos,
    /// Its end, in nanoseconds.
    pub end: Nanos,
    /// What happened in it.
    pub counters: Counters,
    /// What was timed in it.
    pub histograms: Latencies,
}

impl Interval {
    /// An interval that has measured nothing yet.
    pub fn starting(start: Nanos) -> Interval {
        Interval { start, end: start, ..Interval::default() }
    }

    /// Adds what `other` has measured (another worker's, or a later interval) and spans both. An interval
    /// that spans no time and counted nothing, such as the default, takes over `other`'s times.
    pub fn merge(&mut self, other: &Interval) {
        if *self == Interval::default() {
            (self.start, self.end) = (other.start, other.end);
        }
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.counters.merge(&other.counters);
        self.histograms.merge(&other.histograms);
    }

    /// Forgets what was measured, keeps the histograms' memory, and starts anew at `start`.
    pub fn restart(&mut self, start: Nanos) {
        (self.start, self.end) = (start, start);
        self.counters = Counters::default();
        self.histograms.clear();
    }

    /// Length in nanoseconds.
    pub fn span(&self) -> Nanos {
        self.end.saturating_sub(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(start: Nanos, end: Nanos, sent: u64, latency: Nanos) -> Interval {
        let mut interval = Interval::starting(start);
        interval.end = end;
        interval.counters.sent = sent;
        interval.histograms.ack_response.record(latency);
        interval
    }

    #[test]
    fn merged_intervals_span_both_and_hold_the_sum() {
        let mut merged = Interval::default();
        merged.merge(&interval(200, 300, 5, 1_000));
        assert_eq!((merged.start, merged.end), (200, 300), "an empty interval has no start to keep");
        merged.merge(&interval(100, 250, 7, 2_000));
        assert_eq!((merged.start, merged.end, merged.span()), (100, 300, 200));
        assert_eq!(merged.counters.sent, 12);
        assert_eq!(merged.histograms.ack_response.count(), 2);
        assert!(merged.histograms.flight_response.is_empty());
    }

    #[test]
    fn every_histogram_is_merged_and_cleared() {
        let mut one = Latencies::default();
        for (at, histogram) in [
            &mut one.tcp_connect,
            &mut one.handshake,
            &mut one.handshake_resumed,
            &mut one.connack,
            &mut one.suback,
            &mut one.unsuback,
            &mut one.disconnect,
            &mut one.ack_response,
            &mut one.ack_service,
            &mut one.flight_response,
            &mut one.flight_service,
            &mut one.round_trip,
            &mut one.lateness,
            &mut one.wake_lag,
            &mut one.hearing_lag,
        ]
        .into_iter()
        .enumerate()
        {
            histogram.record(at as Nanos + 1);
        }
        let mut two = one.clone();
        two.merge(&one);
        let counts: Vec<_> = two.iter().map(|(_, h)| (h.count(), h.max())).collect();
        assert_eq!(counts, (1..=15).map(|max| (2, max)).collect::<Vec<_>>());
        assert_eq!(two.iter().next().map(|(name, _)| name), Some("tcp_connect"));
        two.clear();
        assert!(two.iter().all(|(_, h)| h.is_empty()));
    }

    #[test]
    fn a_restarted_interval_equals_a_new_one() {
        let mut used = interval(100, 200, 3, 4_000);
        used.restart(200);
        assert_eq!(used, Interval::starting(200));
    }
}
