//! What holds for every packet, every split of its bytes, and any bytes at all.

use super::sample::{meaning, packets};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::time::{Duration, Instant};

/// The verdict on a prefix stands when more bytes come: there is none yet, or it is the final one. What is taken is
/// written again and means the same.
fn check(bytes: &[u8], max: usize) -> Result<(), TestCaseError> {
    let verdict = decode(bytes, max);
    for end in 0..bytes.len() {
        match decode(&bytes[..end], max) {
            Ok(None) => {}
            early => prop_assert_eq!(early, verdict, "after {} bytes of {:02X?}", end, bytes),
        }
    }
    match verdict {
        Ok(Some((packet, used))) => {
            prop_assert!(used <= bytes.len() && used <= max);
            let mut again = Vec::new();
            encode(&packet, &mut again).unwrap();
            let (same, length) = decode(&again, MAX_PACKET).unwrap().unwrap();
            prop_assert_eq!((meaning(&packet), length), (meaning(&same), again.len()));
        }
        Ok(None) => {}
        Err(error) => prop_assert!(error.to_string().contains("[MQTT-"), "{}", error),
    }
    Ok(())
}

/// Some bytes of a packet are others: that gets past the header more often than noise does.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 1..3);
    (packets(), damage).prop_map(|(mut bytes, damage)| {
        bytes.truncate(400);
        let length = bytes.len();
        damage.into_iter().for_each(|(at, byte)| bytes[at.index(length)] = byte);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn round_trip_over_every_split(bytes in packets(), tail in vec(any::<u8>(), 0..4)) {
        let length = bytes.len();
        for end in 0..length {
            prop_assert_eq!(decode(&bytes[..end], MAX_PACKET), Ok(None), "after {} of {} bytes", end, length);
        }
        let longer = [&bytes[..], &tail].concat();
        let (packet, used) = decode(&longer, length).unwrap().unwrap();
        prop_assert_eq!(used, length);
        let mut again = Vec::new();
        encode(&packet, &mut again).unwrap();
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in vec(any::<u8>(), 0..48), max in 0usize..300) {
        check(&bytes, max)?;
    }

    #[test]
    fn damaged_packets_are_taken_or_refused(bytes in damaged(), max in 0usize..400) {
        check(&bytes, max)?;
    }
}

#[test]
#[ignore = "goes on until it is told to stop"]
fn damaged_packets_are_taken_or_refused_for_long() {
    let seconds = std::env::var("MALARIA_SOAK_SECONDS").ok();
    let seconds = seconds.map_or(u64::MAX, |text| text.parse().expect("MALARIA_SOAK_SECONDS is a number"));
    let end = Instant::now().checked_add(Duration::from_secs(seconds));
    let mut tried = 0u64;
    while end.is_none_or(|end| Instant::now() < end) {
        let config = Config { failure_persistence: None, ..Config::with_cases(10_000) };
        TestRunner::new(config).run(&damaged(), |bytes| check(&bytes, 400)).unwrap();
        tried += 10_000;
    }
    println!("{tried} packets");
}
