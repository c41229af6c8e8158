use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::clock::{MILLISECOND, SECOND};
use crate::record::Latency;
use crate::record::fleet_samples::{lossy, published, self_check, subscribed};
use crate::record::samples::ramp;
use crate::record::{Amount, BoundResult, BoundState, Heard, ListenEnd, Publisher, Spread};

#[track_caller]
fn assert_text(found: &str, expected: &str) {
    assert!(found == expected, "found:\n{found}\nexpected:\n{expected}");
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The line of `text` that begins with `start`.
#[track_caller]
fn line<'t>(text: &'t str, start: &str) -> &'t str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no `{start}` in:\n{text}"))
}

/// Lines of the last block of publishing clients: the aggregate.
fn aggregate(record: &FleetRecord) -> String {
    let text = publish_text(record);
    text[text.find("Clientid: Aggregate").expect("an aggregate")..].to_owned()
}

/// checklist 10 and 56: every quantity malaria prints, for each client and over all messages.
#[test]
fn the_text_of_four_publishers() {
    assert_text(&publish_text(&published()), include_str!("tests/publish.txt"));
}

/// checklist 10: every quantity malaria prints.
#[test]
fn the_text_of_a_subscriber() {
    assert_text(&subscribe_text(&subscribed()), include_str!("tests/subscribe.txt"));
}

/// checklist 43: missing ids, clients never seen and duplicates.
#[test]
fn the_text_of_a_subscriber_with_losses() {
    assert_text(&subscribe_text(&lossy()), include_str!("tests/lossy.txt"));
}

/// checklist 48: what was generated, published and received by one process.
#[test]
fn a_self_check_compares_generated_published_and_received() {
    let mut record = self_check();
    record.latencies.round_trip = (&ramp(6_000, MILLISECOND, 9 * MILLISECOND)).into();
    let text = publish_text(&record);
    let expected = "Messages Generated: 400\nMessages Published: 400\nMessages Received: 400\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("Clientid: beem.listr-8518\nTotal clients tracked: 4\n"), "{text}");
    let trips = "Round trips of requests: p50 5.00 ms, p90 8.20 ms, p99 8.92 ms, p99.9 8.99 ms, max 9.00 ms";
    assert_eq!(line(&text, "Round trips"), trips);
    (record.listeners[0].received, record.listeners[0].duplicated) = (401, 3);
    let text = publish_text(&record);
    assert_eq!(line(&text, "Messages Received"), "Messages Received: 398 (and 3 arrivals again)");
}

/// checklist 56, defect 6 of malaria: it averaged the clients' minima, maxima and deviations.
#[test]
fn the_aggregate_is_of_all_messages() {
    let spread = |count, at: u64| Spread {
        count,
        mean_ns: Some(at as f64),
        stddev_ns: Some(0.0),
        min_ns: Some(at),
        max_ns: Some(at),
    };
    let mut record = published();
    record.publishers.truncate(2);
    record.publishers[0].ack_time = spread(300, MILLISECOND);
    record.publishers[1].ack_time = spread(100, 9 * MILLISECOND);
    let json = parsed(&publish_json(&record));
    let at = |key: &str| json[key].as_f64().expect("a number");
    assert_eq!((at("time_min"), at("time_max"), at("time_mean")), (1.0, 9.0, 3.0), "not 5, 5 and 5");
    let expected = (300.0f64 * 2.0 * 2.0 + 100.0 * 6.0 * 6.0) / 400.0;
    assert!((at("time_stddev") - expected.sqrt()).abs() < 1e-9, "{}", at("time_stddev"));
    assert_eq!(line(&aggregate(&record), "Message timing min"), "Message timing min    1.00 ms");
}

