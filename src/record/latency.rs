use serde::{Deserialize, Serialize};

use super::verdict::Tail;
use crate::clock::Nanos;
use crate::stats::{self, Histogram, HistogramError};

/// One latency histogram: quantiles to read, and the whole of it to merge.
///
/// Values are right to 3 digits. A percentile is null with fewer than six samples beyond it: p50 needs 12
/// samples, p90 60, p99 600, p99.9 6,000 and p99.99 60,000.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
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

    /// The highest of p99, p90 and p50 that the samples support; `None` with fewer than 12.
    pub fn tail(&self) -> Option<Tail> {
        let candidates = [("p99", self.p99_ns), ("p90", self.p90_ns), ("p50", self.p50_ns)];
        candidates.into_iter().find_map(|(name, ns)| Some(Tail { name, ns: ns? }))
    }
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Latency {
        if histogram.is_empty() {
            return Latency::default();
        }
        Latency {
            count: histogram.count(),
            overflow: histogram.overflow(),
            min_ns: Some(histogram.min()),
            mean_ns: Some(histogram.mean().round() as Nanos),
            p50_ns: histogram.supported_quantile(0.5),
            p90_ns: histogram.supported_quantile(0.9),
            p99_ns: histogram.supported_quantile(0.99),
            p999_ns: histogram.supported_quantile(0.999),
            p9999_ns: histogram.supported_quantile(0.9999),
            max_ns: Some(histogram.max()),
            hdr_v2_base64: histogram.to_base64_v2(),
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

impl From<&stats::Latencies> for Latencies {
    fn from(measured: &stats::Latencies) -> Latencies {
        Latencies {
            tcp_connect: (&measured.tcp_connect).into(),
            connack: (&measured.connack).into(),
            suback: (&measured.suback).into(),
            unsuback: (&measured.unsuback).into(),
            disconnect: (&measured.disconnect).into(),
            ack_response: (&measured.ack_response).into(),
            ack_service: (&measured.ack_service).into(),
            flight_response: (&measured.flight_response).into(),
            flight_service: (&measured.flight_service).into(),
            round_trip: (&measured.round_trip).into(),
            lateness: (&measured.lateness).into(),
            wake_lag: (&measured.wake_lag).into(),
            hearing_lag: (&measured.hearing_lag).into(),
        }
    }
}
