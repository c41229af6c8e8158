//! Flags of `publish`.

use super::values::{Between, Bursts, Fraction, Pauses, PerSecond, Step, Total, count};
use super::{BrokerArgs, ConnectionArgs, OutputArgs};
use crate::load::{BodyPlan, Encoding, PayloadStamp, SizePlan, Template};
use crate::units::{Size, Span};
use clap::{Args, ValueEnum};

pub const EXAMPLES: &str = "\
Examples:
  malaria publish -P 8 -n 10000 -H broker.lab -s 100          8 clients, 10,000 messages each, as fast as possible
  malaria publish -t -n 1000 -P 500 -T 5                      500 clients, 5 messages a second each, with time stamps
  malaria publish --endless -T 1 --topic 'home/%c/[on,off]'   until interrupted, to topics picked at random
  malaria publish -n 1000 --self-check                        hears its own messages and compares
  malaria publish --duration 60s --steps +100@10s,-50@30s     clients that join and leave

Topics: %c client id, %i index, %n number of the message, %N how many, %r run id, %i{4} index modulo 4,
        [a,b] picked at random for each message, <a,b> in turn; a backslash before [ or < takes it as it is.
Times: 250ms, 1.5s, 2m; a bare number is seconds.";

/// What is typed behind `publish`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct PublishArgs {
    /// Client ids: client i, from 0, is ID-i, which is also its part of the topic
    /// [default: beem-loadr-<host>-<pid>].
    #[arg(short, long, value_name = "ID", help_heading = "Clients")]
    pub clientid: Option<String>,
    /// Number of clients. (Once of processes: a few pinned workers drive them all.)
    #[arg(short = 'P', long, visible_alias = "clients", default_value = "1", value_name = "N")]
    #[arg(value_parser = count::<u32, 1>, help_heading = "Clients")]
    pub processes: u32,
    /// Clients for each of --processes; other than 1, all of them are bridges.
    #[arg(long = "thread_ratio", default_value = "1", value_name = "N", help_heading = "Clients")]
    #[arg(value_parser = count::<u32, 1>)]
    pub thread_ratio: u32,
    /// Connect each client as a bridge, with the id mal-bridge-<client id> [default: off].
    #[arg(short, long, help_heading = "Clients")]
    pub bridge: bool,
    /// Random characters behind every client id.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Clients")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=64))]
    pub id_suffix: u8,
    /// Cut client ids to 23 characters, the most that every MQTT 3.1 broker takes [default: off].
    #[arg(long, help_heading = "Clients")]
    pub short_ids: bool,
    /// Each client waits a random time within this range between its connection and its first message;
    /// 0 turns it off.
    #[arg(long, default_value = "1..10s", value_name = "RANGE", help_heading = "Clients")]
    pub stagger: Between,
    /// Clients that join and leave on the way, such as +100@10s,-50@30s; who came last leaves first
    /// [default: none].
    #[arg(
        long,
        value_name = "STEPS",
        allow_hyphen_values = true,
        value_delimiter = ',',
        help_heading = "Clients"
    )]
    pub steps: Vec<Step>,
    /// Disconnect and connect again after every N messages of a client [default: never].
    #[arg(long, value_name = "N", value_parser = count::<u64, 1>, help_heading = "Clients")]
    pub reconnect_every: Option<u64>,

    /// Messages of each client, numbered from 1 [default: 10; with --duration no limit].
    #[arg(short = 'n', long = "msg_count", value_name = "N", help_heading = "Messages")]
    #[arg(value_parser = count::<u64, 1>)]
    pub msg_count: Option<u64>,
    /// Time after which each client stops [default: none].
    #[arg(long, value_name = "TIME", help_heading = "Messages")]
    pub duration: Option<Span>,
    /// Publish until interrupted [default: off].
    #[arg(long, conflicts_with_all = ["msg_count", "duration"], help_heading = "Messages")]
    pub endless: bool,
    /// QoS to publish with: 0, 1 or 2.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2), value_name = "QOS", help_heading = "Messages")]
    pub qos: u8,
    /// Topic template; see below.
    #[arg(
        long,
        default_value = "mqtt-malaria/%c/data/%n/%N",
        value_name = "TOPIC",
        help_heading = "Messages"
    )]
    pub topic: Template,
    /// Set the retain flag [default: off].
    #[arg(long, help_heading = "Messages")]
    pub retain: bool,
    /// Most unacknowledged messages of a client.
    #[arg(long, default_value = "200", value_name = "N", help_heading = "Messages")]
    #[arg(value_parser = count::<u16, 1>)]
    pub inflight: u16,
    /// Longest wait for an acknowledgement.
    #[arg(long, default_value = "30s", value_name = "TIME", help_heading = "Messages")]
    pub ack_timeout: Span,

    /// Messages a second of each client, fractions allowed; 0 or `max` is as fast as the broker acknowledges.
    #[arg(
        short = 'T',
        long = "msgs_per_second",
        default_value = "0",
        value_name = "RATE",
        help_heading = "Pace"
    )]
    pub msgs_per_second: PerSecond,
    /// Messages a second of all clients together, such as 500, 20k or 1.5M; `max` is as fast as the broker
    /// acknowledges. Of this and -T the lower one holds [default: no limit].
    #[arg(long, value_name = "RATE", conflicts_with_all = ["burst", "delay", "steps"], help_heading = "Pace")]
    pub rate: Option<Total>,
    /// Random change of each interval, as a fraction of it; 0 turns it off. Only with a rate.
    #[arg(long, default_value = "0.1", value_name = "FRACTION", help_heading = "Pace")]
    pub jitter: Fraction,
    /// Random time between the messages of a client, such as 0.5..1.5s [default: none].
    #[arg(long, value_name = "RANGE", conflicts_with_all = ["msgs_per_second", "burst"], help_heading = "Pace")]
    pub delay: Option<Between>,
    /// slow,fast,length,period: 10,500,1s,30s is 500 messages a second of each client for 1 second of
    /// every 30, and 10 a second in between [default: none].
    #[arg(long, value_name = "BURST", conflicts_with = "msgs_per_second", help_heading = "Pace")]
    pub burst: Option<Bursts>,
    /// Messages that come due within this time after others are sent with them, and are late by it; 200ms at
    /// most.
    #[arg(long, default_value = "1ms", value_name = "TIME", help_heading = "Pace")]
    pub tolerance: Span,

    #[command(flatten)]
    pub payload: PayloadArgs,
    #[command(flatten)]
    pub check: CheckArgs,
    #[command(flatten)]
    pub broker: BrokerArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What messages hold.
