use super::*;
use crate::clock::{MILLISECOND, SECOND};
use crate::record::samples::clean;
use crate::record::{Exit, Over, Phase, PhaseTimes, Schedule, Second, Verdict};
use crate::run::Trial;
use crate::stats::Strain;

fn terms() -> SearchTerms {
    SearchTerms {
        over: Over::Rate,
        lowest: 100.0,
        highest: 1e6,
        width: 0.01,
        trials: 11,
        exceed_ratio: 0.5,
        settle_ns: SECOND,
        trial_ns: 5 * SECOND,
        confirm_ns: 30 * SECOND,
        curve_ns: 10 * SECOND,
        limit_ns: 3600 * SECOND,
    }
}

fn goal(text: &str) -> Goal {
    text.parse().unwrap()
}

/// A trial at this rate by a broker that does `capacity`, `now` after the start of the run; what it cannot do stays in a
/// queue, which it works off by the end of the drain.
fn trial(load: &Load, capacity: f64, now: &mut Nanos) -> Trial {
    let mut record = clean();
    let messages = |rate: f64| (rate * load.span as f64 / 1e9).round() as u64;
    let (due, done) = (messages(load.offered), messages(load.offered.min(capacity)));
    if let Schedule::Open { rate_per_s, .. } = &mut record.plan.schedule {
        *rate_per_s = load.offered;
    }
    record.plan.duration_ns = Some(load.span);
    let counts = &mut record.counts;
    (counts.due, counts.sent, counts.acked, counts.expected, counts.delivered) = (due, due, due, due, due);
    record.throughput = crate::record::Throughput { sent: due, acked: done, delivered: done };
    let opens = *now + load.settle;
    let closes = opens + load.span;
    *now = closes + 50 * MILLISECOND;
    record.phases = [(Phase::WarmUp, opens), (Phase::Measure, closes), (Phase::Drain, *now)]
        .into_iter()
        .scan(opens - load.settle, |start_ns, (phase, end_ns)| {
            Some(PhaseTimes { phase, start_ns: std::mem::replace(start_ns, end_ns), end_ns })
        })
        .collect();
    record.conclude();
    let growth = (due - done) as f64 / due.max(1) as f64;
    Trial { began: 0, record, growth, quiet_ns: 0, overrun_per_s: None }
}

/// Searches; `meddle` may change what comes of a trial.
fn explore(terms: SearchTerms, capacity: f64, mut meddle: impl FnMut(usize, &mut Trial)) -> CapacityRecord {
    let mut explorer = Explorer::new(vec![goal("flight p99 < 50ms, lost == 0")], terms);
    let (mut now, mut last, mut count) = (0, None, 0);
    while let Some(load) = explorer.next(last.take()) {
        assert!(!explorer.outlook().is_empty());
        let mut next = trial(&load, capacity, &mut now);
        meddle(count, &mut next);
        (last, count) = (Some(next), count + 1);
        assert!(count < 500, "it does not end");
    }
    explorer.record(clean(), now)
}

fn limited(trial: &mut Trial) {
    trial.record.generator.queue_full = 7;
    trial.record.conclude();
    assert_eq!(trial.record.verdict, Verdict::GeneratorLimited);
}

#[test]
fn a_capacity_is_found_confirmed_and_drawn() {
    let record = explore(terms(), 20_000.0, |_, _| ());
    let result = &record.results[0];
    let capacity = result.capacity.unwrap();
    assert!((19_800.0..=20_100.0).contains(&capacity) && result.regular, "{result:?}");
    assert_eq!(result.goal, ["flight p99 < 50ms", "lost == 0"]);
    assert!((result.throughput.unwrap() / capacity - 1.0).abs() < 0.01);
    assert_eq!((record.exit_code, record.trials[0].grade), (0, Grade::Bad));
    let of = |purpose| record.trials.iter().filter(move |trial| trial.purpose == purpose);
    assert_eq!(of(Purpose::Confirm).map(|trial| trial.span_ns).collect::<Vec<_>>(), [30 * SECOND; 2]);
    let curve: Vec<_> = of(Purpose::Curve).map(|trial| (trial.offered / capacity * 100.0).round()).collect();
    assert_eq!(curve, [1.0, 10.0, 50.0, 75.0, 90.0, 100.0, 110.0]);
    assert_eq!(of(Purpose::Curve).next_back().unwrap().grade, Grade::Bad, "above the capacity");
    let text = crate::report::capacity_text(&record, 100, false);
    assert!(text.starts_with("CAPACITY, ") && text.contains("the goal holds at"), "{text}");
}

