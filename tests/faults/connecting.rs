//! Brokers that do not let clients in, or not all of them.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::time::Duration;

use malaria_bench::record::Phase;
use malaria_bench::wire::{self, ConnAck, ConnectCode, PacketId, PacketType, QoS, SubAckCode};

use crate::bench::Bench;
use crate::broker::{Act, Broker, Heard};

const SECOND: Duration = Duration::from_secs(1);

fn connack(code: ConnectCode) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode_connack(ConnAck::from(code), &mut bytes);
    bytes
}

#[test]
fn refusals_by_name() {
    for (code, name, fix) in [
        (ConnectCode::UnacceptableProtocolVersion, "unacceptable protocol version", "--protocol"),
        (ConnectCode::IdentifierRejected, "identifier rejected", "--clientid"),
        (ConnectCode::ServerUnavailable, "server unavailable", "--clients"),
        (ConnectCode::BadUsernameOrPassword, "bad user name or password", "--username"),
        (ConnectCode::NotAuthorized, "not authorized", "--username"),
    ] {
        let broker =
            Broker::start(
                move |heard| if heard.packet.is_some() { Act::Say(connack(code)) } else { Act::Honest },
            );
        let outcome = Bench::against(broker.address, "--clients 4 --cores 1").run();
        let number = format!("CONNACK {}", code.number());
        outcome.ends(4, &[&broker.address.to_string(), name, &number, fix]);
        outcome.is_partial().within(5 * SECOND);
        let mut refused = [0; 6];
        refused[usize::from(code.number())] = 4;
        assert_eq!(outcome.record().counts.refused, refused);
    }
}

#[test]
fn a_server_of_another_protocol_is_called_by_its_name() {
    for (name, greeting) in [
        ("HTTP", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]),
        // Alert, TLS 1.2: a fatal unexpected_message.
        ("TLS", &[0x15, 3, 3, 0, 2, 2, 10]),
    ] {
        let broker = Broker::start(|heard| match heard.is(PacketType::Connect) {
            true => Act::Say(greeting.to_vec()),
            false => Act::Honest,
        });
        let spoken = format!("it speaks {name}, not MQTT");
        let outcome = Bench::against(broker.address, "--clients 4 --cores 1").run();
        outcome.ends(4, &[&broker.address.to_string(), &spoken, "port"]).is_partial();
    }
}

#[test]
fn some_are_refused_by_name() {
    let broker = Broker::start(|heard| match heard.is(PacketType::Connect) && heard.conn % 2 == 1 {
        true => Act::Say(connack(ConnectCode::NotAuthorized)),
        false => Act::Honest,
    });
    let outcome =
        Bench::against(broker.address, "--clients 8 --cores 1 -T 10 --warmup 0 --duration 1s --drain 500ms")
            .run();
    outcome.ends(4, &["clients never connected: 4", "not authorized 4"]).is_partial();
    assert_eq!(outcome.record().counts.connections_established, 4);
}

#[test]
fn accepts_and_never_answers() {
    let broker = Broker::start(|_| Act::Silent);
    let outcome = Bench::against(broker.address, "--clients 50 --connect-timeout 1s").run();
    outcome.ends(4, &[&broker.address.to_string(), "no CONNACK within 1", "--connect-timeout"]);
    outcome.is_partial().within(5 * SECOND);
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_established, counts.connections_asked), (0, 50));
    assert_eq!(counts.connect_timeouts, 50);
}

#[test]
fn accepts_and_closes_at_once() {
    let broker = Broker::start(|_| Act::Close);
    let outcome = Bench::against(broker.address, "--clients 50").run();
    outcome.ends(4, &[&broker.address.to_string(), "before CONNACK"]);
    outcome.is_partial().within(5 * SECOND);
}

