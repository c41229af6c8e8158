//! Why brokers refuse, in words.

use super::summary::{Count, items};
use crate::stats::Counters;

/// CONNACK return codes in words (section 3.2.2.3 of MQTT 3.1.1).
pub(super) const REFUSALS: [&str; 6] = [
    "with another reason",
    "unacceptable protocol version",
    "identifier rejected",
    "server unavailable",
    "bad user name or password",
    "not authorized",
];

/// Why connections were refused, the reasons that occurred.
pub(super) fn all(counts: &Counters) -> Vec<Count> {
    let reasons = REFUSALS.into_iter().zip(counts.refused).chain([("by TCP", counts.refused_tcp)]);
    reasons.filter(|(_, count)| *count > 0).collect()
}

/// Reasons that a broker of MQTT 5 gave, whatever for.
pub(super) fn reason_codes(counts: &Counters) -> Option<String> {
    let reasons: Vec<Count> = counts.reasons.iter().collect();
    (!reasons.is_empty()).then(|| items(&reasons).join(", "))
}
