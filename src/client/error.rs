//! What a server can do wrong, and what an owner can ask for in vain.

use crate::wire::{EncodeError, PacketId, PacketType};

/// The server broke the protocol by a packet that is well formed in itself. The connection must be closed
/// [MQTT-4.8.0-1]; the client's state is as before the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProtocolError {
    #[error("{0} came before CONNACK, which must be the first packet from a server [MQTT-3.2.0-1]")]
    BeforeConnAck(PacketType),
    #[error("a second CONNACK came; one is sent, as the first packet (3.2) [MQTT-3.2.0-1]")]
    SecondConnAck,
    #[error("{0} came, which only clients send (table 2.1) [MQTT-4.8.0-1]")]
    ClientOnly(PacketType),
    #[error("CONNACK has session present set after a CONNECT with clean session [MQTT-3.2.2-1]")]
    SessionAfterClean,
    #[error("{packet} has packet id {id}, under which nothing is outstanding {}", same_id(*packet))]
    UnknownId { packet: PacketType, id: PacketId },
    #[error("{ack} came for packet id {id}, which waits for {awaited} {}", right_kind(*awaited))]
    AckOfWrongKind { ack: PacketType, id: PacketId, awaited: PacketType },
    #[error("SUBACK {id} has {codes} return codes for {filters} topic filters [MQTT-3.8.4-5]")]
    SubAckCodeCount { id: PacketId, codes: usize, filters: usize },
    #[error("PINGRESP came without a PINGREQ to answer [MQTT-3.12.4-1]")]
    UnaskedPingResp,
    #[error("AUTH came, and no authentication method was asked for [MQTT-4.12.0-6]")]
    UnaskedAuth,
}

/// The statement by which an answer has the id of what it answers.
fn same_id(packet: PacketType) -> &'static str {
    match packet {
        PacketType::SubAck => "[MQTT-2.3.1-7] [MQTT-3.8.4-2]",
        PacketType::UnsubAck => "[MQTT-2.3.1-7] [MQTT-3.10.4-4]",
        PacketType::PubComp => "[MQTT-4.3.3-2]",
        _ => "[MQTT-2.3.1-6]",
    }
}

/// The statement that asks for the packet that should have come.
fn right_kind(awaited: PacketType) -> &'static str {
    match awaited {
        PacketType::SubAck => "[MQTT-3.8.4-1]",
        PacketType::UnsubAck => "[MQTT-3.10.4-4]",
        PacketType::PubAck => "[MQTT-4.3.2-2]",
        _ => "[MQTT-4.3.3-2]",
    }
}

/// The in-flight window is full, or every packet id is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the in-flight window is full")]
pub struct WindowFull;

/// A SUBSCRIBE or UNSUBSCRIBE that could not be written; nothing was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    #[error("all 65,535 packet ids are in use [MQTT-2.3.1-2]")]
    NoFreeId,
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
