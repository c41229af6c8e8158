//! Several commands as one experiment: scenario files, the built-in matrix, and two brokers against each other (`ab`).
//!
//! Everything runs in processes of this very program, so nothing here knows of rings or packets. `file` reads
//! the TOML, `inherit` and `expand` make the combinations of it (pure), `runner` runs them, `figures` and
//! `results` say what came of it. What words of this program mean is told by whoever asks: [`Understand`].
//!
//! # The file
//!
//! ```toml
#![doc = include_str!("experiment/example.toml")]
//! ```
//!
//! `${name}` works in every text, values of variables included; `$${` is a plain `${`. Always there are
//! `${program}` (this program), `${dir}` (of the combination's results), `${group}` and `${broker}`. Words of `run`
//! are told apart as a shell does it; they are checked before anything runs.
//!
//! # The results
//!
//! `DIR/<broker>/<group>/<name=value,...>/` has for each step `<step>.json` (its record), `<step>.stdout` and
//! `<step>.stderr`, `<step>-<n>` or `<step>-<name>` where sections run at once; a combination that runs several times
//! has a directory `01`, `02`, ... for each. The output of a broker (`broker-start.*`, `broker-stop.*`) and its log
//! (`broker.log`) are in `DIR/<broker>/`, or, where it is started for each combination, with that. The whole is in `DIR/summary.json`
//! ([`ScenarioRecord`]) and `DIR/summary.csv`.
//!
//! A step that fails with usage, environment or an internal fault ends its combination; the next one runs. The
//! exit code is the gravest of the steps' (`Exit::graver`).

mod ab;
mod attack;
mod broker;
mod expand;
mod figures;
mod file;
mod inherit;
mod matrix;
mod process;
mod results;
mod runner;
mod spread;
mod suite;
#[cfg(test)]
mod tests;
mod text;

pub use ab::{Contender, Pairs, pairs};
pub use attack::{Attack, attack};
pub use matrix::{Host, Matrix, matrix};
pub use suite::{GRAMMAR, Named};

use crate::record::{Exit, ScenarioRecord};
use expand::{Experiment, PlannedTask, PlannedWork, Surroundings};
use file::{Fault, Scenario};
use process::Interrupts;
use results::Head;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How an experiment is run, and where its results go.
#[derive(Clone, Debug)]
pub struct Request {
    /// Other values for variables, `NAME=VALUE` each.
    pub set: Vec<String>,
    /// Directory of the results, new or empty; `None` makes up a name.
    pub out: Option<PathBuf>,
    /// How often each combination runs.
    pub repeats: u32,
    /// Only say what would run.
    pub dry_run: bool,
    /// Say nothing of how it goes.
    pub quiet: bool,
    /// What words mean to this program.
    pub understand: Understand,
}

/// A command of this program that makes sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// Behind the program's name.
    pub words: Vec<String>,
    /// Whether it has `--json`, and so leaves a record.
    pub has_record: bool,
    /// Whether it says on standard error when its subscriptions stand.
    pub says_subscribed: bool,
}

/// Understands the words of a step; the program's name may stand in front of them. The error is what is wrong with
/// them, in one line.
pub type Understand = fn(&[String]) -> Result<Command, String>;

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was typed, or stands in a file, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The machine does not let it: an output that cannot be written, a process that cannot be started.
    #[error("{0}")]
    Environment(String),
    /// The same, in the machine's own words.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file with everything there is, explained.
pub const EXAMPLE: &str = include_str!("experiment/example.toml");

/// The JSON Schema (draft 2020-12) of summary.json.
pub const JSON_SCHEMA: &str = include_str!("experiment/summary.schema.json");

/// Runs the scenario in the file `path`. The exit code is that of its steps.
///
/// # Errors
/// The scenario makes no sense, or its results cannot be kept.
pub fn scenario(path: &Path, request: &Request) -> Result<Exit, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Usage(format!("{}: {error}", path.display())))?;
    let mut scenario = file::parse(&text).map_err(|fault| in_file(path, &fault))?;
    set(&mut scenario, &request.set)?;
    let stem = path.file_stem().map_or("scenario".into(), |stem| stem.to_string_lossy());
    perform(&scenario, path, &stem, request)
}

fn in_file(file: &Path, fault: &Fault) -> Error {
    Error::Usage(format!("{}, {fault}", file.display()))
}

/// Variables from the command line.
fn set(scenario: &mut Scenario, settings: &[String]) -> Result<(), Error> {
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Error::Usage(format!("--set {setting}: expected NAME=VALUE, such as qos=1")));
        };
        let values = file::parse_values(name, value)
            .map_err(|what| Error::Usage(format!("--set {setting}: {what}")))?;
        inherit::set(scenario, name, &values).map_err(Error::Usage)?;
    }
    Ok(())
}

