//! When messages are due: the open-loop schedule of one worker's publishers.

use crate::clock::{Nanos, SECOND};
use crate::record::Arrival;
use crate::seed::{self, Draw};

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

/// The messages of one worker's publishers in the order they are due. Needs no timer per publisher:
/// with equal distances the publishers come round in turn, and a Poisson stream over many publishers
/// is one exponential clock and a uniform choice.
pub struct Schedule {
    next: Option<Due>,
    following: Option<Due>,
    end: End,
    kind: Kind,
}

enum Kind {
    Constant {
        /// Numbers of the publishers, ascending.
        numbers: Vec<u32>,
        /// Of all workers.
        publishers: u32,
        /// Nanoseconds between two messages of all publishers.
        gap: f64,
        round: u64,
        place: u32,
    },
    Poisson {
        draw: Draw,
        /// Nanoseconds between two messages of one publisher, on average.
        mean: f64,
        time: f64,
        /// Places of the publishers that still have messages to send, and how many each.
        active: Vec<(u32, u64)>,
    },
}

impl Schedule {
    /// The schedule of the publishers with `numbers` (ascending) out of `publishers`, which together
    /// send `rate` messages a second.
    pub fn new(
        arrival: Arrival,
        numbers: Vec<u32>,
        publishers: u32,
        rate: f64,
        end: End,
        seed: u64,
    ) -> Schedule {
        let gap = SECOND as f64 / rate;
        let kind = match arrival {
            Arrival::Constant => Kind::Constant { numbers, publishers, gap, round: 0, place: 0 },
            Arrival::Poisson => {
                let count = if let End::Count(count) = end { count } else { u64::MAX };
                Kind::Poisson {
                    // One stream per worker, told apart by its first publisher.
                    draw: seed::stream(seed, "arrival", numbers.first().copied().unwrap_or(0).into()),
                    mean: gap * f64::from(publishers),
                    time: 0.0,
                    active: (0..numbers.len() as u32).map(|place| (place, count)).collect(),
                }
            }
        };
        let mut schedule = Schedule { next: None, following: None, end, kind };
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
        let due = match &mut self.kind {
            Kind::Constant { numbers, publishers, gap, round, place } => {
                let number = *numbers.get(*place as usize)?;
                if self.end == End::Count(*round) {
                    return None;
                }
                let message = *round * u64::from(*publishers) + u64::from(number);
                let due = Due { place: *place, intended: (message as f64 * *gap).round() as Nanos };
                *place += 1;
                if *place as usize == numbers.len() {
                    (*place, *round) = (0, *round + 1);
                }
                due
            }
            Kind::Poisson { draw, mean, time, active } => {
                if active.is_empty() {
                    return None;
                }
                *time += draw.exponential() * *mean / active.len() as f64;
                let choice = draw.below(active.len() as u64) as usize;
                let (place, left) = &mut active[choice];
                let due = Due { place: *place, intended: *time as Nanos };
                *left -= 1;
                if *left == 0 {
                    active.swap_remove(choice);
                }
                due
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

    #[test]
    fn totals_are_exact_also_for_fractions_and_long_runs() {
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
    fn the_same_seed_gives_the_same_schedule() {
        let end = End::Time(SECOND);
        assert_eq!(poisson(3, end), poisson(3, end));
        assert_ne!(poisson(3, end), poisson(4, end));
    }
}
