//! The network: connections between workers and the peer, with latency, packets and windows.

use super::carried::Carried;
use super::dice::{Dice, Span};
use super::events::{End, Event, Events};
use super::pipe::Pipe;
use super::truth::{Mark, Truth};
use crate::clock::{Nanos, SECOND};
use crate::engine::Conn;
use crate::transport::Acceptor;
use std::collections::VecDeque;
use std::sync::Arc;

/// What the network is like.
#[derive(Clone, Debug)]
pub struct Network {
    /// One way, per connection.
    pub latency: Span,
    /// What comes on top of it, per packet.
    pub jitter: Span,
    /// How often what is written at a time is split into another packet, at any byte.
    pub split: f64,
    /// Bytes in flight and unread in each direction, per connection.
    pub window: Span,
    /// Time between two connections that the peer accepts.
    pub accept: Span,
    /// Connections that wait to be accepted; when there are more, SYNs are lost, and repeated after a second.
    pub backlog: usize,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            latency: 20_000..=200_000,
            jitter: 0..=50_000,
            split: 0.1,
            window: 16 * 1024..=256 * 1024,
            accept: 1_000..=30_000,
            backlog: 4096,
        }
    }
}

impl Network {
    /// The same for all, all the time: latency as given, nothing split, large windows.
    pub fn plain(latency: Nanos) -> Network {
        Network {
            latency: latency..=latency,
            jitter: 0..=0,
            split: 0.0,
            window: 1 << 20..=1 << 20,
            accept: 0..=0,
            backlog: usize::MAX,
        }
    }
}

/// A connection's name: one that is gone is known by its generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub index: u32,
    pub generation: u32,
}

impl Key {
    /// No connection.
    pub const NONE: Key = Key { index: u32::MAX, generation: 0 };
}

/// A connection with both its ends.
pub struct Pair {
    generation: u32,
    pub worker: u32,
    pub conn: Conn,
    /// Of the client's slot: tells its connections from each other.
    pub slot_generation: u32,
    /// Index of [`Truth::connections`].
    pub record: usize,
    latency: Nanos,
    /// Of one that is carried by a transport.
    pub carried: Option<Box<Carried>>,
    pub up: Pipe,
    pub down: Pipe,
    /// Where in the stream to the peer the kernel's bytes ended, and when it took them.
    leaves: VecDeque<(u64, Nanos)>,
    /// What lies where in the stream to the client.
    marks: VecDeque<(u64, Mark)>,
    /// Bytes that the peer has written, those in `backlog` included.
    written: u64,
    /// What the peer has written and its kernel has not taken.
    backlog: Vec<u8>,
    /// The client's socket exists.
    pub client_open: bool,
    /// The peer's socket exists.
    pub peer_open: bool,
    /// The peer will send no more.
    pub peer_shut: bool,
    /// The client has learnt of a reset: sending fails.
    pub reset: bool,
    /// The peer has reset the connection: what is in flight is lost.
    pub lost: bool,
}

/// All connections.
pub struct Net {
    pub now: Nanos,
    pub events: Events,
    pub truth: Truth,
    pub network: Network,
    transport: Option<Arc<Acceptor>>,
    pairs: Vec<Pair>,
    free: Vec<u32>,
    dice: Dice,
    /// The largest sum of what the peer has written and its kernel has not taken, for one connection.
    pub most_backlog: usize,
}

impl Net {
    pub fn new(network: Network, transport: Option<Arc<Acceptor>>, seed: u64, start: Nanos) -> Net {
        Net {
            now: start,
            events: Events::default(),
            truth: Truth::default(),
            network,
            transport,
            pairs: Vec::new(),
            free: Vec::new(),
            dice: Dice::new(seed, "sim network", 0),
            most_backlog: 0,
        }
    }

    /// The connection, unless it is gone.
    pub fn get(&self, key: Key) -> Option<&Pair> {
        self.pairs.get(key.index as usize).filter(|pair| pair.generation == key.generation)
    }

