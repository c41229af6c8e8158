//! Loss of the connection at every step of every exchange, and at random ones.

use super::super::*;
use super::link::{Cut, Pair, qos_of};
use crate::wire::Properties;
use proptest::prelude::*;
use std::collections::BTreeSet;

const LIMITS: Limits =
    Limits { inflight: 3, keep_alive: 0, clean_session: false, aliases: 0, receive_maximum: u16::MAX };

fn of_qos(qos: QoS, seqs: impl IntoIterator<Item = u64>) -> Vec<u64> {
    seqs.into_iter().filter(|seq| qos_of(*seq) == qos).collect()
}

/// The messages in the order in which each was seen first.
fn first_sights(seqs: &[u64]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    seqs.iter().copied().filter(|seq| seen.insert(*seq)).collect()
}

fn sorted(seqs: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut seqs: Vec<_> = seqs.into_iter().collect();
    seqs.sort_unstable();
    seqs
}

/// What holds at one end of the link after everything has settled.
struct Promise {
    /// All QoS 1 messages have arrived.
    at_least_once: bool,
    /// No QoS 2 message has arrived twice.
    at_most_once: bool,
    /// All QoS 2 messages have arrived.
    exactly_once: bool,
}

fn check_delivery(sent: &[u64], got: &[u64], promise: Promise) {
    let first = first_sights(got);
    assert!(first.is_sorted(), "order kept: {got:?}");
    assert!(first.iter().all(|seq| sent.contains(seq)), "nothing invented: {got:?}");
    let twice = of_qos(QoS::ExactlyOnce, got.to_vec());
    if promise.at_most_once {
        assert_eq!(sorted(twice.clone()), first_sights(&twice), "no QoS 2 message twice: {got:?}");
    }
    if promise.exactly_once {
        assert_eq!(of_qos(QoS::ExactlyOnce, first.clone()), of_qos(QoS::ExactlyOnce, sent.to_vec()));
    }
    if promise.at_least_once {
        assert_eq!(of_qos(QoS::AtLeastOnce, first), of_qos(QoS::AtLeastOnce, sent.to_vec()));
    }
}

/// `kept`: no session was ever lost.
fn check(pair: &Pair, up: &[u64], down: &[u64], kept: bool) {
    // The client publishes QoS 1 messages anew when their session is lost; the broker does not.
    let promise = Promise { at_least_once: true, at_most_once: !pair.loss_hidden, exactly_once: kept };
    check_delivery(up, &pair.broker.delivered, promise);
    check_delivery(
        down,
        &pair.received,
        Promise { at_least_once: kept, at_most_once: true, exactly_once: kept },
    );
    assert_eq!(pair.client.inflight(), 0);
    assert_eq!(pair.client.oldest(), None);
    let settled = [&pair.acked[..], &pair.acked_late, &pair.abandoned].concat();
    let expected = up.iter().copied().filter(|seq| qos_of(*seq) > QoS::AtMostOnce);
    assert_eq!(sorted(settled), sorted(expected), "each message is acked or abandoned, once");
    assert!(!kept || pair.abandoned.is_empty());
}

fn cuts() -> impl Iterator<Item = Cut> {
    (0..8).map(|bits| Cut {
        up_arrives: bits & 1 != 0,
        down_arrives: bits & 2 != 0,
        session_kept: bits & 4 != 0,
    })
}

/// Both ends send their messages; the connection is lost after so many packets each way, twice.
fn lose(up: &[u64], down: &[u64], losses: [(usize, usize, Cut); 2]) {
    let mut pair = Pair::new(LIMITS);
    pair.todo = up.iter().copied().collect();
    down.iter().for_each(|seq| pair.broker_publish(*seq));
    for (ups, downs, cut) in losses {
        pair.connect();
        pair.run(ups, downs);
        pair.cut(cut);
    }
    pair.connect();
    pair.settle();
    check(&pair, up, down, losses.iter().all(|(_, _, cut)| cut.session_kept));
}

