//! Publishing and delivering: QoS, filters, retained messages, bounds.

use super::*;
use crate::wire::ReasonCode;

#[test]
fn a_message_is_delivered_at_the_lower_qos_in_one_worker_and_across() {
    for to in [0, 1] {
        for published in 0..3 {
            for granted in 0..3 {
                let mut net = Net::new(2);
                let subscriber = net.connect(to, "s");
                net.subscribe(subscriber, &[("a/b", granted)]);
                assert_eq!(net.got(subscriber), [format!("SUBACK #9 [{granted}]")]);
                let publisher = net.connect(0, "p");
                net.publish(publisher, "a/b", "hello", published);
                let answers: &[&str] = [&[][..], &["PUBACK #7"], &["PUBREC #7"]][usize::from(published)];
                assert_eq!(net.got(publisher), answers);
                let quality = published.min(granted);
                let id = if quality > 0 { " #1" } else { "" };
                assert_eq!(net.got(subscriber), [format!("a/b=hello q{quality}{id}")]);
            }
        }
    }
}

#[test]
fn a_qos_2_message_is_delivered_once_until_it_is_released() {
    let mut net = Net::new(1);
    let (subscriber, publisher) = (net.connect(0, "s"), net.connect(0, "p"));
    net.subscribed(subscriber, &[("t", 2)]);
    net.publish(publisher, "t", "x", 2);
    net.packet(publisher, Packet::Publish(Publish { dup: true, ..message("t", "x", 2) }));
    assert_eq!(net.got(publisher), ["PUBREC #7", "PUBREC #7"]);
    assert_eq!(net.got(subscriber), ["t=x q2 #1"]);
    net.packet(publisher, Packet::PubRel(id(7).into()));
    net.packet(publisher, Packet::PubRel(id(7).into()));
    assert_eq!(net.got(publisher), ["PUBCOMP #7", "PUBCOMP #7"]);
    net.publish(publisher, "t", "y", 2);
    assert_eq!(net.got(subscriber), ["t=y q2 #2"]);
    for number in [1, 2] {
        net.packet(subscriber, Packet::PubRec(id(number).into()));
        assert_eq!(net.got(subscriber), [format!("PUBREL #{number}")]);
        net.packet(subscriber, Packet::PubComp(id(number).into()));
        assert_eq!(net.got(subscriber), [] as [&str; 0]);
    }
}

#[test]
fn overlapping_filters_deliver_once_at_the_greatest_qos() {
    let mut net = Net::new(2);
    let subscriber = net.connect(1, "s");
    net.subscribed(subscriber, &[("a/b", 0), ("a/#", 2), ("+/+", 1)]);
    let publisher = net.connect(0, "p");
    net.publish(publisher, "a/b", "x", 2);
    assert_eq!(net.got(subscriber), ["a/b=x q2 #1"]);
}

#[test]
fn a_shared_message_goes_to_one_wherever_it_is() {
    let mut net = Net::new(2);
    let members = [0, 1].map(|worker| net.connect(worker, &format!("s{worker}")));
    for member in members {
        net.subscribed(member, &[("$share/g/t/#", 1)]);
    }
    let publishers: Vec<_> = (0..4).map(|number| net.connect(number % 2, &format!("p{number}"))).collect();
    for (publisher, name) in publishers.iter().zip(["a", "b", "c", "d"]) {
        net.publish(*publisher, &format!("t/{name}"), name, 0);
    }
    let got = members.map(|member| net.got(member));
    assert_eq!(got.each_ref().map(Vec::len), [2, 2], "{got:?}");
    // Who is gone is not given anything more.
    net.packet(members[0], Packet::Disconnect(ReasonCode::Success.into()));
    for (publisher, name) in publishers.iter().zip(["a", "b", "c", "d"]) {
        net.publish(*publisher, &format!("t/{name}"), name, 0);
    }
    assert_eq!(net.got(members[1]).len(), 4);
}

