//! An application whose connections are carried by a transport of their own.
//!
//! [`Sealed`] is an [`App`] of any [`Link`], and hands the application within it a [`SealedLink`], on which
//! everything is plain: connections are there when their handshake is done, and what is appended to one in a pass is
//! sealed once, when the pass ends. So whoever drives clients does not know what carries them, and the plain
//! path has nothing of this.
//!
//! Handshakes are work: 0.1 ms and more each. They are done a few in a pass ([`TURN`]), so that a storm of them
//! delays nobody else by more than that; what a handshake has waited for its turn is not in its time.

mod doors;
mod link;

pub use link::SealedLink;

use super::{App, Closed, Conn, Link, Stats};
use crate::clock::{MICROSECOND, Nanos};
use crate::transport::{Acceptor, Dialer};
use doors::{Doors, Ended, Opened};
use std::sync::Arc;

/// Time for handshakes in one pass: no more is begun after it.
const TURN: Nanos = 200 * MICROSECOND;

/// Who makes the transports of connections.
#[derive(Clone, Debug)]
pub enum Ends {
    /// Those that are dialled.
    Clients(Arc<Dialer>),
    /// Those that are accepted.
    Server(Arc<Acceptor>),
}

/// An application over transports.
pub struct Sealed<A> {
    app: A,
    doors: Doors,
}

impl<A> Sealed<A> {
    /// `app`, whose connections are carried as `ends` says.
    pub fn new(app: A, ends: Ends) -> Sealed<A> {
        Sealed { app, doors: Doors::new(ends) }
    }

    /// The application, and what its worker has counted, with what was counted here.
    pub fn into_parts(self, stats: Stats) -> (A, Stats) {
        (self.app, Stats { handshake_ns: self.doors.worked, ..stats })
    }

    /// Takes what has come for `conn`, and hands on what it says.
    fn take<L: Link>(&mut self, link: &mut L, conn: Conn, bytes: &[u8])
    where
        A: for<'l> App<SealedLink<'l, L>>,
    {
        let mut plain = self.doors.unseal(link, conn, bytes);
        self.hand_on(link, conn, &mut plain);
        self.doors.end_unsealing(link, conn, plain);
    }

    fn hand_on<L: Link>(&mut self, link: &mut L, conn: Conn, plain: &mut Vec<u8>)
    where
        A: for<'l> App<SealedLink<'l, L>>,
    {
        if !plain.is_empty() {
            let used = self.app.data(&mut SealedLink::new(link, &mut self.doors), conn, plain);
            plain.drain(..used);
        }
    }

    /// Goes on with handshakes, in their order, while there is time for it in this pass.
    fn shake_hands<L: Link>(&mut self, link: &mut L)
    where
        A: for<'l> App<SealedLink<'l, L>>,
    {
        if !self.doors.has_turns() {
            return;
        }
        let until = link.clock() + TURN;
        while let Some(conn) = self.doors.next_turn() {
            let (opened, mut plain) = self.doors.shake(link, conn);
            match opened {
                Some(Opened::Dialled) => {
                    self.app.connected(&mut SealedLink::new(link, &mut self.doors), conn);
                }
                Some(Opened::Accepted) => {
                    self.app.accepted(&mut SealedLink::new(link, &mut self.doors), conn);
                }
                // Who was not announced says nothing.
                None => plain.clear(),
            }
            self.hand_on(link, conn, &mut plain);
            self.doors.end_unsealing(link, conn, plain);
            if self.doors.now >= until {
                break;
            }
        }
    }
}

impl<L: Link, A: for<'l> App<SealedLink<'l, L>>> App<L> for Sealed<A> {
    fn started(&mut self, link: &mut L) {
        self.doors.begin(link);
        self.app.started(&mut SealedLink::new(link, &mut self.doors));
    }

    fn connected(&mut self, link: &mut L, conn: Conn) {
        self.doors.begin(link);
        self.doors.begin_handshake(link, conn);
    }

    fn accepted(&mut self, link: &mut L, conn: Conn) {
        self.doors.begin(link);
        self.doors.accepted(conn);
        self.doors.begin_handshake(link, conn);
    }

    fn data(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        self.doors.begin(link);
        if self.doors.is_open(conn) {
            self.take(link, conn, bytes);
        } else {
            self.doors.defer(link, conn, bytes);
        }
        bytes.len()
    }

    fn writable(&mut self, link: &mut L, conn: Conn) {
        self.doors.begin(link);
        if self.doors.is_open(conn) {
            self.app.writable(&mut SealedLink::new(link, &mut self.doors), conn);
        }
    }

    fn closed(&mut self, link: &mut L, conn: Conn, closed: Closed) {
        self.doors.begin(link);
        let Ended { known, closed } = self.doors.ended(conn, closed);
        if known {
            self.app.closed(&mut SealedLink::new(link, &mut self.doors), conn, closed);
        }
    }

    fn woken(&mut self, link: &mut L) {
        self.doors.begin(link);
        self.app.woken(&mut SealedLink::new(link, &mut self.doors));
    }

    fn pass(&mut self, link: &mut L) -> Option<Nanos> {
        self.doors.begin(link);
        self.doors.settle(link);
        self.shake_hands(link);
        let next = self.app.pass(&mut SealedLink::new(link, &mut self.doors));
        self.doors.seal(link);
        let guests = self.doors.poll_guests(link);
        let turns = self.doors.has_turns().then(|| link.now());
        [next, guests, turns].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
