//! The examples of the old README, as written but for the address of the broker.

use crate::broker::Mosquitto;
use crate::program::Malaria;

/// What the old summary of a publisher says, in its order.
const PUBLISHER: [&str; 8] = [
    "Clientid: ",
    "Message succes rate: ",
    "Message timing mean",
    "Message timing stddev",
    "Message timing min",
    "Message timing max",
    "Messages per second",
    "Total time",
];

/// What the old summary of a subscriber says, in its order.
const SUBSCRIBER: [&str; 10] = [
    "Clientid: ",
    "Total clients tracked: ",
    "Total messages: ",
    "Total time: ",
    "Messages per second: ",
    "Messages duplicated: []",
    "Flight time mean:",
    "Flight time stddev:",
    "Flight time min:",
    "Flight time max:",
];

/// Each of `labels` begins a line, in this order; how many times the whole list did.
#[track_caller]
fn blocks(stdout: &str, labels: &[&str]) -> usize {
    let mut at = 0;
    for line in stdout.lines() {
        at += usize::from(line.trim_start().starts_with(labels[at % labels.len()]));
    }
    assert_eq!(at % labels.len(), 0, "no {:?} in\n{stdout}", labels[at % labels.len()]);
    at / labels.len()
}

/// Checklist 10, 14: `malaria publish -P 8 -n 10000 -H mqtt.example.org -s 100`.
#[test]
fn eight_processes_as_fast_as_the_code_allows() {
    let Some(broker) = Mosquitto::start() else { return };
    let finished = Malaria::against(broker.address, "publish -P 8 -n 10000 -s 100").run().went_well();
    finished.published_all(80_000);
    finished.says("Message succes rate: 100.00% (10000/10000 messages)");
    finished.says("Message succes rate: 100.00% (80000/80000 messages)");
    assert_eq!(
        blocks(&finished.stdout, &PUBLISHER),
        9,
        "eight clients and all of them:\n{}",
        finished.stdout
    );
}

/// Checklist 10: the example output, `malaria publish -t -n 100 -P 4`, and the subscriber for it.
#[test]
fn the_example_output_of_both_commands() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let listener = Malaria::against(broker.address, "subscribe -c ours -n 100 -N 4").start();
    broker.wait_for_listener("ours", 1);
    let finished = Malaria::against(broker.address, "publish -t -n 100 -P 4").run().went_well();
    finished.published_all(400).says("Message succes rate: 100.00% (400/400 messages)");
    assert_eq!(blocks(&finished.stdout, &PUBLISHER), 5, "{}", finished.stdout);
    let heard = listener.end().went_well();
    heard.heard_all(4, 400).says("Total clients tracked: 4 Total messages: 400 Total time: ");
    assert_eq!(blocks(&heard.stdout, &SUBSCRIBER), 1, "{}", heard.stdout);
}

/// Section 4: 500 clients at 5 messages a second with timing and one subscriber, zero missing; the old README's
/// example, with 20 messages of each instead of 1,000.
#[test]
fn five_hundred_clients_and_one_subscriber() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let listener = Malaria::against(broker.address, "subscribe -c ours -n 20 -N 500").start();
    broker.wait_for_listener("ours", 1);
    let finished = Malaria::against(broker.address, "publish -t -n 20 -P 500 -T 5").run().went_well();
    finished.published_all(10_000);
    listener.end().went_well().heard_all(500, 10_000);
}

/// Section 3: what --json writes has a schema that the program tells.
#[test]
fn the_json_has_a_schema() {
    for command in ["publish", "subscribe"] {
        let told = Malaria::bare(&format!("{command} --json-schema")).run().ends(0);
        let schema: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
        assert!(schema["$schema"].as_str().is_some_and(|name| name.contains("2020-12")), "{schema}");
        assert!(schema["properties"].get("malaria_bench").is_some(), "{schema}");
    }
}
