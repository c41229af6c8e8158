//! Whole runs in a simulated world, held against what really happened there.

use super::conductor::{Phases, Setting};
use super::shared::Shared;
use super::worker::Clients;
use super::*;
use crate::clock::{MILLISECOND, SECOND};
use crate::crew::sim::*;
use crate::load::Stamp;
use crate::record::samples::clean;
use crate::record::{Arrival, Ended, Topology};
use crate::stage::Lines;
use crate::stage::simulated::perform;
use crate::wire::PacketType;

/// Pairs at a paced rate for a second, without warm-up.
fn plan(clients: u32, qos: u8, rate_per_s: f64) -> Plan {
    Plan {
        clients,
        publishers: clients / 2,
        subscribers: clients / 2,
        topology: Topology::Pairs,
        schedule: record::Schedule::Open { rate_per_s, arrival: Arrival::Constant, inflight: 65_535 },
        qos,
        sub_qos: qos,
        warmup_ns: 0,
        duration_ns: Some(SECOND),
        drain_ns: 2 * SECOND,
        connect_timeout_ns: 2 * SECOND,
        ack_timeout_ns: SECOND,
        client_id_prefix: "c".into(),
        seed: 7,
        ..clean().plan
    }
}

/// Runs `plan` on `workers` in the world of `setup`, until `interrupt` at the latest.
fn simulate(setup: Setup, plan: Plan, workers: usize, interrupt: Nanos) -> (World, Record) {
    let clients = u64::from(plan.clients);
    let target = Endpoint::Tcp("127.0.0.1:1883".parse().unwrap());
    let spec = Spec { cpus: (0..workers).collect(), ..Spec::new(plan, vec![target]) };
    let epoch = setup.start;
    let shared = Arc::new(Shared::new(spec, 1 << 20, epoch).unwrap());
    let mut world = World::new(Setup { workers: shared.seats.len(), ..setup });
    let (mut lines, desks) = Lines::new(world.wakers(), epoch, clients);
    let actors = desks.into_iter().map(|desk| Clients::new(shared.clone(), desk, epoch)).collect();
    let mut phases = Phases::new(shared.clone(), || 0);
    perform(&mut world, &mut lines, actors, &mut phases, interrupt);
    phases.close(world.now());
    let setting = Setting { started_at: std::time::SystemTime::UNIX_EPOCH, machine: clean().machine };
    let record = phases.record(lines.board, None, setting);
    laws(&world, &record);
    (world, record)
}

/// What holds whatever happened.
fn laws(world: &World, record: &Record) {
    let (truth, counts, plan) = (world.truth(), &record.counts, &record.plan);
    assert!(truth.faults.is_empty(), "{:?}", truth.faults);
    assert!(truth.most_connecting <= 100, "{} at once", truth.most_connecting);
    assert_eq!(counts.due, counts.sent + counts.shed + counts.unfinished, "{counts:?}");
    if plan.qos > 0 {
        let seen = counts.acked + counts.ack_timeouts + counts.unacked_at_end;
        assert!(seen >= counts.sent, "{counts:?}");
        assert!(counts.ack_timeouts > 0 || seen == counts.sent, "{counts:?}");
        // Missing is not fast: each message has a time, whatever came of it.
        assert_eq!(record.latencies.ack_response.count, counts.sent);
        assert_eq!(record.latencies.ack_service.count, counts.sent);
    }
    assert_eq!(record.latencies.flight_response.count, counts.delivered);
    assert_eq!(record.latencies.lateness.count, counts.sent + counts.unfinished);
    assert!(counts.late <= counts.delivered && counts.delivered + counts.lost >= counts.expected);
    let sum = |figure: fn(&record::Second) -> u64| record.series.iter().map(figure).sum::<u64>();
    assert!(sum(|second| second.sent) >= counts.sent && sum(|second| second.delivered) >= counts.delivered);
    for (worker, known) in record.generator.workers.iter().zip(0..) {
        let busy = world.worker(known).busy();
        assert!(busy == 0.0 || record.throughput.sent == 0 || worker.busy_share > 0.0, "busy {busy}");
    }
    for worker in 0..record.generator.workers.len() {
        assert!(world.worker(worker).most_unsent_of_one < 4 << 20, "memory is bounded");
    }
}

