//! What the peer does by chance.

use super::dice::{Dice, Span};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::script::{Act, Decision, On};
use crate::wire::{ConnectCode, PacketType, QoS, SubAckCode};

/// How often, of 1, the peer does what. The default is a healthy one that answers at once.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Delays of acknowledgements (PUBACK, PUBREC, PUBREL, PUBCOMP), how often and how long.
    pub ack_late: f64,
    pub ack_delay: Span,
    /// Delays of deliveries.
    pub delivery_late: f64,
    pub delivery_delay: Span,
    /// Delays of CONNACK, SUBACK, UNSUBACK and PINGRESP.
    pub answer_late: f64,
    pub answer_delay: Span,
    /// Acknowledgements that are never sent.
    pub ack_lost: f64,
    /// Fates of deliveries.
    pub dropped: f64,
    pub twice: f64,
    pub repeated: f64,
    pub swapped: f64,
    /// Messages that nobody published, per delivery, on the topic of the delivery.
    pub foreign: f64,
    /// After any packet: the connection is closed, closed halfway or reset.
    pub closed: f64,
    pub half_closed: f64,
    pub reset: f64,
    /// After any packet: the peer stops reading, for so long; or for ever.
    pub deaf: f64,
    pub deafness: Span,
    pub deaf_for_ever: f64,
    /// SYNs that are refused and lost.
    pub syn_refused: f64,
    pub syn_lost: f64,
    /// CONNECTs that are refused with any code, never answered, and find no session.
    pub refused: f64,
    pub connect_unanswered: f64,
    pub forgets: f64,
    /// SUBSCRIBEs that are never answered, refused, and granted with QoS 0.
    pub subscribe_unanswered: f64,
    pub subscribe_refused: f64,
    pub subscribe_lowered: f64,
    /// PINGREQs that are never answered.
    pub ping_unanswered: f64,
    /// DISCONNECTs after which the peer keeps the connection open.
    pub lingering: f64,
    /// Answers that are wrong: another kind, another id, garbage, a PINGRESP that nobody asked for.
    pub wrong: f64,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            ack_late: 0.0,
            ack_delay: 0..=0,
            delivery_late: 0.0,
            delivery_delay: 0..=0,
            answer_late: 0.0,
            answer_delay: 0..=0,
            ack_lost: 0.0,
            dropped: 0.0,
            twice: 0.0,
            repeated: 0.0,
            swapped: 0.0,
            foreign: 0.0,
            closed: 0.0,
            half_closed: 0.0,
            reset: 0.0,
            deaf: 0.0,
            deafness: 0..=0,
            deaf_for_ever: 0.0,
            syn_refused: 0.0,
            syn_lost: 0.0,
            refused: 0.0,
            connect_unanswered: 0.0,
            forgets: 0.0,
            subscribe_unanswered: 0.0,
            subscribe_refused: 0.0,
            subscribe_lowered: 0.0,
            ping_unanswered: 0.0,
            lingering: 0.0,
            wrong: 0.0,
        }
    }
}

impl Faults {
    /// A peer with some faults: which of them and how often follows from `seed`. Most have few, since a fault
    /// hides others: a connection that is always refused will never be reset.
    pub fn some(seed: u64) -> Faults {
        let mut dice = Dice::new(seed, "sim faults", 0);
        let share = *dice.pick(&[0.0, 0.1, 0.3, 0.6]);
        let mut often = |usual: f64| {
            let there = dice.chance(share);
            let strength = *dice.pick(&[0.1, 1.0, 5.0]);
            if there { (usual * strength).min(0.9) } else { 0.0 }
        };
        let mut faults = Faults {
            ack_late: often(0.1),
            delivery_late: often(0.1),
            answer_late: often(0.2),
            ack_lost: often(0.02),
            dropped: often(0.02),
            twice: often(0.02),
            repeated: often(0.02),
            swapped: often(0.02),
            foreign: often(0.01),
            closed: often(0.002),
            half_closed: often(0.001),
            reset: often(0.002),
            deaf: often(0.002),
            deaf_for_ever: often(0.0005),
            syn_refused: often(0.1),
            syn_lost: often(0.05),
            refused: often(0.1),
            connect_unanswered: often(0.02),
            forgets: often(0.2),
            subscribe_unanswered: often(0.02),
            subscribe_refused: often(0.05),
            subscribe_lowered: often(0.1),
            ping_unanswered: often(0.1),
            wrong: often(0.002),
            lingering: often(0.1),
            ..Faults::default()
        };
        let spans: [Span; 4] = [0..=MILLISECOND, 0..=50 * MILLISECOND, MILLISECOND..=SECOND, 0..=15 * SECOND];
        faults.ack_delay = dice.pick(&spans).clone();
        faults.delivery_delay = dice.pick(&spans).clone();
        faults.answer_delay = dice.pick(&spans).clone();
        faults.deafness = dice.pick(&spans).clone();
        faults
    }

    /// What chance has the peer do about `on`.
    pub(super) fn decide(&self, on: On, dice: &mut Dice, decision: &mut Decision) {
        match on {
            On::Syn if dice.chance(self.syn_refused) => decision.add(&Act::RefuseSyn, dice.draw()),
            On::Syn if dice.chance(self.syn_lost) => decision.add(&Act::LoseSyn, dice.draw()),
            On::Syn | On::AnyPacket => {}
            On::Delivery => self.delivery(dice, decision),
            On::Packet(kind) => {
                self.answer(kind, dice, decision);
                self.ending(dice, decision);
            }
        }
    }

