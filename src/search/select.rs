//! What one goal wants to know next.

use super::{Bounds, Known, Step, TARGETS, Target};

/// Takes one goal from the coarsest target to the finest.
pub struct Selector {
    goal: usize,
    targets: [Target; TARGETS],
    /// The target under way; all are met beyond the last.
    at: usize,
    /// Where the bounds of this target may be, by what is known from the one before.
    from: (Step, Step),
    /// How far to go beyond a bound to find the other,
    reach: Step,
    /// and where to that led last: whether it is a bound now, too.
    reached: Option<Step>,
}

impl Selector {
    pub fn new(goal: usize, targets: [Target; TARGETS]) -> Selector {
        Selector { goal, targets, at: 0, from: (0, 0), reach: 0, reached: None }
    }

    /// The bounds are about these.
    pub fn set_out(&mut self, lower: Step, upper: Step) {
        self.from = (lower, upper);
        self.reach = 2 * (upper - lower).max(self.targets[self.at].width);
        self.reached = None;
    }

    /// What could not be offered may be, now: whoever has no upper bound looks for it again.
    pub fn try_again(&mut self, known: &Known) {
        let Bounds { lower, upper } = known.bounds(self.goal, &self.targets[TARGETS - 1]);
        if upper.is_none_or(|upper| lower.is_none_or(|lower| upper - lower > 1)) {
            self.at = TARGETS - 1;
            let lower = lower.or(upper).unwrap_or(self.from.0);
            self.set_out(lower, upper.unwrap_or(lower));
        }
    }

    /// The load that this goal wants tried, after the target for which it does; `None` when all are met, or cannot be.
    pub fn nominate(&mut self, known: &Known) -> Option<(usize, Step)> {
        while let Some(target) = self.targets.get(self.at).copied() {
            let bounds = known.bounds(self.goal, &target);
            if let Some(step) = self.wanted(&target, bounds, known.ceiling) {
                return Some((self.at, step));
            }
            self.at += 1;
            if self.at < TARGETS {
                // What is unknown of one bound is looked for from the other.
                let (lower, upper) = (bounds.lower.or(bounds.upper), bounds.upper.or(bounds.lower));
                let (lower, upper) = lower.zip(upper).unwrap_or(self.from);
                self.set_out(lower, upper);
            }
        }
        None
    }

    fn wanted(&mut self, target: &Target, bounds: Bounds, ceiling: Step) -> Option<Step> {
        let Bounds { lower, upper } = bounds;
        // Below the lower bound nothing is to be found, nor above the upper one, nor what cannot be offered.
        let open = |step: Step| {
            lower.is_none_or(|lower| step > lower)
                && upper.is_none_or(|upper| step < upper)
                && step <= ceiling
        };
        if lower.zip(upper).is_some_and(|(lower, upper)| upper - lower <= target.width) {
            return None;
        }
        if self.reached.take().is_some_and(|reached| lower == Some(reached) || upper == Some(reached)) {
            self.reach *= 2;
        }
        let (from, to) = self.from;
        let half =
            (to - from > target.width && to - from <= 2 * target.width).then_some(from + (to - from) / 2);
        if let Some(step) = half.into_iter().chain([from, to]).find(|step| open(*step)) {
            return Some(step);
        }
        let step = match (lower, upper) {
            (None, None) => return None,
            (None, Some(upper)) => upper.saturating_sub(self.reach),
            (Some(lower), None) => (lower + self.reach).min(ceiling),
            (Some(lower), Some(upper)) => {
                self.reach = (upper - lower).max(target.width);
                let middle = lower + (upper - lower) / 2;
                return Some(middle.min(ceiling)).filter(|step| open(*step));
            }
        };
        self.reached = Some(step);
        Some(step).filter(|step| open(*step))
    }

    /// Trials that it still wants, about, on a grid of so many steps.
    pub fn left(&self, known: &Known, steps: Step) -> u32 {
        let of = |(at, target): (usize, &Target)| {
            let bounds = known.bounds(self.goal, target);
            let (lower, upper) = (bounds.lower.unwrap_or(0), bounds.upper.unwrap_or(steps));
            let before = if at > self.at { target.width * 2 } else { upper.saturating_sub(lower) };
            let halvings = f64::from(before / target.width.max(1)).log2().ceil().max(0.0);
            // Most loads are decided by two thirds of the trials; of the last two bounds each has some already.
            ((halvings + 1.0) * target.trials * 0.67).ceil() as u32
        };
        self.targets.iter().enumerate().skip(self.at).map(of).sum()
    }
}
