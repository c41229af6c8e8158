//! Which load to try next, to find the highest that keeps a goal: MLRsearch (draft-ietf-bmwg-mlrsearch), for trials of
//! one length.
//!
//! A load is tried several times, for no system answers twice the same, and is a *lower bound* when enough of its trials were
//! good, an *upper bound* when too many were bad. The *relevant* bounds are the lowest upper bound and the highest lower
//! bound below it, so that a good load above a bad one (an inversion) never counts. They are first found coarsely, from few
//! trials each, then as finely and certainly as was asked. Loads lie on a grid of equal ratios.

use std::collections::BTreeMap;

mod select;
#[cfg(test)]
mod tests;

use select::Selector;

/// What is searched, and how surely.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Terms {
    /// The lowest and the highest load.
    pub range: (f64, f64),
    /// By how much the two bounds may differ in the end, as a share of the upper one (0 to 1).
    pub width: f64,
    /// Trials that decide about a load in the end.
    pub trials: u32,
    /// Share of them (0 to 1) that may be bad.
    pub exceed: f64,
}

/// Place of a load on the grid.
pub type Step = u32;

/// How surely and how finely bounds are to be known.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Target {
    /// Trials that decide about a load,
    trials: f64,
    /// share of them that may be bad,
    exceed: f64,
    /// and steps between the bounds.
    width: Step,
}

/// What the trials of one load came to for one goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tried {
    good: u32,
    bad: u32,
}

/// What is known of a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bound {
    Lower,
    Upper,
    Undecided,
}

impl Target {
    /// Of a load of which this is known: decided once the trials that are missing could not change it.
    fn classify(&self, tried: Tried) -> Bound {
        let (good, bad) = (f64::from(tried.good), f64::from(tried.bad));
        let whole = self.trials.max(good + bad);
        let missing = (self.trials - good - bad).max(0.0);
        let within = |bad: f64| bad <= self.exceed * whole;
        match (within(bad), within(bad + missing)) {
            (true, true) => Bound::Lower,
            (false, false) => Bound::Upper,
            _ => Bound::Undecided,
        }
    }
}

/// The relevant bounds, as far as they are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// The highest lower bound below the upper one,
    pub lower: Option<Step>,
    /// and the lowest upper bound.
    pub upper: Option<Step>,
}

/// The trials of all loads.
struct Known {
    /// For each load what was tried, goal by goal.
    loads: BTreeMap<Step, Vec<Tried>>,
    /// The highest load that can be offered.
    ceiling: Step,
}

impl Known {
    fn bounds(&self, goal: usize, target: &Target) -> Bounds {
        let mut bounds = Bounds::default();
        for (step, tried) in &self.loads {
            match target.classify(tried[goal]) {
                Bound::Lower => bounds.lower = Some(*step),
                Bound::Undecided => {}
                Bound::Upper => return Bounds { upper: Some(*step), ..bounds },
            }
        }
        bounds
    }
}

impl Known {
    /// The highest load of which no trial was bad.
    fn highest_lower(&self) -> Option<Step> {
        let good = |tried: &Vec<Tried>| tried.iter().all(|tried| tried.bad == 0);
        self.loads.iter().rfind(|(_, tried)| good(tried)).map(|(step, _)| *step)
    }
}

/// What came of a trial.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Which goals were kept, and how much was done a second.
    Valid(Vec<bool>, f64),
    /// It says nothing, because so much a second was all that could be offered.
    Void(f64),
}

/// What was found for a goal.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Found {
    /// The highest load that keeps it,
    pub lower: Option<f64>,
    /// and the lowest that does not.
    pub upper: Option<f64>,
    /// Whether they are as close to each other as was asked.
    pub regular: bool,
}

/// A search under way.
pub struct Search {
    terms: Terms,
    steps: Step,
    known: Known,
    selectors: Vec<Selector>,
    start: Start,
    /// What was asked for last, and how often in a row that came to nothing.
    asked: (Step, u32),
    /// What could be offered at first. What could not later may be so again: so often that is tried.
    first_ceiling: Step,
    chances: u32,
    /// Trials in a row that said nothing; so many were enough.
    voids: u32,
    spoilt: bool,
}

