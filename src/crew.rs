//! The clients of one worker, sans-IO: how they get connected, stay so, and leave.
//!
//! A [`Crew`] is what all workloads have in common. Its owner, an [`App`](crate::engine::App), hands it what the
//! link reports (`handle_*`, [`Crew::next`]), asks it in every pass what has come due (`poll_*`), and hears of
//! everything that its own script may depend on as [`News`]. What clients say to each other, and what their
//! figures are, is the owner's business; the life of a connection, its deadlines, and the accounts of messages
//! sent and acknowledged are here.

mod books;
mod connection;
mod deadlines;
mod dialling;
mod effort;
mod identities;
mod inbox;
mod keeping;
mod leaving;
mod life;
mod sending;
#[cfg(test)]
pub(crate) mod sim;

pub use books::{Books, Written};
pub use connection::{Connection, Credentials, Will};
pub use effort::{Effort, Watch, generator, throughput};
pub use identities::{Field, Identities, Packing, TooMuchText};
pub use inbox::Inbox;
pub use sending::Pen;

use crate::client::{Client, Limits};
use crate::clock::{Nanos, SECOND};
use crate::engine::{Conn, Endpoint, Link, Route};
use crate::wire::QoS;
use deadlines::Fifo;
use dialling::Dialling;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// A client among those of its worker, from 0. Which connection of the link is its own is decided here alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place(pub u32);

impl Place {
    /// Whose connection `conn` is.
    #[inline]
    pub fn of(conn: Conn) -> Place {
        Place(conn.0)
    }

    /// Its connection.
    #[inline]
    pub fn conn(self) -> Conn {
        Conn(self.0)
    }

    /// Its place in a list of all.
    #[inline]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// What a message's acknowledgement brings back. Times are of the process clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token<M = ()> {
    /// Its number among the messages of its client.
    pub sequence: u64,
    /// When it was meant to be sent.
    pub intended: Nanos,
    /// When the pass began in which it was written.
    pub sent: Nanos,
    /// What else its owner wants back.
    pub more: M,
}

/// What a client is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Not connected: not tried yet, or waiting to try again, or away.
    Down,
    /// Waiting for the transport,
    Dialling,
    /// for CONNACK,
    Connecting,
    /// or for SUBACK.
    Subscribing,
    /// Connected, and nothing of this list outstanding.
    Up,
    /// Waiting for UNSUBACK.
    Unsubscribing,
    /// DISCONNECT is written, or the connection is being torn down.
    Leaving(After),
    /// Never to connect again.
    Done,
}

/// What follows the end of a connection that was meant to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// Nothing.
    Done,
    /// Another connection, at once.
    Again,
    /// Nothing until its owner calls it.
    Away,
    /// Another attempt: this one has failed.
    Retry,
    /// Nothing: no attempt is left.
    Spent,
}

/// What happened to a client, for its owner to go on from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Its connection has ended, or an attempt at one, and it is [`Step::Down`]. The owner calls [`Crew::retry`],
    /// [`Crew::call`] or [`Crew::finish`].
    Down {
        /// Who.
        place: Place,
        /// What it was doing.
        was: Step,
        /// Why.
        end: End,
        /// Bytes that the kernel took and the broker's had not acknowledged: the last ones, of worth to whoever has
        /// published at QoS 0 what nobody hears.
        unacked: usize,
    },
    /// SUBSCRIBE, or UNSUBSCRIBE of one that goes on, was not answered in time; in words. The client is still connected.
    NoSubAck(Place, String),
    /// Messages were given up: its window may have room.
    Room(Place),
}

/// Why a client is down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It has left, as it was to. `read`: the broker has closed the connection after all of it had arrived, and so has
    /// read DISCONNECT.
    Left {
        /// What is to follow.
        after: After,
        /// See above.
        read: bool,
    },
    /// An attempt has failed, or the connection was lost; it may try again.
    Failed,
    /// The same, and no attempt is left: why, in words.
    Spent(String),
}

