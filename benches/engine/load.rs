//! What every contender does, and what it says about itself afterwards.

use std::fmt;
use std::str::FromStr;

use malaria_bench::clock::{MILLISECOND, Nanos, SECOND};
use malaria_bench::engine::{Usage, process_usage};

/// Bytes of a payload.
pub const PAYLOAD: usize = 100;
/// Keepalive in CONNECT, seconds: longer than any run, so that nobody pings.
pub const KEEP_ALIVE_S: u16 = 60;
/// Clients of one contender between SYN and CONNACK.
pub const CONNECTING: usize = 100;

/// Clients that publish at QoS 1, one topic each; nobody listens.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Load {
    pub clients: u32,
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
    pub fn to_args(self) -> [String; 4] {
        [
            self.clients.to_string(),
            self.pace.to_string(),
            (self.warmup / MILLISECOND).to_string(),
            (self.measure / MILLISECOND).to_string(),
        ]
    }

    pub fn from_args(args: &[String]) -> Result<Load, String> {
        let number = |at: usize| args[at].parse::<u64>().map_err(|error| error.to_string());
        Ok(Load {
            clients: number(0)? as u32,
            pace: args[1].parse()?,
            warmup: number(2)? * MILLISECOND,
            measure: number(3)? * MILLISECOND,
        })
    }

    /// Nanoseconds from the start of the schedule to message `round` of `client`, in the open loop.
    pub fn due(&self, round: u64, client: u32) -> Nanos {
        let Pace::Open { rate, .. } = self.pace else { return 0 };
        (round * u64::from(self.clients) + u64::from(client)) * SECOND / u64::from(rate)
    }
}

/// The topic of a client.
pub fn topic(client: u32) -> String {
    format!("bench/{client}")
}

/// What one contender used under the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    pub acked: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    pub span_ns: u64,
    /// Calls of `io_uring_enter`, where they are known.
    pub enters: Option<u64>,
}

impl Sample {
    /// CPU microseconds for each acknowledged message.
    pub fn cpu_us(&self) -> f64 {
        (self.user_ns + self.system_ns) as f64 / 1e3 / self.acked.max(1) as f64
    }

    pub fn rate(&self) -> f64 {
        self.acked as f64 * 1e9 / self.span_ns.max(1) as f64
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { acked, user_ns, system_ns, span_ns, enters } = self;
        write!(f, "{acked} {user_ns} {system_ns} {span_ns} {}", enters.map_or(-1, |count| count as i64))
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(line: &str) -> Result<Sample, String> {
        let numbers: Vec<i64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [acked, user, system, span, enters] = numbers[..] else {
            return Err(format!("`{line}` is not a sample"));
        };
        Ok(Sample {
            acked: acked as u64,
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
    pub acked: u64,
    pub enters: Option<u64>,
}

impl Edge {
    /// With the usage of the whole process (`getrusage(RUSAGE_SELF)`).
    pub fn now(acked: u64, enters: Option<u64>) -> Edge {
        Edge { time: malaria_bench::clock::now(), usage: process_usage(), acked, enters }
    }

    pub fn to(self, end: Edge) -> Sample {
        let usage = end.usage.since(self.usage);
        Sample {
            acked: end.acked - self.acked,
            user_ns: usage.user_ns,
            system_ns: usage.system_ns,
            span_ns: end.time - self.time,
            enters: self.enters.zip(end.enters).map(|(from, to)| to - from),
        }
    }
}
