//! The commands of `malaria` against real brokers and beside paho-mqtt, the client library that the old
//! Python tool was made with: topics, payloads, counts and flight times mean on both sides the same.
//!
//! Needs what `tools/test` installs. What is missing is skipped loudly, and fails where `CI=true`.

#[path = "../brokers/port.rs"]
mod port;
#[path = "../brokers/process.rs"]
#[allow(dead_code, reason = "not every way to read an output is of use here")]
mod process;
#[path = "../faults/broker.rs"]
#[allow(dead_code, reason = "not every fault is of use here")]
mod scripted;

mod broker;
mod environment;
mod failures;
mod feeder;
mod figures;
mod flight;
mod keys;
mod links;
mod paho;
mod peers;
mod program;
mod readme;
mod table;
mod unix;
mod watching;
