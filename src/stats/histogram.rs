use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

use crate::clock::{Nanos, SECOND};

#[cfg(test)]
mod tests;

/// Lowest latency told apart, in nanoseconds; a 0 is counted with it.
const LOWEST: Nanos = 1;
/// Highest latency told apart: one hour, in nanoseconds.
pub const HIGHEST: Nanos = 3_600 * SECOND;
/// Significant digits kept: values are right to 0.1 %.
const DIGITS: u8 = 3;
/// A quantile is shown only with at least this many samples beyond it.
const SAMPLES_BEYOND: f64 = 6.0;

/// Why a text is not a histogram.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    #[error("the histogram is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("the histogram is not HDR V2: {0}")]
    Format(#[from] hdrhistogram::serialization::DeserializeError),
    #[error("the histogram holds values up to {highest_ns} ns, above the hour that fits")]
    Range { highest_ns: Nanos },
}

/// A latency histogram: HDR, 3 significant digits, 1 ns to 1 h, 64-bit counts.
///
/// An empty one that never recorded owns no memory; the first record allocates about 270 kB (the counts are
/// 64 bits wide because narrower ones of a long run would saturate silently). Values above an hour are
/// counted as an hour *and* as [`overflow`](Histogram::overflow), so that clipping is never silent.
#[derive(Clone, Default)]
pub struct Histogram {
    counts: Option<Box<Counts>>,
    overflow: u64,
}

/// Values that are remembered beside the counts: to merge so few is to count them again, and not to go through all
/// 34,000 counts. Most kinds of time have no more in a second.
const FEW: usize = 64;

#[derive(Clone)]
struct Counts {
    all: hdrhistogram::Histogram<u64>,
    /// What was counted, in the order it came, as long as it is not `many`.
    few: Vec<(Nanos, u64)>,
    many: bool,
}

#[cold]
fn allocate() -> Box<Counts> {
    let all = hdrhistogram::Histogram::new_with_bounds(LOWEST, HIGHEST, DIGITS);
    let all = all.expect("the bounds are constants that hdrhistogram accepts");
    Box::new(Counts { all, few: Vec::with_capacity(FEW), many: false })
}

impl Counts {
    #[inline]
    fn record_n(&mut self, value: Nanos, times: u64) {
        if !self.many {
            let full = self.few.len() == FEW;
            match self.few.last_mut() {
                Some(last) if last.0 == value => last.1 = last.1.saturating_add(times),
                _ if full => self.many = true,
                _ => self.few.push((value, times)),
            }
        }
        self.all.saturating_record_n(value, times);
    }

    fn add(&mut self, other: &Counts) {
        if !other.many {
            return other.few.iter().for_each(|&(value, times)| self.record_n(value, times));
        }
        self.all.add(&other.all).expect("all histograms of this type have the same bounds");
        self.many = true;
    }

    fn reset(&mut self) {
        self.all.reset();
        self.few.clear();
        self.many = false;
    }
}

impl std::ops::Deref for Counts {
    type Target = hdrhistogram::Histogram<u64>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl Histogram {
    /// Counts one value. Some 5 ns while the counts are cached; allocates the first time only.
    #[inline]
    pub fn record(&mut self, nanos: Nanos) {
        self.record_n(nanos, 1);
    }

    /// Counts `times` equal values, such as the lateness of messages sent together.
    #[inline]
    pub fn record_n(&mut self, nanos: Nanos, times: u64) {
        let mut value = nanos;
        if value > HIGHEST {
            self.overflow += times;
            value = HIGHEST;
        }
        self.counts.get_or_insert_with(allocate).record_n(value, times);
    }

    /// Adds everything `other` has counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.overflow += other.overflow;
        let Some(theirs) = other.counts.as_ref().filter(|counts| !counts.is_empty()) else { return };
        match &mut self.counts {
            Some(mine) => mine.add(theirs),
            None => self.counts = Some(theirs.clone()),
        }
    }

    /// The value at `quantile` (0 to 1) in nanoseconds, right to 3 digits; 0 when empty. Whether so few
    /// samples say anything about it is for [`supported`] to answer.
    pub fn quantile(&self, quantile: f64) -> Nanos {
        self.counts.as_ref().map_or(0, |counts| counts.value_at_quantile(quantile))
    }

