//! The standard's statements that a packet's bytes can break, each with bytes that break it.

use super::*;
use crate::wire::TopicError;
use std::collections::BTreeSet;

/// Every normative statement of the standard that bytes alone can violate (its appendix B). The others are about the
/// order of packets, the session, what a server does with messages, which side has sent it, or cannot show.
const BREAKABLE: [&str; 64] = [
    "MQTT-1.5.4-1",
    "MQTT-1.5.4-2",
    "MQTT-1.5.5-1",
    "MQTT-2.1.3-1",
    "MQTT-2.2.1-3",
    "MQTT-2.2.1-4",
    "MQTT-2.2.1-5",
    "MQTT-2.2.1-6",
    "MQTT-2.2.2-1",
    "MQTT-3.1.2-1",
    "MQTT-3.1.2-2",
    "MQTT-3.1.2-3",
    "MQTT-3.1.2-9",
    "MQTT-3.1.2-11",
    "MQTT-3.1.2-12",
    "MQTT-3.1.2-13",
    "MQTT-3.1.2-17",
    "MQTT-3.1.2-19",
    "MQTT-3.1.2-24",
    "MQTT-3.1.3-3",
    "MQTT-3.1.3-4",
    "MQTT-3.1.3-11",
    "MQTT-3.1.3-12",
    "MQTT-3.1.4-1",
    "MQTT-3.2.2-1",
    "MQTT-3.2.2-6",
    "MQTT-3.2.2-8",
    "MQTT-3.2.2-15",
    "MQTT-3.3.1-2",
    "MQTT-3.3.1-4",
    "MQTT-3.3.2-1",
    "MQTT-3.3.2-2",
    "MQTT-3.3.2-8",
    "MQTT-3.3.2-14",
    "MQTT-3.4.2-1",
    "MQTT-3.5.2-1",
    "MQTT-3.6.1-1",
    "MQTT-3.6.2-1",
    "MQTT-3.7.2-1",
    "MQTT-3.8.1-1",
    "MQTT-3.8.3-1",
    "MQTT-3.8.3-2",
    "MQTT-3.8.3-4",
    "MQTT-3.8.3-5",
    "MQTT-3.8.4-2",
    "MQTT-3.8.4-6",
    "MQTT-3.9.3-2",
    "MQTT-3.10.1-1",
    "MQTT-3.10.3-1",
    "MQTT-3.10.3-2",
    "MQTT-3.11.3-1",
    "MQTT-3.11.3-2",
    "MQTT-3.14.1-1",
    "MQTT-3.14.2-1",
    "MQTT-3.15.1-1",
    "MQTT-3.15.2-1",
    "MQTT-4.7.0-1",
    "MQTT-4.7.1-1",
    "MQTT-4.7.1-2",
    "MQTT-4.7.3-1",
    "MQTT-4.7.3-2",
    "MQTT-4.8.2-1",
    "MQTT-4.8.2-2",
    // Any malformed packet.
    "MQTT-4.13.1-1",
];

use PacketType::{
    Auth as AUTH, ConnAck as CONNACK, Connect as CONNECT, Disconnect as DISCONNECT, PubAck as PUBACK,
    PubComp as PUBCOMP, PubRec as PUBREC, PubRel as PUBREL, Publish as PUBLISH, SubAck as SUBACK,
    Subscribe as SUBSCRIBE, UnsubAck as UNSUBACK, Unsubscribe as UNSUBSCRIBE,
};

type Row = (&'static [u8], Fault, &'static str);

const fn flags(packet: PacketType, flags: u8) -> Fault {
    Fault::Flags { packet, flags }
}

const fn truncated(packet: PacketType, field: Field) -> Fault {
    Fault::Truncated { packet, field }
}

const fn utf8(packet: PacketType, field: Field) -> Fault {
    Fault::Utf8 { packet, field }
}

const fn null(packet: PacketType, field: Field) -> Fault {
    Fault::NullCharacter { packet, field }
}

const fn topic(packet: PacketType, error: TopicError) -> Fault {
    Fault::Topic { packet, error }
}

const fn reason(packet: PacketType, code: u8) -> Fault {
    Fault::Reason { packet, code }
}

const fn value(packet: PacketType, id: PropertyId) -> Fault {
    Fault::Value { packet, id }
}

