//! What is made of the flags: completions for shells, and pages of a manual.

use super::Environment;
use super::args::{Cli, CompletionsArgs, Malaria, ManArgs, ProgramArg};
use super::output::print_text;
use crate::record::Exit;
use clap::CommandFactory;

/// Prints what a shell has to know.
///
/// # Errors
/// An output that cannot be written.
pub fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut command = match args.program {
        ProgramArg::MalariaBench => Cli::command(),
        ProgramArg::Malaria => Malaria::command(),
    };
    let (name, mut script) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print_text(&String::from_utf8(script)?, false).map(|()| Exit::Clean)
}

/// Writes a page for each command of both programs.
///
/// # Errors
/// A directory that cannot be written.
pub fn man(args: &ManArgs) -> anyhow::Result<Exit> {
    let unwritable = |error| Environment(format!("{}: {error}", args.directory.display()));
    std::fs::create_dir_all(&args.directory).map_err(unwritable)?;
    for program in [Cli::command(), Malaria::command()] {
        clap_mangen::generate_to(program, &args.directory).map_err(unwritable)?;
    }
    Ok(Exit::Clean)
}
