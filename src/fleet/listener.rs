//! What a subscribing client does.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

use super::crew::{After, Alarm, Crew, Part, Step};
use super::shared::Shared;
use super::{Expect, Listening};
use crate::clock::Nanos;
use crate::engine::{Conn, Io};
use crate::load::{DropReport, Drops, Ledger, Seen};
use crate::record::{self, FlightSample, ListenEnd};
use crate::stats::{Histogram, Moments};
use crate::wire::{Publish, QoS};

/// Where a listener stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
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

/// Samples of flight times kept at most, 56 bytes each.
const SAMPLES: usize = 100_000;

pub(super) struct Listener {
    /// Among all listeners of the fleet.
    number: u32,
    pub stage: Stage,
    ready: bool,
    ledger: Ledger,
    pub drops: Drops,
    received: u64,
    foreign: u64,
    payload_bytes: u64,
    flight: Moments,
    flights: Histogram,
    negative: u64,
    /// The sample under way, and those that are full.
    sample: Moments,
    samples: Vec<FlightSample>,
    first: Option<Nanos>,
    last: Nanos,
    /// From when on silence counts; `None`: not yet.
    quiet_since: Option<Nanos>,
    /// Messages until it pauses.
    until_pause: u64,
    /// It reads nothing before this time.
    held_until: Nanos,
    ended_by: Option<ListenEnd>,
    pub failure: Option<String>,
}

impl Listener {
    pub fn new(shared: &Shared, number: u32) -> Listener {
        let spec = &shared.spec.listening[number as usize];
        let expectation = match spec.expect {
            Expect::Messages(expectation) => Some(expectation),
            Expect::Nothing | Expect::Published => None,
        };
        Listener {
            number,
            stage: Stage::Fresh,
            ready: false,
            ledger: Ledger::new(expectation),
            drops: Drops::default(),
            received: 0,
            foreign: 0,
            payload_bytes: 0,
            flight: Moments::default(),
            flights: Histogram::default(),
            negative: 0,
            sample: Moments::default(),
            samples: Vec::new(),
            first: None,
            last: 0,
            quiet_since: None,
            until_pause: spec.slow.map_or(u64::MAX, |slow| slow.every),
            held_until: 0,
            ended_by: None,
            failure: None,
        }
    }

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
        if spec.layout.is_some() { self.ledger.received_new() } else { self.received }
    }

    /// Messages still to come, where that is known.
    pub fn missing(&self) -> Option<u64> {
        self.ledger.missing()
    }

    /// Its place among all listeners and its part of the record; `sent` is what the publishers of the fleet
    /// have sent, by their ids in topics.
    pub fn finish(self, shared: &Shared, sent: &BTreeMap<&str, u64>) -> (u32, record::Listener) {
        let spec = self.spec(shared);
        let (clients, never_seen, never_seen_count) = match spec.expect {
            Expect::Published if spec.layout.is_some() => {
                let clients = self.ledger.heard_of(|client| sent.get(client).copied());
                let known: HashSet<&str> = clients.iter().map(|heard| heard.client_id.as_str()).collect();
                let silent = |(client, sent): &(&&str, &u64)| **sent > 0 && !known.contains::<str>(client);
                let never: Vec<String> =
                    sent.iter().filter(silent).map(|(client, _)| (*client).to_owned()).collect();
                let count = never.len() as u64;
                (clients, never, count)
            }
            _ => {
                let (never_seen, count) = self.ledger.never_seen();
                (self.ledger.heard(), never_seen, count)
            }
        };
        let expectation = match spec.expect {
            Expect::Messages(expectation) => Some(expectation),
            Expect::Nothing | Expect::Published => None,
        };
        let listener = record::Listener {
            client_id: spec.client_id.clone(),
            filters: spec.filters.clone(),
            expected_per_client: expectation.map(|expectation| expectation.messages),
            expected_clients: expectation.map(|expectation| expectation.clients),
            expected_messages: match spec.expect {
                Expect::Nothing => None,
                Expect::Messages(expectation) => {
                    Some(expectation.messages.saturating_mul(expectation.clients))
                }
                Expect::Published => Some(sent.values().sum()),
            },
            received: self.received,
            foreign: self.foreign,
            duplicated: self.ledger.duplicated(),
            first_ns: self.first.map(|first| first - shared.epoch),
            active_ns: self.last.saturating_sub(self.first.unwrap_or(self.last)),
            payload_bytes: self.payload_bytes,
            flight: (&self.flight).into(),
            flight_time: (&self.flights).into(),
            flight_negative: self.negative,
            samples: self.samples,
            clients,
            never_seen,
            never_seen_count,
            dropped: self.drops.dropped(),
            stored: self.drops.stored(),
            ended_by: self.ended_by.unwrap_or_default(),
            failure: self.failure,
        };
        (self.number, listener)
    }
}

