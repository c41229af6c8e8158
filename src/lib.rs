//! The library under `malaria-bench`, a load generator and benchmarker for MQTT brokers.
//!
//! Modules are floors of a house: imports go strictly down, and modules on one floor do not know each
//! other. ARCHITECTURE.md has the plan.

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
