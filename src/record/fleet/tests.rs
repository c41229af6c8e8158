use proptest::prelude::*;

use super::samples::{lossy, published, self_check, subscribed};
use super::*;
use crate::clock::{MICROSECOND, MILLISECOND, SECOND};
use crate::record::Exit;
use crate::record::samples::ramp;

fn exit_of(mut record: FleetRecord, change: impl FnOnce(&mut FleetRecord)) -> (Exit, String) {
    change(&mut record);
    record.conclude();
    (Exit::from_code(record.exit_code), record.exit_reason)
}

fn publishing(change: impl FnOnce(&mut FleetRecord)) -> (Exit, String) {
    exit_of(published(), change)
}

fn listening(change: impl FnOnce(&mut Listener)) -> (Exit, String) {
    exit_of(subscribed(), |record| change(&mut record.listeners[0]))
}

fn delivery(text: &str) -> (Exit, String) {
    (Exit::Delivery, text.to_owned())
}

fn broker(text: &str) -> (Exit, String) {
    (Exit::Broker, text.to_owned())
}

#[test]
fn what_went_well_is_clean() {
    for record in [published(), subscribed(), self_check()] {
        let clean = (Exit::Clean, "everything asked was done and delivered".to_owned());
        assert_eq!(exit_of(record, |_| ()), clean);
    }
    assert_eq!(listening(|l| (l.duplicated, l.foreign) = (3, 2)).0, Exit::Clean, "QoS 1 allows duplicates");
    let came_back = |r: &mut FleetRecord| (r.counts.connections_lost, r.counts.reconnects) = (7, 7);
    assert_eq!(publishing(came_back).0, Exit::Clean);
    let unasked = |ended_by| {
        listening(|l| (l.expected_per_client, l.expected_messages, l.ended_by) = (None, None, ended_by)).0
    };
    assert_eq!([unasked(ListenEnd::Quiet), unasked(ListenEnd::Duration)], [Exit::Clean; 2]);
}

/// checklist 58: a message without its acknowledgement is a fault that the exit code shows.
#[test]
fn messages_not_seen_through_are_a_delivery_fault() {
    let lost = |r: &mut FleetRecord| r.publishers[2].acked = 88;
    assert_eq!(publishing(lost), delivery("messages not acknowledged: 12 of 400"));
    let unsent = |r: &mut FleetRecord| (r.qos, r.publishers[0].sent, r.publishers[0].acked) = (0, 99, 99);
    assert_eq!(publishing(unsent), delivery("messages not sent: 1 of 400"));
    let endless = |r: &mut FleetRecord| {
        r.publishers.truncate(1);
        (r.publishers[0].planned, r.publishers[0].sent, r.publishers[0].acked) = (None, 70_000, 69_999);
    };
    assert_eq!(publishing(endless), delivery("messages not acknowledged: 1 of 70,000"));
    // checklist 50
    let unanswered = |r: &mut FleetRecord| r.publishers[1].unanswered = 3;
    assert_eq!(publishing(unanswered), delivery("requests not answered: 3"));
}

/// Whatever was planned, a message that the kernel had not taken is a fault, and is counted once.
#[test]
fn unfinished_messages_are_a_fault_of_their_own() {
    let publishing = |planned, sent, unfinished| {
        publishing(|record| {
            record.qos = 0;
            record.publishers.truncate(1);
            let publisher = &mut record.publishers[0];
            (publisher.planned, publisher.sent, publisher.acked) = (planned, sent, sent);
            publisher.unfinished = unfinished;
        })
    };
    let one = "messages unfinished when their connection ended: 1";
    assert_eq!(publishing(Some(3), 2, 1), delivery(one));
    assert_eq!(publishing(None, 2, 1), delivery(one), "ended by time or a signal");
    let both = "messages not sent: 47 of 100, messages unfinished when their connection ended: 3";
    assert_eq!(publishing(Some(100), 50, 3), delivery(both));
    assert_eq!(publishing(None, 3, 0).0, Exit::Clean);
}

