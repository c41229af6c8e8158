//! Bytes to packets.

use super::{
    Ack, ConnAck, Connect, ConnectCode, DecodeError, Disconnect, Field, Packet, PacketId, PacketType,
    Properties, Protocol, Publish, QoS, ReasonCode, SubAck, SubAckCode, Subscribe, UnsubAck, Unsubscribe,
    Will, topic, v5,
};

/// What is wrong with the first bytes from a server, in words: `error`, or the name of a protocol that people
/// find behind a wrong port.
pub fn explain_first(bytes: &[u8], error: DecodeError) -> String {
    let name = match bytes {
        [b'H', b'T', b'T', b'P', b'/', ..] => "HTTP",
        // A record of type alert or handshake, version 3.x (RFC 8446, 5.1).
        [0x15 | 0x16, 3, 0..=4, ..] => "TLS",
        _ => return error.to_string(),
    };
    format!("it speaks {name}, not MQTT: is the port the right one?")
}

/// Takes the packet at the front of `bytes`, which may end anywhere: `None` asks for more of them. They are those of
/// MQTT 3.1.1 or 3.1, or a CONNECT of any version.
///
/// `max_packet` is the largest whole packet to accept, in bytes; [`super::MAX_PACKET`] accepts all. The
/// second value is the length of the whole packet, in bytes: the next one begins there.
///
/// # Errors
/// The rule that the bytes break. What the fixed header alone gives away (type, flags, an impossible or
/// oversized length) is reported as soon as it is visible, without waiting for the rest.
// Always: a call would hand the packet over in memory and have it copied, which costs more than the rest.
#[inline(always)]
pub fn decode(bytes: &[u8], max_packet: usize) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    let Some((&first, after)) = bytes.split_first() else { return Ok(None) };
    // A length of one byte is the common case; two bytes and more go through the general reader.
    let (header, remaining) = match after.first() {
        Some(&length @ 0..0x80) => (2, usize::from(length)),
        _ => match remaining_length(after) {
            Ok(Some((length, remaining))) => (1 + length, remaining),
            Ok(None) => return unfinished(first, None).map(|()| None),
            Err(error) => return Err(type_first(first, error)),
        },
    };
    let length = header + remaining;
    if length > max_packet {
        return Err(type_first(first, DecodeError::Oversized { length, max: max_packet }));
    }
    let Some(body) = bytes.get(header..length) else {
        return unfinished(first, Some(remaining)).map(|()| None);
    };
    // Whole first bytes, not types: a flag that is not as it must be falls through to the cold arm.
    let packet = match first {
        0x30..=0x3F => Packet::Publish(publish(first, body)?),
        0x40 => Packet::PubAck(ack(PacketType::PubAck, body)?),
        0x50 => Packet::PubRec(ack(PacketType::PubRec, body)?),
        0x62 => Packet::PubRel(ack(PacketType::PubRel, body)?),
        0x70 => Packet::PubComp(ack(PacketType::PubComp, body)?),
        _ => rare(first, body)?,
    };
    Ok(Some((packet, length)))
}

/// Takes a packet that [`decode`] refused for [`DecodeError::Flags`] from a client of MQTT 3.1. There a client that
/// sends PUBREL, SUBSCRIBE or UNSUBSCRIBE once more sets DUP, and the other flags of what is not a PUBLISH are not
/// used (3.1, section 2.1): whatever they are, nobody looks at them.
///
/// # Errors
/// As [`decode`], the flags aside.
pub fn decode_with_any_flags(
    bytes: &[u8],
    max_packet: usize,
) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    let Some((&first, after)) = bytes.split_first() else { return Ok(None) };
    let first = match first >> 4 {
        kind @ (6 | 8 | 10) => kind << 4 | 0b0010,
        kind => kind << 4,
    };
    let Some((header, remaining)) = remaining_length(after)? else { return Ok(None) };
    let length = 1 + header + remaining;
    if length > max_packet {
        return Err(DecodeError::Oversized { length, max: max_packet });
    }
    match bytes.get(1 + header..length) {
        Some(body) => Ok(Some((rare(first, body)?, length))),
        None => unfinished(first, Some(remaining)).map(|()| None),
    }
}

