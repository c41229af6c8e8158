//! When things go wrong: the built binary against brokers and machines that misbehave.
//!
//! Whatever happens, the run ends in time, with the exit code that fits, in words that name the value and
//! the fix, and after the first connection with a summary and a record of what was measured. What *every*
//! run has to keep (no panic, no hang, counts that add up) is checked in [`bench`].

#![allow(unsafe_code)]

mod bench;
mod broker;
mod connecting;
mod delivery;
mod identities;
mod interruption;
mod loss;
mod machine;
mod protocol;
mod start;
mod unread;
mod websocket;
