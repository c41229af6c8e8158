//! The standard's statements that a packet's bytes can break, each with bytes that break it.

use std::collections::BTreeSet;

use super::super::*;
use super::id;

/// Every normative statement of the standard that bytes alone can violate (its appendix B, gone through one
/// by one). The others are about the order of packets, the session, what a server does with messages, or
/// cannot show: a packet identifier at QoS 0 [MQTT-2.3.1-5] reads as payload, CONNECT's fields in another
/// order [MQTT-3.1.3-1] read as one another, and 65,536 bytes of topic [MQTT-4.7.3-3] have no length prefix.
const BREAKABLE: [&str; 52] = [
    "MQTT-1.5.3-1",
    "MQTT-1.5.3-2",
    "MQTT-2.2.2-1",
    "MQTT-2.2.2-2",
    "MQTT-2.3.1-1",
    "MQTT-2.3.1-6",
    "MQTT-2.3.1-7",
    "MQTT-3.1.2-1",
    "MQTT-3.1.2-2",
    "MQTT-3.1.2-3",
    "MQTT-3.1.2-9",
    "MQTT-3.1.2-11",
    "MQTT-3.1.2-13",
    "MQTT-3.1.2-14",
    "MQTT-3.1.2-15",
    "MQTT-3.1.2-18",
    "MQTT-3.1.2-19",
    "MQTT-3.1.2-20",
    "MQTT-3.1.2-21",
    "MQTT-3.1.2-22",
    "MQTT-3.1.3-3",
    "MQTT-3.1.3-4",
    "MQTT-3.1.3-7",
    "MQTT-3.1.3-8",
    "MQTT-3.1.3-10",
    "MQTT-3.1.3-11",
    "MQTT-3.1.4-1",
    "MQTT-3.2.2-4",
    "MQTT-3.2.2-6",
    "MQTT-3.3.1-2",
    "MQTT-3.3.1-4",
    "MQTT-3.3.2-1",
    "MQTT-3.3.2-2",
    "MQTT-3.6.1-1",
    "MQTT-3.8.1-1",
    "MQTT-3.8.3-1",
    "MQTT-3.8.3-3",
    "MQTT-3.8.3-4",
    "MQTT-3.8.4-2",
    "MQTT-3.8.4-5",
    "MQTT-3.9.3-2",
    "MQTT-3.10.1-1",
    "MQTT-3.10.3-1",
    "MQTT-3.10.3-2",
    "MQTT-3.10.4-4",
    "MQTT-3.14.1-1",
    "MQTT-4.3.3-2",
    "MQTT-4.7.1-1",
    "MQTT-4.7.1-2",
    "MQTT-4.7.1-3",
    "MQTT-4.7.3-1",
    "MQTT-4.7.3-2",
];

/// Cited for what the standard rules without a number: any violation, and a limit of this side's own.
const GENERAL: [&str; 2] = ["MQTT-4.8.0-1", "MQTT-4.8.0-2"];

type Row = (&'static [u8], DecodeError, &'static str);

const fn flags(packet: PacketType, flags: u8) -> DecodeError {
    DecodeError::Flags { packet, flags }
}

const fn truncated(packet: PacketType, field: Field) -> DecodeError {
    DecodeError::Truncated { packet, field }
}

const fn utf8(packet: PacketType, field: Field) -> DecodeError {
    DecodeError::Utf8 { packet, field }
}

const fn level(protocol: Protocol, level: u8) -> DecodeError {
    DecodeError::ProtocolLevel { protocol, level }
}

const fn topic(packet: PacketType, error: TopicError) -> DecodeError {
    DecodeError::Topic { packet, error }
}

use PacketType::{
    Connect as CONNECT, Publish as PUBLISH, Subscribe as SUBSCRIBE, Unsubscribe as UNSUBSCRIBE,
};