const NO_LOSS_LEFT: (usize, usize, Cut) =
    (99, 99, Cut { up_arrives: true, down_arrives: true, session_kept: true });

/// Every message alone, with every pair of losses one after the other.
#[test]
fn two_losses_at_every_step_of_every_exchange() {
    // At most CONNECT, PUBLISH, PUBREL up and CONNACK, PUBREC, PUBCOMP down, and the same for the other way.
    let mut runs = 0;
    for (up, down) in [(&[1u64][..], &[][..]), (&[2], &[]), (&[], &[1]), (&[], &[2]), (&[0], &[0])] {
        for first in steps(3) {
            for second in steps(3) {
                lose(up, down, [first, second]);
                runs += 1;
            }
        }
    }
    assert_eq!(runs, 5 * (4 * 4 * 8) * (4 * 4 * 8));
}

/// Messages of all qualities in flight at once in both directions, with one loss anywhere.
#[test]
fn a_loss_at_every_step_of_a_mixed_exchange() {
    let messages: Vec<u64> = (1..=8).collect();
    for first in steps(24) {
        lose(&messages, &messages, [first, NO_LOSS_LEFT]);
    }
}

fn steps(most: usize) -> impl Iterator<Item = (usize, usize, Cut)> {
    (0..=most).flat_map(move |up| (0..=most).flat_map(move |down| cuts().map(move |cut| (up, down, cut))))
}

#[test]
fn redelivery_sends_pubrel_for_what_was_received() {
    let mut pair = Pair::new(LIMITS);
    pair.todo = [2, 5, 7].into();
    pair.connect();
    pair.run(3, 2);
    // PUBREC of 2 has arrived; its PUBREL, and PUBLISH of 7, are lost.
    pair.cut(Cut { up_arrives: false, down_arrives: false, session_kept: true });
    pair.connect();
    pair.run(1, 1);
    let first_bytes: Vec<u8> = pair.up.iter().map(|packet| packet[0]).collect();
    assert_eq!(first_bytes, [0x62, 0x3C, 0x3A]);
    pair.settle();
    check(&pair, &[2, 5, 7], &[], true);
}

/// The ids of a lost session mean nothing in the next: a new message is not taken for an old one.
#[test]
fn received_ids_live_as_long_as_the_session() {
    let mut client = super::online();
    let packet_id = Some(super::id(9));
    let publish = Publish {
        dup: false,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "t",
        packet_id,
        payload: b"",
        properties: Properties::NONE,
    };
    let receive = |client: &mut Client<u64>| {
        let (event, _) = super::handle(client, wire::Packet::Publish(publish)).unwrap();
        matches!(event, Event::Message { first: true, .. })
    };
    assert!(receive(&mut client));
    super::reconnect(&mut client, true);
    assert!(!receive(&mut client));
    super::reconnect(&mut client, false);
    assert!(receive(&mut client));
}

#[test]
fn nothing_can_be_published_before_the_session_is_settled() {
    let mut pair = Pair::new(LIMITS);
    pair.todo = [1].into();
    pair.connect();
    pair.run(1, 1);
    let client = &mut pair.client;
    client.handle_disconnected();
    assert!(client.room(QoS::AtMostOnce, &LIMITS) == 0);
    let mut out = Vec::new();
    client.connect(&wire::Connect { clean_session: false, ..super::plain_connect() }, 0, &mut out).unwrap();
    assert!(client.room(QoS::AtMostOnce, &LIMITS) == 0);
    let connack =
        wire::ConnAck { session_present: true, code: ConnectCode::Accepted, properties: Properties::NONE };
    super::handle(client, wire::Packet::ConnAck(connack)).unwrap();
    assert!(client.room(QoS::AtMostOnce, &LIMITS) == 0);
    client.redeliver(0, &mut out, |_, resend| {
        resend.publish(Outgoing {
            topic: "t",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::NONE,
            payload: &[],
        })
    });
    assert!(client.room(QoS::AtMostOnce, &LIMITS) > 0);
}

