//! What the flags mean: the resolved plan.

use super::args::{ArrivalArg, RunArgs, TopologyArg, VerifyArg};
use super::connection::{self, positive};
use super::{Usage, ids};
use crate::clock::{MICROSECOND, MILLISECOND, Nanos};
use crate::gate::{Bound, Condition};
use crate::load::{Name, STAMP_LEN, Split, Values};
use crate::record::{Arrival, Plan, Schedule, Topology, Verify};
use crate::run;
use crate::units::{self, Span};
use crate::wire;

/// Waking up for each message costs more than sending it; this much lateness is below what most
/// brokers' answers take.
const TOLERANCE: Nanos = 100 * MICROSECOND;

/// Longest `--tolerance`. Messages wait for as long, so at its end a run is behind its schedule by as much: this
/// is within the quarter of a second that the verdict allows a broker for what is under way.
const LONGEST_TOLERANCE: Nanos = 200 * MILLISECOND;

/// Whether messages that wait for `tolerance` still say something about a broker.
pub fn check_tolerance(tolerance: Span, duration: Option<Span>) -> Result<(), Usage> {
    if tolerance.nanos() > LONGEST_TOLERANCE {
        return Err(Usage(format!(
            "--tolerance {tolerance}: messages are late by as much, which would be taken for the broker's doing; at \
             most {}",
            Span::from_nanos(LONGEST_TOLERANCE)
        )));
    }
    match duration.filter(|duration| tolerance > *duration) {
        Some(duration) => {
            Err(Usage(format!("--tolerance {tolerance}: at most as long as --duration {duration}")))
        }
        None => Ok(()),
    }
}

/// Where the broker runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broker {
    /// In this process.
    Embedded,
    /// Elsewhere on this machine: it needs CPUs, too.
    Here,
    Away,
}

/// Where the load comes from, and for an embedded run goes to.
pub struct Cores {
    /// For the generator.
    pub generator: Vec<usize>,
    /// For the embedded reflector; empty without one.
    pub reflector: Vec<usize>,
    /// For the probes: none of the generator's, where there is another one.
    pub probes: usize,
    pub warnings: Vec<String>,
}

/// Divides the CPUs `allowed`. A broker on this machine is left half of them when nothing was asked for:
/// pinned workers on all of them would measure how the broker fares without one. The reflector gets
/// at least one of its own wherever there are two.
pub fn cores(asked: Option<u32>, allowed: &[usize], broker: Broker) -> Cores {
    let all = allowed.len();
    let embedded = broker == Broker::Embedded;
    let most = if embedded && all > 1 { all - 1 } else { all };
    let default = if broker == Broker::Away { all } else { all.div_ceil(2).min(most) };
    let wanted = asked.map_or(default, |asked| asked as usize);
    let used = wanted.min(most);
    let mut warnings = Vec::new();
    if used < wanted {
        let rest = if most < all { ", one of them for the reflector" } else { "" };
        let cpus = if all == 1 { "1 CPU".into() } else { format!("{all} CPUs") };
        warnings.push(format!("--cores {wanted} asked for; this process may use {cpus}{rest}: using {used}"));
    }
    let (generator, rest) = allowed.split_at(used);
    let reflector = match (embedded, rest) {
        (false, _) => Vec::new(),
        (true, []) => generator.to_vec(),
        (true, rest) => rest.to_vec(),
    };
    if embedded && rest.is_empty() {
        warnings
            .push("the reflector shares its only CPU with the generator: expect distorted figures".into());
    }
    let probes = *rest.last().or(generator.last()).expect("a process has a CPU");
    Cores { generator: generator.to_vec(), reflector, probes, warnings }
}

