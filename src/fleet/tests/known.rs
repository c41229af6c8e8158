//! What went wrong once.

use super::*;
use crate::crew::sim::Rule;
use crate::fleet::script::Ending;
use crate::record::{Ended, Figure, ListenEnd, Reading};
use crate::stage::{Conductor, View};
use std::collections::BTreeSet;
use std::time::Duration;

/// The workers of `spec`, in a world in which nothing has happened yet.
fn open(setup: Setup, spec: Spec) -> (World, Lines<(), Ending>, Vec<Script>) {
    let epoch = setup.start;
    let mut shared = Shared::new(spec, epoch).unwrap();
    let world = World::new(Setup { workers: shared.seats.len(), ..setup });
    shared.wakers = world.wakers();
    let shared = Arc::new(shared);
    let (lines, desks) = Lines::new(world.wakers(), epoch, u64::from(shared.clients()));
    let actors = desks.into_iter().map(|desk| Script::new(shared.clone(), desk, epoch)).collect();
    (world, lines, actors)
}

/// Tallies go back and forth; nobody rings for one.
#[test]
fn a_worker_that_nobody_wakes_takes_its_tally_back() {
    let (mut world, mut lines, mut actors) = open(Setup::exact(1), listener(false, Connection::default()));
    actors[0].crew.books.trouble("this is the first one".into());
    world.run_until(&mut actors, 2 * SECOND + MILLISECOND);
    lines.hear(Duration::ZERO);
    world.run_until(&mut actors, 3 * SECOND + MILLISECOND);
    // By what it has allocated: its address is given to whoever asks next.
    let life = (world.worker(0).stats, world.worker(0).usage);
    let third = actors[0].crew.books.close(world.now(), life, Default::default());
    assert!(third.troubles.capacity() > 0, "it is used again");
}

/// `malaria subscribe` of a backlog.
fn backlog() -> Spec {
    let mut spec = listener(false, Connection::default());
    (spec.listening[0].backlog, spec.listening[0].duration) = (true, None);
    spec
}

/// A session that is not to stay on the broker is no reason to stay with a broker that answers nothing any more.
#[test]
fn an_interrupt_does_not_wait_for_a_session_to_be_removed() {
    let (subscribe, connect) = (On::Packet(PacketType::Subscribe), On::Packet(PacketType::Connect));
    let script = crate::crew::sim::Script::default()
        .first(1, subscribe, Act::Never)
        .first(1, subscribe, Act::Deaf(None))
        .rule(Rule { skip: 2, ..Rule::always(connect, Act::Never) });
    let interrupt = 2 * SECOND;
    let played = play(Setup { script, ..Setup::exact(1) }, backlog(), interrupt, &[]);
    assert!(played.stopped < interrupt + 2200 * MILLISECOND, "{}", played.stopped);
    let record = &played.record;
    assert_eq!((record.ended, record.listeners.len()), (Ended::Interrupted, 1));
    assert_eq!(record.listeners[0].ended_by, ListenEnd::Interrupted);
}

/// Whoever is going away when somebody wants the end comes back to remove its session.
#[test]
fn who_is_going_away_leaves_no_session_behind() {
    // The broker takes its time to close.
    let script = crate::crew::sim::Script::default().nth(2, On::Packet(PacketType::Disconnect), Act::Never);
    let interrupt = SECOND + 500 * MILLISECOND;
    let (world, record) = simulate(Setup { script, ..Setup::exact(1) }, backlog(), interrupt);
    let client = &world.truth().clients[0];
    assert_eq!((client.connects, client.disconnects), (3, 3), "the last one is clean");
    assert_eq!(record.listeners[0].ended_by, ListenEnd::Interrupted);
}

/// A broker may tell any number.
#[test]
fn the_largest_numbers_in_sys_are_numbers() {
    let mut script = crate::crew::sim::Script::default();
    let most = u64::MAX.to_string();
    let told = [(Drops::TOPICS[0], "0"), (Drops::TOPICS[0], &*most), (Drops::STORED[0], &*most)];
    for (soon, (topic, number)) in (1..).zip(told) {
        let (topic, payload) = (topic.to_owned(), number.as_bytes().to_vec());
        let publish = Act::Publish { topic, payload, qos: QoS::AtMostOnce };
        script = script.at(SECOND + soon * 100 * MILLISECOND, publish);
    }
    let setup = Setup { script, ..Setup::exact(1) };
    let (_, record) = simulate(setup, listener(true, Connection::default()), Nanos::MAX);
    let [listener] = &record.listeners[..] else { panic!("one") };
    assert_eq!((listener.dropped, listener.stored), (Some(u64::MAX), Some(u64::MAX)));
}