/// Runs a scenario, or says what it would run.
fn perform(scenario: &Scenario, file: &Path, name: &str, request: &Request) -> Result<Exit, Error> {
    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let default = || PathBuf::from(format!("{name}-{}", started_at.replace([':', '-'], "")));
    let out = request.out.clone().unwrap_or_else(default);
    let program = std::env::current_exe()?;
    let around = Surroundings {
        program: program.to_str().map(str::to_owned),
        out: out.to_str().map(|out| out.trim_end_matches('/').to_owned()),
        repeats: request.repeats,
    };
    let experiment = expand::expand(scenario, &around).map_err(|fault| in_file(file, &fault))?;
    check(&experiment, request.understand).map_err(|fault| in_file(file, &fault))?;
    if request.dry_run {
        return show(&experiment);
    }
    prepare(&out)?;
    let interrupts = Interrupts::listen()?;
    let mut runner = runner::Runner {
        program,
        out: out.clone(),
        interrupts,
        quiet: request.quiet,
        understand: request.understand,
        begun: std::time::Instant::now(),
    };
    let combinations = runner.run(&experiment).map_err(|error| {
        Error::Environment(format!("{}: the experiment cannot go on: {error}", out.display()))
    })?;
    let head = Head {
        scenario: file.display().to_string(),
        started_at,
        interrupted: runner.interrupts.count() > 0,
        planned: experiment.combinations.len(),
    };
    let summary = ScenarioRecord::new(head, combinations);
    let json = serde_json::to_string_pretty(&summary).expect("a summary is JSON");
    for (name, text) in [("summary.json", json + "\n"), ("summary.csv", summary.csv())] {
        let path = out.join(name);
        std::fs::write(&path, text)
            .map_err(|error| Error::Environment(format!("{}: {error}", path.display())))?;
    }
    // Whatever comes of the terminal, the results are kept.
    print(&summary.table())?;
    if !request.quiet {
        complain(format_args!("results are in {}", out.display()));
    }
    Ok(summary.exit())
}

/// Checks every command before the first one runs.
fn check(experiment: &Experiment, understand: Understand) -> Result<(), Fault> {
    let mut checked = std::collections::HashSet::new();
    let steps = experiment.combinations.iter().flat_map(|combination| &combination.steps);
    for step in steps {
        let PlannedWork::Sections(sections) = &step.work else { continue };
        for section in sections {
            let PlannedTask::Run(words) = &section.task else { continue };
            if checked.insert(words) {
                understand(words).map_err(|what| Fault { line: section.line, what })?;
            }
        }
    }
    Ok(())
}

/// A place for the results, before anything runs. What another experiment left is not mixed with it.
fn prepare(out: &Path) -> Result<(), Error> {
    let name = out.display();
    let error = |error: io::Error| {
        Error::Environment(format!("--out {name}: {error}; choose a directory that can be written"))
    };
    std::fs::create_dir_all(out).map_err(error)?;
    if std::fs::read_dir(out).map_err(error)?.next().is_some() {
        return Err(Error::Usage(format!("--out {name}: it is not empty; choose a new directory")));
    }
    // Whether it can be written shows only when it is; an empty summary would look like one.
    let summary = out.join("summary.json");
    std::fs::write(&summary, "").and_then(|()| std::fs::remove_file(&summary)).map_err(error)?;
    Ok(())
}

/// Prints what would run.
fn show(experiment: &Experiment) -> Result<Exit, Error> {
    let mut text = String::new();
    for broker in &experiment.brokers {
        let hooks = [("start", &broker.start), ("ready", &broker.ready), ("stop", &broker.stop)];
        for (what, hook) in hooks {
            if let Some(hook) = hook {
                text += &format!("broker {}, {what}: {hook}\n", broker.name);
            }
        }
    }
    for combination in &experiment.combinations {
        text += &format!("{}\n", combination.directory);
        for step in &combination.steps {
            match &step.work {
                PlannedWork::Sleep(span) => {
                    text += &format!("  {}: sleep {}\n", step.name, span.as_secs_f64());
                }
                PlannedWork::Sections(sections) => {
                    for section in sections {
                        let line = match &section.task {
                            PlannedTask::Run(words) => format!("malaria-bench {}", quoted(words)),
                            PlannedTask::Shell(line) => line.clone(),
                        };
                        text += &format!("  {}: {line}\n", section.name);
                    }
                }
            }
        }
    }
    text += &format!("{} combinations\n", experiment.combinations.len());
    print(&text)?;
    Ok(Exit::Clean)
}

/// Words as they would be typed.
fn quoted(words: &[String]) -> String {
    // Only a NUL cannot be quoted, and no command line can have one.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}

/// To standard error, where nobody has to be listening.
fn complain(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// To standard output; a reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<(), Error> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Environment(format!("cannot write the table: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod example {
    /// checklist 78
    #[test]
    fn the_example_is_a_scenario() {
        let scenario = super::file::parse(super::EXAMPLE);
        assert!(scenario.is_ok(), "{:?}", scenario.err().map(|fault| fault.to_string()));
    }
}
