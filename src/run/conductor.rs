//! The phases of a run, and the record that comes out of it.

use super::shared::Shared;
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::crew::{Effort, generator, throughput};
use crate::record::{self, Ended, Phase, PhaseTimes, Record, Second};
use crate::stage::{Board, Conductor, Cue, Farewell, Progress, View};
use crate::{cpu, units};
use std::sync::Arc;

/// What workers are told, in this order. They report when each but the last two is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Connect all clients: each is connected or has failed to.
    Connect,
    /// Subscribe: every SUBSCRIBE is answered or given up.
    Subscribe,
    /// Publish from this time on (process clock): the last message of the schedule came due.
    Publish { start: Nanos },
    /// Nothing more will be due; send what is in the backlog and wait.
    Drain,
    /// Disconnect everybody and end.
    Disconnect,
}

/// How often the conductor looks up when nothing is reported,
const LOOK: Nanos = 20 * MILLISECOND;
/// and while messages are timed: it shares a CPU with them.
const WATCH: Nanos = 100 * MILLISECOND;
/// Between the command to publish and the first message, so that all workers have it.
const LEAD: Nanos = 20 * MILLISECOND;
/// Longest drain of a run that was interrupted.
const HURRY: Nanos = SECOND;

/// Why the phases were left early.
#[derive(Debug)]
enum Stop {
    Interrupted,
    Broker(String),
    Failed,
}

/// What is waited for.
enum Wait {
    Beginning,
    Connected,
    Subscribed,
    /// The measure phase, of a schedule that starts then.
    Opening(Nanos),
    /// The end of it. In a closed loop with a count the answers decide when, and there may be nobody left to give
    /// them: what was sent, and since when no more was.
    Closing(Nanos, (u64, Nanos)),
    /// Everything under way, until then at most.
    Drained(Nanos),
    Left(Farewell),
}

/// Takes workers through the phases.
pub struct Phases {
    shared: Arc<Shared>,
    wait: Wait,
    stop: Option<Stop>,
    phases: Vec<PhaseTimes>,
    series: Vec<Second>,
    /// Resident memory of the process, with nobody and with all clients connected.
    resident: fn() -> u64,
    memory: (u64, u64),
}

impl Phases {
    /// Of a run that has not begun. `resident` tells the memory of the process.
    pub fn new(shared: Arc<Shared>, resident: fn() -> u64) -> Phases {
        Phases {
            shared,
            wait: Wait::Beginning,
            stop: None,
            phases: Vec::new(),
            series: Vec::new(),
            resident,
            memory: (resident(), 0),
        }
    }

    fn begin(&mut self, phase: Phase, time: Nanos) {
        let start_ns = time - self.shared.epoch;
        self.close(time);
        self.phases.push(PhaseTimes { phase, start_ns, end_ns: start_ns });
    }

    /// The phase under way ends.
    pub fn close(&mut self, time: Nanos) {
        if let Some(phase) = self.phases.last_mut() {
            phase.end_ns = time - self.shared.epoch;
        }
    }

    /// The phase at this time since the start of the run.
    fn phase_at(&self, time_ns: Nanos) -> Phase {
        let begun = self.phases.iter().rfind(|times| times.start_ns <= time_ns);
        begun.map_or(Phase::Connect, |times| times.phase)
    }

    /// Whether the phases are to be left early.
    fn look_out(&self, view: &View) -> Option<Stop> {
        if matches!(self.wait, Wait::Beginning | Wait::Left(_)) {
            return None;
        }
        let hurried = matches!((&self.wait, &self.stop), (Wait::Drained(_), Some(_)));
        if view.interrupted && !hurried {
            return Some(Stop::Interrupted);
        }
        if view.ended {
            return Some(Stop::Failed);
        }
        let all_lost = !matches!(self.wait, Wait::Connected)
            && !self.shared.spec.connection.reconnect
            && view.levels.connected == 0
            && view.arrived < view.workers;
        all_lost.then(|| Stop::Broker("every connection was lost, and --reconnect is off".into()))
    }

    fn drain(&mut self, now: Nanos, began: Nanos, patience: Nanos) -> Cue<Command> {
        // Workers may have needed a moment to hear of the end, but the window was what it was.
        self.begin(Phase::Drain, began.min(now));
        self.wait = Wait::Drained(now + patience);
        Cue::Tell(Command::Drain)
    }

    fn leave(&mut self, now: Nanos) -> Cue<Command> {
        self.begin(Phase::Disconnect, now);
        self.wait = Wait::Left(Farewell::new(now));
        Cue::Tell(Command::Disconnect)
    }

    fn stop(&mut self, now: Nanos, stop: Stop) -> Cue<Command> {
        let interrupted = matches!(stop, Stop::Interrupted);
        self.stop = Some(stop);
        match self.wait {
            Wait::Closing(..) if interrupted => {
                let patience = self.shared.spec.plan.drain_ns.min(HURRY);
                self.drain(now, now, patience)
            }
            _ => self.leave(now),
        }
    }

    fn subscribe(&mut self, now: Nanos, view: &View) -> Cue<Command> {
        self.memory.1 = (self.resident)();
        if view.levels.established == 0 {
            return self.stop(now, Stop::Broker("no client could connect".into()));
        }
        self.begin(Phase::Subscribe, now);
        self.wait = Wait::Subscribed;
        Cue::Tell(Command::Subscribe)
    }

    fn publish(&mut self, now: Nanos) -> Cue<Command> {
        let start = now + LEAD;
        if self.shared.window.0 > 0 {
            self.begin(Phase::WarmUp, now);
        }
        self.wait = Wait::Opening(start);
        Cue::Tell(Command::Publish { start })
    }

