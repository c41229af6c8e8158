//! Processes that are ours to end, and the signals that tell us to.

use crate::record::Exit;
use crate::signals;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two looks at what runs.
pub const GLANCE: Duration = Duration::from_millis(10);

/// SIGINT and SIGTERM, counted; SIGHUP is the first of them, never one more.
pub struct Interrupts {
    signals: UnixStream,
    count: u32,
    hung_up: Arc<AtomicBool>,
}

impl Interrupts {
    /// Counts from now on; the signals end the process no more.
    pub fn listen() -> io::Result<Interrupts> {
        let (signals, ours) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        for signal in signals::ASKING {
            signal_hook::low_level::pipe::register(signal, ours.try_clone()?)?;
        }
        let hung_up = Arc::new(AtomicBool::new(false));
        if let Some(signal) = signals::hangup() {
            signal_hook::flag::register(signal, Arc::clone(&hung_up))?;
        }
        Ok(Interrupts { signals, count: 0, hung_up })
    }

    /// Signals so far.
    pub fn count(&mut self) -> u32 {
        let mut bytes = [0; 16];
        while let Ok(read @ 1..) = self.signals.read(&mut bytes) {
            self.count += read as u32;
        }
        self.count.max(self.hung_up.load(Ordering::Relaxed).into())
    }

    /// Waits, until `span` is over or a signal has come.
    pub fn sleep(&mut self, span: Duration) {
        let end = Instant::now() + span;
        while self.count() == 0 && Instant::now() < end {
            std::thread::sleep(GLANCE.min(end.saturating_duration_since(Instant::now())));
        }
    }
}

/// A process in a group of its own: a Ctrl-C at the terminal reaches it through us only, once, and its own
/// children go with it. It is killed when it is dropped.
pub struct Process {
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` without standard input: a process group in the background must not read the terminal.
    pub fn start(command: &mut Command) -> io::Result<Process> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        Ok(Process { child, status: None })
    }

    /// How it ended; `None` while it runs.
    pub fn poll(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Sends a signal to it and its children, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        // Once it is waited for, its number may be another process's.
        if let Ok(None) = self.poll() {
            // It may end at this very moment, which is what is wanted.
            let _ = kill_process_group(Pid::from_child(&self.child), signal);
        }
    }

    /// Waits for its end, at most for `patience` or until a second signal came.
    pub fn wait(
        &mut self,
        patience: Duration,
        interrupts: &mut Interrupts,
    ) -> io::Result<Option<ExitStatus>> {
        let end = Instant::now() + patience;
        loop {
            match self.poll()? {
                None if Instant::now() < end && interrupts.count() < 2 => std::thread::sleep(GLANCE),
                status => return Ok(status),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // Nothing to be done about an error here; the kernel ends what was killed.
        let _ = self.child.wait();
    }
}

/// Exit code of a process in the terms of [`Exit`]. Codes of other programs mean what
/// they like: any but 0 counts as *environment*.
pub fn exit_code(status: ExitStatus, is_ours: bool, interrupted: bool) -> u8 {
    let exit = match status.code() {
        Some(0) => Exit::Clean,
        Some(code) if is_ours => return u8::try_from(code).unwrap_or(Exit::Internal.code()),
        _ if interrupted => Exit::Interrupted,
        None if is_ours => Exit::Internal,
        _ => Exit::Environment,
    };
    exit.code()
}

/// The code that several processes end with together: the gravest of them.
pub fn gravest_code(codes: impl IntoIterator<Item = u8>) -> u8 {
    codes.into_iter().map(Exit::from_code).fold(Exit::Clean, Exit::graver).code()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_gravest_code_wins() {
        let cases: [(&[u8], u8); 11] = [
            (&[], 0),
            (&[0, 0], 0),
            (&[0, 5], 5),
            (&[6, 4, 5], 4),
            (&[4, 130], 130),
            (&[130, 1], 1),
            (&[7, 0], 7),
            // what is broken is broken, whatever nobody knows of others
            (&[6, 7, 0], 7),
            (&[9, 6, 8], 8),
            (&[0, 9, 6], 6),
            (&[0, 9], 9),
        ];
        for (codes, expected) in cases {
            assert_eq!(gravest_code(codes.iter().copied()), expected, "{codes:?}");
        }
    }

    #[test]
    fn codes_of_others_are_of_the_environment() {
        let code = |code: i32| ExitStatus::from_raw(code << 8);
        let killed = ExitStatus::from_raw(9);
        let cases = [
            (code(0), true, false, 0),
            (code(5), true, false, 5),
            (code(130), true, true, 130),
            (killed, true, false, 1),
            (killed, true, true, 130),
            (code(0), false, true, 0),
            (code(1), false, false, 3),
            (code(127), false, false, 3),
            (code(1), false, true, 130),
        ];
        for (status, is_ours, interrupted, expected) in cases {
            assert_eq!(exit_code(status, is_ours, interrupted), expected, "{status} {is_ours} {interrupted}");
        }
    }

    #[test]
    fn a_process_that_is_dropped_is_gone_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("alive");
        // The inner process holds the writing end: the reader sees the end of it when both are gone.
        let script = format!("mkfifo {0} && (sleep 1000 & sleep 1000) > {0}", fifo.display());
        let process = Process::start(Command::new("sh").args(["-c", &script])).unwrap();
        while !fifo.exists() {
            std::thread::sleep(GLANCE);
        }
        let mut reader = std::fs::File::open(&fifo).unwrap();
        drop(process);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}
