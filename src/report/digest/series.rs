//! What happened in each second of a run.

use crate::clock::Nanos;
use crate::record::{FleetSecond, Phase, Record, Schedule, Second};
use crate::stats::inference::median;
use std::fmt;

/// Most moments of a series: a chart has no more columns than this.
const MOST: usize = 300;
/// A last second shorter than this is counted with the one before: a rate over a few milliseconds is noise.
const SHORTEST_S: f64 = 0.5;

/// One second of a run, or several in a row where the run was long.
#[derive(Clone, PartialEq, Debug)]
pub struct Moment {
    /// Start, in seconds since the start of the run.
    pub from_s: f64,
    /// End, in seconds since the start of the run.
    pub to_s: f64,
    /// Its whole seconds, if there is one in it: what was done in a part of its phase is no rate.
    whole: Option<Done>,
    /// Connections lost; of a fleet, attempts to connect that failed as well.
    pub errors: u64,
    /// 99th percentile of acknowledgement times; of several seconds the highest.
    pub ack_p99_ns: Option<Nanos>,
    /// The same of deliveries.
    pub flight_p99_ns: Option<Nanos>,
    /// CPU time of the broker; `None` where some of it was not seen.
    pub broker_cpu_ns: Option<Nanos>,
    /// Resident memory of the broker at its end, in bytes.
    pub broker_bytes: Option<u64>,
}

/// What was done in whole seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Done {
    /// How long they are together.
    span_s: f64,
    pub sent: u64,
    pub acked: u64,
    pub delivered: u64,
}

impl Moment {
    /// `count` of this moment per second of it.
    pub fn per_s(&self, count: u64) -> f64 {
        count as f64 / (self.to_s - self.from_s).max(1e-9)
    }

    /// Messages per second, by what is counted; `None` where no second of it is a whole one.
    pub fn rate(&self, of: fn(&Done) -> u64) -> Option<f64> {
        self.whole.map(|done| of(&done) as f64 / done.span_s.max(1e-9))
    }

    /// Whether there are rates of it.
    pub fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// The two as one.
    fn join(&mut self, next: &Moment) {
        self.to_s = next.to_s;
        self.whole = match (self.whole, next.whole) {
            (Some(one), Some(more)) => Some(Done {
                span_s: one.span_s + more.span_s,
                sent: one.sent + more.sent,
                acked: one.acked + more.acked,
                delivered: one.delivered + more.delivered,
            }),
            (one, more) => one.or(more),
        };
        self.errors += next.errors;
        self.ack_p99_ns = self.ack_p99_ns.max(next.ack_p99_ns);
        self.flight_p99_ns = self.flight_p99_ns.max(next.flight_p99_ns);
        self.broker_cpu_ns = self.broker_cpu_ns.zip(next.broker_cpu_ns).map(|(one, more)| one + more);
        self.broker_bytes = next.broker_bytes;
    }
}

/// Seconds of the measure phase in which the broker stood still, or nearly.
#[derive(Clone, PartialEq, Debug)]
pub struct Stall {
    /// Which, from 1, in the order of the run.
    pub seconds: Vec<usize>,
    /// Whole seconds that the phase has.
    pub of: usize,
    /// What was not done: `delivered`.
    pub what: &'static str,
}

impl fmt::Display for Stall {
    /// `less than half of what was due was delivered in 2 of 10 seconds: 5, 6`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The chart has the others.
        const NAMED: usize = 5;
        let Stall { seconds, of, what } = self;
        let named: Vec<String> = seconds.iter().take(NAMED).map(usize::to_string).collect();
        let more = if seconds.len() > NAMED { ", ..." } else { "" };
        let count = seconds.len();
        write!(
            f,
            "less than half of what was due was {what} in {count} of {of} seconds: {}{more}",
            named.join(", ")
        )
    }
}

/// Fewer messages than this are too few to miss half of them.
const ENOUGH: f64 = 20.0;