/// The fixed header (2.2, and the like of it in 3.6, 3.8, 3.10, 3.14).
const HEADER: &[Row] = &[
    (&[0x00, 0], DecodeError::ReservedType(0), "MQTT-4.8.0-1"),
    (&[0xF0, 0], DecodeError::ReservedType(15), "MQTT-4.8.0-1"),
    (&[0xC0, 0x80, 0x80, 0x80, 0x80], DecodeError::RemainingLength, "MQTT-4.8.0-1"),
    (&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x00], DecodeError::RemainingLength, "MQTT-4.8.0-1"),
    (&[0x30, 0xFF, 0x07], DecodeError::Oversized { length: 1026, max: 1000 }, "MQTT-4.8.0-2"),
    (b"\x11\x0C\0\x04MQTT\x04\x02\0\0\0\0", flags(CONNECT, 1), "MQTT-2.2.2-1"),
    (&[0x28, 2, 0, 0], flags(PacketType::ConnAck, 8), "MQTT-2.2.2-2"),
    (&[0x42, 2, 0, 1], flags(PacketType::PubAck, 2), "MQTT-2.2.2-2"),
    (&[0x51, 2, 0, 1], flags(PacketType::PubRec, 1), "MQTT-2.2.2-2"),
    (&[0x60, 2, 0, 1], flags(PacketType::PubRel, 0), "MQTT-3.6.1-1"),
    (&[0x66, 2, 0, 1], flags(PacketType::PubRel, 6), "MQTT-2.2.2-1"),
    (&[0x74, 2, 0, 1], flags(PacketType::PubComp, 4), "MQTT-2.2.2-2"),
    (b"\x80\x06\0\x0A\0\x01a\0", flags(SUBSCRIBE, 0), "MQTT-3.8.1-1"),
    (b"\x8A\x06\0\x0A\0\x01a\0", flags(SUBSCRIBE, 10), "MQTT-2.2.2-2"),
    (&[0x91, 3, 0, 1, 0], flags(PacketType::SubAck, 1), "MQTT-2.2.2-1"),
    (b"\xA0\x05\0\x0A\0\x01a", flags(UNSUBSCRIBE, 0), "MQTT-3.10.1-1"),
    (b"\xA3\x05\0\x0A\0\x01a", flags(UNSUBSCRIBE, 3), "MQTT-2.2.2-1"),
    (&[0xB2, 2, 0, 1], flags(PacketType::UnsubAck, 2), "MQTT-2.2.2-1"),
    (&[0xC1, 0], flags(PacketType::PingReq, 1), "MQTT-2.2.2-2"),
    (&[0xD8, 0], flags(PacketType::PingResp, 8), "MQTT-2.2.2-2"),
    (&[0xE1, 0], flags(PacketType::Disconnect, 1), "MQTT-3.14.1-1"),
    (&[0xEF, 0], flags(PacketType::Disconnect, 15), "MQTT-2.2.2-2"),
];

/// CONNECT up to its flags (3.1.2).
const CONNECT_HEADER: &[Row] = &[
    (b"\x10\x00", truncated(CONNECT, Field::ProtocolName), "MQTT-3.1.4-1"),
    (b"\x10\x05\0\x04MQT", truncated(CONNECT, Field::ProtocolName), "MQTT-3.1.4-1"),
    (b"\x10\x06\0\x04MQTT", truncated(CONNECT, Field::ProtocolLevel), "MQTT-3.1.4-1"),
    (b"\x10\x07\0\x04MQTT\x04", truncated(CONNECT, Field::ConnectFlags), "MQTT-3.1.4-1"),
    (b"\x10\x09\0\x04MQTT\x04\x02\0", truncated(CONNECT, Field::KeepAlive), "MQTT-3.1.4-1"),
    (b"\x10\x0C\0\x04mqtt\x04\x02\0\0\0\0", DecodeError::ProtocolName, "MQTT-3.1.2-1"),
    (b"\x10\x0E\0\x06MQISDP\x03\x02\0\0\0\0", DecodeError::ProtocolName, "MQTT-3.1.2-1"),
    (b"\x10\x0C\0\x04MQTT\x03\x02\0\0\0\0", level(Protocol::V311, 3), "MQTT-3.1.2-2"),
    (b"\x10\x0D\0\x04MQTT\x06\x03\0\0\0\0\0", level(Protocol::V311, 6), "MQTT-3.1.2-2"),
    (b"\x10\x07\0\x04MQTT\x85", level(Protocol::V311, 0x85), "MQTT-3.1.2-2"),
    (b"\x10\x07\0\x04MQTT\x83", level(Protocol::V311, 0x83), "MQTT-3.1.2-2"),
    (b"\x10\x09\0\x06MQIsdp\x04", level(Protocol::V31, 4), "MQTT-3.1.2-2"),
    (b"\x10\x09\0\x06MQIsdp\x84", level(Protocol::V31, 0x84), "MQTT-3.1.2-2"),
    (b"\x10\x0C\0\x04MQTT\x04\x03\0\0\0\0", DecodeError::ConnectReservedFlag, "MQTT-3.1.2-3"),
    (b"\x10\x0C\0\x04MQTT\x04\x0A\0\0\0\0", DecodeError::WillQoSWithoutWill, "MQTT-3.1.2-13"),
    (b"\x10\x0C\0\x04MQTT\x04\x12\0\0\0\0", DecodeError::WillQoSWithoutWill, "MQTT-3.1.2-11"),
    (b"\x10\x0C\0\x04MQTT\x04\x22\0\0\0\0", DecodeError::WillRetainWithoutWill, "MQTT-3.1.2-15"),
    (b"\x10\x0C\0\x04MQTT\x04\x22\0\0\0\0", DecodeError::WillRetainWithoutWill, "MQTT-3.1.2-11"),
    (b"\x10\x11\0\x04MQTT\x04\x1E\0\0\0\0\0\x01w\0\0", DecodeError::WillQoS, "MQTT-3.1.2-14"),
    (b"\x10\x0F\0\x04MQTT\x04\x42\0\0\0\0\0\x01p", DecodeError::PasswordWithoutUserName, "MQTT-3.1.2-22"),
];

