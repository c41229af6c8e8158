use super::*;
use std::fs;

mod watching;

const CPUINFO_X86: &str = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Processor\n\
                           flags\t\t: fpu vme\n\nprocessor\t: 1\nmodel name\t: Intel(R) Xeon(R) Processor\n";
const CPUINFO_ARM: &str = "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             96365                96365                processes \n\
                      Max open files            1024                 20000                files     \n";

#[test]
fn x86_and_arm_models_are_read() {
    assert_eq!(cpu_model(CPUINFO_X86), "Intel(R) Xeon(R) Processor");
    assert_eq!(field_values(CPUINFO_X86, "processor").count(), 2);
    assert_eq!(cpu_model(CPUINFO_ARM), "implementer 0x41 part 0xd0c");
    assert_eq!(cpu_model(""), "");
}

#[test]
fn limits_and_memory_are_read() {
    assert_eq!(nofile(LIMITS), (Some(1024), Some(20_000)));
    assert_eq!(
        nofile("Max open files            unlimited            unlimited            files"),
        (None, None)
    );
    assert_eq!(nofile(""), (None, None));
    assert_eq!(memory("MemTotal:       24684092 kB\nMemFree: 1 kB\n"), 24_684_092 * 1024);
    assert_eq!(memory("MemTotal: lots\n"), 0);
}

#[test]
fn lists_are_written_as_the_kernel_does() {
    for (cpus, text) in [(vec![], ""), (vec![5], "5"), (vec![0, 1], "0-1"), (vec![8, 3, 1, 2, 2, 0], "0-3,8")]
    {
        assert_eq!(list(&cpus), text);
    }
}

#[test]
fn this_machine_is_described() {
    let machine = machine();
    assert!(machine.cpus >= 1 && machine.memory_bytes > 1 << 20, "{machine:?}");
    assert!(!machine.kernel.is_empty() && !machine.host.is_empty(), "{machine:?}");
    assert!(machine.cpus_allowed.len() <= machine.cpus, "{machine:?}");
    assert!(machine.nofile_soft <= machine.nofile_hard, "{machine:?}");
}

#[test]
fn a_pinned_thread_may_use_its_cpu_only() {
    // a thread of its own, so that the test runner's is not pinned
    let pinned = std::thread::spawn(|| {
        let before = allowed();
        let last = *before.last().expect("never empty");
        // another CPU of this machine where there is one: the kernel itself would allow that
        let other = if before[0] == last { last + 1 } else { before[0] };
        pin(last).map(|()| (last, allowed(), other, pin(other)))
    });
    let (cpu, now_allowed, other, escape) = pinned.join().expect("no panic").expect("the CPU was allowed");
    assert_eq!(now_allowed, [cpu]);
    assert_eq!(escape, Err(PinError { cpu: other, allowed: vec![cpu] }));
}

#[test]
fn a_cpu_out_of_nowhere_is_an_error_that_names_it() {
    let error = pin(1_000_000).expect_err("no such CPU").to_string();
    assert_eq!(
        error,
        format!("cannot pin a thread to CPU 1000000: this process may use CPUs {}", list(&allowed()))
    );
}

#[test]
fn lists_of_cpus_are_read_as_they_are_written() {
    assert_eq!(listed("0-3,8\n"), [0, 1, 2, 3, 8]);
    assert_eq!(listed(&list(&[7, 2, 3])), [2, 3, 7]);
    assert_eq!(listed("none"), [0; 0]);
}

/// Files under a folder that stands for `/`.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Root {
        Root(tempfile::TempDir::new().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
    }

    /// A thread of process `pid` that may run on `allowed`, ran last on `cpu`, and for so many ticks.
    fn thread(&self, (pid, tid): (u32, u32), name: &str, (cpu, allowed): (usize, &str), ticks: u64) {
        let task = format!("proc/{pid}/task/{tid}");
        let stat = format!(
            "{tid} ({name}) R 1 1 1 0 -1 4194560 9 0 0 0 {ticks} 3 0 0 20 0 1 0 7 0 0 {} {cpu} 0 0 0 0 0",
            ["0"; 14].join(" ")
        );
        self.write(&format!("{task}/stat"), &stat);
        self.write(&format!("{task}/status"), &format!("Name:\t{name}\nCpus_allowed_list:\t{allowed}\n"));
    }
}

const SECOND: u64 = 1_000_000_000;
const TICK: u64 = 10_000_000;

