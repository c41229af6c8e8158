//! What the machine has to have, and what is said where it has too little.

use std::process::Command;

use crate::broker::Mosquitto;
use crate::process::{Process, piped};

/// Runs `malaria publish` with these arguments in a shell, after `first`, with nothing in its environment:
/// its exit code and standard error.
fn publish_after(first: &str, broker: &Mosquitto, arguments: &str) -> (Option<i32>, String) {
    let (malaria, port) = (env!("CARGO_BIN_EXE_malaria"), broker.address.port());
    let line = format!("{first}exec '{malaria}' publish -H 127.0.0.1 -p {port} --stagger 0 {arguments}");
    let mut shell: Command = piped("/bin/sh");
    shell.args(["-c", &line]).env_clear();
    let mut process = Process::spawn(&mut shell);
    let (_, stderr) = process.output();
    (process.wait().code(), stderr.text())
}

/// checklist 83: more clients than open files; where not even the rings fit, what to change is said.
#[test]
fn open_files_do_not_bound_the_clients() {
    let Some(broker) = Mosquitto::start() else { return };
    let (code, stderr) = publish_after("ulimit -n 64; ", &broker, "-P 250 -n 4");
    assert!(matches!(code, Some(0 | 6)), "{code:?}: {stderr}");
    let (code, stderr) = publish_after("ulimit -n 6; ", &broker, "-P 250 -n 4");
    assert_eq!((code, stderr.lines().count()), (Some(3), 1), "{stderr}");
    assert!(stderr.contains("ulimit -Hn"), "{stderr}");
}

/// checklist 84: no Python, no libfuse, no mosquitto, no JVM: no other program at all, nor any library but the
/// system's own.
#[test]
fn it_needs_nothing_but_itself() {
    let Some(broker) = Mosquitto::start() else { return };
    let (code, stderr) = publish_after("", &broker, "-b -P 3 -n 4 -t");
    assert!(matches!(code, Some(0 | 6)), "{code:?}: {stderr}");
    let linked = Command::new("ldd").arg(env!("CARGO_BIN_EXE_malaria")).output().expect("ldd runs");
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let system = ["linux-vdso", "libgcc_s", "libc.", "libm.", "ld-linux", "libpthread", "libdl", "librt"];
    // With TLS-PSK, which is asked for when it is built, OpenSSL as well.
    let openssl = |line: &str| {
        cfg!(feature = "psk") && ["libssl.", "libcrypto."].iter().any(|name| line.contains(name))
    };
    for line in
        linked.lines().filter(|line| !openssl(line)).filter(|line| !line.contains("statically linked"))
    {
        assert!(system.iter().any(|library| line.contains(library)), "{line} in\n{linked}");
    }
}
