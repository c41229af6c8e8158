//! Two sides of runs against each other: whether the new one is worse than the base by more than is tolerated.
//!
//! The run is the unit: [`stats::inference`](crate::stats::inference) has the rule. What the generator limited says
//! nothing of the broker and is left out; what one side did not measure passes nothing.

use serde::{Serialize, Serializer};

use super::metric::{Kind, Metric, Tolerated};
use crate::record::{Exit, Outcome, Record};
use crate::stats::inference::{self, ALPHA, Change, Decision, Share, Tolerance};

mod alike;
#[cfg(test)]
mod tests;
mod text;

pub use alike::Unlike;

/// Name and version of the format of a [`Comparison`].
pub const SCHEMA: &str = "malaria-bench/compare/1";

/// The JSON Schema (draft 2020-12) of a [`Comparison`].
pub fn schema() -> &'static str {
    include_str!("compare.schema.json")
}

/// Why less than two runs of a side are no comparison.
pub const FEW: &str = "one run says nothing of how runs scatter: it takes two of each side, better five";

/// The confidence intervals of the sides leave out so much on each side: they are of 95 %.
const BEYOND: f64 = 0.025;

/// What is to be found out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Question {
    /// Tolerances other than the usual ones.
    pub tolerances: Vec<Tolerated>,
    /// What the result rests on; nothing is the usual: what got through a second, its 99th percentile, and the broker's CPU
    /// for each message.
    pub gates: Vec<Metric>,
    /// Whether runs of other machines are compared.
    pub other_machine: bool,
    /// Whether runs of other plans are compared.
    pub other_plan: bool,
}

impl Question {
    fn tolerance(&self, metric: Metric) -> Tolerance {
        let asked = self.tolerances.iter().rev().find(|asked| asked.metric == metric);
        let share = asked.map_or(metric.usual_tolerance(), |asked| asked.share);
        Tolerance { more_is_better: metric.more_is_better(), share }
    }

    /// What the result rests on: of the kinds that a gate has, the first that the base measured.
    fn gates(&self, base: &[&Record], shown: &[Metric]) -> Vec<Metric> {
        if !self.gates.is_empty() {
            return self.gates.clone();
        }
        let measured = |metric: &&Metric| base.iter().any(|run| metric.is_measured(run));
        let first = |kind| shown.iter().filter(|metric| metric.kind() == kind).find(measured).copied();
        [Kind::Rate, Kind::Tail, Kind::Cost].into_iter().filter_map(first).collect()
    }
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// `pass`, `fail`, `inconclusive` or `void`.
    pub result: Verdicted,
    /// See [`Exit`].
    pub exit_code: u8,
    /// Why, in words.
    pub exit_reason: String,
    /// The runs of the base.
    pub base: Side,
    /// The runs of what is new.
    pub new: Side,
    /// What was compared, what the result rests on first.
    pub metrics: Vec<Compared>,
}

/// Whether the new side may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdicted {
    /// It is not worse by more than is tolerated.
    Pass,
    /// It is.
    Fail,
    /// Nobody can tell.
    Inconclusive,
    /// The generator limited too many runs.
    Void,
}

/// The runs of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Side {
    /// Those that were compared.
    pub runs: usize,
    /// Those in which the generator was the bottleneck, or nothing was measured.
    pub void: usize,
}

/// One metric of both sides.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Compared {
    /// What.
    #[serde(serialize_with = "as_text")]
    pub metric: Metric,
    /// Of its values: `ns`, `per_s`, `bytes`, `count`, or `number`: as it was told.
    pub unit: &'static str,
    /// Whether the result rests on it.
    pub gates: bool,
    /// How much worse is tolerated, in per cent of the base.
    pub tolerance_percent: f64,
    /// Null where a run of the base has none.
    pub base: Option<Estimate>,
    /// Null where a run of the new side has none.
    pub new: Option<Estimate>,
    /// Null where one side has no figures, or one alone.
    pub change: Option<Found>,
    /// Whether it is within the tolerance.
    pub result: Verdicted,
    /// Why it is not known; null where it is.
    pub reason: Option<String>,
}

