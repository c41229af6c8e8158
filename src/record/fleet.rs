//! What came of clients that each follow a script of their own: the commands `publish` and `subscribe`.

use serde::{Deserialize, Serialize};

use super::{
    BoundResult, Broker, BrokerCost, Counters, Ended, Evidence, Generator, Judgement, Latencies, Latency,
    Machine, Outcome, Poll, Pressure, Strain, Used, Verdict, Versions,
};
use crate::clock::Nanos;
use crate::stats::{Histogram, HistogramError, Moments};

mod outcome;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

/// Name and version of the format.
pub const FLEET_SCHEMA: &str = "malaria-bench/fleet/1";

/// The result of a fleet: what every client did, and the same merged. Times are nanoseconds; those of a run
/// count from its start on one monotonic clock.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct FleetRecord {
    /// Always [`FLEET_SCHEMA`].
    pub schema: String,
    /// Wall-clock time of the start, RFC 3339 in UTC.
    pub started_at: String,
    /// The command line as typed. Never holds a password.
    pub command: Vec<String>,
    /// Seed of everything random, as a decimal string.
    pub seed: String,
    /// What made the record.
    pub versions: Versions,
    /// The machine of the generator.
    pub machine: Machine,
    /// What was measured.
    pub broker: Broker,
    /// What clients have of their own, by the columns of the file that it came from; never its content.
    #[serde(default)]
    pub client_columns: Vec<String>,
    /// QoS of publishing (0, 1 or 2).
    pub qos: u8,
    /// Messages due within this span are sent together, in nanoseconds.
    #[serde(default)]
    pub tolerance_ns: Nanos,
    /// How workers waited.
    #[serde(default)]
    pub poll: Poll,
    /// Whether publishers send as soon as the answers to what is under way let them: no pace was asked for.
    #[serde(default)]
    pub closed_loop: bool,
    /// Verdict on the run itself: which side set the limit.
    #[serde(default)]
    pub verdict: Verdict,
    /// Why, in words with the numbers.
    #[serde(default)]
    pub verdict_reasons: Vec<String>,
    /// How the run came to its end.
    pub ended: Ended,
    /// What cut it short; null unless something did.
    pub partial_reason: Option<String>,
    /// The process's exit code: see [`Exit`](super::Exit).
    pub exit_code: u8,
    /// Why, in words with the numbers.
    pub exit_reason: String,
    /// Things that the reader of the numbers has to know, in words.
    pub warnings: Vec<String>,
    /// From the first connect to the end of the last connection.
    pub elapsed_ns: Nanos,
    /// Counts of the whole run.
    pub counts: Counters,
    /// Latencies of the whole run.
    pub latencies: Latencies,
    /// The same as `latencies.round_trip`, where it was before that was there.
    #[serde(default)]
    pub round_trip: Latency,
    /// The generator's own health.
    pub generator: Generator,
    /// Clients that publish, by index.
    pub publishers: Vec<Publisher>,
    /// Clients that subscribe, by index.
    pub listeners: Vec<Listener>,
    /// One entry for each second of the run.
    pub series: Vec<FleetSecond>,
    /// What it cost the broker, from the first connection to the end; null where nobody watched it.
    #[serde(default)]
    pub broker_cost: Option<BrokerCost>,
    /// The bounds it had to keep, as asked; empty where none was.
    #[serde(default)]
    pub bounds: Vec<BoundResult>,
}

impl FleetRecord {
    /// Fills in verdict and exit code from everything else.
    pub fn conclude(&mut self) {
        self.complete();
        let Outcome { exit, reason } = Outcome::of_fleet(self);
        self.exit_code = exit.code();
        self.exit_reason = reason;
    }

    /// Whether it says nothing of its broker.
    pub fn is_void(&self) -> bool {
        self.verdict.is_void(self.ended, Outcome::of_fleet(self).exit)
    }

    /// Fills in the verdict, by today's rules, and what an old record lacks: round trips in one of their two places from
    /// the other (readers know the older one).
    pub(super) fn complete(&mut self) {
        match self.latencies.round_trip.count {
            0 => self.latencies.round_trip = self.round_trip.clone(),
            _ => self.round_trip = self.latencies.round_trip.clone(),
        }
        Judgement { verdict: self.verdict, reasons: self.verdict_reasons } = Evidence::of_fleet(self).judge();
    }

    /// From the first message of all publishers to the last acknowledgement of all, in nanoseconds: what a
    /// rate of the whole fleet is to be taken over. `None` when nothing was sent.
    pub fn publishing_ns(&self) -> Option<Nanos> {
        span(self.publishers.iter().map(|publisher| (publisher.first_ns, publisher.active_ns)))
    }

    /// From the first message of all listeners to the last of all, in nanoseconds; `None` when nothing arrived.
    pub fn listening_ns(&self) -> Option<Nanos> {
        span(self.listeners.iter().map(|listener| (listener.first_ns, listener.active_ns)))
    }
}

