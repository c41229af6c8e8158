//! QoS 1 and 2 towards a client: the in-flight window, and what waits in front of it.

use std::collections::VecDeque;

use super::message::{Kept, Message, encode_publish};
use crate::wire::{self, PacketId, Protocol, QoS};

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

/// What an acknowledgement comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ack {
    /// It is the one that its message waited for.
    Taken,
    /// Nothing in flight waits for it, or not any more. After a lost connection a client may repeat its half
    /// of a handshake, or speak of messages of a session that is gone.
    Stale,
    /// Its message is in flight and waits for another kind.
    WrongKind,
}

/// A session's messages at QoS 1 and 2 that are not acknowledged yet.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Identifier of the window's first message, less one.
    first: u16,
    window: VecDeque<State>,
    /// Contents of the window, beside it, when the session is persistent. A clean session never redelivers.
    contents: VecDeque<Option<Kept>>,
    /// How many at the window's end are still to be delivered again to a client that has come back.
    again: usize,
    queue: VecDeque<Kept>,
    bytes: usize,
    keeps: bool,
    /// The client's receive maximum: messages in flight that it takes. 65,535 before 5.
    pub receive_max: u16,
    /// Listed among those that go on as soon as their connection has less to send.
    pub stalled: bool,
}

/// Packet identifiers are 1 to 65,535; positions in the window count from 0 in the same ring.
const IDENTIFIERS: usize = 65_535;

impl Outgoing {
    /// For a session that `keeps` what is in flight, to deliver it again after a new connection.
    pub(super) fn new(keeps: bool, receive_max: u16) -> Outgoing {
        Outgoing {
            first: 0,
            window: VecDeque::new(),
            contents: VecDeque::new(),
            again: 0,
            queue: VecDeque::new(),
            bytes: 0,
            keeps,
            receive_max,
            stalled: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.window.is_empty() && self.queue.is_empty()
    }

    /// Whether anything waits to be sent.
    pub(super) fn has_more(&self) -> bool {
        self.again > 0 || !self.queue.is_empty()
    }

    fn window_full(&self, bounds: &Bounds) -> bool {
        self.window.len() >= bounds.window.min(self.receive_max.into())
    }

    /// Whether a message of QoS 1 or 2 can be sent at once.
    pub(super) fn can_send(&self, bounds: &Bounds) -> bool {
        !self.has_more() && !self.window_full(bounds) && self.bytes <= bounds.bytes
    }

    /// Sends a message of QoS 1 or 2, for which there is room.
    pub(super) fn send(&mut self, protocol: Protocol, message: &Message<'_>, qos: QoS, out: &mut Vec<u8>) {
        let id = self.track(qos);
        if self.keeps {
            let kept = message.keep(qos);
            self.bytes += kept.cost();
            self.contents.push_back(Some(kept));
        }
        encode_publish(protocol, false, qos, Some(id), message, out);
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

    /// Sends the first message that waits, if the window has room. `None` when no message was sent, else the
    /// QoS and length of the one that was.
    pub(super) fn send_next(
        &mut self,
        protocol: Protocol,
        bounds: &Bounds,
        out: &mut Vec<u8>,
    ) -> Option<(QoS, usize)> {
        if let Some(sent) = self.send_again(protocol, out) {
            return Some(sent);
        }
        let qos = self.queue.front()?.qos;
        if qos != QoS::AtMostOnce && self.window_full(bounds) {
            return None;
        }
        let kept = self.queue.pop_front()?;
        let sent = (qos, kept.payload().len());
        if qos == QoS::AtMostOnce {
            self.bytes -= kept.cost();
            kept.encode(protocol, false, None, out);
            return Some(sent);
        }
        let id = self.track(qos);
        kept.encode(protocol, false, Some(id), out);
        if self.keeps {
            self.contents.push_back(Some(kept));
        } else {
            self.bytes -= kept.cost();
        }
        Some(sent)
    }

    /// What is in flight is to be delivered again, in its order, to a client that has come back
    /// [MQTT-4.4.0-1], in front of everything that waits.
    pub(super) fn redeliver(&mut self) {
        assert!(self.keeps || self.window.is_empty(), "a clean session does not come back");
        self.again = self.window.len();
    }

    /// Delivers the next message in flight again; a PUBREL on the way there is not worth a word.
    fn send_again(&mut self, protocol: Protocol, out: &mut Vec<u8>) -> Option<(QoS, usize)> {
        while self.again > 0 {
            let position = self.window.len() - self.again;
            self.again -= 1;
            let id = self.id(position);
            match (self.window[position], &self.contents[position]) {
                (State::AwaitPubAck | State::AwaitPubRec, Some(kept)) => {
                    kept.encode(protocol, true, Some(id), out);
                    return Some((kept.qos, kept.payload().len()));
                }
                (State::AwaitPubComp, _) => wire::encode_pubrel(id, out),
                _ => {}
            }
        }
        None
    }

    /// PUBACK, for a message of QoS 1.
    pub(super) fn handle_puback(&mut self, id: PacketId) -> Ack {
        self.advance(id, State::AwaitPubAck, State::Done)
    }

    /// PUBREC: the client has the message, and it is never sent again [MQTT-4.3.3-1].
    pub(super) fn handle_pubrec(&mut self, id: PacketId) -> Ack {
        self.advance(id, State::AwaitPubRec, State::AwaitPubComp)
    }

    /// PUBCOMP, the end of a message of QoS 2.
    pub(super) fn handle_pubcomp(&mut self, id: PacketId) -> Ack {
        self.advance(id, State::AwaitPubComp, State::Done)
    }

    /// PUBREC with an error: the client does not take the message.
    pub(super) fn handle_refusal(&mut self, id: PacketId) -> Ack {
        self.advance(id, State::AwaitPubRec, State::Done)
    }

    fn advance(&mut self, id: PacketId, from: State, to: State) -> Ack {
        let position = (usize::from(id.get()) - 1 + IDENTIFIERS - usize::from(self.first)) % IDENTIFIERS;
        match self.window.get_mut(position) {
            Some(state) if *state == from => *state = to,
            None | Some(State::Done) => return Ack::Stale,
            // PUBREC once more.
            Some(state) if *state == to => return Ack::Stale,
            Some(_) => return Ack::WrongKind,
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
        // It may have been acknowledged before it was delivered again.
        self.again = self.again.min(self.window.len());
        Ack::Taken
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
