//! What a broker uses, from files that stand for `/proc` and `/sys`.

use super::*;

/// A process, for the figures of a moment.
#[derive(Clone)]
struct Fake {
    pid: u32,
    name: &'static str,
    state: char,
    started: u64,
    ticks: (u64, u64),
    /// Threads: number, nanoseconds on a CPU, voluntary and involuntary switches.
    threads: Vec<(u32, u64, u64, u64)>,
    children: &'static str,
    kib: u64,
    files: usize,
}

fn broker() -> Fake {
    Fake {
        pid: 60,
        name: "mos (q) uitto",
        state: 'S',
        started: 500,
        ticks: (100, 200),
        threads: vec![(60, 3_000_000_000, 50, 5), (61, 1_000, 7, 0)],
        children: "",
        kib: 8_000,
        files: 9,
    }
}

impl Fake {
    fn write(&self, root: &Root) {
        let Fake { pid, name, state, started, ticks: (user, system), .. } = self;
        let stat = format!(
            "{pid} ({name}) {state} 1 1 1 0 -1 0 9 0 0 0 {user} {system} 0 0 20 0 1 0 {started} 7 0\n"
        );
        root.write(&format!("proc/{pid}/stat"), &stat);
        root.write(&format!("proc/{pid}/status"), &format!("Name:\t{name}\nVmRSS:\t    {} kB\n", self.kib));
        // In /proc it is a folder, whose size is the number of entries.
        root.write(&format!("proc/{pid}/fd"), &"f".repeat(self.files));
        let _ = fs::remove_dir_all(root.path().join(format!("proc/{pid}/task")));
        for (tid, ran, voluntary, involuntary) in &self.threads {
            let task = format!("proc/{pid}/task/{tid}");
            let switches = format!(
                "Name:\tx\nvoluntary_ctxt_switches:\t{voluntary}\nnonvoluntary_ctxt_switches:\t{involuntary}\n"
            );
            root.write(&format!("{task}/status"), &switches);
            root.write(&format!("{task}/schedstat"), &format!("{ran} 77 9\n"));
            root.write(&format!("{task}/children"), if tid == pid { self.children } else { "" });
        }
    }
}

const OWN: u32 = 50;

fn watch(root: &Root, subject: Subject) -> Result<Watch, WatchError> {
    Watch::open(root.path(), OWN, &[subject])
}

#[test]
fn what_a_process_uses_is_what_it_did_not_have_before() {
    let root = Root::new();
    broker().write(&root);
    let mut watch = watch(&root, Subject::Process(60)).unwrap();
    assert_eq!(watch.watched(), [Watched { by: By::Pid, name: "mos (q) uitto".into(), pid: Some(60) }]);
    let first = watch.look().unwrap();
    assert_eq!(first.since(&first).cpu_ns(), 0);
    // A new thread counts whole; the sum is what the threads ran, split as the ticks are.
    let threads = vec![(60, 3_300_000_000, 60, 6), (61, 1_000, 8, 0), (62, 100_000_000, 1, 1)];
    Fake { ticks: (110, 230), threads, kib: 9_000, files: 12, ..broker() }.write(&root);
    let used = watch.look().unwrap().since(&first);
    assert_eq!((used.user_cpu_ns, used.system_cpu_ns), (100_000_000, 300_000_000));
    assert_eq!((used.voluntary_switches, used.involuntary_switches), (Some(12), Some(2)));
    assert_eq!((used.resident_bytes, used.descriptors), (Some(9_000 * 1024), Some(12)));
    assert_eq!((used.throttled_ns, used.throttled), (None, None), "no group counts it");
}

/// A thread that came and went between two looks is in the ticks alone.
#[test]
fn time_of_threads_that_nobody_saw_counts() {
    let root = Root::new();
    broker().write(&root);
    let mut watch = watch(&root, Subject::Process(60)).unwrap();
    let first = watch.look().unwrap();
    Fake { ticks: (150, 250), ..broker() }.write(&root);
    let used = watch.look().unwrap().since(&first);
    assert_eq!(used.cpu_ns(), 98 * TICK, "all but what the ticks may be late by");
    // And what those that stay had in the meantime is not counted again.
    let threads = vec![(60, 3_000_000_000 + 10_000_000, 50, 5), (61, 1_000, 7, 0)];
    Fake { ticks: (151, 250), threads, ..broker() }.write(&root);
    assert_eq!(watch.look().unwrap().since(&first).cpu_ns(), 99 * TICK);
}

