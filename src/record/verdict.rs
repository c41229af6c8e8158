use serde::{Deserialize, Serialize};

use super::{Ended, FleetRecord, Latencies, Latency, Phase, Record, Schedule};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::units::{self, Span};

#[cfg(test)]
mod tests;

/// Which side set the limit of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The schedule was kept and the generator had time to spare: the numbers are the broker's.
    Clean,
    /// The broker took less than it was offered, or set the pace of a closed loop: the numbers are its limit.
    BrokerLimited,
    /// The generator did not keep up with itself: the numbers say nothing about the broker.
    GeneratorLimited,
    /// Nothing was measured.
    #[default]
    Unknown,
}

impl Verdict {
    /// One or two words, as in the record: `broker-limited`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::BrokerLimited => "broker-limited",
            Verdict::GeneratorLimited => "generator-limited",
            Verdict::Unknown => "unknown",
        }
    }
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
    /// Closed loop at QoS 0, where nothing is answered: the room that connections have.
    Room,
    /// Nothing: no messages were asked for.
    None,
}

impl Pace {
    fn closed(qos: u8) -> Pace {
        if qos == 0 { Pace::Room } else { Pace::Answers }
    }

    /// What sets the pace of a closed loop, in words.
    fn shortfall(self) -> Option<&'static str> {
        match self {
            Pace::Answers => Some("closed loop: the answers set the pace"),
            Pace::Room => Some("closed loop at QoS 0: room in the connections set the pace"),
            Pace::Schedule | Pace::None => None,
        }
    }
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
    /// How many there were per second.
    pub achieved_per_s: f64,
    /// How many there were to be per second.
    pub offered_per_s: f64,
}

impl Behind {
    /// Of `achieved` messages within `span` where `offered` came due. What is merely on its way at the end is
    /// no backlog: half a per cent, or a quarter of a second of the schedule, is allowed; and so is the
    /// `tolerance`, for which messages were held back by the generator.
    fn of(
        what: &'static str,
        achieved: u64,
        offered: u64,
        (span, tolerance): (Nanos, Nanos),
    ) -> Option<Behind> {
        let (seconds, held) = (span as f64 / 1e9, tolerance as f64 / 1e9);
        let (achieved, offered) = (achieved as f64, offered as f64);
        let allowed = (offered * 0.005).max(offered * (0.25 + held) / seconds);
        (offered - achieved > allowed).then_some(Behind {
            what,
            achieved_per_s: achieved / seconds,
            offered_per_s: offered / seconds,
        })
    }
}

/// The numbers a verdict rests on: of a run those of the measure phase, of a fleet those of all of it. What the
/// engine lost, found full or had no buffer for is of the whole life of the workers.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    /// What sets the pace.
    pub pace: Pace,
    /// Messages whose intended time came.
    pub due: u64,
    /// Messages that the kernel took.
    pub sent: u64,
    /// Messages given up because a backlog was full.
    pub shed: u64,
    /// Messages written to a connection that ended before the kernel had taken them.
    pub unfinished: u64,
    /// Messages that came due so late that the end of the schedule found them held back by the tolerance.
    pub held_back: u64,
    /// How late the workers noticed what was due.
    pub wake_lag: Option<Tail>,
    /// Wake-up lag that is always accepted, on top of the tolerance.
    pub lag_accepted: Nanos,
    /// Hand-over minus intended time.
    pub lateness: Option<Tail>,
    /// The shortest of the response times: what wake-up lag distorts first.
    pub response: Option<Tail>,
    /// What the broker answered in the measure phase, when it fell behind the schedule.
    pub behind: Option<Behind>,
    /// Span within which messages are sent together on purpose, in nanoseconds.
    pub tolerance_ns: Nanos,
    /// Schedule that a publisher may be behind before it sheds, in nanoseconds; `None` where nobody sheds.
    pub backlog_ns: Option<Nanos>,
    /// From the arrival of bytes until a worker looked at them.
    pub hearing_lag: Option<Tail>,
    /// The medians of that and of the shortest service time: of a closed loop's round, our own part and the broker's.
    pub round: Option<(Nanos, Nanos)>,
    /// The CPU on which a worker waited longest for its turn, and its share of the time (0 to 1).
    pub starved: Option<(usize, f64)>,
    /// The generator's busiest CPU and its share (0 to 1).
    pub busiest_cpu: Option<(usize, f64)>,
    /// Times of 100 ms and more that a worker did not look at what was there, each with the second in which that was,
    /// counted from 0; and of how many seconds.
    pub stalls: (Vec<(usize, Nanos)>, usize),
    /// Completions that the kernel lost: nobody knows of what.
    pub completions_lost: u64,
    /// Receives that brought bytes.
    pub receives: u64,
    /// Receives that found every buffer in use.
    pub receives_without_buffer: u64,
    /// Sends that found the socket's buffer full.
    pub sends_blocked: u64,
    /// Connections that the embedded broker turned away for want of room.
    pub connections_refused: u64,
}

