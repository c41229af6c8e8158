use super::*;
use crate::clock::{MICROSECOND, SECOND};
use crate::record::samples::{clean, told};
use crate::record::{Ended, Latency, Verdict};
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
    let reason = "delivered, flight p99: one run says nothing of how runs scatter: it takes two of each side, better five";
    assert_eq!(comparison.exit_reason, reason);
    assert_eq!(comparison.text().matches("one run says nothing").count(), 1, "{}", comparison.text());
}

/// Who cannot tell hears what it would take.
#[test]
fn too_few_runs_say_how_many_would_do() {
    let scattered = |count: usize, factor: f64| -> Vec<Record> {
        let us = [1_000.0, 1_100.0, 900.0, 1_050.0, 950.0];
        (0..count).map(|at| run((us[at % us.len()] * factor) as u64, 20_000)).collect()
    };
    let comparison = found(&scattered(5, 1.0), &scattered(5, 1.0));
    assert_eq!(comparison.result, Verdicted::Inconclusive);
    let text = comparison.text();
    assert!(
        text.contains("flight p99: as these scatter, about 13 runs of each side tell no change"),
        "{text}"
    );
    assert_eq!(found(&scattered(15, 1.0), &scattered(15, 1.0)).result, Verdicted::Pass);
    // as many as it takes, and on the edge all the same
    let text = found(&scattered(15, 1.0), &scattered(15, 1.1)).text();
    assert!(text.contains("flight p99: the change is close to the 10 % that are tolerated"), "{text}");
    let tolerated = Question { tolerances: vec!["flight p99=0.1%".parse().unwrap()], ..Question::default() };
    let text = compare(&scattered(5, 1.0), &scattered(5, 1.0), &tolerated).unwrap().text();
    assert!(text.contains("flight p99: these scatter too much for a tolerance of 0.1 %"), "{text}");
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
        "metric dropped{node=\"a=b\"}",
        "metric cpu_seconds_total per-message",
    ] {
        assert_eq!(name.parse::<Metric>().unwrap().to_string(), name);
    }
    for name in ["metric up < 1", "metric", "", "flight", "lost", "cpu", "flight p0", "flight p99 p99", "p99"]
    {
        assert!(name.parse::<Metric>().is_err(), "{name}");
    }
    let tolerated: Tolerated = "Flight  P99 = 12.5 %".parse().unwrap();
    assert_eq!((tolerated.metric.to_string(), tolerated.share), ("flight p99".to_owned(), 0.125));
    let tolerated: Tolerated = "metric up{a=\"b=c\"}=5%".parse().unwrap();
    assert_eq!((tolerated.metric.to_string(), tolerated.share), ("metric up{a=\"b=c\"}".to_owned(), 0.05));
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

fn losing(mut run: Record) -> Record {
    (run.counts.lost, run.counts.delivered) = (7, run.counts.delivered - 7);
    run.conclude();
    run
}

fn cut_off(mut run: Record) -> Record {
    run.ended = Ended::Broker;
    run
}

/// Runs of which the first `count` are not what they were.
fn some(count: usize, change: fn(Record) -> Record) -> Vec<Record> {
    let runs = slower(1.0).into_iter().enumerate();
    runs.map(|(at, run)| if at < count { change(run) } else { run }).collect()
}

/// A generator that starves leaves messages without their acknowledgements, too.
#[test]
fn a_fault_of_a_generator_that_was_limited_is_none_of_the_broker() {
    let starved = |run| void(losing(run));
    let comparison = found(&slower(1.0), &some(1, starved));
    assert_eq!((comparison.result, comparison.new), (Verdicted::Pass, Side { runs: 4, void: 1 }));
    let gone = cut_off(void(run(1_000, 20_000)));
    assert!(!gone.is_void(), "a broker that is gone is no fault of the generator");
    let mut unreached = clean();
    (unreached.counts, unreached.plan.clients) = (crate::stats::Counters::default(), 2);
    unreached.counts.due = 5;
    unreached.conclude();
    assert_eq!((unreached.verdict, unreached.exit_code), (Verdict::Unknown, 4));
    assert!(!unreached.is_void(), "nobody could connect");
}

