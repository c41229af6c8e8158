use serde::{Deserialize, Serialize};

use super::{Counters, Latencies, Latency, Worker};
use crate::clock::Nanos;
use crate::units;

/// What a few clients with few messages had on the way of the load, from a worker of their own. Nothing of it is in any
/// other figure of the record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Probes {
    /// Their worker.
    pub worker: Worker,
    /// Their counts, as those of the load.
    pub counts: Counters,
    /// Their latencies, as those of the load.
    pub latencies: Latencies,
}

impl Probes {
    /// By how much their times may be off: what their worker was late with sending, and with hearing.
    pub fn error_ns(&self) -> Nanos {
        let lags = [&self.latencies.wake_lag, &self.latencies.hearing_lag];
        lags.into_iter().filter_map(Latency::tail).map(|tail| tail.ns).sum()
    }

    /// What of theirs did not come to its end, in words.
    pub fn trouble(&self) -> Option<String> {
        let counts = &self.counts;
        let missing = [
            ("connected", counts.connections_established, counts.connections_asked),
            ("sent", counts.sent, counts.due),
            ("acknowledged", counts.acked, counts.sent),
            ("delivered", counts.delivered, counts.expected),
        ];
        let told = missing.into_iter().filter(|(_, done, asked)| done < asked).map(|(what, done, asked)| {
            format!("{} of {} {what}", units::grouped(done), units::grouped(asked))
        });
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| format!("probes: only {}", told.join(", ")))
    }
}
