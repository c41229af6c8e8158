//! Some fleet of everything that a fleet can be.

use super::*;
use crate::crew::sim::Dice;
use crate::crew::{Credentials, Will};
use crate::load::BodyPlan;

/// The targets of every fleet: the peer is everywhere.
pub fn target() -> Endpoint {
    Endpoint::Tcp("127.0.0.1:1883".parse().unwrap())
}

/// Topics, and filters that cover them.
const TOPICS: [(&str, &str); 2] = [(MALARIA_TOPIC, "mqtt-malaria/+/data/#"), ("t/%c/%n", "t/+/+")];

fn some_qos(dice: &mut Dice) -> QoS {
    *dice.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

/// A fleet that comes to an end of its own, sooner or later.
pub fn some_spec(dice: &mut Dice) -> Spec {
    let (topic, filter) = *dice.pick(&TOPICS);
    let stamp = if dice.chance(0.5) { PayloadStamp::Malaria } else { PayloadStamp::None };
    let publishing = dice.chance(0.9).then(|| some_publishing(dice, topic, &stamp));
    let most = if publishing.is_some() { 2 } else { 3 };
    let listeners = dice.within(&(0..=most)).max(u64::from(publishing.is_none()));
    let listening = (0..listeners).map(|number| {
        let stamp = if dice.chance(0.9) { stamp.clone() } else { PayloadStamp::Malaria };
        Listening { stamp, ..some_listening(dice, number, filter, publishing.as_ref()) }
    });
    let listening = listening.collect();
    let workers = dice.within(&(1..=4)) as usize;
    let connection = some_connection(dice);
    Spec {
        cpus: (0..workers).collect(),
        seed: dice.within(&(0..=1 << 40)),
        connection,
        publishing,
        listening,
        ..Spec::new(vec![target()])
    }
}

fn some_connection(dice: &mut Dice) -> Connection {
    let will = Will { topic: "will".into(), payload: b"gone".to_vec(), qos: some_qos(dice), retain: false };
    let (username, password) = ("someone".to_owned(), Some(b"secret".to_vec()));
    Connection {
        keep_alive_s: *dice.pick(&[0, 1, 60]),
        clean_session: dice.chance(0.7),
        timeout: *dice.pick(&[SECOND, 2 * SECOND, 10 * SECOND]),
        rate_per_s: dice.chance(0.2).then(|| dice.within(&(50..=1000)) as f64),
        attempts: *dice.pick(&[1, 3, 0]),
        reconnect: dice.chance(0.75),
        reconnect_attempts: *dice.pick(&[1, 10, 0]),
        credentials: match dice.chance(0.1) {
            true => Credentials { username: Some(username), password },
            false => Credentials::default(),
        },
        will: dice.chance(0.1).then_some(will),
        ..Connection::default()
    }
}

fn some_pace(dice: &mut Dice) -> Pace {
    match dice.within(&(0..=5)) {
        0 | 1 => Pace::Unlimited,
        2 => Pace::Delay { min: 0, max: dice.within(&(0..=50 * MILLISECOND)) },
        3 => Pace::Burst {
            slow_per_s: dice.within(&(0..=20)) as f64,
            fast_per_s: dice.within(&(50..=500)) as f64,
            length: 50 * MILLISECOND,
            period: 200 * MILLISECOND,
        },
        _ => Pace::Rate { per_s: dice.within(&(5..=200)) as f64 },
    }
}

/// Clients `<prefix>-<i>` that are there all the time.
fn names(prefix: &str, clients: u32) -> Vec<PublisherName> {
    let ids = (0..clients).map(|index| format!("{prefix}-{index}"));
    ids.map(|id| PublisherName { client_id: id.clone(), topic_id: id, joins: 0, leaves: None }).collect()
}

fn some_publishing(dice: &mut Dice, topic: &str, stamp: &PayloadStamp) -> Publishing {
    let many = dice.chance(0.02);
    let clients = if many { 300 } else { dice.within(&(1..=12)) as u32 };
    let pace = some_pace(dice);
    let most = if many { 3 } else { 40 };
    let count = dice.chance(0.8).then(|| dice.within(&(0..=most)));
    // Somebody has to end it, and soon where nothing else slows it down.
    let endless = count.is_none() && pace == Pace::Unlimited;
    let longest = if endless { MILLISECOND / 5 } else { 800 * MILLISECOND };
    let duration = (count.is_none() || dice.chance(0.2)).then(|| dice.within(&(longest / 10..=longest)));
    let size = match dice.within(&(0..=9)) {
        0 => SizePlan::Fixed(dice.within(&(1_000..=8_000))),
        1 => SizePlan::Uniform { min: 0, max: 300 },
        _ => SizePlan::Fixed(dice.within(&(0..=40))),
    };
    // Topics tell messages from each other. Random payloads would cost more than everything else.
    let plan = PayloadPlan { size, stamp: stamp.clone(), body: BodyPlan::Zeros, ..PayloadPlan::default() };
    let most = *dice.pick(&[3, 200]);
    let mut publishing = Publishing {
        clients: names("pub", clients),
        topic: topic.parse().unwrap(),
        content: Content::Prepared(Payloads::prepare(plan, 7).unwrap()),
        qos: some_qos(dice),
        retain: dice.chance(0.05),
        inflight: dice.within(&(1..=most)) as u16,
        pacing: Pacing {
            pace,
            jitter: if dice.chance(0.3) { 0.8 } else { 0.0 },
            count,
            duration,
            seed: dice.within(&(0..=1000)),
        },
        stagger: if dice.chance(0.3) { (0, 200 * MILLISECOND) } else { (0, 0) },
        ack_timeout: *dice.pick(&[200 * MILLISECOND, SECOND, 5 * SECOND]),
        tolerance: *dice.pick(&[0, MILLISECOND, 20 * MILLISECOND]),
        reconnect_every: dice.chance(0.15).then(|| dice.within(&(1..=10))),
        bridge: dice.chance(0.1),
        responders: if dice.chance(0.15) { dice.within(&(1..=3)) as u32 } else { 0 },
    };
    if dice.chance(0.15) {
        for client in &mut publishing.clients {
            client.joins = dice.within(&(0..=500 * MILLISECOND));
            client.leaves = dice.chance(0.5).then(|| dice.within(&(0..=800 * MILLISECOND)));
        }
    }
    publishing
}

fn some_listening(dice: &mut Dice, number: u64, filter: &str, publishing: Option<&Publishing>) -> Listening {
    let mut listening = Listening::new(&format!("list-{number}"), filter);
    listening.qos = some_qos(dice);
    if dice.chance(0.1) {
        listening.layout = None;
    }
    let planned = publishing.and_then(|publishing| publishing.pacing.count).unwrap_or(5);
    let clients = publishing.map_or(1, |publishing| publishing.clients.len() as u64);
    listening.expect = match dice.within(&(0..=3)) {
        0 => Expect::Nothing,
        1 => {
            // More or fewer than there are, too.
            let (messages, clients) = (dice.within(&(0..=1)) + planned, dice.within(&(0..=1)) + clients);
            Expect::Messages(Expectation { messages, clients })
        }
        _ if publishing.is_some() => Expect::Published,
        _ => Expect::Nothing,
    };
    let quiet = || [300 * MILLISECOND, SECOND];
    listening.backlog =
        publishing.is_some_and(|publishing| publishing.qos > QoS::AtMostOnce) && dice.chance(0.15);
    if listening.expect == Expect::Published || listening.backlog || dice.chance(0.5) {
        listening.quiet_after = Some(*dice.pick(&quiet()));
        listening.quiet_from_start = dice.chance(0.5);
    }
    // Somebody has to end it.
    if listening.expect != Expect::Published && !listening.backlog || dice.chance(0.2) {
        listening.duration = Some(dice.within(&(100 * MILLISECOND..=3 * SECOND)));
    }
    listening.sys = dice.chance(0.3);
    listening.abort_on_drop = dice.chance(0.3);
    if dice.chance(0.2) {
        let (every, pause) = (dice.within(&(1..=10)), dice.within(&(MILLISECOND..=50 * MILLISECOND)));
        listening.slow = Some(Slow { every, pause });
    }
    listening.sample_every = dice.chance(0.2).then(|| dice.within(&(1..=5)));
    listening
}

/// What the peer says of itself, and publishes of its own accord: at `start` and in the seconds after.
pub fn some_moments(dice: &mut Dice, start: Nanos) -> crate::crew::sim::Script {
    let mut script = crate::crew::sim::Script::default();
    let topics = [Drops::TOPICS[0], Drops::STORED[0], "mqtt-malaria/x-0/data/1/10", "t/x-0/1", "t/x-0/none"];
    for number in 0..dice.within(&(0..=6)) {
        let topic = (*dice.pick(&topics)).to_owned();
        let publish = Act::Publish { topic, payload: number.to_string().into_bytes(), qos: some_qos(dice) };
        script = script.at(start + dice.within(&(0..=2 * SECOND)), publish);
    }
    script
}
