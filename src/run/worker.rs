//! The clients of one worker, taken through the phases of a run.

use super::comings::Comings;
use super::conductor::Command;
use super::publishers::Publishers;
use super::shared::{Crew, Shared};
use super::subscribers::Subscribers;
use crate::client::Event;
use crate::clock::Nanos;
use crate::crew::{After, Effort, End, Inbox, Needs, News, Place, Step, Terms, Watch};
use crate::engine::{App, Closed, Conn, Link, Longest, Stats, Usage};
use crate::load::Role;
use crate::stage::{Actor, Desk, Order};
use crate::wire::Protocol;
use std::ops::Range;
use std::sync::Arc;

/// One worker's clients: publishers first, then subscribers, then the idle.
pub struct Clients {
    shared: Arc<Shared>,
    desk: Desk<Command, Effort>,
    /// What is to be done; nothing before the first command, and when it is done.
    task: Option<Command>,
    pub crew: Crew,
    publishers: Publishers,
    subscribers: Subscribers,
    comings: Comings,
    watch: Watch,
    /// The measure phase, once it is known when that is.
    window: Range<Nanos>,
    /// Those that have not taken leave.
    staying: Range<u32>,
}

/// Clients of all workers that may be on their way out, DISCONNECT said and the connection not gone: what a broker has not
/// read yet takes memory of the kernel's, a page for each connection.
const LEAVING: usize = if cfg!(test) { 8 } else { 20_000 };

impl Clients {
    /// The clients of the worker at `desk`.
    pub fn new(shared: Arc<Shared>, desk: Desk<Command, Effort>, now: Nanos) -> Clients {
        let shared = shared.probes.clone().filter(|probes| desk.worker >= probes.first).unwrap_or(shared);
        let worker = desk.worker - shared.first;
        let indices = shared.seats[worker].clients.clone();
        let (mut publishing, mut subscribing) = (Vec::new(), Vec::new());
        for &index in &*indices {
            publishing.extend(shared.split.publisher(index));
            subscribing.extend(shared.split.subscriber(index));
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
            limits: vec![spec.connection.limits(shared.inflight)],
            needs: if spec.connection.protocol == Protocol::V5 { shared.needs() } else { Needs::default() },
            ..Terms::new(&spec.connection, worker, shared.seats.len(), shared.epoch)
        };
        let routes = shared.clone();
        let routes = Box::new(move |index| routes.route(index));
        let staying = 0..indices.len() as u32;
        let first = if split.itself { 0 } else { publishing.len() };
        let mut crew = Crew::new(terms, indices, |_| 0, routes, now);
        // Until it is known when the measure phase is.
        crew.books.measure(Nanos::MAX, Nanos::MAX);
        Clients {
            desk,
            task: None,
            staying,
            subscribers: Subscribers::new(shared.clone(), first, &subscribing),
            publishers: Publishers::new(shared.clone(), &publishing),
            comings: Comings::new(shared.clone(), &crew),
            crew,
            watch: Watch::default(),
            window: Nanos::MAX..Nanos::MAX,
            shared,
        }
    }

    fn obey<L: Link>(&mut self, link: &mut L, command: Command) {
        self.task = Some(command);
        match command {
            Command::Connect => self.crew.connect_all(link.now()),
            Command::Subscribe => {}
            Command::Publish(segment) => {
                self.window = segment.opens..segment.closes;
                self.crew.books.measure(self.window.start, self.window.end);
                self.crew.books.levels.draining = 0;
                self.subscribers.begin(&mut self.crew, &segment);
                self.publishers.begin(&self.crew, &segment);
                self.comings.begin(segment.start);
            }
            Command::Close => self.close_part(link),
            Command::Drain { .. } | Command::Disconnect => {
                self.publishers.end();
                self.comings.end(&mut self.crew, link);
                self.subscribers.settle();
                self.watch.close(link, &self.crew.books.levels);
                self.window = Nanos::MAX..Nanos::MAX;
                self.crew.books.levels.draining = 1;
                if command == Command::Disconnect {
                    self.publishers.shed_backlogs(&mut self.crew);
                }
            }
        }
    }

    /// A load is over, and another may follow: what was measured of it is reported.
    fn close_part<L: Link>(&mut self, link: &mut L) {
        self.publishers.shed_backlogs(&mut self.crew);
        let longest = link.longest();
        let tally = self.crew.books.close(link.now(), (link.stats(), link.usage()), longest);
        // What comes now is of no load: too late for this one.
        self.crew.books.measure(Nanos::MAX, Nanos::MAX);
        self.desk.close(tally, std::mem::take(&mut self.watch).effort);
    }

    /// Goes on from what has happened to clients.
    fn hear_news<L: Link>(&mut self, link: &mut L) {
        let leaving = self.task == Some(Command::Disconnect);
        while let Some(news) = self.crew.poll_news() {
            match news {
                News::Room(place) => self.publishers.catch_up(&mut self.crew, link, place),
                News::NoSubAck(place, trouble) => {
                    self.subscribers.unanswered(&mut self.crew, link.now(), place, Some(trouble));
                    self.publishers.catch_up(&mut self.crew, link, place);
                }
                News::Down { place, was, end, unacked } => {
                    if was == Step::Subscribing && !leaving {
                        self.subscribers.unanswered(&mut self.crew, link.now(), place, None);
                    }
                    self.subscribers.down(place, link.now());
                    self.publishers.ended(&mut self.crew, place, &end, unacked);
                    match end {
                        End::Failed if !leaving => self.crew.retry(link.now(), place),
                        End::Left { after: After::Again, .. } if !leaving => self.crew.recall(place),
                        End::Left { after: After::Away, .. } if !leaving => {}
                        _ => {
                            self.crew.finish(link.now(), place);
                            self.publishers.forgo(place);
                        }
                    }
                }
            }
        }
    }

