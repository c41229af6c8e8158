//! What all workers of a run share.

use super::sequences::Sequences;
use super::{Plan, RunError, Spec, probes};
use crate::clock::Nanos;
use crate::crew::Field;
use crate::load::{
    Body, Flow, HandOver, Name, Profile, Role, Routes, STAMP_LEN, Split, Template, Values, run_id,
};
use crate::record::Schedule as Pace;
use crate::stage::{Seat, Ways, seats};
use crate::wire::{QoS, topic};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// The clients of one worker.
pub type Crew = crate::crew::Crew<()>;

/// Read-only from the start of the schedule on, but for the cells of [`HandOver`].
pub struct Shared {
    /// When the run began, on the process clock: its seconds are counted from here.
    pub epoch: Nanos,
    pub spec: Spec,
    topic: Template,
    /// What every stamp carries; the plan's `run_id` is its text.
    pub run_id: u32,
    pub qos: QoS,
    pub sub_qos: QoS,
    /// Most unacknowledged messages of a publisher,
    pub inflight: u16,
    pub split: Split,
    pub seats: Vec<Seat>,
    /// The worker that has the first of them.
    pub first: usize,
    /// The run of the probes, if there are any.
    pub probes: Option<Arc<Shared>>,
    pub routes: Routes,
    ways: Ways,
    pub body: Body,
    pub hand_over: HandOver,
    pub sequences: Sequences,
    /// What subscribers that share have heard together, by publisher; without any where each is to hear everything. Locked
    /// for each message: they are with several workers.
    pub pool: Vec<Mutex<Flow>>,
    /// Subscribers with a granted subscription, by group.
    pub granted: Vec<AtomicU32>,
    /// The measure phase, in nanoseconds since the start of the schedule, half-open.
    pub window: (Nanos, Nanos),
}

/// What a lock says that is never held by somebody who panics.
pub const POISONED: &str = "no worker panics within this lock";
/// Flows checked at most: 16 bytes each.
const FLOWS: u64 = 100_000_000;
/// Closed loop at QoS 0: bytes that a connection takes and does not send. Megabytes of messages that a broker is far from
/// reading would be all that is sent for seconds.
const UNSENT: u32 = 64 << 10;
/// Messages of a publisher whose hand-over time is kept for its subscribers: seconds of schedule,
const HAND_OVER_S: f64 = 4.0;
/// in-flight windows of a closed loop, because deliveries may trail acknowledgements,
const HAND_OVER_WINDOWS: f64 = 16.0;
/// and messages where there are neither.
const HAND_OVERS: f64 = 1024.0;

