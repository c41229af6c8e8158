//! Messages that leave together.

use crate::clock::Nanos;

/// When messages leave: what comes due within the tolerance after others left leaves with the next burst, so
/// that a worker wakes up once for all of it.
pub struct Bursts {
    /// Nanoseconds.
    tolerance: Nanos,
    /// When the last burst was to leave.
    last: Option<Nanos>,
}

impl Bursts {
    pub fn new(tolerance: Nanos) -> Bursts {
        Bursts { tolerance, last: None }
    }

    /// When messages leave of which the first is due at `due`.
    pub fn time(&self, due: Nanos) -> Nanos {
        due.max(self.last.map_or(0, |last| last.saturating_add(self.tolerance)))
    }

    /// When the burst after one at `time` leaves, if its first message is due at `due`.
    pub fn following(&self, time: Nanos, due: Nanos) -> Nanos {
        due.max(time.saturating_add(self.tolerance))
    }

    /// A burst of which the first message was due at `due` leaves, at `now`. The next one is counted from when
    /// it was to leave: otherwise each delay would put off all that follow.
    pub fn leave(&mut self, due: Nanos, now: Nanos) {
        let time = self.time(due);
        self.last = Some(if now < time.saturating_add(self.tolerance) { time } else { now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_due_within_the_tolerance_waits_for_the_next_burst() {
        let mut bursts = Bursts::new(100);
        assert_eq!((bursts.time(7), bursts.following(7, 30), bursts.following(7, 300)), (7, 107, 300));
        bursts.leave(7, 9);
        assert_eq!((bursts.time(8), bursts.time(107), bursts.time(250)), (107, 107, 250));
        bursts.leave(8, 107);
        assert_eq!(bursts.time(108), 207);
    }

    #[test]
    fn small_delays_do_not_add_up_and_large_ones_do_not_crowd() {
        let mut bursts = Bursts::new(100);
        for burst in 0..1000 {
            assert_eq!(bursts.time(burst * 100), burst * 100);
            bursts.leave(burst * 100, burst * 100 + 99);
        }
        bursts.leave(100_000, 100_500);
        assert_eq!(bursts.time(100_100), 100_600);
    }

    #[test]
    fn without_tolerance_everything_leaves_when_it_is_due() {
        let mut bursts = Bursts::new(0);
        for (due, now) in [(5, 5), (6, 9), (7, 9)] {
            assert_eq!(bursts.time(due).max(now), now);
            bursts.leave(due, now);
        }
        assert_eq!(bursts.time(8), 9);
    }
}
