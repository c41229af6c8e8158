//! The built binary, run with a bound on time, and what every run has to keep.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use malaria_bench::record::{Record, Schedule};

use crate::broker::Broker;

/// Nothing here takes this long on a machine that works.
const BOUND: Duration = Duration::from_secs(30);

/// A command line of malaria-bench.
pub struct Bench {
    command: Command,
    json: PathBuf,
    /// Dropped with the run.
    _directory: tempfile::TempDir,
    broker: Option<Broker>,
}

impl Bench {
    /// With these arguments and nothing else.
    pub fn bare(arguments: &str) -> Bench {
        let directory = tempfile::tempdir().expect("a directory for the record");
        let json = directory.path().join("record.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_malaria-bench"));
        command.args(arguments.split_whitespace()).env_remove("MALARIA_PASSWORD");
        Bench { command, json, _directory: directory, broker: None }
    }

    /// With a record.
    pub fn recorded(arguments: &str) -> Bench {
        let mut bench = Bench::bare(arguments);
        bench.command.arg("--json").arg(&bench.json);
        bench
    }

    /// Against `broker`, with a record. The tolerance keeps a busy test machine out of the verdict: it is
    /// what wake-ups may lag.
    pub fn against(broker: SocketAddr, arguments: &str) -> Bench {
        Bench::recorded(&format!("-H {broker} --tolerance 200ms {arguments}"))
    }

    pub fn argument(mut self, argument: &str) -> Bench {
        self.command.arg(argument);
        self
    }

    /// Keeps `broker` for as long as it runs.
    pub fn keeping(mut self, broker: Broker) -> Bench {
        self.broker = Some(broker);
        self
    }

    /// Calls `prepare` in the child before the program starts.
    pub fn prepared(mut self, prepare: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) -> Bench {
        // SAFETY: the callers' closures make system calls and nothing else: no allocation, no lock.
        unsafe { self.command.pre_exec(prepare) };
        self
    }

    pub fn run(self) -> Outcome {
        self.start().wait()
    }

    /// Runs it until the generator was not the bottleneck, three times at most: of a run in which it was, the
    /// machine was busy with something else, and the figures say nothing.
    pub fn run_in_peace(bench: impl Fn() -> Bench) -> Outcome {
        let mut outcome = bench().run();
        for _ in 0..2 {
            // A fault of the broker's goes before that in the exit code.
            if outcome.code != Some(6) && !outcome.stdout.contains("GENERATOR-LIMITED") {
                break;
            }
            outcome = bench().run();
        }
        outcome
    }

    pub fn start(mut self) -> Running {
        let started = Instant::now();
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the binary is built");
        let stdout = collect(child.stdout.take().expect("piped"));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (to, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have seen enough.
                let _ = to.send(line);
            }
        });
        Running { child, stdout, lines, stderr: String::new(), started, signalled: None, bench: self }
    }
}

fn collect(mut stdout: ChildStdout) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).expect("the summary is UTF-8");
        text
    })
}

pub struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    lines: Receiver<String>,
    stderr: String,
    started: Instant,
    signalled: Option<Instant>,
    bench: Bench,
}

impl Running {
    /// Waits for a line on standard error that contains `text`.
    pub fn wait_for(&mut self, text: &str) {
        while !self.stderr.lines().any(|line| line.contains(text)) {
            let left = BOUND.saturating_sub(self.started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.stderr += &(line + "\n"),
                Err(_) => self.fail(&format!("it never said `{text}`")),
            }
        }
    }

