//! SUBSCRIBE and UNSUBSCRIBE.

use super::Broker;
use crate::engine::Conn;
use crate::engine::Link;
use crate::reflector::address::SessionKey;
use crate::wire::v5::{Options, PropertyId, RetainHandling};
use crate::wire::{ReasonCode, SubAckCode, Subscribe, Unsubscribe};

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
        let named = subscribe.properties().number(PropertyId::SubscriptionIdentifier).is_some();
        let (mut retained, mut codes) = (Vec::new(), Vec::new());
        for (filter, options) in subscribe.options() {
            let code = answer(&options, named);
            codes.push(code);
            let SubAckCode::Granted(granted) = code else { continue };
            let before = retained.len();
            let new = self.hub.subscribe(filter, address, granted, &mut retained);
            match options.retain_handling {
                RetainHandling::Send => {}
                RetainHandling::SendIfNew if new.is_some() => {}
                RetainHandling::SendIfNew | RetainHandling::DoNotSend => retained.truncate(before),
            }
            if let Some(filter) = new {
                // Most sessions have one filter: no room for four.
                session.filters.reserve_exact(usize::from(session.filters.is_empty()));
                session.filters.push(filter);
            }
            retained[before..].iter_mut().for_each(|kept| kept.qos = kept.qos.min(granted));
        }
        let protocol = self.connection(conn).protocol;
        protocol
            .encode_suback(subscribe.packet_id(), codes, link.out(conn))
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
        let mut codes = Vec::new();
        for filter in unsubscribe.filters() {
            codes.push(ReasonCode::NoSubscriptionExisted);
            if self.hub.unsubscribe(filter, address) {
                codes.pop();
                codes.push(ReasonCode::Success);
                let at = session.filters.iter().position(|held| **held == *filter);
                session
                    .filters
                    .swap_remove(at.expect("a session knows the filters that it is in the table with"));
            }
        }
        let protocol = self.connection(conn).protocol;
        protocol.encode_unsuback(unsubscribe.packet_id(), codes, link.out(conn));
    }
}

/// The answer to a filter, in a packet that names its subscriptions with a number or not. What this broker has not is
/// refused: to leave it out without a word would not be honest.
fn answer(options: &Options, named: bool) -> SubAckCode {
    if named {
        SubAckCode::Refused(ReasonCode::SubscriptionIdentifiersNotSupported)
    } else if options.no_local || options.retain_as_published {
        SubAckCode::Refused(ReasonCode::ImplementationSpecificError)
    } else {
        SubAckCode::Granted(options.qos)
    }
}
