//! What MQTT 5 has that others have not.

use super::*;
use crate::wire::v5::{Place, PropertyList, Value};
use crate::wire::{Ack, Auth};

fn five(clean_session: bool) -> Client<u64> {
    let mut client = Client::new();
    let connect = wire::Connect { protocol: Protocol::V5, clean_session, ..plain_connect() };
    client.connect(&connect, 0, &mut Vec::new()).unwrap();
    let event = handle(&mut client, Packet::ConnAck(ACCEPTED));
    assert_eq!(event, Ok((Event::Connected { session_present: false }, vec![])));
    client
}

/// Publishes message `token`; answers what was written.
fn written(client: &mut Client<u64>, qos: QoS, token: u64, properties: Properties<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let message = Outgoing { topic: "t", qos, retain: false, properties, payload: &[b"x"] };
    client.publish(message, token, &Limits::default(), 0, &mut out).unwrap();
    out
}

#[test]
fn what_is_written_is_that_of_5() {
    let mut client = five(false);
    let said = [(PropertyId::ContentType, Value::Text("c"))];
    let said = PropertyList::new(Place::Packet(PacketType::Publish), said).unwrap();
    let publish = written(&mut client, QoS::AtLeastOnce, 0, said.get());
    assert_eq!(publish, b"\x32\x0B\0\x01t\0\x01\x04\x03\0\x01cx");
    let mut out = Vec::new();
    let options = v5::Options { no_local: true, ..QoS::AtLeastOnce.into() };
    client.subscribe([("a", options)].into_iter(), 0, &mut out).unwrap();
    client.unsubscribe(["a"].into_iter(), 0, &mut out).unwrap();
    assert_eq!(out, b"\x82\x07\0\x02\0\0\x01a\x05\xA2\x06\0\x03\0\0\x01a");
    client.handle_disconnected();
    out.clear();
    let connect = wire::Connect { protocol: Protocol::V5, clean_session: false, ..plain_connect() };
    client.connect(&connect, 0, &mut out).unwrap();
    out.clear();
    let connack = ConnAck { session_present: true, ..ACCEPTED };
    handle(&mut client, Packet::ConnAck(connack)).unwrap();
    client.redeliver(0, &mut out, |_, resend| {
        let (qos, retain, properties) = (QoS::AtMostOnce, false, said.get());
        resend.publish(Outgoing { topic: "t", qos, retain, properties, payload: &[b"x"] })
    });
    assert_eq!(out, b"\x3A\x0B\0\x01t\0\x01\x04\x03\0\x01cx", "the same with DUP");
}

/// Nothing more is to be done about a message that the server does not take.
#[test]
fn a_message_may_be_refused() {
    for (qos, form) in [
        (QoS::AtLeastOnce, (|ack| Packet::PubAck(ack)) as fn(Ack<'static>) -> Packet<'static>),
        (QoS::ExactlyOnce, |ack| Packet::PubRec(ack)),
    ] {
        let mut client = five(true);
        written(&mut client, qos, 5, Properties::NONE);
        written(&mut client, qos, 6, Properties::NONE);
        let refusal = Ack { reason: ReasonCode::QuotaExceeded, ..id(1).into() };
        let event = Event::Rejected(5, ReasonCode::QuotaExceeded);
        assert_eq!(handle(&mut client, form(refusal)), Ok((event, vec![])), "no PUBREL");
        assert_eq!(client.inflight(), 1);
        let unknown = handle(&mut client, form(refusal));
        assert!(matches!(unknown, Err(ProtocolError::UnknownId { .. })), "{unknown:?}");
        // After DISCONNECT, too.
        client.disconnect(&mut Vec::new());
        let refusal = Ack { packet_id: id(2), ..refusal };
        assert_eq!(
            handle(&mut client, form(refusal)),
            Ok((Event::Rejected(6, ReasonCode::QuotaExceeded), vec![]))
        );
    }
}

#[test]
fn a_message_that_nobody_hears_is_acknowledged() {
    let mut client = five(true);
    written(&mut client, QoS::AtLeastOnce, 5, Properties::NONE);
    written(&mut client, QoS::ExactlyOnce, 6, Properties::NONE);
    let nobody = |number| Ack { reason: ReasonCode::NoMatchingSubscribers, ..id(number).into() };
    assert_eq!(handle(&mut client, Packet::PubAck(nobody(1))), Ok((Event::Acked(5), vec![])));
    let pubrel = b"\x62\x02\0\x02".to_vec();
    assert_eq!(handle(&mut client, Packet::PubRec(nobody(2))), Ok((Event::Received(6), pubrel)));
    // The server does not know it any more, and so has released it.
    let forgotten = Ack { reason: ReasonCode::PacketIdentifierNotFound, ..id(2).into() };
    assert_eq!(handle(&mut client, Packet::PubComp(forgotten)), Ok((Event::Acked(6), vec![])));
}

#[test]
fn a_server_may_end_the_connection_with_a_reason() {
    let leave = Packet::Disconnect(ReasonCode::ServerShuttingDown.into());
    let mut client = five(true);
    let event = Event::Disconnected(ReasonCode::ServerShuttingDown.into());
    assert_eq!(handle(&mut client, leave), Ok((event, vec![])));
    assert_eq!(client.state(), State::Closing);
    let older = handle(&mut online(), leave);
    assert_eq!(older, Err(ProtocolError::ClientOnly(PacketType::Disconnect)));
}

#[test]
fn nobody_has_asked_for_authentication() {
    let auth = Auth { reason: ReasonCode::ContinueAuthentication, properties: Properties::NONE };
    assert_eq!(handle(&mut five(true), Packet::Auth(auth)), Err(ProtocolError::UnaskedAuth));
}

/// Who is not waited for any more still counts with the server (MQTT 5, 4.9).
#[test]
fn a_receive_maximum_is_kept_beyond_what_is_given_up() {
    let mut client = five(true);
    let limits = Limits { inflight: 2, receive_maximum: 2, ..Limits::default() };
    for token in 0..2 {
        written(&mut client, QoS::AtLeastOnce, token, Properties::NONE);
    }
    assert_eq!(client.expire_oldest(), Some(0));
    assert_eq!((client.inflight(), client.room(QoS::AtLeastOnce, &limits)), (1, 0));
    handle(&mut client, Packet::PubAck(id(1).into())).unwrap();
    assert_eq!(client.room(QoS::AtLeastOnce, &limits), 1);
}

#[test]
fn what_a_server_grants_narrows_limits_down() {
    let asked = Limits {
        inflight: 100,
        keep_alive: Limits::silence(60),
        clean_session: true,
        aliases: 0,
        receive_maximum: u16::MAX,
    };
    let granted = |properties: &[(PropertyId, Value<'_>)]| {
        let list = PropertyList::new(Place::Packet(PacketType::ConnAck), properties.iter().copied()).unwrap();
        asked.granted(list.get())
    };
    assert_eq!(granted(&[]), asked);
    let most = |number| granted(&[(PropertyId::ReceiveMaximum, Value::Number(number))]).inflight;
    assert_eq!((most(20), most(65_535)), (20, 100));
    let aliases = |number| granted(&[(PropertyId::TopicAliasMaximum, Value::Number(number))]).aliases;
    assert_eq!((aliases(0), aliases(7)), (0, 7));
    let silence = |seconds| granted(&[(PropertyId::ServerKeepAlive, Value::Number(seconds))]).keep_alive;
    assert_eq!((silence(8), silence(0)), (6 * SECOND, 0));
}
