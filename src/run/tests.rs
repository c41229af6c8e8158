//! Whole runs in a simulated world, held against what really happened there.

mod aborted;
mod carried;
mod comings;
mod flapping;
mod known;
mod probes;
mod rules;
mod scripted;
mod shared;
mod to_itself;
mod trials;

use super::conductor::{Host, Phases};
use super::shared::Shared;
use super::worker::Clients;
use super::*;
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::crew::sim::*;
use crate::engine::Usage;
use crate::load::{Split, Stamp};
use crate::record::samples::clean;
use crate::record::{self, Arrival, Ended, Topology};
use crate::stage::simulated::perform_over;
use crate::transport::{Acceptor, Dialer};
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
        drain_limit_ns: 10 * SECOND,
        connect_timeout_ns: 2 * SECOND,
        ack_timeout_ns: SECOND,
        client_id_prefix: "c".into(),
        seed: 7,
        ..clean().plan
    }
}

/// Nowhere and never.
fn host() -> Host {
    let started_at = std::time::SystemTime::UNIX_EPOCH;
    Host { started_at, machine: clean().machine, resident: || 0 }
}

/// A run that is over, in a world that knows better.
struct Played {
    world: World,
    record: Record,
    epoch: Nanos,
    /// What each worker had used whenever the conductor looked up.
    moments: Vec<(Nanos, Vec<Usage>)>,
}

impl Played {
    /// When a phase began and ended, on the world's clock.
    fn times(&self, phase: record::Phase) -> Option<(Nanos, Nanos)> {
        let times = self.record.phases.iter().find(|times| times.phase == phase)?;
        Some((self.epoch + times.start_ns, self.epoch + times.end_ns))
    }

    /// What a worker had used at `time`, or when the conductor next looked up.
    fn used(&self, worker: usize, time: Nanos) -> Usage {
        self.moments.iter().find(|(at, _)| *at >= time).expect("it looked up later").1[worker]
    }

    /// Messages that the peer read, with their stamps.
    fn messages(&self) -> impl Iterator<Item = (Stamp, &Message)> {
        let run_id = run_id(self.record.plan.seed);
        let all = self.world.truth().messages.iter().filter(|message| message.from.is_some());
        all.filter_map(move |message| Some((Stamp::decode(&message.payload, run_id)?, message)))
    }
}

/// What carries the connections of a world: of clients, and of the peer.
enum Over {
    Nothing,
    These(Arc<Dialer>, Arc<Acceptor>),
}

/// A world, the run in it, and what else there is.
struct Scene {
    setup: Setup,
    spec: Spec,
    workers: usize,
    interrupt: Nanos,
    /// Workers that lose their CPU: which, when, and for how long.
    stalls: Vec<(usize, Nanos, Nanos)>,
}

impl Scene {
    fn new(setup: Setup, plan: Plan) -> Scene {
        let target = Endpoint::Tcp("127.0.0.1:1883".parse().unwrap());
        let spec = Spec::new(plan, vec![target]);
        Scene { setup, spec, workers: 1, interrupt: Nanos::MAX, stalls: Vec::new() }
    }

    /// The same over a transport.
    fn over(mut self, over: &Over) -> Scene {
        if let Over::These(dialer, acceptor) = over {
            self.spec.connection.transport = Some(dialer.clone());
            self.setup.transport = Some(acceptor.clone());
        }
        self
    }

    /// Runs it to its end, and holds the laws against it.
    fn play(self) -> Played {
        let Scene { setup, spec, workers, interrupt, stalls } = self;
        let (clients, epoch) = (u64::from(spec.plan.clients), setup.start);
        let honest = setup.faults.wrong == 0.0 && setup.script.rules.is_empty();
        let spec = Spec { cpus: (0..workers).collect(), ..spec };
        let shared = Arc::new(Shared::new(spec, epoch).unwrap());
        let mut world = World::new(Setup { workers: shared.everybody().len(), ..setup });
        stalls.into_iter().for_each(|(worker, time, pause)| world.stall(worker, time, pause));
        let (mut lines, desks) = Lines::new(world.wakers(), epoch, clients);
        lines.board.apart = shared.seats.len();
        let actors = desks.into_iter().map(|desk| Clients::new(shared.clone(), desk, epoch)).collect();
        let mut phases = Phases::new(shared.clone(), host(), None);
        let mut moments = Vec::new();
        let transport = shared.spec.connection.transport.clone();
        perform_over(transport, &mut world, &mut lines, actors, &mut phases, interrupt, |world| {
            let used = (0..shared.seats.len()).map(|worker| world.worker(worker).usage);
            moments.push((world.now(), used.collect()));
        });
        let stopped = (0..shared.seats.len()).filter_map(|worker| world.worker(worker).stopped).max();
        let record = phases.record(lines.board);
        let played = Played { world, record, epoch, moments };
        laws(&played, honest);
        if interrupt < played.world.now() {
            // A second of drain, a second for each that does not close, and what is unsent meanwhile.
            let most = interrupt + 2 * SECOND + played.record.plan.connect_timeout_ns + SECOND;
            assert!(stopped <= Some(most.max(epoch + SECOND)), "interrupted at {interrupt}: {stopped:?}");
        }
        played
    }
}

