//! QoS 1 and 2 towards a client: the in-flight window, and what waits in front of it.

use std::collections::VecDeque;

use super::message::{Kept, Message, encode_publish};
use crate::wire::{self, PacketId, QoS};

#[cfg(test)]
mod tests;

/// What one session may hold. Beyond these bounds messages are dropped, and counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Messages in flight, at most 65,535: there are no more packet identifiers.
    pub window: usize,
    /// Messages queued.
    pub messages: usize,
    /// Bytes of messages queued, and of those in flight that are kept for redelivery.
    pub bytes: usize,
}

/// Where a message in flight stands. Acknowledged ones stay until all older ones are acknowledged too:
/// identifiers are given out in order, so a position in the window is an identifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    AwaitPubAck,
    AwaitPubRec,
    AwaitPubComp,
    Done,
}

/// A session's messages at QoS 1 and 2 that are not acknowledged yet.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Identifier of the window's first message, less one.
    first: u16,
    window: VecDeque<State>,
    /// Contents of the window, beside it, when the session is persistent. A clean session never redelivers.
    contents: VecDeque<Option<Kept>>,
    queue: VecDeque<Kept>,
    bytes: usize,
    keeps: bool,
    /// Listed among those that go on as soon as their connection has less to send.
    pub stalled: bool,
}

/// Packet identifiers are 1 to 65,535; positions in the window count from 0 in the same ring.
const IDENTIFIERS: usize = 65_535;

impl Outgoing {
    /// For a session that `keeps` what is in flight, to deliver it again after a new connection.
    pub(super) fn new(keeps: bool) -> Outgoing {
        Outgoing {
            first: 0,
            window: VecDeque::new(),
            contents: VecDeque::new(),
            queue: VecDeque::new(),
            bytes: 0,
            keeps,
            stalled: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.window.is_empty() && self.queue.is_empty()
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    fn window_full(&self, bounds: &Bounds) -> bool {
        self.window.len() >= bounds.window
    }

    /// Whether a message of QoS 1 or 2 can be sent at once.
    pub(super) fn can_send(&self, bounds: &Bounds) -> bool {
        self.queue.is_empty() && !self.window_full(bounds) && self.bytes <= bounds.bytes
    }

    /// Sends a message of QoS 1 or 2, for which there is room.
    pub(super) fn send(&mut self, message: &Message<'_>, qos: QoS, out: &mut Vec<u8>) {
        let id = self.track(qos);
        if self.keeps {
            let kept = message.keep(qos);
            self.bytes += kept.cost();
            self.contents.push_back(Some(kept));
        }
        encode_publish(false, qos, message.retain, message.topic, Some(id), message.payload, out);
    }

    /// Makes a message wait. False when there is no room for it.
    pub(super) fn enqueue(&mut self, message: &Message<'_>, qos: QoS, bounds: &Bounds) -> bool {
        if self.queue.len() >= bounds.messages || self.bytes > bounds.bytes {
            return false;
        }
        let kept = message.keep(qos);
        self.bytes += kept.cost();
        self.queue.push_back(kept);
        true
    }

    /// Puts messages behind those that wait, as far as there is room; answers how many were dropped, by QoS.
    pub(super) fn append(&mut self, later: Outgoing, bounds: &Bounds) -> [u64; 3] {
        assert!(later.window.is_empty(), "nothing is sent for a session before it is there");
        let mut dropped = [0; 3];
        for kept in later.queue {
            if self.queue.len() < bounds.messages && self.bytes <= bounds.bytes {
                self.bytes += kept.cost();
                self.queue.push_back(kept);
            } else {
                dropped[kept.qos as usize] += 1;
            }
        }
        dropped
    }

    /// Sends the first message that waits, if the window has room. `None` when nothing was sent, else the
    /// QoS and length of what was.
    pub(super) fn send_queued(&mut self, bounds: &Bounds, out: &mut Vec<u8>) -> Option<(QoS, usize)> {
        let qos = self.queue.front()?.qos;
        if qos != QoS::AtMostOnce && self.window_full(bounds) {
            return None;
        }
        let kept = self.queue.pop_front()?;
        let sent = (qos, kept.payload().len());
        if qos == QoS::AtMostOnce {
            self.bytes -= kept.cost();
            kept.encode(false, None, out);
            return Some(sent);
        }
        let id = self.track(qos);
        kept.encode(false, Some(id), out);
        if self.keeps {
            self.contents.push_back(Some(kept));
        } else {
            self.bytes -= kept.cost();
        }
        Some(sent)
    }

    /// Delivers again what is in flight, in its order, to a client that has come back [MQTT-4.4.0-1].
    /// Calls `sent` with the QoS and length of each PUBLISH.
    pub(super) fn redeliver(&mut self, out: &mut Vec<u8>, mut sent: impl FnMut(QoS, usize)) {
        assert!(self.keeps || self.window.is_empty(), "a clean session does not come back");
        for (position, (state, kept)) in self.window.iter().zip(&self.contents).enumerate() {
            let id = self.id(position);
            match (state, kept) {
                (State::AwaitPubAck | State::AwaitPubRec, Some(kept)) => {
                    sent(kept.qos, kept.payload().len());
                    kept.encode(true, Some(id), out);
                }
                (State::AwaitPubComp, _) => wire::encode_pubrel(id, out),
                _ => {}
            }
        }
    }

    /// PUBACK. False when no QoS 1 message with this identifier is in flight.
    pub(super) fn handle_puback(&mut self, id: PacketId) -> bool {
        self.advance(id, State::AwaitPubAck, State::Done)
    }

    /// PUBREC: the client has the message, and it is never sent again [MQTT-4.3.3-1].
    pub(super) fn handle_pubrec(&mut self, id: PacketId) -> bool {
        self.advance(id, State::AwaitPubRec, State::AwaitPubComp)
    }

    pub(super) fn handle_pubcomp(&mut self, id: PacketId) -> bool {
        self.advance(id, State::AwaitPubComp, State::Done)
    }

    fn advance(&mut self, id: PacketId, from: State, to: State) -> bool {
        let position = (usize::from(id.get()) - 1 + IDENTIFIERS - usize::from(self.first)) % IDENTIFIERS;
        match self.window.get_mut(position) {
            Some(state) if *state == from => *state = to,
            _ => return false,
        }
        // From here on the content is not needed, acknowledged or only received.
        if let Some(kept) = self.contents.get_mut(position).and_then(Option::take) {
            self.bytes -= kept.cost();
        }
        while self.window.front() == Some(&State::Done) {
            self.window.pop_front();
            self.contents.pop_front();
            self.first = ((usize::from(self.first) + 1) % IDENTIFIERS) as u16;
        }
        true
    }

    fn track(&mut self, qos: QoS) -> PacketId {
        assert!(self.window.len() < IDENTIFIERS, "an identifier is used once at a time [MQTT-2.3.1-4]");
        let id = self.id(self.window.len());
        let state = if qos == QoS::AtLeastOnce { State::AwaitPubAck } else { State::AwaitPubRec };
        self.window.push_back(state);
        id
    }

    fn id(&self, position: usize) -> PacketId {
        let less_one = (usize::from(self.first) + position) % IDENTIFIERS;
        PacketId::new(less_one as u16 + 1).expect("1 to 65,535")
    }
}