/// CONNECT's payload (3.1.3). Flags: 02 clean session, 06 and a will, 82 and a user name, C2 and a password.
const CONNECT_PAYLOAD: &[Row] = &[
    (b"\x10\x0A\0\x04MQTT\x04\x02\0\0", truncated(CONNECT, Field::ClientId), "MQTT-3.1.3-3"),
    (b"\x10\x0E\0\x04MQTT\x04\x02\0\0\0\x03ab", truncated(CONNECT, Field::ClientId), "MQTT-3.1.3-3"),
    (b"\x10\x0D\0\x04MQTT\x04\x02\0\0\0\x01\xFF", utf8(CONNECT, Field::ClientId), "MQTT-3.1.3-4"),
    (b"\x10\x0F\0\x04MQTT\x04\x02\0\0\0\x03\xED\xA0\x80", utf8(CONNECT, Field::ClientId), "MQTT-1.5.3-1"),
    (
        b"\x10\x0D\0\x04MQTT\x04\x02\0\0\0\x01\0",
        DecodeError::NullCharacter { packet: CONNECT, field: Field::ClientId },
        "MQTT-1.5.3-2",
    ),
    (b"\x10\x0C\0\x04MQTT\x04\x00\0\0\0\0", DecodeError::EmptyClientId, "MQTT-3.1.3-8"),
    (b"\x10\x0C\0\x04MQTT\x04\x00\0\0\0\0", DecodeError::EmptyClientId, "MQTT-3.1.3-7"),
    (b"\x10\x0C\0\x04MQTT\x04\x06\0\0\0\0", truncated(CONNECT, Field::WillTopic), "MQTT-3.1.2-9"),
    (b"\x10\x0F\0\x04MQTT\x04\x06\0\0\0\0\0\x01w", truncated(CONNECT, Field::WillMessage), "MQTT-3.1.2-9"),
    (b"\x10\x11\0\x04MQTT\x04\x06\0\0\0\0\0\x01\xC0\0\0", utf8(CONNECT, Field::WillTopic), "MQTT-3.1.3-10"),
    (
        b"\x10\x11\0\x04MQTT\x04\x06\0\0\0\0\0\x01#\0\0",
        topic(CONNECT, TopicError::WildcardInName),
        "MQTT-4.7.1-1",
    ),
    (b"\x10\x10\0\x04MQTT\x04\x06\0\0\0\0\0\0\0\0", topic(CONNECT, TopicError::Empty), "MQTT-4.7.3-1"),
    (b"\x10\x0C\0\x04MQTT\x04\x82\0\0\0\0", truncated(CONNECT, Field::UserName), "MQTT-3.1.2-19"),
    (b"\x10\x0F\0\x04MQTT\x04\x82\0\0\0\0\0\x01\x80", utf8(CONNECT, Field::UserName), "MQTT-3.1.3-11"),
    (
        b"\x10\x0F\0\x04MQTT\x04\x82\0\0\0\0\0\x01\0",
        DecodeError::NullCharacter { packet: CONNECT, field: Field::UserName },
        "MQTT-1.5.3-2",
    ),
    (b"\x10\x0F\0\x04MQTT\x04\xC2\0\0\0\0\0\x01u", truncated(CONNECT, Field::Password), "MQTT-3.1.2-21"),
    (
        b"\x10\x12\0\x04MQTT\x04\x02\0\0\0\0\0\x01w\0\x01m",
        DecodeError::Trailing { absent: Some(Field::WillTopic) },
        "MQTT-3.1.2-11",
    ),
    (
        b"\x10\x14\0\x04MQTT\x04\x06\0\0\0\0\0\x01w\0\0\0\x01u",
        DecodeError::Trailing { absent: Some(Field::UserName) },
        "MQTT-3.1.2-18",
    ),
    (
        b"\x10\x17\0\x04MQTT\x04\x86\0\0\0\0\0\x01w\0\0\0\x01u\0\x01p",
        DecodeError::Trailing { absent: Some(Field::Password) },
        "MQTT-3.1.2-20",
    ),
    (
        b"\x10\x18\0\x04MQTT\x04\xC6\0\0\0\0\0\x01w\0\0\0\x01u\0\x01p!",
        DecodeError::Trailing { absent: None },
        "MQTT-3.1.4-1",
    ),
];

