//! The main job: one run, its summary and its record.

use super::args::RunArgs;
use super::output::{Output, complain, print, print_text};
use super::plan::{self, Broker, Cores};
use super::progress::Line;
use super::{connection, embedded};
use crate::crew::Credentials;
use crate::record::{Ended, Exit, Record};
use crate::run::{self, Spec};
use crate::{cpu, engine, gate, report, seed, signals};
use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let allowed = cpu::allowed();
    let cores = |broker| plan::cores(args.cores.map(Into::into), &allowed, broker);
    let seed = args.seed.unwrap_or_else(seed::fresh);
    let plan = |cores: &Cores| plan::plan(args, cores, seed, &cpu::machine().host);
    // Senseless flags are told of before anything is resolved or opened.
    plan(&cores(Broker::Away))?;
    let password = connection::password(args.password_file.as_deref(), args.username.is_some())?;
    // Before the first packet: a run whose record cannot be kept is not begun.
    let output = args.json.as_deref().map(Output::open).transpose()?;
    engine::probe()?;
    let interrupt = interruption()?;
    let (cores, reflector, targets) = match args.embedded {
        true => {
            let cores = cores(Broker::Embedded);
            let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let reflector = embedded::start(loopback, &cores.reflector, Some(args.clients))?;
            let targets = vec![reflector.addr().into()];
            (cores, Some(reflector), targets)
        }
        false => {
            let targets = connection::resolve(&args.host, args.port, args.connect_timeout.nanos())?;
            let here = targets.iter().any(engine::is_local);
            (cores(if here { Broker::Here } else { Broker::Away }), None, targets)
        }
    };
    let plan = plan(&cores)?;
    let Cores { generator, reflector: broker_cpus, warnings } = cores;
    let mut spec = Spec {
        cpus: generator,
        broker_cpus,
        command: super::command_line(),
        warnings,
        tolerance_is_per_ring: args.tolerance.is_none(),
        ..Spec::new(plan, targets)
    };
    if let Some(username) = &args.username {
        spec.connection.credentials = Credentials::Same { username: username.clone(), password };
    }
    let mut line = Line::new(args.progress, args.quiet);
    let mut record = run::run(spec, &interrupt, &mut |progress| line.show(progress))?;
    line.clear();
    drop(reflector);
    gate::judge(&args.require.bounds, &mut record);
    conclude(args, record, output)
}

/// Writes what there is to say about a run that has begun.
fn conclude(args: &RunArgs, record: Record, output: Option<Output>) -> anyhow::Result<Exit> {
    let to_stdout = output.as_ref().is_some_and(Output::is_stdout);
    let written = output.map_or(Ok(()), |output| output.write(&report::json(&record)));
    let connected = record.counts.connections_established > 0;
    if !args.quiet && connected {
        print(&record, to_stdout)?;
        print_text(&gate::text(&record.bounds), to_stdout)?;
    }
    if (!connected || args.quiet) && record.exit_code != 0 {
        complain(format_args!("error: {}", record.exit_reason));
    }
    if let Some(advice) = advice(&record) {
        complain(format_args!("{advice}"));
    }
    written?;
    Ok(Exit::from_code(record.exit_code))
}

/// What to do about clients that were not let in.
fn advice(record: &Record) -> Option<String> {
    let counts = &record.counts;
    let [_, protocol, identifier, unavailable, password, authorization] = counts.refused;
    let about_refusals = [
        (password + authorization, "Give the broker a --username and --password-file that it accepts"),
        (protocol, "The broker has to accept MQTT 3.1.1 (protocol level 4), which is what is spoken here"),
        (identifier, "Try other client ids with --clientid, or --clean-session true"),
        (unavailable, "Try fewer --clients or a lower --connect-rate, and look at the broker's limits"),
    ];
    if let Some((_, advice)) = about_refusals.into_iter().find(|(count, _)| *count > 0) {
        return Some(advice.into());
    }
    let nobody = record.ended == Ended::Broker && counts.connections_established == 0;
    let brokers = record.broker.addresses.join(", ");
    nobody.then(|| {
        format!(
            "Is an MQTT 3.1.1 broker listening on {brokers}, without TLS? Name another with --host and --port, or try \
             `malaria-bench --embedded`"
        )
    })
}

/// A flag that the first SIGINT or SIGTERM sets, and SIGHUP; the second SIGINT or SIGTERM ends the process at once.
pub fn interruption() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in signals::ASKING {
        let code = Exit::Interrupted.code().into();
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .context("cannot handle signals")?;
    }
    if let Some(signal) = signals::hangup() {
        signal_hook::flag::register(signal, Arc::clone(&flag)).context("cannot handle signals")?;
    }
    Ok(flag)
}
