//! When messages are due: the open-loop schedule of one worker's publishers.

use super::profile::{Profile, WHOLE};
use crate::clock::Nanos;
use crate::record::Arrival;
use crate::seed::{Draw, Purpose};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// One message that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// Place of the publisher among those of this worker.
    pub place: u32,
    /// Nanoseconds since the start of the schedule.
    pub intended: Nanos,
}

/// What ends a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Messages are due before this time.
    Time(Nanos),
    /// Each publisher has this many messages.
    Count(u64),
}

/// Gaps of Poisson streams.
const GAPS: Purpose = Purpose::named("arrival");

/// The messages of one worker's publishers in the order they are due. Needs no timer per publisher: with equal
/// distances the publishers come round in turn, and of Poisson streams, one for each publisher, so that nothing
/// depends on which worker has it, the next messages are a heap.
pub struct Schedule {
    next: Option<Due>,
    following: Option<Due>,
    end: End,
    /// Of all publishers together.
    profile: Profile,
    kind: Kind,
}

enum Kind {
    Constant {
        /// Numbers of the publishers, ascending.
        numbers: Vec<u32>,
        /// Of all workers.
        publishers: u32,
        round: u64,
        place: u32,
    },
    Poisson {
        /// Numbers of the publishers, ascending.
        numbers: Vec<u32>,
        /// Of all workers.
        publishers: u32,
        seed: u64,
        /// The next message of each publisher that has one, the earliest first.
        heads: BinaryHeap<Reverse<Head>>,
    },
}

/// A publisher's next message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    intended: Nanos,
    place: u32,
    /// Messages before it.
    sequence: u64,
    /// Messages that the publisher's rate makes until then, in billionths.
    parts: u128,
}

/// What a publisher's rate makes between message `sequence` of its Poisson stream, or the beginning, and the next: one
/// message on average, in billionths. Whatever the rate does meanwhile, that is an exponential variate.
fn gap(seed: u64, number: u32, sequence: u64) -> u128 {
    (Draw::of(seed, GAPS, number, sequence).exponential() * WHOLE as f64).round() as u128
}

impl Schedule {
    /// The schedule of the publishers with `numbers` (ascending) out of `publishers`, which together
    /// send `rate` messages a second: a number, or a [`Profile`], and then no longer than that.
    pub fn new(
        arrival: Arrival,
        numbers: Vec<u32>,
        publishers: u32,
        rate: impl Into<Profile>,
        end: End,
        seed: u64,
    ) -> Schedule {
        let profile = rate.into();
        let kind = match arrival {
            Arrival::Constant => Kind::Constant { numbers, publishers, round: 0, place: 0 },
            Arrival::Poisson => {
                let head = |(place, &number)| {
                    let parts = gap(seed, number, 0);
                    let intended = profile.due(parts * u128::from(publishers))?;
                    Some(Reverse(Head { intended, place, sequence: 0, parts }))
                };
                let heads = (0..).zip(&numbers).filter_map(head).collect();
                Kind::Poisson { numbers, publishers, seed, heads }
            }
        };
        let mut schedule = Schedule { next: None, following: None, end, profile, kind };
        schedule.next = schedule.advance();
        schedule.following = schedule.advance();
        schedule
    }

    /// When the next message is due; `None` when there are no more.
    pub fn next_due(&self) -> Option<Nanos> {
        self.next.map(|due| due.intended)
    }

    /// When the message after that is due.
    pub fn following_due(&self) -> Option<Nanos> {
        self.following.map(|due| due.intended)
    }

    /// Takes the next message if it is due at `now` (nanoseconds since the start of the schedule).
    pub fn pop(&mut self, now: Nanos) -> Option<Due> {
        let due = self.next.filter(|due| due.intended <= now)?;
        self.next = self.following;
        self.following = self.advance();
        Some(due)
    }

