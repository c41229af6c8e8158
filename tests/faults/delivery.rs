//! Brokers that lose, repeat, swap and delay: every case is counted, and none that is not there.

use std::time::Duration;

use malaria_bench::clock::MILLISECOND;
use malaria_bench::record::{Latency, Record};
use malaria_bench::wire::PacketType;

use crate::bench::{Bench, Outcome};
use crate::broker::{Act, Broker, Heard, Seen};

/// Two pairs, 100 messages each, of which the broker treats every tenth as `wrong` says.
fn every_tenth(qos: u8, wrong: fn() -> Act) -> (Outcome, Seen) {
    // Not the last one, which would have no successor to be swapped with.
    some(qos, |message| message % 10 == 5, wrong)
}

/// The same, of those messages of each publisher (from 1) that are `wronged`.
fn some(qos: u8, wronged: fn(u32) -> bool, wrong: fn() -> Act) -> (Outcome, Seen) {
    let mut published = [0; 4];
    let broker = Broker::start(move |heard: &Heard<'_>| {
        published[heard.conn] += u32::from(heard.is(PacketType::Publish));
        if heard.is(PacketType::Publish) && wronged(published[heard.conn]) { wrong() } else { Act::Honest }
    });
    let arguments = format!("--clients 4 -n 100 -T 200 -q {qos} --drain 1s");
    let outcome = Bench::against(broker.address, &arguments).run();
    let counts = outcome.record().counts;
    assert_eq!((counts.due, counts.sent, counts.expected), (200, 200, 200));
    assert!(!outcome.record().partial, "everything asked was done, if not well");
    if qos > 0 {
        assert_eq!(counts.acked, 200);
    }
    (outcome, broker.stop())
}

#[test]
fn losses_are_exact() {
    for qos in 0..=2 {
        let (outcome, seen) = every_tenth(qos, || Act::Lose);
        outcome.ends(5, &["deliveries lost: 20", "lost 20"]);
        let counts = outcome.record().counts;
        assert_eq!((seen.lost, counts.lost, counts.delivered), (20, 20, 180));
        assert_eq!((counts.duplicated, counts.reordered), (0, 0));
    }
}

/// What nothing later has overtaken may only be late: a run that ends before a broker's queue does has lost nothing.
#[test]
fn late_is_not_lost() {
    for qos in 0..=2 {
        let (outcome, seen) = some(qos, |message| message > 90, || Act::Lose);
        outcome.ends(5, &["deliveries still to come at the end of the drain: 20", "undelivered at end 20"]);
        let counts = outcome.record().counts;
        assert_eq!((seen.lost, counts.lost, counts.delivered), (20, 0, 180));
        assert_eq!(counts.undelivered_at_end, 20);
    }
}

#[test]
fn duplicates_are_exact_and_a_fault_at_qos_2_only() {
    for (qos, code) in [(0, 0), (1, 0), (2, 5)] {
        let (outcome, seen) = every_tenth(qos, || Act::Twice);
        outcome.ends(code, &["duplicated 20"]);
        let counts = outcome.record().counts;
        assert_eq!((seen.doubled, counts.duplicated, counts.delivered), (20, 20, 200));
        assert_eq!((counts.lost, counts.reordered), (0, 0));
    }
}

#[test]
fn swaps_are_exact() {
    for qos in 0..=2 {
        let (outcome, seen) = every_tenth(qos, || Act::Swap);
        outcome.ends(5, &["deliveries out of order: 20", "reordered 20"]);
        let counts = outcome.record().counts;
        assert_eq!((seen.swapped, counts.reordered, counts.delivered), (20, 20, 200));
        assert_eq!((counts.lost, counts.duplicated), (0, 0));
    }
}

