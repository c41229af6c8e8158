//! What a listener makes of stamps and of the broker's own counters.

use crate::feeder::{DROPPED, Fed, Feeder};
use crate::program::{Finished, Malaria, Running};

/// What `malaria subscribe` listens to.
const FILTER: &str = "mqtt-malaria/+/data/#";

/// One `malaria subscribe`, and what feeds it.
fn listener(arguments: &str) -> (Running, Fed) {
    listener_to(&[FILTER, DROPPED[0], DROPPED[1]], arguments)
}

/// The same, of one that asks for these filters.
fn listener_to(filters: &[&str], arguments: &str) -> (Running, Fed) {
    let feeder = Feeder::bind();
    let running = Malaria::against(feeder.address(), &format!("subscribe -c ours {arguments}")).start();
    let fed = feeder.accept(filters);
    (running, fed)
}

/// Checklist 45: an error under 0.1 ms at full clock resolution, at whatever fraction of a second. Each message
/// has arrived before the feeder hears of it, and after it was stamped: the truth is in between.
#[test]
fn flight_times_are_exact() {
    for early in [0.0, 0.25, 0.7, 0.999] {
        let (running, mut fed) = listener("-n 200");
        let bounds: Vec<f64> = (1..=200).map(|number| fed.message("old", number, early)).collect();
        fed.leaves();
        let finished = running.end().went_well();
        finished.heard_all(1, 200);
        let key = |name: &str| finished.number(&format!("flight_time_{name}"));
        let [mean, min, max, deviation] = ["mean", "min", "max", "stddev"].map(key);
        const ERROR: f64 = 0.0001;
        let latest = bounds.iter().fold(0.0, |a: f64, b| a.max(*b));
        let mean_bound = bounds.iter().sum::<f64>() / 200.0;
        assert!(min > early - ERROR, "{min} s of flight, stamped {early} s early");
        assert!(max < latest + ERROR, "{max} s of flight, acknowledged after {latest} s at the latest");
        assert!(mean < mean_bound + ERROR, "{mean} s of flight, acknowledged after {mean_bound} s");
        assert!(min <= mean && mean <= max && deviation <= max - min, "{min} {mean} {max} {deviation}");
    }
}

/// Checklist 46: what cannot be read is counted, and the run ends all the same.
#[test]
fn untimed_messages_do_not_hold_up_the_end() {
    let (running, mut fed) = listener("-n 3");
    fed.report("mqtt-malaria/other/data/1/3", 77);
    fed.report("mqtt-malaria/other/data/none/3", 78);
    for number in 1..=3 {
        fed.message("old", number, 0.0);
    }
    fed.leaves();
    let finished = running.end();
    assert!(matches!(finished.code, 0 | 6), "{}", finished.text);
    assert_eq!(finished.key("client_count"), 1, "{}", finished.text);
    assert_eq!(finished.key("test_complete"), true);
}

/// A listener that is told these counts of dropped messages, and then, if it is still there, sent everything it
/// expects.
fn told(topic: &str, values: &[u64], ends: bool) -> Finished {
    let (running, mut fed) = listener("-n 2");
    fed.message("old", 1, 0.0);
    for value in values {
        fed.report(topic, *value);
    }
    if !ends {
        fed.message("old", 2, 0.0);
    }
    fed.leaves();
    running.end()
}

/// Checklist 47: the first value is the baseline, also when it is 0, and only a growing one is a drop.
#[test]
fn drops_end_the_run_and_show_in_the_exit_code() {
    for topic in DROPPED {
        for values in [&[0, 5][..], &[7, 7, 8], &[62_491, 62_492]] {
            let finished = told(topic, values, true).ends(5);
            assert_eq!(finished.key("test_complete"), false, "{}", finished.text);
            assert_eq!(finished.key("msg_count"), 1, "{}", finished.text);
        }
    }
}

/// Checklist 47: an unchanged value is no drop, nor is a broker that says nothing.
#[test]
fn unchanged_counts_of_drops_are_none() {
    for topic in DROPPED {
        for values in [&[][..], &[0, 0], &[7, 7, 7]] {
            told(topic, values, false).went_well().heard_all(1, 2);
        }
    }
}

/// Checklist 47: the abort can be turned off. Then the broker is not asked for its counters.
#[test]
fn drops_can_be_ignored() {
    let (running, mut fed) = listener_to(&[FILTER], "-n 2 --ignore-drops");
    fed.message("old", 1, 0.0);
    fed.report(DROPPED[0], 0);
    fed.report(DROPPED[0], 5);
    fed.message("old", 2, 0.0);
    assert_eq!(fed.filters, [FILTER]);
    fed.leaves();
    let finished = running.end();
    assert_eq!(finished.key("test_complete"), true, "{}", finished.text);
    assert_eq!(finished.key("msg_count"), 2, "{}", finished.text);
}
