//! The broker of a simulated world: one for all workers. It does what MQTT 3.1.1 says, and what [`Script`] and
//! [`Faults`] say instead, and keeps account of all of it in the truth.

mod delivery;
mod packets;
mod session;
mod topics;

use super::carried::Carried;
use super::dice::Dice;
use super::events::{End, Event};
use super::faults::Faults;
use super::net::{Key, Net};
use super::truth::Mark;
use crate::clock::{Nanos, SECOND};
use crate::script::{Act, Answer, Decision, Deed, Ending, Moment, On, Play, Script, Service, Who, is_client};
use crate::wire::{self, Packet, PacketType};
use session::Session;
use std::collections::BTreeMap;
use std::mem;
use topics::Topics;

/// What goes to a client one behind the other, however late: PUBACK and PUBREC, PUBREL, PUBCOMP, deliveries, the rest.
#[derive(Clone, Copy)]
enum Lane {
    PubAcks,
    PubRels,
    PubComps,
    Deliveries,
    Others,
}

/// What the peer has put off.
enum Later {
    /// Bytes for a client.
    Write(Key, Vec<u8>, Option<Mark>),
    /// CONNACK, and what a session kept has in store.
    Greet(Key, bool),
    /// Read again.
    Listen(Key),
    /// Look whether the client is silent.
    Watch(Key),
    /// Send what waited in vain to be overtaken.
    Release(u32),
    /// What the script says, for the so manieth time.
    Moment(Moment, u64),
}

/// The peer's end of a connection.
struct Side {
    generation: u32,
    /// The client, from CONNECT on.
    client: Option<u32>,
    /// And what it speaks.
    protocol: wire::Protocol,
    /// Reads nothing.
    deaf: bool,
    /// Its next PUBLISH has its turn.
    served: bool,
    /// When the last of each lane leaves.
    lanes: [Nanos; 5],
    last_heard: Nanos,
    /// One and a half keepalives; 0 is none.
    patience: Nanos,
    /// The peer has itself to blame for whatever this client does.
    at_fault: bool,
    said_goodbye: bool,
}

/// The broker.
pub struct Peer {
    play: Play,
    service: Option<Service>,
    /// When the next PUBLISH has its turn, had there been no rest.
    turn: f64,
    faults: Faults,
    dice: Dice,
    sides: Vec<Side>,
    /// By client, as in the truth.
    sessions: Vec<Session>,
    topics: Topics,
    retained: BTreeMap<String, (u32, wire::QoS)>,
    put_off: Vec<Option<Later>>,
    free: Vec<u32>,
    next_accept: Nanos,
    waiting: usize,
    nameless: u32,
    /// Who is to have a message; kept to be used again.
    audience: Vec<(u32, wire::QoS)>,
}

impl Peer {
    pub fn new(faults: Faults, script: Script, seed: u64, net: &mut Net) -> Peer {
        let mut peer = Peer {
            play: Play::new(script.seed, script.rules),
            service: script.service,
            turn: 0.0,
            faults,
            dice: Dice::new(seed, "sim peer", 0),
            sides: Vec::new(),
            sessions: Vec::new(),
            topics: Topics::default(),
            retained: BTreeMap::new(),
            put_off: Vec::new(),
            free: Vec::new(),
            next_accept: 0,
            waiting: 0,
            nameless: 0,
            audience: Vec::new(),
        };
        for moment in script.moments {
            peer.put_off(net, moment.time, Later::Moment(moment, 1));
        }
        peer
    }

    /// Publishes a message that no client did.
    pub fn publish(&mut self, net: &mut Net, topic: &str, payload: &[u8], qos: wire::QoS) {
        let message = net.truth.message(topic, payload, qos);
        self.route(net, message, qos);
    }