/// Runs `plan` on `workers` in the world of `setup`, until `interrupt` at the latest.
fn simulate(setup: Setup, plan: Plan, workers: usize, interrupt: Nanos) -> (World, Record) {
    let played = Scene { workers, interrupt, ..Scene::new(setup, plan) }.play();
    (played.world, played.record)
}

/// What holds whatever happened; of what the peer was `honest` about, that it is so, too.
fn laws(played: &Played, honest: bool) {
    let Played { world, record, .. } = played;
    let (truth, counts, plan) = (world.truth(), &record.counts, &record.plan);
    assert!(truth.faults.is_empty(), "{:?}", truth.faults);
    let most_connecting = truth.most_at_once();
    // A CONNACK that the peer made up is none to the truth.
    let made_up = truth.violations.len();
    // Or what a second's rate brings.
    let allowed = plan
        .connect_rate_per_s
        .map_or(100, |rate| 100.max(rate.ceil() as usize + played.record.generator.workers.len()));
    assert!(most_connecting as usize <= allowed + made_up, "{most_connecting} at once: {counts:?}");
    assert_eq!(counts.due, counts.sent + counts.shed + counts.unfinished, "{counts:?}");
    let measured = |(stamp, _): &(Stamp, &Message)| stamp.intended >= plan.warmup_ns;
    let read = played.messages().filter(measured).count() as u64;
    assert!(read <= counts.sent, "the peer read {read} of {}", counts.sent);
    if plan.qos > 0 {
        // An acknowledgement after its timeout is in both counts.
        let seen = counts.acked + counts.ack_timeouts + counts.unacked_at_end;
        assert!((counts.sent..=counts.sent + counts.ack_timeouts).contains(&seen), "{counts:?}");
        // Missing is not fast: each message has a time, whatever came of it.
        assert_eq!(record.latencies.ack_response.count, counts.sent);
        assert_eq!(record.latencies.ack_service.count, counts.sent);
        let given = played.messages().filter(measured).filter(|(_, message)| message.ack_given.is_some());
        let given = given.count() as u64;
        assert!(!honest || counts.acked <= given, "the driver was given {given} of {counts:?}");
    }
    let all = given(world, record);
    assert!(counts.delivered <= all.received, "{all:?} {counts:?}");
    assert!(counts.delivered + counts.duplicated <= all.received + all.duplicated, "{all:?} {counts:?}");
    assert_eq!(record.latencies.flight_response.count, counts.delivered);
    assert_eq!(record.latencies.lateness.count, counts.sent + counts.unfinished);
    let absent = counts.lost + counts.undelivered_at_end;
    assert!(counts.late <= counts.delivered && counts.delivered + absent >= counts.expected);
    assert_eq!(absent, counts.expected.saturating_sub(counts.delivered), "{counts:?}");
    laws_of_seconds(record);
    laws_of_the_end(record);
    laws_of_probes(record);
    for (worker, known) in record.generator.workers.iter().zip(0..) {
        let busy = world.worker(known).busy();
        // Who shares may be given nothing, a schedule may have little for some, and a worker may have nobody left.
        let all = counts.connections_established == u64::from(plan.clients) && plan.reconnect;
        let has_work = all && record.throughput.sent > 0 && plan.share.is_none() && plan.profile.is_none();
        assert!(busy == 0.0 || !has_work || worker.busy_share > 0.0, "busy {busy}");
        assert!(world.worker(known).most_unsent_of_one < 3 << 20, "memory is bounded");
        assert!(world.worker(known).most_dials <= 8, "of many a few are dialled in one pass");
    }
}

