//! Flags of `keygen`.

use super::values::count;
use clap::Args;
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  malaria keygen -n 500 -f keys          500 `identity:key` lines, as mosquitto's psk_file takes them
  malaria keygen -s -n 4 -F keys         the lines of `keys` in keys.chunked.1 to keys.chunked.4";

/// What is typed behind `keygen`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct KeygenArgs {
    /// Identities; %d is a number from 1 on.
    #[arg(short, long, default_value = "malaria-tlspsk-%d", value_name = "TEMPLATE")]
    pub template: String,
    /// Keys to make; with --split, files to split into.
    #[arg(short = 'n', long, default_value = "10", value_name = "N", value_parser = count::<u32, 1>)]
    pub count: u32,
    /// File to write, or - for standard output. Its owner alone can read it (mode 0600), as the pieces of --split;
    /// one that is there already gets that mode too.
    #[arg(short, long, default_value = "-", value_name = "FILE")]
    pub file: PathBuf,
    /// File to split, or - for standard input.
    #[arg(short = 'F', long, default_value = "-", value_name = "FILE")]
    pub infile: PathBuf,
    /// Split the lines of a file over FILE.chunked.1 and so on, instead of making keys [default: off].
    #[arg(short, long)]
    pub split: bool,
    /// File (TOML) with flags by their names; the command line wins [default: none].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
