//! The search for a capacity.

use super::args::{CapacityArgs, RunArgs};
use super::bench::{self, interruption};
use super::live::Onlookers;
use super::output::{self, Output, complain, print_text};
use super::{Usage, calibrate};
use crate::capacity::{Explorer, Goal};
use crate::clock::{self, MILLISECOND, SECOND};
use crate::record::{CapacityRecord, Exit, Plan, Schedule, SearchTerms};
use crate::units::{Rate, Span};
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
    let mut onlookers = Onlookers::open(&args.run.output, &interrupt)?;
    let mut explorer = Explorer::new(goals, terms);
    let begin = clock::now();
    let end = bench::perform(&args.run, prepared, &interrupt, &mut onlookers, Some(&mut explorer))?;
    let counts = end.counts;
    let record = explorer.record(end, clock::now() - begin);
    onlookers.conclude(&counts, record.exit_code);
    let exit = conclude(&args.run, &record, output);
    onlookers.linger(&interrupt);
    exit
}

/// What is wanted; nothing lost is, if nothing else.
fn goals(args: &CapacityArgs) -> Result<Vec<Goal>, Usage> {
    let RunArgs {
        rate,
        msgs_per_second,
        msg_count,
        probes,
        abort,
        hlog,
        output,
        schedule,
        away,
        stay,
        flap,
        series,
        ..
    } = &args.run;
    let senseless = [
        (rate.is_some(), "--rate: the search decides on rates; give it --min and --max"),
        (
            msgs_per_second.is_some(),
            "--msgs-per-second: the search decides on rates; give it --min and --max",
        ),
        (msg_count.is_some(), "--msg-count: trials are as long as --duration says"),
        (schedule.is_some(), "--schedule: the search decides on rates; give it --min and --max"),
        (
            !away.is_empty() || stay.is_some() || flap.is_some(),
            "--away, --stay, --flap: nobody comes and goes in trials",
        ),
        (probes.is_some(), "--probes: there are none beside trials"),
        (!output.require.bounds.is_empty(), "--require: what a trial has to keep is a --goal"),
        (!abort.abort_on.is_empty(), "--abort-on: a trial far beyond the broker ends by itself"),
        (
            series.is_asked(),
            "--repeat, --baseline and --save-baseline are of runs: a search has trials enough",
        ),
        (hlog.is_some(), "--hlog: it is of one load"),
        (output.junit.is_some() || output.github_summary, "--junit and --github-summary are of runs"),
    ];
    if let Some((_, why)) = senseless.into_iter().find(|(given, _)| *given) {
        return Err(Usage(why.into()));
    }
    if let Some(bound) = args.goals.iter().flat_map(|goal| &goal.0).find(|bound| bound.has_windows()) {
        return Err(Usage(format!("--goal '{bound}': a trial is one window; leave out `over`")));
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
        settle_ns: args.run.warmup.map_or(SECOND, Span::nanos),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    fn typed(line: &str) -> CapacityArgs {
        let words = ["malaria-bench", "capacity"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).command {
            Some(Command::Capacity(args)) => *args,
            _ => panic!("capacity was asked for"),
        }
    }

    #[test]
    fn what_the_search_decides_on_is_no_flag_of_it() {
        for flag in
            ["--rate 5k", "-T 1", "-n 100", "--probes 3", "--require lost==0", "--repeat 3", "--baseline x"]
        {
            let name = goals(&typed(flag)).expect_err(flag).to_string();
            assert!(name.starts_with("--"), "{name}");
        }
        assert_eq!(goals(&typed("")).unwrap(), ["lost == 0".parse().unwrap()]);
        let windows = CapacityArgs { goals: vec!["ack p99 < 5ms over 10s".parse().unwrap()], ..typed("") };
        assert!(goals(&windows).expect_err("a trial has none").to_string().contains("one window"));
        let args = CapacityArgs { goals: vec!["ack p99 < 5ms, lost == 0".parse().unwrap()], ..typed("") };
        assert_eq!(goals(&args).unwrap()[0].0.len(), 2);
    }

    #[test]
    fn terms_are_those_of_the_help() {
        let default = terms(&typed("--max 1M"), 1).unwrap();
        assert_eq!((default.trial_ns, default.settle_ns, default.trials), (5 * SECOND, SECOND, 11));
        assert_eq!((default.width, default.lowest_per_s, default.highest_per_s), (0.01, 200.0, 1e6));
        assert_eq!(
            (default.confirm_ns, default.curve_ns, default.limit_ns),
            (30 * SECOND, 10 * SECOND, 1200 * SECOND)
        );
        let quick = terms(&typed("--quick --max 50"), 1).unwrap();
        assert_eq!((quick.trial_ns, quick.width, quick.confirm_ns), (3 * SECOND, 0.02, 10 * SECOND));
        assert_eq!((quick.lowest_per_s, quick.highest_per_s), (50.0, 50.0), "never above the highest");
        let strict = terms(&typed("--strict --confirm 0"), 1).unwrap();
        assert_eq!((strict.trial_ns, strict.width, strict.confirm_ns), (10 * SECOND, 0.005, 0));
        assert!(terms(&typed("--min 10k --max 1k"), 1).is_err());
        assert!(terms(&typed("--duration 50ms"), 1).is_err());
    }
}
