//! Each side of the old tool against the other side of ours, with mosquitto in between. Checklist 5, 6, 7, 8
//! and 42.

use serde_json::Value;

use crate::broker::Mosquitto;
use crate::paho::{self, Subscriber};
use crate::program::{Malaria, number, publish};

/// How much earlier than true the payloads are stamped, in seconds: far from what a delivery takes, and from
/// whole seconds, in which the old tool counted.
const EARLY: f64 = 0.7;

/// Payloads of the old generators, heard by ours and by the old reading at the same time.
fn old_publisher(qos: u8) {
    let (Some(mut broker), Some(python)) = (Mosquitto::start(), paho::python()) else { return };
    let plan = format!("-n 50 -q {qos}");
    let ours = Malaria::against(broker.address, &format!("subscribe -c ours -N 4 {plan}")).start();
    let theirs = Subscriber::start(&python, broker.address, &format!("-c theirs -N 4 {plan}"));
    broker.wait_for_listener("ours", qos);
    broker.wait_for_listener("theirs", qos);
    let load = format!("-c old -P 4 -t -T 100 --early {EARLY} {plan}");
    let acked = paho::publish(&python, broker.address, &load);
    assert_eq!(acked, serde_json::json!({"old-0": 50, "old-1": 50, "old-2": 50, "old-3": 50}));

    let (ours, theirs) = (ours.end().went_well(), theirs.complete());
    assert_eq!(
        (&theirs["count"], &theirs["unreadable"]),
        (&Value::from(200), &Value::from(Vec::<Value>::new()))
    );
    ours.heard_all(4, 200).says("Total clients tracked: 4").says("Total messages: 200");
    // Nobody hears a message before it is sent; 0.1 ms is for stamps of whole microseconds and clocks that
    // are being set.
    let flight = |key: &str| number(&theirs["flight"][key]);
    let (mean, min, max) =
        (ours.number("flight_time_mean"), ours.number("flight_time_min"), ours.number("flight_time_max"));
    assert!(min > EARLY - 0.0001 && min <= mean && mean <= max, "{min} {mean} {max}");
    // Two listeners hear the same messages. However late a busy machine is, that shows in the worst delivery;
    // half a second, which the old way of counting adds, would not.
    let slack = flight("max") - EARLY + 0.05;
    assert!((mean - flight("mean")).abs() < slack, "{mean} s, and paho saw {theirs:#}");
}

#[test]
fn our_subscriber_reads_the_old_publisher_at_qos_0() {
    old_publisher(0);
}

#[test]
fn our_subscriber_reads_the_old_publisher_at_qos_1() {
    old_publisher(1);
}

#[test]
fn our_subscriber_reads_the_old_publisher_at_qos_2() {
    old_publisher(2);
}

/// Our topics and payloads, by the reading of the old subscriber.
fn old_subscriber(qos: u8) {
    let (Some(mut broker), Some(python)) = (Mosquitto::start(), paho::python()) else { return };
    let theirs = Subscriber::start(&python, broker.address, &format!("-c theirs -n 50 -N 4 -q {qos}"));
    broker.wait_for_listener("theirs", qos);
    let ours = publish(broker.address, &format!("-P 4 -n 50 -s 100 -t -q {qos}")).run().went_well();
    ours.published_all(200).says("Message succes rate: 100.00% (200/200 messages)");
    let theirs = theirs.complete();
    assert_eq!(theirs["unreadable"], Value::from(Vec::<Value>::new()));
    assert_eq!(theirs["count"], 200);
    assert_eq!(theirs["totals"], serde_json::json!(["50"]));
    for client in ["load-0", "load-1", "load-2", "load-3"] {
        let expected = serde_json::json!({"received": 50, "missing": [], "duplicated": []});
        assert_eq!(theirs["clients"][client], expected, "{client}");
    }
    // Gauss(100, 5), which leaves 70 to 130 once in five hundred million messages.
    let length = |key: &str| number(&theirs["body_length"][key]);
    assert!(length("min") >= 70.0 && length("max") <= 130.0 && length("min") < length("max"), "{theirs:#}");
    assert!((length("mean") - 100.0).abs() < 3.0, "{theirs:#}");
    assert!(number(&theirs["flight"]["min"]) > -0.0001, "stamped before it is sent: {theirs:#}");
}

#[test]
fn the_old_subscriber_reads_our_publisher_at_qos_0() {
    old_subscriber(0);
}

#[test]
fn the_old_subscriber_reads_our_publisher_at_qos_1() {
    old_subscriber(1);
}

#[test]
fn the_old_subscriber_reads_our_publisher_at_qos_2() {
    old_subscriber(2);
}

/// What the scripts say about ours rests on this.
#[test]
fn the_old_ends_understand_each_other() {
    let (Some(mut broker), Some(python)) = (Mosquitto::start(), paho::python()) else { return };
    let listener = Subscriber::start(&python, broker.address, "-c theirs -n 20 -N 3");
    broker.wait_for_listener("theirs", 1);
    paho::publish(&python, broker.address, "-c old -P 3 -n 20 -t");
    let heard = listener.complete();
    assert_eq!(heard["count"], 60);
    assert_eq!(
        heard["clients"]["old-2"],
        serde_json::json!({"received": 20, "missing": [], "duplicated": []})
    );
}