/// A trial is bad for each of these, and says why.
#[test]
fn a_trial_is_judged_by_its_goal_and_by_what_every_goal_asks() {
    let judged = |text: &str, change: &dyn Fn(&mut Trial)| {
        let load = Load { offered: 1000.0, settle: SECOND, span: 5 * SECOND };
        let mut one = trial(&load, 2000.0, &mut 0);
        change(&mut one);
        one.record.conclude();
        let trial = trial::judge(one, &[goal(text)], Over::Rate, Purpose::Search);
        (trial.grade, trial.reason)
    };
    assert_eq!(judged("flight p99 < 50ms", &|_| ()), (Grade::Good, String::new()));
    let slow = judged("flight p99 < 1us", &|_| ());
    assert!(slow.0 == Grade::Bad && slow.1.starts_with("flight p99 < 1us: "), "{slow:?}");
    let lost = |trial: &mut Trial| {
        let counts = &mut trial.record.counts;
        (counts.delivered, counts.lost) = (counts.delivered - 10, 10);
    };
    let missing = judged("flight p99 < 50ms", &lost);
    assert!(missing.0 == Grade::Bad && missing.1.contains("lost: 10"), "{missing:?}");
    assert_eq!(judged("lost <= 1%", &lost).0, Grade::Good, "so many may be");
    assert_eq!(judged("lost <= 0.1%", &lost).0, Grade::Bad);
    let growing = judged("lost == 0", &|trial| trial.growth = 0.006);
    assert!(growing.0 == Grade::Bad && growing.1.contains("grew by 0.6"), "{growing:?}");
    assert_eq!(judged("lost == 0", &|trial| trial.growth = 0.004).0, Grade::Good);
    let behind = judged("lost == 0", &|trial| trial.record.phases[2].end_ns += 3 * SECOND);
    assert!(behind.0 == Grade::Bad && behind.1.contains("it took 3.05 s"), "{behind:?}");
    let stalled = judged("lost == 0", &|trial| {
        let phase = trial.record.phases[1];
        for second in &mut trial.record.series {
            (second.phase, second.time_ns) = (Phase::Measure, phase.end_ns);
        }
        trial.record.series[0].stall_ns = 200 * MILLISECOND;
    });
    assert!(stalled.0 == Grade::Void && stalled.1.contains("stood still for 200 ms"), "{stalled:?}");
    assert_eq!(judged("lost == 0", &limited).0, Grade::Void);
    let overrun = judged("lost == 0", &|trial| {
        trial.overrun_per_s = Some(700.0);
        limited(trial);
    });
    assert!(overrun.0 == Grade::Bad && overrun.1.contains("at 700/s"), "{overrun:?}");
    let stood = judged("lost == 0", &|trial| {
        trial.overrun_per_s = Some(700.0);
        let phase = trial.record.phases[1];
        for second in &mut trial.record.series {
            (second.phase, second.time_ns, second.stall_ns) = (Phase::Measure, phase.end_ns, 2 * SECOND);
        }
    });
    assert!(stood.0 == Grade::Void && stood.1.contains("stood still for 2.00 s"), "{stood:?}");
    let gone = judged("lost == 0", &|trial| {
        trial.record.counts.connections_lost = trial.record.counts.connections_established;
        limited(trial);
    });
    assert!(gone.0 == Grade::Bad && gone.1.starts_with("connections lost"), "{gone:?}");
    let waited = judged("lost <= 1%", &|trial| {
        trial.record.phases[2].end_ns += 3 * SECOND;
        trial.quiet_ns = 2900 * MILLISECOND;
        lost(trial);
    });
    assert_eq!(waited.0, Grade::Good, "it was waited for what never came: {waited:?}");
}

