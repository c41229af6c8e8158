//! Packets of MQTT 5 to bytes. What has no more to say than in 3.1.1 is written as there: acknowledgements of
//! success, pings and a plain DISCONNECT have the same bytes.

use super::super::encode::{check_length, check_text, field, fixed_header, publish_remaining};
use super::super::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodeError, Field, MAX_REMAINING_LENGTH, Packet, PacketId,
    PacketType, Publish, QoS, SubAckCode, UnsubAck, topic,
};
use super::{Options, Place, Properties, PropertyId, ReasonCode};

/// Appends a packet of MQTT 5 to `out`.
///
/// # Errors
/// The rule that the packet's fields break; `out` is as it was then.
pub fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(connect) => return connect.encode(out),
        Packet::ConnAck(connack) => {
            if connack.session_present && connack.code.reason() != ReasonCode::Success {
                return Err(EncodeError::SessionPresentOnRefusal);
            }
            encode_connack(connack, out);
        }
        Packet::Publish(publish) => return encode_publish(publish, out),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            encode_ack(packet.packet_type(), ack, out);
        }
        Packet::Subscribe(subscribe) => {
            put_with_id(0x82, subscribe.packet_id, subscribe.properties, subscribe.payload, out)?;
        }
        Packet::SubAck(suback) => {
            put_with_id(0x90, suback.packet_id, suback.properties, suback.payload, out)?;
        }
        Packet::Unsubscribe(unsubscribe) => {
            put_with_id(0xA2, unsubscribe.packet_id, unsubscribe.properties, unsubscribe.payload, out)?;
        }
        Packet::UnsubAck(UnsubAck { packet_id, properties, codes }) => {
            if codes.is_empty() {
                return Err(EncodeError::NoSubAckCode);
            }
            put_with_id(0xB0, *packet_id, *properties, codes, out)?;
        }
        Packet::PingReq => super::super::encode_pingreq(out),
        Packet::PingResp => super::super::encode_pingresp(out),
        Packet::Disconnect(disconnect) => encode_disconnect(disconnect, out),
        Packet::Auth(Auth { reason, properties }) => put_reason(0xF0, *reason, *properties, out),
    }
    Ok(())
}

/// Appends everything of a PUBLISH before its payload, as [`Publish::encode_head`] does. An empty topic goes with a
/// topic alias among the properties.
///
/// # Panics
/// As [`Publish::encode_head`].
#[inline]
#[expect(clippy::too_many_arguments, reason = "the head of 3.1.1, and the properties")]
pub fn encode_head(
    dup: bool,
    qos: QoS,
    retain: bool,
    topic: &str,
    packet_id: Option<PacketId>,
    properties: Properties<'_>,
    payload_len: usize,
    out: &mut Vec<u8>,
) {
    let properties = properties.as_bytes();
    let rest = number_len(properties.len()).saturating_add(properties.len()).saturating_add(payload_len);
    // To 3.1.1, which has none, properties are the beginning of the payload.
    Publish::put_head(dup, qos, retain, topic, packet_id, rest, out);
    put_number(properties.len(), out);
    out.extend_from_slice(properties);
}

fn encode_publish(publish: &Publish<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Publish { dup, qos, retain, topic, packet_id, properties, payload } = *publish;
    let aliased = topic.is_empty() && properties.number(PropertyId::TopicAlias).is_some();
    if !aliased {
        topic::valid_name(topic)?;
    }
    publish.check_flags()?;
    let length = properties.as_bytes().len();
    let remaining =
        publish_remaining(topic, packet_id, payload.len()).saturating_add(number_len(length) + length);
    if remaining > MAX_REMAINING_LENGTH {
        return Err(EncodeError::PacketTooLong(remaining));
    }
    encode_head(dup, qos, retain, topic, packet_id, properties, payload.len(), out);
    out.extend_from_slice(payload);
    Ok(())
}

/// Appends what follows CONNECT's keep alive, for a packet whose other fields were checked.
pub(in super::super) fn connect_properties(connect: &Connect<'_>) -> Result<usize, EncodeError> {
    let of = |properties: Properties<'_>| with_length(properties);
    let will = connect.will.map_or(0, |will| of(will.properties));
    if Properties::new(Place::Packet(PacketType::Connect), connect.properties.as_bytes()).is_err()
        || connect.will.is_some_and(|will| Properties::new(Place::Will, will.properties.as_bytes()).is_err())
    {
        return Err(EncodeError::PropertiesElsewhere);
    }
    Ok(of(connect.properties) + will)
}

/// Appends CONNACK.
///
/// # Panics
/// If a refusal has its session present [MQTT-3.2.2-6].
pub fn encode_connack(connack: &ConnAck<'_>, out: &mut Vec<u8>) {
    let ConnAck { session_present, code, properties } = *connack;
    let reason = code.reason();
    assert!(!session_present || reason == ReasonCode::Success, "a refusal has no session present");
    fixed_header(0x20, 2 + with_length(properties), out);
    out.extend_from_slice(&[u8::from(session_present), reason as u8]);
    put_properties(properties, out);
}

