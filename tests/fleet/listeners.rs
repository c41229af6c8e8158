//! What listeners do.

use std::io::Write;
use std::net::TcpStream;

use malaria_bench::wire::{Connect, Properties, Protocol};

use super::*;

/// checklist 20: retained messages wait for those who come later.
#[test]
fn retained_messages_are_heard_later() {
    let reflector = reflector();
    let published = Publishing { retain: true, ..publishing(2, 15) };
    went_well(&run(Spec { publishing: Some(published), ..spec(&reflector) }));
    let record = run(Spec { listening: vec![listening(messages(15, 2))], ..spec(&reflector) });
    assert_eq!((record.exit_code, record.listeners[0].received), (0, 30), "{record:#?}");
    let plain = Publishing { retain: false, ..publishing(2, 15) };
    let (reflector, quiet) = (self::reflector(), Some(SECOND));
    went_well(&run(Spec { publishing: Some(plain), ..spec(&reflector) }));
    let late = Listening { quiet_from_start: true, quiet_after: quiet, ..listening(Expect::Nothing) };
    assert_eq!(run(Spec { listening: vec![late], ..spec(&reflector) }).listeners[0].received, 0);
}

/// checklist 35, 36: idle subscribers in bulk ping, and that keeps them connected.
#[test]
fn idle_subscribers_ping() {
    let reflector = reflector();
    let idle = |index: u32| Listening {
        client_id: format!("idle-{index}"),
        duration: Some(3 * SECOND),
        quiet_after: None,
        ..listening(Expect::Nothing)
    };
    let record = run(Spec {
        connection: Connection { keep_alive_s: 1, ..Connection::default() },
        listening: (0..30).map(idle).collect(),
        ..spec(&reflector)
    });
    assert_eq!((record.exit_code, record.counts.connections_lost), (0, 0), "{record:#?}");
    // The broker ends a connection after 1.5 s of silence [MQTT-3.1.2-24].
    assert!(record.counts.pings >= 60 && record.counts.pongs == record.counts.pings, "{record:#?}");
}

/// checklist 54: a subscriber that lost its connection subscribes again, and hears what comes from then on.
#[test]
fn a_subscriber_comes_back_after_a_loss() {
    let reflector = reflector();
    let mut publishing = publishing(1, 300);
    publishing.pacing.pace = Pace::Rate { per_s: 100.0 };
    let mut thief = None;
    let spec = Spec {
        publishing: Some(publishing),
        listening: vec![Listening { quiet_after: Some(SECOND), ..listening(messages(300, 1)) }],
        ..spec(&reflector)
    };
    let record = fleet::run(spec, &AtomicBool::new(false), &mut |progress| {
        if thief.is_none() && progress.total.received() > 0 {
            // Somebody else with its id: the broker ends the older connection [MQTT-3.1.4-2].
            let mut bytes = Vec::new();
            let connect = Connect {
                protocol: Protocol::V311,
                bridge: false,
                client_id: "listener",
                keep_alive: 60,
                clean_session: true,
                will: None,
                username: None,
                password: None,
                properties: Properties::NONE,
            };
            connect.encode(&mut bytes).unwrap();
            let mut stream = TcpStream::connect(reflector.addr()).unwrap();
            stream.write_all(&bytes).unwrap();
            thief = Some(stream);
        }
    })
    .unwrap();
    assert_eq!((record.counts.connections_lost, record.counts.reconnects), (1, 1), "{record:#?}");
    let heard = &record.listeners[0].clients[0];
    assert!(heard.actual > 100 && heard.missing.last().is_none_or(|last| *last < 300), "{record:#?}");
}

/// checklist 59, 60: samples by time and by count.
#[test]
fn flight_times_are_sampled() {
    let reflector = reflector();
    let record = run(Spec {
        publishing: Some(publishing(2, 500)),
        listening: vec![Listening { sample_every: Some(300), ..listening(messages(500, 2)) }],
        ..spec(&reflector)
    });
    assert_exact(&record, 2, 500);
    let samples = &record.listeners[0].samples;
    assert_eq!(samples.iter().map(|sample| sample.flight.count).collect::<Vec<_>>(), [300, 300, 300]);
    assert!(samples.is_sorted_by_key(|sample| sample.time_ns));
    let seconds = record.series.iter().filter(|second| second.received >= 12);
    assert!(seconds.clone().count() > 0 && seconds.clone().all(|second| second.flight_p50_ns.is_some()));
}

