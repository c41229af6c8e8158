//! A ring of slots addressed by packet id.

/// Positions in the id space. Id 0 is not a packet id [MQTT-2.3.1-1]; the ring passes over it like over
/// any other vacant position, which makes all id arithmetic plain wrapping `u16` arithmetic.
const POSITIONS: u32 = 1 << 16;

/// What is outstanding in a contiguous (wrapping) run of ids, oldest first.
///
/// Lookup by id, append and removal are O(1) and, once the ring has grown to its working size, without
/// allocation. An id acknowledged out of order leaves a vacancy until everything older is gone too, so
/// the front of a ring that is not empty is always occupied. An empty ring that was never used owns no
/// memory.
#[derive(Debug)]
pub(super) struct Ring<E> {
    /// The entry of id `i` is at `i & (len - 1)`; the length is 0 or a power of two.
    slots: Box<[Option<E>]>,
    /// Id of the oldest position; of the next append while the span is 0.
    first: u16,
    occupied: u16,
    /// Positions from the oldest entry to the newest position, vacancies included: 0..=65,536.
    span: u32,
}

impl<E> Ring<E> {
    pub(super) fn new(first: u16) -> Self {
        Self { slots: Box::default(), first, occupied: 0, span: 0 }
    }

    /// Entries, vacancies not counted.
    pub(super) fn occupied(&self) -> usize {
        usize::from(self.occupied)
    }

    /// The id the next append gets.
    #[inline]
    pub(super) fn next(&self) -> u16 {
        self.first.wrapping_add(self.span as u16)
    }

