//! Where a publisher's messages went last, and whether that still holds.

use std::sync::atomic::{AtomicU64, Ordering};

use super::subscribers::Targets;
use super::topics::is_wildcard;

/// A resolved topic, kept by the connection that published to it: as long as nothing it rests on has
/// changed, a PUBLISH costs two loads and a comparison of topics, no lock, no hash, no allocation.
#[derive(Default)]
pub(super) struct Route {
    pub topic: String,
    pub stamp: Stamp,
    pub targets: Targets,
}

/// Versions of what a route rests on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Stamp {
    shard: u8,
    exact: u64,
    wildcard: u64,
}

/// Versions of the subscription table. A change of an exact filter touches one shard, so that clients
/// which come and go do not send every publisher to the table.
pub(super) struct Versions {
    exact: [AtomicU64; 256],
    wildcard: AtomicU64,
}

impl Versions {
    pub(super) fn new() -> Versions {
        // From 1: a stamp of zeros, which a new route has, is never current.
        Versions { exact: std::array::from_fn(|_| AtomicU64::new(1)), wildcard: AtomicU64::new(1) }
    }

    /// To be called after the change, before the table's lock is given up and the client is answered.
    pub(super) fn changed(&self, filter: &str) {
        let version =
            if is_wildcard(filter) { &self.wildcard } else { &self.exact[usize::from(shard(filter))] };
        version.fetch_add(1, Ordering::Release);
    }

    /// To be read while the table is locked.
    pub(super) fn stamp(&self, topic: &str) -> Stamp {
        self.load(shard(topic))
    }

    #[inline]
    pub(super) fn is_current(&self, stamp: Stamp) -> bool {
        self.load(stamp.shard) == stamp
    }

    #[inline]
    fn load(&self, shard: u8) -> Stamp {
        let exact = self.exact[usize::from(shard)].load(Ordering::Acquire);
        Stamp { shard, exact, wildcard: self.wildcard.load(Ordering::Acquire) }
    }
}

/// FNV-1a, folded to a byte. A collision only costs publishers a look into the table.
fn shard(topic: &str) -> u8 {
    let hash =
        topic.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
}
