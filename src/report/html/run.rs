//! One run by itself.

use super::look::{Look, swatch};
use super::markup::Markup;
use super::seconds::{self, Measure, Stage};
use super::{NOTHING, table, verdict};
use crate::cpu;
use crate::record::{BrokerCost, Figure, Latency, Machine, Reading};
use crate::report::cost;
use crate::report::digest::Digest;
use crate::report::summary::{Count, FIGURES};
use crate::units;

/// Run `at` of several.
pub fn write(run: &Digest, at: usize, page: &mut Markup) {
    page.element("article", &[("id", &format!("run-{}", at + 1))], |article| {
        article.element("h2", &[], |heading| {
            swatch(Look(at), heading);
            heading.text(run.label);
        });
        verdict::whole(run, article);
        details(run, article);
    });
}

/// All of a run but its verdict.
pub fn details(run: &Digest, article: &mut Markup) {
    facts(run, article);
    warnings(run, article);
    latencies(run, article);
    counts(run, article);
    over_time(run, article);
}

fn facts(run: &Digest, page: &mut Markup) {
    let facts = [
        ("asked", run.asked.join("; ")),
        ("broker", run.broker.clone()),
        ("started", run.started_at.to_owned()),
        ("machine", machine_of(run.machine)),
        ("limits", limits(run)),
        ("generator", generator(run)),
        ("version", format!("malaria-bench {}, seed {}", run.version, run.seed)),
    ];
    let cost = run.cost.map(|cost| ("broker cost", broker_cost(cost)));
    facts_of(run.command, &facts.into_iter().chain(cost).collect::<Vec<_>>(), page);
}

/// A command and what there is to know of it, by names.
pub fn facts_of(command: &[String], facts: &[(&str, String)], page: &mut Markup) {
    page.element("dl", &[], |list| {
        list.leaf("dt", &[], "command");
        list.element("dd", &[], |dd| dd.leaf("code", &[], &as_typed(command)));
        for (name, fact) in facts {
            list.leaf("dt", &[], name);
            list.leaf("dd", &[], if fact.is_empty() { NOTHING } else { fact });
        }
    });
}

