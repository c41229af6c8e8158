//! Whole fleets in a simulated world, against brokers that misbehave.

mod known;
mod laws;
mod some;

use super::*;
use crate::crew::sim::{Act, Faults, On, Rule, Setup, World};
use crate::load::{Drops, SizePlan};
use crate::stage::Lines;
use crate::stage::simulated::perform;
use crate::wire::PacketType;
use some::target;

/// A fleet that is over, in a world that knows better.
struct Played {
    world: World,
    record: FleetRecord,
    shared: Arc<Shared>,
    /// When its last worker had ended.
    stopped: Nanos,
}

/// Runs `spec` in the world of `setup`, until `interrupt` at the latest; `stalls` are workers that lose their CPU:
/// which, when, and for how long.
fn play(setup: Setup, spec: Spec, interrupt: Nanos, stalls: &[(usize, Nanos, Nanos)]) -> Played {
    let epoch = setup.start;
    let honest = setup.faults.wrong == 0.0 && setup.script.rules.is_empty();
    let mut shared = Shared::new(spec, epoch).unwrap();
    let workers = shared.seats.len();
    let mut world = World::new(Setup { workers, ..setup });
    stalls.iter().for_each(|(worker, time, pause)| world.stall(worker % workers, *time, *pause));
    shared.wakers = world.wakers();
    let shared = Arc::new(shared);
    let (mut lines, desks) = Lines::new(world.wakers(), epoch, u64::from(shared.clients()));
    let actors = desks.into_iter().map(|desk| Script::new(shared.clone(), desk, epoch)).collect();
    let mut finale = Finale::new(shared.clone());
    perform(&mut world, &mut lines, actors, &mut finale, interrupt, |_| ());
    let stopped = (0..workers).filter_map(|worker| world.worker(worker).stopped).max().expect("all have");
    let record = finale.record(lines.board, None, std::time::SystemTime::UNIX_EPOCH, stopped - epoch);
    let played = Played { world, record, shared, stopped };
    laws::hold(&played, honest);
    if interrupt < stopped {
        laws::end_soon(&played, interrupt);
    }
    played
}

/// The same, for who wants to know no more.
fn simulate(setup: Setup, spec: Spec, interrupt: Nanos) -> (World, FleetRecord) {
    let played = play(setup, spec, interrupt, &[]);
    (played.world, played.record)
}

fn listener(sys: bool, connection: Connection) -> Spec {
    let listening = Listening { sys, duration: Some(3 * SECOND), ..Listening::new("listener", "t") };
    Spec { cpus: vec![0], seed: 7, connection, listening: vec![listening], ..Spec::new(vec![target()]) }
}

/// `malaria subscribe` against a broker that sends and never reads: what it would have us keep has a bound.
#[test]
fn answers_that_nobody_reads_are_not_kept_for_ever() {
    let message = [0x32, 5, 0, 1, b't', 0, 1];
    let subscribe = On::Packet(PacketType::Subscribe);
    let script = crate::crew::sim::Script::default()
        .first(1, subscribe, Act::Also(message.repeat(1_000_000)))
        .first(1, subscribe, Act::Deaf(None));
    let mut setup = Setup { script, ..Setup::exact(1) };
    setup.network.window = 256 * 1024..=256 * 1024;
    let (world, record) = simulate(setup, listener(false, Connection::default()), Nanos::MAX);
    let kept = world.worker(0).most_unsent_of_one;
    assert!((1 << 20..=(1 << 20) + 64 * 1024).contains(&kept), "{kept}");
    assert_eq!((record.counts.connections_lost, record.counts.reconnects), (1, 1), "{:?}", record.warnings);
}

/// $SYS is asked for apart, after the listener's own SUBACK; a broker that ends the connection at it is lived with,
/// also where a lost connection is not established again: it was our doing.
#[test]
fn a_broker_that_ends_the_connection_at_sys_is_lived_with() {
    for reconnect in [true, false] {
        let subscribe = On::Packet(PacketType::Subscribe);
        let script =
            crate::crew::sim::Script::default().nth(2, subscribe, Act::Never).nth(2, subscribe, Act::Close);
        let connection = Connection { reconnect, ..Connection::default() };
        let (world, record) =
            simulate(Setup { script, ..Setup::exact(1) }, listener(true, connection), Nanos::MAX);
        let asked: Vec<u32> = world.truth().clients.iter().map(|client| client.subscribes).collect();
        assert_eq!(asked, [3], "its own, $SYS, and its own again");
        let failures: Vec<_> = record.listeners.iter().map(|one| (&one.failure, one.ended_by)).collect();
        assert_eq!(failures, [(&None, crate::record::ListenEnd::Duration)], "{:?}", record.warnings);
        assert_eq!(record.exit_code, 0, "{}", record.exit_reason);
        assert!(record.warnings.iter().any(|warning| warning.contains("$SYS")), "{:?}", record.warnings);
    }
}

