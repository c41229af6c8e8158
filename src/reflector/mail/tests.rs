use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn target(index: u32) -> Target {
    let key = SessionKey { index, generation: 7 };
    Target { address: Address { worker: 1, key }, granted: QoS::AtLeastOnce }
}

fn inboxes() -> Vec<Inbox> {
    vec![Inbox::default(), Inbox::default()]
}

fn read(inbox: &Inbox) -> Vec<(String, Vec<u8>, Vec<u32>)> {
    let (mut batches, mut read) = (Vec::new(), Vec::new());
    inbox.exchange(&mut batches);
    for batch in &mut batches {
        batch.open(|letter| {
            if let Letter::Publish(message, targets) = letter {
                let indices = targets.iter().map(|(key, _)| key.index).collect();
                read.push((message.topic.to_owned(), message.payload.to_vec(), indices));
            }
        });
    }
    inbox.exchange(&mut batches);
    read
}

#[test]
fn messages_arrive_in_order_with_their_targets_and_one_wake() {
    let inboxes = inboxes();
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    inboxes[1].on_mail(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let mut outbox = Outbox::new(2);
    for round in 0..3_u8 {
        let payload = [round; 3];
        let message = Message::new("a/b", &payload, QoS::AtLeastOnce);
        assert!(outbox.publish(&inboxes, 1, &message, &[target(1), target(2)]));
        assert!(outbox.flush(&inboxes));
    }
    let message = Message::new("", b"", QoS::AtMostOnce);
    assert!(outbox.publish(&inboxes, 1, &message, &[]));
    assert!(outbox.flush(&inboxes));
    assert!(outbox.flush(&inboxes), "nothing is left");
    let got = read(&inboxes[1]);
    assert_eq!(got.len(), 4);
    assert_eq!(got[2], ("a/b".to_owned(), vec![2; 3], vec![1, 2]));
    assert_eq!(got[3], (String::new(), vec![], vec![]));
    assert_eq!(wakes.load(Ordering::Relaxed), 1, "it knows until it has looked");
    assert!(outbox.publish(&inboxes, 1, &message, &[]));
    assert!(outbox.flush(&inboxes));
    assert_eq!(wakes.load(Ordering::Relaxed), 2);
}

#[test]
fn a_receiver_that_does_not_read_makes_the_sender_drop_and_not_grow() {
    let inboxes = inboxes();
    let mut outbox = Outbox::new(2);
    let payload = vec![7; 64 << 10];
    let sent = (0..1000)
        .filter(|_| {
            let message = Message::new("t", &payload, QoS::AtMostOnce);
            let room = outbox.publish(&inboxes, 1, &message, &[target(1)]);
            outbox.flush(&inboxes);
            room
        })
        .count();
    assert!((300..400).contains(&sent), "{sent} times 64 KiB are about 20 MiB");
    // What is about a session passes nevertheless.
    outbox.control(1, Control::Surrender { key: target(1).address.key, heir: None });
    assert!(outbox.flush(&inboxes));
    assert_eq!(read(&inboxes[1]).len(), sent);
    // And then there is room again.
    assert!(outbox.publish(&inboxes, 1, &Message::new("t", &payload, QoS::AtMostOnce), &[target(1)]));
    assert!(outbox.flush(&inboxes));
    assert_eq!(read(&inboxes[1]).len(), 1);
}

#[test]
fn a_message_larger_than_every_bound_passes_when_nothing_waits() {
    let inboxes = inboxes();
    let mut outbox = Outbox::new(2);
    let payload = vec![1; INBOX_BYTES + BATCH_BYTES];
    assert!(outbox.publish(&inboxes, 1, &Message::new("t", &payload, QoS::AtMostOnce), &[target(1)]));
    assert!(outbox.flush(&inboxes));
    assert_eq!(read(&inboxes[1])[0].1.len(), payload.len());
}

#[test]
fn batches_come_back_to_be_used_again() {
    let inboxes = inboxes();
    let mut outbox = Outbox::new(2);
    let message = Message::new("t", &[1; 100], QoS::AtMostOnce);
    let mut rooms = Vec::new();
    for _ in 0..6 {
        rooms.push(outbox.batches[1].cost_of_room());
        assert!(outbox.publish(&inboxes, 1, &message, &[target(1)]));
        assert!(outbox.flush(&inboxes));
        assert_eq!(read(&inboxes[1]).len(), 1);
    }
    assert!(rooms[3..].iter().all(|room| *room > 0), "no new batch once two are about: {rooms:?}");
}
