//! User-space memory of the generator for each idle client.
//!
//! A child process runs the product's own path (`malaria_bench::run`, workload `idle`) with 5,000 and with
//! 15,000 clients, against a reflector in another process. Its resident memory (`Rss` of
//! `/proc/self/smaps_rollup`, which counts page by page, unlike `statm`) is read while all are connected.
//! What a client costs is the difference over 10,000 clients, so that what the process needs anyway
//! (program, rings, receive buffers, histograms) does not count.
//!
//! `cargo bench --bench memory`

#![allow(unsafe_code)]

#[path = "../engine/broker.rs"]
mod broker;

use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::sync::atomic::AtomicBool;

use broker::Broker;
use malaria_bench::clock::{MILLISECOND, SECOND};
use malaria_bench::cpu;
use malaria_bench::record::{Plan, Schedule, Topology};
use malaria_bench::run::{self, Spec};
use malaria_bench::stage::Progress;
use malaria_bench::transport::Dialer;
use malaria_bench::transport::websocket::Upgrade;
use std::sync::Arc;

// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHILD: &str = "generator";
const FEW: u32 = 5_000;
const MANY: u32 = 15_000;
const ROUNDS: usize = 3;
/// Seconds for connecting all clients.
const CONNECT_S: f64 = 2.5;
/// Bytes a client.
const TARGET: f64 = 400.0;
/// Bytes more over WebSocket.
const TARGET_WEBSOCKET: f64 = 64.0;
const PLAIN: &str = "plain";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.first().map(String::as_str) {
        Some(broker::CHILD) => broker::serve(&args[1..]),
        Some(CHILD) => generate(&args[1..]),
        _ => bench(),
    }
    ExitCode::SUCCESS
}

fn bench() {
    let allowed = cpu::allowed();
    let cpus = (allowed[0], allowed[allowed.len() - 1]);
    println!("Resident memory of the generator with idle clients connected:");
    let plain = a_client(cpus, PLAIN);
    let verdict = if plain <= TARGET { "reached" } else { "missed" };
    println!("{plain:.0} bytes a client between {FEW} and {MANY} (target: at most {TARGET:.0}, {verdict})");
    let more = a_client(cpus, broker::WEBSOCKET) - plain;
    let verdict = if more <= TARGET_WEBSOCKET { "reached" } else { "missed" };
    println!("{more:.0} bytes more with WebSocket (target: at most {TARGET_WEBSOCKET:.0}, {verdict})");
    println!(
        "Not counted is what the kernel holds for each TCP socket, about 4.4 kB (socket 2,368, inode 832, file \
         192, dentry 192, io_uring's request 256, poll and buffers 600)"
    );
}

/// Bytes for each client, by the median round.
fn a_client(cpus: (usize, usize), over: &str) -> f64 {
    let mut costs = Vec::new();
    for _ in 0..ROUNDS {
        let (few, many) = (measure(FEW, cpus, over), measure(MANY, cpus, over));
        let cost = (many as f64 - few as f64) / f64::from(MANY - FEW);
        println!(
            "  {over}: {FEW} clients {} kiB, {MANY} clients {} kiB: {cost:.0} bytes a client",
            few >> 10,
            many >> 10
        );
        costs.push(cost);
    }
    costs.sort_by(f64::total_cmp);
    costs[ROUNDS / 2]
}

/// Resident bytes of a generator with `clients`.
fn measure(clients: u32, cpus: (usize, usize), over: &str) -> u64 {
    let (cpu, room) = (cpus.1, clients + 64);
    let broker = match over {
        PLAIN => Broker::start(cpu, room),
        _ => Broker::spawn(&[broker::CHILD, &cpu.to_string(), &room.to_string(), over]),
    };
    let broker = broker.unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([CHILD, &clients.to_string(), &cpus.0.to_string(), &broker.address.to_string(), over])
        .output()
        .expect("this program starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The child's side of [`measure`].
fn generate(args: &[String]) {
    let clients: u32 = args[0].parse().expect("written by measure()");
    let cpu = args[1].parse().expect("written by measure()");
    let address = args[2].parse().expect("written by measure()");
    cpu::pin(cpu).unwrap_or_else(|error| panic!("{error}"));
    // Huge pages would make resident memory a multiple of 2 MiB: 200 bytes for each of 10,000 clients.
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    let mut resident = 0;
    let mut observe = |progress: &Progress| {
        if progress.levels.connected == u64::from(clients) {
            resident = resident_bytes();
        }
    };
    let mut spec = spec(clients, address, cpu);
    if args[3] == broker::WEBSOCKET {
        let upgrades = vec![Upgrade::new("localhost", "/mqtt", &[])];
        spec.connection.transport = Some(Arc::new(Dialer::default().with_websocket(upgrades, 1)));
    }
    let record =
        run::run(spec, &AtomicBool::new(false), &mut observe).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(record.counts.connections_established, u64::from(clients), "{:?}", record.warnings);
    assert!(resident > 0, "no second passed with all clients connected");
    println!("{resident}");
}

fn resident_bytes() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("proc(5)");
    let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).expect("proc(5)");
    rss.trim().trim_end_matches("kB").trim().parse::<u64>().expect("proc(5)") * 1024
}

fn spec(clients: u32, broker: SocketAddr, cpu: usize) -> Spec {
    let plan = Plan {
        hosts: vec![broker.ip().to_string()],
        port: broker.port(),
        clients,
        publishers: 0,
        subscribers: 0,
        topology: Topology::Idle,
        schedule: Schedule::None,
        warmup_ns: 200 * MILLISECOND,
        duration_ns: Some(2500 * MILLISECOND),
        drain_ns: SECOND,
        drain_limit_ns: SECOND,
        // Few and many connect in the same time: each second with connects has histograms of its own, which
        // would count as memory of clients otherwise.
        connect_rate_per_s: Some(f64::from(clients) / CONNECT_S),
        client_id_prefix: "idle".to_owned(),
        tolerance_ns: 0,
        reconnect: false,
        ..Plan::default()
    };
    Spec { cpus: vec![cpu], ..Spec::new(plan, vec![broker.into()]) }
}
