//! A [`Snapshot`] in the words of Prometheus: OpenMetrics 1.0 as text, and the protobuf that has native histograms.
//!
//! Names are those of the record: its `counts` as counters, its `latencies` as histograms.

use super::snapshot::Snapshot;
use crate::clock::{Nanos, SECOND};
use crate::record::Phase;
use crate::stats::{Histogram, Latencies, Strain};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NativeHistogram, NativeHistogramBuckets,
    NoLabelSet, prometheus_protobuf, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;

/// How a scrape is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Text, with classic histograms.
    OpenMetrics,
    /// Prometheus's own messages, with classic and native histograms.
    Protobuf,
}

impl Format {
    /// The best that a request's `Accept` allows; text for everybody who does not say.
    pub fn accepted(accept: &str) -> Format {
        let native = |kind: &str| {
            kind.contains("application/vnd.google.protobuf")
                && kind.contains("proto=io.prometheus.client.MetricFamily")
                && kind.contains("encoding=delimited")
        };
        // Prometheus names protobuf first only where it is to be had with native histograms.
        if accept.split(',').next().is_some_and(native) { Format::Protobuf } else { Format::OpenMetrics }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// Everything of `snapshot`.
    pub fn write(self, snapshot: Snapshot) -> Vec<u8> {
        let mut registry = Registry::with_prefix("malaria");
        registry.register_collector(Box::new(snapshot));
        match self {
            Format::OpenMetrics => {
                let mut written = String::new();
                text::encode(&mut written, &registry).expect("a string takes any number of bytes");
                written.into_bytes()
            }
            Format::Protobuf => {
                prometheus_protobuf::encode_to_vec(&registry).expect("a Vec takes any number of bytes")
            }
        }
    }
}

/// Upper bounds of the classic buckets.
const BOUNDS: [Nanos; 21] = {
    const US: Nanos = SECOND / 1_000_000;
    const MS: Nanos = SECOND / 1_000;
    [
        10 * US,
        25 * US,
        50 * US,
        100 * US,
        250 * US,
        500 * US,
        MS,
        2_500 * US,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        SECOND,
        2_500 * MS,
        5 * SECOND,
        10 * SECOND,
        30 * SECOND,
        60 * SECOND,
    ]
};

/// Native buckets are a factor of 2^(1/2^5) apart, 2.2 %.
const NATIVE: i32 = 5;

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / SECOND as f64
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        to.encode_descriptor("build", "What this is.", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        gauge(to, "elapsed", "Since the start of the run.", Some(&Unit::Seconds), &seconds(self.elapsed))?;
        gauge(to, "clients", "Clients in all.", None, &(self.clients as f64))?;
        gauge(to, "clients_connected", "Clients connected.", None, &(self.levels.connected as f64))?;
        let outstanding = "Messages in backlogs, on their way to the kernel, and in flight.";
        gauge(to, "outstanding", outstanding, None, &(self.levels.outstanding as f64))?;
        if let Some(code) = self.exit_code {
            gauge(to, "exit_code", "Exit code of the run that is over.", None, &f64::from(code))?;
        }
        self.phases(to)?;
        self.counts(to)?;
        self.workers(to)?;
        self.machine(to)?;
        self.broker(to)?;
        for ((name, times), help) in self.measured.histograms.iter().zip(Latencies::HELP) {
            histogram(to, name, help, times)?;
        }
        Ok(())
    }
}

impl Snapshot {
    fn phases(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(now) = self.phase else { return Ok(()) };
        let help = "1 for the phase that the run is in, 0 for the others.";
        let mut family = to.encode_descriptor("phase", help, None, MetricType::Gauge)?;
        for phase in Phase::ALL {
            let label = [("phase", phase.name())];
            family.encode_family(&label)?.encode_gauge(&f64::from(u8::from(phase == now)))?;
        }
        Ok(())
    }

    fn counts(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, count) in self.counts.iter() {
            counter(to, name, help, None, &count)?;
        }
        let help = "Connections refused with a CONNACK, by its return code.";
        let mut family = to.encode_descriptor("refused", help, None, MetricType::Counter)?;
        for (code, count) in self.counts.refused.iter().enumerate().skip(1) {
            let label = [("code", code.to_string())];
            family.encode_family(&label)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        Ok(())
    }

