//! The phases of a run, and the record that comes out of it.

use super::shared::Shared;
use super::trials::{Growth, Load, Overrun, Pilot, Segment, Trial};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::crew::{self, Effort, generator};
use crate::record::{
    self, BrokerMetrics, Counters, Ended, Machine, Phase, PhaseTimes, Probes, Record, Second,
};
use crate::stage::{Board, Conductor, Cue, Progress, View};
use crate::stats::Strain;
use crate::units;
use std::sync::Arc;
use std::time::SystemTime;

/// What workers are told, in this order. They report when each but draining and
/// disconnecting is done.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Command {
    /// Connect all clients: each is connected or has failed to.
    Connect,
    /// Subscribe: every SUBSCRIBE is answered or given up.
    Subscribe,
    /// Publish: the last message of the schedule came due.
    Publish(Segment),
    /// Nothing more will be due; send what is in the backlog and wait, until then at most.
    Drain { until: Nanos },
    /// Report what was measured: another load may follow.
    Close,
    /// Disconnect everybody and end.
    Disconnect,
}

/// How often the conductor looks up when nothing is reported,
const LOOK: Nanos = 20 * MILLISECOND;
/// and while messages are timed: it shares a CPU with them.
const WATCH: Nanos = 100 * MILLISECOND;
/// Between the command to publish and the first message, so that all workers have it.
const LEAD: Nanos = 20 * MILLISECOND;
/// Longest drain of a run that was interrupted or aborted.
const HURRY: Nanos = SECOND;

/// What a record tells beside the run.
pub struct Host {
    /// Wall-clock time of the start.
    pub started_at: SystemTime,
    /// The machine of the generator.
    pub machine: Machine,
    /// Tells the resident memory of the process.
    pub resident: fn() -> u64,
}

/// Takes workers through the phases.
pub struct Phases<'p> {
    shared: Arc<Shared>,
    host: Host,
    /// Decides on loads, where there are several,
    pilot: Option<&'p mut dyn Pilot>,
    /// of which this is the one under way, or the last,
    segment: Segment,
    /// whose phases and seconds are these and those that follow,
    from: (usize, usize),
    /// before which so many deliveries were still to come,
    owing: u64,
    /// and this is how it does:
    growth: Growth,
    overrun: Overrun,
    /// it was ended early, with so much done a second.
    overrun_per_s: Option<f64>,
    /// What workers were told last.
    told: Option<Command>,
    /// Messages that came due, and since when there were no more: in a closed loop with a count the answers decide
    /// when it ends, and there may be nobody left to give them.
    due: (u64, Nanos),
    /// Acknowledgements and deliveries, and when the last of them came: a drain goes on as long as some do.
    heard: (u64, Nanos),
    /// Whether everything had come when the last drain ended.
    drained: bool,
    /// Why the phases were left early.
    stopped: Option<(Ended, String)>,
    phases: Vec<PhaseTimes>,
    series: Vec<Second>,
    /// What came of the last, until it is told.
    closed: Option<Trial>,
    /// What counts of those whose loads are over: connections and subscriptions.
    before: Counters,
    /// Resident memory of the process, with nobody and with all clients connected.
    memory: (u64, u64),
}

