//! Whole exchanges over a link that holds.

use super::super::*;
use super::link::Pair;
use super::{handle, id, online, publish};
use crate::wire::Packet;
use crate::wire::Properties;

fn bytes_of(packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes).unwrap();
    bytes
}

#[test]
fn messages_of_every_qos_arrive_once_and_in_order_both_ways() {
    let mut pair = Pair::new(Limits { inflight: 4, ..Limits::default() });
    pair.todo = (1..=50).collect();
    pair.connect();
    pair.run(1, 1);
    (101..=150).for_each(|seq| pair.broker_publish(seq));
    pair.settle();
    assert_eq!(pair.broker.delivered, (1..=50).collect::<Vec<_>>());
    assert_eq!(pair.received, (101..=150).collect::<Vec<_>>());
    let mut acked = pair.acked.clone();
    acked.sort();
    assert_eq!(acked, (1..=50).filter(|seq| seq % 3 != 0).collect::<Vec<_>>());
    assert_eq!(pair.client.inflight(), 0);
}

#[test]
fn a_qos_2_message_is_received_then_acked() {
    let (mut client, limits) = (online(), Limits::default());
    let first = publish(&mut client, QoS::ExactlyOnce, 7, &limits).unwrap();
    assert_eq!(
        handle(&mut client, Packet::PubRec(first.into())),
        Ok((Event::Received(7), bytes_of(Packet::PubRel(first.into()))))
    );
    assert_eq!(client.inflight(), 1);
    assert_eq!(handle(&mut client, Packet::PubComp(first.into())), Ok((Event::Acked(7), vec![])));
    assert_eq!(client.inflight(), 0);
}

#[test]
fn a_qos_0_message_waits_for_nothing() {
    let (mut client, mut out) = (online(), Vec::new());
    let message = Outgoing {
        topic: "a/b",
        qos: QoS::AtMostOnce,
        retain: true,
        payload: &[b"x", b"", b"yz"],
        properties: Properties::NONE,
    };
    let limits = Limits { inflight: 1, ..Limits::default() };
    for _ in 0..3 {
        out.clear();
        client.publish(message, 1, &limits, 0, &mut out).unwrap();
    }
    assert_eq!(out, b"\x31\x08\x00\x03a/bxyz");
    assert_eq!(client.inflight(), 0);
}

#[test]
fn a_repeated_qos_2_message_is_answered_but_not_first() {
    let mut client = online();
    let message = wire::Publish {
        dup: false,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "t",
        packet_id: Some(id(9)),
        payload: b"",
        properties: Properties::NONE,
    };
    for first in [true, false] {
        assert_eq!(
            handle(&mut client, Packet::Publish(message)),
            Ok((Event::Message { publish: message, first }, bytes_of(Packet::PubRec(id(9).into()))))
        );
    }
    for _once_and_again in 0..2 {
        let released = Ok((Event::None, bytes_of(Packet::PubComp(id(9).into()))));
        assert_eq!(handle(&mut client, Packet::PubRel(id(9).into())), released);
    }
    let (event, _) = handle(&mut client, Packet::Publish(message)).unwrap();
    assert_eq!(event, Event::Message { publish: message, first: true });
}

#[test]
fn many_qos_2_messages_may_be_unreleased_at_once() {
    let mut client = online();
    for round in [true, false] {
        for value in 1..=1_000 {
            let publish = wire::Publish {
                dup: !round,
                qos: QoS::ExactlyOnce,
                retain: false,
                topic: "t",
                packet_id: Some(id(value)),
                payload: b"",
                properties: Properties::NONE,
            };
            let (event, _) = handle(&mut client, Packet::Publish(publish)).unwrap();
            assert_eq!(event, Event::Message { publish, first: round });
        }
    }
    for value in 1..=1_000 {
        handle(&mut client, Packet::PubRel(id(value).into())).unwrap();
    }
    let publish = wire::Publish {
        dup: false,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "t",
        packet_id: Some(id(1)),
        payload: b"",
        properties: Properties::NONE,
    };
    let (event, _) = handle(&mut client, Packet::Publish(publish)).unwrap();
    assert_eq!(event, Event::Message { publish, first: true }, "its id was released");
}

