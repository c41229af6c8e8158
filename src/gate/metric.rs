//! Figures that runs are compared by.

use std::fmt;
use std::str::FromStr;

use super::cost::{Cost, Unit};
use super::figure::{Count, Own, Statistic, Timing};
use super::measured::{self, Gap, Measured};
use super::series::{self, Series};
use crate::record::{Amount, Record, Schedule};
use crate::units;

/// A figure of a run that is above 0, and better when it is more, or less. As text it has the name that bounds know
/// it by: `flight p99`, `acked` (a second of them), `generator-cpu-per-message`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Metric(Of);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Of {
    Latency {
        of: Timing,
        at: Statistic,
    },
    /// Per second.
    Rate(Count),
    /// What it cost the broker.
    Cost(Cost),
    /// CPU time of the generator for each message sent.
    GeneratorCpu,
    /// What others told of the broker, which is taken for a cost.
    Series(Series),
}

/// Costs of a broker that are for what it did, and so the same under any load.
const CPU: &str = "broker-cpu-per-message";
const MEMORY: &str = "broker-memory-per-connection";
const GENERATOR_CPU: &str = "generator-cpu-per-message";

/// Text that is no metric, or no tolerance of one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MetricError {
    /// No such figure.
    #[error(
        "`{0}` is nothing that runs are compared by: expected a rate such as `acked`, a latency such as `flight p99`, a cost \
         such as `broker-cpu-per-message`, `{GENERATOR_CPU}`, or `metric` and a series of --broker-series"
    )]
    Name(String),
    /// Not a name and a share.
    #[error("`{0}` is no tolerance: expected a name and a share above 0%, such as `flight p99=10%`")]
    Tolerance(String),
}

impl Metric {
    /// Those that are shown of runs with the plan of `record`, as far as they are measured: rates, latencies (in a closed
    /// loop service times, for it has no others) and costs.
    pub(super) fn shown(record: &Record) -> Vec<Metric> {
        let rates = ["delivered", "acked", "sent"].map(|name| Of::Rate(Count::named(name).expect("a count")));
        let timings = match record.plan.schedule {
            Schedule::Closed { .. } => [Timing::FlightService, Timing::AckService],
            _ => [Timing::FlightResponse, Timing::AckResponse],
        };
        let tails = [500_000, 990_000, 999_000].map(Statistic::Percentile);
        let latencies = timings.into_iter().flat_map(|of| tails.map(|at| Of::Latency { of, at }));
        let costs = [CPU, MEMORY].map(|name| Of::Cost(Cost::named(name).expect("a cost")));
        let told = Series::all(record.broker_metrics.as_ref()).into_iter().map(Of::Series);
        let own = [Of::GeneratorCpu].into_iter();
        rates.into_iter().chain(latencies).chain(costs).chain(own).chain(told).map(Metric).collect()
    }

    /// Whether it can be what a gate rests on without being asked to: a rate, a 99th percentile, or CPU of the broker for
    /// each message. What the generator costs is not the broker's.
    pub(super) fn kind(self) -> Kind {
        match self.0 {
            Of::Rate(_) => Kind::Rate,
            Of::Latency { at: Statistic::Percentile(990_000), .. } => Kind::Tail,
            Of::Cost(cost) if cost.name == CPU => Kind::Cost,
            Of::Latency { .. } | Of::Cost(_) | Of::GeneratorCpu | Of::Series(_) => Kind::Other,
        }
    }

    /// Whether a run has it, or would have, had it been longer: of a percentile, any sample.
    pub(super) fn is_measured(self, record: &Record) -> bool {
        let of = match self.0 {
            Of::Latency { of, .. } => Metric(Of::Latency { of, at: Statistic::Max }),
            _ => self,
        };
        of.find(record).is_ok()
    }

    /// Whether more of it is better.
    pub fn more_is_better(self) -> bool {
        matches!(self.0, Of::Rate(_))
    }

    /// How much worse is tolerated if nobody says otherwise, as a share: the further out in the tail, the more it
    /// scatters.
    pub fn usual_tolerance(self) -> f64 {
        match self.0 {
            Of::Latency { at: Statistic::Max | Statistic::Percentile(999_000..), .. } => 0.20,
            Of::Latency { at: Statistic::Percentile(990_000..), .. } => 0.10,
            Of::Latency { .. } | Of::Rate(_) => 0.05,
            Of::Cost(_) | Of::GeneratorCpu | Of::Series(_) => 0.03,
        }
    }

