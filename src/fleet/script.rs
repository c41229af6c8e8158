//! One worker's clients, each with a script of its own: publishers, responders and listeners.

use super::listeners::{Listener, Listeners, Stage};
use super::publishers::Publishers;
use super::responders::Responders;
use super::scene::{Alarm, Alarms, Scene, Wall};
use super::shared::{Role, Shared};
use crate::client::Event;
use crate::clock::{Nanos, SECOND};
use crate::crew::{After, Crew, Effort, End, Inbox, Link, News, Place, Step, Terms, Token, Watch};
use crate::engine::{App, Closed, Conn, Stats};
use crate::record::{self, Ended, ListenEnd};
use crate::stage::{Actor, Desk, Order, Report};
use crate::wire::{SubAck, SubAckCode};
use std::cmp::Reverse;
use std::sync::Arc;

/// How long clients have for what is under way after an interrupt.
const HURRY: Nanos = SECOND;

/// What a client does, and which it is among those of this worker that do the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Publisher(usize),
    Responder(usize),
    Listener(usize),
}

/// What a worker has to say at its end.
#[derive(Default)]
pub struct Ending {
    pub effort: Effort,
    /// With their indices among all publishers.
    pub publishers: Vec<(u32, record::Publisher)>,
    /// Their accounts are made up when it is known what all publishers have sent.
    pub listeners: Vec<Listener>,
}

/// The clients of one worker.
pub struct Script {
    shared: Arc<Shared>,
    desk: Desk<(), Ending>,
    crew: Crew<Wall>,
    parts: Vec<Part>,
    publishers: Publishers,
    responders: Responders,
    listeners: Listeners,
    alarms: Alarms,
    wall: (Nanos, Wall),
    watch: Watch,
    /// Whether publishers have begun to connect: once all listeners are ready.
    released: bool,
    stopped: bool,
}

/// Everything around a client, beside the parts.
macro_rules! scene {
    ($script:ident, $link:ident) => {
        &mut Scene {
            link: $link,
            crew: &mut $script.crew,
            shared: &$script.shared,
            alarms: &mut $script.alarms,
            wall: &mut $script.wall,
            stopped: $script.stopped,
        }
    };
}

impl Script {
    pub fn new(shared: Arc<Shared>, desk: Desk<(), Ending>, now: Nanos) -> Script {
        let indices = shared.seats[desk.worker].clients.clone();
        let mut publishers = Publishers::new(&shared);
        let (mut responders, mut listeners) = (Responders::default(), Listeners::default());
        let part = |(place, index): (u32, &u32)| match shared.role(*index) {
            Role::Publisher(number) => Part::Publisher(publishers.add(&shared, number, Place(place))),
            Role::Responder(number) => Part::Responder(responders.add(number)),
            Role::Listener(number) => Part::Listener(listeners.add(&shared, number, Place(place))),
        };
        let parts = (0..).zip(&*indices).map(part).collect();
        let connection = &shared.spec.connection;
        let publishing = shared.spec.publishing.as_ref();
        let roles = shared.clone();
        let terms = Terms {
            seed: shared.spec.seed,
            ack_timeout: publishing.map_or(30 * SECOND, |publishing| publishing.ack_timeout),
            max_packet: shared.max_packet(),
            part: Box::new(move |index| match roles.role(index) {
                Role::Publisher(_) => "publisher",
                Role::Responder(_) => "responder",
                Role::Listener(_) => "subscriber",
            }),
            limits: vec![
                connection.limits(publishing.map_or(1, |publishing| publishing.inflight)),
                connection.limits(u16::MAX),
            ],
            ..Terms::new(connection, desk.worker, shared.seats.len(), shared.epoch)
        };
        let kind = |index| u8::from(!matches!(shared.role(index), Role::Publisher(_)));
        let routes = shared.clone();
        let routes = Box::new(move |index| routes.route(index));
        Script {
            crew: Crew::new(terms, indices, kind, routes, now),
            parts,
            publishers,
            responders,
            listeners,
            alarms: Alarms::default(),
            wall: (0, 0),
            watch: Watch::default(),
            released: false,
            stopped: false,
            shared,
            desk,
        }
    }

