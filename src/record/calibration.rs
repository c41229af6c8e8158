//! What this machine can generate at most, and how much of that a run used.

use super::{Record, Schedule};
use crate::clock::Nanos;
use crate::cpu::Machine;
use serde::{Deserialize, Serialize};

/// Name and version of a calibration's format.
const SCHEMA: &str = "malaria-bench-calibration/1";
/// A run that used more than this share of what was measured is told of it.
const NEAR: f64 = 0.8;

/// What the generator does against the embedded reflector on one machine. Rates are of `cores` CPUs that are full:
/// measured messages per second over the share of the busiest CPU.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calibration {
    /// Always `malaria-bench-calibration/1`.
    pub schema: String,
    /// Wall-clock time, RFC 3339 in UTC.
    pub measured_at: String,
    /// Version of malaria-bench that measured.
    pub version: String,
    /// The machine.
    pub machine: Machine,
    /// CPUs that the generator had.
    pub cores: u32,
    /// Messages sent per second at QoS 0, and sent and acknowledged at QoS 1 and 2.
    pub out_per_s: [f64; 3],
    /// Messages received per second at QoS 0, 1 and 2.
    pub in_per_s: [f64; 3],
    /// Messages sent, acknowledged and received by one another per second at QoS 1.
    pub both_per_s: f64,
    /// Connections established per second, reflector's part included.
    pub connects_per_s: f64,
    /// Median time from the hand-over of a message to its PUBACK, at 4,000 messages a second.
    pub round_trip_p50_ns: Nanos,
    /// Median of how late a worker that sleeps notices what is due: timer and wake-up.
    pub wake_lag_p50_ns: Nanos,
    /// Its 99th percentile.
    pub wake_lag_p99_ns: Nanos,
    /// Median time from the arrival of bytes until a worker that sleeps looks at them: wake-up alone.
    pub hearing_lag_p50_ns: Nanos,
}

/// How much of what the machine can do a run asked of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calibrated {
    /// When the machine was calibrated, RFC 3339 in UTC.
    pub measured_at: String,
    /// What the run's CPUs send per second at its QoS, when they are full.
    pub out_per_s: f64,
    /// What they receive per second at its QoS, when they are full.
    pub in_per_s: f64,
    /// Median time from hand-over to PUBACK against the embedded reflector.
    pub round_trip_p50_ns: Nanos,
    /// Sent over `out_per_s` plus delivered over `in_per_s`; 1 is all that the CPUs can do.
    pub share: f64,
}

impl Calibration {
    /// The JSON Schema (draft 2020-12) of one.
    pub const JSON_SCHEMA: &'static str = include_str!("calibration.schema.json");

    /// Of a machine on which nothing was measured yet.
    pub fn new(measured_at: String, machine: Machine, cores: u32) -> Calibration {
        Calibration {
            schema: SCHEMA.to_owned(),
            measured_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine,
            cores,
            out_per_s: [0.0; 3],
            in_per_s: [0.0; 3],
            both_per_s: 0.0,
            connects_per_s: 0.0,
            round_trip_p50_ns: 0,
            wake_lag_p50_ns: 0,
            wake_lag_p99_ns: 0,
            hearing_lag_p50_ns: 0,
        }
    }

    /// Reads one of `machine`; `None` for anything else, and for one of another version.
    pub fn from_json(text: &str, machine: &Machine) -> Option<Calibration> {
        let known: Calibration = serde_json::from_str(text).ok()?;
        // Limits and the CPUs that this process is left may differ from run to run.
        let print = |machine: &Machine| {
            let Machine { host, cpu_model, cpus, kernel, .. } = machine;
            (host.clone(), cpu_model.clone(), *cpus, kernel.clone())
        };
        let fits = known.schema == SCHEMA && known.version == env!("CARGO_PKG_VERSION");
        (fits && print(&known.machine) == print(machine)).then_some(known)
    }
}

