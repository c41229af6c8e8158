//! Brokers of different makers, each started for one test on loopback.

use crate::bench::Totals;
use crate::port::{Port, is_ready};
use crate::process::{BOUND, Lines, Process, find, piped, skip};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Debian's package `mosquitto`.
    Mosquitto,
    /// The broker inside the program.
    Reflector,
    /// `aedes-cli` from npm, where tools/test puts it.
    Aedes,
}

/// A running broker; it ends with this.
pub struct Broker {
    kind: Kind,
    address: SocketAddr,
    process: Process,
    statistics: Statistics,
    /// Where it listens, and where for WebSocket.
    ports: Option<[Port; 2]>,
    _folder: tempfile::TempDir,
}

/// Where the broker's own counters come from.
enum Statistics {
    /// `$SYS` topics, watched from the start.
    Topics(Watcher),
    /// What it prints at its end.
    Farewell(Lines),
}

impl Broker {
    /// One on IPv4; `None` when it is not installed, which is a failure where `CI=true`.
    pub fn start(kind: Kind) -> Option<Broker> {
        Broker::start_with(kind, Ipv4Addr::LOCALHOST.into(), "allow_anonymous true")
    }

    /// One on `ip`. `access` are the lines of mosquitto's configuration that say who may connect.
    pub fn start_with(kind: Kind, ip: IpAddr, access: &str) -> Option<Broker> {
        if let Some(missing) = kind.missing() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}: run tools/test");
            skip(&format!("{missing}: run tools/test"));
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        if kind == Kind::Reflector {
            return Some(reflector(ip, folder));
        }
        // Somebody else may take a port between the look at it and the broker's own.
        let (ports, process) = (0..20)
            .find_map(|_| {
                let ports = [Port::take(ip), Port::take(ip)];
                let address = SocketAddr::new(ip, ports[0].number);
                let mut command = kind.command(address, ports[1].number, folder.path(), access);
                let mut process = Process::spawn(&mut command);
                is_ready(address, &mut process).then_some((ports, process))
            })
            .unwrap_or_else(|| panic!("{kind:?} does not start"));
        let address = SocketAddr::new(ip, ports[0].number);
        let statistics = Statistics::Topics(Watcher::start(kind, address, access));
        Some(Broker { kind, address, process, statistics, ports: Some(ports), _folder: folder })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its listener for WebSocket, as a host: mosquitto has one.
    pub fn websocket(&self) -> String {
        let [_, port] = self.ports.as_ref().expect("it has one");
        format!("ws://{}", SocketAddr::new(self.address.ip(), port.number))
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends the broker when its own counters say what ours do.
    ///
    /// # Panics
    /// When they do not.
    pub fn confirm(mut self, totals: Totals) {
        match self.statistics {
            Statistics::Topics(watcher) if self.kind == Kind::Mosquitto => watcher.confirm_mosquitto(totals),
            Statistics::Topics(watcher) => watcher.confirm_aedes(totals),
            Statistics::Farewell(lines) => {
                self.process.interrupt();
                let deadline = Instant::now() + BOUND;
                let all: Vec<String> = std::iter::from_fn(|| lines.next(deadline)).collect();
                let line = all.last().expect("the reflector says what it did");
                let expected = format!("{} in, {} out, 0 dropped", totals.sent_in_all(), totals.delivered);
                assert_eq!(line.replace(',', "").replace(" messages", ""), expected.replace(',', ""));
                assert!(self.process.wait().success());
            }
        }
    }
}

impl Kind {
    /// What of this broker and its tools is not installed.
    fn missing(self) -> Option<String> {
        let programs: &[&str] = match self {
            Kind::Mosquitto => &["mosquitto", "mosquitto_passwd", "mosquitto_pub", "mosquitto_sub", "stdbuf"],
            Kind::Reflector => &["mosquitto_pub", "mosquitto_sub", "stdbuf"],
            Kind::Aedes => &["mosquitto_pub", "mosquitto_sub", "stdbuf"],
        };
        let program = programs.iter().find(|program| find(program).is_none());
        let aedes = || (self == Kind::Aedes && !(aedes().is_file() && node().is_some())).then_some("aedes");
        let missing = program.copied().or_else(aedes)?;
        Some(format!("the tests with {self:?} need {missing}"))
    }

