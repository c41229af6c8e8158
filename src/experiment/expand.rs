//! From a scenario to the combinations that run: loops unrolled, every text final. Pure: the same file gives
//! the same experiment.

use super::file::{self, Fault, Scenario, Section, Step, Task, Text, Values, Variable, Work};
use super::inherit::{Heir, heirs};
use super::text::{Piece, pieces};
use crate::units::Span;
use std::collections::HashSet;
use std::time::Duration;

/// Most combinations of one scenario.
pub const COMBINATIONS: usize = 10_000;
/// Names of variables that are always there and mean the same everywhere.
const RESERVED: [&str; 4] = ["broker", "group", "program", "dir"];
/// Longest part of a directory's name, in bytes: file systems allow 255.
const NAME: usize = 180;
/// How long a broker may take to accept connections, unless it says otherwise.
const READY: Duration = Duration::from_secs(30);

/// What the texts may refer to beyond the file.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Path of this program: `${program}`; `None` when it is no text.
    pub program: Option<String>,
    /// Directory of all results, without a slash at its end: the first part of `${dir}`; `None` when it is no text.
    pub out: Option<String>,
    /// How often each combination runs.
    pub repeats: u32,
}

/// Everything that is to be done, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Experiment {
    pub brokers: Vec<Broker>,
    /// In the order in which they run: see [`interleaved`].
    pub combinations: Vec<Combination>,
}

/// A broker that is started and stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    pub name: String,
    pub start: Option<String>,
    pub stop: Option<String>,
    /// host:port that accepts connections when the broker is ready.
    pub ready: Option<String>,
    pub ready_timeout: Duration,
    pub log: Option<String>,
    pub restart: bool,
}

