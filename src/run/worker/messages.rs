//! Publishing on schedule, and what comes back.

use super::{Clients, Phase, Shared, Step};
use crate::client::Outgoing;
use crate::clock::Nanos;
use crate::engine::{Conn, Io};
use crate::load::{Name, Receipt, Role, STAMP_LEN, Stamp, Values};
use crate::record::Schedule as Pace;
use crate::wire::{Publish, QoS};
use std::sync::atomic::Ordering;

/// What a message's acknowledgement brings back. Times are nanoseconds since the start of the schedule.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub sequence: u64,
    pub intended: Nanos,
    pub sent: Nanos,
}

/// A client that publishes; its place among the publishers is its slot.
pub struct Publisher {
    /// Number among all publishers of the run.
    number: u32,
    /// Where its topic lies in `Clients::topics`.
    topic: (u32, u32),
    /// Sequence of its next message.
    sequence: u64,
    /// Subscribers that are to have each of its messages.
    audience: u32,
    /// Its messages that are due and not sent.
    waiting: Queue,
}

/// A queue threaded through [`Backlog`].
#[derive(Clone, Copy)]
struct Queue {
    head: u32,
    tail: u32,
    len: u32,
}

const NONE: u32 = u32::MAX;
const EMPTY: Queue = Queue { head: NONE, tail: NONE, len: 0 };

/// The intended times of all messages that are due and could not be sent yet.
pub struct Backlog {
    entries: Vec<Entry>,
    free: u32,
    /// Most messages of one publisher.
    limit: u32,
    len: u64,
}

struct Entry {
    intended: Nanos,
    next: u32,
}

impl Backlog {
    pub fn new(limit: u32) -> Backlog {
        Backlog { entries: Vec::new(), free: NONE, limit, len: 0 }
    }

    /// False when the publisher's share is full.
    fn push(&mut self, queue: &mut Queue, intended: Nanos) -> bool {
        if queue.len >= self.limit {
            return false;
        }
        let entry = Entry { intended, next: NONE };
        let at = match self.free {
            NONE => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
            at => {
                self.free = self.entries[at as usize].next;
                self.entries[at as usize] = entry;
                at
            }
        };
        match queue.tail {
            NONE => queue.head = at,
            tail => self.entries[tail as usize].next = at,
        }
        queue.tail = at;
        queue.len += 1;
        self.len += 1;
        true
    }

    fn front(&self, queue: &Queue) -> Option<Nanos> {
        (queue.head != NONE).then(|| self.entries[queue.head as usize].intended)
    }

    fn pop(&mut self, queue: &mut Queue) {
        let at = queue.head;
        queue.head = self.entries[at as usize].next;
        if queue.head == NONE {
            queue.tail = NONE;
        }
        self.entries[at as usize].next = self.free;
        self.free = at;
        queue.len -= 1;
        self.len -= 1;
    }
}

/// Acknowledgements in a row of messages that were meant to leave and left together.
#[derive(Default)]
pub struct Acks {
    intended: Nanos,
    sent: Nanos,
    count: u64,
}

/// The publishers with `numbers`, and their topics.
pub fn publishers(shared: &Shared, numbers: &[u32]) -> (Vec<Publisher>, String) {
    let mut topics = String::new();
    let publishers = numbers.iter().map(|&number| {
        let from = topics.len();
        shared.render_topic(number, &mut topics);
        let topic = (from as u32, topics.len() as u32);
        Publisher { number, topic, sequence: 0, audience: 0, waiting: EMPTY }
    });
    (publishers.collect(), topics)
}

impl Shared {
    /// Appends the topic of publisher `number`.
    pub fn render_topic(&self, number: u32, out: &mut String) {
        let values = Values {
            client: Name::Numbered { prefix: &self.spec.plan.client_id_prefix, index: number },
            index: number,
            pair: self.routes.group(number),
            run_id: self.run_id,
            // Templates with fields that differ from message to message are turned away by the command line.
            sequence: 0,
            total: self.spec.plan.msg_count.unwrap_or(0),
            seed: 0,
        };
        self.spec.topic.render(&values, out).expect("writing to a string");
    }
}

