//! From nothing to a connected client, and back after a loss.

use super::dialling::AT_A_TIME;
use super::{
    ASKED, After, Crew, ESTABLISHED, End, HELD, KEPT, LOST, Link, Member, News, Place, STAYS, Step, TORN,
    Token,
};
use crate::client::{Resend, Resent, State};
use crate::clock::{Nanos, SECOND};
use crate::engine::{CloseCause, Closed, Handshake};
use crate::wire::v5::PropertyId;
use crate::wire::{Connect, ConnectCode, Disconnect, Properties, ReasonCode};
use std::fmt::Display;

/// A connection that lived shorter than this is a failed attempt.
const SHORT: Nanos = SECOND;

impl<M: Copy> Crew<M> {
    /// All clients are to connect.
    pub fn connect_all(&mut self, now: Nanos) {
        self.dialling.begin(now, self.members.len() as u32);
    }

    /// A client may connect now.
    pub fn call(&mut self, place: Place) {
        self.dialling.add(place);
    }

    /// A client that has left comes back at once: the rate is of those that were never there, or were lost.
    pub fn recall(&mut self, place: Place) {
        self.dialling.add_urgent(place);
    }

    /// A client that is down tries again after a wait, which grows with its failures.
    pub fn retry(&mut self, now: Nanos, place: Place) {
        let failures = self.members[place.at()].failures.saturating_sub(1);
        self.dialling.retry(now, place, failures);
    }

    /// A connection has been of use: what failed before does not count any more.
    pub fn forgive(&mut self, place: Place) {
        self.members[place.at()].failures = 0;
    }

    /// Whether everybody of [`Crew::connect_all`] has been connected, or has failed for good.
    pub fn is_settled(&self) -> bool {
        let tries = |member: &Member<M>| member.step == Step::Down && !member.is(ESTABLISHED);
        self.dialling.is_done() && !self.members.iter().any(tries)
    }