/// checklist 58, defects 3 and 5 of malaria: every message counts, and 9 of 10 is neither 0 nor 100 %.
#[test]
fn success_can_be_below_a_hundred_per_cent() {
    let success = |acked, total| {
        let mut record = published();
        record.publishers.truncate(1);
        let publisher = &mut record.publishers[0];
        (publisher.acked, publisher.planned) = (acked, Some(total));
        record.conclude();
        let text = publish_text(&record);
        let json = parsed(&publish_json(&record));
        let rate = json["rate_ok"].as_f64();
        (line(&text, "Message succes").to_owned(), rate, record.exit_code)
    };
    let expected = |line: &str, rate, exit| (format!("Message succes rate: {line}"), rate, exit);
    assert_eq!(success(9, 10), expected("90.00% (9/10 messages)", Some(0.9), 5));
    let large = expected("99.99% (69999/70000 messages)", Some(69_999.0 / 70_000.0), 5);
    assert_eq!(success(69_999, 70_000), large, "rounded, it would be 100 %");
    assert_eq!(success(70_000, 70_000), expected("100.00% (70000/70000 messages)", Some(1.0), 0));
    assert_eq!(success(0, 0), expected("- (0/0 messages)", None, 0));
}

/// As the main job's: who set the limit stands there, and what did not go well in the engine.
#[test]
fn a_limit_is_told_where_there_is_one() {
    let told = |change: fn(&mut FleetRecord)| {
        let mut record = published();
        change(&mut record);
        record.conclude();
        let text = publish_text(&record);
        let verdict = text.lines().find(|line| line.starts_with("Verdict"));
        (verdict.map(str::to_owned), line(&text, "Generator").to_owned(), record.exit_code)
    };
    let healthy = "Generator: 1.2 % of one core, busiest CPU 0 at 1.2 %, wake-up lag p90 54.4 us, waited for a CPU 0.1 %, 3.35 secs in all";
    assert_eq!(told(|_| ()), (None, healthy.to_owned(), 0));
    let closed = "Verdict: broker-limited: closed loop: the answers set the pace; the broker did not read fast \
                  enough: 12 sends found the connection full; the generator kept up: wake-up lag p90 54.4 us, \
                  busiest CPU 0 at 1.2 %";
    let blocked = format!("{healthy}, sends blocked 12");
    let slow = told(|record| (record.closed_loop, record.generator.sends_blocked) = (true, 12));
    assert_eq!(slow, (Some(closed.to_owned()), blocked, 0));
    let lost = "Verdict: generator-limited: workers fell behind what completed: 2 passes found the completion queue full; \
                give more --cores";
    let (verdict, generator, exit) = told(|record| record.generator.queue_full = 2);
    assert_eq!((verdict.as_deref(), exit), (Some(lost), 6));
    assert!(generator.ends_with("in all, completion queue full 2"), "{generator}");
}

#[test]
fn connections_without_room_are_told_of() {
    let mut record = published();
    record.broker.connections_refused = Some(0);
    assert!(!publish_text(&record).contains("turned away"));
    record.broker.connections_refused = Some(1_234);
    let told = "Connections turned away by the reflector: 1,234";
    assert_eq!(line(&publish_text(&record), "Connections turned"), told);
}

#[test]
fn unfinished_messages_are_told_where_there_are_any() {
    let mut record = published();
    assert!(!publish_text(&record).contains("unfinished"));
    (record.publishers[1].unfinished, record.publishers[2].unfinished) = (1_200, 34);
    let told =
        "Messages unfinished   1,234: written to a connection that ended before the kernel had taken them";
    assert_eq!(line(&publish_text(&record), "Messages unfinished"), told);
}

/// checklist 57, defect 2 of malaria: 100 fast messages are not "2.0 s", and the rate is of that time.
#[test]
fn short_runs_have_short_times() {
    let mut record = published();
    record.publishers.truncate(1);
    record.publishers[0].active_ns = 12_500_000;
    let json = parsed(&publish_json(&record));
    assert_eq!((json["time_total"].as_f64(), json["msgs_per_sec"].as_f64()), (Some(0.0125), Some(8_000.0)));
    let text = publish_text(&record);
    assert_eq!(line(&text, "Messages per second"), "Messages per second   8000.00");
    assert_eq!(line(&text, "Total time"), "Total time            0.01 secs");
    let mut record = subscribed();
    record.listeners[0].active_ns = 3_000_000;
    assert_eq!(
        line(&subscribe_text(&record), "Messages per"),
        "Messages per second: 666666 (0.001500 ms per message)"
    );
}

