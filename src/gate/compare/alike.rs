//! Whether runs can be compared at all.

use serde_json::Value;

use super::Question;
use crate::record::{Plan, Record};

/// Why runs are not compared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unlike {
    /// A side has no run.
    #[error("there is no run of {0}")]
    Nothing(&'static str),
    /// Not the machine of the first run of the base.
    #[error(
        "not all runs are of one machine: {0}; their figures are no gate, and --allow-other-machine compares them all the same"
    )]
    Machine(String),
    /// Not its plan.
    #[error("not all runs are of one plan: {0}; --allow-other-plan compares them all the same")]
    Plan(String),
}

/// What a plan has that does not make another load of it: who is measured, under which names, and what was random.
const INCIDENTAL: [&str; 6] = ["hosts", "port", "embedded", "client_id_prefix", "seed", "run_id"];

/// Most differences that are named.
const NAMED: usize = 4;

/// All runs are held against the first of the base.
pub fn check(base: &[Record], new: &[Record], question: &Question) -> Result<(), Unlike> {
    let first = base.first().ok_or(Unlike::Nothing("the base"))?;
    new.first().ok_or(Unlike::Nothing("the new side"))?;
    for run in base.iter().chain(new) {
        let machines = differences(&machine(first), &machine(run));
        if let (false, Some(what)) = (question.other_machine, machines) {
            return Err(Unlike::Machine(what));
        }
        let plans = differences(&load(&first.plan), &load(&run.plan));
        if let (false, Some(what)) = (question.other_plan, plans) {
            return Err(Unlike::Plan(what));
        }
    }
    Ok(())
}

/// What a machine is known by. Limits can be set as one likes: the plan says what came of them.
fn machine(record: &Record) -> Value {
    let machine = &record.machine;
    serde_json::json!({
        "host": machine.host,
        "cpu_model": machine.cpu_model,
        "cpus": machine.cpus,
        "cpus_allowed": machine.cpus_allowed,
        "memory_bytes": machine.memory_bytes,
        "kernel": machine.kernel,
        "governor": machine.governor,
    })
}

/// The load of a plan.
fn load(plan: &Plan) -> Value {
    let mut value = serde_json::to_value(plan).expect("a plan is plain data");
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, _| !INCIDENTAL.contains(&name.as_str()));
    }
    value
}

/// `name 1 against 2` for fields that differ; `None` when none does.
fn differences(one: &Value, other: &Value) -> Option<String> {
    let (Value::Object(one), Value::Object(other)) = (one, other) else {
        unreachable!("both are objects");
    };
    let unequal = one.iter().filter(|(name, value)| other.get(*name) != Some(value));
    let told = |(name, value): (&String, &Value)| {
        format!("{name} {value} against {}", other.get(name).unwrap_or(&Value::Null))
    };
    let words: Vec<String> = unequal.map(told).collect();
    let more = words.len().saturating_sub(NAMED);
    let told = words[..words.len() - more].join(", ");
    let told = if more > 0 { format!("{told} and {more} more") } else { told };
    (!words.is_empty()).then_some(told)
}
