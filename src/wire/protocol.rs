//! Versions of the protocol, and what is written and read in another way by each.

use super::{
    ConnAck, DecodeError, EncodeError, Packet, PacketId, Properties, Publish, QoS, ReasonCode, SubAckCode,
    decode, encode_connack, encode_suback, encode_subscribe, encode_unsuback, encode_unsubscribe, v5,
};
use std::fmt;

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
    /// MQTT 5, `MQTT` at level 5.
    V5,
}

impl Protocol {
    /// Name in CONNECT.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::V31 => "MQIsdp",
            Protocol::V311 | Protocol::V5 => "MQTT",
        }
    }

    /// Level in CONNECT.
    pub const fn level(self) -> u8 {
        match self {
            Protocol::V31 => 3,
            Protocol::V311 => 4,
            Protocol::V5 => 5,
        }
    }

    /// Takes the packet at the front of `bytes` on a connection of this version: [`decode()`] or [`v5::decode()`].
    ///
    /// # Errors
    /// As these.
    #[inline(always)]
    pub fn decode(self, bytes: &[u8], max_packet: usize) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
        match self {
            Protocol::V31 | Protocol::V311 => decode(bytes, max_packet),
            Protocol::V5 => v5::decode(bytes, max_packet),
        }
    }

    /// Appends everything of a PUBLISH before its payload: [`Publish::encode_head`] or [`v5::encode_head`].
    ///
    /// # Panics
    /// As these.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the head of 3.1.1, and the properties")]
    pub fn encode_head(
        self,
        dup: bool,
        qos: QoS,
        retain: bool,
        topic: &str,
        packet_id: Option<PacketId>,
        properties: Properties<'_>,
        payload_len: usize,
        out: &mut Vec<u8>,
    ) {
        match self {
            Protocol::V31 | Protocol::V311 => {
                Publish::encode_head(dup, qos, retain, topic, packet_id, payload_len, out);
            }
            Protocol::V5 => {
                v5::encode_head(dup, qos, retain, topic, packet_id, properties, payload_len, out);
            }
        }
    }

    /// Appends CONNACK. Before 5, it is written as 3.1.1 has it.
    ///
    /// # Panics
    /// If a refusal has its session present [MQTT-3.2.2-4].
    pub fn encode_connack(self, connack: ConnAck<'_>, out: &mut Vec<u8>) {
        match self {
            Protocol::V31 | Protocol::V311 => encode_connack(connack, out),
            Protocol::V5 => v5::encode_connack(&connack, out),
        }
    }

    /// Appends SUBSCRIBE for these filters and what is wanted for each: before 5, the QoS of it.
    ///
    /// # Errors
    /// No filter, a filter against the rules of 4.7, or too many of them; `out` is as it was then.
    pub fn encode_subscribe<'f, O: Into<v5::Options>>(
        self,
        id: PacketId,
        properties: Properties<'_>,
        filters: impl IntoIterator<Item = (&'f str, O)>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let filters = filters.into_iter().map(|(filter, options)| (filter, options.into()));
        match self {
            Protocol::V31 | Protocol::V311 => encode_subscribe(
                id,
                filters.map(|(filter, options): (_, v5::Options)| (filter, options.qos)),
                out,
            ),
            Protocol::V5 => v5::encode_subscribe(id, properties, filters, out),
        }
    }

    /// Appends UNSUBSCRIBE for these filters.
    ///
    /// # Errors
    /// As [`Protocol::encode_subscribe`].
    pub fn encode_unsubscribe<'f>(
        self,
        id: PacketId,
        filters: impl IntoIterator<Item = &'f str>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        match self {
            Protocol::V31 | Protocol::V311 => encode_unsubscribe(id, filters, out),
            Protocol::V5 => v5::encode_unsubscribe(id, filters, out),
        }
    }

    /// Appends SUBACK with one code for each filter of the SUBSCRIBE, in its order.
    ///
    /// # Errors
    /// No code, or too many of them; `out` is as it was then.
    pub fn encode_suback(
        self,
        id: PacketId,
        codes: impl IntoIterator<Item = SubAckCode>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        match self {
            Protocol::V31 | Protocol::V311 => encode_suback(id, codes, out),
            Protocol::V5 => v5::encode_suback(id, codes, out),
        }
    }

    /// Appends UNSUBACK with one code for each filter of the UNSUBSCRIBE, in its order, which 5 alone says.
    ///
    /// # Panics
    /// If there are no codes in 5.
    pub fn encode_unsuback(
        self,
        id: PacketId,
        codes: impl IntoIterator<Item = ReasonCode>,
        out: &mut Vec<u8>,
    ) {
        match self {
            Protocol::V31 | Protocol::V311 => encode_unsuback(id, out),
            Protocol::V5 => v5::encode_unsuback(id, codes, out).expect("an UNSUBSCRIBE has a filter"),
        }
    }
}

impl fmt::Display for Protocol {
    /// The version, as [`FromStr`](std::str::FromStr) reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::V31 => "3.1",
            Protocol::V311 => "3.1.1",
            Protocol::V5 => "5",
        })
    }
}

/// Text that is no version of the protocol that there is here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the protocol is 3.1, 3.1.1 or 5, not {0:?}")]
pub struct UnknownProtocol(pub String);

impl std::str::FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Protocol, UnknownProtocol> {
        match text {
            "3.1" => Ok(Protocol::V31),
            "3.1.1" => Ok(Protocol::V311),
            "5" => Ok(Protocol::V5),
            _ => Err(UnknownProtocol(text.to_owned())),
        }
    }
}
