use super::*;
use crate::seed::{Draw, Purpose};
use proptest::prelude::*;

const TERMS: Terms = Terms { range: (10.0, 1e6), width: 0.01, trials: 11, exceed: 0.5 };

/// A broker that does `capacity` a second, to which each trial adds some noise.
struct Broker {
    capacity: f64,
    noise: f64,
    /// Share of the trials that fail whatever is offered.
    hiccups: f64,
    /// What the generator can offer.
    ceiling: f64,
    draw: Draw,
    trials: u32,
}

const NOISE: Purpose = Purpose::named("search test");

impl Broker {
    fn new(seed: u64, capacity: f64, noise: f64) -> Broker {
        Broker {
            capacity,
            noise,
            hiccups: 0.0,
            ceiling: f64::MAX,
            draw: Draw::of(seed, NOISE, 0, 0),
            trials: 0,
        }
    }

    fn trial(&mut self, load: f64) -> Outcome {
        self.trials += 1;
        if load > self.ceiling {
            return Outcome::Void(self.ceiling);
        }
        let capacity = self.capacity * (1.0 + self.noise * self.draw.normal());
        let hiccup = self.draw.unit() < self.hiccups;
        Outcome::Valid(vec![load <= capacity && !hiccup], load.min(capacity))
    }

    fn search(&mut self, terms: Terms) -> Search {
        let mut search = Search::new(terms, 1);
        while let Some(load) = search.propose() {
            assert!(load >= terms.range.0 * 0.999 && load <= terms.range.1 * 1.001, "{load}");
            let outcome = self.trial(load);
            search.tell(outcome);
            assert!(self.trials < 1000, "it does not end");
        }
        search
    }
}

#[test]
fn what_a_steady_broker_does_is_found_to_the_width() {
    for capacity in [12.0, 99.0, 5_000.0, 20_000.0, 777_777.0] {
        let mut broker = Broker::new(1, capacity, 0.0);
        let found = broker.search(TERMS).found(0);
        let (lower, upper) = (found.lower.unwrap(), found.upper.unwrap());
        assert!(found.regular && lower <= capacity && capacity < upper, "{capacity}: {found:?}");
        assert!(upper * 0.99 <= lower * 1.000_001, "{found:?}");
        assert!(broker.trials < 60, "{} trials for {capacity}", broker.trials);
    }
}

