use super::*;
use crate::clock::{MICROSECOND, SECOND};
use crate::record::samples::clean;
use crate::record::{Ended, Latency};
use crate::stats::Histogram;

/// A run in which every flight took `us`, with `delivered` a second.
fn run(us: u64, delivered: u64) -> Record {
    let mut record = clean();
    let mut histogram = Histogram::default();
    (0..1_000).for_each(|_| histogram.record(us * MICROSECOND));
    record.latencies.flight_response = Latency::from(&histogram);
    record.throughput.delivered = delivered * 10;
    record.conclude();
    assert_eq!(record.span_of(crate::record::Phase::Measure), Some(10 * SECOND));
    record
}

/// Runs that scatter by a few per cent, `factor` times as slow.
fn slower(factor: f64) -> Vec<Record> {
    let us = [1_000.0, 1_020.0, 990.0, 1_010.0, 980.0];
    us.map(|us| run((us * factor) as u64, 20_000)).into()
}

fn void(mut record: Record) -> Record {
    // workers that notice too late
    let mut lag = Histogram::default();
    (0..1_000).for_each(|_| lag.record(60_000 * MICROSECOND));
    record.latencies.wake_lag = Latency::from(&lag);
    record.conclude();
    assert_eq!(record.verdict, Verdict::GeneratorLimited);
    record
}

fn found(base: &[Record], new: &[Record]) -> Comparison {
    compare(base, new, &Question::default()).expect("they are alike")
}

fn result(base: &[Record], new: &[Record]) -> (Verdicted, u8) {
    let comparison = found(base, new);
    (comparison.result, comparison.exit_code)
}

#[test]
fn what_is_slower_fails_and_what_is_not_passes() {
    assert_eq!(result(&slower(1.0), &slower(1.0)), (Verdicted::Pass, 0));
    assert_eq!(result(&slower(1.0), &slower(0.5)), (Verdicted::Pass, 0));
    assert_eq!(result(&slower(1.0), &slower(1.2)), (Verdicted::Fail, 8));
    assert_eq!(result(&slower(1.0), &slower(1.1)), (Verdicted::Inconclusive, 9));
    let less: Vec<Record> = slower(1.0).iter().map(|_| run(1_000, 18_000)).collect();
    let more: Vec<Record> = slower(1.0).iter().map(|_| run(1_000, 22_000)).collect();
    assert_eq!(result(&slower(1.0), &less), (Verdicted::Fail, 8));
    assert_eq!(result(&slower(1.0), &more), (Verdicted::Pass, 0));
}

#[test]
fn one_run_is_no_comparison() {
    let comparison = found(&slower(1.0)[..1], &slower(1.2)[..1]);
    assert_eq!((comparison.result, comparison.exit_code), (Verdicted::Inconclusive, 9));
    assert!(comparison.exit_reason.contains("two of each side"), "{}", comparison.exit_reason);
}

#[test]
fn what_it_rests_on_can_be_chosen() {
    let question = |gate: &str, tolerance: &str| Question {
        gates: vec![gate.parse().unwrap()],
        tolerances: vec![tolerance.parse().unwrap()],
        ..Question::default()
    };
    let result = |gate, tolerance| {
        let comparison = compare(&slower(1.0), &slower(1.2), &question(gate, tolerance)).unwrap();
        assert_eq!(comparison.metrics[0].metric.to_string(), gate);
        let gating = comparison.metrics.iter().filter(|metric| metric.gates).count();
        assert_eq!(gating, 1);
        (comparison.result, comparison.metrics[0].tolerance_percent)
    };
    assert_eq!(result("flight p99", "flight p99=30%"), (Verdicted::Pass, 30.0));
    assert_eq!(result("flight p50", "flight p99=30%"), (Verdicted::Fail, 5.0));
    assert_eq!(result("delivered", "flight p99=30%"), (Verdicted::Pass, 5.0));
    assert_eq!(result("generator-cpu-per-message", "delivered=1%"), (Verdicted::Pass, 3.0));
    // nothing was measured of it
    assert_eq!(result("round-trip p99", "round-trip p99=1%").0, Verdicted::Inconclusive);
}

