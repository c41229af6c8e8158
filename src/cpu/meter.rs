//! What a machine takes from the CPUs of a run while it lasts.

use super::cgroup::{Groups, Throttled};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One of the ticks in which `/proc` counts CPU time (`USER_HZ`), in nanoseconds.
pub(super) const TICK: u64 = 10_000_000;

/// Reads what happens on some CPUs, and to the quota of this process.
#[derive(Debug)]
pub struct Meter {
    root: PathBuf,
    cpus: Vec<usize>,
    groups: Groups,
    last: Reading,
}

#[derive(Clone, Debug, Default)]
struct Reading {
    cpus: BTreeMap<usize, Spent>,
    throttled: Throttled,
}

/// Time of one CPU, in nanoseconds, in steps of 10 ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// It ran something, whoever that was for.
    pub worked: u64,
    /// It was ready to, and the host ran something else (steal).
    pub stolen: u64,
}

/// What happened between two readings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Each CPU by its number.
    pub cpus: BTreeMap<usize, Spent>,
    /// What a CPU quota took.
    pub throttled: Throttled,
}

impl Meter {
    /// Begins to watch `cpus`, as `/proc` and `/sys` under `root` tell of them.
    pub fn new(root: &Path, cpus: &[usize]) -> Meter {
        let groups = Groups::of_self(root);
        let (root, cpus) = (root.to_owned(), cpus.to_vec());
        let mut meter = Meter { root, cpus, groups, last: Reading::default() };
        meter.last = meter.read();
        meter
    }

    /// What has happened since it was asked last.
    pub fn take(&mut self) -> Taken {
        let now = self.read();
        let before = std::mem::replace(&mut self.last, now.clone());
        let since = |(cpu, spent): (usize, Spent)| {
            let then = before.cpus.get(&cpu).copied().unwrap_or(spent);
            // Steal has been seen to fall, and CPUs to come and go.
            let worked = spent.worked.saturating_sub(then.worked);
            (cpu, Spent { worked, stolen: spent.stolen.saturating_sub(then.stolen) })
        };
        let throttled = Throttled {
            periods: now.throttled.periods.saturating_sub(before.throttled.periods),
            ns: now.throttled.ns.saturating_sub(before.throttled.ns),
        };
        Taken { cpus: now.cpus.into_iter().map(since).collect(), throttled }
    }

    fn read(&self) -> Reading {
        let stat = fs::read_to_string(self.root.join("proc/stat")).unwrap_or_default();
        let cpus = stat.lines().filter_map(spent).filter(|(cpu, _)| self.cpus.contains(cpu));
        Reading { cpus: cpus.collect(), throttled: self.groups.throttled() }
    }
}

/// `cpu3 user nice system idle iowait irq softirq steal ...`
fn spent(line: &str) -> Option<(usize, Spent)> {
    let mut words = line.strip_prefix("cpu")?.split_whitespace();
    let cpu = words.next()?.parse().ok()?;
    let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, stolen, ..] = ticks[..] else { return None };
    let worked = (user + nice + system + irq + softirq) * TICK;
    Some((cpu, Spent { worked, stolen: stolen * TICK }))
}