/// Where the kernel keeps no `schedstat`, there are the ticks.
#[test]
fn without_the_threads_run_times_ticks_count() {
    let root = Root::new();
    let write = |ticks| {
        Fake { ticks, ..broker() }.write(&root);
        fs::remove_file(root.path().join("proc/60/task/61/schedstat")).unwrap();
    };
    write((100, 200));
    let mut watch = watch(&root, Subject::Process(60)).unwrap();
    let first = watch.look().unwrap();
    write((101, 203));
    let used = watch.look().unwrap().since(&first);
    assert_eq!((used.user_cpu_ns, used.system_cpu_ns), (TICK, 3 * TICK));
}

/// All that it has started, also when that has started more, or what was between has ended; but not ourselves.
#[test]
fn the_whole_tree_is_watched_and_nobody_else() {
    let root = Root::new();
    let child = |pid, children, ran| Fake {
        pid,
        children,
        threads: vec![(pid, ran, 0, 0)],
        ticks: (0, 0),
        kib: 10,
        files: 1,
        ..broker()
    };
    Fake { children: "70 50 ", ..broker() }.write(&root);
    child(70, "71", 1_000).write(&root);
    child(71, "", 1_000).write(&root);
    child(OWN, "51", 1_000).write(&root);
    child(51, "", 1_000).write(&root);
    let mut watch = watch(&root, Subject::Process(60)).unwrap();
    let first = watch.look().unwrap();
    assert_eq!(first.resident_bytes, Some(8_020 * 1024), "neither ours nor what we have started");
    child(71, "", 1_700).write(&root);
    child(OWN, "51", 9_000).write(&root);
    // One that is new has had all its time since.
    Fake { children: "70 50 72", ..broker() }.write(&root);
    child(72, "", 30).write(&root);
    assert_eq!(watch.look().unwrap().since(&first).cpu_ns(), 730);
    // What is between ends: 71 is its no more and stays, and what 70 had is not forgotten.
    child(70, "71", 1_200).write(&root);
    assert_eq!(watch.look().unwrap().since(&first).cpu_ns(), 930);
    fs::remove_dir_all(root.path().join("proc/70")).unwrap();
    child(71, "", 1_800).write(&root);
    let used = watch.look().unwrap().since(&first);
    assert_eq!((used.cpu_ns(), used.resident_bytes), (1_030, Some(8_020 * 1024)));
}

#[test]
fn a_process_that_ends_is_told_of_no_more_whoever_has_its_number() {
    type End = fn(&Root);
    let gone: [(&str, End); 3] = [
        ("nobody has its number", |root| fs::remove_dir_all(root.path().join("proc/60")).unwrap()),
        ("somebody else has", |root| Fake { started: 501, ..broker() }.write(root)),
        ("its parent has not asked yet", |root| Fake { state: 'Z', ..broker() }.write(root)),
    ];
    for (how, end) in gone {
        let root = Root::new();
        broker().write(&root);
        let mut watch = watch(&root, Subject::Process(60)).unwrap();
        assert!(watch.look().is_some());
        end(&root);
        assert_eq!(watch.look(), None, "{how}");
        broker().write(&root);
        assert_eq!(watch.look(), None, "and never again: {how}");
    }
}

#[test]
fn of_two_brokers_the_sum_is_told_until_one_of_them_ends() {
    let root = Root::new();
    broker().write(&root);
    let other = |ran| Fake { pid: 80, threads: vec![(80, ran, 1, 1)], kib: 100, ..broker() };
    other(5).write(&root);
    let both = [Subject::Process(60), Subject::Process(80)];
    let mut watch = Watch::open(root.path(), OWN, &both).unwrap();
    let first = watch.look().unwrap();
    assert_eq!((first.resident_bytes, first.descriptors), (Some(8_100 * 1024), Some(18)));
    other(9).write(&root);
    assert_eq!(watch.look().unwrap().since(&first).cpu_ns(), 4);
    fs::remove_dir_all(root.path().join("proc/80")).unwrap();
    assert_eq!(watch.look(), None);
}