#[derive(Clone, Debug)]
enum Op {
    Publish(u8),
    BrokerPublish(u8),
    Up(u8),
    Down(u8),
    Expire,
    Cut(Cut),
}

fn op(may_forget: bool) -> impl Strategy<Value = Op> {
    let cut =
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(move |(up_arrives, down_arrives, kept)| {
            Op::Cut(Cut { up_arrives, down_arrives, session_kept: kept || !may_forget })
        });
    prop_oneof![
        6 => (0u8..3).prop_map(Op::Publish),
        3 => (0u8..3).prop_map(Op::BrokerPublish),
        6 => (1u8..5).prop_map(Op::Up),
        6 => (1u8..5).prop_map(Op::Down),
        1 => Just(Op::Expire),
        1 => cut,
    ]
}

/// What the owner knows: the messages in flight and those given up.
#[derive(Default)]
struct Model {
    inflight: BTreeSet<u64>,
    expired: BTreeSet<u64>,
    up: Vec<u64>,
    down: Vec<u64>,
}

impl Model {
    fn apply(&mut self, op: &Op, pair: &mut Pair) {
        match *op {
            Op::Publish(qos) => {
                let seq = 3 * (self.up.len() as u64 + 1) + u64::from(qos);
                let can = pair.client.room(qos_of(seq), &LIMITS) > 0;
                if can {
                    pair.publish(seq).unwrap();
                    self.up.push(seq);
                    if qos > 0 {
                        self.inflight.insert(seq);
                    }
                }
                let online = pair.client.state() == State::Online;
                let room = self.inflight.len() - usize::from(can && qos > 0) < usize::from(LIMITS.inflight);
                assert_eq!(can, online && (qos == 0 || room));
            }
            Op::BrokerPublish(qos) => {
                let seq = 3 * (self.down.len() as u64 + 1) + u64::from(qos);
                self.down.push(seq);
                pair.broker_publish(seq);
            }
            Op::Up(count) => pair.run(count.into(), 0),
            Op::Down(count) => pair.run(0, count.into()),
            Op::Expire => {
                let oldest = self.inflight.pop_first();
                assert_eq!(pair.client.expire_oldest(), oldest);
                self.expired.extend(oldest);
            }
            Op::Cut(cut) => {
                pair.cut(cut);
                pair.connect();
            }
        }
    }

    /// Compares with the client after each step.
    fn check(&mut self, pair: &Pair) {
        for seq in &pair.acked {
            self.inflight.remove(seq);
        }
        for seq in &pair.abandoned {
            self.inflight.remove(seq);
        }
        assert!(pair.acked.iter().all(|seq| !self.expired.contains(seq)));
        assert!(pair.acked_late.iter().all(|seq| self.expired.contains(seq)));
        assert_eq!(pair.client.inflight(), self.inflight.len());
        assert_eq!(pair.client.oldest(), self.inflight.first());
    }
}

fn run(ops: &[Op], kept: bool) {
    let (mut pair, mut model) = (Pair::new(LIMITS), Model::default());
    pair.connect();
    for op in ops {
        model.apply(op, &mut pair);
        model.check(&pair);
    }
    pair.settle();
    model.check(&pair);
    check(&pair, &model.up, &model.down, kept);
}

proptest! {
    #[test]
    fn any_interleaving_with_a_kept_session_delivers(ops in prop::collection::vec(op(false), 0..200)) {
        run(&ops, true);
    }

    #[test]
    fn any_interleaving_with_lost_sessions_settles(ops in prop::collection::vec(op(true), 0..200)) {
        // What was given up and then lost with its session never comes back, so it is not asked for.
        let ops: Vec<_> = ops.into_iter().filter(|op| !matches!(op, Op::Expire)).collect();
        run(&ops, false);
    }
}
