//! Flags of the search for a capacity.

use super::RunArgs;
use super::values::share;
use crate::capacity::Goal;
use crate::units::{Rate, Span};
use clap::{Args, ValueEnum};

pub const EXAMPLES: &str = "\
Examples:
  malaria-bench capacity --embedded --quick
  malaria-bench capacity -H broker.lab --goal 'flight p99 < 50ms, lost == 0' --json capacity.json
  malaria-bench capacity -H broker.lab --over clients --topology idle --max 200k
  malaria-bench capacity -H broker.lab -q 1 --goal 'flight p99 < 10ms' --goal 'flight p99 < 100ms'

Connections stay up while one rate after the other is offered; for each number of clients, connects or subscribers
they are made anew. A trial is good when every bound of the goal
holds, nothing was lost (unless a bound says how much may be), no queue grew (by more than 0.5 % of the rate),
all was done within 2 s (or ten times p99) of its end, and the broker kept up. A trial in which the generator was
the bottleneck says nothing. How loads are chosen: MLRsearch (draft-ietf-bmwg-mlrsearch).

Exit codes: 0 a capacity was found; 9 only bounds of it (the reason says which); 6 the generator was the bottleneck
throughout; else as those of a run.";

#[derive(Clone, Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("duration", |arg| arg.default_value("5s").help("Length of a trial")))]
#[command(mut_arg("warmup", |arg| arg.default_value("1s").help("Publishing before each trial")))]
#[command(mut_arg("drain", |arg| arg.default_value("1s")))]
#[command(mut_arg("msg_count", |arg| arg.hide(true)), mut_arg("probes", |arg| arg.hide(true)))]
#[command(mut_arg("bounds", |arg| arg.hide(true)), mut_arg("abort_on", |arg| arg.hide(true)))]
#[command(mut_arg("abort_after", |arg| arg.hide(true)), mut_arg("hlog", |arg| arg.hide(true)))]
#[command(mut_arg("junit", |arg| arg.hide(true)), mut_arg("github_summary", |arg| arg.hide(true)))]
#[command(mut_arg("repeat", |arg| arg.hide(true)), mut_arg("baseline", |arg| arg.hide(true)))]
#[command(mut_arg("save_baseline", |arg| arg.hide(true)), mut_arg("gate", |arg| arg.hide(true)))]
#[command(mut_arg("tolerate", |arg| arg.hide(true)), mut_arg("allow_other_machine", |arg| arg.hide(true)))]
#[command(mut_arg("allow_other_plan", |arg| arg.hide(true)), mut_arg("schedule", |arg| arg.hide(true)))]
#[command(mut_arg("away", |arg| arg.hide(true)), mut_arg("stay", |arg| arg.hide(true)))]
#[command(mut_arg("flap", |arg| arg.hide(true)))]
#[command(mut_arg("progress", |arg| arg.default_value("auto")))]
pub struct CapacityArgs {
    /// Objective: bounds as of --require that all have to hold, such as 'flight p99 < 50ms, lost == 0'; repeat it to
    /// search for several at once [default: lost == 0].
    #[arg(long = "goal", value_name = "BOUNDS", help_heading = "Search")]
    pub goals: Vec<Goal>,
    /// What to search the most of.
    #[arg(long, value_enum, default_value_t = OverArg::Rate, value_name = "WHAT", help_heading = "Search")]
    pub over: OverArg,
    /// The lowest load to try [default: 1,000 messages or connects in a trial; of
    /// clients and subscribers 1/--width].
    #[arg(long, value_name = "LOAD", help_heading = "Search")]
    pub min: Option<Rate>,
    /// The highest load to try [default: 90 % of what `calibrate` found, or else 1M messages/s or 20k connects/s; 100k
    /// clients; 10k subscribers].
    #[arg(long, value_name = "LOAD", help_heading = "Search")]
    pub max: Option<Rate>,
    /// Largest gap, at the end, between the highest good and the lowest bad load.
    #[arg(long, default_value = "1%", value_name = "SHARE", value_parser = share, help_heading = "Search")]
    pub width: f64,
    /// Trials that decide about a load; half of them may be bad.
    #[arg(long, default_value_t = 11, value_name = "N", value_parser = super::count::<u32, 1>, help_heading = "Search")]
    pub trials: u32,
    /// Length of the three trials of which two have to confirm what was found; 0 for none [default: 30s].
    #[arg(long, value_name = "TIME", help_heading = "Search")]
    pub confirm: Option<Span>,
    /// Length of the trials of the curve at 1, 10, 50, 75, 90, 100 and 110 % of what was found; 0 for none
    /// [default: 10s].
    #[arg(long, value_name = "TIME", help_heading = "Search")]
    pub curve: Option<Span>,
    /// Start no new trial after this time.
    #[arg(long, default_value = "20m", value_name = "TIME", help_heading = "Search")]
    pub time_limit: Span,
    /// Trials of 3s, a width of 2 %, confirmed by 10s, a curve of 3s: a few minutes [default: off].
    #[arg(long, conflicts_with_all = ["duration", "width", "strict"], help_heading = "Search")]
    pub quick: bool,
    /// Trials of 10s and a width of 0.5 % [default: off].
    #[arg(long, conflicts_with_all = ["duration", "width"], help_heading = "Search")]
    pub strict: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// What the most is searched of.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverArg {
    /// Messages a second of all publishers together.
    Rate,
    /// Clients that are connected, and do what the plan says.
    Clients,
    /// Connections a second, of idle clients, for --duration each time.
    ConnectRate,
    /// Subscribers of each message, of --publishers (1).
    FanOut,
}
