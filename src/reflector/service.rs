//! One worker of the reflector: the broker on the engine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::broker::Broker;
use super::counters::Counters;
use crate::clock::Nanos;
use crate::engine::Link;
use crate::engine::{App, Closed, Conn};
use crate::script::{Account, Event};

/// Events that wait to be taken at most.
const MOST_EVENTS: usize = 1 << 20;

/// What a worker shares with whoever started it.
#[derive(Default)]
pub(super) struct Desk {
    pub stop: AtomicBool,
    /// As of the end of the worker's last pass.
    pub counters: Mutex<Counters>,
    /// What a script had it do, and what of it nobody has taken yet.
    pub deeds: Mutex<(Account, Vec<Event>)>,
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
        if let Some((account, events)) = self.broker.take_deeds() {
            let mut deeds = self.desk.deeds.lock().expect("nobody panics within this lock");
            deeds.0.clone_from(account);
            let room = MOST_EVENTS.saturating_sub(deeds.1.len());
            deeds.1.extend(events.into_iter().take(room));
        }
        let turned_away = link.stats().accept_refused;
        let counters = Counters { turned_away, ..*self.broker.counters() };
        if counters != self.published {
            self.published = counters;
            *self.desk.counters.lock().expect("nobody panics within this lock") = counters;
        }
        next
    }
}
