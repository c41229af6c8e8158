//! Bounds on what the broker used.

use super::*;
use crate::record::samples::watched;

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
