//! Two other codecs as oracles, on valid packets only: both are lax about the rest.

use bytes::{Bytes, BytesMut};
use mqtt_proto::{Pid, QosPid, TopicFilter, TopicName, v3};
use mqttbytes::v4;
use proptest::prelude::*;

use super::super::*;
use super::sample::{Sample, samples};

fn ours(bytes: &[u8]) -> Sample {
    let (packet, used) = decode(bytes, MAX_PACKET).unwrap().unwrap();
    assert_eq!(used, bytes.len());
    packet.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn mqttbytes_agrees(sample in samples()) {
        prop_assume!(mqttbytes_can_say(&sample));
        let bytes = sample.encode();
        let decoded = v4::read(&mut BytesMut::from(&bytes[..]), MAX_PACKET).unwrap();
        prop_assert_eq!(from_mqttbytes(decoded), sample.clone());
        let theirs = encode_mqttbytes(&sample);
        prop_assert_eq!(&theirs[..], &bytes[..]);
        prop_assert_eq!(ours(&theirs), sample);
    }

    #[test]
    fn mqtt_proto_agrees(sample in samples()) {
        prop_assume!(mqtt_proto_can_say(&sample));
        let bytes = sample.encode();
        let decoded = v3::Packet::decode(&bytes).unwrap().unwrap();
        prop_assert_eq!(from_mqtt_proto(decoded), sample.clone());
        // It writes a refused filter as 3, its own number for it, though it reads 0x80.
        prop_assume!(!matches!(&sample, Sample::SubAck(_, codes) if codes.contains(&0x80)));
        let theirs = to_mqtt_proto(&sample).encode().unwrap();
        prop_assert_eq!(theirs.as_ref(), &bytes[..]);
        prop_assert_eq!(ours(theirs.as_ref()), sample);
    }
}

/// Bridges are in no standard.
fn mqtt_proto_can_say(sample: &Sample) -> bool {
    !matches!(sample, Sample::Connect { bridge: true, .. })
}

/// It knows no bridges and no 3.1, takes an empty user name or password for none at all, and passwords for text.
fn mqttbytes_can_say(sample: &Sample) -> bool {
    let Sample::Connect { protocol, bridge, username, password, .. } = sample else { return true };
    let known = *protocol == Protocol::V311 && !bridge;
    known
        && username.as_ref().is_none_or(|name| !name.is_empty())
        && password.as_ref().is_none_or(|word| !word.is_empty() && str::from_utf8(word).is_ok())
}

fn qos_of(qos: u8) -> QoS {
    QoS::try_from(qos).unwrap()
}

fn from_mqttbytes(packet: v4::Packet) -> Sample {
    let full = |text: String| (!text.is_empty()).then_some(text);
    match packet {
        v4::Packet::Connect(c) => {
            assert_eq!(c.protocol, mqttbytes::Protocol::V4);
            let will = c.last_will.map(|w| (w.topic, w.message.to_vec(), qos_of(w.qos as u8), w.retain));
            let (username, password) = c.login.map_or((None, None), |l| (full(l.username), full(l.password)));
            Sample::Connect {
                protocol: Protocol::V311,
                bridge: false,
                client_id: c.client_id,
                keep_alive: c.keep_alive,
                clean_session: c.clean_session,
                will,
                username,
                password: password.map(String::into_bytes),
            }
        }
        v4::Packet::ConnAck(c) => Sample::ConnAck(c.session_present, c.code as u8),
        v4::Packet::Publish(p) => Sample::Publish {
            dup: p.dup,
            qos: qos_of(p.qos as u8),
            retain: p.retain,
            topic: p.topic,
            packet_id: p.pkid,
            payload: p.payload.to_vec(),
        },
        v4::Packet::PubAck(p) => Sample::Id(PacketType::PubAck, p.pkid),
        v4::Packet::PubRec(p) => Sample::Id(PacketType::PubRec, p.pkid),
        v4::Packet::PubRel(p) => Sample::Id(PacketType::PubRel, p.pkid),
        v4::Packet::PubComp(p) => Sample::Id(PacketType::PubComp, p.pkid),
        v4::Packet::UnsubAck(p) => Sample::Id(PacketType::UnsubAck, p.pkid),
        v4::Packet::Subscribe(s) => {
            Sample::Subscribe(s.pkid, s.filters.into_iter().map(|f| (f.path, qos_of(f.qos as u8))).collect())
        }
        v4::Packet::SubAck(s) => {
            let byte = |code: v4::SubscribeReasonCode| match code {
                v4::SubscribeReasonCode::Success(qos) => qos as u8,
                v4::SubscribeReasonCode::Failure => 0x80,
            };
            Sample::SubAck(s.pkid, s.return_codes.into_iter().map(byte).collect())
        }
        v4::Packet::Unsubscribe(u) => Sample::Unsubscribe(u.pkid, u.topics),
        v4::Packet::PingReq => Sample::Bare(PacketType::PingReq),
        v4::Packet::PingResp => Sample::Bare(PacketType::PingResp),
        v4::Packet::Disconnect => Sample::Bare(PacketType::Disconnect),
    }
}

