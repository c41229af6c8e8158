//! `subscribe`: what its flags mean.

use super::args::SubscribeArgs;
use super::bench::interruption;
use super::connection::{self, Reconnects, positive};
use super::fleet::{Texts, Windows};
use super::identities::Topics;
use super::live::Onlookers;
use super::output::complain;
use super::{Usage, fleet, ids};
use crate::crew::Identities;
use crate::fleet::{Expect, Listening, Print, Slow, Spec};
use crate::load::{Expectation, TopicLayout};
use crate::record::Exit;
use crate::stage::Progress;
use crate::{cpu, engine, report, seed, wire};
use std::path::Path;

const TEXTS: Texts = Texts {
    progress: progress_line,
    summary: report::fleet::subscribe_text,
    json: report::fleet::subscribe_json,
    schema: report::fleet::subscribe_schema,
};

pub fn run(args: &SubscribeArgs) -> anyhow::Result<Exit> {
    if let Some(schema) = TEXTS.schema(&args.output) {
        return schema;
    }
    let mut listening = listening(args)?;
    let topics = match args.connection_per_topic {
        true => {
            Topics::None("with --connection-per-topic clients have those of --topic; leave one of them out")
        }
        false => Topics::Each(&own_filter),
    };
    let connection = connection::connection(&args.connection, Reconnects::FLEET, listening.len(), topics)?;
    let connection = connection::named(connection, args.clientid.as_deref());
    name(&mut listening, &connection.identities, args.endless);
    let places = fleet::Places::open(&args.output)?;
    engine::probe()?;
    let interrupt = interruption()?;
    let targets = connection::resolve(&args.connection, connection.timeout)?;
    let busy = listening.len().div_ceil(LISTENERS_PER_WORKER);
    let (cpus, warnings) = connection::cpus(&args.connection, busy, &targets, &cpu::allowed());
    let print = args.print.then(|| Print::new(std::io::stdout()));
    listening.iter_mut().for_each(|listening| listening.print.clone_from(&print));
    let spec = Spec {
        targets,
        cpus,
        poll: args.connection.poll.into(),
        subjects: args.broker.subjects(),
        seed: args.seed.unwrap_or_else(seed::fresh),
        command: super::command_line(),
        warnings,
        connection,
        publishing: None,
        listening,
    };
    let mut onlookers = Onlookers::open(&args.output, &interrupt)?;
    let record = fleet::run(spec, &interrupt, &args.output, &TEXTS, &mut onlookers)?;
    let unprinted = print.map_or(0, |print| print.finish());
    if unprinted > 0 {
        complain(format_args!(
            "warning: {unprinted} payloads came faster than they could be printed, and were not"
        ));
    }
    let exit = fleet::conclude(&record, places, &args.output, &TEXTS);
    onlookers.linger(&interrupt);
    exit
}

/// Whether clients can be asked for a topic of their own.
pub fn own_filter(_: u32, topic: &str) -> Result<(), String> {
    wire::topic::valid_filter(topic).map_err(|error| error.to_string())
}

/// Gives clients those ids and topics that they have of their own.
pub fn name(listening: &mut [Listening], identities: &Identities, endless: bool) {
    for (index, listening) in (0..).zip(listening) {
        identities.id(index).into_iter().for_each(|id| id.clone_into(&mut listening.client_id));
        if let Some(topic) = identities.topic(index) {
            listening.filters = vec![topic.to_owned()];
            listening.layout = layout(&listening.filters, endless);
        }
    }
}

/// Clients that a person can have meant: more ports than there are, but not more memory.
const MOST: u64 = 1_000_000;
/// Listeners that share a worker before there is another one.
const LISTENERS_PER_WORKER: usize = 1000;

