//! What went wrong once.

use super::*;
use crate::fleet::script::Ending;
use std::time::Duration;

/// The workers of `spec`, in a world in which nothing has happened yet.
fn open(setup: Setup, spec: Spec) -> (World, Lines<(), Ending>, Vec<Script>) {
    let epoch = setup.start;
    let mut shared = Shared::new(spec, 1 << 20, epoch).unwrap();
    let world = World::new(Setup { workers: shared.seats.len(), ..setup });
    shared.wakers = world.wakers();
    let shared = Arc::new(shared);
    let (lines, desks) = Lines::new(world.wakers(), epoch, u64::from(shared.clients()));
    let actors = desks.into_iter().map(|desk| Script::new(shared.clone(), desk, epoch)).collect();
    (world, lines, actors)
}

/// Tallies go back and forth; nobody rings for one.
#[test]
fn a_worker_that_nobody_wakes_takes_its_tally_back() {
    let (mut world, mut lines, mut actors) = open(Setup::exact(1), listener(false, Connection::default()));
    actors[0].crew.books.trouble("this is the first one".into());
    world.run_until(&mut actors, 2 * SECOND + MILLISECOND);
    lines.hear(Duration::ZERO);
    world.run_until(&mut actors, 3 * SECOND + MILLISECOND);
    // By what it has allocated: its address is given to whoever asks next.
    let third = actors[0].crew.books.close(world.now(), world.worker(0).stats);
    assert!(third.troubles.capacity() > 0, "it is used again");
}
