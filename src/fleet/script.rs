//! One worker's clients, each with a script of its own: publishers, responders and listeners.

use super::part::Part;
use super::scene::{Common, Prompt, Scene, Wall};
use super::shared::Shared;
use crate::clock::{Nanos, SECOND};
use crate::crew::{Crew, Effort, Inbox, News, Place, Terms, Watch};
use crate::engine::{App, Closed, Conn, Link, Longest, Stats, Usage};
use crate::load::Bursts;
use crate::stage::{Actor, Desk, Order};
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long clients have for what is under way after an interrupt.
const HURRY: Nanos = SECOND;

/// What a worker has to say at its end.
#[derive(Default)]
pub struct Ending {
    pub effort: Effort,
    /// What became of its clients, in the order of its seat.
    pub parts: Vec<Part>,
}

/// The clients of one worker.
pub struct Script {
    shared: Arc<Shared>,
    desk: Desk<(), Ending>,
    pub crew: Crew<Wall>,
    /// By place.
    parts: Vec<Part>,
    pub common: Common,
    bursts: Bursts,
    watch: Watch,
    /// Whether publishers have begun to connect: once all listeners are ready.
    released: bool,
}

impl Script {
    pub fn new(shared: Arc<Shared>, desk: Desk<(), Ending>, now: Nanos) -> Script {
        let indices = shared.seats[desk.worker].clients.clone();
        let connection = &shared.spec.connection;
        let publishing = shared.spec.publishing.as_ref();
        let (publishers, listeners) = (shared.publishers, shared.publishers + shared.responders);
        let terms = Terms {
            seed: shared.spec.seed,
            ack_timeout: publishing.map_or(30 * SECOND, |publishing| publishing.ack_timeout),
            max_packet: shared.max_packet(),
            part: Box::new(move |index| match index {
                _ if index < publishers => "publisher",
                _ if index < listeners => "responder",
                _ => "subscriber",
            }),
            limits: vec![
                connection.limits(publishing.map_or(1, |publishing| publishing.inflight)),
                connection.limits(u16::MAX),
            ],
            ..Terms::new(connection, desk.worker, shared.seats.len(), shared.epoch)
        };
        let kind = |index| u8::from(index >= publishers);
        let own_publishers = indices.partition_point(|index| *index < publishers) as u32;
        let awaited = (own_publishers..indices.len() as u32).map(Place).collect();
        let routes = shared.clone();
        let routes = Box::new(move |index| routes.ways.route(index, index));
        Script {
            parts: indices.iter().map(|index| Part::new(&shared, *index)).collect(),
            common: Common { awaited, ..Common::default() },
            crew: Crew::new(terms, indices, kind, routes, now),
            bursts: Bursts::new(publishing.map_or(0, |publishing| publishing.tolerance)),
            watch: Watch::default(),
            released: false,
            shared,
            desk,
        }
    }

