//! The ring itself: set-up, submission and waiting.

use super::Error;
use io_uring::{EnterFlags, IoUring, cqueue, squeue};
use std::collections::VecDeque;
use std::io;

/// SQ entries. A batch with more to submit is submitted in several calls.
const SUBMISSIONS: u32 = if cfg!(test) { 8 } else { 1024 };
/// CQ entries. Larger than any batch so that overflow is the exception; the kernel keeps what does not
/// fit (`IORING_FEAT_NODROP`). Small in tests, where it is to overflow.
const COMPLETIONS: u32 = if cfg!(test) { 16 } else { 16 * 1024 };

/// What a completion was for. The discriminant is the top byte of `user_data`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Op {
    Accept = 1,
    Connect,
    Receive,
    Send,
    /// Poll for room in a socket's send buffer.
    Room,
    Cancel,
    Close,
    Wake,
    Timeout,
    /// What a socket's peer has not acknowledged.
    Unacked,
    /// A ring beside the first one has something to do.
    Chime,
}

impl Op {
    fn from_bits(bits: u8) -> Op {
        match bits {
            1 => Op::Accept,
            2 => Op::Connect,
            3 => Op::Receive,
            4 => Op::Send,
            5 => Op::Room,
            6 => Op::Cancel,
            7 => Op::Close,
            8 => Op::Wake,
            9 => Op::Timeout,
            10 => Op::Unacked,
            11 => Op::Chime,
            _ => unreachable!("user_data is written by this file alone"),
        }
    }
}

/// `user_data`: operation (8 bits), generation of the slot (24 bits), slot (32 bits).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    pub op: Op,
    pub generation: u32,
    pub slot: u32,
}

impl Tag {
    /// Generations there are: one after the last is the first again.
    pub const GENERATIONS: u32 = 1 << 24;

    /// As the kernel carries it.
    pub fn bits(self) -> u64 {
        debug_assert!(self.generation < Tag::GENERATIONS);
        (self.op as u64) << 56 | u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// What the kernel has brought back.
    pub fn from_bits(bits: u64) -> Tag {
        Tag {
            op: Op::from_bits((bits >> 56) as u8),
            generation: (bits >> 32) as u32 & (Tag::GENERATIONS - 1),
            slot: bits as u32,
        }
    }
}

/// A submission and a completion queue of the kernel's.
pub struct Ring(IoUring);

impl Ring {
    /// Needs Linux 6.1: `DEFER_TASKRUN` runs completions' kernel work only when this thread waits, in
    /// batches, instead of interrupting it. One that is `watched` shows without a call that there is such work.
    pub fn new(watched: bool) -> Result<Ring, Error> {
        let mut builder = IoUring::builder();
        if watched {
            builder.setup_taskrun_flag();
        }
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(COMPLETIONS)
            .dontfork();
        // NO_SQARRAY saves an indirection and came with Linux 6.6.
        let mut direct = builder.clone();
        let uring = direct
            .setup_no_sqarray()
            .build(SUBMISSIONS)
            .or_else(|_| builder.build(SUBMISSIONS))
            .map_err(Ring::refused)?;
        Ok(Ring(uring))
    }

    fn refused(source: io::Error) -> Error {
        match source.raw_os_error() {
            Some(libc::EINVAL) => Error::KernelTooOld {
                release: crate::cpu::machine().kernel,
                missing: "the set-up flags SINGLE_ISSUER and DEFER_TASKRUN",
            },
            Some(libc::ENOSYS | libc::EPERM | libc::EACCES) => Error::Unavailable { source },
            _ => Error::Setup { what: "an io_uring", source },
        }
    }

    /// For what is registered with the ring.
    pub fn submitter(&self) -> io_uring::Submitter<'_> {
        self.0.submitter()
    }

    /// Queues `entry`; false when the queue is full.
    ///
    /// # Safety
    /// Memory that `entry` points to must stay valid and unmoved until its completion is reaped or, where a
    /// success completes nothing, until it is settled ([`Ring::is_settled`]).
    pub unsafe fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: forwarded to the caller.
        unsafe { self.0.submission().push(entry) }.is_ok()
    }

    /// Submits what is queued, and waits until at least `want` completions are there (0: not at all).
    pub fn enter(&mut self, want: u32, flags: EnterFlags) -> Result<(), Error> {
        let queued = self.0.submission().len() as u32;
        // SAFETY: no argument; what the entries point to is the business of those who pushed them.
        let result = unsafe { self.0.submitter().enter::<libc::sigset_t>(queued, want, flags.bits(), None) };
        match result {
            Ok(_) => Ok(()),
            Err(error) if retry(&error) => Ok(()),
            Err(source) => Err(Error::Enter { source }),
        }
    }

    /// Appends what has completed to `batch`. Answers whether the queue was full.
    ///
    /// # Errors
    /// [`Error::Overflow`]: something has completed that will never be seen.
    pub fn reap(&mut self, batch: &mut VecDeque<cqueue::Entry>) -> Result<bool, Error> {
        let full = self.0.submission().cq_overflow();
        let queue = self.0.completion();
        let lost = queue.overflow();
        batch.extend(queue);
        complete(lost).map(|()| full)
    }

    /// Whether the kernel has put off work that may complete something, or keeps completions that the queue had no room
    /// for: either is done in the next [`Ring::enter`] that asks for events. Of the former only a ring that is watched knows.
    pub fn has_deferred(&mut self) -> bool {
        let queue = self.0.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Whether something has completed.
    pub fn has_completed(&mut self) -> bool {
        !self.0.completion().is_empty()
    }

    /// Whether nothing waits to be submitted.
    pub fn is_idle(&mut self) -> bool {
        self.0.submission().is_empty()
    }

    /// Whether everything queued has been submitted, and what it completed with at once is to be reaped.
    pub fn is_settled(&mut self) -> bool {
        let queue = self.0.submission();
        queue.is_empty() && !queue.cq_overflow()
    }
}

/// Whether everything is there when the kernel says to have lost so many completions: it had no memory to keep them
/// until there was room in the queue. A worker cannot go on without: it would wait for them for ever, or take for
/// sent what was not.
fn complete(lost: u32) -> Result<(), Error> {
    if lost > 0 { Err(Error::Overflow { lost, queue: COMPLETIONS }) } else { Ok(()) }
}

/// EINTR: a signal. EAGAIN, EBUSY: the kernel is short of memory or of completion queue for a moment;
/// reaping helps. EBADR: it has lost completions, which reaping tells in words.
fn retry(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::EBADR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_completions_are_told_with_what_to_do() {
        assert!(complete(0).is_ok());
        let error = complete(3).unwrap_err().to_string();
        assert!(error.contains("lost 3 completions") && error.contains("Free memory"), "{error}");
        // The kernel says so once, with an errno that says nothing.
        assert!(retry(&io::Error::from_raw_os_error(libc::EBADR)));
        assert!(!retry(&io::Error::from_raw_os_error(libc::ENXIO)));
    }
}