/// What cannot be read is absent, never 0.
#[test]
fn what_cannot_be_read_is_absent() {
    let root = Root::new();
    Fake { files: 0, threads: vec![], ..broker() }.write(&root);
    fs::remove_file(root.path().join("proc/60/status")).unwrap();
    let mut watch = watch(&root, Subject::Process(60)).unwrap();
    let first = watch.look().unwrap();
    let used = watch.look().unwrap().since(&first);
    assert_eq!(used, Used::default());
    assert_eq!((used.resident_bytes, used.descriptors, used.voluntary_switches), (None, None, None));
}

#[test]
fn who_is_not_there_is_named_with_a_remedy() {
    let root = Root::new();
    let error = |subject| watch(&root, subject).expect_err("nobody is there").to_string();
    let expected = [
        (Subject::Process(60), "--broker-pid 60", "pidof"),
        (Subject::Process(OWN), "--broker-pid 50", "the broker's"),
        (Subject::Group("/a".into()), "--broker-cgroup /a", "/proc/PID/cgroup"),
        (Subject::Container("a".into()), "--broker-container a", "docker inspect -f '{{.Id}}' a"),
    ];
    for (subject, flag, remedy) in expected {
        let text = error(subject);
        assert!(text.contains(flag) && text.contains(remedy), "{text}");
    }
}

/// A group of either version, at its path below the mount or in the file system.
#[test]
fn a_group_is_exact_and_its_processes_are_looked_at() {
    for (version_2, path) in [
        (true, "/system.slice/m.service"),
        (true, "/sys/fs/cgroup/system.slice/m.service"),
        (false, "system.slice/m.service"),
    ] {
        let root = Root::new();
        let write = |user: u64, system: u64, throttled: u64| {
            let group = "system.slice/m.service";
            if version_2 {
                let stat = format!(
                    "usage_usec 9\nuser_usec {user}\nsystem_usec {system}\nnr_throttled 2\nthrottled_usec {throttled}\n"
                );
                root.write(&format!("sys/fs/cgroup/{group}/cpu.stat"), &stat);
                root.write(&format!("sys/fs/cgroup/{group}/cgroup.procs"), "60\n0\n");
                root.write(&format!("sys/fs/cgroup/{group}/within/cgroup.procs"), "80\n");
            } else {
                root.write(
                    &format!("sys/fs/cgroup/cpuacct/{group}/cpuacct.usage_user"),
                    &format!("{}\n", user * 1000),
                );
                root.write(
                    &format!("sys/fs/cgroup/cpuacct/{group}/cpuacct.usage_sys"),
                    &format!("{}\n", system * 1000),
                );
                root.write(&format!("sys/fs/cgroup/cpuacct/{group}/cgroup.procs"), "60\n80\n");
                let stat = format!("nr_periods 9\nnr_throttled 2\nthrottled_time {}\n", throttled * 1000);
                root.write(&format!("sys/fs/cgroup/cpu/{group}/cpu.stat"), &stat);
            }
        };
        write(1_000, 2_000, 7);
        broker().write(&root);
        Fake { pid: 80, threads: vec![(80, 5, 1, 1)], ..broker() }.write(&root);
        let mut watch = watch(&root, Subject::Group(path.into())).unwrap();
        assert_eq!(watch.watched(), [Watched { by: By::Cgroup, name: path.into(), pid: None }]);
        let first = watch.look().unwrap();
        write(1_010, 2_030, 9);
        Fake { pid: 80, threads: vec![(80, 5, 4, 1)], ..broker() }.write(&root);
        let used = watch.look().unwrap().since(&first);
        assert_eq!((used.user_cpu_ns, used.system_cpu_ns), (10_000, 30_000), "{path}");
        assert_eq!((used.throttled_ns, used.throttled), (Some(2_000), Some(0)), "{path}");
        assert_eq!((used.voluntary_switches, used.descriptors), (Some(3), Some(18)), "{path}");
        // Made anew, as of a container that was started again.
        write(5, 5, 0);
        assert_eq!(watch.look(), None, "{path}");
    }
}

