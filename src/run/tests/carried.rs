//! The same worlds over transports: whatever carries the bytes, the figures are held against the truth.

use super::*;
use crate::record::Latencies;
use crate::transport::tls::{Client, Identity, Roots, Server, Settings, Versions};
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

/// TLS alone, or WebSocket over it. What is drawn for it is of no seed; the laws hold whatever it is.
fn tls(seed: u64) -> Over {
    let (identity, roots) = Identity::make(vec!["localhost".into()]).unwrap();
    let versions = if seed.is_multiple_of(2) { Versions::V13 } else { Versions::V12 };
    let resume = seed.is_multiple_of(3);
    let settings = Settings { versions, resume, ..Settings::new(Roots::These(Arc::new(roots))) };
    let client = Client::new(&settings, vec!["localhost".to_owned().try_into().unwrap()]).unwrap();
    let (dialer, acceptor) =
        (Dialer::new(client), Acceptor::new(Server::new(&identity, None, versions).unwrap()));
    let (dialer, acceptor) = match seed % 5 {
        0 => {
            let upgrades = vec![Upgrade::new("localhost", "/mqtt", &[])];
            (dialer.with_websocket(upgrades, seed), acceptor.with_websocket())
        }
        _ => (dialer, acceptor),
    };
    Over::These(Arc::new(dialer), Arc::new(acceptor))
}

explored! {
    |seed| exact_over(seed, &tls(seed)),
    deliveries_are_counted_as_they_are_over_tls: 0..30,
}

explored! {
    |seed| anything_over(seed, &tls(seed)),
    the_laws_hold_over_tls: 0..30,
}

#[test]
#[ignore = "goes on until it is told to stop"]
fn the_laws_hold_over_transports_for_long() {
    soak(|seed| {
        exact_over(seed, &websocket(seed));
        anything_over(seed, &websocket(seed));
        exact_over(seed, &tls(seed));
        anything_over(seed, &tls(seed));
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
    let counts = (one.latencies.handshake.count, one.counts.connections_established);
    assert_eq!((counts, one.latencies.handshake_resumed.count), ((10, 10), 0));
    // There and back, at a millisecond each way, and nothing of one leg in another.
    let Latencies { tcp_connect, handshake, connack, .. } = &one.latencies;
    for leg in [tcp_connect, handshake, connack] {
        let (least, most) = (leg.min_ns.unwrap(), leg.max_ns.unwrap());
        let near = 1_999_000..=2_001_000;
        assert!(near.contains(&least) && near.contains(&most), "{least} to {most}");
    }
}
