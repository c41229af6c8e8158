//! What the workers of a fleet share.

use super::{Content, Expect, Publishing, Spec};
use crate::clock::Nanos;
use crate::engine::Waker;
use crate::load::{Name, Values};
use crate::record::Ended;
use crate::stage::{Seat, StageError, Ways, seats};
use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Read-only but for the counters that bring about the next step of somebody else's script.
pub struct Shared {
    /// When the run began, on the process clock.
    pub epoch: Nanos,
    pub spec: Spec,
    /// How many clients publish: those with the first indices,
    pub publishers: u32,
    /// and how many respond: those with the next ones.
    pub responders: u32,
    /// What `%r` stands for in topics.
    pub run_id: u32,
    /// What stands for this fleet's publishers in topics, when a listener is to hear them and nobody else.
    pub own: HashSet<String>,
    pub seats: Vec<Seat>,
    pub ways: Ways,
    /// One for each worker.
    pub wakers: Vec<Waker>,
    /// Publishers that are not done.
    publishers_left: AtomicU64,
    /// Listeners and responders that publishers have to wait for: not subscribed yet, nor failed.
    pub listeners_pending: AtomicU64,
    /// Messages that publishers which are done have sent.
    published: AtomicU64,
    /// What the broker has told: messages dropped since its first report, and messages it keeps; one more than that,
    /// and 0 as long as it has told nothing.
    pub told: [AtomicU64; 2],
    /// What ends the whole run before its time, and why in words: publishers make no more messages, listeners listen
    /// no more.
    pub stopped: OnceLock<(Ended, String)>,
}

impl Shared {
    /// Lays out `spec`, for a run that begins at `epoch`.
    ///
    /// # Errors
    /// Fewer ports than clients.
    pub fn new(spec: Spec, epoch: Nanos) -> Result<Shared, StageError> {
        let publishing = spec.publishing.as_ref();
        let publishers = publishing.map_or(0, |publishing| publishing.clients.len() as u32);
        let responders = publishing.map_or(0, |publishing| publishing.responders);
        let listeners = spec.listening.len() as u32;
        let clients = publishers + responders + listeners;
        let checks_itself = spec.listening.iter().any(|listening| listening.expect == Expect::Published);
        let names = publishing.filter(|_| checks_itself).into_iter().flat_map(|all| &all.clients);
        Ok(Shared {
            own: names.map(|name| name.topic_id.clone()).collect(),
            epoch,
            publishers,
            responders,
            run_id: crate::load::run_id(spec.seed),
            seats: seats(clients, &spec.cpus, |index, workers| index % workers),
            ways: Ways::new(&spec.targets, clients.max(1), &spec.connection.sources, spec.connection.close)?,
            wakers: Vec::new(),
            publishers_left: AtomicU64::new(publishers.into()),
            listeners_pending: AtomicU64::new(u64::from(responders + listeners)),
            published: AtomicU64::new(0),
            told: [AtomicU64::new(0), AtomicU64::new(0)],
            stopped: OnceLock::new(),
            spec,
        })
    }

    /// Makes all workers look at what is shared.
    pub fn wake_all(&self) {
        self.wakers.iter().for_each(Waker::wake);
    }

    /// Brings everybody to an end, because of something that concerns all.
    pub fn stop(&self, end: Ended, reason: String) {
        if self.stopped.set((end, reason)).is_ok() {
            self.wake_all();
        }
    }

    /// One less whom publishers wait for.
    pub fn ready(&self) {
        if self.listeners_pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wake_all();
        }
    }

    /// A publisher that has sent so much is done.
    pub fn publisher_done(&self, sent: u64) {
        self.published.fetch_add(sent, Ordering::AcqRel);
        if self.publishers_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wake_all();
        }
    }

    /// Whether there were publishers, and none publishes any more.
    pub fn all_published(&self) -> bool {
        self.publishers > 0 && self.published_in_all().is_some()
    }

    /// How many messages all publishers have sent, once they are done.
    pub fn published_in_all(&self) -> Option<u64> {
        let done = self.publishers_left.load(Ordering::Acquire) == 0;
        done.then(|| self.published.load(Ordering::Acquire))
    }

    /// Whether the broker has told that it dropped messages.
    pub fn drops_are_known(&self) -> bool {
        self.told[0].load(Ordering::Acquire) > 1
    }

    /// What publishers do; only they and responders ask.
    pub fn publishing(&self) -> &Publishing {
        self.spec.publishing.as_ref().expect("only publishers and responders ask")
    }

    /// How many clients there are in all.
    pub fn clients(&self) -> u32 {
        self.publishers + self.responders + self.spec.listening.len() as u32
    }

    /// What fields of templates stand for in message `sequence` of publisher `number`.
    pub fn values(&self, number: u32, sequence: u64) -> Values<'_> {
        let publishing = self.publishing();
        Values {
            client: Name::Given(&publishing.clients[number as usize].topic_id),
            index: number,
            pair: number,
            run_id: self.run_id,
            sequence,
            total: publishing.pacing.count.unwrap_or(0),
            seed: self.spec.seed,
        }
    }

    /// Largest packet accepted from the broker.
    pub fn max_packet(&self) -> usize {
        let largest = match self.spec.publishing.as_ref().map(|publishing| &publishing.content) {
            Some(Content::Prepared(payloads)) => payloads.largest(),
            Some(Content::Feed(_)) | None => 0,
        };
        (64 << 20).max(2 * largest + (1 << 16))
    }
}