impl Crew {
    /// CONNACK is here.
    pub(super) fn listener_up(&mut self, io: &mut Io, conn: Conn, local: usize, session_present: bool) {
        let now = io.now();
        if self.is_stopping() {
            self.listener_ended(conn, local, ListenEnd::Interrupted);
        }
        match self.stage(local) {
            // A session that an earlier run left behind is not what this one has filled.
            Stage::Fresh if self.listeners[local].spec(&self.shared).backlog => {
                self.listeners[local].stage = Stage::Renewed;
                self.leave(io, conn, After::Reconnect);
            }
            Stage::Cleaning | Stage::Ended => self.leave(io, conn, After::Done),
            // The subscription is part of the session.
            Stage::Unloading if session_present => self.await_silence(conn, local, now),
            Stage::Unloading => {
                let reason = "the broker has not kept the session: there is nothing to unload";
                self.fail(io, conn, reason.into());
            }
            Stage::Fresh | Stage::Renewed | Stage::Away | Stage::Listening => {
                let shared = self.shared.clone();
                let spec = self.listeners[local].spec(&shared);
                let mut filters: Vec<(&str, QoS)> =
                    spec.filters.iter().map(|filter| (filter.as_str(), spec.qos)).collect();
                if spec.sys {
                    let sys = Drops::TOPICS.into_iter().chain(Drops::STORED);
                    filters.extend(sys.map(|topic| (topic, QoS::AtMostOnce)));
                }
                self.subscribe(io, conn, &filters);
            }
        }
    }

    pub(super) fn listener_subscribed(&mut self, io: &mut Io, conn: Conn, local: usize) {
        let now = io.now();
        let shared = self.shared.clone();
        let spec = self.listeners[local].spec(&shared);
        if spec.backlog {
            // Publishers begin when it has gone.
            self.listeners[local].stage = Stage::Away;
            return self.leave(io, conn, After::Away);
        }
        self.listeners[local].stage = Stage::Listening;
        let first = !std::mem::replace(&mut self.listeners[local].ready, true);
        if !first {
            return;
        }
        if let Some(duration) = spec.duration {
            self.alarm(now + duration, Alarm::Duration, conn);
        }
        if spec.quiet_from_start && spec.expect != Expect::Published {
            self.await_silence(conn, local, now);
        }
        self.is_ready(conn);
        if self.shared.dropped.load(Ordering::Acquire) {
            self.drops_are_known(io, conn, local);
        }
    }

    /// Its session is being kept: whoever fills it may begin.
    pub(super) fn listener_away(&mut self, conn: Conn, local: usize) {
        self.listeners[local].ready = true;
        self.is_ready(conn);
    }

    /// Whether a slow consumer pauses.
    pub(super) fn is_held(&self, now: Nanos, conn: Conn) -> bool {
        match self.members[conn.0 as usize].part {
            Part::Listener(local) => now < self.listeners[local].held_until,
            _ => false,
        }
    }

    /// Another listener has heard that the broker drops messages.
    pub(super) fn drops_are_known(&mut self, io: &mut Io, conn: Conn, local: usize) {
        let abort = self.listeners[local].spec(&self.shared).abort_on_drop;
        if abort && self.stage(local) == Stage::Listening {
            self.end_listening(io, conn, local, ListenEnd::Drops);
        }
    }

