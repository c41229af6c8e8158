//! Bounds on what the broker used.

use super::*;
use crate::record::samples::{told, watched};

#[test]
fn what_the_broker_used_is_bounded_by_name() {
    for (typed, printed) in [
        ("broker cpu per message < 5us", "broker-cpu-per-message < 5us"),
        ("Broker_Memory_per_Connection <= 4KiB", "broker-memory-per-connection <= 4KiB"),
        ("broker memory < 1MB", "broker-memory < 1MB"),
        ("broker-descriptors == 2010", "broker-descriptors == 2010"),
    ] {
        assert_eq!(bound(typed), bound(printed), "{typed}");
        assert_eq!(bound(&bound(typed).to_string()), bound(typed), "{typed}");
    }
    assert_all(
        &watched(),
        &[
            ("broker cpu per message < 5us", "5.50 us, BROKEN"),
            ("broker cpu per message < 5501ns", "5.5us, held"),
            ("broker memory per connection < 4KiB", "3.0 KiB, held"),
            ("broker memory < 15MiB", "15.0 MiB, BROKEN"),
            ("broker memory < 15729000B", "15 MiB, held"),
            ("broker cpu <= 2.2s", "2.20 s, held"),
            ("broker context switches <= 31k", "31,200, BROKEN"),
            ("broker descriptors == 2010", "2,010, held"),
            ("broker throttled == 0", "40.0 ms, BROKEN"),
        ],
    );
}

/// What nobody saw keeps no bound.
#[test]
fn what_was_not_watched_keeps_no_bound() {
    let nobody = "not measured (nobody watched the broker: give --broker-pid or --broker-cgroup), BROKEN";
    assert_all(&clean(), &[("broker cpu per message < 1h", nobody), ("broker descriptors < 1M", nobody)]);
    assert_all(&published(), &[("broker cpu < 1h", nobody)]);
    let mut record = watched();
    let cost = record.broker_cost.as_mut().expect("it was");
    (cost.memory_per_connection_bytes, cost.phases[3].used) = (None, None);
    let none = "not measured (this machine or run has no figure of it), BROKEN";
    let flat = "not measured (its memory did not grow with the connections: a freshly started broker shows it), BROKEN";
    assert_all(&record, &[("broker memory per connection < 1GiB", flat), ("broker cpu < 1h", none)]);
    record.broker_cost.as_mut().expect("it was").most_bytes = None;
    assert_all(&record, &[("broker memory per connection < 1GiB", none)]);
    record.broker_cost.as_mut().expect("it was").whole = None;
    let ended = "not measured (the broker ended before the run did), BROKEN";
    assert_all(&record, &[("broker memory per connection < 1GiB", ended), ("broker cpu < 1h", ended)]);
}

#[test]
fn values_are_of_their_kind() {
    for text in ["broker memory < 5ms", "broker cpu < 5KiB", "broker descriptors < 5%", "broker cpu < 50%"] {
        assert!(text.parse::<Bound>().is_err(), "{text}");
    }
    let error = "broker cpu == 5ms".parse::<Bound>().expect_err("never exactly").to_string();
    assert!(error.contains("never is exactly"), "{error}");
    let error = "broker cost < 5".parse::<Bound>().expect_err("no such name").to_string();
    assert!(error.contains("of the broker broker-cpu-per-message, "), "{error}");
}

/// What others told is bounded by its name, in the units of Prometheus or those of everything else.
#[test]
fn what_others_told_of_the_broker_is_bounded_by_name() {
    for (typed, printed) in [
        ("metric dropped{node=\"a\"} < 1", "metric dropped{node=\"a\"} < 1"),
        ("metric  up{b=\"<=>\",a=\"1\"}>=2", "metric up{a=\"1\",b=\"<=>\"} >= 2"),
        ("metric Cpu_Seconds_Total per message < 40us", "metric Cpu_Seconds_Total per-message < 0.00004"),
        ("metric memory_bytes per-connection < 4KiB", "metric memory_bytes per-connection < 4096"),
        ("metric memory_bytes MAX < 1e6", "metric memory_bytes max < 1000000"),
        ("metric $SYS/broker/messages/dropped == 0", "metric $SYS/broker/messages/dropped == 0"),
        ("metric dropped < 10k/s", "metric dropped < 10k/s"),
    ] {
        assert_eq!(bound(typed).to_string(), printed, "{typed}");
        assert_eq!(bound(printed), bound(typed), "{typed}");
    }
    assert_all(
        &told(),
        &[
            ("metric process_cpu_seconds_total < 2s", "1.60, held"),
            ("metric process_cpu_seconds_total per message < 3.9us", "0.000004000, BROKEN"),
            ("metric process_cpu_seconds_total per message < 4.1us", "0.000004000, held"),
            ("metric dropped{node=\"a\"} == 12", "12.00, held"),
            ("metric dropped{node=\"a\"} < 1.2/s", "1.20/s, BROKEN"),
            ("metric dropped{node=\"a\"} <= 1.2/s", "1.20/s, held"),
            ("metric process_resident_memory_bytes < 12MiB", "12582912.00, BROKEN"),
            ("metric process_resident_memory_bytes min < 10MiB", "9437184.00, held"),
            ("metric process_resident_memory_bytes mean < 11MiB", "11010048.00, held"),
            ("metric process_resident_memory_bytes max < 11MiB", "12582912.00, BROKEN"),
            ("metric process_resident_memory_bytes per connection < 3.2kB", "3145.73, held"),
        ],
    );
}

#[test]
fn what_nobody_told_keeps_no_bound() {
    for (typed, why) in [
        ("metric missing < 1", "nobody tells it"),
        ("metric dropped < 1", "it was not asked for: give --broker-series 'dropped'"),
        ("metric process_cpu_seconds_total max < 1", "it is a counter: only its rise says something"),
        ("metric process_resident_memory_bytes per message < 1", "it is a gauge, and counts nothing"),
        ("metric process_resident_memory_bytes < 1/s", "it is a gauge, and counts nothing"),
    ] {
        assert_all(&told(), &[(typed, &format!("not measured ({why}), BROKEN"))]);
    }
    let nobody = "not measured (nobody was asked: give --broker-metrics), BROKEN";
    assert_all(&clean(), &[("metric up < 1", nobody)]);
    assert_all(&published(), &[("metric up < 1", nobody)]);
    for text in [
        "metric up",
        "metric up p99 < 1",
        "metric 9 < 1",
        "metric up < -1",
        "metric up min < 1/s",
        "metric up{ < 1",
    ] {
        let error = text.parse::<Bound>().expect_err(text).to_string();
        assert!(error.contains("expected `metric`, the series"), "{text}: {error}");
    }
    assert!("metric up > 1".parse::<Condition>().is_err(), "it is known at the end");
}
