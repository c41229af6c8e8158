//! One load after the other while the connections stay up: what a search for a capacity is made of.

use crate::clock::{MILLISECOND, Nanos};
use crate::record::Record;
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
    /// For so long nothing had come any more when its drain was given up, in nanoseconds.
    pub quiet_ns: Nanos,
    /// Where it was ended early, because far more was under way than the broker gets done in time: what that was a second.
    pub overrun_per_s: Option<f64>,
}

impl Trial {
    /// Of a run of its own, in which nobody looked at what was under way.
    pub fn of_run(mut record: Record) -> Trial {
        let counts = &mut record.counts;
        (counts.lost, counts.undelivered_at_end) = (counts.lost + counts.undelivered_at_end, 0);
        record.conclude();
        Trial { began: 0, record, growth: 0.0, quiet_ns: 0, overrun_per_s: None }
    }
}

/// One load, and what came of it.
pub struct Single {
    load: Load,
    /// Nothing where the run ended before that.
    pub trial: Option<Trial>,
}

impl Single {
    /// Of a run that has this load alone.
    pub fn new(load: Load) -> Single {
        Single { load, trial: None }
    }
}

impl Pilot for Single {
    fn next(&mut self, last: Option<Trial>) -> Option<Load> {
        let first = last.is_none();
        self.trial = last;
        first.then_some(self.load)
    }

    fn outlook(&self) -> String {
        String::new()
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

/// What the broker has had of a load, and not done, against the most that it has done.
#[derive(Clone, Copy, Default)]
pub struct Overrun {
    /// Where the workers stood when the load began.
    before: Levels,
    /// Since when what is done is counted, and from how much on: since the first was done.
    window: Option<(Nanos, f64)>,
    /// The most that was done in a window, a second.
    best_per_s: f64,
}

/// What is done is counted over so long: a hiccup is in some windows and not in others.
const WINDOW: Nanos = 100 * MILLISECOND;
/// What is under way is too much when it takes so long to be done, in seconds,
const TOO_LONG_S: f64 = 2.0;
/// and it is more than this.
const FEW: f64 = 1000.0;

impl Overrun {
    /// Of a load that begins when the workers stand there.
    pub fn new(before: Levels) -> Overrun {
        Overrun { before, ..Overrun::default() }
    }

    /// What the broker does a second, if what it was handed within `elapsed` is so far beyond that that to go on would only
    /// leave it a longer queue for the next load. As long as nothing was answered nobody can tell.
    pub fn look(&mut self, elapsed: Nanos, levels: &Levels) -> Option<f64> {
        let since = |of: fn(&Levels) -> u64| (of(levels).saturating_sub(of(&self.before))) as f64;
        let (sent, acked) = (since(|levels| levels.sent), since(|levels| levels.acked));
        let (expected, delivered) = (since(|levels| levels.expected), since(|levels| levels.delivered));
        // A delivery each, or what it takes for all of a message's.
        let done = if expected > 0.0 { delivered * sent / expected } else { acked };
        match self.window {
            None if done > 0.0 => self.window = Some((elapsed, done)),
            Some((from, before)) if elapsed >= from + WINDOW => {
                let per_s = (done - before) * 1e9 / (elapsed - from) as f64;
                self.best_per_s = self.best_per_s.max(per_s);
                self.window = Some((elapsed, done));
            }
            _ => {}
        }
        let best = self.best_per_s;
        (best > 0.0 && sent - done > FEW.max(TOO_LONG_S * best)).then_some(best)
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

    /// When a load is ended: `done` tells how many of 1,000 offered in each millisecond were done by then.
    fn ended(done: impl Fn(f64) -> f64) -> Option<(f64, f64)> {
        let before = levels(500.0, 500.0, 0.0, 1500.0);
        let mut overrun = Overrun::new(before);
        (1..=60).find_map(|look| {
            let time = f64::from(look) / 10.0;
            let (sent, done) = (1e6 * time, done(time).clamp(0.0, 1e6 * time));
            let of = levels(500.0 + sent, 500.0 + sent, sent - done, 3.0 * (500.0 + done));
            let now = Levels { acked: 500 + done as u64, ..of };
            overrun.look(Nanos::from(look as u32) * SECOND / 10, &now).map(|per_s| (time, per_s))
        })
    }

    #[test]
    fn a_load_far_beyond_the_broker_is_ended_before_its_queue_is_long() {
        let (time, per_s) = ended(|time| 10_000.0 * time).expect("a hundred times as much");
        assert!(time < 0.6 && (per_s - 10_000.0).abs() < 200.0, "{time} s, {per_s}/s");
        let (time, _) = ended(|time| 200_000.0 * time).expect("five times as much");
        assert!((0.5..=0.7).contains(&time), "two fifths of a second's worth is two seconds of its: {time}");
        assert_eq!(ended(|_| 0.0), None, "nothing is answered");
    }

    #[test]
    fn what_takes_long_is_no_queue() {
        for latency in [0.05, 0.3, 0.5, 1.5] {
            assert_eq!(ended(|time| 1e6 * (time - latency)), None, "{latency} s each");
        }
        // A standstill of more than a second, when it has just begun and later; then all at once.
        for from in [0.2, 2.0] {
            let standstill =
                |time: f64| if (from..from + 1.3).contains(&time) { 1e6 * from } else { 1e6 * (time - 0.01) };
            assert_eq!(ended(standstill), None, "from {from} s on");
        }
        // A spell in which a tenth is done: what it does at its best is what counts.
        let spell =
            |time: f64| if (2.0..3.3).contains(&time) { 1.8e6 + 1e5 * time } else { 1e6 * (time - 0.01) };
        assert_eq!(ended(spell), None);
        let (time, _) = ended(|time| 600_000.0 * time).expect("it adds up");
        assert!(time >= 3.0, "what is only somewhat too much is a queue of two seconds later: {time}");
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
