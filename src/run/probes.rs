//! Probes: a second run beside the load, of few clients and few messages, that takes the same way at the same time.
//!
//! They have the commands, the phases and the path of the load, and a worker, topics and figures of their own: what the
//! load had and they had not is no property of the broker's.

use super::{Plan, Spec};
use crate::crew::Connection;
use crate::record::{Arrival, Schedule, Topology};

/// Messages a second of each: few enough to be in nobody's way, and p99 takes six of them a minute.
const RATE: f64 = 10.0;

/// The run of the probes of `load`, on its one worker. It is punctual, and leaves nothing behind at the broker.
pub fn of(load: &Spec) -> Spec {
    let probes = load.plan.probes;
    let qos = load.plan.qos.max(1);
    let rate_per_s = f64::from(probes) * RATE;
    let plan = Plan {
        clients: 2 * probes,
        publishers: probes,
        subscribers: probes,
        probes: 0,
        topology: Topology::Pairs,
        schedule: Schedule::Open { rate_per_s, arrival: Arrival::Constant, inflight: u16::MAX.into() },
        profile: None,
        absences: Vec::new(),
        stay_ns: None,
        flap: None,
        groups: None,
        share: None,
        filters: Vec::new(),
        // Acknowledged in any case, and as the load is otherwise.
        qos,
        sub_qos: qos,
        msg_count: None,
        tolerance_ns: 0,
        clean_session: true,
        client_columns: Vec::new(),
        client_id_prefix: format!("{}-probe", load.plan.client_id_prefix),
        topic_template: format!("{}/probe/%p", load.plan.topic_template),
        seed: load.plan.seed.wrapping_add(1),
        ..load.plan.clone()
    };
    // Beside the clients of the load, not in their stead.
    let (identities, sources) = (load.connection.identities.nameless(), load.connection.sources.common());
    Spec {
        cpus: vec![load.probe_cpu],
        connection: Connection {
            clean_session: true,
            will: None,
            identities,
            sources,
            ..load.connection.clone()
        },
        ..Spec::new(plan, load.targets.clone())
    }
}
