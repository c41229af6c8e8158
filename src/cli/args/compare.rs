//! What can be typed behind `compare`, and of comparisons elsewhere.

use crate::engine::Target;
use crate::gate::compare::Question;
use crate::gate::{Metric, Tolerated};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  malaria-bench compare base/ -- new/                     all records of two folders, such as --repeat leaves
  malaria-bench compare a1.json a2.json -- b1.json b2.json
  malaria-bench compare --gate 'flight p99' --tolerate 'flight p99=15%' base/ -- new/

One run is one value, whatever it measured. PASS: it is not worse by more than is tolerated. FAIL: it is. Either may be
wrong with a chance of 2 %; INCONCLUSIVE: the runs scatter too much, or are too few. Usual tolerances: 5 % for rates and
medians, 10 % for a p99, 20 % for a p99.9 and above, 3 % for what it cost.

Exit codes: 0 pass, 8 fail, 9 inconclusive, 6 void (the generator limited too many runs); 4, 5 and 7 when such a fault is
more frequent in the new runs than in the base (a single one may be chance: 9).";

/// What is compared, and how strictly.
#[derive(Clone, Args)]
pub struct QuestionArgs {
    /// What the result rests on, such as 'flight p99', acked or broker-cpu-per-message; repeat it for several, three at most
    /// [default: what was delivered (or acknowledged, or sent) a second, flight p99 (or ack p99), and broker-cpu-per-message].
    #[arg(id = "gate", long, value_name = "METRIC", help_heading = "Comparison")]
    pub gates: Vec<Metric>,
    /// How much worse is tolerated, in per cent of the base, such as 'flight p99=10%'; repeat it for several
    /// [default: see malaria-bench compare --help].
    #[arg(id = "tolerate", long, value_name = "METRIC=SHARE", help_heading = "Comparison")]
    pub tolerances: Vec<Tolerated>,
    /// Compare runs of different machines, too [default: off].
    #[arg(long, help_heading = "Comparison")]
    pub allow_other_machine: bool,
    /// Compare runs of different plans, too [default: off].
    #[arg(long, help_heading = "Comparison")]
    pub allow_other_plan: bool,
}

impl QuestionArgs {
    /// The first of these flags that somebody typed.
    pub fn typed(&self) -> Option<&'static str> {
        let typed = [
            (!self.gates.is_empty(), "--gate"),
            (!self.tolerances.is_empty(), "--tolerate"),
            (self.allow_other_machine, "--allow-other-machine"),
            (self.allow_other_plan, "--allow-other-plan"),
        ];
        typed.into_iter().find_map(|(is, flag)| is.then_some(flag))
    }

    /// The same for who compares.
    pub fn question(&self) -> Question {
        Question {
            tolerances: self.tolerances.clone(),
            gates: self.gates.clone(),
            other_machine: self.allow_other_machine,
            other_plan: self.allow_other_plan,
        }
    }
}

/// The flags of `compare`.
#[derive(Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// Records of the base: files that --json wrote, or folders of them.
    #[arg(required_unless_present = "json_schema", value_name = "BASE")]
    pub base: Vec<PathBuf>,
    /// Records of what is new, behind --; flags go before it.
    #[arg(last = true, value_name = "NEW")]
    pub new: Vec<PathBuf>,
    /// Write the comparison (JSON) to FILE, or to standard output with - [default: nowhere].
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Print the JSON Schema of what --json writes, and end [default: off].
    #[arg(long)]
    pub json_schema: bool,
    #[command(flatten)]
    pub question: QuestionArgs,
}

const AB_EXAMPLES: &str = "\
Examples:
  malaria-bench ab --a 'old/broker -p 1883' --b 'new/broker -p 1883' -- --clients 200 --rate 10k --duration 5s
  malaria-bench ab --a-host one.lab --b-host two.lab -- -q 1 --rate 5k --duration 5s

A is the base, B is what is new. Both are measured in pairs of short runs, in turns (A B, B A, ...); a command is started
anew for each run, and has to stay in the foreground. The first pair is thrown away. After 5, 10 and 20 pairs the sides are
compared, as malaria-bench compare does it, and what is known then ends it. A pair in which the generator was the
bottleneck is run again; when that is more than a third, nothing is said.

Exit codes: 0 pass, 8 fail, 9 inconclusive after 20 pairs, 6 void; 4, 5 and 7 when such a fault is more frequent with B than
with A; 4 also when nobody can connect to one of them.";

/// The flags of `ab`.
#[derive(Clone, Args)]
#[command(after_help = AB_EXAMPLES)]
pub struct AbArgs {
    /// Shell command that starts broker A, the base [default: it runs already].
    #[arg(long, value_name = "COMMAND", required_unless_present = "a_host")]
    pub a: Option<String>,
    /// Shell command that starts broker B, what is new [default: it runs already].
    #[arg(long, value_name = "COMMAND", required_unless_present = "b_host")]
    pub b: Option<String>,
    /// Where broker A is: host, host:port or, if it runs, unix:/path [default: localhost:1883].
    #[arg(long, value_name = "HOST")]
    pub a_host: Option<Target>,
    /// Where broker B is [default: localhost:1883].
    #[arg(long, value_name = "HOST")]
    pub b_host: Option<Target>,
    /// Directory of the results, new or empty [default: ab-TIME].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print no progress [default: off].
    #[arg(long)]
    pub quiet: bool,
    #[command(flatten)]
    pub question: QuestionArgs,
    /// Flags of each run, behind --.
    #[arg(last = true, value_name = "FLAGS")]
    pub run: Vec<String>,
}

/// A run as one of several, and against others.
#[derive(Clone, Args)]
pub struct SeriesArgs {
    /// Run it N times; --json is then a folder with one record per run [default: 1].
    #[arg(long, value_name = "N", value_parser = super::values::count::<u32, 1>, help_heading = "Comparison")]
    pub repeat: Option<u32>,
    /// Compare with these records, a file or a folder of them, and exit with 8 when it got worse, 9 when nobody can
    /// tell (see malaria-bench compare --help) [default: none].
    #[arg(long, value_name = "PATH", help_heading = "Comparison")]
    pub baseline: Option<PathBuf>,
    /// Keep the records in this folder, as the next baseline, unless the exit code is another than 0 [default: nowhere].
    #[arg(long, value_name = "DIR", help_heading = "Comparison")]
    pub save_baseline: Option<PathBuf>,
    #[command(flatten)]
    pub question: QuestionArgs,
}

impl SeriesArgs {
    /// Whether more than one run is wanted, or a comparison.
    pub fn is_asked(&self) -> bool {
        self.repeat.is_some() || self.baseline.is_some() || self.save_baseline.is_some()
    }
}