/// Wake-up lag of a run that is always accepted, on top of the tolerance.
const LAG_ACCEPTED: Nanos = MILLISECOND;
/// The same of a fleet: publishers that simulate devices send a few messages a second, and malaria's own timer
/// was no finer.
const FLEET_LAG_ACCEPTED: Nanos = 100 * MILLISECOND;
/// A fleet that took less has no shares to go by, nor rounds enough: CPU time is counted in coarse steps.
const FLEET_CPU_SPAN: Nanos = SECOND;
/// A CPU busier than this has no room for what comes at once.
const BUSY: f64 = 0.9;
/// A worker that is ready to run and waits for longer than this share of the time does so for others: 0.4 to 2.2 %
/// were measured on a quiet machine, 33 to 75 % beside one to three others on the same CPU, and nothing in between.
const STARVED: f64 = 0.05;
/// Stalls that the reasons tell of; the rest is in the record.
const NAMED: usize = 3;
/// A worker that does not look for so long has been stopped, or its machine has: no load of its own takes it that.
const STALL: Nanos = 100 * MILLISECOND;
/// Per mille of the messages due that have to be sent.
const SENT_PER_MILLE: u128 = 995;
/// One receive in so many may find no buffer: more come in faster than the generator hears them.
const WITHOUT_BUFFER: u64 = 10;

/// Whether less was answered in the measure phase than came due in it. A count of messages has no end to be
/// behind at, and a run that was cut short did not reach it.
fn behind(record: &Record) -> Option<Behind> {
    let timed = record.plan.duration_ns.is_some() && record.ended == Ended::Completed;
    let open = matches!(record.plan.schedule, Schedule::Open { .. });
    let span = record.span_of(Phase::Measure).filter(|span| timed && open && *span > 0)?;
    let span = (span, record.plan.tolerance_ns);
    let (counts, throughput) = (&record.counts, &record.throughput);
    let due = if record.plan.qos > 0 { counts.due } else { 0 };
    // Deliveries that were lost for good are a fault of their own.
    let expected = counts.expected.saturating_sub(counts.lost);
    Behind::of("acknowledged", throughput.acked, due, span)
        .or_else(|| Behind::of("delivered", throughput.delivered, expected, span))
}

/// Messages of a fleet that its tolerance may have kept from being sent until it ended: of each publisher what
/// comes due in that time, and one more. In a run the end waits for them.
fn held_back(record: &FleetRecord) -> u64 {
    let span = u128::from(record.publishing_ns().unwrap_or(0).max(1));
    let unsent = record.publishers.iter().map(|publisher| {
        let due = u128::from(publisher.generated) * u128::from(record.tolerance_ns) / span + 1;
        let unsent = publisher.generated.saturating_sub(publisher.sent + publisher.unfinished);
        unsent.min(u64::try_from(due).unwrap_or(u64::MAX))
    });
    if record.tolerance_ns > 0 { unsent.sum() } else { 0 }
}