    /// Publishers connect when all listeners are ready.
    fn release<L: Link>(&mut self, link: &mut L) {
        let pending = self.shared.listeners_pending.load(std::sync::atomic::Ordering::Acquire);
        if pending > 0 || std::mem::replace(&mut self.released, true) {
            return;
        }
        let now = link.now();
        for publisher in &self.publishers.list {
            let name = publisher.name(&self.shared);
            match name.joins {
                0 => self.crew.call(publisher.place),
                joins => self.alarms.push(Reverse((now + joins, Alarm::Join, publisher.place))),
            }
            if let Some(leaves) = name.leaves {
                self.alarms.push(Reverse((now + leaves, Alarm::Leave, publisher.place)));
            }
        }
    }

    /// What has happened elsewhere and concerns this worker's clients.
    fn look_around<L: Link>(&mut self, link: &mut L) {
        self.release(link);
        if self.shared.is_stopping() && !self.stopped {
            self.stopped = true;
            self.crew.hurry();
            self.alarms.push(Reverse((link.now() + HURRY, Alarm::Hurry, Place(u32::MAX))));
            self.crew.places().for_each(|place| self.stop(link, place));
        }
        for local in 0..self.listeners.list.len() {
            self.listeners.drops_are_known(scene!(self, link), local);
        }
        if !self.shared.all_published() || self.shared.publishers() == 0 {
            return;
        }
        for place in self.crew.places() {
            match self.parts[place.at()] {
                Part::Listener(local) => self.listeners.all_published(scene!(self, link), local),
                Part::Responder(_) if self.crew.step(place) == Step::Up => {
                    self.crew.leave(link, place, After::Done);
                }
                _ => {}
            }
        }
    }

    fn stop<L: Link>(&mut self, link: &mut L, place: Place) {
        let step = self.crew.step(place);
        match self.parts[place.at()] {
            Part::Listener(local) if self.listeners.list[local].spec(&self.shared).backlog => {
                self.listeners.stop(scene!(self, link), local);
            }
            _ if step == Step::Down => self.done(link, place),
            Part::Listener(local) => self.listeners.stop(scene!(self, link), local),
            Part::Publisher(local) => self.publishers.leave_if_done(scene!(self, link), local),
            Part::Responder(_) if step == Step::Up => self.crew.leave(link, place, After::Done),
            Part::Responder(_) => {}
        }
    }

    /// The time after an interrupt is over.
    fn end_everybody<L: Link>(&mut self, link: &mut L) {
        for place in self.crew.places() {
            match self.crew.step(place) {
                Step::Down => self.done(link, place),
                Step::Leaving(_) | Step::Done => {}
                _ => self.crew.leave(link, place, After::Done),
            }
        }
    }

    fn done<L: Link>(&mut self, link: &mut L, place: Place) {
        if self.crew.step(place) == Step::Done {
            return;
        }
        self.crew.finish(link.now(), place);
        match self.parts[place.at()] {
            Part::Publisher(local) => self.publishers.done(scene!(self, link), local),
            // However it came to this, nobody is to wait for it.
            Part::Responder(local) => self.responders.ready(&self.shared, local),
            Part::Listener(local) => {
                self.listeners.ended(scene!(self, link), local, ListenEnd::Interrupted);
            }
        }
    }

    /// A client cannot go on, for a reason that was told.
    fn failed<L: Link>(&mut self, link: &mut L, place: Place, reason: String) {
        match self.parts[place.at()] {
            Part::Publisher(local) => {
                self.crew.books.levels.failed += 1;
                self.publishers.list[local].record.failure = Some(reason);
            }
            Part::Responder(local) => {
                self.crew.books.levels.failed += 1;
                self.responders.ready(&self.shared, local);
                // Without its answers the publishers would wait for nothing.
                self.shared.fail(Ended::Broker, reason);
            }
            Part::Listener(local) => self.listeners.failed(scene!(self, link), local, reason),
        }
    }

