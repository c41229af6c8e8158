//! The random numbers of one message.

use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

/// A stream that seed, client and sequence determine, so that a message is the same whoever writes it and
/// whenever. The conversions are spelled out here: a library's may change with its version.
pub(super) struct Draw(SplitMix64);

impl Draw {
    /// No normal number of [`normal`](Draw::normal) is further from 0: sqrt(-2 ln 2^-53) = 8.572.
    pub const FURTHEST: f64 = 8.58;

    /// `key` comes from [`crate::seed`].
    pub fn of(key: u64, client: u32, sequence: u64) -> Draw {
        let client = SplitMix64::seed_from_u64(key ^ u64::from(client)).next_u64();
        // Mixed once more: states a small step apart would be streams a small shift apart.
        let state = SplitMix64::seed_from_u64(client.wrapping_add(sequence)).next_u64();
        Draw(SplitMix64::seed_from_u64(state))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform over 0..`bound`; `bound` is above 0. Off by at most bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform over `first`..=`last`.
    pub fn whole(&mut self, first: i64, last: i64) -> i64 {
        match last.wrapping_sub(first) as u64 {
            u64::MAX => self.bits() as i64,
            span => first.wrapping_add(self.below(span + 1) as i64),
        }
    }

    /// Uniform over [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * 2f64.powi(-53)
    }

    /// Normal with mean 0 and deviation 1, by Box and Muller (1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_message_are_fixed_for_all_time() {
        // Pinned: a change would make old seeds useless.
        assert_eq!(Draw::of(1, 2, 3).bits(), 3_007_011_926_038_837_932);
        let firsts = [(1, 2, 3), (9, 2, 3), (1, 9, 3), (1, 2, 9)].map(|(k, c, s)| Draw::of(k, c, s).bits());
        let distinct: std::collections::HashSet<_> = firsts.iter().collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn numbers_have_their_distributions() {
        const N: usize = 100_000;
        let (mut units, mut normals, mut squares) = (0.0, 0.0, 0.0);
        for sequence in 0..N as u64 {
            let mut draw = Draw::of(5, 0, sequence);
            units += draw.unit();
            let normal = draw.normal();
            assert!(normal.abs() <= Draw::FURTHEST);
            normals += normal;
            squares += normal * normal;
        }
        let n = N as f64;
        // Four standard deviations of each sum.
        assert!((units / n - 0.5).abs() < 4.0 * (1.0 / 12.0 / n).sqrt());
        assert!((normals / n).abs() < 4.0 / n.sqrt());
        assert!((squares / n - 1.0).abs() < 4.0 * (2.0 / n).sqrt());
    }

    #[test]
    fn whole_numbers_reach_both_ends_and_no_further() {
        let mut draw = Draw::of(1, 1, 1);
        let seen: std::collections::BTreeSet<_> = (0..1000).map(|_| draw.whole(-2, 2)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
        assert_eq!(draw.whole(i64::MAX, i64::MAX), i64::MAX);
        let wide = (0..100).map(|_| draw.whole(i64::MIN, i64::MAX)).filter(|n| *n < 0).count();
        assert!((20..80).contains(&wide), "{wide}");
    }
}