/// Reads a remaining length (2.2.3): the bytes it takes and its value.
pub(super) fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            return Ok(Some((i + 1, value)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(DecodeError::RemainingLength) }
}

/// Rejects what the fixed header alone shows to be wrong, when that is all there is yet.
fn unfinished(first: u8, remaining: Option<usize>) -> Result<(), DecodeError> {
    let packet = packet_type(first)?;
    match (fixed_length(packet), remaining) {
        (Some(fixed), Some(remaining)) if fixed != remaining => {
            Err(DecodeError::Length { packet, remaining })
        }
        _ => Ok(()),
    }
}

/// The error in the first byte if there is one, as a shorter prefix would have been told; else `error`.
#[cold]
fn type_first(first: u8, error: DecodeError) -> DecodeError {
    packet_type(first).err().unwrap_or(error)
}

/// The type in a packet's first byte, whose flags must be those of table 2.2.
fn packet_type(first: u8) -> Result<PacketType, DecodeError> {
    let flags = first & 0x0F;
    let (packet, right) = match first >> 4 {
        1 => (PacketType::Connect, 0),
        2 => (PacketType::ConnAck, 0),
        3 => {
            publish_flags(first)?;
            (PacketType::Publish, flags)
        }
        4 => (PacketType::PubAck, 0),
        5 => (PacketType::PubRec, 0),
        6 => (PacketType::PubRel, 0b0010),
        7 => (PacketType::PubComp, 0),
        8 => (PacketType::Subscribe, 0b0010),
        9 => (PacketType::SubAck, 0),
        10 => (PacketType::Unsubscribe, 0b0010),
        11 => (PacketType::UnsubAck, 0),
        12 => (PacketType::PingReq, 0),
        13 => (PacketType::PingResp, 0),
        14 => (PacketType::Disconnect, 0),
        reserved => return Err(DecodeError::ReservedType(reserved)),
    };
    if flags == right { Ok(packet) } else { Err(DecodeError::Flags { packet, flags }) }
}

/// The same in MQTT 5, which has AUTH.
pub(super) fn packet_type_of_5(first: u8) -> Result<PacketType, DecodeError> {
    match first {
        0xF0 => Ok(PacketType::Auth),
        0xF1.. => Err(DecodeError::Flags { packet: PacketType::Auth, flags: first & 0x0F }),
        _ => packet_type(first),
    }
}

/// The remaining length of packets that have only one, in bytes.
fn fixed_length(packet: PacketType) -> Option<usize> {
    match packet {
        PacketType::ConnAck
        | PacketType::PubAck
        | PacketType::PubRec
        | PacketType::PubRel
        | PacketType::PubComp
        | PacketType::UnsubAck => Some(2),
        PacketType::PingReq | PacketType::PingResp | PacketType::Disconnect => Some(0),
        PacketType::Auth
        | PacketType::Connect
        | PacketType::Publish
        | PacketType::Subscribe
        | PacketType::SubAck
        | PacketType::Unsubscribe => None,
    }
}

#[inline]
pub(super) fn publish_flags(first: u8) -> Result<QoS, DecodeError> {
    match first & 0b1110 {
        0b0000 => Ok(QoS::AtMostOnce),
        0b0010 | 0b1010 => Ok(QoS::AtLeastOnce),
        0b0100 | 0b1100 => Ok(QoS::ExactlyOnce),
        0b1000 => Err(DecodeError::DupAtMostOnce),
        _ => Err(DecodeError::PublishQoS),
    }
}

