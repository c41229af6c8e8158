//! What a broker on this machine uses while it is watched, and who it is.

use super::cgroup::{self, Groups, Throttled};
use super::neighbours::listeners;
use super::process::{Account, Process, Stat, children};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Path, PathBuf};

/// Who is to be watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A process by its number, with all that it has started.
    Process(u32),
    /// A control group, with those within it.
    Group(PathBuf),
    /// The control group of a container or service.
    Container(String),
}

/// Why nobody can be watched, with what mends it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WatchError {
    #[error(
        "--broker-pid {0}: there is no such process, or it is not to be seen from here; `pidof BROKER` tells the number \
         (in a container, run it with --pid=host)"
    )]
    NoProcess(u32),
    #[error("--broker-pid {0} is malaria-bench itself: name the broker's process")]
    Itself(u32),
    #[error(
        "--broker-cgroup {0}: no control group that counts CPU time is there; /proc/PID/cgroup of the broker names its own"
    )]
    NoGroup(String),
    #[error(
        "control group {0} has malaria-bench in it, whose CPU time would be taken for the broker's: start the broker in \
         one of its own, such as with `systemd-run --user --scope BROKER`, or name its process with --broker-pid"
    )]
    Shared(String),
    #[error(
        "--broker-container {0}: no process is in a control group of that name; those of Docker and Podman have the \
         container's id instead: --broker-container $(docker inspect -f '{{{{.Id}}}}' {0})"
    )]
    NoContainer(String),
    #[error("--broker-container {name} could be any of {found}: give one of them to --broker-cgroup")]
    Ambiguous { name: String, found: String },
}

/// How it is known that somebody is the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Its number was given.
    Pid,
    /// Its control group was given.
    Cgroup,
    /// Its container was given.
    Container,
    /// Nobody said so: it listens where the clients connect to.
    Port,
}

/// Who is watched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Watched {
    /// How it is known.
    pub by: By,
    /// Name of the process, of 15 bytes at most, or of the control group.
    pub name: String,
    /// Number of the process; null of a control group.
    pub pid: Option<u32>,
}

/// What was used between two readings, and what was held at the later one. What cannot be read is null.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Used {
    /// CPU time in user code, in nanoseconds. The sum with `system_cpu_ns` is exact, how it splits is sampled.
    pub user_cpu_ns: u64,
    /// CPU time in the kernel, in nanoseconds.
    pub system_cpu_ns: u64,
    /// Context switches because a thread waited.
    pub voluntary_switches: Option<u64>,
    /// Context switches because somebody else wanted the CPU.
    pub involuntary_switches: Option<u64>,
    /// Time that a CPU quota took, in nanoseconds; null without a control group that counts it.
    pub throttled_ns: Option<u64>,
    /// Periods in which the quota was used up.
    pub throttled: Option<u64>,
    /// Resident memory at the end, in bytes; pages that several processes share count for each.
    pub resident_bytes: Option<u64>,
    /// Open files and sockets at the end (Linux 6.2).
    pub descriptors: Option<u64>,
}

impl Used {
    /// User and system time.
    pub fn cpu_ns(&self) -> u64 {
        self.user_cpu_ns + self.system_cpu_ns
    }

    /// The same and what was used next.
    pub fn and(&self, next: &Used) -> Used {
        let sum = |of: fn(&Used) -> Option<u64>| Some(of(self)? + of(next)?);
        Used {
            user_cpu_ns: self.user_cpu_ns + next.user_cpu_ns,
            system_cpu_ns: self.system_cpu_ns + next.system_cpu_ns,
            voluntary_switches: sum(|used| used.voluntary_switches),
            involuntary_switches: sum(|used| used.involuntary_switches),
            throttled_ns: sum(|used| used.throttled_ns),
            throttled: sum(|used| used.throttled),
            resident_bytes: next.resident_bytes,
            descriptors: next.descriptors,
        }
    }

    /// Context switches of either kind.
    pub fn switches(&self) -> Option<u64> {
        Some(self.voluntary_switches? + self.involuntary_switches?)
    }
}

/// What was used since the watch began, and what is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    user_ns: u64,
    system_ns: u64,
    switches: Option<(u64, u64)>,
    throttled: Option<Throttled>,
    /// Resident memory in bytes.
    pub resident_bytes: Option<u64>,
    /// Open files and sockets.
    pub descriptors: Option<u64>,
}

impl Reading {
    /// What was used from `before` to this.
    pub fn since(&self, before: &Reading) -> Used {
        let rise = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        let switches = |of: fn((u64, u64)) -> u64| rise(self.switches.map(of), before.switches.map(of));
        let throttled = |of: fn(Throttled) -> u64| rise(self.throttled.map(of), before.throttled.map(of));
        Used {
            user_cpu_ns: self.user_ns.saturating_sub(before.user_ns),
            system_cpu_ns: self.system_ns.saturating_sub(before.system_ns),
            voluntary_switches: switches(|(voluntary, _)| voluntary),
            involuntary_switches: switches(|(_, involuntary)| involuntary),
            throttled_ns: throttled(|throttled| throttled.ns),
            throttled: throttled(|throttled| throttled.periods),
            resident_bytes: self.resident_bytes,
            descriptors: self.descriptors,
        }
    }

