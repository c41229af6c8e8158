//! What came of a scenario: `summary.json` in its folder.

use super::{Over, RecordError};
use crate::clock::Nanos;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Name and version of the format.
pub const SCENARIO_SCHEMA: &str = "malaria-bench/scenario/1";

/// Everything that a scenario did.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScenarioRecord {
    /// Always [`SCENARIO_SCHEMA`].
    pub schema: String,
    /// The file, or the name of a built-in scenario.
    pub scenario: String,
    /// Wall-clock time of the start, RFC 3339 in UTC.
    pub started_at: String,
    /// Version of malaria-bench.
    pub version: String,
    /// The gravest of all.
    pub exit_code: u8,
    /// How many combinations ended with which code: nothing hides behind the gravest.
    pub exit_codes: BTreeMap<u8, usize>,
    /// Combinations that were asked for; fewer were run when somebody interrupted.
    pub planned: usize,
    /// Those that were run.
    pub combinations: Vec<CombinationRecord>,
    /// Brokers against the first of them; empty without repeats.
    pub differences: Vec<BrokerDifference>,
}

/// One run of one combination.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CombinationRecord {
    /// Against which broker, where there are several.
    pub broker: Option<String>,
    /// Of which group.
    pub group: Option<String>,
    /// What is varied, in its order.
    #[serde(serialize_with = "as_object", deserialize_with = "in_order")]
    pub variables: Vec<(String, String)>,
    /// Which of several runs of it this is, from 1; null when it ran once.
    pub repeat: Option<u32>,
    /// Beneath that of the scenario.
    pub directory: String,
    /// How it ended.
    pub exit_code: u8,
    /// What kept steps from running, or records from being read.
    pub problems: Vec<String>,
    /// What it did.
    pub steps: Vec<StepRecord>,
}

/// A step of a combination.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StepRecord {
    /// What it is called.
    pub name: String,
    /// How it ended.
    pub exit_code: u8,
    /// How long it took, in nanoseconds.
    pub elapsed_ns: Nanos,
    /// What it measured; null without a record.
    pub figures: Option<StepFigures>,
    /// Its processes.
    pub sections: Vec<SectionRecord>,
}

/// A process. Its output is in `<name>.stdout` and `<name>.stderr`, its record in `<name>.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SectionRecord {
    /// What it is called.
    pub name: String,
    /// As it would be typed.
    pub command: String,
    /// How it ended.
    pub exit_code: u8,
    /// Whether it left a record.
    pub has_record: bool,
}

/// Counts, rates and latencies of all sections of a step together. What was not measured is null.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StepFigures {
    /// Messages sent,
    pub sent: Option<u64>,
    /// acknowledged,
    pub acked: Option<u64>,
    /// delivered,
    pub delivered: Option<u64>,
    /// and never delivered.
    pub lost: Option<u64>,
    /// Per second, of the measure phase (main job), or between the first and the last message (`publish`,
    /// `subscribe`). Sections that run at once add up.
    pub sent_per_s: Option<f64>,
    /// Of these acknowledged,
    pub acked_per_s: Option<f64>,
    /// and delivered.
    pub delivered_per_s: Option<f64>,
    /// Median of the time to the acknowledgement,
    pub ack_p50_ns: Option<Nanos>,
    /// and its 99th percentile.
    pub ack_p99_ns: Option<Nanos>,
    /// Median of the time to the delivery,
    pub flight_p50_ns: Option<Nanos>,
    /// and its 99th percentile.
    pub flight_p99_ns: Option<Nanos>,
    /// The highest load at which the first goal of a search was kept, or a lower bound of it,
    pub capacity: Option<f64>,
    /// what it is a number of,
    pub capacity_over: Option<Over>,
    /// and whether it is the highest; if not, the broker does at least that.
    pub capacity_regular: Option<bool>,
    /// Whether the figures say nothing of the broker: the generator was the bottleneck, or nothing was measured.
    #[serde(default)]
    pub void: bool,
}

/// A figure of one broker against the same of the first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BrokerDifference {
    /// In which group,
    pub group: Option<String>,
    /// with which variables: `name=value`, with commas between them,
    pub variables: String,
    /// in which step.
    pub step: Option<String>,
    /// The first broker.
    pub base: String,
    /// The other one.
    pub broker: String,
    /// What differs: `flight p99`.
    pub figure: String,
    /// In per cent of the base.
    pub change_percent: f64,
    /// Below the first and above the second it is with a chance of 2 % each, in per cent.
    pub interval_percent: (f64, f64),
    /// How probable so different ranks are without any difference (Mann-Whitney, two-sided),
    pub p: f64,
    /// and with regard to how many differences were looked for (Holm).
    pub p_adjusted: f64,
}

impl ScenarioRecord {
    /// Reads a `summary.json`.
    ///
    /// # Errors
    /// Not JSON, another schema, or a field missing.
    pub fn from_json(text: &str) -> Result<ScenarioRecord, RecordError> {
        let scenario: ScenarioRecord = serde_json::from_str(text)?;
        match scenario.schema == SCENARIO_SCHEMA {
            true => Ok(scenario),
            false => Err(RecordError::Schema { found: scenario.schema, reads: SCENARIO_SCHEMA }),
        }
    }
}

/// An object of texts, whose order says something,
fn as_object<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// and read again.
fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    deserializer.deserialize_map(Pairs)
}
