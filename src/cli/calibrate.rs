//! What this machine can generate at most, and at the least how long things take on it.

use super::args::{CalibrateArgs, Cli, RunArgs};
use super::bench::{self, interruption};
use super::output::{Output, print_text, tell};
use super::{Environment, plan};
use crate::clock::Nanos;
use crate::record::{Calibration, Exit, Phase, Record};
use crate::units::Span;
use crate::{cpu, engine, units};
use clap::Parser;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Each load is measured so often. The best counts: the most for a ceiling, the least for a floor.
const ROUNDS: usize = 5;
/// A worker that waited longer for its CPU was disturbed: the verdict's limit.
const DISTURBED: f64 = 0.05;

/// A load that is measured, as the flags of a run, what is read from it, and where the best of that is kept.
struct Load {
    what: String,
    flags: String,
    figures: fn(&Record) -> Vec<f64>,
    best: fn(f64, f64) -> f64,
    keep: Keep,
}

type Keep = Box<dyn Fn(&mut Calibration, &[f64])>;

/// Measures this machine, and keeps what came of it.
///
/// # Errors
/// What kept it from beginning, or a place where nothing can be kept.
pub fn run(args: &CalibrateArgs) -> anyhow::Result<Exit> {
    if args.json_schema {
        return print_text(Calibration::JSON_SCHEMA, false).map(|()| Exit::Clean);
    }
    engine::probe()?;
    let path = path().ok_or_else(|| {
        Environment("no place to keep a calibration: set XDG_STATE_HOME or HOME to a directory".into())
    })?;
    let folder = path.parent().expect("it is in a directory of ours");
    std::fs::create_dir_all(folder)
        .map_err(|error| Environment(format!("{}: {error}; set XDG_STATE_HOME", folder.display())))?;
    let output = Output::open_for("calibration", &path)?;
    let interrupt = interruption()?;
    let machine = cpu::machine();
    let cores = plan::cores(args.cores, &cpu::allowed(), plan::Broker::Embedded);
    let measured_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let used = cores.generator.len();
    let mut calibration = Calibration::new(measured_at, machine, used as u32);
    for load in loads() {
        if !args.quiet {
            tell(format_args!("measuring {}", load.what));
        }
        match measure(&load, &flags(&load, used, args.duration)?, &interrupt)? {
            Measured::Figures(figures) => (load.keep)(&mut calibration, &figures),
            Measured::Disturbed(why) => {
                return Err(Environment(format!("{}: {why}; nothing was kept", load.what)).into());
            }
            Measured::Interrupted => return Ok(Exit::Interrupted),
        }
    }
    output.write(&serde_json::to_string_pretty(&calibration)?)?;
    if !args.quiet {
        print_text(&text(&calibration), false)?;
        tell(format_args!("kept in {}", path.display()));
    }
    Ok(Exit::Clean)
}

/// What is known of this machine, if anything.
pub fn known() -> Option<Calibration> {
    Calibration::from_json(&std::fs::read_to_string(path()?).ok()?, &cpu::machine())
}

/// Where calibrations are kept, by the XDG Base Directory Specification 0.8: in `$XDG_STATE_HOME`, or else
/// `$HOME/.local/state`.
fn path() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("malaria-bench/calibration.json"))
}

fn loads() -> Vec<Load> {
    let mut loads = Vec::new();
    for qos in 0..=2 {
        loads.push(Load {
            what: format!("sending at QoS {qos}"),
            flags: format!("--topology publish --clients 200 --rate max --inflight 16 -q {qos}"),
            figures: |record| {
                let throughput = record.throughput;
                per_second(record, if record.plan.qos == 0 { throughput.sent } else { throughput.acked })
            },
            best: f64::max,
            keep: Box::new(move |calibration, best| calibration.out_per_s[qos] = best[0]),
        });
        loads.push(Load {
            what: format!("receiving at QoS {qos}"),
            flags: format!(
                "--topology fan-out --subscribers 200 --rate max --inflight 16 -q 1 --sub-qos {qos}"
            ),
            figures: |record| per_second(record, record.throughput.delivered),
            best: f64::max,
            keep: Box::new(move |calibration, best| calibration.in_per_s[qos] = best[0]),
        });
    }
    loads.extend([both(), connecting(), round_trips()]);
    loads
}

