//! A server for one subscriber: it says when it sent a message, and when it knew that the message was there.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use malaria_bench::wire::{
    self, ConnAck, ConnectCode, Packet, PacketId, PacketType, Properties, Publish, QoS, SubAckCode,
};

use crate::process::BOUND;

/// The topics of the broker's counters: since mosquitto 1.2, and before.
pub const DROPPED: [&str; 2] = ["$SYS/broker/publish/messages/dropped", "$SYS/broker/messages/dropped"];

pub struct Feeder {
    listener: TcpListener,
}

/// A subscriber that has asked for what it wants.
pub struct Fed {
    stream: TcpStream,
    bytes: Vec<u8>,
    pub filters: Vec<String>,
}

impl Feeder {
    pub fn bind() -> Feeder {
        Feeder { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port") }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    /// Takes a connection, and serves it until it has subscribed to all of `filters`.
    pub fn accept(&self, filters: &[&str]) -> Fed {
        self.listener.set_nonblocking(true).expect("a socket");
        let deadline = Instant::now() + BOUND;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "nobody connects");
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => panic!("{error}"),
            }
        };
        stream.set_nonblocking(false).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let mut fed = Fed { stream, bytes: Vec::new(), filters: Vec::new() };
        while !filters.iter().all(|wanted| fed.filters.iter().any(|filter| filter == wanted)) {
            fed.serve(PacketType::Subscribe);
        }
        fed
    }
}

impl Fed {
    /// Answers everything up to a packet of this type.
    fn serve(&mut self, awaited: PacketType) {
        // Pings do not count as an answer.
        let deadline = Instant::now() + BOUND;
        loop {
            let packet = match wire::decode(&self.bytes, wire::MAX_PACKET).expect("MQTT") {
                Some((packet, used)) => {
                    let kind = packet.packet_type();
                    let mut out = Vec::new();
                    answer(&packet, &mut self.filters, &mut out);
                    self.bytes.drain(..used);
                    // It may have left without waiting for the last answer.
                    let _ = self.stream.write_all(&out);
                    kind
                }
                None => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    assert!(!left.is_zero(), "no {awaited} within {BOUND:?}");
                    self.stream.set_read_timeout(Some(left)).expect("a socket");
                    let mut chunk = [0; 4096];
                    let got = self.stream.read(&mut chunk).expect("it says more in time");
                    assert!(got > 0, "the connection ended before {awaited}");
                    self.bytes.extend_from_slice(&chunk[..got]);
                    continue;
                }
            };
            if packet == awaited {
                return;
            }
        }
    }

    fn send(&mut self, topic: &str, payload: &[u8], packet_id: Option<PacketId>) {
        let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id,
            payload,
            properties: Properties::NONE,
        };
        let mut bytes = Vec::new();
        publish.encode(&mut bytes).expect("a valid message");
        self.stream.write_all(&bytes).expect("the subscriber is there");
    }

    /// A counter of the broker.
    pub fn report(&mut self, topic: &str, value: u64) {
        self.send(topic, value.to_string().as_bytes(), None);
    }

    /// Message `number` of `client`, stamped `early` seconds before it is sent. The time until the subscriber
    /// said that it has it, in seconds and from the stamp.
    pub fn message(&mut self, client: &str, number: u64, early: f64) -> f64 {
        let topic = format!("mqtt-malaria/{client}/data/{number}/{number}");
        let stamp = unix_time() - early;
        // As much as a stamp holds.
        let text = format!("{stamp:.6}");
        self.send(&topic, format!("{text},abcdef").as_bytes(), Some(PacketId::MIN));
        self.serve(PacketType::PubAck);
        unix_time() - text.parse::<f64>().expect("a number")
    }

    /// Waits for the end in good order.
    pub fn leaves(mut self) {
        self.serve(PacketType::Disconnect);
    }
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

fn answer(packet: &Packet<'_>, filters: &mut Vec<String>, out: &mut Vec<u8>) {
    match packet {
        Packet::Connect(_) => {
            wire::encode_connack(ConnAck::from(ConnectCode::Accepted), out);
        }
        Packet::Subscribe(subscribe) => {
            filters.extend(subscribe.filters().map(|(filter, _)| filter.to_owned()));
            let codes = subscribe.filters().map(|(_, qos)| SubAckCode::Granted(qos));
            wire::encode_suback(subscribe.packet_id(), codes, out).expect("as many as asked");
        }
        Packet::Unsubscribe(unsubscribe) => wire::encode_unsuback(unsubscribe.packet_id(), out),
        Packet::PingReq => wire::encode_pingresp(out),
        Packet::PubAck(_) | Packet::Disconnect(_) => {}
        other => panic!("a subscriber sent {other:?}"),
    }
}
