//! What publishing clients do.

use super::feed::Next;
use super::scene::{Alarm, Scene, Wall};
use super::shared::Shared;
use super::{Content, PublisherName};
use crate::client::Outgoing;
use crate::clock::{MILLISECOND, Nanos};
use crate::crew::{After, Link, Place, Step, Token};
use crate::load::{Bursts, Pace, Pacer, PayloadOf};
use crate::record::{self, Ended};
use crate::stats::Moments;
use crate::wire::{Publish, QoS};
use rand::RngExt;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

/// A client that publishes.
pub struct Publisher {
    /// Among all publishers of the fleet.
    number: u32,
    /// Among the clients of its worker.
    pub place: Place,
    pacer: Pacer,
    /// When its schedule begins, once that is known.
    start: Option<Nanos>,
    /// In the heap of those with a message to come.
    queued: bool,
    /// Its time to leave the run has come.
    leaving: bool,
    /// Messages of the connection under way; `None` before the first one.
    since_connect: Option<u64>,
    ack_time: Moments,
    /// The request without an answer: its topic and when it was sent.
    request: Option<(String, Nanos)>,
    /// Fed payloads that are not acknowledged, by sequence, and the next one.
    kept: HashMap<u64, Vec<u8>>,
    next_fed: Option<Vec<u8>>,
    /// What it has done so far.
    pub record: record::Publisher,
}

/// Messages of one client in one pass: the others want a turn, too.
const TURN: usize = 64;
/// How soon to look again for a payload that a command has not delivered.
const FEED_LOOK: Nanos = MILLISECOND;

impl Publisher {
    fn new(shared: &Shared, number: u32, place: Place) -> Publisher {
        Publisher {
            number,
            place,
            pacer: Pacer::new(&shared.publishing().pacing, number),
            start: None,
            queued: false,
            leaving: false,
            since_connect: None,
            ack_time: Moments::default(),
            request: None,
            kept: HashMap::new(),
            next_fed: None,
            record: record::Publisher::default(),
        }
    }

    /// Its names, and when it is in the run.
    pub fn name<'s>(&self, shared: &'s Shared) -> &'s PublisherName {
        &shared.publishing().clients[self.number as usize]
    }

    /// Something of what its span covers has happened.
    fn was_active(&mut self, shared: &Shared, now: Nanos) {
        let time = now - shared.epoch;
        self.record.active_ns = time - self.record.first_ns.unwrap_or(time);
    }

    /// Whether it makes no more messages.
    fn is_over(&self, shared: &Shared, now: Nanos, stopped: bool) -> bool {
        let duration = shared.publishing().pacing.duration;
        // Also for what came due before and could not be sent.
        let time_is_up = self.start.zip(duration).is_some_and(|(start, duration)| now >= start + duration);
        self.pacer.peek().is_none() || self.leaving || time_is_up || stopped
    }

    /// Its number among all publishers and its part of the record.
    fn finish(self, shared: &Shared) -> (u32, record::Publisher) {
        let pacing = &shared.publishing().pacing;
        let record = record::Publisher {
            client_id: self.name(shared).client_id.clone(),
            // Whom time ended was not to send them all.
            planned: pacing
                .count
                .filter(|count| !self.leaving && (pacing.duration.is_none() || self.pacer.made() >= *count)),
            generated: self.record.generated + self.record.sent + self.record.unfinished,
            ack_time: (&self.ack_time).into(),
            ..self.record
        };
        (self.number, record)
    }

    /// Appends the topic and the payload of message `token`.
    fn render(&self, shared: &Shared, token: &Token<Wall>, topic: &mut String, payload: &mut Vec<u8>) {
        topic.clear();
        payload.clear();
        let publishing = shared.publishing();
        let values = shared.values(self.number, token.sequence);
        publishing.topic.render(&values, topic).expect("writing to a string");
        match &publishing.content {
            Content::Prepared(payloads) => payloads.write(
                &PayloadOf {
                    client: self.number,
                    client_id: &self.name(shared).topic_id,
                    sequence: token.sequence,
                    total: values.total,
                    unix_ns: token.more,
                },
                payload,
            ),
            Content::Feed(_) => {
                let kept = self.kept.get(&token.sequence).or(self.next_fed.as_ref());
                payload.extend_from_slice(kept.expect("a fed payload is kept until it is acknowledged"));
            }
        }
    }
}

