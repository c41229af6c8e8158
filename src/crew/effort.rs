//! What it cost the generator.

use super::Link;
use crate::clock::Nanos;
use crate::engine::{Stats, Usage};
use crate::record::{Generator, Throughput, Worker};
use crate::stats::Levels;

/// What a worker did, and what it took, within the time that counts.
#[derive(Clone, Copy, Default, Debug)]
pub struct Effort {
    /// CPU time and switches.
    pub usage: Usage,
    /// Length of that time as this worker had it.
    pub span: Nanos,
    /// Messages sent, acknowledged and delivered.
    pub throughput: Throughput,
    /// What the engine counted.
    pub stats: Stats,
}

/// Takes the difference between the beginning and the end of the time that counts.
#[derive(Default)]
pub struct Watch {
    opening: Option<(Nanos, Usage, Stats, Levels)>,
    /// What came out of it.
    pub effort: Effort,
}

impl Watch {
    /// The time begins, unless it has been.
    pub fn open<L: Link>(&mut self, link: &L, levels: &Levels) {
        if self.opening.is_none() && self.effort.span == 0 {
            self.opening = Some((link.now(), link.usage(), link.stats(), *levels));
        }
    }

    /// The time ends, if it has begun.
    pub fn close<L: Link>(&mut self, link: &L, levels: &Levels) {
        let Some((time, usage, stats, then)) = self.opening.take() else { return };
        self.effort = Effort {
            usage: link.usage().since(usage),
            span: (link.now() - time).max(1),
            throughput: Throughput {
                sent: levels.sent - then.sent,
                acked: levels.acked - then.acked,
                delivered: levels.delivered - then.delivered,
            },
            stats: link.stats().since(stats),
        };
    }
}

/// What all workers did within the time that counts.
pub fn throughput(efforts: &[(usize, Effort)]) -> Throughput {
    efforts.iter().fold(Throughput::default(), |sum, (_, Effort { throughput, .. })| Throughput {
        sent: sum.sent + throughput.sent,
        acked: sum.acked + throughput.acked,
        delivered: sum.delivered + throughput.delivered,
    })
}

/// The generator's health, from the efforts of its workers, each on the CPU beside it.
pub fn generator(efforts: &[(usize, Effort)]) -> Generator {
    let sum = |figure: fn(&Effort) -> u64| efforts.iter().map(|(_, effort)| figure(effort)).sum::<u64>();
    Generator {
        workers: efforts
            .iter()
            .map(|(cpu, effort)| {
                // Usage is counted in coarser steps than a run of a moment is long.
                let share = |time: Nanos| (time as f64 / effort.span.max(1) as f64).min(1.0);
                let (busy_share, waited_share) = (
                    share(effort.usage.cpu_ns().saturating_sub(effort.stats.spun_ns)),
                    share(effort.usage.waited_ns),
                );
                Worker { cpu: *cpu, busy_share, waited_share }
            })
            .collect(),
        user_cpu_ns: sum(|effort| effort.usage.user_ns),
        system_cpu_ns: sum(|effort| effort.usage.system_ns),
        code_ns: sum(|effort| effort.stats.code_ns),
        bytes_per_client: None,
        enters: sum(|effort| effort.stats.enters),
        sends_blocked: sum(|effort| effort.stats.blocked),
        receives: sum(|effort| effort.stats.receives),
        receives_without_buffer: sum(|effort| effort.stats.no_buffers),
        queue_full: sum(|effort| effort.stats.overflows),
        ..Generator::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;
    use crate::crew::sim::{Setup, SimLink, World};
    use crate::engine::{App, Closed, Conn};

    /// Watches from its third second to its fifth.
    #[derive(Default)]
    struct Observer {
        watch: Watch,
        begun: Option<Nanos>,
    }

    impl App<SimLink> for Observer {
        fn connected(&mut self, _: &mut SimLink, _: Conn) {}
        fn accepted(&mut self, _: &mut SimLink, _: Conn) {}
        fn data(&mut self, _: &mut SimLink, _: Conn, bytes: &[u8]) -> usize {
            bytes.len()
        }
        fn writable(&mut self, _: &mut SimLink, _: Conn) {}
        fn closed(&mut self, _: &mut SimLink, _: Conn, _: Closed) {}
        fn woken(&mut self, _: &mut SimLink) {}
        fn pass(&mut self, link: &mut SimLink) -> Option<Nanos> {
            let age = link.now() - *self.begun.get_or_insert(link.now());
            match age / SECOND {
                0..=1 => {}
                2..=3 => self.watch.open(link, &Levels::default()),
                4 => self.watch.close(link, &Levels::default()),
                _ => link.stop(),
            }
            Some(link.now() + SECOND)
        }
    }

    /// That a worker is behind while it connects or takes leave is in no figure.
    #[test]
    fn what_happens_outside_of_the_time_that_counts_does_not_count() {
        let mut apps = [Observer::default()];
        let mut world = World::new(Setup::exact(1));
        for (until, lost) in [(SECOND, 5), (3 * SECOND, 7), (4 * SECOND, 11)] {
            let until = world.now().max(Setup::exact(1).start + until);
            world.run_until(&mut apps, until);
            world.lose_completions(0, lost);
        }
        world.run(&mut apps);
        assert_eq!(apps[0].watch.effort.span, 2 * SECOND);
        assert_eq!(generator(&[(0, apps[0].watch.effort)]).queue_full, 7);
    }

    #[test]
    fn a_worker_that_does_not_sleep_is_busy_with_what_it_did() {
        let usage = Usage { user_ns: 700, system_ns: 300, waited_ns: 50, ..Usage::default() };
        let effort = Effort {
            usage,
            span: 1000,
            stats: Stats { spun_ns: 600, ..Stats::default() },
            ..Effort::default()
        };
        let [worker] = generator(&[(3, effort)]).workers[..] else { panic!("one") };
        assert_eq!(worker, Worker { cpu: 3, busy_share: 0.4, waited_share: 0.05 });
    }
}
