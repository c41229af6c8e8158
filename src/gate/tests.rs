use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

mod whole;

use super::*;
use crate::clock::{MILLISECOND, SECOND};
use crate::record::fleet_samples::{lossy, published, self_check, subscribed};
use crate::record::samples::{broken, clean, idle, ramp};
use crate::record::{Ended, Exit, Latencies, Latency, ListenEnd, Schedule, Verdict};
use crate::stats::{Counters, Histogram};

mod cost;

#[track_caller]
fn bound(text: &str) -> Bound {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What comes of a bound: `4.20 ms, held`.
#[track_caller]
fn come_of(text: &str, record: &impl Measured) -> String {
    let result = bound(text).judge(record).to_string();
    result.split_once(": ").expect("a bound and what came of it").1.to_owned()
}

#[track_caller]
fn assert_all(record: &impl Measured, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(come_of(text, record), *expected, "{text}");
    }
}

#[test]
fn bounds_are_read_as_they_are_typed() {
    for (typed, printed) in [
        ("ack p99 < 5ms", "ack p99 < 5ms"),
        ("  Ack_Response   p99.90<5000us ", "ack p99.9 < 5ms"),
        ("flight response p99.9 <= 20ms", "flight p99.9 <= 20ms"),
        ("ack service mean < 1ms", "ack-service mean < 1ms"),
        ("CONNACK max < 1s", "connack max < 1s"),
        ("TCP connect min > 0", "tcp-connect min > 0s"),
        ("wake-up lag p50 <= 1h", "wake-up-lag p50 <= 1h"),
        ("wake_lag p0.0001 <= 2m 30s", "wake-up-lag p0.0001 <= 2m 30s"),
        ("lateness p99.9999 < 1ms", "lateness p99.9999 < 1ms"),
        ("round-trip p99 < 10ms", "round-trip p99 < 10ms"),
        ("acked >= 10k/s", "acked >= 10k/s"),
        ("delivered > 0.066/s", "delivered > 0.066/s"),
        ("offered<=1.5M/s", "due <= 1.5M/s"),
        ("lost == 0", "lost == 0"),
        ("lost = 0", "lost == 0"),
        ("connected >= 2k", "connected >= 2000"),
        ("not subscribed == 0", "subscribe-failures == 0"),
        ("shed <= 0.10 %", "shed <= 0.1%"),
        ("success >= 99.9%", "success >= 99.9%"),
        ("CPU <= 50%", "cpu <= 50%"),
        ("bytes_in < 4000 MB", "bytes-in < 4 GB"),
        ("acked >= 10k messages", "acked >= 10000 messages"),
        ("sent > 1 message", "sent > 1 message"),
        ("sent > 0", "sent > 0"),
        ("acked == 40", "acked == 40"),
        ("Verdict = clean", "verdict == clean"),
        ("cpu per message < 0.02ms", "generator-cpu-per-message < 20us"),
        ("memory_per_client <= 1024B", "memory-per-client <= 1 KiB"),
        ("flight p99 < 50ms  over  10s", "flight p99 < 50ms over 10s"),
        ("delivered >= 9k/s over 1m", "delivered >= 9k/s over 1m"),
    ] {
        assert_eq!(bound(typed).to_string(), printed, "{typed}");
        assert_eq!(bound(printed), bound(typed), "{typed}");
    }
}