/// What the peer gave to subscribers, of this run.
fn given(world: &World, record: &Record) -> Account {
    let run_id = run_id(record.plan.seed);
    let (truth, mut all) = (world.truth(), Account::default());
    for index in record.plan.publishers..record.plan.publishers + record.plan.subscribers {
        let Some(client) = truth.find_client(&format!("c-{index}")) else { continue };
        let mut flows = std::collections::BTreeMap::<u32, Vec<u64>>::new();
        for (_, message) in truth.heard_by(client) {
            let stamp = Stamp::decode(&message.payload, run_id).expect("this run's");
            flows.entry(stamp.publisher).or_default().push(stamp.sequence);
        }
        for sequences in flows.into_values() {
            let flow = Account::of(sequences);
            all.received += flow.received;
            all.reordered += flow.reordered;
            all.duplicated += flow.duplicated;
        }
    }
    all
}

/// Deliveries that the peer drops, repeats, swaps and delays are counted as they are.
fn exact(seed: u64) {
    let mut dice = Dice::new(seed, "run exact", 0);
    let qos = dice.within(&(0..=2)) as u8;
    let plan = plan(2 * dice.within(&(1..=20)) as u32, qos, dice.within(&(20..=800)) as f64);
    let faults = Faults {
        dropped: 0.02,
        twice: 0.02,
        repeated: if qos > 0 { 0.02 } else { 0.0 },
        swapped: 0.02,
        delivery_late: 0.2,
        delivery_delay: 0..=300 * MILLISECOND,
        ..Faults::default()
    };
    let workers = dice.within(&(1..=3)) as usize;
    let (world, record) = simulate(Setup { faults, ..Setup::new(seed, 1) }, plan, workers, Nanos::MAX);
    let (truth, counts) = (given(&world, &record), &record.counts);
    assert_eq!(record.ended, Ended::Completed);
    assert_eq!(
        (counts.delivered, counts.reordered, counts.duplicated),
        (truth.received, truth.reordered, truth.duplicated)
    );
    assert_eq!((counts.expected, counts.lost), (counts.sent, counts.sent - truth.received));
}

/// Anything may happen, and the laws hold.
fn anything(seed: u64) {
    let mut dice = Dice::new(seed, "run anything", 0);
    let clients = 2 * dice.within(&(1..=15)) as u32;
    let mut plan = plan(clients, dice.within(&(0..=2)) as u8, dice.within(&(10..=400)) as f64);
    if dice.chance(0.3) {
        plan.schedule = record::Schedule::Closed { inflight: dice.within(&(1..=8)) as u32 };
        plan.duration_ns = Some(200 * MILLISECOND);
    }
    plan.warmup_ns = *dice.pick(&[0, 300 * MILLISECOND]);
    plan.keepalive_ns = *dice.pick(&[0, SECOND, 60 * SECOND]);
    (plan.reconnect, plan.clean_session) = (dice.chance(0.7), dice.chance(0.7));
    let interrupt = if dice.chance(0.1) { SECOND + dice.within(&(0..=2 * SECOND)) } else { Nanos::MAX };
    let setup = Setup { faults: Faults::some(seed), limit: 600 * SECOND, ..Setup::new(seed, 1) };
    simulate(setup, plan, dice.within(&(1..=3)) as usize, interrupt);
}

#[test]
fn deliveries_are_counted_as_they_are() {
    explore(0..60, exact);
}

#[test]
fn the_laws_hold_whatever_happens() {
    explore(0..30, anything);
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
    let record = || {
        let setup = Setup { faults: Faults::some(3), ..Setup::new(3, 1) };
        simulate(setup, plan(10, 1, 200.0), 2, Nanos::MAX).1
    };
    assert_eq!(record(), record());
}