/// A metric of one side.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Estimate {
    /// Of each run.
    pub values: Vec<f64>,
    /// Their geometric mean.
    pub mean: f64,
    /// The 95 % confidence interval of the mean; null with one value.
    pub interval: Option<(f64, f64)>,
    /// The value in the middle.
    pub median: f64,
    /// Coefficient of variation, in per cent; null with one value.
    pub scatter_percent: Option<f64>,
}

/// The change from base to new.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Found {
    /// In per cent of the base.
    pub percent: f64,
    /// Below the first and above the second it is with a chance of 2 % each, in per cent.
    pub interval_percent: (f64, f64),
    /// The smallest change for the worse that would have failed four times of five, in per cent.
    pub smallest_seen_percent: f64,
    /// How many runs of each side that scatter like these would pass four times of five, if nothing has changed; null for more
    /// than a thousand.
    pub runs_to_tell: Option<usize>,
    /// How probable so different ranks are without any change (Mann-Whitney, two-sided).
    pub rank_sum_p: f64,
}

fn as_text<S: Serializer>(metric: &Metric, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(metric)
}

/// Compares the runs of `new` with those of `base`.
///
/// # Errors
/// A side without a run; machines or plans that are not the same, unless the question allows it.
pub fn compare(base: &[Record], new: &[Record], question: &Question) -> Result<Comparison, Unlike> {
    alike::check(base, new, question)?;
    let sides = [base, new].map(Side::of);
    let [base_runs, new_runs] = [base, new].map(sound);
    let metrics = compared(&base_runs, &new_runs, question);
    let [base, new] = sides;
    let (result, outcome) = match few_sound(base, new) {
        Some(reason) => (Verdicted::Void, Outcome { exit: Exit::GeneratorLimited, reason }),
        None => conclude(&metrics, &faults(&base_runs, &new_runs)),
    };
    let Outcome { exit, reason } = outcome;
    let exit_code = exit.code();
    Ok(Comparison { schema: SCHEMA, result, exit_code, exit_reason: reason, base, new, metrics })
}

/// What several runs of one plan have in common, and how they scatter, as a table: a row for each metric. Empty when all
/// are void.
pub fn spread(runs: &[Record]) -> String {
    let sound = sound(runs);
    let Some(first) = sound.first() else { return String::new() };
    let estimate = |metric: &Metric| {
        let values: Option<Vec<f64>> = sound.iter().map(|run| metric.find(run).ok()).collect();
        values.as_deref().and_then(Estimate::of)
    };
    let metrics = Metric::shown(first);
    let rows: Vec<_> =
        metrics.iter().filter_map(|metric| estimate(metric).map(|estimate| (*metric, estimate))).collect();
    text::spread(&rows, Side::of(runs))
}

/// The runs that say something of their broker.
fn sound(runs: &[Record]) -> Vec<&Record> {
    runs.iter().filter(|run| !run.is_void()).collect()
}

impl Side {
    fn of(runs: &[Record]) -> Side {
        let void = runs.iter().filter(|run| run.is_void()).count();
        Side { runs: runs.len() - void, void }
    }

    fn is_void(self) -> bool {
        too_many_void(self.void, self.runs + self.void)
    }
}

/// Whether the generator was the bottleneck in more of these runs than may be left out.
pub fn are_void(runs: &[Record]) -> bool {
    Side::of(runs).is_void()
}

/// Whether `void` of `all` runs are too many: a third may be; with more, what is left is what was lucky.
pub fn too_many_void(void: usize, all: usize) -> bool {
    void == all || void * 3 > all
}

/// Why there are too few runs that say anything; `None` when there are enough.
fn few_sound(base: Side, new: Side) -> Option<String> {
    let (name, side) =
        [("the base", base), ("the new side", new)].into_iter().find(|(_, side)| side.is_void())?;
    let all = side.runs + side.void;
    Some(format!("the generator was the bottleneck in {} of {all} runs of {name}", side.void))
}

