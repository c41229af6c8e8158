//! What came of a trial.

use super::Goal;
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::gate;
use crate::record::{
    Ended, Evidence, Exit, Grade, Latency, Over, Phase, Purpose, Record, Second, TrialRecord, Verdict,
};
use crate::run::Trial;
use crate::stats::Strain;
use crate::units;

/// What is under way may grow by this share of what is offered: beyond, it is a queue, however short its wait still is.
const GROWTH: f64 = 0.005;
/// Connects may take so much longer, as a share, than at the rate that was asked for: some of it is the generator's, who
/// makes up for 100 ms.
const LONGER: f64 = 0.02;
/// What is under way at the end of a trial has to be done within this time, or ten times the 99th percentile.
const DRAIN: Nanos = 2 * SECOND;

/// Holds a trial against the goals; its load is a number of what `over` says.
pub fn judge(trial: Trial, goals: &[Goal], over: Over, purpose: Purpose) -> TrialRecord {
    let Trial { began, mut record, growth, quiet_ns, overrun_per_s } = trial;
    let span_ns = record.span_of(Phase::Measure).unwrap_or(0);
    let measured = record.phases.iter().find(|times| times.phase == Phase::Measure);
    let start_ns = began + measured.map_or(0, |times| times.start_ns);
    let drain_ns = record.span_of(Phase::Drain).unwrap_or(0).saturating_sub(quiet_ns);
    let times = times(&record, over);
    let (p50_ns, p99_ns, p999_ns) = (times.p50_ns, times.p99_ns, times.p999_ns);
    let offered = offered(&record, over);
    let growth = if over == Over::ConnectRate { longer(&record) } else { growth };
    let mut load = LoadOf { over, offered, done: 0.0, growth, overrun_per_s, drain: (drain_ns, p99_ns) };
    let void = load.void(&record);
    load.done = match overrun_per_s.filter(|_| void.is_none()) {
        Some(done) => done,
        None => load.done(&record, void.is_some()).min(offered),
    };
    let mut reasons: Vec<String> = Vec::new();
    let kept = goals.iter().filter(|_| void.is_none()).map(|goal| {
        let broken = load.unsound(&record, goal).or_else(|| broken(&mut record, goal, purpose));
        let kept = broken.is_none();
        reasons.extend(broken.filter(|reason| !reasons.contains(reason)));
        kept
    });
    let kept: Vec<bool> = kept.collect();
    let grade = match (kept.iter().any(|kept| *kept), kept.iter().all(|kept| *kept)) {
        _ if void.is_some() => Grade::Void,
        (true, true) => Grade::Good,
        (true, false) => Grade::Mixed,
        (false, _) => Grade::Bad,
    };
    let cost = record.broker_cost.as_ref();
    TrialRecord {
        purpose,
        start_ns,
        span_ns,
        offered,
        done: load.done,
        grade,
        kept,
        reason: void.unwrap_or_else(|| reasons.join("; ")),
        verdict: record.verdict,
        growth,
        drain_ns,
        lost: record.counts.lost,
        p50_ns,
        p99_ns,
        p999_ns,
        broker_cpu_per_message_ns: cost.and_then(|cost| cost.cpu_per_message_ns),
        broker_most_bytes: cost.and_then(|cost| cost.most_bytes),
        generator_busy: record.generator.busiest_cpu().map_or(0.0, |(_, share)| share),
    }
}

/// What is timed of a load.
fn times(record: &Record, over: Over) -> &Latency {
    let (counts, latencies) = (&record.counts, &record.latencies);
    match over {
        _ if over == Over::ConnectRate || counts.due == 0 => &latencies.connack,
        _ if counts.expected > 0 => &latencies.flight_response,
        _ => &latencies.ack_response,
    }
}

fn offered(record: &Record, over: Over) -> f64 {
    match over {
        Over::Rate => record.schedule_rate(),
        Over::Clients => record.plan.clients.into(),
        Over::ConnectRate => record.plan.connect_rate_per_s.unwrap_or(0.0),
        Over::FanOut => record.plan.subscribers.into(),
    }
}

