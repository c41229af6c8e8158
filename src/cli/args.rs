//! What can be typed.

use crate::load::Template;
use crate::run::Target;
use crate::units::{Rate, Size, Span};
use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::str::FromStr;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  malaria-bench --embedded                                 no broker needed: measures the built-in reflector
  malaria-bench -H broker.lab --cores 16 --clients 200000  the main job
  malaria-bench -H broker.lab --rate 50k -q 2 -s 1KiB      50,000 messages a second at QoS 2
  malaria-bench -H broker.lab --rate max --inflight 8      as fast as the broker acknowledges
  malaria-bench reflector --port 1883 --cores 4            the built-in broker on its own

Times: 250ms, 1.5s, 2m; a bare number is seconds.

Exit codes:
  0 clean   1 internal fault   2 usage   3 environment (kernel, limits, unwritable output)
  4 broker (unreachable, refused, not all clients connected)
  5 delivery (loss, duplicates at QoS 2, reordering, missing acknowledgements)
  6 the generator was the bottleneck   130 interrupted";

/// A load generator and benchmarker for MQTT 3.1.1 brokers.
///
/// Without a subcommand: half the clients publish to the other half, one topic per pair, on a schedule
/// that does not wait for the broker. Latency counts from the intended time of each message.
#[derive(Parser)]
#[command(name = "malaria-bench", version, styles = STYLES, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the built-in MQTT 3.1.1 broker on its own.
    Reflector(ReflectorArgs),
}

#[derive(Args)]
pub struct ReflectorArgs {
    /// TCP port; 0 takes a free one.
    #[arg(short, long, default_value_t = 1883, value_name = "PORT")]
    pub port: u16,
    /// Address to listen on; :: is every address of this machine.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub bind: IpAddr,
    /// Pinned workers [default: all CPUs this process may use].
    #[arg(long, value_name = "N")]
    pub cores: Option<NonZeroU32>,
    /// Connections to have room for: where the descriptor limit caps a ring, more rings share a core
    /// [default: one ring per core, as many as the limit on open files lets it hold].
    #[arg(long, value_name = "N")]
    pub max_clients: Option<NonZeroU32>,
    /// Print nothing but errors.
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Args)]
pub struct RunArgs {
    /// Broker: host, host:port or mqtt://host:port; repeat it to spread the clients evenly over several.
    #[arg(short = 'H', long, default_value = "localhost", value_name = "HOST", help_heading = "Broker")]
    pub host: Vec<Target>,
    /// Port of the hosts that name none.
    #[arg(short, long, default_value_t = 1883, value_name = "PORT", help_heading = "Broker")]
    pub port: u16,
    /// Start the built-in reflector on loopback, on CPUs of its own, and measure that [default: off].
    #[arg(long, conflicts_with_all = ["host", "port"], help_heading = "Broker")]
    pub embedded: bool,
    /// User name for CONNECT [default: none].
    #[arg(short, long, value_name = "NAME", help_heading = "Broker")]
    pub username: Option<String>,
    /// File with the password; without it the environment variable MALARIA_PASSWORD counts [default: none].
    #[arg(long, value_name = "FILE", requires = "username", help_heading = "Broker")]
    pub password_file: Option<PathBuf>,

    /// Pinned workers [default: all CPUs this process may use, or half of them when the broker is on this
    /// machine].
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub cores: Option<NonZeroU32>,
    /// Clients in all.
    #[arg(long, default_value_t = 1000, value_name = "N", help_heading = "Clients")]
    pub clients: u32,
    /// Who talks to whom.
    #[arg(long, value_enum, default_value_t = TopologyArg::Pairs, value_name = "SHAPE", help_heading = "Clients")]
    pub topology: TopologyArg,
    /// Clients that publish [default: as the topology says].
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub publishers: Option<u32>,
    /// Clients that subscribe [default: as the topology says].
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub subscribers: Option<u32>,
    /// Prefix of the client ids: client i is PREFIX-i [default: malaria-<host>-<pid>].
    #[arg(short, long, value_name = "PREFIX", help_heading = "Clients")]
    pub clientid: Option<String>,
    /// Connections a second, over all workers [default: unlimited].
    #[arg(long, value_name = "RATE", help_heading = "Clients")]
    pub connect_rate: Option<Rate>,
    /// Longest wait for the TCP connection, for CONNACK and for SUBACK.
    #[arg(long, default_value = "10s", value_name = "TIME", help_heading = "Clients")]
    pub connect_timeout: Span,
    /// Silence after which a client pings; 0 turns it off.
    #[arg(short, long, default_value = "60s", value_name = "TIME", help_heading = "Clients")]
    pub keepalive: Span,
    /// Clean session flag of CONNECT; false keeps subscriptions and unacknowledged messages over a loss.
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL", help_heading = "Clients")]
    pub clean_session: bool,
    /// Establish lost connections again, after a growing wait.
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL", help_heading = "Clients")]
    pub reconnect: bool,

