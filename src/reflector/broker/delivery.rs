//! A message goes to its targets: into a connection's output, into another worker's mail, or it waits.

use super::Broker;
use crate::engine::Link;
use crate::reflector::address::{SessionKey, Target};
use crate::reflector::message::{Message, encode_publish};
use crate::reflector::outgoing::Outgoing;
use crate::wire::QoS;

impl Broker {
    /// Delivers to targets ordered by worker.
    #[inline]
    pub(super) fn deliver<L: Link>(&mut self, link: &mut L, message: &Message<'_>, targets: &[Target]) {
        if self.faulty.is_some() {
            return self.deliver_by_script(link, message, targets);
        }
        for same_worker in targets.chunk_by(|a, b| a.address.worker == b.address.worker) {
            let worker = same_worker[0].address.worker;
            if worker == self.worker {
                for target in same_worker {
                    self.deliver_here(link, target.address.key, target.granted, message);
                }
            } else if !self.outbox.publish(&self.hub.inboxes, worker, message, same_worker) {
                for target in same_worker {
                    self.counters.dropped[message.qos.min(target.granted) as usize] += 1;
                }
            }
        }
    }

    /// Delivers to a session of this worker, at the lower of the message's and the granted QoS
    /// [MQTT-3.8.4-6].
    pub(super) fn deliver_here<L: Link>(
        &mut self,
        link: &mut L,
        key: SessionKey,
        granted: QoS,
        message: &Message<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(key) else {
            if let Some(address) = self.forwards.get(key) {
                self.deliver(link, message, &[Target { address, granted }]);
            }
            return;
        };
        let qos = message.qos.min(granted);
        // Nothing goes out before CONNACK.
        let conn = session.conn.filter(|_| session.waiting.is_none());
        let ready = conn.filter(|&conn| link.unsent(conn) <= self.limits.unsent);
        let has_more = session.outgoing.as_ref().is_some_and(|outgoing| outgoing.has_more());
        if qos == QoS::AtMostOnce {
            match (ready, conn) {
                (Some(conn), _) if !message.retain || !has_more => {
                    self.counters.count_out(qos, message.payload.len());
                    let connection = &mut self.connections[conn.0 as usize];
                    connection.note_sent(message.payload.len(), &self.limits);
                    return encode_publish(connection.protocol, false, qos, None, message, link.out(conn));
                }
                // All retained messages come at once: no reason to take the client for slow.
                (_, Some(_)) if message.retain => {}
                (_, Some(_)) => {
                    self.counters.dropped[0] += 1;
                    return;
                }
                // A session without a connection keeps QoS 1 and 2 only (3.1.2.4).
                (_, None) => return,
            }
        }
        let bounds = &self.limits.outgoing;
        let (keeps, receive_max) = (session.persistent, session.receive_max());
        let outgoing = session.outgoing.get_or_insert_with(|| Box::new(Outgoing::new(keeps, receive_max)));
        match ready {
            Some(conn) if outgoing.can_send(bounds) && qos != QoS::AtMostOnce => {
                let connection = &mut self.connections[conn.0 as usize];
                outgoing.send(connection.protocol, message, qos, link.out(conn));
                self.counters.count_out(qos, message.payload.len());
                connection.note_sent(message.payload.len(), &self.limits);
            }
            _ if outgoing.enqueue(message, qos, bounds) => {
                if conn.is_some() && ready.is_none() && !outgoing.stalled {
                    outgoing.stalled = true;
                    self.stalled.push_back(key);
                }
            }
            _ => self.counters.dropped[qos as usize] += 1,
        }
    }

    /// Sends what waits for a session, as far as its window and its connection take it.
    pub(super) fn send_queued<L: Link>(&mut self, link: &mut L, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(conn) = session.conn.filter(|_| session.waiting.is_none()) else { return };
        let Some(outgoing) = &mut session.outgoing else { return };
        let connection = &mut self.connections[conn.0 as usize];
        while link.unsent(conn) <= self.limits.unsent {
            match outgoing.send_next(connection.protocol, &self.limits.outgoing, link.out(conn)) {
                Some((qos, payload)) => {
                    self.counters.count_out(qos, payload);
                    connection.note_sent(payload, &self.limits);
                }
                // The queue is empty, or an acknowledgement will make room in the window.
                None => return,
            }
        }
        if outgoing.has_more() && !outgoing.stalled {
            outgoing.stalled = true;
            self.stalled.push_back(key);
        }
    }

    /// Goes on with sessions that had more to send than their connections were given. While the kernel has
    /// no room there is nothing to try: [`Broker::handle_writable`] comes when it has.
    pub(super) fn send_stalled<L: Link>(&mut self, link: &mut L) {
        for _ in 0..self.stalled.len() {
            let key = self.stalled.pop_front().expect("counted");
            let Some(session) = self.sessions.get_mut(key) else { continue };
            let Some(outgoing) = &mut session.outgoing else { continue };
            outgoing.stalled = false;
            if session.conn.is_some_and(|conn| !link.blocked(conn)) {
                self.send_queued(link, key);
            }
        }
    }
}