#[inline]
fn publish(first: u8, body: &[u8]) -> Result<Publish<'_>, DecodeError> {
    const PACKET: PacketType = PacketType::Publish;
    let qos = publish_flags(first)?;
    let mut rest = body;
    let topic = text(&mut rest, PACKET, Field::TopicName)?;
    topic::valid_name(topic).map_err(|error| DecodeError::Topic { packet: PACKET, error })?;
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce | QoS::ExactlyOnce => Some(packet_id(&mut rest, PACKET)?),
    };
    let (dup, retain) = (first & 0b1000 != 0, first & 0b0001 != 0);
    Ok(Publish { dup, qos, retain, topic, packet_id, properties: Properties::NONE, payload: rest })
}

#[inline]
fn ack(packet: PacketType, body: &[u8]) -> Result<Ack<'_>, DecodeError> {
    only_packet_id(packet, body).map(Ack::from)
}

#[inline]
fn only_packet_id(packet: PacketType, body: &[u8]) -> Result<PacketId, DecodeError> {
    match *body {
        [high, low] => {
            PacketId::new(u16::from_be_bytes([high, low])).ok_or(DecodeError::ZeroPacketId(packet))
        }
        _ => Err(DecodeError::Length { packet, remaining: body.len() }),
    }
}

/// Packets that are not sent per message.
#[inline(never)]
fn rare(first: u8, body: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let packet = packet_type(first)?;
    if let Some(fixed) = fixed_length(packet)
        && fixed != body.len()
    {
        return Err(DecodeError::Length { packet, remaining: body.len() });
    }
    Ok(match packet {
        PacketType::Connect => Packet::Connect(connect(body)?),
        PacketType::ConnAck => Packet::ConnAck(connack(body)?),
        PacketType::Publish => Packet::Publish(publish(first, body)?),
        PacketType::PubAck => Packet::PubAck(ack(packet, body)?),
        PacketType::PubRec => Packet::PubRec(ack(packet, body)?),
        PacketType::PubRel => Packet::PubRel(ack(packet, body)?),
        PacketType::PubComp => Packet::PubComp(ack(packet, body)?),
        PacketType::Subscribe => Packet::Subscribe(subscribe(body)?),
        PacketType::SubAck => Packet::SubAck(suback(body)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(unsubscribe(body)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::from(only_packet_id(packet, body)?)),
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::from(ReasonCode::Success)),
        PacketType::Auth => unreachable!("3.1.1 has no AUTH"),
    })
}

fn connect(body: &[u8]) -> Result<Connect<'_>, DecodeError> {
    const PACKET: PacketType = PacketType::Connect;
    let mut rest = body;
    let (protocol, bridge) = protocol(&mut rest)?;
    if protocol == Protocol::V5 {
        return v5::connect_after_level(rest).map_err(DecodeError::V5);
    }
    let [flags] = array(&mut rest, PACKET, Field::ConnectFlags)?;
    let flags = ConnectFlags::parse(flags, protocol)?;
    let keep_alive = u16::from_be_bytes(array(&mut rest, PACKET, Field::KeepAlive)?);
    let client_id = plain_text(&mut rest, PACKET, Field::ClientId)?;
    if client_id.is_empty() && !(flags.clean_session && protocol == Protocol::V311) {
        return Err(DecodeError::EmptyClientId);
    }
    let will = match flags.will {
        Some((qos, retain)) => {
            let topic = text(&mut rest, PACKET, Field::WillTopic)?;
            topic::valid_name(topic).map_err(|error| DecodeError::Topic { packet: PACKET, error })?;
            let payload = binary(&mut rest, PACKET, Field::WillMessage)?;
            Some(Will { topic, payload, qos, retain, properties: Properties::NONE })
        }
        None => None,
    };
    // In 3.1 a user name or password may be announced and not be there (3.1, section 3.1).
    let absent = |rest: &[u8]| protocol == Protocol::V31 && rest.is_empty();
    let username = match flags.username {
        true if absent(rest) => None,
        true => Some(plain_text(&mut rest, PACKET, Field::UserName)?),
        false => None,
    };
    let password = match flags.password {
        true if absent(rest) => None,
        true => Some(binary(&mut rest, PACKET, Field::Password)?),
        false => None,
    };
    if !rest.is_empty() {
        return Err(DecodeError::Trailing { absent: flags.first_absent() });
    }
    let (clean_session, properties) = (flags.clean_session, Properties::NONE);
    Ok(Connect {
        protocol,
        bridge,
        client_id,
        keep_alive,
        clean_session,
        will,
        username,
        password,
        properties,
    })
}

