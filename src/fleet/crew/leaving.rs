//! How clients end, one by one and all together.

use super::{After, Alarm, Crew, HURRY, Part, Step};
use crate::engine::{Conn, Io};
use crate::fleet::Expect;
use crate::fleet::listener::Stage;
use crate::record::{Ended, ListenEnd};
use std::sync::atomic::Ordering;

impl Crew {
    /// Writes DISCONNECT.
    pub(in crate::fleet) fn leave(&mut self, io: &mut Io, conn: Conn, after: After) {
        let member = &mut self.members[conn.0 as usize];
        (member.step, member.since) = (Step::Leaving(after), io.now());
        member.client.disconnect(io.out(conn));
        self.tally.measured.counters.packets_out += 1;
        // The broker closes the connection; should it not, we do.
        self.alarm(io.now() + HURRY, Alarm::Step, conn);
    }

    /// Writes UNSUBSCRIBE; DISCONNECT follows the answer.
    pub(in crate::fleet) fn unsubscribe(&mut self, io: &mut Io, conn: Conn, filters: &[String]) {
        let now = io.now();
        let member = &mut self.members[conn.0 as usize];
        let written = member.client.unsubscribe(filters.iter().map(String::as_str), now, io.out(conn));
        if written.is_err() {
            return self.leave(io, conn, After::Done);
        }
        (member.step, member.since) = (Step::UnsubAck, now);
        self.tally.measured.counters.packets_out += 1;
        self.alarm(now + HURRY, Alarm::Step, conn);
    }

    pub(super) fn unsubscribed(&mut self, io: &mut Io, conn: Conn) {
        let member = &self.members[conn.0 as usize];
        if member.step == Step::UnsubAck {
            self.tally.measured.histograms.unsuback.record(io.now() - member.since);
            self.leave(io, conn, After::Done);
        }
    }

    /// The client cannot go on.
    pub(in crate::fleet) fn fail(&mut self, io: &mut Io, conn: Conn, reason: String) {
        let place = conn.0 as usize;
        let step = self.members[place].step;
        if matches!(step, Step::Failed | Step::Done) {
            return;
        }
        self.trouble(reason.clone());
        self.levels.failed += 1;
        match self.members[place].part {
            Part::Publisher(local) => self.publishers[local].failure = Some(reason),
            Part::Responder(_) => {
                self.is_ready(conn);
                // Without its answers the publishers would wait for nothing.
                self.shared.fail(Ended::Broker, reason);
            }
            Part::Listener(local) => {
                self.listeners[local].failure = Some(reason);
                self.listener_ended(conn, local, ListenEnd::Failed);
            }
        }
        if matches!(step, Step::Waiting) {
            self.is_done(conn);
        } else {
            self.members[place].step = Step::Failed;
            match step {
                Step::Tcp | Step::ConnAck => self.pending -= 1,
                Step::SubAck | Step::Up | Step::UnsubAck => self.levels.connected -= 1,
                _ => {}
            }
            io.abort(conn);
        }
    }

    pub(in crate::fleet) fn is_done(&mut self, conn: Conn) {
        let member = &mut self.members[conn.0 as usize];
        if std::mem::replace(&mut member.step, Step::Done) == Step::Done {
            return;
        }
        self.done += 1;
        self.levels.done += 1;
        if let Part::Publisher(local) = member.part {
            // What is still unacknowledged stays so.
            let lost = member.client.abandon().count() as u64;
            self.tally.measured.counters.unacked_at_end += lost;
            self.publisher_done(crate::clock::now(), local);
        }
    }

    /// Connects a client that is away, or about to be.
    pub(in crate::fleet) fn call_back(&mut self, conn: Conn) {
        match &mut self.members[conn.0 as usize].step {
            Step::Leaving(after) => *after = After::Reconnect,
            _ => self.waiting.push_back(conn),
        }
    }

    /// What has happened elsewhere and concerns this worker's clients.
    pub(super) fn look_around(&mut self, io: &mut Io) {
        self.release_publishers(io);
        if self.shared.stopping.load(Ordering::Acquire) && !self.stopped {
            self.stopped = true;
            self.alarm(io.now() + HURRY, Alarm::Hurry, Conn(u32::MAX));
            for place in 0..self.members.len() {
                self.stop_member(io, Conn(place as u32));
            }
        }
        if self.shared.dropped.load(Ordering::Acquire) {
            for place in 0..self.members.len() {
                if let Part::Listener(local) = self.members[place].part {
                    self.drops_are_known(io, Conn(place as u32), local);
                }
            }
        }
        if self.shared.publishers_left.load(Ordering::Acquire) == 0 {
            for place in 0..self.members.len() {
                match self.members[place].part {
                    Part::Listener(local) => self.publishers_are_done(io, Conn(place as u32), local),
                    Part::Responder(_) if self.members[place].step == Step::Up => {
                        self.leave(io, Conn(place as u32), After::Done);
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn stop_member(&mut self, io: &mut Io, conn: Conn) {
        let member = &self.members[conn.0 as usize];
        match (member.step, member.part) {
            // Its session must not stay on the broker.
            (step, Part::Listener(local)) if self.listeners[local].spec(&self.shared).backlog => {
                self.listener_ended(conn, local, ListenEnd::Interrupted);
                self.listeners[local].stage = Stage::Cleaning;
                match step {
                    Step::Waiting => self.call_back(conn),
                    Step::Up | Step::SubAck => self.leave(io, conn, After::Reconnect),
                    _ => {}
                }
            }
            (Step::Waiting, _) => self.is_done(conn),
            (Step::Up, Part::Publisher(local)) => self.finish_if_done(io, conn, local),
            // It has until the end of the hurry for what the publishers have sent.
            (_, Part::Listener(local))
                if self.listeners[local].spec(&self.shared).expect == Expect::Published => {}
            (Step::Up | Step::SubAck, Part::Listener(local)) => {
                self.listener_ended(conn, local, ListenEnd::Interrupted);
                self.leave(io, conn, After::Done);
            }
            (Step::Up, Part::Responder(_)) => self.leave(io, conn, After::Done),
            _ => {}
        }
    }

    /// The time after an interrupt is over.
    pub(super) fn end_everybody(&mut self, io: &mut Io) {
        for place in 0..self.members.len() {
            let conn = Conn(place as u32);
            match self.members[place].step {
                Step::Waiting => self.is_done(conn),
                Step::Up | Step::SubAck | Step::UnsubAck => self.leave(io, conn, After::Done),
                Step::Tcp | Step::ConnAck => {
                    self.members[place].step = Step::Failed;
                    self.pending -= 1;
                    io.abort(conn);
                }
                Step::Retreating | Step::Leaving(_) | Step::Failed | Step::Done => {}
            }
        }
    }
}