    fn command(self, address: SocketAddr, websocket: u16, folder: &Path, access: &str) -> Command {
        let (ip, port) = (address.ip(), address.port());
        match self {
            Kind::Mosquitto => {
                let file = folder.join("mosquitto.conf");
                // The limits are off so that a machine busy with something else loses nothing.
                let text = format!(
                    "listener {websocket} {ip}\nprotocol websockets\nlistener {port} {ip}\n{access}\npersistence false\nlog_dest none\nsys_interval 1\n\
                     user root\nmax_queued_messages 0\nmax_connections -1\n"
                );
                std::fs::write(&file, text).expect("a folder for temporary files");
                let mut command = Command::new(find("mosquitto").expect("not missing"));
                command.arg("-c").arg(file).stdin(Stdio::null());
                command
            }
            Kind::Aedes => {
                let mut command = Command::new(node().expect("not missing"));
                command.arg(aedes()).args(["start", "--host", &ip.to_string(), "-p", &port.to_string()]);
                command.args(["--stats", "--stats-interval", "250"]).current_dir(folder);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command
            }
            Kind::Reflector => unreachable!("it takes a port itself"),
        }
    }
}

/// Where tools/test puts packages of npm.
fn npm(file: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("aedes/node_modules").join(file)
}

fn aedes() -> PathBuf {
    npm("aedes-cli/bin/aedes")
}

/// The Node.js that aedes runs on: one beside it where the system's is too old.
fn node() -> Option<PathBuf> {
    Some(npm(".bin/node")).filter(|path| path.is_file()).or_else(|| find("node"))
}

fn reflector(ip: IpAddr, folder: tempfile::TempDir) -> Broker {
    let mut command = piped(env!("CARGO_BIN_EXE_malaria-bench"));
    command.args(["reflector", "--port", "0", "--bind", &ip.to_string()]).stderr(Stdio::inherit());
    let mut process = Process::spawn(&mut command);
    let lines = process.lines();
    let line = lines.next(Instant::now() + BOUND).expect("the reflector says where it listens");
    let address = line.split(' ').find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    let statistics = Statistics::Farewell(lines);
    Broker { kind: Kind::Reflector, address, process, statistics, ports: None, _folder: folder }
}

/// A mosquitto_sub on the broker's counters.
struct Watcher {
    _process: Process,
    lines: Lines,
}

/// The counters of mosquitto, as far as they have been heard.
#[derive(Default, Debug)]
struct Heard {
    /// Messages to the watcher itself, which the counters of what was sent contain.
    own: u64,
    received: u64,
    sent: u64,
    dropped: u64,
    packets_received: u64,
    packets_sent: u64,
}

impl Watcher {
    fn start(kind: Kind, address: SocketAddr, access: &str) -> Watcher {
        let topics: &[&str] = match kind {
            Kind::Mosquitto => &["$SYS/broker/publish/messages/#", "$SYS/broker/messages/#"],
            Kind::Aedes | Kind::Reflector => &["$SYS/aedes-cli/messages/publish/sent"],
        };
        // Line by line also into a pipe.
        let mut command = piped(find("stdbuf").expect("not missing"));
        command.args(["-oL", "mosquitto_sub", "-v", "-k", "3600", "-h", &address.ip().to_string()]);
        command.args(["-p", &address.port().to_string()]).stderr(Stdio::inherit());
        topics.iter().for_each(|topic| {
            command.args(["-t", topic]);
        });
        if !access.contains("anonymous true") {
            command.args(["-u", "user", "-P", "right"]);
        }
        let mut process = Process::spawn(&mut command);
        let lines = process.lines();
        // The retained counters are there at once, those of aedes after their interval.
        let watcher = Watcher { _process: process, lines };
        if kind == Kind::Aedes {
            watcher.lines.next(Instant::now() + BOUND).expect("aedes counts");
        }
        watcher
    }

    fn confirm_mosquitto(self, totals: Totals) {
        let deadline = Instant::now() + Duration::from_secs(15);
        // Mosquitto 2.0 leaves QoS 2 out of the PUBLISH packets it has received. They are among all packets.
        let [sent_at_0, sent_at_1, _] = totals.sent;
        let received = sent_at_0 + sent_at_1;
        let mut heard = Heard::default();
        while let Some(line) = self.lines.try_next(deadline) {
            let (topic, value) = line.split_once(' ').expect("topic and value");
            let value: u64 = value.parse().expect("a count");
            match topic {
                "$SYS/broker/publish/messages/received" => heard.received = value,
                "$SYS/broker/publish/messages/sent" => heard.sent = value.saturating_sub(heard.own),
                "$SYS/broker/publish/messages/dropped" => heard.dropped = value,
                // Without the watcher's CONNECT and SUBSCRIBE, and what answered them. What is retained from
                // before it came is too small.
                "$SYS/broker/messages/received" => heard.packets_received = value.saturating_sub(2),
                "$SYS/broker/messages/sent" => heard.packets_sent = value.saturating_sub(heard.own + 2),
                _ => {}
            }
            heard.own += 1;
            let packets = (heard.packets_received, heard.packets_sent);
            if (heard.received, heard.sent, heard.dropped) == (received, totals.delivered, 0)
                && totals.packets.is_none_or(|expected| expected == packets)
            {
                return;
            }
        }
        panic!("mosquitto counts otherwise: {heard:?}, not {totals:?}");
    }

    /// Aedes counts what it was sent, under this name.
    fn confirm_aedes(self, totals: Totals) {
        let deadline = Instant::now() + Duration::from_secs(15);
        let mut last = String::new();
        while let Some(line) = self.lines.try_next(deadline) {
            last = line;
            if last.split(' ').nth(1) == Some(&totals.sent_in_all().to_string()) {
                return;
            }
        }
        panic!("aedes counts otherwise: {last}, not {totals:?}");
    }
}
