//! Behaviour of a client against a simulated link, clock and broker.

mod exchange;
mod five;
mod keepalive;
mod link;
mod loss;
mod strict;
mod window;

use super::*;
use crate::wire::{ConnAck, Packet, Properties};

#[test]
fn an_idle_client_is_small_and_owns_no_heap() {
    // Sequence, intended time and time of sending: the token that a load generator needs.
    assert!(size_of::<Client<[u64; 3]>>() <= 64, "{} bytes", size_of::<Client<[u64; 3]>>());
    let mut client = Client::<[u64; 3]>::new();
    let mut out = Vec::new();
    client.connect(&plain_connect(), 0, &mut out).unwrap();
    handle(&mut client, Packet::ConnAck(ACCEPTED)).unwrap();
    let id = client.subscribe([("bench/1", QoS::AtLeastOnce)].into_iter(), 0, &mut out).unwrap();
    let mut suback = Vec::new();
    wire::encode_suback(id, [wire::SubAckCode::Granted(QoS::AtLeastOnce)], &mut suback).unwrap();
    let (packet, _) = wire::decode(&suback, wire::MAX_PACKET).unwrap().unwrap();
    client.handle_packet(&packet, 0, &mut out).unwrap();
    assert!(client.aside.is_none(), "a subscriber at rest keeps nothing aside");
    assert!(client.outbound.is_unallocated(), "a subscriber at rest has no window");
}

pub const ACCEPTED: ConnAck =
    ConnAck { session_present: false, code: ConnectCode::Accepted, properties: Properties::NONE };

fn plain_connect() -> wire::Connect<'static> {
    wire::Connect {
        protocol: wire::Protocol::V311,
        bridge: false,
        client_id: "c-1",
        keep_alive: 60,
        clean_session: true,
        will: None,
        username: None,
        password: None,
        properties: Properties::NONE,
    }
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

/// A client that has just connected, with nothing written.
fn online() -> Client<u64> {
    let mut client = Client::new();
    client.connect(&plain_connect(), 0, &mut Vec::new()).unwrap();
    assert_eq!(
        handle(&mut client, Packet::ConnAck(ACCEPTED)),
        Ok((Event::Connected { session_present: false }, vec![]))
    );
    client
}

/// Loses the connection and makes a new one for a persistent session, which the server has kept or not.
fn reconnect(client: &mut Client<u64>, session_present: bool) {
    client.handle_disconnected();
    let connect = wire::Connect { clean_session: false, ..plain_connect() };
    client.connect(&connect, 0, &mut Vec::new()).unwrap();
    let connack = ConnAck { session_present, ..ACCEPTED };
    assert_eq!(handle(client, Packet::ConnAck(connack)), Ok((Event::Connected { session_present }, vec![])));
}

/// Hands a packet in at time 0; the answer is the event and what was written.
fn handle<'a, T: Copy>(
    client: &mut Client<T>,
    packet: Packet<'a>,
) -> Result<(Event<'a, T>, Vec<u8>), ProtocolError> {
    let mut out = Vec::new();
    client.handle_packet(&packet, 0, &mut out).map(|event| (event, out))
}

/// Publishes and answers the packet id; the payload is the token.
fn publish(client: &mut Client<u64>, qos: QoS, token: u64, limits: &Limits) -> Result<PacketId, WindowFull> {
    let mut out = Vec::new();
    let payload = token.to_be_bytes();
    let message =
        Outgoing { topic: "t", qos, retain: false, payload: &[&payload], properties: Properties::NONE };
    client.publish(message, token, limits, 0, &mut out)?;
    match wire::decode(&out, wire::MAX_PACKET) {
        Ok(Some((Packet::Publish(publish), length))) if length == out.len() => {
            assert_eq!((publish.qos, publish.dup, publish.payload), (qos, false, &payload[..]));
            Ok(publish.packet_id.expect("QoS above 0"))
        }
        other => panic!("not a PUBLISH: {other:?}"),
    }
}
