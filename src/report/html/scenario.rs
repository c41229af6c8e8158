//! A scenario: how it ended, broker against broker, a chart over each variable, and every combination.

use super::markup::Markup;
use super::{NOTHING, verdict};
use crate::record::{BrokerDifference, CombinationRecord, Exit, Over, ScenarioRecord, StepFigures};
use crate::report::page::Tint;
use crate::stats::inference::{median, scatter};
use crate::units;

mod variables;

/// What is told of a scenario.
pub fn write(scenario: &ScenarioRecord, page: &mut Markup) {
    outcome(scenario, page);
    let groups = groups(scenario);
    brokers(scenario, &groups, page);
    variables::write(&groups, page);
    combinations(&groups, page);
}

/// What a figure is called, how it is found, and how it is shown.
type Figure = (&'static str, fn(&StepFigures) -> Option<f64>, fn(f64) -> String);

const SENT: Figure = ("sent", |figures| figures.sent_per_s, units::rate);
const ACKED: Figure = ("acked", |figures| figures.acked_per_s, units::rate);
const DELIVERED: Figure = ("delivered", |figures| figures.delivered_per_s, units::rate);
const ACK_P50: Figure = ("ack p50", |figures| figures.ack_p50_ns.map(|ns| ns as f64), latency);
const ACK_P99: Figure = ("ack p99", |figures| figures.ack_p99_ns.map(|ns| ns as f64), latency);
const FLIGHT_P50: Figure = ("flight p50", |figures| figures.flight_p50_ns.map(|ns| ns as f64), latency);
const FLIGHT_P99: Figure = ("flight p99", |figures| figures.flight_p99_ns.map(|ns| ns as f64), latency);
/// What was searched, by what it is a number of.
const CAPACITIES: [Figure; 4] = [
    ("capacity", |figures| capacity(figures, Over::Rate), |load| Over::Rate.amount(load)),
    ("capacity", |figures| capacity(figures, Over::Clients), |load| Over::Clients.amount(load)),
    ("capacity", |figures| capacity(figures, Over::ConnectRate), |load| Over::ConnectRate.amount(load)),
    ("capacity", |figures| capacity(figures, Over::FanOut), |load| Over::FanOut.amount(load)),
];
/// What was held or got through, and a tail are compared: the first that there is of each.
const RATES: [Figure; 7] =
    [CAPACITIES[0], CAPACITIES[1], CAPACITIES[2], CAPACITIES[3], DELIVERED, ACKED, SENT];
const TAILS: [Figure; 2] = [FLIGHT_P99, ACK_P99];
const ALL: [Figure; 7] = [SENT, ACKED, DELIVERED, ACK_P50, ACK_P99, FLIGHT_P50, FLIGHT_P99];

fn capacity(figures: &StepFigures, over: Over) -> Option<f64> {
    figures.capacity.filter(|_| figures.capacity_over == Some(over))
}

fn latency(nanos: f64) -> String {
    units::latency(nanos.round() as u64)
}

/// Broker, group, variables and step.
type Key<'s> = (Option<&'s str>, Option<&'s str>, &'s [(String, String)], Option<&'s str>);

/// What is one and the same but for its repeats.
struct Group<'s> {
    broker: Option<&'s str>,
    group: Option<&'s str>,
    variables: &'s [(String, String)],
    /// Where several steps measure.
    step: Option<&'s str>,
    runs: Vec<(&'s CombinationRecord, Option<&'s StepFigures>)>,
}