/// How the search begins: with the most that there is, and then with what was done of that.
enum Start {
    Highest,
    /// What was done of the highest,
    Second(Step),
    /// and of that; with the second.
    Third(Step, Step),
    Over,
}

/// Trials in a row of one load that may say nothing.
const VOID: u32 = 3;
/// Trials in a row, of whatever load, after which nothing more is tried.
const HOPELESS: u32 = 9;
/// How often what could not be offered is tried again in the end.
const CHANCES: u32 = 2;

impl Search {
    /// For so many goals.
    ///
    /// # Panics
    /// A range that is empty or not above 0, a width that is not between 0 and 1, or no trials.
    pub fn new(terms: Terms, goals: usize) -> Search {
        let (lowest, highest) = terms.range;
        assert!(0.0 < lowest && lowest <= highest && highest.is_finite(), "{terms:?}");
        assert!(0.0 < terms.width && terms.width < 1.0 && terms.trials > 0 && goals > 0, "{terms:?}");
        let steps = ((highest / lowest).ln() / -(1.0 - terms.width).ln() - 1e-9).ceil().max(0.0) as Step;
        let targets = targets(&terms);
        Search {
            terms,
            steps,
            known: Known { loads: BTreeMap::new(), ceiling: steps },
            selectors: (0..goals).map(|goal| Selector::new(goal, targets)).collect(),
            start: Start::Highest,
            asked: (steps, 0),
            first_ceiling: steps,
            chances: CHANCES,
            voids: 0,
            spoilt: false,
        }
    }

    /// The load at a place of the grid.
    pub fn load(&self, step: Step) -> f64 {
        let (lowest, highest) = self.terms.range;
        if self.steps == 0 {
            highest
        } else {
            lowest * (highest / lowest).powf(f64::from(step) / f64::from(self.steps))
        }
    }

    /// The highest place of the grid whose load is at most this.
    fn below(&self, load: f64) -> Step {
        let (lowest, highest) = self.terms.range;
        if load <= lowest || self.steps == 0 {
            return 0;
        }
        let place = (load / lowest).ln() / (highest / lowest).ln() * f64::from(self.steps);
        (place + 1e-6).floor().min(f64::from(self.steps)) as Step
    }

    /// The load to try next; `None` when everything is found that can be.
    pub fn propose(&mut self) -> Option<f64> {
        let step = match self.start {
            _ if self.spoilt || self.voids == HOPELESS => return None,
            Start::Highest => self.known.ceiling,
            Start::Second(step) | Start::Third(_, step) => step,
            Start::Over => self.nominate()?,
        };
        if step != self.asked.0 {
            self.asked = (step, 0);
        }
        Some(self.load(step))
    }

    /// Of what the goals want to know, the coarsest first, and of that the lowest.
    fn nominate(&mut self) -> Option<Step> {
        let known = &self.known;
        let wanted = self.selectors.iter_mut().filter_map(|selector| selector.nominate(known));
        if let Some((_, step)) = wanted.min() {
            return Some(step);
        }
        // Who was in the way when it could not be offered may have gone.
        if self.known.ceiling == self.first_ceiling || self.chances == 0 {
            return None;
        }
        self.chances -= 1;
        self.known.ceiling = self.first_ceiling;
        self.selectors.iter_mut().for_each(|selector| selector.try_again(&self.known));
        self.nominate()
    }

    /// Tells what came of the load that was asked for last.
    pub fn tell(&mut self, outcome: Outcome) {
        let (step, voids) = self.asked;
        match outcome {
            Outcome::Void(offered) => {
                (self.asked.1, self.voids) = (voids + 1, self.voids + 1);
                if self.voids == HOPELESS && self.known.highest_lower().is_none() {
                    self.spoilt = true;
                    return;
                }
                if matches!(self.start, Start::Highest) {
                    // More than there is was asked for, most likely: what there was is the next to try.
                    return self.lower_ceiling(step, self.below(offered * (1.0 - 2.0 * self.terms.width)));
                }
                if self.asked.1 == VOID {
                    let good = self.known.highest_lower().unwrap_or(0).min(step);
                    self.lower_ceiling(step, good + (step - good) / 2);
                }
            }
            Outcome::Valid(kept, done) => {
                (self.asked.1, self.voids) = (0, 0);
                let loads = &mut self.known.loads;
                let tried = loads.entry(step).or_insert_with(|| vec![Tried::default(); kept.len()]);
                for (tried, kept) in tried.iter_mut().zip(&kept) {
                    *(if *kept { &mut tried.good } else { &mut tried.bad }) += 1;
                }
                self.begin(step, kept.iter().all(|kept| *kept), done);
            }
        }
    }

