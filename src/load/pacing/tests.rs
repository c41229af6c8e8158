use super::*;
use crate::clock::MILLISECOND;
use proptest::prelude::*;

fn pacing(pace: Pace, jitter: f64, count: u64) -> Pacing {
    Pacing { pace, jitter, count: Some(count), duration: None, seed: 1 }
}

fn rate(per_s: f64) -> Pace {
    Pace::Rate { per_s }
}

fn due(pacing: &Pacing, client: u32) -> Vec<Nanos> {
    let mut pacer = Pacer::new(pacing, client);
    std::iter::from_fn(|| {
        let due = pacer.peek();
        pacer.advance(pacing);
        due
    })
    .collect()
}

fn gaps(due: &[Nanos]) -> Vec<Nanos> {
    due.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn a_pacer_is_small() {
    assert!(size_of::<Pacer>() <= 64, "{}", size_of::<Pacer>());
}

#[test]
fn checklist_15_200_messages_at_50_a_second_take_4_seconds() {
    for jitter in [0.0, 0.1, 1.0] {
        let due = due(&pacing(rate(50.0), jitter, 200), 3);
        let took = (due[199] - due[0]) as f64 / SECOND as f64;
        assert_eq!(due.len(), 200);
        assert!((took - 4.0).abs() <= 0.04, "{took} s with a jitter of {jitter}");
    }
}

#[test]
fn checklist_15_the_schedule_does_not_drift() {
    let pacing = pacing(rate(3.0), 0.1, u64::MAX);
    // The message after a year at three a second.
    let year = 365 * 86_400;
    assert!(pacing.due(0, 3 * year, 0).abs_diff(year * SECOND) <= SECOND / 3 / 20 + 1);
}

#[test]
fn checklist_14_as_fast_as_possible_or_at_any_rate_also_below_1() {
    assert_eq!(due(&pacing(Pace::Unlimited, 0.1, 4), 0), [0; 4]);
    // One message each 15.15 s: malaria's report of 2013.
    let slow = due(&pacing(rate(0.066), 0.0, 67), 0);
    assert_eq!((slow[0], slow[1], slow[66]), (0, 15_151_515_152, 1000 * SECOND));
    let fast = due(&pacing(rate(1e6), 0.0, 1_000_001), 0);
    assert_eq!((fast[1], fast[1_000_000]), (1000, SECOND));
}

#[test]
fn checklist_14_a_total_rate_is_shared_and_spread_over_the_clients() {
    let pace = rate(250.0);
    let mut all: Vec<_> = (0..4)
        .flat_map(|client| {
            let start = pace.phase(client, 4);
            due(&pacing(pace, 0.0, 3), client).into_iter().map(move |due| start + due)
        })
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..12).map(|k| k * MILLISECOND).collect::<Vec<_>>());
    assert_eq!(Pace::Unlimited.phase(3, 4), 0);
}

#[test]
fn checklist_13_a_count_or_a_duration_ends_it_and_neither_does_not() {
    let until = |count, duration| due(&Pacing { count, duration, ..pacing(rate(10.0), 0.0, 0) }, 0).len();
    assert_eq!(until(Some(7), None), 7);
    assert_eq!(until(Some(0), None), 0);
    assert_eq!(until(None, Some(SECOND)), 10);
    assert_eq!(until(None, Some(SECOND + 1)), 11);
    assert_eq!(until(Some(7), Some(SECOND)), 7);
    assert_eq!(until(Some(70), Some(SECOND)), 10);
    let endless = Pacing { count: None, ..pacing(rate(1e3), 0.5, 0) };
    let mut pacer = Pacer::new(&endless, 0);
    (0..100_000).for_each(|_| pacer.advance(&endless));
    assert_eq!((pacer.made(), pacer.peek().is_some()), (100_000, true));
}

#[test]
fn at_the_end_advancing_changes_nothing() {
    let pacing = pacing(rate(1.0), 0.0, 2);
    let mut pacer = Pacer::new(&pacing, 0);
    (0..5).for_each(|_| pacer.advance(&pacing));
    assert_eq!((pacer.made(), pacer.peek()), (2, None));
}

