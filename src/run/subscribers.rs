//! The subscribers of one worker: what they subscribed to, and what has arrived.

mod flapping;

use super::shared::{Crew, POISONED, Shared};
use super::trials::Segment;
use crate::clock::Nanos;
use crate::crew::{Place, Step};
use crate::engine::Link;
use crate::load::{Flow, Receipt, Stamp};
use crate::wire::{Publish, SubAck, SubAckCode};
use flapping::{Call, Flapping, Turns};
use std::sync::Arc;
use std::sync::atomic::Ordering;

struct Subscriber {
    group: u32,
    granted: bool,
    /// That it has no subscription is counted.
    told: bool,
    heard: Heard,
    /// Where subscriptions come and go.
    flapping: Option<Box<Flapping>>,
}

/// What a subscriber has heard, by publisher of its group.
enum Heard {
    /// Everything is to come.
    Alone(Box<[Flow]>),
    /// What the others do not have: the sequence after the highest that came here. All of it is in `Shared::pool`.
    Together(Box<[u64]>),
}

impl Heard {
    fn new(shared: &Shared, group: u32) -> Heard {
        let publishers = shared.routes.publishers_in(group) as usize;
        match shared.pool.is_empty() {
            true => Heard::Alone((0..publishers).map(|_| Flow::default()).collect()),
            false => Heard::Together(vec![0; publishers].into()),
        }
    }

    fn flows(&mut self) -> Option<&mut [Flow]> {
        match self {
            Heard::Alone(flows) => Some(flows),
            Heard::Together(_) => None,
        }
    }

    /// The sequence after the highest of the publisher at `place` in the group.
    fn next(&self, place: u32) -> u64 {
        match self {
            Heard::Alone(flows) => flows[place as usize].next(),
            Heard::Together(next) => next[place as usize],
        }
    }

    /// A message of the publisher at `place` in the group. Those who share have each message once; its order is to be
    /// right for each of them, and says nothing of what others were given.
    fn receive(&mut self, shared: &Shared, place: u32, Stamp { publisher, sequence, .. }: &Stamp) -> Receipt {
        match self {
            Heard::Alone(flows) => flows[place as usize].receive(*sequence),
            Heard::Together(next) => {
                let mut flow = shared.pool[*publisher as usize].lock().expect(POISONED);
                let receipt = flow.receive(*sequence);
                let next = &mut next[place as usize];
                match receipt {
                    Receipt::InOrder | Receipt::Reordered if sequence < next => Receipt::Reordered,
                    Receipt::InOrder | Receipt::Reordered => {
                        *next = sequence + 1;
                        Receipt::InOrder
                    }
                    Receipt::Duplicate | Receipt::Unknown => receipt,
                }
            }
        }
    }
}

/// All subscribers of a worker; their places among the clients follow those of the publishers.
pub struct Subscribers {
    shared: Arc<Shared>,
    first: usize,
    list: Vec<Subscriber>,
    /// The next one to subscribe, once the phase has come.
    next: usize,
    /// Those without SUBACK.
    waiting: usize,
    /// When the first schedule began; 0 before.
    origin: Nanos,
    /// When the measure phase ends, since then.
    closes: Nanos,
    /// Where subscriptions come and go.
    turns: Option<Turns>,
}

impl Subscribers {
    /// The subscribers with `numbers`, the first of them at place `first`.
    pub fn new(shared: Arc<Shared>, first: usize, numbers: &[u32]) -> Subscribers {
        let flap = shared.spec.plan.flap;
        let list = numbers.iter().map(|&number| {
            let group = shared.routes.group(number);
            let publishers = shared.routes.publishers_in(group) as usize;
            let flapping = flap.map(|_| Box::new(Flapping::new(publishers)));
            Subscriber { group, granted: false, told: false, heard: Heard::new(&shared, group), flapping }
        });
        Subscribers {
            first,
            list: list.collect(),
            next: 0,
            waiting: 0,
            origin: 0,
            closes: Nanos::MAX,
            turns: flap.map(|flap| Turns::new(flap, numbers)),
            shared,
        }
    }

    /// Its place among the subscribers, if it is one.
    fn number(&self, place: Place) -> Option<usize> {
        place.at().checked_sub(self.first).filter(|number| *number < self.list.len())
    }

