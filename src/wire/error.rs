//! Why bytes are no packet, and why a packet has no bytes. Every rejection cites what it rests on.

use std::fmt;

use super::v5::{Fault, PropertyId};
use super::{ConnectCode, PacketType, Protocol, TopicError};

/// A part of a packet, named in errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Field {
    ProtocolName,
    ProtocolLevel,
    ConnectFlags,
    KeepAlive,
    ClientId,
    WillTopic,
    WillMessage,
    UserName,
    Password,
    TopicName,
    TopicFilter,
    RequestedQoS,
    PacketId,
    ConnAckFlags,
    ReasonCode,
    PropertyLength,
    Property,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::ProtocolName => "protocol name",
            Field::ProtocolLevel => "protocol level",
            Field::ConnectFlags => "connect flags",
            Field::KeepAlive => "keep alive",
            Field::ClientId => "client identifier",
            Field::WillTopic => "will topic",
            Field::WillMessage => "will message",
            Field::UserName => "user name",
            Field::Password => "password",
            Field::TopicName => "topic name",
            Field::TopicFilter => "topic filter",
            Field::RequestedQoS => "requested QoS",
            Field::PacketId => "packet identifier",
            Field::ConnAckFlags => "connect acknowledge flags",
            Field::ReasonCode => "reason code",
            Field::PropertyLength => "properties",
            Field::Property => "property",
        })
    }
}

/// Why bytes are no packet: of MQTT 3.1.1 or 3.1, or else [of 5](DecodeError::V5). Each one is the end of the connection
/// [MQTT-4.8.0-1].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// Packet type 0 or 15.
    ReservedType(u8),
    /// The lower half of the first byte is not what table 2.2 says.
    Flags {
        packet: PacketType,
        flags: u8,
    },
    /// A PUBLISH with both QoS bits set.
    PublishQoS,
    /// A PUBLISH with DUP at QoS 0.
    DupAtMostOnce,
    /// A remaining length that goes on past its fourth byte (2.2.3).
    RemainingLength,
    /// A packet of `length` bytes in all, where this side takes at most `max`.
    Oversized {
        length: usize,
        max: usize,
    },
    /// A packet of fixed size with another remaining length, in bytes.
    Length {
        packet: PacketType,
        remaining: usize,
    },
    /// The packet ends before or within this field.
    Truncated {
        packet: PacketType,
        field: Field,
    },
    /// Bytes after the last field that this packet announced. `absent` is the field that they could be.
    Trailing {
        absent: Option<Field>,
    },
    /// Text that is no well-formed UTF-8, encoded surrogates among it.
    Utf8 {
        packet: PacketType,
        field: Field,
    },
    /// The null character in text that is no topic.
    NullCharacter {
        packet: PacketType,
        field: Field,
    },
    /// A topic name or filter against the rules of 4.7.
    Topic {
        packet: PacketType,
        error: TopicError,
    },
    /// Packet identifier 0.
    ZeroPacketId(PacketType),
    /// CONNECT of a protocol that calls itself neither `MQTT` nor, as 3.1 did, `MQIsdp`.
    ProtocolName,
    /// CONNECT at another level than that of the protocol so named. See [`DecodeError::connect_code`].
    ProtocolLevel {
        protocol: Protocol,
        level: u8,
    },
    /// Bit 0 of the connect flags is set.
    ConnectReservedFlag,
    WillQoSWithoutWill,
    WillRetainWithoutWill,
    /// Both will QoS bits are set.
    WillQoS,
    PasswordWithoutUserName,
    /// An empty client identifier without clean session, or in 3.1. See [`DecodeError::connect_code`].
    EmptyClientId,
    /// A bit other than session present in CONNACK's flags.
    ConnAckFlags(u8),
    SessionPresentOnRefusal,
    /// A CONNACK return code above 5.
    ConnAckCode(u8),
    /// SUBSCRIBE or UNSUBSCRIBE without a filter.
    NoFilter(PacketType),
    /// A SUBSCRIBE option byte that is not 0, 1 or 2.
    RequestedQoS(u8),
    /// SUBACK without a return code.
    NoSubAckCode,
    /// A SUBACK return code that is not 0, 1, 2 or 128.
    SubAckCode(u8),
    /// The bytes are no packet of MQTT 5. Statements are those of its standard.
    V5(Fault),
}

