//! Messages that are due and could not be sent yet.

use crate::clock::Nanos;

/// A queue threaded through [`Backlog`].
#[derive(Clone, Copy, Default)]
pub struct Queue {
    /// The last entry; the first one follows it.
    last: u32,
    len: u32,
}

/// The intended times of all messages that are due and could not be sent yet.
pub struct Backlog {
    /// Each with the entry that follows it in its queue.
    entries: Vec<(Nanos, u32)>,
    /// Entries to be used again.
    free: Vec<u32>,
    /// Most messages of one publisher.
    limit: u32,
}

impl Backlog {
    /// For at most `limit` messages of each publisher.
    pub fn new(limit: u32) -> Backlog {
        Backlog { entries: Vec::new(), free: Vec::new(), limit }
    }

    /// From now on at most `limit` messages of each publisher.
    pub fn limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Appends to `queue`; false when the publisher's share is full.
    pub fn push(&mut self, queue: &mut Queue, intended: Nanos) -> bool {
        if queue.len >= self.limit {
            return false;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push((0, 0));
            (self.entries.len() - 1) as u32
        });
        let first = match queue.len {
            0 => at,
            _ => std::mem::replace(&mut self.entries[queue.last as usize].1, at),
        };
        self.entries[at as usize] = (intended, first);
        *queue = Queue { last: at, len: queue.len + 1 };
        true
    }

    fn first(&self, queue: Queue) -> Option<u32> {
        (queue.len > 0).then(|| self.entries[queue.last as usize].1)
    }

    /// The first of `queue`.
    pub fn front(&self, queue: Queue) -> Option<Nanos> {
        self.first(queue).map(|first| self.entries[first as usize].0)
    }

    /// Takes it away.
    pub fn pop(&mut self, queue: &mut Queue) -> Option<Nanos> {
        let first = self.first(*queue)?;
        let (intended, second) = self.entries[first as usize];
        self.entries[queue.last as usize].1 = second;
        self.free.push(first);
        queue.len -= 1;
        Some(intended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_keeps_each_publishers_order_within_its_limit() {
        let mut backlog = Backlog::new(2);
        let (mut one, mut two) = (Queue::default(), Queue::default());
        assert!(backlog.push(&mut one, 1) && backlog.push(&mut two, 2) && backlog.push(&mut one, 3));
        assert!(!backlog.push(&mut one, 4), "full");
        assert_eq!((backlog.front(one), one.len), (Some(1), 2));
        backlog.pop(&mut one);
        assert!(backlog.push(&mut one, 5));
        backlog.pop(&mut one);
        assert_eq!(backlog.front(one), Some(5));
        backlog.pop(&mut one);
        assert_eq!((backlog.front(one), backlog.front(two), two.len), (None, Some(2), 1));
        assert!(backlog.push(&mut one, 6));
        assert_eq!(backlog.front(one), Some(6));
        assert_eq!(backlog.entries.len(), 3, "entries are used again");
    }
}
