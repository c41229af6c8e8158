//! What subscribing clients do.

use super::scene::{Alarm, Scene};
use super::shared::Shared;
use super::{Expect, Listening};
use crate::clock::Nanos;
use crate::crew::{After, Link, Place, Step};
use crate::load::{DropReport, Drops, Ledger, Seen};
use crate::record::{self, FlightSample, ListenEnd};
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
    /// Its session is being removed from the broker.
    Cleaning,
    Ended,
}

/// Whether a listener hears of the broker's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sys {
    Unwanted,
    /// To be asked for when the listener's own subscription stands.
    Wanted,
    /// Asked for, apart from everything else.
    Asked,
    /// The broker has answered, whatever it was.
    Answered,
}

/// Samples of flight times kept at most, 56 bytes each.
const SAMPLES: usize = 100_000;

/// A client that subscribes.
pub struct Listener {
    /// Among all listeners of the fleet.
    number: u32,
    /// Among the clients of its worker.
    pub place: Place,
    pub stage: Stage,
    /// Publishers need not wait for it any more.
    ready: bool,
    sys: Sys,
    ledger: Ledger,
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
    record: record::Listener,
}

impl Listener {
    fn new(shared: &Shared, number: u32, place: Place) -> Listener {
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
            place,
            stage: Stage::Fresh,
            ready: false,
            sys: if spec.sys { Sys::Wanted } else { Sys::Unwanted },
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

    /// A backlog needs a session that is kept, and removed in the end.
    pub fn wants_clean(&self, shared: &Shared) -> bool {
        match self.stage {
            Stage::Cleaning => true,
            Stage::Fresh if self.spec(shared).backlog => true,
            _ => shared.spec.connection.clean_session && !self.spec(shared).backlog,
        }
    }

    /// Different messages, or all where they cannot be told apart.
    fn counted(&self, spec: &Listening) -> u64 {
        if spec.layout.is_some() { self.ledger.received_new() } else { self.record.received }
    }

    /// Messages still to come, where that is known.
    fn missing(&self) -> Option<u64> {
        self.ledger.missing()
    }

    /// Its place among all listeners and its part of the record; `sent` is what the publishers of the fleet
    /// have sent, by their ids in topics.
    pub fn finish(self, shared: &Shared, sent: &BTreeMap<&str, u64>) -> (u32, record::Listener) {
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
        (self.number, record)
    }
}

/// The listeners of a worker, each by its number among them.
#[derive(Default)]
pub struct Listeners {
    pub list: Vec<Listener>,
}

impl Listeners {
    /// One more, with `number` among all of the fleet; answers which it is here.
    pub fn add(&mut self, shared: &Shared, number: u32, place: Place) -> usize {
        self.list.push(Listener::new(shared, number, place));
        self.list.len() - 1
    }

    /// Messages that they still expect, as far as that is known.
    pub fn missing(&self) -> u64 {
        self.list.iter().filter_map(Listener::missing).sum()
    }

    /// CONNACK is here.
    pub fn connected<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize, session_present: bool) {
        if scene.stopped {
            self.ended(scene, local, ListenEnd::Interrupted);
        }
        let listener = &mut self.list[local];
        let (spec, place) = (listener.spec(scene.shared), listener.place);
        match listener.stage {
            // A session that an earlier run left behind is not what this one has filled.
            Stage::Fresh if spec.backlog => {
                listener.stage = Stage::Renewed;
                scene.crew.leave(scene.link, place, After::Again);
            }
            Stage::Cleaning | Stage::Ended => scene.crew.leave(scene.link, place, After::Done),
            // The subscription is part of the session.
            Stage::Unloading if session_present => listener.await_silence(scene),
            Stage::Unloading => {
                let reason = "the broker has not kept the session: there is nothing to unload";
                self.fail(scene, local, reason.into());
            }
            Stage::Fresh | Stage::Renewed | Stage::Away | Stage::Listening => {
                scene.subscribe(place, spec.filters.iter().map(|filter| (filter.as_str(), spec.qos)));
            }
        }
    }

