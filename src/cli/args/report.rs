//! What can be typed behind `report`.

use clap::Args;
use std::path::PathBuf;

/// The flags of `report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Records: what --json has written, of the main job, of publish or of subscribe; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write a page that compares the runs to OUT, or to standard output with -; it needs no other file
    /// [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub html: Option<PathBuf>,
    /// Write the distribution of every latency to OUT, or to standard output with -, for each run and for all
    /// together (merged) [default: nowhere].
    #[arg(long, value_name = "OUT")]
    pub csv: Option<PathBuf>,
    /// Print the summary of each run, as at its end.
    #[arg(long)]
    pub text: bool,
}
