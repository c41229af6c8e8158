//! Persistent sessions in one worker, and takeover of a client id.

use super::*;
use crate::wire::ReasonCode;

#[test]
fn a_persistent_session_keeps_subscriptions_and_messages() {
    let mut net = Net::new(2);
    let (subscriber, present) = net.connect_persistent(1, "s");
    assert!(!present);
    net.subscribed(subscriber, &[("t", 2)]);
    net.cut(subscriber);
    let publisher = net.connect(0, "p");
    for quality in 0..3 {
        net.publish(publisher, "t", "off", quality);
        net.packet(publisher, Packet::PubRel(id(7).into()));
    }
    net.settle();
    let (subscriber, present) = net.connect_persistent(1, "s");
    assert!(present);
    assert_eq!(net.got(subscriber), ["t=off q1 #1", "t=off q2 #2"], "QoS 0 is not kept");
    net.publish(publisher, "t", "on", 1);
    assert_eq!(net.got(subscriber), ["t=on q1 #3"]);
}

#[test]
fn what_was_not_acknowledged_comes_again() {
    let mut net = Net::new(1);
    let (subscriber, _) = net.connect_persistent(0, "s");
    net.subscribed(subscriber, &[("t", 2)]);
    let publisher = net.connect(0, "p");
    for number in 1..=4_u16 {
        let packet = Publish { packet_id: Some(id(number)), ..message("t", "x", 2) };
        net.packet(publisher, Packet::Publish(packet));
    }
    assert_eq!(net.got(subscriber).len(), 4);
    net.packet(subscriber, Packet::PubRec(id(1).into()));
    net.packet(subscriber, Packet::PubRec(id(2).into()));
    net.packet(subscriber, Packet::PubComp(id(2).into()));
    net.packet(subscriber, Packet::Disconnect(ReasonCode::Success.into()));
    net.cut(subscriber);
    let (subscriber, present) = net.connect_persistent(0, "s");
    assert!(present);
    assert_eq!(net.got(subscriber), ["PUBREL #1", "t=x q2 #3 dup", "t=x q2 #4 dup"]);
}

#[test]
fn qos_2_taken_in_is_remembered_over_a_lost_connection() {
    let mut net = Net::new(1);
    let watcher = net.connect(0, "w");
    net.subscribed(watcher, &[("t", 0)]);
    let (publisher, _) = net.connect_persistent(0, "p");
    net.publish(publisher, "t", "x", 2);
    net.cut(publisher);
    let (publisher, present) = net.connect_persistent(0, "p");
    assert!(present);
    net.packet(publisher, Packet::Publish(Publish { dup: true, ..message("t", "x", 2) }));
    assert_eq!(net.got(publisher), ["PUBREC #7"]);
    assert_eq!(net.got(watcher), ["t=x q0"]);
}

#[test]
fn a_clean_connect_forgets_the_session_and_a_clean_session_is_not_kept() {
    let mut net = Net::new(1);
    let (client, _) = net.connect_persistent(0, "c");
    net.subscribed(client, &[("t", 1)]);
    net.cut(client);
    let client = net.connect(0, "c");
    let publisher = net.connect(0, "p");
    net.publish(publisher, "t", "x", 1);
    assert_eq!(net.got(client), [] as [&str; 0]);
    net.subscribed(client, &[("t", 1)]);
    net.cut(client);
    let (client, present) = net.connect_persistent(0, "c");
    assert!(!present);
    net.publish(publisher, "t", "y", 1);
    assert_eq!(net.got(client), [] as [&str; 0]);
    net.cut(publisher);
    assert_eq!(net.sessions(), 1);
}

#[test]
fn the_second_connection_of_a_client_ends_the_first() {
    for worker in [0, 1] {
        for (first_clean, second_clean) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut net = Net::new(2);
            let watcher = net.connect(0, "w");
            net.subscribed(watcher, &[("will", 0)]);
            let first = net.open(0);
            let connect = Connect { clean_session: first_clean, will: will("will", "x"), ..clean("c") };
            net.packet(first, Packet::Connect(connect));
            net.subscribe(first, &[("t", 1)]);
            assert_eq!(net.got(first).len(), 2);
            let second = net.open(worker);
            net.packet(second, Packet::Connect(Connect { clean_session: second_clean, ..clean("c") }));
            let kept = !first_clean && !second_clean;
            assert_eq!(net.got(second), [if kept { "CONNACK present" } else { "CONNACK new" }]);
            assert!(net.is_closed(first) && !net.is_closed(second));
            assert_eq!(net.got(watcher), ["will=x q0"]);
            net.cut(first);
            net.publish(watcher, "t", "after", 1);
            let expected: &[&str] = if kept { &["t=after q1 #1"] } else { &[] };
            assert_eq!(net.got(second), expected);
            assert_eq!((net.counters().takeovers, net.counters().connections), (1, 2));
            assert_eq!(net.sessions(), 2);
        }
    }
}

