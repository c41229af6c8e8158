//! One worker of the reflector: the broker on the engine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::broker::Broker;
use super::counters::Counters;
use super::transport::{Conn, Transport};
use crate::clock::Nanos;
use crate::engine::{App, CloseCause, Io};

/// What a worker shares with whoever started it.
#[derive(Default)]
pub(super) struct Desk {
    pub stop: AtomicBool,
    /// As of the end of the worker's last pass.
    pub counters: Mutex<Counters>,
}

/// A broker as an application of its worker.
pub(super) struct Service {
    broker: Broker,
    desk: Arc<Desk>,
    published: Counters,
}

impl Service {
    pub(super) fn new(broker: Broker, desk: Arc<Desk>) -> Service {
        Service { broker, desk, published: Counters::default() }
    }
}

impl App for Service {
    fn connected(&mut self, _: &mut Io, conn: Conn) {
        unreachable!("the reflector opens no connections, but {conn:?} is one");
    }

    fn accepted(&mut self, io: &mut Io, conn: Conn) {
        self.broker.handle_accepted(io, conn);
    }

    fn data(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) -> usize {
        self.broker.handle_data(io, conn, bytes)
    }

    fn writable(&mut self, io: &mut Io, conn: Conn) {
        self.broker.handle_writable(io, conn);
    }

    fn closed(&mut self, io: &mut Io, conn: Conn, _: CloseCause) {
        self.broker.handle_gone(io, conn);
    }

    /// Mail is read in every pass, which follows.
    fn woken(&mut self, io: &mut Io) {
        if self.desk.stop.load(Ordering::Acquire) {
            io.stop();
        }
    }

    fn pass(&mut self, io: &mut Io) -> Option<Nanos> {
        let next = self.broker.handle_pass(io);
        let counters = *self.broker.counters();
        if counters != self.published {
            self.published = counters;
            *self.desk.counters.lock().expect("nobody panics within this lock") = counters;
        }
        next
    }
}

impl Transport for Io {
    #[inline]
    fn now(&self) -> Nanos {
        Io::now(self)
    }

    #[inline]
    fn out(&mut self, conn: Conn) -> &mut Vec<u8> {
        Io::out(self, conn)
    }

    #[inline]
    fn unsent(&self, conn: Conn) -> usize {
        Io::unsent(self, conn)
    }

    fn blocked(&self, conn: Conn) -> bool {
        Io::blocked(self, conn)
    }

    fn close(&mut self, conn: Conn) {
        Io::close(self, conn);
    }

    fn abort(&mut self, conn: Conn) {
        Io::abort(self, conn);
    }
}
