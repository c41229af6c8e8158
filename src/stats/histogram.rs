use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

use crate::clock::{Nanos, SECOND};
use std::borrow::Cow;
use std::sync::LazyLock;

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
/// Its memory follows what is in it: nothing before the first value, 16 bytes for each of the first thousand that
/// differ from the one before, and then 270 kB of counts (64 bits wide, because narrower ones of a long run would
/// saturate silently). Values above an hour are counted as an hour *and* as [`overflow`](Histogram::overflow), so
/// that clipping is never silent.
#[derive(Clone, Default)]
pub struct Histogram {
    counts: Option<Box<Counts>>,
    overflow: u64,
}

type Hdr = hdrhistogram::Histogram<u64>;

/// Values that are kept as they came. A worker of a hundred has no more of one kind in a second, needs no 270 kB for
/// them, and to merge them is to count them again, and not to go through all 34,000 counts.
const FEW: usize = 1024;

#[derive(Clone, Default)]
struct Counts {
    /// What was counted, in the order it came, as long as it is few.
    few: Vec<(Nanos, u64)>,
    /// Everything, once it is not; all zero before.
    all: Option<Hdr>,
    many: bool,
}

#[cold]
fn allocate() -> Hdr {
    let all = Hdr::new_with_bounds(LOWEST, HIGHEST, DIGITS);
    all.expect("the bounds are constants that hdrhistogram accepts")
}

/// Tells which values are counted alike.
static SHAPE: LazyLock<Hdr> = LazyLock::new(allocate);

impl Counts {
    #[inline]
    fn record_n(&mut self, value: Nanos, times: u64) {
        if let (true, Some(all)) = (self.many, &mut self.all) {
            return all.saturating_record_n(value, times);
        }
        let full = self.few.len() == FEW;
        match self.few.last_mut() {
            Some(last) if last.0 == value => last.1 = last.1.saturating_add(times),
            _ if full => self.spread().saturating_record_n(value, times),
            _ => self.few.push((value, times)),
        }
    }

    /// Counts what was kept as it came: from now on it is many.
    #[cold]
    fn spread(&mut self) -> &mut Hdr {
        let all = self.all.get_or_insert_with(allocate);
        self.few.drain(..).for_each(|(value, times)| all.saturating_record_n(value, times));
        self.many = true;
        all
    }

    fn add(&mut self, other: &Counts) {
        match &other.all {
            Some(all) if other.many => {
                self.spread().add(all).expect("all histograms of this type have the same bounds");
            }
            _ => other.few.iter().for_each(|&(value, times)| self.record_n(value, times)),
        }
    }

    /// Counts that were not needed this time go back.
    fn reset(&mut self) {
        match &mut self.all {
            Some(all) if self.many => all.reset(),
            all => *all = None,
        }
        self.few.clear();
        self.many = false;
    }

    fn all(&self) -> Cow<'_, Hdr> {
        match &self.all {
            Some(all) if self.many => Cow::Borrowed(all),
            _ => {
                let mut all = allocate();
                self.few.iter().for_each(|&(value, times)| all.saturating_record_n(value, times));
                Cow::Owned(all)
            }
        }
    }
}