    /// Starts as many connections as may be; answers when to look again.
    pub fn poll_dial<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        for _ in 0..AT_A_TIME {
            let Some((place, counted)) = self.dialling.pop(link.now()) else { break };
            if self.step(place) == Step::Down {
                self.dial(link, place, counted);
            }
        }
        self.dialling.next()
    }

    fn dial<L: Link>(&mut self, link: &mut L, place: Place, counted: bool) {
        let now = link.now();
        self.dialling.started(now, counted);
        let member = &mut self.members[place.at()];
        (member.step, member.since) = (Step::Dialling, now);
        if !member.is(ESTABLISHED) && member.failures == 0 {
            self.books.counters().connections_asked += 1;
        }
        let route = (self.routes)(self.index(place));
        match link.dial(place.conn(), &route) {
            Ok(()) => self.steps.push(now, place),
            Err(error) => {
                self.books.counters().refused_tcp += 1;
                self.books.cap_reached();
                self.attempt_failed(place, format!("no socket to {}: {error}", route.remote));
            }
        }
    }

    /// The transport is up: writes CONNECT. Nothing happens when it comes too late.
    pub fn handle_connected<L: Link>(&mut self, link: &mut L, place: Place, connect: &Connect<'_>) {
        let now = link.now();
        let member = &mut self.members[place.at()];
        if member.step != Step::Dialling {
            return;
        }
        let there = match link.handshake(place.conn()) {
            Handshake::Done { began, took, resumed: false } => {
                self.books.time(|times| &mut times.handshake, took);
                began
            }
            Handshake::Done { began, took, resumed: true } => {
                self.books.time(|times| &mut times.handshake_resumed, took);
                began
            }
            Handshake::None | Handshake::UnderWay => now,
        };
        self.books.time(|times| &mut times.tcp_connect, there - member.since);
        (member.step, member.since) = (Step::Connecting, now);
        member.client.connect(connect, now, link.out(place.conn())).expect("the command line was checked");
        self.books.counters().packets_out += 1;
        self.steps.push(now, place);
    }

    /// CONNACK has accepted the client.
    pub(super) fn established(
        &mut self,
        (arrived, now): (Nanos, Nanos),
        place: Place,
        session_present: bool,
    ) {
        self.dialling.succeeded();
        let member = &mut self.members[place.at()];
        self.books.time(|times| &mut times.connack, arrived.saturating_sub(member.since));
        (member.step, member.since) = (Step::Up, now);
        let first = !member.set(ESTABLISHED, true);
        let again = member.set(LOST, false);
        if !member.set(KEPT, true) {
            self.keepalives[usize::from(member.kind)].push(now, place);
        }
        let counters = self.books.counters();
        counters.connections_established += u64::from(first);
        counters.reconnects += u64::from(again);
        self.books.levels.established += u64::from(first);
        self.books.levels.connected += 1;
        if !session_present {
            self.abandon(now, place);
        }
    }

    /// What was outstanding is lost with its session: not acknowledged, and it stays that way.
    pub(super) fn abandon(&mut self, now: Nanos, place: Place) {
        for token in self.members[place.at()].client.abandon() {
            self.books.abandoned(now, &token);
        }
    }

    /// Sends again what a resumed session owes the broker; `render` makes each message again.
    pub fn redeliver<L: Link>(
        &mut self,
        link: &mut L,
        place: Place,
        mut render: impl FnMut(&Token<M>, Resend<'_>) -> Resent,
    ) {
        let now = link.now();
        self.members[place.at()].client.redeliver(now, link.out(place.conn()), |token, resend| {
            token.sent = now;
            render(token, resend)
        });
    }

    pub(super) fn refused<L: Link>(
        &mut self,
        link: &mut L,
        place: Place,
        code: ConnectCode,
        properties: Properties<'_>,
    ) {
        let counters = self.books.counters();
        counters.refused[column(code)] += 1;
        if let ConnectCode::Reason(reason) = code {
            counters.reasons.count(reason as u8);
        }
        let remote = self.remote(place);
        let said = said(properties);
        let trouble = format!("{remote} refused the connection: {code} (CONNACK {}){said}", number(code));
        // Any other answer would be the same the next time.
        let passes = matches!(
            code.reason(),
            ReasonCode::ServerUnavailable | ReasonCode::ServerBusy | ReasonCode::ConnectionRateExceeded
        );
        self.retreat(link, place, trouble, !passes);
    }

    /// DISCONNECT from the broker.
    pub(super) fn sent_away<L: Link>(&mut self, link: &mut L, place: Place, disconnect: &Disconnect<'_>) {
        let Disconnect { reason, properties } = *disconnect;
        let counters = self.books.counters();
        counters.closed_by_broker += 1;
        counters.reasons.count(reason as u8);
        let (remote, number, said) = (self.remote(place), reason as u8, said(properties));
        self.give_up(
            link,
            place,
            format!("{remote} ended the connection: {reason} (DISCONNECT {number:#04x}){said}"),
        );
    }

    /// What the broker has granted in CONNACK bounds what the client may do. False when the connection is given up.
    pub(super) fn narrow<L: Link>(&mut self, link: &mut L, place: Place, granted: Properties<'_>) -> bool {
        if let Some(lack) = self.terms.needs.lacks(granted) {
            let trouble = format!("{} {lack}", self.remote(place));
            self.retreat(link, place, trouble, true);
            return false;
        }
        let member = &mut self.members[place.at()];
        let base = self.bases[usize::from(member.kind)];
        let asked = self.terms.limits[usize::from(base)];
        let limits = asked.granted(granted);
        let known = |kind: &usize| self.bases[*kind] == base && self.terms.limits[*kind] == limits;
        let kind = match (0..self.bases.len()).find(known) {
            Some(kind) => kind,
            None if self.bases.len() > usize::from(u8::MAX) => {
                let trouble = format!("{} grants each client something else in CONNACK", self.remote(place));
                self.retreat(link, place, trouble, true);
                return false;
            }
            None => {
                self.add_kind(base, limits);
                self.bases.len() - 1
            }
        };
        self.members[place.at()].kind = kind as u8;
        true
    }

    /// The broker broke the protocol: no sense in going on with this connection.
    pub(super) fn violated<L: Link>(&mut self, link: &mut L, place: Place, error: &dyn Display) {
        self.books.counters().protocol_errors += 1;
        let (remote, part) = (self.remote(place), (self.terms.part)(self.index(place)));
        let trouble = format!("{remote} broke the protocol ({part}): {error}");
        self.give_up(link, place, trouble);
    }

    /// Ends a connection, or the attempt at one, that was not asked to end; says so in words.
    pub fn give_up<L: Link>(&mut self, link: &mut L, place: Place, trouble: String) {
        match self.step(place) {
            Step::Dialling | Step::Connecting => self.retreat(link, place, trouble, false),
            Step::Up | Step::Subscribing | Step::Unsubscribing => {
                let spent = self.lost(link.now(), place);
                self.tear_down(link, place, trouble, spent);
            }
            Step::Down | Step::Leaving(_) | Step::Done => {}
        }
    }

    /// Ends a connection, or the attempt at one, without a word: its owner has done with it.
    pub fn quit<L: Link>(&mut self, link: &mut L, place: Place) {
        let member = &mut self.members[place.at()];
        if member.is_online() {
            self.books.levels.connected -= 1;
            member.step = Step::Leaving(After::Done);
        }
        self.leave(link, place, After::Done);
        self.abort(link, place);
    }

    /// Ends an attempt whose connection is open.
    pub(super) fn retreat<L: Link>(&mut self, link: &mut L, place: Place, trouble: String, last: bool) {
        let spent = self.count_failure(place) || last;
        self.tear_down(link, place, trouble, spent);
    }

    fn tear_down<L: Link>(&mut self, link: &mut L, place: Place, trouble: String, spent: bool) {
        self.books.trouble(trouble.clone());
        let member = &mut self.members[place.at()];
        member.set(TORN, true);
        member.step = Step::Leaving(if spent { After::Spent } else { After::Retry });
        if spent {
            let trouble = tried(trouble, member.failures);
            self.reasons.insert(place, trouble);
        }
        link.abort(place.conn());
    }

    /// An attempt has failed, and its connection is gone.
    fn attempt_failed(&mut self, place: Place, trouble: String) {
        let was = self.step(place);
        let spent = self.count_failure(place);
        self.down(place, was, spent, (trouble, 0));
    }

    fn down(&mut self, place: Place, was: Step, spent: bool, (trouble, unacked): (String, usize)) {
        self.books.trouble(trouble.clone());
        let member = &mut self.members[place.at()];
        member.step = Step::Down;
        let end = if spent { End::Spent(tried(trouble, member.failures)) } else { End::Failed };
        self.news.push_back(News::Down { place, was, end, unacked });
    }

    /// Counts a failed attempt; answers whether it was the last.
    fn count_failure(&mut self, place: Place) -> bool {
        if let Some((failures, untried)) = self.dialling.failed() {
            let clients = untried.len();
            self.books.trouble(format!(
                "after {failures} failures in a row {clients} clients were not tried any more"
            ));
            untried.for_each(|place| self.members[place as usize].step = Step::Done);
        }
        let terms = &self.terms;
        let member = &mut self.members[place.at()];
        member.failures = member.failures.saturating_add(1);
        let most = if member.is(ESTABLISHED) { terms.reconnect_attempts } else { terms.attempts };
        most != 0 && member.failures >= most
    }

    /// Counts the loss of a connection; answers whether it was the last.
    fn lost(&mut self, now: Nanos, place: Place) -> bool {
        self.books.levels.connected -= 1;
        self.books.counters().connections_lost += 1;
        let terms = &self.terms;
        let member = &mut self.members[place.at()];
        member.set(LOST, true);
        let lived = now.saturating_sub(member.since);
        member.failures = if lived < SHORT { member.failures.saturating_add(1) } else { 0 };
        let most = terms.reconnect_attempts;
        !terms.reconnect || most != 0 && member.failures >= most
    }

    /// A connection is gone, whoever ended it.
    pub fn handle_closed<L: Link>(&mut self, link: &mut L, place: Place, closed: Closed) {
        let Closed { cause, unsent, unacked } = closed;
        self.settle_end(place, unsent);
        let member = &mut self.members[place.at()];
        member.set(HELD, false);
        member.set(TORN, false);
        // Whatever has ended it: its owner waits for an answer.
        let asked = member.set(ASKED, false);
        let stays = member.set(STAYS, false);
        if member.client.state() != State::Offline {
            member.client.handle_disconnected();
        }
        let eof = cause == CloseCause::Eof;
        match member.step {
            Step::Dialling => {
                self.books.counters().refused_tcp += u64::from(matches!(cause, CloseCause::ConnectFailed(_)));
                if cause.is_a_cap() {
                    self.books.cap_reached();
                }
                self.attempt_failed(place, format!("{}: {cause}", self.remote(place)));
            }
            Step::Connecting => {
                self.books.counters().closed_by_broker += u64::from(eof);
                let remote = self.remote(place);
                self.attempt_failed(place, format!("{remote} ended the connection before CONNACK: {cause}"));
            }
            // It had all it was to have.
            was @ Step::Unsubscribing if !stays => {
                self.books.levels.connected -= 1;
                self.has_left(link.now(), place, (was, After::Done), (false, unacked));
            }
            was @ (Step::Up | Step::Subscribing | Step::Unsubscribing) => {
                self.books.counters().closed_by_broker += u64::from(eof);
                let spent = self.lost(link.now(), place);
                let trouble = format!("connection to {} lost: {cause}", self.remote(place));
                self.down(place, was, spent, (trouble, unacked));
            }
            Step::Leaving(after) => {
                let was = if asked { Step::Subscribing } else { Step::Leaving(after) };
                self.has_left(link.now(), place, (was, after), (eof && unacked == 0, unacked));
            }
            Step::Down | Step::Done => {}
        }
    }

    fn has_left(
        &mut self,
        now: Nanos,
        place: Place,
        (was, after): (Step, After),
        (read, unacked): (bool, usize),
    ) {
        let member = &mut self.members[place.at()];
        member.step = Step::Down;
        let end = match after {
            After::Retry => End::Failed,
            After::Spent => End::Spent(self.reasons.remove(&place).unwrap_or_default()),
            After::Done | After::Again | After::Away => {
                if read {
                    self.books.time(|times| &mut times.disconnect, now - member.since);
                }
                End::Left { after, read }
            }
        };
        self.news.push_back(News::Down { place, was, end, unacked });
    }

    /// A client that is down, and stays so: what is unacknowledged will never be acknowledged.
    pub fn finish(&mut self, now: Nanos, place: Place) {
        let member = &mut self.members[place.at()];
        assert!(matches!(member.step, Step::Down | Step::Done), "{place:?} ends while {:?}", member.step);
        if std::mem::replace(&mut member.step, Step::Done) == Step::Down {
            self.books.levels.done += 1;
            self.abandon(now, place);
        }
    }
}

