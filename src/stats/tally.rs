//! What one worker measured in one second of a run.

use super::{Histogram, Interval, Latencies, Strain};
use crate::clock::Nanos;

/// Kinds of trouble told apart.
const TROUBLES: usize = 8;

/// What a worker measured in one second of the run, and what went wrong in it.
#[derive(Default)]
pub struct Tally {
    /// Which second, from 0,
    pub second: u64,
    /// and whether more of it is to come.
    pub part: bool,
    /// Messages whose intended time lies in the measure window, and everything that is not a message
    /// (connections, bytes, pings) at any time.
    pub measured: Interval,
    /// Messages outside of the measure window.
    pub unmeasured: Interval,
    /// Clients connected at its end.
    pub connected: u64,
    /// How the worker fared.
    pub strain: Strain,
    /// What went wrong, in words, with how often.
    pub troubles: Vec<(String, u64)>,
}

impl Tally {
    /// Forgets everything, keeps the memory, and begins `second` at `now`.
    pub fn restart(&mut self, second: u64, now: Nanos) {
        self.second = second;
        self.part = false;
        self.measured.restart(now);
        self.unmeasured.restart(now);
        self.connected = 0;
        self.strain = Strain::default();
        self.troubles.clear();
    }

    /// Counts one more case of `trouble`. At most eight kinds are told apart.
    pub fn trouble(&mut self, trouble: String) {
        let known = self.troubles.iter().position(|(known, _)| *known == trouble);
        match known {
            Some(at) => self.troubles[at].1 += 1,
            None if self.troubles.len() < TROUBLES => self.troubles.push((trouble, 1)),
            None => self.troubles[TROUBLES - 1].1 += 1,
        }
    }
}

/// Distinct values of one kind that wait.
const ROOM: usize = 256;

/// Values of one kind, in the order they came.
struct Batch(Vec<Entry>);

#[derive(Clone, Copy)]
struct Entry {
    value: Nanos,
    times: u64,
    measured: bool,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch(Vec::with_capacity(ROOM))
    }
}

impl Batch {
    /// Answers whether it is full.
    #[inline]
    #[must_use]
    fn add(&mut self, value: Nanos, times: u64, measured: bool) -> bool {
        match self.0.last_mut() {
            Some(last) if last.value == value && last.measured == measured => last.times += times,
            _ => self.0.push(Entry { value, times, measured }),
        }
        self.0.len() == ROOM
    }

    fn settle(&mut self, tally: &mut Tally, which: fn(&mut Latencies) -> &mut Histogram) {
        for Entry { value, times, measured } in self.0.drain(..) {
            let interval = if measured { &mut tally.measured } else { &mut tally.unmeasured };
            which(&mut interval.histograms).record_n(value, times);
        }
    }
}

/// Defines [`Times`]: each kind by the name that its histogram has in [`Latencies`].
macro_rules! times {
    ($($name:ident),*) => {
        /// Times that are not in a tally yet.
        ///
        /// A histogram is 270 kB. To record one value now and one in a millisecond is to wait for memory each
        /// time; many at once wait once, together. And messages that leave in one pass, or whose acknowledgements
        /// arrive in one batch, have their times in common: equal values in a row are recorded as one.
        #[derive(Default)]
        pub struct Times {
            $($name: Batch,)*
        }

        impl Times {
            $(
                /// The same `value` of so many messages; `measured`: their intended time lies in the measure
                /// phase.
                #[inline]
                pub fn $name(&mut self, value: Nanos, messages: u64, measured: bool, tally: &mut Tally) {
                    if self.$name.add(value, messages, measured) {
                        self.$name.settle(tally, |all| &mut all.$name);
                    }
                }
            )*

            /// Puts everything into `tally`.
            pub fn settle(&mut self, tally: &mut Tally) {
                $(self.$name.settle(tally, |all| &mut all.$name);)*
            }
        }
    };
}

times!(ack_response, ack_service, flight_response, flight_service, lateness, wake_lag, hearing_lag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_gets_each_value_once_however_many_wait() {
        let (mut times, mut tally) = (Times::default(), Tally::default());
        let mut expected = [Histogram::default(), Histogram::default()];
        for n in 0..10 * ROOM as Nanos {
            let (value, measured) = (n / 3, n % 7 < 4);
            times.lateness(value, n % 3 + 1, measured, &mut tally);
            expected[usize::from(measured)].record_n(value, n % 3 + 1);
        }
        assert!(tally.measured.histograms.lateness.count() > 0, "a full batch is recorded");
        times.wake_lag(5, 1, true, &mut tally);
        times.settle(&mut tally);
        times.settle(&mut tally);
        assert_eq!(tally.unmeasured.histograms.lateness, expected[0]);
        assert_eq!(tally.measured.histograms.lateness, expected[1]);
        assert_eq!(tally.measured.histograms.wake_lag.count(), 1);
    }
}
