//! What the machine offers and refuses.

use super::*;

#[test]
fn a_table_beyond_the_limit_says_so() {
    let asked = u32::try_from(descriptor_limit()).unwrap().saturating_add(1);
    let error = Worker::new(Config { table: asked, ..Config::new(asked, Waker::new().unwrap()) })
        .err()
        .expect("over the limit");
    assert!(error.to_string().contains(&asked.to_string()), "{error}");
    assert!(error.to_string().contains("ulimit -Hn"), "{error}");
}

#[test]
fn local_addresses_are_told_from_others() {
    assert!(is_local(&endpoint("127.0.0.1")) && is_local(&endpoint("127.1.2.3")));
    assert!(!is_local(&endpoint("192.0.2.1")) && !is_local(&endpoint("2001:db8::1")));
}

#[test]
fn loopback_sources_are_distinct_and_local() {
    let remote = endpoint("127.0.0.1");
    let sources: Vec<_> = (0..1000).map(|i| loopback_source(&remote, i).unwrap()).collect();
    let distinct: std::collections::HashSet<_> = sources.iter().collect();
    assert_eq!(distinct.len(), 1000);
    assert!(sources.iter().all(|source| source.is_loopback()));
    assert_eq!(loopback_source(&endpoint("192.0.2.1"), 1), None);
}

fn endpoint(ip: &str) -> Endpoint {
    Endpoint::Tcp(SocketAddr::new(ip.parse().unwrap(), 1883))
}

/// What was counted until something began is in no figure of it: of each count.
#[test]
fn counts_of_a_time_are_without_what_was_before() {
    let all = Stats {
        enters: 1,
        code_ns: 2,
        spun_ns: 3,
        handshake_ns: 13,
        completions: 4,
        sends: 5,
        bytes_out: 6,
        receives: 7,
        bytes_in: 8,
        blocked: 9,
        no_buffers: 10,
        overflows: 11,
        accept_refused: 12,
    };
    assert_eq!(all.since(Stats::default()), all);
    assert_eq!(all.since(all), Stats::default());
}
