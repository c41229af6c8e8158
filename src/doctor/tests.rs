use super::*;
use std::fs;
use tempfile::TempDir;

/// A machine as it should be.
fn good() -> Host {
    Host {
        kernel: "6.18.5-cloud".into(),
        io_uring_disabled: Some(0),
        nofile_hard: Some(1 << 20),
        ports: Some((32768, 60999)),
        somaxconn: Some(4096),
        memory_available: Some(32 << 30),
        cgroup_memory: None,
        cgroup_cpus: None,
        conntrack_max: None,
        cpus_allowed: vec![0, 1, 2, 3],
        siblings: vec![],
        governor: Some("performance".into()),
        clock_source: Some("tsc".into()),
    }
}

fn need() -> Need {
    Need {
        clients: 10_000,
        brokers: 1,
        sources: 0,
        loopback: false,
        broker_here: false,
        embedded: false,
        cores_asked: 2,
        cpus: vec![0, 1],
    }
}

#[test]
fn a_machine_as_it_should_be_is_fine() {
    let findings = examine(&good(), &need());
    assert!(findings.iter().all(|finding| finding.severity == Severity::Fine), "{findings:?}");
    assert!(findings.len() >= 8, "{findings:?}");
    // Who says nothing is not blamed for it.
    let silent = examine(&Host::default(), &need());
    assert!(silent.iter().all(|finding| finding.severity < Severity::Stops), "{silent:?}");
}

/// Each limit, lowered alone, is found with what mends it.
#[test]
fn r24_each_limit_is_found_and_comes_with_its_remedy() {
    use Severity::{Hurts, Stops};
    type Lower = fn(&mut Host, &mut Need);
    let cases: [(Lower, &str, Severity, &str); 17] = [
        (|host, _| host.kernel = "5.15.0".into(), "kernel", Stops, "6.1"),
        (|host, _| host.io_uring_disabled = Some(2), "io_uring", Stops, "sysctl kernel.io_uring_disabled=0"),
        (|host, _| host.nofile_hard = Some(4096), "descriptors", Hurts, "ulimit -Hn"),
        (|host, _| host.nofile_hard = Some(64), "descriptors", Stops, "ulimit -Hn"),
        (|_, need| need.clients = 20_000, "ports", Hurts, "ip_local_port_range"),
        (|_, need| need.clients = 100_000, "ports", Stops, "--source"),
        (
            |host, need| (host.somaxconn, need.broker_here) = (Some(128), true),
            "backlog",
            Hurts,
            "somaxconn=65535",
        ),
        (|host, _| host.memory_available = Some(60 << 20), "memory", Hurts, "--clients"),
        (|host, _| host.memory_available = Some(40 << 20), "memory", Stops, "--clients"),
        (|host, _| host.cgroup_memory = Some(40 << 20), "memory", Stops, "--clients"),
        (
            |host, need| (host.memory_available, need.broker_here) = (Some(80 << 20), true),
            "memory",
            Stops,
            "--clients",
        ),
        (|host, _| host.conntrack_max = Some(10_000), "conntrack", Hurts, "nf_conntrack_max=262144"),
        (|_, need| need.cores_asked = 16, "CPUs", Hurts, "--cores"),
        (|host, _| host.cgroup_cpus = Some(0.5), "CPU quota", Hurts, "cpu.max"),
        (|host, _| host.siblings = vec![vec![0, 1], vec![2, 3]], "SMT", Hurts, "taskset"),
        (|host, _| host.governor = Some("powersave".into()), "governor", Hurts, "cpupower"),
        (|host, _| host.clock_source = Some("hpet".into()), "clock", Hurts, "clocksource"),
    ];
    for (lower, what, severity, remedy) in cases {
        let (mut host, mut need) = (good(), need());
        lower(&mut host, &mut need);
        let findings = examine(&host, &need);
        let wrong: Vec<_> = findings.iter().filter(|finding| finding.severity > Severity::Fine).collect();
        let [finding] = wrong[..] else { panic!("{what} alone: {wrong:?}") };
        assert_eq!((finding.what, finding.severity), (what, severity), "{finding}");
        assert!(finding.remedy.as_ref().is_some_and(|text| text.contains(remedy)), "{finding}");
    }
}

#[test]
fn loopback_has_ports_enough() {
    let need = Need { clients: 1_000_000, loopback: true, ..need() };
    let findings = examine(&good(), &need);
    let ports = findings.iter().find(|finding| finding.what == "ports").expect("they were looked at");
    assert_eq!(ports.severity, Severity::Fine);
}

#[test]
fn r25_a_governor_that_saves_power_is_told_with_its_remedy() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("sys/devices/system/cpu/cpu0/cpufreq");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("scaling_governor"), "powersave\n").unwrap();
    let governor = crate::cpu::governor(root.path());
    assert_eq!(governor.as_deref(), Some("powersave"));
    let findings = examine(&Host { governor, ..good() }, &need());
    let told = findings.iter().find(|finding| finding.severity > Severity::Fine).expect("it hurts");
    assert_eq!(
        told.to_string(),
        "the frequency governor is powersave: cpupower frequency-set -g performance"
    );
    assert_eq!(crate::cpu::governor(&root.path().join("nowhere")), None);
}

#[test]
fn a_machine_is_read_from_its_files() {
    let root = TempDir::new().unwrap();
    let files = [
        ("proc/sys/kernel/osrelease", "6.6.9\n"),
        ("proc/sys/kernel/io_uring_disabled", "1\n"),
        (
            "proc/self/limits",
            "Limit  Soft  Hard  Units\nMax open files            1024                 20000                files\n",
        ),
        ("proc/meminfo", "MemTotal:  100 kB\nMemAvailable:   2048 kB\n"),
        ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
        ("proc/sys/net/core/somaxconn", "4096\n"),
        ("proc/sys/net/netfilter/nf_conntrack_max", "65536\n"),
        ("proc/sys/net/netfilter/nf_conntrack_count", "7\n"),
        ("proc/self/cgroup", "0::/\n"),
        ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
        ("sys/fs/cgroup/memory.max", "1000\n"),
        ("sys/fs/cgroup/memory.current", "400\n"),
        ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n"),
        ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1\n"),
        ("sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
    ];
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).unwrap();
        fs::write(path, text).unwrap();
    }
    let expected = Host {
        kernel: "6.6.9".into(),
        io_uring_disabled: Some(1),
        nofile_hard: Some(20_000),
        ports: Some((32768, 60999)),
        somaxconn: Some(4096),
        memory_available: Some(2 << 20),
        cgroup_memory: Some(600),
        cgroup_cpus: Some(0.5),
        conntrack_max: Some(65_536),
        cpus_allowed: vec![],
        siblings: vec![vec![0, 2]],
        governor: Some("powersave".into()),
        clock_source: Some("tsc".into()),
    };
    assert_eq!(Host::read_from(root.path()), expected);
    fs::write(root.path().join("sys/fs/cgroup/cpu.max"), "max 100000\n").unwrap();
    fs::write(root.path().join("sys/fs/cgroup/memory.max"), "max\n").unwrap();
    let without = Host { cgroup_cpus: None, cgroup_memory: None, ..expected };
    assert_eq!(Host::read_from(root.path()), without);
    assert_eq!(Host::read_from(&root.path().join("nowhere")), Host::default());
}
