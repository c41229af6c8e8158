use super::*;
use crate::record::samples::{broken, clean, idle, probed, told, watched};
use crate::record::{
    Amount, BoundResult, BoundState, Counters, Ended, Figure, Probes, Schedule, Throughput, Verdict, Worker,
};
use crate::units;
use serde_json::{Value, json};
use std::collections::BTreeSet;

mod agreement;
mod cost;
mod everywhere;

/// Everything that can go wrong at once.
fn worst() -> Record {
    let mut record = broken();
    record.plan.schedule = clean().plan.schedule;
    record.plan.workers = 16;
    record.generator.workers = vec![Worker { cpu: 0, busy_share: 0.96, waited_share: 0.004 }; 16];
    record.broker.addresses = vec!["[2001:db8:85a3:8d3:1319:8a2e:370:7348]:18830".to_owned(); 5];
    record.ended = Ended::Completed;
    let counts = &mut record.counts;
    (counts.due, counts.shed, counts.ack_timeouts, counts.foreign) = (1_000_000, 935_500, 77, 12);
    (counts.connect_timeouts, counts.protocol_errors, counts.subscribe_failures) = (5, 6, 7);
    (counts.reconnects, counts.closed_by_broker, counts.pings) = (8, 9, 10);
    counts.refused = [0, 2, 3, 4, 5, 6];
    counts.refused_tcp = 1_234_567;
    record.latencies.ack_response.overflow = 3;
    record.warnings = (0..9).map(|at| format!("warning number {at} says something about the run")).collect();
    record.conclude();
    record
}

#[track_caller]
fn assert_text(record: &Record, width: usize, expected: &str) {
    let found = text(record, width, false);
    assert!(found == expected, "at {width} columns, found:\n{found}\nexpected:\n{expected}");
}

#[test]
fn a_clean_run_on_a_wide_terminal() {
    assert_text(&clean(), 200, include_str!("tests/clean-100.txt"));
}

#[test]
fn a_broken_run_on_the_usual_terminal() {
    assert_text(&broken(), 80, include_str!("tests/broken-80.txt"));
}

#[test]
fn a_broken_run_at_forty_columns() {
    assert_text(&broken(), 40, include_str!("tests/broken-40.txt"));
}

#[test]
fn probes_stand_below_the_load() {
    assert_text(&probed(), 100, include_str!("tests/probed-100.txt"));
    let mut record = probed();
    record.probes.as_mut().expect("they are there").counts.delivered -= 10;
    let trouble = record.probes.as_ref().and_then(Probes::trouble);
    assert_eq!(trouble.as_deref(), Some("probes: only 990 of 1,000 delivered"));
    record.conclude();
    assert_eq!((record.exit_code, probed().probes.and_then(|probes| probes.trouble())), (0, None));
}

#[test]
fn an_idle_run_speaks_of_no_messages() {
    assert_text(&idle(), 100, include_str!("tests/idle-100.txt"));
}

#[test]
fn the_worst_run_at_a_hundred_columns() {
    assert_text(&worst(), 100, include_str!("tests/worst-100.txt"));
}

/// R12: how many there were, and the worst of them, stand beside every percentile; the worst is no percentile.
#[test]
fn r12_count_and_max_stand_beside_the_percentiles() {
    for (width, record) in [(80, clean()), (100, clean()), (80, broken()), (100, worst())] {
        let text = text(&record, width, false);
        let table: Vec<_> = text.lines().skip_while(|line| !line.starts_with("latency")).collect();
        let header: Vec<_> = table[0].split_whitespace().collect();
        assert_eq!((header[1], header[header.len() - 1]), ("count", "max"), "{text}");
        for (name, latency) in summary::latency_rows(&record).into_iter().filter(|(_, one)| one.count > 0) {
            let row = table.iter().find(|line| line.starts_with(name)).expect(name);
            assert!(row.contains(&units::count(latency.count)), "{row}");
            assert!(row.ends_with(&latency.read(Figure::Max).to_string()), "{row}");
        }
    }
}

