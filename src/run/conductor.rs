//! The calling thread's part: phases, merging, progress, the record.

use super::layout::Layout;
use super::link::{Command, ConductorLink, Gauges, Levels, Report, Tally, WorkerLink, WorkerSummary};
use super::worker::{Clients, Shared};
use super::{RunError, Spec};
use crate::client::Limits;
use crate::clock::{self, MILLISECOND, Nanos, SECOND};
use crate::cpu;
use crate::engine::{self, Config, Waker, Worker};
use crate::load::{Body, HandOver, Routes};
use crate::record::{self, Ended, Phase, PhaseTimes, Record, Second};
use crate::stats::{Histogram, Interval};
use crate::units;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The state of a run, for the line that a person watches.
#[derive(Clone, Debug)]
pub struct Progress {
    pub phase: Phase,
    /// Since the start of the run.
    pub elapsed: Nanos,
    pub clients: u32,
    pub second: Second,
    /// Deliveries and acknowledgements missing for good so far: timed out or abandoned.
    pub lost: u64,
    /// Connections lost, refused or timed out and protocol errors so far.
    pub errors: u64,
}

/// How often the conductor looks up when nothing is reported,
const LOOK: Duration = Duration::from_millis(20);
/// and while messages are timed: it shares a CPU with them.
const WATCH: Duration = Duration::from_millis(100);
/// Between the command to publish and the first message, so that all workers have it.
const LEAD: Nanos = 20 * MILLISECOND;
/// Longest drain of a run that was interrupted.
const HURRY: Nanos = SECOND;
/// Longest wait for workers to end.
const FAREWELL: Nanos = 15 * SECOND;
/// Messages of a publisher whose hand-over time is kept for its subscribers: seconds of schedule,
const HAND_OVER_S: f64 = 4.0;
/// in-flight windows of a closed loop, because deliveries may trail acknowledgements,
const HAND_OVER_WINDOWS: f64 = 16.0;
/// and messages where there are neither.
const HAND_OVERS: f64 = 1024.0;

/// Runs `spec` to its end, or until `interrupt` is set. `observe` is called about once a second.
///
/// # Errors
/// Only what keeps the run from starting; whatever happens later is in the record.
pub fn run(
    spec: Spec,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> Result<Record, RunError> {
    engine::probe()?;
    let machine = cpu::machine();
    let memory = engine::resident_bytes();
    let mut conductor = Conductor::start(spec, interrupt, observe)?;
    let ended = conductor.conduct();
    let resident = conductor.resident.saturating_sub(memory);
    Ok(conductor.finish(ended, machine, resident))
}

/// What has been reported of one second, of all phases.
#[derive(Default)]
struct OpenSecond {
    measured: Interval,
    /// Workers that have reported it.
    workers: usize,
}

/// A worker that reports a second later than this is left out of its line, not out of the totals.
const STRAGGLER: Nanos = 3 * SECOND;

/// Why the phases were left early.
enum Stop {
    Interrupted,
    Broker(String),
    Failed,
}

struct Conductor<'a> {
    shared: Arc<Shared>,
    gauges: Arc<[Gauges]>,
    links: Vec<ConductorLink>,
    threads: Vec<JoinHandle<()>>,
    reports: Receiver<(usize, Report)>,
    interrupt: &'a AtomicBool,
    observe: &'a mut dyn FnMut(&Progress),
    epoch: Nanos,
    started_at: std::time::SystemTime,
    /// Everything measured so far that goes into the record.
    measured: Interval,
    /// The seconds that are not over for every worker, the first of them being `series.len()`.
    seconds: VecDeque<OpenSecond>,
    troubles: BTreeMap<String, u64>,
    phases: Vec<PhaseTimes>,
    series: Vec<Second>,
    /// How many workers have ended the phase under way.
    arrived: usize,
    summaries: Vec<Option<WorkerSummary>>,
    /// Resident memory with all clients connected.
    resident: u64,
}

