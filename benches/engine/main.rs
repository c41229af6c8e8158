//! CPU of the generator per message, delivery, ping or connection: the engine beside a bare ring loop (the floor) and,
//! where messages of QoS 1 are published, a plain tokio-uring client with a task for each connection, and a tokio client
//! of `rumqttc`.
//!
//! All run against the same reflector, or what reads everything and says nothing (`sink.rs`) at QoS 0: a process of
//! its own on the last CPU, a new one for each run. Each
//! contender is a process too, on the first CPU, and takes its turn, round after round, so that
//! whatever else the machine does hits all. CPU is `getrusage` of the whole process between the edges of
//! the measure window: the sum of user and system is exact, the kernel counts it in nanoseconds. How it
//! splits into the two is sampled on ticks (`CONFIG_TICK_CPU_ACCOUNTING`), a few dozen times a second when
//! pacing; the share of the engine's user code is therefore by the clock, as what its worker spends outside
//! of `io_uring_enter`, interrupts included.
//!
//! `cargo bench --bench engine -- [--quick] [--rounds N] [--mosquitto] [WORD...]`: only the loads whose name has all
//! words; against mosquitto instead of the reflector.

#![allow(unsafe_code)]

mod broker;
mod floor;
mod floor_connects;
mod load;
mod mosquitto;
mod ours;
mod rumqttc_tasks;
mod session;
mod sink;
mod table;
mod tasks;
mod uring_tasks;

use std::io::{self, Read};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use broker::Broker;
use load::{Load, PAYLOAD, PING_EVERY, Pace, Sample, Work};
use malaria_bench::clock::{MICROSECOND, MILLISECOND, SECOND};
use malaria_bench::cpu;
use table::Row;

// As in the product; the contenders gain from it, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longest run of one contender, connecting included.
const PATIENCE: Duration = Duration::from_secs(60);
/// First word of a contender's command line.
const CHILD: &str = "contender";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contender {
    Floor,
    Engine,
    TokioUring,
    Rumqttc,
}

impl Contender {
    const ALL: [Contender; 4] =
        [Contender::Floor, Contender::Engine, Contender::TokioUring, Contender::Rumqttc];

    fn name(self) -> &'static str {
        match self {
            Contender::Floor => "floor",
            Contender::Engine => "engine",
            Contender::TokioUring => "tokio-uring",
            Contender::Rumqttc => "rumqttc",
        }
    }

    /// Whether it knows how to do this.
    fn takes(self, load: &Load) -> bool {
        matches!(self, Contender::Floor | Contender::Engine)
            || load.work == Work::Acked && load.payload == PAYLOAD
    }

    fn run(self, load: &Load, broker: std::net::SocketAddr, cpu: usize) -> Sample {
        match self {
            Contender::Floor if load.work == Work::Connects => floor_connects::run(load, broker),
            Contender::Floor => floor::run(load, broker),
            Contender::Engine => ours::run(load, broker, cpu),
            Contender::TokioUring => uring_tasks::run(load, broker),
            Contender::Rumqttc => rumqttc_tasks::run(load, broker),
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.first().map(String::as_str) {
        Some(broker::CHILD) => broker::serve(&args[1..]),
        Some(sink::CHILD) => sink::serve(&args[1..]),
        Some(CHILD) => contend(&args[1..]),
        _ => return bench(&args),
    }
    ExitCode::SUCCESS
}

/// The child's side of [`measure`].
fn contend(args: &[String]) -> ! {
    let cpu = args[1].parse().expect("written by measure()");
    let broker = args[2].parse().expect("written by measure()");
    let load = Load::from_args(&args[3..]).unwrap_or_else(|error| panic!("{error}"));
    let contender = Contender::ALL.into_iter().find(|contender| contender.name() == args[0]);
    cpu::pin(cpu).unwrap_or_else(|error| panic!("{error}"));
    println!("{}", contender.expect("written by measure()").run(&load, broker, cpu));
    // Without taking down what a contender has left running.
    std::process::exit(0)
}

/// What the contenders are run against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Against {
    Reflector,
    Mosquitto,
}

/// Runs one contender in a process of its own; `None` when it did not finish.
fn measure(
    contender: Contender,
    load: &Load,
    cpus: (usize, usize),
    against: Against,
) -> io::Result<Option<Sample>> {
    let broker = match load.work {
        _ if against == Against::Mosquitto => mosquitto::start(cpus.1)?,
        Work::Sent => Broker::spawn(&[sink::CHILD, &cpus.1.to_string()])?,
        _ => Broker::start(cpus.1, load.clients + 64)?,
    };
    let mut child = Command::new(std::env::current_exe()?)
        .args([CHILD, contender.name(), &cpus.0.to_string(), &broker.address.to_string()])
        .args(load.to_args())
        .stdout(Stdio::piped())
        .spawn()?;
    let begin = Instant::now();
    while child.try_wait()?.is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut output = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut output)?;
    Ok(output.parse().ok())
}

