//! One direction of a connection: bytes in the order in which they were written.

use crate::clock::Nanos;
use std::collections::VecDeque;

/// Bytes on their way and in the receiver's kernel, bounded by a window.
///
/// `buffer[head..]` is, in this order: what the receiving program has read and not used up (`read`), what
/// waits in its kernel (`unread`), and what is in flight.
#[derive(Default)]
pub struct Pipe {
    buffer: Vec<u8>,
    head: usize,
    read: usize,
    unread: usize,
    /// When the last of that came in.
    arrived: Nanos,
    in_flight: usize,
    /// Lengths of the packets in flight.
    pieces: VecDeque<u32>,
    /// When the last packet arrives: none overtakes another.
    pub last_arrival: Nanos,
    /// All bytes that the sender's kernel ever took.
    pub taken: u64,
    /// Most bytes unread and in flight.
    window: usize,
    /// The sender has more than there was room for, and waits to hear of some.
    pub waiting: bool,
}

impl Pipe {
    /// With nothing in it.
    pub fn new(window: usize) -> Pipe {
        Pipe { window, ..Pipe::default() }
    }

    /// Takes as many of `bytes` as there is room for; they are in flight then, in packets to be announced by
    /// [`Pipe::announce`].
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.window.saturating_sub(self.unread + self.in_flight));
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.in_flight += taken;
        self.taken += taken as u64;
        taken
    }

    /// Of the bytes taken last, so many make a packet.
    pub fn announce(&mut self, length: usize) {
        self.pieces.push_back(length as u32);
    }

    /// The next packet has arrived.
    pub fn arrive(&mut self, now: Nanos) {
        self.arrived = now;
        let length = self.pieces.pop_front().expect("one arrival for each packet") as usize;
        self.in_flight -= length;
        self.unread += length;
    }

    /// Bytes that have not arrived there.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes that wait in the receiver's kernel.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// When the last of them came in.
    pub fn arrived(&self) -> Nanos {
        self.arrived
    }

    /// The program receives up to `most` bytes.
    pub fn receive(&mut self, most: usize) -> usize {
        let received = self.unread.min(most);
        self.unread -= received;
        self.read += received;
        received
    }

    /// The first `length` bytes that the program has received and not used up.
    pub fn front(&self, length: usize) -> &[u8] {
        assert!(length <= self.read, "more than was received");
        &self.buffer[self.head..self.head + length]
    }

    /// So many bytes are used up.
    pub fn consume(&mut self, length: usize) {
        assert!(length <= self.read, "more than was received");
        self.read -= length;
        self.head += length;
        if self.head == self.buffer.len() {
            self.buffer.clear();
            self.head = 0;
        } else if self.head > 64 * 1024 && self.head > self.buffer.len() / 2 {
            self.buffer.drain(..self.head);
            self.head = 0;
        }
    }

    /// Of all bytes that were ever taken, those that are used up.
    pub fn consumed(&self) -> u64 {
        self.taken - (self.buffer.len() - self.head) as u64
    }

    /// Whether a sender that waits is told of room: a third of it, as Linux does.
    pub fn has_room(&self) -> bool {
        (self.unread + self.in_flight) * 3 <= self.window * 2
    }

    /// Takes the buffer out, to be put back when its content has been looked at. Nothing may be written meanwhile.
    pub fn lend(&mut self) -> (Vec<u8>, usize, usize) {
        (std::mem::take(&mut self.buffer), self.head, self.read)
    }

    /// Puts back what [`Pipe::lend`] gave.
    pub fn put_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }
}
