//! Fleets on real sockets, against the reflector in this process: what each script does, end to end, and the
//! library as a user of it calls it (checklist 86). What they do when things go wrong is in `fleet/faults.rs`.

#[path = "fleet/faults.rs"]
mod faults;
#[path = "fleet/listeners.rs"]
mod listeners;
#[path = "faults/broker.rs"]
#[allow(dead_code, reason = "not every fault is of use here")]
mod scripted;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use malaria_bench::clock::{MILLISECOND, Nanos, SECOND};
use malaria_bench::crew::{Five, Wanted};
use malaria_bench::fleet::{
    self, Connection, Content, Expect, Feed, Framing, Listening, Publishing, Slow, Spec,
};
use malaria_bench::load::{Expectation, Pace, PayloadPlan, PayloadStamp, Payloads};
use malaria_bench::record::{Ended, FleetRecord, ListenEnd, Poll, Verdict};
use malaria_bench::reflector::{Config, Reflector, WorkerPlacement};
use malaria_bench::wire::{Protocol, QoS};

const FILTER: &str = "mqtt-malaria/+/data/#";

fn reflector() -> Reflector {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let workers = vec![WorkerPlacement::default(); 2];
    Reflector::start(Config { listen, workers, rings_per_worker: 1, max_connections_per_ring: 1000 })
        .expect("the reflector starts")
}

fn spec(reflector: &Reflector) -> Spec {
    Spec { cpus: vec![0, 0], seed: 7, ..Spec::new(vec![reflector.addr().into()]) }
}

/// `clients` publishers of `count` messages each, as fast as the window of 20 lets them.
fn publishing(clients: u32, count: u64) -> Publishing {
    let plan = PayloadPlan { stamp: PayloadStamp::Malaria, ..PayloadPlan::default() };
    let mut publishing = Publishing::new("pub", clients);
    publishing.content = Content::Prepared(Payloads::prepare(plan, 7).unwrap());
    (publishing.inflight, publishing.ack_timeout) = (20, 10 * SECOND);
    publishing.pacing.count = Some(count);
    publishing
}

fn listening(expect: Expect) -> Listening {
    Listening {
        expect,
        qos: QoS::ExactlyOnce,
        quiet_after: Some(5 * SECOND),
        sys: true,
        abort_on_drop: true,
        ..Listening::new("listener", FILTER)
    }
}

fn messages(messages: u64, clients: u64) -> Expect {
    Expect::Messages(Expectation { messages, clients })
}

/// Runs `spec`; interrupts it after `BOUND`, so that no test hangs.
fn run(spec: Spec) -> FleetRecord {
    const BOUND: Nanos = 60 * SECOND;
    let interrupt = AtomicBool::new(false);
    let record = fleet::run(spec, &interrupt, &mut |progress| {
        interrupt.fetch_or(progress.elapsed > BOUND, Ordering::Relaxed);
    })
    .unwrap();
    assert!(!interrupt.load(Ordering::Relaxed), "took longer than a minute: {record:#?}");
    record
}

fn ack_times(record: &FleetRecord) -> u64 {
    record.publishers.iter().map(|publisher| publisher.ack_time.count).sum()
}

#[track_caller]
fn went_well(record: &FleetRecord) {
    // A machine shared with other tests may keep the generator from its CPU. That changes nothing of what it did.
    let noisy = record.verdict == Verdict::GeneratorLimited && record.exit_code == 6;
    assert!(record.exit_code == 0 || noisy, "{}: {record:#?}", record.exit_reason);
}

#[track_caller]
fn assert_exact(record: &FleetRecord, clients: usize, count: u64) {
    assert_eq!(record.ended, Ended::Completed, "{}: {record:#?}", record.exit_reason);
    went_well(record);
    assert_eq!(record.publishers.len(), clients);
    for publisher in &record.publishers {
        assert_eq!((publisher.generated, publisher.sent, publisher.acked), (count, count, count));
        assert_eq!(publisher.failure, None);
    }
    for listener in &record.listeners {
        assert_eq!(listener.ended_by, ListenEnd::Complete);
        assert_eq!((listener.received, listener.foreign), (count * clients as u64, 0));
        assert_eq!(listener.clients.len(), clients);
        for heard in &listener.clients {
            assert_eq!((heard.actual, heard.duplicate, heard.missing.len()), (count, 0, 0));
        }
    }
}

