//! A scenario file as it stands: TOML to groups, steps and brokers. What the texts mean, with their `${name}`
//! replaced, is for [`super::expand`].

use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a scenario, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// From 1.
    pub line: usize,
    pub what: String,
}

/// A text of the file, `${name}` and all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Text {
    pub text: String,
    /// From 1; 0 for a text that is in no file.
    pub line: usize,
}

impl Text {
    pub fn fault(&self, what: impl Into<String>) -> Fault {
        Fault { line: self.line, what: what.into() }
    }
}

/// A scenario file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scenario {
    pub brokers: Vec<Broker>,
    /// The top of the file, which every group inherits.
    pub top: Group,
    pub groups: Vec<Group>,
}

/// A broker to run everything against.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Broker {
    pub name: Text,
    pub host: Option<Text>,
    pub start: Option<Text>,
    pub stop: Option<Text>,
    /// Port, or host:port.
    pub ready: Option<Text>,
    pub ready_timeout: Option<Text>,
    /// File that the broker logs to.
    pub log: Option<Text>,
    /// Whether every combination gets a fresh one.
    pub restart: bool,
    pub vars: Vec<Variable>,
}

/// Steps and variables under one name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Group {
    pub name: Text,
    pub extends: Option<Text>,
    /// Only there to be inherited from.
    pub template: bool,
    pub vars: Vec<Variable>,
    pub steps: Vec<Step>,
}

/// A variable, or several that vary together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    pub name: Text,
    pub values: Values,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Values {
    One(Text),
    /// Each in turn.
    Each(Vec<Text>),
    /// Each of the sets in turn: names and values of variables that vary together.
    Sets(Vec<Vec<(Text, Text)>>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub name: Option<Text>,
    pub line: usize,
    pub work: Work,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    Sleep(Text),
    /// One section, or several at once.
    Sections(Vec<Section>),
}

/// One process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    pub name: Option<Text>,
    pub task: Task,
    /// Text in its output that the sections after it wait for.
    pub ready: Option<Text>,
    /// Whether it is told to end when all others have ended.
    pub background: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// A command of this program.
    Run(Text),
    /// Any command, by sh.
    Shell(Text),
}

/// Most values that a range may stand for.
const RANGE: i64 = 10_000;

/// Reads a scenario file.
///
/// # Errors
/// Not TOML, a key that is unknown or has the wrong kind of value, a step without work.
pub fn parse(source: &str) -> Result<Scenario, Fault> {
    let reader = Reader { source };
    let top = DeTable::parse(source).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        reader.fault(at, error.message().replace('\n', " "))
    })?;
    reader.scenario(top.get_ref())
}

/// The values of one variable, as behind `--set name=`: a TOML list, or else one text.
pub fn parse_values(name: &str, source: &str) -> Result<Values, String> {
    if !source.starts_with('[') {
        return Ok(Values::One(Text { text: source.to_owned(), line: 0 }));
    }
    let reader = Reader { source };
    let value = DeValue::parse(source).map_err(|error| error.message().replace('\n', " "))?;
    reader.values(name, &value).map_err(|fault| fault.what)
}

type Value<'s> = Spanned<DeValue<'s>>;
type Table<'s> = DeTable<'s>;

