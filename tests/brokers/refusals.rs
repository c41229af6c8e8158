//! Who may connect.

use crate::bench::{self, Totals, assert_exact};
use crate::broker::{Broker, Kind};
use crate::process::find;
use malaria_bench::record::Record;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// A mosquitto that knows `user` with the password `right` only, and the folder of its password file.
fn guarded() -> Option<(Broker, tempfile::TempDir)> {
    guarded_for(&[("user", "right")])
}

/// A mosquitto that knows these users with their passwords only, and the folder of its password file.
fn guarded_for(users: &[(&str, &str)]) -> Option<(Broker, tempfile::TempDir)> {
    let passwd = find("mosquitto_passwd");
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("users");
    if let Some(passwd) = passwd {
        std::fs::write(&file, "").expect("writable");
        for (user, password) in users {
            let mut command = Command::new(&passwd);
            command.arg("-b").arg(&file).args([user, password]).stderr(Stdio::null());
            assert!(command.status().expect("mosquitto_passwd runs").success());
        }
    }
    let access = format!("allow_anonymous false\npassword_file {}", file.display());
    let broker = Broker::start_with(Kind::Mosquitto, Ipv4Addr::LOCALHOST.into(), &access)?;
    Some((broker, folder))
}

const RUN: &str = "--clients 10 -n 10 -T 50 --drain 20s";

#[test]
fn the_right_password_connects() {
    let Some((broker, folder)) = guarded() else { return };
    let file = folder.path().join("password");
    std::fs::write(&file, "right\n").unwrap();
    let mut with_file = bench::command(broker.address(), RUN);
    with_file.args(["-u", "user", "--password-file"]).arg(&file);
    let mut with_variable = bench::command(broker.address(), RUN);
    with_variable.args(["-u", "user"]).env("MALARIA_PASSWORD", "right");
    let records = [with_file, with_variable].map(|command| {
        let finished = bench::start(command).end();
        assert!(!finished.stdout.contains("right"), "a password is in the record");
        finished.record()
    });
    records.iter().for_each(|record| assert_exact(record, 1));
    broker.confirm(Totals::of(&records));
}

/// Issue section 1: `--credentials` of the main job, a line for each client, also from a `--config` file.
#[test]
fn every_client_connects_with_a_password_of_its_own() {
    // The watcher of the broker's own counters is `user`.
    let Some((broker, folder)) = guarded_for(&[("user", "right"), ("a", "secret-1"), ("b", "secret-2")])
    else {
        return;
    };
    let file = folder.path().join("pairs");
    let run = |lines: &str| {
        std::fs::write(&file, lines).expect("writable");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, format!("credentials = \"{}\"\nclients = 2\n", file.display())).unwrap();
        let mut command = bench::command(broker.address(), "-n 10 -T 50 --drain 20s --protocol 3.1 -c m");
        command.arg("--config").arg(config);
        bench::start(command).end()
    };
    let finished = run("a:secret-1\nb:secret-2\n");
    assert!(!finished.stdout.contains("secret-"), "a password is in the record");
    let record = finished.record();
    assert_exact(&record, 1);
    assert_eq!(record.plan.clients, 2);
    let refused = run("a:secret-1\nb:wrong\n");
    assert_eq!(refused.code, 4, "{}", refused.said);
    let counts = Record::from_json(&refused.stdout).expect("a partial record").counts;
    assert_eq!(counts.connections_established, 1, "{counts:?}");
    let few = run("a:secret-1\n");
    assert_eq!(few.code, 2, "{}", few.said);
    assert!(few.said.contains("1 lines") && few.said.contains("2 clients"), "{}", few.said);
}

#[test]
fn a_refusal_is_named() {
    let Some((broker, _folder)) = guarded() else { return };
    let mut wrong = bench::command(broker.address(), RUN);
    wrong.args(["-u", "user"]).env("MALARIA_PASSWORD", "wrong");
    let nobody = bench::command(broker.address(), RUN);
    for command in [wrong, nobody] {
        let finished = bench::start(command).end();
        assert_eq!(finished.code, 4, "{}", finished.said);
        let said = finished.said.to_lowercase();
        assert!(said.contains("not authorized") || said.contains("bad user name or password"), "{said}");
        let record = Record::from_json(&finished.stdout).expect("a partial record");
        assert!(record.partial);
        assert_eq!(record.counts.connections_asked, 10);
        assert_eq!(record.counts.connections_established, 0);
        assert!(record.counts.refused_by_connack() >= 10, "{:?}", record.counts);
        assert_eq!(record.counts.sent, 0);
    }
}