    /// Its own subscription stands.
    pub fn subscribed<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let now = scene.now();
        let listener = &mut self.list[local];
        let (spec, place) = (listener.spec(scene.shared), listener.place);
        if spec.backlog {
            // Publishers begin when it has gone.
            listener.stage = Stage::Away;
            return scene.crew.leave(scene.link, place, After::Away);
        }
        listener.stage = Stage::Listening;
        if matches!(listener.sys, Sys::Wanted | Sys::Answered) {
            let sys = Drops::TOPICS.into_iter().chain(Drops::STORED).map(|topic| (topic, QoS::AtMostOnce));
            let asked = scene.crew.subscribe_aside(scene.link, place, sys);
            listener.sys = if asked.is_ok() { Sys::Asked } else { Sys::Unwanted };
        }
        if !listener.ready(scene) {
            return;
        }
        if let Some(duration) = spec.duration {
            scene.alarm(now + duration, Alarm::Duration, place);
        }
        if spec.quiet_from_start && spec.expect != Expect::Published {
            listener.await_silence(scene);
        }
        self.drops_are_known(scene, local);
    }

    /// The broker has answered what was asked apart.
    pub fn answered(&mut self, local: usize) {
        let listener = &mut self.list[local];
        if listener.sys == Sys::Asked {
            listener.sys = Sys::Answered;
        }
    }

    /// Its session is being kept: whoever fills it may begin.
    pub fn away<L>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        self.list[local].ready(scene);
    }

    /// A listener has heard that the broker drops messages.
    pub fn drops_are_known<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let listener = &self.list[local];
        let abort = listener.spec(scene.shared).abort_on_drop && listener.stage == Stage::Listening;
        if abort && scene.shared.dropped.load(Ordering::Acquire) {
            self.end(scene, local, ListenEnd::Drops);
        }
    }

    /// Whether it has been silent for long.
    pub fn check_quiet<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let listener = &self.list[local];
        let spec = listener.spec(scene.shared);
        let (Some(quiet), Some(since)) = (spec.quiet_after, listener.quiet_since) else { return };
        // Its own pauses are not the broker's silence.
        let over = since.max(listener.held_until) + quiet;
        if scene.now() < over {
            scene.alarm(over, Alarm::Quiet, listener.place);
        } else {
            self.end(scene, local, ListenEnd::Quiet);
        }
    }

    /// A message is here.
    pub fn hear<L: Link>(
        &mut self,
        scene: &mut Scene<'_, L>,
        local: usize,
        publish: &Publish<'_>,
        first: bool,
    ) {
        let listener = &mut self.list[local];
        scene.crew.forgive(listener.place);
        if publish.topic.starts_with("$SYS/") {
            return self.hear_sys(scene, local, publish);
        }
        if !first && publish.dup {
            // At QoS 2 the same message under an id that is not released is delivered once [MQTT-4.3.3-2].
            return;
        }
        let unix_ns = scene.unix_ns();
        let spec = listener.spec(scene.shared);
        listener.take(scene, spec, publish, unix_ns);
        if let Some(print) = &spec.print {
            print.payload(publish.topic, publish.payload);
        }
        if spec.expect != Expect::Published {
            listener.await_silence(scene);
        }
        listener.pause_if_slow(scene, spec);
    }

    fn hear_sys<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize, publish: &Publish<'_>) {
        let listener = &mut self.list[local];
        let report = listener.drops.read(publish.topic, publish.payload);
        let [dropped, stored] = &scene.shared.told;
        if let Some(count) = listener.drops.dropped() {
            // All listeners of a broker read the same counter.
            dropped.fetch_max(count + 1, Ordering::Relaxed);
        }
        if let Some(count) = listener.drops.stored() {
            stored.store(count + 1, Ordering::Relaxed);
        }
        let abort = listener.spec(scene.shared).abort_on_drop;
        if abort && matches!(report, Some(DropReport::Dropped(_))) {
            self.end(scene, local, ListenEnd::Drops);
            scene.shared.dropped.store(true, Ordering::Release);
            scene.shared.wake_all();
        }
    }

    /// A pause may be over.
    pub fn resume<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let listener = &self.list[local];
        // Or this is the alarm of a pause that was made longer since.
        if scene.now() >= listener.held_until {
            scene.crew.resume(scene.link, listener.place);
        }
    }

    /// Ends it when it has everything.
    pub fn end_if_complete<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let listener = &self.list[local];
        let spec = listener.spec(scene.shared);
        let complete = match spec.expect {
            Expect::Nothing => false,
            Expect::Messages(_) => listener.ledger.is_complete(),
            Expect::Published => {
                let published = &scene.shared.published;
                scene.shared.all_published() && listener.counted(spec) >= published.load(Ordering::Acquire)
            }
        };
        if complete && matches!(listener.stage, Stage::Listening | Stage::Unloading) {
            self.end(scene, local, ListenEnd::Complete);
        }
    }

    /// The last publisher is done: what has not arrived by the end of the grace period never will.
    pub fn all_published<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let listener = &mut self.list[local];
        match listener.stage {
            Stage::Away => {
                listener.stage = Stage::Unloading;
                scene.come_back(listener.place);
            }
            Stage::Listening => {
                listener.await_silence(scene);
                self.end_if_complete(scene, local);
            }
            _ => {}
        }
    }

    /// Everybody is to stop.
    pub fn stop<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize) {
        let listener = &mut self.list[local];
        let (spec, place) = (listener.spec(scene.shared), listener.place);
        let online = matches!(scene.crew.step(place), Step::Up | Step::Subscribing);
        if spec.backlog {
            // Its session must not stay on the broker.
            self.ended(scene, local, ListenEnd::Interrupted);
            self.list[local].stage = Stage::Cleaning;
            match scene.crew.step(place) {
                Step::Down => scene.crew.call(place),
                _ if online => scene.crew.leave(scene.link, place, After::Again),
                _ => {}
            }
        } else if spec.expect != Expect::Published && online {
            // Otherwise it has until the end of the hurry for what the publishers have sent.
            self.ended(scene, local, ListenEnd::Interrupted);
            scene.crew.leave(scene.link, place, After::Done);
        }
    }

    /// It cannot go on.
    pub fn fail<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize, reason: String) {
        scene.crew.books.trouble(reason.clone());
        self.failed(scene, local, reason);
        scene.crew.quit(scene.link, self.list[local].place);
    }

    /// It has failed, for a reason that was told.
    pub fn failed<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize, reason: String) {
        scene.crew.books.levels.failed += 1;
        self.list[local].record.failure = Some(reason);
        self.ended(scene, local, ListenEnd::Failed);
    }

    /// It listens no more, and takes leave.
    pub fn end<L: Link>(&mut self, scene: &mut Scene<'_, L>, local: usize, end: ListenEnd) {
        if !self.ended(scene, local, end) {
            return;
        }
        let listener = &mut self.list[local];
        let (spec, place) = (listener.spec(scene.shared), listener.place);
        // What is to come must be read.
        listener.held_until = 0;
        match scene.crew.step(place) {
            Step::Up | Step::Subscribing if spec.backlog => {
                listener.stage = Stage::Cleaning;
                scene.crew.leave(scene.link, place, After::Again);
            }
            Step::Up => {
                scene.crew.resume(scene.link, place);
                scene.crew.unsubscribe(scene.link, place, spec.filters.iter().map(String::as_str));
            }
            Step::Subscribing => scene.crew.leave(scene.link, place, After::Done),
            // Who is not connected is not called any more: see `Script::down`.
            _ => {}
        }
    }

    /// Notes the end; false when it had ended before.
    pub fn ended<L>(&mut self, scene: &mut Scene<'_, L>, local: usize, end: ListenEnd) -> bool {
        let listener = &mut self.list[local];
        if matches!(listener.stage, Stage::Cleaning | Stage::Ended) {
            return false;
        }
        listener.record.ended_by = end;
        listener.stage = Stage::Ended;
        listener.ready(scene);
        true
    }
}