#[test]
fn wildcards_and_dollar_topics_follow_the_rules() {
    let mut net = Net::new(2);
    let (all, levels, app) = (net.connect(0, "all"), net.connect(1, "levels"), net.connect(1, "app"));
    net.subscribed(all, &[("#", 0)]);
    net.subscribed(levels, &[("sport/+/player/#", 0)]);
    net.subscribed(app, &[("$app/#", 0)]);
    let publisher = net.connect(0, "p");
    net.publish(publisher, "sport/tennis/player", "1", 0);
    net.publish(publisher, "sport/tennis/player/x/y", "2", 0);
    net.publish(publisher, "sport/player/x", "3", 0);
    net.publish(publisher, "$app/x", "4", 0);
    let plain = ["sport/tennis/player=1 q0", "sport/tennis/player/x/y=2 q0", "sport/player/x=3 q0"];
    assert_eq!(net.got(all), plain);
    assert_eq!(net.got(levels), plain[..2]);
    assert_eq!(net.got(app), ["$app/x=4 q0"]);
}

#[test]
fn a_publisher_sees_every_change_of_subscriptions_at_once() {
    let mut net = Net::new(2);
    let (a, b) = (net.connect(0, "a"), net.connect(1, "b"));
    let publisher = net.connect(0, "p");
    net.publish(publisher, "t", "1", 0);
    for (filter, number) in [("t", "2"), ("+", "3")] {
        net.subscribed(a, &[(filter, 0)]);
        net.subscribed(b, &[(filter, 0)]);
        net.publish(publisher, "t", number, 0);
        net.publish(publisher, "t", number, 0);
        let twice = [format!("t={number} q0"), format!("t={number} q0")];
        assert_eq!(net.got(a), twice);
        assert_eq!(net.got(b), twice);
        net.unsubscribe(a, filter);
        assert_eq!(net.got(a), ["UNSUBACK #8"]);
        net.publish(publisher, "t", "4", 0);
        assert_eq!(net.got(a), [] as [&str; 0]);
        assert_eq!(net.got(b), ["t=4 q0"]);
        net.unsubscribe(b, filter);
        assert_eq!(net.got(b), ["UNSUBACK #8"]);
    }
    net.publish(publisher, "t", "5", 0);
    assert!(net.got(a).is_empty() && net.got(b).is_empty());
    assert!(net.got(publisher).is_empty());
}

#[test]
fn a_changed_qos_replaces_the_old_one() {
    let mut net = Net::new(1);
    let (subscriber, publisher) = (net.connect(0, "s"), net.connect(0, "p"));
    net.subscribed(subscriber, &[("t", 2)]);
    net.publish(publisher, "t", "x", 1);
    assert_eq!(net.got(subscriber), ["t=x q1 #1"]);
    net.subscribed(subscriber, &[("t", 0)]);
    net.publish(publisher, "t", "y", 1);
    assert_eq!(net.got(subscriber), ["t=y q0"]);
    net.unsubscribe(subscriber, "t");
    net.unsubscribe(subscriber, "t");
    net.publish(publisher, "t", "z", 1);
    assert_eq!(net.got(subscriber), ["UNSUBACK #8", "UNSUBACK #8"]);
}

#[test]
fn retained_messages_come_after_suback_and_routed_ones_are_not_marked() {
    let mut net = Net::new(2);
    let (early, publisher) = (net.connect(1, "early"), net.connect(0, "p"));
    net.subscribed(early, &[("a/#", 1)]);
    net.retain(publisher, "a/1", "old", 1);
    net.retain(publisher, "a/1", "one", 1);
    net.retain(publisher, "a/2", "two", 0);
    net.publish(publisher, "a/3", "three", 1);
    assert_eq!(net.got(early), ["a/1=old q1 #1", "a/1=one q1 #2", "a/2=two q0", "a/3=three q1 #3"]);
    let late = net.connect(1, "late");
    net.subscribe(late, &[("a/+", 0), ("a/1", 1)]);
    let retained = ["a/1=one q0 retained", "a/2=two q0 retained", "a/1=one q1 #1 retained"];
    assert_eq!(net.got(late)[0], "SUBACK #9 [0, 1]");
    net.subscribe(late, &[("a/+", 0), ("a/1", 1)]);
    let got = net.got(late);
    assert_eq!(got[0], "SUBACK #9 [0, 1]", "a repeated subscription gets them again");
    assert_eq!(got[1..3], retained[..2]);
    net.retain(publisher, "a/1", "", 0);
    assert_eq!(net.got(late), ["a/1= q0"], "clearing is a message too");
    let last = net.connect(0, "last");
    net.subscribe(last, &[("#", 2)]);
    assert_eq!(net.got(last), ["SUBACK #9 [2]", "a/2=two q0 retained"]);
}

