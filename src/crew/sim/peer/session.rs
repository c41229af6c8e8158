//! What the peer keeps of a client beyond its connection (4.1).

use crate::crew::sim::net::Key;
use crate::wire::{PacketId, QoS};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Messages that the peer keeps for one client at most; beyond these it drops.
const MOST_OUTBOUND: usize = 60_000;

/// A client's session. There is one for each client id for ever; a session that has ended is empty.
#[derive(Default)]
pub struct Session {
    /// The connection whose CONNACK is written.
    pub online: Option<Key>,
    /// Outlives its connection.
    pub persistent: bool,
    /// The filters it has subscribed to.
    pub filters: BTreeSet<String>,
    /// Messages on their way to the client, oldest first.
    pub outbound: VecDeque<Sending>,
    /// Packet ids of `outbound`.
    ids: BTreeSet<u16>,
    last_id: u16,
    /// QoS 2 messages that the client has not released, by packet id.
    pub inbound: BTreeMap<u16, u32>,
    /// Those that it has released, until their packet ids mean others: it may have to say so again.
    pub released: BTreeMap<u16, u32>,
    /// QoS 1 messages that the client waits for the acknowledgements of, by packet id.
    pub unacked: BTreeSet<u16>,
    /// A delivery that is to be overtaken by the next one: message, QoS, whose.
    pub held: Option<Held>,
    pub will: Option<Will>,
}

/// A message on its way to the client.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    pub id: PacketId,
    pub message: u32,
    /// Its first delivery in the truth.
    pub delivery: u32,
    pub qos: QoS,
    pub retain: bool,
    /// Sent at least once.
    pub sent: bool,
    /// PUBREC is in, PUBCOMP is not.
    pub received: bool,
}

/// A delivery that waits to be overtaken. Its index in the truth.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub delivery: u32,
    pub message: u32,
    pub qos: QoS,
}

/// What to publish when the client vanishes.
#[derive(Clone, Debug)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
}

impl Session {
    /// Puts a message on its way to the client, under a packet id that no other has; `None` when too many are.
    pub fn push(&mut self, message: u32, delivery: u32, qos: QoS, retain: bool) -> Option<PacketId> {
        if self.outbound.len() >= MOST_OUTBOUND {
            return None;
        }
        let id = loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.ids.insert(self.last_id) {
                break PacketId::new(self.last_id).expect("not 0");
            }
        };
        self.outbound.push_back(Sending { id, message, delivery, qos, retain, sent: false, received: false });
        Some(id)
    }

    /// The message at `place` has been seen through.
    pub fn finish(&mut self, place: usize) {
        let sending = self.outbound.remove(place).expect("a place that was found");
        self.ids.remove(&sending.id.get());
    }

    /// The message under `id`.
    pub fn place(&self, id: PacketId) -> Option<usize> {
        self.outbound.iter().position(|sending| sending.id == id)
    }

    /// Forgets everything but the connection.
    pub fn clear(&mut self) {
        let (online, persistent, last_id) = (self.online, self.persistent, self.last_id);
        *self = Session { online, persistent, last_id, ..Session::default() };
    }
}
