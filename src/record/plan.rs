use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::{MICROSECOND, Nanos, SECOND};

/// What a run was asked to do, with every default resolved.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Hosts as given: names or addresses, each with its port if one was given. Clients spread evenly.
    pub hosts: Vec<String>,
    /// TCP port of the hosts that name none.
    pub port: u16,
    /// Whether to start the reflector inside and measure that.
    pub embedded: bool,
    /// Cores asked for.
    pub cores_asked: u32,
    /// Cores used: at most what the process may use.
    pub cores_used: u32,
    /// Workers: one on each core that is used, and no more than clients.
    pub workers: u32,
    /// Clients in all.
    pub clients: u32,
    /// Clients that publish.
    pub publishers: u32,
    /// Clients that subscribe.
    pub subscribers: u32,
    /// Probes: pairs beside the clients, with a topic each, a worker of their own and ten messages a second each.
    #[serde(default)]
    pub probes: u32,
    /// Who talks to whom.
    pub topology: Topology,
    /// Groups that publishers and subscribers are dealt to; null: as many as there are of the fewer.
    #[serde(default)]
    pub groups: Option<u32>,
    /// What the subscribers of a group share its messages as: `$share/<share>/<filter>`; null where each has them all.
    #[serde(default)]
    pub share: Option<String>,
    /// What subscribers subscribe to, `%p` being the group; empty: the topics of their group.
    #[serde(default)]
    pub filters: Vec<String>,
    /// Who leaves while the run goes on, when, and for how long.
    #[serde(default)]
    pub absences: Vec<Absence>,
    /// How long idle clients stay before they leave and come again, in nanoseconds; null where they stay to the end.
    #[serde(default)]
    pub stay_ns: Option<Nanos>,
    /// How subscriptions come and go; null where they stay to the end.
    #[serde(default)]
    pub flap: Option<Flap>,
    /// When messages are sent.
    pub schedule: Schedule,
    /// How the rate of an open loop changes in time, as --schedule has it; null where it does not.
    #[serde(default)]
    pub profile: Option<String>,
    /// QoS of publishing: 0, 1 or 2.
    pub qos: u8,
    /// QoS of subscribing: 0, 1 or 2.
    pub sub_qos: u8,
    /// Size of each payload, in bytes.
    pub size_bytes: u64,
    /// Messages after which each publisher stops; null when the duration ends the measure phase.
    pub msg_count: Option<u64>,
    /// Length of the warm-up, in nanoseconds.
    pub warmup_ns: Nanos,
    /// Length of the measure phase, in nanoseconds; null when `msg_count` ends it.
    pub duration_ns: Option<Nanos>,
    /// A drain ends when nothing has come for so long, in nanoseconds,
    pub drain_ns: Nanos,
    /// or when it has lasted so long.
    #[serde(default)]
    pub drain_limit_ns: Nanos,
    /// Connections per second over all workers; null when unlimited.
    pub connect_rate_per_s: Option<f64>,
    /// Longest wait for TCP and CONNACK, in nanoseconds.
    pub connect_timeout_ns: Nanos,
    /// Longest wait for an acknowledgement, in nanoseconds.
    pub ack_timeout_ns: Nanos,
    /// Keep-alive, in nanoseconds (whole seconds on the wire); 0 is off.
    pub keepalive_ns: Nanos,
    /// Clean session flag of CONNECT.
    pub clean_session: bool,
    /// Prefix of client identifiers: client i is `<prefix>-<i>`.
    pub client_id_prefix: String,
    /// What clients have of their own, by the columns of the file that it came from; never its content.
    #[serde(default)]
    pub client_columns: Vec<String>,
    /// Topic template, before substitution.
    pub topic_template: String,
    /// Schedule that a publisher may be behind before it sheds, in nanoseconds.
    pub backlog_ns: Nanos,
    /// Messages due within this span are sent together, in nanoseconds.
    pub tolerance_ns: Nanos,
    /// How workers wait.
    #[serde(default)]
    pub poll: Poll,
    /// Of which deliveries the bytes are compared with what was sent; their length always is.
    #[serde(default)]
    pub verify: Verify,
    /// How connections end.
    #[serde(default)]
    pub close: Close,
    /// Whether lost connections are established again.
    pub reconnect: bool,
    /// Seed of all random streams. A decimal string, because many JSON readers round integers above 2^53.
    #[serde(with = "decimal")]
    pub seed: u64,
    /// Number of the run that every payload carries, as 8 hexadecimal digits. It follows from the seed.
    pub run_id: String,
}

