//! Flags of every command that connects.

use crate::engine::Target;
use crate::units::Span;
use crate::wire::Protocol;
use clap::{ArgAction, Args};
use std::num::NonZeroU32;
use std::path::PathBuf;

#[derive(Args)]
pub struct ConnectionArgs {
    /// Broker: host, host:port, mqtt://host:port or unix:/path; repeat it to spread the clients evenly over several.
    #[arg(short = 'H', long, default_value = "localhost", value_name = "HOST", help_heading = "Broker")]
    pub host: Vec<Target>,
    /// Port of the hosts that name none.
    #[arg(short, long, default_value_t = 1883, value_name = "PORT", help_heading = "Broker")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
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
    /// Version of MQTT: 3.1 or 3.1.1.
    #[arg(long, default_value_t = Protocol::V311, value_name = "VERSION", help_heading = "Broker")]
    pub protocol: Protocol,

    /// Longest wait for the TCP connection, for CONNACK and for SUBACK.
    #[arg(long, default_value = "10s", value_name = "TIME", help_heading = "Connections")]
    pub connect_timeout: Span,
    /// Attempts at the first connection before a client has failed; 0 is unlimited.
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Connections")]
    pub connect_attempts: u32,
    /// Attempts in a row to establish a lost connection again; 0 is unlimited.
    #[arg(long, default_value_t = 10, value_name = "N", help_heading = "Connections")]
    pub reconnect_attempts: u32,
    /// Silence after which a client pings; 0 turns it off.
    #[arg(short, long, default_value = "60s", value_name = "TIME", help_heading = "Connections")]
    pub keepalive: Span,
    /// Clean session flag of CONNECT; false keeps subscriptions and unacknowledged messages over a loss.
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL", help_heading = "Connections")]
    pub clean_session: bool,
    /// Pinned workers [default: as many as the clients keep busy, of the CPUs this process may use].
    #[arg(long, value_name = "N", help_heading = "Connections")]
    pub cores: Option<NonZeroU32>,
}
