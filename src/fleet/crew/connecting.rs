//! From nothing to a connected and subscribed client, and back after a loss.

use super::{After, Alarm, Crew, FIRST_WAIT, LAST_WAIT, Part, SHORT, Step};
use crate::client::State;
use crate::clock::{Nanos, SECOND};
use crate::engine::{CloseCause, Conn, Io};
use crate::fleet::listener::Stage;
use crate::wire::{ConnectCode, QoS, SubAck, SubAckCode};
use crate::{engine, wire};
use rand::RngExt;
use std::sync::atomic::Ordering;

impl Crew {
    /// Clients that others wait for connect at once, publishers when those are ready.
    pub(super) fn schedule_connects(&mut self, io: &mut Io) {
        let gap = self.connect_gap();
        let mut time = io.now() as f64;
        for place in 0..self.members.len() {
            if !matches!(self.members[place].part, Part::Publisher(_)) {
                self.alarm(time as Nanos, Alarm::Connect, Conn(place as u32));
                time += gap;
            }
        }
    }

    /// Nanoseconds between two connects of this worker.
    pub(super) fn connect_gap(&self) -> f64 {
        let workers = self.shared.wakers.len() as f64;
        self.shared.spec.connection.rate_per_s.map_or(0.0, |rate| SECOND as f64 * workers / rate)
    }

    pub(super) fn release_publishers(&mut self, io: &mut Io) {
        if self.released || self.shared.listeners_pending.load(Ordering::Acquire) > 0 {
            return;
        }
        self.released = true;
        let gap = self.connect_gap();
        // Workers take turns, so that all of them together keep the rate.
        let mut time = io.now() as f64 + gap * self.worker as f64 / self.shared.wakers.len() as f64;
        for place in 0..self.members.len() {
            let Part::Publisher(local) = self.members[place].part else { continue };
            let conn = Conn(place as u32);
            let name = self.publishers[local].name(&self.shared);
            let (joins, leaves) = (name.joins, name.leaves);
            self.alarm(time as Nanos + joins, Alarm::Connect, conn);
            if let Some(leaves) = leaves {
                self.alarm(io.now() + leaves, Alarm::Leave, conn);
            }
            time += gap;
        }
    }

    pub(super) fn connect_some(&mut self, io: &mut Io) {
        while self.pending < self.at_once
            && let Some(conn) = self.waiting.pop_front()
        {
            let may = !self.stopped || self.is_cleaning(conn);
            if self.members[conn.0 as usize].step == Step::Waiting && may {
                self.start_connecting(io, conn);
            }
        }
    }

    pub(super) fn start_connecting(&mut self, io: &mut Io, conn: Conn) {
        let now = io.now();
        let remote = self.remote(conn);
        let member = &mut self.members[conn.0 as usize];
        (member.step, member.since) = (Step::Tcp, now);
        if !member.was_established && member.failures == 0 {
            self.tally.measured.counters.connections_asked += 1;
        }
        // A source address has some 28,000 ports for one destination.
        const PER_SOURCE: u32 = 20_000;
        let targets = self.shared.spec.targets.len() as u32;
        let source = (self.shared.clients() > PER_SOURCE)
            .then(|| engine::loopback_source(&remote, member.index / targets / PER_SOURCE))
            .flatten();
        self.pending += 1;
        match io.connect(conn, &engine::Route { remote: remote.clone(), source, ports: None }) {
            Ok(()) => self.await_step(now, conn),
            Err(error) => {
                self.tally.measured.counters.refused_tcp += 1;
                self.attempt_failed(io, conn, false, format!("no socket to {remote}: {error}"));
            }
        }
    }

    pub(super) fn await_step(&mut self, now: Nanos, conn: Conn) {
        self.alarm(now + self.shared.spec.connection.timeout, Alarm::Step, conn);
    }

    pub(in crate::fleet) fn remote(&self, conn: Conn) -> engine::Endpoint {
        let targets = &self.shared.spec.targets;
        targets[self.members[conn.0 as usize].index as usize % targets.len()].clone()
    }