    /// Within the measure phase of a schedule that began at `start`.
    fn measure(&mut self, now: Nanos, view: &View, start: Nanos, last: (u64, Nanos)) -> Cue<Command> {
        let plan = &self.shared.spec.plan;
        let closes = start.saturating_add(self.shared.window.1);
        let counted = closes == Nanos::MAX;
        if view.arrived == view.workers && (counted || now >= closes) {
            let patience = plan.drain_ns;
            return self.drain(now, closes, patience);
        }
        if !counted {
            // Workers may take a moment longer.
            return Cue::Wait(if now < closes { closes.min(now + WATCH) } else { now + LOOK });
        }
        // After one of these, a message that was not acknowledged or a connection that was lost has made
        // room for another one.
        let patience = plan.connect_timeout_ns + 2 * plan.ack_timeout_ns;
        let closed = matches!(plan.schedule, record::Schedule::Closed { .. });
        let (sent, since) = last;
        if view.levels.due != sent || !closed {
            self.wait = Wait::Closing(start, (view.levels.due, now));
        } else if now - since > patience {
            let patience = units::latency(patience);
            return self.stop(now, Stop::Broker(format!("nothing could be sent any more for {patience}")));
        }
        Cue::Wait(now + WATCH)
    }
}

impl Conductor for Phases {
    type Command = Command;

    fn cue(&mut self, now: Nanos, view: &View) -> Cue<Command> {
        if let Some(stop) = self.look_out(view) {
            return self.stop(now, stop);
        }
        let arrived = view.arrived == view.workers;
        match &mut self.wait {
            Wait::Beginning => {
                self.wait = Wait::Connected;
                self.begin(Phase::Connect, now);
                Cue::Tell(Command::Connect)
            }
            Wait::Connected if arrived => self.subscribe(now, view),
            Wait::Subscribed if arrived => self.publish(now),
            Wait::Connected | Wait::Subscribed => Cue::Wait(now + LOOK),
            &mut Wait::Opening(start) => {
                let opens = start + self.shared.window.0;
                if now < opens {
                    return Cue::Wait(opens.min(now + WATCH));
                }
                self.begin(Phase::Measure, opens);
                self.wait = Wait::Closing(start, (0, now));
                self.measure(now, view, start, (0, now))
            }
            &mut Wait::Closing(start, last) => self.measure(now, view, start, last),
            Wait::Drained(until) => {
                let levels = &view.levels;
                let heard = levels.draining == view.workers as u64;
                let drained = heard && levels.outstanding == 0 && levels.delivered >= levels.expected;
                if drained || now >= *until {
                    return self.leave(now);
                }
                Cue::Wait((now + LOOK).min(*until))
            }
            Wait::Left(farewell) => farewell.cue(now, view),
        }
    }

    fn note(&mut self, progress: &mut Progress) {
        let time_ns = progress.elapsed;
        let phase = self.phase_at(time_ns);
        progress.phase = Some(phase);
        let (counters, histograms) = (&progress.second.counters, &progress.second.histograms);
        self.series.push(Second {
            phase,
            time_ns,
            connected: progress.levels.connected,
            offered: counters.due,
            sent: counters.sent,
            acked: counters.acked,
            delivered: counters.delivered,
            shed: counters.shed,
            connections_lost: counters.connections_lost,
            ack_p50_ns: histograms.ack_response.supported_quantile(0.5),
            ack_p99_ns: histograms.ack_response.supported_quantile(0.99),
            flight_p50_ns: histograms.flight_response.supported_quantile(0.5),
            flight_p99_ns: histograms.flight_response.supported_quantile(0.99),
        });
    }
}

/// What is known of a run's surroundings.
pub struct Setting {
    pub started_at: std::time::SystemTime,
    pub machine: cpu::Machine,
}

impl Phases {
    /// The record of a run that is over, with what went wrong with its workers.
    pub fn record(self, board: Board<Effort>, fault: Option<(Ended, String)>, setting: Setting) -> Record {
        let troubles = board.troubles();
        let explain = |reason: &str| match troubles.is_empty() {
            true => reason.to_owned(),
            false => format!("{reason}: {}", troubles.join("; ")),
        };
        let (ended, partial_reason) = match (fault, &self.stop) {
            (Some((ended, fault)), _) => (ended, Some(fault)),
            (None, None) => (Ended::Completed, None),
            (None, Some(Stop::Interrupted)) => (Ended::Interrupted, Some("interrupted".into())),
            (None, Some(Stop::Broker(reason))) => (Ended::Broker, Some(explain(reason))),
            (None, Some(Stop::Failed)) => (Ended::Internal, Some("a worker ended early".into())),
        };
        let spec = &self.shared.spec;
        let mut counts = board.total.counters;
        let lost = counts.expected.saturating_sub(counts.delivered);
        counts.lost = lost;
        let seats = self.shared.seats.iter().map(|seat| seat.cpu);
        let efforts: Vec<_> = seats.zip(board.endings).filter_map(|(cpu, end)| Some((cpu, end?))).collect();
        let resident = self.memory.1.saturating_sub(self.memory.0);
        let mut record = Record {
            schema: record::SCHEMA.into(),
            started_at: humantime::format_rfc3339_seconds(setting.started_at).to_string(),
            command: spec.command.clone(),
            plan: spec.plan.clone(),
            versions: record::Versions::current(),
            machine: setting.machine,
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
            warnings: spec.warnings.iter().chain(&troubles).cloned().collect(),
            phases: self.phases,
            counts,
            throughput: throughput(&efforts),
            latencies: record::Latencies::of(&board.total.histograms, lost),
            generator: record::Generator {
                bytes_per_client: (resident > 0).then(|| resident / u64::from(spec.plan.clients)),
                ..generator(&efforts)
            },
            series: self.series,
            bounds: Vec::new(),
        };
        record.conclude();
        record
    }
}
