//! What workers have reported, merged.

use super::Progress;
use crate::clock::{Nanos, SECOND};
use crate::record::{BrokerCost, BrokerMetrics, Ended, Generator, Neighbour};
use crate::stats::{Interval, Latencies, Strain, Tally};
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

/// What went wrong with a worker: whose fault it was, and what in words.
pub type Fault = (Ended, String);

/// A worker that reports a second later than this is left out of its line, not out of the totals.
const STRAGGLER: Nanos = 3 * SECOND;
/// Kinds of trouble told apart: texts may have numbers of the broker's in them.
const KINDS: usize = 100;
/// Kinds of trouble that a record tells of.
const TROUBLES: usize = 8;

/// What was reported of one second,
#[derive(Default)]
struct Open {
    interval: Interval,
    /// of what is measured of it,
    measured: Latencies,
    /// of how each worker fared in it,
    strains: Vec<Strain>,
    /// of how many clients were connected at its end,
    connected: u64,
    /// and by how many.
    workers: usize,
}

/// What all workers have reported.
pub struct Board<E> {
    epoch: Nanos,
    clients: u64,
    /// When the run ended; `Nanos::MAX` before.
    pub end: Nanos,
    /// Everything measured so far.
    pub total: Arc<Interval>,
    /// Workers from this one on have their figures apart,
    pub apart: usize,
    /// which are these, and nowhere else.
    pub aside: Interval,
    /// How many workers have not ended.
    pub running: usize,
    /// What each has said at its end.
    pub endings: Vec<Option<E>>,
    /// What went wrong with workers, in its order.
    pub faults: Vec<Fault>,
    /// How the workers fared, all together.
    pub strain: Strain,
    /// Who else ran on their CPUs,
    pub neighbours: Vec<Neighbour>,
    /// and how many CPUs a quota leaves them.
    pub quota: Option<f64>,
    /// What the broker used, where it was watched.
    pub broker: Option<BrokerCost>,
    /// What others told of it, where somebody was asked.
    pub metrics: Option<BrokerMetrics>,
    /// What was reported of the seconds that are not over for every worker, the first of them being `closed`.
    open: VecDeque<Open>,
    closed: u64,
    troubles: BTreeMap<String, u64>,
}

impl<E> Board<E> {
    /// Of so many workers and clients, in a run that began at `epoch`.
    pub fn new(workers: usize, epoch: Nanos, clients: u64) -> Board<E> {
        Board {
            epoch,
            clients,
            end: Nanos::MAX,
            total: Arc::default(),
            apart: usize::MAX,
            aside: Interval::default(),
            running: workers,
            endings: (0..workers).map(|_| None).collect(),
            faults: Vec::new(),
            strain: Strain::default(),
            neighbours: Vec::new(),
            quota: None,
            broker: None,
            metrics: None,
            open: VecDeque::new(),
            closed: 0,
            troubles: BTreeMap::new(),
        }
    }

    /// Adds what `worker` has measured.
    pub fn add(&mut self, worker: usize, tally: &mut Tally) {
        let at = tally.second.saturating_sub(self.closed) as usize;
        self.open.resize_with(self.open.len().max(at + 1), Default::default);
        let second = &mut self.open[at];
        // What is late is in the line that is next, and no worker has reported that by it.
        let is_whole = tally.second >= self.closed && !tally.part;
        second.workers += usize::from(is_whole);
        if worker < self.apart {
            Arc::make_mut(&mut self.total).merge(&tally.measured);
            second.connected += if is_whole { tally.connected } else { 0 };
            second.interval.merge(&tally.measured);
            second.measured.merge(&tally.measured.histograms);
            second.interval.merge(&tally.unmeasured);
            second.strains.resize(self.endings.len().min(self.apart), Strain::default());
            second.strains[worker].merge(&tally.strain);
            self.strain.merge(&tally.strain);
        } else {
            self.aside.merge(&tally.measured);
        }
        for (trouble, count) in tally.troubles.drain(..) {
            let known = self.troubles.len() < KINDS || self.troubles.contains_key(&trouble);
            let trouble = if known { trouble } else { "and others".into() };
            *self.troubles.entry(trouble).or_default() += count;
        }
    }

