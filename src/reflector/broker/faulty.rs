//! A broker that plays a script: sound but for what its rules say. The broker proper knows three doors of it: bytes
//! that have come ([`gate`]), messages that are routed ([`deliveries`]), and the end of a pass ([`times`]).
//!
//! There is one worker then, so that what is counted over all clients has one order.

mod deliveries;
mod gate;
mod packets;
mod times;

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Broker, Phase};
use crate::clock::Nanos;
use crate::engine::{Conn, Link};
use crate::reflector::address::SessionKey;
use crate::script::{
    Account, Bucket, Decision, Deed, Ending, Event, Moment, On, Play, Script, Service, Who, Zero,
};
use deliveries::{Parcel, Pending};

/// Events that wait to be taken at most; what there is no room for is in the account all the same.
const MOST_EVENTS: usize = 1 << 20;

/// Why a connection is not read from: bits of [`Side::holds`].
type Hold = u8;
/// The script says so.
const DEAF: Hold = 1;
/// It has read as much as it may for now.
const PACE: Hold = 2;
/// The broker stands still.
const STALL: Hold = 4;
/// Too much waits for its turn.
const FULL: Hold = 8;

/// The broker's end of a connection.
#[derive(Default)]
struct Side {
    /// No other connection has or had it; 0 is none.
    number: u64,
    /// Client id, from CONNECT on.
    client: Option<String>,
    /// What has come, and how much of it was handled.
    unread: Vec<u8>,
    handled: usize,
    /// It is in one of the queues.
    waits: bool,
    /// Its CONNACK is not written, and what is behind CONNECT waits.
    greeting: bool,
    holds: Hold,
    /// When the last answer to each kind of packet leaves: what is of one kind keeps its order, however late.
    lanes: [Nanos; 16],
    /// Up to when its pace is used up.
    paced: Nanos,
}

/// What was put off.
enum Later {
    /// Bytes for a client, with so many acknowledgements in them; after CONNACK its packets are handled again.
    Write { conn: Conn, number: u64, bytes: Vec<u8>, acks: u64, greets: bool },
    /// A delivery.
    Deliver(Parcel),
    /// What waited in vain to be overtaken.
    Release { key: SessionKey, number: u64 },
    /// Read again.
    Hear { conn: Conn, number: u64, hold: Hold },
}

/// What there is to a script beside the broker.
pub(super) struct Faulty {
    seed: u64,
    play: Play,
    service: Option<Service>,
    bucket: Option<Bucket>,
    read_per_s: Option<u64>,
    zero: Zero,
    /// When that was.
    began: Option<Nanos>,
    moments: Vec<Moment>,
    /// When which of them come, and how often each has.
    timetable: BTreeMap<(Nanos, usize), u64>,
    sides: Vec<Side>,
    /// Numbers given to connections, and to what was put off.
    numbers: u64,
    /// Connections whose packets can be handled; those whose next one is rationed and waits for its turn.
    ready: VecDeque<Conn>,
    queued: VecDeque<Conn>,
    /// The end of the standstill.
    stalled: Option<Nanos>,
    later: BTreeMap<(Nanos, u64), Later>,
    /// Whose message is being routed.
    publisher: Option<SessionKey>,
    /// Whoever has subscribed, in that order.
    subscribers: Vec<SessionKey>,
    pending: HashMap<SessionKey, Pending>,
    pub account: Account,
    pub events: Vec<Event>,
}

impl Faulty {
    pub(super) fn new(script: Script) -> Faulty {
        Faulty {
            seed: script.seed,
            play: Play::new(script.seed, script.rules),
            service: script.service,
            bucket: script.service.map(Bucket::new),
            read_per_s: script.read_per_s,
            zero: script.zero,
            began: None,
            moments: script.moments,
            timetable: BTreeMap::new(),
            sides: Vec::new(),
            numbers: 0,
            ready: VecDeque::new(),
            queued: VecDeque::new(),
            stalled: None,
            later: BTreeMap::new(),
            publisher: None,
            subscribers: Vec::new(),
            pending: HashMap::new(),
            account: Account::default(),
            events: Vec::new(),
        }
    }

