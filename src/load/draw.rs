//! Random numbers that belong to one message: the same whoever asks, in whatever order, without state.

/// A random number for message `sequence` of `client`; different `place`s of a message are independent.
pub fn draw(seed: u64, client: u32, sequence: u64, place: u32) -> u64 {
    let clients = spread(seed ^ spread(u64::from(client) << 32 | u64::from(place)));
    spread(clients.wrapping_add(sequence.wrapping_mul(GOLDEN)))
}

/// The same as an even choice out of `0..count`, which must not be empty.
pub fn choose(number: u64, count: usize) -> usize {
    debug_assert!(count > 0);
    ((u128::from(number) * count as u128) >> 64) as usize
}

/// The same as a fraction from 0 up to, not including, 1.
pub fn fraction(number: u64) -> f64 {
    // The 53 bits that a double keeps.
    (number >> 11) as f64 / (1u64 << 53) as f64
}

/// The increment of SplitMix64: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn spread(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_fixed_for_all_time() {
        // The first output of SplitMix64 with state 0, as published with it.
        assert_eq!(spread(0), 0xe220_a839_7b1d_cdaf);
        // Pinned: a change would make old seeds useless.
        assert_eq!(draw(1, 2, 3, 4), 28_334_188_092_022_809);
        assert_eq!((choose(0, 3), choose(u64::MAX, 3), choose(u64::MAX / 2, 2)), (0, 2, 0));
        assert_eq!((fraction(0), fraction(1 << 63)), (0.0, 0.5));
        assert!(fraction(u64::MAX) < 1.0);
    }

    #[test]
    fn every_part_of_the_key_counts_and_choices_are_even() {
        let all = [draw(1, 0, 0, 0), draw(0, 1, 0, 0), draw(0, 0, 1, 0), draw(0, 0, 0, 1), draw(0, 0, 0, 0)];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|sequence| counts[choose(draw(5, 9, sequence, 0), 7)] += 1);
        // Five standard deviations of a binomial count around 10,000.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 5 * 93), "{counts:?}");
    }
}
