//! Connections as the network and the kernel make them.

use super::*;
use crate::wire::{PacketType, QoS};

const CONNECT: On = On::Packet(PacketType::Connect);
const PUBLISH: On = On::Packet(PacketType::Publish);

#[test]
fn a_peer_that_stops_reading_blocks_who_writes() {
    let plan = Plan {
        padding: 1000,
        messages: 1000,
        every: MILLISECOND,
        unread: usize::MAX,
        ..Plan::new(1, 2, 1000)
    };
    let script = Script::default().client("client-0", PUBLISH, Act::Deaf(None));
    let network = Network { window: 10_000..=10_000, ..Network::plain(MILLISECOND) };
    let (world, drivers) = live(Setup { script, network, ..Setup::exact(1) }, &plan);
    let connections = &world.truth().connections;
    let blocked = connections.iter().find(|connection| connection.client == Some(0)).expect("client-0");
    // The first message was read, a window more taken; the second client is well.
    assert!(blocked.taken >= 10_000 && blocked.taken < 12_000, "{blocked:?}");
    assert!(drivers[0].unsent > 0, "what is unsent is told");
    assert!(world.worker(0).stats.blocked > 0);
    // A driver that minds `blocked` keeps a message, and answers to what its listener hears.
    assert!(world.worker(0).most_unsent < 7_000, "{}", world.worker(0).most_unsent);
    let second = world.truth().find_client("client-1").expect("connected");
    let messages = world.truth().messages.iter().filter(|message| message.from == Some(second));
    assert_eq!(messages.filter(|message| message.ack_given.is_some()).count(), 1000);
}

#[test]
fn a_peer_that_reads_again_gets_everything() {
    let plan = Plan { padding: 1000, every: MILLISECOND, unread: usize::MAX, ..Plan::new(1, 1, 100) };
    let deaf = Act::Deaf(Some(SECOND));
    let script = Script::default().nth(10, PUBLISH, deaf);
    let network = Network { window: 10_000..=10_000, ..Network::plain(MILLISECOND) };
    let (world, drivers) = live(Setup { script, network, ..Setup::exact(1) }, &plan);
    assert_eq!(world.truth().received(), 100);
    assert_eq!(drivers[0].acked, 100);
    assert!(world.worker(0).stats.blocked > 0);
    assert!(world.truth().faults.is_empty(), "{:?}", world.truth().faults);
}

#[test]
fn a_client_that_is_flooded_by_a_deaf_peer_keeps_little() {
    // The peer sends and never reads: what answers it is bounded by the driver's own guard.
    let plan = Plan { unread: 5_000, ..Plan::new(1, 2, 2) };
    let mut drivers = plan.drivers();
    let script = Script::default().client("client-1", On::Packet(PacketType::Subscribe), Act::Deaf(None));
    let network = Network { window: 1_000..=1_000, ..Network::plain(MILLISECOND) };
    let mut world = World::new(Setup { script, network, ..Setup::exact(1) });
    for moment in 0..20_000 {
        world.alarm(2 * SECOND + moment * MILLISECOND / 10, moment);
    }
    world.run_with(&mut drivers, |world, _, step| {
        if let Step::Alarm(moment) = step {
            world.publish("t/client-0", &moment.to_be_bytes(), QoS::AtLeastOnce);
        }
    });
    assert!(drivers[0].floods > 0);
    assert!(world.worker(0).most_unsent_of_one > 5_000);
    assert!(world.worker(0).most_unsent_of_one < 10_000, "{}", world.worker(0).most_unsent_of_one);
}

#[test]
fn connections_are_refused_lost_and_time_out() {
    let plan = Plan::new(1, 4, 1);
    let script = Script::default().first(4, On::Syn, Act::RefuseSyn);
    let (world, drivers) = live(Setup { script, ..Setup::exact(1) }, &plan);
    assert_eq!((drivers[0].closed, drivers[0].acked), (8, 4));
    assert_eq!(world.truth().connections.len(), 8);
    assert!(world.truth().connections[..4].iter().all(|connection| connection.established.is_none()));

    let script = Script::default().first(4, On::Syn, Act::LoseSyn);
    let (world, _) = live(Setup { script, ..Setup::exact(1) }, &plan);
    let established = world.truth().connections[0].established.expect("by the second SYN");
    assert_eq!(established - world.truth().connections[0].dialled, SECOND + 2 * MILLISECOND);

    let script = Script::default().always(On::Syn, Act::LoseSyn);
    let (world, drivers) = live(Setup { script, ..Setup::exact(1) }, &plan);
    assert_eq!((drivers[0].acked, world.truth().connecting), (0, 0));
    assert!(drivers[0].closed > 4, "the driver gave up and tried again");
}

#[test]
fn a_backlog_bounds_who_connects_at_once() {
    let plan = Plan::new(2, 500, 0);
    let network = Network { backlog: 100, accept: MILLISECOND..=MILLISECOND, ..Network::default() };
    let (world, drivers) = live(Setup { network, ..Setup::new(4, 2) }, &plan);
    assert_eq!(sum(&drivers, |driver| driver.connected), 1000);
    // The driver has no limit of its own.
    assert_eq!(world.truth().most_connecting, 1000);
    let last = world.truth().connections.iter().filter_map(|connection| connection.greeted).max();
    assert!(last.expect("greeted") >= 2 * SECOND, "some SYNs were lost");
}

#[test]
fn a_reset_loses_what_is_under_way_and_a_close_does_not() {
    let plan = Plan { until: 5 * SECOND, timeout: 20 * SECOND, ..Plan::new(1, 1, 1) };
    for (act, acks) in [(Act::Reset, 0), (Act::Close, 1)] {
        let script = Script::default().nth(1, PUBLISH, act);
        let (world, drivers) = live(Setup { script, ..Setup::exact(1) }, &plan);
        assert_eq!(drivers[0].acked, acks);
        assert_eq!(world.truth().messages[0].received, 1);
        assert_eq!(drivers[0].connected, 2);
    }
}

#[test]
fn sockets_that_are_closed_at_the_dialling_are_no_trouble() {
    let plan = Plan { timeout: MILLISECOND, until: 2 * SECOND, ..Plan::new(1, 10, 0) };
    let (world, drivers) = live(Setup { start_up: 0..=0, ..Setup::new(9, 1) }, &plan);
    assert_eq!(world.truth().connecting, 0);
    assert_eq!(drivers[0].closed as usize, world.truth().connections.len());
}

#[test]
fn who_is_never_answered_gives_up() {
    let plan = Plan::new(1, 2, 1);
    let script = Script::default().always(CONNECT, Act::Never);
    let (world, drivers) = live(Setup { script, ..Setup::exact(1) }, &plan);
    assert_eq!(drivers[0].connected, 0);
    assert!(world.truth().connections.iter().all(|connection| connection.greeted.is_none()));
    assert!(world.truth().connections.iter().all(|connection| connection.connect_read.is_some()));
}

#[test]
fn receive_buffers_run_out_and_are_given_back() {
    let plan = Plan { padding: 2000, qos: QoS::AtMostOnce, ..Plan::new(1, 50, 20) };
    let machine = Machine { buffers: 4, ..Machine::default() };
    let (world, drivers) = live(Setup { machine, ..Setup::new(11, 1) }, &plan);
    assert!(world.worker(0).stats.no_buffers > 0);
    assert_eq!(drivers[0].heard.len(), 1000);
}