/// How workers wait is theirs to choose, and in the record.
#[test]
fn workers_that_do_not_sleep_say_so_and_take_a_cpu() {
    let reflector = reflector();
    let mut spent = Vec::new();
    for poll in [Poll::Sleep, Poll::Busy] {
        let mut publishing = publishing(2, 20);
        publishing.pacing.pace = Pace::Rate { per_s: 40.0 };
        let record = run(Spec { publishing: Some(publishing), cpus: vec![0], poll, ..spec(&reflector) });
        assert_exact(&record, 2, 20);
        assert_eq!(record.poll, poll);
        spent.push(record.generator.user_cpu_ns + record.generator.system_cpu_ns);
    }
    assert!(spent[1] > 2 * spent[0], "{spent:?}");
}

/// checklist 8, 42, 43, 48.
#[test]
fn everything_published_is_heard_at_every_qos() {
    let reflector = reflector();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let record = run(Spec {
            publishing: Some(Publishing { qos, ..publishing(5, 300) }),
            listening: vec![listening(messages(300, 5))],
            ..spec(&reflector)
        });
        assert_exact(&record, 5, 300);
        let acks = if qos == QoS::AtMostOnce { 0 } else { 1500 };
        assert_eq!((ack_times(&record), record.latencies.ack_service.count), (acks, acks));
        assert_eq!(record.listeners[0].flight.count, 1500);
        // checklist 38: every step of a connection is measured.
        let latencies = &record.latencies;
        let steps =
            [&latencies.tcp_connect, &latencies.connack, &latencies.disconnect].map(|step| step.count);
        assert_eq!((steps, latencies.suback.count, latencies.unsuback.count), ([6, 6, 6], 1, 1));
        assert!(record.series.iter().map(|second| second.sent).sum::<u64>() == 1500, "{:?}", record.series);
    }
}

/// All parts in MQTT 5, with an alias in the place of the topic from the second message on.
#[test]
fn everything_is_heard_in_version_5() {
    let reflector = reflector();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let user = vec![("site".to_owned(), "a".to_owned())];
        let five = Five::new(&Wanted { topic_alias: true, user, ..Wanted::default() }).unwrap();
        let record = run(Spec {
            publishing: Some(Publishing { qos, ..publishing(5, 300) }),
            listening: vec![listening(messages(300, 5))],
            connection: Connection { protocol: Protocol::V5, five, ..Connection::default() },
            ..spec(&reflector)
        });
        assert_exact(&record, 5, 300);
        assert_eq!(record.counts.reasons.total(), 0, "{:?}", record.counts.reasons);
    }
}

/// checklist 43: right past the 65,535 packet ids.
#[test]
fn seventy_thousand_messages_of_one_client_are_all_counted() {
    let reflector = reflector();
    let record = run(Spec {
        publishing: Some(publishing(1, 70_000)),
        listening: vec![listening(messages(70_000, 1))],
        ..spec(&reflector)
    });
    assert_exact(&record, 1, 70_000);
    assert_eq!(ack_times(&record), 70_000);
}

/// checklist 26.
#[test]
fn clients_reconnect_every_so_many_messages() {
    let reflector = reflector();
    let record = run(Spec {
        publishing: Some(Publishing { reconnect_every: Some(4), ..publishing(3, 35) }),
        listening: vec![listening(messages(35, 3))],
        ..spec(&reflector)
    });
    assert_exact(&record, 3, 35);
    assert!(record.publishers.iter().all(|publisher| publisher.reconnects == 8));
    // They were meant: nothing was lost.
    assert_eq!((record.counts.reconnects, record.counts.connections_lost), (0, 0));
}

