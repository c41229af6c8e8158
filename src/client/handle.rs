//! Packets from the server.

use super::outbound::{Found, Stage};
use super::{Client, Event, Phase, ProtocolError, RequestKind};
use crate::clock::Nanos;
use crate::wire::{
    self, Ack, ConnAck, ConnectCode, Packet, PacketId, PacketType, Protocol, Publish, QoS, SubAck,
};

type Handled<'a, T> = Result<Event<'a, T>, ProtocolError>;

impl<T: Copy> Client<T> {
    /// Takes a packet from the server; what it has to be answered with is appended to `out`.
    ///
    /// Asserts that there is a connection.
    #[inline]
    pub fn handle_packet<'a>(
        &mut self,
        packet: &Packet<'a>,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Result<Event<'a, T>, ProtocolError> {
        self.note_sign_of_life();
        match self.phase {
            Phase::Online { resumed } | Phase::Settling { resumed } => {
                self.handle_online(packet, resumed, now, out)
            }
            Phase::Connecting { clean } => self.handle_first(packet, clean),
            Phase::Closing => Ok(self.handle_closing(packet)),
            Phase::Offline => panic!("a packet without a connection"),
        }
    }

    #[inline]
    fn handle_online<'a>(
        &mut self,
        packet: &Packet<'a>,
        resumed: bool,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Handled<'a, T> {
        match packet {
            Packet::PubAck(ack) => self.handle_final_ack(ack, Stage::Ack),
            Packet::Publish(publish) => Ok(self.handle_publish(publish, now, out)),
            Packet::PubRec(ack) => self.handle_pubrec(ack, resumed, now, out),
            Packet::PubComp(ack) => self.handle_final_ack(ack, Stage::Completion),
            Packet::PubRel(ack) => Ok(self.handle_pubrel(ack.packet_id, now, out)),
            Packet::SubAck(suback) => self.handle_suback(suback),
            Packet::UnsubAck(unsuback) => self.handle_unsuback(unsuback.packet_id),
            Packet::PingResp => self.handle_pingresp(),
            Packet::ConnAck(_) => Err(ProtocolError::SecondConnAck),
            Packet::Disconnect(disconnect) if self.protocol == Protocol::V5 => {
                self.phase = Phase::Closing;
                Ok(Event::Disconnected(*disconnect))
            }
            Packet::Auth(_) => Err(ProtocolError::UnaskedAuth),
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect(_) => Err(ProtocolError::ClientOnly(packet.packet_type())),
        }
    }

    fn handle_first<'a>(&mut self, packet: &Packet<'a>, clean: bool) -> Handled<'a, T> {
        let Packet::ConnAck(ConnAck { session_present, code, .. }) = *packet else {
            return Err(ProtocolError::BeforeConnAck(packet.packet_type()));
        };
        if code != ConnectCode::Accepted {
            self.phase = Phase::Closing;
            return Ok(Event::Refused(code));
        }
        if session_present && clean {
            return Err(ProtocolError::SessionAfterClean);
        }
        if !session_present {
            // The server's half of the session is gone, so its ids mean nothing any more [MQTT-3.1.2-6].
            self.aside = None;
        }
        self.phase = match self.outbound.ids_in_use() {
            0 => Phase::Online { resumed: session_present },
            _ => Phase::Settling { resumed: session_present },
        };
        Ok(Event::Connected { session_present })
    }

    /// After DISCONNECT nothing may be sent [MQTT-3.14.4-2], so messages that would need an answer do not
    /// count as received: a server that keeps the session sends them again. Acks cost nothing to take.
    fn handle_closing<'a>(&mut self, packet: &Packet<'a>) -> Event<'a, T> {
        let found = match packet {
            Packet::Publish(publish) if publish.qos == QoS::AtMostOnce => {
                return Event::Message { publish: *publish, first: true };
            }
            Packet::PubAck(ack) => self.finish(ack, Stage::Ack),
            Packet::PubComp(ack) => self.outbound.finish(ack.packet_id, Stage::Completion),
            Packet::PubRec(ack) if ack.reason.is_error() => self.finish(ack, Stage::Receipt),
            Packet::PubRec(ack) => match self.outbound.receive(ack.packet_id) {
                Found::OnTime(token) => return Event::Received(token),
                _ => return Event::None,
            },
            _ => return Event::None,
        };
        match (found, packet) {
            (Found::OnTime(token), Packet::PubAck(ack) | Packet::PubRec(ack)) if ack.reason.is_error() => {
                Event::Rejected(token, ack.reason)
            }
            (Found::OnTime(token), _) => Event::Acked(token),
            (Found::Late(token), _) => Event::AckedLate(token),
            (Found::Awaits(_) | Found::Nothing, _) => Event::None,
        }
    }

    /// What the answer is to is seen through.
    #[inline]
    fn finish(&mut self, ack: &Ack<'_>, stage: Stage) -> Found<T> {
        self.outbound.finish(ack.packet_id, stage)
    }

    #[inline]
    fn handle_publish<'a>(&mut self, publish: &Publish<'a>, now: Nanos, out: &mut Vec<u8>) -> Event<'a, T> {
        let mut first = true;
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => {
                wire::encode_puback(id, out);
                self.last_sent = now;
            }
            (QoS::ExactlyOnce, Some(id)) => {
                // Until PUBREL, the id means this message and no other [MQTT-4.3.3-2].
                first = self.aside_mut().inbound.insert(id.get());
                wire::encode_pubrec(id, out);
                self.last_sent = now;
            }
            _ => {}
        }
        Event::Message { publish: *publish, first }
    }

    #[inline]
    fn handle_final_ack<'a>(&mut self, ack: &Ack<'_>, stage: Stage) -> Handled<'a, T> {
        let id = ack.packet_id;
        match self.finish(ack, stage) {
            // PUBCOMP with an error: the server does not know the id any more, and so has released the message.
            Found::OnTime(token) if ack.reason.is_error() && stage != Stage::Completion => {
                Ok(Event::Rejected(token, ack.reason))
            }
            Found::OnTime(token) => Ok(Event::Acked(token)),
            // It was given up: a refusal that comes late changes nothing.
            Found::Late(_) if ack.reason.is_error() && stage != Stage::Completion => Ok(Event::None),
            Found::Late(token) => Ok(Event::AckedLate(token)),
            Found::Awaits(found) => Err(wrong_kind(stage.awaited(), id, found.awaited())),
            Found::Nothing => Err(self.unexpected(stage.awaited(), id)),
        }
    }

    fn handle_pubrec<'a>(
        &mut self,
        ack: &Ack<'_>,
        resumed: bool,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Handled<'a, T> {
        if ack.reason.is_error() {
            return self.handle_final_ack(ack, Stage::Receipt);
        }
        let id = ack.packet_id;
        let event = match self.outbound.receive(id) {
            Found::OnTime(token) => Event::Received(token),
            Found::Late(_) => Event::None,
            // A server may repeat its half of the handshake when a session is resumed. PUBREL has been sent
            // on this connection by redeliver(); a second one would bring a PUBCOMP too many.
            Found::Awaits(Stage::Completion) if resumed => return Ok(Event::None),
            Found::Awaits(found) => return Err(wrong_kind(PacketType::PubRec, id, found.awaited())),
            Found::Nothing => return Err(self.unexpected(PacketType::PubRec, id)),
        };
        wire::encode_pubrel(id, out);
        self.last_sent = now;
        Ok(event)
    }

    /// Every PUBREL is answered [MQTT-4.3.3-2], an unknown id too: it is one released before, whose PUBCOMP
    /// was lost with the connection, or whose PUBREL came twice (aedes 1.2 does that in kept sessions).
    fn handle_pubrel<'a>(&mut self, id: PacketId, now: Nanos, out: &mut Vec<u8>) -> Event<'a, T> {
        if let Some(aside) = &mut self.aside {
            aside.inbound.remove(id.get());
        }
        wire::encode_pubcomp(id, out);
        self.last_sent = now;
        Event::None
    }

    fn handle_suback<'a>(&mut self, suback: &SubAck<'a>) -> Handled<'a, T> {
        let id = suback.packet_id();
        match self.request(id) {
            Some(RequestKind::Subscribe { filters }) => {
                let codes = suback.codes().len();
                if codes != filters {
                    return Err(ProtocolError::SubAckCodeCount { id, codes, filters });
                }
            }
            _ => return Err(self.unexpected(PacketType::SubAck, id)),
        }
        self.forget_request(id);
        Ok(Event::Subscribed { id, codes: *suback })
    }

    fn handle_unsuback<'a>(&mut self, id: PacketId) -> Handled<'a, T> {
        match self.request(id) {
            Some(RequestKind::Unsubscribe) => {
                self.forget_request(id);
                Ok(Event::Unsubscribed(id))
            }
            _ => Err(self.unexpected(PacketType::UnsubAck, id)),
        }
    }

    fn handle_pingresp<'a>(&mut self) -> Handled<'a, T> {
        self.pings_owed = self.pings_owed.checked_sub(1).ok_or(ProtocolError::UnaskedPingResp)?;
        Ok(Event::Pong)
    }

    fn request(&self, id: PacketId) -> Option<RequestKind> {
        let requests = &self.aside.as_ref()?.requests;
        requests.iter().find(|request| request.id == id).map(|request| request.kind)
    }

    fn forget_request(&mut self, id: PacketId) {
        if let Some(aside) = &mut self.aside {
            aside.requests.retain(|request| request.id != id);
        }
        self.drop_empty_aside();
    }

    /// An answer that nothing waits for: either something else does under its id, or nothing at all.
    #[cold]
    fn unexpected(&mut self, ack: PacketType, id: PacketId) -> ProtocolError {
        let request = self.request(id).map(RequestKind::awaited);
        match request.or_else(|| self.outbound.stage(id).map(Stage::awaited)) {
            Some(awaited) => wrong_kind(ack, id, awaited),
            None => ProtocolError::UnknownId { packet: ack, id },
        }
    }
}

fn wrong_kind(ack: PacketType, id: PacketId, awaited: PacketType) -> ProtocolError {
    ProtocolError::AckOfWrongKind { ack, id, awaited }
}
