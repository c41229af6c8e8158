//! What the old tool would have published and heard, by scripts on paho-mqtt.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;

use crate::process::{BOUND, Lines, Process, piped, skip};

/// The interpreter beside which tools/test puts paho-mqtt, or nothing and a word about it; where that must
/// not go unnoticed, it is a failure.
pub fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("paho/bin/python");
    if python.is_file() {
        return Some(python);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "paho-mqtt is missing: run tools/test");
    skip("paho-mqtt is missing: run tools/test");
    None
}

/// A script under way.
pub struct Script {
    process: Process,
    lines: Lines,
}

impl Script {
    fn start(python: &Path, name: &str, broker: SocketAddr, arguments: &str) -> Script {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malaria/paho").join(name);
        let mut command = piped(python);
        command.arg(script).args(["-H", &broker.ip().to_string(), "-p", &broker.port().to_string()]);
        command.args(arguments.split_whitespace()).stderr(Stdio::inherit());
        let mut process = Process::spawn(&mut command);
        let lines = process.lines();
        Script { process, lines }
    }

    fn line(&self) -> String {
        self.lines.next(Instant::now() + BOUND).expect("the script says more")
    }

    fn result(mut self) -> Value {
        let result = serde_json::from_str(&self.line()).expect("JSON");
        assert!(self.process.wait().success());
        result
    }
}

/// Publishes as the old generators did; acknowledged messages by client id.
pub fn publish(python: &Path, broker: SocketAddr, arguments: &str) -> Value {
    let script = Script::start(python, "old_publisher.py", broker, arguments);
    script.result()["acked"].take()
}

/// A subscriber that reads as the old one did.
pub struct Subscriber(Script);

impl Subscriber {
    pub fn start(python: &Path, broker: SocketAddr, arguments: &str) -> Subscriber {
        Subscriber(Script::start(python, "old_subscriber.py", broker, arguments))
    }

    /// What it has heard once everything it expected was there.
    pub fn complete(self) -> Value {
        assert_eq!(self.0.line(), "complete");
        self.0.process.interrupt();
        self.0.result()
    }
}
