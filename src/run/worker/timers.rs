//! Deadlines. Each kind has a constant delay, so its queue is first in, first out: no heap, no wheel.

use super::{Clients, Phase, Step};
use crate::client::KeepAlive;
use crate::clock::{MILLISECOND, Nanos};
use crate::engine::{Conn, Io};
use crate::run::Spec;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A time in milliseconds of the process clock and a client: 8 bytes a client, good for 49 days.
type Entry = (u32, u32);

fn to_millis(time: Nanos) -> u32 {
    (time / MILLISECOND) as u32
}

fn to_nanos(millis: u32) -> Nanos {
    Nanos::from(millis) * MILLISECOND
}

/// One kind of deadline.
struct Fifo {
    delay: Nanos,
    entries: VecDeque<Entry>,
}

impl Fifo {
    fn new(delay: Nanos, capacity: usize) -> Fifo {
        Fifo { delay, entries: VecDeque::with_capacity(capacity) }
    }

    fn push(&mut self, now: Nanos, conn: Conn) {
        if self.delay > 0 {
            self.entries.push_back((to_millis(now + self.delay) + 1, conn.0));
        }
    }

    fn pop(&mut self, now: Nanos) -> Option<Conn> {
        let (due, conn) = *self.entries.front()?;
        if to_nanos(due) > now {
            return None;
        }
        self.entries.pop_front();
        Some(Conn(conn))
    }

    fn next(&self) -> Option<Nanos> {
        self.entries.front().map(|(due, _)| to_nanos(*due))
    }
}

pub struct Timers {
    /// Steps of connecting that may take too long.
    steps: Fifo,
    /// Every client with a keepalive is looked at this often.
    keepalive: Fifo,
    /// Every publisher with messages in flight is looked at this often.
    acks: Fifo,
    /// Whether a publisher is in `acks`.
    watched: Vec<bool>,
    ack_timeout: Nanos,
    /// Clients that will try to connect again.
    retries: BinaryHeap<Reverse<(Nanos, u32)>>,
}

/// A client is looked at this many times within a keepalive or an acknowledgement timeout.
const LOOKS: Nanos = 4;

impl Timers {
    pub fn new(spec: &Spec, members: usize, publishers: usize) -> Timers {
        let plan = &spec.plan;
        let keepalive = plan.keepalive_ns / LOOKS;
        Timers {
            steps: Fifo::new(plan.connect_timeout_ns, 0),
            keepalive: Fifo::new(keepalive, if keepalive > 0 { members } else { 0 }),
            acks: Fifo::new((plan.ack_timeout_ns / LOOKS).max(1), 0),
            watched: vec![false; publishers],
            ack_timeout: plan.ack_timeout_ns,
            retries: BinaryHeap::new(),
        }
    }

    /// A step of connecting began.
    pub fn await_step(&mut self, now: Nanos, conn: Conn) {
        self.steps.push(now, conn);
    }

    /// A connection is up.
    pub fn keep_alive(&mut self, now: Nanos, conn: Conn) {
        self.keepalive.push(now, conn);
    }

    /// A message is in flight; `first` when it is the only one of its publisher.
    #[inline]
    pub fn await_ack(&mut self, conn: Conn, now: Nanos, first: bool) {
        if first && !std::mem::replace(&mut self.watched[conn.0 as usize], true) {
            self.acks.push(now, conn);
        }
    }

    /// Tries to connect again at `time`.
    pub fn retry(&mut self, time: Nanos, conn: Conn) {
        self.retries.push(Reverse((time, conn.0)));
    }
}