/// checklist 50.
#[test]
fn requests_are_answered_one_at_a_time() {
    let reflector = reflector();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let record = run(Spec {
            publishing: Some(Publishing { qos, responders: 2, ..publishing(4, 50) }),
            ..spec(&reflector)
        });
        assert_eq!((record.exit_code, record.round_trip.count), (0, 200), "{record:#?}");
        assert_eq!(record.counts.foreign, 0);
    }
}

/// checklist 52.
#[test]
fn a_backlog_is_loaded_and_unloaded() {
    let reflector = reflector();
    let backlog = Listening { backlog: true, ..listening(messages(40, 3)) };
    let record =
        run(Spec { publishing: Some(publishing(3, 40)), listening: vec![backlog], ..spec(&reflector) });
    assert_exact(&record, 3, 40);
    // Nothing was heard while it was loaded: the first message came after the last acknowledgement.
    let loaded = record.publishers.iter().map(|publisher| publisher.first_ns.unwrap() + publisher.active_ns);
    let shortest = record.elapsed_ns - record.listeners[0].active_ns;
    assert!(loaded.max().unwrap() <= shortest, "{record:#?}");
    // The session is gone: nothing is kept for it, and a new one of the same id has nothing.
    assert_eq!(run(Spec { publishing: Some(publishing(1, 5)), ..spec(&reflector) }).counts.acked, 5);
    let again = Listening { quiet_from_start: true, quiet_after: Some(SECOND), ..listening(Expect::Nothing) };
    let record = run(Spec {
        connection: Connection { clean_session: false, ..Connection::default() },
        listening: vec![again],
        ..spec(&reflector)
    });
    assert_eq!((record.listeners[0].received, record.listeners[0].ended_by), (0, ListenEnd::Quiet));
}

/// checklist 51: the pauses of a slow consumer cannot be shorter than they were asked for.
#[test]
fn a_slow_consumer_pauses() {
    let reflector = reflector();
    let slow = Slow { every: 10, pause: 50 * MILLISECOND };
    let record = run(Spec {
        // One message at a time, so that each arrives alone.
        publishing: Some(Publishing { inflight: 1, qos: QoS::ExactlyOnce, ..publishing(1, 100) }),
        listening: vec![Listening { slow: Some(slow), ..listening(messages(100, 1)) }],
        ..spec(&reflector)
    });
    assert_exact(&record, 1, 100);
    // However late the worker is: what it hears at once it pauses for at once.
    assert!(record.elapsed_ns > 50 * MILLISECOND, "{record:#?}");
}

/// checklist 18.
#[test]
fn clients_join_and_leave_while_others_publish() {
    let reflector = reflector();
    let mut publishing = publishing(3, 1_000_000);
    publishing.pacing.pace = Pace::Rate { per_s: 100.0 };
    publishing.clients[0].leaves = Some(600 * MILLISECOND);
    publishing.clients[1].joins = 300 * MILLISECOND;
    publishing.clients[1].leaves = Some(600 * MILLISECOND);
    publishing.clients[2].leaves = Some(600 * MILLISECOND);
    let listener = Listening { expect: Expect::Published, ..listening(Expect::Nothing) };
    let record = run(Spec { publishing: Some(publishing), listening: vec![listener], ..spec(&reflector) });
    assert_eq!((record.ended, record.exit_code), (Ended::Completed, 0), "{record:#?}");
    let sent: Vec<u64> = record.publishers.iter().map(|publisher| publisher.sent).collect();
    assert!(sent.iter().all(|sent| *sent > 0), "{sent:?}");
    assert!(record.publishers[1].first_ns.unwrap() >= 300 * MILLISECOND);
    let received = record.listeners[0].received;
    assert_eq!((received, record.listeners[0].ended_by), (sent.iter().sum(), ListenEnd::Complete));
}

/// checklist 17.
#[test]
fn the_stagger_is_waited_for() {
    let reflector = reflector();
    let stagger = (200 * MILLISECOND, 400 * MILLISECOND);
    let record =
        run(Spec { publishing: Some(Publishing { stagger, ..publishing(20, 1) }), ..spec(&reflector) });
    let firsts: Vec<Nanos> = record.publishers.iter().map(|publisher| publisher.first_ns.unwrap()).collect();
    assert!(firsts.iter().all(|first| *first >= stagger.0), "{firsts:?}");
    let (earliest, latest) = (firsts.iter().min().unwrap(), firsts.iter().max().unwrap());
    assert!(latest - earliest > 20 * MILLISECOND, "they all started at once: {firsts:?}");
}