/// What one goal allows is not allowed by the others, and of all faults it is only the loss.
#[test]
fn a_loss_is_allowed_by_the_goal_that_says_so() {
    let judged = |change: &dyn Fn(&mut Trial)| {
        let load = Load { offered: 1000.0, settle: SECOND, span: 5 * SECOND };
        let mut one = trial(&load, 2000.0, &mut 0);
        let counts = &mut one.record.counts;
        (counts.delivered, counts.lost) = (counts.delivered - 10, 10);
        change(&mut one);
        one.record.conclude();
        let goals = [goal("flight p99 < 50ms"), goal("lost <= 1%")];
        trial::judge(one, &goals, Over::Rate, Purpose::Search)
    };
    let one = judged(&|_| ());
    assert_eq!((one.grade, &one.kept[..]), (Grade::Mixed, &[false, true][..]), "{one:?}");
    let corrupted = judged(&|trial| trial.record.counts.corrupted = 3);
    assert_eq!(corrupted.grade, Grade::Bad, "{corrupted:?}");
    assert!(corrupted.reason.contains("corrupted"), "{}", corrupted.reason);
}

/// One at 1,000 messages a second that a broker does `done` of.
fn judged(done: f64, change: impl Fn(&mut Trial)) -> TrialRecord {
    let load = Load { offered: 1000.0, settle: SECOND, span: 5 * SECOND };
    let mut one = trial(&load, done, &mut 0);
    one.growth = 0.0;
    change(&mut one);
    one.record.conclude();
    trial::judge(one, &[goal("lost == 0")], Over::Rate, Purpose::Search)
}

#[test]
fn a_message_is_done_when_all_its_subscribers_have_it() {
    let fan_out = |trial: &mut Trial| {
        let record = &mut trial.record;
        (record.counts.expected, record.counts.delivered) = (15_000, 15_000);
        record.throughput.delivered *= 3;
    };
    assert_eq!(judged(1000.0, fan_out).done, 1000.0);
    let unheard = |trial: &mut Trial| {
        (trial.record.counts.expected, trial.record.counts.delivered) = (0, 0);
        trial.record.throughput.delivered = 0;
    };
    assert_eq!(judged(998.0, unheard).done, 998.0, "nobody subscribes: acknowledged");
}

/// A broker whose answers take long has as much longer to be done with the last of them.
#[test]
fn the_time_to_be_done_grows_with_the_response() {
    let late = |p99: Nanos| {
        judged(1000.0, |trial| {
            trial.record.phases[2].end_ns += 3 * SECOND;
            trial.record.latencies.flight_response.p99_ns = Some(p99);
        })
    };
    assert_eq!(late(310 * MILLISECOND).grade, Grade::Good);
    assert_eq!(late(300 * MILLISECOND).grade, Grade::Bad);
}

#[test]
fn the_throughput_is_of_the_middle_one_of_the_good_trials_there() {
    let mut explorer = Explorer::new(vec![goal("lost == 0")], terms());
    explorer.trials = [1000.0, 996.0, 998.0].map(|done| judged(done, |_| ())).into();
    let lost = |trial: &mut Trial| (trial.record.counts.delivered, trial.record.counts.lost) = (4990, 10);
    explorer.trials.push(judged(995.0, lost));
    explorer.trials.push(TrialRecord { offered: 2000.0, ..judged(1000.0, |_| ()) });
    assert_eq!(explorer.throughput(0, 1000.0), Some(998.0));
    assert_eq!(explorer.throughput(0, 3000.0), None);
}

