//! Expected numbers are those of scipy 1.17.1: `ttest_ind(equal_var=False)` on logarithms and its `confidence_interval`,
//! `t.ppf`, `t.sf`, `sem`, `mannwhitneyu(method="exact" | "asymptotic")`.

use super::*;
use crate::seed;

const BASE: [f64; 5] = [100.0, 104.0, 97.0, 101.0, 99.0];
const NEW: [f64; 6] = [110.0, 95.0, 113.0, 108.0, 121.0, 117.0];
const LATENCY: Tolerance = Tolerance { more_is_better: false, share: 0.05 };
const THROUGHPUT: Tolerance = Tolerance { more_is_better: true, share: 0.05 };

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn welch_is_scipys() {
    let change = Change::between(&BASE, &NEW).unwrap();
    close(change.log, 0.09673764448226407);
    close(change.freedom, 6.09083659438336);
    close(change.log / change.error, 2.6707192144914624);
    close(2.0 * change.tail(change.log), 0.0364578939213856);
    close(change.beyond(LATENCY), 0.11655302904011634);
    close(change.within(LATENCY), 1.0 - 0.11655302904011634);
    let (low, high) = change.interval(0.02);
    close(low, 1.0024926307298216);
    close(high, 1.2104422148812342);
    close(mean(&BASE).unwrap(), 100.1733801432299);
    let (low, high) = interval(&BASE, 0.025).unwrap();
    close(low, 97.02191901073991);
    close(high, 103.42720687898628);
}

#[test]
fn ranks_are_scipys() {
    let count = |from: f64| (0..20).map(|at| f64::from(at) + from).collect::<Vec<_>>();
    close(rank_sum(&BASE, &NEW).unwrap(), 0.08225108225108226);
    close(rank_sum(&NEW, &BASE).unwrap(), 0.08225108225108226);
    close(rank_sum(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).unwrap(), 0.1);
    close(rank_sum(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]).unwrap(), 0.007936507936507936);
    close(rank_sum(&count(0.0), &count(4.5)).unwrap(), 0.030411256038764864);
    // with ties: asymptotic
    close(rank_sum(&[1.0, 2.0, 2.0, 3.0], &[2.0, 4.0, 5.0, 5.0]).unwrap(), 0.10159149986165274);
    close(rank_sum(&[7.0; 3], &[7.0; 3]).unwrap(), 1.0);
    assert_eq!(rank_sum(&[], &[1.0]), None);
}

#[test]
fn holm_takes_the_smallest_first() {
    // by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04 is no less than the one before
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (found, expected) in adjusted.into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
        close(found, expected);
    }
    assert_eq!(holm(&[]), [0.0; 0]);
    assert_eq!(holm(&[0.7, 0.9]), [1.0, 1.0]);
}

fn share(with: usize, of: usize) -> Share {
    Share { with, of }
}

/// Numbers by counting arrangements: of the 252 ways to draw 5 of 10, one has all five.
#[test]
fn fisher_counts_arrangements() {
    for (base, new, expected) in [
        ((0, 5), (5, 5), 1.0 / 252.0),
        ((0, 5), (4, 5), 5.0 / 210.0),
        ((0, 10), (5, 10), 252.0 / 15_504.0),
        ((2, 20), (11, 20), 0.002867836850039297),
        ((1, 5), (2, 7), 0.6363636363636364),
        ((3, 6), (1, 6), 0.9696969696969697),
        ((0, 5), (0, 5), 1.0),
    ] {
        close(fisher(share(base.0, base.1), share(new.0, new.1)), expected);
    }
}

