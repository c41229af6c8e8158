//! Clients that each follow a script of their own: connect, wait a moment, publish on their own schedule,
//! wait for the acknowledgements, disconnect; or subscribe, check what arrives, and end when it is in. The
//! commands `publish`, `subscribe` and `watch`.
//!
//! Where [`run`](crate::run) takes all clients through common phases and keeps nothing per client, a fleet
//! has no phases and keeps the figures of every client.
//!
//! ```
//! use malaria_bench::fleet::{self, Expect, Listening, Publishing, Spec};
//! use malaria_bench::load::{Expectation, PayloadStamp};
//! use malaria_bench::reflector::{Config, Reflector, WorkerPlacement};
//! use std::sync::atomic::AtomicBool;
//!
//! // Any broker will do; this one needs no set-up.
//! let listen = "127.0.0.1:0".parse()?;
//! let workers = vec![WorkerPlacement::default()];
//! let broker = Reflector::start(Config { listen, workers, rings_per_worker: 1, max_connections_per_ring: 100 })?;
//!
//! // Three clients with ten messages each, and one that waits for all of them.
//! let mut publishing = Publishing::new("loadr", 3);
//! publishing.pacing.count = Some(10);
//! let mut listening = Listening::new("listr", "mqtt-malaria/+/data/#");
//! listening.stamp = PayloadStamp::None;
//! listening.expect = Expect::Messages(Expectation { messages: 10, clients: 3 });
//! let spec = Spec {
//!     publishing: Some(publishing),
//!     listening: vec![listening],
//!     ..Spec::new(vec![broker.addr().into()])
//! };
//!
//! let record = fleet::run(spec, &AtomicBool::new(false), &mut |_| ())?;
//! assert_eq!((record.counts.acked, record.listeners[0].received), (30, 30));
//! assert_eq!(record.exit_code, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod conductor;
mod feed;
mod listeners;
mod part;
mod print;
mod publishers;
mod responders;
mod scene;
mod script;
mod shared;
#[cfg(test)]
mod tests;

pub use crate::crew::{Connection, Credentials, Will};
pub use feed::{Feed, FeedError, Framing};
pub use print::Print;

use crate::clock::{self, MILLISECOND, Nanos, SECOND};
use crate::cpu::Subject;
use crate::engine::{self, Endpoint, Waker};
use crate::load::{Expectation, Pace, Pacing, PayloadPlan, PayloadStamp, Payloads, Template, TopicLayout};
use crate::record::FleetRecord;
use crate::scrape::Asked;
use crate::stage::{Lines, Progress, Setting, StageError, rings};
use crate::wire::QoS;
use conductor::Finale;
use script::Script;
use shared::Shared;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Everything a fleet needs.
pub struct Spec {
    /// Where the brokers are; clients spread evenly.
    pub targets: Vec<Endpoint>,
    /// CPUs for the workers, at least one.
    pub cpus: Vec<usize>,
    /// How they wait.
    pub poll: engine::Poll,
    /// Who the broker is, as far as somebody said so.
    pub subjects: Vec<Subject>,
    pub seed: u64,
    /// The command line as typed.
    pub command: Vec<String>,
    /// What the reader of the record has to know.
    pub warnings: Vec<String>,
    pub connection: Connection,
    pub publishing: Option<Publishing>,
    pub listening: Vec<Listening>,
}

impl Spec {
    /// No clients yet, on one worker, with a random seed.
    pub fn new(targets: Vec<Endpoint>) -> Spec {
        Spec {
            targets,
            cpus: crate::cpu::allowed().into_iter().take(1).collect(),
            poll: engine::Poll::Sleep,
            subjects: Vec::new(),
            seed: crate::seed::fresh(),
            command: Vec::new(),
            warnings: Vec::new(),
            connection: Connection::default(),
            publishing: None,
            listening: Vec::new(),
        }
    }
}

/// The clients that publish.
pub struct Publishing {
    /// By index.
    pub clients: Vec<PublisherName>,
    pub topic: Template,
    pub content: Content,
    pub qos: QoS,
    pub retain: bool,
    /// Most unacknowledged messages of a client.
    pub inflight: u16,
    /// When messages are due, from the start of each client.
    pub pacing: Pacing,
    /// Each client waits a random time within these bounds between CONNACK and its start.
    pub stagger: (Nanos, Nanos),
    pub ack_timeout: Nanos,
    /// Messages due within this time after others are sent with them.
    pub tolerance: Nanos,
    /// Each client disconnects and connects again after this many messages.
    pub reconnect_every: Option<u64>,
    /// Clients connect as bridges do.
    pub bridge: bool,
    /// Clients of this fleet that answer every message on `<topic>/reply`: publishers become requesters,
    /// whose next message waits for the answer. 0: none.
    pub responders: u32,
}

