//! SUBSCRIBE and UNSUBSCRIBE.

use super::Broker;
use crate::engine::Conn;
use crate::engine::Link;
use crate::reflector::address::SessionKey;
use crate::wire::{self, SubAckCode, Subscribe, Unsubscribe};

impl Broker {
    /// Subscribes, then answers, then sends the retained messages. Every worker's publishers see the
    /// subscription before the client sees SUBACK.
    pub(super) fn handle_subscribe<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        key: SessionKey,
        subscribe: &Subscribe<'_>,
    ) {
        let address = self.address(key);
        let session = self.sessions.get_mut(key).expect("a packet is handled while its session is there");
        let mut retained = Vec::new();
        for (filter, granted) in subscribe.filters() {
            let before = retained.len();
            if let Some(filter) = self.hub.subscribe(filter, address, granted, &mut retained) {
                // Most sessions have one filter: no room for four.
                session.filters.reserve_exact(usize::from(session.filters.is_empty()));
                session.filters.push(filter);
            }
            retained[before..].iter_mut().for_each(|kept| kept.qos = kept.qos.min(granted));
        }
        let codes = subscribe.filters().map(|(_, granted)| SubAckCode::Granted(granted));
        wire::encode_suback(subscribe.packet_id(), codes, link.out(conn))
            .expect("as many codes as a SUBSCRIBE that was decoded has filters");
        for kept in retained {
            self.deliver_here(link, key, kept.qos, &kept.as_retained());
        }
    }

    pub(super) fn handle_unsubscribe<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        key: SessionKey,
        unsubscribe: &Unsubscribe<'_>,
    ) {
        let address = self.address(key);
        let session = self.sessions.get_mut(key).expect("a packet is handled while its session is there");
        for filter in unsubscribe.filters() {
            if self.hub.unsubscribe(filter, address) {
                let at = session.filters.iter().position(|held| **held == *filter);
                session
                    .filters
                    .swap_remove(at.expect("a session knows the filters that it is in the table with"));
            }
        }
        wire::encode_unsuback(unsubscribe.packet_id(), link.out(conn));
    }
}
