//! The transports of a worker's connections, and the bytes on both sides of them.

use super::Ends;
use crate::clock::{Nanos, SECOND};
use crate::engine::{CloseCause, Closed, Conn, Handshake, Link};
use crate::transport::{Agreed, Channel, Keepsake, Trouble};
use std::collections::VecDeque;
use std::mem;

/// Longest wait of a server for the end of a handshake.
const PATIENCE: Nanos = 10 * SECOND;
/// Most bytes that are kept of what comes before a handshake has its turn: a chain of certificates is a tenth of it.
const LARGEST_FLIGHT: usize = 1 << 18;

/// What is known of a connection.
#[derive(Default)]
struct Slot {
    /// Of one whose handshake has begun.
    channel: Option<Channel>,
    /// Of one whose handshake is not done.
    opening: Option<Box<Opening>>,
    /// Bytes on their way, while there are any.
    held: Option<Box<Held>>,
    /// What its client has kept.
    keepsake: Keepsake,
    /// Why it cannot go on.
    trouble: Option<Trouble>,
    /// It has been closed from this side: nothing more is said or heard.
    shut: bool,
    /// The peer has closed its side, as a transport does.
    ended: bool,
    /// The application knows of it.
    known: bool,
}

/// A handshake under way.
struct Opening {
    /// Which broker, and which client: of one that was dialled.
    dialled: Option<(u32, u32)>,
    /// When the connection was there.
    began: Option<Nanos>,
    /// What has come for it and waits for its turn, and since when it waits.
    arrived: Vec<u8>,
    waits: Option<Nanos>,
    /// How long it has waited for turns.
    waited: Nanos,
}

/// Bytes on their way.
#[derive(Default)]
struct Held {
    /// Said in this pass, and not sealed.
    out: Vec<u8>,
    /// Come, and not whole.
    wire: Vec<u8>,
    /// Unsealed, and not taken by the application.
    plain: Vec<u8>,
    /// What was sealed and may not have gone: how much was said, and what it became; and the sums of both.
    sealed: VecDeque<(usize, usize)>,
    sums: (usize, usize),
    /// Is in [`Doors::dirty`], in [`Doors::leaving`].
    dirty: bool,
    leaving: bool,
}

/// Whom a connection is opened to.
pub(super) enum Opened {
    Dialled,
    Accepted,
}

/// An end, as the application sees it.
pub(super) struct Ended {
    /// Whether it knows of the connection.
    pub known: bool,
    pub closed: Closed,
}

/// The transports of all connections of a worker.
pub(super) struct Doors {
    ends: Ends,
    slots: Vec<Slot>,
    /// Never goes back, and is later than the link's within a pass that has worked on handshakes.
    pub now: Nanos,
    /// Time worked on handshakes.
    pub worked: Nanos,
    /// Handshakes that wait for their turn.
    turns: VecDeque<Conn>,
    /// When handshakes of those who were accepted began: of those who dial somebody else has a limit.
    guests: VecDeque<(Nanos, Conn)>,
    /// Connections with something to seal, and those of which something was sealed that may not have gone.
    dirty: Vec<Conn>,
    leaving: Vec<Conn>,
    /// Not in use. Boxed, as they are in the slots: one is never moved.
    #[expect(clippy::vec_box, reason = "a box goes to a slot and comes back")]
    spare: Vec<Box<Held>>,
    wire: Vec<u8>,
    plain: Vec<u8>,
    answer: Vec<u8>,
    between: Vec<u8>,
    nowhere: Vec<u8>,
    /// Of the connection that is being announced.
    opened: (Conn, Handshake),
}

impl Doors {
    /// None yet; they are made as `ends` says.
    pub fn new(ends: Ends) -> Doors {
        Doors {
            ends,
            slots: Vec::new(),
            now: 0,
            worked: 0,
            turns: VecDeque::new(),
            guests: VecDeque::new(),
            dirty: Vec::new(),
            leaving: Vec::new(),
            spare: Vec::new(),
            wire: Vec::new(),
            plain: Vec::new(),
            answer: Vec::new(),
            between: Vec::new(),
            nowhere: Vec::new(),
            opened: (Conn(u32::MAX), Handshake::None),
        }
    }

