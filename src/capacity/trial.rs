//! What came of a trial.

use super::Goal;
use crate::clock::{Nanos, SECOND};
use crate::gate;
use crate::record::{Evidence, Exit, Grade, Phase, Purpose, Record, TrialRecord, Verdict};
use crate::run::Trial;
use crate::units;

/// What is under way may grow by this share of what is offered: beyond, it is a queue, however short its wait still is.
const GROWTH: f64 = 0.005;
/// What is under way at the end of a trial has to be done within this time, or ten times the 99th percentile.
const DRAIN: Nanos = 2 * SECOND;

/// Holds a trial against the goals.
pub fn judge(trial: Trial, goals: &[Goal], purpose: Purpose) -> TrialRecord {
    let Trial { mut record, growth, overrun_per_s } = trial;
    let span = record.span_of(Phase::Measure).unwrap_or(0);
    let measured = record.phases.iter().find(|times| times.phase == Phase::Measure);
    let start_ns = measured.map_or(0, |times| times.start_ns);
    let (counts, throughput) = (record.counts, record.throughput);
    let per_s = |messages: f64| messages * 1e9 / span.max(1) as f64;
    let audience = counts.expected as f64 / counts.sent.max(1) as f64;
    let done = match record.plan.qos {
        _ if audience > 0.0 => throughput.delivered as f64 / audience,
        0 => throughput.sent as f64,
        _ => throughput.acked as f64,
    };
    let times =
        if audience > 0.0 { &record.latencies.flight_response } else { &record.latencies.ack_response };
    let (p50_ns, p99_ns, p999_ns) = (times.p50_ns, times.p99_ns, times.p999_ns);
    let drain_ns = record.span_of(Phase::Drain).unwrap_or(0);
    let void = void(&record).filter(|_| overrun_per_s.is_none());
    let overrun = overrun_per_s.map(|done| {
        let done = units::grouped(done.round() as u64);
        format!("it was ended early: more was under way than is done in 2 s at {done}/s")
    });
    let unsound = overrun.or_else(|| unsound(&record, growth, (drain_ns, p99_ns), goals));
    let mut reasons: Vec<String> = Vec::new();
    let kept = goals.iter().filter(|_| void.is_none()).map(|goal| {
        let broken = unsound.clone().or_else(|| broken(&mut record, goal));
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
    TrialRecord {
        purpose,
        start_ns,
        span_ns: span,
        rate_per_s: record.schedule_rate(),
        done_per_s: overrun_per_s
            .unwrap_or_else(|| per_s(if void.is_some() { throughput.sent as f64 } else { done })),
        grade,
        kept,
        reason: void.unwrap_or_else(|| reasons.join("; ")),
        verdict: record.verdict,
        growth,
        drain_ns,
        lost: counts.lost,
        p50_ns,
        p99_ns,
        p999_ns,
        broker_cpu_per_message_ns: record.broker_cost.as_ref().and_then(|cost| cost.cpu_per_message_ns),
        broker_most_bytes: record.broker_cost.as_ref().and_then(|cost| cost.most_bytes),
        generator_busy: record.generator.busiest_cpu().map_or(0.0, |(_, share)| share),
    }
}

/// Why a trial says nothing about the broker, if so.
fn void(record: &Record) -> Option<String> {
    match record.verdict {
        Verdict::GeneratorLimited | Verdict::Unknown => return Some(record.verdict_reasons.join("; ")),
        Verdict::Clean | Verdict::BrokerLimited => {}
    }
    let (stalls, _) = Evidence::of(record).stalls;
    let (_, longest) = stalls.into_iter().max_by_key(|(_, stall)| *stall)?;
    Some(format!("a worker stood still for {}", units::latency(longest)))
}

/// What every goal asks besides its bounds: nothing lost, unless a bound says how much may be; no queue that grows; everything
/// done soon.
fn unsound(
    record: &Record,
    growth: f64,
    (drain, p99): (Nanos, Option<Nanos>),
    goals: &[Goal],
) -> Option<String> {
    let allowed = goals.iter().flat_map(|goal| &goal.0).any(gate::Bound::is_on_loss);
    match Exit::from_code(record.exit_code) {
        Exit::Delivery if allowed && record.counts.lost > 0 => {}
        Exit::Broker | Exit::Delivery => return Some(record.exit_reason.clone()),
        _ => {}
    }
    if growth > GROWTH {
        return Some(format!("what was under way grew by {} of the rate", units::percent(growth)));
    }
    let most = DRAIN.max(10 * p99.unwrap_or(0));
    if drain > most {
        return Some(format!("it took {} to be done with what was under way", units::latency(drain)));
    }
    (record.verdict == Verdict::BrokerLimited).then(|| record.verdict_reasons.join("; "))
}

/// The bound of a goal that did not hold, if any.
fn broken(record: &mut Record, goal: &Goal) -> Option<String> {
    gate::judge(&goal.0, record);
    let broken = record.bounds.iter().find(|bound| !bound.holds());
    broken.map(|bound| format!("{}: {}", bound.bound, bound.found_in_words()))
}