/// 3.1 has no flag for it in CONNACK: the byte is reserved (3.1, section 3.2).
#[test]
fn a_client_of_the_old_protocol_is_not_told_of_its_session() {
    for worker in [0, 1] {
        let mut net = Net::new(2);
        let publisher = net.connect(0, "p");
        let connect = Connect { protocol: Protocol::V31, clean_session: false, ..clean("c") };
        let client = net.open(0);
        net.packet(client, Packet::Connect(connect));
        assert_eq!(net.got(client), ["CONNACK new"]);
        net.subscribed(client, &[("t", 1)]);
        net.cut(client);
        net.publish(publisher, "t", "x", 1);
        let client = net.open(worker);
        net.packet(client, Packet::Connect(connect));
        assert_eq!(net.got(client), ["CONNACK new", "t=x q1 #1"], "it is there all the same");
        net.cut(client);
        let (_, present) = net.connect_persistent(worker, "c");
        assert!(present, "a client of 3.1.1 is told");
    }
}

/// A client sends what it has not seen answered again: PUBREC here, on its own and to the repeated PUBLISH.
#[test]
fn a_client_that_comes_back_may_repeat_its_half_of_a_handshake() {
    for received in [false, true] {
        let mut net = Net::new(1);
        let publisher = net.connect(0, "p");
        let (client, _) = net.connect_persistent(0, "c");
        net.subscribed(client, &[("t", 2)]);
        net.publish(publisher, "t", "x", 2);
        assert_eq!(net.got(client), ["t=x q2 #1"]);
        if received {
            net.packet(client, Packet::PubRec(id(1).into()));
        }
        net.cut(client);
        let (client, present) = net.connect_persistent(0, "c");
        assert!(present);
        assert_eq!(net.got(client), [if received { "PUBREL #1" } else { "t=x q2 #1 dup" }]);
        for _ in 0..2 {
            net.packet(client, Packet::PubRec(id(1).into()));
            assert_eq!(net.got(client), ["PUBREL #1"]);
        }
        for _ in 0..3 {
            net.packet(client, Packet::PubComp(id(1).into()));
        }
        net.packet(client, Packet::PubRec(id(1).into()));
        assert_eq!(net.got(client), ["PUBREL #1"]);
        assert!(!net.is_closed(client));
        assert_eq!(net.counters().violations, 0);
    }
}

#[test]
fn much_that_is_in_flight_comes_again_as_fast_as_it_is_taken() {
    let limits = Limits { unsent: 1000, unsent_fatal: 5000, ..Limits::default() };
    let mut net = Net::with_limits(1, limits);
    let publisher = net.connect(0, "p");
    let (client, _) = net.connect_persistent(0, "c");
    net.subscribed(client, &[("t", 2)]);
    let payload = "x".repeat(300);
    for number in 0..100 {
        net.publish(publisher, "t", &format!("{number:02}{payload}"), 1 + number % 2);
        net.packet(publisher, Packet::PubRel(id(7).into()));
        net.got(publisher);
        assert_eq!(net.got(client).len(), 1);
    }
    net.packet(client, Packet::PubRec(id(2).into()));
    net.cut(client);
    let (client, present) = net.connect_persistent(0, "c");
    assert!(present);
    net.publish(publisher, "t", "new", 1);
    let mut got = Vec::new();
    loop {
        net.packet(client, Packet::PingReq);
        net.settle();
        let owed = net.wires[0].wires[&client.conn].out.len();
        assert!(owed <= 1000 + 320, "{owed}");
        match net.take(client) {
            pong if pong == ["PingResp"] => break,
            words => got.extend(words.into_iter().filter(|words| words != "PingResp")),
        }
    }
    assert!(!net.is_closed(client));
    let mut expected: Vec<_> = (0..100)
        .map(|number| format!("t={number:02}{payload} q{} #{} dup", 1 + number % 2, number + 1))
        .collect();
    expected[1] = "PUBREL #2".into();
    expected.push("t=new q1 #101".into());
    assert_eq!(got, expected);
}