    /// The value at `quantile`, or `None` where [`supported`] says that the samples are too few.
    pub fn supported_quantile(&self, quantile: f64) -> Option<Nanos> {
        supported(self.count(), quantile).then(|| self.quantile(quantile))
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.counts.as_ref().map_or(0, |counts| counts.len())
    }

    /// The smallest value in nanoseconds, right to 3 digits; 0 when empty.
    pub fn min(&self) -> Nanos {
        self.counts.as_ref().map_or(0, |counts| counts.min())
    }

    /// The largest value in nanoseconds, right to 3 digits; 0 when empty, at most about an hour
    /// (see [`overflow`](Histogram::overflow)).
    pub fn max(&self) -> Nanos {
        self.counts.as_ref().map_or(0, |counts| counts.max())
    }

    /// The mean in nanoseconds, right to 3 digits; 0 when empty.
    pub fn mean(&self) -> f64 {
        self.counts.as_ref().filter(|counts| !counts.is_empty()).map_or(0.0, |counts| counts.mean())
    }

    /// Values above an hour, which are counted as an hour.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Every value that was counted, ascending, with how often; right to 3 digits.
    pub fn values(&self) -> impl Iterator<Item = (Nanos, u64)> {
        let counted = self.counts.iter().filter(|counts| !counts.is_empty());
        counted
            .flat_map(|counts| counts.iter_recorded())
            .map(|at| (at.value_iterated_to(), at.count_at_value()))
    }

    /// Forgets all counts and keeps the memory.
    pub fn clear(&mut self) {
        self.overflow = 0;
        if let Some(counts) = self.counts.as_mut().filter(|counts| !counts.is_empty()) {
            counts.reset();
        }
    }

    /// Base64 (RFC 4648, padded) of the uncompressed HDR V2 encoding, which hdrhistogram's tools in all
    /// languages read. An empty histogram encodes too. `overflow` is not part of the format.
    pub fn to_base64_v2(&self) -> String {
        let mut encoded = Vec::new();
        let empty;
        let counts = match &self.counts {
            Some(counts) => counts,
            None => {
                empty = allocate();
                &empty
            }
        };
        V2Serializer::new().serialize(&counts.all, &mut encoded).expect("a Vec takes any number of bytes");
        BASE64.encode(encoded)
    }

    /// Reads what [`to_base64_v2`](Histogram::to_base64_v2) wrote, or another tool's HDR V2 (plain or
    /// compressed) of nanoseconds; `overflow` is what was kept beside it.
    ///
    /// # Errors
    /// Not base64, not HDR V2, or with values above an hour.
    pub fn from_base64_v2(text: &str, overflow: u64) -> Result<Histogram, HistogramError> {
        let encoded = BASE64.decode(text.trim())?;
        let theirs: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut encoded.as_slice())?;
        if theirs.is_empty() {
            return Ok(Histogram { counts: None, overflow });
        }
        // into our own bounds, so that every histogram of this type merges with every other
        let mut counts = allocate();
        counts.all.add(&theirs).map_err(|_| HistogramError::Range { highest_ns: theirs.max() })?;
        counts.many = true;
        Ok(Histogram { counts: Some(counts), overflow })
    }
}

impl PartialEq for Histogram {
    /// Equal counts: one that never recorded equals one that was cleared.
    fn eq(&self, other: &Histogram) -> bool {
        self.overflow == other.overflow
            && match (&self.counts, &other.counts) {
                (Some(mine), Some(theirs)) => mine.all == theirs.all,
                _ => self.is_empty() && other.is_empty(),
            }
    }
}

impl std::fmt::Debug for Histogram {
    /// The summary: 34,000 counts are no help in a failed assertion.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("min", &self.min())
            .field("p50", &self.quantile(0.5))
            .field("max", &self.max())
            .field("overflow", &self.overflow)
            .finish()
    }
}

/// Whether `count` samples are enough to speak of `quantile`: at least six lie beyond it.
///
/// With fewer, the value is that of a handful of stragglers and moves by itself from run to run: p99 needs
/// 600 samples, p99.99 needs 60,000.
pub fn supported(count: u64, quantile: f64) -> bool {
    // 60 * (1 - 0.9) is 5.999999999999999 in floating point
    count as f64 * (1.0 - quantile) >= SAMPLES_BEYOND - 1e-6
}
