use serde::{Deserialize, Serialize};

use super::{Ended, Phase, Record, Schedule};
use crate::clock::{MILLISECOND, Nanos};
use crate::units;

#[cfg(test)]
mod tests;

/// Which side set the limit of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The schedule was kept and the generator had time to spare: the numbers are the broker's.
    Clean,
    /// The broker took less than it was offered, or set the pace of a closed loop: the numbers are its limit.
    BrokerLimited,
    /// The generator did not keep up with itself: the numbers say nothing about the broker.
    GeneratorLimited,
    /// Nothing was measured.
    Unknown,
}

/// A verdict and why, in words with the numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

/// What sets the pace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// Open loop: the schedule.
    Schedule,
    /// Closed loop: the broker's answers.
    Answers,
    /// Nothing: no messages were asked for.
    None,
}

/// A high percentile of a latency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tail {
    /// Which one: `p99`.
    pub name: &'static str,
    /// Its value in nanoseconds.
    pub ns: Nanos,
}

/// A broker that took messages and left them lying.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Behind {
    /// What there was too little of: `acknowledged` or `delivered`.
    pub what: &'static str,
    pub achieved_per_s: f64,
    pub offered_per_s: f64,
}

impl Behind {
    /// Of `achieved` messages within `span` where `offered` came due. What is merely on its way at the end is
    /// no backlog: half a per cent, or a quarter of a second of the schedule, is allowed.
    fn of(what: &'static str, achieved: u64, offered: u64, span: Nanos) -> Option<Behind> {
        let seconds = span as f64 / 1e9;
        let (achieved, offered) = (achieved as f64, offered as f64);
        let allowed = (offered * 0.005).max(offered * 0.25 / seconds);
        (offered - achieved > allowed).then_some(Behind {
            what,
            achieved_per_s: achieved / seconds,
            offered_per_s: offered / seconds,
        })
    }
}

/// The numbers a verdict rests on, all of the measure phase.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    /// What sets the pace.
    pub pace: Pace,
    /// Messages whose intended time came.
    pub due: u64,
    /// Messages handed to the kernel.
    pub sent: u64,
    /// Messages given up because a backlog was full.
    pub shed: u64,
    /// How late the workers noticed what was due.
    pub wake_lag: Option<Tail>,
    /// Hand-over minus intended time.
    pub lateness: Option<Tail>,
    /// The shorter of ack and flight response times: what wake-up lag distorts first.
    pub response: Option<Tail>,
    /// What the broker answered in the measure phase, when it fell behind the schedule.
    pub behind: Option<Behind>,
    /// Span within which messages are sent together on purpose, in nanoseconds.
    pub tolerance_ns: Nanos,
    /// The generator's busiest CPU and its share (0 to 1).
    pub busiest_cpu: Option<(usize, f64)>,
}

/// Wake-up lag that is always accepted, on top of the tolerance.
const LAG_ACCEPTED: Nanos = MILLISECOND;
/// A CPU busier than this has no room for what comes at once.
const BUSY: f64 = 0.9;
/// Per mille of the messages due that have to be sent.
const SENT_PER_MILLE: u128 = 995;

/// Whether less was answered in the measure phase than came due in it. A count of messages has no end to be
/// behind at, and a run that was cut short did not reach it.
fn behind(record: &Record) -> Option<Behind> {
    let timed = record.plan.duration_ns.is_some() && record.ended == Ended::Completed;
    let open = matches!(record.plan.schedule, Schedule::Open { .. });
    let span = record.span_of(Phase::Measure).filter(|span| timed && open && *span > 0)?;
    let (counts, throughput) = (&record.counts, &record.throughput);
    let due = if record.plan.qos > 0 { counts.due } else { 0 };
    // Deliveries that were lost for good are a fault of their own.
    let expected = counts.expected.saturating_sub(counts.lost);
    Behind::of("acknowledged", throughput.acked, due, span)
        .or_else(|| Behind::of("delivered", throughput.delivered, expected, span))
}

impl Evidence {
    /// Of a record whose plan, counts, latencies and generator are filled in.
    pub fn of(record: &Record) -> Evidence {
        let latencies = &record.latencies;
        let responses = [latencies.ack_response.tail(), latencies.flight_response.tail()];
        Evidence {
            pace: match record.plan.schedule {
                Schedule::Open { .. } => Pace::Schedule,
                Schedule::Closed { .. } => Pace::Answers,
                Schedule::None => Pace::None,
            },
            due: record.counts.due,
            sent: record.counts.sent,
            shed: record.counts.shed,
            wake_lag: latencies.wake_lag.tail(),
            lateness: latencies.lateness.tail(),
            response: responses.into_iter().flatten().min_by_key(|tail| tail.ns),
            behind: behind(record),
            tolerance_ns: record.plan.tolerance_ns,
            busiest_cpu: record.generator.busiest_cpu(),
        }
    }

