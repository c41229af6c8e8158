//! Random valid packets that own their fields, and what the oracles call the same things.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::*;
use super::id;

/// The meaning of a packet, whoever decoded it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sample {
    Connect {
        protocol: Protocol,
        bridge: bool,
        client_id: String,
        keep_alive: u16,
        clean_session: bool,
        will: Option<(String, Vec<u8>, QoS, bool)>,
        username: Option<String>,
        password: Option<Vec<u8>>,
    },
    ConnAck(bool, u8),
    Publish {
        dup: bool,
        qos: QoS,
        retain: bool,
        topic: String,
        packet_id: u16,
        payload: Vec<u8>,
    },
    /// Packets of nothing but a packet identifier.
    Id(PacketType, u16),
    Subscribe(u16, Vec<(String, QoS)>),
    SubAck(u16, Vec<u8>),
    Unsubscribe(u16, Vec<String>),
    /// Packets of nothing but a fixed header.
    Bare(PacketType),
}

impl Sample {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_onto(&mut out).unwrap();
        out
    }

    fn encode_onto(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Sample::Connect {
                protocol,
                bridge,
                client_id,
                keep_alive,
                clean_session,
                will,
                username,
                password,
            } => {
                let will = will.as_ref().map(|(topic, payload, qos, retain)| Will {
                    topic,
                    payload,
                    qos: *qos,
                    retain: *retain,
                    properties: Properties::NONE,
                });
                let (username, password) = (username.as_deref(), password.as_deref());
                let (protocol, bridge) = (*protocol, *bridge);
                let (keep_alive, clean_session) = (*keep_alive, *clean_session);
                let properties = Properties::NONE;
                Connect {
                    protocol,
                    bridge,
                    client_id,
                    keep_alive,
                    clean_session,
                    will,
                    username,
                    password,
                    properties,
                }
                .encode(out)
            }
            Sample::ConnAck(session_present, code) => {
                let code = ConnectCode::from_byte(*code).unwrap();
                let properties = Properties::NONE;
                Packet::ConnAck(ConnAck { session_present: *session_present, code, properties }).encode(out)
            }
            Sample::Publish { dup, qos, retain, topic, packet_id, payload } => {
                let (dup, qos, retain) = (*dup, *qos, *retain);
                let (packet_id, properties) = (PacketId::new(*packet_id), Properties::NONE);
                Publish { dup, qos, retain, topic, packet_id, properties, payload }.encode(out)
            }
            Sample::Id(packet, packet_id) => id_packet(*packet, id(*packet_id)).encode(out),
            Sample::Subscribe(packet_id, filters) => {
                let filters = filters.iter().map(|(filter, qos)| (filter.as_str(), *qos));
                encode_subscribe(id(*packet_id), filters, out)
            }
            Sample::SubAck(packet_id, codes) => {
                let codes = codes.iter().map(|&code| SubAckCode::from_byte(code).unwrap());
                encode_suback(id(*packet_id), codes, out)
            }
            Sample::Unsubscribe(packet_id, filters) => {
                encode_unsubscribe(id(*packet_id), filters.iter().map(String::as_str), out)
            }
            Sample::Bare(PacketType::PingReq) => Packet::PingReq.encode(out),
            Sample::Bare(PacketType::PingResp) => Packet::PingResp.encode(out),
            Sample::Bare(_) => Packet::Disconnect(ReasonCode::Success.into()).encode(out),
        }
    }
}

fn id_packet(packet: PacketType, id: PacketId) -> Packet<'static> {
    match packet {
        PacketType::PubAck => Packet::PubAck(id.into()),
        PacketType::PubRec => Packet::PubRec(id.into()),
        PacketType::PubRel => Packet::PubRel(id.into()),
        PacketType::PubComp => Packet::PubComp(id.into()),
        _ => Packet::UnsubAck(id.into()),
    }
}

