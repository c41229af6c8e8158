//! Many seeds, and the name of the one that failed.

use crate::clock::{self, SECOND};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Calls `world` with each of `seeds`; with `MALARIA_SEED=n` in the environment, with that one alone.
///
/// # Panics
/// When `world` does; the seed is told on standard error.
pub fn explore(seeds: Range<u64>, world: impl Fn(u64)) {
    match number("MALARIA_SEED") {
        Some(seed) => attempt(seed, &world),
        None => seeds.for_each(|seed| attempt(seed, &world)),
    }
}

/// The same with one seed after the other that nobody tried before, for `MALARIA_SOAK_SECONDS`; without them, until
/// somebody ends the program. For tests that are `#[ignore]`d.
///
/// # Panics
/// As [`explore`].
pub fn soak(world: impl Fn(u64)) {
    if let Some(seed) = number("MALARIA_SEED") {
        return attempt(seed, &world);
    }
    let until = number("MALARIA_SOAK_SECONDS").map_or(u64::MAX, |seconds| clock::now() + seconds * SECOND);
    let first = crate::seed::fresh() >> 1;
    let (mut seed, mut told) = (first, clock::now());
    while clock::now() < until {
        attempt(seed, &world);
        seed += 1;
        if clock::now() - told >= 10 * SECOND {
            told = clock::now();
            eprintln!("{} seeds from {first} on are well", seed - first);
        }
    }
}

fn attempt(seed: u64, world: &impl Fn(u64)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world(seed))) {
        eprintln!("seed {seed} failed: run this test again with MALARIA_SEED={seed}");
        resume_unwind(panic);
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a whole number, not {text:?}")))
}

/// A test for each range of seeds, so that they run beside each other.
macro_rules! explored {
    ($world:expr, $($name:ident: $seeds:expr,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::crew::sim::explore($seeds, $world);
            }
        )*
    };
}

pub(crate) use explored;
