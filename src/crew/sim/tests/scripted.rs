//! What the peer does as it is told, and that the truth knows.

use super::*;
use crate::wire::{ConnectCode, PacketType, QoS, SubAckCode};

const PUBLISH: On = On::Packet(PacketType::Publish);

fn exact(script: Script) -> Setup {
    Setup { script, ..Setup::exact(1) }
}

#[test]
fn a_late_acknowledgement_delays_nothing_else() {
    let plan = Plan::new(1, 2, 10);
    let script = Script::default().always(PUBLISH, Act::Delay(Spread::Fixed(50 * MILLISECOND)));
    let (world, drivers) = live(exact(script), &plan);
    assert_eq!(drivers[0].ack_ns, [52 * MILLISECOND; 20]);
    let truth = world.truth();
    assert!(truth.deliveries.iter().all(|delivery| {
        let message = &truth.messages[delivery.message as usize];
        delivery.given == Some(message.left + 2 * MILLISECOND)
    }));
}

#[test]
fn a_late_delivery_delays_no_acknowledgement() {
    let plan = Plan::new(1, 2, 10);
    let script = Script::default().always(On::Delivery, Act::Delay(Spread::Fixed(50 * MILLISECOND)));
    let (world, drivers) = live(exact(script), &plan);
    assert_eq!(drivers[0].ack_ns, [2 * MILLISECOND; 20]);
    let truth = world.truth();
    let late = plan.begin + 9 * plan.every + 51 * MILLISECOND;
    assert_eq!(truth.given_after(late), 2);
}

#[test]
fn deliveries_are_dropped_doubled_and_swapped() {
    let plan = Plan::new(1, 2, 10);
    let script = Script::default()
        .nth(1, On::Delivery, Act::Drop)
        .nth(3, On::Delivery, Act::Twice)
        .nth(5, On::Delivery, Act::Repeat)
        .nth(7, On::Delivery, Act::Swap);
    let plan = Plan { every: MILLISECOND, ..plan };
    let (world, drivers) = live(exact(script), &plan);
    let truth = world.truth();
    for (fate, count) in [(Fate::Dropped, 1), (Fate::Twice, 1), (Fate::Repeated, 1), (Fate::Swapped, 1)] {
        assert_eq!(truth.fates(fate), count, "{fate:?}");
    }
    assert_eq!(drivers[0].heard.len(), 20 - 1 + 2);
    let mut total = Account::default();
    for client in 0..2 {
        let sequence = |payload: &[u8]| u64::from_be_bytes(payload.try_into().expect("eight bytes"));
        let account = Account::of(truth.heard_by(client).map(|(_, message)| sequence(&message.payload)));
        total.lost += account.lost;
        total.duplicated += account.duplicated;
        total.reordered += account.reordered;
    }
    assert_eq!((total.lost, total.duplicated, total.reordered), (1, 2, 1));
    // What the driver heard is what the truth says it was given, in that order.
    for number in 0..2u32 {
        let client = truth.find_client(&driver::name(number)).expect("connected");
        let given: Vec<_> = truth.given_to(client).map(|(_, message)| message.payload.to_vec()).collect();
        let topic = format!("t/{}", driver::name((number + 1) % 2));
        let heard = drivers[0].heard.iter().filter(|(heard, _)| *heard == topic);
        assert_eq!(heard.map(|(_, payload)| payload.clone()).collect::<Vec<_>>(), given);
    }
}

#[test]
fn acknowledgements_that_never_come_time_out() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let plan = Plan { qos, ..Plan::new(1, 2, 10) };
        let script = Script::default().always(PUBLISH, Act::Never);
        let (world, drivers) = live(exact(script), &plan);
        assert_eq!((drivers[0].acked, drivers[0].timed_out), (0, 20));
        assert_eq!(drivers[0].heard.len(), 20, "they were delivered all the same");
        assert!(world.truth().messages.iter().all(|message| message.acks_withheld == 1));
        assert_eq!(world.truth().acked_by(u64::MAX), 0);
    }
}

#[test]
fn connack_and_suback_say_no() {
    let plan = Plan::new(1, 1, 1);
    let refuse = Act::Refuse(ConnectCode::NotAuthorized);
    let script = Script::default()
        .first(2, On::Packet(PacketType::Connect), refuse)
        .always(On::Packet(PacketType::Subscribe), Act::Grant(SubAckCode::Failure));
    let (world, drivers) = live(exact(script), &plan);
    assert_eq!((drivers[0].connected, drivers[0].heard.len()), (1, 0));
    assert_eq!(world.truth().clients[0].connects, 3);
    assert_eq!(world.truth().subscribes(), 1);
    assert!(world.truth().deliveries.is_empty());
}

