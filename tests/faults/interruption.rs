//! Ctrl-C: what was measured until then is written, soon; a second one does not wait for anything.

use std::sync::mpsc;
use std::time::Duration;

use malaria_bench::record::{Ended, Phase};
use malaria_bench::wire::PacketType;

use crate::bench::{Bench, Outcome};
use crate::broker::{Act, Broker, Heard};

/// Sends `signal` as soon as the status line shows `phase`.
fn interrupted_in(
    phase: Phase,
    signal: libc::c_int,
    arguments: &str,
    script: impl FnMut(&Heard<'_>) -> Act + Send + 'static,
) -> Outcome {
    let broker = Broker::start(script);
    let arguments = format!("--progress always --clients 10 -T 20 {arguments}");
    let mut running = Bench::against(broker.address, &arguments).start();
    running.wait_for(&format!("{} ", phase.name()));
    running.signal(signal);
    let outcome = running.wait();
    outcome.ends(130, &["interrupted"]).is_partial();
    assert!(outcome.since_signal < Duration::from_secs(4), "{:?}", outcome.since_signal);
    let record = outcome.record();
    assert_eq!((record.ended, record.partial_reason.as_deref()), (Ended::Interrupted, Some("interrupted")));
    assert!(record.phases.iter().any(|times| times.phase == phase), "{:?}", record.phases);
    assert!(record.phases.windows(2).all(|pair| pair[0].end_ns <= pair[1].start_ns));
    assert_eq!(record.phases.last().map(|times| times.phase), Some(Phase::Disconnect));
    outcome
}

#[test]
fn while_connecting() {
    let outcome = interrupted_in(Phase::Connect, libc::SIGINT, "--connect-timeout 60s", |_| Act::Silent);
    assert_eq!(outcome.record().counts.connections_established, 0);
}

#[test]
fn while_some_are_connected() {
    let outcome = interrupted_in(Phase::Connect, libc::SIGINT, "--connect-timeout 60s", |heard| {
        if heard.conn >= 5 { Act::Silent } else { Act::Honest }
    });
    assert_eq!(outcome.record().counts.connections_established, 5);
}

#[test]
fn while_subscribing() {
    let outcome = interrupted_in(Phase::Subscribe, libc::SIGINT, "--connect-timeout 60s", |heard| {
        if heard.is(PacketType::Subscribe) { Act::Silent } else { Act::Honest }
    });
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_established, counts.subscribed, counts.sent), (10, 0, 0));
}

#[test]
fn in_the_warm_up() {
    let outcome = interrupted_in(Phase::WarmUp, libc::SIGINT, "--warmup 60s", |_| Act::Honest);
    assert_eq!((outcome.record().counts.sent, outcome.record().counts.subscribed), (0, 5));
}

#[test]
fn while_measuring() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let outcome = interrupted_in(Phase::Measure, signal, "--warmup 0 --duration 60s", |_| Act::Honest);
        let counts = outcome.record().counts;
        assert!(counts.sent > 0 && counts.acked > 0, "{counts:#?}");
        assert_eq!((counts.delivered, counts.lost), (counts.sent, 0), "what was under way is waited for");
        outcome.acks_account_for_what_was_sent();
    }
}

#[test]
fn while_measuring_without_an_end() {
    let arguments = "--rate max -n 1000000000 --inflight 4";
    let broker = Broker::honest();
    let mut running =
        Bench::against(broker.address, &format!("--progress always --clients 4 {arguments}")).start();
    running.wait_for("measure ");
    running.signal(libc::SIGINT);
    let outcome = running.wait();
    outcome.ends(130, &["interrupted"]).is_partial().acks_account_for_what_was_sent();
    assert!(outcome.since_signal < Duration::from_secs(4), "{:?}", outcome.since_signal);
}

#[test]
fn while_draining() {
    let outcome = interrupted_in(Phase::Drain, libc::SIGINT, "-n 5 --drain 60s", |heard| {
        if heard.publish() == 3 { Act::Lose } else { Act::Honest }
    });
    let counts = outcome.record().counts;
    assert_eq!((counts.sent, counts.delivered, counts.lost), (25, 24, 1));
}

/// A broker that answers DISCONNECT by doing nothing, and says so.
fn clinging() -> (Broker, mpsc::Receiver<()>) {
    let (to, disconnects) = mpsc::channel();
    let broker = Broker::start(move |heard| {
        if heard.is(PacketType::Disconnect) {
            let _ = to.send(());
            return Act::Silent;
        }
        Act::Honest
    });
    (broker, disconnects)
}

#[test]
fn the_farewell_of_a_broker_that_does_not_hang_up_is_bounded() {
    let (broker, _) = clinging();
    let outcome = Bench::against(broker.address, "--clients 10 -T 20 --warmup 0 --duration 500ms").run();
    outcome.ends(0, &[]).within(Duration::from_secs(8));
}

#[test]
fn twice() {
    let (broker, disconnects) = clinging();
    let arguments = "--progress always --clients 10 -T 20 --warmup 0 --duration 60s";
    let mut running = Bench::against(broker.address, arguments).start();
    running.wait_for("measure ");
    running.signal(libc::SIGINT);
    disconnects.recv_timeout(Duration::from_secs(10)).expect("the farewell begins");
    running.signal(libc::SIGINT);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(130));
    assert!(outcome.since_signal < Duration::from_secs(1), "{:?}", outcome.since_signal);
    assert!(!outcome.has_record() && outcome.stdout.is_empty(), "nothing is waited for");
}
