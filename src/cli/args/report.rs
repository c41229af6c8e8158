//! What can be typed behind `report`.

use clap::Args;
use std::path::PathBuf;

/// The flags of `report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Records: what --json has written, of the main job, of publish, of subscribe or of capacity; folders of them, such as a
    /// scenario's; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write a page that compares the runs, or searches for a capacity, to OUT, or to standard output with -; it needs no
    /// other file [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub html: Option<PathBuf>,
    /// A record, or a folder of those of several runs, that the page holds the others against: ratios, and how sure they
    /// are where each side has several runs. What is given by one name is one side [default: nothing].
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write the distribution of every latency to OUT, or to standard output with -, for each run and for all
    /// together (merged) [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub csv: Option<PathBuf>,
    /// Write every second of each run as CSV to OUT, or to standard output with - [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub series: Option<PathBuf>,
    /// Write a table of the runs, with verdicts and bounds, as Markdown to OUT, or to standard output with -
    /// [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub markdown: Option<PathBuf>,
    /// Write the runs and their bounds as JUnit XML to OUT, or to standard output with - [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub junit: Option<PathBuf>,
    /// Write rates, tails, losses and the cost of the broker as Bencher Metric Format to OUT, or to standard output with -; where the
    /// generator was the limit there are none, and the exit code is 6 [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub bencher: Option<PathBuf>,
    /// Write those of which less is better for github-action-benchmark (customSmallerIsBetter) to OUT, or to
    /// standard output with - [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub github_smaller: Option<PathBuf>,
    /// Write those of which more is better (customBiggerIsBetter) to OUT, or to standard output with -
    /// [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub github_bigger: Option<PathBuf>,
    /// Write every latency of each run as a percentile distribution of HdrHistogram (.hgrm) to the folder DIR
    /// [default: nowhere].
    #[arg(long, value_name = "DIR")]
    pub hgrm: Option<PathBuf>,
    /// Print the summary of each run, as at its end.
    #[arg(long)]
    pub text: bool,
}
