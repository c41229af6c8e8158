use super::*;
use crate::cli::args::{Malaria, MalariaCommand};
use clap::Parser;

fn listens(line: &str) -> Result<Listening, String> {
    let words = ["malaria", "watch"].into_iter().chain(line.split_whitespace());
    match Malaria::try_parse_from(words).map_err(|error| error.to_string())?.command {
        MalariaCommand::Watch(args) => listening(&args).map_err(|error| error.to_string()),
        _ => Err("another command".into()),
    }
}

/// checklist 3 and 63: runs until it is stopped, with malaria's defaults.
#[test]
fn defaults_are_those_of_malaria() {
    let listening = listens("").unwrap();
    assert_eq!(listening.client_id, format!("beem-watchr-{}", std::process::id()));
    assert_eq!(listening.filters, ["#"]);
    assert_eq!(
        (listening.qos, listening.expect),
        (crate::wire::QoS::AtLeastOnce, crate::fleet::Expect::Nothing)
    );
    assert!(listening.sys && !listening.abort_on_drop);
    assert_eq!((listening.duration, listening.quiet_after), (None, None));
}

/// checklist 3: -t is repeatable.
#[test]
fn several_filters_are_watched() {
    let listening = listens("-t a/# -t b/+ -c me -q 0 -d somewhere").unwrap();
    assert_eq!((listening.filters, listening.client_id), (vec!["a/#".into(), "b/+".into()], "me".into()));
}

/// Issue section 4: bad input.
#[test]
fn bad_input_is_named() {
    for (line, part) in [
        ("-t a/#/b", "`a/#/b`"),
        ("-q 3", "0..=2"),
        ("--interval 0.5", "--interval 500ms"),
        ("--duration 0", "--duration 0"),
        ("-p 0", "0"),
        ("--will-retain", "--will-topic"),
    ] {
        let error = listens(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
        assert!(error.contains(part), "{line}: {error}");
    }
}

#[test]
fn files_are_replaced_once_in_each_interval() {
    let updates = |interval, seconds: u64| {
        let mut due = Due { interval: interval * SECOND, next: 0 };
        // Progress comes a little late, and then catches up.
        let times = (1..=seconds).map(|second| second * SECOND + second % 3 * SECOND / 10);
        times.filter(|elapsed| due.is_now(*elapsed)).count()
    };
    assert_eq!(updates(1, 30), 30);
    assert_eq!(updates(5, 30), 6);
}

#[test]
fn the_values_follow_the_progress() {
    let mut metrics = Metrics::default();
    let progress = Progress {
        elapsed: 7 * SECOND,
        stored: Some(2),
        dropped: Some(1),
        total: crate::stats::Counters { delivered: 5, ..Default::default() },
        ..Progress::default()
    };
    metrics.follow(&progress);
    let expected =
        Metrics { msgs_total: 5, msgs_stored: Some(2), drop_count: Some(1), uptime: 7, topic: vec![] };
    assert_eq!(metrics, expected);
}
