//! What holds for every packet, every split of its bytes, and any bytes at all.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use super::sample::{Sample, publishes, samples};

/// The verdict on a prefix stands when more bytes come: there is none yet, or it is the final one.
fn check_every_prefix(bytes: &[u8], max: usize) -> Result<(), TestCaseError> {
    let verdict = decode(bytes, max);
    for end in 0..bytes.len() {
        match decode(&bytes[..end], max) {
            Ok(None) => {}
            early => prop_assert_eq!(early, verdict, "after {} bytes of {:02X?}", end, bytes),
        }
    }
    Ok(())
}

/// A CONNECT of 5, which any decoder takes.
fn is_of_5(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::Connect(Connect { protocol: Protocol::V5, .. }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn round_trip_over_every_split(sample in samples(), tail in vec(any::<u8>(), 0..4)) {
        let mut bytes = sample.encode();
        let length = bytes.len();
        for end in 0..length {
            prop_assert_eq!(decode(&bytes[..end], MAX_PACKET), Ok(None), "after {} of {} bytes", end, length);
        }
        bytes.extend_from_slice(&tail);
        let (packet, used) = decode(&bytes, length).unwrap().unwrap();
        prop_assert_eq!(used, length);
        prop_assert_eq!(Sample::from(packet), sample);
        let mut again = Vec::new();
        packet.encode(&mut again).unwrap();
        prop_assert_eq!(&again[..], &bytes[..length]);
    }

    #[test]
    fn head_and_payload_make_the_packet(sample in publishes()) {
        let bytes = sample.encode();
        let Ok(Some((Packet::Publish(publish), _))) = decode(&bytes, MAX_PACKET) else { panic!() };
        let Publish { dup, qos, retain, topic, packet_id, payload, .. } = publish;
        let mut out = Vec::new();
        Publish::encode_head(dup, qos, retain, topic, packet_id, payload.len(), &mut out);
        out.extend_from_slice(payload);
        prop_assert_eq!(out, bytes);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in vec(any::<u8>(), 0..48), max in 0usize..300) {
        check_every_prefix(&bytes, max)?;
        if let Ok(Some((packet, used))) = decode(&bytes, max) {
            // Of a CONNECT of 5 there is more to say than a sample has.
            prop_assume!(!is_of_5(&packet));
            prop_assert!(used <= bytes.len() && used <= max);
            let mut again = Vec::new();
            packet.encode(&mut again).unwrap();
            prop_assert_eq!(Sample::from(packet), Sample::from(decode(&again, MAX_PACKET).unwrap().unwrap().0));
        }
    }

    /// Of packets that are not PUBLISH, a client of 3.1 is heard whatever their flags are, cut anywhere.
    #[test]
    fn flags_can_be_left_alone(sample in samples(), flags in 0u8..16) {
        let mut bytes = sample.encode();
        prop_assume!(bytes[0] >> 4 != 3 && bytes.len() < 1000);
        bytes[0] = bytes[0] & 0xF0 | flags;
        for cut in 0..bytes.len() {
            prop_assert_eq!(decode_with_any_flags(&bytes[..cut], 1000), Ok(None));
        }
        let (packet, used) = decode_with_any_flags(&bytes, 1000).unwrap().unwrap();
        prop_assert_eq!((Sample::from(packet), used), (sample, bytes.len()));
        let oversized = DecodeError::Oversized { length: used, max: used - 1 };
        prop_assert_eq!(decode_with_any_flags(&bytes, used - 1), Err(oversized));
    }

    /// One damaged byte gets past the header more often than noise does.
    #[test]
    fn damaged_packets_are_taken_or_refused(sample in samples(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = sample.encode();
        prop_assume!(bytes.len() < 1000);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check_every_prefix(&bytes, 400)?;
        match decode(&bytes, 400) {
            Ok(Some((packet, _))) if is_of_5(&packet) => {}
            Ok(Some((packet, used))) => {
                let mut again = Vec::new();
                packet.encode(&mut again).unwrap();
                let (same, _) = decode(&again, MAX_PACKET).unwrap().unwrap();
                prop_assert!(used <= bytes.len());
                prop_assert_eq!(Sample::from(packet), Sample::from(same));
            }
            Ok(None) => {}
            Err(error) => prop_assert!(error.to_string().contains("[MQTT-"), "{}", error),
        }
    }

    #[test]
    fn failed_encoding_leaves_the_buffer_alone(sample in samples(), bad in 0usize..3) {
        let mut out = sample.encode();
        let before = out.clone();
        let id = PacketId::MIN;
        let results = [
            encode_subscribe(id, [("a", QoS::AtMostOnce), ("a#", QoS::AtMostOnce)], &mut out),
            encode_unsubscribe(id, ["a", ""], &mut out),
            encode_suback(id, [], &mut out),
        ];
        prop_assert!(results[bad].is_err());
        prop_assert_eq!(out, before);
    }
}
