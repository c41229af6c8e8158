//! The command line: what was typed, what it means, and how the process ends.

mod args;
mod bench;
mod calibrate;
mod capacity;
mod check;
mod ci;
mod compare;
mod config;
mod connection;
mod doctor;
mod embedded;
mod experiment;
mod fleet;
mod hlog;
mod identities;
mod ids;
mod keygen;
mod keys;
mod live;
mod manuals;
mod output;
mod plan;
mod progress;
mod publish;
mod records;
mod reflector;
mod report;
mod series;
mod subscribe;
mod suite;
mod transport;
mod watch;

use crate::engine::{self, TargetError};
use crate::record::Exit;
use crate::run::RunError;
use args::{Cli, Command, Malaria, MalariaCommand};
use clap::{CommandFactory, FromArgMatches};
use std::process::ExitCode;

/// The program `malaria-bench`; the exit codes are those of [`Exit`].
pub fn main() -> ExitCode {
    engine::use_small_pages();
    finish(read::<Cli>().and_then(|cli| match cli.command {
        None => bench::run(&cli.run),
        Some(Command::Reflector(args)) => reflector::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Calibrate(args)) => calibrate::run(&args),
        Some(Command::Capacity(args)) => capacity::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Ab(args)) => experiment::ab(&args),
        Some(Command::Scenario(args)) => experiment::scenario(&args),
        Some(Command::Run(args)) => suite::run(&args),
        Some(Command::Scenarios(args)) => suite::list(&args),
        Some(Command::Matrix(args)) => experiment::matrix(&args),
        Some(Command::Completions(args)) => manuals::completions(&args),
        Some(Command::Man(args)) => manuals::man(&args),
        Some(Command::Malaria(command)) => malaria(&command),
    }))
}

/// The program `malaria`; the exit codes are those of [`Exit`].
pub fn malaria_main() -> ExitCode {
    engine::use_small_pages();
    finish(read::<Malaria>().and_then(|cli| malaria(&cli.command)))
}

fn malaria(command: &MalariaCommand) -> anyhow::Result<Exit> {
    match command {
        MalariaCommand::Publish(args) => publish::run(args),
        MalariaCommand::Subscribe(args) => subscribe::run(args),
        MalariaCommand::Watch(args) => watch::run(args),
        MalariaCommand::Keygen(args) => keygen::run(args),
        MalariaCommand::Attack(args) => experiment::attack(args),
    }
}

/// What was typed.
fn read<C: CommandFactory + FromArgMatches>() -> anyhow::Result<C> {
    let matches = config::parse(C::command(), std::env::args_os().collect())?;
    Ok(C::from_arg_matches(&matches)?)
}

/// The command line for a record: what of it is no UTF-8 shows as U+FFFD.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Says what went wrong, in one line, and ends.
fn finish(result: anyhow::Result<Exit>) -> ExitCode {
    let error = match result {
        Ok(exit) => return ExitCode::from(exit.code()),
        Err(error) => error,
    };
    match error.downcast_ref::<clap::Error>() {
        // --help and --version are no errors, and a missing command is answered with the help.
        Some(error) if !error.use_stderr() || error.kind() == HELP => error.exit(),
        Some(error) => output::complain(format_args!("error: {}; try --help", config::one_line(error))),
        None => output::complain(format_args!("error: {}", chain(&error))),
    }
    ExitCode::from(exit_of(&error).code())
}

const HELP: clap::error::ErrorKind = clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// `error` and its causes, but for those that its text has in it.
fn chain(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| match cause.to_string() {
        cause if text.is_empty() => cause,
        cause if text.contains(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}

/// A command line that parses and still makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Something about the machine: an unwritable output, a limit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Environment(String);

/// The exit code for what ended the program before there was a record.
fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<Usage>() || error.is::<clap::Error>() {
        return Exit::Usage;
    }
    if let Some(error) = error.downcast_ref::<TargetError>() {
        return match error {
            TargetError::Unresolvable { .. } => Exit::Broker,
            TargetError::Malformed(_) | TargetError::Path(_) | TargetError::Scheme { .. } => Exit::Usage,
        };
    }
    if let Some(error) = error.downcast_ref::<RunError>() {
        return match error {
            RunError::Flows { .. } | RunError::Filter { .. } | RunError::SharedTopic { .. } => Exit::Usage,
            _ => Exit::Environment,
        };
    }
    if let Some(error) = error.downcast_ref::<crate::experiment::Error>() {
        return match error {
            crate::experiment::Error::Usage(_) => Exit::Usage,
            _ => Exit::Environment,
        };
    }
    let environment = error.is::<Environment>()
        || error.is::<crate::stage::StageError>()
        || error.is::<crate::fleet::FeedError>()
        || error.is::<engine::Error>()
        || error.is::<crate::reflector::Error>()
        || error.is::<std::io::Error>();
    if environment { Exit::Environment } else { Exit::Internal }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> anyhow::Error {
        let words = line.split_whitespace().map(Into::into).collect();
        config::parse(Malaria::command(), words).err().unwrap_or_else(|| panic!("{line} is accepted"))
    }

    /// Issue section 4: bad input is one line and exit code 2, whoever finds it.
    #[test]
    fn bad_input_ends_with_code_2() {
        for line in
            ["malaria publish -q 3", "malaria publish --sped 5", "malaria subscribe -N 0", "malaria fly"]
        {
            let error = refused(line);
            assert_eq!(exit_of(&error), Exit::Usage, "{line}");
            let text = config::one_line(error.downcast_ref().expect("clap has found it"));
            assert!(text.lines().count() == 1 && !text.contains("Usage:"), "{text}");
        }
        assert_eq!(exit_of(&refused("malaria watch --config /nowhere/at/all")), Exit::Usage);
        assert_eq!(exit_of(&anyhow::Error::from(Usage("senseless".into()))), Exit::Usage);
        assert_eq!(exit_of(&anyhow::Error::from(Environment("full".into()))), Exit::Environment);
    }

    #[test]
    fn a_typing_error_is_told_with_the_flag_that_was_meant() {
        let error = refused("malaria publish --porcesses 5");
        let text = config::one_line(error.downcast_ref().expect("clap has found it"));
        assert!(text.contains("'--porcesses'") && text.contains("'--processes'"), "{text}");
    }
}