/// Whose time in the run is over does not go on trying to get into it.
#[test]
fn who_is_to_leave_does_not_dial_for_ever() {
    let script = crate::crew::sim::Script::default().always(On::Syn, Act::LoseSyn);
    let mut spec = publishers(1, None);
    spec.connection = Connection { timeout: SECOND, attempts: 0, ..Connection::default() };
    spec.publishing.as_mut().unwrap().clients[0].leaves = Some(500 * MILLISECOND);
    let played = play(Setup { script, ..Setup::exact(1) }, spec, Nanos::MAX, &[]);
    assert!(played.stopped <= 2 * SECOND + 10 * MILLISECOND, "{}", played.stopped);
    assert_eq!((played.record.counts.connect_timeouts, played.record.counts.sent), (1, 0));
}

/// One requester, and who answers it.
fn requests(count: Option<u64>) -> Spec {
    let mut spec = publishers(1, count);
    let publishing = spec.publishing.as_mut().unwrap();
    (publishing.responders, publishing.ack_timeout) = (1, SECOND);
    spec
}

/// Thousands of requests may be answered within the time that each of them has.
#[test]
fn a_requester_sets_one_alarm_and_not_one_for_each_request() {
    let (mut world, _lines, mut actors) = open(Setup::exact(1), requests(None));
    // The requester begins when the bell is heard that the responder is ready.
    world.run_until(&mut actors, SECOND + 10 * MILLISECOND);
    world.run_until(&mut actors, SECOND + 800 * MILLISECOND);
    assert!(actors[0].crew.books.levels.sent > 100);
    assert_eq!(actors[0].common.alarms.len(), 1);
}

#[test]
fn a_request_has_all_of_its_time_whenever_it_was_sent() {
    let (on, client) = (On::Delivery, Some("pub-0".to_owned()));
    let lost = Rule { client, skip: 30, times: 1, ..Rule::always(on, Act::Drop) };
    let script = crate::crew::sim::Script::default().rule(lost);
    let played = play(Setup { script, ..Setup::exact(1) }, requests(Some(40)), Nanos::MAX, &[]);
    let [requester] = &played.record.publishers[..] else { panic!("one") };
    assert_eq!((requester.sent, requester.unanswered), (40, 1));
    let time = requester.active_ns;
    // 39 answers after 4 ms each, and the second in which there was none.
    assert!((1150 * MILLISECOND..1170 * MILLISECOND).contains(&time), "{time}");
}

/// Not every fault is a panic.
#[test]
fn a_worker_that_has_ended_is_no_more_than_that() {
    let shared = Arc::new(Shared::new(publishers(1, None), SECOND).unwrap());
    let view = View { workers: 1, broken: true, ..View::default() };
    Finale::new(shared.clone()).cue(SECOND, &view);
    assert_eq!(shared.stopped.get(), Some(&(Ended::Internal, "a worker has ended".to_owned())));
}

/// Whoever has had a turn and has more to send has one more, as everybody else.
#[test]
fn nobody_has_two_turns_at_once() {
    let mut spec = publishers(3, None);
    spec.publishing.as_mut().unwrap().inflight = 10_000;
    let (mut world, _lines, mut actors) = open(Setup::new(1, 1), spec);
    let mut most = 0;
    while world.now() < SECOND + 30 * MILLISECOND {
        world.step(&mut actors);
        let waiting = &actors[0].common.unfinished;
        assert_eq!(waiting.iter().collect::<BTreeSet<_>>().len(), waiting.len(), "{waiting:?}");
        most = most.max(waiting.len());
    }
    assert_eq!(most, 3);
}

