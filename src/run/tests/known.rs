//! Worlds of which it is known what a run in them must measure.

use super::*;
use crate::record::Phase;
use crate::record::{Figure, Reading};
use crate::wire::ConnectCode;

#[test]
fn a_worker_that_stops_shows_in_its_wake_up_lag() {
    let mut scene = Scene::new(Setup::exact(1), plan(4, 1, 1000.0));
    scene.stalls.push((0, SECOND + 500 * MILLISECOND, 80 * MILLISECOND));
    let latencies = scene.play().record.latencies;
    for lag in [latencies.wake_lag.max_ns.unwrap(), latencies.lateness.max_ns.unwrap()] {
        assert!((75 * MILLISECOND..=81 * MILLISECOND).contains(&lag), "{lag}");
    }
}

/// What arrives while a worker stands still was there: that it is heard late is no time of the broker's.
#[test]
fn a_worker_that_stops_shows_in_its_hearing_lag_and_in_no_service_time() {
    let mut scene = Scene::new(Setup::exact(1), plan(4, 1, 1000.0));
    scene.stalls.push((0, SECOND + 500 * MILLISECOND, 80 * MILLISECOND));
    let record = scene.play().record;
    let latencies = &record.latencies;
    let lag = latencies.hearing_lag.max_ns.unwrap();
    assert!((70 * MILLISECOND..=81 * MILLISECOND).contains(&lag), "{lag}");
    for service in [&latencies.ack_service, &latencies.flight_service] {
        assert!(service.max_ns.unwrap() < 20 * MILLISECOND, "{service:?}");
    }
    let stalls: Vec<Nanos> = record.series.iter().map(|second| second.stall_ns).collect();
    assert!(stalls.iter().filter(|stall| **stall >= 70 * MILLISECOND).count() == 1, "{stalls:?}");
}

/// What a worker had used when the measure phase began and ended is what its busy share is of.
#[test]
fn busy_is_the_cpu_time_of_the_measure_phase() {
    for workers in 1..=3 {
        let plan = Plan { warmup_ns: 500 * MILLISECOND, ..plan(12, 1, 2000.0) };
        let played = Scene { workers, ..Scene::new(Setup::new(workers as u64, 1), plan) }.play();
        let (from, to) = played.times(Phase::Measure).unwrap();
        for (worker, told) in played.record.generator.workers.iter().enumerate() {
            let used = played.used(worker, to).since(played.used(worker, from)).cpu_ns();
            let known = used as f64 / (to - from) as f64;
            assert!(
                known > 0.005 && (told.busy_share - known).abs() < 0.1 * known,
                "{told:?}, known: {known}"
            );
        }
    }
}

/// What was sent, acknowledged and delivered between the edges of the measure phase, by the world's times.
#[test]
fn throughput_is_what_happened_between_the_edges() {
    const MARGIN: Nanos = 3 * MILLISECOND;
    explore(0..20, |seed| {
        let plan = Plan { warmup_ns: 400 * MILLISECOND, ..plan(6, 1 + (seed % 2) as u8, 300.0) };
        let faults =
            Faults { delivery_late: 0.5, delivery_delay: 0..=400 * MILLISECOND, ..Faults::default() };
        let played = Scene::new(Setup { faults, ..Setup::new(seed, 1) }, plan).play();
        let (from, to) = played.times(Phase::Measure).unwrap();
        let truth = played.world.truth();
        let holds = |told: u64, times: &mut dyn Iterator<Item = Nanos>| {
            let times: Vec<Nanos> = times.collect();
            let within = |from, to| times.iter().filter(|time| (from..to).contains(*time)).count() as u64;
            let (least, most) = (within(from + MARGIN, to - MARGIN), within(from - MARGIN, to + MARGIN));
            assert!((least..=most).contains(&told), "{told} is not within {least} to {most}");
        };
        let throughput = played.record.throughput;
        holds(throughput.sent, &mut truth.messages.iter().map(|message| message.left));
        holds(throughput.acked, &mut truth.messages.iter().filter_map(|message| message.ack_given));
        holds(throughput.delivered, &mut truth.deliveries.iter().filter_map(|delivery| delivery.given));
        let late = truth.deliveries.iter().filter(|delivery| delivery.given.is_some_and(|time| time >= to));
        let measured = played.record.counts.late;
        assert!(late.count().abs_diff(measured as usize) <= 2, "late: {measured}");
    });
}