/// Where the standard states no number of its own: a protocol violation ends the connection.
const VIOLATION: &str = "MQTT-4.8.0-1";

impl DecodeError {
    /// The most specific statement of the standard that is broken, as `MQTT-x.x.x-n`.
    pub const fn statement(&self) -> &'static str {
        self.statements()[0]
    }

    /// All statements of the standard that are broken, the most specific first; at least one.
    pub const fn statements(&self) -> &'static [&'static str] {
        match self {
            DecodeError::Flags { packet, .. } => flags_statements(*packet),
            DecodeError::PublishQoS => &["MQTT-3.3.1-4"],
            DecodeError::DupAtMostOnce => &["MQTT-3.3.1-2"],
            // A limit of this side, not of the format: a transient error.
            DecodeError::Oversized { .. } => &["MQTT-4.8.0-2"],
            DecodeError::Truncated { packet, field } => truncated_statements(*packet, *field),
            DecodeError::Trailing { absent } => trailing_statements(*absent),
            DecodeError::Utf8 { packet, field } => utf8_statements(*packet, *field),
            DecodeError::NullCharacter { .. } => &["MQTT-1.5.3-2"],
            DecodeError::Topic { error, .. } => error.statements(),
            DecodeError::ZeroPacketId(packet) => packet_id_statements(*packet),
            DecodeError::ProtocolName => &["MQTT-3.1.2-1"],
            DecodeError::ProtocolLevel { .. } => &["MQTT-3.1.2-2"],
            DecodeError::ConnectReservedFlag => &["MQTT-3.1.2-3"],
            DecodeError::WillQoSWithoutWill => &["MQTT-3.1.2-13", "MQTT-3.1.2-11"],
            DecodeError::WillRetainWithoutWill => &["MQTT-3.1.2-15", "MQTT-3.1.2-11"],
            DecodeError::WillQoS => &["MQTT-3.1.2-14"],
            DecodeError::PasswordWithoutUserName => &["MQTT-3.1.2-22"],
            DecodeError::EmptyClientId => &["MQTT-3.1.3-8", "MQTT-3.1.3-7"],
            DecodeError::SessionPresentOnRefusal => &["MQTT-3.2.2-4"],
            DecodeError::ConnAckCode(_) => &["MQTT-3.2.2-6"],
            DecodeError::NoFilter(PacketType::Unsubscribe) => &["MQTT-3.10.3-2"],
            DecodeError::NoFilter(_) => &["MQTT-3.8.3-3"],
            DecodeError::RequestedQoS(_) => &["MQTT-3.8.3-4"],
            DecodeError::NoSubAckCode => &["MQTT-3.8.4-5"],
            DecodeError::SubAckCode(_) => &["MQTT-3.9.3-2"],
            DecodeError::V5(fault) => fault.statements(),
            DecodeError::ReservedType(_)
            | DecodeError::RemainingLength
            | DecodeError::Length { .. }
            | DecodeError::ConnAckFlags(_) => &[VIOLATION],
        }
    }

    /// What a server has to say in CONNACK before it closes; `None` means that it closes without a word
    /// [MQTT-3.1.4-1].
    pub const fn connect_code(&self) -> Option<ConnectCode> {
        match self {
            DecodeError::ProtocolLevel { .. } => Some(ConnectCode::UnacceptableProtocolVersion),
            DecodeError::EmptyClientId => Some(ConnectCode::IdentifierRejected),
            DecodeError::V5(fault) => Some(ConnectCode::Reason(fault.reason())),
            _ => None,
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::ReservedType(kind) => write!(f, "packet type {kind} is reserved"),
            DecodeError::Flags { packet, flags } => {
                write!(f, "{packet} with fixed header flags {flags:#06b}")
            }
            DecodeError::PublishQoS => f.write_str("PUBLISH with QoS 3"),
            DecodeError::DupAtMostOnce => f.write_str("PUBLISH with DUP at QoS 0"),
            DecodeError::RemainingLength => f.write_str("remaining length of more than four bytes"),
            DecodeError::Oversized { length, max } => {
                write!(f, "packet of {length} bytes, the limit is {max}")
            }
            DecodeError::Length { packet, remaining } => {
                write!(f, "{packet} with a remaining length of {remaining}")
            }
            DecodeError::Truncated { packet, field } => write!(f, "{packet} ends within its {field}"),
            DecodeError::Trailing { absent: Some(field) } => {
                write!(f, "CONNECT has bytes left that its flags do not announce, perhaps a {field}")
            }
            DecodeError::Trailing { absent: None } => f.write_str("CONNECT has bytes after its last field"),
            DecodeError::Utf8 { packet, field } => write!(f, "the {field} in {packet} is not UTF-8"),
            DecodeError::NullCharacter { packet, field } => {
                write!(f, "the {field} in {packet} contains U+0000")
            }
            DecodeError::Topic { packet, error } => write!(f, "in {packet}, {}", error.reason()),
            DecodeError::ZeroPacketId(packet) => write!(f, "{packet} with packet identifier 0"),
            DecodeError::ProtocolName => {
                f.write_str("CONNECT whose protocol name is neither MQTT nor MQIsdp")
            }
            DecodeError::ProtocolLevel { protocol, level } => {
                let (name, right) = (protocol.name(), protocol.level());
                write!(f, "CONNECT of {name} at protocol level {level}, not {right}")
            }
            DecodeError::ConnectReservedFlag => f.write_str("CONNECT with the reserved connect flag set"),
            DecodeError::WillQoSWithoutWill => f.write_str("CONNECT with a will QoS but no will"),
            DecodeError::WillRetainWithoutWill => f.write_str("CONNECT with will retain but no will"),
            DecodeError::WillQoS => f.write_str("CONNECT with will QoS 3"),
            DecodeError::PasswordWithoutUserName => f.write_str("CONNECT with a password but no user name"),
            DecodeError::EmptyClientId => {
                f.write_str("CONNECT without a client identifier needs clean session and MQTT 3.1.1")
            }
            DecodeError::ConnAckFlags(flags) => write!(f, "CONNACK with acknowledge flags {flags:#04x}"),
            DecodeError::SessionPresentOnRefusal => f.write_str("CONNACK refuses but has a session present"),
            DecodeError::ConnAckCode(code) => write!(f, "CONNACK with return code {code}"),
            DecodeError::NoFilter(packet) => write!(f, "{packet} without a topic filter"),
            DecodeError::RequestedQoS(byte) => write!(f, "SUBSCRIBE asks for QoS byte {byte:#04x}"),
            DecodeError::NoSubAckCode => f.write_str("SUBACK without a return code"),
            DecodeError::SubAckCode(code) => write!(f, "SUBACK with return code {code:#04x}"),
            DecodeError::V5(_) => unreachable!("a fault of 5 says itself what it is"),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let DecodeError::V5(fault) = self {
            return fault.fmt(f);
        }
        self.describe(f)?;
        self.statements().iter().try_for_each(|statement| write!(f, " [{statement}]"))
    }
}