/// R30: a figure is the same wherever it is read: in the summary, in the record and from its distribution, in a table of
/// runs and on a page.
#[test]
fn r30_one_number_everywhere() {
    let record = clean();
    let json: serde_json::Value = serde_json::from_str(&json(&record)).unwrap();
    let csv = latency_csv(&record).unwrap();
    let runs = [Run { label: "one".to_owned(), record: Finished::Run(Box::new(record.clone())) }];
    let of_runs = runs_csv(&runs).unwrap();
    let [summary, table, page] =
        [text(&record, 100, false), comparison(&runs, 160, false).unwrap(), html(&runs, &[]).unwrap()];
    for (name, label, latency) in [
        ("ack_response", "ack response", &record.latencies.ack_response),
        ("flight_response", "flight response", &record.latencies.flight_response),
    ] {
        for (figure, key, quantile) in [(Figure::P50, "p50_ns", 0.5), (Figure::P99, "p99_ns", 0.99)] {
            let shown = latency.read(figure).to_string();
            let row = summary.lines().find(|line| line.starts_with(label)).unwrap();
            assert!(row.contains(&shown), "{row}: {shown}");
            assert!(table.contains(&shown) && page.contains(&shown), "{label} {key}: {shown}");
            let nanos = json["latencies"][name][key].as_u64().unwrap();
            let lines = csv.lines().filter_map(|line| line.strip_prefix(&format!("{name},")));
            let line = lines
                .map(|line| line.split(',').collect::<Vec<_>>())
                .find(|line| line[0].parse::<f64>().unwrap() >= quantile);
            assert_eq!(line.unwrap()[1], nanos.to_string(), "{name} {key}");
        }
    }
    let of_one: Vec<_> = of_runs.lines().filter_map(|line| line.strip_prefix("one,")).collect();
    assert_eq!(of_one, csv.lines().skip(1).collect::<Vec<_>>());
    let sent = units::grouped(record.counts.sent);
    assert!(summary.contains(&format!("sent {sent}")) && page.contains(&sent), "{sent}");
    assert_eq!(json["counts"]["sent"], record.counts.sent);
    assert_eq!(json["verdict"], "clean");
    assert!([summary, table, page].iter().all(|text| text.to_lowercase().contains("clean")));
}

#[test]
fn no_line_is_wider_than_asked() {
    for record in [clean(), broken(), idle(), worst()] {
        for width in 0..=130 {
            let limit = width.clamp(NARROWEST, WIDEST);
            let text = text(&record, width, false);
            let widest = text.lines().max_by_key(|line| line.chars().count()).expect("lines");
            assert!(widest.chars().count() <= limit, "`{widest}` is wider than {limit}");
            assert!(
                text.lines().all(|line| line.trim_end() == line),
                "no space at the end of lines:\n{text}"
            );
        }
    }
}

#[test]
fn it_fits_a_screen() {
    let mut warned = clean();
    warned.warnings = worst().warnings;
    for width in [80, 100, 200] {
        for record in [clean(), broken(), idle(), warned.clone()] {
            let text = text(&record, width, false);
            assert!(text.lines().count() <= 40, "{} lines at {width}:\n{text}", text.lines().count());
        }
        assert!(text(&worst(), width, false).lines().count() <= 47);
    }
}

#[test]
fn warnings_left_out_are_counted() {
    let mut record = clean();
    let warnings = |record: &Record| {
        let text = text(record, 100, false);
        let warnings = text.lines().filter_map(|line| line.strip_prefix("warning"));
        warnings.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&record), Vec::<String>::new());
    record.warnings = (1..=6).map(|at| format!("number {at}")).collect();
    assert_eq!(warnings(&record), record.warnings);
    record.warnings = (1..=9).map(|at| format!("number {at}")).collect();
    let shown = ["number 1", "number 2", "number 3", "number 4", "number 5", "and 4 more in the record"];
    assert_eq!(warnings(&record), shown);
    record.latencies.lateness.overflow = 2;
    assert_eq!(warnings(&record)[0], "lateness: 2 samples above one hour are counted as one hour");
}

