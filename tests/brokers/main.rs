//! The program against real brokers, one list of tests for all of them: what is sent arrives, every count
//! and histogram of the record agrees with every other, and the broker's own counters agree with ours.
//!
//! Needs what `tools/test` installs. What is missing is skipped loudly, and fails where `CI=true`.

mod bench;
mod broker;
mod cases;
mod cost;
mod exporter;
mod port;
mod process;
mod refusals;
mod sink;
mod streams;
mod websocket;

macro_rules! with_each_broker {
    ($($broker:ident: $kind:ident,)*) => { $(
        mod $broker {
            use crate::cases;
            use crate::broker::Kind::$kind as KIND;

            #[test] fn pairs_at_qos_0() { cases::pairs(KIND, 0) }
            #[test] fn pairs_at_qos_1() { cases::pairs(KIND, 1) }
            #[test] fn pairs_at_qos_2() { cases::pairs(KIND, 2) }
            #[test] fn fan_in_at_qos_0() { cases::fan_in(KIND, 0) }
            #[test] fn fan_in_at_qos_1() { cases::fan_in(KIND, 1) }
            #[test] fn fan_in_at_qos_2() { cases::fan_in(KIND, 2) }
            #[test] fn fan_out_at_qos_0() { cases::fan_out(KIND, 0) }
            #[test] fn fan_out_at_qos_1() { cases::fan_out(KIND, 1) }
            #[test] fn fan_out_at_qos_2() { cases::fan_out(KIND, 2) }
            #[test] fn publish_at_qos_0() { cases::publish(KIND, 0) }
            #[test] fn publish_at_qos_1() { cases::publish(KIND, 1) }
            #[test] fn publish_at_qos_2() { cases::publish(KIND, 2) }
            #[test] fn idle() { cases::idle(KIND) }
            #[test] fn keepalive() { cases::keepalive(KIND) }
            #[test] fn count_mode() { cases::count_mode(KIND) }
            #[test] fn closed_loop() { cases::closed_loop(KIND) }
            #[test] fn poisson() { cases::poisson(KIND) }
            #[test] fn lower_subscription() { cases::lower_subscription(KIND) }
            #[test] fn several_hosts() { cases::several_hosts(KIND) }
            #[test] fn ipv6() { cases::ipv6(KIND) }
            #[test] fn topics() { cases::topics(KIND) }
            #[test] fn payload_sizes() { cases::payload_sizes(KIND) }
            #[test] fn persistent_sessions() { cases::persistent_sessions(KIND) }
            #[test] fn foreign_payloads() { cases::foreign_payloads(KIND) }
        }
    )* };
}

/// Those that speak MQTT 5.
macro_rules! in_version_5 {
    ($($broker:ident: $kind:ident,)*) => { $(
        mod $broker {
            use crate::cases;
            use crate::broker::Kind::$kind as KIND;

            #[test] fn five_at_qos_0() { cases::five(KIND, 0) }
            #[test] fn five_at_qos_1() { cases::five(KIND, 1) }
            #[test] fn five_at_qos_2() { cases::five(KIND, 2) }
        }
    )* };
}

in_version_5! {
    mosquitto_5: Mosquitto,
    reflector_5: Reflector,
}

with_each_broker! {
    mosquitto: Mosquitto,
    reflector: Reflector,
    aedes: Aedes,
}