    fn workers(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Sum = (&'static str, &'static str, fn(&Strain) -> Nanos);
        let sums: [Sum; 2] = [
            ("worker_cpu", "CPU time of a worker.", |sum| sum.busy_ns),
            ("worker_waited", "Time that a worker was ready to run and something else ran.", |sum| {
                sum.waited_ns
            }),
        ];
        for (name, help, of) in sums {
            let mut family = to.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
            for (worker, sum) in self.workers.iter().enumerate() {
                let label = [("worker", worker.to_string())];
                let value = seconds(of(sum));
                family.encode_family(&label)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        let help =
            "The longest that a worker did not look at what was due or had arrived, of the last second.";
        let mut family =
            to.encode_descriptor("worker_stall", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (worker, stall) in self.stalls.iter().enumerate() {
            let label = [("worker", worker.to_string())];
            family.encode_family(&label)?.encode_gauge(&seconds(*stall))?;
        }
        Ok(())
    }

    fn machine(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (unit, pressure) = (Some(&Unit::Seconds), &self.pressure);
        let stolen = "Time that the host ran something else instead of this machine.";
        counter(to, "machine_stolen", stolen, unit, &seconds(pressure.stolen_ns))?;
        let others = "Time that the workers' CPUs worked for others.";
        counter(to, "machine_others", others, unit, &seconds(pressure.others_ns))?;
        counter(to, "machine_throttled", "Time that a CPU quota took.", unit, &seconds(pressure.throttled_ns))
    }
}

impl Snapshot {
    /// What the broker used, and what others tell of it: gauges whatever they are, for they are as they were told.
    fn broker(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(used) = &self.broker {
            let help = "CPU time of the broker.";
            let mut family =
                to.encode_descriptor("broker_cpu", help, Some(&Unit::Seconds), MetricType::Counter)?;
            for (mode, nanos) in [("user", used.user_cpu_ns), ("system", used.system_cpu_ns)] {
                let label = [("mode", mode)];
                let value = seconds(nanos);
                family.encode_family(&label)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
            let memory = "Resident memory of the broker.";
            told(used.resident_bytes, |bytes| {
                gauge(to, "broker_memory", memory, Some(&Unit::Bytes), &bytes)
            })?;
            let files = "Open files and sockets of the broker.";
            told(used.descriptors, |count| gauge(to, "broker_descriptors", files, None, &count))?;
            let switches = "Context switches of the broker.";
            told(used.switches(), |count| counter(to, "broker_context_switches", switches, None, &count))?;
            let quota = "Time that a quota took from the broker.";
            told(used.throttled_ns.map(|nanos| nanos as f64 / SECOND as f64), |time| {
                counter(to, "broker_throttled", quota, Some(&Unit::Seconds), &time)
            })?;
        }
        let values = || self.metrics.iter().filter_map(|(name, value)| Some((name.as_ref(), (*value)?)));
        if values().next().is_some() {
            let help = "What others tell of the broker.";
            let mut family = to.encode_descriptor("broker_metric", help, None, MetricType::Gauge)?;
            for (name, value) in values() {
                let label = [("series", name)];
                family.encode_family(&label)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

/// What there is of a figure.
fn told<T>(figure: Option<T>, encode: impl FnOnce(T) -> fmt::Result) -> fmt::Result {
    figure.map_or(Ok(()), encode)
}

fn gauge(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: &impl EncodeGaugeValue,
) -> fmt::Result {
    to.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(value)
}

fn counter(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: &impl EncodeCounterValue,
) -> fmt::Result {
    to.encode_descriptor(name, help, unit, MetricType::Counter)?
        .encode_counter::<NoLabelSet, _, u64>(value, None)
}

fn histogram(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, times: &Histogram) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> = BOUNDS.iter().map(|bound| (seconds(*bound), 0)).collect();
    buckets.push((f64::INFINITY, 0));
    let (mut zero, mut native) = (0, BTreeMap::new());
    for (value, count) in times.values() {
        buckets[BOUNDS.partition_point(|bound| *bound < value)].1 += count;
        match value {
            0 => zero += count,
            _ => *native.entry(native_index(value)).or_default() += count,
        }
    }
    let (spans, deltas) = sparse(&native);
    let count = times.count();
    let nothing = NativeHistogramBuckets { spans: &[], deltas: &[] };
    let native = NativeHistogram {
        schema: NATIVE,
        zero_threshold: 0.0,
        zero_count: zero,
        negative: nothing,
        positive: NativeHistogramBuckets { spans: &spans, deltas: &deltas },
        created: None,
    };
    to.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?
        .encode_histogram_with_native::<NoLabelSet>(
            times.mean() * count as f64 / SECOND as f64,
            count,
            &buckets,
            None,
            native,
        )
}

/// The native bucket of a time: number i ends with 2^(i / 2^[`NATIVE`]) s, and that is in it.
fn native_index(value: Nanos) -> i32 {
    (seconds(value).log2() * f64::from(1 << NATIVE)).ceil() as i32
}

/// Buckets as Prometheus has them: runs of neighbours, each with its distance from the one before, and of each bucket how
/// much more is in it than in the one before. An empty run says that there would be some.
fn sparse(buckets: &BTreeMap<i32, u64>) -> (Vec<(i32, u32)>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<(i32, u32)>::new(), Vec::new());
    let (mut end, mut last) = (0, 0);
    for (index, count) in buckets {
        match spans.last_mut() {
            Some(run) if *index == end => run.1 += 1,
            _ => spans.push((index - end, 1)),
        }
        deltas.push(*count as i64 - last);
        (end, last) = (index + 1, *count as i64);
    }
    if spans.is_empty() {
        spans.push((0, 0));
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Used;
    use crate::stats::{Counters, Interval};
    use std::sync::Arc;

    fn snapshot(times: &[(Nanos, u64)]) -> Snapshot {
        let mut measured = Interval::default();
        times.iter().for_each(|(value, n)| measured.histograms.ack_response.record_n(*value, *n));
        let counts =
            Counters { sent: 7, bytes_out: 1 << 40, refused: [0, 0, 0, 0, 0, 2], ..Counters::default() };
        let workers = vec![Strain { busy_ns: SECOND / 2, ..Strain::default() }; 2];
        Snapshot {
            measured: Arc::new(measured),
            counts,
            workers,
            stalls: vec![1_500_000, 0],
            phase: Some(Phase::Measure),
            broker: Some(Used {
                user_cpu_ns: SECOND / 4,
                system_cpu_ns: SECOND,
                voluntary_switches: Some(7),
                involuntary_switches: Some(1),
                throttled_ns: None,
                throttled: None,
                resident_bytes: Some(3 << 20),
                descriptors: Some(12),
            }),
            metrics: vec![("up{a=\"b\"}".into(), Some(2.5)), ("missing".into(), None)],
            ..Snapshot::default()
        }
    }

    fn text(times: &[(Nanos, u64)]) -> String {
        String::from_utf8(Format::OpenMetrics.write(snapshot(times))).expect("text")
    }

    #[test]
    fn what_is_scraped_has_the_names_and_numbers_of_the_record() {
        let text = text(&[(30_000, 5), (10_000_000, 2), (100 * SECOND, 1)]);
        for line in [
            "malaria_sent_total 7",
            "malaria_bytes_out_total 1099511627776",
            "malaria_refused_total{code=\"5\"} 2",
            "malaria_refused_total{code=\"1\"} 0",
            "malaria_phase{phase=\"measure\"} 1.0",
            "malaria_phase{phase=\"drain\"} 0.0",
            "malaria_worker_cpu_seconds_total{worker=\"1\"} 0.5",
            "malaria_worker_stall_seconds{worker=\"0\"} 0.0015",
            "malaria_broker_cpu_seconds_total{mode=\"user\"} 0.25",
            "malaria_broker_cpu_seconds_total{mode=\"system\"} 1.0",
            "malaria_broker_memory_bytes 3145728",
            "malaria_broker_descriptors 12",
            "malaria_broker_context_switches_total 8",
            "malaria_broker_metric{series=\"up{a=\\\"b\\\"}\"} 2.5",
            "malaria_ack_response_seconds_count 8",
            "malaria_ack_response_seconds_bucket{le=\"0.000025\"} 0",
            "malaria_ack_response_seconds_bucket{le=\"0.00005\"} 5",
            "malaria_ack_response_seconds_bucket{le=\"60.0\"} 7",
            "malaria_ack_response_seconds_bucket{le=\"+Inf\"} 8",
            "malaria_flight_response_seconds_count 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("exit_code"), "it is not over");
        assert!(!text.contains("broker_throttled") && !text.contains("missing"), "nobody knows: {text}");
    }

    #[test]
    fn native_buckets_end_where_prometheus_says() {
        // Of powers of two each is the last of its bucket.
        assert_eq!((native_index(SECOND), native_index(SECOND + 1), native_index(2 * SECOND)), (0, 1, 32));
        assert_eq!((native_index(SECOND / 2), native_index(SECOND / 4)), (-32, -64));
        let some = BTreeMap::from([(-5, 3), (-4, 1), (7, 4)]);
        assert_eq!(sparse(&some), (vec![(-5, 2), (10, 1)], vec![3, -2, 3]));
        assert_eq!(sparse(&BTreeMap::new()), (vec![(0, 0)], vec![]), "told from one without native buckets");
    }

    /// The widest of Prometheus 2.42 with native histograms, that of 2.42 without, and of curl.
    #[test]
    fn who_asks_for_protobuf_first_has_native_histograms() {
        let protobuf =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let text =
            "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(&format!("{protobuf},{text}")), Format::Protobuf);
        for accept in [text, "*/*", "", "application/vnd.google.protobuf"] {
            assert_eq!(Format::accepted(accept), Format::OpenMetrics, "{accept}");
        }
        let bytes = Format::Protobuf.write(snapshot(&[(1_000_000, 3)]));
        assert!(bytes.windows(28).any(|part| part == b"malaria_ack_response_seconds"), "it is a message");
    }
}
