//! Subscriptions that come and go, in a simulated world.

use super::*;
use crate::record::Flap;
use crate::wire::{Publish, QoS};

/// Pairs whose subscribers flap, for a second.
fn flapping(clients: u32, qos: u8, rate_per_s: f64, [every_ns, for_ns]: [Nanos; 2]) -> Plan {
    Plan { flap: Some(Flap { every_ns, for_ns }), ..plan(clients, qos, rate_per_s) }
}

/// What is published while a filter is not there is not expected, and nothing else is missed.
#[test]
fn what_is_published_while_nobody_is_subscribed_is_not_expected() {
    for (qos, workers) in [(0, 1), (1, 2), (2, 3)] {
        let plan = flapping(20, qos, 1000.0, [250 * MILLISECOND, 100 * MILLISECOND]);
        let played = Scene { workers, ..Scene::new(Setup::exact(1), plan) }.play();
        let counts = &played.record.counts;
        // 10 subscribers, 4 times each.
        assert_eq!((played.record.latencies.unsuback.count, counts.connections_established), (40, 20));
        assert!((46..=50).contains(&counts.subscribed), "the last are still gone: {}", counts.subscribed);
        assert_eq!(counts.sent, 1000);
        // Of 100 a second each has 10 less of each 25.
        assert!((600..=650).contains(&counts.expected), "{counts:?}");
        assert_eq!(counts.delivered, counts.expected);
        assert_eq!(given(&played.world, &played.record).received, counts.delivered, "whatever the peer gave");
        assert_eq!(
            (counts.lost, counts.undelivered_at_end, counts.duplicated, counts.misrouted),
            (0, 0, 0, 0)
        );
        assert_eq!(played.record.exit_code, 0, "{}", played.record.exit_reason);
    }
}

/// Without a pause a subscription is back as soon as it is gone.
#[test]
fn without_a_pause_hardly_anything_is_missed() {
    let plan = flapping(10, 1, 1000.0, [100 * MILLISECOND, 0]);
    let counts = Scene::new(Setup::exact(1), plan).play().record.counts;
    assert!((45..=55).contains(&counts.subscribed), "5 at first, 50 again: {}", counts.subscribed);
    assert!((980..=1000).contains(&counts.expected), "{counts:?}");
    assert_eq!((counts.delivered, counts.lost, counts.duplicated), (counts.expected, 0, 0));
}

/// Everything that is lost while a subscription is certain is missed; nothing else is, however late things come.
#[test]
fn what_is_lost_is_told_and_what_is_late_is_not() {
    explore(0..80, |seed| {
        let mut dice = Dice::new(seed, "run flapping", 0);
        let (qos, lossy) = (dice.within(&(0..=2)) as u8, dice.chance(0.5));
        let times = [dice.within(&(50 * MILLISECOND..=SECOND)), dice.within(&(0..=200 * MILLISECOND))];
        let (publishers, subscribers) = (dice.within(&(1..=8)) as u32, dice.within(&(1..=8)) as u32);
        let clients = publishers + subscribers;
        let plan = flapping(2, qos, dice.within(&(20..=800)) as f64, times);
        let plan = Plan { clients, publishers, subscribers, clean_session: dice.chance(0.5), ..plan };
        let faults = Faults {
            dropped: if lossy { 0.05 } else { 0.0 },
            delivery_late: 0.3,
            delivery_delay: 0..=200 * MILLISECOND,
            ack_late: 0.3,
            ack_delay: 0..=200 * MILLISECOND,
            answer_late: 0.3,
            answer_delay: 0..=50 * MILLISECOND,
            ..Faults::default()
        };
        let setup = Setup { faults, ..Setup::new(seed, 1) };
        let workers = dice.within(&(1..=3)) as usize;
        let played = Scene { workers, ..Scene::new(setup, plan) }.play();
        let (counts, truth) = (&played.record.counts, played.world.truth());
        let (absent, dropped) = (counts.lost + counts.undelivered_at_end, truth.fates(Fate::Dropped) as u64);
        assert_eq!((counts.misrouted, counts.duplicated, counts.subscribe_failures), (0, 0, 0), "{counts:?}");
        assert_eq!(counts.delivered, given(&played.world, &played.record).received, "{counts:?}");
        // What is dropped while a subscription comes or goes is nobody's.
        assert!(absent <= dropped, "{absent} of {dropped}: {counts:?}");
        let most = dropped - absent;
        assert!(most <= dropped / 2 + 8, "{absent} of {dropped}: {counts:?}");
    });
}

