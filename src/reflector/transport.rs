//! What the broker asks of the connections that carry it.

use crate::clock::Nanos;
pub(super) use crate::engine::Conn;

/// Bytes out. The broker itself does no input or output and asks no clock.
pub(super) trait Transport {
    fn now(&self) -> Nanos;
    /// Where to append bytes for a connection. They are sent when the pass ends.
    fn out(&mut self, conn: Conn) -> &mut Vec<u8>;
    /// Bytes appended that the kernel has not taken.
    fn unsent(&self, conn: Conn) -> usize;
    /// Whether the kernel has no room for the rest of them; the broker is told when it has taken them.
    fn blocked(&self, conn: Conn) -> bool;
    /// Closes once everything appended has gone. The broker is told when the connection is gone.
    fn close(&mut self, conn: Conn);
    /// Closes now.
    fn abort(&mut self, conn: Conn);
}