/// Steal and the work of others, of the CPUs that were asked for.
#[test]
fn r25_steal_and_other_load_are_what_proc_stat_says() {
    let root = Root::new();
    let stat = |busy: u64, stolen: u64| {
        format!(
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 {busy} 10 20 500 40 1 2 {stolen} 0 0\ncpu1 9 9 9 9 9 9 9 9 0 0\n\
             cpu2 100 0 0 0 0 0 0 0 0 0\nintr 1 2 3\n"
        )
    };
    root.write("proc/stat", &stat(100, 7));
    let mut meter = Meter::new(root.path(), &[0, 2]);
    root.write("proc/stat", &stat(150, 10));
    let taken = meter.take();
    assert_eq!(taken.cpus.keys().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(taken.cpus[&0], Spent { worked: 50 * TICK, stolen: 3 * TICK });
    assert_eq!(taken.cpus[&2], Spent::default());
    // Each time only what is new; and a figure that falls is none.
    root.write("proc/stat", &stat(151, 9));
    assert_eq!(meter.take().cpus[&0], Spent { worked: TICK, stolen: 0 });
    fs::remove_file(root.path().join("proc/stat")).unwrap();
    assert_eq!(meter.take(), Taken::default());
}

/// Of this group and of those around it, in either version.
#[test]
fn r25_throttling_is_what_the_control_groups_say() {
    for (memberships, mount, key, unit, quota) in [
        ("0::/a/b\n", "sys/fs/cgroup", "throttled_usec", 1000, "cpu.max"),
        (
            "7:memory:/x\n3:cpu,cpuacct:/a/b\n",
            "sys/fs/cgroup/cpu,cpuacct",
            "throttled_time",
            1,
            "cpu.cfs_quota_us",
        ),
        ("3:cpu:/a/b\n0::/c\n", "sys/fs/cgroup/cpu", "throttled_time", 1, "cpu.cfs_quota_us"),
    ] {
        let root = Root::new();
        root.write("proc/self/cgroup", memberships);
        let write = |group: &str, periods: u64, time: u64| {
            let text = format!("nr_periods 99\nnr_throttled {periods}\n{key} {time}\n");
            root.write(&format!("{mount}/{group}/cpu.stat"), &text);
        };
        let set = |group: &str, quota_us: i64| {
            let (quota_text, period) = (quota_us.to_string(), "100000");
            match quota {
                "cpu.max" => {
                    root.write(&format!("{mount}/{group}/cpu.max"), &format!("{quota_text} {period}\n"));
                }
                _ => {
                    root.write(&format!("{mount}/{group}/{quota}"), &quota_text);
                    root.write(&format!("{mount}/{group}/cpu.cfs_period_us"), period);
                }
            }
        };
        write("a", 5, 1000);
        write("a/b", 1, 10);
        set("a", 50_000);
        set("a/b", 200_000);
        let mut meter = Meter::new(root.path(), &[0]);
        write("a", 7, 4000);
        write("a/b", 2, 11);
        let expected = Throttled { periods: 3, ns: 3001 * unit };
        assert_eq!(meter.take().throttled, expected, "{memberships}");
        assert_eq!(Groups::of_self(root.path()).quota(), Some(0.5), "the tightest: {memberships}");
        set("a", -1);
        assert_eq!(Groups::of_self(root.path()).quota(), Some(2.0), "{memberships}");
    }
    let nowhere = Groups::of_self(Path::new("/nonexistent"));
    assert_eq!((nowhere.throttled(), nowhere.quota()), (Throttled::default(), None));
}

/// In a container the groups may have the host's names, and only the mount is to be seen.
#[test]
fn a_group_that_cannot_be_seen_leaves_the_mount() {
    let root = Root::new();
    root.write("proc/self/cgroup", "0::/docker/4711\n");
    root.write("sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_eq!(Groups::of_self(root.path()).quota(), Some(0.5));
}

/// Generator and broker on the same cores, and whoever else is there.
#[test]
fn r25_who_shares_the_cpus_is_named_and_the_broker_known() {
    let root = Root::new();
    let own = 50;
    let (anywhere, here) = ("0-3", "0");
    root.thread((own, 50), "malaria-bench", (0, here), 100);
    root.thread((60, 60), "mosquitto", (0, anywhere), 10);
    root.thread((60, 61), "mosquitto", (0, anywhere), 0);
    root.thread((70, 70), "a (b) c", (3, here), 0);
    root.thread((80, 80), "wanderer", (3, anywhere), 0);
    root.thread((90, 90), "elsewhere", (1, anywhere), 0);
    root.thread((95, 95), "little", (0, anywhere), 0);
    let before = Threads::look(root.path());
    root.thread((own, 50), "malaria-bench", (0, here), 190);
    root.thread((60, 60), "mosquitto", (0, anywhere), 20);
    root.thread((60, 61), "mosquitto", (0, anywhere), 10);
    root.thread((70, 70), "a (b) c", (0, here), 40);
    root.thread((80, 80), "wanderer", (0, anywhere), 90);
    root.thread((90, 90), "elsewhere", (1, anywhere), 90);
    root.thread((95, 95), "little", (0, anywhere), 4);
    root.thread((99, 99), "new", (0, anywhere), 7);
    let tcp = |state: &str, port: u16| {
        format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 333 1 0\n"
        )
    };
    root.write("proc/net/tcp", &tcp("0A", 1883));
    root.write("proc/60/fd/.keep", "");
    std::os::unix::fs::symlink("socket:[333]", root.path().join("proc/60/fd/5")).unwrap();
    let beside = |port| {
        let found = Threads::look(root.path()).beside(&before, (own, &[0, 2]), &[port], SECOND);
        let told = found.into_iter().map(|it| (it.name, it.pid, it.cpu, it.busy_share, it.broker));
        told.collect::<Vec<_>>()
    };
    let named = |name: &str, pid, share, broker| (name.to_owned(), pid, 0, share, broker);
    let expected =
        [named("a (b) c", 70, 0.4, false), named("mosquitto", 60, 0.2, true), named("new", 99, 0.1, false)];
    assert_eq!(beside(1883), expected);
    assert!(beside(1884).iter().all(|(.., broker)| !broker));
    root.write("proc/net/tcp", &tcp("01", 1883));
    assert!(beside(1883).iter().all(|(.., broker)| !broker), "it does not listen");
}
