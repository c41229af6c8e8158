//! What a search is over: the one place of the page that knows the unit of a load and the fields that have one.

use crate::record::{Capacity, CapacityRecord, TrialRecord};
use crate::units;

/// What the axis of loads is called.
pub fn title(_: &CapacityRecord) -> &'static str {
    "offered, messages a second"
}

/// A load with its unit.
pub fn amount(_: &CapacityRecord, load: f64) -> String {
    format!("{}/s", units::grouped(load.round() as u64))
}

/// What was offered in a trial.
pub fn offered(trial: &TrialRecord) -> f64 {
    trial.rate_per_s
}

/// What was done of it.
pub fn done(trial: &TrialRecord) -> f64 {
    trial.done_per_s
}

/// The highest load that kept the goal.
pub fn found(result: &Capacity) -> Option<f64> {
    result.capacity_per_s
}

/// The lowest load that did not keep the goal.
pub fn too_much(result: &Capacity) -> Option<f64> {
    result.upper_per_s
}

/// What was done in trials at the load that was found.
pub fn throughput(result: &Capacity) -> Option<f64> {
    result.throughput_per_s
}
