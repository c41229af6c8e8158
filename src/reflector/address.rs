//! How one part of the broker names a session that lives in another.

use crate::wire::QoS;

/// Place of a session in its worker's table. The generation tells a session from the one that had the
/// place before, so that a message that comes too late finds nobody instead of a stranger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct SessionKey {
    pub index: u32,
    pub generation: u32,
}

/// Place of a session among all workers. Ordered by worker, so that a sorted list can be cut into one
/// piece for each worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Address {
    pub worker: u16,
    pub key: SessionKey,
}

/// Where a message goes, with the greatest QoS that the subscriptions there were granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub address: Address,
    pub granted: QoS,
}