    fn add(&mut self, more: &Reading) {
        let sum = |one: Option<u64>, other: Option<u64>| Some(one? + other?);
        self.user_ns += more.user_ns;
        self.system_ns += more.system_ns;
        self.switches =
            self.switches.zip(more.switches).map(|(one, other)| (one.0 + other.0, one.1 + other.1));
        self.throttled = self
            .throttled
            .zip(more.throttled)
            .map(|(one, other)| Throttled { periods: one.periods + other.periods, ns: one.ns + other.ns });
        self.resident_bytes = sum(self.resident_bytes, more.resident_bytes);
        self.descriptors = sum(self.descriptors, more.descriptors);
    }
}

/// Names of those that listen for somebody else: what they use is not the broker's.
const FORWARDERS: [&str; 8] =
    ["systemd", "docker-proxy", "rootlessport", "slirp4netns", "pasta", "ssh", "kubectl", "socat"];

/// Watches one or several, all together.
#[derive(Debug)]
pub struct Watch {
    root: PathBuf,
    /// This process is in no sum.
    own: u32,
    subjects: Vec<Watching>,
    /// One of them has ended: what the others use is not what all of them did.
    ended: bool,
}

#[derive(Debug)]
struct Watching {
    told: Watched,
    whose: Whose,
    /// Those whose quota holds for it.
    groups: Groups,
    /// Its processes that live,
    accounts: BTreeMap<Process, Account>,
    /// and what those had used that do not any more.
    past: Account,
    /// Whether it has been looked at.
    looked: bool,
}

#[derive(Debug)]
enum Whose {
    Tree { first: Process },
    Group { folder: PathBuf, spent_before: (u64, u64), last: (u64, u64) },
}

impl Watch {
    /// Watches all `subjects`, as `/proc` and `/sys` under `root` tell of them, from process `own`.
    ///
    /// # Errors
    /// One of them is not there, or is not the broker alone.
    pub fn open(root: &Path, own: u32, subjects: &[Subject]) -> Result<Watch, WatchError> {
        let subjects = subjects.iter().map(|subject| Watching::find(root, own, subject));
        let mut watch =
            Watch { root: root.to_owned(), own, subjects: subjects.collect::<Result<_, _>>()?, ended: false };
        watch.look();
        Ok(watch)
    }

    /// Watches who listens at one of `ports`; `None` where that is nobody that can be looked at, or not certain.
    pub fn at_ports(root: &Path, own: u32, ports: &[u16]) -> Option<Watch> {
        let found: BTreeSet<u32> = listeners(root, ports).into_iter().collect();
        // Who was started by another that listens is a part of that one.
        let part: BTreeSet<u32> = found.iter().flat_map(|pid| children(root, *pid)).collect();
        let mut first = found.difference(&part).filter_map(|pid| Stat::read(root, *pid));
        let (Some(stat), None) = (first.next(), first.next()) else { return None };
        if stat.process.pid == own || FORWARDERS.contains(&stat.name.as_str()) {
            return None;
        }
        let subjects = vec![Watching::tree(root, &stat, By::Port)];
        let mut watch = Watch { root: root.to_owned(), own, subjects, ended: false };
        watch.look().is_some().then_some(watch)
    }

    /// Who is watched.
    pub fn watched(&self) -> Vec<Watched> {
        self.subjects.iter().map(|subject| subject.told.clone()).collect()
    }

    /// What all of them have used since the watch began; `None` from when one of them has ended.
    pub fn look(&mut self) -> Option<Reading> {
        if self.ended {
            return None;
        }
        let readings: Option<Vec<Reading>> =
            self.subjects.iter_mut().map(|subject| subject.look(&self.root, self.own)).collect();
        self.ended = readings.is_none();
        readings?.into_iter().reduce(|mut sum, reading| {
            sum.add(&reading);
            sum
        })
    }
}

