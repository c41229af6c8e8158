//! What really happened: what a driver's figures are held against.

use super::folding::FoldingState;
use crate::clock::Nanos;
use crate::engine::Conn;
use crate::script;
use crate::wire::QoS;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A client as the peer knows it: an index of [`Truth::clients`].
pub type ClientNo = u32;

/// Everything that the world knows better than those who live in it.
#[derive(Default)]
pub struct Truth {
    /// By client id, in the order of their first CONNECT.
    pub clients: Vec<ClientTruth>,
    /// Every connection that was ever dialled, in that order.
    pub connections: Vec<Connection>,
    /// Every message, in the order in which the peer got to know of it.
    pub messages: Vec<Message>,
    /// Every message for every client that was to have it, in the order in which the peer decided about it.
    pub deliveries: Vec<Delivery>,
    /// What the peer did against the protocol, and when.
    pub violations: Vec<(Nanos, &'static str)>,
    /// What a script had the peer do.
    pub done: script::Account,
    /// What clients did against the protocol, and when. To be empty.
    pub faults: Vec<(Nanos, String)>,
    /// Connections that are dialled, and whose CONNACK the client has not heard.
    pub connecting: u32,
    /// The largest number of them at one moment.
    pub most_connecting: u32,
    /// Connections that the peer ended because they were silent for one and a half keepalives.
    pub silent: u32,
    /// Deliveries in the order in which drivers were given them.
    given: Vec<u32>,
    known: HashMap<Box<[u8]>, u32, FoldingState>,
    names: HashMap<Box<str>, ClientNo, FoldingState>,
}

/// A client by its id.
#[derive(Default, Debug)]
pub struct ClientTruth {
    /// Its client id.
    pub name: Box<str>,
    /// Packets that the peer read from it.
    pub connects: u32,
    pub subscribes: u32,
    pub publishes: u32,
    pub pings: u32,
    pub disconnects: u32,
}

/// A connection, from its dialling on.
#[derive(Debug)]
pub struct Connection {
    pub worker: u32,
    pub conn: Conn,
    /// The client that said CONNECT on it.
    pub client: Option<ClientNo>,
    /// When its SYN left.
    pub dialled: Nanos,
    /// When the client heard that it is established.
    pub established: Option<Nanos>,
    /// When CONNECT was read by the peer.
    pub connect_read: Option<Nanos>,
    /// When the driver was given CONNACK.
    pub greeted: Option<Nanos>,
    /// When the client's kernel closed its socket.
    pub closed: Option<Nanos>,
    /// When the client's side of it was gone: the worker has seen the last completion.
    pub gone: Option<Nanos>,
    /// Bytes that the client's kernel took.
    pub taken: u64,
    /// Bytes that the peer has read.
    pub read: u64,
    /// Bytes from the peer that the driver was given.
    pub given: u64,
    /// Whether DISCONNECT was read.
    pub said_goodbye: bool,
}

/// A message: a topic and a payload. Two with the same of both are one.
#[derive(Debug)]
pub struct Message {
    pub topic: Box<str>,
    pub payload: Box<[u8]>,
    /// As it was first published.
    pub qos: QoS,
    /// Who published it; `None`: the peer made it up, or it is a will.
    pub from: Option<ClientNo>,
    /// PUBLISH packets with it that the peer has read.
    pub received: u32,
    /// Of those, the ones that say DUP.
    pub received_dup: u32,
    /// When the sender's kernel had taken all of the first of them.
    pub left: Nanos,
    /// When the peer read the first of them.
    pub read: Nanos,
    /// When the peer first sent its last acknowledgement: PUBACK or PUBCOMP.
    pub acked: Option<Nanos>,
    /// When the driver was first given it.
    pub ack_given: Option<Nanos>,
    /// Acknowledgements that the peer kept to itself.
    pub acks_withheld: u32,
}

/// What became of a message on its way to a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// As it should.
    Right,
    /// Never sent.
    Dropped,
    /// A second time, as if it were another message.
    Twice,
    /// A second time with the packet id of the first and DUP.
    Repeated,
    /// Sent behind the one that should have followed it.
    Swapped,
    /// A second time, because the connection was lost before the client acknowledged the first.
    Resumed,
}

