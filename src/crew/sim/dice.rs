//! Chance, from a seed.

use crate::clock::Nanos;
use crate::seed::{self, Draw};
use rand::Rng;
use std::ops::RangeInclusive;

/// A span of time, or of anything else, of which every value is equally likely.
pub type Span = RangeInclusive<Nanos>;

/// A source of random decisions.
pub struct Dice(Draw);

impl Dice {
    /// Dice for one purpose, and one `index` of it.
    pub fn new(seed: u64, purpose: &str, index: u64) -> Dice {
        Dice(seed::stream(seed, purpose, index))
    }

    /// A value of `span`. One that has a single value costs no throw.
    pub fn within(&mut self, span: &Span) -> Nanos {
        let (low, high) = (*span.start(), *span.end());
        if low >= high { low } else { low + self.0.next_u64() % (high - low + 1) }
    }

    /// True with `probability`. What never or always happens costs no throw.
    pub fn chance(&mut self, probability: f64) -> bool {
        if probability <= 0.0 || probability >= 1.0 {
            return probability > 0.0;
        }
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64 <= probability
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.within(&(0..=choices.len() as u64 - 1)) as usize]
    }

    /// The source itself.
    pub fn draw(&mut self) -> &mut Draw {
        &mut self.0
    }

    /// So many random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.0.next_u64() as u8).collect()
    }
}