/// checklist 27.
#[test]
fn a_command_feeds_payloads_and_its_early_end_is_an_error() {
    let reflector = reflector();
    let fed = |command: &str| {
        let content = Content::Feed(Feed::start(command, Framing::Lines).unwrap());
        let listener = Listening { stamp: PayloadStamp::None, ..listening(Expect::Published) };
        run(Spec {
            publishing: Some(Publishing { content, ..publishing(2, 50) }),
            listening: vec![listener],
            ..spec(&reflector)
        })
    };
    let record = fed("yes payload");
    assert_exact(&record, 2, 50);
    assert_eq!(record.listeners[0].payload_bytes, 100 * "payload".len() as u64);
    let record = fed("seq 30");
    assert_eq!((record.ended, record.exit_code), (Ended::Environment, 3));
    assert!(
        record.exit_reason.contains("`seq 30`") && record.exit_reason.contains("after 30"),
        "{record:#?}"
    );
}

/// checklist 43: clients that were never heard, and what is missing of the others.
#[test]
fn what_does_not_come_is_told() {
    let reflector = reflector();
    let listener = Listening { quiet_after: Some(SECOND), ..listening(messages(12, 4)) };
    let record =
        run(Spec { publishing: Some(publishing(3, 10)), listening: vec![listener], ..spec(&reflector) });
    let listener = &record.listeners[0];
    assert_eq!((record.exit_code, listener.ended_by), (5, ListenEnd::Quiet), "{record:#?}");
    assert_eq!((listener.never_seen_count, listener.never_seen.as_slice()), (1, &["pub-3".to_owned()][..]));
    assert!(listener.clients.iter().all(|heard| heard.missing == [11, 12]), "{listener:#?}");
}

/// checklist 81: one client that cannot connect does not take the others along.
#[test]
fn a_client_that_is_taken_over_fails_alone() {
    let reflector = reflector();
    let mut publishing = publishing(3, 200);
    // Two clients of one id throw each other out again and again [MQTT-3.1.4-2].
    publishing.clients[2].client_id = publishing.clients[1].client_id.clone();
    publishing.pacing.pace = Pace::Rate { per_s: 200.0 };
    let record = run(Spec { publishing: Some(publishing), ..spec(&reflector) });
    assert_eq!((record.publishers[0].acked, record.publishers[0].failure.is_none()), (200, true));
    assert!(record.counts.connections_lost > 0, "{record:#?}");
}

/// checklist 80.
#[test]
fn an_interrupt_ends_it_with_what_was_measured() {
    let reflector = reflector();
    let mut publishing = publishing(2, 1_000_000);
    publishing.pacing.pace = Pace::Rate { per_s: 100.0 };
    let interrupt = Arc::new(AtomicBool::new(false));
    let seen = Mutex::new(0);
    let record = fleet::run(
        Spec {
            publishing: Some(publishing),
            listening: vec![listening(messages(1_000_000, 2))],
            ..spec(&reflector)
        },
        &interrupt,
        &mut |progress| {
            *seen.lock().unwrap() = progress.total.sent;
            interrupt.fetch_or(progress.total.sent > 0, Ordering::Relaxed);
        },
    )
    .unwrap();
    assert_eq!((record.ended, record.exit_code), (Ended::Interrupted, 130));
    assert!(record.counts.sent >= *seen.lock().unwrap() && record.counts.sent > 0);
    assert_eq!(record.counts.acked, record.counts.sent, "what was under way is waited for: {record:#?}");
    assert_eq!(record.listeners[0].ended_by, ListenEnd::Interrupted);
}

