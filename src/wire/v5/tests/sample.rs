//! Random valid packets, as bytes, and what packets mean, whoever has written them.

use super::super::property::Shape;
use super::*;
use crate::wire::Packet;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ -~]{0,12}", 1 => "[\u{1}-\u{10FFFF}]{0,6}"]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z0-9/$ ]{1,20}", 1 => "[\u{1}-\u{10FFFF}&&[^+#]]{1,10}"]
}

fn filter() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "([a-z]{0,5}|\\+)(/([a-z]{1,5}|\\+)){1,4}(/#)?",
        1 => name(),
        1 => Just("#".into()),
        1 => "\\$share/[a-z]{1,3}/[a-z+]",
    ]
}

/// One property, written.
fn property(id: PropertyId) -> BoxedStrategy<Vec<u8>> {
    let written = move |value: Value<'_>| {
        let mut out = Vec::new();
        id.write(value, &mut out).expect("a value of its kind");
        out
    };
    match id.shape() {
        Shape::Flag => (0..2u32).prop_map(move |n| written(Value::Number(n))).boxed(),
        Shape::Two { .. } => (1..=0xFFFFu32).prop_map(move |n| written(Value::Number(n))).boxed(),
        Shape::Four { .. } => (1..=u32::MAX).prop_map(move |n| written(Value::Number(n))).boxed(),
        Shape::Variable => {
            prop_oneof![1..300u32, 1..0x1000_0000u32].prop_map(move |n| written(Value::Number(n))).boxed()
        }
        Shape::Text => text().prop_map(move |text| written(Value::Text(&text))).boxed(),
        Shape::Topic => name().prop_map(move |name| written(Value::Text(&name))).boxed(),
        Shape::Bytes => vec(any::<u8>(), 0..9).prop_map(move |bytes| written(Value::Bytes(&bytes))).boxed(),
        Shape::Pair => (text(), text()).prop_map(move |(k, v)| written(Value::Pair(&k, &v))).boxed(),
    }
}

/// Properties that may stand there, in any order; an alias only beside a topic.
fn properties(place: Place) -> impl Strategy<Value = Vec<u8>> {
    let data = |id: PropertyId| id == PropertyId::AuthenticationData;
    let ids: Vec<PropertyId> =
        PropertyId::ALL.iter().copied().filter(|id| id.is_of(place) && !data(*id)).collect();
    let most = ids.len();
    let some = prop::sample::subsequence(ids, 0..=most).prop_shuffle();
    prop_oneof![
        1 => Just(Vec::new()),
        2 => some.prop_flat_map(|ids| ids.into_iter().map(property).collect::<Vec<_>>()).prop_map(|all| all.concat()),
    ]
}

fn listed(place: Place, bytes: &[u8]) -> Properties<'_> {
    Properties::new(place, bytes).expect("each stands there once")
}

fn written(packet: Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&packet, &mut out).expect("a valid packet");
    out
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn reason(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let all: Vec<_> = ReasonCode::ALL.iter().copied().filter(|reason| reason.is_of(packet)).collect();
    prop::sample::select(all)
}

fn connects() -> impl Strategy<Value = Vec<u8>> {
    let place = Place::Packet(PacketType::Connect);
    let will = (name(), vec(any::<u8>(), 0..9), qos(), any::<bool>(), properties(Place::Will));
    let login = (option::of(text()), option::of(vec(any::<u8>(), 0..9)));
    let rest = (text(), any::<u16>(), any::<bool>());
    (properties(place), rest, option::of(will), login).prop_map(
        move |(said, rest, will, (user, password))| {
            let (client_id, keep_alive, clean_session) = &rest;
            let will = will.as_ref().map(|(topic, payload, qos, retain, said)| {
                let properties = listed(Place::Will, said);
                Will { topic, payload, qos: *qos, retain: *retain, properties }
            });
            written(Packet::Connect(Connect {
                protocol: Protocol::V5,
                bridge: false,
                client_id,
                keep_alive: *keep_alive,
                clean_session: *clean_session,
                will,
                username: user.as_deref(),
                password: password.as_deref(),
                properties: listed(place, &said),
            }))
        },
    )
}

fn connacks() -> impl Strategy<Value = Vec<u8>> {
    let place = Place::Packet(PacketType::ConnAck);
    (reason(PacketType::ConnAck), any::<bool>(), properties(place)).prop_map(
        move |(reason, present, said)| {
            let code = match reason {
                ReasonCode::Success => ConnectCode::Accepted,
                reason => ConnectCode::Reason(reason),
            };
            let session_present = present && code == ConnectCode::Accepted;
            written(Packet::ConnAck(ConnAck { session_present, code, properties: listed(place, &said) }))
        },
    )
}

fn publishes() -> impl Strategy<Value = Vec<u8>> {
    let place = Place::Packet(PacketType::Publish);
    let payload = prop_oneof![4 => vec(any::<u8>(), 0..100), 1 => vec(any::<u8>(), 16_300..16_500)];
    let flags = (any::<bool>(), qos(), any::<bool>(), 1..=u16::MAX);
    (flags, name(), properties(place), payload).prop_map(
        move |((dup, qos, retain, number), topic, said, payload)| {
            let acknowledged = qos > QoS::AtMostOnce;
            written(Packet::Publish(Publish {
                dup: dup && acknowledged,
                qos,
                retain,
                topic: &topic,
                packet_id: acknowledged.then(|| id(number)),
                properties: listed(place, &said),
                payload: &payload,
            }))
        },
    )
}

