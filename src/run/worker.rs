//! The clients of one worker, taken through the phases of a run.

use super::conductor::Command;
use super::publishers::Publishers;
use super::shared::Shared;
use super::subscribers::Subscribers;
use crate::client::Event;
use crate::clock::Nanos;
use crate::crew::{After, Crew, Effort, End, Inbox, Link, News, Place, Step, Terms, Watch};
use crate::engine::{App, Closed, Conn, Stats};
use crate::load::Role;
use crate::stage::{Actor, Desk, Order, Report};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Waiting,
    Connecting,
    Subscribing,
    Publishing,
    /// What was to be done in this phase is done.
    Idling,
    Draining,
    Leaving,
}

/// One worker's clients: publishers first, then subscribers, then the idle.
pub struct Clients {
    shared: Arc<Shared>,
    desk: Desk<Command, Effort>,
    phase: Phase,
    crew: Crew<()>,
    publishers: Publishers,
    subscribers: Subscribers,
    watch: Watch,
    /// When the measure phase begins and ends.
    window: (Nanos, Nanos),
    /// The next client to take leave.
    leaving: u32,
}

/// Clients that say DISCONNECT in one pass.
const LEAVE_AT_ONCE: u32 = 1000;

impl Clients {
    pub fn new(shared: Arc<Shared>, desk: Desk<Command, Effort>, now: Nanos) -> Clients {
        let indices = shared.seats[desk.worker].clients.clone();
        let (mut publishing, mut subscribing) = (Vec::new(), Vec::new());
        for &index in &*indices {
            match shared.split.role(index) {
                Role::Publisher(number) => publishing.push(number),
                Role::Subscriber(number) => subscribing.push(number),
                Role::Idle => {}
            }
        }
        let (spec, split) = (&shared.spec, shared.split);
        let terms = Terms {
            seed: spec.plan.seed,
            ack_timeout: spec.plan.ack_timeout_ns,
            max_packet: shared.max_packet(),
            part: Box::new(move |index| match split.role(index) {
                Role::Publisher(_) => "publisher",
                Role::Subscriber(_) => "subscriber",
                Role::Idle => "idle client",
            }),
            limits: vec![spec.connection.limits(spec.inflight())],
            ..Terms::new(&spec.connection, desk.worker, shared.seats.len(), shared.epoch)
        };
        let routes = shared.clone();
        let routes = Box::new(move |index| routes.route(index));
        Clients {
            phase: Phase::Waiting,
            crew: Crew::new(terms, indices, |_| 0, routes, now),
            subscribers: Subscribers::new(&shared, publishing.len(), &subscribing),
            publishers: Publishers::new(&shared, publishing),
            watch: Watch::default(),
            window: (Nanos::MAX, Nanos::MAX),
            leaving: 0,
            shared,
            desk,
        }
    }

    fn obey<L: Link>(&mut self, link: &mut L, command: Command) {
        match command {
            Command::Connect => {
                self.phase = Phase::Connecting;
                self.crew.connect_all(link.now());
            }
            Command::Subscribe => self.phase = Phase::Subscribing,
            Command::Publish { start } => {
                self.phase = Phase::Publishing;
                let (from, to) = self.shared.window;
                self.window = (start + from, start.saturating_add(to));
                self.subscribers.close();
                self.publishers.begin(&self.shared, &mut self.crew, start);
            }
            Command::Drain => {
                self.phase = Phase::Draining;
                self.publishers.end();
                self.crew.books.levels.draining = 1;
                self.watch.close(link, &self.crew.books.levels);
            }
            Command::Disconnect => {
                self.phase = Phase::Leaving;
                self.publishers.end();
                self.watch.close(link, &self.crew.books.levels);
                self.publishers.shed_backlogs(&mut self.crew);
            }
        }
    }

    /// Goes on from what has happened to clients.
    fn hear_news<L: Link>(&mut self, link: &mut L) {
        while let Some(news) = self.crew.poll_news() {
            match news {
                News::Room(place) => self.catch_up(link, place),
                News::NoSubAck(_, trouble) => self.subscribers.unanswered(&mut self.crew, Some(trouble)),
                News::Down { place, was, end } => {
                    if was == Step::Subscribing && self.phase != Phase::Leaving {
                        self.subscribers.unanswered(&mut self.crew, None);
                    }
                    if end == End::Failed && self.phase != Phase::Leaving {
                        self.crew.retry(link.now(), place);
                    } else {
                        self.crew.finish(link.now(), place);
                        self.publishers.forgo(&self.shared, place);
                    }
                }
            }
        }
    }

    fn catch_up<L: Link>(&mut self, link: &mut L, place: Place) {
        self.publishers.catch_up(&self.shared, &mut self.crew, link, place);
    }

