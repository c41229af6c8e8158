//! A run: its plan, its workers, its phases, and the record that comes out of it.
//!
//! The *conductor* (the calling thread) takes the workers through the phases connect, subscribe,
//! warm-up, measure, drain and disconnect, and merges what they measured. Each worker is a thread with
//! rings of its own; nothing is shared between them per message.

mod backlog;
mod comings;
mod conductor;
mod probes;
mod publishers;
mod sequences;
mod shared;
mod subscribers;
#[cfg(test)]
mod tests;
mod trials;
mod worker;

pub use crate::load::run_id;
pub use trials::{Load, Pilot, Single, Trial};

use crate::clock;
use crate::cpu::Subject;
use crate::crew::Connection;
use crate::engine::{self, Endpoint, Waker};
use crate::record::{Plan, Record};
use crate::scrape::Asked;
use crate::stage::{Lines, Progress, Setting, StageError, rings};
use conductor::{Host, Phases};
use shared::Shared;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use worker::Clients;

/// Everything a run needs: the plan, and what must not be in a record.
pub struct Spec {
    pub plan: Plan,
    /// Where the plan's hosts are.
    pub targets: Vec<Endpoint>,
    /// CPUs for the workers.
    pub cpus: Vec<usize>,
    /// The broker's CPUs, when it is the reflector inside this process.
    pub broker_cpus: Vec<usize>,
    /// The CPU of the probes' worker.
    pub probe_cpu: usize,
    /// How the clients connect. What the plan says too is the same there.
    pub connection: Connection,
    /// Who the broker is, as far as somebody said so.
    pub subjects: Vec<Subject>,
    /// What is to be known of it from others.
    pub asked: Asked,
    /// Whether messages are to be retained.
    pub retain: bool,
    /// The command line as typed.
    pub command: Vec<String>,
    /// Why the run is to end early, once somebody has found a reason.
    pub abort: Arc<OnceLock<String>>,
    /// What the reader of the record has to know.
    pub warnings: Vec<String>,
}

/// What keeps a run from starting. Nothing was sent yet.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(
        "{flows} flows (pairs of a publisher and a subscriber it reaches) are more than the {limit} that \
         can be checked: give the topics a field (--topic 'bench/%p') so that not everybody hears everybody"
    )]
    Flows { flows: u64, limit: u64 },
    /// Filters that bring a message never, twice, or to those who are not to have it.
    #[error(
        "--filter: exactly one filter of a subscriber is to match a topic of its group, and none that of another; `{name}` of \
         group {group} is matched by {}",
        if filters.is_empty() { "none".to_owned() } else { filters.join(" and ") }
    )]
    Filter { name: String, group: u32, filters: Vec<String> },
    /// Publishers of two groups with one topic.
    #[error(
        "--clients-file, column `topic`: clients {} and {} publish to `{name}`, but have different subscribers; give each pair \
         a topic of its own, or let everybody hear everybody with --groups 1",
        publishers[0], publishers[1]
    )]
    SharedTopic { name: String, publishers: [u32; 2] },
}

impl Spec {
    /// The run that `plan` describes, on one worker.
    pub fn new(plan: Plan, targets: Vec<Endpoint>) -> Spec {
        let plan = Plan { run_id: format!("{:08x}", run_id(plan.seed)), ..plan };
        Spec {
            connection: Connection {
                keep_alive_s: (plan.keepalive_ns.div_ceil(crate::clock::SECOND)).min(u16::MAX.into()) as u16,
                clean_session: plan.clean_session,
                timeout: plan.connect_timeout_ns,
                rate_per_s: plan.connect_rate_per_s,
                close: plan.close,
                reconnect: plan.reconnect,
                reconnect_attempts: 0,
                ..Connection::default()
            },
            plan,
            targets,
            cpus: crate::cpu::allowed().into_iter().take(1).collect(),
            broker_cpus: Vec::new(),
            probe_cpu: crate::cpu::allowed().into_iter().last().unwrap_or(0),
            subjects: Vec::new(),
            asked: Asked::default(),
            retain: false,
            command: Vec::new(),
            abort: Arc::default(),
            warnings: Vec::new(),
        }
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
    conduct(spec, None, interrupt, observe)
}

/// Runs the loads that `pilot` decides on one after the other, with the connections of `spec`, whose plan has the
/// highest rate that may be asked for. What is answered is of the end: what was measured was given to the pilot.
///
/// # Errors
/// As [`run`].
pub fn run_trials(
    spec: Spec,
    pilot: &mut dyn Pilot,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> Result<Record, RunError> {
    conduct(spec, Some(pilot), interrupt, observe)
}

fn conduct(
    spec: Spec,
    pilot: Option<&mut dyn Pilot>,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> Result<Record, RunError> {
    engine::probe()?;
    let host = Host {
        started_at: std::time::SystemTime::now(),
        machine: crate::cpu::machine(),
        resident: engine::resident_bytes,
    };
    let shared = Arc::new(Shared::new(spec, clock::now())?);
    let seats = shared.everybody();
    engine::reserve(rings(&seats, engine::largest_table()))?;
    let wakers = seats.iter().map(|_| Waker::new()).collect::<Result<_, _>>()?;
    let mut phases = Phases::new(shared.clone(), host, pilot);
    let Spec { plan, targets, subjects, asked, .. } = &shared.spec;
    let (poll, clients, embedded) = (plan.poll, u64::from(plan.clients), plan.embedded);
    let apart = shared.seats.len();
    let transport = shared.spec.connection.transport.clone();
    let epoch = shared.epoch;
    let setting = Setting { poll, epoch, clients, targets, apart, subjects, embedded, asked, transport };
    let common = shared.clone();
    let lines =
        Lines::open(&seats, wakers, &setting, move |desk| Clients::new(common.clone(), desk, clock::now()))?;
    let board = lines.conduct(&mut phases, interrupt, observe);
    Ok(phases.record(board))
}
