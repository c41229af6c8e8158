//! A link on which everything is plain.

use super::doors::Doors;
use crate::clock::Nanos;
use crate::engine::{Conn, Handshake, Link, Longest, Route, Stats, Usage};
use std::io;

/// The link that carries the transports, and the transports.
pub struct SealedLink<'l, L> {
    link: &'l mut L,
    doors: &'l mut Doors,
}

impl<'l, L> SealedLink<'l, L> {
    pub(super) fn new(link: &'l mut L, doors: &'l mut Doors) -> SealedLink<'l, L> {
        SealedLink { link, doors }
    }
}

impl<L: Link> Link for SealedLink<'_, L> {
    fn now(&self) -> Nanos {
        self.doors.now
    }

    fn arrived(&self) -> Nanos {
        self.link.arrived()
    }

    fn clock(&self) -> Nanos {
        self.link.clock()
    }

    fn unix_ns(&self) -> u64 {
        self.link.unix_ns()
    }

    fn foresee(&mut self, deadline: Nanos) {
        self.link.foresee(deadline);
    }

    fn dial(&mut self, conn: Conn, route: &Route) -> io::Result<()> {
        self.link.dial(conn, route)?;
        self.doors.dialled(conn, route.host, route.client);
        Ok(())
    }

    fn handshake(&self, conn: Conn) -> Handshake {
        self.doors.handshake(conn)
    }

    fn out(&mut self, conn: Conn) -> &mut Vec<u8> {
        self.doors.out(conn)
    }

    fn unsent(&self, conn: Conn) -> usize {
        self.doors.unsent(conn, self.link.unsent(conn))
    }

    fn blocked(&self, conn: Conn) -> bool {
        self.link.blocked(conn)
    }

    fn hold(&mut self, conn: Conn) {
        self.link.hold(conn);
    }

    fn resume(&mut self, conn: Conn) {
        self.link.resume(conn);
    }

    fn close(&mut self, conn: Conn) {
        self.doors.close(self.link, conn);
        self.link.close(conn);
    }

    fn ask_unacked(&mut self) {
        self.link.ask_unacked();
    }

    fn abort(&mut self, conn: Conn) {
        self.doors.shut(conn);
        self.link.abort(conn);
    }

    fn connections(&self) -> u32 {
        self.link.connections()
    }

    fn stop(&mut self) {
        self.link.stop();
    }

    fn stats(&self) -> Stats {
        Stats { handshake_ns: self.doors.worked, ..self.link.stats() }
    }

    fn usage(&self) -> Usage {
        self.link.usage()
    }

    fn longest(&mut self) -> Longest {
        self.link.longest()
    }
}
