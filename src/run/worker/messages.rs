//! Publishing on schedule, and what comes back.

use super::{Clients, Phase, Shared, Step};
use crate::client::Outgoing;
use crate::clock::Nanos;
use crate::engine::{Conn, Io};
use crate::load::{Name, Receipt, Role, STAMP_LEN, Stamp, Values};
use crate::record::Schedule as Pace;
use crate::run::link::Tally;
use crate::stats::{Histogram, Latencies};
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

/// Equal values in a row, recorded as one: messages that leave in one pass or whose acknowledgements
/// arrive in one batch have their times in common.
#[derive(Default)]
struct Streak {
    value: Nanos,
    measured: bool,
    times: u64,
}

impl Streak {
    #[inline]
    fn add(&mut self, value: Nanos, measured: bool, tally: &mut Tally, which: impl Which) {
        if self.value != value || self.measured != measured {
            self.settle(tally, which);
            (self.value, self.measured) = (value, measured);
        }
        self.times += 1;
    }

    fn settle(&mut self, tally: &mut Tally, which: impl Which) {
        if self.times > 0 {
            let interval = if self.measured { &mut tally.measured } else { &mut tally.unmeasured };
            which(&mut interval.histograms).record_n(self.value, self.times);
            self.times = 0;
        }
    }
}

/// Picks a histogram.
trait Which: Fn(&mut Latencies) -> &mut Histogram {}
impl<F: Fn(&mut Latencies) -> &mut Histogram> Which for F {}

/// The times of messages that are not in a tally yet.
#[derive(Default)]
pub struct Streaks {
    ack_response: Streak,
    ack_service: Streak,
    lateness: Streak,
}

