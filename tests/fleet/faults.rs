//! Fleets against a broker that does what a script says, and not always what it should.

use std::collections::BTreeMap;

use malaria_bench::crew::{Field, Packing};
use malaria_bench::wire::{self, ConnAck, ConnectCode, Packet, PacketType, Publish, SubAckCode};

use super::scripted::{Act, Broker, Heard};
use super::*;

fn against(broker: &Broker) -> Spec {
    Spec { cpus: vec![0, 0], seed: 7, ..Spec::new(vec![broker.address.into()]) }
}

/// Every message that was sent has been acknowledged, or is counted where it was lost.
#[track_caller]
fn assert_accounted_for(record: &FleetRecord) {
    let counts = &record.counts;
    let lost = counts.ack_timeouts + counts.unacked_at_end;
    assert_eq!(counts.sent, counts.acked + lost, "{record:#?}");
}

#[test]
fn messages_that_are_lost_with_a_session_are_counted() {
    let broker = Broker::start(|heard| if heard.publish() == 3 { Act::Close } else { Act::Honest });
    let record = run(Spec { publishing: Some(publishing(1, 10)), ..against(&broker) });
    // It had sent everything: there was nothing to come back for.
    assert_eq!((record.counts.sent, record.counts.reconnects, record.exit_code), (10, 0, 4), "{record:#?}");
    assert!(record.warnings.iter().any(|warning| warning.contains("lost")), "{:?}", record.warnings);
    assert!(record.counts.unacked_at_end > 0, "{record:#?}");
    assert_accounted_for(&record);
}

/// checklist 58.
#[test]
fn messages_without_an_acknowledgement_time_out() {
    let broker = Broker::start(|heard| if heard.publish() % 5 == 1 { Act::Silent } else { Act::Honest });
    let publishing = Publishing { ack_timeout: SECOND, ..publishing(1, 10) };
    let record = run(Spec { publishing: Some(publishing), ..against(&broker) });
    assert_eq!((record.counts.ack_timeouts, record.publishers[0].acked), (2, 8), "{record:#?}");
    assert_eq!(record.exit_code, 5);
    assert_accounted_for(&record);
}

/// checklist 50: a requester does not wait for ever.
#[test]
fn a_request_that_nobody_answers_times_out() {
    let broker = Broker::start(|heard| if heard.publish() == 1 { Act::Lose } else { Act::Honest });
    let topic = "ask".parse().unwrap();
    let publishing = Publishing { topic, responders: 1, ack_timeout: 2 * SECOND, ..publishing(1, 2) };
    let record = run(Spec { publishing: Some(publishing), ..against(&broker) });
    assert_eq!((record.publishers[0].unanswered, record.round_trip.count), (1, 1), "{record:#?}");
    assert_eq!(record.exit_code, 5);
}

/// What is delivered again after a loss is made again: the same topic and the same payload.
#[test]
fn a_kept_session_is_delivered_again_as_it_was() {
    let contents: [fn() -> Content; 2] =
        [|| publishing(1, 1).content, || Content::Feed(Feed::start("seq 1000", Framing::Lines).unwrap())];
    for content in contents {
        let published = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&published);
        let broker = Broker::start(move |heard: &Heard<'_>| {
            if let Some(Packet::Publish(publish)) = heard.packet {
                let message = (publish.topic.to_owned(), publish.payload.to_owned());
                noted.lock().unwrap().push((publish.dup, message));
            }
            if heard.publish() == 3 { Act::Close } else { Act::Honest }
        });
        let connection = Connection { clean_session: false, ..Connection::default() };
        let publishing = Publishing { content: content(), ..publishing(1, 10) };
        let record = run(Spec { connection, publishing: Some(publishing), ..against(&broker) });
        assert_eq!((record.exit_code, record.publishers[0].acked), (0, 10), "{record:#?}");
        assert_accounted_for(&record);
        let published = published.lock().unwrap();
        let (again, new): (Vec<_>, Vec<_>) = published.iter().partition(|(dup, _)| *dup);
        let third = &new[2].1;
        assert!(again.iter().any(|(_, message)| message == third), "{published:?}");
    }
}

