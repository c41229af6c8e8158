//! What a broker of MQTT 5 has to say when something is wrong.

use std::time::Duration;

use malaria_bench::wire::v5::{self, Place, PropertyId, PropertyList, Value};
use malaria_bench::wire::{
    Ack, ConnAck, ConnectCode, Disconnect, PacketType, Properties, Protocol, Publish, QoS, ReasonCode,
};

use crate::bench::{Bench, Outcome};
use crate::broker::{Act, Broker, Heard};

const FOUR: &str = "--protocol 5 --clients 4 --cores 1";
/// Ten messages of one publisher.
const TEN: &str = "--protocol 5 --topology publish --clients 1 --cores 1 -q 1 -n 10 -T 100 --drain 1s";

fn connack(code: ConnectCode, properties: Properties<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Protocol::V5.encode_connack(ConnAck { session_present: false, code, properties }, &mut bytes);
    bytes
}

fn list(packet: PacketType, properties: &[(PropertyId, Value<'_>)]) -> PropertyList {
    PropertyList::new(Place::Packet(packet), properties.iter().copied()).expect("valid properties")
}

/// The broker answers every CONNECT with `connack` and every PUBLISH by `publish`.
fn plays(
    arguments: &str,
    connack: Vec<u8>,
    publish: impl Fn(&Publish<'_>) -> Vec<u8> + Send + 'static,
) -> (String, Outcome) {
    let broker = Broker::start(move |heard: &Heard<'_>| match heard.packet {
        Some(malaria_bench::wire::Packet::Connect(_)) => Act::Say(connack.clone()),
        Some(malaria_bench::wire::Packet::Publish(message)) => Act::Say(publish(message)),
        _ => Act::Honest,
    });
    (broker.address.to_string(), Bench::against(broker.address, arguments).run())
}

fn nothing(_: &Publish<'_>) -> Vec<u8> {
    Vec::new()
}

#[test]
fn every_refusal_has_its_name() {
    for reason in
        ReasonCode::ALL.iter().filter(|reason| reason.is_error() && reason.is_of(PacketType::ConnAck))
    {
        let (name, number) = (reason.name(), format!("CONNACK {:#04x}", *reason as u8));
        let said = list(
            PacketType::ConnAck,
            &[
                (PropertyId::ReasonString, Value::Text("go away")),
                (PropertyId::ServerReference, Value::Text("elsewhere:1883")),
            ],
        );
        let (address, outcome) = plays(FOUR, connack(ConnectCode::Reason(*reason), said.get()), nothing);
        outcome.ends(4, &[&address, name, &number, "\"go away\"", "\"elsewhere:1883\""]);
        outcome.is_partial().within(Duration::from_secs(5));
        let counts = outcome.record().counts;
        assert_eq!((counts.refused_by_connack(), counts.protocol_errors), (4, 0), "{name}");
        assert!(counts.reasons.iter().eq([(name, 4)]), "{name}: {:?}", counts.reasons);
    }
}

/// A broker that grants less than the run needs is left before a message is sent, with the flag to change.
#[test]
fn what_is_not_granted_is_told() {
    let arguments = [
        (PropertyId::MaximumPacketSize, 60, TEN, "takes packets of 60 B at most", "--size"),
        (PropertyId::MaximumQoS, 0, TEN, "takes QoS 0 at most", "--qos"),
        (
            PropertyId::RetainAvailable,
            0,
            &format!("{TEN} --retain"),
            "takes no retained messages",
            "--retain",
        ),
        (
            PropertyId::SharedSubscriptionAvailable,
            0,
            "--protocol 5 --clients 4 --cores 1 --share g",
            "has no shared subscriptions",
            "--share",
        ),
    ];
    for (id, number, arguments, words, flag) in arguments {
        let granted = list(PacketType::ConnAck, &[(id, Value::Number(number))]);
        let (address, outcome) = plays(arguments, connack(ConnectCode::Accepted, granted.get()), nothing);
        outcome.ends(4, &[&address, words, flag]);
        assert_eq!(outcome.record().counts.sent, 0, "{words}");
    }
}

#[test]
fn the_reason_of_a_disconnect_is_quoted() {
    let (address, outcome) =
        plays(&format!("{TEN} --reconnect false"), connack(ConnectCode::Accepted, Properties::NONE), |_| {
            let said =
                list(PacketType::Disconnect, &[(PropertyId::ReasonString, Value::Text("for maintenance"))]);
            let leave = Disconnect { reason: ReasonCode::ServerShuttingDown, properties: said.get() };
            let mut bytes = Vec::new();
            v5::encode_disconnect(&leave, &mut bytes);
            bytes
        });
    outcome.ends(4, &[&address, "server shutting down (DISCONNECT 0x8b): \"for maintenance\""]);
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_lost, counts.closed_by_broker, counts.protocol_errors), (1, 1, 0));
    assert!(counts.reasons.iter().eq([("server shutting down", 1)]), "{:?}", counts.reasons);
}

