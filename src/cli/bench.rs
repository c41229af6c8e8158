//! The main job: one run, its summary and its record.

use super::args::{OutputArgs, RunArgs};
use super::ci::Ci;
use super::connection::{self, Reconnects};
use super::hlog::Hlog;
use super::identities::Topics;
use super::live::Onlookers;
use super::output::{Output, complain, print, print_text};
use super::plan::{self, Broker, Cores};
use super::series::{self, Series};
use super::{Environment, Usage, calibrate, doctor, embedded, transport};
use crate::crew::Connection;
use crate::engine::Endpoint;
use crate::load::Split;
use crate::record::{Ended, Exit, Finished, Plan, Record, TransportKind};
use crate::run::{self, Pilot, Spec};
use crate::scrape::{Address, Asked, Sys};
use crate::stage::Progress;
use crate::transport::Acceptor;
use crate::wire::topic;
use crate::{cpu, engine, gate, report, seed, signals};
use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// Runs the main job.
///
/// # Errors
/// What kept it from beginning.
pub fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    if args.output.json_schema {
        return print_text(report::schema(), false).map(|()| Exit::Clean);
    }
    let series = Series::open(args)?;
    let mut prepared = Some(prepare(args)?);
    series.make_folders()?;
    // Before the first packet: a run whose record cannot be kept is not begun, nor one that cannot work.
    let output =
        if series.runs == 1 { args.output.json.as_deref().map(Output::open).transpose()? } else { None };
    let ci = Ci::open(&args.output)?;
    engine::probe()?;
    let interrupt = interruption()?;
    let mut onlookers = Onlookers::open(&args.output, &interrupt)?;
    let mut one = |prepared: Prepared, number| {
        let prepared = Prepared { hlog: series.hlog(number), ..prepared };
        let mut record = perform(args, prepared, &interrupt, &mut onlookers, None)?;
        if let Some(known) = calibrate::known() {
            record.calibrate(&known);
        }
        gate::judge(&args.output.require.bounds, &mut record);
        onlookers.conclude(&record.counts, record.exit_code);
        anyhow::Ok(record)
    };
    let mut records = Vec::new();
    let mut exit = Exit::Clean;
    if series.runs == 1 {
        let record = one(prepared.take().expect("nobody has it"), 1)?;
        exit = conclude(&args.output, &record, output)?;
        records.push(record);
    }
    while records.len() < series.runs as usize && !series::is_last(exit) {
        let number = records.len() + 1;
        let record = one(prepared.take().map_or_else(|| prepare(args), Ok)?, number)?;
        exit = exit.graver(series.keep(&record, number)?);
        records.push(record);
    }
    let told = ci.write(records.iter().cloned().map(|record| Finished::Run(Box::new(record))));
    let exit = series.conclude(&records, exit)?;
    onlookers.linger(&interrupt);
    told.map(|()| exit)
}

/// The run of `args`, and nothing said of it.
///
/// # Errors
/// What kept it from beginning.
pub fn measure(args: &RunArgs, interrupt: &Arc<AtomicBool>) -> anyhow::Result<Record> {
    let mut onlookers = Onlookers::open(&args.output, interrupt)?;
    perform(args, prepare(args)?, interrupt, &mut onlookers, None)
}

/// The run that was prepared, whose loads `pilot` decides on if the plan does not; nothing is said of it.
///
/// # Errors
/// What kept it from beginning.
pub fn perform(
    args: &RunArgs,
    prepared: Prepared,
    interrupt: &Arc<AtomicBool>,
    onlookers: &mut Onlookers,
    pilot: Option<&mut dyn Pilot>,
) -> anyhow::Result<Record> {
    let outlook = doctor::check(&prepared)?;
    if onlookers.outlook.is_none() {
        onlookers.line.note(outlook.memory.as_deref());
    }
    let Prepared { plan, connection, mut cores, mut targets, acceptor, hlog } = prepared;
    cores.warnings.extend(outlook.hurts);
    let reflector = match args.embedded {
        true => {
            let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let clients = plan.clients.saturating_add(2 * plan.probes);
            let reflector = embedded::start(loopback, &cores.reflector, Some(clients), None, acceptor)?;
            targets = vec![reflector.addr().into()];
            Some(reflector)
        }
        false => None,
    };
    let spec = spec(args, plan, connection, cores, targets);
    let mut observer = Observer::new(args, &spec, hlog.as_deref())?;
    let mut bounds = gate::Ticker::new(&args.output.require.bounds);
    let observe = &mut |progress: &Progress| {
        onlookers.show(progress, &mut bounds);
        observer.second(progress);
    };
    let mut record = match pilot {
        None => run::run(spec, interrupt, observe)?,
        Some(pilot) => run::run_trials(spec, pilot, interrupt, observe)?,
    };
    observer.finish(&mut record);
    onlookers.clear();
    if let Some(reflector) = reflector {
        // However it ends, the run is over; what it had no room for is part of the verdict.
        let counters = reflector.counters();
        drop(reflector);
        record.broker.connections_refused = Some(counters.turned_away);
        record.conclude();
    }
    Ok(record)
}

