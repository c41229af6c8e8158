//! What can be typed.

mod broker;
mod capacity;
mod compare;
mod connection;
mod five;
mod gate;
mod keygen;
mod manuals;
mod output;
mod publish;
mod report;
mod run;
mod scenario;
mod subscribe;
mod suite;
mod transport;
mod values;
mod watch;

pub use broker::{BrokerArgs, MetricsArgs};
pub use capacity::{CapacityArgs, OverArg};
pub use compare::{AbArgs, CompareArgs, SeriesArgs};
pub use connection::{CloseArg, ConnectionArgs, WillArgs};
pub use gate::{JudgeArgs, RequireArgs};
pub use keygen::KeygenArgs;
pub use manuals::{CompletionsArgs, ManArgs, ProgramArg};
pub use output::{OutputArgs, ProgressArg};
pub use publish::{FramingArg, PayloadArgs, PublishArgs};
pub use report::ReportArgs;
pub use run::{ArrivalArg, RunArgs, TopologyArg, VerifyArg};
pub use scenario::{AttackArgs, ExperimentArgs, MatrixArgs, ScenarioArgs};
pub use subscribe::SubscribeArgs;
pub use suite::{NamedArgs, ScenariosArgs};
pub use transport::{DoorArgs, TlsVersionArg, TransportArgs};
pub use values::{Scale, Step};
pub use watch::WatchArgs;

use crate::units::Span;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;
use values::count;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// What `--version` says.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit    ",
    env!("MALARIA_COMMIT"),
    "\ntarget    ",
    env!("MALARIA_TARGET"),
    "\nprotocols MQTT 3.1, MQTT 3.1.1, MQTT 5\ntransport TCP, Unix sockets, through io_uring\nfeatures  metrics, tui"
);

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
  6 the generator was the bottleneck, or nothing was measured
  7 a bound of --require did not hold, or --abort-on came true
  8 worse than the base by more than is tolerated   9 too few runs, or too little, to tell
  130 interrupted. One run: the lowest of 3 to 7 that applies; several runs: the gravest (README)";

/// A load generator and benchmarker for MQTT brokers.
///
/// Without a subcommand: half the clients publish to the other half, one topic per pair, on a schedule
/// that does not wait for the broker. Latency counts from the intended time of each message.
#[derive(Parser)]
#[command(name = "malaria-bench", version, long_version = VERSION, styles = STYLES, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, max_term_width = 100)]
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
    /// Say what of this machine stands in the way of a run with these flags, and what mends it.
    Doctor(Box<RunArgs>),
    /// Measure what this machine can generate at most, for later runs to say how much of it they used.
    Calibrate(CalibrateArgs),
    /// Find the highest load that a broker sustains under a goal: messages/s, clients, connects/s or fan-out.
    Capacity(Box<CapacityArgs>),
    /// Read finished records again, and compare them: as text, HTML or CSV.
    Report(ReportArgs),
    /// Judge results that were written with --json by bounds.
    Check(JudgeArgs),
    /// Say whether runs are worse than others by more than is tolerated, and how sure that is.
    Compare(CompareArgs),
    /// Measure two brokers in turns, until it is known whether the second is worse.
    Ab(AbArgs),
    /// Run several commands as one experiment: every combination of variables, against every broker.
    Scenario(ScenarioArgs),
    /// Run a standard workload by its name, such as mqttbs/p2p-1k: as the main job, with any of its flags.
    Run(Box<NamedArgs>),
    /// List the standard workloads: clients, rates, what goes in and comes out.
    Scenarios(ScenariosArgs),
    /// Run the built-in matrix: fan-in, fan-out, partitioned x 1, 5, 10 clients x QoS x size x session.
    Matrix(MatrixArgs),
    /// Print what lets a shell complete the flags of these programs.
    Completions(CompletionsArgs),
    /// Write the manual pages of these programs into a directory.
    Man(ManArgs),
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
#[command(name = "malaria", version, long_version = VERSION, styles = STYLES, after_help = MALARIA_EXIT_CODES)]
#[command(subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
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
    #[command(flatten)]
    pub door: DoorArgs,
    /// Pinned workers [default: all CPUs this process may use].
    #[arg(long, value_name = "N", value_parser = count::<u32, 1>)]
    pub cores: Option<u32>,
    /// Connections to have room for: where the descriptor limit caps a ring, a worker has more rings
    /// [default: one ring per core, as many as the limit on open files lets it hold].
    #[arg(long, value_name = "N", value_parser = count::<u32, 1>)]
    pub max_clients: Option<u32>,
    /// Do what this file (TOML) says, against the standard: be slow, lose, double, swap and cut messages, refuse,
    /// answer wrongly or never, stop reading, stand still. See the README and benches/scripts. With one worker.
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Write what the script had it do to this file: a line of JSON for each deed, and at the end one with the totals.
    #[arg(long, value_name = "FILE", requires = "script")]
    pub log: Option<PathBuf>,
    /// Print the JSON Schema of a line of the log, and end [default: off].
    #[arg(long)]
    pub json_schema: bool,
    /// Print nothing but errors.
    #[arg(long)]
    pub quiet: bool,
    /// File (TOML) with flags by their names; the command line wins [default: none].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Args)]
pub struct CalibrateArgs {
    /// CPUs for the generator; the reflector has the others [default: half of those that this process may use].
    #[arg(long, value_name = "N", value_parser = count::<u32, 1>)]
    pub cores: Option<u32>,
    /// How long each of nine loads is measured, five times; all of it takes about twice as long.
    #[arg(long, default_value = "300ms", value_name = "SPAN")]
    pub duration: Span,
    /// Print the JSON Schema of what is kept, and end [default: off].
    #[arg(long)]
    pub json_schema: bool,
    /// Print nothing but errors.
    #[arg(long)]
    pub quiet: bool,
    /// File (TOML) with flags by their names; the command line wins [default: none].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
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

    /// A terminal is 80 to 100 columns wide, and so is a page of a manual.
    #[test]
    fn help_is_within_100_columns() {
        let programs = [Cli::command(), Malaria::command()];
        let texts = programs.into_iter().flat_map(|mut program| {
            program.build();
            let commands: Vec<_> = program.get_subcommands().cloned().collect();
            std::iter::once(program).chain(commands)
        });
        let mut seen = 0;
        for mut command in texts {
            for text in [command.render_help().to_string(), command.render_long_help().to_string()] {
                let wide = text.lines().find(|line| line.chars().count() > 100);
                assert_eq!(wide, None, "{}", command.get_name());
                seen += text.lines().count();
            }
        }
        assert!(seen > 500, "{seen} lines");
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
        assert_eq!((args.template.as_str(), args.count, args.split), ("malaria-tlspsk-%d", 10, false));
        assert_eq!((args.file, args.infile), ("-".into(), PathBuf::from("-")));
        for line in ["-t a%d -n 3 -f out -F in -s", "--template a%d --count 3 --file out --infile in --split"]
        {
            let args = keygen(line);
            assert_eq!((args.template.as_str(), args.count, args.split), ("a%d", 3, true));
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
