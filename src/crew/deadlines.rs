//! Deadlines. Each kind has a constant delay, so its queue is first in, first out: no heap, no wheel.

use super::Place;
use crate::clock::{MILLISECOND, Nanos};
use std::collections::VecDeque;

/// One kind of deadline: times in milliseconds of the process clock, good for 49 days, and clients. 8 bytes a
/// client.
pub(super) struct Fifo {
    delay: Nanos,
    entries: VecDeque<(u32, u32)>,
}

/// Deadlines that an empty queue keeps room for.
const ROOM: usize = 1024;

fn to_nanos(millis: u32) -> Nanos {
    Nanos::from(millis) * MILLISECOND
}

impl Fifo {
    /// Without a delay there are no deadlines.
    pub(super) fn new(delay: Nanos, capacity: usize) -> Fifo {
        Fifo { delay, entries: VecDeque::with_capacity(capacity) }
    }

    /// Sets a deadline for `place`. Deadlines cannot be taken back: whoever gets one looks whether it still counts.
    pub(super) fn push(&mut self, now: Nanos, place: Place) {
        if self.delay > 0 {
            self.entries.push_back((((now + self.delay) / MILLISECOND) as u32 + 1, place.0));
        }
    }

    pub(super) fn pop(&mut self, now: Nanos) -> Option<Place> {
        let (due, place) = *self.entries.front()?;
        if to_nanos(due) > now {
            return None;
        }
        self.entries.pop_front();
        if self.entries.is_empty() {
            // What many needed at a time, such as all that connect, is not kept for the rest of the run.
            self.entries.shrink_to(ROOM);
        }
        Some(Place(place))
    }

    pub(super) fn next(&self) -> Option<Nanos> {
        self.entries.front().map(|(due, _)| to_nanos(*due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_never_early() {
        let mut fifo = Fifo::new(10 * MILLISECOND, 0);
        fifo.push(MILLISECOND / 2, Place(1));
        fifo.push(3 * MILLISECOND, Place(2));
        assert_eq!(fifo.pop(10 * MILLISECOND + MILLISECOND / 2 - 1), None);
        assert_eq!(fifo.next(), Some(11 * MILLISECOND));
        assert_eq!(fifo.pop(11 * MILLISECOND), Some(Place(1)));
        assert_eq!(fifo.pop(11 * MILLISECOND), None);
        assert_eq!(fifo.pop(14 * MILLISECOND), Some(Place(2)));
        assert_eq!(fifo.next(), None);
    }

    #[test]
    fn what_many_needed_at_a_time_is_given_back() {
        let mut fifo = Fifo::new(MILLISECOND, 0);
        (0..20_000).for_each(|place| fifo.push(0, Place(place)));
        assert!(fifo.entries.capacity() >= 20_000);
        while fifo.pop(10 * MILLISECOND).is_some() {}
        assert!(fifo.entries.capacity() <= 2 * ROOM, "{}", fifo.entries.capacity());
    }

    #[test]
    fn no_delay_means_no_deadline() {
        let mut fifo = Fifo::new(0, 0);
        fifo.push(0, Place(1));
        assert_eq!(fifo.next(), None);
    }
}
