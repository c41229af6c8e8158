//! What was told, phase by phase.

use super::Look;
use crate::record::{Phase, SeriesKind, SeriesSpan};
use std::collections::VecDeque;

/// What was told of some series so far. A look that was begun when so many phases had is of the last of them; it is where
/// those before ended, too.
#[derive(Debug)]
pub struct Account {
    /// What was told last, and what of it are counters.
    pub latest: Vec<Option<f64>>,
    pub kinds: Vec<Option<SeriesKind>>,
    /// What was told before the run.
    pub before: Vec<Option<f64>>,
    /// How often somebody looked, and how often in vain.
    pub looks: u64,
    pub failures: u64,
    /// Why, at last.
    pub error: Option<String>,
    /// What is to be known of it all.
    pub note: Option<String>,
    /// Phases begun so far; those from `taken` on are kept.
    pub begun: usize,
    taken: usize,
    spans: VecDeque<(Phase, Vec<Extent>)>,
    /// How many of them have been looked at.
    pub reached: usize,
}

/// One series within one phase.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Extent {
    /// At its beginning and its end, as far as there was a look; null where that told nothing.
    first: Option<Option<f64>>,
    last: Option<Option<f64>>,
    least: Option<f64>,
    most: Option<f64>,
    sum: f64,
    count: u64,
}

impl Extent {
    fn add(&mut self, value: Option<f64>) {
        self.first.get_or_insert(value);
        let Some(value) = value else { return };
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
        self.most = Some(self.most.map_or(value, |most| most.max(value)));
        self.sum += value;
        self.count += 1;
    }

    fn span(&self, phase: Phase) -> SeriesSpan {
        SeriesSpan {
            phase,
            first: self.first.flatten(),
            last: self.last.flatten(),
            least: self.least,
            mean: (self.count > 0).then(|| self.sum / self.count as f64),
            most: self.most,
        }
    }
}

impl Account {
    /// Of so many series.
    pub fn new(series: usize) -> Account {
        Account {
            latest: vec![None; series],
            kinds: vec![None; series],
            before: vec![None; series],
            looks: 0,
            failures: 0,
            error: None,
            note: None,
            begun: 0,
            taken: 0,
            spans: VecDeque::new(),
            reached: 0,
        }
    }

    /// A phase begins.
    pub fn enter(&mut self, phase: Phase) {
        self.begun += 1;
        self.spans.push_back((phase, vec![Extent::default(); self.latest.len()]));
    }

    /// What a look told that was begun when so many phases had.
    pub fn add(&mut self, begun: usize, look: Look) {
        self.looks += 1;
        self.failures += u64::from(look.error.is_some());
        self.error = look.error.or(self.error.take());
        let values: Vec<_> = look.values.iter().map(|told| told.map(|told| told.value)).collect();
        for (kind, told) in self.kinds.iter_mut().zip(&look.values) {
            *kind = told.map(|told| told.kind).or(*kind);
        }
        if begun == 0 {
            self.before.clone_from(&values);
        }
        let kept = self.taken..(self.taken + self.spans.len()).min(begun);
        let new = self.reached.max(1) - 1..begun;
        for at in kept.filter(|at| new.contains(at)) {
            let (_, extents) = &mut self.spans[at - self.taken];
            for (extent, value) in extents.iter_mut().zip(&values) {
                extent.add(*value);
                if at + 1 < begun {
                    extent.last = Some(*value);
                }
            }
        }
        self.reached = self.reached.max(begun);
        self.latest = values;
    }

    /// The phases that have begun since this was asked last; the last of them has no end unless it was looked for.
    pub fn take(&mut self) -> Vec<Vec<SeriesSpan>> {
        self.taken += self.spans.len();
        let spans = std::mem::take(&mut self.spans);
        let of = |series: usize| spans.iter().map(|(phase, extents)| extents[series].span(*phase)).collect();
        (0..self.latest.len()).map(of).collect()
    }
}
