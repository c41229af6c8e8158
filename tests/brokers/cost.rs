//! What a run cost the broker, held against what the kernel says of its process.

use crate::bench::{command, start};
use crate::broker::{Broker, Kind};
use crate::process::{BOUND, Process, piped};
use malaria_bench::record::{BoundState, BrokerCost, By, Phase, Record};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Instant;

const LOAD: &str = "--clients 100 --rate 1000 --warmup 200ms --tolerance 200ms";

/// Nanoseconds on a CPU since it began: mosquitto has one thread.
fn ran(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs");
    text.split_whitespace().next().and_then(|ran| ran.parse().ok()).expect("a number")
}

fn cost(record: &Record) -> &BrokerCost {
    record.broker_cost.as_ref().expect("it was watched")
}

/// Found by its port or named: the figures are of that process, no more than it had, and all of it.
#[test]
fn the_cost_of_a_broker_is_what_the_kernel_says() {
    let Some(broker) = Broker::start(Kind::Mosquitto) else { return };
    for (flags, by) in [(String::new(), By::Port), (format!("--broker-pid {}", broker.pid()), By::Pid)] {
        let before = ran(broker.pid());
        let record = start(command(broker.address(), &format!("{LOAD} --duration 1s {flags}"))).record();
        let had = ran(broker.pid()) - before;
        let cost = cost(&record);
        let [watched] = &cost.watched[..] else { panic!("{cost:?}") };
        assert_eq!((watched.by, watched.name.as_str(), watched.pid), (by, "mosquitto", Some(broker.pid())));
        let whole = cost.whole.expect("it outlived the run");
        let phases: u64 = cost.phases.iter().map(|cost| cost.used.expect("it lived").cpu_ns()).sum();
        assert!(phases <= whole.cpu_ns() && whole.cpu_ns() <= had, "{phases} {whole:?} {had}");
        let names: Vec<Phase> = cost.phases.iter().map(|cost| cost.phase).collect();
        assert_eq!(names, record.phases.iter().map(|times| times.phase).collect::<Vec<_>>());
        let measured = cost.measured().expect("it lived");
        assert_eq!(cost.messages, record.throughput.sent + record.throughput.delivered);
        assert_eq!(cost.cpu_per_message_ns, Some(measured.cpu_ns() / cost.messages));
        // 100 sockets, and those it had before.
        assert!(cost.most_descriptors.is_some_and(|most| most > 100), "{cost:?}");
        assert!(cost.most_bytes >= cost.at_first_bytes && cost.at_first_bytes > Some(1 << 20), "{cost:?}");
        assert!(measured.voluntary_switches > Some(0), "{cost:?}");
        let seconds: u64 = record.series.iter().map(|second| second.broker.expect("it lived").cpu_ns()).sum();
        // The last second may be looked at a moment after the whole.
        assert!(0 < seconds && seconds <= had, "{seconds} {whole:?} {had}");
    }
}

/// Who ends during the run has no figures from then on, and no bound on them holds.
#[test]
fn a_broker_that_ends_during_the_run_has_no_figures() {
    let Some(broker) = Broker::start(Kind::Mosquitto) else { return };
    // It ends when its input does.
    let mut watched =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it runs");
    let flags = format!(
        "{LOAD} --duration 3s --broker-pid {} --broker-pid {} --progress always",
        watched.id(),
        broker.pid()
    );
    let mut run = piped(env!("CARGO_BIN_EXE_malaria-bench"));
    run.args(["--host", &broker.address().to_string(), "--require", "broker-cpu-per-message < 1s"]);
    run.args(flags.split_whitespace());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.json");
    run.arg("--json").arg(&file);
    // Progress is on standard error, the summary on standard output.
    run.stdout(Stdio::null());
    let mut process = Process::spawn(&mut run);
    let lines = process.errors();
    // The first is about memory, before anybody is watched.
    let is_second = |line: &String| line.contains("connected");
    let mut seconds = std::iter::from_fn(|| lines.next(Instant::now() + BOUND));
    seconds.find(is_second).expect("a second is over");
    drop(watched.stdin.take());
    watched.wait().expect("a child");
    let code = process.wait().code();
    let record = Record::from_json(&std::fs::read_to_string(&file).expect("a record")).expect("a record");
    assert!([Some(7), Some(6)].contains(&code), "{code:?}: {}", record.exit_reason);
    let cost = cost(&record);
    assert_eq!((cost.watched.len(), cost.whole, cost.measured()), (2, None, None));
    assert_eq!(cost.cpu_per_message_ns, None);
    assert!(cost.of(Phase::Connect).is_some(), "it lived until then");
    assert_eq!(record.series.last().expect("seconds").broker, None);
    assert!(matches!(record.bounds[0].result, BoundState::NotMeasured | BoundState::Void));
    assert_eq!(record.bounds[0].reason.as_deref(), Some("the broker ended before the run did"));
}

/// A broker that is not there is told of before the first packet.
#[test]
fn who_is_not_there_is_told_of_before_anything_is_sent() {
    let mut ended = Command::new("true").spawn().expect("it runs");
    ended.wait().expect("a child");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let broker: SocketAddr = listener.local_addr().expect("bound");
    for (flags, words) in [
        (format!("--broker-pid {}", ended.id()), "there is no such process"),
        ("--broker-cgroup /nobody/has/that".to_owned(), "no control group"),
        ("--broker-container nobody-has-that".to_owned(), "docker inspect"),
    ] {
        let run = start(command(broker, &format!("{LOAD} --duration 1s {flags}"))).end();
        assert_eq!(run.code, 3, "{}", run.said);
        assert!(run.said.contains(words) && run.said.lines().count() == 1, "{}", run.said);
        let nobody = listener.accept().expect_err("nobody has connected");
        assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    }
}

/// The reflector in this process: what it uses cannot be told from the generator's.
#[test]
fn the_embedded_reflector_has_no_cost_of_its_own() {
    let mut run = piped(env!("CARGO_BIN_EXE_malaria-bench"));
    run.args(["--embedded", "--json", "-"]).args(LOAD.split_whitespace()).args(["--duration", "1s"]);
    assert_eq!(start(run).record().broker_cost, None);
}
