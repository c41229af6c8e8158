//! Whose fault it is, where it is the broker's for certain: its script says so.

use crate::harness::{cpus, gallery, ms, play};
use crate::process;
use malaria_bench::record::{Record, Verdict};
use std::time::{Duration, Instant};

/// Time that the generator's CPU has worked so far, whoever for (`/proc/stat`; in the kernel's ticks of 10 ms).
fn worked() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").expect("Linux has it");
    let cpu = format!("cpu{} ", cpus().0);
    let line = stat.lines().find_map(|line| line.strip_prefix(&cpu)).expect("the CPU is there");
    let ticks: Vec<u64> = line.split(' ').map_while(|n| n.parse().ok()).collect();
    // Idle, and waiting for disks, are the fourth and the fifth.
    Duration::from_millis(10 * (ticks.iter().take(8).sum::<u64>() - ticks[3] - ticks[4]))
}

/// What came of a load that nobody else disturbed: while something else takes more than a twentieth of the CPU, the
/// generator is late, and says so, and nothing can be said about one that is left alone.
#[track_caller]
fn undisturbed(script: &str, arguments: &str) -> Option<Record> {
    for _ in 0..6 {
        let (begun, before) = (Instant::now(), worked());
        let (record, _) = play(script, arguments);
        let own = Duration::from_nanos(record.generator.user_cpu_ns + record.generator.system_cpu_ns);
        let others = (worked() - before).saturating_sub(own);
        if others <= begun.elapsed() / 20 {
            assert_ne!(record.verdict, Verdict::GeneratorLimited, "{:?}", record.verdict_reasons);
            return Some(record);
        }
        eprintln!("{others:?} of {:?} were somebody else's", begun.elapsed());
    }
    process::skip("the machine is never left alone: nothing can be said about a generator that is");
    None
}

/// The broker is named, or nobody, and then the latency is as bad as it was.
fn is_the_brokers(record: &Record, least_p99_ms: f64) {
    let p99 = ms(record.latencies.ack_response.p99_ns);
    let bad = record.verdict == Verdict::Clean && p99 >= least_p99_ms;
    let told = &record.verdict_reasons;
    assert!(record.verdict == Verdict::BrokerLimited || bad, "{:?}: {told:?}, {p99} ms", record.verdict);
}

#[test]
fn a_slow_broker_is_not_the_generators_fault() {
    let load = "--clients 20 --rate 2k --warmup 0 --duration 2s --drain 500ms";
    if let Some(record) = undisturbed(&gallery("overloaded"), load) {
        is_the_brokers(&record, 1_500.0);
    }
}

/// R23: what the broker does to all, the probes have as the load has it, and nothing is told of a generator that queues.
#[test]
fn r23_a_slow_broker_is_slow_to_the_probes_too() {
    let load = "--clients 20 --rate 2k --probes 40 --warmup 0 --duration 2s";
    let slow = "[[fault]]\non = 'publish'\ndo = { delay = { from = '20ms', to = '40ms' } }\n";
    if let Some(record) = undisturbed(slow, load) {
        let probes = &record.probes.as_ref().expect("they were asked for").latencies;
        let (load, probes) = (ms(record.latencies.ack_response.p99_ns), ms(probes.ack_response.p99_ns));
        assert!(load.min(probes) >= 38.0 && load < 2.0 * probes, "{load} beside {probes} ms");
        let told = &record.verdict_reasons;
        assert!(!told.iter().any(|reason| reason.contains("of the probes")), "{told:?}");
    }
}

#[test]
fn r21_a_window_that_closes_is_not_the_generators_fault() {
    let load =
        "--clients 4 --rate 1k -s 32KiB --warmup 0 --duration 2s --drain 500ms -k 0 --connect-timeout 2s";
    if let Some(record) = undisturbed(&gallery("deaf"), load) {
        assert!(record.generator.sends_blocked > 0);
        is_the_brokers(&record, 1_000.0);
    }
}

#[test]
fn a_rate_above_the_brokers_is_not_the_generators_fault() {
    for (rate, more) in [("5k", ""), ("max", "--inflight 8")] {
        let load = format!("--clients 20 --rate {rate} {more} --warmup 0 --duration 2s --drain-limit 1s");
        if let Some(record) = undisturbed("rate = '2k'", &load) {
            is_the_brokers(&record, 500.0);
        }
    }
}