    fn await_silence(&mut self, conn: Conn, local: usize, now: Nanos) {
        let Some(quiet) = self.listeners[local].spec(&self.shared).quiet_after else { return };
        if self.listeners[local].quiet_since.is_none() {
            self.listeners[local].quiet_since = Some(now);
            self.alarm(now + quiet, Alarm::Quiet, conn);
        }
    }

    pub(super) fn check_quiet(&mut self, io: &mut Io, conn: Conn) {
        let Part::Listener(local) = self.members[conn.0 as usize].part else { return };
        let shared = self.shared.clone();
        let listener = &self.listeners[local];
        let spec = listener.spec(&shared);
        let (Some(quiet), Some(since)) = (spec.quiet_after, listener.quiet_since) else { return };
        // Its own pauses are not the broker's silence.
        let over = since.max(listener.last).max(listener.held_until) + quiet;
        if io.now() < over {
            self.alarm(over, Alarm::Quiet, conn);
        } else {
            self.end_listening(io, conn, local, ListenEnd::Quiet);
        }
    }

    pub(super) fn listener_time_is_up(&mut self, io: &mut Io, conn: Conn) {
        if let Part::Listener(local) = self.members[conn.0 as usize].part {
            self.end_listening(io, conn, local, ListenEnd::Duration);
        }
    }

    /// A message is here.
    pub(super) fn heard(
        &mut self,
        io: &mut Io,
        conn: Conn,
        local: usize,
        publish: &Publish<'_>,
        first: bool,
    ) {
        let now = io.now();
        let unix_ns = self.unix_ns(now);
        let shared = self.shared.clone();
        let listener = &mut self.listeners[local];
        let spec = &shared.spec.listening[listener.number as usize];
        if publish.topic.starts_with("$SYS/") {
            let dropped =
                matches!(listener.drops.read(publish.topic, publish.payload), Some(DropReport::Dropped(_)));
            if dropped && spec.abort_on_drop {
                self.end_listening(io, conn, local, ListenEnd::Drops);
                self.shared.dropped.store(true, Ordering::Release);
                self.shared.wake_all();
            }
            return;
        }
        if !first && publish.dup {
            // At QoS 2 the same message under an id that is not released is delivered once [MQTT-4.3.3-2].
            return;
        }
        listener.received += 1;
        listener.payload_bytes += publish.payload.len() as u64;
        let read = spec.layout.as_ref().map(|layout| layout.read(publish.topic));
        let stamped = spec.stamp.read(publish.payload);
        let known = match read {
            // Another run on the same broker.
            Some(Some((client, _)))
                if spec.expect == Expect::Published && (publish.retain || !shared.own.contains(client)) =>
            {
                Seen::Foreign
            }
            Some(Some((client, number))) if stamped.is_some() || !spec.stamp.has_time() => {
                listener.ledger.receive(client, number)
            }
            Some(_) => Seen::Foreign,
            None => Seen::New,
        };
        let counters = &mut self.tally.measured.counters;
        match known {
            Seen::Foreign => {
                listener.foreign += 1;
                counters.foreign += 1;
            }
            Seen::Again => counters.duplicated += 1,
            Seen::New => counters.delivered += 1,
        }
        if known != Seen::Foreign {
            listener.first.get_or_insert(now);
            listener.last = now;
        }
        if let Some(stamped) = stamped.filter(|_| known != Seen::Foreign) {
            let flight = unix_ns.saturating_sub(stamped);
            listener.negative += u64::from(stamped > unix_ns);
            listener.flight.record(flight);
            listener.flights.record(flight);
            listener.sample.record(flight);
            if spec.sample_every.is_some_and(|every| listener.sample.count() >= every) {
                let flight = (&std::mem::take(&mut listener.sample)).into();
                if listener.samples.len() < SAMPLES {
                    listener.samples.push(FlightSample { time_ns: now - shared.epoch, flight });
                }
            }
            self.tally.measured.histograms.flight_service.record(flight);
        }
        if let Some(print) = &spec.print {
            print.payload(publish.topic, publish.payload);
        }
        if spec.expect == Expect::Nothing || matches!(spec.expect, Expect::Messages(_)) {
            self.await_silence(conn, local, now);
        }
        self.pause_if_slow(io, conn, local);
    }