impl Group<'_> {
    fn key(&self) -> Key<'_> {
        (self.broker, self.group, self.variables, self.step)
    }

    fn is_void(figures: Option<&StepFigures>) -> bool {
        figures.is_some_and(|figures| figures.void)
    }

    /// Whether no run of it says anything of the broker.
    fn void(&self) -> bool {
        self.runs.iter().all(|(_, figures)| Group::is_void(*figures))
    }

    /// Of the runs that say something, or of all where none does. All of them or none: without the runs whose percentile
    /// never came, the others would look the better.
    fn values(&self, figure: &Figure) -> Vec<f64> {
        let void = self.void();
        let sound = self.runs.iter().filter(|(_, figures)| void || !Group::is_void(*figures));
        sound.map(|(_, figures)| (figure.1)((*figures)?)).collect::<Option<_>>().unwrap_or_default()
    }

    /// What stands before a capacity of which one run is no more than a lower bound.
    fn sign(&self, figure: &Figure) -> &'static str {
        let is_bound = |figures: &StepFigures| {
            figures.capacity_regular == Some(false)
                && figures.capacity.is_some()
                && (figure.1)(figures) == figures.capacity
        };
        if self.runs.iter().any(|(_, figures)| figures.is_some_and(is_bound)) { "\u{2265} " } else { "" }
    }

    /// The middle one, and how they scatter: `20.0 k/s ±2 %`.
    fn told(&self, figure: &Figure) -> String {
        let values = self.values(figure);
        let Some(middle) = median(&values) else { return NOTHING.to_owned() };
        let scatter = scatter(&values).map(|share| format!(" \u{b1}{:.0} %", share * 100.0));
        format!("{}{}{}", self.sign(figure), (figure.2)(middle), scatter.unwrap_or_default())
    }

    /// Everything that tells it from others but the broker, and one variable.
    fn place(&self, but: &str) -> String {
        let variables = self.variables.iter().filter(|(name, _)| name != but);
        let variables = variables.map(|(name, value)| format!("{name}={value}"));
        let words = self.group.map(str::to_owned).into_iter().chain(variables);
        words.chain(self.step.map(str::to_owned)).collect::<Vec<_>>().join(" ")
    }
}

/// All combinations with the steps that measured something, in their order.
fn groups(scenario: &ScenarioRecord) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    for run in &scenario.combinations {
        let measured = run.steps.iter().filter(|step| step.figures.is_some());
        let several = measured.clone().count() > 1;
        let steps: Vec<_> =
            measured.map(|step| (several.then_some(step.name.as_str()), step.figures.as_ref())).collect();
        let steps = if steps.is_empty() { vec![(None, None)] } else { steps };
        for (step, figures) in steps {
            let one = Group {
                broker: run.broker.as_deref(),
                group: run.group.as_deref(),
                variables: &run.variables,
                step,
                runs: vec![(run, figures)],
            };
            match groups.iter_mut().find(|group| group.key() == one.key()) {
                Some(group) => group.runs.extend(one.runs),
                None => groups.push(one),
            }
        }
    }
    groups
}

/// The first of these that some group has.
fn known<'f>(figures: &'f [Figure], groups: &[Group]) -> Option<&'f Figure> {
    figures.iter().find(|figure| groups.iter().any(|group| !group.values(figure).is_empty()))
}

fn tint(exit_code: u8) -> (Tint, bool) {
    match Exit::from_code(exit_code) {
        Exit::Clean => (Tint::Good, false),
        Exit::GeneratorLimited => (Tint::Bad, true),
        _ => (Tint::Bad, false),
    }
}

fn outcome(scenario: &ScenarioRecord, page: &mut Markup) {
    let (tint, void) = tint(scenario.exit_code);
    let words = Exit::from_code(scenario.exit_code).name().to_uppercase();
    let words =
        if scenario.exit_code == 0 { words } else { format!("{words}, exit code {}", scenario.exit_code) };
    let codes = scenario.exit_codes.iter();
    let codes = codes.map(|(code, count)| format!("{count} with {code} ({})", Exit::from_code(*code).name()));
    let (done, planned) = (scenario.combinations.len(), scenario.planned);
    let ran = if done < planned {
        format!("{done} of {planned} combinations were run")
    } else {
        format!("{done} combinations")
    };
    page.element("div", &[("class", verdict::class("card", tint, void).as_str())], |card| {
        verdict::badge(&words, tint, void, card);
        card.leaf("p", &[], &format!("{ran}: {}", codes.collect::<Vec<_>>().join(", ")));
        let started = format!("{}, malaria-bench {}", scenario.started_at, scenario.version);
        card.leaf("p", &[("class", "quiet")], &started);
    });
    let told = |run: &CombinationRecord| {
        run.problems.iter().map(|problem| format!("{}: {problem}", run.directory)).collect::<Vec<_>>()
    };
    let problems: Vec<String> = scenario.combinations.iter().flat_map(told).collect();
    if !problems.is_empty() {
        page.leaf("h2", &[("class", "warning")], "Problems");
        page.element("ul", &[], |list| problems.iter().for_each(|problem| list.leaf("li", &[], problem)));
    }
}

