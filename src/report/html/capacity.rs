//! A search for a capacity: what was found first, then the curve, then how it was searched.

use super::data::{self, File};
use super::markup::Markup;
use super::{NOTHING, document, table, verdict};
use crate::clock::Nanos;
use crate::record::{Capacity, CapacityRecord, Exit, Grade, TrialRecord};
use crate::report::capacity::{self as text, grade};
use crate::report::page::Tint;
use crate::report::{distribution, summary};
use crate::units::{self, Span};

mod curves;

/// A search and what it is called.
type Search = (String, CapacityRecord);

/// The page of several searches.
pub fn page(searches: &[Search]) -> String {
    let title = match searches {
        [(label, _)] => format!("Capacity: {label}"),
        searches => format!("Capacity: {} searches", searches.len()),
    };
    document(&title, |body| {
        write(searches, body);
        data::links(&files(searches), body);
    })
}

/// What is told of them: beside each other first, then each by itself.
pub fn write(searches: &[Search], page: &mut Markup) {
    if searches.len() > 1 {
        beside(searches, page);
    }
    for (label, record) in searches {
        page.element("article", &[], |article| {
            if searches.len() > 1 {
                article.leaf("h2", &[], label);
            }
            answers(record, article);
            curves::write(record, article);
            trials(record, article);
            facts(record, article);
        });
    }
}

/// What was found of each, and the curves of all in one.
fn beside(searches: &[Search], page: &mut Markup) {
    table("Capacities", &["search", "capacity", "done there", "goal"], page, |rows| {
        for (label, record) in searches {
            for result in &record.results {
                rows.element("tr", &[], |row| {
                    row.leaf("th", &[("scope", "row")], label);
                    row.element("td", &[], |cell| cell.leaf("b", &[], &figure(record, result)));
                    let done = result.throughput.map(|done| record.search.over.amount(done));
                    row.leaf("td", &[], &done.unwrap_or_else(|| NOTHING.to_owned()));
                    row.leaf("td", &[], &result.goal.join(", "));
                });
            }
        }
    });
    curves::beside(searches, page);
}

/// `4,975/s`, `at least 20,000/s`, or `none`.
fn figure(record: &CapacityRecord, result: &Capacity) -> String {
    let found = result.capacity.map(|found| record.search.over.amount(found));
    match (found, result.regular) {
        (Some(found), true) => found,
        (Some(found), false) => format!("at least {found}"),
        (None, _) => "none".to_owned(),
    }
}

/// A card for each goal; one before them where the search itself did not end well.
fn answers(record: &CapacityRecord, page: &mut Markup) {
    let (words, tint) = text::verdict(record);
    let exit = Exit::from_code(record.exit_code);
    let void = exit == Exit::GeneratorLimited;
    page.element("ul", &[("class", "cards answers")], |cards| {
        if !matches!(exit, Exit::Clean | Exit::Inconclusive) {
            let class = if void { "card void" } else { "card bad" };
            cards.element("li", &[("class", class)], |card| {
                verdict::badge(&format!("{words}, exit code {}", record.exit_code), tint, void, card);
                card.leaf("p", &[], &record.exit_reason);
            });
        }
        record.results.iter().for_each(|result| answer(record, result, void, cards));
    });
    record.warnings.iter().for_each(|warning| page.leaf("p", &[("class", "warning")], warning));
}

fn answer(record: &CapacityRecord, result: &Capacity, void: bool, cards: &mut Markup) {
    let (words, tint, class) = match (result.capacity, result.regular) {
        _ if void => ("UNKNOWN", Tint::Bad, "card void"),
        (Some(_), true) => ("CAPACITY", Tint::Good, "card good"),
        (Some(_), false) => ("IRREGULAR: A BOUND ONLY", Tint::Warning, "card warning"),
        (None, _) => ("NO CAPACITY", Tint::Bad, "card bad"),
    };
    cards.element("li", &[("class", class)], |card| {
        verdict::badge(words, tint, void, card);
        card.leaf("p", &[("class", "answer")], &figure(record, result));
        card.element("p", &[], |goal| {
            goal.text("with ");
            goal.leaf("b", &[], &result.goal.join(", "));
        });
        card.leaf("p", &[], &result.reason);
        let done =
            result.throughput.map(|done| format!("trials there did {}", record.search.over.amount(done)));
        let too_much = result.upper.map(|load| format!("too much: {}", record.search.over.amount(load)));
        let rest: Vec<String> = [done, too_much].into_iter().flatten().collect();
        card.leaf("p", &[("class", "quiet")], &rest.join("; "));
    });
}

const HEADERS: [&str; 13] = [
    "began",
    "for",
    "trial",
    "offered",
    "done",
    "p50",
    "p99",
    "p99.9",
    "queue grew",
    "lost",
    "generator CPU",
    "broker CPU/message",
    "broker memory",
];