    fn pause_if_slow(&mut self, io: &mut Io, conn: Conn, local: usize) {
        let listener = &mut self.listeners[local];
        listener.until_pause -= 1;
        if listener.until_pause == 0
            && let Some(slow) = listener.spec(&self.shared).slow
        {
            listener.until_pause = slow.every;
            // What was received already may be worth several pauses.
            listener.held_until = listener.held_until.max(io.now()) + slow.pause;
            let until = listener.held_until;
            io.hold(conn);
            self.alarm(until, Alarm::Resume, conn);
        }
    }

    pub(super) fn resume_reading(&mut self, io: &mut Io, conn: Conn) {
        let up = matches!(self.members[conn.0 as usize].step, Step::Up | Step::SubAck | Step::UnsubAck);
        // An alarm of a pause that was made longer since.
        if up && !self.is_held(io.now(), conn) {
            io.resume(conn);
        }
    }

    pub(super) fn end_if_complete(&mut self, io: &mut Io, conn: Conn, local: usize) {
        let listener = &self.listeners[local];
        let spec = listener.spec(&self.shared);
        let complete = match spec.expect {
            Expect::Nothing => false,
            Expect::Messages(_) => listener.ledger.is_complete(),
            Expect::Published => {
                self.shared.publishers_left.load(Ordering::Acquire) == 0
                    && listener.counted(spec) >= self.shared.published.load(Ordering::Acquire)
            }
        };
        if complete && matches!(listener.stage, Stage::Listening | Stage::Unloading) {
            self.end_listening(io, conn, local, ListenEnd::Complete);
        }
    }

    /// The last publisher is done: what has not arrived by the end of the grace period never will.
    pub(super) fn publishers_are_done(&mut self, io: &mut Io, conn: Conn, local: usize) {
        if self.shared.publishers() == 0 {
            return;
        }
        match self.stage(local) {
            Stage::Away => {
                self.listeners[local].stage = Stage::Unloading;
                self.call_back(conn);
            }
            Stage::Listening => {
                self.await_silence(conn, local, io.now());
                self.end_if_complete(io, conn, local);
            }
            _ => {}
        }
    }

    fn end_listening(&mut self, io: &mut Io, conn: Conn, local: usize, end: ListenEnd) {
        let backlog = self.listeners[local].spec(&self.shared).backlog;
        if !self.listener_ended(conn, local, end) {
            return;
        }
        // What is to come must be read.
        self.listeners[local].held_until = 0;
        if matches!(self.members[conn.0 as usize].step, Step::Up | Step::SubAck) {
            io.resume(conn);
        }
        match self.members[conn.0 as usize].step {
            Step::Up | Step::SubAck if backlog => {
                self.listeners[local].stage = Stage::Cleaning;
                self.leave(io, conn, After::Reconnect);
            }
            Step::Up => {
                let shared = self.shared.clone();
                let filters = &self.listeners[local].spec(&shared).filters;
                self.unsubscribe(io, conn, filters);
            }
            Step::SubAck => self.leave(io, conn, After::Done),
            Step::Waiting => self.is_done(conn),
            _ => {}
        }
    }

    /// Notes the end; false when it had ended before.
    pub(super) fn listener_ended(&mut self, conn: Conn, local: usize, end: ListenEnd) -> bool {
        let listener = &mut self.listeners[local];
        if listener.ended_by.is_some() {
            return false;
        }
        listener.ended_by = Some(end);
        listener.stage = Stage::Ended;
        listener.ready = true;
        self.is_ready(conn);
        true
    }
}