/// A row for what all brokers did, with the figures of each beside those of the others.
fn brokers(scenario: &ScenarioRecord, groups: &[Group], page: &mut Markup) {
    let mut names: Vec<&str> = Vec::new();
    for name in groups.iter().filter_map(|group| group.broker) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let figures: Vec<&Figure> =
        [known(&RATES, groups), known(&TAILS, groups)].into_iter().flatten().collect();
    if names.len() < 2 || figures.is_empty() {
        return;
    }
    page.leaf("h2", &[], "Broker against broker");
    let scroll =
        [("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", "Broker against broker")];
    page.element("div", &scroll, |scroll| {
        scroll.element("table", &[("class", "overview")], |table| {
            table.element("thead", &[], |head| {
                super::comparison::grouped_heads(
                    "combination",
                    &names,
                    &figures.iter().map(|figure| figure.0).collect::<Vec<_>>(),
                    head,
                );
            });
            table.element("tbody", &[], |rows| {
                for first in groups.iter().filter(|group| group.broker == Some(names[0])) {
                    rows.element("tr", &[], |row| {
                        let place = first.place("");
                        row.leaf("th", &[("scope", "row")], if place.is_empty() { "all" } else { &place });
                        for name in &names {
                            let same = |group: &&Group| {
                                group.key() == (Some(*name), first.group, first.variables, first.step)
                            };
                            let group = groups.iter().find(same);
                            figures.iter().for_each(|figure| against(scenario, group, figure, row));
                        }
                    });
                }
            });
        });
    });
    if groups.iter().any(Group::void) {
        page.leaf("p", &[("class", "quiet")], super::comparison::VOID);
    }
    if !scenario.differences.is_empty() {
        let text = format!(
            "Under the others: the change from {}, and between which it is. ~: it cannot be told from chance.",
            names[0]
        );
        page.leaf("p", &[("class", "quiet")], &text);
    }
}

/// The figure of a broker, and under it how it differs from the first.
fn against(scenario: &ScenarioRecord, group: Option<&Group>, figure: &Figure, row: &mut Markup) {
    let class = if group.is_some_and(Group::void) { "void" } else { "" };
    row.element("td", &[("class", class)], |cell| {
        let Some(group) = group else { return cell.text(NOTHING) };
        cell.text(&group.told(figure));
        let variables = group.variables.iter().map(|(name, value)| format!("{name}={value}"));
        let variables = variables.collect::<Vec<_>>().join(",");
        let same = |one: &&BrokerDifference| {
            (Some(one.broker.as_str()), one.group.as_deref(), one.variables.as_str())
                == (group.broker, group.group, &variables)
                && (group.step.is_none() || one.step.as_deref() == group.step)
                && one.figure == figure.0
        };
        if let Some(found) = scenario.differences.iter().find(same) {
            let (low, high) = found.interval_percent;
            let doubt = if found.p_adjusted < 0.05 { "" } else { "~ " };
            let text = format!("{doubt}{:+.1} % ({low:+.1} to {high:+.1} %)", found.change_percent);
            cell.leaf("span", &[("class", "under quiet")], &text);
        }
    });
}

/// Every combination: exit code, rates, latencies, losses.
fn combinations(groups: &[Group], page: &mut Markup) {
    let has_brokers = groups.iter().any(|group| group.broker.is_some());
    let figures: Vec<&Figure> = CAPACITIES
        .iter()
        .chain(&ALL)
        .filter(|figure| groups.iter().any(|group| !group.values(figure).is_empty()))
        .collect();
    let mut headers = vec!["combination", "exit", "runs"];
    headers.extend(figures.iter().map(|figure| figure.0));
    headers.push("lost");
    page.leaf("h2", &[], "All combinations");
    super::table("All combinations", &headers, page, |rows| {
        for group in groups {
            let class = if group.void() { "void" } else { "" };
            rows.element("tr", &[("class", class)], |row| {
                let broker = group.broker.filter(|_| has_brokers).unwrap_or_default();
                let name = format!("{broker} {}", group.place(""));
                row.leaf("th", &[("scope", "row")], if name == " " { "all" } else { name.trim() });
                row.element("td", &[("class", "left")], |cell| exit(group, cell));
                row.leaf("td", &[], &group.runs.len().to_string());
                figures.iter().for_each(|figure| row.leaf("td", &[], &group.told(figure)));
                let lost = group
                    .runs
                    .iter()
                    .filter_map(|(_, figures)| figures.and_then(|figures| figures.lost))
                    .max();
                row.leaf("td", &[], &lost.map_or(NOTHING.to_owned(), units::grouped));
            });
        }
    });
}

fn exit(group: &Group, cell: &mut Markup) {
    let codes = group.runs.iter().map(|(run, _)| Exit::from_code(run.exit_code));
    let gravest =
        codes.reduce(|one, other| if one.graver(other) == one { one } else { other }).unwrap_or(Exit::Clean);
    let (tint, void) = tint(gravest.code());
    verdict::badge(gravest.name(), tint, void, cell);
}
