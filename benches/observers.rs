//! What it costs to be watched: CPU of the generator per message with everything on that observes a run (progress, metrics
//! that are scraped, a log of histograms, a record) against the same run with nothing of it.
//!
//! The load is paced, so that the CPU it takes is not that of a machine at its limit. Runs are processes on the first CPU,
//! against a reflector on the last, in pairs close in time whose order is turned each time. CPU is `getrusage` of the whole
//! process, its end included.
//!
//! `cargo bench --bench observers -- [PAIRS]`

#![allow(unsafe_code)]

use malaria_bench::cpu;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");
/// Messages a second, and seconds of them.
const RATE: u64 = 10_000;
const SECONDS: u64 = 4;
/// What Prometheus does by default in ten seconds or more.
const SCRAPES: Duration = Duration::from_secs(1);

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let pairs = words.next().map_or(10, |word| word.parse().expect("a number of pairs"));
    let allowed = cpu::allowed();
    let (first, last) = (allowed[0], allowed[allowed.len() - 1]);
    let broker = free_address();
    let mut reflector = start(
        last,
        Command::new(BENCH).args([
            "reflector",
            "--cores",
            "1",
            "--quiet",
            "--port",
            &broker.port().to_string(),
        ]),
    );
    wait_for(broker);
    let dir = tempfile::tempdir().expect("a directory");
    let mut logs = Vec::new();
    for pair in 0..=pairs {
        let one = |observed| run(broker, (first, last), observed, dir.path());
        let [plain, observed] = match pair % 2 {
            0 => [one(false), one(true)],
            _ => {
                let observed = one(true);
                [one(false), observed]
            }
        };
        // The first pair is thrown away.
        if pair > 0 {
            let ratio = observed / plain;
            println!(
                "pair {pair:>2}: {plain:.2} us a message alone, {observed:.2} us observed, {:+.1} %",
                (ratio - 1.0) * 100.0
            );
            logs.push(ratio.ln());
        }
    }
    reflector.kill().expect("it runs");
    reflector.wait().expect("it runs");
    tell(&mut logs);
}

/// The change with twice its standard error, and the median.
fn tell(logs: &mut [f64]) {
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let (percent, error) = ((mean.exp() - 1.0) * 100.0, (variance / count).sqrt() * 200.0);
    logs.sort_by(f64::total_cmp);
    let median = (logs[logs.len() / 2].exp() - 1.0) * 100.0;
    println!(
        "observed costs {percent:+.2} % of CPU a message (two standard errors: {error:.2}), median {median:+.2} %; the goal is 2 %"
    );
}

/// CPU of a run, in microseconds a message.
fn run(broker: SocketAddr, (first, last): (usize, usize), observed: bool, dir: &Path) -> f64 {
    let (before, metrics) = (children_us(), free_address());
    let mut command = Command::new(BENCH);
    command.args(["--host", &broker.to_string(), "--clients", "100", "--tolerance", "1ms", "--cores", "1"]);
    command.args([
        "--rate",
        &RATE.to_string(),
        "--duration",
        &format!("{SECONDS}s"),
        "--warmup",
        "0",
        "--quiet",
    ]);
    match observed {
        true => {
            command.args(["--progress", "always", "--metrics", &metrics.to_string()]);
            command.arg("--json").arg(dir.join("run.json")).arg("--hlog").arg(dir.join("run.hlog"));
        }
        false => _ = command.args(["--progress", "never"]),
    }
    let mut child = start(first, &mut command);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            cpu::pin(last).unwrap_or_else(|error| panic!("{error}"));
            while observed && !over.load(Ordering::Acquire) {
                std::thread::sleep(SCRAPES);
                scrape(metrics);
            }
        });
        child.wait().expect("it ends");
        over.store(true, Ordering::Release);
    });
    (children_us() - before) / (RATE * SECONDS) as f64
}

/// Reads the metrics, if they are there.
fn scrape(address: SocketAddr) {
    let Ok(mut socket) = TcpStream::connect(address) else { return };
    let asked = socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    let _ = asked.and_then(|()| socket.read_to_end(&mut Vec::new()));
}

/// Starts a process on `cpu`, which it has from the thread that starts it.
fn start(cpu: usize, command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = || {
        cpu::pin(cpu).unwrap_or_else(|error| panic!("{error}"));
        command.spawn().expect("it is built")
    };
    std::thread::scope(|scope| scope.spawn(start).join().expect("it starts"))
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("it has one")
}

fn wait_for(broker: SocketAddr) {
    let begin = Instant::now();
    while TcpStream::connect(broker).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the reflector does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// CPU of all processes that were waited for, in microseconds.
fn children_us() -> f64 {
    // SAFETY: all zeroes is a valid rusage, and it is ours.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage), 0);
        usage
    };
    let us = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
    us(usage.ru_utime) + us(usage.ru_stime)
}
