//! What an application may ask of its worker.

use super::arrival::Arrivals;
use super::buffers::{BufferId, GROUP, Pool};
use super::ring::{Op, Tag};
use super::rings::Rings;
use super::slots::{Ending, Slot, Slots, State};
use super::socket::{self, RawAddress};
use super::{CloseCause, Closed, Conn, Endpoint, Error, Link, Longest, Route, Stats, Usage};
use crate::clock::Nanos;
use io_uring::{opcode, squeue};
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::time::{SystemTime, UNIX_EPOCH};

/// `SOCKET_URING_OP_SIOCOUTQ` of the kernel's `io_uring.h`.
const OUT_QUEUE: u32 = 1;
/// Bytes of one send at most: the kernel cuts off what is beyond 2 GiB, and calls that success.
const LARGEST_SEND: usize = 1 << 30;

/// The worker as its [`App`](super::App) sees it.
pub struct Io {
    pub(super) rings: Rings,
    pub(super) slots: Slots,
    pub(super) pool: Pool,
    pub(super) now: Nanos,
    /// [`Link::arrived`].
    pub(super) arrived: Nanos,
    pub(super) arrivals: Arrivals,
    pub(super) stats: Stats,
    /// Slots with something to submit at the end of the pass.
    dirty: Vec<Conn>,
    /// Slots whose teardown is complete; the app is told at the end of the batch.
    pub(super) gone: Vec<(Conn, Closed)>,
    /// Destinations as the kernel reads them; boxed because submissions point to them.
    remotes: Vec<(Endpoint, Box<RawAddress>)>,
    /// Connections with a send that is queued or submitted, and not settled.
    pub(super) handed: Vec<Conn>,
    /// A send that is queued calls for more work as soon as it has gone.
    pub(super) urgent: bool,
    /// [`Link::foresee`].
    pub(super) foreseen: Option<Nanos>,
    /// [`Link::ask_unacked`], and what ending connections answered, unless that was nothing.
    ask_unacked: bool,
    unacked: BTreeMap<Conn, usize>,
    /// [`Longest::gap_ns`].
    pub(super) gap: Nanos,
    pub(super) open: u32,
    pub(super) stopping: bool,
    pub(super) failure: Option<Error>,
}

impl Io {
    pub(super) fn new(rings: Rings, connections: u32) -> Io {
        Io {
            rings,
            slots: Slots::with_room(connections),
            pool: Pool::default(),
            now: crate::clock::now(),
            arrived: 0,
            arrivals: Arrivals::new(),
            stats: Stats::default(),
            dirty: Vec::with_capacity(1024),
            gone: Vec::with_capacity(64),
            remotes: Vec::new(),
            handed: Vec::with_capacity(1024),
            urgent: false,
            foreseen: None,
            ask_unacked: false,
            unacked: BTreeMap::new(),
            gap: 0,
            open: 0,
            stopping: false,
            failure: None,
        }
    }

    fn raw_remote(&mut self, remote: &Endpoint) -> (*const libc::sockaddr, libc::socklen_t) {
        let known = self.remotes.iter().position(|(known, _)| known == remote);
        let index = known.unwrap_or_else(|| {
            self.remotes.push((remote.clone(), Box::new(RawAddress::new(remote))));
            self.remotes.len() - 1
        });
        let raw = &self.remotes[index].1;
        (raw.as_ptr(), raw.len)
    }

    /// Arms the multishot receive (Linux 6.0) of `conn`.
    pub(super) fn receive(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        slot.receiving = true;
        slot.outstanding += 1;
        let tag = Tag { op: Op::Receive, generation: slot.generation, slot: conn.0 };
        let file = self.rings.file(conn);
        let entry = if slot.stamped {
            opcode::RecvMsgMulti::new(file.fixed(), self.arrivals.message(), GROUP).build()
        } else {
            opcode::RecvMulti::new(file.fixed(), GROUP).build()
        };
        // SAFETY: the message is boxed and never changes while the worker lives; the provided buffers outlive the
        // ring's use of them.
        unsafe { self.push(file.ring, &entry.user_data(tag.bits())) };
    }

