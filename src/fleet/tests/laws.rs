//! The laws of fleets: what holds of every record, whatever chance and the broker do.

use super::some::{some_moments, some_spec, target};
use super::*;
use crate::crew::sim::{Account, Dice, WorkerTruth, explored, soak};
use crate::load::Pacer;
use crate::record::{self, Ended, ListenEnd};
use std::collections::BTreeMap;

/// The id of publisher `number`.
fn publisher(shared: &Shared, number: usize) -> &str {
    &shared.publishing().clients[number].client_id
}

/// What holds whatever happened; of what the peer was `honest` about, that it is so, too.
pub fn hold(played: &Played, honest: bool) {
    let Played { world, record, .. } = played;
    let truth = world.truth();
    assert!(truth.faults.is_empty(), "{:?}", truth.faults);
    let most_at_once = truth.most_at_once();
    // A CONNACK that the peer made up is none to the truth.
    let made_up = truth.violations.len();
    // Or what a second's rate brings.
    let rate = played.shared.spec.connection.rate_per_s.unwrap_or(0.0);
    let allowed = 100.max(rate.ceil() as usize + record.generator.workers.len());
    assert!(
        most_at_once as usize <= allowed + made_up,
        "{most_at_once} connect at once: {:?}",
        record.counts
    );
    of_messages(record);
    of_publishers(played, honest);
    of_listeners(played, honest);
    of_seconds(record);
    of_workers(played);
    of_the_end(played);
}

/// No message is in two accounts, or in none.
fn of_messages(record: &FleetRecord) {
    let (counts, times) = (&record.counts, &record.latencies);
    assert_eq!(counts.due, counts.sent + counts.shed + counts.unfinished, "{counts:?}");
    let sum = |figure: fn(&record::Publisher) -> u64| record.publishers.iter().map(figure).sum::<u64>();
    assert_eq!(sum(|publisher| publisher.generated), counts.due, "{counts:?}");
    assert_eq!(sum(|publisher| publisher.sent), counts.sent, "{counts:?}");
    assert_eq!(sum(|publisher| publisher.unfinished), counts.unfinished, "{counts:?}");
    let shed = sum(|publisher| publisher.generated - publisher.sent - publisher.unfinished);
    assert_eq!(shed, counts.shed, "{counts:?}");
    assert_eq!(times.lateness.count, counts.sent + counts.unfinished);
    if record.qos == 0 {
        assert_eq!(sum(|publisher| publisher.acked), counts.sent, "{counts:?}");
        assert_eq!((times.ack_service.count, counts.acked, counts.ack_timeouts), (0, 0, 0));
    } else if !record.publishers.is_empty() {
        assert_eq!(sum(|publisher| publisher.acked), counts.acked, "{counts:?}");
        // An acknowledgement after its timeout is in both counts.
        let seen = counts.acked + counts.ack_timeouts + counts.unacked_at_end;
        assert!((counts.sent..=counts.sent + counts.ack_timeouts).contains(&seen), "{counts:?}");
        // Missing is not fast: each message has a time, whatever came of it.
        assert_eq!((times.ack_service.count, times.ack_response.count), (counts.sent, counts.sent));
    }
}

