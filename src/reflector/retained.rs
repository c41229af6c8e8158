//! Retained messages (3.3.1.3).

use std::collections::BTreeMap;
use std::ops::Bound;

use super::message::{Kept, Message};
use super::topics::is_wildcard;
use crate::wire::topic::matches;

/// The last retained message of each topic, in the order of topic names: a filter looks only at the names
/// that begin as it does before its first wildcard.
#[derive(Default)]
pub(super) struct Retained {
    messages: BTreeMap<Box<str>, Kept>,
    bytes: usize,
}

impl Retained {
    /// Puts the message in the place of its predecessor [MQTT-3.3.1-5]; an empty payload only clears the
    /// topic [MQTT-3.3.1-10], [MQTT-3.3.1-11]. False when there is no room in `limit` bytes: the
    /// predecessor is gone all the same, which is the newest true state of the topic.
    pub(super) fn put(&mut self, message: &Message<'_>, limit: usize) -> bool {
        if let Some(old) = self.messages.remove(message.topic) {
            self.bytes -= old.cost();
        }
        if message.payload.is_empty() {
            return true;
        }
        let kept = message.keep(message.qos);
        if self.bytes + kept.cost() > limit {
            return false;
        }
        self.bytes += kept.cost();
        self.messages.insert(Box::from(message.topic), kept);
        true
    }

    /// Appends what a new subscription to `filter` is to be sent [MQTT-3.3.1-6].
    pub(super) fn collect(&self, filter: &str, found: &mut Vec<Kept>) {
        if !is_wildcard(filter) {
            found.extend(self.messages.get(filter).cloned());
            return;
        }
        let literal = filter.split(['+', '#']).next().unwrap_or_default();
        // "sport/#" matches "sport" too (4.7.1.2).
        let prefix = literal.strip_suffix('/').unwrap_or(literal);
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let candidates = self.messages.range::<str, _>(from).take_while(|(name, _)| name.starts_with(prefix));
        found.extend(candidates.filter(|(name, _)| matches(filter, name)).map(|(_, kept)| kept.clone()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::QoS;

    fn collect(retained: &Retained, filter: &str) -> Vec<String> {
        let mut found = Vec::new();
        retained.collect(filter, &mut found);
        found.iter().map(|kept| kept.topic().to_owned()).collect()
    }

    #[test]
    fn the_last_message_of_a_topic_counts_and_an_empty_one_clears_it() {
        let mut retained = Retained::default();
        assert!(retained.put(&Message::new("a", b"old", QoS::AtMostOnce), 1000));
        assert!(retained.put(&Message::new("a", b"new", QoS::AtLeastOnce), 1000));
        let mut found = Vec::new();
        retained.collect("a", &mut found);
        assert_eq!((found[0].payload(), found[0].qos, found.len()), (&b"new"[..], QoS::AtLeastOnce, 1));
        assert!(retained.put(&Message::new("a", b"", QoS::AtMostOnce), 1000));
        assert!(collect(&retained, "#").is_empty());
        assert_eq!(retained.bytes, 0);
    }

    #[test]
    fn the_bound_on_bytes_holds() {
        let mut retained = Retained::default();
        assert!(retained.put(&Message::new("a", &[1; 600], QoS::AtMostOnce), 1000));
        assert!(!retained.put(&Message::new("b", &[1; 600], QoS::AtMostOnce), 1000));
        assert_eq!(collect(&retained, "#"), ["a"]);
    }

    proptest! {
        #[test]
        fn a_filter_finds_what_it_matches(
            names in prop::collection::btree_set("[ab$/]{1,5}", 0..30),
            filter in prop::sample::select(vec!["#", "+", "a/#", "a/+", "a", "+/a", "a/+/b", "/#", "$/#", "ab/#", "/"]),
        ) {
            let mut retained = Retained::default();
            for name in &names {
                retained.put(&Message::new(name, b"x", QoS::AtMostOnce), usize::MAX);
            }
            let expected: Vec<_> = names.iter().filter(|name| matches(filter, name)).cloned().collect();
            prop_assert_eq!(collect(&retained, filter), expected);
        }
    }
}