#[test]
fn a_fault_fails_when_it_is_more_frequent_beyond_chance() {
    let judged =
        |base: (usize, usize), new: (usize, usize)| judge_fault(share(base.0, base.1), share(new.0, new.1));
    // every new run, and no run of the base
    assert_eq!(judged((0, 5), (5, 5)), Decision::Fail);
    assert_eq!(judged((0, 2), (2, 2)), Decision::Fail);
    assert_eq!(judged((0, 1), (1, 1)), Decision::Inconclusive, "one run each");
    assert_eq!(judged((0, 5), (1, 1)), Decision::Inconclusive, "one run");
    assert_eq!(judged((0, 5), (1, 5)), Decision::Inconclusive);
    assert_eq!(judged((0, 5), (4, 5)), Decision::Inconclusive);
    assert_eq!(judged((0, 10), (6, 10)), Decision::Fail);
    assert_eq!(judged((2, 20), (11, 20)), Decision::Fail);
    // no more of it than before
    assert_eq!(judged((1, 5), (1, 5)), Decision::Pass);
    assert_eq!(judged((1, 5), (2, 10)), Decision::Pass);
    assert_eq!(judged((5, 5), (5, 5)), Decision::Pass);
    assert_eq!(judged((0, 5), (0, 5)), Decision::Pass);
}

/// A fault that both sides have equally often fails in less than one gate of a hundred, one that each new run has in all.
#[test]
fn faults_fail_no_more_often_than_figures() {
    const TRIALS: u32 = 20_000;
    for chance in [0.05, 0.2, 0.5, 0.8] {
        let mut failed = 0;
        for trial in 0..TRIALS {
            let mut draw = seed::stream(5, "faults", trial.into());
            let (mut base, mut new) = (share(0, 0), share(0, 0));
            let decided = LOOKS.into_iter().find_map(|look| {
                while base.of < look {
                    for side in [&mut base, &mut new] {
                        (side.with, side.of) = (side.with + usize::from(draw.unit() < chance), side.of + 1);
                    }
                }
                Some(judge_fault(base, new)).filter(|decision| *decision != Decision::Inconclusive)
            });
            failed += u32::from(decided == Some(Decision::Fail));
        }
        assert!(f64::from(failed) <= 0.01 * f64::from(TRIALS), "{failed} of {TRIALS} at {chance}");
    }
}

#[test]
fn too_little_is_nothing() {
    assert_eq!(Change::between(&[1.0], &[1.0, 2.0]), None);
    assert_eq!(Change::between(&[1.0, 0.0], &[1.0, 2.0]), None);
    assert_eq!((interval(&[1.0], 0.02), mean(&[]), median(&[]), scatter(&[1.0])), (None, None, None, None));
    assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0])), (Some(2.0), Some(2.5)));
    close(scatter(&[9.0, 10.0, 11.0]).unwrap(), 0.1);
}

#[test]
fn what_does_not_scatter_is_where_it_is() {
    let change = |new| Change::between(&[10.0; 5], &[new; 5]).unwrap();
    for (new, latency, throughput) in [
        (10.0, Decision::Pass, Decision::Pass),
        (10.4, Decision::Pass, Decision::Pass),
        (10.6, Decision::Fail, Decision::Pass),
        (9.6, Decision::Pass, Decision::Pass),
        (9.4, Decision::Pass, Decision::Fail),
    ] {
        assert_eq!(judge(&[(change(new), LATENCY)]), [latency], "{new}");
        assert_eq!(judge(&[(change(new), THROUGHPUT)]), [throughput], "{new}");
    }
    close(change(10.0).smallest_seen(LATENCY), 1.05);
    close(change(10.0).smallest_seen(THROUGHPUT), 0.95);
}

/// Several figures share one chance of failing by accident; each passes by its own.
#[test]
fn figures_share_the_chance_of_failing() {
    let new = BASE.map(|value| value * 1.096);
    let one = (Change::between(&BASE, &new).unwrap(), LATENCY);
    let same = (Change::between(&BASE, &BASE).unwrap(), LATENCY);
    assert!((0.01..0.02).contains(&one.0.beyond(LATENCY)), "{}", one.0.beyond(LATENCY));
    assert_eq!(judge(&[one]), [Decision::Fail]);
    assert_eq!(judge(&[one, same, same]), [Decision::Inconclusive, Decision::Pass, Decision::Pass]);
}

