//! What the peer does about each packet of a client.

use super::session::Will;
use super::{Lane, Later, Peer};
use crate::clock::{Nanos, SECOND};
use crate::crew::sim::events::End;
use crate::crew::sim::net::{Key, Net};
use crate::crew::sim::truth::Mark;
use crate::script::{Answer, Decision, Deed, Ending, On, Who};
use crate::wire::v5::PropertyId;
use crate::wire::{
    self, ConnAck, ConnectCode, Packet, PacketId, Properties, Protocol, Publish, QoS, ReasonCode, SubAckCode,
};

impl Peer {
    /// A packet has been read; the client's kernel had all of it at `left`.
    pub(super) fn packet(&mut self, net: &mut Net, key: Key, packet: &Packet<'_>, left: Nanos) {
        let kind = packet.packet_type();
        let client = self.side(key).client;
        let name = match packet {
            Packet::Connect(connect) => Some(connect.client_id),
            _ => client.map(|client| &*net.truth.clients[client as usize].name),
        };
        let connection = net.get(key).expect("open").record;
        let mut decision = self.decide(On::Packet(kind), name, connection);
        if let Some(pause) = decision.stall {
            net.truth.done.note(Deed::Stalled);
            decision.end = Some(Ending::Deaf(pause));
        }
        if let Some(bytes) = &decision.also {
            self.violation(net, key, "bytes that nobody asked for");
            net.truth.done.note(Deed::Garbage);
            net.write(key, bytes, None);
        }
        let end = decision.end;
        match (packet, client) {
            (Packet::Connect(connect), None) => self.connect(net, key, connect, decision),
            (_, None) => self.blame(net, key, &format!("{kind} before CONNECT")),
            (Packet::Connect(_), Some(_)) => self.blame(net, key, "a second CONNECT"),
            (_, Some(client)) => self.online(net, key, client, packet, decision, left),
        }
        self.finish(net, key, end);
    }

    fn online(
        &mut self,
        net: &mut Net,
        key: Key,
        client: u32,
        packet: &Packet<'_>,
        decision: Decision,
        left: Nanos,
    ) {
        let known = &mut net.truth.clients[client as usize];
        match packet {
            Packet::Publish(publish) => {
                known.publishes += 1;
                self.received(net, key, client, publish, decision, left);
            }
            Packet::PubRel(ack) => {
                let id = &ack.packet_id;
                let session = &mut self.sessions[client as usize];
                if let Some(message) = session.inbound.remove(&id.get()) {
                    session.released.insert(id.get(), message);
                }
                let message = session.released.get(&id.get()).copied();
                let bytes = encoded(|out| wire::encode_pubcomp(*id, out));
                self.acknowledge(net, key, decision, bytes, message, true);
            }
            Packet::PubAck(ack) => self.delivered(net, key, client, ack.packet_id, QoS::AtLeastOnce),
            Packet::PubRec(ack) => self.delivery_received(net, key, client, ack.packet_id, decision),
            Packet::PubComp(ack) => self.delivered(net, key, client, ack.packet_id, QoS::ExactlyOnce),
            Packet::Subscribe(subscribe) => {
                known.subscribes += 1;
                self.subscribe(net, key, client, subscribe, decision);
            }
            Packet::Unsubscribe(unsubscribe) => {
                for filter in unsubscribe.filters() {
                    self.topics.remove(filter, client);
                    self.sessions[client as usize].filters.remove(filter);
                }
                let id = unsubscribe.packet_id();
                let codes = unsubscribe.filters().map(|_| ReasonCode::Success);
                let protocol = self.side(key).protocol;
                let bytes = encoded(|out| protocol.encode_unsuback(id, codes, out));
                self.answer(net, key, decision, bytes);
            }
            Packet::PingReq => {
                known.pings += 1;
                self.answer(net, key, decision, encoded(wire::encode_pingresp));
            }
            Packet::Disconnect(_) => {
                known.disconnects += 1;
                let record = net.get(key).expect("open").record;
                net.truth.connections[record].said_goodbye = true;
                self.side(key).said_goodbye = true;
                // [MQTT-3.14.4-3]
                if decision.answer != Answer::Never {
                    net.close_peer(key, End::Fin);
                    self.gone(net, key);
                }
            }
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::Auth(_)
            | Packet::PingResp => {
                self.blame(net, key, &format!("{}, which only servers send", packet.packet_type()));
            }
        }
    }

