//! The record: the versioned data model of a run's result, one JSON document.
//!
//! Conventions: times and durations are nanoseconds, and every number that has a unit names it last
//! (`p50_ns`, `memory_bytes`, `rate_per_s`). Times of a run count from its start on one monotonic clock.
//! What was not measured is null. Readers tolerate fields they do not know; a change that breaks readers
//! changes [`SCHEMA`]. The fields are documented at [`Record`] and the types it leads to.

use serde::{Deserialize, Serialize};

use crate::clock::Nanos;
pub use crate::cpu::{By, Machine, Neighbour, Used, Watched};
pub use crate::stats::{Counters, Strain};

mod bounds;
mod calibration;
mod capacity;
mod cost;
mod exit;
mod finished;
mod fleet;
mod latency;
mod metrics;
mod plan;
mod pressure;
mod probes;
#[cfg(test)]
pub(crate) mod samples;
mod scenario;
#[cfg(test)]
mod tests;
mod transport;
mod verdict;

pub use bounds::{Amount, BoundResult, BoundState, Window};
pub use calibration::{Calibrated, Calibration};
pub use capacity::{
    CAPACITY_SCHEMA, Capacity, CapacityRecord, Grade, Over, Purpose, SearchTerms, TrialRecord,
};
pub use cost::{BrokerCost, PhaseCost};
pub use exit::{Exit, Outcome};
pub use finished::Finished;
pub use fleet::{
    FLEET_SCHEMA, FleetRecord, FleetSecond, FlightSample, Heard, ListenEnd, Listener, Publisher, Spread,
};
pub use latency::{Figure, Latencies, Latency, Reading};
pub use metrics::{BrokerMetrics, BrokerSeries, MetricsSource, SeriesKind, SeriesSpan};
pub use plan::{Absence, Arrival, Close, Flap, Part, Plan, Poll, Schedule, Topology, Verify};
pub use pressure::Pressure;
pub use probes::Probes;
pub use scenario::{
    BrokerDifference, CombinationRecord, SCENARIO_SCHEMA, ScenarioRecord, SectionRecord, StepFigures,
    StepRecord,
};
pub use transport::{Transport, TransportKind};
pub use verdict::{Behind, Divergence, Evidence, Judgement, Pace, Sharing, Tail, Verdict};
#[cfg(test)]
pub(crate) use {capacity::samples as capacity_samples, fleet::samples as fleet_samples};

/// Name and version of the record's format.
pub const SCHEMA: &str = "malaria-bench/1";

/// The result of one run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Wall-clock time of the start, RFC 3339 in UTC: `2026-11-22T12:31:07Z`.
    pub started_at: String,
    /// The command line as typed. Never holds a password.
    pub command: Vec<String>,
    /// What was asked, with every default resolved.
    pub plan: Plan,
    /// What made the record.
    pub versions: Versions,
    /// The machine of the generator.
    pub machine: Machine,
    /// What was measured.
    pub broker: Broker,
    /// Verdict on the run itself: which side set the limit.
    pub verdict: Verdict,
    /// Why, in words with the numbers.
    pub verdict_reasons: Vec<String>,
    /// The process's exit code: see [`Exit`].
    pub exit_code: u8,
    /// Why, in words with the numbers.
    pub exit_reason: String,
    /// How the run came to its end.
    pub ended: Ended,
    /// Whether something asked was not done: the rest of the record covers what was measured until then.
    pub partial: bool,
    /// What cut the run short or was missing from it; null unless `partial`.
    pub partial_reason: Option<String>,
    /// Things that the reader of the numbers has to know, in words.
    pub warnings: Vec<String>,
    /// The phases that were entered, in order.
    pub phases: Vec<PhaseTimes>,
    /// Counts. Messages: those whose intended time lies in the measure phase, until the end of the drain.
    /// Connections, subscriptions, pings, bytes and packets: of the whole run.
    pub counts: Counters,
    /// What happened within the measure phase, whatever it was intended for.
    #[serde(default)]
    pub throughput: Throughput,
    /// Latencies. Messages: those whose intended time lies in the measure phase.
    pub latencies: Latencies,
    /// The generator's own health.
    pub generator: Generator,
    /// What the run cost the broker; null where nobody watched it.
    #[serde(default)]
    pub broker_cost: Option<BrokerCost>,
    /// What others told of the broker; null where nobody was asked.
    #[serde(default)]
    pub broker_metrics: Option<BrokerMetrics>,
    /// What the probes had on the same way at the same time; null where there were none.
    #[serde(default)]
    pub probes: Option<Probes>,
    /// How much of what this machine can generate the run used; null where the machine was not calibrated.
    #[serde(default)]
    pub calibration: Option<Calibrated>,
    /// One entry for each second of the run, in order.
    pub series: Vec<Second>,
    /// What the windows were like that bounds are on; empty where none is.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// The bounds it had to keep, as asked; empty where none was.
    #[serde(default)]
    pub bounds: Vec<BoundResult>,
}