impl std::error::Error for DecodeError {}

const fn flags_statements(packet: PacketType) -> &'static [&'static str] {
    match packet {
        PacketType::PubRel => &["MQTT-3.6.1-1", "MQTT-2.2.2-1", "MQTT-2.2.2-2"],
        PacketType::Subscribe => &["MQTT-3.8.1-1", "MQTT-2.2.2-1", "MQTT-2.2.2-2"],
        PacketType::Unsubscribe => &["MQTT-3.10.1-1", "MQTT-2.2.2-1", "MQTT-2.2.2-2"],
        PacketType::Disconnect => &["MQTT-3.14.1-1", "MQTT-2.2.2-1", "MQTT-2.2.2-2"],
        _ => &["MQTT-2.2.2-1", "MQTT-2.2.2-2"],
    }
}

const fn packet_id_statements(packet: PacketType) -> &'static [&'static str] {
    match packet {
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel => &["MQTT-2.3.1-6"],
        PacketType::PubComp => &["MQTT-4.3.3-2"],
        PacketType::SubAck => &["MQTT-2.3.1-7", "MQTT-3.8.4-2"],
        PacketType::UnsubAck => &["MQTT-2.3.1-7", "MQTT-3.10.4-4"],
        _ => &["MQTT-2.3.1-1"],
    }
}

