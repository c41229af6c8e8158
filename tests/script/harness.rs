//! A reflector that plays a script, a load against it, and what each of them says of it.

use crate::process::{BOUND, Lines, Process, piped};
use malaria_bench::record::{Counters, Finished, Latency, Record, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");

/// One CPU for the generator, and another one for the broker, where there are two.
pub fn cpus() -> (usize, usize) {
    let allowed = malaria_bench::cpu::allowed();
    (allowed[0], allowed[allowed.len() - 1])
}

fn on(cpu: usize, arguments: &[&str]) -> Command {
    let mut command = piped("taskset");
    command.args(["--cpu-list", &cpu.to_string(), BENCH]).args(arguments);
    command
}

/// The script of this name in the gallery.
pub fn gallery(name: &str) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scripts").join(name).with_extension("toml");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A broker that does what a script says.
pub struct Scripted {
    process: Process,
    said: Lines,
    pub address: String,
    folder: tempfile::TempDir,
}

impl Scripted {
    pub fn start(script: &str) -> Scripted {
        let folder = tempfile::TempDir::new().expect("a folder");
        let log = log(&folder);
        Scripted::logging(script, folder, &log)
    }

    fn logging(script: &str, folder: tempfile::TempDir, log: &Path) -> Scripted {
        let file = folder.path().join("script.toml");
        std::fs::write(&file, script).expect("it can be written");
        let [file, log] = [&file, log].map(|path| path.to_str().expect("text").to_owned());
        let errors = std::fs::File::create(folder.path().join("errors")).expect("a file");
        let words = ["reflector", "--port", "0", "--cores", "1", "--script", &file, "--log", &log];
        let mut process = Process::spawn(on(cpus().1, &words).stderr(errors));
        let said = process.lines();
        let line = said.next(Instant::now() + BOUND).expect("it says where it listens");
        let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:"));
        let address = address.unwrap_or_else(|| panic!("no address in `{line}`")).to_owned();
        Scripted { process, said, address, folder }
    }

    /// Ends it, and reads what it says that it did.
    pub fn stop(mut self) -> Log {
        self.process.interrupt();
        assert!(self.process.wait().success());
        let text = std::fs::read_to_string(log(&self.folder)).expect("a log was asked for");
        let log = Log::parse(&text);
        let last = std::iter::from_fn(|| self.said.next(Instant::now() + BOUND)).last().expect("what it did");
        log.agrees_with(last.strip_prefix("by the script: ").expect("what the script did"));
        log
    }

    /// It ends by itself, and says why.
    fn fails(mut self) -> (Option<i32>, String) {
        let code = self.process.wait().code();
        (code, std::fs::read_to_string(self.folder.path().join("errors")).expect("what it said"))
    }
}

fn log(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("log.json")
}

/// What the reflector says that it did.
pub struct Log {
    totals: serde_json::Value,
    events: Vec<serde_json::Value>,
}

impl Log {
    fn parse(text: &str) -> Log {
        let mut lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let totals = lines.pop().expect("the totals")["totals"].take();
        let log = Log { totals, events: lines };
        // Each deed has its line.
        let mut counted = BTreeMap::new();
        for event in &log.events {
            *counted.entry(event["did"].as_str().expect("what was done").to_owned()).or_insert(0u64) += 1;
        }
        for (deed, count) in &counted {
            assert_eq!(log.did(deed), *count, "{deed}");
        }
        log
    }

    /// What is told at the end is what was logged: `4 dropped, 7 duplicated`.
    fn agrees_with(&self, told: &str) {
        let deeds: Vec<_> = told.split(", ").filter(|told| *told != "nothing was done").collect();
        for deed in &deeds {
            let (count, name) = deed.split_once(' ').expect("a count and a name");
            assert_eq!(count.replace(',', ""), self.did(name).to_string(), "{told}");
        }
        let done: BTreeSet<_> =
            self.events.iter().map(|event| &event["did"]).map(ToString::to_string).collect();
        assert!(done.len() <= deeds.len(), "{done:?} and `{told}`");
    }

    /// How often this was done.
    pub fn did(&self, deed: &str) -> u64 {
        self.totals[deed].as_u64().unwrap_or(0)
    }

    /// Messages by QoS.
    pub fn sum(&self, what: &str) -> u64 {
        self.totals[what]
            .as_array()
            .expect("by QoS")
            .iter()
            .map(|count| count.as_u64().expect("a count"))
            .sum()
    }

    /// When, in nanoseconds since the first message, this was done.
    pub fn times(&self, deed: &str) -> Vec<u64> {
        let events = self.events.iter().filter(|event| event["did"] == deed);
        events.map(|event| event["at_ns"].as_u64().expect("a time")).collect()
    }
}

/// A load against a broker; it is on the generator's CPU.
pub fn load(broker: &Scripted, arguments: &str) -> Record {
    let mut words: Vec<&str> = arguments.split_whitespace().collect();
    words.extend(["--cores", "1", "--json", "-", "--quiet", "--host", &broker.address]);
    let mut process = Process::spawn(on(cpus().0, &words).stdin(Stdio::null()));
    let (stdout, said) = process.output();
    let code = process.wait().code();
    let record = Finished::from_json(&stdout.text());
    let Finished::Run(run) = record.unwrap_or_else(|error| panic!("{error}: {}", said.text())) else {
        panic!("a run")
    };
    assert_eq!(code, Some(i32::from(run.exit_code)));
    assert_eq!(run.counts.due, run.counts.sent + run.counts.shed + run.counts.unfinished, "{:?}", run.counts);
    *run
}

/// A log that cannot be written ends the broker, and says which.
#[test]
fn a_log_that_takes_nothing_more_ends_the_broker() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let broker = Scripted::logging("[[fault]]\non = 'delivery'\ndo = 'drop'", folder, Path::new("/dev/full"));
    load(&broker, "--clients 2 --rate 100 --warmup 0 --duration 1s --drain-limit 1s");
    let (code, said) = broker.fails();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("--log /dev/full") && said.contains("choose a path"), "{said}");
}