/// What is made of the seconds of a run while it goes on, beside the line of progress.
struct Observer {
    windows: gate::Windows,
    watch: gate::Watch,
    abort: Arc<OnceLock<String>>,
    hlog: Option<Hlog>,
}

impl Observer {
    fn new(args: &RunArgs, spec: &Spec, hlog: Option<&Path>) -> Result<Observer, Environment> {
        Ok(Observer {
            windows: gate::Windows::new(&args.output.require.bounds),
            watch: gate::Watch::new(&args.abort.abort_on, args.abort.abort_after.nanos()),
            abort: Arc::clone(&spec.abort),
            hlog: hlog.map(Hlog::create).transpose()?,
        })
    }

    fn second(&mut self, progress: &Progress) {
        self.windows.second(progress);
        if let Some(reason) = self.watch.second(progress) {
            // The first reason is the one.
            let _ = self.abort.set(reason);
        }
        if let Some(hlog) = &mut self.hlog {
            hlog.second(progress);
        }
    }

    /// A log that could not be written costs nobody the record, and is told of there.
    fn finish(self, record: &mut Record) {
        record.windows = self.windows.finish();
        let hlog = self.hlog.map_or(Ok(()), Hlog::finish);
        record.warnings.extend(hlog.err().map(|error| error.to_string()));
    }
}

/// What the flags of a run mean on this machine.
pub struct Prepared {
    pub plan: Plan,
    pub connection: Connection,
    pub cores: Cores,
    /// Where the brokers are; of an embedded one, where it will be, but for the port.
    pub targets: Vec<Endpoint>,
    /// What an embedded one speaks.
    pub acceptor: Option<Arc<Acceptor>>,
    /// Where the histograms of its seconds go.
    pub hlog: Option<PathBuf>,
}

/// Finds out what the flags mean. Nothing is opened or sent yet.
///
/// # Errors
/// Flags without a sense, or a broker without an address.
pub fn prepare(args: &RunArgs) -> anyhow::Result<Prepared> {
    let allowed = cpu::allowed();
    let cores = |broker| plan::cores(args.connection.cores, &allowed, broker);
    let seed = args.seed.unwrap_or_else(seed::fresh);
    let plan = |cores: &Cores| plan::plan(args, cores, seed, &cpu::machine().host);
    // Senseless flags are told of before anything is resolved.
    args.metrics.asked()?;
    let (connection, acceptor) = connection(args, &plan(&cores(Broker::Away))?)?;
    let (cores, targets) = match args.embedded {
        true => (cores(Broker::Embedded), vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()]),
        false => {
            let targets = connection::resolve(&args.connection, connection.timeout)?;
            let here = targets.iter().any(engine::is_local);
            (cores(if here { Broker::Here } else { Broker::Away }), targets)
        }
    };
    let mut plan = plan(&cores)?;
    plan.client_columns = connection.identities.columns().iter().map(ToString::to_string).collect();
    Ok(Prepared { plan, connection, cores, targets, acceptor, hlog: None })
}

/// How the clients connect, and what an embedded broker speaks. Reads the files about clients.
fn connection(args: &RunArgs, plan: &Plan) -> Result<(Connection, Option<Arc<Acceptor>>), Usage> {
    let own_topic = |index, topic: &str| match Split::of(plan).publisher(index) {
        Some(_) => topic::valid_name(topic).map_err(|error| error.to_string()),
        None => Err(format!(
            "client {index} does not publish, and subscribers hear the topics of their publishers; leave the cell empty"
        )),
    };
    let (of, clients, topics) = (&args.connection, plan.clients as usize, Topics::Each(&own_topic));
    let (connection, acceptor) = if args.embedded {
        let connection = connection::plain(of, Reconnects::RUN, clients, topics)?;
        let ends = transport::embedded(&of.transport, (clients, &connection.identities))?;
        let (transport, acceptor) = ends.unzip();
        (Connection { transport, ..connection }, acceptor)
    } else {
        (connection::connection(of, Reconnects::RUN, clients, topics)?, None)
    };
    if args.metrics.broker_sys && connection.transport.is_some() {
        return Err(Usage(
            "--broker-sys: it asks over plain TCP, where anybody could read the password; leave it out with TLS or \
             WebSocket"
                .into(),
        ));
    }
    let mut connection = connection::named(connection, args.clientid.as_deref());
    plan::check_names(&args.topic, plan, &connection.identities)?;
    connection.reconnect = args.reconnect;
    connection.rate_per_s = connection.rate_per_s.map(|rate| args.scale.rate(rate));
    Ok((connection, acceptor))
}

