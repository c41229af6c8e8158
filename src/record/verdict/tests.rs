use super::super::samples;
use super::Verdict::{BrokerLimited, Clean};
use super::*;

fn tail(ns: Nanos) -> Option<Tail> {
    Some(Tail { name: "p99", ns })
}

/// Open loop, everything sent, everything well.
fn well() -> Evidence {
    Evidence {
        pace: Pace::Schedule,
        due: 100_000,
        sent: 100_000,
        shed: 0,
        behind: None,
        wake_lag: tail(100_000),
        lateness: tail(150_000),
        response: tail(2_000_000),
        tolerance_ns: 250_000,
        busiest_cpu: Some((3, 0.5)),
    }
}

#[test]
fn verdicts_at_their_boundaries() {
    use Verdict::*;
    let cases = [
        ("all well", well(), Clean),
        ("nothing sent", Evidence { sent: 0, ..well() }, Unknown),
        ("nothing sent though all was shed", Evidence { sent: 0, shed: 9, ..well() }, Unknown),
        ("lag on the accepted", Evidence { wake_lag: tail(1_250_000), ..well() }, Clean),
        ("lag above the accepted", Evidence { wake_lag: tail(1_250_001), ..well() }, GeneratorLimited),
        (
            "lag on a tenth of a long response",
            Evidence { wake_lag: tail(5_000_000), response: tail(50_000_000), ..well() },
            Clean,
        ),
        (
            "lag above a tenth of a long response",
            Evidence { wake_lag: tail(5_000_001), response: tail(50_000_000), ..well() },
            GeneratorLimited,
        ),
        (
            "lag without responses",
            Evidence { wake_lag: tail(1_250_001), response: None, ..well() },
            GeneratorLimited,
        ),
        (
            "too few samples for a lag",
            Evidence { wake_lag: None, lateness: None, response: None, ..well() },
            Clean,
        ),
        ("sent on the limit", Evidence { sent: 99_500, ..well() }, Clean),
        ("sent below the limit", Evidence { sent: 99_499, ..well() }, BrokerLimited),
        ("one shed", Evidence { sent: 99_999, shed: 1, ..well() }, BrokerLimited),
        ("full CPU, all sent", Evidence { busiest_cpu: Some((0, 1.0)), ..well() }, Clean),
        (
            "CPU on the limit, too few sent",
            Evidence { sent: 9, busiest_cpu: Some((0, 0.9)), ..well() },
            BrokerLimited,
        ),
        (
            "CPU above the limit, too few sent",
            Evidence { sent: 99_499, busiest_cpu: Some((0, 0.901)), ..well() },
            GeneratorLimited,
        ),
        (
            "CPU above the limit, shed",
            Evidence { shed: 1, busiest_cpu: Some((0, 0.95)), ..well() },
            GeneratorLimited,
        ),
        ("closed loop", Evidence { pace: Pace::Answers, ..well() }, BrokerLimited),
        (
            "closed loop, full CPU",
            Evidence { pace: Pace::Answers, busiest_cpu: Some((0, 0.91)), ..well() },
            GeneratorLimited,
        ),
        ("closed loop, nothing sent", Evidence { pace: Pace::Answers, due: 0, sent: 0, ..well() }, Unknown),
        ("idle", Evidence { pace: Pace::None, due: 0, sent: 0, ..well() }, Clean),
        (
            "idle, full CPU",
            Evidence { pace: Pace::None, due: 0, sent: 0, busiest_cpu: Some((0, 0.91)), ..well() },
            GeneratorLimited,
        ),
        ("CPU unknown", Evidence { busiest_cpu: None, ..well() }, Clean),
    ];
    for (case, evidence, verdict) in cases {
        let judgement = evidence.judge();
        assert_eq!(judgement.verdict, verdict, "{case}: {judgement:?}");
        assert!(!judgement.reasons.is_empty(), "{case} has no reason");
    }
}

