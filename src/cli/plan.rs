//! What the flags mean: the resolved plan.

use super::args::{ArrivalArg, RunArgs, TopologyArg, VerifyArg};
use super::connection::{self, positive};
use super::{Usage, ids};
use crate::clock::{MICROSECOND, MILLISECOND, Nanos, SECOND};
use crate::crew::Identities;
use crate::gate::{Bound, Condition};
use crate::load::{self, Name, Profile, STAMP_LEN, Split, Template, Values};
use crate::record::{Arrival, Part, Plan, Schedule, Topology, Verify};
use crate::units::{self, Span};
use crate::wire;

/// Waking up for each message costs more than sending it; this much lateness is below what most
/// brokers' answers take.
const TOLERANCE: Nanos = 100 * MICROSECOND;

/// The warm-up of a run that says nothing about it.
const WARMUP: Nanos = 2 * SECOND;

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
    let scaled = |clients: Option<u32>| clients.map(|clients| args.scale.clients(clients));
    let nobody = args.publishers.or(args.subscribers).is_none() && !args.scale.is_one();
    let clients = args.clients.or(nobody.then_some(load::CLIENTS));
    let split = topology
        .split(scaled(clients), scaled(args.publishers), scaled(args.subscribers))
        .map_err(|error| Usage(error.to_string()))?;
    let profile = args.schedule.as_ref().map(|profile| match args.scale.is_one() {
        true => profile.clone(),
        false => profile.scaled(args.scale.rate(1.0)),
    });
    let (warmup, duration) = phases(args, profile.as_ref())?;
    if topology == Topology::Idle && args.msg_count.is_some() {
        return Err(Usage("--topology idle publishes nothing: -n has no meaning; use --duration".into()));
    }
    let cores_used = cores.generator.len() as u32;
    let plan = Plan {
        hosts: args.connection.host.iter().map(ToString::to_string).collect(),
        port: connection::port(&args.connection),
        embedded: args.embedded,
        cores_asked: args.connection.cores.unwrap_or(cores_used),
        cores_used,
        workers: cores_used,
        clients: split.clients(),
        publishers: split.publishers,
        subscribers: split.subscribers,
        probes: args.probes.unwrap_or(0),
        topology,
        groups: args.groups.map(|groups| args.scale.clients(groups)).or(args.share.as_ref().map(|_| 1)),
        share: args.share.clone(),
        absences: args.away.iter().map(|away| away.0).collect(),
        stay_ns: args.stay.map(Span::nanos),
        flap: args.flap.map(|flap| flap.0),
        filters: args.filters.clone(),
        schedule: schedule(args, split, profile.as_ref())?,
        profile: profile.filter(|_| split.publishers > 0).map(|profile| profile.to_string()),
        qos: args.qos,
        sub_qos: args.sub_qos.unwrap_or(args.qos),
        size_bytes: args.size.bytes(),
        msg_count: args.msg_count,
        warmup_ns: warmup,
        duration_ns: duration,
        drain_ns: args.drain.nanos(),
        drain_limit_ns: args.drain_limit.nanos(),
        connect_rate_per_s: args.connection.connect_rate.map(|rate| args.scale.rate(rate.per_second())),
        connect_timeout_ns: args.connection.connect_timeout.nanos(),
        ack_timeout_ns: args.ack_timeout.nanos(),
        keepalive_ns: args.connection.keepalive.nanos(),
        close: connection::close(&args.connection),
        protocol: args.connection.protocol.to_string(),
        clean_session: args.connection.clean_session,
        client_id_prefix: args.clientid.clone().unwrap_or_else(|| ids::on_host("malaria", host)),
        client_columns: Vec::new(),
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
        run_id: String::new(),
    };
    check(args, &plan)?;
    Ok(plan)
}

/// The warm-up and the measure phase, unless messages are counted.
fn phases(args: &RunArgs, profile: Option<&Profile>) -> Result<(Nanos, Option<Nanos>), Usage> {
    let warmup = args.warmup.map(Span::nanos);
    match (profile, args.msg_count, args.duration.nanos()) {
        (Some(profile), ..) => match profile.end().checked_sub(warmup.unwrap_or(0)) {
            None | Some(0) => Err(Usage(format!(
                "--warmup {}: the --schedule is over by then, after {}",
                Span::from_nanos(warmup.unwrap_or(0)),
                Span::from_nanos(profile.end())
            ))),
            measured => Ok((warmup.unwrap_or(0), measured)),
        },
        (None, Some(_), _) => Ok((0, None)),
        (None, None, 0) => Err(Usage("--duration 0: the measure phase needs a length, such as 10s".into())),
        (None, None, duration) => Ok((warmup.unwrap_or(WARMUP), Some(duration))),
    }
}

/// What to say of clients that have no part, where they are not idle by name.
pub fn idle(plan: &Plan) -> Option<String> {
    let idle = Split::of(plan).idle;
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
        TopologyArg::Itself => Topology::Itself,
        TopologyArg::Publish => Topology::Publish,
        TopologyArg::Idle => Topology::Idle,
    }
}

