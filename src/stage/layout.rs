//! Which worker drives which clients, on which CPU, and from which local address to which broker.

use super::StageError;
use crate::engine::{self, Endpoint, PortRange, Route, loopback_source as loopback};
use std::sync::Arc;

/// The place of one worker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The CPU that its thread is pinned to.
    pub cpu: usize,
    /// Indices of its clients, ascending.
    pub clients: Arc<Vec<u32>>,
}

/// Deals `clients` to workers on `cpus`, by `worker_of` (a client's index, and the number of workers). Where the
/// limit on open files caps a ring at `table` connections, rings on one CPU are added until none overflows.
pub fn seats(clients: u32, cpus: &[usize], table: u32, worker_of: impl Fn(u32, u32) -> u32) -> Vec<Seat> {
    let cores = (cpus.len() as u32).min(clients).max(1);
    let mut rings_per_core = 1.max(clients.div_ceil(table).div_ceil(cores));
    loop {
        let count = cores * rings_per_core;
        let mut dealt = vec![Vec::new(); count as usize];
        for index in 0..clients {
            dealt[worker_of(index, count) as usize].push(index);
        }
        if dealt.iter().all(|clients| clients.len() <= table as usize) {
            let cpus = cpus.iter().take(cores as usize).cycle();
            // As they are: a copy would stay in the heap's pages for as long as the run.
            return cpus.zip(dealt).map(|(&cpu, clients)| Seat { cpu, clients: Arc::new(clients) }).collect();
        }
        rings_per_core += 1;
    }
}

/// The ways from this machine to the brokers.
pub struct Ways {
    targets: Vec<Endpoint>,
    /// Clients that share a source address, where there are several.
    per_source: Option<u32>,
    ports: Option<PortRange>,
}

impl Ways {
    /// Ways enough for `clients`: how many share a source address, or which ports they use, so that every client
    /// finds a port.
    ///
    /// # Errors
    /// There are not enough ports.
    pub fn new(targets: &[Endpoint], clients: u32) -> Result<Ways, StageError> {
        let clients = clients.div_ceil(targets.len() as u32);
        let system = engine::ephemeral_ports().ports();
        // connect() searches ever longer for a free port when few are left.
        let comfortable = (system / 2).max(1);
        let few = |target: &&Endpoint| matches!(target, Endpoint::Tcp(_)) && loopback(target, 0).is_none();
        let (per_source, ports) = match targets.iter().find(few) {
            _ if clients <= comfortable => (None, None),
            None => (Some(comfortable), None),
            Some(_) if clients <= system - system / 16 => (None, None),
            Some(_) if clients <= PortRange::WIDEST.ports() - 1024 => (None, Some(PortRange::WIDEST)),
            Some(target) => {
                let ports = PortRange::WIDEST.ports();
                return Err(StageError::Ports { clients, target: target.clone(), ports });
            }
        };
        Ok(Ways { targets: targets.to_vec(), per_source, ports })
    }

    /// How many brokers there are.
    pub fn brokers(&self) -> u32 {
        self.targets.len() as u32
    }

    /// The way of client `index` to the broker whose turn it is.
    pub fn route(&self, turn: u32, index: u32) -> Route {
        let remote = self.targets[(turn % self.brokers()) as usize].clone();
        let source =
            self.per_source.and_then(|per_source| loopback(&remote, index / self.brokers() / per_source));
        Route { remote, source, ports: self.ports }
    }
}

/// Rings for `clients` that the kernel spreads over them by hash, as many on each of `cores`, and the connections
/// that each must have room for: at most `table`. With very small tables there are none: then as many rings as
/// can never be opened.
pub fn hashed_rings(clients: u32, cores: u32, table: u32) -> (u32, u32) {
    let mut rings = cores;
    while hashed(clients, rings) > table && rings <= table {
        rings += cores;
    }
    (rings, hashed(clients, rings).max(64).min(table))
}

/// The most connections of `clients` that one of `rings` gets, hashed: six standard deviations above
/// the mean of the binomial distribution.
fn hashed(clients: u32, rings: u32) -> u32 {
    let mean = f64::from(clients) / f64::from(rings);
    let deviation = if rings == 1 { 0.0 } else { mean.sqrt() };
    (mean + 6.0 * deviation).ceil() as u32 + 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_too_small_makes_more_rings_on_the_same_cpus() {
        let seats = seats(200_000, &[3, 5], 20_000, |index, workers| index % workers);
        assert_eq!(seats.len(), 10);
        assert!(seats.iter().all(|seat| seat.clients.len() == 20_000 && seat.clients.is_sorted()));
        assert_eq!(seats.iter().filter(|seat| seat.cpu == 3).count(), 5);
    }

    #[test]
    fn no_worker_is_without_a_client() {
        let seats = seats(2, &[3, 4, 5, 6], 100, |index, workers| index % workers);
        assert_eq!(seats.iter().map(|seat| seat.cpu).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(super::seats(0, &[7], 100, |index, workers| index % workers).len(), 1);
    }

    #[test]
    fn loopback_has_as_many_sources_as_needed_and_others_one() {
        let endpoint = |text: &str| Endpoint::Tcp(text.parse().unwrap());
        let (local, away) = ([endpoint("127.0.0.1:1883")], [endpoint("192.0.2.1:1883")]);
        let system = engine::ephemeral_ports().ports();
        let of = |targets: &[Endpoint], clients| {
            Ways::new(targets, clients).map(|ways| (ways.per_source, ways.ports)).map_err(|e| e.to_string())
        };
        assert_eq!(of(&local, 1000), Ok((None, None)));
        assert_eq!(of(&local, 200_000), Ok((Some(system / 2), None)));
        assert_eq!(of(&[Endpoint::Unix(std::path::Path::new("/x").into())], 200_000).unwrap().1, None);
        assert_eq!(of(&away, system * 3 / 4), Ok((None, None)));
        assert_eq!(of(&away, 60_000), Ok((None, Some(PortRange::WIDEST))));
        let error = of(&away, 70_000).unwrap_err();
        assert!(error.contains("70000") && error.contains("--host"), "{error}");
        let four: Vec<_> = (1..5).map(|i| endpoint(&format!("192.0.2.{i}:1883"))).collect();
        assert!(of(&four, 200_000).is_ok());
    }

    #[test]
    fn there_are_rings_enough_for_everybody() {
        let rings = |clients, cores, table| hashed_rings(clients, cores, table).0;
        assert_eq!(rings(1000, 1, 20_000), 1);
        assert_eq!(rings(19_000, 1, 20_000), 1);
        assert_eq!(rings(200_000, 1, 20_000), 11);
        assert_eq!(rings(200_000, 4, 20_000), 12);
        assert_eq!(rings(1000, 3, 20_000), 3);
        assert!(hashed(200_000, 11) <= 20_000);
        assert!((0..40).all(|table| rings(1000, 2, table) > table), "never to be had");
    }
}
