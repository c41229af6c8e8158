//! What happens on the CPUs of the workers besides them.

use super::Board;
use crate::clock::Nanos;
use crate::cpu::{Groups, Meter, Threads};
use crate::engine::{self, Endpoint, Poll};
use crate::record::Pressure;
use crate::stats::Strain;
use std::path::Path;

/// What a stage is opened for.
pub struct Setting<'a> {
    /// How workers wait.
    pub poll: Poll,
    /// When the run began, on the process clock: its seconds are counted from here.
    pub epoch: Nanos,
    /// Clients in all.
    pub clients: u64,
    /// Where the brokers are.
    pub targets: &'a [Endpoint],
    /// Workers from this one on have their figures apart.
    pub apart: usize,
}

/// The machine around the workers.
pub struct Scene {
    meter: Meter,
    /// What had run by when this was told last, and when that was.
    before: Threads,
    since: Nanos,
    cpus: Vec<usize>,
    /// Where brokers on this machine listen.
    ports: Vec<u16>,
}

impl Scene {
    /// As things stand before workers on `cpus` begin.
    pub fn new(cpus: &[usize], setting: &Setting<'_>) -> Scene {
        let ports = setting.targets.iter().filter(|target| engine::is_local(target));
        let ports = ports.filter_map(|target| match target {
            Endpoint::Tcp(address) => Some(address.port()),
            Endpoint::Unix(_) => None,
        });
        Scene {
            before: Threads::look(Path::new("/")),
            meter: Meter::new(Path::new("/"), cpus),
            since: setting.epoch,
            cpus: cpus.to_vec(),
            ports: ports.collect(),
        }
    }

    /// What the machine took since this was asked last, while each worker, with its CPU beside it, fared so.
    pub fn pressure(&mut self, workers: &[(usize, Strain)]) -> Pressure {
        Pressure::of(&self.meter.take(), workers)
    }

    /// Tells who else has run since the last time, at the end.
    pub fn tell<E>(&mut self, board: &mut Board<E>) {
        let now = Threads::look(Path::new("/"));
        let own = (std::process::id(), &self.cpus[..]);
        board.neighbours = now.beside(&self.before, own, &self.ports, board.end - self.since);
        (self.before, self.since) = (now, board.end);
        board.quota = Groups::of_self(Path::new("/")).quota();
    }
}