    /// Cancels whatever `conn` waits for and closes its file. The slot is free when the last
    /// completion is in.
    pub(super) fn tear_down(&mut self, conn: Conn, cause: CloseCause) {
        let slot = self.slots.get_mut(conn);
        if matches!(slot.state, State::Closing | State::Free) {
            return;
        }
        // Whatever ends the draining: it was closed from this side.
        slot.cause = if slot.state == State::Draining { CloseCause::Local } else { cause };
        slot.state = State::Closing;
        let waits = [(slot.connecting, Op::Connect), (slot.receiving, Op::Receive), (slot.blocked, Op::Room)];
        for (_, op) in waits.into_iter().filter(|(waits, _)| *waits) {
            self.cancel(conn, op);
        }
        if self.slots.get(conn).outstanding == 0 {
            self.end_file(conn);
        }
    }

    /// Asks what has not arrived, if anybody wants to know, and closes the file after that.
    fn end_file(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        if !self.ask_unacked || slot.ending == Ending::Asked {
            return self.close_file(conn);
        }
        slot.ending = Ending::Asked;
        slot.outstanding = 1;
        let tag = Tag { op: Op::Unacked, generation: slot.generation, slot: conn.0 };
        let file = self.rings.file(conn);
        let ask = opcode::UringCmd16::new(file.fixed(), OUT_QUEUE).build().user_data(tag.bits());
        // SAFETY: points to no memory.
        unsafe { self.push(file.ring, &ask) };
    }

    /// What the peer of `conn` had not acknowledged when it ended; an errno where the kernel does not say.
    pub(super) fn answered_unacked(&mut self, conn: Conn, result: i32) {
        if let Ok(bytes @ 1..) = usize::try_from(result) {
            self.unacked.insert(conn, bytes);
        }
    }

    /// Cancels what `conn` waits for with `op`.
    pub(super) fn cancel(&mut self, conn: Conn, op: Op) {
        let slot = self.slots.get_mut(conn);
        slot.outstanding += 1;
        let tag = |op| Tag { op, generation: slot.generation, slot: conn.0 }.bits();
        // By user_data, which the kernel finds by hash; by file it would look through all requests.
        let cancel = opcode::AsyncCancel::new(tag(op)).build().user_data(tag(Op::Cancel));
        // SAFETY: points to no memory.
        unsafe { self.push(self.rings.file(conn).ring, &cancel) };
    }

    /// Gives the slot back to the kernel, which may use it for the next connection it accepts: nothing may
    /// be outstanding by then, or that connection is announced before this one's last completion.
    fn close_file(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        slot.ending = Ending::Closed;
        slot.outstanding = 1;
        let tag = Tag { op: Op::Close, generation: slot.generation, slot: conn.0 };
        let file = self.rings.file(conn);
        let close = opcode::Close::new(file.fixed()).build().user_data(tag.bits());
        // SAFETY: points to no memory.
        unsafe { self.push(file.ring, &close) };
    }

    /// Counts one completion of `conn` as in; frees a closing slot with its last one.
    pub(super) fn completed(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        slot.outstanding -= 1;
        if slot.outstanding == 0 && slot.state == State::Closing {
            if slot.ending != Ending::Closed {
                return self.end_file(conn);
            }
            let slot = *slot;
            let len = |id: BufferId| if id.is_some() { self.pool.get(id).len() } else { 0 };
            let unsent = len(slot.sending) - slot.sent as usize + len(slot.out);
            for id in [slot.sending, slot.out, slot.carry] {
                if id.is_some() {
                    self.pool.put(id);
                }
            }
            let freed = self.slots.get_mut(conn);
            freed.state = State::Free;
            (freed.sending, freed.out, freed.carry) = (BufferId::NONE, BufferId::NONE, BufferId::NONE);
            self.open -= 1;
            let unacked = self.unacked.remove(&conn).unwrap_or(0);
            self.gone.push((conn, Closed { cause: slot.cause, unsent, unacked }));
        }
    }