/// What holds for all clients of a worker.
pub struct Terms {
    /// Which worker of how many.
    pub worker: u32,
    /// How many there are.
    pub workers: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Longest wait for the transport, for CONNACK and for SUBACK.
    pub timeout: Nanos,
    /// Connections a second over all workers.
    pub rate_per_s: Option<f64>,
    /// Attempts at the first connection; 0 is unlimited.
    pub attempts: u32,
    /// Whether a lost connection is established again,
    pub reconnect: bool,
    /// and by how many attempts in a row; 0 is unlimited.
    pub reconnect_attempts: u32,
    /// Longest wait for an acknowledgement.
    pub ack_timeout: Nanos,
    /// Largest packet accepted from a broker, in bytes.
    pub max_packet: usize,
    /// What part client `index` of the run plays, in words.
    pub part: Box<dyn Fn(u32) -> &'static str>,
    /// Kinds of clients, by what they may do.
    pub limits: Vec<Limits>,
    /// When the run began, on the process clock.
    pub epoch: Nanos,
}

impl Terms {
    /// Of a worker whose clients connect by `connection`, all of one kind.
    pub fn new(connection: &Connection, worker: usize, workers: usize, epoch: Nanos) -> Terms {
        Terms {
            worker: worker as u32,
            workers: workers as u32,
            seed: 0,
            timeout: connection.timeout,
            rate_per_s: connection.rate_per_s,
            attempts: connection.attempts,
            reconnect: connection.reconnect,
            reconnect_attempts: connection.reconnect_attempts,
            ack_timeout: 30 * SECOND,
            max_packet: 1 << 20,
            part: Box::new(|_| "client"),
            limits: vec![connection.limits(u16::MAX)],
            epoch,
        }
    }
}

/// A client is looked at this many times within a keepalive or an acknowledgement timeout.
const LOOKS: Nanos = 4;
/// How long a broker has to close its side after DISCONNECT, or to answer UNSUBSCRIBE.
const LEAVE: Nanos = SECOND;

/// One client. 80 bytes, because there may be a million.
struct Member<M> {
    client: Client<Token<M>>,
    /// When the step under way began.
    since: Nanos,
    /// Failed attempts in a row; a connection that ended at once is one.
    failures: u32,
    step: Step,
    /// Which of [`Terms::limits`] are its own.
    kind: u8,
    flags: u8,
}

/// It has been connected before.
const ESTABLISHED: u8 = 1;
/// Its last connection was lost.
const LOST: u8 = 2;
/// It is in the queue of those with acknowledgements to come.
const WATCHED: u8 = 4;
/// It is in the queue of those with a keepalive.
const KEPT: u8 = 8;
/// It receives nothing for now.
const HELD: u8 = 16;
/// Its connection is being torn down.
const TORN: u8 = 32;
/// It has subscribed, and has no answer.
const ASKED: u8 = 64;
/// It goes on after UNSUBACK.
const STAYS: u8 = 128;

impl<M> Member<M> {
    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sets or takes back `flag`; answers whether it was set.
    fn set(&mut self, flag: u8, set: bool) -> bool {
        let was = self.is(flag);
        self.flags = if set { self.flags | flag } else { self.flags & !flag };
        was
    }

    /// Whether CONNACK has come and nothing has ended the connection since.
    fn is_online(&self) -> bool {
        matches!(self.step, Step::Up | Step::Subscribing | Step::Unsubscribing)
    }
}

/// The clients of one worker. `M` is what their owner wants back with each acknowledgement, beside the times.
pub struct Crew<M> {
    terms: Terms,
    /// Index of each client among all of the run.
    indices: Arc<Vec<u32>>,
    /// The way to the broker of client `index`.
    routes: Box<dyn Fn(u32) -> Route>,
    members: Vec<Member<M>>,
    dialling: Dialling,
    /// Steps of connecting that may take too long,
    steps: Fifo,
    /// and steps of leaving.
    leaving: Fifo,
    /// Clients with a keepalive, by their kind.
    keepalives: Vec<Fifo>,
    /// Clients with messages in flight.
    acks: Fifo,
    /// What clients did.
    pub books: Books,
    news: VecDeque<News>,
    /// Why clients whose connection is being torn down are spent.
    reasons: BTreeMap<Place, String>,
    /// What was written in this pass, what it is not known of whether the kernel has taken it, and what the kernel
    /// has not taken for lack of room.
    written: Vec<Written<M>>,
    unsettled: Vec<Written<M>>,
    stuck: BTreeMap<Place, Vec<Written<M>>>,
    /// Somebody has published at QoS 0.
    unanswered: bool,
    /// Of whom it is known how many messages the kernel has taken, and which it will never take.
    settled: Vec<(Place, u64, Range<u64>)>,
    /// Bytes of answers to those whose connection has had no room since.
    answers: BTreeMap<Place, usize>,
    /// Answers are written here before it is certain that there are any.
    scratch: Vec<u8>,
    /// There is no time left for waiting.
    hurried: bool,
    /// Somebody has waited in vain for the broker to close.
    kept_waiting: bool,
}

