//! Searches for tests.

use super::*;
use crate::clock::{MICROSECOND, MILLISECOND, SECOND};
use crate::record::samples::watched;

/// A broker that does 5,000 messages a second, and answers the later the nearer it is to that.
pub(crate) fn searched() -> CapacityRecord {
    let record = watched();
    let found = 4_950.0;
    let mut trials = Vec::new();
    let mut add = |purpose, span_s: u64, rate: f64| {
        let start_ns =
            trials.last().map_or(SECOND, |last: &TrialRecord| last.start_ns + last.span_ns + SECOND);
        trials.push(trial(purpose, start_ns, span_s * SECOND, rate));
    };
    for rate in [20_000.0, 5_000.0, 4_800.0, 4_900.0, 4_950.0, 5_000.0, 4_950.0, 4_950.0, 5_000.0, 4_950.0] {
        add(Purpose::Search, 5, rate);
    }
    add(Purpose::Confirm, 30, found);
    add(Purpose::Confirm, 30, found);
    for share in [0.01, 0.1, 0.5, 0.75, 0.9, 1.0, 1.1] {
        add(Purpose::Curve, 10, share * found);
    }
    let void = &mut trials[3];
    (void.grade, void.verdict, void.kept) = (Grade::Void, Verdict::GeneratorLimited, vec![]);
    void.reason =
        "something else ran on CPU 0: a worker was ready and waited for 17.3 % of the time".to_owned();
    let result = |goal: &str, capacity: f64, regular: bool, reason: &str| Capacity {
        goal: vec![goal.to_owned(), "lost == 0".to_owned()],
        capacity: Some(capacity),
        lower: Some(capacity),
        upper: regular.then_some(5_000.0),
        throughput: Some(capacity * 0.999),
        regular,
        reason: reason.to_owned(),
    };
    let mut record = CapacityRecord {
        schema: CAPACITY_SCHEMA.to_owned(),
        started_at: record.started_at,
        command: "malaria-bench capacity -H broker.lab --goal 'flight p99 < 50ms'"
            .split(' ')
            .map(str::to_owned)
            .collect(),
        plan: record.plan,
        versions: record.versions,
        machine: record.machine,
        broker: record.broker,
        search: terms(),
        results: vec![result(
            "flight p99 < 50ms",
            found,
            true,
            "4,950/s keeps the goal, confirmed by 2 of 2 trials",
        )],
        elapsed_ns: trials.last().map_or(0, |last| last.start_ns + last.span_ns),
        trials,
        ended: Ended::Completed,
        partial_reason: None,
        exit_code: 0,
        exit_reason: String::new(),
        warnings: vec![],
    };
    record.conclude();
    record
}

fn terms() -> SearchTerms {
    SearchTerms {
        over: Over::Rate,
        lowest: 200.0,
        highest: 20_000.0,
        width: 0.01,
        trials: 11,
        exceed_ratio: 0.5,
        settle_ns: SECOND,
        trial_ns: 5 * SECOND,
        confirm_ns: 30 * SECOND,
        curve_ns: 10 * SECOND,
        limit_ns: 1200 * SECOND,
    }
}

/// Twice the same, of which the second goal was not decided.
pub(crate) fn irregular() -> CapacityRecord {
    let mut record = searched();
    let mut open = record.results[0].clone();
    (open.goal, open.regular, open.upper) = (vec!["flight p99 < 1s".to_owned()], false, None);
    open.reason = "at least 4,950/s: the time was up".to_owned();
    record.results.push(open);
    record.warnings = vec!["the broker shares CPU 0 with the generator".to_owned()];
    record.conclude();
    record
}

fn trial(purpose: Purpose, start_ns: Nanos, span_ns: Nanos, rate_per_s: f64) -> TrialRecord {
    let good = rate_per_s < 4_960.0;
    let idle = (1.0 - rate_per_s / 5_010.0).max(0.004);
    let latency = |factor: f64| match good {
        true => (200.0 * MICROSECOND as f64 * factor / idle) as Nanos,
        false => (900.0 * MILLISECOND as f64 * factor) as Nanos,
    };
    TrialRecord {
        purpose,
        start_ns,
        span_ns,
        offered: rate_per_s,
        done: rate_per_s.min(5_000.0),
        grade: if good { Grade::Good } else { Grade::Bad },
        kept: vec![good],
        reason: if good { String::new() } else { "flight p99 < 50ms: 1.80 s".to_owned() },
        verdict: if good { Verdict::Clean } else { Verdict::BrokerLimited },
        growth: if good { 0.0 } else { 0.02 },
        drain_ns: 3 * MILLISECOND,
        lost: 0,
        p50_ns: Some(latency(0.6)),
        p99_ns: Some(latency(1.8)),
        p999_ns: (rate_per_s > 600.0).then(|| latency(2.9)),
        generator_busy: 0.05 + rate_per_s / 100_000.0,
        broker_cpu_per_message_ns: Some(30_000 - (rate_per_s as u64).min(5_000) * 2),
        broker_most_bytes: Some(15 << 20),
    }
}