#[test]
fn welcomes_everybody_and_closes_at_once() {
    for arguments in ["--reconnect false", "--reconnect true"] {
        let broker =
            Broker::start(|heard| if heard.is(PacketType::Connect) { Act::Leave } else { Act::Honest });
        let arguments = format!("--clients 4 -T 10 --warmup 0 --duration 1s --drain 500ms {arguments}");
        let outcome = Bench::against(broker.address, &arguments).run();
        let lost = format!("connection to {} lost: ", broker.address);
        outcome.ends(4, &[&lost]).is_partial().within(8 * SECOND);
        // Who wrote before it heard of the end was reset; of two causes the summary may have room for one.
        let record = outcome.record();
        let (closed, counts) = (format!("{lost}closed by the peer"), record.counts);
        assert!(record.warnings.iter().any(|warning| warning.starts_with(&closed)), "{:?}", record.warnings);
        assert_eq!(counts.connections_established, 4);
        assert!(counts.connections_lost >= 4 && counts.closed_by_broker >= 4, "{counts:#?}");
        assert!(!outcome.text().contains("no client could connect"), "they could: {}", outcome.text());
    }
}

#[test]
fn cuts_everybody_off_who_says_something() {
    let broker = Broker::start(|heard| match heard.packet {
        Some(packet) if packet.packet_type() != PacketType::Connect => Act::Close,
        _ => Act::Honest,
    });
    // Subscribers are cut off when they subscribe, publishers when they publish.
    let arguments = "--clients 4 -T 10 --warmup 0 --duration 10s --drain 500ms --reconnect false";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(4, &["every connection was lost", "closed by the peer"]).is_partial().within(6 * SECOND);
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_established, counts.closed_by_broker, counts.subscribed), (4, 4, 0));
}

#[test]
fn does_not_even_accept() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    // Room for one: the kernel drops every other SYN.
    // SAFETY: a plain system call on a socket of ours.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().expect("a bound socket");
    let outcome = Bench::against(address, "--clients 4 --connect-timeout 1s").run();
    outcome.ends(4, &[&address.to_string(), "no TCP connection within 1.00 s", "--connect-timeout"]);
    outcome.is_partial().within(5 * SECOND);
    assert_eq!(outcome.record().counts.connect_timeouts, 4);
}

#[test]
fn one_of_two_brokers_is_away() {
    let away = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("a bound socket");
    let broker = Broker::honest();
    let arguments = format!("-H {away} --clients 8 --topology publish -T 10 --warmup 0 --duration 500ms");
    let outcome = Bench::against(broker.address, &arguments).run();
    outcome.ends(4, &["clients never connected: 4", &away.to_string(), "Connection refused"]).is_partial();
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_established, counts.refused_tcp), (4, 4));
    assert_eq!(counts.sent, counts.acked);
}

#[test]
fn closes_after_some_clients() {
    let broker = Broker::start(|heard| if heard.conn >= 20 { Act::Close } else { Act::Honest });
    // Publishers connect first: of the pairs, ten have both ends.
    let arguments = "--clients 60 --topology fan-in --rate 100 --warmup 0 --duration 1s --drain 500ms";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(4, &["clients never connected: 40", &broker.address.to_string()]);
    outcome.is_partial().within(8 * SECOND);
    let record = outcome.record();
    assert_eq!(record.counts.connections_established, 20);
    assert!(record.counts.sent > 0 && record.latencies.connack.count == 20, "what was measured is there");
    assert!(record.phases.iter().any(|times| times.phase == Phase::Measure));
}

#[test]
fn closed_loops_end_without_those_who_never_connected() {
    let broker = Broker::start(|heard| if heard.conn >= 3 { Act::Close } else { Act::Honest });
    let arguments = "--clients 6 --topology publish --cores 1 --rate max -n 50 --drain 500ms";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(4, &["clients never connected: 3"]).is_partial().within(8 * SECOND);
    assert_eq!(outcome.record().counts.acked, 150);
}

