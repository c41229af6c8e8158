//! Flags of `subscribe`.

use super::values::{Pauses, count};
use super::{BrokerArgs, ConnectionArgs, OutputArgs};
use crate::load::PayloadStamp;
use crate::units::Span;
use clap::Args;

pub const EXAMPLES: &str = "\
Examples:
  malaria subscribe -n 1000 -N 500                     for `malaria publish -t -n 1000 -P 500`
  malaria subscribe -n 1000 -N 500 --quiet-after 10s   gives up when nothing arrives for 10 seconds
  malaria subscribe --endless -t 'home/#' --print      shows whatever comes, until interrupted

Times: 250ms, 1.5s, 2m; a bare number is seconds.";

/// What is typed behind `subscribe`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct SubscribeArgs {
    /// Client id [default: beem-listr-<pid>].
    #[arg(short, long, value_name = "ID", help_heading = "Messages")]
    pub clientid: Option<String>,
    /// Clients that subscribe, each to the same; client i of several is ID-i.
    #[arg(long, default_value = "1", value_name = "N", value_parser = count::<u32, 1>, help_heading = "Messages")]
    pub clients: u32,
    /// A client of its own for each --topic, times --clients [default: off].
    #[arg(long, help_heading = "Messages")]
    pub connection_per_topic: bool,
    /// QoS to subscribe with: 0, 1 or 2.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2), value_name = "QOS", help_heading = "Messages")]
    pub qos: u8,
    /// Messages expected of each client, numbered from 1.
    #[arg(
        short = 'n',
        long = "msg_count",
        default_value = "10",
        value_name = "N",
        value_parser = count::<u64, 1>,
        help_heading = "Messages"
    )]
    pub msg_count: u64,
    /// Clients expected.
    #[arg(
        short = 'N',
        long = "client_count",
        default_value = "1",
        value_name = "N",
        value_parser = count::<u64, 1>,
        help_heading = "Messages"
    )]
    pub client_count: u64,
    /// Expect nothing: count what comes until interrupted [default: off].
    #[arg(long, conflicts_with_all = ["msg_count", "client_count"], help_heading = "Messages")]
    pub endless: bool,
    /// Topic filter; repeat it for several. The first + stands for the client id; the first # or the second
    /// + for the number of the message.
    #[arg(
        short,
        long,
        default_value = "mqtt-malaria/+/data/#",
        value_name = "FILTER",
        help_heading = "Messages"
    )]
    pub topic: Vec<String>,
    /// What each message begins with: see `publish -h`.
    #[arg(long, default_value = "malaria", value_name = "STAMP", help_heading = "Messages")]
    pub stamp: PayloadStamp,
    /// Print each payload that arrives [default: off].
    #[arg(long, help_heading = "Messages")]
    pub print: bool,
    /// Keep the flight times of every N messages in a row as a sample of their own, in --json
    /// [default: none; those of each second are always there].
    #[arg(long, value_name = "N", value_parser = count::<u64, 1>, help_heading = "Messages")]
    pub sample_every: Option<u64>,
    /// messages,time: 100,50ms reads nothing for 50 ms after every 100th message [default: none].
    #[arg(long, value_name = "PAUSE", help_heading = "Messages")]
    pub slow: Option<Pauses>,
    /// Seed of everything random: waits before lost connections are established again [default: random].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub seed: Option<u64>,

    /// End when nothing has arrived for as long, from the first message on [default: never].
    #[arg(long, value_name = "TIME", help_heading = "End")]
    pub quiet_after: Option<Span>,
    /// With --quiet-after: count from the subscription on, also when nothing ever arrives [default: off].
    #[arg(long, help_heading = "End")]
    pub quiet_from_start: bool,
    /// End after this time [default: never].
    #[arg(long, value_name = "TIME", help_heading = "End")]
    pub duration: Option<Span>,
    /// Go on when the broker reports that it drops messages [default: off].
    #[arg(long, help_heading = "End")]
    pub ignore_drops: bool,

    #[command(flatten)]
    pub broker: BrokerArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}
