//! A reflector inside this process, sized for who will come.

use crate::engine;
use crate::reflector::{Config, Error, Reflector, WorkerPlacement};
use std::net::SocketAddr;

/// Starts a reflector on `cpus` with room for `clients`, or for as many as one ring for each CPU holds.
/// The kernel spreads connections over rings by hash, so each ring has some room to spare.
pub fn start(listen: SocketAddr, cpus: &[usize], clients: Option<u32>) -> Result<Reflector, Error> {
    let table = engine::descriptor_limit().min(1 << 20) as u32;
    let cores = cpus.len() as u32;
    let workers = clients.map_or(cores, |clients| rings(clients, cores, table));
    engine::reserve(workers)?;
    let workers = (0..workers as usize)
        .map(|worker| WorkerPlacement { cpu: Some(cpus[worker % cpus.len()]) })
        .collect::<Vec<_>>();
    let share = |clients| spread(clients, workers.len() as u32).max(64).min(table);
    let share = clients.map_or(table, share);
    Reflector::start(Config { listen, workers, max_connections_per_worker: share })
}

/// The most connections of `clients` that one of `rings` gets, hashed: six standard deviations above
/// the mean of the binomial distribution.
fn spread(clients: u32, rings: u32) -> u32 {
    let mean = f64::from(clients) / f64::from(rings);
    let deviation = if rings == 1 { 0.0 } else { mean.sqrt() };
    (mean + 6.0 * deviation).ceil() as u32 + 16
}

/// The fewest rings, a multiple of `cores`, whose tables hold everybody. With very small tables there are
/// none: then as many as can never be opened.
fn rings(clients: u32, cores: u32, table: u32) -> u32 {
    let mut rings = cores;
    while spread(clients, rings) > table && rings <= table {
        rings += cores;
    }
    rings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_rings_enough_for_everybody() {
        assert_eq!(rings(1000, 1, 20_000), 1);
        assert_eq!(rings(19_000, 1, 20_000), 1);
        assert_eq!(rings(200_000, 1, 20_000), 11);
        assert_eq!(rings(200_000, 4, 20_000), 12);
        assert_eq!(rings(1000, 3, 20_000), 3);
        assert!(spread(200_000, 11) <= 20_000);
        assert!((0..40).all(|table| rings(1000, 2, table) > table), "never to be had");
    }
}
