//! A worker of the simulated world, as its application sees it.

use super::dice::{Dice, Span};
use super::net::Key;
use crate::clock::{MICROSECOND, Nanos};
use crate::crew::Link;
use crate::engine::{CloseCause, Closed, Conn, Longest, Route, Stats, Usage};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;

/// What a worker's machine is like: what everything costs, in time of its CPU unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Machine {
    /// A call of the application, but for `pass`.
    pub callback: Span,
    /// The end of a batch.
    pub pass: Span,
    /// Entering the kernel.
    pub enter: Span,
    /// Sending on one connection.
    pub send: Span,
    /// Reading the clock.
    pub read_clock: Nanos,
    /// From what happens to a sleeping worker to when it runs. No CPU time.
    pub wake: Span,
    /// How often a call is interrupted by somebody else who wants the CPU, and for how long.
    pub preempted: f64,
    pub preemption: Span,
    /// From the closing of a connection to when it is gone. No CPU time.
    pub close: Span,
    /// How often `dial` fails at once.
    pub dial_fails: f64,
    /// Receive buffers of a worker, and the bytes of each.
    pub buffers: usize,
    pub buffer_size: usize,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine {
            callback: 100..=1_500,
            pass: 200..=2_500,
            enter: 500..=3_000,
            send: 500..=4_000,
            read_clock: 60,
            wake: 2_000..=60_000,
            preempted: 0.0,
            preemption: 100 * MICROSECOND..=2_000 * MICROSECOND,
            close: 1_000..=40_000,
            dial_fails: 0.0,
            buffers: 1024,
            buffer_size: 4096,
        }
    }
}

impl Machine {
    /// Nothing takes time but the network.
    pub fn instant() -> Machine {
        let none = || 0..=0;
        Machine {
            callback: none(),
            pass: none(),
            enter: none(),
            send: none(),
            read_clock: 0,
            wake: none(),
            close: none(),
            ..Machine::default()
        }
    }
}

/// The state of a slot, as in the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Free,
    Connecting,
    Open,
    Draining,
    Closing,
}

/// One slot of a worker's table.
pub(super) struct Slot {
    pub state: State,
    pub key: Key,
    /// Index of the connection in the truth.
    pub record: usize,
    /// Tells the connections of this slot from each other.
    pub generation: u32,
    pub cause: CloseCause,
    /// Appended, not handed to the kernel; `touched` from the moment that somebody asked for it.
    pub out: Vec<u8>,
    pub touched: bool,
    /// Handed to the kernel, of which it has taken `sent`.
    pub sending: Vec<u8>,
    pub sent: usize,
    pub sending_now: bool,
    pub blocked: bool,
    pub dirty: bool,
    pub held: bool,
    /// A receive is armed.
    pub receiving: bool,
    /// Bytes given and not used.
    pub carry: usize,
    /// What was in flight when it was closed.
    pub unacked: usize,
    /// The peer's FIN or RST has been met while nobody received.
    pub ended: Option<super::events::End>,
    /// Bytes counted in [`SimLink::unsent_now`].
    pub counted: usize,
}

impl Slot {
    fn free() -> Slot {
        Slot {
            state: State::Free,
            key: Key::NONE,
            record: 0,
            generation: 0,
            cause: CloseCause::Local,
            out: Vec::new(),
            touched: false,
            sending: Vec::new(),
            sent: 0,
            sending_now: false,
            blocked: false,
            dirty: false,
            held: false,
            receiving: false,
            carry: 0,
            unacked: 0,
            ended: None,
            counted: 0,
        }
    }

    pub fn unsent(&self) -> usize {
        self.sending.len() - self.sent + self.out.len()
    }

    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Connecting | State::Open)
    }
}

/// Something for the kernel, in the order in which it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Dial(Conn),
    Send(Conn),
    Receive(Conn),
    Close(Conn),
}

/// Something that has happened and that the worker has not looked at. With slot and generation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Completion {
    Connected(Conn, u32, i32),
    Data(Conn, u32, u32, Nanos),
    NoBuffers(Conn, u32),
    End(Conn, u32, super::events::End),
    /// The kernel took a part, or failed with an errno.
    Part(Conn, u32, Result<usize, i32>),
    Room(Conn, u32),
    Gone(Conn, u32),
    Bell,
    Timeout(Nanos),
}