/// The seconds of a run add up to the run.
fn laws_of_seconds(record: &Record) {
    let sum = |figure: fn(&record::Second) -> u64| record.series.iter().map(figure).sum::<u64>();
    let counts = &record.counts;
    let sums = [
        (sum(|second| second.offered), counts.due),
        (sum(|second| second.sent), counts.sent),
        (sum(|second| second.acked), counts.acked),
        (sum(|second| second.delivered), counts.delivered),
        (sum(|second| second.shed), counts.shed),
        (sum(|second| second.connections_lost), counts.connections_lost),
    ];
    for (sum, total) in sums {
        // What is outside of the measure phase is in the seconds alone.
        assert!(sum == total || sum > total && record.plan.warmup_ns > 0, "{sums:?}");
    }
}

/// What probes have adds up as what a load has, and something that is missing is told.
fn laws_of_probes(record: &Record) {
    assert_eq!(record.probes.is_some(), record.plan.probes > 0);
    let Some(record::Probes { counts, latencies, .. }) = &record.probes else { return };
    assert_eq!(counts.due, counts.sent + counts.shed + counts.unfinished, "{counts:?}");
    assert_eq!(latencies.ack_response.count, counts.sent);
    assert_eq!(latencies.flight_response.count, counts.delivered);
    let absent = counts.lost + counts.undelivered_at_end;
    assert_eq!(absent, counts.expected.saturating_sub(counts.delivered), "{counts:?}");
    let told = record.warnings.iter().any(|warning| warning.starts_with("probes: only "));
    assert!(told || absent == 0 && counts.acked >= counts.sent, "{counts:?}: {:?}", record.warnings);
}

/// A run ends in time, and says how it did.
fn laws_of_the_end(record: &Record) {
    let (plan, counts) = (&record.plan, &record.counts);
    if let Some(drain) = record.span_of(record::Phase::Drain) {
        // The workers may say a moment later than the schedule that it is over.
        assert!(drain <= plan.drain_ns.max(plan.drain_limit_ns) + 300 * MILLISECOND, "drained for {drain}");
    }
    let mut again = record.clone();
    again.conclude();
    assert_eq!(&again, record, "concluded");
    let absent = counts.lost + counts.undelivered_at_end;
    let clean = absent + counts.unfinished + counts.ack_timeouts + counts.unacked_at_end == 0
        && counts.connections_established == u64::from(plan.clients)
        && record.ended == Ended::Completed;
    assert!(clean || record.exit_code != 0, "{counts:?}");
    assert_eq!(record.ended == Ended::Interrupted, record.exit_code == 130);
    assert!(record.ended != Ended::Internal && record.exit_code != 1, "{:?}", record.partial_reason);
}

/// What the peer gave to subscribers, of this run and measured. Of flows whose publisher was read to the end, also what
/// is lost.
fn given(world: &World, record: &Record) -> Account {
    let (run_id, warmup) = (run_id(record.plan.seed), record.plan.warmup_ns);
    let (truth, mut all) = (world.truth(), Account::default());
    let mut first = std::collections::BTreeMap::<u32, u64>::new();
    let read = truth.messages.iter().filter_map(|message| Stamp::decode(&message.payload, run_id));
    for stamp in read.filter(|stamp| stamp.intended >= warmup) {
        let first = first.entry(stamp.publisher).or_insert(stamp.sequence);
        *first = stamp.sequence.min(*first);
    }
    let split = Split::of(&record.plan);
    for index in (0..record.plan.clients).filter(|index| split.subscriber(*index).is_some()) {
        let Some(client) = truth.find_client(&format!("c-{index}")) else { continue };
        let mut flows = std::collections::BTreeMap::<u32, Vec<u64>>::new();
        for (_, message) in truth.heard_by(client) {
            // What the peer made up is nobody's.
            let Some(stamp) = Stamp::decode(&message.payload, run_id) else { continue };
            if stamp.intended >= warmup {
                flows.entry(stamp.publisher).or_default().push(stamp.sequence);
            }
        }
        for (publisher, sequences) in flows {
            let flow = Account::of(sequences);
            all.lost += flow.lost.saturating_sub(first[&publisher]);
            all.received += flow.received;
            all.reordered += flow.reordered;
            all.duplicated += flow.duplicated;
        }
    }
    all
}

