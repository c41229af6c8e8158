//! The documents of `--json`: malaria's keys and units on top, the whole record under a key of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::figures::{ListenerFigures, PublisherFigures};
use crate::record::{FleetRecord, Listener};

#[derive(Serialize)]
struct Publish<'a> {
    #[serde(flatten)]
    all: PublisherFigures,
    clients: Vec<PublisherFigures>,
    malaria_bench: &'a FleetRecord,
}

pub fn publish(record: &FleetRecord) -> String {
    document(&Publish {
        all: PublisherFigures::of_all(record),
        clients: record.publishers.iter().map(PublisherFigures::of).collect(),
        malaria_bench: record,
    })
}

#[derive(Serialize)]
struct Subscribe<'a> {
    #[serde(flatten)]
    all: ListenerFigures,
    msg_duplicates: Vec<Duplicate<'a>>,
    /// Of all subscribers: a number that any of them misses.
    msg_missing: BTreeMap<&'a str, BTreeSet<u64>>,
    clients: Vec<Client<'a>>,
    subscribers: Vec<ListenerFigures>,
    malaria_bench: &'a FleetRecord,
}

#[derive(Serialize)]
struct Duplicate<'a> {
    clientid: &'a str,
    seq: u64,
}

/// What one subscriber has of one publishing client.
#[derive(Serialize)]
struct Client<'a> {
    subscriber: &'a str,
    clientid: &'a str,
    expected: Option<u64>,
    actual: u64,
    duplicate: u64,
    missing: u64,
}

pub fn subscribe(record: &FleetRecord) -> String {
    let heard = || record.listeners.iter().flat_map(|listener| &listener.clients);
    let mut msg_missing: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for client in heard() {
        msg_missing.entry(&client.client_id).or_default().extend(&client.missing);
    }
    let duplicates = heard().flat_map(|client| {
        client.duplicate_ids.iter().map(|seq| Duplicate { clientid: &client.client_id, seq: *seq })
    });
    document(&Subscribe {
        all: ListenerFigures::of_all(record),
        msg_duplicates: duplicates.collect(),
        msg_missing,
        clients: record.listeners.iter().flat_map(clients).collect(),
        subscribers: record.listeners.iter().map(ListenerFigures::of).collect(),
        malaria_bench: record,
    })
}

/// The clients that a subscriber heard, then those that it never did.
fn clients(listener: &Listener) -> impl Iterator<Item = Client<'_>> {
    let subscriber = listener.client_id.as_str();
    let heard = listener.clients.iter().map(move |heard| Client {
        subscriber,
        clientid: &heard.client_id,
        expected: heard.expected,
        actual: heard.actual,
        duplicate: heard.duplicate,
        missing: heard.missing.len() as u64,
    });
    let expected = listener.expected_per_client;
    let never = listener.never_seen.iter().map(move |clientid| Client {
        subscriber,
        clientid,
        expected,
        actual: 0,
        duplicate: 0,
        missing: expected.unwrap_or(0),
    });
    heard.chain(never)
}

fn document(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("plain data with string keys");
    text.push('\n');
    text
}
