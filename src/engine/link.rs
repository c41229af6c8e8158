//! All that a driver knows of the connections that carry its clients.

use super::{Conn, Longest, Route, Stats, Usage};
use crate::clock::Nanos;
use std::io;

/// How far what carries a connection has got with its handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handshake {
    /// There is none, or it has not begun.
    None,
    /// It is not done.
    UnderWay,
    /// It is done: what [`App::connected`](super::App::connected) is being told.
    Done {
        /// When the connection below it was there.
        began: Nanos,
        /// How long it took since, without what it has waited for this side to have time for it.
        took: Nanos,
        /// On what an earlier connection had left.
        resumed: bool,
    },
}

/// A worker's connections and clocks: those of the engine, or of a simulated world. Whoever is driven by them is
/// an [`App`](super::App) of each, does no input or output, and asks no clock of its own.
pub trait Link {
    /// When the pass under way began: everything that is handled in it was there by then.
    fn now(&self) -> Nanos;
    /// When the bytes that are being handled had arrived, by the kernel's clock: their last, where several segments
    /// came together. [`Link::now`] where the kernel does not say, and for everything else.
    fn arrived(&self) -> Nanos;
    /// The same clock, read anew.
    fn clock(&self) -> Nanos;
    /// The wall clock in nanoseconds since 1970, read anew.
    fn unix_ns(&self) -> u64;
    /// Says when the deadline that this pass answers will probably be followed by another one. Its timeout can then
    /// be armed while the other still is, which costs nothing; should it not be needed, one pass is made in vain.
    fn foresee(&mut self, deadline: Nanos);

    /// Starts connecting the free `conn`. Ends in [`App::connected`](super::App::connected) or
    /// [`App::closed`](super::App::closed).
    ///
    /// # Errors
    /// What the machine answered; then neither will be called.
    fn dial(&mut self, conn: Conn, route: &Route) -> io::Result<()>;
    /// How far the handshake of `conn` has got, while [`App::connected`](super::App::connected) is told of it or before.
    fn handshake(&self, _conn: Conn) -> Handshake {
        Handshake::None
    }
    /// Where to append bytes for a connection. They leave when the pass ends; for a connection that is closing they
    /// go nowhere.
    fn out(&mut self, conn: Conn) -> &mut Vec<u8>;
    /// Bytes appended that the kernel has not taken.
    fn unsent(&self, conn: Conn) -> usize;
    /// Whether the kernel has no room for the rest of them; [`App::writable`](super::App::writable) tells the end of
    /// it.
    fn blocked(&self, conn: Conn) -> bool;
    /// Receives nothing until [`Link::resume`]: the socket's buffer fills, and TCP slows the peer down. What the
    /// kernel has received by then still arrives.
    fn hold(&mut self, conn: Conn);
    /// Receives again after [`Link::hold`].
    fn resume(&mut self, conn: Conn);
    /// Closes once everything appended has gone, also when the peer will say no more by then.
    /// [`App::closed`](super::App::closed) and nothing else follows.
    fn close(&mut self, conn: Conn);
    /// From now on connections say when they end what of theirs had not arrived: [`Closed::unacked`](super::Closed).
    fn ask_unacked(&mut self);
    /// Closes now; what is unsent is lost.
    fn abort(&mut self, conn: Conn);

    /// Connections that are not gone.
    fn connections(&self) -> u32;
    /// Ends the worker after this pass. Open connections are closed by the kernel.
    fn stop(&mut self);
    /// What the worker counted so far.
    fn stats(&self) -> Stats;
    /// What its thread has used of the machine so far.
    fn usage(&self) -> Usage;
    /// The longest times of the worker's loop since this was asked last.
    fn longest(&mut self) -> Longest;
}