/// The plan of `args`, for `cores` CPUs. The number of workers is known only to the run.
pub fn plan(args: &RunArgs, cores: &Cores, seed: u64, host: &str) -> Result<Plan, Usage> {
    let topology = topology(args.topology);
    let usage = |error: &dyn std::fmt::Display| Usage(error.to_string());
    let split =
        topology.split(args.clients, args.publishers, args.subscribers).map_err(|error| usage(&error))?;
    let (warmup, duration) = match args.msg_count {
        Some(_) => (0, None),
        None => (args.warmup.nanos(), Some(args.duration.nanos())),
    };
    if duration == Some(0) {
        return Err(Usage("--duration 0: the measure phase needs a length, such as 10s".into()));
    }
    if topology == Topology::Idle && args.msg_count.is_some() {
        return Err(Usage("--topology idle publishes nothing: -n has no meaning; use --duration".into()));
    }
    let cores_used = cores.generator.len() as u32;
    let plan = Plan {
        hosts: args.connection.host.iter().map(ToString::to_string).collect(),
        port: args.connection.port,
        embedded: args.embedded,
        cores_asked: args.connection.cores.unwrap_or(cores_used),
        cores_used,
        workers: cores_used,
        clients: split.clients(),
        publishers: split.publishers,
        subscribers: split.subscribers,
        probes: args.probes.unwrap_or(0),
        topology,
        schedule: schedule(args, split)?,
        qos: args.qos,
        sub_qos: args.sub_qos.unwrap_or(args.qos),
        size_bytes: args.size.bytes(),
        msg_count: args.msg_count,
        warmup_ns: warmup,
        duration_ns: duration,
        drain_ns: args.drain.nanos(),
        drain_limit_ns: args.drain_limit.nanos(),
        connect_rate_per_s: args.connection.connect_rate.map(|rate| rate.per_second()),
        connect_timeout_ns: args.connection.connect_timeout.nanos(),
        ack_timeout_ns: args.ack_timeout.nanos(),
        keepalive_ns: args.connection.keepalive.nanos(),
        close: connection::close(&args.connection),
        clean_session: args.connection.clean_session,
        client_id_prefix: args.clientid.clone().unwrap_or_else(|| ids::on_host("malaria", host)),
        topic_template: args.topic.to_string(),
        backlog_ns: args.backlog.nanos(),
        tolerance_ns: args.tolerance.map_or(TOLERANCE, Span::nanos),
        poll: args.connection.poll.into(),
        verify: match args.verify {
            VerifyArg::None => Verify::None,
            VerifyArg::Sampled => Verify::Sampled,
            VerifyArg::All => Verify::All,
        },
        reconnect: args.reconnect,
        seed,
        run_id: format!("{:08x}", run::run_id(seed)),
    };
    check(args, &plan)?;
    Ok(plan)
}

/// What to say of clients that have no part, where they are not idle by name.
pub fn idle(plan: &Plan) -> Option<String> {
    let idle = plan.clients - plan.publishers - plan.subscribers;
    (idle > 0 && plan.topology != Topology::Idle).then(|| {
        format!(
            "{} of {} clients are idle: --clients is more than {} that publish and {} that subscribe",
            units::grouped(idle.into()),
            units::grouped(plan.clients.into()),
            units::grouped(plan.publishers.into()),
            units::grouped(plan.subscribers.into())
        )
    })
}

fn topology(arg: TopologyArg) -> Topology {
    match arg {
        TopologyArg::Pairs => Topology::Pairs,
        TopologyArg::FanIn => Topology::FanIn,
        TopologyArg::FanOut => Topology::FanOut,
        TopologyArg::Publish => Topology::Publish,
        TopologyArg::Idle => Topology::Idle,
    }
}

fn schedule(args: &RunArgs, split: Split) -> Result<Schedule, Usage> {
    let arrival = match args.arrival {
        ArrivalArg::Constant => Arrival::Constant,
        ArrivalArg::Poisson => Arrival::Poisson,
    };
    if split.publishers == 0 {
        return Ok(Schedule::None);
    }
    let publishers = f64::from(split.publishers);
    let total = args.rate.map(|rate| rate.0.map(|rate| rate.per_second()));
    let own = args.msgs_per_second.map(|rate| rate.0.map(|rate| rate.per_second() * publishers));
    let limits = [total, own].into_iter().flatten();
    let rate_per_s = match limits.clone().flatten().reduce(f64::min) {
        Some(lowest) => lowest,
        None if limits.count() == 0 => publishers,
        None if args.arrival == ArrivalArg::Poisson => {
            return Err(Usage(
                "--arrival poisson needs a rate: in a closed loop (--rate max) there is none".into(),
            ));
        }
        None if args.output.require.bounds.iter().any(Bound::needs_a_schedule)
            || args.abort.abort_on.iter().any(Condition::needs_a_schedule) =>
        {
            return Err(Usage(
                "a bound on ack or flight needs a --rate: a closed loop (--rate max) has no response times; bound \
                 ack-service or flight-service"
                    .into(),
            ));
        }
        None => return Ok(Schedule::Closed { inflight: args.inflight.map_or(1, Into::into) }),
    };
    let inflight = args.inflight.unwrap_or(u16::MAX).into();
    Ok(Schedule::Open { rate_per_s, arrival, inflight })
}

