//! Whose fault it is, told apart with the real thing: something else on the generator's CPU, a quota, a low
//! priority, a broker that stands still. The generator is on the first CPU that is allowed, the reflector on the last.

#[path = "brokers/process.rs"]
#[allow(dead_code, reason = "another test needs the rest")]
mod process;

use malaria_bench::record::{Finished, Verdict};
use process::{BOUND, Process, piped};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");

/// One CPU for the generator, and another one for everybody else.
fn cpus() -> (String, String) {
    let allowed = malaria_bench::cpu::allowed();
    assert!(allowed.len() > 1, "it takes two CPUs to tell who is on which");
    (allowed[0].to_string(), allowed[allowed.len() - 1].to_string())
}

fn on(cpu: &str, program: &str) -> Command {
    let mut command = piped("taskset");
    command.args(["--cpu-list", cpu, program]);
    command
}

/// Nothing but work, on the generator's CPU.
fn spinner() -> Process {
    Process::spawn(on(&cpus().0, "sh").args(["-c", "while :; do :; done"]))
}

/// A broker that listens.
struct Reflector {
    process: Process,
    address: String,
}

impl Reflector {
    fn start() -> Reflector {
        let mut process =
            Process::spawn(on(&cpus().1, BENCH).args(["reflector", "--port", "0", "--cores", "1"]));
        let line = process.lines().next(Instant::now() + BOUND).expect("it says where it listens");
        let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:"));
        let address = address.unwrap_or_else(|| panic!("no address in `{line}`")).to_owned();
        Reflector { process, address }
    }
}

fn signal(process: &Process, name: &str) {
    let status = Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// What came of one load.
struct Judged {
    verdict: Verdict,
    reasons: String,
    exit_code: u8,
    /// What it took itself.
    cpu: Duration,
}

impl Judged {
    fn of(mut process: Process) -> Judged {
        let (stdout, said) = process.output();
        let code = process.wait().code();
        let record =
            Finished::from_json(&stdout.text()).unwrap_or_else(|error| panic!("{error}: {}", said.text()));
        let (verdict, reasons, exit_code, generator) = match record {
            Finished::Run(run) => (run.verdict, run.verdict_reasons, run.exit_code, run.generator),
            Finished::Fleet(fleet) => {
                (fleet.verdict, fleet.verdict_reasons, fleet.exit_code, fleet.generator)
            }
        };
        let cpu = Duration::from_nanos(generator.user_cpu_ns + generator.system_cpu_ns);
        assert_eq!(code, Some(i32::from(exit_code)));
        Judged { verdict, reasons: reasons.join("; "), exit_code, cpu }
    }

    /// The generator waited for its CPU, and the verdict says so.
    #[track_caller]
    fn is_starved(&self) {
        let told = self.reasons.contains(&format!("something else ran on CPU {}", cpus().0));
        assert!(told && self.verdict == Verdict::GeneratorLimited, "{:?}: {}", self.verdict, self.reasons);
        // Or it missed deliveries, too, because the drain was over.
        assert!(matches!(self.exit_code, 5 | 6), "{}", self.reasons);
    }
}

/// A load against `broker` under way, on the generator's CPU; `by` runs it: `nice -n 19`.
fn load(broker: &Reflector, by: &str, arguments: &str) -> Process {
    let words = by.split_whitespace().chain([BENCH]).chain(arguments.split_whitespace());
    let mut words = words.map(str::to_owned);
    let mut command = on(&cpus().0, &words.next().expect("a program"));
    command.args(words).args(["--json", "-", "--quiet", "--host", &broker.address]);
    Process::spawn(command.stdin(Stdio::null()))
}

const CLOSED: &str = "--cores 1 --clients 100 --rate max --inflight 8 --warmup 0 --duration 2s";
const OPEN: &str = "--cores 1 --clients 100 --rate 2k --warmup 0 --duration 2s";
/// Enough to do that others on the CPU are met.
const OPEN_FAST: &str = "--cores 1 --clients 100 --rate 8k --warmup 0 --duration 2s";
const QOS_0: &str =
    "--cores 1 --clients 21 --topology fan-in --publishers 20 --rate max -q 0 --warmup 0 --duration 2s";
const FLEET: &str = "publish -P 20 -n 100 -T 50 --stagger 0";
const FLEET_FLAT_OUT: &str = "publish -P 20 -n 20000 -T 0 --stagger 0";

#[test]
fn something_else_on_the_generators_cpu_is_told_in_every_mode() {
    let broker = Reflector::start();
    let _spinner = spinner();
    for arguments in [CLOSED, OPEN_FAST, QOS_0, FLEET_FLAT_OUT] {
        Judged::of(load(&broker, "", arguments)).is_starved();
    }
}

#[test]
fn a_low_priority_is_told() {
    let broker = Reflector::start();
    let _spinner = spinner();
    Judged::of(load(&broker, "nice -n 19", CLOSED)).is_starved();
}

/// A group of processes that gets a tenth of a CPU.
struct Quota(PathBuf);

impl Quota {
    /// `None` for who may not make one.
    fn new() -> Option<Quota> {
        let name = format!("malaria-bench-test-{}", std::process::id());
        let [old, new] = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].map(Path::new);
        let version_1 = old.join("cpu.cfs_quota_us").exists();
        let group = if version_1 { old } else { new }.join(name);
        if let Err(error) = fs::create_dir(&group) {
            let why = format!("{}: {error}", group.display());
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
            process::skip(&why);
            return None;
        }
        let quota = Quota(group);
        if version_1 {
            quota.write("cpu.cfs_period_us", "100000");
            quota.write("cpu.cfs_quota_us", "10000");
        } else {
            quota.write("cpu.max", "10000 100000");
        }
        Some(quota)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_quota_is_told() {
    let broker = Reflector::start();
    let Some(quota) = Quota::new() else { return };
    // It joins the group, and becomes the program.
    let joins = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", quota.0.display());
    let mut command = on(&cpus().0, "sh");
    command.args(["-c", &joins, "sh", BENCH]).args(CLOSED.split_whitespace());
    command.args(["--json", "-", "--quiet", "--host", &broker.address]);
    Judged::of(Process::spawn(&mut command)).is_starved();
}

/// Time that the generator's CPU has worked so far, whoever for (`/proc/stat`; in the kernel's ticks of 10 ms).
fn worked() -> Duration {
    let stat = fs::read_to_string("/proc/stat").expect("Linux has it");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&format!("cpu{}", cpus().0)));
    let ticks: Vec<u64> =
        line.expect("the CPU is there").split(' ').skip(1).map_while(|n| n.parse().ok()).collect();
    // Idle, and waiting for disks, are the fourth and the fifth.
    Duration::from_millis(10 * (ticks.iter().take(8).sum::<u64>() - ticks[3] - ticks[4]))
}

