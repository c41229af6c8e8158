//! When one client's messages are due.

#[cfg(test)]
mod tests;

use crate::clock::{Nanos, SECOND};
use crate::seed::{Draw, Purpose};

/// The gaps between a client's messages.
const PACING: Purpose = Purpose::named("pacing");

/// How the messages of a client follow each other.
///
/// Times come from a schedule, so nothing adds up: message k (from 0) at a rate r is due at k / r, however
/// long the messages before it took.
///
/// ```
/// use malaria_bench::clock::MILLISECOND;
/// use malaria_bench::load::{Pace, Pacer, Pacing};
/// let pace = Pace::Rate { per_s: 50.0 };
/// let pacing = Pacing { pace, jitter: 0.0, count: Some(3), duration: None, seed: 1 };
/// let mut pacer = Pacer::new(&pacing, 0);
/// let due: Vec<_> = std::iter::from_fn(|| {
///     let due = pacer.peek();
///     pacer.advance(&pacing);
///     due
/// })
/// .collect();
/// assert_eq!(due, [0, 20 * MILLISECOND, 40 * MILLISECOND]);
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pacing {
    pub pace: Pace,
    /// With [`Pace::Rate`], how much an interval may differ from the nominal one, as a fraction of it from 0
    /// to 1: each message is moved by up to half of that. Other paces come as they are.
    pub jitter: f64,
    /// Messages of each client; `None` is no end.
    pub count: Option<u64>,
    /// Messages are due before this time since the client's start; `None` is no end. With
    /// [`Pace::Unlimited`], whose messages are due at once, it is up to the caller.
    pub duration: Option<Nanos>,
    /// What everything random follows from, with the number of the client.
    pub seed: u64,
}

/// The kinds of pace.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// As fast as it goes.
    Unlimited,
    /// This many messages a second; below 1 is fine.
    Rate { per_s: f64 },
    /// Gaps are uniformly random between these, inclusive.
    Delay { min: Nanos, max: Nanos },
    /// Gaps are normally distributed; what would be negative is 0.
    Normal { mean: Nanos, deviation: Nanos },
    /// Messages a second: `fast_per_s` for the first `length` of every `period`, and `slow_per_s`, which may be
    /// 0, for the rest of it.
    Burst { slow_per_s: f64, fast_per_s: f64, length: Nanos, period: Nanos },
}

/// A pace that makes no sense. Each message names the value and the fix.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum PacingError {
    #[error("{0} messages a second: a rate is a number above 0")]
    Rate(f64),
    #[error("jitter {0}: it is a fraction of the interval, from 0 to 1")]
    Jitter(f64),
    #[error("delay of {min} to {max} ns: the first must not be the longer one")]
    Delay { min: Nanos, max: Nanos },
    #[error("bursts of {length} ns every {period} ns: a burst is longer than 0 and at most its period")]
    Burst { length: Nanos, period: Nanos },
}

impl Pace {
    /// When client number `client` of `clients` starts, so that their messages are spread evenly over time:
    /// its share of the first interval. 0 for paces without a fixed interval.
    pub fn phase(&self, client: u32, clients: u32) -> Nanos {
        match *self {
            Pace::Rate { per_s } => {
                (SECOND as f64 / per_s * f64::from(client) / f64::from(clients.max(1))).round() as Nanos
            }
            _ => 0,
        }
    }
}

impl Pacing {
    /// Whether there can be a [`Pacer`] for this.
    ///
    /// # Errors
    /// The first value that makes no sense.
    pub fn check(&self) -> Result<(), PacingError> {
        let positive = |rate: f64| rate > 0.0 && rate.is_finite();
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(PacingError::Jitter(self.jitter));
        }
        match self.pace {
            Pace::Rate { per_s } if !positive(per_s) => Err(PacingError::Rate(per_s)),
            Pace::Delay { min, max } if min > max => Err(PacingError::Delay { min, max }),
            Pace::Burst { fast_per_s, .. } if !positive(fast_per_s) => Err(PacingError::Rate(fast_per_s)),
            Pace::Burst { slow_per_s, .. } if slow_per_s != 0.0 && !positive(slow_per_s) => {
                Err(PacingError::Rate(slow_per_s))
            }
            Pace::Burst { length, period, .. } if length == 0 || length > period => {
                Err(PacingError::Burst { length, period })
            }
            _ => Ok(()),
        }
    }

    /// When message `number` (from 0) of `client` is due, given when the one before was.
    fn due(&self, client: u32, number: u64, before: Nanos) -> Nanos {
        let mut draw = Draw::of(self.seed, PACING, client, number);
        match self.pace {
            _ if number == 0 => 0,
            Pace::Unlimited => 0,
            Pace::Rate { per_s } => {
                let interval = SECOND as f64 / per_s;
                let moved = if self.jitter > 0.0 { (draw.unit() - 0.5) * self.jitter } else { 0.0 };
                // Rounding must not turn two messages round.
                ((number as f64 * interval + moved * interval).round() as Nanos).max(before)
            }
            Pace::Delay { min, max } => {
                // The end is part of the range.
                before.saturating_add(min + draw.up_to(max - min))
            }
            Pace::Normal { mean, deviation } => {
                // A negative number becomes 0.
                before.saturating_add((mean as f64 + draw.normal() * deviation as f64).round() as Nanos)
            }
            Pace::Burst { slow_per_s, fast_per_s, length, period } => {
                // The inverse of the number of messages up to a time, which grows by the same in each period.
                let seconds = |nanos: Nanos| nanos as f64 / SECOND as f64;
                let fast = fast_per_s * seconds(length);
                let each = fast + slow_per_s * seconds(period - length);
                // A message at a boundary belongs to the period that begins there, rounding or not.
                let periods = number as f64 / each;
                let periods = (periods * (1.0 + 4.0 * f64::EPSILON) + 1e-9).floor();
                let rest = (number as f64 - periods * each).max(0.0);
                let within = if rest < fast || slow_per_s == 0.0 {
                    rest / fast_per_s
                } else {
                    seconds(length) + (rest - fast) / slow_per_s
                };
                ((periods * period as f64 + within * SECOND as f64).round() as Nanos).max(before)
            }
        }
    }
}

/// The schedule of one client.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    next: Option<Nanos>,
    made: u64,
    client: u32,
}

impl Pacer {
    /// The schedule of client number `client`. Clients differ in what is random.
    ///
    /// # Panics
    /// When `pacing` does not pass [`Pacing::check`].
    pub fn new(pacing: &Pacing, client: u32) -> Pacer {
        assert_eq!(pacing.check(), Ok(()), "checked where it was typed");
        let mut pacer = Pacer { next: None, made: 0, client };
        pacer.next = pacer.due(pacing, 0);
        pacer
    }

    /// When the next message is due, since the client's start; `None` when there are no more.
    pub fn peek(&self) -> Option<Nanos> {
        self.next
    }

    /// Takes the next message, if there is one. `pacing` is the one this was made with.
    pub fn advance(&mut self, pacing: &Pacing) {
        if let Some(before) = self.next {
            self.made += 1;
            self.next = self.due(pacing, before);
        }
    }

    /// Messages taken.
    pub fn made(&self) -> u64 {
        self.made
    }

    fn due(&self, pacing: &Pacing, before: Nanos) -> Option<Nanos> {
        if pacing.count.is_some_and(|count| self.made >= count) {
            return None;
        }
        let due = pacing.due(self.client, self.made, before);
        (pacing.duration.is_none_or(|duration| due < duration)).then_some(due)
    }
}