    fn side(&mut self, conn: Conn) -> &mut Side {
        &mut self.sides[conn.0 as usize]
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn put_off(&mut self, time: Nanos, later: Later) {
        let number = self.number();
        self.later.insert((time, number), later);
    }

    fn decide(&mut self, on: On, client: Option<&str>, connection: u64) -> Decision {
        let mut decision = Decision::default();
        self.play.decide(on, Who { client, connection }, &mut decision);
        decision
    }

    /// Something was done to a client, perhaps with a message.
    fn note(&mut self, now: Nanos, did: Deed, client: Option<&str>, topic: Option<&str>) {
        self.account.note(did);
        if self.events.len() < MOST_EVENTS {
            let at_ns = self.began.map_or(0, |began| now.saturating_sub(began));
            let [client, topic] = [client, topic].map(|text| text.map(str::to_owned));
            self.events.push(Event { at_ns, did, client, topic });
        }
    }

    fn note_at(&mut self, now: Nanos, did: Deed, conn: Conn) {
        let client = self.side(conn).client.clone();
        self.note(now, did, client.as_deref(), None);
    }
}

impl Broker {
    /// Plays `script` from now on: before anybody has connected.
    pub(in crate::reflector) fn with_script(mut self, script: Script) -> Broker {
        self.faulty = Some(Box::new(Faulty::new(script)));
        self
    }

    fn faulty(&mut self) -> &mut Faulty {
        self.faulty.as_mut().expect("a script is being played")
    }

    /// What has been done since somebody asked last; `None` without a script, or when it was nothing.
    pub(in crate::reflector) fn take_deeds(&mut self) -> Option<(&Account, Vec<Event>)> {
        let faulty = self.faulty.as_mut()?;
        let events = std::mem::take(&mut faulty.events);
        Some((&faulty.account, events))
    }

    fn hold<L: Link>(&mut self, link: &mut L, conn: Conn, hold: Hold) {
        let side = self.faulty().side(conn);
        if side.holds == 0 {
            link.hold(conn);
        }
        side.holds |= hold;
    }

    fn let_go<L: Link>(&mut self, link: &mut L, conn: Conn, hold: Hold) {
        let side = self.faulty().side(conn);
        let holds = side.holds & !hold;
        if side.holds != 0 && holds == 0 {
            link.resume(conn);
        }
        side.holds = holds;
    }

    /// What a decision has for the connection, and for the broker, once the packet is answered.
    fn conclude<L: Link>(&mut self, link: &mut L, conn: Conn, decision: &Decision) {
        let now = link.now();
        if let Some(pause) = decision.stall {
            self.stall(now, pause);
        }
        let Some(end) = decision.end else { return };
        if !matches!(self.connection(conn).phase, Phase::New | Phase::Open) {
            return;
        }
        match end {
            Ending::Close => {
                self.faulty().note_at(now, Deed::Closed, conn);
                self.end(link, conn, super::Ending::Closed);
            }
            Ending::Reset => {
                self.faulty().note_at(now, Deed::Reset, conn);
                self.end(link, conn, super::Ending::Reset);
            }
            Ending::Deaf(pause) => {
                self.faulty().note_at(now, Deed::Deafened, conn);
                self.hold(link, conn, DEAF);
                if let Some(pause) = pause {
                    let number = self.faulty().side(conn).number;
                    self.faulty().put_off(now + pause, Later::Hear { conn, number, hold: DEAF });
                }
            }
            Ending::HalfClose => unreachable!("no script in a file closes a connection by half"),
        }
    }

    fn stall(&mut self, now: Nanos, pause: Option<Nanos>) {
        let faulty = self.faulty();
        faulty.note(now, Deed::Stalled, None, None);
        let until = pause.map_or(Nanos::MAX, |pause| now.saturating_add(pause));
        faulty.stalled = Some(faulty.stalled.map_or(until, |earlier| earlier.max(until)));
    }
}
