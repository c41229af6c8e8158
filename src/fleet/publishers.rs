//! What publishing clients do.

use super::scene::{Common, Prompt, Scene, Wall};
use super::shared::Shared;
use super::{Content, PublisherName};
use crate::client::Outgoing;
use crate::clock::{MILLISECOND, Nanos};
use crate::crew::{After, Step, Token};
use crate::engine::Link;
use crate::load::{Pace, Pacer, PayloadOf};
use crate::record::{self, Ended};
use crate::stats::Moments;
use crate::wire::{Publish, QoS};
use rand::RngExt;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A client that publishes.
pub struct Publisher {
    /// Among all publishers of the fleet.
    number: u32,
    pacer: Pacer,
    /// When its schedule begins, once that is known,
    start: Option<Nanos>,
    /// and when it ends, whatever is left of it.
    end: Nanos,
    /// Its time was up before it had made all of its messages.
    cut_short: bool,
    /// In the heap of those with a message to come.
    queued: bool,
    /// In the queue of those that have had their turn.
    unfinished: bool,
    /// Messages of the connection under way; `None` before the first one.
    since_connect: Option<u64>,
    /// Messages sent on earlier connections.
    sent_before: u64,
    ack_time: Moments,
    /// The request without an answer: its topic and when it was sent.
    request: Option<(String, Nanos)>,
    /// An alarm is set for it, or for one before it.
    alarmed: bool,
    /// Fed payloads that are not acknowledged, by sequence, the next one included.
    kept: BTreeMap<u64, Vec<u8>>,
    /// What it has done so far.
    pub record: record::Publisher,
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
            end: Nanos::MAX,
            cut_short: false,
            queued: false,
            unfinished: false,
            since_connect: None,
            sent_before: 0,
            ack_time: Moments::default(),
            request: None,
            alarmed: false,
            kept: BTreeMap::new(),
            record: record::Publisher::default(),
        }
    }

    /// Its names, and when it is in the run.
    pub fn name<'s>(&self, shared: &'s Shared) -> &'s PublisherName {
        &shared.publishing().clients[self.number as usize]
    }

    /// Whether it makes no more messages.
    fn is_over<L: Link>(&self, scene: &Scene<'_, L>) -> bool {
        // At the end also for what came due before and could not be sent.
        let time_is_up = self.cut_short || scene.now() >= self.end;
        time_is_up || scene.common.stopped || self.pacer.peek().is_none()
    }

    /// Its part of the record.
    pub fn finish(self, shared: &Shared) -> record::Publisher {
        let pacing = &shared.publishing().pacing;
        // Whom time ended was not to send them all.
        let all = |count: &u64| !self.cut_short && (pacing.duration.is_none() || self.pacer.made() >= *count);
        record::Publisher {
            client_id: self.name(shared).client_id.clone(),
            planned: pacing.count.filter(all),
            generated: self.record.generated + self.record.sent + self.record.unfinished,
            ack_time: (&self.ack_time).into(),
            ..self.record
        }
    }

    /// Goes on from what has happened.
    pub fn go_on<L: Link>(&mut self, scene: &mut Scene<'_, L>, prompt: Prompt) {
        match prompt {
            Prompt::Ready => {
                let (now, name) = (scene.now(), self.name(scene.shared));
                scene.alarm(now + name.joins, Prompt::Join);
                name.leaves.into_iter().for_each(|leaves| scene.alarm(now + leaves, Prompt::Leave));
            }
            Prompt::Join => scene.crew.call(scene.place),
            Prompt::Subscribed => self.begin(scene),
            Prompt::Heard => drop(self.pump(scene)),
            // With everything sent, acknowledgements are waited for all the same.
            Prompt::TimeUp if self.pacer.peek().is_none() => {}
            Prompt::TimeUp | Prompt::Leave | Prompt::Stop => {
                self.cut_short |= prompt != Prompt::Stop && self.pacer.peek().is_some();
                match scene.step() {
                    Step::Down => self.done(scene),
                    _ => drop(self.pump(scene)),
                }
            }
            Prompt::Unanswered => {
                self.alarmed = false;
                self.check_request(scene);
            }
            _ => {}
        }
    }

    /// Gives its request up if that has had its time, and has itself called then if not.
    fn check_request<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        let Some((_, sent)) = self.request else { return };
        let over = sent + scene.shared.publishing().ack_timeout;
        if scene.now() >= over {
            self.request = None;
            self.record.unanswered += 1;
            self.pump(scene);
        } else {
            self.set_alarm(scene, over);
        }
    }

    fn set_alarm<L: Link>(&mut self, scene: &mut Scene<'_, L>, time: Nanos) {
        if !std::mem::replace(&mut self.alarmed, true) {
            scene.alarm(time, Prompt::Unanswered);
        }
    }

    /// CONNACK is here. What was outstanding is settled already, unless its session is.
    pub fn connected<L: Link>(&mut self, scene: &mut Scene<'_, L>, session_present: bool) {
        self.record.reconnects += u64::from(self.since_connect.replace(0).is_some());
        if session_present {
            self.redeliver(scene);
        } else {
            self.kept = self.kept.split_off(&(self.pacer.made() + 1));
        }
        let publishing = scene.shared.publishing();
        if publishing.responders == 0 {
            return self.begin(scene);
        }
        let values = scene.shared.values(self.number, 0);
        let filter = format!("{}/reply", publishing.topic.filter_of(&values));
        scene.subscribe([(filter.as_str(), publishing.qos)]);
    }

    /// Its schedule begins, after a wait; on later connections it goes on.
    fn begin<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        if self.start.is_none() {
            let publishing = scene.shared.publishing();
            let (from, to) = publishing.stagger;
            let mut stream = crate::seed::stream(scene.shared.spec.seed, "stagger", self.number.into());
            let start = scene.now() + if to > from { stream.random_range(from..to) } else { from };
            self.start = Some(start);
            if let Some(duration) = publishing.pacing.duration {
                self.end = start + duration;
                // Also for one that could not send any more.
                scene.alarm(self.end, Prompt::TimeUp);
            }
        }
        self.pump(scene);
    }

    /// Appends the topic and the payload of message `token`.
    fn render(&self, shared: &Shared, token: &Token<Wall>, topic: &mut String, payload: &mut Vec<u8>) {
        topic.clear();
        payload.clear();
        let publishing = shared.publishing();
        let values = shared.values(self.number, token.sequence);
        match shared.spec.connection.identities.topic(self.number) {
            Some(own) => topic.push_str(own),
            None => publishing.topic.render(&values, topic).expect("writing to a string"),
        }
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
            // Kept until it is acknowledged.
            Content::Feed(_) => payload.extend_from_slice(&self.kept[&token.sequence]),
        }
    }

    fn redeliver<L: Link>(&self, scene: &mut Scene<'_, L>) {
        let shared = scene.shared;
        let Common { topic, payload, .. } = &mut *scene.common;
        scene.crew.redeliver(scene.link, scene.place, |token, resend| {
            self.render(shared, token, topic, payload);
            resend.publish(topic, shared.publishing().retain, &[payload])
        });
    }

    /// Sends what is due as far as there is room, and leaves when all is done; answers how much was sent.
    fn pump<L: Link>(&mut self, scene: &mut Scene<'_, L>) -> usize {
        let mut sent = 0;
        while scene.step() == Step::Up {
            let Some(start) = self.start else { break };
            let over = self.is_over(scene);
            let Some(intended) = self.pacer.peek().filter(|_| !over) else {
                let waits = scene.crew.client(scene.place).inflight() > 0 || self.request.is_some();
                if !waits {
                    scene.leave(After::Done);
                }
                break;
            };
            let due = start + intended;
            if due > scene.now() {
                self.queue(scene, due);
                break;
            }
            if sent == TURN {
                if !std::mem::replace(&mut self.unfinished, true) {
                    scene.common.unfinished.push_back(scene.place);
                }
                break;
            }
            if !self.may_send(scene) || !self.is_fed(scene) {
                break;
            }
            self.send(scene, due);
            sent += 1;
        }
        sent
    }

    fn queue<L>(&mut self, scene: &mut Scene<'_, L>, due: Nanos) {
        if !std::mem::replace(&mut self.queued, true) {
            scene.common.due.push(Reverse((due, scene.place)));
        }
    }

    /// Its message has come due, and it is in the heap no more; answers how much was sent.
    pub fn come_due<L: Link>(&mut self, scene: &mut Scene<'_, L>) -> usize {
        self.queued = false;
        self.pump(scene)
    }

    /// It has a turn again, and is in the queue no more.
    pub fn have_turn<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        self.unfinished = false;
        self.pump(scene);
    }

    /// Whether there is room; if not, what makes room brings the publisher back to [`Publisher::pump`].
    fn may_send<L: Link>(&self, scene: &mut Scene<'_, L>) -> bool {
        let publishing = scene.shared.publishing();
        let room = scene.crew.room(scene.link, scene.place, publishing.qos) > 0 && self.request.is_none();
        if room && publishing.reconnect_every == self.since_connect {
            if scene.crew.client(scene.place).inflight() == 0 {
                scene.leave(After::Again);
            }
            return false;
        }
        room
    }

    /// Whether the next payload is there.
    fn is_fed<L: Link>(&mut self, scene: &mut Scene<'_, L>) -> bool {
        let Content::Feed(feed) = &scene.shared.publishing().content else { return true };
        let next = self.pacer.made() + 1;
        if self.kept.contains_key(&next) {
            return true;
        }
        match feed.next() {
            Ok(Some(record)) => return self.kept.insert(next, record).is_none(),
            Ok(None) => self.queue(scene, scene.now() + FEED_LOOK),
            Err(why) => scene.shared.stop(Ended::Environment, why),
        }
        false
    }

    fn send<L: Link>(&mut self, scene: &mut Scene<'_, L>, due: Nanos) {
        let (now, more) = (scene.now(), scene.unix_ns());
        let (shared, publishing) = (scene.shared, scene.shared.publishing());
        // Without a rate, a message is meant to be sent when there is room for it.
        let intended = if publishing.pacing.pace == Pace::Unlimited { now } else { due };
        self.pacer.advance(&publishing.pacing);
        let token = Token { sequence: self.pacer.made(), intended, sent: now, more };
        let Common { topic, payload, .. } = &mut *scene.common;
        self.render(shared, &token, topic, payload);
        let (qos, retain, payload) = (publishing.qos, publishing.retain, &[&payload[..]]);
        scene.crew.books.came_due(intended, 1);
        scene.crew.publish(scene.link, scene.place, token, (1, qos, 0), |pen| {
            pen.write(Outgoing { topic, qos, retain, payload });
        });
        self.since_connect = self.since_connect.map(|count| count + 1);
        self.record.first_ns.get_or_insert(now - shared.epoch);
        if qos == QoS::AtMostOnce {
            self.was_active(shared, now);
            self.kept.remove(&token.sequence);
        } else {
            self.record.sent += 1;
        }
        if publishing.responders > 0 {
            self.request = Some((topic.clone(), now));
            self.set_alarm(scene, now + publishing.ack_timeout);
        }
    }

    /// Something of what its span covers has happened.
    fn was_active(&mut self, shared: &Shared, now: Nanos) {
        let time = now - shared.epoch;
        self.record.active_ns = time - self.record.first_ns.unwrap_or(time);
    }

    /// Its connection has ended; `unread`: it has left, and nobody knows whether its broker has read everything.
    pub fn ended<L: Link>(&mut self, scene: &mut Scene<'_, L>, unread: bool) {
        let before = std::mem::replace(&mut self.sent_before, self.record.sent);
        let untold =
            scene.shared.publishing().qos == QoS::AtMostOnce && scene.shared.spec.listening.is_empty();
        if unread && untold {
            scene.crew.books.counters().unconfirmed += self.record.sent - before;
        }
    }

    /// The kernel has taken so many messages of QoS 0, and will never take so many.
    pub fn settled(&mut self, taken: u64, lost: u64) {
        self.record.sent += taken;
        self.record.acked += taken;
        self.record.unfinished += lost;
    }

    /// An acknowledgement is here: the books have it.
    pub fn acked<L: Link>(&mut self, scene: &mut Scene<'_, L>, token: &Token<Wall>) {
        let arrived = scene.link.arrived();
        scene.crew.forgive(scene.place);
        self.record.acked += 1;
        self.was_active(scene.shared, arrived);
        self.ack_time.record(arrived.saturating_sub(scene.crew.books.handed_at(token.sent)));
        self.kept.remove(&token.sequence);
    }

    /// A requester has an answer.
    pub fn answered<L: Link>(&mut self, scene: &mut Scene<'_, L>, answer: &Publish<'_>, first: bool) {
        let books = &mut scene.crew.books;
        let asked = answer.topic.strip_suffix("/reply");
        match self.request.as_ref().filter(|(topic, _)| asked == Some(topic)) {
            Some((_, sent)) if first => {
                let time = scene.link.arrived().saturating_sub(books.handed_at(*sent));
                books.histograms().round_trip.record(time);
                books.counters().delivered += 1;
                self.request = None;
            }
            _ => books.counters().foreign += 1,
        }
    }

    /// Whether it has nothing to come back for.
    pub fn has_finished<L: Link>(&self, scene: &Scene<'_, L>) -> bool {
        let (crew, place) = (&scene.crew, scene.place);
        let kept = !scene.shared.spec.connection.clean_session && crew.client(place).inflight() > 0;
        // Whose time is up before it has got in does not get in any more.
        (crew.was_established(place) || self.cut_short) && !kept && self.is_over(scene)
    }

    /// It is done, whatever it has done.
    pub fn done<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        if scene.step() == Step::Done {
            return;
        }
        scene.finish();
        let pacing = &scene.shared.publishing().pacing;
        // With a rate, what came due and was never sent.
        if let Some(start) = self.start.filter(|_| pacing.pace != Pace::Unlimited) {
            let end = self.end.min(scene.now());
            while let Some(due) = self.pacer.peek().filter(|due| start + due < end) {
                self.pacer.advance(pacing);
                self.record.generated += 1;
                scene.crew.books.came_due(start + due, 1);
                scene.crew.books.shed(start + due);
            }
        }
        self.record.unanswered += u64::from(self.request.take().is_some());
        scene.shared.publisher_done(self.record.sent);
    }
}
