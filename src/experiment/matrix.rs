//! The built-in matrix.

use super::file::{self, Broker, Scenario, Text, Values, Variable};
use super::{Error, Request, perform, quoted, set};
use crate::record::Exit;
use std::path::Path;

const SOURCE: &str = include_str!("matrix.toml");

/// The matrix as asked for.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Brokers to run it against.
    pub hosts: Vec<Host>,
    /// A tenth of the time.
    pub quick: bool,
    /// More words for each run.
    pub extra: Vec<String>,
}

/// A broker of the matrix.
#[derive(Clone, Debug)]
pub struct Host {
    /// What its results are called.
    pub name: String,
    /// The words that say on a command line where it is.
    pub words: Vec<String>,
}

/// Runs the matrix. The exit code is that of its runs.
///
/// # Errors
/// A variable is set that it does not have, or the results cannot be kept.
pub fn matrix(matrix: &Matrix, request: &Request) -> Result<Exit, Error> {
    let mut scenario = scenario(matrix);
    set(&mut scenario, &request.set)?;
    perform(&scenario, Path::new("matrix"), "matrix", request)
}

/// The scenario behind it; of several hosts each is a broker of its own.
fn scenario(matrix: &Matrix) -> Scenario {
    let mut scenario = file::parse(SOURCE).expect("the matrix is right: there is a test");
    let text = |text: String| Text { text: text.replace("${", "$${"), line: 0 };
    let mut put = |name: &str, value: String| {
        let values = Values::One(text(value));
        super::inherit::set(&mut scenario, name, &values).expect("the matrix has this variable");
    };
    put("extra", quoted(&matrix.extra));
    if matrix.quick {
        put("duration", "1.5s".into());
        put("warmup", "0.3s".into());
    }
    if let [host] = matrix.hosts.as_slice() {
        put("target", quoted(&host.words));
        return scenario;
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' };
    let broker = |host: &Host| {
        let values = Values::One(text(quoted(&host.words)));
        let vars = vec![Variable { name: text("target".into()), values }];
        let name = text(host.name.chars().map(plain).collect());
        Broker { name, vars, ..Broker::default() }
    };
    scenario.brokers = matrix.hosts.iter().map(broker).collect();
    scenario
}

#[cfg(test)]
mod tests {
    use super::super::expand;
    use super::*;

    fn against(hosts: &[(&str, &str)]) -> Matrix {
        let host = |(name, words): &(&str, &str)| Host {
            name: (*name).into(),
            words: words.split(' ').map(str::to_owned).collect(),
        };
        Matrix { hosts: hosts.iter().map(host).collect(), quick: false, extra: Vec::new() }
    }

    fn expanded(matrix: &Matrix, settings: &[&str]) -> expand::Experiment {
        let mut scenario = scenario(matrix);
        set(&mut scenario, &settings.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let around = expand::Surroundings { program: None, out: Some("out".into()), repeats: 1 };
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

    /// checklist 53: three patterns, 1/5/10 clients x QoS x clean or persistent x size.
    #[test]
    fn the_matrix_has_every_combination() {
        let lines = lines(&expanded(&against(&[("broker", "-H broker.lab -p 1883")]), &[]));
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
        let extra = vec!["--cores".to_owned(), "1".to_owned()];
        let matrix = Matrix { quick: true, extra, ..against(&[("embedded", "--embedded")]) };
        let lines = lines(&expanded(&matrix, &["qos=1", "size=[\"24\"]"]));
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
        let hosts = [
            ("one_1883", "-H one -p 1883"),
            ("two:1884", "-H two -p 1884"),
            ("unix:/run/three.sock", "-H unix:/run/three.sock"),
        ];
        let experiment = expanded(&against(&hosts), &[]);
        assert_eq!((experiment.brokers.len(), experiment.combinations.len()), (3, 486));
        let lines = lines(&experiment);
        // in turns, the order of the brokers turned each time
        assert!(lines[0].contains("-H one -p 1883") && lines[1].contains("-H two -p 1884"));
        assert!(
            lines[2].ends_with(" -H unix:/run/three.sock") && lines[3].ends_with(" -H unix:/run/three.sock")
        );
        let directory = |index: usize| &experiment.combinations[index].directory;
        assert!(directory(484).starts_with("two_1884/partitioned/"));
        assert!(directory(480).starts_with("one_1883/partitioned/"), "{:?}", directory(480));
        assert!(directory(482).starts_with("unix__run_three.sock/partitioned/"), "{:?}", directory(482));
    }
}
