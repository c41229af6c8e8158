//! The highest load that a broker holds under an objective.
//!
//! Messages: one run, whose connections stay up while one rate after the other is offered. Clients, connects and subscribers:
//! a run for each load. [`crate::search`] says which load comes next, `trial` what came of each. What was found is confirmed by longer trials, and the curve of latency over load drawn around it.

use crate::clock::Nanos;
use crate::gate::{Bound, BoundError};
use crate::record::{
    CAPACITY_SCHEMA, Capacity, CapacityRecord, Ended, Grade, Over, Purpose, Record, SearchTerms, TrialRecord,
};
use crate::run::{Load, Pilot, Trial};
use crate::search::{Found, Outcome, Search, Terms};
use crate::units;
use std::str::FromStr;

#[cfg(test)]
mod tests;
mod trial;

/// An objective: bounds that all have to hold.
#[derive(Clone, PartialEq, Debug)]
pub struct Goal(pub Vec<Bound>);

impl FromStr for Goal {
    type Err = BoundError;

    /// `flight p99 < 50ms, lost == 0`
    fn from_str(text: &str) -> Result<Goal, BoundError> {
        text.split(',').map(|bound| bound.trim().parse()).collect::<Result<_, _>>().map(Goal)
    }
}

/// Loads of the curve, as shares of what was found.
const CURVE: [f64; 7] = [0.01, 0.1, 0.5, 0.75, 0.9, 1.0, 1.1];
/// Trials that confirm a load, and how many of them have to be good.
const CONFIRMATIONS: (u32, u32) = (3, 2);
/// Where they are not, so much less is tried, as a share,
const LESS: f64 = 0.02;
/// at most so often.
const RETREATS: u32 = 10;
/// Trials in a row that say nothing, after which nothing more is confirmed or drawn.
const VOID: u32 = 3;
/// Warnings of trials that are kept.
const WARNINGS: usize = 20;

/// What is done at a time.
enum Stage {
    Search,
    /// What was found for this goal is confirmed: at this load, with so many good and bad trials, after so many retreats.
    Confirm {
        goal: usize,
        load: f64,
        good: u32,
        bad: u32,
        retreats: u32,
    },
    /// This of [`CURVE`].
    Curve(usize),
    Over,
}

/// What longer trials said of what was found.
#[derive(Clone, PartialEq, Debug)]
enum Confirmation {
    /// None yet.
    None,
    /// This load keeps the goal.
    At(f64),
    /// None of those that were tried does.
    Refuted,
    /// Nothing, and why.
    Unsaid(String),
}

/// Decides on loads until everything is found.
pub struct Explorer {
    goals: Vec<Goal>,
    terms: SearchTerms,
    search: Search,
    stage: Stage,
    /// What was confirmed for each goal.
    confirmed: Vec<Confirmation>,
    trials: Vec<TrialRecord>,
    /// Trials in a row that say nothing.
    void: u32,
    /// How the run came to its end within a trial.
    ended: Ended,
    /// Why it ended before it was through, in words.
    cut: Option<String>,
    warnings: Vec<String>,
}

impl Explorer {
    /// Of so many goals, searched on `terms`.
    pub fn new(goals: Vec<Goal>, terms: SearchTerms) -> Explorer {
        let search = Search::new(
            Terms {
                range: (terms.lowest, terms.highest),
                width: terms.width,
                trials: terms.trials,
                exceed: terms.exceed_ratio,
            },
            goals.len(),
        );
        Explorer {
            confirmed: vec![Confirmation::None; goals.len()],
            goals,
            terms,
            search,
            stage: Stage::Search,
            trials: Vec::new(),
            void: 0,
            ended: Ended::Completed,
            cut: None,
            warnings: Vec::new(),
        }
    }

