//! CPUs and the machine around them: which CPUs this process may use, pinning, and the description of the
//! machine that goes into a record. Everything is read from `/proc` (proc(5)).

use serde::{Deserialize, Serialize};
use std::path::Path;

mod cgroup;
mod meter;
mod neighbours;
mod process;
#[cfg(test)]
mod tests;
mod watch;

pub use cgroup::{Groups, Throttled};
pub use meter::{Meter, Spent, Taken};
pub use neighbours::{Neighbour, Threads};
pub use watch::{By, Reading, Subject, Used, Watch, WatchError, Watched};

/// Why a thread could not be pinned.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot pin a thread to CPU {cpu}: this process may use CPUs {}", list(.allowed))]
pub struct PinError {
    /// Number of the CPU asked for.
    pub cpu: usize,
    /// The CPUs the calling thread may use.
    pub allowed: Vec<usize>,
}

/// Numbers of the CPUs the calling thread may use, ascending; respects `taskset` and cpusets.
///
/// A pinned thread gets only its own CPU, so ask before the first [`pin`]. Never empty: where the kernel does
/// not answer, CPU 0.
pub fn allowed() -> Vec<usize> {
    let cpus: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|c| c.id).collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// Ties the calling thread to one CPU for good. Threads it starts afterwards inherit that.
pub fn pin(cpu: usize) -> Result<(), PinError> {
    // sched_setaffinity alone would let a thread escape from its taskset, and core_affinity's mask
    // has a fixed size that a number out of nowhere could overrun
    let allowed = allowed();
    if allowed.contains(&cpu) && core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
        return Ok(());
    }
    Err(PinError { cpu, allowed })
}

/// Lets the other threads of this machine go before the calling one: a look at a run must not cost it anything.
pub fn stand_back() {
    // Of this thread alone, as Linux has it. Who is refused is merely less polite.
    let _ = rustix::process::setpriority_process(None, 19);
}

/// CPU numbers as the kernel writes them (cpuset(7), list format): `0-3,8`.
pub fn list(cpus: &[usize]) -> String {
    let mut sorted = cpus.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let runs = sorted.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => unreachable!("chunk_by gives no empty chunk"),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// CPU numbers as the kernel writes them: what [`list`] says. What is no number is left out.
pub fn listed(text: &str) -> Vec<usize> {
    let runs = text.trim().split(',').filter_map(|run| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    });
    runs.flatten().collect()
}

/// The machine a run was made on. What cannot be read is empty, 0 or null, never an error.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Host name (`/proc/sys/kernel/hostname`).
    pub host: String,
    /// CPU model as the kernel names it (`/proc/cpuinfo`).
    pub cpu_model: String,
    /// CPUs that are online.
    pub cpus: usize,
    /// Numbers of the CPUs this process was allowed to use.
    pub cpus_allowed: Vec<usize>,
    /// Kernel release (`/proc/sys/kernel/osrelease`).
    pub kernel: String,
    /// Memory the kernel manages, in bytes (`MemTotal`).
    pub memory_bytes: u64,
    /// Frequency governor of the first CPU; null where there is none to choose.
    pub governor: Option<String>,
    /// RLIMIT_NOFILE, soft: open files; null when unlimited or unknown.
    pub nofile_soft: Option<u64>,
    /// RLIMIT_NOFILE, hard: open files; null when unlimited or unknown.
    pub nofile_hard: Option<u64>,
}

/// Frequency governor of the first CPU, as `/sys` under `root` tells.
pub fn governor(root: &Path) -> Option<String> {
    let governor = root.join("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    Some(std::fs::read_to_string(governor).ok()?.trim().to_owned())
}

/// Describes this machine. Reads some small files: call it once, and before pinning.
pub fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let limits = read("/proc/self/limits");
    let (nofile_soft, nofile_hard) = nofile(&limits);
    Machine {
        host: read("/proc/sys/kernel/hostname").trim().to_owned(),
        cpu_model: cpu_model(&cpuinfo),
        cpus: field_values(&cpuinfo, "processor").count(),
        cpus_allowed: allowed(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        memory_bytes: memory(&read("/proc/meminfo")),
        governor: governor(Path::new("/")),
        nofile_soft,
        nofile_hard,
    }
}

/// Values of the lines `key : value`.
fn field_values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.filter(move |(k, _)| k.trim_end() == key).map(|(_, value)| value.trim())
}

fn cpu_model(cpuinfo: &str) -> String {
    // x86, POWER and older ARM; on arm64 only numbers identify the part
    let named = ["model name", "cpu", "Model"].iter().find_map(|key| field_values(cpuinfo, key).next());
    let numbers = || {
        let implementer = field_values(cpuinfo, "CPU implementer").next()?;
        let part = field_values(cpuinfo, "CPU part").next()?;
        Some(format!("implementer {implementer} part {part}"))
    };
    named.map(str::to_owned).or_else(numbers).unwrap_or_default()
}

fn memory(meminfo: &str) -> u64 {
    let total = field_values(meminfo, "MemTotal").next();
    let kib = total.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// Soft and hard limit of open files.
fn nofile(limits: &str) -> (Option<u64>, Option<u64>) {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut words = line.unwrap_or("").split_whitespace().map(|word| word.parse().ok());
    (words.next().flatten(), words.next().flatten())
}