/// One message for one client.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Index of [`Truth::messages`].
    pub message: u32,
    pub to: ClientNo,
    pub qos: QoS,
    pub dup: bool,
    pub fate: Fate,
    /// The delivery that this one is again, under the same packet id; itself, if it is the first.
    pub first: u32,
    /// When the peer handed it to its kernel, or queued it behind what that did not take.
    pub written: Option<Nanos>,
    /// When the driver was given its last byte.
    pub given: Option<Nanos>,
}

/// What lies in a stream behind certain bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    ConnAck,
    /// PUBACK or PUBCOMP of a message.
    Ack(u32),
    /// PUBLISH.
    Delivery(u32),
}

impl Truth {
    /// The client with this id.
    pub fn client(&mut self, name: &str) -> ClientNo {
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let number = self.clients.len() as ClientNo;
        self.names.insert(name.into(), number);
        self.clients.push(ClientTruth { name: name.into(), ..ClientTruth::default() });
        number
    }

    /// The client with this id, if it ever said CONNECT.
    pub fn find_client(&self, name: &str) -> Option<ClientNo> {
        self.names.get(name).copied()
    }

    /// The message with this topic and payload; one that is new has never been received.
    pub fn message(&mut self, topic: &str, payload: &[u8], qos: QoS) -> u32 {
        let key = key(topic, payload);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let number = self.messages.len() as u32;
        self.known.insert(key, number);
        self.messages.push(Message {
            topic: topic.into(),
            payload: payload.into(),
            qos,
            from: None,
            received: 0,
            received_dup: 0,
            left: 0,
            read: 0,
            acked: None,
            ack_given: None,
            acks_withheld: 0,
        });
        number
    }

    /// The message with this topic and payload, if the peer knows it.
    pub fn find_message(&self, topic: &str, payload: &[u8]) -> Option<&Message> {
        self.known.get(&key(topic, payload)).map(|number| &self.messages[*number as usize])
    }

    /// What `client` was given, in that order.
    pub fn given_to(&self, client: ClientNo) -> impl Iterator<Item = (&Delivery, &Message)> {
        let given = self.given.iter().map(|delivery| &self.deliveries[*delivery as usize]);
        given
            .filter(move |delivery| delivery.to == client)
            .map(|delivery| (delivery, &self.messages[delivery.message as usize]))
    }

    /// The same without what a client knows to be a repetition: QoS 2 messages that it has been given already. What
    /// was given behind something for which the driver ended the connection is in it.
    pub fn heard_by(&self, client: ClientNo) -> impl Iterator<Item = (&Delivery, &Message)> {
        let mut known = HashSet::new();
        self.given_to(client)
            .filter(move |(delivery, _)| delivery.qos < QoS::ExactlyOnce || known.insert(delivery.first))
    }

    /// Deliveries of this fate.
    pub fn fates(&self, fate: Fate) -> usize {
        self.deliveries.iter().filter(|delivery| delivery.fate == fate).count()
    }

    /// Messages of clients that the peer received at least once.
    pub fn received(&self) -> usize {
        self.messages.iter().filter(|message| message.from.is_some() && message.received > 0).count()
    }

    /// The most connections at one moment that were dialled, and neither greeted nor given up.
    pub fn most_at_once(&self) -> i32 {
        if self.most_connecting <= 100 {
            // Those are in it that are closed, and of which the worker has not seen the last completion.
            return self.most_connecting as i32;
        }
        let ends = self.connections.iter().flat_map(|connection| {
            let ended = connection.greeted.into_iter().chain(connection.closed).min();
            [(connection.dialled, 1), (ended.unwrap_or(Nanos::MAX), -1)]
        });
        let mut ends: Vec<(Nanos, i32)> = ends.collect();
        ends.sort_unstable();
        let mut now = 0;
        let sums = ends.into_iter().map(|(_, step)| {
            now += step;
            now
        });
        sums.max().unwrap_or(0)
    }

    /// Messages of `client` that the peer received, and of those the ones whose last acknowledgement the driver was
    /// given.
    pub fn sent_by(&self, client: ClientNo) -> (u64, u64) {
        let own =
            || self.messages.iter().filter(|message| message.from == Some(client) && message.received > 0);
        (own().count() as u64, own().filter(|message| message.ack_given.is_some()).count() as u64)
    }