/// Each message is one line that names the value and what is expected.
#[test]
fn what_is_no_bound_is_told_in_one_line() {
    for (text, said) in [
        ("", "`` is not a bound: expected a name, one of < <= > >= =="),
        ("ack p99 5ms", "`ack p99 5ms` is not a bound"),
        ("ack p99 <", "`ack p99 <` is not a bound"),
        ("< 5ms", "`< 5ms` is not a bound"),
        ("lost =< 3", "`lost =< 3` is not a bound"),
        ("1ms < ack p99 < 5ms", "`1ms < ack p99 < 5ms` is not a bound"),
        ("ak p99 < 5ms", "`ak p99` is not measured; there are the latencies ack, "),
        ("losses == 0", "the shares success, cpu"),
        ("losses == 0", "the counts due, sent, acked, delivered, expected, lost, "),
        ("lost p99 == 0", "`lost p99` is not measured"),
        ("ack < 5ms", "`ack` is a latency: say which figure of it, such as `ack p99` or `ack max`"),
        (
            "ack p999 < 5ms",
            "`p999` is no figure of the latency `ack`: expected min, mean, max or a percentile",
        ),
        ("ack p100 < 5ms", "`p100` is no figure"),
        ("ack p0 < 5ms", "`p0` is no figure"),
        ("ack p99. < 5ms", "`p99.` is no figure"),
        ("ack p99.99999 < 5ms", "`p99.99999` is no figure"),
        ("ack median < 5ms", "`median` is no figure"),
        ("ack p99 < 10k/s", "`10k/s` is not a span of time"),
        ("ack p99 < -5ms", "`-5ms` is not a span of time"),
        ("ack max < 2h", "`2h` is too long for a bound: latencies are told apart up to 1h"),
        ("ack p99 == 5ms", "`ack` never is exactly a value: use <, <=, > or >= instead of =="),
        ("acked == 10k/s", "`a rate` never is exactly a value"),
        (
            "acked >= fast",
            "`fast` is no value for `acked`: expected a count such as 0 or 10k, a rate such as",
        ),
        ("acked >= 5ms", "`5ms` is no value for `acked`"),
        (
            "lost <= 3/s",
            "`3/s` is no value for `lost`: expected a count such as 0 or 10k, a share such as 0.1%",
        ),
        ("pings >= 3%", "`3%` is no value for `pings`: expected a count such as 0 or 10k"),
        ("lost == 0.5", "`0.5` is no value for `lost`"),
        ("lost == +1", "`+1` is no value for `lost`"),
        ("lost <= 18446744073709551615k", "is no value for `lost`"),
        ("success >= 0.999", "`0.999` is no value for `success`: expected a share such as 99.9%"),
        ("success >= 101%", "`101%` is no value for `success`"),
        ("cpu <= %", "`%` is no value for `cpu`"),
        ("ack p99 < 5", "`5` has no unit: say `5ms` or `5s`"),
        ("ack p99 < .5", "`.5` has no unit: say `.5ms` or `.5s`"),
        ("acked >= 10k", "`10k` has no unit: say `10k/s` or `10k messages`"),
        ("bytes-in < 1000", "`1000` has no unit: say `1000kB` or `1000KiB`"),
        ("bytes-in < 4k", "`4k` is ambiguous: say `4kB`"),
        ("cpu-per-message < 20", "`20` has no unit: say `20ms` or `20s`"),
        (
            "verdict == generator-limited",
            "`generator-limited` is no verdict to bound a run by: expected `verdict == clean`",
        ),
        ("verdict >= clean", "`clean` is no verdict"),
        ("lost == 0 over 10s", "`lost` has no windows"),
        ("connack max < 1s over 10s", "`connack max` has no windows"),
        ("ack p99 < 5ms over 10", "`10` is no window: expected whole seconds, from 1s to 5m"),
        ("ack p99 < 5ms over 1.5s", "`1.5s` is no window"),
        ("ack p99 < 5ms over 6m", "`6m` is no window"),
    ] {
        let error = text.parse::<Bound>().expect_err(text).to_string();
        assert!(error.contains(said), "`{text}` says `{error}`");
        assert!(!error.contains('\n'), "`{error}` is one line");
    }
}

fn relation() -> impl Strategy<Value = Relation> {
    use Relation::*;
    prop::sample::select(vec![Below, AtMost, Above, AtLeast, Exactly])
}

fn percentage() -> impl Strategy<Value = Percent> {
    (0.0..=100.0).prop_map(|percent| Percent::new(percent).expect("within"))
}

