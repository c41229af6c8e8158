use super::super::{Counters, samples};
use super::*;

fn exit_of(change: impl FnOnce(&mut Record)) -> (Exit, String) {
    let mut record = samples::clean();
    change(&mut record);
    let Outcome { exit, reason } = Outcome::of(&record);
    (exit, reason)
}

fn exit_counting(change: impl FnOnce(&mut Counters)) -> (Exit, String) {
    exit_of(|record| change(&mut record.counts))
}

#[test]
fn codes_are_the_published_ones() {
    use Exit::*;
    let all = [Clean, Internal, Usage, Environment, Broker, Delivery, GeneratorLimited, Bounds];
    assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!([Regression, Inconclusive, Interrupted].map(Exit::code), [8, 9, 130]);
    for exit in Exit::ALL {
        assert_eq!(Exit::from_code(exit.code()), exit);
        assert_eq!((exit.graver(Clean), Clean.graver(exit)), (exit, exit));
    }
}

#[test]
fn each_fault_has_its_code_and_its_number() {
    let broker = |text: &str| (Exit::Broker, text.to_owned());
    let delivery = |text: &str| (Exit::Delivery, text.to_owned());
    assert_eq!(exit_of(|_| ()), (Exit::Clean, "everything asked was done and delivered".to_owned()));
    assert_eq!(exit_counting(|c| c.connections_established = 1_988), broker("clients never connected: 12"));
    assert_eq!(
        exit_counting(|c| c.connections_lost = 1),
        broker("connections lost and not established again: 1")
    );
    assert_eq!(exit_counting(|c| c.subscribe_failures = 3), broker("subscriptions failed: 3"));
    assert_eq!(
        exit_counting(|c| c.protocol_errors = 1),
        broker("violations of the protocol by the broker: 1")
    );
    assert_eq!(exit_counting(|c| c.lost = 1_234), delivery("deliveries lost: 1,234"));
    let late = delivery("deliveries still to come at the end of the drain: 1,234");
    assert_eq!(exit_counting(|c| c.undelivered_at_end = 1_234), late);
    let cut = |c: &mut Counters| (c.sent, c.unfinished) = (199_997, 3);
    assert_eq!(exit_counting(cut), delivery("messages unfinished when their connection ended: 3"));
    let unread = delivery("messages at QoS 0 that the broker may not have read: 9");
    assert_eq!(exit_counting(|c| c.unconfirmed = 9), unread);
    assert_eq!(exit_counting(|c| c.corrupted = 2), delivery("deliveries corrupted: 2"));
    assert_eq!(exit_counting(|c| c.misrouted = 2), delivery("deliveries to the wrong client: 2"));
    assert_eq!(exit_counting(|c| c.reordered = 2), delivery("deliveries out of order: 2"));
    assert_eq!(exit_counting(|c| c.ack_timeouts = 1), delivery("acknowledgements timed out: 1"));
    assert_eq!(exit_counting(|c| c.sent = 0), broker("messages due of which none was sent: 200,000"));
    let unacked = delivery("messages not acknowledged at the end of the drain: 5");
    assert_eq!(exit_counting(|c| c.unacked_at_end = 5), unacked);
    let limited = exit_of(|record| {
        record.verdict = Verdict::GeneratorLimited;
        record.verdict_reasons = vec!["it was late".to_owned(), "it was busy".to_owned()];
    });
    let reason = "the generator was the bottleneck: it was late; it was busy";
    assert_eq!(limited, (Exit::GeneratorLimited, reason.to_owned()));
    let unmeasured = exit_of(|record| {
        record.verdict = Verdict::Unknown;
        record.verdict_reasons = vec!["no message came due".to_owned()];
    });
    assert_eq!(unmeasured, (Exit::GeneratorLimited, "nothing was measured: no message came due".to_owned()));
}

#[test]
fn what_is_no_fault_stays_clean() {
    assert_eq!(exit_counting(|c| c.duplicated = 9).0, Exit::Clean, "QoS 1 allows duplicates");
    assert_eq!(exit_counting(|c| (c.connections_lost, c.reconnects) = (7, 7)).0, Exit::Clean);
    assert_eq!(exit_counting(|c| c.foreign = 4).0, Exit::Clean);
    for verdict in [Verdict::Clean, Verdict::BrokerLimited] {
        assert_eq!(exit_of(|record| record.verdict = verdict).0, Exit::Clean, "{verdict:?}");
    }
}

#[test]
fn duplicates_count_where_both_sides_are_qos_2() {
    for (qos, sub_qos, exit) in [(2, 2, Exit::Delivery), (2, 1, Exit::Clean), (1, 2, Exit::Clean)] {
        let (found, _) = exit_of(|record| {
            (record.plan.qos, record.plan.sub_qos, record.counts.duplicated) = (qos, sub_qos, 1);
        });
        assert_eq!(found, exit, "published at {qos}, subscribed at {sub_qos}");
    }
}

#[test]
fn the_lowest_code_that_applies_wins() {
    let everything = |record: &mut Record| {
        record.verdict = Verdict::GeneratorLimited;
        (record.counts.lost, record.counts.reordered) = (1, 2);
    };
    assert_eq!(
        exit_of(everything),
        (Exit::Delivery, "deliveries lost: 1, deliveries out of order: 2".to_owned())
    );
    let refused = |record: &mut Record| {
        everything(record);
        record.counts.connections_established = 0;
    };
    assert_eq!(exit_of(refused), (Exit::Broker, "clients never connected: 2,000".to_owned()));
    let ends = [
        (Ended::Environment, Exit::Environment),
        (Ended::Internal, Exit::Internal),
        (Ended::Interrupted, Exit::Interrupted),
        (Ended::Broker, Exit::Broker),
    ];
    for (ended, exit) in ends {
        let found = exit_of(|record| {
            refused(record);
            record.ended = ended;
            record.partial_reason = Some("so it was".to_owned());
        });
        assert_eq!(found, (exit, "so it was".to_owned()));
        assert_eq!(exit_of(|record| record.ended = ended), (exit, exit.name().to_owned()));
    }
}
