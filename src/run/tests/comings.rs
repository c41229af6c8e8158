//! Clients that leave and come back, in a simulated world.

use super::*;
use crate::record::{Absence, Part, Phase};

fn away(part: Part, at_ns: Nanos, for_ns: Nanos) -> Vec<Absence> {
    vec![Absence { part, at_ns, for_ns }]
}

/// How often clients of these indices have connected.
fn connections(played: &Played, indices: std::ops::Range<u32>) -> usize {
    let truth = played.world.truth();
    let clients: Vec<_> =
        indices.map(|index| truth.find_client(&format!("c-{index}")).expect("it has connected")).collect();
    truth.connections.iter().filter(|one| one.client.is_some_and(|client| clients.contains(&client))).count()
}

/// What is kept for subscribers that are away comes when they are back, all of it and nothing before.
#[test]
fn persistent_sessions_are_drained() {
    for (qos, workers) in [(1, 1), (2, 2)] {
        let plan = Plan {
            clean_session: false,
            absences: away(Part::Subscribers, 0, SECOND),
            ..plan(20, qos, 1000.0)
        };
        let played = Scene { workers, ..Scene::new(Setup::exact(1), plan) }.play();
        let counts = &played.record.counts;
        assert_eq!((counts.sent, counts.expected, counts.delivered), (1000, 1000, 1000));
        assert_eq!((counts.lost, counts.duplicated, counts.reordered, counts.connections_lost), (0, 0, 0, 0));
        assert_eq!((connections(&played, 0..10), connections(&played, 10..20)), (10, 20));
        let flight = &played.record.latencies.flight_response;
        assert!(flight.max_ns > Some(990 * MILLISECOND), "{flight:?}");
        assert!(played.record.throughput.delivered < 100, "{:?}", played.record.throughput);
        assert_eq!(played.record.exit_code, 0, "{}", played.record.exit_reason);
    }
}

/// Everybody leaves and comes back at an instant; sessions that are kept lose nothing.
#[test]
fn a_storm_takes_everybody_and_loses_nothing_that_is_kept() {
    let plan = Plan {
        clean_session: false,
        absences: away(Part::All, 500 * MILLISECOND, 0),
        clients: 25,
        connect_rate_per_s: Some(50.0),
        ..plan(20, 1, 500.0)
    };
    let played = Scene { workers: 2, ..Scene::new(Setup::exact(1), plan) }.play();
    let counts = &played.record.counts;
    let mut dialled: Vec<Nanos> = played.world.truth().connections.iter().map(|one| one.dialled).collect();
    dialled.sort_unstable();
    assert!(dialled[24] - dialled[0] > 400 * MILLISECOND, "at first they are paced: {dialled:?}");
    assert!(dialled[49] - dialled[25] < 50 * MILLISECOND, "the storm is not: {dialled:?}");
    assert_eq!((counts.due, counts.shed, counts.sent, counts.delivered), (500, 0, 500, 500));
    assert_eq!((counts.lost, counts.connections_lost), (0, 0));
    assert_eq!(connections(&played, 0..25), 50);
    assert_eq!(played.record.exit_code, 0, "{}", played.record.exit_reason);
}

/// Without sessions that are kept, what was published meanwhile is nobody's, and that is told exactly.
#[test]
fn what_nobody_keeps_is_missed_and_told() {
    let plan = Plan {
        absences: away(Part::Subscribers, 300 * MILLISECOND, 400 * MILLISECOND),
        ..plan(10, 1, 1000.0)
    };
    let played = Scene::new(Setup::exact(1), plan).play();
    let (counts, truth) = (&played.record.counts, given(&played.world, &played.record));
    assert_eq!((counts.expected, counts.delivered + counts.lost), (1000, 1000));
    // What was on its way to somebody who had said DISCONNECT was given to nobody: of each at most what is a pass apart.
    assert!((counts.delivered..=counts.delivered + 5).contains(&truth.received), "{truth:?} {counts:?}");
    assert!((350..500).contains(&counts.lost), "{counts:?}");
    assert_eq!((counts.undelivered_at_end, played.record.exit_code), (0, 5));
}

/// Idle clients come and go evenly, and nobody else does.
#[test]
fn idle_clients_that_do_not_stay_come_again() {
    let plan = Plan { clients: 30, stay_ns: Some(200 * MILLISECOND), ..plan(20, 1, 200.0) };
    let played = Scene { workers: 3, ..Scene::new(Setup::exact(1), plan) }.play();
    let counts = &played.record.counts;
    assert_eq!(connections(&played, 0..20), 20);
    // 50 a second, for a second.
    assert_eq!(connections(&played, 20..30), 10 + 50);
    assert_eq!((counts.delivered, counts.connections_lost, counts.connections_established), (200, 0, 30));
    assert_eq!(played.record.latencies.connack.count, 20 + 60);
    let gone: Vec<Nanos> = played.world.truth().connections.iter().filter_map(|one| one.gone).collect();
    let (begins, ends) = played.times(Phase::Measure).unwrap();
    let halfway = begins + (ends - begins) / 2;
    let (early, late) =
        (|time: &&Nanos| (begins..halfway).contains(*time), |time: &&Nanos| (halfway..ends).contains(*time));
    let halves = (gone.iter().filter(early).count(), gone.iter().filter(late).count());
    assert!(halves.0.abs_diff(25) <= 2 && halves.1.abs_diff(25) <= 2, "{halves:?}");
    assert_eq!(played.record.exit_code, 0, "{}", played.record.exit_reason);
}

/// Whoever leaves when, whatever a broker does: the laws hold.
#[test]
fn the_laws_hold_for_those_who_come_and_go() {
    explore(0..150, |seed| {
        let mut dice = Dice::new(seed, "run comings", 0);
        let mut plan = some_plan(&mut dice);
        let parts = [Part::Publishers, Part::Subscribers, Part::Idle, Part::All];
        for _ in 0..dice.within(&(1..=3)) {
            let (at_ns, for_ns) = (dice.within(&(0..=SECOND)), dice.within(&(0..=600 * MILLISECOND)));
            plan.absences.push(Absence { part: *dice.pick(&parts), at_ns, for_ns });
        }
        if plan.clients > plan.publishers + plan.subscribers {
            plan.stay_ns = Some(dice.within(&(20 * MILLISECOND..=SECOND)));
        }
        plan.reconnect = true;
        let setup = Setup { faults: Faults::some(seed), limit: 600 * SECOND, ..Setup::new(seed, 1) };
        let workers = dice.within(&(1..=3)) as usize;
        Scene { workers, ..Scene::new(setup, plan) }.play();
    });
}

/// A broker that takes long to let clients in does not slow a rate of connects down.
#[test]
fn connects_have_a_schedule_of_their_own() {
    let slow = Act::Delay(Spread::Fixed(400 * MILLISECOND));
    let script = Script::default().always(On::Packet(PacketType::Connect), slow);
    let plan = Plan { clients: 1000, connect_rate_per_s: Some(1000.0), ..plan(2, 1, 10.0) };
    for workers in [1, 2] {
        let setup = Setup { script: script.clone(), ..Setup::exact(1) };
        let played = Scene { workers, ..Scene::new(setup, plan.clone()) }.play();
        let mut dialled: Vec<Nanos> =
            played.world.truth().connections.iter().map(|one| one.dialled).collect();
        dialled.sort_unstable();
        let span = dialled[999] - dialled[0];
        assert!((990..1010).contains(&(span / MILLISECOND)), "{span} ns for 1,000 at 1,000/s");
        assert_eq!(played.record.counts.connections_established, 1000);
    }
}