/// checklist 55: at QoS 0 nothing is acknowledged, so no time is said to be that of an acknowledgement.
#[test]
fn at_qos_0_there_is_no_acknowledgement_to_time() {
    let mut record = published();
    record.qos = 0;
    record.latencies.ack_service = Latency::default();
    record.latencies.ack_response = Latency::default();
    record.publishers.iter_mut().for_each(|publisher| publisher.ack_time = Spread::default());
    record.conclude();
    let text = publish_text(&record);
    let timing: BTreeSet<&str> = text.lines().filter(|line| line.starts_with("Message timing")).collect();
    let said = "Message timing        none: QoS 0 has no acknowledgement, a message counts once it is sent";
    assert_eq!(timing, BTreeSet::from([said]));
    assert!(text.contains("100.00% (400/400 messages)"), "{text}");
    let json = parsed(&publish_json(&record));
    assert!(["time_min", "time_max", "time_mean", "time_stddev"].iter().all(|key| json[key].is_null()));
}

/// checklist 9: malaria's keys with malaria's units, milliseconds of the publisher.
#[test]
fn publisher_json_has_malarias_keys() {
    let json = parsed(&publish_json(&published()));
    let figures = |json: &Value| {
        let mut object = json.as_object().expect("an object").clone();
        object.retain(|key, _| key != "clients" && key != "malaria_bench");
        Value::Object(object)
    };
    let first = json!({
        "clientid": "beem.loadr-host-9850-0", "count_ok": 100, "count_total": 100, "rate_ok": 1.0,
        "time_min": 1.0, "time_max": 3.0, "time_mean": 2.0, "time_stddev": 1.0,
        "msgs_per_sec": 50.0, "time_total": 2.0,
    });
    assert_eq!(json["clients"].as_array().map(Vec::len), Some(4));
    assert_eq!(figures(&json["clients"][0]), first);
    let mut all = figures(&json);
    let stddev = all["time_stddev"].take().as_f64().expect("a number");
    assert!((stddev - 1.5).abs() < 1e-9, "{stddev}");
    let rate = all["msgs_per_sec"].take().as_f64().expect("a number");
    assert!((rate - 400.0 / 3.5).abs() < 1e-9, "{rate}");
    let expected = json!({
        "clientid": "Aggregate stats for 4 clients", "count_ok": 400, "count_total": 400, "rate_ok": 1.0,
        "time_min": 1.0, "time_max": 6.0, "time_mean": 3.5, "time_stddev": null,
        "msgs_per_sec": null, "time_total": 3.5,
    });
    assert_eq!(all, expected);
    let record: FleetRecord = serde_json::from_value(json["malaria_bench"].clone()).expect("the record");
    assert_eq!(record, published());
}

