//! The search for a capacity against a broker whose capacity is known: the reflector with a script.

#[path = "brokers/process.rs"]
#[allow(dead_code, reason = "another test needs the rest")]
mod process;

use malaria_bench::record::{CapacityRecord, Grade, Purpose};
use process::{BOUND, Process, piped};
use std::io::Write;
use std::process::Command;
use std::time::Instant;

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");

/// One CPU for the generator, and another one for the broker.
fn on(by: &[&str], last: bool) -> Command {
    let allowed = malaria_bench::cpu::allowed();
    let cpu = if last { allowed[allowed.len() - 1] } else { allowed[0] };
    let mut command = piped("taskset");
    command.args(["--cpu-list", &cpu.to_string()]).args(by).arg(BENCH);
    command
}

/// A reflector that does what `script` says, and where it listens.
fn reflector(script: &str) -> (Process, String) {
    reflector_of(&[], script)
}

/// The same, started by another program.
fn reflector_of(by: &[&str], script: &str) -> (Process, String) {
    let mut file = tempfile::NamedTempFile::new().expect("a place for files");
    file.write_all(script.as_bytes()).expect("room for a few bytes");
    let path = file.path().to_str().expect("plain letters");
    let mut process =
        Process::spawn(on(by, true).args(["reflector", "--port", "0", "--cores", "1", "--script", path]));
    let line = process.lines().next(Instant::now() + BOUND).expect("it says where it listens");
    let port = line.split_whitespace().find_map(|word| word.strip_prefix("127.0.0.1:"));
    let port = port.unwrap_or_else(|| panic!("no address in `{line}`")).to_owned();
    (process, port)
}

/// A search with these flags: its record, the summary, and how it ended.
fn search(port: &str, flags: &str) -> (CapacityRecord, String, Option<i32>) {
    let arguments = format!("capacity --port {port} --cores 1 --progress never --json - {flags}");
    let mut process = Process::spawn(on(&[], false).args(arguments.split_whitespace()));
    let (stdout, stderr) = process.output();
    let code = process.wait().code();
    let (text, said) = (stdout.text(), stderr.text());
    let record = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{said}"));
    (record, said, code)
}

/// Short trials, so that a test takes seconds; the truth is 2,000 a second.
const SHORT: &str = "--clients 20 --max 20k --min 500 --duration 500ms --warmup 200ms --trials 3 --width 5% --confirm 1s --curve 0 --tolerance 2ms";

#[test]
fn the_capacity_of_a_broker_is_found() {
    let (_reflector, port) = reflector("rate = '2k'");
    let (record, said, code) = search(&port, SHORT);
    let result = &record.results[0];
    assert_eq!((code, record.exit_code), (Some(i32::from(record.exit_code)), record.exit_code));
    assert!(matches!(record.exit_code, 0 | 9), "{said}");
    // A trial that somebody else's work made void is tried again; a search that found nothing else says so.
    if record.exit_code == 0 {
        let share = result.capacity.expect("it is regular") / 2000.0;
        assert!((0.85..=1.06).contains(&share), "{share} of the truth: {said}");
        assert!(said.starts_with("CAPACITY, "), "{said}");
    }
    let first = &record.trials[0];
    assert!(first.offered == 20_000.0 && first.grade != Grade::Good, "{first:?}");
    assert!(record.trials.iter().any(|trial| trial.purpose == Purpose::Confirm) || record.exit_code == 9);
    assert!(
        record.trials.iter().filter(|trial| trial.grade == Grade::Bad).all(|trial| !trial.reason.is_empty())
    );
}

/// What no rate can keep is no capacity, and neither is the highest rate that was to be tried.
#[test]
fn what_is_no_capacity_is_told_apart() {
    let (_reflector, port) = reflector("rate = '100k'");
    let flags = SHORT.replace("--max 20k", "--max 1k");
    let (record, said, code) = search(&port, &flags);
    assert_eq!(code, Some(9), "{said}");
    assert!(record.exit_reason.contains("at least 1,000/s, the most that was"), "{}", record.exit_reason);
    assert!(said.starts_with("INCONCLUSIVE, at least 1,000/s, exit code 9"), "{said}");
}

/// A broker that takes care of 400 CONNECT packets a second.
#[test]
fn the_connects_that_a_broker_does_a_second_are_found() {
    let (_reflector, port) = reflector("rate = '400'\nrate_of = 'connect'");
    let flags = "--over connect-rate --max 2k --duration 1s --trials 1 --width 5% --confirm 0 --curve 0";
    let (record, said, code) = search(&port, flags);
    assert!(matches!(code, Some(0 | 6 | 9)), "{said}");
    let (first, result) = (&record.trials[0], &record.results[0]);
    assert_eq!((first.offered, record.plan.clients), (2000.0, 2000));
    assert!(first.done < 460.0, "{first:?}");
    // Elsewhere on the machine there may be others.
    if code == Some(0) {
        let share = result.capacity.expect("it is regular") / 400.0;
        assert!((0.85..=1.1).contains(&share), "{share} of the truth: {said}");
        assert!(said.starts_with("CAPACITY, ") && said.contains("connects/s"), "{said}");
    }
}

/// A broker that has room for a number of clients.
#[test]
fn the_clients_that_a_broker_has_room_for_are_found() {
    let (_reflector, port) = reflector_of(&["prlimit", "--nofile=300:300"], "");
    let flags = "--over clients --topology idle --max 600 --width 5% --connect-timeout 1s --duration 300ms --warmup 0 --trials 1 \
                 --confirm 0 --curve 0";
    let (record, said, code) = search(&port, flags);
    assert!(matches!(code, Some(0 | 9)), "{said}");
    let (first, result) = (&record.trials[0], &record.results[0]);
    assert!(first.offered == 600.0 && first.grade == Grade::Bad, "{first:?}");
    let (capacity, room) = (result.capacity.expect("some have room"), first.done);
    assert!(capacity <= 300.0 && capacity >= 0.9 * room.min(300.0), "{capacity} of {room}: {said}");
    assert_eq!(capacity.fract(), 0.0);
    assert!(record.trials.iter().all(|trial| trial.done <= 300.0), "{said}");
}

/// A broker that keeps waiting what it cannot do yet, so that short trials would overrate it.
#[test]
#[ignore = "a quarter of an hour on a machine that is left alone"]
fn the_capacity_is_found_to_a_hundredth_in_twenty_seeds_for_long() {
    let flags = "--clients 20 --max 20k --duration 1s --warmup 300ms --trials 5 --width 1% --confirm 0 --curve 0 --tolerance 2ms";
    let shares = (1..=20).filter_map(|seed| {
        let (_reflector, port) = reflector("rate = '5k'");
        let (record, said, _) = search(&port, &format!("{flags} --seed {seed}"));
        let result = &record.results[0];
        eprintln!("{:?} {}", result.capacity, result.reason);
        let share = result.capacity.map(|capacity| capacity / 5000.0).filter(|_| result.regular)?;
        assert!((0.98..=1.01).contains(&share), "{share} of the truth: {said}");
        Some(share)
    });
    let found = shares.count();
    assert!(found >= 10, "the machine was left alone in {found} of 20 searches: too few to tell");
}
