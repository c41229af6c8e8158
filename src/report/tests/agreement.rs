//! The figures of a verdict are those of the summary: whoever reads a reason finds its numbers below it.

use super::*;
use crate::clock::{MICROSECOND, MILLISECOND, Nanos, SECOND};
use crate::record::samples::ramp;
use crate::record::{Latency, Neighbour, Verdict};
use proptest::prelude::*;

/// A latency of so many samples around `middle`.
fn around(middle: Nanos) -> Latency {
    (&ramp(2_000, middle / 2, middle * 3 / 2)).into()
}

/// Numbers with their units, as they are printed: `97.2 %`, `1.24 ms`, `7,000`. Those within words are names: `p99`.
fn numbers(text: &str) -> BTreeSet<String> {
    const UNITS: [&str; 12] = ["%", "ns", "us", "ms", "s", "/s", "k/s", "M/s", "B", "KiB", "MiB", "GiB"];
    let words: Vec<&str> = text.split([' ', '(', ')', ';', ':', '\n']).collect();
    let trimmed = |word: &str| word.trim_end_matches(['.', ',']).to_owned();
    let numbers = words.iter().enumerate().filter(|(_, word)| word.starts_with(|c: char| c.is_ascii_digit()));
    let with_units = numbers.map(|(at, word)| {
        let unit = words.get(at + 1).map(|next| trimmed(next)).filter(|next| UNITS.contains(&next.as_str()));
        unit.map_or_else(|| trimmed(word), |unit| format!("{} {unit}", trimmed(word)))
    });
    with_units.collect()
}

/// What a reason says of a rule is not a figure of the run: `above 1.10 ms (1 ms plus the tolerance)`.
fn without_rule(reason: &str) -> String {
    match reason.split_once(", above ") {
        Some((figure, rule)) => format!("{figure} {}", rule.split_once(')').map_or("", |(_, rest)| rest)),
        None => reason.to_owned(),
    }
}

prop_compose! {
    pub(super) fn loads()(
        (closed, due, missing, blocked) in (any::<bool>(), 1_000u64..1_000_000, 0u64..1_000, 0u64..3),
        (wake, hearing, response) in (1u64..10_000, 1u64..10_000, 1u64..100_000),
        (waited, busy, stolen, throttled) in (0.0..1.0, 0.0..1.0, 0u64..200, 0u64..500),
        (no_buffer, full, caps) in (0u64..100_000, 0u64..2, 0u64..3),
        (stall, neighbour, broker, refused) in (0u64..400, 0.05..1.0, any::<bool>(), 0u64..3),
    ) -> Record {
        let mut record = clean();
        if closed {
            record.plan.schedule = Schedule::Closed { inflight: 8 };
        }
        let counts = &mut record.counts;
        // A closed loop sheds nothing.
        let sent = due - if closed { 0 } else { missing.min(due - 1) };
        (counts.due, counts.sent, counts.shed, counts.acked) = (due, sent, due - sent, sent);
        (counts.expected, counts.delivered) = (sent, sent);
        counts.connections_established -= caps;
        record.throughput = Throughput { sent, acked: sent, delivered: sent };
        let latencies = &mut record.latencies;
        latencies.wake_lag = around(wake * MICROSECOND);
        latencies.hearing_lag = around(hearing * MICROSECOND);
        latencies.ack_response = around(response * MICROSECOND);
        latencies.ack_service = around(response * MICROSECOND / 2);
        let generator = &mut record.generator;
        generator.workers = vec![Worker { cpu: 0, busy_share: busy, waited_share: waited }];
        (generator.receives_without_buffer, generator.queue_full) = (no_buffer, full);
        (generator.caps_reached, generator.sends_blocked) = (caps, blocked);
        generator.quota_cpus = Some(0.5);
        let name = "sh".to_owned();
        generator.neighbours = vec![Neighbour { cpu: 0, pid: 4242, name, busy_share: neighbour, broker }];
        record.broker.connections_refused = Some(refused);
        for (at, second) in record.series.iter_mut().enumerate() {
            second.time_ns = (at as u64 + 1) * SECOND;
            second.pressure.stolen_ns = stolen / 10 * 10 * MILLISECOND;
            second.pressure.throttled_ns = throttled * MILLISECOND;
            second.stall_ns = stall * (at as u64 % 2) * MILLISECOND;
        }
        record.conclude();
        record
    }
}

/// What a reader can do about it, as a reason ends.
const REMEDIES: [&str; 9] = [
    "--cores",
    "(--cores)",
    "--cores)",
    "--tolerance",
    "--backlog",
    "another one",
    "cpu.cfs_quota_us)",
    "what to raise",
    "not paused",
];

proptest! {
    #[test]
    fn a_generator_that_was_the_limit_ends_with_what_helps(record in loads()) {
        if record.verdict == Verdict::GeneratorLimited {
            let reason = &record.verdict_reasons[0];
            prop_assert!(REMEDIES.iter().any(|remedy| reason.ends_with(remedy)), "{reason}");
        }
    }

    #[test]
    fn every_number_of_a_reason_stands_in_the_summary(record in loads()) {
        let text = text(&record, 400, false);
        let (_, below) = text.split_once("\nasked").expect("what was asked follows the verdict");
        let known = numbers(below);
        for reason in &record.verdict_reasons {
            for number in numbers(&without_rule(reason)) {
                prop_assert!(known.contains(&number), "`{number}` of `{reason}` is not in:\n{below}");
            }
        }
    }
}

#[test]
fn numbers_are_found_with_their_units() {
    let found = numbers("lag p99 1.24 ms, above; only 97.25 % of 7,000 messages (pid 42: 3.0 %), CPU 0.");
    let expected = ["0", "1.24 ms", "3.0 %", "42", "7,000", "97.25 %"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
}
