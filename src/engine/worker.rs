//! The loop.

use super::arrival;
use super::buffers::{BufferId, Provided};
use super::io::Io;
use super::ring::{Op, Tag};
use super::rings::{File, Rings};
use super::slots::State;
use super::timeouts::Timeouts;
use super::{App, CloseCause, Config, Conn, Error, Link, Poll, Stats, Waker};
use crate::clock::{self, MICROSECOND, MILLISECOND, Nanos};
use io_uring::{cqueue, opcode, types};
use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// Completions handled between two looks at the clock and two submissions.
const BATCH: usize = 256;
/// From an accept that failed, although a slot was free, to the next.
const ACCEPT_AGAIN: Nanos = 100 * MILLISECOND;
/// So long before a deadline a worker that is to be punctual wakes up: more than what waking up takes, mostly.
const AHEAD: Nanos = 50 * MICROSECOND;

/// One thread's rings with their connections. Must be made on the thread that runs it.
pub struct Worker {
    // Dropped first: the kernel lets go of the memory below with the rings.
    io: Io,
    /// The buffers of each ring.
    provided: Vec<Provided>,
    timeouts: Timeouts,
    doors: Vec<Door>,
    /// When to accept again although no connection has gone.
    accept_again: Option<Nanos>,
    poll: Poll,
    waker: Waker,
    /// Where the kernel puts the eventfd's counter.
    bell: Box<[u8; 8]>,
    /// Connections whose receive ended without an error.
    rearm: Vec<Conn>,
}

/// Where connections come in to one of the rings.
struct Door {
    listener: TcpListener,
    /// The accept ended for want of a slot or of memory.
    paused: bool,
}

impl Worker {
    /// Sets up the rings with their tables, for `config.connections` registered files in all, and their buffers.
    pub fn new(config: Config) -> Result<Worker, Error> {
        let rings = Rings::new(config.connections, config.table, config.poll)?;
        assert!(config.listeners.len() <= rings.all().len(), "a ring for each socket that listens");
        let provided = rings.all().iter().map(|ring| Provided::new(ring, config.buffers, config.buffer_size));
        let provided = provided.collect::<Result<_, _>>()?;
        let door = |listener| Door { listener, paused: false };
        Ok(Worker {
            io: Io::new(rings, config.connections),
            provided,
            timeouts: Timeouts::new(),
            doors: config.listeners.into_iter().map(door).collect(),
            accept_again: None,
            poll: config.poll,
            waker: config.waker,
            bell: Box::new([0; 8]),
            rearm: Vec::with_capacity(BATCH),
        })
    }

    /// Runs `app` until it calls [`Link::stop`].
    pub fn run<A: App>(mut self, app: &mut A) -> Result<Stats, Error> {
        let mut batch: VecDeque<cqueue::Entry> = VecDeque::with_capacity(BATCH);
        self.await_bell();
        (0..self.doors.len()).for_each(|ring| self.accept(ring));
        app.started(&mut self.io);
        let mut deadline = self.pass(app);
        loop {
            self.io.flush();
            if let Some(failure) = self.io.failure.take() {
                return Err(failure);
            }
            if self.io.stopping {
                // Submits the closes; the kernel does the rest when the ring goes.
                self.io.rings.submit()?;
                return Ok(self.io.stats());
            }
            let (more, returned) = (!batch.is_empty() || self.io.urgent, self.io.rings.left);
            self.io.now = self.wait(!batch.is_empty(), deadline)?;
            // What had nothing to do until its deadline has not stood still before.
            let idle = if more { returned } else { deadline.unwrap_or(Nanos::MAX).max(returned) };
            self.io.gap = self.io.gap.max(self.io.now.saturating_sub(idle));
            self.io.arrived = self.io.now;
            self.io.arrivals.begin();
            self.reap(&mut batch)?;
            self.settle(app);
            for completion in batch.drain(..batch.len().min(BATCH)) {
                self.io.stats.completions += 1;
                self.dispatch(app, &completion);
            }
            self.rearm();
            self.provided.iter_mut().for_each(Provided::publish);
            self.announce_gone(app);
            deadline = self.pass(app);
        }
    }

    /// Lets `app` do what is due, and answers when the next pass is to be at the latest.
    fn pass<A: App>(&mut self, app: &mut A) -> Option<Nanos> {
        if self.accept_again.is_some_and(|again| again <= self.io.now) {
            self.accept_again = None;
            for ring in 0..self.doors.len() {
                self.resume_accept(ring);
            }
        }
        let asked = app.pass(&mut self.io);
        asked.into_iter().chain(self.accept_again).min()
    }

