//! Flags of the commands that run others.

use super::values::count;
use clap::Args;
use std::path::PathBuf;

const SCENARIO_EXAMPLES: &str = "\
Examples:
  malaria-bench scenario --example > sweep.toml          a file to begin with: everything there is, explained
  malaria-bench scenario sweep.toml --dry-run            what would run
  malaria-bench scenario sweep.toml --out results        runs it: results/summary.csv
  malaria-bench scenario sweep.toml --set 'qos=[0, 1]'   other values for a variable of the file

A file:
  [vars]
  clients = [10, 100]                     # every combination: 10 and 100 clients, each at QoS 0, 1 and 2
  qos = [0, 1, 2]
  [[step]]
  run = \"-H localhost --clients ${clients} -q ${qos}\"

Ctrl-C ends the step that runs, keeps what it has, and ends; a second one kills.
The exit code is the gravest of the steps': 1 and 130 before all others, then the lowest that is not 0, but 6 and 9 only
where no other is: a bound that one run broke (7) is broken, whatever the generator did in another.";

#[derive(Args)]
#[command(after_help = SCENARIO_EXAMPLES)]
pub struct ScenarioArgs {
    /// Scenario (TOML).
    #[arg(value_name = "FILE", required_unless_present_any = ["example", "json_schema"])]
    pub file: Option<PathBuf>,
    /// Print a file with everything there is, explained, and end [default: off].
    #[arg(long, exclusive = true)]
    pub example: bool,
    /// Other values for a variable of the file, one or a TOML list of them; repeat it for several variables
    /// [default: as in the file].
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub output: ExperimentArgs,
}

/// How an experiment is run, and where its results go.
#[derive(Args)]
pub struct ExperimentArgs {
    /// Directory of the results, new or empty [default: NAME-TIME].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Run each combination so many times: all of them once on every broker, then all again, so that what drifts hits all
    /// alike. The table has the median and how much the runs scatter, and says how brokers differ.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count::<u32, 1>)]
    pub repeat: u32,
    /// Print what would run, and run nothing [default: off].
    #[arg(long)]
    pub dry_run: bool,
    /// Print the JSON Schema of summary.json, and end [default: off].
    #[arg(long)]
    pub json_schema: bool,
    /// Print no progress [default: off].
    #[arg(long)]
    pub quiet: bool,
}

const MATRIX_EXAMPLES: &str = "\
Examples:
  malaria-bench matrix -H broker.lab                   162 runs of 15 seconds each: an hour
  malaria-bench matrix --quick -H one -H two           a tenth of the time, two brokers compared
  malaria-bench matrix -H broker.lab -- -u me --password-file pw

Fan-in: 1, 5, 10 publishers to 1 subscriber. Fan-out: 1 publisher to 1, 5, 10 subscribers. Partitioned: 1, 5, 10
pairs. Each at QoS 0, 1, 2, with 24 B, 1 KiB and 256 KiB, with persistent and clean sessions. 24 bytes are the
smallest payload: the stamp from which delivery and latency are checked. The loop is closed: each publisher
sends the next message when the broker has acknowledged the one before.";

#[derive(Args)]
#[command(after_help = MATRIX_EXAMPLES)]
pub struct MatrixArgs {
    /// Broker: host, host:port, mqtt://host:port or unix:/path; repeat it to run the matrix against each of several.
    #[arg(short = 'H', long, default_value = "localhost", value_name = "HOST")]
    pub host: Vec<crate::engine::Target>,
    /// Port of the hosts that name none [default: 1883, or their scheme's].
    #[arg(short, long, value_name = "PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Measure the built-in reflector instead [default: off].
    #[arg(long, conflicts_with_all = ["host", "port"])]
    pub embedded: bool,
    /// A tenth of the time: runs of 1.5 seconds [default: off].
    #[arg(long)]
    pub quick: bool,
    /// Other values for a variable: qos, size, clean, duration, warmup; one or a TOML list of them
    /// [default: the whole matrix].
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// More flags for each run, behind --.
    #[arg(last = true, value_name = "FLAGS")]
    pub extra: Vec<String>,
    #[command(flatten)]
    pub output: ExperimentArgs,
}

const ATTACK_EXAMPLES: &str = "\
Examples:
  malaria attack broker.lab                           malaria publish -n 10 -P 10 -t -T 1 -H broker.lab
  malaria attack broker.lab --warhead complex.warhead

A warhead is a text file, one shell command a line. Blank lines and those that begin with # or ; are skipped.
%(malaria_target)s stands for the target, %% for a percent sign. `malaria` is this program, whatever is on PATH.
A usage error ends it, any other failure does not. The exit code: 1 and 130 before all others, then the lowest
that is not 0, 6 last; commands of other programs that fail count as 3.";

#[derive(Args)]
#[command(after_help = ATTACK_EXAMPLES)]
pub struct AttackArgs {
    /// Broker under attack: what %(malaria_target)s stands for.
    #[arg(default_value = "localhost", value_name = "TARGET")]
    pub target: String,
    /// File of commands [default: one publish, see below].
    #[arg(long, value_name = "FILE")]
    pub warhead: Option<PathBuf>,
}
