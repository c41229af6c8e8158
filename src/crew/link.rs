//! All that a driver knows of the connections that carry its clients.

use crate::clock::Nanos;
use crate::engine::{Conn, Io, Route, Stats, Usage};
use std::io;

/// A worker's connections and clocks: those of the engine, or of a simulated world. Whoever is driven by them is
/// an [`App`](crate::engine::App) of each, does no input or output, and asks no clock of its own.
pub trait Link {
    /// When the pass under way began: everything that is handled in it was there by then.
    fn now(&self) -> Nanos;
    /// The same clock, read anew.
    fn clock(&self) -> Nanos;
    /// The wall clock in nanoseconds since 1970, read anew.
    fn unix_ns(&self) -> u64;
    /// Says when the deadline that this pass answers will probably be followed by another one.
    fn foresee(&mut self, deadline: Nanos);

    /// Starts connecting the free `conn`.
    ///
    /// # Errors
    /// What the machine answered; then nothing follows.
    fn dial(&mut self, conn: Conn, route: &Route) -> io::Result<()>;
    /// Where to append bytes for a connection. They leave when the pass ends.
    fn out(&mut self, conn: Conn) -> &mut Vec<u8>;
    /// Bytes appended that the kernel has not taken.
    fn unsent(&self, conn: Conn) -> usize;
    /// Whether the kernel has no room for the rest of them; the application is told when it has taken them.
    fn blocked(&self, conn: Conn) -> bool;
    /// Receives nothing until [`Link::resume`].
    fn hold(&mut self, conn: Conn);
    /// Receives again after [`Link::hold`].
    fn resume(&mut self, conn: Conn);
    /// Closes once everything appended has gone. The application is told when the connection is gone.
    fn close(&mut self, conn: Conn);
    /// Closes now.
    fn abort(&mut self, conn: Conn);

    /// Connections that are not gone.
    fn connections(&self) -> u32;
    /// Ends the worker after this pass.
    fn stop(&mut self);
    /// What the worker counted so far.
    fn stats(&self) -> Stats;
    /// What its thread has used of the machine so far.
    fn usage(&self) -> Usage;
}

impl Link for Io {
    #[inline]
    fn now(&self) -> Nanos {
        Io::now(self)
    }

    fn clock(&self) -> Nanos {
        Io::clock(self)
    }

    fn unix_ns(&self) -> u64 {
        Io::unix_ns(self)
    }

    fn foresee(&mut self, deadline: Nanos) {
        Io::foresee(self, deadline);
    }

    fn dial(&mut self, conn: Conn, route: &Route) -> io::Result<()> {
        self.connect(conn, route)
    }

    #[inline]
    fn out(&mut self, conn: Conn) -> &mut Vec<u8> {
        Io::out(self, conn)
    }

    #[inline]
    fn unsent(&self, conn: Conn) -> usize {
        Io::unsent(self, conn)
    }

    #[inline]
    fn blocked(&self, conn: Conn) -> bool {
        Io::blocked(self, conn)
    }

    fn hold(&mut self, conn: Conn) {
        Io::hold(self, conn);
    }

    fn resume(&mut self, conn: Conn) {
        Io::resume(self, conn);
    }

    fn close(&mut self, conn: Conn) {
        Io::close(self, conn);
    }

    fn abort(&mut self, conn: Conn) {
        Io::abort(self, conn);
    }

    fn connections(&self) -> u32 {
        Io::connections(self)
    }

    fn stop(&mut self) {
        Io::stop(self);
    }

    fn stats(&self) -> Stats {
        Io::stats(self)
    }

    fn usage(&self) -> Usage {
        Io::usage(self)
    }
}
