//! What is due of every connection: the end of a step, a sign of life, an acknowledgement.

use super::{ASKED, Crew, HELD, KEPT, Link, News, Place, STAYS, Step, WATCHED};
use crate::client::KeepAlive;
use crate::clock::Nanos;
use crate::engine::Handshake;
use crate::units;
use crate::wire::QoS;

impl<M: Copy> Crew<M> {
    /// Does what has come due; answers when to look again.
    pub fn poll_deadlines<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        let now = link.now();
        while let Some(place) = self.steps.pop(now) {
            self.check_step(link, place);
        }
        while let Some(place) = self.leaving.pop(now) {
            self.check_leaving(link, place);
        }
        for kind in 0..self.keepalives.len() {
            while let Some(place) = self.keepalives[kind].pop(now) {
                self.check_keepalive(link, place);
            }
        }
        while let Some(place) = self.acks.pop(now) {
            self.check_acks(link, place);
        }
        self.next_deadline()
    }

    fn check_step<L: Link>(&mut self, link: &mut L, place: Place) {
        let timeout = self.terms.timeout;
        let member = &self.members[place.at()];
        // An entry of an earlier attempt or step: the one that counts is behind it.
        if link.now() < member.since + timeout {
            return;
        }
        let missing = match member.step {
            Step::Dialling if link.handshake(place.conn()) == Handshake::UnderWay => "end of the handshake",
            Step::Dialling => "TCP connection",
            Step::Connecting => "CONNACK",
            Step::Subscribing => "SUBACK",
            Step::Unsubscribing if member.is(STAYS) => "UNSUBACK",
            Step::Up | Step::Unsubscribing | Step::Down | Step::Leaving(_) | Step::Done => return,
        };
        let (remote, waited) = (self.remote(place), units::latency(timeout));
        let trouble = format!("{remote} gave no {missing} within {waited} (--connect-timeout)");
        if member.is_online() {
            let member = &mut self.members[place.at()];
            member.step = Step::Up;
            member.set(ASKED, false);
            member.set(STAYS, false);
            self.news.push_back(News::NoSubAck(place, trouble));
        } else {
            self.books.counters().connect_timeouts += 1;
            self.retreat(link, place, trouble, false);
        }
    }

    fn check_keepalive<L: Link>(&mut self, link: &mut L, place: Place) {
        let now = link.now();
        let member = &mut self.members[place.at()];
        // Not the kind that it was when it came here, perhaps.
        let kind = usize::from(member.kind);
        if !member.is_online() {
            // A new connection makes a new entry.
            member.set(KEPT, false);
            return;
        }
        // Who does not read would not see the answer to a ping.
        if !member.is(HELD) {
            match member.client.poll_keepalive(now, &self.terms.limits[kind], &mut self.scratch) {
                KeepAlive::Expired => {
                    member.set(KEPT, false);
                    let trouble = "PINGREQ was not answered within half a keepalive [MQTT-3.1.2-24]";
                    return self.give_up(link, place, trouble.into());
                }
                KeepAlive::PingSent { .. } => {
                    self.books.counters().pings += 1;
                    self.write_scratch(link, place);
                }
                KeepAlive::Idle { .. } => {}
            }
        }
        self.keepalives[kind].push(now, place);
    }

    /// A message is in flight.
    #[inline]
    pub(super) fn await_ack(&mut self, now: Nanos, place: Place) {
        if !self.members[place.at()].set(WATCHED, true) {
            self.acks.push(now, place);
        }
    }

    fn check_acks<L: Link>(&mut self, link: &mut L, place: Place) {
        let now = link.now();
        let limits = *self.limits(place);
        let member = &mut self.members[place.at()];
        while member
            .client
            .oldest()
            .is_some_and(|token| now.saturating_sub(token.sent) >= self.terms.ack_timeout)
        {
            let token = member.client.expire_oldest().expect("there is an oldest");
            self.books.ack_timed_out(now, &token);
        }
        let waits = member.client.inflight() > 0;
        member.set(WATCHED, waits);
        if waits {
            self.acks.push(now, place);
        } else if member.step == Step::Up && member.client.room(QoS::AtLeastOnce, &limits) == 0 {
            let trouble =
                "as many messages of a client as the broker takes were not acknowledged: connecting again";
            return self.give_up(link, place, trouble.into());
        }
        self.news.push_back(News::Room(place));
    }

    /// Sends what a client has written to `scratch`.
    pub(super) fn write_scratch<L: Link>(&mut self, link: &mut L, place: Place) {
        link.out(place.conn()).extend_from_slice(&self.scratch);
        self.books.counters().packets_out += 1;
        self.wrote(link.now(), place, self.scratch.len());
        self.scratch.clear();
    }
}
