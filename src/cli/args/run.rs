//! Flags of the main job.

use super::gate::AbortArgs;
use super::values::{Away, Flapping, PerSecond, Scale, Total, count};
use super::{BrokerArgs, ConnectionArgs, MetricsArgs, OutputArgs, SeriesArgs};
use crate::load::{Profile, Template};
use crate::units::{Size, Span};
use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;

/// What is typed without a subcommand.
///
/// The progress of the old commands is read by scripts, that of the main job by people.
#[derive(Clone, Args)]
#[command(mut_arg("progress", |progress| progress.default_value("auto")))]
pub struct RunArgs {
    /// Start the built-in reflector on loopback, on CPUs of its own, and measure that [default: off].
    #[arg(long, conflicts_with_all = ["host", "port", "broker_pid", "broker_cgroup", "broker_container"], help_heading = "Broker")]
    pub embedded: bool,
    /// Clients in all; those that neither publish nor subscribe are idle [default: --publishers and
    /// --subscribers together, or 1000].
    #[arg(long, value_name = "N", value_parser = count::<u32, 1>, help_heading = "Clients")]
    pub clients: Option<u32>,
    /// Who talks to whom.
    #[arg(long, value_enum, default_value_t = TopologyArg::Pairs, value_name = "SHAPE", help_heading = "Clients")]
    pub topology: TopologyArg,
    /// Clients that publish [default: as the topology says].
    #[arg(long, value_name = "N", value_parser = count::<u32, 0>, help_heading = "Clients")]
    pub publishers: Option<u32>,
    /// Clients that subscribe [default: as the topology says].
    #[arg(long, value_name = "N", value_parser = count::<u32, 0>, help_heading = "Clients")]
    pub subscribers: Option<u32>,
    /// Multiply by this what is said of clients in all and of rates in all (--clients, --publishers, --subscribers,
    /// --rate, --schedule, --connect-rate): 0.01 is a hundredth of the load, with each client as busy as before.
    #[arg(long, default_value = "1", value_name = "FACTOR", help_heading = "Clients")]
    pub scale: Scale,
    /// Probes beside the clients, 100 at most: pairs with a topic each that publish ten messages a second from a worker of
    /// their own. Where they are fast and the clients are not, the generator queues [default: off].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "Clients")]
    #[arg(conflicts_with = "msg_count")]
    pub probes: Option<u32>,
    /// Groups that publishers and subscribers are dealt to in turn; who is in one hears all of it, with 1 everybody hears
    /// everybody [default: as many as there are of the fewer; with --share 1].
    #[arg(long, value_name = "N", value_parser = count::<u32, 1>, help_heading = "Clients")]
    pub groups: Option<u32>,
    /// Let the subscribers of a group share its messages: each message goes to one of them, who subscribe to
    /// $share/NAME/FILTER. The broker has to know shared subscriptions [default: off].
    #[arg(long, value_name = "NAME", help_heading = "Clients")]
    pub share: Option<String>,
    /// What subscribers subscribe to, wildcards and all, %p being their group; repeat it for several filters. Together they
    /// match each topic of the group once [default: the topics of the group].
    #[arg(long = "filter", value_name = "FILTER", help_heading = "Clients")]
    pub filters: Vec<String>,
    /// Prefix of the client ids: client i is PREFIX-i [default: malaria-<host>-<pid>].
    #[arg(short, long, value_name = "PREFIX", help_heading = "Clients")]
    pub clientid: Option<String>,
    /// Clients that leave in order and come back: WHO is publishers, subscribers, idle or all, AT is since the first message,
    /// FOR is how long they are away, 0 to come back at once, all together, beside --connect-rate; repeat it for several
    /// times [default: nobody].
    #[arg(long, value_name = "WHO,AT,FOR", help_heading = "Connections")]
    pub away: Vec<Away>,
    /// Idle clients disconnect after this time and reconnect, evenly spread: N clients make N/TIME connects a second
    /// [default: they stay].
    #[arg(long, value_name = "TIME", help_heading = "Connections")]
    pub stay: Option<Span>,
    /// Each subscriber unsubscribes every EVERY, once it has what was sent before, and subscribes again FOR after UNSUBACK, 0 at
    /// once; one after the other, evenly. What is published meanwhile is not expected [default: they stay subscribed].
    #[arg(long, value_name = "EVERY[,FOR]", conflicts_with = "share", help_heading = "Connections")]
    pub flap: Option<Flapping>,
    /// Establish lost connections again, as --reconnect-attempts says.
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL", help_heading = "Connections")]
    pub reconnect: bool,

