use super::{BoundResult, Ended, Record, Verdict, bounds};
use crate::units;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Exit codes of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked was done and delivered.
    Clean = 0,
    /// A fault of malaria-bench.
    Internal = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Kernel, limits, or an output that cannot be written.
    Environment = 3,
    /// The broker is unreachable, refuses, violates the protocol, or not all clients connected.
    Broker = 4,
    /// Loss, duplicates at QoS 2, reordering within a flow, corrupted or misrouted deliveries, missing
    /// acknowledgements, or messages that a connection's end left unfinished.
    Delivery = 5,
    /// The generator did not keep up with itself, or nothing was measured.
    GeneratorLimited = 6,
    /// A bound of `--require` did not hold, or a condition of `--abort-on` came true.
    Bounds = 7,
    /// What is new is worse than the base by more than is tolerated.
    Regression = 8,
    /// Nobody can tell: too few runs for how they scatter, or only bounds of a capacity.
    Inconclusive = 9,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl Exit {
    const ALL: [Exit; 11] = [
        Exit::Clean,
        Exit::Internal,
        Exit::Usage,
        Exit::Environment,
        Exit::Broker,
        Exit::Delivery,
        Exit::GeneratorLimited,
        Exit::Bounds,
        Exit::Regression,
        Exit::Inconclusive,
        Exit::Interrupted,
    ];

    /// The exit of this code; a code of the future is an internal fault.
    pub fn from_code(code: u8) -> Exit {
        Exit::ALL.into_iter().find(|exit| exit.code() == code).unwrap_or(Exit::Internal)
    }

    /// As the process ends with it.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The one that counts of two: an internal fault or an interrupt, then the lowest code but for those that say that
    /// nobody knows (6 and 9), then these, and clean last. A bound that one run has broken is broken, whatever the
    /// generator did in another.
    pub fn graver(self, other: Exit) -> Exit {
        let rank = |exit: Exit| match exit {
            Exit::Internal => (0, 0),
            Exit::Interrupted => (1, 0),
            Exit::GeneratorLimited | Exit::Inconclusive => (3, exit.code()),
            Exit::Clean => (4, 0),
            fault => (2, fault.code()),
        };
        if rank(other) < rank(self) { other } else { self }
    }

    /// How many ended with which code, in words: `2 with 0 (clean), 1 with 7 (bounds)`; nothing hides behind the gravest.
    pub fn told(codes: &BTreeMap<u8, usize>) -> String {
        let told =
            |(code, count): (&u8, &usize)| format!("{count} with {code} ({})", Exit::from_code(*code).name());
        codes.iter().map(told).collect::<Vec<_>>().join(", ")
    }

    /// One or two words: `generator-limited`.
    pub fn name(self) -> &'static str {
        match self {
            Exit::Clean => "clean",
            Exit::Internal => "internal fault",
            Exit::Usage => "usage",
            Exit::Environment => "environment",
            Exit::Broker => "broker",
            Exit::Delivery => "delivery",
            Exit::GeneratorLimited => "generator-limited",
            Exit::Bounds => "bounds",
            Exit::Regression => "regression",
            Exit::Inconclusive => "inconclusive",
            Exit::Interrupted => "interrupted",
        }
    }
}

/// How a run is to be taken: an exit code, and why in words with the numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The exit code.
    pub exit: Exit,
    /// Why.
    pub reason: String,
}

impl Outcome {
    /// Of a record whose verdict and everything before is filled in. An internal fault and an interrupt go
    /// before everything; of the others the lowest code that applies wins. So a bound is looked at last: the
    /// figures of a generator that did not keep up neither keep nor break one.
    pub fn of(record: &Record) -> Outcome {
        let course = Course {
            ended: record.ended,
            partial_reason: record.partial_reason.as_deref(),
            verdict: (record.verdict, &record.verdict_reasons),
            bounds: &record.bounds,
        };
        course.outcome(words(&broker_faults(record)), words(&delivery_faults(record)))
    }
}

/// What an outcome rests on besides the faults, whatever ran.
pub(super) struct Course<'r> {
    /// How it came to its end.
    pub ended: Ended,
    /// What cut it short.
    pub partial_reason: Option<&'r str>,
    /// The verdict, and why.
    pub verdict: (Verdict, &'r [String]),
    /// The bounds it had to keep.
    pub bounds: &'r [BoundResult],
}

