//! What a bound can be on, by the names of the summary and of the record.

use std::fmt;

use super::cost::Unit;
use crate::stats::Counters;

/// A time that is measured as a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timing {
    AckResponse,
    AckService,
    FlightResponse,
    FlightService,
    RoundTrip,
    TcpConnect,
    Handshake,
    HandshakeResumed,
    Connack,
    Suback,
    Unsuback,
    Disconnect,
    Lateness,
    WakeLag,
    HearingLag,
}

/// Names of the timings; the first of each is the one that is printed.
const TIMINGS: [(Timing, &[&str]); 15] = [
    (Timing::AckResponse, &["ack", "ack-response"]),
    (Timing::AckService, &["ack-service"]),
    (Timing::FlightResponse, &["flight", "flight-response"]),
    (Timing::FlightService, &["flight-service"]),
    (Timing::RoundTrip, &["round-trip"]),
    (Timing::TcpConnect, &["tcp-connect"]),
    (Timing::Handshake, &["handshake", "tls"]),
    (Timing::HandshakeResumed, &["handshake-resumed", "tls-resumed"]),
    (Timing::Connack, &["connack"]),
    (Timing::Suback, &["suback"]),
    (Timing::Unsuback, &["unsuback"]),
    (Timing::Disconnect, &["disconnect"]),
    (Timing::Lateness, &["lateness"]),
    (Timing::WakeLag, &["wake-up-lag", "wake-lag"]),
    (Timing::HearingLag, &["hearing-lag"]),
];

impl Timing {
    pub fn named(name: &str) -> Option<Timing> {
        TIMINGS.iter().find(|(_, names)| names.contains(&name)).map(|(timing, _)| *timing)
    }

    pub fn name(self) -> &'static str {
        let (_, names) = TIMINGS.iter().find(|(timing, _)| *timing == self).expect("every timing has a name");
        names[0]
    }

    pub fn all() -> impl Iterator<Item = Timing> {
        TIMINGS.iter().map(|(timing, _)| *timing)
    }
}

/// A figure of a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statistic {
    Min,
    Mean,
    /// A percentile, in millionths: 999,000 is p99.9. From 1 to 999,999.
    Percentile(u32),
    Max,
}

/// Millionths in a per cent.
const PER_CENT: u32 = 10_000;

impl Statistic {
    /// `min`, `mean`, `max`, `p50`, `p99.9`: percentiles have at most four decimals.
    pub fn named(name: &str) -> Option<Statistic> {
        match name {
            "min" => return Some(Statistic::Min),
            "mean" => return Some(Statistic::Mean),
            "max" => return Some(Statistic::Max),
            _ => {}
        }
        let number = name.strip_prefix('p')?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
        let millionths = whole * PER_CENT + decimals;
        (1..1_000_000).contains(&millionths).then_some(Statistic::Percentile(millionths))
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statistic::Min => f.write_str("min"),
            Statistic::Mean => f.write_str("mean"),
            Statistic::Max => f.write_str("max"),
            Statistic::Percentile(millionths) => {
                let decimals = format!("{:04}", millionths % PER_CENT);
                let decimals = decimals.trim_end_matches('0');
                let point = if decimals.is_empty() { "" } else { "." };
                write!(f, "p{}{point}{decimals}", millionths / PER_CENT)
            }
        }
    }
}

/// What somebody has to have done for a count to say anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Messages were to be published.
    Publishing,
    /// Messages were published above QoS 0.
    Acknowledgements,
    /// Messages were to be delivered.
    Deliveries,
    /// Clients subscribed.
    Subscriptions,
    /// Nothing: connections are always counted.
    Nothing,
}

type Of = fn(&Counters) -> u64;

/// A count of events, with what it takes to judge it.
#[derive(Debug)]
pub struct Counted {
    /// The first is the one that is printed.
    names: &'static [&'static str],
    /// From the counters of a record.
    pub of: Of,
    /// What it is a part of, if a share of something.
    pub whole: Option<Of>,
    pub needs: Needs,
    /// Whether messages per second of it are measured.
    pub has_rate: bool,
    pub unit: Unit,
}

/// One of the counts below.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub &'static Counted);

impl PartialEq for Count {
    fn eq(&self, other: &Count) -> bool {
        self.name() == other.name()
    }
}

impl Count {
    pub fn named(name: &str) -> Option<Count> {
        COUNTS.iter().find(|counted| counted.names.contains(&name)).map(Count)
    }

    pub fn name(self) -> &'static str {
        self.0.names[0]
    }

    pub fn all() -> impl Iterator<Item = Count> {
        COUNTS.iter().map(Count)
    }
}

const fn count(names: &'static [&'static str], needs: Needs, of: Of, whole: Option<Of>) -> Counted {
    Counted { names, of, whole, needs, has_rate: false, unit: Unit::Count }
}

const fn flow(names: &'static [&'static str], needs: Needs, of: Of, whole: Option<Of>) -> Counted {
    Counted { names, of, whole, needs, has_rate: true, unit: Unit::Count }
}

const fn bytes(names: &'static [&'static str], of: Of) -> Counted {
    Counted { names, of, whole: None, needs: Needs::Nothing, has_rate: false, unit: Unit::Bytes }
}

