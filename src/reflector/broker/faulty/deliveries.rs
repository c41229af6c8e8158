//! What a script has become of messages on their way to clients.

use super::Later;
use crate::clock::Nanos;
use crate::engine::Link;
use crate::reflector::address::{SessionKey, Target};
use crate::reflector::broker::Broker;
use crate::reflector::message::{Kept, Message};
use crate::script::{Copies, Deed, On, SWAP_WAIT};
use crate::wire::{PacketType, QoS};

/// What is put off for a session.
#[derive(Default)]
pub(super) struct Pending {
    /// When the last of its deliveries that are late leaves.
    last: Nanos,
    held: Option<Held>,
}

/// A delivery that waits to be overtaken by the next one of its publisher.
struct Held {
    number: u64,
    publisher: Option<SessionKey>,
    granted: QoS,
    kept: Kept,
}

/// A delivery that is late.
pub(super) struct Parcel {
    to: SessionKey,
    granted: QoS,
    kept: Kept,
    repeat: bool,
}

impl Broker {
    /// Delivers to targets, who are all of this worker.
    pub(in crate::reflector::broker) fn deliver_by_script<L: Link>(
        &mut self,
        link: &mut L,
        message: &Message<'_>,
        targets: &[Target],
    ) {
        for target in targets {
            self.play_delivery(link, message, *target, targets);
        }
    }

    fn play_delivery<L: Link>(
        &mut self,
        link: &mut L,
        message: &Message<'_>,
        target: Target,
        all: &[Target],
    ) {
        let Target { address, granted } = target;
        let (key, qos, now) = (address.key, message.qos.min(granted), link.now());
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (conn, client) = (session.conn, session.client_id.clone());
        if conn.is_none() && (qos == QoS::AtMostOnce || !session.persistent) {
            // Nobody there, and nothing is kept for nobody.
            return;
        }
        let faulty = self.faulty();
        faulty.account.routed += 1;
        let connection = conn.map_or(0, |conn| faulty.side(conn).number);
        let decision = faulty.decide(On::Delivery, client.as_deref(), connection);
        let note = |broker: &mut Broker, did| {
            broker.faulty().note(now, did, client.as_deref(), Some(message.topic));
        };
        if let (Some(bytes), Some(conn)) = (&decision.also, conn) {
            note(self, Deed::Garbage);
            link.out(conn).extend_from_slice(bytes);
        }
        let harmed = decision.harm.apply(message.payload).filter(|_| decision.fate != Copies::Drop);
        if harmed.is_some() {
            note(self, decision.harm.deed());
        }
        let harmed = harmed.as_deref().map(|payload| message.with_payload(payload));
        let message = harmed.as_ref().unwrap_or(message);
        match decision.fate {
            Copies::Drop => note(self, Deed::Dropped),
            Copies::Swap if self.faulty().pending.get(&key).is_none_or(|pending| pending.held.is_none()) => {
                self.hold_back(now, key, granted, message);
            }
            fate => {
                let stranger = match fate {
                    Copies::Misroute(chance) => self.stranger(chance, all),
                    _ => None,
                };
                if stranger.is_some() {
                    note(self, Deed::Misrouted);
                }
                let to = stranger.unwrap_or(key);
                if decision.delay > 0 {
                    note(self, Deed::Delayed);
                }
                let repeats = fate == Copies::Repeat && qos > QoS::AtMostOnce;
                if repeats {
                    note(self, Deed::Repeated);
                }
                self.deliver_after(link, to, granted, message, decision.delay, repeats);
                if to == key {
                    self.let_overtaken_follow(link, key, decision.delay);
                }
                if fate == Copies::Twice {
                    note(self, Deed::Duplicated);
                    self.deliver_after(link, key, granted, message, decision.delay, false);
                }
            }
        }
        if let Some(conn) = conn {
            self.conclude(link, conn, &decision);
        }
    }

