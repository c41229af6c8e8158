//! MQTT packets to and from bytes, both directions, without I/O: those of 3.1.1, and, in [`v5`], of 5. Sessions of
//! MQTT 3.1, whose packets are those of 3.1.1 after CONNECT, and of bridges can be asked for and are taken.
//!
//! [`decode()`] borrows everything from the bytes it is given; the encoders append to a `Vec` that the caller
//! reuses. Neither allocates for a packet. The format is that of the OASIS standard *MQTT Version 3.1.1*
//! (29 October 2014); section and statement numbers are its own but for those in [`v5`]. There is one [`Packet`] for
//! all versions: what only 5 says is success and no properties in the others. Whatever breaks a rule that
//! a packet's bytes alone can break is a [`DecodeError`], which names the `[MQTT-x.x.x-n]` statements broken.
//! Rules about the order of packets belong to whoever keeps the state of the connection.

mod decode;
mod encode;
mod error;
mod protocol;
pub mod topic;
pub mod v5;

#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU16;

pub use decode::{decode, decode_with_any_flags, explain_first};
pub use encode::{
    encode_connack, encode_disconnect, encode_pingreq, encode_pingresp, encode_puback, encode_pubcomp,
    encode_pubrec, encode_pubrel, encode_suback, encode_subscribe, encode_unsuback, encode_unsubscribe,
};
pub use error::{DecodeError, EncodeError, Field};
pub use protocol::{Protocol, UnknownProtocol};
pub use topic::TopicError;
pub use v5::{Properties, ReasonCode};

/// Largest value of a packet's remaining length field, in bytes (2.2.3).
pub const MAX_REMAINING_LENGTH: usize = 268_435_455;

/// Largest packet there can be, in bytes: the fixed header's five and [`MAX_REMAINING_LENGTH`].
pub const MAX_PACKET: usize = MAX_REMAINING_LENGTH + 5;

/// Identifier of a packet that is acknowledged; never zero [MQTT-2.3.1-1].
pub type PacketId = NonZeroU16;

/// Quality of service (4.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Hash)]
#[repr(u8)]
pub enum QoS {
    #[default]
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

/// A number that is no quality of service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("QoS is 0, 1 or 2, not {0}")]
pub struct InvalidQoS(pub u8);

impl TryFrom<u8> for QoS {
    type Error = InvalidQoS;

    #[inline]
    fn try_from(bits: u8) -> Result<QoS, InvalidQoS> {
        match bits {
            0 => Ok(QoS::AtMostOnce),
            1 => Ok(QoS::AtLeastOnce),
            2 => Ok(QoS::ExactlyOnce),
            _ => Err(InvalidQoS(bits)),
        }
    }
}

/// Kind of a control packet, with its number in the first byte's upper half (2.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    /// Of version 5 alone.
    Auth = 15,
}

impl PacketType {
    /// Name as the standard writes it.
    pub const fn name(self) -> &'static str {
        match self {
            PacketType::Connect => "CONNECT",
            PacketType::ConnAck => "CONNACK",
            PacketType::Publish => "PUBLISH",
            PacketType::PubAck => "PUBACK",
            PacketType::PubRec => "PUBREC",
            PacketType::PubRel => "PUBREL",
            PacketType::PubComp => "PUBCOMP",
            PacketType::Subscribe => "SUBSCRIBE",
            PacketType::SubAck => "SUBACK",
            PacketType::Unsubscribe => "UNSUBSCRIBE",
            PacketType::UnsubAck => "UNSUBACK",
            PacketType::PingReq => "PINGREQ",
            PacketType::PingResp => "PINGRESP",
            PacketType::Disconnect => "DISCONNECT",
            PacketType::Auth => "AUTH",
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One control packet, borrowing its text and payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl Packet<'_> {
    pub fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::ConnAck(_) => PacketType::ConnAck,
            Packet::Publish(_) => PacketType::Publish,
            Packet::PubAck(_) => PacketType::PubAck,
            Packet::PubRec(_) => PacketType::PubRec,
            Packet::PubRel(_) => PacketType::PubRel,
            Packet::PubComp(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::SubAck(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::UnsubAck(_) => PacketType::UnsubAck,
            Packet::PingReq => PacketType::PingReq,
            Packet::PingResp => PacketType::PingResp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }
}

/// A client's request for a session (3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connect<'a> {
    pub protocol: Protocol,
    /// Bit 7 of the level says that the client is a bridge between brokers. It is in no standard: mosquitto's
    /// bridges set it (option `try_private`, on by default; `version |= 0x80` in its `lib/send_connect.c`),
    /// and a server that knows it leaves a bridge the retain flag and does not send it its own messages. It is not
    /// said in 5, where subscription options are for that.
    pub bridge: bool,
    /// Empty asks the server for a name of its own choice: in 3.1.1 allowed with `clean_session` only
    /// [MQTT-3.1.3-7], and never in 3.1.
    pub client_id: &'a str,
    /// Longest silence that the client promises, in seconds; 0 turns the watch off.
    pub keep_alive: u16,
    /// Clean start in 5: whether the session ends with the connection is what the session expiry interval says there.
    pub clean_session: bool,
    pub will: Option<Will<'a>>,
    pub username: Option<&'a str>,
    /// Only beside a user name [MQTT-3.1.2-22], but for 5.
    pub password: Option<&'a [u8]>,
    /// None before 5.
    pub properties: Properties<'a>,
}

/// Message that the server publishes when the client vanishes without DISCONNECT (3.1.2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Will<'a> {
    pub topic: &'a str,
    /// At most 65,535 bytes.
    pub payload: &'a [u8],
    pub qos: QoS,
    pub retain: bool,
    /// None before 5.
    pub properties: Properties<'a>,
}

