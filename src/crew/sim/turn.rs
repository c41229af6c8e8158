//! One turn of a worker: what the engine's loop does, between two waits.

use super::events::{End, Event};
use super::link::{Ask, Completion, SimLink, State};
use super::net::Net;
use crate::clock::Nanos;
use crate::engine::{App, CloseCause, Closed, Conn};

/// Completions handled between two submissions.
const BATCH: usize = 256;
/// Turns in a row in which a worker neither heard nor did anything: it asks to be called again and again.
const MOST_IDLE_TURNS: u32 = 1000;

impl SimLink {
    /// Calls the application with what has happened, submits what it asked for, and says when the next turn is
    /// unless something happens before: `None` is never.
    pub(super) fn turn<A: App<SimLink>>(&mut self, app: &mut A, net: &mut Net) {
        self.now = net.now;
        self.arrived = self.now;
        self.clock.set(self.now);
        self.turn_at = None;
        let batch = self.inbox.len().min(BATCH);
        if self.started.is_none() {
            self.started = Some(self.now);
            self.call(false);
            app.started(self);
        } else {
            self.settle(app);
            for _ in 0..batch {
                let completion = self.inbox.pop_front().expect("counted");
                self.stats.completions += 1;
                self.dispatch(app, net, completion);
            }
            self.announce_gone(app);
        }
        self.call(true);
        let deadline = app.pass(self);
        self.flush();
        let idle = batch == 0 && self.asks.is_empty() && self.handed.is_empty();
        self.submit(net);
        if self.stopping {
            return self.end(net);
        }
        self.wait(net, deadline, idle);
    }

    /// What was handed to the kernel and has not failed has gone.
    fn settle<A: App<SimLink>>(&mut self, app: &mut A) {
        let mut handed = std::mem::take(&mut self.handed);
        for conn in handed.drain(..) {
            if self.slot(conn).sending_now {
                self.sent(app, conn);
            }
        }
        self.handed = handed;
        self.urgent = false;
    }

    fn dispatch<A: App<SimLink>>(&mut self, app: &mut A, net: &mut Net, completion: Completion) {
        match completion {
            Completion::Connected(conn, generation, errno) => {
                self.connected(app, net, conn, generation, errno);
            }
            Completion::Data(conn, generation, length, arrived) => {
                self.arrived = arrived.min(self.now);
                self.data(app, net, conn, generation, length);
                self.arrived = self.now;
            }
            Completion::NoBuffers(conn, generation) => {
                self.stats.no_buffers += 1;
                if self.current(conn, generation).is_some() {
                    self.rearm.push(conn);
                }
            }
            Completion::End(conn, generation, end) => self.ended(conn, generation, end),
            Completion::Part(conn, generation, taken) => {
                if self.current(conn, generation).is_some() {
                    self.part(conn, taken);
                }
            }
            Completion::Room(conn, generation) => {
                let open = |state| matches!(state, State::Open | State::Draining);
                if self.current(conn, generation).is_some_and(|slot| open(slot.state)) {
                    self.urgent = true;
                    self.asks.push(Ask::Send(conn));
                }
            }
            Completion::Gone(conn, generation) => self.slot_free(net, conn, generation),
            Completion::Bell => {
                self.bell_pending = false;
                self.call(false);
                app.woken(self);
            }
            Completion::Timeout(deadline) => {
                let late = self.now - deadline;
                self.lag.count += 1;
                self.lag.sum += late;
                self.lag.most = self.lag.most.max(late);
            }
        }
    }

    fn connected<A: App<SimLink>>(
        &mut self,
        app: &mut A,
        net: &mut Net,
        conn: Conn,
        generation: u32,
        errno: i32,
    ) {
        let Some(slot) = self.current(conn, generation).filter(|slot| slot.state == State::Connecting) else {
            return;
        };
        if errno != 0 {
            return self.tear_down(conn, CloseCause::ConnectFailed(errno));
        }
        slot.state = State::Open;
        let record = slot.record;
        net.truth.connections[record].established = Some(self.now);
        self.asks.push(Ask::Receive(conn));
        self.call(false);
        app.connected(self, conn);
        self.mark(conn);
    }

    /// Gives the application what was received, behind what it left over before.
    fn data<A: App<SimLink>>(
        &mut self,
        app: &mut A,
        net: &mut Net,
        conn: Conn,
        generation: u32,
        length: u32,
    ) {
        self.buffers += (length as usize).div_ceil(self.machine.buffer_size);
        let Some(slot) = self.current(conn, generation) else { return };
        let (key, live) = (slot.key, slot.is_live());
        let offered = slot.carry + length as usize;
        if !live {
            // A connection that drains takes what its peer says, and gives it to nobody.
            slot.carry = 0;
            if let Some(pair) = net.get_mut(key) {
                pair.down.consume(offered);
            }
            return;
        }
        self.stats.receives += 1;
        self.stats.bytes_in += u64::from(length);
        let now = self.now;
        net.given(key, length as usize, now);
        self.call(false);
        let pair = net.get_mut(key).expect("a live connection has its pair");
        let bytes = pair.down.front(offered);
        let used = app.data(self, conn, bytes);
        assert!(used <= offered, "worker {}: {used} of {offered} bytes used", self.id);
        pair.down.consume(used);
        self.slot(conn).carry = offered - used;
        self.most_carry = self.most_carry.max(offered - used);
    }

