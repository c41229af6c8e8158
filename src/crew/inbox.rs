//! What brokers send.

use super::{Crew, Link, Place, Step};
use crate::client::{Event, State};
use crate::units;
use crate::wire::{Packet, ReasonCode};

/// Answers kept for a broker that sends and does not read, in bytes: quarter of a million.
const UNREAD: usize = 1 << 20;

/// Bytes of a connection, packet by packet.
pub struct Inbox<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> Inbox<'a> {
    /// Nothing of `bytes` is used yet.
    pub fn new(bytes: &'a [u8]) -> Inbox<'a> {
        Inbox { bytes, used: 0 }
    }

    /// How many bytes were used up.
    pub fn used(&self) -> usize {
        self.used
    }
}

impl<M: Copy> Crew<M> {
    /// Takes the next packets out of `inbox` until one says something to the owner; `None` when there are no more,
    /// or the connection is being given up. Acknowledgements are in the books already; the owner calls
    /// [`Crew::end_read`] when it has them all.
    #[inline]
    pub fn next<'a, L: Link>(
        &mut self,
        link: &mut L,
        place: Place,
        inbox: &mut Inbox<'a>,
    ) -> Option<Event<'a, super::Token<M>>> {
        let protocol = self.members[place.at()].client.protocol();
        while inbox.used < inbox.bytes.len() {
            match protocol.decode(&inbox.bytes[inbox.used..], self.terms.max_packet) {
                // By reference: a packet is 100 bytes, and moving it costs more than decoding most.
                Ok(Some((ref packet, len))) => {
                    inbox.used += len;
                    match self.packet(link, place, packet) {
                        Some(Event::None) => {}
                        Some(event) => return Some(event),
                        None => break,
                    }
                }
                Ok(None) => return None,
                Err(error) => {
                    match self.step(place) {
                        Step::Connecting => {
                            self.violated(link, place, &crate::wire::explain_first(inbox.bytes, error));
                        }
                        _ => self.violated(link, place, &error),
                    }
                    break;
                }
            }
        }
        inbox.used = inbox.bytes.len();
        None
    }

    /// Counts and times the acknowledgements of a read: once for all of them.
    #[inline]
    pub fn end_read<L: Link>(&mut self, link: &L) {
        self.books.settle_acks(link.arrived());
        self.books.heard(link.arrived(), link.now());
    }

    /// Handles one packet; `None` when the connection is being given up.
    #[inline]
    fn packet<'a, L: Link>(
        &mut self,
        link: &mut L,
        place: Place,
        packet: &Packet<'a>,
    ) -> Option<Event<'a, super::Token<M>>> {
        let now = link.now();
        let member = &mut self.members[place.at()];
        if member.client.state() == State::Offline || member.is(super::TORN) {
            return None;
        }
        self.books.counters().packets_in += 1;
        let event = match member.client.handle_packet(packet, now, &mut self.scratch) {
            Ok(event) => event,
            Err(error) => {
                self.violated(link, place, &error);
                return None;
            }
        };
        if !self.scratch.is_empty() {
            let answer = self.scratch.len();
            self.write_scratch(link, place);
            if link.blocked(place.conn()) && self.is_flooded(link, place, answer) {
                return None;
            }
        }
        if let Packet::PubAck(ack) | Packet::PubRec(ack) = packet
            && ack.reason != ReasonCode::Success
        {
            self.books.counters().reasons.count(ack.reason as u8);
        }
        match &event {
            Event::Acked(token) => self.books.acked(link.arrived(), token),
            Event::Message { .. } | Event::None | Event::Subscribed { .. } => {}
            Event::AckedLate(token) => self.books.acked_late(token),
            Event::Received(_) => return Some(Event::None),
            Event::Rejected(token, _) => self.books.rejected(link.arrived(), token),
            Event::Pong => {
                self.books.counters().pongs += 1;
                return Some(Event::None);
            }
            Event::Connected { session_present } => {
                if let Packet::ConnAck(connack) = packet
                    && !self.narrow(link, place, connack.properties)
                {
                    return None;
                }
                self.established((link.arrived(), now), place, *session_present);
            }
            Event::Unsubscribed(_) => self.unsubscribed(link, place),
            Event::Refused(code) => {
                let Packet::ConnAck(connack) = packet else { unreachable!("CONNACK refuses") };
                self.refused(link, place, *code, connack.properties);
                return None;
            }
            Event::Disconnected(disconnect) => {
                self.sent_away(link, place, disconnect);
                return None;
            }
        }
        Some(event)
    }

    /// Whether a broker sends without reading the answers, and so is given up: there is no end to what it would have
    /// us keep. What a client has to say of its own accord has a bound of its own, its window, and is not counted.
    fn is_flooded<L: Link>(&mut self, link: &mut L, place: Place, answer: usize) -> bool {
        let answers = self.answers.entry(place).or_default();
        *answers += answer;
        let unread = link.unsent(place.conn()).min(*answers);
        if unread > UNREAD {
            let (remote, unread) = (self.remote(place), units::bytes(unread as u64));
            self.give_up(
                link,
                place,
                format!("{remote} went on sending and left {unread} of answers unread"),
            );
        }
        unread > UNREAD
    }
}
