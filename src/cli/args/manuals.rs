//! Flags of what is made of the flags.

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
    /// The program.
    #[arg(long, value_enum, default_value_t = ProgramArg::MalariaBench, value_name = "NAME")]
    pub program: ProgramArg,
}

#[derive(Args)]
pub struct ManArgs {
    /// Where the pages go; it is made when it is not there.
    pub directory: PathBuf,
}

/// One of the programs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgramArg {
    MalariaBench,
    Malaria,
}
