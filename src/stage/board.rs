//! What workers have reported, merged.

use super::Progress;
use crate::clock::{Nanos, SECOND};
use crate::engine;
use crate::record::Ended;
use crate::stats::{Interval, Tally};
use std::collections::{BTreeMap, VecDeque};

/// From a worker.
pub enum Report<E> {
    /// It is done with what it was told last.
    Arrived,
    /// What was measured since the last one, about once a second.
    Tally(Box<Tally>),
    /// It could not start or go on.
    Failed(engine::Error),
    /// It has ended, after its last tally.
    Ended(E),
}

/// What has been reported of one second.
#[derive(Default)]
struct OpenSecond {
    interval: Interval,
    /// Workers that have reported it.
    workers: usize,
}

/// A worker that reports a second later than this is left out of its line, not out of the totals.
const STRAGGLER: Nanos = 3 * SECOND;
/// Kinds of trouble that a record tells of.
const TROUBLES: usize = 8;

/// What all workers have reported.
pub struct Board<E> {
    epoch: Nanos,
    clients: u64,
    /// Everything measured so far.
    pub total: Interval,
    /// How many workers are done with what they were told last.
    pub arrived: usize,
    /// What each has said at its end.
    pub endings: Vec<Option<E>>,
    /// The seconds that are not over for every worker, the first of them being `closed`.
    open: VecDeque<OpenSecond>,
    closed: u64,
    /// When the run ended.
    end: Option<Nanos>,
    troubles: BTreeMap<String, u64>,
    failures: Vec<engine::Error>,
}

impl<E> Board<E> {
    /// Of so many workers and clients, in a run that began at `epoch`.
    pub fn new(workers: usize, epoch: Nanos, clients: u64) -> Board<E> {
        Board {
            epoch,
            clients,
            total: Interval::default(),
            arrived: 0,
            endings: (0..workers).map(|_| None).collect(),
            open: VecDeque::new(),
            closed: 0,
            end: None,
            troubles: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Takes a report; answers what is to go back to its worker.
    pub fn hear(&mut self, worker: usize, report: Report<E>) -> Option<Box<Tally>> {
        match report {
            Report::Arrived => self.arrived += 1,
            Report::Tally(mut tally) => {
                self.merge(&mut tally);
                return Some(tally);
            }
            Report::Failed(failure) => self.failures.push(failure),
            Report::Ended(ending) => self.endings[worker] = Some(ending),
        }
        None
    }

    fn merge(&mut self, tally: &mut Tally) {
        self.total.merge(&tally.measured);
        let at = tally.second.saturating_sub(self.closed) as usize;
        while self.open.len() <= at {
            self.open.push_back(OpenSecond::default());
        }
        let second = &mut self.open[at];
        second.workers += 1;
        second.interval.merge(&tally.measured);
        second.interval.merge(&tally.unmeasured);
        for (trouble, count) in tally.troubles.drain(..) {
            *self.troubles.entry(trouble).or_default() += count;
        }
    }

    /// The run is over: no second lasts longer.
    pub fn end(&mut self, now: Nanos) {
        self.end = Some(now);
    }

    /// The next second that is over: every worker that runs has reported it, or will not.
    pub fn poll_second(&mut self, now: Nanos) -> Option<Progress> {
        let end = self.epoch + SECOND * (self.closed + 1);
        let over = match self.open.front() {
            Some(_) if self.end.is_some() => true,
            None if self.end.is_some() => false,
            Some(second) if second.workers >= self.endings.len() - self.ended() => now >= end,
            _ => now >= end + STRAGGLER,
        };
        if !over {
            return None;
        }
        self.closed += 1;
        let OpenSecond { interval, .. } = self.open.pop_front().unwrap_or_default();
        // The last one ends with the run.
        let elapsed = end.min(self.end.unwrap_or(now)) - self.epoch;
        Some(Progress {
            elapsed,
            clients: self.clients,
            second: interval,
            ..Progress::of(self.total.counters)
        })
    }

    /// How many workers have ended.
    pub fn ended(&self) -> usize {
        self.endings.iter().flatten().count()
    }

    /// Workers that have not said that they ended.
    pub fn running(&self) -> Vec<usize> {
        let running = self.endings.iter().enumerate().filter(|(_, ending)| ending.is_none());
        running.map(|(worker, _)| worker).collect()
    }

    /// What went wrong with the engine, if anything did.
    pub fn fault(&self) -> Option<(Ended, String)> {
        // All but one of the engine's errors are about what the machine lets it have.
        let internal = |failure: &&engine::Error| matches!(failure, engine::Error::Enter { .. });
        let fault = self.failures.iter().find(internal).map(|failure| (Ended::Internal, failure));
        let fault = fault.or(self.failures.first().map(|failure| (Ended::Environment, failure)));
        fault.map(|(ended, failure)| (ended, failure.to_string()))
    }

    /// What went wrong for clients, in words, with how often: the most frequent first.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles: Vec<_> = self.troubles.iter().collect();
        troubles.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let word = |(trouble, count): (&String, &u64)| match count {
            1 => trouble.clone(),
            _ => format!("{trouble} ({count} times)"),
        };
        troubles.into_iter().take(TROUBLES).map(word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(second: u64, sent: u64) -> Report<()> {
        let mut tally = Tally { second, ..Tally::default() };
        tally.measured.counters.sent = sent;
        tally.unmeasured.counters.sent = 1;
        tally.trouble("late".into());
        Report::Tally(Box::new(tally))
    }

    #[test]
    fn a_second_is_over_when_every_worker_that_runs_has_reported_it() {
        let mut board = Board::new(2, 0, 7);
        assert!(board.hear(0, tally(0, 10)).is_some());
        assert!(board.poll_second(SECOND).is_none(), "one is missing");
        board.hear(1, tally(0, 20));
        assert!(board.poll_second(SECOND - 1).is_none(), "it is not over");
        let progress = board.poll_second(SECOND).expect("it is over");
        assert_eq!((progress.elapsed, progress.clients), (SECOND, 7));
        assert_eq!((progress.second.counters.sent, progress.total.sent), (32, 30));
        // One has ended: nobody waits for it.
        board.hear(0, Report::Ended(()));
        board.hear(1, tally(1, 5));
        assert_eq!(board.poll_second(2 * SECOND).expect("it is over").second.counters.sent, 6);
        assert_eq!(board.troubles(), ["late (3 times)"]);
        assert_eq!(board.running(), [1]);
    }

    #[test]
    fn a_straggler_is_left_out_of_the_line_and_not_of_the_total() {
        let mut board = Board::new(2, 0, 1);
        board.hear(0, tally(0, 10));
        assert!(board.poll_second(SECOND + STRAGGLER - 1).is_none());
        assert_eq!(board.poll_second(SECOND + STRAGGLER).expect("long over").second.counters.sent, 11);
        board.hear(1, tally(0, 5));
        assert_eq!(board.total.counters.sent, 15);
        board.end(SECOND * 3 / 2);
        assert_eq!(board.poll_second(Nanos::MAX).expect("the rest").elapsed, SECOND * 3 / 2);
        assert!(board.poll_second(Nanos::MAX).is_none());
    }
}