    /// Submits, and waits for something to do, unless there is something already. Answers when that was over.
    fn wait(&mut self, more: bool, deadline: Option<Nanos>) -> Result<Nanos, Error> {
        let foreseen = self.io.foreseen.take();
        if more && self.io.rings.is_idle() {
            return Ok(clock::now());
        }
        if more || self.io.urgent {
            return self.io.rings.submit();
        }
        let ahead = match self.poll {
            Poll::Sleep => 0,
            Poll::Auto => AHEAD,
            Poll::Busy => Nanos::MAX,
        };
        match deadline {
            None if self.poll == Poll::Busy => self.spin(Nanos::MAX),
            Some(deadline) if ahead > 0 && deadline.saturating_sub(self.io.now) <= ahead => {
                self.spin(deadline)
            }
            Some(deadline)
                if !self.arm(deadline - ahead, foreseen.map(|foreseen| foreseen.saturating_sub(ahead))) =>
            {
                self.io.rings.submit()
            }
            _ => self.io.rings.wait(),
        }
    }

    /// Submits, and looks for something to do until `deadline`.
    fn spin(&mut self, deadline: Nanos) -> Result<Nanos, Error> {
        let (now, spun) = self.io.rings.spin(deadline)?;
        self.io.stats.spun_ns += spun;
        Ok(now)
    }

    /// Sees to it that something completes at `deadline`; false when that is now.
    fn arm(&mut self, deadline: Nanos, foreseen: Option<Nanos>) -> bool {
        let now = self.io.now;
        if deadline <= now {
            return false;
        }
        // The later one second: what the kernel has to program is the earliest.
        let mut from = now;
        for deadline in [Some(deadline), foreseen.filter(|later| *later > deadline)].into_iter().flatten() {
            if !self.timeouts.fires(from, deadline) {
                // Without a timeout for the deadline itself the worker goes round until one has fired.
                let Some(entry) = self.timeouts.arm(deadline) else { return from != now };
                // SAFETY: it points into the box of `timeouts`, which outlives the rings (field order).
                unsafe { self.io.push(0, &entry) };
            }
            from = deadline;
        }
        true
    }

    /// Takes what has completed. A send that says anything has failed: see [`Io::send`].
    fn reap(&mut self, batch: &mut VecDeque<cqueue::Entry>) -> Result<(), Error> {
        let known = batch.len();
        self.io.rings.reap(batch)?;
        for completion in batch.range(known..) {
            let tag = Tag::from_bits(completion.user_data());
            if tag.op == Op::Send
                && let Some(slot) = self.io.slots.current(tag)
            {
                slot.send_failed = true;
            }
        }
        Ok(())
    }

    /// What has been handed to the kernel and has not failed has gone; what has failed is dealt with when its
    /// completion is handled. As long as some of either may not have been seen, those that have not failed wait.
    fn settle<A: App>(&mut self, app: &mut A) {
        let settled = self.io.rings.is_settled();
        let mut handed = std::mem::take(&mut self.io.handed);
        handed.retain(|conn| {
            let failed = self.io.slots.get(*conn).send_failed;
            if settled && !failed {
                self.sent(app, *conn);
                self.io.completed(*conn);
            }
            !settled && !failed
        });
        self.io.handed = handed;
        self.io.urgent &= !settled;
    }

    fn dispatch<A: App>(&mut self, app: &mut A, completion: &cqueue::Entry) {
        let tag = Tag::from_bits(completion.user_data());
        let result = completion.result();
        match tag.op {
            Op::Accept => return self.accepted(app, tag.slot as usize, completion),
            Op::Wake => {
                self.waker.heard();
                self.await_bell();
                return app.woken(&mut self.io);
            }
            Op::Receive => return self.received(app, tag, completion),
            Op::Timeout => return self.timeouts.fired(tag.slot),
            Op::Chime => return self.io.rings.chimed(),
            Op::Connect | Op::Send | Op::Room | Op::Cancel | Op::Close | Op::Unacked => {}
        }
        let conn = Conn(tag.slot);
        if self.io.slots.current(tag).is_none() {
            return;
        }
        match tag.op {
            Op::Connect => self.connected(app, conn, result),
            Op::Send => self.send_failed(app, conn, result),
            Op::Room => self.room(conn),
            Op::Cancel => self.cancelled(conn, result),
            Op::Unacked => self.io.answered_unacked(conn, result),
            _ => {}
        }
        self.io.completed(conn);
    }

