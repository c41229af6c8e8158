//! The first bytes of every payload, from which the subscriber's side checks delivery and time.

use crate::clock::Nanos;

/// Length of a stamp in bytes: the smallest payload.
pub const STAMP_LEN: usize = 24;

/// Who sent a message and when it was meant to be sent. On the wire, little-endian: run id (4 bytes),
/// publisher (4), sequence (8), intended time (8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Tells this run's messages from others'.
    pub run_id: u32,
    /// Number of the publisher, from 0.
    pub publisher: u32,
    /// Number of the message among its publisher's, from 0.
    pub sequence: u64,
    /// Nanoseconds since the start of the schedule, so that equal plans give equal bytes.
    pub intended: Nanos,
}

impl Stamp {
    pub fn encode(&self) -> [u8; STAMP_LEN] {
        let mut bytes = [0; STAMP_LEN];
        bytes[0..4].copy_from_slice(&self.run_id.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.publisher.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.intended.to_le_bytes());
        bytes
    }

    /// The stamp of `payload`; `None` when it is too short or of another run.
    pub fn decode(payload: &[u8], run_id: u32) -> Option<Stamp> {
        let bytes: &[u8; STAMP_LEN] = payload.first_chunk()?;
        let stamp = Stamp {
            run_id: u32::from_le_bytes(*bytes[0..].first_chunk()?),
            publisher: u32::from_le_bytes(*bytes[4..].first_chunk()?),
            sequence: u64::from_le_bytes(*bytes[8..].first_chunk()?),
            intended: u64::from_le_bytes(*bytes[16..].first_chunk()?),
        };
        (stamp.run_id == run_id).then_some(stamp)
    }
}

/// The run id that follows from a seed, so that equal plans give equal bytes.
pub fn run_id(seed: u64) -> u32 {
    (crate::seed::stream(seed, "run id", 0).bits() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_fixed_bytes() {
        let stamp = Stamp { run_id: 0x0403_0201, publisher: 5, sequence: 1 << 40, intended: 7 };
        let bytes = stamp.encode();
        assert_eq!(
            bytes,
            [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            "the layout is documented"
        );
        let longer = [&bytes[..], b"body"].concat();
        assert_eq!(Stamp::decode(&longer, stamp.run_id), Some(stamp));
    }

    #[test]
    fn foreign_payloads_have_no_stamp() {
        let bytes = Stamp { run_id: 1, publisher: 0, sequence: 0, intended: 0 }.encode();
        assert_eq!(Stamp::decode(&bytes, 2), None);
        assert_eq!(Stamp::decode(&bytes[..23], 1), None);
        assert_eq!(Stamp::decode(b"", 0), None);
    }
}
