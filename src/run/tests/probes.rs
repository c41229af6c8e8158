//! Probes beside a load.

use super::*;
use crate::record::Verdict;

/// Two seconds of ten pairs beside forty probes: 4,000 messages, and 800 of the probes'.
fn probed() -> Plan {
    Plan { probes: 40, duration_ns: Some(2 * SECOND), ..plan(20, 1, 2000.0) }
}

fn p99(latencies: &record::Latencies) -> Nanos {
    latencies.flight_response.p99_ns.expect("samples enough")
}

/// p99 of the load and of the probes.
fn both(record: &Record) -> (Nanos, Nanos) {
    (p99(&record.latencies), p99(&record.probes.as_ref().expect("there were some").latencies))
}

fn flagged(record: &Record) -> bool {
    record.verdict_reasons.iter().any(|reason| reason.contains("of the probes"))
}

#[test]
fn probes_are_in_no_figure_of_the_load() {
    let alone = Scene::new(Setup::exact(1), Plan { probes: 0, ..probed() }).play().record;
    let record = Scene::new(Setup::exact(1), probed()).play().record;
    let probes = record.probes.as_ref().expect("there were some");
    let had = |counts: &record::Counters| {
        let connections = [counts.connections_asked, counts.connections_established, counts.subscribed];
        let messages = [counts.due, counts.sent, counts.acked, counts.expected, counts.delivered];
        (connections, messages)
    };
    assert_eq!(had(&record.counts), ([20, 20, 10], [4000; 5]));
    assert_eq!(had(&probes.counts), ([80, 80, 40], [800; 5]));
    // Bytes and packets differ by nothing but the length of what is random, which is nothing.
    assert_eq!(record.counts, alone.counts);
    assert_eq!(record.throughput, alone.throughput);
    assert_eq!(record.generator.workers.len(), 1);
    assert_eq!(record.latencies.connack.count, 20);
    assert!(record.series.iter().all(|second| second.connected <= 20 && second.workers.len() == 1));
    assert!(record.series.iter().any(|second| second.connected == 20));
    assert_eq!((record.verdict, record.exit_code), (Verdict::Clean, 0), "{:?}", record.verdict_reasons);
    assert!(!flagged(&record) && record.warnings.is_empty(), "{:?}", record.warnings);
}

/// R23: the load's worker loses its CPU for 30 of every 100 ms. What the load has of it the probes have not, and that
/// is told; what a broker does to both is no reason to tell anything.
#[test]
fn r23_probes_tell_a_generator_that_queues_from_a_broker_that_is_slow() {
    let quiet = Scene::new(Setup::exact(1), probed()).play().record;
    let starved = |worker: usize| {
        let mut scene = Scene::new(Setup::exact(1), probed());
        let start = scene.setup.start;
        let times = (0..30).map(|at| (worker, start + at * 100 * MILLISECOND, 30 * MILLISECOND));
        scene.stalls.extend(times);
        scene.play().record
    };
    let ours = starved(0);
    let ((load, probes), (load_quiet, probes_quiet)) = (both(&ours), both(&quiet));
    assert!(load > load_quiet + 20 * MILLISECOND, "{load} after {load_quiet}");
    assert!(probes < 2 * probes_quiet, "{probes} after {probes_quiet}");
    assert_eq!(ours.verdict, Verdict::GeneratorLimited);
    let told =
        ours.verdict_reasons.iter().any(|reason| reason.starts_with("messages queued in the generator"));
    assert!(told, "{:?}", ours.verdict_reasons);
    // The other way round it is the probes that are wrong, and the load is not to blame.
    let theirs = starved(1);
    assert!(both(&theirs).1 > 20 * MILLISECOND && !flagged(&theirs), "{:?}", theirs.verdict_reasons);
    assert_eq!(theirs.verdict, Verdict::Clean);

    let slow = "[[fault]]\non = 'delivery'\ndo = { delay = { from = '10ms', to = '30ms' } }";
    let script = Script::parse(slow).unwrap();
    let slow = Scene::new(Setup { script, ..Setup::exact(1) }, probed()).play().record;
    let (load, probes) = both(&slow);
    assert!(load.min(probes) > 25 * MILLISECOND, "{load} and {probes}");
    assert!(!flagged(&slow) && slow.verdict == Verdict::Clean, "{:?}", slow.verdict_reasons);
}

#[test]
fn what_the_probes_lost_is_told_and_is_no_loss_of_the_load() {
    let script = Script::parse("[[fault]]\non = 'delivery'\nevery = 7\ndo = 'drop'").unwrap();
    let played = Scene::new(Setup { script, ..Setup::exact(1) }, probed()).play();
    let (record, dropped) = (&played.record, played.world.truth().done.of(Deed::Dropped));
    let absent = |counts: &record::Counters| counts.lost + counts.undelivered_at_end;
    let (load, probes) = (absent(&record.counts), absent(&record.probes.as_ref().unwrap().counts));
    assert_eq!(load + probes, dropped);
    assert!(load.min(probes) > 0, "{load} and {probes}");
    let told = format!("probes: only {} of 800 delivered", 800 - probes);
    assert!(record.warnings.contains(&told), "{:?}", record.warnings);
}
