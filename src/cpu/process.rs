//! One process, as `/proc` tells of it (proc_pid_stat(5)).

use super::meter::TICK;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A process by what no other ever has: numbers alone are given again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Process {
    pub pid: u32,
    /// When it began, in ticks since the machine did.
    pub started: u64,
}

/// What its `stat` says.
#[derive(Debug)]
pub struct Stat {
    pub process: Process,
    pub name: String,
    user: u64,
    system: u64,
}

/// What one thread has had since it began.
#[derive(Clone, Copy, Default, Debug)]
struct Thread {
    /// Nanoseconds on a CPU; none where the kernel does not count them.
    ran: Option<u64>,
    voluntary: u64,
    involuntary: u64,
}

/// What a process has used since it was seen first, and holds.
#[derive(Clone, Default, Debug)]
pub struct Account {
    pub user_ns: u64,
    pub system_ns: u64,
    pub voluntary: u64,
    pub involuntary: u64,
    pub resident_bytes: Option<u64>,
    pub descriptors: Option<u64>,
    /// User and system time in ticks when it was seen first, and now.
    ticks: Option<[(u64, u64); 2]>,
    threads: BTreeMap<u32, Thread>,
}

impl Stat {
    /// `None` when it has ended, or is not to be seen.
    pub fn read(root: &Path, pid: u32) -> Option<Stat> {
        let text = fs::read_to_string(root.join(format!("proc/{pid}/stat"))).ok()?;
        // A name may have brackets and spaces in it.
        let (head, tail) = text.rsplit_once(") ")?;
        let name = head.split_once(" (")?.1.to_owned();
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        // Ended, and its parent has not asked yet.
        if ["Z", "X"].contains(fields.first()?) {
            return None;
        }
        let (user, system, started) = (number(14)?, number(15)?, number(22)?);
        Some(Stat { process: Process { pid, started }, name, user, system })
    }
}

impl Account {
    /// Takes note of what the process has used by now. What it had used before it was seen counts when it `is_new`.
    pub fn update(&mut self, root: &Path, stat: &Stat, is_new: bool) {
        let first = self.ticks.is_none();
        let now = (stat.user, stat.system);
        let [base, last] = self.ticks.unwrap_or(if is_new { [(0, 0); 2] } else { [now; 2] });
        self.ticks = Some([base, now]);
        let folder = root.join(format!("proc/{}", stat.process.pid));
        let threads: BTreeMap<u32, Thread> = threads(&folder).collect();
        let (mut ran, mut counted) = (0, !threads.is_empty());
        for (tid, thread) in &threads {
            let unseen = if first && !is_new { *thread } else { Thread::default() };
            let then = self.threads.get(tid).copied().unwrap_or(unseen);
            self.voluntary += thread.voluntary.saturating_sub(then.voluntary);
            self.involuntary += thread.involuntary.saturating_sub(then.involuntary);
            counted &= thread.ran.is_some();
            ran += thread.ran.unwrap_or(0).saturating_sub(then.ran.unwrap_or(0));
        }
        self.threads = threads;
        let ticks = (now.0.saturating_sub(last.0) * TICK, now.1.saturating_sub(last.1) * TICK);
        self.spend(if counted { ran } else { ticks.0 + ticks.1 }, ticks, base, now);
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        self.resident_bytes = kibibytes(&status, "VmRSS");
        // Linux 6.2 says how many there are; before, it takes to read the folder, of 100,000 connections each second.
        let files = fs::metadata(folder.join("fd")).map_or(0, |files| files.len());
        self.descriptors = (files > 0).then_some(files);
    }

    /// Adds CPU time, exact in its sum, as `ticks` of user and system time split it.
    fn spend(&mut self, ran: u64, ticks: (u64, u64), base: (u64, u64), now: (u64, u64)) {
        // What threads had that came and went between two looks is in the ticks alone, which are late by one each.
        let whole = ((now.0 - base.0.min(now.0)) + (now.1 - base.1.min(now.1))).saturating_sub(2) * TICK;
        let ran = ran.max(whole.saturating_sub(self.user_ns + self.system_ns));
        let (user, all) = match ticks.0 + ticks.1 {
            0 => (now.0, now.0 + now.1),
            all => (ticks.0, all),
        };
        let user = if all == 0 { ran } else { (u128::from(ran) * u128::from(user) / u128::from(all)) as u64 };
        self.user_ns += user;
        self.system_ns += ran - user;
    }

    /// Adds what another had used.
    pub fn add(&mut self, other: &Account) {
        self.user_ns += other.user_ns;
        self.system_ns += other.system_ns;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
    }

    /// Whether the switches of its threads could be read.
    pub fn has_threads(&self) -> bool {
        !self.threads.is_empty()
    }
}

/// The processes that its threads have started and that have not ended.
pub fn children(root: &Path, pid: u32) -> Vec<u32> {
    let tasks = root.join(format!("proc/{pid}/task"));
    let lists =
        numbers(&tasks).filter_map(|tid| fs::read_to_string(tasks.join(format!("{tid}/children"))).ok());
    let lists: Vec<String> = lists.collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

/// Entries of a folder that are numbers.
pub fn numbers(folder: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn threads(folder: &Path) -> impl Iterator<Item = (u32, Thread)> + use<> {
    let tasks: PathBuf = folder.join("task");
    numbers(&tasks).filter_map(move |tid| {
        let read = |file: &str| fs::read_to_string(tasks.join(format!("{tid}/{file}"))).ok();
        // It may be gone by now.
        let status = read("status")?;
        let count = |key| super::field_values(&status, key).next()?.parse::<u64>().ok();
        let ran = read("schedstat").and_then(|text| text.split_whitespace().next()?.parse().ok());
        let voluntary = count("voluntary_ctxt_switches").unwrap_or(0);
        let involuntary = count("nonvoluntary_ctxt_switches").unwrap_or(0);
        Some((tid, Thread { ran, voluntary, involuntary }))
    })
}

/// `VmRSS: 1234 kB`
fn kibibytes(status: &str, key: &str) -> Option<u64> {
    let value = super::field_values(status, key).next()?;
    Some(value.split_whitespace().next()?.parse::<u64>().ok()?.saturating_mul(1024))
}