    /// Does `act` now, to all connections or to that of one client.
    pub fn act(&mut self, net: &mut Net, client: Option<&str>, act: &Act) {
        let keys = match client {
            None => net.peer_open(),
            Some(_) => {
                let clients = net.truth.clients.iter().zip(&self.sessions);
                let wanted = clients.filter(|(known, _)| is_client(client, Some(&known.name)));
                wanted.filter_map(|(_, session)| session.online).collect()
            }
        };
        let mut decision = Decision::default();
        decision.add(act, self.dice.draw());
        if let Some(pause) = decision.stall {
            // What it has put off comes all the same.
            net.truth.done.note(Deed::Stalled);
            decision.end = Some(Ending::Deaf(pause));
        }
        if let Some((topic, payload, qos)) = decision.publish.take() {
            self.publish(net, &topic, &payload, qos);
        }
        for key in keys {
            if let Some(bytes) = &decision.also {
                self.side(key).at_fault = true;
                net.write(key, bytes, None);
            }
            self.finish(net, key, decision.end);
        }
    }

    fn put_off(&mut self, net: &mut Net, time: Nanos, later: Later) {
        let index = self.free.pop().unwrap_or(self.put_off.len() as u32);
        if index as usize == self.put_off.len() {
            self.put_off.push(None);
        }
        self.put_off[index as usize] = Some(later);
        net.events.at(time, Event::Later(index));
    }

    /// The time has come for what was put off.
    pub fn later(&mut self, net: &mut Net, index: u32) {
        self.free.push(index);
        match self.put_off[index as usize].take().expect("put off once") {
            Later::Write(key, bytes, mark) => net.write(key, &bytes, mark),
            Later::Greet(key, present) => self.greet(net, key, present),
            Later::Listen(key) => {
                if net.get(key).is_some_and(|pair| pair.peer_open) {
                    self.side(key).deaf = false;
                    self.read(net, key);
                }
            }
            Later::Watch(key) => self.watch(net, key),
            Later::Release(session) => self.release(net, session),
            Later::Moment(moment, come) => {
                self.act(net, moment.client.as_deref(), &moment.act);
                if let Some(every) = moment.every.filter(|_| come < moment.times) {
                    let time = net.now + every;
                    self.put_off(net, time, Later::Moment(moment, come + 1));
                }
            }
        }
    }

    /// What is done about `on`; a connection is known by its number in the truth.
    fn decide(&mut self, on: On, client: Option<&str>, connection: usize) -> Decision {
        let connection = connection as u64;
        let mut decision = Decision::default();
        self.faults.decide(on, &mut self.dice, &mut decision);
        self.play.decide(on, Who { client, connection }, &mut decision);
        decision
    }

    fn side(&mut self, key: Key) -> &mut Side {
        let side = &mut self.sides[key.index as usize];
        assert_eq!(side.generation, key.generation, "a connection that is gone");
        side
    }

    /// A SYN has arrived.
    pub fn syn(&mut self, net: &mut Net, key: Key, attempt: u8) {
        if net.get(key).is_none() {
            return;
        }
        let record = net.get(key).expect("open").record;
        let decision = self.decide(On::Syn, None, record);
        match decision.answer {
            Answer::RefuseSyn => return net.answer(key, libc::ECONNREFUSED),
            Answer::Never => return net.lose_syn(key, attempt),
            _ if self.waiting >= net.network.backlog => return net.lose_syn(key, attempt),
            _ => {}
        }
        net.answer(key, 0);
        let side = Side {
            generation: key.generation,
            client: None,
            protocol: wire::Protocol::V311,
            deaf: true,
            served: false,
            lanes: [0; 5],
            last_heard: net.now,
            patience: 0,
            at_fault: false,
            said_goodbye: false,
        };
        let index = key.index as usize;
        match self.sides.get_mut(index) {
            Some(old) => *old = side,
            None => {
                while self.sides.len() < index {
                    self.sides.push(Side { generation: u32::MAX, ..side_of_nobody() });
                }
                self.sides.push(side);
            }
        }
        self.next_accept = self.next_accept.max(net.now) + self.dice.within(&net.network.accept);
        if self.next_accept == net.now {
            self.side(key).deaf = false;
        } else {
            let accept = self.next_accept;
            self.put_off(net, accept, Later::Listen(key));
        }
    }

