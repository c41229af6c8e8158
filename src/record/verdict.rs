use serde::{Deserialize, Serialize};

use super::{Ended, Exit};
use crate::clock::Nanos;
use crate::units;

mod evidence;
mod faults;
#[cfg(test)]
mod tests;

pub use evidence::{Divergence, Evidence, Sharing};

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

    /// Whether what ended like this says nothing of its broker: the generator was the bottleneck, whatever faults came of
    /// that, or nothing was measured and no fault of the broker's was the cause. A broker that ended it has said enough.
    pub(super) fn is_void(self, ended: Ended, exit: Exit) -> bool {
        match self {
            _ if ended == Ended::Broker => false,
            Verdict::GeneratorLimited => true,
            Verdict::Unknown => exit == Exit::GeneratorLimited,
            Verdict::Clean | Verdict::BrokerLimited => false,
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

/// Stalls that the reasons tell of; the rest is in the record.
const NAMED: usize = 3;

impl Evidence {
    /// The verdict, by these rules in their order:
    ///
    /// 1. The completion queue was full, the machine did not let all connections be opened, or clients connected slower
    ///    than was asked for while handshakes took 60 % of the workers' time: *generator-limited*, whatever else was
    ///    measured.
    /// 2. Messages were asked for and none was sent: *unknown*.
    /// 3. In a closed loop, or where anything below was late or too little: a worker that was ready to run and waited
    ///    for its CPU for more than 5 % of the time, a quota that took as much, or a host that took 2 %:
    ///    *generator-limited*. Who was on the CPU is named.
    /// 4. Wake-up lag above what is accepted (1 ms, of a fleet 100 ms) plus the tolerance, and above 10 % of what is
    ///    left of the response time without it; or hearing lag above what is accepted and above 10 % of the response
    ///    time, of which it is no part; or one receive in ten without a buffer; or messages shed or unsent with a
    ///    tolerance longer than the backlog: *generator-limited*.
    ///    Or, on a schedule, the response time is far above that of the probes (see [`Divergence`]), and more than half of it
    ///    was before the hand-over, for which no full window or socket is to blame.
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
    /// A broker on a CPU of a worker that waited is told of in any case.
    ///
    /// What the tolerance holds back counts as sent and answered in 6 and 7.
    pub fn judge(&self) -> Judgement {
        let mut faults: Vec<String> =
            [self.queue_fault(), self.cap_fault(), self.handshake_fault()].into_iter().flatten().collect();
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
        // A quota shows as a wait, too; what the host took does not.
        let starved = self.quota_fault(harmed).or_else(|| self.starved_fault(harmed));
        let shared = self.shared_with_broker().filter(|_| starved.is_none());
        faults.extend(starved);
        faults.extend(self.steal_fault(harmed));
        faults.extend(late.into_iter().flatten());
        faults.extend(self.queue_of_our_own());
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
        reasons.extend(shared);
        reasons.extend(self.apart_from_probes());
        reasons.extend(self.stalls.0.iter().take(NAMED).map(|(second, stall)| {
            let stall = units::latency(*stall);
            format!("a worker stood still for {stall} in second {second}: what was measured then is not the broker's")
        }));
        Judgement { verdict, reasons }
    }
}
