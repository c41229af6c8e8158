//! Messages on their way from the peer to clients.

use super::session::Held;
use super::{Lane, Later, Peer};
use crate::clock::Nanos;
use crate::crew::sim::net::{Key, Net};
use crate::crew::sim::truth::{Delivery, Fate, Mark};
use crate::script::{Copies, Decision, Deed, On, SWAP_WAIT};
use crate::wire::{self, Packet, PacketId, Properties, Protocol, Publish, QoS, topic, v5};

impl Peer {
    /// A message goes to whoever has subscribed to its topic.
    pub(super) fn route(&mut self, net: &mut Net, message: u32, qos: QoS) {
        let mut audience = std::mem::take(&mut self.audience);
        // Those who share have turns without an order that a client could rely on.
        let turn = (message.wrapping_mul(0x9E37_79B9) >> 16) as usize;
        self.topics.find(&net.truth.messages[message as usize].topic, turn, &mut audience);
        for (client, wanted) in audience.drain(..) {
            self.deliver(net, client, message, qos.min(wanted));
        }
        self.audience = audience;
    }

    /// What is retained and matches a new subscription.
    pub(super) fn send_retained(&mut self, net: &mut Net, client: u32, filter: &str, wanted: QoS) {
        let matching = self.retained.iter().filter(|(name, _)| topic::matches(filter, name));
        let matching: Vec<(u32, QoS)> = matching.map(|(_, retained)| *retained).collect();
        for (message, qos) in matching {
            let delivery = note(net, client, message, qos.min(wanted), Fate::Right);
            self.send(net, client, delivery, 0, true);
        }
    }

    fn deliver(&mut self, net: &mut Net, client: u32, message: u32, qos: QoS) {
        let session = &self.sessions[client as usize];
        if session.online.is_none() && (qos == QoS::AtMostOnce || !session.persistent) {
            // Nobody there, and nothing is kept for nobody.
            return;
        }
        let record = session.online.and_then(|key| net.get(key)).map_or(usize::MAX, |pair| pair.record);
        let name = &*net.truth.clients[client as usize].name;
        let mut decision = self.decide(On::Delivery, Some(name), record);
        net.truth.done.routed += 1;
        if let Some((name, payload, qos)) = decision.publish.take() {
            self.send_foreign(net, client, message, &name, &payload, qos);
        }
        let delay = decision.delay;
        let original = message;
        let message = harmed(net, message, qos, &decision);
        match decision.fate {
            Copies::Drop => {
                net.truth.done.note(Deed::Dropped);
                note(net, client, message, qos, Fate::Dropped);
            }
            Copies::Swap if self.sessions[client as usize].held.is_none() => {
                let delivery = note(net, client, message, qos, Fate::Right);
                self.sessions[client as usize].held = Some(Held { delivery, message: original, qos });
                let time = net.now + SWAP_WAIT;
                self.put_off(net, time, Later::Release(client));
            }
            fate => {
                let to = match fate {
                    Copies::Misroute(chance) => self.stranger(net, chance, original).unwrap_or(client),
                    _ => client,
                };
                let delivery = note(net, to, message, qos, Fate::Right);
                let sent = self.send(net, to, delivery, delay, false);
                if to == client {
                    self.let_overtaken_follow(net, client, original, delay);
                }
                match fate {
                    Copies::Twice => {
                        net.truth.done.note(Deed::Duplicated);
                        let again = note(net, client, message, qos, Fate::Twice);
                        self.send(net, client, again, delay, false);
                    }
                    Copies::Repeat => self.repeat(net, client, delivery, sent, delay),
                    Copies::One | Copies::Drop | Copies::Swap | Copies::Misroute(_) => {}
                }
            }
        }
        let end = decision.end;
        if let Some(key) = self.sessions[client as usize].online {
            self.finish(net, key, end);
        }
    }

    /// Somebody who is here, has subscribed to something, and does not ask for `message`.
    fn stranger(&mut self, net: &mut Net, chance: u64, message: u32) -> Option<u32> {
        let mut targets = Vec::new();
        self.topics.find(&net.truth.messages[message as usize].topic, 0, &mut targets);
        let strangers = self.sessions.iter().zip(0u32..).filter(|(session, client)| {
            let listens = session.online.is_some() && !session.filters.is_empty();
            listens && targets.iter().all(|(target, _)| target != client)
        });
        let strangers: Vec<u32> = strangers.map(|(_, client)| client).collect();
        let place = (chance as usize).checked_rem(strangers.len())?;
        net.truth.done.note(Deed::Misrouted);
        Some(strangers[place])
    }

    /// Sends a delivery, or keeps it for a client that is not here. Answers the connection and packet id it went by.
    fn send(
        &mut self,
        net: &mut Net,
        client: u32,
        delivery: u32,
        delay: Nanos,
        retain: bool,
    ) -> Option<(Key, PacketId)> {
        let Delivery { message, qos, .. } = net.truth.deliveries[delivery as usize];
        let session = &mut self.sessions[client as usize];
        let id = match qos {
            QoS::AtMostOnce => None,
            _ => {
                let Some(id) = session.push(message, delivery, qos, retain) else {
                    net.truth.deliveries[delivery as usize].fate = Fate::Dropped;
                    return None;
                };
                Some(id)
            }
        };
        let key = session.online?;
        if id.is_some() {
            session.outbound.back_mut().expect("just pushed").sent = true;
        }
        let bytes = publish(net, self.side(key).protocol, (message, qos, id), false, retain);
        self.write(net, key, Lane::Deliveries, delay, bytes, Some(Mark::Delivery(delivery)));
        id.map(|id| (key, id))
    }