    /// Bytes have arrived, or the peer has begun to read again.
    pub fn arrived(&mut self, net: &mut Net, key: Key) {
        let Some(pair) = net.get(key).filter(|pair| pair.peer_open) else { return };
        let waits = pair.up.unread() > 0
            || pair.carried.as_ref().is_some_and(|carried| !carried.heard.plain.is_empty());
        if self.sides[key.index as usize].deaf || !waits {
            return;
        }
        self.read(net, key);
    }

    fn read(&mut self, net: &mut Net, key: Key) {
        let now = net.now;
        self.side(key).last_heard = now;
        let pair = net.get_mut(key).expect("open");
        let received = pair.up.receive(usize::MAX);
        let (record, offset, carried) = (pair.record, pair.up.consumed(), pair.carried.take());
        let (buffer, head, length) = pair.up.lend();
        net.truth.connections[record].read += received as u64;
        let bytes = &buffer[head..head + length];
        let used = match carried {
            None => self.packets(net, key, bytes, |used| offset + used as u64),
            Some(carried) => {
                self.unseal(net, key, carried, bytes, offset);
                length
            }
        };
        if let Some(pair) = net.get_mut(key) {
            pair.up.put_back(buffer);
            pair.up.consume(used);
            net.make_up_room(key);
        }
        if net.get(key).is_none_or(|pair| !pair.peer_open) {
            self.gone(net, key);
        }
    }

    /// Hears `bytes`, of which the first is number `offset`, through a transport.
    fn unseal(&mut self, net: &mut Net, key: Key, mut carried: Box<Carried>, bytes: &[u8], offset: u64) {
        let mut answers = Vec::new();
        let result = carried.hear(bytes, offset, net.sends(key), &mut answers);
        let mut waiting = mem::take(&mut carried.heard);
        net.get_mut(key).expect("open").carried = Some(carried);
        net.put_out(key, &answers, None);
        let used = self.packets(net, key, &waiting.plain, |used| waiting.ends[used - 1]);
        waiting.drop_front(used);
        if let Some(carried) = net.get_mut(key).and_then(|pair| pair.carried.as_mut()) {
            carried.heard = waiting;
        }
        if let Err(trouble) = result {
            self.blame(net, key, &trouble.to_string());
            net.close_peer(key, End::Fin);
        }
    }