/// The longest of `seconds`, and how many there are; what the tolerance holds back is no stall.
fn stalls(seconds: impl Iterator<Item = Nanos>, tolerance: Nanos) -> (Vec<(usize, Nanos)>, usize) {
    let seconds: Vec<_> = seconds.enumerate().collect();
    let all = seconds.len();
    (seconds.into_iter().filter(|(_, stall)| *stall >= STALL + tolerance).collect(), all)
}

/// Of a round of a closed loop, our own part and the broker's, by their medians.
fn round(latencies: &Latencies, services: [&Latency; 2]) -> Option<(Nanos, Nanos)> {
    let service = services.into_iter().filter_map(|latency| latency.p50_ns).min();
    Some((latencies.hearing_lag.p50_ns?, service?))
}

impl Evidence {
    /// Of a record whose plan, counts, latencies and generator are filled in.
    pub fn of(record: &Record) -> Evidence {
        let (latencies, generator) = (&record.latencies, &record.generator);
        let responses = [latencies.ack_response.tail(), latencies.flight_response.tail()];
        Evidence {
            pace: match record.plan.schedule {
                Schedule::Open { .. } => Pace::Schedule,
                Schedule::Closed { .. } => Pace::closed(record.plan.qos),
                Schedule::None => Pace::None,
            },
            due: record.counts.due,
            sent: record.counts.sent,
            shed: record.counts.shed,
            unfinished: record.counts.unfinished,
            held_back: 0,
            wake_lag: latencies.wake_lag.tail(),
            lag_accepted: LAG_ACCEPTED,
            lateness: latencies.lateness.tail(),
            response: responses.into_iter().flatten().min_by_key(|tail| tail.ns),
            behind: behind(record),
            tolerance_ns: record.plan.tolerance_ns,
            backlog_ns: Some(record.plan.backlog_ns),
            hearing_lag: latencies.hearing_lag.tail(),
            round: round(latencies, [&latencies.ack_service, &latencies.flight_service]),
            starved: generator.starved(),
            busiest_cpu: generator.busiest_cpu(),
            stalls: stalls(
                // What happened before or after the measure phase is in no figure.
                record.series.iter().map(|second| match second.phase {
                    Phase::Measure | Phase::Drain => second.stall_ns,
                    _ => 0,
                }),
                record.plan.tolerance_ns,
            ),
            completions_lost: generator.completions_lost,
            receives: generator.receives,
            receives_without_buffer: generator.receives_without_buffer,
            sends_blocked: generator.sends_blocked,
            connections_refused: record.broker.connections_refused.unwrap_or(0),
        }
    }

    /// Of a fleet's record whose counts, latencies, generator and clients are filled in. It has no measure phase
    /// at the end of which the broker could be behind, and no backlog: what a publisher did not send by its end
    /// is unsent. Flight times are by the clocks of two machines, so they are not compared with anything.
    pub fn of_fleet(record: &FleetRecord) -> Evidence {
        let (latencies, generator) = (&record.latencies, &record.generator);
        let responses = [latencies.ack_response.tail(), latencies.round_trip.tail()];
        Evidence {
            pace: match (record.publishers.is_empty(), record.closed_loop) {
                (true, _) => Pace::None,
                (false, true) => Pace::closed(record.qos),
                (false, false) => Pace::Schedule,
            },
            due: record.counts.due,
            sent: record.counts.sent,
            shed: 0,
            unfinished: record.counts.unfinished,
            held_back: held_back(record),
            wake_lag: latencies.wake_lag.tail(),
            lag_accepted: FLEET_LAG_ACCEPTED,
            lateness: latencies.lateness.tail(),
            response: responses.into_iter().flatten().min_by_key(|tail| tail.ns),
            behind: None,
            tolerance_ns: record.tolerance_ns,
            backlog_ns: None,
            hearing_lag: latencies.hearing_lag.tail(),
            round: round(latencies, [&latencies.ack_service, &latencies.round_trip])
                .filter(|_| record.elapsed_ns >= FLEET_CPU_SPAN),
            starved: generator.starved().filter(|_| record.elapsed_ns >= FLEET_CPU_SPAN),
            busiest_cpu: generator.busiest_cpu().filter(|_| record.elapsed_ns >= FLEET_CPU_SPAN),
            stalls: stalls(record.series.iter().map(|second| second.stall_ns), record.tolerance_ns),
            completions_lost: generator.completions_lost,
            receives: generator.receives,
            receives_without_buffer: generator.receives_without_buffer,
            sends_blocked: generator.sends_blocked,
            connections_refused: record.broker.connections_refused.unwrap_or(0),
        }
    }

