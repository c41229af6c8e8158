//! Messages that are due and could not be sent yet.

use crate::clock::Nanos;

/// A queue threaded through [`Backlog`].
#[derive(Clone, Copy)]
pub struct Queue {
    head: u32,
    tail: u32,
    len: u32,
}

const NONE: u32 = u32::MAX;

impl Queue {
    /// Nothing waits.
    pub const EMPTY: Queue = Queue { head: NONE, tail: NONE, len: 0 };
}

/// The intended times of all messages that are due and could not be sent yet.
pub struct Backlog {
    entries: Vec<Entry>,
    free: u32,
    /// Most messages of one publisher.
    limit: u32,
}

struct Entry {
    intended: Nanos,
    next: u32,
}

impl Backlog {
    /// For at most `limit` messages of each publisher.
    pub fn new(limit: u32) -> Backlog {
        Backlog { entries: Vec::new(), free: NONE, limit }
    }

    /// Appends to `queue`; false when the publisher's share is full.
    pub fn push(&mut self, queue: &mut Queue, intended: Nanos) -> bool {
        if queue.len >= self.limit {
            return false;
        }
        let entry = Entry { intended, next: NONE };
        let at = match self.free {
            NONE => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
            at => {
                self.free = self.entries[at as usize].next;
                self.entries[at as usize] = entry;
                at
            }
        };
        match queue.tail {
            NONE => queue.head = at,
            tail => self.entries[tail as usize].next = at,
        }
        queue.tail = at;
        queue.len += 1;
        true
    }

    /// The first of `queue`.
    pub fn front(&self, queue: &Queue) -> Option<Nanos> {
        (queue.head != NONE).then(|| self.entries[queue.head as usize].intended)
    }

    /// Takes it away.
    pub fn pop(&mut self, queue: &mut Queue) {
        let at = queue.head;
        queue.head = self.entries[at as usize].next;
        if queue.head == NONE {
            queue.tail = NONE;
        }
        self.entries[at as usize].next = self.free;
        self.free = at;
        queue.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_keeps_each_publishers_order_within_its_limit() {
        let mut backlog = Backlog::new(2);
        let (mut one, mut two) = (Queue::EMPTY, Queue::EMPTY);
        assert!(backlog.push(&mut one, 1) && backlog.push(&mut two, 2) && backlog.push(&mut one, 3));
        assert!(!backlog.push(&mut one, 4), "full");
        assert_eq!((backlog.front(&one), one.len), (Some(1), 2));
        backlog.pop(&mut one);
        assert!(backlog.push(&mut one, 5));
        backlog.pop(&mut one);
        assert_eq!(backlog.front(&one), Some(5));
        backlog.pop(&mut one);
        assert_eq!((backlog.front(&one), backlog.front(&two), two.len), (None, Some(2), 1));
        assert!(backlog.push(&mut one, 6));
        assert_eq!(backlog.front(&one), Some(6));
        assert_eq!(backlog.entries.len(), 3, "entries are used again");
    }
}