/// The subscription of a clean session ends with the connection.
#[test]
fn a_listener_that_was_lost_subscribes_again() {
    let mut subscribed = 0;
    let broker = Broker::start(move |heard: &Heard<'_>| {
        if heard.is(PacketType::Subscribe) {
            subscribed += 1;
            if subscribed == 1 {
                return Act::Leave;
            }
            let (topic, payload) = ("mqtt-malaria/pub-0/data/1/1", &b"x"[..]);
            let publish =
                Publish { dup: false, qos: QoS::AtMostOnce, retain: false, topic, packet_id: None, payload };
            let mut bytes = Vec::new();
            publish.encode(&mut bytes).unwrap();
            return Act::Also(bytes);
        }
        if heard.is(PacketType::Unsubscribe) { Act::Close } else { Act::Honest }
    });
    let listener = Listening { stamp: PayloadStamp::None, quiet_after: None, ..listening(messages(1, 1)) };
    let record = run(Spec { listening: vec![listener], ..against(&broker) });
    let listener = &record.listeners[0];
    assert_eq!((listener.received, listener.ended_by), (1, ListenEnd::Complete), "{record:#?}");
    assert_eq!((record.counts.connections_lost, record.counts.subscribed), (1, 2), "{record:#?}");
}

/// checklist 80: what is under way when it is interrupted is waited for at both ends.
#[test]
fn an_interrupt_waits_for_what_is_under_way() {
    let interrupt = Arc::new(AtomicBool::new(false));
    let rung = Arc::clone(&interrupt);
    let broker = Broker::start(move |heard: &Heard<'_>| {
        if heard.is(PacketType::Unsubscribe) {
            return Act::Close;
        }
        if heard.publish() != 1 {
            return Act::Honest;
        }
        rung.store(true, Ordering::Relaxed);
        Act::Stall(Duration::from_millis(300))
    });
    // At QoS 2 an acknowledgement takes two steps.
    let (topic, qos) = ("one".parse().unwrap(), QoS::ExactlyOnce);
    let mut publishing = Publishing { topic, qos, ..publishing(1, 1000) };
    publishing.pacing.pace = Pace::Rate { per_s: 1.0 };
    let filters = vec!["one".to_owned()];
    let listener = Listening { filters, layout: None, sys: false, ..listening(Expect::Published) };
    let spec = Spec { publishing: Some(publishing), listening: vec![listener], ..against(&broker) };
    let record = fleet::run(spec, &interrupt, &mut |_| ()).unwrap();
    assert_eq!(record.ended, Ended::Interrupted);
    assert_eq!(
        (record.counts.sent, record.counts.acked, record.listeners[0].received),
        (1, 1, 1),
        "{record:#?}"
    );
}

/// checklist 80: what never comes is not waited for.
#[test]
fn an_interrupt_does_not_wait_for_ever() {
    let interrupt = Arc::new(AtomicBool::new(false));
    let rung = Arc::clone(&interrupt);
    let broker = Broker::start(move |heard: &Heard<'_>| {
        rung.fetch_or(heard.publish() == 3, Ordering::Relaxed);
        if heard.is(PacketType::Publish) { Act::Silent } else { Act::Honest }
    });
    let publishing = Publishing { ack_timeout: 60 * SECOND, ..publishing(1, 10) };
    let spec = Spec { publishing: Some(publishing), ..against(&broker) };
    let record = fleet::run(spec, &interrupt, &mut |_| ()).unwrap();
    assert_eq!((record.ended, record.counts.acked), (Ended::Interrupted, 0), "{record:#?}");
}

fn connects(heard: &Heard<'_>, client: &str) -> bool {
    matches!(heard.packet, Some(Packet::Connect(connect)) if connect.client_id == client)
}

