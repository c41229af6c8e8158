//! What a publishing client does, and the responders that answer requesters.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

use rand::RngExt;

use super::crew::{After, Alarm, Crew, Part, Step};
use super::feed::Next;
use super::shared::Shared;
use super::{Content, PublisherName};
use crate::client::{Outgoing, Resend};
use crate::clock::{MILLISECOND, Nanos};
use crate::engine::{Conn, Io};
use crate::load::{Name, Pace, Pacer, PayloadOf, Template, Values};
use crate::record::{self, Ended};
use crate::stats::Moments;
use crate::wire::{Publish, QoS};

/// What a message's acknowledgement brings back. Times are of the process clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    sequence: u64,
    intended: Nanos,
    sent: Nanos,
    /// The wall clock at `sent`, for the stamp.
    unix_ns: u64,
}

pub(super) struct Publisher {
    /// Among all publishers of the fleet.
    number: u32,
    pacer: Pacer,
    /// When its schedule begins, once that is known.
    start: Option<Nanos>,
    /// In the heap of those with a message to come.
    queued: bool,
    /// Its time to leave the run has come.
    leaving: bool,
    acks_armed: bool,
    /// Messages since the connection began, where it does not live for ever.
    since_connect: u64,
    reconnects: u64,
    sent: u64,
    acked: u64,
    /// At QoS 0: messages of which it is not known yet whether the kernel has taken them.
    pub unsettled: u64,
    /// Messages that came due and were not sent by the end.
    shed: u64,
    /// Requests that were given up.
    unanswered: u64,
    ack_time: Moments,
    first: Option<Nanos>,
    last: Nanos,
    /// The request without an answer: its topic and when it was sent.
    request: Option<(String, Nanos)>,
    /// Fed payloads that are not acknowledged, by sequence, and those that are not sent.
    kept: HashMap<u64, Vec<u8>>,
    next_fed: Option<Vec<u8>>,
    pub failure: Option<String>,
}

/// Messages of one client in one pass: the others want a turn, too.
const TURN: usize = 64;
/// How soon to look again for a payload that a command has not delivered.
const FEED_LOOK: Nanos = MILLISECOND;

impl Publisher {
    pub fn new(shared: &Shared, number: u32) -> Publisher {
        Publisher {
            number,
            pacer: Pacer::new(&shared.publishing().pacing, number),
            start: None,
            queued: false,
            leaving: false,
            acks_armed: false,
            since_connect: 0,
            reconnects: 0,
            sent: 0,
            acked: 0,
            unsettled: 0,
            shed: 0,
            unanswered: 0,
            ack_time: Moments::default(),
            first: None,
            last: 0,
            request: None,
            kept: HashMap::new(),
            next_fed: None,
            failure: None,
        }
    }

    pub fn name<'s>(&self, shared: &'s Shared) -> &'s PublisherName {
        &shared.publishing().clients[self.number as usize]
    }

    /// The kernel has taken everything that was written.
    pub fn settle(&mut self) {
        self.acked += std::mem::take(&mut self.unsettled);
    }

    /// Its part of the record.
    pub fn finish(self, shared: &Shared) -> (u32, record::Publisher) {
        let begun = self.first.unwrap_or(0);
        let pacing = &shared.publishing().pacing;
        let publisher = record::Publisher {
            client_id: self.name(shared).client_id.clone(),
            // Whom time ended was not to send them all.
            planned: pacing
                .count
                .filter(|count| !self.leaving && (pacing.duration.is_none() || self.pacer.made() >= *count)),
            generated: self.sent + self.shed,
            unanswered: self.unanswered,
            sent: self.sent,
            acked: self.acked,
            unfinished: 0,
            ack_time: (&self.ack_time).into(),
            first_ns: self.first.map(|first| first - shared.epoch),
            active_ns: self.last.saturating_sub(begun),
            reconnects: self.reconnects,
            failure: self.failure,
        };
        (self.number, publisher)
    }
}