#[test]
fn a_session_that_is_kept_goes_on_with_dup() {
    // The connection is reset with the PUBLISH read and its PUBACK under way; the client sends it again.
    let plan = Plan { clean: false, ..Plan::new(1, 2, 10) };
    let script = Script::default().nth(5, PUBLISH, Act::Reset);
    let (world, drivers) = live(exact(script), &plan);
    let truth = world.truth();
    assert_eq!(drivers[0].acked, 20);
    assert_eq!(truth.messages.iter().filter(|message| message.received_dup == 1).count(), 1);
    let resumed: Vec<_> = truth.deliveries.iter().filter(|delivery| delivery.fate == Fate::Resumed).collect();
    assert!(resumed.iter().all(|delivery| delivery.dup && delivery.given.is_some()));
    assert!(truth.faults.is_empty(), "{:?}", truth.faults);
    // Every message was heard by its listener at least once.
    assert!(drivers[0].heard.len() >= 20);
}

#[test]
fn a_session_that_is_forgotten_is_not() {
    let plan = Plan { clean: false, ..Plan::new(1, 1, 3) };
    let script = Script::default()
        .nth(2, PUBLISH, Act::Never)
        .nth(3, PUBLISH, Act::Reset)
        .always(On::Packet(PacketType::Connect), Act::Forget);
    let (world, drivers) = live(exact(script), &plan);
    assert_eq!((drivers[0].acked, drivers[0].abandoned), (1, 2));
    assert!(world.truth().messages.iter().all(|message| message.received_dup == 0));
}

#[test]
fn exactly_once_is_once() {
    let plan = Plan { qos: QoS::ExactlyOnce, clean: false, every: 3 * MILLISECOND, ..Plan::new(2, 5, 50) };
    let script = Script::default()
        .nth(40, PUBLISH, Act::Reset)
        .nth(90, On::Packet(PacketType::PubRel), Act::Reset)
        .nth(120, On::Packet(PacketType::PubRec), Act::Reset)
        .nth(200, On::Packet(PacketType::PubComp), Act::Close);
    let (world, drivers) = live(Setup { script, ..Setup::new(2, 2) }, &plan);
    assert_eq!(sum(&drivers, |driver| driver.acked), 500);
    assert_eq!(sum(&drivers, |driver| driver.heard.len() as u64), 500);
    assert!(world.truth().connections.len() > 10);
    assert!(world.truth().faults.is_empty(), "{:?}", world.truth().faults);
}

#[test]
fn pings_keep_a_silent_client_alive_and_their_absence_is_noticed() {
    let plan = Plan { keep_alive: 2 * SECOND, until: 20 * SECOND, ..Plan::new(1, 1, 0) };
    let (world, drivers) = live(exact(Script::default()), &plan);
    assert_eq!((world.truth().pings(), world.truth().silent, drivers[0].closed), (9, 0, 1));

    let script = Script::default().always(On::Packet(PacketType::PingReq), Act::Never);
    let (_, drivers) = live(exact(script), &plan);
    assert!(drivers[0].expired > 2);
}

#[test]
fn wrong_answers_are_counted_on_both_sides() {
    let plan = Plan::new(1, 1, 3);
    let script = Script::default().nth(1, PUBLISH, Act::Instead(vec![0x70, 2, 0, 1])).nth(
        2,
        On::Packet(PacketType::Subscribe),
        Act::Also(vec![0xD0, 0]),
    );
    let (world, drivers) = live(exact(script), &plan);
    assert_eq!(world.truth().violations.len(), 2);
    assert_eq!(drivers[0].violations, 2);
}

#[test]
fn a_moment_comes_for_everybody() {
    let plan = Plan { until: 10 * SECOND, ..Plan::new(2, 10, 0) };
    let foreign =
        Act::Publish { topic: "t/client-3".to_owned(), payload: b"news".to_vec(), qos: QoS::AtLeastOnce };
    let script = Script::default().at(4 * SECOND, foreign).at(5 * SECOND, Act::Close);
    let (world, drivers) = live(Setup { script, ..Setup::new(6, 2) }, &plan);
    assert_eq!(sum(&drivers, |driver| driver.heard.len() as u64), 1);
    assert_eq!(world.truth().find_message("t/client-3", b"news").expect("published").from, None);
    assert_eq!(world.truth().connections.len(), 40);
}

#[test]
fn the_plainest_account_of_a_flow() {
    let account = Account::of([0, 1, 4, 2, 2, 0, 7]);
    assert_eq!(account, Account { received: 5, reordered: 1, duplicated: 2, lost: 3 });
    assert_eq!(Account::of([]), Account::default());
}
