//! One load after the other while the connections stay up: what a search for a capacity is made of.

use crate::clock::{MILLISECOND, Nanos};
use crate::record::{Phase, Record};
use crate::stats::Levels;

/// What is to be offered next.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Load {
    /// Messages a second of all publishers together, or what else the one who decides is asked for.
    pub offered: f64,
    /// Publishing before the measure phase, in nanoseconds.
    pub settle: Nanos,
    /// Length of the measure phase, in nanoseconds.
    pub span: Nanos,
}

/// What came of a load.
pub struct Trial {
    /// When the run that it is of began, in nanoseconds since the first did: 0 where all trials are of one.
    pub began: Nanos,
    /// As of a run of its own, but for the connections, which are those of the whole. What has not come when its drain
    /// ended is lost.
    pub record: Record,
    /// By how much what was under way grew in the measure phase, as a share of what was offered. A queue grows.
    pub growth: f64,
    /// Where it was ended early, because far more was under way than the broker gets done in time: what that was a second.
    pub overrun_per_s: Option<f64>,
}

impl Trial {
    /// Of a run of its own, which began so long after the first. What was under way is known once a second.
    pub fn of_run(record: Record, began: Nanos) -> Trial {
        let (mut growth, mut levels) = (Growth::default(), Levels::default());
        let audience = record.counts.expected as f64 / record.counts.sent.max(1) as f64;
        for second in record.series.iter().filter(|second| second.phase == Phase::Measure && !second.part) {
            (levels.due, levels.sent) = (levels.due + second.offered, levels.sent + second.sent);
            (levels.acked, levels.delivered) =
                (levels.acked + second.acked, levels.delivered + second.delivered);
            levels.expected = (levels.sent as f64 * audience) as u64;
            levels.outstanding =
                if record.plan.qos > 0 { levels.sent.saturating_sub(levels.acked) } else { 0 };
            growth.sample(second.time_ns, &levels);
        }
        let rate_per_s = record.schedule_rate();
        let growth = if rate_per_s > 0.0 { growth.share(rate_per_s) } else { 0.0 };
        Trial { began, record, growth, overrun_per_s: None }
    }
}

/// Who decides on loads.
pub trait Pilot {
    /// The next load, after what came of the one before; `None` ends the run.
    fn next(&mut self, last: Option<Trial>) -> Option<Load>;

    /// How far it is, in a few words.
    fn outlook(&self) -> String;
}

/// The messages of one load on the timeline of a run: process clock.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Segment {
    /// The first message comes due.
    pub start: Nanos,
    /// What is intended from here on is measured,
    pub opens: Nanos,
    /// until here; `Nanos::MAX` where a count ends it.
    pub closes: Nanos,
    /// Messages a second of all publishers together, where that is not the plan's.
    pub rate_per_s: Option<f64>,
}

/// How what is under way grows: messages that came due and are not done, and deliveries that are to come. A broker that
/// takes more than it hands on answers in time for a while; its queue shows at once.
#[derive(Default)]
pub struct Growth {
    /// When, and how many messages and deliveries were under way.
    samples: Vec<(Nanos, [f64; 2])>,
    /// Deliveries of each message.
    audience: f64,
}

/// What the broker has had of a load, and not done, against what it has done.
#[derive(Clone, Copy, Default)]
pub struct Overrun {
    /// Where the workers stood when the load began.
    before: Levels,
}

/// Before that nobody can tell.
const SOON: Nanos = 250 * MILLISECOND;
/// What is under way is too much when it takes so long to be done, in seconds,
const TOO_LONG_S: f64 = 2.0;
/// and it is more than this.
const FEW: f64 = 1000.0;

impl Overrun {
    /// Of a load that begins when the workers stand there.
    pub fn new(before: Levels) -> Overrun {
        Overrun { before }
    }

    /// What the broker does a second, if what it was handed within `elapsed` is so far beyond that that to go on would only
    /// leave it a longer queue for the next load. Where nothing is answered nobody can tell.
    pub fn look(&self, elapsed: Nanos, levels: &Levels) -> Option<f64> {
        let since = |of: fn(&Levels) -> u64| (of(levels).saturating_sub(of(&self.before))) as f64;
        let (sent, acked) = (since(|levels| levels.sent), since(|levels| levels.acked));
        let (expected, delivered) = (since(|levels| levels.expected), since(|levels| levels.delivered));
        // A delivery each, or what it takes for all of a message's.
        let done = if expected > 0.0 { delivered * sent / expected } else { acked };
        let done_per_s = done * 1e9 / elapsed.max(1) as f64;
        let answered = expected > 0.0 || acked > 0.0;
        (answered && elapsed >= SOON && sent - done > FEW.max(TOO_LONG_S * done_per_s)).then_some(done_per_s)
    }
}

/// Between two samples.
const STEP: Nanos = 100 * MILLISECOND;
/// Samples at most: a trial of a minute. Beyond, every other one would do as well.
const SAMPLES: usize = 600;