fn encode_mqttbytes(sample: &Sample) -> BytesMut {
    let mut out = BytesMut::new();
    let qos = |qos: QoS| mqttbytes::qos(qos as u8).unwrap();
    let written = match sample.clone() {
        Sample::Connect { client_id, keep_alive, clean_session, will, username, password, .. } => {
            let mut connect = v4::Connect::new(client_id);
            connect.keep_alive = keep_alive;
            connect.clean_session = clean_session;
            connect.last_will = will
                .map(|(topic, payload, level, retain)| v4::LastWill::new(topic, payload, qos(level), retain));
            connect.login = username.map(|username| v4::Login {
                username,
                password: String::from_utf8(password.unwrap_or_default()).unwrap(),
            });
            connect.write(&mut out)
        }
        Sample::ConnAck(session_present, code) => {
            use v4::ConnectReturnCode as Code;
            let codes = [
                Code::Success,
                Code::RefusedProtocolVersion,
                Code::BadClientId,
                Code::ServiceUnavailable,
                Code::BadUserNamePassword,
                Code::NotAuthorized,
            ];
            v4::ConnAck::new(codes[usize::from(code)], session_present).write(&mut out)
        }
        Sample::Publish { dup, qos: level, retain, topic, packet_id, payload } => {
            let payload = Bytes::from(payload);
            v4::Publish { dup, qos: qos(level), retain, topic, pkid: packet_id, payload }.write(&mut out)
        }
        Sample::Id(PacketType::PubAck, id) => v4::PubAck::new(id).write(&mut out),
        Sample::Id(PacketType::PubRec, id) => v4::PubRec::new(id).write(&mut out),
        Sample::Id(PacketType::PubRel, id) => v4::PubRel::new(id).write(&mut out),
        Sample::Id(PacketType::PubComp, id) => v4::PubComp::new(id).write(&mut out),
        Sample::Id(_, id) => v4::UnsubAck::new(id).write(&mut out),
        Sample::Subscribe(pkid, filters) => {
            let filters =
                filters.into_iter().map(|(path, level)| v4::SubscribeFilter::new(path, qos(level))).collect();
            v4::Subscribe { pkid, filters }.write(&mut out)
        }
        Sample::SubAck(pkid, codes) => {
            let codes = codes.into_iter().map(|code| code.try_into().unwrap()).collect();
            v4::SubAck::new(pkid, codes).write(&mut out)
        }
        Sample::Unsubscribe(pkid, topics) => v4::Unsubscribe { pkid, topics }.write(&mut out),
        Sample::Bare(PacketType::PingReq) => v4::PingReq.write(&mut out),
        Sample::Bare(PacketType::PingResp) => v4::PingResp.write(&mut out),
        Sample::Bare(_) => v4::Disconnect.write(&mut out),
    };
    written.unwrap();
    out
}