/// Faults of new runs, as grave as this or graver, that are more frequent than in those of the base.
struct Fault {
    exit: Exit,
    /// Whether that is more than chance.
    is_certain: bool,
    /// In how many runs, and what it was in the first.
    words: String,
}

/// The faults of the new runs that are more frequent than in the base: what got lost is in no latency.
fn faults(base: &[&Record], new: &[&Record]) -> Vec<Fault> {
    let of = |run: &&Record| Some(Outcome::of(run)).filter(|outcome| is_fault(outcome.exit));
    let [known, found] = [base, new].map(|side| side.iter().filter_map(of).collect::<Vec<_>>());
    let mut faults: Vec<Fault> = Vec::new();
    for Outcome { exit, reason } in &found {
        let share = |faults: &[Outcome], runs: &[&Record]| Share {
            with: faults.iter().filter(|fault| fault.exit.graver(*exit) == fault.exit).count(),
            of: runs.len(),
        };
        let (before, now) = (share(&known, base), share(&found, new));
        let is_certain = match inference::judge_fault(before, now) {
            Decision::Pass => continue,
            Decision::Fail => true,
            Decision::Inconclusive => false,
        };
        let words = format!(
            "a fault in {} of {} new runs, and in {} of {} of the base: {reason}",
            now.with, now.of, before.with, before.of
        );
        if !faults.iter().any(|known| known.exit == *exit) {
            faults.push(Fault { exit: *exit, is_certain, words });
        }
    }
    faults
}

/// A bound that the run had to keep and broke is one, too.
fn is_fault(exit: Exit) -> bool {
    !matches!(exit, Exit::Clean | Exit::GeneratorLimited)
}

fn compared(base: &[&Record], new: &[&Record], question: &Question) -> Vec<Compared> {
    let Some(first) = base.first() else { return Vec::new() };
    let shown = Metric::shown(first);
    let gates = question.gates(base, &shown);
    let rest = question.tolerances.iter().map(|asked| asked.metric).chain(shown);
    let mut metrics = Vec::new();
    for metric in gates.iter().copied().chain(rest) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    let mut pairs: Vec<Pair> = metrics.into_iter().map(|metric| Pair::of(metric, base, new)).collect();
    // what neither side has is of no interest unless it was asked for
    pairs.retain(|pair| gates.contains(&pair.metric) || pair.base.is_ok() || pair.new.is_ok());
    let judged = |of: &[&Pair]| {
        let changes: Vec<_> =
            of.iter().filter_map(|pair| Some((pair.change?, question.tolerance(pair.metric)))).collect();
        inference::judge(&changes)
    };
    let gating: Vec<&Pair> = pairs.iter().filter(|pair| gates.contains(&pair.metric)).collect();
    let mut together = judged(&gating).into_iter();
    let mut done = Vec::new();
    for pair in &pairs {
        let gates = gates.contains(&pair.metric);
        let decision = match pair.change {
            None => None,
            Some(_) if gates => together.next(),
            Some(_) => judged(&[pair]).pop(),
        };
        done.push(pair.compared(gates, question.tolerance(pair.metric), decision));
    }
    done
}

/// A metric of the runs of both sides, or why a run does not have it.
struct Pair {
    metric: Metric,
    base: Result<Vec<f64>, String>,
    new: Result<Vec<f64>, String>,
    change: Option<Change>,
}

impl Pair {
    fn of(metric: Metric, base: &[&Record], new: &[&Record]) -> Pair {
        // all of a side or none: without the runs whose percentile never came, the others would look the better
        let values = |side: &[&Record]| -> Result<Vec<f64>, String> {
            side.iter().map(|run| metric.find(run).map_err(|gap| gap.0)).collect()
        };
        let (base, new) = (values(base), values(new));
        let change = match (&base, &new) {
            (Ok(base), Ok(new)) => Change::between(base, new),
            _ => None,
        };
        Pair { metric, base, new, change }
    }

