//! Packets to bytes. Everything appends to the caller's buffer, in one growth of it at most.

use super::{
    ConnAck, Connect, ConnectCode, EncodeError, Field, MAX_REMAINING_LENGTH, Packet, PacketId, Protocol,
    Publish, QoS, SubAckCode, Will, topic, v5,
};

impl Packet<'_> {
    /// Appends the packet's bytes to `out`, as 3.1.1 has them: [`v5::encode()`] says what only 5 can. CONNECT is
    /// written as its version has it.
    ///
    /// # Errors
    /// The rule that the packet's fields break; `out` is as it was then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Packet::Connect(connect) => connect.encode(out)?,
            Packet::ConnAck(connack) => {
                if connack.session_present && connack.code != ConnectCode::Accepted {
                    return Err(EncodeError::SessionPresentOnRefusal);
                }
                encode_connack(*connack, out);
            }
            Packet::Auth(_) => return Err(EncodeError::OnlyIn5),
            Packet::Publish(publish) => publish.encode(out)?,
            Packet::PubAck(ack) => encode_puback(ack.packet_id, out),
            Packet::PubRec(ack) => encode_pubrec(ack.packet_id, out),
            Packet::PubRel(ack) => encode_pubrel(ack.packet_id, out),
            Packet::PubComp(ack) => encode_pubcomp(ack.packet_id, out),
            Packet::Subscribe(subscribe) => with_id(0x82, subscribe.packet_id, subscribe.payload, out)?,
            Packet::SubAck(suback) => with_id(0x90, suback.packet_id, suback.payload, out)?,
            Packet::Unsubscribe(unsubscribe) => {
                with_id(0xA2, unsubscribe.packet_id, unsubscribe.payload, out)?;
            }
            Packet::UnsubAck(unsuback) => encode_unsuback(unsuback.packet_id, out),
            Packet::PingReq => encode_pingreq(out),
            Packet::PingResp => encode_pingresp(out),
            Packet::Disconnect(_) => encode_disconnect(out),
        }
        Ok(())
    }
}

impl Publish<'_> {
    /// Appends the packet's bytes to `out`, after checking every field.
    ///
    /// # Errors
    /// The rule that the fields break; `out` is as it was then.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        topic::valid_name(self.topic)?;
        self.check_flags()?;
        let remaining = publish_remaining(self.topic, self.packet_id, self.payload.len());
        if remaining > MAX_REMAINING_LENGTH {
            return Err(EncodeError::PacketTooLong(remaining));
        }
        let Publish { dup, qos, retain, topic, packet_id, payload, .. } = *self;
        Publish::encode_head(dup, qos, retain, topic, packet_id, payload.len(), out);
        out.extend_from_slice(payload);
        Ok(())
    }

    #[inline]
    pub(super) fn check_flags(&self) -> Result<(), EncodeError> {
        if self.packet_id.is_some() != (self.qos > QoS::AtMostOnce) {
            return Err(EncodeError::PacketIdAndQoS);
        }
        if self.dup && self.qos == QoS::AtMostOnce {
            return Err(EncodeError::DupAtMostOnce);
        }
        Ok(())
    }

    /// Appends everything before the payload, for a payload of `payload_len` bytes that the caller appends.
    /// Room for the payload is reserved. The caller has checked `topic` with [`topic::valid_name`] once.
    ///
    /// # Panics
    /// If a packet identifier comes with QoS 0 or is missing above it, if DUP comes with QoS 0, or if topic
    /// or packet are longer than the format allows.
    #[inline]
    pub fn encode_head(
        dup: bool,
        qos: QoS,
        retain: bool,
        topic: &str,
        packet_id: Option<PacketId>,
        payload_len: usize,
        out: &mut Vec<u8>,
    ) {
        debug_assert_eq!(topic::valid_name(topic), Ok(()), "the caller checks topics");
        Publish::put_head(dup, qos, retain, topic, packet_id, payload_len, out);
    }

    /// The same for any topic.
    #[inline]
    pub(super) fn put_head(
        dup: bool,
        qos: QoS,
        retain: bool,
        topic: &str,
        packet_id: Option<PacketId>,
        payload_len: usize,
        out: &mut Vec<u8>,
    ) {
        let remaining = publish_remaining(topic, packet_id, payload_len);
        let acknowledged = qos > QoS::AtMostOnce;
        // One branch for the four assertions: this is the hottest function of all.
        if (packet_id.is_some() != acknowledged)
            | (dup & !acknowledged)
            | (topic.len() > usize::from(u16::MAX))
            | (remaining > MAX_REMAINING_LENGTH)
        {
            bad_head(packet_id.is_some() == acknowledged, !dup || acknowledged, topic.len());
        }

        let first = 0x30 | u8::from(dup) << 3 | (qos as u8) << 1 | u8::from(retain);
        out.reserve(5 + remaining);
        let [high, low] = (topic.len() as u16).to_be_bytes();
        if remaining < 0x80 {
            let head = u32::from(first) << 24 | (remaining as u32) << 16 | topic.len() as u32;
            out.extend_from_slice(&head.to_be_bytes());
        } else if remaining < 0x4000 {
            let [more, last] = [remaining as u8 | 0x80, (remaining >> 7) as u8];
            out.extend_from_slice(&[first, more, last, high, low]);
        } else {
            fixed_header(first, remaining, out);
            out.extend_from_slice(&[high, low]);
        }
        out.extend_from_slice(topic.as_bytes());
        if let Some(id) = packet_id {
            out.extend_from_slice(&id.get().to_be_bytes());
        }
    }
}

