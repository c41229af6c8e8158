//! What is going to happen, in its order.

use super::net::Key;
use crate::clock::Nanos;
use crate::engine::Conn;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens at a moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Event {
    /// A worker comes out of its wait, or has done what kept it busy.
    Turn(u32),
    /// A timeout of a worker fires.
    Timer(u32, Nanos),
    /// A worker's bell is rung.
    Bell(u32),
    /// A worker loses its CPU for so long.
    Stall(u32, Nanos),
    /// A SYN arrives at the peer, for the so-many-eth time.
    Syn(Key, u8),
    /// The answer to a SYN arrives: established, or an errno.
    Connected(Key, i32),
    /// Bytes arrive at the peer.
    UpPiece(Key),
    /// Bytes arrive at the client.
    DownPiece(Key),
    /// A client's FIN or RST arrives at the peer.
    UpEnd(Key, End),
    /// The peer's FIN or RST arrives at the client.
    DownEnd(Key, End),
    /// The client hears that the peer has read.
    UpRoom(Key),
    /// The peer hears that the client has read.
    DownRoom(Key),
    /// The last completion of a connection that is torn down.
    Gone(u32, Conn, u32),
    /// The peer does what it had put off.
    Later(u32),
    /// A moment that somebody outside of the world waits for.
    Alarm(u64),
}

/// How one side of a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    Fin,
    Reset,
}

/// The future: a heap. What happens at the same moment happens in the order in which it was foreseen.
#[derive(Default)]
pub struct Events {
    heap: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    count: u64,
}

impl Events {
    /// Lets `event` happen at `time`.
    pub fn at(&mut self, time: Nanos, event: Event) {
        self.count += 1;
        self.heap.push(Reverse((time, self.count, event)));
    }

    /// The next thing that happens.
    pub fn pop(&mut self) -> Option<(Nanos, Event)> {
        self.heap.pop().map(|Reverse((time, _, event))| (time, event))
    }

    /// When the next thing happens.
    pub fn next_time(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((time, ..))| *time)
    }
}
