//! What a run leaves for others, read by those: JUnit by Jenkins's schema, histograms by HdrHistogram's Python library,
//! the action and its workflow by the schemas of GitHub. `tools/test` installs the readers.

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use malaria_bench::record::Record;
use malaria_bench::stats::Histogram;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");

/// A file of the environment in which tools/test puts readers, or one that is anywhere; or nothing and a word about it; where
/// that must not be, the end.
fn reader(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is missing: run tools/test");
    writeln!(std::io::stderr(), "SKIPPED: {name} is missing: run tools/test").expect("standard error");
    None
}

#[track_caller]
fn well(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A run against the built-in broker with everything that it can leave; how this machine fares is no matter.
fn run(folder: &Path) -> Record {
    let mut command = Command::new(BENCH);
    command
        .args("--embedded --clients 10 --rate 2k --duration 2s --warmup 200ms --tolerance 200ms".split(' '));
    command.args("--quiet --json run.json --junit junit.xml --hlog run.hlog --github-summary".split(' '));
    command.args(["--require", "ack p50 < 5s", "--require", "ack p99.99 < 1s", "--require", "sent < 1/s"]);
    let output =
        command.current_dir(folder).env("GITHUB_STEP_SUMMARY", "summary.md").output().expect("it is built");
    let code = output.status.code();
    assert!(matches!(code, Some(6 | 7)), "{code:?}: {}", String::from_utf8_lossy(&output.stderr));
    Record::from_json(&read(&folder.join("run.json"))).expect("a record")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// R18: the seconds of the log are the distribution of the record, bucket for bucket.
#[test]
fn r18_a_log_of_seconds_adds_up_to_the_record() {
    let folder = tempfile::tempdir().expect("a directory");
    let record = run(folder.path());
    let text = read(&folder.path().join("run.hlog"));
    let mut sums: BTreeMap<String, Histogram> = BTreeMap::new();
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        if let LogEntry::Interval(one) = entry.unwrap_or_else(|error| panic!("{error:?}: {text}")) {
            let tag = one.tag().expect("each has one").as_str().to_owned();
            let histogram = Histogram::from_base64_v2(one.encoded_histogram(), 0).expect("HDR V2");
            sums.entry(tag).or_default().merge(&histogram);
        }
    }
    for (name, latency) in record.latencies.iter().filter(|(_, latency)| latency.count > 0) {
        let sum = sums.remove(name).unwrap_or_else(|| panic!("{name} is not there"));
        assert_eq!(sum, latency.histogram().expect("ours"), "{name}");
    }
    assert!(sums.is_empty(), "{:?}", sums.keys());
    let Some(python) = reader("bin/python") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports/hlog.py");
    let theirs =
        well(&Command::new(python).arg(script).arg(folder.path().join("run.hlog")).output().expect("Python"));
    for (name, latency) in record.latencies.iter().filter(|(_, latency)| latency.count > 0) {
        let sum = latency.histogram().expect("ours");
        let ours = format!("{name} {} {} {}\n", sum.count(), sum.quantile(0.5), sum.max());
        assert!(theirs.contains(&ours), "{ours}{theirs}");
    }
}

/// The log as HdrHistogram itself reads it, by Debian's package: each of its lines of percentiles is one of ours.
#[test]
fn r18_what_hdrhistogram_makes_of_a_log_is_what_we_make_of_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let record = run(folder.path());
    let Some(library) = reader("/usr/share/java/hdrhistogram.jar") else { return };
    let within = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(folder.path());
        command
    };
    well(&within(BENCH).args(["report", "run.json", "--hgrm", "ours"]).output().expect("it is built"));
    let processor = |arguments: &[&str]| {
        let mut command = within("java");
        command.arg("-cp").arg(&library).arg("org.HdrHistogram.HistogramLogProcessor");
        well(&command.args(["-i", "run.hlog"]).args(arguments).output().expect("Java"))
    };
    for (name, latency) in record.latencies.iter().filter(|(_, latency)| latency.count > 0) {
        let theirs = lines(&processor(&["-tag", name, "-outputValueUnitRatio", "1"]), 1.0);
        let ours = lines(&read(&folder.path().join(format!("ours/run-{name}.hgrm"))), 1e6);
        let last = *theirs.last().unwrap_or_else(|| panic!("{name} is not there"));
        assert_eq!(last, (latency.max_ns.expect("a maximum"), latency.count), "{name}");
        for line in &theirs {
            assert!(ours.contains(line), "{name}: {line:?} is not among {ours:?}");
        }
    }
}