    /// Messages a second of all publishers together, such as 500, 20k or 1.5M; `max` sends the next when
    /// the broker has acknowledged (closed loop) [default: 1/s per publisher].
    #[arg(long, value_name = "RATE", help_heading = "Messages")]
    pub rate: Option<Total>,
    /// The same per publisher; fractions allowed, such as 0.066; 0 is `max`. If both are given, the lower one
    /// holds [default: 1 without --rate].
    #[arg(short = 'T', long, value_name = "RATE", help_heading = "Messages")]
    pub msgs_per_second: Option<PerSecond>,
    /// Rates of all publishers together that change in time, one piece after the other: const(rate,time), line(from,to,time)
    /// and step(from,to,by,time), such as 'line(0,50k,30s) const(50k,2m)'. It is as long as they are [default: --rate].
    #[arg(long, value_name = "PIECES", help_heading = "Messages")]
    #[arg(conflicts_with_all = ["rate", "msgs_per_second", "duration", "msg_count"])]
    pub schedule: Option<Profile>,
    /// Most unacknowledged messages per publisher; on a schedule, what comes due beyond waits in the
    /// backlog; QoS 0 has none [default: 1 with --rate max, else 65535].
    #[arg(long, value_name = "N", value_parser = count::<u16, 1>, help_heading = "Messages")]
    pub inflight: Option<u16>,
    /// How messages are spread in time.
    #[arg(long, value_enum, default_value_t = ArrivalArg::Constant, value_name = "KIND", help_heading = "Messages")]
    pub arrival: ArrivalArg,
    /// QoS to publish and subscribe with: 0, 1 or 2.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2), value_name = "QOS", help_heading = "Messages")]
    pub qos: u8,
    /// QoS to subscribe with, if another [default: that of --qos].
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=2), value_name = "QOS", help_heading = "Messages")]
    pub sub_qos: Option<u8>,
    /// Payload, such as 100 or 4KiB; at least the 24 bytes of the stamp.
    #[arg(short, long, default_value = "100", value_name = "SIZE", help_heading = "Messages")]
    pub size: Size,
    /// Topic template: %c client id, %i client index, %p pair, %r run id.
    #[arg(short, long, default_value = "bench/%p", value_name = "TOPIC", help_heading = "Messages")]
    pub topic: Template,
    /// Which deliveries are compared byte by byte with what was sent (the length always is).
    #[arg(long, value_enum, default_value_t = VerifyArg::Sampled, value_name = "WHICH", help_heading = "Messages")]
    pub verify: VerifyArg,
    /// Set the retain flag [default: off].
    #[arg(long, help_heading = "Messages")]
    pub retain: bool,
    /// How far a publisher may fall behind its schedule before it sheds messages.
    #[arg(long, default_value = "1s", value_name = "TIME", help_heading = "Messages")]
    pub backlog: Span,
    /// Messages that come due within this time after others were sent are sent together, and are late by
    /// it, 200ms at most [default: 100us].
    #[arg(long, value_name = "TIME", help_heading = "Messages")]
    pub tolerance: Option<Span>,
    /// Longest wait for an acknowledgement.
    #[arg(long, default_value = "30s", value_name = "TIME", help_heading = "Messages")]
    pub ack_timeout: Span,
    /// Seed of everything random; the same seed and plan give byte-identical streams [default: random].
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub seed: Option<u64>,

    /// Length of the measure phase.
    #[arg(long, default_value = "10s", value_name = "TIME", help_heading = "Phases")]
    pub duration: Span,
    /// Stop after N messages of each publisher instead, without warm-up [default: off].
    #[arg(short = 'n', long, value_name = "N", value_parser = count::<u64, 1>, help_heading = "Phases")]
    #[arg(conflicts_with_all = ["duration", "warmup"])]
    pub msg_count: Option<u64>,
    /// Publishing before the measure phase; of a --schedule, the beginning that is not measured [default: 2s; of a
    /// --schedule nothing].
    #[arg(long, value_name = "TIME", help_heading = "Phases")]
    pub warmup: Option<Span>,
    /// After the measure phase, wait until nothing has arrived for this long.
    #[arg(long, default_value = "5s", value_name = "TIME", help_heading = "Phases")]
    pub drain: Span,
    /// Longest drain, even if messages still arrive.
    #[arg(long, default_value = "1m", value_name = "TIME", help_heading = "Phases")]
    pub drain_limit: Span,

    #[command(flatten)]
    pub abort: AbortArgs,
    #[command(flatten)]
    pub broker: BrokerArgs,
    #[command(flatten)]
    pub metrics: MetricsArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Write the histograms of every second to FILE while the run goes on, as an interval log of HdrHistogram
    /// (.hlog) with the latency as its tag; with --repeat a folder, with the log of each [default: nowhere].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub hlog: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub series: SeriesArgs,
}

/// Who talks to whom.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TopologyArg {
    /// Half publish, half subscribe, one topic per pair.
    Pairs,
    /// One subscriber, unless --subscribers says otherwise, hears all others.
    FanIn,
    /// All others hear one publisher, unless --publishers says otherwise.
    FanOut,
    /// Everybody publishes to itself, on a topic of its own.
    #[value(name = "self")]
    Itself,
    /// Nobody listens.
    Publish,
    /// Connect and ping only.
    Idle,
}

/// How messages are spread in time.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ArrivalArg {
    /// Equal gaps, evenly phased over the publishers.
    Constant,
    /// Exponential gaps.
    Poisson,
}

/// Of which deliveries the bytes are compared.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyArg {
    /// Of none.
    None,
    /// Of one in sixteen of each publisher's.
    Sampled,
    /// Of all.
    All,
}