    /// The record of a search that is over; `end` is of the run that it was made of.
    pub fn record(mut self, end: Record, elapsed_ns: Nanos) -> CapacityRecord {
        let news = end.warnings.into_iter().filter(|warning| !self.warnings.contains(warning));
        let news: Vec<_> = news.collect();
        self.warnings.extend(news);
        let ended = if end.ended == Ended::Completed { self.ended } else { end.ended };
        let mut record = CapacityRecord {
            schema: CAPACITY_SCHEMA.to_owned(),
            results: (0..self.goals.len()).map(|goal| self.result(goal)).collect(),
            started_at: end.started_at,
            command: end.command,
            plan: end.plan,
            versions: end.versions,
            machine: end.machine,
            broker: end.broker,
            search: self.terms,
            trials: self.trials,
            elapsed_ns,
            ended,
            partial_reason: end.partial_reason.filter(|_| ended != Ended::Completed),
            exit_code: 0,
            exit_reason: String::new(),
            warnings: self.warnings,
        };
        record.conclude();
        record
    }

    /// What the search found for a goal.
    fn found(&self, goal: usize) -> Found {
        let found = self.search.found(goal);
        let whole = |load: Option<f64>| load.map(|load| self.terms.over.whole(load));
        Found { lower: whole(found.lower), upper: whole(found.upper), ..found }
    }

    /// What is found for a goal, as far as the search is.
    fn result(&self, goal: usize) -> Capacity {
        let found = self.found(goal);
        let (capacity, settled) = match &self.confirmed[goal] {
            Confirmation::At(load) => (Some(*load), true),
            Confirmation::Refuted => (None, false),
            Confirmation::None | Confirmation::Unsaid(_) => (found.lower, self.terms.confirm_ns == 0),
        };
        let regular = found.regular && settled && capacity.is_some() && !self.search.is_spoilt();
        Capacity {
            goal: self.goals[goal].0.iter().map(ToString::to_string).collect(),
            capacity,
            lower: found.lower,
            upper: found.upper,
            throughput: capacity.and_then(|capacity| self.throughput(goal, capacity)),
            regular,
            reason: self.reason(goal, &found, capacity.filter(|_| regular)),
        }
    }

    /// What was found, in words.
    fn reason(&self, goal: usize, found: &Found, capacity: Option<f64>) -> String {
        let amount = |load: f64| self.terms.over.amount(load);
        match (found.lower, found.upper) {
            _ if self.search.is_spoilt() => "the generator cannot offer any of these loads".to_owned(),
            (_, Some(upper)) if let Some(capacity) = capacity => {
                format!("the goal holds at {}, not at {}", amount(capacity), amount(upper))
            }
            (Some(lower), _) if found.regular => match (&self.confirmed[goal], &self.cut) {
                (Confirmation::Unsaid(why), _) | (_, Some(why)) => {
                    format!("{} was not confirmed: {why}", amount(lower))
                }
                _ => format!("longer trials refuted {}, and what is below", amount(lower)),
            },
            (lower, upper) if let Some(cut) = &self.cut => {
                format!("{cut}: {}", self.settled(goal, lower, upper))
            }
            (Some(lower), _) if self.search.ceiling().is_some() => {
                let why = self.trials.iter().rfind(|trial| trial.grade == Grade::Void);
                let why = why.map_or("", |trial| &trial.reason);
                format!("at least {}: the generator could not offer more: {why}", amount(lower))
            }
            (Some(lower), None) => format!("at least {}, the most that was to be tried", amount(lower)),
            (Some(lower), Some(upper)) => {
                format!("between {} and {}: trials contradict each other", amount(lower), amount(upper))
            }
            (None, Some(upper)) => {
                format!("the goal does not hold even at {}: {}", amount(upper), self.why(goal))
            }
            (None, None) => "nothing was found out".to_owned(),
        }
    }

    /// What was known when it was ended early.
    fn settled(&self, goal: usize, lower: Option<f64>, upper: Option<f64>) -> String {
        let amount = |load: f64| self.terms.over.amount(load);
        let promise = self.search.promise(goal).filter(|_| lower.is_none()).map(|(load, good)| {
            let trials = if good == 1 { "one trial".to_owned() } else { format!("{good} trials") };
            format!(", but {trials} at {} kept it", amount(self.terms.over.whole(load)))
        });
        let known = match (lower, upper) {
            (Some(lower), Some(upper)) => {
                format!("the goal holds at {}, not at {}", amount(lower), amount(upper))
            }
            (Some(lower), None) => format!("the goal holds at {}, nothing above was settled", amount(lower)),
            (None, Some(upper)) => {
                format!("the goal does not hold at {}, nothing below was settled", amount(upper))
            }
            (None, None) => "nothing was settled".to_owned(),
        };
        known + &promise.unwrap_or_default()
    }

