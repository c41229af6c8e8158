//! What happened in each second of a run.

use crate::clock::Nanos;
use crate::record::{FleetSecond, Second};

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
    pub sent: u64,
    pub acked: u64,
    pub delivered: u64,
    /// Connections lost; of a fleet, attempts to connect that failed as well.
    pub errors: u64,
    /// Some of it is no whole second of its phase: its rates are of less.
    pub part: bool,
    /// 99th percentile of acknowledgement times; of several seconds the highest.
    pub ack_p99_ns: Option<Nanos>,
    /// The same of deliveries.
    pub flight_p99_ns: Option<Nanos>,
    /// CPU time of the broker; `None` where some of it was not seen.
    pub broker_cpu_ns: Option<Nanos>,
    /// Resident memory of the broker at its end, in bytes.
    pub broker_bytes: Option<u64>,
}

impl Moment {
    /// `messages` of this moment per second of it.
    pub fn per_s(&self, messages: u64) -> f64 {
        messages as f64 / (self.to_s - self.from_s).max(1e-9)
    }

    /// The two as one.
    fn join(&mut self, next: &Moment) {
        self.to_s = next.to_s;
        self.sent += next.sent;
        self.acked += next.acked;
        self.delivered += next.delivered;
        self.errors += next.errors;
        self.part |= next.part;
        self.ack_p99_ns = self.ack_p99_ns.max(next.ack_p99_ns);
        self.flight_p99_ns = self.flight_p99_ns.max(next.flight_p99_ns);
        self.broker_cpu_ns = self.broker_cpu_ns.zip(next.broker_cpu_ns).map(|(one, more)| one + more);
        self.broker_bytes = next.broker_bytes;
    }
}

pub fn of_run(series: &[Second]) -> Vec<Moment> {
    condense(series.iter().map(|second| Moment {
        from_s: 0.0,
        to_s: second.time_ns as f64 / 1e9,
        sent: second.sent,
        acked: second.acked,
        delivered: second.delivered,
        errors: second.connections_lost,
        part: second.part,
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
        sent: second.sent,
        acked: second.acked,
        delivered: second.received,
        errors: second.errors,
        // A fleet has no phases.
        part: false,
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

    fn seconds(count: u64, last_s: f64) -> Vec<Moment> {
        let second = |at: u64| Moment {
            from_s: 0.0,
            to_s: if at == count { count as f64 - 1.0 + last_s } else { at as f64 },
            sent: at,
            acked: 1,
            delivered: 2,
            errors: 3,
            part: at == 1,
            ack_p99_ns: at.is_multiple_of(7).then_some(at),
            flight_p99_ns: None,
            broker_cpu_ns: (at != 2).then_some(at),
            broker_bytes: Some(at),
        };
        condense((1..=count).map(second).collect::<Vec<_>>().into_iter())
    }

    #[test]
    fn a_short_run_keeps_its_seconds() {
        let moments = seconds(3, 1.0);
        assert_eq!(
            moments.iter().map(|m| (m.from_s, m.to_s)).collect::<Vec<_>>(),
            [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
        );
        assert_eq!(moments[2].per_s(moments[2].sent), 3.0);
        assert!(seconds(0, 1.0).is_empty());
    }

    #[test]
    fn a_last_second_cut_short_makes_no_spike() {
        let moments = seconds(3, 0.001);
        assert_eq!(moments.len(), 2);
        assert_eq!((moments[1].sent, moments[1].from_s, moments[1].to_s), (5, 1.0, 2.001));
        assert_eq!(seconds(3, 0.75).len(), 3);
        assert_eq!(seconds(1, 0.001).len(), 1, "a run that has nothing else keeps it");
    }

    #[test]
    fn a_long_run_loses_no_message_and_no_peak() {
        let moments = seconds(86_400, 1.0);
        assert!(moments.len() <= MOST);
        assert_eq!(moments.iter().map(|m| m.sent).sum::<u64>(), 86_400 * 86_401 / 2);
        assert_eq!(moments.iter().filter_map(|m| m.ack_p99_ns).max(), Some(86_394));
        assert!(moments.is_sorted_by(|a, b| a.to_s == b.from_s));
    }
}