/// Deliveries that the peer drops, repeats, swaps and delays are counted as they are.
fn exact(seed: u64) {
    exact_over(seed, &Over::Nothing);
}

fn exact_over(seed: u64, over: &Over) {
    let mut dice = Dice::new(seed, "run exact", 0);
    let qos = dice.within(&(0..=2)) as u8;
    let clients = 2 * dice.within(&(1..=20)) as u32;
    let warmup_ns = *dice.pick(&[0, 300 * MILLISECOND]);
    let plan = Plan { warmup_ns, ..plan(clients, qos, dice.within(&(20..=800)) as f64) };
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
    let scene = Scene { workers, ..Scene::new(Setup { faults, ..Setup::new(seed, 1) }, plan) };
    let Played { world, record, .. } = scene.over(over).play();
    let (truth, counts) = (given(&world, &record), &record.counts);
    assert_eq!(record.ended, Ended::Completed);
    assert_eq!(
        (counts.delivered, counts.reordered, counts.duplicated),
        (truth.received, truth.reordered, truth.duplicated)
    );
    let undelivered = counts.sent - truth.received - truth.lost;
    assert_eq!(
        (counts.expected, counts.lost, counts.undelivered_at_end),
        (counts.sent, truth.lost, undelivered)
    );
}

/// Some plan of everything that a plan can say.
fn some_plan(dice: &mut Dice) -> Plan {
    let many = dice.chance(0.02);
    let most = if many { 1000 } else { 12 };
    let (publishers, subscribers) = match dice.within(&(0..=4)) {
        0 => (dice.within(&(1..=most)) as u32, 1),
        1 => (1, dice.within(&(1..=12)) as u32),
        2 => (dice.within(&(1..=most)) as u32, 0),
        _ => {
            let pairs = dice.within(&(1..=most)) as u32;
            (pairs, pairs)
        }
    };
    let idle = if dice.chance(0.2) { dice.within(&(1..=20)) as u32 } else { 0 };
    let rate = if many { publishers.into() } else { dice.within(&(5..=300)) as f64 };
    let qos = dice.within(&(0..=2)) as u8;
    let mut plan = Plan {
        clients: publishers + subscribers + idle,
        publishers,
        subscribers,
        sub_qos: if dice.chance(0.7) { qos } else { dice.within(&(0..=2)) as u8 },
        warmup_ns: *dice.pick(&[0, 0, 300 * MILLISECOND]),
        drain_ns: *dice.pick(&[0, 300 * MILLISECOND, 2 * SECOND]),
        keepalive_ns: *dice.pick(&[0, SECOND, 60 * SECOND]),
        ack_timeout_ns: *dice.pick(&[200 * MILLISECOND, SECOND, 30 * SECOND]),
        backlog_ns: *dice.pick(&[50 * MILLISECOND, SECOND]),
        reconnect: dice.chance(0.7),
        clean_session: dice.chance(0.7),
        ..plan(2, qos, rate)
    };
    let arrival = *dice.pick(&[Arrival::Constant, Arrival::Poisson]);
    let inflight = if dice.chance(0.5) { dice.within(&(1..=8)) as u32 } else { 65_535 };
    plan.schedule = record::Schedule::Open { rate_per_s: rate, arrival, inflight };
    if !many && dice.chance(0.3) {
        plan.schedule = record::Schedule::Closed { inflight: inflight.min(8) };
        plan.duration_ns = Some(20 * MILLISECOND);
        // As fast as it goes, a warm-up as long as others' would be most of all messages.
        plan.warmup_ns = plan.warmup_ns.min(5 * MILLISECOND);
        // At QoS 0 that is as many as there is room for: in large ones.
        if qos == 0 {
            plan.size_bytes = 4096;
        }
    }
    if !many && dice.chance(0.15) {
        (plan.msg_count, plan.duration_ns, plan.warmup_ns) = (Some(dice.within(&(1..=30))), None, 0);
    } else if !many && dice.chance(0.2) {
        plan.probes = dice.within(&(1..=3)) as u32;
    }
    if subscribers > 0 && dice.chance(0.2) {
        (plan.share, plan.groups) = (Some("perf".into()), Some(dice.within(&(1..=3)) as u32));
    }
    if plan.msg_count.is_none() && dice.chance(0.15) {
        let most = 2.0 * rate;
        plan.profile = Some(format!(
            "line(0,{most},300ms) const(0,100ms) step({rate},{most},{rate},200ms) const({rate},1h)"
        ));
    }
    if subscribers > 0 && plan.share.is_none() && dice.chance(0.15) {
        (plan.topology, plan.subscribers) = (Topology::Itself, publishers);
        plan.clients = publishers + idle;
    }
    plan
}