#[test]
fn checklist_16_jitter_moves_messages_and_0_does_not() {
    let spread = |jitter| {
        let gaps = gaps(&due(&pacing(rate(1000.0), jitter, 10_001), 0));
        (*gaps.iter().min().unwrap(), *gaps.iter().max().unwrap())
    };
    assert_eq!(spread(0.0), (MILLISECOND, MILLISECOND));
    // The whole range is used, and no more than it.
    let (min, max) = spread(0.1);
    assert!((900_000..905_000).contains(&min) && (1_095_000..=1_100_000).contains(&max), "{min} {max}");
}

#[test]
fn checklist_16_delays_are_uniform_within_their_bounds() {
    let (min, max) = (500 * MILLISECOND, 1500 * MILLISECOND);
    let gaps = gaps(&due(&pacing(Pace::Delay { min, max }, 0.0, 20_001), 0));
    assert!(gaps.iter().all(|gap| (min..=max).contains(gap)));
    for tenth in 0..10 {
        let from = min + tenth * 100 * MILLISECOND;
        let count = gaps.iter().filter(|&&gap| (from..from + 100 * MILLISECOND).contains(&gap)).count();
        // Five standard deviations of a binomial count around 2000.
        assert!(count.abs_diff(2000) < 212, "{count} gaps from {from} ns on");
    }
    let fixed = Pace::Delay { min: SECOND, max: SECOND };
    assert_eq!(due(&pacing(fixed, 0.0, 3), 0), [0, SECOND, 2 * SECOND]);
}

#[test]
fn both_ends_of_a_range_of_delays_are_part_of_it() {
    let short = gaps(&due(&pacing(Pace::Delay { min: 3, max: 4 }, 0.0, 101), 0));
    assert!([3, 4].iter().all(|gap| short.contains(gap)), "{short:?}");
}

#[test]
fn checklist_19_normal_gaps_have_the_mean_and_deviation_asked_for() {
    let pace = Pace::Normal { mean: SECOND, deviation: SECOND / 10 };
    let gaps = gaps(&due(&pacing(pace, 0.0, 20_001), 0));
    let mean = gaps.iter().sum::<u64>() as f64 / 20_000.0;
    let variance = gaps.iter().map(|&gap| (gap as f64 - mean).powi(2)).sum::<f64>() / 20_000.0;
    // Five standard errors of the mean, and of the deviation.
    assert!((mean - 1e9).abs() < 5.0 * 1e8 / 20_000f64.sqrt(), "{mean}");
    assert!((variance.sqrt() - 1e8).abs() < 5.0 * 1e8 / 40_000f64.sqrt(), "{}", variance.sqrt());
    // Wider than the mean: never backwards.
    let wide = due(&pacing(Pace::Normal { mean: 10, deviation: SECOND }, 0.0, 1000), 0);
    assert!(wide.is_sorted());
}

#[test]
fn checklist_19_bursts_are_fast_then_slow() {
    let pace = Pace::Burst { slow_per_s: 1.0, fast_per_s: 100.0, length: SECOND, period: 10 * SECOND };
    let due = due(&Pacing { count: None, duration: Some(30 * SECOND), ..pacing(pace, 0.0, 0) }, 0);
    for period in 0..3 {
        let start = period * 10 * SECOND;
        let within = |from, to| due.iter().filter(|&&due| (start + from..start + to).contains(&due)).count();
        assert_eq!((within(0, SECOND), within(SECOND, 10 * SECOND)), (100, 9), "period {period}");
    }
    assert_eq!((due[1], due[101]), (10 * MILLISECOND, 2 * SECOND));
}

#[test]
fn checklist_19_between_bursts_there_can_be_silence() {
    let pace = Pace::Burst { slow_per_s: 0.0, fast_per_s: 7.0, length: 300 * MILLISECOND, period: SECOND };
    let due = due(&pacing(pace, 0.5, 2101), 0);
    assert!(due.iter().all(|due| due % SECOND <= 300 * MILLISECOND));
    // 2.1 messages each second: the tenths are not lost.
    assert_eq!((due[0], due[21], due[2100]), (0, 10 * SECOND, 1000 * SECOND));
    assert!(due.is_sorted());
}

