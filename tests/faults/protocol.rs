//! Brokers that break the protocol: it is counted, named with its statement, and never believed.

use std::time::Duration;

use malaria_bench::wire::{
    self, ConnAck, ConnectCode, Packet, PacketId, PacketType, Properties, Publish, QoS,
};

use crate::bench::{Bench, Outcome};
use crate::broker::{Act, Broker, Heard};

/// Two publishers and two subscribers; the broker does wrong what `wrong` says to the first PUBLISH.
fn wronged(qos: u8, wrong: impl Fn(PacketId) -> Vec<u8> + Send + 'static) -> Outcome {
    let broker = Broker::start(move |heard| match heard.packet {
        Some(Packet::Publish(Publish { packet_id: Some(id), .. })) if heard.publish() == 1 => {
            Act::Say(wrong(*id))
        }
        _ => Act::Honest,
    });
    let arguments = format!("--clients 4 -T 20 -q {qos} --warmup 0 --duration 1s --drain 500ms");
    let outcome = Bench::against(broker.address, &arguments).run();
    let remote = broker.address.to_string();
    outcome.ends(4, &[&remote, "broke the protocol", "violations of the protocol by the broker: 1"]);
    outcome.is_partial().within(Duration::from_secs(8));
    let counts = outcome.record().counts;
    assert_eq!((counts.protocol_errors, counts.connections_lost, counts.reconnects), (1, 1, 1));
    assert!(counts.acked > 0, "the others went on");
    outcome.acks_account_for_what_was_sent();
    outcome
}

fn other(id: PacketId) -> PacketId {
    PacketId::new(id.get() ^ 0x4000).expect("not 0")
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

#[test]
fn garbage() {
    // Type 0 is reserved; 'h' of an HTTP answer is a PUBREL with wrong flags.
    wronged(1, |_| vec![0; 64]).ends(4, &["publisher", "packet type 0 is reserved", "[MQTT-4.8.0-1]"]);
    wronged(1, |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).ends(4, &["[MQTT-"]);
}

#[test]
fn an_acknowledgement_of_nothing() {
    let outcome = wronged(1, |id| written(|out| wire::encode_puback(other(id), out)));
    outcome.ends(4, &["PUBACK has packet id", "nothing is outstanding", "[MQTT-2.3.1-6]"]);
}

#[test]
fn an_acknowledgement_in_front_of_garbage_counts() {
    let broker = Broker::start(|heard| match heard.packet {
        Some(Packet::Publish(Publish { packet_id: Some(id), .. })) => {
            Act::Say([written(|out| wire::encode_puback(*id, out)), vec![0; 4]].concat())
        }
        _ => Act::Honest,
    });
    let arguments =
        "--topology publish --clients 1 -T 20 --reconnect false --warmup 0 --duration 1s --drain 0s";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(4, &["broke the protocol"]);
    let counts = outcome.record().counts;
    assert_eq!((counts.sent, counts.acked, counts.protocol_errors), (1, 1, 1));
}

#[test]
fn an_acknowledgement_of_another_kind() {
    let outcome = wronged(2, |id| written(|out| wire::encode_puback(id, out)));
    outcome.ends(4, &["PUBACK came for packet id", "PUBREC", "[MQTT-4.3.3-2]"]);
    let outcome = wronged(1, |id| written(|out| wire::encode_pubrec(id, out)));
    outcome.ends(4, &["PUBREC came for packet id", "PUBACK", "[MQTT-4.3.2-2]"]);
}

#[test]
fn an_oversized_length() {
    // Remaining length of five bytes, and the longest one there is.
    wronged(1, |_| vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]).ends(4, &["remaining length", "[MQTT-"]);
    let outcome = wronged(1, |_| vec![0x30, 0xff, 0xff, 0xff, 0x7f]);
    outcome.ends(4, &["packet of 268435460 bytes", "[MQTT-4.8.0-2]"]);
    assert!(outcome.peak_memory < 200 << 20, "what was announced is not allocated: {}", outcome.peak_memory);
}

#[test]
fn a_packet_of_clients() {
    let outcome = wronged(1, |_| written(wire::encode_pingreq));
    outcome.ends(4, &["PINGREQ came, which only clients send", "[MQTT-4.8.0-1]"]);
}

#[test]
fn a_second_connack() {
    let connack = ConnAck::from(ConnectCode::Accepted);
    let outcome = wronged(1, move |_| written(|out| wire::encode_connack(connack, out)));
    outcome.ends(4, &["second CONNACK", "[MQTT-3.2.0-1]"]);
}

/// The broker answers every CONNECT with `bytes`.
fn greets(bytes: Vec<u8>) -> Outcome {
    let broker = Broker::start(move |heard: &Heard<'_>| match heard.is(PacketType::Connect) {
        true => Act::Say(bytes.clone()),
        false => Act::Honest,
    });
    let outcome = Bench::against(broker.address, "--clients 4 --cores 1").run();
    outcome.ends(4, &[&broker.address.to_string(), "broke the protocol"]);
    outcome.is_partial().within(Duration::from_secs(5));
    let counts = outcome.record().counts;
    assert_eq!((counts.protocol_errors, counts.connections_established), (4, 0));
    outcome
}

#[test]
fn something_before_connack() {
    greets(written(wire::encode_pingresp)).ends(4, &["PINGRESP came before CONNACK", "[MQTT-3.2.0-1]"]);
}

#[test]
fn a_session_that_cannot_be() {
    let connack =
        ConnAck { session_present: true, code: ConnectCode::Accepted, properties: Properties::NONE };
    let outcome = greets(written(|out| wire::encode_connack(connack, out)));
    outcome.ends(4, &["session present", "[MQTT-3.2.2-1]"]);
}

#[test]
fn something_else_than_mqtt() {
    greets(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec()).ends(4, &["[MQTT-"]);
}

#[test]
fn a_message_nobody_sent() {
    // Not a violation: other people's messages on the same topic are counted and change nothing.
    let foreign = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "bench/0",
        packet_id: None,
        payload: b"hello",
        properties: Properties::NONE,
    };
    let broker = Broker::start(move |heard| match heard.is(PacketType::Subscribe) {
        true => Act::Also(written(|out| foreign.encode(out).expect("short"))),
        false => Act::Honest,
    });
    let outcome = Bench::against(broker.address, "--clients 4 -n 5 -T 20").run();
    outcome.ends(0, &["foreign 2"]);
    assert_eq!((outcome.record().counts.foreign, outcome.record().counts.delivered), (2, 10));
}