/// Where a refusal is counted: with the return code of 3.1.1 that says the same, or with 0.
fn column(code: ConnectCode) -> usize {
    match code.reason() {
        ReasonCode::UnsupportedProtocolVersion => 1,
        ReasonCode::ClientIdentifierNotValid => 2,
        ReasonCode::ServerUnavailable => 3,
        ReasonCode::BadUserNameOrPassword => 4,
        ReasonCode::NotAuthorized => 5,
        _ => 0,
    }
}

/// The number of a refusal as its version's standard has it.
fn number(code: ConnectCode) -> String {
    match code {
        ConnectCode::Reason(reason) => format!("{:#04x}", reason as u8),
        code => code.number().to_string(),
    }
}

/// What else a broker has to say: why, and where to go instead.
fn said(properties: Properties<'_>) -> String {
    let text = |id| properties.text(id);
    let why = text(PropertyId::ReasonString).map(|why| format!(": {why:?}"));
    let instead = text(PropertyId::ServerReference).map(|server| format!("; it names {server:?} instead"));
    why.into_iter().chain(instead).collect()
}

/// `trouble`, and how often it was met.
fn tried(trouble: String, failures: u32) -> String {
    if failures > 1 { format!("{trouble} ({failures} times in a row)") } else { trouble }
}
