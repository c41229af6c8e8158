//! What a run cost the broker, in words.

use crate::record::{BrokerCost, By};
use crate::units;

/// Who was watched: `mosquitto, pid 4711, which listens there`.
pub fn watched(cost: &BrokerCost) -> String {
    let told = cost.watched.iter().map(|one| match (one.by, one.pid) {
        (By::Port, Some(pid)) => format!("{}, pid {pid}, which listens there", one.name),
        (_, Some(pid)) => format!("{}, pid {pid}", one.name),
        (By::Container, None) => format!("container {}", one.name),
        (_, None) => format!("control group {}", one.name),
    });
    let told = told.collect::<Vec<_>>().join("; ");
    if cost.whole.is_some() { told } else { format!("{told}: ended before the run did") }
}

/// The figures that there are, by their names.
pub fn items(cost: &BrokerCost) -> Vec<String> {
    let mut items = Vec::new();
    let time = |name: &str, ns: u64| format!("{name} {}", units::latency(ns));
    let bytes = |name: &str, bytes: u64| format!("{name} {}", units::bytes(bytes));
    items.extend(cost.cpu_per_message_ns.map(|ns| time("CPU per message", ns)));
    items.extend(cost.memory_per_connection_bytes.map(|each| bytes("memory per connection", each)));
    if let Some(used) = cost.measured() {
        let (user, system) = (units::latency(used.user_cpu_ns), units::latency(used.system_cpu_ns));
        items.push(format!("CPU {user} user, {system} system"));
    }
    items.extend(cost.most_bytes.map(|most| bytes("memory", most)));
    if let Some(used) = cost.measured() {
        items.extend(used.switches().map(|count| format!("context switches {}", units::grouped(count))));
    }
    items.extend(cost.most_descriptors.map(|most| format!("descriptors {}", units::grouped(most))));
    let throttled = cost.measured().and_then(|used| used.throttled_ns);
    items.extend(throttled.filter(|ns| *ns > 0).map(|ns| time("a quota took", ns)));
    items
}
