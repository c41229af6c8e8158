//! The standard workloads by name: scenario files of one step each, which is a run of the main job.
//!
//! Each begins with what it is, in one line, and where it comes from (`# Source: ...`).

use super::expand::{self, PlannedTask, PlannedWork, Surroundings};
use super::{Error, file};
use std::borrow::Cow;

/// A workload with a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// What it is called: `suite/workload`.
    pub name: Cow<'static, str>,
    /// The scenario file.
    pub text: Cow<'static, str>,
}

macro_rules! suite {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("suite/", $name, ".toml")))),*]
    };
}

/// In the order of their sources.
const SUITE: &[(&str, &str)] = suite! {
    "mqttbs/conn-tcp-10k"
    "mqttbs/conn-tcp-1m"
    "mqttbs/fanout-1k"
    "mqttbs/fanout-5-1000"
    "mqttbs/p2p-1k"
    "mqttbs/p2p-50k"
    "mqttbs/sharedsub-1k"
    "mqttbs/sharedsub-50k"
    "emqx/fanout-2m"
    "emqx/latency-1k"
    "emqx/symmetric"
    "emqx/fanout-2k"
    "emqx/payload-20k"
    "emqx/fanin-2k"
    "emqx/ci-pubsub"
    "emqx/fanin-50k"
    "tbmq/fanout-3m"
    "tbmq/p2p-100k"
    "tbmq/fanin"
    "vmq/1to1"
    "vmq/fanin"
    "vmq/fanout"
    "sparkplug-like"
    "persistent-drain"
    "reconnect-storm"
    "conn-churn"
    "sub-flapping"
    "sub-unsub-flapping"
    "chirino/1-1-1"
    "chirino/fanin-10"
    "chirino/fanout-10"
    "chirino/partitioned-10"
};

/// The names of the BifroMQ reports, which say everything.
pub const GRAMMAR: &str = "PUB_SUB_qosQ_pBYTES_Rmps[_Nn][_Vv]";

impl Named {
    /// All that are listed.
    pub fn all() -> impl Iterator<Item = Named> {
        SUITE.iter().map(|(name, text)| Named { name: (*name).into(), text: (*text).into() })
    }

    /// The one called `name`; names of the grammar are as many as there are numbers.
    ///
    /// # Errors
    /// Nothing is called so.
    pub fn find(name: &str) -> Result<Named, Error> {
        let listed = Named::all().find(|named| named.name == name);
        let spelled = || {
            let text = spelled(name)?;
            Some(Named { name: name.to_owned().into(), text: text.into() })
        };
        listed.or_else(spelled).ok_or_else(|| {
            Error::Usage(format!(
                "`{name}` is not a workload of the suite: see `malaria-bench scenarios` for them, or spell one as \
                 {GRAMMAR}, such as 2k_2k_qos0_p32_100mps"
            ))
        })
    }

    /// What it is, in one line.
    pub fn about(&self) -> &str {
        self.text.lines().next().map_or("", |line| line.trim_start_matches(['#', ' ']))
    }

    /// Where it comes from.
    pub fn source(&self) -> &str {
        self.text.lines().find_map(|line| line.strip_prefix("# Source: ")).unwrap_or("")
    }

    /// What would be typed for it.
    ///
    /// # Errors
    /// It is no scenario of one run: a test holds that each is.
    pub fn words(&self) -> Result<Vec<String>, Error> {
        let wrong = |what: String| Error::Usage(format!("{}: {what}", self.name));
        let scenario = file::parse(&self.text).map_err(|fault| wrong(fault.to_string()))?;
        let around = Surroundings { program: None, out: None, repeats: 1 };
        let experiment = expand::expand(&scenario, &around).map_err(|fault| wrong(fault.to_string()))?;
        let works: Vec<_> =
            experiment.combinations.iter().flat_map(|one| &one.steps).map(|step| &step.work).collect();
        if let [PlannedWork::Sections(sections)] = works[..]
            && let [section] = &sections[..]
            && let PlannedTask::Run(words) = &section.task
        {
            return Ok(words.clone());
        }
        Err(wrong("it is not one run of the main job".to_owned()))
    }
}

/// The scenario that a name of the grammar stands for.
fn spelled(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('_').collect();
    let [publishers, subscribers, qos, payload, rate, ref broker @ ..] = parts[..] else { return None };
    let counts =
        |part: &str, unit| part.strip_suffix(unit).is_some_and(|number| number.parse::<u32>().is_ok());
    // How many nodes and processors the broker had: that is not for here to say.
    if !matches!(*broker, [] | [_] | [_, _])
        || !broker.iter().all(|part| counts(part, 'n') || counts(part, 'v'))
    {
        return None;
    }
    let count =
        |text: &str| text.parse::<crate::units::Count>().ok().map(|count| count.get()).filter(|n| *n > 0);
    let (many, few) = (count(publishers)?, count(subscribers)?);
    let qos = qos.strip_prefix("qos").filter(|qos| ["0", "1", "2"].contains(qos))?;
    let bytes = payload.strip_prefix('p')?.parse::<u64>().ok()?.max(24);
    let rate = rate.strip_suffix("mps")?.parse::<crate::units::Rate>().ok()?;
    let shape = match (many, few) {
        (1, 2..) => "fan-out",
        (2.., 1) => "fan-in",
        _ => "pairs",
    };
    Some(format!(
        "# {publishers} publishers, {subscribers} subscribers, QoS {qos}, {bytes} bytes, {rate} messages a second of each \
         publisher.\n\
         # Source: bifromq-docs, test report; its name says it all: {GRAMMAR}.\n\
         [vars]\nhost = \"localhost\"\nscale = 1\n\n\
         [[step]]\nname = \"load\"\nrun = '''\n-H ${{host}} --scale ${{scale}} --topology {shape} --publishers {many} --subscribers {few}\n\
         -T {rate} -q {qos} -s {bytes} -k 60s --connect-rate 1k --warmup 10s --duration 5m\n\
         --require 'lost == 0' --require 'undelivered-at-end == 0' --require 'delivered >= 99.9%'\n'''\n"
    ))
}
