//! What is to be seen of a run while it is under way, by those who look: Prometheus, and a terminal.
//!
//! Needs what `tools/test` installs. What is missing is skipped loudly, and fails where `CI=true`.

#[path = "../brokers/port.rs"]
mod port;
#[path = "../brokers/process.rs"]
#[allow(dead_code, reason = "not every way to read an output is of use here")]
mod process;

mod manuals;
mod metrics;
mod scrape;
mod screen;