const fn truncated_statements(packet: PacketType, field: Field) -> &'static [&'static str] {
    match field {
        Field::ClientId => &["MQTT-3.1.3-3"],
        Field::WillTopic | Field::WillMessage => &["MQTT-3.1.2-9"],
        Field::UserName => &["MQTT-3.1.2-19"],
        Field::Password => &["MQTT-3.1.2-21"],
        Field::TopicName => &["MQTT-3.3.2-1"],
        Field::RequestedQoS => &["MQTT-3.8.3-3"],
        Field::PacketId => packet_id_statements(packet),
        Field::TopicFilter => filter_statements(packet),
        Field::ProtocolName | Field::ProtocolLevel | Field::ConnectFlags | Field::KeepAlive => {
            &["MQTT-3.1.4-1"]
        }
        Field::ConnAckFlags | Field::ReasonCode | Field::PropertyLength | Field::Property => &[VIOLATION],
    }
}

const fn trailing_statements(absent: Option<Field>) -> &'static [&'static str] {
    match absent {
        Some(Field::WillTopic) => &["MQTT-3.1.2-11"],
        Some(Field::UserName) => &["MQTT-3.1.2-18"],
        Some(Field::Password) => &["MQTT-3.1.2-20"],
        _ => &["MQTT-3.1.4-1"],
    }
}

const fn utf8_statements(packet: PacketType, field: Field) -> &'static [&'static str] {
    match field {
        Field::ClientId => &["MQTT-3.1.3-4", "MQTT-1.5.3-1"],
        Field::WillTopic => &["MQTT-3.1.3-10", "MQTT-1.5.3-1"],
        Field::UserName => &["MQTT-3.1.3-11", "MQTT-1.5.3-1"],
        Field::TopicName => &["MQTT-3.3.2-1", "MQTT-1.5.3-1"],
        Field::TopicFilter => match packet {
            PacketType::Unsubscribe => &["MQTT-3.10.3-1", "MQTT-1.5.3-1"],
            _ => &["MQTT-3.8.3-1", "MQTT-1.5.3-1"],
        },
        _ => &["MQTT-1.5.3-1"],
    }
}

const fn filter_statements(packet: PacketType) -> &'static [&'static str] {
    match packet {
        PacketType::Unsubscribe => &["MQTT-3.10.3-1"],
        _ => &["MQTT-3.8.3-1"],
    }
}

/// Why a packet cannot be written. Nothing has been appended then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the {field} has {length} bytes, 65,535 fit")]
    FieldTooLong { field: Field, length: usize },
    #[error("the packet has {0} bytes after its fixed header, 268,435,455 fit (2.2.3)")]
    PacketTooLong(usize),
    #[error("the {0} contains the null character U+0000 [MQTT-1.5.3-2]")]
    NullCharacter(Field),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("a packet identifier goes with QoS 1 and 2, and only with them [MQTT-2.3.1-1] [MQTT-2.3.1-5]")]
    PacketIdAndQoS,
    #[error("DUP is not for QoS 0 [MQTT-3.3.1-2]")]
    DupAtMostOnce,
    #[error("a password needs a user name [MQTT-3.1.2-22]")]
    PasswordWithoutUserName,
    #[error("an empty client identifier needs clean session and MQTT 3.1.1 [MQTT-3.1.3-7]")]
    EmptyClientId,
    #[error("a refusal has no session present [MQTT-3.2.2-4]")]
    SessionPresentOnRefusal,
    #[error("SUBSCRIBE and UNSUBSCRIBE need a topic filter [MQTT-3.8.3-3] [MQTT-3.10.3-2]")]
    NoFilter,
    #[error("SUBACK needs a return code for each filter [MQTT-3.8.4-5]")]
    NoSubAckCode,
    #[error("a {0} cannot have this value (2.2.2 of MQTT 5)")]
    Property(PropertyId),
    #[error("a packet has properties of another (2.2.2 of MQTT 5)")]
    PropertiesElsewhere,
    #[error("AUTH is a packet of MQTT 5")]
    OnlyIn5,
}
