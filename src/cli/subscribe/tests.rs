use super::*;
use crate::cli::args::{Malaria, MalariaCommand};
use crate::clock::SECOND;
use crate::load::PayloadStamp;
use clap::{CommandFactory, FromArgMatches};

fn args(line: &str) -> Result<SubscribeArgs, String> {
    let words = line.split_whitespace().map(Into::into);
    let words = ["malaria".into(), "subscribe".into()].into_iter().chain(words).collect();
    let matches = crate::cli::config::parse(Malaria::command(), words).map_err(|error| error.to_string())?;
    match Malaria::from_arg_matches(&matches).map_err(|error| error.to_string())?.command {
        MalariaCommand::Subscribe(args) => Ok(*args),
        _ => Err("another command".into()),
    }
}

fn listens(line: &str) -> Result<Listening, String> {
    Ok(all(line)?.swap_remove(0))
}

fn all(line: &str) -> Result<Vec<Listening>, String> {
    listening(&args(line)?).map_err(|error| error.to_string())
}

/// checklist 37, 42
#[test]
fn there_are_as_many_subscribers_as_asked_and_one_for_each_topic() {
    let of = |line: &str| -> Vec<(String, Vec<String>, bool)> {
        let parts = |one: Listening| (one.client_id, one.filters, one.sys);
        all(line).unwrap().into_iter().map(parts).collect()
    };
    let told = |id: &str, filters: &[&str], sys| {
        (id.to_owned(), filters.iter().map(|filter| (*filter).to_owned()).collect::<Vec<_>>(), sys)
    };
    assert_eq!(of("-c s -t a -t b"), [told("s", &["a", "b"], true)]);
    assert_eq!(
        of("-c s --clients 2 -t a -t b"),
        [told("s-0", &["a", "b"], true), told("s-1", &["a", "b"], false)]
    );
    assert_eq!(
        of("-c s --connection-per-topic -t a -t b"),
        [told("s-0", &["a"], true), told("s-1", &["b"], false)]
    );
    assert_eq!(of("--clients 3 --connection-per-topic -t a -t b").len(), 6);
}

/// checklist 3
#[test]
fn defaults_are_those_of_malaria() {
    let listening = listens("").unwrap();
    assert_eq!(listening.client_id, format!("beem-listr-{}", std::process::id()));
    assert_eq!(listening.filters, ["mqtt-malaria/+/data/#"]);
    assert_eq!(listening.expect, Expect::Messages(Expectation { messages: 10, clients: 1 }));
    assert_eq!(listening.layout.unwrap().read("mqtt-malaria/a/data/3/9"), Some(("a", 3)));
    assert_eq!((listening.stamp, listening.qos), (PayloadStamp::Malaria, wire::QoS::AtLeastOnce));
    assert!(listening.sys && listening.abort_on_drop);
    assert_eq!((listening.quiet_after, listening.duration), (None, None));
}

/// checklist 3: long, short, and with hyphens.
#[test]
fn malarias_flags_are_taken() {
    let long =
        "--clientid a --host h --port 1 --qos 2 --msg_count 3 --client_count 4 --topic x/+/y/# --json f";
    for line in [long, &long.replace('_', "-"), "-c a -H h -p 1 -q 2 -n 3 -N 4 -t x/+/y/# --json f"] {
        let listening = listens(line).unwrap();
        assert_eq!((listening.client_id.as_str(), listening.filters[0].as_str()), ("a", "x/+/y/#"));
        assert_eq!(listening.expect, Expect::Messages(Expectation { messages: 3, clients: 4 }));
        assert_eq!(listening.qos, wire::QoS::ExactlyOnce);
    }
}

/// Issue section 1: counts are those of the other commands.
#[test]
fn counts_have_suffixes() {
    let args = args("--clients 2k -n 10k -N 1.5k --sample-every 1M --slow 2k,1s --seed 5").unwrap();
    assert_eq!((args.clients, args.msg_count, args.client_count), (2000, 10_000, 1500));
    assert_eq!((args.sample_every, args.seed), (Some(1_000_000), Some(5)));
}

/// checklist 49: counting without an expectation; topics that do not say the client are only counted.
#[test]
fn endless_expects_nothing() {
    let listening = listens("--endless -t home/# -t other/# --ignore-drops").unwrap();
    assert_eq!((listening.expect, listening.layout), (Expect::Nothing, None));
    assert_eq!(listening.filters, ["home/#", "other/#"]);
    assert!(!listening.abort_on_drop);
    assert!(listens("--endless -t home/+/x/+").unwrap().layout.is_some());
    let second = listens("-t home/# -t x/y/+/+").unwrap().layout;
    assert_eq!(second, Some(TopicLayout::of("x/y/+/+")), "the first filter does not say it");
}

#[test]
fn a_listener_ends_in_time() {
    let listening = listens("--quiet-after 5s --quiet-from-start --duration 1m --slow 9,1s").unwrap();
    assert_eq!((listening.quiet_after, listening.duration), (Some(5 * SECOND), Some(60 * SECOND)));
    assert!(listening.quiet_from_start);
    assert_eq!(listening.slow, Some(Slow { every: 9, pause: SECOND }));
}

/// Issue section 4: bad input.
#[test]
fn bad_input_is_named() {
    for (line, part) in [
        ("-n 0", "0"),
        ("-N 0", "0"),
        ("-n -3", "-3"),
        ("-q 3", "0..=2"),
        ("-t a/#/b", "`a/#/b`"),
        ("-t a+", "`a+`"),
        ("-n 9999999999999 -N 9999999999999", "--client_count"),
        ("--quiet-after 0", "--quiet-after 0"),
        ("--quiet-from-start", "--quiet-after"),
        ("--endless -n 5", "cannot be used with"),
        ("--print --json -", "--print"),
        ("--stamp rubber", "rubber"),
        ("--clean-session false", "--clientid"),
        ("-p 0", "0"),
        ("--will-payload x", "--will-topic"),
        ("--tolerance 1ms", "--tolerance"),
    ] {
        let error = listens(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
        assert!(error.contains(part), "{line}: {error}");
    }
}

#[test]
fn the_progress_says_what_is_missing() {
    let total = crate::stats::Counters { delivered: 7, ..Default::default() };
    let mut progress = Progress { missing: Some(3), total, ..Progress::default() };
    let windows = Windows::default();
    assert_eq!(progress_line(&progress, &windows), "Still waiting for 3 messages");
    progress.missing = None;
    assert_eq!(progress_line(&progress, &windows), "Received 7 messages");
    progress.pending = 1;
    assert_eq!(progress_line(&progress, &windows), "Subscribing");
}

/// Whoever does not care for drops asks the broker nothing about them.
#[test]
fn without_an_interest_in_drops_nothing_is_asked_of_the_broker() {
    assert!(listens("").unwrap().sys);
    assert!(!listens("--ignore-drops").unwrap().sys);
    assert!(all("--ignore-drops --clients 3").unwrap().iter().all(|one| !one.sys && !one.abort_on_drop));
}