/// A pass that takes 5 ms is our own: the broker's time begins when it has ended.
#[test]
fn service_begins_at_the_hand_over_and_not_with_the_pass() {
    let setup = Setup::exact(1);
    let machine = Machine { pass: 5 * MILLISECOND..=5 * MILLISECOND, ..setup.machine.clone() };
    let played = Scene::new(Setup { machine, ..setup }, plan(2, 1, 10.0)).play();
    let times = &played.record.latencies;
    assert_eq!(played.record.counts.acked, 10);
    for service in [&times.ack_service, &times.flight_service] {
        let least = service.min_ns.unwrap();
        assert!((MILLISECOND..4 * MILLISECOND).contains(&least), "{least}");
    }
    assert!(times.lateness.min_ns.unwrap() >= 4_990_000, "{:?}", times.lateness.min_ns);
    assert!(times.ack_response.min_ns.unwrap() >= 6_990_000, "{:?}", times.ack_response.min_ns);
}

/// At QoS 0 a message is sent when the kernel has taken it, whole.
#[test]
fn at_qos_0_sent_is_what_the_kernel_took() {
    explore(0..30, |seed| {
        let mut dice = Dice::new(seed, "run taken", 0);
        let from = SECOND + dice.within(&(300 * MILLISECOND..=700 * MILLISECOND));
        let ends = if dice.chance(0.5) { Act::Reset } else { Act::Close };
        let script = Script::default().at(from, Act::Deaf(None)).at(from + 600 * MILLISECOND, ends);
        let plan = Plan {
            clients: 3,
            publishers: 3,
            subscribers: 0,
            topology: Topology::Publish,
            keepalive_ns: 0,
            reconnect: dice.chance(0.5),
            ..plan(2, 0, 3000.0)
        };
        let mut setup = Setup { script, ..Setup::new(seed, 1) };
        setup.network.window = 4096..=32 * 1024;
        let played = Scene::new(setup, plan).play();
        let truth = played.world.truth();
        let size = 2 + 2 + "bench/0".len() + played.record.plan.size_bytes as usize;
        let taken = truth.connections.iter().map(|connection| {
            let connect = connection.client.map_or(u64::MAX, |_| 2 + 10 + 2 + "c-0".len() as u64);
            connection.taken.saturating_sub(connect) / size as u64
        });
        let (taken, counts) = (taken.sum::<u64>(), &played.record.counts);
        assert_eq!(counts.sent, taken, "{counts:?}");
        assert!(counts.sent > 200 && counts.unfinished > 0, "it was cut short: {counts:?}");
    });
}

/// Nothing but room sets the pace of a closed loop at QoS 0: many messages leave in one send, whatever the window is,
/// and a publisher whose connection is full waits until it is not, while the others go on.
#[test]
fn at_qos_0_a_closed_loop_fills_connections_and_then_waits() {
    let mut script = Script::default().at(SECOND + 15 * MILLISECOND, Act::Deaf(None));
    script.moments[0].client = Some("c-0".into());
    let plan = Plan {
        clients: 2,
        publishers: 2,
        subscribers: 0,
        topology: Topology::Publish,
        schedule: record::Schedule::Closed { inflight: 1 },
        duration_ns: Some(20 * MILLISECOND),
        keepalive_ns: 0,
        ..plan(2, 0, 1.0)
    };
    let mut setup = Setup { script, ..Setup::exact(1) };
    setup.network.window = 128 * 1024..=128 * 1024;
    let played = Scene::new(setup, plan).play();
    let (counts, generator) = (&played.record.counts, &played.record.generator);
    // As they are sent, and not in the end.
    let sent = played.record.throughput.sent;
    assert!(2 * sent > counts.sent, "{sent} of {} within the measure phase", counts.sent);
    assert!(counts.sent > 100 * generator.enters, "{counts:?} in {} enters", generator.enters);
    assert!(generator.enters < 100 && generator.sends_blocked > 0, "it went round in vain: {generator:?}");
    let read = |publisher| played.messages().filter(|(stamp, _)| stamp.publisher == publisher).count();
    let (deaf, other) = (read(0), read(1));
    assert!(deaf > 1000 && other > deaf + 2000, "{deaf} and {other} were read");
}