impl Shared {
    /// Lays out `spec`, for a run that begins at `epoch`.
    ///
    /// # Errors
    /// More flows than can be checked, or fewer ports than clients.
    pub fn new(mut spec: Spec, epoch: Nanos) -> Result<Shared, RunError> {
        let probes = (spec.plan.probes > 0).then(|| probes::of(&spec));
        let plan = &mut spec.plan;
        let (publishers, subscribers) = (plan.publishers, plan.subscribers);
        let split = Split::of(plan);
        let topic: Template = plan.topic_template.parse().expect("a plan's template was read before");
        let own_topics = spec.connection.identities.has(Field::Topic);
        let routes = Routes::new(split, own_topics || topic.varies(), plan.groups);
        let flows = routes.flows();
        if flows > FLOWS {
            return Err(RunError::Flows { flows, limit: FLOWS });
        }
        // Members of one group together, so that the two ends of a flow share a worker.
        let turn = |index, count| turn(split, &routes, index, count) % count;
        // Where subscriptions come and go, what left when is certain within one worker alone.
        let most = if plan.flap.is_some() { routes.groups() as usize } else { usize::MAX };
        let seats = seats(plan.clients, &spec.cpus[..spec.cpus.len().min(most)], turn);
        plan.workers = seats.len() as u32;
        let (inflight, handed_over) = match plan.schedule {
            Pace::Open { rate_per_s, inflight, .. } => {
                (inflight, profile(plan, rate_per_s).peak() / f64::from(publishers) * HAND_OVER_S)
            }
            Pace::Closed { inflight } if plan.qos == 0 => (inflight, HAND_OVERS),
            Pace::Closed { inflight } => (inflight, f64::from(inflight) * HAND_OVER_WINDOWS),
            Pace::None => (u32::MAX, 0.0),
        };
        let probes = probes.map(|probes| {
            let shared = Shared::new(probes, epoch)?;
            Ok::<_, RunError>(Arc::new(Shared { first: seats.len(), ..shared }))
        });
        let shares = if plan.share.is_some() { publishers } else { 0 };
        let qos = |level| QoS::try_from(level).expect("the plan was checked");
        let (from, seed) = (plan.warmup_ns, plan.seed);
        let shared = Shared {
            epoch,
            run_id: run_id(seed),
            qos: qos(plan.qos),
            sub_qos: qos(plan.sub_qos),
            inflight: inflight.min(u16::MAX.into()) as u16,
            split,
            seats,
            first: 0,
            probes: probes.transpose()?,
            ways: Ways::new(&spec.targets, plan.clients, &spec.connection.sources, spec.connection.close)?
                .holding(
                    Some(UNSENT).filter(|_| plan.qos == 0 && matches!(plan.schedule, Pace::Closed { .. })),
                ),
            body: Body::new((plan.size_bytes as usize).max(STAMP_LEN), seed),
            hand_over: HandOver::new(if subscribers > 0 { publishers } else { 0 }, handed_over),
            sequences: Sequences::new(publishers, from, plan.flap.is_some()),
            granted: (0..routes.groups()).map(|_| AtomicU32::new(0)).collect(),
            window: (from, plan.duration_ns.map_or(Nanos::MAX, |duration| from + duration)),
            pool: (0..shares).map(|_| Mutex::default()).collect(),
            routes,
            topic,
            spec,
        };
        shared.check_filters()?;
        shared.check_own_topics()?;
        Ok(shared)
    }

    /// Whether filters bring each subscriber the messages of its group, once each: of some publishers, because nobody
    /// waits for a look at all pairs.
    fn check_filters(&self) -> Result<(), RunError> {
        const LOOKS: u32 = 1000;
        if self.spec.plan.filters.is_empty() {
            return Ok(());
        }
        for publisher in (0..self.split.publishers).take(LOOKS as usize) {
            let (name, group) = (self.topic(publisher), self.routes.group(publisher));
            let matching = |group| {
                let filters = self.plain_filters(group);
                filters.into_iter().filter(|filter| topic::matches(filter, &name)).collect::<Vec<_>>()
            };
            let (own, next) = (matching(group), (group + 1) % self.routes.groups());
            let foreign = if next == group { Vec::new() } else { matching(next) };
            if own.len() != 1 || !foreign.is_empty() {
                let filters = if foreign.is_empty() { own } else { foreign };
                return Err(RunError::Filter { name, group, filters });
            }
        }
        Ok(())
    }

    /// Whether no topic of a publisher's own brings its messages to another group.
    fn check_own_topics(&self) -> Result<(), RunError> {
        let alone = self.split.subscribers == 0 || self.routes.groups() == 1;
        if alone || !self.spec.connection.identities.has(Field::Topic) {
            return Ok(());
        }
        let mut groups = HashMap::new();
        for publisher in 0..self.split.publishers {
            let (name, group) = (self.topic(publisher), self.routes.group(publisher));
            if let Some((first, other)) = groups.insert(name.clone(), (publisher, group))
                && other != group
            {
                return Err(RunError::SharedTopic { name, publishers: [first, publisher] });
            }
        }
        Ok(())
    }

