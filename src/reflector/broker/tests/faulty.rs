//! A broker that plays a script.

use super::*;
use crate::script::{Deed, Script};
use crate::wire::ReasonCode;

fn playing(script: &str) -> Net {
    let mut net = Net::new(1);
    let broker = net.brokers.pop().unwrap();
    net.brokers.push(broker.with_script(Script::parse(script).unwrap_or_else(|error| panic!("{error}"))));
    net
}

/// What is done about one thing.
fn fault(on: &str, act: &str) -> String {
    format!("[[fault]]\non = '{on}'\ndo = {act}\n")
}

/// A publisher, and a subscriber to `t` at QoS 1.
fn pair(net: &mut Net) -> (Client, Client) {
    let (publisher, subscriber) = (net.connect(0, "p"), net.connect(0, "s"));
    net.subscribed(subscriber, &[("t", 1)]);
    (publisher, subscriber)
}

fn did(net: &mut Net) -> Vec<(Deed, u64)> {
    let (account, _) = net.brokers[0].take_deeds().unwrap();
    account.deeds.iter().map(|(deed, count)| (*deed, *count)).collect()
}

fn at(net: &mut Net, after_ms: u64) {
    net.now.set(net.now.get() + after_ms * MILLISECOND);
    net.settle();
}

fn is_held(net: &Net, client: Client) -> bool {
    net.wires[0].wires[&client.conn].held
}

#[test]
fn nobody_plays_what_nobody_wrote() {
    let mut net = playing("");
    let (publisher, subscriber) = pair(&mut net);
    net.publish(publisher, "t", "x", 1);
    assert_eq!(net.got(publisher), ["PUBACK #7"]);
    assert_eq!(net.got(subscriber), ["t=x q1 #1"]);
    let (account, events) = net.brokers[0].take_deeds().unwrap();
    assert_eq!((account.routed, account.acked, events.len()), (1, 1, 0));
    assert!(account.deeds.is_empty());
    let mut sound = Net::new(1);
    assert!(sound.brokers[0].take_deeds().is_none());
}

#[test]
fn messages_wait_for_their_turn() {
    let mut net = playing("rate = '100'\nburst = 2");
    let (publisher, subscriber) = pair(&mut net);
    for payload in ["a", "b", "c", "d"] {
        net.publish(publisher, "t", payload, 0);
    }
    // What is behind a message waits with it; others do not.
    net.packet(publisher, Packet::PingReq);
    net.packet(subscriber, Packet::PingReq);
    assert_eq!(net.got(subscriber), ["t=a q0", "t=b q0", "PingResp"]);
    assert_eq!(net.pass(0), Some(net.now.get() + 10 * MILLISECOND));
    at(&mut net, 9);
    assert!(net.got(subscriber).is_empty());
    at(&mut net, 1);
    assert_eq!(net.got(subscriber), ["t=c q0"]);
    assert!(net.got(publisher).is_empty());
    at(&mut net, 10);
    assert_eq!((net.got(subscriber), net.got(publisher)), (vec!["t=d q0".into()], vec!["PingResp".into()]));
    // Who goes before has not been served.
    for payload in ["e", "f", "g", "h", "i"] {
        net.publish(publisher, "t", payload, 0);
    }
    net.cut(publisher);
    assert_eq!(did(&mut net), [(Deed::Unserved, 5)]);
}