/// A load against a broker that plays `script`.
pub fn play(script: &str, arguments: &str) -> (Record, Log) {
    let broker = Scripted::start(script);
    let record = load(&broker, arguments);
    (record, broker.stop())
}

impl Log {
    /// It is what the table has under `name`: the simulated world has the same. (A message of QoS 0 has no
    /// acknowledgement.)
    #[track_caller]
    pub fn is(&self, name: &str, qos: u8) {
        let accounts: serde_json::Value =
            serde_json::from_str(include_str!("accounts.json")).expect("a table");
        let mut known = accounts[name].as_object().expect("accounts of deeds").clone();
        if qos == 0 {
            known.insert("acked".into(), 0.into());
        }
        let mut told = self.totals.as_object().expect("totals").clone();
        for of_sound_brokers in ["connects", "received", "sent"] {
            told.remove(of_sound_brokers);
        }
        assert_eq!(told, known, "{name} at QoS {qos}");
    }
}

/// All that a run of pairs without losses of connections says of messages is what the broker did.
#[track_caller]
pub fn agree(record: &Record, log: &Log) {
    let counts = &record.counts;
    let deeds = |deeds: &[&str]| deeds.iter().map(|deed| log.did(deed)).sum::<u64>();
    let harmed = deeds(&["cut", "flipped"]);
    let told = [
        ("sent", counts.sent, log.sum("received")),
        ("acked", counts.acked, if record.plan.qos > 0 { log.did("acked") } else { 0 }),
        ("routed", counts.expected, log.did("routed")),
        ("missing", counts.lost + counts.undelivered_at_end, harmed + deeds(&["dropped", "misrouted"])),
        ("duplicated", counts.duplicated, deeds(&["duplicated", "repeated"])),
        ("reordered", counts.reordered, log.did("swapped")),
        ("corrupted", counts.corrupted, harmed),
        ("misrouted", counts.misrouted, log.did("misrouted")),
        ("refused", counts.refused.iter().sum(), log.did("refused")),
        ("foreign", counts.foreign, 0),
        ("untold", counts.untold, 0),
    ];
    for (what, ours, theirs) in told {
        assert_eq!(ours, theirs, "{what}: {counts:?}, {}", log.totals);
    }
    assert_eq!(counts.delivered, counts.expected - counts.lost - counts.undelivered_at_end, "{counts:?}");
}

/// The generator was not in its own way, or something else was on its CPU and it says so.
#[allow(dead_code, reason = "one of the files needs it")]
pub fn is_blamed(record: &Record) -> bool {
    record.verdict == Verdict::GeneratorLimited
}

pub fn ms(nanos: Option<u64>) -> f64 {
    nanos.map_or(f64::INFINITY, |nanos| nanos as f64 / 1e6)
}

#[allow(dead_code, reason = "one of the files needs it")]
pub type Counted = Counters;
#[allow(dead_code, reason = "one of the files needs it")]
pub type Timed = Latency;
