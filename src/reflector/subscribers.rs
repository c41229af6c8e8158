//! The sessions subscribed to one topic filter.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::address::{Address, Target};
use crate::wire::QoS;

/// Where messages to one topic go; at most one entry for each session, ordered by address.
///
/// Nearly every topic of a point-to-point workload has one subscriber: that case needs no allocation, in
/// the table nor in the route that a publisher caches.
#[derive(Clone, Default, Debug)]
pub(super) enum Targets {
    #[default]
    None,
    One(Target),
    Many(Arc<[Target]>),
}

impl Targets {
    pub(super) fn as_slice(&self) -> &[Target] {
        match self {
            Targets::None => &[],
            Targets::One(target) => std::slice::from_ref(target),
            Targets::Many(targets) => targets,
        }
    }

    fn collect(granted: &BTreeMap<Address, QoS>) -> Targets {
        let mut targets = granted.iter().map(|(&address, &granted)| Target { address, granted });
        match (targets.next(), granted.len()) {
            (None, _) => Targets::None,
            (Some(only), 1) => Targets::One(only),
            (Some(first), _) => Targets::Many(std::iter::once(first).chain(targets).collect()),
        }
    }
}

/// The sessions subscribed to one filter, each with its granted QoS.
#[derive(Default, Debug)]
pub(super) enum Subscribers {
    #[default]
    None,
    One(Target),
    Many(Box<Crowd>),
}

#[derive(Default, Debug)]
pub(super) struct Crowd {
    granted: BTreeMap<Address, QoS>,
    /// All of them as a route, made when first asked for and shared by everyone who publishes here:
    /// a thousand publishers that fan out to a thousand sessions must not hold a million targets.
    targets: OnceLock<Targets>,
}

impl Subscribers {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Subscribers::None)
    }

    /// Adds a subscription or changes its QoS [MQTT-3.8.4-3]. True when the session is new here.
    pub(super) fn insert(&mut self, address: Address, granted: QoS) -> bool {
        match self {
            Subscribers::None => {
                *self = Subscribers::One(Target { address, granted });
                true
            }
            Subscribers::One(only) if only.address == address => {
                only.granted = granted;
                false
            }
            Subscribers::One(only) => {
                let granted = BTreeMap::from([(only.address, only.granted), (address, granted)]);
                *self = Subscribers::Many(Box::new(Crowd { granted, targets: OnceLock::new() }));
                true
            }
            Subscribers::Many(crowd) => {
                crowd.targets.take();
                crowd.granted.insert(address, granted).is_none()
            }
        }
    }

    /// Takes a session's subscription out and answers its granted QoS.
    pub(super) fn remove(&mut self, address: Address) -> Option<QoS> {
        match self {
            Subscribers::None => None,
            Subscribers::One(only) => {
                let granted = (only.address == address).then_some(only.granted)?;
                *self = Subscribers::None;
                Some(granted)
            }
            Subscribers::Many(crowd) => {
                let granted = crowd.granted.remove(&address)?;
                crowd.targets.take();
                if crowd.granted.is_empty() {
                    *self = Subscribers::None;
                }
                Some(granted)
            }
        }
    }

    /// Where a message goes that matches this filter and no other.
    pub(super) fn targets(&self) -> Targets {
        match self {
            Subscribers::None => Targets::None,
            Subscribers::One(only) => Targets::One(*only),
            Subscribers::Many(crowd) => {
                crowd.targets.get_or_init(|| Targets::collect(&crowd.granted)).clone()
            }
        }
    }

    /// The one of them whose turn it is.
    pub(super) fn one(&self, turn: usize) -> Subscribers {
        let targets = self.targets();
        let targets = targets.as_slice();
        targets.get(turn % targets.len().max(1)).map_or(Subscribers::None, |one| Subscribers::One(*one))
    }

    fn for_each(&self, mut visit: impl FnMut(Address, QoS)) {
        match self {
            Subscribers::None => {}
            Subscribers::One(only) => visit(only.address, only.granted),
            Subscribers::Many(crowd) => {
                crowd.granted.iter().for_each(|(address, granted)| visit(*address, *granted));
            }
        }
    }
}

/// Where a message goes that matches all these filters. A session that several of them name gets it once,
/// at the greatest QoS [MQTT-3.3.5-1].
pub(super) fn union(matching: &[&Subscribers]) -> Targets {
    match matching {
        [] => Targets::None,
        [only] => only.targets(),
        several => {
            let mut granted = BTreeMap::new();
            for subscribers in several {
                subscribers.for_each(|address, qos| {
                    granted.entry(address).and_modify(|held: &mut QoS| *held = qos.max(*held)).or_insert(qos);
                });
            }
            Targets::collect(&granted)
        }
    }
}