impl<'p> Phases<'p> {
    /// Of a run that has not begun; `pilot` decides on its loads, unless the plan does.
    pub fn new(shared: Arc<Shared>, host: Host, pilot: Option<&'p mut dyn Pilot>) -> Phases<'p> {
        let memory = ((host.resident)(), 0);
        Phases {
            shared,
            host,
            pilot,
            segment: Segment { start: 0, opens: 0, closes: 0, rate_per_s: None },
            from: (0, 0),
            owing: 0,
            growth: Growth::default(),
            overrun: Overrun::default(),
            overrun_per_s: None,
            told: None,
            due: (u64::MAX, 0),
            heard: (0, 0),
            drained: false,
            stopped: None,
            phases: Vec::new(),
            series: Vec::new(),
            closed: None,
            before: Counters::default(),
            memory,
        }
    }

    fn begin(&mut self, phase: Phase, time: Nanos) {
        let start_ns = time - self.shared.epoch;
        self.close(time);
        self.phases.push(PhaseTimes { phase, start_ns, end_ns: start_ns });
    }

    /// The phase under way ends.
    fn close(&mut self, time: Nanos) {
        if let Some(phase) = self.phases.last_mut() {
            phase.end_ns = time - self.shared.epoch;
        }
    }

    /// The phase at this time since the start of the run.
    fn phase_at(&self, time_ns: Nanos) -> Phase {
        let begun = self.phases.iter().rfind(|times| times.start_ns <= time_ns);
        begun.map_or(Phase::Connect, |times| times.phase)
    }

    /// Whether the second that ends at this time since the start of the run is no whole one of its phase.
    fn is_part(&self, time_ns: Nanos) -> bool {
        let start = (time_ns.max(1) - 1) / SECOND * SECOND;
        let begins = |times: &PhaseTimes| (start + 1..time_ns).contains(&times.start_ns);
        !time_ns.is_multiple_of(SECOND) || self.phases.iter().any(begins)
    }

    /// How long `phase` still lasts at most at `now`, where that is known.
    fn left(&self, phase: Phase, now: Nanos) -> Option<Nanos> {
        let end = match (phase, self.told?) {
            (Phase::WarmUp, Command::Publish(segment)) => segment.opens,
            (Phase::Measure, Command::Publish(segment)) if segment.closes < Nanos::MAX => segment.closes,
            (Phase::Drain, Command::Drain { until }) => {
                until.min(self.heard.1 + self.shared.spec.plan.drain_ns)
            }
            _ => return None,
        };
        Some(end.saturating_sub(now))
    }

    fn is_measuring(&self) -> bool {
        self.phases.last().is_some_and(|times| times.phase == Phase::Measure)
    }

    /// A phase begins at `time`, with a command.
    fn enter(&mut self, phase: Phase, time: Nanos, command: Command) -> Cue<Command> {
        self.begin(phase, time);
        self.told = Some(command);
        Cue::Tell(command)
    }

    /// Why the phases are to be left early, if they are.
    fn look_out(&self, view: &View) -> Option<(Ended, String)> {
        if matches!(self.told, None | Some(Command::Disconnect)) {
            return None;
        }
        if view.interrupted && self.stopped.is_none() {
            return Some((Ended::Interrupted, "interrupted".into()));
        }
        if let Some(reason) = self.shared.spec.abort.get().filter(|_| self.is_measuring()) {
            return Some((Ended::Aborted, reason.clone()));
        }
        if view.running < view.workers {
            return Some((Ended::Internal, "a worker ended early".into()));
        }
        let all_lost = self.told != Some(Command::Connect)
            && !self.shared.spec.connection.reconnect
            && view.levels.connected == 0
            && !view.arrived;
        all_lost.then_some((Ended::Broker, "every connection was lost, and --reconnect is off".into()))
    }

    fn stop(&mut self, now: Nanos, ended: Ended, reason: String) -> Cue<Command> {
        // What has ended it first has ended it.
        self.stopped.get_or_insert((ended, reason));
        if matches!(ended, Ended::Interrupted | Ended::Aborted) && self.is_measuring() {
            let until = now + self.shared.spec.plan.drain_ns.min(HURRY);
            self.heard = (0, now);
            return self.enter(Phase::Drain, now, Command::Drain { until });
        }
        self.enter(Phase::Disconnect, now, Command::Disconnect)
    }

    /// The first load, or the one after what came of the last; the end, where there is none.
    fn publish(&mut self, now: Nanos, view: &View, last: Option<Trial>) -> Cue<Command> {
        let (start, window) = (now + LEAD, self.shared.window);
        let nobody = last.is_some() && view.levels.connected == 0;
        let load = match &mut self.pilot {
            None => (window.0, start.saturating_add(window.1), None),
            Some(pilot) => match pilot.next(last) {
                Some(_) if nobody => {
                    let rate = units::rate(self.segment.rate_per_s.unwrap_or(0.0));
                    let reason =
                        format!("after {rate} no client was connected any more, nor could one connect");
                    return self.stop(now, Ended::Broker, reason);
                }
                Some(Load { offered, settle, span }) => (settle, start + settle + span, Some(offered)),
                None => return self.enter(Phase::Disconnect, now, Command::Disconnect),
            },
        };
        let (settle, closes, rate_per_s) = load;
        self.segment = Segment { start, opens: start + settle, closes, rate_per_s };
        self.from = (self.phases.len(), self.series.len());
        self.owing = view.everybody.expected.saturating_sub(view.everybody.delivered);
        self.growth = Growth::default();
        (self.overrun, self.overrun_per_s) = (Overrun::new(view.everybody), None);
        if settle > 0 {
            self.begin(Phase::WarmUp, now);
        }
        let command = Command::Publish(self.segment);
        self.told = Some(command);
        Cue::Tell(command)
    }

    /// Until then a broker that has dropped everybody may come back.
    fn patience(&self) -> Nanos {
        let over = self.phases.last().map_or(0, |phase| self.shared.epoch + phase.end_ns);
        over + self.shared.spec.plan.connect_timeout_ns
    }

    /// Nothing comes due any more since `end`.
    fn drain(&mut self, now: Nanos, end: Nanos) -> Cue<Command> {
        let plan = &self.shared.spec.plan;
        let until = now + plan.drain_limit_ns.max(plan.drain_ns);
        self.heard = (0, now);
        self.enter(Phase::Drain, end, Command::Drain { until })
    }

    /// Warm-up and measure phase of a load.
    fn measure(&mut self, now: Nanos, view: &View) -> Cue<Command> {
        let Segment { start, opens, closes, .. } = self.segment;
        if self.pilot.is_some() {
            self.overrun_per_s = self.overrun.look(now.saturating_sub(start), &view.everybody);
            if self.overrun_per_s.is_some() {
                return self.drain(now, now);
            }
        }
        if now < opens {
            return Cue::Wait(opens.min(now + WATCH));
        }
        if !self.is_measuring() {
            self.begin(Phase::Measure, opens);
        }
        if self.pilot.is_some() && now < closes {
            self.growth.sample(now, &view.everybody);
        }
        let plan = &self.shared.spec.plan;
        let counted = closes == Nanos::MAX;
        if view.arrived && (counted || now >= closes) {
            // Workers may have needed a moment to hear of the end, but the window was what it was.
            return self.drain(now, closes.min(now));
        }
        // After one of these, a message that was not acknowledged or a connection that was lost has made
        // room for another one.
        let patience = plan.connect_timeout_ns + 2 * plan.ack_timeout_ns;
        if view.levels.due != self.due.0 {
            self.due = (view.levels.due, now);
        } else if counted
            && matches!(plan.schedule, record::Schedule::Closed { .. })
            && now - self.due.1 > patience
        {
            let reason = format!("nothing could be sent any more for {}", units::latency(patience));
            return self.stop(now, Ended::Broker, reason);
        }
        // Workers may take a moment longer.
        Cue::Wait(if now < closes { closes.min(now + WATCH) } else { now + LOOK })
    }
}

impl Conductor<Command, Effort> for Phases<'_> {
    fn cue(&mut self, now: Nanos, view: &View) -> Cue<Command> {
        if let Some((ended, reason)) = self.look_out(view) {
            return self.stop(now, ended, reason);
        }
        match self.told {
            None => self.enter(Phase::Connect, now, Command::Connect),
            Some(Command::Connect | Command::Subscribe) if !view.arrived => Cue::Wait(now + LOOK),
            Some(Command::Connect) => {
                self.memory.1 = (self.host.resident)();
                if view.levels.established == 0 {
                    return self.stop(now, Ended::Broker, "no client could connect".into());
                }
                self.enter(Phase::Subscribe, now, Command::Subscribe)
            }
            Some(Command::Subscribe) => self.publish(now, view, None),
            Some(Command::Publish(_)) => self.measure(now, view),
            Some(Command::Drain { until }) => {
                let levels = &view.everybody;
                let heard = levels.draining == view.workers as u64;
                let absent = levels.expected.saturating_sub(levels.delivered);
                let drained = heard && levels.outstanding == 0 && absent <= self.owing;
                let came = levels.acked + levels.delivered;
                if came != self.heard.0 {
                    self.heard = (came, now);
                }
                let until = until.min(self.heard.1 + self.shared.spec.plan.drain_ns);
                if drained || now >= until {
                    self.drained = drained;
                    if self.pilot.is_none() || self.stopped.is_some() {
                        return self.enter(Phase::Disconnect, now, Command::Disconnect);
                    }
                    self.close(now);
                    self.told = Some(Command::Close);
                    return Cue::Tell(Command::Close);
                }
                Cue::Wait((now + LOOK).min(until))
            }
            Some(Command::Close) if !view.arrived => Cue::Wait(now + LOOK),
            Some(Command::Close) if self.closed.is_none() => Cue::Collect,
            Some(Command::Close) if view.levels.connected == 0 && now < self.patience() => {
                Cue::Wait(now + LOOK)
            }
            Some(Command::Close) => {
                let trial = self.closed.take();
                self.publish(now, view, trial)
            }
            Some(Command::Disconnect) => Cue::Over,
        }
    }

