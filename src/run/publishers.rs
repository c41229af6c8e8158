//! The publishers of one worker: what is due, and when it leaves.

use super::backlog::{Backlog, Queue};
use super::shared::{Crew, Shared};
use super::trials::Segment;
use crate::client::Outgoing;
use crate::clock::Nanos;
use crate::crew::{End as Ending, Place, Step, Token, Written};
use crate::engine::Link;
use crate::load::{Bursts, End, Profile, STAMP_LEN, Schedule, Stamp};
use crate::record::Schedule as Pace;
use crate::wire::QoS;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A client that publishes; its place among the publishers is its place among the clients.
struct Publisher {
    /// Number among all publishers of the run.
    number: u32,
    /// Where its topic lies in `Publishers::topics`.
    topic: (u32, u32),
    /// Sequence of its next message.
    sequence: u64,
    /// Subscribers that are to have each of its messages.
    audience: u32,
    /// Its messages that are due and not sent.
    waiting: Queue,
    /// Its broker knows its topic by a number, on this connection.
    aliased: bool,
}

/// All publishers of a worker. Times are of the process clock.
pub struct Publishers {
    shared: Arc<Shared>,
    list: Vec<Publisher>,
    /// Their topics, one after the other.
    topics: String,
    backlog: Backlog,
    /// Open loop only.
    schedule: Option<Schedule>,
    bursts: Bursts,
    /// When messages come due: from the start of the schedule on, once that is known.
    open: Range<Nanos>,
    /// When the first schedule began: times in stamps run from there. 0 before.
    origin: Nanos,
    /// Closed loop with a count: messages that end it.
    quota: u64,
    /// Closed loop: turns that publishers have had, one after the other,
    turns: usize,
    /// and how many in a row had no room: when all of them have none, what makes room begins anew.
    dry: usize,
    /// Messages that are counted as unconfirmed, of whom there are any.
    unconfirmed: BTreeMap<Place, u64>,
}

/// Closed loop at QoS 0: publishers that have their turn in one pass,
const TURNS: usize = 256;
/// bytes that they write in it together, so that what is written is still in the cache when the kernel reads it,
const PASS: usize = 1 << 20;
/// and bytes of one turn at most: many messages leave in one send, and a socket's buffer holds several of them.
const TURN: usize = 64 << 10;

impl Publishers {
    /// The publishers with `numbers`.
    pub fn new(shared: Arc<Shared>, numbers: &[u32]) -> Publishers {
        let mut topics = String::new();
        let list = numbers.iter().map(|&number| {
            let from = topics.len();
            topics.push_str(&shared.topic(number));
            let topic = (from as u32, topics.len() as u32);
            Publisher { number, topic, sequence: 0, audience: 0, waiting: Queue::default(), aliased: false }
        });
        Publishers {
            list: list.collect(),
            topics,
            backlog: Backlog::new(0),
            schedule: None,
            bursts: Bursts::new(shared.spec.plan.tolerance_ns),
            open: 0..0,
            origin: 0,
            quota: u64::MAX,
            turns: 0,
            dry: 0,
            unconfirmed: BTreeMap::new(),
            shared,
        }
    }

    /// A schedule begins.
    pub fn begin(&mut self, crew: &Crew, segment: &Segment) {
        let (shared, start) = (&self.shared, segment.start);
        let plan = &shared.spec.plan;
        if self.origin == 0 {
            self.origin = start;
        }
        self.open = start..segment.closes;
        let rate = segment.rate_per_s.map_or_else(|| shared.profile(), Profile::constant);
        self.backlog.limit(shared.backlog_limit(rate.peak()));
        if let Pace::Open { arrival, .. } = plan.schedule {
            let numbers = self.list.iter().map(|publisher| publisher.number).collect();
            let end = plan.msg_count.map_or(End::Time(segment.closes - start), End::Count);
            self.schedule = Some(Schedule::new(arrival, numbers, plan.publishers, rate, end, plan.seed));
            self.bursts = Bursts::new(plan.tolerance_ns);
        }
        // How many subscribers hear each publisher is certain once all SUBACKs are in.
        for publisher in &mut self.list {
            let group = self.shared.routes.group(publisher.number);
            publisher.audience = self.shared.audience(group);
        }
        // With a count of messages, those of the publishers that are connected or will be again.
        if let Some(count) = self.shared.spec.plan.msg_count {
            let able = crew.places().take(self.list.len()).filter(|place| crew.step(*place) != Step::Done);
            self.quota = count.saturating_mul(able.count() as u64);
        }
    }

