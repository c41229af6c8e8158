//! Subscriptions that come and go while a run goes on, and what is expected of them.
//!
//! A message is *expected* when it left after SUBACK had come and before its subscriber began to leave. Nobody knows, nor
//! does the standard say, of what leaves in between: it is expected once it has come. But what leaves after UNSUBACK
//! is not to come before the next SUBSCRIBE is written. A subscriber unsubscribes once it has what left before it
//! began to leave, so that a broker is not to deliver what nobody has subscribed to any more [MQTT-3.10.4-3].
//!
//! All publishers of a group are with the worker of its subscribers, so that what left when is certain.

use super::{Subscriber, Subscribers};
use crate::clock::{Nanos, SECOND};
use crate::crew::{Place, Step};
use crate::engine::Link;
use crate::load::{End, Flow, Schedule};
use crate::record::{Arrival, Flap};
use crate::run::sequences::Sequences;
use crate::run::shared::Crew;
use crate::run::trials::Segment;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// How a subscription stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    There,
    /// It is to go, once what left before has come.
    Going,
    /// UNSUBSCRIBE is under way.
    Withdrawn,
    /// It is not there, as far as is known.
    Gone,
    /// SUBSCRIBE is under way.
    Coming,
}

/// What a subscription that comes and goes says of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Expected,
    /// Either is right.
    Open,
    /// Not to come.
    Never,
}

/// The last absence from one publisher's messages, in its sequences: those from `from` to before `to` left while it was
/// not certain that the subscription was there, and those from `gone` on when UNSUBACK had come. The next one is from `next`
/// on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Absence {
    from: u64,
    gone: u64,
    to: u64,
    next: u64,
}

impl Absence {
    const NONE: Absence = Absence { from: 0, gone: u64::MAX, to: 0, next: u64::MAX };
}

/// How one subscription comes and goes.
pub struct Flapping {
    state: State,
    /// By publisher of its group.
    absences: Box<[Absence]>,
    /// Publishers of which something that left before is still to come.
    owing: u32,
}

impl Flapping {
    /// Of one that is there, in a group of so many publishers.
    pub fn new(publishers: usize) -> Flapping {
        Flapping { state: State::There, absences: vec![Absence::NONE; publishers].into(), owing: 0 }
    }

    /// It is to go: `next` are the sequences of what leaves from now on.
    fn begin(&mut self, flows: &[Flow], next: impl Iterator<Item = u64>) {
        (self.state, self.owing) = (State::Going, 0);
        for ((absence, flow), next) in self.absences.iter_mut().zip(flows).zip(next) {
            absence.next = next;
            self.owing += u32::from(absence.to < next && flow.next() < next);
        }
    }

    /// It goes, with what left before. So nothing comes any more that left while it was away before, unless nothing has
    /// left since: then it was never back.
    fn leave(&mut self, flows: &mut [Flow], state: State) {
        self.state = state;
        for (absence, flow) in self.absences.iter_mut().zip(flows) {
            let Absence { from, to, next, .. } = *absence;
            if to < next {
                flow.forgo(from, to);
            }
            *absence = Absence { from: if to < next { next } else { from }, to: u64::MAX, ..Absence::NONE };
        }
    }

    /// What is to be said of a publisher's message that comes now.
    pub fn call(&self, place: u32, sequence: u64) -> Call {
        let Absence { from, gone, to, next } = self.absences[place as usize];
        match self.state {
            State::Gone if sequence >= gone => Call::Never,
            State::Going if sequence >= next => Call::Open,
            _ if (from..to).contains(&sequence) => Call::Open,
            _ => Call::Expected,
        }
    }

    /// A message of a publisher has come, and the next to come was and is another; answers whether it was the last that
    /// was waited for.
    pub fn heard(&mut self, place: u32, [was, is]: [u64; 2]) -> bool {
        let Absence { to, next, .. } = self.absences[place as usize];
        let waited = self.state == State::Going && to < next && was < next && next <= is;
        self.owing -= u32::from(waited);
        waited && self.owing == 0
    }

    fn note(&mut self, next: impl Iterator<Item = u64>, edge: fn(&mut Absence) -> &mut u64) {
        self.absences.iter_mut().zip(next).for_each(|(absence, next)| *edge(absence) = next);
    }

    /// Whether it is to be asked for on a new connection, whose session may have it: it is not before its time.
    pub fn subscribes(&self, has_it: bool) -> bool {
        match self.state {
            State::Coming => true,
            State::Gone => false,
            State::There | State::Going | State::Withdrawn => !has_it,
        }
    }

    /// Nothing more comes: what did not come while it was away is not missed.
    pub fn end(&self, flows: &mut [Flow], sequences: &Sequences, publishers: impl Iterator<Item = u32>) {
        for ((absence, flow), publisher) in self.absences.iter().zip(flows).zip(publishers) {
            let next = sequences.next(publisher);
            flow.forgo(absence.from, absence.to.min(next));
            if self.state == State::Going {
                flow.forgo(absence.next, next);
            }
        }
    }
}

