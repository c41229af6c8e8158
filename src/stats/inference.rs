//! Whether two sides differ, from a few runs of each: what a comparison may say, and how sure it is.
//!
//! The unit is the run: its figure is one value here, because the seconds and the messages of one run are not
//! independent of each other. Changes are ratios, so everything is reckoned in logarithms, and values are above 0.
//! The two sides may scatter differently (Welch, 1947).
//!
//! The rule is sequential: the sides are looked at after [`LOOKS`] runs of each, and every look may be wrong with a
//! chance of [`ALPHA`]. With a tolerance of 5 % and runs that scatter by 5 %, no change fails in less than 1 % of
//! cases, and 10 % for the worse fail in more than 85 %: `tests` has this very code do it.

use statrs::distribution::{ContinuousCDF, DiscreteCDF, Hypergeometric, Normal, StudentsT};

#[cfg(test)]
mod tests;

/// Runs of each side after which the sides are looked at.
pub const LOOKS: [usize; 3] = [5, 10, 20];

/// The chance that a look takes a change on the edge of the tolerance for one beyond it, and as much for the reverse.
pub const ALPHA: f64 = 0.02;

/// The same for runs with a fault, whose looks are wrong with no other share of faults than a half: three of them fail by accident
/// in 0.7 % of cases at most.
const FAULT_ALPHA: f64 = ALPHA / 2.0;

/// The chance with which the smallest change that could have been seen is seen.
const POWER: f64 = 0.8;

/// More runs than anybody makes.
pub const MOST_RUNS: usize = 1_000;

/// How much worse is no fault.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tolerance {
    /// Whether more of it is better, as of a throughput, or worse, as of a latency.
    pub more_is_better: bool,
    /// Of the base: 0.05 is 5 %. From 0, and below 1 where more is better.
    pub share: f64,
}

impl Tolerance {
    /// The largest change for the worse that is tolerated, as a logarithm above 0.
    fn limit(self) -> f64 {
        if self.more_is_better { -(-self.share).ln_1p() } else { self.share.ln_1p() }
    }

    /// `log` of a ratio so that more is worse, and back.
    fn worse(self, log: f64) -> f64 {
        if self.more_is_better { -log } else { log }
    }
}

/// What can be said of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It is within the tolerance.
    Pass,
    /// It is beyond the tolerance.
    Fail,
    /// Too few runs for how they scatter.
    Inconclusive,
}

/// The change from one side to the other: the ratio of their geometric means.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Change {
    /// Logarithm of the ratio.
    log: f64,
    /// Its standard error.
    error: f64,
    /// Degrees of freedom, by Welch and Satterthwaite.
    freedom: f64,
}

impl Change {
    /// Between two sides of at least two values each, all above 0; `None` for others.
    pub fn between(base: &[f64], new: &[f64]) -> Option<Change> {
        let (base, new) = (Logs::of(base)?, Logs::of(new)?);
        if base.count < 2.0 || new.count < 2.0 {
            return None;
        }
        let (b, n) = (base.variance / base.count, new.variance / new.count);
        let freedom = match b + n > 0.0 {
            true => (b + n).powi(2) / (b * b / (base.count - 1.0) + n * n / (new.count - 1.0)),
            false => base.count + new.count - 2.0,
        };
        Some(Change { log: new.mean - base.mean, error: (b + n).sqrt(), freedom })
    }

    /// New over base: 1.1 is 10 % more.
    pub fn ratio(&self) -> f64 {
        self.log.exp()
    }

