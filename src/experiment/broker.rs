//! Brokers that are started before their combinations and stopped behind them.

use super::expand::Broker;
use super::process::{GLANCE, Interrupts, Process};
use rustix::process::Signal;
use std::fs::File;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a broker may take to end, and its stop command to do its work.
const STOP: Duration = Duration::from_secs(30);
/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_millis(500);

/// A broker that was started.
pub struct Running<'b> {
    broker: &'b Broker,
    /// What `start` started: the broker itself, or what has put it into the background and ended.
    process: Option<Process>,
    directory: &'b Path,
}

/// Starts `broker`, with its output in `directory`, and waits until it accepts connections.
///
/// # Errors
/// In words: it ended, or did not get ready in time; something else has its port.
pub fn start<'b>(
    broker: &'b Broker,
    directory: &'b Path,
    interrupts: &mut Interrupts,
) -> Result<Running<'b>, String> {
    let Broker { name, .. } = broker;
    let mut running = Running { broker, process: None, directory };
    let io = |error: std::io::Error| format!("broker {name}: {error}");
    if let Some(command) = &broker.start {
        if let Some(ready) = broker.ready.as_deref().filter(|ready| accepts(ready)) {
            return Err(format!("broker {name}: something listens on {ready} already: stop it first"));
        }
        std::fs::create_dir_all(directory).map_err(io)?;
        running.process = Some(shell(command, directory, "broker-start").map_err(io)?);
    }
    let Some(ready) = &broker.ready else { return Ok(running) };
    let begun = Instant::now();
    loop {
        if accepts(ready) {
            return Ok(running);
        }
        let ended = running.process.as_mut().map(Process::poll).transpose().map_err(io)?.flatten();
        let why = match ended {
            _ if interrupts.count() > 0 => "interrupted".to_owned(),
            Some(status) if !status.success() => {
                format!("`start` ended with {status}: see {}/broker-start.stderr", directory.display())
            }
            _ if begun.elapsed() > broker.ready_timeout => {
                let waited = broker.ready_timeout.as_secs_f64();
                format!("it did not accept connections on {ready} within {waited} s")
            }
            _ => {
                interrupts.sleep(GLANCE * 5);
                continue;
            }
        };
        let problems = running.stop(interrupts);
        let all = [vec![why], problems].concat();
        return Err(format!("broker {name}: {}", all.join("; ")));
    }
}

impl Running<'_> {
    /// Whether what `start` started has ended by itself, and well: then whatever it has put into the background is not ours.
    pub fn has_left(&mut self) -> bool {
        let ended = self.process.as_mut().map(Process::poll);
        matches!(ended, Some(Ok(Some(status))) if status.success())
    }

    /// Stops it and keeps its log. Returns what went wrong.
    pub fn stop(mut self, interrupts: &mut Interrupts) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(command) = &self.broker.stop
            && let Err(problem) = self.run_stop(command, interrupts)
        {
            problems.push(format!("`stop` {problem}"));
        }
        if let Some(process) = &mut self.process {
            process.signal(Signal::TERM);
            if let Ok(None) = process.wait(STOP, interrupts) {
                problems.push(format!("it did not end within {} s, and was killed", STOP.as_secs()));
                process.signal(Signal::KILL);
            }
            self.await_silence(interrupts);
        }
        if let Some(log) = &self.broker.log
            && let Err(error) = self.keep(Path::new(log))
        {
            problems.push(format!("its log {log} cannot be kept: {error}"));
        }
        problems
    }

    /// Waits until nobody has its port any more: the shell that was started may be gone before the broker is.
    fn await_silence(&self, interrupts: &mut Interrupts) {
        let begun = Instant::now();
        while self.broker.ready.as_deref().is_some_and(accepts)
            && begun.elapsed() < STOP
            && interrupts.count() < 2
        {
            std::thread::sleep(GLANCE * 5);
        }
    }

    fn run_stop(&self, command: &str, interrupts: &mut Interrupts) -> Result<(), String> {
        std::fs::create_dir_all(self.directory).map_err(|error| error.to_string())?;
        let stop = shell(command, self.directory, "broker-stop");
        let status = stop.and_then(|mut stop| stop.wait(STOP, interrupts));
        match status.map_err(|error| error.to_string())? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("ended with {status}")),
            None => Err(format!("did not end within {} s, and was killed", STOP.as_secs())),
        }
    }

    fn keep(&self, log: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(self.directory)?;
        std::fs::copy(log, self.directory.join("broker.log")).map(drop)
    }
}

/// A shell command with its output in `<name>.stdout` and `<name>.stderr`.
fn shell(command: &str, directory: &Path, name: &str) -> std::io::Result<Process> {
    let file = |kind: &str| File::create(directory.join(format!("{name}.{kind}")));
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdout(file("stdout")?).stderr(file("stderr")?);
    Process::start(&mut shell)
}

fn accepts(address: &str) -> bool {
    let addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, CONNECT).is_ok())
}
