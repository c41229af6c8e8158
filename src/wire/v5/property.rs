//! Properties (2.2.2): which there are, where they may stand, and lists of them.

use super::super::PacketType;
use super::super::PacketType::{
    Auth, ConnAck, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, SubAck, Subscribe,
    UnsubAck, Unsubscribe,
};
use super::super::{EncodeError, Field, decode, topic};
use super::{Fault, encode, read_number};
use std::fmt;

/// Where a list of properties stands: in a packet, or in CONNECT's will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the variable header of this packet.
    Packet(PacketType),
    /// In front of CONNECT's will topic (3.1.3.2).
    Will,
}

impl Place {
    const fn bit(self) -> u16 {
        match self {
            Place::Packet(packet) => 1 << packet as u16,
            Place::Will => WILL,
        }
    }

    /// The packet that it is in.
    pub const fn packet(self) -> PacketType {
        match self {
            Place::Packet(packet) => packet,
            Place::Will => PacketType::Connect,
        }
    }
}

/// No packet has the number 0.
const WILL: u16 = 1;
/// All that may carry a reason, in words and as pairs.
const ANSWERS: u16 = 1 << ConnAck as u16
    | 1 << PubAck as u16
    | 1 << PubRec as u16
    | 1 << PubRel as u16
    | 1 << PubComp as u16
    | 1 << SubAck as u16
    | 1 << UnsubAck as u16
    | 1 << Disconnect as u16
    | 1 << Auth as u16;
const REQUESTS: u16 =
    WILL | 1 << Connect as u16 | 1 << Publish as u16 | 1 << Subscribe as u16 | 1 << Unsubscribe as u16;

/// How a property's value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// A byte of 0 or 1.
    Flag,
    /// Two bytes, four bytes, or one to four; 0 only where it says so.
    Two {
        zero: bool,
    },
    Four {
        zero: bool,
    },
    Variable,
    Text,
    /// Text that is a topic name.
    Topic,
    Bytes,
    Pair,
}

/// Defines [`PropertyId`]: each with its number, its name, the shape of its value, and where it may stand.
macro_rules! properties {
    ($($id:ident = $number:literal, $name:literal, $shape:expr, $places:expr;)*) => {
        /// A kind of property, by its number (table 2-4).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $(#[doc = concat!("The ", $name, ".")] $id = $number,)*
        }

        impl PropertyId {
            /// All of them, by number.
            pub const ALL: &[PropertyId] = &[$(PropertyId::$id),*];

            /// Name, in lower case.
            pub const fn name(self) -> &'static str {
                match self { $(PropertyId::$id => $name,)* }
            }

            /// The kind with this number, if there is one.
            pub const fn from_number(number: u32) -> Option<PropertyId> {
                match number { $($number => Some(PropertyId::$id),)* _ => None }
            }

            pub(super) const fn shape(self) -> Shape {
                match self { $(PropertyId::$id => $shape,)* }
            }

            const fn places(self) -> u16 {
                match self { $(PropertyId::$id => $places,)* }
            }
        }
    };
}

const fn of(packet: PacketType) -> u16 {
    1 << packet as u16
}

