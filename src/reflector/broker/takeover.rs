//! A session moves to the worker that its client has connected to.
//!
//! The directory already names the new home when the old one is asked to surrender the session. The old home
//! closes the old connection, turns the subscriptions to the new home in one step and sends the session
//! there. Messages that other workers had resolved before that step still come to the old home, which passes
//! them on for a while; they may be overtaken by messages that went straight to the new home.

use std::collections::{HashMap, VecDeque};

use super::{Broker, Ending};
use crate::clock::{Nanos, SECOND};
use crate::engine::Link;
use crate::reflector::address::{Address, SessionKey};
use crate::reflector::mail::Control;
use crate::reflector::session::{Next, Session};

/// How long messages to a session that has moved are passed on. Mail takes far less, full inboxes included.
const FORWARD: Nanos = 30 * SECOND;

/// Where sessions have gone that were here a short time ago.
#[derive(Default)]
pub(super) struct Forwards {
    to: HashMap<SessionKey, Address>,
    until: VecDeque<(Nanos, SessionKey)>,
}

impl Forwards {
    fn add(&mut self, key: SessionKey, to: Address, now: Nanos) {
        self.to.insert(key, to);
        self.until.push_back((now + FORWARD, key));
    }

    pub(super) fn get(&self, key: SessionKey) -> Option<Address> {
        self.to.get(&key).copied()
    }

    pub(super) fn forget(&mut self, now: Nanos) {
        while let Some((_, key)) = self.until.pop_front_if(|(until, _)| *until <= now) {
            self.to.remove(&key);
        }
    }
}

impl Broker {
    /// Gives a session of this worker up, to its heir or to nobody.
    pub(super) fn surrender<L: Link>(&mut self, link: &mut L, key: SessionKey, heir: Option<Address>) {
        if let Some(conn) = self.sessions.get_mut(key).and_then(|session| session.conn) {
            self.end(link, conn, Ending::TakenOver);
        }
        let Some(session) = self.sessions.get_mut(key) else {
            // A clean session ends with its connection.
            assert!(heir.is_none(), "a persistent session stays until it is surrendered");
            return;
        };
        if let Some(waiting) = &mut session.waiting {
            waiting.next = Some(heir.map_or(Next::Discard, Next::Heir));
            return;
        }
        let Some(heir) = heir else { return self.drop_session(key) };
        let estate = self.sessions.remove(key).expect("it was there a line before");
        self.hub.retarget(&estate.filters, self.address(key), heir);
        self.forwards.add(key, heir, link.now());
        if heir.worker == self.worker {
            self.inherit(link, heir.key, estate);
        } else {
            self.outbox.control(heir.worker, Control::Inherit { key: heir.key, estate });
        }
    }

    /// Takes over what another worker's session held.
    pub(super) fn inherit<L: Link>(&mut self, link: &mut L, key: SessionKey, estate: Session) {
        let session = self.sessions.get_mut(key).expect("an heir waits for what it inherits");
        let waiting = session.waiting.take().expect("a session inherits once");
        session.filters = estate.filters;
        session.unreleased = estate.unreleased;
        // What has come for the new home already is younger than all that comes with the session.
        session.outgoing = match (estate.outgoing, session.outgoing.take()) {
            (Some(mut held), Some(later)) => {
                let dropped = held.append(*later, &self.limits.outgoing);
                self.counters.dropped.iter_mut().zip(dropped).for_each(|(sum, more)| *sum += more);
                Some(held)
            }
            (held, later) => held.or(later),
        };
        if let Some(outgoing) = &mut session.outgoing {
            // Where it was listed it is not any more.
            outgoing.stalled = false;
        }
        let conn = session.conn;
        match (waiting.next, conn) {
            (Some(Next::Heir(heir)), _) => self.surrender(link, key, Some(heir)),
            (Some(Next::Discard), _) => self.surrender(link, key, None),
            (None, None) => {}
            (None, Some(conn)) => {
                self.resume(link, conn, key);
                self.handle_packets(link, conn, &waiting.packets);
            }
        }
    }
}
