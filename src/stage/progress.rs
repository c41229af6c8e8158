//! The state of a run, for whoever watches it.

use crate::clock::Nanos;
use crate::record::{Phase, Pressure, Used};
use crate::stats::{Counters, Interval, Latencies, Levels, Strain};
use std::sync::Arc;

/// The state of a run, about once a second.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Since the start of the run.
    pub elapsed: Nanos,
    /// Clients in all.
    pub clients: u64,
    /// The phase, in a run that has some.
    pub phase: Option<Phase>,
    /// How long it still lasts at most, where that is known.
    pub left: Option<Nanos>,
    /// Whether the second is no whole one of its phase.
    pub part: bool,
    /// How far a search is, in words.
    pub outlook: Option<String>,
    /// What happened in the second that has just ended.
    pub second: Interval,
    /// What was timed in it of messages that are measured.
    pub measured: Latencies,
    /// Clients connected at its end.
    pub connected: u64,
    /// How each worker fared in it.
    pub workers: Vec<Strain>,
    /// What the machine took in it.
    pub pressure: Pressure,
    /// What the broker used in it, where it was watched.
    pub broker: Option<Used>,
    /// What others told of it last, by the names of the series.
    pub metrics: Vec<(Arc<str>, Option<f64>)>,
    /// What was counted so far, of what is measured.
    pub total: Counters,
    /// The same with its histograms, shared with who counts on: whoever keeps it has it copied.
    pub so_far: Arc<Interval>,
    /// Where the workers stand.
    pub levels: Levels,
    /// Listeners and responders that have not subscribed yet, nor failed.
    pub pending: u64,
    /// Messages that are still expected; `None` without an expectation.
    pub missing: Option<u64>,
    /// Messages the broker dropped since the first report of it; `None` without one.
    pub dropped: Option<u64>,
    /// Messages the broker keeps; `None` without a report.
    pub stored: Option<u64>,
}

impl Progress {
    /// Connections lost and attempts failed in this second.
    pub fn errors(&self) -> u64 {
        let counters = &self.second.counters;
        counters.connections_lost
            + counters.refused_tcp
            + counters.refused_by_connack()
            + counters.connect_timeouts
    }
}
