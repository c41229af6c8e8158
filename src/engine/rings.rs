//! The rings of one worker.
//!
//! The table of registered files of a ring holds no more than the process may open. A worker that is to have more
//! connections has more rings: connection `c` is file `c % table` of ring `c / table`. The worker sleeps at the first,
//! which has its timeouts and its bell. The others strike an eventfd, the *chime*, when there is something to do, and
//! a poll of the first ring's hears it. (One ring cannot poll another that defers its work: Linux 6.18 never wakes it.)

use super::ring::{Op, Ring, Tag};
use super::{Conn, Error, Poll, waker};
use crate::clock::{self, Nanos};
use io_uring::{EnterFlags, cqueue, opcode, squeue, types};
use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

/// All of them, and the time spent between their calls.
pub struct Rings {
    rings: Vec<Ring>,
    /// Connections of each.
    table: u32,
    chime: Option<Chime>,
    pub enters: u64,
    /// Reaps that found a completion queue full.
    pub overflows: u64,
    /// Time spent outside of enters, the longest of it in one piece since [`Rings::take_longest`], and when the last one
    /// ended.
    pub outside: Nanos,
    longest: Nanos,
    pub left: Nanos,
}

/// What the rings beside the first one strike.
struct Chime {
    eventfd: OwnedFd,
    /// The first ring listens.
    awaited: bool,
}

/// Where a connection's file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct File {
    pub ring: usize,
    /// Its place in the ring's table.
    pub index: u32,
}

impl File {
    /// As submissions name it.
    pub fn fixed(self) -> types::Fixed {
        types::Fixed(self.index)
    }
}

impl Rings {
    /// As many as it takes for `connections`, of which one holds `most`.
    pub fn new(connections: u32, most: u32, poll: Poll) -> Result<Rings, Error> {
        let count = connections.div_ceil(most.max(1)).max(1);
        let table = connections.div_ceil(count);
        let rings = (0..count).map(|_| {
            let ring = Ring::new(count > 1 || poll != Poll::Sleep)?;
            let refused = |source| Error::FileTable { asked: table, source };
            ring.submitter().register_files_sparse(table).map_err(refused)?;
            Ok(ring)
        });
        let rings = rings.collect::<Result<Vec<_>, Error>>()?;
        let chime = if count > 1 { Some(Chime::new(&rings[1..])?) } else { None };
        let left = clock::now();
        Ok(Rings { rings, table, chime, enters: 0, overflows: 0, outside: 0, longest: 0, left })
    }

    /// The first one first.
    pub fn all(&self) -> &[Ring] {
        &self.rings
    }

    /// Where the file of `conn` is.
    pub fn file(&self, conn: Conn) -> File {
        if conn.0 < self.table {
            return File { ring: 0, index: conn.0 };
        }
        File { ring: (conn.0 / self.table) as usize, index: conn.0 % self.table }
    }

    /// The connection whose file that is.
    pub fn conn(&self, file: File) -> Conn {
        Conn(file.ring as u32 * self.table + file.index)
    }

    /// The connections that ring number `ring` has room for.
    pub fn conns(&self, ring: usize) -> Range<usize> {
        let table = self.table as usize;
        ring * table..(ring + 1) * table
    }

    /// Queues `entry` with ring number `ring`, submitting what is queued when the queue is full.
    ///
    /// # Safety
    /// As for [`Ring::push`].
    pub unsafe fn push(&mut self, ring: usize, entry: &squeue::Entry) -> Result<(), Error> {
        // SAFETY: forwarded to the caller.
        while !unsafe { self.rings[ring].push(entry) } {
            self.call(ring, 0, EnterFlags::empty())?;
        }
        Ok(())
    }

    /// Submits what is queued, and lets the kernel do what it has put off for this thread. Answers when that was over.
    pub fn submit(&mut self) -> Result<Nanos, Error> {
        self.serve_others()?;
        self.serve_first()
    }

    /// The same, and waits until something has completed.
    pub fn wait(&mut self) -> Result<Nanos, Error> {
        if !self.listen()? {
            return self.serve_first();
        }
        self.enter(0, 1)?;
        self.serve_others()
    }

