//! The publishers of one worker: what is due, and when it leaves.

use super::backlog::{Backlog, Queue};
use super::shared::Shared;
use crate::client::Outgoing;
use crate::clock::Nanos;
use crate::crew::{Crew, Link, Place, Step, Token, Written};
use crate::load::{Bursts, STAMP_LEN, Schedule, Stamp};
use crate::record::Schedule as Pace;
use crate::wire::QoS;
use std::sync::atomic::Ordering;

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
}

/// All publishers of a worker. Times are of the process clock.
pub struct Publishers {
    list: Vec<Publisher>,
    /// Their topics, one after the other.
    topics: String,
    backlog: Backlog,
    /// Open loop only.
    schedule: Option<Schedule>,
    bursts: Bursts,
    /// When the schedule starts, once that is known, until nothing is due any more.
    start: Option<Nanos>,
    /// The same, for ever.
    origin: Nanos,
    /// Closed loop: the first messages are sent.
    begun: bool,
    /// Nothing comes due any more.
    over: bool,
    /// Closed loop with a count: messages that end it.
    quota: u64,
    /// Closed loop at QoS 0: where the round of publishers stands,
    round: usize,
    /// and how many in a row had no room: when all of them have none, what makes room begins anew.
    dry: usize,
}

/// Closed loop at QoS 0: publishers that have their turn in one pass.
const TURNS: usize = 256;

impl Publishers {
    /// The publishers with `numbers`.
    pub fn new(shared: &Shared, numbers: Vec<u32>) -> Publishers {
        let mut topics = String::new();
        let list = numbers.iter().map(|&number| {
            let from = topics.len();
            shared.render_topic(number, &mut topics);
            let topic = (from as u32, topics.len() as u32);
            Publisher { number, topic, sequence: 0, audience: 0, waiting: Queue::EMPTY }
        });
        Publishers {
            list: list.collect(),
            backlog: Backlog::new(shared.spec.backlog_limit()),
            schedule: shared.spec.schedule(numbers),
            bursts: Bursts::new(shared.spec.plan.tolerance_ns),
            start: None,
            origin: 0,
            begun: false,
            over: false,
            quota: u64::MAX,
            round: 0,
            dry: 0,
            topics,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// When the schedule began, 0 before.
    pub fn origin(&self) -> Nanos {
        self.origin
    }

    /// Time since the schedule began.
    pub fn since_start(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.origin)
    }

    /// The schedule begins at `start`.
    pub fn begin(&mut self, shared: &Shared, crew: &mut Crew<()>, start: Nanos) {
        (self.start, self.origin) = (Some(start), start);
        let (from, to) = shared.window;
        crew.books.measure(start + from, start.saturating_add(to));
        // How many subscribers hear each publisher is certain once all SUBACKs are in.
        for publisher in &mut self.list {
            let group = shared.routes.group(publisher.number) as usize;
            publisher.audience = shared.granted[group].load(Ordering::Acquire);
        }
        // With a count of messages, those of the publishers that are connected or will be again.
        if let Some(count) = shared.spec.plan.msg_count {
            let able = crew.places().take(self.len()).filter(|place| crew.step(*place) != Step::Done);
            self.quota = count.saturating_mul(able.count() as u64);
        }
    }

    /// Nothing more comes due.
    pub fn end(&mut self) {
        (self.start, self.schedule) = (None, None);
    }

    /// A publisher was lost for good.
    pub fn forgo(&mut self, shared: &Shared, place: Place) {
        if let (Some(count), Some(publisher), Some(_)) =
            (shared.spec.plan.msg_count, self.list.get(place.at()), self.start)
        {
            self.quota = self.quota.saturating_sub(count.saturating_sub(publisher.sequence));
        }
    }

    /// Whether the last message came due; true once.
    pub fn poll_over(&mut self) -> bool {
        std::mem::take(&mut self.over)
    }

    fn ends(&mut self, ended: bool) {
        if ended && self.start.take().is_some() {
            self.over = true;
        }
    }

    /// Sends what is due; answers when to look again.
    pub fn poll<L: Link>(&mut self, shared: &Shared, crew: &mut Crew<()>, link: &mut L) -> Option<Nanos> {
        let start = self.start?;
        if link.now() < start {
            return Some(start);
        }
        let closes = start.saturating_add(shared.window.1);
        match shared.spec.plan.schedule {
            Pace::Open { .. } => self.poll_schedule(shared, crew, link, start),
            Pace::Closed { .. } => self.poll_window(shared, crew, link, closes),
            Pace::None => {
                self.ends(link.now() >= closes);
                Some(closes)
            }
        }
    }

    fn poll_schedule<L: Link>(
        &mut self,
        shared: &Shared,
        crew: &mut Crew<()>,
        link: &mut L,
        start: Nanos,
    ) -> Option<Nanos> {
        let now = link.now();
        // Acknowledgements that arrive in between are no reason to send what can wait.
        let next = self.next_burst(link, start);
        if next.is_some_and(|next| now < next) {
            return next;
        }
        if let Some(due) = self.schedule.as_ref().and_then(Schedule::next_due) {
            self.bursts.leave(start + due, now);
        }
        while let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.pop(now - start)) {
            let (place, intended) = (Place(due.place), start + due.intended);
            crew.books.came_due(intended, 1);
            // What waited for others because it was to is not late.
            crew.books.wake_lag(now - intended.max(next.unwrap_or(0)), intended);
            let waits = self.backlog.front(&self.list[place.at()].waiting).is_some();
            if waits || self.send(shared, crew, link, place, intended, 1) == 0 {
                self.postpone(crew, place, intended);
            }
        }
        let next = self.next_burst(link, start);
        self.ends(next.is_none());
        next
    }

