//! What every contender does, and what it says about itself afterwards.

use std::fmt;
use std::str::FromStr;

use malaria_bench::clock::{MILLISECOND, Nanos, SECOND};
use malaria_bench::engine::{Usage, process_usage};
use malaria_bench::wire::QoS;

/// Bytes of a payload where nothing else is said.
pub const PAYLOAD: usize = 100;
/// Keepalive in CONNECT, seconds: longer than any run, so that nobody pings.
pub const KEEP_ALIVE_S: u16 = 60;
/// Nanoseconds between two pings of an idle client whose keepalive is a second: the product looks at it three times
/// in three quarters of a second, each time at the next whole millisecond.
pub const PING_EVERY: Nanos = 753 * MILLISECOND;
/// Bytes that leave in one send when nothing but the kernel limits it, as in the product.
pub const TURN: usize = 64 << 10;
/// Clients of one contender between SYN and CONNACK.
pub const CONNECTING: usize = 100;

/// Clients that share a subscription.
pub const MEMBERS: u32 = 4;

/// What clients do, and what of it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Messages of QoS 0 that the kernel took, for a broker that reads everything and says nothing.
    Sent,
    /// Messages of QoS 1 that were acknowledged; nobody listens.
    Acked,
    /// The same of QoS 2.
    Completed,
    /// Deliveries: the first client publishes at QoS 1, and all others listen at QoS 0.
    FanOut,
    /// Deliveries: all clients publish at QoS 1 but the last, which listens at QoS 0.
    FanIn,
    /// The same, but that the last [`MEMBERS`] share a subscription, so that each message goes to one of them.
    Shared,
    /// Messages of QoS 1 that were acknowledged, at a rate that grows evenly from 0 to twice the pace.
    Ramp,
    /// Answered pings of clients that do nothing else.
    Pings,
    /// Connections that are made and left again.
    Connects,
}

impl Work {
    const ALL: [(Work, &str); 9] = [
        (Work::Sent, "sent"),
        (Work::Acked, "acked"),
        (Work::Completed, "completed"),
        (Work::FanOut, "fan-out"),
        (Work::FanIn, "fan-in"),
        (Work::Shared, "shared"),
        (Work::Ramp, "ramp"),
        (Work::Pings, "pings"),
        (Work::Connects, "connects"),
    ];

