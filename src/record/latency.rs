use serde::{Deserialize, Serialize};

use super::verdict::Tail;
use crate::clock::Nanos;
use crate::stats::{self, Histogram, HistogramError};
use crate::units;
use std::fmt;

/// One latency histogram: quantiles to read, and the whole of it to merge.
///
/// Values are right to 3 digits. A percentile is of everything that was expected, what never came included, which is
/// beyond all that did. It is null where that is what it falls on, and with fewer than six samples beyond it: p50
/// needs 12 samples, p90 60, p99 600, p99.9 6,000 and p99.99 60,000.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// What was expected and never came, and so has no sample.
    #[serde(default)]
    pub missing: u64,
    /// Samples above one hour, counted as one hour in everything below.
    pub overflow: u64,
    /// Smallest, in nanoseconds; null without samples.
    pub min_ns: Option<Nanos>,
    /// Mean, in nanoseconds; null without samples.
    pub mean_ns: Option<Nanos>,
    /// Median, in nanoseconds.
    pub p50_ns: Option<Nanos>,
    /// 90th percentile, in nanoseconds.
    pub p90_ns: Option<Nanos>,
    /// 99th percentile, in nanoseconds.
    pub p99_ns: Option<Nanos>,
    /// 99.9th percentile, in nanoseconds.
    pub p999_ns: Option<Nanos>,
    /// 99.99th percentile, in nanoseconds.
    pub p9999_ns: Option<Nanos>,
    /// Largest, in nanoseconds; null without samples.
    pub max_ns: Option<Nanos>,
    /// The histogram: HDR V2, uncompressed, 3 digits, 1 ns to 1 h, in base64. Empty without samples.
    pub hdr_v2_base64: String,
}

impl Latency {
    /// The histogram, to merge with those of other records.
    ///
    /// # Errors
    /// When `hdr_v2_base64` is not what it should be.
    pub fn histogram(&self) -> Result<Histogram, HistogramError> {
        if self.count == 0 {
            return Ok(Histogram::default());
        }
        Histogram::from_base64_v2(&self.hdr_v2_base64, self.overflow)
    }

    /// Of what was measured, and so much more that was expected and never came.
    pub fn of(histogram: &Histogram, missing: u64) -> Latency {
        let latency = Latency { count: histogram.count(), missing, ..Latency::default() };
        if histogram.is_empty() {
            return latency;
        }
        let at = |figure: Figure| {
            let rank = latency.rank(figure.quantile()).filter(|rank| *rank <= latency.count)?;
            // Half a sample less, so that no rounding makes it the next one.
            Some(histogram.quantile((rank as f64 - 0.5) / latency.count as f64))
        };
        Latency {
            overflow: histogram.overflow(),
            min_ns: Some(histogram.min()),
            mean_ns: Some(histogram.mean().round() as Nanos),
            p50_ns: at(Figure::P50),
            p90_ns: at(Figure::P90),
            p99_ns: at(Figure::P99),
            p999_ns: at(Figure::P999),
            p9999_ns: at(Figure::P9999),
            max_ns: Some(histogram.max()),
            hdr_v2_base64: histogram.to_base64_v2(),
            ..latency
        }
    }

    /// The same with so much that never came.
    ///
    /// # Panics
    /// When `hdr_v2_base64` is not what it should be.
    #[must_use]
    pub fn missing(&self, missing: u64) -> Latency {
        Latency::of(&self.histogram().expect("it was made of one"), missing)
    }

    /// Which of everything expected is at `quantile`, from 1; `None` with too few to tell.
    fn rank(&self, quantile: f64) -> Option<u64> {
        let all = self.count + self.missing;
        stats::supported(all, quantile).then(|| ((all as f64 * quantile).ceil() as u64).clamp(1, all))
    }

    /// Whether what is at `quantile` has never come.
    pub fn is_never(&self, quantile: f64) -> bool {
        self.rank(quantile).is_some_and(|rank| rank > self.count)
    }