    /// The same delivery again, by the same id.
    fn repeat(
        &mut self,
        net: &mut Net,
        client: u32,
        first: u32,
        sent: Option<(Key, PacketId)>,
        delay: Nanos,
    ) {
        let Some((key, id)) = sent else { return };
        net.truth.done.note(Deed::Repeated);
        // The client answers twice, and nobody waits for the second answer.
        self.side(key).at_fault = true;
        let Delivery { message, qos, .. } = net.truth.deliveries[first as usize];
        let again = note(net, client, message, qos, Fate::Repeated);
        let known = &mut net.truth.deliveries[again as usize];
        (known.dup, known.first) = (true, first);
        let bytes = publish(net, self.side(key).protocol, (message, qos, Some(id)), true, false);
        self.write(net, key, Lane::Deliveries, delay, bytes, Some(Mark::Delivery(again)));
    }

    /// What waited for `message` of the same publisher to go first follows it.
    fn let_overtaken_follow(&mut self, net: &mut Net, client: u32, message: u32, delay: Nanos) {
        let from = |net: &Net, message: u32| net.truth.messages[message as usize].from;
        let session = &mut self.sessions[client as usize];
        if let Some(held) = session.held.take_if(|held| from(net, held.message) == from(net, message)) {
            net.truth.done.note(Deed::Swapped);
            net.truth.deliveries[held.delivery as usize].fate = Fate::Swapped;
            self.send(net, client, held.delivery, delay, false);
        }
    }

    /// Nothing has overtaken what waited for it.
    pub(super) fn release(&mut self, net: &mut Net, client: u32) {
        if let Some(held) = self.sessions[client as usize].held.take() {
            let session = &self.sessions[client as usize];
            if session.online.is_some() || (session.persistent && held.qos > QoS::AtMostOnce) {
                self.send(net, client, held.delivery, 0, false);
            }
        }
    }

    /// A message that nobody published, on `name` or else on the topic of `beside`.
    fn send_foreign(
        &mut self,
        net: &mut Net,
        client: u32,
        beside: u32,
        name: &str,
        payload: &[u8],
        qos: QoS,
    ) {
        let name = match name {
            "" => net.truth.messages[beside as usize].topic.clone(),
            name => name.into(),
        };
        let message = net.truth.message(&name, payload, qos);
        let delivery = note(net, client, message, qos, Fate::Right);
        self.send(net, client, delivery, 0, false);
    }

    /// A session goes on: what the client has not acknowledged goes out again, in its order, with DUP where it was
    /// sent before.
    pub(super) fn resume(&mut self, net: &mut Net, client: u32) {
        let session = &mut self.sessions[client as usize];
        let key = session.online.expect("CONNACK was written");
        for place in 0..session.outbound.len() {
            let session = &mut self.sessions[client as usize];
            let sending = session.outbound[place];
            session.outbound[place].sent = true;
            if sending.received {
                let mut bytes = Vec::new();
                wire::encode_pubrel(sending.id, &mut bytes);
                self.write(net, key, Lane::Deliveries, 0, bytes, None);
                continue;
            }
            let delivery = match sending.sent {
                true => note(net, client, sending.message, sending.qos, Fate::Resumed),
                false => sending.delivery,
            };
            let known = &mut net.truth.deliveries[delivery as usize];
            (known.dup, known.first) = (sending.sent, sending.delivery);
            let (message, qos, id) = (sending.message, sending.qos, Some(sending.id));
            let protocol = self.side(key).protocol;
            let bytes = publish(net, protocol, (message, qos, id), sending.sent, sending.retain);
            self.write(net, key, Lane::Deliveries, 0, bytes, Some(Mark::Delivery(delivery)));
        }
    }
}

fn note(net: &mut Net, client: u32, message: u32, qos: QoS, fate: Fate) -> u32 {
    let first = net.truth.deliveries.len() as u32;
    let delivery = Delivery { message, to: client, qos, dup: false, fate, first, written: None, given: None };
    net.truth.deliveries.push(delivery);
    first
}

fn publish(
    net: &Net,
    protocol: Protocol,
    (message, qos, packet_id): (u32, QoS, Option<PacketId>),
    dup: bool,
    retain: bool,
) -> Vec<u8> {
    let known = &net.truth.messages[message as usize];
    let (topic, payload, properties) = (&known.topic, &known.payload, Properties::NONE);
    let publish = Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload });
    let mut bytes = Vec::with_capacity(known.topic.len() + known.payload.len() + 9);
    let written = match protocol {
        Protocol::V5 => v5::encode(&publish, &mut bytes),
        Protocol::V31 | Protocol::V311 => publish.encode(&mut bytes),
    };
    written.expect("a message that came by a packet");
    bytes
}

/// The message as it goes out: one that nobody published, if its payload is harmed.
fn harmed(net: &mut Net, message: u32, qos: QoS, decision: &Decision) -> u32 {
    let known = &net.truth.messages[message as usize];
    let Some(payload) = decision.harm.apply(&known.payload).filter(|_| decision.fate != Copies::Drop) else {
        return message;
    };
    let topic = known.topic.clone();
    net.truth.done.note(decision.harm.deed());
    net.truth.message(&topic, &payload, qos)
}