    /// Of a run, in its unit.
    pub(super) fn find(self, record: &Record) -> Result<f64, Gap> {
        match self.0 {
            Of::Latency { of, at } => measured::statistic(&*record.latency(of)?, at).map(|ns| ns as f64),
            Of::Rate(count) => record.rate(count),
            Of::Cost(cost) => match cost.find(record.broker_cost())? {
                Amount::Ns(value) | Amount::Bytes(value) | Amount::Count(value) => Ok(value as f64),
                Amount::PerS(value) | Amount::Percent(value) => Ok(value),
                Amount::Number(value) => Ok(value),
                Amount::Verdict(_) => unreachable!("a cost is a number"),
            },
            Of::GeneratorCpu => record.own(Own::CpuPerMessage).map(|ns| ns as f64),
            Of::Series(series) => series.find(record.broker_metrics()),
        }
    }

    /// What its values are in, as the last word of a field's name.
    pub fn unit(self) -> &'static str {
        match self.0 {
            Of::Latency { .. } | Of::GeneratorCpu | Of::Cost(Cost { unit: Unit::Time, .. }) => "ns",
            Of::Cost(Cost { unit: Unit::Bytes, .. }) => "bytes",
            Of::Cost(Cost { unit: Unit::Count, .. }) => "count",
            Of::Rate(_) => "per_s",
            Of::Series(_) => "number",
        }
    }

    /// A value of it for people.
    pub fn show(self, value: f64) -> String {
        match self.0 {
            Of::Latency { .. } | Of::GeneratorCpu => units::latency(value.round() as u64),
            Of::Cost(cost) => match cost.unit {
                Unit::Time => units::latency(value.round() as u64),
                Unit::Bytes => units::bytes(value.round() as u64),
                Unit::Count => units::count(value.round() as u64),
            },
            Of::Rate(_) => units::rate(value),
            Of::Series(series) => units::metric(series.name(), value),
        }
    }
}

/// What a metric is for a gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Rate,
    Tail,
    Cost,
    Other,
}

impl FromStr for Metric {
    type Err = MetricError;

    /// In any case, with spaces, `-` or `_`.
    fn from_str(text: &str) -> Result<Metric, MetricError> {
        let unknown = || MetricError::Name(text.trim().to_owned());
        if text.trim_start().starts_with(series::WORD) {
            let series = Series::split(text).filter(|(_, rest)| rest.is_empty());
            return series.map(|(series, _)| Metric(Of::Series(series))).ok_or_else(unknown);
        }
        let lower = text.to_ascii_lowercase().replace('_', "-");
        let words: Vec<&str> = lower.split_whitespace().collect();
        let whole = words.join("-");
        if whole == GENERATOR_CPU {
            return Ok(Metric(Of::GeneratorCpu));
        }
        if let Some(count) = Count::named(&whole).filter(|count| count.0.has_rate) {
            return Ok(Metric(Of::Rate(count)));
        }
        if let Some(cost) = Cost::named(&whole) {
            return Ok(Metric(Of::Cost(cost)));
        }
        let (last, before) = words.split_last().ok_or_else(unknown)?;
        let of = Timing::named(&before.join("-")).ok_or_else(unknown)?;
        let at = Statistic::named(last).ok_or_else(unknown)?;
        Ok(Metric(Of::Latency { of, at }))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Of::Latency { of, at } => write!(f, "{} {at}", of.name()),
            Of::Rate(count) => f.write_str(count.name()),
            Of::Cost(cost) => f.write_str(cost.name),
            Of::GeneratorCpu => f.write_str(GENERATOR_CPU),
            Of::Series(series) => series.fmt(f),
        }
    }
}

/// How much worse a metric may get: `flight p99=10%`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tolerated {
    /// What.
    pub metric: Metric,
    /// How much, as a share of the base.
    pub share: f64,
}

impl FromStr for Tolerated {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Tolerated, MetricError> {
        let wrong = || MetricError::Tolerance(text.trim().to_owned());
        let (name, share) = text.rsplit_once('=').ok_or_else(wrong)?;
        let metric: Metric = name.parse()?;
        let number = share.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let percent: f64 = number.parse().map_err(|_| wrong())?;
        // what is better when it is more cannot get worse by all of it
        let most = if metric.more_is_better() { 99.0 } else { 1_000.0 };
        let is_share = percent > 0.0 && percent <= most;
        is_share.then_some(Tolerated { metric, share: percent / 100.0 }).ok_or_else(wrong)
    }
}
