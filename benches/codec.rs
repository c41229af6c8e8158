//! The codec beside `mqttbytes`: PUBLISH (QoS 1, topic of 20 bytes, payload of 100) and PUBACK. And PUBLISH of MQTT 5, without
//! properties, beside that of 3.1.1.
//!
//! Both sides take turns, round after round, so that whatever else the machine does hits both; the figure is
//! the median round. Encoding appends 64 packets, as for one send, to a buffer that is cleared and used
//! again. Decoding takes packets from the front of a buffer that is ready; `mqttbytes` eats its own, so that
//! is filled again outside the clock.

use std::hint::black_box;
use std::iter;
use std::time::Instant;

use bytes::BytesMut;
use malaria_bench::wire::{
    MAX_PACKET, Packet, PacketId, Properties, Protocol, Publish, QoS, decode, encode_puback,
};
use mqttbytes::v4;

/// Packets in a buffer before it is cleared: they fit the first-level cache.
const BATCH: usize = 64;
/// Buffers filled, or eaten up, in one timed round.
const FILLS: usize = 16;
const ROUNDS: usize = 2_001;
const TOPIC: &str = "bench/0123456789/abc";
const PAYLOAD: [u8; 100] = [7; 100];

/// Nanoseconds per packet in one round.
fn timed(fill: impl FnMut()) -> f64 {
    let begin = Instant::now();
    iter::repeat_with(fill).take(FILLS).for_each(drop);
    begin.elapsed().as_nanos() as f64 / (FILLS * BATCH) as f64
}

fn compare(name: &str, ours: impl FnMut() -> f64, theirs: impl FnMut() -> f64) {
    let (ours, theirs) = medians(ours, theirs);
    println!("{name}: ours {ours:.1} ns, mqttbytes {theirs:.1} ns, {:.1}x", theirs / ours);
}

/// What the newer version costs more.
fn versions(name: &str, five: impl FnMut() -> f64, old: impl FnMut() -> f64) {
    let (five, old) = medians(five, old);
    println!("{name}: MQTT 5 {five:.1} ns, 3.1.1 {old:.1} ns, {:.2}x", five / old);
}

/// Both in turns.
fn medians(mut ours: impl FnMut() -> f64, mut theirs: impl FnMut() -> f64) -> (f64, f64) {
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (ours(), theirs())).collect();
    let median = |pick: fn(&(f64, f64)) -> f64| {
        let mut times: Vec<f64> = rounds.iter().map(pick).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    (median(|round| round.0), median(|round| round.1))
}

fn ids() -> impl Iterator<Item = PacketId> {
    (1..=BATCH as u16).map(|id| PacketId::new(id).expect("not zero"))
}

fn publish(id: PacketId) -> Publish<'static> {
    let (topic, payload) = (TOPIC, &PAYLOAD[..]);
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: Some(id),
        payload,
        properties: Properties::NONE,
    }
}

/// Encodes each of `ours` and each of `theirs`, which have the same bytes.
fn encode_batch<O, T>(
    name: &str,
    ours: &[O],
    encode_ours: impl Fn(&O, &mut Vec<u8>),
    theirs: &[T],
    encode_theirs: impl Fn(&T, &mut BytesMut),
) {
    let (mut out, mut buffer) = (Vec::new(), BytesMut::new());
    compare(
        name,
        || {
            timed(|| {
                out.clear();
                black_box(ours).iter().for_each(|packet| encode_ours(packet, &mut out));
                black_box(&out);
            })
        },
        || {
            timed(|| {
                buffer.clear();
                black_box(theirs).iter().for_each(|packet| encode_theirs(packet, &mut buffer));
                black_box(&buffer);
            })
        },
    );
    assert_eq!(out, buffer, "both write the same");
}

fn encode_ours(publish: &Publish<'_>, out: &mut Vec<u8>) {
    let Publish { dup, qos, retain, topic, packet_id, payload, .. } = *publish;
    Publish::encode_head(dup, qos, retain, topic, packet_id, payload.len(), out);
    out.extend_from_slice(payload);
}

