//! How other threads get a worker out of its wait.

use super::Error;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A bell (an eventfd) for one worker. Ringing it while it is already rung costs one atomic swap.
#[derive(Clone)]
pub struct Waker(Arc<Bell>);

struct Bell {
    eventfd: OwnedFd,
    rung: AtomicBool,
}

impl Waker {
    /// A bell that is not rung.
    ///
    /// # Errors
    /// [`Error::Setup`] when the process has no file descriptor left.
    pub fn new() -> Result<Waker, Error> {
        Ok(Waker(Arc::new(Bell { eventfd: eventfd(0)?, rung: AtomicBool::new(false) })))
    }

    /// Makes the worker call [`App::woken`](super::App::woken) soon.
    pub fn wake(&self) {
        if self.0.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes. The write cannot fail: the counter is far from its end.
        let written = unsafe { libc::write(self.0.eventfd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        assert_eq!(written, 8, "eventfd: {}", io::Error::last_os_error());
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.eventfd.as_raw_fd()
    }

    /// Whether it has been rung and nobody has heard.
    #[cfg(test)]
    pub(crate) fn is_rung(&self) -> bool {
        self.0.rung.load(Ordering::Acquire)
    }

    /// Answers whether the bell has been rung since it was last asked. To be called before looking at whatever the
    /// bell announces, or an announcement could be missed. The worker does so itself, before
    /// [`App::woken`](super::App::woken).
    pub fn heard(&self) -> bool {
        // A swap, not a store: what was written before any `wake` until now is to be seen, and that takes the
        // place of this one in the order of them, also where one found the bell rung and wrote nothing.
        self.0.rung.swap(false, Ordering::AcqRel)
    }
}

/// A new eventfd, at 0.
pub(super) fn eventfd(flags: libc::c_int) -> Result<OwnedFd, Error> {
    // SAFETY: no pointers; a descriptor or -1 comes back.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | flags) };
    if fd < 0 {
        return Err(Error::Setup { what: "an eventfd", source: io::Error::last_os_error() });
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_heard_once_however_often_it_rang() {
        let waker = Waker::new().unwrap();
        assert!(!waker.heard());
        for _ in 0..3 {
            waker.wake();
            waker.clone().wake();
            assert!(waker.heard());
            assert!(!waker.heard());
        }
    }
}