    /// The connection, unless it is gone.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Pair> {
        self.pairs.get_mut(key.index as usize).filter(|pair| pair.generation == key.generation)
    }

    /// A SYN leaves at `time`.
    pub fn dial(&mut self, worker: u32, conn: Conn, slot_generation: u32, time: Nanos) -> Key {
        let record = self.truth.dialled(worker, conn, time);
        let latency = self.dice.within(&self.network.latency);
        let up = Pipe::new(self.dice.within(&self.network.window) as usize);
        let down = Pipe::new(self.dice.within(&self.network.window) as usize);
        let index = self.free.pop().unwrap_or(self.pairs.len() as u32);
        let generation = self.pairs.get(index as usize).map_or(0, |pair| pair.generation);
        let pair = Pair {
            generation,
            worker,
            conn,
            slot_generation,
            record,
            latency,
            carried: None,
            up,
            down,
            leaves: VecDeque::new(),
            marks: VecDeque::new(),
            written: 0,
            backlog: Vec::new(),
            client_open: true,
            peer_open: false,
            peer_shut: false,
            reset: false,
            lost: false,
        };
        match self.pairs.get_mut(index as usize) {
            Some(free) => *free = pair,
            None => self.pairs.push(pair),
        }
        let key = Key { index, generation };
        self.events.at(time + latency, Event::Syn(key, 0));
        key
    }

    /// The peer's kernel answers a SYN: 0, or an errno.
    pub fn answer(&mut self, key: Key, errno: i32) {
        let now = self.now;
        let channel = self.transport.as_ref().map(|acceptor| acceptor.channel().expect("a server"));
        let Some(pair) = self.get_mut(key) else { return };
        pair.peer_open = errno == 0;
        pair.carried = channel.map(|channel| Box::new(Carried::new(channel)));
        let time = now + pair.latency;
        self.events.at(time, Event::Connected(key, errno));
    }

    /// The peer's kernel says nothing to a SYN; it is repeated until the client's kernel gives up.
    pub fn lose_syn(&mut self, key: Key, attempt: u8) {
        const ATTEMPTS: u8 = 6;
        let wait = SECOND << attempt;
        let event = match attempt {
            ATTEMPTS.. => Event::Connected(key, libc::ETIMEDOUT),
            _ => Event::Syn(key, attempt + 1),
        };
        self.events.at(self.now + wait, event);
    }

    /// The client writes at `time`: so many bytes the kernel takes. An errno when the connection is reset.
    pub fn send(&mut self, key: Key, bytes: &[u8], time: Nanos) -> Result<usize, i32> {
        let index = key.index as usize;
        let pair = &mut self.pairs[index];
        if pair.reset {
            return Err(libc::EPIPE);
        }
        let taken = pair.up.take(bytes);
        pair.up.waiting = taken < bytes.len();
        if taken > 0 {
            pair.leaves.push_back((pair.up.taken, time));
            self.truth.connections[pair.record].taken += taken as u64;
            let (pipe, latency) = (&mut pair.up, pair.latency);
            let timing = Timing { time, latency, network: &self.network };
            timing.launch(pipe, taken, &mut self.dice, &mut self.events, Event::UpPiece(key));
        }
        Ok(taken)
    }

    /// The peer says something; nothing as long as a handshake is under way.
    pub fn write(&mut self, key: Key, bytes: &[u8], mark: Option<Mark>) {
        let Some(pair) = self.get_mut(key) else { return };
        match pair.carried.as_mut().map(|carried| carried.seal(bytes)) {
            None => self.put_out(key, bytes, mark),
            Some(None) => {}
            Some(Some(wire)) => self.put_out(key, &wire, mark),
        }
    }

    /// The peer writes; what its kernel does not take it keeps.
    pub fn put_out(&mut self, key: Key, bytes: &[u8], mark: Option<Mark>) {
        let now = self.now;
        let Some(pair) = self.get_mut(key).filter(|pair| pair.peer_open && !pair.peer_shut) else { return };
        pair.written += bytes.len() as u64;
        if let Some(mark) = mark {
            pair.marks.push_back((pair.written, mark));
            self.truth.written(mark, now);
        }
        if !self.pairs[key.index as usize].backlog.is_empty() {
            self.pairs[key.index as usize].backlog.extend_from_slice(bytes);
        } else {
            let taken = self.put(key, bytes);
            if taken < bytes.len() {
                let pair = &mut self.pairs[key.index as usize];
                pair.backlog.extend_from_slice(&bytes[taken..]);
                pair.down.waiting = true;
            }
        }
        self.most_backlog = self.most_backlog.max(self.pairs[key.index as usize].backlog.len());
    }

    /// The client has read: the peer writes what it had kept.
    pub fn pump(&mut self, key: Key) {
        let Some(pair) = self.get_mut(key).filter(|pair| pair.peer_open && !pair.peer_shut) else { return };
        pair.down.waiting = false;
        let backlog = std::mem::take(&mut pair.backlog);
        let taken = self.put(key, &backlog);
        let pair = &mut self.pairs[key.index as usize];
        pair.backlog = backlog;
        pair.backlog.drain(..taken);
        pair.down.waiting = !pair.backlog.is_empty();
    }

    /// Bytes go from the peer to the client, as many as there is room for.
    fn put(&mut self, key: Key, bytes: &[u8]) -> usize {
        let pair = &mut self.pairs[key.index as usize];
        let taken = pair.down.take(bytes);
        if taken > 0 {
            let (pipe, latency) = (&mut pair.down, pair.latency);
            let timing = Timing { time: self.now, latency, network: &self.network };
            timing.launch(pipe, taken, &mut self.dice, &mut self.events, Event::DownPiece(key));
        }
        taken
    }

    /// The peer has read; a client that waits for room hears of it.
    pub fn make_up_room(&mut self, key: Key) {
        let pair = &mut self.pairs[key.index as usize];
        if pair.up.waiting && pair.up.has_room() {
            pair.up.waiting = false;
            self.events.at(self.now + pair.latency, Event::UpRoom(key));
        }
    }

    /// The client has read; a peer that waits for room hears of it.
    pub fn make_down_room(&mut self, key: Key) {
        let pair = &mut self.pairs[key.index as usize];
        if pair.down.waiting && pair.down.has_room() {
            pair.down.waiting = false;
            self.events.at(self.now + pair.latency, Event::DownRoom(key));
        }
    }

    /// The client closes its socket at `time`. Unread bytes make it a reset, as in Linux.
    pub fn close_client(&mut self, key: Key, time: Nanos) {
        let Some(pair) = self.get_mut(key).filter(|pair| pair.client_open) else { return };
        pair.client_open = false;
        let end = if pair.down.unread() > 0 { End::Reset } else { End::Fin };
        let arrival = pair.up.last_arrival.max(time + pair.latency);
        pair.up.last_arrival = arrival;
        let (record, peer_open) = (pair.record, pair.peer_open);
        self.truth.connections[record].closed.get_or_insert(time);
        if peer_open {
            self.events.at(arrival, Event::UpEnd(key, end));
        } else {
            self.release(key);
        }
    }

    /// The peer will send no more, but reads on.
    pub fn shut_peer(&mut self, key: Key) {
        let now = self.now;
        let Some(pair) = self.get_mut(key).filter(|pair| pair.peer_open && !pair.peer_shut) else { return };
        pair.peer_shut = true;
        let arrival = pair.down.last_arrival.max(now + pair.latency);
        pair.down.last_arrival = arrival;
        self.events.at(arrival, Event::DownEnd(key, End::Fin));
    }

    /// The peer closes its socket. A reset loses what is in flight in both directions.
    pub fn close_peer(&mut self, key: Key, end: End) {
        let now = self.now;
        let Some(pair) = self.get_mut(key).filter(|pair| pair.peer_open) else { return };
        if !pair.peer_shut || end == End::Reset {
            pair.peer_shut = true;
            let behind = now + pair.latency;
            let arrival = if end == End::Reset { behind } else { pair.down.last_arrival.max(behind) };
            pair.down.last_arrival = arrival;
            self.events.at(arrival, Event::DownEnd(key, end));
        }
        let pair = &mut self.pairs[key.index as usize];
        pair.peer_open = false;
        pair.lost |= end == End::Reset;
        if !pair.client_open {
            self.release(key);
        }
    }

    /// Bytes have arrived for a peer that has closed its socket: its kernel answers with a reset.
    pub fn close_peer_again(&mut self, key: Key) {
        let latency = self.pairs[key.index as usize].latency;
        self.events.at(self.now + latency, Event::DownEnd(key, End::Reset));
    }

    /// The peer's side is closed too, or never was open: the connection is no more.
    fn release(&mut self, key: Key) {
        let pair = &mut self.pairs[key.index as usize];
        pair.generation = pair.generation.wrapping_add(1);
        (pair.up, pair.down) = (Pipe::default(), Pipe::default());
        (pair.leaves, pair.marks, pair.backlog, pair.carried) = Default::default();
        self.free.push(key.index);
    }

    /// The driver was given `length` bytes more.
    pub fn given(&mut self, key: Key, length: usize, now: Nanos) {
        let pair = &mut self.pairs[key.index as usize];
        let connection = &mut self.truth.connections[pair.record];
        connection.given += length as u64;
        let given = connection.given;
        while let Some((end, mark)) = pair.marks.front().copied().filter(|(end, _)| *end <= given) {
            debug_assert!(end <= given);
            self.truth.given(mark, pair.record, now);
            pair.marks.pop_front();
        }
    }

    /// When the client's kernel had taken the byte before `offset` of the stream to the peer.
    pub fn left(&mut self, key: Key, offset: u64) -> Nanos {
        let leaves = &mut self.pairs[key.index as usize].leaves;
        while leaves.front().is_some_and(|(end, _)| *end < offset) {
            leaves.pop_front();
        }
        leaves.front().expect("what was read has been sent").1
    }

    /// Where what the client's kernel took at a time has ended in the stream to the peer.
    pub fn sends(&self, key: Key) -> impl Iterator<Item = u64> {
        self.get(key).into_iter().flat_map(|pair| pair.leaves.iter().map(|(end, _)| *end))
    }

    /// Every connection that the peer has open.
    pub fn peer_open(&self) -> Vec<Key> {
        let keys = self.pairs.iter().enumerate().filter(|(_, pair)| pair.peer_open);
        keys.map(|(index, pair)| Key { index: index as u32, generation: pair.generation }).collect()
    }
}

/// When packets that leave now arrive.
struct Timing<'a> {
    time: Nanos,
    latency: Nanos,
    network: &'a Network,
}

impl Timing<'_> {
    /// Puts `length` bytes that `pipe` has taken into packets, and those on their way.
    fn launch(&self, pipe: &mut Pipe, length: usize, dice: &mut Dice, events: &mut Events, event: Event) {
        let mut rest = length;
        while rest > 0 {
            let split = rest > 1 && dice.chance(self.network.split);
            let piece = if split { dice.within(&(1..=rest as u64 - 1)) as usize } else { rest };
            rest -= piece;
            pipe.announce(piece);
            let arrival = self.time + self.latency + dice.within(&self.network.jitter);
            pipe.last_arrival = pipe.last_arrival.max(arrival);
            events.at(pipe.last_arrival, event);
        }
    }
}
