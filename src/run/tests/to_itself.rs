//! Clients that publish to themselves.

use super::*;

/// Clients with a topic each, which they subscribe to, for a second.
fn to_itself(clients: u32, qos: u8, rate_per_s: f64) -> Plan {
    Plan {
        clients,
        publishers: clients,
        subscribers: clients,
        topology: Topology::Itself,
        ..plan(2, qos, rate_per_s)
    }
}

/// Each has one connection, and hears what it has said and nothing else.
#[test]
fn everybody_hears_itself() {
    for (qos, workers) in [(0, 1), (1, 2), (2, 3)] {
        let plan = Plan { clients: 13, ..to_itself(10, qos, 200.0) };
        let played = Scene { workers, ..Scene::new(Setup::exact(1), plan) }.play();
        let (counts, truth) = (&played.record.counts, played.world.truth());
        assert_eq!((counts.connections_established, counts.subscribed), (13, 10));
        assert_eq!((counts.sent, counts.expected, counts.delivered), (200, 200, 200));
        assert_eq!((counts.misrouted, counts.duplicated, counts.reordered), (0, 0, 0));
        for index in 0..13 {
            let client = truth.find_client(&format!("c-{index}")).expect("it has connected");
            let heard: Vec<_> = truth.heard_by(client).collect();
            assert_eq!(heard.len(), if index < 10 { 20 } else { 0 });
            assert!(heard.iter().all(|(_, message)| message.from == Some(client)));
        }
        assert_eq!(played.record.exit_code, 0, "{}", played.record.exit_reason);
    }
}

/// Who was away subscribes again before it goes on, and then says what has waited.
#[test]
fn what_has_waited_for_a_new_subscription_is_said() {
    let absence =
        record::Absence { part: record::Part::All, at_ns: 500 * MILLISECOND, for_ns: 100 * MILLISECOND };
    let plan = Plan { absences: vec![absence], ..to_itself(10, 1, 200.0) };
    let played = Scene::new(Setup::exact(1), plan).play();
    let counts = &played.record.counts;
    assert_eq!((counts.due, counts.shed, counts.sent, counts.subscribed), (200, 0, 200, 20));
    // What was on its way when they left is nobody's: of each one at most.
    assert!(counts.delivered >= 190 && counts.delivered + counts.lost == 200, "{counts:?}");
}
