//! What happens at a time that was set.

use super::{After, Alarm, Crew, HURRY, Step};
use crate::client::KeepAlive;
use crate::clock::Nanos;
use crate::engine::{Conn, Io};
use crate::units;
use std::cmp::Reverse;

impl Crew {
    pub(super) fn run_alarms(&mut self, io: &mut Io) -> Nanos {
        while let Some(&Reverse((time, alarm, conn))) = self.alarms.peek() {
            if time > io.now() {
                return time;
            }
            self.alarms.pop();
            self.ring(io, alarm, Conn(conn));
        }
        Nanos::MAX
    }

    pub(super) fn ring(&mut self, io: &mut Io, alarm: Alarm, conn: Conn) {
        let step = self.members.get(conn.0 as usize).map_or(Step::Done, |member| member.step);
        match alarm {
            Alarm::Connect if step == Step::Waiting => self.waiting.push_back(conn),
            Alarm::Connect => {}
            Alarm::Step => self.check_step(io, conn),
            Alarm::KeepAlive => self.check_keepalive(io, conn),
            Alarm::Acks => self.check_acks(io, conn),
            Alarm::Leave => self.publisher_leaves(io, conn),
            Alarm::Resume => self.resume_reading(io, conn),
            Alarm::TimeUp => self.time_is_up(io, conn),
            Alarm::Quiet => self.check_quiet(io, conn),
            Alarm::Duration => self.listener_time_is_up(io, conn),
            Alarm::Hurry => self.end_everybody(io),
        }
    }

    pub(super) fn check_step(&mut self, io: &mut Io, conn: Conn) {
        let remote = self.remote(conn);
        let timeout = self.shared.spec.connection.timeout;
        let member = &self.members[conn.0 as usize];
        let waited = io.now().saturating_sub(member.since) >= timeout;
        let words = units::latency(timeout);
        match member.step {
            Step::Tcp | Step::ConnAck if waited => {
                let what = if member.step == Step::Tcp { "TCP connection" } else { "CONNACK" };
                self.tally.measured.counters.connect_timeouts += 1;
                let trouble = format!("{remote} gave no {what} within {words} (--connect-timeout)");
                self.attempt_failed(io, conn, true, trouble);
            }
            Step::SubAck if waited => {
                self.tally.measured.counters.subscribe_failures += 1;
                self.fail(io, conn, format!("{remote} gave no SUBACK within {words} (--connect-timeout)"));
            }
            // A broker that does not answer, and will not be missed.
            Step::UnsubAck if io.now().saturating_sub(member.since) >= HURRY => {
                self.leave(io, conn, After::Done);
            }
            // What is unsent is waited for; a broker that only keeps its side open is not.
            Step::Leaving(_) if io.unsent(conn) > 0 && !waited && !self.is_stopping() => {
                self.alarm(io.now() + HURRY, Alarm::Step, conn);
            }
            Step::Leaving(_) if io.now().saturating_sub(member.since) >= HURRY => io.abort(conn),
            _ => {}
        }
    }

    pub(super) fn check_keepalive(&mut self, io: &mut Io, conn: Conn) {
        let place = conn.0 as usize;
        if !matches!(self.members[place].step, Step::Up | Step::SubAck) {
            self.members[place].keepalive_armed = false;
            return;
        }
        let limits = *self.limits(place);
        if self.is_held(io.now(), conn) {
            // It does not read, so it would not see the answer to a ping.
            return self.alarm(io.now() + limits.keep_alive / 3, Alarm::KeepAlive, conn);
        }
        match self.members[place].client.poll_keepalive(io.now(), &limits, &mut self.scratch) {
            KeepAlive::Expired => {
                self.members[place].keepalive_armed = false;
                self.trouble("PINGREQ was not answered within half a keepalive [MQTT-3.1.2-24]".into());
                return io.abort(conn);
            }
            KeepAlive::PingSent { .. } => {
                self.tally.measured.counters.pings += 1;
                self.tally.measured.counters.packets_out += 1;
            }
            KeepAlive::Idle { .. } => {}
        }
        self.write_scratch(io, conn);
        self.alarm(io.now() + limits.keep_alive / 3, Alarm::KeepAlive, conn);
    }

    pub(super) fn write_scratch(&mut self, io: &mut Io, conn: Conn) {
        if !self.scratch.is_empty() {
            io.out(conn).extend_from_slice(&self.scratch);
            self.scratch.clear();
        }
    }
}
