//! Signals that ask this process to end.

use libc::{SIGHUP, SIGINT, SIGTERM};

/// Ctrl-C, and what `kill` sends. Whoever sends one more does not want to wait.
pub const ASKING: [i32; 2] = [SIGINT, SIGTERM];

/// SIGHUP, which a terminal sends that goes away; `None` when whoever started this process had it ignored, as nohup
/// does. To be asked before it is handled. It says no more when it comes again: a shell passes it on to its jobs,
/// and the kernel sends it to them too.
pub fn hangup() -> Option<i32> {
    // Without /proc nobody knows: then it ends the process, as it does by default.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    (!is_ignored(&status, SIGHUP)).then_some(SIGHUP)
}

/// What a process's `status` says of a signal (proc_pid_status(5)): bit n - 1 of SigIgn is signal n.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_bits_of_a_mask() {
        let nohup =
            "Name:\tnohup\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t00000001ffb80002\n";
        assert!(is_ignored(nohup, SIGHUP) && !is_ignored(nohup, SIGINT) && !is_ignored(nohup, SIGTERM));
        let plain = nohup.replace("1001", "1000");
        assert!(!is_ignored(&plain, SIGHUP) && is_ignored(&plain, libc::SIGPIPE));
        assert!(!is_ignored("", SIGHUP) && !is_ignored("SigIgn:\tnone\n", SIGHUP));
    }
}