/// Appends PUBACK, PUBREC, PUBREL or PUBCOMP, in its shortest form.
///
/// # Panics
/// If `packet` is none of these.
pub fn encode_ack(packet: PacketType, ack: &Ack<'_>, out: &mut Vec<u8>) {
    let first = match packet {
        PacketType::PubAck => 0x40,
        PacketType::PubRec => 0x50,
        PacketType::PubRel => 0x62,
        PacketType::PubComp => 0x70,
        other => panic!("{other} acknowledges nothing"),
    };
    let Ack { packet_id, reason, properties } = *ack;
    let more = match (reason, properties.is_empty()) {
        (ReasonCode::Success, true) => 0,
        (_, true) => 1,
        (_, false) => 1 + with_length(properties),
    };
    fixed_header(first, 2 + more, out);
    out.extend_from_slice(&packet_id.get().to_be_bytes());
    if more > 0 {
        out.push(reason as u8);
    }
    if more > 1 {
        put_properties(properties, out);
    }
}

/// Appends DISCONNECT, in its shortest form.
pub fn encode_disconnect(disconnect: &Disconnect<'_>, out: &mut Vec<u8>) {
    put_reason(0xE0, disconnect.reason, disconnect.properties, out);
}

/// A packet of a reason and properties, which may be left out from the end; from AUTH only both of them (3.15.2).
fn put_reason(first: u8, reason: ReasonCode, properties: Properties<'_>, out: &mut Vec<u8>) {
    let more = match (reason, properties.is_empty()) {
        (ReasonCode::Success, true) => 0,
        (_, true) if first == 0xE0 => 1,
        _ => 1 + with_length(properties),
    };
    fixed_header(first, more, out);
    if more > 0 {
        out.push(reason as u8);
    }
    if more > 1 {
        put_properties(properties, out);
    }
}

/// Appends SUBSCRIBE for these filters, with options for each.
///
/// # Errors
/// No filter, a filter against the rules of 4.7, or too many of them; `out` is as it was then.
pub fn encode_subscribe<'f>(
    id: PacketId,
    properties: Properties<'_>,
    filters: impl IntoIterator<Item = (&'f str, Options)>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut payload = Vec::new();
    for (filter, options) in filters {
        topic::valid_filter(filter)?;
        field(filter.as_bytes(), &mut payload);
        payload.push(options.to_byte());
    }
    match payload.is_empty() {
        true => Err(EncodeError::NoFilter),
        false => put_with_id(0x82, id, properties, &payload, out),
    }
}

/// Appends UNSUBSCRIBE for these filters.
///
/// # Errors
/// As [`encode_subscribe`].
pub fn encode_unsubscribe<'f>(
    id: PacketId,
    filters: impl IntoIterator<Item = &'f str>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut payload = Vec::new();
    for filter in filters {
        topic::valid_filter(filter)?;
        field(filter.as_bytes(), &mut payload);
    }
    match payload.is_empty() {
        true => Err(EncodeError::NoFilter),
        false => put_with_id(0xA2, id, Properties::NONE, &payload, out),
    }
}

/// Appends SUBACK with one code for each filter of the SUBSCRIBE, in its order.
///
/// # Errors
/// No code, or too many of them; `out` is as it was then.
pub fn encode_suback(
    id: PacketId,
    codes: impl IntoIterator<Item = SubAckCode>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let payload: Vec<u8> = codes.into_iter().map(SubAckCode::to_byte).collect();
    match payload.is_empty() {
        true => Err(EncodeError::NoSubAckCode),
        false => put_with_id(0x90, id, Properties::NONE, &payload, out),
    }
}

/// Appends UNSUBACK with one code for each filter of the UNSUBSCRIBE, in its order.
///
/// # Errors
/// No code, or too many of them; `out` is as it was then.
pub fn encode_unsuback(
    id: PacketId,
    codes: impl IntoIterator<Item = ReasonCode>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let payload: Vec<u8> = codes.into_iter().map(|code| code as u8).collect();
    match payload.is_empty() {
        true => Err(EncodeError::NoSubAckCode),
        false => put_with_id(0xB0, id, Properties::NONE, &payload, out),
    }
}

fn put_with_id(
    first: u8,
    id: PacketId,
    properties: Properties<'_>,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let remaining = 2 + with_length(properties) + payload.len();
    if remaining > MAX_REMAINING_LENGTH {
        return Err(EncodeError::PacketTooLong(remaining));
    }
    out.reserve(5 + remaining);
    fixed_header(first, remaining, out);
    out.extend_from_slice(&id.get().to_be_bytes());
    put_properties(properties, out);
    out.extend_from_slice(payload);
    Ok(())
}

/// Bytes of properties and their length.
fn with_length(properties: Properties<'_>) -> usize {
    let length = properties.as_bytes().len();
    number_len(length) + length
}

/// Appends properties behind their length.
pub(in super::super) fn put_properties(properties: Properties<'_>, out: &mut Vec<u8>) {
    put_number(properties.as_bytes().len(), out);
    out.extend_from_slice(properties.as_bytes());
}

/// Bytes that a number takes (1.5.5).
#[inline]
const fn number_len(number: usize) -> usize {
    match number {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Appends a number in as few bytes as it needs (1.5.5).
#[inline]
pub(super) fn put_number(number: usize, out: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(super) fn put_text(text: &str, id: PropertyId, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    check_text(text, Field::Property).map_err(|_| EncodeError::Property(id))?;
    field(text.as_bytes(), out);
    Ok(())
}

pub(super) fn put_bytes(bytes: &[u8], id: PropertyId, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    check_length(bytes, Field::Property).map_err(|_| EncodeError::Property(id))?;
    field(bytes, out);
    Ok(())
}
