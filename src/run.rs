//! A run: its plan, its workers, its phases, and the record that comes out of it.
//!
//! The *conductor* (the calling thread) takes the workers through the phases connect, subscribe,
//! warm-up, measure, drain and disconnect, and merges what they measured. Each worker is a thread with a
//! ring of its own; nothing is shared between them per message.

mod conductor;
mod layout;
mod link;
mod worker;

pub use crate::load::run_id;
pub use conductor::{Progress, run};
pub use layout::Layout;

use crate::clock::Nanos;
use crate::crew::Connection;
use crate::engine::Endpoint;
use crate::load::{End, Schedule, Template};
use crate::record::{self, Plan};
use crate::wire::QoS;

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
    Engine(#[from] crate::engine::Error),
    #[error(
        "{clients} clients to {target} need {clients} local ports, but {sources} has {ports}; give the \
         broker's other addresses with --host, or fewer --clients"
    )]
    Ports { clients: u32, target: Endpoint, sources: &'static str, ports: u32 },
    #[error(
        "{flows} flows (pairs of a publisher and a subscriber it reaches) are more than the {limit} that \
         can be checked: give the topics a field (--topic 'bench/%p') so that not everybody hears everybody"
    )]
    Flows { flows: u64, limit: u64 },
    #[error(transparent)]
    Pin(#[from] crate::cpu::PinError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
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
                reconnect_attempts: if plan.reconnect { 0 } else { 1 },
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

    pub fn qos(&self) -> QoS {
        qos(self.plan.qos)
    }

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

fn qos(level: u8) -> QoS {
    QoS::try_from(level).expect("the plan was checked")
}