    /// Handles the packets at the front of `bytes`, and answers how many bytes that were. `offset` tells where in the stream
    /// so many of them have ended.
    fn packets(&mut self, net: &mut Net, key: Key, bytes: &[u8], offset: impl Fn(usize) -> u64) -> usize {
        let mut rest = bytes;
        loop {
            let protocol = self.side(key).protocol;
            let (packet, used) = match protocol.decode(rest, wire::MAX_PACKET) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => break,
                Err(error) => {
                    self.blame(net, key, &error.to_string());
                    net.close_peer(key, End::Fin);
                    break;
                }
            };
            if !self.serves(net, key, packet.packet_type()) {
                break;
            }
            rest = &rest[used..];
            let left = net.left(key, offset(bytes.len() - rest.len()));
            self.packet(net, key, &packet, left);
            if net.get(key).is_none_or(|pair| !pair.peer_open) || self.side(key).deaf {
                break;
            }
        }
        bytes.len() - rest.len()
    }

    /// Whether the next packet of a connection has its turn; if not, nothing is read from it until it has.
    fn serves(&mut self, net: &mut Net, key: Key, packet: PacketType) -> bool {
        let Some(Service { per_s, burst, .. }) = self.service.filter(|service| service.of == packet) else {
            return true;
        };
        if mem::take(&mut self.side(key).served) {
            return true;
        }
        let (now, gap) = (net.now as f64, 1e9 / per_s);
        self.turn = self.turn.max(now - gap * burst.saturating_sub(1) as f64);
        let time = self.turn;
        self.turn += gap;
        if time <= now {
            return true;
        }
        let side = self.side(key);
        (side.served, side.deaf) = (true, true);
        self.put_off(net, time.ceil() as Nanos, Later::Listen(key));
        false
    }

    /// The client's FIN or RST has arrived.
    pub fn ended(&mut self, net: &mut Net, key: Key, end: End) {
        if net.get(key).is_none_or(|pair| !pair.peer_open) {
            return;
        }
        if end == End::Fin && self.sides[key.index as usize].deaf {
            // A peer that does not read does not see it either; but it must not be kept for ever.
            self.side(key).deaf = false;
            self.read(net, key);
        }
        if net.get(key).is_some_and(|pair| pair.peer_open) {
            net.close_peer(key, End::Fin);
            self.gone(net, key);
        }
    }

    /// The connection is no more: the session is offline, and perhaps ends.
    fn gone(&mut self, net: &mut Net, key: Key) {
        let side = &mut self.sides[key.index as usize];
        if side.generation != key.generation {
            return;
        }
        side.generation = u32::MAX;
        let (client, said_goodbye) = (side.client, side.said_goodbye);
        let Some(client) = client else { return };
        let session = &mut self.sessions[client as usize];
        if session.online != Some(key) {
            return;
        }
        session.online = None;
        let will = session.will.take().filter(|_| !said_goodbye);
        if !session.persistent {
            self.forget(client);
        }
        if let Some(will) = will {
            self.publish(net, &will.topic, &will.payload, will.qos);
        }
    }

    fn forget(&mut self, client: u32) {
        let session = &mut self.sessions[client as usize];
        for filter in std::mem::take(&mut session.filters) {
            self.topics.remove(&filter, client);
        }
        self.sessions[client as usize].clear();
    }

    /// Ends the connection, or stops reading.
    fn finish(&mut self, net: &mut Net, key: Key, end: Option<Ending>) {
        let Some(end) = end else { return };
        if net.get(key).is_none_or(|pair| !pair.peer_open) {
            return;
        }
        match end {
            Ending::HalfClose => net.shut_peer(key),
            Ending::Close | Ending::Reset => {
                net.truth.done.note(if end == Ending::Reset { Deed::Reset } else { Deed::Closed });
                net.close_peer(key, if end == Ending::Reset { End::Reset } else { End::Fin });
                self.gone(net, key);
            }
            Ending::Deaf(pause) => {
                net.truth.done.note(Deed::Deafened);
                self.side(key).deaf = true;
                if let Some(pause) = pause {
                    let time = net.now + pause;
                    self.put_off(net, time, Later::Listen(key));
                }
            }
        }
    }

    /// Writes to a client, behind everything of the same lane.
    fn write(
        &mut self,
        net: &mut Net,
        key: Key,
        lane: Lane,
        delay: Nanos,
        bytes: Vec<u8>,
        mark: Option<Mark>,
    ) {
        let now = net.now;
        let last = &mut self.side(key).lanes[lane as usize];
        let time = (now + delay).max(*last);
        *last = time;
        if time == now {
            net.write(key, &bytes, mark);
        } else {
            self.put_off(net, time, Later::Write(key, bytes, mark));
        }
    }

    /// Whether the client has been silent for one and a half keepalives [MQTT-3.1.2-24].
    fn watch(&mut self, net: &mut Net, key: Key) {
        if net.get(key).is_none_or(|pair| !pair.peer_open) {
            return;
        }
        let now = net.now;
        let side = self.side(key);
        let silent_at = side.last_heard + side.patience;
        if now < silent_at || side.deaf {
            let time = silent_at.max(now + SECOND);
            return self.put_off(net, time, Later::Watch(key));
        }
        net.truth.silent += 1;
        net.close_peer(key, End::Fin);
        self.gone(net, key);
    }

    /// A client has broken the protocol, unless the peer has before.
    fn blame(&mut self, net: &mut Net, key: Key, what: &str) {
        let side = self.side(key);
        if !side.at_fault {
            let client = side.client.map_or("a client", |client| &net.truth.clients[client as usize].name);
            let fault = format!("{client}: {what}");
            net.truth.faults.push((net.now, fault));
        }
    }
}

fn side_of_nobody() -> Side {
    Side {
        generation: u32::MAX,
        client: None,
        protocol: wire::Protocol::V311,
        deaf: false,
        served: false,
        lanes: [0; 5],
        last_heard: 0,
        patience: 0,
        at_fault: false,
        said_goodbye: false,
    }
}