/// A thousand brokers of all kinds: within two widths of the truth, or of the noise.
#[test]
fn noisy_brokers_are_found_too() {
    let mut shares: Vec<f64> = (0..1000)
        .map(|seed| {
            let mut dice = Draw::of(seed, NOISE, 1, 0);
            let capacity = 20.0 * (40_000.0f64).powf(dice.unit());
            let mut broker = Broker::new(seed, capacity, 0.03 * dice.unit());
            broker.hiccups = 0.1 * dice.unit();
            let found = broker.search(TERMS).found(0);
            assert!(found.regular, "{seed}: {found:?}");
            found.lower.unwrap() / capacity
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    assert!((0.98..=1.01).contains(&shares[500]), "median {}", shares[500]);
    assert!(shares[10] > 0.94 && shares[990] < 1.04, "{} to {}", shares[10], shares[990]);
}

#[test]
fn the_edges_of_the_range_are_no_capacity() {
    let most = Broker::new(1, 2e6, 0.0).search(TERMS).found(0);
    assert_eq!((most.lower.map(f64::round), most.upper, most.regular), (Some(1e6), None, false));
    let least = Broker::new(1, 5.0, 0.0).search(TERMS).found(0);
    assert_eq!((least.lower, least.upper.map(f64::round), least.regular), (None, Some(10.0), false));
    let one = Terms { range: (50.0, 50.0), ..TERMS };
    assert_eq!(Broker::new(1, 60.0, 0.0).search(one).found(0).lower, Some(50.0));
}

/// Somebody keeps the machine busy: each load says nothing, though it is done.
#[test]
fn a_search_on_a_busy_machine_ends_soon() {
    for good in [0, 5] {
        let (mut broker, mut search, mut trials) = (Broker::new(1, 20_000.0, 0.0), Search::new(TERMS, 1), 0);
        while let Some(load) = search.propose() {
            trials += 1;
            search.tell(if trials <= good { broker.trial(load) } else { Outcome::Void(load) });
        }
        assert_eq!(trials, good + HOPELESS);
        assert_eq!(search.is_spoilt(), good == 0);
    }
}

#[test]
fn what_the_generator_cannot_offer_is_no_capacity() {
    // The broker does more than can be offered.
    let mut broker = Broker { ceiling: 30_000.0, ..Broker::new(1, 50_000.0, 0.0) };
    let search = broker.search(TERMS);
    let found = search.found(0);
    assert!(!found.regular && found.upper.is_none(), "{found:?}");
    assert!((28_000.0..=30_000.0).contains(&found.lower.unwrap()), "{found:?}");
    assert!(search.ceiling().is_some() && !search.is_spoilt());
    // It does less: the ceiling is in nobody's way.
    let found = Broker { ceiling: 30_000.0, ..Broker::new(1, 20_000.0, 0.0) }.search(TERMS).found(0);
    assert!(found.regular && (19_700.0..=20_000.0).contains(&found.lower.unwrap()), "{found:?}");
    // Nothing can be offered.
    let search = Broker { ceiling: 1.0, ..Broker::new(1, 20_000.0, 0.0) }.search(TERMS);
    assert!(search.is_spoilt());
    assert_eq!(search.found(0), Found { lower: None, upper: None, regular: false });
}

#[test]
fn a_void_trial_now_and_then_costs_a_trial() {
    let mut broker = Broker::new(1, 20_000.0, 0.0);
    let mut search = Search::new(TERMS, 1);
    let mut count = 0;
    while let Some(load) = search.propose() {
        count += 1;
        search.tell(if count % 4 == 3 { Outcome::Void(load) } else { broker.trial(load) });
    }
    let found = search.found(0);
    assert!(found.regular && (19_700.0..=20_000.0).contains(&found.lower.unwrap()), "{found:?}");
}

/// Somebody is in the way for a while, in the middle of the search: what could not be offered then is tried again.
#[test]
fn what_could_not_be_offered_for_a_while_is_tried_again() {
    for begin in [3, 12, 25] {
        let mut broker = Broker::new(1, 20_000.0, 0.0);
        let mut search = Search::new(TERMS, 1);
        let mut count = 0;
        while let Some(load) = search.propose() {
            count += 1;
            let disturbed = (begin..begin + 8).contains(&count);
            search.tell(if disturbed { Outcome::Void(load / 2.0) } else { broker.trial(load) });
            assert!(count < 200);
        }
        let found = search.found(0);
        assert!(found.regular && (19_700.0..=20_000.0).contains(&found.lower.unwrap()), "{begin}: {found:?}");
    }
}

/// A good load above a bad one: the answer is below both.
#[test]
fn an_inversion_gives_the_lower_one() {
    let mut search = Search::new(TERMS, 1);
    while let Some(load) = search.propose() {
        let good = load < 8_000.0 || (12_000.0..20_000.0).contains(&load);
        search.tell(Outcome::Valid(vec![good], load.min(9_000.0)));
    }
    let found = search.found(0);
    assert!(found.lower < found.upper && found.regular, "{found:?}");
    assert!((7_900.0..=8_000.0).contains(&found.lower.unwrap()), "{found:?}");
}

#[test]
fn several_goals_are_found_at_once() {
    let mut search = Search::new(TERMS, 3);
    let (limits, mut trials) = ([3_000.0, 20_000.0, 20_500.0], 0);
    while let Some(load) = search.propose() {
        trials += 1;
        search.tell(Outcome::Valid(limits.map(|limit| load <= limit).to_vec(), load.min(21_000.0)));
    }
    for (goal, limit) in limits.into_iter().enumerate() {
        let found = search.found(goal);
        assert!(found.regular && found.lower.unwrap() <= limit && found.upper.unwrap() > limit, "{found:?}");
    }
    assert!(trials < 130, "{trials}");
}

/// A load and what was tried there: the trials that were good, and those that were bad.
type Tries = (Step, u32, u32);

/// What the reference, PyPI's MLRsearch 1.2.1, says of random sets of trials: `tools/mlrsearch` made the file.
#[test]
fn bounds_are_those_of_the_reference() {
    #[derive(serde::Deserialize)]
    struct Case {
        sum: f64,
        exceed: f64,
        loads: Vec<Tries>,
        lower: Option<Step>,
        upper: Option<Step>,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("tests/mlrsearch.json")).unwrap();
    assert_eq!(cases.len(), 1000);
    let mut found = [0; 2];
    for Case { sum, exceed, loads, lower, upper } in cases {
        let target = Target { trials: sum, exceed, width: 1 };
        let tried = loads.iter().map(|&(step, good, bad)| (step, vec![Tried { good, bad }]));
        let known = Known { loads: tried.collect(), ceiling: Step::MAX };
        assert_eq!(known.bounds(0, &target), Bounds { lower, upper }, "{target:?} {loads:?}");
        found[0] += u32::from(lower.is_some());
        found[1] += u32::from(upper.is_some());
    }
    assert!(found.iter().all(|count| (300..1000).contains(count)), "{found:?}");
}

proptest! {
    /// Whatever trials come to, the search ends, and never asks for what is decided.
    #[test]
    fn it_ends(outcomes in proptest::collection::vec((any::<bool>(), 0.0f64..1e6, 0u32..10), 600), trials in 1u32..12) {
        let mut search = Search::new(Terms { trials, ..TERMS }, 1);
        let mut outcomes = outcomes.into_iter().cycle();
        let mut trials = 0;
        while let Some(load) = search.propose() {
            let (kept, done, kind) = outcomes.next().unwrap();
            search.tell(if kind == 0 { Outcome::Void(done) } else { Outcome::Valid(vec![kept], done.min(load)) });
            trials += 1;
            prop_assert!(trials < 3000);
        }
    }

    /// More trials decide, and what is decided by all that were asked for stays so.
    #[test]
    fn every_load_is_decided_in_time(good in 0u32..40, bad in 0u32..40, trials in 1u32..30, exceed in 0.0f64..0.9) {
        let target = Target { trials: trials.into(), exceed, width: 1 };
        let bound = target.classify(Tried { good, bad });
        if good + bad >= trials {
            prop_assert_ne!(bound, Bound::Undecided);
        }
        let share = f64::from(bad) / f64::from((good + bad).max(1));
        match bound {
            Bound::Lower if good + bad >= trials => prop_assert!(share <= exceed),
            Bound::Upper if good + bad >= trials => prop_assert!(share > exceed),
            _ => {}
        }
    }
}
