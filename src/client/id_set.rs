//! A set of packet ids that is small while it is small.

/// Up to this many ids are searched one after the other: they fit one cache line.
const FEW: usize = 32;
const WORDS: usize = 1 << 10;

/// A set of packet ids. Membership costs a scan of at most 64 bytes, or one bit test in an 8 KiB map once
/// there were ever more than 32 ids. No heap while it has never held one.
#[derive(Debug)]
pub(super) enum IdSet {
    Few(Vec<u16>),
    Many { bits: Box<[u64; WORDS]>, count: usize },
}

impl IdSet {
    pub(super) const fn new() -> Self {
        Self::Few(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(ids) => ids.is_empty(),
            Self::Many { count, .. } => *count == 0,
        }
    }

    pub(super) fn contains(&self, id: u16) -> bool {
        match self {
            Self::Few(ids) => ids.contains(&id),
            Self::Many { bits, .. } => {
                let (word, bit) = place(id);
                bits[word] & bit != 0
            }
        }
    }

    /// False when the id was in the set already.
    pub(super) fn insert(&mut self, id: u16) -> bool {
        if self.contains(id) {
            return false;
        }
        match self {
            Self::Few(ids) if ids.len() < FEW => ids.push(id),
            Self::Few(ids) => {
                let mut bits = Box::new([0; WORDS]);
                for id in ids.iter().chain([&id]) {
                    let (word, bit) = place(*id);
                    bits[word] |= bit;
                }
                *self = Self::Many { bits, count: FEW + 1 };
            }
            Self::Many { bits, count } => {
                let (word, bit) = place(id);
                bits[word] |= bit;
                *count += 1;
            }
        }
        true
    }

    /// False when the id was not in the set.
    pub(super) fn remove(&mut self, id: u16) -> bool {
        match self {
            Self::Few(ids) => match ids.iter().position(|held| *held == id) {
                Some(at) => {
                    ids.swap_remove(at);
                    true
                }
                None => false,
            },
            Self::Many { bits, count } => {
                let (word, bit) = place(id);
                let held = bits[word] & bit != 0;
                bits[word] &= !bit;
                *count -= usize::from(held);
                held
            }
        }
    }
}

fn place(id: u16) -> (usize, u64) {
    (usize::from(id) / 64, 1 << (id % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 0u16..80), 0..400)) {
            let (mut set, mut model) = (IdSet::new(), BTreeSet::new());
            for (insert, id) in steps {
                // Spread over the whole range, the ends included.
                let id = id.wrapping_mul(827).wrapping_sub(1);
                if insert {
                    prop_assert_eq!(set.insert(id), model.insert(id));
                } else {
                    prop_assert_eq!(set.remove(id), model.remove(&id));
                }
                prop_assert_eq!(set.contains(id), model.contains(&id));
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
        }
    }
}
