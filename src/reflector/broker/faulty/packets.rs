//! What a script has the broker do about each packet of a client.

use std::borrow::Cow;
use std::ops::Range;

use super::{Faulty, Later};
use crate::clock::Nanos;
use crate::engine::{Conn, Link};
use crate::reflector::broker::{Broker, Ending, Phase};
use crate::script::{Answer, Decision, Deed, On, Zero};
use crate::wire::v5::Options;
use crate::wire::{self, ConnAck, Packet, PacketType, Protocol, SubAckCode};

impl Broker {
    /// Handles one packet as the script has it.
    pub(super) fn play_packet<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        packet: &Packet<'_>,
        bytes: &[u8],
    ) {
        let (now, kind) = (link.now(), packet.packet_type());
        let protocol = self.connection(conn).protocol;
        let faulty = self.faulty();
        if let Packet::Connect(connect) = packet {
            faulty.side(conn).client = Some(connect.client_id.to_owned());
        }
        faulty.begin(kind, now);
        let side = faulty.side(conn);
        let (client, number) = (side.client.clone(), side.number);
        let decision = faulty.decide(On::Packet(kind), client.as_deref(), number);
        let mut bytes = Cow::Borrowed(bytes);
        match (&decision.answer, packet) {
            (Answer::Refuse(code), Packet::Connect(connect)) => {
                faulty.note_at(now, Deed::Refused, conn);
                connect.protocol.encode_connack(ConnAck::from(*code), link.out(conn));
                return self.end(link, conn, Ending::Violation(code.reason()));
            }
            (Answer::Grant(code), Packet::Subscribe(subscribe)) => {
                faulty.note_at(now, Deed::Degraded, conn);
                let codes = subscribe.filters().map(|_| SubAckCode::Failure);
                let id = subscribe.packet_id();
                let SubAckCode::Granted(most) = *code else {
                    let mut answer = Vec::new();
                    protocol.encode_suback(id, codes, &mut answer).expect("as many codes as it had filters");
                    self.send(link, conn, kind, decision.delay, answer, 0);
                    return self.conclude(link, conn, &decision);
                };
                let lowered = |options: Options| Options { qos: options.qos.min(most), ..options };
                let filters = subscribe.options().map(|(filter, options)| (filter, lowered(options)));
                bytes.to_mut().clear();
                let properties = subscribe.properties();
                let written = protocol.encode_subscribe(id, properties, filters, bytes.to_mut());
                written.expect("as it was, with other numbers");
            }
            _ => {}
        }
        let connection = *self.connection(conn);
        self.faulty().publisher = (connection.phase == Phase::Open).then_some(connection.session);
        let before = link.out(conn).len();
        self.handle_packets(link, conn, &bytes);
        let connection = *self.connection(conn);
        if connection.phase != Phase::Open {
            return;
        }
        if kind == PacketType::Subscribe && !self.faulty().subscribers.contains(&connection.session) {
            self.faulty().subscribers.push(connection.session);
        }
        let tail = link.out(conn).split_off(before);
        self.answer(link, conn, kind, tail, &decision);
        self.conclude(link, conn, &decision);
    }

    /// Writes `tail`, what the broker proper has written to the connection about a packet of this kind, as the script
    /// has it.
    fn answer<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        kind: PacketType,
        tail: Vec<u8>,
        decision: &Decision,
    ) {
        let now = link.now();
        let found = find_answer(self.connection(conn).protocol, kind, &tail);
        if let Some(bytes) = &decision.also {
            self.faulty().note_at(now, Deed::Garbage, conn);
            if found.is_none() {
                link.out(conn).extend_from_slice(bytes);
            }
        }
        let Some(Found { place, last_ack }) = found else {
            return link.out(conn).extend_from_slice(&tail);
        };
        let mut bytes = decision.also.clone().unwrap_or_default();
        let right = &tail[place.clone()];
        let wrong = decision.answer.instead_of(right);
        let acks = u64::from(last_ack && wrong.is_none());
        bytes.extend_from_slice(wrong.as_deref().unwrap_or(right));
        if let Some(deed) = decision.answer.deed() {
            self.faulty().note_at(now, deed, conn);
        }
        if kind == PacketType::Connect {
            // What the session has in store is behind CONNACK.
            bytes.extend_from_slice(&tail[place.end..]);
        } else {
            link.out(conn).extend_from_slice(&tail[..place.start]);
        }
        self.send(link, conn, kind, decision.delay, bytes, acks);
        if kind != PacketType::Connect {
            link.out(conn).extend_from_slice(&tail[place.end..]);
        }
    }

    /// Writes the answer to a packet of this kind, behind those that are late.
    fn send<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        kind: PacketType,
        delay: Nanos,
        bytes: Vec<u8>,
        acks: u64,
    ) {
        let now = link.now();
        let faulty = self.faulty();
        let side = faulty.side(conn);
        let last = &mut side.lanes[kind as usize];
        let due = now.saturating_add(delay).max(*last);
        *last = due;
        if due <= now {
            faulty.account.acked += acks;
            return link.out(conn).extend_from_slice(&bytes);
        }
        let greets = kind == PacketType::Connect;
        side.greeting |= greets;
        let number = side.number;
        if delay > 0 {
            faulty.note_at(now, Deed::Delayed, conn);
        }
        faulty.put_off(due, Later::Write { conn, number, bytes, acks, greets });
    }
}

impl Faulty {
    /// The times of moments count from the first packet of the kind that the script says.
    fn begin(&mut self, kind: PacketType, now: Nanos) {
        let begins = match self.zero {
            Zero::Publish => kind == PacketType::Publish,
            Zero::Connect => kind == PacketType::Connect,
            Zero::Start => false,
        };
        if begins && self.began.is_none() {
            self.begin_at(now);
        }
    }
}

/// An answer among what was written.
struct Found {
    place: Range<usize>,
    /// PUBACK or PUBCOMP.
    last_ack: bool,
}

/// Finds the answer to a packet of this kind.
fn find_answer(protocol: Protocol, kind: PacketType, tail: &[u8]) -> Option<Found> {
    let mut at = 0;
    while let Ok(Some((packet, length))) = protocol.decode(&tail[at..], wire::MAX_PACKET) {
        let answer = packet.packet_type();
        let found = match kind {
            PacketType::Connect => answer == PacketType::ConnAck,
            PacketType::Publish => matches!(answer, PacketType::PubAck | PacketType::PubRec),
            PacketType::PubRec => answer == PacketType::PubRel,
            PacketType::PubRel => answer == PacketType::PubComp,
            PacketType::Subscribe => answer == PacketType::SubAck,
            PacketType::Unsubscribe => answer == PacketType::UnsubAck,
            PacketType::PingReq => answer == PacketType::PingResp,
            _ => false,
        };
        if found {
            let last_ack = matches!(answer, PacketType::PubAck | PacketType::PubComp);
            return Some(Found { place: at..at + length, last_ack });
        }
        at += length;
    }
    None
}
