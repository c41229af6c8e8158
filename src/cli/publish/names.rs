//! The ids of publishing clients, and when each joins and leaves.

use super::super::Usage;
use super::super::args::{PublishArgs, Step};
use crate::clock::Nanos;
use crate::fleet::PublisherName;
use crate::seed;

/// What mosquitto puts before the id of a bridge's connection, as the old tool named it.
const BRIDGE: &str = "mal-bridge-";

/// What every broker takes as a client id in MQTT 3.1.
const SHORT: usize = 23;

/// More clients than this do not fit any machine there is.
const MOST: u64 = 10_000_000;

/// When a client joins, and when it leaves.
type Stay = (Nanos, Option<Nanos>);

/// Whether clients connect as bridges: with --thread_ratio they always did.
pub fn is_bridge(args: &PublishArgs) -> bool {
    args.bridge || args.thread_ratio != 1
}

/// Every client of the run, by index.
pub fn names(args: &PublishArgs, prefix: &str, seed: u64) -> Result<Vec<PublisherName>, Usage> {
    let (processes, threads) = (u64::from(args.processes), u64::from(args.thread_ratio));
    if threads != 1 && !args.steps.is_empty() {
        return Err(Usage("--steps cannot be used with --thread_ratio: use --processes alone".into()));
    }
    let joining: u64 = args.steps.iter().map(|step| step.clients.max(0) as u64).sum();
    if processes.saturating_mul(threads).saturating_add(joining) > MOST {
        return Err(Usage(format!(
            "--processes {processes}: more than {MOST} clients cannot run at once; choose fewer"
        )));
    }
    let stays = stays(processes * threads, &args.steps)?;
    let shape = Shape {
        prefix,
        longest: args.short_ids.then(|| SHORT - if is_bridge(args) { BRIDGE.len() } else { 0 }),
        suffix: args.id_suffix.into(),
        seed,
    };
    let named = |(index, (joins, leaves)): (u64, Stay)| {
        let own = match threads {
            1 => format!("-{index}"),
            // As of old behind a name that was typed; nothing but hyphens in names that were not.
            _ if args.clientid.is_some() => format!("_{}_{}", index / threads, index % threads),
            _ => format!("-{}-{}", index / threads, index % threads),
        };
        let topic_id = shape.id(index, &own)?;
        let mut client = PublisherName { client_id: String::new(), topic_id, joins, leaves };
        let id = client.topic_id.clone();
        rename(&mut client, &id, is_bridge(args));
        Ok(client)
    };
    (0..).zip(stays).map(named).collect()
}

/// Gives `client` an id.
pub fn rename(client: &mut PublisherName, id: &str, bridge: bool) {
    client.client_id = if bridge { format!("{BRIDGE}{id}") } else { id.to_owned() };
    id.clone_into(&mut client.topic_id);
}

/// What ids have in common.
struct Shape<'a> {
    prefix: &'a str,
    longest: Option<usize>,
    suffix: usize,
    seed: u64,
}

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Shape<'_> {
    /// The prefix, what is `own` to the client, and random characters; too long a prefix loses its end, so
    /// that ids stay different.
    fn id(&self, index: u64, own: &str) -> Result<String, Usage> {
        let mut end = own.to_owned();
        if self.suffix > 0 {
            let mut draw = seed::stream(self.seed, "client id", index);
            end.push('-');
            end.extend((0..self.suffix).map(|_| char::from(LETTERS[draw.below(62) as usize])));
        }
        let room = match self.longest.map(|longest| longest.checked_sub(end.len() + 1)) {
            None => self.prefix.len(),
            Some(Some(room)) => room + 1,
            Some(None) => {
                return Err(Usage(format!(
                    "--short-ids: `{end}` leaves no room for a name in {SHORT} characters; choose a shorter \
                     --id-suffix"
                )));
            }
        };
        let cut = self.prefix.floor_char_boundary(room);
        Ok(format!("{}{end}", &self.prefix[..cut]))
    }
}

