//! The standard workloads: by name, and what each of them is.

use super::args::{Cli, NamedArgs, RunArgs, Scale, ScenariosArgs};
use super::output::print_text;
use super::{Usage, bench, config, plan};
use crate::experiment::{GRAMMAR, Named};
use crate::load::{Routes, Split, Template};
use crate::record::{Exit, Plan, Schedule};
use crate::units;
use clap::{CommandFactory, FromArgMatches};

/// Runs one. What it says is in `args` already: [`config::parse`] has seen to it.
pub fn run(args: &NamedArgs) -> anyhow::Result<Exit> {
    match args.print {
        true => print_text(Named::find(&args.scenario)?.text.trim_end(), false).map(|()| Exit::Clean),
        false => bench::run(&args.run),
    }
}

/// Lists all, with what goes in and comes out.
pub fn list(args: &ScenariosArgs) -> anyhow::Result<Exit> {
    let mut text = format!("{:<24}{:>11}{:>11}{:>11}  what\n", "name", "clients", "in", "out");
    for named in Named::all() {
        let Expected { clients, rates } = expected(&named, args.scale)?;
        let [taken, given] = rates.map(|rate| rate.map_or("max".into(), units::rate));
        let clients = units::grouped(clients.into());
        text += &format!("{:<24}{clients:>11}{taken:>11}{given:>11}  {}\n", named.name, named.about());
        text += &format!("{:59}{}\n", "", named.source());
    }
    text += &format!("{GRAMMAR} is the same for every name of its kind, such as 2k_2k_qos0_p32_100mps");
    print_text(&text, false).map(|()| Exit::Clean)
}

/// What a workload asks of a broker.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Expected {
    clients: u32,
    /// Messages a second that go in and come out; `None` is as many as there can be.
    rates: [Option<f64>; 2],
}

fn expected(named: &Named, scale: Scale) -> anyhow::Result<Expected> {
    let mut args = args(named)?;
    args.scale = scale;
    let cores = plan::cores(Some(1), &[0], plan::Broker::Away);
    let plan = plan::plan(&args, &cores, 0, "any")?;
    Ok(Expected { clients: plan.clients, rates: rates(&plan) })
}

/// What somebody would have typed who ran it.
fn args(named: &Named) -> anyhow::Result<RunArgs> {
    let words = std::iter::once("malaria-bench".to_owned()).chain(named.words()?);
    let matches = config::parse(Cli::command(), words.map(Into::into).collect())?;
    let Cli { command: None, run } = Cli::from_arg_matches(&matches)? else {
        return Err(Usage(format!("{}: it is not one run of the main job", named.name)).into());
    };
    Ok(run)
}

