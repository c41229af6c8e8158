//! Flags about what the broker costs.

use crate::cli::Usage;
use crate::cpu::Subject;
use crate::scrape::{self, Asked, Selector};
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

/// Series that are looked at where nobody chose any: what client libraries of Prometheus tell of their process.
const USUAL: [&str; 2] = ["process_cpu_seconds_total", "process_resident_memory_bytes"];

/// What others tell of the broker.
#[derive(Clone, Args)]
pub struct MetricsArgs {
    /// Prometheus endpoint of the broker, or of an exporter beside it, to look at once a second; repeat it for the nodes
    /// of a cluster, whose series are added up [default: none].
    #[arg(long, value_name = "URL", value_parser = url, help_heading = "Broker")]
    pub broker_metrics: Vec<String>,
    /// Series to keep of it, such as 'emqx_messages_dropped{node="a"}'; those that differ in other labels are added up.
    /// Repeat it for several [default: process_cpu_seconds_total and process_resident_memory_bytes].
    #[arg(long, value_name = "SERIES", help_heading = "Broker")]
    pub broker_series: Vec<Selector>,
    /// Ask the broker for what it publishes under $SYS, over a connection of its own: messages and bytes in, out and
    /// dropped, clients, heap. Other topics are series: --broker-series '$SYS/broker/...'. Not with TLS or WebSocket
    /// [default: off].
    #[arg(long, conflicts_with = "embedded", help_heading = "Broker")]
    pub broker_sys: bool,
}

impl MetricsArgs {
    /// The same for who looks, but for where the broker is.
    ///
    /// # Errors
    /// A series of which nobody is asked.
    pub fn asked(&self) -> Result<Asked, Usage> {
        let names =
            |names: &[&str]| names.iter().map(|name| name.parse().expect("a name")).collect::<Vec<_>>();
        let (more, mut series): (Vec<Selector>, Vec<Selector>) =
            self.broker_series.iter().cloned().partition(|series| series.name.starts_with("$SYS/"));
        if let (Some(series), true) = (series.first(), self.broker_metrics.is_empty()) {
            return Err(Usage(format!("--broker-series {series}: say with --broker-metrics who tells it")));
        }
        if let (Some(topic), false) = (more.first(), self.broker_sys) {
            return Err(Usage(format!("--broker-series {topic}: add --broker-sys")));
        }
        if series.is_empty() {
            series = names(&USUAL);
        }
        let mut topics = names(&scrape::USUAL);
        topics.extend(more);
        let urls = self.broker_metrics.clone();
        Ok(Asked { urls, series, topics, sys: None })
    }
}

fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if host.is_empty() || text.contains(char::is_whitespace) {
        return Err("expected http://HOST[:PORT]/PATH, such as http://broker.lab:9100/metrics".into());
    }
    Ok(text.to_owned())
}
