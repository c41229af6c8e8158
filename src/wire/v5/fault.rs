//! Why bytes are no packet of MQTT 5. Statement numbers are those of the OASIS standard *MQTT Version 5.0*
//! (7 March 2019).

use super::super::{DecodeError, Field, PacketType, TopicError};
use super::{PropertyId, ReasonCode};
use std::fmt;

/// Why bytes are no packet of MQTT 5. Each one is the end of the connection [MQTT-4.13.1-1].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Packet type 0.
    ReservedType(u8),
    /// The lower half of the first byte is not what table 2-2 says.
    Flags { packet: PacketType, flags: u8 },
    /// A PUBLISH with both QoS bits set.
    PublishQoS,
    /// A PUBLISH with DUP at QoS 0.
    DupAtMostOnce,
    /// A number of more than four bytes (1.5.5).
    Number,
    /// A number in more bytes than it needs.
    PaddedNumber,
    /// A packet of `length` bytes in all, where this side takes at most `max`.
    Oversized { length: usize, max: usize },
    /// A packet of fixed size with another remaining length, in bytes.
    Length { packet: PacketType, remaining: usize },
    /// The packet ends before or within this field.
    Truncated { packet: PacketType, field: Field },
    /// Bytes after the last field that this packet announced.
    Trailing(PacketType),
    /// Text that is no well-formed UTF-8, encoded surrogates among it.
    Utf8 { packet: PacketType, field: Field },
    /// The null character in text that is no topic.
    NullCharacter { packet: PacketType, field: Field },
    /// A topic name or filter against the rules of 4.7.
    Topic { packet: PacketType, error: TopicError },
    /// Packet identifier 0.
    ZeroPacketId(PacketType),
    /// CONNECT of another protocol, or of another version of it.
    Protocol,
    /// Bit 0 of the connect flags is set.
    ConnectReservedFlag,
    /// A will QoS without a will.
    WillQoSWithoutWill,
    /// Will retain without a will.
    WillRetainWithoutWill,
    /// Both will QoS bits are set.
    WillQoS,
    /// A bit other than session present in CONNACK's flags.
    ConnAckFlags(u8),
    /// A session present beside a refusal.
    SessionPresentOnRefusal,
    /// A reason code that this packet cannot have.
    Reason { packet: PacketType, code: u8 },
    /// SUBSCRIBE or UNSUBSCRIBE without a filter.
    NoFilter(PacketType),
    /// Subscription options with QoS 3, retain handling 3, or a reserved bit.
    Options(u8),
    /// No local on a shared subscription.
    NoLocalShared,
    /// A shared subscription whose name is empty or has a wildcard, or that has no filter.
    ShareName,
    /// SUBACK or UNSUBACK without a reason code.
    NoCode(PacketType),
    /// A property that this packet cannot have, by its number.
    Property { packet: PacketType, number: u32 },
    /// A property that stands there twice.
    Repeated { packet: PacketType, id: PropertyId },
    /// A property with a value that it cannot have.
    Value { packet: PacketType, id: PropertyId },
    /// Authentication data without an authentication method.
    DataWithoutMethod(PacketType),
    /// A PUBLISH with neither a topic nor an alias of one.
    NoTopic,
}

/// Where the standard states no number of its own: a malformed packet ends the connection.
const VIOLATION: &str = "MQTT-4.13.1-1";

