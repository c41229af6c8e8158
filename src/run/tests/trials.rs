//! One load after the other, held against what really happened in each.

use super::*;
use crate::run::{Load, Pilot, Trial};

/// Offers these loads, whatever comes of them.
struct Fixed {
    loads: std::collections::VecDeque<Load>,
    trials: Vec<Trial>,
}

impl Pilot for Fixed {
    fn next(&mut self, last: Option<Trial>) -> Option<Load> {
        self.trials.extend(last);
        self.loads.pop_front()
    }

    fn outlook(&self) -> String {
        self.trials.len().to_string()
    }
}

fn load(rate_per_s: f64, settle: Nanos, span: Nanos) -> Load {
    Load { offered: rate_per_s, settle, span }
}

/// What came of `loads` in the scene's world, and of the run as a whole.
fn offer(scene: Scene, loads: &[Load]) -> (World, Vec<Trial>, Record) {
    let mut pilot = Fixed { loads: loads.iter().copied().collect(), trials: Vec::new() };
    let (world, record) = conduct(scene, &mut pilot);
    (world, pilot.trials, record)
}

/// Runs what `pilot` decides on in the scene's world.
fn conduct(scene: Scene, pilot: &mut dyn Pilot) -> (World, Record) {
    let Scene { setup, spec, workers, interrupt, .. } = scene;
    let (clients, epoch) = (u64::from(spec.plan.clients), setup.start);
    let spec = Spec { cpus: (0..workers).collect(), ..spec };
    let shared = Arc::new(Shared::new(spec, epoch).unwrap());
    let mut world = World::new(Setup { workers: shared.everybody().len(), ..setup });
    let (mut lines, desks) = Lines::new(world.wakers(), epoch, clients);
    let actors = desks.into_iter().map(|desk| Clients::new(shared.clone(), desk, epoch)).collect();
    let mut phases = Phases::new(shared.clone(), host(), Some(pilot));
    perform_over(None, &mut world, &mut lines, actors, &mut phases, interrupt, |_| ());
    let record = phases.record(lines.board);
    (world, record)
}

/// The messages of each trial that the peer read, and the deliveries that it gave of them.
fn truth(world: &World, trials: &[Trial], plan: &Plan) -> Vec<(u64, u64)> {
    let run_id = run_id(plan.seed);
    let opened = |trial: &Trial| {
        let measure = trial.record.phases.iter().find(|times| times.phase == record::Phase::Measure);
        measure.expect("each has one").start_ns
    };
    // Stamps run from the start of the first schedule.
    let origin = opened(&trials[0]) - trials[0].record.plan.warmup_ns;
    let stamps = |messages: Vec<&Message>| {
        let stamps = messages.into_iter().filter_map(|message| Stamp::decode(&message.payload, run_id));
        stamps.map(|stamp| origin + stamp.intended).collect::<Vec<_>>()
    };
    let all = world.truth();
    let read = stamps(all.messages.iter().filter(|message| message.from.is_some()).collect());
    let subscribers = plan.publishers..plan.publishers + plan.subscribers;
    let heard = subscribers.filter_map(|index| all.find_client(&format!("c-{index}")));
    let heard: Vec<_> =
        heard.flat_map(|client| stamps(all.heard_by(client).map(|(_, message)| message).collect())).collect();
    let within = |times: &[Nanos], trial: &Trial| {
        let opens = opened(trial);
        let closes = opens + trial.record.plan.duration_ns.expect("each has a length");
        times.iter().filter(|time| (opens..closes).contains(time)).count() as u64
    };
    trials.iter().map(|trial| (within(&read, trial), within(&heard, trial))).collect()
}

#[test]
fn each_trial_has_what_was_meant_for_it_and_connections_stay_up() {
    let loads = [
        load(100.0, 200 * MILLISECOND, SECOND),
        load(400.0, 0, 700 * MILLISECOND),
        load(100.0, 100 * MILLISECOND, 2 * SECOND),
    ];
    for workers in [1, 2] {
        let scene = Scene { workers, ..Scene::new(Setup::exact(1), plan(20, 1, 400.0)) };
        let plan = scene.spec.plan.clone();
        let (world, trials, whole) = offer(scene, &loads);
        let counts: Vec<_> = trials.iter().map(|trial| trial.record.counts).collect();
        assert_eq!(counts.iter().map(|counts| counts.due).collect::<Vec<_>>(), [100, 280, 200]);
        let told: Vec<_> = counts.iter().map(|counts| (counts.sent, counts.delivered)).collect();
        assert_eq!(told, truth(&world, &trials, &plan));
        for (trial, load) in trials.iter().zip(&loads) {
            let Trial { record, growth, .. } = trial;
            assert_eq!((record.verdict, record.exit_code), (record::Verdict::Clean, 0), "{record:?}");
            assert_eq!(record.schedule_rate(), load.offered);
            assert_eq!(record.counts.connections_established, 20);
            assert_eq!(record.latencies.flight_response.count, record.counts.delivered);
            assert!(
                record.throughput.delivered.abs_diff(record.counts.delivered) <= 20,
                "{:?}",
                record.throughput
            );
            let offered: u64 = record.series.iter().map(|second| second.offered).sum();
            assert!(offered >= record.counts.due, "its seconds are its own");
            assert!(growth.abs() < 0.005, "{growth}");
            assert_eq!(record.generator.workers.len(), workers);
        }
        assert_eq!((whole.ended, whole.phases.len()), (Ended::Completed, 2 + 3 + 2 + 3 + 1));
        assert_eq!(world.truth().connections.len(), 20, "nobody has connected again");
    }
}