/// The loads. The paced ones come twice: with the product's default tolerance, and with that of tokio's
/// timers, whose resolution is 1 ms, whatever is asked of them.
fn rows(quick: bool) -> Vec<Row> {
    let (warmup, measure) = if quick { (200, 600) } else { (500, 2000) };
    let row = |name: &str, clients, work, pace| {
        let (warmup, measure) = (warmup * MILLISECOND, measure * MILLISECOND);
        Row::new(name, Load { clients, work, payload: PAYLOAD, pace, warmup, measure })
    };
    let closed = |name, clients, work, inflight| row(name, clients, work, Pace::Closed { inflight });
    let open =
        |name, clients, rate, tolerance| row(name, clients, Work::Acked, Pace::Open { rate, tolerance });
    let sized = |name, payload| {
        let Row { load, .. } = closed(name, 100, Work::Acked, 1);
        Row::new(name, Load { payload, ..load })
    };
    let pings = |name, clients: u32| {
        let rate = (u64::from(clients) * SECOND / PING_EVERY) as u32;
        row(name, clients, Work::Pings, Pace::Open { rate, tolerance: MILLISECOND })
    };
    vec![
        closed("QoS 0 flat out, 10 clients", 10, Work::Sent, u16::MAX),
        closed("1,000 clients, 1 in flight", 1000, Work::Acked, 1),
        closed("1,000 clients, 16 in flight", 1000, Work::Acked, 16),
        closed("15,000 clients, 1 in flight", 15_000, Work::Acked, 1),
        closed("15,000 clients, 8 in flight", 15_000, Work::Acked, 8),
        closed("QoS 2, 1,000 clients, 16 in flight", 1000, Work::Completed, 16),
        closed("fan-out 1 -> 200", 201, Work::FanOut, 1),
        closed("fan-out 1 -> 1,000", 1001, Work::FanOut, 1),
        closed("fan-in 1,000 -> 1", 1001, Work::FanIn, 1),
        closed("shared 1,000 -> 4", 1004, Work::Shared, 1),
        pings("pings of 15,000 idle clients", 15_000),
        closed("connects, 10,000 clients", 10_000, Work::Connects, 1),
        sized("payload of 24 B", 24),
        sized("payload of 1 KiB", 1 << 10),
        sized("payload of 16 KiB", 16 << 10),
        sized("payload of 64 KiB", 64 << 10),
        open("10,000/s over 50, tolerance 100 us", 50, 10_000, 100 * MICROSECOND),
        open("10,000/s over 50, tolerance 1 ms", 50, 10_000, MILLISECOND),
        row(
            "0 to 20,000/s over 50, tolerance 1 ms",
            50,
            Work::Ramp,
            Pace::Open { rate: 10_000, tolerance: MILLISECOND },
        ),
        open("5,000 x 1/s, tolerance 100 us", 5000, 5000, 100 * MICROSECOND),
        open("5,000 x 1/s, tolerance 1 ms", 5000, 5000, MILLISECOND),
    ]
}

fn bench(args: &[String]) -> ExitCode {
    let quick = args.iter().any(|arg| arg == "--quick");
    let mut rounds = if quick { 1 } else { 3 };
    let against = match args.iter().any(|arg| arg == "--mosquitto") {
        true => Against::Mosquitto,
        false => Against::Reflector,
    };
    let is_flag = |arg: &&String| ["--quick", "--mosquitto"].contains(&arg.as_str());
    let mut words: Vec<&String> = args.iter().filter(|arg| !is_flag(arg)).collect();
    if let Some(at) = words.iter().position(|word| *word == "--rounds") {
        rounds = words.get(at + 1).and_then(|count| count.parse().ok()).unwrap_or(rounds);
        words.drain(at..words.len().min(at + 2));
    }
    let mut rows = rows(quick);
    rows.retain(|row| words.iter().all(|word| row.name.contains(word.as_str())));
    let allowed = cpu::allowed();
    let cpus = (allowed[0], allowed[allowed.len() - 1]);
    if cpus.0 == cpus.1 {
        eprintln!("warning: generator and reflector share the only CPU");
    }
    for round in 0..rounds {
        for row in &mut rows {
            eprint!("\rround {} of {rounds}: {:<40}", round + 1, row.name);
            if let Err(error) = play(row, round, cpus, against) {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    eprintln!("\r{:60}", "");
    table::print(&rows, rounds);
    ExitCode::SUCCESS
}

/// One round of one load: everybody once, beginning with another one each time.
fn play(row: &mut Row, round: usize, cpus: (usize, usize), against: Against) -> io::Result<()> {
    for turn in 0..Contender::ALL.len() {
        let contender = Contender::ALL[(turn + round) % Contender::ALL.len()];
        let sample =
            if contender.takes(&row.load) { measure(contender, &row.load, cpus, against)? } else { None };
        row.note(contender, sample);
    }
    Ok(())
}
