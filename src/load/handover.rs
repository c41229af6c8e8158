//! When each message was really handed to the kernel, for the subscriber's side.
//!
//! That time cannot travel in the payload: the same plan must give the same bytes.

use crate::clock::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};

/// For every publisher, the hand-over times of its last messages. A cell belongs to one publisher, so
/// while publisher and subscriber are on one worker, which is the rule, no cache line is shared.
pub struct HandOver {
    /// Low 48 bits: microseconds since the start of the schedule would be too coarse, so nanoseconds, modulo
    /// 3.2 days; high 16 bits: how often the cell was used before, so that a cell that has been used again is
    /// recognised.
    cells: Box<[AtomicU64]>,
    per_publisher: usize,
}

const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// Cells at least, for messages on their way at low rates: 64 bytes, one cache line.
const LEAST: usize = 8;
/// Cells at most, over all publishers: 128 MiB.
const MOST: usize = 1 << 24;

impl HandOver {
    /// Cells for `messages` of each publisher that may be on their way.
    pub fn new(publishers: u32, messages: f64) -> HandOver {
        let publishers = publishers as usize;
        let asked = messages.ceil().min(MOST as f64) as usize;
        let most = (MOST / publishers.max(1)).max(LEAST);
        let most = if most.is_power_of_two() { most } else { most.next_power_of_two() / 2 };
        let per_publisher = asked.next_power_of_two().clamp(LEAST, most.max(LEAST));
        let cells = (0..publishers * per_publisher).map(|_| AtomicU64::new(u64::MAX)).collect();
        HandOver { cells, per_publisher }
    }

    /// Notes that `publisher` handed over message `sequence` at `time`, nanoseconds since the start of
    /// the schedule.
    #[inline]
    pub fn note(&self, publisher: u32, sequence: u64, time: Nanos) {
        let round = sequence / self.per_publisher as u64;
        let value = round << TIME_BITS | (time & TIME_MASK);
        self.cells[self.cell(publisher, sequence)].store(value, Ordering::Relaxed);
    }

    /// When it was handed over, within 1.6 days of when it was `intended`; `None` when so many have followed that
    /// the cell was used again.
    ///
    /// Relaxed is enough: the message itself has travelled through the kernel in between.
    #[inline]
    pub fn time(&self, publisher: u32, sequence: u64, intended: Nanos) -> Option<Nanos> {
        let round = (sequence / self.per_publisher as u64) & (u64::MAX >> TIME_BITS);
        let value = self.cells[self.cell(publisher, sequence)].load(Ordering::Relaxed);
        // The difference of the low bits, as a signed number.
        let after = (value.wrapping_sub(intended) << (64 - TIME_BITS)) as i64 >> (64 - TIME_BITS);
        (value != u64::MAX && value >> TIME_BITS == round).then(|| intended.wrapping_add_signed(after))
    }

    fn cell(&self, publisher: u32, sequence: u64) -> usize {
        publisher as usize * self.per_publisher + (sequence as usize & (self.per_publisher - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_kept_until_its_cell_is_used_again() {
        let table = HandOver::new(3, 4.0);
        assert_eq!(table.time(1, 0, 0), None);
        table.note(1, 0, 77);
        table.note(2, 0, 99);
        assert_eq!((table.time(1, 0, 70), table.time(2, 0, 70)), (Some(77), Some(99)));
        table.note(1, LEAST as u64, 1234);
        assert_eq!(table.time(1, 0, 0), None);
        assert_eq!(table.time(1, LEAST as u64, 70), Some(1234));
    }

    #[test]
    fn times_after_days_are_right() {
        const DAY: Nanos = 86_400_000_000_000;
        let table = HandOver::new(1, 1.0);
        for intended in [3 * DAY, 4 * DAY, 365 * DAY] {
            for later in [0, 1, DAY] {
                table.note(0, 5, intended + later);
                assert_eq!(table.time(0, 5, intended), Some(intended + later));
            }
        }
    }

    #[test]
    fn it_is_as_large_as_the_rate_asks_within_bounds() {
        assert_eq!(HandOver::new(100_000, 0.8).per_publisher, 8);
        assert_eq!(HandOver::new(1, 4000.0).per_publisher, 4096);
        assert_eq!(HandOver::new(1, f64::INFINITY).per_publisher, MOST);
        assert!(HandOver::new(1000, 1e9).cells.len() <= MOST);
        assert_eq!(HandOver::new(0, 1e9).cells.len(), 0);
    }
}