/// PUBLISH and its acknowledgements (3.3 to 3.7).
const PUBLISHING: &[Row] = &[
    (b"\x38\x03\0\x01a", DecodeError::DupAtMostOnce, "MQTT-3.3.1-2"),
    (b"\x36\x05\0\x01a\0\x01", DecodeError::PublishQoS, "MQTT-3.3.1-4"),
    (b"\x3E\x05\0\x01a\0\x01", DecodeError::PublishQoS, "MQTT-3.3.1-4"),
    (b"\x30\x00", truncated(PUBLISH, Field::TopicName), "MQTT-3.3.2-1"),
    (b"\x30\x01\0", truncated(PUBLISH, Field::TopicName), "MQTT-3.3.2-1"),
    (b"\x30\x04\0\x03ab", truncated(PUBLISH, Field::TopicName), "MQTT-3.3.2-1"),
    (b"\x30\x03\0\x01\xFF", utf8(PUBLISH, Field::TopicName), "MQTT-3.3.2-1"),
    // U+D800, U+DFFF, an overlong "/", half a character, and a character past U+10FFFF.
    (b"\x30\x05\0\x03\xED\xA0\x80", utf8(PUBLISH, Field::TopicName), "MQTT-1.5.3-1"),
    (b"\x30\x05\0\x03\xED\xBF\xBF", utf8(PUBLISH, Field::TopicName), "MQTT-1.5.3-1"),
    (b"\x30\x04\0\x02\xC0\xAF", utf8(PUBLISH, Field::TopicName), "MQTT-1.5.3-1"),
    (b"\x30\x04\0\x02a\xC3\xA9", utf8(PUBLISH, Field::TopicName), "MQTT-1.5.3-1"),
    (b"\x30\x06\0\x04\xF4\x90\x80\x80", utf8(PUBLISH, Field::TopicName), "MQTT-1.5.3-1"),
    (b"\x30\x04\0\x02a\0", topic(PUBLISH, TopicError::NullCharacter), "MQTT-4.7.3-2"),
    (b"\x30\x04\0\x02a\0", topic(PUBLISH, TopicError::NullCharacter), "MQTT-1.5.3-2"),
    (b"\x30\x05\0\x03a/#", topic(PUBLISH, TopicError::WildcardInName), "MQTT-3.3.2-2"),
    (b"\x30\x05\0\x03+/a", topic(PUBLISH, TopicError::WildcardInName), "MQTT-4.7.1-1"),
    (b"\x30\x02\0\0", topic(PUBLISH, TopicError::Empty), "MQTT-4.7.3-1"),
    (b"\x32\x03\0\x01a", truncated(PUBLISH, Field::PacketId), "MQTT-2.3.1-1"),
    (b"\x32\x04\0\x01a\0", truncated(PUBLISH, Field::PacketId), "MQTT-2.3.1-1"),
    (b"\x34\x05\0\x01a\0\0", DecodeError::ZeroPacketId(PUBLISH), "MQTT-2.3.1-1"),
    (&[0x40, 2, 0, 0], DecodeError::ZeroPacketId(PacketType::PubAck), "MQTT-2.3.1-6"),
    (&[0x50, 2, 0, 0], DecodeError::ZeroPacketId(PacketType::PubRec), "MQTT-2.3.1-6"),
    (&[0x62, 2, 0, 0], DecodeError::ZeroPacketId(PacketType::PubRel), "MQTT-2.3.1-6"),
    (&[0x70, 2, 0, 0], DecodeError::ZeroPacketId(PacketType::PubComp), "MQTT-4.3.3-2"),
];