    /// When messages leave next; tells the link of the time after that.
    fn next_burst<L: Link>(&self, link: &mut L, start: Nanos) -> Option<Nanos> {
        let schedule = self.schedule.as_ref()?;
        let next = self.bursts.time(start + schedule.next_due()?);
        if let Some(due) = schedule.following_due() {
            link.foresee(self.bursts.following(next, start + due));
        }
        Some(next)
    }

    fn postpone(&mut self, crew: &mut Crew<()>, place: Place, intended: Nanos) {
        if self.backlog.push(&mut self.list[place.at()].waiting, intended) {
            crew.books.levels.outstanding += 1;
        } else {
            crew.books.shed(intended);
        }
    }

    /// Closed loop. With acknowledgements the loop closes itself in [`Publishers::catch_up`]; here it begins.
    /// At QoS 0 what the kernel takes is all there is to go by, so publishers take turns.
    fn poll_window<L: Link>(
        &mut self,
        shared: &Shared,
        crew: &mut Crew<()>,
        link: &mut L,
        closes: Nanos,
    ) -> Option<Nanos> {
        let count = self.list.len();
        let ended = match shared.spec.plan.msg_count {
            Some(_) => crew.books.levels.due >= self.quota,
            None => link.now() >= closes,
        };
        self.ends(ended);
        if ended || count == 0 {
            return None;
        }
        let acked = shared.qos != QoS::AtMostOnce;
        if acked && self.begun {
            return Some(closes);
        }
        self.begun = true;
        for _ in 0..if acked { count } else { count.min(TURNS) } {
            let place = self.round % count;
            self.round = place + 1;
            self.fill_window(shared, crew, link, Place(place as u32));
        }
        Some(if acked || self.dry >= count { closes } else { link.now() })
    }