    /// Delivers behind everything of the session that is late.
    fn deliver_after<L: Link>(
        &mut self,
        link: &mut L,
        to: SessionKey,
        granted: QoS,
        message: &Message<'_>,
        delay: Nanos,
        repeat: bool,
    ) {
        let now = link.now();
        let conn = self.sessions.get_mut(to).and_then(|session| session.conn);
        let faulty = self.faulty();
        let greeted = conn.map(|conn| faulty.side(conn)).filter(|side| side.greeting);
        let greeted = greeted.map_or(0, |side| side.lanes[PacketType::Connect as usize]);
        let last = faulty.pending.get(&to).map_or(0, |pending| pending.last).max(greeted);
        let due = now.saturating_add(delay).max(last);
        if due <= now {
            return self.deliver_now(link, to, granted, message, repeat);
        }
        faulty.pending.entry(to).or_default().last = due;
        let kept = message.keep(message.qos);
        faulty.put_off(due, Later::Deliver(Parcel { to, granted, kept, repeat }));
    }

    fn deliver_now<L: Link>(
        &mut self,
        link: &mut L,
        to: SessionKey,
        granted: QoS,
        message: &Message<'_>,
        repeat: bool,
    ) {
        let conn = self.sessions.get_mut(to).and_then(|session| session.conn).filter(|_| repeat);
        let before = conn.map_or(0, |conn| link.out(conn).len());
        self.deliver_here(link, to, granted, message);
        if let Some(conn) = conn {
            let out = link.out(conn);
            let again = before..out.len();
            if !again.is_empty() {
                let first = out.len();
                out.extend_from_within(again);
                // DUP [MQTT-3.3.1-1].
                out[first] |= 0x08;
            }
        }
    }

    pub(super) fn deliver_parcel<L: Link>(&mut self, link: &mut L, parcel: &Parcel) {
        let Parcel { to, granted, kept, repeat } = parcel;
        self.deliver_now(link, *to, *granted, &kept.as_message(), *repeat);
    }

    /// The delivery waits to be overtaken.
    fn hold_back(&mut self, now: Nanos, key: SessionKey, granted: QoS, message: &Message<'_>) {
        let faulty = self.faulty();
        let number = faulty.number();
        let publisher = faulty.publisher;
        let held = Held { number, publisher, granted, kept: message.keep(message.qos) };
        faulty.pending.entry(key).or_default().held = Some(held);
        faulty.put_off(now + SWAP_WAIT, Later::Release { key, number });
    }

    /// What waited for a message of the same publisher to go first follows it.
    fn let_overtaken_follow<L: Link>(&mut self, link: &mut L, key: SessionKey, delay: Nanos) {
        let now = link.now();
        let faulty = self.faulty();
        let publisher = faulty.publisher;
        let Some(pending) = faulty.pending.get_mut(&key) else { return };
        let Some(held) = pending.held.take_if(|held| held.publisher == publisher) else { return };
        let client = self.sessions.get_mut(key).and_then(|session| session.client_id.clone());
        self.faulty().note(now, Deed::Swapped, client.as_deref(), Some(held.kept.topic()));
        self.deliver_after(link, key, held.granted, &held.kept.as_message(), delay, false);
    }

    /// Nothing has overtaken what waited for it.
    pub(super) fn release<L: Link>(&mut self, link: &mut L, key: SessionKey, number: u64) {
        let Some(pending) = self.faulty().pending.get_mut(&key) else { return };
        if let Some(held) = pending.held.take_if(|held| held.number == number) {
            self.deliver_after(link, key, held.granted, &held.kept.as_message(), 0, false);
        }
    }

    /// Somebody who is here, has subscribed to something, and is none of `targets`.
    fn stranger(&mut self, chance: u64, targets: &[Target]) -> Option<SessionKey> {
        let sessions = &mut self.sessions;
        let faulty = self.faulty.as_mut().expect("a script is being played");
        faulty.subscribers.retain(|key| sessions.get_mut(*key).is_some());
        let strangers = faulty.subscribers.iter().copied().filter(|key| {
            let here = sessions.get_mut(*key).is_some_and(|session| session.conn.is_some());
            here && targets.iter().all(|target| target.address.key != *key)
        });
        let strangers: Vec<SessionKey> = strangers.collect();
        (!strangers.is_empty()).then(|| strangers[(chance % strangers.len() as u64) as usize])
    }
}