impl Publishing {
    /// `clients` publishers with the ids `<prefix>-<i>` and malaria's topics and payloads, at QoS 1, as fast as a
    /// window of 200 lets them, without an end, and without a wait before they start.
    pub fn new(prefix: &str, clients: u32) -> Publishing {
        let names = (0..clients).map(|index| {
            let id = format!("{prefix}-{index}");
            PublisherName { client_id: id.clone(), topic_id: id, joins: 0, leaves: None }
        });
        let payloads = Payloads::prepare(PayloadPlan::default(), 0).expect("the default plan");
        Publishing {
            clients: names.collect(),
            topic: MALARIA_TOPIC.parse().expect("a template"),
            content: Content::Prepared(payloads),
            qos: QoS::AtLeastOnce,
            retain: false,
            inflight: 200,
            pacing: Pacing { pace: Pace::Unlimited, jitter: 0.0, count: None, duration: None, seed: 0 },
            stagger: (0, 0),
            ack_timeout: 30 * SECOND,
            tolerance: MILLISECOND,
            reconnect_every: None,
            bridge: false,
            responders: 0,
        }
    }
}

/// The topics of malaria: client, number of the message, how many there are.
pub const MALARIA_TOPIC: &str = "mqtt-malaria/%c/data/%n/%N";

/// A publishing client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublisherName {
    /// Its id in CONNECT.
    pub client_id: String,
    /// What `%c` stands for in topics; the same but for bridges.
    pub topic_id: String,
    /// It joins the run at this time since its start,
    pub joins: Nanos,
    /// and leaves it at this.
    pub leaves: Option<Nanos>,
}

/// What messages hold.
pub enum Content {
    Prepared(Payloads),
    /// Records read ahead from the standard output of a command.
    Feed(Feed),
}

/// A client that subscribes.
#[derive(Clone, Default, Debug)]
pub struct Listening {
    pub client_id: String,
    pub filters: Vec<String>,
    pub qos: QoS,
    /// How a topic tells the publishing client and the number of the message; `None`: messages are only
    /// counted.
    pub layout: Option<TopicLayout>,
    /// What payloads begin with: where the flight time comes from.
    pub stamp: PayloadStamp,
    pub expect: Expect,
    /// Ends after as long without a message; counts from the first one on, or from SUBACK when
    /// `quiet_from_start`.
    pub quiet_after: Option<Nanos>,
    pub quiet_from_start: bool,
    pub duration: Option<Nanos>,
    /// Subscribes to the broker's `$SYS` counters, too,
    pub sys: bool,
    /// and ends when they tell of dropped messages.
    pub abort_on_drop: bool,
    pub slow: Option<Slow>,
    /// Keeps the flight times of every so many messages as a sample.
    pub sample_every: Option<u64>,
    /// Where payloads are printed.
    pub print: Option<Print>,
    /// Subscribes with a persistent session, leaves, and comes back for what was kept when all publishers
    /// are done.
    pub backlog: bool,
}

impl Listening {
    /// Listens at QoS 1 to payloads with malaria's stamp, without an expectation or an end.
    pub fn new(client_id: &str, filter: &str) -> Listening {
        Listening {
            client_id: client_id.into(),
            filters: vec![filter.into()],
            qos: QoS::AtLeastOnce,
            layout: Some(TopicLayout::of(filter)),
            stamp: PayloadStamp::Malaria,
            ..Listening::default()
        }
    }
}

/// When a listener has everything.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Expect {
    #[default]
    Nothing,
    /// This many messages of this many clients.
    Messages(Expectation),
    /// What the publishers of this fleet have sent.
    Published,
}

/// A consumer that stops reading for a while after every so many messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slow {
    pub every: u64,
    pub pause: Nanos,
}

/// Runs `spec` to its end, or until `interrupt` is set. `observe` is called about once a second.
///
/// # Errors
/// Only what keeps it from starting; whatever happens later is in the record.
pub fn run(
    spec: Spec,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Progress),
) -> Result<FleetRecord, StageError> {
    engine::probe()?;
    let started_at = std::time::SystemTime::now();
    let mut shared = Shared::new(spec, clock::now())?;
    engine::reserve(rings(&shared.seats, engine::largest_table()))?;
    shared.wakers = shared.seats.iter().map(|_| Waker::new()).collect::<Result<_, _>>()?;
    let shared = Arc::new(shared);
    let (epoch, clients, targets) = (shared.epoch, u64::from(shared.clients()), &shared.spec.targets[..]);
    let setting = Setting {
        poll: shared.spec.poll,
        epoch,
        clients,
        targets,
        apart: usize::MAX,
        subjects: &shared.spec.subjects,
        embedded: false,
        asked: &Asked::default(),
        transport: shared.spec.connection.transport.clone(),
    };
    let common = shared.clone();
    let lines = Lines::open(&shared.seats, shared.wakers.clone(), &setting, move |desk| {
        Script::new(common.clone(), desk, clock::now())
    })?;
    let mut finale = Finale::new(shared.clone());
    let board = lines.conduct(&mut finale, interrupt, observe);
    let (elapsed, fault) = (board.end - shared.epoch, board.fault().cloned());
    Ok(finale.record(board, fault, started_at, elapsed))
}