/// All of them, in their order.
fn trials(record: &CapacityRecord, page: &mut Markup) {
    if record.trials.is_empty() {
        return;
    }
    page.element("details", &[], |details| {
        details.leaf("summary", &[], &format!("All {} trials", record.trials.len()));
        let headers: Vec<&str> = HEADERS.into_iter().chain(["why"]).collect();
        table("Trials", &headers, details, |rows| {
            for trial in &record.trials {
                let class = if trial.grade == Grade::Void { "void" } else { "" };
                rows.element("tr", &[("class", class)], |row| {
                    let (began, cells) = cells(record, trial);
                    row.leaf("th", &[("scope", "row")], &began);
                    row.leaf("td", &[("class", "left")], curves::purpose(trial.purpose));
                    row.element("td", &[("class", "left")], |cell| {
                        let tint = tint(trial.grade);
                        verdict::badge(grade(trial.grade), tint, trial.grade == Grade::Void, cell);
                    });
                    cells.iter().for_each(|cell| row.leaf("td", &[], cell));
                    row.leaf("td", &[("class", "words")], &trial.reason);
                });
            }
        });
    });
}

fn tint(grade: Grade) -> Tint {
    match grade {
        Grade::Good => Tint::Good,
        Grade::Mixed => Tint::Warning,
        Grade::Bad | Grade::Void => Tint::Bad,
    }
}

fn cells(record: &CapacityRecord, trial: &TrialRecord) -> (String, [String; 10]) {
    let nothing = || NOTHING.to_owned();
    let latency = |of: Option<Nanos>| of.map_or_else(nothing, units::latency);
    let cells = [
        record.search.over.amount(trial.offered),
        record.search.over.amount(trial.done),
        latency(trial.p50_ns),
        latency(trial.p99_ns),
        latency(trial.p999_ns),
        units::percent(trial.growth.max(0.0)),
        units::grouped(trial.lost),
        units::percent(trial.generator_busy),
        latency(trial.broker_cpu_per_message_ns),
        trial.broker_most_bytes.map_or_else(nothing, units::bytes),
    ];
    (format!("{:.1} s", trial.start_ns as f64 / 1e9), cells)
}

fn facts(record: &CapacityRecord, page: &mut Markup) {
    let machine = &record.machine;
    let asked = format!(
        "{} clients, {}, {} publish, QoS {}, payload {} B",
        units::grouped(record.plan.clients.into()),
        record.plan.topology,
        units::grouped(record.plan.publishers.into()),
        record.plan.qos,
        record.plan.size_bytes
    );
    let took = Span::from_nanos(record.elapsed_ns / 1_000_000_000 * 1_000_000_000);
    super::run::facts_of(
        &record.command,
        &[
            ("asked", asked),
            ("broker", summary::some_of(&record.broker.addresses)),
            ("search", text::search(record)),
            ("started", format!("{}, took {took}", record.started_at)),
            ("machine", super::run::machine_of(machine)),
            (
                "version",
                format!("malaria-bench {}, seed {}", record.versions.malaria_bench, record.plan.seed),
            ),
        ],
        page,
    );
}

/// The records, and all trials as CSV.
pub fn files(searches: &[Search]) -> Vec<File> {
    let json = |(label, record): &Search| File {
        name: data::file_name(label, "json"),
        mime: "application/json",
        text: text::json(record),
    };
    let mut files: Vec<File> = searches.iter().map(json).collect();
    files.push(File { name: "trials.csv".to_owned(), mime: "text/csv", text: csv(searches) });
    files
}

/// The trials with a header: nothing where nothing was measured.
fn csv(searches: &[Search]) -> String {
    let mut text = String::from(
        "search,start_ns,span_ns,purpose,grade,offered,done,p50_ns,p99_ns,p999_ns,growth,lost,generator_busy,\
         broker_cpu_per_message_ns,broker_most_bytes,reason\n",
    );
    let cell = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    for (label, record) in searches {
        for trial in &record.trials {
            let cells = [
                distribution::quoted(label).into_owned(),
                trial.start_ns.to_string(),
                trial.span_ns.to_string(),
                curves::purpose(trial.purpose).to_owned(),
                grade(trial.grade).to_owned(),
                trial.offered.to_string(),
                trial.done.to_string(),
                cell(trial.p50_ns),
                cell(trial.p99_ns),
                cell(trial.p999_ns),
                trial.growth.to_string(),
                trial.lost.to_string(),
                trial.generator_busy.to_string(),
                cell(trial.broker_cpu_per_message_ns),
                cell(trial.broker_most_bytes),
                distribution::quoted(&trial.reason).into_owned(),
            ];
            text += &(cells.join(",") + "\n");
        }
    }
    text
}