/// An attempt that nobody else disturbed: on a machine that others use, too, the generator is late with everything, and
/// says so. Disturbed is what ran while something else took more than a twentieth of the CPU.
#[track_caller]
fn undisturbed(attempt: impl Fn() -> Judged) -> Option<Judged> {
    for _ in 0..6 {
        let (begun, before) = (Instant::now(), worked());
        let judged = attempt();
        let others = (worked() - before).saturating_sub(judged.cpu);
        if others <= begun.elapsed() / 20 {
            assert_ne!(judged.verdict, Verdict::GeneratorLimited, "{}", judged.reasons);
            return Some(judged);
        }
        eprintln!("{others:?} of {:?} were somebody else's: {}", begun.elapsed(), judged.reasons);
    }
    process::skip("the machine is never left alone: nothing can be said about a generator that is");
    None
}

#[test]
fn a_generator_that_is_left_alone_is_not_blamed() {
    let broker = Reflector::start();
    let open = undisturbed(|| Judged::of(load(&broker, "", OPEN)));
    assert!(open.is_none_or(|judged| judged.verdict == Verdict::Clean));
    undisturbed(|| Judged::of(load(&broker, "", FLEET)));
}

/// A generator that was stopped names the second, and how long it was.
#[test]
fn a_stop_of_the_generator_is_told_with_its_second() {
    let broker = Reflector::start();
    let process =
        load(&broker, "", "--cores 1 --clients 100 --rate max --inflight 8 --warmup 0 --duration 5s");
    std::thread::sleep(Duration::from_millis(1500));
    signal(&process, "STOP");
    std::thread::sleep(Duration::from_millis(300));
    signal(&process, "CONT");
    let judged = Judged::of(process);
    let told = judged.reasons.split("; ").find(|reason| reason.starts_with("a worker stood still for"));
    let told = told.unwrap_or_else(|| panic!("{:?}: {}", judged.verdict, judged.reasons));
    assert!(told.contains("in second 1:") || told.contains("in second 2:"), "{told}");
}

/// Everything waits, and nothing of it is the generator's doing.
#[test]
fn a_broker_that_stands_still_is_not_the_generators_fault() {
    let broker = Reflector::start();
    let judged = undisturbed(|| {
        let mut process = load(&broker, "", OPEN);
        std::thread::sleep(Duration::from_millis(700));
        signal(&broker.process, "STOP");
        std::thread::sleep(Duration::from_millis(300));
        signal(&broker.process, "CONT");
        assert!(!process.has_ended());
        Judged::of(process)
    });
    assert!(judged.is_none_or(|judged| judged.exit_code == 0));
}