    /// A callback begins.
    pub fn begin<L: Link>(&mut self, link: &L) {
        self.now = self.now.max(link.now());
    }

    fn slot(&mut self, conn: Conn) -> &mut Slot {
        &mut self.slots[conn.0 as usize]
    }

    fn known(&self, conn: Conn) -> Option<&Slot> {
        self.slots.get(conn.0 as usize)
    }

    fn fresh(&mut self, conn: Conn) -> &mut Slot {
        let at = conn.0 as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Slot::default);
        }
        &mut self.slots[at]
    }

    /// Client `client` connects to broker number `host`.
    pub fn dialled(&mut self, conn: Conn, host: u32, client: u32) {
        let slot = self.fresh(conn);
        slot.known = true;
        slot.opening = Some(Opening::new(Some((host, client))));
    }

    /// Somebody has connected.
    pub fn accepted(&mut self, conn: Conn) {
        self.fresh(conn).opening = Some(Opening::new(None));
    }

    /// The connection is there: its handshake has its turn when there is time.
    pub fn begin_handshake<L: Link>(&mut self, link: &L, conn: Conn) {
        let now = link.now();
        let slot = self.slot(conn);
        let Some(opening) = slot.opening.as_mut().filter(|_| !slot.shut) else { return };
        (opening.began, opening.waits) = (Some(now), Some(now));
        let guest = opening.dialled.is_none();
        self.turns.push_back(conn);
        if guest {
            self.guests.push_back((now, conn));
        }
    }

    /// Ends handshakes of guests who take too long; answers when to look again.
    pub fn poll_guests<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        while let Some(&(began, conn)) = self.guests.front() {
            let slot = self.slot(conn);
            let shakes =
                slot.opening.as_ref().is_some_and(|opening| opening.began == Some(began)) && !slot.shut;
            if shakes && link.now() < began + PATIENCE {
                return Some(began + PATIENCE);
            }
            if shakes {
                slot.shut = true;
                link.abort(conn);
            }
            self.guests.pop_front();
        }
        None
    }

    /// Whether something can be said on `conn`.
    pub fn is_open(&self, conn: Conn) -> bool {
        self.known(conn).is_some_and(|slot| slot.opening.is_none() && slot.channel.is_some() && !slot.shut)
    }

    /// Keeps what has come for a handshake until its turn.
    pub fn defer<L: Link>(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) {
        let slot = self.slot(conn);
        let Some(opening) = slot.opening.as_mut().filter(|_| !slot.shut) else { return };
        if opening.arrived.len() + bytes.len() > LARGEST_FLIGHT {
            return self.fail(link, conn, Trouble::Misbehaved);
        }
        opening.arrived.extend_from_slice(bytes);
        if opening.waits.is_none() {
            opening.waits = Some(link.arrived());
            self.turns.push_back(conn);
        }
    }

    /// Whose handshake is to go on.
    pub fn next_turn(&mut self) -> Option<Conn> {
        while let Some(conn) = self.turns.pop_front() {
            let slot = self.slot(conn);
            if !slot.shut && slot.opening.as_ref().is_some_and(|opening| opening.waits.is_some()) {
                return Some(conn);
            }
        }
        None
    }

    /// Whether there are any that wait.
    pub fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// One step of a handshake. Answers whether it was the last, and what was said behind it.
    pub fn shake<L: Link>(&mut self, link: &mut L, conn: Conn) -> (Option<Opened>, Vec<u8>) {
        let begin = link.clock();
        let mut plain = mem::take(&mut self.plain);
        plain.clear();
        let mut answer = mem::take(&mut self.answer);
        answer.clear();
        let slot = &mut self.slots[conn.0 as usize];
        let opening = slot.opening.as_mut().expect("its turn");
        opening.waited += begin.saturating_sub(opening.waits.take().unwrap_or(begin));
        let (ends, keepsake, between) = (&self.ends, &mut slot.keepsake, &mut self.between);
        let result = opening.step(ends, &mut slot.channel, keepsake, &mut plain, &mut answer, between);
        let agreed = slot.channel.as_ref().and_then(Channel::agreed);
        let end = link.clock();
        self.worked += end - begin;
        self.now = self.now.max(end);
        if !answer.is_empty() {
            link.out(conn).extend_from_slice(&answer);
        }
        self.answer = answer;
        if let Err(trouble) = result {
            self.fail(link, conn, trouble);
            return (None, plain);
        }
        let Some(agreed) = agreed else { return (None, plain) };
        let slot = self.slot(conn);
        let opening = slot.opening.take().expect("its turn");
        slot.known = true;
        let began = opening.began.unwrap_or(begin);
        let took = end.saturating_sub(began).saturating_sub(opening.waited);
        self.opened = (conn, Handshake::Done { began, took, resumed: agreed == Agreed::Resumed });
        if !opening.arrived.is_empty() {
            self.held(conn).wire = opening.arrived;
        }
        (Some(if opening.dialled.is_some() { Opened::Dialled } else { Opened::Accepted }), plain)
    }

    /// [`Link::handshake`].
    pub fn handshake(&self, conn: Conn) -> Handshake {
        match self.known(conn) {
            _ if self.opened.0 == conn => self.opened.1,
            Some(Slot { opening: Some(opening), .. }) if opening.began.is_some() => Handshake::UnderWay,
            _ => Handshake::None,
        }
    }

    /// What has come for `conn` says this, behind what the application has not taken of before.
    pub fn unseal<L: Link>(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> Vec<u8> {
        let (mut wire, mut plain) = (mem::take(&mut self.wire), mem::take(&mut self.plain));
        wire.clear();
        plain.clear();
        let slot = &mut self.slots[conn.0 as usize];
        if let Some(held) = &mut slot.held {
            wire.append(&mut held.wire);
            plain.append(&mut held.plain);
        }
        wire.extend_from_slice(bytes);
        self.answer.clear();
        let channel = slot.channel.as_mut().expect("it is open");
        let result = channel.receive(&mut wire, &mut plain, &mut self.answer, &mut self.between);
        if !self.answer.is_empty() {
            link.out(conn).extend_from_slice(&self.answer);
            self.note_own(conn, self.answer.len());
        }
        if !wire.is_empty() {
            self.held(conn).wire.extend_from_slice(&wire);
        }
        self.wire = wire;
        if let Err(trouble) = result {
            self.fail(link, conn, trouble);
        }
        plain
    }

    /// The application has left this of what was said.
    pub fn end_unsealing<L: Link>(&mut self, link: &mut L, conn: Conn, plain: Vec<u8>) {
        self.opened.0 = Conn(u32::MAX);
        let slot = &self.slots[conn.0 as usize];
        if !plain.is_empty() && !slot.shut {
            self.held(conn).plain.extend_from_slice(&plain);
        }
        self.plain = plain;
        let slot = &mut self.slots[conn.0 as usize];
        if !slot.shut && slot.channel.as_ref().is_some_and(Channel::is_closed) {
            slot.ended = true;
            self.close(link, conn);
            link.close(conn);
        }
        self.give_back(conn);
    }

    fn fail<L: Link>(&mut self, link: &mut L, conn: Conn, trouble: Trouble) {
        let slot = self.slot(conn);
        slot.trouble.get_or_insert(trouble);
        slot.shut = true;
        // The alert leaves before the connection does.
        link.close(conn);
    }

    /// [`Link::out`].
    pub fn out(&mut self, conn: Conn) -> &mut Vec<u8> {
        // Of one that ended by itself its owner has not heard: what it says by then is kept, as what has not gone.
        let kept = |slot: &Slot| {
            let ended = slot.ended || slot.trouble.is_some();
            slot.opening.is_none() && slot.channel.is_some() && (!slot.shut || ended)
        };
        if !self.known(conn).is_some_and(kept) {
            self.nowhere.clear();
            return &mut self.nowhere;
        }
        if !mem::replace(&mut self.held(conn).dirty, true) {
            self.dirty.push(conn);
        }
        &mut self.held(conn).out
    }

    fn held(&mut self, conn: Conn) -> &mut Held {
        let slot = &mut self.slots[conn.0 as usize];
        slot.held.get_or_insert_with(|| self.spare.pop().unwrap_or_default())
    }

    /// Puts what holds nothing any more to the spare ones.
    fn give_back(&mut self, conn: Conn) {
        let slot = &mut self.slots[conn.0 as usize];
        if let Some(held) = slot.held.take_if(|held| held.is_empty()) {
            self.spare.push(held);
        }
    }

    /// Seals what was said in this pass.
    pub fn seal<L: Link>(&mut self, link: &mut L) {
        let mut dirty = mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            self.seal_one(link, conn);
            self.give_back(conn);
        }
        self.dirty = dirty;
    }

    fn seal_one<L: Link>(&mut self, link: &mut L, conn: Conn) {
        let slot = &mut self.slots[conn.0 as usize];
        let Some(held) = &mut slot.held else { return };
        held.dirty = false;
        let (Some(channel), false, false) = (&mut slot.channel, slot.shut, held.out.is_empty()) else {
            return;
        };
        let out = link.out(conn);
        let begin = out.len();
        channel.seal(&held.out, out, &mut self.between);
        let sealed = out.len() - begin;
        if sealed < held.out.len() {
            // It cannot seal any more: what was to be said stays, as what has not gone.
            if !channel.is_closed() {
                self.fail(link, conn, Trouble::Own);
            }
            return;
        }
        held.note(held.out.len(), sealed);
        held.out.clear();
        if !mem::replace(&mut held.leaving, true) {
            self.leaving.push(conn);
        }
    }

    /// The transport has said so much of its own on an open connection: nothing of the application's.
    fn note_own(&mut self, conn: Conn, wire: usize) {
        let held = self.held(conn);
        held.note(0, wire);
        if !mem::replace(&mut held.leaving, true) {
            self.leaving.push(conn);
        }
    }

    /// Forgets what was sealed and has gone.
    pub fn settle<L: Link>(&mut self, link: &L) {
        let mut leaving = mem::take(&mut self.leaving);
        leaving.retain(|conn| {
            let Some(held) = &mut self.slots[conn.0 as usize].held else { return false };
            held.forget(link.unsent(*conn));
            held.leaving = !held.sealed.is_empty();
            let stays = held.leaving;
            self.give_back(*conn);
            stays
        });
        self.leaving = leaving;
    }

    /// What was said on `conn` and has not gone, of which `wire` bytes were sealed.
    pub fn unsent(&self, conn: Conn, wire: usize) -> usize {
        self.known(conn).map_or(0, |slot| slot.unsent(wire))
    }

    /// The last of what is to be said.
    pub fn close<L: Link>(&mut self, link: &mut L, conn: Conn) {
        if self.is_open(conn) {
            self.seal_one(link, conn);
            let slot = &mut self.slots[conn.0 as usize];
            if let Some(channel) = &mut slot.channel {
                let out = link.out(conn);
                let begin = out.len();
                channel.close(out);
                let own = out.len() - begin;
                self.note_own(conn, own);
            }
        }
        self.shut(conn);
    }

    /// Nothing more is said or heard on `conn`.
    pub fn shut(&mut self, conn: Conn) {
        if let Some(slot) = self.slots.get_mut(conn.0 as usize) {
            slot.shut = true;
        }
    }

    /// A connection is gone.
    pub fn ended(&mut self, conn: Conn, closed: Closed) -> Ended {
        let slot = &mut self.slots[conn.0 as usize];
        let shaking = slot.opening.as_ref().is_some_and(|opening| opening.began.is_some());
        let cause = match (slot.trouble, closed.cause) {
            (Some(trouble), _) => CloseCause::Transport(trouble),
            (None, CloseCause::Local) if slot.ended => CloseCause::Eof,
            (None, CloseCause::Eof | CloseCause::Error(_)) if shaking => {
                CloseCause::Transport(slot.channel.as_ref().map_or(Trouble::Ended, Channel::ended))
            }
            (None, cause) => cause,
        };
        let unsent = slot.unsent(closed.unsent);
        let held = slot.held.take();
        let keepsake = mem::take(&mut slot.keepsake);
        let known = slot.known;
        *slot = Slot { keepsake, ..Slot::default() };
        if let Some(mut held) = held {
            held.clear();
            self.spare.push(held);
        }
        Ended { known, closed: Closed { cause, unsent, unacked: closed.unacked } }
    }
}

