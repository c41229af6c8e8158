//! Random numbers that a seed determines, the same on every machine, in every order, and in every version of a
//! library: topics, payloads, pacing, and whatever else is random in a run, are drawn here.

use rand::TryRng;
use std::convert::Infallible;

/// What random numbers are for. Those for different purposes are independent.
///
/// ```
/// use malaria_bench::seed::{Draw, Purpose};
/// const DICE: Purpose = Purpose::named("dice");
/// let throw = |client, message| 1 + Draw::of(7, DICE, client, message).below(6);
/// // The same whoever asks, in whatever order.
/// assert_eq!([throw(3, 9), throw(3, 8), throw(3, 9)], [3, 2, 3]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Purpose(u64);

impl Purpose {
    /// The purpose of this name: FNV-1a of it (Fowler, Noll, Vo: RFC 9923), in 64 bits.
    pub const fn named(name: &str) -> Purpose {
        let (name, mut hash, mut at) = (name.as_bytes(), 0xcbf2_9ce4_8422_2325u64, 0);
        while at < name.len() {
            hash = (hash ^ name[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        Purpose(hash)
    }

    /// The same for ever, and different for different names.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The random numbers that seed, purpose, client and sequence determine: as many as are asked for, from 8 bytes
/// on the stack, in about 10 ns for the first and 1 ns for each after it.
///
/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014) is a function of a
/// counter, so that any of its numbers costs the same: number `client` of the generator of seed and purpose is
/// the state of the client's generator, number `sequence` of that is the state of this one. Philox takes twice
/// as long, and "squares" as long, but has keys that must be found by a search.
///
/// The conversions are spelled out here, because a library's may change with its version.
#[derive(Clone, Debug)]
pub struct Draw(u64);

/// 2^64 divided by the golden ratio: what SplitMix64's state grows by.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Number `place` (from 0) of the SplitMix64 that starts from `state`.
const fn number(state: u64, place: u64) -> u64 {
    let z = state.wrapping_add(place.wrapping_add(1).wrapping_mul(GOLDEN));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Draw {
    /// No normal number of [`normal`](Draw::normal) is further from 0: sqrt(-2 ln 2^-53) = 8.572.
    pub const FURTHEST: f64 = 8.58;

    /// The numbers for message `sequence` of `client`, or for what else these two tell apart.
    #[inline]
    pub fn of(seed: u64, purpose: Purpose, client: u32, sequence: u64) -> Draw {
        let clients = number(seed ^ purpose.0, 0);
        Draw(number(number(clients, client.into()), sequence))
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let bits = number(self.0, 0);
        self.0 = self.0.wrapping_add(GOLDEN);
        bits
    }

    /// Uniform over 0..`bound`; `bound` is above 0. Off by at most bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform over 0..=`last`.
    pub fn up_to(&mut self, last: u64) -> u64 {
        match last.checked_add(1) {
            Some(bound) => self.below(bound),
            None => self.bits(),
        }
    }

    /// Uniform over `first`..=`last`.
    pub fn whole(&mut self, first: i64, last: i64) -> i64 {
        first.wrapping_add(self.up_to(last.wrapping_sub(first) as u64) as i64)
    }

    /// Uniform over [0, 1): the 53 bits that a double keeps.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * 2f64.powi(-53)
    }

    /// Normal with mean 0 and deviation 1, by Box and Muller ("A note on the generation of random normal
    /// deviates", 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Exponential with mean 1, by inversion.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Random bytes, eight from each number, the lowest first.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for eight in bytes.chunks_mut(8) {
            eight.copy_from_slice(&self.bits().to_le_bytes()[..eight.len()]);
        }
    }
}

/// For `rand`'s conversions, where nothing has to be the same for ever.
impl TryRng for Draw {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.bits() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

/// The numbers for one `purpose` and one `index` of it (a worker, a client).
pub fn stream(seed: u64, purpose: &str, index: u64) -> Draw {
    Draw::of(seed, Purpose::named(purpose), 0, index)
}

/// A seed nobody chose, from the operating system.
pub fn fresh() -> u64 {
    rand::random()
}

#[cfg(test)]
mod tests;