    fn place(&self, number: usize) -> Place {
        Place((self.first + number) as u32)
    }

    /// A schedule begins. Audiences are fixed with the first: whoever subscribes for the first time from then on is in
    /// none.
    pub fn begin(&mut self, crew: &mut Crew, segment: &Segment) {
        let is_first = self.origin == 0;
        if is_first {
            self.origin = segment.start;
        }
        self.closes = segment.closes - self.origin;
        self.begin_turns(segment);
        if !is_first {
            return;
        }
        for number in 0..self.list.len() {
            let (place, subscriber) = (self.place(number), &self.list[number]);
            if !subscriber.granted && !subscriber.told && crew.was_established(place) {
                let trouble = format!("{} lost a subscriber before it had subscribed", crew.remote(place));
                self.failed(crew, number, Some(trouble));
            }
        }
    }

    /// Subscribes as many as may be at once; answers whether all have their answer.
    pub fn poll<L: Link>(&mut self, crew: &mut Crew, link: &mut L) -> bool {
        while self.waiting < crew.at_once() && self.next < self.list.len() {
            let place = self.place(self.next);
            self.next += 1;
            if crew.step(place) == Step::Up {
                self.subscribe(crew, link, place);
            }
        }
        self.waiting == 0 && self.next == self.list.len()
    }

    /// A client has connected: subscribes, unless it is none, its turn is still to come, or its session has it.
    pub fn connected<L: Link>(&mut self, crew: &mut Crew, link: &mut L, place: Place, session_present: bool) {
        let subscribes = |number: usize| {
            let Subscriber { granted, flapping, .. } = &self.list[number];
            let has_it = session_present && *granted;
            flapping.as_ref().map_or(!has_it, |flapping| flapping.subscribes(has_it))
        };
        if self.number(place).is_some_and(|number| number < self.next && subscribes(number)) {
            self.subscribe(crew, link, place);
        }
    }

    fn subscribe<L: Link>(&mut self, crew: &mut Crew, link: &mut L, place: Place) {
        let number = self.number(place).expect("a subscriber");
        let filters = self.shared.filters(self.list[number].group);
        let options = self.shared.spec.connection.five.options(self.shared.sub_qos);
        let filters = filters.iter().map(|filter| (filter.as_str(), options));
        match crew.subscribe(link, place, filters) {
            Ok(()) => self.waiting += 1,
            Err(error) => {
                self.failed(crew, number, Some(format!("SUBSCRIBE could not be written: {error}")));
            }
        }
    }

    /// SUBACK has come.
    pub fn granted(&mut self, crew: &mut Crew, now: Nanos, place: Place, codes: SubAck<'_>) {
        let (Some(number), true) = (self.number(place), crew.subscribed(now, place)) else {
            // It was given up.
            return;
        };
        self.waiting -= 1;
        let asked = self.shared.sub_qos;
        if let Some(code) = codes.codes().find(|code| *code != SubAckCode::Granted(asked)) {
            let (remote, asked) = (crew.remote(place), asked as u8);
            let trouble = match code {
                SubAckCode::Granted(qos) => format!(
                    "{remote} granted QoS {} to a subscription at QoS {asked}; ask for it with --sub-qos",
                    qos as u8
                ),
                refused => {
                    format!(
                        "{remote} refused a subscription at QoS {asked} ({refused}): may it read --topic?"
                    )
                }
            };
            crew.books.count_refusals(&codes);
            return self.failed(crew, number, Some(trouble));
        }
        crew.books.counters().subscribed += 1;
        let subscriber = &mut self.list[number];
        if self.origin == 0 && !std::mem::replace(&mut subscriber.granted, true) {
            self.shared.granted[subscriber.group as usize].fetch_add(1, Ordering::AcqRel);
        }
        self.came_back(number);
    }

    /// SUBACK did not come, or UNSUBACK: in words, unless the connection has ended, which says enough.
    pub fn unanswered(&mut self, crew: &mut Crew, now: Nanos, place: Place, trouble: Option<String>) {
        let number = self.number(place).expect("a subscriber");
        if !self.not_withdrawn(number, now) {
            self.waiting -= 1;
        }
        self.failed(crew, number, trouble);
    }