    /// The verdict, by these rules in their order:
    ///
    /// 1. Messages were asked for and none was sent: *unknown*.
    /// 2. Wake-up lag above 1 ms plus the tolerance and above 10 % of the response time: *generator-limited*.
    /// 3. A generator CPU above 90 % busy in a closed loop, with no messages asked for, with messages shed,
    ///    or with less than 99.5 % of what was due sent: *generator-limited*.
    /// 4. Less than 99.5 % of what was due sent, messages shed, less acknowledged or delivered within the measure
    ///    phase than came due in it (see [`Behind`]), or a closed loop: *broker-limited*.
    /// 5. *Clean*.
    pub fn judge(&self) -> Judgement {
        if self.pace != Pace::None && self.sent == 0 {
            let reason = match self.due {
                0 => "no message came due in the measure phase".to_owned(),
                due => format!("none of the {} messages due was sent", units::grouped(due)),
            };
            return Judgement { verdict: Verdict::Unknown, reasons: vec![reason] };
        }
        let shortfalls = self.shortfalls();
        let mut faults = Vec::from_iter(self.lag_fault());
        faults.extend(self.cpu_fault(&shortfalls));
        let (verdict, reasons) = match (faults.is_empty(), shortfalls.is_empty()) {
            (false, _) => (Verdict::GeneratorLimited, faults),
            (true, false) => {
                let health = format!("the generator kept up: {}", self.health());
                (Verdict::BrokerLimited, shortfalls.into_iter().chain([health]).collect())
            }
            (true, true) => (Verdict::Clean, vec![self.clean_reason()]),
        };
        Judgement { verdict, reasons }
    }

    /// What kept the run from going faster or from doing what was due.
    fn shortfalls(&self) -> Vec<String> {
        let mut shortfalls = Vec::new();
        if self.pace == Pace::Answers {
            shortfalls.push("closed loop: the answers set the pace".to_owned());
        }
        if u128::from(self.sent) * 1000 < u128::from(self.due) * SENT_PER_MILLE {
            let late =
                self.lateness.map(|tail| format!(", lateness {} {}", tail.name, units::latency(tail.ns)));
            let share = percent(self.sent as f64 / self.due as f64);
            shortfalls
                .push(format!("only {share} of the messages due were sent{}", late.unwrap_or_default()));
        }
        // Who was sent too little has nothing to answer.
        if let Some(behind) = self.behind.filter(|_| shortfalls.is_empty()) {
            let (achieved, offered) = (units::rate(behind.achieved_per_s), units::rate(behind.offered_per_s));
            shortfalls.push(format!("the broker fell behind: {achieved} {} of {offered}", behind.what));
        }
        if self.shed > 0 {
            shortfalls.push(format!("{} messages were shed from full backlogs", units::grouped(self.shed)));
        }
        shortfalls
    }

    fn lag_fault(&self) -> Option<String> {
        let lag = self.wake_lag?;
        let accepted = LAG_ACCEPTED + self.tolerance_ns;
        let tenth = self.response.map_or(0, |tail| tail.ns / 10);
        let (limit, why) = match self.response {
            Some(response) if tenth > accepted => {
                (tenth, format!("a tenth of the response {}", response.name))
            }
            _ => (accepted, "1 ms plus the tolerance".to_owned()),
        };
        (lag.ns > limit).then(|| {
            let (lag_shown, limit) = (units::latency(lag.ns), units::latency(limit));
            format!("workers woke up late: wake-up lag {} {lag_shown}, above {limit} ({why})", lag.name)
        })
    }

    fn cpu_fault(&self, shortfalls: &[String]) -> Option<String> {
        let (cpu, share) = self.busiest_cpu.filter(|(_, share)| *share > BUSY)?;
        let busy = format!("CPU {cpu} was {} busy with the generator", percent(share));
        match (self.pace, shortfalls) {
            (Pace::None, _) => Some(busy),
            (_, []) => None,
            (_, shortfalls) => Some(format!("{busy}; {}", shortfalls.join("; "))),
        }
    }

    fn clean_reason(&self) -> String {
        let what = match self.pace {
            Pace::None => "no messages were asked for".to_owned(),
            _ if self.sent == self.due => "every message due was sent".to_owned(),
            _ => format!("{} of the messages due were sent", percent(self.sent as f64 / self.due as f64)),
        };
        format!("{what}; {}", self.health())
    }

    /// Wake-up lag and busiest CPU.
    fn health(&self) -> String {
        let lag = self.wake_lag.map(|tail| format!("wake-up lag {} {}", tail.name, units::latency(tail.ns)));
        let cpu = self.busiest_cpu.map(|(cpu, share)| format!("busiest CPU {cpu} at {}", percent(share)));
        let known: Vec<String> = [lag, cpu].into_iter().flatten().collect();
        if known.is_empty() { "too few samples to tell its lag".to_owned() } else { known.join(", ") }
    }
}

/// A share (0 to 1) in per cent, rounded down, so that what is below a limit never reads as on it.
fn percent(share: f64) -> String {
    format!("{:.1} %", (share * 1000.0 + 1e-9).floor() / 10.0)
}