    fn lower_ceiling(&mut self, step: Step, ceiling: Step) {
        self.known.ceiling = ceiling.min(step.saturating_sub(1));
        match self.start {
            // Not even the lowest load can be offered.
            _ if step == 0 => self.spoilt = true,
            // Once is no proof: who was in the way may be gone when everything else is known.
            Start::Highest if self.voids >= VOID => self.first_ceiling = self.known.ceiling,
            Start::Highest => {}
            Start::Second(_) => self.start = Start::Second(self.known.ceiling),
            Start::Third(second, _) => self.set_out(second, second),
            Start::Over => {}
        }
    }

    /// The first trials: what was done of the highest load, and of that, is where to look.
    fn begin(&mut self, step: Step, kept: bool, done: f64) {
        let (done, coarsest) = (self.below(done).min(step), 1 << (TARGETS - 1));
        match self.start {
            Start::Highest if kept => self.set_out(step, step),
            Start::Highest => self.start = Start::Second(done.min(step.saturating_sub(1))),
            Start::Second(_) if kept => {
                let above = (step + coarsest).min(self.known.ceiling);
                self.start = Start::Third(step, above);
                if above == step {
                    self.set_out(step, step);
                }
            }
            Start::Second(_) if done < step => self.start = Start::Third(step, done),
            Start::Second(_) => self.set_out(step, step),
            Start::Third(second, _) => self.set_out(second.min(step), second.max(step)),
            Start::Over => {}
        }
    }

    fn set_out(&mut self, lower: Step, upper: Step) {
        self.start = Start::Over;
        self.selectors.iter_mut().for_each(|selector| selector.set_out(lower, upper));
    }

    /// What is found for goal number `goal`: as surely as was asked or, where nothing is yet, less so.
    pub fn found(&self, goal: usize) -> Found {
        let targets = targets(&self.terms);
        let bounds = |target| self.known.bounds(goal, target);
        let known = targets.iter().rev().map(bounds).find(|bounds| *bounds != Bounds::default());
        let Bounds { lower, upper } = known.unwrap_or_default();
        let finest = &targets[TARGETS - 1];
        let close = lower.zip(upper).is_some_and(|(lower, upper)| upper - lower <= finest.width);
        let regular = close && known == Some(bounds(finest));
        Found { lower: lower.map(|step| self.load(step)), upper: upper.map(|step| self.load(step)), regular }
    }

    /// The highest load of which no trial broke a goal, and how many kept it, decided or not.
    pub fn promise(&self, goal: usize) -> Option<(f64, u32)> {
        let mut loads = self.known.loads.iter().rev();
        let (step, tried) = loads.find(|(_, tried)| tried[goal].bad == 0 && tried[goal].good > 0)?;
        Some((self.load(*step), tried[goal].good))
    }

    /// Whether it was given up because trials said nothing again and again.
    pub fn is_hopeless(&self) -> bool {
        self.voids == HOPELESS
    }

    /// Whether so little could be offered that nothing is known.
    pub fn is_spoilt(&self) -> bool {
        self.spoilt
    }

    /// The highest load that could be offered, where that is less than was to be.
    pub fn ceiling(&self) -> Option<f64> {
        (self.known.ceiling < self.steps).then(|| self.load(self.known.ceiling))
    }

    /// Trials that are still to come, about: two loads at each bisection of the widest bracket, and the bounds that are
    /// not decided.
    pub fn left(&self) -> u32 {
        let left = self.selectors.iter().map(|selector| selector.left(&self.known, self.steps));
        left.sum()
    }
}

/// Targets, from the coarsest on: each twice as wide as the next, the first with one trial a load.
const TARGETS: usize = 3;

fn targets(terms: &Terms) -> [Target; TARGETS] {
    let trials = f64::from(terms.trials);
    [0, 1, 2].map(|at| Target {
        trials: trials.powf(at as f64 / (TARGETS - 1) as f64),
        exceed: terms.exceed,
        width: 1 << (TARGETS - 1 - at),
    })
}