#[test]
fn more_retained_messages_than_a_connection_takes_at_once_all_come() {
    let limits = Limits { unsent: 1000, ..Limits::default() };
    let mut net = Net::with_limits(1, limits);
    let publisher = net.connect(0, "p");
    let payload = "x".repeat(100);
    for number in 0..50 {
        net.retain(publisher, &format!("t/{number:02}"), &payload, number % 2);
    }
    let subscriber = net.connect(0, "s");
    net.subscribe(subscriber, &[("t/#", 1)]);
    let mut got = Vec::new();
    for _ in 0..20 {
        got.extend(net.got(subscriber));
    }
    assert_eq!(got.len(), 51);
    assert_eq!(got[50], format!("t/49={payload} q1 #25 retained"));
}

#[test]
fn a_slow_subscriber_loses_qos_0_and_keeps_the_others() {
    for blocked in [false, true] {
        let limits = Limits { unsent: 1000, ..Limits::default() };
        let mut net = Net::with_limits(2, limits);
        let subscriber = net.connect(1, "s");
        net.subscribed(subscriber, &[("t", 2)]);
        let publisher = net.connect(0, "p");
        let payload = "x".repeat(300);
        for _ in 0..10 {
            net.publish(publisher, "t", &payload, 1);
            net.publish(publisher, "t", &payload, 0);
        }
        net.settle();
        let mut got = Vec::new();
        for _ in 0..20 {
            net.wires[1].wires.get_mut(&subscriber.conn).unwrap().blocked = blocked;
            got.extend(net.got(subscriber));
        }
        let at = |quality: &str| got.iter().filter(|words| words.contains(quality)).count();
        assert_eq!(at("q1"), 10);
        assert_eq!(at("q0") as u64 + net.counters().dropped[0], 10);
        assert!(net.counters().dropped[0] >= 8 && net.counters().dropped[1] == 0);
        assert!(net.brokers[1].stalled.is_empty());
    }
}

#[test]
fn what_waits_for_a_session_is_bounded_and_the_rest_counted() {
    let outgoing = Bounds { window: 3, messages: 4, bytes: 1 << 20 };
    let mut net = Net::with_limits(1, Limits { outgoing, ..Limits::default() });
    let (subscriber, publisher) = (net.connect(0, "s"), net.connect(0, "p"));
    net.subscribed(subscriber, &[("t", 1)]);
    for number in 0..10 {
        net.publish(publisher, "t", &number.to_string(), 1);
    }
    assert_eq!(net.got(subscriber), ["t=0 q1 #1", "t=1 q1 #2", "t=2 q1 #3"]);
    assert_eq!(net.counters().dropped, [0, 3, 0]);
    for number in 1..=7 {
        net.packet(subscriber, Packet::PubAck(id(number).into()));
    }
    assert_eq!(net.got(subscriber), ["t=3 q1 #4", "t=4 q1 #5", "t=5 q1 #6", "t=6 q1 #7"]);
}

#[test]
fn a_client_that_reads_no_acknowledgements_is_ended() {
    let limits = Limits { unsent_fatal: 1000, ..Limits::default() };
    let mut net = Net::with_limits(1, limits);
    let publisher = net.connect(0, "p");
    let mut sent = 0;
    while !net.is_closed(publisher) && sent < 1000 {
        net.publish(publisher, "t", "x", 1);
        sent += 1;
    }
    assert_eq!(sent, 251, "4 bytes for each PUBACK");
    assert_eq!(net.counters().too_slow, 1);
}

