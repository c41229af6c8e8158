//! Bounds that a run has to keep, and whether a finished record keeps them; and runs against runs ([`compare`]).
//!
//! A bound is a name, a relation and a value: `ack p99 < 5ms`, `acked >= 10k/s`, `lost == 0`,
//! `success >= 99.9%`. Latencies are right to 3 digits, and so is what is said about them. What was not
//! measured keeps no bound: not a percentile of too few samples, and not `lost == 0` where nothing was to be
//! delivered.
//!
//! ```
//! use malaria_bench::gate::Bound;
//!
//! let bound: Bound = "ack p99.9 <= 20ms".parse()?;
//! assert_eq!(bound.to_string(), "ack p99.9 <= 20ms");
//! # Ok::<(), malaria_bench::gate::BoundError>(())
//! ```

use crate::record::{Amount, BoundResult, BoundState, FleetRecord, Record, Verdict};
use crate::units::{Rate, Span};
use cost::Cost;
use figure::{Count, Share, Statistic, Timing};
use measured::{Gap, Measured};

pub mod compare;
mod cost;
mod figure;
mod fleet;
mod measured;
mod metric;
mod parse;
#[cfg(test)]
mod tests;

pub use metric::{Metric, MetricError, Tolerated};
pub use parse::BoundError;

/// A bound on a figure of a record, from text and to text without loss.
#[derive(Clone, PartialEq, Debug)]
pub struct Bound {
    claim: Claim,
    relation: Relation,
}

/// A figure and the value it is compared with.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Claim {
    Latency {
        of: Timing,
        at: Statistic,
        limit: Span,
    },
    Count {
        of: Count,
        limit: u64,
    },
    Rate {
        of: Count,
        limit: Rate,
    },
    /// A count as a share of what it is a part of.
    Part {
        of: Count,
        limit: Percent,
    },
    Share {
        of: Share,
        limit: Percent,
    },
    /// What the broker used.
    Cost {
        of: Cost,
        limit: u64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
    Exactly,
}

impl Relation {
    fn holds<T: PartialOrd>(self, found: T, limit: T) -> bool {
        match self {
            Relation::Below => found < limit,
            Relation::AtMost => found <= limit,
            Relation::Above => found > limit,
            Relation::AtLeast => found >= limit,
            Relation::Exactly => found == limit,
        }
    }
}

/// 0 to 100.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
struct Percent(f64);

impl Percent {
    fn new(percent: f64) -> Option<Percent> {
        (0.0..=100.0).contains(&percent).then_some(Percent(percent))
    }

    fn get(self) -> f64 {
        self.0
    }
}

/// Judges `bounds`, puts what came of them into the record, and concludes it anew: the exit code is that of a
/// run that had to keep them.
pub fn judge(bounds: &[Bound], record: &mut Record) {
    record.bounds = results(bounds, record);
    record.conclude();
    void(&mut record.bounds, record.verdict);
}

/// The same for a fleet.
pub fn judge_fleet(bounds: &[Bound], record: &mut FleetRecord) {
    record.bounds = results(bounds, record);
    record.conclude();
    void(&mut record.bounds, record.verdict);
}

/// The figures of a generator that was the bottleneck neither keep a bound nor break one.
fn void(results: &mut [BoundResult], verdict: Verdict) {
    if verdict == Verdict::GeneratorLimited {
        results.iter_mut().for_each(|result| result.result = BoundState::Void);
    }
}

/// One line for each bound: `bound ack p99 < 5ms: 4.20 ms, held`. Empty without bounds.
pub fn text(results: &[BoundResult]) -> String {
    results.iter().map(|result| format!("bound {result}\n")).collect()
}

fn results(bounds: &[Bound], record: &impl Measured) -> Vec<BoundResult> {
    bounds.iter().map(|bound| bound.judge(record)).collect()
}

impl Bound {
    /// Whether it is on a response time, which only a schedule gives: in a closed loop a message is due when the one
    /// before it was answered, so that a slow broker is asked less and looks the better for it.
    pub fn needs_a_schedule(&self) -> bool {
        matches!(self.claim, Claim::Latency { of: Timing::AckResponse | Timing::FlightResponse, .. })
    }

    /// Whether it says how much may be lost.
    pub fn is_on_loss(&self) -> bool {
        let of = match self.claim {
            Claim::Count { of, .. } | Claim::Rate { of, .. } | Claim::Part { of, .. } => of,
            Claim::Latency { .. } | Claim::Share { .. } | Claim::Cost { .. } => return false,
        };
        of.name() == "lost"
    }

    fn judge(&self, record: &impl Measured) -> BoundResult {
        let limit = self.limit();
        let (result, found, reason) = match self.find(record) {
            Ok(found) if self.keeps(found, limit) => (BoundState::Held, Some(found), None),
            Ok(found) => (BoundState::Broken, Some(found), None),
            Err(Gap(reason)) => (BoundState::NotMeasured, None, Some(reason)),
        };
        BoundResult { bound: self.to_string(), result, found, limit, reason }
    }

    fn limit(&self) -> Amount {
        match self.claim {
            Claim::Latency { limit, .. } => Amount::Ns(limit.nanos()),
            Claim::Count { limit, .. } => Amount::Count(limit),
            Claim::Cost { of, limit } => of.amount(limit),
            Claim::Rate { limit, .. } => Amount::PerS(limit.per_second()),
            Claim::Part { limit, .. } | Claim::Share { limit, .. } => Amount::Percent(limit.get()),
        }
    }

    fn find(&self, record: &impl Measured) -> Result<Amount, Gap> {
        Ok(match self.claim {
            Claim::Latency { of, at, .. } => Amount::Ns(measured::statistic(&*record.latency(of)?, at)?),
            Claim::Count { of, .. } => Amount::Count(record.count(of)?),
            Claim::Rate { of, .. } => Amount::PerS(record.rate(of)?),
            Claim::Part { of, .. } => {
                Amount::Percent(measured::percent(record.count(of)?, record.whole(of)?)?)
            }
            Claim::Share { of: Share::Success, .. } => Amount::Percent(record.success()?),
            Claim::Cost { of, .. } => of.find(record.broker_cost())?,
            Claim::Share { of: Share::Cpu, .. } => Amount::Percent(measured::cpu(record.generator())?),
        })
    }

    fn keeps(&self, found: Amount, limit: Amount) -> bool {
        match (found, limit) {
            (Amount::Ns(found), Amount::Ns(limit))
            | (Amount::Bytes(found), Amount::Bytes(limit))
            | (Amount::Count(found), Amount::Count(limit)) => self.relation.holds(found, limit),
            (Amount::PerS(found), Amount::PerS(limit)) | (Amount::Percent(found), Amount::Percent(limit)) => {
                self.relation.holds(found, limit)
            }
            _ => unreachable!("a bound finds what its limit is in"),
        }
    }
}
