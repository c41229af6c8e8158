//! Flags of `watch`.

use super::ConnectionArgs;
use crate::units::Span;
use clap::Args;
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  malaria watch                      every topic, in a new directory that is removed at the end
  malaria watch -t 'home/#' -d now   in the directory `now`; read now/msgs_total, now/drop_count, ...

Files: msgs_total, msgs_stored, drop_count, uptime, topic, metrics.json, metrics.prom (for Prometheus), README,
       README.detailed.";

/// What is typed behind `watch`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct WatchArgs {
    /// Client id [default: beem-watchr-<pid>].
    #[arg(short, long, value_name = "ID", help_heading = "Watching")]
    pub clientid: Option<String>,
    /// QoS to subscribe with: 0, 1 or 2.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2), value_name = "QOS", help_heading = "Watching")]
    pub qos: u8,
    /// Topic filter; repeat it for several.
    #[arg(short, long, default_value = "#", value_name = "FILTER", help_heading = "Watching")]
    pub topic: Vec<String>,
    /// Directory for the files; made if it is not there [default: a new one, removed at the end].
    #[arg(short, long, value_name = "DIR", help_heading = "Watching")]
    pub directory: Option<PathBuf>,
    /// Time between updates of the files, in whole seconds.
    #[arg(long, default_value = "1s", value_name = "TIME", help_heading = "Watching")]
    pub interval: Span,
    /// End after this time [default: never].
    #[arg(long, value_name = "TIME", help_heading = "Watching")]
    pub duration: Option<Span>,

    #[command(flatten)]
    pub connection: ConnectionArgs,

    /// Write the values (JSON) at the end to FILE, or to standard output with - [default: nowhere].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Print nothing but errors, and the values if asked for [default: off].
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
    /// File (TOML) with flags by their names; the command line wins [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub config: Option<PathBuf>,
}