impl Fault {
    /// All statements of the standard that are broken, the most specific first; at least one.
    pub const fn statements(&self) -> &'static [&'static str] {
        match self {
            Fault::Flags { packet, .. } => flags_statements(*packet),
            Fault::PublishQoS => &["MQTT-3.3.1-4"],
            Fault::DupAtMostOnce => &["MQTT-3.3.1-2"],
            Fault::PaddedNumber => &["MQTT-1.5.5-1"],
            Fault::Oversized { .. } => &["MQTT-3.1.2-24", "MQTT-3.2.2-15"],
            Fault::Truncated { packet, field } => truncated_statements(*packet, *field),
            Fault::Utf8 { packet, field } => utf8_statements(*packet, *field),
            Fault::NullCharacter { .. } => &["MQTT-1.5.4-2"],
            Fault::Topic { error, .. } => topic_statements(*error),
            Fault::ZeroPacketId(packet) => packet_id_statements(*packet),
            Fault::Protocol => &["MQTT-3.1.2-1", "MQTT-3.1.2-2"],
            Fault::ConnectReservedFlag => &["MQTT-3.1.2-3"],
            Fault::WillQoSWithoutWill => &["MQTT-3.1.2-11"],
            Fault::WillRetainWithoutWill => &["MQTT-3.1.2-13"],
            Fault::WillQoS => &["MQTT-3.1.2-12"],
            Fault::ConnAckFlags(_) => &["MQTT-3.2.2-1"],
            Fault::SessionPresentOnRefusal => &["MQTT-3.2.2-6"],
            Fault::Reason { packet, .. } => reason_statements(*packet),
            Fault::NoFilter(PacketType::Unsubscribe) => &["MQTT-3.10.3-2"],
            Fault::NoFilter(_) => &["MQTT-3.8.3-2"],
            Fault::Options(_) => &["MQTT-3.8.3-5"],
            Fault::NoLocalShared => &["MQTT-3.8.3-4"],
            Fault::ShareName => &["MQTT-4.8.2-1", "MQTT-4.8.2-2"],
            Fault::NoCode(PacketType::UnsubAck) => &["MQTT-3.11.3-1"],
            Fault::NoCode(_) => &["MQTT-3.8.4-6"],
            Fault::Value { id: PropertyId::TopicAlias, .. } => &["MQTT-3.3.2-8"],
            Fault::Value { id: PropertyId::ResponseTopic, .. } => &["MQTT-3.3.2-14"],
            Fault::Trailing(PacketType::Connect) => &["MQTT-3.1.4-1"],
            Fault::ReservedType(_)
            | Fault::Number
            | Fault::Length { .. }
            | Fault::Trailing(_)
            | Fault::Property { .. }
            | Fault::Repeated { .. }
            | Fault::Value { .. }
            | Fault::DataWithoutMethod(_)
            | Fault::NoTopic => &[VIOLATION],
        }
    }

    /// The reason that goes with the end of the connection: in CONNACK before there is a session, in DISCONNECT after.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Fault::Oversized { .. } => ReasonCode::PacketTooLarge,
            Fault::Value { id: PropertyId::TopicAlias, .. } => ReasonCode::TopicAliasInvalid,
            Fault::Protocol => ReasonCode::UnsupportedProtocolVersion,
            Fault::Repeated { .. }
            | Fault::Value { .. }
            | Fault::DataWithoutMethod(_)
            | Fault::NoLocalShared
            | Fault::NoFilter(_)
            | Fault::NoTopic
            | Fault::SessionPresentOnRefusal => ReasonCode::ProtocolError,
            _ => ReasonCode::MalformedPacket,
        }
    }

    fn describe_property(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Property { packet, number } => match PropertyId::from_number(*number) {
                Some(id) => write!(f, "{packet} with a {id}, which it cannot have"),
                None => write!(f, "{packet} with property {number}, which there is not"),
            },
            Fault::Repeated { packet, id } => write!(f, "{packet} with a second {id}"),
            Fault::Value { packet, id } => write!(f, "{packet} with a {id} that it cannot have"),
            Fault::DataWithoutMethod(packet) => {
                write!(f, "{packet} with authentication data but no authentication method")
            }
            other => unreachable!("{other:?} is about no property"),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ReservedType(kind) => write!(f, "packet type {kind} is reserved"),
            Fault::Flags { packet, flags } => write!(f, "{packet} with fixed header flags {flags:#06b}"),
            Fault::PublishQoS => f.write_str("PUBLISH with QoS 3"),
            Fault::DupAtMostOnce => f.write_str("PUBLISH with DUP at QoS 0"),
            Fault::Number => f.write_str("a length or number of more than four bytes"),
            Fault::PaddedNumber => f.write_str("a length or number in more bytes than it needs"),
            Fault::Oversized { length, max } => write!(f, "packet of {length} bytes, the limit is {max}"),
            Fault::Length { packet, remaining } => {
                write!(f, "{packet} with a remaining length of {remaining}")
            }
            Fault::Truncated { packet, field } => write!(f, "{packet} ends within its {field}"),
            Fault::Trailing(packet) => write!(f, "{packet} has bytes after its last field"),
            Fault::Utf8 { packet, field } => write!(f, "the {field} in {packet} is not UTF-8"),
            Fault::NullCharacter { packet, field } => write!(f, "the {field} in {packet} contains U+0000"),
            Fault::Topic { packet, error } => write!(f, "in {packet}, {}", error.reason()),
            Fault::ZeroPacketId(packet) => write!(f, "{packet} with packet identifier 0"),
            Fault::Protocol => f.write_str("CONNECT of another protocol than MQTT 5"),
            Fault::ConnectReservedFlag => f.write_str("CONNECT with the reserved connect flag set"),
            Fault::WillQoSWithoutWill => f.write_str("CONNECT with a will QoS but no will"),
            Fault::WillRetainWithoutWill => f.write_str("CONNECT with will retain but no will"),
            Fault::WillQoS => f.write_str("CONNECT with will QoS 3"),
            Fault::ConnAckFlags(flags) => write!(f, "CONNACK with acknowledge flags {flags:#04x}"),
            Fault::SessionPresentOnRefusal => f.write_str("CONNACK refuses but has a session present"),
            Fault::Reason { packet, code } => write!(f, "{packet} with reason code {code:#04x}"),
            Fault::NoFilter(packet) => write!(f, "{packet} without a topic filter"),
            Fault::Options(byte) => write!(f, "SUBSCRIBE with subscription options {byte:#04x}"),
            Fault::NoLocalShared => f.write_str("SUBSCRIBE with no local on a shared subscription"),
            Fault::ShareName => f.write_str("a shared subscription is $share/name/filter"),
            Fault::NoCode(packet) => write!(f, "{packet} without a reason code"),
            Fault::NoTopic => f.write_str("PUBLISH with neither a topic nor a topic alias"),
            Fault::Property { .. }
            | Fault::Repeated { .. }
            | Fault::Value { .. }
            | Fault::DataWithoutMethod(_) => self.describe_property(f),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f)?;
        self.statements().iter().try_for_each(|statement| write!(f, " [{statement}]"))
    }
}

