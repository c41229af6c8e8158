//! The end of a fleet, when somebody wants it, and the record that comes out of it.

use super::Expect;
use super::part::Part;
use super::script::Ending;
use super::shared::Shared;
use crate::clock::{MILLISECOND, Nanos};
use crate::crew::generator;
use crate::load::Pace;
use crate::record::{self, Counters, Ended, FLEET_SCHEMA, FleetRecord, FleetSecond, Throughput};
use crate::stage::{Board, Conductor, Cue, Progress, View};
use crate::stats::Strain;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often the conductor looks up when nothing is reported.
const LOOK: Nanos = 100 * MILLISECOND;

/// Lets scripts run to their end. Who does what when is theirs; what they wait for together is in [`Shared`].
pub struct Finale {
    shared: Arc<Shared>,
    series: Vec<FleetSecond>,
}

impl Finale {
    pub fn new(shared: Arc<Shared>) -> Finale {
        Finale { shared, series: Vec::new() }
    }
}

impl Conductor<(), Ending> for Finale {
    fn cue(&mut self, now: Nanos, view: &View) -> Cue<()> {
        if view.broken {
            // The others would wait for its clients for ever.
            self.shared.stop(Ended::Internal, "a worker has ended".into());
        }
        if view.interrupted {
            self.shared.stop(Ended::Interrupted, "interrupted".into());
        }
        let over = self.shared.stopped.get().is_some() || view.running == 0;
        if over { Cue::Over } else { Cue::Wait(now + LOOK) }
    }

    fn note(&mut self, progress: &mut Progress) {
        let shared = &self.shared;
        let told = |which: &AtomicU64| which.load(Ordering::Relaxed).checked_sub(1);
        progress.pending = shared.listeners_pending.load(Ordering::Relaxed);
        [progress.dropped, progress.stored] = [told(&shared.told[0]), told(&shared.told[1])];
        let expecting = |listening: &super::Listening| matches!(listening.expect, Expect::Messages(_));
        let missing = progress.levels.missing;
        progress.missing = shared.spec.listening.iter().any(expecting).then_some(missing);
        let (counters, histograms) = (&progress.second.counters, &progress.second.histograms);
        self.series.push(FleetSecond {
            time_ns: progress.elapsed,
            connected: progress.connected,
            done: progress.levels.done,
            sent: counters.sent,
            acked: counters.acked,
            received: counters.received(),
            errors: progress.errors(),
            stall_ns: progress.workers.iter().map(Strain::stall_ns).max().unwrap_or(0),
            workers: progress.workers.clone(),
            pressure: progress.pressure,
            broker: progress.broker,
            ack_p50_ns: histograms.ack_service.supported_quantile(0.5),
            ack_p99_ns: histograms.ack_service.supported_quantile(0.99),
            flight_p50_ns: histograms.flight_service.supported_quantile(0.5),
            flight_p99_ns: histograms.flight_service.supported_quantile(0.99),
        });
    }
}

impl Finale {
    /// The record of a fleet that is over, `elapsed_ns` after it began, with what went wrong with its workers.
    pub fn record(
        self,
        mut board: Board<Ending>,
        fault: Option<(Ended, String)>,
        started_at: std::time::SystemTime,
        elapsed_ns: Nanos,
    ) -> FleetRecord {
        let stopped = fault.or_else(|| self.shared.stopped.get().cloned());
        let (ended, partial_reason) = stopped.unzip();
        let spec = &self.shared.spec;
        let (mut efforts, mut parts) = (Vec::new(), Vec::new());
        for (seat, ending) in self.shared.seats.iter().zip(&mut board.endings) {
            let Some(ending) = ending.take() else { continue };
            efforts.push((seat.cpu, ending.effort));
            parts.extend(seat.clients.iter().zip(ending.parts));
        }
        parts.sort_by_key(|(index, _)| **index);
        let (mut sent, mut publishers, mut listeners) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (_, part) in parts {
            match part {
                Part::Publisher(publisher) => {
                    sent.insert(publisher.name(&self.shared).topic_id.as_str(), publisher.record.sent);
                    publishers.push(publisher.finish(&self.shared));
                }
                Part::Responder(_) => {}
                // Publishers come before them.
                Part::Listener(listener) => listeners.push(listener.finish(&self.shared, &sent)),
            }
        }
        let publishing = spec.publishing.as_ref();
        let heard = spec.listening.first().map(|listening| listening.qos);
        let qos = publishing.map(|publishing| publishing.qos).or(heard).unwrap_or_default();
        let broker_cost = board.broker.take().map(|cost| cost.per(&messages(&board.total.counters), 0));
        let mut record = FleetRecord {
            broker_cost,
            schema: FLEET_SCHEMA.into(),
            started_at: humantime::format_rfc3339_seconds(started_at).to_string(),
            command: spec.command.clone(),
            seed: spec.seed.to_string(),
            versions: record::Versions::current(),
            machine: crate::cpu::machine(),
            broker: record::Broker {
                addresses: spec.targets.iter().map(ToString::to_string).collect(),
                transport: spec.connection.carried_by(),
                ..record::Broker::default()
            },
            client_columns: spec.connection.identities.columns().iter().map(ToString::to_string).collect(),
            qos: qos as u8,
            tolerance_ns: publishing.map_or(0, |publishing| publishing.tolerance),
            poll: spec.poll,
            closed_loop: publishing.is_some_and(|publishing| publishing.pacing.pace == Pace::Unlimited),
            ended: ended.unwrap_or_default(),
            partial_reason,
            warnings: spec.warnings.iter().cloned().chain(board.troubles()).collect(),
            elapsed_ns,
            counts: board.total.counters,
            latencies: record::Latencies::of(&board.total.histograms, 0),
            generator: board.health(generator(&efforts)),
            publishers,
            listeners,
            series: self.series,
            ..FleetRecord::default()
        };
        let missing = record.listeners.iter().map(|listener| listener.flight_time.missing).sum();
        record.latencies.flight_service =
            record::Latency::of(&board.total.histograms.flight_service, missing);
        record.conclude();
        record
    }
}

/// What went into the broker and came out of it. A fleet has no moment at which everybody is connected and nothing was
/// sent yet: its broker has no memory per connection.
fn messages(counters: &Counters) -> Throughput {
    Throughput { sent: counters.sent, delivered: counters.received(), ..Throughput::default() }
}
