//! What is bounded besides single figures: verdict, costs, windows; and everything that never passes.

use super::*;
use crate::record::{Phase, Window};
use crate::units;

#[test]
fn a_verdict_and_costs_are_bounded() {
    let mut record = clean();
    let each = units::latency((record.generator.user_cpu_ns + record.generator.system_cpu_ns) / 200_000);
    assert_eq!(each, "20.6 us");
    assert_all(
        &record,
        &[
            ("verdict == clean", "clean, held"),
            ("verdict == broker-limited", "clean, BROKEN"),
            ("cpu-per-message < 21us", "20.6 us, held"),
            ("generator cpu per message < 20us", "20.6 us, BROKEN"),
            ("memory-per-client <= 219B", "219 B, held"),
            ("memory-per-client < 219B", "219 B, BROKEN"),
        ],
    );
    record.generator.bytes_per_client = None;
    (record.counts.sent, record.counts.delivered) = (0, 0);
    assert_all(
        &record,
        &[
            ("memory-per-client < 1GiB", "not measured (memory was not measured), BROKEN"),
            ("cpu-per-message < 1s", "not measured (no message, or no CPU time, was measured), BROKEN"),
        ],
    );
    // The verdict is that of the record as it is, not as somebody left it.
    let mut stale = clean();
    stale.verdict = Verdict::BrokerLimited;
    judge(&[bound("verdict == clean")], &mut stale);
    assert_eq!((stale.exit_code, stale.bounds[0].result), (0, BoundState::Held));
}

/// A run of ten whole seconds.
fn windowed(window: Window) -> Record {
    let mut record = clean();
    let second = crate::record::Second { part: false, ..record.series[1].clone() };
    let at = |at: u64| crate::record::Second { time_ns: at * SECOND, ..second.clone() };
    record.series = (1..=10).map(at).collect();
    record.windows = vec![window];
    record
}

fn window() -> Window {
    Window {
        latency: "ack".to_owned(),
        figure: "p99".to_owned(),
        over_ns: 3 * SECOND,
        windows: 8,
        unknown: 0,
        lowest_ns: Some(2 * MILLISECOND),
        highest_ns: Some(9 * MILLISECOND),
    }
}

#[test]
fn a_bound_with_windows_holds_in_each_of_them() {
    let mut record = windowed(window());
    assert_all(
        &record,
        &[
            ("ack p99 < 9.1ms over 3s", "9.00 ms, held"),
            ("ack p99 < 9ms over 3s", "9.00 ms, BROKEN"),
            ("ack p99 >= 2ms over 3s", "2.00 ms, held"),
            ("ack p99 > 2ms over 3s", "2.00 ms, BROKEN"),
            ("acked >= 20k/s over 10s", "20000.00/s, held"),
        ],
    );
    record.series[4].acked = 0;
    record.series[9].part = true;
    assert_all(
        &record,
        &[
            ("acked >= 17k/s over 9s", "17777.78/s, held"),
            ("acked >= 17k/s over 2s", "10000.00/s, BROKEN"),
            ("acked <= 19k/s over 2s", "20000.00/s, BROKEN"),
            ("acked >= 1/s over 10s", "not measured (the measure phase has no 10s of whole seconds), BROKEN"),
        ],
    );
    let other = "not measured (only a run that had this bound has measured its windows), BROKEN";
    assert_all(
        &record,
        &[
            ("ack p99 < 1h over 4s", other),
            ("ack p50 < 1h over 3s", other),
            ("flight p99 < 1h over 3s", other),
        ],
    );
    let fleet = "not measured (only the main job has windows), BROKEN";
    assert_all(&published(), &[("ack p99 < 1h over 3s", fleet), ("acked > 1/s over 3s", fleet)]);
}

type Change = fn(&mut Record);

