//! A stage without threads: a conductor and its workers in a simulated world, through to the end.

use super::{Actor, Conductor, Lines};
use crate::clock::Nanos;
use crate::crew::sim::{SimLink, Step, World};
use crate::engine::{App, Ends, Sealed, SealedLink};
use crate::transport::Dialer;
use std::sync::Arc;
use std::time::Duration;

/// Conducts `actors` as [`perform`] does, over a transport if there is one.
pub(crate) fn perform_over<C, E, A>(
    transport: Option<Arc<Dialer>>,
    world: &mut World,
    lines: &mut Lines<C, E>,
    actors: Vec<A>,
    conductor: &mut dyn Conductor<C, E>,
    interrupt: Nanos,
    watch: impl FnMut(&World),
) where
    C: Clone,
    A: Actor<SimLink, Ending = E> + for<'l> App<SealedLink<'l, SimLink>>,
{
    let Some(dialer) = transport else {
        return perform(world, lines, actors, conductor, interrupt, watch);
    };
    let sealed = actors.into_iter().map(|actor| Sealed::new(actor, Ends::Clients(dialer.clone())));
    perform(world, lines, sealed.collect(), conductor, interrupt, watch);
}

/// Conducts `actors` as [`Lines::conduct`] does, in virtual time; somebody wants the run to end
/// at `interrupt`. `watch` is shown the world each time that the conductor looks up.
pub(crate) fn perform<C: Clone, E, A: Actor<SimLink, Ending = E>>(
    world: &mut World,
    lines: &mut Lines<C, E>,
    mut actors: Vec<A>,
    conductor: &mut dyn Conductor<C, E>,
    interrupt: Nanos,
    mut watch: impl FnMut(&World),
) {
    world.alarm(world.now(), 0);
    world.run_with(&mut actors, |world, _, step| {
        if !matches!(step, Step::Alarm(_)) {
            return;
        }
        watch(world);
        let now = world.now();
        lines.hear(Duration::ZERO);
        while lines.poll_second(now, conductor).is_some() {}
        match lines.lead(now, now >= interrupt, conductor) {
            Some(until) => world.alarm(until.max(now + 1), 0),
            None => {
                let running = (0..lines.wakers.len()).filter(|at| world.worker(*at).stopped.is_none());
                assert_eq!(running.count(), 0, "workers are given up at {now}");
            }
        }
    });
    for (worker, actor) in actors.into_iter().enumerate() {
        let known = world.worker(worker);
        let life = (known.stats, known.usage);
        lines.board.endings[worker] = Some(actor.end(known.stopped.unwrap_or(world.now()), life));
        lines.hear(Duration::ZERO);
        lines.board.running -= 1;
    }
    lines.board.end = world.now();
    while lines.poll_second(world.now(), conductor).is_some() {}
    world.settle();
}

#[test]
fn a_tally_that_was_read_goes_back_to_its_worker_and_counts_once() {
    let wakers = (0..2).map(|_| crate::engine::Waker::new().unwrap()).collect();
    let (mut lines, desks) = Lines::<(), ()>::new(wakers, 0, 2);
    let mut tally = Box::<crate::stats::Tally>::default();
    tally.measured.counters.sent = 5;
    tally.troubles.reserve(1000);
    desks[1].ship(tally);
    lines.hear(Duration::ZERO);
    lines.hear(Duration::ZERO);
    assert_eq!(lines.board.total.counters.sent, 5);
    assert!(desks[0].poll().is_none());
    let Some(super::Order::Recycle(back)) = desks[1].poll() else { panic!("it came back") };
    assert!(back.troubles.capacity() >= 1000);
}
