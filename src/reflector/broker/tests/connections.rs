//! CONNECT, DISCONNECT, keepalive, wills.

use super::*;
use crate::wire::{Properties, ReasonCode};

#[test]
fn an_empty_client_id_is_for_clean_sessions_only() {
    let mut net = Net::new(1);
    let (a, b) = (net.connect(0, ""), net.connect(0, ""));
    assert!(!net.is_closed(a) && !net.is_closed(b), "they are two clients");
    let refused = net.open(0);
    let mut bytes = Vec::new();
    Packet::Connect(clean("")).encode(&mut bytes).unwrap();
    bytes[9] &= !0x02;
    net.bytes(refused, &bytes);
    assert_eq!(net.got(refused), ["CONNACK refused: client identifier rejected"]);
    assert!(net.is_closed(refused));
}

#[test]
fn another_protocol_level_is_refused_by_name() {
    let mut net = Net::new(1);
    let client = net.open(0);
    let mut bytes = Vec::new();
    Packet::Connect(clean("c")).encode(&mut bytes).unwrap();
    bytes[8] = 6;
    net.bytes(client, &bytes);
    assert_eq!(net.got(client), ["CONNACK refused: unacceptable protocol version"]);
    assert!(net.is_closed(client));
}

/// Checklist 34 and 41.
#[test]
fn old_clients_and_bridges_are_clients_like_others() {
    let mut net = Net::new(2);
    let listener = net.connect(1, "listener");
    net.subscribed(listener, &[("#", 2)]);
    let all = [(Protocol::V31, false), (Protocol::V31, true), (Protocol::V311, true)];
    for (number, (protocol, bridge)) in all.into_iter().enumerate() {
        let client = net.open(0);
        // Longer than 3.1 allows, as malaria's were.
        let name = format!("beem.loadr-some-machine-{number}");
        net.packet(client, Packet::Connect(Connect { protocol, bridge, ..clean(&name) }));
        assert_eq!(net.got(client), ["CONNACK new"]);
        net.subscribed(client, &[("own", 1)]);
        net.packet(client, Packet::Publish(message("own", "x", 1)));
        assert_eq!(net.got(client), ["own=x q1 #1", "PUBACK #7"], "{protocol} {bridge}");
        assert_eq!(net.got(listener), [format!("own=x q1 #{}", number + 1)]);
        net.packet(client, Packet::Disconnect(ReasonCode::Success.into()));
        assert!(net.is_closed(client));
    }
}

/// In 3.1 a packet that is sent once more has DUP, and other flags are not used; 3.1.1 forbids both.
#[test]
fn flags_that_the_old_protocol_does_not_forbid_are_no_offence_there() {
    let mut net = Net::new(1);
    let old = net.open(0);
    net.packet(old, Packet::Connect(Connect { protocol: Protocol::V31, ..clean("old") }));
    assert_eq!(net.got(old), ["CONNACK new"]);
    net.publish(old, "t", "x", 2);
    assert_eq!(net.got(old), ["PUBREC #7"]);
    let packets: [(&[u8], &str); 5] = [
        (b"\x8A\x06\0\x09\0\x01t\x01", "SUBACK #9 [1]"),
        (b"\x6A\x02\0\x07", "PUBCOMP #7"),
        (b"\xAA\x05\0\x08\0\x01t", "UNSUBACK #8"),
        (b"\x60\x02\0\x07", "PUBCOMP #7"),
        (b"\xCF\0", "PingResp"),
    ];
    for (bytes, answer) in packets {
        for cut in 1..bytes.len() {
            assert_eq!(net.bytes(old, &bytes[..cut]), 0);
        }
        assert_eq!(net.bytes(old, bytes), bytes.len());
        assert_eq!(net.got(old), [answer]);
        let new = net.connect(0, "new");
        net.bytes(new, bytes);
        assert!(net.is_closed(new), "{bytes:?}");
    }
    assert!(!net.is_closed(old));
    net.bytes(old, b"\xF0\0");
    assert!(net.is_closed(old), "a packet type is no flag");
}

#[test]
fn connect_comes_first_and_once() {
    let mut net = Net::new(1);
    for packet in [
        Packet::PingReq,
        Packet::Disconnect(ReasonCode::Success.into()),
        Packet::Publish(message("t", "x", 0)),
    ] {
        let client = net.open(0);
        net.packet(client, packet);
        assert!(net.is_closed(client), "{packet:?}");
        assert_eq!(net.got(client), [] as [&str; 0]);
    }
    let client = net.connect(0, "c");
    net.packet(client, Packet::Connect(clean("c")));
    assert!(net.is_closed(client));
    assert_eq!(net.counters().violations, 4);
}

#[test]
fn who_never_says_connect_is_cut_off_after_ten_seconds() {
    let mut net = Net::new(1);
    let client = net.open(0);
    let mut bytes = Vec::new();
    Packet::Connect(clean("c")).encode(&mut bytes).unwrap();
    net.sleep(9 * SECOND);
    assert_eq!(net.bytes(client, &bytes[..5]), 0);
    assert!(!net.is_closed(client));
    net.sleep(SECOND + 300 * MILLISECOND);
    assert!(net.is_closed(client));
    assert_eq!(net.counters().timeouts, 1);
}