impl<M: Copy> Crew<M> {
    /// Clients `indices` of a run, with the kind of each.
    pub fn new(
        terms: Terms,
        indices: Arc<Vec<u32>>,
        kind: impl Fn(u32) -> u8,
        routes: Box<dyn Fn(u32) -> Route>,
        now: Nanos,
    ) -> Crew<M> {
        let member = |index: &u32| Member {
            client: Client::new(),
            since: 0,
            failures: 0,
            step: Step::Down,
            kind: kind(*index),
            flags: 0,
        };
        let members: Vec<Member<M>> = indices.iter().map(member).collect();
        let kept = |kind: usize| members.iter().filter(|member| usize::from(member.kind) == kind).count();
        // A third of what makes a client ping: the ping must not wait for the look after.
        let keepalives = terms.limits.iter().enumerate().map(|(kind, limits)| {
            let delay = limits.keep_alive / (LOOKS - 1);
            Fifo::new(delay, if delay > 0 { kept(kind) } else { 0 })
        });
        Crew {
            keepalives: keepalives.collect(),
            dialling: Dialling::new(&terms, now),
            steps: Fifo::new(terms.timeout, 0),
            leaving: Fifo::new(LEAVE, 0),
            acks: Fifo::new((terms.ack_timeout / LOOKS).max(1), 0),
            books: Books::new(terms.epoch, now),
            news: VecDeque::new(),
            reasons: BTreeMap::new(),
            written: Vec::new(),
            unsettled: Vec::new(),
            stuck: BTreeMap::new(),
            unanswered: false,
            settled: Vec::new(),
            answers: BTreeMap::new(),
            scratch: Vec::new(),
            hurried: false,
            kept_waiting: false,
            members,
            indices,
            routes,
            terms,
        }
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Clients of this worker that may wait for an answer at a time, so that its time is the broker's.
    pub fn at_once(&self) -> usize {
        self.dialling.at_once
    }

    /// All clients.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<M> {
        (0..self.members.len() as u32).map(Place)
    }

    /// What a client is doing.
    #[inline]
    pub fn step(&self, place: Place) -> Step {
        self.members[place.at()].step
    }

    /// Whether a client has ever been connected.
    pub fn was_established(&self, place: Place) -> bool {
        self.members[place.at()].is(ESTABLISHED)
    }

    /// A client's protocol state.
    #[inline]
    pub fn client(&self, place: Place) -> &Client<Token<M>> {
        &self.members[place.at()].client
    }

    /// What a client may do.
    #[inline]
    pub fn limits(&self, place: Place) -> &Limits {
        &self.terms.limits[usize::from(self.members[place.at()].kind)]
    }

    /// Messages that a client has room for now: none unless it is [`Step::Up`] and the kernel takes its bytes.
    #[inline]
    pub fn room<L: Link>(&self, link: &L, place: Place, qos: QoS) -> usize {
        let member = &self.members[place.at()];
        match member.step {
            Step::Up if !link.blocked(place.conn()) => member.client.room(qos, self.limits(place)),
            _ => 0,
        }
    }

    /// A client's index among all of the run.
    pub fn index(&self, place: Place) -> u32 {
        self.indices[place.at()]
    }

    /// A client's broker.
    pub fn remote(&self, place: Place) -> Endpoint {
        (self.routes)(self.index(place)).remote
    }

    /// What happened since the last call, in its order.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_costs_80_bytes() {
        assert_eq!(size_of::<Member<()>>(), 80);
        assert_eq!(size_of::<Member<u64>>(), 80);
    }
}
