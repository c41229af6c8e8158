//! What a broker does that it should not: one language for the scripted reflector and for the broker of a simulated
//! world. A [`Script`] has *rules* about packets and deliveries, *moments*, and two paces. It is read from TOML
//! ([`Script::parse`]), played by a [`Play`], which decides from the seed and from what it has counted, never from
//! when something happened; and what was really done is kept in an [`Account`].

mod account;
mod decision;
mod file;
mod play;
#[cfg(test)]
mod tests;

pub use account::{Account, Deed, Event};
pub use decision::{Answer, Copies, Decision, Ending, Harm};
pub use file::Error;
pub use play::{Bucket, Play, Who};

/// The JSON Schema (draft 2020-12) of a line of the log: a deed, or at the end the totals.
pub const LOG_SCHEMA: &str = include_str!("script/log.schema.json");

use crate::clock::{MILLISECOND, Nanos};
use crate::seed::Draw;
use crate::wire::{ConnectCode, PacketType, QoS, SubAckCode};

/// How long a delivery that is to be swapped waits to be overtaken; then it comes as it should.
pub const SWAP_WAIT: Nanos = 200 * MILLISECOND;

/// What a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// A SYN, in a simulated world. Nobody knows yet which client's.
    Syn,
    /// A packet of this kind was read.
    Packet(PacketType),
    /// Any packet was read.
    AnyPacket,
    /// A message is about to be sent to a client, or to be kept for it.
    Delivery,
}

impl On {
    /// Whether a rule about `self` is about what happened.
    fn covers(self, happened: On) -> bool {
        self == happened || self == On::AnyPacket && matches!(happened, On::Packet(_))
    }
}

/// A time that may be different each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// Always the same.
    Fixed(Nanos),
    /// Every value from the first to the last is equally likely.
    Uniform(Nanos, Nanos),
    /// Exponential, with this mean.
    Exponential(Nanos),
}

impl Spread {
    /// One of the times.
    pub fn draw(self, draw: &mut Draw) -> Nanos {
        match self {
            Spread::Fixed(time) => time,
            Spread::Uniform(first, last) => first + draw.up_to(last - first),
            Spread::Exponential(mean) => (draw.exponential() * mean as f64) as Nanos,
        }
    }
}

/// What the broker does.
#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    /// [`On::Syn`]: the connection is refused; no SYN is answered.
    RefuseSyn,
    /// See [`Act::RefuseSyn`].
    LoseSyn,
    /// The answer (CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP), or the delivery, comes so
    /// much later, and all of its kind behind it.
    Delay(Spread),
    /// What the packet asks for is done, and never answered.
    Never,
    /// These bytes come instead of the answer.
    Instead(Vec<u8>),
    /// The answer has the next packet id.
    WrongId,
    /// These bytes come in front of the answer, or at the moment.
    Also(Vec<u8>),
    /// So many random bytes come there.
    Garbage(u32),
    /// CONNACK says no, and the connection ends.
    Refuse(ConnectCode),
    /// CONNECT finds no session. (Simulated worlds only.)
    Forget,
    /// SUBACK says this for each filter.
    Grant(SubAckCode),
    /// A delivery is dropped.
    Drop,
    /// It comes twice, as two messages.
    Twice,
    /// It comes twice under the same packet id, the second time with DUP.
    Repeat,
    /// It comes behind the next one of its flow.
    Swap,
    /// It goes to somebody else, who did not ask for it.
    Misroute,
    /// Its payload ends after so many bytes.
    Cut(u32),
    /// One bit in the last byte of its payload is another.
    Flip,
    /// The connection ends, after the answer.
    Close,
    /// The broker says that it will send no more, and reads on. (Simulated worlds only.)
    HalfClose,
    /// The connection ends at once; what is under way is lost.
    Reset,
    /// The broker stops reading from the connection for so long, or for ever.
    Deaf(Option<Nanos>),
    /// The whole broker stands still for so long, or for ever. (In a simulated world it reads nothing.)
    Stall(Option<Nanos>),
    /// A message that no client published is sent to whoever has subscribed to its topic. (Simulated worlds only.)
    Publish {
        /// Where; empty: where the delivery goes.
        topic: String,
        /// What.
        payload: Vec<u8>,
        /// How.
        qos: QoS,
    },
}