/// In the order of the summary.
static COUNTS: [Counted; 39] = {
    use Needs::{Acknowledgements, Deliveries, Nothing, Publishing, Subscriptions};
    const DUE: Option<Of> = Some(|c| c.due);
    const SENT: Option<Of> = Some(|c| c.sent);
    const EXPECTED: Option<Of> = Some(|c| c.expected);
    [
        flow(&["due", "offered"], Publishing, |c| c.due, None),
        flow(&["sent"], Publishing, |c| c.sent, DUE),
        flow(&["acked"], Acknowledgements, |c| c.acked, DUE),
        flow(&["delivered"], Deliveries, |c| c.delivered, EXPECTED),
        count(&["expected"], Deliveries, |c| c.expected, None),
        count(&["lost"], Deliveries, |c| c.lost, EXPECTED),
        count(&["undelivered-at-end"], Deliveries, |c| c.undelivered_at_end, EXPECTED),
        count(&["duplicated"], Deliveries, |c| c.duplicated, EXPECTED),
        count(&["reordered"], Deliveries, |c| c.reordered, EXPECTED),
        count(&["late"], Deliveries, |c| c.late, EXPECTED),
        count(&["dropped"], Subscriptions, |_| 0, None),
        count(&["untold"], Deliveries, |c| c.untold, None),
        count(&["foreign"], Deliveries, |c| c.foreign, None),
        count(&["corrupted"], Deliveries, |c| c.corrupted, EXPECTED),
        count(&["misrouted"], Deliveries, |c| c.misrouted, None),
        count(&["shed"], Publishing, |c| c.shed, DUE),
        count(&["unfinished"], Publishing, |c| c.unfinished, DUE),
        count(&["unconfirmed"], Publishing, |c| c.unconfirmed, SENT),
        count(&["rejected"], Acknowledgements, |c| c.rejected, SENT),
        count(&["ack-timeouts"], Acknowledgements, |c| c.ack_timeouts, SENT),
        count(&["unacked-at-end"], Acknowledgements, |c| c.unacked_at_end, SENT),
        count(&["connections-asked"], Nothing, |c| c.connections_asked, None),
        count(
            &["connected", "established", "connections-established"],
            Nothing,
            |c| c.connections_established,
            Some(|c| c.connections_asked),
        ),
        count(&["refused"], Nothing, |c| c.refused_by_connack() + c.refused_tcp, None),
        count(&["reasons"], Nothing, |c| c.reasons.total(), None),
        count(&["refused-tcp"], Nothing, |c| c.refused_tcp, None),
        count(&["connections-lost"], Nothing, |c| c.connections_lost, Some(|c| c.connections_established)),
        count(&["reconnects"], Nothing, |c| c.reconnects, None),
        count(&["connect-timeouts", "timed-out"], Nothing, |c| c.connect_timeouts, None),
        count(&["closed-by-broker"], Nothing, |c| c.closed_by_broker, None),
        count(&["protocol-errors"], Nothing, |c| c.protocol_errors, None),
        count(&["subscribed"], Subscriptions, |c| c.subscribed, None),
        count(&["subscribe-failures", "not-subscribed"], Subscriptions, |c| c.subscribe_failures, None),
        count(&["pings"], Nothing, |c| c.pings, None),
        count(&["pongs"], Nothing, |c| c.pongs, None),
        bytes(&["bytes-in"], |c| c.bytes_in),
        bytes(&["bytes-out"], |c| c.bytes_out),
        count(&["packets-in"], Nothing, |c| c.packets_in, None),
        count(&["packets-out"], Nothing, |c| c.packets_out, None),
    ]
};

/// What is a share and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// Of what was to be done, the part that was: the smaller of messages acknowledged (at QoS 0 sent) and of
    /// messages delivered.
    Success,
    /// The generator's busiest CPU.
    Cpu,
}

impl Share {
    pub const ALL: [Share; 2] = [Share::Success, Share::Cpu];

    pub fn name(self) -> &'static str {
        match self {
            Share::Success => "success",
            Share::Cpu => "cpu",
        }
    }

    pub fn named(name: &str) -> Option<Share> {
        Share::ALL.into_iter().find(|share| share.name() == name)
    }
}

/// What something costs the generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Own {
    /// CPU time for each message sent, or delivered where none was.
    CpuPerMessage,
    /// Memory for each client.
    MemoryPerClient,
}

impl Own {
    pub const ALL: [Own; 2] = [Own::CpuPerMessage, Own::MemoryPerClient];

    pub fn name(self) -> &'static str {
        match self {
            Own::CpuPerMessage => "generator-cpu-per-message",
            Own::MemoryPerClient => "memory-per-client",
        }
    }

    pub fn named(name: &str) -> Option<Own> {
        // As the summary calls it.
        let name = if name == "cpu-per-message" { Own::CpuPerMessage.name() } else { name };
        Own::ALL.into_iter().find(|cost| cost.name() == name)
    }

    pub fn unit(self) -> Unit {
        match self {
            Own::CpuPerMessage => Unit::Time,
            Own::MemoryPerClient => Unit::Bytes,
        }
    }
}