/// When subscriptions of a worker go and come.
pub struct Turns {
    flap: Flap,
    numbers: Vec<u32>,
    schedule: Option<Schedule>,
    origin: Nanos,
    /// Those that are gone, by the time at which they come back.
    back: VecDeque<(Nanos, usize)>,
    /// Those that may have what they were owed.
    ready: Vec<usize>,
}

impl Turns {
    /// Of the subscribers with `numbers`.
    pub fn new(flap: Flap, numbers: &[u32]) -> Turns {
        let numbers = numbers.to_vec();
        Turns { flap, numbers, schedule: None, origin: 0, back: VecDeque::new(), ready: Vec::new() }
    }

    /// A subscriber that is to go has what it waited for.
    pub fn may_go(&mut self, number: usize) {
        self.ready.push(number);
    }
}

impl Subscribers {
    /// A schedule begins, and with it their turns.
    pub(super) fn begin_turns(&mut self, segment: &Segment) {
        let plan = &self.shared.spec.plan;
        if let Some(turns) = &mut self.turns {
            let rate = f64::from(plan.subscribers) * SECOND as f64 / turns.flap.every_ns as f64;
            let end = End::Time(segment.closes - segment.start);
            let numbers = turns.numbers.clone();
            turns.origin = segment.start;
            turns.schedule =
                Some(Schedule::new(Arrival::Constant, numbers, plan.subscribers, rate, end, plan.seed));
        }
    }

    /// Whoever is subscribed stays so from now on.
    pub fn settle(&mut self) {
        if let Some(turns) = &mut self.turns {
            turns.schedule = None;
            turns.back.clear();
        }
    }

    /// Unsubscribes and subscribes whose time it is; answers when to look again.
    pub fn poll_turns<L: Link>(&mut self, crew: &mut Crew, link: &mut L) -> Option<Nanos> {
        let turns = self.turns.as_mut()?;
        let now = link.now();
        let (mut going, since) = (Vec::new(), now.saturating_sub(turns.origin));
        while let Some(due) = turns.schedule.as_mut().and_then(|turns| turns.pop(since)) {
            going.push(due.place as usize);
        }
        let mut ready = std::mem::take(&mut turns.ready);
        let mut back = Vec::new();
        while let Some((_, number)) = turns.back.front().copied().filter(|(time, _)| *time <= now) {
            turns.back.pop_front();
            back.push(number);
        }
        ready.extend(going.into_iter().filter(|&number| self.go(crew, number)));
        ready.into_iter().for_each(|number| self.withdraw(crew, link, number));
        back.into_iter().for_each(|number| self.come_back(crew, link, number));
        let turns = self.turns.as_ref()?;
        let next = turns.schedule.as_ref().and_then(Schedule::next_due).map(|due| turns.origin + due);
        let back = turns.back.front().map(|(time, _)| *time);
        next.into_iter().chain(back).min()
    }

    /// A subscription is to go; answers whether nothing is waited for. One that is not there has missed its turn.
    fn go(&mut self, crew: &Crew, number: usize) -> bool {
        let (shared, place) = (&self.shared, self.place(number));
        let Subscriber { group, granted, heard, flapping, .. } = &mut self.list[number];
        let (Some(flapping), Some(flows)) = (flapping, heard.flows()) else { return false };
        if flapping.state != State::There || !*granted || crew.step(place) != Step::Up {
            return false;
        }
        let next = shared.routes.publishers_of(*group).map(|publisher| shared.sequences.next(publisher));
        flapping.begin(flows, next);
        shared.granted[*group as usize].fetch_sub(1, Ordering::AcqRel);
        flapping.owing == 0
    }

    /// Unsubscribes.
    fn withdraw<L: Link>(&mut self, crew: &mut Crew, link: &mut L, number: usize) {
        let (shared, place) = (self.shared.clone(), self.place(number));
        let Subscriber { group, heard, flapping: Some(flapping), .. } = &mut self.list[number] else {
            return;
        };
        let Some(flows) = heard.flows() else { return };
        if flapping.state != State::Going || crew.step(place) != Step::Up {
            return;
        }
        let filters = shared.filters(*group);
        flapping.leave(flows, State::Withdrawn);
        if let Err(error) = crew.withdraw(link, place, filters.iter().map(String::as_str)) {
            self.failed(crew, number, Some(format!("UNSUBSCRIBE could not be written: {error}")));
            self.gone(number, link.now());
        }
    }

    /// It comes back in its time.
    fn gone(&mut self, number: usize, now: Nanos) {
        if let (Some(turns), Some(flapping)) = (&mut self.turns, &mut self.list[number].flapping) {
            flapping.state = State::Gone;
            if turns.schedule.is_some() {
                turns.back.push_back((now + turns.flap.for_ns, number));
            }
        }
    }

    /// UNSUBACK has come.
    pub fn withdrawn(&mut self, now: Nanos, place: Place) {
        let Some(number) = self.number(place) else { return };
        let shared = self.shared.clone();
        let Subscriber { group, flapping: Some(flapping), .. } = &mut self.list[number] else { return };
        if flapping.state != State::Withdrawn {
            return;
        }
        let next = shared.routes.publishers_of(*group).map(|publisher| shared.sequences.next(publisher));
        flapping.note(next, |absence| &mut absence.gone);
        self.gone(number, now);
    }