/// What the kernel took and the broker never read is no success, where nobody hears it.
#[test]
fn at_qos_0_who_never_reads_has_confirmed_nothing() {
    // Of those that come back, each connection for itself.
    for (deaf, every, unconfirmed, code) in
        [(9, None, 10, 5), (9, Some(5), 10, 5), (1, Some(5), 5, 5), (0, None, 0, 0)]
    {
        let deaf_at = On::Packet(PacketType::Connect);
        let script = crate::crew::sim::Script::default().first(deaf, deaf_at, Act::Deaf(None));
        let mut publishing = Publishing::new("pub", 1);
        (publishing.qos, publishing.pacing.count) = (QoS::AtMostOnce, Some(10));
        publishing.reconnect_every = every;
        let connection = Connection { keep_alive_s: 0, ..Connection::default() };
        let publishing = Some(publishing);
        let spec = Spec { cpus: vec![0], seed: 7, connection, publishing, ..Spec::new(vec![target()]) };
        let (_, record) = simulate(Setup { script, ..Setup::exact(1) }, spec, Nanos::MAX);
        assert_eq!((record.counts.sent, record.counts.unconfirmed), (10, unconfirmed));
        assert_eq!(record.exit_code, code, "{}", record.exit_reason);
    }
}

/// What arrives while a worker stands still was there: that it is heard late is no time of the broker's.
#[test]
fn a_stall_of_ours_is_in_no_time_of_a_client() {
    let plan = PayloadPlan { stamp: PayloadStamp::Malaria, ..PayloadPlan::default() };
    let mut publishing = Publishing::new("pub", 2);
    (publishing.pacing.count, publishing.pacing.pace) = (Some(400), Pace::Rate { per_s: 500.0 });
    publishing.content = Content::Prepared(Payloads::prepare(plan, 7).unwrap());
    let mut spec = listener(false, Connection::default());
    spec.listening =
        vec![Listening { expect: Expect::Published, ..Listening::new("listener", "mqtt-malaria/+/data/#") }];
    spec.publishing = Some(publishing);
    let stall = (0, SECOND + 400 * MILLISECOND, 80 * MILLISECOND);
    let record = play(Setup::exact(1), spec, Nanos::MAX, &[stall]).record;
    assert!(
        record.latencies.hearing_lag.max_ns > Some(70 * MILLISECOND),
        "{:?}",
        record.latencies.hearing_lag
    );
    let acks = record.publishers.iter().map(|publisher| publisher.ack_time.max_ns);
    let flights = record.listeners.iter().map(|listener| listener.flight.max_ns);
    for longest in acks.chain(flights) {
        assert!(longest.is_some_and(|longest| longest < 20 * MILLISECOND), "{longest:?}");
    }
    let stalls = record.series.iter().filter(|second| second.stall_ns > 70 * MILLISECOND);
    assert_eq!(stalls.count(), 1);
}

/// Percentiles of flights are of what was expected: half of it has never come, and that is not fast.
#[test]
fn what_never_came_is_in_the_percentiles() {
    let plan = PayloadPlan { stamp: PayloadStamp::Malaria, ..PayloadPlan::default() };
    let mut publishing = Publishing::new("pub", 2);
    (publishing.pacing.count, publishing.pacing.pace) = (Some(1000), Pace::Rate { per_s: 500.0 });
    publishing.content = Content::Prepared(Payloads::prepare(plan, 7).unwrap());
    let mut spec = listener(false, Connection::default());
    let listening = Listening::new("listener", "mqtt-malaria/+/data/#");
    let quiet_after = Some(SECOND);
    spec.listening = vec![Listening { expect: Expect::Published, quiet_after, ..listening }];
    spec.publishing = Some(publishing);
    let faults = crate::crew::sim::Faults { dropped: 0.5, ..Default::default() };
    let record = play(Setup { faults, ..Setup::exact(1) }, spec, Nanos::MAX, &[]).record;
    let listener = &record.listeners[0];
    let (all, flight) = (2000, &listener.flight_time);
    assert!(flight.count > 900 && flight.count < 1100, "{}", flight.count);
    assert_eq!(flight.missing, all - listener.received);
    assert_eq!(record.latencies.flight_service.missing, flight.missing);
    assert_eq!(flight.read(Figure::P99), Reading::Never);
    assert_eq!(record.flight_time().unwrap().read(Figure::Max), Reading::Never);
}