/// A subscriber waits for what left before it was to go.
#[test]
fn nobody_goes_without_what_is_owed() {
    let script = Script::default().always(On::Delivery, Act::Delay(Spread::Fixed(400 * MILLISECOND)));
    let plan = flapping(2, 0, 100.0, [200 * MILLISECOND, 0]);
    let played = Scene::new(Setup { script, ..Setup::exact(1) }, plan).play();
    let (counts, latencies) = (&played.record.counts, &played.record.latencies);
    // At 0, when nothing is owed, and from then on each second time.
    assert!((3..=4).contains(&latencies.unsuback.count), "{counts:?}");
    assert_eq!((counts.delivered, counts.lost), (counts.expected, 0));
}

/// A broker that goes on delivering to who has unsubscribed is told of.
#[test]
fn what_comes_without_a_subscription_is_misrouted() {
    let plan = Plan { verify: record::Verify::None, ..flapping(2, 1, 100.0, [SECOND, 200 * MILLISECOND]) };
    let stamp = Stamp { run_id: run_id(7), publisher: 0, sequence: 50, intended: 0 }.encode();
    let payload = [&stamp[..], &vec![0; plan.size_bytes as usize - stamp.len()]].concat();
    let mut bytes = Vec::new();
    Publish::encode_head(false, QoS::AtMostOnce, false, "bench/0", None, payload.len(), &mut bytes);
    bytes.extend(payload);
    let mut script = Script::default().at(SECOND + 150 * MILLISECOND, Act::Also(bytes));
    script.moments[0].client = Some("c-1".into());
    let record = Scene::new(Setup { script, ..Setup::exact(1) }, plan).play().record;
    assert_eq!((record.counts.misrouted, record.exit_code), (1, 5), "{:?}", record.counts);
}

/// UNSUBSCRIBE that is never answered is a failure, and the subscriber comes back.
#[test]
fn unsuback_that_never_comes_is_told() {
    let script = Script::default().first(1, On::Packet(PacketType::Unsubscribe), Act::Never);
    let plan = Plan {
        connect_timeout_ns: 200 * MILLISECOND,
        ..flapping(2, 1, 100.0, [300 * MILLISECOND, 50 * MILLISECOND])
    };
    let played = Scene::new(Setup { script, ..Setup::exact(1) }, plan).play();
    let counts = &played.record.counts;
    assert_eq!((counts.subscribe_failures, counts.connections_lost), (1, 0));
    assert!(played.record.warnings.iter().any(|warning| warning.contains("no UNSUBACK within 200 ms")));
    assert!(counts.subscribed >= 3 && counts.delivered == counts.expected, "{counts:?}");
}

/// Whoever flaps, whatever a broker does: the laws hold.
#[test]
fn the_laws_hold_for_those_who_flap() {
    explore(0..150, |seed| {
        let mut dice = Dice::new(seed, "run flapping anything", 0);
        let mut plan = some_plan(&mut dice);
        (plan.share, plan.groups) = (None, None);
        let every_ns = dice.within(&(20 * MILLISECOND..=SECOND));
        plan.flap = Some(Flap { every_ns, for_ns: dice.within(&(0..=300 * MILLISECOND)) });
        let setup = Setup { faults: Faults::some(seed), limit: 600 * SECOND, ..Setup::new(seed, 1) };
        let workers = dice.within(&(1..=3)) as usize;
        Scene { workers, ..Scene::new(setup, plan) }.play();
    });
}
