//! The library under `malaria-bench`, a load generator and benchmarker for MQTT brokers.
//!
//! A run is what a [`Plan`](record::Plan) says: who talks to whom, how fast, for how long. [`run::run`] does it, and answers with a
//! [`Record`](record::Record): everything that was measured, and a verdict on whether the broker or the generator set the
//! limit. This one is of ten pairs, against the broker that is built in:
//!
//! ```
//! use malaria_bench::clock::MILLISECOND;
//! use malaria_bench::record::{Arrival, Plan, Schedule};
//! use malaria_bench::reflector::{Config, Reflector, WorkerPlacement};
//! use malaria_bench::run::{self, Spec};
//! use malaria_bench::{gate, report};
//! use std::sync::atomic::AtomicBool;
//!
//! let broker = Reflector::start(Config {
//!     listen: "127.0.0.1:0".parse()?,
//!     workers: vec![WorkerPlacement::default()],
//!     rings_per_worker: 1,
//!     max_connections_per_ring: 100,
//! })?;
//! let plan = Plan {
//!     clients: 20,
//!     publishers: 10,
//!     subscribers: 10,
//!     schedule: Schedule::Open { rate_per_s: 200.0, arrival: Arrival::Constant, inflight: 100 },
//!     warmup_ns: 0,
//!     duration_ns: Some(500 * MILLISECOND),
//!     ..Plan::default()
//! };
//! let spec = Spec::new(plan, vec![broker.addr().into()]);
//! let mut each_second = |second: &malaria_bench::stage::Progress| println!("{} sent", second.total.sent);
//! let mut record = run::run(spec, &AtomicBool::new(false), &mut each_second)?;
//! assert_eq!((record.counts.sent, record.counts.delivered, record.counts.lost), (100, 100, 0));
//!
//! gate::judge(&["lost == 0".parse()?, "flight p50 < 10s".parse()?], &mut record);
//! assert_eq!(record.bounds.iter().filter(|bound| bound.found.is_some()).count(), 2);
//! println!("{}", report::text(&record, 100, false));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The house
//!
//! Modules are floors: imports go strictly down, and modules on one floor do not know each other. ARCHITECTURE.md has the
//! plan. To begin with:
//!
//! - [`record`]: what was asked and what came of it, as data; [`record::Exit`] and [`record::Verdict`] are functions of it.
//! - [`run`]: the main job, of up to millions of clients in common phases; [`run::run_trials`] keeps them connected while a
//!   [`Pilot`](run::Pilot) decides on one load after the other, as [`capacity`] does.
//! - [`fleet`]: clients with a script and figures of their own, as the commands of `malaria` have them.
//! - [`reflector`]: the broker that is built in, and with a [`script`] one that misbehaves.
//! - [`gate`]: bounds on records, and records against records. [`report`]: records as text, JSON, HTML, CSV and more.
//! - [`stats`], [`wire`], [`client`], [`load`]: histograms, packets, one client's protocol and the workload, without sockets,
//!   threads or clocks. [`engine`] has these, on io_uring, and [`crew`] and [`stage`] bring both together.
//! - [`experiment`]: several runs, as processes of the program; [`search`]: which load to try next.

// Floor 0
pub mod clock;
pub mod cpu;
pub mod seed;
pub mod signals;
pub mod units;
// Floor 1
pub mod search;
pub mod stats;
pub mod wire;
// Floor 2
pub mod client;
pub mod record;
// Floor 3
pub mod load;
pub mod script;
pub mod transport;
// Floor 4
pub mod engine;
pub mod scrape;
// Floor 5
pub mod crew;
pub mod doctor;
pub mod stage;
// Floor 6
pub mod fleet;
pub mod reflector;
pub mod run;
// Floor 7
pub mod gate;
pub mod live;
pub mod report;
// Floor 8
pub mod capacity;
pub mod experiment;
// Floor 9
pub mod cli;