/// The publishers of a worker, each by its number among them.
pub struct Publishers {
    pub list: Vec<Publisher>,
    /// Those with a message to come, by the time it is due.
    due: BinaryHeap<Reverse<(Nanos, usize)>>,
    /// Those that have had their turn in a pass and have more to send.
    unfinished: VecDeque<usize>,
    bursts: Bursts,
    topic: String,
    payload: Vec<u8>,
}

impl Publishers {
    pub fn new(shared: &Shared) -> Publishers {
        let tolerance = shared.spec.publishing.as_ref().map_or(0, |publishing| publishing.tolerance);
        Publishers {
            list: Vec::new(),
            due: BinaryHeap::new(),
            unfinished: VecDeque::new(),
            bursts: Bursts::new(tolerance),
            topic: String::new(),
            payload: Vec::new(),
        }
    }

    /// One more, with `number` among all of the fleet; answers which it is here.
    pub fn add(&mut self, shared: &Shared, number: u32, place: Place) -> usize {
        self.list.push(Publisher::new(shared, number, place));
        self.list.len() - 1
    }

    /// Their part of the record.
    pub fn finish(self, shared: &Shared) -> Vec<(u32, record::Publisher)> {
        self.list.into_iter().map(|publisher| publisher.finish(shared)).collect()
    }

