//! What clients have written, and how much of it the kernel has taken.
//!
//! A message of QoS 1 or 2 that the kernel has not taken is missing an acknowledgement, and that tells. Of QoS 0
//! nothing would: so it counts as sent when the kernel has taken it, and as unfinished when its connection ended
//! before.

use super::books::ASIDE;
use super::{Crew, Link, Place, Token, Written};
use crate::client::{Client, Limits, Outgoing};
use crate::clock::Nanos;
use crate::wire::QoS;
use std::ops::Range;

/// Writes one message.
pub struct Pen<'a, M> {
    client: &'a mut Client<Token<M>>,
    limits: &'a Limits,
    out: &'a mut Vec<u8>,
    /// What its acknowledgement brings back.
    pub token: Token<M>,
}

impl<M: Copy> Pen<'_, M> {
    /// Writes it.
    #[inline]
    pub fn write(self, message: Outgoing<'_>) {
        let written = self.client.publish(message, self.token, self.limits, self.token.sent, self.out);
        written.expect("there was room a moment ago");
    }
}

impl<M: Copy> Crew<M> {
    /// Writes `count` messages of `place`, with sequences from that of `first` on; there must be room for them
    /// ([`Crew::room`]). `write` is given a pen for each. `audience`: subscribers that are to have each of them.
    #[inline]
    pub fn publish<L: Link>(
        &mut self,
        link: &mut L,
        place: Place,
        first: Token<M>,
        (count, qos, audience): (u64, QoS, u32),
        mut write: impl FnMut(Pen<'_, M>),
    ) {
        self.unstick(link, place);
        let member = &mut self.members[place.at()];
        let limits = &self.terms.limits[usize::from(member.kind)];
        let out = link.out(place.conn());
        let before = out.len();
        for sequence in first.sequence..first.sequence + count {
            let token = Token { sequence, ..first };
            write(Pen { client: &mut member.client, limits, out, token });
        }
        // Messages of one client in one pass are of one length, or come one by one.
        let size = ((out.len() - before) as u64 / count.max(1)) as u32;
        let written = Written { place, token: first, count, size, audience, acked: qos != QoS::AtMostOnce };
        self.books.levels.outstanding += count;
        if written.acked {
            self.books.taken(&written, count);
            self.await_ack(first.sent, place);
        } else {
            self.unanswered = true;
            if audience == 0 {
                // Nobody will tell what has become of them.
                link.ask_unacked();
            }
        }
        // Of the whole run, unlike messages.
        self.books.counters().packets_out += count;
        self.written.push(written);
    }

    /// Writes a message that is in no account; there must be room for it.
    pub fn publish_aside<L: Link>(&mut self, link: &mut L, place: Place, message: Outgoing<'_>, more: M) {
        let member = &mut self.members[place.at()];
        let limits = &self.terms.limits[usize::from(member.kind)];
        let token = Token { sequence: 0, intended: ASIDE, sent: link.now(), more };
        Pen { client: &mut member.client, limits, out: link.out(place.conn()), token }.write(message);
        if message.qos != QoS::AtMostOnce {
            self.await_ack(link.now(), place);
        }
        self.books.counters().packets_out += 1;
    }

    /// Something that is no message was written.
    pub(super) fn wrote(&mut self, now: Nanos, place: Place, bytes: usize) {
        // Only who publishes at QoS 0 has to know where messages end.
        if !self.unanswered {
            return;
        }
        let known = |written: &Written<M>| written.place == place && !written.acked;
        let stuck = self.stuck.get(&place).into_iter().flatten();
        let mut all = self.written.iter().chain(&self.unsettled).chain(stuck);
        if let Some(last) = all.find(|written| known(written)) {
            let token = Token { sent: now, ..last.token };
            self.written.push(Written { token, count: 0, size: bytes as u32, ..*last });
        }
    }

    /// What was written in the pass before has been handed over by now: `settled` hears of each client how many of
    /// its messages of QoS 0 the kernel has taken, and which of them (by their sequences) it never will. To be called
    /// first in a pass.
    pub fn settle<L: Link>(&mut self, link: &L, mut settled: impl FnMut(Place, u64, Range<u64>)) {
        let mut unsettled = std::mem::take(&mut self.unsettled);
        for written in unsettled.drain(..) {
            if link.unsent(written.place.conn()) == 0 {
                self.taken(&written, written.count);
            } else {
                self.stuck.entry(written.place).or_default().push(written);
            }
        }
        self.unsettled = unsettled;
        if !self.stuck.is_empty() {
            let taken = |place: &Place, _: &mut Vec<_>| link.unsent(place.conn()) == 0;
            let free: Vec<_> = self.stuck.extract_if(.., taken).flat_map(|(_, all)| all).collect();
            free.into_iter().for_each(|written| self.taken(&written, written.count));
        }
        self.settled.drain(..).for_each(|(place, taken, lost)| settled(place, taken, lost));
        self.answers.retain(|place, _| link.blocked(place.conn()));
    }

    /// What waited for room has gone, if it has: before more goes behind it, and nobody can tell any more.
    #[inline]
    fn unstick<L: Link>(&mut self, link: &L, place: Place) {
        if !self.stuck.is_empty()
            && link.unsent(place.conn()) == 0
            && let Some(gone) = self.stuck.remove(&place)
        {
            gone.iter().for_each(|written| self.taken(written, written.count));
        }
    }

    fn taken(&mut self, written: &Written<M>, count: u64) {
        if count > 0 {
            self.books.taken(written, count);
            self.books.levels.outstanding -= count;
            self.settled.push((written.place, count, 0..0));
        }
    }

    /// A connection has ended with so many bytes that the kernel has not taken: the last ones.
    pub(super) fn settle_end(&mut self, place: Place, mut unsent: usize) {
        let mut all = self.stuck.remove(&place).unwrap_or_default();
        let own = |written: &mut Written<M>| written.place == place && !written.acked;
        all.extend(self.unsettled.extract_if(.., own));
        all.extend(self.written.extract_if(.., own));
        for written in all.into_iter().rev() {
            let lost = unsent.div_ceil(written.size.max(1) as usize) as u64;
            let lost = lost.min(written.count);
            unsent = unsent.saturating_sub(written.size as usize * written.count.max(1) as usize);
            self.taken(&written, written.count - lost);
            if lost > 0 {
                self.books.of(written.token.intended).unfinished += lost;
                self.books.levels.outstanding -= lost;
                let end = written.token.sequence + written.count;
                self.settled.push((place, 0, end - lost..end));
            }
        }
    }

    /// The end of a pass: what was written in it leaves now. `handed` is told when, for all of its messages.
    pub fn end_pass<L: Link>(&mut self, link: &L, mut handed: impl FnMut(&Written<M>, Nanos)) {
        if self.written.is_empty() {
            return;
        }
        let now = link.clock();
        for written in self.written.drain(..) {
            if written.count > 0 {
                self.books.handed(&written, now);
                handed(&written, now);
            }
            if !written.acked {
                self.unsettled.push(written);
            }
        }
    }
}