/// The whole seconds in which less than half was done of what was due, or, where nothing is due at a time, of what the
/// middle one of them did. `None` without any.
pub fn stall(record: &Record) -> Option<Stall> {
    let (plan, counts) = (&record.plan, &record.counts);
    let (what, of, each): (_, fn(&Second) -> u64, _) = match (plan.subscribers, plan.qos) {
        (0, 0) => return None,
        (0, _) => ("acked", |second| second.acked, 1.0),
        _ => ("delivered", |second| second.delivered, counts.expected as f64 / counts.due.max(1) as f64),
    };
    let measured = record.series.iter().enumerate();
    let whole: Vec<(usize, &Second)> =
        measured.filter(|(_, second)| second.phase == Phase::Measure && !second.part).collect();
    let done: Vec<f64> = whole.iter().map(|(_, second)| of(second) as f64).collect();
    let middle = median(&done)?;
    let open = matches!(plan.schedule, Schedule::Open { .. });
    let due = |second: &Second| if open { second.offered as f64 * each } else { middle };
    let stalled =
        |(_, second): &&(usize, &Second)| due(second) >= ENOUGH && 2.0 * (of(second) as f64) < due(second);
    let seconds: Vec<usize> = whole.iter().filter(stalled).map(|(at, _)| at + 1).collect();
    (!seconds.is_empty()).then_some(Stall { seconds, of: whole.len(), what })
}

pub fn of_run(series: &[Second]) -> Vec<Moment> {
    condense(series.iter().map(|second| Moment {
        from_s: 0.0,
        to_s: second.time_ns as f64 / 1e9,
        whole: (!second.part).then_some(Done {
            span_s: 0.0,
            sent: second.sent,
            acked: second.acked,
            delivered: second.delivered,
        }),
        errors: second.connections_lost,
        ack_p99_ns: second.ack_p99_ns,
        flight_p99_ns: second.flight_p99_ns,
        broker_cpu_ns: second.broker.map(|used| used.cpu_ns()),
        broker_bytes: second.broker.and_then(|used| used.resident_bytes),
    }))
}

pub fn of_fleet(series: &[FleetSecond]) -> Vec<Moment> {
    condense(series.iter().map(|second| Moment {
        from_s: 0.0,
        to_s: second.time_ns as f64 / 1e9,
        // A fleet has no phases.
        whole: Some(Done { span_s: 0.0, sent: second.sent, acked: second.acked, delivered: second.received }),
        errors: second.errors,
        ack_p99_ns: second.ack_p99_ns,
        flight_p99_ns: second.flight_p99_ns,
        broker_cpu_ns: second.broker.map(|used| used.cpu_ns()),
        broker_bytes: second.broker.and_then(|used| used.resident_bytes),
    }))
}

