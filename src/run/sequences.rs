//! What publishers know of their sequences, and subscribers need in the end to tell what is lost.

use crate::clock::Nanos;
use crate::load::Flow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The sequences of all publishers: which are measured, and which have never left.
pub struct Sequences {
    /// Since the start of the schedule: messages meant to be sent before are not measured.
    from: Nanos,
    /// The first measured sequence of each publisher; without any where all are.
    measured: Box<[AtomicU64]>,
    /// The next sequence of each publisher, where somebody asks.
    next: Box<[AtomicU64]>,
    /// Messages at QoS 0 that were unfinished when their connection ended, by publisher.
    unfinished: Mutex<BTreeMap<u32, Vec<(u64, u64)>>>,
}

impl Sequences {
    /// Of `publishers` whose messages are measured when they are meant to be sent at `from` or later.
    /// `asked`: somebody asks for [`Sequences::next`].
    pub fn new(publishers: u32, from: Nanos, asked: bool) -> Sequences {
        let counted = if from > 0 { publishers } else { 0 };
        let measured = (0..counted).map(|_| AtomicU64::new(u64::MAX)).collect();
        let next = (0..if asked { publishers } else { 0 }).map(|_| AtomicU64::new(0)).collect();
        Sequences { from, measured, next, unfinished: Mutex::default() }
    }

    /// A publisher's message is to leave; those of each are told in their order.
    #[inline]
    pub fn note(&self, publisher: u32, sequence: u64, intended: Nanos) {
        if let Some(first) = self.measured.get(publisher as usize).filter(|_| intended >= self.from)
            && first.load(Ordering::Relaxed) == u64::MAX
        {
            first.store(sequence, Ordering::Relaxed);
        }
    }

    /// A publisher's messages before `next` are to leave.
    #[inline]
    pub fn reach(&self, publisher: u32, next: u64) {
        if let Some(cell) = self.next.get(publisher as usize) {
            cell.store(next, Ordering::Relaxed);
        }
    }

    /// The sequence of a publisher's next message; for its own worker.
    pub fn next(&self, publisher: u32) -> u64 {
        self.next[publisher as usize].load(Ordering::Relaxed)
    }

    /// A publisher's messages will never leave.
    pub fn unfinished(&self, publisher: u32, sequences: Range<u64>) {
        let mut unfinished = self.unfinished.lock().expect("no worker panics within this lock");
        unfinished.entry(publisher).or_default().push((sequences.start, sequences.end));
    }

    /// Measured messages of a publisher among its first `count`, but for those that never left.
    pub fn sent(&self, publisher: u32, count: u64) -> u64 {
        let from = self.first(publisher);
        let unfinished = self.unfinished.lock().expect("no worker panics within this lock");
        let never = unfinished.get(&publisher).into_iter().flatten();
        let never = never.map(|&(start, end)| end.saturating_sub(start.max(from)));
        count.saturating_sub(from) - never.sum::<u64>()
    }

    fn first(&self, publisher: u32) -> u64 {
        self.measured.get(publisher as usize).map_or(0, |first| first.load(Ordering::Relaxed))
    }

    /// Measured messages of a publisher that `flow` has not heard although it has heard a later one.
    ///
    /// Relaxed is enough: that later message has travelled through the kernel in between.
    pub fn lost(&self, publisher: u32, flow: &Flow) -> u64 {
        if flow.is_whole() {
            return 0;
        }
        let from = self.first(publisher);
        let unfinished = self.unfinished.lock().expect("no worker panics within this lock");
        flow.overtaken(from, unfinished.get(&publisher).map_or(&[], Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_measured_or_never_left_is_not_lost() {
        let mut flow = Flow::default();
        for sequence in [0, 10, 20] {
            flow.receive(sequence);
        }
        let sequences = Sequences::new(2, 100, false);
        assert_eq!(sequences.lost(0, &flow), 0, "nothing was measured");
        for (sequence, intended) in [(0, 10), (7, 99), (8, 100), (9, 101)] {
            sequences.note(0, sequence, intended);
        }
        assert_eq!(sequences.lost(0, &flow), 2 + 9, "8 and 9, 11 to 19");
        sequences.unfinished(0, 6..9);
        sequences.unfinished(0, 18..20);
        sequences.unfinished(0, 21..25);
        assert_eq!(sequences.lost(0, &flow), 1 + 7, "9, 11 to 17");
        assert_eq!([sequences.sent(0, 25), sequences.sent(1, 25)], [17 - 1 - 2 - 4, 0]);
        assert_eq!(Sequences::new(2, 0, false).lost(1, &flow), 18, "all are measured");
    }
}