fn spec(args: &RunArgs, plan: Plan, connection: Connection, cores: Cores, targets: Vec<Endpoint>) -> Spec {
    let Cores { generator, reflector, probes, mut warnings } = cores;
    let sys = args.metrics.broker_sys.then(|| sys(&plan, &connection, &targets[0]));
    let asked = Asked { sys, ..args.metrics.asked().expect("it was looked at before") };
    warnings.extend(plan::idle(&plan));
    Spec {
        cpus: generator,
        broker_cpus: reflector,
        probe_cpu: probes,
        connection,
        subjects: args.broker.subjects(),
        asked,
        retain: args.retain,
        command: super::command_line(),
        warnings,
        ..Spec::new(plan, targets)
    }
}

/// The broker at `target`, as a client beside all others asks it.
fn sys(plan: &Plan, connection: &Connection, target: &Endpoint) -> Sys {
    let (username, password) = connection.login(0);
    Sys {
        at: match target {
            Endpoint::Tcp(address) => Address::Tcp(*address),
            Endpoint::Unix(path) => Address::Unix(path.clone()),
        },
        protocol: connection.protocol,
        client_id: format!("{}-sys", plan.client_id_prefix),
        username: username.map(str::to_owned),
        password: password.map(<[u8]>::to_vec),
    }
}

/// Writes what there is to say about a run that has begun.
fn conclude(args: &OutputArgs, record: &Record, output: Option<Output>) -> anyhow::Result<Exit> {
    // The record, or the cases, have standard output to themselves.
    let to_stdout = [&args.json, &args.junit].into_iter().any(|path| path.as_deref() == Some(Path::new("-")));
    let written = output.map_or(Ok(()), |output| output.write(&report::json(record)));
    let connected = record.counts.connections_established > 0;
    if !args.quiet && connected {
        print(record, to_stdout)?;
        print_text(&gate::text(&record.bounds), to_stdout)?;
    }
    if (!connected || args.quiet) && record.exit_code != 0 {
        complain(format_args!("error: {}", record.exit_reason));
    }
    if let Some(advice) = advice(record) {
        complain(format_args!("{advice}"));
    }
    written?;
    Ok(Exit::from_code(record.exit_code))
}