    /// How many times each message of a publisher of `group` is expected: once for each subscriber, or once for all.
    pub fn audience(&self, group: u32) -> u32 {
        let granted = self.granted[group as usize].load(Ordering::Acquire);
        if self.pool.is_empty() { granted } else { granted.min(1) }
    }

    /// Messages that nobody of those who share has heard, although somebody has heard a later one.
    pub fn lost_by_all(&self) -> u64 {
        let flows = (0..).zip(&self.pool);
        let lost =
            flows.map(|(publisher, flow)| self.sequences.lost(publisher, &flow.lock().expect(POISONED)));
        lost.sum()
    }

    /// Messages a second of the plan, of all publishers together; 0 without a schedule.
    pub fn rate_per_s(&self) -> f64 {
        match self.spec.plan.schedule {
            Pace::Open { rate_per_s, .. } => rate_per_s,
            Pace::Closed { .. } | Pace::None => 0.0,
        }
    }

    /// The same over time.
    pub fn profile(&self) -> Profile {
        profile(&self.spec.plan, self.rate_per_s())
    }

    /// Most messages that a publisher may be behind at `rate_per_s`.
    pub fn backlog_limit(&self, rate_per_s: f64) -> u32 {
        let plan = &self.spec.plan;
        let behind = rate_per_s / f64::from(plan.publishers.max(1)) * plan.backlog_ns as f64 / 1e9;
        behind.ceil().clamp(1.0, f64::from(u32::MAX - 1)) as u32
    }

    /// The seats of all workers, the probes' last.
    pub fn everybody(&self) -> Vec<Seat> {
        let probes = self.probes.iter().flat_map(|probes| &probes.seats);
        self.seats.iter().chain(probes).cloned().collect()
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

    /// The id of client `index`.
    pub fn name(&self, index: u32) -> Name<'_> {
        let numbered = Name::Numbered { prefix: &self.spec.plan.client_id_prefix, index };
        self.spec.connection.identities.id(index).map_or(numbered, Name::Given)
    }

    /// The topic of publisher `number`: its own, or else that of the template.
    pub fn topic(&self, number: u32) -> String {
        // Publishers are the first of all clients.
        if let Some(topic) = self.spec.connection.identities.topic(number) {
            return topic.to_owned();
        }
        let values = Values {
            client: self.name(number),
            index: number,
            pair: self.routes.group(number),
            run_id: self.run_id,
            // Templates with fields that differ from message to message are turned away by the command line.
            sequence: 0,
            total: self.spec.plan.msg_count.unwrap_or(0),
            seed: 0,
        };
        let mut topic = String::new();
        self.topic.render(&values, &mut topic).expect("writing to a string");
        topic
    }

    /// What a subscriber of `group` subscribes to.
    pub fn filters(&self, group: u32) -> Vec<String> {
        let filters = self.plain_filters(group);
        match &self.spec.plan.share {
            Some(share) => filters.iter().map(|filter| format!("$share/{share}/{filter}")).collect(),
            None => filters,
        }
    }

    /// The filters that bring the messages of `group`.
    fn plain_filters(&self, group: u32) -> Vec<String> {
        let asked = &self.spec.plan.filters;
        if !asked.is_empty() {
            return asked.iter().map(|filter| filter.replace("%p", &group.to_string())).collect();
        }
        let own_topics = self.spec.connection.identities.has(Field::Topic);
        let all = if own_topics || self.topic.is_per_publisher() { usize::MAX } else { 1 };
        let topics = self.routes.publishers_of(group).take(all).map(|number| self.topic(number));
        match own_topics {
            // Some may have the same.
            true => topics.collect::<BTreeSet<_>>().into_iter().collect(),
            false => topics.collect(),
        }
    }
}

/// The rate of all publishers over time; where there is no schedule nobody asks.
fn profile(plan: &Plan, rate_per_s: f64) -> Profile {
    let read = |text: &String| text.parse().expect("a plan's profile was read before");
    plan.profile.as_ref().map_or_else(|| Profile::constant(rate_per_s), read)
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