/// One run of all steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Combination {
    /// Index of the broker.
    pub broker: Option<usize>,
    pub group: Option<String>,
    /// Names and values of what varies, in the order of the file.
    pub variables: Vec<(String, String)>,
    /// Which of several runs of it this is, from 1; `None` when it runs once.
    pub repeat: Option<u32>,
    /// Beneath the directory of results; different for each combination.
    pub directory: String,
    pub steps: Vec<PlannedStep>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedStep {
    pub name: String,
    pub work: PlannedWork,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlannedWork {
    Sleep(Duration),
    Sections(Vec<PlannedSection>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedSection {
    /// Of its files; different for each section of a combination.
    pub name: String,
    pub task: PlannedTask,
    pub ready: Option<String>,
    pub background: bool,
    /// Of the file, from 1.
    pub line: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlannedTask {
    /// Words for this program.
    Run(Vec<String>),
    Shell(String),
}

/// Unrolls a scenario.
///
/// # Errors
/// Whatever makes no sense, with its line.
pub fn expand(scenario: &Scenario, around: &Surroundings) -> Result<Experiment, Fault> {
    let heirs = heirs(scenario)?;
    let brokers = scenario.brokers.iter().map(|broker| planned_broker(scenario, broker, around));
    let brokers: Vec<Broker> = brokers.collect::<Result<_, _>>()?;
    let mut directories = HashSet::new();
    let everyone: Vec<Option<usize>> = match scenario.brokers.len() {
        0 => vec![None],
        count => (0..count).map(Some).collect(),
    };
    let mut rounds = Vec::new();
    let mut count = 0;
    for round in 1..=around.repeats {
        let repeat = (around.repeats > 1).then_some(round);
        let mut of_brokers = Vec::new();
        for broker in &everyone {
            let of_broker = combinations(scenario, *broker, repeat, &heirs, around, &mut directories)?;
            count += of_broker.len();
            if count > COMBINATIONS {
                return Err(too_many(count, 1));
            }
            of_brokers.push(of_broker);
        }
        rounds.push(of_brokers);
    }
    Ok(Experiment { brokers, combinations: interleaved(rounds) })
}

/// Each combination on all brokers before the next one, and all of them before any runs again, so that what drifts on the
/// machine hits all alike; the order of the brokers is turned each time (A B, B A, ...).
fn interleaved(rounds: Vec<Vec<Vec<Combination>>>) -> Vec<Combination> {
    let mut all = Vec::new();
    let mut turned = false;
    for of_brokers in rounds {
        let mut queues: Vec<_> = of_brokers.into_iter().map(Vec::into_iter).collect();
        loop {
            let mut next: Vec<Combination> = queues.iter_mut().filter_map(Iterator::next).collect();
            if next.is_empty() {
                break;
            }
            if turned {
                next.reverse();
            }
            turned = !turned;
            all.append(&mut next);
        }
    }
    all
}

/// Those of one broker, once.
fn combinations(
    scenario: &Scenario,
    broker: Option<usize>,
    repeat: Option<u32>,
    heirs: &[Heir],
    around: &Surroundings,
    directories: &mut HashSet<String>,
) -> Result<Vec<Combination>, Fault> {
    let of_broker = broker.map(|at| &scenario.brokers[at]);
    let mut all = Vec::new();
    for heir in heirs {
        for mut names in loops(heir, of_broker, around)? {
            let (variables, directory) = names.identity(repeat, directories)?;
            let steps = planned_steps(heir, &names)?;
            let group = heir.name.clone();
            all.push(Combination { broker, group, variables, repeat, directory, steps });
        }
    }
    Ok(all)
}

fn too_many(count: usize, line: usize) -> Fault {
    Fault { line, what: format!("{count} combinations are too many: at most {COMBINATIONS} run in one go") }
}

/// One [`Names`] for each combination of a group, the last variable changing fastest.
fn loops<'s>(
    heir: &'s Heir,
    broker: Option<&'s file::Broker>,
    around: &'s Surroundings,
) -> Result<Vec<Names<'s>>, Fault> {
    let mut all = vec![Names::of(broker, heir.name.as_deref(), around)];
    for Variable { name, values } in &heir.vars {
        if RESERVED.contains(&name.text.as_str()) {
            return Err(name.fault(format!("`{}` is always there: choose another name", name.text)));
        }
        let choices: Vec<Vec<(&Text, &Text)>> = match values {
            Values::One(value) => vec![vec![(name, value)]],
            Values::Each(values) => values.iter().map(|value| vec![(name, value)]).collect(),
            Values::Sets(sets) => {
                sets.iter().map(|set| set.iter().map(|(name, value)| (name, value)).collect()).collect()
            }
        };
        if all.len().saturating_mul(choices.len()) > COMBINATIONS {
            return Err(too_many(all.len() * choices.len(), name.line));
        }
        let varies = !matches!(values, Values::One(_));
        let with = |names: &Names<'s>, choice: &[(&'s Text, &'s Text)]| {
            let mut names = names.clone();
            choice.iter().try_for_each(|(name, value)| names.add(name, value, varies))?;
            Ok(names)
        };
        let longer = all.iter().flat_map(|names| choices.iter().map(move |choice| with(names, choice)));
        all = longer.collect::<Result<_, Fault>>()?;
    }
    Ok(all)
}

/// What each name stands for in one combination.
#[derive(Clone)]
struct Names<'s> {
    /// From the file, and whether it varies.
    vars: Vec<(&'s Text, &'s Text, bool)>,
    broker: Option<&'s file::Broker>,
    group: Option<&'s str>,
    around: &'s Surroundings,
    /// `${dir}`, as soon as it is known.
    directory: Option<String>,
}

