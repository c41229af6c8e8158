//! Every packet against bytes written by hand from the standard's figures.

use super::*;
use crate::wire::Packet;

/// `bytes` decode to `packet`, all of them, and `packet` encodes to `bytes`, behind what is there already.
#[track_caller]
fn is(bytes: &[u8], packet: Packet<'_>) {
    assert_eq!(decode(bytes, MAX_PACKET), Ok(Some((packet, bytes.len()))));
    let mut out = vec![0xAA];
    encode(&packet, &mut out).unwrap();
    assert_eq!((out[0], &out[1..]), (0xAA, bytes));
}

#[track_caller]
fn listed(packet: PacketType, bytes: &[u8]) -> Properties<'_> {
    Properties::new(Place::Packet(packet), bytes).unwrap()
}

const BARE: Connect<'_> = Connect {
    protocol: Protocol::V5,
    bridge: false,
    client_id: "",
    keep_alive: 0,
    clean_session: true,
    will: None,
    username: None,
    password: None,
    properties: Properties::NONE,
};

#[test]
fn connect() {
    is(b"\x10\x0D\0\x04MQTT\x05\x02\0\0\0\0\0", Packet::Connect(BARE));
    // A password alone, and no name without a clean start: both are new in 5.
    let alone = Connect { password: Some(b"p"), clean_session: false, ..BARE };
    is(b"\x10\x10\0\x04MQTT\x05\x40\0\0\0\0\0\0\x01p", Packet::Connect(alone));
    // Also for who does not know the version yet.
    let bytes = b"\x10\x0D\0\x04MQTT\x05\x02\0\0\0\0\0";
    assert_eq!(crate::wire::decode(bytes, 1000), Ok(Some((Packet::Connect(BARE), bytes.len()))));
}

#[test]
fn connect_with_everything() {
    let properties =
        listed(PacketType::Connect, b"\x11\0\0\0\x78\x21\0\x14\x27\0\0\x01\0\x22\0\x0A\x26\0\x01k\0\x01v");
    let will = Will {
        topic: "w",
        payload: b"\0",
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: Properties::new(Place::Will, b"\x18\0\0\0\x05").unwrap(),
    };
    let connect = Connect {
        client_id: "c",
        keep_alive: 60,
        will: Some(will),
        username: Some("u"),
        password: Some(b"\xFF"),
        properties,
        ..BARE
    };
    let bytes = b"\x10\x37\0\x04MQTT\x05\xF6\0\x3C\x17\x11\0\0\0\x78\x21\0\x14\x27\0\0\x01\0\x22\0\x0A\x26\0\x01k\0\x01v\
        \0\x01c\x05\x18\0\0\0\x05\0\x01w\0\x01\0\0\x01u\0\x01\xFF";
    is(bytes, Packet::Connect(connect));
    let numbers = [
        (PropertyId::SessionExpiryInterval, Some(120)),
        (PropertyId::ReceiveMaximum, Some(20)),
        (PropertyId::MaximumPacketSize, Some(256)),
        (PropertyId::TopicAliasMaximum, Some(10)),
        (PropertyId::RequestProblemInformation, None),
    ];
    for (id, number) in numbers {
        assert_eq!(properties.number(id), number, "{id}");
    }
    assert!(properties.iter().any(|property| property == (PropertyId::UserProperty, Value::Pair("k", "v"))));
}

#[test]
fn connack() {
    is(&[0x20, 3, 0, 0, 0], Packet::ConnAck(ConnectCode::Accepted.into()));
    let properties = listed(PacketType::ConnAck, b"\x12\0\x02me\x13\0\x1E\x24\x01\x25\0\x1F\0\x02no");
    let connack = ConnAck { session_present: true, properties, ..ConnectCode::Accepted.into() };
    is(b"\x20\x14\x01\0\x11\x12\0\x02me\x13\0\x1E\x24\x01\x25\0\x1F\0\x02no", Packet::ConnAck(connack));
    assert_eq!(properties.text(PropertyId::AssignedClientIdentifier), Some("me"));
    assert_eq!(properties.text(PropertyId::ReasonString), Some("no"));
    assert_eq!(properties.number(PropertyId::ServerKeepAlive), Some(30));
    let refusal = ConnAck::from(ConnectCode::Reason(ReasonCode::NotAuthorized));
    is(&[0x20, 3, 0, 0x87, 0], Packet::ConnAck(refusal));
}