/// A broker that sends and never reads: what is kept for it is bounded, and the run goes on.
#[test]
fn answers_that_nobody_reads_are_not_kept_for_ever() {
    const MESSAGES: usize = 1_000_000;
    let message = [0x32, 5, 0, 1, b't', 0, 1];
    let flood = Act::Also(message.repeat(MESSAGES));
    let subscribe = On::Packet(PacketType::Subscribe);
    let script = Script::default().first(1, subscribe, flood).first(1, subscribe, Act::Deaf(None));
    let mut setup = Setup { script, ..Setup::exact(1) };
    setup.network.window = 256 * 1024..=256 * 1024;
    let played = Scene::new(setup, plan(4, 1, 50.0)).play();
    let kept = played.world.worker(0).most_unsent_of_one;
    assert!((1 << 20..=(1 << 20) + 64 * 1024).contains(&kept), "{kept}");
    let counts = &played.record.counts;
    assert_eq!((counts.connections_lost, counts.reconnects), (1, 1), "{:?}", played.record.warnings);
    assert_eq!((played.record.ended, counts.sent), (Ended::Completed, 50));
}

/// A broker that stops for ever at half time is not fast: half of what was expected has never come.
#[test]
fn what_never_came_is_in_the_percentiles() {
    let script = Script::default().at(SECOND + 700 * MILLISECOND, Act::Deaf(None));
    let played = Scene::new(Setup { script, ..Setup::exact(1) }, plan(4, 1, 1000.0)).play();
    let (counts, flight) = (&played.record.counts, &played.record.latencies.flight_response);
    assert!(counts.delivered > 300 && counts.undelivered_at_end > 200, "{counts:?}");
    assert_eq!((flight.count, flight.missing), (counts.delivered, counts.undelivered_at_end));
    assert_eq!([Figure::P99, Figure::Max].map(|figure| flight.read(figure)), [Reading::Never; 2]);
    assert_ne!(played.record.exit_code, 0);
}

/// What comes cut, changed, or to the wrong subscriber is no delivery, and no success.
#[test]
fn payloads_are_compared_with_what_was_sent() {
    let plan = Plan { verify: record::Verify::All, ..plan(4, 1, 100.0) };
    let body = crate::load::Body::new(plan.size_bytes as usize, plan.seed);
    let stamp = |publisher, sequence| {
        Stamp { run_id: run_id(plan.seed), publisher, sequence, intended: 0 }.encode().to_vec()
    };
    let mut flipped = [&stamp(0, 7)[..], body.bytes()].concat();
    *flipped.last_mut().unwrap() ^= 1;
    let whole = |publisher| [&stamp(publisher, 7)[..], body.bytes()].concat();
    // Cut, changed, of another pair, and of nobody.
    let wrong =
        [(stamp(0, 7), [1, 0, 0]), (flipped, [1, 0, 0]), (whole(1), [0, 1, 0]), (whole(2), [0, 0, 1])];
    for (payload, counted) in wrong {
        let forged = Act::Publish { topic: "bench/0".into(), payload, qos: crate::wire::QoS::AtLeastOnce };
        let script = Script::default().at(SECOND + 500 * MILLISECOND, forged);
        let played = Scene::new(Setup { script, ..Setup::exact(1) }, plan.clone()).play();
        let counts = &played.record.counts;
        assert_eq!([counts.corrupted, counts.misrouted, counts.foreign], counted);
        assert_eq!((counts.sent, counts.delivered, counts.lost), (100, 100, 0), "{counts:?}");
        // What others publish is no fault of the broker.
        let clean = counts.foreign > 0;
        assert_eq!(played.record.exit_code, if clean { 0 } else { 5 }, "{}", played.record.exit_reason);
    }
}