    fn ended(&mut self, conn: Conn, generation: u32, end: End) {
        let Some(slot) = self.current(conn, generation) else { return };
        slot.receiving = false;
        match (slot.state, end) {
            (State::Connecting | State::Open, End::Fin) => self.tear_down(conn, CloseCause::Eof),
            (State::Connecting | State::Open, End::Reset) => {
                self.tear_down(conn, CloseCause::Error(libc::ECONNRESET));
            }
            // The peer may read on after it has said all that it had to say.
            (State::Draining, End::Fin) => {}
            (State::Draining, End::Reset) => self.tear_down(conn, CloseCause::Local),
            (State::Closing | State::Free, _) => {}
        }
    }

    /// The kernel did not take everything.
    fn part(&mut self, conn: Conn, taken: Result<usize, i32>) {
        let slot = self.slot(conn);
        match taken {
            _ if slot.state == State::Closing => {}
            Err(errno) => self.tear_down(conn, CloseCause::Error(errno)),
            Ok(taken) => {
                slot.blocked = true;
                self.stats.bytes_out += taken as u64;
                self.stats.blocked += 1;
            }
        }
    }

    /// All of `sending` has gone.
    fn sent<A: App<SimLink>>(&mut self, app: &mut A, conn: Conn) {
        let slot = self.slot(conn);
        if slot.state == State::Closing {
            return;
        }
        slot.sending.clear();
        slot.sent = 0;
        slot.sending_now = false;
        let was_blocked = std::mem::take(&mut slot.blocked);
        let open = slot.state == State::Open;
        self.count_unsent(conn);
        if was_blocked && open {
            self.call(false);
            app.writable(self, conn);
        }
        self.mark(conn);
        self.drained(conn);
    }

    fn drained(&mut self, conn: Conn) {
        let slot = self.slot(conn);
        if slot.state == State::Draining && !slot.touched && !slot.sending_now {
            self.tear_down(conn, CloseCause::Local);
        }
    }

    fn slot_free(&mut self, net: &mut Net, conn: Conn, generation: u32) {
        let now = self.now;
        let slot = self.current(conn, generation).expect("a slot is freed once");
        assert_eq!(slot.state, State::Closing);
        let closed = Closed { cause: slot.cause, unsent: slot.unsent(), unacked: slot.unacked };
        slot.state = State::Free;
        let record = slot.record;
        slot.out.clear();
        slot.sending.clear();
        slot.sent = 0;
        slot.touched = false;
        net.truth.gone(record, now);
        self.count_unsent(conn);
        self.open -= 1;
        self.gone.push((conn, closed));
    }

    fn announce_gone<A: App<SimLink>>(&mut self, app: &mut A) {
        while let Some((conn, closed)) = self.gone.pop() {
            self.call(false);
            app.closed(self, conn, closed);
        }
        let mut rearm = std::mem::take(&mut self.rearm);
        for conn in rearm.drain(..) {
            let slot = self.slot(conn);
            if matches!(slot.state, State::Open | State::Draining) && !slot.held {
                self.asks.push(Ask::Receive(conn));
            }
        }
        self.rearm = rearm;
    }

