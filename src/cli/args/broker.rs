//! Flags about what the broker costs.

use crate::cpu::Subject;
use clap::Args;
use std::path::PathBuf;

/// Who the broker is, on this machine.
///
/// Without any of these it is the one process that listens at the port of a host of this machine.
#[derive(Clone, Args)]
pub struct BrokerArgs {
    /// Process of the broker, to tell what it and all that it has started use: CPU per message, memory per connection
    /// and more; repeat it for several [default: the one that listens at the broker's port on this machine].
    #[arg(long, value_name = "PID", help_heading = "Broker")]
    pub broker_pid: Vec<u32>,
    /// Control group of the broker instead, as /proc/PID/cgroup names it; repeat it for several [default: none].
    #[arg(long, value_name = "PATH", help_heading = "Broker")]
    pub broker_cgroup: Vec<PathBuf>,
    /// Container or service of the broker instead, by the part of its control group's path: the id of a container,
    /// mosquitto.service; repeat it for several [default: none].
    #[arg(long, value_name = "NAME", help_heading = "Broker")]
    pub broker_container: Vec<String>,
}

impl BrokerArgs {
    /// Those that were named.
    pub fn subjects(&self) -> Vec<Subject> {
        let processes = self.broker_pid.iter().copied().map(Subject::Process);
        let groups = self.broker_cgroup.iter().cloned().map(Subject::Group);
        let containers = self.broker_container.iter().cloned().map(Subject::Container);
        processes.chain(groups).chain(containers).collect()
    }
}
