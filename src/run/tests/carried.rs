//! The same worlds over WebSocket: whatever carries the bytes, the figures are held against the truth.

use super::*;
use crate::transport::websocket::Upgrade;

fn websocket(seed: u64) -> Over {
    let upgrades = vec![Upgrade::new("localhost", "/mqtt", &[])];
    let dialer = Dialer::default().with_websocket(upgrades, seed);
    Over::These(Arc::new(dialer), Arc::new(Acceptor::default().with_websocket()))
}

explored! {
    |seed| exact_over(seed, &websocket(seed)),
    deliveries_are_counted_as_they_are_over_websocket: 0..60,
}

explored! {
    |seed| anything_over(seed, &websocket(seed)),
    the_laws_hold_over_websocket_1: 0..100,
    the_laws_hold_over_websocket_2: 100..200,
}

#[test]
#[ignore = "goes on until it is told to stop"]
fn the_laws_hold_over_websocket_for_long() {
    soak(|seed| {
        exact_over(seed, &websocket(seed));
        anything_over(seed, &websocket(seed));
    });
}

/// Each upgrade is a leg of its own, and a world gives the same record twice.
#[test]
fn the_upgrade_is_timed() {
    let record = || {
        let scene = Scene::new(Setup::exact(1), plan(10, 1, 200.0)).over(&websocket(1));
        scene.play().record
    };
    let (one, other) = (record(), record());
    assert_eq!(one, other);
    let handshake = &one.latencies.handshake;
    assert_eq!((handshake.count, one.counts.connections_established), (10, 10));
    // There and back, at a millisecond each way.
    let (least, most) = (handshake.min_ns.unwrap(), handshake.max_ns.unwrap());
    let near = 1_999_000..=2_001_000;
    assert!(near.contains(&least) && near.contains(&most), "{least} to {most}");
}
