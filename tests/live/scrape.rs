//! Both ends of a scrape.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::port::{self, Port};
use crate::process::{BOUND, Process, find, piped, skip};

pub const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The answer to a GET: status line and headers, and the body. `None` while nobody listens.
pub fn get(address: SocketAddr, path: &str, accept: &str) -> Option<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nAccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec()))
}

/// Looks at `look` until it has something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} does not come within {BOUND:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// What is installed; `None`, said loudly, where it is not, which is a failure where `CI=true`.
pub fn need(found: Option<PathBuf>, what: &str) -> Option<PathBuf> {
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is missing: run tools/test");
        skip(&format!("{what} is missing: run tools/test"));
    }
    found
}

/// The interpreter beside which tools/test puts packages.
pub fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("paho/bin/python");
    let has_it = |python: &PathBuf| {
        let found =
            Command::new(python).args(["-c", "import prometheus_client"]).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    need(Some(python).filter(has_it), "prometheus-client")
}

/// A Prometheus that scrapes one address.
pub struct Prometheus {
    _process: Process,
    address: SocketAddr,
    _port: Port,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// `None` when it is not installed.
    pub fn start(target: SocketAddr) -> Option<Prometheus> {
        let program = need(find("prometheus"), "prometheus")?;
        let (folder, port) = (tempfile::tempdir().expect("a folder"), Port::take(LOCAL));
        let address = SocketAddr::from((LOCAL, port.number));
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs: [{{job_name: load, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        std::fs::write(&config, text).expect("a file");
        let mut command = piped(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=native-histograms")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = Process::spawn(&mut command);
        assert!(port::is_ready(address, &mut process), "Prometheus has ended");
        until("Prometheus", || get(address, "/-/ready", "*/*").filter(|(head, _)| head.contains(" 200 ")));
        Some(Prometheus { _process: process, address, _port: port, _folder: folder })
    }

    /// The one value of `query`; `None` while it has none.
    pub fn value(&self, query: &str) -> Option<f64> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (_, body) = get(self.address, &format!("/api/v1/query?query={encoded}"), "*/*")?;
        let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}