#[cold]
fn bad_head(id_fits: bool, dup_fits: bool, topic_len: usize) -> ! {
    assert!(id_fits, "a packet id goes with QoS 1 and 2 only");
    assert!(dup_fits, "DUP is not for QoS 0");
    assert!(topic_len <= usize::from(u16::MAX), "a topic has at most 65,535 bytes");
    panic!("a packet has at most 268,435,455 bytes after its fixed header")
}

#[inline]
pub(super) fn publish_remaining(topic: &str, packet_id: Option<PacketId>, payload_len: usize) -> usize {
    let id = if packet_id.is_some() { 2 } else { 0 };
    // Saturating: a wrapped sum could pass for a small packet.
    (2 + topic.len() + id).saturating_add(payload_len)
}

impl Connect<'_> {
    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    /// The rule that the fields break; `out` is as it was then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.check()?;
        let will_len = self.will.map_or(0, |will| 4 + will.topic.len() + will.payload.len());
        let username_len = self.username.map_or(0, |name| 2 + name.len());
        let password_len = self.password.map_or(0, |password| 2 + password.len());
        let Connect { protocol, bridge, client_id, .. } = *self;
        let header_len = 2 + protocol.name().len() + 4;
        let properties = match protocol {
            Protocol::V5 => v5::connect_properties(self)?,
            Protocol::V31 | Protocol::V311 => 0,
        };
        let remaining =
            header_len + properties + 2 + client_id.len() + will_len + username_len + password_len;
        if remaining > MAX_REMAINING_LENGTH {
            return Err(EncodeError::PacketTooLong(remaining));
        }
        out.reserve(5 + remaining);
        fixed_header(0x10, remaining, out);
        field(protocol.name().as_bytes(), out);
        let bridge = bridge && protocol != Protocol::V5;
        out.extend_from_slice(&[protocol.level() | u8::from(bridge) << 7, self.flags()]);
        out.extend_from_slice(&self.keep_alive.to_be_bytes());
        if protocol == Protocol::V5 {
            v5::put_properties(self.properties, out);
        }
        field(client_id.as_bytes(), out);
        if let Some(will) = &self.will {
            if protocol == Protocol::V5 {
                v5::put_properties(will.properties, out);
            }
            field(will.topic.as_bytes(), out);
            field(will.payload, out);
        }
        if let Some(username) = self.username {
            field(username.as_bytes(), out);
        }
        if let Some(password) = self.password {
            field(password, out);
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        let will = |will: Will<'_>| 0x04 | (will.qos as u8) << 3 | u8::from(will.retain) << 5;
        u8::from(self.username.is_some()) << 7
            | u8::from(self.password.is_some()) << 6
            | self.will.map_or(0, will)
            | u8::from(self.clean_session) << 1
    }

    fn check(&self) -> Result<(), EncodeError> {
        let nameless = match self.protocol {
            Protocol::V31 => false,
            Protocol::V311 => self.clean_session,
            Protocol::V5 => true,
        };
        if self.client_id.is_empty() && !nameless {
            return Err(EncodeError::EmptyClientId);
        }
        check_text(self.client_id, Field::ClientId)?;
        if let Some(will) = &self.will {
            topic::valid_name(will.topic)?;
            check_length(will.payload, Field::WillMessage)?;
        }
        match (self.username, self.password) {
            (None, Some(_)) if self.protocol != Protocol::V5 => {
                return Err(EncodeError::PasswordWithoutUserName);
            }
            (username, password) => {
                check_text(username.unwrap_or_default(), Field::UserName)?;
                check_length(password.unwrap_or_default(), Field::Password)?;
            }
        }
        Ok(())
    }
}

/// Appends CONNACK.
///
/// # Panics
/// If a refusal has its session present [MQTT-3.2.2-4].
pub fn encode_connack(connack: ConnAck<'_>, out: &mut Vec<u8>) {
    let ConnAck { session_present, code, .. } = connack;
    assert!(!session_present || code == ConnectCode::Accepted, "a refusal has no session present");
    out.extend_from_slice(&[0x20, 2, u8::from(session_present), code.number()]);
}

/// Appends PUBACK.
#[inline]
pub fn encode_puback(id: PacketId, out: &mut Vec<u8>) {
    only_packet_id(0x40, id, out);
}

/// Appends PUBREC.
#[inline]
pub fn encode_pubrec(id: PacketId, out: &mut Vec<u8>) {
    only_packet_id(0x50, id, out);
}

/// Appends PUBREL.
#[inline]
pub fn encode_pubrel(id: PacketId, out: &mut Vec<u8>) {
    only_packet_id(0x62, id, out);
}