const HEADER: &[Row] = &[
    (&[0x00, 0], Fault::ReservedType(0), "MQTT-4.13.1-1"),
    (&[0xC0, 0x80, 0x80, 0x80, 0x80], Fault::Number, "MQTT-4.13.1-1"),
    (&[0xC0, 0x80, 0x00], Fault::PaddedNumber, "MQTT-1.5.5-1"),
    (&[0x40, 0x82, 0x00, 0, 9], Fault::PaddedNumber, "MQTT-1.5.5-1"),
    (&[0x30, 0xFF, 0x07], Fault::Oversized { length: 1026, max: 1000 }, "MQTT-3.1.2-24"),
    (&[0x30, 0xFF, 0x07], Fault::Oversized { length: 1026, max: 1000 }, "MQTT-3.2.2-15"),
    (&[0xC0, 1, 0], Fault::Length { packet: PacketType::PingReq, remaining: 1 }, "MQTT-4.13.1-1"),
    (&[0x42, 2, 0, 1], flags(PUBACK, 2), "MQTT-2.1.3-1"),
    (&[0x60, 2, 0, 1], flags(PUBREL, 0), "MQTT-3.6.1-1"),
    (b"\x80\x07\0\x0A\0\0\x01a\0", flags(SUBSCRIBE, 0), "MQTT-3.8.1-1"),
    (b"\xA0\x06\0\x0A\0\0\x01a", flags(UNSUBSCRIBE, 0), "MQTT-3.10.1-1"),
    (&[0xE1, 0], flags(DISCONNECT, 1), "MQTT-3.14.1-1"),
    (&[0xF8, 0], flags(AUTH, 8), "MQTT-3.15.1-1"),
];