fn of_publishers(played: &Played, honest: bool) {
    let Played { world, record, shared, .. } = played;
    let truth = world.truth();
    for (number, figures) in record.publishers.iter().enumerate() {
        let id = publisher(shared, number);
        assert_eq!(figures.client_id, id);
        assert!(figures.acked <= figures.sent, "{figures:?}");
        assert_eq!(figures.ack_time.count, if record.qos == 0 { 0 } else { figures.acked }, "{figures:?}");
        let ended = figures.first_ns.unwrap_or(0) + figures.active_ns;
        assert!(ended <= record.elapsed_ns, "{figures:?}");
        let name = &shared.publishing().clients[number];
        let stayed = figures.failure.is_none() && name.leaves.is_none() && record.ended == Ended::Completed;
        if let Some(planned) = figures.planned.filter(|_| stayed) {
            assert_eq!(figures.generated, planned, "{figures:?}");
        }
        let pacing = &shared.publishing().pacing;
        if pacing.pace != Pace::Unlimited && stayed && figures.first_ns.is_some() {
            // Whatever became of it, all of its schedule has come due.
            assert_eq!(figures.generated, scheduled(pacing, number as u32), "{figures:?}");
        }
        let (read, acked) = truth.find_client(id).map_or((0, 0), |client| truth.sent_by(client));
        assert!(read <= figures.sent, "the peer read {read} of {figures:?}");
        if record.qos > 0 {
            assert!(!honest || figures.acked <= acked, "was given {acked}: {figures:?}");
        } else if shared.responders == 0 {
            at_qos_0(truth, figures);
        }
    }
    let Some(publishing) = &shared.spec.publishing else { return };
    if publishing.responders > 0 && honest {
        let unanswered: u64 = record.publishers.iter().map(|publisher| publisher.unanswered).sum();
        let requests = record.counts.sent + record.counts.unfinished;
        assert_eq!(record.latencies.round_trip.count + unanswered, requests, "{:?}", record.counts);
    }
}

/// How many messages the schedule of publisher `number` has.
fn scheduled(pacing: &Pacing, number: u32) -> u64 {
    let mut pacer = Pacer::new(pacing, number);
    while pacer.peek().is_some() {
        pacer.advance(pacing);
    }
    pacer.made()
}

/// At QoS 0 sent is what the kernel took, whole.
fn at_qos_0(truth: &crate::crew::sim::Truth, figures: &record::Publisher) {
    let Some(client) = truth.find_client(&figures.client_id) else { return };
    let own = || truth.connections.iter().filter(|connection| connection.client == Some(client));
    let shortest = 2 + 2 + 4 + figures.client_id.len() as u64;
    let taken: u64 = own().map(|connection| connection.taken).sum();
    assert!(figures.sent * shortest <= taken, "the kernel took {taken} bytes: {figures:?}");
    // What is in front of a DISCONNECT has been read.
    if own().all(|connection| connection.said_goodbye) {
        let read = u64::from(truth.clients[client as usize].publishes);
        assert_eq!(figures.sent, read, "{figures:?}");
    }
}

/// Topics that `client` was given messages on; not those of the peer's own counters.
fn heard(played: &Played, client: &str) -> Vec<String> {
    let truth = played.world.truth();
    let Some(client) = truth.find_client(client) else { return Vec::new() };
    let topics = truth.heard_by(client).map(|(_, message)| message.topic.to_string());
    topics.filter(|topic| !topic.starts_with("$SYS/")).collect()
}

fn of_listeners(played: &Played, honest: bool) {
    let Played { record, shared, .. } = played;
    let (counts, times) = (&record.counts, &record.latencies);
    let sum = |figure: fn(&record::Listener) -> u64| record.listeners.iter().map(figure).sum::<u64>();
    let (received, foreign) = (sum(|one| one.received), sum(|one| one.foreign));
    let all = [received, foreign, sum(|one| one.duplicated)];
    let counted = [counts.received(), counts.foreign, counts.duplicated];
    // Requesters hear, too: answers, and what is none.
    let alone = shared.responders == 0;
    assert!(all == counted || !alone && all[0] <= counted[0] && all[1] <= counted[1], "{all:?} {counted:?}");
    assert_eq!(times.flight_service.count, sum(|one| one.flight.count));
    for (listener, spec) in record.listeners.iter().zip(&shared.spec.listening) {
        assert_eq!(listener.client_id, spec.client_id);
        let actual: u64 = listener.clients.iter().map(|heard| heard.actual).sum();
        let duplicate: u64 = listener.clients.iter().map(|heard| heard.duplicate).sum();
        if spec.layout.is_some() {
            assert_eq!(listener.received, actual + duplicate + listener.foreign);
            assert_eq!(duplicate, listener.duplicated);
        }
        assert_eq!(
            (listener.flight.count, listener.flight_time.count),
            (listener.flight_time.count, listener.flight.count)
        );
        let given = heard(played, &listener.client_id).len() as u64;
        assert!(!honest || listener.received <= given, "was given {given}: {}", listener.received);
        let ended = listener.first_ns.unwrap_or(0) + listener.active_ns;
        assert!(ended <= record.elapsed_ns, "{ended}");
        assert!(listener.ended_by != ListenEnd::Failed || listener.failure.is_some());
        for heard in &listener.clients {
            let missing = heard.expected.map_or(0, |expected| expected.saturating_sub(heard.actual));
            assert!(heard.missing.len() as u64 >= missing, "{heard:?}");
        }
    }
}

