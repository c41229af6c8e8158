//! Which subscriptions a topic name matches (4.7).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::address::Address;
use super::subscribers::{Subscribers, Targets, union};
use crate::wire::{QoS, topic};

#[cfg(test)]
mod tests;

/// All subscriptions of the broker: filters without a wildcard in a hash table, the others in a trie.
#[derive(Default)]
pub(super) struct Subscriptions {
    exact: HashMap<Arc<str>, Subscribers>,
    wildcard: Trie,
    /// By all of `$share/<name>/<filter>`.
    shared: BTreeMap<Arc<str>, Share>,
}

/// Those who share: each message is for one of them. A publisher that goes on with a route goes on with whom it was given;
/// many publishers are spread evenly.
#[derive(Default)]
struct Share {
    members: Subscribers,
    /// Whose turn it is.
    turn: AtomicUsize,
}

/// The filter of a shared subscription, `$share/<name>/<filter>`.
pub(super) fn shared(filter: &str) -> Option<&str> {
    let (name, filter) = filter.strip_prefix("$share/")?.split_once('/')?;
    (!name.is_empty() && !filter.is_empty()).then_some(filter)
}

/// Whether a filter can match more than one topic name; of a shared one that is not looked into.
pub(super) fn is_wildcard(filter: &str) -> bool {
    filter.starts_with("$share/") || filter.bytes().any(|byte| byte == b'+' || byte == b'#')
}

impl Subscriptions {
    /// Adds a subscription or changes its QoS. Answers the filter, to be remembered by the session, when
    /// the session did not have it before.
    pub(super) fn insert(&mut self, filter: &str, address: Address, granted: QoS) -> Option<Arc<str>> {
        if shared(filter).is_some() {
            let share = self.shared.entry(Arc::from(filter)).or_default();
            return share.members.insert(address, granted).then(|| Arc::from(filter));
        }
        if is_wildcard(filter) {
            return self.wildcard.insert(filter, address, granted).then(|| Arc::from(filter));
        }
        if let Some(subscribers) = self.exact.get_mut(filter) {
            let new = subscribers.insert(address, granted);
            return new.then(|| {
                let (shared, _) = self.exact.get_key_value(filter).expect("it was found a line before");
                Arc::clone(shared)
            });
        }
        let shared: Arc<str> = Arc::from(filter);
        let mut subscribers = Subscribers::default();
        subscribers.insert(address, granted);
        self.exact.insert(Arc::clone(&shared), subscribers);
        Some(shared)
    }

    /// Takes a subscription out and answers its granted QoS; `None` when there was none.
    pub(super) fn remove(&mut self, filter: &str, address: Address) -> Option<QoS> {
        if shared(filter).is_some() {
            let share = self.shared.get_mut(filter)?;
            let granted = share.members.remove(address);
            if share.members.is_empty() {
                self.shared.remove(filter);
            }
            return granted;
        }
        if is_wildcard(filter) {
            return self.wildcard.remove(filter, address);
        }
        let subscribers = self.exact.get_mut(filter)?;
        let granted = subscribers.remove(address)?;
        if subscribers.is_empty() {
            self.exact.remove(filter);
        }
        Some(granted)
    }

    /// Where a message to this topic name goes.
    pub(super) fn resolve(&self, name: &str) -> Targets {
        if self.wildcard.is_empty() && self.shared.is_empty() {
            // No allocation: a publisher that uses many topics comes here for each message.
            return self.exact.get(name).map(Subscribers::targets).unwrap_or_default();
        }
        let mut matching: Vec<&Subscribers> = Vec::new();
        matching.extend(self.exact.get(name));
        self.wildcard.matching(name, &mut matching);
        let asks = |filter: &str| shared(filter).is_some_and(|filter| topic::matches(filter, name));
        let sharing = self.shared.iter().filter(|(filter, _)| asks(filter));
        let sharing = sharing.map(|(_, share)| share.members.one(share.turn.fetch_add(1, Ordering::Relaxed)));
        let sharing: Vec<Subscribers> = sharing.collect();
        matching.extend(&sharing);
        union(&matching)
    }
}