fn any_bound() -> impl Strategy<Value = Bound> {
    let statistic = prop_oneof![
        Just(Statistic::Min),
        Just(Statistic::Mean),
        Just(Statistic::Max),
        (1..1_000_000u32).prop_map(Statistic::Percentile),
    ];
    let count = || prop::sample::select(Count::all().collect::<Vec<_>>());
    let rates = Count::all().filter(|count| count.0.has_rate).collect::<Vec<_>>();
    let parts = Count::all().filter(|count| count.0.whole.is_some()).collect::<Vec<_>>();
    let span = (0..=crate::stats::HIGHEST).prop_map(Span::from_nanos);
    let rate = (1e-3..1e12).prop_map(|rate| Rate::new(rate).expect("above 0"));
    let claim = prop_oneof![
        (prop::sample::select(Timing::all().collect::<Vec<_>>()), statistic, span)
            .prop_map(|(of, at, limit)| Claim::Latency { of, at, limit }),
        (count(), any::<u64>()).prop_map(|(of, limit)| Claim::Count { of, limit }),
        (prop::sample::select(rates), rate).prop_map(|(of, limit)| Claim::Rate { of, limit }),
        (prop::sample::select(parts), percentage()).prop_map(|(of, limit)| Claim::Part { of, limit }),
        (prop::sample::select(Share::ALL.to_vec()), percentage())
            .prop_map(|(of, limit)| Claim::Share { of, limit }),
    ];
    let over = prop::option::of((1..=300u64).prop_map(|seconds| Span::from_nanos(seconds * SECOND)));
    let bound = (claim, relation(), over).prop_map(|(claim, relation, over)| {
        let over = over.filter(|_| windows::has(&claim));
        Bound { claim, relation, over }
    });
    bound.prop_filter("latencies and rates are inexact", |bound| {
        bound.relation != Relation::Exactly
            || !matches!(bound.claim, Claim::Latency { .. } | Claim::Rate { .. })
    })
}

static RUNS: LazyLock<[Record; 3]> = LazyLock::new(|| [clean(), broken(), idle()]);
static FLEETS: LazyLock<[FleetRecord; 4]> =
    LazyLock::new(|| [published(), subscribed(), lossy(), self_check()]);

