//! Keys that mosquitto takes.

use std::process::Command;

use crate::broker::{Mosquitto, have};
use crate::process::{Process, find, piped};
use crate::program::Malaria;

/// Checklist 73: mosquitto starts with the file, each key of it connects, and no other key does.
#[test]
fn mosquitto_takes_generated_keys() {
    if !have(&["mosquitto_pub"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("keys");
    let mut keygen = Malaria::bare("keygen -n 5 -t pump-%d");
    keygen.command.arg("-f").arg(&file);
    keygen.run().ends(0);
    let text = std::fs::read_to_string(&file).expect("keygen wrote it");
    let keys: Vec<(&str, &str)> = text.lines().map(|line| line.split_once(':').expect("a colon")).collect();
    let identities: Vec<&str> = keys.iter().map(|(identity, _)| *identity).collect();
    assert_eq!(identities, ["pump-1", "pump-2", "pump-3", "pump-4", "pump-5"]);

    let access = format!("psk_hint malaria\npsk_file {}\nuse_identity_as_username true", file.display());
    let Some(broker) = Mosquitto::start_with(&access) else { return };
    let port = broker.address.port().to_string();
    let connects = |identity: &str, key: &str| {
        let mut command: Command = piped(find("mosquitto_pub").expect("not missing"));
        command.args(["-h", "127.0.0.1", "-p", &port, "-t", "t", "-m", "x", "-q", "1"]);
        command.args(["-i", identity, "--psk-identity", identity, "--psk", key]);
        let mut process = Process::spawn(&mut command);
        let (_, said) = process.output();
        let connected = process.wait().success();
        (connected, said.text())
    };
    for (identity, key) in &keys {
        assert_eq!(key.len(), 40, "{key}");
        let (connected, said) = connects(identity, key);
        assert!(connected, "{identity} with {key}: {said}");
    }
    assert!(!connects("pump-1", keys[1].1).0, "the key of another");
    let log = broker.log();
    assert!(log.contains(" as pump-5 (p2, c1, k60, u'pump-5')."), "{log}");
}

/// What mosquitto lets in by the keys of `file`, on its port alone.
#[cfg(feature = "psk")]
fn keyed(file: &std::path::Path) -> Option<Mosquitto> {
    let access = format!("allow_anonymous true\npsk_hint malaria\npsk_file {}", file.display());
    Mosquitto::start_with(&format!("{access}\nuse_identity_as_username true"))
}

/// Checklist 32 and 85: one process has thousands of clients with a key each, whose ids and topics have their identities.
#[cfg(feature = "psk")]
#[test]
fn three_thousand_clients_have_a_key_each() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("keys");
    let mut keygen = Malaria::bare("keygen -n 3000 -t bee-%d");
    keygen.command.arg("-f").arg(&file);
    keygen.run().ends(0);
    let Some(mut broker) = keyed(&file) else { return };
    let mut listener = Malaria::bare("subscribe -c ear -N 3000 -n 2 -q 1").with_result();
    listener.command.args(["-H", &broker.socket]);
    let listener = listener.start();
    broker.wait_for_listener("ear", 1);
    let mut load = Malaria::against(
        broker.address,
        "publish -t -P 3000 -n 2 -T 1 --stagger 0..1s --connect-timeout 60s",
    );
    load.command.arg("--psk_file").arg(&file);
    let load = load.run().went_well();
    load.published_all(6000);
    let handshake = &load.key("malaria_bench")["latencies"]["handshake"]["count"];
    assert_eq!(handshake, 3000, "each is a leg of its own");
    let first: &serde_json::Value = &load.key("malaria_bench")["publishers"][0]["client_id"];
    assert_eq!(first, "bee-1");
    listener.end().went_well().heard_all(3000, 6000);
    let log = broker.log();
    assert!(log.contains(" as bee-3000 (p2, c1, k60, u'bee-3000')."), "{log}");
}

/// Checklist 32: a key that the broker does not know, or knows otherwise, by name and with the fix.
#[cfg(feature = "psk")]
#[test]
fn a_key_that_is_not_let_in_is_called_so() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let [file, other] = ["keys", "other"].map(|name| folder.path().join(name));
    std::fs::write(&file, "bee-1:00aaff\nbee-2:00bb\n").expect("writable");
    let Some(broker) = keyed(&file) else { return };
    let commands = ["publish --stagger 0 -n 1", "subscribe --endless --duration 1s", "run"];
    for (keys, says) in [
        ("wasp-1:00aaff\nwasp-2:00bb\n", "the broker does not know the client's PSK identity"),
        ("bee-1:00aafe\nbee-2:00bc\n", "the broker has another key for the client's PSK identity"),
    ] {
        std::fs::write(&other, keys).expect("writable");
        for (command, version) in
            commands.into_iter().flat_map(|command| [(command, "1.2"), (command, "1.3")])
        {
            let mut program = match command {
                "run" => Malaria::of_bench("--clients 2 --cores 1 -n 1 -T 10"),
                command => Malaria::bare(command),
            };
            program.command.args(["-H", "127.0.0.1", "-p", &broker.address.port().to_string()]);
            program.command.arg("--psk_file").arg(&other).args(["--tls-version", version]);
            let ended = program.run().ends(4);
            ended.says(says);
            assert!(!ended.text.contains("00aafe") && !ended.text.contains("00bc"), "{}", ended.text);
        }
    }
    for version in ["1.2", "1.3"] {
        let mut program = Malaria::against(broker.address, "publish -P 2 -n 20 -T 50 --stagger 0");
        program.command.arg("--psk_file").arg(&file).args(["--tls-version", version]);
        program.run().went_well().published_all(40);
    }
    // The right ones, and those that a line of another file says.
    let clients = folder.path().join("clients.csv");
    std::fs::write(&clients, "psk_identity,id\nbee-2,first\nbee-1,second\n").expect("writable");
    let mut program = Malaria::of_bench("--clients 2 --cores 1 -n 3 -T 10 --drain 10s");
    program.command.args(["-H", "127.0.0.1", "-p", &broker.address.port().to_string()]);
    program.command.arg("--psk_file").arg(&file).arg("--clients-file").arg(&clients);
    program.run().went_well();
    let log = broker.log();
    for (id, user) in [("first", "bee-2"), ("second", "bee-1")] {
        assert!(log.contains(&format!(" as {id} (p2, c1, k60, u'{user}').")), "{log}");
    }
}