    fn compared(&self, gates: bool, tolerance: Tolerance, decision: Option<Decision>) -> Compared {
        let [base, new] = [&self.base, &self.new].map(|side| side.as_deref().ok().and_then(Estimate::of));
        let change = self.change.zip(self.base.as_deref().ok()).zip(self.new.as_deref().ok());
        Compared {
            metric: self.metric,
            unit: self.metric.unit(),
            gates,
            tolerance_percent: tolerance.share * 100.0,
            base,
            new,
            change: change.map(|((change, base), new)| Found::of(change, tolerance, base, new)),
            result: decision.map_or(Verdicted::Inconclusive, Verdicted::from),
            reason: self.gap().filter(|_| decision.is_none()),
        }
    }

    /// Why nothing can be said.
    fn gap(&self) -> Option<String> {
        Some(match (&self.base, &self.new) {
            (Err(why), _) => format!("a run of the base does not have it: {why}"),
            (_, Err(why)) => format!("a run of the new side does not have it: {why}"),
            (Ok(base), Ok(new)) if base.len() < 2 || new.len() < 2 => FEW.to_owned(),
            _ => "there is no ratio to 0".to_owned(),
        })
    }
}

impl Estimate {
    fn of(values: &[f64]) -> Option<Estimate> {
        Some(Estimate {
            values: values.to_vec(),
            mean: inference::mean(values)?,
            interval: inference::interval(values, BEYOND),
            median: inference::median(values)?,
            scatter_percent: inference::scatter(values).map(|share| share * 100.0),
        })
    }
}

/// A ratio as a change in per cent.
fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

impl Found {
    fn of(change: Change, tolerance: Tolerance, base: &[f64], new: &[f64]) -> Found {
        let (low, high) = change.interval(ALPHA);
        Found {
            percent: percent(change.ratio()),
            interval_percent: (percent(low), percent(high)),
            smallest_seen_percent: percent(change.smallest_seen(tolerance)),
            runs_to_tell: change.runs_to_tell(base.len(), new.len(), tolerance),
            rank_sum_p: inference::rank_sum(base, new).expect("both sides have values"),
        }
    }
}

impl From<Decision> for Verdicted {
    fn from(decision: Decision) -> Verdicted {
        match decision {
            Decision::Pass => Verdicted::Pass,
            Decision::Fail => Verdicted::Fail,
            Decision::Inconclusive => Verdicted::Inconclusive,
        }
    }
}

/// One failure fails, and only passes pass.
fn conclude(metrics: &[Compared], faults: &[Fault]) -> (Verdicted, Outcome) {
    let gating = || metrics.iter().filter(|metric| metric.gates);
    let changed = |result: Verdicted| {
        gating().filter(move |metric| metric.result == result && metric.change.is_some()).map(text::worse)
    };
    let failed: Vec<String> = changed(Verdicted::Fail).collect();
    let unsure = faults.iter().filter(|fault| !fault.is_certain).map(|fault| fault.words.clone());
    let unknown = text::unknown(gating());
    let open: Vec<String> = unsure.chain(changed(Verdicted::Inconclusive)).chain(unknown).collect();
    let certain = faults.iter().filter(|fault| fault.is_certain);
    let gravest =
        certain.reduce(|one, other| if one.exit.graver(other.exit) == one.exit { one } else { other });
    if let Some(Fault { exit, words, .. }) = gravest {
        return (Verdicted::Fail, Outcome { exit: *exit, reason: words.clone() });
    }
    if !failed.is_empty() {
        return (Verdicted::Fail, Outcome { exit: Exit::Regression, reason: failed.join("; ") });
    }
    if !open.is_empty() || gating().next().is_none() {
        let reason = if open.is_empty() { "nothing was measured".to_owned() } else { open.join("; ") };
        return (Verdicted::Inconclusive, Outcome { exit: Exit::Inconclusive, reason });
    }
    let reason = "nothing is worse by more than is tolerated".to_owned();
    (Verdicted::Pass, Outcome { exit: Exit::Clean, reason })
}
