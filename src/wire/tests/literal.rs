//! Every packet against bytes written by hand from the standard's figures.

use super::super::*;
use super::id;

/// `bytes` decode to `packet`, all of them, and `packet` encodes to `bytes`, behind what is there already.
#[track_caller]
fn is(bytes: &[u8], packet: Packet<'_>) {
    assert_eq!(decode(bytes, MAX_PACKET), Ok(Some((packet, bytes.len()))));
    let mut out = vec![0xAA];
    packet.encode(&mut out).unwrap();
    assert_eq!((out[0], &out[1..]), (0xAA, bytes));
}

const BARE: Connect<'_> = Connect {
    protocol: Protocol::V311,
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
    is(b"\x10\x0C\0\x04MQTT\x04\x02\0\0\0\0", Packet::Connect(BARE));
    let connect = Connect { client_id: "pump-7", keep_alive: 0x0102, clean_session: false, ..BARE };
    is(b"\x10\x12\0\x04MQTT\x04\x00\x01\x02\0\x06pump-7", Packet::Connect(connect));
    let connect = Connect { username: Some("u"), ..BARE };
    is(b"\x10\x0F\0\x04MQTT\x04\x82\0\0\0\0\0\x01u", Packet::Connect(connect));
}

#[test]
fn connect_with_everything() {
    let connect = Connect {
        client_id: "c",
        keep_alive: 60,
        will: Some(Will {
            topic: "w/t",
            payload: b"\0gone",
            qos: QoS::ExactlyOnce,
            retain: true,
            properties: Properties::NONE,
        }),
        username: Some("user"),
        password: Some(b"\xFF\0"),
        ..BARE
    };
    let bytes = b"\x10\x23\0\x04MQTT\x04\xF6\0\x3C\0\x01c\0\x03w/t\0\x05\0gone\0\x04user\0\x02\xFF\0";
    is(bytes, Packet::Connect(connect));
    let bytes = b"\x10\x25\0\x06MQIsdp\x83\xF6\0\x3C\0\x01c\0\x03w/t\0\x05\0gone\0\x04user\0\x02\xFF\0";
    is(bytes, Packet::Connect(Connect { protocol: Protocol::V31, bridge: true, ..connect }));
}

/// A user name or password may be announced and not be there, and nobody looks at flags that are not used (3.1,
/// section 3.1). [`rejections`](super::rejections) shows that 3.1.1 forbids all of this.
#[test]
fn connect_of_3_1_is_read_with_less_rigour() {
    let connect = Connect { protocol: Protocol::V31, client_id: "c", ..BARE };
    for flags in [0x02, 0x03, 0x0A, 0x1A, 0x22, 0x3B, 0x82, 0xC2] {
        let bytes = [b"\x10\x0F\0\x06MQIsdp\x03".as_slice(), &[flags], b"\0\0\0\x01c"].concat();
        assert_eq!(decode(&bytes, 1000), Ok(Some((Packet::Connect(connect), bytes.len()))), "{flags:#04x}");
    }
    let bytes = b"\x10\x12\0\x06MQIsdp\x03\xC2\0\0\0\x01c\0\x01u";
    let connect = Connect { username: Some("u"), ..connect };
    assert_eq!(decode(bytes, 1000), Ok(Some((Packet::Connect(connect), bytes.len()))));
}

/// Checklist 34 and 41: both versions, each for clients and for bridges.
#[test]
fn connect_at_each_level() {
    // Twenty-four characters are one more than 3.1 allows.
    for (protocol, bridge, bytes) in [
        (Protocol::V311, false, b"\x10\x24\0\x04MQTT\x04\x02\0\x3C\0\x18beem.loadr-somewhere-8-1".as_slice()),
        (Protocol::V311, true, b"\x10\x24\0\x04MQTT\x84\x02\0\x3C\0\x18beem.loadr-somewhere-8-1"),
        (Protocol::V31, false, b"\x10\x26\0\x06MQIsdp\x03\x02\0\x3C\0\x18beem.loadr-somewhere-8-1"),
        (Protocol::V31, true, b"\x10\x26\0\x06MQIsdp\x83\x02\0\x3C\0\x18beem.loadr-somewhere-8-1"),
    ] {
        let client_id = "beem.loadr-somewhere-8-1";
        is(bytes, Packet::Connect(Connect { protocol, bridge, client_id, keep_alive: 60, ..BARE }));
    }
}

