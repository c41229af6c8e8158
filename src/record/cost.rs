use super::{Phase, Throughput};
use crate::cpu::{Used, Watched};
use serde::{Deserialize, Serialize};

/// What a run cost the broker, as the machine of the generator saw it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BrokerCost {
    /// Who was watched; of several, the figures are their sum.
    pub watched: Vec<Watched>,
    /// From the start of the run to its end; null where one of them ended before.
    pub whole: Option<Used>,
    /// Each phase that was entered, in order.
    pub phases: Vec<PhaseCost>,
    /// Resident memory at the start of the run, in bytes.
    pub at_first_bytes: Option<u64>,
    /// The most resident memory of the whole run, as it was at the end of a second or phase.
    pub most_bytes: Option<u64>,
    /// The most open files and sockets, likewise.
    pub most_descriptors: Option<u64>,
    /// Messages that went into the broker or came out of it in the measure phase: sent and delivered.
    pub messages: u64,
    /// CPU time of the measure phase for each of them, in nanoseconds; null without messages or measure phase.
    pub cpu_per_message_ns: Option<u64>,
    /// By how much its memory had grown when all clients were connected and subscribed, for each of those, in bytes;
    /// null where it had not, as of one that has had as many before.
    pub memory_per_connection_bytes: Option<u64>,
}

/// What one phase cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PhaseCost {
    /// Which one.
    pub phase: Phase,
    /// From its beginning to its end; null where one of the watched had ended by then.
    pub used: Option<Used>,
}

impl BrokerCost {
    /// With what follows for each of the messages of the measure phase, and for each of so many connections.
    pub fn per(self, throughput: &Throughput, connections: u64) -> BrokerCost {
        let messages = throughput.sent + throughput.delivered;
        let each = |sum: u64, count: u64| sum.checked_div(count).filter(|each| *each > 0);
        let measured = self.measured();
        let connected = self.of(Phase::Subscribe).or(self.of(Phase::Connect));
        let grown = connected
            .and_then(|used| used.resident_bytes?.checked_sub(self.at_first_bytes?))
            .and_then(|bytes| each(bytes, connections));
        BrokerCost {
            messages,
            cpu_per_message_ns: measured.and_then(|used| each(used.cpu_ns(), messages)),
            memory_per_connection_bytes: grown,
            ..self
        }
    }

    /// What was measured: the measure phase, or all of what has no phases.
    pub fn measured(&self) -> Option<Used> {
        if self.phases.is_empty() { self.whole } else { self.of(Phase::Measure) }
    }

    /// What a phase cost.
    pub fn of(&self, phase: Phase) -> Option<Used> {
        self.phases.iter().find(|cost| cost.phase == phase)?.used
    }
}