impl Record {
    /// Says how much of what was calibrated the run used, and warns where that is nearly all.
    pub fn calibrate(&mut self, known: &Calibration) {
        let (plan, throughput) = (&self.plan, self.throughput);
        let cores = f64::from(plan.cores_used) / f64::from(known.cores.max(1));
        let at = |rates: &[f64; 3], qos: u8| cores * rates[usize::from(qos.min(2))];
        let (out_per_s, in_per_s) = (at(&known.out_per_s, plan.qos), at(&known.in_per_s, plan.sub_qos));
        let of = |count, most: f64| self.rate_per_s(count).filter(|_| most > 0.0).map(|rate| rate / most);
        let shares = [of(throughput.sent, out_per_s), of(throughput.delivered, in_per_s)];
        if plan.schedule == Schedule::None || shares.iter().all(Option::is_none) {
            return;
        }
        let share = shares.into_iter().flatten().sum();
        let calibrated = Calibrated {
            measured_at: known.measured_at.clone(),
            out_per_s,
            in_per_s,
            round_trip_p50_ns: known.round_trip_p50_ns,
            share,
        };
        if share > NEAR {
            self.warnings.push(format!(
                "this load is {} of what the generator's {} can do at most (malaria-bench calibrate): the generator \
                 may be what is measured; more --cores would tell",
                crate::units::percent(share),
                if plan.cores_used == 1 { "CPU".to_owned() } else { format!("{} CPUs", plan.cores_used) }
            ));
        }
        self.calibration = Some(calibrated);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{clean, idle};
    use super::*;

    fn calibration() -> Calibration {
        let mut calibration = Calibration::new("2026-11-27T21:00:00Z".into(), clean().machine, 2);
        (calibration.out_per_s, calibration.in_per_s) = ([8e6, 200_000.0, 50_000.0], [9e6, 400_000.0, 1.0]);
        calibration
    }

    #[test]
    fn a_calibration_is_as_its_schema_says() {
        let schema = serde_json::from_str(Calibration::JSON_SCHEMA).expect("JSON");
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let json = serde_json::to_value(calibration()).expect("plain data");
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        for name in json.as_object().expect("an object").keys() {
            let mut lacking = json.clone();
            lacking.as_object_mut().expect("an object").remove(name);
            assert!(!validator.is_valid(&lacking), "{name}");
        }
    }

    /// 20,000 messages a second each way, of 100,000 out and 200,000 in that one of the two CPUs can do at QoS 1.
    #[test]
    fn shares_of_sending_and_receiving_add_up() {
        let mut record = clean();
        record.calibrate(&calibration());
        let told = record.calibration.as_ref().expect("both are known");
        assert_eq!((told.out_per_s, told.in_per_s), (100_000.0, 200_000.0));
        assert!((told.share - 0.3).abs() < 0.001, "{told:?}");
        assert_eq!(record.warnings, clean().warnings);
    }

    /// R22: a run near the ceiling is flagged.
    #[test]
    fn r22_a_load_near_what_was_calibrated_is_told_of() {
        let near = |out| {
            let mut record = clean();
            record.calibrate(&Calibration { out_per_s: [0.0, out, 0.0], ..calibration() });
            (record.calibration.unwrap().share, record.warnings.len() - clean().warnings.len())
        };
        let (share, warnings) = near(60_000.0);
        assert!((0.75..0.8).contains(&share) && warnings == 0, "{share}");
        let (share, warnings) = near(55_000.0);
        assert!((0.8..0.85).contains(&share) && warnings == 1, "{share}");
    }

    #[test]
    fn who_sends_nothing_uses_nothing() {
        let mut record = idle();
        record.calibrate(&calibration());
        assert_eq!(record.calibration, None);
    }

    #[test]
    fn a_calibration_is_of_one_machine_and_one_version() {
        let known = calibration();
        let json = |known: &Calibration| serde_json::to_string(known).unwrap();
        let here = Machine { nofile_soft: Some(7), cpus_allowed: vec![1], ..known.machine.clone() };
        assert_eq!(Calibration::from_json(&json(&known), &here), Some(known.clone()));
        let others = [
            Machine { host: "other".into(), ..here.clone() },
            Machine { cpu_model: "other".into(), ..here.clone() },
            Machine { cpus: 77, ..here.clone() },
            Machine { kernel: "7.0".into(), ..here.clone() },
        ];
        for other in others {
            assert_eq!(Calibration::from_json(&json(&known), &other), None, "{other:?}");
        }
        let older = Calibration { version: "0.0.1".into(), ..known.clone() };
        assert_eq!(Calibration::from_json(&json(&older), &here), None);
        assert_eq!(Calibration::from_json("{}", &here), None);
    }
}