/// Name and level of CONNECT's protocol (3.1.2.1, 3.1.2.2), and whether a bridge asks.
fn protocol(rest: &mut &[u8]) -> Result<(Protocol, bool), DecodeError> {
    const PACKET: PacketType = PacketType::Connect;
    let protocol = match binary(rest, PACKET, Field::ProtocolName)? {
        b"MQTT" => Protocol::V311,
        b"MQIsdp" => Protocol::V31,
        _ => return Err(DecodeError::ProtocolName),
    };
    let [level] = array(rest, PACKET, Field::ProtocolLevel)?;
    if (protocol, level) == (Protocol::V311, Protocol::V5.level()) {
        return Ok((Protocol::V5, false));
    }
    // Other levels lay out the rest in other ways, so nothing after this byte may be looked at first.
    if level & 0x7F != protocol.level() {
        return Err(DecodeError::ProtocolLevel { protocol, level });
    }
    Ok((protocol, level & 0x80 != 0))
}

/// The connect flags byte (3.1.2.3). What 3.1 does not use of it may be anything there.
pub(super) struct ConnectFlags {
    pub(super) clean_session: bool,
    pub(super) will: Option<(QoS, bool)>,
    pub(super) username: bool,
    pub(super) password: bool,
}

impl ConnectFlags {
    pub(super) fn parse(byte: u8, protocol: Protocol) -> Result<ConnectFlags, DecodeError> {
        let bit = |n: u8| byte >> n & 1 == 1;
        let strict = protocol != Protocol::V31;
        if bit(0) && strict {
            return Err(DecodeError::ConnectReservedFlag);
        }
        let (will_qos, will_retain) = (byte >> 3 & 0b11, bit(5));
        let will = match bit(2) {
            true => Some((QoS::try_from(will_qos).map_err(|_| DecodeError::WillQoS)?, will_retain)),
            false if will_qos != 0 && strict => return Err(DecodeError::WillQoSWithoutWill),
            false if will_retain && strict => return Err(DecodeError::WillRetainWithoutWill),
            false => None,
        };
        let (username, password) = (bit(7), bit(6));
        if password && !username && protocol != Protocol::V5 {
            return Err(DecodeError::PasswordWithoutUserName);
        }
        Ok(ConnectFlags { clean_session: bit(1), will, username, password })
    }

    /// The first field that the flags say is not there.
    fn first_absent(&self) -> Option<Field> {
        match (&self.will, self.username, self.password) {
            (None, ..) => Some(Field::WillTopic),
            (_, false, _) => Some(Field::UserName),
            (.., false) => Some(Field::Password),
            _ => None,
        }
    }
}

fn connack(body: &[u8]) -> Result<ConnAck<'static>, DecodeError> {
    let &[flags, code] = body else {
        return Err(DecodeError::Length { packet: PacketType::ConnAck, remaining: body.len() });
    };
    if flags > 1 {
        return Err(DecodeError::ConnAckFlags(flags));
    }
    let session_present = flags == 1;
    let code = ConnectCode::from_byte(code).ok_or(DecodeError::ConnAckCode(code))?;
    if session_present && code != ConnectCode::Accepted {
        return Err(DecodeError::SessionPresentOnRefusal);
    }
    Ok(ConnAck { session_present, code, properties: Properties::NONE })
}

