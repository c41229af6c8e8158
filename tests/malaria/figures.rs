//! Figures that the old tool got wrong.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use malaria_bench::wire::PacketType;

use crate::broker::Mosquitto;
use crate::program::{Malaria, publish};
use crate::scripted::{Act, Broker, Heard};

/// Checklist 43: the old tool counted messages by their 16-bit identifiers, and ended at 65,535.
#[test]
fn more_messages_than_packet_identifiers() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let listener = Malaria::against(broker.address, "subscribe -c ours -n 70000").start();
    broker.wait_for_listener("ours", 1);
    let published = publish(broker.address, "-n 70000 -s 10 -t").run().went_well();
    published.published_all(70_000).says("(70000/70000 messages)");
    listener.end().went_well().heard_all(1, 70_000);
}

/// Checklist 57: the time of a short run is that of its messages, as the broker saw them, and not of a poll
/// every two seconds.
#[test]
fn a_hundred_fast_messages_do_not_take_two_seconds() {
    let times = Arc::new(Mutex::new((None, None)));
    let noted = Arc::clone(&times);
    let broker = Broker::start(move |heard: &Heard<'_>| {
        let mut times = noted.lock().expect("the broker does not panic");
        let now = Instant::now();
        times.0.get_or_insert(now);
        if heard.is(PacketType::Publish) {
            times.1 = Some(now);
        }
        Act::Honest
    });
    let finished = publish(broker.address, "-n 100").run().went_well();
    finished.published_all(100);
    broker.stop();
    let (first, last) = *times.lock().expect("the broker does not panic");
    let seen = (last.expect("messages") - first.expect("a connection")).as_secs_f64();
    let (total, rate) = (finished.number("time_total"), finished.number("msgs_per_sec"));
    assert!(total < seen + 1.0, "{total} s, the broker heard the last message after {seen} s");
    assert!(rate > 100.0 / (seen + 1.0), "{rate} messages a second over {seen} s");
}

/// Checklist 58, 75: a missing acknowledgement ends in a count and an exit code.
#[test]
fn success_can_be_below_100_percent() {
    for (qos, withheld) in [(1, PacketType::Publish), (2, PacketType::Publish), (2, PacketType::PubRel)] {
        let mut heard_before = 0;
        let broker = Broker::start(move |heard: &Heard<'_>| {
            heard_before += u32::from(heard.is(withheld));
            if heard.is(withheld) && heard_before % 10 == 0 { Act::Silent } else { Act::Honest }
        });
        let finished = publish(broker.address, &format!("-n 50 -q {qos} --ack-timeout 1s")).run().ends(5);
        assert_eq!(finished.key("count_ok"), 45, "{}", finished.text);
        assert_eq!(finished.key("count_total"), 50, "{}", finished.text);
        assert_eq!(finished.number("rate_ok"), 0.9);
        finished.says("Message succes rate: 90.00% (45/50 messages)");
    }
}

/// Checklist 43, 75: who is missing is named, and so is who never came.
#[test]
fn losses_are_named_and_show_in_the_exit_code() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let listener = Malaria::against(broker.address, "subscribe -c ours -n 12 -N 3 --quiet-after 3s").start();
    broker.wait_for_listener("ours", 1);
    publish(broker.address, "-n 10 -P 2 -t").run().went_well().published_all(20);
    let heard = listener.end().ends(5);
    assert_eq!(heard.key("test_complete"), false, "{}", heard.text);
    assert_eq!((heard.key("msg_count"), heard.key("client_count")), (&20.into(), &2.into()));
    assert_eq!(heard.key("msg_missing"), &serde_json::json!({"load-0": [11, 12], "load-1": [11, 12]}));
    heard.says("Messages missing for client load-0: [11, 12]");
}