/// Late, lost or doubled: whatever comes after its trial is in no other.
#[test]
fn what_is_late_is_in_no_other_trial() {
    explore(0..20, |seed| {
        let faults = Faults {
            dropped: 0.02,
            twice: 0.02,
            delivery_late: 0.3,
            delivery_delay: 0..=2 * SECOND,
            ..Faults::default()
        };
        let plan = Plan { drain_ns: 100 * MILLISECOND, ..plan(10, 1, 300.0) };
        let loads = [load(300.0, 0, SECOND), load(50.0, 0, SECOND), load(200.0, 100 * MILLISECOND, SECOND)];
        let scene = Scene { workers: 2, ..Scene::new(Setup { faults, ..Setup::new(seed, 1) }, plan.clone()) };
        let (world, trials, _) = offer(scene, &loads);
        let known = truth(&world, &trials, &plan);
        for ((trial, load), (read, given)) in trials.iter().zip(&loads).zip(known) {
            let counts = &trial.record.counts;
            assert_eq!(counts.due as f64, load.offered, "{counts:?}");
            assert!(read <= counts.sent && counts.delivered <= given, "{counts:?} {read} {given}");
            assert_eq!(
                counts.expected,
                counts.delivered + counts.lost,
                "what is not there at the end is lost"
            );
            assert_eq!(counts.undelivered_at_end, 0);
        }
        let late = trials
            .iter()
            .zip(truth(&world, &trials, &plan))
            .filter(|(trial, (_, given))| trial.record.counts.delivered < *given);
        assert!(late.count() > 0, "something was late");
    });
}

/// A peer that answers later and later, as one with a queue does.
#[test]
fn a_queue_shows_as_growth() {
    let slow = Act::Delay(Spread::Fixed(500 * MILLISECOND));
    let script = Script::default().rule(crate::script::Rule {
        skip: 150,
        ..crate::script::Rule::always(On::Packet(PacketType::Publish), slow)
    });
    let scene = Scene::new(Setup { script, ..Setup::exact(1) }, plan(2, 1, 100.0));
    let (_, trials, _) = offer(scene, &[load(100.0, 0, SECOND), load(100.0, 0, SECOND)]);
    assert!(
        trials[0].growth.abs() < 0.05 && trials[1].growth > 0.3,
        "{} {}",
        trials[0].growth,
        trials[1].growth
    );
}

/// Two hundred times what the broker does: it ends early with what that is, and the next load finds no long queue.
#[test]
fn a_load_far_beyond_the_broker_ends_early() {
    let service = Some(crate::script::Service { of: PacketType::Publish, per_s: 100.0, burst: 1 });
    let script = Script { service, ..Script::default() };
    let plan = Plan { ack_timeout_ns: 60 * SECOND, drain_limit_ns: 100 * SECOND, ..plan(2, 1, 20_000.0) };
    let scene = Scene::new(Setup { script, ..Setup::exact(1) }, plan);
    let loads = [load(20_000.0, 200 * MILLISECOND, 5 * SECOND), load(50.0, 0, SECOND)];
    let (world, trials, _) = offer(scene, &loads);
    let done = trials[0].overrun_per_s.expect("it is far beyond");
    assert!((50.0..=150.0).contains(&done), "{done}");
    let read = world.truth().messages.len();
    assert!(read < 20_000, "{read} of 104,000 were sent");
    let Trial { record, overrun_per_s, .. } = &trials[1];
    assert_eq!((*overrun_per_s, record.exit_code, record.counts.delivered), (None, 0, 50));
}

#[test]
fn an_interrupt_ends_the_trials_too() {
    let scene = Scene::new(Setup::exact(1), plan(10, 1, 100.0));
    let start = scene.setup.start;
    let scene = Scene { interrupt: start + 1500 * MILLISECOND, ..scene };
    let (_, trials, whole) = offer(scene, &vec![load(100.0, 0, SECOND); 10]);
    assert_eq!((whole.ended, whole.exit_code), (Ended::Interrupted, 130));
    assert!((1..=2).contains(&trials.len()), "{}", trials.len());
}