#[test]
fn one_message_short_is_never_a_hundred_per_cent() {
    let mut record = clean();
    record.counts.acked -= 1;
    let text = text(&record, 100, false);
    let acked = text.lines().find(|line| line.starts_with("acked")).expect("a row");
    assert!(acked.ends_with("99.99 %"), "{acked}");
}

#[test]
fn what_did_not_go_well_in_the_engine_is_told() {
    let mut record = clean();
    let before = text(&record, 100, false);
    assert!(!["blocked", "buffer", "completion", "turned away"].iter().any(|word| before.contains(word)));
    (record.generator.sends_blocked, record.generator.receives_without_buffer) = (1_234, 56);
    (record.generator.queue_full, record.broker.connections_refused) = (7, Some(89));
    let text = text(&record, 100, false);
    for told in [
        "sends blocked 1,234",
        "receives without buffer 56",
        "completion queue full 7",
        "turned away by the reflector 89",
    ] {
        assert!(text.contains(told), "`{told}` is missing:\n{text}");
    }
}

#[test]
fn unfinished_messages_are_told_where_there_are_any() {
    let mut record = clean();
    assert!(!text(&record, 100, false).contains("unfinished"));
    (record.counts.sent, record.counts.unfinished) = (199_997, 3);
    let text = text(&record, 100, false);
    assert!(text.lines().any(|line| line.contains("shed 0") && line.contains("unfinished 3")), "{text}");
}

#[test]
fn rates_stand_beside_what_was_due_and_expected() {
    let mut record = clean();
    let counts = &mut record.counts;
    // one message in ten shed, and three subscribers to each message
    (counts.sent, counts.shed, counts.acked) = (180_000, 20_000, 170_000);
    (counts.expected, counts.delivered, counts.lost) = (540_000, 270_000, 270_000);
    record.throughput = Throughput { sent: 180_000, acked: 170_000, delivered: 270_000 };
    let text = text(&record, 100, false);
    let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("over")).take(4).collect();
    let expected = [
        "over 10.0 s       offered  achieved    share",
        "sent             20.0 k/s  18.0 k/s  90.00 %",
        "acked            20.0 k/s  17.0 k/s  85.00 %",
        "delivered        54.0 k/s  27.0 k/s  50.00 %",
    ];
    assert_eq!(table, expected);
}

#[test]
fn what_came_in_the_drain_was_not_achieved() {
    let mut record = clean();
    record.throughput.acked = 80_000;
    let text = text(&record, 100, false);
    let acked = text.lines().find(|line| line.starts_with("acked")).expect("a row");
    assert_eq!(acked, "acked            20.0 k/s  8.00 k/s   40.00 %");
}

/// What the two rates read is what their share is of.
#[test]
fn the_share_is_achieved_of_offered() {
    let share = |acked| {
        let mut record = clean();
        record.throughput.acked = acked;
        let text = text(&record, 100, false);
        text.lines().find(|line| line.starts_with("acked")).expect("a row").to_owned()
    };
    assert_eq!(
        share(199_990),
        "acked            20.0 k/s  20.0 k/s  100.00 %",
        "the last ten are on their way"
    );
    assert_eq!(share(199_100), "acked            20.0 k/s  19.9 k/s   99.55 %");
}

/// checklist 59: what was due stands beside what was not sent of it.
#[test]
fn what_was_due_is_told_where_it_was_not_sent() {
    let mut record = clean();
    assert!(!text(&record, 100, false).contains("due 2"));
    (record.counts.sent, record.counts.shed) = (165_000, 35_000);
    record.conclude();
    let text = text(&record, 100, false);
    assert!(text.contains("only 165,000 of 200,000 messages due were sent"), "{text}");
    assert!(text.lines().any(|line| line.contains("shed 35,000") && line.contains("due 200,000")), "{text}");
}