/// CONNACK, subscriptions (3.2, 3.8 to 3.11).
const SUBSCRIBING: &[Row] = &[
    (&[0x20, 2, 2, 0], DecodeError::ConnAckFlags(2), "MQTT-4.8.0-1"),
    (&[0x20, 2, 0x81, 0], DecodeError::ConnAckFlags(0x81), "MQTT-4.8.0-1"),
    (&[0x20, 2, 1, 5], DecodeError::SessionPresentOnRefusal, "MQTT-3.2.2-4"),
    (&[0x20, 2, 0, 6], DecodeError::ConnAckCode(6), "MQTT-3.2.2-6"),
    (b"\x82\x01\0", truncated(SUBSCRIBE, Field::PacketId), "MQTT-2.3.1-1"),
    (b"\x82\x06\0\0\0\x01a\0", DecodeError::ZeroPacketId(SUBSCRIBE), "MQTT-2.3.1-1"),
    (b"\x82\x02\0\x01", DecodeError::NoFilter(SUBSCRIBE), "MQTT-3.8.3-3"),
    (b"\x82\x05\0\x01\0\x01a", truncated(SUBSCRIBE, Field::RequestedQoS), "MQTT-3.8.3-3"),
    (b"\x82\x07\0\x01\0\x01a\0\0", truncated(SUBSCRIBE, Field::TopicFilter), "MQTT-3.8.3-1"),
    (b"\x82\x06\0\x01\0\x01\xFE\0", utf8(SUBSCRIBE, Field::TopicFilter), "MQTT-3.8.3-1"),
    (b"\x82\x06\0\x01\0\x01a\x03", DecodeError::RequestedQoS(3), "MQTT-3.8.3-4"),
    (b"\x82\x0A\0\x01\0\x01a\x01\0\x01b\x04", DecodeError::RequestedQoS(4), "MQTT-3.8.3-4"),
    (b"\x82\x06\0\x01\0\x01a\x80", DecodeError::RequestedQoS(0x80), "MQTT-3.8.3-4"),
    (b"\x82\x05\0\x01\0\0\0", topic(SUBSCRIBE, TopicError::Empty), "MQTT-4.7.3-1"),
    (b"\x82\x06\0\x01\0\x01\0\0", topic(SUBSCRIBE, TopicError::NullCharacter), "MQTT-4.7.3-2"),
    (b"\x82\x07\0\x01\0\x02a#\0", topic(SUBSCRIBE, TopicError::MisplacedMultiLevelWildcard), "MQTT-4.7.1-2"),
    (b"\x82\x07\0\x01\0\x02+a\0", topic(SUBSCRIBE, TopicError::MisplacedSingleLevelWildcard), "MQTT-4.7.1-3"),
    (b"\x90\x01\0", truncated(PacketType::SubAck, Field::PacketId), "MQTT-2.3.1-7"),
    (b"\x90\x03\0\0\0", DecodeError::ZeroPacketId(PacketType::SubAck), "MQTT-3.8.4-2"),
    (b"\x90\x02\0\x01", DecodeError::NoSubAckCode, "MQTT-3.8.4-5"),
    (b"\x90\x04\0\x01\0\x03", DecodeError::SubAckCode(3), "MQTT-3.9.3-2"),
    (b"\x90\x03\0\x01\x82", DecodeError::SubAckCode(0x82), "MQTT-3.9.3-2"),
    (b"\xA2\x00", truncated(UNSUBSCRIBE, Field::PacketId), "MQTT-2.3.1-1"),
    (b"\xA2\x05\0\0\0\x01a", DecodeError::ZeroPacketId(UNSUBSCRIBE), "MQTT-2.3.1-1"),
    (b"\xA2\x02\0\x01", DecodeError::NoFilter(UNSUBSCRIBE), "MQTT-3.10.3-2"),
    (b"\xA2\x05\0\x01\0\x02a", truncated(UNSUBSCRIBE, Field::TopicFilter), "MQTT-3.10.3-1"),
    (b"\xA2\x05\0\x01\0\x01\xFF", utf8(UNSUBSCRIBE, Field::TopicFilter), "MQTT-3.10.3-1"),
    (b"\xA2\x07\0\x01\0\x03#/a", topic(UNSUBSCRIBE, TopicError::MisplacedMultiLevelWildcard), "MQTT-4.7.1-2"),
    (b"\xB0\x02\0\0", DecodeError::ZeroPacketId(PacketType::UnsubAck), "MQTT-3.10.4-4"),
];