/// Appends PUBCOMP.
#[inline]
pub fn encode_pubcomp(id: PacketId, out: &mut Vec<u8>) {
    only_packet_id(0x70, id, out);
}

/// Appends UNSUBACK.
#[inline]
pub fn encode_unsuback(id: PacketId, out: &mut Vec<u8>) {
    only_packet_id(0xB0, id, out);
}

/// Appends PINGREQ.
#[inline]
pub fn encode_pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xC0, 0]);
}

/// Appends PINGRESP.
#[inline]
pub fn encode_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0]);
}

/// Appends DISCONNECT.
#[inline]
pub fn encode_disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xE0, 0]);
}

/// Appends SUBSCRIBE for these filters and the greatest QoS wanted for each.
///
/// # Errors
/// No filter, a filter against the rules of 4.7, or too many of them; `out` is as it was then.
pub fn encode_subscribe<'f, F>(id: PacketId, filters: F, out: &mut Vec<u8>) -> Result<(), EncodeError>
where
    F: IntoIterator<Item = (&'f str, QoS)>,
{
    let begin = out.len();
    let result = filters.into_iter().try_for_each(|(filter, qos)| {
        topic::valid_filter(filter)?;
        field(filter.as_bytes(), out);
        out.push(qos as u8);
        Ok(())
    });
    put_head_before(begin, 0x82, id, result, EncodeError::NoFilter, out)
}

/// Appends UNSUBSCRIBE for these filters.
///
/// # Errors
/// No filter, a filter against the rules of 4.7, or too many of them; `out` is as it was then.
pub fn encode_unsubscribe<'f, F>(id: PacketId, filters: F, out: &mut Vec<u8>) -> Result<(), EncodeError>
where
    F: IntoIterator<Item = &'f str>,
{
    let begin = out.len();
    let result = filters.into_iter().try_for_each(|filter| {
        topic::valid_filter(filter)?;
        field(filter.as_bytes(), out);
        Ok(())
    });
    put_head_before(begin, 0xA2, id, result, EncodeError::NoFilter, out)
}

/// Appends SUBACK with one code for each filter of the SUBSCRIBE, in its order.
///
/// # Errors
/// No code, or too many of them; `out` is as it was then.
pub fn encode_suback<C>(id: PacketId, codes: C, out: &mut Vec<u8>) -> Result<(), EncodeError>
where
    C: IntoIterator<Item = SubAckCode>,
{
    let begin = out.len();
    out.extend(codes.into_iter().map(SubAckCode::to_byte));
    put_head_before(begin, 0x90, id, Ok(()), EncodeError::NoSubAckCode, out)
}

/// Puts fixed header and packet identifier in front of the payload at `begin..`, whose length is known only
/// now, or takes the payload back.
fn put_head_before(
    begin: usize,
    first: u8,
    id: PacketId,
    payload: Result<(), EncodeError>,
    empty: EncodeError,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let remaining = 2 + out.len() - begin;
    let result = match payload {
        Ok(()) if remaining == 2 => Err(empty),
        Ok(()) if remaining > MAX_REMAINING_LENGTH => Err(EncodeError::PacketTooLong(remaining)),
        other => other,
    };
    if result.is_err() {
        out.truncate(begin);
        return result;
    }
    let end = out.len();
    fixed_header(first, remaining, out);
    out.extend_from_slice(&id.get().to_be_bytes());
    let head = out.len() - end;
    out[begin..].rotate_right(head);
    Ok(())
}

fn with_id(first: u8, id: PacketId, payload: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let remaining = 2 + payload.len();
    if remaining > MAX_REMAINING_LENGTH {
        return Err(EncodeError::PacketTooLong(remaining));
    }
    out.reserve(5 + remaining);
    fixed_header(first, remaining, out);
    out.extend_from_slice(&id.get().to_be_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

#[inline]
fn only_packet_id(first: u8, id: PacketId, out: &mut Vec<u8>) {
    // As one number: four bytes in an array would become two stores.
    let packet = u32::from(first) << 24 | 2 << 16 | u32::from(id.get());
    out.extend_from_slice(&packet.to_be_bytes());
}

/// Appends a packet's first byte and its remaining length (2.2.3).
pub(super) fn fixed_header(first: u8, remaining: usize, out: &mut Vec<u8>) {
    assert!(remaining <= MAX_REMAINING_LENGTH, "the caller checks lengths");
    out.push(first);
    let mut rest = remaining;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends bytes behind their length in two bytes.
pub(super) fn field(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).expect("the caller checks lengths");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn check_length(bytes: &[u8], field: Field) -> Result<(), EncodeError> {
    match bytes.len() {
        0..=0xFFFF => Ok(()),
        length => Err(EncodeError::FieldTooLong { field, length }),
    }
}

pub(super) fn check_text(text: &str, field: Field) -> Result<(), EncodeError> {
    check_length(text.as_bytes(), field)?;
    if text.contains('\0') { Err(EncodeError::NullCharacter(field)) } else { Ok(()) }
}