/// The server's answer to CONNECT (3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnAck<'a> {
    /// Never set beside a refusal [MQTT-3.2.2-4].
    pub session_present: bool,
    pub code: ConnectCode,
    /// None before 5.
    pub properties: Properties<'a>,
}

impl From<ConnectCode> for ConnAck<'static> {
    /// Without a session present, and without properties.
    fn from(code: ConnectCode) -> ConnAck<'static> {
        ConnAck { session_present: false, code, properties: Properties::NONE }
    }
}

/// Return code of CONNACK (3.2.2.3, table 3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum ConnectCode {
    Accepted,
    UnacceptableProtocolVersion,
    IdentifierRejected,
    ServerUnavailable,
    BadUsernameOrPassword,
    NotAuthorized,
    /// A refusal of 5, which has reason codes of its own.
    Reason(ReasonCode),
}

impl ConnectCode {
    /// Its number in CONNACK.
    pub const fn number(self) -> u8 {
        match self {
            ConnectCode::Accepted => 0,
            ConnectCode::UnacceptableProtocolVersion => 1,
            ConnectCode::IdentifierRejected => 2,
            ConnectCode::ServerUnavailable => 3,
            ConnectCode::BadUsernameOrPassword => 4,
            ConnectCode::NotAuthorized => 5,
            ConnectCode::Reason(reason) => reason as u8,
        }
    }

    /// The reason code of 5 that says the same.
    pub const fn reason(self) -> ReasonCode {
        match self {
            ConnectCode::Accepted => ReasonCode::Success,
            ConnectCode::UnacceptableProtocolVersion => ReasonCode::UnsupportedProtocolVersion,
            ConnectCode::IdentifierRejected => ReasonCode::ClientIdentifierNotValid,
            ConnectCode::ServerUnavailable => ReasonCode::ServerUnavailable,
            ConnectCode::BadUsernameOrPassword => ReasonCode::BadUserNameOrPassword,
            ConnectCode::NotAuthorized => ReasonCode::NotAuthorized,
            ConnectCode::Reason(reason) => reason,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<ConnectCode> {
        Some(match byte {
            0 => ConnectCode::Accepted,
            1 => ConnectCode::UnacceptableProtocolVersion,
            2 => ConnectCode::IdentifierRejected,
            3 => ConnectCode::ServerUnavailable,
            4 => ConnectCode::BadUsernameOrPassword,
            5 => ConnectCode::NotAuthorized,
            _ => return None,
        })
    }
}

impl fmt::Display for ConnectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectCode::Accepted => "connection accepted",
            ConnectCode::UnacceptableProtocolVersion => "unacceptable protocol version",
            ConnectCode::IdentifierRejected => "client identifier rejected",
            ConnectCode::ServerUnavailable => "server unavailable",
            ConnectCode::BadUsernameOrPassword => "bad user name or password",
            ConnectCode::NotAuthorized => "not authorized",
            ConnectCode::Reason(reason) => reason.name(),
        })
    }
}

/// An application message on its way (3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish<'a> {
    /// A redelivery; never at QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    /// Empty only in 5, beside a topic alias.
    pub topic: &'a str,
    /// `Some` exactly when `qos` is above 0 [MQTT-2.3.1-1], [MQTT-2.3.1-5].
    pub packet_id: Option<PacketId>,
    /// None before 5.
    pub properties: Properties<'a>,
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP (3.4 to 3.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack<'a> {
    /// That of the PUBLISH.
    pub packet_id: PacketId,
    /// Success before 5.
    pub reason: ReasonCode,
    /// None before 5.
    pub properties: Properties<'a>,
}

impl From<PacketId> for Ack<'static> {
    /// Success, and no more to say.
    #[inline]
    fn from(packet_id: PacketId) -> Ack<'static> {
        Ack { packet_id, reason: ReasonCode::Success, properties: Properties::NONE }
    }
}

/// The end of a connection that is meant to end (3.14). Before 5, only clients send it, and it has no more to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disconnect<'a> {
    /// Success before 5.
    pub reason: ReasonCode,
    /// None before 5.
    pub properties: Properties<'a>,
}

impl From<ReasonCode> for Disconnect<'static> {
    /// Without properties.
    fn from(reason: ReasonCode) -> Disconnect<'static> {
        Disconnect { reason, properties: Properties::NONE }
    }
}

