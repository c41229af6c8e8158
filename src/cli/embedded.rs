//! A reflector inside this process, sized for who will come.

use crate::engine;
use crate::reflector::{Config, Error, Reflector, WorkerPlacement};
use crate::script::Script;
use crate::stage::hashed_rings;
use std::net::SocketAddr;

/// Starts a reflector on `cpus` with room for `clients`, or for as many as one ring for each CPU holds.
pub fn start(
    listen: SocketAddr,
    cpus: &[usize],
    clients: Option<u32>,
    script: Option<Script>,
) -> Result<Reflector, Error> {
    let table = engine::descriptor_limit().min(1 << 20) as u32;
    let cores = cpus.len() as u32;
    // The kernel spreads connections over rings by hash, so each ring has some room to spare.
    let (workers, share) = clients.map_or((cores, table), |clients| hashed_rings(clients, cores, table));
    engine::reserve(workers)?;
    let workers = (0..workers as usize)
        .map(|worker| WorkerPlacement { cpu: Some(cpus[worker % cpus.len()]) })
        .collect::<Vec<_>>();
    let config = Config { listen, workers, max_connections_per_worker: share };
    match script {
        None => Reflector::start(config),
        Some(script) => Reflector::start_with_script(config, script),
    }
}