    /// True when the run covers every id: nothing can be appended before the front is taken away.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.span == POSITIONS
    }

    #[inline]
    pub(super) fn push(&mut self, entry: E) {
        self.make_room();
        let index = self.index(self.next());
        self.slots[index] = Some(entry);
        self.span += 1;
        self.occupied += 1;
    }

    /// Passes over the next id: somebody else uses it.
    pub(super) fn skip(&mut self) {
        if self.span == 0 {
            self.first = self.first.wrapping_add(1);
        } else {
            self.make_room();
            self.span += 1;
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u16) -> Option<&mut E> {
        if !self.covers(id) {
            return None;
        }
        let index = self.index(id);
        self.slots[index].as_mut()
    }

    #[inline]
    pub(super) fn remove(&mut self, id: u16) -> Option<E> {
        if !self.covers(id) {
            return None;
        }
        let index = self.index(id);
        let entry = self.slots[index].take()?;
        self.occupied -= 1;
        if id == self.first {
            self.drop_vacant_front();
        }
        Some(entry)
    }

    pub(super) fn front(&self) -> Option<&E> {
        if self.span == 0 { None } else { self.slots[self.index(self.first)].as_ref() }
    }

    pub(super) fn pop_front(&mut self) -> Option<(u16, E)> {
        let id = self.first;
        self.remove(id).map(|entry| (id, entry))
    }

    /// All entries with their ids, oldest first.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut E)> {
        // The run may wrap around the end of the slots: the oldest part is behind, the newest in front.
        let split = if self.span == 0 { 0 } else { self.index(self.first) };
        let first = self.first;
        let (newest, oldest) = self.slots.split_at_mut(split);
        oldest
            .iter_mut()
            .chain(newest)
            .enumerate()
            .filter_map(move |(at, slot)| slot.as_mut().map(|entry| (first.wrapping_add(at as u16), entry)))
    }

    /// Takes all entries, oldest first; the ids go on where they were.
    pub(super) fn take(&mut self) -> impl Iterator<Item = E> + use<E> {
        let split = if self.span == 0 { 0 } else { self.index(self.first) };
        let next = self.next();
        let mut slots = std::mem::replace(self, Self::new(next)).slots.into_vec();
        slots.rotate_left(split);
        slots.into_iter().flatten()
    }

    #[cfg(test)]
    pub(super) fn is_unallocated(&self) -> bool {
        self.slots.is_empty()
    }

    #[inline]
    fn covers(&self, id: u16) -> bool {
        u32::from(id.wrapping_sub(self.first)) < self.span
    }

    #[inline]
    fn index(&self, id: u16) -> usize {
        usize::from(id) & (self.slots.len() - 1)
    }

    fn drop_vacant_front(&mut self) {
        while self.span > 0 && self.slots[self.index(self.first)].is_none() {
            self.first = self.first.wrapping_add(1);
            self.span -= 1;
        }
    }

    #[inline]
    fn make_room(&mut self) {
        assert!(!self.is_full(), "the ring already covers every packet id");
        let needed = self.span as usize + 1;
        if needed >= self.slots.len() && self.slots.len() < POSITIONS as usize {
            self.make_room_for(needed);
        }
    }

    /// One slot is kept to spare for a run that has id 0 still ahead: passing over it makes the run one
    /// position longer, and a window at its working size is not to allocate for that once in 65,535
    /// messages.
    #[cold]
    fn make_room_for(&mut self, needed: usize) {
        let next = self.next();
        let zero_ahead = next != 0 && next >= self.first;
        if needed + usize::from(zero_ahead) > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let old_mask = self.slots.len().wrapping_sub(1);
        let capacity = (self.slots.len() * 2).max(2);
        let mut old = std::mem::take(&mut self.slots);
        self.slots = std::iter::repeat_with(|| None).take(capacity).collect();
        for at in 0..self.span {
            let id = self.first.wrapping_add(at as u16);
            let index = self.index(id);
            self.slots[index] = old[usize::from(id) & old_mask].take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_id_until_removed() {
        let mut ring = Ring::new(1);
        for value in 1..=100u16 {
            assert_eq!(ring.next(), value);
            ring.push(value);
        }
        assert_eq!(ring.get_mut(57), Some(&mut 57));
        assert_eq!(ring.remove(57), Some(57));
        assert_eq!(ring.remove(57), None);
        assert_eq!(ring.get_mut(0), None);
        assert_eq!(ring.get_mut(101), None);
        assert_eq!(ring.occupied(), 99);
    }

    #[test]
    fn vacancies_go_with_the_front() {
        let mut ring = Ring::new(1);
        (1..=4u16).for_each(|value| ring.push(value));
        ring.remove(2);
        ring.remove(3);
        assert_eq!(ring.front(), Some(&1));
        ring.remove(1);
        assert_eq!(ring.front(), Some(&4));
        assert_eq!(ring.pop_front(), Some((4, 4)));
        assert_eq!(ring.front(), None);
        assert_eq!(ring.next(), 5);
    }

    #[test]
    fn order_survives_wrap_growth_and_vacancies() {
        let mut ring = Ring::new(65_530);
        for _ in 0..20 {
            let id = ring.next();
            if id == 0 { ring.skip() } else { ring.push(id) }
        }
        ring.remove(65_535);
        let expected: Vec<u16> = (65_530..65_535).chain(1..=13).collect();
        assert!(ring.iter_mut().all(|(id, entry)| id == *entry));
        assert_eq!(ring.iter_mut().map(|(id, _)| id).collect::<Vec<_>>(), expected);
        assert_eq!(ring.take().collect::<Vec<_>>(), expected);
        assert_eq!((ring.occupied(), ring.next()), (0, 14));
    }

    #[test]
    fn a_run_may_cover_every_id() {
        let mut ring = Ring::new(9);
        for _ in 0..POSITIONS {
            let id = ring.next();
            if id == 0 { ring.skip() } else { ring.push(id) }
        }
        assert!(ring.is_full());
        assert_eq!(ring.occupied(), 65_535);
        assert_eq!(ring.pop_front(), Some((9, 9)));
        assert!(!ring.is_full());
        assert_eq!(ring.next(), 9);
    }

    #[test]
    fn a_window_keeps_its_size_over_many_laps() {
        for window in [1, 2, 7, 8] {
            let mut ring = Ring::new(1);
            let mut sizes = Vec::new();
            for _ in 0..200_000 {
                let id = ring.next();
                if id == 0 {
                    ring.skip();
                } else {
                    ring.push(id);
                }
                if ring.occupied() == window {
                    ring.pop_front();
                    sizes.push(ring.slots.len());
                }
            }
            assert!(sizes.iter().all(|size| *size == sizes[0]), "window {window} grew");
        }
    }

    #[test]
    fn skipping_on_an_empty_ring_costs_nothing() {
        let mut ring = Ring::<u8>::new(1);
        ring.skip();
        assert_eq!((ring.next(), ring.is_unallocated()), (2, true));
    }
}