/// A step of extended authentication (3.15 of 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Auth<'a> {
    /// Which step.
    pub reason: ReasonCode,
    /// What it has to say.
    pub properties: Properties<'a>,
}

/// A validated SUBSCRIBE (3.8), made by [`decode()`]; [`encode_subscribe`] writes one from filters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscribe<'a> {
    packet_id: PacketId,
    properties: Properties<'a>,
    payload: &'a [u8],
}

impl<'a> Subscribe<'a> {
    pub fn packet_id(&self) -> PacketId {
        self.packet_id
    }

    /// None before 5.
    pub fn properties(&self) -> Properties<'a> {
        self.properties
    }

    /// Topic filters with the greatest QoS wanted for each, in the packet's order; at least one.
    pub fn filters(&self) -> impl Iterator<Item = (&'a str, QoS)> + Clone + use<'a> {
        self.options().map(|(filter, options)| (filter, options.qos))
    }

    /// The same with all that is wanted; before 5 that is the QoS alone.
    pub fn options(&self) -> impl Iterator<Item = (&'a str, v5::Options)> + Clone + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            let filter = decode::next_filter(&mut rest)?;
            let (options, tail) = rest.split_first().expect("decode saw a byte after each filter");
            rest = tail;
            Some((filter, v5::Options::from_byte(*options).expect("decode checked the byte")))
        })
    }
}

/// Answer to one filter of SUBSCRIBE (3.9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SubAckCode {
    Granted(QoS),
    /// In 5, an error that is not specified.
    Failure,
    /// A failure that 5 alone has a reason code for.
    Refused(ReasonCode),
}

impl SubAckCode {
    pub(crate) fn from_byte(byte: u8) -> Option<SubAckCode> {
        match byte {
            0x80 => Some(SubAckCode::Failure),
            _ => QoS::try_from(byte).ok().map(SubAckCode::Granted),
        }
    }

    /// The reason code of 5 that says the same.
    pub const fn reason(self) -> ReasonCode {
        match self {
            SubAckCode::Granted(QoS::AtMostOnce) => ReasonCode::Success,
            SubAckCode::Granted(QoS::AtLeastOnce) => ReasonCode::GrantedQoS1,
            SubAckCode::Granted(QoS::ExactlyOnce) => ReasonCode::GrantedQoS2,
            SubAckCode::Failure => ReasonCode::UnspecifiedError,
            SubAckCode::Refused(reason) => reason,
        }
    }

    pub(crate) fn to_byte(self) -> u8 {
        match self {
            SubAckCode::Granted(qos) => qos as u8,
            SubAckCode::Failure => 0x80,
            SubAckCode::Refused(reason) => reason as u8,
        }
    }
}

impl fmt::Display for SubAckCode {
    /// As `SUBACK 0x80`, with a name if 5 alone has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SUBACK {:#04x}", self.to_byte())?;
        if let SubAckCode::Refused(reason) = self { write!(f, " {reason}") } else { Ok(()) }
    }
}

/// A validated SUBACK (3.9), made by [`decode()`]; [`encode_suback`] writes one from codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubAck<'a> {
    packet_id: PacketId,
    properties: Properties<'a>,
    payload: &'a [u8],
}

impl<'a> SubAck<'a> {
    pub fn packet_id(&self) -> PacketId {
        self.packet_id
    }

    /// None before 5.
    pub fn properties(&self) -> Properties<'a> {
        self.properties
    }

    /// One code for each filter of the SUBSCRIBE, in its order; at least one.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = SubAckCode> + Clone + use<'a> {
        self.payload.iter().map(|&byte| {
            SubAckCode::from_byte(byte).or_else(|| v5::suback_code(byte)).expect("decode checked the code")
        })
    }
}

/// A validated UNSUBSCRIBE (3.10), made by [`decode()`]; [`encode_unsubscribe`] writes one from filters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsubscribe<'a> {
    packet_id: PacketId,
    properties: Properties<'a>,
    payload: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    pub fn packet_id(&self) -> PacketId {
        self.packet_id
    }

    /// Topic filters to give up, in the packet's order; at least one.
    pub fn filters(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || decode::next_filter(&mut rest))
    }
}

/// The answer to UNSUBSCRIBE (3.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnsubAck<'a> {
    /// That of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    properties: Properties<'a>,
    codes: &'a [u8],
}

impl<'a> UnsubAck<'a> {
    /// One code for each filter of the UNSUBSCRIBE, in its order; none before 5.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = ReasonCode> + Clone + use<'a> {
        self.codes.iter().map(|&byte| ReasonCode::from_byte(byte).expect("decode checked the code"))
    }
}

impl From<PacketId> for UnsubAck<'static> {
    /// As it is before 5.
    fn from(packet_id: PacketId) -> UnsubAck<'static> {
        UnsubAck { packet_id, properties: Properties::NONE, codes: &[] }
    }
}
