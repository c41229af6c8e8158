use proptest::prelude::*;

use super::*;
use crate::reflector::address::{SessionKey, Target};
use crate::wire::topic::matches;

fn address(index: u32) -> Address {
    Address { worker: (index % 3) as u16, key: SessionKey { index, generation: 1 } }
}

fn targets(subscriptions: &Subscriptions, name: &str) -> Vec<(u32, QoS)> {
    let mut found: Vec<_> = subscriptions
        .resolve(name)
        .as_slice()
        .iter()
        .map(|Target { address, granted }| (address.key.index, *granted))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn a_session_with_overlapping_filters_is_one_target_at_the_greatest_qos() {
    let mut table = Subscriptions::default();
    table.insert("a/b", address(1), QoS::AtMostOnce);
    table.insert("a/#", address(1), QoS::ExactlyOnce);
    table.insert("+/b", address(1), QoS::AtLeastOnce);
    table.insert("#", address(2), QoS::AtMostOnce);
    assert_eq!(targets(&table, "a/b"), [(1, QoS::ExactlyOnce), (2, QoS::AtMostOnce)]);
    assert_eq!(targets(&table, "x/b"), [(1, QoS::AtLeastOnce), (2, QoS::AtMostOnce)]);
}

#[test]
fn dollar_topics_need_their_first_level_by_name() {
    let mut table = Subscriptions::default();
    table.insert("#", address(1), QoS::AtMostOnce);
    table.insert("+/x", address(2), QoS::AtMostOnce);
    table.insert("$app/+", address(3), QoS::AtMostOnce);
    table.insert("$app/#", address(4), QoS::AtMostOnce);
    assert_eq!(targets(&table, "$app/x"), [(3, QoS::AtMostOnce), (4, QoS::AtMostOnce)]);
}

#[test]
fn a_filter_is_new_to_a_session_once() {
    let mut table = Subscriptions::default();
    for filter in ["a/b", "a/+"] {
        assert_eq!(table.insert(filter, address(1), QoS::AtMostOnce).as_deref(), Some(filter));
        assert_eq!(table.insert(filter, address(1), QoS::AtLeastOnce), None);
        assert_eq!(table.insert(filter, address(2), QoS::AtMostOnce).as_deref(), Some(filter));
        assert_eq!(table.insert(filter, address(2), QoS::AtMostOnce), None);
        assert_eq!(table.remove(filter, address(1)), Some(QoS::AtLeastOnce));
        assert_eq!(table.remove(filter, address(1)), None);
    }
    assert_eq!(targets(&table, "a/b"), [(2, QoS::AtMostOnce)]);
}

#[test]
fn the_deepest_filter_there_can_be_is_matched_and_dropped() {
    let mut table = Subscriptions::default();
    let filter = format!("{}+", "+/".repeat(32_767));
    let name = "a/".repeat(32_767);
    table.insert(&filter, address(1), QoS::AtMostOnce);
    table.insert(&format!("{name}#"), address(2), QoS::AtMostOnce);
    assert_eq!(targets(&table, &name).len(), 2);
    assert_eq!(table.remove(&filter, address(1)), Some(QoS::AtMostOnce));
    assert_eq!(targets(&table, &name).len(), 1);
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let mut table = Subscriptions::default();
    for filter in ["a/b/c", "a/+/c", "a/#", "#", "+", "/", "/+"] {
        table.insert(filter, address(1), QoS::AtMostOnce);
    }
    for filter in ["a/b/c", "a/+/c", "a/#", "#", "+", "/", "/+"] {
        assert_eq!(table.remove(filter, address(1)), Some(QoS::AtMostOnce), "{filter}");
    }
    assert!(table.exact.is_empty());
    assert!(table.wildcard.nodes[0].is_empty());
    assert_eq!(table.wildcard.vacant.len() + 1, table.wildcard.nodes.len());
}

#[derive(Clone, Debug)]
enum Step {
    Insert(String, u32, u8),
    Remove(usize),
    Resolve(String),
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$s"]), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("topics are not empty", |name| !name.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "", "$s", "+", "+"]);
    (prop::collection::vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, multi_level)| {
            if multi_level {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("filters are not empty", |filter| !filter.is_empty())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (filter(), 0..6_u32, 0..3_u8).prop_map(|(filter, who, qos)| Step::Insert(filter, who, qos)),
        2 => any::<usize>().prop_map(Step::Remove),
        4 => name().prop_map(Step::Resolve),
    ]
}

proptest! {
    #[test]
    fn resolving_agrees_with_trying_every_filter(steps in prop::collection::vec(step(), 1..80)) {
        let mut table = Subscriptions::default();
        let mut naive: Vec<(String, u32, QoS)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(filter, who, qos) => {
                    let qos = QoS::try_from(qos).unwrap();
                    let held = naive.iter_mut().find(|(f, w, _)| *f == filter && *w == who);
                    let new = table.insert(&filter, address(who), qos);
                    prop_assert_eq!(new.is_some(), held.is_none());
                    match held {
                        Some(held) => held.2 = qos,
                        None => naive.push((filter, who, qos)),
                    }
                }
                Step::Remove(at) if !naive.is_empty() => {
                    let (filter, who, qos) = naive.swap_remove(at % naive.len());
                    prop_assert_eq!(table.remove(&filter, address(who)), Some(qos));
                }
                Step::Remove(_) => {}
                Step::Resolve(name) => {
                    let expected: Vec<_> = (0..6)
                        .filter_map(|who| {
                            let mine = naive.iter().filter(|(f, w, _)| *w == who && matches(f, &name));
                            mine.map(|(_, _, qos)| *qos).max().map(|qos| (who, qos))
                        })
                        .collect();
                    prop_assert_eq!(targets(&table, &name), expected);
                }
            }
        }
    }
}

#[test]
fn those_who_share_have_turns_beside_those_who_do_not() {
    let mut table = Subscriptions::default();
    for (filter, session) in [("$share/a/t/#", 1), ("$share/a/t/#", 2), ("$share/b/t/+", 3), ("t/x", 4)] {
        assert_eq!(table.insert(filter, address(session), QoS::AtLeastOnce).as_deref(), Some(filter));
    }
    let mut had = [0; 5];
    for _ in 0..10 {
        let targets = targets(&table, "t/x");
        assert_eq!(targets.len(), 3, "one of each share, and who has subscribed alone: {targets:?}");
        targets.iter().for_each(|(session, _)| had[*session as usize] += 1);
    }
    assert_eq!((had[1] + had[2], had[3], had[4]), (10, 10, 10));
    assert!(had[1] > 0 && had[2] > 0, "{had:?}");
    assert_eq!(targets(&table, "u/x"), []);
    assert_eq!(table.remove("$share/a/t/#", address(1)), Some(QoS::AtLeastOnce));
    assert_eq!(table.remove("$share/a/t/#", address(1)), None);
    assert!(targets(&table, "t/x").contains(&(2, QoS::AtLeastOnce)));
    for (filter, session) in [("$share/a/t/#", 2), ("$share/b/t/+", 3)] {
        assert_eq!(table.remove(filter, address(session)), Some(QoS::AtLeastOnce));
    }
    assert!(table.shared.is_empty() && table.wildcard.is_empty());
    assert_eq!(targets(&table, "t/x"), [(4, QoS::AtLeastOnce)]);
    // Without a name or a filter it is a filter like any other.
    table.insert("$share/#", address(5), QoS::AtMostOnce);
    assert_eq!(targets(&table, "$share/x"), [(5, QoS::AtMostOnce)]);
}