/// A worker of the simulated world. Time within a call goes on with what it costs.
pub struct SimLink {
    pub(super) id: u32,
    pub(super) machine: Machine,
    pub(super) dice: Dice,
    pub(super) now: Nanos,
    pub(super) arrived: Nanos,
    pub(super) clock: Cell<Nanos>,
    /// Added to the wall clock.
    pub(super) wall: i64,
    pub(super) slots: Vec<Slot>,
    pub(super) most: u32,
    pub(super) dirty: Vec<Conn>,
    pub(super) asks: Vec<Ask>,
    pub(super) open: u32,
    pub(super) foreseen: Option<Nanos>,
    pub(super) stopping: bool,
    pub(super) started: Option<Nanos>,
    pub(super) stopped: Option<Nanos>,
    pub(super) inbox: VecDeque<Completion>,
    pub(super) handed: Vec<Conn>,
    pub(super) gone: Vec<(Conn, Closed)>,
    pub(super) rearm: Vec<Conn>,
    /// A send calls for another look as soon as it has gone.
    pub(super) urgent: bool,
    pub(super) buffers: usize,
    pub(super) armed: Vec<Nanos>,
    pub(super) busy_until: Nanos,
    pub(super) turn_at: Option<Nanos>,
    pub(super) bell_pending: bool,
    /// Turns in a row in which nothing happened and nothing was done.
    pub(super) idle_turns: u32,
    pub(super) stats: Stats,
    pub(super) usage: Usage,
    /// What timers were late by: the sum, the most, and how many there were.
    pub(super) lag: Lag,
    pub(super) unsent_now: usize,
    pub(super) most_unsent: usize,
    pub(super) most_unsent_of_one: usize,
    pub(super) most_carry: usize,
    pub(super) most_dials: usize,
}

/// How late a worker ran after its timeouts had fired.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Lag {
    pub count: u64,
    pub sum: Nanos,
    pub most: Nanos,
}

/// The wall clock when the world's clock is 0.
pub const WALL_NS: u64 = 1_700_000_000_000_000_000;

impl SimLink {
    pub(super) fn new(id: u32, machine: Machine, most: u32, seed: u64, start: Nanos) -> SimLink {
        SimLink {
            id,
            dice: Dice::new(seed, "sim worker", id.into()),
            now: start,
            arrived: start,
            clock: Cell::new(start),
            wall: 0,
            slots: Vec::new(),
            most,
            dirty: Vec::new(),
            asks: Vec::new(),
            open: 0,
            foreseen: None,
            stopping: false,
            started: None,
            stopped: None,
            inbox: VecDeque::new(),
            handed: Vec::new(),
            gone: Vec::new(),
            rearm: Vec::new(),
            urgent: false,
            buffers: machine.buffers,
            armed: Vec::new(),
            busy_until: start,
            turn_at: None,
            bell_pending: false,
            idle_turns: 0,
            stats: Stats::default(),
            usage: Usage::default(),
            lag: Lag::default(),
            unsent_now: 0,
            most_unsent: 0,
            most_unsent_of_one: 0,
            most_carry: 0,
            most_dials: 0,
            machine,
        }
    }

    pub(super) fn slot(&mut self, conn: Conn) -> &mut Slot {
        &mut self.slots[conn.0 as usize]
    }