#[test]
fn silence_of_one_and_a_half_keepalives_ends_a_connection_and_publishes_its_will() {
    let mut net = Net::new(2);
    let watcher = net.connect(1, "w");
    net.subscribed(watcher, &[("will", 1)]);
    let client = net.open(0);
    let connect = Connect { keep_alive: 4, will: will("will", "gone"), ..clean("c") };
    net.packet(client, Packet::Connect(connect));
    net.sleep(5 * SECOND);
    net.packet(client, Packet::PingReq);
    assert_eq!(net.got(client), ["CONNACK new", "PingResp"]);
    net.sleep(5_900 * MILLISECOND);
    assert!(!net.is_closed(client), "it was heard 5.9 s ago, the limit is 6");
    net.sleep(400 * MILLISECOND);
    assert!(net.is_closed(client));
    assert_eq!(net.got(watcher), ["will=gone q1 #1"]);
    assert_eq!((net.counters().timeouts, net.counters().wills), (1, 1));
}

#[test]
fn keepalive_zero_is_no_watch_and_long_ones_outlast_the_wheel() {
    let mut net = Net::new(1);
    let forever = net.connect(0, "forever");
    let patient = net.open(0);
    net.packet(patient, Packet::Connect(Connect { keep_alive: 600, ..clean("patient") }));
    net.sleep(899 * SECOND);
    assert!(!net.is_closed(patient));
    net.sleep(2 * SECOND);
    assert!(net.is_closed(patient) && !net.is_closed(forever));
}

#[test]
fn a_will_is_published_unless_the_client_takes_leave() {
    type End = fn(&mut Net, Client);
    let endings: [(&str, End); 3] = [
        ("cut", |net, client| net.cut(client)),
        ("violation", |net, client| net.packet(client, Packet::PingResp)),
        ("garbage", |net, client| assert_eq!(net.bytes(client, &[0xff; 8]), 8)),
    ];
    for (name, ending) in endings {
        let mut net = Net::new(2);
        let watcher = net.connect(1, "w");
        net.subscribed(watcher, &[("#", 0)]);
        let client = net.open(0);
        net.packet(client, Packet::Connect(Connect { will: will("will", name), ..clean("c") }));
        ending(&mut net, client);
        assert_eq!(net.got(watcher), [format!("will={name} q0")]);
    }
    let mut net = Net::new(2);
    let watcher = net.connect(1, "w");
    net.subscribed(watcher, &[("#", 0)]);
    let client = net.open(0);
    net.packet(client, Packet::Connect(Connect { will: will("will", "x"), ..clean("c") }));
    net.packet(client, Packet::Disconnect(ReasonCode::Success.into()));
    assert!(net.is_closed(client));
    net.cut(client);
    assert_eq!(net.got(watcher), [] as [&str; 0]);
    assert_eq!(net.counters().wills, 0);
}

#[test]
fn a_will_can_be_retained() {
    let mut net = Net::new(1);
    let client = net.open(0);
    let will = Will {
        topic: "state",
        payload: b"gone",
        qos: QoS::AtMostOnce,
        retain: true,
        properties: Properties::NONE,
    };
    net.packet(client, Packet::Connect(Connect { will: Some(will), ..clean("c") }));
    net.cut(client);
    let late = net.connect(0, "late");
    net.subscribe(late, &[("state", 0)]);
    assert_eq!(net.got(late), ["SUBACK #9 [0]", "state=gone q0 retained"]);
}

#[test]
fn a_closed_connection_that_does_not_go_is_aborted() {
    let mut net = Net::new(1);
    let client = net.connect(0, "c");
    net.packet(client, Packet::Disconnect(ReasonCode::Success.into()));
    net.wires[0].wires.get_mut(&client.conn).unwrap().closed = false;
    net.publish(client, "t", "x", 1);
    assert_eq!(net.got(client), [] as [&str; 0], "nothing is heard after DISCONNECT");
    net.sleep(11 * SECOND);
    assert!(net.is_closed(client));
}

#[test]
fn a_reused_connection_is_not_ended_by_the_deadline_of_the_one_before() {
    let mut net = Net::new(1);
    let old = net.open(0);
    net.packet(old, Packet::Connect(Connect { keep_alive: 2, ..clean("old") }));
    net.cut(old);
    net.next = old.conn.0;
    let new = net.connect(0, "new");
    assert_eq!(new.conn, old.conn);
    net.sleep(20 * SECOND);
    assert!(!net.is_closed(new));
}

#[test]
fn a_connection_has_one_deadline_however_often_it_was_reused() {
    let mut net = Net::new(1);
    for _ in 0..20 {
        net.next = 0;
        let client = net.open(0);
        net.packet(client, Packet::Connect(Connect { keep_alive: 2, ..clean("c") }));
        net.sleep(SECOND);
        net.cut(client);
    }
    net.sleep(20 * SECOND);
    assert_eq!(net.brokers[0].deadlines.len(), 0);
    let client = net.open(0);
    net.packet(client, Packet::Connect(Connect { keep_alive: 4, ..clean("c") }));
    for _ in 0..20 {
        net.sleep(3 * SECOND);
        net.packet(client, Packet::PingReq);
    }
    assert_eq!(net.brokers[0].deadlines.len(), 1);
}
