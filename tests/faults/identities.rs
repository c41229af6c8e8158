//! Clients that have something of their own: what the broker sees of it, and what nobody else does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use malaria_bench::wire::{Packet, PacketType};

use crate::bench::Bench;
use crate::broker::{Act, Broker, Heard};

/// What clients told a broker.
#[derive(Default)]
struct Told {
    /// User names and passwords, by client id.
    logins: BTreeMap<String, (Option<String>, Option<Vec<u8>>)>,
    published: BTreeSet<String>,
    subscribed: BTreeSet<String>,
}

fn listening(told: &Arc<Mutex<Told>>) -> Broker {
    let told = Arc::clone(told);
    Broker::start(move |heard: &Heard<'_>| {
        let mut told = told.lock().unwrap();
        match heard.packet {
            Some(Packet::Connect(connect)) => {
                let login = (connect.username.map(str::to_owned), connect.password.map(<[u8]>::to_vec));
                told.logins.insert(connect.client_id.to_owned(), login);
            }
            Some(Packet::Publish(publish)) => drop(told.published.insert(publish.topic.to_owned())),
            Some(Packet::Subscribe(subscribe)) => {
                told.subscribed.extend(subscribe.filters().map(|(filter, _)| filter.to_owned()));
            }
            _ => {}
        }
        match heard.is(PacketType::Unsubscribe) {
            true => Act::Close,
            false => Act::Honest,
        }
    })
}