#[test]
fn subscribe_and_unsubscribe_bring_their_ids_back() {
    let (mut client, mut out) = (online(), Vec::new());
    let filters = [("a/+", QoS::AtMostOnce), ("b/#", QoS::ExactlyOnce)];
    let first = client.subscribe(filters.into_iter(), 0, &mut out).unwrap();
    let second = client.unsubscribe(["a/+"].into_iter(), 0, &mut out).unwrap();
    assert_eq!((first, second), (id(1), id(2)));
    assert_eq!(out, b"\x82\x0e\0\x01\0\x03a/+\0\0\x03b/#\x02\xa2\x07\0\x02\0\x03a/+");
    assert_eq!(
        handle(&mut client, Packet::UnsubAck(second.into())),
        Ok((Event::Unsubscribed(second), vec![]))
    );
    let (packet, _) = wire::decode(b"\x90\x04\0\x01\0\x80", wire::MAX_PACKET).unwrap().unwrap();
    let (Event::Subscribed { id, codes }, _) = handle(&mut client, packet).unwrap() else { panic!() };
    assert_eq!(id, first);
    let expected = [wire::SubAckCode::Granted(QoS::AtMostOnce), wire::SubAckCode::Failure];
    assert!(codes.codes().eq(expected));
}

#[test]
fn what_cannot_be_encoded_is_not_written() {
    let (mut client, mut out) = (Client::<u64>::new(), vec![1]);
    let nameless = wire::Connect { client_id: "", clean_session: false, ..super::plain_connect() };
    assert_eq!(client.connect(&nameless, 0, &mut out), Err(wire::EncodeError::EmptyClientId));
    assert_eq!(client.state(), State::Offline);
    let mut client = online();
    let refused = client.subscribe([("a/#/b", QoS::AtMostOnce)].into_iter(), 0, &mut out);
    assert!(matches!(refused, Err(RequestError::Encode(_))), "{refused:?}");
    let refused = client.unsubscribe([].into_iter(), 0, &mut out);
    assert!(matches!(refused, Err(RequestError::Encode(wire::EncodeError::NoFilter))), "{refused:?}");
    assert_eq!(out, [1]);
    assert_eq!(client.inflight(), 0);
}

#[test]
fn after_disconnect_acks_count_and_nothing_is_written() {
    let (mut client, limits) = (online(), Limits::default());
    let ids: Vec<_> = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce]
        .into_iter()
        .enumerate()
        .map(|(token, qos)| publish(&mut client, qos, token as u64, &limits).unwrap())
        .collect();
    handle(&mut client, Packet::PubRec(ids[1].into())).unwrap();
    let mut out = Vec::new();
    client.disconnect(&mut out);
    assert_eq!((out.as_slice(), client.state()), (&b"\xe0\0"[..], State::Closing));
    client.disconnect(&mut out);
    assert_eq!(out.len(), 2, "one DISCONNECT is enough");

    assert_eq!(handle(&mut client, Packet::PubAck(ids[0].into())), Ok((Event::Acked(0), vec![])));
    assert_eq!(handle(&mut client, Packet::PubComp(ids[1].into())), Ok((Event::Acked(1), vec![])));
    assert_eq!(handle(&mut client, Packet::PubRec(ids[2].into())), Ok((Event::Received(2), vec![])));
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let packet_id = Some(id(5));
        let publish = wire::Publish {
            dup: false,
            qos,
            retain: false,
            topic: "t",
            packet_id,
            payload: b"",
            properties: Properties::NONE,
        };
        assert_eq!(handle(&mut client, Packet::Publish(publish)), Ok((Event::None, vec![])));
    }
    assert_eq!(handle(&mut client, Packet::PubRel(id(5).into())), Ok((Event::None, vec![])));
    assert_eq!(client.abandon().collect::<Vec<_>>(), [2]);
}

#[test]
fn a_refused_client_is_closing() {
    let (mut client, mut out) = (Client::<u64>::new(), Vec::new());
    client.connect(&super::plain_connect(), 0, &mut out).unwrap();
    assert_eq!(client.state(), State::Connecting);
    let code = ConnectCode::NotAuthorized;
    let refusal = Packet::ConnAck(wire::ConnAck::from(code));
    assert_eq!(handle(&mut client, refusal), Ok((Event::Refused(code), vec![])));
    assert_eq!(client.state(), State::Closing);
    client.handle_disconnected();
    assert_eq!(client.state(), State::Offline);
}