impl Clients {
    /// How many subscribers hear each publisher is certain once all SUBACKs are in.
    pub(super) fn fix_audiences(&mut self) {
        for publisher in &mut self.publishers {
            let group = self.shared.routes.group(publisher.number) as usize;
            publisher.audience = self.shared.granted[group].load(Ordering::Acquire);
        }
    }

    /// With a count of messages, how many this worker will send: those of the publishers that are
    /// connected or will be again.
    pub(super) fn fix_quota(&mut self) {
        let Some(count) = self.shared.spec.plan.msg_count else { return };
        let reconnect = self.shared.spec.plan.reconnect;
        let members = self.members[..self.publishers.len()].iter();
        let able = members.filter(|member| member.step != Step::Down || member.was_established && reconnect);
        self.quota = count.saturating_mul(able.count() as u64);
    }

    /// A publisher was lost for good.
    pub(super) fn forgo_quota(&mut self, conn: Conn) {
        let (Some(count), Some(publisher)) =
            (self.shared.spec.plan.msg_count, self.publishers.get(conn.0 as usize))
        else {
            return;
        };
        if self.phase == Phase::Publishing {
            self.quota = self.quota.saturating_sub(count.saturating_sub(publisher.sequence));
        }
    }

    fn since_start(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.start)
    }

    /// Sends what is due; answers when to look again.
    pub(super) fn publish_due(&mut self, io: &mut Io) -> Option<Nanos> {
        if io.now() < self.start {
            return Some(self.start);
        }
        match self.shared.spec.plan.schedule {
            Pace::Open { .. } => self.publish_scheduled(io),
            Pace::Closed { .. } => self.publish_closed(io),
            Pace::None => self.end_of_schedule(io.now() >= self.start.saturating_add(self.shared.window.1)),
        }
    }

    fn publish_scheduled(&mut self, io: &mut Io) -> Option<Nanos> {
        // Acknowledgements that arrive in between are no reason to send what can wait.
        let next = self.next_burst(io);
        if next.is_some_and(|next| io.now() < next) {
            return next;
        }
        if let Some(due) = self.schedule.as_ref().and_then(|schedule| schedule.next_due()) {
            self.bursts.leave(self.start + due, io.now());
        }
        let now = self.since_start(io.now());
        while let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.pop(now)) {
            let place = due.place as usize;
            self.levels.due += 1;
            self.tally_of(due.intended).counters.due += 1;
            self.times.wake_lag(now - due.intended, 1, self.is_measured(due.intended), &mut self.tally);
            let waiting = self.publishers[place].waiting.len > 0;
            if waiting || self.send(io, place, due.intended, 1) == 0 {
                self.postpone(place, due.intended);
            }
        }
        let next = self.next_burst(io);
        self.end_of_schedule(next.is_none());
        next
    }

    /// When messages leave next; tells the engine of the time after that.
    fn next_burst(&self, io: &mut Io) -> Option<Nanos> {
        let schedule = self.schedule.as_ref()?;
        let next = self.bursts.time(self.start + schedule.next_due()?);
        if let Some(due) = schedule.following_due() {
            io.foresee(self.bursts.following(next, self.start + due));
        }
        Some(next)
    }

    fn postpone(&mut self, place: usize, intended: Nanos) {
        if self.backlog.push(&mut self.publishers[place].waiting, intended) {
            self.levels.outstanding += 1;
        } else {
            self.tally_of(intended).counters.shed += 1;
        }
    }

    fn end_of_schedule(&mut self, ended: bool) -> Option<Nanos> {
        if ended && !self.scheduled {
            self.scheduled = true;
            self.link.report(super::Report::Scheduled);
        }
        None
    }

    /// Closed loop. With acknowledgements the loop closes itself in [`Clients::acked`]; here it begins.
    /// At QoS 0 what the kernel takes is all there is to go by, so publishers take turns.
    fn publish_closed(&mut self, io: &mut Io) -> Option<Nanos> {
        const TURNS: usize = 256;
        let count = self.publishers.len();
        let ended = self.is_closed_loop_over(self.since_start(io.now()));
        self.end_of_schedule(ended);
        if ended || count == 0 {
            return None;
        }
        let acked = self.shared.spec.qos() != QoS::AtMostOnce;
        if acked && self.begun {
            return Some(self.start.saturating_add(self.shared.window.1));
        }
        self.begun = true;
        let turns = if acked { count } else { count.min(TURNS) };
        for _ in 0..turns {
            let place = self.round % count;
            self.round = place + 1;
            self.fill_window(io, place);
        }
        if acked { Some(self.start.saturating_add(self.shared.window.1)) } else { Some(io.now()) }
    }

    fn is_closed_loop_over(&self, now: Nanos) -> bool {
        match self.shared.spec.plan.msg_count {
            Some(_) => self.levels.sent >= self.quota,
            None => now >= self.shared.window.1,
        }
    }

    /// Closed loop: sends as many messages as the window lets through; a message is meant to be sent
    /// when there is room for it.
    fn fill_window(&mut self, io: &mut Io, place: usize) {
        let Pace::Closed { inflight } = self.shared.spec.plan.schedule else { return };
        let now = self.since_start(io.now());
        if self.phase != Phase::Publishing || now >= self.shared.window.1 {
            return;
        }
        let last = self.shared.spec.plan.msg_count.unwrap_or(u64::MAX);
        let left = last - self.publishers[place].sequence;
        let sent = self.send(io, place, now, left.min(inflight.into()));
        self.levels.due += sent;
        self.tally_of(now).counters.due += sent;
    }

    /// Sends up to `most` of the publisher's next messages, which were meant to be sent at `intended`;
    /// answers how many its connection and window had room for.
    fn send(&mut self, io: &mut Io, place: usize, intended: Nanos, most: u64) -> u64 {
        let conn = Conn(place as u32);
        let shared = &*self.shared;
        let member = &mut self.members[place];
        if member.step != Step::Up || io.blocked(conn) {
            return 0;
        }
        let (qos, limits) = (shared.spec.qos(), &shared.limits);
        let count = most.min(member.client.room(qos, limits) as u64);
        if count == 0 {
            return 0;
        }
        let now = io.now();
        let sent = now.saturating_sub(self.start);
        let publisher = &mut self.publishers[place];
        let topic = &self.topics[publisher.topic.0 as usize..publisher.topic.1 as usize];
        let first = member.client.inflight() == 0;
        let out = io.out(conn);
        for _ in 0..count {
            let token = Token { sequence: publisher.sequence, intended, sent };
            publisher.sequence += 1;
            let stamp = stamp(shared.run_id, publisher.number, &token);
            let payload = &[&stamp[..], shared.body.bytes()];
            let message = Outgoing { topic, qos, retain: false, payload };
            member.client.publish(message, token, limits, now, out).expect("there was room a moment ago");
            if publisher.audience > 0 {
                shared.hand_over.note(publisher.number, token.sequence, sent);
            }
        }
        let expected = count * u64::from(publisher.audience);
        if qos != QoS::AtMostOnce {
            self.levels.outstanding += count;
            self.timers.await_ack(conn, now, first);
        }
        self.levels.sent += count;
        self.levels.expected += expected;
        let measured = self.is_measured(intended);
        let tally = if measured { &mut self.tally.measured } else { &mut self.tally.unmeasured };
        tally.counters.sent += count;
        tally.counters.expected += expected;
        self.times.lateness(sent.saturating_sub(intended), count, measured, &mut self.tally);
        // Of the whole run, unlike messages.
        self.tally.measured.counters.packets_out += count;
        count
    }

    /// Sends what has waited for a connection or a window, as far as there is room now.
    pub(super) fn catch_up(&mut self, io: &mut Io, place: usize) {
        if place >= self.publishers.len() {
            return;
        }
        while let Some(intended) = self.backlog.front(&self.publishers[place].waiting) {
            if self.send(io, place, intended, 1) == 0 {
                return;
            }
            self.backlog.pop(&mut self.publishers[place].waiting);
            self.levels.outstanding -= 1;
        }
        if self.phase == Phase::Publishing && io.now() >= self.start {
            self.fill_window(io, place);
        }
    }

    /// What has never been sent by the end never will be.
    pub(super) fn shed_backlogs(&mut self) {
        for place in 0..self.publishers.len() {
            while let Some(intended) = self.backlog.front(&self.publishers[place].waiting) {
                self.backlog.pop(&mut self.publishers[place].waiting);
                self.levels.outstanding -= 1;
                self.tally_of(intended).counters.shed += 1;
            }
        }
    }

    #[inline]
    pub(super) fn acked(&mut self, now: Nanos, token: Token) {
        if (self.acks.intended, self.acks.sent) != (token.intended, token.sent) {
            self.settle_acks(now);
            (self.acks.intended, self.acks.sent) = (token.intended, token.sent);
        }
        self.acks.count += 1;
    }

    /// Counts and times the acknowledgements of this read that are not yet.
    pub(super) fn settle_acks(&mut self, now: Nanos) {
        let Acks { intended, sent, count } = std::mem::take(&mut self.acks);
        if count > 0 {
            self.levels.outstanding -= count;
            self.levels.acked += count;
            self.tally_of(intended).counters.acked += count;
            self.time_acks(now, intended, sent, count);
        }
    }

    /// An ack after its timeout: the message was counted as timed out, and still is.
    pub(super) fn acked_late(&mut self, token: Token) {
        self.levels.acked += 1;
        self.tally_of(token.intended).counters.acked += 1;
    }

    /// The times of an acknowledgement, or of the wait for one that was given up: leaving those out would
    /// make a broker that has stopped look fast.
    fn time_acks(&mut self, now: Nanos, intended: Nanos, sent: Nanos, count: u64) {
        let now = self.since_start(now);
        let measured = self.is_measured(intended);
        let (response, service) = (now.saturating_sub(intended), now.saturating_sub(sent));
        self.times.ack_response(response, count, measured, &mut self.tally);
        self.times.ack_service(service, count, measured, &mut self.tally);
    }

    /// Messages whose acknowledgement can never come, because the session is gone.
    pub(super) fn abandoned(&mut self, now: Nanos, token: Token) {
        self.levels.outstanding -= 1;
        self.time_acks(now, token.intended, token.sent, 1);
        self.tally_of(token.intended).counters.unacked_at_end += 1;
    }

    pub(super) fn ack_timed_out(&mut self, now: Nanos, token: Token) {
        self.levels.outstanding -= 1;
        self.time_acks(now, token.intended, token.sent, 1);
        self.tally_of(token.intended).counters.ack_timeouts += 1;
    }

    /// A PUBLISH arrived.
    pub(super) fn delivered(&mut self, now: Nanos, conn: Conn, publish: &Publish<'_>, first: bool) {
        if !first && publish.dup {
            // At QoS 2 a packet that comes again under an id that is not released, because its PUBREC was
            // lost, is the same message, and nothing is delivered twice [MQTT-4.3.3-2].
            return;
        }
        let now = self.since_start(now);
        let stamp = Stamp::decode(publish.payload, self.shared.run_id);
        let flow = stamp.and_then(|stamp| {
            let place = self.subscriber_place(conn)?;
            let subscriber = &mut self.subscribers[place];
            let flow = self.shared.routes.place(stamp.publisher, subscriber.group)?;
            Some((stamp, &mut subscriber.flows[flow as usize], subscriber.granted))
        });
        let Some((stamp, flow, granted)) = flow else {
            self.tally.measured.counters.foreign += 1;
            return;
        };
        if !granted {
            // Nobody counts on it, because its subscription was refused or given up.
            return;
        }
        let receipt = if first { flow.receive(stamp.sequence) } else { Receipt::Duplicate };
        let sent = self.shared.hand_over.time(stamp.publisher, stamp.sequence, stamp.intended);
        let late = self.phase == Phase::Draining;
        let new = matches!(receipt, Receipt::InOrder | Receipt::Reordered);
        self.levels.delivered += u64::from(new);
        let tally = self.tally_of(stamp.intended);
        match receipt {
            Receipt::InOrder => {}
            Receipt::Reordered => tally.counters.reordered += 1,
            Receipt::Duplicate => tally.counters.duplicated += 1,
            Receipt::Unknown => tally.counters.untold += 1,
        }
        if new {
            tally.counters.delivered += 1;
            tally.counters.late += u64::from(late);
            let response = now.saturating_sub(stamp.intended);
            // Without the hand-over time the response time is the closest bound from above.
            let service = sent.map_or(response, |sent| now.saturating_sub(sent));
            let measured = self.is_measured(stamp.intended);
            self.times.flight_response(response, 1, measured, &mut self.tally);
            self.times.flight_service(service, 1, measured, &mut self.tally);
        }
    }

    /// Resends what a resumed session owes the broker.
    pub(super) fn redeliver(&mut self, io: &mut Io, conn: Conn) {
        let place = conn.0 as usize;
        let Some(publisher) = self.publishers.get(place) else {
            return;
        };
        let shared = &self.shared;
        let topic = &self.topics[publisher.topic.0 as usize..publisher.topic.1 as usize];
        let now = io.now();
        let since_start = now.saturating_sub(self.start);
        self.members[place].client.redeliver(now, io.out(conn), |token, resend| {
            token.sent = since_start;
            let stamp = stamp(shared.run_id, publisher.number, token);
            let payload = &[&stamp[..], shared.body.bytes()];
            resend.publish(topic, false, payload)
        });
    }

    /// The filters of the subscriber at `place`, one after the other, with the end of each.
    pub(super) fn filters(&self, place: usize) -> (String, Vec<usize>) {
        let shared = &self.shared;
        let group = self.subscribers[place].group;
        let (mut text, mut ends) = (String::new(), Vec::new());
        let all = if shared.spec.topic.is_per_publisher() { usize::MAX } else { 1 };
        for number in shared.routes.publishers_of(group).take(all) {
            shared.render_topic(number, &mut text);
            ends.push(text.len());
        }
        (text, ends)
    }

    /// What part client `index` plays, in words for messages.
    pub(super) fn part(&self, index: u32) -> &'static str {
        match self.shared.layout.split.role(index) {
            Role::Publisher(_) => "publisher",
            Role::Subscriber(_) => "subscriber",
            Role::Idle => "idle client",
        }
    }
}

fn stamp(run_id: u32, publisher: u32, token: &Token) -> [u8; STAMP_LEN] {
    Stamp { run_id, publisher, sequence: token.sequence, intended: token.intended }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_keeps_each_publishers_order_within_its_limit() {
        let mut backlog = Backlog::new(2);
        let (mut one, mut two) = (EMPTY, EMPTY);
        assert!(backlog.push(&mut one, 1) && backlog.push(&mut two, 2) && backlog.push(&mut one, 3));
        assert!(!backlog.push(&mut one, 4), "full");
        assert_eq!((backlog.front(&one), backlog.len), (Some(1), 3));
        backlog.pop(&mut one);
        assert!(backlog.push(&mut one, 5));
        backlog.pop(&mut one);
        assert_eq!(backlog.front(&one), Some(5));
        backlog.pop(&mut one);
        assert_eq!((backlog.front(&one), backlog.front(&two), backlog.len), (None, Some(2), 1));
        assert!(backlog.push(&mut one, 6));
        assert_eq!(backlog.front(&one), Some(6));
        assert_eq!(backlog.entries.len(), 3, "entries are used again");
    }
}
