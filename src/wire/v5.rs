//! What MQTT 5 adds, and has otherwise: properties, reason codes, subscription options, AUTH. Section and statement
//! numbers in this module are those of the OASIS standard *MQTT Version 5.0* (7 March 2019).
//!
//! Packets are those of 3.1.1, with more in them: [`decode()`] makes the same [`Packet`]s. Nothing is allocated for
//! properties; they are checked once and read where they lie.

mod encode;
mod fault;
mod property;
mod reason;
#[cfg(test)]
mod tests;

pub(super) use encode::{connect_properties, put_properties};
pub use encode::{
    encode, encode_ack, encode_connack, encode_disconnect, encode_head, encode_suback, encode_subscribe,
    encode_unsuback, encode_unsubscribe,
};
pub use fault::Fault;
pub use property::{Place, Properties, PropertyId, PropertyList, Value};
pub use reason::ReasonCode;

use super::decode::{
    ConnectFlags, array, binary, checked_filter, next_filter, packet_id, packet_type_of_5, plain_text,
    publish_flags, remaining_length, text,
};
use super::{
    Ack, Auth, ConnAck, Connect, ConnectCode, DecodeError, Disconnect, Field, Packet, PacketType, Protocol,
    Publish, QoS, SubAck, SubAckCode, Subscribe, UnsubAck, Unsubscribe, Will, topic,
};

/// What is done with retained messages when somebody subscribes (3.8.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// They are sent.
    #[default]
    Send = 0,
    /// They are sent if the subscription is new.
    SendIfNew = 1,
    /// They are not sent.
    DoNotSend = 2,
}

/// What a client asks for with a topic filter (3.8.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Options {
    /// Greatest QoS wanted.
    pub qos: QoS,
    /// Not what the client has published itself.
    pub no_local: bool,
    /// Messages keep the retain flag that they were published with.
    pub retain_as_published: bool,
    /// What is done with retained messages.
    pub retain_handling: RetainHandling,
}

impl From<QoS> for Options {
    fn from(qos: QoS) -> Options {
        Options { qos, ..Options::default() }
    }
}

impl Options {
    pub(super) fn from_byte(byte: u8) -> Option<Options> {
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return None,
        };
        let qos = QoS::try_from(byte & 0b11).ok()?;
        Some(Options {
            qos,
            no_local: byte & 0b0100 != 0,
            retain_as_published: byte & 0b1000 != 0,
            retain_handling,
        })
    }

    fn to_byte(self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }
}

/// Takes the packet of MQTT 5 at the front of `bytes`, as [`super::decode()`] takes one of 3.1.1.
///
/// # Errors
/// The rule that the bytes break, as a [`DecodeError::V5`].
// Always: a call would hand the packet over in memory and have it copied.
#[inline(always)]
pub fn decode(bytes: &[u8], max_packet: usize) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    let Some((&first, after)) = bytes.split_first() else { return Ok(None) };
    let (header, remaining) = match after.first() {
        Some(&length @ 0..0x80) => (2, usize::from(length)),
        _ => match long_header(first, after)? {
            Some((length, remaining)) => (1 + length, remaining),
            None => return Ok(None),
        },
    };
    let length = header + remaining;
    let Some(body) = bytes.get(header..length).filter(|_| length <= max_packet) else {
        return unfinished(first, [header, remaining], max_packet).map(|()| None).map_err(DecodeError::V5);
    };
    let packet = match (first, body) {
        (0x30..=0x3F, _) => Packet::Publish(publish(first, body)?),
        // Success, of which nothing more is to be said.
        (0x40, &[high, low]) => Packet::PubAck(ack(PacketType::PubAck, [high, low])?),
        (0x50, &[high, low]) => Packet::PubRec(ack(PacketType::PubRec, [high, low])?),
        (0x62, &[high, low]) => Packet::PubRel(ack(PacketType::PubRel, [high, low])?),
        (0x70, &[high, low]) => Packet::PubComp(ack(PacketType::PubComp, [high, low])?),
        _ => rare(first, body).map_err(DecodeError::V5)?,
    };
    Ok(Some((packet, length)))
}