impl From<Packet<'_>> for Sample {
    fn from(packet: Packet<'_>) -> Sample {
        match packet {
            Packet::Connect(connect) => Sample::Connect {
                protocol: connect.protocol,
                bridge: connect.bridge,
                client_id: connect.client_id.into(),
                keep_alive: connect.keep_alive,
                clean_session: connect.clean_session,
                will: connect.will.map(|w| (w.topic.into(), w.payload.into(), w.qos, w.retain)),
                username: connect.username.map(Into::into),
                password: connect.password.map(Into::into),
            },
            Packet::ConnAck(connack) => Sample::ConnAck(connack.session_present, connack.code.number()),
            Packet::Publish(Publish { dup, qos, retain, topic, packet_id, payload, .. }) => Sample::Publish {
                dup,
                qos,
                retain,
                topic: topic.into(),
                packet_id: packet_id.map_or(0, PacketId::get),
                payload: payload.into(),
            },
            Packet::PubAck(Ack { packet_id, .. })
            | Packet::PubRec(Ack { packet_id, .. })
            | Packet::PubRel(Ack { packet_id, .. })
            | Packet::PubComp(Ack { packet_id, .. })
            | Packet::UnsubAck(UnsubAck { packet_id, .. }) => {
                Sample::Id(packet.packet_type(), packet_id.get())
            }
            Packet::Subscribe(subscribe) => Sample::Subscribe(
                subscribe.packet_id().get(),
                subscribe.filters().map(|(filter, qos)| (filter.into(), qos)).collect(),
            ),
            Packet::SubAck(suback) => {
                Sample::SubAck(suback.packet_id().get(), suback.codes().map(SubAckCode::to_byte).collect())
            }
            Packet::Unsubscribe(unsubscribe) => Sample::Unsubscribe(
                unsubscribe.packet_id().get(),
                unsubscribe.filters().map(Into::into).collect(),
            ),
            Packet::PingReq | Packet::PingResp | Packet::Disconnect(_) | Packet::Auth(_) => {
                Sample::Bare(packet.packet_type())
            }
        }
    }
}

/// Text of up to 40 characters without U+0000: ASCII mostly, anything else sometimes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ -~]{0,40}", 1 => "[\u{1}-\u{10FFFF}]{0,20}"]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z0-9/$ ]{1,40}", 1 => "[\u{1}-\u{10FFFF}&&[^+#]]{1,20}"]
}

/// Filters; none begin with `$share/`, which one oracle reads as version 5 does.
fn filter() -> impl Strategy<Value = String> {
    prop_oneof![3 => "([a-z]{0,5}|\\+)(/([a-z]{1,5}|\\+)){1,4}(/#)?", 1 => name(), 1 => Just("#".into())]
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn connects() -> impl Strategy<Value = Sample> {
    let will = (name(), vec(any::<u8>(), 0..40), qos(), any::<bool>());
    let login = option::of((text(), option::of(vec(any::<u8>(), 0..20))));
    let protocol = prop_oneof![Just(Protocol::V311), Just(Protocol::V31)];
    (protocol, any::<bool>(), text(), any::<u16>(), any::<bool>(), option::of(will), login).prop_map(
        |(protocol, bridge, client_id, keep_alive, clean, will, login)| {
            let (username, password) = login.map_or((None, None), |(name, password)| (Some(name), password));
            let clean_session = clean || client_id.is_empty();
            let protocol = if client_id.is_empty() { Protocol::V311 } else { protocol };
            Sample::Connect {
                protocol,
                bridge,
                client_id,
                keep_alive,
                clean_session,
                will,
                username,
                password,
            }
        },
    )
}

pub(super) fn publishes() -> impl Strategy<Value = Sample> {
    let payload = prop_oneof![4 => vec(any::<u8>(), 0..200), 1 => vec(any::<u8>(), 16_300..16_500)];
    (any::<bool>(), qos(), any::<bool>(), name(), 1..=u16::MAX, payload).prop_map(
        |(dup, qos, retain, topic, packet_id, payload)| {
            let acknowledged = qos > QoS::AtMostOnce;
            let packet_id = if acknowledged { packet_id } else { 0 };
            Sample::Publish { dup: dup && acknowledged, qos, retain, topic, packet_id, payload }
        },
    )
}

pub(super) fn samples() -> impl Strategy<Value = Sample> {
    let ids = prop_oneof![
        Just(PacketType::PubAck),
        Just(PacketType::PubRec),
        Just(PacketType::PubRel),
        Just(PacketType::PubComp),
        Just(PacketType::UnsubAck),
    ];
    let bare =
        prop_oneof![Just(PacketType::PingReq), Just(PacketType::PingResp), Just(PacketType::Disconnect)];
    let codes = vec(prop_oneof![0..=2u8, Just(0x80)], 1..9);
    let packet_id = 1..=u16::MAX;
    prop_oneof![
        3 => connects(),
        1 => (any::<bool>(), 0..=5u8).prop_map(|(present, code)| Sample::ConnAck(present && code == 0, code)),
        4 => publishes(),
        2 => (ids, packet_id.clone()).prop_map(|(packet, id)| Sample::Id(packet, id)),
        2 => (packet_id.clone(), vec((filter(), qos()), 1..6)).prop_map(|(id, f)| Sample::Subscribe(id, f)),
        1 => (packet_id.clone(), codes).prop_map(|(id, codes)| Sample::SubAck(id, codes)),
        2 => (packet_id, vec(filter(), 1..6)).prop_map(|(id, f)| Sample::Unsubscribe(id, f)),
        1 => bare.prop_map(Sample::Bare),
    ]
}
