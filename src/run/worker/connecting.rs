//! From nothing to a subscribed client, and back after a loss.

use super::{Clients, Phase, Step};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::engine::{CloseCause, Conn, Io};
use crate::run::Spec;
use crate::wire::{self, ConnectCode, SubAck, SubAckCode};
use rand::RngExt;
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::atomic::Ordering;

/// Clients of all workers that may be between SYN and CONNACK, or between SUBSCRIBE and SUBACK. Brokers listen with backlogs as short as
/// 100 (mosquitto), and a SYN that overflows one is sent again only after a second. And times to CONNACK
/// or SUBACK should be the broker's, not those of a queue of our own making.
const AT_ONCE: usize = 100;
/// Connections started in one pass: they are submitted one after the other, and the time of the last
/// includes the work of all before it.
const AT_A_TIME: usize = 8;
/// The first wait before a lost connection is tried again; it doubles up to the last.
const FIRST_WAIT: Nanos = 100 * MILLISECOND;
const LAST_WAIT: Nanos = 5 * SECOND;

/// Which clients still have to be connected, and how fast.
pub struct Connecting {
    /// The next client that was never tried.
    next: u32,
    members: u32,
    /// Clients to try again.
    retries: VecDeque<Conn>,
    /// Clients between SYN and CONNACK.
    pending: usize,
    at_once: usize,
    /// Between two connects, with `--connect-rate`.
    gap: f64,
    begun: Nanos,
    started: u64,
    /// Failures since the last success.
    failures: usize,
    /// Subscribers without SUBACK.
    pub awaiting_suback: usize,
    /// The next subscriber to subscribe, once the phase has come.
    pub next_subscriber: usize,
    jitter: crate::seed::Draw,
}

impl Connecting {
    pub fn new(spec: &Spec, members: usize, workers: usize) -> Connecting {
        let rate = spec.plan.connect_rate_per_s.unwrap_or(f64::INFINITY) / workers as f64;
        Connecting {
            next: members as u32,
            members: members as u32,
            retries: VecDeque::new(),
            pending: 0,
            at_once: (AT_ONCE / workers).max(1),
            gap: SECOND as f64 / rate,
            begun: 0,
            started: 0,
            failures: 0,
            awaiting_suback: 0,
            next_subscriber: 0,
            jitter: crate::seed::stream(spec.plan.seed, "backoff", 0),
        }
    }

    pub fn begin(&mut self, now: Nanos) {
        self.next = 0;
        self.begun = now;
    }

    /// Every client was tried and is up or down.
    pub fn is_done(&self) -> bool {
        self.next == self.members && self.pending == 0
    }

    pub fn retry(&mut self, conn: Conn) {
        self.retries.push_back(conn);
    }

    /// The next client to connect, if one may be connected now.
    fn pop(&mut self, now: Nanos) -> Option<Conn> {
        let waits = self.next < self.members || !self.retries.is_empty();
        if !waits || self.pending >= self.at_once || self.next_start() > now {
            return None;
        }
        self.started += 1;
        self.pending += 1;
        self.retries.pop_front().or_else(|| {
            self.next += 1;
            Some(Conn(self.next - 1))
        })
    }

    /// When the rate allows the next connect.
    fn next_start(&self) -> Nanos {
        self.begun + (self.started as f64 * self.gap) as Nanos
    }

    /// Nobody answers: trying the rest would only wait for more timeouts.
    /// Answers how many were left.
    fn give_up(&mut self) -> u32 {
        self.members - std::mem::replace(&mut self.next, self.members)
    }

    fn wait(&mut self, failures: u8) -> Nanos {
        let wait = (FIRST_WAIT << failures.min(10)).min(LAST_WAIT);
        // So that clients lost together do not come back together.
        wait / 2 + self.jitter.random_range(0..wait)
    }
}

