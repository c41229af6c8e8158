//! Subscribers that share a group's messages, and filters that are not the topics.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// `publishers` with a topic each, and `subscribers` that share all of it, for a second.
fn sharing(publishers: u32, subscribers: u32, qos: u8, rate_per_s: f64) -> Plan {
    Plan {
        clients: publishers + subscribers,
        publishers,
        subscribers,
        topology: Topology::FanIn,
        topic_template: "bench/%i".into(),
        groups: Some(1),
        share: Some("perf".into()),
        filters: vec!["bench/+".into()],
        ..plan(2, qos, rate_per_s)
    }
}

/// What those who share were given, each message to one of them: received, reordered, duplicated, and lost by all.
fn given_to_all(played: &Played) -> [u64; 4] {
    let (plan, truth) = (&played.record.plan, played.world.truth());
    let mut all = BTreeMap::<u32, BTreeSet<u64>>::new();
    let [mut received, mut reordered, mut duplicated] = [0; 3];
    for index in plan.publishers..plan.clients {
        let client = truth.find_client(&format!("c-{index}")).expect("all have connected");
        let mut highest = BTreeMap::<u32, u64>::new();
        for (_, message) in truth.heard_by(client) {
            let stamp = Stamp::decode(&message.payload, run_id(plan.seed)).expect("nothing is made up");
            let next = highest.entry(stamp.publisher).or_default();
            match all.entry(stamp.publisher).or_default().insert(stamp.sequence) {
                false => duplicated += 1,
                true => {
                    received += 1;
                    reordered += u64::from(stamp.sequence < *next);
                    *next = (*next).max(stamp.sequence + 1);
                }
            }
        }
    }
    let absent = |heard: &BTreeSet<u64>| heard.last().map_or(0, |last| last + 1 - heard.len() as u64);
    [received, reordered, duplicated, all.values().map(absent).sum()]
}

/// Each message is for one of those who share, whichever worker has it; what came of it is counted once.
#[test]
fn what_is_shared_is_counted_once_by_all_together() {
    explore(0..60, |seed| {
        let mut dice = Dice::new(seed, "run shared", 0);
        let qos = dice.within(&(0..=2)) as u8;
        let (publishers, subscribers) = (dice.within(&(1..=12)) as u32, dice.within(&(1..=6)) as u32);
        let plan = sharing(publishers, subscribers, qos, dice.within(&(20..=800)) as f64);
        let faults = Faults {
            dropped: 0.02,
            twice: 0.02,
            swapped: 0.05,
            delivery_late: 0.2,
            delivery_delay: 0..=300 * MILLISECOND,
            ..Faults::default()
        };
        let workers = dice.within(&(1..=3)) as usize;
        let setup = Setup { faults, ..Setup::new(seed, 1) };
        let played = Scene { workers, ..Scene::new(setup, plan) }.play();
        let counts = &played.record.counts;
        assert_eq!(played.record.ended, Ended::Completed);
        assert_eq!(counts.expected, counts.sent, "each once, however many share");
        assert_eq!(
            [counts.delivered, counts.reordered, counts.duplicated, counts.lost],
            given_to_all(&played),
            "{counts:?}"
        );
    });
}

/// A member that nothing comes to does not make the run wait, and nothing is expected of it.
#[test]
fn those_who_share_all_have_a_part() {
    let played = Scene { workers: 2, ..Scene::new(Setup::exact(1), sharing(10, 5, 1, 1000.0)) }.play();
    let (counts, truth) = (&played.record.counts, played.world.truth());
    assert_eq!((counts.subscribed, counts.expected, counts.delivered), (5, 1000, 1000));
    assert_eq!((counts.lost, counts.reordered, counts.duplicated), (0, 0, 0));
    for index in 10..15 {
        let client = truth.find_client(&format!("c-{index}")).unwrap();
        assert!(truth.heard_by(client).count() > 100, "{index}");
    }
    assert_eq!(played.record.exit_code, 0, "{}", played.record.exit_reason);
}

/// Groups share among themselves.
#[test]
fn groups_do_not_share_with_others() {
    let plan = Plan {
        groups: Some(3),
        topic_template: "bench/%p/%i".into(),
        filters: vec!["bench/%p/+".into()],
        ..sharing(9, 6, 1, 900.0)
    };
    let counts = Scene { workers: 2, ..Scene::new(Setup::exact(1), plan) }.play().record.counts;
    assert_eq!((counts.expected, counts.delivered, counts.misrouted, counts.lost), (900, 900, 0, 0));
}

/// Without a share a group is an audience: with one group everybody hears everybody, by topics or by filters.
#[test]
fn one_group_is_everybody() {
    for filters in [vec![], vec!["bench/+".to_owned()], vec!["bench/0".to_owned(), "bench/1/#".to_owned()]] {
        let plan = Plan { share: None, filters, ..sharing(2, 20, 1, 20.0) };
        let played = Scene::new(Setup::exact(1), plan).play();
        let counts = &played.record.counts;
        assert_eq!((counts.sent, counts.expected, counts.delivered), (20, 400, 400));
        assert_eq!((counts.subscribed, played.record.exit_code), (20, 0));
    }
}

/// Filters that bring something never, twice or to others are told before anything is sent.
#[test]
fn filters_match_each_topic_once() {
    let refused = |groups, filters: &[&str]| {
        let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let plan =
            Plan { groups: Some(groups), filters, topic_template: "b/%p/%i".into(), ..sharing(4, 4, 1, 4.0) };
        let Scene { setup, spec, .. } = Scene::new(Setup::exact(1), plan);
        Shared::new(spec, setup.start).err().map(|error| error.to_string())
    };
    for (groups, filters) in
        [(1, &["b/+/+"][..]), (2, &["b/%p/#"]), (2, &["b/%p/0", "b/%p/1", "b/%p/2", "b/%p/3"])]
    {
        assert_eq!(refused(groups, filters), None, "{filters:?}");
    }
    for (groups, filters, part) in [
        (1, &["c/#"][..], "`b/0/0` of group 0 is matched by none"),
        (1, &["b/#", "b/0/+"], "is matched by b/# and b/0/+"),
        (2, &["b/#"], "none that of another"),
        (1, &["b/+/0"], "`b/0/1` of group 0 is matched by none"),
    ] {
        let error = refused(groups, filters).unwrap_or_else(|| panic!("{filters:?}"));
        assert!(error.contains(part), "{error}");
    }
}
