use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use super::*;
use crate::engine::{Longest, Route, Stats, Usage};
use crate::wire::{
    Ack, Connect, ConnectCode, MAX_PACKET, PacketId, Properties, Protocol, Publish, QoS, UnsubAck, Will,
    decode,
};

mod connections;
mod faulty;
mod five;
mod malformed;
mod messages;
mod moves;
mod sessions;

/// One worker's connections, held by the test.
struct Wires {
    now: Rc<Cell<Nanos>>,
    wires: HashMap<Conn, Wire>,
}

#[derive(Default)]
struct Wire {
    out: Vec<u8>,
    closed: bool,
    /// The kernel takes nothing; the broker hears when it does again.
    blocked: bool,
    /// Nothing is received.
    held: bool,
}

impl Link for Wires {
    fn ask_unacked(&mut self) {}
    fn now(&self) -> Nanos {
        self.now.get()
    }

    fn arrived(&self) -> Nanos {
        self.now()
    }

    fn clock(&self) -> Nanos {
        self.now.get()
    }

    fn unix_ns(&self) -> u64 {
        unreachable!("a broker asks for no wall clock")
    }

    fn foresee(&mut self, _: Nanos) {}

    fn dial(&mut self, conn: Conn, _: &Route) -> io::Result<()> {
        unreachable!("a broker dials nobody, but {conn:?}")
    }

    fn out(&mut self, conn: Conn) -> &mut Vec<u8> {
        &mut self.wires.get_mut(&conn).expect("nothing is written to a connection that is gone").out
    }

    fn unsent(&self, conn: Conn) -> usize {
        self.wires[&conn].out.len()
    }

    fn blocked(&self, conn: Conn) -> bool {
        self.wires[&conn].blocked
    }

    fn hold(&mut self, conn: Conn) {
        self.wires.get_mut(&conn).unwrap().held = true;
    }

    fn resume(&mut self, conn: Conn) {
        self.wires.get_mut(&conn).unwrap().held = false;
    }

    fn close(&mut self, conn: Conn) {
        self.wires.get_mut(&conn).unwrap().closed = true;
    }

    fn abort(&mut self, conn: Conn) {
        self.wires.get_mut(&conn).unwrap().closed = true;
    }

    fn connections(&self) -> u32 {
        self.wires.len() as u32
    }

    fn stop(&mut self) {
        unreachable!("it is the worker that is told to stop")
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn longest(&mut self) -> Longest {
        Longest::default()
    }
}

/// A client's end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Client {
    worker: usize,
    conn: Conn,
}

/// All workers of a broker and everything that connects to them, stepped by hand.
struct Net {
    now: Rc<Cell<Nanos>>,
    brokers: Vec<Broker>,
    wires: Vec<Wires>,
    next: u32,
}

const START: Nanos = 1_000 * SECOND;

impl Net {
    fn new(workers: usize) -> Net {
        Net::with_limits(workers, Limits::default())
    }

    fn with_limits(workers: usize, limits: Limits) -> Net {
        let hub = Arc::new(Hub::new(workers));
        let now = Rc::new(Cell::new(START));
        let brokers =
            (0..workers).map(|worker| Broker::new(worker as u16, Arc::clone(&hub), limits)).collect();
        let wires = (0..workers).map(|_| Wires { now: Rc::clone(&now), wires: HashMap::new() }).collect();
        Net { now, brokers, wires, next: 0 }
    }

    fn open(&mut self, worker: usize) -> Client {
        let conn = Conn(self.next);
        self.next += 1;
        self.wires[worker].wires.insert(conn, Wire::default());
        self.brokers[worker].handle_accepted(&self.wires[worker], conn);
        Client { worker, conn }
    }

    /// Sends bytes; answers how many were used.
    fn bytes(&mut self, client: Client, bytes: &[u8]) -> usize {
        let Client { worker, conn } = client;
        self.brokers[worker].handle_data(&mut self.wires[worker], conn, bytes)
    }