#[test]
fn reasons_hold_the_numbers() {
    let reasons = |evidence: Evidence| evidence.judge().reasons.join(" | ");
    assert_eq!(
        reasons(well()),
        "every message due was sent; wake-up lag p99 100 us, busiest CPU 3 at 50.0 %"
    );
    assert_eq!(
        reasons(Evidence { sent: 99_499, shed: 501, lateness: tail(980_000_000), ..well() }),
        "only 99.4 % of the messages due were sent, lateness p99 980 ms | 501 messages were shed from full \
         backlogs | the generator kept up: wake-up lag p99 100 us, busiest CPU 3 at 50.0 %"
    );
    assert_eq!(
        reasons(Evidence { wake_lag: tail(7_000_000), response: tail(50_000_000), ..well() }),
        "workers woke up late: wake-up lag p99 7.00 ms, above 5.00 ms (a tenth of the response p99)"
    );
    assert_eq!(
        reasons(Evidence { wake_lag: tail(7_000_000), ..well() }),
        "workers woke up late: wake-up lag p99 7.00 ms, above 1.25 ms (1 ms plus the tolerance)"
    );
    assert_eq!(
        reasons(Evidence { pace: Pace::Answers, busiest_cpu: Some((3, 0.97)), ..well() }),
        "CPU 3 was 97.0 % busy with the generator; closed loop: the answers set the pace"
    );
    assert_eq!(reasons(Evidence { sent: 0, ..well() }), "none of the 100,000 messages due was sent");
    assert_eq!(reasons(Evidence { due: 0, sent: 0, ..well() }), "no message came due in the measure phase");
}

#[test]
fn the_evidence_is_that_of_the_record() {
    let evidence = Evidence::of(&samples::clean());
    assert_eq!(
        (evidence.pace, evidence.due, evidence.sent, evidence.shed),
        (Pace::Schedule, 200_000, 200_000, 0)
    );
    assert_eq!(evidence.busiest_cpu, Some((0, 0.413)));
    assert_eq!(evidence.tolerance_ns, 100_000);
    let record = samples::clean();
    assert_eq!(evidence.wake_lag, record.latencies.wake_lag.tail());
    assert_eq!(evidence.lateness, record.latencies.lateness.tail());
    // ack (p99 416 us) is shorter than flight (p99 2 ms)
    assert_eq!(evidence.response, record.latencies.ack_response.tail());
    assert_eq!(Evidence::of(&samples::broken()).pace, Pace::Answers);
    assert_eq!(Evidence::of(&samples::idle()).pace, Pace::None);
    assert_eq!(Evidence::of(&samples::idle()).busiest_cpu, Some((0, 0.95)));
}

#[test]
fn a_broker_that_leaves_messages_lying_is_the_limit() {
    let judged = |change: fn(&mut Record)| {
        let mut record = crate::record::samples::clean();
        change(&mut record);
        record.conclude();
        (record.verdict, record.verdict_reasons[0].clone())
    };
    // 200,000 messages in 10 s: 5,000, a quarter of a second, may be on their way at the end.
    assert_eq!(judged(|record| record.throughput.acked = 195_000).0, Clean);
    let (verdict, reason) = judged(|record| record.throughput.acked = 194_999);
    assert_eq!(
        (verdict, reason.as_str()),
        (BrokerLimited, "the broker fell behind: 19.5 k/s acknowledged of 20.0 k/s")
    );
    let (verdict, reason) = judged(|record| record.throughput.delivered = 100_000);
    assert_eq!(
        (verdict, reason.as_str()),
        (BrokerLimited, "the broker fell behind: 10.0 k/s delivered of 20.0 k/s")
    );
    // At QoS 0 nothing is acknowledged; a count has no end to be behind at; what is lost is no backlog.
    let qos0 = |record: &mut Record| (record.plan.qos, record.throughput.acked) = (0, 0);
    assert_eq!(judged(qos0).0, Clean);
    let count = |record: &mut Record| (record.plan.duration_ns, record.throughput.acked) = (None, 0);
    assert_eq!(judged(count).0, Clean);
    let lost = |record: &mut Record| {
        (record.counts.lost, record.throughput.delivered) = (100_000, 100_000);
    };
    assert_eq!(judged(lost).0, Clean);
}
