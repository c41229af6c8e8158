//! What a client has published at QoS 1 and 2 and not yet seen through: the in-flight window, the packet
//! ids, and the order for redelivery.

use super::id_set::IdSet;
use super::ring::Ring;
use crate::wire::{PacketId, PacketType};
use std::collections::VecDeque;

/// Packet ids there are: 1..=65,535.
pub(super) const IDS: usize = 65_535;

/// The packet that an outstanding PUBLISH waits for (4.3.2, 4.3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// PUBACK.
    Ack,
    /// PUBREC.
    Receipt,
    /// PUBCOMP.
    Completion,
}

impl Stage {
    pub(super) fn awaited(self) -> PacketType {
        match self {
            Stage::Ack => PacketType::PubAck,
            Stage::Receipt => PacketType::PubRec,
            Stage::Completion => PacketType::PubComp,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<T> {
    pub(super) token: T,
    pub(super) stage: Stage,
}

/// An entry's ack, or the reason why there is none.
// The tag for the reason told at `Event`.
#[derive(Debug, PartialEq)]
#[repr(u64)]
pub(super) enum Found<T> {
    OnTime(T),
    /// The owner had given it up by [`Outbound::expire_oldest`].
    Late(T),
    /// Something is outstanding under the id, but waits for another packet.
    Awaits(Stage),
    Nothing,
}

/// Entries older than everything in the ring, oldest first.
#[derive(Debug)]
struct Early<T> {
    entries: VecDeque<(u16, Entry<T>)>,
    /// How many of them, from the front, the owner has given up.
    expired: usize,
    /// The ids of all of them.
    ids: IdSet,
}

/// Entries stand in the order of their publishing: first those in `early`, then those in the ring.
///
/// The ring does all the work as long as acknowledgements come. Only what the owner has given up, and what
/// is still unacknowledged when the ids have gone once around, moves to `early`, where it no longer stands
/// in the way; an ack there costs a scan.
#[derive(Debug)]
pub(super) struct Outbound<T> {
    ring: Ring<Entry<T>>,
    early: Option<Box<Early<T>>>,
}

impl<T: Copy> Outbound<T> {
    pub(super) fn new() -> Self {
        Self { ring: Ring::new(1), early: None }
    }

    /// Entries outstanding that the owner has not given up.
    #[inline]
    pub(super) fn inflight(&self) -> usize {
        let early = self.early.as_ref().map_or(0, |early| early.entries.len() - early.expired);
        self.ring.occupied() + early
    }

    /// Ids that are not free, including those of given up entries.
    #[inline]
    pub(super) fn ids_in_use(&self) -> usize {
        self.ring.occupied() + self.early.as_ref().map_or(0, |early| early.entries.len())
    }

    pub(super) fn push(&mut self, token: T, stage: Stage, taken: impl Fn(u16) -> bool) -> PacketId {
        let id = self.free_id(taken);
        self.ring.push(Entry { token, stage });
        id
    }

    /// Takes an id for something that is kept elsewhere; `taken` must know it from now on.
    pub(super) fn pass_id(&mut self, taken: impl Fn(u16) -> bool) -> PacketId {
        let id = self.free_id(taken);
        self.ring.skip();
        id
    }

    /// Moves the ring's next position to an id that nobody uses, and tells it. There must be one.
    #[inline]
    fn free_id(&mut self, taken: impl Fn(u16) -> bool) -> PacketId {
        // Once around all positions, id 0 included.
        for _ in 0..=IDS {
            if self.ring.is_full() {
                self.move_front_to_early();
            }
            let next = self.ring.next();
            match PacketId::new(next) {
                Some(id) if !taken(next) && !self.is_early(next) => return id,
                _ => self.ring.skip(),
            }
        }
        panic!("a packet id is wanted and none is free");
    }

    /// The final acknowledgement, PUBACK or PUBCOMP as `stage` says.
    #[inline]
    pub(super) fn finish(&mut self, id: PacketId, stage: Stage) -> Found<T> {
        match self.ring.get_mut(id.get()) {
            Some(entry) if entry.stage == stage => {}
            Some(entry) => return Found::Awaits(entry.stage),
            None => return self.finish_early(id, stage),
        }
        let entry = self.ring.remove(id.get()).expect("it was there a moment ago");
        Found::OnTime(entry.token)
    }

    #[cold]
    fn finish_early(&mut self, id: PacketId, stage: Stage) -> Found<T> {
        let Some((early, at)) = self.find_early(id) else { return Found::Nothing };
        let found = early.entries[at].1.stage;
        if found != stage {
            return Found::Awaits(found);
        }
        let late = at < early.expired;
        let (_, entry) = early.entries.remove(at).expect("found above");
        early.expired -= usize::from(late);
        early.ids.remove(id.get());
        if early.entries.is_empty() {
            self.early = None;
        }
        if late { Found::Late(entry.token) } else { Found::OnTime(entry.token) }
    }

    /// PUBREC: from now on the entry waits for PUBCOMP.
    pub(super) fn receive(&mut self, id: PacketId) -> Found<T> {
        let (entry, late) = match self.ring.get_mut(id.get()) {
            Some(entry) => (entry, false),
            None => match self.find_early(id) {
                Some((early, at)) => (&mut early.entries[at].1, at < early.expired),
                None => return Found::Nothing,
            },
        };
        if entry.stage != Stage::Receipt {
            return Found::Awaits(entry.stage);
        }
        entry.stage = Stage::Completion;
        if late { Found::Late(entry.token) } else { Found::OnTime(entry.token) }
    }

    /// What waits under an id, whatever it waits for.
    pub(super) fn stage(&mut self, id: PacketId) -> Option<Stage> {
        match self.ring.get_mut(id.get()) {
            Some(entry) => Some(entry.stage),
            None => self.find_early(id).map(|(early, at)| early.entries[at].1.stage),
        }
    }

    /// The oldest entry that the owner has not given up.
    pub(super) fn oldest(&self) -> Option<&T> {
        let early = self.early.as_ref().and_then(|early| early.entries.get(early.expired));
        early.map(|(_, entry)| entry).or_else(|| self.ring.front()).map(|entry| &entry.token)
    }

    /// Gives the oldest entry up: it no longer counts as in flight. Its id stays in use until it is acked.
    pub(super) fn expire_oldest(&mut self) -> Option<T> {
        let token = *self.oldest()?;
        if self.early.as_ref().is_none_or(|early| early.entries.len() == early.expired) {
            self.move_front_to_early();
        }
        self.early.as_mut().expect("oldest() found one, and it is early now").expired += 1;
        Some(token)
    }

    /// Everything outstanding in the order of its publishing, given up or not.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PacketId, &mut Entry<T>)> {
        let early =
            self.early.iter_mut().flat_map(|early| &mut early.entries).map(|(id, entry)| (*id, entry));
        early
            .chain(self.ring.iter_mut())
            .map(|(id, entry)| (PacketId::new(id).expect("position 0 is never occupied"), entry))
    }

    /// Forgets everything; the answer is what the owner has not given up, oldest first.
    pub(super) fn take(&mut self) -> impl Iterator<Item = T> + use<T> {
        let early =
            self.early.take().into_iter().flat_map(|early| early.entries.into_iter().skip(early.expired));
        early.map(|(_, entry)| entry).chain(self.ring.take()).map(|entry| entry.token)
    }

    #[inline]
    fn is_early(&self, id: u16) -> bool {
        self.early.as_ref().is_some_and(|early| early.ids.contains(id))
    }

    fn find_early(&mut self, id: PacketId) -> Option<(&mut Early<T>, usize)> {
        let early = self.early.as_deref_mut()?;
        if !early.ids.contains(id.get()) {
            return None;
        }
        let at = early.entries.iter().position(|(held, _)| *held == id.get());
        Some((early, at.expect("`ids` holds the ids of `entries`")))
    }

    #[cold]
    fn move_front_to_early(&mut self) {
        let (id, entry) = self.ring.pop_front().expect("only called when the ring holds something");
        let early = self.early.get_or_insert_with(|| {
            Box::new(Early { entries: VecDeque::new(), expired: 0, ids: IdSet::new() })
        });
        early.entries.push_back((id, entry));
        let fresh = early.ids.insert(id);
        assert!(fresh, "packet id {id} is in use twice");
    }

    #[cfg(test)]
    pub(super) fn is_unallocated(&self) -> bool {
        self.ring.is_unallocated() && self.early.is_none()
    }
}