impl std::error::Error for Fault {}

impl From<DecodeError> for Fault {
    /// The same fault, found by a reader of what both versions have.
    #[cold]
    fn from(error: DecodeError) -> Fault {
        match error {
            DecodeError::ReservedType(kind) => Fault::ReservedType(kind),
            DecodeError::Flags { packet, flags } => Fault::Flags { packet, flags },
            DecodeError::PublishQoS => Fault::PublishQoS,
            DecodeError::DupAtMostOnce => Fault::DupAtMostOnce,
            DecodeError::Oversized { length, max } => Fault::Oversized { length, max },
            DecodeError::Length { packet, remaining } => Fault::Length { packet, remaining },
            DecodeError::Truncated { packet, field } => Fault::Truncated { packet, field },
            DecodeError::Utf8 { packet, field } => Fault::Utf8 { packet, field },
            DecodeError::NullCharacter { packet, field } => Fault::NullCharacter { packet, field },
            DecodeError::Topic { packet, error } => Fault::Topic { packet, error },
            DecodeError::ZeroPacketId(packet) => Fault::ZeroPacketId(packet),
            DecodeError::RemainingLength => Fault::Number,
            DecodeError::V5(fault) => fault,
            DecodeError::ProtocolName | DecodeError::ProtocolLevel { .. } => Fault::Protocol,
            DecodeError::ConnectReservedFlag => Fault::ConnectReservedFlag,
            DecodeError::WillQoSWithoutWill => Fault::WillQoSWithoutWill,
            DecodeError::WillRetainWithoutWill => Fault::WillRetainWithoutWill,
            DecodeError::WillQoS => Fault::WillQoS,
            other => unreachable!("{other:?} is found by readers of 3.1.1 alone"),
        }
    }
}