    /// Does what the phase asks for; answers when to look again.
    fn poll_phase<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        let (mut next, mut done) = (None, false);
        match self.phase {
            Phase::Connecting => done = self.crew.is_settled(),
            Phase::Subscribing => done = self.subscribers.poll(&self.shared, &mut self.crew, link),
            Phase::Publishing => {
                next = self.publishers.poll(&self.shared, &mut self.crew, link);
                done = self.publishers.poll_over();
            }
            Phase::Leaving => next = self.leave_some(link),
            Phase::Waiting | Phase::Idling | Phase::Draining => {}
        }
        let levels = &self.crew.books.levels;
        if done {
            self.phase = Phase::Idling;
            self.desk.arrive(levels);
        } else {
            self.desk.show(levels);
        }
        next
    }

    /// Notes the usage of the measure phase; answers when to look again.
    fn watch_window<L: Link>(&mut self, link: &L) -> Option<Nanos> {
        let ((opens, closes), now) = (self.window, link.now());
        if matches!(self.phase, Phase::Draining | Phase::Leaving) {
            return None;
        }
        if now < opens {
            return Some(opens);
        }
        self.watch.open(link, &self.crew.books.levels);
        if now >= closes {
            self.watch.close(link, &self.crew.books.levels);
        }
        self.watch.is_open().then_some(closes)
    }

    /// Says DISCONNECT, some clients at a time; ends the worker when all are gone.
    fn leave_some<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        let all = self.crew.len() as u32;
        let until = (self.leaving + LEAVE_AT_ONCE).min(all);
        for place in (self.leaving..until).map(Place) {
            match self.crew.step(place) {
                Step::Down => self.crew.finish(link.now(), place),
                _ => self.crew.leave(link, place, After::Done),
            }
        }
        self.leaving = until;
        if until < all {
            return Some(link.now());
        }
        if link.connections() == 0 {
            link.stop();
        }
        None
    }
}

impl<L: Link> App<L> for Clients {
    fn connected(&mut self, link: &mut L, conn: Conn) {
        let place = Place::of(conn);
        let index = self.crew.index(place);
        let spec = &self.shared.spec;
        let id = format!("{}-{index}", spec.plan.client_id_prefix);
        self.crew.handle_connected(link, place, &spec.connection.connect(index, &id));
    }

    fn accepted(&mut self, _: &mut L, _: Conn) {
        unreachable!("clients listen to nobody");
    }

    fn data(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        let place = Place::of(conn);
        let acked = self.crew.books.levels.acked;
        let mut inbox = Inbox::new(bytes);
        while let Some(event) = self.crew.next(link, place, &mut inbox) {
            match event {
                Event::Message { publish, first } => {
                    let (now, origin) = (link.now(), self.publishers.origin());
                    let times = (now.saturating_sub(origin), origin);
                    self.subscribers.hear(&self.shared, &mut self.crew, times, place, &publish, first);
                }
                Event::Connected { session_present } => {
                    let (shared, crew) = (&*self.shared, &mut self.crew);
                    if session_present {
                        self.publishers.redeliver(shared, crew, link, place);
                    }
                    self.subscribers.connected(shared, crew, link, place, session_present);
                    self.catch_up(link, place);
                }
                Event::Subscribed { codes, .. } => {
                    self.subscribers.granted(&self.shared, &mut self.crew, link.now(), place, codes);
                }
                _ => {}
            }
        }
        // Once for all acknowledgements of a read: they are counted, and the window has room again.
        self.crew.end_read(link);
        if self.crew.books.levels.acked != acked {
            self.catch_up(link, place);
        }
        inbox.used()
    }

    fn writable(&mut self, link: &mut L, conn: Conn) {
        self.catch_up(link, Place::of(conn));
    }

    fn closed(&mut self, link: &mut L, conn: Conn, closed: Closed) {
        self.crew.handle_closed(link, Place::of(conn), closed);
    }

    fn woken(&mut self, link: &mut L) {
        while let Some(order) = self.desk.poll() {
            match order {
                Order::Command(command) => self.obey(link, command),
                Order::Recycle(tally) => self.crew.books.recycle(tally),
                Order::Close => return link.stop(),
            }
        }
    }

    fn pass(&mut self, link: &mut L) -> Option<Nanos> {
        self.crew.settle(link, |_, _, _| ());
        if link.now() >= self.crew.books.tally_due() {
            // The tally of a second ago is back by now.
            self.woken(link);
        }
        if let Some(tally) = self.crew.books.poll_tally(link) {
            self.desk.report(Report::Tally(tally));
        }
        let mut next = self.crew.books.tally_due();
        let mut at = |deadline: Option<Nanos>| next = next.min(deadline.unwrap_or(Nanos::MAX));
        at(self.watch_window(link));
        at(self.crew.poll_deadlines(link));
        self.hear_news(link);
        if self.phase != Phase::Leaving {
            at(self.crew.poll_dial(link));
        }
        at(self.poll_phase(link));
        let (publishers, shared) = (&self.publishers, &self.shared);
        self.crew.end_pass(link, |written, time| publishers.handed(shared, written, time));
        Some(next)
    }
}

impl<L: Link> Actor<L> for Clients {
    type Command = Command;
    type Ending = Effort;

    fn end(mut self, now: Nanos, stats: Stats) -> Effort {
        self.desk.report(Report::Tally(self.crew.books.close(now, stats)));
        Effort { stats, ..self.watch.effort }
    }
}

#[cfg(test)]
impl Clients {
    /// Whether a tally that was read has come back.
    pub fn has_spare(&self) -> bool {
        self.crew.books.has_spare()
    }
}