/// A stamp of this run whose intended time is beyond all clocks: bytes of the network end nobody.
#[test]
fn a_time_that_cannot_be_is_lived_with() {
    let stamp = Stamp { run_id: run_id(7), publisher: 0, sequence: 3, intended: u64::MAX }.encode();
    let publish = [&[0x30, 33, 0, 7], &b"bench/0"[..], &stamp].concat();
    let script = Script::default().first(1, On::Packet(PacketType::PubAck), Act::Also(publish));
    let plan = Plan { warmup_ns: 100 * MILLISECOND, size_bytes: 24, ..plan(2, 1, 10.0) };
    let Record { ended, counts, .. } = Scene::new(Setup { script, ..Setup::exact(1) }, plan).play().record;
    assert_eq!((ended, counts.sent), (Ended::Completed, 10));
    assert_eq!((counts.delivered, counts.duplicated), (9, 1), "the one that was made up came first");
}

/// Who is not answered by the end is in the accounts, with the time it has waited.
#[test]
fn what_is_unanswered_at_the_end_is_counted() {
    let faults = Faults { ack_lost: 1.0, ..Faults::default() };
    let plan = Plan { ack_timeout_ns: 30 * SECOND, drain_ns: 500 * MILLISECOND, ..plan(4, 1, 100.0) };
    let played = Scene::new(Setup { faults, ..Setup::exact(1) }, plan).play();
    let counts = &played.record.counts;
    assert_eq!((counts.sent, counts.acked, counts.ack_timeouts, counts.unacked_at_end), (100, 0, 0, 100));
    assert!(played.record.latencies.ack_service.min_ns.unwrap() >= 499 * MILLISECOND);
    assert_eq!(played.record.exit_code, 5);
}

/// A drain ends when nothing is under way, or when its time is up.
#[test]
fn a_drain_waits_no_longer_than_it_must() {
    // Deliveries that are so late, and the milliseconds that the drain may take: the conductor looks up every 20.
    for (delay, least, most) in [(0, 0, 45), (300, 280, 345), (1900, 1880, 1945), (5000, 2000, 2045)] {
        let script = Script::default().always(On::Delivery, Act::Delay(Spread::Fixed(delay * MILLISECOND)));
        let played = Scene::new(Setup { script, ..Setup::exact(1) }, plan(4, 1, 100.0)).play();
        let span = played.record.span_of(Phase::Drain).unwrap() / MILLISECOND;
        assert!((least..=most).contains(&span), "{delay}: {span}");
        assert_eq!(played.record.counts.undelivered_at_end > 0, delay == 5000);
    }
}

/// One client, of whom nobody hears again: what the conductor sees when all have arrived is how they stand then.
#[test]
fn a_worker_shows_where_it_stands_before_it_says_so() {
    let plan =
        Plan { clients: 1, publishers: 1, subscribers: 0, topology: Topology::Publish, ..plan(2, 1, 10.0) };
    let record = Scene::new(Setup::exact(1), plan).play().record;
    assert_eq!((record.ended, record.counts.sent, record.exit_code), (Ended::Completed, 10, 0));
}

