//! Bounds on results that were kept.

use super::Usage;
use super::args::JudgeArgs;
use super::output::print_text;
use crate::gate;
use crate::record::{BoundResult, Exit, Finished, Outcome};
use std::path::Path;

pub fn run(args: &JudgeArgs) -> anyhow::Result<Exit> {
    // All are read before anything is said: a wrong name must not look like a result.
    let records: Vec<Finished> = args.files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let mut gravest = Exit::Clean;
    let mut text = String::new();
    for (file, record) in args.files.iter().zip(records) {
        let (outcome, results) = judge(args, record);
        text += &lines(file, &outcome, &results);
        gravest = gravest.graver(outcome.exit);
    }
    print_text(&text, false)?;
    Ok(gravest)
}

fn read(file: &Path) -> Result<Finished, Usage> {
    let usage = |error: &dyn std::fmt::Display| Usage(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| usage(&error))?;
    Finished::from_json(&text).map_err(|error| usage(&error))
}

/// What would have come of the run with these bounds.
fn judge(args: &JudgeArgs, finished: Finished) -> (Outcome, Vec<BoundResult>) {
    match finished {
        Finished::Run(mut record) => {
            gate::judge(&args.bounds, &mut record);
            (Outcome::of(&record), record.bounds)
        }
        Finished::Fleet(mut record) => {
            gate::judge_fleet(&args.bounds, &mut record);
            (Outcome::of_fleet(&record), record.bounds)
        }
    }
}

/// A line for each bound, and one for what went wrong besides.
fn lines(file: &Path, outcome: &Outcome, results: &[BoundResult]) -> String {
    let file = file.display();
    let mut text: String = results.iter().map(|result| format!("{file}: {result}\n")).collect();
    if !matches!(outcome.exit, Exit::Clean | Exit::Bounds) {
        text += &format!("{file}: exit code {}: {}\n", outcome.exit.code(), outcome.reason);
    }
    text
}