    fn packet(&mut self, client: Client, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes).unwrap();
        assert_eq!(self.bytes(client, &bytes), bytes.len());
    }

    /// One pass of one worker.
    fn pass(&mut self, worker: usize) -> Option<Nanos> {
        self.brokers[worker].handle_pass(&mut self.wires[worker])
    }

    /// Passes of all workers until all mail has arrived.
    fn settle(&mut self) {
        for _ in 0..8 {
            for worker in 0..self.brokers.len() {
                self.pass(worker);
            }
        }
    }

    /// Lets time go by in steps shorter than any deadline.
    fn sleep(&mut self, time: Nanos) {
        let end = self.now.get() + time;
        while self.now.get() < end {
            self.now.set(end.min(self.now.get() + 100 * MILLISECOND));
            self.settle();
        }
    }

    /// The client's connection breaks.
    fn cut(&mut self, client: Client) {
        self.brokers[client.worker].handle_gone(&mut self.wires[client.worker], client.conn);
        self.wires[client.worker].wires.remove(&client.conn);
        self.settle();
    }

    fn is_closed(&self, client: Client) -> bool {
        self.wires[client.worker].wires[&client.conn].closed
    }

    /// What the client gets, in words, once all mail has arrived; the kernel takes everything.
    fn got(&mut self, client: Client) -> Vec<String> {
        self.settle();
        self.take(client)
    }

    fn take(&mut self, client: Client) -> Vec<String> {
        let wires = &mut self.wires[client.worker];
        let bytes = std::mem::take(&mut wires.wires.get_mut(&client.conn).unwrap().out);
        if std::mem::take(&mut wires.wires.get_mut(&client.conn).unwrap().blocked) {
            self.brokers[client.worker].handle_writable(wires, client.conn);
        }
        let mut rest = &bytes[..];
        let mut words = Vec::new();
        while let Some((packet, length)) = decode(rest, MAX_PACKET).expect("the broker speaks MQTT") {
            words.push(in_words(&packet));
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "the broker sends whole packets");
        words
    }

    fn connect(&mut self, worker: usize, client_id: &str) -> Client {
        let client = self.open(worker);
        self.packet(client, Packet::Connect(clean(client_id)));
        assert_eq!(self.got(client), ["CONNACK new"]);
        client
    }

    /// A persistent session; also answers whether it was present.
    fn connect_persistent(&mut self, worker: usize, client_id: &str) -> (Client, bool) {
        let client = self.open(worker);
        self.packet(client, Packet::Connect(Connect { clean_session: false, ..clean(client_id) }));
        self.settle();
        let first = self.peek(client);
        (client, first == "CONNACK present")
    }

    /// The first packet due to the client, taken.
    fn peek(&mut self, client: Client) -> String {
        let out = &mut self.wires[client.worker].wires.get_mut(&client.conn).unwrap().out;
        let Some((packet, length)) = decode(out, MAX_PACKET).unwrap() else { return String::new() };
        let words = in_words(&packet);
        out.drain(..length);
        words
    }

    fn subscribe(&mut self, client: Client, filters: &[(&str, u8)]) {
        let mut bytes = Vec::new();
        let filters = filters.iter().map(|(filter, granted)| (*filter, qos(*granted)));
        wire::encode_subscribe(id(9), filters, &mut bytes).unwrap();
        self.bytes(client, &bytes);
    }

    /// Subscribes and takes SUBACK; nothing else may come.
    fn subscribed(&mut self, client: Client, filters: &[(&str, u8)]) {
        self.subscribe(client, filters);
        let got = self.got(client);
        assert!(got.len() == 1 && got[0].starts_with("SUBACK"), "{got:?}");
    }

    fn unsubscribe(&mut self, client: Client, filter: &str) {
        let mut bytes = Vec::new();
        wire::encode_unsubscribe(id(8), [filter], &mut bytes).unwrap();
        self.bytes(client, &bytes);
    }

    /// Publishes with identifier 7 above QoS 0.
    fn publish(&mut self, client: Client, topic: &str, payload: &str, quality: u8) {
        self.packet(client, Packet::Publish(message(topic, payload, quality)));
    }

    fn retain(&mut self, client: Client, topic: &str, payload: &str, quality: u8) {
        self.packet(client, Packet::Publish(Publish { retain: true, ..message(topic, payload, quality) }));
    }

    fn counters(&self) -> Counters {
        self.brokers.iter().map(|broker| *broker.counters()).sum()
    }

    fn sessions(&self) -> usize {
        self.brokers.iter().map(|broker| broker.sessions.len()).sum()
    }
}

fn qos(number: u8) -> QoS {
    QoS::try_from(number).unwrap()
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn clean(client_id: &str) -> Connect<'_> {
    Connect {
        protocol: Protocol::V311,
        bridge: false,
        client_id,
        keep_alive: 0,
        clean_session: true,
        will: None,
        username: None,
        password: None,
        properties: Properties::NONE,
    }
}

fn will<'a>(topic: &'a str, payload: &'a str) -> Option<Will<'a>> {
    Some(Will {
        topic,
        payload: payload.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::NONE,
    })
}

fn message<'a>(topic: &'a str, payload: &'a str, quality: u8) -> Publish<'a> {
    let packet_id = (quality > 0).then(|| id(7));
    Publish {
        dup: false,
        qos: qos(quality),
        retain: false,
        topic,
        packet_id,
        payload: payload.as_bytes(),
        properties: Properties::NONE,
    }
}

fn in_words(packet: &Packet<'_>) -> String {
    match packet {
        Packet::ConnAck(ConnAck { code: ConnectCode::Accepted, session_present, .. }) => {
            format!("CONNACK {}", if *session_present { "present" } else { "new" })
        }
        Packet::ConnAck(ConnAck { code, .. }) => format!("CONNACK refused: {code}"),
        Packet::Publish(publish) => {
            let id = publish.packet_id.map(|id| format!(" #{id}")).unwrap_or_default();
            let dup = if publish.dup { " dup" } else { "" };
            let retain = if publish.retain { " retained" } else { "" };
            let payload = String::from_utf8_lossy(publish.payload);
            format!("{}={payload} q{}{id}{dup}{retain}", publish.topic, publish.qos as u8)
        }
        Packet::SubAck(suback) => {
            let codes: Vec<_> = suback.codes().map(|code| code.to_byte()).collect();
            format!("SUBACK #{} {codes:?}", suback.packet_id())
        }
        Packet::UnsubAck(UnsubAck { packet_id: id, .. }) => format!("UNSUBACK #{id}"),
        Packet::PubAck(Ack { packet_id: id, .. }) => format!("PUBACK #{id}"),
        Packet::PubRec(Ack { packet_id: id, .. }) => format!("PUBREC #{id}"),
        Packet::PubRel(Ack { packet_id: id, .. }) => format!("PUBREL #{id}"),
        Packet::PubComp(Ack { packet_id: id, .. }) => format!("PUBCOMP #{id}"),
        other => format!("{:?}", other.packet_type()),
    }
}
