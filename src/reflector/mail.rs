//! Messages from one worker to another: written into a batch, handed over once for each pass.
//!
//! One hand-over costs one short lock and at most one wake, however many messages it carries. It also
//! brings an emptied batch back, so that in steady state nothing is allocated.

use std::sync::{Mutex, OnceLock};

use super::address::{Address, SessionKey, Target};
use super::message::Message;
use super::session::Session;
use crate::wire::v5::Place;
use crate::wire::{PacketType, Properties, QoS};

#[cfg(test)]
mod tests;

/// A worker's inbox takes no more messages while it holds this many bytes of them.
const INBOX_BYTES: usize = 16 << 20;
/// A batch that waits for room in an inbox grows to this many bytes; what comes then is dropped.
const BATCH_BYTES: usize = 4 << 20;
/// A batch goes on its way before the pass ends when it is this large, so that its receiver can start.
const BATCH_EARLY_BYTES: usize = 128 << 10;
/// Emptied batches kept by an inbox for whoever sends to it next.
const SPARE_BATCHES: usize = 16;
/// An emptied batch keeps at most this many bytes of room.
const SPARE_BYTES: usize = 512 << 10;

/// Something between workers that is about a session as a whole. Never dropped, whatever the bounds.
pub(super) enum Control {
    /// The client of this session has connected elsewhere. Without an heir the session ends here.
    Surrender { key: SessionKey, heir: Option<Address> },
    /// What a surrendered session held, for the one that waits for it under this key.
    Inherit { key: SessionKey, estate: Session },
}

enum Item {
    Publish { topic: usize, properties: usize, payload: usize, targets: usize, qos: QoS },
    Control(Box<Control>),
}

/// What one worker has for another, in order.
#[derive(Default)]
pub(super) struct Batch {
    items: Vec<Item>,
    targets: Vec<(SessionKey, QoS)>,
    topics: String,
    payloads: Vec<u8>,
}

/// One thing out of a batch.
pub(super) enum Letter<'a> {
    Publish(Message<'a>, &'a [(SessionKey, QoS)]),
    Control(Control),
}

impl Batch {
    fn cost(&self) -> usize {
        self.payloads.len()
            + self.topics.len()
            + self.items.len() * size_of::<Item>()
            + self.targets.len() * size_of::<(SessionKey, QoS)>()
    }

    fn push(&mut self, message: &Message<'_>, targets: &[Target]) {
        self.topics.push_str(message.topic);
        self.payloads.extend_from_slice(message.properties.as_bytes());
        self.payloads.extend_from_slice(message.payload);
        self.targets.extend(targets.iter().map(|target| (target.address.key, target.granted)));
        self.items.push(Item::Publish {
            topic: message.topic.len(),
            properties: message.properties.as_bytes().len(),
            payload: message.payload.len(),
            targets: targets.len(),
            qos: message.qos,
        });
    }