/// A tally that was read comes back to its worker, which keeps it for the next second.
#[test]
fn a_worker_keeps_the_tally_that_comes_back() {
    let Scene { setup, spec, .. } = Scene::new(Setup::exact(1), plan(2, 1, 10.0));
    let shared = Arc::new(Shared::new(spec, setup.start).unwrap());
    let mut world = World::new(setup);
    let (mut lines, desks) = Lines::<_, crate::crew::Effort>::new(world.wakers(), world.now(), 2);
    let mut actors: Vec<_> =
        desks.into_iter().map(|desk| Clients::new(shared.clone(), desk, SECOND)).collect();
    world.run_until(&mut actors, 2 * SECOND + MILLISECOND);
    assert!(!actors[0].crew.books.has_spare());
    lines.hear(std::time::Duration::ZERO);
    world.wakers()[0].wake();
    world.run_until(&mut actors, 2 * SECOND + 2 * MILLISECOND);
    assert!(actors[0].crew.books.has_spare());
}

/// Whenever it is interrupted, a run ends soon and says so.
#[test]
fn an_interrupt_ends_a_run_at_any_time() {
    explore(0..20, |seed| {
        let mut dice = Dice::new(seed, "run interrupt", 0);
        let plan = Plan { warmup_ns: 300 * MILLISECOND, ..plan(40, 1, 400.0) };
        let script = Script::default()
            .always(On::Packet(PacketType::Connect), Act::Delay(Spread::Fixed(100 * MILLISECOND)));
        let interrupt = SECOND + dice.within(&(0..=1500 * MILLISECOND));
        let scene = Scene::new(Setup { script, ..Setup::new(seed, 1) }, plan);
        let played = Scene { interrupt, workers: 2, ..scene }.play();
        let (left, _) = played.times(Phase::Disconnect).unwrap();
        let expected = if interrupt <= left { (Ended::Interrupted, 130) } else { (Ended::Completed, 0) };
        assert_eq!((played.record.ended, played.record.exit_code), expected, "{interrupt} {left}");
    });
}

#[test]
fn nobody_who_is_let_in_is_a_run_that_ends() {
    let refused = Act::Refuse(ConnectCode::NotAuthorized);
    let script = Script::default().always(On::Packet(PacketType::Connect), refused);
    let record = Scene::new(Setup { script, ..Setup::exact(1) }, plan(10, 1, 100.0)).play().record;
    assert_eq!((record.ended, record.exit_code, record.counts.sent), (Ended::Broker, 4, 0));
}

/// A first attempt that fails is not the last where more were asked for.
#[test]
fn attempts_are_made_as_often_as_asked() {
    for (refused, established) in [(4, 2), (6, 0)] {
        let script = Script::default().first(refused, On::Syn, Act::RefuseSyn);
        let mut scene = Scene::new(Setup { script, ..Setup::exact(1) }, plan(2, 1, 10.0));
        scene.spec.connection.attempts = 3;
        let Record { ended, counts, .. } = scene.play().record;
        assert_eq!((counts.connections_established, counts.refused_tcp), (established, refused));
        assert_eq!(ended, if established > 0 { Ended::Completed } else { Ended::Broker });
    }
}

/// Who has never been read to the end is not waited for until somebody gives the worker up.
#[test]
fn a_broker_that_reads_nothing_more_does_not_cost_the_record() {
    let mut setup =
        Setup { script: Script::default().at(1200 * MILLISECOND, Act::Deaf(None)), ..Setup::exact(1) };
    setup.network.window = 2000..=2000;
    let plan = Plan { connect_timeout_ns: 30 * SECOND, keepalive_ns: 0, subscribers: 0, ..plan(2, 0, 100.0) };
    let played = Scene::new(setup, Plan { clients: 1, publishers: 1, ..plan }).play();
    let record = &played.record;
    assert_eq!(record.ended, Ended::Completed, "{:?}", record.partial_reason);
    assert!(record.counts.unfinished > 0 && record.throughput.sent > 0, "{:?}", record.counts);
}