    fn failed(&mut self, crew: &mut Crew, number: usize, trouble: Option<String>) {
        self.list[number].told = true;
        crew.books.counters().subscribe_failures += 1;
        trouble.into_iter().for_each(|trouble| crew.books.trouble(trouble));
    }

    /// Nothing more will arrive: what a later message of its flow has overtaken is lost.
    pub fn end(&mut self, crew: &mut Crew) {
        for Subscriber { group, heard, flapping, .. } in &mut self.list {
            // What those who share have lost is known when all workers have ended.
            let Some(flows) = heard.flows() else { continue };
            if let Some(flapping) = flapping {
                flapping.end(flows, &self.shared.sequences, self.shared.routes.publishers_of(*group));
            }
            let publishers = self.shared.routes.publishers_of(*group).zip(flows);
            let lost = publishers.map(|(publisher, flow)| self.shared.sequences.lost(publisher, flow));
            crew.books.counters().lost += lost.sum::<u64>();
        }
    }

    /// A message has arrived.
    pub fn hear(&mut self, crew: &mut Crew, now: Nanos, place: Place, publish: &Publish<'_>, first: bool) {
        if !first && publish.dup {
            // At QoS 2 a packet that comes again under an id that is not released, because its PUBREC was
            // lost, is the same message, and nothing is delivered twice [MQTT-4.3.3-2].
            return;
        }
        let (shared, number) = (&*self.shared, self.number(place));
        // What the broker has kept is of an earlier run, also where the seed is the same [MQTT-3.3.1-9].
        let kept = publish.retain && !shared.spec.connection.five.options(shared.sub_qos).retain_as_published;
        let own = |stamp: &Stamp| !kept && stamp.publisher < shared.split.publishers;
        let stamp = Stamp::decode(publish.payload, shared.run_id).filter(own);
        let Some(stamp) = stamp else {
            crew.books.counters().foreign += 1;
            return;
        };
        let flow = number.and_then(|number| {
            let Subscriber { group, granted, heard, flapping, .. } = &mut self.list[number];
            Some((shared.routes.place(stamp.publisher, *group)?, heard, *granted, flapping))
        });
        let Some((flow, heard, granted, flapping)) = flow else {
            crew.books.counters().misrouted += 1;
            return;
        };
        if !shared.body.is_in(publish.payload, shared.spec.plan.verify.covers(stamp.sequence)) {
            crew.books.counters().corrupted += 1;
            return;
        }
        if !granted {
            // Nobody counts on it, because its subscription was refused or given up.
            return;
        }
        let call = flapping.as_ref().map_or(Call::Expected, |one| one.call(flow, stamp.sequence));
        if call == Call::Never {
            crew.books.counters().misrouted += 1;
            return;
        }
        let was = heard.next(flow);
        let intended = self.origin.saturating_add(stamp.intended);
        let counters = crew.books.of(intended);
        match if first { heard.receive(shared, flow, &stamp) } else { Receipt::Duplicate } {
            Receipt::InOrder => {}
            Receipt::Reordered => counters.reordered += 1,
            Receipt::Duplicate => return counters.duplicated += 1,
            Receipt::Unknown => return counters.untold += 1,
        }
        // Since the start of the first schedule, as stamps are.
        let now = now.saturating_sub(self.origin);
        counters.expected += u64::from(call == Call::Open);
        counters.delivered += 1;
        counters.late += u64::from(now >= self.closes);
        crew.books.levels.expected += u64::from(call == Call::Open);
        crew.books.levels.delivered += 1;
        let got = flapping.as_mut().is_some_and(|one| one.heard(flow, [was, heard.next(flow)]));
        if let (true, Some(turns), Some(number)) = (got, &mut self.turns, number) {
            turns.may_go(number);
        }
        let response = now.saturating_sub(stamp.intended);
        let sent = shared.hand_over.time(stamp.publisher, stamp.sequence, stamp.intended);
        // Without the hand-over time the response time is the closest bound from above.
        let service = sent.map_or(response, |sent| now.saturating_sub(sent));
        crew.books.flight(response, service, intended);
    }
}