    /// Hands out everything in order; the batch keeps its room and must be cleared before it is used again.
    pub(super) fn open(&mut self, mut read: impl FnMut(Letter<'_>)) {
        let (mut topics, mut payloads, mut targets) =
            (&self.topics[..], &self.payloads[..], &self.targets[..]);
        for item in self.items.drain(..) {
            match item {
                Item::Publish { topic, properties, payload, targets: count, qos } => {
                    let (name, rest) = topics.split_at(topic);
                    topics = rest;
                    let (said, rest) = payloads.split_at(properties);
                    let (body, rest) = rest.split_at(payload);
                    payloads = rest;
                    let said = Properties::new(Place::Packet(PacketType::Publish), said);
                    let said = said.expect("they were checked when they came");
                    let (to, rest) = targets.split_at(count);
                    targets = rest;
                    read(Letter::Publish(Message::new(name, body, qos).with_properties(said), to));
                }
                Item::Control(control) => read(Letter::Control(*control)),
            }
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.targets.clear();
        self.topics.clear();
        self.payloads.clear();
        if self.cost_of_room() > SPARE_BYTES {
            *self = Batch::default();
        }
    }

    fn cost_of_room(&self) -> usize {
        self.payloads.capacity()
            + self.topics.capacity()
            + self.items.capacity() * size_of::<Item>()
            + self.targets.capacity() * size_of::<(SessionKey, QoS)>()
    }
}

/// Where all other workers put what they have for one worker.
#[derive(Default)]
pub(super) struct Inbox {
    shelf: Mutex<Shelf>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Shelf {
    full: Vec<Batch>,
    spare: Vec<Batch>,
    bytes: usize,
}

impl Inbox {
    /// Says how to wake the worker; until then it is not woken.
    ///
    /// # Panics
    /// On the second call.
    pub(super) fn on_mail(&self, wake: Box<dyn Fn() + Send + Sync>) {
        assert!(self.wake.set(wake).is_ok(), "an inbox has one owner");
    }

    /// Takes the batch and leaves an empty one, unless there is no room. What is about sessions has room
    /// always.
    fn post(&self, batch: &mut Batch, urgent: bool) -> bool {
        let mut shelf = self.shelf.lock().expect("no worker panics within this lock");
        if shelf.bytes >= INBOX_BYTES && !urgent {
            return false;
        }
        shelf.bytes += batch.cost();
        let first = shelf.full.is_empty();
        let empty = shelf.spare.pop().unwrap_or_default();
        shelf.full.push(std::mem::replace(batch, empty));
        drop(shelf);
        if first && let Some(wake) = self.wake.get() {
            wake();
        }
        true
    }

    /// Exchanges the batches that have been read for those that have come. `batches` keeps its room.
    pub(super) fn exchange(&self, batches: &mut Vec<Batch>) {
        batches.truncate(SPARE_BATCHES);
        batches.iter_mut().for_each(Batch::clear);
        let mut shelf = self.shelf.lock().expect("no worker panics within this lock");
        let room = SPARE_BATCHES.saturating_sub(shelf.spare.len()).min(batches.len());
        shelf.spare.extend(batches.drain(..room));
        batches.clear();
        std::mem::swap(&mut shelf.full, batches);
        shelf.bytes = 0;
    }
}

/// What one worker has written for each of the others in this pass.
pub(super) struct Outbox {
    batches: Vec<Batch>,
    urgent: Vec<bool>,
    /// Workers whose batch is not empty.
    dirty: Vec<u16>,
}

impl Outbox {
    pub(super) fn new(workers: usize) -> Outbox {
        let batches = std::iter::repeat_with(Batch::default).take(workers).collect();
        Outbox { batches, urgent: vec![false; workers], dirty: Vec::new() }
    }

    /// Writes a message for sessions that all live in `worker`. False when there is no room: the message
    /// is dropped.
    pub(super) fn publish(
        &mut self,
        inboxes: &[Inbox],
        worker: u16,
        message: &Message<'_>,
        targets: &[Target],
    ) -> bool {
        let batch = self.open(worker);
        let before = batch.cost();
        if before >= BATCH_BYTES {
            return false;
        }
        batch.push(message, targets);
        if before >= BATCH_EARLY_BYTES {
            self.post(inboxes, worker);
        }
        true
    }

    pub(super) fn control(&mut self, worker: u16, control: Control) {
        self.open(worker).items.push(Item::Control(Box::new(control)));
        self.urgent[usize::from(worker)] = true;
    }

    /// Hands everything over. False when some inbox had no room, and this has to be tried again soon.
    pub(super) fn flush(&mut self, inboxes: &[Inbox]) -> bool {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.retain(|&worker| !self.post(inboxes, worker));
        self.dirty = dirty;
        self.dirty.is_empty()
    }

    fn open(&mut self, worker: u16) -> &mut Batch {
        let batch = &mut self.batches[usize::from(worker)];
        // One that went early and one that is new look alike: both are empty, and only the first is listed.
        if batch.items.is_empty() && !self.dirty.contains(&worker) {
            self.dirty.push(worker);
        }
        batch
    }

    fn post(&mut self, inboxes: &[Inbox], worker: u16) -> bool {
        let at = usize::from(worker);
        if self.batches[at].items.is_empty() {
            return true;
        }
        let posted = inboxes[at].post(&mut self.batches[at], self.urgent[at]);
        self.urgent[at] &= !posted;
        posted
    }
}