/// Readers find round trips in either place, whichever of them was filled in.
#[test]
fn round_trips_are_in_both_their_places() {
    let trips: Latency = (&ramp(100, MILLISECOND, 2 * MILLISECOND)).into();
    let (mut new, mut old) = (published(), published());
    new.latencies.round_trip = trips.clone();
    new.conclude();
    assert_eq!(new.round_trip, trips);
    old.round_trip = trips.clone();
    let json = serde_json::to_string(&old).expect("plain data");
    assert_eq!(FleetRecord::from_json(&json).expect("ours").latencies.round_trip, trips);
}

/// checklist 75: loss, duplicates and drops have an exit code of their own, with the numbers.
#[test]
fn what_a_listener_lacks_is_a_delivery_fault() {
    let lacking = "messages missing: 2, clients never seen: 1, \
                   subscribers that ended incomplete: 1 (nothing more arrived)";
    assert_eq!(exit_of(lossy(), |_| ()), delivery(lacking));
    let twice = exit_of(subscribed(), |r| (r.qos, r.listeners[0].duplicated) = (2, 3));
    assert_eq!(twice, delivery("duplicates at QoS 2: 3"));
    let dropped = listening(|l| l.dropped = Some(62_491));
    assert_eq!(dropped, delivery("messages dropped by the broker: 62,491"));
    let everybody = exit_of(subscribed(), |record| {
        record.listeners[0].dropped = Some(5);
        record.listeners.push(record.listeners[0].clone());
        record.listeners[1].dropped = Some(6);
    });
    assert_eq!(everybody, delivery("messages dropped by the broker: 6"), "both read the same counter");
    let aborted = listening(|l| {
        (l.dropped, l.ended_by, l.never_seen_count) = (Some(5), ListenEnd::Drops, 1);
        l.clients[0].missing = vec![999, 1_000];
    });
    let words = "messages dropped by the broker: 5, \
                 subscribers that ended incomplete: 1 (the broker drops messages)";
    assert_eq!(aborted, delivery(words), "what is missing by then says nothing");
    let late = listening(|l| l.ended_by = ListenEnd::Duration);
    assert_eq!(late, delivery("subscribers that ended incomplete: 1 (time was up)"));
    assert_eq!(listening(|l| l.dropped = Some(0)).0, Exit::Clean);
}

/// checklist 75: a broker that cannot be reached or kept has an exit code of its own.
#[test]
fn clients_that_could_not_connect_or_stay_are_a_broker_fault() {
    let never = |r: &mut FleetRecord| r.counts.connections_established = 1;
    assert_eq!(publishing(never), broker("clients never connected: 3"));
    let gone = |r: &mut FleetRecord| r.counts.connections_lost = 2;
    assert_eq!(publishing(gone), broker("connections lost and not established again: 2"));
    assert_eq!(publishing(|r| r.counts.subscribe_failures = 1), broker("subscriptions failed: 1"));
    let violated = publishing(|r| r.counts.protocol_errors = 1);
    assert_eq!(violated, broker("violations of the protocol by the broker: 1"));
    let refused = |record: &mut FleetRecord| {
        for (publisher, cause) in record.publishers.iter_mut().zip(["not authorized", "timeout", "timeout"]) {
            publisher.failure = Some(cause.to_owned());
        }
    };
    assert_eq!(publishing(refused), broker("clients failed: 3 (2 of them: timeout)"));
    let failed = listening(|l| l.ended_by = ListenEnd::Failed);
    assert_eq!(failed, broker("clients failed: 1 (the connection could not be kept)"));
}

#[test]
fn a_generator_that_lags_is_told_when_nothing_else_applies() {
    let lag = |samples, ns| move |r: &mut FleetRecord| r.latencies.wake_lag = (&ramp(samples, ns, ns)).into();
    let reason =
        "the generator was the bottleneck: workers woke up late: wake-up lag p99 150 ms, above 100 ms \
                  (100 ms plus the tolerance); free their CPUs, or let messages be late by more with --tolerance"
            .to_owned();
    assert_eq!(publishing(lag(600, 150 * MILLISECOND)), (Exit::GeneratorLimited, reason));
    assert_eq!(publishing(lag(600, 99 * MILLISECOND)).0, Exit::Clean);
    assert_eq!(publishing(lag(11, SECOND)).0, Exit::Clean, "too few samples");
    let lossy = publishing(|record| {
        lag(600, SECOND)(record);
        record.publishers[0].acked = 0;
    });
    assert_eq!(lossy.0, Exit::Delivery);
}