    pub fn signal(&mut self, signal: libc::c_int) {
        self.signalled = Some(Instant::now());
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: a plain system call; the child has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "the process is still there");
    }

    /// Kills the child and fails the test.
    fn fail(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr.extend(self.lines.iter().map(|line| line + "\n"));
        panic!("after {:?} {why}; standard error:\n{}", self.started.elapsed(), self.stderr);
    }

    pub fn wait(mut self) -> Outcome {
        let (status, peak_memory) = loop {
            if let Some(ended) = reap(&self.child) {
                break ended;
            }
            if self.started.elapsed() > BOUND {
                self.fail("it hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = self.started.elapsed();
        let since_signal = self.signalled.map_or(took, |signalled| signalled.elapsed());
        self.stderr.extend(self.lines.iter().map(|line| line + "\n"));
        let stdout = self.stdout.join().expect("standard output is read to its end");
        let json = std::fs::read_to_string(&self.bench.json).unwrap_or_default();
        let record = (!json.is_empty()).then(|| serde_json::from_str(&json).expect("a whole record"));
        let outcome = Outcome {
            code: status.code(),
            status,
            stdout,
            stderr: self.stderr,
            record,
            took,
            peak_memory,
            since_signal,
        };
        outcome.check();
        outcome
    }
}

/// The child's status and peak memory in bytes, when it has ended.
fn reap(child: &Child) -> Option<(ExitStatus, u64)> {
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    let mut status = 0;
    // SAFETY: all zeros is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places outlive the call; the child is ours and not waited for anywhere else.
    let ended = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
    (ended == pid).then(|| (ExitStatus::from_raw(status), usage.ru_maxrss.cast_unsigned() << 10))
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    record: Option<Record>,
    pub took: Duration,
    /// From the last signal that it was sent to its end.
    pub since_signal: Duration,
    /// In bytes.
    pub peak_memory: u64,
}

impl Outcome {
    /// What holds however a run ends.
    fn check(&self) {
        assert!(self.code.is_some(), "ended by a signal ({}): {self:#?}", self.status);
        assert_ne!(self.code, Some(1), "an internal fault: {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let Some(record) = &self.record else { return };
        assert_eq!(self.code, Some(record.exit_code.into()), "the record and the process agree");
        assert_eq!(record.partial, record.partial_reason.is_some(), "{:?}", record.partial_reason);
        let counts = &record.counts;
        if matches!(record.plan.schedule, Schedule::Open { .. }) {
            let all = counts.sent + counts.shed + counts.unfinished;
            assert_eq!(counts.due, all, "every message due is sent, shed or unfinished");
        }
        let absent = counts.lost + counts.undelivered_at_end;
        assert_eq!(absent, counts.expected.saturating_sub(counts.delivered), "{counts:#?}");
        assert!(counts.delivered <= counts.expected, "{counts:#?}");
        assert_eq!(
            counts.connections_established,
            record.latencies.connack.count - counts.reconnects,
            "every first CONNACK is counted"
        );
    }

    pub fn record(&self) -> &Record {
        self.record.as_ref().unwrap_or_else(|| panic!("no record: {self:#?}"))
    }

    pub fn has_record(&self) -> bool {
        self.record.is_some()
    }

    /// Everything that was printed.
    pub fn text(&self) -> String {
        // The summary wraps its lines.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} {}", words(&self.stdout), words(&self.stderr))
    }

    /// The exit code, and words that have to be said.
    #[track_caller]
    pub fn ends(&self, code: i32, said: &[&str]) -> &Outcome {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        let text = self.text();
        for words in said {
            assert!(text.contains(words), "`{words}` is not said:\n{}\n{}", self.stdout, self.stderr);
        }
        self
    }

    /// The record is there and marked partial, and the summary is printed and says so.
    #[track_caller]
    pub fn is_partial(&self) -> &Outcome {
        assert!(self.record().partial, "{:#?}", self.record());
        if self.record().counts.connections_established > 0 {
            assert!(self.stdout.contains("PARTIAL"), "{}", self.stdout);
        }
        self
    }

    /// The end came within `bound`.
    #[track_caller]
    pub fn within(&self, bound: Duration) -> &Outcome {
        assert!(self.took < bound, "took {:?}:\n{}", self.took, self.stdout);
        self
    }

    /// At QoS 1 and 2, where no acknowledgement came after its timeout.
    #[track_caller]
    pub fn acks_account_for_what_was_sent(&self) -> &Outcome {
        let counts = &self.record().counts;
        assert_eq!(counts.sent, counts.acked + counts.ack_timeouts + counts.unacked_at_end, "{counts:#?}");
        self
    }
}