/// checklist 39: nobody listens.
#[test]
fn a_dead_broker_is_told_at_once() {
    let nobody = {
        let reflector = reflector();
        reflector.addr()
    };
    let spec = Spec { targets: vec![nobody.into()], ..spec(&self::reflector()) };
    let connection = Connection { attempts: 4, ..Connection::default() };
    let record = run(Spec { connection, publishing: Some(publishing(3, 10)), ..spec });
    assert_eq!(record.exit_code, 4);
    // The waits between four attempts are at least 100, 200 and 400 ms.
    assert!(record.elapsed_ns >= 700 * MILLISECOND, "{record:#?}");
    assert!(record.publishers.iter().all(|publisher| publisher.failure.is_some()), "{record:#?}");
    assert!(record.elapsed_ns < Duration::from_secs(30).as_nanos() as Nanos);
}

/// checklist 48: messages of another run on the same topics are not taken for its own.
#[test]
fn a_self_check_hears_its_own_messages_only() {
    let reflector = reflector();
    let mut others = Publishing { retain: true, ..publishing(2, 30) };
    for (index, name) in others.clients.iter_mut().enumerate() {
        (name.client_id, name.topic_id) = (format!("other-{index}"), format!("other-{index}"));
    }
    went_well(&run(Spec { publishing: Some(others), ..spec(&reflector) }));
    // A retained message for each topic is heard before the first of its own.
    let record = run(Spec {
        publishing: Some(publishing(3, 50)),
        listening: vec![listening(Expect::Published)],
        ..spec(&reflector)
    });
    let listener = &record.listeners[0];
    went_well(&record);
    assert_eq!(listener.ended_by, ListenEnd::Complete, "{record:#?}");
    assert_eq!((listener.received, listener.foreign, listener.clients.len()), (60 + 150, 60, 3));
    assert!(listener.clients.iter().all(|heard| heard.actual == 50 && heard.expected == Some(50)));
}

/// checklist 40.
#[test]
fn clients_spread_over_several_brokers() {
    let brokers = [reflector(), reflector()];
    let listener =
        |index: u32| Listening { client_id: format!("listener-{index}"), ..listening(messages(25, 2)) };
    let record = run(Spec {
        targets: brokers.iter().map(|broker| broker.addr().into()).collect(),
        publishing: Some(publishing(4, 25)),
        listening: (0..2).map(listener).collect(),
        ..spec(&brokers[0])
    });
    went_well(&record);
    let heard = record
        .listeners
        .iter()
        .map(|listener| listener.clients.iter().map(|heard| heard.client_id.as_str()).collect::<Vec<_>>());
    assert_eq!(heard.collect::<Vec<_>>(), [["pub-0", "pub-2"], ["pub-1", "pub-3"]]);
}

/// A broker that accepts every client and then does what it is told with the rest of the connection.
fn broker_that(then: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut connect = [0; 512];
            if stream.read(&mut connect).is_ok() && stream.write_all(&[0x20, 2, 0, 0]).is_ok() {
                then(stream);
            }
        }
    });
    address
}

/// checklist 35: a connection that ends before it was of any use is a failed attempt.
#[test]
fn a_broker_that_closes_every_connection_is_given_up() {
    let address = broker_that(drop);
    for spec in [
        Spec { publishing: Some(publishing(2, 1000)), ..Spec::new(vec![address.into()]) },
        Spec { listening: vec![listening(messages(1, 1))], ..Spec::new(vec![address.into()]) },
    ] {
        let connection = Connection { reconnect_attempts: 3, ..Connection::default() };
        let record = run(Spec { connection, ..spec });
        assert_eq!((record.ended, record.exit_code), (Ended::Completed, 4), "{record:#?}");
        assert!(record.exit_reason.contains("3 times in a row"), "{}", record.exit_reason);
    }
}

