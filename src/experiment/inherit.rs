//! Groups with what they inherit, and variables set from outside.

use super::file::{Fault, Group, Scenario, Step, Text, Values, Variable};

/// A group with everything it has by its own and by inheritance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heir {
    /// `None`: the file has no groups.
    pub name: Option<String>,
    pub vars: Vec<Variable>,
    pub steps: Vec<Step>,
}

/// The groups that run, in the order of the file; without groups the file is one.
///
/// # Errors
/// A group that extends one that is not there, or itself; a group without steps; nothing to run at all.
pub fn heirs(scenario: &Scenario) -> Result<Vec<Heir>, Fault> {
    let nothing = |line, what: &str| Fault { line, what: what.into() };
    if scenario.groups.is_empty() {
        if scenario.top.steps.is_empty() {
            return Err(nothing(1, "there is no step: add [[step]] with run = \"...\""));
        }
        let Group { vars, steps, .. } = scenario.top.clone();
        return Ok(vec![Heir { name: None, vars, steps }]);
    }
    let mut heirs = Vec::new();
    // Templates are looked at, too: a mistake in one should not wait for its first heir.
    for group in &scenario.groups {
        let mut heir = Heir { name: Some(group.name.text.clone()), vars: Vec::new(), steps: Vec::new() };
        for ancestor in line_of(scenario, group)? {
            inherit(&mut heir, ancestor);
        }
        if group.template {
            continue;
        }
        if heir.steps.is_empty() {
            return Err(group.name.fault(format!("group `{}` has no step", group.name.text)));
        }
        heirs.push(heir);
    }
    match heirs.is_empty() {
        true => Err(nothing(scenario.groups[0].name.line, "every group is a template: nothing would run")),
        false => Ok(heirs),
    }
}

/// The top of the file, the groups that `group` extends, and `group`, the most general first.
fn line_of<'s>(scenario: &'s Scenario, group: &'s Group) -> Result<Vec<&'s Group>, Fault> {
    let mut line = vec![group];
    let mut youngest = group;
    while let Some(extends) = &youngest.extends {
        let parent = scenario.groups.iter().find(|parent| parent.name.text == extends.text);
        let parent = parent.ok_or_else(|| {
            let names: Vec<_> = scenario.groups.iter().map(|group| group.name.text.as_str()).collect();
            extends.fault(format!("there is no group `{}`: there are {}", extends.text, names.join(", ")))
        })?;
        if line.iter().any(|known| std::ptr::eq(*known, parent)) {
            return Err(extends.fault(format!("group `{}` extends itself", parent.name.text)));
        }
        line.push(parent);
        youngest = parent;
    }
    line.push(&scenario.top);
    line.reverse();
    Ok(line)
}

/// Adds what `group` has; what has a name that is there already takes its place.
fn inherit(heir: &mut Heir, group: &Group) {
    for variable in &group.vars {
        match heir.vars.iter_mut().find(|known| known.name.text == variable.name.text) {
            Some(known) => *known = variable.clone(),
            None => heir.vars.push(variable.clone()),
        }
    }
    for step in &group.steps {
        let name = |step: &Step| step.name.as_ref().map(|name| name.text.clone());
        let same = heir.steps.iter_mut().find(|known| step.name.is_some() && name(known) == name(step));
        match same {
            Some(known) => *known = step.clone(),
            None => heir.steps.push(step.clone()),
        }
    }
}

/// Gives the variable `name` other values, wherever it has some.
///
/// # Errors
/// No variable has this name, or it is one of a broker and `values` are several.
pub fn set(scenario: &mut Scenario, name: &str, values: &Values) -> Result<(), String> {
    let groups = scenario.groups.iter_mut().chain([&mut scenario.top]);
    let vars = groups.flat_map(|group| &mut group.vars);
    let of_brokers = scenario.brokers.iter_mut().flat_map(|broker| &mut broker.vars);
    let mut names: Vec<&str> = Vec::new();
    let mut found = false;
    for (variable, is_broker) in vars.map(|variable| (variable, false)).chain(of_brokers.map(|v| (v, true))) {
        let Variable { name: Text { text, .. }, values: old } = variable;
        if text == name {
            if is_broker && !matches!(values, Values::One(_)) {
                return Err(format!("--set {name}: a variable of a broker has one value"));
            }
            *old = values.clone();
            found = true;
        }
        names.push(text);
    }
    names.sort_unstable();
    names.dedup();
    match found {
        true => Ok(()),
        false => Err(format!("--set {name}: there is no such variable; there are: {}", names.join(", "))),
    }
}
