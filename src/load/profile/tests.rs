use super::*;
use crate::clock::MILLISECOND;
use crate::load::{Due, End, Schedule};
use crate::record::Arrival;
use proptest::prelude::*;

fn profile(text: &str) -> Profile {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// When each message is due, of a profile alone.
fn times(profile: &Profile) -> Vec<Nanos> {
    (0..).map_while(|n| profile.due(n * WHOLE)).collect()
}

fn scheduled(profile: &Profile, arrival: Arrival, numbers: Vec<u32>, publishers: u32) -> Vec<Due> {
    let end = End::Time(profile.end());
    let mut schedule = Schedule::new(arrival, numbers, publishers, profile.clone(), end, 7);
    std::iter::from_fn(|| schedule.pop(Nanos::MAX)).collect()
}

#[test]
fn pieces_are_what_they_say() {
    let times = times(&profile("line(0,2,4s) const(1,2s) const(0,5s) step(2,1,1,1s)"));
    // The integral of the slope is t^2 / 4: 1 at 2 s, 2 at the square root of 8, 3 at that of 12. Message 6 begins with
    // the steps, because nothing is due while the rate is 0.
    let seconds: Vec<f64> = times.iter().map(|time| *time as f64 / 1e9).collect();
    let expected = [0.0, 2.0, 8f64.sqrt(), 12f64.sqrt(), 4.0, 5.0, 11.0, 11.5, 12.0];
    assert_eq!(seconds.len(), expected.len(), "{seconds:?}");
    assert!(seconds.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-9), "{seconds:?}");
}

/// R8: totals are exact, where the rate changes, too.
#[test]
fn r08_totals_of_changing_rates_are_exact() {
    for (text, total) in [
        ("line(0,50k,30s) const(50k,2m) step(5k,25k,5k,60s)", 750_000 + 6_000_000 + 60 * 75_000),
        ("const(0.1,30s)", 3),
        ("const(0.1,10s) const(0.2,10s) const(0.7,10s)", 10),
        ("const(0.066,1000s)", 66),
        ("const(3,1s)const(0,1h)const(3,1s)", 6),
        ("const(0.3,1s)", 1),
        ("line(1,0,3s)", 2),
        ("step(30,10,10,1s)", 60),
        ("const(1,1s), const(2,1s)", 3),
        ("line(0,1M,1s) line(1M,0,1s)", 1_000_000),
    ] {
        let profile = profile(text);
        assert_eq!(profile.count(profile.end()), total, "{text}");
        let publishers = 3;
        let each = (0..publishers).map(|one| scheduled(&profile, Arrival::Constant, vec![one], publishers));
        assert_eq!(each.map(|due| due.len() as u64).sum::<u64>(), total, "{text}");
    }
}

/// What is due until a time is the integral until then, also within pieces: what a run does not measure of its beginning.
#[test]
fn a_part_of_a_schedule_has_its_part_of_the_messages() {
    let profile = profile("line(0,50k,30s) const(50k,2m) step(5k,25k,5k,60s)");
    for (seconds, count) in
        [(0, 0), (3, 7_500), (15, 187_500), (30, 750_000), (150, 6_750_000), (210, 7_050_000)]
    {
        assert_eq!(profile.count(seconds * SECOND), count, "{seconds}");
        let before = (0..).map_while(|n| profile.due(n * WHOLE)).take_while(|time| *time < seconds * SECOND);
        assert_eq!(before.count() as u64, count, "{seconds}");
    }
    assert_eq!((profile.peak(), profile.end()), (50_000.0, 450 * SECOND));
}

/// A constant rate is the same however it is said.
#[test]
fn a_constant_rate_is_a_profile_of_one_piece() {
    let (constant, piece) = (Profile::from(77.0), profile("const(77,10s)"));
    let of = |profile: Profile| {
        let end = End::Time(10 * SECOND);
        let mut schedule = Schedule::new(Arrival::Constant, vec![0, 2], 3, profile, end, 7);
        std::iter::from_fn(|| schedule.pop(Nanos::MAX)).collect::<Vec<_>>()
    };
    assert_eq!(of(constant.clone()), of(piece));
    assert_eq!((constant.count(10 * SECOND), constant.peak()), (770, 77.0));
    assert_eq!(constant.due(770 * WHOLE), Some(10 * SECOND));
}