    /// What it says by one figure.
    pub fn read(&self, figure: Figure) -> Reading {
        let ns = match figure {
            Figure::Min => self.min_ns,
            Figure::Mean => self.mean_ns,
            Figure::P50 => self.p50_ns,
            Figure::P90 => self.p90_ns,
            Figure::P99 => self.p99_ns,
            Figure::P999 => self.p999_ns,
            Figure::P9999 => self.p9999_ns,
            Figure::Max => self.max_ns,
        };
        match ns {
            _ if figure == Figure::Max && self.missing > 0 => Reading::Never,
            Some(ns) => Reading::Is(ns),
            None if self.is_never(figure.quantile()) => Reading::Never,
            None => Reading::Unknown,
        }
    }

    /// The highest of p99, p90 and p50 that the samples support; `None` with fewer than 12.
    pub fn tail(&self) -> Option<Tail> {
        let candidates = [("p99", self.p99_ns), ("p90", self.p90_ns), ("p50", self.p50_ns)];
        candidates.into_iter().find_map(|(name, ns)| Some(Tail { name, ns: ns? }))
    }
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Latency {
        Latency::of(histogram, 0)
    }
}

/// What a latency is told by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is what it is called")]
pub enum Figure {
    Min,
    Mean,
    P50,
    P90,
    P99,
    P999,
    P9999,
    Max,
}

impl Figure {
    /// Samples that it takes.
    pub fn samples(self) -> u64 {
        match self {
            Figure::Min | Figure::Mean | Figure::Max => 1,
            percentile => stats::samples_for(percentile.quantile()),
        }
    }

    /// The share of everything expected that it is not below, 0 to 1.
    fn quantile(self) -> f64 {
        match self {
            Figure::Min | Figure::Mean => 0.0,
            Figure::P50 => 0.5,
            Figure::P90 => 0.9,
            Figure::P99 => 0.99,
            Figure::P999 => 0.999,
            Figure::P9999 => 0.9999,
            Figure::Max => 1.0,
        }
    }
}

/// What a latency says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// A time in nanoseconds.
    Is(Nanos),
    /// So much has never come.
    Never,
    /// There are too few samples.
    Unknown,
}

impl Reading {
    /// The time, where it is one.
    pub fn nanos(self) -> Option<Nanos> {
        match self {
            Reading::Is(ns) => Some(ns),
            Reading::Never | Reading::Unknown => None,
        }
    }
}

impl fmt::Display for Reading {
    /// `1.40 ms`, `never` or `-`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reading::Is(ns) => f.pad(&units::latency(*ns)),
            Reading::Never => f.pad("never"),
            Reading::Unknown => f.pad("-"),
        }
    }
}

/// Every latency of a run. *Response* times run from the intended send time, *service* times from the
/// hand-over to the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Latencies {
    /// From the start of connecting to the established TCP connection.
    pub tcp_connect: Latency,
    /// From there to the end of the handshake of what carries the connection (TLS, WebSocket), agreed on anew, without
    /// waiting for the generator to have time for it. Empty where there is none.
    pub handshake: Latency,
    /// The same, of sessions that were resumed.
    pub handshake_resumed: Latency,
    /// From CONNECT to CONNACK.
    pub connack: Latency,
    /// From SUBSCRIBE to SUBACK.
    pub suback: Latency,
    /// From UNSUBSCRIBE to UNSUBACK; empty where nobody unsubscribes.
    pub unsuback: Latency,
    /// From DISCONNECT to the broker's end of the connection; empty where that is not waited for.
    pub disconnect: Latency,
    /// Response time of acknowledgements: PUBACK (QoS 1) or PUBCOMP (QoS 2). A message that was given up
    /// without one counts with the time it had waited by then.
    pub ack_response: Latency,
    /// Service time of acknowledgements.
    pub ack_service: Latency,
    /// Response time of delivery: publisher to subscriber, on one monotonic clock.
    pub flight_response: Latency,
    /// Service time of delivery.
    pub flight_service: Latency,
    /// Round trip of a request: from just before it was sent to the arrival of its answer. Empty where nobody
    /// asked for it.
    pub round_trip: Latency,
    /// Hand-over to the kernel minus intended send time, waiting for a blocked connection included.
    pub lateness: Latency,
    /// How late a worker noticed that a message was due: the generator's own fault.
    pub wake_lag: Latency,
    /// From the arrival of bytes, by the kernel's clock, until a worker looked at them: no part of the times above,
    /// and the generator's own fault, too. Empty where the kernel does not tell arrivals (Unix sockets).
    pub hearing_lag: Latency,
}

