//! An application message inside the broker: borrowed on its way, kept when it has to wait.

use std::cell::OnceCell;

use bytes::Bytes;

use crate::wire::{PacketId, PacketType, Properties, Protocol, QoS, v5};

/// A message on its way to its targets, borrowed from the bytes it came in.
pub(super) struct Message<'a> {
    pub topic: &'a str,
    /// Those that go on to whoever speaks 5.
    pub properties: Properties<'a>,
    pub payload: &'a [u8],
    pub qos: QoS,
    /// What the receiver sees: set only when the message answers a new subscription [MQTT-3.3.1-8],
    /// [MQTT-3.3.1-9].
    pub retain: bool,
    /// A copy on the heap, made for the first session that must keep it and shared by all that must.
    kept: OnceCell<Bytes>,
}

impl<'a> Message<'a> {
    pub(super) fn new(topic: &'a str, payload: &'a [u8], qos: QoS) -> Message<'a> {
        Message { topic, properties: Properties::NONE, payload, qos, retain: false, kept: OnceCell::new() }
    }

    /// The same message with these properties.
    #[must_use]
    pub(super) fn with_properties(self, properties: Properties<'a>) -> Message<'a> {
        Message { properties, ..self }
    }

    /// The same message with another payload.
    pub(super) fn with_payload<'b>(&self, payload: &'b [u8]) -> Message<'b>
    where
        'a: 'b,
    {
        Message { retain: self.retain, ..Message::new(self.topic, payload, self.qos) }
            .with_properties(self.properties)
    }

    /// Keeps the message for a session that gets it at `qos`.
    pub(super) fn keep(&self, qos: QoS) -> Kept {
        let properties = self.properties.as_bytes();
        let all = || [self.topic.as_bytes(), properties, self.payload].concat().into();
        let bytes = self.kept.get_or_init(all);
        let topic_length = u16::try_from(self.topic.len()).expect("a decoded topic has at most 65,535 bytes");
        let properties_length = u32::try_from(properties.len()).expect("a packet has less than 2^28 bytes");
        Kept { bytes: bytes.clone(), properties_length, topic_length, qos, retain: self.retain }
    }
}

/// A message that waits: retained, queued, or in flight in a persistent session.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Topic name, properties, payload: one allocation, shared by all sessions that keep the message.
    bytes: Bytes,
    properties_length: u32,
    topic_length: u16,
    pub qos: QoS,
    pub retain: bool,
}

impl Kept {
    pub(super) fn topic(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.topic_length)]).expect("it was text when kept")
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[usize::from(self.topic_length) + self.properties_length as usize..]
    }

    fn properties(&self) -> Properties<'_> {
        let begin = usize::from(self.topic_length);
        let bytes = &self.bytes[begin..begin + self.properties_length as usize];
        Properties::new(v5::Place::Packet(PacketType::Publish), bytes)
            .expect("they were checked when they came")
    }

    /// What keeping it costs, in bytes, were it not shared.
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + size_of::<Kept>()
    }

    /// As it goes on.
    pub(super) fn as_message(&self) -> Message<'_> {
        let kept = OnceCell::from(self.bytes.clone());
        let (topic, properties, payload) = (self.topic(), self.properties(), self.payload());
        Message { topic, properties, payload, qos: self.qos, retain: self.retain, kept }
    }

    /// As it goes to a new subscription.
    pub(super) fn as_retained(&self) -> Message<'_> {
        Message { retain: true, ..self.as_message() }
    }

    pub(super) fn encode(
        &self,
        protocol: Protocol,
        dup: bool,
        packet_id: Option<PacketId>,
        out: &mut Vec<u8>,
    ) {
        let message = Message::new(self.topic(), self.payload(), self.qos).with_properties(self.properties());
        encode_publish(protocol, dup, self.qos, packet_id, &Message { retain: self.retain, ..message }, out);
    }
}

/// Appends a PUBLISH to the bytes due to a connection: the one copy that the broker makes of a payload.
#[inline]
pub(super) fn encode_publish(
    protocol: Protocol,
    dup: bool,
    qos: QoS,
    packet_id: Option<PacketId>,
    message: &Message<'_>,
    out: &mut Vec<u8>,
) {
    let Message { topic, properties, payload, retain, .. } = *message;
    protocol.encode_head(dup, qos, retain, topic, packet_id, properties, payload.len(), out);
    out.extend_from_slice(payload);
}