/// The topic of message `sequence` of publisher `number`.
fn render_topic(shared: &Shared, number: u32, sequence: u64, out: &mut String) {
    let publishing = shared.publishing();
    out.clear();
    let values = Values {
        client: Name::Given(&publishing.clients[number as usize].topic_id),
        index: number,
        pair: number,
        run_id: shared.run_id,
        sequence,
        total: publishing.pacing.count.unwrap_or(0),
        seed: shared.spec.seed,
    };
    publishing.topic.render(&values, out).expect("writing to a string");
}

/// What a requester subscribes to.
fn reply_filter(template: &Template, shared: &Shared, number: u32) -> String {
    let publishing = shared.publishing();
    let values = Values {
        client: Name::Given(&publishing.clients[number as usize].topic_id),
        index: number,
        pair: number,
        run_id: shared.run_id,
        sequence: 0,
        total: publishing.pacing.count.unwrap_or(0),
        seed: shared.spec.seed,
    };
    format!("{}/reply", template.filter_of(&values))
}

/// Appends the payload of a message.
fn render_payload(shared: &Shared, publisher: &Publisher, token: &Token, out: &mut Vec<u8>) {
    out.clear();
    match &shared.publishing().content {
        Content::Prepared(payloads) => payloads.write(
            &PayloadOf {
                client: publisher.number,
                client_id: &publisher.name(shared).topic_id,
                sequence: token.sequence,
                total: shared.publishing().pacing.count.unwrap_or(0),
                unix_ns: token.unix_ns,
            },
            out,
        ),
        Content::Feed(_) => {
            let kept = publisher.kept.get(&token.sequence).or(publisher.next_fed.as_ref());
            out.extend_from_slice(kept.expect("a fed payload is kept until it is acknowledged"));
        }
    }
}

impl Crew {
    /// CONNACK is here.
    pub(super) fn publisher_up(
        &mut self,
        io: &mut Io,
        conn: Conn,
        local: usize,
        session_present: bool,
        again: bool,
    ) {
        self.publishers[local].since_connect = 0;
        self.publishers[local].reconnects += u64::from(again);
        if session_present {
            self.redeliver(io, conn, local);
        } else {
            // What was outstanding is lost with its session: not acknowledged, and it stays that way.
            let lost = self.members[conn.0 as usize].client.abandon().count() as u64;
            self.tally.measured.counters.unacked_at_end += lost;
            self.publishers[local].kept.clear();
        }
        if self.shared.publishing().responders > 0 {
            let filter =
                reply_filter(&self.shared.publishing().topic, &self.shared, self.publishers[local].number);
            let qos = self.shared.publishing().qos;
            return self.subscribe(io, conn, &[(filter.as_str(), qos)]);
        }
        self.begin_publishing(io, conn, local);
    }

    pub(super) fn begin_publishing(&mut self, io: &mut Io, conn: Conn, local: usize) {
        let publisher = &mut self.publishers[local];
        if publisher.start.is_none() {
            let (from, to) = self.shared.publishing().stagger;
            let mut stream = crate::seed::stream(self.shared.spec.seed, "stagger", publisher.number.into());
            let start = io.now() + if to > from { stream.random_range(from..to) } else { from };
            publisher.start = Some(start);
            if let Some(duration) = self.shared.publishing().pacing.duration {
                // Also for one that could not send any more.
                self.alarm(start + duration, Alarm::TimeUp, conn);
            }
        }
        self.pump(io, conn, local);
    }

