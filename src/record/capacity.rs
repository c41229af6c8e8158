//! The record of a search for a capacity.

use super::{Broker, Ended, Exit, Machine, Outcome, Plan, RecordError, Verdict, Versions};
use crate::clock::Nanos;
use crate::units;
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) mod samples;

/// Name and version of the format.
pub const CAPACITY_SCHEMA: &str = "malaria-bench/capacity/1";

/// What a search for the highest rate of a broker was asked, tried and found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CapacityRecord {
    /// Always `malaria-bench/capacity/1`.
    pub schema: String,
    /// Wall-clock time of the start, RFC 3339 in UTC.
    pub started_at: String,
    /// The command line as typed. Never holds a password.
    pub command: Vec<String>,
    /// What was asked, with the most that was to be tried of what was searched for.
    pub plan: Plan,
    /// What made the record.
    pub versions: Versions,
    /// The machine of the generator.
    pub machine: Machine,
    /// What was measured.
    pub broker: Broker,
    /// How was searched.
    pub search: SearchTerms,
    /// What was found, goal by goal, in the order they were asked.
    pub results: Vec<Capacity>,
    /// All trials in their order.
    pub trials: Vec<TrialRecord>,
    /// Length of it all, in nanoseconds.
    pub elapsed_ns: Nanos,
    /// How it came to its end.
    pub ended: Ended,
    /// What cut it short, in words; null where nothing did.
    pub partial_reason: Option<String>,
    /// The process's exit code: see [`Exit`].
    pub exit_code: u8,
    /// Why, in words with the numbers.
    pub exit_reason: String,
    /// Things that the reader of the numbers has to know, in words.
    pub warnings: Vec<String>,
}

/// How a capacity is searched: MLRsearch (draft-ietf-bmwg-mlrsearch), with the tests of a trial that the README tells.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SearchTerms {
    /// What is searched: the load of a trial, and the unit of everything that was offered, done and found.
    pub over: Over,
    /// The lowest load that is tried,
    pub lowest: f64,
    /// and the highest.
    pub highest: f64,
    /// By how much the bounds may differ in the end, as a share of the upper one (0 to 1).
    pub width: f64,
    /// Trials that decide about a load in the end,
    pub trials: u32,
    /// and share of them (0 to 1) that may be bad.
    pub exceed_ratio: f64,
    /// Publishing before each trial, in nanoseconds.
    pub settle_ns: Nanos,
    /// Length of a trial, in nanoseconds.
    pub trial_ns: Nanos,
    /// Length of a trial that confirms what was found, in nanoseconds; 0 where nothing was to be confirmed.
    pub confirm_ns: Nanos,
    /// Length of a trial of the curve, in nanoseconds; 0 without one.
    pub curve_ns: Nanos,
    /// Time after which no other trial was begun, in nanoseconds.
    pub limit_ns: Nanos,
}

/// What a load is a number of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// Messages per second of all publishers.
    #[default]
    Rate,
    /// Clients that are connected.
    Clients,
    /// Connections per second.
    ConnectRate,
    /// Subscribers of each message.
    FanOut,
}

impl Over {
    /// So much of it, with its unit.
    pub fn amount(self, load: f64) -> String {
        let number = units::grouped(load.round() as u64);
        match self {
            Over::Rate => format!("{number}/s"),
            Over::Clients => format!("{number} clients"),
            Over::ConnectRate => format!("{number} connects/s"),
            Over::FanOut => format!("{number} subscribers"),
        }
    }

    /// The same where there is little room: `44.3k/s`.
    pub fn short(self, load: f64) -> String {
        match self {
            Over::Rate => units::rate(load),
            Over::Clients | Over::ConnectRate | Over::FanOut => self.amount(load),
        }
    }

    /// The nearest load that there is: of clients and subscribers a whole number.
    pub fn whole(self, load: f64) -> f64 {
        match self {
            Over::Rate | Over::ConnectRate => load,
            Over::Clients | Over::FanOut => load.round().max(1.0),
        }
    }
}

/// What was found for one goal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Capacity {
    /// The bounds that a good trial kept, besides what is asked of each: `flight p99 < 50ms`.
    pub goal: Vec<String>,
    /// The highest load at which the goal was kept, confirmed where that was asked; null where there is none.
    pub capacity: Option<f64>,
    /// The highest load below `upper` that kept it, before anything was confirmed,
    pub lower: Option<f64>,
    /// and the lowest that did not; null where none was found.
    pub upper: Option<f64>,
    /// What was done in the middle one of the trials at `capacity`: MLRsearch's conditional throughput.
    pub throughput: Option<f64>,
    /// Whether both bounds were found, as close to each other as was asked, and confirmed. If not, `capacity` is no
    /// capacity: the broker does at least that.
    pub regular: bool,
    /// What was found, in words.
    pub reason: String,
}

