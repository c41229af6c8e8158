//! Whatever bytes come, the broker stands, and other clients are served.

use crate::wire::ReasonCode;
use proptest::prelude::*;

use super::*;

#[test]
fn packets_may_be_cut_anywhere() {
    let mut bytes = Vec::new();
    Packet::Connect(Connect { will: will("w", "x"), ..clean("c") }).encode(&mut bytes).unwrap();
    wire::encode_subscribe(id(9), [("t", QoS::ExactlyOnce)], &mut bytes).unwrap();
    Packet::Publish(message("t", "hello", 2)).encode(&mut bytes).unwrap();
    for step in 1..bytes.len() {
        let mut net = Net::new(1);
        let client = net.open(0);
        let mut pending: Vec<u8> = Vec::new();
        for chunk in bytes.chunks(step) {
            pending.extend(chunk);
            let used = net.bytes(client, &pending);
            pending.drain(..used);
        }
        assert_eq!(net.got(client), ["CONNACK new", "SUBACK #9 [2]", "t=hello q2 #1", "PUBREC #7"]);
    }
}

#[test]
fn an_oversized_packet_ends_the_connection_as_soon_as_it_is_announced() {
    let mut net = Net::with_limits(1, Limits { packet: 1000, ..Limits::default() });
    let client = net.connect(0, "c");
    net.bytes(client, &[0x30, 0xe8, 0x07]);
    assert!(net.is_closed(client));
    let stranger = net.open(0);
    net.bytes(stranger, &[0x10, 0xff, 0xff, 0xff, 0x7f]);
    assert!(net.is_closed(stranger), "a CONNECT cannot be that large");
}

fn packet_bytes() -> impl Strategy<Value = Vec<u8>> {
    let encode = |packet: Packet<'_>| {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes).unwrap();
        bytes
    };
    let filter = prop::sample::select(vec!["a", "a/#", "+", "#", "$x/+", "b"]);
    let topic = prop::sample::select(vec!["a", "a/b", "$x/y", "b"]);
    prop_oneof![
        4 => (filter.clone(), 0..3_u8).prop_map(|(filter, quality)| {
            let mut bytes = Vec::new();
            wire::encode_subscribe(id(9), [(filter, qos(quality))], &mut bytes).unwrap();
            bytes
        }),
        2 => filter.prop_map(|filter| {
            let mut bytes = Vec::new();
            wire::encode_unsubscribe(id(8), [filter], &mut bytes).unwrap();
            bytes
        }),
        6 => (topic, 0..3_u8, any::<bool>(), 1..4_u16).prop_map(move |(topic, quality, retain, number)| {
            let packet_id = (quality > 0).then(|| id(number));
            encode(Packet::Publish(Publish { retain, packet_id, ..message(topic, "x", quality) }))
        }),
        4 => (1..5_u16, 0..4_u8).prop_map(move |(number, kind)| {
            let number = id(number);
            encode(match kind {
                0 => Packet::PubAck(number.into()),
                1 => Packet::PubRec(number.into()),
                2 => Packet::PubRel(number.into()),
                _ => Packet::PubComp(number.into()),
            })
        }),
        1 => prop_oneof![
            Just(encode(Packet::PingReq)),
            Just(encode(Packet::Disconnect(ReasonCode::Success.into()))),
            (1..5_u8, 0..16_u8).prop_map(|(number, flags)| vec![0x60 | flags, 2, 0, number]),
            prop::collection::vec(any::<u8>(), 0..12),
        ],
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Connect { worker: usize, name: u8, clean_session: bool },
    Send { at: usize, bytes: Vec<u8> },
    Cut { at: usize },
    Pass { worker: usize },
    Sleep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3_usize, 0..3_u8, any::<bool>())
            .prop_map(|(worker, name, clean_session)| Step::Connect { worker, name, clean_session }),
        8 => (any::<usize>(), packet_bytes()).prop_map(|(at, bytes)| Step::Send { at, bytes }),
        1 => any::<usize>().prop_map(|at| Step::Cut { at }),
        4 => (0..3_usize).prop_map(|worker| Step::Pass { worker }),
        1 => Just(Step::Sleep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Clients of three names come, go, move and misbehave over three workers in any order. Nothing
    /// panics, the broker speaks MQTT throughout, and at last nothing is left of them.
    #[test]
    fn whatever_clients_do_the_broker_stands(steps in prop::collection::vec(step(), 1..80)) {
        let limits = Limits { outgoing: Bounds { window: 3, messages: 5, bytes: 500 }, ..Limits::default() };
        let mut net = Net::with_limits(3, limits);
        let mut clients: Vec<Client> = Vec::new();
        for step in steps {
            match step {
                Step::Connect { worker, name, clean_session } => {
                    let client = net.open(worker);
                    let name = format!("c{name}");
                    let protocol = if worker == 2 { Protocol::V31 } else { Protocol::V311 };
                    let connect =
                        Connect { protocol, clean_session, keep_alive: 20, will: will("a", "w"), ..clean(&name) };
                    net.packet(client, Packet::Connect(connect));
                    clients.push(client);
                }
                Step::Send { at, bytes } if !clients.is_empty() => {
                    assert!(net.bytes(clients[at % clients.len()], &bytes) <= bytes.len());
                }
                Step::Cut { at } if !clients.is_empty() => net.cut(clients.swap_remove(at % clients.len())),
                Step::Pass { worker } => {
                    net.pass(worker);
                }
                Step::Sleep => net.sleep(3 * SECOND),
                Step::Send { .. } | Step::Cut { .. } => {}
            }
        }
        net.settle();
        for client in std::mem::take(&mut clients) {
            net.take(client);
            net.cut(client);
        }
        for name in 0..3 {
            let client = net.connect(name, &format!("c{name}"));
            net.cut(client);
        }
        net.settle();
        prop_assert_eq!(net.sessions(), 0);
        prop_assert_eq!(net.counters().connections, 0);
        let probe = net.connect(0, "probe");
        net.subscribe(probe, &[("probe", 0)]);
        net.publish(probe, "probe", "x", 0);
        prop_assert_eq!(net.got(probe), ["SUBACK #9 [0]", "probe=x q0"]);
    }
}
