//! The state of a worker's connections, one small record per slot of the registered-file table.

use super::buffers::BufferId;
use super::ring::Tag;
use super::{CloseCause, Conn};
use std::ops::Range;

/// Where a connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Free,
    Connecting,
    Open,
    /// Closes once everything unsent has gone; the app hears of nothing but [`App::closed`](super::App::closed).
    Draining,
    /// Cancelled and closed; waiting for the last completions.
    Closing,
}

/// What has become of the file of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Open,
    /// It was asked what its peer has not acknowledged.
    Asked,
    /// Closed, or about to be.
    Closed,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub state: State,
    /// A send is with the kernel, or the rest of one waits for room: `sending` must not be touched.
    pub sending_now: bool,
    /// The kernel did not take all of it, and its completion is still to be handled.
    pub send_failed: bool,
    /// The socket's send buffer is full; a poll for room is out.
    pub blocked: bool,
    /// In the list of slots with something to submit.
    pub dirty: bool,
    /// A connect is with the kernel.
    pub connecting: bool,
    /// A receive is armed. When it ends without an error it is armed again.
    pub receiving: bool,
    /// Receives say when bytes had arrived.
    pub stamped: bool,
    /// The app does not want to receive for now.
    pub held: bool,
    pub ending: Ending,
    /// Completions that are still to come, the armed receive and the send included. The slot's file and buffers are
    /// in use until it is 0.
    pub outstanding: u8,
    pub cause: CloseCause,
    /// Counts the connections of this slot, so that a stale completion is recognised.
    pub generation: u32,
    /// Bytes with the kernel, of which the first `sent` have gone.
    pub sending: BufferId,
    pub sent: u32,
    /// Bytes for the next send.
    pub out: BufferId,
    /// The beginning of an unfinished packet.
    pub carry: BufferId,
}

impl Slot {
    const FREE: Slot = Slot {
        state: State::Free,
        sending_now: false,
        send_failed: false,
        blocked: false,
        dirty: false,
        connecting: false,
        receiving: false,
        stamped: false,
        held: false,
        ending: Ending::Open,
        outstanding: 0,
        cause: CloseCause::Local,
        generation: 0,
        sending: BufferId::NONE,
        sent: 0,
        out: BufferId::NONE,
        carry: BufferId::NONE,
    };

    /// Whether the app has a say in it.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Connecting | State::Open)
    }
}

/// All slots of a worker. Grows to the highest slot in use.
pub struct Slots(Vec<Slot>);

impl Slots {
    /// None in use yet. Room for `connections` is never moved; what of it is not used is no memory.
    pub fn with_room(connections: u32) -> Slots {
        Slots(Vec::with_capacity(connections as usize))
    }

    /// The state of `conn`, whose slot has been in use.
    pub fn get(&self, conn: Conn) -> &Slot {
        &self.0[conn.0 as usize]
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, conn: Conn) -> &mut Slot {
        &mut self.0[conn.0 as usize]
    }

    /// Whether all of `conns` are in use.
    pub fn are_taken(&self, conns: Range<usize>) -> bool {
        self.0.get(conns).is_some_and(|slots| slots.iter().all(|slot| slot.state != State::Free))
    }

    /// Makes `conn` a new connection in `state`.
    pub fn open(&mut self, conn: Conn, state: State) -> &mut Slot {
        let index = conn.0 as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, Slot::FREE);
        }
        let slot = &mut self.0[index];
        assert_eq!(slot.state, State::Free, "slot {index} is in use");
        let generation = (slot.generation + 1) % Tag::GENERATIONS;
        *slot = Slot { state, generation, ..Slot::FREE };
        slot
    }

    /// The slot a completion is for, unless its connection has gone since.
    pub fn current(&mut self, tag: Tag) -> Option<&mut Slot> {
        self.0
            .get_mut(tag.slot as usize)
            .filter(|slot| slot.state != State::Free && slot.generation == tag.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_small() {
        assert!(std::mem::size_of::<Slot>() <= 40, "{}", std::mem::size_of::<Slot>());
    }
}