    /// CONNACK is here. What was outstanding is settled already, unless its session is.
    pub fn connected<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize, session_present: bool) {
        let publishing = scene.shared.publishing();
        let publisher = &mut self.list[local];
        publisher.record.reconnects += u64::from(publisher.since_connect.replace(0).is_some());
        if session_present {
            self.redeliver(scene, local);
        } else {
            publisher.kept.clear();
        }
        if publishing.responders == 0 {
            return self.begin(scene, local);
        }
        let publisher = &self.list[local];
        let values = scene.shared.values(publisher.number, 0);
        let filter = format!("{}/reply", publishing.topic.filter_of(&values));
        let filters = [(filter.as_str(), publishing.qos)];
        scene.subscribe(publisher.place, filters.into_iter());
    }

    /// Its schedule begins, after a wait; on later connections it goes on.
    pub fn begin<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let publisher = &mut self.list[local];
        if publisher.start.is_none() {
            let (from, to) = scene.shared.publishing().stagger;
            let mut stream = crate::seed::stream(scene.shared.spec.seed, "stagger", publisher.number.into());
            let start = scene.now() + if to > from { stream.random_range(from..to) } else { from };
            publisher.start = Some(start);
            if let Some(duration) = scene.shared.publishing().pacing.duration {
                // Also for one that could not send any more.
                scene.alarm(start + duration, Alarm::TimeUp, publisher.place);
            }
        }
        self.pump(scene, local);
    }

    fn redeliver<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let (publisher, payload, topic) = (&self.list[local], &mut self.payload, &mut self.topic);
        let shared = scene.shared;
        scene.crew.redeliver(scene.link, publisher.place, |token, resend| {
            publisher.render(shared, token, topic, payload);
            resend.publish(topic, shared.publishing().retain, &[payload])
        });
    }

    /// Sends what is due at a time that was foreseen; answers when to come again.
    pub fn poll<L: Link>(&mut self, scene: &mut Scene<'_, L>) -> Nanos {
        for _ in 0..self.unfinished.len() {
            let local = self.unfinished.pop_front().expect("counted a moment ago");
            self.pump(scene, local);
        }
        let now = scene.now();
        if let Some(&Reverse((first, _))) = self.due.peek()
            && self.bursts.time(first) <= now
        {
            let mut sent = 0;
            while let Some(&Reverse((due, local))) = self.due.peek()
                && due <= now
            {
                self.due.pop();
                self.list[local].queued = false;
                // What waited for others because it was to is not late.
                scene.crew.books.wake_lag(now - self.bursts.time(due), due);
                sent += self.pump(scene, local);
            }
            if sent > 0 {
                self.bursts.leave(first, now);
            }
        }
        if !self.unfinished.is_empty() {
            return now;
        }
        let Some(Reverse((due, _))) = self.due.peek() else { return Nanos::MAX };
        let next = self.bursts.time(*due);
        // Second in the heap is one of the two below the first.
        if let Some(Reverse((due, _))) = self.due.as_slice().iter().skip(1).take(2).max() {
            scene.link.foresee(self.bursts.following(next, *due));
        }
        next
    }

    /// Sends what is due as far as there is room; answers how much it was.
    pub fn pump<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) -> usize {
        let mut sent = 0;
        let place = self.list[local].place;
        while scene.crew.step(place) == Step::Up {
            let publisher = &self.list[local];
            let Some(start) = publisher.start else { break };
            let over = publisher.is_over(scene.shared, scene.now(), scene.stopped);
            let Some(intended) = publisher.pacer.peek().filter(|_| !over) else {
                self.leave_if_done(scene, local);
                break;
            };
            let due = start + intended;
            if due > scene.now() {
                self.queue(local, due);
                break;
            }
            if sent == TURN {
                self.unfinished.push_back(local);
                break;
            }
            if !self.may_send(scene, local) || !self.is_fed(scene, local) {
                break;
            }
            self.send(scene, local, due);
            sent += 1;
        }
        sent
    }

    fn queue(&mut self, local: usize, due: Nanos) {
        if !std::mem::replace(&mut self.list[local].queued, true) {
            self.due.push(Reverse((due, local)));
        }
    }

    /// Whether there is room; if not, what makes room brings the publisher back to [`Publishers::pump`].
    fn may_send<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) -> bool {
        let publishing = scene.shared.publishing();
        let publisher = &self.list[local];
        let place = publisher.place;
        let room = scene.crew.room(scene.link, place, publishing.qos) > 0 && publisher.request.is_none();
        if room && publishing.reconnect_every == publisher.since_connect {
            if scene.crew.client(place).inflight() == 0 {
                scene.crew.leave(scene.link, place, After::Again);
            }
            return false;
        }
        room
    }

    /// Whether the next payload is there.
    fn is_fed<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) -> bool {
        let Content::Feed(feed) = &scene.shared.publishing().content else { return true };
        if self.list[local].next_fed.is_some() {
            return true;
        }
        match feed.next() {
            Next::Record(record) => self.list[local].next_fed = Some(record),
            Next::NotYet => self.queue(local, scene.now() + FEED_LOOK),
            Next::Ended(why) => scene.shared.fail(Ended::Environment, why),
        }
        self.list[local].next_fed.is_some()
    }

    fn send<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize, due: Nanos) {
        let (now, more) = (scene.now(), scene.unix_ns());
        let publishing = scene.shared.publishing();
        let publisher = &mut self.list[local];
        // Without a rate, a message is meant to be sent when there is room for it.
        let intended = if publishing.pacing.pace == Pace::Unlimited { now } else { due };
        publisher.pacer.advance(&publishing.pacing);
        let token = Token { sequence: publisher.pacer.made(), intended, sent: now, more };
        publisher.render(scene.shared, &token, &mut self.topic, &mut self.payload);
        let (topic, payload, qos, retain) =
            (&self.topic, &[&self.payload[..]], publishing.qos, publishing.retain);
        scene.crew.books.came_due(intended, 1);
        scene.crew.publish(scene.link, publisher.place, token, (1, qos, 0), |pen| {
            pen.write(Outgoing { topic, qos, retain, payload });
        });
        publisher.since_connect = publisher.since_connect.map(|count| count + 1);
        publisher.record.first_ns.get_or_insert(now - scene.shared.epoch);
        let fed = publisher.next_fed.take();
        if qos == QoS::AtMostOnce {
            publisher.was_active(scene.shared, now);
        } else {
            publisher.record.sent += 1;
            fed.into_iter().for_each(|fed| drop(publisher.kept.insert(token.sequence, fed)));
        }
        if publishing.responders > 0 {
            publisher.request = Some((self.topic.clone(), now));
            let place = publisher.place;
            scene.alarm(now + publishing.ack_timeout, Alarm::Answer, place);
        }
    }

    /// The kernel has taken so many messages of QoS 0, and will never take so many.
    pub fn settled(&mut self, local: usize, taken: u64, lost: u64) {
        let record = &mut self.list[local].record;
        record.sent += taken;
        record.acked += taken;
        record.unfinished += lost;
    }

    /// An acknowledgement is here: the books have it.
    pub fn acked<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize, token: &Token<Wall>) {
        let now = scene.now();
        let publisher = &mut self.list[local];
        scene.crew.forgive(publisher.place);
        publisher.record.acked += 1;
        publisher.was_active(scene.shared, now);
        publisher.ack_time.record(now.saturating_sub(scene.crew.books.handed_at(token.sent)));
        publisher.kept.remove(&token.sequence);
    }

    /// It has published for as long as it was to. False when it was away, and so is done.
    pub fn time_is_up<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) -> bool {
        self.list[local].pacer.peek().is_none() || self.leave(scene, local)
    }

    /// A publisher that has nothing to send and nothing to wait for leaves.
    pub fn leave_if_done<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let publisher = &self.list[local];
        let (place, over) = (publisher.place, publisher.is_over(scene.shared, scene.now(), scene.stopped));
        let waits = scene.crew.client(place).inflight() > 0 || publisher.request.is_some();
        if over && !waits && scene.crew.step(place) == Step::Up {
            scene.crew.leave(scene.link, place, After::Done);
        }
    }

    /// Its time in the run is over. False when it was away, and so is done.
    pub fn leave<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) -> bool {
        let publisher = &mut self.list[local];
        publisher.leaving |= publisher.pacer.peek().is_some();
        if scene.crew.step(publisher.place) == Step::Down {
            return false;
        }
        self.pump(scene, local);
        true
    }

    /// Whether it has nothing to come back for.
    pub fn has_finished<L: Link>(&self, scene: &mut Scene<'_, L>, local: usize) -> bool {
        let publisher = &self.list[local];
        let (crew, place) = (&scene.crew, publisher.place);
        let kept = !scene.shared.spec.connection.clean_session && crew.client(place).inflight() > 0;
        crew.was_established(place) && !kept && publisher.is_over(scene.shared, scene.now(), scene.stopped)
    }

    /// It is done, whatever it has done.
    pub fn done<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let pacing = &scene.shared.publishing().pacing;
        let publisher = &mut self.list[local];
        // With a rate, what came due and was never sent.
        if let Some(start) = publisher.start.filter(|_| pacing.pace != Pace::Unlimited) {
            let end = pacing.duration.map_or(Nanos::MAX, |duration| start + duration).min(scene.link.now());
            while let Some(due) = publisher.pacer.peek().filter(|due| start + due < end) {
                publisher.pacer.advance(pacing);
                publisher.record.generated += 1;
                scene.crew.books.came_due(start + due, 1);
                scene.crew.books.shed(start + due);
            }
        }
        publisher.record.unanswered += u64::from(publisher.request.take().is_some());
        scene.shared.publisher_done(publisher.record.sent);
    }

    /// Whether its request is still without an answer is looked at.
    pub fn check_request<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let (now, timeout) = (scene.now(), scene.shared.publishing().ack_timeout);
        let publisher = &mut self.list[local];
        if publisher.request.as_ref().is_some_and(|(_, sent)| now.saturating_sub(*sent) >= timeout) {
            publisher.request = None;
            publisher.record.unanswered += 1;
            self.pump(scene, local);
        }
    }

    /// A requester has an answer.
    pub fn answered<L: Link>(
        &mut self,
        scene: &mut Scene<'_, L>,
        local: usize,
        answer: &Publish<'_>,
        first: bool,
    ) {
        let publisher = &mut self.list[local];
        let asked = answer.topic.strip_suffix("/reply");
        match publisher.request.as_ref().filter(|(topic, _)| asked == Some(topic)) {
            Some((_, sent)) if first => {
                let time = scene.link.now() - scene.crew.books.handed_at(*sent);
                scene.crew.books.histograms().round_trip.record(time);
                scene.crew.books.counters().delivered += 1;
                publisher.request = None;
            }
            _ => scene.crew.books.counters().foreign += 1,
        }
    }
}
