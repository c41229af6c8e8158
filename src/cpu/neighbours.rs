//! Who else runs on the CPUs of a run.

use super::meter::TICK;
use super::process::numbers;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A process that ran on a CPU of the generator's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Neighbour {
    /// Number of the CPU.
    pub cpu: usize,
    /// Its process id.
    pub pid: u32,
    /// Its name, of 15 bytes at most.
    pub name: String,
    /// CPU time that its threads there took over the time of the run, 0 to 1.
    pub busy_share: f64,
    /// Whether it listens where the clients connect to: it is the broker.
    pub broker: bool,
}

/// All threads of the machine at one moment, as far as they can be seen.
#[derive(Debug)]
pub struct Threads {
    root: PathBuf,
    /// By process and thread.
    seen: BTreeMap<(u32, u32), Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    name: String,
    cpu: usize,
    ran: u64,
}

/// Those that took less of a CPU are not worth a word,
const NOTEWORTHY: f64 = 0.05;
/// and of the others so many at most.
const MOST: usize = 8;

impl Threads {
    /// Looks at `/proc` under `root`.
    pub fn look(root: &Path) -> Threads {
        let mut seen = BTreeMap::new();
        for pid in numbers(&root.join("proc")) {
            let tasks = root.join(format!("proc/{pid}/task"));
            for tid in numbers(&tasks) {
                // It may be gone by now.
                let stat = fs::read_to_string(tasks.join(format!("{tid}/stat"))).unwrap_or_default();
                seen.extend(thread(&stat).map(|thread| ((pid, tid), thread)));
            }
        }
        Threads { root: root.to_owned(), seen }
    }

    /// Who, but for process `own`, has run on `cpus` since `before`, in `span`: threads that were there both times, or
    /// are new, or may run nowhere else. Those of a broker listen at one of `ports`. The busiest first.
    pub fn beside(
        &self,
        before: &Threads,
        (own, cpus): (u32, &[usize]),
        ports: &[u16],
        span: u64,
    ) -> Vec<Neighbour> {
        let mut ran = BTreeMap::<(usize, u32), (u64, &str)>::new();
        for (&(pid, tid), thread) in &self.seen {
            let then = before.seen.get(&(pid, tid));
            let stayed = then.is_none_or(|then| then.cpu == thread.cpu);
            if pid == own || !cpus.contains(&thread.cpu) || !(stayed || self.is_bound(pid, tid, cpus)) {
                continue;
            }
            let sum = ran.entry((thread.cpu, pid)).or_insert((0, &thread.name));
            sum.0 += thread.ran.saturating_sub(then.map_or(0, |then| then.ran));
        }
        let mut neighbours: Vec<_> = ran
            .into_iter()
            .map(|((cpu, pid), (ran, name))| {
                let busy_share = (ran as f64 / span.max(1) as f64).min(1.0);
                Neighbour { cpu, pid, name: name.to_owned(), busy_share, broker: false }
            })
            .filter(|neighbour| neighbour.busy_share >= NOTEWORTHY)
            .collect();
        neighbours.sort_by(|a, b| b.busy_share.total_cmp(&a.busy_share));
        neighbours.truncate(MOST);
        let sockets = listening(&self.root, ports);
        for neighbour in &mut neighbours {
            neighbour.broker = has_open(&self.root, neighbour.pid, &sockets);
        }
        neighbours
    }

    /// Whether a thread may run on `cpus` only.
    fn is_bound(&self, pid: u32, tid: u32, cpus: &[usize]) -> bool {
        let path = self.root.join(format!("proc/{pid}/task/{tid}/status"));
        let status = fs::read_to_string(path).unwrap_or_default();
        let allowed = super::field_values(&status, "Cpus_allowed_list").next().map(super::listed);
        allowed.is_some_and(|allowed| !allowed.is_empty() && allowed.iter().all(|cpu| cpus.contains(cpu)))
    }
}

/// Inodes of the TCP sockets that listen at one of `ports`.
fn listening(root: &Path, ports: &[u16]) -> BTreeSet<u64> {
    let tables = ["proc/net/tcp", "proc/net/tcp6"].map(|table| fs::read_to_string(root.join(table)));
    let tables: Vec<String> = tables.into_iter().flatten().collect();
    tables.iter().flat_map(|table| table.lines()).filter_map(|line| listener(line, ports)).collect()
}

/// Whether a process has one of these sockets open, as far as it lets itself be looked at.
fn has_open(root: &Path, pid: u32, sockets: &BTreeSet<u64>) -> bool {
    let files = fs::read_dir(root.join(format!("proc/{pid}/fd"))).into_iter().flatten().flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| {
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.and_then(|inode| inode.parse().ok()).is_some_and(|inode| sockets.contains(&inode))
    })
}

/// The processes that listen at one of `ports`, as far as they let themselves be looked at.
pub(super) fn listeners(root: &Path, ports: &[u16]) -> Vec<u32> {
    let sockets = listening(root, ports);
    if sockets.is_empty() {
        return Vec::new();
    }
    numbers(&root.join("proc")).filter(|pid| has_open(root, *pid, &sockets)).collect()
}

/// `42 (name) S ...`: user and system time are fields 14 and 15, the CPU it ran on last is field 39 (proc_pid_stat(5)).
fn thread(stat: &str) -> Option<Seen> {
    // A name may have brackets and spaces in it.
    let (head, tail) = stat.rsplit_once(") ")?;
    let name = head.split_once(" (")?.1.to_owned();
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Seen { name, cpu: number(39)? as usize, ran: (number(14)? + number(15)?) * TICK })
}

/// `0: 0100007F:075B 00000000:0000 0A ... inode`: the inode of a socket that listens at one of `ports`.
fn listener(line: &str, ports: &[u16]) -> Option<u64> {
    const LISTEN: &str = "0A";
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, state, _, _, _, _, _, inode, ..] = words[..] else { return None };
    let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (state == LISTEN && ports.contains(&port)).then(|| inode.parse().ok())?
}