/// Flags: 02 clean start, 06 and a will, 82 and a user name, 42 and a password.
const CONNECTING: &[Row] = &[
    (b"\x10\x0D\0\x04mqtt\x05\x02\0\0\0\0\0", Fault::Protocol, "MQTT-3.1.2-1"),
    (b"\x10\x0C\0\x04MQTT\x04\x02\0\0\0\0", Fault::Protocol, "MQTT-3.1.2-2"),
    (b"\x10\x07\0\x04MQTT\x05", truncated(CONNECT, Field::ConnectFlags), "MQTT-3.1.4-1"),
    (b"\x10\x09\0\x04MQTT\x05\x02\0", truncated(CONNECT, Field::KeepAlive), "MQTT-3.1.4-1"),
    (b"\x10\x0D\0\x04MQTT\x05\x03\0\0\0\0\0", Fault::ConnectReservedFlag, "MQTT-3.1.2-3"),
    (b"\x10\x0D\0\x04MQTT\x05\x0A\0\0\0\0\0", Fault::WillQoSWithoutWill, "MQTT-3.1.2-11"),
    (b"\x10\x0D\0\x04MQTT\x05\x22\0\0\0\0\0", Fault::WillRetainWithoutWill, "MQTT-3.1.2-13"),
    (b"\x10\x0D\0\x04MQTT\x05\x1E\0\0\0\0\0", Fault::WillQoS, "MQTT-3.1.2-12"),
    (b"\x10\x0A\0\x04MQTT\x05\x02\0\0", truncated(CONNECT, Field::PropertyLength), "MQTT-2.2.2-1"),
    (b"\x10\x0B\0\x04MQTT\x05\x02\0\0\0", truncated(CONNECT, Field::ClientId), "MQTT-3.1.3-3"),
    (b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\x01\xFF", utf8(CONNECT, Field::ClientId), "MQTT-3.1.3-4"),
    (b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\x01\0", null(CONNECT, Field::ClientId), "MQTT-1.5.4-2"),
    (b"\x10\x0E\0\x04MQTT\x05\x06\0\0\0\0\0\0", truncated(CONNECT, Field::WillTopic), "MQTT-3.1.2-9"),
    (
        b"\x10\x12\0\x04MQTT\x05\x06\0\0\0\0\0\0\0\x01\xC0\0\0",
        utf8(CONNECT, Field::WillTopic),
        "MQTT-3.1.3-11",
    ),
    (b"\x10\x0D\0\x04MQTT\x05\x82\0\0\0\0\0", truncated(CONNECT, Field::UserName), "MQTT-3.1.2-17"),
    (b"\x10\x10\0\x04MQTT\x05\x82\0\0\0\0\0\0\x01\x80", utf8(CONNECT, Field::UserName), "MQTT-3.1.3-12"),
    (b"\x10\x0D\0\x04MQTT\x05\x42\0\0\0\0\0", truncated(CONNECT, Field::Password), "MQTT-3.1.2-19"),
    (b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\0!", Fault::Trailing(CONNECT), "MQTT-3.1.4-1"),
    (
        b"\x10\x10\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\0",
        value(CONNECT, PropertyId::ReceiveMaximum),
        "MQTT-4.13.1-1",
    ),
    (
        b"\x10\x12\0\x04MQTT\x05\x02\0\0\x05\x27\0\0\0\0\0\0",
        value(CONNECT, PropertyId::MaximumPacketSize),
        "MQTT-4.13.1-1",
    ),
    (
        b"\x10\x13\0\x04MQTT\x05\x02\0\0\x06\x21\0\x01\x21\0\x01\0\0",
        Fault::Repeated { packet: CONNECT, id: PropertyId::ReceiveMaximum },
        "MQTT-4.13.1-1",
    ),
    (
        b"\x10\x10\0\x04MQTT\x05\x02\0\0\x03\x23\0\x01\0\0",
        Fault::Property { packet: CONNECT, number: 35 },
        "MQTT-4.13.1-1",
    ),
    (
        b"\x10\x12\0\x04MQTT\x05\x02\0\0\x05\x18\0\0\0\x01\0\0",
        Fault::Property { packet: CONNECT, number: 24 },
        "MQTT-4.13.1-1",
    ),
    (b"\x10\x10\0\x04MQTT\x05\x02\0\0\x03\x16\0\0\0\0", Fault::DataWithoutMethod(CONNECT), "MQTT-4.13.1-1"),
    (&[0x20, 3, 2, 0, 0], Fault::ConnAckFlags(2), "MQTT-3.2.2-1"),
    (&[0x20, 3, 1, 0x87, 0], Fault::SessionPresentOnRefusal, "MQTT-3.2.2-6"),
    (&[0x20, 3, 0, 1, 0], reason(CONNACK, 1), "MQTT-3.2.2-8"),
    (&[0x20, 2, 0, 0], truncated(CONNACK, Field::PropertyLength), "MQTT-2.2.2-1"),
    (&[0x20, 1, 0], truncated(CONNACK, Field::ReasonCode), "MQTT-4.13.1-1"),
    (&[0x20, 4, 0, 0, 0, 0], Fault::Trailing(CONNACK), "MQTT-4.13.1-1"),
];

const PUBLISHING: &[Row] = &[
    (b"\x38\x04\0\x01a\0", Fault::DupAtMostOnce, "MQTT-3.3.1-2"),
    (b"\x36\x06\0\x01a\0\x01\0", Fault::PublishQoS, "MQTT-3.3.1-4"),
    (b"\x30\x01\0", truncated(PUBLISH, Field::TopicName), "MQTT-3.3.2-1"),
    (b"\x30\x04\0\x01\xFF\0", utf8(PUBLISH, Field::TopicName), "MQTT-1.5.4-1"),
    (b"\x30\x06\0\x03\xED\xA0\x80\0", utf8(PUBLISH, Field::TopicName), "MQTT-1.5.4-1"),
    (b"\x30\x05\0\x02a#\0", topic(PUBLISH, TopicError::WildcardInName), "MQTT-3.3.2-2"),
    (b"\x30\x05\0\x02a+\0", topic(PUBLISH, TopicError::WildcardInName), "MQTT-4.7.0-1"),
    (b"\x30\x05\0\x02a\0\0", topic(PUBLISH, TopicError::NullCharacter), "MQTT-4.7.3-2"),
    (b"\x30\x03\0\0\0", Fault::NoTopic, "MQTT-4.13.1-1"),
    (b"\x30\x06\0\0\x03\x23\0\0", value(PUBLISH, PropertyId::TopicAlias), "MQTT-3.3.2-8"),
    (b"\x32\x06\0\x01a\0\0\0", Fault::ZeroPacketId(PUBLISH), "MQTT-2.2.1-3"),
    (b"\x34\x06\0\x01a\0\0\0", Fault::ZeroPacketId(PUBLISH), "MQTT-2.2.1-4"),
    (b"\x32\x03\0\x01a", truncated(PUBLISH, Field::PacketId), "MQTT-2.2.1-3"),
    (b"\x30\x03\0\x01a", truncated(PUBLISH, Field::PropertyLength), "MQTT-2.2.2-1"),
    (b"\x30\x05\0\x01a\x05\x01", truncated(PUBLISH, Field::PropertyLength), "MQTT-2.2.2-1"),
    (b"\x30\x05\0\x01a\x01\x02", truncated(PUBLISH, Field::Property), "MQTT-4.13.1-1"),
    (b"\x30\x05\0\x01a\x80\0", Fault::PaddedNumber, "MQTT-1.5.5-1"),
    (b"\x30\x06\0\x01a\x02\x01\x02", value(PUBLISH, PropertyId::PayloadFormatIndicator), "MQTT-4.13.1-1"),
    (b"\x30\x08\0\x01a\x04\x08\0\x01#", value(PUBLISH, PropertyId::ResponseTopic), "MQTT-3.3.2-14"),
    (b"\x30\x06\0\x01a\x02\x0B\0", value(PUBLISH, PropertyId::SubscriptionIdentifier), "MQTT-4.13.1-1"),
    (b"\x30\x0A\0\x01a\x06\x26\0\x01\xFF\0\0", utf8(PUBLISH, Field::Property), "MQTT-1.5.4-1"),
    (b"\x30\x08\0\x01a\x04\x03\0\x01\0", null(PUBLISH, Field::Property), "MQTT-1.5.4-2"),
    (b"\x30\x05\0\x01a\x01\x7F", Fault::Property { packet: PUBLISH, number: 0x7F }, "MQTT-4.13.1-1"),
    (&[0x40, 2, 0, 0], Fault::ZeroPacketId(PUBACK), "MQTT-2.2.1-5"),
    (&[0x70, 2, 0, 0], Fault::ZeroPacketId(PUBCOMP), "MQTT-2.2.1-5"),
    (&[0x40, 1, 0], truncated(PUBACK, Field::PacketId), "MQTT-2.2.1-5"),
    (&[0x40, 3, 0, 1, 0x01], reason(PUBACK, 1), "MQTT-3.4.2-1"),
    (&[0x50, 3, 0, 1, 0x92], reason(PUBREC, 0x92), "MQTT-3.5.2-1"),
    (&[0x62, 3, 0, 1, 0x10], reason(PUBREL, 0x10), "MQTT-3.6.2-1"),
    (&[0x70, 3, 0, 1, 0x80], reason(PUBCOMP, 0x80), "MQTT-3.7.2-1"),
    (&[0x40, 5, 0, 1, 0, 0, 0], Fault::Trailing(PUBACK), "MQTT-4.13.1-1"),
];

const SUBSCRIBING: &[Row] = &[
    (b"\x82\x07\0\0\0\0\x01a\0", Fault::ZeroPacketId(SUBSCRIBE), "MQTT-2.2.1-3"),
    (b"\x82\x03\0\x01\0", Fault::NoFilter(SUBSCRIBE), "MQTT-3.8.3-2"),
    (b"\x82\x06\0\x01\0\0\x01a", truncated(SUBSCRIBE, Field::RequestedQoS), "MQTT-3.8.3-2"),
    (b"\x82\x05\0\x01\0\0\x01", truncated(SUBSCRIBE, Field::TopicFilter), "MQTT-3.8.3-1"),
    (b"\x82\x07\0\x01\0\0\x01\xFE\0", utf8(SUBSCRIBE, Field::TopicFilter), "MQTT-3.8.3-1"),
    (b"\x82\x07\0\x01\0\0\x01a\x03", Fault::Options(0x03), "MQTT-3.8.3-5"),
    (b"\x82\x07\0\x01\0\0\x01a\x30", Fault::Options(0x30), "MQTT-3.8.3-5"),
    (b"\x82\x07\0\x01\0\0\x01a\x40", Fault::Options(0x40), "MQTT-3.8.3-5"),
    (b"\x82\x07\0\x01\0\0\x01a\x80", Fault::Options(0x80), "MQTT-3.8.3-5"),
    (b"\x82\x10\0\x01\0\0\x0A$share/g/a\x04", Fault::NoLocalShared, "MQTT-3.8.3-4"),
    (b"\x82\x0F\0\x01\0\0\x09$share//a\0", Fault::ShareName, "MQTT-4.8.2-1"),
    (b"\x82\x10\0\x01\0\0\x0A$share/+/a\0", Fault::ShareName, "MQTT-4.8.2-2"),
    (b"\x82\x0E\0\x01\0\0\x08$share/g\0", Fault::ShareName, "MQTT-4.8.2-2"),
    (b"\x82\x06\0\x01\0\0\0\0", topic(SUBSCRIBE, TopicError::Empty), "MQTT-4.7.3-1"),
    (
        b"\x82\x08\0\x01\0\0\x02a#\0",
        topic(SUBSCRIBE, TopicError::MisplacedMultiLevelWildcard),
        "MQTT-4.7.1-1",
    ),
    (
        b"\x82\x08\0\x01\0\0\x02+a\0",
        topic(SUBSCRIBE, TopicError::MisplacedSingleLevelWildcard),
        "MQTT-4.7.1-2",
    ),
    (&[0x90, 4, 0, 0, 0, 0], Fault::ZeroPacketId(SUBACK), "MQTT-3.8.4-2"),
    (&[0x90, 3, 0, 1, 0], Fault::NoCode(SUBACK), "MQTT-3.8.4-6"),
    (&[0x90, 4, 0, 1, 0, 3], reason(SUBACK, 3), "MQTT-3.9.3-2"),
    (b"\xA2\x03\0\x01\0", Fault::NoFilter(UNSUBSCRIBE), "MQTT-3.10.3-2"),
    (b"\xA2\x06\0\x01\0\0\x01\xFF", utf8(UNSUBSCRIBE, Field::TopicFilter), "MQTT-3.10.3-1"),
    (&[0xB0, 4, 0, 0, 0, 0], Fault::ZeroPacketId(UNSUBACK), "MQTT-2.2.1-6"),
    (&[0xB0, 3, 0, 1, 0], Fault::NoCode(UNSUBACK), "MQTT-3.11.3-1"),
    (&[0xB0, 4, 0, 1, 0, 1], reason(UNSUBACK, 1), "MQTT-3.11.3-2"),
    (&[0xE0, 1, 1], reason(DISCONNECT, 1), "MQTT-3.14.2-1"),
    (&[0xF0, 1, 4], reason(AUTH, 4), "MQTT-3.15.2-1"),
    (&[0xF0, 1, 0x18], truncated(AUTH, Field::PropertyLength), "MQTT-2.2.2-1"),
];

#[test]
fn each_statement_is_enforced_and_cited() {
    let mut seen = BTreeSet::new();
    for rows in [HEADER, CONNECTING, PUBLISHING, SUBSCRIBING] {
        for &(bytes, fault, statement) in rows {
            let error = DecodeError::V5(fault);
            assert_eq!(decode(bytes, 1000), Err(error), "{bytes:02X?}");
            assert!(error.statements().contains(&statement), "{fault:?} does not break {statement}");
            let text = error.to_string();
            assert!(text.contains(&format!("[{statement}]")), "{text}");
            seen.insert(statement);
        }
    }
    let expected: BTreeSet<_> = BREAKABLE.into_iter().collect();
    assert_eq!(seen, expected);
}

#[test]
fn errors_read_well() {
    let text = |bytes: &[u8]| decode(bytes, 1000).unwrap_err().to_string();
    assert_eq!(
        text(b"\x10\x10\0\x04MQTT\x05\x02\0\0\x03\x23\0\x01\0\0"),
        "CONNECT with a topic alias, which it cannot have [MQTT-4.13.1-1]"
    );
    assert_eq!(
        text(b"\x30\x05\0\x01a\x01\x7F"),
        "PUBLISH with property 127, which there is not [MQTT-4.13.1-1]"
    );
    assert_eq!(text(&[0x20, 3, 0, 1, 0]), "CONNACK with reason code 0x01 [MQTT-3.2.2-8]");
    assert_eq!(
        text(b"\x30\x06\0\0\x03\x23\0\0"),
        "PUBLISH with a topic alias that it cannot have [MQTT-3.3.2-8]"
    );
}

/// What a server says before it ends the connection.
#[test]
fn faults_have_reasons() {
    let reason = |bytes: &[u8]| decode(bytes, 1000).unwrap_err().connect_code().map(|code| code.reason());
    assert_eq!(reason(&[0x30, 0xFF, 0x07]), Some(ReasonCode::PacketTooLarge));
    assert_eq!(reason(b"\x30\x06\0\0\x03\x23\0\0"), Some(ReasonCode::TopicAliasInvalid));
    assert_eq!(reason(b"\x30\x03\0\0\0"), Some(ReasonCode::ProtocolError));
    assert_eq!(reason(b"\x30\x04\0\x01\xFF\0"), Some(ReasonCode::MalformedPacket));
    let unsupported = Some(ReasonCode::UnsupportedProtocolVersion);
    assert_eq!(reason(b"\x10\x0C\0\x04MQTT\x04\x02\0\0\0\0"), unsupported);
}
