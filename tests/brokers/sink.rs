//! A server that accepts everything, forwards nothing and keeps what it was published.

use malaria_bench::wire::{self, Ack, ConnAck, ConnectCode, Packet, PacketId, Publish, QoS};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What each client sent, by client id.
pub type Streams = BTreeMap<String, Stream>;

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Stream {
    /// The bytes of its PUBLISH packets.
    pub bytes: Vec<u8>,
    /// Their topics.
    pub topics: Vec<String>,
}

pub struct Sink {
    address: SocketAddr,
    streams: Arc<Mutex<Streams>>,
}

impl Sink {
    /// Its threads end with their connections, the one that listens with the test.
    pub fn start() -> Sink {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let streams = Arc::new(Mutex::new(Streams::new()));
        let shared = streams.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Sink { address, streams }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has been published so far.
    pub fn take(&self) -> Streams {
        std::mem::take(&mut self.streams.lock().expect("no server thread panics"))
    }
}

fn serve(mut stream: TcpStream, streams: &Mutex<Streams>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 65_536];
    let mut client_id = String::new();
    while let Ok(got @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..got]);
        let mut answers = Vec::new();
        let mut used = 0;
        while let Some((packet, len)) = wire::decode(&bytes[used..], wire::MAX_PACKET).expect("MQTT") {
            let raw = &bytes[used..used + len];
            match &packet {
                Packet::Connect(connect) => client_id = connect.client_id.to_owned(),
                Packet::Publish(publish) => {
                    let mut streams = streams.lock().expect("no server thread panics");
                    let stream = streams.entry(client_id.clone()).or_default();
                    stream.bytes.extend_from_slice(raw);
                    stream.topics.push(publish.topic.to_owned());
                }
                Packet::Disconnect(_) => return,
                _ => {}
            }
            answer(&packet, &mut answers);
            used += len;
        }
        bytes.drain(..used);
        if stream.write_all(&answers).is_err() {
            return;
        }
    }
}

fn answer(packet: &Packet<'_>, out: &mut Vec<u8>) {
    match packet {
        Packet::Connect(_) => {
            let connack = ConnAck::from(ConnectCode::Accepted);
            Packet::ConnAck(connack).encode(out).expect("a constant packet");
        }
        Packet::Publish(Publish { qos: QoS::AtLeastOnce, packet_id, .. }) => {
            wire::encode_puback(packet_id.unwrap_or(PacketId::MIN), out);
        }
        Packet::Publish(Publish { qos: QoS::ExactlyOnce, packet_id, .. }) => {
            wire::encode_pubrec(packet_id.unwrap_or(PacketId::MIN), out);
        }
        Packet::PubRel(Ack { packet_id: id, .. }) => wire::encode_pubcomp(*id, out),
        Packet::PingReq => Packet::PingResp.encode(out).expect("a constant packet"),
        _ => {}
    }
}
