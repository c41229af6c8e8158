//! What all workers share: the subscription table, retained messages, the directory of clients, and the
//! inboxes. Nothing of it is locked on the way of a message whose route is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use super::address::{Address, SessionKey};
use super::mail::Inbox;
use super::message::{Kept, Message};
use super::retained::Retained;
use super::route::{Route, Versions};
use super::subscribers::Targets;
use super::topics::{Subscriptions, shared};
use crate::wire::QoS;

pub(super) struct Hub {
    tables: RwLock<Tables>,
    versions: Versions,
    directory: Mutex<HashMap<Arc<str>, Home>>,
    pub inboxes: Box<[Inbox]>,
}

/// Subscriptions and retained messages are under one lock: between the moment that a retained message is
/// stored and the moment that its targets are known, nobody can subscribe. So every subscriber gets it
/// exactly once, as retained or as routed.
#[derive(Default)]
struct Tables {
    subscriptions: Subscriptions,
    retained: Retained,
}

/// Where a client's session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Home {
    pub address: Address,
    pub persistent: bool,
}

/// What the directory says to a client that connects.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Claim {
    /// Nobody was known by this name. The new session is its home now.
    New,
    /// A session in the claiming worker, to be gone on with. The new session is not needed.
    Resume(SessionKey),
    /// The new session takes the place of this one, and of what it holds if `Home::persistent` and the
    /// claim's session is too.
    Replace(Home),
}

const POISONED: &str = "no worker panics while it holds the hub";

impl Hub {
    pub(super) fn new(workers: usize) -> Hub {
        Hub {
            tables: RwLock::default(),
            versions: Versions::new(),
            directory: Mutex::default(),
            inboxes: std::iter::repeat_with(Inbox::default).take(workers).collect(),
        }
    }

    /// Makes `new` the home of a client, or says which session of the same worker it is to go on with, if it
    /// `resumes` one. Answers the name as the directory keeps it, too.
    pub(super) fn claim(&self, client_id: &str, new: Home, resumes: bool) -> (Arc<str>, Claim) {
        let mut directory = self.directory.lock().expect(POISONED);
        let Some((name, &home)) = directory.get_key_value(client_id) else {
            let name: Arc<str> = Arc::from(client_id);
            directory.insert(Arc::clone(&name), new);
            return (name, Claim::New);
        };
        let name = Arc::clone(name);
        if home.address.worker == new.address.worker && home.persistent && resumes {
            directory.insert(Arc::clone(&name), Home { persistent: new.persistent, ..home });
            return (name, Claim::Resume(home.address.key));
        }
        directory.insert(Arc::clone(&name), new);
        (name, Claim::Replace(home))
    }

    /// Makes `new` the home of a client that is known.
    pub(super) fn move_in(&self, client_id: &str, new: Home) {
        let mut directory = self.directory.lock().expect(POISONED);
        *directory.get_mut(client_id).expect("its session is there") = new;
    }

    /// Forgets a client, unless its home is elsewhere by now.
    pub(super) fn release(&self, client_id: &str, address: Address) {
        let mut directory = self.directory.lock().expect(POISONED);
        if directory.get(client_id).is_some_and(|home| home.address == address) {
            directory.remove(client_id);
        }
    }

    #[inline]
    pub(super) fn is_current(&self, route: &Route) -> bool {
        self.versions.is_current(route.stamp)
    }

    /// Finds out where messages to a topic go.
    pub(super) fn resolve(&self, topic: &str, route: &mut Route) {
        let tables = self.tables.read().expect(POISONED);
        route.stamp = self.versions.stamp(topic);
        route.targets = tables.subscriptions.resolve(topic);
        drop(tables);
        if route.topic != topic {
            route.topic.clear();
            route.topic.push_str(topic);
        }
    }

    /// Stores a retained message, as far as there is room in `limit` bytes for all of them, and finds out
    /// where it goes now. The second answer is whether there was room.
    pub(super) fn retain(&self, message: &Message<'_>, limit: usize) -> (Targets, bool) {
        let mut tables = self.tables.write().expect(POISONED);
        let stored = tables.retained.put(message, limit);
        (tables.subscriptions.resolve(message.topic), stored)
    }

    /// Adds a subscription, visible to every publisher from here on, and appends the retained messages for
    /// it. Answers the filter when the session did not have it before.
    pub(super) fn subscribe(
        &self,
        filter: &str,
        address: Address,
        granted: QoS,
        retained: &mut Vec<Kept>,
    ) -> Option<Arc<str>> {
        let mut tables = self.tables.write().expect(POISONED);
        let new = tables.subscriptions.insert(filter, address, granted);
        if shared(filter).is_none() {
            // Those who share get no retained messages (4.8.2 of MQTT 5).
            tables.retained.collect(filter, retained);
        }
        self.versions.changed(filter);
        new
    }

    /// False when there was no such subscription.
    pub(super) fn unsubscribe(&self, filter: &str, address: Address) -> bool {
        let mut tables = self.tables.write().expect(POISONED);
        let removed = tables.subscriptions.remove(filter, address).is_some();
        if removed {
            self.versions.changed(filter);
        }
        removed
    }

    /// Takes back all that a session has subscribed to.
    pub(super) fn unsubscribe_all(&self, filters: &[Arc<str>], address: Address) {
        self.change_all(filters, address, None);
    }

    /// Lets a session's subscriptions go to another session, in one step for every publisher.
    pub(super) fn retarget(&self, filters: &[Arc<str>], from: Address, to: Address) {
        self.change_all(filters, from, Some(to));
    }

    fn change_all(&self, filters: &[Arc<str>], from: Address, to: Option<Address>) {
        if filters.is_empty() {
            return;
        }
        let mut tables = self.tables.write().expect(POISONED);
        for filter in filters {
            let granted = tables.subscriptions.remove(filter, from);
            let granted = granted.expect("a session's filters are in the table");
            if let Some(to) = to {
                tables.subscriptions.insert(filter, to, granted);
            }
            self.versions.changed(filter);
        }
    }
}
