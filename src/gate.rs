//! Bounds that a run has to keep, and whether a finished record keeps them; and runs against runs ([`compare`]).
//!
//! A bound is a name, a relation and a value: `ack p99 < 5ms`, `acked >= 10k/s`, `lost == 0`,
//! `success >= 99.9%`. Latencies are right to 3 digits, and so is what is said about them. What was not
//! measured keeps no bound: not a percentile of too few samples, and not `lost == 0` where nothing was to be
//! delivered. `ack p99 < 5ms over 10s` is kept where every ten whole seconds of the measure phase keep it.
//! A [`Condition`] is looked at while the run goes on, and ends it when it comes true.
//!
//! ```
//! use malaria_bench::gate::Bound;
//!
//! let bound: Bound = "ack p99.9 <= 20ms".parse()?;
//! assert_eq!(bound.to_string(), "ack p99.9 <= 20ms");
//! # Ok::<(), malaria_bench::gate::BoundError>(())
//! ```

use crate::clock::{Nanos, SECOND};
use crate::record::{Amount, BoundResult, BoundState, FleetRecord, Record, Verdict};
use crate::units::{Rate, Span};
use cost::Cost;
use figure::{Count, Own, Share, Statistic, Timing};
use measured::{Gap, Measured};
use series::Series;

pub mod compare;
mod cost;
mod figure;
mod fleet;
mod measured;
mod metric;
mod parse;
mod series;
#[cfg(test)]
mod tests;
mod watch;
mod windows;

pub use metric::{Metric, MetricError, Tolerated};
pub use parse::BoundError;
pub use watch::{Condition, Ticker, Watch};
pub use windows::Windows;

/// A bound on a figure of a record, from text and to text without loss.
#[derive(Clone, PartialEq, Debug)]
pub struct Bound {
    claim: Claim,
    relation: Relation,
    /// How long each of the windows is in which it has to hold; `None`: it is on the whole.
    over: Option<Span>,
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
    /// What a message or a client costs the generator, in its unit.
    Own {
        of: Own,
        limit: u64,
    },
    Verdict {
        limit: Verdict,
    },
    /// What others told of the broker, in their unit.
    Series {
        of: Series,
        limit: f64,
    },
    /// By how much that rose a second.
    SeriesRate {
        of: Series,
        limit: Rate,
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
    // The verdict may be what is bounded.
    record.conclude();
    record.bounds = results(bounds, record);
    record.conclude();
    void(&mut record.bounds, record.verdict);
}

/// The same for a fleet.
pub fn judge_fleet(bounds: &[Bound], record: &mut FleetRecord) {
    record.conclude();
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

    /// Whether it asks for a tail of response times no longer than messages are held back for others.
    pub fn is_within(&self, tolerance: Nanos) -> bool {
        let is_tail = |at| match at {
            Statistic::Percentile(millionths) => millionths >= 900_000,
            Statistic::Max => true,
            Statistic::Min | Statistic::Mean => false,
        };
        let is_most = matches!(self.relation, Relation::Below | Relation::AtMost);
        match self.claim {
            Claim::Latency { of: Timing::AckResponse | Timing::FlightResponse, at, limit } => {
                is_most && is_tail(at) && limit.nanos() <= tolerance
            }
            _ => false,
        }
    }

    /// Whether it is on windows, which only the main job has.
    pub fn has_windows(&self) -> bool {
        self.over.is_some()
    }

    /// Whether it says how much may be lost.
    pub fn is_on_loss(&self) -> bool {
        let of = match self.claim {
            Claim::Count { of, .. } | Claim::Rate { of, .. } | Claim::Part { of, .. } => of,
            Claim::Latency { .. }
            | Claim::Share { .. }
            | Claim::Cost { .. }
            | Claim::Own { .. }
            | Claim::Series { .. }
            | Claim::SeriesRate { .. }
            | Claim::Verdict { .. } => return false,
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
            Claim::Count { of, limit } => of.0.unit.amount(limit),
            Claim::Cost { of, limit } => of.unit.amount(limit),
            Claim::Own { of, limit } => of.unit().amount(limit),
            Claim::Verdict { limit } => Amount::Verdict(limit),
            Claim::Series { limit, .. } => Amount::Number(limit),
            Claim::Rate { limit, .. } | Claim::SeriesRate { limit, .. } => Amount::PerS(limit.per_second()),
            Claim::Part { limit, .. } | Claim::Share { limit, .. } => Amount::Percent(limit.get()),
        }
    }

    fn find(&self, record: &impl Measured) -> Result<Amount, Gap> {
        if let Some(over) = self.over {
            return self.find_worst(record, over);
        }
        Ok(match self.claim {
            Claim::Latency { of, at, .. } => Amount::Ns(measured::statistic(&*record.latency(of)?, at)?),
            Claim::Count { of, .. } => of.0.unit.amount(record.count(of)?),
            Claim::Rate { of, .. } => Amount::PerS(record.rate(of)?),
            Claim::Part { of, .. } => {
                Amount::Percent(measured::percent(record.count(of)?, record.whole(of)?)?)
            }
            Claim::Share { of: Share::Success, .. } => Amount::Percent(record.success()?),
            Claim::Cost { of, .. } => of.find(record.broker_cost())?,
            Claim::Share { of: Share::Cpu, .. } => Amount::Percent(measured::cpu(record.generator())?),
            Claim::Own { of, .. } => of.unit().amount(record.own(of)?),
            Claim::Verdict { .. } => Amount::Verdict(record.verdict()),
            Claim::Series { of, .. } => Amount::Number(of.find(record.broker_metrics())?),
            Claim::SeriesRate { of, .. } => {
                let rise = of.rise(record.broker_metrics())?;
                let span = record.span().ok_or_else(|| Gap::new("the measure phase was not reached"))?;
                Amount::PerS(rise * SECOND as f64 / span as f64)
            }
        })
    }

    /// What the window has that keeps to the bound least.
    fn find_worst(&self, record: &impl Measured, over: Span) -> Result<Amount, Gap> {
        let least = matches!(self.relation, Relation::Above | Relation::AtLeast);
        match self.claim {
            Claim::Latency { of, at, .. } => record.window(of, at, over, least).map(Amount::Ns),
            Claim::Rate { of, .. } => record.window_rate(of, over, least).map(Amount::PerS),
            _ => unreachable!("nothing else is read with windows"),
        }
    }

    fn keeps(&self, found: Amount, limit: Amount) -> bool {
        match (found, limit) {
            (Amount::Ns(found), Amount::Ns(limit))
            | (Amount::Count(found), Amount::Count(limit))
            | (Amount::Bytes(found), Amount::Bytes(limit)) => self.relation.holds(found, limit),
            (Amount::Verdict(found), Amount::Verdict(limit)) => found == limit,
            (Amount::Number(found), Amount::Number(limit))
            | (Amount::PerS(found), Amount::PerS(limit))
            | (Amount::Percent(found), Amount::Percent(limit)) => self.relation.holds(found, limit),
            _ => unreachable!("a bound finds what its limit is in"),
        }
    }
}
