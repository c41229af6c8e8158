//! How long bodies are.

use std::fmt;
use std::str::FromStr;

use super::{LARGEST_PAYLOAD, PayloadError};
use crate::seed::Draw;
use crate::units::Size;

/// Length of bodies in bytes, before any stamp and encoding. Lengths that would not fit an MQTT packet are
/// cut to what does.
///
/// ```
/// use malaria_bench::load::SizePlan;
///
/// for text in [
///     "100",               // always 100 bytes
///     "4KiB",
///     "gauss:100",         // normal: mean 100, standard deviation a twentieth of it, as malaria
///     "gauss:100,30",      // normal: mean 100, standard deviation 30; what is below 0 counts as 0
///     "uniform:10..200",   // every length from 10 to 200, both included, as often
///     "lognormal:100,0.5", // median 100; the logarithm has standard deviation 0.5
///     "list:10,100,1KiB",  // one of these, as often
/// ] {
///     let plan: SizePlan = text.parse()?;
///     assert_eq!(plan.to_string(), text);
/// }
/// assert_eq!(SizePlan::gaussian(100).to_string(), "gauss:100");
/// # Ok::<(), malaria_bench::load::PayloadError>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub enum SizePlan {
    /// One length.
    Fixed(u64),
    /// Normal around `mean`. A fraction of a byte is rounded up or down at random, so that the mean is exact and
    /// the smallest lengths vary, too.
    Gaussian { mean: u64, sd: f64 },
    /// From `min` to `max`, both included.
    Uniform { min: u64, max: u64 },
    /// Its logarithm is normal around the logarithm of `median` with standard deviation `sigma`. Rounded as
    /// the normal one.
    LogNormal { median: u64, sigma: f64 },
    /// One of these, as often.
    List(Vec<u64>),
}

impl SizePlan {
    /// Malaria's: normal with a standard deviation of a twentieth of the mean. Malaria rounds that
    /// down, so that lengths under 20 never vary; here they do.
    pub fn gaussian(mean: u64) -> SizePlan {
        SizePlan::Gaussian { mean, sd: mean as f64 / 20.0 }
    }

