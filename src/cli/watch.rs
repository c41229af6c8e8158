//! `watch`: counts messages as they go by, in a directory of small files.

mod directory;
mod metrics;

use super::args::WatchArgs;
use super::bench::interruption;
use super::connection::{self, Reconnects, positive};
use super::identities::Topics;
use super::output::{Output, complain, tell};
use super::{Environment, Usage, ids, subscribe};
use crate::clock::{Nanos, SECOND};
use crate::fleet::{self, Listening, Spec};
use crate::record::{Ended, Exit, FleetRecord};
use crate::stage::Progress;
use crate::{cpu, engine, seed};
use directory::Directory;
use metrics::Metrics;
use std::sync::atomic::{AtomicBool, Ordering};

pub fn run(args: &WatchArgs) -> anyhow::Result<Exit> {
    let mut listening = vec![listening(args)?];
    let topics = Topics::Each(&subscribe::own_filter);
    let connection = connection::connection(&args.connection, Reconnects::FLEET, listening.len(), topics)?;
    let connection = connection::named(connection, args.clientid.as_deref());
    subscribe::name(&mut listening, &connection.identities, true);
    let output = args.json.as_deref().map(Output::open).transpose()?;
    engine::probe()?;
    let interrupt = interruption()?;
    let targets = connection::resolve(&args.connection, connection.timeout)?;
    let (cpus, warnings) = connection::cpus(&args.connection, 1, &targets, &cpu::allowed());
    let spec = Spec {
        targets,
        cpus,
        poll: args.connection.poll.into(),
        subjects: Vec::new(),
        seed: seed::fresh(),
        command: super::command_line(),
        warnings,
        connection,
        publishing: None,
        listening,
    };
    let directory = Directory::open(args.directory.as_deref()).map_err(|error| unwritable(args, &error))?;
    // Standard output is the result's when it goes there.
    let talks = !args.quiet && !output.as_ref().is_some_and(Output::is_stdout);
    if talks {
        tell(format_args!("Statistics files will be available in {}", directory.path().display()));
    }
    let record = watch(args, spec, &interrupt, &directory);
    if talks && directory.is_temporary() {
        tell(format_args!("Automatically removing {}", directory.path().display()));
    }
    let closed = directory.close().map_err(|error| unwritable(args, &error));
    let (record, metrics) = record?;
    if let Some(output) = output {
        output.write(&metrics.json())?;
    }
    closed?;
    Ok(exit(&record))
}

/// Watches, and keeps the directory up to date.
fn watch(
    args: &WatchArgs,
    spec: Spec,
    interrupt: &AtomicBool,
    directory: &Directory,
) -> anyhow::Result<(FleetRecord, Metrics)> {
    let filters = spec.listening.first().map_or_else(Vec::new, |listening| listening.filters.clone());
    let mut metrics = Metrics { topic: filters, ..Metrics::default() };
    let mut failure = directory.update(&metrics).err();
    let mut due = Due { interval: args.interval.nanos(), next: 0 };
    let record = fleet::run(spec, interrupt, &mut |progress| {
        metrics.follow(progress);
        if failure.is_none() && due.is_now(progress.elapsed) {
            failure = directory.update(&metrics).err();
            // Files that do not change would be taken for a silent broker.
            interrupt.fetch_or(failure.is_some(), Ordering::Relaxed);
        }
    })?;
    if let Some(listener) = record.listeners.first() {
        metrics.msgs_total = listener.received;
        metrics.msgs_stored = listener.stored;
        metrics.drop_count = listener.dropped;
        metrics.uptime = record.elapsed_ns / SECOND;
    }
    match failure.or_else(|| directory.update(&metrics).err()) {
        Some(error) => Err(unwritable(args, &error).into()),
        None => Ok((record, metrics)),
    }
}

/// When the files are to be replaced. Progress comes about once a second: half a second early is in time.
struct Due {
    interval: Nanos,
    next: Nanos,
}

impl Due {
    fn is_now(&mut self, elapsed: Nanos) -> bool {
        let now = elapsed + SECOND / 2 >= self.next;
        if now {
            self.next = elapsed + self.interval;
        }
        now
    }
}

impl Metrics {
    fn follow(&mut self, progress: &Progress) {
        self.msgs_total = progress.total.received();
        self.msgs_stored = progress.stored;
        self.drop_count = progress.dropped;
        self.uptime = progress.elapsed / SECOND;
    }
}

/// Being told to stop is how watching ends.
fn exit(record: &FleetRecord) -> Exit {
    if record.ended == Ended::Interrupted {
        return Exit::Clean;
    }
    if record.exit_code != Exit::Clean.code() {
        complain(format_args!("error: {}", record.exit_reason));
    }
    Exit::from_code(record.exit_code)
}

fn unwritable(args: &WatchArgs, error: &std::io::Error) -> Environment {
    let name = args
        .directory
        .as_deref()
        .map_or("the temporary directory".into(), |path| format!("--directory {}", path.display()));
    Environment(format!("{name}: {error}; choose a directory that can be written"))
}

/// What the command line says, before anything is opened or resolved.
fn listening(args: &WatchArgs) -> Result<Listening, Usage> {
    connection::check(&args.connection, args.clientid.as_deref())?;
    subscribe::check_filters(&args.topic)?;
    if args.interval.nanos() < SECOND {
        return Err(Usage(format!("--interval {}: files are updated once a second at most", args.interval)));
    }
    if let Some(duration) = args.duration {
        positive("--duration", duration.nanos())?;
    }
    let client_id = args.clientid.clone().unwrap_or_else(|| ids::of_process("beem-watchr"));
    connection::check_client_id(&client_id)?;
    Ok(Listening {
        client_id,
        filters: args.topic.clone(),
        qos: connection::qos(args.qos),
        duration: args.duration.map(|span| span.nanos()),
        sys: true,
        ..Listening::default()
    })
}

#[cfg(test)]
mod tests;