    /// The verdict, by these rules in their order:
    ///
    /// 1. Completions were lost: *generator-limited*, whatever else was measured.
    /// 2. Messages were asked for and none was sent: *unknown*.
    /// 3. A worker that was ready to run and waited for its CPU for more than 5 % of the time, in a closed loop or
    ///    where anything below was late or too little: *generator-limited*.
    /// 4. Wake-up lag above what is accepted (1 ms, of a fleet 100 ms) plus the tolerance, and above 10 % of what is
    ///    left of the response time without it; or hearing lag above what is accepted and above 10 % of the response
    ///    time, of which it is no part; or one receive in ten without a buffer; or messages shed or unsent with a
    ///    tolerance longer than the backlog: *generator-limited*.
    ///    The same for stalls of 100 ms and more in more than a quarter of the seconds. A single one is told of, and
    ///    spoils its second.
    /// 5. A closed loop whose answers lie with the generator for more than twice as long as they took (medians of
    ///    hearing lag and service time): *generator-limited*.
    /// 6. A generator CPU above 90 % busy in a closed loop, with no messages asked for, with messages shed or
    ///    unfinished, or with less than 99.5 % of what was due sent: *generator-limited*.
    /// 7. Less than 99.5 % of what was due sent, messages shed or unfinished, connections refused by the embedded
    ///    broker, less acknowledged or delivered within the measure phase than came due in it (see [`Behind`]),
    ///    or a closed loop: *broker-limited*. Sends that found a socket full are told of as its cause.
    /// 8. *Clean*.
    ///
    /// What the tolerance holds back counts as sent and answered in 6 and 7.
    pub fn judge(&self) -> Judgement {
        let mut faults = Vec::from_iter(self.loss_fault());
        if self.pace != Pace::None && self.sent == 0 && faults.is_empty() {
            let reason = match self.due {
                0 => "no message came due".to_owned(),
                due => format!("none of the {} messages due was sent", units::grouped(due)),
            };
            return Judgement { verdict: Verdict::Unknown, reasons: vec![reason] };
        }
        let shortfalls = self.shortfalls();
        let late = [self.lag_fault(), self.hearing_fault()];
        let harmed = !shortfalls.is_empty() || late.iter().any(Option::is_some);
        faults.extend(self.starved_fault(harmed));
        faults.extend(late.into_iter().flatten());
        faults.extend(self.stall_fault());
        faults.extend(self.buffer_fault());
        faults.extend(self.tolerance_fault());
        faults.extend(self.cpu_fault(&shortfalls));
        let (verdict, mut reasons) = match (faults.is_empty(), shortfalls.is_empty()) {
            (false, _) => (Verdict::GeneratorLimited, faults),
            (true, false) => {
                let health = format!("the generator kept up: {}", self.health());
                let causes = self.blocked().into_iter().chain([health]);
                (Verdict::BrokerLimited, shortfalls.into_iter().chain(causes).collect())
            }
            (true, true) => (Verdict::Clean, vec![self.clean_reason()]),
        };
        reasons.extend(self.stalls.0.iter().take(NAMED).map(|(second, stall)| {
            let stall = units::latency(*stall);
            format!("a worker stood still for {stall} in second {second}: what was measured then is not the broker's")
        }));
        Judgement { verdict, reasons }
    }

