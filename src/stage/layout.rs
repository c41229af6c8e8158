//! Which worker drives which clients, on which CPU, and from which local address to which broker.

use super::StageError;
use crate::engine::{
    self, Close, Endpoint, PortRange, Route, SourceError, Sources, loopback_source as loopback,
};
use std::sync::Arc;

/// The place of one worker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The CPU that its thread is pinned to.
    pub cpu: usize,
    /// Indices of its clients, ascending.
    pub clients: Arc<Vec<u32>>,
}

/// Deals `clients` to a worker on each of `cpus`, by `worker_of` (a client's index, and the number of workers).
pub fn seats(clients: u32, cpus: &[usize], worker_of: impl Fn(u32, u32) -> u32) -> Vec<Seat> {
    let workers = (cpus.len() as u32).min(clients).max(1);
    let mut dealt = vec![Vec::new(); workers as usize];
    for index in 0..clients {
        dealt[worker_of(index, workers) as usize].push(index);
    }
    // As they are: a copy would stay in the heap's pages for as long as the run.
    cpus.iter().zip(dealt).map(|(&cpu, clients)| Seat { cpu, clients: Arc::new(clients) }).collect()
}

/// Rings that the workers at `seats` have, all together, where one holds `table` connections.
pub fn rings(seats: &[Seat], table: u32) -> u32 {
    seats.iter().map(|seat| (seat.clients.len() as u32).div_ceil(table).max(1)).sum()
}

/// The ways from this machine to the brokers.
pub struct Ways {
    targets: Vec<Endpoint>,
    /// Addresses that were asked for.
    sources: Sources,
    /// Clients that share a source address, where they were not and there are several.
    per_source: Option<u32>,
    ports: Option<PortRange>,
    close: Close,
    unsent: Option<u32>,
}

impl Ways {
    /// Ways enough for `clients`, from `sources` if there are any: how many share a source address, or which ports they
    /// use, so that every client finds a port.
    ///
    /// # Errors
    /// There are not enough ports.
    pub fn new(
        targets: &[Endpoint],
        clients: u32,
        sources: &Sources,
        close: Close,
    ) -> Result<Ways, StageError> {
        let brokers = targets.len() as u32;
        let (common, crowd) = sources.crowd(clients);
        let (common, crowd) = (common.div_ceil(brokers), crowd.div_ceil(brokers));
        let system = engine::ephemeral_ports().ports();
        // connect() searches ever longer for a free port when few are left: 12 us while fewer than half of the range are
        // taken, 112 us at 15,500 of 28,000.
        let comfortable = (system * 2 / 5).max(1);
        let (mut per_source, mut ports) = (None, None);
        for target in targets.iter().filter(|target| matches!(target, Endpoint::Tcp(_))) {
            let given = sources.count(target);
            if !sources.own_reach(target) || given == 0 && !sources.is_empty() {
                return Err(SourceError::Version(target.clone()).into());
            }
            let mut each = common.div_ceil(given.max(1));
            if each > comfortable && given == 0 && loopback(target, 0).is_some() {
                (per_source, each) = (Some(comfortable), comfortable);
            }
            match each.max(crowd) {
                most if most <= system - system / 16 => {}
                most if most <= PortRange::WIDEST.ports() - 1024 => ports = Some(PortRange::WIDEST),
                clients => {
                    let ports = PortRange::WIDEST.ports();
                    return Err(StageError::Ports { clients, target: target.clone(), ports });
                }
            }
        }
        Ok(Ways {
            targets: targets.to_vec(),
            sources: sources.clone(),
            per_source,
            ports,
            close,
            unsent: None,
        })
    }

    /// The same, with a bound on what connections hold: [`Route::unsent`].
    pub fn holding(self, unsent: Option<u32>) -> Ways {
        Ways { unsent, ..self }
    }

    /// How many brokers there are.
    pub fn brokers(&self) -> u32 {
        self.targets.len() as u32
    }

    /// The way of client `index` to the broker whose turn it is.
    pub fn route(&self, turn: u32, index: u32) -> Route {
        let host = turn % self.brokers();
        let remote = self.targets[host as usize].clone();
        let turn = index / self.brokers();
        let own = self.sources.own(index);
        let given = own.or_else(|| self.sources.get(&remote, turn));
        let source = given.or_else(|| loopback(&remote, turn / self.per_source?));
        Route {
            remote,
            source,
            ports: self.ports,
            close: self.close,
            unsent: self.unsent,
            host,
            client: index,
        }
    }
}

