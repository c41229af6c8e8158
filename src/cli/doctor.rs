//! What of this machine stands in the way of a run: on request, and before each.

use super::args::RunArgs;
use super::bench::Prepared;
use super::output::print_text;
use super::{Environment, bench};
use crate::doctor::{self, Finding, Host, Need, Severity};
use crate::engine::{self, Endpoint};
use crate::record::Exit;

/// Looks at everything, and says so.
///
/// # Errors
/// Flags without a sense, or a broker without an address.
pub fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let prepared = bench::prepare(args)?;
    let need = need(&prepared);
    let mut findings = doctor::examine(&Host::read(), &need);
    findings.extend(engine::probe().err().map(|error| Finding {
        what: "io_uring",
        severity: Severity::Stops,
        found: error.to_string(),
        remedy: None,
    }));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let gravest = findings.first().map_or(Severity::Fine, |finding| finding.severity);
    print_text(&findings.iter().map(line).collect::<String>(), false)?;
    Ok(if gravest == Severity::Stops { Exit::Environment } else { Exit::Clean })
}

fn line(finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Fine => "fine",
        Severity::Hurts => "hurts",
        Severity::Stops => "STOPS",
    };
    format!("{word:<6} {:<12} {finding}\n", finding.what)
}

/// What is known of a run before its first packet, in words.
pub struct Outlook {
    /// What may hurt it.
    pub hurts: Vec<String>,
    /// The memory that it takes, and what there is.
    pub memory: Option<String>,
}

/// Looks before a run.
///
/// # Errors
/// What stops it.
pub fn check(prepared: &Prepared) -> Result<Outlook, Environment> {
    let findings = doctor::examine(&Host::read(), &need(prepared));
    let of = |severity| findings.iter().filter(move |finding| finding.severity == severity);
    let stops: Vec<String> = of(Severity::Stops).map(ToString::to_string).collect();
    if !stops.is_empty() {
        return Err(Environment(stops.join("; ")));
    }
    // What is as usual on a machine that is nobody's laboratory is not told before each run.
    let told =
        of(Severity::Hurts).filter(|finding| !["SMT", "governor", "clock", "CPUs"].contains(&finding.what));
    let memory = findings.iter().find(|finding| finding.what == "memory");
    Ok(Outlook {
        hurts: told.map(ToString::to_string).collect(),
        memory: memory.map(|finding| finding.found.clone()),
    })
}

fn need(prepared: &Prepared) -> Need {
    let Prepared { plan, cores, targets, connection, .. } = prepared;
    let tcp = |target: &&Endpoint| matches!(target, Endpoint::Tcp(_));
    let loopback = |target: &Endpoint| engine::loopback_source(target, 0).is_some();
    Need {
        clients: plan.clients.saturating_add(2 * plan.probes),
        brokers: targets.len() as u32,
        sources: targets.iter().map(|target| connection.sources.count(target)).min().unwrap_or(0),
        loopback: targets.iter().filter(tcp).all(loopback),
        embedded: plan.embedded,
        broker_here: targets.iter().any(engine::is_local),
        cores_asked: plan.cores_asked as usize,
        cpus: cores.generator.clone(),
    }
}