properties! {
    PayloadFormatIndicator = 1, "payload format indicator", Shape::Flag, WILL | of(Publish);
    MessageExpiryInterval = 2, "message expiry interval", Shape::Four { zero: true }, WILL | of(Publish);
    ContentType = 3, "content type", Shape::Text, WILL | of(Publish);
    ResponseTopic = 8, "response topic", Shape::Topic, WILL | of(Publish);
    CorrelationData = 9, "correlation data", Shape::Bytes, WILL | of(Publish);
    SubscriptionIdentifier = 11, "subscription identifier", Shape::Variable, of(Publish) | of(Subscribe);
    SessionExpiryInterval = 17, "session expiry interval", Shape::Four { zero: true },
        of(Connect) | of(ConnAck) | of(Disconnect);
    AssignedClientIdentifier = 18, "assigned client identifier", Shape::Text, of(ConnAck);
    ServerKeepAlive = 19, "server keep alive", Shape::Two { zero: true }, of(ConnAck);
    AuthenticationMethod = 21, "authentication method", Shape::Text, of(Connect) | of(ConnAck) | of(Auth);
    AuthenticationData = 22, "authentication data", Shape::Bytes, of(Connect) | of(ConnAck) | of(Auth);
    RequestProblemInformation = 23, "request problem information", Shape::Flag, of(Connect);
    WillDelayInterval = 24, "will delay interval", Shape::Four { zero: true }, WILL;
    RequestResponseInformation = 25, "request response information", Shape::Flag, of(Connect);
    ResponseInformation = 26, "response information", Shape::Text, of(ConnAck);
    ServerReference = 28, "server reference", Shape::Text, of(ConnAck) | of(Disconnect);
    ReasonString = 31, "reason string", Shape::Text, ANSWERS;
    ReceiveMaximum = 33, "receive maximum", Shape::Two { zero: false }, of(Connect) | of(ConnAck);
    TopicAliasMaximum = 34, "topic alias maximum", Shape::Two { zero: true }, of(Connect) | of(ConnAck);
    TopicAlias = 35, "topic alias", Shape::Two { zero: false }, of(Publish);
    MaximumQoS = 36, "maximum QoS", Shape::Flag, of(ConnAck);
    RetainAvailable = 37, "retain available", Shape::Flag, of(ConnAck);
    UserProperty = 38, "user property", Shape::Pair, ANSWERS | REQUESTS;
    MaximumPacketSize = 39, "maximum packet size", Shape::Four { zero: false }, of(Connect) | of(ConnAck);
    WildcardSubscriptionAvailable = 40, "wildcard subscription available", Shape::Flag, of(ConnAck);
    SubscriptionIdentifiersAvailable = 41, "subscription identifiers available", Shape::Flag, of(ConnAck);
    SharedSubscriptionAvailable = 42, "shared subscription available", Shape::Flag, of(ConnAck);
}

impl PropertyId {
    /// Whether it may stand there.
    pub const fn is_of(self, place: Place) -> bool {
        self.places() & place.bit() != 0
    }

    /// Whether it may stand there more than once.
    pub const fn repeats(self, place: Place) -> bool {
        matches!(self, PropertyId::UserProperty)
            || matches!(
                (self, place),
                (PropertyId::SubscriptionIdentifier, Place::Packet(PacketType::Publish))
            )
    }
}

impl fmt::Display for PropertyId {
    /// By name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The value of a property. Which of these it is follows from its [`PropertyId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// A byte, or a number of two, four, or one to four bytes.
    Number(u32),
    /// Text.
    Text(&'a str),
    /// Any bytes.
    Bytes(&'a [u8]),
    /// A name and a value.
    Pair(&'a str, &'a str),
}

/// Properties that may stand together where they do: checked, and read where they lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Properties<'a>(pub(super) &'a [u8]);

impl<'a> Properties<'a> {
    /// No properties.
    pub const NONE: Properties<'static> = Properties(&[]);

    /// Takes properties as they were written by [`PropertyId::write`], one behind the other.
    ///
    /// # Errors
    /// The rule that they break at this place.
    pub fn new(place: Place, bytes: &'a [u8]) -> Result<Properties<'a>, Fault> {
        let packet = place.packet();
        let mut rest = bytes;
        let mut seen = 0u64;
        while !rest.is_empty() {
            let number = read_number(&mut rest, packet, Field::Property)?;
            let id = PropertyId::from_number(number).filter(|id| id.is_of(place));
            let Some(id) = id else { return Err(Fault::Property { packet, number }) };
            if seen >> id as u8 & 1 == 1 && !id.repeats(place) {
                return Err(Fault::Repeated { packet, id });
            }
            seen |= 1 << id as u8;
            read(id, &mut rest, packet)?;
        }
        let has = |id: PropertyId| seen >> id as u8 & 1 == 1;
        if has(PropertyId::AuthenticationData) && !has(PropertyId::AuthenticationMethod) {
            return Err(Fault::DataWithoutMethod(packet));
        }
        Ok(Properties(bytes))
    }

    /// As they are written, without their length.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (PropertyId, Value<'a>)> + Clone + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let next = read_number(&mut rest, PacketType::Publish, Field::Property)
                .ok()
                .and_then(PropertyId::from_number)
                .and_then(|id| Some((id, read(id, &mut rest, PacketType::Publish).ok()?)));
            Some(next.expect("properties were checked"))
        })
    }

