//! `publish`: what its flags mean.

mod content;
mod names;
#[cfg(test)]
mod tests;

use super::args::PublishArgs;
use super::bench::interruption;
use super::connection::{self, Reconnects, positive, qos};
use super::fleet::{Texts, Windows};
use super::identities::Topics;
use super::live::Onlookers;
use super::plan::check_tolerance;
use super::{Usage, fleet, ids};
use crate::crew::Identities;
use crate::fleet::{Connection, Content, Expect, Listening, PublisherName, Publishing, Slow, Spec};
use crate::load::{Name, Pace, Pacing, Template, TopicLayout, Values};
use crate::record::Exit;
use crate::stage::Progress;
use crate::units::Rate;
use crate::wire;
use crate::{cpu, engine, report, seed};

const TEXTS: Texts = Texts {
    progress: progress_line,
    summary: report::fleet::publish_text,
    json: report::fleet::publish_json,
    schema: report::fleet::publish_schema,
};

/// Messages of each client when nothing else ends it.
const COUNT: u64 = 10;

/// Clients that a worker can serve beside its other work, when they are paced.
const CLIENTS_PER_CPU: usize = 1000;

/// What the command line says, before anything is opened or resolved.
struct Plan {
    clients: Vec<PublisherName>,
    pacing: Pacing,
    listening: Vec<Listening>,
    seed: u64,
}

pub fn run(args: &PublishArgs) -> anyhow::Result<Exit> {
    if let Some(schema) = TEXTS.schema(&args.output) {
        return schema;
    }
    let mut plan = plan(args, &cpu::machine().host, args.payload.seed.unwrap_or_else(seed::fresh))?;
    let everybody = plan.clients.len() + responders(args) as usize + plan.listening.len();
    let connection = connect(args, &plan, everybody)?;
    plan.name(args, &connection.identities)?;
    let content = content::content(&args.payload, plan.seed)?;
    // Before the first packet: a run whose result cannot be kept is not begun.
    let places = fleet::Places::open(&args.output)?;
    engine::probe()?;
    let interrupt = interruption()?;
    let targets = connection::resolve(&args.connection, connection.timeout)?;
    let busy = match plan.pacing.pace {
        Pace::Unlimited => everybody,
        _ => everybody.div_ceil(CLIENTS_PER_CPU),
    };
    let (cpus, warnings) = connection::cpus(&args.connection, busy, &targets, &cpu::allowed());
    let Plan { clients, pacing, listening, seed } = plan;
    let spec = Spec {
        targets,
        cpus,
        poll: args.connection.poll.into(),
        subjects: args.broker.subjects(),
        seed,
        command: super::command_line(),
        warnings,
        connection,
        publishing: Some(publishing(args, clients, pacing, content)),
        listening,
    };
    let mut onlookers = Onlookers::open(&args.output, &interrupt)?;
    let record = fleet::run(spec, &interrupt, &args.output, &TEXTS, &mut onlookers)?;
    let exit = fleet::conclude(&record, places, &args.output, &TEXTS);
    onlookers.linger(&interrupt);
    exit
}

/// How all of them connect. Reads the files about them.
fn connect(args: &PublishArgs, plan: &Plan, everybody: usize) -> Result<Connection, Usage> {
    let publishers = plan.clients.len() as u32;
    let own_topic = |index, topic: &str| match index < publishers {
        true => wire::topic::valid_name(topic).map_err(|error| error.to_string()),
        false => Err(format!("client {index} does not publish; leave the cell empty")),
    };
    // Who listens here does so to the topics of the template.
    let topics = match args.check.self_check || args.check.round_trip {
        true => Topics::None("--self-check and --round-trip are about --topic; leave it out"),
        false => Topics::Each(&own_topic),
    };
    connection::connection(&args.connection, Reconnects::FLEET, everybody, topics)
        .map(|connection| connection::named(connection, args.clientid.as_deref()))
}

impl Plan {
    /// Gives the clients those ids that they have of their own.
    fn name(&mut self, args: &PublishArgs, identities: &Identities) -> Result<(), Usage> {
        let publishers = self.clients.len();
        for (index, client) in (0..).zip(&mut self.clients) {
            match (identities.id(index), identities.psk_identity(index)) {
                (Some(id), _) => names::rename(client, id, names::is_bridge(args)),
                // As of old the topics of who has a key have its identity, whatever the id is.
                (None, Some(identity)) => identity.clone_into(&mut client.topic_id),
                (None, None) => continue,
            }
            // A topic of its own was looked at where it stands.
            if identities.topic(index).is_none() {
                check_topic(&args.topic, client)?;
            }
            if client.topic_id.contains('/') && (args.check.self_check || args.check.round_trip) {
                return Err(Usage(format!(
                    "the id of client {index} has a `/`: in a topic it is several levels, which no filter \
                     for it can cover"
                )));
            }
        }
        let first = publishers + responders(args) as usize;
        for (index, listening) in (first as u32..).zip(&mut self.listening) {
            identities.id(index).into_iter().for_each(|id| id.clone_into(&mut listening.client_id));
        }
        Ok(())
    }
}

fn publishing(
    args: &PublishArgs,
    clients: Vec<PublisherName>,
    pacing: Pacing,
    content: Content,
) -> Publishing {
    Publishing {
        clients,
        topic: args.topic.clone(),
        content,
        qos: qos(args.qos),
        retain: args.retain,
        inflight: args.inflight,
        pacing,
        stagger: (args.stagger.min, args.stagger.max),
        ack_timeout: args.ack_timeout.nanos(),
        tolerance: args.tolerance.nanos(),
        reconnect_every: args.reconnect_every,
        bridge: names::is_bridge(args),
        responders: responders(args),
    }
}

