//! When bytes had arrived, by the kernel's clock: what passes from then until they are handled is our own doing.
//!
//! A TCP socket with `SO_TIMESTAMPNS` says with each receive when its last segment came in, by the wall clock. The
//! offset between that clock and the process clock is read once a pass, which is exact but for its own reading
//! (about 20 ns), as long as nobody sets the clock.

use crate::clock::{self, MILLISECOND, Nanos};
use io_uring::types::RecvMsgOut;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes in front of what was received: `struct io_uring_recvmsg_out`, and a control message with a timespec.
pub const SPACE: usize = 16 + CONTROL;
const CONTROL: usize = 32;

/// The offset between the clocks has not jumped when it has moved by no more than this, and by what a clock that is
/// slewed gains in the time between: 500 parts in a million (`adjtimex(2)`), and as much again.
const STEP: Nanos = MILLISECOND;
const SLEW: Nanos = 1000;

/// What a worker needs to know when something had arrived.
pub struct Arrivals {
    /// What a receive has room for; boxed because submissions point to it.
    message: Box<libc::msghdr>,
    clocks: Clocks,
    /// The clocks were read in the pass under way.
    read: bool,
}

impl Arrivals {
    pub fn new() -> Arrivals {
        // SAFETY: all zeroes is a valid msghdr: no name, no buffers, no control data.
        let mut message: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        message.msg_controllen = CONTROL;
        Arrivals { message, clocks: Clocks::default(), read: false }
    }

    /// For the kernel to read.
    pub fn message(&self) -> *const libc::msghdr {
        &raw const *self.message
    }

    /// Another pass begins.
    pub fn begin(&mut self) {
        self.read = false;
    }

    /// When the bytes behind the first [`SPACE`] of `received` had arrived; `now` where that is not known.
    pub fn of(&mut self, received: &[u8], now: Nanos) -> Nanos {
        let parts = RecvMsgOut::parse(received, &self.message);
        let Some(stamp) = parts.ok().and_then(|parts| stamp(parts.control_data())) else { return now };
        if !std::mem::replace(&mut self.read, true) {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.clocks.read(clock::now(), wall.as_nanos() as u64);
        }
        self.clocks.arrival(stamp, now)
    }
}

/// Nanoseconds since 1970 out of a control message, if it is a time stamp.
fn stamp(control: &[u8]) -> Option<u64> {
    let header = std::mem::size_of::<libc::cmsghdr>();
    let number = |at: usize| Some(i32::from_ne_bytes(control.get(at..at + 4)?.try_into().ok()?));
    let word = |at: usize| Some(i64::from_ne_bytes(control.get(at..at + 8)?.try_into().ok()?));
    let stamped = (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) == (number(header - 8)?, number(header - 4)?);
    let (seconds, nanos) = (word(header)?, word(header + 8)?);
    u64::try_from(seconds * 1_000_000_000 + nanos).ok().filter(|_| stamped)
}

/// The wall clock against the process clock.
#[derive(Default)]
struct Clocks {
    /// When both were read last, by the process clock, and how far the wall clock was ahead; `None`: never.
    last: Option<(Nanos, u64)>,
    /// The wall clock was set between the last two readings: of a stamp nobody knows which side it is of.
    jumped: bool,
}

impl Clocks {
    fn read(&mut self, process: Nanos, wall: u64) {
        let ahead = wall.wrapping_sub(process);
        self.jumped = self.last.is_some_and(|(then, before)| {
            ahead.abs_diff(before) > STEP + process.saturating_sub(then) / SLEW
        });
        self.last = Some((process, ahead));
    }

    fn arrival(&self, stamp: u64, now: Nanos) -> Nanos {
        match self.last {
            Some((_, ahead)) if !self.jumped => stamp.saturating_sub(ahead).min(now),
            _ => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;

    const WALL: u64 = 1_700_000_000 * SECOND;

    #[test]
    fn a_stamp_is_brought_to_the_process_clock() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.arrival(WALL, 77), 77, "nobody has read the clocks");
        clocks.read(5 * SECOND, WALL);
        assert_eq!(clocks.arrival(WALL - MILLISECOND, 5 * SECOND), 5 * SECOND - MILLISECOND);
        assert_eq!(
            clocks.arrival(WALL + MILLISECOND, 5 * SECOND),
            5 * SECOND,
            "never later than it is handled"
        );
        assert_eq!(clocks.arrival(7, 5 * SECOND), 0, "nor before the process began");
    }

    #[test]
    fn a_clock_that_is_set_stamps_nothing_in_that_pass() {
        for step in [-(SECOND as i64), -2_000_000, 2_000_000, SECOND as i64] {
            let mut clocks = Clocks::default();
            clocks.read(5 * SECOND, WALL);
            let set = (WALL + 10 * MILLISECOND).wrapping_add_signed(step);
            clocks.read(5 * SECOND + 10 * MILLISECOND, set);
            assert_eq!(
                clocks.arrival(set - 1000, 5 * SECOND + 10 * MILLISECOND),
                5 * SECOND + 10 * MILLISECOND
            );
            clocks.read(5 * SECOND + 11 * MILLISECOND, set + MILLISECOND);
            assert_eq!(
                clocks.arrival(set, 6 * SECOND),
                5 * SECOND + 10 * MILLISECOND,
                "the next is right again"
            );
        }
    }

    #[test]
    fn a_clock_that_is_slewed_goes_on_stamping() {
        let mut clocks = Clocks::default();
        clocks.read(0, WALL);
        clocks.read(100 * SECOND, WALL + 100 * SECOND + 50 * MILLISECOND);
        assert_eq!(clocks.arrival(WALL + 100 * SECOND, 100 * SECOND), 100 * SECOND - 50 * MILLISECOND);
    }

    #[test]
    fn only_a_time_stamp_is_one() {
        let mut control = Vec::new();
        control.extend_from_slice(&(CONTROL as u64).to_ne_bytes());
        control.extend_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        control.extend_from_slice(&libc::SO_TIMESTAMPNS.to_ne_bytes());
        control.extend_from_slice(&3i64.to_ne_bytes());
        control.extend_from_slice(&5i64.to_ne_bytes());
        assert_eq!(stamp(&control), Some(3_000_000_005));
        assert_eq!(stamp(&control[..31]), None);
        assert_eq!(stamp(&[]), None);
        control[12] ^= 1;
        assert_eq!(stamp(&control), None);
    }
}