/// What is missing, a bound on it, and the exit code.
const CAUSES: [(&str, &str, Change, u8); 18] = [
    ("too few samples", "ack p99 < 1s", |r| r.latencies.ack_response = (&ramp(599, 1, 9)).into(), 7),
    ("no samples", "suback max < 1s", |r| r.latencies.suback = Latency::default(), 7),
    ("nobody measures it", "round-trip max < 1s", |_| (), 7),
    ("nobody hears of it", "dropped == 0", |_| (), 7),
    ("a damaged histogram", "ack p99 < 1s", |r| r.latencies.ack_response.hdr_v2_base64.clear(), 7),
    (
        "never came",
        "flight p99 < 1h",
        |r| {
            (r.counts.delivered, r.counts.undelivered_at_end) = (100_000, 100_000);
            r.latencies.flight_response = r.latencies.flight_response.missing(200_000);
        },
        5,
    ),
    ("nothing was measured", "sent >= 0", |r| r.phases.retain(|times| times.phase == Phase::Connect), 7),
    ("no worker's CPU", "cpu < 100%", |r| r.generator.workers.clear(), 7),
    (
        "no CPU time",
        "cpu-per-message < 1s",
        |r| (r.generator.user_cpu_ns, r.generator.system_cpu_ns) = (0, 0),
        7,
    ),
    ("a lost worker", "sent >= 0", |r| r.ended = Ended::Internal, 1),
    ("interrupted", "sent >= 0", |r| r.ended = Ended::Interrupted, 130),
    ("aborted", "sent >= 0", |r| r.ended = Ended::Aborted, 7),
    ("a generator at its limit", "sent >= 0", at_its_limit, 6),
    ("its verdict", "verdict == clean", at_its_limit, 6),
    ("no windows", "ack p99 < 1s over 1s", |r| r.windows.clear(), 7),
    ("too few samples in a window", "ack p99 < 1s over 3s", |r| r.windows[0].unknown = 1, 7),
    ("no window so long", "ack p99 < 1s over 3s", |r| r.windows[0].highest_ns = None, 7),
    (
        "flights that no window has",
        "flight p99 < 1s over 3s",
        |r| {
            r.windows[0].latency = "flight".to_owned();
            r.latencies.flight_response = r.latencies.flight_response.missing(1);
        },
        7,
    ),
];

fn at_its_limit(record: &mut Record) {
    record.latencies.wake_lag = (&ramp(200_000, 40_000_000, 80_000_000)).into();
}

/// R29: whatever is missing, nothing passes: no samples or too few, a figure that the record has not, nothing
/// measured, a worker that was lost, a run that was cut short, a generator that was the limit, flights that never ended.
#[test]
fn r29_missing_data_never_passes() {
    for (cause, of, change, code) in CAUSES {
        let mut record = windowed(window());
        change(&mut record);
        judge(&[bound(of)], &mut record);
        assert_eq!(record.exit_code, code, "{cause}: {of}, {}", record.exit_reason);
        let void = record.verdict == Verdict::GeneratorLimited;
        assert!(!void || record.bounds[0].result == BoundState::Void, "{cause}");
    }
    let mut record = windowed(window());
    let bounds = ["ack p99 < 1s", "sent >= 0", "verdict == clean", "ack p99 < 1s over 3s"];
    judge(&bounds.map(bound), &mut record);
    assert_eq!(record.exit_code, 0, "{}", record.exit_reason);
}

/// What cut it short is what it ended by; but what a generator at its limit saw is nobody's.
#[test]
fn an_aborted_run_ends_with_the_code_of_bounds() {
    let mut record = clean();
    let reason = "--abort-on ack p99 > 1s (2.00 s), at 7 s";
    (record.ended, record.partial, record.partial_reason) = (Ended::Aborted, true, Some(reason.to_owned()));
    record.counts.undelivered_at_end = 7;
    judge(&[], &mut record);
    assert_eq!((record.exit_code, record.exit_reason.as_str()), (7, reason));
    let json = serde_json::to_value(&record).expect("plain data");
    assert_eq!((json["ended"].as_str(), json["partial"].as_bool()), (Some("aborted"), Some(true)));
    at_its_limit(&mut record);
    judge(&[], &mut record);
    assert_eq!(Exit::from_code(record.exit_code), Exit::GeneratorLimited);
}