proptest! {
    #[test]
    fn a_bound_reads_as_what_it_prints(bound in any_bound()) {
        prop_assert_eq!(bound.to_string().parse::<Bound>(), Ok(bound));
    }

    #[test]
    fn any_text_is_a_bound_or_one_line(text in ".*") {
        if let Err(error) = text.replace('\n', " ").parse::<Bound>() {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    /// Whatever is asked of whatever record: what is found agrees with the relation, and what is not found
    /// does not hold.
    #[test]
    fn a_bound_and_its_opposite_never_both_hold(bound in any_bound(), which in 0..7usize) {
        let opposite = Bound { relation: match bound.relation {
            Relation::Below => Relation::AtLeast,
            Relation::AtMost => Relation::Above,
            Relation::Above => Relation::AtMost,
            Relation::AtLeast | Relation::Exactly => Relation::Below,
        }, ..bound.clone() };
        let judge = |bound: &Bound| match which {
            0..3 => bound.judge(&RUNS[which]),
            _ => bound.judge(&FLEETS[which - 3]),
        };
        let (one, other) = (judge(&bound), judge(&opposite));
        prop_assert!(!(one.holds() && other.holds()), "{one} and {other}");
        prop_assert_eq!(one.result == BoundState::NotMeasured, one.found.is_none());
        prop_assert_eq!(one.result == BoundState::NotMeasured, one.reason.is_some());
        if one.found.is_some() && bound.relation != Relation::Exactly {
            prop_assert!(one.holds() || other.holds(), "{one} or {other}");
        }
    }
}

/// checklist 74: latencies, rates, counts and shares of a run.
#[test]
fn a_run_is_judged_by_its_figures() {
    assert_all(
        &clean(),
        &[
            ("ack p99 < 5ms", "416 us, held"),
            ("ack p99 < 0.4ms", "416 us, BROKEN"),
            ("ack p75 < 5ms", "319 us, held"),
            ("ack p99.9 <= 20ms", "420 us, held"),
            ("ack mean < 1ms", "217 us, held"),
            ("ack min >= 15us", "15.0 us, held"),
            ("connack max < 1ms", "1.20 ms, BROKEN"),
            ("lateness p99 < 1ms", "129 us, held"),
            ("acked >= 10k/s", "20000.00/s, held"),
            ("acked > 20k/s", "20000.00/s, BROKEN"),
            ("due >= 20k/s", "20000.00/s, held"),
            ("lost == 0", "0, held"),
            ("unfinished == 0", "0, held"),
            ("sent >= 200k messages", "200,000, held"),
            ("success == 100%", "100.00%, held"),
            ("connected == 2000", "2,000, held"),
            ("connected >= 99.9%", "100.00%, held"),
            ("cpu <= 41.3%", "41.30%, held"),
            ("cpu <= 41%", "41.30%, BROKEN"),
            ("tcp-connect max < 1ms", "900 us, held"),
        ],
    );
}

#[test]
fn one_message_of_ten_million_breaks_a_hundred_per_cent() {
    let mut record = clean();
    let counts = &mut record.counts;
    (counts.due, counts.acked, counts.expected, counts.delivered) =
        (10_000_000, 9_999_999, 10_000_000, 10_000_000);
    assert_all(
        &record,
        &[
            ("success == 100%", "99.99999%, BROKEN"),
            ("acked >= 99.99999%", "99.99999%, held"),
            ("success >= 99.9%", "100.00%, held"),
        ],
    );
    let counts = &mut record.counts;
    (counts.due, counts.acked, counts.expected, counts.delivered) = (1_000, 1_000, 1_000, 999);
    assert_all(&record, &[("success >= 99.9%", "99.90%, held"), ("success > 99.9%", "99.90%, BROKEN")]);
}

#[test]
fn a_latency_just_beyond_its_bound_does_not_read_as_on_it() {
    let mut record = clean();
    record.latencies.connack.max_ns = Some(1_000_447_000);
    assert_eq!(come_of("connack max <= 1s", &record), "1.000447s, BROKEN");
    assert_eq!(come_of("connack max <= 2s", &record), "1.00 s, held");
}

/// Files may hold anything: an empty histogram must not read as a latency of 0.
#[test]
fn a_histogram_that_is_not_what_the_record_says_is_none() {
    let mut record = clean();
    record.latencies.ack_response.hdr_v2_base64 = Histogram::default().to_base64_v2();
    let said = "not measured (the histogram has another number of samples than the record says), BROKEN";
    assert_eq!(come_of("ack p99 < 5ms", &record), said);
    record.latencies.ack_response.hdr_v2_base64 = "?".to_owned();
    assert!(come_of("ack p99 < 5ms", &record).starts_with("not measured (the histogram is not base64: "));
}

/// What is achieved is what happened in the measure phase: the drain must not add to a rate.
#[test]
fn rates_are_of_the_measure_phase() {
    let mut record = clean();
    record.throughput.acked = 150_000;
    assert_eq!(come_of("acked >= 20k/s", &record), "15000.00/s, BROKEN");
    (record.plan.msg_count, record.plan.duration_ns) = (Some(200), None);
    assert_eq!(come_of("acked >= 20k/s", &record), "20000.00/s, held", "a count has no drain to leave out");
}

/// checklist 74: a bound nobody could check has not held.
#[test]
fn what_was_not_measured_keeps_no_bound() {
    let mut few = clean();
    few.latencies.ack_response = (&ramp(599, 1_000, 2_000)).into();
    few.latencies.connack = Latency::default();
    assert_all(
        &few,
        &[
            ("ack p99 < 5ms", "not measured (it takes 600 samples, there are 599), BROKEN"),
            ("ack p99.9 < 5ms", "not measured (it takes 6,000 samples, there are 599), BROKEN"),
            ("ack p90 < 5ms", "1.90 us, held"),
            ("connack max < 1s", "not measured (no samples), BROKEN"),
            ("round-trip max < 1s", "not measured (only publish --round-trip measures it), BROKEN"),
            ("dropped == 0", "not measured (only subscribe hears of it), BROKEN"),
        ],
    );
    assert_all(
        &idle(),
        &[
            ("lost == 0", "not measured (nobody publishes), BROKEN"),
            ("success >= 0%", "not measured (nobody publishes), BROKEN"),
            ("subscribed == 0", "not measured (nobody subscribes), BROKEN"),
            ("pings >= 12000", "12,000, held"),
        ],
    );
    let mut alone = clean();
    (alone.plan.subscribers, alone.plan.qos) = (0, 0);
    assert_all(
        &alone,
        &[
            ("lost == 0", "not measured (nobody subscribes), BROKEN"),
            ("ack-timeouts == 0", "not measured (QoS 0 has no acknowledgements), BROKEN"),
            ("acked >= 1/s", "not measured (QoS 0 has no acknowledgements), BROKEN"),
            ("success == 100%", "100.00%, held"),
        ],
    );
    let mut short = clean();
    short.phases.truncate(3);
    short.counts = Counters::default();
    assert_all(
        &short,
        &[
            ("lost == 0", "not measured (the measure phase was not reached), BROKEN"),
            ("sent >= 0", "not measured (the measure phase was not reached), BROKEN"),
        ],
    );
    let mut silent = clean();
    (silent.counts.expected, silent.counts.delivered) = (0, 0);
    assert_eq!(come_of("lost == 0", &silent), "not measured (no delivery was expected), BROKEN");
    silent.generator.workers.clear();
    assert_eq!(come_of("cpu < 50%", &silent), "not measured (no worker was measured), BROKEN");
}

#[test]
fn a_mean_that_was_clipped_is_not_one() {
    let mut record = clean();
    record.latencies.ack_response.overflow = 3;
    let said = "not measured (3 samples above one hour), BROKEN";
    assert_eq!(come_of("ack mean < 1ms", &record), said);
    let mut hours = Histogram::default();
    hours.record_n(7_200 * SECOND, 10);
    record.latencies.ack_response = (&hours).into();
    assert!(come_of("ack max < 1h", &record).ends_with("BROKEN"));
}

#[test]
fn clients_that_never_tried_are_not_connected() {
    let mut record = clean();
    (record.counts.connections_asked, record.counts.connections_established) = (1_000, 1_000);
    assert_eq!(come_of("connected == 100%", &record), "50.00%, BROKEN", "2,000 were asked for");
}

/// checklist 74: the same bounds on what `publish` and `subscribe` leave.
#[test]
fn a_fleet_is_judged_by_its_figures() {
    assert_all(
        &published(),
        &[
            ("ack-service p50 <= 4ms", "3.00 ms, held"),
            ("ack p90 < 8ms", "7.28 ms, held"),
            ("acked == 400", "400, held"),
            ("acked >= 100/s", "114.29/s, held"),
            ("sent >= 115/s", "114.29/s, BROKEN"),
            ("success == 100%", "100.00%, held"),
            ("connected == 4", "4, held"),
            ("cpu <= 50%", "1.20%, held"),
            ("lost == 0", "not measured (nobody subscribes), BROKEN"),
            ("flight p99 < 10ms", "not measured (no samples), BROKEN"),
            ("unfinished == 0", "0, held"),
            ("unfinished <= 0%", "0.00%, held"),
            ("shed == 0", "0, held"),
            ("late == 0", "not measured (nobody subscribes), BROKEN"),
            ("round-trip p99 < 10ms", "not measured (no samples), BROKEN"),
        ],
    );
    assert_all(
        &subscribed(),
        &[
            ("flight p99 < 10ms", "8.00 ms, held"),
            ("delivered >= 10k/s", "2500.00/s, BROKEN"),
            ("delivered == 2000", "2,000, held"),
            ("lost == 0", "0, held"),
            ("duplicated == 0", "0, held"),
            ("success >= 99.9%", "100.00%, held"),
            ("dropped == 0", "not measured (the broker did not report it), BROKEN"),
            ("acked == 0", "not measured (nobody publishes), BROKEN"),
        ],
    );
    assert_all(
        &lossy(),
        &[
            ("lost == 0", "1,002, BROKEN"),
            ("lost <= 50%", "50.10%, BROKEN"),
            ("delivered == 998", "998, held"),
            ("duplicated <= 1", "1, held"),
            ("foreign == 0", "3, BROKEN"),
            ("success >= 49.9%", "49.90%, held"),
            ("flight max < 1s", "not measured (the clocks disagree: 1 flight times are negative), BROKEN"),
        ],
    );
}

/// What was acknowledged has not arrived yet, and the other way round: the worse one counts.
#[test]
fn a_self_check_succeeds_at_both_ends() {
    let mut record = self_check();
    record.listeners[0].received = 300;
    assert_eq!(come_of("success >= 99%", &record), "75.00%, BROKEN");
    record.listeners[0].received = 400;
    record.publishers[0].acked = 60;
    assert_eq!(come_of("success >= 99%", &record), "90.00%, BROKEN");
}

#[test]
fn a_listener_that_left_at_a_drop_does_not_say_what_is_lost() {
    let mut record = subscribed();
    let listener = &mut record.listeners[0];
    (listener.received, listener.dropped, listener.ended_by) = (1_500, Some(7), ListenEnd::Drops);
    let unknown = "not measured (a subscriber left when the broker dropped messages), BROKEN";
    assert_all(
        &record,
        &[("lost <= 2000", unknown), ("success >= 1%", unknown), ("dropped == 7", "7, held")],
    );
}

#[test]
fn a_listener_without_expectation_has_lost_nothing_that_is_known() {
    let mut record = subscribed();
    let listener = &mut record.listeners[0];
    (listener.expected_per_client, listener.expected_clients) = (None, None);
    listener.expected_messages = None;
    (listener.dropped, listener.ended_by) = (Some(7), ListenEnd::Duration);
    let unknown = "not measured (a subscriber expected no number of messages), BROKEN";
    assert_all(&record, &[("lost == 0", unknown), ("success >= 1%", unknown), ("dropped <= 7", "7, held")]);
    record.listeners[0].received = 0;
    let nothing = "not measured (no message was expected and none arrived), BROKEN";
    assert_all(&record, &[("duplicated == 0", nothing), ("delivered >= 0", nothing)]);
}

/// checklist 75: the exit code of a broken bound, after everything that makes a figure worthless.
#[test]
fn a_broken_bound_is_the_last_thing_that_counts() {
    let bounds = ["ack p99 < 1us", "lost == 0", "sent > 1M/s", "cpu < 1%", "success > 100%"].map(bound);
    let exit = |change: &dyn Fn(&mut Record)| {
        let mut record = clean();
        change(&mut record);
        judge(&bounds, &mut record);
        (Exit::from_code(record.exit_code), record.exit_reason)
    };
    let said = "4 bounds did not hold: ack p99 < 1us (416 us), sent > 1M/s (20000.00/s), cpu < 1% (41.30%) and 1 more";
    assert_eq!(exit(&|_| ()), (Exit::Bounds, said.to_owned()));
    assert_eq!(exit(&|record| record.counts.lost = 1).0, Exit::Delivery);
    assert_eq!(exit(&|record| record.counts.connections_established = 1).0, Exit::Broker);
    assert_eq!(exit(&|record| record.ended = Ended::Environment).0, Exit::Environment);
    assert_eq!(exit(&|record| record.ended = Ended::Internal).0, Exit::Internal);
    assert_eq!(exit(&|record| record.ended = Ended::Interrupted).0, Exit::Interrupted);
    // a closed loop with a full CPU
    let limited = exit(&|record| {
        record.plan.schedule = Schedule::Closed { inflight: 8 };
        record.generator.workers[0].busy_share = 0.99;
    });
    assert_eq!(limited.0, Exit::GeneratorLimited, "its figures say nothing about a bound");
    let mut limited = clean();
    limited.latencies.wake_lag = (&ramp(200_000, 40_000_000, 80_000_000)).into();
    judge(&[bound("lost == 0"), bound("ack p99 < 1us")], &mut limited);
    assert!(text(&limited.bounds).lines().all(|line| line.ends_with(", void")), "{}", text(&limited.bounds));
    let mut record = clean();
    judge(&[bound("lost == 0"), bound("ack p99 < 5ms")], &mut record);
    assert_eq!((record.exit_code, record.verdict, record.bounds.len()), (0, Verdict::Clean, 2));
    let mut fleet = published();
    judge_fleet(&[bound("acked == 401")], &mut fleet);
    let said = "a bound did not hold: acked == 401 (400)";
    assert_eq!((fleet.exit_code, fleet.exit_reason.as_str()), (7, said));
    judge_fleet(&[bound("acked == 400")], &mut fleet);
    assert_eq!(fleet.exit_code, 0, "a record is judged anew");
}

#[test]
fn results_are_in_the_record_with_their_units() {
    let mut record = clean();
    judge(&["ack p99 < 400us", "lost == 0", "sent >= 1/s", "dropped == 0"].map(bound), &mut record);
    let json = serde_json::to_value(&record).expect("plain data");
    let expected = serde_json::json!([
        { "bound": "ack p99 < 400us", "result": "broken", "found": { "ns": 415_999 }, "limit": { "ns": 400_000 }, "reason": null },
        { "bound": "lost == 0", "result": "held", "found": { "count": 0 }, "limit": { "count": 0 }, "reason": null },
        { "bound": "sent >= 1/s", "result": "held", "found": { "per_s": 20_000.0 }, "limit": { "per_s": 1.0 }, "reason": null },
        { "bound": "dropped == 0", "result": "not-measured", "found": null, "limit": { "count": 0 }, "reason": "only subscribe hears of it" },
    ]);
    assert_eq!(json["bounds"], expected);
    assert_eq!(Record::from_json(&json.to_string()).expect("what was written"), record);
    assert_eq!(
        text(&record.bounds[..2]),
        "bound ack p99 < 400us: 416 us, BROKEN\nbound lost == 0: 0, held\n"
    );
    assert_eq!(text(&[]), "");
}

/// Every counter and every latency of a record can have a bound, by its name there.
#[test]
fn nothing_in_a_record_is_without_a_name() {
    let names = |value: serde_json::Value| {
        value.as_object().expect("a struct").keys().cloned().collect::<BTreeSet<_>>()
    };
    for name in names(serde_json::to_value(Counters::default()).expect("plain data")) {
        assert!(format!("{name} == 0").parse::<Bound>().is_ok(), "{name}");
    }
    for name in names(serde_json::to_value(Latencies::default()).expect("plain data")) {
        assert!(format!("{name} p99 < 1ms").parse::<Bound>().is_ok(), "{name}");
    }
    let mut seen = BTreeSet::new();
    let all = Timing::all().map(Timing::name).chain(Count::all().map(Count::name));
    let all = all.chain(Share::ALL.map(Share::name)).chain(Own::ALL.map(Own::name));
    assert!(all.chain(["verdict"]).all(|name| seen.insert(name)), "no name means two things");
}

/// A run of which every figure is its own, so that no name reads its neighbour's.
#[test]
fn every_count_reads_its_own_counter() {
    let mut json = serde_json::to_value(Counters::default()).expect("plain data");
    for (at, (_, value)) in json.as_object_mut().expect("a struct").iter_mut().enumerate() {
        if value.is_number() {
            *value = serde_json::json!(1_000 + at);
        }
    }
    let mut record = clean();
    record.counts = serde_json::from_value(json.clone()).expect("the same shape");
    for (name, value) in json.as_object().expect("a struct").iter().filter(|(_, value)| value.is_number()) {
        let unit = if name.starts_with("bytes") { "B" } else { "" };
        assert!(bound(&format!("{name} == {value}{unit}")).judge(&record).holds(), "{name}");
    }
    let mut timings = serde_json::to_value(&record.latencies).expect("plain data");
    for (at, (_, value)) in timings.as_object_mut().expect("a struct").iter_mut().enumerate() {
        let latency = Latency::from(&ramp(1, (at as u64 + 1) * MILLISECOND, SECOND));
        *value = serde_json::to_value(latency).expect("plain data");
    }
    record.latencies = serde_json::from_value(timings.clone()).expect("the same shape");
    for (at, (name, _)) in timings.as_object().expect("a struct").iter().enumerate() {
        let found = bound(&format!("{name} max < 1h")).judge(&record).found;
        let Some(Amount::Ns(ns)) = found else { panic!("{name}: {found:?}") };
        assert_eq!(ns / MILLISECOND, at as u64 + 1, "{name}");
    }
}

/// R5: a closed loop has service times only; a bound on what a user would see of a schedule is not kept by it.
#[test]
fn r05_a_closed_loop_has_no_response_times() {
    let mut record = clean();
    record.plan.schedule = Schedule::Closed { inflight: 8 };
    let bounds =
        ["ack p99 < 1h", "flight max < 1h", "ack-service p99 < 1h", "flight-service max < 1h"].map(bound);
    judge(&bounds, &mut record);
    let states: Vec<_> = record.bounds.iter().map(|bound| bound.result).collect();
    use BoundState::{Held, NotMeasured};
    assert_eq!(states, [NotMeasured, NotMeasured, Held, Held]);
    assert_eq!(Exit::from_code(record.exit_code), Exit::Bounds);
}