    fn note(&mut self, progress: &mut Progress) {
        let time_ns = progress.elapsed;
        let phase = self.phase_at(time_ns);
        (progress.phase, progress.part) = (Some(phase), self.is_part(time_ns));
        progress.left = self.left(phase, self.shared.epoch + time_ns);
        progress.outlook = self.pilot.as_ref().map(|pilot| pilot.outlook());
        let (counters, histograms) = (&progress.second.counters, &progress.second.histograms);
        self.series.push(Second {
            phase,
            time_ns,
            part: progress.part,
            connected: progress.connected,
            offered: counters.due,
            sent: counters.sent,
            acked: counters.acked,
            delivered: counters.delivered,
            shed: counters.shed,
            connections_lost: counters.connections_lost,
            stall_ns: progress.workers.iter().map(Strain::stall_ns).max().unwrap_or(0),
            workers: progress.workers.clone(),
            pressure: progress.pressure,
            broker: progress.broker,
            metrics: progress.metrics.iter().map(|(_, value)| *value).collect(),
            ack_p50_ns: histograms.ack_response.supported_quantile(0.5),
            ack_p99_ns: histograms.ack_response.supported_quantile(0.99),
            flight_p50_ns: histograms.flight_response.supported_quantile(0.5),
            flight_p99_ns: histograms.flight_response.supported_quantile(0.99),
        });
    }

