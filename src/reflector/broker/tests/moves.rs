//! Sessions that move between workers.

use super::*;

/// A persistent session in worker 0, offline, with a message in flight, one queued and a QoS 2 taken in.
fn left_behind(net: &mut Net) -> Client {
    let (client, _) = net.connect_persistent(0, "c");
    net.subscribed(client, &[("t", 1), ("w/+", 1)]);
    net.publish(client, "other", "x", 2);
    let publisher = net.connect(2, "p");
    net.publish(publisher, "t", "flying", 1);
    assert_eq!(net.got(client), ["PUBREC #7", "t=flying q1 #1"]);
    net.cut(client);
    net.publish(publisher, "w/1", "queued", 1);
    net.settle();
    publisher
}

#[test]
fn a_session_moves_with_everything_in_it() {
    let mut net = Net::new(3);
    let publisher = left_behind(&mut net);
    let (client, present) = net.connect_persistent(1, "c");
    assert!(present);
    assert_eq!(net.got(client), ["t=flying q1 #1 dup", "w/1=queued q1 #2"]);
    net.publish(publisher, "t", "after", 1);
    net.publish(publisher, "w/2", "after", 1);
    assert_eq!(net.got(client), ["t=after q1 #3", "w/2=after q1 #4"]);
    let watcher = net.connect(0, "w");
    net.subscribed(watcher, &[("other", 0)]);
    net.packet(client, Packet::Publish(Publish { dup: true, ..message("other", "x", 2) }));
    assert_eq!(net.got(watcher), [] as [&str; 0], "the identifier came along");
    // And back again.
    net.cut(client);
    let (client, present) = net.connect_persistent(0, "c");
    assert!(present);
    assert_eq!(net.got(client).len(), 4);
    assert_eq!(net.sessions(), 3);
}

#[test]
fn connack_waits_for_the_session_and_early_packets_wait_with_it() {
    let mut net = Net::new(3);
    left_behind(&mut net);
    let client = net.open(1);
    net.packet(client, Packet::Connect(Connect { clean_session: false, ..clean("c") }));
    net.packet(client, Packet::PingReq);
    net.publish(client, "t", "own", 1);
    assert_eq!(net.take(client), [] as [&str; 0]);
    let expected =
        ["CONNACK present", "t=flying q1 #1 dup", "w/1=queued q1 #2", "PingResp", "t=own q1 #3", "PUBACK #7"];
    assert_eq!(net.got(client), expected);
}

#[test]
fn messages_that_were_on_their_way_to_the_old_home_are_passed_on() {
    let mut net = Net::new(3);
    let publisher = left_behind(&mut net);
    // Resolved to worker 0 and posted, not read there yet.
    net.publish(publisher, "t", "late", 1);
    net.pass(2);
    let client = net.open(1);
    net.packet(client, Packet::Connect(Connect { clean_session: false, ..clean("c") }));
    net.pass(1);
    // And one that worker 2 resolves before the session is surrendered, and posts after.
    net.publish(publisher, "t", "later", 1);
    net.pass(0);
    let got = net.got(client);
    assert_eq!(got[0], "CONNACK present");
    assert_eq!(got[1..], ["t=flying q1 #1 dup", "w/1=queued q1 #2", "t=late q1 #3", "t=later q1 #4"]);
}

#[test]
fn a_message_straight_to_the_new_home_waits_for_the_session() {
    let mut net = Net::new(3);
    let publisher = left_behind(&mut net);
    let client = net.open(1);
    net.packet(client, Packet::Connect(Connect { clean_session: false, ..clean("c") }));
    net.pass(1);
    // Worker 0 turns the subscriptions; what it sends is still on its way when worker 2's mail is there.
    net.brokers[0].read_mail(&mut net.wires[0]);
    net.publish(publisher, "t", "new", 1);
    net.pass(2);
    net.pass(1);
    assert_eq!(net.take(client), [] as [&str; 0]);
    let got = net.got(client);
    assert_eq!(got, ["CONNACK present", "t=flying q1 #1 dup", "w/1=queued q1 #2", "t=new q1 #3"]);
}