    /// The slot, unless its connection has gone since.
    pub(super) fn current(&mut self, conn: Conn, generation: u32) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(conn.0 as usize)?;
        (slot.state != State::Free && slot.generation == generation).then_some(slot)
    }

    /// A call of the application begins, and costs what it costs.
    pub(super) fn call(&mut self, pass: bool) {
        let cost = self.dice.within(if pass { &self.machine.pass } else { &self.machine.callback });
        self.clock.set(self.clock.get() + cost);
        self.usage.user_ns += cost;
        if self.dice.chance(self.machine.preempted) {
            let pause = self.dice.within(&self.machine.preemption);
            self.clock.set(self.clock.get() + pause);
            self.usage.involuntary_switches += 1;
        }
    }

    /// The kernel works for the worker.
    pub(super) fn system(&mut self, cost: Nanos) {
        self.clock.set(self.clock.get() + cost);
        self.usage.system_ns += cost;
    }

    pub(super) fn tear_down(&mut self, conn: Conn, cause: CloseCause) {
        let Some(slot) = self.slots.get_mut(conn.0 as usize) else { return };
        if !matches!(slot.state, State::Closing | State::Free) {
            slot.state = State::Closing;
            slot.cause = cause;
            self.asks.push(Ask::Close(conn));
        }
    }

    /// Marks `conn` for the flush, if somebody has asked for its buffer.
    pub(super) fn mark(&mut self, conn: Conn) {
        let slot = &mut self.slots[conn.0 as usize];
        if slot.touched && !slot.dirty {
            slot.dirty = true;
            self.dirty.push(conn);
        }
    }

    /// Counts what is unsent for `conn` anew.
    pub(super) fn count_unsent(&mut self, conn: Conn) {
        let slot = &mut self.slots[conn.0 as usize];
        let unsent = if slot.state == State::Free { 0 } else { slot.unsent() };
        self.unsent_now = self.unsent_now + unsent - std::mem::replace(&mut slot.counted, unsent);
        self.most_unsent = self.most_unsent.max(self.unsent_now);
        self.most_unsent_of_one = self.most_unsent_of_one.max(unsent);
    }
}

impl Link for SimLink {
    fn now(&self) -> Nanos {
        self.now
    }

    fn arrived(&self) -> Nanos {
        self.arrived
    }

    fn clock(&self) -> Nanos {
        self.clock.set(self.clock.get() + self.machine.read_clock);
        self.clock.get()
    }

    fn unix_ns(&self) -> u64 {
        (WALL_NS + self.clock()).saturating_add_signed(self.wall)
    }

    fn foresee(&mut self, deadline: Nanos) {
        self.foreseen = Some(deadline);
    }

    fn dial(&mut self, conn: Conn, _: &Route) -> io::Result<()> {
        assert!(conn.0 < self.most, "worker {}: {conn:?} of a table of {}", self.id, self.most);
        while self.slots.len() <= conn.0 as usize {
            self.slots.push(Slot::free());
        }
        assert_eq!(self.slots[conn.0 as usize].state, State::Free, "worker {}: {conn:?} is in use", self.id);
        if self.dice.chance(self.machine.dial_fails) {
            return Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL));
        }
        let slot = self.slot(conn);
        let generation = slot.generation + 1;
        let (mut out, mut sending) = (std::mem::take(&mut slot.out), std::mem::take(&mut slot.sending));
        out.clear();
        sending.clear();
        // A write before this was refused, so the slot is in no list.
        *slot = Slot { state: State::Connecting, generation, out, sending, ..Slot::free() };
        self.open += 1;
        self.asks.push(Ask::Dial(conn));
        Ok(())
    }

    fn out(&mut self, conn: Conn) -> &mut Vec<u8> {
        let id = self.id;
        let slot = self.slots.get_mut(conn.0 as usize).filter(|slot| slot.state != State::Free);
        let slot = slot.unwrap_or_else(|| panic!("worker {id}: a write to {conn:?}, which is free"));
        slot.touched = true;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(conn);
        }
        &mut slot.out
    }

    fn unsent(&self, conn: Conn) -> usize {
        self.slots[conn.0 as usize].unsent()
    }

    fn blocked(&self, conn: Conn) -> bool {
        self.slots[conn.0 as usize].blocked
    }

    fn hold(&mut self, conn: Conn) {
        let slot = self.slot(conn);
        if slot.state == State::Open {
            slot.held = true;
            slot.receiving = false;
        }
    }

    fn resume(&mut self, conn: Conn) {
        let slot = self.slot(conn);
        if std::mem::take(&mut slot.held) && slot.state == State::Open {
            self.asks.push(Ask::Receive(conn));
        }
    }

    fn close(&mut self, conn: Conn) {
        let Some(slot) = self.slots.get_mut(conn.0 as usize) else { return };
        match slot.state {
            State::Open if slot.touched || slot.sending_now => slot.state = State::Draining,
            State::Open | State::Connecting => self.tear_down(conn, CloseCause::Local),
            State::Draining | State::Closing | State::Free => {}
        }
    }

    fn ask_unacked(&mut self) {}

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
        Stats { code_ns: self.usage.user_ns, ..self.stats }
    }

    fn longest(&mut self) -> Longest {
        Longest::default()
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}