#[test]
fn sys_is_asked_for_apart_and_only_by_whom_it_interests() {
    for (sys, subscribes) in [(true, 2), (false, 1)] {
        let (world, record) = simulate(Setup::exact(1), listener(sys, Connection::default()), Nanos::MAX);
        assert_eq!((world.truth().subscribes(), record.counts.subscribed), (subscribes, 1));
    }
}

/// Missing is not fast: a message whose acknowledgement never comes counts with the time it has waited.
#[test]
fn acknowledgements_that_never_come_have_their_times() {
    let faults = Faults { ack_lost: 1.0, ..Faults::default() };
    let mut publishing = Publishing::new("pub", 4);
    publishing.pacing.count = Some(10);
    publishing.ack_timeout = 2 * SECOND;
    let spec = Spec { cpus: vec![0, 1], seed: 7, publishing: Some(publishing), ..Spec::new(vec![target()]) };
    let (_, record) = simulate(Setup { faults, ..Setup::exact(1) }, spec, Nanos::MAX);
    assert_eq!((record.counts.sent, record.counts.acked, record.counts.ack_timeouts), (40, 0, 40));
    let times = &record.latencies.ack_service;
    assert_eq!((times.count, times.min_ns >= Some(2 * SECOND)), (40, true), "{times:?}");
    assert_eq!(record.exit_code, 5);
}

/// At QoS 0 a message is sent when the kernel has taken it, whole: one that a reset cut off is not. A DISCONNECT
/// behind it that was not taken either is no message.
#[test]
fn at_qos_0_sent_is_what_the_kernel_took() {
    // CONNECT of "pub-0", then PUBLISH of 100 bytes on "t".
    let (connect, message) = (2 + 10 + 2 + 5, 2 + 2 + 1 + 100);
    for (window, duration) in [(10_000, None), (95 * message, Some(200 * MILLISECOND))] {
        let on = On::Packet(PacketType::Connect);
        let script = crate::crew::sim::Script::default()
            .first(1, on, Act::Deaf(None))
            .at(SECOND + 500 * MILLISECOND, Act::Reset);
        let mut setup = Setup { script, ..Setup::exact(1) };
        setup.network.window = window..=window;
        let mut publishing = Publishing::new("pub", 1);
        publishing.qos = QoS::AtMostOnce;
        (publishing.pacing.count, publishing.pacing.duration) = (Some(500), duration);
        publishing.topic = "t".parse().unwrap();
        let plan = PayloadPlan { size: SizePlan::Fixed(100), ..PayloadPlan::default() };
        publishing.content = Content::Prepared(Payloads::prepare(plan, 7).unwrap());
        let connection = Connection { reconnect: false, keep_alive_s: 0, ..Connection::default() };
        let publishing = Some(publishing);
        let spec = Spec { cpus: vec![0], seed: 7, connection, publishing, ..Spec::new(vec![target()]) };
        let (world, record) = simulate(setup, spec, Nanos::MAX);
        let taken = world.truth().connections[0].taken;
        let [publisher] = &record.publishers[..] else { panic!("one") };
        assert!(publisher.sent > 50 && publisher.unfinished > 0, "{publisher:?}");
        assert_eq!(publisher.sent, (taken - connect) / message);
        assert_eq!((publisher.acked, record.counts.sent), (publisher.sent, publisher.sent));
        assert_ne!(record.exit_code, 0, "{}", record.exit_reason);
    }
}

/// Whoever collects a backlog has nothing to be silent about until it comes back for it, whatever it has heard
/// before it went away.
#[test]
fn a_message_before_it_goes_away_does_not_end_a_backlog() {
    let mut script = crate::crew::sim::Script::default();
    for soon in 5..50 {
        let topic = "mqtt-malaria/x-0/data/1/5".to_owned();
        let publish = Act::Publish { topic, payload: vec![soon as u8], qos: QoS::AtMostOnce };
        script = script.at(SECOND + soon * MILLISECOND, publish);
    }
    let listening = Listening {
        stamp: PayloadStamp::None,
        quiet_after: Some(300 * MILLISECOND),
        backlog: true,
        ..Listening::new("listener", "mqtt-malaria/+/data/#")
    };
    for expect in [Expect::Published, Expect::Messages(Expectation { messages: 5, clients: 2 })] {
        let publishing = Publishing::new("pub", 2);
        let listening = vec![Listening { expect, ..listening.clone() }];
        let publishing = Publishing {
            pacing: Pacing { count: Some(5), ..publishing.pacing },
            stagger: (SECOND, SECOND),
            ..publishing
        };
        let publishing = Some(publishing);
        let spec = Spec { cpus: vec![0], seed: 7, publishing, listening, ..Spec::new(vec![target()]) };
        let (_, record) = simulate(Setup { script: script.clone(), ..Setup::exact(1) }, spec, Nanos::MAX);
        let [listener] = &record.listeners[..] else { panic!("one") };
        assert!(listener.received > 10, "it has heard something else: {}", listener.received);
        assert_eq!(listener.ended_by, crate::record::ListenEnd::Complete);
    }
}

