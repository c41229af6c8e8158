//! The calling thread's part: workers, progress, merging, the record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::crew::Crew;
use super::listener::Listener;
use super::shared::{Ending, Levels, Shared, Tally};
use super::{Expect, FleetError, Progress, Spec};
use crate::client::Limits;
use crate::clock::{self, MILLISECOND, Nanos, SECOND};
use crate::cpu;
use crate::engine::{self, Config, Waker, Worker};
use crate::record::{self, Ended, FLEET_SCHEMA, FleetRecord, FleetSecond};
use crate::stats::{Histogram, Interval};

/// How often the conductor looks up when nothing is reported.
const LOOK: Duration = Duration::from_millis(100);
/// A worker that reports a second later than this is left out of its line, not out of the totals.
const STRAGGLER: Nanos = 200 * MILLISECOND;
/// Longest wait for workers after an interrupt.
const FAREWELL: Nanos = 10 * SECOND;

/// Runs `spec` to its end, or until `interrupt` is set. `observe` is called about once a second.
///
/// # Errors
/// Only what keeps it from starting; whatever happens later is in the record.
pub fn run(
    spec: Spec,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> Result<FleetRecord, FleetError> {
    engine::probe()?;
    let mut conductor = Conductor::start(spec)?;
    conductor.conduct(interrupt, observe);
    Ok(conductor.finish(interrupt.load(Ordering::Relaxed)))
}

struct Conductor {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Ending>>,
    cpus: Vec<usize>,
    tallies: Receiver<(usize, Box<Tally>)>,
    started_at: std::time::SystemTime,
    measured: Interval,
    round_trip: Histogram,
    levels: Vec<Levels>,
    /// The seconds that are not shown yet, the first of them being `series.len()`.
    open: VecDeque<Interval>,
    series: Vec<FleetSecond>,
    troubles: BTreeMap<String, u64>,
}

impl Conductor {
    fn start(spec: Spec) -> Result<Conductor, FleetError> {
        let clients = spec
            .publishing
            .as_ref()
            .map_or(0, |publishing| publishing.clients.len() + publishing.responders as usize)
            + spec.listening.len();
        let table = engine::descriptor_limit().min(1 << 20) as usize;
        // Where the limit on open files caps a ring, more rings share a core.
        let workers = spec.cpus.len().min(clients).max(clients.div_ceil(table)).max(1);
        engine::reserve(workers as u32)?;
        let cpus: Vec<usize> = spec.cpus.iter().copied().cycle().take(workers).collect();
        let wakers = (0..workers).map(|_| Waker::new()).collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(share(spec, wakers));
        let (tallies_to, tallies) = mpsc::channel();
        let mut threads = Vec::new();
        for (worker, &cpu) in cpus.iter().enumerate() {
            let (shared, tallies) = (shared.clone(), tallies_to.clone());
            let thread = thread::Builder::new().name(format!("worker-{worker}")).spawn(move || {
                let _alarm = OnPanic(shared.clone());
                // The CPU was in the process's own list; should it have gone, the run is slower, not wrong.
                let _ = cpu::pin(cpu);
                let connections = clients.div_ceil(shared.wakers.len()).max(1) as u32;
                let engine = Worker::new(Config::new(connections, shared.wakers[worker].clone()));
                Crew::new(shared, worker, tallies).run(engine)
            })?;
            threads.push(thread);
        }
        Ok(Conductor {
            levels: vec![Levels::default(); workers],
            shared,
            threads,
            cpus,
            tallies,
            started_at: std::time::SystemTime::now(),
            measured: Interval::default(),
            round_trip: Histogram::default(),
            open: VecDeque::new(),
            series: Vec::new(),
            troubles: BTreeMap::new(),
        })
    }

    fn conduct(&mut self, interrupt: &AtomicBool, observe: &mut dyn FnMut(&Progress)) {
        let mut until = Nanos::MAX;
        while !self.threads.iter().all(JoinHandle::is_finished) && clock::now() < until {
            match self.tallies.recv_timeout(LOOK) {
                Ok((worker, tally)) => self.merge(worker, *tally),
                Err(RecvTimeoutError::Timeout) => {}
                // All have shipped their last tally, and end.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(1)),
            }
            if interrupt.load(Ordering::Relaxed) && until == Nanos::MAX {
                self.shared.stop();
                until = clock::now() + FAREWELL;
            }
            while clock::now() >= self.shared.epoch + SECOND * (self.series.len() as u64 + 1) + STRAGGLER {
                self.end_second(observe);
            }
        }
    }

    fn merge(&mut self, worker: usize, tally: Tally) {
        self.measured.merge(&tally.measured);
        self.round_trip.merge(&tally.round_trip);
        self.levels[worker] = tally.levels;
        let at = (tally.second as usize).saturating_sub(self.series.len());
        while self.open.len() <= at {
            self.open.push_back(Interval::default());
        }
        self.open[at].merge(&tally.measured);
        for (trouble, count) in tally.troubles {
            *self.troubles.entry(trouble).or_default() += count;
        }
    }

    fn end_second(&mut self, observe: &mut dyn FnMut(&Progress)) {
        let Interval { counters, histograms, .. } = self.open.pop_front().unwrap_or_default();
        let sum = |level: fn(&Levels) -> u64| self.levels.iter().map(level).sum();
        let some =
            |level: fn(&Levels) -> Option<u64>| self.levels.iter().filter_map(level).reduce(|a, b| a + b);
        let time_ns = SECOND * (self.series.len() as u64 + 1);
        let second = FleetSecond {
            time_ns: time_ns.min(clock::now() - self.shared.epoch),
            connected: sum(|levels| levels.connected),
            done: sum(|levels| levels.done),
            sent: counters.sent,
            acked: counters.acked,
            received: counters.delivered + counters.duplicated + counters.foreign,
            errors: errors(&counters),
            ack_p50_ns: histograms.ack_service.supported_quantile(0.5),
            ack_p99_ns: histograms.ack_service.supported_quantile(0.99),
            flight_p50_ns: histograms.flight_service.supported_quantile(0.5),
            flight_p99_ns: histograms.flight_service.supported_quantile(0.99),
        };
        let total = &self.measured.counters;
        observe(&Progress {
            elapsed: second.time_ns,
            clients: self.shared.clients().into(),
            second,
            pending: self.shared.listeners_pending.load(Ordering::Relaxed),
            sent: total.sent,
            acked: total.acked,
            received: total.delivered + total.duplicated + total.foreign,
            failed: sum(|levels| levels.failed),
            missing: some(|levels| levels.missing),
            dropped: some(|levels| levels.dropped),
            stored: some(|levels| levels.stored),
        });
        self.series.push(second);
    }

    fn finish(mut self, interrupted: bool) -> FleetRecord {
        let elapsed_ns = clock::now() - self.shared.epoch;
        let mut failed = None;
        let mut endings = Vec::new();
        for (worker, thread) in std::mem::take(&mut self.threads).into_iter().enumerate() {
            if !thread.is_finished() {
                failed = Some(format!("worker {worker} did not end within {} s", FAREWELL / SECOND));
            } else {
                match thread.join() {
                    Ok(ending) => endings.push((self.cpus[worker], ending)),
                    Err(_) => failed = Some(format!("worker {worker} panicked")),
                }
            }
        }
        while let Ok((worker, tally)) = self.tallies.try_recv() {
            self.merge(worker, *tally);
        }
        while !self.open.is_empty() {
            self.end_second(&mut |_| ());
        }
        let engine_failure = endings.iter().find_map(|(_, ending)| ending.failure.as_ref());
        let (ended, partial_reason) = match (failed, engine_failure, self.shared.fault.get()) {
            (Some(reason), ..) => (Ended::Internal, Some(reason)),
            (_, Some(failure), _) if matches!(failure, engine::Error::Enter { .. }) => {
                (Ended::Internal, Some(failure.to_string()))
            }
            (_, Some(failure), _) => (Ended::Environment, Some(failure.to_string())),
            (_, _, Some((end, reason))) => (*end, Some(reason.clone())),
            _ if interrupted => (Ended::Interrupted, Some("interrupted".into())),
            _ => (Ended::Completed, None),
        };
        self.record(ended, partial_reason, elapsed_ns, endings)
    }

    fn record(
        self,
        ended: Ended,
        partial_reason: Option<String>,
        elapsed_ns: Nanos,
        endings: Vec<(usize, Ending)>,
    ) -> FleetRecord {
        let spec = &self.shared.spec;
        let sum = |figure: fn(&Ending) -> u64| endings.iter().map(|(_, ending)| figure(ending)).sum::<u64>();
        let generator = record::Generator {
            workers: endings
                .iter()
                .map(|(cpu, ending)| record::Worker {
                    cpu: *cpu,
                    // Usage is counted in coarser steps than a run of a moment is long.
                    busy_share: (ending.usage.cpu_ns() as f64 / ending.span.max(1) as f64).min(1.0),
                })
                .collect(),
            user_cpu_ns: sum(|ending| ending.usage.user_ns),
            system_cpu_ns: sum(|ending| ending.usage.system_ns),
            code_ns: sum(|ending| ending.code),
            bytes_per_client: None,
            enters: sum(|ending| ending.enters),
            ..record::Generator::default()
        };
        let (mut publishers, mut listeners) = (Vec::new(), Vec::new());
        for (_, ending) in endings {
            publishers.extend(ending.publishers);
            listeners.extend(ending.listeners);
        }
        publishers.sort_by_key(|(number, _)| *number);
        let names = spec.publishing.iter().flat_map(|publishing| &publishing.clients);
        let names: Vec<&str> = names.map(|name| name.topic_id.as_str()).collect();
        let sent: BTreeMap<&str, u64> =
            publishers.iter().map(|(number, publisher)| (names[*number as usize], publisher.sent)).collect();
        let mut listeners: Vec<_> =
            listeners.into_iter().map(|listener: Listener| listener.finish(&self.shared, &sent)).collect();
        listeners.sort_by_key(|(number, _)| *number);
        let mut warnings = spec.warnings.clone();
        warnings.extend(self.troubles.iter().take(8).map(|(trouble, count)| match count {
            1 => trouble.clone(),
            _ => format!("{trouble} ({count} times)"),
        }));
        let mut record = FleetRecord {
            schema: FLEET_SCHEMA.into(),
            started_at: humantime::format_rfc3339_seconds(self.started_at).to_string(),
            command: spec.command.clone(),
            seed: spec.seed.to_string(),
            versions: record::Versions::current(),
            machine: cpu::machine(),
            broker: record::Broker {
                addresses: spec.targets.iter().map(ToString::to_string).collect(),
                ..record::Broker::default()
            },
            qos: spec
                .publishing
                .as_ref()
                .map(|publishing| publishing.qos)
                .or(spec.listening.first().map(|listening| listening.qos))
                .map_or(0, |qos| qos as u8),
            tolerance_ns: spec.publishing.as_ref().map_or(0, |publishing| publishing.tolerance),
            closed_loop: spec
                .publishing
                .as_ref()
                .is_some_and(|publishing| publishing.pacing.pace == crate::load::Pace::Unlimited),
            verdict: record::Verdict::Unknown,
            verdict_reasons: vec![],
            ended,
            partial_reason,
            exit_code: 0,
            exit_reason: String::new(),
            warnings,
            elapsed_ns,
            counts: self.measured.counters,
            latencies: (&self.measured.histograms).into(),
            round_trip: (&self.round_trip).into(),
            generator,
            publishers: publishers.into_iter().map(|(_, publisher)| publisher).collect(),
            listeners: listeners.into_iter().map(|(_, listener)| listener).collect(),
            series: self.series,
            bounds: Vec::new(),
        };
        record.conclude();
        record
    }
}

/// Ends the others when a worker panics: they would wait for its clients for ever.
struct OnPanic(Arc<Shared>);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(Ended::Internal, "a worker panicked".into());
        }
    }
}