/// Rings for `clients` that the kernel spreads over them by hash, as many for each of `workers`, and the connections
/// that each must have room for: at most `table`. With very small tables there are none: then as many rings as
/// can never be opened.
pub fn hashed_rings(clients: u32, workers: u32, table: u32) -> (u32, u32) {
    let mut rings = workers;
    while hashed(clients, rings) > table && rings <= table {
        rings += workers;
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
    use crate::engine::OwnSources;

    #[test]
    fn every_cpu_has_a_worker_and_no_worker_is_without_a_client() {
        let taken = |clients, cpus: &[usize]| {
            let seats = seats(clients, cpus, |index, workers| index % workers);
            assert!(seats.iter().all(|seat| seat.clients.is_sorted()));
            seats.into_iter().map(|seat| (seat.cpu, seat.clients.len())).collect::<Vec<_>>()
        };
        assert_eq!(taken(200_001, &[3, 5]), [(3, 100_001), (5, 100_000)]);
        assert_eq!(taken(2, &[3, 4, 5, 6]), [(3, 1), (4, 1)]);
        assert_eq!(taken(0, &[7]), [(7, 0)]);
        let seats = |clients, cpus: &[usize]| seats(clients, cpus, |index, workers| index % workers);
        assert_eq!(rings(&seats(200_001, &[3, 5]), 20_000), 6 + 5);
        assert_eq!((rings(&seats(3, &[3, 5]), 20_000), rings(&seats(0, &[3]), 20_000)), (2, 1));
    }

    #[test]
    fn loopback_has_as_many_sources_as_needed_and_others_one() {
        let endpoint = |text: &str| Endpoint::Tcp(text.parse().unwrap());
        let (local, away) = ([endpoint("127.0.0.1:1883")], [endpoint("192.0.2.1:1883")]);
        let system = engine::ephemeral_ports().ports();
        let of = |targets: &[Endpoint], clients| {
            Ways::new(targets, clients, &Sources::default(), Close::Fin)
                .map(|ways| (ways.per_source, ways.ports))
                .map_err(|e| e.to_string())
        };
        assert_eq!(of(&local, 1000), Ok((None, None)));
        assert_eq!(of(&local, 200_000), Ok((Some(system * 2 / 5), None)));
        assert_eq!(of(&[Endpoint::Unix(std::path::Path::new("/x").into())], 200_000).unwrap().1, None);
        assert_eq!(of(&away, system * 3 / 4), Ok((None, None)));
        assert_eq!(of(&away, 60_000), Ok((None, Some(PortRange::WIDEST))));
        let error = of(&away, 70_000).unwrap_err();
        assert!(error.contains("70000") && error.contains("--host"), "{error}");
        let four: Vec<_> = (1..5).map(|i| endpoint(&format!("192.0.2.{i}:1883"))).collect();
        assert!(of(&four, 200_000).is_ok());
        let ways = Ways::new(&local, 1, &Sources::default(), Close::Rst).unwrap();
        assert_eq!(ways.route(0, 0).close, Close::Rst);
    }

    #[test]
    fn clients_are_spread_over_the_sources_that_were_asked_for() {
        let broker = [Endpoint::Tcp("127.0.0.1:1883".parse().unwrap())];
        let sources = |text: &str| Sources::find(&[text.parse().unwrap()]).unwrap();
        let ways = Ways::new(&broker, 100_000, &sources("127.1.0.0/28"), Close::Fin).unwrap();
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..100_000 {
            *counts.entry(ways.route(index, index).source.expect("asked for")).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 14);
        assert!(counts.values().all(|count| (7142..=7143).contains(count)), "{counts:?}");
        // Two have no ports for so many, and what would mend it is told.
        let error =
            Ways::new(&broker, 200_000, &sources("127.1.0.0/30"), Close::Fin).err().expect("too many");
        assert!(error.to_string().contains("--source"), "{error}");
        let other = [Endpoint::Tcp("[::1]:1883".parse().unwrap())];
        assert!(Ways::new(&other, 1, &sources("127.0.0.1"), Close::Fin).is_err());
    }

    #[test]
    fn an_address_of_its_own_goes_before_those_of_all() {
        let mut own = OwnSources::default();
        for index in 0..60_000u32 {
            let address = (index % 3 != 0).then(|| [127, 0, 1, (1 + index % 3) as u8].into());
            own.push(address).expect("all of 127/8 is ours");
        }
        let sources = Sources::find(&["127.9.0.9".parse().unwrap()]).unwrap().with_own(own);
        let broker = |text: &str| [Endpoint::Tcp(text.parse().unwrap())];
        let ways = Ways::new(&broker("127.0.0.1:1883"), 60_000, &sources, Close::Fin).unwrap();
        let from = |index| ways.route(index, index).source.expect("from somewhere").to_string();
        assert_eq!([0, 1, 2, 59_999].map(from), ["127.9.0.9", "127.0.1.2", "127.0.1.3", "127.0.1.3"]);
        assert!(Ways::new(&broker("[::1]:1883"), 3, &sources, Close::Fin).is_err(), "the other IP version");
        let mut one = OwnSources::default();
        (0..70_000).for_each(|_| one.push(Some([127, 0, 1, 1].into())).unwrap());
        let sources = Sources::default().with_own(one);
        let error = Ways::new(&broker("127.0.0.1:1883"), 70_000, &sources, Close::Fin).err().unwrap();
        assert!(error.to_string().contains("70000"), "more than one address has ports for: {error}");
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
