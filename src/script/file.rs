//! A script as it stands in a file.

use super::{Act, Moment, On, Per, Rule, Script, Service, Spread, Zero};
use crate::units::{Rate, Size, Span};
use crate::wire::{ConnectCode, PacketType, QoS, SubAckCode};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;
use toml::Spanned;

/// What is wrong with a script, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// Bursts are of so many seconds where nothing is said: what comes due between two looks at the clock.
const BURST_S: f64 = 0.01;
/// Longest garbage, in bytes.
const LONGEST_GARBAGE: u32 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    seed: u64,
    rate: Option<Text<Rate>>,
    rate_of: Option<Name>,
    burst: Option<u64>,
    read: Option<Text<Size>>,
    #[serde(default)]
    zero: Zero,
    #[serde(default)]
    fault: Vec<Spanned<Fault>>,
    #[serde(default)]
    at: Vec<Spanned<At>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    on: Name,
    client: Option<String>,
    #[serde(default)]
    per: Per,
    #[serde(default)]
    skip: u64,
    every: Option<u64>,
    chance: Option<f64>,
    times: Option<u64>,
    #[serde(rename = "do")]
    act: Do,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    time: Text<Span>,
    every: Option<Text<Span>>,
    times: Option<u64>,
    client: Option<String>,
    #[serde(rename = "do")]
    act: Do,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Connect,
    Subscribe,
    Unsubscribe,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Pingreq,
    Disconnect,
    Packet,
    Delivery,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Do {
    Delay(Delay),
    NoAnswer,
    Answer(Hex),
    WrongId,
    Send(Hex),
    Garbage(u32),
    Refuse(u8),
    Grant(u8),
    Drop,
    Duplicate,
    Repeat,
    Swap,
    Misroute,
    Cut(u32),
    Flip,
    Close,
    Reset,
    Deaf(Pause),
    Stall(Pause),
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Delay {
    Fixed(Text<Span>),
    Uniform { from: Text<Span>, to: Text<Span> },
    Exponential { mean: Text<Span> },
}

/// What is written as a text.
#[derive(Clone, Copy)]
struct Text<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// A number is what it would be as a text.
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text such as \"5k\" or \"1.5s\", or a number")]
        enum Written<'a> {
            Text(Cow<'a, str>),
            Whole(i64),
            Number(f64),
        }
        let text = match Written::deserialize(from)? {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string().into(),
            Written::Number(number) => number.to_string().into(),
        };
        text.parse().map(Text).map_err(serde::de::Error::custom)
    }
}

/// A span, or for ever.
#[derive(Clone, Copy)]
struct Pause(Option<u64>);

impl FromStr for Pause {
    type Err = crate::units::UnitError;

    fn from_str(text: &str) -> Result<Pause, Self::Err> {
        match text {
            "for ever" => Ok(Pause(None)),
            _ => Ok(Pause(Some(text.parse::<Span>()?.nanos()))),
        }
    }
}

impl<'de> Deserialize<'de> for Pause {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Text::deserialize(from).map(|Text(pause)| pause)
    }
}

/// Bytes as pairs of hexadecimal digits, with spaces or without.
#[derive(Clone)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let digits: Option<Vec<u32>> = text.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16)).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 && !digits.is_empty() => {
                Ok(Hex(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()))
            }
            _ => Err(serde::de::Error::custom(format!("`{text}` is no bytes: write pairs like 40 02 00 07"))),
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Script, Error> {
    let file: File = toml::from_str(text).map_err(|error| Error(error.to_string().trim_end().to_owned()))?;
    let located = |span: std::ops::Range<usize>, what: String| {
        let line = 1 + text[..span.start].matches('\n').count();
        Error(format!("line {line}: {what}"))
    };
    let mut script =
        Script { seed: file.seed, read_per_s: positive(file.read)?, zero: file.zero, ..Script::default() };
    script.service = match (file.rate, file.burst) {
        (Some(Text(rate)), burst) => {
            let On::Packet(of) = file.rate_of.unwrap_or(Name::Publish).meaning() else {
                return Err(Error("`rate_of` is one kind of packet, such as \"connect\"".into()));
            };
            let per_s = rate.per_second();
            Some(Service { of, per_s, burst: burst.unwrap_or((per_s * BURST_S) as u64).max(1) })
        }
        (None, Some(_)) => return Err(Error("`burst` says nothing without `rate`".into())),
        (None, None) if file.rate_of.is_some() => {
            return Err(Error("`rate_of` says nothing without `rate`".into()));
        }
        (None, None) => None,
    };
    for fault in file.fault {
        let span = fault.span();
        script.rules.push(rule(fault.into_inner()).map_err(|what| located(span, what))?);
    }
    for at in file.at {
        let span = at.span();
        script.moments.push(moment(at.into_inner()).map_err(|what| located(span, what))?);
    }
    Ok(script)
}

fn positive(size: Option<Text<Size>>) -> Result<Option<u64>, Error> {
    match size {
        Some(Text(size)) if size.bytes() == 0 => {
            Err(Error("`read` is above 0: to read nothing, there is `deaf`".into()))
        }
        size => Ok(size.map(|Text(size)| size.bytes())),
    }
}