#[test]
fn a_broker_stands_still_and_goes_on() {
    let mut net = playing("[[at]]\ntime = '1s'\nevery = '2s'\ntimes = 2\ndo = { stall = '500ms' }");
    let (publisher, subscriber) = pair(&mut net);
    at(&mut net, 5_000);
    // Time counts from the first message.
    net.publish(publisher, "t", "a", 0);
    let zero = net.now.get();
    assert!(net.pass(0).is_some_and(|next| next <= zero + SECOND));
    for (begin, end) in [(1_000, 1_500), (3_000, 3_500)] {
        net.now.set(zero + begin * MILLISECOND);
        assert_eq!(net.pass(0).map(|next| next - zero), Some(end * MILLISECOND));
        net.take(subscriber);
        net.publish(publisher, "t", "b", 0);
        assert!(is_held(&net, publisher) && !is_held(&net, subscriber));
        at(&mut net, 499);
        assert!(net.take(subscriber).is_empty());
        at(&mut net, 1);
        assert_eq!(net.take(subscriber), ["t=b q0"]);
        assert!(!is_held(&net, publisher));
    }
    at(&mut net, 9_000);
    assert_eq!(did(&mut net), [(Deed::Stalled, 2)]);
    let mut net = playing("zero = 'start'\n[[at]]\ntime = '1s'\ndo = { stall = 'for ever' }");
    let publisher = net.connect(0, "p");
    at(&mut net, 1_000);
    net.packet(publisher, Packet::PingReq);
    at(&mut net, 100_000);
    assert!(net.got(publisher).is_empty() && net.pass(0).is_none());
}

#[test]
fn a_deaf_broker_handles_nothing_until_it_hears_again() {
    let mut net = playing(&fault("pingreq", "{ deaf = '1s' }"));
    let client = net.connect(0, "p");
    net.packet(client, Packet::PingReq);
    assert!(is_held(&net, client));
    // What had arrived by then waits.
    net.subscribe(client, &[("t", 0)]);
    assert_eq!(net.got(client), ["PingResp"]);
    at(&mut net, 999);
    assert!(net.got(client).is_empty() && is_held(&net, client));
    at(&mut net, 1);
    assert_eq!(net.got(client), ["SUBACK #9 [0]"]);
    assert!(!is_held(&net, client));
    assert_eq!(did(&mut net), [(Deed::Deafened, 1)]);
}

#[test]
fn a_slow_reader_reads_so_much_a_second() {
    let mut net = playing("read = '1000'");
    let client = net.connect(0, "p");
    // 15 bytes of CONNECT.
    at(&mut net, 15);
    assert!(!is_held(&net, client));
    net.publish(client, "t", &"x".repeat(95), 0);
    assert!(is_held(&net, client));
    at(&mut net, 99);
    assert!(is_held(&net, client));
    at(&mut net, 1);
    assert!(!is_held(&net, client));
    assert_eq!(net.counters().messages_in, [1, 0, 0]);
}

#[test]
fn each_kind_of_answer_has_its_delay_and_keeps_its_order() {
    let script = fault("publish", "{ delay = '20ms' }") + &fault("pingreq", "{ delay = '5ms' }");
    let mut net = playing(&script);
    let (publisher, subscriber) = pair(&mut net);
    net.publish(publisher, "t", "a", 1);
    net.packet(publisher, Packet::PubRel(id(3).into()));
    net.packet(publisher, Packet::PingReq);
    assert_eq!(net.got(subscriber), ["t=a q1 #1"]);
    assert_eq!(net.got(publisher), ["PUBCOMP #3"]);
    assert_eq!(net.pass(0), Some(net.now.get() + 5 * MILLISECOND));
    at(&mut net, 5);
    assert_eq!(net.got(publisher), ["PingResp"]);
    at(&mut net, 15);
    assert_eq!(net.got(publisher), ["PUBACK #7"]);
    assert_eq!(did(&mut net), [(Deed::Delayed, 2)]);
    // The second is not late itself, but behind the first.
    let mut net = playing("[[fault]]\non = 'publish'\ntimes = 1\ndo = { delay = '20ms' }");
    let publisher = net.connect(0, "p");
    net.publish(publisher, "t", "a", 1);
    net.publish(publisher, "t", "b", 1);
    assert!(net.got(publisher).is_empty());
    at(&mut net, 20);
    assert_eq!(net.got(publisher), ["PUBACK #7", "PUBACK #7"]);
}

#[test]
fn what_is_behind_a_late_connack_waits_for_it() {
    let mut net = playing(&fault("connect", "{ delay = '20ms' }"));
    let client = net.open(0);
    net.packet(client, Packet::Connect(clean("c")));
    net.packet(client, Packet::PingReq);
    assert!(net.got(client).is_empty());
    at(&mut net, 20);
    assert_eq!(net.got(client), ["CONNACK new", "PingResp"]);
}