fn schedule(args: &RunArgs, split: Split, profile: Option<&Profile>) -> Result<Schedule, Usage> {
    let arrival = match args.arrival {
        ArrivalArg::Constant => Arrival::Constant,
        ArrivalArg::Poisson => Arrival::Poisson,
    };
    if split.publishers == 0 {
        return Ok(Schedule::None);
    }
    let inflight = args.inflight.unwrap_or(u16::MAX).into();
    if let Some(profile) = profile {
        let (end, from) = (profile.end(), args.warmup.map_or(0, Span::nanos));
        let messages = profile.count(end) - profile.count(from);
        let rate_per_s = messages as f64 / (end - from) as f64 * SECOND as f64;
        return Ok(Schedule::Open { rate_per_s, arrival, inflight });
    }
    let publishers = f64::from(split.publishers);
    let total = args.rate.map(|rate| rate.0.map(|rate| args.scale.rate(rate.per_second())));
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
    if let Some(bound) = args.output.require.bounds.iter().find(|bound| bound.is_within(plan.tolerance_ns)) {
        let tolerance = Span::from_nanos(plan.tolerance_ns);
        return error(format!("{bound}: messages are late by a --tolerance of {tolerance} on purpose"));
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
    check_subscriptions(args, plan)?;
    check_comings(args, plan)?;
    connection::check_client_id(&format!("{}-{}", plan.client_id_prefix, u32::MAX))?;
    check_topic(args, plan)
}

/// What subscribers ask for. Whether it brings them what they are to have is known to the run.
fn check_subscriptions(args: &RunArgs, plan: &Plan) -> Result<(), Usage> {
    let flags = [
        ("--groups", args.groups.is_some()),
        ("--share", args.share.is_some()),
        ("--filter", !args.filters.is_empty()),
    ];
    if let Some((flag, _)) = flags.iter().find(|(_, is_there)| *is_there && plan.subscribers == 0) {
        return Err(Usage(format!(
            "{flag}: nobody subscribes in --topology {}; leave it out",
            plan.topology
        )));
    }
    if let Some(share) =
        args.share.as_ref().filter(|share| share.is_empty() || share.contains(['/', '+', '#']))
    {
        return Err(Usage(format!("--share `{share}`: expected a name without /, + and #")));
    }
    for filter in &args.filters {
        wire::topic::valid_filter(&filter.replace("%p", "0"))
            .map_err(|error| Usage(format!("--filter {filter}: {error}")))?;
    }
    Ok(())
}

/// Whether those are there who are to leave and come back, and may come back.
fn check_comings(args: &RunArgs, plan: &Plan) -> Result<(), Usage> {
    let idle = Split::of(plan).idle;
    let flag = if args.stay.is_some() { "--stay" } else { "--away" };
    if (args.stay.is_some() || !args.away.is_empty()) && !args.reconnect {
        return Err(Usage(format!("{flag}: who leaves comes back; leave out --reconnect false")));
    }
    if args.stay.is_some_and(|stay| stay.nanos() == 0 || idle == 0) {
        return Err(Usage(
            "--stay: it is for clients that neither publish nor subscribe, and a time above 0; give more --clients than \
             --publishers and --subscribers, or --topology idle"
                .into(),
        ));
    }
    if args.flap.is_some() && plan.subscribers == 0 {
        return Err(Usage("--flap: there are no subscribers in this run".into()));
    }
    let end = plan.duration_ns.map(|duration| plan.warmup_ns + duration);
    if let (Some(end), Some(absence)) = (end, plan.absences.iter().max_by_key(|absence| absence.at_ns))
        && absence.at_ns >= end
    {
        let [at, end] = [absence.at_ns, end].map(Span::from_nanos);
        return Err(Usage(format!(
            "--away: nothing is published any more {at} after the first message; --warmup and --duration are {end} together"
        )));
    }
    let absent = plan.absences.iter().find(|absence| match absence.part {
        Part::Publishers => plan.publishers == 0,
        Part::Subscribers => plan.subscribers == 0,
        Part::Idle => idle == 0,
        Part::All => false,
    });
    match absent {
        Some(absence) => {
            Err(Usage(format!("--away: there are no {:?} in this run", absence.part).to_lowercase()))
        }
        None => Ok(()),
    }
}

/// Whether topics with ids that clients have of their own are some.
pub fn check_names(template: &Template, plan: &Plan, identities: &Identities) -> Result<(), Usage> {
    for index in 0..plan.publishers {
        let Some(id) = identities.id(index).filter(|_| identities.topic(index).is_none()) else { continue };
        if let Err(error) = wire::topic::valid_name(&longest_topic(template, plan, Name::Given(id))) {
            return Err(Usage(format!("--topic {template}, with the id of client {index}: {error}")));
        }
    }
    Ok(())
}

/// The topic of a client of this name, with the largest numbers.
fn longest_topic(template: &Template, plan: &Plan, client: Name<'_>) -> String {
    let total = plan.msg_count.unwrap_or(0);
    let (index, pair) = (plan.clients, plan.clients);
    let values = Values { client, index, pair, run_id: u32::MAX, sequence: 0, total, seed: 0 };
    let mut topic = String::new();
    template.render(&values, &mut topic).expect("writing to a string");
    topic
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
    let topic = longest_topic(template, plan, client);
    wire::topic::valid_name(&topic).map_err(|error| Usage(format!("--topic {}: {error}", args.topic)))
}

#[cfg(test)]
mod tests;