/// checklist 9 and 44: malaria's keys with malaria's units, seconds of the subscriber, duplicates present.
#[test]
fn subscriber_json_has_malarias_keys() {
    let mut json = parsed(&subscribe_json(&lossy()));
    let record = json["malaria_bench"].take();
    assert_eq!(serde_json::from_value::<FleetRecord>(record).expect("the record"), lossy());
    json["subscribers"].take();
    assert!((json["flight_time_stddev"].take().as_f64().expect("a number") - 0.003).abs() < 1e-9);
    assert!((json["msg_per_sec"].take().as_f64().expect("a number") - 999.0 / 0.8).abs() < 1e-9);
    assert!((json["ms_per_msg"].take().as_f64().expect("a number") - 800.0 / 999.0).abs() < 1e-9);
    let expected = json!({
        "clientid": "beem.listr-8518", "client_count": 1, "test_complete": false, "msg_count": 999,
        "msg_duplicates": [{ "clientid": "bee-0", "seq": 9 }], "msg_missing": { "bee-0": [5, 7] },
        "ms_per_msg": null, "msg_per_sec": null, "time_total": 0.8,
        "flight_time_mean": 0.005, "flight_time_stddev": null, "flight_time_max": 0.008, "flight_time_min": 0.002,
        "clients": [
            { "subscriber": "beem.listr-8518", "clientid": "bee-0",
              "expected": 1000, "actual": 998, "duplicate": 1, "missing": 2 },
            { "subscriber": "beem.listr-8518", "clientid": "bee-1",
              "expected": 1000, "actual": 0, "duplicate": 0, "missing": 1000 },
        ],
        "subscribers": null, "malaria_bench": null,
    });
    assert_eq!(json, expected);
    assert_eq!(parsed(&subscribe_json(&subscribed()))["msg_missing"], json!({ "bee-0": [], "bee-1": [] }));
}

/// checklist 45, defect 1 of malaria: flight times of a tenth of a millisecond are told apart.
#[test]
fn flight_times_keep_their_fractions() {
    let mut record = subscribed();
    let flight = &mut record.listeners[0].flight;
    (flight.mean_ns, flight.min_ns) = (Some(120_400.0), Some(80_000));
    assert_eq!(line(&subscribe_text(&record), "Flight time mean"), "Flight time mean:   0.12 ms");
    let json = parsed(&subscribe_json(&record));
    assert_eq!(json["flight_time_mean"], json!(0.0001204));
    assert_eq!(json["flight_time_min"], json!(0.00008));
}

/// checklist 46: messages without a stamp are counted, and nothing is said about their flight time.
#[test]
fn messages_without_a_stamp_have_no_flight_time() {
    let mut record = subscribed();
    let listener = &mut record.listeners[0];
    (listener.flight, listener.flight_time, listener.foreign) = (Spread::default(), Latency::default(), 5);
    let text = subscribe_text(&record);
    assert_eq!(line(&text, "Flight time"), "Flight time:        none: no message had a time stamp");
    assert_eq!(
        line(&text, "Messages foreign"),
        "Messages foreign: 5, whose topic or payload could not be read"
    );
    assert_eq!(line(&text, "Total messages"), "Total messages: 1995");
    assert!(parsed(&subscribe_json(&record))["flight_time_mean"].is_null());
}

#[test]
fn a_drop_abort_is_told_in_malarias_words() {
    let mut record = lossy();
    let listener = &mut record.listeners[0];
    (listener.ended_by, listener.dropped, listener.stored) = (ListenEnd::Drops, Some(62_491), Some(17));
    record.conclude();
    let text = subscribe_text(&record);
    assert!(text.contains("\nTest aborted, unable to gather duplicate/missing stats\nFlight"), "{text}");
    assert!(!text.contains("missing for client") && !text.contains("duplicated:"), "{text}");
    assert_eq!(line(&text, "Messages dropped"), "Messages dropped by the broker: 62,491");
    assert_eq!(line(&text, "Messages stored"), "Messages stored by the broker: 17");
    assert_eq!(parsed(&subscribe_json(&record))["test_complete"], json!(false));
}

#[test]
fn a_subscriber_that_heard_nothing_divides_by_nothing() {
    let mut record = subscribed();
    let listener = &mut record.listeners[0];
    (listener.received, listener.first_ns, listener.active_ns) = (0, None, 0);
    listener.clients.clear();
    (listener.flight, listener.flight_time) = (Spread::default(), Latency::default());
    listener.never_seen_count = 2;
    let text = subscribe_text(&record);
    assert!(text.contains("Total time: -\nMessages per second: - (- ms per message)\n"), "{text}");
    assert_eq!(line(&text, "Clients never seen"), "Clients never seen: 2");
    let json = parsed(&subscribe_json(&record));
    assert!(json["ms_per_msg"].is_null() && json["msg_per_sec"].is_null() && json["time_total"].is_null());
}

