//! What the workers of a fleet share, and what they tell the conductor.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::listener::Listener;
use super::{Publishing, Spec};
use crate::client::Limits;
use crate::clock::Nanos;
use crate::engine::{self, Usage, Waker};
use crate::record::{self, Ended};
use crate::stats::{Histogram, Interval};

/// Read-only but for the counters that bring about the next step of somebody else's script.
pub struct Shared {
    /// When the run began, on the process clock.
    pub epoch: Nanos,
    pub spec: Spec,
    /// What `%r` stands for in topics.
    pub run_id: u32,
    pub publisher_limits: Limits,
    pub other_limits: Limits,
    /// What stands for this fleet's publishers in topics, when a listener is to hear them and nobody else.
    pub own: HashSet<String>,
    /// Largest packet accepted from the broker.
    pub max_packet: usize,
    /// One for each worker.
    pub wakers: Vec<Waker>,
    /// Publishers that are not done.
    pub publishers_left: AtomicU64,
    /// Listeners and responders that publishers have to wait for: not subscribed yet, nor failed.
    pub listeners_pending: AtomicU64,
    /// Messages that publishers which are done have sent.
    pub published: AtomicU64,
    /// Publishers make no more messages, listeners listen no more.
    pub stopping: AtomicBool,
    /// The broker has told of dropped messages, and a listener is to end by that.
    pub dropped: AtomicBool,
    /// What ended the whole run before its time, and why in words.
    pub fault: std::sync::OnceLock<(Ended, String)>,
}

impl Shared {
    pub fn wake_all(&self) {
        self.wakers.iter().for_each(Waker::wake);
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Stops everybody because of something that concerns all.
    pub fn fail(&self, end: Ended, reason: String) {
        let _ = self.fault.set((end, reason));
        self.stop();
    }

    pub fn publishing(&self) -> &Publishing {
        self.spec.publishing.as_ref().expect("only publishers and responders ask")
    }

    pub fn publishers(&self) -> u32 {
        self.spec.publishing.as_ref().map_or(0, |publishing| publishing.clients.len() as u32)
    }

    pub fn responders(&self) -> u32 {
        self.spec.publishing.as_ref().map_or(0, |publishing| publishing.responders)
    }

    pub fn clients(&self) -> u32 {
        self.publishers() + self.responders() + self.spec.listening.len() as u32
    }
}

/// What client `index` does. Clients are numbered publishers first, then responders, then listeners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Publisher(u32),
    Responder(u32),
    Listener(u32),
}

impl Shared {
    pub fn role(&self, index: u32) -> Role {
        let (publishers, responders) = (self.publishers(), self.responders());
        match index {
            _ if index < publishers => Role::Publisher(index),
            _ if index < publishers + responders => Role::Responder(index - publishers),
            _ => Role::Listener(index - publishers - responders),
        }
    }
}

/// Where a worker stands.
#[derive(Clone, Copy, Default, Debug)]
pub struct Levels {
    pub connected: u64,
    pub done: u64,
    /// Of those that are done, the ones that failed.
    pub failed: u64,
    pub missing: Option<u64>,
    pub dropped: Option<u64>,
    pub stored: Option<u64>,
}

/// What a worker measured in one second of the run.
#[derive(Default)]
pub struct Tally {
    /// Which second, from 0.
    pub second: u64,
    pub measured: Interval,
    pub round_trip: Histogram,
    pub levels: Levels,
    /// What went wrong, in words, with how often.
    pub troubles: Vec<(String, u64)>,
}

/// What a worker has to say at its end.
#[derive(Default)]
pub struct Ending {
    /// With their indices among all publishers.
    pub publishers: Vec<(u32, record::Publisher)>,
    /// Their accounts are made up when it is known what all publishers have sent.
    pub listeners: Vec<Listener>,
    pub usage: Usage,
    /// Time the worker ran.
    pub span: Nanos,
    pub enters: u64,
    /// Time outside of them.
    pub code: Nanos,
    /// Why it could not start or go on.
    pub failure: Option<engine::Error>,
}
