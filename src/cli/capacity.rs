//! The search for a capacity.

use super::args::{CapacityArgs, OverArg, RunArgs, TopologyArg};
use super::bench::{self, interruption};
use super::live::Onlookers;
use super::output::{self, Output, complain, print_text};
use super::{Usage, calibrate};
use crate::capacity::{Explorer, Goal};
use crate::clock::{self, MILLISECOND, Nanos, SECOND};
use crate::record::{CapacityRecord, Ended, Exit, Over, Plan, Record, Schedule, SearchTerms};
use crate::run::{Load, Pilot, Single, Trial};
use crate::units::{self, Rate, Span};
use crate::{engine, report};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The most that is tried, where nothing is known of the machine.
fn most(over: Over) -> f64 {
    match over {
        Over::Rate => 1e6,
        Over::Clients => 100_000.0,
        Over::ConnectRate => 20_000.0,
        Over::FanOut => 10_000.0,
    }
}

/// Share of what the machine can generate that is tried at most.
const OF_CALIBRATED: f64 = 0.9;
/// Messages of a trial at the lowest rate, or connects: p99 takes 600.
const LEAST: f64 = 1000.0;
/// Clients of a trial of connects stay for so long after the last has connected.
const STAY: Nanos = SECOND;

/// Searches, and says what was found.
///
/// # Errors
/// What kept it from beginning.
pub fn run(args: &CapacityArgs) -> anyhow::Result<Exit> {
    if args.run.output.json_schema {
        return print_text(report::capacity_schema(), false).map(|()| Exit::Clean);
    }
    let goals = goals(args)?;
    let terms = terms(args)?;
    let mut asked = args.run.clone();
    asked.output.require.bounds = goals.iter().flat_map(|goal| &goal.0).cloned().collect();
    let highest = Load { offered: terms.highest, settle: terms.settle_ns, span: terms.trial_ns };
    let mut prepared = bench::prepare(&of_load(&asked, &terms, &highest))?;
    match (terms.over, &prepared.plan.schedule) {
        (Over::Rate, _) => offer(&mut prepared.plan, &terms)?,
        (_, Schedule::Closed { .. }) => {
            return Err(Usage("--rate max: a closed loop takes what there is; give a rate".into()).into());
        }
        _ => {}
    }
    let output = args.run.output.json.as_deref().map(Output::open).transpose()?;
    engine::probe()?;
    let interrupt = interruption()?;
    let mut onlookers = Onlookers::open(&args.run.output, &interrupt)?;
    let mut explorer = Explorer::new(goals, terms);
    let begin = clock::now();
    let end = match terms.over {
        Over::Rate => bench::perform(&args.run, prepared, &interrupt, &mut onlookers, Some(&mut explorer))?,
        _ => each(&args.run, &terms, &mut explorer, &interrupt, &mut onlookers)?,
    };
    let (counts, advice) = (end.counts, bench::advice(&end));
    let record = explorer.record(end, clock::now() - begin);
    onlookers.conclude(&counts, record.exit_code);
    let exit = conclude(&args.run, &record, output);
    if let Some(advice) = advice {
        complain(format_args!("{advice}"));
    }
    onlookers.linger(&interrupt);
    exit
}

/// A run for each load. What comes back is the first of them, ended as the last.
fn each(
    args: &RunArgs,
    terms: &SearchTerms,
    explorer: &mut Explorer,
    interrupt: &Arc<AtomicBool>,
    onlookers: &mut Onlookers,
) -> anyhow::Result<Record> {
    let (begin, mut first, mut last) = (clock::now(), None::<Record>, None);
    while let Some(load) = explorer.next(last.take()) {
        let began = if first.is_none() { 0 } else { clock::now() - begin };
        onlookers.outlook = Some(explorer.outlook());
        let (record, trial) = match one(&of_load(args, terms, &load), load, interrupt, onlookers) {
            Ok(done) => done,
            // What this machine cannot do at all is told at once.
            Err(error) if first.is_none() => return Err(error),
            Err(error) => {
                explorer.fail(format!("{}: {error:#}", terms.over.amount(load.offered)));
                continue;
            }
        };
        let established = record.counts.connections_established;
        let first = first.get_or_insert_with(|| record.clone());
        // Nobody could stay: too many, or too fast, which is no end of the search.
        if record.ended != Ended::Broker || (first.counts.connections_established == 0 && established == 0) {
            (first.ended, first.partial_reason) = (record.ended, record.partial_reason);
        } else {
            first.ended = Ended::Completed;
        }
        last = Some(Trial { began, ..trial });
    }
    Ok(first.expect("a search begins with a trial"))
}