impl Histogram {
    /// Counts one value. Some 5 ns while the counts are cached.
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
        self.counts.get_or_insert_default().record_n(value, times);
    }

    /// What was counted, if anything.
    fn counted(&self) -> Option<&Counts> {
        self.counts.as_deref().filter(|counts| counts.many || !counts.few.is_empty())
    }

    /// Everything counted, as other tools have it.
    pub(super) fn all(&self) -> Cow<'_, Hdr> {
        self.counts.as_ref().map_or(Cow::Borrowed(&*SHAPE), |counts| counts.all())
    }

    /// Adds everything `other` has counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.overflow += other.overflow;
        if let Some(theirs) = other.counted() {
            self.counts.get_or_insert_default().add(theirs);
        }
    }

    /// The value at `quantile` (0 to 1) in nanoseconds, right to 3 digits; 0 when empty. Whether so few
    /// samples say anything about it is for [`supported`] to answer.
    pub fn quantile(&self, quantile: f64) -> Nanos {
        self.counted().map_or(0, |counts| counts.all().value_at_quantile(quantile))
    }

    /// The value at `quantile`, or `None` where [`supported`] says that the samples are too few.
    pub fn supported_quantile(&self, quantile: f64) -> Option<Nanos> {
        supported(self.count(), quantile).then(|| self.quantile(quantile))
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.counted().map_or(0, |counts| match &counts.all {
            Some(all) if counts.many => all.len(),
            _ => counts.few.iter().map(|(_, times)| times).sum(),
        })
    }

    /// The smallest value in nanoseconds, right to 3 digits; 0 when empty.
    pub fn min(&self) -> Nanos {
        self.counted().map_or(0, |counts| match &counts.all {
            Some(all) if counts.many => all.min(),
            _ => SHAPE.lowest_equivalent(counts.few.iter().map(|(value, _)| *value).min().unwrap_or(0)),
        })
    }

    /// The largest value in nanoseconds, right to 3 digits; 0 when empty, at most about an hour
    /// (see [`overflow`](Histogram::overflow)).
    pub fn max(&self) -> Nanos {
        self.counted().map_or(0, |counts| match &counts.all {
            Some(all) if counts.many => all.max(),
            _ => SHAPE.highest_equivalent(counts.few.iter().map(|(value, _)| *value).max().unwrap_or(0)),
        })
    }

    /// The mean in nanoseconds, right to 3 digits; 0 when empty.
    pub fn mean(&self) -> f64 {
        self.counted().map_or(0.0, |counts| counts.all().mean())
    }

    /// Values above an hour, which are counted as an hour.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.counted().is_none()
    }

    /// Every value that was counted, ascending, with how often; right to 3 digits.
    pub fn values(&self) -> impl Iterator<Item = (Nanos, u64)> {
        let values = self.counted().map(|counts| {
            let all = counts.all();
            all.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect::<Vec<_>>()
        });
        values.into_iter().flatten()
    }

    /// Forgets all counts and keeps the memory that they needed.
    pub fn clear(&mut self) {
        self.overflow = 0;
        if let Some(counts) = &mut self.counts {
            counts.reset();
        }
    }

    /// Base64 (RFC 4648, padded) of the uncompressed HDR V2 encoding, which hdrhistogram's tools in all
    /// languages read. An empty histogram encodes too. `overflow` is not part of the format.
    pub fn to_base64_v2(&self) -> String {
        let mut encoded = Vec::new();
        V2Serializer::new().serialize(&self.all(), &mut encoded).expect("a Vec takes any number of bytes");
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
        let mut all = allocate();
        all.add(&theirs).map_err(|_| HistogramError::Range { highest_ns: theirs.max() })?;
        Ok(Histogram {
            counts: Some(Box::new(Counts { all: Some(all), many: true, few: Vec::new() })),
            overflow,
        })
    }
}

impl PartialEq for Histogram {
    /// Equal counts: one that never recorded equals one that was cleared.
    fn eq(&self, other: &Histogram) -> bool {
        self.overflow == other.overflow
            && match (self.counted(), other.counted()) {
                (Some(mine), Some(theirs)) => mine.all() == theirs.all(),
                (mine, theirs) => mine.is_none() && theirs.is_none(),
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

/// The fewest samples that are enough to speak of `quantile`, which is below 1.
pub fn samples_for(quantile: f64) -> u64 {
    (SAMPLES_BEYOND / (1.0 - quantile) - 1e-6).ceil() as u64
}

/// Whether `count` samples are enough to speak of `quantile`: at least six lie beyond it.
///
/// With fewer, the value is that of a handful of stragglers and moves by itself from run to run: p99 needs
/// 600 samples, p99.99 needs 60,000.
pub fn supported(count: u64, quantile: f64) -> bool {
    // 60 * (1 - 0.9) is 5.999999999999999 in floating point
    count as f64 * (1.0 - quantile) >= SAMPLES_BEYOND - 1e-6
}
