use proptest::prelude::*;

use super::*;
use crate::wire::Protocol::V311;
use crate::wire::{self, MAX_PACKET, Packet, decode};

const BOUNDS: Bounds = Bounds { window: 65_535, messages: 100, bytes: 1 << 20 };

fn message(payload: &[u8]) -> Message<'_> {
    Message::new("t", payload, QoS::ExactlyOnce)
}

/// What is in `out`: dup, identifier and payload of each PUBLISH; identifier of each PUBREL.
fn sent(out: &mut Vec<u8>) -> Vec<(bool, u16, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = &out[..];
    while let Some((packet, length)) = decode(rest, MAX_PACKET).unwrap() {
        rest = &rest[length..];
        match packet {
            Packet::Publish(publish) => {
                let id = publish.packet_id.map_or(0, PacketId::get);
                found.push((publish.dup, id, publish.payload.to_vec()));
            }
            Packet::PubRel(wire::Ack { packet_id: id, .. }) => {
                found.push((false, id.get(), b"pubrel".to_vec()));
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    out.clear();
    found
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

#[test]
fn identifiers_wrap_and_are_never_used_twice_at_a_time() {
    let mut outgoing = Outgoing::new(false, u16::MAX);
    let mut out = Vec::new();
    for n in 0..200_000_u32 {
        outgoing.send(V311, &message(b"x"), QoS::AtLeastOnce, &mut out);
        let expected = (n % 65_535 + 1) as u16;
        assert_eq!(sent(&mut out)[0].1, expected);
        assert_eq!(outgoing.handle_puback(id(expected)), Ack::Taken);
        assert_eq!(outgoing.handle_puback(id(expected)), Ack::Stale, "acknowledged once");
    }
    assert!(outgoing.is_idle());
}

#[test]
fn a_full_window_makes_messages_wait_until_the_oldest_is_acknowledged() {
    let bounds = Bounds { window: 2, ..BOUNDS };
    let mut outgoing = Outgoing::new(false, u16::MAX);
    let mut out = Vec::new();
    outgoing.send(V311, &message(b"1"), QoS::AtLeastOnce, &mut out);
    outgoing.send(V311, &message(b"2"), QoS::AtLeastOnce, &mut out);
    assert!(!outgoing.can_send(&bounds));
    assert!(outgoing.enqueue(&message(b"3"), QoS::AtLeastOnce, &bounds));
    out.clear();
    assert_eq!(outgoing.handle_puback(id(2)), Ack::Taken);
    assert_eq!(outgoing.send_next(V311, &bounds, &mut out), None, "identifier 1 still holds the window");
    assert_eq!(outgoing.handle_puback(id(1)), Ack::Taken);
    assert_eq!(outgoing.send_next(V311, &bounds, &mut out), Some((QoS::AtLeastOnce, 1)));
    assert_eq!(sent(&mut out), [(false, 3, b"3".to_vec())]);
    assert!(outgoing.can_send(&bounds));
}

#[test]
fn redelivery_is_in_order_with_dup_and_resumes_each_handshake_where_it_was() {
    let mut outgoing = Outgoing::new(true, u16::MAX);
    let mut out = Vec::new();
    outgoing.send(V311, &message(b"1"), QoS::AtLeastOnce, &mut out);
    outgoing.send(V311, &message(b"2"), QoS::ExactlyOnce, &mut out);
    outgoing.send(V311, &message(b"3"), QoS::ExactlyOnce, &mut out);
    outgoing.send(V311, &message(b"4"), QoS::AtLeastOnce, &mut out);
    out.clear();
    assert_eq!(outgoing.handle_pubrec(id(2)), Ack::Taken);
    assert_eq!(outgoing.handle_puback(id(4)), Ack::Taken);
    outgoing.redeliver();
    assert!(!outgoing.can_send(&BOUNDS));
    let published = std::iter::from_fn(|| outgoing.send_next(V311, &BOUNDS, &mut out)).count();
    let expected = [(true, 1, b"1".to_vec()), (false, 2, b"pubrel".to_vec()), (true, 3, b"3".to_vec())];
    assert_eq!(sent(&mut out), expected);
    assert_eq!(published, 2);
    assert_eq!(outgoing.handle_pubcomp(id(2)), Ack::Taken);
    assert_eq!(outgoing.handle_puback(id(1)), Ack::Taken);
    assert_eq!(outgoing.handle_pubrec(id(3)), Ack::Taken);
    assert_eq!(outgoing.handle_pubcomp(id(3)), Ack::Taken);
    assert!(outgoing.is_idle());
    assert_eq!(outgoing.bytes, 0);
}

#[test]
fn the_queue_is_bounded_in_messages_and_in_bytes() {
    let bounds = Bounds { window: 1, messages: 3, bytes: 10_000 };
    let mut outgoing = Outgoing::new(true, u16::MAX);
    assert_eq!((0..5).filter(|_| outgoing.enqueue(&message(b"x"), QoS::AtLeastOnce, &bounds)).count(), 3);
    let mut outgoing = Outgoing::new(true, u16::MAX);
    let large = [0; 6_000];
    assert_eq!((0..5).filter(|_| outgoing.enqueue(&message(&large), QoS::AtLeastOnce, &bounds)).count(), 2);
    let mut out = Vec::new();
    assert!(outgoing.send_next(V311, &bounds, &mut out).is_some());
    assert!(!outgoing.enqueue(&message(b"x"), QoS::AtLeastOnce, &bounds), "in flight is kept too");
    assert_eq!(outgoing.handle_puback(id(1)), Ack::Taken);
    assert!(outgoing.enqueue(&message(b"x"), QoS::AtLeastOnce, &bounds));
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_or_out_of_the_window_changes_nothing() {
    let mut outgoing = Outgoing::new(false, u16::MAX);
    let mut out = Vec::new();
    outgoing.send(V311, &message(b"1"), QoS::AtLeastOnce, &mut out);
    outgoing.send(V311, &message(b"2"), QoS::ExactlyOnce, &mut out);
    assert_eq!([outgoing.handle_pubrec(id(1)), outgoing.handle_pubcomp(id(1))], [Ack::WrongKind; 2]);
    assert_eq!([outgoing.handle_puback(id(2)), outgoing.handle_pubcomp(id(2))], [Ack::WrongKind; 2]);
    assert_eq!([outgoing.handle_puback(id(3)), outgoing.handle_puback(id(65_535))], [Ack::Stale; 2]);
    assert_eq!([outgoing.handle_pubrec(id(2)), outgoing.handle_pubrec(id(2))], [Ack::Taken, Ack::Stale]);
    assert_eq!([outgoing.handle_puback(id(2)), outgoing.handle_pubcomp(id(2))], [Ack::WrongKind, Ack::Taken]);
    assert_eq!(outgoing.handle_pubcomp(id(2)), Ack::Stale, "it is done, and only waits for the one before");
    assert_eq!(outgoing.handle_puback(id(1)), Ack::Taken);
    assert!(outgoing.is_idle());
}

#[test]
fn what_is_acknowledged_before_it_was_delivered_again_is_not() {
    let mut outgoing = Outgoing::new(true, u16::MAX);
    let mut out = Vec::new();
    for payload in [b"1", b"2", b"3", b"4"] {
        outgoing.send(V311, &message(payload), QoS::AtLeastOnce, &mut out);
    }
    out.clear();
    outgoing.redeliver();
    assert!(outgoing.send_next(V311, &BOUNDS, &mut out).is_some());
    for number in [3, 1, 2] {
        assert_eq!(outgoing.handle_puback(id(number)), Ack::Taken);
    }
    assert!(outgoing.send_next(V311, &BOUNDS, &mut out).is_some() && !outgoing.has_more());
    assert_eq!(sent(&mut out), [(true, 1, b"1".to_vec()), (true, 4, b"4".to_vec())]);
}

proptest! {
    #[test]
    fn acknowledgements_in_any_order_empty_the_window(order in Just((0..300_u16).collect::<Vec<_>>()).prop_shuffle()) {
        let mut outgoing = Outgoing::new(true, u16::MAX);
        let mut out = Vec::new();
        for n in 0..300_u32 {
            outgoing.send(V311, &message(&n.to_be_bytes()), QoS::AtLeastOnce, &mut out);
        }
        let ids: Vec<_> = sent(&mut out).iter().map(|(_, id, _)| *id).collect();
        for (done, at) in order.iter().enumerate() {
            prop_assert_eq!(outgoing.handle_puback(id(ids[usize::from(*at)])), Ack::Taken);
            prop_assert_eq!(outgoing.is_idle(), done == 299);
        }
        prop_assert_eq!(outgoing.bytes, 0);
    }
}