/// One run, and its trial.
fn one(
    run: &RunArgs,
    load: Load,
    interrupt: &Arc<AtomicBool>,
    onlookers: &mut Onlookers,
) -> anyhow::Result<(Record, Trial)> {
    let prepared = bench::prepare(run)?;
    let Schedule::Open { rate_per_s, .. } = prepared.plan.schedule else {
        let record = bench::perform(run, prepared, interrupt, onlookers, None)?;
        return Ok((record.clone(), Trial::of_run(record)));
    };
    let mut single = Single::new(Load { offered: rate_per_s, ..load });
    let record = bench::perform(run, prepared, interrupt, onlookers, Some(&mut single))?;
    let trial = single.trial.unwrap_or_else(|| Trial::of_run(record.clone()));
    Ok((record, trial))
}

/// The run that offers a load.
fn of_load(args: &RunArgs, terms: &SearchTerms, load: &Load) -> RunArgs {
    let mut run = args.clone();
    let Load { offered, settle, span } = *load;
    (run.warmup, run.duration) = (Some(Span::from_nanos(settle)), Span::from_nanos(span));
    let number = |load: f64| load.ceil().min(f64::from(u32::MAX)) as u32;
    match terms.over {
        Over::Rate => {}
        Over::Clients => run.clients = Some(number(offered)),
        Over::FanOut => (run.topology, run.subscribers) = (TopologyArg::FanOut, Some(number(offered))),
        Over::ConnectRate => {
            run.topology = TopologyArg::Idle;
            // No more than at the highest rate, which the machine has room for.
            let seconds = |span: Nanos| span as f64 / 1e9;
            let most = terms.highest * seconds(terms.trial_ns);
            run.clients = Some(number((offered * seconds(span)).min(most)));
            run.connection.connect_rate = Rate::new(offered);
            run.duration = Span::from_nanos(STAY);
        }
    }
    run
}

/// What is wanted; nothing lost is, if nothing else.
fn goals(args: &CapacityArgs) -> Result<Vec<Goal>, Usage> {
    if let Some((_, why)) = senseless(args).into_iter().find(|(given, _)| *given) {
        return Err(Usage(why.into()));
    }
    if let Some(bound) = args.goals.iter().flat_map(|goal| &goal.0).find(|bound| bound.has_windows()) {
        return Err(Usage(format!("--goal '{bound}': a trial is one window; leave out `over`")));
    }
    if !args.goals.is_empty() {
        return Ok(args.goals.clone());
    }
    let idle = args.run.topology == TopologyArg::Idle;
    let goal = match args.over {
        OverArg::ConnectRate => "connack p99 < 1s",
        OverArg::Clients if idle => "connections-lost == 0",
        _ if args.run.topology == TopologyArg::Publish => "shed == 0",
        OverArg::Rate | OverArg::Clients | OverArg::FanOut => "lost == 0",
    };
    Ok(vec![goal.parse().expect("a bound")])
}

