//! The ring itself: set-up, submission and waiting.

use super::Error;
use crate::clock::Nanos;
use io_uring::{IoUring, cqueue, squeue, types};
use std::io;

/// SQ entries. A batch with more to submit is submitted in several calls.
const SUBMISSIONS: u32 = 1024;
/// CQ entries. Larger than any batch so that overflow is the exception; the kernel keeps what does not
/// fit (`IORING_FEAT_NODROP`).
const COMPLETIONS: u32 = 16 * 1024;

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
    pub const GENERATIONS: u32 = 1 << 24;

    pub fn bits(self) -> u64 {
        debug_assert!(self.generation < Tag::GENERATIONS);
        (self.op as u64) << 56 | u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub fn from_bits(bits: u64) -> Tag {
        Tag {
            op: Op::from_bits((bits >> 56) as u8),
            generation: (bits >> 32) as u32 & (Tag::GENERATIONS - 1),
            slot: bits as u32,
        }
    }
}

/// A submission and a completion queue of one thread.
pub struct Ring {
    uring: IoUring,
    pub enters: u64,
}

impl Ring {
    /// Needs Linux 6.1: `DEFER_TASKRUN` runs completions' kernel work only when this thread waits, in
    /// batches, instead of interrupting it.
    pub fn new() -> Result<Ring, Error> {
        let mut builder = IoUring::builder();
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
        Ok(Ring { uring, enters: 0 })
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

    pub fn submitter(&self) -> io_uring::Submitter<'_> {
        self.uring.submitter()
    }

    /// Queues `entry`, submitting what is queued when the queue is full.
    ///
    /// # Safety
    /// Memory that `entry` points to must stay valid and unmoved until its completion is reaped.
    pub unsafe fn push(&mut self, entry: &squeue::Entry) -> Result<(), Error> {
        // SAFETY: forwarded to the caller.
        while unsafe { self.uring.submission().push(entry) }.is_err() {
            self.enters += 1;
            match self.uring.submit() {
                Ok(_) => {}
                Err(error) if retry(&error) => {}
                Err(source) => return Err(Error::Enter { source }),
            }
        }
        Ok(())
    }

    /// Submits what is queued and waits until `want` completions are there or `timeout` has passed.
    /// With `want` = 0 it does not wait.
    pub fn submit_and_wait(&mut self, want: usize, timeout: Option<Nanos>) -> Result<(), Error> {
        self.enters += 1;
        let result = match timeout {
            Some(timeout) if want > 0 => {
                let spec = types::Timespec::new()
                    .sec(timeout / crate::clock::SECOND)
                    .nsec((timeout % crate::clock::SECOND) as u32);
                let args = types::SubmitArgs::new().timespec(&spec);
                self.uring.submitter().submit_with_args(want, &args)
            }
            _ => self.uring.submit_and_wait(want),
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ETIME) || retry(&error) => Ok(()),
            Err(source) => Err(Error::Enter { source }),
        }
    }

    /// Takes up to `batch`'s capacity of completions; answers whether some are left.
    pub fn reap(&mut self, batch: &mut Vec<cqueue::Entry>) -> bool {
        batch.clear();
        let mut queue = self.uring.completion();
        let room = batch.capacity();
        batch.extend(queue.by_ref().take(room));
        !queue.is_empty()
    }

    /// Whether nothing waits to be submitted.
    pub fn is_idle(&mut self) -> bool {
        self.uring.submission().is_empty()
    }

    /// Completions the kernel lost so far, because it had no memory to keep what did not fit the queue.
    pub fn overflows(&mut self) -> u64 {
        u64::from(self.uring.completion().overflow())
    }
}

/// EINTR: a signal. EAGAIN, EBUSY: the kernel is short of memory or of completion queue for a moment;
/// reaping helps.
fn retry(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}