fn responders(args: &PublishArgs) -> u32 {
    if args.check.round_trip { args.check.responders } else { 0 }
}

fn plan(args: &PublishArgs, host: &str, seed: u64) -> Result<Plan, Usage> {
    check(args)?;
    let prefix = args.clientid.clone().unwrap_or_else(|| ids::on_host("beem-loadr", host));
    let clients = names::names(args, &prefix, seed)?;
    let pacing = pacing(args, clients.len() as u32, seed);
    pacing.check().map_err(|error| Usage(error.to_string()))?;
    for client in [clients.first(), clients.last()].into_iter().flatten() {
        connection::check_client_id(&client.client_id)?;
        check_topic(&args.topic, client)?;
    }
    let listening = if args.check.self_check { vec![own_listener(args, &prefix)] } else { Vec::new() };
    Ok(Plan { clients, pacing, listening, seed })
}

/// What no single flag's parser can see.
fn check(args: &PublishArgs) -> Result<(), Usage> {
    let error = |message: &str| Err(Usage(message.into()));
    connection::check(&args.connection, args.clientid.as_deref())?;
    positive("--ack-timeout", args.ack_timeout.nanos())?;
    if let Some(duration) = args.duration {
        positive("--duration", duration.nanos())?;
    }
    check_tolerance(args.tolerance, args.duration)?;
    if !args.check.self_check && (args.check.backlog || args.check.slow.is_some()) {
        return error("--backlog and --slow are about the listener of --self-check: add --self-check");
    }
    let listens = args.check.self_check || args.check.round_trip;
    if listens && args.clientid.as_ref().is_some_and(|id| id.contains('/')) {
        return error(
            "--clientid with a `/`: in a topic it is several levels, which no filter for it can cover",
        );
    }
    if args.check.round_trip && args.topic.filter().contains('#') {
        return error(
            "--round-trip: the choices in --topic have different numbers of levels; give them the same",
        );
    }
    if args.check.round_trip && !args.topic.is_per_publisher() {
        return error(
            "--round-trip: clients that share a topic get each other's answers; put %c or %i into --topic",
        );
    }
    if args.check.backlog && args.qos == 0 {
        return error("--backlog: brokers keep no messages of QoS 0 for who is away; use --qos 1 or 2");
    }
    Ok(())
}

/// The topic of a client's longest message.
fn topic_of(template: &Template, client: &str, sequence: u64) -> String {
    let values = Values {
        client: Name::Given(client),
        index: u32::MAX,
        pair: u32::MAX,
        run_id: u32::MAX,
        sequence,
        total: u64::MAX,
        seed: 0,
    };
    let mut topic = String::new();
    template.render(&values, &mut topic).expect("writing to a string");
    topic
}

fn check_topic(template: &Template, client: &PublisherName) -> Result<(), Usage> {
    wire::topic::valid_name(&topic_of(template, &client.topic_id, u64::MAX))
        .map_err(|error| Usage(format!("--topic {template}, client {}: {error}", client.topic_id)))
}

fn pacing(args: &PublishArgs, clients: u32, seed: u64) -> Pacing {
    let total = args.rate.and_then(|rate| rate.0);
    let share = total.map(|rate| rate.per_second() / f64::from(clients.max(1)));
    let own = args.msgs_per_second.0.map(Rate::per_second);
    let pace = match (args.burst, args.delay, own, share) {
        (Some(burst), ..) => Pace::Burst {
            slow_per_s: burst.slow.map_or(0.0, Rate::per_second),
            fast_per_s: burst.fast.per_second(),
            length: burst.length,
            period: burst.period,
        },
        (_, Some(delay), ..) if delay.max == 0 => Pace::Unlimited,
        (_, Some(delay), ..) => Pace::Delay { min: delay.min, max: delay.max },
        (.., Some(own), Some(share)) => Pace::Rate { per_s: own.min(share) },
        (.., None, None) => Pace::Unlimited,
        (.., own, share) => Pace::Rate { per_s: own.or(share).expect("one of them is there") },
    };
    let count = match args.duration {
        _ if args.endless => None,
        Some(_) => args.msg_count,
        None => Some(args.msg_count.unwrap_or(COUNT)),
    };
    Pacing { pace, jitter: args.jitter.0, count, duration: args.duration.map(|span| span.nanos()), seed }
}

/// The client that hears what this run publishes.
fn own_listener(args: &PublishArgs, prefix: &str) -> Listening {
    let filter = args.topic.filter();
    Listening {
        client_id: format!("{prefix}-listener"),
        layout: layout(&args.topic, &filter),
        filters: vec![filter],
        qos: qos(args.qos),
        stamp: content::stamp(&args.payload),
        expect: Expect::Published,
        quiet_after: Some(args.check.grace.nanos()),
        slow: args.check.slow.map(|slow| Slow { every: slow.every, pause: slow.pause }),
        backlog: args.check.backlog,
        ..Listening::default()
    }
}

/// How to tell client and number from the topics of `template`; `None` when they do not say.
fn layout(template: &Template, filter: &str) -> Option<TopicLayout> {
    let layout = TopicLayout::of(filter);
    let says = |client, number| layout.read(&topic_of(template, client, number)) == Some((client, number));
    (says("some-0", 1) && says("other-7", 12)).then_some(layout)
}

fn progress_line(progress: &Progress, windows: &Windows) -> String {
    let rates = windows.rates(|total| total.sent);
    // One that failed on its way out is not done yet.
    let completed = progress.levels.done.saturating_sub(progress.levels.failed);
    let failed = match progress.levels.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    format!("Completed workers: {completed}/{}{failed}{rates}", progress.clients)
}
