use super::*;

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