    /// What kept the run from going faster or from doing what was due.
    fn shortfalls(&self) -> Vec<String> {
        let mut shortfalls = Vec::from_iter(self.pace.shortfall().map(str::to_owned));
        if self.too_few_sent() {
            let late =
                self.lateness.map(|tail| format!(", lateness {} {}", tail.name, units::latency(tail.ns)));
            let share = units::percent(self.sent as f64 / self.due as f64);
            shortfalls
                .push(format!("only {share} of the messages due were sent{}", late.unwrap_or_default()));
        }
        // Who was sent too little has nothing to answer.
        if let Some(behind) = self.behind.filter(|_| shortfalls.is_empty()) {
            let (achieved, offered) = (units::rate(behind.achieved_per_s), units::rate(behind.offered_per_s));
            shortfalls.push(format!("the broker fell behind: {achieved} {} of {offered}", behind.what));
        }
        let counts = [
            (self.shed, "message", "shed from full backlogs"),
            (self.unfinished, "message", "unfinished when the connection ended"),
            (self.connections_refused, "connection", "turned away by the embedded broker for want of room"),
        ];
        let counted = counts.into_iter().filter(|(count, ..)| *count > 0);
        shortfalls.extend(counted.map(|(count, what, how)| format!("{} {how}", were(count, what))));
        shortfalls
    }

    /// Messages that nobody held back on purpose.
    fn too_few_sent(&self) -> bool {
        let sent = u128::from(self.sent) + u128::from(self.held_back);
        sent * 1000 < u128::from(self.due) * SENT_PER_MILLE
    }

    /// What the connections tell of a broker that does not read.
    fn blocked(&self) -> Option<String> {
        let sends = units::grouped(self.sends_blocked);
        (self.sends_blocked > 0)
            .then(|| format!("the broker did not read fast enough: {sends} sends found the connection full"))
    }

    fn loss_fault(&self) -> Option<String> {
        (self.completions_lost > 0).then(|| {
            let lost = were(self.completions_lost, "completion");
            format!("{lost} lost by the kernel: the counts are not whole")
        })
    }

    fn buffer_fault(&self) -> Option<String> {
        let (without, all) =
            (self.receives_without_buffer, self.receives.saturating_add(self.receives_without_buffer));
        (without > all / WITHOUT_BUFFER).then(|| {
            let (share, without) = (units::percent(without as f64 / all as f64), units::grouped(without));
            format!("more came in at once than could be heard: {share} of the receives ({without}) found no buffer")
        })
    }

    fn tolerance_fault(&self) -> Option<String> {
        let backlog = self.backlog_ns.filter(|backlog| *backlog < self.tolerance_ns)?;
        let missing = self.due.saturating_sub(self.sent + self.unfinished);
        let lacking = self.pace == Pace::Schedule && (self.shed > 0 || self.too_few_sent());
        lacking.then(|| {
            let (held, backlog) = (Span::from_nanos(self.tolerance_ns), Span::from_nanos(backlog));
            let missing = were(missing.max(self.shed), "message");
            format!(
                "messages were held back for {held} (the tolerance), longer than the backlog of {backlog}: \
                 {missing} shed"
            )
        })
    }

    /// Who kept a schedule although others had the CPU has kept it.
    fn starved_fault(&self, harmed: bool) -> Option<String> {
        let (cpu, share) = self.starved.filter(|(_, share)| harmed && *share > STARVED)?;
        let share = units::percent(share);
        Some(format!(
            "something else ran on CPU {cpu}, or a CPU quota was used up: a worker was ready and waited for {share} \
             of the time; keep others off its CPUs (taskset, cpusets), or use others (--cores)"
        ))
    }

