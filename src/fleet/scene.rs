//! What a part of a script acts on.

use super::shared::Shared;
use crate::clock::Nanos;
use crate::crew::{After, Crew, Link, Place, Step};
use crate::wire::QoS;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Times that a script has set: one heap for all, because a fleet is thousands of clients and not a million.
pub type Alarms = BinaryHeap<Reverse<(Nanos, Alarm, Place)>>;

/// What happens at a time that was set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Alarm {
    /// A publisher joins the run,
    Join,
    /// or leaves it.
    Leave,
    /// It has published for as long as it was to.
    TimeUp,
    /// Its request has had time enough for an answer.
    Answer,
    /// A slow consumer reads on.
    Resume,
    /// A listener has heard nothing for long.
    Quiet,
    /// A listener's time is up.
    Duration,
    /// The end of the time that an interrupt leaves; of nobody in particular.
    Hurry,
}

/// The wall clock in nanoseconds since 1970 when a message was written: what its stamp says, whenever it is made
/// again.
pub type Wall = u64;

/// Everything around a client for as long as something happens to it.
pub struct Scene<'a, L> {
    pub link: &'a mut L,
    pub crew: &'a mut Crew<Wall>,
    pub shared: &'a Shared,
    pub alarms: &'a mut Alarms,
    /// The wall clock at a reading of the process clock.
    pub wall: &'a mut (Nanos, Wall),
    /// The run is being ended.
    pub stopped: bool,
}

impl<L: Link> Scene<'_, L> {
    /// When the pass began.
    pub fn now(&self) -> Nanos {
        self.link.now()
    }

    /// The wall clock, read once for each pass.
    pub fn unix_ns(&mut self) -> Wall {
        if self.wall.0 != self.link.now() {
            *self.wall = (self.link.now(), self.link.unix_ns());
        }
        self.wall.1
    }

    /// Writes SUBSCRIBE; should that be impossible, the connection is given up.
    pub fn subscribe<'f>(&mut self, place: Place, filters: impl Iterator<Item = (&'f str, QoS)>) {
        if let Err(error) = self.crew.subscribe(self.link, place, filters) {
            self.crew.give_up(self.link, place, format!("SUBSCRIBE could not be written: {error}"));
        }
    }

    /// A client that is away, or about to be, connects again.
    pub fn come_back(&mut self, place: Place) {
        match self.crew.step(place) {
            Step::Down => self.crew.call(place),
            _ => self.crew.leave(self.link, place, After::Again),
        }
    }

    /// Something is to happen to `place` at `time`.
    pub fn alarm(&mut self, time: Nanos, alarm: Alarm, place: Place) {
        self.alarms.push(Reverse((time, alarm, place)));
    }
}