#[test]
fn checklist_28_a_seed_decides_and_clients_differ() {
    for pace in
        [rate(50.0), Pace::Delay { min: 0, max: SECOND }, Pace::Normal { mean: SECOND, deviation: 1000 }]
    {
        let pacing = pacing(pace, 0.5, 50);
        assert_eq!(due(&pacing, 7), due(&pacing, 7));
        assert_ne!(due(&pacing, 7), due(&pacing, 8));
        assert_ne!(due(&pacing, 7), due(&Pacing { seed: 2, ..pacing }, 7));
    }
}

#[test]
fn what_makes_no_sense_is_an_error_that_names_it() {
    let burst =
        |slow_per_s, fast_per_s, length, period| Pace::Burst { slow_per_s, fast_per_s, length, period };
    for (pace, jitter, part) in [
        (rate(0.0), 0.0, "0 messages"),
        (rate(-1.0), 0.0, "-1 messages"),
        (rate(f64::NAN), 0.0, "NaN messages"),
        (rate(f64::INFINITY), 0.0, "inf messages"),
        (rate(1.0), 1.5, "jitter 1.5"),
        (rate(1.0), -0.1, "jitter -0.1"),
        (rate(1.0), f64::NAN, "jitter NaN"),
        (Pace::Delay { min: 2, max: 1 }, 0.0, "2 to 1 ns"),
        (burst(0.0, 0.0, 1, 2), 0.0, "0 messages"),
        (burst(-2.0, 1.0, 1, 2), 0.0, "-2 messages"),
        (burst(1.0, 2.0, 0, 2), 0.0, "0 ns every 2"),
        (burst(1.0, 2.0, 3, 2), 0.0, "3 ns every 2"),
    ] {
        let error = pacing(pace, jitter, 1).check().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn times_beyond_all_clocks_do_not_wrap() {
    for pace in [
        rate(1e-300),
        Pace::Delay { min: u64::MAX, max: u64::MAX },
        Pace::Delay { min: 0, max: u64::MAX },
        Pace::Normal { mean: u64::MAX, deviation: u64::MAX },
        Pace::Burst { slow_per_s: 0.0, fast_per_s: 1e-300, length: 1, period: u64::MAX },
    ] {
        assert!(due(&pacing(pace, 1.0, 10), 0).is_sorted(), "{pace:?}");
    }
}

proptest! {
    #[test]
    fn checklist_16_no_interval_differs_by_more_than_the_jitter(
        per_s in 0.001f64..1e6,
        jitter in 0.0f64..=1.0,
        client in any::<u32>(),
        seed in any::<u64>(),
    ) {
        let due = due(&Pacing { seed, ..pacing(rate(per_s), jitter, 200) }, client);
        let interval = SECOND as f64 / per_s;
        prop_assert_eq!(due[0], 0);
        for (k, &at) in due.iter().enumerate() {
            prop_assert!((at as f64 - k as f64 * interval).abs() <= interval * jitter / 2.0 + 1.0);
        }
        for gap in gaps(&due) {
            // Times are whole nanoseconds.
            prop_assert!((gap as f64 - interval).abs() <= interval * jitter + 2.0, "{} {}", gap, interval);
        }
    }

    #[test]
    fn bursts_have_their_rates_everywhere(
        slow in prop_oneof![Just(0.0), 0.1f64..100.0],
        fast in 0.1f64..1000.0,
        period in 1u64..20,
        share in 0.05f64..1.0,
    ) {
        let period = period * SECOND;
        let length = (period as f64 * share) as Nanos;
        let pace = Pace::Burst { slow_per_s: slow, fast_per_s: fast, length, period };
        let due = due(&pacing(pace, 0.1, 500), 0);
        let seconds = |nanos: Nanos| nanos as f64 / SECOND as f64;
        // As many messages before each as the rates make up to its time.
        for (k, &at) in due.iter().enumerate() {
            let (periods, within) = (at / period, at % period);
            let each = fast * seconds(length) + slow * seconds(period - length);
            let made = periods as f64 * each
                + fast * seconds(within.min(length))
                + slow * seconds(within.saturating_sub(length));
            prop_assert!((made - k as f64).abs() < 1e-4, "message {} at {} is {}", k, at, made);
        }
        prop_assert!(due.is_sorted());
    }
}