impl<'s> Names<'s> {
    fn of(broker: Option<&'s file::Broker>, group: Option<&'s str>, around: &'s Surroundings) -> Names<'s> {
        Names { vars: Vec::new(), broker, group, around, directory: None }
    }

    fn add(&mut self, name: &'s Text, value: &'s Text, varies: bool) -> Result<(), Fault> {
        if self.vars.iter().any(|(known, ..)| known.text == name.text) {
            return Err(name.fault(format!("`{}` has a value from another variable already", name.text)));
        }
        self.vars.push((name, value, varies));
        Ok(())
    }

    /// The text behind a name. A broker's own go before the file's.
    fn find(&self, name: &str) -> Option<Text> {
        let plain = |text: &str| Some(Text { text: text.to_owned(), line: 0 });
        match name {
            "program" => return self.around.program.as_deref().and_then(plain),
            "dir" => return self.directory.as_deref().and_then(plain),
            "group" => return self.group.and_then(plain),
            "broker" => return self.broker.and_then(|broker| plain(&broker.name.text)),
            _ => {}
        }
        if let Some(broker) = self.broker {
            let own = broker.vars.iter().find(|variable| variable.name.text == name);
            if let Some(Variable { values: Values::One(value), .. }) = own {
                return Some(value.clone());
            }
            if let Some(host) = broker.host.as_ref().filter(|_| name == "host") {
                return Some(host.clone());
            }
        }
        self.vars.iter().find(|(known, ..)| known.text == name).map(|(_, value, _)| (*value).clone())
    }

    /// `text` with every `${name}` replaced.
    fn render(&self, text: &Text) -> Result<String, Fault> {
        self.render_within(text, text.line, &mut Vec::new())
    }

    fn render_within(&self, text: &Text, line: usize, within: &mut Vec<String>) -> Result<String, Fault> {
        let fault = |what: String| Fault { line, what };
        let mut rendered = String::with_capacity(text.text.len());
        for piece in pieces(&text.text).map_err(fault)? {
            let name = match piece {
                Piece::Plain(plain) => {
                    rendered.push_str(plain);
                    continue;
                }
                Piece::Variable(name) => name,
            };
            if within.iter().any(|known| known == name) {
                return Err(fault(format!("`${{{name}}}` stands for itself")));
            }
            let value = self.find(name).ok_or_else(|| fault(self.unknown(name)))?;
            // Values given on the command line have no line of their own.
            let line = if value.line == 0 { line } else { value.line };
            within.push(name.to_owned());
            rendered += &self.render_within(&value, line, within)?;
            within.pop();
        }
        Ok(rendered)
    }

    fn unknown(&self, name: &str) -> String {
        let around = [("program", &self.around.program), ("dir", &self.around.out)];
        if around.iter().any(|(known, path)| *known == name && path.is_none()) {
            return format!("`${{{name}}}` is a path that is not UTF-8, and no text can hold it");
        }
        let own =
            self.broker.iter().flat_map(|broker| &broker.vars).map(|variable| variable.name.text.as_str());
        let mut known: Vec<&str> = self.vars.iter().map(|(name, ..)| name.text.as_str()).chain(own).collect();
        known.extend(["host"].iter().filter(|_| self.broker.is_some_and(|broker| broker.host.is_some())));
        known.extend(RESERVED.iter().filter(|name| self.find(name).is_some()));
        known.dedup();
        format!("`${{{name}}}` is unknown: there are {}", known.join(", "))
    }

    /// What varies, with values; and a directory that no other combination has.
    fn identity(
        &mut self,
        repeat: Option<u32>,
        taken: &mut HashSet<String>,
    ) -> Result<(Vec<(String, String)>, String), Fault> {
        let varying = self.vars.iter().filter(|(.., varies)| *varies);
        let variables = varying.map(|(name, value, _)| Ok((name.text.clone(), self.render(value)?)));
        let variables: Vec<(String, String)> = variables.collect::<Result<_, Fault>>()?;
        let words: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let own = if words.is_empty() { "run".to_owned() } else { file_name(&words.join(",")) };
        let broker = self.broker.map(|broker| broker.name.text.as_str());
        let repeat = repeat.map(|repeat| format!("{repeat:02}"));
        let parts: Vec<&str> =
            [broker, self.group, Some(&own), repeat.as_deref()].into_iter().flatten().collect();
        let plain = parts.join("/");
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let mut candidates = std::iter::once(plain.clone()).chain(numbered);
        let directory = candidates.find(|name| taken.insert(name.clone())).expect("numbers do not end");
        self.directory = self.around.out.as_ref().map(|out| format!("{out}/{directory}"));
        Ok((variables, directory))
    }
}

/// A text as part of a path.
fn file_name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=,.-_+".contains(c);
    text.chars().map(|c| if plain(c) { c } else { '_' }).take(NAME).collect()
}

