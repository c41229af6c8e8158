//! What a client acts on.

use super::shared::Shared;
use crate::clock::Nanos;
use crate::crew::{After, Crew, Place, Step};
use crate::engine::Link;
use crate::wire::QoS;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

/// What a client goes on from, beside what its broker says. The later ones come at a time that was set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Prompt {
    /// Its own subscription stands.
    Subscribed,
    /// What was asked for apart is answered, whatever the broker says to it.
    Answered,
    /// All that has arrived was heard, or there may be room for messages again.
    Heard,
    /// Its session is being kept while it is away: whoever fills it may begin.
    Away,
    /// Everybody that publishers wait for is ready.
    Ready,
    /// Something that all workers share may have changed.
    Look,
    /// Everybody is to stop.
    Stop,
    /// A publisher joins the run,
    Join,
    /// or leaves it.
    Leave,
    /// It has published for as long as it was to.
    TimeUp,
    /// Its request has had time enough for an answer.
    Unanswered,
    /// A slow consumer reads on.
    Resume,
    /// A listener has heard nothing for long.
    Quiet,
    /// A listener's time is up.
    Duration,
    /// The time that a stop leaves is over, for everybody.
    Hurry,
}

/// The wall clock in nanoseconds since 1970 when a message was written: what its stamp says, whenever it is made
/// again.
pub type Wall = u64;

/// What the clients of a worker have in common, beside their crew.
#[derive(Default)]
pub struct Common {
    /// Times that were set: one heap for all, because a fleet is thousands of clients and not a million.
    pub alarms: BinaryHeap<Reverse<(Nanos, Prompt, Place)>>,
    /// Publishers with a message to come, by the time it is due.
    pub due: BinaryHeap<Reverse<(Nanos, Place)>>,
    /// Those that have had their turn in a pass and have more to send.
    pub unfinished: VecDeque<Place>,
    /// Clients that publishers wait for, until they are subscribed or done.
    pub awaited: BTreeSet<Place>,
    /// The wall clock at a reading of the process clock.
    pub wall: (Nanos, Wall),
    /// The run is being ended.
    pub stopped: bool,
    /// The message being written: its topic,
    pub topic: String,
    /// and its payload.
    pub payload: Vec<u8>,
}

/// A client, and everything around it for as long as something happens to it.
pub struct Scene<'a, L> {
    pub link: &'a mut L,
    pub place: Place,
    pub crew: &'a mut Crew<Wall>,
    pub shared: &'a Shared,
    pub common: &'a mut Common,
}

impl<L: Link> Scene<'_, L> {
    /// When the pass began.
    pub fn now(&self) -> Nanos {
        self.link.now()
    }

    /// The wall clock, read once for each pass.
    pub fn unix_ns(&mut self) -> Wall {
        let (at, wall) = &mut self.common.wall;
        if *at != self.link.now() {
            (*at, *wall) = (self.link.now(), self.link.unix_ns());
        }
        *wall
    }

    /// What it is doing.
    pub fn step(&self) -> Step {
        self.crew.step(self.place)
    }

    /// Takes leave; see [`Crew::leave`].
    pub fn leave(&mut self, after: After) {
        self.crew.leave(self.link, self.place, after);
    }

    /// Publishers need not wait for it any more; false when they did not.
    pub fn ready(&mut self) -> bool {
        let awaited = self.common.awaited.remove(&self.place);
        if awaited {
            self.shared.ready();
        }
        awaited
    }

    /// It is down, and stays so.
    pub fn finish(&mut self) {
        self.crew.finish(self.link.now(), self.place);
        self.ready();
    }

    /// Writes SUBSCRIBE; should that be impossible, the connection is given up.
    pub fn subscribe<'f>(&mut self, filters: impl IntoIterator<Item = (&'f str, QoS)>) {
        let five = &self.shared.spec.connection.five;
        let filters = filters.into_iter().map(|(filter, qos)| (filter, five.options(qos)));
        if let Err(error) = self.crew.subscribe(self.link, self.place, filters) {
            let trouble = format!("SUBSCRIBE could not be written: {error}");
            self.crew.give_up(self.link, self.place, trouble);
        }
    }

    /// Something is to happen to it at `time`.
    pub fn alarm(&mut self, time: Nanos, prompt: Prompt) {
        self.common.alarms.push(Reverse((time, prompt, self.place)));
    }
}