/// Flags that make no sense here, whether they were given, and why not.
fn senseless(args: &CapacityArgs) -> [(bool, &'static str); 15] {
    let RunArgs { rate, msgs_per_second, msg_count, probes, abort, hlog, output, schedule, series, .. } =
        &args.run;
    let (over, of_rate) = (args.over, args.over == OverArg::Rate);
    let rated = rate.is_some() || msgs_per_second.is_some();
    let clients = args.run.clients.is_some();
    [
        (rated && of_rate, "--rate, -T: the search decides on rates; give it --min and --max"),
        (schedule.is_some(), "--schedule: a trial has one rate"),
        (rated && over == OverArg::ConnectRate, "--rate, -T: nobody publishes in trials of connects"),
        (clients && !of_rate, "--clients: the search decides on them; give it --min and --max"),
        (
            over == OverArg::FanOut && args.run.subscribers.is_some(),
            "--subscribers: the search decides on them; give it --min and --max",
        ),
        (
            over == OverArg::ConnectRate && args.run.connection.connect_rate.is_some(),
            "--connect-rate: the search decides on it; give it --min and --max",
        ),
        (!of_rate && !args.run.scale.is_one(), "--scale: loads are what they are"),
        (!of_rate && output.tui, "--tui: it shows one run, and here each load is one; leave it out"),
        (msg_count.is_some(), "--msg-count: trials are as long as --duration says"),
        (
            !args.run.away.is_empty() || args.run.stay.is_some() || args.run.flap.is_some(),
            "--away, --stay, --flap: nobody comes and goes in trials",
        ),
        (probes.is_some(), "--probes: there are none beside trials"),
        (!output.require.bounds.is_empty(), "--require: what a trial has to keep is a --goal"),
        (!abort.abort_on.is_empty(), "--abort-on: a trial far beyond the broker ends by itself"),
        (
            series.is_asked() || series.question.typed().is_some(),
            "--repeat, --baseline, --gate and the like are of runs: a search has trials enough",
        ),
        (
            hlog.is_some() || output.junit.is_some() || output.github_summary,
            "--hlog, --junit and --github-summary are of runs",
        ),
    ]
}

fn over(arg: OverArg) -> Over {
    match arg {
        OverArg::Rate => Over::Rate,
        OverArg::Clients => Over::Clients,
        OverArg::ConnectRate => Over::ConnectRate,
        OverArg::FanOut => Over::FanOut,
    }
}

/// How is searched.
fn terms(args: &CapacityArgs) -> Result<SearchTerms, Usage> {
    let (trial_ns, width, confirm_ns, curve_ns) = match (args.quick, args.strict) {
        (true, _) => (3 * SECOND, 0.02, 10 * SECOND, 3 * SECOND),
        (_, true) => (10 * SECOND, 0.005, 30 * SECOND, 10 * SECOND),
        _ => (args.run.duration.nanos(), args.width, 30 * SECOND, 10 * SECOND),
    };
    let confirm_ns = args.confirm.map_or(confirm_ns, Span::nanos);
    let curve_ns = args.curve.map_or(curve_ns, Span::nanos);
    if trial_ns < 100 * MILLISECOND {
        return Err(Usage(format!("--duration {}: a trial takes at least 100ms", args.run.duration)));
    }
    let over = over(args.over);
    let calibrated = calibrate::known().and_then(|known| match over {
        Over::Rate => Some(known.out_per_s[usize::from(args.run.qos)]),
        Over::ConnectRate => Some(known.connects_per_s),
        Over::Clients | Over::FanOut => None,
    });
    let calibrated = calibrated.map(|most| most * OF_CALIBRATED);
    let highest = args.max.map_or(calibrated.unwrap_or(most(over)), Rate::per_second);
    let apart = (1.0 / width).floor();
    let (least, whole) = match over {
        Over::Rate | Over::ConnectRate => (LEAST * 1e9 / trial_ns as f64, false),
        Over::Clients | Over::FanOut => (apart, true),
    };
    let lowest = args.min.map_or(least.min(highest), Rate::per_second);
    if lowest > highest {
        return Err(Usage(format!("--min {lowest} is more than --max {highest}")));
    }
    if whole && lowest < apart && highest > lowest {
        let width = units::percent(width);
        return Err(Usage(format!(
            "--min {lowest}: loads are whole numbers, of which those below {apart} are more than --width {width} apart"
        )));
    }
    let settle_ns = if over == Over::ConnectRate { 0 } else { args.run.warmup.map_or(SECOND, Span::nanos) };
    Ok(SearchTerms {
        over,
        lowest,
        highest,
        width,
        trials: args.trials,
        exceed_ratio: 0.5,
        settle_ns,
        trial_ns,
        confirm_ns,
        curve_ns,
        limit_ns: args.time_limit.nanos(),
    })
}

/// The plan of trials of rates, with the highest of them.
fn offer(plan: &mut Plan, terms: &SearchTerms) -> Result<(), Usage> {
    let Schedule::Open { rate_per_s, .. } = &mut plan.schedule else {
        return Err(Usage("--topology idle publishes nothing: search it --over clients".into()));
    };
    *rate_per_s = terms.highest;
    (plan.warmup_ns, plan.duration_ns) = (terms.settle_ns, Some(terms.trial_ns));
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
        for flags in [
            "--over clients --clients 3",
            "--over fan-out --subscribers 3",
            "--over fan-out --clients 3",
            "--over connect-rate --connect-rate 3",
            "--over connect-rate --rate 3",
            "--over clients --scale 2",
            "--over clients --tui",
        ] {
            assert!(goals(&typed(flags)).expect_err(flags).to_string().starts_with("--"), "{flags}");
        }
        assert_eq!(goals(&typed("--over clients --rate 5k")).unwrap(), ["lost == 0".parse().unwrap()]);
        let idle = goals(&typed("--over clients --topology idle")).unwrap();
        assert_eq!(idle, ["connections-lost == 0".parse().unwrap()]);
        assert_eq!(goals(&typed("")).unwrap(), ["lost == 0".parse().unwrap()]);
        let windows = CapacityArgs { goals: vec!["ack p99 < 5ms over 10s".parse().unwrap()], ..typed("") };
        assert!(goals(&windows).expect_err("a trial has none").to_string().contains("one window"));
        let args = CapacityArgs { goals: vec!["ack p99 < 5ms, lost == 0".parse().unwrap()], ..typed("") };
        assert_eq!(goals(&args).unwrap()[0].0.len(), 2);
    }

    #[test]
    fn terms_are_those_of_the_help() {
        let default = terms(&typed("--max 1M")).unwrap();
        assert_eq!((default.trial_ns, default.settle_ns, default.trials), (5 * SECOND, SECOND, 11));
        assert_eq!((default.width, default.lowest, default.highest), (0.01, 200.0, 1e6));
        assert_eq!(
            (default.confirm_ns, default.curve_ns, default.limit_ns),
            (30 * SECOND, 10 * SECOND, 1200 * SECOND)
        );
        let quick = terms(&typed("--quick --max 50")).unwrap();
        assert_eq!((quick.trial_ns, quick.width, quick.confirm_ns), (3 * SECOND, 0.02, 10 * SECOND));
        assert_eq!((quick.lowest, quick.highest), (50.0, 50.0), "never above the highest");
        let short = terms(&typed("--quick --confirm 0 --curve 1s")).unwrap();
        assert_eq!((short.confirm_ns, short.curve_ns, short.trial_ns), (0, SECOND, 3 * SECOND));
        let strict = terms(&typed("--strict --confirm 0")).unwrap();
        assert_eq!((strict.trial_ns, strict.width, strict.confirm_ns), (10 * SECOND, 0.005, 0));
        assert!(terms(&typed("--min 10k --max 1k")).is_err());
        assert!(terms(&typed("--duration 50ms")).is_err());
        let clients = terms(&typed("--over clients --quick")).unwrap();
        assert_eq!((clients.over, clients.lowest, clients.highest), (Over::Clients, 50.0, 100_000.0));
        let too_few = terms(&typed("--over clients --min 20")).expect_err("1 % of 20 is no client");
        assert!(too_few.to_string().contains("below 100"), "{too_few}");
        let connects = terms(&typed("--over connect-rate --max 5k")).unwrap();
        assert_eq!((connects.lowest, connects.settle_ns), (200.0, 0));
    }

    #[test]
    fn a_load_is_in_the_flags_of_its_run() {
        let run = |line: &str, offered| {
            let args = typed(line);
            let load = Load { offered, settle: 0, span: 3 * SECOND };
            of_load(&args.run, &terms(&args).unwrap(), &load)
        };
        let clients = run("--over clients --topology idle", 1234.0);
        assert_eq!((clients.clients, clients.duration.nanos()), (Some(1234), 3 * SECOND));
        let heard = run("--over fan-out --publishers 2", 70.0);
        assert!(heard.topology == TopologyArg::FanOut && heard.subscribers == Some(70));
        assert_eq!((heard.publishers, heard.clients), (Some(2), None));
        let connects = run("--over connect-rate --max 2k", 1500.0);
        assert_eq!((connects.clients, connects.duration.nanos()), (Some(4500), SECOND));
        assert_eq!(connects.connection.connect_rate, Rate::new(1500.0));
        let confirming = run("--over connect-rate --max 500", 1500.0);
        assert_eq!(confirming.clients, Some(2500), "no more than in a trial of the highest rate");
    }
}