#[test]
fn what_the_generator_could_not_offer_is_never_called_a_capacity() {
    let record = explore(terms(), 1e9, |_, trial| {
        if trial.record.schedule_rate() > 300_000.0 {
            trial.record.throughput.sent = trial.record.throughput.sent.min(300_000 * 5);
            limited(trial);
        }
    });
    let result = &record.results[0];
    assert!(!result.regular && record.exit_code == Exit::Inconclusive.code(), "{result:?}");
    assert!(result.reason.contains("the generator could not offer more"), "{}", result.reason);
    assert!(result.capacity.unwrap() <= 300_000.0);
    let record = explore(terms(), 1e9, |_, trial| {
        trial.record.throughput.sent = 0;
        limited(trial);
    });
    assert_eq!((record.exit_code, record.results[0].capacity), (6, None), "{}", record.exit_reason);
}

#[test]
fn what_longer_trials_do_not_confirm_is_taken_back() {
    // Whatever is above 19,000 fails when it takes long.
    let record = explore(terms(), 20_000.0, |_, trial| {
        if trial.record.schedule_rate() > 19_000.0 && trial.record.plan.duration_ns == Some(30 * SECOND) {
            trial.growth = 1.0;
        }
    });
    let result = &record.results[0];
    assert!(result.regular && result.lower.unwrap() > 19_700.0, "{result:?}");
    assert!((18_500.0..=19_000.0).contains(&result.capacity.unwrap()), "{result:?}");
    // Nothing is confirmed: no capacity.
    let record = explore(terms(), 20_000.0, |_, trial| {
        trial.growth += f64::from(u8::from(trial.record.plan.duration_ns == Some(30 * SECOND)));
    });
    let result = &record.results[0];
    assert_eq!(
        (record.exit_code, result.regular, result.capacity),
        (9, false, None),
        "{}",
        record.exit_reason
    );
    assert!(result.reason.starts_with("longer trials refuted "), "{}", result.reason);
    assert!(record.trials.iter().all(|trial| trial.purpose != Purpose::Curve), "there is nothing to draw");
    // Nobody can say.
    let record = explore(terms(), 20_000.0, |_, trial| {
        if trial.record.plan.duration_ns == Some(30 * SECOND) {
            limited(trial);
        }
    });
    let result = &record.results[0];
    assert!(!result.regular && result.capacity == result.lower, "{result:?}");
    assert!(
        result.reason.contains("was not confirmed: ") && !result.reason.contains("refuted"),
        "{result:?}"
    );
}

#[test]
fn a_curve_that_says_nothing_is_left() {
    let record = explore(terms(), 20_000.0, |_, trial| {
        if trial.record.plan.duration_ns == Some(10 * SECOND) {
            limited(trial);
        }
    });
    let drawn = record.trials.iter().filter(|trial| trial.purpose == Purpose::Curve).count();
    assert_eq!((drawn, record.exit_code), (3, 0), "{}", record.exit_reason);
}

/// A load that the machine has no room for, wherever the search is.
#[test]
fn what_cannot_be_tried_ends_a_search_with_what_is_known() {
    let failing = |from: usize, drawing: bool| {
        let mut explorer = Explorer::new(vec![goal("lost == 0")], terms());
        let (mut now, mut last, mut count) = (0, None, 0);
        while let Some(load) = explorer.next(last.take()) {
            count += 1;
            if count >= from && (load.span == 10 * SECOND) == drawing {
                explorer.fail("no ports are left".to_owned());
                continue;
            }
            last = Some(trial(&load, 20_000.0, &mut now));
            assert!(count < 500, "it does not end");
        }
        explorer.record(clean(), now)
    };
    let drawn = failing(1, true);
    assert_eq!((drawn.exit_code, drawn.results[0].regular), (0, true), "a curve does without");
    let early = failing(5, false);
    assert_eq!((early.exit_code, early.trials.len()), (9, 4));
    assert!(early.exit_reason.starts_with("no ports are left: "), "{}", early.exit_reason);
}