/// checklist 47: only one of several subscribers asks for the broker's counters, and all of them end.
#[test]
fn drops_end_every_subscriber() {
    let reflector = reflector();
    let plan = PayloadPlan { body: "template:%{seq}".parse().unwrap(), ..PayloadPlan::default() };
    let mut counters = publishing(1, 3);
    counters.topic = "$SYS/broker/publish/messages/dropped".parse().unwrap();
    // As a broker's counters come: the listener asks for them when its own subscription stands.
    counters.pacing.pace = Pace::Rate { per_s: 5.0 };
    counters.content = Content::Prepared(Payloads::prepare(plan, 1).unwrap());
    let listener = |index: u32| Listening {
        client_id: format!("listener-{index}"),
        sys: index == 0,
        quiet_after: None,
        ..listening(messages(10, 1))
    };
    let record = run(Spec {
        publishing: Some(counters),
        listening: (0..3).map(listener).collect(),
        ..spec(&reflector)
    });
    assert!(record.listeners.iter().all(|one| one.ended_by == ListenEnd::Drops), "{record:#?}");
    assert_eq!(record.exit_code, 5);
}

/// checklist 51: pauses that come together follow each other, and are not taken for the broker's silence.
#[test]
fn pauses_add_up_and_are_no_silence() {
    let reflector = reflector();
    let slow = Some(Slow { every: 10, pause: 100 * MILLISECOND });
    let record = run(Spec {
        publishing: Some(publishing(1, 100)),
        listening: vec![Listening {
            slow,
            quiet_after: Some(50 * MILLISECOND),
            ..listening(messages(100, 1))
        }],
        ..spec(&reflector)
    });
    // All may have been received before the first pause; the last one is cut short by the end.
    assert_exact(&record, 1, 100);
    let slow = Listening { slow, quiet_after: Some(50 * MILLISECOND), ..listening(messages(101, 1)) };
    let record =
        run(Spec { publishing: Some(publishing(1, 100)), listening: vec![slow], ..spec(&reflector) });
    assert!(record.elapsed_ns >= SECOND, "ten pauses of 100 ms each: {record:#?}");
}

/// checklist 52: an interrupted backlog leaves nothing on the broker.
#[test]
fn an_interrupted_backlog_is_removed() {
    let reflector = reflector();
    let mut publishing = publishing(1, 1_000_000);
    publishing.pacing.pace = Pace::Rate { per_s: 100.0 };
    let interrupt = AtomicBool::new(false);
    let spec = Spec {
        publishing: Some(publishing),
        listening: vec![Listening { backlog: true, ..listening(Expect::Published) }],
        ..spec(&reflector)
    };
    let record = fleet::run(spec, &interrupt, &mut |progress| {
        interrupt.fetch_or(progress.total.sent > 0, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!((record.ended, record.exit_code), (Ended::Interrupted, 130));
    let again = Listening { quiet_from_start: true, quiet_after: Some(SECOND), ..listening(Expect::Nothing) };
    let record = run(Spec {
        connection: Connection { clean_session: false, ..Connection::default() },
        listening: vec![again],
        ..self::spec(&reflector)
    });
    assert_eq!(record.listeners[0].received, 0, "{record:#?}");
}

/// checklist 49: silence counts from the last message on, and not before the first one.
#[test]
fn a_listener_is_patient() {
    let reflector = reflector();
    let stagger = (1500 * MILLISECOND, 1500 * MILLISECOND);
    let mut slow = Publishing { stagger, ..publishing(1, 20) };
    slow.pacing.pace = Pace::Rate { per_s: 10.0 };
    let listener = Listening { quiet_after: Some(SECOND), ..listening(messages(20, 1)) };
    let record = run(Spec { publishing: Some(slow), listening: vec![listener], ..spec(&reflector) });
    assert_exact(&record, 1, 20);
    // One that knows when the publishers are done waits for them, however slow they are.
    let mut slower = publishing(1, 3);
    slower.pacing.pace = Pace::Rate { per_s: 1.0 };
    let listener = Listening { quiet_after: Some(SECOND / 2), ..listening(Expect::Published) };
    let record = run(Spec { publishing: Some(slower), listening: vec![listener], ..spec(&reflector) });
    assert_exact(&record, 1, 3);
}

/// checklist 45, R14: a stamp from the future is no flight time, and is not left out in silence.
#[test]
fn r14_flight_times_below_0_are_counted() {
    let reflector = reflector();
    let content = Content::Feed(Feed::start("yes 9999999999.000000,x", Framing::Lines).unwrap());
    let publishing = Publishing { content, ..publishing(1, 20) };
    let listener = listening(Expect::Published);
    let record = run(Spec { publishing: Some(publishing), listening: vec![listener], ..spec(&reflector) });
    let listener = &record.listeners[0];
    assert_eq!((listener.flight_negative, listener.flight.max_ns), (20, Some(0)), "{record:#?}");
}