    /// An error for what text cannot describe.
    pub(super) fn check(&self) -> Result<(), PayloadError> {
        match self {
            SizePlan::List(sizes) if sizes.is_empty() => Err(PayloadError::Empty("list of sizes")),
            SizePlan::Uniform { min, max } if min > max => Err(PayloadError::EmptySizes(self.to_string())),
            SizePlan::Gaussian { sd: spread, .. } | SizePlan::LogNormal { sigma: spread, .. }
                if !(spread.is_finite() && *spread >= 0.0) =>
            {
                Err(PayloadError::Spread { size: self.to_string(), spread: spread.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The length that has to fit: the largest one asked for, of a distribution its middle.
    pub(super) fn asked(&self) -> u64 {
        match self {
            SizePlan::Fixed(size) => *size,
            SizePlan::Gaussian { mean, .. } => *mean,
            SizePlan::Uniform { max, .. } => *max,
            SizePlan::LogNormal { median, .. } => *median,
            SizePlan::List(sizes) => sizes.iter().copied().max().unwrap_or(0),
        }
    }

    /// No length is larger.
    pub(super) fn bound(&self) -> u64 {
        match self {
            SizePlan::Gaussian { mean, sd } => (*mean as f64 + sd * Draw::FURTHEST).ceil() as u64,
            SizePlan::LogNormal { median, sigma } => {
                (*median as f64 * (sigma * Draw::FURTHEST).exp()).ceil() as u64
            }
            _ => self.asked(),
        }
    }

    pub(super) fn draw(&self, draw: &mut Draw) -> u64 {
        match self {
            SizePlan::Fixed(size) => *size,
            SizePlan::Gaussian { mean, sd } => round(*mean as f64 + sd * draw.normal(), draw),
            SizePlan::Uniform { min, max } => min + draw.below(max - min + 1),
            SizePlan::LogNormal { median, sigma } => {
                round(*median as f64 * (sigma * draw.normal()).exp(), draw)
            }
            SizePlan::List(sizes) => sizes[draw.below(sizes.len() as u64) as usize],
        }
    }
}

/// Up or down, so that the mean stays; below 0 is 0.
fn round(length: f64, draw: &mut Draw) -> u64 {
    let whole = length.floor();
    whole as u64 + u64::from(draw.unit() < length - whole && length > 0.0)
}

impl FromStr for SizePlan {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<SizePlan, PayloadError> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind.trim(), rest),
            None => return bytes(text).map(SizePlan::Fixed),
        };
        match kind {
            "fixed" => bytes(rest).map(SizePlan::Fixed),
            "gauss" | "gaussian" => match rest.split_once(',') {
                None => bytes(rest).map(SizePlan::gaussian),
                Some((mean, sd)) => Ok(SizePlan::Gaussian { mean: bytes(mean)?, sd: spread(text, sd)? }),
            },
            "uniform" => {
                let (min, max) =
                    rest.split_once("..").ok_or_else(|| PayloadError::UnknownSize(text.into()))?;
                let (min, max) = (bytes(min)?, bytes(max)?);
                match min <= max {
                    true => Ok(SizePlan::Uniform { min, max }),
                    false => Err(PayloadError::EmptySizes(text.into())),
                }
            }
            "lognormal" => {
                let (median, sigma) =
                    rest.split_once(',').ok_or_else(|| PayloadError::UnknownSize(text.into()))?;
                Ok(SizePlan::LogNormal { median: bytes(median)?, sigma: spread(text, sigma)? })
            }
            "list" => rest.split(',').map(bytes).collect::<Result<_, _>>().map(SizePlan::List),
            _ => Err(PayloadError::UnknownSize(text.into())),
        }
    }
}

/// A length that fits an MQTT packet by itself.
fn bytes(text: &str) -> Result<u64, PayloadError> {
    if text.trim_start().starts_with('-') {
        return Err(PayloadError::NegativeSize(text.trim().into()));
    }
    match text.parse::<Size>()?.bytes() {
        size if size > LARGEST_PAYLOAD => Err(PayloadError::TooLarge { bytes: size, most: LARGEST_PAYLOAD }),
        size => Ok(size),
    }
}

/// Bytes, fractions allowed, or a size with a unit.
fn spread(size: &str, text: &str) -> Result<f64, PayloadError> {
    let number = text.trim().parse().or_else(|_| text.parse::<Size>().map(|size| size.bytes() as f64));
    match number {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err(PayloadError::Spread { size: size.into(), spread: text.trim().into() }),
    }
}

impl fmt::Display for SizePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizePlan::Fixed(size) => f.write_str(&short(*size)),
            SizePlan::Gaussian { mean, sd } if *sd == *mean as f64 / 20.0 => {
                write!(f, "gauss:{}", short(*mean))
            }
            SizePlan::Gaussian { mean, sd } => write!(f, "gauss:{},{sd}", short(*mean)),
            SizePlan::Uniform { min, max } => write!(f, "uniform:{}..{}", short(*min), short(*max)),
            SizePlan::LogNormal { median, sigma } => write!(f, "lognormal:{},{sigma}", short(*median)),
            SizePlan::List(sizes) => {
                let sizes: Vec<_> = sizes.iter().map(|size| short(*size)).collect();
                write!(f, "list:{}", sizes.join(","))
            }
        }
    }
}