/// What an earlier run with the same seed has left on the broker is not of this one.
#[test]
fn retained_messages_are_nobodys() {
    let stamp = Stamp { run_id: run_id(7), publisher: 0, sequence: 9, intended: 0 }.encode();
    let publish = [&[0x31, 33, 0, 7], &b"bench/0"[..], &stamp].concat();
    let script = Script::default().first(1, On::Packet(PacketType::PubAck), Act::Also(publish));
    let record = Scene::new(Setup { script, ..Setup::exact(1) }, plan(2, 1, 10.0)).play().record;
    let counts = &record.counts;
    assert_eq!((counts.foreign, counts.delivered, counts.duplicated, counts.reordered), (1, 10, 0, 0));
    assert_eq!(record.exit_code, 0, "{}", record.exit_reason);
}

/// A session that a broker has kept of a client that has not subscribed yet has no subscription in it.
#[test]
fn a_subscriber_that_was_lost_before_its_turn_subscribes_all_the_same() {
    let on = On::Packet(PacketType::Connect);
    let once = Rule { client: Some("c-1".into()), times: 1, ..Rule::always(on, Act::Close) };
    let setup = Setup { script: Script::default().rule(once), ..Setup::exact(1) };
    let plan = Plan { clean_session: false, ..plan(2, 1, 10.0) };
    let Record { counts, exit_code, .. } = Scene::new(setup, plan).play().record;
    assert_eq!((counts.connections_lost, counts.reconnects, counts.subscribed), (1, 1, 1));
    // It came too late to count on, and that is told.
    assert_eq!((counts.expected, counts.subscribe_failures, exit_code), (0, 1, 4));
}

/// What ended a run first has ended it.
#[test]
fn a_broker_that_goes_after_an_interrupt_is_not_why_it_ended() {
    let script = Script::default().at(1550 * MILLISECOND, Act::Close).always(On::Delivery, Act::Drop);
    let plan = Plan { reconnect: false, drain_ns: SECOND, ..plan(4, 1, 100.0) };
    let scene =
        Scene { interrupt: 1500 * MILLISECOND, ..Scene::new(Setup { script, ..Setup::exact(1) }, plan) };
    let record = scene.play().record;
    assert_eq!((record.ended, record.exit_code), (Ended::Interrupted, 130), "{:?}", record.partial_reason);
}

/// What the kernel took and the broker never read is no success: nobody else would tell at QoS 0.
#[test]
fn a_broker_that_reads_nothing_has_confirmed_nothing() {
    let plan = Plan { clients: 2, publishers: 2, subscribers: 0, keepalive_ns: 0, ..plan(2, 0, 100.0) };
    for (deaf, unconfirmed, code) in [(true, 100, 5), (false, 0, 0)] {
        let script =
            if deaf { Script::default().at(1050 * MILLISECOND, Act::Deaf(None)) } else { Script::default() };
        let mut setup = Setup { script, ..Setup::exact(1) };
        setup.network.window = 1 << 20..=1 << 20;
        let record = Scene::new(setup, plan.clone()).play().record;
        assert_eq!((record.counts.sent, record.counts.unconfirmed), (100, unconfirmed));
        assert_eq!(record.exit_code, code, "{}", record.exit_reason);
    }
}

/// A million clients that all said DISCONNECT at once would take gigabytes of the kernel's memory. (In tests eight are many.)
#[test]
fn clients_leave_some_at_a_time_and_the_newest_first() {
    let played = Scene::new(Setup::exact(1), plan(40, 1, 100.0)).play();
    let connections = &played.world.truth().connections;
    let gone: std::collections::BTreeMap<_, _> =
        connections.iter().map(|one| (one.conn.0, one.gone.expect("all have left"))).collect();
    assert_eq!(gone.len(), 40);
    for (place, time) in &gone {
        let overtaken = gone.range(place + 1..).filter(|(_, other)| *other > time).count();
        assert!(
            overtaken < 8,
            "{overtaken} that came after client {place} were still there when it was gone"
        );
    }
    let times: std::collections::BTreeSet<_> = gone.values().collect();
    assert!(times.len() >= 5, "they left at once: {times:?}");
}