    fn connected<A: App>(&mut self, app: &mut A, conn: Conn, result: i32) {
        let slot = self.io.slots.get_mut(conn);
        slot.connecting = false;
        if slot.state != State::Connecting {
            return;
        }
        if result < 0 {
            return self.io.tear_down(conn, CloseCause::ConnectFailed(-result));
        }
        slot.state = State::Open;
        self.io.receive(conn);
        app.connected(&mut self.io, conn);
        self.io.mark(conn);
    }

    /// A connect to a Unix socket whose backlog is full goes from place to place in the kernel, and is not found in
    /// between: it is looked for until it has ended.
    fn cancelled(&mut self, conn: Conn, result: i32) {
        let slot = self.io.slots.get(conn);
        let missed = matches!(-result, libc::ENOENT | libc::EALREADY);
        if missed && slot.connecting && slot.state == State::Closing {
            self.io.cancel(conn, Op::Connect);
        }
    }

    /// Accepts into ring number `ring`.
    fn accept(&mut self, ring: usize) {
        let tag = Tag { op: Op::Accept, generation: 0, slot: ring as u32 };
        let entry = opcode::AcceptMulti::new(types::Fd(self.doors[ring].listener.as_raw_fd()))
            .allocate_file_index(true)
            .build()
            .user_data(tag.bits());
        // SAFETY: points to no memory of ours: peer addresses are not asked for.
        unsafe { self.io.push(ring, &entry) };
    }

    /// Accepts again into ring number `ring`, where that has ended and there is room.
    fn resume_accept(&mut self, ring: usize) {
        let Some(door) = self.doors.get_mut(ring).filter(|door| door.paused) else { return };
        if !self.io.slots.are_taken(self.io.rings.conns(ring)) {
            door.paused = false;
            self.accept(ring);
        }
    }

    fn accepted<A: App>(&mut self, app: &mut A, ring: usize, completion: &cqueue::Entry) {
        let result = completion.result();
        if result >= 0 {
            let conn = self.io.rings.conn(File { ring, index: result as u32 });
            // The slot may be that of a connection which has gone in this very batch.
            self.announce_gone(app);
            self.io.slots.open(conn, State::Open);
            self.io.open += 1;
            self.io.receive(conn);
            app.accepted(&mut self.io, conn);
        }
        if cqueue::more(completion.flags()) {
            return;
        }
        match -result {
            // Every slot is taken: go on when a connection has gone. Or the whole system is short of files or of
            // memory, and none of ours may ever go: look again from time to time.
            libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => {
                self.io.stats.accept_refused += 1;
                self.doors[ring].paused = true;
                let full = self.io.slots.are_taken(self.io.rings.conns(ring));
                self.accept_again = self.accept_again.or((!full).then_some(self.io.now + ACCEPT_AGAIN));
            }
            ..=0 | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN => self.accept(ring),
            errno => {
                let source = std::io::Error::from_raw_os_error(errno);
                self.io.failure = Some(Error::Setup { what: "accepting connections", source });
            }
        }
    }

    fn received<A: App>(&mut self, app: &mut A, tag: Tag, completion: &cqueue::Entry) {
        let (conn, result, flags) = (Conn(tag.slot), completion.result(), completion.flags());
        let buffer = cqueue::buffer_select(flags);
        let last = !cqueue::more(flags);
        if let Some(slot) = self.io.slots.current(tag) {
            slot.receiving = !last;
            let live = slot.is_live();
            let ahead = if slot.stamped && result > 0 { arrival::SPACE } else { 0 };
            match (result - ahead as i32, buffer) {
                (1.., Some(id)) if live => self.data(app, conn, id, (ahead, result as usize)),
                (0, _) if live => self.io.tear_down(conn, CloseCause::Eof),
                // The peer of a draining connection has said all, and may still read: there is nothing to receive
                // any more, and what is unsent goes on.
                (0, _) => slot.held = true,
                (..0, _) if !transient(result) => self.io.tear_down(conn, CloseCause::Error(-result)),
                // Whatever else its peer says is for nobody.
                _ => {}
            }
            self.io.arrived = self.io.now;
            if result == -libc::ENOBUFS {
                self.io.stats.no_buffers += 1;
            }
            if last {
                self.io.completed(conn);
                self.rearm.push(conn);
            }
        }
        if let Some(id) = buffer {
            self.provided[self.io.rings.file(conn).ring].give_back(id);
        }
    }