#[test]
fn the_time_limit_and_an_interrupt_end_it_with_what_is_known() {
    let record = explore(SearchTerms { limit_ns: 60 * SECOND, ..terms() }, 20_000.0, |_, _| ());
    assert_eq!(record.exit_code, 9);
    assert!(record.elapsed_ns < 70 * SECOND && record.exit_reason.contains("the time was up"), "{record:?}");
    let record = explore(terms(), 20_000.0, |count, trial| {
        if count == 5 {
            (trial.record.ended, trial.record.partial) = (Ended::Interrupted, true);
        }
    });
    assert_eq!((record.trials.len(), record.exit_code), (6, 130));
    let reason = &record.results[0].reason;
    assert!(reason.starts_with("it was interrupted: "), "{reason}");
    let record = explore(terms(), 20_000.0, |count, trial| {
        trial.growth = 0.0;
        if count == 3 {
            (trial.record.ended, trial.record.partial) = (Ended::Broker, true);
        }
    });
    assert_eq!((record.trials.len(), record.exit_code), (4, 4), "{}", record.exit_reason);
}

#[test]
fn the_record_is_what_its_schema_says() {
    let record = explore(terms(), 20_000.0, |count, trial| {
        if count == 3 {
            limited(trial);
        }
    });
    let schema = serde_json::from_str(crate::report::capacity_schema()).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let text = crate::report::capacity_json(&record);
    let value = serde_json::from_str(&text).expect("JSON");
    let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    assert_eq!(serde_json::from_str::<CapacityRecord>(&text).expect("ours"), record);
}

/// A run of a search over something else than the rate, in which so much of the load was done.
fn of_run(over: Over, load: f64, done: f64, change: impl Fn(&mut Record)) -> TrialRecord {
    let mut record = trial(&Load { offered: 1000.0, settle: SECOND, span: 5 * SECOND }, 1e9, &mut 0).record;
    let opens = record.phases[1].start_ns;
    let series = (1..=4).map(|second| Second {
        phase: Phase::Measure,
        time_ns: opens + second * SECOND,
        part: false,
        offered: 1000,
        sent: 1000,
        acked: 1000,
        delivered: 1000,
        ..record.series[0].clone()
    });
    record.series = series.collect();
    match over {
        Over::Clients => {
            record.plan.clients = load as u32;
            record.counts.connections_established = load as u64;
            record.series[2].connected = done as u64;
            for other in [0, 1, 3] {
                record.series[other].connected = load as u64;
            }
        }
        Over::ConnectRate => {
            let end_ns = (5e9 * load / done) as Nanos;
            record.plan.connect_rate_per_s = Some(load);
            record.plan.clients = 5 * load as u32;
            record.counts.connections_established = record.plan.clients.into();
            record.phases.insert(0, PhaseTimes { phase: Phase::Connect, start_ns: 0, end_ns });
            (record.latencies.connack.min_ns, record.latencies.tcp_connect.min_ns) = (None, None);
        }
        Over::FanOut => {
            record.plan.subscribers = load as u32;
            record.counts.expected = 10_000;
            record.throughput.delivered = (10_000.0 * done / load) as u64;
        }
        Over::Rate => unreachable!("it is one run"),
    }
    change(&mut record);
    record.conclude();
    let one = Trial { began: 7 * SECOND, ..Trial::of_run(record) };
    trial::judge(one, &[goal("lost == 0")], over, Purpose::Search)
}

#[test]
fn what_is_done_of_a_load_is_a_number_of_the_same() {
    let good = of_run(Over::Clients, 800.0, 800.0, |_| ());
    assert_eq!((good.offered, good.done, good.grade), (800.0, 800.0, Grade::Good), "{good:?}");
    assert_eq!(good.start_ns, 8 * SECOND, "since the search began");
    let gone = of_run(Over::Clients, 800.0, 799.0, |_| ());
    assert_eq!((gone.done, gone.grade), (799.0, Grade::Bad));
    assert!(gone.reason.contains("only 799 clients were connected"), "{}", gone.reason);
    let heard = of_run(Over::FanOut, 50.0, 49.0, |_| ());
    assert_eq!((heard.offered, heard.done), (50.0, 49.0));
    let fast = of_run(Over::ConnectRate, 1000.0, 990.0, |_| ());
    assert_eq!((fast.offered, fast.done.round(), fast.grade), (1000.0, 990.0, Grade::Good), "{fast:?}");
    // Each waits for those before it, up to five seconds: what one takes is what the first took.
    let queued = of_run(Over::ConnectRate, 1000.0, 500.0, |record| {
        let connack = &mut record.latencies.connack;
        (connack.min_ns, connack.p50_ns, connack.p99_ns) =
            (Some(100_000), Some(5 * SECOND / 2), Some(5 * SECOND));
    });
    assert_eq!((queued.done.round(), queued.grade), (500.0, Grade::Bad), "{queued:?}");
    let slow = of_run(Over::ConnectRate, 1000.0, 900.0, |_| ());
    assert_eq!((slow.done.round(), slow.grade), (900.0, Grade::Bad));
    assert!(slow.reason.contains("to connect took 11.1 % longer"), "{}", slow.reason);
}