#[test]
fn acknowledgements_that_never_come() {
    for (qos, ack) in [(1, PacketType::Publish), (2, PacketType::Publish), (2, PacketType::PubRel)] {
        let broker = Broker::start(move |heard| if heard.is(ack) { Act::Silent } else { Act::Honest });
        let arguments =
            format!("--clients 4 -T 20 -q {qos} --warmup 0 --duration 2s --drain 500ms --ack-timeout 1s");
        let outcome = Bench::against(broker.address, &arguments).run();
        outcome.ends(5, &["acknowledgements timed out", "ack timeouts"]).within(Duration::from_secs(10));
        let counts = outcome.record().counts;
        assert_eq!((counts.due, counts.acked), (80, 0));
        assert!(counts.ack_timeouts >= 40, "those of the first second: {counts:#?}");
        outcome.acks_account_for_what_was_sent();
    }
}

#[test]
fn a_closed_loop_without_acknowledgements_ends() {
    let broker = Broker::start(|heard| if heard.is(PacketType::Publish) { Act::Silent } else { Act::Honest });
    let arguments = "--clients 4 --rate max --warmup 0 --duration 2s --drain 500ms --ack-timeout 500ms";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(5, &["acknowledgements timed out"]).within(Duration::from_secs(8));
    let counts = outcome.record().counts;
    assert!(counts.ack_timeouts >= 4 && counts.sent <= 10, "one at a time: {counts:#?}");
    outcome.acks_account_for_what_was_sent();
}

/// Runs 2,000 messages a second for four seconds after three of warm-up, against a broker that stands
/// still for 1.4 s when it hears the `at`-th PUBLISH.
fn stalled(at: u64) -> Record {
    // Numbers go on over the repetitions of a run.
    let broker = Broker::start(move |heard| match heard.publish() % 14_000 == at {
        true => Act::Stall(Duration::from_millis(1400)),
        false => Act::Honest,
    });
    let arguments = "--clients 40 --rate 2k --warmup 3s --duration 4s";
    let outcome = Bench::run_in_peace(|| Bench::against(broker.address, arguments));
    let record = outcome.record().clone();
    outcome.ends(0, &[]);
    // The schedule does not wait for the broker.
    assert_eq!((record.counts.due, record.counts.sent, record.counts.delivered), (8000, 8000, 8000));
    let percentiles = |latency: &Latency| {
        let Latency { p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns, .. } = *latency;
        [p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns, latency.max_ns]
    };
    let latencies = &record.latencies;
    for (response, service) in [
        (&latencies.ack_response, &latencies.ack_service),
        (&latencies.flight_response, &latencies.flight_service),
    ] {
        assert_eq!((response.count, service.count), (8000, 8000));
        for (response, service) in percentiles(response).iter().zip(percentiles(service)) {
            assert!(*response >= service, "{response:?} {service:?}");
        }
        // Message by message, the one is longer by how late it was sent.
        let mean = |latency: &Latency| latency.mean_ns.expect("8,000 samples");
        let (longer, late) = (mean(response) - mean(service), mean(&latencies.lateness));
        assert!(late > 0 && longer.abs_diff(late) < late / 4 + MILLISECOND / 5, "{longer} {late}");
    }
    record
}

#[test]
fn a_stall_shows_in_the_response_times() {
    let record = stalled(10_000);
    for latency in [&record.latencies.ack_response, &record.latencies.flight_response] {
        // A third of all messages came due while it stood still: every one of them waited.
        let p99 = latency.p99_ns.expect("8,000 samples");
        assert!((1100 * MILLISECOND..3000 * MILLISECOND).contains(&p99), "{p99}");
        assert!(latency.p90_ns.expect("8,000 samples") > 700 * MILLISECOND);
    }
}

#[test]
fn a_stall_in_the_warm_up_leaves_no_trace() {
    let record = stalled(2);
    for latency in [&record.latencies.ack_response, &record.latencies.flight_response] {
        assert!(latency.max_ns.expect("8,000 samples") < 1000 * MILLISECOND, "{latency:?}");
    }
}