/// The seconds of a fleet add up to the fleet.
fn of_seconds(record: &FleetRecord) {
    let sum = |figure: fn(&record::FleetSecond) -> u64| record.series.iter().map(figure).sum::<u64>();
    let counts = &record.counts;
    let errors =
        counts.connections_lost + counts.refused_tcp + counts.refused_by_connack() + counts.connect_timeouts;
    assert_eq!(sum(|second| second.sent), counts.sent);
    assert_eq!(sum(|second| second.acked), counts.acked);
    assert_eq!(sum(|second| second.received), counts.received());
    assert_eq!(sum(|second| second.errors), errors);
    assert!(record.series.windows(2).all(|pair| pair[0].time_ns < pair[1].time_ns));
}

fn of_workers(played: &Played) {
    let Played { world, record, shared, .. } = played;
    // A machine that takes time to wake up is noticed.
    let late = (0..record.generator.workers.len()).any(|worker| world.worker(worker).lag.most > 0);
    let lag = &record.latencies.wake_lag;
    assert!(!late || lag.count < 20 || lag.max_ns > Some(0), "{lag:?}");
    let workers =
        || record.generator.workers.iter().zip(0..).map(|(figures, at)| (figures, world.worker(at)));
    for (worker, WorkerTruth { usage, span, most_unsent_of_one, most_dials, .. }) in workers() {
        assert!(most_dials <= 8, "{most_dials} are dialled in one pass");
        // The last turn is not in it any more.
        let (used, known) = ((worker.busy_share * span as f64) as u64, usage.cpu_ns());
        assert!(used <= known + known / 10 + 20_000, "{used} of {known} in {span}");
        assert!(used + known / 10 + 40_000 >= known, "{used} of {known} in {span}");
        let (window, largest) = shared.spec.publishing.as_ref().map_or((0, 0), |publishing| {
            let Content::Prepared(payloads) = &publishing.content else {
                unreachable!("fleets of laws feed on nothing")
            };
            (usize::from(publishing.inflight).max(64) + 64, payloads.largest() + 100)
        });
        let most = (1 << 20) + 64 * 1024 + window * largest;
        assert!(most_unsent_of_one <= most, "memory is bounded: {most_unsent_of_one} of {most}");
    }
}

/// A fleet ends, and says how it did.
fn of_the_end(played: &Played) {
    let Played { world, record, shared, .. } = played;
    let (counts, truth) = (&record.counts, world.truth());
    let mut again = record.clone();
    again.conclude();
    assert_eq!(&again, record, "concluded");
    assert!(counts.connections_asked <= u64::from(shared.clients()));
    assert!(counts.connections_established <= counts.connections_asked);
    assert!(counts.reconnects <= counts.connections_lost);
    assert!(u64::from(truth.pings()) <= counts.pings);
    assert_eq!(record.ended == Ended::Interrupted, record.exit_code == 130, "{}", record.exit_reason);
    assert!(record.ended != Ended::Internal && record.exit_code != 1, "{:?}", record.partial_reason);
    if record.exit_code != 0 {
        return;
    }
    assert_eq!((record.ended, counts.unfinished, counts.unacked_at_end), (Ended::Completed, 0, 0));
    assert_eq!(counts.subscribe_failures + counts.protocol_errors, 0);
    assert_eq!(counts.connections_asked, counts.connections_established);
    assert_eq!(counts.connections_lost, counts.reconnects);
    for publisher in &record.publishers {
        assert_eq!(
            (publisher.acked, publisher.unanswered, &publisher.failure),
            (publisher.total(), 0, &None)
        );
    }
    for listener in &record.listeners {
        let missing: usize = listener.clients.iter().map(|heard| heard.missing.len()).sum();
        assert_eq!((missing, listener.never_seen_count, &listener.failure), (0, 0, &None));
        assert!(listener.is_complete(), "{:?} {:?}", listener.ended_by, listener.expected_messages);
    }
}