/// Anything may happen, and the laws hold.
fn anything(seed: u64) {
    anything_over(seed, &Over::Nothing);
}

fn anything_over(seed: u64, over: &Over) {
    let mut dice = Dice::new(seed, "run anything", 0);
    let plan = some_plan(&mut dice);
    let setup = Setup { faults: Faults::some(seed), limit: 600 * SECOND, ..Setup::new(seed, 1) };
    let mut scene = Scene { workers: dice.within(&(1..=4)) as usize, ..Scene::new(setup, plan) };
    if dice.chance(0.2) {
        scene.interrupt = SECOND + dice.within(&(0..=3 * SECOND));
    }
    if dice.chance(0.2) {
        let (username, password) = (Some("someone".to_owned()), Some(b"secret".to_vec()));
        scene.spec.connection.credentials = crate::crew::Credentials { username, password };
    }
    if dice.chance(0.1) {
        scene.stalls.push((
            0,
            SECOND + dice.within(&(0..=2 * SECOND)),
            dice.within(&(0..=200 * MILLISECOND)),
        ));
    }
    scene.over(over).play();
}

explored! {
    exact,
    deliveries_are_counted_as_they_are_1: 0..100,
    deliveries_are_counted_as_they_are_2: 100..200,
    deliveries_are_counted_as_they_are_3: 200..300,
}

explored! {
    anything,
    the_laws_hold_whatever_happens_1: 0..140,
    the_laws_hold_whatever_happens_2: 140..280,
    the_laws_hold_whatever_happens_3: 280..420,
    the_laws_hold_whatever_happens_4: 420..560,
    the_laws_hold_whatever_happens_5: 560..700,
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
        let script = Script::default().always(on, Act::Delay(Spread::Fixed(50 * MILLISECOND)));
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
    let script = Script::default().always(On::Delivery, Act::Delay(Spread::Fixed(700 * MILLISECOND)));
    let (_, record) = simulate(Setup { script, ..Setup::exact(1) }, plan(4, 1, 100.0), 2, Nanos::MAX);
    let counts = &record.counts;
    assert_eq!((counts.sent, counts.delivered, counts.lost), (100, 100, 0));
    assert!((65..=75).contains(&counts.late), "those of the last 700 ms: {}", counts.late);
    assert!(record.throughput.delivered <= 35, "a drain adds nothing: {:?}", record.throughput);
}

/// What still comes is waited for, as long as it comes; what does not come any more is not.
#[test]
fn a_drain_goes_on_while_messages_come() {
    let script = Script::default().always(On::Delivery, Act::Delay(Spread::Fixed(900 * MILLISECOND)));
    let plan = Plan { drain_ns: 200 * MILLISECOND, ..plan(4, 1, 100.0) };
    for (limit, late) in [(10 * SECOND, 0..=0), (300 * MILLISECOND, 40..=80)] {
        let plan = Plan { drain_limit_ns: limit, ..plan.clone() };
        let setup = Setup { script: script.clone(), ..Setup::exact(1) };
        let (_, record) = simulate(setup, plan, 1, Nanos::MAX);
        let counts = &record.counts;
        assert!(
            late.contains(&counts.undelivered_at_end) && counts.lost == 0,
            "late is not lost: {counts:?}"
        );
    }
    let faults = Faults { dropped: 1.0, ..Faults::default() };
    let (_, record) = simulate(Setup { faults, ..Setup::exact(1) }, plan, 1, Nanos::MAX);
    let drain = record.span_of(record::Phase::Drain).expect("there was one");
    assert!(drain < 400 * MILLISECOND, "nothing comes any more: {drain}");
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
fn of_many_clients_a_hundred_connect_at_once() {
    let (world, record) = simulate(Setup::exact(1), plan(600, 1, 600.0), 2, Nanos::MAX);
    assert_eq!(record.counts.connections_established, 600);
    assert!(world.truth().most_connecting > 50, "{}", world.truth().most_connecting);
}
