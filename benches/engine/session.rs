//! How the contenders without a client library of their own begin a session.

use malaria_bench::wire::{Connect, Packet, Protocol};

use crate::load::KEEP_ALIVE_S;

/// Accepted, no session present.
pub const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

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
    });
    packet.encode(out).expect("a valid packet");
}