    /// The ratios between which the truth is; it is below the first with a chance of `alpha`, and above the second.
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        let reach = self.student().inverse_cdf(1.0 - alpha) * self.error;
        ((self.log - reach).exp(), (self.log + reach).exp())
    }

    /// The smallest ratio for the worse that fails four times of five, with as many runs that scatter as these do.
    pub fn smallest_seen(&self, tolerance: Tolerance) -> f64 {
        let student = self.student();
        let reach = student.inverse_cdf(1.0 - ALPHA) + student.inverse_cdf(POWER);
        tolerance.worse(tolerance.limit() + reach * self.error).exp()
    }

    /// How many runs of each side pass four times of five when nothing has changed, if they scatter as those that this is
    /// of, which were `base` and `new`; `None` for more than [`MOST_RUNS`].
    pub fn runs_to_tell(&self, base: usize, new: usize, tolerance: Tolerance) -> Option<usize> {
        let each = 2.0 / (1.0 / base as f64 + 1.0 / new as f64);
        (2..=MOST_RUNS).find(|runs| {
            let runs = *runs as f64;
            let student = StudentsT::new(0.0, 1.0, 2.0 * runs - 2.0).expect("freedom is above 0");
            let reach = student.inverse_cdf(1.0 - ALPHA) + student.inverse_cdf(POWER);
            reach * self.error * (each / runs).sqrt() <= tolerance.limit()
        })
    }

    /// How probable it is to find so much for the worse, or more, when the truth is on the edge of the tolerance.
    fn beyond(&self, tolerance: Tolerance) -> f64 {
        self.tail(tolerance.worse(self.log) - tolerance.limit())
    }

    /// The same for so little.
    fn within(&self, tolerance: Tolerance) -> f64 {
        self.tail(tolerance.limit() - tolerance.worse(self.log))
    }

    /// The chance of being off by `distance` and more to one side.
    fn tail(&self, distance: f64) -> f64 {
        match self.error > 0.0 {
            true => self.student().sf(distance / self.error),
            // what does not scatter is where it is
            false if distance > 0.0 => 0.0,
            false => 1.0,
        }
    }

    fn student(&self) -> StudentsT {
        StudentsT::new(0.0, 1.0, self.freedom).expect("freedom is above 0")
    }
}

/// Judges the changes of several figures of the same runs, each by its tolerance. Each of them can fail, so the chance
/// that one does by accident is kept to [`ALPHA`] for all together (Holm, 1979); that all pass by accident is no likelier
/// than that one does.
pub fn judge(changes: &[(Change, Tolerance)]) -> Vec<Decision> {
    let beyond: Vec<f64> = changes.iter().map(|(change, tolerance)| change.beyond(*tolerance)).collect();
    let decide = |(adjusted, (change, tolerance)): (f64, &(Change, Tolerance))| {
        if adjusted <= ALPHA {
            Decision::Fail
        } else if change.within(*tolerance) <= ALPHA {
            Decision::Pass
        } else {
            Decision::Inconclusive
        }
    };
    holm(&beyond).into_iter().zip(changes).map(decide).collect()
}

/// Probabilities of several tests, so that comparing each with one level keeps the chance of any error to it (Holm, "A
/// simple sequentially rejective multiple test procedure", 1979).
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut adjusted = vec![0.0; probabilities.len()];
    let mut least: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        let left = (probabilities.len() - rank) as f64;
        least = least.max((probabilities[at] * left).min(1.0));
        adjusted[at] = least;
    }
    adjusted
}

/// In how many of the runs of a side something happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// In so many
    pub with: usize,
    /// of so many.
    pub of: usize,
}

/// Whether a fault is more frequent than it was. Where each new run has it and none of the base, two of each are enough;
/// where the new side has no larger share of it, it is not.
pub fn judge_fault(base: Share, new: Share) -> Decision {
    let always = base.with == 0 && new.with == new.of && base.of.min(new.of) >= 2;
    if new.with * base.of <= base.with * new.of {
        Decision::Pass
    } else if always || fisher(base, new) <= FAULT_ALPHA {
        Decision::Fail
    } else {
        Decision::Inconclusive
    }
}

/// How probable it is that so many of the new runs have it, or more, when both sides have it equally often: the exact
/// test of Fisher (1922), one-sided.
fn fisher(base: Share, new: Share) -> f64 {
    let (runs, with) = (base.of + new.of, base.with + new.with);
    let among_new = Hypergeometric::new(runs as u64, with as u64, new.of as u64).expect("parts of the runs");
    new.with.checked_sub(1).map_or(1.0, |fewer| among_new.sf(fewer as u64))
}

/// Geometric mean of values above 0; `None` without any, or with others.
pub fn mean(values: &[f64]) -> Option<f64> {
    Some(Logs::of(values)?.mean.exp())
}

