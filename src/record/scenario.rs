//! What a scenario left, as far as it is read again: `summary.json` in its folder.

use super::{Over, RecordError};
use crate::clock::Nanos;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// Name and version of the format.
pub const SCENARIO_SCHEMA: &str = "malaria-bench/scenario/1";

/// Every combination that a scenario ran.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Scenario {
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
    /// How many combinations ended with which code.
    pub exit_codes: BTreeMap<u8, usize>,
    /// Combinations that were asked for.
    pub planned: usize,
    /// Those that were run.
    pub combinations: Vec<Combination>,
    /// Brokers against the first of them.
    pub differences: Vec<BrokerDifference>,
}

/// One run of one combination.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Combination {
    /// Against which broker, where there are several.
    pub broker: Option<String>,
    /// Of which group.
    pub group: Option<String>,
    /// What is varied, in its order.
    #[serde(deserialize_with = "in_order")]
    pub variables: Vec<(String, String)>,
    /// Which of several runs of it this is, from 1; null when it ran once.
    pub repeat: Option<u32>,
    /// Beneath the scenario's folder.
    pub directory: String,
    /// How it ended.
    pub exit_code: u8,
    /// What kept steps from running, or records from being read.
    pub problems: Vec<String>,
    /// What it did.
    pub steps: Vec<Step>,
}

/// A step of a combination.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// What it measured; null without a record.
    pub figures: Option<StepFigures>,
}

/// What a step measured. What was not is null.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct StepFigures {
    /// Messages per second.
    pub sent_per_s: Option<f64>,
    /// Of these acknowledged,
    pub acked_per_s: Option<f64>,
    /// and delivered.
    pub delivered_per_s: Option<f64>,
    /// Median of the time to the acknowledgement,
    pub ack_p50_ns: Option<Nanos>,
    /// and its 99th percentile.
    pub ack_p99_ns: Option<Nanos>,
    /// The same of deliveries.
    pub flight_p50_ns: Option<Nanos>,
    /// The same of deliveries.
    pub flight_p99_ns: Option<Nanos>,
    /// Deliveries that never came.
    pub lost: Option<u64>,
    /// Of a search: the highest load at which its first goal was kept, or a lower bound of it,
    #[serde(default)]
    pub capacity: Option<f64>,
    /// what it is a number of,
    #[serde(default)]
    pub capacity_over: Option<Over>,
    /// and whether it is the highest.
    #[serde(default)]
    pub capacity_regular: Option<bool>,
    /// Whether all that says nothing of the broker.
    #[serde(default)]
    pub void: bool,
}

/// A figure of one broker against the same of the first.
#[derive(Clone, PartialEq, Debug, Deserialize)]
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
    /// Between these it is.
    pub interval_percent: (f64, f64),
    /// How probable so different ranks are without any difference, for all comparisons together.
    pub p_adjusted: f64,
}

impl Scenario {
    /// Reads a `summary.json`.
    ///
    /// # Errors
    /// Not JSON, another schema, or a field missing.
    pub fn from_json(text: &str) -> Result<Scenario, RecordError> {
        let scenario: Scenario = serde_json::from_str(text)?;
        match scenario.schema == SCENARIO_SCHEMA {
            true => Ok(scenario),
            false => Err(RecordError::Schema { found: scenario.schema, reads: SCENARIO_SCHEMA }),
        }
    }
}

/// An object of texts, whose order says something.
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