    /// Nothing more comes due.
    pub fn end(&mut self) {
        self.open.end = 0;
    }

    /// A publisher was lost for good.
    pub fn forgo(&mut self, place: Place) {
        if let (Some(count), Some(publisher)) = (self.shared.spec.plan.msg_count, self.list.get(place.at())) {
            self.quota = self.quota.saturating_sub(count.saturating_sub(publisher.sequence));
        }
    }

    /// A publisher's connection has ended, with so many bytes that had not arrived at its broker. At QoS 0 and where
    /// nobody hears it, nothing else tells what its messages came to: of one that has left, whether the broker has read
    /// them all; of one that was lost, what had not arrived.
    pub fn ended(&mut self, crew: &mut Crew, place: Place, end: &Ending, unacked: usize) {
        let (shared, Some(publisher)) = (&self.shared, self.list.get(place.at())) else { return };
        let heard = publisher.audience > 0 || shared.spec.plan.flap.is_some();
        if heard || shared.qos != QoS::AtMostOnce {
            return;
        }
        let sent = shared.sequences.sent(publisher.number, publisher.sequence);
        let told = self.unconfirmed.get(&place).copied().unwrap_or(0);
        let unconfirmed = match end {
            Ending::Left { read: true, .. } => return,
            Ending::Left { read: false, .. } => sent - told,
            Ending::Failed | Ending::Spent(_) => {
                (unacked.div_ceil(self.size(publisher)) as u64).min(sent - told)
            }
        };
        if unconfirmed > 0 {
            crew.books.counters().unconfirmed += unconfirmed;
            self.unconfirmed.insert(place, told + unconfirmed);
        }
    }

    /// Bytes of each message of a publisher on its connection.
    fn size(&self, publisher: &Publisher) -> usize {
        // What is in doubt are the last ones, which have no topic if it has a number.
        let topic = if publisher.aliased { "" } else { self.topic(publisher) };
        self.shared.packet(topic, QoS::AtMostOnce, STAMP_LEN + self.shared.body.bytes().len())
    }

    fn topic(&self, publisher: &Publisher) -> &str {
        &self.topics[publisher.topic.0 as usize..publisher.topic.1 as usize]
    }

    /// Sends what is due; answers when to look again, unless the last message came due.
    pub fn poll<L: Link>(&mut self, crew: &mut Crew, link: &mut L) -> Option<Nanos> {
        if link.now() < self.open.start {
            return Some(self.open.start);
        }
        if self.schedule.is_some() { self.poll_schedule(crew, link) } else { self.poll_window(crew, link) }
    }