fn puback(message: &Publish<'_>, reason: ReasonCode) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet_id = message.packet_id.expect("QoS 1");
    v5::encode_ack(PacketType::PubAck, &Ack { reason, ..packet_id.into() }, &mut bytes);
    bytes
}

#[test]
fn messages_that_are_refused_are_told() {
    let welcome = || connack(ConnectCode::Accepted, Properties::NONE);
    let (_, outcome) = plays(TEN, welcome(), |message| puback(message, ReasonCode::QuotaExceeded));
    outcome.ends(5, &["messages refused by the broker: 10", "quota exceeded 10"]);
    let counts = outcome.record().counts;
    assert_eq!((counts.sent, counts.acked, counts.rejected, counts.unacked_at_end), (10, 0, 10, 0));
    assert!(counts.reasons.iter().eq([("quota exceeded", 10)]), "{:?}", counts.reasons);

    let (_, outcome) = plays(TEN, welcome(), |message| {
        assert_eq!(message.qos, QoS::AtLeastOnce);
        puback(message, ReasonCode::NoMatchingSubscribers)
    });
    assert!(matches!(outcome.code, Some(0 | 6)), "{}", outcome.text());
    assert!(outcome.text().contains("no matching subscribers 10"), "{}", outcome.text());
    let counts = outcome.record().counts;
    assert_eq!((counts.sent, counts.acked, counts.rejected), (10, 10, 0));
}

/// A refusal makes room for the next message at once, not when somebody looks again.
#[test]
fn a_closed_loop_goes_on_after_a_refusal() {
    let flags =
        "--protocol 5 --topology publish --clients 1 --cores 1 -q 1 -n 10 --rate max --inflight 1 --drain 1s";
    let (_, outcome) = plays(
        &format!("{flags} --ack-timeout 10m"),
        connack(ConnectCode::Accepted, Properties::NONE),
        |message| puback(message, ReasonCode::QuotaExceeded),
    );
    let counts = outcome.record().counts;
    assert_eq!((counts.sent, counts.rejected), (10, 10));
}

/// The broker's receive maximum is never exceeded, whatever --inflight says.
#[test]
fn a_receive_maximum_is_kept() {
    let granted = list(PacketType::ConnAck, &[(PropertyId::ReceiveMaximum, Value::Number(3))]);
    let welcome = connack(ConnectCode::Accepted, granted.get());
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = seen.clone();
    // Nothing is acknowledged: so many come, and no more.
    let arguments = "--protocol 5 --topology publish --clients 1 --cores 1 -q 1 --rate max --inflight 50 --duration 500ms \
                     --warmup 0s --drain 200ms";
    let (_, outcome) = plays(arguments, welcome, move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Vec::new()
    });
    assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 3);
    assert_eq!(outcome.record().counts.sent, 3);
}