    fn connect(&mut self, net: &mut Net, key: Key, connect: &wire::Connect<'_>, decision: Decision) {
        let client = if connect.client_id.is_empty() {
            self.nameless += 1;
            net.truth.client(&format!("(nameless {})", self.nameless))
        } else {
            net.truth.client(connect.client_id)
        };
        self.sessions.resize_with(net.truth.clients.len(), Default::default);
        net.truth.clients[client as usize].connects += 1;
        let record = net.get(key).expect("open").record;
        let connection = &mut net.truth.connections[record];
        connection.client = Some(client);
        connection.connect_read = Some(net.now);
        let now = net.now;
        let side = self.side(key);
        side.client = Some(client);
        side.protocol = connect.protocol;
        side.patience = Nanos::from(connect.keep_alive) * SECOND * 3 / 2;
        if side.patience > 0 {
            let time = now + side.patience;
            self.put_off(net, time, Later::Watch(key));
        }
        match decision.answer {
            Answer::Never => {}
            Answer::Refuse(code) => {
                net.truth.done.note(Deed::Refused);
                let bytes = encoded(|out| connect.protocol.encode_connack(ConnAck::from(code), out));
                net.write(key, &bytes, None);
                self.finish(net, key, Some(Ending::Close));
            }
            Answer::Instead(bytes) => {
                self.violation(net, key, "a wrong answer to CONNECT");
                self.write(net, key, Lane::Others, decision.delay, bytes, None);
            }
            _ => self.welcome(net, key, client, connect, &decision),
        }
    }

    fn welcome(
        &mut self,
        net: &mut Net,
        key: Key,
        client: u32,
        connect: &wire::Connect<'_>,
        decision: &Decision,
    ) {
        // [MQTT-3.1.4-2]: who comes with the name of somebody who is here takes his place.
        if let Some(old) = self.sessions[client as usize].online.take() {
            net.close_peer(old, crate::crew::sim::events::End::Fin);
        }
        let session = &mut self.sessions[client as usize];
        let present = session.persistent && !connect.clean_session && !decision.forget;
        if !present {
            self.forget(client);
        }
        let session = &mut self.sessions[client as usize];
        session.persistent = keeps(connect);
        session.will = connect.will.map(|will| Will {
            topic: will.topic.to_owned(),
            payload: will.payload.to_owned(),
            qos: will.qos,
        });
        if decision.delay == 0 {
            self.greet(net, key, present);
        } else {
            let time = net.now + decision.delay;
            self.put_off(net, time, Later::Greet(key, present));
        }
    }

    /// Writes CONNACK, and what the session has in store [MQTT-4.4.0-1].
    pub(super) fn greet(&mut self, net: &mut Net, key: Key, present: bool) {
        if net.get(key).is_none_or(|pair| !pair.peer_open) {
            return;
        }
        let client = self.side(key).client.expect("CONNECT was read");
        let (protocol, properties) = (self.side(key).protocol, Properties::NONE);
        let accepted = ConnAck { session_present: present, code: ConnectCode::Accepted, properties };
        let bytes = encoded(|out| protocol.encode_connack(accepted, out));
        net.write(key, &bytes, Some(Mark::ConnAck));
        self.sessions[client as usize].online = Some(key);
        self.resume(net, client);
    }

    fn subscribe(
        &mut self,
        net: &mut Net,
        key: Key,
        client: u32,
        subscribe: &wire::Subscribe<'_>,
        decision: Decision,
    ) {
        if matches!(decision.answer, Answer::Grant(_)) {
            net.truth.done.note(Deed::Degraded);
        }
        let mut codes = Vec::new();
        let mut fresh = Vec::new();
        for (filter, wanted) in subscribe.filters() {
            let code = match decision.answer {
                Answer::Grant(SubAckCode::Granted(most)) => SubAckCode::Granted(wanted.min(most)),
                Answer::Grant(refused) => refused,
                _ => SubAckCode::Granted(wanted),
            };
            codes.push(code);
            if let SubAckCode::Granted(qos) = code {
                self.topics.add(filter, client, qos);
                self.sessions[client as usize].filters.insert(filter.to_owned());
                fresh.push((filter.to_owned(), qos));
            }
        }
        let id = subscribe.packet_id();
        let protocol = self.side(key).protocol;
        let bytes = encoded(|out| protocol.encode_suback(id, codes.iter().copied(), out).expect("codes"));
        self.answer(net, key, decision, bytes);
        for (filter, qos) in fresh {
            self.send_retained(net, client, &filter, qos);
        }
    }