    /// Goes on with what is to be done; answers when to look again.
    fn poll_task<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        let crew = &mut self.crew;
        let (done, next) = match self.task {
            Some(Command::Connect) => (crew.is_settled(), None),
            Some(Command::Subscribe) => (self.subscribers.poll(crew, link), None),
            Some(Command::Publish(_)) => {
                let next = self.publishers.poll(crew, link);
                (next.is_none(), next)
            }
            Some(Command::Disconnect) => {
                self.leave_some(link);
                (false, None)
            }
            Some(Command::Close) => (true, None),
            Some(Command::Drain { .. }) | None => (false, None),
        };
        let levels = &self.crew.books.levels;
        if done {
            self.task = None;
            self.desk.arrive(levels);
        } else {
            self.desk.show(levels);
        }
        next
    }

    /// Notes the usage of the measure phase; answers when to look again.
    fn watch_window<L: Link>(&mut self, link: &L) -> Option<Nanos> {
        let (now, levels, window) = (link.now(), &self.crew.books.levels, &self.window);
        if now >= window.start {
            self.watch.open(link, levels);
        }
        if now >= window.end {
            self.watch.close(link, levels);
        }
        [window.start, window.end].into_iter().find(|edge| now < *edge)
    }

    /// Says DISCONNECT, some clients at a time, as others are gone; ends the worker when all are. The last to come is
    /// the first to go: the kernel finds what a connection waits for among all of its ring's, the newest first.
    fn leave_some<L: Link>(&mut self, link: &mut L) {
        // A broker that does not close is not to be spared.
        let patience = if self.crew.is_kept_waiting() { 10 } else { 1 };
        let share = (LEAVING / self.shared.seats.len()).max(1) * patience;
        while let Some(place) = self.staying.clone().next_back().map(Place) {
            let leaving = u64::from(link.connections()).saturating_sub(self.crew.books.levels.connected);
            if leaving >= share as u64 {
                return;
            }
            self.staying.end -= 1;
            match self.crew.step(place) {
                Step::Down => self.crew.finish(link.now(), place),
                _ => self.crew.leave(link, place, After::Done),
            }
        }
        if link.connections() == 0 {
            link.stop();
        }
    }
}

impl<L: Link> App<L> for Clients {
    fn connected(&mut self, link: &mut L, conn: Conn) {
        let place = Place::of(conn);
        let index = self.crew.index(place);
        let spec = &self.shared.spec;
        let id = self.shared.name(index).to_string();
        self.crew.handle_connected(link, place, &spec.connection.connect(index, &id));
    }

    fn accepted(&mut self, _: &mut L, _: Conn) {
        unreachable!("clients listen to nobody");
    }

    fn data(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        let Clients { crew, publishers, subscribers, .. } = self;
        let place = Place::of(conn);
        let acked = crew.books.levels.acked;
        let mut rejected = false;
        let mut inbox = Inbox::new(bytes);
        while let Some(event) = crew.next(link, place, &mut inbox) {
            match event {
                Event::Message { publish, first } => {
                    subscribers.hear(crew, link.arrived(), place, &publish, first);
                }
                Event::Connected { session_present } => {
                    publishers.connected(place);
                    if session_present {
                        publishers.redeliver(crew, link, place);
                    }
                    subscribers.connected(crew, link, place, session_present);
                    publishers.catch_up(crew, link, place);
                }
                Event::Subscribed { codes, .. } => {
                    subscribers.granted(crew, link.arrived(), place, codes);
                    publishers.catch_up(crew, link, place);
                }
                Event::Unsubscribed(_) => {
                    subscribers.withdrawn(link.now(), place);
                    publishers.catch_up(crew, link, place);
                }
                Event::Rejected(..) => rejected = true,
                _ => {}
            }
        }
        // Once for all answers of a read: they are counted, and the window has room again.
        crew.end_read(link);
        if rejected || crew.books.levels.acked != acked {
            publishers.catch_up(crew, link, place);
        }
        inbox.used()
    }

    fn writable(&mut self, link: &mut L, conn: Conn) {
        self.publishers.catch_up(&mut self.crew, link, Place::of(conn));
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
        self.crew.settle(link, |place, _, lost| self.publishers.unfinished(place, lost));
        if link.now() >= self.crew.books.tally_due() {
            // The tally of a second ago is back by now.
            self.woken(link);
        }
        if let Some(tally) = self.crew.books.poll_tally(link) {
            self.desk.ship(tally);
        }
        let window = self.watch_window(link);
        let deadlines = self.crew.poll_deadlines(link);
        self.hear_news(link);
        let comings = self.comings.poll(&mut self.crew, link);
        let turns = self.subscribers.poll_turns(&mut self.crew, link);
        let leaving = self.task == Some(Command::Disconnect);
        let dial = if leaving { None } else { self.crew.poll_dial(link) };
        let task = self.poll_task(link);
        self.crew.end_pass(link, |written, time| self.publishers.handed(written, time));
        [Some(self.crew.books.tally_due()), window, deadlines, comings, turns, dial, task]
            .into_iter()
            .flatten()
            .min()
    }
}

impl<L: Link> Actor<L> for Clients {
    type Ending = Effort;

    fn end(mut self, now: Nanos, (stats, usage): (Stats, Usage)) -> Effort {
        self.subscribers.end(&mut self.crew);
        self.desk.ship(self.crew.books.close(now, (stats, usage), Longest::default()));
        self.watch.effort
    }
}