    /// Open loop.
    fn poll_schedule<L: Link>(&mut self, crew: &mut Crew, link: &mut L) -> Option<Nanos> {
        let (now, start) = (link.now(), self.open.start);
        // Acknowledgements that arrive in between are no reason to send what can wait.
        let next = self.next_burst(link)?;
        if now < next {
            return Some(next);
        }
        self.bursts.leave(next, now);
        while let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.pop(now - start)) {
            let (place, intended) = (Place(due.place), start + due.intended);
            crew.books.came_due(intended, 1);
            // What waited for others because it was to is not late.
            crew.books.wake_lag(now - intended.max(next), intended);
            let waits = self.backlog.front(self.list[place.at()].waiting).is_some();
            if !waits && self.send(crew, link, place, intended, 1) > 0 {
                continue;
            }
            if self.backlog.push(&mut self.list[place.at()].waiting, intended) {
                crew.books.levels.outstanding += 1;
            } else {
                crew.books.shed(intended);
            }
        }
        self.next_burst(link)
    }

    /// When messages leave next; tells the link of the time after that.
    fn next_burst<L: Link>(&self, link: &mut L) -> Option<Nanos> {
        let (schedule, start) = (self.schedule.as_ref()?, self.open.start);
        let next = self.bursts.time(start + schedule.next_due()?);
        if let Some(due) = schedule.following_due() {
            link.foresee(self.bursts.following(next, start + due));
        }
        Some(next)
    }

    /// Closed loop. With acknowledgements the loop closes itself in [`Publishers::catch_up`]; here everybody has a
    /// turn to begin. At QoS 0 what the kernel takes is all there is to go by: publishers take turns, and who finds
    /// its connection full waits for room.
    fn poll_window<L: Link>(&mut self, crew: &mut Crew, link: &mut L) -> Option<Nanos> {
        let (now, closes, count) = (link.now(), self.open.end, self.list.len());
        if now >= closes || crew.books.levels.due >= self.quota {
            return None;
        }
        let acked = self.shared.qos != QoS::AtMostOnce;
        let turns = if acked { count.saturating_sub(self.turns) } else { count.min(TURNS) };
        for turn in self.turns..self.turns + turns {
            self.fill_window(crew, link, Place((turn % count) as u32));
        }
        self.turns += turns;
        Some(if acked || self.dry >= count { closes } else { now })
    }

    /// Closed loop: sends as many messages as the window lets through; a message is meant to be sent
    /// when there is room for it.
    fn fill_window<L: Link>(&mut self, crew: &mut Crew, link: &mut L, place: Place) {
        let Pace::Closed { inflight } = self.shared.spec.plan.schedule else { return };
        let now = link.now();
        if !self.open.contains(&now) {
            return;
        }
        let last = self.shared.spec.plan.msg_count.unwrap_or(u64::MAX);
        let left = last - self.list[place.at()].sequence;
        let most = if self.shared.qos == QoS::AtMostOnce { self.turn(place) } else { inflight.into() };
        let sent = self.send(crew, link, place, now, left.min(most));
        crew.books.came_due(now, sent);
        self.dry = if sent > 0 { 0 } else { self.dry + 1 };
    }

    /// Messages of a publisher's turn in a closed loop at QoS 0, where no window says how many.
    fn turn(&self, place: Place) -> u64 {
        let bytes = (PASS / self.list.len().clamp(1, TURNS)).min(TURN);
        let topic = self.list[place.at()].topic;
        let message = (topic.1 - topic.0) as usize + STAMP_LEN + self.shared.body.bytes().len();
        (bytes / message).max(1) as u64
    }

    /// Sends up to `most` of the publisher's next messages, which were meant to be sent at `due`; answers how many
    /// its connection and window had room for.
    fn send<L: Link>(&mut self, crew: &mut Crew, link: &mut L, place: Place, due: Nanos, most: u64) -> u64 {
        let Publishers { shared, topics, origin, .. } = self;
        let (qos, origin, five) = (shared.qos, *origin, &shared.spec.connection.five);
        let publisher = &mut self.list[place.at()];
        let alias = five.aliased(crew.limits(place));
        // The message that names the topic is longer than the others.
        let most = if alias.is_some() && !publisher.aliased { most.min(1) } else { most };
        let count = most.min(crew.room(link, place, qos) as u64);
        if count == 0 {
            return 0;
        }
        let first = Token { sequence: publisher.sequence, intended: due, sent: link.now(), more: () };
        publisher.sequence += count;
        shared.sequences.note(publisher.number, first.sequence, due.saturating_sub(origin));
        shared.sequences.reach(publisher.number, publisher.sequence);
        if shared.spec.plan.flap.is_some() {
            publisher.audience = shared.audience(shared.routes.group(publisher.number));
        }
        let topic = &topics[publisher.topic.0 as usize..publisher.topic.1 as usize];
        let retain = shared.spec.retain;
        let (topic, properties) = match alias {
            Some(alias) if std::mem::replace(&mut publisher.aliased, true) => ("", alias),
            Some(alias) => (topic, alias),
            None => (topic, five.message()),
        };
        crew.publish(link, place, first, (count, qos, publisher.audience), |pen| {
            let stamp = stamp(shared.run_id, publisher.number, &pen.token, origin);
            let payload: &[&[u8]] = &[&stamp[..], shared.body.bytes()];
            pen.write(Outgoing { topic, qos, retain, properties, payload });
        });
        count
    }

    /// Sends what has waited for a connection or a window, as far as there is room now.
    pub fn catch_up<L: Link>(&mut self, crew: &mut Crew, link: &mut L, place: Place) {
        if place.at() >= self.list.len() {
            return;
        }
        while let Some(intended) = self.backlog.front(self.list[place.at()].waiting) {
            if self.send(crew, link, place, intended, 1) == 0 {
                return;
            }
            self.backlog.pop(&mut self.list[place.at()].waiting);
            crew.books.levels.outstanding -= 1;
        }
        self.fill_window(crew, link, place);
    }

    /// What has never been sent by the end never will be.
    pub fn shed_backlogs(&mut self, crew: &mut Crew) {
        for publisher in &mut self.list {
            while let Some(intended) = self.backlog.pop(&mut publisher.waiting) {
                crew.books.levels.outstanding -= 1;
                crew.books.shed(intended);
            }
        }
    }

    /// A client has connected: whatever its broker knew of the connection before is forgotten.
    pub fn connected(&mut self, place: Place) {
        if let Some(publisher) = self.list.get_mut(place.at()) {
            publisher.aliased = false;
        }
    }

    /// Resends what a resumed session owes the broker.
    pub fn redeliver<L: Link>(&self, crew: &mut Crew, link: &mut L, place: Place) {
        let (shared, Some(publisher)) = (&self.shared, self.list.get(place.at())) else { return };
        let topic = self.topic(publisher);
        crew.redeliver(link, place, |token, resend| {
            let stamp = stamp(shared.run_id, publisher.number, token, self.origin);
            let (qos, retain, payload) = (shared.qos, shared.spec.retain, [&stamp[..], shared.body.bytes()]);
            let properties = shared.spec.connection.five.message();
            resend.publish(Outgoing { topic, qos, retain, properties, payload: &payload })
        });
    }

    /// Messages of a publisher will never leave: its connection has ended before.
    pub fn unfinished(&self, place: Place, sequences: Range<u64>) {
        if let Some(publisher) = self.list.get(place.at()).filter(|_| !sequences.is_empty()) {
            self.shared.sequences.unfinished(publisher.number, sequences);
        }
    }

    /// Messages leave at `time`: their subscribers are told, aside from the messages themselves.
    pub fn handed(&self, written: &Written<()>, time: Nanos) {
        if written.audience > 0 {
            let (number, since) = (self.list[written.place.at()].number, time.saturating_sub(self.origin));
            for sequence in written.token.sequence..written.token.sequence + written.count {
                self.shared.hand_over.note(number, sequence, since);
            }
        }
    }
}

/// Times in stamps run from the start of the first schedule, so that the same plan gives the same bytes.
fn stamp(run_id: u32, publisher: u32, token: &Token, origin: Nanos) -> [u8; STAMP_LEN] {
    let intended = token.intended.saturating_sub(origin);
    Stamp { run_id, publisher, sequence: token.sequence, intended }.encode()
}