impl Course<'_> {
    /// The outcome, with the faults of the broker and those of the delivery in words.
    pub fn outcome(&self, broker: Vec<String>, delivery: Vec<String>) -> Outcome {
        let ended = match self.ended {
            Ended::Internal => Some(Exit::Internal),
            Ended::Interrupted => Some(Exit::Interrupted),
            Ended::Environment => Some(Exit::Environment),
            Ended::Broker => Some(Exit::Broker),
            // What it took for a limit was none of the broker's.
            Ended::Aborted if self.verdict.0 == Verdict::GeneratorLimited => {
                return self.void("the generator was the bottleneck");
            }
            Ended::Aborted => Some(Exit::Bounds),
            Ended::Completed => None,
        };
        if let Some(exit) = ended {
            return Outcome { exit, reason: self.partial_reason.unwrap_or(exit.name()).to_owned() };
        }
        let mut faults = [(Exit::Broker, broker), (Exit::Delivery, delivery)].into_iter();
        if let Some((exit, words)) = faults.find(|(_, words)| !words.is_empty()) {
            return Outcome { exit, reason: words.join(", ") };
        }
        let void = match self.verdict.0 {
            Verdict::GeneratorLimited => Some("the generator was the bottleneck"),
            Verdict::Unknown => Some("nothing was measured"),
            Verdict::Clean | Verdict::BrokerLimited => None,
        };
        if let Some(what) = void {
            return self.void(what);
        }
        if let Some(reason) = bounds::broken(self.bounds) {
            return Outcome { exit: Exit::Bounds, reason };
        }
        Outcome { exit: Exit::Clean, reason: "everything asked was done and delivered".to_owned() }
    }

    fn void(&self, what: &str) -> Outcome {
        let reason = format!("{what}: {}", self.verdict.1.join("; "));
        Outcome { exit: Exit::GeneratorLimited, reason }
    }
}

/// `what: count` for each count that is not 0.
pub(super) fn words(counts: &[(u64, &str)]) -> Vec<String> {
    let present = counts.iter().filter(|(count, _)| *count > 0);
    present.map(|(count, what)| format!("{what}: {}", units::grouped(*count))).collect()
}

/// What [`unconfirmed`](super::Counters::unconfirmed) messages are called.
pub(super) const UNCONFIRMED: &str = "messages at QoS 0 that the broker may not have read";

/// What [`unfinished`](super::Counters::unfinished) messages are called.
pub(super) const UNFINISHED: &str = "messages unfinished when their connection ended";

type Faults = Vec<(u64, &'static str)>;

fn broker_faults(record: &Record) -> Faults {
    let counts = &record.counts;
    vec![
        (
            u64::from(record.plan.clients).saturating_sub(counts.connections_established),
            "clients never connected",
        ),
        // a lost connection that came back is no fault by itself: what it cost shows in the delivery
        (
            counts.connections_lost.saturating_sub(counts.reconnects),
            "connections lost and not established again",
        ),
        (counts.subscribe_failures, "subscriptions failed"),
        (if counts.sent == 0 { counts.due } else { 0 }, "messages due of which none was sent"),
        (counts.protocol_errors, "violations of the protocol by the broker"),
    ]
}

fn delivery_faults(record: &Record) -> Faults {
    let counts = &record.counts;
    let duplicated = if record.plan.delivery_qos() == 2 { counts.duplicated } else { 0 };
    vec![
        (counts.unfinished, UNFINISHED),
        (counts.unconfirmed, UNCONFIRMED),
        (counts.lost, "deliveries lost"),
        (counts.undelivered_at_end, "deliveries still to come at the end of the drain"),
        (counts.corrupted, "deliveries corrupted"),
        (counts.misrouted, "deliveries to the wrong client"),
        (duplicated, "duplicates at QoS 2"),
        (counts.reordered, "deliveries out of order"),
        (counts.rejected, "messages refused by the broker"),
        (counts.ack_timeouts, "acknowledgements timed out"),
        (counts.unacked_at_end, "messages not acknowledged at the end of the drain"),
    ]
}