/// Offers what a search asks for, and takes a load for good when nothing was lost and no queue grew.
struct Searching {
    search: crate::search::Search,
    trials: u32,
}

impl Pilot for Searching {
    fn next(&mut self, last: Option<Trial>) -> Option<Load> {
        if let Some(Trial { record, growth, overrun_per_s, .. }) = last {
            let good = record.exit_code == 0 && growth <= 0.005 && overrun_per_s.is_none();
            let done = overrun_per_s.unwrap_or(record.throughput.delivered as f64);
            self.search.tell(crate::search::Outcome::Valid(vec![good], done));
            self.trials += 1;
        }
        self.search.propose().map(|rate| load(rate, 200 * MILLISECOND, SECOND))
    }

    fn outlook(&self) -> String {
        self.trials.to_string()
    }
}

/// What a broker does that takes so many messages a second, and keeps others waiting.
#[test]
fn the_capacity_of_a_simulated_broker_is_found() {
    explore(0..20, |seed| {
        let mut dice = Dice::new(seed, "run capacity", 0);
        let (capacity, burst) = (dice.within(&(100..=400)) as f64, dice.within(&(1..=5)));
        let service = Some(crate::script::Service { of: PacketType::Publish, per_s: capacity, burst });
        let script = Script { service, ..Script::default() };
        let most = 20_000.0;
        let plan = Plan { ack_timeout_ns: 30 * SECOND, drain_limit_ns: 60 * SECOND, ..plan(10, 1, most) };
        let scene = Scene::new(Setup { script, ..Setup::new(seed, 1) }, plan);
        let terms = crate::search::Terms { range: (20.0, most), width: 0.05, trials: 3, exceed: 0.5 };
        let mut pilot = Searching { search: crate::search::Search::new(terms, 1), trials: 0 };
        conduct(scene, &mut pilot);
        let found = pilot.search.found(0);
        let share = found.lower.expect("something is good") / capacity;
        assert!(found.regular && (0.9..=1.02).contains(&share), "{seed}: {share} of {capacity}, {found:?}");
    });
}

/// A broker that does what it is asked, half a second later: nothing queues.
#[test]
fn a_broker_that_takes_long_is_not_overrun() {
    let slow = Act::Delay(Spread::Fixed(500 * MILLISECOND));
    let script =
        Script::default().always(On::Packet(PacketType::Publish), slow.clone()).always(On::Delivery, slow);
    let plan = Plan { drain_limit_ns: 10 * SECOND, ..plan(20, 1, 5000.0) };
    let scene = Scene::new(Setup { script, ..Setup::exact(1) }, plan);
    let (_, trials, _) = offer(scene, &[load(5000.0, 300 * MILLISECOND, 2 * SECOND)]);
    let Trial { record, overrun_per_s, growth, .. } = &trials[0];
    assert_eq!((*overrun_per_s, record.exit_code, record.counts.delivered), (None, 0, 10_000));
    assert!(*growth < 0.005, "{growth}");
}

/// A broker that goes away for good in the second load ends the search, and that load is told of.
#[test]
fn a_broker_that_is_gone_ends_the_trials() {
    let script = Script::default().at(2500 * MILLISECOND, Act::Reset);
    let script =
        script.rule(crate::script::Rule { skip: 10, ..crate::script::Rule::always(On::Syn, Act::RefuseSyn) });
    let scene = Scene::new(Setup { script, ..Setup::exact(1) }, plan(10, 1, 100.0));
    let (_, trials, whole) = offer(scene, &[load(100.0, 0, SECOND); 5]);
    assert_eq!((whole.ended, whole.exit_code), (Ended::Broker, 4), "{:?}", whole.partial_reason);
    let reason = whole.partial_reason.expect("it was cut short");
    assert!(reason.contains("no client was connected any more"), "{reason}");
    assert_eq!(trials.len(), 2);
    assert_eq!(trials[1].record.counts.connections_lost, 10);
}

/// Who may not subscribe is missing in every trial.
#[test]
fn a_subscription_that_was_refused_is_told_of_in_every_trial() {
    let refused = Act::Grant(crate::wire::SubAckCode::Failure);
    let script = Script::default().nth(2, On::Packet(PacketType::Subscribe), refused);
    let scene = Scene::new(Setup { script, ..Setup::exact(1) }, plan(10, 1, 100.0));
    let (_, trials, _) = offer(scene, &[load(100.0, 0, SECOND), load(100.0, 0, SECOND)]);
    for trial in &trials {
        let counts = &trial.record.counts;
        assert_eq!(
            (counts.subscribed, counts.subscribe_failures, trial.record.exit_code),
            (4, 1, 4),
            "{counts:?}"
        );
    }
}