/// Each latency is of its own stage: a delay of one leaves the others as they are.
#[test]
fn a_delay_shows_at_its_own_stage_only() {
    let stages = [
        (On::Packet(PacketType::PubAck), 9),
        (On::Packet(PacketType::Connect), 0),
        (On::Packet(PacketType::Subscribe), 1),
        (On::Packet(PacketType::Publish), 2),
        (On::Delivery, 3),
    ];
    for (on, slow) in stages {
        let script = Script::default().always(on, Act::Delay(50 * MILLISECOND));
        let plan = Plan { sub_qos: 0, ..plan(10, 1, 100.0) };
        let (_, record) = simulate(Setup { script, ..Setup::exact(1) }, plan, 1, Nanos::MAX);
        let times = &record.latencies;
        let stages = [&times.connack, &times.suback, &times.ack_service, &times.flight_service];
        for (stage, time) in stages.into_iter().enumerate() {
            let late = time.p50_ns.or(time.max_ns).unwrap() > 50 * MILLISECOND;
            assert_eq!(late, stage == slow, "{on:?}: {stage} {time:?}");
        }
    }
}

#[test]
fn a_drain_waits_for_what_is_late_and_says_so() {
    let script = Script::default().always(On::Delivery, Act::Delay(700 * MILLISECOND));
    let (_, record) = simulate(Setup { script, ..Setup::exact(1) }, plan(4, 1, 100.0), 2, Nanos::MAX);
    let counts = &record.counts;
    assert_eq!((counts.sent, counts.delivered, counts.lost), (100, 100, 0));
    assert!((65..=75).contains(&counts.late), "those of the last 700 ms: {}", counts.late);
    assert!(record.throughput.delivered <= 35, "a drain adds nothing: {:?}", record.throughput);
}

#[test]
fn throughput_is_of_the_measure_phase() {
    let plan = Plan { warmup_ns: SECOND, ..plan(4, 1, 200.0) };
    let (_, record) = simulate(Setup::exact(1), plan, 1, Nanos::MAX);
    assert_eq!((record.counts.sent, record.counts.lost), (200, 0));
    for messages in [record.throughput.sent, record.throughput.acked, record.throughput.delivered] {
        assert!((195..=205).contains(&messages), "{:?}", record.throughput);
    }
}

#[test]
fn acknowledgements_that_never_come_have_their_times() {
    let faults = Faults { ack_lost: 1.0, ..Faults::default() };
    let (_, record) = simulate(Setup { faults, ..Setup::exact(1) }, plan(4, 1, 100.0), 1, Nanos::MAX);
    let counts = &record.counts;
    assert_eq!((counts.sent, counts.acked), (100, 0));
    assert_eq!(counts.ack_timeouts + counts.unacked_at_end, 100);
    assert!(record.latencies.ack_response.p50_ns.unwrap() >= SECOND, "{:?}", record.latencies.ack_response);
}

#[test]
fn a_worker_that_stops_shows_in_its_wake_up_lag() {
    let plan = plan(4, 1, 1000.0);
    let target = Endpoint::Tcp("127.0.0.1:1883".parse().unwrap());
    let shared = Arc::new(Shared::new(Spec::new(plan, vec![target]), 1 << 20, SECOND).unwrap());
    let mut world = World::new(Setup::exact(1));
    world.stall(0, SECOND + 500 * MILLISECOND, 80 * MILLISECOND);
    let (mut lines, desks) = Lines::new(world.wakers(), SECOND, 4);
    let actors = desks.into_iter().map(|desk| Clients::new(shared.clone(), desk, SECOND)).collect();
    let mut phases = Phases::new(shared.clone(), || 0);
    perform(&mut world, &mut lines, actors, &mut phases, Nanos::MAX);
    let setting = Setting { started_at: std::time::SystemTime::UNIX_EPOCH, machine: clean().machine };
    let record = phases.record(lines.board, None, setting);
    let lag = record.latencies.wake_lag.max_ns.unwrap();
    assert!((75 * MILLISECOND..=81 * MILLISECOND).contains(&lag), "{lag}");
}

#[test]
fn of_many_clients_a_hundred_connect_at_once() {
    let (world, record) = simulate(Setup::exact(1), plan(600, 1, 600.0), 2, Nanos::MAX);
    assert_eq!(record.counts.connections_established, 600);
    assert!(world.truth().most_connecting > 50, "{}", world.truth().most_connecting);
}
