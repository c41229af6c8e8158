//! What is known of a run at one moment.

use crate::clock::Nanos;
use crate::record::{Phase, Pressure, Used};
use crate::stage::Progress;
use crate::stats::{Counters, Interval, Levels, Strain};
use std::sync::Arc;

/// Everything that can be scraped.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub elapsed: Nanos,
    pub clients: u64,
    pub phase: Option<Phase>,
    pub levels: Levels,
    /// What is measured so far; at the end what the record has.
    pub counts: Counters,
    /// Its times.
    pub measured: Arc<Interval>,
    /// How each worker fared since the beginning,
    pub workers: Vec<Strain>,
    /// and the longest stall of each in the second that is over.
    pub stalls: Vec<Nanos>,
    /// What the machine took since the beginning.
    pub pressure: Pressure,
    /// What the broker used since the beginning, and holds, where it is watched,
    pub broker: Option<Used>,
    /// and what others told of it last.
    pub metrics: Vec<(Arc<str>, Option<f64>)>,
    /// How the run ended, once it has.
    pub exit_code: Option<u8>,
}

impl Snapshot {
    /// One more second is over.
    pub fn follow(&mut self, progress: &Progress) {
        let (mut workers, mut pressure) = (std::mem::take(&mut self.workers), self.pressure);
        workers.resize(workers.len().max(progress.workers.len()), Strain::default());
        workers.iter_mut().zip(&progress.workers).for_each(|(sum, second)| sum.merge(second));
        let second = &progress.pressure;
        pressure.stolen_ns += second.stolen_ns;
        pressure.others_ns += second.others_ns;
        pressure.throttled_ns += second.throttled_ns;
        pressure.throttled += second.throttled;
        let broker = match (self.broker, progress.broker) {
            (Some(before), Some(second)) => Some(before.and(&second)),
            (before, second) => second.or(before),
        };
        *self = Snapshot {
            elapsed: progress.elapsed,
            clients: progress.clients,
            phase: progress.phase,
            levels: progress.levels,
            counts: progress.total,
            measured: progress.so_far.clone(),
            workers,
            stalls: progress.workers.iter().map(Strain::stall_ns).collect(),
            pressure,
            broker,
            metrics: progress.metrics.clone(),
            exit_code: None,
        };
    }

    /// The run is over, and this is what its record has.
    pub fn conclude(&mut self, counts: &Counters, exit_code: u8) {
        self.counts = *counts;
        self.exit_code = Some(exit_code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was used adds up, what is held is that of the last second; one in which nobody looked changes nothing.
    #[test]
    fn what_the_broker_used_adds_up() {
        let used = |user, memory| Used {
            user_cpu_ns: user,
            system_cpu_ns: 1,
            voluntary_switches: Some(2),
            involuntary_switches: Some(3),
            throttled_ns: (user > 5).then_some(4),
            resident_bytes: Some(memory),
            ..Used::default()
        };
        let mut snapshot = Snapshot::default();
        for broker in [None, Some(used(10, 100)), Some(used(7, 50)), None] {
            snapshot.follow(&Progress { broker, ..Progress::default() });
        }
        let sum = snapshot.broker.expect("it was watched");
        assert_eq!((sum.user_cpu_ns, sum.system_cpu_ns, sum.switches()), (17, 2, Some(10)));
        assert_eq!((sum.resident_bytes, sum.throttled_ns, sum.descriptors), (Some(50), Some(8), None));
        snapshot.follow(&Progress { broker: Some(used(5, 1)), ..Progress::default() });
        assert_eq!(snapshot.broker.expect("it is").throttled_ns, None, "a part of a sum is none");
    }
}