impl Clients {
    /// Starts as many connections as may be; answers when to look again.
    pub(super) fn connect_some(&mut self, io: &mut Io) -> Option<Nanos> {
        if matches!(self.phase, Phase::Waiting | Phase::Leaving) {
            return None;
        }
        for _ in 0..AT_A_TIME {
            let Some(conn) = self.connecting.pop(io.now()) else { break };
            self.start_connecting(io, conn);
        }
        let connecting = &self.connecting;
        let waits = connecting.next < connecting.members || !connecting.retries.is_empty();
        (waits && connecting.pending < connecting.at_once).then(|| connecting.next_start())
    }

    /// Subscribes as many as may be at once.
    pub(super) fn subscribe_some(&mut self, io: &mut Io) {
        while self.connecting.awaiting_suback < self.connecting.at_once
            && self.connecting.next_subscriber < self.subscribers.len()
        {
            let conn = Conn((self.publishers.len() + self.connecting.next_subscriber) as u32);
            self.connecting.next_subscriber += 1;
            if self.members[conn.0 as usize].step == Step::Up {
                self.subscribe(io, conn);
            }
        }
    }

    fn start_connecting(&mut self, io: &mut Io, conn: Conn) {
        let now = io.now();
        let member = &mut self.members[conn.0 as usize];
        (member.step, member.since) = (Step::Tcp, now);
        if !member.was_established && member.failures == 0 {
            self.tally.measured.counters.connections_asked += 1;
        }
        let route = self.shared.layout.route(member.index);
        match io.connect(conn, &route) {
            Ok(()) => self.timers.await_step(now, conn),
            Err(error) => {
                let trouble = format!("no socket to {}: {error}", route.remote);
                self.tally.measured.counters.refused_tcp += 1;
                self.tally.trouble(trouble);
                self.is_down(io, conn);
            }
        }
    }

    /// TCP is established: CONNECT.
    pub(super) fn transport_up(&mut self, io: &mut Io, conn: Conn) {
        let now = io.now();
        let member = &mut self.members[conn.0 as usize];
        self.tally.measured.histograms.tcp_connect.record(now - member.since);
        (member.step, member.since) = (Step::ConnAck, now);
        let spec = &self.shared.spec;
        let id = format!("{}-{}", spec.plan.client_id_prefix, member.index);
        let (username, password) = spec.connection.credentials.of(member.index);
        let connect = wire::Connect {
            protocol: spec.connection.protocol,
            bridge: false,
            client_id: &id,
            keep_alive: spec.connection.keep_alive_s,
            clean_session: spec.plan.clean_session,
            will: None,
            username,
            password,
        };
        member.client.connect(&connect, now, io.out(conn)).expect("the plan was checked");
        self.tally.measured.counters.packets_out += 1;
        self.timers.await_step(now, conn);
    }

    /// CONNACK accepted.
    pub(super) fn established(&mut self, io: &mut Io, conn: Conn, session_present: bool) {
        let now = io.now();
        let member = &mut self.members[conn.0 as usize];
        let counters = &mut self.tally.measured.counters;
        self.tally.measured.histograms.connack.record(now - member.since);
        (member.step, member.failures) = (Step::Up, 0);
        if std::mem::replace(&mut member.was_established, true) {
            counters.reconnects += 1;
        } else {
            counters.connections_established += 1;
            self.levels.established += 1;
        }
        self.levels.connected += 1;
        self.connecting.pending -= 1;
        self.connecting.failures = 0;
        self.timers.keep_alive(now, conn);
        if session_present {
            self.redeliver(io, conn);
        } else {
            let lost: Vec<_> = self.members[conn.0 as usize].client.abandon().collect();
            lost.into_iter().for_each(|token| self.abandoned(now, token));
        }
        match self.subscriber_place(conn) {
            // Whose turn is still to come will subscribe then.
            Some(place) if place >= self.connecting.next_subscriber || session_present => {}
            Some(_) => self.subscribe(io, conn),
            None => self.catch_up(io, conn.0 as usize),
        }
    }

    pub(super) fn refused(&mut self, io: &mut Io, conn: Conn, code: ConnectCode) {
        self.tally.measured.counters.refused[code as usize] += 1;
        let remote = self.remote(conn);
        self.tally.trouble(format!("{remote} refused the connection: {code} (CONNACK {})", code as u8));
        // Counted: its end is nothing new.
        self.members[conn.0 as usize].step = Step::Leaving;
        io.abort(conn);
    }

