//! The built-in matrix.

use super::file::{self, Broker, Scenario, Text, Values, Variable};
use super::{perform, quoted, set};
use crate::cli::args::MatrixArgs;
use crate::engine::Target;
use crate::record::Exit;
use std::path::Path;

const SOURCE: &str = include_str!("matrix.toml");

pub fn run(args: &MatrixArgs) -> anyhow::Result<Exit> {
    let mut scenario = scenario(args);
    set(&mut scenario, &args.set)?;
    perform(&scenario, Path::new("matrix"), "matrix", &args.output)
}

/// The matrix as asked for, each host a broker of its own.
fn scenario(args: &MatrixArgs) -> Scenario {
    let mut scenario = file::parse(SOURCE).expect("the matrix is right: there is a test");
    let text = |text: String| Text { text: text.replace("${", "$${"), line: 0 };
    let mut put = |name: &str, value: String| {
        let values = Values::One(text(value));
        super::inherit::set(&mut scenario, name, &values).expect("the matrix has this variable");
    };
    put("extra", quoted(&args.extra));
    if args.quick {
        put("duration", "1.5s".into());
        put("warmup", "0.3s".into());
    }
    let target = |target: &Target| match target {
        Target::Tcp { host, port } => {
            let port = port.unwrap_or(args.port);
            quoted(&["-H".into(), host.clone(), "-p".into(), port.to_string()])
        }
        Target::Unix(_) => quoted(&["-H".into(), target.to_string()]),
    };
    match args.host.as_slice() {
        _ if args.embedded => put("target", "--embedded".into()),
        [host] => put("target", target(host)),
        hosts => {
            let broker = |host: &Target| {
                let values = Values::One(text(target(host)));
                let vars = vec![Variable { name: text("target".into()), values }];
                let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' };
                let name = match host {
                    Target::Tcp { host, port } => format!("{host}_{}", port.unwrap_or(args.port)),
                    Target::Unix(_) => host.to_string(),
                };
                let name = text(name.chars().map(plain).collect());
                Broker { name, vars, ..Broker::default() }
            };
            scenario.brokers = hosts.iter().map(broker).collect();
        }
    }
    scenario
}

#[cfg(test)]
mod tests {
    use super::super::{check, expand};
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    fn args(line: &str) -> MatrixArgs {
        let words = ["malaria-bench", "matrix"].into_iter().chain(line.split_whitespace());
        match Cli::parse_from(words).command {
            Some(Command::Matrix(args)) => args,
            _ => panic!("the matrix was asked for"),
        }
    }

    fn expanded(line: &str) -> expand::Experiment {
        let args = args(line);
        let mut scenario = scenario(&args);
        set(&mut scenario, &args.set).unwrap();
        let around = expand::Surroundings { program: "malaria-bench".into(), out: "out".into() };
        expand::expand(&scenario, &around).unwrap()
    }

    fn lines(experiment: &expand::Experiment) -> Vec<String> {
        let steps = experiment.combinations.iter().flat_map(|combination| &combination.steps);
        let sections = steps.flat_map(|step| match &step.work {
            expand::PlannedWork::Sections(sections) => sections.as_slice(),
            expand::PlannedWork::Sleep(_) => &[],
        });
        let line = |section: &expand::PlannedSection| match &section.task {
            expand::PlannedTask::Run(words) => quoted(words),
            expand::PlannedTask::Shell(line) => line.clone(),
        };
        sections.map(line).collect()
    }

    /// checklist 53: three patterns, 1/5/10 clients x QoS x clean or persistent x size, and all of it parses.
    #[test]
    fn the_matrix_has_every_combination() {
        let experiment = expanded("-H broker.lab");
        check(&experiment).unwrap();
        let lines = lines(&experiment);
        assert_eq!(lines.len(), 3 * 3 * 3 * 3 * 2);
        for pattern in ["fan-in", "fan-out", "pairs"] {
            for qos in 0..=2 {
                for size in ["24", "1KiB", "256KiB"] {
                    for clean in [true, false] {
                        let wanted = format!("--topology {pattern} ");
                        let rest = format!("-q {qos} -s {size} --clean-session {clean} ");
                        let fits = |line: &&String| line.contains(&wanted) && line.contains(&rest);
                        assert_eq!(lines.iter().filter(fits).count(), 3, "{wanted}{rest}");
                    }
                }
            }
        }
        assert!(
            lines
                .iter()
                .all(|line| line.contains("-H broker.lab -p 1883") && line.contains("--duration 15s"))
        );
        let of_ten = "--clients 20 --publishers 10 --subscribers 10 ";
        assert!(lines.iter().any(|line| line.contains(of_ten)));
    }

    /// checklist 53: a tenth of the time.
    #[test]
    fn the_quick_matrix_takes_a_tenth() {
        let experiment = expanded("--quick --embedded --set qos=1 --set size=[\"24\"] -- --cores 1");
        check(&experiment).unwrap();
        let lines = lines(&experiment);
        assert_eq!(lines.len(), 3 * 3 * 2);
        assert!(
            lines
                .iter()
                .all(|line| line.contains("--duration 1.5s") && line.ends_with("--embedded --cores 1"))
        );
    }

    /// checklist 87: each host is a broker of its own.
    #[test]
    fn every_host_gets_the_whole_matrix() {
        let experiment = expanded("-H one -H two:1884 -H unix:/run/three.sock");
        assert_eq!((experiment.brokers.len(), experiment.combinations.len()), (3, 486));
        let lines = lines(&experiment);
        assert!(lines[0].contains("-H one -p 1883") && lines[323].contains("-H two -p 1884"));
        assert!(lines[485].ends_with(" -H unix:/run/three.sock"), "{}", lines[485]);
        let directory = |index: usize| &experiment.combinations[index].directory;
        assert!(directory(323).starts_with("two_1884/partitioned/"));
        assert!(directory(485).starts_with("unix__run_three.sock/partitioned/"), "{:?}", directory(485));
    }
}