#[test]
fn metrics_are_text_and_back() {
    for name in [
        "flight p99",
        "ack p99.9",
        "acked",
        "flight-service max",
        "broker-cpu-per-message",
        "generator-cpu-per-message",
    ] {
        assert_eq!(name.parse::<Metric>().unwrap().to_string(), name);
    }
    for name in ["", "flight", "lost", "cpu", "flight p0", "flight p99 p99", "p99"] {
        assert!(name.parse::<Metric>().is_err(), "{name}");
    }
    let tolerated: Tolerated = "Flight  P99 = 12.5 %".parse().unwrap();
    assert_eq!((tolerated.metric.to_string(), tolerated.share), ("flight p99".to_owned(), 0.125));
    for text in
        ["flight p99", "flight p99=10", "flight p99=0%", "acked=100%", "=5%", "acked=x%", "acked=NaN%"]
    {
        assert!(text.parse::<Tolerated>().is_err(), "{text}");
    }
}

#[test]
fn a_third_of_a_side_may_be_void() {
    let with_void = |count: usize| {
        let mut runs = slower(1.2);
        runs.extend((0..count).map(|_| void(run(1, 1))));
        found(&slower(1.0), &runs)
    };
    let some = with_void(2);
    assert_eq!((some.result, some.new), (Verdicted::Fail, Side { runs: 5, void: 2 }));
    let many = with_void(3);
    assert_eq!((many.result, many.exit_code), (Verdicted::Void, 6));
    assert!(many.exit_reason.contains("3 of 8 runs of the new side"), "{}", many.exit_reason);
    let all: Vec<Record> = slower(1.0).into_iter().map(void).collect();
    assert_eq!(result(&all, &slower(1.0)), (Verdicted::Void, 6));
}

/// Void siblings hide nothing.
#[test]
fn what_a_run_has_broken_is_broken_whatever_is_void() {
    let mut runs: Vec<Record> = slower(1.0).into_iter().map(void).collect();
    let mut broken = run(1000, 10_000);
    crate::gate::judge(&["flight p99 < 1us".parse().unwrap()], &mut broken);
    assert_eq!(broken.exit_code, 7);
    runs.push(broken.clone());
    assert_eq!(result(&slower(1.0), &runs), (Verdicted::Fail, 7));
    assert_eq!(result(&runs, &runs), (Verdicted::Void, 6), "the base has it, too");
    let found = new_fault(&slower(1.0), &[void(run(1000, 10_000)), broken]).expect("one is broken");
    assert_eq!(found.exit, Exit::Bounds);
    assert!(new_fault(&[], &[void(run(1000, 10_000))]).is_none(), "what is void is no fault");
}

/// What got lost is in no latency.
#[test]
fn a_fault_of_the_new_side_alone_is_one() {
    let losing = |mut runs: Vec<Record>| {
        (runs[2].counts.lost, runs[2].counts.delivered) = (7, runs[2].counts.delivered - 7);
        runs[2].conclude();
        runs
    };
    assert_eq!(result(&slower(1.0), &losing(slower(1.0))), (Verdicted::Fail, 5));
    assert_eq!(result(&losing(slower(1.0)), &losing(slower(1.0))), (Verdicted::Pass, 0));
    assert_eq!(result(&losing(slower(1.0)), &slower(1.0)), (Verdicted::Pass, 0));
    let bounded = |bound: &str| {
        let mut runs = slower(1.0);
        runs.iter_mut().for_each(|run| crate::gate::judge(&[bound.parse().unwrap()], run));
        runs
    };
    let (kept, broken) = (bounded("flight p99 < 1s"), bounded("flight p99 < 1us"));
    assert_eq!(result(&kept, &broken), (Verdicted::Fail, 7), "broken by the new side alone");
    assert_eq!(result(&kept, &kept), (Verdicted::Pass, 0));
    assert_eq!(result(&broken, &broken), (Verdicted::Pass, 0));
    let mut gone = slower(1.0);
    gone[0].ended = Ended::Broker;
    assert_eq!(result(&slower(1.0), &gone), (Verdicted::Fail, 4));
}