impl Streaks {
    /// Puts everything into `tally`.
    pub fn settle(&mut self, tally: &mut Tally) {
        self.ack_response.settle(tally, |all| &mut all.ack_response);
        self.ack_service.settle(tally, |all| &mut all.ack_service);
        self.lateness.settle(tally, |all| &mut all.lateness);
    }
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
        // What comes due within the tolerance after a burst is sent together, also when acknowledgements
        // arrive in between.
        let next_burst = self.last_burst + self.shared.spec.plan.tolerance_ns;
        if self.last_burst != 0 && io.now() < next_burst {
            return Some(next_burst);
        }
        let now = self.since_start(io.now());
        let mut burst = false;
        while let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.pop(now)) {
            burst = true;
            let place = due.place as usize;
            self.levels.due += 1;
            let tally = self.tally_of(due.intended);
            tally.counters.due += 1;
            tally.histograms.wake_lag.record(now - due.intended);
            let waiting = self.publishers[place].waiting.len > 0;
            if waiting || !self.try_send(io, place, due.intended) {
                self.postpone(place, due.intended);
            }
        }
        if burst {
            self.last_burst = io.now();
        }
        let next = self.schedule.as_ref().and_then(|schedule| schedule.next_due());
        self.end_of_schedule(next.is_none());
        // What comes due within the tolerance after a burst is sent together.
        next.map(|next| (self.start + next).max(self.last_burst + self.shared.spec.plan.tolerance_ns))
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
        if acked && self.last_burst != 0 {
            return Some(self.start.saturating_add(self.shared.window.1));
        }
        self.last_burst = io.now();
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
        let mut sent = 0;
        while sent < u64::from(inflight)
            && self.publishers[place].sequence < last
            && self.try_send(io, place, now)
        {
            sent += 1;
        }
        self.levels.due += sent;
        self.tally_of(now).counters.due += sent;
    }

    /// Sends the publisher's next message, unless its connection or window has no room.
    fn try_send(&mut self, io: &mut Io, place: usize, intended: Nanos) -> bool {
        let conn = Conn(place as u32);
        let member = &mut self.members[place];
        let spec = &self.shared.spec;
        let limits = &self.shared.limits;
        if member.step != Step::Up || !member.client.can_publish(spec.qos(), limits) || io.blocked(conn) {
            return false;
        }
        let sent = io.now().saturating_sub(self.start);
        let publisher = &mut self.publishers[place];
        let sequence = publisher.sequence;
        publisher.sequence += 1;
        let token = Token { sequence, intended, sent };
        let stamp = stamp(self.shared.run_id, publisher.number, &token);
        let topic = &self.topics[publisher.topic.0 as usize..publisher.topic.1 as usize];
        let payload = &[&stamp[..], self.shared.body.bytes()];
        let message = Outgoing { topic, qos: spec.qos(), retain: false, payload };
        let now = io.now();
        member
            .client
            .publish(message, token, limits, now, io.out(conn))
            .expect("can_publish was asked a moment ago");
        let audience = u64::from(publisher.audience);
        if audience > 0 {
            self.shared.hand_over.note(publisher.number, sequence, sent);
        }
        if spec.qos() != QoS::AtMostOnce {
            self.levels.outstanding += 1;
            self.timers.await_ack(conn, now, member.client.inflight() == 1);
        }
        self.levels.sent += 1;
        self.levels.expected += audience;
        let measured = self.is_measured(intended);
        let tally = if measured { &mut self.tally.measured } else { &mut self.tally.unmeasured };
        tally.counters.sent += 1;
        tally.counters.expected += audience;
        let lateness = sent - intended.min(sent);
        self.streaks.lateness.add(lateness, measured, &mut self.tally, |all| &mut all.lateness);
        // Of the whole run, unlike messages.
        self.tally.measured.counters.packets_out += 1;
        true
    }

    /// Sends what has waited for a connection or a window, as far as there is room now.
    pub(super) fn catch_up(&mut self, io: &mut Io, place: usize) {
        if place >= self.publishers.len() {
            return;
        }
        while let Some(intended) = self.backlog.front(&self.publishers[place].waiting) {
            if !self.try_send(io, place, intended) {
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
        self.levels.outstanding -= 1;
        self.levels.acked += 1;
        self.tally_of(token.intended).counters.acked += 1;
        self.time_ack(now, token);
    }

    /// An ack after its timeout: the message was counted as timed out, and still is.
    pub(super) fn acked_late(&mut self, token: Token) {
        self.levels.acked += 1;
        self.tally_of(token.intended).counters.acked += 1;
    }

    /// The times of an acknowledgement, or of the wait for one that was given up: leaving those out would
    /// make a broker that has stopped look fast.
    fn time_ack(&mut self, now: Nanos, token: Token) {
        let now = self.since_start(now);
        let measured = self.is_measured(token.intended);
        let (response, service) = (now.saturating_sub(token.intended), now.saturating_sub(token.sent));
        let Streaks { ack_response, ack_service, .. } = &mut self.streaks;
        ack_response.add(response, measured, &mut self.tally, |all| &mut all.ack_response);
        ack_service.add(service, measured, &mut self.tally, |all| &mut all.ack_service);
    }

    /// Messages whose acknowledgement can never come, because the session is gone.
    pub(super) fn abandoned(&mut self, now: Nanos, token: Token) {
        self.levels.outstanding -= 1;
        self.time_ack(now, token);
        self.tally_of(token.intended).counters.unacked_at_end += 1;
    }

    pub(super) fn ack_timed_out(&mut self, now: Nanos, token: Token) {
        self.levels.outstanding -= 1;
        self.time_ack(now, token);
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
        let sent = self.shared.hand_over.time(stamp.publisher, stamp.sequence);
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
            tally.histograms.flight_response.record(response);
            // Without the hand-over time the response time is the closest bound from above.
            tally.histograms.flight_service.record(sent.map_or(response, |sent| now.saturating_sub(sent)));
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

    #[test]
    fn a_streak_records_what_each_value_would_have() {
        let (mut streak, mut tally) = (Streak::default(), Tally::default());
        fn which(all: &mut Latencies) -> &mut Histogram {
            &mut all.lateness
        }
        for (value, measured) in [(0, false), (0, true), (7, true), (7, true), (9, false), (7, true)] {
            streak.add(value, measured, &mut tally, which);
        }
        streak.settle(&mut tally, which);
        streak.settle(&mut tally, which);
        let of = |values: &[Nanos]| {
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.record(*value));
            histogram
        };
        assert_eq!(tally.measured.histograms.lateness, of(&[0, 7, 7, 7]));
        assert_eq!(tally.unmeasured.histograms.lateness, of(&[0, 9]));
    }
}