/// What is asked for where nothing is said: 500 pairs, 1 message a second each, at QoS 1 for ten seconds.
impl Default for Plan {
    fn default() -> Plan {
        Plan {
            hosts: vec!["localhost".to_owned()],
            port: 1883,
            embedded: false,
            cores_asked: 1,
            cores_used: 1,
            workers: 1,
            clients: 1000,
            publishers: 500,
            subscribers: 500,
            probes: 0,
            topology: Topology::Pairs,
            groups: None,
            share: None,
            filters: Vec::new(),
            absences: Vec::new(),
            stay_ns: None,
            flap: None,
            schedule: Schedule::Open { rate_per_s: 500.0, arrival: Arrival::Constant, inflight: 65_535 },
            profile: None,
            qos: 1,
            sub_qos: 1,
            size_bytes: 100,
            msg_count: None,
            warmup_ns: 2 * SECOND,
            duration_ns: Some(10 * SECOND),
            drain_ns: 5 * SECOND,
            drain_limit_ns: 60 * SECOND,
            connect_rate_per_s: None,
            connect_timeout_ns: 10 * SECOND,
            ack_timeout_ns: 30 * SECOND,
            keepalive_ns: 60 * SECOND,
            clean_session: true,
            client_id_prefix: "malaria".to_owned(),
            client_columns: Vec::new(),
            topic_template: "bench/%p".to_owned(),
            backlog_ns: SECOND,
            tolerance_ns: 100 * MICROSECOND,
            poll: Poll::Sleep,
            verify: Verify::Sampled,
            close: Close::Fin,
            reconnect: true,
            seed: 1,
            run_id: String::new(),
        }
    }
}

impl Plan {
    /// QoS that subscribers receive with: the lower of the two (section 4.3 of MQTT 3.1.1).
    pub fn delivery_qos(&self) -> u8 {
        self.qos.min(self.sub_qos)
    }
}

/// Who talks to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// One publisher, one subscriber, one topic per pair.
    Pairs,
    /// Many publishers, few subscribers.
    FanIn,
    /// Few publishers, many subscribers.
    FanOut,
    /// Everybody publishes and hears itself.
    #[serde(rename = "self")]
    Itself,
    /// Publishers only: nobody listens.
    Publish,
    /// Connect and ping only.
    Idle,
}

impl fmt::Display for Topology {
    /// As on the command line: `fan-in`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Topology::Pairs => "pairs",
            Topology::FanIn => "fan-in",
            Topology::FanOut => "fan-out",
            Topology::Itself => "self",
            Topology::Publish => "publish",
            Topology::Idle => "idle",
        })
    }
}

/// When messages are sent. In JSON an object whose `loop` is `open`, `closed` or `none`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "loop", rename_all = "kebab-case")]
pub enum Schedule {
    /// Open loop: on schedule, whatever the broker does.
    Open {
        /// Messages per second over all publishers; on average over the measure phase, where they change.
        rate_per_s: f64,
        /// How they are spread in time.
        arrival: Arrival,
        /// Most messages each publisher may have under way; what comes due beyond waits in its backlog.
        inflight: u32,
    },
    /// Closed loop: the next message when the window of its publisher has room, at QoS 0 its connection.
    Closed {
        /// Messages each publisher has under way; says nothing at QoS 0.
        inflight: u32,
    },
    /// Nobody publishes.
    None,
}

/// Clients that leave in order, and come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Absence {
    /// Who.
    pub part: Part,
    /// When they leave, in nanoseconds since the start of the schedule.
    pub at_ns: Nanos,
    /// When they come back, in nanoseconds since then; 0 is at once.
    pub for_ns: Nanos,
}

/// Subscriptions that come and go while their clients stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Flap {
    /// After how long each subscriber unsubscribes, again and again, in nanoseconds.
    pub every_ns: Nanos,
    /// How long after UNSUBACK it subscribes again, in nanoseconds; 0 is at once.
    pub for_ns: Nanos,
}

/// Clients by what they do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Those that publish.
    Publishers,
    /// Those that subscribe.
    Subscribers,
    /// Those that do neither.
    Idle,
    /// Everybody.
    All,
}

/// How a worker waits for what is due next and for what arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Poll {
    /// It sleeps, and is late by what it takes to wake up.
    #[default]
    Sleep,
    /// It sleeps until shortly before something is due, and looks at the clock from then on.
    Auto,
    /// It never sleeps: it looks at the clock and for completions all the time, and takes all of its CPU.
    Busy,
}

/// How connections end that this side closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Close {
    /// In order: whoever closes first keeps the addresses of the connection for a minute (TIME_WAIT).
    #[default]
    Fin,
    /// With a reset, once the broker has closed or had its time to: nobody keeps anything.
    Rst,
}

/// Of which deliveries the bytes are compared with what was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Of none.
    #[default]
    None,
    /// Of one in sixteen of each publisher's.
    Sampled,
    /// Of all.
    All,
}

impl Verify {
    /// Whether message `sequence` is one of them.
    #[inline]
    pub fn covers(self, sequence: u64) -> bool {
        match self {
            Verify::None => false,
            Verify::Sampled => sequence.is_multiple_of(16),
            Verify::All => true,
        }
    }
}

/// How messages of the open loop are spread in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Equal gaps, evenly phased over the publishers.
    Constant,
    /// Exponential gaps.
    Poisson,
}

impl fmt::Display for Arrival {
    /// As on the command line: `poisson`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Arrival::Constant => "constant",
            Arrival::Poisson => "poisson",
        })
    }
}

/// A `u64` as a decimal string; read from a number too.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(u64),
        }
        match Either::deserialize(from)? {
            Either::Number(number) => Ok(number),
            Either::Text(text) => {
                text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not a seed")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_deliveries_are_compared() {
        let covered = |verify: Verify| (0..1600).filter(|sequence| verify.covers(*sequence)).count();
        assert_eq!([Verify::None, Verify::Sampled, Verify::All].map(covered), [0, 100, 1600]);
    }
}
