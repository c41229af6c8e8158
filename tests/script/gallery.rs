//! Every script of the gallery: the record of a run is held against the reflector's own log.

use crate::harness::{agree, gallery, ms, play};

/// Ten pairs at 2,000 messages a second, for two seconds.
const PAIRS: &str = "--clients 20 --rate 2k --warmup 0 --duration 2s --drain 500ms --verify all";

#[test]
fn corrupting() {
    let (record, log) = play(&gallery("corrupting"), PAIRS);
    agree(&record, &log);
    log.is("corrupting", 1);
    assert_eq!(record.exit_code, 5);
}

#[test]
fn misrouting() {
    let (record, log) = play(&gallery("misrouting"), PAIRS);
    agree(&record, &log);
    log.is("misrouting", 1);
    assert_eq!(record.exit_code, 5);
}

#[test]
fn refusing() {
    let (record, log) = play(&gallery("refusing"), &PAIRS.replace("20", "40"));
    let counts = &record.counts;
    assert_eq!((counts.refused[5], log.did("refused")), (10, 10));
    assert_eq!((counts.connections_established, log.did("connects")), (30, 30));
    assert!(log.did("degraded") >= 1);
    assert_eq!(counts.subscribe_failures, log.did("degraded"));
    assert_eq!((counts.sent, counts.acked), (log.sum("received"), log.did("acked")));
    assert_eq!(record.exit_code, 4);
}

#[test]
fn resetting() {
    let (record, log) = play(&gallery("resetting"), PAIRS);
    let counts = &record.counts;
    assert_eq!(log.did("reset"), 20);
    assert!(log.did("closed") >= 10, "{}", log.did("closed"));
    assert_eq!(counts.connections_lost, log.did("reset") + log.did("closed"), "{counts:?}");
    assert_eq!(counts.protocol_errors, 0);
    assert_eq!(20 + counts.reconnects, log.did("connects"), "{counts:?}");
    assert_eq!(record.exit_code, 5);
}

#[test]
fn stalling() {
    let (record, log) = play(&gallery("stalling"), PAIRS);
    agree(&record, &log);
    assert!((3..=5).contains(&log.did("stalled")), "{}", log.did("stalled"));
    for (number, time) in (0..).zip(log.times("stalled")) {
        assert!(time >= (300 + 600 * number) * 1_000_000, "{time}");
    }
    // It stands still for 450 of 2,000 ms: a tenth of the messages waits for 83 ms at least.
    let response = &record.latencies.ack_response;
    assert!(ms(response.p90_ns) > 75.0 && ms(response.p50_ns) < 75.0, "{:?}", response.p90_ns);
    assert!(ms(response.max_ns) > 145.0, "{:?}", response.max_ns);
}

#[test]
fn mute() {
    for qos in [1, 2] {
        let (record, log) = play(&gallery("mute"), &format!("{PAIRS} -q {qos}"));
        let counts = &record.counts;
        log.is("mute", 1);
        assert_eq!((counts.acked, counts.unacked_at_end), (3960, 40), "{counts:?}");
        assert_eq!((counts.sent, counts.ack_timeouts), (4000, 0));
        // What is not acknowledged is delivered all the same.
        assert_eq!((counts.delivered, counts.lost, log.did("routed")), (4000, 0, 4000));
        assert_eq!((record.latencies.ack_response.count, record.exit_code), (4000, 5));
    }
}

/// What is said against the standard ends the connection, once for each time.
fn leaves(name: &str, deed: &str) {
    let (record, log) = play(&gallery(name), PAIRS);
    let counts = &record.counts;
    assert!(log.did(deed) >= 10, "{}", log.did(deed));
    assert_eq!(counts.protocol_errors, log.did(deed), "{counts:?}");
    assert_eq!(counts.connections_lost, counts.protocol_errors);
    assert_eq!(20 + counts.reconnects, log.did("connects"));
}

#[test]
fn babbling() {
    leaves("babbling", "garbage");
}

#[test]
fn mistaken() {
    leaves("mistaken", "misanswered");
}

#[test]
fn late() {
    let (record, log) = play(&gallery("late"), PAIRS);
    agree(&record, &log);
    let times = &record.latencies;
    // Ten subscribers, and an acknowledgement and a delivery for each message.
    assert_eq!(log.did("delayed"), 20 + 10 + 2 * record.counts.sent);
    assert!(ms(times.connack.min_ns) >= 19.9 && ms(times.connack.p50_ns) < 40.0, "{:?}", times.connack);
    assert!(ms(times.suback.min_ns) >= 39.9, "{:?}", times.suback);
    assert!(ms(times.ack_service.min_ns) >= 4.9, "{:?}", times.ack_service);
    let mean = ms(times.flight_service.mean_ns);
    assert!(mean > 9.0 && ms(times.flight_service.min_ns) < 5.0, "{:?}", times.flight_service);
}

#[test]
fn overloaded() {
    let (record, log) = play(&gallery("overloaded"), PAIRS);
    agree(&record, &log);
    // It takes four seconds for what was sent in two: the last message has waited for two.
    let response = &record.latencies.ack_response;
    assert!((1_800.0..3_000.0).contains(&ms(response.max_ns)), "{:?}", response.max_ns);
    assert!(record.throughput.acked < record.throughput.sent, "{:?}", record.throughput);
}

#[test]
fn deaf() {
    let load =
        "--clients 4 --rate 1k -s 32KiB --warmup 0 --duration 2s --drain 500ms -k 0 --connect-timeout 2s";
    let (record, log) = play(&gallery("deaf"), load);
    let counts = &record.counts;
    // Ten of each of the two publishers were read.
    assert_eq!((log.did("deafened"), log.sum("received")), (2, 20));
    assert_eq!((counts.acked, counts.delivered, log.did("acked")), (20, 20, 20));
    assert!(counts.sent > 20 && counts.shed > 0 && counts.due == 2000, "{counts:?}");
    assert_eq!(counts.unacked_at_end, counts.sent - 20);
    assert!(record.generator.sends_blocked > 0);
    assert_eq!(record.exit_code, 5);
}

#[test]
fn slow_reader() {
    let load = "--clients 4 --rate 200 -s 1000 --warmup 0 --duration 2s --drain 500ms --drain-limit 1s -k 0 --connect-timeout 2s";
    let (record, log) = play(&gallery("slow-reader"), load);
    let counts = &record.counts;
    assert_eq!((counts.due, counts.acked), (400, log.did("acked")), "{counts:?}");
    // 4 KiB a second of each of two publishers, for 5 s at most, and what one look at a socket can bring.
    assert!((8..120).contains(&log.sum("received")), "{}", log.sum("received"));
    assert!(counts.sent > 2 * log.sum("received"), "{counts:?}");
    assert_eq!(record.exit_code, 5);
}

/// What is not played by a test, or not told to users, is in no gallery.
#[test]
fn every_script_is_played_and_told() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("there is one");
    let tests = [include_str!("gallery.rs"), include_str!("rules.rs")].concat();
    let files = std::fs::read_dir(folder.join("benches/scripts")).expect("the gallery");
    let names: Vec<String> = files
        .map(|file| {
            file.expect("a file").path().file_stem().expect("a name").to_str().expect("text").to_owned()
        })
        .collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in the README");
        assert!(tests.contains(&format!("\"{name}\"")), "{name} is not played");
    }
}