#[test]
fn protocols_read_back_as_written() {
    for (protocol, text) in [(Protocol::V31, "3.1"), (Protocol::V311, "3.1.1"), (Protocol::V5, "5")] {
        assert_eq!((protocol.to_string().as_str(), text.parse()), (text, Ok(protocol)));
    }
    for bad in ["", "3", "4", "3.1.2", "5.0", "MQTT"] {
        let error = bad.parse::<Protocol>().unwrap_err();
        assert_eq!(error.to_string(), format!("the protocol is 3.1, 3.1.1 or 5, not {bad:?}"));
    }
}

#[test]
fn connack() {
    is(&[0x20, 2, 1, 0], Packet::ConnAck(ConnAck { session_present: true, ..ConnectCode::Accepted.into() }));
    let codes = [
        ConnectCode::Accepted,
        ConnectCode::UnacceptableProtocolVersion,
        ConnectCode::IdentifierRejected,
        ConnectCode::ServerUnavailable,
        ConnectCode::BadUsernameOrPassword,
        ConnectCode::NotAuthorized,
    ];
    for (byte, code) in codes.into_iter().enumerate() {
        is(&[0x20, 2, 0, byte as u8], Packet::ConnAck(ConnAck::from(code)));
    }
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
    is(b"\x30\x05\0\x03a/b", Packet::Publish(bare));
    is(b"\x31\x07\0\x03a/bhi", Packet::Publish(Publish { retain: true, payload: b"hi", ..bare }));
    let once = Publish { qos: QoS::AtLeastOnce, packet_id: Some(id(10)), ..bare };
    is(b"\x32\x07\0\x03a/b\0\x0A", Packet::Publish(once));
    let again = Publish { dup: true, retain: true, payload: b"\0", packet_id: Some(id(0xFFFE)), ..once };
    is(b"\x3B\x08\0\x03a/b\xFF\xFE\0", Packet::Publish(again));
    is(b"\x34\x07\0\x03a/b\0\x0A", Packet::Publish(Publish { qos: QoS::ExactlyOnce, ..once }));
}

#[test]
fn acknowledgements_and_pings() {
    is(&[0x40, 2, 0x12, 0x34], Packet::PubAck(id(0x1234).into()));
    is(&[0x50, 2, 0x12, 0x34], Packet::PubRec(id(0x1234).into()));
    is(&[0x62, 2, 0x12, 0x34], Packet::PubRel(id(0x1234).into()));
    is(&[0x70, 2, 0xFF, 0xFF], Packet::PubComp(id(0xFFFF).into()));
    is(&[0xB0, 2, 0x00, 0x01], Packet::UnsubAck(id(1).into()));
    is(&[0xC0, 0], Packet::PingReq);
    is(&[0xD0, 0], Packet::PingResp);
    is(&[0xE0, 0], Packet::Disconnect(ReasonCode::Success.into()));
}

#[test]
fn subscribe() {
    let bytes = b"\x82\x12\0\x0A\0\x03a/b\x01\0\x03+/#\x02\0\x01x\0";
    let Ok(Some((Packet::Subscribe(subscribe), 20))) = decode(bytes, MAX_PACKET) else { panic!() };
    assert_eq!(subscribe.packet_id(), id(10));
    let filters = [("a/b", QoS::AtLeastOnce), ("+/#", QoS::ExactlyOnce), ("x", QoS::AtMostOnce)];
    assert!(subscribe.filters().eq(filters));
    is(bytes, Packet::Subscribe(subscribe));
    let mut out = vec![0xAA];
    encode_subscribe(id(10), filters, &mut out).unwrap();
    assert_eq!(&out[1..], bytes);
}

#[test]
fn suback() {
    let bytes = [0x90, 6, 0x12, 0x34, 0, 1, 2, 0x80];
    let Ok(Some((Packet::SubAck(suback), 8))) = decode(&bytes, MAX_PACKET) else { panic!() };
    assert_eq!(suback.packet_id(), id(0x1234));
    let granted = SubAckCode::Granted;
    let codes =
        [granted(QoS::AtMostOnce), granted(QoS::AtLeastOnce), granted(QoS::ExactlyOnce), SubAckCode::Failure];
    assert!(suback.codes().eq(codes));
    assert_eq!(suback.codes().len(), 4);
    is(&bytes, Packet::SubAck(suback));
    let mut out = Vec::new();
    encode_suback(id(0x1234), codes, &mut out).unwrap();
    assert_eq!(out, bytes);
}