    /// Whether a client is about to remove its session from the broker, also after an interrupt.
    fn is_cleaning(&self, place: Place) -> bool {
        matches!(self.parts[place.at()], Part::Listener(local) if self.listeners.list[local].stage == Stage::Cleaning)
    }

    /// Whether a client has nothing to come back for.
    fn has_finished<L: Link>(&mut self, link: &mut L, place: Place) -> bool {
        match self.parts[place.at()] {
            Part::Publisher(local) => self.publishers.has_finished(scene!(self, link), local),
            Part::Responder(local) => self.responders.list[local].ready && self.shared.all_published(),
            Part::Listener(local) => self.listeners.list[local].stage == Stage::Ended,
        }
    }

    /// Goes on from what has happened to clients.
    fn hear_news<L: Link>(&mut self, link: &mut L) {
        while let Some(news) = self.crew.poll_news() {
            match news {
                News::Room(place) => {
                    if let Part::Publisher(local) = self.parts[place.at()] {
                        self.publishers.pump(scene!(self, link), local);
                    }
                }
                News::NoSubAck(place, trouble) => self.subscription_failed(link, place, trouble),
                News::Down { place, end, .. } => self.down(link, place, end),
            }
        }
    }

    fn down<L: Link>(&mut self, link: &mut L, place: Place, end: End) {
        let ends = self.stopped && !self.is_cleaning(place);
        match end {
            End::Left { after, .. } => match (after, self.parts[place.at()]) {
                (After::Again, _) if !ends => self.crew.call(place),
                (After::Away, Part::Listener(local)) if !ends => {
                    self.listeners.away(scene!(self, link), local);
                    // Should the publishers be done already, nobody will say so again.
                    if self.shared.all_published() && self.shared.publishers() > 0 {
                        self.listeners.all_published(scene!(self, link), local);
                    }
                }
                _ => self.done(link, place),
            },
            _ if ends || self.has_finished(link, place) => self.done(link, place),
            _ if self.goes_without_sys(place) => self.crew.retry(link.now(), place),
            End::Failed => self.crew.retry(link.now(), place),
            End::Spent(reason) => {
                self.failed(link, place, reason);
                self.done(link, place);
            }
        }
    }

    /// Whether a lost connection was asking for $SYS: some brokers end one at that. It was our doing, and the next
    /// one does without.
    fn goes_without_sys(&mut self, place: Place) -> bool {
        let Part::Listener(local) = self.parts[place.at()] else { return false };
        let asked = self.listeners.list[local].forgo_sys();
        if asked {
            let trouble = "the broker ended a connection that asked for $SYS: going on without it";
            self.crew.books.trouble(trouble.into());
        }
        asked
    }

    fn subscribed<L: Link>(&mut self, link: &mut L, place: Place, codes: SubAck<'_>) {
        if !self.crew.subscribed(link.now(), place) {
            // It was asked for apart, or given up.
            if let Part::Listener(local) = self.parts[place.at()] {
                self.listeners.answered(local);
            }
            return;
        }
        if codes.codes().any(|code| code == SubAckCode::Failure) {
            let reason = format!("{} refused a subscription (SUBACK 0x80)", self.crew.remote(place));
            return self.subscription_failed(link, place, reason);
        }
        self.crew.books.counters().subscribed += 1;
        match self.parts[place.at()] {
            Part::Publisher(local) => self.publishers.begin(scene!(self, link), local),
            Part::Responder(local) => {
                self.responders.ready(&self.shared, local);
                // Nobody is left to answer, and nobody will say so again.
                if self.stopped || self.shared.all_published() {
                    self.crew.leave(link, place, After::Done);
                }
            }
            Part::Listener(local) => self.listeners.subscribed(scene!(self, link), local),
        }
    }