    pub(super) fn connect_timed_out(&mut self, io: &mut Io, conn: Conn) {
        self.tally.measured.counters.connect_timeouts += 1;
        let remote = self.remote(conn);
        let waited = crate::units::latency(self.shared.spec.plan.connect_timeout_ns);
        let member = &mut self.members[conn.0 as usize];
        let missing = if member.step == Step::Tcp { "TCP connection" } else { "CONNACK" };
        member.step = Step::Leaving;
        self.tally.trouble(format!("{remote} gave no {missing} within {waited} (--connect-timeout)"));
        io.abort(conn);
    }

    pub(super) fn subscribe(&mut self, io: &mut Io, conn: Conn) {
        let place = self.subscriber_place(conn).expect("a subscriber");
        let now = io.now();
        let (text, ends) = self.filters(place);
        let member = &mut self.members[conn.0 as usize];
        let sub_qos = self.shared.spec.sub_qos();
        let mut from = 0;
        let filters = ends.iter().map(|&end| (&text[std::mem::replace(&mut from, end)..end], sub_qos));
        (member.step, member.since) = (Step::SubAck, now);
        self.connecting.awaiting_suback += 1;
        self.timers.await_step(now, conn);
        self.tally.measured.counters.packets_out += 1;
        if let Err(error) = member.client.subscribe(filters, now, io.out(conn)) {
            self.subscription_failed(conn, format!("SUBSCRIBE could not be written: {error}"));
        }
    }