/// Messages a second in and out.
fn rates(plan: &Plan) -> [Option<f64>; 2] {
    let topic: Template = plan.topic_template.parse().expect("a plan's template was read before");
    let flows = match plan.share {
        Some(_) => u64::from(plan.publishers),
        None => Routes::new(Split::of(plan), topic.varies(), plan.groups).flows(),
    };
    match plan.schedule {
        Schedule::Open { rate_per_s, .. } => {
            let there =
                plan.flap.map_or(1.0, |flap| 1.0 - (flap.for_ns as f64 / flap.every_ns as f64).min(1.0));
            let heard = flows as f64 / f64::from(plan.publishers.max(1)) * there;
            [Some(rate_per_s), Some(rate_per_s * heard)]
        }
        Schedule::Closed { .. } => [None, None],
        Schedule::None => [Some(0.0), Some(0.0)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Command;
    use clap::Parser;

    fn scale(text: &str) -> Scale {
        text.parse().unwrap()
    }

    /// The figures of the pages that they come from.
    #[test]
    fn the_suite_is_what_was_published() {
        let published = [
            ("mqttbs/conn-tcp-10k", 10_000, 0.0, 0.0),
            ("mqttbs/conn-tcp-1m", 1_000_000, 0.0, 0.0),
            ("mqttbs/fanout-1k", 1001, 1.0, 1000.0),
            ("mqttbs/fanout-5-1000", 1005, 250.0, 250_000.0),
            ("mqttbs/p2p-1k", 2000, 1000.0, 1000.0),
            ("mqttbs/p2p-50k", 100_000, 50_000.0, 50_000.0),
            ("mqttbs/sharedsub-1k", 1005, 1000.0, 1000.0),
            ("mqttbs/sharedsub-50k", 50_500, 50_000.0, 50_000.0),
            ("emqx/fanout-2m", 1020, 2000.0, 2_000_000.0),
            ("emqx/latency-1k", 2000, 1000.0, 1000.0),
            ("emqx/symmetric", 2000, 1000.0, 1000.0),
            ("emqx/fanout-2k", 2010, 10.0, 2000.0),
            ("emqx/payload-20k", 2000, 20_000.0, 20_000.0),
            ("emqx/fanin-2k", 2100, 2000.0, 2000.0),
            ("emqx/ci-pubsub", 20_000, 10_000.0, 10_000.0),
            ("emqx/fanin-50k", 50_001, 50_000.0, 50_000.0),
            ("tbmq/fanout-3m", 3100, 1000.0, 3_000_000.0),
            ("tbmq/p2p-100k", 200_000, 100_000.0, 100_000.0),
            ("tbmq/fanin", 200_001, 200_000.0, 200_000.0),
            ("vmq/1to1", 1000, 1000.0, 1000.0),
            ("vmq/fanin", 1001, 1000.0, 1000.0),
            ("vmq/fanout", 1001, 1.0, 1000.0),
            ("sparkplug-like", 400_001, 80_000.0, 80_000.0),
            ("persistent-drain", 20, 10_000.0, 10_000.0),
            ("reconnect-storm", 2000, 1000.0, 1000.0),
            ("conn-churn", 10_000, 0.0, 0.0),
            ("sub-flapping", 1001, 10.0, 10_000.0),
            ("sub-unsub-flapping", 2000, 1000.0, 1000.0),
        ];
        for (name, clients, taken, given) in published {
            let rates = [Some(taken), Some(given)];
            let found = expected(&Named::find(name).unwrap(), scale("1")).unwrap();
            assert_eq!(found, Expected { clients, rates }, "{name}");
        }
        let others: Vec<_> =
            Named::all().filter(|named| published.iter().all(|one| one.0 != named.name)).collect();
        assert!(others.iter().all(|named| named.name.starts_with("chirino/")), "{others:?}");
        for named in others {
            assert_eq!(expected(&named, scale("1")).unwrap().rates, [None; 2], "{}", named.name);
        }
    }

    #[test]
    fn each_has_a_source_and_an_objective_and_runs_at_any_scale() {
        for named in Named::all() {
            assert!(!named.source().is_empty() && named.about().ends_with('.'), "{}", named.name);
            assert!(!args(&named).unwrap().output.require.bounds.is_empty(), "{}", named.name);
            for factor in ["0.0001", "0.01", "0.5", "2"] {
                expected(&named, scale(factor)).unwrap_or_else(|error| panic!("{}: {error}", named.name));
            }
        }
        let small = expected(&Named::find("mqttbs/p2p-50k").unwrap(), scale("0.01")).unwrap();
        assert_eq!(small, Expected { clients: 1000, rates: [Some(500.0), Some(500.0)] });
    }

    /// Who is not subscribed is not given anything.
    #[test]
    fn what_comes_out_is_for_those_who_are_subscribed() {
        let named = Named {
            name: "mine".into(),
            text: "[[step]]\nrun = '--clients 200 --rate 1k --flap 10s,2.5s'\n".into(),
        };
        assert_eq!(expected(&named, scale("1")).unwrap().rates, [Some(1000.0), Some(750.0)]);
    }

    #[test]
    fn names_of_the_grammar_say_it_all() {
        let spelled = |name: &str| expected(&Named::find(name).unwrap(), scale("1")).unwrap();
        let rates = |taken, given| [Some(taken), Some(given)];
        let found = spelled("2k_2k_qos0_p32_100mps");
        assert_eq!(found, Expected { clients: 4000, rates: rates(200_000.0, 200_000.0) });
        let found = spelled("1_100k_qos0_p256_1mps");
        assert_eq!(found, Expected { clients: 100_001, rates: rates(1.0, 100_000.0) });
        let found = spelled("100k_1k_qos1_p256_1mps_3n_32v");
        assert_eq!(found, Expected { clients: 101_000, rates: rates(100_000.0, 100_000.0) });
        let run = args(&Named::find("5_5_qos2_p256_0.5mps").unwrap()).unwrap();
        assert_eq!((run.qos, run.size.bytes(), run.publishers), (2, 256, Some(5)));
        for name in [
            "",
            "p2p",
            "2k_2k_qos3_p32_1mps",
            "0_1_qos0_p32_1mps",
            "1_1_qos0_p32_1",
            "1_1_qos0_px_1mps",
            "1_1_qos0_p32_1mps_3x",
            "1_1_qos0_p32_1mps_3n_3n_3n",
        ] {
            let error = Named::find(name).unwrap_err().to_string();
            assert!(error.contains("malaria-bench scenarios"), "{error}");
        }
    }

    fn named(line: &str) -> anyhow::Result<RunArgs> {
        let words = line.split_whitespace().map(Into::into).collect();
        let matches = config::parse(Cli::command(), words)?;
        match Cli::from_arg_matches(&matches)?.command {
            Some(Command::Run(args)) => Ok(args.run),
            _ => panic!("{line}: not a workload"),
        }
    }

    #[test]
    fn what_is_typed_goes_before_what_a_workload_says() {
        let run =
            named("malaria-bench run mqttbs/p2p-1k --scale 0.1 -q 2 --duration 3s --publishers 7").unwrap();
        assert_eq!((run.qos, run.publishers, run.subscribers), (2, Some(7), Some(1000)));
        assert_eq!((run.duration.nanos(), run.scale), (3_000_000_000, scale("0.1")));
        assert_eq!(run.output.require.bounds.len(), 5, "its bounds");
        let run = named("malaria-bench run mqttbs/p2p-1k --require lost==0").unwrap();
        assert_eq!(run.output.require.bounds.len(), 1, "or those that are typed");
        let run = named("malaria-bench run mqttbs/p2p-1k --schedule const(5,3s) --embedded").unwrap();
        assert!(
            run.schedule.is_some() && run.msgs_per_second.is_none(),
            "what does not go with it is left out"
        );
        assert!(run.embedded && run.publishers == Some(1000));
        let error = named("malaria-bench run p2p-1k").err().unwrap().to_string();
        assert!(error.contains("`p2p-1k` is not a workload"), "{error}");
        assert!(Cli::try_parse_from(["malaria-bench", "run"]).is_err());
    }

    /// Precedence: the command line, then the file, then the workload.
    #[test]
    fn a_file_of_flags_goes_before_a_workload() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[run]\nqos = 0\nsize = \"99\"\n").unwrap();
        let run = named(&format!("malaria-bench run mqttbs/p2p-1k -s 33 --config {}", file.path().display()));
        let run = run.unwrap();
        assert_eq!((run.qos, run.size.bytes(), run.subscribers), (0, 33, Some(1000)));
    }
}
