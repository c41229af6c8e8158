//! How the contenders without a client library of their own begin a session.

use malaria_bench::wire::{Connect, Packet, PacketId, Properties, Protocol, QoS, encode_subscribe};

use crate::load::KEEP_ALIVE_S;

/// Accepted, no session present.
pub const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// Granted at QoS 0.
pub const SUBACK: [u8; 5] = [0x90, 3, 0, 1, 0];

/// Appends a SUBSCRIBE to one topic at QoS 0.
pub fn subscribe(topic: &str, out: &mut Vec<u8>) {
    encode_subscribe(PacketId::MIN, [(topic, QoS::AtMostOnce)], out).expect("a valid packet");
}

/// Appends the CONNECT of `client`.
pub fn connect(client: u32, out: &mut Vec<u8>) {
    let packet = Packet::Connect(Connect {
        protocol: Protocol::V311,
        bridge: false,
        client_id: &format!("bench-{client}"),
        keep_alive: KEEP_ALIVE_S,
        clean_session: true,
        will: None,
        username: None,
        password: None,
        properties: Properties::NONE,
    });
    packet.encode(out).expect("a valid packet");
}