/// A percentile that never came is not left out, as if the rest were all.
#[test]
fn a_run_without_the_figure_passes_nothing() {
    let mut new = slower(0.5);
    new[1].latencies.flight_response = Latency::from(&Histogram::default());
    let comparison = found(&slower(1.0), &new);
    assert_eq!((comparison.result, comparison.exit_code), (Verdicted::Inconclusive, 9));
    assert!(comparison.exit_reason.contains("no samples"), "{}", comparison.exit_reason);
}

#[test]
fn other_machines_and_other_plans_are_refused() {
    let changed = |change: fn(&mut Record)| {
        let mut runs = slower(1.0);
        change(&mut runs[3]);
        runs
    };
    let refused =
        |change| compare(&slower(1.0), &changed(change), &Question::default()).unwrap_err().to_string();
    let elsewhere = refused(|run| run.machine.host = "there".to_owned());
    assert!(elsewhere.contains("host \"bench\" against \"there\""), "{elsewhere}");
    let larger = refused(|run| run.plan.size_bytes = 7);
    assert!(larger.contains("size_bytes 100 against 7"), "{larger}");
    let allowed = Question { other_machine: true, other_plan: true, ..Question::default() };
    let new = changed(|run| (run.machine.cpus, run.plan.size_bytes) = (9, 7));
    assert_eq!(compare(&slower(1.0), &new, &allowed).unwrap().result, Verdicted::Pass);
    assert_eq!(compare(&[], &new, &allowed).unwrap_err(), Unlike::Nothing("the base"));
    // who is measured, and what was random, are no part of the load
    let same = changed(|run| {
        run.plan.hosts = vec!["other".to_owned()];
        (run.plan.port, run.plan.seed, run.plan.run_id) = (7, 7, "7".to_owned());
    });
    assert_eq!(result(&slower(1.0), &same), (Verdicted::Pass, 0));
}

#[test]
fn the_text_says_it_first_and_has_a_row_for_each_metric() {
    let comparison = found(&slower(1.0), &slower(1.2));
    let text = comparison.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Result: FAIL, exit code 8: flight p99 +20.0 % ("), "{text}");
    assert_eq!(lines[1], "runs: 5 of the base, 5 new");
    assert!(lines[4].starts_with("delivered ") && lines[4].ends_with("PASS"), "{text}");
    assert!(lines[5].starts_with("flight p99 ") && lines[5].ends_with("FAIL"), "{text}");
    assert!(text.contains("0.008"), "Mann and Whitney of five each: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= 125), "{text}");
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!(json["metrics"][1]["metric"], "flight p99");
    assert_eq!(json["metrics"][1]["base"]["values"].as_array().unwrap().len(), 5);
    let change = json["metrics"][1]["change"]["percent"].as_f64().unwrap();
    assert!((change - 20.0).abs() < 0.2, "{change}");
}

#[test]
fn the_schema_is_that_of_what_is_written() {
    let schema = serde_json::from_str(schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut without = slower(1.0);
    without[1].latencies.flight_response = Latency::from(&Histogram::default());
    let one = slower(1.0)[..1].to_vec();
    for new in [slower(1.0), slower(1.2), without, one, slower(1.0).into_iter().map(void).collect()] {
        let json = serde_json::to_value(found(&slower(1.0), &new)).unwrap();
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}: {json:#}");
        // and nothing is written that it does not know
        let known =
            |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(known(&json).len(), known(&schema["properties"]).len());
        for metric in json["metrics"].as_array().unwrap() {
            assert_eq!(known(metric).len(), known(&schema["$defs"]["metric"]["properties"]).len());
        }
    }
}
