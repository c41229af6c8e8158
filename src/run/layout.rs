//! Which worker drives which clients, and from which local address to which broker.

use super::{RunError, Spec};
use crate::engine::{self, Endpoint, PortRange, Route};
use crate::load::{Role, Routes, Split};

/// The clients of one worker.
#[derive(Debug, PartialEq, Eq)]
pub struct WorkerLayout {
    pub cpu: usize,
    /// Indices of its clients, ascending: publishers, subscribers, the idle.
    pub clients: Vec<u32>,
}

pub struct Layout {
    pub split: Split,
    routes: Routes,
    pub workers: Vec<WorkerLayout>,
    targets: Vec<Endpoint>,
    /// Clients that share a source address, where there are several.
    per_source: Option<u32>,
    ports: Option<PortRange>,
}

/// Flows checked at most: 16 bytes each.
const FLOWS: u64 = 100_000_000;

impl Layout {
    /// Lays out the clients of `spec` on its CPUs, with tables of at most `table` connections.
    pub fn new(spec: &Spec, routes: &Routes, table: u32) -> Result<Layout, RunError> {
        let plan = &spec.plan;
        let flows = routes.flows();
        if flows > FLOWS {
            return Err(RunError::Flows { flows, limit: FLOWS });
        }
        let split = Split {
            publishers: plan.publishers,
            subscribers: plan.subscribers,
            idle: plan.clients - plan.publishers - plan.subscribers,
        };
        let (per_source, ports) = sources(&spec.targets, split.clients())?;
        let workers = place(split, routes, &spec.cpus, table);
        Ok(Layout { split, routes: *routes, workers, targets: spec.targets.clone(), per_source, ports })
    }

    /// Rings that share a core, where they share one.
    pub fn rings_per_core(&self) -> u64 {
        let first = self.workers[0].cpu;
        self.workers.iter().filter(|worker| worker.cpu == first).count() as u64
    }

    /// The way of client `index`. Groups take turns over the brokers, so that the two ends of a flow meet
    /// also where the brokers do not know each other; with fewer groups than brokers, clients do.
    pub fn route(&self, index: u32) -> Route {
        let brokers = self.targets.len() as u32;
        let turn = match self.split.role(index) {
            Role::Publisher(number) | Role::Subscriber(number) if self.routes.groups() >= brokers => {
                self.routes.group(number)
            }
            _ => index,
        };
        let remote = self.targets[(turn % brokers) as usize].clone();
        let source = self
            .per_source
            .and_then(|per_source| engine::loopback_source(&remote, index / brokers / per_source));
        Route { remote, source, ports: self.ports }
    }
}

/// Deals clients to workers: members of one group together, so that the two ends of a flow share a
/// worker, as long as there are groups for all workers. Rings on one CPU are added until no table
/// overflows.
fn place(split: Split, routes: &Routes, cpus: &[usize], table: u32) -> Vec<WorkerLayout> {
    let cores = (cpus.len() as u32).min(split.clients());
    let mut rings_per_core = 1.max(split.clients().div_ceil(table).div_ceil(cores));
    loop {
        let count = cores * rings_per_core;
        let worker_of = |index: u32| match split.role(index) {
            Role::Publisher(number) | Role::Subscriber(number) if routes.groups() >= count => {
                routes.group(number) % count
            }
            _ => index % count,
        };
        let mut workers: Vec<_> = (0..count)
            .map(|worker| WorkerLayout { cpu: cpus[(worker % cores) as usize], clients: Vec::new() })
            .collect();
        for index in 0..split.clients() {
            workers[worker_of(index) as usize].clients.push(index);
        }
        if workers.iter().all(|worker| worker.clients.len() <= table as usize) {
            return workers;
        }
        rings_per_core += 1;
    }
}