    fn subscription_failed<L: Link>(&mut self, link: &mut L, place: Place, reason: String) {
        self.crew.books.counters().subscribe_failures += 1;
        self.crew.books.trouble(reason.clone());
        self.failed(link, place, reason);
        self.crew.quit(link, place);
    }

    fn connected<L: Link>(&mut self, link: &mut L, place: Place, session_present: bool) {
        match self.parts[place.at()] {
            Part::Publisher(local) => {
                self.publishers.connected(scene!(self, link), local, session_present);
            }
            Part::Responder(_) => {
                let publishing = self.shared.publishing();
                let (filter, qos) = (publishing.topic.filter(), publishing.qos);
                let scene = scene!(self, link);
                scene.subscribe(place, [(filter.as_str(), qos)].into_iter());
            }
            Part::Listener(local) => {
                self.listeners.connected(scene!(self, link), local, session_present);
            }
        }
    }

    fn hear<L: Link>(&mut self, link: &mut L, place: Place, event: Event<'_, Token<Wall>>) {
        match (event, self.parts[place.at()]) {
            (Event::Acked(token) | Event::AckedLate(token), Part::Publisher(local)) => {
                self.publishers.acked(scene!(self, link), local, &token);
            }
            (Event::Message { publish, first }, part) => match part {
                Part::Publisher(local) => {
                    self.publishers.answered(scene!(self, link), local, &publish, first);
                }
                Part::Listener(local) => self.listeners.hear(scene!(self, link), local, &publish, first),
                Part::Responder(local) => self.responders.answer(scene!(self, link), local, place, &publish),
            },
            (Event::Connected { session_present }, _) => self.connected(link, place, session_present),
            (Event::Subscribed { codes, .. }, _) => self.subscribed(link, place, codes),
            _ => {}
        }
    }

    fn run_alarms<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        while let Some(&Reverse((time, alarm, place))) = self.alarms.peek() {
            if time > link.now() {
                return Some(time);
            }
            self.alarms.pop();
            self.ring(link, alarm, place);
        }
        None
    }

    fn ring<L: Link>(&mut self, link: &mut L, alarm: Alarm, place: Place) {
        match (alarm, self.parts.get(place.at())) {
            (Alarm::Hurry, _) => self.end_everybody(link),
            (Alarm::Join, Some(Part::Publisher(_))) => self.crew.call(place),
            (Alarm::Leave, Some(&Part::Publisher(local))) => {
                let stays = self.publishers.leave(scene!(self, link), local);
                if !stays {
                    self.done(link, place);
                }
            }
            (Alarm::TimeUp, Some(&Part::Publisher(local))) => {
                let stays = self.publishers.time_is_up(scene!(self, link), local);
                if !stays {
                    self.done(link, place);
                }
            }
            (Alarm::Answer, Some(&Part::Publisher(local))) => {
                self.publishers.check_request(scene!(self, link), local);
            }
            (Alarm::Resume, Some(&Part::Listener(local))) => self.listeners.resume(scene!(self, link), local),
            (Alarm::Quiet, Some(&Part::Listener(local))) => {
                self.listeners.check_quiet(scene!(self, link), local);
                self.finish_if_away(link, place);
            }
            (Alarm::Duration, Some(&Part::Listener(local))) => {
                self.listeners.end(scene!(self, link), local, ListenEnd::Duration);
                self.finish_if_away(link, place);
            }
            _ => {}
        }
    }

    /// A listener that has ended while it was not connected does not come back.
    fn finish_if_away<L: Link>(&mut self, link: &mut L, place: Place) {
        if self.crew.step(place) == Step::Down && self.has_finished(link, place) {
            self.done(link, place);
        }
    }
}

impl<L: Link> App<L> for Script {
    fn started(&mut self, link: &mut L) {
        self.watch.open(link, &self.crew.books.levels);
        for place in self.crew.places() {
            if !matches!(self.parts[place.at()], Part::Publisher(_)) {
                self.crew.call(place);
            }
        }
        self.look_around(link);
    }