/// From the first connect on until all were answered, without the time that one takes at least: what the rate is of.
fn connecting(record: &Record) -> Nanos {
    let latencies = &record.latencies;
    let legs = [&latencies.tcp_connect, &latencies.handshake, &latencies.connack];
    let one: Nanos = legs.into_iter().filter_map(|latency| latency.min_ns).sum();
    record.span_of(Phase::Connect).unwrap_or(0).saturating_sub(one)
}

/// By how much longer everybody took to connect than at the rate that was asked for, as a share.
fn longer(record: &Record) -> f64 {
    let wanted = f64::from(record.plan.clients) / offered(record, Over::ConnectRate).max(1.0);
    (connecting(record) as f64 / 1e9 / wanted.max(1e-9) - 1.0).max(0.0)
}

/// The seconds of a phase that are whole.
fn seconds(record: &Record, phase: Phase) -> impl Iterator<Item = &Second> {
    record.series.iter().filter(move |second| second.phase == phase && !second.part)
}

/// Whether most clients have lost their connections, or none had one, or who was to publish.
fn is_deserted(record: &Record) -> bool {
    let counts = &record.counts;
    let silent = counts.due > 0 && counts.sent == 0;
    let lost = 2 * counts.connections_lost > counts.connections_established.max(1);
    record.ended == Ended::Broker || lost || silent
}

struct LoadOf {
    over: Over,
    offered: f64,
    done: f64,
    /// By how much what was under way grew.
    growth: f64,
    /// What was done a second, where it was ended early.
    overrun_per_s: Option<f64>,
    /// How long it took to be done, and a response.
    drain: (Nanos, Option<Nanos>),
}

impl LoadOf {
    /// What was done of it; of a trial that says nothing about the broker, what was offered.
    fn done(&self, record: &Record, void: bool) -> f64 {
        let (counts, throughput) = (&record.counts, record.throughput);
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let span = record.span_of(Phase::Measure).unwrap_or(0);
        match self.over {
            Over::Rate => {
                let messages = match record.plan.qos {
                    _ if void => throughput.sent as f64,
                    _ if counts.expected > 0 => {
                        throughput.delivered as f64 / share(counts.expected, counts.sent)
                    }
                    0 => throughput.sent as f64,
                    _ => throughput.acked as f64,
                };
                messages * 1e9 / span.max(1) as f64
            }
            Over::Clients => {
                let connected = seconds(record, Phase::Measure).map(|second| second.connected);
                connected.fold(counts.connections_established, u64::min) as f64
            }
            Over::ConnectRate => share(counts.connections_established, connecting(record)) * 1e9,
            Over::FanOut => self.offered * share(throughput.delivered, counts.expected),
        }
    }

    /// Why a trial says nothing about the broker, if so.
    fn void(&self, record: &Record) -> Option<String> {
        let (stalls, _) = Evidence::of(record).stalls;
        let longest = stalls.into_iter().map(|(_, stall)| stall).max();
        let stood_still = |stall: Nanos| format!("a worker stood still for {}", units::latency(stall));
        if self.overrun_per_s.is_some() {
            // More was offered than anybody can do, and the generator's figures are no better than the broker's; but what
            // waited for the generator is no queue of the broker's.
            return longest.filter(|stall| *stall >= STANDSTILL).map(stood_still);
        }
        match record.verdict {
            _ if is_deserted(record) => return None,
            Verdict::GeneratorLimited | Verdict::Unknown => return Some(record.verdict_reasons.join("; ")),
            Verdict::Clean | Verdict::BrokerLimited => {}
        }
        let connecting = self.over == Over::ConnectRate && self.growth > LONGER;
        let overtaxed = if connecting { overtaxed(record) } else { None };
        overtaxed.or_else(|| longest.map(stood_still))
    }

