//! The program `malaria`, and what it leaves behind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::process::{Collected, Process, piped};

/// A command line.
pub struct Malaria {
    pub command: Command,
    json: PathBuf,
    folder: tempfile::TempDir,
}

/// A command under way.
pub struct Running {
    pub process: Process,
    stdout: Collected,
    stderr: Collected,
    json: PathBuf,
    /// Holds what it writes.
    _folder: tempfile::TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    /// Standard output and standard error, with single spaces.
    pub text: String,
    /// Standard output as it came.
    pub stdout: String,
    /// What `--json` got.
    json: Option<Value>,
}

/// Where the program is.
fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_malaria").into()
}

impl Malaria {
    /// With these arguments, parted by spaces, and nothing else.
    pub fn bare(arguments: &str) -> Malaria {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let json = folder.path().join("result.json");
        let mut command = piped(program());
        command.args(arguments.split_whitespace()).env_remove("MALARIA_PASSWORD");
        Malaria { command, json, folder }
    }

    /// The main job of malaria-bench.
    #[cfg(feature = "psk")]
    pub fn of_bench(arguments: &str) -> Malaria {
        let malaria = Malaria::bare(arguments);
        let mut command = piped(env!("CARGO_BIN_EXE_malaria-bench"));
        command.args(arguments.split_whitespace()).env_remove("MALARIA_PASSWORD");
        Malaria { command, ..malaria }
    }

    /// Against `broker`, as the old tool's users say it.
    pub fn plain(broker: SocketAddr, arguments: &str) -> Malaria {
        let mut malaria = Malaria::bare(arguments);
        malaria.command.args(["-H", &broker.ip().to_string(), "-p", &broker.port().to_string()]);
        malaria
    }

    /// Against `broker`, with a result to read.
    pub fn against(broker: SocketAddr, arguments: &str) -> Malaria {
        Malaria::plain(broker, arguments).with_result()
    }

    /// The same with a result to read.
    pub fn with_result(mut self) -> Malaria {
        self.command.arg("--json").arg(&self.json);
        self
    }

    pub fn start(mut self) -> Running {
        let mut process = Process::spawn(&mut self.command);
        let (stdout, stderr) = process.output();
        Running { process, stdout, stderr, json: self.json, _folder: self.folder }
    }

    pub fn run(self) -> Finished {
        self.start().end()
    }
}

/// Publishers that do not wait before they start.
pub fn publish(broker: SocketAddr, arguments: &str) -> Malaria {
    Malaria::against(broker, &format!("publish -c load --stagger 0 {arguments}"))
}

impl Running {
    pub fn end(mut self) -> Finished {
        let status = self.process.wait();
        let code = status.code().unwrap_or_else(|| panic!("ended by a signal: {status}"));
        let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
        assert!(!stderr.contains("panicked"), "{stderr}");
        // Columns are aligned with spaces.
        let words: Vec<&str> = stdout.split_whitespace().chain(stderr.split_whitespace()).collect();
        let text = words.join(" ");
        let written = std::fs::read_to_string(&self.json).unwrap_or_default();
        let json = (!written.is_empty()).then(|| serde_json::from_str(&written).expect("whole JSON"));
        Finished { code, text, stdout, json }
    }
}

impl Finished {
    /// Everything asked was done. That a busy test machine was late with it (exit code 6) changes nothing
    /// about what was delivered.
    #[track_caller]
    pub fn went_well(self) -> Finished {
        assert!(matches!(self.code, 0 | 6), "exit {}: {}", self.code, self.text);
        self
    }

    #[track_caller]
    pub fn ends(self, code: i32) -> Finished {
        assert_eq!(self.code, code, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn says(&self, words: &str) -> &Finished {
        assert!(self.text.contains(words), "`{words}` is not said: {}", self.text);
        self
    }

    /// A key of the result, as malaria called it.
    #[track_caller]
    pub fn key(&self, key: &str) -> &Value {
        let json = self.json.as_ref().unwrap_or_else(|| panic!("no result: {}", self.text));
        json.get(key).unwrap_or_else(|| panic!("no {key} in {json:#}"))
    }

    /// The same as a number.
    #[track_caller]
    pub fn number(&self, key: &str) -> f64 {
        number(self.key(key))
    }

    /// Every message of every client arrived once.
    #[track_caller]
    pub fn heard_all(&self, clients: u32, messages: u64) -> &Finished {
        assert_eq!(self.key("client_count"), clients, "{}", self.text);
        assert_eq!(self.key("msg_count"), messages, "{}", self.text);
        assert_eq!(self.key("test_complete"), true, "{}", self.text);
        let missing = self.key("msg_missing").as_object().expect("lists by client id");
        assert!(missing.values().all(|ids| ids == &serde_json::json!([])), "{missing:?}");
        assert_eq!(self.key("msg_duplicates").as_array().map(Vec::len), Some(0));
        self
    }

    /// Every message was acknowledged.
    #[track_caller]
    pub fn published_all(&self, messages: u64) -> &Finished {
        assert_eq!(self.key("count_ok"), messages, "{}", self.text);
        assert_eq!(self.key("count_total"), messages, "{}", self.text);
        assert_eq!(self.number("rate_ok"), 1.0, "{}", self.text);
        self
    }
}

#[track_caller]
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}
