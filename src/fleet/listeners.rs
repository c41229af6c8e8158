//! What subscribing clients do.

use super::scene::{Prompt, Scene};
use super::shared::Shared;
use super::{Expect, Listening};
use crate::clock::Nanos;
use crate::crew::{After, Step};
use crate::engine::Link;
use crate::load::{Drops, Ledger, Seen};
use crate::record::{self, FlightSample, Latency, ListenEnd};
use crate::stats::{Histogram, Moments};
use crate::wire::{Publish, QoS};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

/// Where a listener stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Not subscribed yet.
    Fresh,
    /// The same, and no session of an earlier run is left.
    Renewed,
    Listening,
    /// Its session collects messages while it is away.
    Away,
    /// It has come back for what was kept.
    Unloading,
    /// It has ended, and its session is being removed from the broker.
    Cleaning,
    Ended,
}

/// Whether a listener hears of the broker's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sys {
    No,
    /// To be asked for whenever the listener's own subscription stands.
    Wanted,
    /// Asked for, apart from everything else, and not answered.
    Asked,
}

/// Samples of flight times kept at most, 56 bytes each.
const SAMPLES: usize = 100_000;

/// A client that subscribes.
pub struct Listener {
    /// Among all listeners of the fleet.
    number: u32,
    pub stage: Stage,
    sys: Sys,
    pub ledger: Ledger,
    drops: Drops,
    flight: Moments,
    flights: Histogram,
    /// The sample of flight times under way.
    sample: Moments,
    /// Since when it has heard nothing; `None`: silence does not count yet.
    quiet_since: Option<Nanos>,
    /// Messages until it pauses.
    until_pause: u64,
    /// It reads nothing before this time.
    held_until: Nanos,
    /// What it has heard so far.
    pub record: record::Listener,
}

impl Listener {
    pub fn new(shared: &Shared, number: u32) -> Listener {
        let spec = &shared.spec.listening[number as usize];
        let expectation = match spec.expect {
            Expect::Messages(expectation) => Some(expectation),
            Expect::Nothing | Expect::Published => None,
        };
        let record = record::Listener {
            client_id: spec.client_id.clone(),
            filters: spec.filters.clone(),
            expected_per_client: expectation.map(|expectation| expectation.messages),
            expected_clients: expectation.map(|expectation| expectation.clients),
            expected_messages: expectation.map(|all| all.messages.saturating_mul(all.clients)),
            ..record::Listener::default()
        };
        Listener {
            number,
            stage: Stage::Fresh,
            sys: if spec.sys { Sys::Wanted } else { Sys::No },
            ledger: Ledger::new(expectation),
            drops: Drops::default(),
            flight: Moments::default(),
            flights: Histogram::default(),
            sample: Moments::default(),
            quiet_since: None,
            until_pause: spec.slow.map_or(u64::MAX, |slow| slow.every),
            held_until: 0,
            record,
        }
    }