#[test]
fn clients_and_subscriptions_are_refused() {
    let mut net = playing("[[fault]]\non = 'connect'\nclient = 'no-*'\ndo = { refuse = 4 }");
    let client = net.open(0);
    net.packet(client, Packet::Connect(clean("no-1")));
    assert_eq!(net.got(client), ["CONNACK refused: bad user name or password"]);
    assert!(net.is_closed(client));
    net.connect(0, "yes");
    assert_eq!(did(&mut net), [(Deed::Refused, 1)]);
    for (code, granted, got) in [(128, "[128, 128]", 0), (1, "[1, 0]", 1)] {
        let mut net = playing(&fault("subscribe", &format!("{{ grant = {code} }}")));
        let client = net.connect(0, "c");
        net.subscribe(client, &[("t", 2), ("u", 0)]);
        assert_eq!(net.got(client), [format!("SUBACK #9 {granted}")]);
        net.publish(client, "t", "x", 0);
        assert_eq!(net.got(client).len(), got);
        assert_eq!(did(&mut net), [(Deed::Degraded, 1)]);
    }
}

#[test]
fn answers_are_missing_wrong_and_in_bad_company() {
    for (act, got, deed) in [
        ("'no-answer'", &[][..], Deed::Unanswered),
        ("'wrong-id'", &["PUBACK #8"][..], Deed::Misanswered),
        ("{ answer = '50 02 00 01' }", &["PUBREC #1"][..], Deed::Misanswered),
        ("{ send = 'd0 00' }", &["PingResp", "PUBACK #7"][..], Deed::Garbage),
    ] {
        let mut net = playing(&fault("publish", act));
        let (publisher, subscriber) = pair(&mut net);
        net.publish(publisher, "t", "a", 1);
        assert_eq!(net.got(publisher), got, "{act}");
        assert_eq!(net.got(subscriber), ["t=a q1 #1"], "{act}");
        assert_eq!(did(&mut net), [(deed, 1)]);
        let acked = net.brokers[0].take_deeds().unwrap().0.acked;
        assert_eq!(acked, u64::from(deed == Deed::Garbage));
    }
    let mut net = playing(&fault("disconnect", "{ garbage = 8 }"));
    let client = net.connect(0, "c");
    net.packet(client, Packet::Disconnect(ReasonCode::Success.into()));
    assert!(net.is_closed(client));
}

#[test]
fn garbage_comes_in_front_of_the_answer() {
    let mut net = playing(&fault("pingreq", "{ garbage = 8 }"));
    let client = net.connect(0, "c");
    net.packet(client, Packet::PingReq);
    let out = &net.wires[0].wires[&client.conn].out;
    assert_eq!((out.len(), &out[8..]), (10, &[0xD0, 0][..]));
    assert_eq!(did(&mut net), [(Deed::Garbage, 1)]);
}

/// What the subscriber, and a bystander who has subscribed to something else, hear of a, b and c.
fn heard(act: &str) -> (Vec<String>, Vec<String>, Vec<(Deed, u64)>) {
    let mut net = playing(&format!("[[fault]]\non = 'delivery'\nskip = 1\ntimes = 1\ndo = {act}"));
    let (publisher, subscriber) = pair(&mut net);
    let bystander = net.connect(0, "b");
    net.subscribed(bystander, &[("other", 0)]);
    for payload in ["aa", "bb", "cc"] {
        net.publish(publisher, "t", payload, 1);
    }
    (net.got(subscriber), net.got(bystander), did(&mut net))
}