    fn redeliver(&mut self, io: &mut Io, conn: Conn, local: usize) {
        let shared = self.shared.clone();
        let (publisher, payload, topic) = (&self.publishers[local], &mut self.payload, &mut self.topic);
        let now = io.now();
        self.members[conn.0 as usize].client.redeliver(now, io.out(conn), |token, resend: Resend<'_>| {
            render_topic(&shared, publisher.number, token.sequence, topic);
            render_payload(&shared, publisher, token, payload);
            resend.publish(topic, shared.publishing().retain, &[payload])
        });
    }

    /// Sends what is due at a time that was foreseen; answers when to come again.
    pub(super) fn publish_due(&mut self, io: &mut Io) -> Nanos {
        for _ in 0..self.unfinished.len() {
            let conn = self.unfinished.pop_front().expect("counted a moment ago");
            if let Part::Publisher(local) = self.members[conn.0 as usize].part {
                self.pump(io, conn, local);
            }
        }
        let now = io.now();
        if let Some(&Reverse((first, _))) = self.due.peek()
            && self.bursts.time(first) <= now
        {
            let mut sent = 0;
            while let Some(&Reverse((due, place))) = self.due.peek()
                && due <= now
            {
                self.due.pop();
                let Part::Publisher(local) = self.members[place as usize].part else { continue };
                self.publishers[local].queued = false;
                // What waited for others because it was to is not late.
                let lag = now - self.bursts.time(due);
                self.tally.measured.histograms.wake_lag.record(lag);
                sent += self.pump(io, Conn(place), local);
            }
            if sent > 0 {
                self.bursts.leave(first, now);
            }
        }
        if !self.unfinished.is_empty() {
            return io.now();
        }
        let Some(Reverse((due, _))) = self.due.peek() else { return Nanos::MAX };
        let next = self.bursts.time(*due);
        // Second in the heap is one of the two below the first.
        if let Some(Reverse((due, _))) = self.due.as_slice().iter().skip(1).take(2).max() {
            io.foresee(self.bursts.following(next, *due));
        }
        next
    }

    /// Sends what is due as far as there is room; answers how much it was.
    pub(super) fn pump(&mut self, io: &mut Io, conn: Conn, local: usize) -> usize {
        let mut sent = 0;
        if self.publishers[local].unsettled > 0
            && self.members[conn.0 as usize].step == Step::Up
            && io.unsent(conn) == 0
        {
            self.publishers[local].settle();
        }
        while self.members[conn.0 as usize].step == Step::Up {
            let publisher = &self.publishers[local];
            let Some(start) = publisher.start else { break };
            let Some(intended) = publisher.pacer.peek().filter(|_| !self.is_over(io.now(), local)) else {
                self.finish_if_done(io, conn, local);
                break;
            };
            let due = start + intended;
            if due > io.now() {
                self.queue(conn, local, due);
                break;
            }
            if sent == TURN {
                self.unfinished.push_back(conn);
                break;
            }
            if !self.may_send(io, conn, local) || !self.is_fed(io, conn, local) {
                break;
            }
            self.send(io, conn, local, due);
            sent += 1;
        }
        sent
    }

    /// Whether a publisher makes no more messages.
    pub(super) fn is_over(&self, now: Nanos, local: usize) -> bool {
        let publisher = &self.publishers[local];
        let duration = self.shared.publishing().pacing.duration;
        // Also for what came due before and could not be sent.
        let time_is_up =
            publisher.start.zip(duration).is_some_and(|(start, duration)| now >= start + duration);
        publisher.pacer.peek().is_none() || publisher.leaving || time_is_up || self.is_stopping()
    }

    fn queue(&mut self, conn: Conn, local: usize, due: Nanos) {
        if !std::mem::replace(&mut self.publishers[local].queued, true) {
            self.due.push(Reverse((due, conn.0)));
        }
    }

    /// Whether there is room; if not, what makes room brings the publisher back to [`Crew::pump`].
    fn may_send(&mut self, io: &mut Io, conn: Conn, local: usize) -> bool {
        let publishing = self.shared.publishing();
        let member = &self.members[conn.0 as usize];
        let publisher = &self.publishers[local];
        let room = member.client.can_publish(publishing.qos, &self.shared.publisher_limits)
            && !io.blocked(conn)
            && publisher.request.is_none();
        if room && publishing.reconnect_every == Some(publisher.since_connect) {
            if member.client.inflight() == 0 {
                self.leave(io, conn, After::Reconnect);
            }
            return false;
        }
        room
    }

    /// Whether the next payload is there.
    fn is_fed(&mut self, io: &mut Io, conn: Conn, local: usize) -> bool {
        let shared = self.shared.clone();
        let Content::Feed(feed) = &shared.publishing().content else { return true };
        if self.publishers[local].next_fed.is_some() {
            return true;
        }
        match feed.next() {
            Next::Record(record) => self.publishers[local].next_fed = Some(record),
            Next::NotYet => self.queue(conn, local, io.now() + FEED_LOOK),
            Next::Ended(why) => self.shared.fail(Ended::Environment, why),
        }
        self.publishers[local].next_fed.is_some()
    }

    fn send(&mut self, io: &mut Io, conn: Conn, local: usize, due: Nanos) {
        let now = io.now();
        let unix_ns = self.unix_ns(now);
        let shared = self.shared.clone();
        let publishing = shared.publishing();
        let publisher = &mut self.publishers[local];
        // Without a rate, a message is meant to be sent when there is room for it.
        let intended = if publishing.pacing.pace == Pace::Unlimited { now } else { due };
        publisher.pacer.advance(&publishing.pacing);
        let token = Token { sequence: publisher.pacer.made(), intended, sent: now, unix_ns };
        render_topic(&shared, publisher.number, token.sequence, &mut self.topic);
        render_payload(&shared, publisher, &token, &mut self.payload);
        if let Some(fed) = publisher.next_fed.take()
            && publishing.qos != QoS::AtMostOnce
        {
            publisher.kept.insert(token.sequence, fed);
        }
        let message = Outgoing {
            topic: &self.topic,
            qos: publishing.qos,
            retain: publishing.retain,
            payload: &[&self.payload],
        };
        self.members[conn.0 as usize]
            .client
            .publish(message, token, &shared.publisher_limits, now, io.out(conn))
            .expect("can_publish was asked a moment ago");
        publisher.sent += 1;
        publisher.since_connect += 1;
        publisher.first.get_or_insert(now);
        let counters = &mut self.tally.measured.counters;
        counters.due += 1;
        counters.sent += 1;
        counters.packets_out += 1;
        self.tally.measured.histograms.lateness.record(now - intended);
        if publishing.responders > 0 {
            publisher.request = Some((self.topic.clone(), now));
        }
        if publishing.qos == QoS::AtMostOnce {
            publisher.unsettled += 1;
            publisher.last = now;
        }
        let waits = publishing.qos != QoS::AtMostOnce || publishing.responders > 0;
        if waits && !std::mem::replace(&mut publisher.acks_armed, true) {
            self.alarm(now + publishing.ack_timeout / 4, Alarm::Acks, conn);
        }
    }

    pub(super) fn acked(&mut self, now: Nanos, local: usize, token: Token) {
        let publisher = &mut self.publishers[local];
        let measured = &mut self.tally.measured;
        publisher.acked += 1;
        publisher.last = now;
        publisher.ack_time.record(now - token.sent);
        publisher.kept.remove(&token.sequence);
        measured.counters.acked += 1;
        measured.histograms.ack_service.record(now - token.sent);
        measured.histograms.ack_response.record(now - token.intended);
    }

    pub(super) fn check_acks(&mut self, io: &mut Io, conn: Conn) {
        let place = conn.0 as usize;
        let Part::Publisher(local) = self.members[place].part else { return };
        let timeout = self.shared.publishing().ack_timeout;
        let (now, member) = (io.now(), &mut self.members[place]);
        while member.client.oldest().is_some_and(|token| now.saturating_sub(token.sent) >= timeout) {
            member.client.expire_oldest();
            self.tally.measured.counters.ack_timeouts += 1;
        }
        let publisher = &mut self.publishers[local];
        if publisher.request.as_ref().is_some_and(|(_, sent)| now.saturating_sub(*sent) >= timeout) {
            publisher.request = None;
            publisher.unanswered += 1;
        }
        let publishing = self.shared.publishing();
        let full = member.client.inflight() == 0
            && member.step == Step::Up
            && !member.client.can_publish(publishing.qos, &self.shared.publisher_limits);
        let waits = member.client.inflight() > 0 || publisher.request.is_some();
        publisher.acks_armed = waits;
        if waits {
            self.alarm(now + timeout / 4, Alarm::Acks, conn);
        }
        if full {
            // Every packet id waits for an acknowledgement that does not come.
            self.trouble("65,535 messages of a client were not acknowledged: connecting again".into());
            return io.abort(conn);
        }
        self.pump(io, conn, local);
    }

    /// It has published for as long as it was to.
    pub(super) fn time_is_up(&mut self, io: &mut Io, conn: Conn) {
        let Part::Publisher(local) = self.members[conn.0 as usize].part else { return };
        if self.publishers[local].pacer.peek().is_some() {
            self.publisher_leaves(io, conn);
        }
    }

    /// A publisher that has nothing to send and nothing to wait for leaves.
    pub(super) fn finish_if_done(&mut self, io: &mut Io, conn: Conn, local: usize) {
        let over = self.is_over(io.now(), local);
        let publisher = &self.publishers[local];
        let member = &self.members[conn.0 as usize];
        if over && member.client.inflight() == 0 && publisher.request.is_none() && member.step == Step::Up {
            self.leave(io, conn, After::Done);
        }
    }

    pub(super) fn publisher_leaves(&mut self, io: &mut Io, conn: Conn) {
        let Part::Publisher(local) = self.members[conn.0 as usize].part else { return };
        self.publishers[local].leaving |= self.publishers[local].pacer.peek().is_some();
        match self.members[conn.0 as usize].step {
            Step::Waiting => self.is_done(conn),
            _ => {
                self.pump(io, conn, local);
            }
        }
    }

    pub(super) fn publisher_done(&mut self, now: Nanos, local: usize) {
        let pacing = &self.shared.publishing().pacing;
        let publisher = &mut self.publishers[local];
        // With a rate, what came due and was never sent.
        if let Some(start) = publisher.start.filter(|_| pacing.pace != Pace::Unlimited) {
            let end = pacing.duration.map_or(Nanos::MAX, |duration| start + duration).min(now);
            while publisher.pacer.peek().is_some_and(|due| start + due < end) {
                publisher.pacer.advance(pacing);
                publisher.shed += 1;
            }
            self.tally.measured.counters.due += publisher.shed;
            self.tally.measured.counters.shed += publisher.shed;
        }
        publisher.unanswered += u64::from(publisher.request.take().is_some());
        let sent = publisher.sent;
        self.shared.published.fetch_add(sent, Ordering::AcqRel);
        if self.shared.publishers_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.wake_all();
        }
    }

    // Round trips.

    /// A responder sends back what it got. Responders divide the topics among them.
    pub(super) fn answer(&mut self, io: &mut Io, conn: Conn, number: u32, request: &Publish<'_>) {
        let hash = request.topic.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        // Of a filter that covers more than it should, answers must not be answered.
        let other = (hash % u64::from(self.shared.responders())) as u32 != number;
        if other || request.topic.ends_with("/reply") {
            return;
        }
        let now = io.now();
        let qos = self.shared.publishing().qos;
        let member = &mut self.members[conn.0 as usize];
        if !member.client.can_publish(qos, &self.shared.other_limits) {
            return self.trouble("a responder had no room for an answer".into());
        }
        self.topic.clear();
        self.topic.push_str(request.topic);
        self.topic.push_str("/reply");
        let message = Outgoing { topic: &self.topic, qos, retain: false, payload: &[request.payload] };
        let token = Token { sequence: 0, intended: now, sent: now, unix_ns: 0 };
        member
            .client
            .publish(message, token, &self.shared.other_limits, now, io.out(conn))
            .expect("can_publish was asked a moment ago");
        self.tally.measured.counters.packets_out += 1;
    }

    /// A requester has its answer.
    pub(super) fn answered(&mut self, now: Nanos, local: usize, answer: &Publish<'_>, first: bool) {
        let publisher = &mut self.publishers[local];
        let ours = publisher
            .request
            .as_ref()
            .filter(|(topic, _)| answer.topic.strip_suffix("/reply") == Some(topic));
        match ours {
            Some((_, sent)) if first => {
                self.tally.round_trip.record(now - sent);
                self.tally.measured.counters.delivered += 1;
                publisher.request = None;
            }
            _ => self.tally.measured.counters.foreign += 1,
        }
    }
}