/// Poisson streams follow the rate: of two equal stretches of time the one with thrice the rate has thrice the messages.
#[test]
fn random_arrivals_follow_the_rate() {
    let profile = profile("const(1k,10s) const(0,10s) line(3k,3k,10s)");
    let due = scheduled(&profile, Arrival::Poisson, (0..10).collect(), 10);
    let within = |from: u64, to: u64| {
        due.iter().filter(move |due| (from * SECOND..to * SECOND).contains(&due.intended))
    };
    let (slow, none, fast) = (within(0, 10).count(), within(10, 20).count(), within(20, 30).count());
    assert!(slow.abs_diff(10_000) < 400 && fast.abs_diff(30_000) < 700, "four deviations: {slow} {fast}");
    assert_eq!(none, 0);
    assert!(due.is_sorted_by_key(|due| due.intended));
}

#[test]
fn what_is_no_profile_is_told_with_what_is_expected() {
    for (text, part) in [
        ("fast", "line(from,to,time)"),
        ("const(5)", "const(rate,time)"),
        ("const(5,1s", "is not a piece"),
        ("const(5,1s) x", "`x` is not a piece"),
        ("const(-5,1s)", "`-5` is not a rate"),
        ("const(2G,1s)", "is not a rate"),
        ("line(0,5,0)", "`0` is not a length"),
        ("const(5,101d)", "at most 100 days"),
        ("step(1,10,4,1s)", "no whole number of steps of `4`"),
        ("step(1,10,0,1s)", "no whole number of steps"),
        ("step(0,1M,1,1s)", "1 to 1000 pieces"),
        ("", "1 to 1000 pieces"),
        ("const(0,1s)", "nothing is ever due"),
    ] {
        let error = text.parse::<Profile>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let text = " line( 0 , 5k, 1m ) ,const(5k,1s) ";
    assert_eq!(profile(text).to_string(), text.trim(), "as it was typed");
}

/// One piece of a profile, with what it stands for.
fn piece() -> impl Strategy<Value = (u64, u64, u64)> {
    (0u64..500, 0u64..500, 1u64..5_000)
}

proptest! {
    /// Held against whole numbers: message n is due at the first nanosecond, give or take one, from which on the integral
    /// is beyond n.
    #[test]
    fn messages_are_due_at_the_inverse_of_the_integral(pieces in prop::collection::vec(piece(), 1..6)) {
        prop_assume!(pieces.iter().any(|(from, to, _)| from + to > 0));
        let text: Vec<_> = pieces.iter().map(|(from, to, ms)| format!("line({from},{to},{ms}ms)")).collect();
        let profile = profile(&text.join(" "));
        // Twice the integral until `time`, in messages times 10^9 times the span, of each piece in whole numbers.
        let is_beyond = |n: u64, time: Nanos| {
            let (mut start, mut before) = (0, 0u128);
            for &(from, to, ms) in &pieces {
                let span = ms * MILLISECOND;
                if time < start + span {
                    let (t, span, from, to) = (i128::from(time - start), i128::from(span), i128::from(from), i128::from(to));
                    let area = (2 * from * t * span + (to - from) * t * t) as u128;
                    return before * span as u128 + area > 2 * u128::from(n) * 1_000_000_000 * span as u128;
                }
                start += span;
                before += u128::from((from + to) * span);
            }
            true
        };
        let due = times(&profile);
        prop_assert_eq!(due.len() as u64, profile.count(profile.end()));
        prop_assert!(due.is_sorted());
        for (n, time) in (0..).zip(due) {
            prop_assert!(is_beyond(n, time + 2), "message {} at {}", n, time);
            prop_assert!(time < 2 || !is_beyond(n, time - 2), "message {} at {}", n, time);
        }
    }

    /// The whole is the sum of the publishers' shares, whatever the pieces are.
    #[test]
    fn publishers_share_a_profile_evenly(pieces in prop::collection::vec(piece(), 1..4), publishers in 1u32..6) {
        prop_assume!(pieces.iter().any(|(from, to, _)| from + to > 0));
        let text: Vec<_> = pieces.iter().map(|(from, to, ms)| format!("line({from},{to},{ms}ms)")).collect();
        let profile = profile(&text.join(" "));
        let counts: Vec<_> = (0..publishers)
            .map(|number| scheduled(&profile, Arrival::Constant, vec![number], publishers).len() as u64)
            .collect();
        prop_assert_eq!(counts.iter().sum::<u64>(), profile.count(profile.end()));
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
    }
}
