//! Mean and standard deviation of a whole population.

use crate::clock::Nanos;

/// Count, smallest, largest, mean and standard deviation of times, exact and mergeable.
///
/// The mean and the sum of squared differences from it are updated by Welford's method and merged by that of
/// Chan, Golub and LeVeque (1983), so that nothing cancels out.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Moments {
    count: u64,
    min: Nanos,
    max: Nanos,
    mean: f64,
    /// Sum of the squared differences from the mean.
    squares: f64,
}

impl Moments {
    /// Counts one time.
    #[inline]
    pub fn record(&mut self, nanos: Nanos) {
        self.merge(&Moments { count: 1, min: nanos, max: nanos, mean: nanos as f64, squares: 0.0 });
    }

    /// Adds everything `other` has counted.
    #[inline]
    pub fn merge(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let (all, apart) = (mine + theirs, other.mean - self.mean);
        self.squares += other.squares + apart * apart * mine * theirs / all;
        self.mean += apart * theirs / all;
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Smallest, in nanoseconds; `None` when nothing was counted.
    pub fn min(&self) -> Option<Nanos> {
        (self.count > 0).then_some(self.min)
    }

    /// Largest, in nanoseconds; `None` when nothing was counted.
    pub fn max(&self) -> Option<Nanos> {
        (self.count > 0).then_some(self.max)
    }

    /// Mean, in nanoseconds; `None` when nothing was counted.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Standard deviation of the population (divided by its size, not by one less), in nanoseconds; `None`
    /// when nothing was counted.
    pub fn stddev(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / self.count as f64).max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[Nanos]) -> Moments {
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.record(*value));
        moments
    }

    #[test]
    fn nothing_has_no_mean() {
        let none = Moments::default();
        assert_eq!((none.mean(), none.stddev(), none.min(), none.max()), (None, None, None, None));
    }

    #[test]
    fn a_known_population() {
        let moments = of(&[2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!((moments.mean(), moments.stddev()), (Some(5.0), Some(2.0)));
        assert_eq!((moments.min(), moments.max(), moments.count()), (Some(2), Some(9), 8));
    }

    proptest! {
        #[test]
        fn merging_parts_is_recording_all(
            values in prop::collection::vec(0..10_000_000_000u64, 1..200),
            cut in any::<prop::sample::Index>(),
        ) {
            let (left, right) = values.split_at(cut.index(values.len()));
            let mut merged = of(left);
            merged.merge(&of(right));
            let whole = of(&values);
            let count = values.len() as f64;
            let mean = values.iter().sum::<u64>() as f64 / count;
            let squares: f64 = values.iter().map(|value| (*value as f64 - mean).powi(2)).sum();
            prop_assert_eq!((merged.count(), merged.min(), merged.max()), (whole.count(), whole.min(), whole.max()));
            for moments in [merged, whole] {
                prop_assert!((moments.mean().unwrap() - mean).abs() <= 1e-9 * mean.max(1.0));
                let stddev = (squares / count).sqrt();
                prop_assert!((moments.stddev().unwrap() - stddev).abs() <= 1e-6 * stddev.max(1.0));
            }
        }
    }
}