/// What the spans from `first` on, as long as `active`, cover from end to end.
fn span(spans: impl Iterator<Item = (Option<Nanos>, Nanos)>) -> Option<Nanos> {
    let ends = spans.filter_map(|(first, active)| Some((first?, first?.saturating_add(active))));
    let (first, last) = ends.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))?;
    Some(last - first)
}

/// What one publishing client did.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Publisher {
    /// Its client identifier.
    pub client_id: String,
    /// Messages it was to send; null when time or a signal was to end it.
    pub planned: Option<u64>,
    /// Messages that came due: those sent, those unfinished, and those that could not be sent by the end.
    pub generated: u64,
    /// Messages that the kernel took; above QoS 0 as [`Counters::sent`].
    pub sent: u64,
    /// Messages seen through: PUBACK or PUBCOMP, and at QoS 0 taken by the kernel.
    pub acked: u64,
    /// Messages at QoS 0 written to a connection that ended before the kernel had taken them.
    #[serde(default)]
    pub unfinished: u64,
    /// Requests that were not answered in time, or not by the end. Only with round trips.
    #[serde(default)]
    pub unanswered: u64,
    /// From just before a message was sent to its acknowledgement; empty at QoS 0, which has none.
    pub ack_time: Spread,
    /// Time of the first message, since the start of the run; null when none was sent.
    #[serde(default)]
    pub first_ns: Option<Nanos>,
    /// From the first message to the last acknowledgement (at QoS 0, to the last message), in nanoseconds.
    pub active_ns: Nanos,
    /// Connections established after the first one.
    pub reconnects: u64,
    /// What ended this client before it was done; null when nothing did.
    pub failure: Option<String>,
}

impl Publisher {
    /// Messages that were to be seen through: those planned, and without a plan those that were written.
    pub fn total(&self) -> u64 {
        self.planned.unwrap_or(self.sent + self.unfinished)
    }
}

/// What one subscribing client heard.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Listener {
    /// Its client identifier.
    pub client_id: String,
    /// Filters it subscribed to.
    pub filters: Vec<String>,
    /// Messages that clients were to send, each; null without an expectation.
    pub expected_per_client: Option<u64>,
    /// Publishing clients that were expected; null without an expectation.
    pub expected_clients: Option<u64>,
    /// Messages that were expected in all: from a count, or because the publishers of the same run sent them.
    /// Null without an expectation.
    #[serde(default)]
    pub expected_messages: Option<u64>,
    /// Messages that arrived, duplicates and foreign ones included, `$SYS` not.
    pub received: u64,
    /// Of those, messages whose topic or payload could not be read.
    pub foreign: u64,
    /// Arrivals before everything beneath them: 1 for each message that had come before.
    pub duplicated: u64,
    /// Time of the first message, since the start of the run; null when none arrived.
    #[serde(default)]
    pub first_ns: Option<Nanos>,
    /// From the first message to the last, in nanoseconds.
    pub active_ns: Nanos,
    /// Bytes of payload received.
    pub payload_bytes: u64,
    /// Flight times, by the clocks of the publisher (in the payload) and of this machine. Negative ones,
    /// which mean that the clocks disagree, count as 0 and in `flight_negative`.
    pub flight: Spread,
    /// The same as percentiles and histogram; `missing` is what was expected and never came.
    pub flight_time: Latency,
    /// Messages whose flight time came out negative.
    pub flight_negative: u64,
    /// Flight times of every so many messages in a row, where that was asked for; at most 100,000 of them.
    #[serde(default)]
    pub samples: Vec<FlightSample>,
    /// Every publishing client that was heard, in the order of their ids.
    pub clients: Vec<Heard>,
    /// Clients that were expected and never heard: their ids where they follow from those that were.
    pub never_seen: Vec<String>,
    /// How many clients were expected and never heard.
    pub never_seen_count: u64,
    /// Messages the broker says it dropped since the first report of it.
    pub dropped: Option<u64>,
    /// Messages the broker says it keeps (`$SYS/broker/messages/stored`), as last heard.
    pub stored: Option<u64>,
    /// What ended it.
    pub ended_by: ListenEnd,
    /// What ended this client before it was done; null when nothing did.
    pub failure: Option<String>,
}

impl FleetRecord {
    /// Flight times of all listeners together, with what never came.
    ///
    /// # Errors
    /// When a histogram is not what it should be.
    pub fn flight_time(&self) -> Result<Latency, HistogramError> {
        let mut all = Histogram::default();
        for listener in &self.listeners {
            all.merge(&listener.flight_time.histogram()?);
        }
        Ok(Latency::of(&all, self.listeners.iter().map(|listener| listener.flight_time.missing).sum()))
    }
}

impl Listener {
    /// Messages that were expected in all; `None` without an expectation.
    pub fn expected(&self) -> Option<u64> {
        let each = || Some(self.expected_per_client?.saturating_mul(self.expected_clients?));
        self.expected_messages.or_else(each)
    }

    /// Different messages that arrived.
    pub fn delivered(&self) -> u64 {
        self.readable().saturating_sub(self.duplicated)
    }

