//! A group of processes that gets a part of a CPU.

use crate::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The group; it is gone with this, when its processes are.
pub struct Quota(PathBuf);

impl Quota {
    /// So many per cent of a CPU; `None` for who may not make such a group.
    pub fn of(percent: u32) -> Option<Quota> {
        static QUOTAS: AtomicU32 = AtomicU32::new(0);
        let (pid, number) = (std::process::id(), QUOTAS.fetch_add(1, Ordering::Relaxed));
        let name = format!("malaria-bench-test-{pid}-{number}");
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
        let of_period = percent * 1_000;
        if version_1 {
            quota.write("cpu.cfs_period_us", "100000");
            quota.write("cpu.cfs_quota_us", &of_period.to_string());
        } else {
            quota.write("cpu.max", &format!("{of_period} 100000"));
        }
        Some(quota)
    }

    /// What a shell says to join it.
    pub fn joins(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.0.display())
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