    /// What was reported since the last time that this was asked for, as of a run that ends at `now`. The seconds are
    /// those of the whole.
    pub fn part(&mut self, now: Nanos) -> Board<E> {
        Board {
            end: now,
            apart: self.apart,
            running: self.running,
            total: mem::take(&mut self.total),
            aside: mem::take(&mut self.aside),
            strain: mem::take(&mut self.strain),
            troubles: mem::take(&mut self.troubles),
            endings: self.endings.iter_mut().map(Option::take).collect(),
            ..Board::new(0, self.epoch, self.clients)
        }
    }

    /// The next second that is over: every worker that runs has reported it, or will not.
    pub fn poll_second(&mut self, now: Nanos) -> Option<Progress> {
        let end = self.epoch + SECOND * (self.closed + 1);
        let over = match self.open.front() {
            // No second lasts longer than the run.
            second if self.end < Nanos::MAX => second.is_some(),
            Some(second) if second.workers >= self.running => now >= end,
            _ => now >= end + STRAGGLER,
        };
        if !over {
            return None;
        }
        self.closed += 1;
        let Open { interval, measured, strains, connected, .. } = self.open.pop_front().unwrap_or_default();
        Some(Progress {
            elapsed: end.min(self.end) - self.epoch,
            clients: self.clients,
            second: interval,
            measured,
            connected,
            workers: strains,
            total: self.total.counters,
            so_far: self.total.clone(),
            ..Progress::default()
        })
    }

    /// The second under way, as far as it is at `now`; what is left of it will be another one.
    pub fn cut_second(&mut self, now: Nanos) -> Option<Progress> {
        let under_way = self.open.front_mut().filter(|_| now < self.epoch + SECOND * (self.closed + 1))?;
        let Open { interval, strains, .. } = mem::take(under_way);
        Some(Progress {
            elapsed: now - self.epoch,
            clients: self.clients,
            second: interval,
            workers: strains,
            total: self.total.counters,
            so_far: self.total.clone(),
            ..Progress::default()
        })
    }

    /// What went wrong with workers, if anything did: a defect before what the machine did not allow.
    pub fn fault(&self) -> Option<&Fault> {
        let defect = self.faults.iter().find(|(ended, _)| *ended == Ended::Internal);
        defect.or(self.faults.first())
    }

