//! What was really done, to hold a tool's record against.

use crate::clock::Nanos;
use std::collections::BTreeMap;

/// Something that no sound broker does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A delivery was not made.
    Dropped,
    /// A delivery was made a second time, as another message.
    Duplicated,
    /// A delivery was made a second time, under the same packet id.
    Repeated,
    /// A delivery was made behind the next one of its flow.
    Swapped,
    /// A delivery was made to somebody else.
    Misrouted,
    /// A payload was cut.
    Cut,
    /// A bit of a payload was flipped.
    Flipped,
    /// An answer or a delivery was put off.
    Delayed,
    /// A packet was not answered.
    Unanswered,
    /// A packet was answered with something else.
    Misanswered,
    /// Bytes were sent that belong to nothing.
    Garbage,
    /// A CONNECT was refused.
    Refused,
    /// A SUBSCRIBE was answered with less than it asked for.
    Degraded,
    /// A connection was closed.
    Closed,
    /// A connection was closed at once.
    Reset,
    /// Nothing was read from a connection any more, for a while or for ever.
    Deafened,
    /// The broker stood still.
    Stalled,
    /// A PUBLISH was read, and its connection went before its turn came.
    Unserved,
}

#[cfg(test)]
impl Deed {
    pub(crate) const ALL: [Deed; 18] = [
        Deed::Dropped,
        Deed::Duplicated,
        Deed::Repeated,
        Deed::Swapped,
        Deed::Misrouted,
        Deed::Cut,
        Deed::Flipped,
        Deed::Delayed,
        Deed::Unanswered,
        Deed::Misanswered,
        Deed::Garbage,
        Deed::Refused,
        Deed::Degraded,
        Deed::Closed,
        Deed::Reset,
        Deed::Deafened,
        Deed::Stalled,
        Deed::Unserved,
    ];
}

/// One deed.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Event {
    /// Nanoseconds since the script's first moment of time: [`Zero`](super::Zero); 0 before it.
    pub at_ns: Nanos,
    /// What was done.
    pub did: Deed,
    /// The client that it was done to, by its id; for a delivery the one that should have had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Topic of the message, if it was done to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// What was done, counted.
#[derive(Clone, PartialEq, Eq, Default, Debug, serde::Serialize)]
pub struct Account {
    /// Deliveries that there were to make: one for each subscriber of each message.
    pub routed: u64,
    /// Last acknowledgements (PUBACK, PUBCOMP) that were handed to the kernel, and were right.
    pub acked: u64,
    /// By their kind; what was not done is not in it.
    #[serde(flatten)]
    pub deeds: BTreeMap<Deed, u64>,
}

impl Account {
    /// How often this was done.
    pub fn of(&self, deed: Deed) -> u64 {
        self.deeds.get(&deed).copied().unwrap_or(0)
    }

    /// It was done.
    pub fn note(&mut self, deed: Deed) {
        *self.deeds.entry(deed).or_default() += 1;
    }
}