/// Messages by when they were sent, acknowledged and delivered, not by when they were intended: of the measure
/// phase, in all. Per second of it, this is what was achieved, and no drain adds to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Throughput {
    /// Messages that the kernel took.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Deliveries.
    pub delivered: u64,
}

/// Versions of what made a record.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Versions {
    /// Version of malaria-bench.
    pub malaria_bench: String,
    /// Number behind the slash of the schema.
    pub record: u32,
}

impl Versions {
    /// Of this program.
    pub fn current() -> Versions {
        Versions { malaria_bench: env!("CARGO_PKG_VERSION").to_owned(), record: 1 }
    }
}

/// The broker that was measured.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Broker {
    /// Addresses that clients were spread over, `ip:port`, resolved.
    pub addresses: Vec<String>,
    /// Whether it was the reflector inside this process.
    pub embedded: bool,
    /// CPUs the embedded reflector was pinned to; empty for any other broker.
    pub cpus: Vec<usize>,
    /// What carried the connections.
    #[serde(default)]
    pub transport: Transport,
    /// Connections that the embedded reflector turned away because it had no room for more; null for any other
    /// broker.
    #[serde(default)]
    pub connections_refused: Option<u64>,
}

/// The phases of a run, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// TCP connections and CONNECT, until every client that will connect has.
    Connect,
    /// SUBSCRIBE, until every SUBACK is in.
    Subscribe,
    /// Messages that are not counted.
    WarmUp,
    /// Messages that are counted.
    Measure,
    /// Waiting for what is under way.
    Drain,
    /// DISCONNECT and the end of all connections.
    Disconnect,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Phase; 6] =
        [Phase::Connect, Phase::Subscribe, Phase::WarmUp, Phase::Measure, Phase::Drain, Phase::Disconnect];

    /// As in the record: `warm-up`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Connect => "connect",
            Phase::Subscribe => "subscribe",
            Phase::WarmUp => "warm-up",
            Phase::Measure => "measure",
            Phase::Drain => "drain",
            Phase::Disconnect => "disconnect",
        }
    }
}

/// When a phase was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// Which one.
    pub phase: Phase,
    /// Start, nanoseconds since the start of the run.
    pub start_ns: Nanos,
    /// End, nanoseconds since the start of the run.
    pub end_ns: Nanos,
}

/// How a run came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All phases went through.
    #[default]
    Completed,
    /// Somebody interrupted it (Ctrl-C, SIGTERM).
    Interrupted,
    /// The broker ended it: unreachable, refusing, gone for good, or violating the protocol.
    Broker,
    /// The machine ended it: a limit, the kernel, an output that could not be written.
    Environment,
    /// A fault of malaria-bench ended it.
    Internal,
    /// A condition of `--abort-on` came true.
    Aborted,
}