/// Values in nanoseconds, of which one is `unit`, and how many are not above them.
fn lines(text: &str, unit: f64) -> Vec<(u64, u64)> {
    let numbers = |line: &str| {
        let words: Vec<f64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        Some(((words.first()? * unit).round() as u64, *words.get(2)? as u64))
    };
    text.lines().filter_map(numbers).collect()
}

#[test]
fn junit_is_as_jenkins_has_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let record = run(folder.path());
    let xml = read(&folder.path().join("junit.xml"));
    assert!(xml.contains("<testsuite name=\"run\" tests=\"4\""), "{xml}");
    assert!(xml.contains("name=\"ack p99.99 &lt; 1s\""), "{xml}");
    assert_eq!(xml.contains("<error type=\"generator-limited\""), record.exit_code == 6, "{xml}");
    let summary = read(&folder.path().join("summary.md"));
    assert!(
        summary.starts_with("\n### malaria-bench\n\n| run |") && summary.contains("| sent &lt; 1/s |"),
        "{summary}"
    );
    let again =
        Command::new(BENCH).args(["report", "run.json", "--junit", "-"]).current_dir(folder.path()).output();
    assert_eq!(well(&again.expect("it is built")), xml, "later it is the same");
    let (Some(python), Some(schema)) = (reader("bin/python"), reader("junit-10.xsd")) else { return };
    let script = "import sys, xmlschema; xmlschema.XMLSchema(sys.argv[1]).validate(sys.argv[2])";
    let junit = folder.path().join("junit.xml");
    well(&Command::new(python).args(["-c", script]).arg(schema).arg(junit).output().expect("Python"));
}

#[test]
fn the_action_is_as_github_has_it() {
    let Some(checker) = reader("bin/check-jsonschema") else { return };
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/action");
    for (schema, file) in
        [("github-actions", "action.yml"), ("github-workflows", "example.yml"), ("gitlab-ci", "gitlab.yml")]
    {
        let mut command = Command::new(&checker);
        command.args(["--builtin-schema", &format!("vendor.{schema}"), "--data-transform", "gitlab-ci"]);
        well(&command.arg(here.join(file)).output().expect("it is there"));
    }
    // Whatever flags the action gives, the program has.
    let help = |words: &[&str]| {
        let output = Command::new(BENCH).args(words).arg("--help").output();
        well(&output.expect("it is built"))
    };
    let known = help(&[]) + &help(&["report"]);
    let all = ["action.yml", "example.yml", "gitlab.yml"].map(|file| read(&here.join(file))).concat();
    let flags = all.split([' ', '\n', '"']).filter(|word| word.starts_with("--") && word.len() > 2);
    let ours = flags.filter(|flag| !["--quiet", "--locked", "--path", "--root", "--git"].contains(flag));
    let unknown: Vec<&str> =
        ours.filter(|flag| !known.split_whitespace().any(|word| word == *flag)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// A folder of results, such as that of a scenario, is read as its records; what a generator at its limit had is in no
/// history.
#[test]
fn folders_are_read_and_void_runs_leave_no_figures() {
    let folder = tempfile::tempdir().expect("a directory");
    let inner = folder.path().join("results/one");
    std::fs::create_dir_all(&inner).expect("room");
    let mut record = run(&inner);
    let program = |words: &[&str]| {
        let output = Command::new(BENCH).args(words).current_dir(folder.path()).output();
        output.expect("it is built")
    };
    std::fs::write(folder.path().join("results/summary.json"), "{\"schema\": \"malaria-bench/scenario/1\"}")
        .expect("room");
    let table = well(&program(&["report", "results"]));
    assert_eq!(
        (table.lines().count(), table.lines().nth(1).map(|row| row.starts_with("run "))),
        (2, Some(true)),
        "{table}"
    );
    well(&program(&[
        "report",
        "results",
        "--hgrm",
        "hgrm",
        "--series",
        "series.csv",
        "--markdown",
        "all.md",
    ]));
    assert!(read(&folder.path().join("hgrm/run-ack_response.hgrm")).contains("#[Max "));
    assert_eq!(read(&folder.path().join("series.csv")).lines().count(), record.series.len() + 1);
    record.plan.schedule = malaria_bench::record::Schedule::Closed { inflight: 1 };
    record.generator.workers.iter_mut().for_each(|worker| worker.busy_share = 0.99);
    std::fs::write(inner.join("run.json"), serde_json::to_string(&record).expect("plain data"))
        .expect("room");
    let output = program(&["report", "results", "--bencher", "-"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{}\n");
    assert_eq!(program(&["report", "hgrm"]).status.code(), Some(2), "no record in it");
}