/// A remaining length of two bytes or more.
#[inline(never)]
fn long_header(first: u8, after: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let fault = match remaining_length(after) {
        Ok(Some((2.., 0..0x80) | (3.., 0..0x4000) | (4.., 0..0x20_0000))) => Fault::PaddedNumber,
        Ok(Some(found)) => return Ok(Some(found)),
        Ok(None) => {
            return packet_type_of_5(first).map(|_| None).map_err(|error| DecodeError::V5(error.into()));
        }
        Err(error) => error.into(),
    };
    // As a shorter prefix would have been told.
    Err(DecodeError::V5(packet_type_of_5(first).err().map_or(fault, Fault::from)))
}

/// Rejects what the fixed header alone shows to be wrong, when that is all there is yet.
#[cold]
fn unfinished(first: u8, [header, remaining]: [usize; 2], max: usize) -> Result<(), Fault> {
    let packet = packet_type_of_5(first)?;
    let length = header + remaining;
    match packet {
        _ if length > max => Err(Fault::Oversized { length, max }),
        PacketType::PingReq | PacketType::PingResp if remaining > 0 => {
            Err(Fault::Length { packet, remaining })
        }
        _ => Ok(()),
    }
}

#[inline]
fn ack(packet: PacketType, id: [u8; 2]) -> Result<Ack<'static>, DecodeError> {
    match super::PacketId::new(u16::from_be_bytes(id)) {
        Some(id) => Ok(id.into()),
        None => Err(DecodeError::V5(Fault::ZeroPacketId(packet))),
    }
}

#[inline]
fn publish(first: u8, body: &[u8]) -> Result<Publish<'_>, DecodeError> {
    const PACKET: PacketType = PacketType::Publish;
    let fault = |error: DecodeError| DecodeError::V5(error.into());
    let qos = publish_flags(first).map_err(fault)?;
    let mut rest = body;
    let topic = text(&mut rest, PACKET, Field::TopicName).map_err(fault)?;
    let named = topic::valid_name(topic);
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce | QoS::ExactlyOnce => Some(packet_id(&mut rest, PACKET).map_err(fault)?),
    };
    let properties = match rest.split_first() {
        Some((0, tail)) => {
            rest = tail;
            Properties::NONE
        }
        _ => properties(Place::Packet(PACKET), &mut rest).map_err(DecodeError::V5)?,
    };
    if let Err(error) = named {
        unnamed(topic, error, properties).map_err(DecodeError::V5)?;
    }
    let (dup, retain) = (first & 0b1000 != 0, first & 0b0001 != 0);
    Ok(Publish { dup, qos, retain, topic, packet_id, properties, payload: rest })
}

/// A topic that is empty stands for the one of an alias.
#[cold]
fn unnamed(topic: &str, error: super::TopicError, properties: Properties<'_>) -> Result<(), Fault> {
    match (topic.is_empty(), properties.number(PropertyId::TopicAlias)) {
        (true, Some(_)) => Ok(()),
        (true, None) => Err(Fault::NoTopic),
        (false, _) => Err(Fault::Topic { packet: PacketType::Publish, error }),
    }
}

/// Properties behind their length.
#[inline(never)]
fn properties<'a>(place: Place, rest: &mut &'a [u8]) -> Result<Properties<'a>, Fault> {
    let packet = place.packet();
    let length = read_number(rest, packet, Field::PropertyLength)? as usize;
    let truncated = Fault::Truncated { packet, field: Field::PropertyLength };
    let (bytes, tail) = rest.split_at_checked(length).ok_or(truncated)?;
    *rest = tail;
    Properties::new(place, bytes)
}

/// A number of one to four bytes (1.5.5).
fn read_number(rest: &mut &[u8], packet: PacketType, field: Field) -> Result<u32, Fault> {
    let (length, number) = remaining_length(rest)?.ok_or(Fault::Truncated { packet, field })?;
    if length > 1 && number < 1 << (7 * (length - 1)) {
        return Err(Fault::PaddedNumber);
    }
    *rest = &rest[length..];
    Ok(number as u32)
}