#[test]
fn each_statement_is_enforced_and_cited() {
    let mut seen = BTreeSet::new();
    for rows in [HEADER, CONNECT_HEADER, CONNECT_PAYLOAD, PUBLISHING, SUBSCRIBING] {
        for &(bytes, error, statement) in rows {
            assert_eq!(decode(bytes, 1000), Err(error), "{bytes:02X?}");
            assert!(error.statements().contains(&statement), "{error:?} does not break {statement}");
            let text = error.to_string();
            assert!(text.contains(&format!("[{statement}]")), "{text}");
            assert!(text.contains(&format!("[{}]", error.statement())), "{text}");
            seen.insert(statement);
        }
    }
    let expected: BTreeSet<_> = BREAKABLE.iter().chain(&GENERAL).copied().collect();
    assert_eq!(seen, expected);
}

#[test]
fn packets_of_fixed_size_have_no_other() {
    let packets = [
        (PacketType::ConnAck, 0x20, 2),
        (PacketType::PubAck, 0x40, 2),
        (PacketType::PubRec, 0x50, 2),
        (PacketType::PubRel, 0x62, 2),
        (PacketType::PubComp, 0x70, 2),
        (PacketType::UnsubAck, 0xB0, 2),
        (PacketType::PingReq, 0xC0, 0),
        (PacketType::PingResp, 0xD0, 0),
        (PacketType::Disconnect, 0xE0, 0),
    ];
    for (packet, first, right) in packets {
        for remaining in (0..5u8).filter(|&remaining| remaining != right) {
            let bytes = [first, remaining, 0, 1, 0, 0];
            let expected = Err(DecodeError::Length { packet, remaining: usize::from(remaining) });
            assert_eq!(decode(&bytes, 1000), expected, "{packet}");
            assert_eq!(decode(&bytes[..2], 1000), expected, "{packet} from its header alone");
        }
    }
}

#[test]
fn a_bad_first_byte_needs_no_second() {
    const FIXED: [u8; 13] = [0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0];
    for first in 0..=0xFFu8 {
        let publish = matches!(first, 0x30..=0x35 | 0x3A..=0x3D);
        let expected = publish || FIXED.contains(&first);
        assert_eq!(decode(&[first], 1000).is_ok(), expected, "{first:#04x}");
    }
}

#[test]
fn server_answers_two_faults_of_connect() {
    let code = |bytes: &[u8]| decode(bytes, 1000).unwrap_err().connect_code();
    let unacceptable = Some(ConnectCode::UnacceptableProtocolVersion);
    assert_eq!(code(b"\x10\x0D\0\x04MQTT\x06\x02\0\0\0\0\0"), unacceptable);
    assert_eq!(code(b"\x10\x0C\0\x04MQTT\x04\x00\0\0\0\0"), Some(ConnectCode::IdentifierRejected));
    assert_eq!(code(b"\x10\x0E\0\x06MQIsdp\x05\x02\0\0\0\0"), unacceptable);
    assert_eq!(code(b"\x10\x0E\0\x06MQIsdp\x03\x02\0\0\0\0"), Some(ConnectCode::IdentifierRejected));
    assert_eq!(code(b"\x10\x0C\0\x04mqtt\x04\x02\0\0\0\0"), None);
    assert_eq!(code(b"\x10\x0C\0\x04MQTT\x04\x03\0\0\0\0"), None);
}