    pub(super) fn write_connect(&mut self, io: &mut Io, conn: Conn) {
        let now = io.now();
        let shared = self.shared.clone();
        let spec = &shared.spec;
        let member = &mut self.members[conn.0 as usize];
        self.tally.measured.histograms.tcp_connect.record(now - member.since);
        (member.step, member.since) = (Step::ConnAck, now);
        let responder;
        let (client_id, clean, bridge) = match member.part {
            Part::Publisher(local) => {
                let publishing = shared.publishing();
                let name = self.publishers[local].name(&shared);
                (name.client_id.as_str(), spec.connection.clean_session, publishing.bridge)
            }
            Part::Responder(number) => {
                responder = format!("{}-responder-{number}", shared.publishing().clients[0].client_id);
                (responder.as_str(), true, false)
            }
            Part::Listener(local) => {
                let listener = &self.listeners[local];
                let clean = listener.wants_clean(&shared);
                (listener.spec(&shared).client_id.as_str(), clean, false)
            }
        };
        let (username, password) = spec.connection.credentials.of(member.index);
        let connect = wire::Connect {
            client_id,
            keep_alive: spec.connection.keep_alive_s,
            clean_session: clean,
            will: None,
            username,
            password,
            protocol: spec.connection.protocol,
            bridge,
        };
        member.client.connect(&connect, now, io.out(conn)).expect("the command line was checked");
        self.tally.measured.counters.packets_out += 1;
        self.await_step(now, conn);
    }

    pub(super) fn established(&mut self, io: &mut Io, conn: Conn, session_present: bool) {
        let now = io.now();
        let member = &mut self.members[conn.0 as usize];
        let counters = &mut self.tally.measured.counters;
        self.tally.measured.histograms.connack.record(now - member.since);
        (member.step, member.up_since) = (Step::Up, now);
        let again = std::mem::replace(&mut member.was_established, true);
        counters.reconnects += u64::from(std::mem::take(&mut member.was_lost));
        counters.connections_established += u64::from(!again);
        self.levels.connected += 1;
        self.pending -= 1;
        if self.shared.spec.connection.keep_alive_s > 0 && !member.keepalive_armed {
            member.keepalive_armed = true;
            self.alarm(now + self.shared.other_limits.keep_alive / 3, Alarm::KeepAlive, conn);
        }
        match self.members[conn.0 as usize].part {
            Part::Publisher(local) => self.publisher_up(io, conn, local, session_present, again),
            Part::Responder(_) => {
                self.settle(conn);
                let filter = self.shared.publishing().topic.filter();
                let qos = self.shared.publishing().qos;
                self.subscribe(io, conn, &[(filter.as_str(), qos)]);
            }
            Part::Listener(local) => {
                self.settle(conn);
                self.listener_up(io, conn, local, session_present);
            }
        }
    }

    /// Nothing is outstanding, or nobody cares any more.
    pub(super) fn settle(&mut self, conn: Conn) {
        self.members[conn.0 as usize].client.abandon().for_each(drop);
    }

    pub(in crate::fleet) fn subscribe(&mut self, io: &mut Io, conn: Conn, filters: &[(&str, QoS)]) {
        let now = io.now();
        let member = &mut self.members[conn.0 as usize];
        (member.step, member.since) = (Step::SubAck, now);
        let written = member.client.subscribe(filters.iter().copied(), now, io.out(conn));
        self.tally.measured.counters.packets_out += 1;
        match written {
            Ok(_) => self.await_step(now, conn),
            Err(error) => self.fail(io, conn, format!("SUBSCRIBE could not be written: {error}")),
        }
    }