/// An interrupt leaves a second for what is under way, and another one for brokers that do not close.
pub fn end_soon(played: &Played, interrupt: Nanos) {
    let Played { record, shared, stopped, .. } = played;
    let most = interrupt.max(shared.epoch) + 2 * SECOND + 200 * MILLISECOND;
    assert!(*stopped <= most, "interrupted at {interrupt}: {stopped} {:?}", record.warnings);
}

/// Anything may happen, and the laws hold.
fn anything(seed: u64) {
    let mut dice = Dice::new(seed, "fleet anything", 0);
    let spec = some_spec(&mut dice);
    let script = some_moments(&mut dice, SECOND);
    let setup = Setup { faults: Faults::some(seed), script, limit: 600 * SECOND, ..Setup::new(seed, 1) };
    let soon = SECOND + dice.within(&(0..=2 * SECOND));
    // Without a keepalive nobody notices a peer that never reads again: somebody has to lose his patience.
    let patience = if spec.connection.keep_alive_s == 0 { 60 * SECOND } else { Nanos::MAX };
    let interrupt = if dice.chance(0.15) { soon } else { patience };
    let stall = (0, SECOND + dice.within(&(0..=2 * SECOND)), dice.within(&(0..=200 * MILLISECOND)));
    let stalls = if dice.chance(0.1) { vec![stall] } else { Vec::new() };
    play(setup, spec, interrupt, &stalls);
}

/// The parts of a topic `mqtt-malaria/<client>/data/<number>/..`.
fn parts(topic: &str) -> (&str, u64) {
    let levels: Vec<&str> = topic.split('/').collect();
    (levels[1], levels[3].parse().unwrap())
}

/// Deliveries that the peer drops, repeats, swaps and delays are counted as they are.
fn exact(seed: u64) {
    let mut dice = Dice::new(seed, "fleet exact", 0);
    let mut publishing = Publishing::new("pub", dice.within(&(1..=12)) as u32);
    let count = dice.within(&(1..=30));
    publishing.qos = *dice.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    publishing.pacing.count = Some(count);
    if dice.chance(0.5) {
        publishing.pacing.pace = Pace::Rate { per_s: dice.within(&(20..=200)) as f64 };
    }
    let expects = [
        Expect::Nothing,
        Expect::Published,
        Expect::Published,
        Expect::Messages(Expectation { messages: count, clients: 13 }),
        Expect::Messages(Expectation { messages: (count - 1).max(1), clients: 13 }),
    ];
    let listening = (0..dice.within(&(1..=3))).map(|number| Listening {
        qos: *dice.pick(&[QoS::AtMostOnce, publishing.qos]),
        stamp: PayloadStamp::None,
        expect: *dice.pick(&expects),
        quiet_after: Some(2 * SECOND),
        slow: dice.chance(0.2).then_some(Slow { every: 5, pause: 20 * MILLISECOND }),
        ..Listening::new(&format!("list-{number}"), "mqtt-malaria/+/data/#")
    });
    let listening: Vec<_> = listening.collect();
    let faults = Faults {
        dropped: 0.02,
        twice: 0.02,
        repeated: if publishing.qos > QoS::AtMostOnce { 0.02 } else { 0.0 },
        swapped: 0.02,
        delivery_late: 0.2,
        delivery_delay: 0..=300 * MILLISECOND,
        ..Faults::default()
    };
    let cpus = (0..dice.within(&(1..=3)) as usize).collect();
    let publishing = Some(publishing);
    let spec = Spec { cpus, seed, publishing, listening, ..Spec::new(vec![target()]) };
    let played = play(Setup { faults, ..Setup::new(seed, 1) }, spec, Nanos::MAX, &[]);
    assert_eq!(played.record.ended, Ended::Completed);
    assert_eq!(played.record.counts.sent, count * played.record.publishers.len() as u64);
    for number in 0..played.record.listeners.len() {
        as_heard(&played, number, count);
    }
}

