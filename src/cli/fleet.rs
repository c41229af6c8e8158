//! What the commands that run a fleet have in common: its progress, and what is said at its end.

use super::Usage;
use super::args::OutputArgs;
use super::ci::Ci;
use super::live::Onlookers;
use super::output::{self, Output};
use crate::clock::{Nanos, SECOND};
use crate::fleet::{self, Spec};
use crate::gate;
use crate::record::{Exit, Finished, FleetRecord};
use crate::stage::Progress;
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;

/// The texts of a command's results.
pub struct Texts {
    /// The line of each second.
    pub progress: fn(&Progress, &Windows) -> String,
    pub summary: fn(&FleetRecord) -> String,
    pub json: fn(&FleetRecord) -> String,
    /// The JSON Schema of that.
    pub schema: fn() -> &'static str,
}

impl Texts {
    /// Answers `--json-schema`; `None` when it was not given.
    pub fn schema(&self, args: &OutputArgs) -> Option<anyhow::Result<Exit>> {
        args.json_schema.then(|| output::print_text((self.schema)(), false).map(|()| Exit::Clean))
    }
}

/// Totals at one moment.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    at: Nanos,
    pub sent: u64,
    pub received: u64,
}

/// Rates over the last 30 and 90 seconds, 5 and 10 minutes, for runs that are long enough to have them.
#[derive(Default)]
pub struct Windows(VecDeque<Totals>);

impl Windows {
    const SPANS: [(Nanos, &'static str); 4] =
        [(30 * SECOND, "30s"), (90 * SECOND, "90s"), (300 * SECOND, "5min"), (600 * SECOND, "10min")];

    fn note(&mut self, progress: &Progress) {
        let (elapsed, sent, received) = (progress.elapsed, progress.total.sent, progress.total.received());
        self.0.push_back(Totals { at: elapsed, sent, received });
        let longest = Windows::SPANS[Windows::SPANS.len() - 1].0;
        // The last that is old enough stays.
        while self.0.get(1).is_some_and(|second| second.at + longest <= elapsed) {
            self.0.pop_front();
        }
    }

    /// In words, such as `, 2500/s (30s 2499/s, 90s 2501/s)`; nothing until there is a second to take it from.
    pub fn rates(&self, figure: fn(&Totals) -> u64) -> String {
        let Some(now) = self.0.back() else { return String::new() };
        let rate = |span: Nanos| {
            let then = self.0.iter().rev().find(|then| then.at + span <= now.at)?;
            let seconds = (now.at - then.at) as f64 / SECOND as f64;
            Some(((figure(now) - figure(then)) as f64 / seconds).round())
        };
        let Some(last) = rate(SECOND) else { return String::new() };
        let windows: Vec<String> = Windows::SPANS
            .iter()
            .filter_map(|(span, name)| Some(format!("{name} {}/s", rate(*span)?)))
            .collect();
        match windows.is_empty() {
            true => format!(", {last}/s"),
            false => format!(", {last}/s ({})", windows.join(", ")),
        }
    }
}

/// How many of the clients that are not done are connected, while some are not.
fn online(progress: &Progress) -> String {
    let (connected, asked) = (progress.levels.connected, progress.clients - progress.levels.done);
    match progress.errors() {
        _ if connected >= asked => String::new(),
        0 => format!(", {connected} of {asked} connected"),
        errors => format!(", {connected} of {asked} connected, {errors} errors"),
    }
}

/// Runs `spec`, with a line each second on standard error, and judges it by the bounds of `args`.
pub fn run(
    spec: Spec,
    interrupt: &AtomicBool,
    args: &OutputArgs,
    texts: &Texts,
    onlookers: &mut Onlookers,
) -> anyhow::Result<FleetRecord> {
    if let Some(bound) = args.require.bounds.iter().find(|bound| bound.has_windows()) {
        return Err(Usage(format!("--require '{bound}': only the main job has windows")).into());
    }
    let mut windows = Windows::default();
    let mut observe = |progress: &Progress| {
        windows.note(progress);
        onlookers
            .show_as(progress, || format!("{}{}", (texts.progress)(progress, &windows), online(progress)));
    };
    let mut record = fleet::run(spec, interrupt, &mut observe)?;
    gate::judge_fleet(&args.require.bounds, &mut record);
    onlookers.conclude(&record.counts, record.exit_code);
    Ok(record)
}

/// Places of results, open before the first packet: a run whose result cannot be kept is not begun.
pub struct Places {
    json: Option<Output>,
    ci: Ci,
}

impl Places {
    /// Those of `args`.
    ///
    /// # Errors
    /// One that cannot be written.
    pub fn open(args: &OutputArgs) -> anyhow::Result<Places> {
        Ok(Places { json: args.json.as_deref().map(Output::open).transpose()?, ci: Ci::open(args)? })
    }
}

/// Writes what there is to say about a fleet that has run.
pub fn conclude(
    record: &FleetRecord,
    places: Places,
    args: &OutputArgs,
    texts: &Texts,
) -> anyhow::Result<Exit> {
    let Places { json: output, ci } = places;
    let to_stderr = output.as_ref().is_some_and(Output::is_stdout) || ci.has_stdout();
    // Before the summary: whatever comes of the terminal, the result is kept.
    let written = output.map_or(Ok(()), |output| output.write(&(texts.json)(record)));
    let told = ci.write(std::iter::once(Finished::Fleet(Box::new(record.clone()))));
    if !args.quiet {
        output::print_text(&(texts.summary)(record), to_stderr)?;
        output::print_text(&gate::text(&record.bounds), to_stderr)?;
    } else if record.exit_code != Exit::Clean.code() {
        output::complain(format_args!("error: {}", record.exit_reason));
    }
    written?;
    told?;
    if record.exit_code == Exit::Broker.code() && record.counts.connections_established == 0 {
        output::complain(format_args!(
            "hint: is an MQTT broker listening on {}? `malaria-bench reflector` starts one here",
            record.broker.addresses.join(", ")
        ));
    }
    Ok(Exit::from_code(record.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Counters;

    /// checklist 61
    #[test]
    fn rolling_windows_appear_as_the_run_grows_into_them() {
        let mut windows = Windows::default();
        let mut lines = Vec::new();
        // 10 a second, and 20 from second 600 on.
        for second in 1..=700u64 {
            let sent = second * 10 + second.saturating_sub(600) * 10;
            let total = Counters { sent, ..Counters::default() };
            windows.note(&Progress { elapsed: second * SECOND, total, ..Progress::default() });
            lines.push(windows.rates(|total| total.sent));
        }
        assert_eq!((lines[0].as_str(), lines[1].as_str()), ("", ", 10/s"));
        assert_eq!(lines[30], ", 10/s (30s 10/s)");
        assert_eq!(lines[600], ", 20/s (30s 10/s, 90s 10/s, 5min 10/s, 10min 10/s)");
        assert_eq!(lines[699], ", 20/s (30s 20/s, 90s 20/s, 5min 13/s, 10min 12/s)");
        assert!(windows.0.len() <= 601, "{} seconds are kept", windows.0.len());
    }
}