/// What the rule comes to, over `trials` gates of runs that scatter by `noise` and change by `truth`.
fn shares(seed: u64, noise: f64, truth: f64, tolerance: Tolerance) -> [f64; 3] {
    const TRIALS: u32 = 4_000;
    let deviation = (noise * noise).ln_1p().sqrt();
    let mut shares = [0.0; 3];
    for trial in 0..TRIALS {
        let mut draw = seed::stream(seed, "gate", trial.into());
        let (mut base, mut new) = (Vec::new(), Vec::new());
        let mut decision = Decision::Inconclusive;
        for look in LOOKS {
            while base.len() < look {
                base.push((deviation * draw.normal()).exp());
                new.push(truth * (deviation * draw.normal()).exp());
            }
            decision = judge(&[(Change::between(&base, &new).unwrap(), tolerance)])[0];
            if decision != Decision::Inconclusive {
                break;
            }
        }
        shares[decision as usize] += 1.0 / f64::from(TRIALS);
    }
    shares
}

/// The operating characteristics that the rule was chosen for.
#[test]
fn the_gate_is_as_sure_as_it_says() {
    for seed in [1, 2] {
        let [pass, fail, _] = shares(seed, 0.05, 1.0, THROUGHPUT);
        assert!(fail <= 0.01 && pass >= 0.8, "no change: {pass} pass, {fail} fail");
        let [pass, fail, _] = shares(seed, 0.05, 0.9, THROUGHPUT);
        assert!(fail >= 0.85 && pass <= 0.01, "10 % less: {pass} pass, {fail} fail");
        let [pass, fail, _] = shares(seed, 0.02, 1.0, THROUGHPUT);
        assert!(fail <= 0.001 && pass >= 0.99, "quiet, no change: {pass} pass, {fail} fail");
        // on the edge every look may be wrong by ALPHA: three of them by no more than three times that
        let [pass, fail, _] = shares(seed, 0.05, 0.95, THROUGHPUT);
        assert!(fail <= 3.0 * ALPHA && pass <= 3.0 * ALPHA, "on the edge: {pass} pass, {fail} fail");
        let [pass, fail, _] = shares(seed, 0.1, 1.11, LATENCY);
        assert!(fail >= 0.25 && pass <= 0.01, "noisy, 11 % more: {pass} pass, {fail} fail");
    }
}

/// As many runs as are said to tell do tell: without any change they pass four times of five.
#[test]
fn so_many_runs_tell_four_times_of_five() {
    let deviation = 0.05f64;
    let (mut passed, mut said) = (0, 0);
    for trial in 0..2_000 {
        let mut draw = seed::stream(4, "enough", trial);
        let mut runs =
            |count: usize| -> Vec<f64> { (0..count).map(|_| (deviation * draw.normal()).exp()).collect() };
        let scatter = Change::between(&runs(40), &runs(20)).unwrap();
        let enough = scatter.runs_to_tell(40, 20, LATENCY).unwrap();
        let change = Change::between(&runs(enough), &runs(enough)).unwrap();
        passed += u32::from(judge(&[(change, LATENCY)]) == [Decision::Pass]);
        said += enough;
    }
    assert!((1_540..1_700).contains(&passed), "{passed} of 2,000, with {} runs", said / 2_000);
    let wild = Change::between(&[1.0, 9.0], &[2.0, 7.0]).unwrap();
    assert_eq!(wild.runs_to_tell(2, 2, LATENCY), None);
    let quiet = Change::between(&[1.0; 5], &[1.0; 5]).unwrap();
    assert_eq!(quiet.runs_to_tell(5, 5, LATENCY), Some(2));
}

/// As long as it says: a change of the smallest size that could have been seen fails four times of five.
#[test]
fn the_smallest_change_is_seen_four_times_of_five() {
    let deviation = 0.05f64;
    let mut failed = 0;
    for trial in 0..2_000 {
        let mut draw = seed::stream(3, "smallest", trial);
        let mut runs =
            |truth: f64| -> Vec<f64> { (0..20).map(|_| truth * (deviation * draw.normal()).exp()).collect() };
        let (base, new) = (runs(1.0), runs(1.0));
        let smallest = Change::between(&base, &new).unwrap().smallest_seen(LATENCY);
        let change = Change::between(&runs(1.0), &runs(smallest)).unwrap();
        failed += u32::from(judge(&[(change, LATENCY)]) == [Decision::Fail]);
    }
    assert!((1_500..1_700).contains(&failed), "{failed} of 2,000");
}