impl Listener {
    /// It hears of the broker's counters no more, if it has asked and has no answer; answers whether that was so.
    pub fn forgo_sys(&mut self) -> bool {
        let asked = self.sys == Sys::Asked;
        if asked {
            self.sys = Sys::Unwanted;
        }
        asked
    }

    /// One less whom publishers wait for; false when they did not wait for it any more.
    fn ready<L>(&mut self, scene: &Scene<'_, L>) -> bool {
        let first = !std::mem::replace(&mut self.ready, true);
        if first {
            scene.shared.ready();
        }
        first
    }

    /// Silence counts from now on, if it has not.
    fn await_silence<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        let Some(quiet) = self.spec(scene.shared).quiet_after else { return };
        if self.quiet_since.is_none() {
            self.quiet_since = Some(scene.now());
            scene.alarm(scene.now() + quiet, Alarm::Quiet, self.place);
        }
    }

    /// Counts and times a message.
    fn take<L: Link>(
        &mut self,
        scene: &mut Scene<'_, L>,
        spec: &Listening,
        publish: &Publish<'_>,
        unix_ns: u64,
    ) {
        let now = scene.now();
        let time = now - scene.shared.epoch;
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

    fn pause_if_slow<L: Link>(&mut self, scene: &mut Scene<'_, L>, spec: &Listening) {
        self.until_pause -= 1;
        if let Some(slow) = spec.slow.filter(|_| self.until_pause == 0) {
            self.until_pause = slow.every;
            // What was received already may be worth several pauses.
            self.held_until = self.held_until.max(scene.now()) + slow.pause;
            scene.crew.hold(scene.link, self.place);
            scene.alarm(self.held_until, Alarm::Resume, self.place);
        }
    }
}
