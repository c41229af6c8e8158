//! When pings are sent and when a silent server counts as dead.

use super::super::{KeepAlive, Limits, Outgoing, ProtocolError};
use super::online;
use crate::clock::{Nanos, SECOND};
use crate::wire::{self, Packet, PacketId, Properties, QoS};

const LIMITS: Limits = Limits {
    inflight: 9,
    keep_alive: 10 * SECOND,
    clean_session: true,
    aliases: 0,
    receive_maximum: u16::MAX,
};

/// The third id that the client takes in [`whatever_is_written_puts_the_ping_off`].
const THIRD_ID: PacketId = PacketId::new(3).unwrap();

enum Do {
    /// Polled: the answer, in seconds.
    Poll(KeepAlive),
    Publish(QoS),
    Subscribe,
    Receive(Packet<'static>),
}
use Do::{Poll, Publish, Receive, Subscribe};

fn idle(next: Nanos) -> Do {
    Poll(KeepAlive::Idle { next: next * SECOND })
}

fn ping(next: Nanos) -> Do {
    Poll(KeepAlive::PingSent { next: next * SECOND })
}

const EXPIRED: Do = Poll(KeepAlive::Expired);

fn message(qos: QoS) -> Packet<'static> {
    let packet_id = (qos > QoS::AtMostOnce).then(|| super::id(3));
    Packet::Publish(wire::Publish {
        dup: false,
        qos,
        retain: false,
        topic: "t",
        packet_id,
        payload: b"",
        properties: Properties::NONE,
    })
}

/// Runs a table of (second, deed) on a client that connected at second 0.
fn run(table: impl IntoIterator<Item = (Nanos, Do)>) {
    let mut client = online();
    for (second, deed) in table {
        let (now, mut out) = (second * SECOND, Vec::new());
        match deed {
            Poll(expected) => {
                assert_eq!(client.poll_keepalive(now, &LIMITS, &mut out), expected, "at {second} s");
                let pinged = matches!(expected, KeepAlive::PingSent { .. });
                assert_eq!(out, if pinged { &b"\xc0\0"[..] } else { b"" }, "at {second} s");
            }
            Publish(qos) => {
                let message =
                    Outgoing { topic: "t", qos, retain: false, payload: &[], properties: Properties::NONE };
                client.publish(message, 0, &LIMITS, now, &mut out).unwrap();
            }
            Subscribe => {
                client.subscribe([("t", QoS::AtMostOnce)].into_iter(), now, &mut out).unwrap();
            }
            Receive(packet) => {
                client.handle_packet(&packet, now, &mut out).unwrap();
            }
        }
    }
}

#[test]
fn a_silent_client_pings_once_per_keepalive() {
    run([
        (0, idle(10)),
        (9, idle(10)),
        (10, ping(15)),
        (11, Receive(Packet::PingResp)),
        (15, idle(20)),
        (20, ping(25)),
        (21, Receive(Packet::PingResp)),
        (21, idle(30)),
    ]);
}

#[test]
fn whatever_is_written_puts_the_ping_off() {
    run([
        (5, Publish(QoS::AtMostOnce)),
        (10, idle(15)),
        (12, Publish(QoS::AtLeastOnce)),
        (15, idle(22)),
        (16, Subscribe),
        (22, idle(26)),
        (23, Receive(message(QoS::AtLeastOnce))),
        (26, idle(33)),
        (30, Receive(message(QoS::ExactlyOnce))),
        (33, idle(40)),
        (35, Receive(Packet::PubRel(super::id(3).into()))),
        (40, idle(45)),
        (44, Publish(QoS::ExactlyOnce)),
        (50, Receive(Packet::PubRec(THIRD_ID.into()))),
        (54, idle(60)),
        (60, ping(65)),
    ]);
}

#[test]
fn what_is_only_received_does_not() {
    run([(5, Receive(message(QoS::AtMostOnce))), (10, ping(15))]);
}

#[test]
fn a_silent_server_expires_after_half_a_keepalive_more() {
    run([(10, ping(15)), (14, idle(15)), (15, EXPIRED), (16, EXPIRED)]);
    // Polled late, the ping is late, and so is the end.
    run([(13, ping(18)), (17, idle(18)), (18, EXPIRED)]);
    // Writing does not keep a silent server alive.
    run([(10, ping(15)), (12, Publish(QoS::AtMostOnce)), (14, idle(15)), (15, EXPIRED)]);
}

#[test]
fn any_packet_is_a_sign_of_life() {
    run([
        (10, ping(15)),
        (12, Receive(message(QoS::AtMostOnce))),
        (15, idle(20)),
        // PINGRESP is still missing behind other messages; the server wants to hear from us nevertheless.
        (20, ping(25)),
        (24, Receive(Packet::PingResp)),
        (24, Receive(Packet::PingResp)),
        (25, idle(30)),
        (30, ping(35)),
        (35, EXPIRED),
    ]);
}

#[test]
fn nothing_is_pinged_without_keepalive_or_connection() {
    let mut out = Vec::new();
    let never = KeepAlive::Idle { next: Nanos::MAX };
    let mut client = online();
    let off = Limits { keep_alive: 0, ..LIMITS };
    assert_eq!(client.poll_keepalive(1_000 * SECOND, &off, &mut out), never);
    client.disconnect(&mut Vec::new());
    assert_eq!(client.poll_keepalive(1_000 * SECOND, &LIMITS, &mut out), never);
    client.handle_disconnected();
    assert_eq!(client.poll_keepalive(1_000 * SECOND, &LIMITS, &mut out), never);
    client.connect(&super::plain_connect(), 1_000 * SECOND, &mut Vec::new()).unwrap();
    let later = KeepAlive::Idle { next: 1_030 * SECOND };
    assert_eq!(client.poll_keepalive(1_020 * SECOND, &LIMITS, &mut out), later);
    assert!(out.is_empty());
}

#[test]
fn a_new_connection_owes_no_pings() {
    let mut client = online();
    let mut out = Vec::new();
    assert_eq!(
        client.poll_keepalive(10 * SECOND, &LIMITS, &mut out),
        KeepAlive::PingSent { next: 15 * SECOND }
    );
    client.handle_disconnected();
    client.connect(&super::plain_connect(), 20 * SECOND, &mut out).unwrap();
    super::handle(&mut client, Packet::ConnAck(super::ACCEPTED)).unwrap();
    assert_eq!(client.poll_keepalive(21 * SECOND, &LIMITS, &mut out), KeepAlive::Idle { next: 30 * SECOND });
    assert_eq!(super::handle(&mut client, Packet::PingResp), Err(ProtocolError::UnaskedPingResp));
}

#[test]
fn a_redelivery_is_written_too() {
    let (mut client, mut out) = (online(), Vec::new());
    super::publish(&mut client, QoS::AtLeastOnce, 0, &LIMITS).unwrap();
    super::reconnect(&mut client, true);
    client.redeliver(7 * SECOND, &mut out, |_, resend| {
        resend.publish(Outgoing {
            topic: "t",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::NONE,
            payload: &[],
        })
    });
    let next = 17 * SECOND;
    assert_eq!(client.poll_keepalive(10 * SECOND, &LIMITS, &mut out), KeepAlive::Idle { next });
}