    pub(super) fn subscribed(&mut self, io: &mut Io, conn: Conn, codes: SubAck<'_>) {
        let remote = self.remote(conn);
        let member = &mut self.members[conn.0 as usize];
        if member.step != Step::SubAck {
            return;
        }
        self.tally.measured.histograms.suback.record(io.now() - member.since);
        member.step = Step::Up;
        // The `$SYS` filters of a listener stand last, and not every broker grants those.
        let needed = match member.part {
            Part::Listener(local) => self.listeners[local].spec(&self.shared).filters.len(),
            _ => codes.codes().len(),
        };
        let refused = codes.codes().take(needed).filter(|code| *code == SubAckCode::Failure).count();
        if refused > 0 {
            self.tally.measured.counters.subscribe_failures += 1;
            return self.fail(io, conn, format!("{remote} refused a subscription (SUBACK 0x80)"));
        }
        self.tally.measured.counters.subscribed += 1;
        match self.members[conn.0 as usize].part {
            Part::Publisher(local) => self.begin_publishing(io, conn, local),
            Part::Responder(_) => {
                self.is_ready(conn);
                // Nobody is left to answer, and nobody will say so again.
                if self.stopped || self.shared.publishers_left.load(Ordering::Acquire) == 0 {
                    self.leave(io, conn, After::Done);
                }
            }
            Part::Listener(local) => self.listener_subscribed(io, conn, local),
        }
    }