    /// Queues one send for every connection that has bytes and none with the kernel.
    pub(super) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            let slot = self.slots.get_mut(conn);
            slot.dirty = false;
            if !slot.out.is_some() || slot.sending_now {
                continue;
            }
            match slot.state {
                State::Open | State::Draining if self.pool.get(slot.out).is_empty() => {
                    self.pool.put(std::mem::replace(&mut slot.out, BufferId::NONE));
                    self.drained(conn);
                }
                State::Open | State::Draining => {
                    slot.sending = std::mem::replace(&mut slot.out, BufferId::NONE);
                    slot.sent = 0;
                    self.send(conn);
                }
                // Freed with the slot's last completion.
                State::Closing | State::Connecting => {}
                State::Free => {
                    self.pool.put(std::mem::replace(&mut slot.out, BufferId::NONE));
                }
            }
        }
        self.dirty = dirty;
    }

    /// Sends what is left of the slot's `sending` buffer. `MSG_DONTWAIT` makes it complete within the
    /// enter that submits it. When all of it has gone, that is all: there is no completion
    /// (`IOSQE_CQE_SKIP_SUCCESS`, Linux 5.17). With `MSG_WAITALL` a part counts as a failure, and completes
    /// with its length; a full socket completes with EAGAIN.
    pub(super) fn send(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        slot.sending_now = true;
        slot.outstanding += 1;
        let sending = self.pool.get(slot.sending);
        assert!(sending.len() <= u32::MAX as usize, "{} bytes for one connection", sending.len());
        let rest = &sending[slot.sent as usize..];
        let tag = Tag { op: Op::Send, generation: slot.generation, slot: conn.0 };
        let file = self.rings.file(conn);
        let entry = opcode::Send::new(file.fixed(), rest.as_ptr(), rest.len().min(LARGEST_SEND) as u32)
            .flags(libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(tag.bits());
        // A part that was taken whole is still a part: its completion is wanted.
        let entry = if rest.len() > LARGEST_SEND { entry } else { entry.flags(squeue::Flags::SKIP_SUCCESS) };
        self.urgent |= slot.state == State::Draining || slot.blocked;
        self.handed.push(conn);
        self.stats.sends += 1;
        // SAFETY: the buffer belongs to the slot until this send is settled: `sending_now` keeps `out`
        // and `flush` off it, and `completed` returns it to the pool only with the last completion.
        unsafe { self.push(file.ring, &entry) };
    }

    /// Waits until the socket of `conn` has room again.
    pub(super) fn await_room(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        slot.blocked = true;
        slot.outstanding += 1;
        let tag = Tag { op: Op::Room, generation: slot.generation, slot: conn.0 };
        let file = self.rings.file(conn);
        let entry = opcode::PollAdd::new(file.fixed(), libc::POLLOUT as u32).build().user_data(tag.bits());
        self.stats.blocked += 1;
        // SAFETY: points to no memory.
        unsafe { self.push(file.ring, &entry) };
    }

    /// The last byte of `conn` has gone: closes it if it was waiting for that.
    pub(super) fn drained(&mut self, conn: Conn) {
        let slot: &Slot = self.slots.get(conn);
        if slot.state == State::Draining && !slot.out.is_some() && !slot.sending_now {
            self.tear_down(conn, CloseCause::Local);
        }
    }

    /// Marks `conn` for the next flush, if it has bytes.
    pub(super) fn mark(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        if slot.out.is_some() && !slot.dirty {
            slot.dirty = true;
            self.dirty.push(conn);
        }
    }

    /// Queues `entry` with ring number `ring`; one that refuses ends the worker after this pass.
    ///
    /// # Safety
    /// As for [`Rings::push`].
    pub(super) unsafe fn push(&mut self, ring: usize, entry: &squeue::Entry) {
        // SAFETY: forwarded to the caller.
        if let Err(error) = unsafe { self.rings.push(ring, entry) } {
            self.failure.get_or_insert(error);
        }
    }
}

