//! A mosquitto for one test, and what it says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::port::{Port, is_ready};
use crate::process::{BOUND, Lines, Process, find, piped, skip};

pub struct Mosquitto {
    pub address: SocketAddr,
    /// Where it listens too, as `--host` takes it.
    pub socket: String,
    process: Process,
    lines: Lines,
    heard: String,
    _port: Port,
    _folder: tempfile::TempDir,
}

/// Whether `programs` are installed; where a missing one must not go unnoticed, that is a failure.
pub fn have(programs: &[&str]) -> bool {
    let Some(missing) = programs.iter().find(|program| find(program).is_none()) else { return true };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing} is missing: run tools/test");
    skip(&format!("{missing} is missing: run tools/test"));
    false
}

impl Mosquitto {
    /// Open to everybody; `None` when it is not installed.
    pub fn start() -> Option<Mosquitto> {
        Mosquitto::start_with("allow_anonymous true")
    }

    /// `access` are the lines of its configuration that say who may connect.
    pub fn start_with(access: &str) -> Option<Mosquitto> {
        if !have(&["mosquitto", "mosquitto_pub", "stdbuf"]) {
            return None;
        }
        let ip = IpAddr::from(Ipv4Addr::LOCALHOST);
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let socket = folder.path().join("mosquitto.sock").display().to_string();
        // Somebody else may take a port between the look at it and the broker's own.
        let started = (0..20).find_map(|_| {
            let port = Port::take(ip);
            let address = SocketAddr::new(ip, port.number);
            let file = folder.path().join("mosquitto.conf");
            // The limits are off so that a machine busy with something else loses nothing.
            // (Of QoS 2, mosquitto 2.0 takes 20 at once from a client by default, and acknowledges more
            // without delivering them, or closes the connection where the queue has no limit.)
            let text = format!(
                "listener 0 {socket}\nlistener {} {ip}\n{access}\npersistence false\nlog_dest stdout\nlog_type error\n\
                 log_type warning\nlog_type notice\nlog_type information\nlog_type subscribe\nsys_interval 1\n\
                 user root\nmax_queued_messages 0\n\
                 max_inflight_messages 0\nmax_connections -1\n",
                port.number
            );
            std::fs::write(&file, text).expect("a folder for temporary files");
            // Line by line also into a pipe.
            let mut command = piped(find("stdbuf").expect("not missing"));
            command.arg("-oL").arg(find("mosquitto").expect("not missing")).arg("-c").arg(&file);
            command.stderr(std::process::Stdio::inherit());
            let mut process = Process::spawn(&mut command);
            let lines = process.lines();
            is_ready(address, &mut process).then_some((port, address, process, lines))
        });
        let (port, address, process, lines) = started.expect("mosquitto starts");
        let (socket, heard) = (format!("unix:{socket}"), String::new());
        Some(Mosquitto { address, socket, process, lines, heard, _port: port, _folder: folder })
    }

    /// Waits until its log has a line with `text`.
    pub fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + BOUND;
        while !self.heard.contains(text) {
            let line = self.lines.next(deadline);
            self.heard += &line.unwrap_or_else(|| panic!("mosquitto ended; it said\n{}", self.heard));
            self.heard.push('\n');
        }
    }

    /// Waits until `client` is subscribed to malaria's topics.
    pub fn wait_for_listener(&mut self, client: &str, qos: u8) {
        self.wait_for(&format!(" {client} {qos} mqtt-malaria/+/data/#\n"));
    }

    /// Ends it; everything it has logged.
    pub fn log(mut self) -> String {
        self.process.interrupt();
        let deadline = Instant::now() + BOUND;
        while let Some(line) = self.lines.next(deadline) {
            self.heard += &line;
            self.heard.push('\n');
        }
        assert!(self.process.wait().success(), "{}", self.heard);
        self.heard
    }
}
