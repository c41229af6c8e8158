//! Packet ids and the in-flight window.

use super::super::*;
use super::{handle, id, online, publish, reconnect};
use crate::wire::Packet;
use crate::wire::Properties;
use proptest::prelude::*;

const LIMITS: Limits =
    Limits { inflight: u16::MAX, keep_alive: 0, clean_session: true, aliases: 0, receive_maximum: u16::MAX };
const QOS: QoS = QoS::AtLeastOnce;

fn ack(client: &mut Client<u64>, id: PacketId) -> Event<'static, u64> {
    let mut out = Vec::new();
    let event = client.handle_packet(&Packet::PubAck(id.into()), 0, &mut out).unwrap();
    assert!(out.is_empty());
    match event {
        Event::Acked(token) => Event::Acked(token),
        Event::AckedLate(token) => Event::AckedLate(token),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_cycle_through_1_to_65535_past_a_stuck_one() {
    let mut client = online();
    let stuck = publish(&mut client, QOS, 0, &LIMITS).unwrap();
    assert_eq!(stuck, id(1));
    let mut expected = 1u16;
    for token in 1..=200_000 {
        expected = if expected == 65_535 { 2 } else { expected + 1 };
        let got = publish(&mut client, QOS, token, &LIMITS).unwrap();
        assert_eq!(got, id(expected), "message {token}");
        assert_eq!(client.oldest(), Some(&0));
        assert_eq!(ack(&mut client, got), Event::Acked(token));
    }
    assert_eq!(client.inflight(), 1);
    assert_eq!(ack(&mut client, stuck), Event::Acked(0));
    assert_eq!(client.inflight(), 0);
    let unknown = ProtocolError::UnknownId { packet: PacketType::PubAck, id: stuck };
    assert_eq!(handle(&mut client, Packet::PubAck(stuck.into())), Err(unknown));
}

#[test]
fn a_stuck_message_is_redelivered_first_after_many_laps() {
    let mut client = online();
    publish(&mut client, QoS::ExactlyOnce, 0, &LIMITS).unwrap();
    publish(&mut client, QOS, 1, &LIMITS).unwrap();
    for token in 2..150_000 {
        let got = publish(&mut client, QOS, token, &LIMITS).unwrap();
        ack(&mut client, got);
    }
    publish(&mut client, QOS, 150_000, &LIMITS).unwrap();
    reconnect(&mut client, true);
    assert_eq!(redelivered(&mut client), [0, 1, 150_000]);
}

fn redelivered(client: &mut Client<u64>) -> Vec<u64> {
    let (mut tokens, mut out) = (vec![], vec![]);
    client.redeliver(0, &mut out, |token, resend| {
        tokens.push(*token);
        resend.publish(Outgoing {
            topic: "t",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::NONE,
            payload: &[],
        })
    });
    tokens
}

#[test]
fn a_full_window_takes_nothing_but_qos_0() {
    let mut client = online();
    let limits = Limits { inflight: 2, ..LIMITS };
    let first = publish(&mut client, QOS, 0, &limits).unwrap();
    publish(&mut client, QoS::ExactlyOnce, 1, &limits).unwrap();
    assert!(client.room(QOS, &limits) == 0);
    assert!(client.room(QoS::ExactlyOnce, &limits) == 0);
    assert!(client.room(QoS::AtMostOnce, &limits) > 0);
    assert_eq!(publish(&mut client, QOS, 2, &limits), Err(WindowFull));
    ack(&mut client, first);
    assert!(client.room(QOS, &limits) > 0);
    publish(&mut client, QOS, 2, &limits).unwrap();
}

#[test]
fn every_id_can_be_in_use_at_once() {
    let mut client = online();
    // Ids begin somewhere in the middle, so that the full window wraps.
    for token in 0..100 {
        let got = publish(&mut client, QOS, token, &LIMITS).unwrap();
        ack(&mut client, got);
    }
    for token in 0..65_535 {
        publish(&mut client, QOS, token, &LIMITS).unwrap();
    }
    assert_eq!(publish(&mut client, QOS, 0, &LIMITS), Err(WindowFull));
    let mut out = Vec::new();
    let refused = client.subscribe([("t", QOS)].into_iter(), 0, &mut out);
    assert_eq!((refused, out.len()), (Err(RequestError::NoFreeId), 0));
    // The only free id is found wherever it is.
    for value in [40_000, 100, 99, 65_535, 1] {
        ack(&mut client, id(value));
        assert_eq!(publish(&mut client, QOS, 7, &LIMITS), Ok(id(value)));
        assert_eq!(publish(&mut client, QOS, 7, &LIMITS), Err(WindowFull));
    }
    assert_eq!(client.abandon_offline(), 65_535);
}

impl Client<u64> {
    fn abandon_offline(&mut self) -> usize {
        self.handle_disconnected();
        self.abandon().count()
    }
}

#[test]
fn a_pending_subscription_keeps_its_id() {
    let (mut client, mut out) = (online(), Vec::new());
    let pending = client.subscribe([("t", QOS)].into_iter(), 0, &mut out).unwrap();
    for token in 0..70_000 {
        let got = publish(&mut client, QOS, token, &LIMITS).unwrap();
        assert_ne!(got, pending);
        ack(&mut client, got);
    }
    let (packet, _) = wire::decode(b"\x90\x03\0\x01\x01", wire::MAX_PACKET).unwrap().unwrap();
    let (event, _) = handle(&mut client, packet).unwrap();
    assert!(matches!(event, Event::Subscribed { id, .. } if id == pending));
}

#[test]
fn given_up_messages_make_room_and_keep_their_ids() {
    let mut client = online();
    let limits = Limits { inflight: 3, ..LIMITS };
    let ids: Vec<_> = (0..3).map(|token| publish(&mut client, QOS, token, &limits).unwrap()).collect();
    assert_eq!(client.expire_oldest(), Some(0));
    assert_eq!(client.expire_oldest(), Some(1));
    assert_eq!((client.inflight(), client.oldest()), (1, Some(&2)));
    publish(&mut client, QOS, 3, &limits).unwrap();
    assert_eq!(ack(&mut client, ids[1]), Event::AckedLate(1));
    for token in 4..70_000 {
        let got = publish(&mut client, QOS, token, &limits).unwrap();
        assert_ne!(got, ids[0]);
        ack(&mut client, got);
    }
    assert_eq!(ack(&mut client, ids[0]), Event::AckedLate(0));
    assert_eq!(ack(&mut client, ids[2]), Event::Acked(2));
    assert_eq!(client.expire_oldest(), Some(3));
    assert_eq!((client.expire_oldest(), client.oldest(), client.inflight()), (None, None, 0));
}

#[test]
fn a_given_up_message_is_redelivered_but_not_abandoned() {
    let mut client = online();
    for token in 0..3 {
        publish(&mut client, QOS, token, &LIMITS).unwrap();
    }
    client.expire_oldest();
    reconnect(&mut client, true);
    assert_eq!(redelivered(&mut client), [0, 1, 2]);
    client.handle_disconnected();
    assert_eq!(client.abandon().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_late_qos_2_message_is_seen_through() {
    let mut client = online();
    let late = publish(&mut client, QoS::ExactlyOnce, 5, &LIMITS).unwrap();
    client.expire_oldest();
    let (event, out) = handle(&mut client, Packet::PubRec(late.into())).unwrap();
    assert_eq!((event, out.as_slice()), (Event::None, &b"\x62\x02\0\x01"[..]));
    assert_eq!(handle(&mut client, Packet::PubComp(late.into())), Ok((Event::AckedLate(5), vec![])));
}

#[test]
fn a_message_can_be_settled_by_its_owner() {
    let mut client = online();
    let first = publish(&mut client, QoS::ExactlyOnce, 5, &LIMITS).unwrap();
    let second = publish(&mut client, QoS::ExactlyOnce, 6, &LIMITS).unwrap();
    let error = handle(&mut client, Packet::PubAck(first.into())).unwrap_err();
    assert!(matches!(error, ProtocolError::AckOfWrongKind { id, .. } if id == first));
    assert_eq!(client.settle(first), Event::Acked(5));
    assert_eq!(client.settle(first), Event::None);
    client.expire_oldest();
    assert_eq!(client.settle(second), Event::AckedLate(6));
    assert_eq!(client.inflight(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a plain map, with acks in any order and ids about to wrap.
    #[test]
    fn acks_in_any_order_bring_the_right_tokens(
        burnt in 65_500u32..65_600,
        window in 1u16..40,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..400),
    ) {
        let (mut client, limits) = (online(), Limits { inflight: window, ..LIMITS });
        for _ in 0..burnt {
            let got = publish(&mut client, QOS, 0, &limits).unwrap();
            ack(&mut client, got);
        }
        let (mut model, mut token) = (Vec::<(PacketId, u64)>::new(), 0);
        for pick in picks {
            while client.room(QOS, &limits) > 0 {
                token += 1;
                let got = publish(&mut client, QOS, token, &limits).unwrap();
                prop_assert!(model.iter().all(|(id, _)| *id != got));
                model.push((got, token));
            }
            prop_assert_eq!(model.len(), usize::from(window));
            let (id, expected) = model.remove(pick.index(model.len()));
            prop_assert_eq!(ack(&mut client, id), Event::Acked(expected));
            prop_assert_eq!(client.oldest(), model.first().map(|(_, token)| token));
        }
    }
}
