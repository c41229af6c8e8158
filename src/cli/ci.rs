//! What a run leaves for continuous integration.

use super::args::OutputArgs;
use super::output::Output;
use super::{Environment, Usage};
use crate::record::Finished;
use crate::report::{self, Run};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where GitHub Actions wants the summary of a step.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Places that can be written.
pub struct Ci {
    label: String,
    junit: Option<Output>,
    summary: Option<PathBuf>,
}

impl Ci {
    /// Those of `args`, before the first packet.
    ///
    /// # Errors
    /// One that cannot be written, or is not there.
    pub fn open(args: &OutputArgs) -> anyhow::Result<Ci> {
        let stdout = Some(Path::new("-"));
        if args.junit.as_deref() == stdout && args.json.as_deref() == stdout {
            return Err(
                Usage("standard output takes one result: give --json or --junit a file".into()).into()
            );
        }
        let junit = args.junit.as_deref().map(|path| Output::open_for("--junit", path)).transpose()?;
        let summary = match args.github_summary {
            true => Some(std::env::var_os(SUMMARY).map(PathBuf::from).ok_or_else(|| {
                Usage(format!("--github-summary: {SUMMARY} is not set; it is for steps of GitHub Actions"))
            })?),
            false => None,
        };
        let stem = args.json.as_deref().filter(|path| Some(*path) != stdout).and_then(Path::file_stem);
        let label = stem.map_or("malaria-bench".into(), |stem| stem.to_string_lossy().into_owned());
        Ok(Ci { label, junit, summary })
    }

    /// Whether standard output is taken.
    pub fn has_stdout(&self) -> bool {
        self.junit.as_ref().is_some_and(Output::is_stdout)
    }

    /// Writes what is to be said of runs that are over.
    ///
    /// # Errors
    /// What could not be written.
    pub fn write(self, records: impl ExactSizeIterator<Item = Finished>) -> anyhow::Result<()> {
        let Ci { label, junit, summary } = self;
        let several = records.len() > 1;
        let name = |at: usize| if several { format!("{label} {:02}", at + 1) } else { label.clone() };
        let runs: Vec<Run> =
            records.enumerate().map(|(at, record)| Run { label: name(at), record }).collect();
        if let Some(place) = junit {
            place.write(report::junit(&runs).trim_end())?;
        }
        if let Some(path) = summary {
            let text = report::markdown(&runs)?;
            let file = OpenOptions::new().create(true).append(true).open(&path);
            // Others may have written there before: a heading begins at a line of its own.
            let written = file.and_then(|mut file| write!(file, "\n### malaria-bench\n\n{text}"));
            written.map_err(|error| Environment(format!("--github-summary {}: {error}", path.display())))?;
        }
        Ok(())
    }
}