/// Packets that are not sent per message, and acknowledgements that say more.
#[inline(never)]
fn rare(first: u8, body: &[u8]) -> Result<Packet<'_>, Fault> {
    let packet = packet_type_of_5(first)?;
    Ok(match packet {
        PacketType::Connect => Packet::Connect(connect(body)?),
        PacketType::ConnAck => Packet::ConnAck(connack(body)?),
        PacketType::Publish => Packet::Publish(publish(first, body).map_err(Fault::from)?),
        PacketType::PubAck => Packet::PubAck(long_ack(packet, body)?),
        PacketType::PubRec => Packet::PubRec(long_ack(packet, body)?),
        PacketType::PubRel => Packet::PubRel(long_ack(packet, body)?),
        PacketType::PubComp => Packet::PubComp(long_ack(packet, body)?),
        PacketType::Subscribe => Packet::Subscribe(subscribe(body)?),
        PacketType::SubAck => Packet::SubAck(suback(body)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(unsubscribe(body)?),
        PacketType::UnsubAck => Packet::UnsubAck(unsuback(body)?),
        PacketType::PingReq | PacketType::PingResp if !body.is_empty() => {
            return Err(Fault::Length { packet, remaining: body.len() });
        }
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => {
            let (reason, properties) = reason_and_properties(packet, body)?;
            Packet::Disconnect(Disconnect { reason, properties })
        }
        PacketType::Auth => {
            let (reason, properties) = reason_and_properties(packet, body)?;
            Packet::Auth(Auth { reason, properties })
        }
    })
}

fn connect(body: &[u8]) -> Result<Connect<'_>, Fault> {
    let mut rest = body;
    if binary(&mut rest, PacketType::Connect, Field::ProtocolName)? != b"MQTT" {
        return Err(Fault::Protocol);
    }
    match array(&mut rest, PacketType::Connect, Field::ProtocolLevel)? {
        [5] => connect_after_level(rest),
        _ => Err(Fault::Protocol),
    }
}

/// CONNECT from its flags on.
pub(super) fn connect_after_level(mut rest: &[u8]) -> Result<Connect<'_>, Fault> {
    const PACKET: PacketType = PacketType::Connect;
    let [flags] = array(&mut rest, PACKET, Field::ConnectFlags)?;
    let flags = ConnectFlags::parse(flags, Protocol::V5)?;
    let keep_alive = u16::from_be_bytes(array(&mut rest, PACKET, Field::KeepAlive)?);
    let properties_of_connect = properties(Place::Packet(PACKET), &mut rest)?;
    let client_id = plain_text(&mut rest, PACKET, Field::ClientId)?;
    let will = match flags.will {
        Some((qos, retain)) => {
            let properties = properties(Place::Will, &mut rest)?;
            let topic = text(&mut rest, PACKET, Field::WillTopic)?;
            topic::valid_name(topic).map_err(|error| Fault::Topic { packet: PACKET, error })?;
            let payload = binary(&mut rest, PACKET, Field::WillMessage)?;
            Some(Will { topic, payload, qos, retain, properties })
        }
        None => None,
    };
    let username = match flags.username {
        true => Some(plain_text(&mut rest, PACKET, Field::UserName)?),
        false => None,
    };
    let password = match flags.password {
        true => Some(binary(&mut rest, PACKET, Field::Password)?),
        false => None,
    };
    if !rest.is_empty() {
        return Err(Fault::Trailing(PACKET));
    }
    Ok(Connect {
        protocol: Protocol::V5,
        bridge: false,
        client_id,
        keep_alive,
        clean_session: flags.clean_session,
        will,
        username,
        password,
        properties: properties_of_connect,
    })
}

fn connack(body: &[u8]) -> Result<ConnAck<'_>, Fault> {
    const PACKET: PacketType = PacketType::ConnAck;
    let mut rest = body;
    let [flags] = array(&mut rest, PACKET, Field::ConnAckFlags)?;
    if flags > 1 {
        return Err(Fault::ConnAckFlags(flags));
    }
    let reason = reason(PACKET, &mut rest)?;
    let properties = properties(Place::Packet(PACKET), &mut rest)?;
    if !rest.is_empty() {
        return Err(Fault::Trailing(PACKET));
    }
    if flags == 1 && reason != ReasonCode::Success {
        return Err(Fault::SessionPresentOnRefusal);
    }
    let code = match reason {
        ReasonCode::Success => ConnectCode::Accepted,
        reason => ConnectCode::Reason(reason),
    };
    Ok(ConnAck { session_present: flags == 1, code, properties })
}

fn reason(packet: PacketType, rest: &mut &[u8]) -> Result<ReasonCode, Fault> {
    let [code] = array(rest, packet, Field::ReasonCode)?;
    ReasonCode::from_byte(code).filter(|reason| reason.is_of(packet)).ok_or(Fault::Reason { packet, code })
}