/// Where the geometric mean of all possible runs is: below the first and above the second with a chance of `alpha` each.
/// `None` for fewer than two values.
pub fn interval(values: &[f64], alpha: f64) -> Option<(f64, f64)> {
    let logs = Logs::of(values).filter(|logs| logs.count >= 2.0)?;
    let student = StudentsT::new(0.0, 1.0, logs.count - 1.0).expect("freedom is above 0");
    let reach = student.inverse_cdf(1.0 - alpha) * (logs.variance / logs.count).sqrt();
    Some(((logs.mean - reach).exp(), (logs.mean + reach).exp()))
}

/// The middle value, or the mean of the two in the middle; `None` without any.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[sorted.len() / 2 - 1], upper)
    } else {
        upper
    })
}

/// How much values scatter about their mean, as a share of it: their coefficient of variation. `None` for fewer than two
/// values, or a mean that is not above 0.
pub fn scatter(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() >= 2 && mean > 0.0).then(|| (squares / (count - 1.0)).sqrt() / mean)
}

/// How probable so different ranks are when both sides are alike, whatever their distribution: the test of Mann and
/// Whitney (1947), two-sided. Exact as long as no two values are the same and the sides are small, else by the normal
/// distribution, with corrections for continuity and ties. `None` without values on both sides.
pub fn rank_sum(base: &[f64], new: &[f64]) -> Option<f64> {
    /// Pairs up to which counting arrangements is quick.
    const SMALL: usize = 1_000;
    let (b, n) = (base.len(), new.len());
    if b == 0 || n == 0 {
        return None;
    }
    let pairs = base.iter().flat_map(|one| new.iter().map(move |other| (one, other)));
    // twice the number of pairs in which the new one is larger; a tie is half of one
    let doubled: usize = pairs
        .map(|(one, other)| match other.total_cmp(one) {
            std::cmp::Ordering::Greater => 2,
            std::cmp::Ordering::Equal => 1,
            std::cmp::Ordering::Less => 0,
        })
        .sum();
    let larger = doubled.max(2 * b * n - doubled);
    let mut all = [base, new].concat();
    all.sort_by(f64::total_cmp);
    let ties: Vec<f64> = all.chunk_by(|one, next| one == next).map(|same| same.len() as f64).collect();
    if ties.len() == all.len() && b * n <= SMALL {
        return Some(exact(b, n, larger / 2));
    }
    let (b, n, count) = (b as f64, n as f64, all.len() as f64);
    let tied: f64 = ties.iter().map(|same| same.powi(3) - same).sum();
    let deviation = (b * n / 12.0 * (count + 1.0 - tied / (count * (count - 1.0)))).sqrt();
    if deviation == 0.0 {
        return Some(1.0);
    }
    let distance = (larger as f64 / 2.0 - b * n / 2.0 - 0.5) / deviation;
    Some((2.0 * Normal::standard().sf(distance)).min(1.0))
}

/// The share of all arrangements of `b` and `n` different values in which the new ones win at least `larger` pairs,
/// twice: two-sided.
fn exact(b: usize, n: usize, larger: usize) -> f64 {
    // ways[u]: in how many arrangements the new ones win u pairs, with one base value more at a time; the recurrence
    // of Mann and Whitney is that of the Gaussian binomial coefficient
    let mut ways = vec![0.0; b * n + 1];
    ways[0] = 1.0;
    for grown in 1..=b {
        for wins in (grown + n..=b * n).rev() {
            ways[wins] -= ways[wins - grown - n];
        }
        for wins in grown..=b * n {
            ways[wins] += ways[wins - grown];
        }
    }
    let all: f64 = ways.iter().sum();
    let tail: f64 = ways[larger..].iter().sum();
    (2.0 * tail / all).min(1.0)
}

/// Moments of logarithms.
struct Logs {
    count: f64,
    mean: f64,
    /// Of the sample: by one less than its size.
    variance: f64,
}

impl Logs {
    fn of(values: &[f64]) -> Option<Logs> {
        if values.is_empty() || !values.iter().all(|value| value.is_finite() && *value > 0.0) {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().map(|value| value.ln()).sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value.ln() - mean).powi(2)).sum();
        Some(Logs { count, mean, variance: if count > 1.0 { squares / (count - 1.0) } else { 0.0 } })
    }
}
