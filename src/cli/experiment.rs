//! The commands that run others: what was typed for `scenario`, `matrix` and `attack`.

mod command;

use super::args::{AttackArgs, ExperimentArgs, MatrixArgs, ScenarioArgs};
use super::output::print_text;
use crate::engine::Target;
use crate::experiment::{self, Attack, Host, Matrix, Request};
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

fn request(args: &ExperimentArgs, set: &[String]) -> Request {
    Request {
        set: set.to_vec(),
        out: args.out.clone(),
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
    let host = |target: &Target| match target {
        Target::Tcp { host, port } => {
            let port = port.unwrap_or(args.port);
            let words = vec!["-H".into(), host.clone(), "-p".into(), port.to_string()];
            Host { name: format!("{host}_{port}"), words }
        }
        Target::Unix(_) => Host { name: target.to_string(), words: vec!["-H".into(), target.to_string()] },
    };
    args.host.iter().map(host).collect()
}