    /// Messages that were expected and never came. What a broker that drops, or an interrupt, left no time for may have
    /// been on its way.
    pub fn absent(&self) -> u64 {
        match self.ended_by {
            ListenEnd::Drops | ListenEnd::Interrupted => 0,
            _ => self.expected().unwrap_or(0).saturating_sub(self.delivered()),
        }
    }

    /// Messages that could be read, those that came again included.
    pub fn readable(&self) -> u64 {
        self.received.saturating_sub(self.foreign)
    }

    /// Whether it has all it was to have: everything expected, or all of its time without an expectation.
    pub fn is_complete(&self) -> bool {
        match self.ended_by {
            ListenEnd::Complete => true,
            ListenEnd::Quiet | ListenEnd::Duration => self.expected_messages.is_none(),
            ListenEnd::Drops | ListenEnd::Interrupted | ListenEnd::Failed => false,
        }
    }
}

/// Flight times of some messages in a row.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct FlightSample {
    /// Arrival of the last of them, since the start of the run.
    pub time_ns: Nanos,
    /// Their flight times.
    pub flight: Spread,
}

/// What a listener has of one publishing client.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Heard {
    /// Its client identifier, or what its topics say of it.
    pub client_id: String,
    /// Messages it was to send; null without an expectation.
    pub expected: Option<u64>,
    /// Different messages that arrived.
    pub actual: u64,
    /// Arrivals of messages that had come before.
    pub duplicate: u64,
    /// Numbers of the messages that came more than once, ascending, at most 1,000 of them.
    pub duplicate_ids: Vec<u64>,
    /// Numbers of the messages that are missing, ascending: all of them, up to 16,777,216 over all clients of a
    /// listener. `expected` less `actual` is how many there are.
    pub missing: Vec<u64>,
}

/// Why a listener ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListenEnd {
    /// Every message that was expected has arrived.
    Complete,
    /// Nothing arrived for as long as was allowed.
    Quiet,
    /// The broker reported that it dropped messages.
    Drops,
    /// Its time was up.
    Duration,
    /// Somebody interrupted it.
    #[default]
    Interrupted,
    /// The connection could not be kept.
    Failed,
}

/// Mean, deviation and bounds of a whole population, in nanoseconds; null when nothing was counted.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Size of the population.
    pub count: u64,
    /// Mean.
    pub mean_ns: Option<f64>,
    /// Of the population: divided by its size.
    pub stddev_ns: Option<f64>,
    /// Smallest.
    pub min_ns: Option<Nanos>,
    /// Largest.
    pub max_ns: Option<Nanos>,
}

impl Spread {
    /// Adds the population of `other`, as if both had been counted together, by the method of Chan, Golub and
    /// LeVeque (1983).
    pub fn merge(&mut self, other: &Spread) {
        let (Some(mean), Some(other_mean)) = (self.mean_ns, other.mean_ns) else {
            if self.mean_ns.is_none() {
                *self = *other;
            }
            return;
        };
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let (all, apart) = ((mine + theirs).max(1.0), other_mean - mean);
        let squares = |spread: &Spread| spread.stddev_ns.unwrap_or(0.0).powi(2) * spread.count as f64;
        let squares = squares(self) + squares(other) + apart * apart * mine * theirs / all;
        *self = Spread {
            count: self.count + other.count,
            mean_ns: Some(mean + apart * theirs / all),
            stddev_ns: Some((squares / all).sqrt()),
            min_ns: self.min_ns.into_iter().chain(other.min_ns).min(),
            max_ns: self.max_ns.into_iter().chain(other.max_ns).max(),
        };
    }
}

impl From<&Moments> for Spread {
    fn from(moments: &Moments) -> Spread {
        Spread {
            count: moments.count(),
            mean_ns: moments.mean(),
            stddev_ns: moments.stddev(),
            min_ns: moments.min(),
            max_ns: moments.max(),
        }
    }
}

/// One second of a fleet.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct FleetSecond {
    /// Its end, since the start of the run.
    pub time_ns: Nanos,
    /// Clients connected at its end.
    pub connected: u64,
    /// Clients that are done, at its end.
    pub done: u64,
    /// Messages handed to the kernel in this second.
    pub sent: u64,
    /// Messages acknowledged in this second.
    pub acked: u64,
    /// Messages received in this second.
    pub received: u64,
    /// Connections lost and attempts failed in this second.
    pub errors: u64,
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
    /// Median of this second's acknowledgement times; null with fewer than 12.
    pub ack_p50_ns: Option<Nanos>,
    /// 99th percentile of the same; null with fewer than 600.
    pub ack_p99_ns: Option<Nanos>,
    /// Median of this second's flight times; null with fewer than 12.
    #[serde(default)]
    pub flight_p50_ns: Option<Nanos>,
    /// 99th percentile of the same; null with fewer than 600.
    #[serde(default)]
    pub flight_p99_ns: Option<Nanos>,
}