    fn collect(&mut self, part: Board<Effort>) {
        self.closed = Some(self.trial(part));
    }

    fn phase(&self) -> Option<Phase> {
        self.phases.last().map(|times| times.phase)
    }
}

impl Phases<'_> {
    /// The record of a run that is over.
    pub fn record(mut self, mut board: Board<Effort>) -> Record {
        self.close(board.end);
        Arc::make_mut(&mut board.total).counters.lost += self.shared.lost_by_all();
        let plan = self.shared.spec.plan.clone();
        self.made(board, plan, (0, 0))
    }

    /// What came of the load that is over.
    fn trial(&mut self, board: Board<Effort>) -> Trial {
        let mut plan = self.shared.spec.plan.clone();
        let Segment { start, opens, closes, rate_per_s } = self.segment;
        (plan.warmup_ns, plan.duration_ns) = (opens - start, Some(closes - opens));
        if let (record::Schedule::Open { rate_per_s, .. }, Some(rate)) = (&mut plan.schedule, rate_per_s) {
            *rate_per_s = rate;
        }
        let rate_per_s = rate_per_s.unwrap_or(self.shared.rate_per_s());
        let mut record = self.made(board, plan, self.from);
        let counts = &mut record.counts;
        self.before = Counters {
            connections_asked: self.before.connections_asked + counts.connections_asked,
            connections_established: self.before.connections_established + counts.connections_established,
            subscribed: self.before.subscribed + counts.subscribed,
            subscribe_failures: self.before.subscribe_failures + counts.subscribe_failures,
            ..Counters::default()
        };
        (counts.connections_asked, counts.connections_established) =
            (self.before.connections_asked, self.before.connections_established);
        (counts.subscribed, counts.subscribe_failures) =
            (self.before.subscribed, self.before.subscribe_failures);
        // Nobody waits for them any longer.
        (counts.lost, counts.undelivered_at_end) = (counts.lost + counts.undelivered_at_end, 0);
        if record.plan.qos > 0 {
            counts.unacked_at_end =
                counts.sent.saturating_sub(counts.acked + counts.rejected + counts.ack_timeouts);
        }
        record.conclude();
        let growth = self.growth.share(rate_per_s);
        let drained = record.phases.last().map_or(0, |phase| self.shared.epoch + phase.end_ns);
        let quiet_ns = if self.drained { 0 } else { drained.saturating_sub(self.heard.1) };
        Trial { began: 0, record, growth, quiet_ns, overrun_per_s: self.overrun_per_s }
    }

    /// The record of what is on `board`, which followed `plan`, with its phases and seconds from these on.
    fn made(&self, mut board: Board<Effort>, plan: record::Plan, from: (usize, usize)) -> Record {
        let troubles = board.troubles();
        let (ended, partial_reason) = match board.fault().cloned().or(self.stopped.clone()) {
            None => (Ended::Completed, None),
            Some((Ended::Broker, reason)) if !troubles.is_empty() => {
                (Ended::Broker, Some(format!("{reason}: {}", troubles.join("; "))))
            }
            Some((ended, reason)) => (ended, Some(reason)),
        };
        let spec = &self.shared.spec;
        let (counts, absent) = settled(board.total.counters);
        let probes = probes(&self.shared, &mut board);
        let seats = self.shared.seats.iter().map(|seat| seat.cpu);
        let efforts: Vec<_> = seats
            .zip(std::mem::take(&mut board.endings))
            .filter_map(|(cpu, end)| Some((cpu, end?)))
            .collect();
        let lost = probes.as_ref().and_then(Probes::trouble);
        let health = board.health(generator(&efforts));
        let throughput = crew::throughput(&efforts);
        let resident = self.memory.1.saturating_sub(self.memory.0);
        let connections = counts.connections_established.min(spec.plan.clients.into());
        let broker_metrics = board.metrics.take().map(|told| told.per(&throughput, connections));
        let untold = broker_metrics.as_ref().map_or_else(Vec::new, BrokerMetrics::warnings);
        let mut record = Record {
            schema: record::SCHEMA.into(),
            started_at: humantime::format_rfc3339_seconds(self.host.started_at).to_string(),
            command: spec.command.clone(),
            versions: record::Versions::current(),
            machine: self.host.machine.clone(),
            broker: record::Broker {
                addresses: spec.targets.iter().map(ToString::to_string).collect(),
                embedded: plan.embedded,
                cpus: spec.broker_cpus.clone(),
                transport: spec.connection.carried_by(),
                connections_refused: None,
            },
            verdict: record::Verdict::Unknown,
            verdict_reasons: Vec::new(),
            exit_code: 0,
            exit_reason: String::new(),
            partial: ended != Ended::Completed,
            partial_reason,
            ended,
            warnings: spec.warnings.iter().chain(&lost).chain(&untold).chain(&troubles).cloned().collect(),
            phases: self.phases[from.0..].to_vec(),
            counts,
            broker_cost: board.broker.take().map(|cost| cost.per(&throughput, connections)),
            broker_metrics,
            throughput,
            latencies: record::Latencies::of(&board.total.histograms, absent),
            generator: record::Generator {
                bytes_per_client: (resident > 0).then(|| resident / u64::from(plan.clients)),
                ..health
            },
            probes,
            series: self.series[from.1..].to_vec(),
            calibration: None,
            windows: Vec::new(),
            bounds: Vec::new(),
            plan,
        };
        record.conclude();
        record
    }
}

/// What the probes had, if there were any.
fn probes(shared: &Shared, board: &mut Board<Effort>) -> Option<Probes> {
    let probes = shared.probes.as_ref()?;
    let (counts, absent) = settled(board.aside.counters);
    let (cpu, effort) = (probes.seats[0].cpu, board.endings[probes.first].take().unwrap_or_default());
    let latencies = record::Latencies::of(&board.aside.histograms, absent);
    Some(Probes { worker: generator(&[(cpu, effort)]).workers[0], counts, latencies })
}

/// What was counted, with what has become of deliveries that did not come; and how many those are.
fn settled(mut counts: Counters) -> (Counters, u64) {
    let absent = counts.expected.saturating_sub(counts.delivered);
    // A stamp that somebody has forged may overtake what was never sent.
    counts.lost = counts.lost.min(absent);
    counts.undelivered_at_end = absent - counts.lost;
    (counts, absent)
}
