//! Several runs of the main job, and runs against a baseline.

use super::args::{OutputArgs, RunArgs, SeriesArgs};
use super::output::{Output, complain, print_text};
use super::{Environment, Usage, records};
use crate::gate;
use crate::gate::compare::{self, Question, compare};
use crate::record::{Exit, Finished, Record};
use crate::report::{self, Run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Columns of the table of all runs.
const WIDTH: usize = 160;

/// What is to come of the runs.
pub struct Series<'a> {
    pub runs: u32,
    /// Where the record of each goes,
    folder: Option<PathBuf>,
    /// and the log of its seconds: with one run a file.
    hlog: Option<&'a Path>,
    /// To compare with.
    baseline: Option<Vec<Record>>,
    question: Question,
    args: &'a SeriesArgs,
    output: &'a OutputArgs,
}

impl<'a> Series<'a> {
    /// Reads the baseline, before anything is made ready.
    pub fn open(run: &'a RunArgs) -> anyhow::Result<Series<'a>> {
        let RunArgs { series: args, output, hlog, .. } = run;
        let hlog = hlog.as_deref();
        let runs = args.repeat.unwrap_or(1);
        if runs > 1 && output.tui {
            return Err(Usage("--tui: it shows one run; leave it out, or --repeat".to_owned()).into());
        }
        let folder = output.json.clone().filter(|_| runs > 1);
        if folder.as_deref() == Some(Path::new("-")) {
            return Err(Usage("--json -: of several runs it takes a folder".to_owned()).into());
        }
        let baseline = args.baseline.clone().map(|path| records::read(&[path])).transpose()?;
        if let (None, Some(flag)) = (&baseline, args.question.typed()) {
            return Err(Usage(format!("{flag}: it is of a comparison; say with --baseline what with")).into());
        }
        let few = baseline.as_ref().is_some_and(|baseline| runs < 2 || baseline.len() < 2);
        if few && !output.quiet {
            complain(format_args!("--baseline: {}; as it is, the exit code is 9 at best", compare::FEW));
        }
        Ok(Series { runs, folder, hlog, baseline, question: args.question.question(), args, output })
    }

    /// Makes sure of the folders, before anything runs.
    pub fn make_folders(&self) -> anyhow::Result<()> {
        let Series { runs, folder, hlog, args, .. } = self;
        for (flag, folder) in [
            ("--json", folder.as_deref()),
            ("--hlog", hlog.filter(|_| *runs > 1)),
            ("--save-baseline", args.save_baseline.as_deref()),
        ] {
            folder.map_or(Ok(()), std::fs::create_dir_all).map_err(|error| {
                let folder = folder.unwrap_or(Path::new("")).display();
                Environment(format!("{flag} {folder}: {error}; choose a folder that can be written"))
            })?;
        }
        Ok(())
    }

    /// Where the log of the seconds of run `number` goes.
    pub fn hlog(&self, number: usize) -> Option<PathBuf> {
        let of_several = |folder: &Path| file(folder, number).with_extension("hlog");
        self.hlog.map(|path| if self.runs > 1 { of_several(path) } else { path.to_owned() })
    }

    /// Keeps the record of run `number`, the first in place of all of an earlier series, and says how it went.
    pub fn keep(&self, record: &Record, number: usize) -> anyhow::Result<Exit> {
        if let Some(folder) = &self.folder {
            Output::open(&file(folder, number))?.write(&report::json(record))?;
            if number == 1 {
                remove_beyond(folder, 1)?;
            }
        }
        if !self.output.quiet {
            let (runs, reason) = (self.runs, &record.exit_reason);
            let code = if record.exit_code == 0 {
                String::new()
            } else {
                format!("exit code {}: ", record.exit_code)
            };
            complain(format_args!("run {number} of {runs}: {code}{reason}"));
            print_text(&gate::text(&record.bounds), false)?;
        }
        Ok(Exit::from_code(record.exit_code))
    }

    /// What the runs come to, whose gravest exit is `exit`.
    pub fn conclude(&self, records: &[Record], exit: Exit) -> anyhow::Result<Exit> {
        // what comes of a generator that was limited is no fault of the broker
        let some_void = self.runs > 1 && !is_last(exit) && !compare::are_void(records);
        let sound = records.iter().filter(|record| !record.is_void());
        let of_sound = sound.map(|record| Exit::from_code(record.exit_code)).fold(Exit::Clean, Exit::graver);
        let exit = if some_void { of_sound } else { exit };
        let to_stderr = self.output.json.as_deref() == Some(Path::new("-"));
        if self.runs > 1 && !self.output.quiet {
            let run = |(at, record): (usize, &Record)| Run {
                label: format!("{:02}", at + 1),
                record: Finished::Run(Box::new(record.clone())),
            };
            let runs: Vec<Run> = records.iter().enumerate().map(run).collect();
            print_text(
                &format!("{}\n{}", report::comparison(&runs, WIDTH, false)?, compare::spread(records)),
                to_stderr,
            )?;
            print_text(&codes(records, some_void), to_stderr)?;
        }
        let exit = match &self.baseline {
            Some(baseline) if !is_last(exit) => {
                let comparison = compare(baseline, records, &self.question)
                    .map_err(|why| Usage(format!("--baseline: {why}")))?;
                print_text(&format!("\n{}", comparison.text()), to_stderr)?;
                exit.graver(Exit::from_code(comparison.exit_code))
            }
            _ => exit,
        };
        match &self.args.save_baseline {
            Some(folder) if exit == Exit::Clean => save(folder, records)?,
            Some(folder) => {
                let code = exit.code();
                complain(format_args!(
                    "--save-baseline {}: left as it was, the exit code is {code}",
                    folder.display()
                ));
            }
            None => {}
        }
        Ok(exit)
    }
}

/// The exit codes of all, unless each is clean; `left_out`: those of a few void runs do not count.
fn codes(records: &[Record], left_out: bool) -> String {
    let mut codes = BTreeMap::new();
    records.iter().for_each(|record| *codes.entry(record.exit_code).or_insert(0) += 1);
    match codes.keys().any(|code| *code != 0) {
        true => format!(
            "exit codes: {}{}",
            Exit::told(&codes),
            if left_out { "; the void are left out" } else { "" }
        ),
        false => String::new(),
    }
}

/// Whether no run follows one that ended like this.
pub fn is_last(exit: Exit) -> bool {
    matches!(exit, Exit::Internal | Exit::Interrupted | Exit::Usage | Exit::Environment)
}

fn file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:02}.json"))
}

/// Puts the records in place of the last baseline's, of which none stays.
fn save(folder: &Path, records: &[Record]) -> anyhow::Result<()> {
    for (at, record) in records.iter().enumerate() {
        Output::open_for("--save-baseline", &file(folder, at + 1))?.write(&report::json(record))?;
    }
    remove_beyond(folder, records.len())
}

/// Removes the records of a longer series.
fn remove_beyond(folder: &Path, last: usize) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<usize>().ok());
        if number.is_some_and(|number| number > last && path == file(folder, number)) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