/// checklist 75: what ended a run goes before what it left undone, and the lowest code wins.
#[test]
fn the_end_of_a_run_goes_before_its_faults() {
    let ends = [
        (Ended::Internal, Exit::Internal),
        (Ended::Interrupted, Exit::Interrupted),
        (Ended::Environment, Exit::Environment),
        (Ended::Broker, Exit::Broker),
    ];
    for (ended, exit) in ends {
        let found = exit_of(lossy(), |record| {
            (record.ended, record.partial_reason) = (ended, Some("so it was".to_owned()));
        });
        assert_eq!(found, (exit, "so it was".to_owned()));
        assert_eq!(exit_of(lossy(), |record| record.ended = ended), (exit, exit.name().to_owned()));
    }
    let both = exit_of(lossy(), |record| record.counts.connections_established = 0);
    assert_eq!(both.0, Exit::Broker, "before the losses");
}

/// Records from before fleets had a verdict are judged when they are read.
#[test]
fn a_record_without_a_verdict_gets_one() {
    let mut json = serde_json::to_value(published()).expect("plain data");
    for field in ["verdict", "verdict_reasons", "tolerance_ns", "closed_loop"] {
        json.as_object_mut().expect("a struct").remove(field).expect(field);
    }
    for publisher in json["publishers"].as_array_mut().expect("an array") {
        publisher.as_object_mut().expect("a struct").remove("unfinished");
    }
    for field in ["sends_blocked", "receives", "receives_without_buffer", "queue_full"] {
        json["generator"].as_object_mut().expect("a struct").remove(field).expect(field);
    }
    json["broker"].as_object_mut().expect("a struct").remove("connections_refused");
    assert_eq!(FleetRecord::from_json(&json.to_string()).expect("an old one"), published());
}

#[test]
fn the_whole_fleet_lasts_from_the_first_message_to_the_last_acknowledgement() {
    let mut record = published();
    assert_eq!(record.publishing_ns(), Some(3_500 * MILLISECOND));
    record.publishers[3] = Publisher::default();
    assert_eq!(record.publishing_ns(), Some(3 * SECOND), "one that never sent has no part in it");
    record.publishers.clear();
    assert_eq!((record.publishing_ns(), record.listening_ns()), (None, None));
    assert_eq!(subscribed().listening_ns(), Some(800 * MILLISECOND));
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    for record in [published(), lossy(), self_check()] {
        let json = serde_json::to_string(&record).expect("plain data");
        assert_eq!(serde_json::from_str::<FleetRecord>(&json).expect("what was written"), record);
    }
}

fn spread_of(values: &[Nanos]) -> Spread {
    let mut moments = Moments::default();
    values.iter().for_each(|value| moments.record(*value));
    (&moments).into()
}

proptest! {
    /// checklist 56: spreads of clients merge to that of all their messages, whatever their sizes.
    #[test]
    fn merged_spreads_are_those_of_the_whole_population(
        clients in prop::collection::vec(prop::collection::vec(0..10 * SECOND, 0..40), 1..8),
    ) {
        let mut merged = Spread::default();
        clients.iter().for_each(|values| merged.merge(&spread_of(values)));
        let whole = spread_of(&clients.concat());
        prop_assert_eq!((merged.count, merged.min_ns, merged.max_ns), (whole.count, whole.min_ns, whole.max_ns));
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs().max(MICROSECOND as f64),
            (a, b) => a == b,
        };
        prop_assert!(close(merged.mean_ns, whole.mean_ns), "{:?} {:?}", merged.mean_ns, whole.mean_ns);
        prop_assert!(close(merged.stddev_ns, whole.stddev_ns), "{:?} {:?}", merged.stddev_ns, whole.stddev_ns);
    }
}