/// At most [`MOST`] moments of equal length, but for the last.
fn condense(seconds: impl ExactSizeIterator<Item = Moment>) -> Vec<Moment> {
    let each = seconds.len().div_ceil(MOST).max(1);
    let mut moments: Vec<Moment> = Vec::new();
    let mut end = 0.0;
    for (at, mut second) in seconds.enumerate() {
        second.from_s = end;
        end = second.to_s.max(end);
        second.to_s = end;
        if let Some(whole) = &mut second.whole {
            whole.span_s = second.to_s - second.from_s;
        }
        let short = second.to_s - second.from_s < SHORTEST_S;
        match moments.last_mut() {
            Some(last) if short || at % each > 0 => last.join(&second),
            _ => moments.push(second),
        }
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples::clean;

    fn seconds(count: u64, last_s: f64) -> Vec<Moment> {
        let second = |at: u64| Moment {
            from_s: 0.0,
            to_s: if at == count { count as f64 - 1.0 + last_s } else { at as f64 },
            whole: (at != 1).then_some(Done { span_s: 0.0, sent: at, acked: 1, delivered: 2 }),
            errors: 3,
            ack_p99_ns: at.is_multiple_of(7).then_some(at),
            flight_p99_ns: None,
            broker_cpu_ns: (at != 2).then_some(at),
            broker_bytes: Some(at),
        };
        condense((1..=count).map(second).collect::<Vec<_>>().into_iter())
    }

    fn sent(moment: &Moment) -> Option<f64> {
        moment.rate(|done| done.sent)
    }

    #[test]
    fn a_short_run_keeps_its_seconds() {
        let moments = seconds(3, 1.0);
        assert_eq!(
            moments.iter().map(|m| (m.from_s, m.to_s)).collect::<Vec<_>>(),
            [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
        );
        assert_eq!(moments.iter().map(sent).collect::<Vec<_>>(), [None, Some(2.0), Some(3.0)]);
        assert_eq!(moments[0].per_s(moments[0].errors), 3.0);
        assert!(seconds(0, 1.0).is_empty());
    }

    #[test]
    fn a_last_second_cut_short_makes_no_spike() {
        let moments = seconds(3, 0.001);
        assert_eq!(moments.len(), 2);
        assert_eq!((moments[1].errors, moments[1].from_s, moments[1].to_s), (6, 1.0, 2.001));
        let rate = sent(&moments[1]).expect("whole seconds");
        assert!((rate - 5.0 / 1.001).abs() < 1e-9, "{rate}");
        assert_eq!(seconds(3, 0.75).len(), 3);
        assert_eq!(seconds(1, 0.001).len(), 1, "a run that has nothing else keeps it");
    }

    #[test]
    fn a_long_run_loses_no_message_and_no_peak() {
        let moments = seconds(86_400, 1.0);
        assert!(moments.len() <= MOST);
        // the first is a part of its phase, and makes no dip
        let messages: f64 = moments.iter().filter_map(|m| m.whole).map(|done| done.sent as f64).sum();
        assert_eq!(messages, 86_400.0 * 86_401.0 / 2.0 - 1.0);
        assert_eq!(moments[0].rate(|done| done.delivered), Some(2.0));
        assert_eq!(moments.iter().map(|m| m.errors).sum::<u64>(), 3 * 86_400);
        assert_eq!(moments.iter().filter_map(|m| m.ack_p99_ns).max(), Some(86_394));
        assert!(moments.is_sorted_by(|a, b| a.to_s == b.from_s));
    }

    /// Ten seconds of 1,000 messages due, after one that is a part of the phase, done as `done` says.
    fn measured(done: [u64; 10]) -> Record {
        let mut record = clean();
        let template =
            Second { phase: Phase::Measure, part: false, offered: 1_000, ..record.series[0].clone() };
        record.series = done.into_iter().map(|delivered| Second { delivered, ..template.clone() }).collect();
        record.series.insert(0, Second { part: true, delivered: 0, ..template });
        record
    }

    #[test]
    fn a_broker_that_stood_still_is_noticed() {
        assert_eq!(stall(&measured([1_000; 10])), None);
        let mut with_gap = [1_000; 10];
        (with_gap[3], with_gap[4], with_gap[5]) = (499, 0, 2_501);
        let found = Stall { seconds: vec![5, 6], of: 10, what: "delivered" };
        assert_eq!(stall(&measured(with_gap)), Some(found.clone()));
        let mut closed = measured(with_gap);
        closed.plan.schedule = Schedule::Closed { inflight: 8 };
        assert_eq!(stall(&closed), Some(found));
        let mut rare = measured(with_gap);
        rare.series.iter_mut().for_each(|second| second.offered = 10);
        assert_eq!(stall(&rare), None, "too few to tell");
        let mut unheard = measured(with_gap);
        (unheard.plan.subscribers, unheard.plan.qos) = (0, 0);
        assert_eq!(stall(&unheard), None, "nobody answers");
    }
}
