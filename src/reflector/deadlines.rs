//! When connections are to be looked at: keepalive and the wait for CONNECT.

use crate::clock::{MILLISECOND, Nanos};

/// Deadlines are kept in steps of this length and come due at most one step late.
const TICK: Nanos = 250 * MILLISECOND;
/// Steps ahead that the wheel can hold: 128 s. What is due later is looked at then and set again.
const TICKS: u64 = 512;

/// A wheel of coarse deadlines. Setting one and coming due cost a push and a pop; what happens on a
/// connection between two deadlines costs nothing here.
pub(super) struct Deadlines<T> {
    slots: Vec<Vec<T>>,
    /// Steps up to here have been handed out.
    reached: u64,
    set: usize,
}

impl<T> Deadlines<T> {
    pub(super) fn new() -> Deadlines<T> {
        Deadlines {
            slots: std::iter::repeat_with(Vec::new).take(TICKS as usize).collect(),
            reached: 0,
            set: 0,
        }
    }

    /// Sets a deadline and answers the step at which it comes due. One that is too far away comes due
    /// early: whoever set it looks at the time and sets it again.
    pub(super) fn set(&mut self, due: Nanos, item: T) -> u64 {
        let tick = due.div_ceil(TICK).clamp(self.reached + 1, self.reached + TICKS - 1);
        self.slots[(tick % TICKS) as usize].push(item);
        self.set += 1;
        tick
    }

    /// Moves what has come due by `now` out of one step, which is the answer. To be called until `None`.
    pub(super) fn poll(&mut self, now: Nanos, due: &mut Vec<T>) -> Option<u64> {
        while self.reached < now / TICK {
            if self.set == 0 {
                self.reached = now / TICK;
                return None;
            }
            self.reached += 1;
            let slot = &mut self.slots[(self.reached % TICKS) as usize];
            if !slot.is_empty() {
                self.set -= slot.len();
                due.append(slot);
                return Some(self.reached);
            }
        }
        None
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.set
    }

    /// When to poll next at the latest; `None` when nothing is set.
    pub(super) fn next(&self) -> Option<Nanos> {
        (self.set > 0).then(|| (self.reached + 1) * TICK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;

    fn poll(deadlines: &mut Deadlines<u32>, now: Nanos) -> Vec<u32> {
        let mut due = Vec::new();
        while deadlines.poll(now, &mut due).is_some() {}
        due
    }

    #[test]
    fn deadlines_come_due_never_early_and_at_most_a_step_late() {
        let mut deadlines = Deadlines::new();
        poll(&mut deadlines, 1_000 * SECOND);
        for item in 0..100_u32 {
            deadlines.set(1_000 * SECOND + Nanos::from(item) * SECOND + 1, item);
        }
        for item in 0..100_u32 {
            let due = 1_000 * SECOND + Nanos::from(item) * SECOND + 1;
            assert_eq!(poll(&mut deadlines, due - 1), [] as [u32; 0]);
            assert_eq!(poll(&mut deadlines, due + TICK), [item]);
        }
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn far_deadlines_come_early_and_past_ones_at_once() {
        let mut deadlines = Deadlines::new();
        poll(&mut deadlines, 50 * SECOND);
        let tick = deadlines.set(100_000 * SECOND, 1);
        assert_eq!(tick, 50 * SECOND / TICK + TICKS - 1);
        deadlines.set(0, 2);
        assert_eq!(deadlines.next(), Some(50 * SECOND + TICK));
        assert_eq!(poll(&mut deadlines, 50 * SECOND + TICK), [2]);
        assert_eq!(poll(&mut deadlines, 50 * SECOND + (TICKS - 1) * TICK), [1]);
    }

    #[test]
    fn a_worker_that_slept_long_gets_everything() {
        let mut deadlines = Deadlines::new();
        for item in 0..1000_u32 {
            deadlines.set(Nanos::from(item) * 100 * MILLISECOND, item);
        }
        assert_eq!(poll(&mut deadlines, 3600 * SECOND).len(), 1000);
    }
}