    /// Hands over what has been appended.
    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            self.count_unsent(conn);
            let slot = self.slot(conn);
            slot.dirty = false;
            if slot.sending_now || !matches!(slot.state, State::Open | State::Draining) {
                continue;
            }
            slot.touched = false;
            if slot.out.is_empty() {
                self.drained(conn);
                continue;
            }
            std::mem::swap(&mut slot.out, &mut slot.sending);
            slot.sent = 0;
            slot.sending_now = true;
            let urgent = slot.state == State::Draining;
            self.urgent |= urgent;
            self.asks.push(Ask::Send(conn));
        }
        self.dirty = dirty;
    }

    /// The kernel takes what was asked of it, in that order.
    fn submit(&mut self, net: &mut Net) {
        self.stats.enters += 1;
        let cost = self.dice.within(&self.machine.enter);
        self.system(cost);
        let mut asks = std::mem::take(&mut self.asks);
        let dials = asks.iter().filter(|ask| matches!(ask, Ask::Dial(_))).count();
        self.most_dials = self.most_dials.max(dials);
        for ask in asks.drain(..) {
            match ask {
                Ask::Dial(conn) => {
                    let (id, time) = (self.id, self.clock.get());
                    let slot = self.slot(conn);
                    slot.key = net.dial(id, conn, slot.generation, time);
                    slot.record = net.get(slot.key).expect("just dialled").record;
                }
                Ask::Send(conn) => self.send(net, conn),
                Ask::Receive(conn) => {
                    let slot = self.slot(conn);
                    let wanted = matches!(slot.state, State::Open | State::Draining) && !slot.held;
                    if wanted && !slot.receiving {
                        slot.receiving = true;
                        self.receive(net, conn);
                    }
                }
                Ask::Close(conn) => {
                    let (id, time) = (self.id, self.clock.get());
                    let slot = self.slot(conn);
                    slot.receiving = false;
                    let (key, generation) = (slot.key, slot.generation);
                    slot.unacked = net.get(key).map_or(0, |pair| pair.up.in_flight());
                    net.close_client(key, time);
                    let gone = time + self.dice.within(&self.machine.close);
                    net.events.at(gone, Event::Gone(id, conn, generation));
                }
            }
        }
        self.asks = asks;
    }

    fn send(&mut self, net: &mut Net, conn: Conn) {
        let cost = self.dice.within(&self.machine.send);
        self.system(cost);
        let time = self.clock.get();
        let slot = &mut self.slots[conn.0 as usize];
        if !matches!(slot.state, State::Open | State::Draining) {
            return;
        }
        self.stats.sends += 1;
        let rest = slot.sending.len() - slot.sent;
        let result = net.send(slot.key, &slot.sending[slot.sent..], time);
        slot.sent += result.unwrap_or(0);
        if result == Ok(rest) {
            self.stats.bytes_out += rest as u64;
            self.handed.push(conn);
        } else {
            let generation = slot.generation;
            self.inbox.push_back(Completion::Part(conn, generation, result));
        }
        self.count_unsent(conn);
    }

    /// What waits in the kernel for `conn` becomes completions, as far as there are buffers.
    pub(super) fn receive(&mut self, net: &mut Net, conn: Conn) {
        let size = self.machine.buffer_size;
        let slot = &mut self.slots[conn.0 as usize];
        let (key, generation) = (slot.key, slot.generation);
        let Some(pair) = net.get_mut(key) else { return };
        while slot.receiving && pair.down.unread() > 0 {
            if self.buffers == 0 {
                slot.receiving = false;
                self.inbox.push_back(Completion::NoBuffers(conn, generation));
                break;
            }
            let length = pair.down.receive(size);
            self.buffers -= 1;
            let arrived = pair.down.arrived();
            self.inbox.push_back(Completion::Data(conn, generation, length as u32, arrived));
        }
        if slot.receiving
            && let Some(end) = slot.ended.take()
        {
            self.inbox.push_back(Completion::End(conn, generation, end));
        }
        net.make_down_room(key);
    }

    fn end(&mut self, net: &mut Net) {
        let time = self.clock.get();
        self.stopped = Some(time);
        self.busy_until = time;
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.state != State::Free {
                let (key, record) = (slot.key, slot.record);
                net.close_client(key, time);
                net.truth.gone(record, time);
            }
        }
    }

    /// When the next turn is.
    fn wait(&mut self, net: &mut Net, deadline: Option<Nanos>, idle: bool) {
        self.busy_until = self.clock.get();
        let foreseen = self.foreseen.take();
        let more = !self.inbox.is_empty() || self.urgent;
        let sleeps = !more && deadline.is_none_or(|deadline| self.arm(net, deadline, foreseen));
        self.idle_turns = if idle && !sleeps { self.idle_turns + 1 } else { 0 };
        assert!(
            self.idle_turns < MOST_IDLE_TURNS,
            "worker {} goes round in circles at {}: it asks for {deadline:?}",
            self.id,
            self.now
        );
        if sleeps {
            self.usage.voluntary_switches += 1;
        } else {
            self.turn_by(net, self.busy_until);
        }
    }

    /// Sees to it that something happens at `deadline`, as the engine does; false when that is now.
    fn arm(&mut self, net: &mut Net, deadline: Nanos, foreseen: Option<Nanos>) -> bool {
        if deadline <= self.now {
            return false;
        }
        let mut from = self.now;
        for deadline in [Some(deadline), foreseen.filter(|later| *later > deadline)].into_iter().flatten() {
            if !self.armed.iter().any(|armed| (from + 1..=deadline).contains(armed)) {
                self.armed.push(deadline);
                if deadline < Nanos::MAX / 2 {
                    net.events.at(deadline.max(self.busy_until), Event::Timer(self.id, deadline));
                }
            }
            from = deadline;
        }
        true
    }

    /// Something has happened: the worker runs when it has woken up, or has done what it is at.
    pub(super) fn notice(&mut self, net: &mut Net, completion: Completion) {
        self.inbox.push_back(completion);
        self.rouse(net);
    }

    /// Wakes the worker up.
    pub(super) fn rouse(&mut self, net: &mut Net) {
        if self.turn_at.is_none() && self.stopped.is_none() {
            let woken = net.now + self.dice.within(&self.machine.wake);
            self.turn_by(net, woken.max(self.busy_until));
        }
    }

    pub(super) fn turn_by(&mut self, net: &mut Net, time: Nanos) {
        self.turn_at = Some(time);
        net.events.at(time, Event::Turn(self.id));
    }
}
