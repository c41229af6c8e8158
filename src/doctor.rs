//! Whether a machine can carry a run, and what would help: found before the first packet.
//!
//! [`Host`] is what the machine says of itself (proc(5), sysfs, cgroups(7)), [`Need`] what a run asks of it, and
//! [`examine`] compares the two. What cannot work [stops](Severity::Stops) a run; what may spoil its figures
//! [hurts](Severity::Hurts). Each finding has the command that mends it.

mod host;
#[cfg(test)]
mod tests;

pub use host::Host;

use crate::units;

/// What a run asks of the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// Clients in all.
    pub clients: u32,
    /// Brokers that they are spread over,
    pub brokers: u32,
    /// and local addresses that they come from; 0 when none were asked for.
    pub sources: u32,
    /// Whether the brokers are on a loopback address of this machine, where there are source addresses enough.
    pub loopback: bool,
    /// Whether a broker shares this machine,
    pub broker_here: bool,
    /// and this process.
    pub embedded: bool,
    /// CPUs asked for,
    pub cores_asked: usize,
    /// and those of the workers.
    pub cpus: Vec<usize>,
}

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// It is as it should be.
    Fine,
    /// The run goes through, and its figures may be worse than they need be.
    Hurts,
    /// The run cannot work.
    Stops,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at: `descriptors`.
    pub what: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, and what the run needs.
    pub found: String,
    /// What mends it, as a command where there is one.
    pub remedy: Option<String>,
}

impl Finding {
    fn fine(what: &'static str, found: String) -> Finding {
        Finding { what, severity: Severity::Fine, found, remedy: None }
    }

    fn or(self, severity: Severity, when: bool, remedy: impl FnOnce() -> String) -> Finding {
        if when { Finding { severity, remedy: Some(remedy()), ..self } } else { self }
    }
}

impl std::fmt::Display for Finding {
    /// `somaxconn is 128, for 10,000 clients at once: sysctl net.core.somaxconn=65535`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.found)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, ": {remedy}"))
    }
}

/// Kernel memory of a connection that is idle, at one end: socket 2368, inode 832, file 192, dentry 192, and the ring's
/// request with what it waits for, 960. Measured on Linux 6.18.
const KERNEL_BYTES: u64 = 4900;
/// Our own memory of an idle client, or of its session in a reflector.
const OWN_BYTES: u64 = 256;
/// Our own memory of a ring, whatever is in it: receive buffers, histograms, a thread.
const RING_BYTES: u64 = 1 << 20;
/// Connections that a listener should be able to queue: what all workers together start at once, and more.
const BACKLOG: u64 = 1024;

/// Compares what a machine has with what a run needs. What a machine does not say is left out.
pub fn examine(host: &Host, need: &Need) -> Vec<Finding> {
    let findings = [
        kernel(host),
        io_uring(host),
        descriptors(host, need),
        ports(host, need),
        backlog(host, need),
        memory(host, need),
        tracking(host, need),
        cpus(host, need),
        quota(host, need),
        siblings(host, need),
        governor(host),
        clock(host),
    ];
    findings.into_iter().flatten().collect()
}

fn kernel(host: &Host) -> Option<Finding> {
    let mut numbers =
        host.kernel.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next().unwrap_or(0));
    let finding = Finding::fine("kernel", format!("Linux {}", host.kernel));
    Some(finding.or(Severity::Stops, version < (6, 1), || "the engine needs 6.1 or later".into()))
}

fn io_uring(host: &Host) -> Option<Finding> {
    let disabled = host.io_uring_disabled?;
    let found = format!("kernel.io_uring_disabled is {disabled}");
    let remedy = || "sysctl kernel.io_uring_disabled=0".into();
    Some(Finding::fine("io_uring", found).or(Severity::Stops, disabled == 2, remedy))
}

fn descriptors(host: &Host, need: &Need) -> Option<Finding> {
    let limit = host.nofile_hard?;
    let cores = need.cpus.len().max(1) as u64;
    let rings = rings(limit, need);
    let (clients, shown) = (units::grouped(need.clients.into()), units::grouped(limit));
    let found = format!(
        "a ring holds as many connections as the hard limit on open files (ulimit -Hn), {shown}: {clients} clients take {rings} rings"
    );
    let raise = || format!("raise the hard limit (ulimit -Hn {}, LimitNOFILE=)", need.clients.max(1 << 20));
    // A ring, its waker, a listener, and a socket on its way into the table; and what is open anyway.
    let finding = Finding::fine("descriptors", found).or(Severity::Hurts, rings > cores, raise);
    Some(finding.or(Severity::Stops, rings * 4 + 8 > limit, raise))
}

/// Rings of the generator, where each holds so many connections.
fn rings(limit: u64, need: &Need) -> u64 {
    let cores = need.cpus.len().max(1) as u64;
    u64::from(need.clients).div_ceil(limit.max(1)).div_ceil(cores).max(1) * cores
}