#[test]
fn percentiles_with_too_few_samples_say_what_they_take() {
    let text = text(&broken(), 100, false);
    let row = text.lines().find(|line| line.starts_with("flight response")).expect("a row of 40 samples");
    let cells: Vec<&str> = row.split_whitespace().skip(2).collect();
    assert_eq!(
        cells,
        ["40", "18.0", "us", "984", "us", "959", "us", "n<60", "n<600", "n<6k", "n<60k", "1.95", "ms"]
    );
}

#[test]
fn what_the_plan_says_is_shown() {
    let mut record = clean();
    record.plan.schedule = Schedule::Closed { inflight: 8 };
    (record.plan.qos, record.plan.sub_qos) = (2, 0);
    (record.plan.msg_count, record.plan.duration_ns) = (Some(1_000), None);
    (record.plan.cores_asked, record.plan.cores_used, record.plan.workers) = (16, 2, 2);
    let text = text(&record, 100, false);
    for part in [
        "QoS 2, subscribed at QoS 0",
        "closed loop, 8 in flight per publisher",
        "1,000 messages per publisher",
        "2 workers on CPU 0; cores asked 16, used 2",
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    assert!(!text.contains(" shed "), "a closed loop sheds nothing:\n{text}");
}

#[test]
fn rows_that_the_plan_has_no_use_for_are_left_out() {
    let rows = |change: fn(&mut Record)| {
        let mut record = clean();
        change(&mut record);
        record.latencies = Default::default();
        let text = text(&record, 100, false);
        let table = text.lines().skip_while(|line| !line.starts_with("latency")).skip(1);
        let rows = table.take_while(|line| !line.is_empty());
        rows.map(|row| row[..17].trim().to_owned()).collect::<Vec<_>>()
    };
    let all = [
        "TCP connect",
        "CONNACK",
        "SUBACK",
        "ack response",
        "ack service",
        "flight response",
        "flight service",
    ];
    assert_eq!(rows(|_| ()), all);
    assert_eq!(rows(|record| record.plan.qos = 0), [&all[..3], &all[5..]].concat());
    assert_eq!(rows(|record| record.plan.subscribers = 0), [&all[..2], &all[3..5]].concat());
    assert_eq!(rows(|record| record.plan.publishers = 0), all[..3]);
}

#[test]
fn colour_takes_no_columns_and_stands_out_only_where_told() {
    for record in [clean(), broken(), idle()] {
        let plain = text(&record, 90, false);
        assert!(!plain.contains('\x1b'));
        let colored = text(&record, 90, true);
        let mut pieces = colored.split('\x1b');
        let first = pieces.next().unwrap_or_default().to_owned();
        let rest = pieces.map(|piece| piece.split_once('m').expect("a whole sequence").1);
        assert_eq!(rest.fold(first, |all, piece| all + piece), plain);
    }
    assert!(text(&clean(), 90, true).starts_with("\x1b[1;32mCLEAN\x1b[0m\n"));
    assert!(
        text(&broken(), 90, true)
            .starts_with("\x1b[1;31mBROKER FAULT, BROKER-LIMITED, PARTIAL, exit code 4\x1b[0m\n")
    );
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut record = broken();
    record.partial_reason = Some("the broker said \x1b[2J\x07".to_owned());
    assert!(text(&record, 100, false).contains("partial: the broker said ?[2J?\n"));
}

#[test]
fn json_is_read_back_as_the_same_record() {
    for record in [clean(), broken(), idle(), probed(), told()] {
        let json = json(&record);
        assert!(json.starts_with("{\n  \"schema\": \"malaria-bench/1\",\n") && json.ends_with("}\n"));
        assert_eq!(Record::from_json(&json).expect("what was written"), record);
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn with_bound(mut record: Record) -> Record {
    record.bounds.push(BoundResult {
        bound: "ack p99 < 5ms".to_owned(),
        result: BoundState::NotMeasured,
        found: None,
        limit: Amount::Ns(5_000_000),
        reason: Some("too few samples".to_owned()),
    });
    record
}

#[test]
fn json_is_as_its_schema_says() {
    let schema = parsed(schema());
    jsonschema::draft202012::meta::validate(&schema).expect("a schema of draft 2020-12");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let mut closed = clean();
    closed.plan.schedule = Schedule::Closed { inflight: 8 };
    closed.plan.msg_count = Some(5);
    let bounded = [with_bound(clean()), with_bound(watched()), told()];
    for record in [clean(), broken(), idle(), worst(), closed, probed()].into_iter().chain(bounded) {
        let instance = parsed(&json(&record));
        if let Some(error) = validator.iter_errors(&instance).next() {
            panic!("{}: {error}", error.instance_path());
        }
    }
    for (at, wrong) in [
        ("/plan/qos", json!(3)),
        ("/plan/schedule/loop", json!("ajar")),
        ("/counts/sent", json!(-1)),
        ("/latencies/ack_response/p99_ns", json!("fast")),
        ("/exit_code", json!(2)),
        ("/schema", json!("malaria-bench/2")),
    ] {
        let mut instance = parsed(&json(&clean()));
        *instance.pointer_mut(at).expect(at) = wrong;
        assert!(!validator.is_valid(&instance), "{at}");
    }
    let mut later = parsed(&json(&clean()));
    later["of_the_future"] = json!(1);
    later["counts"]["of_the_future"] = json!(1);
    assert!(validator.is_valid(&later), "readers tolerate what they do not know");
}

/// A field that is added to the record is documented. Counters and the generator's figures may be ahead.
#[test]
fn the_schema_knows_every_field() {
    let keys = |json: &Value| json.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let schema = parsed(schema());
    let record = parsed(&json(&with_bound(probed())));
    let part = |at: &str| record.pointer(at).expect(at);
    assert_eq!(keys(&schema["properties"]), keys(&record));
    for (name, at) in [
        ("plan", "/plan"),
        ("versions", "/versions"),
        ("machine", "/machine"),
        ("broker", "/broker"),
        ("phase", "/phases/0"),
        ("throughput", "/throughput"),
        ("latencies", "/latencies"),
        ("latency", "/latencies/ack_response"),
        ("worker", "/generator/workers/0"),
        ("second", "/series/0"),
        ("strain", "/series/0/workers/0"),
        ("pressure", "/series/0/pressure"),
        ("neighbour", "/generator/neighbours/0"),
        ("bound", "/bounds/0"),
        ("probes", "/probes"),
    ] {
        assert_eq!(keys(&schema["$defs"][name]["properties"]), keys(part(at)), "{name}");
    }
    let watched = parsed(&json(&told()));
    for (name, at) in [
        ("broker_cost", "/broker_cost"),
        ("used", "/series/0/broker"),
        ("broker_metrics", "/broker_metrics"),
        ("series_span", "/broker_metrics/series/0/phases/0"),
    ] {
        let part = watched.pointer(at).expect(at);
        assert_eq!(keys(&schema["$defs"][name]["properties"]), keys(part), "{name}");
    }
    for name in ["counts", "generator"] {
        let known = keys(&schema["$defs"][name]["properties"]);
        let unknown: Vec<_> = known.difference(&keys(&record[name])).cloned().collect();
        assert_eq!(unknown, [""; 0], "{name}");
    }
}

/// A broker that broke down says something of itself, however little was measured; a generator that was the limit does not.
#[test]
fn void_is_what_the_record_says() {
    let judged = |change: &dyn Fn(&mut Record)| {
        let mut record = clean();
        change(&mut record);
        record.conclude();
        let of = Run { label: "one".to_owned(), record: Finished::Run(Box::new(record)) };
        (digest::Digest::of(&of).expect("ours").void, of)
    };
    assert!(!judged(&|_| ()).0);
    assert!(judged(&|record| record.generator.queue_full = 7).0);
    let (void, broken) = judged(&|record| {
        record.ended = Ended::Broker;
        record.counts = Counters { connections_asked: 2_000, ..Counters::default() };
        record.series.clear();
    });
    let Finished::Run(record) = &broken.record else { unreachable!("it is one") };
    assert_eq!((record.verdict, record.exit_code, void), (Verdict::Unknown, 4, false));
}
