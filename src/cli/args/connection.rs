//! Flags of every command that connects.

use super::transport::TransportArgs;
use super::values::count;
use crate::engine::{Poll, Source, Target};
use crate::units::{Rate, Span};
use crate::wire::Protocol;
use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;

/// Which brokers, and how clients get and stay connected.
#[derive(Clone, Args)]
pub struct ConnectionArgs {
    /// Broker: host, host:port, mqtt://host:port, mqtts://host:port, ws://host:port/path, wss://host:port/path or unix:/path;
    /// repeat it to spread the clients evenly over several.
    #[arg(short = 'H', long, default_value = "localhost", value_name = "HOST", help_heading = "Broker")]
    pub host: Vec<Target>,
    /// Port of the hosts that name none [default: 1883, 8883 with TLS, 8083 with WebSocket, 8084 with both].
    #[arg(short, long, value_name = "PORT", help_heading = "Broker")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// User name for CONNECT [default: none].
    #[arg(short, long, value_name = "NAME", conflicts_with = "credentials", help_heading = "Broker")]
    pub username: Option<String>,
    /// File with the password; without it the environment variable MALARIA_PASSWORD counts [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
    pub password_file: Option<PathBuf>,
    /// File of `user:password` lines, one for each client in turn: a file as keygen makes it is one
    /// [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
    pub credentials: Option<PathBuf>,
    /// What each client has of its own: a CSV file whose first line names the columns, some of id, username, password,
    /// password_file, cert, key, psk_identity, source and topic, with one line for each client in turn; or a pattern such as
    /// `id=device-%i,username=user-%i` with %i for the number of the client [default: none].
    #[arg(long, value_name = "FILE", conflicts_with = "credentials", help_heading = "Broker")]
    pub clients_file: Option<String>,
    /// Version of MQTT: 3.1 or 3.1.1.
    #[arg(long, default_value_t = Protocol::V311, value_name = "VERSION", help_heading = "Broker")]
    pub protocol: Protocol,

    /// Pinned workers [default: all CPUs this process may use, or half of them when the broker is on this
    /// machine; publish, subscribe and watch take no more of them than their clients keep busy].
    #[arg(long, value_name = "N", value_parser = count::<u32, 1>, help_heading = "Connections")]
    pub cores: Option<u32>,
    /// How workers wait: asleep, awake shortly before each message, or awake all the time. Who does not sleep is more
    /// punctual, takes more CPU, and need not be woken by the broker.
    #[arg(long, value_enum, default_value_t = PollArg::Sleep, value_name = "HOW", help_heading = "Connections")]
    pub poll: PollArg,
    /// Connections a second, over all workers [default: unlimited].
    #[arg(long, alias = "ramp", value_name = "RATE", help_heading = "Connections")]
    pub connect_rate: Option<Rate>,
    /// Longest wait for the TCP connection, for CONNACK and for SUBACK.
    #[arg(long, default_value = "10s", value_name = "TIME", help_heading = "Connections")]
    pub connect_timeout: Span,
    /// Attempts at the first connection before a client has failed; 0 is unlimited.
    #[arg(long, default_value = "1", value_name = "N", value_parser = count::<u32, 0>, help_heading = "Connections")]
    pub connect_attempts: u32,
    /// Attempts in a row to establish a lost connection again, after a growing wait; 0 is unlimited
    /// [default: 0 for the main job; 10 for publish, subscribe and watch].
    #[arg(long, value_name = "N", value_parser = count::<u32, 0>, help_heading = "Connections")]
    pub reconnect_attempts: Option<u32>,
    /// Silence after which a client pings; 0 turns it off.
    #[arg(short, long, default_value = "60s", value_name = "TIME", help_heading = "Connections")]
    pub keepalive: Span,
    /// Clean session flag of CONNECT; false keeps subscriptions and unacknowledged messages over a loss.
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL", help_heading = "Connections")]
    pub clean_session: bool,
    /// Local address to come from, block of addresses (10.1.0.0/16) or interface; repeat it for several, which clients
    /// take in turn [default: the kernel's choice, and as many of 127/8 as a broker on loopback takes].
    #[arg(long, value_name = "ADDRESS", help_heading = "Connections")]
    pub source: Vec<Source>,
    /// How connections end: in order, or with a reset once the broker has closed its side, so that nothing is left in
    /// TIME_WAIT here or there.
    #[arg(long, value_enum, default_value_t = CloseArg::Fin, value_name = "HOW", help_heading = "Connections")]
    pub close: CloseArg,
    #[command(flatten)]
    pub transport: TransportArgs,
    #[command(flatten)]
    pub will: WillArgs,
}

/// How connections end.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CloseArg {
    /// In order.
    Fin,
    /// With a reset.
    Rst,
}

/// What the broker publishes when a connection ends without DISCONNECT; the same for every client.
#[derive(Clone, Args)]
pub struct WillArgs {
    /// Topic of the will: what the broker publishes when a client's connection ends without DISCONNECT
    /// [default: no will].
    #[arg(long, value_name = "TOPIC", help_heading = "Connections")]
    pub will_topic: Option<String>,
    /// What it says; needs --will-topic [default: nothing].
    #[arg(long, value_name = "TEXT", help_heading = "Connections")]
    pub will_payload: Option<String>,
    /// QoS that it is published with: 0, 1 or 2; needs --will-topic [default: 0].
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=2), value_name = "QOS", help_heading = "Connections")]
    pub will_qos: Option<u8>,
    /// Set its retain flag; needs --will-topic [default: off].
    #[arg(long, help_heading = "Connections")]
    pub will_retain: bool,
}

/// How workers wait.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PollArg {
    /// Asleep.
    Sleep,
    /// Awake from 50 us before a message is due.
    Auto,
    /// Awake all the time.
    Busy,
}

impl From<PollArg> for Poll {
    fn from(poll: PollArg) -> Poll {
        match poll {
            PollArg::Sleep => Poll::Sleep,
            PollArg::Auto => Poll::Auto,
            PollArg::Busy => Poll::Busy,
        }
    }
}