fn rule(fault: Fault) -> Result<Rule, String> {
    let Fault { on, client, per, skip, every, chance, times, act } = fault;
    let (every, chance) = (every.unwrap_or(1), chance.unwrap_or(1.0));
    if every == 0 {
        return Err("`every` counts from 1".into());
    }
    if !(0.0..=1.0).contains(&chance) {
        return Err(format!("`chance` is from 0 to 1, not {chance}"));
    }
    fits(on, &act)?;
    let (on, act) = (on.meaning(), act.meaning()?);
    Ok(Rule { on, client, per, skip, every, chance, times: times.unwrap_or(u64::MAX), act })
}

fn moment(at: At) -> Result<Moment, String> {
    let act = match at.act {
        Do::Send(_) | Do::Garbage(_) | Do::Close | Do::Reset | Do::Deaf(_) | Do::Stall(_) => {
            at.act.meaning()?
        }
        _ => {
            return Err("at a moment there is `send`, `garbage`, `close`, `reset`, `deaf` and `stall`".into());
        }
    };
    let every = at.every.map(|Text(every)| every.nanos());
    if every == Some(0) {
        return Err("`every` is above 0".into());
    }
    let times = at.times.unwrap_or(if every.is_some() { u64::MAX } else { 1 });
    if times > 1 && every.is_none() {
        return Err("`times` needs `every`".into());
    }
    Ok(Moment { time: at.time.0.nanos(), every, times, client: at.client, act })
}

/// Whether this can be done about that.
fn fits(on: Name, act: &Do) -> Result<(), String> {
    let answered = !matches!(on, Name::Puback | Name::Pubcomp | Name::Disconnect | Name::Packet);
    let (fits, where_it_does) = match act {
        Do::Delay(_) => (answered, "where there is an answer, and on `delivery`"),
        Do::NoAnswer | Do::Answer(_) | Do::WrongId => {
            (answered && on != Name::Delivery, "where there is an answer")
        }
        Do::Refuse(_) => (on == Name::Connect, "on `connect`"),
        Do::Grant(_) => (on == Name::Subscribe, "on `subscribe`"),
        Do::Drop | Do::Duplicate | Do::Repeat | Do::Swap | Do::Misroute | Do::Cut(_) | Do::Flip => {
            (on == Name::Delivery, "on `delivery`")
        }
        Do::Send(_) | Do::Garbage(_) | Do::Close | Do::Reset | Do::Deaf(_) | Do::Stall(_) => (true, ""),
    };
    if fits { Ok(()) } else { Err(format!("this can be done {where_it_does} only")) }
}

impl Name {
    fn meaning(self) -> On {
        On::Packet(match self {
            Name::Connect => PacketType::Connect,
            Name::Subscribe => PacketType::Subscribe,
            Name::Unsubscribe => PacketType::Unsubscribe,
            Name::Publish => PacketType::Publish,
            Name::Puback => PacketType::PubAck,
            Name::Pubrec => PacketType::PubRec,
            Name::Pubrel => PacketType::PubRel,
            Name::Pubcomp => PacketType::PubComp,
            Name::Pingreq => PacketType::PingReq,
            Name::Disconnect => PacketType::Disconnect,
            Name::Packet => return On::AnyPacket,
            Name::Delivery => return On::Delivery,
        })
    }
}

impl Do {
    fn meaning(self) -> Result<Act, String> {
        Ok(match self {
            Do::Delay(Delay::Fixed(Text(span))) => Act::Delay(Spread::Fixed(span.nanos())),
            Do::Delay(Delay::Uniform { from, to }) => {
                let (from, to) = (from.0.nanos(), to.0.nanos());
                if from > to {
                    return Err("a delay is `from` less `to` more".into());
                }
                Act::Delay(Spread::Uniform(from, to))
            }
            Do::Delay(Delay::Exponential { mean }) => Act::Delay(Spread::Exponential(mean.0.nanos())),
            Do::NoAnswer => Act::Never,
            Do::Answer(Hex(bytes)) => Act::Instead(bytes),
            Do::WrongId => Act::WrongId,
            Do::Send(Hex(bytes)) => Act::Also(bytes),
            Do::Garbage(length) if (1..=LONGEST_GARBAGE).contains(&length) => Act::Garbage(length),
            Do::Garbage(_) => return Err(format!("garbage has 1 to {LONGEST_GARBAGE} bytes")),
            Do::Refuse(code) => match ConnectCode::from_byte(code) {
                Some(code) if code != ConnectCode::Accepted => Act::Refuse(code),
                _ => return Err(format!("CONNACK refuses with a code from 1 to 5, not {code}")),
            },
            Do::Grant(128) => Act::Grant(SubAckCode::Failure),
            Do::Grant(code) => match QoS::try_from(code) {
                Ok(qos) => Act::Grant(SubAckCode::Granted(qos)),
                Err(_) => return Err(format!("SUBACK grants 0, 1, 2, or 128 (failure), not {code}")),
            },
            Do::Drop => Act::Drop,
            Do::Duplicate => Act::Twice,
            Do::Repeat => Act::Repeat,
            Do::Swap => Act::Swap,
            Do::Misroute => Act::Misroute,
            Do::Cut(length) => Act::Cut(length),
            Do::Flip => Act::Flip,
            Do::Close => Act::Close,
            Do::Reset => Act::Reset,
            Do::Deaf(Pause(pause)) => Act::Deaf(pause),
            Do::Stall(Pause(pause)) => Act::Stall(pause),
        })
    }
}
