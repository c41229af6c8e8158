//! What a bound can be on of what a run cost the broker.

use super::measured::Gap;
use crate::record::{Amount, BrokerCost};
use crate::units::{Count, Size, Span};

/// What a figure is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Time,
    Bytes,
    Count,
}

type Of = fn(&BrokerCost) -> Option<u64>;

/// One of the figures below, by its name.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub name: &'static str,
    pub unit: Unit,
    of: Of,
}

impl PartialEq for Cost {
    fn eq(&self, other: &Cost) -> bool {
        self.name == other.name
    }
}

const MEMORY_PER_CONNECTION: &str = "broker-memory-per-connection";

/// In the order of the summary.
const COSTS: [Cost; 7] = [
    Cost { name: "broker-cpu-per-message", unit: Unit::Time, of: |cost| cost.cpu_per_message_ns },
    Cost { name: MEMORY_PER_CONNECTION, unit: Unit::Bytes, of: |cost| cost.memory_per_connection_bytes },
    Cost { name: "broker-cpu", unit: Unit::Time, of: |cost| Some(cost.measured()?.cpu_ns()) },
    Cost { name: "broker-memory", unit: Unit::Bytes, of: |cost| cost.most_bytes },
    Cost { name: "broker-context-switches", unit: Unit::Count, of: |cost| cost.measured()?.switches() },
    Cost { name: "broker-descriptors", unit: Unit::Count, of: |cost| cost.most_descriptors },
    Cost { name: "broker-throttled", unit: Unit::Time, of: |cost| cost.measured()?.throttled_ns },
];

impl Cost {
    pub fn named(name: &str) -> Option<Cost> {
        COSTS.into_iter().find(|cost| cost.name == name)
    }

    pub fn all() -> impl Iterator<Item = Cost> {
        COSTS.into_iter()
    }

    /// What a record has of it.
    pub fn find(self, cost: Option<&BrokerCost>) -> Result<Amount, Gap> {
        let cost =
            cost.ok_or_else(|| Gap::new("nobody watched the broker: give --broker-pid or --broker-cgroup"))?;
        let why = match cost.whole {
            None => "the broker ended before the run did",
            Some(_) if self.name == MEMORY_PER_CONNECTION && cost.most_bytes.is_some() => {
                "its memory did not grow with the connections: a freshly started broker shows it"
            }
            Some(_) => "this machine or run has no figure of it",
        };
        (self.of)(cost).map(|value| self.unit.amount(value)).ok_or_else(|| Gap::new(why))
    }
}

impl Unit {
    pub fn amount(self, value: u64) -> Amount {
        match self {
            Unit::Time => Amount::Ns(value),
            Unit::Bytes => Amount::Bytes(value),
            Unit::Count => Amount::Count(value),
        }
    }

    /// A limit as it is typed.
    pub fn text(self, limit: u64) -> String {
        match self {
            Unit::Time => Span::from_nanos(limit).to_string(),
            Unit::Bytes => Size::new(limit).to_string(),
            Unit::Count => Count::new(limit).to_string(),
        }
    }
}
