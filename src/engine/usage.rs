//! What a thread or the process has used of the machine.

use crate::clock::Nanos;

/// CPU time, waits and context switches since the thread or process began.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time outside of the kernel.
    pub user_ns: Nanos,
    /// CPU time in the kernel, on behalf of the thread or process.
    pub system_ns: Nanos,
    /// Time that the thread was ready to run and something else ran on its CPU, or a quota was used up
    /// (`/proc/thread-self/schedstat`); of a process, and where the kernel does not count it, 0.
    pub waited_ns: Nanos,
    /// Switches because the thread waited.
    pub voluntary_switches: u64,
    /// Switches because somebody else wanted the CPU.
    pub involuntary_switches: u64,
}

impl Usage {
    /// All CPU time.
    pub fn cpu_ns(self) -> Nanos {
        self.user_ns + self.system_ns
    }

    /// What was used between `earlier` and this.
    pub fn since(self, earlier: Usage) -> Usage {
        Usage {
            user_ns: self.user_ns - earlier.user_ns,
            system_ns: self.system_ns - earlier.system_ns,
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
            voluntary_switches: self.voluntary_switches - earlier.voluntary_switches,
            involuntary_switches: self.involuntary_switches - earlier.involuntary_switches,
        }
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.user_ns += other.user_ns;
        self.system_ns += other.system_ns;
        self.waited_ns += other.waited_ns;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
    }
}

/// `getrusage(RUSAGE_THREAD)`, and the thread's wait for a CPU.
pub fn thread_usage() -> Usage {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = schedstat.split_whitespace().nth(1).and_then(|waited| waited.parse().ok());
    Usage { waited_ns: waited.unwrap_or(0), ..usage(libc::RUSAGE_THREAD) }
}

/// `getrusage(RUSAGE_SELF)`.
pub fn process_usage() -> Usage {
    usage(libc::RUSAGE_SELF)
}

fn usage(who: libc::c_int) -> Usage {
    // SAFETY: all-zero is a valid rusage, and the call writes one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(who, &mut usage), 0, "getrusage");
        usage
    };
    let nanos = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    Usage {
        user_ns: nanos(usage.ru_utime),
        system_ns: nanos(usage.ru_stime),
        waited_ns: 0,
        voluntary_switches: usage.ru_nvcsw as u64,
        involuntary_switches: usage.ru_nivcsw as u64,
    }
}

/// Bytes of user memory the process occupies now (`/proc/self/statm`, resident pages); 0 when unreadable.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    // SAFETY: no pointers.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64
}
