//! Random streams that a seed determines, the same on every machine and in every version of a library.

use rand::SeedableRng;
pub use rand_xoshiro::Xoshiro256PlusPlus as Stream;

/// An independent stream of random numbers for one `purpose` and one `index` of it (a worker, a client).
pub fn stream(seed: u64, purpose: &str, index: u64) -> Stream {
    // FNV-1a over everything that tells the stream from others; `seed_from_u64` spreads it with
    // SplitMix64 over the generator's state.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let bytes = seed.to_le_bytes().into_iter().chain(purpose.bytes()).chain(index.to_le_bytes());
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Stream::seed_from_u64(hash)
}

/// A seed nobody chose, from the operating system.
pub fn fresh() -> u64 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_stream_is_fixed_for_all_time() {
        // Pinned: a change would make old seeds useless.
        assert_eq!(stream(1, "arrival", 0).next_u64(), 6_532_282_087_024_365_974);
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let first = |seed, purpose, index| stream(seed, purpose, index).next_u64();
        let all = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
