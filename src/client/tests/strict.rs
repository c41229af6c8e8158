//! What a server must not do.

use super::super::*;
use super::{ACCEPTED, handle, id, online, plain_connect, publish, reconnect};
use crate::wire::{ConnAck, Packet, Properties, ReasonCode};

const LIMITS: Limits =
    Limits { inflight: 9, keep_alive: 0, clean_session: true, aliases: 0, receive_maximum: u16::MAX };

fn decoded(bytes: &'static [u8]) -> Packet<'static> {
    wire::decode(bytes, wire::MAX_PACKET).unwrap().unwrap().0
}

/// Packets that no server sends, with their names.
fn client_only() -> [(Packet<'static>, PacketType); 5] {
    [
        (Packet::Connect(plain_connect()), PacketType::Connect),
        (decoded(b"\x82\x06\0\x01\0\x01t\0"), PacketType::Subscribe),
        (decoded(b"\xa2\x05\0\x01\0\x01t"), PacketType::Unsubscribe),
        (Packet::PingReq, PacketType::PingReq),
        (Packet::Disconnect(ReasonCode::Success.into()), PacketType::Disconnect),
    ]
}

#[test]
fn a_server_sends_no_client_packets() {
    for (packet, name) in client_only() {
        assert_eq!(handle(&mut online(), packet), Err(ProtocolError::ClientOnly(name)));
    }
}

#[test]
fn nothing_comes_before_connack() {
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        payload: b"",
        properties: Properties::NONE,
    };
    let early = [Packet::Publish(publish), Packet::PubAck(id(1).into()), Packet::PingResp, Packet::PingReq];
    for packet in early {
        let mut client = Client::<u64>::new();
        client.connect(&plain_connect(), 0, &mut Vec::new()).unwrap();
        let error = ProtocolError::BeforeConnAck(packet.packet_type());
        assert_eq!(handle(&mut client, packet), Err(error));
    }
}

#[test]
fn connack_comes_once() {
    assert_eq!(handle(&mut online(), Packet::ConnAck(ACCEPTED)), Err(ProtocolError::SecondConnAck));
}

#[test]
fn a_clean_session_is_not_present() {
    let mut client = Client::<u64>::new();
    client.connect(&plain_connect(), 0, &mut Vec::new()).unwrap();
    let connack = ConnAck { session_present: true, ..ACCEPTED };
    assert_eq!(handle(&mut client, Packet::ConnAck(connack)), Err(ProtocolError::SessionAfterClean));
}

#[test]
fn acks_are_for_ids_in_use() {
    let answers = [
        Packet::PubAck(id(7).into()),
        Packet::PubRec(id(7).into()),
        Packet::PubComp(id(7).into()),
        decoded(b"\x90\x03\0\x07\0"),
        Packet::UnsubAck(id(7).into()),
    ];
    for packet in answers {
        let mut client = online();
        publish(&mut client, QoS::AtLeastOnce, 0, &LIMITS).unwrap();
        let error = ProtocolError::UnknownId { packet: packet.packet_type(), id: id(7) };
        assert_eq!(handle(&mut client, packet), Err(error), "{packet:?}");
        assert_eq!(client.inflight(), 1);
    }
}

/// A client with id 1 waiting for PUBACK, 2 for PUBREC, 3 for PUBCOMP, 4 for SUBACK and 5 for UNSUBACK.
fn waiting() -> (Client<u64>, [PacketType; 5]) {
    let mut client = online();
    publish(&mut client, QoS::AtLeastOnce, 1, &LIMITS).unwrap();
    publish(&mut client, QoS::ExactlyOnce, 2, &LIMITS).unwrap();
    let received = publish(&mut client, QoS::ExactlyOnce, 3, &LIMITS).unwrap();
    handle(&mut client, Packet::PubRec(received.into())).unwrap();
    client.subscribe([("t", QoS::AtMostOnce)].into_iter(), 0, &mut Vec::new()).unwrap();
    client.unsubscribe(["t"].into_iter(), 0, &mut Vec::new()).unwrap();
    use PacketType::*;
    (client, [PubAck, PubRec, PubComp, SubAck, UnsubAck])
}

#[test]
fn each_id_takes_only_the_answer_it_waits_for() {
    let subacks = [
        decoded(b"\x90\x03\0\x01\0"),
        decoded(b"\x90\x03\0\x02\0"),
        decoded(b"\x90\x03\0\x03\0"),
        decoded(b"\x90\x03\0\x04\0"),
        decoded(b"\x90\x03\0\x05\0"),
    ];
    for at in 0..5 {
        let id = id(at as u16 + 1);
        let answers = [
            Packet::PubAck(id.into()),
            Packet::PubRec(id.into()),
            Packet::PubComp(id.into()),
            subacks[at],
            Packet::UnsubAck(id.into()),
        ];
        for (kind, packet) in answers.into_iter().enumerate() {
            let (mut client, awaited) = waiting();
            let result = handle(&mut client, packet);
            if kind == at {
                assert!(result.is_ok(), "{packet:?}: {result:?}");
                continue;
            }
            let error = ProtocolError::AckOfWrongKind { ack: packet.packet_type(), id, awaited: awaited[at] };
            assert_eq!(result, Err(error));
            // The error has changed nothing: the right answer is still welcome.
            assert!(handle(&mut client, answers[at]).is_ok());
        }
    }
}

#[test]
fn a_given_up_message_still_knows_what_it_waits_for() {
    let (mut client, _) = waiting();
    client.expire_oldest();
    let error = handle(&mut client, Packet::PubComp(id(1).into())).unwrap_err();
    let (ack, awaited) = (PacketType::PubComp, PacketType::PubAck);
    assert_eq!(error, ProtocolError::AckOfWrongKind { ack, id: id(1), awaited });
    let error = handle(&mut client, decoded(b"\x90\x03\0\x01\0")).unwrap_err();
    assert_eq!(error, ProtocolError::AckOfWrongKind { ack: PacketType::SubAck, id: id(1), awaited });
}

#[test]
fn suback_has_a_code_for_each_filter() {
    let mut client = online();
    let filters = [("a", QoS::AtMostOnce), ("b", QoS::AtMostOnce)];
    client.subscribe(filters.into_iter(), 0, &mut Vec::new()).unwrap();
    for (packet, codes) in [(decoded(b"\x90\x03\0\x01\0"), 1), (decoded(b"\x90\x05\0\x01\0\0\0"), 3)] {
        let error = ProtocolError::SubAckCodeCount { id: id(1), codes, filters: 2 };
        assert_eq!(handle(&mut client, packet), Err(error));
    }
}

#[test]
fn pingresp_answers_a_pingreq() {
    let mut client = online();
    let limits = Limits { keep_alive: 5, ..LIMITS };
    assert_eq!(handle(&mut client, Packet::PingResp), Err(ProtocolError::UnaskedPingResp));
    client.poll_keepalive(5, &limits, &mut Vec::new());
    assert_eq!(handle(&mut client, Packet::PingResp), Ok((Event::Pong, vec![])));
    assert_eq!(handle(&mut client, Packet::PingResp), Err(ProtocolError::UnaskedPingResp));
}

/// What a server that resumes a session may repeat is taken; in a new session it is an error.
#[test]
fn a_resumed_session_forgives_repetitions() {
    let (mut client, _) = waiting();
    let error = handle(&mut client, Packet::PubRec(id(3).into())).unwrap_err();
    let (ack, awaited) = (PacketType::PubRec, PacketType::PubComp);
    assert_eq!(error, ProtocolError::AckOfWrongKind { ack, id: id(3), awaited });

    reconnect(&mut client, true);
    client.redeliver(0, &mut Vec::new(), |_, resend| {
        resend.publish(Outgoing {
            topic: "t",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::NONE,
            payload: &[],
        })
    });
    assert_eq!(handle(&mut client, Packet::PubRec(id(3).into())), Ok((Event::None, vec![])));
    let error = handle(&mut client, Packet::UnsubAck(id(5).into())).unwrap_err();
    assert!(matches!(error, ProtocolError::UnknownId { .. }), "requests do not outlive a connection");
}

#[test]
fn errors_name_value_and_statement() {
    let errors = [
        (ProtocolError::BeforeConnAck(PacketType::PubAck), "PUBACK", "[MQTT-3.2.0-1]"),
        (ProtocolError::SecondConnAck, "CONNACK", "[MQTT-3.2.0-1]"),
        (ProtocolError::ClientOnly(PacketType::PingReq), "PINGREQ", "[MQTT-4.8.0-1]"),
        (ProtocolError::SessionAfterClean, "CONNACK", "[MQTT-3.2.2-1]"),
        (ProtocolError::UnknownId { packet: PacketType::SubAck, id: id(77) }, "77", "[MQTT-3.8.4-2]"),
        (
            ProtocolError::AckOfWrongKind {
                ack: PacketType::PubAck,
                id: id(77),
                awaited: PacketType::PubRec,
            },
            "77, which waits for PUBREC",
            "[MQTT-4.3.3-2]",
        ),
        (ProtocolError::SubAckCodeCount { id: id(77), codes: 1, filters: 2 }, "77", "[MQTT-3.8.4-5]"),
        (ProtocolError::UnaskedPingResp, "PINGRESP", "[MQTT-3.12.4-1]"),
    ];
    for (error, value, statement) in errors {
        let text = error.to_string();
        assert!(text.contains(value) && text.contains(statement), "{text}");
    }
}