    fn find(&self, id: PropertyId) -> Option<Value<'a>> {
        if self.0.is_empty() {
            return None;
        }
        self.iter().find(|(found, _)| *found == id).map(|(_, value)| value)
    }

    /// The first number of this kind.
    pub fn number(&self, id: PropertyId) -> Option<u32> {
        match self.find(id)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The first text of this kind.
    pub fn text(&self, id: PropertyId) -> Option<&'a str> {
        match self.find(id)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Properties that are kept, to be said again and again: checked once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PropertyList(Vec<u8>);

impl PropertyList {
    /// These properties, in this order, where they are to stand.
    ///
    /// # Errors
    /// A value that its property cannot have, or a property that cannot stand there, or not beside the others.
    pub fn new<'v>(
        place: Place,
        properties: impl IntoIterator<Item = (PropertyId, Value<'v>)>,
    ) -> Result<PropertyList, EncodeError> {
        let mut bytes = Vec::new();
        properties.into_iter().try_for_each(|(id, value)| id.write(value, &mut bytes))?;
        Properties::new(place, &bytes).map_err(|_| EncodeError::PropertiesElsewhere)?;
        Ok(PropertyList(bytes))
    }

    /// To be written.
    #[inline]
    pub fn get(&self) -> Properties<'_> {
        Properties(&self.0)
    }
}

/// The value of a property whose number has been read.
fn read<'a>(id: PropertyId, rest: &mut &'a [u8], packet: PacketType) -> Result<Value<'a>, Fault> {
    const FIELD: Field = Field::Property;
    let wrong = Fault::Value { packet, id };
    Ok(match id.shape() {
        Shape::Flag => {
            let [byte] = decode::array(rest, packet, FIELD)?;
            Value::Number(if byte > 1 { return Err(wrong) } else { byte.into() })
        }
        Shape::Two { zero } => {
            let number = u16::from_be_bytes(decode::array(rest, packet, FIELD)?);
            Value::Number(if number == 0 && !zero { return Err(wrong) } else { number.into() })
        }
        Shape::Four { zero } => {
            let number = u32::from_be_bytes(decode::array(rest, packet, FIELD)?);
            Value::Number(if number == 0 && !zero { return Err(wrong) } else { number })
        }
        Shape::Variable => {
            let number = read_number(rest, packet, FIELD)?;
            Value::Number(if number == 0 { return Err(wrong) } else { number })
        }
        Shape::Text => Value::Text(decode::plain_text(rest, packet, FIELD)?),
        Shape::Topic => {
            let text = decode::plain_text(rest, packet, FIELD)?;
            topic::valid_name(text).map_err(|_| wrong)?;
            Value::Text(text)
        }
        Shape::Bytes => Value::Bytes(decode::binary(rest, packet, FIELD)?),
        Shape::Pair => {
            let name = decode::plain_text(rest, packet, FIELD)?;
            Value::Pair(name, decode::plain_text(rest, packet, FIELD)?)
        }
    })
}

impl PropertyId {
    /// Appends a property of this kind to others. [`Properties::new`] says whether they may stand together.
    ///
    /// # Errors
    /// The value is none of this kind, or is too long; `out` is as it was then.
    pub fn write(self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let begin = out.len();
        out.push(self as u8);
        let result = self.write_value(value, out);
        if result.is_err() {
            out.truncate(begin);
        }
        result
    }

    fn write_value(self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let wrong = EncodeError::Property(self);
        let two = |number: u32| u16::try_from(number).ok().map(u16::to_be_bytes);
        match (self.shape(), value) {
            (Shape::Flag, Value::Number(number @ 0..=1)) => out.push(number as u8),
            (Shape::Two { zero }, Value::Number(number)) if zero || number > 0 => {
                out.extend_from_slice(&two(number).ok_or(wrong)?);
            }
            (Shape::Four { zero }, Value::Number(number)) if zero || number > 0 => {
                out.extend_from_slice(&number.to_be_bytes());
            }
            (Shape::Variable, Value::Number(number @ 1..=0x0FFF_FFFF)) => {
                encode::put_number(number as usize, out);
            }
            (Shape::Text, Value::Text(text)) => encode::put_text(text, self, out)?,
            (Shape::Topic, Value::Text(text)) => {
                topic::valid_name(text)?;
                encode::put_text(text, self, out)?;
            }
            (Shape::Bytes, Value::Bytes(bytes)) => encode::put_bytes(bytes, self, out)?,
            (Shape::Pair, Value::Pair(name, value)) => {
                encode::put_text(name, self, out)?;
                encode::put_text(value, self, out)?;
            }
            _ => return Err(wrong),
        }
        Ok(())
    }
}