    /// Whether UNSUBACK was waited for; then it is not any more.
    pub(super) fn not_withdrawn(&mut self, number: usize, now: Nanos) -> bool {
        let waited =
            self.list[number].flapping.as_ref().is_some_and(|flapping| flapping.state == State::Withdrawn);
        if waited {
            self.gone(number, now);
        }
        waited
    }

    fn come_back<L: Link>(&mut self, crew: &mut Crew, link: &mut L, number: usize) {
        let place = self.place(number);
        let Some(flapping) = &mut self.list[number].flapping else { return };
        if flapping.state != State::Gone {
            return;
        }
        flapping.state = State::Coming;
        // Who is not connected subscribes when it is.
        if crew.step(place) == Step::Up {
            self.subscribe(crew, link, place);
        }
    }

    /// SUBACK has come: what leaves from now on is expected.
    pub(super) fn came_back(&mut self, number: usize) {
        let shared = &self.shared;
        let Subscriber { group, flapping: Some(flapping), .. } = &mut self.list[number] else { return };
        if flapping.state == State::Coming {
            let next = shared.routes.publishers_of(*group).map(|publisher| shared.sequences.next(publisher));
            flapping.note(next, |absence| &mut absence.to);
            flapping.state = State::There;
            shared.granted[*group as usize].fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A connection has ended: what was asked on it may have been heard or not.
    pub fn down(&mut self, place: Place, now: Nanos) {
        let Some(number) = self.number(place) else { return };
        match self.list[number].flapping.as_ref().map(|flapping| flapping.state) {
            Some(State::Going) => {
                let Subscriber { heard, flapping, .. } = &mut self.list[number];
                if let (Some(flows), Some(flapping)) = (heard.flows(), flapping) {
                    flapping.leave(flows, State::Gone);
                }
                self.gone(number, now);
            }
            Some(State::Withdrawn) => self.gone(number, now),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One publisher, of whose messages those with these sequences have come.
    fn flapping(came: std::ops::Range<u64>) -> (Flapping, [Flow; 1]) {
        let mut flow = Flow::default();
        came.for_each(|sequence| _ = flow.receive(sequence));
        (Flapping::new(1), [flow])
    }

    #[test]
    fn what_left_in_between_is_open_and_after_unsuback_is_not_to_come() {
        let (mut one, mut flows) = flapping(0..10);
        let calls = |one: &Flapping| [9, 10, 11, 12, 19, 20].map(|sequence| one.call(0, sequence));
        use Call::{Expected, Never, Open};
        assert_eq!(calls(&one), [Expected; 6]);
        one.begin(&flows, [10].into_iter());
        assert_eq!((one.owing, calls(&one)), (0, [Expected, Open, Open, Open, Open, Open]));
        one.leave(&mut flows, State::Withdrawn);
        assert_eq!(calls(&one), [Expected, Open, Open, Open, Open, Open]);
        one.note([12].into_iter(), |absence| &mut absence.gone);
        one.state = State::Gone;
        assert_eq!(calls(&one), [Expected, Open, Open, Never, Never, Never]);
        one.state = State::Coming;
        assert_eq!(calls(&one), [Expected, Open, Open, Open, Open, Open]);
        one.note([20].into_iter(), |absence| &mut absence.to);
        one.state = State::There;
        assert_eq!(calls(&one), [Expected, Open, Open, Open, Open, Expected]);
        one.begin(&flows, [22].into_iter());
        assert_eq!((one.owing, calls(&one)), (1, [Expected, Open, Open, Open, Open, Expected]));
        assert_eq!((one.call(0, 21), one.call(0, 22)), (Expected, Open));
        // What did not come of it is not missed.
        one.leave(&mut flows, State::Withdrawn);
        assert_eq!((flows[0].next(), flows[0].is_whole()), (20, true));
    }

    #[test]
    fn who_goes_again_before_anything_has_left_was_never_back() {
        let (mut one, mut flows) = flapping(0..10);
        one.begin(&flows, [10].into_iter());
        one.leave(&mut flows, State::Withdrawn);
        one.note([15].into_iter(), |absence| &mut absence.to);
        one.begin(&flows, [15].into_iter());
        assert_eq!(one.owing, 0);
        one.leave(&mut flows, State::Withdrawn);
        assert_eq!((one.call(0, 9), one.call(0, 10)), (Call::Expected, Call::Open));
        assert_eq!(flows[0].next(), 10, "that may still come");
    }

    #[test]
    fn it_goes_when_what_left_before_has_come_or_something_later_has() {
        for came in [14, 15, 30] {
            let (mut one, flows) = flapping(0..10);
            one.begin(&flows, [15].into_iter());
            assert_eq!(one.owing, 1);
            assert!(!one.heard(0, [10, 14]), "14 is still to come");
            assert!(one.heard(0, [14, came + 1]), "{came}");
            assert!(!one.heard(0, [came + 1, came + 2]), "once");
        }
    }
}