struct Reader<'s> {
    source: &'s str,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.source.get(..at).unwrap_or(self.source);
        before.matches('\n').count() + 1
    }

    fn fault(&self, at: usize, what: impl Into<String>) -> Fault {
        Fault { line: self.line(at), what: what.into() }
    }

    /// The entries of a table in the order of the file.
    fn entries<'t, 's>(&self, table: &'t Table<'s>) -> Vec<(Text, &'t Value<'s>)> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let name = |key: &Spanned<Cow<str>>| Text {
            text: key.get_ref().to_string(),
            line: self.line(key.span().start),
        };
        entries.into_iter().map(|(key, value)| (name(key), value)).collect()
    }

    fn unknown(&self, key: &Text, known: &str) -> Fault {
        key.fault(format!("`{}` is unknown here: expected {known}", key.text))
    }

    fn scenario(&self, table: &Table) -> Result<Scenario, Fault> {
        let mut scenario = Scenario::default();
        for (key, value) in self.entries(table) {
            match key.text.as_str() {
                "vars" => scenario.top.vars = self.vars(&key.text, value)?,
                "step" => scenario.top.steps = self.steps(value)?,
                "group" => {
                    for (name, value) in self.entries(self.table("group", value)?) {
                        self.check_name(&name)?;
                        scenario.groups.push(self.group(name, value)?);
                    }
                }
                "brokers" => {
                    for (name, value) in self.entries(self.table("brokers", value)?) {
                        self.check_name(&name)?;
                        scenario.brokers.push(self.broker(name, value)?);
                    }
                }
                _ => return Err(self.unknown(&key, "vars, step, group or brokers")),
            }
        }
        Ok(scenario)
    }

    fn group(&self, name: Text, value: &Value) -> Result<Group, Fault> {
        let table = self.table(&name.text, value)?;
        let mut group = Group { name, ..Group::default() };
        for (key, value) in self.entries(table) {
            match key.text.as_str() {
                "extends" => group.extends = Some(self.text("extends", value)?),
                "template" => group.template = self.truth("template", value)?,
                "vars" => group.vars = self.vars("vars", value)?,
                "step" => group.steps = self.steps(value)?,
                _ => return Err(self.unknown(&key, "extends, template, vars or step")),
            }
        }
        Ok(group)
    }

    fn broker(&self, name: Text, value: &Value) -> Result<Broker, Fault> {
        let table = self.table(&name.text, value)?;
        let mut broker = Broker { name, ..Broker::default() };
        for (key, value) in self.entries(table) {
            let name = key.text.as_str();
            let text = || self.text(name, value).map(Some);
            match name {
                "host" => broker.host = text()?,
                "start" => broker.start = text()?,
                "stop" => broker.stop = text()?,
                "ready" => broker.ready = text()?,
                "ready_timeout" => broker.ready_timeout = text()?,
                "log" => broker.log = text()?,
                "restart" => broker.restart = self.truth(name, value)?,
                "vars" => broker.vars = self.vars(name, value)?,
                _ => {
                    let known = "host, start, stop, ready, ready_timeout, log, restart or vars";
                    return Err(self.unknown(&key, known));
                }
            }
        }
        match broker.vars.iter().find(|variable| !matches!(variable.values, Values::One(_))) {
            Some(list) => Err(list.name.fault(format!(
                "`{}` is a list: a variable of a broker has one value; put lists into [vars]",
                list.name.text
            ))),
            None => Ok(broker),
        }
    }

    fn vars(&self, name: &str, value: &Value) -> Result<Vec<Variable>, Fault> {
        let entries = self.entries(self.table(name, value)?).into_iter();
        let variable = |(name, value): (Text, &Value)| {
            self.check_name(&name)?;
            let values = self.values(&name.text, value)?;
            Ok(Variable { name, values })
        };
        entries.map(variable).collect()
    }

    fn values(&self, name: &str, value: &Value) -> Result<Values, Fault> {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Array(values) if values.is_empty() => {
                Err(self.fault(at, format!("`{name}` is an empty list: nothing would run")))
            }
            DeValue::Array(values) if values.iter().all(|value| value.get_ref().is_table()) => {
                let set = |value: &Value| {
                    let entries = self.entries(self.table(name, value)?).into_iter();
                    let pair = |(key, value): (Text, &Value)| {
                        self.check_name(&key)?;
                        let value = self.text(&key.text, value)?;
                        Ok((key, value))
                    };
                    entries.map(pair).collect()
                };
                Ok(Values::Sets(values.iter().map(set).collect::<Result<_, Fault>>()?))
            }
            DeValue::Array(values) => {
                let values = values.iter().map(|value| self.text(name, value));
                Ok(Values::Each(values.collect::<Result<_, _>>()?))
            }
            DeValue::Table(table) => self.range(name, at, table),
            _ => Ok(Values::One(self.text(name, value)?)),
        }
    }

    /// `{ from = 100, to = 500, step = 200 }` is 100, 300, 500.
    fn range(&self, name: &str, at: usize, table: &Table) -> Result<Values, Fault> {
        let (mut from, mut to, mut step) = (None, None, 1);
        for (key, value) in self.entries(table) {
            let whole = || {
                let text = self.text(&key.text, value)?;
                let wrong = || text.fault(format!("`{}` is not a whole number: `{}`", key.text, text.text));
                text.text.parse::<i64>().map_err(|_| wrong())
            };
            match key.text.as_str() {
                "from" => from = Some(whole()?),
                "to" => to = Some(whole()?),
                "step" => step = whole()?,
                _ => return Err(self.unknown(&key, "from, to or step")),
            }
        }
        let (Some(from), Some(to)) = (from, to) else {
            return Err(self.fault(at, format!("`{name}` is a range without `from` or without `to`")));
        };
        if step < 1 || to < from || to.saturating_sub(from) / step >= RANGE {
            let what = format!(
                "`{name}` goes from {from} to {to} in steps of {step}: expected a step of 1 or more, and 1 to {RANGE} values"
            );
            return Err(self.fault(at, what));
        }
        let count = (to - from) / step;
        let line = self.line(at);
        let text = |at: i64| Text { text: (from + at * step).to_string(), line };
        Ok(Values::Each((0..=count).map(text).collect()))
    }

    fn steps(&self, value: &Value) -> Result<Vec<Step>, Fault> {
        let DeValue::Array(steps) = value.get_ref() else {
            return Err(
                self.fault(value.span().start, "`step` is not a list: write [[step]], twice the brackets")
            );
        };
        let steps: Vec<Step> = steps.iter().map(|step| self.step(step)).collect::<Result<_, _>>()?;
        for (at, step) in steps.iter().enumerate() {
            let Some(name) = &step.name else { continue };
            let is_double = |other: &Step| other.name.as_ref().is_some_and(|other| other.text == name.text);
            if steps[..at].iter().any(is_double) {
                return Err(name.fault(format!("there are two steps with the name `{}` here", name.text)));
            }
        }
        Ok(steps)
    }

    fn step(&self, value: &Value) -> Result<Step, Fault> {
        let line = self.line(value.span().start);
        let (mut name, mut work, mut ready, mut background) = (None, Vec::new(), None, false);
        for (key, value) in self.entries(self.table("step", value)?) {
            let text = || self.text(&key.text, value);
            let section = |task| Section { name: None, task, ready: None, background: false };
            match key.text.as_str() {
                "name" => name = Some(self.name(value)?),
                "run" => work.push(Work::Sections(vec![section(Task::Run(text()?))])),
                "shell" => work.push(Work::Sections(vec![section(Task::Shell(text()?))])),
                "sleep" => work.push(Work::Sleep(text()?)),
                "parallel" => work.push(Work::Sections(self.parallel(value)?)),
                "ready" => ready = Some(key),
                "background" => background = true,
                _ => return Err(self.unknown(&key, "name, run, shell, sleep or parallel")),
            }
        }
        if background || ready.is_some() {
            let what = "`ready` and `background` are for the sections of a `parallel` step: write { run = \"...\", ready = \"...\" }";
            return Err(Fault { line, what: what.into() });
        }
        let one = "a step has one of run, shell, sleep and parallel";
        match (work.pop(), work.is_empty()) {
            (Some(work), true) => Ok(Step { name, line, work }),
            (None, _) => Err(Fault { line, what: format!("{one}; this one has none") }),
            (Some(_), false) => Err(Fault { line, what: format!("{one}; this one has several") }),
        }
    }

    fn parallel(&self, value: &Value) -> Result<Vec<Section>, Fault> {
        let at = value.span().start;
        let DeValue::Array(sections) = value.get_ref() else {
            return Err(self.fault(at, "`parallel` is not a list of commands"));
        };
        let sections: Vec<Section> =
            sections.iter().map(|section| self.section(section)).collect::<Result<_, _>>()?;
        match sections.iter().all(|section| section.background) {
            true => {
                Err(self
                    .fault(at, "`parallel` has no section but those in the background: nothing would end it"))
            }
            false => Ok(sections),
        }
    }

    fn section(&self, value: &Value) -> Result<Section, Fault> {
        let DeValue::Table(table) = value.get_ref() else {
            let task = Task::Run(self.text("parallel", value)?);
            return Ok(Section { name: None, task, ready: None, background: false });
        };
        let (mut name, mut tasks, mut ready, mut background) = (None, Vec::new(), None, false);
        for (key, value) in self.entries(table) {
            match key.text.as_str() {
                "name" => name = Some(self.name(value)?),
                "run" => tasks.push(Task::Run(self.text("run", value)?)),
                "shell" => tasks.push(Task::Shell(self.text("shell", value)?)),
                "ready" => ready = Some(self.text("ready", value)?),
                "background" => background = self.truth("background", value)?,
                _ => return Err(self.unknown(&key, "name, run, shell, ready or background")),
            }
        }
        match (tasks.pop(), tasks.is_empty()) {
            (Some(task), true) => Ok(Section { name, task, ready, background }),
            _ => Err(self.fault(value.span().start, "a section has either run or shell")),
        }
    }

    fn name(&self, value: &Value) -> Result<Text, Fault> {
        let name = self.text("name", value)?;
        self.check_name(&name)?;
        Ok(name)
    }

    /// Names become names of files and of variables.
    fn check_name(&self, name: &Text) -> Result<(), Fault> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        match !name.text.is_empty() && name.text.chars().all(fits) {
            true => Ok(()),
            false => {
                Err(name.fault(format!("`{}` is not a name: expected letters, digits, - and _", name.text)))
            }
        }
    }

    fn table<'t, 's>(&self, name: &str, value: &'t Value<'s>) -> Result<&'t Table<'s>, Fault> {
        let wrong = || self.fault(value.span().start, format!("`{name}` is not a table"));
        value.get_ref().as_table().ok_or_else(wrong)
    }

    fn truth(&self, name: &str, value: &Value) -> Result<bool, Fault> {
        let wrong = || self.fault(value.span().start, format!("`{name}` is true or false"));
        value.get_ref().as_bool().ok_or_else(wrong)
    }

    /// A text, or what can be told in one.
    fn text(&self, name: &str, value: &Value) -> Result<Text, Fault> {
        let at = value.span().start;
        let wrong = |what: &str| self.fault(at, format!("`{name}` is {what}"));
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| wrong("out of range"))?
                .to_string(),
            _ => return Err(wrong("not a text or a number")),
        };
        Ok(Text { text, line: self.line(at) })
    }
}