fn planned_steps(heir: &Heir, names: &Names) -> Result<Vec<PlannedStep>, Fault> {
    let mut steps = Vec::new();
    let mut files = HashSet::new();
    for (at, step) in heir.steps.iter().enumerate() {
        let Step { name, line, work } = step;
        let name = name.as_ref().map_or_else(|| format!("step-{}", at + 1), |name| name.text.clone());
        let work = match work {
            Work::Sleep(text) => {
                let span =
                    names.render(text)?.parse::<Span>().map_err(|error| text.fault(error.to_string()))?;
                PlannedWork::Sleep(Duration::from_nanos(span.nanos()))
            }
            Work::Sections(sections) => {
                let alone = sections.len() == 1;
                let planned = sections.iter().enumerate().map(|(at, section)| {
                    let of_step = if alone { name.clone() } else { format!("{name}-{}", at + 1) };
                    planned_section(section, of_step, &name, names)
                });
                PlannedWork::Sections(planned.collect::<Result<_, _>>()?)
            }
        };
        if let PlannedWork::Sections(sections) = &work
            && let Some(double) = sections.iter().find(|section| !files.insert(section.name.clone()))
        {
            let what = format!("`{}` names the results of two sections: rename a step", double.name);
            return Err(Fault { line: *line, what });
        }
        steps.push(PlannedStep { name, work });
    }
    Ok(steps)
}

fn planned_section(
    section: &Section,
    default_name: String,
    step: &str,
    names: &Names,
) -> Result<PlannedSection, Fault> {
    let name = section.name.as_ref().map_or(default_name, |name| format!("{step}-{}", name.text));
    let ready = section.ready.as_ref().map(|ready| names.render(ready)).transpose()?;
    let (task, line) = match &section.task {
        Task::Run(text) => {
            let words = shlex::split(&names.render(text)?);
            let words = words.ok_or_else(|| text.fault("a quotation mark is not closed"))?;
            (PlannedTask::Run(words), text.line)
        }
        Task::Shell(text) => (PlannedTask::Shell(names.render(text)?), text.line),
    };
    Ok(PlannedSection { name, task, ready, background: section.background, line })
}

/// The commands around a broker know what has one value for all combinations.
fn planned_broker(
    scenario: &Scenario,
    broker: &file::Broker,
    around: &Surroundings,
) -> Result<Broker, Fault> {
    let mut names = Names::of(Some(broker), None, around);
    for Variable { name, values } in &scenario.top.vars {
        if let Values::One(value) = values {
            names.add(name, value, false)?;
        }
    }
    names.directory = around.out.as_ref().map(|out| format!("{out}/{}", broker.name.text));
    let text = |text: &Option<Text>| text.as_ref().map(|text| names.render(text)).transpose();
    let host = text(&broker.host)?;
    if let (Some(start), None) = (&broker.start, &broker.ready) {
        return Err(start.fault("`start` without `ready`: name the port to wait for, such as ready = 1883"));
    }
    let ready = match (&broker.ready, text(&broker.ready)?) {
        (Some(of), Some(ready)) => Some(address(&ready, host.as_deref()).map_err(|what| of.fault(what))?),
        _ => None,
    };
    let ready_timeout = match (&broker.ready_timeout, text(&broker.ready_timeout)?) {
        (Some(of), Some(span)) => {
            let span = span.parse::<Span>().map_err(|error| of.fault(error.to_string()))?;
            Duration::from_nanos(span.nanos())
        }
        _ => READY,
    };
    Ok(Broker {
        name: broker.name.text.clone(),
        start: text(&broker.start)?,
        stop: text(&broker.stop)?,
        ready,
        ready_timeout,
        log: text(&broker.log)?,
        restart: broker.restart,
    })
}

/// host:port of a bare port, at the broker's host, or of both.
fn address(ready: &str, host: Option<&str>) -> Result<String, String> {
    let wrong = || format!("`{ready}` is not a port to wait for: expected 1883 or host:1883");
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    match ready.rsplit_once(':') {
        Some((_, text)) => port(text).map(|_| ready.to_owned()),
        None => {
            let host = host.unwrap_or("localhost");
            let host = host.split_once("://").map_or(host, |(_, behind)| behind);
            let bare = match host.rsplit_once(':') {
                Some((bare, text)) if text.parse::<u16>().is_ok() => bare,
                _ => host,
            };
            Ok(format!("{bare}:{}", port(ready)?))
        }
    }
}
