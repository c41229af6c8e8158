//! One worker's clients, each with a script of its own: publishers, responders and listeners.

use super::part::Part;
use super::scene::{Alarm, Common, Scene, Wall};
use super::shared::{Role, Shared};
use crate::clock::{Nanos, SECOND};
use crate::crew::{After, Crew, Effort, Inbox, Link, News, Place, Step, Terms, Watch};
use crate::engine::{App, Closed, Conn, Stats};
use crate::load::Bursts;
use crate::stage::{Actor, Desk, Order, Report};
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
    crew: Crew<Wall>,
    /// By place.
    parts: Vec<Part>,
    common: Common,
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
        let kind = |index| u8::from(index >= shared.publishers);
        let publishers = indices.partition_point(|index| *index < shared.publishers) as u32;
        let awaited = (publishers..indices.len() as u32).map(Place).collect();
        let routes = shared.clone();
        let routes = Box::new(move |index| routes.route(index));
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

    /// Lets something happen to every client.
    fn each<L>(&mut self, link: &mut L, mut act: impl FnMut(&mut Part, &mut Scene<'_, L>)) {
        for place in self.crew.places() {
            let (part, mut scene) = self.at(link, place);
            act(part, &mut scene);
        }
    }

    /// What has happened elsewhere and concerns this worker's clients.
    fn look_around<L: Link>(&mut self, link: &mut L) {
        // Publishers connect when all listeners are ready.
        let waits = self.shared.listeners_pending.load(Ordering::Acquire) > 0;
        if !waits && !std::mem::replace(&mut self.released, true) {
            self.each(link, |part, scene| {
                if let Part::Publisher(publisher) = part {
                    publisher.join(scene);
                }
            });
        }
        if self.shared.is_stopping() && !std::mem::replace(&mut self.common.stopped, true) {
            self.crew.hurry();
            let nobody = Place(u32::MAX);
            self.common.alarms.push(Reverse((link.now() + HURRY, Alarm::Hurry, nobody)));
            self.each(link, Part::stop);
        }
        self.each(link, Part::look_around);
    }

    /// Goes on from what has happened to clients.
    fn hear_news<L: Link>(&mut self, link: &mut L) {
        while let Some(news) = self.crew.poll_news() {
            match news {
                News::Room(place) => self.pump(link, place),
                News::NoSubAck(place, trouble) => {
                    let (part, mut scene) = self.at(link, place);
                    part.subscription_failed(&mut scene, trouble);
                }
                News::Down { place, end, .. } => {
                    let (part, mut scene) = self.at(link, place);
                    part.down(&mut scene, end);
                }
            }
        }
    }

    fn pump<L: Link>(&mut self, link: &mut L, place: Place) {
        if let (Part::Publisher(publisher), mut scene) = self.at(link, place) {
            publisher.pump(&mut scene);
        }
    }

    /// Sends what is due at a time that was foreseen; answers when to come again.
    fn send_due<L: Link>(&mut self, link: &mut L) -> Nanos {
        for _ in 0..self.common.unfinished.len() {
            let place = self.common.unfinished.pop_front().expect("counted a moment ago");
            self.pump(link, place);
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
        while let Some(&Reverse((time, alarm, place))) = self.common.alarms.peek() {
            if time > link.now() {
                return Some(time);
            }
            self.common.alarms.pop();
            if alarm == Alarm::Hurry {
                self.each(link, end_anyhow);
            } else {
                let (part, mut scene) = self.at(link, place);
                part.ring(&mut scene, alarm);
            }
        }
        None
    }
}

/// The time after an interrupt is over.
fn end_anyhow<L: Link>(part: &mut Part, scene: &mut Scene<'_, L>) {
    match scene.step() {
        Step::Down => part.done(scene),
        Step::Leaving(_) | Step::Done => {}
        _ => scene.leave(After::Done),
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
            part.hear(&mut scene, event);
        }
        part.end_read(&mut scene);
        inbox.used()
    }

    fn writable(&mut self, link: &mut L, conn: Conn) {
        self.pump(link, Place::of(conn));
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
        let parts = &mut self.parts;
        self.crew.settle(link, |place, taken, lost| {
            if let Part::Publisher(publisher) = &mut parts[place.at()] {
                publisher.settled(taken, lost);
            }
        });
        if let Some(tally) = self.crew.books.poll_tally(link) {
            self.crew.books.levels.missing = self.parts.iter().filter_map(Part::missing).sum();
            self.desk.report(Report::Tally(tally));
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
    type Command = ();
    type Ending = Ending;

    fn end(mut self, now: Nanos, stats: Stats) -> Ending {
        self.desk.report(Report::Tally(self.crew.books.close(now, stats)));
        Ending { effort: Effort { stats, ..self.watch.effort }, parts: self.parts }
    }
}
