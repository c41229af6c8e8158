//! PUBLISH from a client and its acknowledgements, in both directions (4.3).

use std::ops::ControlFlow;

use super::{Broker, Ending, Outcome};
use crate::engine::Conn;
use crate::engine::Link;
use crate::reflector::address::SessionKey;
use crate::reflector::message::Message;
use crate::reflector::outgoing::{Ack, Outgoing};
use crate::reflector::route::Route;
use crate::reflector::session::{Session, Will};
use crate::wire::{self, PacketId, Publish, QoS};

impl Broker {
    #[inline]
    pub(super) fn handle_publish<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        key: SessionKey,
        publish: &Publish<'_>,
    ) {
        self.counters.count_in(publish.qos, publish.payload.len());
        match (publish.qos, publish.packet_id) {
            (QoS::ExactlyOnce, Some(id)) => {
                // Known until PUBREL: the same identifier is the same message [MQTT-4.3.3-2].
                if self.session(key).unreleased.get_or_insert_default().insert(id) {
                    self.route(link, key, publish);
                }
                wire::encode_pubrec(id, link.out(conn));
            }
            (QoS::AtLeastOnce, Some(id)) => {
                self.route(link, key, publish);
                wire::encode_puback(id, link.out(conn));
            }
            _ => self.route(link, key, publish),
        }
    }

    #[inline]
    fn session(&mut self, key: SessionKey) -> &mut Session {
        self.sessions.get_mut(key).expect("a packet is handled while its session is there")
    }

    /// Delivers to everyone who has subscribed, by way of the route that the publisher used last.
    fn route<L: Link>(&mut self, link: &mut L, key: SessionKey, publish: &Publish<'_>) {
        let message = Message::new(publish.topic, publish.payload, publish.qos);
        if publish.retain {
            return self.retain(link, &message);
        }
        let mut route = self.session(key).route.take().unwrap_or_default();
        if route.topic != publish.topic || !self.hub.is_current(&route) {
            self.hub.resolve(publish.topic, &mut route);
        }
        self.deliver(link, &message, route.targets.as_slice());
        self.session(key).route = Some(route);
    }

    fn retain<L: Link>(&mut self, link: &mut L, message: &Message<'_>) {
        let (targets, stored) = self.hub.retain(message, self.limits.retained);
        self.counters.retained_refused += u64::from(!stored);
        self.deliver(link, message, targets.as_slice());
    }

    pub(super) fn publish_will<L: Link>(&mut self, link: &mut L, will: &Will) {
        let message = Message::new(&will.topic, &will.payload, will.qos);
        if will.retain {
            return self.retain(link, &message);
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
        id: PacketId,
    ) -> Outcome {
        self.acknowledge(link, key, |outgoing| outgoing.handle_pubrec(id))?;
        wire::encode_pubrel(id, link.out(conn));
        ControlFlow::Continue(())
    }

    fn acknowledge<L: Link>(
        &mut self,
        link: &mut L,
        key: SessionKey,
        advance: impl FnOnce(&mut Outgoing) -> Ack,
    ) -> Outcome {
        let Some(outgoing) = &mut self.session(key).outgoing else { return ControlFlow::Continue(()) };
        match advance(outgoing) {
            Ack::Taken if outgoing.has_more() => self.send_queued(link, key),
            Ack::Taken | Ack::Stale => {}
            // As mosquitto 2.1 does; a client that mixes them up would wait for ever otherwise.
            Ack::WrongKind => return ControlFlow::Break(Ending::Violation),
        }
        ControlFlow::Continue(())
    }
}