const fn flags_statements(packet: PacketType) -> &'static [&'static str] {
    match packet {
        PacketType::PubRel => &["MQTT-3.6.1-1", "MQTT-2.1.3-1"],
        PacketType::Subscribe => &["MQTT-3.8.1-1", "MQTT-2.1.3-1"],
        PacketType::Unsubscribe => &["MQTT-3.10.1-1", "MQTT-2.1.3-1"],
        PacketType::Disconnect => &["MQTT-3.14.1-1", "MQTT-2.1.3-1"],
        PacketType::Auth => &["MQTT-3.15.1-1", "MQTT-2.1.3-1"],
        _ => &["MQTT-2.1.3-1"],
    }
}

const fn packet_id_statements(packet: PacketType) -> &'static [&'static str] {
    match packet {
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {
            &["MQTT-2.2.1-5"]
        }
        PacketType::SubAck => &["MQTT-2.2.1-6", "MQTT-3.8.4-2"],
        PacketType::UnsubAck => &["MQTT-2.2.1-6"],
        PacketType::Publish => &["MQTT-2.2.1-3", "MQTT-2.2.1-4"],
        _ => &["MQTT-2.2.1-3"],
    }
}

const fn truncated_statements(packet: PacketType, field: Field) -> &'static [&'static str] {
    match field {
        Field::ClientId => &["MQTT-3.1.3-3"],
        Field::WillTopic | Field::WillMessage => &["MQTT-3.1.2-9"],
        Field::UserName => &["MQTT-3.1.2-17"],
        Field::Password => &["MQTT-3.1.2-19"],
        Field::TopicName => &["MQTT-3.3.2-1"],
        Field::RequestedQoS => &["MQTT-3.8.3-2"],
        Field::PacketId => packet_id_statements(packet),
        Field::TopicFilter => match packet {
            PacketType::Unsubscribe => &["MQTT-3.10.3-1"],
            _ => &["MQTT-3.8.3-1"],
        },
        Field::PropertyLength => &["MQTT-2.2.2-1"],
        Field::ProtocolName | Field::ProtocolLevel | Field::ConnectFlags | Field::KeepAlive => {
            &["MQTT-3.1.4-1"]
        }
        Field::Property | Field::ReasonCode | Field::ConnAckFlags => &[VIOLATION],
    }
}

const fn utf8_statements(packet: PacketType, field: Field) -> &'static [&'static str] {
    match field {
        Field::ClientId => &["MQTT-3.1.3-4", "MQTT-1.5.4-1"],
        Field::WillTopic => &["MQTT-3.1.3-11", "MQTT-1.5.4-1"],
        Field::UserName => &["MQTT-3.1.3-12", "MQTT-1.5.4-1"],
        Field::TopicName => &["MQTT-3.3.2-1", "MQTT-1.5.4-1"],
        Field::TopicFilter => match packet {
            PacketType::Unsubscribe => &["MQTT-3.10.3-1", "MQTT-1.5.4-1"],
            _ => &["MQTT-3.8.3-1", "MQTT-1.5.4-1"],
        },
        _ => &["MQTT-1.5.4-1"],
    }
}

const fn topic_statements(error: TopicError) -> &'static [&'static str] {
    match error {
        TopicError::Empty => &["MQTT-4.7.3-1"],
        TopicError::TooLong => &["MQTT-4.7.3-3"],
        TopicError::NullCharacter => &["MQTT-4.7.3-2", "MQTT-1.5.4-2"],
        TopicError::WildcardInName => &["MQTT-3.3.2-2", "MQTT-4.7.0-1"],
        TopicError::MisplacedMultiLevelWildcard => &["MQTT-4.7.1-1"],
        TopicError::MisplacedSingleLevelWildcard => &["MQTT-4.7.1-2"],
    }
}

const fn reason_statements(packet: PacketType) -> &'static [&'static str] {
    match packet {
        PacketType::ConnAck => &["MQTT-3.2.2-8"],
        PacketType::PubAck => &["MQTT-3.4.2-1"],
        PacketType::PubRec => &["MQTT-3.5.2-1"],
        PacketType::PubRel => &["MQTT-3.6.2-1"],
        PacketType::PubComp => &["MQTT-3.7.2-1"],
        PacketType::SubAck => &["MQTT-3.9.3-2"],
        PacketType::UnsubAck => &["MQTT-3.11.3-2"],
        PacketType::Disconnect => &["MQTT-3.14.2-1"],
        _ => &["MQTT-3.15.2-1"],
    }
}
