//! The state of a session (3.1.2.4) and the table of a worker's sessions.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::address::{Address, SessionKey};
use super::outgoing::Outgoing;
use super::route::Route;
use crate::clock::Nanos;
use crate::engine::Conn;
use crate::wire::{PacketId, QoS};

/// What the broker knows about a client, connected or not. What a client does not use costs it a null
/// pointer: most sessions have one subscription, or only publish.
#[derive(Default)]
pub(super) struct Session {
    pub conn: Option<Conn>,
    /// Outlives its connection (clean session 0, or a session expiry interval).
    pub persistent: bool,

    /// Name in the directory; without one the server chose it and nobody can ask for it.
    pub client_id: Option<Arc<str>>,
    /// Filters subscribed to; their granted QoS is in the subscription table.
    pub filters: Vec<Arc<str>>,
    pub will: Option<Box<Will>>,
    pub outgoing: Option<Box<Outgoing>>,
    /// QoS 2 messages taken in whose PUBREL has not come.
    pub unreleased: Option<Box<PacketIds>>,
    /// Where the client published last.
    pub route: Option<Box<Route>>,
    pub waiting: Option<Box<Waiting>>,
    /// Of a client that speaks 5.
    pub five: Option<Box<Five>>,
}

/// What only a client of 5 can ask for.
pub(super) struct Five {
    /// How long the session outlives its connection; `Nanos::MAX` is for ever.
    pub expiry: Nanos,
    /// When it is over, while there is no connection.
    pub expires: Nanos,
    /// Messages in flight that the client takes at a time.
    pub receive_max: u16,
    /// Topics that it has given aliases to on this connection, from alias 1 on.
    pub aliases: Vec<Option<Box<str>>>,
}

/// Message to be published when the client vanishes (3.1.2.5).
pub(super) struct Will {
    pub topic: Box<str>,
    pub payload: Box<[u8]>,
    pub qos: QoS,
    pub retain: bool,
}

/// A session whose state is on its way from another worker. Its client has no CONNACK yet.
#[derive(Default)]
pub(super) struct Waiting {
    /// Whole packets that the client has sent already, which it may [MQTT-3.1.4-5].
    pub packets: Vec<u8>,
    /// Where the state is to go on to, for the client has moved again.
    pub next: Option<Next>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Heir(Address),
    Discard,
}

/// A set of packet identifiers, as small as what is in it.
pub(super) type PacketIds = HashSet<PacketId, BuildHasherDefault<PacketIdHasher>>;

/// Packet identifiers come from the client one after the other: spreading them is all that is needed.
/// A client that chooses them badly slows down itself only, and there are 65,535 at most.
#[derive(Default)]
pub(super) struct PacketIdHasher(u64);

impl Hasher for PacketIdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u16(u16::from(*byte));
        }
    }

    fn write_u16(&mut self, id: u16) {
        // 2^64 / golden ratio: neighbours get far apart in the upper bits, which the table uses as tags.
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(20);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Session {
    /// Messages in flight that its client takes at a time.
    pub(super) fn receive_max(&self) -> u16 {
        self.five.as_ref().map_or(u16::MAX, |five| five.receive_max)
    }

    /// Whether it has outlived its connection for too long.
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        self.conn.is_none() && self.five.as_ref().is_some_and(|five| five.expires <= now)
    }

    /// Lets go of what is empty and can be made again, once the client has been silent for a while.
    pub(super) fn trim(&mut self) {
        self.route = None;
        self.outgoing.take_if(|outgoing| outgoing.is_idle());
        self.unreleased.take_if(|ids| ids.is_empty());
    }
}

/// A worker's sessions by key.
#[derive(Default)]
pub(super) struct Sessions {
    places: Vec<Place>,
    vacant: Vec<u32>,
}

#[derive(Default)]
struct Place {
    generation: u32,
    session: Option<Session>,
}

impl Sessions {
    pub(super) fn insert(&mut self, session: Session) -> SessionKey {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("a worker has fewer than 2^32 sessions")
        });
        let place = &mut self.places[index as usize];
        assert!(place.session.is_none(), "a vacant place has no session");
        place.session = Some(session);
        SessionKey { index, generation: place.generation }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation == key.generation { place.session.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        self.get_mut(key)?;
        let place = &mut self.places[key.index as usize];
        place.generation = place.generation.wrapping_add(1);
        self.vacant.push(key.index);
        place.session.take()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.vacant.len()
    }
}