    fn delivery(&self, dice: &mut Dice, decision: &mut Decision) {
        if dice.chance(self.delivery_late) {
            decision.delay = dice.within(&self.delivery_delay);
        }
        let fates = [
            (self.dropped, Act::Drop),
            (self.twice, Act::Twice),
            (self.repeated, Act::Repeat),
            (self.swapped, Act::Swap),
        ];
        if let Some((_, act)) = fates.into_iter().find(|(often, _)| dice.chance(*often)) {
            decision.add(&act, dice.draw());
        }
        if dice.chance(self.foreign) {
            let length = dice.within(&(0..=64)) as usize;
            let payload = dice.bytes(length);
            // Its topic is that of the delivery.
            decision.add(&Act::Publish { topic: String::new(), payload, qos: QoS::AtMostOnce }, dice.draw());
        }
    }

    fn answer(&self, kind: PacketType, dice: &mut Dice, decision: &mut Decision) {
        let (late, delay) = match kind {
            PacketType::Publish | PacketType::PubRec | PacketType::PubRel => (self.ack_late, &self.ack_delay),
            _ => (self.answer_late, &self.answer_delay),
        };
        if dice.chance(late) {
            decision.delay = dice.within(delay);
        }
        match kind {
            PacketType::Publish | PacketType::PubRec | PacketType::PubRel if dice.chance(self.ack_lost) => {
                decision.add(&Act::Never, dice.draw());
            }
            PacketType::PingReq if dice.chance(self.ping_unanswered) => {
                decision.add(&Act::Never, dice.draw());
            }
            PacketType::Disconnect if dice.chance(self.lingering) => decision.add(&Act::Never, dice.draw()),
            PacketType::Subscribe => self.subscribe(dice, decision),
            PacketType::Connect => self.connect(dice, decision),
            _ => {}
        }
        if dice.chance(self.wrong) {
            decision.add(&wrong(dice), dice.draw());
        }
    }

    fn subscribe(&self, dice: &mut Dice, decision: &mut Decision) {
        if dice.chance(self.subscribe_unanswered) {
            decision.add(&Act::Never, dice.draw());
        } else if dice.chance(self.subscribe_refused) {
            decision.add(&Act::Grant(SubAckCode::Failure), dice.draw());
        } else if dice.chance(self.subscribe_lowered) {
            decision.add(&Act::Grant(SubAckCode::Granted(QoS::AtMostOnce)), dice.draw());
        }
    }

    fn connect(&self, dice: &mut Dice, decision: &mut Decision) {
        const CODES: [ConnectCode; 5] = [
            ConnectCode::UnacceptableProtocolVersion,
            ConnectCode::IdentifierRejected,
            ConnectCode::ServerUnavailable,
            ConnectCode::BadUsernameOrPassword,
            ConnectCode::NotAuthorized,
        ];
        if dice.chance(self.connect_unanswered) {
            decision.add(&Act::Never, dice.draw());
        } else if dice.chance(self.refused) {
            decision.add(&Act::Refuse(*dice.pick(&CODES)), dice.draw());
        } else if dice.chance(self.forgets) {
            decision.add(&Act::Forget, dice.draw());
        }
    }

    fn ending(&self, dice: &mut Dice, decision: &mut Decision) {
        if dice.chance(self.closed) {
            decision.add(&Act::Close, dice.draw());
        } else if dice.chance(self.half_closed) {
            decision.add(&Act::HalfClose, dice.draw());
        } else if dice.chance(self.reset) {
            decision.add(&Act::Reset, dice.draw());
        } else if dice.chance(self.deaf) {
            let pause: Nanos = dice.within(&self.deafness);
            decision.add(&Act::Deaf(Some(pause)), dice.draw());
        } else if dice.chance(self.deaf_for_ever) {
            decision.add(&Act::Deaf(None), dice.draw());
        }
    }
}

/// Some answer that is wrong, to whatever question.
fn wrong(dice: &mut Dice) -> Act {
    let id = dice.within(&(0..=65_535)) as u16;
    let [high, low] = id.to_be_bytes();
    let kinds: [&[u8]; 10] = [
        // PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK of any id; 0 is not even one.
        &[0x40, 2, high, low],
        &[0x50, 2, high, low],
        &[0x62, 2, high, low],
        &[0x70, 2, high, low],
        &[0x90, 3, high, low, 0],
        &[0xB0, 2, high, low],
        // CONNACK, PINGRESP, and what only clients say.
        &[0x20, 2, 0, 0],
        &[0xD0, 0],
        &[0xC0, 0],
        // PUBLISH with a wildcard in its topic.
        &[0x30, 3, 0, 1, b'#'],
    ];
    if dice.chance(0.2) {
        let length = dice.within(&(1..=40)) as usize;
        return Act::Instead(dice.bytes(length));
    }
    let bytes = dice.pick(&kinds).to_vec();
    if dice.chance(0.5) { Act::Instead(bytes) } else { Act::Also(bytes) }
}
