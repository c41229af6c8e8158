//! Flags of where results go.

use super::RequireArgs;
use crate::units::Span;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where results go.
#[derive(Clone, Args)]
pub struct OutputArgs {
    /// Write the result (JSON) to FILE, or to standard output with - [default: nowhere].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Write the run and its bounds as JUnit XML to FILE, or to standard output with - [default: nowhere].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub junit: Option<PathBuf>,
    /// Append the verdict, the bounds and a table as Markdown to the summary of a step of GitHub Actions
    /// ($GITHUB_STEP_SUMMARY) [default: off].
    #[arg(long, help_heading = "Output")]
    pub github_summary: bool,
    /// Print the JSON Schema of what --json writes, and end [default: off].
    #[arg(long, help_heading = "Output")]
    pub json_schema: bool,
    /// Print neither progress nor summary: errors only, and the result if asked for [default: off].
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
    /// The progress on standard error, each second.
    #[arg(long, value_enum, default_value_t = ProgressArg::Always, value_name = "WHEN", help_heading = "Output")]
    pub progress: ProgressArg,
    /// Show the run under way on the whole terminal instead of in one line [default: off].
    #[arg(long, conflicts_with = "quiet", help_heading = "Output")]
    pub tui: bool,
    /// Serve the figures of the run under way under http://ADDRESS/metrics for Prometheus, as OpenMetrics; port 0 takes
    /// a free one [default: off].
    #[arg(long, value_name = "ADDRESS", help_heading = "Output")]
    pub metrics: Option<SocketAddr>,
    /// Wait at most this long after the end for a last scrape.
    #[arg(long, default_value = "0s", value_name = "TIME", requires = "metrics", help_heading = "Output")]
    pub linger: Span,
    #[command(flatten)]
    pub require: RequireArgs,
    /// File (TOML) with flags by their names; the command line wins [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub config: Option<PathBuf>,
}

/// When there is a line of progress each second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ProgressArg {
    /// When standard error is a terminal.
    Auto,
    Always,
    Never,
}