/// The clients that the command line asks for: `--clients` of them, each with all topics or, with
/// `--connection-per-topic`, one of them for each topic.
fn listening(args: &SubscribeArgs) -> Result<Vec<Listening>, Usage> {
    let one = one_listening(args)?;
    let topics = if args.connection_per_topic { args.topic.len() } else { 1 };
    let clients = args.clients as usize * topics;
    let listeners = (0..clients).map(|index| {
        let mut listening = one.clone();
        if clients > 1 {
            listening.client_id = format!("{}-{index}", one.client_id);
        }
        if args.connection_per_topic {
            let topic = args.topic[index % topics].clone();
            listening.layout = layout(std::slice::from_ref(&topic), args.endless);
            listening.filters = vec![topic];
        }
        // The broker's counters say the same to everybody.
        listening.sys = one.sys && index == 0;
        listening
    });
    Ok(listeners.collect())
}

/// What every client does.
fn one_listening(args: &SubscribeArgs) -> Result<Listening, Usage> {
    check(args)?;
    let client_id = args.clientid.clone().unwrap_or_else(|| ids::of_process("beem-listr"));
    connection::check_client_id(&client_id)?;
    let expect = match args.endless {
        true => Expect::Nothing,
        false => Expect::Messages(Expectation { messages: args.msg_count, clients: args.client_count }),
    };
    Ok(Listening {
        client_id,
        filters: args.topic.clone(),
        qos: connection::qos(args.qos),
        layout: layout(&args.topic, args.endless),
        stamp: args.stamp.clone(),
        expect,
        quiet_after: args.quiet_after.map(|span| span.nanos()),
        quiet_from_start: args.quiet_from_start,
        duration: args.duration.map(|span| span.nanos()),
        sys: !args.ignore_drops,
        abort_on_drop: !args.ignore_drops,
        sample_every: args.sample_every,
        slow: args.slow.map(|slow| Slow { every: slow.every, pause: slow.pause }),
        ..Listening::default()
    })
}

/// Where client and number stand in topics: by the first filter that says it. Without one, messages that are
/// expected are taken for malaria's, and others are only counted.
fn layout(topics: &[String], endless: bool) -> Option<TopicLayout> {
    let telling = topics.iter().find(|filter| filter.split('/').any(|level| level == "+"));
    match telling {
        Some(filter) => Some(TopicLayout::of(filter)),
        None if endless => None,
        None => topics.first().map(|filter| TopicLayout::of(filter)),
    }
}

fn check(args: &SubscribeArgs) -> Result<(), Usage> {
    connection::check(&args.connection, args.clientid.as_deref())?;
    check_filters(&args.topic)?;
    let topics = if args.connection_per_topic { args.topic.len() as u64 } else { 1 };
    if u64::from(args.clients) * topics > MOST {
        return Err(Usage(format!(
            "--clients {}: more than {MOST} cannot run at once; choose fewer",
            args.clients
        )));
    }
    if args.msg_count.checked_mul(args.client_count).is_none() {
        return Err(Usage(format!(
            "--msg_count {} of --client_count {}: more messages than can be counted",
            args.msg_count, args.client_count
        )));
    }
    if args.print && args.output.json.as_deref() == Some(Path::new("-")) {
        return Err(Usage("--print and --json - both take standard output: give --json a file".into()));
    }
    if args.quiet_from_start && args.quiet_after.is_none() {
        return Err(Usage("--quiet-from-start: say how long with --quiet-after".into()));
    }
    for (flag, span) in [("--quiet-after", args.quiet_after), ("--duration", args.duration)] {
        if let Some(span) = span {
            positive(flag, span.nanos())?;
        }
    }
    Ok(())
}

/// Whether brokers can be asked for all of `filters`.
pub fn check_filters(filters: &[String]) -> Result<(), Usage> {
    filters.iter().try_for_each(|filter| {
        wire::topic::valid_filter(filter).map_err(|error| Usage(format!("--topic `{filter}`: {error}")))
    })
}

fn progress_line(progress: &Progress, windows: &Windows) -> String {
    // Scripts and scenarios wait for one of the other lines before they publish.
    if progress.pending > 0 {
        return "Subscribing".to_owned();
    }
    let rates = windows.rates(|total| total.received);
    match progress.missing {
        Some(missing) => format!("Still waiting for {missing} messages{rates}"),
        None => format!("Received {} messages{rates}", progress.total.received()),
    }
}

#[cfg(test)]
mod tests;
