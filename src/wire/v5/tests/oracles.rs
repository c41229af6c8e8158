//! Another codec as oracle, on valid packets only: it is lax about the rest. What we write it reads, and what it writes
//! of it we read as what it was.

use super::sample::{meaning, packets};
use super::*;
use mqtt_proto::v5::{ErrorV5, Packet as Theirs};
use proptest::prelude::*;

fn ours(bytes: &[u8]) -> String {
    let (packet, used) = decode(bytes, MAX_PACKET).unwrap().unwrap();
    assert_eq!(used, bytes.len());
    meaning(&packet)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn mqtt_proto_agrees(bytes in packets()) {
        // It looks into payloads that are said to be text, which is the application's to do.
        let decoded = Theirs::decode(&bytes);
        prop_assume!(!matches!(decoded, Err(ErrorV5::InvalidPayloadFormat)));
        let theirs = decoded.unwrap().unwrap();
        let written = theirs.encode().unwrap();
        prop_assert_eq!(ours(written.as_ref()), ours(&bytes));
    }
}