#[test]
fn deliveries_have_their_fates() {
    for (act, got, deed) in [
        ("'drop'", &["t=aa q1 #1", "t=cc q1 #2"][..], Deed::Dropped),
        ("'duplicate'", &["t=aa q1 #1", "t=bb q1 #2", "t=bb q1 #3", "t=cc q1 #4"][..], Deed::Duplicated),
        ("'repeat'", &["t=aa q1 #1", "t=bb q1 #2", "t=bb q1 #2 dup", "t=cc q1 #3"][..], Deed::Repeated),
        ("'swap'", &["t=aa q1 #1", "t=cc q1 #2", "t=bb q1 #3"][..], Deed::Swapped),
        ("{ cut = 1 }", &["t=aa q1 #1", "t=b q1 #2", "t=cc q1 #3"][..], Deed::Cut),
    ] {
        assert_eq!(
            heard(act),
            (got.iter().map(|s| (*s).to_owned()).collect(), vec![], vec![(deed, 1)]),
            "{act}"
        );
    }
    let (got, _, deeds) = heard("'flip'");
    assert!(got[1].starts_with("t=b") && got[1] != "t=bb q1 #2" && got.len() == 3, "{got:?}");
    assert_eq!(deeds, [(Deed::Flipped, 1)]);
    let (got, bystander, deeds) = heard("'misroute'");
    assert_eq!((got, bystander), (vec!["t=aa q1 #1".into(), "t=cc q1 #2".into()], vec!["t=bb q1 #1".into()]));
    assert_eq!(deeds, [(Deed::Misrouted, 1)]);
}

#[test]
fn what_nothing_overtakes_comes_all_the_same() {
    let mut net = playing("[[fault]]\non = 'delivery'\ntimes = 1\ndo = 'swap'");
    let (publisher, subscriber) = pair(&mut net);
    let other = net.connect(0, "q");
    net.publish(publisher, "t", "a", 0);
    // Another publisher's does not count.
    net.publish(other, "t", "x", 0);
    assert_eq!(net.got(subscriber), ["t=x q0"]);
    at(&mut net, 200);
    assert_eq!(net.got(subscriber), ["t=a q0"]);
    assert_eq!(did(&mut net), []);
}

#[test]
fn late_deliveries_keep_their_order() {
    let mut net = playing("[[fault]]\non = 'delivery'\ntimes = 1\ndo = { delay = '10ms' }");
    let (publisher, subscriber) = pair(&mut net);
    net.publish(publisher, "t", "a", 1);
    net.publish(publisher, "t", "b", 1);
    assert_eq!(net.got(publisher).len(), 2);
    assert!(net.got(subscriber).is_empty());
    at(&mut net, 10);
    assert_eq!(net.got(subscriber), ["t=a q1 #1", "t=b q1 #2"]);
}

#[test]
fn connections_end_after_so_many_packets_and_at_moments() {
    for (act, deed) in [("'close'", Deed::Closed), ("'reset'", Deed::Reset)] {
        let script = format!("[[fault]]\non = 'packet'\nper = 'connection'\nskip = 2\ntimes = 1\ndo = {act}");
        let mut net = playing(&script);
        let (a, b) = (net.connect(0, "a"), net.connect(0, "b"));
        for client in [a, b, a] {
            assert!(!net.is_closed(client));
            net.packet(client, Packet::PingReq);
        }
        assert!(net.is_closed(a) && !net.is_closed(b), "{act}");
        assert_eq!((did(&mut net), net.counters().connections), (vec![(deed, 1)], 1));
    }
    let mut net = playing("zero = 'connect'\n[[at]]\ntime = '1s'\nclient = 'a'\ndo = 'close'");
    let (a, b) = (net.connect(0, "a"), net.connect(0, "b"));
    at(&mut net, 1_000);
    assert!(net.is_closed(a) && !net.is_closed(b));
}

/// Each deed is told with whom and what it met.
#[test]
fn deeds_are_told_one_by_one() {
    let mut net = playing(&fault("delivery", "'drop'"));
    let (publisher, _) = pair(&mut net);
    net.publish(publisher, "t", "a", 0);
    at(&mut net, 3);
    net.publish(publisher, "t", "b", 0);
    let (_, events) = net.brokers[0].take_deeds().unwrap();
    let told: Vec<_> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    let line = |at_ns: u64| format!(r#"{{"at_ns":{at_ns},"did":"dropped","client":"s","topic":"t"}}"#);
    assert_eq!(told, [line(0), line(3 * MILLISECOND)]);
    assert!(net.brokers[0].take_deeds().unwrap().1.is_empty());
}
