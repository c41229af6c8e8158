//! The record of a search for a capacity, for people and for machines.

use super::page::{Column, Page, Tint};
use super::{NARROWEST, WIDEST, summary};
use crate::clock::Nanos;
use crate::record::{Capacity, CapacityRecord, Exit, Grade, Over, Purpose, SearchTerms, TrialRecord};
use crate::units::{self, Span};

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// The record as indented JSON, ending in a newline.
pub fn json(record: &CapacityRecord) -> String {
    let mut text = serde_json::to_string_pretty(record).expect("a record is plain data with string keys");
    text.push('\n');
    text
}

/// The JSON Schema (draft 2020-12) of what [`json`] writes.
pub fn schema() -> &'static str {
    include_str!("capacity.schema.json")
}

/// What was found first, then the curve, and how it was searched. Columns and colour are as of [`super::text`].
pub fn text(record: &CapacityRecord, width: usize, color: bool) -> String {
    let mut page = Page::new(width.clamp(NARROWEST, WIDEST), color);
    headline(record, &mut page);
    for result in &record.results {
        let goal = result.goal.join(", ");
        page.paragraph("goal", &found(record, result, &goal));
    }
    page.blank();
    let [clients, publishers] =
        [record.plan.clients, record.plan.publishers].map(|count| units::grouped(count.into()));
    page.paragraph(
        "asked",
        &format!(
            "{clients} clients, {}, {publishers} publish, QoS {}",
            record.plan.topology, record.plan.qos
        ),
    );
    page.paragraph("broker", &summary::some_of(&record.broker.addresses));
    page.paragraph("search", &search(record));
    for warning in &record.warnings {
        page.paragraph("warning", warning);
    }
    page.blank();
    trials(record, &mut page);
    reasons(record, &mut page);
    page.into_text()
}

/// How a search ended, in a word or two.
pub(super) fn verdict(record: &CapacityRecord) -> (&'static str, Tint) {
    match Exit::from_code(record.exit_code) {
        Exit::Clean => ("CAPACITY", Tint::Good),
        Exit::Inconclusive => ("INCONCLUSIVE", Tint::Warning),
        Exit::GeneratorLimited => ("GENERATOR-LIMITED", Tint::Bad),
        Exit::Interrupted => ("INTERRUPTED", Tint::Bad),
        Exit::Broker => ("BROKER FAULT", Tint::Bad),
        _ => ("FAILED", Tint::Bad),
    }
}

fn headline(record: &CapacityRecord, page: &mut Page) {
    let (words, tint) = verdict(record);
    let over = record.search.over;
    let figure = record.results.first().and_then(|result| Some((result.capacity?, result.regular)));
    let figure = figure
        .map(|(load, regular)| format!("{}{}", if regular { "" } else { "at least " }, over.amount(load)));
    let code = (record.exit_code != 0).then(|| format!("exit code {}", record.exit_code));
    let words: Vec<_> = [Some(words.to_owned()), figure, code].into_iter().flatten().collect();
    page.headline(&words.join(", "), tint);
    // What the results say is not said twice.
    if !record.results.iter().any(|result| record.exit_reason.contains(&result.reason))
        && record.exit_code != 0
    {
        page.note(&record.exit_reason);
    }
}

fn found(record: &CapacityRecord, result: &Capacity, goal: &str) -> String {
    let did = |load| format!("; trials there did {}", record.search.over.amount(load));
    let throughput = result.throughput.map(did);
    format!("{goal}: {}{}", result.reason, throughput.unwrap_or_default())
}

pub(super) fn search(record: &CapacityRecord) -> String {
    let SearchTerms { over, lowest, highest, width, trials, trial_ns, .. } = record.search;
    let span = |nanos: Nanos| Span::from_nanos(nanos / 1_000_000 * 1_000_000);
    let mut text = format!(
        "{} to {}, to {}, {} of {} decide; {} in {}",
        over.amount(lowest),
        over.amount(highest),
        units::percent(width),
        trials_of(trials as usize),
        span(trial_ns),
        trials_of(record.trials.len()),
        Span::from_nanos(record.elapsed_ns / 1_000_000_000 * 1_000_000_000),
    );
    let void: Vec<_> = record.trials.iter().filter(|trial| trial.grade == Grade::Void).collect();
    if let Some(last) = void.last() {
        // Its first reason is the gravest.
        let reason = last.reason.split("; ").next().unwrap_or_default();
        let load = over.amount(last.offered);
        text += &format!("; {} said nothing, the last at {load}, because {reason}", void.len());
    }
    text
}