    /// Closed loop: sends as many messages as the window lets through; a message is meant to be sent
    /// when there is room for it.
    fn fill_window<L: Link>(&mut self, shared: &Shared, crew: &mut Crew<()>, link: &mut L, place: Place) {
        let Pace::Closed { inflight } = shared.spec.plan.schedule else { return };
        let now = link.now();
        if self.start.is_none_or(|start| now < start || now - start >= shared.window.1) {
            return;
        }
        let last = shared.spec.plan.msg_count.unwrap_or(u64::MAX);
        let left = last - self.list[place.at()].sequence;
        let sent = self.send(shared, crew, link, place, now, left.min(inflight.into()));
        crew.books.came_due(now, sent);
        self.dry = if sent > 0 { 0 } else { self.dry + 1 };
    }

    /// Sends up to `most` of the publisher's next messages, which were meant to be sent at `intended`;
    /// answers how many its connection and window had room for.
    fn send<L: Link>(
        &mut self,
        shared: &Shared,
        crew: &mut Crew<()>,
        link: &mut L,
        place: Place,
        intended: Nanos,
        most: u64,
    ) -> u64 {
        let count = most.min(crew.room(link, place, shared.qos) as u64);
        if count == 0 {
            return 0;
        }
        let publisher = &mut self.list[place.at()];
        let first = Token { sequence: publisher.sequence, intended, sent: link.now(), more: () };
        publisher.sequence += count;
        let topic = &self.topics[publisher.topic.0 as usize..publisher.topic.1 as usize];
        let (qos, retain) = (shared.qos, shared.spec.retain);
        crew.publish(link, place, first, (count, qos, publisher.audience), |pen| {
            let stamp = stamp(shared.run_id, publisher.number, &pen.token, self.origin);
            pen.write(Outgoing { topic, qos, retain, payload: &[&stamp[..], shared.body.bytes()] });
        });
        count
    }

    /// Sends what has waited for a connection or a window, as far as there is room now.
    pub fn catch_up<L: Link>(&mut self, shared: &Shared, crew: &mut Crew<()>, link: &mut L, place: Place) {
        if place.at() >= self.list.len() {
            return;
        }
        while let Some(intended) = self.backlog.front(&self.list[place.at()].waiting) {
            if self.send(shared, crew, link, place, intended, 1) == 0 {
                return;
            }
            self.backlog.pop(&mut self.list[place.at()].waiting);
            crew.books.levels.outstanding -= 1;
        }
        self.fill_window(shared, crew, link, place);
    }

    /// What has never been sent by the end never will be.
    pub fn shed_backlogs(&mut self, crew: &mut Crew<()>) {
        for publisher in &mut self.list {
            while let Some(intended) = self.backlog.front(&publisher.waiting) {
                self.backlog.pop(&mut publisher.waiting);
                crew.books.levels.outstanding -= 1;
                crew.books.shed(intended);
            }
        }
    }

    /// Resends what a resumed session owes the broker.
    pub fn redeliver<L: Link>(&self, shared: &Shared, crew: &mut Crew<()>, link: &mut L, place: Place) {
        let Some(publisher) = self.list.get(place.at()) else { return };
        let topic = &self.topics[publisher.topic.0 as usize..publisher.topic.1 as usize];
        crew.redeliver(link, place, |token, resend| {
            let stamp = stamp(shared.run_id, publisher.number, token, self.origin);
            resend.publish(topic, shared.spec.retain, &[&stamp[..], shared.body.bytes()])
        });
    }

    /// Messages leave at `time`: their subscribers are told, aside from the messages themselves.
    pub fn handed(&self, shared: &Shared, written: &Written<()>, time: Nanos) {
        if written.audience > 0 {
            let (number, since) = (self.list[written.place.at()].number, self.since_start(time));
            for sequence in written.token.sequence..written.token.sequence + written.count {
                shared.hand_over.note(number, sequence, since);
            }
        }
    }
}

/// Times in stamps run from the start of the schedule, so that the same plan gives the same bytes.
fn stamp(run_id: u32, publisher: u32, token: &Token, origin: Nanos) -> [u8; STAMP_LEN] {
    let intended = token.intended.saturating_sub(origin);
    Stamp { run_id, publisher, sequence: token.sequence, intended }.encode()
}