fn ports(host: &Host, need: &Need) -> Option<Finding> {
    let (low, high) = host.ports?;
    let ports = u64::from(high.saturating_sub(low)) + 1;
    let each = u64::from(need.clients.div_ceil(need.brokers.max(1)).div_ceil(need.sources.max(1)));
    let found =
        format!("ports {low}-{high}, {} clients from one address to one broker", units::grouped(each));
    let finding = Finding::fine("ports", found);
    if need.loopback && need.sources == 0 {
        return Some(finding);
    }
    let widen = || "sysctl net.ipv4.ip_local_port_range='1024 65535'".into();
    let more = || {
        "one address has 64,512 ports for each broker: give more with --source, or name the broker by more --host".into()
    };
    let narrow = each > ports / 2 && (low, high) != (1024, 65535);
    Some(finding.or(Severity::Hurts, narrow, widen).or(Severity::Stops, each > 63_488, more))
}

fn backlog(host: &Host, need: &Need) -> Option<Finding> {
    let most = host.somaxconn.filter(|_| need.broker_here)?;
    let found = format!("net.core.somaxconn is {most}");
    let remedy = || "sysctl net.core.somaxconn=65535".into();
    Some(Finding::fine("backlog", found).or(Severity::Hurts, most < BACKLOG, remedy))
}

fn memory(host: &Host, need: &Need) -> Option<Finding> {
    let free = [host.memory_available, host.cgroup_memory].into_iter().flatten().min()?;
    let ends = |here: bool| if here { 2 } else { 1 };
    let clients = u64::from(need.clients);
    let rings = rings(host.nofile_hard.unwrap_or(u64::MAX), need);
    let own = (clients * OWN_BYTES + rings * RING_BYTES) * ends(need.embedded);
    let kernel = clients * KERNEL_BYTES * ends(need.broker_here);
    let bytes = units::bytes;
    let found = format!(
        "memory: about {} of ours and {} of the kernel's, of {} free",
        bytes(own),
        bytes(kernel),
        bytes(free)
    );
    let needed = own + kernel;
    let remedy = || "free memory, or ask for fewer --clients".into();
    let finding = Finding::fine("memory", found).or(Severity::Hurts, needed > free / 2, remedy);
    Some(finding.or(Severity::Stops, needed > free, remedy))
}

fn tracking(host: &Host, need: &Need) -> Option<Finding> {
    let most = host.conntrack_max?;
    let found = format!("net.netfilter.nf_conntrack_max is {}", units::grouped(most));
    let needed = u64::from(need.clients) * 2;
    let remedy = || format!("sysctl net.netfilter.nf_conntrack_max={}", needed.max(1 << 18));
    Some(Finding::fine("conntrack", found).or(Severity::Hurts, most < needed, remedy))
}

fn cpus(host: &Host, need: &Need) -> Option<Finding> {
    let allowed = host.cpus_allowed.len();
    let (asked, list) = (need.cores_asked, crate::cpu::list(&need.cpus));
    let found = format!("workers on CPU {list}; {allowed} may be used, {asked} asked for");
    let finding = Finding::fine("CPUs", found);
    Some(finding.or(Severity::Hurts, asked > need.cpus.len(), || {
        "ask for fewer --cores, or allow more (taskset)".into()
    }))
}

fn quota(host: &Host, need: &Need) -> Option<Finding> {
    let quota = host.cgroup_cpus?;
    let found = format!("the cgroup may use {quota:.1} CPUs");
    let remedy = || format!("raise its quota to {} CPUs and more (cpu.max)", need.cpus.len());
    Some(Finding::fine("CPU quota", found).or(Severity::Hurts, quota < need.cpus.len() as f64, remedy))
}

fn siblings(host: &Host, need: &Need) -> Option<Finding> {
    let shared = |cores: &&Vec<usize>| cores.iter().filter(|cpu| need.cpus.contains(cpu)).count() > 1;
    let pair = host.siblings.iter().find(shared)?;
    let found = format!("CPUs {} are one core", crate::cpu::list(pair));
    let remedy = || "give workers a core each (taskset)".into();
    Some(Finding::fine("SMT", found).or(Severity::Hurts, true, remedy))
}

fn governor(host: &Host) -> Option<Finding> {
    let governor = host.governor.as_deref()?;
    let remedy = || "cpupower frequency-set -g performance".into();
    let found = format!("the frequency governor is {governor}");
    Some(Finding::fine("governor", found).or(Severity::Hurts, governor != "performance", remedy))
}

fn clock(host: &Host) -> Option<Finding> {
    let source = host.clock_source.as_deref()?;
    let fast = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"].contains(&source);
    let remedy = || "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource".into();
    let found = format!("the clock source is {source}");
    Some(Finding::fine("clock", found).or(Severity::Hurts, !fast, remedy))
}
