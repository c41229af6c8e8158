//! The search for a capacity.

use super::args::{CapacityArgs, RunArgs};
use super::bench::{self, interruption};
use super::output::{self, Output, complain, print_text};
use super::progress::Line;
use super::{Usage, calibrate};
use crate::capacity::{Explorer, Goal};
use crate::clock::{self, MILLISECOND, SECOND};
use crate::record::{CapacityRecord, Exit, Plan, Schedule, SearchTerms};
use crate::units::Rate;
use crate::{engine, report};

/// The highest rate that is tried, where nothing is known of the machine.
const MOST: f64 = 1e6;
/// Share of what the machine can generate that is tried at most.
const OF_CALIBRATED: f64 = 0.9;
/// Messages of a trial at the lowest rate: p99 takes 600.
const LEAST: f64 = 1000.0;

/// Searches, and says what was found.
///
/// # Errors
/// What kept it from beginning.
pub fn run(args: &CapacityArgs) -> anyhow::Result<Exit> {
    if args.run.output.json_schema {
        return print_text(report::capacity_schema(), false).map(|()| Exit::Clean);
    }
    let goals = goals(args)?;
    let mut prepared = bench::prepare(&args.run)?;
    let terms = terms(args, prepared.plan.qos)?;
    offer(&mut prepared.plan, terms.highest_per_s)?;
    prepared.plan.warmup_ns = terms.settle_ns;
    prepared.plan.duration_ns = Some(terms.trial_ns);
    let output = args.run.output.json.as_deref().map(Output::open).transpose()?;
    engine::probe()?;
    let interrupt = interruption()?;
    let mut line = Line::new(args.run.output.progress, args.run.output.quiet);
    let mut explorer = Explorer::new(goals, terms);
    let begin = clock::now();
    let end = bench::perform(&args.run, prepared, &interrupt, &mut line, Some(&mut explorer))?;
    let record = explorer.record(end, clock::now() - begin);
    conclude(&args.run, &record, output)
}

/// What is wanted; nothing lost is, if nothing else.
fn goals(args: &CapacityArgs) -> Result<Vec<Goal>, Usage> {
    let RunArgs { rate, msgs_per_second, msg_count, probes, abort, hlog, output, .. } = &args.run;
    let senseless = [
        (rate.is_some(), "--rate: the search decides on rates; give it --min and --max"),
        (
            msgs_per_second.is_some(),
            "--msgs-per-second: the search decides on rates; give it --min and --max",
        ),
        (msg_count.is_some(), "--msg-count: trials are as long as --duration says"),
        (probes.is_some(), "--probes: there are none beside trials"),
        (!output.require.bounds.is_empty(), "--require: what a trial has to keep is a --goal"),
        (!abort.abort_on.is_empty(), "--abort-on: a trial far beyond the broker ends by itself"),
        (hlog.is_some(), "--hlog: it is of one load"),
        (output.junit.is_some() || output.github_summary, "--junit and --github-summary are of runs"),
    ];
    if let Some((_, why)) = senseless.into_iter().find(|(given, _)| *given) {
        return Err(Usage(why.into()));
    }
    match args.goals.is_empty() {
        true => Ok(vec!["lost == 0".parse().expect("a bound")]),
        false => Ok(args.goals.clone()),
    }
}

/// How is searched.
fn terms(args: &CapacityArgs, qos: u8) -> Result<SearchTerms, Usage> {
    let given = (args.run.duration.nanos(), args.width, args.confirm.nanos(), args.curve.nanos());
    let (trial_ns, width, confirm_ns, curve_ns) = match (args.quick, args.strict) {
        (true, _) => (3 * SECOND, 0.02, 10 * SECOND, 3 * SECOND),
        (_, true) => (10 * SECOND, 0.005, given.2, given.3),
        _ => given,
    };
    if trial_ns < 100 * MILLISECOND {
        return Err(Usage(format!("--duration {}: a trial takes at least 100ms", args.run.duration)));
    }
    let calibrated = calibrate::known().map(|known| known.out_per_s[usize::from(qos)] * OF_CALIBRATED);
    let most = args.max.map_or(calibrated.unwrap_or(MOST), Rate::per_second);
    let least = (LEAST * 1e9 / trial_ns as f64).min(most);
    let lowest = args.min.map_or(least, Rate::per_second);
    if lowest > most {
        return Err(Usage(format!("--min {lowest} is more than --max {most}")));
    }
    Ok(SearchTerms {
        lowest_per_s: lowest,
        highest_per_s: most,
        width,
        trials: args.trials,
        exceed_ratio: 0.5,
        settle_ns: args.run.warmup.nanos(),
        trial_ns,
        confirm_ns,
        curve_ns,
        limit_ns: args.time_limit.nanos(),
    })
}

/// The plan of trials, the highest of which offers `most`.
fn offer(plan: &mut Plan, most: f64) -> Result<(), Usage> {
    let Schedule::Open { rate_per_s, .. } = &mut plan.schedule else {
        return Err(Usage("--topology idle publishes nothing: there is no rate to search".into()));
    };
    *rate_per_s = most;
    Ok(())
}

fn conclude(args: &RunArgs, record: &CapacityRecord, output: Option<Output>) -> anyhow::Result<Exit> {
    let to_stdout = output.as_ref().is_some_and(Output::is_stdout);
    let written = output.map_or(Ok(()), |output| output.write(&report::capacity_json(record)));
    if args.output.quiet || record.trials.is_empty() {
        if record.exit_code != 0 {
            complain(format_args!("error: {}", record.exit_reason));
        }
    } else {
        let (width, color) = output::paper(to_stdout);
        print_text(&report::capacity_text(record, width, color), to_stdout)?;
    }
    written?;
    Ok(Exit::from_code(record.exit_code))
}