#[test]
fn publish() {
    let bare = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "a/b",
        packet_id: None,
        properties: Properties::NONE,
        payload: b"",
    };
    is(b"\x30\x06\0\x03a/b\0", Packet::Publish(bare));
    let once = Publish { qos: QoS::AtLeastOnce, packet_id: Some(id(10)), payload: b"hi", ..bare };
    is(b"\x32\x0A\0\x03a/b\0\x0A\0hi", Packet::Publish(once));
    let properties = listed(
        PacketType::Publish,
        b"\x01\x01\x02\0\0\0\x3C\x03\0\x01t\x08\0\x01r\x09\0\x02\0\xFF\x0B\x80\x01\x0B\x01\x26\0\0\0\0",
    );
    let again = Publish { dup: true, qos: QoS::ExactlyOnce, retain: true, properties, ..once };
    is(
        b"\x3D\x28\0\x03a/b\0\x0A\x1E\x01\x01\x02\0\0\0\x3C\x03\0\x01t\x08\0\x01r\x09\0\x02\0\xFF\x0B\x80\x01\x0B\x01\
          \x26\0\0\0\0hi",
        Packet::Publish(again),
    );
    assert_eq!(properties.number(PropertyId::MessageExpiryInterval), Some(60));
    assert_eq!(properties.text(PropertyId::ResponseTopic), Some("r"));
    let ids = properties.iter().filter(|(id, _)| *id == PropertyId::SubscriptionIdentifier);
    assert!(ids.map(|(_, value)| value).eq([Value::Number(128), Value::Number(1)]));
    // An alias in the place of a topic.
    let properties = listed(PacketType::Publish, b"\x23\0\x07");
    is(
        b"\x30\x07\0\0\x03\x23\0\x07!",
        Packet::Publish(Publish { topic: "", properties, payload: b"!", ..bare }),
    );
}