fn both() -> Load {
    Load {
        what: "both ways at QoS 1".into(),
        flags: "--clients 200 --rate max --inflight 16".into(),
        figures: |record| per_second(record, record.throughput.acked),
        best: f64::max,
        keep: Box::new(|calibration, best| calibration.both_per_s = best[0]),
    }
}

fn connecting() -> Load {
    Load {
        what: "connecting".into(),
        flags: "--topology idle --clients 5000".into(),
        figures: |record| {
            let span = record.span_of(Phase::Connect).filter(|span| *span > 0);
            let made = record.counts.connections_established as f64;
            span.map(|span| made * 1e9 / span as f64).into_iter().collect()
        },
        best: f64::max,
        keep: Box::new(|calibration, best| calibration.connects_per_s = best[0]),
    }
}

fn round_trips() -> Load {
    Load {
        what: "round trips".into(),
        flags: "--clients 2 --rate 4k".into(),
        figures: |record| {
            let latencies = &record.latencies;
            let (lag, hearing) = (&latencies.wake_lag, &latencies.hearing_lag);
            let times = [latencies.ack_service.p50_ns, lag.p50_ns, lag.p99_ns, hearing.p50_ns];
            times.into_iter().map(|nanos| Some(nanos? as f64)).collect::<Option<_>>().unwrap_or_default()
        },
        best: f64::min,
        keep: Box::new(|calibration, best| {
            calibration.round_trip_p50_ns = best[0] as Nanos;
            (calibration.wake_lag_p50_ns, calibration.wake_lag_p99_ns) = (best[1] as Nanos, best[2] as Nanos);
            calibration.hearing_lag_p50_ns = best[3] as Nanos;
        }),
    }
}

/// Messages per second of the measure phase, if the busiest CPU had been full.
fn per_second(record: &Record, count: u64) -> Vec<f64> {
    let busiest = record.generator.busiest_cpu().map(|(_, share)| share).filter(|share| *share > 0.0);
    let rate = record.rate_per_s(count).filter(|rate| *rate > 0.0);
    rate.zip(busiest).map(|(rate, busy)| rate / busy.min(1.0)).into_iter().collect()
}

enum Measured {
    Figures(Vec<f64>),
    Disturbed(String),
    Interrupted,
}

/// The best of a load's figures in [`ROUNDS`] runs of `args`.
fn measure(load: &Load, args: &RunArgs, interrupt: &Arc<AtomicBool>) -> anyhow::Result<Measured> {
    let mut best: Vec<f64> = Vec::new();
    let (mut rounds, mut disturbed) = (0, None);
    // A disturbed one is made again, as often.
    for _ in 0..2 * ROUNDS {
        let record = bench::measure(args, interrupt)?;
        if interrupt.load(Ordering::Relaxed) {
            return Ok(Measured::Interrupted);
        }
        let waited = record.generator.starved().map_or(0.0, |(_, share)| share);
        let figures = (load.figures)(&record);
        if waited > DISTURBED {
            disturbed = Some(format!(
                "others had the generator's CPU for {} of the time, {} at most are fine: try again when nothing else runs, \
                 or keep it off these CPUs (taskset)",
                units::percent(waited),
                units::percent(DISTURBED)
            ));
        } else if figures.is_empty() {
            disturbed = Some(record.exit_reason);
        } else {
            best = if best.is_empty() { figures.clone() } else { best };
            best.iter_mut().zip(figures).for_each(|(best, figure)| *best = (load.best)(*best, figure));
            rounds += 1;
        }
        if rounds == ROUNDS {
            return Ok(Measured::Figures(best));
        }
    }
    Ok(Measured::Disturbed(disturbed.expect("a round that is not kept has a reason")))
}