#[test]
fn encoder_refuses_what_the_decoder_would() {
    let connect = Connect {
        protocol: Protocol::V311,
        bridge: false,
        client_id: "c",
        keep_alive: 0,
        clean_session: true,
        will: None,
        username: Some("u"),
        password: None,
        properties: Properties::NONE,
    };
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "t",
        packet_id: Some(id(1)),
        properties: Properties::NONE,
        payload: b"",
    };
    let long = "x".repeat(65_536);
    let too_long = |field| EncodeError::FieldTooLong { field, length: 65_536 };
    let will = |topic, payload| {
        let (qos, retain, properties) = (QoS::AtMostOnce, false, Properties::NONE);
        Some(Will { topic, payload, qos, retain, properties })
    };
    let mut out = Vec::new();
    for (bad, error) in [
        (Connect { client_id: "", clean_session: false, ..connect }, EncodeError::EmptyClientId),
        (Connect { client_id: "", protocol: Protocol::V31, ..connect }, EncodeError::EmptyClientId),
        (Connect { client_id: "a\0", ..connect }, EncodeError::NullCharacter(Field::ClientId)),
        (Connect { client_id: &long, ..connect }, too_long(Field::ClientId)),
        (Connect { username: Some("\0"), ..connect }, EncodeError::NullCharacter(Field::UserName)),
        (Connect { username: None, password: Some(b"p"), ..connect }, EncodeError::PasswordWithoutUserName),
        (Connect { password: Some(long.as_bytes()), ..connect }, too_long(Field::Password)),
        (Connect { will: will("+", b""), ..connect }, EncodeError::Topic(TopicError::WildcardInName)),
        (Connect { will: will("w", long.as_bytes()), ..connect }, too_long(Field::WillMessage)),
    ] {
        assert_eq!(Packet::Connect(bad).encode(&mut out), Err(error));
    }
    for (bad, error) in [
        (Publish { topic: "", ..publish }, EncodeError::Topic(TopicError::Empty)),
        (Publish { topic: &long, ..publish }, EncodeError::Topic(TopicError::TooLong)),
        (Publish { packet_id: None, ..publish }, EncodeError::PacketIdAndQoS),
        (Publish { qos: QoS::AtMostOnce, ..publish }, EncodeError::PacketIdAndQoS),
        (Publish { dup: true, qos: QoS::AtMostOnce, packet_id: None, ..publish }, EncodeError::DupAtMostOnce),
    ] {
        assert_eq!(Packet::Publish(bad).encode(&mut out), Err(error));
    }
    let connack = ConnAck { session_present: true, ..ConnectCode::NotAuthorized.into() };
    assert_eq!(Packet::ConnAck(connack).encode(&mut out), Err(EncodeError::SessionPresentOnRefusal));
    assert_eq!(encode_subscribe(id(1), [], &mut out), Err(EncodeError::NoFilter));
    assert_eq!(encode_unsubscribe(id(1), [], &mut out), Err(EncodeError::NoFilter));
    assert_eq!(encode_suback(id(1), [], &mut out), Err(EncodeError::NoSubAckCode));
    assert!(out.is_empty());
}

#[test]
fn errors_read_well() {
    let text = |bytes: &[u8]| decode(bytes, 1000).unwrap_err().to_string();
    assert_eq!(text(b"\x30\x02\0\0"), "in PUBLISH, the topic is empty [MQTT-4.7.3-1]");
    assert_eq!(text(b"\x10\x07\0\x04MQTT\x06"), "CONNECT of MQTT at protocol level 6, not 4 [MQTT-3.1.2-2]");
    let length = "packet of 268435460 bytes, the limit is 1000 [MQTT-4.8.0-2]";
    assert_eq!(text(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), length);
}

#[test]
#[should_panic(expected = "a packet id goes with QoS 1 and 2 only")]
fn head_asserts_its_packet_id() {
    Publish::encode_head(false, QoS::AtLeastOnce, false, "t", None, 0, &mut Vec::new());
}

#[test]
#[should_panic(expected = "at most 268,435,455 bytes")]
fn head_asserts_its_length() {
    Publish::encode_head(false, QoS::AtMostOnce, false, "t", None, usize::MAX, &mut Vec::new());
}
