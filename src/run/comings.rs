//! Clients that leave in order while a run goes on, and come back: all of a part at a time, or one after the other.

use super::shared::{Crew, Shared};
use crate::clock::{Nanos, SECOND};
use crate::crew::{After, Place, Step};
use crate::engine::Link;
use crate::load::{End, Role, Schedule};
use crate::record::{Absence, Arrival, Part};
use std::collections::VecDeque;
use std::sync::Arc;

/// What one worker's clients do beside their parts. Times are since the start of the schedule, but for `origin`.
pub struct Comings {
    shared: Arc<Shared>,
    /// When the schedule began, on the process clock; later than everything before.
    origin: Nanos,
    /// What is to come, in the order of the times.
    turns: VecDeque<Turn>,
    /// When idle clients leave, where they do not stay.
    churn: Option<Schedule>,
    /// Those clients.
    idle: Vec<Place>,
}

/// Clients of a part leave or come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Turn {
    time: Nanos,
    part: Part,
    leave: bool,
}

impl Comings {
    /// Of the clients of `crew`.
    pub fn new(shared: Arc<Shared>, crew: &Crew) -> Comings {
        let plan = &shared.spec.plan;
        let both = |absence: &Absence| {
            let Absence { part, at_ns, for_ns } = *absence;
            let back = Turn { time: at_ns.saturating_add(for_ns), part, leave: false };
            [Turn { time: at_ns, part, leave: true }, back]
        };
        let mut turns: Vec<Turn> = plan.absences.iter().flat_map(both).collect();
        turns.sort_by_key(|turn| turn.time);
        let others = plan.clients - shared.split.idle;
        let idle: Vec<Place> =
            crew.places().filter(|place| shared.split.role(crew.index(*place)) == Role::Idle).collect();
        let churn = plan.stay_ns.map(|stay| {
            let numbers = idle.iter().map(|place| crew.index(*place) - others).collect();
            let all = shared.split.idle;
            let rate = f64::from(all) * SECOND as f64 / stay as f64;
            Schedule::new(Arrival::Constant, numbers, all, rate, End::Time(shared.window.1), plan.seed)
        });
        Comings { origin: Nanos::MAX, turns: turns.into(), churn, idle, shared }
    }

    /// The schedule begins at `start`.
    pub fn begin(&mut self, start: Nanos) {
        self.origin = start;
    }

    /// Nobody leaves any more; who is away comes back.
    pub fn end<L: Link>(&mut self, crew: &mut Crew, link: &mut L) {
        self.churn = None;
        while let Some(turn) = self.turns.pop_front() {
            if !turn.leave {
                self.come_back(crew, link, turn.part);
            }
        }
    }

    /// Sends away and calls back whose time it is; answers when to look again.
    pub fn poll<L: Link>(&mut self, crew: &mut Crew, link: &mut L) -> Option<Nanos> {
        let now = link.now().checked_sub(self.origin)?;
        while let Some(turn) = self.turns.front().copied().filter(|turn| turn.time <= now) {
            self.turns.pop_front();
            match turn.leave {
                true => self.leave(crew, link, turn.part),
                false => self.come_back(crew, link, turn.part),
            }
        }
        while let Some(due) = self.churn.as_mut().and_then(|churn| churn.pop(now)) {
            let place = self.idle[due.place as usize];
            // Who has not come back since cannot leave.
            if crew.step(place) == Step::Up {
                crew.leave(link, place, After::Again);
            }
        }
        let churn = self.churn.as_ref().and_then(Schedule::next_due);
        let turn = self.turns.front().map(|turn| turn.time);
        [churn, turn].into_iter().flatten().min().map(|time| self.origin + time)
    }

    fn leave<L: Link>(&self, crew: &mut Crew, link: &mut L, part: Part) {
        for place in crew.places() {
            match crew.step(place) {
                Step::Up | Step::Subscribing if self.is_of(part, crew, place) => {
                    crew.leave(link, place, After::Away);
                }
                _ => {}
            }
        }
    }

    fn come_back<L: Link>(&self, crew: &mut Crew, link: &mut L, part: Part) {
        for place in crew.places() {
            match crew.step(place) {
                Step::Down if self.is_of(part, crew, place) => crew.recall(place),
                // Its connection has not ended yet.
                Step::Leaving(After::Away) if self.is_of(part, crew, place) => {
                    crew.leave(link, place, After::Again);
                }
                _ => {}
            }
        }
    }

    fn is_of(&self, part: Part, crew: &Crew, place: Place) -> bool {
        let (split, index) = (self.shared.split, crew.index(place));
        match part {
            Part::Publishers => split.publisher(index).is_some(),
            Part::Subscribers => split.subscriber(index).is_some(),
            Part::Idle => split.role(index) == Role::Idle,
            Part::All => true,
        }
    }
}