/// What to do about clients that were not let in.
pub fn advice(record: &Record) -> Option<String> {
    let counts = &record.counts;
    let [_, protocol, identifier, unavailable, password, authorization] = counts.refused;
    let about_refusals = [
        (password + authorization, "Give the broker a --username and --password-file that it accepts"),
        (protocol, "Ask for a version that the broker speaks with --protocol: 3.1, 3.1.1 or 5"),
        (identifier, "Try other client ids with --clientid, or --clean-session true"),
        (unavailable, "Try fewer --clients or a lower --connect-rate, and look at the broker's limits"),
    ];
    if let Some((_, advice)) = about_refusals.into_iter().find(|(count, _)| *count > 0) {
        return Some(advice.into());
    }
    let nobody = record.ended == Ended::Broker && counts.connections_established == 0;
    let brokers = record.broker.addresses.join(", ");
    let plain = record.broker.transport.kind == TransportKind::Plain && !record.broker.transport.websocket;
    let (without, with) = if plain { (", without TLS", " it with --tls, or") } else { ("", "") };
    nobody.then(|| {
        format!(
            "Is an MQTT broker listening on {brokers}{without}? Name another with --host and --port, or try{with} \
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, ProgressArg};
    use crate::clock::SECOND;
    use crate::crew::Will;
    use crate::wire::{Protocol, QoS};
    use clap::Parser;

    fn specified(line: &str) -> Spec {
        let words = std::iter::once("malaria-bench").chain(line.split_whitespace());
        let args = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).run;
        let cores = plan::cores(args.connection.cores, &[0, 1], Broker::Away);
        let plan = plan::plan(&args, &cores, 7, "lab").unwrap();
        let (connection, _) = connection(&args, &plan).unwrap();
        spec(&args, plan, connection, cores, vec!["192.0.2.1:1883".parse::<SocketAddr>().unwrap().into()])
    }

    /// Issue section 1: the main job has the connection flags of every other command.
    #[test]
    fn the_flags_about_connections_reach_the_run() {
        let Spec { connection, retain, plan, .. } = specified("");
        assert_eq!((connection.protocol, connection.keep_alive_s), (Protocol::V311, 60));
        assert_eq!((connection.attempts, connection.reconnect_attempts), (1, 0), "lost ones without end");
        assert_eq!((connection.timeout, connection.rate_per_s), (10 * SECOND, None));
        assert!(connection.login(0).0.is_none() && connection.will.is_none());
        assert!(connection.clean_session && plan.reconnect && !retain);
        let Spec { connection, retain, plan, .. } = specified(
            "--protocol 3.1 -k 1.5s --connect-attempts 0 --reconnect-attempts 3 --connect-timeout 2 --connect-rate 1k \
             --will-topic gone/%c --will-payload bye --will-qos 1 --will-retain --retain --clients 2k -u me",
        );
        assert_eq!((connection.protocol, connection.keep_alive_s), (Protocol::V31, 2));
        assert_eq!((connection.attempts, connection.reconnect_attempts), (0, 3));
        assert_eq!((connection.timeout, connection.rate_per_s), (2 * SECOND, Some(1000.0)));
        assert_eq!((plan.connect_timeout_ns, plan.connect_rate_per_s), (2 * SECOND, Some(1000.0)));
        assert_eq!((retain, plan.clients), (true, 2000));
        assert_eq!(connection.login(1).0, Some("me"));
        let will =
            Will { topic: "gone/%c".into(), payload: b"bye".to_vec(), qos: QoS::AtLeastOnce, retain: true };
        assert_eq!(connection.will, Some(will), "a will is what was typed, no template");
        let Spec { connection, plan, .. } = specified("--reconnect false --clean-session false -c me");
        assert!(!plan.reconnect && !connection.reconnect);
        assert!(!connection.clean_session && !plan.clean_session);
    }

    /// Issue section 1: `--credentials` of the main job, one line for each client.
    #[test]
    fn each_client_of_the_main_job_has_a_line_of_its_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a:1\nb:2\nc:3\n").unwrap();
        let flags = format!("--credentials {}", file.path().display());
        let connection = specified(&format!("{flags} --clients 2")).connection;
        assert_eq!(connection.login(1), (Some("b"), Some(&b"2"[..])));
        let words = ["malaria-bench", "--credentials", file.path().to_str().unwrap()];
        let args = Cli::try_parse_from(words).unwrap().run;
        let four = Plan { clients: 4, ..Plan::default() };
        let error = super::connection(&args, &four).expect_err("too few").to_string();
        assert!(error.contains("3 lines") && error.contains("4 clients"), "{error}");
    }

    /// Its connection is a plain one, on which a password would be read by anybody.
    #[test]
    fn nobody_asks_a_broker_in_the_clear_that_is_spoken_with_over_tls() {
        for line in ["-H mqtts://x --insecure", "-H ws://x"] {
            let words = ["malaria-bench", "--broker-sys"].into_iter().chain(line.split_whitespace());
            let args = Cli::try_parse_from(words).unwrap().run;
            let error = super::connection(&args, &Plan::default()).expect_err("refused").to_string();
            assert!(error.contains("--broker-sys") && error.contains("password"), "{error}");
        }
    }

    #[test]
    fn progress_is_for_terminals_and_the_record_where_it_was_asked_for() {
        let output = |line: &str| {
            let words = std::iter::once("malaria-bench").chain(line.split_whitespace());
            Cli::try_parse_from(words).unwrap().run.output
        };
        assert_eq!(output("").progress, ProgressArg::Auto);
        assert_eq!(output("--progress always").progress, ProgressArg::Always);
        assert!(output("--json-schema").json_schema);
    }

    /// Issue section 4: clients that nobody asked for, and those that somebody did.
    #[test]
    fn idle_clients_are_told_of() {
        assert_eq!(specified("--publishers 3 --subscribers 3").warnings, [""; 0]);
        let spec = specified("--publishers 3 --subscribers 3 --clients 1k");
        assert_eq!(spec.plan.clients, 1000);
        let [warning] = &spec.warnings[..] else { panic!("{:?}", spec.warnings) };
        assert!(warning.contains("994 of 1,000 clients") && warning.contains("--clients"), "{warning}");
        assert_eq!(specified("--topology idle --clients 9").warnings, [""; 0], "asked for by name");
        assert!(specified("--clients 7").warnings[0].contains("1 of 7 clients"));
    }
}
