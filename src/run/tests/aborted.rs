//! Runs that end early because somebody has found a reason.

use super::*;

/// What was asked of it is cut short in order: a drain of a second, everybody leaves, and the record says why.
#[test]
fn a_run_that_is_aborted_drains_and_says_why() {
    let plan = Plan { duration_ns: Some(60 * SECOND), ..plan(4, 1, 100.0) };
    let scene = Scene::new(Setup::exact(1), plan);
    scene.spec.abort.set("--abort-on ack p99 > 1s (2.00 s), at 7 s".to_owned()).expect("nobody has");
    let played = scene.play();
    let record = &played.record;
    assert_eq!((record.ended, record.exit_code, record.partial), (Ended::Aborted, 7, true));
    assert_eq!(record.exit_reason, "--abort-on ack p99 > 1s (2.00 s), at 7 s");
    assert!(record.span_of(record::Phase::Measure).expect("it had begun") < SECOND, "{:?}", record.phases);
    assert!(record.span_of(record::Phase::Drain).expect("it drained") <= SECOND, "{:?}", record.phases);
    assert_eq!(record.phases.last().map(|times| times.phase), Some(record::Phase::Disconnect));
}

/// What ends while it is not measured has something else to say.
#[test]
fn a_run_is_aborted_in_its_measure_phase_only() {
    let mut scene = Scene::new(Setup::exact(1), Plan { duration_ns: Some(SECOND), ..plan(4, 1, 100.0) });
    scene.spec.plan.warmup_ns = SECOND;
    scene.spec.abort.set("early".to_owned()).expect("nobody has");
    let played = scene.play();
    let warm_up = played.record.span_of(record::Phase::WarmUp).expect("there is one");
    assert!(warm_up >= SECOND, "{:?}", played.record.phases);
    assert_eq!(played.record.ended, Ended::Aborted);
}
