//! The scripted reflector, and what the generator says of it: the gallery of scripts, the rules of methodology that
//! need a broker which misbehaves on purpose, and whose fault it is.

#[path = "../brokers/process.rs"]
#[allow(dead_code, reason = "another test needs the rest")]
mod process;

mod gallery;
mod harness;
mod rules;
mod verdict;