impl Slot {
    /// What was said and has not gone, where the last `wire` bytes of what was sealed have not.
    fn unsent(&self, wire: usize) -> usize {
        let (Some(held), Some(channel)) = (&self.held, &self.channel) else { return 0 };
        let (mut said, mut gone) = (held.sums.0, held.sums.1.saturating_sub(wire));
        // What has gone by now is little: it is forgotten once a pass.
        for &(plain, sealed) in &held.sealed {
            if gone < sealed {
                said -= plain - channel.unsent(plain, sealed, sealed - gone);
                break;
            }
            (said, gone) = (said - plain, gone - sealed);
        }
        said + held.out.len()
    }
}

impl Opening {
    fn new(dialled: Option<(u32, u32)>) -> Box<Opening> {
        Box::new(Opening { dialled, began: None, arrived: Vec::new(), waits: None, waited: 0 })
    }

    /// The first step of one that has no channel, or the next.
    fn step(
        &mut self,
        ends: &Ends,
        channel: &mut Option<Channel>,
        keepsake: &mut Keepsake,
        plain: &mut Vec<u8>,
        answer: &mut Vec<u8>,
        between: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        let channel = match channel {
            Some(channel) => channel,
            None => {
                let new = match (ends, self.dialled) {
                    (Ends::Clients(dialer), Some((host, client))) => {
                        dialer.channel(host, client, keepsake)?
                    }
                    (Ends::Server(acceptor), None) => acceptor.channel()?,
                    _ => unreachable!("clients dial, and servers accept"),
                };
                let channel = channel.insert(new);
                channel.start(answer)?;
                channel
            }
        };
        if self.arrived.is_empty() {
            return Ok(());
        }
        channel.receive(&mut self.arrived, plain, answer, between)
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        let Held { out, wire, plain, sealed, dirty, leaving, sums: _ } = self;
        out.is_empty() && wire.is_empty() && plain.is_empty() && sealed.is_empty() && !dirty && !leaving
    }

    fn clear(&mut self) {
        self.out.clear();
        self.wire.clear();
        self.plain.clear();
        self.sealed.clear();
        self.sums = (0, 0);
        (self.dirty, self.leaving) = (false, false);
    }

    /// So much that was said has become so much of wire.
    fn note(&mut self, plain: usize, wire: usize) {
        self.sealed.push_back((plain, wire));
        self.sums = (self.sums.0 + plain, self.sums.1 + wire);
    }

    /// The last `unsent` bytes of what was sealed have not gone: the rest is forgotten.
    fn forget(&mut self, unsent: usize) {
        while let Some(&(plain, wire)) = self.sealed.front() {
            if unsent > self.sums.1 - wire {
                return;
            }
            self.sums = (self.sums.0 - plain, self.sums.1 - wire);
            self.sealed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a WebSocket costs a client at rest: what is held of bytes on their way is there while they are.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Slot>() <= 64, "{} bytes", size_of::<Slot>());
    }
}