    /// The same, but does not sleep, and gives up at `deadline`. Answers, too, for how long it had nothing to do.
    pub fn spin(&mut self, deadline: Nanos) -> Result<(Nanos, Nanos), Error> {
        let quiet = self.listen()?;
        let begun = self.serve_first()?;
        let (mut now, first) = (begun, &mut self.rings[0]);
        while quiet && now < deadline && !first.has_deferred() && !first.has_completed() {
            std::hint::spin_loop();
            now = clock::now();
        }
        let end = if first.has_deferred() { self.enter(0, 0)? } else { now };
        Ok((end.max(self.serve_others()?), now - begun))
    }

    /// Appends what has completed to `batch`.
    ///
    /// # Errors
    /// [`Error::Overflow`]: something has completed that will never be seen.
    pub fn reap(&mut self, batch: &mut VecDeque<cqueue::Entry>) -> Result<(), Error> {
        for ring in &mut self.rings {
            self.overflows += u64::from(ring.reap(batch)?);
        }
        Ok(())
    }

    /// Whether nothing waits to be submitted.
    pub fn is_idle(&mut self) -> bool {
        self.rings.iter_mut().all(Ring::is_idle)
    }

    /// Whether everything queued has been submitted, and what it completed with at once is to be reaped.
    pub fn is_settled(&mut self) -> bool {
        self.rings.iter_mut().all(Ring::is_settled)
    }

    /// The longest time between two calls since it was taken last.
    pub fn take_longest(&mut self) -> Nanos {
        mem::take(&mut self.longest)
    }

    /// The chime was struck.
    pub fn chimed(&mut self) {
        self.chime.as_mut().expect("who chimes is there").awaited = false;
    }

    /// Sees to the rings beside the first, and has the first hear of them. False when something has come meanwhile.
    fn listen(&mut self) -> Result<bool, Error> {
        self.serve_others()?;
        if self.rings[1..].iter_mut().any(Ring::has_completed) {
            return Ok(false);
        }
        let Some(chime) = self.chime.as_mut().filter(|chime| !chime.awaited) else { return Ok(true) };
        chime.hush();
        chime.awaited = true;
        let tag = Tag { op: Op::Chime, generation: 0, slot: 0 };
        let fd = types::Fd(chime.eventfd.as_raw_fd());
        let poll = opcode::PollAdd::new(fd, libc::POLLIN as u32).build().user_data(tag.bits());
        // SAFETY: points to no memory.
        unsafe { self.push(0, &poll)? };
        // What came before the chime was silent is seen here, and what comes now strikes it.
        Ok(!self.rings[1..].iter_mut().any(|ring| ring.has_deferred() || ring.has_completed()))
    }

    /// Submits what the first ring has queued, and does what the kernel has put off for it.
    fn serve_first(&mut self) -> Result<Nanos, Error> {
        let first = &mut self.rings[0];
        // Beside others it is watched, and one that is not watched does not know.
        if self.chime.is_some() && first.is_idle() && !first.has_deferred() {
            return Ok(clock::now());
        }
        self.enter(0, 0)
    }

    /// Submits what the rings beside the first have queued, and does what the kernel has put off for them.
    fn serve_others(&mut self) -> Result<Nanos, Error> {
        for number in 1..self.rings.len() {
            let ring = &mut self.rings[number];
            if !ring.is_idle() || ring.has_deferred() {
                self.enter(number, 0)?;
            }
        }
        Ok(self.left)
    }

    fn enter(&mut self, ring: usize, want: u32) -> Result<Nanos, Error> {
        // Also without waiting: deferred work is done in a call with this flag only.
        self.call(ring, want, EnterFlags::GETEVENTS)
    }

    fn call(&mut self, ring: usize, want: u32, flags: EnterFlags) -> Result<Nanos, Error> {
        self.enters += 1;
        let outside = clock::now() - self.left;
        self.outside += outside;
        self.longest = self.longest.max(outside);
        let result = self.rings[ring].enter(want, flags);
        self.left = clock::now();
        result.map(|()| self.left)
    }
}

impl Chime {
    fn new(rings: &[Ring]) -> Result<Chime, Error> {
        let eventfd = waker::eventfd(libc::EFD_NONBLOCK)?;
        for ring in rings {
            let setup = |source| Error::Setup { what: "an eventfd of a ring's", source };
            ring.submitter().register_eventfd(eventfd.as_raw_fd()).map_err(setup)?;
        }
        Ok(Chime { eventfd, awaited: false })
    }

    /// Forgets that it was struck.
    fn hush(&mut self) {
        let mut count = [0u8; 8];
        // SAFETY: eight bytes of ours. There is nothing to read where it was not struck.
        unsafe { libc::read(self.eventfd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}