fn from_mqtt_proto(packet: v3::Packet) -> Sample {
    match packet {
        v3::Packet::Connect(c) => {
            let will = |w: v3::LastWill| {
                (w.topic_name.to_string(), w.message.to_vec(), qos_of(w.qos as u8), w.retain)
            };
            let protocol = match c.protocol {
                mqtt_proto::Protocol::V310 => Protocol::V31,
                mqtt_proto::Protocol::V311 => Protocol::V311,
                mqtt_proto::Protocol::V500 => panic!("version 5"),
            };
            Sample::Connect {
                protocol,
                bridge: false,
                client_id: c.client_id.to_string(),
                keep_alive: c.keep_alive,
                clean_session: c.clean_session,
                will: c.last_will.map(will),
                username: c.username.map(|name| name.to_string()),
                password: c.password.map(|password| password.to_vec()),
            }
        }
        v3::Packet::Connack(c) => Sample::ConnAck(c.session_present, c.code as u8),
        v3::Packet::Publish(p) => Sample::Publish {
            dup: p.dup,
            qos: qos_of(p.qos_pid.qos() as u8),
            retain: p.retain,
            topic: p.topic_name.to_string(),
            packet_id: p.qos_pid.pid().map_or(0, Pid::value),
            payload: p.payload.to_vec(),
        },
        v3::Packet::Puback(id) => Sample::Id(PacketType::PubAck, id.value()),
        v3::Packet::Pubrec(id) => Sample::Id(PacketType::PubRec, id.value()),
        v3::Packet::Pubrel(id) => Sample::Id(PacketType::PubRel, id.value()),
        v3::Packet::Pubcomp(id) => Sample::Id(PacketType::PubComp, id.value()),
        v3::Packet::Unsuback(id) => Sample::Id(PacketType::UnsubAck, id.value()),
        v3::Packet::Subscribe(s) => {
            let filters = s.topics.iter().map(|(filter, qos)| (filter.to_string(), qos_of(*qos as u8)));
            Sample::Subscribe(s.pid.value(), filters.collect())
        }
        v3::Packet::Suback(s) => {
            let byte = |code: &v3::SubscribeReturnCode| match code {
                v3::SubscribeReturnCode::MaxLevel0 => 0,
                v3::SubscribeReturnCode::MaxLevel1 => 1,
                v3::SubscribeReturnCode::MaxLevel2 => 2,
                v3::SubscribeReturnCode::Failure => 0x80,
            };
            Sample::SubAck(s.pid.value(), s.topics.iter().map(byte).collect())
        }
        v3::Packet::Unsubscribe(u) => {
            Sample::Unsubscribe(u.pid.value(), u.topics.iter().map(|filter| filter.to_string()).collect())
        }
        v3::Packet::Pingreq => Sample::Bare(PacketType::PingReq),
        v3::Packet::Pingresp => Sample::Bare(PacketType::PingResp),
        v3::Packet::Disconnect => Sample::Bare(PacketType::Disconnect),
    }
}

fn to_mqtt_proto(sample: &Sample) -> v3::Packet {
    let pid = |id: u16| Pid::try_from(id).unwrap();
    let level = |qos: QoS| mqtt_proto::QoS::from_u8(qos as u8).unwrap();
    let name = |name: String| TopicName::try_from(&name[..]).unwrap();
    let filter = |filter: String| TopicFilter::try_from(&filter[..]).unwrap();
    match sample.clone() {
        Sample::Connect {
            protocol, client_id, keep_alive, clean_session, will, username, password, ..
        } => {
            let mut connect = v3::Connect::new(client_id.into(), keep_alive);
            connect.protocol = match protocol {
                Protocol::V31 => mqtt_proto::Protocol::V310,
                Protocol::V311 => mqtt_proto::Protocol::V311,
                Protocol::V5 => unreachable!("samples are older"),
            };
            connect.clean_session = clean_session;
            connect.last_will = will.map(|(topic, payload, qos, retain)| v3::LastWill {
                qos: level(qos),
                retain,
                topic_name: name(topic),
                message: payload.into(),
            });
            connect.username = username.map(Into::into);
            connect.password = password.map(Into::into);
            connect.into()
        }
        Sample::ConnAck(session_present, code) => {
            v3::Connack::new(session_present, v3::ConnectReturnCode::from_u8(code).unwrap()).into()
        }
        Sample::Publish { dup, qos, retain, topic, packet_id, payload } => {
            let qos_pid = match qos {
                QoS::AtMostOnce => QosPid::Level0,
                QoS::AtLeastOnce => QosPid::Level1(pid(packet_id)),
                QoS::ExactlyOnce => QosPid::Level2(pid(packet_id)),
            };
            v3::Publish { dup, retain, qos_pid, topic_name: name(topic), payload: payload.into() }.into()
        }
        Sample::Id(PacketType::PubAck, id) => v3::Packet::Puback(pid(id)),
        Sample::Id(PacketType::PubRec, id) => v3::Packet::Pubrec(pid(id)),
        Sample::Id(PacketType::PubRel, id) => v3::Packet::Pubrel(pid(id)),
        Sample::Id(PacketType::PubComp, id) => v3::Packet::Pubcomp(pid(id)),
        Sample::Id(_, id) => v3::Packet::Unsuback(pid(id)),
        Sample::Subscribe(id, filters) => {
            let filters = filters.into_iter().map(|(text, qos)| (filter(text), level(qos))).collect();
            v3::Subscribe::new(pid(id), filters).into()
        }
        Sample::SubAck(id, codes) => {
            let codes = codes.into_iter().map(|code| v3::SubscribeReturnCode::from_u8(code).unwrap());
            v3::Suback::new(pid(id), codes.collect()).into()
        }
        Sample::Unsubscribe(id, filters) => {
            v3::Unsubscribe::new(pid(id), filters.into_iter().map(filter).collect()).into()
        }
        Sample::Bare(PacketType::PingReq) => v3::Packet::Pingreq,
        Sample::Bare(PacketType::PingResp) => v3::Packet::Pingresp,
        Sample::Bare(_) => v3::Packet::Disconnect,
    }
}