/// Everything that a run leaves: what it says, its record, its log, what a folder of records has.
fn left(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

const SECRETS: [&str; 4] = ["geheim-0", "geheim-1", "geheim,2", "geheim-3"];

fn assert_untold(text: &str) {
    let secret = SECRETS.into_iter().find(|secret| text.contains(secret));
    assert_eq!(secret, None, "{text}");
    // As text of bytes, as `Debug` has it.
    let bytes = format!("{:?}", b"geheim");
    assert!(!text.contains(bytes.trim_matches(['[', ']'])), "{text}");
}

#[test]
fn a_run_has_clients_as_their_file_has_them_and_tells_nobody_their_secrets() {
    let told = Arc::new(Mutex::new(Told::default()));
    let broker = listening(&told);
    let (inputs, outputs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clients = inputs.path().join("clients.csv");
    let password = inputs.path().join("password");
    std::fs::write(&password, "geheim-for-all").unwrap();
    // Two publishers, two subscribers; the second publisher has the topic of --topic.
    let lines = "topic,password,id,username,source\n\
                 plant/7/temperature,geheim-0,meter-7,user-0,127.0.0.7\n\
                 ,geheim-1,meter-8,user-1,\n\
                 ,\"geheim,2\",reader-7,user-2,127.0.0.9\n\
                 ,,,user-3,\n";
    std::fs::write(&clients, lines).unwrap();
    let outcome =
        Bench::against(broker.address, "--clients 4 --cores 1 -n 5 -T 50 --drain 5s -c made -t own/%c")
            .argument("--hlog")
            .argument(outputs.path().join("log.hlog").to_str().unwrap())
            .argument("--password-file")
            .argument(password.to_str().unwrap())
            .argument("--clients-file")
            .argument(clients.to_str().unwrap())
            .run();
    assert!(matches!(outcome.code, Some(0 | 6)), "{} {}", outcome.stdout, outcome.stderr);
    let told = told.lock().unwrap();
    let login = |user: &str, password: &str| (Some(user.to_owned()), Some(password.as_bytes().to_vec()));
    let logins = BTreeMap::from([
        ("meter-7".to_owned(), login("user-0", "geheim-0")),
        ("meter-8".to_owned(), login("user-1", "geheim-1")),
        ("reader-7".to_owned(), login("user-2", "geheim,2")),
        ("made-3".to_owned(), login("user-3", "geheim-for-all")),
    ]);
    assert_eq!(told.logins, logins);
    let topics = ["own/meter-8", "plant/7/temperature"].map(String::from);
    assert!(told.published.iter().eq(&topics) && told.subscribed.iter().eq(&topics));
    let record = outcome.record();
    assert_eq!(record.plan.client_columns, ["topic", "password", "id", "username", "source"]);
    assert_eq!((record.counts.delivered, record.counts.lost), (10, 0));
    let record = format!("{record:?}{}", malaria_bench::report::json(record));
    assert_untold(&format!("{}{}{}{record}", outcome.stdout, outcome.stderr, left(outputs.path())));
}

#[test]
fn publish_and_subscribe_have_clients_as_their_file_has_them() {
    let told = Arc::new(Mutex::new(Told::default()));
    let broker = listening(&told);
    let file = tempfile::NamedTempFile::new().unwrap();
    let run = |command: &str, lines: &str| {
        std::fs::write(file.path(), lines).unwrap();
        let words =
            format!("{command} -H {} --clients-file {} --json -", broker.address, file.path().display());
        let outcome = Bench::bare(&words).run();
        assert!(matches!(outcome.code, Some(0 | 6)), "{} {}", outcome.stdout, outcome.stderr);
        assert_untold(&format!("{}{}", outcome.stdout, outcome.stderr));
        let columns = serde_json::from_str::<serde_json::Value>(&outcome.stdout).expect("a result");
        columns["malaria_bench"]["client_columns"].as_array().expect("columns").len()
    };
    let lines = "id,topic,username,password\nbee,,u,geheim-0\nant,hill/4,v,geheim-1\n";
    assert_eq!(run("publish -P 2 -n 3 --stagger 0 --topic x/%c", lines), 4);
    assert_eq!(run("subscribe --clients 2 --endless --duration 100ms", "id,topic\near-1,a/+/#\near-2,\n"), 2);
    let told = told.lock().unwrap();
    assert!(told.logins.keys().eq(["ant", "bee", "ear-1", "ear-2"]), "{:?}", told.logins.keys());
    assert_eq!(told.logins["ant"], (Some("v".to_owned()), Some(b"geheim-1".to_vec())));
    assert!(told.published.iter().eq(["hill/4", "x/bee"]), "{:?}", told.published);
    let filters = ["a/+/#", "mqtt-malaria/+/data/#"];
    assert!(filters.iter().all(|filter| told.subscribed.contains(*filter)), "{:?}", told.subscribed);
}

/// Exit code 2 before the first packet, and nothing of the file.
#[test]
fn what_is_wrong_with_a_file_is_told_without_its_secrets() {
    let told = Arc::new(Mutex::new(Told::default()));
    let broker = listening(&told);
    let file = tempfile::NamedTempFile::new().unwrap();
    for (lines, words) in [
        (
            "username,password\nu,geheim-0\n",
            ["it has 1 lines, but there are 2 clients", "every client needs one"],
        ),
        ("username,password\nu,geheim-0\n,geheim-1\n", ["line 3, column `password`", "user name"]),
        ("geheim-0,geheim-1\nu,geheim-3\n", ["line 1: column 1 has no known name", "id,username,password"]),
        ("id,topic\na,x\nb,x\n", ["line 3, column `topic`", "leave the cell empty"]),
        ("id\na\na\n", ["column `id`: line 2 and line 3 have the same", "throws out one of them"]),
    ] {
        std::fs::write(file.path(), lines).unwrap();
        let flags = format!("--clients 2 --cores 1 --clients-file {}", file.path().display());
        let outcome = Bench::against(broker.address, &flags).run();
        outcome.ends(2, &words);
        assert_untold(&outcome.stderr);
    }
    std::fs::write(file.path(), "topic\nx\nx\n\"\"\n\"\"\n").unwrap();
    let flags = format!("--clients 4 --cores 1 --clients-file {}", file.path().display());
    let outcome = Bench::against(broker.address, &flags).run();
    outcome.ends(2, &["clients 0 and 1 publish to `x`", "--groups 1"]);
    assert!(told.lock().unwrap().logins.is_empty(), "nobody has connected");
}
