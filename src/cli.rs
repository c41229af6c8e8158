//! The command line: what was typed, what it means, and how the process ends.

mod args;
mod bench;
mod embedded;
mod output;
mod plan;
mod progress;
mod reflector;

use crate::engine;
use crate::record::Exit;
use crate::run::{RunError, TargetError};
use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// Runs the program; the exit codes are those of [`Exit`].
pub fn main() -> ExitCode {
    // Usage errors, --help and --version end here, with clap's 2 and 0.
    let cli = Cli::parse();
    let result = match cli.command {
        None => bench::run(&cli.run),
        Some(Command::Reflector(args)) => reflector::run(&args),
    };
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            let exit = exit_of(&error);
            eprintln!("error: {}", chain(&error));
            ExitCode::from(exit.code())
        }
    }
}

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
    if error.is::<Usage>() {
        return Exit::Usage;
    }
    if let Some(error) = error.downcast_ref::<TargetError>() {
        return match error {
            TargetError::Unresolvable { .. } => Exit::Broker,
            TargetError::Malformed(_) | TargetError::Scheme { .. } => Exit::Usage,
        };
    }
    if let Some(error) = error.downcast_ref::<RunError>() {
        return match error {
            RunError::Flows { .. } => Exit::Usage,
            _ => Exit::Environment,
        };
    }
    let environment = error.is::<Environment>()
        || error.is::<engine::Error>()
        || error.is::<crate::reflector::Error>()
        || error.is::<std::io::Error>();
    if environment { Exit::Environment } else { Exit::Internal }
}
