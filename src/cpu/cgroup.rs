//! Control groups (cgroups(7)), of version 1 or 2: those whose CPU quota holds for a process, and what one has used.

use super::process::numbers;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The groups of a process, its own first and the outermost last: each may have a quota.
#[derive(Clone, Debug, Default)]
pub struct Groups(Vec<PathBuf>);

/// What a quota has taken since its group was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Throttled {
    /// Periods in which the quota was used up.
    pub periods: u64,
    /// Time that the group's CPUs stood still for it, in nanoseconds.
    pub ns: u64,
}

impl Groups {
    /// Those of this process, as `/proc` and `/sys` under `root` tell of them.
    pub fn of_self(root: &Path) -> Groups {
        Groups::of(root, "self")
    }

    /// Those of a process, by its number.
    pub(super) fn of(root: &Path, pid: &str) -> Groups {
        let memberships = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).unwrap_or_default();
        // `4:cpu,cpuacct:/a/b`; version 2 names no controller: `0::/a/b`.
        let lines = memberships.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?, parts.next()?.trim_start_matches('/')))
        });
        let mounted = |mount: &&str| root.join(mount).is_dir();
        let mut groups = Vec::new();
        for (controllers, path) in lines {
            let mounts: &[&str] = match controllers {
                "" => &["sys/fs/cgroup"],
                _ if controllers.split(',').any(|name| name == "cpu") => {
                    &["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"]
                }
                _ => continue,
            };
            let Some(mount) = mounts.iter().find(|mount| mounted(mount)) else { continue };
            // In a container the path may be the host's, where only the mount itself is to be seen.
            let levels = Path::new(path).ancestors().map(|level| root.join(mount).join(level));
            groups.extend(levels.filter(|group| group.is_dir()));
        }
        Groups(groups)
    }

    /// What the quotas of all of them have taken so far.
    pub fn throttled(&self) -> Throttled {
        self.counted().unwrap_or_default()
    }

    /// The same; `None` where none of them counts it.
    pub(super) fn counted(&self) -> Option<Throttled> {
        self.0
            .iter()
            .filter_map(|group| throttled(group))
            .reduce(|sum, more| Throttled { periods: sum.periods + more.periods, ns: sum.ns + more.ns })
    }

    /// The tightest quota, in CPUs.
    pub fn quota(&self) -> Option<f64> {
        self.0.iter().filter_map(|group| quota(group)).min_by(f64::total_cmp)
    }
}

fn throttled(group: &Path) -> Option<Throttled> {
    let stat = fs::read_to_string(group.join("cpu.stat")).ok()?;
    let periods = number(&stat, "nr_throttled")?;
    let ns = number(&stat, "throttled_time").or_else(|| Some(number(&stat, "throttled_usec")? * 1000));
    Some(Throttled { periods, ns: ns.unwrap_or(0) })
}

/// The value of the line `key value`.
fn number(stat: &str, key: &str) -> Option<u64> {
    let pairs = stat.lines().filter_map(|line| line.split_once(' '));
    pairs.filter(|(name, _)| *name == key).find_map(|(_, value)| value.trim().parse().ok())
}

/// User and system time of a group since it was made, in nanoseconds: exact in its sum.
pub(super) fn spent(group: &Path) -> Option<(u64, u64)> {
    let read = |file: &str| fs::read_to_string(group.join(file)).ok();
    let version_2 = || {
        let stat = read("cpu.stat")?;
        Some((number(&stat, "user_usec")? * 1000, number(&stat, "system_usec")? * 1000))
    };
    let version_1 = || {
        let time = |file| read(file)?.trim().parse().ok();
        Some((time("cpuacct.usage_user")?, time("cpuacct.usage_sys")?))
    };
    version_2().or_else(version_1)
}

/// The processes of a group and of those within it, as far as they can be seen from here.
pub(super) fn members(group: &Path) -> BTreeSet<u32> {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // Those of another namespace are 0.
    let mut members: BTreeSet<u32> =
        listed.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 0).collect();
    for folder in fs::read_dir(group).into_iter().flatten().flatten() {
        if folder.file_type().is_ok_and(|kind| kind.is_dir()) {
            members.extend(self::members(&folder.path()));
        }
    }
    members
}

/// Where a group's CPU time is counted,
const COUNTED: [&str; 3] = ["sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuacct"];
/// and where its quota is.
const LIMITED: [&str; 3] = ["sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpu"];

/// The group that is meant by a path in the file system, or below where groups are mounted: the folder with its CPU time,
/// and that with its quota, which version 1 may have in another hierarchy.
pub(super) fn find(root: &Path, path: &Path) -> Option<(PathBuf, Groups)> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let below = COUNTED.iter().chain(&LIMITED).rev().find_map(|mount| path.strip_prefix(mount).ok());
    let path = below.unwrap_or(path);
    let folder = |mount: &&str| root.join(mount).join(path);
    let counted = COUNTED.iter().map(folder).find(|group| spent(group).is_some())?;
    let limited = LIMITED.iter().map(folder).find(|group| throttled(group).is_some());
    Some((counted, Groups(limited.into_iter().collect())))
}

/// Paths of the groups that have `name` as one of their parts, as the memberships of all processes tell.
pub(super) fn named(root: &Path, name: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for pid in numbers(&root.join("proc")) {
        let memberships = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).unwrap_or_default();
        for path in memberships.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
            // The group itself is the highest that bears the name.
            let levels: Vec<&Path> = Path::new(path).ancestors().collect();
            let named = |level: &&&Path| {
                level.file_name().and_then(|part| part.to_str()).is_some_and(|part| is_of(part, name))
            };
            found.extend(levels.iter().rev().find(named).map(|level| level.to_path_buf()));
        }
    }
    found
}

/// Whether a part of a group's path is that of a container or a service: `docker-<id>.scope`, `<id>`,
/// `mosquitto.service`, `lxc.payload.<name>`. Of an id, twelve digits are enough, as elsewhere.
fn is_of(part: &str, name: &str) -> bool {
    const BEFORE: [&str; 6] = ["docker-", "libpod-", "cri-containerd-", "crio-", "lxc.payload.", "machine-"];
    let bare = part.strip_suffix(".scope").or(part.strip_suffix(".service")).unwrap_or(part);
    let bare = BEFORE.iter().find_map(|before| bare.strip_prefix(before)).unwrap_or(bare);
    let is_id = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    part == name || bare == name || (is_id && bare.starts_with(name))
}

/// Quota over period: version 2 (`cpu.max`: `50000 100000`, or `max`), or version 1 (a quota of -1 is none).
fn quota(group: &Path) -> Option<f64> {
    let read = |file: &str| fs::read_to_string(group.join(file)).ok();
    let (quota, period) = match read("cpu.max") {
        Some(max) => {
            max.trim().split_once(' ').map(|(quota, period)| (quota.to_owned(), period.to_owned()))?
        }
        None => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
    };
    let (quota, period) = (quota.trim().parse::<f64>().ok()?, period.trim().parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}