fn long_ack(packet: PacketType, body: &[u8]) -> Result<Ack<'_>, Fault> {
    let mut rest = body;
    let packet_id = packet_id(&mut rest, packet)?;
    let (reason, properties) = reason_and_properties(packet, rest)?;
    Ok(Ack { packet_id, reason, properties })
}

/// The end of a packet: success if there is no reason, and no properties if there is no length of them.
fn reason_and_properties(packet: PacketType, body: &[u8]) -> Result<(ReasonCode, Properties<'_>), Fault> {
    let mut rest = body;
    if rest.is_empty() {
        return Ok((ReasonCode::Success, Properties::NONE));
    }
    let reason = reason(packet, &mut rest)?;
    if rest.is_empty() && packet != PacketType::Auth {
        return Ok((reason, Properties::NONE));
    }
    let properties = properties(Place::Packet(packet), &mut rest)?;
    if rest.is_empty() { Ok((reason, properties)) } else { Err(Fault::Trailing(packet)) }
}

fn subscribe(body: &[u8]) -> Result<Subscribe<'_>, Fault> {
    const PACKET: PacketType = PacketType::Subscribe;
    let mut payload = body;
    let packet_id = packet_id(&mut payload, PACKET)?;
    let properties = properties(Place::Packet(PACKET), &mut payload)?;
    let mut rest = payload;
    while !rest.is_empty() {
        let mut filter = rest;
        checked_filter(&mut rest, PACKET)?;
        let shared = is_shared(next_filter(&mut filter).expect("it was checked a moment ago"))?;
        let [byte] = array(&mut rest, PACKET, Field::RequestedQoS)?;
        let options = Options::from_byte(byte).ok_or(Fault::Options(byte))?;
        if options.no_local && shared {
            return Err(Fault::NoLocalShared);
        }
    }
    if payload.is_empty() {
        return Err(Fault::NoFilter(PACKET));
    }
    Ok(Subscribe { packet_id, properties, payload })
}

/// Whether a filter is that of a shared subscription (4.8.2).
fn is_shared(filter: &str) -> Result<bool, Fault> {
    let Some(shared) = filter.strip_prefix("$share/") else { return Ok(false) };
    match shared.split_once('/') {
        Some((name, filter)) if !name.is_empty() && !name.contains(['+', '#']) && !filter.is_empty() => {
            Ok(true)
        }
        _ => Err(Fault::ShareName),
    }
}

fn suback(body: &[u8]) -> Result<SubAck<'_>, Fault> {
    const PACKET: PacketType = PacketType::SubAck;
    let mut payload = body;
    let packet_id = packet_id(&mut payload, PACKET)?;
    let properties = properties(Place::Packet(PACKET), &mut payload)?;
    check_codes(PACKET, payload)?;
    Ok(SubAck { packet_id, properties, payload })
}

fn unsuback(body: &[u8]) -> Result<UnsubAck<'_>, Fault> {
    const PACKET: PacketType = PacketType::UnsubAck;
    let mut codes = body;
    let packet_id = packet_id(&mut codes, PACKET)?;
    let properties = properties(Place::Packet(PACKET), &mut codes)?;
    check_codes(PACKET, codes)?;
    Ok(UnsubAck { packet_id, properties, codes })
}

fn check_codes(packet: PacketType, codes: &[u8]) -> Result<(), Fault> {
    let known = |code: u8| ReasonCode::from_byte(code).is_some_and(|reason| reason.is_of(packet));
    match codes.iter().find(|code| !known(**code)) {
        Some(&code) => Err(Fault::Reason { packet, code }),
        None if codes.is_empty() => Err(Fault::NoCode(packet)),
        None => Ok(()),
    }
}

fn unsubscribe(body: &[u8]) -> Result<Unsubscribe<'_>, Fault> {
    const PACKET: PacketType = PacketType::Unsubscribe;
    let mut payload = body;
    let packet_id = packet_id(&mut payload, PACKET)?;
    let properties = properties(Place::Packet(PACKET), &mut payload)?;
    let mut rest = payload;
    while !rest.is_empty() {
        checked_filter(&mut rest, PACKET)?;
    }
    if payload.is_empty() {
        return Err(Fault::NoFilter(PACKET));
    }
    Ok(Unsubscribe { packet_id, properties, payload })
}

/// What a byte of SUBACK says.
pub(super) fn suback_code(byte: u8) -> Option<SubAckCode> {
    ReasonCode::from_byte(byte).filter(|reason| reason.is_of(PacketType::SubAck)).map(SubAckCode::Refused)
}
