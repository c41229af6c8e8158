//! What a machine says of itself.

use std::collections::BTreeSet;
use std::path::Path;

/// What a machine says of itself; what it does not say is `None` or empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Host {
    /// Kernel release: `6.18.5`.
    pub kernel: String,
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for the privileged, 2 not.
    pub io_uring_disabled: Option<u32>,
    /// RLIMIT_NOFILE, hard: it bounds the connections of each ring.
    pub nofile_hard: Option<u64>,
    /// `net.ipv4.ip_local_port_range`.
    pub ports: Option<(u16, u16)>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// Bytes of memory that can be had without swapping (`MemAvailable`).
    pub memory_available: Option<u64>,
    /// Bytes that the cgroup may still use.
    pub cgroup_memory: Option<u64>,
    /// CPUs that the cgroup may use.
    pub cgroup_cpus: Option<f64>,
    /// `net.netfilter.nf_conntrack_max`, where any connection is tracked.
    pub conntrack_max: Option<u64>,
    /// CPUs that this process may use.
    pub cpus_allowed: Vec<usize>,
    /// CPUs that are one core, where several are.
    pub siblings: Vec<Vec<usize>>,
    /// Frequency governor of the first CPU.
    pub governor: Option<String>,
    /// Where the clock is read from.
    pub clock_source: Option<String>,
}

impl Host {
    /// This machine.
    pub fn read() -> Host {
        Host { cpus_allowed: crate::cpu::allowed(), ..Host::read_from(Path::new("/")) }
    }

    /// The machine whose `/proc` and `/sys` are under `root`, but for the CPUs that are allowed.
    pub fn read_from(root: &Path) -> Host {
        let read = |path: &str| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(text.trim().to_owned())
        };
        let number = |path: &str| read(path)?.parse::<u64>().ok();
        let limits = read("proc/self/limits").unwrap_or_default();
        let meminfo = read("proc/meminfo").unwrap_or_default();
        Host {
            kernel: read("proc/sys/kernel/osrelease").unwrap_or_default(),
            io_uring_disabled: number("proc/sys/kernel/io_uring_disabled").map(|value| value as u32),
            nofile_hard: word(&limits, "Max open files", 1),
            ports: read("proc/sys/net/ipv4/ip_local_port_range").and_then(|text| {
                let mut ends = text.split_whitespace().map_while(|end| end.parse().ok());
                Some((ends.next()?, ends.next()?))
            }),
            somaxconn: number("proc/sys/net/core/somaxconn"),
            memory_available: word(&meminfo, "MemAvailable:", 0).map(|kib| kib * 1024),
            cgroup_memory: cgroup_memory(&number),
            cgroup_cpus: crate::cpu::Groups::of_self(root).quota(),
            conntrack_max: number("proc/sys/net/netfilter/nf_conntrack_count")
                .filter(|count| *count > 0)
                .and_then(|_| number("proc/sys/net/netfilter/nf_conntrack_max")),
            cpus_allowed: Vec::new(),
            siblings: siblings(&read),
            governor: crate::cpu::governor(root),
            clock_source: read("sys/devices/system/clocksource/clocksource0/current_clocksource"),
        }
    }
}

/// The number that is word `at` behind `key` in the line that begins with it.
fn word(text: &str, key: &str, at: usize) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().nth(at)?.parse().ok()
}

/// What is left of the limit: version 2 (`memory.max`, absent at the root), or version 1.
fn cgroup_memory(number: &impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let left = |most: &str, used: &str| Some(number(most)?.saturating_sub(number(used)?));
    left("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current").or_else(|| {
        left("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes")
    })
}

fn siblings(read: &impl Fn(&str) -> Option<String>) -> Vec<Vec<usize>> {
    let cores = (0..)
        .map_while(|cpu| read(&format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")));
    let cores: BTreeSet<Vec<usize>> =
        cores.map(|list| crate::cpu::listed(&list)).filter(|core| core.len() > 1).collect();
    cores.into_iter().collect()
}