/// A command line that a shell would read as these words.
fn as_typed(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    let word = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// What a machine is, in a line.
pub fn machine_of(machine: &Machine) -> String {
    let cpus = match machine.cpus {
        1 => "1 core".to_owned(),
        cpus => format!("{cpus} cores"),
    };
    let kernel = format!("Linux {}", machine.kernel);
    let parts =
        [machine.host.clone(), machine.cpu_model.clone(), cpus, units::bytes(machine.memory_bytes), kernel];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn limits(run: &Digest) -> String {
    let limit = |limit: Option<u64>| limit.map_or("unlimited or unknown".to_owned(), units::grouped);
    let machine = run.machine;
    format!(
        "open files {} (soft), {} (hard); allowed CPUs {}",
        limit(machine.nofile_soft),
        limit(machine.nofile_hard),
        cpu::list(&machine.cpus_allowed)
    )
}

fn generator(run: &Digest) -> String {
    let generator = run.generator;
    let cpus: Vec<usize> = generator.workers.iter().map(|worker| worker.cpu).collect();
    let workers = match cpus.len() {
        1 => "1 worker".to_owned(),
        workers => format!("{workers} workers"),
    };
    let mut parts =
        vec![if cpus.is_empty() { workers } else { format!("{workers} on CPU {}", cpu::list(&cpus)) }];
    let busiest = generator.busiest_cpu();
    parts.extend(busiest.map(|(cpu, share)| format!("busiest CPU {cpu} at {}", units::percent(share))));
    let times = [("user", generator.user_cpu_ns), ("system", generator.system_cpu_ns)];
    parts.extend(times.map(|(name, nanos)| format!("{} {name}", units::latency(nanos))));
    parts.extend(generator.troubles().map(|(name, count)| format!("{name} {}", units::grouped(count))));
    parts.join(", ")
}

fn broker_cost(cost: &BrokerCost) -> String {
    [vec![cost::watched(cost)], cost::items(cost)].concat().join(", ")
}

fn warnings(run: &Digest, page: &mut Markup) {
    if !run.warnings.is_empty() {
        page.leaf("h3", &[("class", "warning")], "Warnings");
        page.element("ul", &[], |list| {
            run.warnings.iter().for_each(|warning| list.leaf("li", &[], warning));
        });
    }
}

fn latencies(run: &Digest, page: &mut Markup) {
    if run.latencies.is_empty() {
        return;
    }
    page.leaf("h3", &[], "Latency");
    let headers: Vec<&str> =
        ["latency", "count"].into_iter().chain(FIGURES.iter().map(|(header, ..)| *header)).collect();
    table("Latency", &headers, page, |rows| {
        for (name, latency) in &run.latencies {
            rows.element("tr", &[], |row| {
                row.leaf("th", &[("scope", "row")], name);
                row.leaf("td", &[], &units::grouped(latency.count));
                for (_, _, figure) in FIGURES {
                    row.leaf("td", &[], &latency.read(figure).to_string());
                }
            });
        }
    });
    if let Some(takes) = too_few(run.latencies.iter().map(|(_, latency)| latency.as_ref())) {
        page.leaf("p", &[("class", "quiet")], &takes);
    }
    for (name, latency) in run.latencies.iter().filter(|(_, latency)| latency.overflow > 0) {
        let count = units::grouped(latency.overflow);
        let text = format!("{name}: {count} samples above one hour are counted as one hour");
        page.leaf("p", &[("class", "warning")], &text);
    }
}

/// What the percentiles take that some of these have too few samples for.
fn too_few<'l>(latencies: impl Iterator<Item = &'l Latency>) -> Option<String> {
    let measured: Vec<&Latency> = latencies.filter(|latency| latency.count > 0).collect();
    let unknown = |figure: Figure| measured.iter().any(|latency| latency.read(figure) == Reading::Unknown);
    let lacking = FIGURES.iter().filter(|(_, _, figure)| unknown(*figure));
    let takes = lacking.map(|(name, _, figure)| format!("{name} takes {}", units::grouped(figure.samples())));
    let takes: Vec<String> = takes.collect();
    (!takes.is_empty()).then(|| format!("-: too few samples; {}.", takes.join(", ")))
}

fn counts(run: &Digest, page: &mut Markup) {
    let sections = [
        ("Delivery", &run.delivery),
        ("Connections", &run.connections),
        ("Connections refused, by reason", &run.refusals),
        ("Traffic", &run.traffic),
    ];
    for (title, counts) in sections {
        if !counts.is_empty() {
            page.leaf("h3", &[], title);
            page.element("ul", &[("class", "counts")], |list| counts.iter().for_each(|it| count(*it, list)));
        }
    }
}

fn count((name, count): Count, list: &mut Markup) {
    list.element("li", &[], |item| {
        item.leaf("span", &[("class", "quiet")], name);
        item.text(" ");
        item.leaf("b", &[], &units::grouped(count));
    });
}

fn over_time(run: &Digest, page: &mut Markup) {
    let lines = |measures: &[Measure]| {
        let with = measures.iter().enumerate().filter(|(_, measure)| measure.is_in(run));
        with.map(|(look, measure)| measure.line(run, measure.name, look)).collect::<Vec<_>>()
    };
    let rates = lines(&[seconds::SENT, seconds::ACKED, seconds::DELIVERED]);
    let latencies = lines(&[seconds::ACK_P99, seconds::FLIGHT_P99]);
    let errors = lines(&[seconds::ERRORS]);
    let (cpu, memory) = (lines(&[seconds::BROKER_CPU]), lines(&[seconds::BROKER_MEMORY]));
    if [&rates, &latencies, &errors, &cpu, &memory].iter().all(|lines| lines.is_empty()) {
        return;
    }
    let stage = Stage::of(run);
    page.leaf("h3", &[], "Over time");
    page.element("div", &[("class", "charts")], |charts| {
        if !rates.is_empty() {
            seconds::rates("Messages", rates, stage, charts);
        }
        if !latencies.is_empty() {
            seconds::latencies("99th percentile of latency", latencies, stage, charts);
        }
        if !errors.is_empty() {
            seconds::rates("Connections", errors, stage, charts);
        }
        seconds::broker(cpu, memory, stage, charts);
    });
    if run.measured_s.is_some() {
        page.leaf("p", &[("class", "quiet")], "Shaded: the measure phase.");
    }
}