    /// A client, and everything around it.
    fn at<'a, L>(&'a mut self, link: &'a mut L, place: Place) -> (&'a mut Part, Scene<'a, L>) {
        let Script { crew, shared, common, .. } = self;
        (&mut self.parts[place.at()], Scene { link, place, crew, shared, common })
    }

    /// Lets a client go on.
    fn prompt<L: Link>(&mut self, link: &mut L, place: Place, prompt: Prompt) {
        let (part, mut scene) = self.at(link, place);
        part.go_on(&mut scene, prompt);
    }

    fn prompt_all<L: Link>(&mut self, link: &mut L, prompt: Prompt) {
        self.crew.places().for_each(|place| self.prompt(link, place, prompt));
    }

    /// What the stage says, or gives back.
    fn hear_stage<L: Link>(&mut self, link: &mut L) {
        while let Some(order) = self.desk.poll() {
            match order {
                Order::Command(()) => {}
                Order::Recycle(tally) => self.crew.books.recycle(tally),
                Order::Close => link.stop(),
            }
        }
    }

    /// What has happened elsewhere and concerns this worker's clients.
    fn look_around<L: Link>(&mut self, link: &mut L) {
        let waits = self.shared.listeners_pending.load(Ordering::Acquire) > 0;
        if !waits && !std::mem::replace(&mut self.released, true) {
            self.prompt_all(link, Prompt::Ready);
        }
        if self.shared.stopped.get().is_some() && !std::mem::replace(&mut self.common.stopped, true) {
            self.crew.hurry();
            let end = link.now() + HURRY;
            self.common.alarms.push(Reverse((end, Prompt::Hurry, Place(u32::MAX))));
            self.prompt_all(link, Prompt::Stop);
        }
        self.prompt_all(link, Prompt::Look);
    }

    /// Goes on from what has happened to clients.
    fn hear_news<L: Link>(&mut self, link: &mut L) {
        while let Some(news) = self.crew.poll_news() {
            let (News::Room(place) | News::NoSubAck(place, _) | News::Down { place, .. }) = news;
            let (part, mut scene) = self.at(link, place);
            match news {
                News::Room(_) => part.go_on(&mut scene, Prompt::Heard),
                News::NoSubAck(_, trouble) => part.subscription_failed(&mut scene, trouble),
                News::Down { end, .. } => part.down(&mut scene, end),
            }
        }
    }

    /// Sends what is due at a time that was foreseen; answers when to come again.
    fn send_due<L: Link>(&mut self, link: &mut L) -> Nanos {
        for _ in 0..self.common.unfinished.len() {
            let place = self.common.unfinished.pop_front().expect("counted a moment ago");
            if let (Part::Publisher(publisher), mut scene) = self.at(link, place) {
                publisher.have_turn(&mut scene);
            }
        }
        let now = link.now();
        if let Some(&Reverse((first, _))) = self.common.due.peek()
            && self.bursts.time(first) <= now
        {
            let mut sent = 0;
            while let Some(&Reverse((due, place))) = self.common.due.peek()
                && due <= now
            {
                self.common.due.pop();
                // What waited for others because it was to is not late.
                self.crew.books.wake_lag(now - self.bursts.time(due), due);
                if let (Part::Publisher(publisher), mut scene) = self.at(link, place) {
                    sent += publisher.come_due(&mut scene);
                }
            }
            if sent > 0 {
                self.bursts.leave(first, now);
            }
        }
        if !self.common.unfinished.is_empty() {
            return now;
        }
        let Some(Reverse((due, _))) = self.common.due.peek() else { return Nanos::MAX };
        let next = self.bursts.time(*due);
        // Second in the heap is one of the two below the first.
        if let Some(Reverse((due, _))) = self.common.due.as_slice().iter().skip(1).take(2).max() {
            link.foresee(self.bursts.following(next, *due));
        }
        next
    }

    fn run_alarms<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        while let Some(&Reverse((time, prompt, place))) = self.common.alarms.peek() {
            if time > link.now() {
                return Some(time);
            }
            self.common.alarms.pop();
            match prompt {
                Prompt::Hurry => self.prompt_all(link, prompt),
                _ => self.prompt(link, place, prompt),
            }
        }
        None
    }
}

impl<L: Link> App<L> for Script {
    fn started(&mut self, link: &mut L) {
        self.watch.open(link, &self.crew.books.levels);
        self.common.awaited.iter().for_each(|place| self.crew.call(*place));
        self.look_around(link);
    }

    fn connected(&mut self, link: &mut L, conn: Conn) {
        let (part, mut scene) = self.at(link, Place::of(conn));
        part.connect(&mut scene);
    }

    fn accepted(&mut self, _: &mut L, _: Conn) {
        unreachable!("clients listen to nobody");
    }

    fn data(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        let (part, mut scene) = self.at(link, Place::of(conn));
        let mut inbox = Inbox::new(bytes);
        while let Some(event) = scene.crew.next(scene.link, scene.place, &mut inbox) {
            part.hear(&mut scene, &event);
        }
        scene.crew.end_read(scene.link);
        part.go_on(&mut scene, Prompt::Heard);
        inbox.used()
    }

    fn writable(&mut self, link: &mut L, conn: Conn) {
        self.prompt(link, Place::of(conn), Prompt::Heard);
    }

    fn closed(&mut self, link: &mut L, conn: Conn, closed: Closed) {
        self.crew.handle_closed(link, Place::of(conn), closed);
    }

    fn woken(&mut self, link: &mut L) {
        self.hear_stage(link);
        self.look_around(link);
    }

    fn pass(&mut self, link: &mut L) -> Option<Nanos> {
        let parts = &mut self.parts;
        self.crew.settle(link, |place, taken, lost| {
            if let Part::Publisher(publisher) = &mut parts[place.at()] {
                publisher.settled(taken, lost.end - lost.start);
            }
        });
        if link.now() >= self.crew.books.tally_due() {
            // The tally of a second ago is back by now; nobody rings for it.
            self.hear_stage(link);
        }
        if let Some(tally) = self.crew.books.poll_tally(link) {
            self.crew.books.levels.missing = self.parts.iter().filter_map(Part::missing).sum();
            self.desk.ship(tally);
        }
        let mut next = self.crew.books.tally_due();
        let mut at = |deadline: Option<Nanos>| next = next.min(deadline.unwrap_or(Nanos::MAX));
        at(self.crew.poll_deadlines(link));
        at(self.run_alarms(link));
        self.hear_news(link);
        at(self.crew.poll_dial(link));
        at(Some(self.send_due(link)));
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
    type Ending = Ending;

    fn end(mut self, now: Nanos, (stats, usage): (Stats, Usage)) -> Ending {
        self.desk.ship(self.crew.books.close(now, (stats, usage), Longest::default()));
        Ending { effort: self.watch.effort, parts: self.parts }
    }
}
