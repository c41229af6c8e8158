//! What is going to be done about one thing that happened.

use super::{Act, Deed};
use crate::clock::Nanos;
use crate::seed::Draw;
use crate::wire::{ConnectCode, QoS, SubAckCode};

/// The acts of all rules that hold, put together; of those that exclude each other the last one. The default is what
/// a sound broker does.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Decision {
    /// What the client hears.
    pub answer: Answer,
    /// How much later it does, or the delivery comes.
    pub delay: Nanos,
    /// Bytes in front of it.
    pub also: Option<Vec<u8>>,
    /// Whether CONNECT finds no session.
    pub forget: bool,
    /// What becomes of a delivery.
    pub fate: Copies,
    /// What becomes of its payload.
    pub harm: Harm,
    /// What becomes of the connection then.
    pub end: Option<Ending>,
    /// Whether the broker stands still then, and for how long.
    pub stall: Option<Option<Nanos>>,
    /// A message that nobody published: topic, payload, QoS.
    pub publish: Option<(String, Vec<u8>, QoS)>,
}

/// How a packet is answered.
#[derive(Clone, PartialEq, Default, Debug)]
pub enum Answer {
    /// As it should.
    #[default]
    Right,
    /// Not at all.
    Never,
    /// With these bytes.
    Instead(Vec<u8>),
    /// With the next packet id.
    WrongId,
    /// With this CONNACK.
    Refuse(ConnectCode),
    /// With this SUBACK.
    Grant(SubAckCode),
    /// A SYN, with RST.
    RefuseSyn,
}

impl Answer {
    /// What comes in place of the `right` answer, perhaps nothing; `None`: it comes itself.
    pub fn instead_of(&self, right: &[u8]) -> Option<Vec<u8>> {
        match self {
            Answer::Never => Some(Vec::new()),
            Answer::Instead(bytes) => Some(bytes.clone()),
            Answer::WrongId => Some(with_wrong_id(right)),
            Answer::Right | Answer::Refuse(_) | Answer::Grant(_) | Answer::RefuseSyn => None,
        }
    }

    /// Whether another one, or none, comes in place of the right answer, and what is said of that.
    pub fn deed(&self) -> Option<Deed> {
        match self {
            Answer::Never => Some(Deed::Unanswered),
            Answer::Instead(_) | Answer::WrongId => Some(Deed::Misanswered),
            Answer::Right | Answer::Refuse(_) | Answer::Grant(_) | Answer::RefuseSyn => None,
        }
    }
}

/// How often, when and where a delivery comes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Copies {
    /// Once.
    #[default]
    One,
    /// Never.
    Drop,
    /// Twice, as two messages.
    Twice,
    /// Twice under one packet id.
    Repeat,
    /// Behind the next one of its flow.
    Swap,
    /// To somebody else: the choice among those who are there follows from this number.
    Misroute(u64),
}

/// What becomes of a payload.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Harm {
    /// Nothing.
    #[default]
    None,
    /// It ends after so many bytes.
    Cut(u32),
    /// This bit, of 8, of its last byte is another.
    Flip(u8),
}

impl Harm {
    /// What is said of it.
    pub fn deed(self) -> Deed {
        if matches!(self, Harm::Flip(_)) { Deed::Flipped } else { Deed::Cut }
    }

    /// What the payload becomes, if it becomes another one.
    pub fn apply(self, payload: &[u8]) -> Option<Vec<u8>> {
        match self {
            Harm::Cut(length) if (length as usize) < payload.len() => Some(payload[..length as usize].into()),
            Harm::Flip(bit) if !payload.is_empty() => {
                let mut flipped = payload.to_vec();
                *flipped.last_mut().expect("not empty") ^= 1 << bit;
                Some(flipped)
            }
            Harm::None | Harm::Cut(_) | Harm::Flip(_) => None,
        }
    }
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It is closed.
    Close,
    /// It is closed in one direction.
    HalfClose,
    /// It is closed at once.
    Reset,
    /// Nothing is read from it for so long, or for ever.
    Deaf(Option<Nanos>),
}

impl Decision {
    /// Adds `act` to what is going to be done; `draw` has what chance there is in it.
    pub fn add(&mut self, act: &Act, draw: &mut Draw) {
        match act {
            Act::RefuseSyn => self.answer = Answer::RefuseSyn,
            Act::LoseSyn | Act::Never => self.answer = Answer::Never,
            Act::Delay(delay) => self.delay = self.delay.saturating_add(delay.draw(draw)),
            Act::Instead(bytes) => self.answer = Answer::Instead(bytes.clone()),
            Act::WrongId => self.answer = Answer::WrongId,
            Act::Also(bytes) => self.also = Some(bytes.clone()),
            Act::Garbage(length) => {
                let mut bytes = vec![0; *length as usize];
                draw.fill(&mut bytes);
                self.also = Some(bytes);
            }
            Act::Refuse(code) => self.answer = Answer::Refuse(*code),
            Act::Forget => self.forget = true,
            Act::Grant(code) => self.answer = Answer::Grant(*code),
            Act::Drop => self.fate = Copies::Drop,
            Act::Twice => self.fate = Copies::Twice,
            Act::Repeat => self.fate = Copies::Repeat,
            Act::Swap => self.fate = Copies::Swap,
            Act::Misroute => self.fate = Copies::Misroute(draw.bits()),
            Act::Cut(length) => self.harm = Harm::Cut(*length),
            Act::Flip => self.harm = Harm::Flip(draw.below(8) as u8),
            Act::Close => self.end = Some(Ending::Close),
            Act::HalfClose => self.end = Some(Ending::HalfClose),
            Act::Reset => self.end = Some(Ending::Reset),
            Act::Deaf(pause) => self.end = Some(Ending::Deaf(*pause)),
            Act::Stall(pause) => self.stall = Some(*pause),
            Act::Publish { topic, payload, qos } => {
                self.publish = Some((topic.clone(), payload.clone(), *qos));
            }
        }
    }
}

/// The packet, an answer with a packet id, with the id that follows; others as they are.
fn with_wrong_id(answer: &[u8]) -> Vec<u8> {
    let mut wrong = answer.to_vec();
    // CONNACK and PINGRESP have none.
    if let [kind, _, high, low, ..] = &mut wrong[..]
        && *kind >> 4 != crate::wire::PacketType::ConnAck as u8
    {
        let next = u16::from_be_bytes([*high, *low]).checked_add(1).unwrap_or(1);
        [*high, *low] = next.to_be_bytes();
    }
    wrong
}