/// One second of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Second {
    /// The phase at its end.
    pub phase: Phase,
    /// Its end, nanoseconds since the start of the run.
    pub time_ns: Nanos,
    /// Whether it is no whole second of its phase: one began within it, or the run ended.
    #[serde(default)]
    pub part: bool,
    /// Clients connected at its end.
    pub connected: u64,
    /// Messages that came due in this second.
    pub offered: u64,
    /// Messages handed to the kernel in this second.
    pub sent: u64,
    /// Acknowledgements completed in this second.
    pub acked: u64,
    /// Deliveries that arrived in this second.
    pub delivered: u64,
    /// Messages shed in this second.
    pub shed: u64,
    /// Connections lost in this second.
    pub connections_lost: u64,
    /// The longest time in it that something was due or had arrived and its worker did not look, in nanoseconds.
    #[serde(default)]
    pub stall_ns: Nanos,
    /// How each worker fared in it, in the order of [`Generator::workers`].
    #[serde(default)]
    pub workers: Vec<Strain>,
    /// What the machine took from them in it.
    #[serde(default)]
    pub pressure: Pressure,
    /// What the broker used in it, and holds at its end; null where it was not watched, or had ended.
    #[serde(default)]
    pub broker: Option<Used>,
    /// What was told last of each of [`BrokerMetrics::series`]; empty where nobody was asked.
    #[serde(default)]
    pub metrics: Vec<Option<f64>>,
    /// Median response time of this second's acknowledgements; null with fewer than 12.
    pub ack_p50_ns: Option<Nanos>,
    /// 99th percentile of the same; null with fewer than 600.
    pub ack_p99_ns: Option<Nanos>,
    /// Median response time of this second's deliveries; null with fewer than 12.
    pub flight_p50_ns: Option<Nanos>,
    /// 99th percentile of the same; null with fewer than 600.
    pub flight_p99_ns: Option<Nanos>,
}

/// How the generator itself fared. CPU times, busy shares and enters are of the measure phase.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Generator {
    /// One entry for each worker.
    pub workers: Vec<Worker>,
    /// CPU time of all workers in user code, in nanoseconds. Where the kernel counts in ticks, the sum with
    /// `system_cpu_ns` is exact, and how it splits is sampled.
    pub user_cpu_ns: Nanos,
    /// CPU time of all workers in the kernel, in nanoseconds.
    pub system_cpu_ns: Nanos,
    /// Time of all workers outside of `io_uring_enter`, by the clock, in nanoseconds: their own code, and
    /// whatever interrupted it. Where others run on the same CPU it can be more than the CPU time.
    #[serde(default)]
    pub code_ns: Nanos,
    /// User-space memory for each client, in bytes; null where it was not measured.
    pub bytes_per_client: Option<u64>,
    /// Calls of `io_uring_enter`.
    pub enters: u64,
    /// Sends that found the socket's buffer full, in the measure phase: the broker, or its TCP window, did not read.
    #[serde(default)]
    pub sends_blocked: u64,
    /// Receives that brought bytes, in the measure phase.
    #[serde(default)]
    pub receives: u64,
    /// Receives that found every buffer in use and had to be asked for again, in the measure phase: more came in at
    /// once than the workers heard.
    #[serde(default)]
    pub receives_without_buffer: u64,
    /// Passes that found a completion queue full, in the measure phase: so far behind was a worker.
    #[serde(default)]
    pub queue_full: u64,
    /// Connections that this machine did not let the workers open, in the whole run, for want of ports, files or memory.
    #[serde(default)]
    pub caps_reached: u64,
    /// Time that workers worked on handshakes of transports (TLS, WebSocket), in the whole run, in nanoseconds.
    #[serde(default)]
    pub handshakes_ns: Nanos,
    /// CPUs that a quota leaves to the process; null without one.
    #[serde(default)]
    pub quota_cpus: Option<f64>,
    /// Processes that took 5 % and more of a worker's CPU in the course of the run, the busiest first, as far as they
    /// could be seen and stayed there.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
}

