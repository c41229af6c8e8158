//! A simulated world for whatever is driven by a [`Link`](super::Link): virtual time, workers, a network and a
//! broker that keeps the truth and misbehaves as it is told, or by chance.
//!
//! Nothing here reads a clock, opens a socket or starts a thread, and the same [`Setup`] makes the same world to the
//! last byte. A test makes a [`World`], runs its drivers in it, and holds their figures against [`World::truth`].
//!
//! - [`World`] (`world.rs`) takes one event after the other from a heap (`events.rs`) and hands it to a worker or to
//!   the peer.
//! - [`SimLink`] (`link.rs`, `turn.rs`) is a worker as the engine has it: batches, passes, timeouts in the ring,
//!   sends that are taken whole, in part or not at all, connections that drain, slots that are free only when their
//!   last completion is in. What a call costs passes on the worker's clock, and what happens meanwhile waits.
//! - `net.rs` and `pipe.rs` are the network: latency, packets split anywhere, windows, FIN and RST. `carried.rs` is the
//!   peer's end of a transport.
//! - [`peer`] is the broker; [`Script`] says what it does when, [`Faults`] how often by chance.
//! - [`Truth`] is what really happened.
//! - [`explore`] tries many seeds, and names the one that failed.

#![allow(dead_code, unused_imports, reason = "a kit: what one driver's tests leave unused another's need")]

mod carried;
mod dice;
mod events;
mod explore;
mod faults;
mod folding;
mod link;
mod net;
mod peer;
mod pipe;
mod truth;
mod turn;
mod world;

#[cfg(test)]
mod tests;

pub(crate) use crate::script::{Act, Deed, On, Rule, Script, Spread};
pub(crate) use dice::{Dice, Span};
pub(crate) use explore::{explore, explored, soak};
pub(crate) use faults::Faults;
pub(crate) use link::{Lag, Machine, SimLink, WALL_NS};
pub(crate) use net::Network;
pub(crate) use truth::{Account, ClientNo, Connection, Delivery, Fate, Message, Truth};
pub(crate) use world::{Setup, Step, WorkerTruth, World};