impl Latencies {
    /// Every latency by its name in the record, in its order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Latency)> {
        [
            ("tcp_connect", &self.tcp_connect),
            ("handshake", &self.handshake),
            ("handshake_resumed", &self.handshake_resumed),
            ("connack", &self.connack),
            ("suback", &self.suback),
            ("unsuback", &self.unsuback),
            ("disconnect", &self.disconnect),
            ("ack_response", &self.ack_response),
            ("ack_service", &self.ack_service),
            ("flight_response", &self.flight_response),
            ("flight_service", &self.flight_service),
            ("round_trip", &self.round_trip),
            ("lateness", &self.lateness),
            ("wake_lag", &self.wake_lag),
            ("hearing_lag", &self.hearing_lag),
        ]
        .into_iter()
    }
}

impl Latencies {
    /// Of what was measured, with so many deliveries that never came.
    pub fn of(measured: &stats::Latencies, lost: u64) -> Latencies {
        Latencies {
            tcp_connect: (&measured.tcp_connect).into(),
            handshake: (&measured.handshake).into(),
            handshake_resumed: (&measured.handshake_resumed).into(),
            connack: (&measured.connack).into(),
            suback: (&measured.suback).into(),
            unsuback: (&measured.unsuback).into(),
            disconnect: (&measured.disconnect).into(),
            ack_response: (&measured.ack_response).into(),
            ack_service: (&measured.ack_service).into(),
            flight_response: Latency::of(&measured.flight_response, lost),
            flight_service: Latency::of(&measured.flight_service, lost),
            round_trip: (&measured.round_trip).into(),
            lateness: (&measured.lateness).into(),
            wake_lag: (&measured.wake_lag).into(),
            hearing_lag: (&measured.hearing_lag).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MILLISECOND;

    /// 1 to `count` milliseconds.
    fn ramp(count: u64) -> Histogram {
        let mut histogram = Histogram::default();
        (1..=count).for_each(|at| histogram.record(at * MILLISECOND));
        histogram
    }

    fn is(reading: Reading, expected: Nanos) -> bool {
        matches!(reading, Reading::Is(ns) if ns.abs_diff(expected) <= expected / 1000)
    }

    #[test]
    fn percentiles_are_of_everything_that_was_expected() {
        let latency = Latency::of(&ramp(900), 100);
        assert!(is(latency.read(Figure::P50), 500 * MILLISECOND), "{latency:?}");
        assert!(is(latency.read(Figure::P90), 900 * MILLISECOND), "the last that came");
        assert_eq!((latency.read(Figure::P99), latency.p99_ns), (Reading::Never, None));
        assert_eq!(latency.read(Figure::P999), Reading::Unknown, "1,000 are too few");
        assert_eq!((latency.read(Figure::Max), latency.max_ns.is_some()), (Reading::Never, true));
        assert!(is(latency.read(Figure::Min), MILLISECOND));
        let one_more = Latency::of(&ramp(899), 101);
        assert_eq!(one_more.read(Figure::P90), Reading::Never);
    }

    #[test]
    fn without_anything_missing_nothing_changes() {
        let (histogram, latency) = (ramp(1000), Latency::from(&ramp(1000)));
        let quantiles = [(latency.p50_ns, 0.5), (latency.p90_ns, 0.9), (latency.p99_ns, 0.99)];
        for (found, quantile) in quantiles {
            assert_eq!(found, histogram.supported_quantile(quantile));
        }
        assert_eq!(latency.read(Figure::Max), Reading::Is(histogram.max()));
        assert_eq!(latency.histogram().unwrap(), histogram);
    }

    #[test]
    fn of_what_never_came_at_all_everything_is_never() {
        let latency = Latency::of(&Histogram::default(), 6000);
        for figure in [Figure::Min, Figure::Mean, Figure::P50, Figure::P99, Figure::P999, Figure::Max] {
            assert_eq!(latency.read(figure), Reading::Never, "{figure:?}");
        }
        assert_eq!(latency.read(Figure::P9999), Reading::Unknown);
        assert_eq!(Latency::default().read(Figure::Max), Reading::Unknown);
        assert_eq!([Reading::Never, Reading::Unknown].map(|reading| reading.to_string()), ["never", "-"]);
    }
}