impl Link for Io {
    #[inline]
    fn now(&self) -> Nanos {
        self.now
    }

    fn arrived(&self) -> Nanos {
        self.arrived
    }

    fn clock(&self) -> Nanos {
        crate::clock::now()
    }

    fn unix_ns(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
    }

    fn foresee(&mut self, deadline: Nanos) {
        self.foreseen = Some(deadline);
    }

    fn dial(&mut self, conn: Conn, route: &Route) -> io::Result<()> {
        let socket = socket::outgoing(route)?;
        let stamped = socket::stamp(&socket, route);
        // From here the file lives in the ring's table alone.
        let file = self.rings.file(conn);
        let ring = &self.rings.all()[file.ring];
        ring.submitter().register_files_update(file.index, &[socket.as_raw_fd()])?;
        drop(socket);
        let (address, len) = self.raw_remote(&route.remote);
        let slot = self.slots.open(conn, State::Connecting);
        slot.connecting = true;
        slot.stamped = stamped;
        slot.outstanding = 1;
        let tag = Tag { op: Op::Connect, generation: slot.generation, slot: conn.0 };
        self.open += 1;
        let entry = opcode::Connect::new(file.fixed(), address, len).build().user_data(tag.bits());
        // SAFETY: the address is boxed in `remotes`, which only grows while the worker lives.
        unsafe { self.push(file.ring, &entry) };
        Ok(())
    }

    #[inline]
    fn out(&mut self, conn: Conn) -> &mut Vec<u8> {
        let slot = self.slots.get_mut(conn);
        if !slot.out.is_some() {
            slot.out = self.pool.take();
        }
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(conn);
        }
        self.pool.get_mut(slot.out)
    }

    #[inline]
    fn unsent(&self, conn: Conn) -> usize {
        let slot = self.slots.get(conn);
        let len = |id: BufferId| if id.is_some() { self.pool.get(id).len() } else { 0 };
        len(slot.sending) - slot.sent as usize + len(slot.out)
    }

    #[inline]
    fn blocked(&self, conn: Conn) -> bool {
        self.slots.get(conn).blocked
    }

    fn hold(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        if slot.state != State::Open || std::mem::replace(&mut slot.held, true) || !slot.receiving {
            return;
        }
        self.cancel(conn, Op::Receive);
    }

    fn resume(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        // A receive that is still being cancelled is armed again when it ends.
        if std::mem::take(&mut slot.held) && slot.state == State::Open && !slot.receiving {
            self.receive(conn);
        }
    }

    fn close(&mut self, conn: Conn) {
        let slot = self.slots.get_mut(conn);
        match slot.state {
            State::Open if slot.out.is_some() || slot.sending_now => slot.state = State::Draining,
            State::Open | State::Connecting => self.abort(conn),
            State::Draining | State::Closing | State::Free => {}
        }
    }

    fn ask_unacked(&mut self) {
        self.ask_unacked = true;
    }

    fn abort(&mut self, conn: Conn) {
        self.tear_down(conn, CloseCause::Local);
    }

    fn connections(&self) -> u32 {
        self.open
    }

    fn stop(&mut self) {
        self.stopping = true;
    }

    fn stats(&self) -> Stats {
        let Rings { enters, outside, overflows, .. } = self.rings;
        Stats { enters, code_ns: outside, overflows, ..self.stats }
    }

    fn usage(&self) -> Usage {
        super::thread_usage()
    }

    fn longest(&mut self) -> Longest {
        Longest { gap_ns: mem::take(&mut self.gap), code_ns: self.rings.take_longest() }
    }
}
