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
