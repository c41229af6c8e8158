//! Worlds in which anything may happen.

use super::*;
use crate::clock::Nanos;
use crate::wire::QoS;

/// One of many worlds: everything about it follows from the seed.
fn world(seed: u64) {
    let mut dice = Dice::new(seed, "sim test", 0);
    let plan = Plan {
        qos: *dice.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]),
        clean: dice.chance(0.5),
        every: dice.within(&(100_000..=200 * MILLISECOND)),
        keep_alive: SECOND * *dice.pick(&[0, 1, 3]),
        padding: *dice.pick(&[0, 100, 3000]),
        ..Plan::new(dice.within(&(1..=3)) as usize, dice.within(&(1..=20)) as u32, dice.within(&(0..=30)))
    };
    let faults = if dice.chance(0.2) { Faults::default() } else { Faults::some(seed) };
    let machine = match dice.within(&(0..=3)) {
        0 => Machine::instant(),
        1 => Machine { preempted: 0.01, dial_fails: 0.1, buffers: 2, ..Machine::default() },
        _ => Machine::default(),
    };
    let setup = Setup { faults, machine, limit: 120 * SECOND, ..Setup::new(seed, plan.workers) };
    let (world, drivers) = live(setup, &plan);
    check(&world, &drivers, &plan);
}

/// What holds whatever happened.
fn check(world: &World, drivers: &[Driver], plan: &Plan) {
    let truth = world.truth();
    assert!(truth.faults.is_empty(), "{:?}", truth.faults);
    assert_eq!(truth.connecting, 0);
    assert_eq!(sum(drivers, |driver| driver.closed) as usize, truth.connections.len());
    let greeted = truth.connections.iter().filter(|connection| connection.greeted.is_some()).count();
    // A CONNACK may be among the wrong answers.
    let wrong = truth.violations.len();
    assert!(sum(drivers, |driver| driver.connected) as usize <= greeted + wrong);
    // What one was given the other heard, unless it had said goodbye or given the connection up by then.
    let given = truth.deliveries.iter().filter(|delivery| delivery.given.is_some()).count();
    let heard = sum(drivers, |driver| driver.heard.len() as u64) as usize;
    assert!(heard <= given, "{heard} heard, {given} given");
    if sum(drivers, |driver| driver.violations + driver.floods) == 0 {
        drivers.iter().for_each(|driver| heard_what_was_given(truth, driver));
    }
    let sent = sum(drivers, |driver| driver.sent);
    assert!(truth.received() as u64 <= sent);
    if plan.qos > QoS::AtMostOnce {
        let acked = sum(drivers, |driver| driver.acked + driver.acked_late);
        let known = truth.acked_by(Nanos::MAX) + wrong;
        assert!(acked <= known as u64, "{acked} acks of {known}");
        let ended =
            sum(drivers, |driver| driver.acked + driver.timed_out + driver.abandoned + driver.unfinished());
        assert_eq!(sent, ended, "each message ends in one way");
    }
    for worker in 0..drivers.len() {
        let known = world.worker(worker);
        assert!(known.usage.cpu_ns() <= known.span);
        assert!(known.most_unsent_of_one <= plan.unread + 40_000, "{}", known.most_unsent_of_one);
    }
}

/// Each client has heard exactly what the truth says, in that order.
fn heard_what_was_given(truth: &Truth, driver: &Driver) {
    for (client, heard) in driver.heard_by_client() {
        let Some(client) = truth.find_client(&client) else {
            assert!(heard.is_empty());
            continue;
        };
        let given = truth.heard_by(client).map(|(_, message)| &*message.payload);
        assert!(given.eq(heard.iter().copied()), "{client}");
    }
}

#[test]
fn anything_may_happen() {
    explore(0..300, world);
}

#[test]
#[ignore = "goes on until it is told to stop"]
fn anything_may_happen_for_long() {
    soak(world);
}

#[test]
fn a_world_of_thousands_is_fast() {
    let plan = Plan { every: 50 * MILLISECOND, ..Plan::new(4, 1000, 10) };
    let begun = crate::clock::now();
    let (world, drivers) = live(Setup::new(1, 4), &plan);
    let took = crate::clock::now() - begun;
    assert_eq!(sum(&drivers, |driver| driver.acked), 40_000);
    assert_eq!(sum(&drivers, |driver| driver.heard.len() as u64), 40_000);
    println!("{} events in {} ms", world.events(), took / MILLISECOND);
}