/// checklist 58: what the kernel never took at QoS 0 was not sent.
#[test]
fn messages_that_a_lost_connection_took_along_are_not_counted_as_sent() {
    // It reads nothing, and goes.
    let address = broker_that(|stream| {
        let mut first = [0; 1];
        let _ = stream.peek(&mut first);
    });
    let plan = PayloadPlan { size: "64KiB".parse().unwrap(), ..PayloadPlan::default() };
    let mut flood = Publishing { qos: QoS::AtMostOnce, ..publishing(1, 1000) };
    flood.content = Content::Prepared(Payloads::prepare(plan, 1).unwrap());
    let connection = Connection { reconnect_attempts: 1, ..Connection::default() };
    let record = run(Spec { publishing: Some(flood), connection, ..Spec::new(vec![address.into()]) });
    assert_eq!(record.exit_code, 4, "{record:#?}");
    assert!(record.publishers[0].acked < 1000, "{record:#?}");
}

/// checklist 13: a duration ends every pace, and what it cuts off was not planned.
#[test]
fn a_duration_ends_every_pace() {
    let reflector = reflector();
    let duration = Some(300 * MILLISECOND);
    for pace in [Pace::Unlimited, Pace::Rate { per_s: 20.0 }, Pace::Delay { min: 0, max: 0 }] {
        let mut publishing = publishing(2, 1_000_000);
        (publishing.pacing.pace, publishing.pacing.duration) = (pace, duration);
        let record = run(Spec { publishing: Some(publishing), ..spec(&reflector) });
        assert_eq!((record.ended, record.exit_code), (Ended::Completed, 0), "{pace:?}: {record:#?}");
        assert!(record.publishers.iter().all(|one| one.planned.is_none() && one.sent > 0), "{record:#?}");
    }
}

/// What waits for others because it was asked to is not the generator's fault.
#[test]
fn a_long_tolerance_is_no_lag() {
    let reflector = reflector();
    let mut publishing = Publishing { tolerance: 300 * MILLISECOND, ..publishing(1, 100) };
    publishing.pacing.pace = Pace::Rate { per_s: 100.0 };
    let record = run(Spec { publishing: Some(publishing), ..spec(&reflector) });
    went_well(&record);
    assert!(record.latencies.lateness.max_ns.unwrap() > 100 * MILLISECOND, "{record:#?}");
}

/// checklist 16: who is late by the tolerance is late for the record, too.
#[test]
fn what_is_due_within_the_tolerance_is_sent_together() {
    let reflector = reflector();
    let mut publishing = Publishing { tolerance: SECOND, ..publishing(1, 10) };
    publishing.pacing.pace = Pace::Rate { per_s: 10.0 };
    let record = run(Spec { publishing: Some(publishing), ..spec(&reflector) });
    // One is due at most 100 ms after others were sent.
    let latencies = &record.latencies;
    assert!(latencies.lateness.max_ns.unwrap() >= 850 * MILLISECOND, "{record:#?}");
    assert!(latencies.ack_response.max_ns.unwrap() >= 850 * MILLISECOND, "{record:#?}");
    // Acknowledgement times run from when it was sent.
    let (own, all) = (record.publishers[0].ack_time.max_ns.unwrap(), latencies.ack_service.max_ns.unwrap());
    assert!(own.abs_diff(all) <= all / 100, "{own} and {all}");
}

/// checklist 13.
#[test]
fn a_client_without_a_rate_ends_in_time() {
    let reflector = reflector();
    let mut publishing = publishing(2, 1);
    (publishing.pacing.count, publishing.pacing.duration) = (None, Some(100 * MILLISECOND));
    let record = run(Spec { publishing: Some(publishing), ..spec(&reflector) });
    assert_eq!((record.ended, record.publishers[0].planned), (Ended::Completed, None));
    assert!(
        record.publishers.iter().all(|publisher| publisher.sent > 0 && publisher.acked == publisher.sent)
    );
}

/// All workers together keep the rate.
#[test]
fn clients_connect_at_the_rate_asked_for() {
    let reflector = reflector();
    let connection = Connection { rate_per_s: Some(20.0), ..Connection::default() };
    let record = run(Spec { connection, publishing: Some(publishing(6, 1)), ..spec(&reflector) });
    let firsts = record.publishers.iter().map(|publisher| publisher.first_ns.unwrap());
    assert!(firsts.max().unwrap() >= 240 * MILLISECOND, "the sixth is due after 250 ms: {record:#?}");
}
