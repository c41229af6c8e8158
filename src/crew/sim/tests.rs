//! The world against a small driver: what is true of it, whatever drives it.

mod contract;
mod driver;
mod network;
mod peer;
mod random;
mod scripted;

use super::*;
use crate::clock::{MILLISECOND, SECOND};
use driver::{Driver, Plan};

/// Runs a plan to its end in a world.
fn live(setup: Setup, plan: &Plan) -> (World, Vec<Driver>) {
    let mut drivers = plan.drivers();
    let mut world = World::new(setup);
    world.run(&mut drivers);
    world.settle();
    (world, drivers)
}

fn sum(drivers: &[Driver], of: impl Fn(&Driver) -> u64) -> u64 {
    drivers.iter().map(of).sum()
}

#[test]
fn everything_arrives_in_a_healthy_world() {
    let plan = Plan::new(2, 10, 20);
    let (world, drivers) = live(Setup::new(1, 2), &plan);
    let truth = world.truth();
    assert_eq!(truth.clients.len(), 20);
    assert_eq!(truth.received(), 400);
    assert_eq!(sum(&drivers, |driver| driver.sent), 400);
    assert_eq!(sum(&drivers, |driver| driver.acked), 400);
    assert_eq!(sum(&drivers, |driver| driver.heard.len() as u64), 400);
    assert_eq!(truth.deliveries.len(), 400);
    assert!(truth.deliveries.iter().all(|delivery| delivery.given.is_some()));
    assert!(truth.messages.iter().all(|message| message.ack_given.is_some()));
    assert!(truth.connections.iter().all(|connection| connection.said_goodbye && connection.gone.is_some()));
    assert!(truth.faults.is_empty(), "{:?}", truth.faults);
    assert_eq!(truth.connecting, 0);
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let run = |seed| {
        let plan = Plan::new(2, 10, 20);
        let setup = Setup { faults: Faults::some(5), ..Setup::new(seed, 2) };
        let (world, drivers) = live(setup, &plan);
        let times: Vec<_> = world.truth().deliveries.iter().map(|delivery| delivery.given).collect();
        (world.now(), world.events(), times, sum(&drivers, |driver| driver.sent))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn the_truth_knows_the_times_of_a_message() {
    // 1 ms each way, and nothing else takes time.
    let plan = Plan::new(1, 2, 1);
    let (world, drivers) = live(Setup::exact(1), &plan);
    let message = world.truth().find_message("t/client-0", &0u64.to_be_bytes()).expect("published");
    assert_eq!(message.left, plan.begin);
    assert_eq!(message.read, plan.begin + MILLISECOND);
    assert_eq!(message.acked, Some(plan.begin + MILLISECOND));
    assert_eq!(message.ack_given, Some(plan.begin + 2 * MILLISECOND));
    let client = world.truth().find_client("client-1").expect("connected");
    let (delivery, heard) = world.truth().given_to(client).next().expect("heard");
    assert_eq!(&*heard.topic, "t/client-0");
    assert_eq!(delivery.given, Some(plan.begin + 2 * MILLISECOND));
    assert_eq!(drivers[0].ack_ns, [2 * MILLISECOND; 2]);
    assert!(drivers[0].late.iter().all(|late| *late == 0), "{:?}", drivers[0].late);
}

#[test]
fn what_a_worker_does_costs_time_that_the_world_knows() {
    let plan = Plan::new(1, 10, 50);
    let machine = Machine {
        callback: 100_000..=100_000,
        pass: 50_000..=50_000,
        enter: 10_000..=10_000,
        send: 0..=0,
        ..Machine::instant()
    };
    let (world, _) = live(Setup { machine, ..Setup::exact(1) }, &plan);
    let worker = world.worker(0);
    assert_eq!(worker.usage.system_ns, worker.stats.enters * 10_000);
    assert!(worker.usage.user_ns >= worker.stats.enters * 50_000 + worker.stats.receives * 100_000);
    assert_eq!(worker.stats.code_ns, worker.usage.user_ns);
    assert!(worker.busy() > 0.003 && worker.busy() < 0.5, "{}", worker.busy());
}

#[test]
fn a_worker_without_its_cpu_is_late_by_as_much() {
    let plan = Plan::new(1, 1, 10);
    let mut drivers = plan.drivers();
    let mut world = World::new(Setup::exact(1));
    // From 30 ms before a message is due to 70 ms after.
    let pause = 100 * MILLISECOND;
    world.stall(0, plan.begin + 5 * plan.every - 30 * MILLISECOND, pause);
    world.run(&mut drivers);
    let late: Vec<_> = drivers[0].late.iter().filter(|late| **late > 0).collect();
    assert_eq!(late, [&(70 * MILLISECOND)]);
    assert_eq!(world.worker(0).lag.most, 70 * MILLISECOND);
    assert_eq!(world.worker(0).usage.cpu_ns(), 0);
    let sixth = world.truth().find_message("t/client-0", &5u64.to_be_bytes()).expect("published");
    assert_eq!(sixth.left, plan.begin + 5 * plan.every + 70 * MILLISECOND);
}

#[test]
fn a_bell_is_heard() {
    let plan = Plan { until: SECOND * 5, ..Plan::new(2, 1, 0) };
    let mut drivers = plan.drivers();
    let mut world = World::new(Setup::new(3, 2));
    let wakers = world.wakers();
    world.alarm(2 * SECOND, 1);
    world.run_with(&mut drivers, |_, _, step| {
        if step == Step::Alarm(1) {
            wakers[1].wake();
            wakers[1].wake();
        }
    });
    assert_eq!((drivers[0].woken, drivers[1].woken), (0, 1));
}