impl Clients {
    /// Does what is due; answers when to look again.
    pub(super) fn run_timers(&mut self, io: &mut Io) -> Option<Nanos> {
        let now = io.now();
        while let Some(conn) = self.timers.steps.pop(now) {
            self.check_step(io, conn);
        }
        while let Some(conn) = self.timers.keepalive.pop(now) {
            self.check_keepalive(io, conn);
        }
        while let Some(conn) = self.timers.acks.pop(now) {
            self.check_acks(io, conn);
        }
        while let Some(&Reverse((time, conn))) = self.timers.retries.peek() {
            if time > now {
                break;
            }
            self.timers.retries.pop();
            self.connecting.retry(Conn(conn));
        }
        let timers = &self.timers;
        let retry = timers.retries.peek().map(|Reverse((time, _))| *time);
        [timers.steps.next(), timers.keepalive.next(), timers.acks.next(), retry].into_iter().flatten().min()
    }

    fn check_step(&mut self, io: &mut Io, conn: Conn) {
        let timeout = self.shared.spec.plan.connect_timeout_ns;
        let member = &mut self.members[conn.0 as usize];
        // An entry of an earlier attempt or step: the one that counts is behind it.
        if io.now() < member.since + timeout {
            return;
        }
        match member.step {
            Step::Tcp | Step::ConnAck => self.connect_timed_out(io, conn),
            Step::SubAck => self.subscribe_timed_out(io, conn),
            Step::Down | Step::Up | Step::Leaving => {}
        }
    }

    fn check_keepalive(&mut self, io: &mut Io, conn: Conn) {
        let member = &mut self.members[conn.0 as usize];
        if !matches!(member.step, Step::Up | Step::SubAck) {
            // A new connection makes a new entry.
            return;
        }
        match member.client.poll_keepalive(io.now(), &self.shared.limits, &mut self.scratch) {
            KeepAlive::Expired => {
                let trouble = "PINGREQ was not answered within half a keepalive [MQTT-3.1.2-24]";
                return self.give_up(io, conn, trouble.into());
            }
            KeepAlive::PingSent { .. } => {
                self.tally.measured.counters.pings += 1;
                self.tally.measured.counters.packets_out += 1;
            }
            KeepAlive::Idle { .. } => {}
        }
        self.write_scratch(io, conn);
        self.timers.keepalive.push(io.now(), conn);
    }

    fn check_acks(&mut self, io: &mut Io, conn: Conn) {
        let place = conn.0 as usize;
        let timeout = self.timers.ack_timeout;
        let now = io.now().saturating_sub(self.start);
        while let Some(token) = self.members[place].client.oldest() {
            if now.saturating_sub(token.sent) < timeout {
                break;
            }
            let token = self.members[place].client.expire_oldest().expect("there is an oldest");
            self.ack_timed_out(io.now(), token);
        }
        let waiting = self.members[place].client.inflight() > 0;
        self.timers.watched[place] = waiting;
        if waiting {
            self.timers.acks.push(io.now(), conn);
        }
        if self.phase == Phase::Publishing {
            // A window that timed-out messages had filled has room again.
            self.catch_up(io, place);
        }
    }

    /// Sends what a client has written to `scratch`.
    pub(super) fn write_scratch(&mut self, io: &mut Io, conn: Conn) {
        if !self.scratch.is_empty() {
            io.out(conn).extend_from_slice(&self.scratch);
            self.scratch.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_never_early() {
        let mut fifo = Fifo::new(10 * MILLISECOND, 0);
        fifo.push(MILLISECOND / 2, Conn(1));
        fifo.push(3 * MILLISECOND, Conn(2));
        assert_eq!(fifo.pop(10 * MILLISECOND + MILLISECOND / 2 - 1), None);
        assert_eq!(fifo.next(), Some(11 * MILLISECOND));
        assert_eq!(fifo.pop(11 * MILLISECOND), Some(Conn(1)));
        assert_eq!(fifo.pop(11 * MILLISECOND), None);
        assert_eq!(fifo.pop(14 * MILLISECOND), Some(Conn(2)));
        assert_eq!(fifo.next(), None);
    }

    #[test]
    fn no_delay_means_no_deadline() {
        let mut fifo = Fifo::new(0, 0);
        fifo.push(0, Conn(1));
        assert_eq!(fifo.next(), None);
    }
}