fn their_publish(publish: &Publish<'_>) -> v4::Publish {
    let mut theirs = v4::Publish::new(publish.topic, mqttbytes::QoS::AtLeastOnce, publish.payload);
    theirs.pkid = publish.packet_id.map_or(0, PacketId::get);
    theirs
}

fn encode_publish() {
    let ours: Vec<_> = ids().map(publish).collect();
    // What a sender has in hand is a topic and a payload, for which `mqttbytes` wants a packet that owns
    // both. With that packet made before the clock starts, both sides do little but copy the same bytes.
    encode_batch("publish encode, from topic and payload", &ours, encode_ours, &ours, |packet, buffer| {
        their_publish(packet).write(buffer).expect("valid");
    });
    let theirs: Vec<_> = ours.iter().map(their_publish).collect();
    encode_batch(
        "publish encode, their packet built before the clock",
        &ours,
        encode_ours,
        &theirs,
        |packet, buffer| {
            packet.write(buffer).expect("valid");
        },
    );
}

fn encode_acknowledgement() {
    let ours: Vec<_> = ids().collect();
    let theirs: Vec<_> = ids().map(|id| v4::PubAck::new(id.get())).collect();
    encode_batch(
        "puback encode",
        &ours,
        |id, out| encode_puback(*id, out),
        &theirs,
        |packet, buffer| {
            packet.write(buffer).expect("valid");
        },
    );
}

fn decode_batch<'a>(name: &str, packets: impl Iterator<Item = Packet<'a>>) {
    let mut bytes = Vec::new();
    packets.for_each(|packet| packet.encode(&mut bytes).expect("valid"));
    compare(
        name,
        || {
            timed(|| {
                let mut rest = &bytes[..];
                while let Ok(Some((packet, used))) = decode(black_box(rest), MAX_PACKET) {
                    black_box(&packet);
                    rest = &rest[used..];
                }
                assert!(rest.is_empty());
            })
        },
        || {
            let mut ready: Vec<_> = (0..FILLS).map(|_| BytesMut::from(&bytes[..])).collect();
            let mut ready = ready.iter_mut();
            timed(|| {
                let rest = ready.next().expect("one for each fill");
                while !rest.is_empty() {
                    black_box(v4::read(black_box(rest), MAX_PACKET).expect("valid"));
                }
            })
        },
    );
}

/// Writes and reads a batch in each version, as a connection does that knows its own.
fn both_versions() {
    let messages: Vec<_> = ids().map(publish).collect();
    let encode = |protocol: Protocol, out: &mut Vec<u8>| {
        out.clear();
        for message in black_box(&messages) {
            let Publish { dup, qos, retain, topic, packet_id, properties, payload } = *message;
            protocol.encode_head(dup, qos, retain, topic, packet_id, properties, payload.len(), out);
            out.extend_from_slice(payload);
        }
        black_box(&out);
    };
    let (mut five, mut old) = (Vec::new(), Vec::new());
    versions(
        "publish encode",
        || timed(|| encode(black_box(Protocol::V5), &mut five)),
        || timed(|| encode(black_box(Protocol::V311), &mut old)),
    );
    let read = |protocol: Protocol, bytes: &[u8]| {
        let mut rest = bytes;
        while let Ok(Some((packet, used))) = protocol.decode(black_box(rest), MAX_PACKET) {
            black_box(&packet);
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
    };
    versions(
        "publish decode",
        || timed(|| read(black_box(Protocol::V5), &five)),
        || timed(|| read(black_box(Protocol::V311), &old)),
    );
}

fn main() {
    encode_publish();
    decode_batch("publish decode", ids().map(|id| Packet::Publish(publish(id))));
    encode_acknowledgement();
    decode_batch("puback decode", ids().map(|id| Packet::PubAck(id.into())));
    both_versions();
}