/// `100`, `4KiB`: without the space and the plain `B` that are for reading.
fn short(bytes: u64) -> String {
    let text = Size::new(bytes).to_string().replace(' ', "");
    if bytes.to_string().len() + 1 == text.len() && text.ends_with('B') {
        return bytes.to_string();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::PAYLOAD;
    use super::*;
    use proptest::prelude::*;

    fn sizes(plan: &str, client: u32, count: u64) -> Vec<f64> {
        let plan: SizePlan = plan.parse().unwrap();
        (0..count).map(|sequence| plan.draw(&mut Draw::of(11, PAYLOAD, client, sequence)) as f64).collect()
    }

    fn mean_and_sd(sizes: &[f64]) -> (f64, f64) {
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        let variance = sizes.iter().map(|size| (size - mean).powi(2)).sum::<f64>() / sizes.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn checklist_6_sizes_are_normal_with_a_twentieth_and_small_ones_vary() {
        let (mean, sd) = mean_and_sd(&sizes("gauss:1000", 0, 100_000));
        assert!((mean - 1000.0).abs() < 4.0 * 50.0 / 100_000f64.sqrt(), "{mean}");
        assert!((sd - 50.0).abs() < 4.0 * 50.0 / 200_000f64.sqrt(), "{sd}");
        for size in 1..20 {
            let drawn = sizes(&format!("gauss:{size}"), 3, 20_000);
            let (mean, sd) = mean_and_sd(&drawn);
            assert!((mean - f64::from(size)).abs() < 0.05 && sd > 0.0, "{size}: {mean} {sd}");
            assert!(drawn.iter().all(|drawn| *drawn >= 0.0));
        }
        assert!(sizes("gauss:0", 0, 100).iter().all(|size| *size == 0.0));
    }

    #[test]
    fn checklist_6_a_wide_spread_ends_at_0() {
        let drawn = sizes("gauss:10,10", 0, 10_000);
        let empty = drawn.iter().filter(|size| **size == 0.0).count() as f64 / 10_000.0;
        // The normal distribution has 15.9 % below -1 sd; of [0, 1), rounding sends about half to 0.
        assert!((0.14..0.22).contains(&empty), "{empty}");
    }

    #[test]
    fn checklist_25_distributions_are_as_asked() {
        let (mean, _) = mean_and_sd(&sizes("uniform:10..200", 0, 50_000));
        assert!((mean - 105.0).abs() < 1.0, "{mean}");
        let drawn = sizes("uniform:3..5", 0, 1000);
        assert!([3.0, 4.0, 5.0].iter().all(|size| drawn.contains(size)));
        assert!(drawn.iter().all(|size| (3.0..=5.0).contains(size)));

        let mut drawn = sizes("lognormal:1000,0.5", 0, 50_000);
        drawn.sort_by(f64::total_cmp);
        assert!((drawn[25_000] - 1000.0).abs() < 15.0, "median {}", drawn[25_000]);
        // One standard deviation up: e^0.5.
        assert!((drawn[42_067] - 1648.7).abs() < 30.0, "{}", drawn[42_067]);

        let drawn = sizes("list:10,100,1KiB", 0, 3000);
        for size in [10.0, 100.0, 1024.0] {
            let count = drawn.iter().filter(|drawn| **drawn == size).count();
            assert!((880..1120).contains(&count), "{size}: {count}");
        }
    }

    #[test]
    fn checklist_25_senseless_sizes_are_errors_in_one_line() {
        for (text, part) in [
            ("-5", "negative"),
            ("gauss:-100", "`-100` is negative"),
            ("list:10,-1", "negative"),
            ("1GiB", "268369916"),
            ("gauss:300MB", "300000000"),
            ("18446744073709551616", "not a size"),
            ("many", "`many`"),
            ("1.5", "`1.5`"),
            ("", "not a size"),
            ("list:", "not a size"),
            ("4k", "ambiguous"),
            ("gauss:100,-5", "`-5`"),
            ("gauss:100,inf", "`inf`"),
            ("lognormal:100", "expected"),
            ("lognormal:100,NaN", "`NaN`"),
            ("uniform:10", "expected"),
            ("uniform:200..10", "smaller bound"),
            ("poisson:5", "expected"),
        ] {
            let error = text.parse::<SizePlan>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn text_and_plan_are_the_same(a in 0..LARGEST_PAYLOAD, b in 0..LARGEST_PAYLOAD, spread in 0.0..1e6) {
            for plan in [
                SizePlan::Fixed(a),
                SizePlan::gaussian(a),
                SizePlan::Gaussian { mean: a, sd: spread },
                SizePlan::Uniform { min: a.min(b), max: a.max(b) },
                SizePlan::LogNormal { median: a, sigma: spread },
                SizePlan::List(vec![a, b]),
            ] {
                prop_assert_eq!(plan.to_string().parse::<SizePlan>(), Ok(plan));
            }
        }

        #[test]
        fn no_size_exceeds_the_bound(mean in 0..100_000u64, spread in 0.0..5.0, sequence: u64, client: u32) {
            for plan in [
                SizePlan::Gaussian { mean, sd: spread * mean as f64 },
                SizePlan::LogNormal { median: mean, sigma: spread },
                SizePlan::Uniform { min: mean / 2, max: mean },
            ] {
                prop_assert!(plan.draw(&mut Draw::of(1, PAYLOAD, client, sequence)) <= plan.bound());
            }
        }
    }
}
