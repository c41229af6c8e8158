//! What happens on the CPUs of the workers besides them.

use super::{Board, Progress, StageError};
use crate::clock::Nanos;
use crate::cpu::{Groups, Meter, Reading, Subject, Threads, Watch, WatchError};
use crate::engine::{self, Endpoint, Poll};
use crate::record::{BrokerCost, BrokerMetrics, Phase, PhaseCost, Pressure, Used};
use crate::scrape::{Asked, Reader};
use crate::stats::Strain;
use crate::transport::Dialer;
use std::path::Path;
use std::sync::Arc;

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
    /// Who the broker is, as far as somebody said so,
    pub subjects: &'a [Subject],
    /// and whether it is in this process, where what it uses cannot be told from the rest.
    pub embedded: bool,
    /// What is to be known of it from others.
    pub asked: &'a Asked,
    /// What carries the connections.
    pub transport: Option<Arc<Dialer>>,
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
    broker: Option<Broker>,
    /// Who looks at what is told of it, and the phase that was told there.
    readers: Vec<Reader>,
    phase: Option<Phase>,
}

/// What the broker used so far.
struct Broker {
    watch: Watch,
    /// At the beginning, when this was told last, at the last second's end, and where phases began since.
    first: Option<Reading>,
    told: Option<Reading>,
    last: Option<Reading>,
    edges: Vec<(Phase, Option<Reading>)>,
    /// The most memory and descriptors that it held whenever it was looked at.
    most: (Option<u64>, Option<u64>),
}

impl Broker {
    /// Of those that were named, or who listens at `ports` unless that is this process.
    fn find(ports: &[u16], setting: &Setting<'_>) -> Result<Option<Broker>, WatchError> {
        let (root, own) = (Path::new("/"), std::process::id());
        let watch = match setting.subjects {
            _ if setting.embedded => None,
            [] => Watch::at_ports(root, own, ports),
            subjects => Some(Watch::open(root, own, subjects)?),
        };
        Ok(watch.map(|mut watch| {
            let first = watch.look();
            Broker { watch, first, told: first, last: first, edges: Vec::new(), most: (None, None) }
        }))
    }

    fn look(&mut self) -> Option<Reading> {
        let now = self.watch.look()?;
        self.most = (self.most.0.max(now.resident_bytes), self.most.1.max(now.descriptors));
        Some(now)
    }

    /// What it has used since it was asked last.
    fn second(&mut self) -> Option<Used> {
        let now = self.look();
        let before = std::mem::replace(&mut self.last, now);
        Some(now?.since(&before?))
    }

    /// A phase has begun, unless it has before.
    fn enter(&mut self, phase: Phase) {
        if self.edges.last().is_none_or(|(last, _)| *last != phase) {
            let now = self.look();
            self.edges.push((phase, now));
        }
    }

    fn cost(&mut self) -> BrokerCost {
        let end = self.look();
        let since = |before: &Option<Reading>, after: Option<Reading>| Some(after?.since(before.as_ref()?));
        let ends = self.edges.iter().skip(1).map(|(_, reading)| *reading).chain([end]);
        let phases = self.edges.iter().zip(ends);
        let cost = BrokerCost {
            watched: self.watch.watched(),
            at_first_bytes: self.first.and_then(|reading| reading.resident_bytes),
            most_bytes: self.most.0,
            most_descriptors: self.most.1,
            whole: since(&self.told, end),
            phases: phases
                .map(|((phase, begin), end)| PhaseCost { phase: *phase, used: since(begin, end) })
                .collect(),
            ..BrokerCost::default()
        };
        (self.told, self.edges) = (end, Vec::new());
        cost
    }
}

impl Scene {
    /// As things stand before workers on `cpus` begin.
    ///
    /// # Errors
    /// A broker that was named cannot be watched, or a thread cannot be started.
    pub fn new(cpus: &[usize], setting: &Setting<'_>) -> Result<Scene, StageError> {
        let ports = setting.targets.iter().filter(|target| engine::is_local(target));
        let ports = ports.filter_map(|target| match target {
            Endpoint::Tcp(address) => Some(address.port()),
            Endpoint::Unix(_) => None,
        });
        let ports: Vec<u16> = ports.collect();
        Ok(Scene {
            // A connection of theirs is none of the run's.
            readers: Reader::open(setting.asked)?,
            broker: Broker::find(&ports, setting)?,
            phase: None,
            before: Threads::look(Path::new("/")),
            meter: Meter::new(Path::new("/"), cpus),
            since: setting.epoch,
            cpus: cpus.to_vec(),
            ports,
        })
    }

    /// Adds to a second what the machine took and the broker used since the last one, while each worker, with its CPU
    /// beside it, fared so; and what others told of the broker last.
    pub fn second(&mut self, workers: &[(usize, Strain)], second: &mut Progress) {
        second.pressure = Pressure::of(&self.meter.take(), workers);
        second.broker = self.broker.as_mut().and_then(Broker::second);
        second.metrics = self.readers.iter().flat_map(Reader::latest).collect();
    }

    /// This phase is under way.
    pub fn enter(&mut self, phase: Phase) {
        if let Some(broker) = &mut self.broker {
            broker.enter(phase);
        }
        if self.phase.replace(phase) != Some(phase) {
            self.readers.iter().for_each(|reader| reader.enter(phase));
        }
    }

    /// The last phase is over.
    pub fn finish(&mut self) {
        self.readers.iter().for_each(Reader::finish);
    }

    /// Tells what the broker used and who else has run since the last time, at the end.
    pub fn tell<E>(&mut self, board: &mut Board<E>) {
        board.broker = self.broker.as_mut().map(Broker::cost);
        board.metrics = self.readers.iter().map(Reader::tell).reduce(BrokerMetrics::and);
        let now = Threads::look(Path::new("/"));
        let own = (std::process::id(), &self.cpus[..]);
        board.neighbours = now.beside(&self.before, own, &self.ports, board.end - self.since);
        (self.before, self.since) = (now, board.end);
        board.quota = Groups::of_self(Path::new("/")).quota();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the parts of a run cost is what all of it did, and each has phases of its own.
    #[test]
    fn what_a_part_cost_is_in_no_other() {
        let own = Subject::Process(std::process::id());
        let watch = Watch::open(Path::new("/"), 0, &[own]).expect("this process is there");
        let mut broker =
            Broker { watch, first: None, told: None, last: None, edges: Vec::new(), most: (None, None) };
        broker.first = broker.look();
        broker.told = broker.first;
        let mut part = |phase| {
            broker.enter(phase);
            let mut cost = broker.cost();
            // Until the kernel has counted some of this.
            while cost.whole.expect("it has not ended").cpu_ns() == 0 {
                cost = broker.cost();
                broker.enter(phase);
            }
            (cost.whole.expect("it has not ended").cpu_ns(), broker.edges.len(), broker.told)
        };
        let ((first, _, _), (second, phases, told)) = (part(Phase::Measure), part(Phase::Drain));
        assert!(first > 0 && second > 0 && phases <= 1, "{first} {second} {phases}");
        let all = told.and_then(|told| Some(told.since(&broker.first?).cpu_ns())).expect("it has not ended");
        assert!(first + second <= all, "{first} and {second} are more than {all}");
    }
}
