//! Several commands as one experiment: scenario files, and the built-in matrix.
//!
//! Everything runs in processes of this very program, so nothing here knows of rings or packets. [`mod@file`] reads
//! the TOML, [`inherit`] and [`expand`] make the combinations of it (pure), [`runner`] runs them, [`figures`] and
//! [`results`] say what came of it.
//!
//! # The file
//!
//! ```toml
#![doc = include_str!("scenario/example.toml")]
//! ```
//!
//! `${name}` works in every text, values of variables included; `$${` is a plain `${`. Always there are
//! `${program}` (this program), `${dir}` (of the combination's results), `${group}` and `${broker}`. Words of `run`
//! are told apart as a shell does it; they are checked before anything runs.
//!
//! # The results
//!
//! `DIR/<broker>/<group>/<name=value,...>/` has for each step `<step>.json` (its record), `<step>.stdout` and
//! `<step>.stderr`, `<step>-<n>` or `<step>-<name>` where sections run at once. `DIR/<broker>/` has the output of
//! the broker (`broker-start.*`, `broker-stop.*`) and its log (`broker.log`). The whole is in `DIR/summary.json`
//! ([`results::Summary`]) and `DIR/summary.csv`.
//!
//! A step that fails with usage, environment or an internal fault ends its combination; the next one runs. The
//! exit code is that of the steps: [`process::first_code`].

mod broker;
mod command;
mod expand;
mod figures;
mod file;
mod inherit;
pub mod matrix;
pub mod process;
mod results;
mod runner;
#[cfg(test)]
mod tests;
mod text;

use super::args::{ExperimentArgs, ScenarioArgs};
use super::{Environment, Usage};
use crate::record::Exit;
use expand::{Experiment, PlannedTask, PlannedWork, Surroundings};
use file::{Fault, Scenario};
use process::{Interrupts, first_code};
use results::{SCHEMA, Summary};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub fn run(args: &ScenarioArgs) -> anyhow::Result<Exit> {
    let Some(path) = args.file.as_deref().filter(|_| !args.example) else {
        return super::output::print_text(EXAMPLE, false).map(|()| Exit::Clean);
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| Usage(format!("{}: {error}", path.display())))?;
    let mut scenario = file::parse(&text).map_err(|fault| in_file(path, &fault))?;
    set(&mut scenario, &args.set)?;
    let stem = path.file_stem().map_or("scenario".into(), |stem| stem.to_string_lossy());
    perform(&scenario, path, &stem, &args.output)
}

/// What `--example` prints: a file with everything there is.
const EXAMPLE: &str = include_str!("scenario/example.toml");

fn in_file(file: &Path, fault: &Fault) -> Usage {
    Usage(format!("{}, {fault}", file.display()))
}

/// Variables from the command line.
fn set(scenario: &mut Scenario, settings: &[String]) -> Result<(), Usage> {
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Usage(format!("--set {setting}: expected NAME=VALUE, such as qos=1")));
        };
        let values =
            file::parse_values(name, value).map_err(|what| Usage(format!("--set {setting}: {what}")))?;
        inherit::set(scenario, name, &values).map_err(Usage)?;
    }
    Ok(())
}

/// Runs a scenario, or says what it would run.
fn perform(scenario: &Scenario, file: &Path, name: &str, args: &ExperimentArgs) -> anyhow::Result<Exit> {
    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let default = || PathBuf::from(format!("{name}-{}", started_at.replace([':', '-'], "")));
    let out = args.out.clone().unwrap_or_else(default);
    let program = std::env::current_exe()?;
    let around = Surroundings {
        program: program.to_string_lossy().into_owned(),
        out: out.to_string_lossy().trim_end_matches('/').to_owned(),
    };
    let experiment = expand::expand(scenario, &around).map_err(|fault| in_file(file, &fault))?;
    check(&experiment).map_err(|fault| in_file(file, &fault))?;
    if args.dry_run {
        return show(&experiment);
    }
    prepare(&out)?;
    let interrupts = Interrupts::listen()?;
    let mut runner = runner::Runner { program, out: out.clone(), interrupts, quiet: args.quiet };
    let combinations = runner
        .run(&experiment)
        .map_err(|error| Environment(format!("{}: the experiment cannot go on: {error}", out.display())))?;
    let mut exit_code = first_code(combinations.iter().map(|done| done.exit_code));
    if runner.interrupts.count() > 0 {
        exit_code = first_code([exit_code, Exit::Interrupted.code()]);
    }
    let summary = Summary {
        schema: SCHEMA.to_owned(),
        scenario: file.display().to_string(),
        started_at,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        exit_code,
        planned: experiment.combinations.len(),
        combinations,
    };
    print(&summary.table())?;
    let json = serde_json::to_string_pretty(&summary)?;
    for (name, text) in [("summary.json", json + "\n"), ("summary.csv", summary.csv())] {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|error| Environment(format!("{}: {error}", path.display())))?;
    }
    if !args.quiet {
        eprintln!("results are in {}", out.display());
    }
    Ok(summary.exit())
}

/// Checks every command before the first one runs.
fn check(experiment: &Experiment) -> Result<(), Fault> {
    let mut checked = std::collections::HashSet::new();
    let steps = experiment.combinations.iter().flat_map(|combination| &combination.steps);
    for step in steps {
        let PlannedWork::Sections(sections) = &step.work else { continue };
        for section in sections {
            let PlannedTask::Run(words) = &section.task else { continue };
            if checked.insert(words) {
                command::check(words).map_err(|what| Fault { line: section.line, what })?;
            }
        }
    }
    Ok(())
}

/// A place for the results, before anything runs. What another experiment left is not mixed with it.
fn prepare(out: &Path) -> anyhow::Result<()> {
    let name = out.display();
    let error = |error: io::Error| {
        Environment(format!("--out {name}: {error}; choose a directory that can be written"))
    };
    std::fs::create_dir_all(out).map_err(error)?;
    if std::fs::read_dir(out).map_err(error)?.next().is_some() {
        return Err(Usage(format!("--out {name}: it is not empty; choose a new directory")).into());
    }
    std::fs::write(out.join("summary.json"), "").map_err(error)?;
    Ok(())
}

/// Prints what would run.
fn show(experiment: &Experiment) -> anyhow::Result<Exit> {
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

/// To standard output; a reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<(), Environment> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Environment(format!("cannot write the table: {error}")))
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