/// How many clients share a source address, or which ports they use, so that every client finds a port.
fn sources(targets: &[Endpoint], clients: u32) -> Result<(Option<u32>, Option<PortRange>), RunError> {
    let clients = clients.div_ceil(targets.len() as u32);
    let system = engine::ephemeral_ports();
    // connect() searches ever longer for a free port when few are left.
    let comfortable = system.ports() / 2;
    if clients <= comfortable {
        return Ok((None, None));
    }
    let away = targets.iter().find(|target| engine::loopback_source(target, 0).is_none());
    let Some(target) = away else {
        return Ok((Some(comfortable.max(1)), None));
    };
    match clients {
        _ if clients <= system.ports() - system.ports() / 16 => Ok((None, None)),
        _ if clients <= PortRange::WIDEST.ports() - 1024 => Ok((None, Some(PortRange::WIDEST))),
        _ => {
            let ports = PortRange::WIDEST.ports();
            Err(RunError::Ports { clients, target: target.clone(), sources: "this machine's address", ports })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(split: Split, cpus: usize, table: u32) -> Vec<WorkerLayout> {
        let routes = Routes::new(split, &"bench/%p".parse().unwrap());
        place(split, &routes, &(0..cpus).collect::<Vec<_>>(), table)
    }

    #[test]
    fn pairs_stay_together_and_workers_are_even() {
        let split = Split { publishers: 500, subscribers: 500, idle: 3 };
        let workers = workers(split, 4, 20_000);
        assert_eq!(workers.len(), 4);
        let mut all: Vec<u32> = workers.iter().flat_map(|worker| worker.clients.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..1003).collect::<Vec<_>>());
        for worker in &workers {
            assert!((250..=251).contains(&worker.clients.len()));
            assert!(worker.clients.is_sorted());
            for &index in &worker.clients {
                if index < 500 {
                    assert!(worker.clients.contains(&(index + 500)), "{index}");
                }
            }
        }
    }

    #[test]
    fn a_table_too_small_makes_more_rings_on_the_same_cpus() {
        let split = Split { publishers: 100_000, subscribers: 100_000, idle: 0 };
        let workers = workers(split, 2, 20_000);
        assert!(workers.iter().all(|worker| worker.clients.len() <= 20_000));
        assert_eq!(workers.len(), 10);
        assert_eq!(workers.iter().filter(|worker| worker.cpu == 0).count(), 5);
        let routes = Routes::new(split, &"bench/%p".parse().unwrap());
        let layout = Layout { split, routes, workers, targets: Vec::new(), per_source: None, ports: None };
        assert_eq!(layout.rings_per_core(), 5);
    }

    #[test]
    fn one_group_is_spread_over_all_workers() {
        let split = Split { publishers: 1, subscribers: 999, idle: 0 };
        let workers = workers(split, 4, 20_000);
        assert!(workers.iter().all(|worker| worker.clients.len() == 250));
        assert_eq!(
            super::place(
                Split { publishers: 1, subscribers: 1, idle: 0 },
                &Routes::new(Split { publishers: 1, subscribers: 1, idle: 0 }, &"%p".parse().unwrap()),
                &[3, 4, 5, 6],
                100
            )
            .len(),
            2,
            "no worker without a client"
        );
    }

    #[test]
    fn loopback_has_as_many_sources_as_needed_and_others_one() {
        let endpoint = |text: &str| Endpoint::Tcp(text.parse().unwrap());
        let local = [endpoint("127.0.0.1:1883")];
        let away = [endpoint("192.0.2.1:1883")];
        let system = engine::ephemeral_ports().ports();
        assert_eq!(sources(&local, 1000).unwrap(), (None, None));
        assert_eq!(sources(&local, 200_000).unwrap(), (Some(system / 2), None));
        assert_eq!(sources(&away, system * 3 / 4).unwrap(), (None, None));
        assert_eq!(sources(&away, 60_000).unwrap(), (None, Some(PortRange::WIDEST)));
        let error = sources(&away, 70_000).unwrap_err().to_string();
        assert!(error.contains("70000") && error.contains("--host"), "{error}");
        let four: Vec<_> = (1..5).map(|i| endpoint(&format!("192.0.2.{i}:1883"))).collect();
        assert!(sources(&four, 200_000).is_ok());
    }

    #[test]
    fn both_ends_of_a_pair_go_to_the_same_broker() {
        let split = Split { publishers: 500, subscribers: 500, idle: 5 };
        let targets: Vec<_> = (1..4).map(|i| Endpoint::Tcp(([192, 0, 2, i], 1883).into())).collect();
        let routes = Routes::new(split, &"bench/%p".parse().unwrap());
        let layout = Layout { split, routes, workers: Vec::new(), targets, per_source: None, ports: None };
        let broker = |index| layout.route(index).remote;
        assert!((0..500).all(|pair| broker(pair) == broker(500 + pair)));
        for target in &layout.targets {
            let clients = (0..1005).filter(|&index| broker(index) == *target).count();
            assert!((333..=337).contains(&clients), "{clients}");
        }
    }
}
