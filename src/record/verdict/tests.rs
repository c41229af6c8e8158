mod probes;

use super::super::samples;
use super::Verdict::{BrokerLimited, Clean};
use super::evidence::LAG_ACCEPTED;
use super::*;
use crate::clock::{MILLISECOND, SECOND};
use crate::record::{FleetRecord, Phase, Record, fleet_samples};

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
        unfinished: 0,
        held_back: 0,
        lag_accepted: LAG_ACCEPTED,
        behind: None,
        wake_lag: tail(100_000),
        lateness: tail(150_000),
        response: tail(2_000_000),
        tolerance_ns: 250_000,
        backlog_ns: Some(SECOND),
        hearing_lag: tail(80_000),
        round: Some((30_000, 900_000)),
        starved: Some((3, 0.004)),
        stalls: (vec![], 10),
        busiest_cpu: Some((3, 0.5)),
        stolen: Some(0.0),
        throttled: Some((0.0, None)),
        divergence: None,
        windowed: false,
        sharing: vec![],
        queue_full: 0,
        caps_reached: 0,
        handshaking: None,
        receives: 90_000,
        receives_without_buffer: 0,
        sends_blocked: 0,
        connections_refused: 0,
    }
}

type Case = (&'static str, Evidence, Verdict);

fn judged(cases: impl IntoIterator<Item = Case>) {
    for (case, evidence, verdict) in cases {
        let judgement = evidence.judge();
        assert_eq!(judgement.verdict, verdict, "{case}: {judgement:?}");
        assert!(!judgement.reasons.is_empty(), "{case} has no reason");
    }
}

#[test]
fn verdicts_on_lags_at_their_boundaries() {
    use Verdict::*;
    judged([
        ("all well", well(), Clean),
        ("nothing sent", Evidence { sent: 0, ..well() }, Unknown),
        ("nothing sent though all was shed", Evidence { sent: 0, shed: 9, ..well() }, Unknown),
        ("lag on the accepted", Evidence { wake_lag: tail(1_250_000), ..well() }, Clean),
        ("lag above the accepted", Evidence { wake_lag: tail(1_250_001), ..well() }, GeneratorLimited),
        (
            "lag on a tenth of what is left of a long response",
            Evidence { wake_lag: tail(5_000_000), response: tail(55_000_000), ..well() },
            Clean,
        ),
        (
            "lag above a tenth of what is left of a long response",
            Evidence { wake_lag: tail(5_000_001), response: tail(55_000_000), ..well() },
            GeneratorLimited,
        ),
        (
            "a response that is all lag",
            Evidence { wake_lag: tail(13_000_000), response: tail(14_000_000), ..well() },
            GeneratorLimited,
        ),
        ("heard on the accepted", Evidence { hearing_lag: tail(1_250_000), ..well() }, Clean),
        ("heard above the accepted", Evidence { hearing_lag: tail(1_250_001), ..well() }, GeneratorLimited),
        (
            "heard on a tenth of a long response",
            Evidence { hearing_lag: tail(5_000_000), response: tail(50_000_000), ..well() },
            Clean,
        ),
        ("no arrivals known", Evidence { hearing_lag: None, round: None, ..well() }, Clean),
    ]);
}

#[test]
fn verdicts_on_what_others_took_at_their_boundaries() {
    use Verdict::*;
    judged([
        ("waited on the limit", Evidence { starved: Some((1, 0.05)), ..well() }, Clean),
        (
            "waited above the limit, and kept the schedule",
            Evidence { starved: Some((1, 0.4)), ..well() },
            Clean,
        ),
        (
            "waited above the limit, and sent too few",
            Evidence { starved: Some((1, 0.051)), sent: 90_000, ..well() },
            GeneratorLimited,
        ),
        (
            "waited on the limit, and sent too few",
            Evidence { starved: Some((1, 0.05)), sent: 90_000, ..well() },
            BrokerLimited,
        ),
        (
            "closed loop, starved",
            Evidence { pace: Pace::Answers, starved: Some((1, 0.3)), ..well() },
            GeneratorLimited,
        ),
        (
            "closed loop, heard late and all at once",
            Evidence {
                pace: Pace::Answers,
                hearing_lag: tail(4_000_000),
                round: Some((1_800_000, 900_000)),
                ..well()
            },
            BrokerLimited,
        ),
        (
            "closed loop, most of the round is ours",
            Evidence { pace: Pace::Answers, round: Some((1_800_001, 900_000)), ..well() },
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
    ]);
}

#[test]
fn verdicts_on_counts_and_cpus_at_their_boundaries() {
    use Verdict::*;
    judged([
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
        ("closed loop at QoS 0", Evidence { pace: Pace::Room, ..well() }, BrokerLimited),
        (
            "closed loop at QoS 0, starved",
            Evidence { pace: Pace::Room, starved: Some((1, 0.3)), ..well() },
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
    ]);
}

#[test]
fn a_stall_is_told_of_and_many_are_a_fault() {
    let judged = |stalls: &[(usize, Nanos)]| Evidence { stalls: (stalls.to_vec(), 10), ..well() }.judge();
    let one = judged(&[(3, 302_000_000)]);
    assert_eq!(one.verdict, Clean);
    let told = "a worker stood still for 302 ms in second 3: what was measured then is not the broker's";
    assert_eq!(one.reasons.last().map(String::as_str), Some(told));
    let stalls: Vec<_> = (0..5).map(|second| (second, 150_000_000)).collect();
    assert_eq!([2, 3].map(|count| judged(&stalls[..count]).verdict), [Clean, Verdict::GeneratorLimited]);
    assert_eq!(judged(&stalls).reasons.iter().filter(|reason| reason.contains("in second")).count(), 3);
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
        "only 99,499 of 100,000 messages due were sent, lateness p99 980 ms | 501 messages were shed from full \
         backlogs | the generator kept up: wake-up lag p99 100 us, busiest CPU 3 at 50.0 %"
    );
    assert_eq!(
        reasons(Evidence { wake_lag: tail(7_000_000), response: tail(57_000_000), ..well() }),
        "workers woke up late: wake-up lag p99 7.00 ms, above 5.00 ms (a tenth of the response p99 without it); \
         free their CPUs, or let messages be late by more with --tolerance"
    );
    assert_eq!(
        reasons(Evidence { wake_lag: tail(7_000_000), ..well() }),
        "workers woke up late: wake-up lag p99 7.00 ms, above 1.25 ms (1 ms plus the tolerance); free their CPUs, or \
         let messages be late by more with --tolerance"
    );
    assert_eq!(
        reasons(Evidence { pace: Pace::Answers, busiest_cpu: Some((3, 0.97)), ..well() }),
        "CPU 3 was 97.0 % busy with the generator; closed loop: the answers set the pace; give more --cores"
    );
    assert_eq!(reasons(Evidence { sent: 0, ..well() }), "none of the 100,000 messages due was sent");
    assert_eq!(reasons(Evidence { due: 0, sent: 0, ..well() }), "no message came due");
}

/// What the engine lost, found full or had no buffer for, at the boundaries.
#[test]
fn what_the_engine_counts_is_evidence() {
    use Verdict::*;
    let behind = "1 pass found the completion queue full";
    let caps = "2 connections were not opened for want of ports, files or memory";
    let flooded = "more came in at once than could be heard: 10.0 % of the receives (10,001) found no buffer";
    let unread = "the broker did not read fast enough: 7,000 sends found the connection full";
    let refused = "3 connections were turned away by the embedded broker for want of room";
    let cases = [
        ("a full queue", Evidence { queue_full: 1, ..well() }, GeneratorLimited, behind),
        (
            "a full queue, nothing sent",
            Evidence { queue_full: 1, sent: 0, ..well() },
            GeneratorLimited,
            behind,
        ),
        (
            "a full queue, idle",
            Evidence { queue_full: 1, pace: Pace::None, due: 0, sent: 0, ..well() },
            GeneratorLimited,
            behind,
        ),
        ("a cap", Evidence { caps_reached: 2, ..well() }, GeneratorLimited, caps),
        (
            "one receive in ten without a buffer",
            Evidence { receives_without_buffer: 10_000, ..well() },
            Clean,
            "every message due was sent",
        ),
        (
            "more than one in ten",
            Evidence { receives_without_buffer: 10_001, ..well() },
            GeneratorLimited,
            flooded,
        ),
        (
            "sends that waited, and all was sent",
            Evidence { sends_blocked: 7_000, ..well() },
            Clean,
            "every message due was sent",
        ),
        (
            "sends that waited, and something was shed",
            Evidence { sends_blocked: 7_000, shed: 5, ..well() },
            BrokerLimited,
            unread,
        ),
        (
            "sends that waited in a closed loop",
            Evidence { sends_blocked: 7_000, pace: Pace::Answers, ..well() },
            BrokerLimited,
            unread,
        ),
        ("connections refused", Evidence { connections_refused: 3, ..well() }, BrokerLimited, refused),
    ];
    for (case, evidence, verdict, reason) in cases {
        let judgement = evidence.judge();
        assert_eq!(judgement.verdict, verdict, "{case}: {judgement:?}");
        assert!(judgement.reasons.join(" | ").contains(reason), "{case}: {judgement:?}");
    }
}

#[test]
fn what_the_engine_counts_comes_from_the_record() {
    let mut record = samples::clean();
    let health = |generator: &mut crate::record::Generator| {
        (generator.queue_full, generator.receives, generator.receives_without_buffer) = (1, 2, 3);
        generator.sends_blocked = 4;
    };
    health(&mut record.generator);
    record.broker.connections_refused = Some(5);
    let mut fleet = fleet_samples::published();
    health(&mut fleet.generator);
    fleet.broker.connections_refused = Some(5);
    for found in [Evidence::of(&record), Evidence::of_fleet(&fleet)] {
        let counts = [found.queue_full, found.receives, found.receives_without_buffer];
        assert_eq!((counts, found.sends_blocked, found.connections_refused), ([1, 2, 3], 4, 5));
    }
}

fn judged_fleet(mut record: FleetRecord, change: impl FnOnce(&mut FleetRecord)) -> (Verdict, String) {
    change(&mut record);
    record.conclude();
    (record.verdict, record.verdict_reasons.join(" | "))
}

fn lag(ns: Nanos) -> crate::record::Latency {
    (&samples::ramp(600, ns, ns)).into()
}

/// The same rules for a fleet: the evidence differs only in what it is made of.
#[test]
fn a_fleet_is_judged_by_the_same_rules() {
    type Change = fn(&mut FleetRecord);
    let cases: [(&str, Verdict, Change); 14] = [
        ("all well", Clean, |_| ()),
        ("lag on the accepted", Clean, |r| r.latencies.wake_lag = lag(99 * MILLISECOND)),
        ("lag above", Verdict::GeneratorLimited, |r| r.latencies.wake_lag = lag(101 * MILLISECOND)),
        ("lag on the tolerance", Clean, |r| {
            (r.tolerance_ns, r.latencies.wake_lag) = (SECOND, lag(1_090 * MILLISECOND));
        }),
        ("lag below a tenth of the response", Clean, |r| {
            (r.latencies.wake_lag, r.latencies.ack_response) = (lag(SECOND), lag(11 * SECOND));
        }),
        ("full CPU, all sent", Clean, |r| r.generator.workers[0].busy_share = 1.0),
        ("closed loop", BrokerLimited, |r| r.closed_loop = true),
        ("closed loop, full CPU", Verdict::GeneratorLimited, |r| {
            (r.closed_loop, r.generator.workers[0].busy_share) = (true, 0.95);
        }),
        ("closed loop, full CPU of a moment", BrokerLimited, |r| {
            (r.closed_loop, r.generator.workers[0].busy_share) = (true, 0.95);
            r.elapsed_ns = SECOND - 1;
        }),
        ("too few sent", BrokerLimited, |r| {
            (r.counts.due, r.counts.sent) = (400, 390);
            (r.publishers[0].generated, r.publishers[0].sent) = (100, 90);
        }),
        ("too few sent for the tolerance", Clean, |r| {
            (r.counts.due, r.counts.sent, r.counts.shed) = (400, 390, 10);
            (r.publishers[0].generated, r.publishers[0].sent) = (100, 90);
            r.tolerance_ns = SECOND / 2;
        }),
        ("unfinished", BrokerLimited, |r| (r.counts.sent, r.counts.unfinished) = (399, 1)),
        ("nothing sent", Verdict::Unknown, |r| r.counts.sent = 0),
        ("a full queue", Verdict::GeneratorLimited, |r| r.generator.queue_full = 1),
    ];
    for (case, verdict, change) in cases {
        let (found, reasons) = judged_fleet(fleet_samples::published(), change);
        assert_eq!(found, verdict, "{case}: {reasons}");
    }
    let busy = |r: &mut FleetRecord| r.generator.workers[0].busy_share = 0.95;
    let (found, reason) = judged_fleet(fleet_samples::subscribed(), busy);
    let said = "CPU 0 was 95.0 % busy with the generator; give more --cores";
    assert_eq!((found, reason.as_str()), (Verdict::GeneratorLimited, said), "flight times are late by it");
    assert_eq!(judged_fleet(fleet_samples::subscribed(), |_| ()).0, Clean);
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
    let mut unanswered = samples::broken();
    unanswered.plan.qos = 0;
    assert_eq!(Evidence::of(&unanswered).pace, Pace::Room);
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
    // 200,000 messages in 10 s: 5,000, a quarter of a second, may be on their way at the end, and the 2 of the
    // tolerance.
    assert_eq!(judged(|record| record.throughput.acked = 194_998).0, Clean);
    let (verdict, reason) = judged(|record| record.throughput.acked = 194_997);
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

/// What comes due within the tolerance leaves late on purpose: it is not the broker that left it lying.
#[test]
fn the_tolerance_is_not_the_brokers() {
    let judged = |tolerance_ns, achieved| {
        let mut record = crate::record::samples::clean();
        record.plan.tolerance_ns = tolerance_ns;
        (record.throughput.acked, record.throughput.delivered) = (achieved, achieved);
        record.conclude();
        record.verdict
    };
    // 20,000 a second for 10 s: a quarter of a second may be on its way, and the last burst besides.
    assert_eq!(judged(2 * SECOND, 155_000), Clean);
    assert_eq!(judged(2 * SECOND, 154_999), BrokerLimited);
    assert_eq!(judged(20 * SECOND, 0), Clean, "everything leaves after the measure phase");
}

/// A publisher that is to hold back more than its backlog has room for sheds by its own choice.
#[test]
fn what_a_tolerance_beyond_the_backlog_sheds_is_the_generators() {
    let judged = |tolerance_ns| {
        let mut record = crate::record::samples::clean();
        (record.plan.tolerance_ns, record.plan.backlog_ns) = (tolerance_ns, SECOND);
        (record.counts.sent, record.counts.shed) = (150_000, 50_000);
        record.conclude();
        (record.verdict, record.verdict_reasons[0].clone())
    };
    assert_eq!(judged(SECOND).0, BrokerLimited);
    let reason = "messages were held back for 2s (the tolerance), longer than the backlog of 1s: \
                  50,000 messages were shed; lower --tolerance, or give a longer --backlog";
    assert_eq!(judged(2 * SECOND), (Verdict::GeneratorLimited, reason.to_owned()));
}

#[test]
fn unfinished_messages_are_never_clean() {
    let mut record = crate::record::samples::clean();
    (record.counts.sent, record.counts.unfinished) = (199_999, 1);
    record.conclude();
    assert_eq!(record.verdict, BrokerLimited);
    assert_eq!(record.verdict_reasons[0], "1 message was unfinished when the connection ended");
}

/// Who keeps others off a closed loop's CPU, or a late open loop's, is told of with what mends it.
#[test]
fn what_takes_the_cpu_is_named_with_its_remedy() {
    use Verdict::*;
    let waits = || Evidence { pace: Pace::Answers, starved: Some((3, 0.47)), ..well() };
    let by = |who: &str, broker| Sharing { cpu: 3, who: who.to_owned(), share: Some(0.5), broker };
    let elsewhere = Sharing { cpu: 2, ..by("away, pid 9", true) };
    let (quota, late) = (Some((0.9, Some(0.1))), tail(2_000_000));
    let cases = [
        (
            "something unseen",
            waits(),
            "something else ran on CPU 3: a worker was ready and waited for 47.0 %",
        ),
        (
            "a process",
            Evidence { sharing: vec![by("sh, pid 42", false), elsewhere], ..waits() },
            "something else ran on CPU 3 (sh, pid 42: 50.0 %): a worker was ready and waited for 47.0 %",
        ),
        (
            "the broker",
            Evidence { sharing: vec![by("sh, pid 42", false), by("mosquitto, pid 7", true)], ..waits() },
            "the broker was on CPU 3 with the generator (mosquitto, pid 7: 50.0 %): a worker was ready and waited for \
             47.0 % of the time; give the broker another CPU",
        ),
        (
            "a quota",
            Evidence { throttled: quota, sharing: vec![by("sh, pid 42", false)], ..waits() },
            "a CPU quota of 0.10 CPUs was used up: it took 90.0 % of the time; raise it (cpu.max",
        ),
        (
            "a quota, late",
            Evidence { throttled: quota, wake_lag: late, ..well() },
            "a CPU quota of 0.10 CPUs",
        ),
        (
            "the host",
            Evidence { stolen: Some(0.021), pace: Pace::Answers, ..well() },
            "the host took the CPU: steal 2.1 % of the time",
        ),
        ("the host, late", Evidence { stolen: Some(0.3), wake_lag: late, ..well() }, "steal 30.0 %"),
        // What the host took is no wait, and hides none.
        ("the host, and others", Evidence { stolen: Some(0.04), ..waits() }, "steal 4.0 %"),
        ("others, and the host", Evidence { stolen: Some(0.04), ..waits() }, "something else ran on CPU 3"),
    ];
    for (case, evidence, reason) in cases {
        let Judgement { verdict, reasons } = evidence.judge();
        assert_eq!(verdict, GeneratorLimited, "{case}: {reasons:?}");
        assert!(
            reasons.iter().any(|it| it.starts_with(reason) || it.contains(reason)),
            "{case}: {reasons:?}"
        );
    }
    // Of a schedule that was kept nobody took anything; nor is what is little.
    judged([
        (
            "an open loop",
            Evidence { stolen: Some(0.3), throttled: quota, starved: Some((3, 0.4)), ..well() },
            Clean,
        ),
        ("little", Evidence { stolen: Some(0.02), pace: Pace::Answers, ..well() }, BrokerLimited),
        (
            "a quota untouched",
            Evidence { throttled: Some((0.05, None)), pace: Pace::Answers, ..well() },
            BrokerLimited,
        ),
    ]);
}

/// Neither silently clean nor wrong.
#[test]
fn a_broker_beside_the_generator_is_told_of_also_where_the_schedule_was_kept() {
    let who = "mosquitto, pid 7".to_owned();
    let sharing = vec![Sharing { cpu: 3, who, share: Some(0.3), broker: true }];
    let Judgement { verdict, reasons } = Evidence { sharing, ..well() }.judge();
    assert_eq!(verdict, Clean);
    let told = reasons.iter().any(|reason| reason.starts_with("the broker was on CPU 3 with the generator"));
    assert!(told, "{reasons:?}");
}

/// What the seconds and the generator of a record say of the machine around it.
#[test]
fn r25_interference_is_evidence_from_the_record() {
    let mut record = samples::clean();
    record.generator.quota_cpus = Some(0.5);
    record.generator.neighbours[0].broker = true;
    for second in &mut record.series {
        second.pressure.stolen_ns = 30 * MILLISECOND;
        second.pressure.throttled_ns = 400 * MILLISECOND;
    }
    record.series[0].phase = Phase::WarmUp;
    record.series[0].pressure.stolen_ns = SECOND;
    let found = Evidence::of(&record);
    assert_eq!((found.stolen, found.throttled), (Some(0.03), Some((0.4, Some(0.5)))));
    assert_eq!(found.sharing, [], "who is there and in nobody's way");
    record.generator.workers[0].waited_share = 0.02;
    let [broker] = &Evidence::of(&record).sharing[..] else { panic!("one") };
    assert_eq!(
        (broker.cpu, &*broker.who, broker.share, broker.broker),
        (0, "backup, pid 4711", Some(0.06), true)
    );
    // The reflector inside, where it has no CPU of its own.
    record.broker.cpus = vec![0];
    assert!(Evidence::of(&record).sharing[0].who.contains("embedded reflector"));
    // Too short to tell.
    record.series.truncate(1);
    record.series[0].phase = Phase::Measure;
    record.series[0].time_ns = SECOND - 1;
    assert_eq!(Evidence::of(&record).stolen, None);
}

/// Handshakes are in nobody's way until clients connect slower than they were to.
#[test]
fn handshakes_that_keep_clients_from_connecting_are_the_generators_fault() {
    for (share, verdict) in [(0.6, Verdict::Clean), (0.61, Verdict::GeneratorLimited)] {
        let judgement = Evidence { handshaking: Some(share), ..well() }.judge();
        assert_eq!(judgement.verdict, verdict, "{judgement:?}");
        let told = judgement.reasons[0].contains("own handshakes: those took 61.0 %");
        assert_eq!(told, verdict == Verdict::GeneratorLimited, "{judgement:?}");
    }
}
