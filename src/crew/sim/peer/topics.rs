//! Who has subscribed to what.

use crate::crew::sim::folding::FoldingState;
use crate::wire::{QoS, topic};
use std::collections::{BTreeMap, HashMap};

/// Subscribers of one filter. In a fixed order, so that worlds are the same again.
type Subscribers = BTreeMap<u32, QoS>;

/// All subscriptions. Filters without wildcards are found by the topic itself.
#[derive(Default)]
pub struct Topics {
    exact: HashMap<String, Subscribers, FoldingState>,
    wild: Vec<(String, Subscribers)>,
    /// By the whole of `$share/<name>/<filter>`: each message is for one of them.
    shared: BTreeMap<String, Subscribers>,
}

/// The filter of a shared subscription.
fn shared(filter: &str) -> Option<&str> {
    filter.strip_prefix("$share/")?.split_once('/').map(|(_, filter)| filter)
}

impl Topics {
    /// Subscribes, or changes the QoS.
    pub fn add(&mut self, filter: &str, session: u32, qos: QoS) {
        let subscribers = if shared(filter).is_some() {
            self.shared.entry(filter.to_owned()).or_default()
        } else if filter.contains(['+', '#']) {
            let place = self.wild.iter().position(|(known, _)| known == filter).unwrap_or_else(|| {
                self.wild.push((filter.to_owned(), Subscribers::new()));
                self.wild.len() - 1
            });
            &mut self.wild[place].1
        } else {
            self.exact.entry(filter.to_owned()).or_default()
        };
        subscribers.insert(session, qos);
    }

    /// Ends a subscription.
    pub fn remove(&mut self, filter: &str, session: u32) {
        if let Some(subscribers) = self.shared.get_mut(filter) {
            subscribers.remove(&session);
        }
        if let Some(subscribers) = self.exact.get_mut(filter) {
            subscribers.remove(&session);
        }
        if let Some((_, subscribers)) = self.wild.iter_mut().find(|(known, _)| known == filter) {
            subscribers.remove(&session);
        }
    }

    /// Whoever is to have a message to `name`, once each, at the greatest QoS that it has subscribed with. `turn` says who
    /// it is of those who share.
    pub fn find(&self, name: &str, turn: usize, found: &mut Vec<(u32, QoS)>) {
        found.clear();
        if let Some(subscribers) = self.exact.get(name) {
            found.extend(subscribers.iter().map(|(session, qos)| (*session, *qos)));
        }
        for (filter, subscribers) in &self.wild {
            if !subscribers.is_empty() && topic::matches(filter, name) {
                found.extend(subscribers.iter().map(|(session, qos)| (*session, *qos)));
            }
        }
        for (filter, subscribers) in &self.shared {
            if shared(filter).is_some_and(|filter| topic::matches(filter, name)) && !subscribers.is_empty() {
                let one = subscribers.iter().nth(turn % subscribers.len());
                found.extend(one.map(|(session, qos)| (*session, *qos)));
            }
        }
        found.sort_unstable_by_key(|(session, qos)| (*session, std::cmp::Reverse(*qos)));
        found.dedup_by_key(|(session, _)| *session);
    }
}