    /// Messages whose last acknowledgement was given to the driver by `until`.
    pub fn acked_by(&self, until: Nanos) -> usize {
        self.messages.iter().filter(|message| message.ack_given.is_some_and(|given| given <= until)).count()
    }

    /// Deliveries that were given after `instant`.
    pub fn given_after(&self, instant: Nanos) -> usize {
        self.deliveries.iter().filter(|delivery| delivery.given.is_some_and(|given| given > instant)).count()
    }

    /// SUBSCRIBE packets that the peer read.
    pub fn subscribes(&self) -> u32 {
        self.clients.iter().map(|client| client.subscribes).sum()
    }

    /// PINGREQ packets that the peer read.
    pub fn pings(&self) -> u32 {
        self.clients.iter().map(|client| client.pings).sum()
    }

    /// Bytes that kernels took from drivers, over all connections.
    pub fn bytes_taken(&self) -> u64 {
        self.connections.iter().map(|connection| connection.taken).sum()
    }

    /// The driver was given what `mark` is behind, on connection `connection`.
    pub(super) fn given(&mut self, mark: Mark, connection: usize, now: Nanos) {
        match mark {
            Mark::ConnAck => {
                let greeted = &mut self.connections[connection].greeted;
                if greeted.is_none() {
                    *greeted = Some(now);
                    self.connecting -= 1;
                }
            }
            Mark::Ack(message) => {
                self.messages[message as usize].ack_given.get_or_insert(now);
            }
            Mark::Delivery(delivery) => {
                self.deliveries[delivery as usize].given = Some(now);
                self.given.push(delivery);
            }
        }
    }

    /// The peer has written what `mark` is behind.
    pub(super) fn written(&mut self, mark: Mark, now: Nanos) {
        match mark {
            Mark::ConnAck => {}
            Mark::Ack(message) => {
                self.messages[message as usize].acked.get_or_insert(now);
            }
            Mark::Delivery(delivery) => self.deliveries[delivery as usize].written = Some(now),
        }
    }

    /// A connection is dialled.
    pub(super) fn dialled(&mut self, worker: u32, conn: Conn, now: Nanos) -> usize {
        self.connecting += 1;
        self.most_connecting = self.most_connecting.max(self.connecting);
        self.connections.push(Connection {
            worker,
            conn,
            client: None,
            dialled: now,
            established: None,
            connect_read: None,
            greeted: None,
            closed: None,
            gone: None,
            taken: 0,
            read: 0,
            given: 0,
            said_goodbye: false,
        });
        self.connections.len() - 1
    }

    /// The client's side of a connection is gone.
    pub(super) fn gone(&mut self, connection: usize, now: Nanos) {
        let connection = &mut self.connections[connection];
        connection.gone = Some(now);
        if connection.greeted.is_none() {
            self.connecting -= 1;
        }
    }
}

/// What became of one flow's messages, by the sequences in the order in which they came. Counted in the plainest
/// way there is, to hold against cleverer ones.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Account {
    /// Different sequences.
    pub received: u64,
    /// Of those, the ones that came after a later one.
    pub reordered: u64,
    /// Arrivals of a sequence that had come before.
    pub duplicated: u64,
    /// Sequences that never came although a later one did.
    pub lost: u64,
}

impl Account {
    /// Counts the sequences of one flow.
    pub fn of(sequences: impl IntoIterator<Item = u64>) -> Account {
        let (mut account, mut seen) = (Account::default(), BTreeSet::new());
        for sequence in sequences {
            let highest = seen.last().copied();
            if !seen.insert(sequence) {
                account.duplicated += 1;
                continue;
            }
            account.received += 1;
            account.reordered += u64::from(highest.is_some_and(|highest| sequence < highest));
        }
        account.lost = seen.last().map_or(0, |highest| highest + 1 - account.received);
        account
    }
}

fn key(topic: &str, payload: &[u8]) -> Box<[u8]> {
    let mut key = Vec::with_capacity(topic.len() + 1 + payload.len());
    key.extend_from_slice(topic.as_bytes());
    key.push(0);
    key.extend_from_slice(payload);
    key.into()
}