/// checklist 43: numbers past 65,535 are listed like any others.
#[test]
fn lists_are_bounded_in_text_and_complete_in_json() {
    let mut record = published();
    record.publishers = (0..500)
        .map(|index| Publisher { client_id: format!("bee-{index}"), ..record.publishers[0].clone() })
        .collect();
    let text = publish_text(&record);
    assert_eq!(text.matches("Clientid: bee-").count(), 20);
    assert_eq!(line(&text, "..."), "... and 480 more clients: all of them in --json");
    assert_eq!(parsed(&publish_json(&record))["clients"].as_array().map(Vec::len), Some(500));

    let mut record = lossy();
    let listener = &mut record.listeners[0];
    let missing: Vec<u64> = (65_530..66_000).collect();
    listener.clients = (0..25)
        .map(|index| Heard {
            client_id: format!("bee-{index}"),
            duplicate_ids: vec![index],
            missing: missing.clone(),
            ..Heard::default()
        })
        .collect();
    listener.duplicated = 26;
    let text = subscribe_text(&record);
    assert_eq!(text.matches("Messages missing for client").count(), 20);
    let first = line(&text, "Messages missing for client bee-0:");
    assert!(first.contains("[65530, 65531, ") && first.ends_with(", 65549] and 450 more"), "{first}");
    assert_eq!(line(&text, "..."), "... and 5 more clients with missing messages: all of them in --json");
    let duplicated = line(&text, "Messages duplicated");
    assert!(duplicated.starts_with("Messages duplicated: [MSG(bee-0:0), MSG(bee-1:1), "), "{duplicated}");
    assert!(duplicated.ends_with(", MSG(bee-19:19)] and 5 more (26 arrivals)"), "{duplicated}");
    assert_eq!(parsed(&subscribe_json(&record))["msg_missing"]["bee-24"], json!(missing));
}

#[test]
fn several_subscribers_have_an_aggregate() {
    let mut record = subscribed();
    let mut second = record.listeners[0].clone();
    second.client_id = "beem.listr-2".to_owned();
    second.first_ns = Some(SECOND + 200 * MILLISECOND);
    second.clients[0].missing = vec![3];
    record.listeners[0].clients[0].missing = vec![1, 3];
    record.listeners.push(second);
    let text = subscribe_text(&record);
    let counts = "Clientid: Aggregate stats for 2 clients\nTotal clients tracked: 2\nTotal messages: 4000\n\
                  Total time: 1.00 secs\nMessages per second: 4000 (0.250000 ms per message)\n\
                  Flight time mean:   5.00 ms\n";
    assert!(text.contains(counts), "{text}");
    let json = parsed(&subscribe_json(&record));
    assert_eq!(json["msg_missing"], json!({ "bee-0": [1, 3], "bee-1": [] }));
    assert_eq!((json["clients"].as_array().map(Vec::len), &json["msg_count"]), (Some(4), &json!(4_000)));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut record = lossy();
    record.listeners[0].clients[0].client_id = "bee\n\x1b[2J".to_owned();
    assert_eq!(
        line(&subscribe_text(&record), "Messages missing"),
        "Messages missing for client bee??[2J: [5, 7]"
    );
    let mut record = published();
    record.publishers[0].failure = Some("the broker said \x07".to_owned());
    assert_eq!(line(&publish_text(&record), "Failure"), "Failure of 1 client: the broker said ?");
}

#[test]
fn each_failure_is_told_once_with_a_count() {
    let mut record = published();
    for (at, publisher) in record.publishers.iter_mut().enumerate() {
        publisher.failure = Some(if at == 2 { "timed out" } else { "not authorized" }.to_owned());
    }
    (record.counts.refused[5], record.counts.connect_timeouts) = (3, 1);
    record.warnings = (0..22).map(|at| format!("number {at}")).collect();
    record.conclude();
    let text = publish_text(&record);
    assert!(
        text.contains("Failure of 3 clients: not authorized\nFailure of 1 client: timed out\n"),
        "{text}"
    );
    assert_eq!(line(&text, "Attempts"), "Attempts refused: not authorized 3, timed out 1");
    assert!(text.contains("Warning: number 19\n... and 2 more warnings: all of them in --json\n"), "{text}");
    let result = "Result: broker, exit code 4: clients failed: 4 (3 of them: not authorized)";
    assert_eq!(text.lines().last(), Some(result));
}