impl Watching {
    fn find(root: &Path, own: u32, subject: &Subject) -> Result<Watching, WatchError> {
        match subject {
            Subject::Process(pid) if *pid == own => Err(WatchError::Itself(own)),
            Subject::Process(pid) => {
                let stat = Stat::read(root, *pid).ok_or(WatchError::NoProcess(*pid))?;
                Ok(Watching::tree(root, &stat, By::Pid))
            }
            Subject::Group(path) => {
                let group = cgroup::find(root, path);
                let group = group.ok_or_else(|| WatchError::NoGroup(path.display().to_string()))?;
                Watching::group(own, group, path.display().to_string(), By::Cgroup)
            }
            Subject::Container(name) => {
                let found = cgroup::named(root, name);
                let mut groups: Vec<_> = found.iter().filter_map(|path| cgroup::find(root, path)).collect();
                groups.dedup_by(|one, other| one.0 == other.0);
                match groups.len() {
                    0 => Err(WatchError::NoContainer(name.clone())),
                    1 => Watching::group(own, groups.remove(0), name.clone(), By::Container),
                    _ => {
                        let found = groups.iter().map(|(folder, _)| folder.display().to_string());
                        let found = found.collect::<Vec<_>>().join(", ");
                        Err(WatchError::Ambiguous { name: name.clone(), found })
                    }
                }
            }
        }
    }

    fn tree(root: &Path, stat: &Stat, by: By) -> Watching {
        let first = stat.process;
        let groups = Groups::of(root, &first.pid.to_string());
        let told = Watched { by, name: stat.name.clone(), pid: Some(first.pid) };
        Watching::new(told, Whose::Tree { first }, groups)
    }

    fn group(
        own: u32,
        (folder, groups): (PathBuf, Groups),
        name: String,
        by: By,
    ) -> Result<Watching, WatchError> {
        if cgroup::members(&folder).contains(&own) {
            return Err(WatchError::Shared(name));
        }
        let spent_before = cgroup::spent(&folder).unwrap_or_default();
        let told = Watched { by, name, pid: None };
        Ok(Watching::new(told, Whose::Group { folder, spent_before, last: spent_before }, groups))
    }

    fn new(told: Watched, whose: Whose, groups: Groups) -> Watching {
        Watching { told, whose, groups, accounts: BTreeMap::new(), past: Account::default(), looked: false }
    }

    /// What it has used; `None` when it has ended.
    fn look(&mut self, root: &Path, own: u32) -> Option<Reading> {
        let living = match &self.whose {
            Whose::Tree { first } => self.tree_of(root, own, *first)?,
            Whose::Group { folder, .. } => {
                let members = cgroup::members(folder).into_iter().filter(|pid| *pid != own);
                members.filter_map(|pid| Stat::read(root, pid)).collect()
            }
        };
        let is_new = std::mem::replace(&mut self.looked, true);
        for stat in &living {
            self.accounts.entry(stat.process).or_default().update(root, stat, is_new);
        }
        let lives = |process: &Process| living.iter().any(|stat| stat.process == *process);
        let ended = self.accounts.extract_if(.., |process, _| !lives(process));
        ended.for_each(|(_, account)| self.past.add(&account));
        let held = |of: fn(&Account) -> Option<u64>| {
            self.accounts.values().map(of).sum::<Option<u64>>().filter(|_| !living.is_empty())
        };
        let all = |of: fn(&Account) -> u64| of(&self.past) + self.accounts.values().map(of).sum::<u64>();
        let switches = self.accounts.values().any(Account::has_threads);
        let mut reading = Reading {
            user_ns: all(|account| account.user_ns),
            system_ns: all(|account| account.system_ns),
            switches: switches
                .then(|| (all(|account| account.voluntary), all(|account| account.involuntary))),
            throttled: self.groups.counted(),
            resident_bytes: held(|account| account.resident_bytes),
            descriptors: held(|account| account.descriptors),
        };
        if let Whose::Group { folder, spent_before, last } = &mut self.whose {
            let (user, system) = cgroup::spent(folder)?;
            // A group that was made anew begins at 0.
            if user + system < last.0 + last.1 {
                return None;
            }
            *last = (user, system);
            reading.user_ns = user.saturating_sub(spent_before.0);
            reading.system_ns = system.saturating_sub(spent_before.1);
        }
        Some(reading)
    }

    /// The process that is watched, all that it has started, and all that those have, but for `own`: as far as they
    /// live. Who was seen once stays when its parent ends. `None` when the first of them has ended.
    fn tree_of(&self, root: &Path, own: u32, first: Process) -> Option<Vec<Stat>> {
        let same = |process: &Process| Stat::read(root, process.pid).filter(|stat| stat.process == *process);
        let mut tree = BTreeMap::from([(first, same(&first)?)]);
        tree.extend(self.accounts.keys().filter_map(|process| Some((*process, same(process)?))));
        let mut open: Vec<u32> = tree.keys().map(|process| process.pid).collect();
        while let Some(pid) = open.pop() {
            let started = children(root, pid).into_iter().filter(|child| *child != own);
            for stat in started.filter_map(|child| Stat::read(root, child)) {
                if let Entry::Vacant(vacant) = tree.entry(stat.process) {
                    open.push(stat.process.pid);
                    vacant.insert(stat);
                }
            }
        }
        Some(tree.into_values().collect())
    }
}