#[test]
fn unsubscribe() {
    let bytes = b"\xA2\x0B\0\x0A\0\x03a/b\0\x02c/";
    let Ok(Some((Packet::Unsubscribe(unsubscribe), 13))) = decode(bytes, MAX_PACKET) else { panic!() };
    assert_eq!(unsubscribe.packet_id(), id(10));
    assert!(unsubscribe.filters().eq(["a/b", "c/"]));
    is(bytes, Packet::Unsubscribe(unsubscribe));
    let mut out = Vec::new();
    encode_unsubscribe(id(10), ["a/b", "c/"], &mut out).unwrap();
    assert_eq!(out, bytes);
}

/// Lengths at the edges of table 2.4, with the bytes it gives for them.
const LENGTHS: [(usize, &[u8]); 8] = [
    (5, &[0x05]),
    (127, &[0x7F]),
    (128, &[0x80, 0x01]),
    (16_383, &[0xFF, 0x7F]),
    (16_384, &[0x80, 0x80, 0x01]),
    (2_097_151, &[0xFF, 0xFF, 0x7F]),
    (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
    (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
];

#[test]
fn remaining_length_takes_one_to_four_bytes() {
    for (remaining, length) in LENGTHS {
        let head = [&[0x30], length, b"\0\x03a/b"].concat();
        let mut out = Vec::new();
        Publish::encode_head(false, QoS::AtMostOnce, false, "a/b", None, remaining - 5, &mut out);
        assert_eq!(out, head);
        let whole = 1 + length.len() + remaining;
        if remaining <= 2_097_152 {
            out.resize(whole, 7);
            let Ok(Some((Packet::Publish(publish), used))) = decode(&out, whole) else { panic!() };
            assert_eq!((used, publish.payload.len()), (whole, remaining - 5));
            assert_eq!(decode(&out[..whole - 1], whole), Ok(None));
        } else {
            assert_eq!(decode(&out, MAX_PACKET), Ok(None));
        }
    }
}

#[test]
fn padded_remaining_length_is_allowed() {
    // Version 5 demands the shortest form, 3.1.1 does not.
    assert_eq!(decode(&[0xC0, 0x80, 0x80, 0x00], MAX_PACKET), Ok(Some((Packet::PingReq, 4))));
    assert_eq!(decode(&[0x40, 0x82, 0x00, 0, 9], MAX_PACKET), Ok(Some((Packet::PubAck(id(9).into()), 5))));
}

#[test]
fn oversized_is_rejected_from_the_header_alone() {
    for (remaining, length) in LENGTHS {
        let header = [&[0x30], length].concat();
        let whole = header.len() + remaining;
        let oversized = DecodeError::Oversized { length: whole, max: whole - 1 };
        assert_eq!(decode(&header, whole - 1), Err(oversized));
        assert_eq!(decode(&header, whole), Ok(None));
        assert_eq!(decode(&header[..header.len() - 1], whole - 1), Ok(None));
    }
}

#[test]
fn byte_order_mark_is_text() {
    // [MQTT-1.5.3-3]
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "\u{FEFF}a",
        packet_id: None,
        properties: Properties::NONE,
        payload: b"\xEF\xBB\xBF",
    };
    is(b"\x30\x09\0\x04\xEF\xBB\xBFa\xEF\xBB\xBF", Packet::Publish(publish));
}

#[test]
fn packets_in_a_row_come_one_by_one() {
    let bytes = [0xC0, 0, 0x40, 2, 0, 1, 0x62, 2, 0, 2, 0xE0];
    let (first, used) = decode(&bytes, MAX_PACKET).unwrap().unwrap();
    assert_eq!((first, used), (Packet::PingReq, 2));
    assert_eq!(decode(&bytes[2..], MAX_PACKET), Ok(Some((Packet::PubAck(id(1).into()), 4))));
    assert_eq!(decode(&bytes[6..], MAX_PACKET), Ok(Some((Packet::PubRel(id(2).into()), 4))));
    assert_eq!(decode(&bytes[10..], MAX_PACKET), Ok(None));
    assert_eq!(decode(&[], MAX_PACKET), Ok(None));
}