    fn advance(&mut self) -> Option<Due> {
        let profile = &self.profile;
        let due = match &mut self.kind {
            Kind::Constant { numbers, publishers, round, place } => {
                let number = *numbers.get(*place as usize)?;
                if self.end == End::Count(*round) {
                    return None;
                }
                let message = *round * u64::from(*publishers) + u64::from(number);
                let due = Due { place: *place, intended: profile.due_whole(message)? };
                *place += 1;
                if *place as usize == numbers.len() {
                    (*place, *round) = (0, *round + 1);
                }
                due
            }
            Kind::Poisson { numbers, publishers, seed, heads } => {
                let mut first = heads.peek_mut()?;
                let Head { intended, place, sequence, parts } = first.0;
                if self.end == End::Count(sequence) {
                    return None;
                }
                let sequence = sequence + 1;
                let parts = parts + gap(*seed, numbers[place as usize], sequence);
                match profile.due(parts * u128::from(*publishers)) {
                    Some(intended) if self.end != End::Count(sequence) => {
                        first.0 = Head { intended, place, sequence, parts };
                    }
                    _ => drop(PeekMut::pop(first)),
                }
                Due { place, intended }
            }
        };
        match self.end {
            End::Time(end) if due.intended >= end => None,
            _ => Some(due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;
    use proptest::prelude::*;

    fn all(mut schedule: Schedule) -> Vec<Due> {
        std::iter::from_fn(|| schedule.pop(Nanos::MAX)).collect()
    }

    fn constant(numbers: &[u32], publishers: u32, rate: f64, end: End) -> Vec<Due> {
        all(Schedule::new(Arrival::Constant, numbers.to_vec(), publishers, rate, end, 1))
    }

    #[test]
    fn constant_messages_are_evenly_phased_over_publishers() {
        let due = constant(&[0, 1, 2, 3], 4, 8.0, End::Time(SECOND));
        let times: Vec<_> = due.iter().map(|due| due.intended).collect();
        assert_eq!(times, (0..8).map(|n| n * SECOND / 8).collect::<Vec<_>>());
        assert_eq!(due.iter().map(|due| due.place).collect::<Vec<_>>(), [0, 1, 2, 3, 0, 1, 2, 3]);
    }

    #[test]
    fn workers_divide_the_schedule_without_changing_it() {
        let end = End::Time(10 * SECOND);
        let mut whole: Vec<_> = constant(&[0, 1, 2, 3, 4], 5, 77.0, end).iter().map(|d| d.intended).collect();
        let mut parts: Vec<_> = constant(&[0, 2, 4], 5, 77.0, end).iter().map(|d| d.intended).collect();
        parts.extend(constant(&[1, 3], 5, 77.0, end).iter().map(|d| d.intended));
        whole.sort_unstable();
        parts.sort_unstable();
        assert_eq!((whole.len(), &whole), (770, &parts));
    }

    /// R8: as many as the rate makes of the time; those of rates that change are in `profile/tests.rs`.
    #[test]
    fn r08_totals_are_exact_also_for_fractions_and_long_runs() {
        assert_eq!(constant(&[0], 1, 0.066, End::Time(1000 * SECOND)).len(), 66);
        assert_eq!(constant(&[0, 1, 2], 3, 30_000.0, End::Time(20 * SECOND)).len(), 600_000);
        assert_eq!(constant(&[1], 3, 1.0, End::Count(5)).len(), 5);
        assert_eq!(constant(&[], 3, 1.0, End::Count(5)).len(), 0);
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut schedule = Schedule::new(Arrival::Constant, vec![0], 1, 1000.0, End::Count(3), 1);
        assert_eq!(schedule.pop(0), Some(Due { place: 0, intended: 0 }));
        assert_eq!(schedule.next_due(), Some(1_000_000));
        assert_eq!(schedule.pop(999_999), None);
        assert_eq!(schedule.pop(1_000_000), Some(Due { place: 0, intended: 1_000_000 }));
    }

    fn poisson(seed: u64, end: End) -> Vec<Due> {
        all(Schedule::new(Arrival::Poisson, (0..10).collect(), 10, 1000.0, end, seed))
    }

    #[test]
    fn poisson_gaps_are_exponential_and_the_choice_uniform() {
        let due = poisson(42, End::Time(100 * SECOND));
        let count = due.len() as f64;
        // Poisson(100,000): four standard deviations.
        assert!((count - 100_000.0).abs() < 4.0 * 100_000f64.sqrt(), "{count}");
        assert!(due.is_sorted_by_key(|due| due.intended));
        let mut gaps: Vec<f64> =
            due.windows(2).map(|pair| (pair[1].intended - pair[0].intended) as f64 / 1e6).collect();
        gaps.sort_by(f64::total_cmp);
        // Kolmogorov-Smirnov distance to the exponential distribution with a mean of 1 ms, at 0.1 %.
        let n = gaps.len() as f64;
        let distance = gaps
            .iter()
            .enumerate()
            .map(|(i, gap)| (1.0 - (-gap).exp() - (i as f64 + 0.5) / n).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / n.sqrt(), "{distance}");
        for place in 0..10 {
            let share = due.iter().filter(|due| due.place == place).count() as f64;
            assert!((share - count / 10.0).abs() < 4.0 * (count / 10.0).sqrt(), "{place}: {share}");
        }
    }

    #[test]
    fn poisson_counts_are_exact_per_publisher() {
        let due = poisson(7, End::Count(50));
        assert!((0..10).all(|place| due.iter().filter(|due| due.place == place).count() == 50));
    }

    #[test]
    fn of_no_messages_nothing_is_due() {
        assert_eq!(poisson(7, End::Count(0)), []);
    }

    /// Gaps in units of their mean, ascending.
    fn gaps(due: &[Due]) -> Vec<f64> {
        let gaps: Vec<f64> =
            due.windows(2).map(|pair| (pair[1].intended - pair[0].intended) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let mut gaps: Vec<f64> = gaps.into_iter().map(|gap| gap / mean).collect();
        gaps.sort_by(f64::total_cmp);
        gaps
    }

    /// The distance of Anderson and Darling from the exponential distribution; `gaps` are in units of their mean, as
    /// estimated: above 1.959 at 1 % (Stephens, 1974).
    fn anderson_darling(gaps: &[f64]) -> f64 {
        let n = gaps.len() as f64;
        let below = |gap: f64| (1.0 - (-gap).exp()).clamp(1e-300, 1.0 - 1e-16);
        let sum = gaps.iter().zip(gaps.iter().rev()).zip(0..).map(|((low, high), at)| {
            (2.0 * f64::from(at) + 1.0) * (below(*low).ln() + (1.0 - below(*high)).ln())
        });
        (-n - sum.sum::<f64>() / n) * (1.0 + 0.6 / n)
    }

    /// R6: what is due is a Poisson stream where that was asked for, and the same of the same seed.
    #[test]
    fn r06_poisson_is_poisson_and_constant_is_not() {
        let end = End::Time(20 * SECOND);
        for seed in [3, 4, 42] {
            let far = anderson_darling(&gaps(&poisson(seed, end)));
            assert!(far < 1.959, "seed {seed}: {far}");
            assert_eq!(poisson(seed, end), poisson(seed, end));
        }
        assert_ne!(poisson(3, end), poisson(4, end));
        let far = anderson_darling(&gaps(&constant(&[0, 1, 2], 3, 1000.0, end)));
        assert!(far > 100.0, "constant: {far}");
    }

    /// R7: publishers are staggered over all workers: nothing leaves in bunches.
    #[test]
    fn r07_two_workers_together_are_as_even_as_one() {
        let end = End::Time(10 * SECOND);
        let halves = [[0, 2, 4, 6], [1, 3, 5, 7]].map(|numbers| constant(&numbers, 8, 1000.0, end));
        let mut both = halves.concat();
        both.sort_unstable_by_key(|due| due.intended);
        let gaps = gaps(&both);
        let variance = gaps.iter().map(|gap| (gap - 1.0).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!(variance.sqrt() < 0.2 && gaps[0] > 0.5, "{variance}");
    }

    proptest! {
        /// Who has which publisher changes nothing.
        #[test]
        fn workers_do_not_change_what_is_due(
            publishers in 1u32..40, workers in prop::sample::select(vec![1u32, 2, 3, 7]), seed: u64, poisson: bool,
            end in prop_oneof![(1u64..30).prop_map(End::Count), (1u64..3).prop_map(|s| End::Time(s * SECOND))],
            changes: bool,
        ) {
            let arrival = if poisson { Arrival::Poisson } else { Arrival::Constant };
            let of = |numbers: Vec<u32>| {
                let changing = "line(0,100,1s) const(0,200ms) step(10,50,20,400ms)";
                let rate = if changes { changing.parse().unwrap() } else { Profile::constant(50.0) };
                let schedule = Schedule::new(arrival, numbers.clone(), publishers, rate, end, seed);
                all(schedule).into_iter().map(move |due| (due.intended, numbers[due.place as usize]))
            };
            let whole: Vec<_> = of((0..publishers).collect()).collect();
            let share = |worker| (worker..publishers).step_by(workers as usize).collect();
            let mut parts: Vec<_> = (0..workers).flat_map(|worker| of(share(worker))).collect();
            parts.sort_unstable();
            prop_assert!(whole.is_sorted());
            prop_assert_eq!(whole, parts);
        }
    }
}