#[test]
fn a_client_that_moves_on_before_its_session_came_gets_it_in_the_end() {
    let mut net = Net::new(3);
    left_behind(&mut net);
    let mut client = net.open(1);
    for worker in [1, 2, 0, 2, 2, 1] {
        client = net.open(worker);
        net.packet(client, Packet::Connect(Connect { clean_session: false, ..clean("c") }));
        net.pass(worker);
    }
    assert_eq!(net.got(client), ["CONNACK present", "t=flying q1 #1 dup", "w/1=queued q1 #2"]);
    assert_eq!(net.sessions(), 2);
    assert_eq!(net.counters().connections, 2);
}

#[test]
fn a_clean_connect_while_the_session_moves_leaves_nothing_of_it() {
    for worker in [0, 1, 2] {
        let mut net = Net::new(3);
        let publisher = left_behind(&mut net);
        let moving = net.open(1);
        net.packet(moving, Packet::Connect(Connect { clean_session: false, ..clean("c") }));
        let client = net.open(worker);
        net.packet(client, Packet::Connect(clean("c")));
        assert_eq!(net.got(client), ["CONNACK new"]);
        assert!(net.is_closed(moving));
        net.publish(publisher, "t", "x", 1);
        assert_eq!(net.got(client), [] as [&str; 0]);
        assert_eq!(net.sessions(), 2);
        assert!(matches!(
            net.brokers[0].hub.claim("c", nobody(), true).1,
            crate::reflector::hub::Claim::Replace(_)
        ));
    }
}

fn nobody() -> crate::reflector::hub::Home {
    let key = SessionKey { index: 0, generation: 0 };
    crate::reflector::hub::Home { address: Address { worker: 9, key }, persistent: false }
}

#[test]
fn a_client_that_gives_up_while_it_waits_finds_its_session_later() {
    let mut net = Net::new(3);
    left_behind(&mut net);
    let client = net.open(1);
    let connect = Connect { clean_session: false, will: will("t", "never"), ..clean("c") };
    net.packet(client, Packet::Connect(connect));
    net.cut(client);
    let (client, present) = net.connect_persistent(1, "c");
    assert!(present);
    assert_eq!(net.got(client), ["t=flying q1 #1 dup", "w/1=queued q1 #2"]);
    assert_eq!(net.counters().wills, 0, "it was never accepted");
}

#[test]
fn forwarding_ends_after_a_while() {
    let mut net = Net::new(3);
    left_behind(&mut net);
    let (client, _) = net.connect_persistent(1, "c");
    assert!(net.brokers[0].forwards.get(SessionKey { index: 0, generation: 0 }).is_some());
    net.sleep(31 * SECOND);
    assert!(net.brokers[0].forwards.get(SessionKey { index: 0, generation: 0 }).is_none());
    assert!(!net.is_closed(client));
}

#[test]
fn a_session_that_moves_in_the_middle_of_much_gets_the_rest() {
    let limits = Limits { unsent: 1000, ..Limits::default() };
    let mut net = Net::with_limits(2, limits);
    let publisher = net.connect(1, "p");
    for number in 0..50 {
        net.retain(publisher, &format!("t/{number:02}"), &"x".repeat(100), 0);
    }
    let (old, _) = net.connect_persistent(0, "c");
    net.subscribe(old, &[("t/#", 0)]);
    // What goes out before the worker hears of the move is the old connection's, read or not.
    let mut got = net.take(old).len() - 1;
    let (client, present) = net.connect_persistent(1, "c");
    assert!(present && net.is_closed(old));
    got += net.take(old).len();
    assert!((5..30).contains(&got), "{got}");
    // Nothing that the client does from here on makes the session go on.
    for _ in 0..20 {
        got += net.got(client).len();
    }
    assert_eq!(got, 50);
}