/// What no single flag's parser can see.
fn check(args: &RunArgs, plan: &Plan) -> Result<(), Usage> {
    let error = |message: String| Err(Usage(message));
    connection::check(&args.connection, args.clientid.as_deref())?;
    if !args.reconnect && args.connection.reconnect_attempts.is_some() {
        return error(
            "--reconnect false: then there are no --reconnect-attempts; leave out one of them".into(),
        );
    }
    if plan.size_bytes < STAMP_LEN as u64 {
        return error(format!(
            "--size {}: a payload is at least {STAMP_LEN} bytes, the stamp from which delivery and time are \
             checked",
            args.size
        ));
    }
    const LARGEST: u64 = 268_435_455 - 65_535 - 4;
    if plan.size_bytes > LARGEST {
        return error(format!(
            "--size {}: an MQTT packet holds at most {LARGEST} bytes of payload",
            args.size
        ));
    }
    positive("--ack-timeout", plan.ack_timeout_ns)?;
    if let Some(tolerance) = args.tolerance {
        check_tolerance(tolerance, plan.duration_ns.map(Span::from_nanos))?;
    }
    connection::check_client_id(&format!("{}-{}", plan.client_id_prefix, u32::MAX))?;
    check_topic(args, plan)
}

fn check_topic(args: &RunArgs, plan: &Plan) -> Result<(), Usage> {
    let template = &args.topic;
    if template.is_per_message() || template.is_modular() {
        return Err(Usage(format!(
            "--topic {template}: a topic of this command is the same for all messages of a client and not \
             shared by index; %n, [..], <..> and %i{{m}} are for `publish`"
        )));
    }
    let client = Name::Numbered { prefix: &plan.client_id_prefix, index: plan.clients };
    let total = plan.msg_count.unwrap_or(0);
    let (index, pair) = (plan.clients, plan.clients);
    let values = Values { client, index, pair, run_id: u32::MAX, sequence: 0, total, seed: 0 };
    let mut topic = String::new();
    args.topic.render(&values, &mut topic).expect("writing to a string");
    wire::topic::valid_name(&topic).map_err(|error| Usage(format!("--topic {}: {error}", args.topic)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use crate::clock::SECOND;
    use clap::Parser;

    fn planned(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("malaria-bench").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let cores = cores(cli.run.connection.cores, &[0, 1, 2, 3], Broker::Away);
        plan(&cli.run, &cores, 7, "lab").map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_help() {
        let plan = planned("").unwrap();
        assert_eq!((plan.clients, plan.publishers, plan.subscribers), (1000, 500, 500));
        assert_eq!(
            plan.schedule,
            Schedule::Open { rate_per_s: 500.0, arrival: Arrival::Constant, inflight: 65_535 }
        );
        assert_eq!((plan.qos, plan.sub_qos, plan.size_bytes), (1, 1, 100));
        assert_eq!(
            (plan.warmup_ns, plan.duration_ns, plan.drain_ns),
            (2 * SECOND, Some(10 * SECOND), 5 * SECOND)
        );
        assert_eq!((plan.connect_timeout_ns, plan.ack_timeout_ns), (10 * SECOND, 30 * SECOND));
        assert_eq!((plan.keepalive_ns, plan.clean_session, plan.reconnect), (60 * SECOND, true, true));
        assert_eq!(plan.client_id_prefix, format!("malaria-lab-{}", std::process::id()));
        assert_eq!((plan.topic_template.as_str(), plan.backlog_ns), ("bench/%p", SECOND));
        assert_eq!(plan.cores_used, 4);
    }

    #[test]
    fn rates_are_total_or_per_publisher() {
        let rate = |line: &str| planned(line).unwrap().schedule;
        let open = |rate_per_s, arrival| Schedule::Open { rate_per_s, arrival, inflight: 65_535 };
        assert_eq!(rate("--rate 50k"), open(50_000.0, Arrival::Constant));
        assert_eq!(rate("-T 0.25 --clients 200"), open(25.0, Arrival::Constant));
        assert_eq!(rate("--rate 1.5M --arrival poisson"), open(1_500_000.0, Arrival::Poisson));
        assert_eq!(rate("--rate max"), Schedule::Closed { inflight: 1 });
        assert_eq!(rate("--rate max --inflight 8"), Schedule::Closed { inflight: 8 });
        assert_eq!(rate("--topology idle"), Schedule::None);
        assert_eq!(rate("-T 0"), Schedule::Closed { inflight: 1 }, "as `publish -T 0`");
        assert_eq!(rate("-T max"), Schedule::Closed { inflight: 1 });
        assert_eq!(rate("--rate 100 -T 5"), open(100.0, Arrival::Constant), "the lower one holds");
        assert_eq!(rate("--rate 50k -T 5"), open(2500.0, Arrival::Constant));
        assert_eq!(rate("--rate max -T 5"), open(2500.0, Arrival::Constant));
    }

    #[test]
    fn probes_are_beside_the_clients_and_on_another_cpu_where_there_is_one() {
        let probes = |line: &str| planned(line).map(|plan| (plan.clients, plan.probes));
        assert_eq!((probes(""), probes("--probes 7")), (Ok((1000, 0)), Ok((1000, 7))));
        for line in ["--probes 0", "--probes 101", "--probes 5 -n 10"] {
            assert!(probes(line).is_err(), "{line}");
        }
        for (asked, allowed, broker, cpu) in [
            (None, &[3, 5][..], Broker::Here, 5),
            (None, &[3, 5], Broker::Away, 5),
            (Some(1), &[3, 5], Broker::Away, 5),
            (None, &[3, 5, 7], Broker::Embedded, 7),
            (None, &[3], Broker::Embedded, 3),
        ] {
            assert_eq!(cores(asked, allowed, broker).probes, cpu, "{asked:?} of {allowed:?}, {broker:?}");
        }
    }

    /// R5: a closed loop is asked less by a slow broker; what it measures is bounded by its own name.
    #[test]
    fn r05_a_bound_on_response_times_needs_a_schedule() {
        let cores = cores(None, &[0], Broker::Away);
        let planned = |rate: &str, bound: &str| {
            let words = ["malaria-bench", "--rate", rate, "--require", bound];
            let run = Cli::try_parse_from(words).unwrap().run;
            plan(&run, &cores, 7, "lab").map(|_| ()).map_err(|error| error.to_string())
        };
        for (bound, service) in [("ack p99 < 5ms", "ack-service"), ("flight max < 5ms", "flight-service")] {
            let error = planned("max", bound).unwrap_err();
            assert!(error.contains("closed loop") && error.contains(service), "{error}");
            assert_eq!(planned("10k", bound), Ok(()));
        }
        for bound in ["ack-service p99 < 5ms", "flight-service max < 5ms", "lost == 0", "connack p99 < 1s"] {
            assert_eq!(planned("max", bound), Ok(()));
        }
    }

    /// Issue section 4: `--tolerance 20s` made a run of 20 s and blamed the broker.
    #[test]
    fn the_tolerance_has_a_bound() {
        let tolerance = |line: &str| planned(line).map(|plan| plan.tolerance_ns);
        assert_eq!(tolerance("--tolerance 200ms"), Ok(200 * MILLISECOND));
        assert_eq!(tolerance("--tolerance 0"), Ok(0));
        assert_eq!(tolerance("-n 5 --tolerance 200ms"), Ok(200 * MILLISECOND), "no duration to compare with");
        for (line, parts) in [
            ("--tolerance 20s", ["--tolerance 20s", "200ms"]),
            ("--tolerance 200.001ms", ["--tolerance 200.001ms", "200ms"]),
            ("-n 5 --tolerance 1s", ["--tolerance 1s", "200ms"]),
            ("--duration 50ms --tolerance 60ms", ["--tolerance 60ms", "--duration 50ms"]),
        ] {
            let error = tolerance(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(parts.iter().all(|part| error.contains(part)), "{line}: {error}");
        }
    }

    /// Issue section 4: there are as many clients as have a part, and ids are safe.
    #[test]
    fn parts_say_how_many_clients_there_are() {
        let clients =
            |line: &str| planned(line).map(|plan| (plan.clients, plan.publishers, plan.subscribers));
        assert_eq!(clients("--publishers 3 --subscribers 3"), Ok((6, 3, 3)));
        assert_eq!(clients("--topology fan-in --publishers 3"), Ok((4, 3, 1)));
        assert_eq!(clients("--topology fan-in --publishers 3 --clients 1000"), Ok((1000, 3, 1)));
        assert_eq!(clients("--publishers 1.5k --subscribers 2k"), Ok((3500, 1500, 2000)));
        assert_eq!(clients("--clients 200k"), Ok((200_000, 100_000, 100_000)));
    }

    #[test]
    fn default_ids_are_safe_and_typed_ones_stay() {
        let cores = cores(None, &[0], Broker::Away);
        let prefix = |line: &str, host: &str| {
            let words = std::iter::once("malaria-bench").chain(line.split_whitespace());
            plan(&Cli::try_parse_from(words).unwrap().run, &cores, 7, host).unwrap().client_id_prefix
        };
        let id = prefix("", "bench.lab_1.example.org");
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{id}");
        assert_eq!(prefix("-c a.b/c_d", "lab"), "a.b/c_d");
    }

    #[test]
    fn a_count_replaces_time() {
        let plan = planned("-n 100").unwrap();
        assert_eq!((plan.msg_count, plan.warmup_ns, plan.duration_ns), (Some(100), 0, None));
    }

    #[test]
    fn senseless_lines_are_usage_errors_that_name_value_and_fix() {
        for (line, parts) in [
            ("--size 10", &["--size 10", "24"][..]),
            ("--size 1GiB", &["268369916"]),
            ("--clients 0", &["'0' for '--clients <N>'", "at least 1"]),
            ("--clients 1", &["needs at least 2", "1"]),
            ("--inflight 70000", &["70000"]),
            ("--rate max --arrival poisson", &["closed loop"]),
            ("--rate max -T 0 --arrival poisson", &["closed loop"]),
            ("--rate 0", &["`0`", "`max`"]),
            ("-p 0", &["0"]),
            ("--reconnect false --reconnect-attempts 3", &["--reconnect false", "--reconnect-attempts"]),
            ("--will-payload x", &["--will-topic"]),
            ("--rate fast", &["`fast`"]),
            ("-q 3", &["3", "0..=2"]),
            ("-n 0", &["0"]),
            ("-n 5 --duration 3s", &["cannot be used with"]),
            ("--duration 0", &["--duration 0"]),
            ("--keepalive 100000s", &["65535"]),
            ("--connect-timeout 0", &["--connect-timeout 0"]),
            ("--clean-session false", &["--clientid"]),
            ("-t a/#", &["plain topics"]),
            ("-t %x", &["`%x`"]),
            ("-t a/%n", &["a/%n", "`publish`"]),
            ("-t a/[b,c]", &["a/[b,c]", "`publish`"]),
            ("-t a/<b,c>", &["a/<b,c>", "`publish`"]),
            ("-t a/%i{4}", &["a/%i{4}", "`publish`"]),
            ("--embedded -H x", &["cannot be used with"]),
            ("--password-file x", &["--username"]),
            ("--topology idle -n 5", &["idle"]),
            ("--publishers 900 --subscribers 900 --clients 1k", &["more than --clients 1000"]),
            ("-H mqtts://x", &["mqtts"]),
        ] {
            let error = planned(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(parts.iter().all(|part| error.contains(part)), "{line}: {error}");
        }
    }

    #[test]
    fn a_broker_on_this_machine_gets_cpus_of_its_own() {
        let divided = |asked, allowed: &[usize]| {
            let cores = cores(asked, allowed, Broker::Embedded);
            (cores.generator, cores.reflector, cores.warnings.len())
        };
        assert_eq!(divided(None, &[0, 1]), (vec![0], vec![1], 0));
        assert_eq!(divided(None, &[0, 1, 2, 3]), (vec![0, 1], vec![2, 3], 0));
        assert_eq!(divided(Some(1), &[0, 1, 2]), (vec![0], vec![1, 2], 0));
        assert_eq!(divided(Some(16), &[0, 1]), (vec![0], vec![1], 1));
        assert_eq!(divided(None, &[5]), (vec![5], vec![5], 1));
        let here = |asked| cores(asked, &[0, 1, 2, 3], Broker::Here).generator;
        assert_eq!((here(None), here(Some(4))), (vec![0, 1], vec![0, 1, 2, 3]));
        let plain = cores(Some(16), &[0, 1], Broker::Away);
        assert_eq!((plain.generator, plain.reflector), (vec![0, 1], vec![]));
        assert!(plain.warnings[0].contains("--cores 16") && plain.warnings[0].contains("using 2"));
    }
}