    /// Messages a second of all publishers together, such as 500, 20k or 1.5M; `max` sends the next when
    /// the broker has acknowledged (closed loop) [default: 1/s per publisher].
    #[arg(long, value_name = "RATE", conflicts_with = "msgs_per_second", help_heading = "Messages")]
    pub rate: Option<RateArg>,
    /// The same per publisher; fractions allowed, such as 0.066 [default: 1].
    #[arg(short = 'T', long, value_name = "RATE", help_heading = "Messages")]
    pub msgs_per_second: Option<Rate>,
    /// Most unacknowledged messages per publisher; on a schedule, what comes due beyond waits in the
    /// backlog [default: 1 with --rate max, else 65535].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Messages")]
    pub inflight: Option<u16>,
    /// How messages are spread in time.
    #[arg(long, value_enum, default_value_t = ArrivalArg::Constant, value_name = "KIND", help_heading = "Messages")]
    pub arrival: ArrivalArg,
    /// QoS to publish and subscribe with: 0, 1 or 2.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2), value_name = "QOS", help_heading = "Messages")]
    pub qos: u8,
    /// QoS to subscribe with, if another [default: that of --qos].
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=2), value_name = "QOS", help_heading = "Messages")]
    pub sub_qos: Option<u8>,
    /// Payload, such as 100 or 4KiB; at least the 24 bytes of the stamp.
    #[arg(short, long, default_value = "100", value_name = "SIZE", help_heading = "Messages")]
    pub size: Size,
    /// Topic template: %c client id, %i client index, %p pair, %r run id.
    #[arg(short, long, default_value = "bench/%p", value_name = "TOPIC", help_heading = "Messages")]
    pub topic: Template,
    /// Schedule that a publisher may be behind before it sheds messages.
    #[arg(long, default_value = "1s", value_name = "TIME", help_heading = "Messages")]
    pub backlog: Span,
    /// Messages that come due within this time after others were sent are sent together, and are late by
    /// it [default: 100us; times the rings of a core, where several share one].
    #[arg(long, value_name = "TIME", help_heading = "Messages")]
    pub tolerance: Option<Span>,
    /// Longest wait for an acknowledgement.
    #[arg(long, default_value = "30s", value_name = "TIME", help_heading = "Messages")]
    pub ack_timeout: Span,
    /// Seed of everything random; the same seed and plan give byte-identical streams [default: random].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub seed: Option<u64>,

    /// Length of the measure phase.
    #[arg(long, default_value = "10s", value_name = "TIME", help_heading = "Phases")]
    pub duration: Span,
    /// Stop after N messages of each publisher instead, without warm-up.
    #[arg(short = 'n', long, value_name = "N", conflicts_with_all = ["duration", "warmup"], help_heading = "Phases")]
    pub msg_count: Option<NonZeroU64>,
    /// Publishing before the measure phase.
    #[arg(long, default_value = "2s", value_name = "TIME", help_heading = "Phases")]
    pub warmup: Span,
    /// Longest wait for what is under way after the measure phase.
    #[arg(long, default_value = "5s", value_name = "TIME", help_heading = "Phases")]
    pub drain: Span,

    /// Write the record (JSON) to FILE, or to standard output with - [default: nowhere].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Print neither progress nor summary: errors only, and the record if asked for.
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
    /// The status line on standard error, each second.
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto, value_name = "WHEN", help_heading = "Output")]
    pub progress: ProgressArg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TopologyArg {
    /// Half publish, half subscribe, one topic per pair.
    Pairs,
    /// One subscriber hears all others.
    FanIn,
    /// All others hear one publisher.
    FanOut,
    /// Nobody listens.
    Publish,
    /// Connect and ping only.
    Idle,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ArrivalArg {
    /// Equal gaps, evenly phased over the publishers.
    Constant,
    /// Exponential gaps.
    Poisson,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// When standard error is a terminal.
    Auto,
    Always,
    Never,
}

/// A rate, or as fast as the broker acknowledges.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum RateArg {
    Max,
    Open(Rate),
}

impl FromStr for RateArg {
    type Err = crate::units::UnitError;

    fn from_str(text: &str) -> Result<RateArg, Self::Err> {
        if text == "max" { Ok(RateArg::Max) } else { text.parse().map(RateArg::Open) }
    }
}