    /// The generator's health, with what was seen of the machine around it.
    pub fn health(&self, workers: Generator) -> Generator {
        Generator {
            caps_reached: self.strain.caps_reached,
            handshakes_ns: self.strain.handshakes_ns,
            quota_cpus: self.quota,
            neighbours: self.neighbours.clone(),
            ..workers
        }
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
    use crate::clock::MILLISECOND;

    fn tally(second: u64, sent: u64) -> Tally {
        let mut tally = Tally { second, ..Tally::default() };
        tally.measured.counters.sent = sent;
        tally.unmeasured.counters.sent = 1;
        tally.connected = 3;
        tally.trouble("late".into());
        tally
    }

    #[test]
    fn a_second_is_over_when_every_worker_that_runs_has_reported_it() {
        let mut board = Board::<()>::new(2, 0, 7);
        board.add(0, &mut tally(0, 10));
        assert!(board.poll_second(SECOND).is_none(), "one is missing");
        board.add(0, &mut tally(0, 20));
        assert!(board.poll_second(SECOND - 1).is_none(), "it is not over");
        let progress = board.poll_second(SECOND).expect("it is over");
        assert_eq!((progress.elapsed, progress.clients), (SECOND, 7));
        assert_eq!((progress.second.counters.sent, progress.total.sent), (32, 30));
        assert_eq!(progress.connected, 6, "at its end, of all workers");
        // One has ended: nobody waits for it.
        board.running -= 1;
        board.add(0, &mut tally(1, 5));
        assert_eq!(board.poll_second(2 * SECOND).expect("it is over").second.counters.sent, 6);
        assert_eq!(board.troubles(), ["late (3 times)"]);
    }

    #[test]
    fn workers_whose_figures_are_apart_are_in_no_other() {
        let mut board = Board::<()>::new(2, 0, 7);
        board.apart = 1;
        board.add(1, &mut tally(0, 10));
        assert!(board.poll_second(SECOND).is_none(), "it is waited for all the same");
        board.add(0, &mut tally(0, 20));
        let progress = board.poll_second(SECOND).expect("it is over");
        assert_eq!((progress.second.counters.sent, progress.total.sent, progress.connected), (21, 20, 3));
        assert_eq!((progress.workers.len(), board.aside.counters.sent), (1, 10));
        assert_eq!(board.troubles(), ["late (2 times)"], "whoever had it");
    }

    /// What a worker has timed in a second.
    fn timed(second: u64, samples: &[Nanos]) -> Tally {
        let mut tally = Tally { second, ..Tally::default() };
        samples.iter().for_each(|sample| tally.measured.histograms.ack_response.record(*sample));
        tally
    }

    /// R10: a percentile is of everything measured, and no mean of percentiles.
    #[test]
    fn r10_percentiles_come_of_merged_histograms() {
        let mut board = Board::<()>::new(2, 0, 1);
        board.add(0, &mut timed(0, &[MILLISECOND; 1000]));
        board.add(0, &mut timed(0, &[100 * MILLISECOND; 1000]));
        let p99 = board.total.histograms.ack_response.supported_quantile(0.99).expect("2,000 samples");
        assert!(p99.abs_diff(100 * MILLISECOND) <= MILLISECOND / 10, "{p99}");
        let p50 = board.total.histograms.ack_response.supported_quantile(0.5).expect("2,000 samples");
        assert!(p50.abs_diff(MILLISECOND) <= MILLISECOND / 1000, "{p50}");
    }

    proptest::proptest! {
        /// R18: the seconds make the whole, bucket for bucket, whoever reports when.
        #[test]
        fn r18_the_seconds_add_up_to_the_total(
            tallies in proptest::collection::vec((0u64..4, proptest::collection::vec(1u64..1 << 40, 0..20)), 0..12),
        ) {
            let mut board = Board::<()>::new(3, 0, 1);
            tallies.iter().for_each(|(second, samples)| board.add(0, &mut timed(*second, samples)));
            board.end = 4 * SECOND;
            let mut sum = crate::stats::Histogram::default();
            while let Some(progress) = board.poll_second(Nanos::MAX) {
                sum.merge(&progress.second.histograms.ack_response);
            }
            proptest::prop_assert_eq!(&sum, &board.total.histograms.ack_response);
            let samples = tallies.iter().map(|(_, samples)| samples.len() as u64).sum::<u64>();
            proptest::prop_assert_eq!(sum.count(), samples);
        }
    }

    #[test]
    fn a_straggler_is_left_out_of_the_line_and_not_of_the_total() {
        let mut board = Board::<()>::new(2, 0, 1);
        board.add(0, &mut tally(0, 10));
        assert!(board.poll_second(SECOND + STRAGGLER - 1).is_none());
        assert_eq!(board.poll_second(SECOND + STRAGGLER).expect("long over").second.counters.sent, 11);
        board.add(0, &mut tally(0, 5));
        assert_eq!(board.total.counters.sent, 15);
        board.end = SECOND * 3 / 2;
        assert_eq!(board.poll_second(Nanos::MAX).expect("the rest").elapsed, SECOND * 3 / 2);
        assert!(board.poll_second(Nanos::MAX).is_none());
    }

    #[test]
    fn a_late_report_is_none_of_the_second_that_is_next() {
        let mut board = Board::<()>::new(2, 0, 1);
        board.add(0, &mut tally(0, 10));
        assert!(board.poll_second(SECOND + STRAGGLER).is_some());
        // The straggler's, whose clients are no more than they were; then both are in time again.
        board.add(0, &mut tally(0, 5));
        board.add(0, &mut tally(1, 10));
        assert!(board.poll_second(2 * SECOND).is_none(), "one is missing");
        board.add(0, &mut tally(1, 20));
        let progress = board.poll_second(2 * SECOND).expect("it is over");
        assert_eq!((progress.second.counters.sent, progress.connected), (38, 6));
    }

    #[test]
    fn troubles_of_ever_new_words_are_bounded() {
        let mut board = Board::<()>::new(1, 0, 1);
        for number in 0..10 * KINDS {
            let mut tally = Tally::default();
            tally.trouble(format!("number {number}"));
            board.add(0, &mut tally);
        }
        assert!(board.troubles.len() <= KINDS + 1);
        assert_eq!(board.troubles()[0], "and others (900 times)");
    }
}
