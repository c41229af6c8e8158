//! Records of fleets for tests.

use super::*;
use crate::clock::{MICROSECOND, MILLISECOND, SECOND};
use crate::record::samples::{clean, ramp};
use crate::record::{FLEET_SCHEMA, Worker};
use crate::stats::Histogram;

fn spread(values: &[Nanos]) -> Spread {
    let mut moments = Moments::default();
    values.iter().for_each(|value| moments.record(*value));
    (&moments).into()
}

/// `values` in one histogram.
fn histogram(values: &[Nanos]) -> Histogram {
    let mut histogram = Histogram::default();
    values.iter().for_each(|value| histogram.record(*value));
    histogram
}

fn nobody() -> FleetRecord {
    let record = clean();
    FleetRecord {
        schema: FLEET_SCHEMA.to_owned(),
        started_at: record.started_at,
        command: "malaria publish -t -n 100 -P 4".split(' ').map(str::to_owned).collect(),
        seed: "42".to_owned(),
        versions: record.versions,
        machine: record.machine,
        broker: Broker { addresses: vec!["127.0.0.1:1883".to_owned()], ..Broker::default() },
        qos: 1,
        elapsed_ns: 3_350 * MILLISECOND,
        generator: Generator {
            workers: vec![Worker { cpu: 0, busy_share: 0.012, waited_share: 0.001 }],
            user_cpu_ns: 10 * MILLISECOND,
            system_cpu_ns: 30 * MILLISECOND,
            ..Generator::default()
        },
        ..FleetRecord::default()
    }
}

/// Four clients with 100 messages each: client i has half its acknowledgements after (i + 1) ms and half
/// after (i + 3) ms, starts i * 0.5 s into the run and is done 2 s later.
pub(crate) fn published() -> FleetRecord {
    let mut record = nobody();
    let mut all = Vec::new();
    for index in 0..4u64 {
        let times: Vec<Nanos> = (0..100).map(|at| (index + 1 + at % 2 * 2) * MILLISECOND).collect();
        all.extend(&times);
        record.publishers.push(Publisher {
            client_id: format!("beem.loadr-host-9850-{index}"),
            planned: Some(100),
            generated: 100,
            sent: 100,
            acked: 100,
            ack_time: spread(&times),
            first_ns: Some(SECOND + index * 500 * MILLISECOND),
            active_ns: 2 * SECOND,
            ..Publisher::default()
        });
    }
    record.counts = Counters {
        due: 400,
        sent: 400,
        acked: 400,
        connections_asked: 4,
        connections_established: 4,
        ..Counters::default()
    };
    record.latencies.ack_service = (&histogram(&all)).into();
    record.latencies.ack_response = (&ramp(400, MILLISECOND, 8 * MILLISECOND)).into();
    record.latencies.lateness = (&ramp(400, 10 * MICROSECOND, 90 * MICROSECOND)).into();
    record.latencies.wake_lag = (&ramp(400, 5 * MICROSECOND, 60 * MICROSECOND)).into();
    record.conclude();
    record
}

/// A listener that has all of two clients' 1,000 messages, with flight times from 2 to 8 ms.
pub(crate) fn subscribed() -> FleetRecord {
    let mut record = nobody();
    record.command = "malaria subscribe -n 1000 -N 2".split(' ').map(str::to_owned).collect();
    let times: Vec<Nanos> = (0..2_000).map(|at| (2 + at % 2 * 6) * MILLISECOND).collect();
    let heard = |client: &str| Heard {
        client_id: client.to_owned(),
        expected: Some(1_000),
        actual: 1_000,
        ..Heard::default()
    };
    record.listeners.push(Listener {
        client_id: "beem.listr-8518".to_owned(),
        filters: vec!["mqtt-malaria/+/data/#".to_owned()],
        expected_per_client: Some(1_000),
        expected_clients: Some(2),
        expected_messages: Some(2000),
        received: 2_000,
        first_ns: Some(SECOND),
        active_ns: 800 * MILLISECOND,
        payload_bytes: 236_000,
        flight: spread(&times),
        flight_time: (&histogram(&times)).into(),
        clients: vec![heard("bee-0"), heard("bee-1")],
        ended_by: ListenEnd::Complete,
        ..Listener::default()
    });
    record.counts = Counters { connections_asked: 1, connections_established: 1, ..Counters::default() };
    record.counts.subscribed = 1;
    record.conclude();
    record
}

/// The same with losses: messages 5 and 7 of the first client are missing, message 9 came twice, the second
/// client was never seen, three messages were foreign and one flight time was negative.
pub(crate) fn lossy() -> FleetRecord {
    let mut record = subscribed();
    let listener = &mut record.listeners[0];
    (listener.received, listener.foreign, listener.duplicated) = (1_002, 3, 1);
    listener.flight_negative = 1;
    listener.clients.truncate(1);
    let heard = &mut listener.clients[0];
    (heard.actual, heard.duplicate) = (998, 1);
    (heard.duplicate_ids, heard.missing) = (vec![9], vec![5, 7]);
    (listener.never_seen, listener.never_seen_count) = (vec!["bee-1".to_owned()], 1);
    listener.ended_by = ListenEnd::Quiet;
    record.conclude();
    record
}

/// Four clients that publish to themselves.
pub(crate) fn self_check() -> FleetRecord {
    let mut record = published();
    let mut listener = subscribed().listeners.remove(0);
    (listener.expected_per_client, listener.expected_clients) = (Some(100), Some(4));
    listener.expected_messages = Some(400);
    listener.received = 400;
    listener.clients = (0..4)
        .map(|index| Heard {
            client_id: format!("beem.loadr-host-9850-{index}"),
            expected: Some(100),
            actual: 100,
            ..Heard::default()
        })
        .collect();
    record.listeners.push(listener);
    record.conclude();
    record
}
