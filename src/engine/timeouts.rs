//! Deadlines, armed in the ring.
//!
//! A timeout that goes with `io_uring_enter` is armed and disarmed each time a worker waits, and what that
//! costs is programming the machine's timer: 13 us each time in a virtual machine, where it leaves the guest.
//! A timeout in the ring stays through any number of waits, and one that is armed while an earlier one still
//! is programs nothing. Paced loads got a third cheaper by that.

use super::ring::{Op, Tag};
use crate::clock::{self, Nanos, SECOND};
use io_uring::types::{TimeoutFlags, Timespec};
use io_uring::{opcode, squeue};

/// Timeouts armed at a time. Two are usual; more when deadlines come closer all the time.
const MOST: usize = 16;

/// The place of nothing that is armed.
const FREE: Nanos = Nanos::MAX;

/// The timeouts of one ring.
pub struct Timeouts {
    /// Deadline of each timeout; its index is what comes back as [`Tag::slot`].
    armed: [Nanos; MOST],
    /// As the kernel reads them, when it takes the entry.
    specs: Box<[Timespec; MOST]>,
    /// `CLOCK_MONOTONIC` when [`clock::now`] was 0.
    epoch: Nanos,
}

impl Timeouts {
    pub fn new() -> Timeouts {
        // Of several tries the one that was interrupted least.
        let (_, epoch) = (0..8).map(|_| read_epoch()).min().expect("several");
        Timeouts { armed: [FREE; MOST], specs: Box::new([Timespec::new(); MOST]), epoch }
    }

    /// Whether one will fire after `from` and by `to`.
    pub fn fires(&self, from: Nanos, to: Nanos) -> bool {
        self.armed.iter().any(|deadline| (from + 1..=to).contains(deadline) && *deadline != FREE)
    }

    /// An entry that completes at `deadline`; `None` when too many are armed. The entry points into `self`.
    pub fn arm(&mut self, deadline: Nanos) -> Option<squeue::Entry> {
        let index = self.armed.iter().position(|armed| *armed == FREE)?;
        let time = self.epoch.saturating_add(deadline);
        self.armed[index] = deadline.min(FREE - 1);
        self.specs[index] = Timespec::new().sec(time / SECOND).nsec((time % SECOND) as u32);
        let tag = Tag { op: Op::Timeout, generation: 0, slot: index as u32 };
        let entry = opcode::Timeout::new(&self.specs[index]).flags(TimeoutFlags::ABS);
        Some(entry.build().user_data(tag.bits()))
    }

    /// Timeout `index` has completed.
    pub fn fired(&mut self, index: u32) {
        self.armed[index as usize] = FREE;
    }
}

/// `CLOCK_MONOTONIC` when [`clock::now`] was 0, by how much too late at most, in nanoseconds; never too early,
/// or timeouts would fire before their deadline.
fn read_epoch() -> (Nanos, Nanos) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let before = clock::now();
    // SAFETY: `time` is a timespec of ours. The call cannot fail: the clock exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    let after = clock::now();
    (after - before, time.tv_sec as Nanos * SECOND + time.tv_nsec as Nanos - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_armed_fires_once() {
        let mut timeouts = Timeouts::new();
        assert!(!timeouts.fires(0, Nanos::MAX));
        for deadline in [50, 20] {
            timeouts.arm(deadline).expect("room");
        }
        assert!(timeouts.fires(0, 20) && timeouts.fires(20, 50));
        assert!(!timeouts.fires(0, 19) && !timeouts.fires(20, 49) && !timeouts.fires(50, Nanos::MAX));
        timeouts.fired(1);
        assert!(!timeouts.fires(0, 49) && timeouts.fires(0, 50));
    }

    #[test]
    fn the_number_of_timeouts_is_bounded() {
        let mut timeouts = Timeouts::new();
        for deadline in 0..MOST as Nanos {
            timeouts.arm(deadline).expect("room");
        }
        assert!(timeouts.arm(1000).is_none());
        timeouts.fired(7);
        assert!(timeouts.arm(1000).is_some() && timeouts.arm(1001).is_none());
    }
}