#[test]
fn connects_that_the_generator_was_too_slow_for_say_nothing() {
    let connecting = |strain: Strain| {
        of_run(Over::ConnectRate, 1000.0, 900.0, |record| {
            let second = Second {
                phase: Phase::Connect,
                time_ns: SECOND,
                workers: vec![strain],
                ..record.series[0].clone()
            };
            record.series.push(second);
        })
    };
    let busy = connecting(Strain { busy_ns: 950 * MILLISECOND, ..Strain::default() });
    assert!(busy.grade == Grade::Void && busy.reason.contains("95.0 % busy"), "{busy:?}");
    let starved = connecting(Strain { waited_ns: 60 * MILLISECOND, ..Strain::default() });
    assert!(
        starved.grade == Grade::Void && starved.reason.contains("waited for a CPU for 6.0 %"),
        "{starved:?}"
    );
    assert_eq!(connecting(Strain { busy_ns: 890 * MILLISECOND, ..Strain::default() }).grade, Grade::Bad);
}

/// A broker that has room for 300 clients, and none for the first who ask for too many.
#[test]
fn a_number_of_clients_is_whole() {
    let terms = SearchTerms { over: Over::Clients, lowest: 100.0, highest: 1000.0, confirm_ns: 0, ..terms() };
    let mut explorer = Explorer::new(vec![goal("lost == 0")], SearchTerms { curve_ns: 0, ..terms });
    let (mut now, mut last, mut tried) = (0, None, 0);
    while let Some(load) = explorer.next(last.take()) {
        assert_eq!(load.offered.fract(), 0.0);
        let mut one = trial(&Load { offered: 1000.0, ..load }, 1e9, &mut 0);
        one.record.plan.clients = load.offered as u32;
        one.record.counts.connections_established = load.offered.min(300.0) as u64;
        one.record.series.clear();
        (one.began, now) = (now, now + 5 * SECOND);
        if load.offered > 900.0 && tried > 0 {
            one.record.ended = Ended::Broker;
        }
        one.record.conclude();
        (last, tried) = (Some(one), tried + 1);
        assert!(tried < 500, "it does not end");
    }
    let record = explorer.record(clean(), now);
    let result = &record.results[0];
    let (capacity, upper) = (result.capacity.unwrap(), result.upper.unwrap());
    assert!((297.0..=300.0).contains(&capacity) && (301.0..=304.0).contains(&upper), "{result:?}");
    assert_eq!((capacity.fract(), upper.fract()), (0.0, 0.0));
    let reason = format!("the goal holds at {capacity} clients, not at {upper} clients");
    assert_eq!(result.reason, reason);
}

/// At a hundredth of what was found too little comes for a percentile.
#[test]
fn a_curve_is_not_bad_for_want_of_samples() {
    let unmeasured = |purpose| {
        let load = Load { offered: 1000.0, settle: SECOND, span: 5 * SECOND };
        let one = trial(&load, 2000.0, &mut 0);
        trial::judge(one, &[goal("round-trip p99 < 1s")], Over::Rate, purpose)
    };
    assert_eq!(unmeasured(Purpose::Curve).grade, Grade::Good);
    let search = unmeasured(Purpose::Search);
    assert!(search.grade == Grade::Bad && search.reason.contains("not measured"), "{search:?}");
}