/// One worker: one pinned thread.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Worker {
    /// Number of the CPU it was pinned to.
    pub cpu: usize,
    /// CPU time over wall time, 0 to 1; without what a worker that does not sleep took to look for work.
    pub busy_share: f64,
    /// Time that it was ready to run and something else ran on its CPU, or a quota was used up, over wall time, 0 to 1
    /// (`/proc/thread-self/schedstat`).
    #[serde(default)]
    pub waited_share: f64,
}

impl Generator {
    /// The busiest CPU and its share (0 to 1).
    pub fn busiest_cpu(&self) -> Option<(usize, f64)> {
        self.most(|worker| worker.busy_share)
    }

    /// The CPU whose worker waited longest for it, with its share of the time (0 to 1).
    pub fn starved(&self) -> Option<(usize, f64)> {
        self.most(|worker| worker.waited_share)
    }

    fn most(&self, share: impl Fn(&Worker) -> f64) -> Option<(usize, f64)> {
        let shares = self.workers.iter().map(|worker| (worker.cpu, share(worker)));
        shares.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// What did not go well in the engine, by name: those counts that are not 0.
    pub fn troubles(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = [
            ("sends blocked", self.sends_blocked),
            ("receives without buffer", self.receives_without_buffer),
            ("completion queue full", self.queue_full),
            ("connections that this machine has no room for", self.caps_reached),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0)
    }
}

/// Why a text is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or a field is missing.
    #[error("not a record: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of something else.
    #[error("not a record: it has neither `schema` nor `malaria_bench`")]
    Absent,
    /// A record of another version.
    #[error("the record's schema is `{found}`; this version reads `{reads}`")]
    Schema { found: String, reads: &'static str },
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// Not JSON, another schema, or a field missing.
    pub fn from_json(text: &str) -> Result<Record, RecordError> {
        #[derive(Deserialize)]
        struct Header {
            schema: String,
        }
        // another schema may have any shape, so its name is looked at first
        let Header { schema } = serde_json::from_str(text)?;
        if schema != SCHEMA {
            return Err(RecordError::Schema { found: schema, reads: SCHEMA });
        }
        let mut record: Record = serde_json::from_str(text)?;
        record.judge();
        Ok(record)
    }

    /// Fills in the verdict. It is a function of everything else, so a record that was kept is judged when it is read,
    /// by today's rules, as one that has just been made.
    fn judge(&mut self) {
        Judgement { verdict: self.verdict, reasons: self.verdict_reasons } = Evidence::of(self).judge();
    }

    /// Fills in verdict and exit code from everything else. A run that went through all its phases without
    /// some of its clients or subscriptions has not done what was asked: it is partial, too.
    pub fn conclude(&mut self) {
        self.judge();
        let outcome = Outcome::of(self);
        if outcome.exit == Exit::Broker && !self.partial {
            self.partial = true;
            self.partial_reason = Some(outcome.reason.clone());
        }
        self.exit_code = outcome.exit.code();
        self.exit_reason = outcome.reason;
    }

    /// Whether it says nothing of its broker.
    pub fn is_void(&self) -> bool {
        self.verdict.is_void(self.ended, Outcome::of(self).exit)
    }

    /// What the schedule offers in messages per second of all publishers; 0 in a closed loop.
    pub fn schedule_rate(&self) -> f64 {
        match self.plan.schedule {
            Schedule::Open { rate_per_s, .. } => rate_per_s,
            Schedule::Closed { .. } | Schedule::None => 0.0,
        }
    }

    /// Length of a phase in nanoseconds; `None` when it was not entered.
    pub fn span_of(&self, phase: Phase) -> Option<Nanos> {
        let times = self.phases.iter().find(|times| times.phase == phase)?;
        Some(times.end_ns.saturating_sub(times.start_ns))
    }

    /// `messages` of the measure phase per second of it; `None` when there was none.
    pub fn rate_per_s(&self, messages: u64) -> Option<f64> {
        let span = self.span_of(Phase::Measure).filter(|span| *span > 0)?;
        Some(messages as f64 * 1e9 / span as f64)
    }
}