    /// Of publishing.
    pub fn qos(self) -> QoS {
        match self {
            Work::Sent => QoS::AtMostOnce,
            Work::Completed => QoS::ExactlyOnce,
            _ => QoS::AtLeastOnce,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Load {
    pub clients: u32,
    pub work: Work,
    /// Bytes.
    pub payload: usize,
    pub pace: Pace,
    /// Nanoseconds of load before the clock starts, and under the clock.
    pub warmup: Nanos,
    pub measure: Nanos,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// Each client keeps this many messages in flight.
    Closed { inflight: u16 },
    /// Messages a second over all clients, evenly spaced. What is due within the tolerance
    /// (nanoseconds) may be sent together.
    Open { rate: u32, tolerance: Nanos },
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pace::Closed { inflight } => write!(f, "closed:{inflight}"),
            Pace::Open { rate, tolerance } => write!(f, "open:{rate}:{tolerance}"),
        }
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Pace, String> {
        let fields: Vec<&str> = text.split(':').collect();
        let number = |field: &str| field.parse::<u64>().map_err(|error| format!("{text}: {error}"));
        match fields[..] {
            ["closed", inflight] => Ok(Pace::Closed { inflight: number(inflight)? as u16 }),
            ["open", rate, tolerance] => {
                Ok(Pace::Open { rate: number(rate)? as u32, tolerance: number(tolerance)? })
            }
            _ => Err(format!("{text}: not a pace")),
        }
    }
}

impl Load {
    /// For a child's command line.
    pub fn to_args(self) -> [String; 6] {
        let work = Work::ALL.iter().find(|(work, _)| *work == self.work);
        [
            self.clients.to_string(),
            work.expect("all are there").1.to_owned(),
            self.payload.to_string(),
            self.pace.to_string(),
            (self.warmup / MILLISECOND).to_string(),
            (self.measure / MILLISECOND).to_string(),
        ]
    }

    pub fn from_args(args: &[String]) -> Result<Load, String> {
        let number = |at: usize| args[at].parse::<u64>().map_err(|error| error.to_string());
        let work = Work::ALL.iter().find(|(_, name)| *name == args[1]);
        Ok(Load {
            clients: number(0)? as u32,
            work: work.ok_or_else(|| format!("{}: not a work", args[1]))?.0,
            payload: number(2)? as usize,
            pace: args[3].parse()?,
            warmup: number(4)? * MILLISECOND,
            measure: number(5)? * MILLISECOND,
        })
    }

    /// Whether `client` subscribes.
    pub fn listens(&self, client: u32) -> bool {
        match self.work {
            Work::FanOut => client > 0,
            Work::FanIn => client == self.clients - 1,
            Work::Shared => client >= self.clients - MEMBERS,
            _ => false,
        }
    }

    /// Nanoseconds from the start of the schedule to message `round` of `client`, in the open loop.
    pub fn due(&self, round: u64, client: u32) -> Nanos {
        let Pace::Open { rate, .. } = self.pace else { return 0 };
        let message = round * u64::from(self.clients) + u64::from(client);
        match self.work {
            Work::Ramp => (message as f64 * self.span() as f64 * 1e9 / f64::from(rate)).sqrt() as Nanos,
            _ => message * SECOND / u64::from(rate),
        }
    }

    /// Nanoseconds of the whole schedule.
    pub fn span(&self) -> Nanos {
        self.warmup + self.measure
    }
}

/// The topic of a client.
pub fn topic(client: u32) -> String {
    format!("bench/{client}")
}

/// What one contender used under the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// What is counted of its work: messages, deliveries, pings or connections.
    pub done: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    pub span_ns: u64,
    /// Calls of `io_uring_enter`, where they are known.
    pub enters: Option<u64>,
}

impl Sample {
    /// CPU microseconds for each.
    pub fn cpu_us(&self) -> f64 {
        (self.user_ns + self.system_ns) as f64 / 1e3 / self.done.max(1) as f64
    }

    pub fn rate(&self) -> f64 {
        self.done as f64 * 1e9 / self.span_ns.max(1) as f64
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { done, user_ns, system_ns, span_ns, enters } = self;
        write!(f, "{done} {user_ns} {system_ns} {span_ns} {}", enters.map_or(-1, |count| count as i64))
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(line: &str) -> Result<Sample, String> {
        let numbers: Vec<i64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [done, user, system, span, enters] = numbers[..] else {
            return Err(format!("`{line}` is not a sample"));
        };
        Ok(Sample {
            done: done as u64,
            user_ns: user as u64,
            system_ns: system as u64,
            span_ns: span as u64,
            enters: u64::try_from(enters).ok(),
        })
    }
}

/// The state of a contender at one edge of the measure window.
#[derive(Clone, Copy)]
pub struct Edge {
    pub time: Nanos,
    pub usage: Usage,
    pub done: u64,
    pub enters: Option<u64>,
}

impl Edge {
    /// With the usage of the whole process (`getrusage(RUSAGE_SELF)`).
    pub fn now(done: u64, enters: Option<u64>) -> Edge {
        Edge { time: malaria_bench::clock::now(), usage: process_usage(), done, enters }
    }

    pub fn to(self, end: Edge) -> Sample {
        let usage = end.usage.since(self.usage);
        Sample {
            done: end.done - self.done,
            user_ns: usage.user_ns,
            system_ns: usage.system_ns,
            span_ns: end.time - self.time,
            enters: self.enters.zip(end.enters).map(|(from, to)| to - from),
        }
    }
}