/// Filters with wildcards, level by level. Nodes live in one vector and walks keep their own stack: a
/// filter of 32,768 levels is valid, and neither matching nor dropping it may recurse that deep.
#[derive(Default)]
struct Trie {
    nodes: Vec<Node>,
    vacant: Vec<u32>,
}

#[derive(Default)]
struct Node {
    /// Next level by name; `+` is a name like any other here.
    children: HashMap<Box<str>, u32>,
    /// Filters that end at this node.
    here: Subscribers,
    /// Filters that end with `#` after this node.
    below: Subscribers,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.here.is_empty() && self.below.is_empty()
    }
}

const ROOT: u32 = 0;

/// Splits off a last level of `#`. The rest is `None` when `#` was all.
fn split_multi_level(filter: &str) -> (Option<&str>, bool) {
    match filter.strip_suffix('#') {
        None => (Some(filter), false),
        Some("") => (None, true),
        Some(parent) => (Some(parent.strip_suffix('/').unwrap_or(parent)), true),
    }
}

impl Trie {
    fn is_empty(&self) -> bool {
        self.nodes.first().is_none_or(Node::is_empty)
    }

    fn insert(&mut self, filter: &str, address: Address, granted: QoS) -> bool {
        let (levels, multi_level) = split_multi_level(filter);
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = ROOT;
        for level in levels.into_iter().flat_map(|levels| levels.split('/')) {
            at = match self.nodes[at as usize].children.get(level) {
                Some(&child) => child,
                None => {
                    let child = self.vacant.pop().unwrap_or_else(|| {
                        self.nodes.push(Node::default());
                        u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 levels in all filters")
                    });
                    self.nodes[at as usize].children.insert(Box::from(level), child);
                    child
                }
            };
        }
        let node = &mut self.nodes[at as usize];
        if multi_level { &mut node.below } else { &mut node.here }.insert(address, granted)
    }

    fn remove(&mut self, filter: &str, address: Address) -> Option<QoS> {
        let (levels, multi_level) = split_multi_level(filter);
        let mut path: Vec<(u32, &str)> = Vec::new();
        let mut at = ROOT;
        self.nodes.first()?;
        for level in levels.into_iter().flat_map(|levels| levels.split('/')) {
            path.push((at, level));
            at = *self.nodes[at as usize].children.get(level)?;
        }
        let node = &mut self.nodes[at as usize];
        let granted = if multi_level { &mut node.below } else { &mut node.here }.remove(address)?;
        // Nodes without a purpose go, from the end towards the root.
        for (parent, level) in path.into_iter().rev() {
            if !self.nodes[at as usize].is_empty() {
                break;
            }
            self.nodes[at as usize] = Node::default();
            self.vacant.push(at);
            self.nodes[parent as usize].children.remove(level);
            at = parent;
        }
        Some(granted)
    }

    fn matching<'t>(&'t self, name: &str, found: &mut Vec<&'t Subscribers>) {
        if self.is_empty() {
            return;
        }
        // Each entry: a node, and where in `name` the level after it starts; past the end means no more.
        let mut open = vec![(ROOT, 0)];
        while let Some((at, start)) = open.pop() {
            let node = &self.nodes[at as usize];
            // A wildcard in the first level does not match names that begin with $ [MQTT-4.7.2-1].
            let wildcards_match = at != ROOT || !name.starts_with('$');
            if !node.below.is_empty() && wildcards_match {
                found.push(&node.below);
            }
            if start > name.len() {
                if !node.here.is_empty() {
                    found.push(&node.here);
                }
                continue;
            }
            let rest = &name[start..];
            let level = rest.split_once('/').map_or(rest, |(level, _)| level);
            let next = start + level.len() + 1;
            if let Some(&child) = node.children.get(level) {
                open.push((child, next));
            }
            if wildcards_match && let Some(&child) = node.children.get("+") {
                open.push((child, next));
            }
        }
    }
}