    /// What it is to do.
    pub fn spec<'s>(&self, shared: &'s Shared) -> &'s Listening {
        &shared.spec.listening[self.number as usize]
    }

    /// A backlog needs a session that is new, kept, and removed in the end.
    pub fn wants_clean(&self, shared: &Shared) -> bool {
        match self.spec(shared).backlog {
            true => matches!(self.stage, Stage::Fresh | Stage::Cleaning),
            false => shared.spec.connection.clean_session,
        }
    }

    /// Its part of the record; `sent` is what the publishers of the fleet have sent, by their ids in topics.
    pub fn finish(self, shared: &Shared, sent: &BTreeMap<&str, u64>) -> record::Listener {
        let spec = self.spec(shared);
        let mut record = record::Listener {
            duplicated: self.ledger.duplicated(),
            flight: (&self.flight).into(),
            flight_time: (&self.flights).into(),
            dropped: self.drops.dropped(),
            stored: self.drops.stored(),
            ..self.record
        };
        if spec.expect == Expect::Published {
            record.expected_messages = Some(sent.values().sum());
        }
        if spec.expect == Expect::Published && spec.layout.is_some() {
            record.clients = self.ledger.heard_of(|client| sent.get(client).copied());
            let known: HashSet<&str> = record.clients.iter().map(|heard| heard.client_id.as_str()).collect();
            let silent = sent.iter().filter(|(client, sent)| **sent > 0 && !known.contains(**client));
            record.never_seen = silent.map(|(client, _)| (*client).to_owned()).collect();
            record.never_seen_count = record.never_seen.len() as u64;
        } else {
            record.clients = self.ledger.heard();
            (record.never_seen, record.never_seen_count) = self.ledger.never_seen();
        }
        // Where messages carry no times, none are missing.
        if record.flight_time.count > 0 {
            record.flight_time = Latency::of(&self.flights, record.absent());
        }
        record
    }

    /// CONNACK is here.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub fn connected<L: Link>(
        &mut self,
        scene: &mut Scene<'_, L>,
        session_present: bool,
    ) -> Result<(), String> {
        if scene.common.stopped {
            self.ended(scene, ListenEnd::Interrupted);
        }
        let spec = self.spec(scene.shared);
        match self.stage {
            // A session that an earlier run left behind is not what this one has filled.
            Stage::Fresh if spec.backlog => {
                self.stage = Stage::Renewed;
                scene.leave(After::Again);
            }
            Stage::Cleaning | Stage::Ended => scene.leave(After::Done),
            // The subscription is part of the session.
            Stage::Unloading if session_present => self.await_silence(scene),
            Stage::Unloading => {
                return Err("the broker has not kept the session: there is nothing to unload".into());
            }
            Stage::Fresh | Stage::Renewed | Stage::Away | Stage::Listening => {
                scene.subscribe(spec.filters.iter().map(|filter| (filter.as_str(), spec.qos)));
            }
        }
        Ok(())
    }

    /// Goes on from what has happened.
    pub fn go_on<L: Link>(&mut self, scene: &mut Scene<'_, L>, prompt: Prompt) {
        match prompt {
            Prompt::Subscribed => self.subscribed(scene),
            // After a loss it is asked for again.
            Prompt::Answered if self.sys == Sys::Asked => self.sys = Sys::Wanted,
            Prompt::Heard => self.end_if_complete(scene),
            Prompt::Away => {
                scene.ready();
                // Should the publishers be done already, nobody will say so again.
                self.look_around(scene);
            }
            Prompt::Look => self.look_around(scene),
            Prompt::Stop => self.stop(scene),
            // Unless the pause was made longer since.
            Prompt::Resume if scene.now() >= self.held_until => scene.crew.resume(scene.link, scene.place),
            Prompt::Quiet => self.check_quiet(scene),
            Prompt::Duration => self.time_is_up(scene, ListenEnd::Duration),
            _ => {}
        }
    }

    /// Its own subscription stands.
    fn subscribed<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        let spec = self.spec(scene.shared);
        if spec.backlog {
            // Publishers begin when it has gone.
            self.stage = Stage::Away;
            return scene.leave(After::Away);
        }
        self.stage = Stage::Listening;
        if self.sys == Sys::Wanted {
            let sys = Drops::TOPICS.into_iter().chain(Drops::STORED).map(|topic| (topic, QoS::AtMostOnce));
            let asked = scene.crew.subscribe_aside(scene.link, scene.place, sys);
            self.sys = if asked.is_ok() { Sys::Asked } else { Sys::No };
        }
        if !scene.ready() {
            return;
        }
        if let Some(duration) = spec.duration {
            scene.alarm(scene.now() + duration, Prompt::Duration);
        }
        if spec.quiet_from_start && spec.expect != Expect::Published {
            self.await_silence(scene);
        }
        self.look_around(scene);
    }

    /// Whether a lost connection was asking for $SYS: some brokers end one at that. It was our doing, and the next
    /// one does without.
    pub fn goes_without_sys<L>(&mut self, scene: &mut Scene<'_, L>) -> bool {
        let asked = self.sys == Sys::Asked;
        if asked {
            self.sys = Sys::No;
            let trouble = "the broker ended a connection that asked for $SYS: going on without it";
            scene.crew.books.trouble(trouble.into());
        }
        asked
    }

    /// Something that all workers share may have changed.
    fn look_around<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        let abort = self.spec(scene.shared).abort_on_drop && self.stage == Stage::Listening;
        if abort && scene.shared.drops_are_known() {
            self.end(scene, ListenEnd::Drops);
        }
        match self.stage {
            _ if !scene.shared.all_published() => {}
            // The last publisher is done: what has not arrived by the end of the grace period never will.
            Stage::Away => {
                self.stage = Stage::Unloading;
                match scene.step() {
                    Step::Down => scene.crew.call(scene.place),
                    _ => scene.leave(After::Again),
                }
            }
            Stage::Listening => {
                self.await_silence(scene);
                self.end_if_complete(scene);
            }
            _ => {}
        }
    }

    /// A message is here.
    pub fn hear<L: Link>(&mut self, scene: &mut Scene<'_, L>, publish: &Publish<'_>, first: bool) {
        scene.crew.forgive(scene.place);
        if publish.topic.starts_with("$SYS/") {
            return self.hear_sys(scene, publish);
        }
        if !first && publish.dup {
            // At QoS 2 the same message under an id that is not released is delivered once [MQTT-4.3.3-2].
            return;
        }
        let spec = self.spec(scene.shared);
        self.take(scene, spec, publish);
        if let Some(print) = &spec.print {
            print.payload(publish.topic, publish.payload);
        }
        // Who is about to go away for a backlog has nothing to wait for yet.
        let listens = matches!(self.stage, Stage::Listening | Stage::Unloading);
        if spec.expect != Expect::Published && listens {
            self.await_silence(scene);
        }
        self.pause_if_slow(scene, spec);
    }

    fn hear_sys<L: Link>(&mut self, scene: &mut Scene<'_, L>, publish: &Publish<'_>) {
        self.drops.read(publish.topic, publish.payload);
        let [dropped, stored] = &scene.shared.told;
        if let Some(count) = self.drops.stored() {
            stored.store(count.saturating_add(1), Ordering::Relaxed);
        }
        // All listeners of a broker read the same counter.
        if let Some(count) = self.drops.dropped()
            && dropped.fetch_max(count.saturating_add(1), Ordering::AcqRel) <= count
        {
            scene.shared.wake_all();
            self.look_around(scene);
        }
    }

    /// Counts and times a message.
    fn take<L: Link>(&mut self, scene: &mut Scene<'_, L>, spec: &Listening, publish: &Publish<'_>) {
        let (now, arrived) = (scene.now(), scene.link.arrived());
        let unix_ns = scene.unix_ns() - (now - arrived);
        let time = arrived.saturating_sub(scene.shared.epoch);
        self.record.received += 1;
        self.record.payload_bytes += publish.payload.len() as u64;
        let stamped = spec.stamp.read(publish.payload);
        let known = self.know(scene.shared, spec, publish, stamped.is_some() || !spec.stamp.has_time());
        let (counters, record) = (scene.crew.books.counters(), &mut self.record);
        match known {
            Seen::Foreign => {
                record.foreign += 1;
                counters.foreign += 1;
                return;
            }
            Seen::Again => counters.duplicated += 1,
            Seen::New => counters.delivered += 1,
        }
        record.active_ns = time - *record.first_ns.get_or_insert(time);
        self.quiet_since = self.quiet_since.map(|_| now);
        let Some(stamped) = stamped else { return };
        let flight = unix_ns.saturating_sub(stamped);
        record.flight_negative += u64::from(stamped > unix_ns);
        self.flight.record(flight);
        self.flights.record(flight);
        self.sample.record(flight);
        if spec.sample_every.is_some_and(|every| self.sample.count() >= every) {
            let flight = (&std::mem::take(&mut self.sample)).into();
            if record.samples.len() < SAMPLES {
                record.samples.push(FlightSample { time_ns: time, flight });
            }
        }
        scene.crew.books.histograms().flight_service.record(flight);
    }

    /// Whose message it is, and whether it has come before.
    fn know(&mut self, shared: &Shared, spec: &Listening, publish: &Publish<'_>, legible: bool) -> Seen {
        let Some(layout) = &spec.layout else { return Seen::New };
        let Some((client, number)) = layout.read(publish.topic) else { return Seen::Foreign };
        // Another run on the same broker.
        let other = spec.expect == Expect::Published && (publish.retain || !shared.own.contains(client));
        if other || !legible { Seen::Foreign } else { self.ledger.receive(client, number) }
    }

    /// Silence counts from now on, if it has not.
    fn await_silence<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        let Some(quiet) = self.spec(scene.shared).quiet_after else { return };
        if self.quiet_since.is_none() {
            self.quiet_since = Some(scene.now());
            scene.alarm(scene.now() + quiet, Prompt::Quiet);
        }
    }

    fn pause_if_slow<L: Link>(&mut self, scene: &mut Scene<'_, L>, spec: &Listening) {
        self.until_pause -= 1;
        if let Some(slow) = spec.slow.filter(|_| self.until_pause == 0) {
            self.until_pause = slow.every;
            // What was received already may be worth several pauses.
            self.held_until = self.held_until.max(scene.now()) + slow.pause;
            scene.crew.hold(scene.link, scene.place);
            scene.alarm(self.held_until, Prompt::Resume);
        }
    }

    fn check_quiet<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        let (Some(quiet), Some(since)) = (self.spec(scene.shared).quiet_after, self.quiet_since) else {
            return;
        };
        // Its own pauses are not the broker's silence.
        let over = since.max(self.held_until) + quiet;
        if scene.now() < over {
            scene.alarm(over, Prompt::Quiet);
        } else {
            self.time_is_up(scene, ListenEnd::Quiet);
        }
    }

    /// Ends it; if it is not connected, it does not come back for that.
    fn time_is_up<L: Link>(&mut self, scene: &mut Scene<'_, L>, end: ListenEnd) {
        self.end(scene, end);
        if scene.step() == Step::Down && self.stage == Stage::Ended {
            self.done(scene);
        }
    }

    /// Ends it when it has everything.
    fn end_if_complete<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        let spec = self.spec(scene.shared);
        let complete = match spec.expect {
            Expect::Nothing => false,
            Expect::Messages(_) => self.ledger.is_complete(),
            Expect::Published => scene.shared.published_in_all().is_some_and(|all| {
                // Different messages, or all where they cannot be told apart.
                let told_apart = spec.layout.is_some();
                all <= if told_apart { self.ledger.received_new() } else { self.record.received }
            }),
        };
        if complete && matches!(self.stage, Stage::Listening | Stage::Unloading) {
            self.end(scene, ListenEnd::Complete);
        }
    }

    /// Everybody is to stop.
    fn stop<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        let spec = self.spec(scene.shared);
        match scene.step() {
            _ if spec.backlog => self.end(scene, ListenEnd::Interrupted),
            Step::Down => self.done(scene),
            // It has until the end of the hurry for what the publishers have sent.
            _ if spec.expect == Expect::Published => {}
            Step::Up | Step::Subscribing => {
                self.ended(scene, ListenEnd::Interrupted);
                scene.leave(After::Done);
            }
            _ => {}
        }
    }

    /// It listens no more, and takes leave.
    fn end<L: Link>(&mut self, scene: &mut Scene<'_, L>, end: ListenEnd) {
        if !self.ended(scene, end) {
            return;
        }
        let spec = self.spec(scene.shared);
        // What is to come must be read.
        self.held_until = 0;
        if spec.backlog {
            // Its session must not stay on the broker.
            self.stage = Stage::Cleaning;
            return match scene.step() {
                Step::Down => scene.crew.call(scene.place),
                // Also one that is just going away comes back for that.
                Step::Up | Step::Subscribing | Step::Leaving(After::Away) => scene.leave(After::Again),
                _ => {}
            };
        }
        match scene.step() {
            Step::Up => {
                scene.crew.resume(scene.link, scene.place);
                let filters = spec.filters.iter().map(String::as_str);
                scene.crew.unsubscribe(scene.link, scene.place, filters);
            }
            Step::Subscribing => scene.leave(After::Done),
            // Who is not connected is not called any more.
            _ => {}
        }
    }

    /// Notes the end; false when it had ended before.
    pub fn ended<L: Link>(&mut self, scene: &mut Scene<'_, L>, end: ListenEnd) -> bool {
        if matches!(self.stage, Stage::Cleaning | Stage::Ended) {
            return false;
        }
        self.record.ended_by = end;
        self.stage = Stage::Ended;
        scene.ready();
        true
    }

    /// It is done, however it came to that.
    pub fn done<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        scene.finish();
        self.ended(scene, ListenEnd::Interrupted);
    }
}