    /// Why the last trial that did not keep a goal did not.
    fn why(&self, goal: usize) -> &str {
        let missed = |trial: &&TrialRecord| trial.kept.get(goal) == Some(&false);
        self.trials.iter().rfind(missed).map_or("", |trial| &trial.reason)
    }

    /// What the middle one of the good trials at `load` did.
    fn throughput(&self, goal: usize, load: f64) -> Option<f64> {
        let good =
            self.trials.iter().filter(|trial| trial.offered == load && trial.kept.get(goal) == Some(&true));
        let mut done: Vec<f64> = good.map(|trial| trial.done).collect();
        done.sort_by(f64::total_cmp);
        done.get(done.len() / 2).copied()
    }

    /// What came of a trial, to whatever it was for.
    fn note(&mut self, trial: TrialRecord) {
        let kept = trial.kept.clone();
        self.void = if trial.grade == Grade::Void { self.void + 1 } else { 0 };
        match &mut self.stage {
            Stage::Search => self.search.tell(match trial.grade {
                Grade::Void => Outcome::Void(trial.done),
                _ => Outcome::Valid(kept, trial.done),
            }),
            Stage::Confirm { goal, load, good, bad, retreats } => {
                let (goal, (all, enough)) = (*goal, CONFIRMATIONS);
                match kept.get(goal) {
                    Some(true) => *good += 1,
                    Some(false) => *bad += 1,
                    None => {}
                }
                if *good == enough {
                    self.confirmed[goal] = Confirmation::At(*load);
                    self.stage = self.confirm(goal + 1);
                } else if *bad > all - enough {
                    let less = self.terms.over.whole(*load * (1.0 - LESS));
                    (*load, *good, *bad, *retreats) = (less, 0, 0, *retreats + 1);
                    if *retreats > RETREATS || *load < self.terms.lowest {
                        self.confirmed[goal] = Confirmation::Refuted;
                        self.stage = self.confirm(goal + 1);
                    }
                } else if self.void == VOID {
                    self.confirmed[goal] = Confirmation::Unsaid(trial.reason.clone());
                    self.stage = self.confirm(goal + 1);
                }
            }
            Stage::Curve(_) if self.void == VOID => self.stage = Stage::Over,
            Stage::Curve(at) => *at += usize::from(trial.grade != Grade::Void),
            Stage::Over => {}
        }
        self.trials.push(trial);
    }

    /// Confirming what was found from this goal on, or else the curve.
    fn confirm(&mut self, goal: usize) -> Stage {
        self.void = 0;
        let regular = |goal: &usize| self.search.found(*goal).regular;
        match (goal..self.goals.len()).find(regular).filter(|_| self.terms.confirm_ns > 0) {
            Some(goal) => {
                let load = self.found(goal).lower.expect("a regular result has both bounds");
                Stage::Confirm { goal, load, good: 0, bad: 0, retreats: 0 }
            }
            None if self.terms.curve_ns > 0 && self.result(0).capacity.is_some() => Stage::Curve(0),
            None => Stage::Over,
        }
    }

    /// The next load cannot be tried on this machine, for this reason. The curve does without; else that is the end.
    pub fn fail(&mut self, why: String) {
        match &mut self.stage {
            Stage::Curve(at) => *at += 1,
            _ => (self.stage, self.cut) = (Stage::Over, Some(why)),
        }
    }

    /// Keeps what is new of what a trial warns of: where each has its own run, those of the first.
    fn warn(&mut self, warnings: &[String]) {
        if self.terms.over == Over::Rate || self.trials.is_empty() {
            let news = warnings.iter().filter(|warning| !self.warnings.contains(warning)).take(WARNINGS);
            let news: Vec<_> = news.cloned().collect();
            self.warnings.extend(news);
            self.warnings.truncate(WARNINGS);
        }
    }

