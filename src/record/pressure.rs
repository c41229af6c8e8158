use crate::clock::Nanos;
use crate::cpu::Taken;
use crate::stats::Strain;
use serde::{Deserialize, Serialize};

/// What the machine took from the generator in one second: of the CPU that it took most of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Time that the host ran something else instead of the machine (steal, `/proc/stat`), in nanoseconds, in steps of
    /// 10 ms.
    pub stolen_ns: Nanos,
    /// Time that the CPU worked for others than the generator, in nanoseconds, in steps of 10 ms.
    pub others_ns: Nanos,
    /// Time that a CPU quota took (`cpu.stat` of the control group and of those around it), in nanoseconds.
    pub throttled_ns: Nanos,
    /// Periods in which the quota was used up.
    pub throttled: u64,
}

impl Pressure {
    /// Of what was `taken` while each worker, with its CPU beside it, fared so.
    pub fn of(taken: &Taken, workers: &[(usize, Strain)]) -> Pressure {
        let own = |cpu: usize| {
            let there = workers.iter().filter(|(at, _)| *at == cpu);
            there.map(|(_, strain)| strain.busy_ns).sum::<Nanos>()
        };
        let others = taken.cpus.iter().map(|(cpu, spent)| spent.worked.saturating_sub(own(*cpu)));
        Pressure {
            stolen_ns: taken.cpus.values().map(|spent| spent.stolen).max().unwrap_or(0),
            others_ns: others.max().unwrap_or(0),
            throttled_ns: taken.throttled.ns,
            throttled: taken.throttled.periods,
        }
    }
}