    /// What every goal asks besides its bounds: nothing lost, unless one of its bounds says how much may be; no queue that
    /// grows; everything done soon.
    fn unsound(&self, record: &Record, goal: &Goal) -> Option<String> {
        if let Some(done) = self.overrun_per_s {
            let done = self.over.amount(done);
            return Some(format!("it was ended early: more was under way than is done in 2 s at {done}"));
        }
        if is_deserted(record) {
            let lost = units::grouped(record.counts.connections_lost);
            return Some(
                record.partial_reason.clone().unwrap_or_else(|| format!("{lost} connections were lost")),
            );
        }
        if let Some(fault) = fault(record, goal) {
            return Some(fault);
        }
        let growth = units::percent(self.growth);
        match self.over {
            Over::Clients if self.done < self.offered => {
                return Some(format!("only {} were connected all the time", self.over.amount(self.done)));
            }
            Over::ConnectRate if self.growth > LONGER => {
                return Some(format!("to connect took {growth} longer than at the rate"));
            }
            Over::ConnectRate => {}
            _ if self.growth > GROWTH => {
                return Some(format!("what was under way grew by {growth} of the rate"));
            }
            _ => {}
        }
        let (drain, p99) = self.drain;
        if drain > DRAIN.max(10 * p99.unwrap_or(0)) {
            return Some(format!("it took {} to be done with what was under way", units::latency(drain)));
        }
        (record.verdict == Verdict::BrokerLimited).then(|| record.verdict_reasons.join("; "))
    }
}

/// The broker's fault, if any, but for messages lost where the goal has a bound on them.
fn fault(record: &Record, goal: &Goal) -> Option<String> {
    let is_fault =
        |record: &Record| matches!(Exit::from_code(record.exit_code), Exit::Broker | Exit::Delivery);
    let fault = is_fault(record).then(|| record.exit_reason.clone())?;
    if record.counts.lost == 0 || !goal.0.iter().any(gate::Bound::is_on_loss) {
        return Some(fault);
    }
    let mut without = record.clone();
    without.counts.lost = 0;
    without.conclude();
    is_fault(&without).then_some(without.exit_reason)
}

/// A CPU busier than this had no room for what came while clients connected,
const BUSY: f64 = 0.9;
/// who waited for longer than this share of the time was in somebody's way: as of a verdict, which is of the measure phase;
const STARVED: f64 = 0.05;
/// and who did not look for so long stood still.
const STALL: Nanos = 100 * MILLISECOND;
/// What makes a queue by itself.
const STANDSTILL: Nanos = 500 * MILLISECOND;

/// What kept the generator from connecting as fast as it was to, if that was its own fault.
fn overtaxed(record: &Record) -> Option<String> {
    let seconds: Vec<_> = record.series.iter().filter(|second| second.phase == Phase::Connect).collect();
    let span = seconds.last().map_or(0, |second| second.time_ns).max(1);
    let most = |figure: fn(&Strain) -> Nanos| {
        let workers = seconds.iter().map(|second| second.workers.len()).max().unwrap_or(0);
        let of = |worker: usize| -> Nanos {
            seconds.iter().filter_map(|second| second.workers.get(worker)).map(figure).sum()
        };
        (0..workers).map(of).max().unwrap_or(0) as f64 / span as f64
    };
    let (busy, waited) = (most(|strain| strain.busy_ns), most(|strain| strain.waited_ns));
    let stall = seconds.iter().map(|second| second.stall_ns).max().unwrap_or(0);
    if busy > BUSY {
        return Some(format!("a CPU was {} busy with the generator's connects", units::percent(busy)));
    }
    if waited > STARVED {
        return Some(format!("a worker waited for a CPU for {} of the time", units::percent(waited)));
    }
    (stall >= STALL).then(|| format!("a worker stood still for {}", units::latency(stall)))
}

/// The bound of a goal that did not hold, if any. The curve has loads of which too little comes for some of them.
fn broken(record: &mut Record, goal: &Goal, purpose: Purpose) -> Option<String> {
    gate::judge(&goal.0, record);
    let drawn = purpose == Purpose::Curve;
    let broken = record.bounds.iter().find(|bound| !(bound.holds() || drawn && bound.found.is_none()));
    broken.map(|bound| format!("{}: {}", bound.bound, bound.found_in_words()))
}