/// When each client is there: `first` from the start on, the others as `steps` say. Who came last leaves
/// first.
fn stays(first: u64, steps: &[Step]) -> Result<Vec<Stay>, Usage> {
    let mut stays: Vec<Stay> = vec![(0, None); first as usize];
    let mut present: Vec<usize> = if steps.is_empty() { Vec::new() } else { (0..stays.len()).collect() };
    let mut steps = steps.to_vec();
    steps.sort_by_key(|step| step.at);
    for Step { clients, at } in steps {
        for _ in 0..clients {
            present.push(stays.len());
            stays.push((at, None));
        }
        let leaving = clients.min(0).unsigned_abs() as usize;
        let Some(staying) = present.len().checked_sub(leaving) else {
            return Err(Usage(format!(
                "--steps: {leaving} clients cannot leave where {} are",
                present.len()
            )));
        };
        for client in present.drain(staying..) {
            stays[client].1 = Some(at);
        }
    }
    Ok(stays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::publish::tests::args;
    use crate::clock::SECOND;
    use std::collections::HashSet;

    fn named(line: &str) -> Vec<PublisherName> {
        names(&args(line).unwrap(), "bee", 7).unwrap()
    }

    fn ids(line: &str) -> Vec<(String, String)> {
        named(line).into_iter().map(|name| (name.client_id, name.topic_id)).collect()
    }

    fn pair(client: &str, topic: &str) -> (String, String) {
        (client.into(), topic.into())
    }

    /// checklist 29: prefix and index, also with a single client.
    #[test]
    fn clients_are_numbered_from_0() {
        assert_eq!(ids(""), [pair("bee-0", "bee-0")]);
        assert_eq!(ids("-P 2"), [pair("bee-0", "bee-0"), pair("bee-1", "bee-1")]);
    }

    /// checklist 41, the ids: a bridge's topics keep the id of the client behind it.
    #[test]
    fn bridges_have_a_name_of_their_own() {
        assert_eq!(ids("-b"), [pair("mal-bridge-bee-0", "bee-0")]);
        let threads = ids("-c bee -P 2 --thread_ratio 3");
        assert_eq!(threads.len(), 6);
        assert_eq!(threads[0], pair("mal-bridge-bee_0_0", "bee_0_0"));
        assert_eq!(threads[5], pair("mal-bridge-bee_1_2", "bee_1_2"));
        assert_eq!(ids("--thread_ratio 3")[2], pair("mal-bridge-bee-0-2", "bee-0-2"));
    }

    /// checklist 29: a random suffix of a given length.
    #[test]
    fn suffixes_are_random_and_follow_from_the_seed() {
        let all = ids("-P 50 --id-suffix 4");
        let suffixes: HashSet<_> = all.iter().map(|(id, _)| id.rsplit_once('-').unwrap().1).collect();
        assert!(suffixes.len() > 45 && suffixes.iter().all(|suffix| suffix.len() == 4));
        assert_eq!(all, ids("-P 50 --id-suffix 4"));
        let other = names(&args("-P 50 --id-suffix 4").unwrap(), "bee", 8).unwrap();
        assert_ne!(other[0].client_id, all[0].0);
    }

    /// checklist 29: at most 23 characters, and different all the same.
    #[test]
    fn short_ids_fit_23_characters() {
        let long = "beem-loadr-ein-län-gerer-name-als-erlaubt";
        for line in ["-P 1200 --short-ids", "-P 1200 --short-ids --id-suffix 5", "-P 1200 --short-ids -b"] {
            let all = names(&args(line).unwrap(), long, 7).unwrap();
            assert!(all.iter().all(|name| name.client_id.len() <= SHORT), "{line}");
            let distinct: HashSet<_> = all.iter().map(|name| &name.client_id).collect();
            assert_eq!(distinct.len(), 1200, "{line}");
        }
        assert_eq!(ids("--short-ids")[0].0, "bee-0", "what is short stays");
        let error = names(&args("--short-ids --id-suffix 23").unwrap(), long, 7).unwrap_err().to_string();
        assert!(error.contains("--id-suffix"), "{error}");
    }

    /// checklist 18, the times
    #[test]
    fn who_came_last_leaves_first() {
        let stays: Vec<_> = named("-P 2 --steps=-2@30s,+2@10s,-1@40s")
            .iter()
            .map(|name| (name.joins / SECOND, name.leaves.map(|at| at / SECOND)))
            .collect();
        assert_eq!(stays, [(0, None), (0, Some(40)), (10, Some(30)), (10, Some(30))]);
        let error = names(&args("-P 2 --steps=-3@1s").unwrap(), "bee", 7).unwrap_err().to_string();
        assert!(error.contains("3 clients cannot leave where 2 are"), "{error}");
    }

    #[test]
    fn absurd_numbers_of_clients_are_usage_errors() {
        for line in ["-P 4000000000", "-P 100000 --thread_ratio 100000", "--steps +4000000000@1s"] {
            let error = names(&args(line).unwrap(), "bee", 7).unwrap_err().to_string();
            assert!(error.contains("10000000"), "{error}");
        }
        assert!(names(&args("--thread_ratio 2 --steps +1@1s").unwrap(), "bee", 7).is_err());
    }
}