/// The figures of listener `number` are those of what it was given; each publisher has sent `count`.
fn as_heard(played: &Played, number: usize, count: u64) {
    let (figures, spec) = (&played.record.listeners[number], &played.shared.spec.listening[number]);
    let topics = heard(played, &spec.client_id);
    let most = match spec.expect {
        Expect::Messages(expectation) => expectation.messages,
        Expect::Nothing | Expect::Published => Nanos::MAX,
    };
    let mut flows = BTreeMap::<&str, Vec<u64>>::new();
    let known = topics.iter().map(|topic| parts(topic)).filter(|(_, number)| *number <= most);
    known.for_each(|(client, number)| flows.entry(client).or_default().push(number));
    let accounts: BTreeMap<&str, Account> =
        flows.iter().map(|(client, numbers)| (*client, Account::of(numbers.iter().copied()))).collect();
    for heard in &figures.clients {
        let (account, numbers) = (&accounts[&*heard.client_id], &flows[&*heard.client_id]);
        assert_eq!(heard.actual, account.received, "{heard:?}");
        let expected = (spec.expect != Expect::Nothing).then_some(count.min(most));
        assert_eq!(heard.expected, expected);
        let missing = (1..=expected.unwrap_or(0)).filter(|number| !numbers.contains(number));
        assert_eq!(heard.missing, missing.collect::<Vec<_>>());
        // Whoever has everything does not wait for what comes again.
        let late = figures.ended_by == ListenEnd::Complete && heard.duplicate <= account.duplicated;
        assert!(late || heard.duplicate == account.duplicated, "{heard:?} {account:?}");
    }
    assert_eq!(figures.clients.len(), accounts.len());
    let all = topics.len() as u64;
    let foreign = all - accounts.values().map(|account| account.received + account.duplicated).sum::<u64>();
    if figures.ended_by == ListenEnd::Complete {
        assert_eq!(
            (figures.expected_messages, figures.never_seen_count),
            (Some(played.record.counts.sent), 0)
        );
        return;
    }
    assert_eq!((figures.received, figures.foreign), (all, foreign));
    let silent: Vec<String> = (0..13).map(|index| format!("pub-{index}")).collect();
    let silent = silent.into_iter().filter(|client| !accounts.contains_key(&**client));
    match spec.expect {
        Expect::Nothing => assert_eq!(figures.never_seen_count, 0),
        Expect::Messages(_) => assert_eq!(figures.never_seen, silent.collect::<Vec<_>>()),
        Expect::Published => {
            let publishers = played.record.publishers.len();
            assert_eq!(figures.never_seen_count as usize, publishers - accounts.len());
        }
    }
}

explored! {
    exact,
    deliveries_are_counted_as_they_are_1: 0..150,
    deliveries_are_counted_as_they_are_2: 150..300,
}

explored! {
    anything,
    the_laws_hold_whatever_happens_1: 0..175,
    the_laws_hold_whatever_happens_2: 175..350,
    the_laws_hold_whatever_happens_3: 350..525,
    the_laws_hold_whatever_happens_4: 525..700,
}

#[test]
#[ignore = "goes on until it is told to stop"]
fn the_laws_hold_for_long() {
    soak(|seed| {
        exact(seed);
        anything(seed);
    });
}

#[test]
fn a_world_gives_the_same_record_twice() {
    for seed in 0..5 {
        let record = || {
            let spec = some_spec(&mut Dice::new(seed, "fleet anything", 0));
            let setup = Setup { faults: Faults::some(seed), ..Setup::new(seed, 1) };
            play(setup, spec, Nanos::MAX, &[]).record
        };
        assert_eq!(record(), record());
    }
}