/// What a trial was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To find the bounds.
    Search,
    /// To confirm what was found.
    Confirm,
    /// For the curve of latency over load.
    Curve,
}

/// Whether a trial kept the goals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// It kept all of them.
    Good,
    /// It kept only some of them.
    Mixed,
    /// It kept none.
    Bad,
    /// It says nothing about the broker: the generator was the bottleneck.
    Void,
}

/// One trial.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrialRecord {
    /// What it was for.
    pub purpose: Purpose,
    /// When its measure phase began, in nanoseconds since the start,
    pub start_ns: Nanos,
    /// and how long that was.
    pub span_ns: Nanos,
    /// What was offered.
    pub offered: f64,
    /// What was done of it. Messages: delivered to all their subscribers, or acknowledged where nobody subscribes, or sent
    /// where nobody acknowledges. Clients: connected all the time. Connects: those a second until all were connected.
    /// Subscribers: as many as the share of the deliveries that came.
    pub done: f64,
    /// Whether it kept the goals.
    pub grade: Grade,
    /// Which of them it kept; empty where it says nothing.
    pub kept: Vec<bool>,
    /// Why it is not good; empty where it is.
    pub reason: String,
    /// Verdict as of a run of its own.
    pub verdict: Verdict,
    /// By how much what was under way grew, as a share of what was offered (0.02: of 100 messages two stayed in a queue);
    /// of connects, by how much longer they took.
    pub growth: f64,
    /// From the end of the measure phase until everything was done or given up, in nanoseconds.
    pub drain_ns: Nanos,
    /// Deliveries lost.
    pub lost: u64,
    /// Response times of deliveries, or of acknowledgements where nobody subscribes, or of CONNECT where nobody publishes
    /// or that is what was searched, in nanoseconds; null with too few.
    pub p50_ns: Option<Nanos>,
    /// The 99th percentile.
    pub p99_ns: Option<Nanos>,
    /// The 99.9th percentile.
    pub p999_ns: Option<Nanos>,
    /// The generator's busiest CPU (0 to 1).
    pub generator_busy: f64,
    /// CPU time of the broker for each message that went in or came out, in nanoseconds; null where it was not watched.
    pub broker_cpu_per_message_ns: Option<u64>,
    /// The most resident memory that the broker had so far, in bytes; null where it was not watched.
    pub broker_most_bytes: Option<u64>,
}

impl CapacityRecord {
    /// Reads what `capacity --json` wrote.
    ///
    /// # Errors
    /// Not JSON, another schema, or a field missing.
    pub fn from_json(text: &str) -> Result<CapacityRecord, RecordError> {
        let record: CapacityRecord = serde_json::from_str(text)?;
        match record.schema == CAPACITY_SCHEMA {
            true => Ok(record),
            false => Err(RecordError::Schema { found: record.schema, reads: CAPACITY_SCHEMA }),
        }
    }

    /// Decides on the exit code, from everything else.
    pub fn conclude(&mut self) {
        let Outcome { exit, reason } = self.outcome();
        (self.exit_code, self.exit_reason) = (exit.code(), reason);
    }

    fn outcome(&self) -> Outcome {
        let exit = match self.ended {
            Ended::Internal => Some(Exit::Internal),
            Ended::Interrupted => Some(Exit::Interrupted),
            Ended::Environment => Some(Exit::Environment),
            Ended::Broker => Some(Exit::Broker),
            Ended::Aborted => Some(Exit::Bounds),
            Ended::Completed => None,
        };
        if let Some(exit) = exit {
            let reason = self.partial_reason.clone().unwrap_or_else(|| exit.name().to_owned());
            return Outcome { exit, reason };
        }
        if !self.trials.iter().any(|trial| trial.grade != Grade::Void) {
            let last = self.trials.last().map_or("no trial was made", |trial| &trial.reason);
            let reason = format!("the generator was the bottleneck in every trial: {last}");
            return Outcome { exit: Exit::GeneratorLimited, reason };
        }
        let irregular = self.results.iter().filter(|result| !result.regular);
        let reasons: Vec<_> = irregular.map(|result| result.reason.clone()).collect();
        match reasons.is_empty() {
            true => Outcome { exit: Exit::Clean, reason: "a capacity was found for every goal".into() },
            false => Outcome { exit: Exit::Inconclusive, reason: reasons.join("; ") },
        }
    }
}