#[test]
fn a_container_is_found_by_the_part_of_a_path_that_names_it() {
    let id = "4f5c2d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d";
    for (name, group) in [
        (&id[..12], format!("system.slice/docker-{id}.scope")),
        (id, format!("docker/{id}")),
        ("mosquitto.service", "system.slice/mosquitto.service".to_owned()),
        ("mosquitto", "system.slice/mosquitto.service".to_owned()),
        ("box", "lxc.payload.box".to_owned()),
    ] {
        let root = Root::new();
        broker().write(&root);
        root.write("proc/60/cgroup", &format!("0::/{group}/init.scope\n"));
        root.write("proc/61/cgroup", &format!("0::/{group}\n"));
        let path = format!("sys/fs/cgroup/{group}");
        root.write(&format!("{path}/cpu.stat"), "user_usec 1\nsystem_usec 2\n");
        root.write(&format!("{path}/init.scope/cpu.stat"), "user_usec 1\nsystem_usec 2\n");
        root.write(&format!("{path}/init.scope/cgroup.procs"), "60\n");
        let mut watch =
            watch(&root, Subject::Container(name.into())).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(watch.look().unwrap().descriptors, Some(9), "{name}");
        assert!(
            self::watch(&root, Subject::Container(name[1..].into())).is_err(),
            "a part of a name is none"
        );
        // Two of that name.
        root.write("proc/62/cgroup", &format!("0::/other/{group}\n"));
        root.write(&format!("sys/fs/cgroup/other/{group}/cpu.stat"), "user_usec 1\nsystem_usec 2\n");
        let error = self::watch(&root, Subject::Container(name.into())).expect_err("two").to_string();
        assert!(error.contains("--broker-cgroup") && error.contains("/other/"), "{error}");
    }
}

/// Its CPU time would be taken for the broker's.
#[test]
fn a_group_with_ourselves_in_it_is_refused() {
    let root = Root::new();
    root.write("sys/fs/cgroup/a/cpu.stat", "user_usec 1\nsystem_usec 2\n");
    root.write("sys/fs/cgroup/a/b/cgroup.procs", "60\n50\n");
    let error = watch(&root, Subject::Group("/a".into())).expect_err("shared");
    assert_eq!(error, WatchError::Shared("/a".into()));
    assert!(error.to_string().contains("systemd-run"), "{error}");
}

/// Who listens is the broker where that is certain.
#[test]
fn the_one_that_listens_is_watched() {
    let listens = |pids: &[(u32, &'static str, &'static str)]| {
        let root = Root::new();
        let tcp = "  0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 333 1 0\n";
        root.write("proc/net/tcp", tcp);
        for (pid, name, children) in pids {
            let threads = vec![(*pid, 1, 1, 1)];
            Fake { pid: *pid, name, children, threads, ..broker() }.write(&root);
            let fd = root.path().join(format!("proc/{pid}/fd"));
            fs::remove_file(&fd).unwrap();
            fs::create_dir(&fd).unwrap();
            std::os::unix::fs::symlink("socket:[333]", fd.join("5")).unwrap();
        }
        let found = |ports: &[u16]| Watch::at_ports(root.path(), OWN, ports).map(|watch| watch.watched());
        assert_eq!(found(&[1884]), None, "nobody listens there");
        found(&[1883])
    };
    let known = |pid, name: &str| Some(vec![Watched { by: By::Port, name: name.into(), pid: Some(pid) }]);
    assert_eq!(listens(&[(60, "mosquitto", "")]), known(60, "mosquitto"));
    assert_eq!(
        listens(&[(60, "master", "61 62"), (61, "worker", ""), (62, "worker", "")]),
        known(60, "master")
    );
    assert_eq!(listens(&[(60, "one", ""), (61, "other", "")]), None, "which of the two?");
    assert_eq!(listens(&[(60, "docker-proxy", "")]), None, "it listens for somebody else");
    assert_eq!(listens(&[(OWN, "malaria-bench", "")]), None, "the embedded reflector");
}