    /// Gives the app the bytes of buffer `id` from one place to another, behind those it left over before.
    fn data<A: App>(&mut self, app: &mut A, conn: Conn, id: u16, (from, to): (usize, usize)) {
        let received = self.provided[self.io.rings.file(conn).ring].bytes(id, to);
        if from > 0 {
            self.io.arrived = self.io.arrivals.of(received, self.io.now);
        }
        let bytes = &received[from..];
        self.io.stats.receives += 1;
        self.io.stats.bytes_in += bytes.len() as u64;
        let slot = self.io.slots.get_mut(conn);
        let carry = std::mem::replace(&mut slot.carry, BufferId::NONE);
        if !carry.is_some() {
            let used = app.data(&mut self.io, conn, bytes);
            assert!(used <= bytes.len(), "{used} of {} bytes used", bytes.len());
            if used < bytes.len() {
                let carry = self.io.pool.take();
                self.io.pool.get_mut(carry).extend_from_slice(&bytes[used..]);
                self.io.slots.get_mut(conn).carry = carry;
            }
            return;
        }
        let mut joined = std::mem::take(self.io.pool.get_mut(carry));
        joined.extend_from_slice(bytes);
        let used = app.data(&mut self.io, conn, &joined);
        joined.drain(..used);
        let empty = joined.is_empty();
        *self.io.pool.get_mut(carry) = joined;
        if empty {
            self.io.pool.put(carry);
        } else {
            self.io.slots.get_mut(conn).carry = carry;
        }
    }

    fn send_failed<A: App>(&mut self, app: &mut A, conn: Conn, result: i32) {
        let slot = self.io.slots.get_mut(conn);
        slot.send_failed = false;
        let sent = result.max(0) as u32;
        slot.sent += sent;
        self.io.stats.bytes_out += u64::from(sent);
        if slot.state == State::Closing {
            return;
        }
        if result < 0 && result != -libc::EAGAIN {
            return self.io.tear_down(conn, CloseCause::Error(-result));
        }
        if (slot.sent as usize) < self.io.pool.get(slot.sending).len() {
            return self.io.await_room(conn);
        }
        self.sent(app, conn);
    }

    /// All of `sending` has gone.
    fn sent<A: App>(&mut self, app: &mut A, conn: Conn) {
        let slot = self.io.slots.get_mut(conn);
        let len = self.io.pool.get(slot.sending).len();
        self.io.stats.bytes_out += (len - slot.sent as usize) as u64;
        if slot.state == State::Closing {
            // Of what the kernel has taken, nothing is unsent.
            slot.sent = len as u32;
            return;
        }
        let sending = std::mem::replace(&mut slot.sending, BufferId::NONE);
        self.io.pool.put(sending);
        slot.sent = 0;
        slot.sending_now = false;
        let was_blocked = std::mem::take(&mut slot.blocked);
        if was_blocked && slot.state == State::Open {
            app.writable(&mut self.io, conn);
        }
        self.io.mark(conn);
        self.io.drained(conn);
    }

    /// The socket has room: send the rest. Still `blocked` until all of it has gone.
    fn room(&mut self, conn: Conn) {
        if matches!(self.io.slots.get(conn).state, State::Open | State::Draining) {
            self.io.send(conn);
        }
    }

    /// Arms receives that ended with their connection alive: the buffers ran out, or the kernel ended
    /// the multishot, which it may at any time.
    fn rearm(&mut self) {
        while let Some(conn) = self.rearm.pop() {
            let slot = self.io.slots.get(conn);
            if matches!(slot.state, State::Open | State::Draining) && !slot.receiving && !slot.held {
                self.io.receive(conn);
            }
        }
    }

    fn announce_gone<A: App>(&mut self, app: &mut A) {
        while let Some((conn, closed)) = self.io.gone.pop() {
            app.closed(&mut self.io, conn, closed);
            self.resume_accept(self.io.rings.file(conn).ring);
        }
    }

    fn await_bell(&mut self) {
        let tag = Tag { op: Op::Wake, generation: 0, slot: 0 };
        let entry = opcode::Read::new(types::Fd(self.waker.fd()), self.bell.as_mut_ptr(), 8)
            .build()
            .user_data(tag.bits());
        // SAFETY: the eight bytes are boxed and live until after the rings (field order).
        unsafe { self.io.push(0, &entry) };
    }
}

/// Errors after which the receive is simply armed again.
fn transient(result: i32) -> bool {
    // ECANCELED: `Link::hold`; a connection that is torn down is live no more when it comes.
    matches!(-result, libc::ENOBUFS | libc::EAGAIN | libc::EINTR | libc::ECANCELED)
}
