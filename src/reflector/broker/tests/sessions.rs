//! Persistent sessions in one worker, and takeover of a client id.

use super::*;

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
        net.packet(publisher, Packet::PubRel(id(7)));
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
    net.packet(subscriber, Packet::PubRec(id(1)));
    net.packet(subscriber, Packet::PubRec(id(2)));
    net.packet(subscriber, Packet::PubComp(id(2)));
    net.packet(subscriber, Packet::Disconnect);
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