/// checklist 39: a refusal is not asked for again, and publishers do not wait for a listener that was refused.
#[test]
fn a_refused_listener_does_not_hold_up_the_publishers() {
    let broker = Broker::start(|heard| {
        if !connects(heard, "listener") {
            return Act::Honest;
        }
        let mut bytes = Vec::new();
        let code = ConnectCode::NotAuthorized;
        wire::encode_connack(ConnAck { session_present: false, code }, &mut bytes);
        Act::Say(bytes)
    });
    let record = run(Spec {
        connection: Connection { attempts: 3, ..Connection::default() },
        publishing: Some(publishing(1, 10)),
        listening: vec![listening(Expect::Published)],
        ..against(&broker)
    });
    assert_eq!((record.exit_code, record.publishers[0].acked), (4, 10), "{record:#?}");
    assert_eq!(record.listeners[0].ended_by, ListenEnd::Failed);
    assert_eq!(broker.stop().connections, 2);
}

/// Brokers may keep `$SYS` to themselves.
#[test]
fn a_listener_does_without_the_counters_of_the_broker() {
    let broker = Broker::start(|heard: &Heard<'_>| match heard.packet {
        Some(Packet::Subscribe(subscribe)) => {
            let codes = subscribe.filters().map(|(filter, qos)| match filter.starts_with("$SYS/") {
                true => SubAckCode::Failure,
                false => SubAckCode::Granted(qos),
            });
            let mut bytes = Vec::new();
            wire::encode_suback(subscribe.packet_id(), codes, &mut bytes).unwrap();
            Act::Say(bytes)
        }
        Some(packet) if packet.packet_type() == PacketType::Unsubscribe => Act::Close,
        _ => Act::Honest,
    });
    let listener = Listening { duration: Some(100 * MILLISECOND), ..listening(Expect::Nothing) };
    let record = run(Spec { listening: vec![listener], ..against(&broker) });
    assert_eq!((record.exit_code, record.listeners[0].ended_by), (0, ListenEnd::Duration), "{record:#?}");
}

#[test]
fn each_client_has_its_own_credentials() {
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let noted = Arc::clone(&seen);
    let broker = Broker::start(move |heard: &Heard<'_>| {
        if let Some(Packet::Connect(connect)) = heard.packet {
            let pair = (connect.username.unwrap().to_owned(), connect.password.unwrap().to_owned());
            noted.lock().unwrap().insert(connect.client_id.to_owned(), pair);
        }
        if heard.is(PacketType::Unsubscribe) { Act::Close } else { Act::Honest }
    });
    let pair = |number: u8| (format!("user-{number}"), vec![number]);
    let mut packing = Packing::new(vec![Field::Username, Field::Password], Vec::new());
    for (username, password) in (0..3).map(pair) {
        packing.push(username.as_bytes()).and_then(|()| packing.push(&password)).unwrap();
    }
    run(Spec {
        connection: Connection { identities: packing.finish(), ..Connection::default() },
        publishing: Some(publishing(2, 1)),
        listening: vec![Listening { duration: Some(MILLISECOND), ..listening(Expect::Nothing) }],
        ..against(&broker)
    });
    let clients = ["pub-0", "pub-1", "listener"].map(String::from);
    assert_eq!(*seen.lock().unwrap(), clients.into_iter().zip((0..3).map(pair)).collect());
}

/// checklist 36: pings go on, and one without an answer ends the connection.
#[test]
fn silent_clients_ping() {
    for (answers, lost) in [(true, false), (false, true)] {
        let broker = Broker::start(move |heard: &Heard<'_>| match heard.packet {
            Some(packet) if packet.packet_type() == PacketType::Unsubscribe => Act::Close,
            Some(Packet::PingReq) if !answers => Act::Silent,
            _ => Act::Honest,
        });
        let listener = Listening { duration: Some(4 * SECOND), ..listening(Expect::Nothing) };
        let connection = Connection { keep_alive_s: 1, ..Connection::default() };
        let record = run(Spec { connection, listening: vec![listener], ..against(&broker) });
        assert!(record.counts.pings >= 2, "{record:#?}");
        assert_eq!(record.counts.connections_lost > 0, lost, "{record:#?}");
    }
}