fn acks() -> impl Strategy<Value = Vec<u8>> {
    let forms: [fn(Ack<'_>) -> Packet<'_>; 4] = [
        |ack| Packet::PubAck(ack),
        |ack| Packet::PubRec(ack),
        |ack| Packet::PubRel(ack),
        |ack| Packet::PubComp(ack),
    ];
    prop::sample::select(forms.to_vec()).prop_flat_map(|form| {
        let packet = form(id(1).into()).packet_type();
        let place = Place::Packet(packet);
        (1..=u16::MAX, reason(packet), properties(place)).prop_map(move |(number, reason, said)| {
            written(form(Ack { packet_id: id(number), reason, properties: listed(place, &said) }))
        })
    })
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let place = Place::Packet(PacketType::Subscribe);
    let filters = vec((filter(), qos(), any::<bool>(), any::<bool>(), 0..3u8), 1..5);
    let subscribe = (1..=u16::MAX, properties(place), filters).prop_map(move |(number, said, filters)| {
        let mut out = Vec::new();
        let filters = filters.iter().map(|(filter, qos, no_local, retain_as_published, handling)| {
            let retain_handling = match handling {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                _ => RetainHandling::DoNotSend,
            };
            let no_local = *no_local && !filter.starts_with("$share/");
            let retain_as_published = *retain_as_published;
            (filter.as_str(), Options { qos: *qos, no_local, retain_as_published, retain_handling })
        });
        encode_subscribe(id(number), listed(place, &said), filters, &mut out).expect("valid filters");
        out
    });
    let unsubscribe = (1..=u16::MAX, vec(filter(), 1..5)).prop_map(|(number, filters)| {
        let mut out = Vec::new();
        encode_unsubscribe(id(number), filters.iter().map(String::as_str), &mut out).expect("valid filters");
        out
    });
    prop_oneof![subscribe, unsubscribe]
}

fn answers() -> impl Strategy<Value = Vec<u8>> {
    let answer = |packet: PacketType, form: fn(PacketId, &[u8], Properties<'_>) -> Vec<u8>| {
        let place = Place::Packet(packet);
        (1..=u16::MAX, vec(reason(packet), 1..5), properties(place)).prop_map(move |(number, codes, said)| {
            let codes: Vec<u8> = codes.into_iter().map(|code| code as u8).collect();
            form(id(number), &codes, listed(place, &said))
        })
    };
    prop_oneof![
        answer(PacketType::SubAck, |packet_id, payload, properties| written(Packet::SubAck(SubAck {
            packet_id,
            properties,
            payload
        }))),
        answer(PacketType::UnsubAck, |packet_id, codes, properties| written(Packet::UnsubAck(UnsubAck {
            packet_id,
            properties,
            codes
        }))),
    ]
}

fn ends() -> impl Strategy<Value = Vec<u8>> {
    let (leave, auth) = (Place::Packet(PacketType::Disconnect), Place::Packet(PacketType::Auth));
    prop_oneof![
        Just(written(Packet::PingReq)),
        Just(written(Packet::PingResp)),
        (reason(PacketType::Disconnect), properties(leave)).prop_map(move |(reason, said)| {
            written(Packet::Disconnect(Disconnect { reason, properties: listed(leave, &said) }))
        }),
        (reason(PacketType::Auth), properties(auth)).prop_map(move |(reason, said)| {
            written(Packet::Auth(Auth { reason, properties: listed(auth, &said) }))
        }),
    ]
}

/// Valid packets of all kinds.
pub(super) fn packets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => connects(), 2 => connacks(), 4 => publishes(), 2 => acks(), 2 => requests(), 2 => answers(), 1 => ends()]
}

/// The meaning of a packet: properties in one order, those that say what holds anyway left out.
pub(super) fn meaning(packet: &Packet<'_>) -> String {
    let said = |properties: Properties<'_>| {
        let mut said: Vec<_> = properties.iter().map(|property| format!("{property:?}")).collect();
        said.sort();
        said
    };
    match *packet {
        Packet::Connect(connect) => {
            let will = connect
                .will
                .map(|will| (said(will.properties), Will { properties: Properties::NONE, ..will }));
            let bare = Connect { properties: Properties::NONE, will: None, ..connect };
            format!("{bare:?} {will:?} {:?}", said(connect.properties))
        }
        Packet::ConnAck(ConnAck { session_present, code, properties }) => {
            format!("CONNACK {session_present} {code:?} {:?}", said(properties))
        }
        Packet::Publish(publish) => {
            format!(
                "{:?} {:?}",
                Publish { properties: Properties::NONE, ..publish },
                said(publish.properties)
            )
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            format!("{} {} {:?} {:?}", packet.packet_type(), ack.packet_id, ack.reason, said(ack.properties))
        }
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> = subscribe.options().collect();
            format!("SUBSCRIBE {} {filters:?} {:?}", subscribe.packet_id(), said(subscribe.properties()))
        }
        Packet::SubAck(suback) => {
            let codes: Vec<_> = suback.codes().collect();
            format!("SUBACK {} {codes:?} {:?}", suback.packet_id(), said(suback.properties()))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<_> = unsubscribe.filters().collect();
            format!("UNSUBSCRIBE {} {filters:?} {:?}", unsubscribe.packet_id(), said(unsubscribe.properties))
        }
        Packet::UnsubAck(unsuback) => {
            let codes: Vec<_> = unsuback.codes().collect();
            format!("UNSUBACK {} {codes:?} {:?}", unsuback.packet_id, said(unsuback.properties))
        }
        Packet::PingReq | Packet::PingResp => packet.packet_type().to_string(),
        Packet::Disconnect(Disconnect { reason, properties }) | Packet::Auth(Auth { reason, properties }) => {
            format!("{} {reason:?} {:?}", packet.packet_type(), said(properties))
        }
    }
}