/// What got lost is in no latency. One run with a fault may be chance.
#[test]
fn faults_of_the_new_side_are_held_against_those_of_the_base() {
    let lossy = |count| some(count, losing);
    assert_eq!(result(&lossy(0), &lossy(5)), (Verdicted::Fail, 5));
    assert_eq!(result(&lossy(0), &lossy(1)), (Verdicted::Inconclusive, 9));
    assert_eq!(result(&lossy(0), &lossy(4)), (Verdicted::Inconclusive, 9));
    assert_eq!(result(&lossy(1), &lossy(1)), (Verdicted::Pass, 0));
    assert_eq!(result(&lossy(1), &lossy(0)), (Verdicted::Pass, 0));
    let reason = found(&lossy(0), &lossy(1)).exit_reason;
    assert_eq!(reason, "a fault in 1 of 5 new runs, and in 0 of 5 of the base: deliveries lost: 7");
    // what fails in every run fails, whatever the fault, and however few there are
    let mixed = some(5, losing).into_iter().enumerate();
    let mixed: Vec<_> = mixed.map(|(at, run)| if at < 2 { cut_off(run) } else { run }).collect();
    assert_eq!(result(&slower(1.0), &mixed), (Verdicted::Fail, 5));
    assert_eq!(result(&slower(1.0)[..2], &lossy(2)[..2]), (Verdicted::Fail, 5));
    // a graver one in place of another is worse, and the other way round it is not
    assert_eq!(result(&lossy(5), &some(5, cut_off)), (Verdicted::Fail, 4));
    assert_eq!(result(&some(5, cut_off), &lossy(5)), (Verdicted::Pass, 0));
}

#[test]
fn a_bound_that_every_new_run_breaks_is_a_fault() {
    let bounded = |bound: &str| {
        let mut runs = slower(1.0);
        runs.iter_mut().for_each(|run| crate::gate::judge(&[bound.parse().unwrap()], run));
        runs
    };
    let (kept, broken) = (bounded("flight p99 < 1s"), bounded("flight p99 < 1us"));
    assert_eq!(result(&kept, &broken), (Verdicted::Fail, 7), "broken by the new side alone");
    assert_eq!(result(&kept, &kept), (Verdicted::Pass, 0));
    assert_eq!(result(&broken, &broken), (Verdicted::Pass, 0));
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

/// What others told is a cost: it is shown, and gates where somebody says so.
#[test]
fn what_others_told_of_the_broker_is_compared() {
    let run = |each: f64| {
        let mut record = told();
        record.broker_metrics.as_mut().expect("told").series[0].per_message = Some(each);
        record
    };
    let side = |factor: f64| [1.0, 1.01, 0.99, 1.005].map(|noise| run(4e-6 * factor * noise)).to_vec();
    let name = "metric process_cpu_seconds_total per-message";
    let question = Question { gates: vec![name.parse().expect("a metric")], ..Question::default() };
    let result = |question: &Question, factor| compare(&side(1.0), &side(factor), question).expect("alike");
    let worse = result(&question, 1.2);
    assert_eq!(worse.result, Verdicted::Fail, "{worse:?}");
    assert_eq!(result(&question, 0.8).result, Verdicted::Pass, "less is better");
    let unasked = result(&Question::default(), 1.2);
    assert_ne!(unasked.result, Verdicted::Fail, "{unasked:?}");
    let shown = unasked.metrics.iter().find(|compared| compared.metric.to_string() == name).expect("shown");
    assert_eq!((shown.unit, shown.gates, shown.result), ("number", false, Verdicted::Fail));
    let text = unasked.text();
    assert!(text.contains(name) && text.contains("4.0"), "{text}");
}
