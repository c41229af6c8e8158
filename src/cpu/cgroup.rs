//! The control groups whose CPU quota holds for this process (cgroups(7)), of version 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};

/// The groups of this process, its own first and the outermost last: each may have a quota.
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
        let memberships = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
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
        let mut sum = Throttled::default();
        for group in &self.0 {
            let stat = fs::read_to_string(group.join("cpu.stat")).unwrap_or_default();
            let pairs = stat.lines().filter_map(|line| line.split_once(' '));
            for (key, value) in pairs.filter_map(|(key, value)| Some((key, value.parse::<u64>().ok()?))) {
                match key {
                    "nr_throttled" => sum.periods += value,
                    "throttled_time" => sum.ns += value,
                    "throttled_usec" => sum.ns += value * 1000,
                    _ => {}
                }
            }
        }
        sum
    }

    /// The tightest quota, in CPUs.
    pub fn quota(&self) -> Option<f64> {
        self.0.iter().filter_map(|group| quota(group)).min_by(f64::total_cmp)
    }
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