impl Growth {
    /// Looks at where the workers stand at `now`.
    pub fn sample(&mut self, now: Nanos, levels: &Levels) {
        let due = self.samples.last().is_none_or(|(last, _)| now >= last + STEP);
        if !due || self.samples.len() == SAMPLES {
            return;
        }
        if levels.sent > 0 {
            self.audience = levels.expected as f64 / levels.sent as f64;
        }
        let waiting = levels.due.saturating_sub(levels.sent) as f64;
        let absent = levels.expected as f64 - levels.delivered as f64;
        let under_way = [levels.outstanding as f64, absent + waiting * self.audience];
        self.samples.push((now, under_way));
    }

    /// By what share of `rate_per_s` it grew, by the median of the slopes between all samples (Theil-Sen), which no
    /// single hiccup moves; 0 with fewer than three.
    pub fn share(&self, rate_per_s: f64) -> f64 {
        if self.samples.len() < 3 {
            return 0.0;
        }
        let of = |what: usize, per_message: f64| {
            let pairs = self.samples.iter().enumerate();
            let slopes = pairs.flat_map(|(at, (then, before))| {
                let later = self.samples[at + 1..].iter();
                later.map(move |(now, after)| (after[what] - before[what]) * 1e9 / (now - then) as f64)
            });
            let mut slopes: Vec<f64> = slopes.collect();
            let middle = slopes.len() / 2;
            let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
            *median / (rate_per_s * per_message)
        };
        let deliveries = if self.audience > 0.0 { of(1, self.audience) } else { 0.0 };
        of(0, 1.0).max(deliveries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;

    fn grown(seconds: u64, levels: impl Fn(f64) -> Levels) -> f64 {
        let mut growth = Growth::default();
        for moment in 0..seconds * 50 {
            growth.sample(moment * SECOND / 50, &levels(moment as f64 / 50.0));
        }
        assert_eq!(growth.samples.len() as u64, (seconds * 10).min(SAMPLES as u64));
        growth.share(1000.0)
    }

    fn levels(due: f64, sent: f64, outstanding: f64, delivered: f64) -> Levels {
        Levels {
            due: due as u64,
            sent: sent as u64,
            expected: 3 * sent as u64,
            outstanding: outstanding as u64,
            delivered: delivered as u64,
            ..Levels::default()
        }
    }

    #[test]
    fn what_is_merely_under_way_does_not_grow() {
        assert_eq!(grown(5, |_| Levels::default()), 0.0);
        // Thirty under way, and a hiccup of a second with all its messages.
        let steady = |time: f64| {
            let stuck = if (2.0..3.0).contains(&time) { (time - 2.0) * 1000.0 } else { 0.0 };
            let (due, done) = (1000.0 * time, 1000.0 * time - 30.0 - stuck);
            levels(due, due, 30.0 + stuck, 3.0 * done.max(0.0))
        };
        assert!(grown(5, steady).abs() < 0.005, "{}", grown(5, steady));
    }

    #[test]
    fn a_load_far_beyond_the_broker_is_told_before_its_queue_is_long() {
        let before = levels(500.0, 500.0, 0.0, 1500.0);
        let overrun = Overrun::new(before);
        let after = |sent: f64, done: f64| {
            let of = levels(500.0 + sent, 500.0 + sent, sent - done, 3.0 * (500.0 + done));
            Levels { acked: (500.0 + done) as u64, ..of }
        };
        assert_eq!(overrun.look(SECOND, &after(100_000.0, 10_000.0)), Some(10_000.0));
        assert_eq!(overrun.look(SECOND / 5, &after(100_000.0, 10.0)), None, "it is too soon");
        assert_eq!(overrun.look(SECOND, &after(29_000.0, 10_000.0)), None, "two seconds' worth may be");
        assert_eq!(overrun.look(SECOND, &after(900.0, 0.0)), None, "so few say nothing");
        let unheard = Levels { expected: 0, delivered: 0, ..after(100_000.0, 0.0) };
        let silent = Overrun::new(Levels { expected: 0, delivered: 0, acked: 500, ..before });
        assert_eq!(silent.look(SECOND, &unheard), None, "nothing is answered");
    }

    #[test]
    fn a_queue_grows_wherever_it_is() {
        // One message in fifty is not acknowledged, not delivered (of three deliveries each), or not even sent.
        let due = |time: f64| 1000.0 * time;
        let unacked = grown(5, |time| levels(due(time), due(time), 20.0 * time, 3.0 * due(time)));
        let absent = grown(5, |time| levels(due(time), due(time), 0.0, 3.0 * 980.0 * time));
        let unsent = grown(5, |time| levels(due(time), 980.0 * time, 20.0 * time, 3.0 * 980.0 * time));
        for growth in [unacked, absent, unsent] {
            assert!((growth - 0.02).abs() < 0.002, "{growth}");
        }
        assert!(
            (grown(100, |time| levels(due(time), due(time), 20.0 * time, 3.0 * due(time))) - 0.02).abs()
                < 0.002
        );
    }
}
