//! Prometheus endpoints.

use super::{Look, PATIENCE, Selector, Source, Told, exposition};
use ureq::Agent;

/// The most that an endpoint may say.
const LONGEST: u64 = 16 << 20;

/// Endpoints whose series are added up: the nodes of a cluster.
pub struct Endpoints {
    agent: Agent,
    endpoints: Vec<Endpoint>,
    wanted: Vec<Selector>,
}

struct Endpoint {
    url: String,
    /// Which series it has, as far as it ever answered.
    has: Option<Vec<bool>>,
}

impl Endpoints {
    pub fn new(urls: &[String], wanted: &[Selector]) -> Endpoints {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None);
        let endpoints = urls.iter().map(|url| Endpoint { url: url.clone(), has: None });
        Endpoints { agent: config.build().into(), endpoints: endpoints.collect(), wanted: wanted.to_vec() }
    }
}

impl Source for Endpoints {
    fn look(&mut self) -> Look {
        let mut look = Look { values: vec![None; self.wanted.len()], error: None };
        let mut missing = vec![false; self.wanted.len()];
        for endpoint in &mut self.endpoints {
            match text(&self.agent, &endpoint.url) {
                Ok(text) => {
                    let told = exposition::read(&text, &self.wanted);
                    endpoint.has = Some(told.iter().map(Option::is_some).collect());
                    look.values.iter_mut().zip(&told).for_each(|(sum, told)| add(sum, told.as_ref()));
                }
                // What it has is missing in the sums.
                Err(error) => {
                    let has = endpoint
                        .has
                        .iter()
                        .flatten()
                        .copied()
                        .chain(std::iter::repeat(endpoint.has.is_none()));
                    missing.iter_mut().zip(has).for_each(|(missing, has)| *missing |= has);
                    look.error.get_or_insert(format!("{}: {error}", endpoint.url));
                }
            }
        }
        look.values.iter_mut().zip(missing).filter(|(_, missing)| *missing).for_each(|(sum, _)| *sum = None);
        look
    }
}

fn add(sum: &mut Option<Told>, told: Option<&Told>) {
    if let Some(told) = told {
        let before = sum.map_or(0.0, |sum| sum.value);
        *sum = Some(Told { value: before + told.value, kind: told.kind });
    }
}

fn text(agent: &Agent, url: &str) -> Result<String, ureq::Error> {
    let mut answer = agent.get(url).header("Accept", "text/plain;version=0.0.4").call()?;
    let bytes = answer.body_mut().with_config().limit(LONGEST).read_to_vec()?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
