//! What a script has happen at its time.

use super::{Faulty, Later, STALL};
use crate::clock::Nanos;
use crate::engine::{Conn, Link};
use crate::reflector::broker::{Broker, Phase};
use crate::script::{Decision, Deed, Zero, is_client};
use crate::seed::{Draw, Purpose};

/// What chance is for.
const MOMENT: Purpose = Purpose::named("script moment");

impl Broker {
    /// Does what is due. True while the broker stands still.
    pub(in crate::reflector::broker) fn play_pass<L: Link>(&mut self, link: &mut L) -> bool {
        let now = link.now();
        if self.faulty().zero == Zero::Start && self.faulty().began.is_none() {
            self.faulty().begin_at(now);
        }
        while let Some((number, time)) = self.faulty().next_moment(now) {
            self.play_moment(link, number, time);
        }
        if self.faulty().stalled.is_some_and(|until| until <= now) {
            self.faulty().stalled = None;
            for conn in (0..self.faulty().sides.len() as u32).map(Conn) {
                self.let_go(link, conn, STALL);
            }
        }
        while let Some(later) = self.faulty().next_later(now) {
            self.play_later(link, later);
        }
        self.serve(link);
        self.faulty().stalled.is_some()
    }

    /// When there is something to do again.
    pub(in crate::reflector::broker) fn next_by_script(&self) -> Option<Nanos> {
        let faulty = self.faulty.as_ref()?;
        let moment = faulty.timetable.keys().next().map(|(time, _)| *time);
        if let Some(until) = faulty.stalled {
            return moment.into_iter().chain((until < Nanos::MAX).then_some(until)).min();
        }
        let later = faulty.later.keys().next().map(|(time, _)| *time);
        let turn = faulty.bucket.as_ref().filter(|_| !faulty.queued.is_empty()).map(|bucket| bucket.next());
        [moment, later, turn].into_iter().flatten().min()
    }

    fn play_later<L: Link>(&mut self, link: &mut L, later: Later) {
        match later {
            Later::Write { conn, number, bytes, acks, greets } => {
                if self.faulty().side(conn).number != number || self.connection(conn).phase != Phase::Open {
                    return;
                }
                link.out(conn).extend_from_slice(&bytes);
                self.faulty().account.acked += acks;
                if greets {
                    self.faulty().side(conn).greeting = false;
                    self.wait(conn);
                }
            }
            Later::Deliver(parcel) => self.deliver_parcel(link, &parcel),
            Later::Release { key, number } => self.release(link, key, number),
            Later::Hear { conn, number, hold } => {
                let side = self.faulty().side(conn);
                // Who has been read from since then waits for a later time.
                let early = hold == super::PACE && side.paced > link.now();
                if side.number == number && !early {
                    self.let_go(link, conn, hold);
                    self.wait(conn);
                }
            }
        }
    }

    fn play_moment<L: Link>(&mut self, link: &mut L, number: usize, time: Nanos) {
        let now = link.now();
        let moment = self.faulty().moments[number].clone();
        let mut draw = Draw::of(self.faulty().seed, MOMENT, number as u32, time);
        let mut decision = Decision::default();
        decision.add(&moment.act, &mut draw);
        if let Some(pause) = decision.stall.take() {
            self.stall(now, pause);
        }
        for conn in (0..self.faulty().sides.len() as u32).map(Conn) {
            let side = self.faulty().side(conn);
            if side.number == 0 || !is_client(moment.client.as_deref(), side.client.as_deref()) {
                continue;
            }
            if let (Some(bytes), Phase::Open) = (&decision.also, self.connection(conn).phase) {
                self.faulty().note_at(now, Deed::Garbage, conn);
                link.out(conn).extend_from_slice(bytes);
            }
            self.conclude(link, conn, &decision);
        }
    }
}

impl Faulty {
    /// The times of moments count from `now`.
    pub(super) fn begin_at(&mut self, now: Nanos) {
        self.began = Some(now);
        for (number, moment) in self.moments.iter().enumerate().filter(|(_, moment)| moment.times > 0) {
            self.timetable.insert((now.saturating_add(moment.time), number), 1);
        }
    }

    /// A moment that has come: its number, and its time since the beginning.
    fn next_moment(&mut self, now: Nanos) -> Option<(usize, Nanos)> {
        let first = self.timetable.first_entry().filter(|first| first.key().0 <= now)?;
        let ((time, number), come) = first.remove_entry();
        let moment = &self.moments[number];
        if let Some(every) = moment.every.filter(|_| come < moment.times) {
            self.timetable.insert((time.saturating_add(every), number), come + 1);
        }
        Some((number, time - self.began.expect("moments come after the beginning")))
    }

    fn next_later(&mut self, now: Nanos) -> Option<Later> {
        if self.stalled.is_some() {
            return None;
        }
        let first = self.later.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}
