//! The load beside the probes.

use super::*;
use crate::clock::MICROSECOND;
use crate::record::samples::{probed, ramp};
use crate::record::{Latency, Schedule};

/// `count` samples up to about `most`.
fn up_to(count: u64, most: Nanos) -> Latency {
    (&ramp(count, MICROSECOND, most)).into()
}

/// A run whose load had these times, response and service, and whose probes had 1 ms at most.
fn run(response: Nanos, service: Nanos) -> Record {
    let mut record = probed();
    record.latencies.ack_response = up_to(200_000, response);
    record.latencies.ack_service = up_to(200_000, service);
    record.latencies.flight_response = up_to(200_000, MILLISECOND);
    record.latencies.flight_service = up_to(200_000, MILLISECOND);
    let probes = &mut record.probes.as_mut().expect("they are there").latencies;
    probes.ack_response = up_to(1_000, MILLISECOND);
    probes.flight_response = up_to(1_000, MILLISECOND);
    probes.wake_lag = up_to(1_000, 100 * MICROSECOND);
    probes.hearing_lag = up_to(1_000, 100 * MICROSECOND);
    record
}

const OURS: &str = "messages queued in the generator, before they left: ack response p99";
const ITS_OWN: &str = "on connections or topics of its own: ack response p99";

/// Twice a millisecond, two lags of 0.1 ms and the tolerance of 0.1 ms, at p99: 2.28 ms.
#[test]
fn r23_a_load_is_compared_with_its_probes() {
    use Verdict::*;
    let ms = |ms: f64| (ms * 1e6) as Nanos;
    let changed = |change: fn(&mut Record)| {
        let mut record = run(ms(50.0), ms(1.0));
        change(&mut record);
        record
    };
    let cases = [
        ("alike", run(ms(1.0), ms(0.9)), Clean, ""),
        ("just within the error", run(ms(2.28), ms(0.9)), Clean, ""),
        ("just beyond it", run(ms(2.35), ms(0.9)), GeneratorLimited, OURS),
        ("by far", run(ms(50.0), ms(1.0)), GeneratorLimited, OURS),
        ("after the hand-over", run(ms(50.0), ms(49.0)), Clean, ITS_OWN),
        ("half of it after the hand-over", run(ms(50.0), ms(25.0)), Clean, ITS_OWN),
        (
            "a window that was full",
            changed(|record| {
                let Schedule::Open { inflight, .. } = &mut record.plan.schedule else { panic!("a schedule") };
                *inflight = 1;
            }),
            Clean,
            ITS_OWN,
        ),
        ("a full socket", changed(|record| record.generator.sends_blocked = 1), Clean, ITS_OWN),
        (
            "a closed loop",
            changed(|record| record.plan.schedule = Schedule::Closed { inflight: 8 }),
            BrokerLimited,
            ITS_OWN,
        ),
        ("no probes", changed(|record| record.probes = None), Clean, ""),
    ];
    for (case, record, verdict, told) in cases {
        let judgement = Evidence::of(&record).judge();
        assert_eq!(judgement.verdict, verdict, "{case}: {judgement:?}");
        let all = judgement.reasons.join("; ");
        let apart = all.contains("of the probes");
        assert!(all.contains(told) && apart != told.is_empty(), "{case}: {all}");
    }
}

/// The load's own lag excuses nothing; that of the probes is what their figures may be off by.
#[test]
fn the_error_is_of_the_probes_and_not_of_the_load() {
    let mut record = run(3 * MILLISECOND, MILLISECOND);
    record.latencies.wake_lag = up_to(200_000, 900 * MICROSECOND);
    assert_eq!(Evidence::of(&record).judge().verdict, Verdict::GeneratorLimited);
    record.probes.as_mut().expect("they are there").latencies.wake_lag = up_to(1_000, 900 * MICROSECOND);
    assert_eq!(Evidence::of(&record).judge().verdict, Verdict::Clean);
}

/// A p99 of 40 probes is none: what both have is compared.
#[test]
fn percentiles_that_both_have_are_compared() {
    let mut record = run(50 * MILLISECOND, MILLISECOND);
    let latencies = &mut record.probes.as_mut().expect("they are there").latencies;
    latencies.ack_response = up_to(100, MILLISECOND);
    let apart = Evidence::of(&record).divergence.expect("it diverges");
    assert_eq!((apart.what, apart.load.name, apart.probes.name), ("ack response", "p90", "p90"));
    record.probes.as_mut().expect("they are there").latencies.ack_response = up_to(5, MILLISECOND);
    assert_eq!(Evidence::of(&record).divergence, None, "too few");
}
