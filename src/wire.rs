//! MQTT 3.1.1 packets to and from bytes, both directions, without I/O. Sessions of MQTT 3.1, whose packets
//! are the same after CONNECT, and of bridges can be asked for and are taken.
//!
//! [`decode()`] borrows everything from the bytes it is given; the encoders append to a `Vec` that the caller
//! reuses. Neither allocates for a packet. The format is that of the OASIS standard *MQTT Version 3.1.1*
//! (29 October 2014); section and statement numbers in this module are its own. Whatever breaks a rule that
//! a packet's bytes alone can break is a [`DecodeError`], which names the `[MQTT-x.x.x-n]` statements broken.
//! Rules about the order of packets belong to whoever keeps the state of the connection.

mod decode;
mod encode;
mod error;
pub mod topic;

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
pub use topic::TopicError;

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
    ConnAck(ConnAck),
    Publish(Publish<'a>),
    PubAck(PacketId),
    PubRec(PacketId),
    PubRel(PacketId),
    PubComp(PacketId),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(PacketId),
    PingReq,
    PingResp,
    Disconnect,
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
            Packet::Disconnect => PacketType::Disconnect,
        }
    }
}

/// Version of the protocol that CONNECT asks for (3.1.2.1, 3.1.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Protocol {
    /// MQTT 3.1, `MQIsdp` at level 3 (*MQTT V3.1 Protocol Specification*, IBM and Eurotech, 2010), as old
    /// clients speak it. After CONNECT it differs in what a server says: SUBACK has no refusal, and CONNACK
    /// never has a session present. Its limit of 23 characters for client identifiers is not kept here, as
    /// no broker keeps it.
    V31,
    /// MQTT 3.1.1, `MQTT` at level 4.
    #[default]
    V311,
}

impl Protocol {
    /// Name in CONNECT.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::V31 => "MQIsdp",
            Protocol::V311 => "MQTT",
        }
    }

    /// Level in CONNECT.
    pub const fn level(self) -> u8 {
        match self {
            Protocol::V31 => 3,
            Protocol::V311 => 4,
        }
    }
}

impl fmt::Display for Protocol {
    /// The version, as [`FromStr`](std::str::FromStr) reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::V31 => "3.1",
            Protocol::V311 => "3.1.1",
        })
    }
}

/// Text that is no version of the protocol that there is here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the protocol is 3.1 or 3.1.1, not {0:?}")]
pub struct UnknownProtocol(pub String);

impl std::str::FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Protocol, UnknownProtocol> {
        match text {
            "3.1" => Ok(Protocol::V31),
            "3.1.1" => Ok(Protocol::V311),
            _ => Err(UnknownProtocol(text.to_owned())),
        }
    }
}

/// A client's request for a session (3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connect<'a> {
    pub protocol: Protocol,
    /// Bit 7 of the level says that the client is a bridge between brokers. It is in no standard: mosquitto's
    /// bridges set it (option `try_private`, on by default; `version |= 0x80` in its `lib/send_connect.c`),
    /// and a server that knows it leaves a bridge the retain flag and does not send it its own messages.
    pub bridge: bool,
    /// Empty asks the server for a name of its own choice, allowed with `clean_session` only [MQTT-3.1.3-7],
    /// and never in 3.1.
    pub client_id: &'a str,
    /// Longest silence that the client promises, in seconds; 0 turns the watch off.
    pub keep_alive: u16,
    pub clean_session: bool,
    pub will: Option<Will<'a>>,
    pub username: Option<&'a str>,
    /// Only beside a user name [MQTT-3.1.2-22].
    pub password: Option<&'a [u8]>,
}

/// Message that the server publishes when the client vanishes without DISCONNECT (3.1.2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Will<'a> {
    pub topic: &'a str,
    /// At most 65,535 bytes.
    pub payload: &'a [u8],
    pub qos: QoS,
    pub retain: bool,
}

/// The server's answer to CONNECT (3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnAck {
    /// Never set beside a refusal [MQTT-3.2.2-4].
    pub session_present: bool,
    pub code: ConnectCode,
}

/// Return code of CONNACK (3.2.2.3, table 3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(u8)]
pub enum ConnectCode {
    Accepted = 0,
    UnacceptableProtocolVersion = 1,
    IdentifierRejected = 2,
    ServerUnavailable = 3,
    BadUsernameOrPassword = 4,
    NotAuthorized = 5,
}

impl ConnectCode {
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
    pub topic: &'a str,
    /// `Some` exactly when `qos` is above 0 [MQTT-2.3.1-1], [MQTT-2.3.1-5].
    pub packet_id: Option<PacketId>,
    pub payload: &'a [u8],
}

/// A validated SUBSCRIBE (3.8), made by [`decode()`]; [`encode_subscribe`] writes one from filters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscribe<'a> {
    packet_id: PacketId,
    payload: &'a [u8],
}

impl<'a> Subscribe<'a> {
    pub fn packet_id(&self) -> PacketId {
        self.packet_id
    }

    /// Topic filters with the greatest QoS wanted for each, in the packet's order; at least one.
    pub fn filters(&self) -> impl Iterator<Item = (&'a str, QoS)> + Clone + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            let filter = decode::next_filter(&mut rest)?;
            let (qos, tail) = rest.split_first().expect("decode saw a QoS byte after each filter");
            rest = tail;
            Some((filter, QoS::try_from(*qos).expect("decode checked the QoS byte")))
        })
    }
}

/// Answer to one filter of SUBSCRIBE (3.9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SubAckCode {
    Granted(QoS),
    Failure,
}

impl SubAckCode {
    pub(crate) fn from_byte(byte: u8) -> Option<SubAckCode> {
        match byte {
            0x80 => Some(SubAckCode::Failure),
            _ => QoS::try_from(byte).ok().map(SubAckCode::Granted),
        }
    }

    pub(crate) fn to_byte(self) -> u8 {
        match self {
            SubAckCode::Granted(qos) => qos as u8,
            SubAckCode::Failure => 0x80,
        }
    }
}

/// A validated SUBACK (3.9), made by [`decode()`]; [`encode_suback`] writes one from codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubAck<'a> {
    packet_id: PacketId,
    payload: &'a [u8],
}

impl<'a> SubAck<'a> {
    pub fn packet_id(&self) -> PacketId {
        self.packet_id
    }

    /// One code for each filter of the SUBSCRIBE, in its order; at least one.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = SubAckCode> + Clone + use<'a> {
        self.payload.iter().map(|&byte| SubAckCode::from_byte(byte).expect("decode checked the code"))
    }
}

/// A validated UNSUBSCRIBE (3.10), made by [`decode()`]; [`encode_unsubscribe`] writes one from filters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsubscribe<'a> {
    packet_id: PacketId,
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