fn trials_of(count: usize) -> String {
    if count == 1 { "1 trial".to_owned() } else { format!("{count} trials") }
}

/// The trials of the curve where there is one, or else the last at each load.
pub(super) fn shown(record: &CapacityRecord) -> Vec<&TrialRecord> {
    let of = |curve: bool| {
        let trials = record.trials.iter().filter(move |trial| !curve || trial.purpose == Purpose::Curve);
        last_of_each(trials)
    };
    let curve = of(true);
    if curve.is_empty() { of(false) } else { curve }
}

fn trials(record: &CapacityRecord, page: &mut Page) {
    let over = record.search.over;
    let shown = shown(record);
    let latency = |of: Option<Nanos>| of.map_or(NOTHING.to_owned(), units::latency);
    let column = |header, rank, cell: &dyn Fn(&TrialRecord) -> String| Column {
        header,
        rank,
        cells: shown.iter().map(|trial| cell(trial)).collect(),
    };
    let [p50, p99, p999] = times(record);
    let columns = vec![
        column("done", 0, &|trial| over.amount(trial.done)),
        column(p50, 3, &|trial| latency(trial.p50_ns)),
        column(p99, 1, &|trial| latency(trial.p99_ns)),
        column(p999, 4, &|trial| latency(trial.p999_ns)),
        column("lost", 5, &|trial| units::grouped(trial.lost)),
        column("queue grew", 6, &|trial| units::percent(trial.growth.max(0.0))),
        column("cpu", 7, &|trial| units::percent(trial.generator_busy)),
        column("broker cpu/msg", 8, &|trial| latency(trial.broker_cpu_per_message_ns)),
        column("broker mem", 9, &|trial| trial.broker_most_bytes.map_or(NOTHING.to_owned(), units::bytes)),
        column("trial", 2, &|trial| grade(trial.grade).to_owned()),
    ];
    let loads: Vec<_> = shown.iter().map(|trial| over.amount(trial.offered)).collect();
    let rows: Vec<_> = loads.iter().map(String::as_str).collect();
    page.table("offered", &rows, columns);
}

/// What the percentiles of the trials are of.
fn times(record: &CapacityRecord) -> [&'static str; 3] {
    let plan = &record.plan;
    if record.search.over == Over::ConnectRate || plan.publishers == 0 {
        ["connack p50", "p99", "p99.9"]
    } else if plan.subscribers > 0 {
        ["flight p50", "p99", "p99.9"]
    } else {
        ["ack p50", "p99", "p99.9"]
    }
}

/// Why the lowest loads that are not good are not.
fn reasons(record: &CapacityRecord, page: &mut Page) {
    let lacking = shown(record).into_iter().filter(|trial| matches!(trial.grade, Grade::Bad | Grade::Mixed));
    for (at, trial) in lacking.take(REASONS).enumerate() {
        if at == 0 {
            page.blank();
        }
        let (grade, load) = (grade(trial.grade), record.search.over.amount(trial.offered));
        page.paragraph(grade, &format!("{load}: {}", trial.reason));
    }
}

/// So many reasons are told.
const REASONS: usize = 3;

/// Of several trials at one load the last.
fn last_of_each<'r>(trials: impl Iterator<Item = &'r TrialRecord>) -> Vec<&'r TrialRecord> {
    let mut last: Vec<&TrialRecord> = Vec::new();
    for trial in trials {
        last.retain(|known| known.offered != trial.offered);
        last.push(trial);
    }
    last.sort_by(|one, other| one.offered.total_cmp(&other.offered));
    last
}

pub(super) fn grade(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::Mixed => "mixed",
        Grade::Bad => "bad",
        Grade::Void => "void",
    }
}