    /// One less to wait for before publishers connect.
    pub(in crate::fleet) fn is_ready(&mut self, conn: Conn) {
        if std::mem::replace(&mut self.members[conn.0 as usize].ready, true) {
            return;
        }
        if self.shared.listeners_pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.wake_all();
        }
    }

    /// An attempt to connect has failed; `open` when its socket still has to be closed.
    pub(super) fn attempt_failed(&mut self, io: &mut Io, conn: Conn, open: bool, trouble: String) {
        let place = conn.0 as usize;
        let member = &mut self.members[place];
        let connection = &self.shared.spec.connection;
        self.pending -= 1;
        member.failures += 1;
        let most = if member.was_established { connection.reconnect_attempts } else { connection.attempts };
        let spent = most != 0 && member.failures >= most;
        member.step = if open { Step::Retreating } else { Step::Waiting };
        if self.has_finished(io.now(), conn) && !open {
            return self.is_done(conn);
        }
        let member = &self.members[place];
        if spent {
            let tried = match member.failures {
                1 => String::new(),
                failures => format!(" ({failures} attempts)"),
            };
            return self.fail(io, conn, format!("{trouble}{tried}"));
        }
        self.trouble(trouble);
        if open {
            io.abort(conn);
        } else {
            self.wait_to_retry(io.now(), conn);
        }
    }

    pub(super) fn wait_to_retry(&mut self, now: Nanos, conn: Conn) {
        self.members[conn.0 as usize].step = Step::Waiting;
        if self.stopped || self.has_finished(now, conn) {
            return self.is_done(conn);
        }
        let failures = self.members[conn.0 as usize].failures;
        let wait = (FIRST_WAIT << failures.min(10)).min(LAST_WAIT);
        // So that clients lost together do not come back together.
        let wait = wait / 2 + self.jitter.random_range(0..wait);
        self.alarm(now + wait, Alarm::Connect, conn);
    }

    /// Whether it is about to remove its session from the broker, also after an interrupt.
    pub(super) fn is_cleaning(&self, conn: Conn) -> bool {
        match self.members[conn.0 as usize].part {
            Part::Listener(local) => self.stage(local) == Stage::Cleaning,
            _ => false,
        }
    }

    /// Whether a client has nothing to come back for.
    fn has_finished(&self, now: Nanos, conn: Conn) -> bool {
        let member = &self.members[conn.0 as usize];
        match member.part {
            Part::Publisher(local) => {
                let kept = !self.shared.spec.connection.clean_session && member.client.inflight() > 0;
                member.was_established && !kept && self.is_over(now, local)
            }
            Part::Responder(_) => member.ready && self.shared.publishers_left.load(Ordering::Acquire) == 0,
            Part::Listener(local) => self.stage(local) == Stage::Ended,
        }
    }

    /// An established connection was lost.
    fn lost(&mut self, io: &mut Io, conn: Conn, cause: CloseCause) {
        let remote = self.remote(conn);
        self.levels.connected -= 1;
        self.tally.measured.counters.connections_lost += 1;
        self.tally.measured.counters.closed_by_broker += u64::from(cause == CloseCause::Eof);
        let trouble = format!("connection to {remote} lost: {cause}");
        let most = self.shared.spec.connection.reconnect_attempts;
        let member = &mut self.members[conn.0 as usize];
        member.was_lost = true;
        let useless = io.now().saturating_sub(member.up_since) < SHORT;
        member.failures = if useless { member.failures + 1 } else { 0 };
        let failures = member.failures;
        if let Part::Publisher(local) = member.part {
            self.publishers[local].unsettled = 0;
        }
        if most != 0 && failures >= most && !self.stopped && !self.has_finished(io.now(), conn) {
            self.members[conn.0 as usize].step = Step::Waiting;
            return self.fail(io, conn, format!("{trouble} ({failures} times in a row, each at once)"));
        }
        if !self.stopped {
            self.trouble(trouble);
        }
        self.wait_to_retry(io.now(), conn);
    }

    pub(super) fn transport_down(&mut self, io: &mut Io, conn: Conn, cause: CloseCause) {
        let place = conn.0 as usize;
        let remote = self.remote(conn);
        let member = &mut self.members[place];
        let step = member.step;
        if member.client.state() != State::Offline {
            member.client.handle_disconnected();
        }
        match step {
            Step::Tcp => {
                let counters = &mut self.tally.measured.counters;
                counters.refused_tcp += u64::from(matches!(cause, CloseCause::ConnectFailed(_)));
                self.attempt_failed(io, conn, false, format!("{remote}: {cause}"));
            }
            Step::ConnAck => {
                let trouble = format!("{remote} ended the connection before CONNACK: {cause}");
                self.attempt_failed(io, conn, false, trouble);
            }
            Step::SubAck | Step::Up => self.lost(io, conn, cause),
            Step::UnsubAck => {
                // It had all it was to have.
                self.levels.connected -= 1;
                self.is_done(conn);
            }
            Step::Leaving(after) => {
                self.levels.connected -= 1;
                if cause == CloseCause::Eof {
                    self.tally.measured.histograms.disconnect.record(io.now() - member.since);
                    // The broker has read up to DISCONNECT.
                    if let Part::Publisher(local) = member.part {
                        self.publishers[local].settle();
                    }
                }
                match after {
                    After::Done => self.is_done(conn),
                    _ if self.stopped && !self.is_cleaning(conn) => self.is_done(conn),
                    After::Away => {
                        self.members[place].step = Step::Waiting;
                        if let Part::Listener(local) = self.members[place].part {
                            self.listener_away(conn, local);
                        }
                    }
                    After::Reconnect => {
                        self.members[place].step = Step::Waiting;
                        self.waiting.push_back(conn);
                    }
                }
            }
            Step::Retreating => self.wait_to_retry(io.now(), conn),
            Step::Failed => self.is_done(conn),
            Step::Waiting | Step::Done => {}
        }
    }

    pub(super) fn refused(&mut self, io: &mut Io, conn: Conn, code: ConnectCode) {
        self.tally.measured.counters.refused[code as usize] += 1;
        let remote = self.remote(conn);
        let trouble = format!("{remote} refused the connection: {code} (CONNACK {})", code as u8);
        // The answer would be the same the next time.
        self.fail(io, conn, trouble);
    }

    pub(super) fn violated(&mut self, io: &mut Io, conn: Conn, error: &dyn std::fmt::Display) {
        self.tally.measured.counters.protocol_errors += 1;
        let remote = self.remote(conn);
        self.trouble(format!("{remote} broke the protocol: {error}"));
        match self.members[conn.0 as usize].step {
            Step::ConnAck => {
                let trouble = format!("{remote} broke the protocol: {error}");
                self.fail(io, conn, trouble);
            }
            _ => io.abort(conn),
        }
    }
}
