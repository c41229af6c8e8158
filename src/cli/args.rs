//! What can be typed.

mod connection;
mod gate;
mod keygen;
mod publish;
mod report;
mod scenario;
mod subscribe;
mod values;
mod watch;

pub use connection::ConnectionArgs;
pub use gate::{JudgeArgs, RequireArgs};
pub use keygen::KeygenArgs;
pub use publish::{FramingArg, OutputArgs, PayloadArgs, PublishArgs};
pub use report::ReportArgs;
pub use scenario::{AttackArgs, ExperimentArgs, MatrixArgs, ScenarioArgs};
pub use subscribe::SubscribeArgs;
pub use values::Step;
pub use watch::WatchArgs;

use crate::engine::Target;
use crate::load::Template;
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
  malaria-bench -H broker.lab --require 'ack p99 < 5ms'    exit code 7 when that does not hold
  malaria-bench reflector --port 1883 --cores 4            the built-in broker on its own
  malaria-bench publish -P 500 -T 5 -t -n 1000             a command of mqtt-malaria: see its own -h
  malaria-bench report a.json b.json --html both.html      two finished runs beside each other

Times: 250ms, 1.5s, 2m; a bare number is seconds.

Exit codes:
  0 clean   1 internal fault   2 usage   3 environment (kernel, limits, unwritable output)
  4 broker (unreachable, refused, not all clients connected)
  5 delivery (loss, duplicates at QoS 2, reordering, missing acknowledgements)
  6 the generator was the bottleneck   7 a bound of --require did not hold
  130 interrupted; of 3 to 7 the lowest that applies";

/// A load generator and benchmarker for MQTT brokers.
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
    /// Run the built-in MQTT broker on its own.
    Reflector(ReflectorArgs),
    /// Read finished records again, and compare them: as text, HTML or CSV.
    Report(ReportArgs),
    /// Judge results that were written with --json by bounds.
    Check(JudgeArgs),
    /// Run several commands as one experiment: every combination of variables, against every broker.
    Scenario(ScenarioArgs),
    /// Run the built-in matrix: fan-in, fan-out, partitioned x 1, 5, 10 clients x QoS x size x session.
    Matrix(MatrixArgs),
    #[command(flatten)]
    Malaria(MalariaCommand),
}

const MALARIA_EXIT_CODES: &str = "\
Each command has its own help: malaria publish -h.

Exit codes:
  0 clean   1 internal fault   2 usage   3 environment (kernel, limits, unwritable output)
  4 broker (unreachable, refused, not all clients connected)
  5 delivery (loss, duplicates, drops, missing acknowledgements)
  6 the generator was the bottleneck   7 a bound of --require did not hold
  130 interrupted; of 3 to 7 the lowest that applies";

/// Load for MQTT brokers, and what came of it: the commands of mqtt-malaria, on the engine of malaria-bench.
#[derive(Parser)]
#[command(name = "malaria", version, styles = STYLES, after_help = MALARIA_EXIT_CODES)]
#[command(subcommand_required = true, arg_required_else_help = true, max_term_width = 110)]
pub struct Malaria {
    #[command(subcommand)]
    pub command: MalariaCommand,
}

#[derive(Subcommand)]
pub enum MalariaCommand {
    /// Publish a stream of messages, and capture statistics on their timing.
    Publish(Box<PublishArgs>),
    /// Listen to a stream of messages, and capture statistics on their timing.
    Subscribe(Box<SubscribeArgs>),
    /// Count messages as they go by, in a directory of small files.
    Watch(Box<WatchArgs>),
    /// Make keys for mosquitto's psk_file, or split a file of them.
    Keygen(KeygenArgs),
    /// Run a warhead: a file of shell commands, one after the other, most of them `malaria` commands.
    Attack(AttackArgs),
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
    /// File (TOML) with flags by their names; the command line wins [default: none].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Args)]
pub struct RunArgs {
    /// Broker: host, host:port, mqtt://host:port or unix:/path; repeat it to spread the clients evenly over several.
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
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
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
    #[command(flatten)]
    pub require: RequireArgs,
    /// File (TOML) with flags by their names; the command line wins [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub config: Option<PathBuf>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    /// checklist 1: the four commands, in both programs.
    #[test]
    fn malarias_commands_exist() {
        for name in ["publish", "subscribe", "watch", "keygen"] {
            assert!(Malaria::try_parse_from(["malaria", name]).is_ok(), "{name}");
            let cli = Cli::try_parse_from(["malaria-bench", name]).unwrap_or_else(|error| panic!("{error}"));
            assert!(matches!(cli.command, Some(Command::Malaria(_))), "{name}");
        }
    }

    /// checklist 1: no command is answered with the usage on standard error, and exit code 2.
    #[test]
    fn no_command_is_a_usage_error() {
        let error = Malaria::try_parse_from(["malaria"]).err().expect("a command is required");
        assert_eq!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
        assert_eq!((error.exit_code(), error.use_stderr()), (2, true));
        let text = error.to_string();
        assert!(text.contains("Usage: malaria <COMMAND>") && text.contains("publish"), "{text}");
        assert!(Malaria::try_parse_from(["malaria", "fly"]).is_err());
    }

    /// checklist 3
    #[test]
    fn keygens_flags_are_malarias() {
        let keygen = |line: &str| {
            let words = ["malaria", "keygen"].into_iter().chain(line.split_whitespace());
            match Malaria::try_parse_from(words).expect("malaria takes it").command {
                MalariaCommand::Keygen(args) => args,
                _ => panic!("keygen was asked for"),
            }
        };
        let args = keygen("");
        assert_eq!((args.template.as_str(), args.count.get(), args.split), ("malaria-tlspsk-%d", 10, false));
        assert_eq!((args.file, args.infile), ("-".into(), PathBuf::from("-")));
        for line in ["-t a%d -n 3 -f out -F in -s", "--template a%d --count 3 --file out --infile in --split"]
        {
            let args = keygen(line);
            assert_eq!((args.template.as_str(), args.count.get(), args.split), ("a%d", 3, true));
            assert_eq!((args.file, args.infile), ("out".into(), PathBuf::from("in")));
        }
    }

    /// No flag is there twice, and every default is one that its flag takes.
    #[test]
    fn the_commands_are_consistent() {
        use clap::CommandFactory;
        super::super::config::either_spelling(Cli::command()).debug_assert();
        super::super::config::either_spelling(Malaria::command()).debug_assert();
    }
}
