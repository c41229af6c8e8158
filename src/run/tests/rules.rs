//! What every good load generator keeps to, by the numbers of the rules: R6 and on, of whole runs.

use super::*;
use crate::record::Phase;

/// R13: what the generator itself holds up is measured as such, and told of.
#[test]
fn r13_a_worker_that_stands_still_says_so() {
    let stall = (0, SECOND + 500 * MILLISECOND, 20 * MILLISECOND);
    let scene = Scene::new(Setup::exact(1), plan(4, 1, 1000.0));
    let record = Scene { stalls: vec![stall], ..scene }.play().record;
    let lags = [&record.latencies.wake_lag, &record.latencies.hearing_lag];
    assert!(lags.iter().all(|lag| lag.max_ns >= Some(19 * MILLISECOND)), "{lags:?}");
    assert!(record.series.iter().any(|second| second.stall_ns >= 19 * MILLISECOND), "{:?}", record.series);
    assert_eq!(record.verdict, record::Verdict::GeneratorLimited, "{:?}", record.verdict_reasons);
}

/// R14: both ends of a flow are with one worker wherever there are groups enough, and read one monotonic clock.
#[test]
fn r14_the_two_ends_of_a_flow_share_a_worker() {
    for workers in 1..=5 {
        let Scene { setup, spec, .. } = Scene::new(Setup::exact(1), plan(60, 1, 600.0));
        let spec = Spec { cpus: (0..workers).collect(), ..spec };
        let shared = Shared::new(spec, setup.start).unwrap();
        assert_eq!(shared.seats.len(), workers);
        let worker = |index: u32| shared.seats.iter().position(|seat| seat.clients.contains(&index));
        assert!((0..30).all(|pair| worker(pair).is_some() && worker(pair) == worker(30 + pair)), "{workers}");
        let scene = Scene { workers, ..Scene::new(setup, plan(60, 1, 600.0)) };
        let flight = scene.play().record.latencies.flight_response;
        assert_eq!((flight.count, flight.missing), (600, 0));
        assert!(flight.min_ns >= Some(1_990_000), "{:?}", flight.min_ns);
    }
}

/// R6, R7: what a seed and a plan say of when messages are due is the same on any number of workers.
#[test]
fn r06_the_same_seed_is_the_same_plan_on_any_number_of_workers() {
    let intended = |workers, arrival| {
        let schedule = record::Schedule::Open { rate_per_s: 500.0, arrival, inflight: 65_535 };
        let plan = Plan { schedule, ..plan(40, 1, 500.0) };
        let played = Scene { workers, ..Scene::new(Setup::exact(1), plan) }.play();
        let key = |stamp: Stamp| (stamp.intended, stamp.publisher, stamp.sequence);
        let mut all: Vec<_> = played.messages().map(|(stamp, _)| key(stamp)).collect();
        all.sort_unstable();
        all
    };
    for arrival in [Arrival::Constant, Arrival::Poisson] {
        let one = intended(1, arrival);
        assert!(one.len() > 400, "{}", one.len());
        assert!([2, 3, 7].into_iter().all(|workers| intended(workers, arrival) == one), "{arrival:?}");
    }
}

/// R8: of a rate that changes, what was due is its integral, rounded up, and what is measured is what is due in that time,
/// on any number of workers; each of a second is due in its second.
#[test]
fn r08_rates_that_change_have_exact_totals() {
    let profile = "line(0,400,1s) const(400,1s) const(0,500ms) step(100,300,100,500ms)";
    for (warmup_ns, workers) in [(0, 1), (0, 3), (1500 * MILLISECOND, 2)] {
        let plan = Plan {
            profile: Some(profile.into()),
            warmup_ns,
            duration_ns: Some(4 * SECOND - warmup_ns),
            ..plan(10, 1, 1.0)
        };
        let played = Scene { workers, ..Scene::new(Setup::exact(1), plan) }.play();
        let measured = if warmup_ns == 0 { 200 + 400 + 300 } else { 200 + 300 };
        let counts = &played.record.counts;
        assert_eq!((counts.due, counts.sent, counts.delivered), (measured, measured, measured));
        let halves = |from: u64| {
            let span = from * 500 * MILLISECOND..(from + 1) * 500 * MILLISECOND;
            played.messages().filter(|(stamp, _)| span.contains(&stamp.intended)).count()
        };
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(halves), [50, 150, 200, 200, 0, 50, 100, 150]);
        assert_eq!(played.record.exit_code, 0, "{}", played.record.exit_reason);
    }
}

/// Rates of the seconds in which a phase began or ended are of less than a second, and say so.
#[test]
fn seconds_that_are_no_whole_ones_are_marked() {
    let plan = Plan { warmup_ns: 500 * MILLISECOND, duration_ns: Some(3 * SECOND), ..plan(4, 1, 1000.0) };
    let played = Scene::new(Setup::exact(1), plan).play();
    let begins = played.record.phases.iter().map(|times| times.start_ns);
    let cut: Vec<Nanos> = begins.chain([played.record.series.last().unwrap().time_ns]).collect();
    let (mut whole, mut start) = (0, 0);
    for second in &played.record.series {
        let inside = |time: &Nanos| (start + 1..second.time_ns).contains(time);
        let short = second.time_ns - start < SECOND;
        assert_eq!(second.part, short || cut.iter().any(inside), "{second:?} of {cut:?}");
        if !second.part && second.phase == Phase::Measure {
            assert!(second.offered.abs_diff(1000) <= 1 && second.connected == 4, "{second:?}");
            whole += 1;
        }
        start = second.time_ns;
    }
    assert_eq!((whole, played.record.series.last().unwrap().connected), (2, 0));
}

/// What has never left is not lost, whatever came later; what the kernel took is.
#[test]
fn what_was_unfinished_is_no_gap_of_its_flow() {
    explore(0..30, |seed| {
        let from = SECOND + Dice::new(seed, "run gaps", 0).within(&(300 * MILLISECOND..=700 * MILLISECOND));
        // All connections end, and those who hear are back before those who publish have anything to say.
        let script = Script::default().at(from, Act::Deaf(None)).at(from + 600 * MILLISECOND, Act::Reset);
        let plan = Plan { duration_ns: Some(3 * SECOND), keepalive_ns: 0, ..plan(4, 0, 3000.0) };
        let mut setup = Setup { script, ..Setup::new(seed, 1) };
        setup.network.window = 4096..=32 * 1024;
        let played = Scene::new(setup, plan).play();
        let (counts, truth) = (&played.record.counts, given(&played.world, &played.record));
        assert!(counts.unfinished > 0 && counts.lost > 0, "{counts:?}");
        assert_eq!(
            (counts.lost, counts.undelivered_at_end),
            (truth.lost - counts.unfinished, 0),
            "{counts:?}"
        );
    });
}

explored! {
    anything,
    // R4: what came due was sent, shed or is unfinished, whatever happens: the first of the laws.
    r04_what_was_due_is_accounted_for: 700..730,
}
