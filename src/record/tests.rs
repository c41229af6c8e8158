use super::samples::{broken, clean, idle, ramp};
use super::*;
use crate::stats::Histogram;

#[test]
fn a_record_survives_its_json() {
    for record in [clean(), broken(), idle()] {
        let json = serde_json::to_string(&record).expect("plain data");
        assert_eq!(Record::from_json(&json).expect("what was written"), record);
    }
}

#[test]
fn fields_of_the_future_are_tolerated() {
    let mut json = serde_json::to_value(clean()).expect("plain data");
    for path in [
        "",
        "/plan",
        "/plan/schedule",
        "/machine",
        "/counts",
        "/latencies",
        "/generator/workers/0",
        "/series/0",
    ] {
        let object = json.pointer_mut(path).and_then(|value| value.as_object_mut()).expect(path);
        object.insert("of_the_future".to_owned(), serde_json::json!({ "any": ["thing"] }));
    }
    assert_eq!(Record::from_json(&json.to_string()).expect("tolerant"), clean());
}

#[test]
fn another_schema_is_refused_by_name() {
    let error =
        Record::from_json(r#"{ "schema": "malaria-bench/2", "plan": 7 }"#).expect_err("another schema");
    assert_eq!(
        error.to_string(),
        "the record's schema is `malaria-bench/2`; this version reads `malaria-bench/1`"
    );
    for text in ["", "[]", "{}", r#"{ "schema": "malaria-bench/1" }"#] {
        assert!(matches!(Record::from_json(text), Err(RecordError::Json(_))), "{text}");
    }
}

#[test]
fn names_and_units_of_the_json_are_as_documented() {
    let json = serde_json::to_value(clean()).expect("plain data");
    let at = |path: &str| json.pointer(path).unwrap_or_else(|| panic!("{path} is missing")).clone();
    assert_eq!(at("/schema"), "malaria-bench/1");
    assert_eq!(at("/plan/seed"), "18446744073709551614", "a number would lose digits in many readers");
    assert_eq!(at("/plan/run_id"), "6f3a90c1d2e4b587");
    assert_eq!(
        at("/plan/schedule"),
        serde_json::json!({ "loop": "open", "rate_per_s": 20000.0, "arrival": "constant", "inflight": 65535 })
    );
    assert_eq!(at("/plan/topology"), "pairs");
    assert_eq!(at("/plan/duration_ns"), 10_000_000_000u64);
    assert_eq!(
        at("/phases/2"),
        serde_json::json!({ "phase": "warm-up", "start_ns": 200000000u64, "end_ns": 2200000000u64 })
    );
    assert_eq!(at("/counts/refused"), serde_json::json!([0, 0, 0, 0, 0, 0]));
    assert_eq!(at("/latencies/ack_response/count"), 200_000);
    assert!(at("/latencies/ack_response/p9999_ns").is_u64());
    assert!(at("/latencies/tcp_connect/p999_ns").is_null(), "2,000 samples do not support p99.9");
    assert!(
        at("/latencies/tcp_connect/hdr_v2_base64").as_str().is_some_and(|text| text.starts_with("HISTE"))
    );
    assert_eq!((at("/verdict"), at("/exit_code")), ("clean".into(), 0.into()));
    use Topology::*;
    for topology in [Pairs, FanIn, FanOut, Itself, Publish, Idle] {
        assert_eq!(serde_json::to_value(topology).expect("plain"), topology.to_string());
    }
    for phase in
        [Phase::Connect, Phase::Subscribe, Phase::WarmUp, Phase::Measure, Phase::Drain, Phase::Disconnect]
    {
        assert_eq!(serde_json::to_value(phase).expect("plain"), phase.name());
    }
    for arrival in [Arrival::Constant, Arrival::Poisson] {
        assert_eq!(serde_json::to_value(arrival).expect("plain"), arrival.to_string());
    }
}

#[test]
fn a_seed_written_as_a_number_is_read_too() {
    let mut json = serde_json::to_value(clean()).expect("plain data");
    json["plan"]["seed"] = 42.into();
    assert_eq!(Record::from_json(&json.to_string()).expect("tolerant").plan.seed, 42);
    json["plan"]["seed"] = "forty-two".into();
    let error = Record::from_json(&json.to_string()).expect_err("no seed").to_string();
    assert!(error.contains("`forty-two` is not a seed"), "{error}");
}

#[test]
fn histograms_of_two_records_merge_exactly() {
    let (one, two) = (ramp(3_000, 1, 4_000_000_000_000), ramp(700, 50, 90_000));
    let mut both = Histogram::default();
    both.merge(&one);
    both.merge(&two);
    let mut merged = Histogram::default();
    for part in [&one, &two] {
        let json = serde_json::to_string(&Latency::from(part)).expect("plain data");
        let read: Latency = serde_json::from_str(&json).expect("what was written");
        merged.merge(&read.histogram().expect("what was written"));
    }
    assert_eq!(merged, both);
    assert_eq!(Latency::from(&merged), Latency::from(&both));
    assert!(merged.overflow() > 0 && merged.overflow() == one.overflow(), "clipping travels along");
}

#[test]
fn a_latency_without_samples_says_nothing() {
    let empty = Latency::from(&Histogram::default());
    assert_eq!(empty, Latency::default());
    assert_eq!((empty.min_ns, empty.p50_ns, empty.max_ns, empty.tail()), (None, None, None, None));
    assert!(empty.histogram().expect("empty").is_empty());
}

#[test]
fn the_tail_is_the_highest_percentile_supported() {
    for (samples, name) in [(600, Some("p99")), (599, Some("p90")), (59, Some("p50")), (11, None)] {
        let latency = Latency::from(&ramp(samples, 1_000, 2_000));
        assert_eq!(latency.tail().map(|tail| tail.name), name, "{samples} samples");
    }
}

#[test]
fn the_busiest_and_the_most_starved_worker_speak_for_all() {
    let worker = |cpu, busy_share, waited_share| Worker { cpu, busy_share, waited_share };
    let workers = vec![worker(3, 0.25, 0.1), worker(1, 0.4, 0.0), worker(2, 0.3, 0.2)];
    let generator = Generator { workers, ..Generator::default() };
    assert_eq!((generator.busiest_cpu(), generator.starved()), (Some((1, 0.4)), Some((2, 0.2))));
    assert_eq!((Generator::default().busiest_cpu(), Generator::default().starved()), (None, None));
}

#[test]
fn rates_are_over_the_measure_phase() {
    let mut record = clean();
    assert_eq!(record.span_of(Phase::Measure), Some(10_000_000_000));
    assert_eq!(record.rate_per_s(200_000), Some(20_000.0));
    record.phases.truncate(2);
    assert_eq!((record.span_of(Phase::Measure), record.rate_per_s(5)), (None, None));
}
