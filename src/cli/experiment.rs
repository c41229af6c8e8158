//! The commands that run others: what was typed for `scenario`, `matrix`, `ab` and `attack`.

mod command;

use super::Usage;
use super::args::{AbArgs, AttackArgs, ExperimentArgs, MatrixArgs, ScenarioArgs};
use super::output::print_text;
use crate::engine::{Scheme, Target};
use crate::experiment::{self, Attack, Contender, Host, Matrix, Pairs, Request};
use crate::record::Exit;

pub fn scenario(args: &ScenarioArgs) -> anyhow::Result<Exit> {
    if args.output.json_schema {
        return print_text(experiment::JSON_SCHEMA, false).map(|()| Exit::Clean);
    }
    match args.file.as_deref().filter(|_| !args.example) {
        Some(path) => Ok(experiment::scenario(path, &request(&args.output, &args.set))?),
        None => print_text(experiment::EXAMPLE, false).map(|()| Exit::Clean),
    }
}

pub fn matrix(args: &MatrixArgs) -> anyhow::Result<Exit> {
    if args.output.json_schema {
        return print_text(experiment::JSON_SCHEMA, false).map(|()| Exit::Clean);
    }
    let matrix = Matrix { hosts: hosts(args), quick: args.quick, extra: args.extra.clone() };
    Ok(experiment::matrix(&matrix, &request(&args.output, &args.set))?)
}

pub fn attack(args: &AttackArgs) -> anyhow::Result<Exit> {
    let attack = Attack { target: args.target.clone(), warhead: args.warhead.clone() };
    Ok(experiment::attack(&attack)?)
}

pub fn ab(args: &AbArgs) -> anyhow::Result<Exit> {
    command::check_run(&args.run).map_err(|what| Usage(format!("behind --: {what}")))?;
    let pairs = Pairs {
        a: contender("--a-host", args.a.as_ref(), args.a_host.as_ref())?,
        b: contender("--b-host", args.b.as_ref(), args.b_host.as_ref())?,
        run: args.run.clone(),
        question: args.question.question(),
        out: args.out.clone(),
        quiet: args.quiet,
    };
    Ok(experiment::pairs(&pairs)?)
}

/// One of two brokers, which runs or is started.
fn contender(flag: &str, start: Option<&String>, host: Option<&Target>) -> Result<Contender, Usage> {
    let target = match host {
        None => "localhost:1883".parse().expect("a host"),
        Some(target @ Target::Tcp { scheme, .. }) => target.at(scheme.unwrap_or(Scheme::Mqtt).port()),
        Some(Target::Unix(_)) if start.is_some() => {
            return Err(Usage(format!(
                "{flag}: of a broker that is started, give the host and port it listens on"
            )));
        }
        Some(target) => target.clone(),
    };
    let ready = match target.clone() {
        Target::Tcp { host, port, .. } => Target::Tcp { scheme: None, host, port, path: None },
        unix @ Target::Unix(_) => unix,
    };
    let ready = start.is_some().then(|| ready.to_string());
    Ok(Contender { start: start.cloned(), ready, host: target.to_string() })
}

fn request(args: &ExperimentArgs, set: &[String]) -> Request {
    Request {
        set: set.to_vec(),
        out: args.out.clone(),
        repeats: args.repeat,
        dry_run: args.dry_run,
        quiet: args.quiet,
        understand: command::check,
    }
}

/// The brokers, as the main job is told of them.
fn hosts(args: &MatrixArgs) -> Vec<Host> {
    if args.embedded {
        return vec![Host { name: "embedded".into(), words: vec!["--embedded".into()] }];
    }
    let host = |target: &Target| {
        let usual = args.port.unwrap_or(target.scheme().unwrap_or(Scheme::Mqtt).port());
        let name = match target {
            Target::Tcp { host, port, .. } => format!("{host}_{}", port.unwrap_or(usual)),
            Target::Unix(_) => target.to_string(),
        };
        Host { name, words: vec!["-H".into(), target.at(usual).to_string()] }
    };
    args.host.iter().map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The run is told how to speak with it, and its readiness is that of its port.
    #[test]
    fn a_broker_that_is_started_is_ready_when_its_port_is() {
        let of = |host: &str| {
            let start = "broker".to_owned();
            let contender = contender("--a-host", Some(&start), Some(&host.parse().expect("a host")));
            let Contender { ready, host, .. } = contender.expect("it makes sense");
            (ready.expect("it is started"), host)
        };
        assert_eq!(of("mqtts://localhost"), ("localhost:8883".into(), "mqtts://localhost:8883".into()));
        assert_eq!(of("[::1]:1884"), ("[::1]:1884".into(), "[::1]:1884".into()));
    }
}