/// `count` messages of each of `clients` publishers at QoS 1, without an end where there is none.
fn publishers(clients: u32, count: Option<u64>) -> Spec {
    let mut publishing = Publishing::new("pub", clients);
    publishing.pacing.count = count;
    Spec { cpus: vec![0], seed: 7, publishing: Some(publishing), ..Spec::new(vec![target()]) }
}

#[test]
fn a_worker_that_loses_its_cpu_is_late_and_says_so() {
    let mut spec = publishers(4, Some(100));
    spec.publishing.as_mut().unwrap().pacing.pace = Pace::Rate { per_s: 100.0 };
    let pause = 50 * MILLISECOND;
    let stalls = [(0, SECOND + 500 * MILLISECOND, pause)];
    let record = play(Setup::exact(1), spec, Nanos::MAX, &stalls).record;
    let most = record.latencies.wake_lag.max_ns.unwrap();
    assert!((pause - 10 * MILLISECOND..=pause + MILLISECOND).contains(&most), "{most}");
    assert_eq!(record.counts.sent, 400);
}

#[test]
fn of_many_clients_a_hundred_connect_at_once_and_eight_in_one_pass() {
    let (world, record) = simulate(Setup::exact(1), publishers(300, Some(1)), Nanos::MAX);
    assert_eq!((record.counts.connections_established, record.counts.acked), (300, 300));
    assert_eq!((world.truth().most_connecting, world.worker(0).most_dials), (100, 8));
}

/// What a peer that does not read leaves unsent is not waited for when somebody wants the end.
#[test]
fn an_interrupt_does_not_wait_for_a_peer_that_does_not_read() {
    let script =
        crate::crew::sim::Script::default().first(1, On::Packet(PacketType::Connect), Act::Deaf(None));
    let mut spec = publishers(1, None);
    spec.connection.keep_alive_s = 0;
    spec.publishing.as_mut().unwrap().qos = QoS::AtMostOnce;
    let interrupt = 2 * SECOND;
    let played = play(Setup { script, ..Setup::exact(1) }, spec, interrupt, &[]);
    // A second for what is under way, and one for the end of the connection.
    assert!(
        (interrupt + SECOND..interrupt + 2200 * MILLISECOND).contains(&played.stopped),
        "{}",
        played.stopped
    );
    assert!(played.record.counts.unfinished > 0);
}

/// Losses in a row are counted as failures only as long as nothing comes of the connections between them.
#[test]
fn a_connection_that_was_of_use_is_no_failure() {
    for (on, client) in [(On::Packet(PacketType::Publish), "pub-0"), (On::Delivery, "listener")] {
        let mut script = crate::crew::sim::Script::default();
        for skip in (4..39).step_by(5) {
            let client = Some(client.to_owned());
            script = script.rule(Rule { client, skip, times: 1, ..Rule::always(on, Act::Close) });
        }
        let mut spec = publishers(1, Some(40));
        spec.connection = Connection { reconnect_attempts: 2, clean_session: false, ..Connection::default() };
        spec.publishing.as_mut().unwrap().pacing.pace = Pace::Rate { per_s: 20.0 };
        spec.listening = vec![Listening {
            expect: Expect::Published,
            stamp: PayloadStamp::None,
            quiet_after: Some(SECOND),
            ..Listening::new("listener", "mqtt-malaria/+/data/#")
        }];
        let (_, record) = simulate(Setup { script, ..Setup::exact(1) }, spec, Nanos::MAX);
        assert_eq!((record.counts.connections_lost, record.counts.acked), (7, 40), "{:?}", record.warnings);
        assert_eq!(record.exit_code, 0, "{}", record.exit_reason);
    }
}

#[test]
fn what_came_due_and_could_not_be_sent_is_counted() {
    let faults = Faults { ack_lost: 1.0, ..Faults::default() };
    let mut spec = publishers(2, None);
    let publishing = spec.publishing.as_mut().unwrap();
    publishing.pacing.pace = Pace::Rate { per_s: 100.0 };
    publishing.pacing.duration = Some(500 * MILLISECOND);
    publishing.inflight = 1;
    let (_, record) = simulate(Setup { faults, ..Setup::exact(1) }, spec, Nanos::MAX);
    let counts = &record.counts;
    assert_eq!((counts.due, counts.sent, counts.shed), (100, 2, 98));
    assert_eq!(record.exit_code, 5, "{}", record.exit_reason);
}
