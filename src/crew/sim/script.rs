//! What the peer does for certain: rules about moments and packets.

use crate::clock::Nanos;
use crate::wire::{ConnectCode, PacketType, QoS, SubAckCode};

/// What a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// A SYN. Nobody knows yet which client's.
    Syn,
    /// A packet of this kind was read.
    Packet(PacketType),
    /// A message is about to be sent to a client, or to be kept for it.
    Delivery,
}

/// What the peer does.
#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    /// [`On::Syn`]: the connection is refused; no SYN is answered.
    RefuseSyn,
    LoseSyn,
    /// The answer (CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP), or the delivery, comes so
    /// much later, and all of its kind behind it.
    Delay(Nanos),
    /// What the packet asks for is done, and never answered.
    Never,
    /// These bytes come instead of the answer.
    Instead(Vec<u8>),
    /// These bytes come in front of the answer, or at the moment.
    Also(Vec<u8>),
    /// CONNACK says no, and the connection ends.
    Refuse(ConnectCode),
    /// CONNECT finds no session.
    Forget,
    /// SUBACK says this for each filter.
    Grant(SubAckCode),
    /// A delivery is dropped; comes twice, as two messages; twice under the same packet id; or behind the next one
    /// of its flow.
    Drop,
    Twice,
    Repeat,
    Swap,
    /// The connection ends, after the answer.
    Close,
    /// The peer says that it will send no more, and reads on.
    HalfClose,
    /// The connection ends at once; what is under way is lost.
    Reset,
    /// The peer stops reading for so long, or for ever.
    Deaf(Option<Nanos>),
    /// A message that no client published is sent to whoever has subscribed to its topic.
    Publish {
        topic: String,
        payload: Vec<u8>,
        qos: QoS,
    },
}

/// When `on` happens to a client, `act`.
#[derive(Clone, Debug)]
pub struct Rule {
    pub on: On,
    /// Only for the client of this id; `None`: for every client.
    pub client: Option<String>,
    /// So many times it does not hold first.
    pub skip: u32,
    /// So many times it holds then.
    pub times: u32,
    pub act: Act,
}

/// Everything that the peer does for certain. All rules that hold apply, in their order.
#[derive(Clone, Default, Debug)]
pub struct Script {
    pub rules: Vec<Rule>,
    /// At a moment of the world's clock, to all connections, or those of one client.
    pub moments: Vec<(Nanos, Option<String>, Act)>,
}

impl Script {
    /// Every time that `on` happens.
    pub fn always(self, on: On, act: Act) -> Script {
        self.rule(Rule { on, client: None, skip: 0, times: u32::MAX, act })
    }

    /// The `n`-th time that `on` happens, from 1, over all clients.
    pub fn nth(self, n: u32, on: On, act: Act) -> Script {
        self.rule(Rule { on, client: None, skip: n - 1, times: 1, act })
    }

    /// The first `n` times that `on` happens, over all clients.
    pub fn first(self, n: u32, on: On, act: Act) -> Script {
        self.rule(Rule { on, client: None, skip: 0, times: n, act })
    }

    /// Every time that `on` happens to `client`.
    pub fn client(self, client: &str, on: On, act: Act) -> Script {
        self.rule(Rule { on, client: Some(client.to_owned()), skip: 0, times: u32::MAX, act })
    }

    /// Any rule.
    pub fn rule(mut self, rule: Rule) -> Script {
        self.rules.push(rule);
        self
    }

    /// At `time`, to every connection there is.
    pub fn at(mut self, time: Nanos, act: Act) -> Script {
        self.moments.push((time, None, act));
        self
    }

    /// The acts of the rules that hold now.
    pub fn acts(&mut self, on: On, client: Option<&str>) -> impl Iterator<Item = Act> {
        self.rules.iter_mut().filter_map(move |rule| {
            if rule.on != on || rule.client.as_deref().is_some_and(|wanted| client != Some(wanted)) {
                return None;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return None;
            }
            let holds = rule.times > 0;
            rule.times = rule.times.saturating_sub(u32::from(rule.times != u32::MAX));
            holds.then(|| rule.act.clone())
        })
    }
}

/// What the peer is going to do about one thing that happened.
#[derive(Default, Debug)]
pub(super) struct Decision {
    pub answer: Answer,
    pub delay: Nanos,
    pub also: Option<Vec<u8>>,
    pub forget: bool,
    pub fate: Copies,
    pub end: Option<Ending>,
    pub publish: Option<(String, Vec<u8>, QoS)>,
}

#[derive(Default, PartialEq, Debug)]
pub(super) enum Answer {
    #[default]
    Right,
    Never,
    Instead(Vec<u8>),
    Refuse(ConnectCode),
    Grant(SubAckCode),
    RefuseSyn,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Copies {
    #[default]
    One,
    Drop,
    Twice,
    Repeat,
    Swap,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Close,
    HalfClose,
    Reset,
    Deaf(Option<Nanos>),
}

impl Decision {
    /// Adds `act` to what is going to be done.
    pub fn add(&mut self, act: Act) {
        match act {
            Act::RefuseSyn => self.answer = Answer::RefuseSyn,
            Act::LoseSyn | Act::Never => self.answer = Answer::Never,
            Act::Delay(delay) => self.delay += delay,
            Act::Instead(bytes) => self.answer = Answer::Instead(bytes),
            Act::Also(bytes) => self.also = Some(bytes),
            Act::Refuse(code) => self.answer = Answer::Refuse(code),
            Act::Forget => self.forget = true,
            Act::Grant(code) => self.answer = Answer::Grant(code),
            Act::Drop => self.fate = Copies::Drop,
            Act::Twice => self.fate = Copies::Twice,
            Act::Repeat => self.fate = Copies::Repeat,
            Act::Swap => self.fate = Copies::Swap,
            Act::Close => self.end = Some(Ending::Close),
            Act::HalfClose => self.end = Some(Ending::HalfClose),
            Act::Reset => self.end = Some(Ending::Reset),
            Act::Deaf(pause) => self.end = Some(Ending::Deaf(pause)),
            Act::Publish { topic, payload, qos } => self.publish = Some((topic, payload, qos)),
        }
    }
}