    /// The next load.
    fn decide(&mut self) -> Option<Load> {
        let (settle, SearchTerms { trial_ns, confirm_ns, curve_ns, .. }) = (self.terms.settle_ns, self.terms);
        let over = self.terms.over;
        let load = |load, span| Load { offered: over.whole(load), settle, span };
        loop {
            match &self.stage {
                Stage::Search => match self.search.propose() {
                    Some(wanted) => return Some(load(wanted, trial_ns)),
                    None if self.search.is_hopeless() => {
                        let why = "the generator was the bottleneck again and again";
                        self.confirmed.fill(Confirmation::Unsaid(why.to_owned()));
                        self.stage = Stage::Over;
                    }
                    None => self.stage = self.confirm(0),
                },
                Stage::Confirm { load: wanted, .. } => return Some(load(*wanted, confirm_ns)),
                Stage::Curve(at) => {
                    let found = self.result(0).capacity.expect("there is one, or no curve");
                    match CURVE.get(*at) {
                        Some(share) => return Some(load(found * share, curve_ns)),
                        None => self.stage = Stage::Over,
                    }
                }
                Stage::Over => return None,
            }
        }
    }

    /// What the trial under way is for.
    fn purpose(&self) -> Purpose {
        match self.stage {
            Stage::Search => Purpose::Search,
            Stage::Confirm { .. } => Purpose::Confirm,
            Stage::Curve(_) | Stage::Over => Purpose::Curve,
        }
    }

    /// About how long everything takes that is still to come, where nothing has to be done twice.
    fn left(&self) -> Nanos {
        let SearchTerms { settle_ns, trial_ns, confirm_ns, curve_ns, .. } = self.terms;
        let of = |trials: u64, span: Nanos| trials * (settle_ns + span + span / 10);
        let confirmations =
            |goals: usize| if confirm_ns > 0 { goals as u64 * u64::from(CONFIRMATIONS.1) } else { 0 };
        let curve = if curve_ns > 0 { of(CURVE.len() as u64, curve_ns) } else { 0 };
        match &self.stage {
            Stage::Search => {
                of(self.search.left().into(), trial_ns)
                    + of(confirmations(self.goals.len()), confirm_ns)
                    + curve
            }
            Stage::Confirm { goal, good, .. } => {
                let others = confirmations(self.goals.len() - goal).saturating_sub(u64::from(*good));
                of(others, confirm_ns) + curve
            }
            Stage::Curve(at) => of((CURVE.len() - at) as u64, curve_ns),
            Stage::Over => 0,
        }
    }
}

impl Pilot for Explorer {
    fn next(&mut self, last: Option<Trial>) -> Option<Load> {
        if let Some(trial) = last {
            let now = trial.began + trial.record.phases.last().map_or(0, |phase| phase.end_ns);
            self.ended = trial.record.ended;
            // A run of its own in which nobody could stay found too many, unless nobody could connect at all to begin with.
            let some = trial.record.counts.connections_established > 0;
            let is_too_many = self.terms.over != Over::Rate && (some || !self.trials.is_empty());
            self.warn(&trial.record.warnings);
            let judged = trial::judge(trial, &self.goals, self.terms.over, self.purpose());
            self.note(judged);
            let ended = match self.ended {
                Ended::Completed => None,
                Ended::Broker if is_too_many => {
                    self.ended = Ended::Completed;
                    None
                }
                Ended::Interrupted => Some("it was interrupted"),
                Ended::Broker => Some("the broker was gone"),
                Ended::Internal | Ended::Environment | Ended::Aborted => Some("it was ended"),
            };
            if let Some(why) = ended {
                self.cut = Some(why.to_owned());
                return None;
            }
            if now >= self.terms.limit_ns && !matches!(self.stage, Stage::Over) {
                self.cut = Some("the time was up".to_owned());
                self.stage = Stage::Over;
            }
        }
        self.decide()
    }

    fn outlook(&self) -> String {
        let found = self.found(0);
        let amount = |load: Option<f64>| load.map_or("?".to_owned(), |load| self.terms.over.short(load));
        let what = match &self.stage {
            Stage::Search => format!("between {} and {}", amount(found.lower), amount(found.upper)),
            Stage::Confirm { load, .. } => format!("confirming {}", amount(Some(*load))),
            Stage::Curve(at) => format!("curve {} of {}", at + 1, CURVE.len()),
            Stage::Over => "over".to_owned(),
        };
        let left = units::Span::from_nanos(self.left() / 1_000_000_000 * 1_000_000_000);
        format!("trial {}, {what}, about {left} left", self.trials.len() + 1)
    }
}
