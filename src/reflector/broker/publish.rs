//! PUBLISH from a client and its acknowledgements, in both directions (4.3).

use std::ops::ControlFlow;

use super::connect::expiry_of;
use super::{ALIASES, Broker, Ending, Outcome};
use crate::engine::Conn;
use crate::engine::Link;
use crate::reflector::address::SessionKey;
use crate::reflector::message::Message;
use crate::reflector::outgoing::{self, Outgoing};
use crate::reflector::route::Route;
use crate::reflector::session::{Session, Will};
use crate::wire::v5::{self, Place, PropertyId};
use crate::wire::{
    self, Ack, Disconnect, PacketId, PacketType, Properties, Protocol, Publish, QoS, ReasonCode,
};

impl Broker {
    #[inline]
    pub(super) fn handle_publish<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        key: SessionKey,
        publish: &Publish<'_>,
    ) -> Outcome {
        if !publish.properties.is_empty() {
            return self.handle_long_publish(link, conn, key, publish);
        }
        self.take_publish(link, conn, key, publish);
        ControlFlow::Continue(())
    }

    /// PUBLISH with properties: what is between the client and the broker stays here.
    fn handle_long_publish<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        key: SessionKey,
        publish: &Publish<'_>,
    ) -> Outcome {
        let properties = publish.properties;
        if properties.number(PropertyId::SubscriptionIdentifier).is_some() {
            // [MQTT-3.3.4-6]
            return ControlFlow::Break(Ending::Violation(ReasonCode::ProtocolError));
        }
        let Some(alias) = properties.number(PropertyId::TopicAlias) else {
            self.take_publish(link, conn, key, publish);
            return ControlFlow::Continue(());
        };
        if alias > ALIASES.into() {
            // [MQTT-3.2.2-17]
            return ControlFlow::Break(Ending::Violation(ReasonCode::TopicAliasInvalid));
        }
        let five = self.session(key).five.as_mut().expect("only a client of 5 has properties");
        let at = alias as usize - 1;
        if five.aliases.len() <= at {
            five.aliases.resize(at + 1, None);
        }
        if !publish.topic.is_empty() && five.aliases[at].as_deref() != Some(publish.topic) {
            five.aliases[at] = Some(Box::from(publish.topic));
        }
        let Some(topic) = five.aliases[at].take() else {
            return ControlFlow::Break(Ending::Violation(ReasonCode::ProtocolError));
        };
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        for (id, value) in properties.iter().filter(|(id, _)| *id != PropertyId::TopicAlias) {
            id.write(value, &mut bytes).expect("it came like that");
        }
        let properties = Properties::new(Place::Packet(PacketType::Publish), &bytes).expect("one less");
        self.take_publish(link, conn, key, &Publish { topic: &topic, properties, ..*publish });
        self.scratch = bytes;
        let five = self.session(key).five.as_mut().expect("it was there a moment ago");
        five.aliases[at] = Some(topic);
        ControlFlow::Continue(())
    }

    #[inline]
    fn take_publish<L: Link>(&mut self, link: &mut L, conn: Conn, key: SessionKey, publish: &Publish<'_>) {
        self.counters.count_in(publish.qos, publish.payload.len());
        match (publish.qos, publish.packet_id) {
            (QoS::ExactlyOnce, Some(id)) => {
                // Known until PUBREL: the same identifier is the same message [MQTT-4.3.3-2].
                let new = self.session(key).unreleased.get_or_insert_default().insert(id);
                let heard = !new || self.route(link, key, publish);
                self.acknowledge_publish(link, conn, PacketType::PubRec, id, heard);
            }
            (QoS::AtLeastOnce, Some(id)) => {
                let heard = self.route(link, key, publish);
                self.acknowledge_publish(link, conn, PacketType::PubAck, id, heard);
            }
            _ => drop(self.route(link, key, publish)),
        }
    }

    /// PUBACK or PUBREC; a client of 5 is told when nobody has `heard` its message.
    #[inline]
    fn acknowledge_publish<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        packet: PacketType,
        id: PacketId,
        heard: bool,
    ) {
        if !heard && self.connection(conn).protocol == Protocol::V5 {
            let reason = ReasonCode::NoMatchingSubscribers;
            return v5::encode_ack(packet, &Ack { reason, ..Ack::from(id) }, link.out(conn));
        }
        match packet {
            PacketType::PubAck => wire::encode_puback(id, link.out(conn)),
            _ => wire::encode_pubrec(id, link.out(conn)),
        }
    }

    /// DISCONNECT from a client.
    pub(super) fn handle_disconnect(&mut self, key: SessionKey, disconnect: &Disconnect<'_>) -> Outcome {
        let expiry = disconnect.properties.number(PropertyId::SessionExpiryInterval);
        if let (Some(seconds), Some(five)) = (expiry, &mut self.session(key).five) {
            if five.expiry == 0 && seconds > 0 {
                // [MQTT-3.14.2-2]: what CONNECT has not asked for is not asked for now.
                return ControlFlow::Break(Ending::Violation(ReasonCode::ProtocolError));
            }
            five.expiry = expiry_of(seconds);
        }
        match disconnect.reason {
            // Its will is published.
            ReasonCode::DisconnectWithWill => ControlFlow::Break(Ending::Closed),
            _ => ControlFlow::Break(Ending::Disconnect),
        }
    }

    #[inline]
    fn session(&mut self, key: SessionKey) -> &mut Session {
        self.sessions.get_mut(key).expect("a packet is handled while its session is there")
    }

    /// Delivers to everyone who has subscribed, by way of the route that the publisher used last. Answers whether
    /// there is anybody.
    fn route<L: Link>(&mut self, link: &mut L, key: SessionKey, publish: &Publish<'_>) -> bool {
        let message = Message::new(publish.topic, publish.payload, publish.qos);
        let message = message.with_properties(publish.properties);
        if publish.retain {
            return self.retain(link, &message);
        }
        let mut route = self.session(key).route.take().unwrap_or_default();
        if route.topic != publish.topic || !self.hub.is_current(&route) {
            self.hub.resolve(publish.topic, &mut route);
        }
        let targets = route.targets.as_slice();
        let heard = !targets.is_empty();
        self.deliver(link, &message, targets);
        self.session(key).route = Some(route);
        heard
    }

    fn retain<L: Link>(&mut self, link: &mut L, message: &Message<'_>) -> bool {
        let (targets, stored) = self.hub.retain(message, self.limits.retained);
        self.counters.retained_refused += u64::from(!stored);
        self.deliver(link, message, targets.as_slice());
        !targets.as_slice().is_empty()
    }

    pub(super) fn publish_will<L: Link>(&mut self, link: &mut L, will: &Will) {
        let message = Message::new(&will.topic, &will.payload, will.qos);
        if will.retain {
            self.retain(link, &message);
            return;
        }
        let mut route = Route::default();
        self.hub.resolve(&will.topic, &mut route);
        self.deliver(link, &message, route.targets.as_slice());
    }

    /// The client lets go of a QoS 2 message. Always answered: the answer may have been lost with an earlier
    /// connection [MQTT-4.3.3-2].
    pub(super) fn handle_pubrel<L: Link>(&mut self, link: &mut L, conn: Conn, key: SessionKey, id: PacketId) {
        if let Some(unreleased) = &mut self.session(key).unreleased {
            unreleased.remove(&id);
        }
        wire::encode_pubcomp(id, link.out(conn));
    }

    pub(super) fn handle_puback<L: Link>(&mut self, link: &mut L, key: SessionKey, id: PacketId) -> Outcome {
        self.acknowledge(link, key, |outgoing| outgoing.handle_puback(id))
    }

    pub(super) fn handle_pubcomp<L: Link>(&mut self, link: &mut L, key: SessionKey, id: PacketId) -> Outcome {
        self.acknowledge(link, key, |outgoing| outgoing.handle_pubcomp(id))
    }

    /// The client has a QoS 2 message. PUBREL is the answer even to an identifier that is not known, for
    /// the client would ask until it gets one.
    pub(super) fn handle_pubrec<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        key: SessionKey,
        ack: &Ack<'_>,
    ) -> Outcome {
        let id = ack.packet_id;
        if ack.reason.is_error() {
            // It does not want it, and says no more about it.
            return self.acknowledge(link, key, |outgoing| outgoing.handle_refusal(id));
        }
        self.acknowledge(link, key, |outgoing| outgoing.handle_pubrec(id))?;
        wire::encode_pubrel(id, link.out(conn));
        ControlFlow::Continue(())
    }

    fn acknowledge<L: Link>(
        &mut self,
        link: &mut L,
        key: SessionKey,
        advance: impl FnOnce(&mut Outgoing) -> outgoing::Ack,
    ) -> Outcome {
        let Some(waiting) = &mut self.session(key).outgoing else { return ControlFlow::Continue(()) };
        match advance(waiting) {
            outgoing::Ack::Taken if waiting.has_more() => self.send_queued(link, key),
            outgoing::Ack::Taken | outgoing::Ack::Stale => {}
            // As mosquitto 2.1 does; a client that mixes them up would wait for ever otherwise.
            outgoing::Ack::WrongKind => {
                return ControlFlow::Break(Ending::Violation(ReasonCode::ProtocolError));
            }
        }
        ControlFlow::Continue(())
    }
}
