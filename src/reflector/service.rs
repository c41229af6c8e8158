//! One worker of the reflector: the broker on the engine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::broker::Broker;
use super::counters::Counters;
use crate::clock::Nanos;
use crate::engine::Link;
use crate::engine::{App, Closed, Conn};

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

impl<L: Link> App<L> for Service {
    fn connected(&mut self, _: &mut L, conn: Conn) {
        unreachable!("the reflector opens no connections, but {conn:?} is one");
    }

    fn accepted(&mut self, link: &mut L, conn: Conn) {
        self.broker.handle_accepted(link, conn);
    }

    fn data(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        self.broker.handle_data(link, conn, bytes)
    }

    fn writable(&mut self, link: &mut L, conn: Conn) {
        self.broker.handle_writable(link, conn);
    }

    fn closed(&mut self, link: &mut L, conn: Conn, _: Closed) {
        self.broker.handle_gone(link, conn);
    }

    /// Mail is read in every pass, which follows.
    fn woken(&mut self, link: &mut L) {
        if self.desk.stop.load(Ordering::Acquire) {
            link.stop();
        }
    }

    fn pass(&mut self, link: &mut L) -> Option<Nanos> {
        let next = self.broker.handle_pass(link);
        let turned_away = link.stats().accept_refused;
        let counters = Counters { turned_away, ..*self.broker.counters() };
        if counters != self.published {
            self.published = counters;
            *self.desk.counters.lock().expect("nobody panics within this lock") = counters;
        }
        next
    }
}
