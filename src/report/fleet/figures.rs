//! Malaria's figures, with its names and units.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::clock::Nanos;
use crate::record::{FleetRecord, Listener, Publisher, Spread};

const MS: f64 = 1e6;
const S: f64 = 1e9;

/// What malaria tells of a publishing client. Times are milliseconds, the total is seconds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PublisherFigures {
    pub clientid: String,
    pub count_ok: u64,
    pub count_total: u64,
    pub rate_ok: Option<f64>,
    pub time_min: Option<f64>,
    pub time_max: Option<f64>,
    pub time_mean: Option<f64>,
    pub time_stddev: Option<f64>,
    pub msgs_per_sec: Option<f64>,
    pub time_total: Option<f64>,
}

impl PublisherFigures {
    pub fn of(publisher: &Publisher) -> PublisherFigures {
        let active = publisher.first_ns.map(|_| publisher.active_ns);
        let counts = (publisher.acked, publisher.total());
        PublisherFigures::new(publisher.client_id.clone(), counts, &publisher.ack_time, active)
    }

    /// Of the messages of all clients: one population, whoever sent them.
    pub fn of_all(record: &FleetRecord) -> PublisherFigures {
        let publishers = &record.publishers;
        let mut ack_time = Spread::default();
        publishers.iter().for_each(|publisher| ack_time.merge(&publisher.ack_time));
        let ok = publishers.iter().map(|publisher| publisher.acked).sum();
        let total = publishers.iter().map(Publisher::total).sum();
        PublisherFigures::new(aggregate(publishers.len()), (ok, total), &ack_time, record.publishing_ns())
    }

    fn new(clientid: String, counts: (u64, u64), time: &Spread, active: Option<Nanos>) -> PublisherFigures {
        let (count_ok, count_total) = counts;
        PublisherFigures {
            clientid,
            count_ok,
            count_total,
            rate_ok: (count_total > 0).then(|| count_ok as f64 / count_total as f64),
            time_min: time.min_ns.map(|ns| ns as f64 / MS),
            time_max: time.max_ns.map(|ns| ns as f64 / MS),
            time_mean: time.mean_ns.map(|ns| ns / MS),
            time_stddev: time.stddev_ns.map(|ns| ns / MS),
            msgs_per_sec: per_second(count_ok, active),
            time_total: active.map(|ns| ns as f64 / S),
        }
    }
}

/// What malaria tells of a subscriber, without its lists of ids. Times are seconds but for the one that is
/// named otherwise.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListenerFigures {
    pub clientid: String,
    pub client_count: u64,
    pub test_complete: bool,
    pub msg_count: u64,
    pub ms_per_msg: Option<f64>,
    pub msg_per_sec: Option<f64>,
    pub time_total: Option<f64>,
    pub flight_time_mean: Option<f64>,
    pub flight_time_stddev: Option<f64>,
    pub flight_time_max: Option<f64>,
    pub flight_time_min: Option<f64>,
}

impl ListenerFigures {
    pub fn of(listener: &Listener) -> ListenerFigures {
        let counts = (listener.clients.len() as u64, listener.readable());
        let active = listener.first_ns.map(|_| listener.active_ns);
        let complete = listener.is_complete();
        ListenerFigures::new(listener.client_id.clone(), complete, counts, &listener.flight, active)
    }

    /// Of all subscribers: of the only one where there is one, as malaria has no more.
    pub fn of_all(record: &FleetRecord) -> ListenerFigures {
        if let [listener] = record.listeners.as_slice() {
            return ListenerFigures::of(listener);
        }
        let listeners = &record.listeners;
        let mut flight = Spread::default();
        listeners.iter().for_each(|listener| flight.merge(&listener.flight));
        let clients: BTreeSet<&str> =
            listeners.iter().flat_map(|listener| &listener.clients).map(|c| c.client_id.as_str()).collect();
        let counts = (clients.len() as u64, listeners.iter().map(Listener::readable).sum());
        let complete = !listeners.is_empty() && listeners.iter().all(Listener::is_complete);
        let title = aggregate(listeners.len());
        ListenerFigures::new(title, complete, counts, &flight, record.listening_ns())
    }

    fn new(
        clientid: String,
        test_complete: bool,
        (client_count, msg_count): (u64, u64),
        flight: &Spread,
        active: Option<Nanos>,
    ) -> ListenerFigures {
        let each = |active: Nanos| (msg_count > 0).then(|| active as f64 / MS / msg_count as f64);
        ListenerFigures {
            clientid,
            client_count,
            test_complete,
            msg_count,
            ms_per_msg: active.and_then(each),
            msg_per_sec: per_second(msg_count, active),
            time_total: active.map(|ns| ns as f64 / S),
            flight_time_mean: flight.mean_ns.map(|ns| ns / S),
            flight_time_stddev: flight.stddev_ns.map(|ns| ns / S),
            flight_time_max: flight.max_ns.map(|ns| ns as f64 / S),
            flight_time_min: flight.min_ns.map(|ns| ns as f64 / S),
        }
    }
}

fn aggregate(clients: usize) -> String {
    format!("Aggregate stats for {clients} client{}", if clients == 1 { "" } else { "s" })
}

fn per_second(count: u64, active: Option<Nanos>) -> Option<f64> {
    active.filter(|active| *active > 0).map(|active| count as f64 * S / active as f64)
}