#[derive(Args)]
pub struct PayloadArgs {
    /// Size of the body, as a normal distribution around it with a deviation of a twentieth.
    #[arg(
        short = 's',
        long = "msg_size",
        default_value = "100",
        value_name = "SIZE",
        help_heading = "Payload"
    )]
    pub msg_size: Size,
    /// Size of the body in other ways: 4KiB, gauss:100,30, uniform:10..200, lognormal:100,0.5 or list:10,1KiB
    /// [default: as --msg_size says].
    #[arg(
        long,
        visible_alias = "size",
        value_name = "PLAN",
        conflicts_with = "msg_size",
        help_heading = "Payload"
    )]
    pub size_of: Option<SizePlan>,
    /// What the body holds: hex, zeros, random, text, text:hello, hex:00FF, base64:aGk=, pattern:abc,
    /// pick:on,off, int:0..100 (long, float, double, binary-int, ...), json:{"t":%{float:-1..1}},
    /// lines:FILE, file:FILE, json:@FILE, template:@FILE.
    #[arg(long, default_value = "hex", value_name = "PLAN", help_heading = "Payload")]
    pub body: BodyPlan,
    /// Begin each message with the time of its sending, as `subscribe` expects it; the body follows
    /// [default: off].
    #[arg(short, long, help_heading = "Payload")]
    pub timing: bool,
    /// What each message begins with: none, malaria, ms, ms:SEPARATOR, seq, seq:SEPARATOR, binary:ms+seq,
    /// flags:ms+seq (either also alone) or own [default: none; with -t malaria].
    #[arg(long, value_name = "STAMP", conflicts_with = "timing", help_heading = "Payload")]
    pub stamp: Option<PayloadStamp>,
    /// How the body is written down: none, base64, hex, bits, utf-16, utf-16le, utf-16be, us-ascii or
    /// iso-8859-1.
    #[arg(long, default_value_t = Encoding::None, value_name = "ENCODING", help_heading = "Payload")]
    pub encoding: Encoding,
    /// Take the payloads from the standard output of a shell command instead [default: none].
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["msg_size", "size_of", "body", "encoding", "timing", "stamp"], help_heading = "Payload")]
    pub payload_from: Option<String>,
    /// How payloads of the command are told apart: each a line, or with its length (4 bytes, most
    /// significant first) before it.
    #[arg(long, value_enum, default_value_t = FramingArg::Lines, value_name = "FRAMING", help_heading = "Payload")]
    pub payload_framing: FramingArg,
    /// Seed of everything random [default: random].
    #[arg(long, value_name = "N", help_heading = "Payload")]
    pub seed: Option<u64>,
}

/// Hearing what was published.
#[derive(Args)]
pub struct CheckArgs {
    /// Subscribe to the messages of this run, and compare what was made, published and received
    /// [default: off].
    #[arg(long, help_heading = "Check")]
    pub self_check: bool,
    /// Wait as long without a message for what is missing after the last one was published.
    #[arg(long, default_value = "5s", value_name = "TIME", help_heading = "Check")]
    pub grace: Span,
    /// With --self-check: subscribe with a persistent session and leave, come back when everything is
    /// published, and measure the unloading [default: off].
    #[arg(long, help_heading = "Check")]
    pub backlog: bool,
    /// With --self-check: messages,time: 100,50ms reads nothing for 50 ms after every 100th message
    /// [default: none].
    #[arg(long, value_name = "PAUSE", help_heading = "Check")]
    pub slow: Option<Pauses>,
    /// Request and response: responders answer every message on <topic>/reply, and the next one waits for
    /// the answer [default: off].
    #[arg(long, conflicts_with_all = ["self_check", "backlog", "slow"], help_heading = "Check")]
    pub round_trip: bool,
    /// With --round-trip: how many answer.
    #[arg(long, default_value = "1", value_name = "N", value_parser = count::<u32, 1>, help_heading = "Check")]
    pub responders: u32,
}

/// How payloads of a command are told apart.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FramingArg {
    Lines,
    Length,
}