fn errors(counters: &crate::stats::Counters) -> u64 {
    counters.connections_lost
        + counters.refused_tcp
        + counters.refused_by_connack()
        + counters.connect_timeouts
}

fn share(spec: Spec, wakers: Vec<Waker>) -> Shared {
    // Clients are looked at three times in a keepalive: the ping must not wait for the look after.
    let keep_alive = Nanos::from(spec.connection.keep_alive_s) * SECOND / 4 * 3;
    let limits = |inflight, clean_session| Limits { inflight, keep_alive, clean_session };
    let clean = spec.connection.clean_session;
    let publishing = spec.publishing.as_ref();
    let largest = publishing.map_or(0, |publishing| publishing.content.largest());
    let publishers = publishing.map_or(0, |publishing| publishing.clients.len() as u64);
    let responders = publishing.map_or(0, |publishing| publishing.responders);
    let checks_itself = spec.listening.iter().any(|listening| listening.expect == Expect::Published);
    let names = publishing.filter(|_| checks_itself).into_iter().flat_map(|publishing| &publishing.clients);
    Shared {
        own: names.map(|name| name.topic_id.clone()).collect(),
        epoch: clock::now(),
        run_id: crate::load::run_id(spec.seed),
        publisher_limits: limits(publishing.map_or(1, |publishing| publishing.inflight), clean),
        other_limits: limits(u16::MAX, clean),
        max_packet: (64 << 20).max(2 * largest + (1 << 16)),
        publishers_left: AtomicU64::new(publishers),
        listeners_pending: AtomicU64::new(u64::from(responders) + spec.listening.len() as u64),
        published: AtomicU64::new(0),
        stopping: AtomicBool::new(false),
        dropped: AtomicBool::new(false),
        fault: std::sync::OnceLock::new(),
        wakers,
        spec,
    }
}