#[test]
fn closed_loops_end_without_those_who_were_lost() {
    // Of three publishers, one is lost at the 30th message: for good, or until it is clear that it does not
    // come back.
    for (arguments, said) in [
        ("--reconnect false", "connections lost and not established again: 1"),
        ("--connect-timeout 500ms --ack-timeout 500ms", "nothing could be sent any more for 1.50 s"),
    ] {
        let broker = Broker::start(|heard| match heard.publish() {
            30 => Act::Reset,
            0 if heard.conn >= 3 => Act::Close,
            _ => Act::Honest,
        });
        let arguments =
            format!("--clients 3 --topology publish --cores 1 --rate max -n 50 --drain 500ms {arguments}");
        let outcome = Bench::against(broker.address, &arguments).run();
        outcome.ends(4, &[said]).is_partial().within(10 * SECOND);
        let counts = outcome.record().counts;
        assert!((100..150).contains(&counts.acked), "{counts:#?}");
        outcome.acks_account_for_what_was_sent();
    }
}

#[test]
fn never_acknowledges_a_subscription() {
    let broker =
        Broker::start(|heard| if heard.is(PacketType::Subscribe) { Act::Silent } else { Act::Honest });
    let arguments = "--clients 10 --connect-timeout 1s --warmup 0 --duration 1s --drain 500ms";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(4, &["no SUBACK within 1", "--connect-timeout", "not subscribed 5"]);
    outcome.is_partial().within(8 * SECOND);
    assert_eq!(outcome.record().counts.subscribe_failures, 5);
}

#[test]
fn acknowledges_subscriptions_after_they_were_given_up() {
    let mut waiting = Vec::new();
    // The first PUBLISH shows that nobody waits any more; a PINGREQ could not.
    let broker = Broker::start(move |heard| match heard.packet {
        Some(wire::Packet::Subscribe(subscribe)) => {
            waiting.push(subscribe.packet_id());
            Act::Silent
        }
        Some(wire::Packet::PingReq) => {
            let mut bytes = Vec::new();
            wire::encode_pingresp(&mut bytes);
            if let Some(id) = waiting.pop() {
                wire::encode_suback(id, [SubAckCode::Granted(QoS::AtLeastOnce)], &mut bytes)
                    .expect("one code");
            }
            Act::Say(bytes)
        }
        _ => Act::Honest,
    });
    let arguments =
        "--clients 2 --keepalive 1s --connect-timeout 500ms --warmup 0 --duration 3s --drain 500ms";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(4, &["no SUBACK within 500"]).is_partial().within(10 * SECOND);
    let counts = outcome.record().counts;
    assert_eq!((counts.subscribe_failures, counts.subscribed), (1, 0));
}

#[test]
fn refuses_subscriptions_or_grants_less() {
    for (code, words) in
        [(SubAckCode::Failure, "--topic"), (SubAckCode::Granted(QoS::AtMostOnce), "--sub-qos")]
    {
        let broker = Broker::start(move |heard| match heard.packet {
            Some(wire::Packet::Subscribe(subscribe)) => {
                Act::Say(suback(subscribe.packet_id(), [code].into_iter()))
            }
            _ => Act::Honest,
        });
        let arguments = "--clients 4 --warmup 0 --duration 500ms --drain 500ms";
        let outcome = Bench::against(broker.address, arguments).run();
        outcome.ends(4, &["subscription at QoS 1", words, "subscriptions failed: 2"]).is_partial();
        assert_eq!(outcome.record().counts.subscribe_failures, 2);
    }
}

pub fn suback(id: PacketId, codes: impl ExactSizeIterator<Item = SubAckCode>) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode_suback(id, codes, &mut bytes).expect("a few codes");
    bytes
}

#[test]
fn never_answers_a_ping() {
    let broker =
        Broker::start(|heard: &Heard| if heard.is(PacketType::PingReq) { Act::Silent } else { Act::Honest });
    let arguments = "--clients 3 --topology idle --keepalive 1s --warmup 0 --duration 3s --reconnect false";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(4, &["PINGREQ was not answered", "MQTT-3.1.2-24"]).is_partial().within(8 * SECOND);
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_lost, counts.pongs), (3, 0));
}