fn flags(load: &Load, cores: usize, duration: Span) -> anyhow::Result<RunArgs> {
    let usual = "--embedded --warmup 200ms --drain 200ms --quiet --progress never";
    let line = format!("malaria-bench --cores {cores} --duration {duration} {usual} {}", load.flags);
    Ok(Cli::try_parse_from(line.split(' '))?.run)
}

fn text(calibration: &Calibration) -> String {
    let Calibration { out_per_s, in_per_s, both_per_s, connects_per_s, .. } = calibration;
    let by_qos = |rates: &[f64; 3]| {
        let all = rates.iter().enumerate();
        all.map(|(qos, rate)| format!("QoS {qos} {}", units::rate(*rate))).collect::<Vec<_>>().join("   ")
    };
    let cores = match calibration.cores {
        1 => "1 CPU".to_owned(),
        cores => format!("{cores} CPUs"),
    };
    let latency = units::latency;
    format!(
        "ceiling of {cores} of the generator\n  out       {}\n  in        {}\n  both      QoS 1 {}\n  connects  {}\n\
         floor\n  round trip   p50 {}\n  wake-up lag  p50 {}, p99 {}\n  hearing lag  p50 {}\n",
        by_qos(out_per_s),
        by_qos(in_per_s),
        units::rate(*both_per_s),
        units::rate(*connects_per_s),
        latency(calibration.round_trip_p50_ns),
        latency(calibration.wake_lag_p50_ns),
        latency(calibration.wake_lag_p99_ns),
        latency(calibration.hearing_lag_p50_ns),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples::{clean, idle};

    /// What each load of these records comes to, as it is kept and told.
    #[test]
    fn figures_are_those_of_their_records() {
        let mut record = clean();
        record.generator.workers.truncate(1);
        record.generator.workers[0].busy_share = 0.5;
        record.throughput.sent = 100_000;
        record.throughput.acked = 150_000;
        record.throughput.delivered = 400_000;
        let mut calibration = Calibration::new(String::new(), cpu::machine(), 1);
        for load in loads() {
            record.plan.qos = load.what.chars().last().and_then(|qos| qos.to_digit(10)).unwrap_or(1) as u8;
            let figures =
                if load.what == "connecting" { (load.figures)(&idle()) } else { (load.figures)(&record) };
            (load.keep)(&mut calibration, &figures);
        }
        // Of ten seconds and half a CPU.
        assert_eq!(calibration.out_per_s, [20_000.0, 30_000.0, 30_000.0]);
        assert_eq!((calibration.in_per_s, calibration.both_per_s), ([80_000.0; 3], 30_000.0));
        // 2,000 in 150 ms.
        assert_eq!(calibration.connects_per_s.round(), 13_333.0);
        let latencies = &record.latencies;
        let times = [&latencies.ack_service, &latencies.wake_lag, &latencies.hearing_lag];
        assert_eq!(
            [calibration.round_trip_p50_ns, calibration.wake_lag_p50_ns, calibration.hearing_lag_p50_ns],
            times.map(|latency| latency.p50_ns.unwrap())
        );
        assert_eq!(Some(calibration.wake_lag_p99_ns), latencies.wake_lag.p99_ns);
        let said = text(&calibration);
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        assert!(lines.contains(&"out       QoS 0 20.0 k/s   QoS 1 30.0 k/s   QoS 2 30.0 k/s"), "{said}");
        assert!(lines.contains(&"in        QoS 0 80.0 k/s   QoS 1 80.0 k/s   QoS 2 80.0 k/s"), "{said}");
    }

    /// A floor is the least, a ceiling the most, and what was not measured is no figure.
    #[test]
    fn the_best_of_each_load_counts() {
        for load in loads() {
            let best = if load.what == "round trips" { 1.0 } else { 2.0 };
            assert_eq!((load.best)(1.0, 2.0), best, "{}", load.what);
            let mut none = clean();
            (none.throughput, none.latencies) = Default::default();
            (none.counts.connections_established, none.phases) = (0, Vec::new());
            assert_eq!((load.figures)(&none), [0.0; 0], "{}", load.what);
        }
    }
}