fn subscribe(body: &[u8]) -> Result<Subscribe<'_>, DecodeError> {
    const PACKET: PacketType = PacketType::Subscribe;
    let mut payload = body;
    let packet_id = packet_id(&mut payload, PACKET)?;
    let mut rest = payload;
    while !rest.is_empty() {
        checked_filter(&mut rest, PACKET)?;
        let [qos] = array(&mut rest, PACKET, Field::RequestedQoS)?;
        QoS::try_from(qos).map_err(|_| DecodeError::RequestedQoS(qos))?;
    }
    if payload.is_empty() {
        return Err(DecodeError::NoFilter(PACKET));
    }
    Ok(Subscribe { packet_id, properties: Properties::NONE, payload })
}

fn suback(body: &[u8]) -> Result<SubAck<'_>, DecodeError> {
    let mut payload = body;
    let packet_id = packet_id(&mut payload, PacketType::SubAck)?;
    if let Some(&code) = payload.iter().find(|&&code| SubAckCode::from_byte(code).is_none()) {
        return Err(DecodeError::SubAckCode(code));
    }
    if payload.is_empty() {
        return Err(DecodeError::NoSubAckCode);
    }
    Ok(SubAck { packet_id, properties: Properties::NONE, payload })
}

fn unsubscribe(body: &[u8]) -> Result<Unsubscribe<'_>, DecodeError> {
    const PACKET: PacketType = PacketType::Unsubscribe;
    let mut payload = body;
    let packet_id = packet_id(&mut payload, PACKET)?;
    let mut rest = payload;
    while !rest.is_empty() {
        checked_filter(&mut rest, PACKET)?;
    }
    if payload.is_empty() {
        return Err(DecodeError::NoFilter(PACKET));
    }
    Ok(Unsubscribe { packet_id, properties: Properties::NONE, payload })
}

pub(super) fn checked_filter(rest: &mut &[u8], packet: PacketType) -> Result<(), DecodeError> {
    let filter = text(rest, packet, Field::TopicFilter)?;
    topic::valid_filter(filter).map_err(|error| DecodeError::Topic { packet, error })
}

/// The next filter of a payload that [`checked_filter`] has been through.
pub(super) fn next_filter<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    Some(text(rest, PacketType::Subscribe, Field::TopicFilter).expect("decode checked the filters"))
}

#[inline]
pub(super) fn packet_id(rest: &mut &[u8], packet: PacketType) -> Result<PacketId, DecodeError> {
    let bytes = array(rest, packet, Field::PacketId)?;
    PacketId::new(u16::from_be_bytes(bytes)).ok_or(DecodeError::ZeroPacketId(packet))
}

#[inline]
pub(super) fn array<const N: usize>(
    rest: &mut &[u8],
    packet: PacketType,
    field: Field,
) -> Result<[u8; N], DecodeError> {
    let (bytes, tail) = rest.split_first_chunk().ok_or(DecodeError::Truncated { packet, field })?;
    *rest = tail;
    Ok(*bytes)
}

/// Bytes behind a length of two bytes.
#[inline]
pub(super) fn binary<'a>(
    rest: &mut &'a [u8],
    packet: PacketType,
    field: Field,
) -> Result<&'a [u8], DecodeError> {
    let length = usize::from(u16::from_be_bytes(array(rest, packet, field)?));
    let (bytes, tail) = rest.split_at_checked(length).ok_or(DecodeError::Truncated { packet, field })?;
    *rest = tail;
    Ok(bytes)
}

/// UTF-8 behind a length of two bytes. A byte order mark is kept, as a character [MQTT-1.5.3-3].
#[inline]
pub(super) fn text<'a>(
    rest: &mut &'a [u8],
    packet: PacketType,
    field: Field,
) -> Result<&'a str, DecodeError> {
    let bytes = binary(rest, packet, field)?;
    str::from_utf8(bytes).map_err(|_| DecodeError::Utf8 { packet, field })
}

/// Text that is no topic, whose own rules would forbid U+0000.
pub(super) fn plain_text<'a>(
    rest: &mut &'a [u8],
    packet: PacketType,
    field: Field,
) -> Result<&'a str, DecodeError> {
    let text = text(rest, packet, field)?;
    if text.contains('\0') { Err(DecodeError::NullCharacter { packet, field }) } else { Ok(text) }
}