impl<'a> Conductor<'a> {
    fn start(
        spec: Spec,
        interrupt: &'a AtomicBool,
        observe: &'a mut dyn FnMut(&Progress),
    ) -> Result<Conductor<'a>, RunError> {
        let shared = Arc::new(share(spec)?);
        let count = shared.layout.workers.len();
        engine::reserve(count as u32)?;
        let gauges: Arc<[Gauges]> = (0..count).map(|_| Gauges::default()).collect();
        let (reports_to, reports) = mpsc::channel();
        let mut conductor = Conductor {
            links: Vec::new(),
            threads: Vec::new(),
            reports,
            interrupt,
            observe,
            epoch: shared.epoch,
            started_at: std::time::SystemTime::now(),
            measured: Interval::default(),
            seconds: VecDeque::new(),
            troubles: BTreeMap::new(),
            phases: Vec::new(),
            series: Vec::new(),
            arrived: 0,
            summaries: (0..count).map(|_| None).collect(),
            resident: 0,
            shared,
            gauges,
        };
        for worker in 0..count {
            let waker = Waker::new()?;
            let (commands_to, commands) = mpsc::channel();
            conductor.links.push(ConductorLink { commands: commands_to, waker: waker.clone() });
            let link = WorkerLink { commands, reports: reports_to.clone(), worker };
            conductor.spawn(waker, link)?;
        }
        Ok(conductor)
    }

    fn spawn(&mut self, waker: Waker, link: WorkerLink) -> Result<(), RunError> {
        let (shared, gauges) = (self.shared.clone(), self.gauges.clone());
        let thread = thread::Builder::new().name(format!("worker-{}", link.worker)).spawn(move || {
            let layout = &shared.layout.workers[link.worker];
            // The CPU was in the process's own list; should it have gone, the run is slower, not wrong.
            let _ = cpu::pin(layout.cpu);
            let config = Config::new(layout.clients.len().max(1) as u32, waker);
            let worker = Worker::new(config);
            Clients::new(shared, gauges, link).run(worker);
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Takes the workers through all phases.
    fn conduct(&mut self) -> Result<(), Stop> {
        let result = self.load();
        if matches!(result, Err(Stop::Failed)) {
            // Somebody is gone: the rest has nothing to wait for.
            self.close_phase();
        }
        self.begin(Phase::Disconnect);
        self.command(|| Command::Disconnect);
        let until = clock::now() + FAREWELL;
        let ended = |conductor: &Self| conductor.threads.iter().all(JoinHandle::is_finished);
        while !ended(self) && clock::now() < until {
            self.look(LOOK);
        }
        self.close_phase();
        result
    }

    fn load(&mut self) -> Result<(), Stop> {
        self.begin(Phase::Connect);
        self.command(|| Command::Connect);
        self.await_all(None)?;
        self.resident = engine::resident_bytes();
        self.need_connections()?;
        self.begin(Phase::Subscribe);
        self.command(|| Command::Subscribe);
        self.await_all(None)?;
        self.publish()
    }

    fn publish(&mut self) -> Result<(), Stop> {
        let start = clock::now() + LEAD;
        let (opens, closes) = self.shared.window;
        if opens > 0 {
            self.begin(Phase::WarmUp);
        }
        self.command(|| Command::Publish { start });
        self.await_time(start + opens)?;
        self.begin_at(Phase::Measure, start + opens);
        let result = match closes {
            Nanos::MAX => self.await_count(),
            _ => self.await_time(start + closes).and_then(|()| self.await_all(None)),
        };
        let patience = match result {
            Ok(()) => self.shared.spec.plan.drain_ns,
            Err(Stop::Interrupted) => self.shared.spec.plan.drain_ns.min(HURRY),
            Err(_) => return result,
        };
        // Workers may have needed a moment to hear of the end, but the window was what it was.
        self.begin_at(Phase::Drain, (start + closes.min(SECOND << 32)).min(clock::now()));
        self.command(|| Command::Drain);
        self.await_drained(patience, result.is_err()).and(result)
    }

    fn begin(&mut self, phase: Phase) {
        self.begin_at(phase, clock::now());
    }

    fn begin_at(&mut self, phase: Phase, time: Nanos) {
        let start_ns = time - self.epoch;
        self.close_phase_at(time);
        self.phases.push(PhaseTimes { phase, start_ns, end_ns: start_ns });
    }

    fn close_phase(&mut self) {
        self.close_phase_at(clock::now());
    }

    fn close_phase_at(&mut self, time: Nanos) {
        if let Some(phase) = self.phases.last_mut() {
            phase.end_ns = time - self.epoch;
        }
    }

    /// The phase at this time since the start of the run.
    fn phase_at(&self, time_ns: Nanos) -> Phase {
        let begun = self.phases.iter().rfind(|times| times.start_ns <= time_ns);
        begun.map_or(Phase::Connect, |times| times.phase)
    }

    fn phase(&self) -> Phase {
        self.phases.last().map_or(Phase::Connect, |times| times.phase)
    }

    /// Gives `command` to all workers, to be reported by each when it is done.
    fn command(&mut self, command: impl Fn() -> Command) {
        self.arrived = 0;
        self.links.iter().for_each(|link| link.command(command()));
    }

    /// Waits until every worker has reported the end of the phase.
    fn await_all(&mut self, until: Option<Nanos>) -> Result<(), Stop> {
        while self.arrived < self.links.len() && until.is_none_or(|until| clock::now() < until) {
            self.look(LOOK);
            self.check()?;
        }
        Ok(())
    }

    /// Waits until the last message of a count came due. In a closed loop the answers decide when, and there
    /// may be nobody left to give them.
    fn await_count(&mut self) -> Result<(), Stop> {
        let plan = &self.shared.spec.plan;
        let closed = matches!(plan.schedule, record::Schedule::Closed { .. });
        // After one of these, a message that was not acknowledged or a connection that was lost has made
        // room for another one.
        let patience = plan.connect_timeout_ns + 2 * plan.ack_timeout_ns;
        let (mut sent, mut since) = (0, clock::now());
        while self.arrived < self.links.len() {
            self.look(WATCH);
            self.check()?;
            let before = std::mem::replace(&mut sent, self.levels().sent);
            if sent != before || !closed {
                since = clock::now();
            } else if clock::now() - since > patience {
                let patience = units::latency(patience);
                return Err(Stop::Broker(format!("nothing could be sent any more for {patience}")));
            }
        }
        Ok(())
    }

    fn await_time(&mut self, until: Nanos) -> Result<(), Stop> {
        loop {
            match until.saturating_sub(clock::now()) {
                0 => return Ok(()),
                left => self.look(WATCH.min(Duration::from_nanos(left))),
            }
            self.check()?;
        }
    }

    /// Waits until everything under way has arrived, at most `patience`.
    fn await_drained(&mut self, patience: Nanos, interrupted: bool) -> Result<(), Stop> {
        let until = clock::now() + patience;
        while clock::now() < until {
            self.look(LOOK);
            if !interrupted {
                self.check()?;
            }
            let levels = self.levels();
            let heard = levels.draining == self.links.len() as u64;
            if heard && levels.outstanding == 0 && levels.delivered >= levels.expected {
                return Ok(());
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Stop> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(Stop::Interrupted);
        }
        if self.summaries.iter().any(Option::is_some) || self.threads.iter().any(JoinHandle::is_finished) {
            return Err(Stop::Failed);
        }
        let all_lost =
            matches!(self.phase(), Phase::Subscribe | Phase::WarmUp | Phase::Measure | Phase::Drain)
                && !self.shared.spec.plan.reconnect
                && self.levels().connected == 0
                && self.arrived < self.links.len();
        if all_lost {
            return Err(Stop::Broker("every connection was lost, and --reconnect is off".into()));
        }
        Ok(())
    }

    /// At least one client must have connected.
    fn need_connections(&self) -> Result<(), Stop> {
        match self.levels().established {
            0 => Err(Stop::Broker("no client could connect".into())),
            _ => Ok(()),
        }
    }

    fn levels(&self) -> Levels {
        let mut levels = Levels::default();
        self.gauges.iter().for_each(|gauges| gauges.add_to(&mut levels));
        levels
    }

    /// Hears one report, or nothing for a while; notes the second when it is over.
    fn look(&mut self, patience: Duration) {
        match self.reports.recv_timeout(patience) {
            Ok((worker, report)) => self.hear(worker, report),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
        }
        while self.second_is_over() {
            self.end_second();
        }
    }

    /// Whether every worker has reported the oldest open second, or will not.
    fn second_is_over(&self) -> bool {
        let running = self.summaries.iter().filter(|summary| summary.is_none()).count();
        let end = self.epoch + SECOND * (self.series.len() as u64 + 1);
        match self.seconds.front() {
            Some(second) if second.workers >= running => clock::now() >= end,
            _ => clock::now() >= end + STRAGGLER,
        }
    }

    fn drain_reports(&mut self) {
        while let Ok((worker, report)) = self.reports.try_recv() {
            self.hear(worker, report);
        }
    }

    fn hear(&mut self, worker: usize, report: Report) {
        match report {
            Report::Connected | Report::Subscribed | Report::Scheduled => self.arrived += 1,
            Report::Tally(tally) => self.merge(worker, tally),
            Report::Ended(summary) => self.summaries[worker] = Some(*summary),
        }
    }

    fn merge(&mut self, worker: usize, mut tally: Box<Tally>) {
        self.measured.merge(&tally.measured);
        let at = (tally.second as usize).saturating_sub(self.series.len());
        while self.seconds.len() <= at {
            self.seconds.push_back(OpenSecond::default());
        }
        let second = &mut self.seconds[at];
        second.workers += 1;
        second.measured.merge(&tally.measured);
        second.measured.merge(&tally.unmeasured);
        for (trouble, count) in tally.troubles.drain(..) {
            *self.troubles.entry(trouble).or_default() += count;
        }
        self.links[worker].command_quietly(Command::Recycle(tally));
    }

    fn end_second(&mut self) {
        // The last one ends with the run.
        let time_ns = (SECOND * (self.series.len() as u64 + 1)).min(clock::now() - self.epoch);
        let OpenSecond { measured, .. } = self.seconds.pop_front().unwrap_or_default();
        let counters = measured.counters;
        let quantile = |histogram: &Histogram, q| histogram.supported_quantile(q);
        let histograms = &measured.histograms;
        let second = Second {
            phase: self.phase_at(time_ns),
            time_ns,
            connected: self.levels().connected,
            offered: counters.due,
            sent: counters.sent,
            acked: counters.acked,
            delivered: counters.delivered,
            shed: counters.shed,
            connections_lost: counters.connections_lost,
            ack_p50_ns: quantile(&histograms.ack_response, 0.5),
            ack_p99_ns: quantile(&histograms.ack_response, 0.99),
            flight_p50_ns: quantile(&histograms.flight_response, 0.5),
            flight_p99_ns: quantile(&histograms.flight_response, 0.99),
        };
        let total = &self.measured.counters;
        (self.observe)(&Progress {
            phase: second.phase,
            elapsed: time_ns,
            clients: self.shared.spec.plan.clients,
            lost: total.ack_timeouts + total.unacked_at_end,
            errors: total.connections_lost
                + total.refused_tcp
                + total.refused_by_connack()
                + total.connect_timeouts
                + total.protocol_errors,
            second: second.clone(),
        });
        self.series.push(second);
    }

    fn finish(mut self, result: Result<(), Stop>, machine: cpu::Machine, resident: u64) -> Record {
        let mut failed: Vec<String> = Vec::new();
        for (worker, thread) in std::mem::take(&mut self.threads).into_iter().enumerate() {
            if self.summaries[worker].is_none() && !thread.is_finished() {
                failed.push(format!("worker {worker} did not end within {}", FAREWELL / SECOND));
            } else if thread.join().is_err() {
                failed.push(format!("worker {worker} panicked"));
            }
        }
        self.drain_reports();
        while !self.seconds.is_empty() {
            self.end_second();
        }
        let failures = self.summaries.iter().flatten().filter_map(|summary| summary.failure.as_ref());
        // All but one of the engine's errors are about what the machine lets it have.
        let (faults, limits): (Vec<_>, Vec<_>) =
            failures.partition(|failure| matches!(failure, engine::Error::Enter { .. }));
        failed.extend(faults.into_iter().map(ToString::to_string));
        let limit = limits.first().map(ToString::to_string);
        let (ended, reason) = match (failed.first(), result) {
            (Some(failure), _) => (Ended::Internal, Some(failure.clone())),
            (None, _) if limit.is_some() => (Ended::Environment, limit),
            (None, Ok(())) => (Ended::Completed, None),
            (None, Err(Stop::Interrupted)) => (Ended::Interrupted, Some("interrupted".into())),
            (None, Err(Stop::Broker(reason))) => (Ended::Broker, Some(self.explain(reason))),
            (None, Err(Stop::Failed)) => (Ended::Internal, Some("a worker ended early".into())),
        };
        self.record(ended, reason, machine, resident)
    }

    /// `reason`, with what the workers saw.
    fn explain(&self, reason: String) -> String {
        let troubles = self.troubles();
        if troubles.is_empty() { reason } else { format!("{reason}: {}", troubles.join("; ")) }
    }

    fn troubles(&self) -> Vec<String> {
        let mut troubles: Vec<_> = self.troubles.iter().collect();
        troubles.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let word = |(trouble, count): (&String, &u64)| match count {
            1 => trouble.clone(),
            _ => format!("{trouble} ({count} times)"),
        };
        troubles.into_iter().take(5).map(word).collect()
    }

    fn record(
        self,
        ended: Ended,
        partial_reason: Option<String>,
        machine: cpu::Machine,
        resident: u64,
    ) -> Record {
        let troubles = self.troubles();
        let spec = &self.shared.spec;
        let mut counts = self.measured.counters;
        counts.lost = counts.expected.saturating_sub(counts.delivered);
        let mut warnings = spec.warnings.clone();
        warnings.extend(troubles);
        let summaries = || self.summaries.iter().flatten();
        let workers = summaries().zip(&self.shared.layout.workers).map(|(summary, layout)| record::Worker {
            cpu: layout.cpu,
            busy_share: summary.usage.cpu_ns() as f64 / summary.span.max(1) as f64,
        });
        let mut record = Record {
            schema: record::SCHEMA.into(),
            started_at: humantime::format_rfc3339_seconds(self.started_at).to_string(),
            command: spec.command.clone(),
            plan: record::Plan { workers: self.links.len() as u32, ..spec.plan.clone() },
            versions: record::Versions::current(),
            machine,
            broker: record::Broker {
                addresses: spec.targets.iter().map(ToString::to_string).collect(),
                embedded: spec.plan.embedded,
                cpus: spec.broker_cpus.clone(),
                connections_refused: None,
            },
            verdict: record::Verdict::Unknown,
            verdict_reasons: Vec::new(),
            exit_code: 0,
            exit_reason: String::new(),
            partial: ended != Ended::Completed,
            partial_reason,
            ended,
            warnings,
            phases: self.phases.clone(),
            counts,
            throughput: summaries().fold(record::Throughput::default(), |sum, summary| record::Throughput {
                sent: sum.sent + summary.throughput.sent,
                acked: sum.acked + summary.throughput.acked,
                delivered: sum.delivered + summary.throughput.delivered,
            }),
            latencies: (&self.measured.histograms).into(),
            generator: record::Generator {
                workers: workers.collect(),
                user_cpu_ns: summaries().map(|summary| summary.usage.user_ns).sum(),
                system_cpu_ns: summaries().map(|summary| summary.usage.system_ns).sum(),
                bytes_per_client: (resident > 0).then(|| resident / u64::from(spec.plan.clients)),
                code_ns: summaries().map(|summary| summary.code).sum(),
                enters: summaries().map(|summary| summary.enters).sum(),
                ..record::Generator::default()
            },
            series: self.series.clone(),
            bounds: Vec::new(),
        };
        record.conclude();
        record
    }
}

fn share(mut spec: Spec) -> Result<Shared, RunError> {
    let plan = &spec.plan;
    let split = crate::load::Split {
        publishers: plan.publishers,
        subscribers: plan.subscribers,
        idle: plan.clients - plan.publishers - plan.subscribers,
    };
    let routes = Routes::new(split, &spec.topic);
    let table = engine::descriptor_limit().min(1 << 20) as u32;
    let layout = Layout::new(&spec, &routes, table)?;
    if spec.tolerance_is_per_ring {
        spec.plan.tolerance_ns *= layout.rings_per_core();
    }
    let plan = &spec.plan;
    let size = plan.size_bytes as usize;
    Ok(Shared {
        run_id: spec.run_id(),
        epoch: clock::now(),
        body: Body::new(size.max(crate::load::STAMP_LEN), plan.seed),
        limits: Limits {
            inflight: match plan.schedule {
                record::Schedule::Closed { inflight } | record::Schedule::Open { inflight, .. } => {
                    inflight.min(u16::MAX.into()) as u16
                }
                record::Schedule::None => u16::MAX,
            },
            // Clients are looked at every quarter of the keepalive: the ping must not wait for the look
            // after.
            keep_alive: plan.keepalive_ns / 4 * 3,
            clean_session: plan.clean_session,
        },
        hand_over: HandOver::new(
            if plan.subscribers > 0 { plan.publishers } else { 0 },
            match plan.schedule {
                record::Schedule::Closed { .. } if plan.qos == 0 => HAND_OVERS,
                record::Schedule::Closed { inflight } => f64::from(inflight) * HAND_OVER_WINDOWS,
                _ => spec.rate_per_publisher().unwrap_or(0.0) * HAND_OVER_S,
            },
        ),
        granted: (0..routes.groups()).map(|_| AtomicU32::new(0)).collect(),
        window: spec.window(),
        max_packet: (1 << 20).max(2 * size + (1 << 16)),
        routes,
        layout,
        spec,
    })
}
