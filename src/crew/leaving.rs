//! Subscribing, unsubscribing and taking leave.

use super::{ASKED, After, Crew, HELD, Link, Place, STAYS, Step, TORN};
use crate::client::RequestError;
use crate::clock::{Nanos, SECOND};
use crate::wire::PacketId;
use crate::wire::v5::Options;

/// Longest wait for a broker that does not read what its client has left. Less than what the stage waits for a worker
/// whose clients do not leave.
const UNREAD: Nanos = 10 * SECOND;

impl<M: Copy> Crew<M> {
    /// Writes SUBSCRIBE, and waits for its answer before anything else.
    pub fn subscribe<'f, L: Link, O: Into<Options>>(
        &mut self,
        link: &mut L,
        place: Place,
        filters: impl Iterator<Item = (&'f str, O)>,
    ) -> Result<(), RequestError> {
        let now = link.now();
        self.subscribe_aside(link, place, filters)?;
        let member = &mut self.members[place.at()];
        (member.step, member.since) = (Step::Subscribing, now);
        member.set(ASKED, true);
        self.steps.push(now, place);
        Ok(())
    }

    /// Writes SUBSCRIBE, and goes on without its answer.
    pub fn subscribe_aside<'f, L: Link, O: Into<Options>>(
        &mut self,
        link: &mut L,
        place: Place,
        filters: impl Iterator<Item = (&'f str, O)>,
    ) -> Result<PacketId, RequestError> {
        let client = &mut self.members[place.at()].client;
        let id = client.subscribe(filters, link.now(), link.out(place.conn()))?;
        self.books.counters().packets_out += 1;
        Ok(id)
    }

    /// SUBACK has come, or was given up: the client is [`Step::Up`] again. False when it was not waiting.
    pub fn subscribed(&mut self, arrived: Nanos, place: Place) -> bool {
        let member = &mut self.members[place.at()];
        if member.step != Step::Subscribing {
            return false;
        }
        self.books.time(|times| &mut times.suback, arrived.saturating_sub(member.since));
        member.step = Step::Up;
        member.set(ASKED, false);
        true
    }

    /// Writes UNSUBSCRIBE; [`After::Done`] follows its answer, or the wait for it.
    pub fn unsubscribe<'f, L: Link>(
        &mut self,
        link: &mut L,
        place: Place,
        filters: impl Iterator<Item = &'f str>,
    ) {
        let now = link.now();
        let member = &mut self.members[place.at()];
        if member.client.unsubscribe(filters, now, link.out(place.conn())).is_err() {
            return self.leave(link, place, After::Done);
        }
        (member.step, member.since) = (Step::Unsubscribing, now);
        self.books.counters().packets_out += 1;
        self.leaving.push(now, place);
    }

    /// Writes UNSUBSCRIBE, waits for its answer before anything else, and goes on.
    pub fn withdraw<'f, L: Link>(
        &mut self,
        link: &mut L,
        place: Place,
        filters: impl Iterator<Item = &'f str>,
    ) -> Result<(), RequestError> {
        let now = link.now();
        let member = &mut self.members[place.at()];
        member.client.unsubscribe(filters, now, link.out(place.conn()))?;
        (member.step, member.since) = (Step::Unsubscribing, now);
        member.set(STAYS, true);
        self.books.counters().packets_out += 1;
        self.steps.push(now, place);
        Ok(())
    }

    pub(super) fn unsubscribed<L: Link>(&mut self, link: &mut L, place: Place) {
        let member = &mut self.members[place.at()];
        if member.step != Step::Unsubscribing {
            return;
        }
        self.books.time(|times| &mut times.unsuback, link.arrived().saturating_sub(member.since));
        match member.set(STAYS, false) {
            true => member.step = Step::Up,
            false => self.leave(link, place, After::Done),
        }
    }

    /// Takes leave, wherever the client stands: writes DISCONNECT, or drops what was not established yet. Its end
    /// is [`End::Left`](super::End), and `after` comes back with it. Of one that is leaving already, only what
    /// follows changes.
    pub fn leave<L: Link>(&mut self, link: &mut L, place: Place, after: After) {
        let now = link.now();
        self.resume(link, place);
        let member = &mut self.members[place.at()];
        match member.step {
            Step::Up | Step::Subscribing | Step::Unsubscribing => {
                (member.step, member.since) = (Step::Leaving(after), now);
                let out = link.out(place.conn());
                let before = out.len();
                member.client.disconnect(out);
                let bytes = out.len() - before;
                self.books.counters().packets_out += 1;
                self.books.levels.connected -= 1;
                self.wrote(now, place, bytes);
                // The broker closes the connection; should it not, we do.
                self.leaving.push(now, place);
            }
            Step::Dialling | Step::Connecting => {
                (member.step, member.since) = (Step::Leaving(after), now);
                member.set(TORN, true);
                self.dialling.pending -= 1;
                link.abort(place.conn());
            }
            Step::Leaving(After::Done | After::Again | After::Away) => member.step = Step::Leaving(after),
            Step::Leaving(After::Retry | After::Spent) | Step::Down | Step::Done => {}
        }
    }

    /// Whether a broker has not closed a connection in its time: then those that leave had better not wait for each other.
    pub fn is_kept_waiting(&self) -> bool {
        self.kept_waiting
    }

    /// From now on nobody is waited for who has had his time.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }

    pub(super) fn check_leaving<L: Link>(&mut self, link: &mut L, place: Place) {
        let now = link.now();
        let member = &self.members[place.at()];
        let waited = now.saturating_sub(member.since);
        match member.step {
            // A broker that does not answer, and will not be missed.
            Step::Unsubscribing if waited >= super::LEAVE => self.leave(link, place, After::Done),
            // What is unsent is waited for, and at QoS 0, where nothing else would tell, that it is read; a broker that
            // only keeps its side open is not.
            Step::Leaving(_) if member.is(TORN) => {}
            Step::Leaving(_)
                if (link.unsent(place.conn()) > 0 || self.unanswered)
                    && waited < self.terms.timeout.min(UNREAD)
                    && !self.hurried =>
            {
                self.kept_waiting = true;
                self.leaving.push(now, place);
            }
            Step::Leaving(_) if waited >= super::LEAVE => {
                self.kept_waiting = true;
                self.abort(link, place);
            }
            _ => {}
        }
    }

    /// Ends the wait for the end of a connection.
    pub fn abort<L: Link>(&mut self, link: &mut L, place: Place) {
        let member = &mut self.members[place.at()];
        if matches!(member.step, Step::Leaving(_)) && !member.set(TORN, true) {
            link.abort(place.conn());
        }
    }

    /// Receives nothing until [`Crew::resume`].
    pub fn hold<L: Link>(&mut self, link: &mut L, place: Place) {
        if !self.members[place.at()].set(HELD, true) {
            link.hold(place.conn());
        }
    }

    /// Receives again.
    pub fn resume<L: Link>(&mut self, link: &mut L, place: Place) {
        if self.members[place.at()].set(HELD, false) {
            link.resume(place.conn());
        }
    }

    /// When anything here is due next.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        let fixed = [&self.steps, &self.leaving, &self.acks];
        fixed.into_iter().chain(&self.keepalives).filter_map(|fifo| fifo.next()).min()
    }
}