#[test]
fn acknowledgements() {
    type Form = fn(Ack<'_>) -> Packet<'_>;
    let forms: [(u8, Form); 4] = [
        (0x40, |ack| Packet::PubAck(ack)),
        (0x50, |ack| Packet::PubRec(ack)),
        (0x62, |ack| Packet::PubRel(ack)),
        (0x70, |ack| Packet::PubComp(ack)),
    ];
    for (first, packet) in forms {
        is(&[first, 2, 0x12, 0x34], packet(id(0x1234).into()));
        let kind = packet(id(1).into()).packet_type();
        let reason = match kind {
            PacketType::PubAck | PacketType::PubRec => ReasonCode::NoMatchingSubscribers,
            _ => ReasonCode::PacketIdentifierNotFound,
        };
        is(&[first, 3, 0, 1, reason as u8], packet(Ack { reason, ..id(1).into() }));
        let properties = listed(kind, b"\x1F\0\x01x");
        is(
            &[first, 8, 0, 1, reason as u8, 4, 0x1F, 0, 1, b'x'],
            packet(Ack { reason, properties, ..id(1).into() }),
        );
        // Longer than it has to be: success, and no properties, said in so many words.
        let long = [first, 4, 0, 1, 0, 0];
        assert_eq!(decode(&long, 1000), Ok(Some((packet(id(1).into()), 6))));
    }
}

#[test]
fn subscribe() {
    let bytes = b"\x82\x17\0\x0A\x02\x0B\x05\0\x03a/b\x01\0\x02+/\x2E\0\x04$a/#\x18";
    let Ok(Some((Packet::Subscribe(subscribe), 25))) = decode(bytes, MAX_PACKET) else { panic!() };
    let options = |qos, no_local, retain_as_published, retain_handling| Options {
        qos,
        no_local,
        retain_as_published,
        retain_handling,
    };
    let filters = [
        ("a/b", QoS::AtLeastOnce.into()),
        ("+/", options(QoS::ExactlyOnce, true, true, RetainHandling::DoNotSend)),
        ("$a/#", options(QoS::AtMostOnce, false, true, RetainHandling::SendIfNew)),
    ];
    assert!(subscribe.options().eq(filters));
    assert_eq!(subscribe.properties().number(PropertyId::SubscriptionIdentifier), Some(5));
    is(bytes, Packet::Subscribe(subscribe));
    let mut out = vec![0xAA];
    encode_subscribe(id(10), subscribe.properties(), filters, &mut out).unwrap();
    assert_eq!(&out[1..], bytes);
}

#[test]
fn answers_to_subscriptions() {
    let bytes = [0x90, 7, 0, 9, 0, 0, 2, 0x80, 0x97];
    let Ok(Some((Packet::SubAck(suback), 9))) = decode(&bytes, MAX_PACKET) else { panic!() };
    let codes = [
        SubAckCode::Granted(QoS::AtMostOnce),
        SubAckCode::Granted(QoS::ExactlyOnce),
        SubAckCode::Failure,
        SubAckCode::Refused(ReasonCode::QuotaExceeded),
    ];
    assert!(suback.codes().eq(codes));
    is(&bytes, Packet::SubAck(suback));
    let bytes = b"\xA2\x08\0\x0A\0\0\x03a/b";
    let Ok(Some((Packet::Unsubscribe(unsubscribe), 10))) = decode(bytes, MAX_PACKET) else { panic!() };
    assert!(unsubscribe.filters().eq(["a/b"]));
    is(bytes, Packet::Unsubscribe(unsubscribe));
    let bytes = [0xB0, 5, 0, 9, 0, 0, 0x11];
    let Ok(Some((Packet::UnsubAck(unsuback), 7))) = decode(&bytes, MAX_PACKET) else { panic!() };
    assert!(unsuback.codes().eq([ReasonCode::Success, ReasonCode::NoSubscriptionExisted]));
    is(&bytes, Packet::UnsubAck(unsuback));
}

#[test]
fn pings_leave_and_authentication() {
    is(&[0xC0, 0], Packet::PingReq);
    is(&[0xD0, 0], Packet::PingResp);
    is(&[0xE0, 0], Packet::Disconnect(ReasonCode::Success.into()));
    is(&[0xE0, 1, 0x8E], Packet::Disconnect(ReasonCode::SessionTakenOver.into()));
    let properties = listed(PacketType::Disconnect, b"\x1C\0\x01s");
    let moved = Disconnect { reason: ReasonCode::ServerMoved, properties };
    is(&[0xE0, 6, 0x9D, 4, 0x1C, 0, 1, b's'], Packet::Disconnect(moved));
    let properties = listed(PacketType::Auth, b"\x15\0\x01m");
    let auth = Auth { reason: ReasonCode::ContinueAuthentication, properties };
    is(&[0xF0, 6, 0x18, 4, 0x15, 0, 1, b'm'], Packet::Auth(auth));
    is(&[0xF0, 0], Packet::Auth(Auth { reason: ReasonCode::Success, properties: Properties::NONE }));
}

/// What is written of 3.1.1 where it is the same.
#[test]
fn a_head_is_that_of_3_1_1_and_its_properties() {
    let bytes = b"\x26\0\x01k\0\x01v".repeat(30);
    let properties = listed(PacketType::Publish, &bytes);
    let mut out = Vec::new();
    encode_head(false, QoS::AtMostOnce, true, "t", None, properties, 3, &mut out);
    // 2 + 1 for the topic, 2 for the length of the properties, 210 of them, 3 of payload: 218.
    assert_eq!(&out[..8], b"\x31\xDA\x01\0\x01t\xD2\x01");
    assert_eq!(&out[8..], bytes);
}

#[test]
fn values_that_a_property_cannot_have_are_not_written() {
    let mut out = vec![0xAA];
    let long = "x".repeat(65_536);
    for (id, value) in [
        (PropertyId::TopicAlias, Value::Number(0)),
        (PropertyId::TopicAlias, Value::Number(65_536)),
        (PropertyId::MaximumQoS, Value::Number(2)),
        (PropertyId::SubscriptionIdentifier, Value::Number(0)),
        (PropertyId::SubscriptionIdentifier, Value::Number(1 << 28)),
        (PropertyId::ContentType, Value::Text("\0")),
        (PropertyId::ContentType, Value::Bytes(b"x")),
        (PropertyId::UserProperty, Value::Pair("k", &long)),
    ] {
        let error = id.write(value, &mut out).unwrap_err().to_string();
        assert!(error.contains(id.name()), "{error}");
    }
    assert!(PropertyId::ResponseTopic.write(Value::Text("a/#"), &mut out).is_err());
    assert_eq!(out, [0xAA]);
    let elsewhere = Connect { properties: Properties(b"\x23\0\x01"), ..BARE };
    assert!(Packet::Connect(elsewhere).encode(&mut out).is_err());
    assert_eq!(out, [0xAA]);
}

/// Tables 2-4 and 2-6, and who is listed in them.
#[test]
fn tables_are_whole() {
    let numbers = PropertyId::ALL.iter().map(|id| *id as u8);
    let known = [
        1, 2, 3, 8, 9, 11, 17, 18, 19, 21, 22, 23, 24, 25, 26, 28, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42,
    ];
    assert!(numbers.eq(known));
    let of = |packet| ReasonCode::ALL.iter().filter(|reason| reason.is_of(packet)).count();
    use PacketType::{Auth, ConnAck, Disconnect, PubAck, PubComp, PubRec, PubRel, SubAck, UnsubAck};
    let counts = [ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth].map(of);
    // DISCONNECT has 29 in table 3-10, and *bad authentication method* beside in table 2-6.
    assert_eq!(counts, [22, 9, 9, 2, 2, 12, 7, 30, 3]);
    let at = |packet| PropertyId::ALL.iter().filter(|id| id.is_of(Place::Packet(packet))).count();
    use PacketType::{Connect, Publish, Subscribe, Unsubscribe};
    assert_eq!(
        [Connect, ConnAck, Publish, Subscribe, Unsubscribe, Disconnect, Auth].map(at),
        [9, 17, 8, 2, 1, 4, 4]
    );
    assert_eq!([PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck].map(at), [2; 6]);
    assert_eq!(PropertyId::ALL.iter().filter(|id| id.is_of(Place::Will)).count(), 7);
}
