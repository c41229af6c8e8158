//! Rules of the methodology, each by its number, with a broker that gives them something to hold.

use crate::harness::{agree, gallery, ms, play};
use malaria_bench::record::{Figure, Latencies, Latency, Reading};

const LOAD: &str = "--clients 20 --rate 2k --warmup 0 --drain 500ms";

/// A second and a half of nothing, in the middle of a run.
const STALL: &str = "[[at]]\ntime = '800ms'\ndo = { stall = '1.4s' }";

fn figures(latency: &Latency) -> [f64; 6] {
    [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p999_ns, latency.p9999_ns, latency.max_ns]
        .map(ms)
}

#[test]
fn r1_a_slow_broker_never_slows_the_plan() {
    let (record, log) = play(STALL, &format!("{LOAD} --duration 4s"));
    agree(&record, &log);
    let counts = &record.counts;
    assert_eq!((counts.due, counts.sent, counts.shed), (8000, 8000, 0));
    // The second that lies in the stall: everything of it was sent, and nothing acknowledged.
    let stalled = record.series.iter().find(|second| second.acked == 0).expect("a second without answers");
    assert!((1900..=2100).contains(&stalled.offered), "{}", stalled.offered);
    assert!((1900..=2100).contains(&stalled.sent), "{}", stalled.sent);
}

#[test]
fn r2_latency_is_from_the_intended_time_and_service_and_lateness_stand_beside_it() {
    let (record, _) = play(STALL, &format!("{LOAD} --duration 4s"));
    let times = &record.latencies;
    for (response, service) in
        [(&times.ack_response, &times.ack_service), (&times.flight_response, &times.flight_service)]
    {
        assert_eq!((response.count, service.count), (8000, 8000));
        // 2,800 of 8,000 came due in the stall; the last 80 of what is slower waited for 1,360 ms.
        let p99 = ms(response.p99_ns);
        assert!((1_330.0..2_000.0).contains(&p99), "{p99}");
        let (response, service) = (figures(response), figures(service));
        for (response, service) in response.into_iter().zip(service) {
            assert!(response >= service, "{response} of {service}");
        }
    }
    assert_eq!(times.lateness.count, 8000);
    assert!(ms(times.lateness.p50_ns) < ms(times.ack_response.p99_ns) / 10.0, "{:?}", times.lateness);
}

#[test]
fn r3_what_never_came_is_priced() {
    let script = "[[at]]\ntime = '1s'\ndo = { stall = 'for ever' }";
    let (record, log) = play(script, &format!("{LOAD} --duration 2s -k 0"));
    let counts = &record.counts;
    assert_eq!((counts.due, counts.sent), (4000, 4000));
    assert_eq!((counts.acked, log.did("acked")), (log.sum("received"), log.sum("received")));
    assert!((1_900..2_100).contains(&counts.acked), "{}", counts.acked);
    assert_eq!(counts.unacked_at_end, 4000 - counts.acked);
    // Who is not answered by the end has waited until then; what was not delivered has no time at all.
    let (acks, flight) = (&record.latencies.ack_response, &record.latencies.flight_response);
    assert_eq!((acks.count, flight.count, flight.missing), (4000, counts.acked, 4000 - counts.acked));
    assert!(ms(acks.p99_ns) > 1_450.0, "{:?}", acks.p99_ns);
    assert_eq!(flight.read(Figure::P99), Reading::Never);
    assert_eq!(record.exit_code, 5);
}

/// The figures of each stage; a fault of one of them is to be in no other.
fn stages(times: &Latencies) -> [f64; 4] {
    [&times.connack, &times.suback, &times.ack_service, &times.flight_service].map(|stage| ms(stage.mean_ns))
}

#[test]
fn r15_a_delay_shows_at_its_own_stage_only() {
    let load = |qos| format!("--clients 20 --rate 500 -q {qos} --warmup 0 --duration 500ms --drain 500ms");
    for (on, qos, stage) in [
        ("connect", 1, 0),
        ("subscribe", 1, 1),
        // PUBACK, PUBREC and PUBCOMP.
        ("publish", 1, 2),
        ("publish", 2, 2),
        ("pubrel", 2, 2),
        ("delivery", 0, 3),
        ("delivery", 1, 3),
    ] {
        let script = format!("[[fault]]\non = '{on}'\ndo = {{ delay = '50ms' }}");
        let (record, log) = play(&script, &load(qos));
        agree(&record, &log);
        for (number, time) in stages(&record.latencies).into_iter().enumerate() {
            let told = format!("{on} at QoS {qos}: stage {number} took {time} ms");
            match number == stage {
                true => assert!((50.0..85.0).contains(&time), "{told}"),
                // At QoS 0 there are no acknowledgements.
                false => assert!(time < 35.0 || qos == 0 && number == 2, "{told}"),
            }
        }
    }
}

#[test]
fn r16_what_is_lost_doubled_and_swapped_is_told_exactly() {
    for qos in [0, 1, 2] {
        let (record, log) = play(&gallery("lossy"), &format!("{LOAD} --duration 2s --verify all -q {qos}"));
        agree(&record, &log);
        log.is("lossy", qos);
        assert_eq!(record.exit_code, 5);
    }
}

#[test]
fn r17_a_stall_is_charged_to_the_phase_of_the_messages_that_met_it() {
    let at = |time: &str| format!("[[at]]\ntime = '{time}'\ndo = {{ stall = '600ms' }}");
    let load = "--clients 20 --rate 2k --warmup 1500ms --duration 1s --drain 2s";
    let (record, log) = play(&at("200ms"), load);
    assert_eq!((log.did("stalled"), record.counts.due), (1, 2000));
    let response = &record.latencies.ack_response;
    assert!(ms(response.max_ns) < 300.0, "the stall was over: {:?}", response.max_ns);
    // The last 100 ms of what is measured.
    let (record, log) = play(&at("2400ms"), load);
    assert_eq!((log.did("stalled"), record.counts.due), (1, 2000));
    for response in [&record.latencies.ack_response, &record.latencies.flight_response] {
        assert_eq!(response.count, 2000);
        assert!((550.0..900.0).contains(&ms(response.p99_ns)), "{:?}", response.p99_ns);
    }
}

#[test]
fn r19_offered_sent_acked_and_delivered_are_four_numbers() {
    let script = "rate = '1k'\nburst = 10\n[[fault]]\non = 'delivery'\nevery = 10\ndo = 'drop'";
    let load = "--clients 20 --rate 2k --inflight 50 --backlog 100ms --warmup 0 --duration 4s --drain 500ms";
    let (record, log) = play(script, load);
    let (counts, throughput) = (&record.counts, &record.throughput);
    let near = |what: &str, told: f64, expected: f64| {
        assert!((told / expected - 1.0).abs() < 0.02, "{what}: {told} of {expected}, {counts:?}");
    };
    assert_eq!(counts.due, 8000);
    assert_eq!(counts.sent, log.sum("received"));
    assert_eq!(counts.acked, log.did("acked"));
    assert_eq!(counts.lost + counts.undelivered_at_end, log.did("dropped"));
    // A full window of 50 for each of ten publishers is sent at once, and then what is acknowledged.
    near("sent", throughput.sent as f64, 4500.0);
    near("acked", throughput.acked as f64, 4000.0);
    near("delivered", throughput.delivered as f64, 3600.0);
}