/// checklist 76: flight times and round trips are in the CSV beside everything else.
#[test]
fn the_csv_has_every_latency_of_the_fleet() {
    let mut record = self_check();
    record.latencies.round_trip = (&ramp(100, MILLISECOND, 2 * MILLISECOND)).into();
    record.listeners.push(record.listeners[0].clone());
    let csv = latency_csv(&record).expect("ours");
    let mut counts = std::collections::BTreeMap::new();
    for row in csv.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        *counts.entry(cells[0]).or_insert(0) += cells[3].parse::<u64>().expect("a count");
    }
    let expected = [
        ("ack_response", 400),
        ("ack_service", 400),
        ("flight_time", 4_000),
        ("lateness", 400),
        ("round_trip", 100),
        ("wake_lag", 400),
    ];
    assert_eq!(Vec::from_iter(counts), expected);
    assert!(csv.ends_with("flight_time,1,8003583,2000\n"), "{csv}");
}

fn unmeasured() -> FleetRecord {
    let mut record = self_check();
    record.publishers = vec![Publisher::default()];
    record.listeners = vec![Default::default()];
    record.conclude();
    record
}

#[test]
fn json_is_as_its_schema_says() {
    let schemas = [publish_schema(), subscribe_schema()].map(parsed);
    let records = [published(), subscribed(), lossy(), self_check(), unmeasured()];
    for (schema, json) in schemas.iter().zip([publish_json, subscribe_json]) {
        jsonschema::draft202012::meta::validate(schema).expect("a schema of draft 2020-12");
        let validator = jsonschema::draft202012::new(schema).expect("a schema");
        for record in &records {
            let instance = parsed(&json(record));
            if let Some(error) = validator.iter_errors(&instance).next() {
                panic!("{}: {error}", error.instance_path());
            }
        }
        let mut wrong = parsed(&json(&published()));
        wrong["malaria_bench"]["qos"] = json!(3);
        assert!(!validator.is_valid(&wrong));
        wrong = parsed(&json(&published()));
        wrong["of_the_future"] = json!(1);
        assert!(!validator.is_valid(&wrong));
    }
}

/// A field that is added to the record is documented, in both schemas alike.
#[test]
fn the_schemas_know_every_field() {
    let keys = |json: &Value| json.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let [mut publish, mut subscribe] = [publish_schema(), subscribe_schema()].map(parsed);
    let mut record = lossy();
    record.publishers.push(Publisher::default());
    record.series.push(Default::default());
    record.bounds.push(BoundResult {
        bound: "lost == 0".to_owned(),
        result: BoundState::Held,
        found: Some(Amount::Count(0)),
        limit: Amount::Count(0),
        reason: None,
    });
    let record = serde_json::to_value(&record).expect("plain data");
    let parts = [
        ("record", record.clone()),
        ("publisher", record["publishers"][0].clone()),
        ("listener", record["listeners"][0].clone()),
        ("heard", record["listeners"][0]["clients"][0].clone()),
        ("spread", record["listeners"][0]["flight"].clone()),
        ("latency", record["round_trip"].clone()),
        ("second", record["series"][0].clone()),
        ("bound", record["bounds"][0].clone()),
    ];
    for (name, part) in parts {
        assert_eq!(keys(&publish["$defs"][name]["properties"]), keys(&part), "{name}");
    }
    publish["$defs"]["figures"].take();
    subscribe["$defs"]["figures"].take();
    assert_eq!(publish["$defs"], subscribe["$defs"]);
}
