//! A reflector inside this process, sized for who will come.

use crate::engine;
use crate::reflector::{Config, Error, Manner, Reflector, WorkerPlacement};
use crate::script::Script;
use crate::stage::hashed_rings;
use crate::transport::Acceptor;
use std::net::SocketAddr;
use std::sync::Arc;

/// Starts a reflector on `cpus` with room for `clients`, or for as many as a ring of each CPU holds.
pub fn start(
    listen: SocketAddr,
    cpus: &[usize],
    clients: Option<u32>,
    script: Option<Script>,
    transport: Option<Arc<Acceptor>>,
) -> Result<Reflector, Error> {
    let (cores, table) = (cpus.len() as u32, engine::largest_table());
    // The kernel spreads connections over rings by hash, so each ring has some room to spare.
    let (rings, share) = clients.map_or((cores, table), |clients| hashed_rings(clients, cores, table));
    engine::reserve(rings)?;
    let workers = cpus.iter().map(|cpu| WorkerPlacement { cpu: Some(*cpu) }).collect();
    let config = Config { listen, workers, rings_per_worker: rings / cores, max_connections_per_ring: share };
    Reflector::start_as(config, Manner { script, transport })
}
