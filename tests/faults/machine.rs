//! Machines that do not let malaria-bench have what it needs.

use std::io;
use std::time::Duration;

use crate::bench::Bench;
use crate::broker::Broker;

/// Makes `io_uring_setup` fail with `errno`, as container runtimes do. For the child alone.
fn without_io_uring(errno: i32) -> io::Result<()> {
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    let refuse = libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    let setup = u32::try_from(libc::SYS_io_uring_setup).expect("a system call's number");
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    // The number of the system call is the first field of seccomp_data.
    let mut filter = [
        libc::sock_filter { code: load, jt: 0, jf: 0, k: 0 },
        libc::sock_filter { code: equal, jt: 0, jf: 1, k: setup },
        libc::sock_filter { code: answer, jt: 0, jf: 0, k: refuse },
        libc::sock_filter { code: answer, jt: 0, jf: 0, k: ALLOW },
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain system calls; the program and its filter outlive the second one.
    let results = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
        ]
    };
    if results == [0, 0] { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn r24_no_io_uring() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        for arguments in ["--embedded --clients 2", "-H 127.0.0.1 --clients 2", "reflector --port 0"] {
            let outcome = Bench::bare(arguments).prepared(move || without_io_uring(errno)).run();
            let why = io::Error::from_raw_os_error(errno).to_string();
            outcome.ends(
                3,
                &["io_uring is not available", &why, "sysctl kernel.io_uring_disabled=0", "seccomp"],
            );
            assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
        }
    }
}

#[test]
fn an_old_kernel() {
    // What Linux before 6.1 answers to flags it does not know.
    let bench = Bench::bare("-H 127.0.0.1 --clients 2").prepared(|| without_io_uring(libc::EINVAL));
    bench.run().ends(3, &["Linux", "too old", "6.1 or later", "DEFER_TASKRUN"]);
}

/// Sets the limit on open files, soft and hard. For the child alone.
fn limit_files(limit: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: a plain system call; `limit` outlives it.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn more_clients_than_files() {
    // The broker is this process, and has a file for each.
    assert!(malaria_bench::engine::descriptor_limit() > 1000, "the tests need more files: see `ulimit -Hn`");
    let broker = Broker::honest();
    let bench = Bench::against(broker.address, "--clients 500 -n 2 -T 2");
    let outcome = bench.prepared(|| limit_files(64)).run();
    outcome.ends(0, &["established 500"]);
    let record = outcome.record();
    assert_eq!(record.machine.nofile_hard, Some(64));
    assert_eq!(record.plan.workers, record.plan.cores_used, "several rings, and one worker on a core");
    assert_eq!((record.counts.delivered, record.counts.lost), (500, 0));
}

/// What cannot work ends before the first packet: nobody is at these addresses, and nobody is waited for.
#[test]
fn r24_what_cannot_work_stops_with_what_mends_it() {
    for (arguments, told) in [
        ("-H 192.0.2.1 --clients 100k -n 1", ["ports", "name the broker by more --host"]),
        ("-H 127.0.0.1 --clients 200M -n 1", ["memory", "fewer --clients"]),
        ("--embedded --clients 200M -n 1", ["memory", "fewer --clients"]),
    ] {
        let outcome = Bench::bare(arguments).run();
        outcome.ends(3, &told).within(Duration::from_secs(10));
    }
}

#[test]
fn r24_too_few_files_for_anything() {
    let broker = Broker::honest();
    for arguments in [
        format!("-H {} --clients 200 -n 1 -T 5", broker.address),
        "--embedded --clients 20 -n 1 -T 5".to_owned(),
        "reflector --port 0 --max-clients 1000".to_owned(),
    ] {
        for limit in [5, 8, 12, 24] {
            let outcome = Bench::bare(&arguments).prepared(move || limit_files(limit)).run();
            outcome.ends(3, &["error:", "open files", "ulimit -Hn"]).within(Duration::from_secs(10));
            assert_eq!(
                outcome.stderr.matches("(os error 24)").count() / 2,
                0,
                "said once: {}",
                outcome.stderr
            );
        }
    }
}