/// What is counted together: each of these has its own first, second, n-th time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Everything.
    #[default]
    All,
    /// What happens to one client, by its id.
    Client,
    /// What happens on one connection.
    Connection,
}

/// When `on` happens to a client, `act`.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// What it is about.
    pub on: On,
    /// Only for the client of this id, or of ids that begin with what stands in front of a `*`.
    pub client: Option<String>,
    /// What is counted together.
    pub per: Per,
    /// So many times it does not hold first.
    pub skip: u64,
    /// Of those that follow it holds for each `every`-th.
    pub every: u64,
    /// Of those with this probability.
    pub chance: f64,
    /// So many times it holds at most.
    pub times: u64,
    /// What is done then.
    pub act: Act,
}

impl Rule {
    /// Every time that `on` happens.
    pub fn always(on: On, act: Act) -> Rule {
        Rule { on, client: None, per: Per::All, skip: 0, every: 1, chance: 1.0, times: u64::MAX, act }
    }
}

/// At a moment, to all connections or those of one client.
#[derive(Clone, PartialEq, Debug)]
pub struct Moment {
    /// From the script's [`Zero`].
    pub time: Nanos,
    /// Again each time that so much has passed.
    pub every: Option<Nanos>,
    /// So many times.
    pub times: u64,
    /// As in [`Rule`].
    pub client: Option<String>,
    /// What is done.
    pub act: Act,
}

/// Whether the client with id `name` is the one that is `wanted`.
pub fn is_client(wanted: Option<&str>, name: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    match wanted.strip_suffix('*') {
        Some(prefix) => name.is_some_and(|name| name.starts_with(prefix)),
        None => name == Some(wanted),
    }
}

/// What the times of moments count from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zero {
    /// The first PUBLISH that is read.
    #[default]
    Publish,
    /// The first CONNECT that is read.
    Connect,
    /// The start of the broker.
    Start,
}

/// How many packets of one kind a broker takes care of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Service {
    /// Which.
    pub of: PacketType,
    /// So many a second, of all clients together; the others wait in the broker.
    pub per_s: f64,
    /// So many at once after a rest.
    pub burst: u64,
}

/// Everything that a broker does for certain, or by chance from a seed. All rules that hold apply, in their order.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Script {
    /// What chance follows from.
    pub seed: u64,
    /// No limit if there is none.
    pub service: Option<Service>,
    /// Bytes a second that are read from each connection.
    pub read_per_s: Option<u64>,
    /// What moments count from. In a simulated world that is always its start.
    pub zero: Zero,
    /// About packets and deliveries.
    pub rules: Vec<Rule>,
    /// About times.
    pub moments: Vec<Moment>,
}

impl Script {
    /// Reads a script in TOML.
    ///
    /// ```
    /// use malaria_bench::script::{Act, Script};
    /// let text = "[[fault]]\non = 'delivery'\nevery = 1000\ndo = 'drop'";
    /// assert_eq!(Script::parse(text)?.rules[0].act, Act::Drop);
    /// # Ok::<_, malaria_bench::script::Error>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong in it, and where.
    pub fn parse(text: &str) -> Result<Script, Error> {
        file::parse(text)
    }

    /// Every time that `on` happens.
    pub fn always(self, on: On, act: Act) -> Script {
        self.rule(Rule::always(on, act))
    }

    /// The `n`-th time that `on` happens, from 1, over all clients.
    pub fn nth(self, n: u64, on: On, act: Act) -> Script {
        self.rule(Rule { skip: n - 1, times: 1, ..Rule::always(on, act) })
    }

    /// The first `n` times that `on` happens, over all clients.
    pub fn first(self, n: u64, on: On, act: Act) -> Script {
        self.rule(Rule { times: n, ..Rule::always(on, act) })
    }

    /// Every time that `on` happens to `client`.
    pub fn client(self, client: &str, on: On, act: Act) -> Script {
        self.rule(Rule { client: Some(client.to_owned()), ..Rule::always(on, act) })
    }

    /// Any rule.
    pub fn rule(mut self, rule: Rule) -> Script {
        self.rules.push(rule);
        self
    }

    /// At `time`, to every connection there is.
    pub fn at(mut self, time: Nanos, act: Act) -> Script {
        self.moments.push(Moment { time, every: None, times: 1, client: None, act });
        self
    }
}
