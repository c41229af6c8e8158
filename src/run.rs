//! A run: its plan, its workers, its phases, and the record that comes out of it.
//!
//! The *conductor* (the calling thread) takes the workers through the phases connect, subscribe,
//! warm-up, measure, drain and disconnect, and merges what they measured. Each worker is a thread with a
//! ring of its own; nothing is shared between them per message.

mod backlog;
mod conductor;
mod publishers;
mod shared;
mod subscribers;
#[cfg(test)]
mod tests;
mod worker;

pub use crate::load::run_id;

use crate::clock::{self, Nanos};
use crate::crew::Connection;
use crate::engine::{self, Endpoint, Waker};
use crate::load::{End, Schedule, Template};
use crate::record::{self, Plan, Record};
use crate::stage::{Progress, Stage, StageError};
use crate::wire::QoS;
use conductor::{Phases, Setting};
use shared::Shared;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use worker::Clients;

/// Everything a run needs: the plan, and what must not be in a record.
pub struct Spec {
    pub plan: Plan,
    /// The plan's topic template.
    pub topic: Template,
    /// Where the plan's hosts are.
    pub targets: Vec<Endpoint>,
    /// CPUs for the workers.
    pub cpus: Vec<usize>,
    /// The broker's CPUs, when it is the reflector inside this process.
    pub broker_cpus: Vec<usize>,
    /// How the clients connect. What the plan says too is the same there.
    pub connection: Connection,
    /// Whether messages are to be retained.
    pub retain: bool,
    /// The command line as typed.
    pub command: Vec<String>,
    /// What the reader of the record has to know.
    pub warnings: Vec<String>,
    /// Whether the plan's tolerance is to be multiplied by the rings of a core: they take turns, and each
    /// wakes up for its own messages.
    pub tolerance_is_per_ring: bool,
}

/// What keeps a run from starting. Nothing was sent yet.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(
        "{flows} flows (pairs of a publisher and a subscriber it reaches) are more than the {limit} that \
         can be checked: give the topics a field (--topic 'bench/%p') so that not everybody hears everybody"
    )]
    Flows { flows: u64, limit: u64 },
}

impl Spec {
    /// The run that `plan` describes, on one worker.
    pub fn new(plan: Plan, targets: Vec<Endpoint>) -> Spec {
        Spec {
            topic: plan.topic_template.parse().expect("a plan's template was read before"),
            connection: Connection {
                keep_alive_s: (plan.keepalive_ns.div_ceil(crate::clock::SECOND)).min(u16::MAX.into()) as u16,
                clean_session: plan.clean_session,
                timeout: plan.connect_timeout_ns,
                rate_per_s: plan.connect_rate_per_s,
                reconnect: plan.reconnect,
                reconnect_attempts: 0,
                ..Connection::default()
            },
            plan,
            targets,
            cpus: crate::cpu::allowed().into_iter().take(1).collect(),
            broker_cpus: Vec::new(),
            retain: false,
            command: Vec::new(),
            warnings: Vec::new(),
            tolerance_is_per_ring: false,
        }
    }

    /// What every stamp carries; the plan's `run_id` is its text.
    pub fn run_id(&self) -> u32 {
        run_id(self.plan.seed)
    }

    /// QoS of publishing.
    pub fn qos(&self) -> QoS {
        qos(self.plan.qos)
    }

    /// QoS of subscriptions.
    pub fn sub_qos(&self) -> QoS {
        qos(self.plan.sub_qos)
    }

    /// The measure phase in nanoseconds since the start of the schedule, half-open.
    fn window(&self) -> (Nanos, Nanos) {
        let from = self.plan.warmup_ns;
        (from, self.plan.duration_ns.map_or(Nanos::MAX, |duration| from + duration))
    }

    /// Messages a second of each publisher, in the open loop.
    fn rate_per_publisher(&self) -> Option<f64> {
        match self.plan.schedule {
            record::Schedule::Open { rate_per_s, .. } => Some(rate_per_s / f64::from(self.plan.publishers)),
            record::Schedule::Closed { .. } | record::Schedule::None => None,
        }
    }

    /// Most unacknowledged messages of a publisher.
    fn inflight(&self) -> u16 {
        match self.plan.schedule {
            record::Schedule::Closed { inflight } | record::Schedule::Open { inflight, .. } => {
                inflight.min(u16::MAX.into()) as u16
            }
            record::Schedule::None => u16::MAX,
        }
    }

    /// Most messages a publisher may be behind.
    fn backlog_limit(&self) -> u32 {
        let messages = self.rate_per_publisher().unwrap_or(0.0) * self.plan.backlog_ns as f64 / 1e9;
        messages.ceil().clamp(1.0, f64::from(u32::MAX - 1)) as u32
    }

    /// The schedule of the publishers with `numbers`, in the open loop.
    fn schedule(&self, numbers: Vec<u32>) -> Option<Schedule> {
        let record::Schedule::Open { rate_per_s, arrival, .. } = self.plan.schedule else { return None };
        let end = match self.plan.msg_count {
            Some(count) => End::Count(count),
            None => End::Time(self.window().1),
        };
        Some(Schedule::new(arrival, numbers, self.plan.publishers, rate_per_s, end, self.plan.seed))
    }
}

/// Runs `spec` to its end, or until `interrupt` is set. `observe` is called about once a second.
///
/// # Errors
/// Only what keeps the run from starting; whatever happens later is in the record.
pub fn run(
    spec: Spec,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> Result<Record, RunError> {
    engine::probe().map_err(StageError::from)?;
    let setting = Setting { started_at: std::time::SystemTime::now(), machine: crate::cpu::machine() };
    let table = engine::descriptor_limit().min(1 << 20) as u32;
    let shared = Arc::new(Shared::new(spec, table, clock::now())?);
    let workers = shared.seats.len();
    engine::reserve(workers as u32).map_err(StageError::from)?;
    let wakers = (0..workers).map(|_| Waker::new()).collect::<Result<_, _>>().map_err(StageError::from)?;
    let mut phases = Phases::new(shared.clone(), engine::resident_bytes);
    let whole = (shared.epoch, u64::from(shared.spec.plan.clients));
    let common = shared.clone();
    let mut stage = Stage::open(&shared.seats, wakers, whole, move |desk| {
        Clients::new(common.clone(), desk, clock::now())
    })?;
    stage.conduct(&mut phases, interrupt, observe);
    phases.close(clock::now());
    let (board, fault) = stage.finish(&mut phases, observe);
    Ok(phases.record(board, fault, setting))
}

fn qos(level: u8) -> QoS {
    QoS::try_from(level).expect("the plan was checked")
}
