//! Bounds that a run has to keep.

use crate::gate::{Bound, Condition};
use crate::units::Span;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Bounds: a name, one of < <= > >= ==, and a value with its unit.
  ack p99 < 5ms, flight p99.9 <= 20ms, ack-service mean < 1ms, connack max < 1s
  round-trip p99 < 10ms
  acked >= 10k/s, sent >= 50k/s, delivered >= 10k messages
  lost == 0, duplicated == 0, shed <= 0.1%, connected == 1000, success >= 99.9%
  broker-cpu-per-message < 5us, broker-memory-per-connection < 4KiB, broker-memory < 1GiB
  verdict == clean, cpu <= 50%, generator-cpu-per-message < 40us, memory-per-client < 1KiB
  flight p99 < 50ms over 10s, delivered >= 9k/s over 10s     in every 10 seconds of the measure phase

Examples:
  malaria-bench check result.json --require 'ack p99 < 5ms'
  malaria-bench check runs/*.json --require 'lost == 0' --require 'acked >= 10k/s'

What was not measured does not hold. The exit code is that of a run with these
bounds (7 when nothing else went wrong); of several files, the gravest.";

#[derive(Clone, Args)]
pub struct RequireArgs {
    /// Exit with 7 unless this holds, such as 'ack p99 < 5ms', 'acked >= 10k/s', 'lost == 0' or
    /// 'success >= 99.9%'; repeat it for several (see malaria-bench check --help) [default: none].
    #[arg(long = "require", value_name = "BOUND", help_heading = "Output")]
    pub bounds: Vec<Bound>,
}

/// What ends a run early.
#[derive(Clone, Args)]
pub struct AbortArgs {
    /// End the run when this comes true, and exit with 7: 'flight p99 > 1s over 10s', 'acked < 1k/s over 5s' or
    /// 'ack-timeouts > 100'; looked at each second of the measure phase; repeat it for several [default: none].
    #[arg(long, value_name = "CONDITION", help_heading = "Phases")]
    pub abort_on: Vec<Condition>,
    /// Ignore --abort-on for this much of the measure phase.
    #[arg(long, default_value = "0s", value_name = "TIME", requires = "abort_on", help_heading = "Phases")]
    pub abort_after: Span,
}

#[derive(Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct JudgeArgs {
    /// Results of the main job, of publish or of subscribe, written with --json.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What has to hold in each of them; repeat it for several.
    #[arg(long = "require", required = true, value_name = "BOUND")]
    pub bounds: Vec<Bound>,
}
