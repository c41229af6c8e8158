use super::{Phase, Throughput};
use crate::clock::{Nanos, SECOND};
use serde::{Deserialize, Serialize};

/// What others told of the broker in the course of a run: series of `--broker-metrics`, and topics of `$SYS`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct BrokerMetrics {
    /// Where they were looked for.
    pub sources: Vec<MetricsSource>,
    /// What was told, in the order in which it was asked for.
    pub series: Vec<BrokerSeries>,
}

/// One or several endpoints that are looked at together.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MetricsSource {
    /// `http://broker:9100/metrics`, or `$SYS` of the broker itself.
    pub addresses: Vec<String>,
    /// How often they were looked at.
    pub looks: u64,
    /// How often one of them did not answer.
    pub failures: u64,
    /// What the last failure was; null without one.
    pub error: Option<String>,
    /// What has to be known of what was told; null without anything.
    pub note: Option<String>,
}

/// Whether a series only rises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeriesKind {
    /// It counts, from 0 when its teller started: what matters is by how much it rose.
    Counter,
    /// It is what it is at a moment.
    Gauge,
}

/// A series, or the sum of those that were meant, in the unit in which it was told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BrokerSeries {
    /// As it was asked for: `emqx_messages_dropped{node="a"}`.
    pub name: String,
    /// What it is; null where nobody told it.
    pub kind: Option<SeriesKind>,
    /// Before the run.
    pub before: Option<f64>,
    /// Each phase that was entered, in order.
    pub phases: Vec<SeriesSpan>,
    /// Of a counter: its rise in the measure phase for each message that went into the broker or came out of it.
    pub per_message: Option<f64>,
    /// Of a gauge: by how much it had grown when all clients were connected and subscribed, for each of those.
    pub per_connection: Option<f64>,
}

/// A series in a phase. It is looked at once a second and where phases begin; what was not told is null.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SeriesSpan {
    /// Which one.
    pub phase: Phase,
    /// At its beginning.
    pub first: Option<f64>,
    /// At its end.
    pub last: Option<f64>,
    /// The least of all looks.
    pub least: Option<f64>,
    /// Their mean.
    pub mean: Option<f64>,
    /// The most.
    pub most: Option<f64>,
}

impl SeriesSpan {
    /// By how much it rose; null where its teller began anew.
    pub fn rise(&self) -> Option<f64> {
        Some(self.last? - self.first?).filter(|rise| *rise >= 0.0)
    }
}

impl BrokerSeries {
    /// What was told within a phase.
    pub fn of(&self, phase: Phase) -> Option<&SeriesSpan> {
        self.phases.iter().find(|span| span.phase == phase)
    }

    /// What was told within the measure phase.
    pub fn measured(&self) -> Option<&SeriesSpan> {
        self.of(Phase::Measure)
    }

    /// By how much a counter rose in the measure phase.
    pub fn rise(&self) -> Option<f64> {
        self.measured()?.rise().filter(|_| self.kind == Some(SeriesKind::Counter))
    }

    /// The same for each second of it, which took so long.
    pub fn rise_per_s(&self, span: Nanos) -> Option<f64> {
        Some(self.rise()? * SECOND as f64 / span as f64).filter(|_| span > 0)
    }

    /// With what follows for each of these messages and connections.
    fn per(self, messages: u64, connections: u64) -> BrokerSeries {
        let each = |sum: Option<f64>, count: u64| sum.filter(|_| count > 0).map(|sum| sum / count as f64);
        let connected = self.of(Phase::Subscribe).or(self.of(Phase::Connect)).and_then(|span| span.last);
        let grown = connected.zip(self.before).map(|(last, before)| last - before);
        let grown = grown.filter(|grown| *grown > 0.0 && self.kind == Some(SeriesKind::Gauge));
        BrokerSeries {
            per_message: each(self.rise(), messages),
            per_connection: each(grown, connections),
            ..self
        }
    }
}

impl BrokerMetrics {
    /// With what follows for each of the messages of the measure phase, and for each of so many connections.
    pub fn per(self, throughput: &Throughput, connections: u64) -> BrokerMetrics {
        let messages = throughput.sent + throughput.delivered;
        let series = self.series.into_iter().map(|series| series.per(messages, connections));
        BrokerMetrics { series: series.collect(), ..self }
    }

    /// The same and what was told elsewhere.
    pub fn and(mut self, more: BrokerMetrics) -> BrokerMetrics {
        self.sources.extend(more.sources);
        self.series.extend(more.series);
        self
    }

    /// What the reader has to know: who did not answer, and what nobody told.
    pub fn warnings(&self) -> Vec<String> {
        let failed = self.sources.iter().filter(|source| source.failures > 0).map(|source| {
            let MetricsSource { looks, failures, error, .. } = source;
            let error = error.as_deref().unwrap_or("no answer");
            format!(
                "{failures} of {looks} looks at what the broker tells of itself failed, the last: {error}"
            )
        });
        let unknown: Vec<&str> =
            self.series.iter().filter(|series| series.kind.is_none()).map(|series| &*series.name).collect();
        let answered = self.sources.iter().any(|source| source.failures < source.looks);
        let unknown =
            (answered && !unknown.is_empty()).then(|| format!("nobody tells {}", unknown.join(", ")));
        failed.chain(unknown).collect()
    }
}