    /// PUBLISH from a client.
    fn received(
        &mut self,
        net: &mut Net,
        key: Key,
        client: u32,
        publish: &Publish<'_>,
        decision: Decision,
        left: Nanos,
    ) {
        let message = net.truth.message(publish.topic, publish.payload, publish.qos);
        let known = &mut net.truth.messages[message as usize];
        if known.received == 0 {
            (known.from, known.left, known.read) = (Some(client), left, net.now);
        }
        known.received += 1;
        known.received_dup += u32::from(publish.dup);
        if publish.retain {
            self.retained.insert(publish.topic.to_owned(), (message, publish.qos));
        }
        let Some(id) = publish.packet_id else { return self.route(net, message, publish.qos) };
        let session = &mut self.sessions[client as usize];
        let in_use = session.unacked.contains(&id.get()) || session.inbound.contains_key(&id.get());
        if in_use && !publish.dup {
            self.blame(net, key, &format!("a new message under packet id {id}, which is in use"));
        }
        let session = &mut self.sessions[client as usize];
        if publish.qos == QoS::AtLeastOnce {
            if decision.answer.deed().is_none() {
                session.unacked.remove(&id.get());
            } else {
                session.unacked.insert(id.get());
            }
            let bytes = encoded(|out| wire::encode_puback(id, out));
            self.acknowledge(net, key, decision, bytes, Some(message), true);
            return self.route(net, message, publish.qos);
        }
        // [MQTT-4.3.3-2]: the second time it is the same message.
        let first = session.inbound.insert(id.get(), message).is_none();
        let bytes = encoded(|out| wire::encode_pubrec(id, out));
        self.acknowledge(net, key, decision, bytes, Some(message), false);
        if first {
            self.route(net, message, publish.qos);
        }
    }

    /// Sends an acknowledgement, the `last` of its message or not.
    fn acknowledge(
        &mut self,
        net: &mut Net,
        key: Key,
        decision: Decision,
        bytes: Vec<u8>,
        message: Option<u32>,
        last: bool,
    ) {
        if let (Some(_), Some(message)) = (decision.answer.deed(), message) {
            net.truth.messages[message as usize].acks_withheld += 1;
        }
        net.truth.done.acked += u64::from(last && decision.answer.deed().is_none());
        let mark = message.filter(|_| last).map(Mark::Ack);
        let lane = match bytes[0] >> 4 {
            6 => Lane::PubRels,
            7 => Lane::PubComps,
            _ => Lane::PubAcks,
        };
        self.reply(net, key, lane, &decision, bytes, mark);
    }

    /// Sends an answer that is no acknowledgement of a message.
    fn answer(&mut self, net: &mut Net, key: Key, decision: Decision, bytes: Vec<u8>) {
        self.reply(net, key, Lane::Others, &decision, bytes, None);
    }

    /// Sends the right answer, or what is decided on in its place.
    fn reply(
        &mut self,
        net: &mut Net,
        key: Key,
        lane: Lane,
        decision: &Decision,
        right: Vec<u8>,
        mark: Option<Mark>,
    ) {
        if let Some(deed) = decision.answer.deed() {
            net.truth.done.note(deed);
        }
        match decision.answer.instead_of(&right) {
            None => self.write(net, key, lane, decision.delay, right, mark),
            Some(wrong) if wrong.is_empty() => {}
            Some(wrong) => {
                self.violation(net, key, "a wrong answer");
                self.write(net, key, lane, decision.delay, wrong, None);
            }
        }
    }

    /// PUBACK or PUBCOMP from a client.
    fn delivered(&mut self, net: &mut Net, key: Key, client: u32, id: PacketId, qos: QoS) {
        let session = &mut self.sessions[client as usize];
        let place = session.place(id).filter(|place| {
            let sending = session.outbound[*place];
            sending.qos == qos && (qos == QoS::AtLeastOnce || sending.received)
        });
        match place {
            Some(place) => session.finish(place),
            None => self.blame(net, key, &format!("an acknowledgement of {id}, which nobody waits for")),
        }
    }

    /// PUBREC from a client.
    fn delivery_received(&mut self, net: &mut Net, key: Key, client: u32, id: PacketId, decision: Decision) {
        let session = &mut self.sessions[client as usize];
        match session.place(id).filter(|place| session.outbound[*place].qos == QoS::ExactlyOnce) {
            Some(place) => session.outbound[place].received = true,
            None => self.blame(net, key, &format!("PUBREC of {id}, which nobody waits for")),
        }
        self.acknowledge(net, key, decision, encoded(|out| wire::encode_pubrel(id, out)), None, false);
    }

    /// The peer does something that no server does.
    fn violation(&mut self, net: &mut Net, key: Key, what: &'static str) {
        self.side(key).at_fault = true;
        net.truth.violations.push((net.now, what));
    }
}

/// Whether the session outlives its connection.
fn keeps(connect: &wire::Connect<'_>) -> bool {
    match connect.protocol {
        Protocol::V5 => connect.properties.number(PropertyId::SessionExpiryInterval).unwrap_or(0) > 0,
        Protocol::V31 | Protocol::V311 => !connect.clean_session,
    }
}

/// What `encode` writes.
fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8);
    encode(&mut bytes);
    bytes
}