    fn stall_fault(&self) -> Option<String> {
        let (stalls, seconds) = (self.stalls.0.len(), self.stalls.1);
        (stalls * 4 > seconds && stalls > 1).then(|| {
            format!("workers stood still in {stalls} of {seconds} seconds (stopped, or a paused machine)")
        })
    }

    /// What was noticed late makes what is left of the response longer, and is not measured by it.
    fn lag_fault(&self) -> Option<String> {
        let lag = self.wake_lag?;
        let rest = self.response.map(|tail| Tail { ns: tail.ns.saturating_sub(lag.ns), ..tail });
        let (limit, why) = self.limit(rest, " without it");
        (lag.ns > limit).then(|| {
            let (lag_shown, limit) = (units::latency(lag.ns), units::latency(limit));
            format!("workers woke up late: wake-up lag {} {lag_shown}, above {limit} ({why})", lag.name)
        })
    }

    /// What had arrived and was not looked at. Of an open loop; in a closed one all clients may be answered at once,
    /// which is no fault unless it is by far the longer part of a round.
    fn hearing_fault(&self) -> Option<String> {
        if self.pace.shortfall().is_some() {
            let (ours, theirs) = self.round.filter(|(ours, theirs)| *ours > 2 * theirs)?;
            let (ours, theirs) = (units::latency(ours), units::latency(theirs));
            return Some(format!(
                "answers lay with the generator for more than twice as long as they took: hearing lag p50 {ours}, \
                 service p50 {theirs}; more --cores would go faster"
            ));
        }
        let lag = self.hearing_lag?;
        let (limit, why) = self.limit(self.response, "");
        (lag.ns > limit).then(|| {
            let (lag_shown, limit) = (units::latency(lag.ns), units::latency(limit));
            format!("workers heard late: hearing lag {} {lag_shown}, above {limit} ({why})", lag.name)
        })
    }

    /// Lag above this is a fault: beside a long `response` a tenth of it, or else what is always accepted.
    fn limit(&self, response: Option<Tail>, of_it: &str) -> (Nanos, String) {
        let accepted = self.lag_accepted.saturating_add(self.tolerance_ns);
        match response.filter(|tail| tail.ns / 10 > accepted) {
            Some(tail) => (tail.ns / 10, format!("a tenth of the response {}{of_it}", tail.name)),
            None => (accepted, format!("{} ms plus the tolerance", self.lag_accepted / MILLISECOND)),
        }
    }

    fn cpu_fault(&self, shortfalls: &[String]) -> Option<String> {
        let (cpu, share) = self.busiest_cpu.filter(|(_, share)| *share > BUSY)?;
        let busy = format!("CPU {cpu} was {} busy with the generator", units::percent(share));
        match (self.pace, shortfalls) {
            (Pace::None, _) => Some(busy),
            (_, []) => None,
            (_, shortfalls) => Some(format!("{busy}; {}", shortfalls.join("; "))),
        }
    }

    fn clean_reason(&self) -> String {
        let what = match self.pace {
            Pace::None => "nobody was to publish".to_owned(),
            _ if self.sent >= self.due => "every message due was sent".to_owned(),
            _ => format!(
                "{} of the messages due were sent",
                units::percent(self.sent as f64 / self.due as f64)
            ),
        };
        format!("{what}; {}", self.health())
    }

    /// Wake-up lag and busiest CPU.
    fn health(&self) -> String {
        let lag = self.wake_lag.map(|tail| format!("wake-up lag {} {}", tail.name, units::latency(tail.ns)));
        let cpu =
            self.busiest_cpu.map(|(cpu, share)| format!("busiest CPU {cpu} at {}", units::percent(share)));
        let known: Vec<String> = [lag, cpu].into_iter().flatten().collect();
        if known.is_empty() { "too few samples to tell its lag".to_owned() } else { known.join(", ") }
    }
}

/// `1 message was`, `2,000 messages were`
fn were(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what} was"),
        _ => format!("{} {what}s were", units::grouped(count)),
    }
}