    pub(super) fn subscribed(&mut self, io: &mut Io, conn: Conn, codes: SubAck<'_>) {
        let member = &mut self.members[conn.0 as usize];
        if member.step != Step::SubAck {
            // It was given up.
            return;
        }
        self.tally.measured.histograms.suback.record(io.now() - member.since);
        let asked = self.shared.spec.sub_qos();
        if let Some(code) = codes.codes().find(|code| *code != SubAckCode::Granted(asked)) {
            let remote = self.remote(conn);
            let asked = asked as u8;
            let trouble = match code {
                SubAckCode::Granted(qos) => {
                    let qos = qos as u8;
                    format!(
                        "{remote} granted QoS {qos} to a subscription at QoS {asked}; ask for it with --sub-qos"
                    )
                }
                SubAckCode::Failure => {
                    format!(
                        "{remote} refused a subscription at QoS {asked} (SUBACK 0x80): may it read --topic?"
                    )
                }
            };
            return self.subscription_failed(conn, trouble);
        }
        member.step = Step::Up;
        self.connecting.awaiting_suback -= 1;
        self.tally.measured.counters.subscribed += 1;
        let place = self.subscriber_place(conn).expect("only subscribers subscribe");
        // Audiences are fixed when all have subscribed: whoever comes later for the first time is in none.
        let in_time = matches!(self.phase, Phase::Connected | Phase::Subscribing);
        let subscriber = &mut self.subscribers[place];
        if in_time && !std::mem::replace(&mut subscriber.granted, true) {
            self.shared.granted[subscriber.group as usize].fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn subscribe_timed_out(&mut self, _: &mut Io, conn: Conn) {
        let remote = self.remote(conn);
        let waited = crate::units::latency(self.shared.spec.plan.connect_timeout_ns);
        self.subscription_failed(
            conn,
            format!("{remote} gave no SUBACK within {waited} (--connect-timeout)"),
        );
    }

    fn subscription_failed(&mut self, conn: Conn, trouble: String) {
        self.members[conn.0 as usize].step = Step::Up;
        self.connecting.awaiting_suback -= 1;
        self.tally.measured.counters.subscribe_failures += 1;
        self.tally.trouble(trouble);
    }

    /// The broker broke the protocol: no sense in going on with this connection.
    pub(super) fn violated(&mut self, io: &mut Io, conn: Conn, error: &dyn Display) {
        self.tally.measured.counters.protocol_errors += 1;
        let remote = self.remote(conn);
        let part = self.part(self.members[conn.0 as usize].index);
        self.give_up(io, conn, format!("{remote} broke the protocol towards a {part}: {error}"));
    }

    /// The broker sends without reading the answers: there is no end to what it would have us keep.
    pub(super) fn flooded(&mut self, io: &mut Io, conn: Conn) {
        let remote = self.remote(conn);
        let unread = crate::units::bytes(io.unsent(conn) as u64);
        self.give_up(io, conn, format!("{remote} went on sending and left {unread} of answers unread"));
    }

    /// Ends a connection that was not asked to end.
    pub(super) fn give_up(&mut self, io: &mut Io, conn: Conn, trouble: String) {
        self.tally.trouble(trouble);
        io.abort(conn);
    }

    /// A connection has ended, whoever ended it.
    pub(super) fn transport_down(&mut self, io: &mut Io, conn: Conn, cause: CloseCause) {
        let member = &mut self.members[conn.0 as usize];
        let step = member.step;
        let was_online = matches!(member.client.state(), crate::client::State::Online);
        if member.client.state() != crate::client::State::Offline {
            member.client.handle_disconnected();
        }
        if self.phase == Phase::Leaving && step == Step::Leaving {
            member.step = Step::Down;
            self.levels.connected = self.levels.connected.saturating_sub(1);
            return;
        }
        match (step, cause) {
            (Step::Up | Step::SubAck, _) => self.lost(conn, cause),
            (_, CloseCause::Local) => {}
            (_, cause) => self.failed(conn, cause),
        }
        if was_online {
            self.levels.connected -= 1;
            self.wait_to_reconnect(io, conn);
        } else {
            self.is_down(io, conn);
        }
    }

    /// An established connection broke.
    fn lost(&mut self, conn: Conn, cause: CloseCause) {
        let member = &self.members[conn.0 as usize];
        self.tally.measured.counters.connections_lost += 1;
        if member.step == Step::SubAck {
            self.connecting.awaiting_suback -= 1;
            self.tally.measured.counters.subscribe_failures += 1;
        }
        if cause == CloseCause::Eof {
            self.tally.measured.counters.closed_by_broker += 1;
        }
        if cause != CloseCause::Local {
            let remote = self.remote(conn);
            self.tally.trouble(format!("connection to {remote} lost: {cause}"));
        }
    }

    /// A connection was not established.
    fn failed(&mut self, conn: Conn, cause: CloseCause) {
        let remote = self.remote(conn);
        let trouble = match cause {
            CloseCause::ConnectFailed(_) => {
                self.tally.measured.counters.refused_tcp += 1;
                format!("{remote}: {cause}")
            }
            _ => {
                self.tally.measured.counters.closed_by_broker += u64::from(cause == CloseCause::Eof);
                format!("{remote} ended the connection before CONNACK: {cause}")
            }
        };
        self.tally.trouble(trouble);
    }

    /// An attempt has failed.
    fn is_down(&mut self, io: &mut Io, conn: Conn) {
        self.connecting.pending -= 1;
        self.connecting.failures += 1;
        let member = &mut self.members[conn.0 as usize];
        member.step = Step::Down;
        if member.was_established {
            self.wait_to_reconnect(io, conn);
        } else if self.connecting.failures >= self.connecting.at_once.max(8) {
            let untried = self.connecting.give_up();
            if untried > 0 {
                let failures = self.connecting.failures;
                let given_up =
                    format!("after {failures} failures in a row {untried} clients were not tried any more");
                self.tally.trouble(given_up);
            }
        }
    }

    fn wait_to_reconnect(&mut self, io: &mut Io, conn: Conn) {
        let member = &mut self.members[conn.0 as usize];
        member.step = Step::Down;
        if self.phase == Phase::Leaving || !self.shared.spec.plan.reconnect {
            return self.forgo_quota(conn);
        }
        let wait = self.connecting.wait(member.failures);
        member.failures = member.failures.saturating_add(1);
        self.timers.retry(io.now() + wait, conn);
    }

    fn remote(&self, conn: Conn) -> crate::engine::Endpoint {
        self.shared.layout.route(self.members[conn.0 as usize].index).remote
    }
}