#[test]
fn a_message_larger_than_a_connection_may_owe_is_delivered() {
    let limits = Limits { unsent: 1000, unsent_fatal: 5000, ..Limits::default() };
    let mut net = Net::with_limits(1, limits);
    let client = net.connect(0, "c");
    net.subscribed(client, &[("large", 1)]);
    let payload = "x".repeat(20_000);
    net.publish(client, "large", &payload, 1);
    net.packet(client, Packet::PingReq);
    assert!(!net.is_closed(client), "it cannot have read all that by now");
    let mut answers = 1;
    while !net.is_closed(client) && answers < 10_000 {
        net.packet(client, Packet::PingReq);
        answers += 1;
    }
    assert!((2400..2600).contains(&answers), "{answers} answers of 2 bytes");
    assert_eq!(net.counters().too_slow, 1);
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_ends_the_connection() {
    type Answer = fn(PacketId) -> Packet<'static>;
    let [ack, rec, comp]: [Answer; 3] =
        [|id| Packet::PubAck(id.into()), |id| Packet::PubRec(id.into()), |id| Packet::PubComp(id.into())];
    // What is sent, what has been answered already, what comes then.
    let wrong: [(u8, &[Answer], Answer); 6] = [
        (1, &[], rec),
        (1, &[], comp),
        (2, &[], ack),
        (2, &[], comp),
        (2, &[rec], ack),
        (2, &[rec, rec], ack),
    ];
    for (quality, answers, ack) in wrong {
        let mut net = Net::new(1);
        let (subscriber, publisher) = (net.connect(0, "s"), net.connect(0, "p"));
        net.subscribed(subscriber, &[("t", quality)]);
        net.publish(publisher, "t", "x", quality);
        answers.iter().for_each(|answer| net.packet(subscriber, answer(id(1))));
        assert_eq!(net.got(subscriber).len(), 1 + answers.len());
        assert!(!net.is_closed(subscriber));
        let ack = ack(id(1));
        net.packet(subscriber, ack);
        assert!(net.is_closed(subscriber), "QoS {quality}, {answers:?}, {ack:?}");
        assert_eq!(net.got(subscriber), [] as [&str; 0]);
        assert_eq!(net.counters().violations, 1);
    }
}

#[test]
fn an_acknowledgement_that_nothing_waits_for_is_left_alone() {
    let mut net = Net::new(1);
    let (subscriber, publisher) = (net.connect(0, "s"), net.connect(0, "p"));
    net.subscribed(subscriber, &[("t", 2)]);
    let stray = [
        Packet::PubAck(id(3).into()),
        Packet::PubComp(id(3).into()),
        Packet::PubRec(id(3).into()),
        Packet::PubRel(id(3).into()),
    ];
    for round in 0..3 {
        for packet in stray {
            net.packet(subscriber, packet);
        }
        assert_eq!(net.got(subscriber), ["PUBREL #3", "PUBCOMP #3"]);
        // Acknowledged out of order, number 2 stays in the window behind number 1.
        match round {
            0 => {
                net.publish(publisher, "t", "x", 1);
                net.publish(publisher, "t", "y", 1);
                assert_eq!(net.got(subscriber), ["t=x q1 #1", "t=y q1 #2"]);
                net.packet(subscriber, Packet::PubAck(id(2).into()));
                net.packet(subscriber, Packet::PubAck(id(2).into()));
            }
            _ => net.packet(subscriber, Packet::PubAck(id(1).into())),
        }
    }
    assert!(!net.is_closed(subscriber));
    assert_eq!(net.counters().violations, 0);
}

#[test]
fn counters_tell_what_happened() {
    let mut net = Net::new(2);
    let (near, far) = (net.connect(0, "near"), net.connect(1, "far"));
    net.subscribed(near, &[("t", 2)]);
    net.subscribed(far, &[("t", 1)]);
    net.publish(near, "t", "12345", 2);
    net.publish(far, "t", "123", 0);
    net.settle();
    let counters = net.counters();
    assert_eq!((counters.connections, counters.connects), (2, 2));
    assert_eq!((counters.messages_in, counters.payload_bytes_in), ([1, 0, 1], 8));
    assert_eq!((counters.messages_out, counters.payload_bytes_out), ([2, 1, 1], 16));
    assert_eq!(counters.dropped, [0; 3]);
    net.cut(near);
    net.packet(far, Packet::Disconnect(ReasonCode::Success.into()));
    assert_eq!(net.counters().connections, 0);
    assert_eq!(net.sessions(), 0);
}
