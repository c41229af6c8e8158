//! What all workers of a run share.

use super::{RunError, Spec};
use crate::clock::Nanos;
use crate::load::{Body, HandOver, Name, Role, Routes, Split, Template, Values};
use crate::record::Schedule as Pace;
use crate::stage::{Seat, Ways, seats};
use crate::wire::QoS;
use std::sync::atomic::AtomicU32;

/// Read-only from the start of the schedule on, but for the cells of [`HandOver`].
pub struct Shared {
    /// When the run began, on the process clock: its seconds are counted from here.
    pub epoch: Nanos,
    pub spec: Spec,
    /// What every stamp carries: [`Spec::run_id`], which costs some 100 ns to work out.
    pub run_id: u32,
    pub qos: QoS,
    pub split: Split,
    pub seats: Vec<Seat>,
    pub routes: Routes,
    pub ways: Ways,
    pub body: Body,
    pub hand_over: HandOver,
    /// Subscribers with a granted subscription, by group.
    pub granted: Vec<AtomicU32>,
    /// The measure phase, in nanoseconds since the start of the schedule, half-open.
    pub window: (Nanos, Nanos),
}

/// Flows checked at most: 16 bytes each.
const FLOWS: u64 = 100_000_000;
/// Messages of a publisher whose hand-over time is kept for its subscribers: seconds of schedule,
const HAND_OVER_S: f64 = 4.0;
/// in-flight windows of a closed loop, because deliveries may trail acknowledgements,
const HAND_OVER_WINDOWS: f64 = 16.0;
/// and messages where there are neither.
const HAND_OVERS: f64 = 1024.0;

impl Shared {
    /// Lays out `spec`, with tables of at most `table` connections, for a run that begins at `epoch`.
    ///
    /// # Errors
    /// More flows than can be checked, or fewer ports than clients.
    pub fn new(mut spec: Spec, table: u32, epoch: Nanos) -> Result<Shared, RunError> {
        let split = Split {
            publishers: spec.plan.publishers,
            subscribers: spec.plan.subscribers,
            idle: spec.plan.clients - spec.plan.publishers - spec.plan.subscribers,
        };
        let routes = Routes::new(split, &spec.topic);
        let flows = routes.flows();
        if flows > FLOWS {
            return Err(RunError::Flows { flows, limit: FLOWS });
        }
        let ways = Ways::new(&spec.targets, split.clients())?;
        // Members of one group together, so that the two ends of a flow share a worker.
        let seats = seats(split.clients(), &spec.cpus, table, |index, count| {
            turn(split, &routes, index, count) % count
        });
        if spec.tolerance_is_per_ring {
            let shares = seats.iter().filter(|seat| seat.cpu == seats[0].cpu).count();
            spec.plan.tolerance_ns *= shares as u64;
        }
        spec.plan.workers = seats.len() as u32;
        let size = spec.plan.size_bytes as usize;
        Ok(Shared {
            run_id: spec.run_id(),
            qos: spec.qos(),
            epoch,
            body: Body::new(size.max(crate::load::STAMP_LEN), spec.plan.seed),
            hand_over: HandOver::new(
                if split.subscribers > 0 { split.publishers } else { 0 },
                match spec.plan.schedule {
                    Pace::Closed { .. } if spec.plan.qos == 0 => HAND_OVERS,
                    Pace::Closed { inflight } => f64::from(inflight) * HAND_OVER_WINDOWS,
                    Pace::Open { .. } | Pace::None => spec.rate_per_publisher().unwrap_or(0.0) * HAND_OVER_S,
                },
            ),
            granted: (0..routes.groups()).map(|_| AtomicU32::new(0)).collect(),
            window: spec.window(),
            split,
            seats,
            routes,
            ways,
            spec,
        })
    }

    /// The way of client `index` to its broker. Groups take turns over the brokers, so that the two ends of a flow
    /// meet also where the brokers do not know each other.
    pub fn route(&self, index: u32) -> crate::engine::Route {
        self.ways.route(turn(self.split, &self.routes, index, self.ways.brokers()), index)
    }

    /// Largest packet accepted from the broker.
    pub fn max_packet(&self) -> usize {
        (1 << 20).max(2 * self.spec.plan.size_bytes as usize + (1 << 16))
    }

    /// Appends the topic of publisher `number`.
    pub fn render_topic(&self, number: u32, out: &mut String) {
        let values = Values {
            client: Name::Numbered { prefix: &self.spec.plan.client_id_prefix, index: number },
            index: number,
            pair: self.routes.group(number),
            run_id: self.run_id,
            // Templates with fields that differ from message to message are turned away by the command line.
            sequence: 0,
            total: self.spec.plan.msg_count.unwrap_or(0),
            seed: 0,
        };
        let template: &Template = &self.spec.topic;
        template.render(&values, out).expect("writing to a string");
    }

    /// The filters of a subscriber of `group`, one after the other, with the end of each.
    pub fn filters(&self, group: u32) -> (String, Vec<usize>) {
        let (mut text, mut ends) = (String::new(), Vec::new());
        let all = if self.spec.topic.is_per_publisher() { usize::MAX } else { 1 };
        for number in self.routes.publishers_of(group).take(all) {
            self.render_topic(number, &mut text);
            ends.push(text.len());
        }
        (text, ends)
    }
}

/// What client `index` is dealt by to `count` workers or brokers: its group while there are groups for all of
/// them, or else itself.
fn turn(split: Split, routes: &Routes, index: u32, count: u32) -> u32 {
    match split.role(index) {
        Role::Publisher(number) | Role::Subscriber(number) if routes.groups() >= count => {
            routes.group(number)
        }
        _ => index,
    }
}