    fn connected(&mut self, link: &mut L, conn: Conn) {
        let place = Place::of(conn);
        let (shared, index) = (&self.shared, self.crew.index(place));
        let connection = &shared.spec.connection;
        match self.parts[place.at()] {
            Part::Publisher(local) => {
                let name = self.publishers.list[local].name(shared);
                let mut connect = connection.connect(index, &name.client_id);
                connect.bridge = shared.publishing().bridge;
                self.crew.handle_connected(link, place, &connect);
            }
            Part::Responder(local) => {
                let first = &shared.publishing().clients[0].client_id;
                let id = format!("{first}-responder-{}", self.responders.list[local].number);
                let connect = connection.connect(index, &id);
                let connect = crate::wire::Connect { clean_session: true, ..connect };
                self.crew.handle_connected(link, place, &connect);
            }
            Part::Listener(local) => {
                let listener = &self.listeners.list[local];
                let mut connect = connection.connect(index, &listener.spec(shared).client_id);
                connect.clean_session = listener.wants_clean(shared);
                self.crew.handle_connected(link, place, &connect);
            }
        }
    }

    fn accepted(&mut self, _: &mut L, _: Conn) {
        unreachable!("clients listen to nobody");
    }

    fn data(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        let place = Place::of(conn);
        let mut inbox = Inbox::new(bytes);
        while let Some(event) = self.crew.next(link, place, &mut inbox) {
            self.hear(link, place, event);
        }
        self.crew.end_read(link);
        match self.parts[place.at()] {
            Part::Publisher(local) => drop(self.publishers.pump(scene!(self, link), local)),
            Part::Listener(local) => self.listeners.end_if_complete(scene!(self, link), local),
            Part::Responder(_) => {}
        }
        inbox.used()
    }

    fn writable(&mut self, link: &mut L, conn: Conn) {
        if let Part::Publisher(local) = self.parts[Place::of(conn).at()] {
            self.publishers.pump(scene!(self, link), local);
        }
    }

    fn closed(&mut self, link: &mut L, conn: Conn, closed: Closed) {
        self.crew.handle_closed(link, Place::of(conn), closed);
    }

    fn woken(&mut self, link: &mut L) {
        while let Some(order) = self.desk.poll() {
            match order {
                Order::Command(()) => {}
                Order::Recycle(tally) => self.crew.books.recycle(tally),
                Order::Close => return link.stop(),
            }
        }
        self.look_around(link);
    }

    fn pass(&mut self, link: &mut L) -> Option<Nanos> {
        let (publishers, parts) = (&mut self.publishers, &self.parts);
        self.crew.settle(link, |place, taken, lost| {
            if let Part::Publisher(local) = parts[place.at()] {
                publishers.settled(local, taken, lost);
            }
        });
        if let Some(tally) = self.crew.books.poll_tally(link) {
            self.crew.books.levels.missing = self.listeners.missing();
            self.desk.report(Report::Tally(tally));
        }
        let mut next = self.crew.books.tally_due();
        let mut at = |deadline: Option<Nanos>| next = next.min(deadline.unwrap_or(Nanos::MAX));
        at(self.crew.poll_deadlines(link));
        at(self.run_alarms(link));
        self.hear_news(link);
        at(self.crew.poll_dial(link));
        at(Some(self.publishers.poll(scene!(self, link))));
        self.crew.end_pass(link, |_, _| ());
        self.desk.show(&self.crew.books.levels);
        if self.crew.books.levels.done == self.crew.len() as u64 && link.connections() == 0 {
            self.watch.close(link, &self.crew.books.levels);
            link.stop();
        }
        Some(next)
    }
}

impl<L: Link> Actor<L> for Script {
    type Command = ();
    type Ending = Ending;

    fn end(mut self, now: Nanos, stats: Stats) -> Ending {
        self.desk.report(Report::Tally(self.crew.books.close(now, stats)));
        Ending {
            effort: Effort { stats, ..self.watch.effort },
            publishers: self.publishers.finish(&self.shared),
            listeners: self.listeners.list,
        }
    }
}
