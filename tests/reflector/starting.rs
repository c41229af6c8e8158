//! Starting, stopping, and whose a port is.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Barrier;

use malaria_bench::reflector::{Config, Error, Reflector};
use malaria_bench::wire::QoS;

use super::{Client, config, start};

#[test]
fn stopping_closes_connections_and_frees_the_port() {
    let reflector = start(2);
    let address = reflector.addr();
    let (mut client, _) = Client::connect(&reflector, "c", true);
    client.publish("t", b"x", QoS::AtLeastOnce);
    let counters = reflector.stop().expect("it ends well");
    assert_eq!((counters.connects, counters.messages_in), (1, [0, 1, 0]));
    assert!(client.is_closed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_port_has_one_reflector() {
    for workers in [1, 3] {
        let first = start(workers);
        let taken = || Config { listen: first.addr(), ..config(workers, 1000) };
        let anywhere = SocketAddr::from(([0, 0, 0, 0], first.addr().port()));
        for second in [taken(), Config { listen: anywhere, ..taken() }] {
            let listen = second.listen;
            let error = Reflector::start(second).expect_err("the port is taken");
            assert!(matches!(error, Error::Listen { address, .. } if address == listen), "{error}");
        }
        // Whoever connects finds the first, and no socket that somebody left behind.
        for _ in 0..50 {
            Client::connect(&first, "", true);
        }
        assert_eq!(first.stop().expect("it ends well").connects, 50);
    }
}

#[test]
fn of_many_that_want_a_port_at_once_no_two_get_it() {
    for _ in 0..50 {
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let listen = free.local_addr().expect("it has one");
        drop(free);
        let gate = Barrier::new(4);
        let started: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                gate.wait();
                Reflector::start(Config { listen, ..config(2, 10) })
            };
            let starts: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
            starts.into_iter().filter_map(|start| start.join().expect("it does not panic").ok()).collect()
        });
        assert_eq!(started.len(), 1);
    }
}

#[test]
fn a_port_can_be_had_again_as_soon_as_its_reflector_has_stopped() {
    let mut reflector = start(2);
    for _ in 0..30 {
        // The reflector closes first: its end of these is in TIME_WAIT when the port is wanted again.
        let mut clients: Vec<_> = (0..20).map(|_| Client::connect(&reflector, "", true).0).collect();
        let listen = reflector.addr();
        reflector.stop().expect("it ends well");
        reflector = Reflector::start(Config { listen, ..config(2, 1000) }).expect("the port is free");
        assert!(clients.iter_mut().all(Client::is_closed));
    }
}

/// 300 connections fit into two workers with 200 each, but not into one.
#[test]
fn connections_are_spread_over_workers() {
    let reflector = Reflector::start(config(2, 200)).expect("the reflector starts");
    let clients: Vec<_> = (0..300).map(|_| Client::connect(&reflector, "", true)).collect();
    assert_eq!(reflector.counters().connections, 300);
    drop(clients);
}

/// The second of two programs is told so, and says so.
#[test]
fn the_program_does_not_share_its_port() {
    let first = start(2);
    let port = first.addr().port().to_string();
    // The bound is for a program that starts.
    let output = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_malaria-bench")])
        .args(["reflector", "--bind", "127.0.0.1", "--port", &port])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{said}");
    assert!(said.contains("choose another port"), "{said}");
}

/// Threads with stacks of 5 GiB in an address space of 8 GiB: the first worker gets its own, and runs, the next one does
/// not.
#[test]
fn a_thread_that_cannot_be_had_ends_those_before_it() {
    let output = Command::new("timeout")
        .args(["20", "prlimit", "--nofile=1000:1000", "--as=8589934592"])
        .args([env!("CARGO_BIN_EXE_malaria-bench"), "reflector", "--bind", "127.0.0.1", "--port", "0"])
        .env("RUST_MIN_STACK", (5_u64 << 30).to_string())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot start a thread for the reflector"), "{said}");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

/// Whichever of the workers it is, those that run by then are ended, and nobody waits.
#[test]
fn a_worker_that_cannot_start_ends_all_others() {
    for fails in 0..3 {
        let reflector = start(1);
        let listen = reflector.addr();
        reflector.stop().expect("it ends well");
        let mut three = Config { listen, ..config(3, 100) };
        three.workers[fails].cpu = Some(100_000);
        let error = Reflector::start(three).expect_err("there is no such CPU");
        assert!(matches!(error, Error::Pin(_)), "{error}");
        Reflector::start(Config { listen, ..config(3, 100) }).expect("nobody is left at the port");
    }
}

#[test]
fn what_keeps_it_from_starting_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let error = Reflector::start(Config { listen, ..config(2, 100) }).unwrap_err();
    assert!(matches!(error, Error::Listen { address, .. } if address == listen), "{error}");
    assert!(error.to_string().ends_with("; choose another port, or 0 for a free one"), "{error}");
    // TEST-NET-1 (RFC 5737).
    let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = Reflector::start(Config { listen: foreign, ..config(2, 100) }).unwrap_err();
    assert!(error.to_string().ends_with("; it is no address of this machine"), "{error}");
    assert!(matches!(Reflector::start(config(0, 100)).unwrap_err(), Error::Workers(0)));
    let mut nowhere = config(2, 100);
    nowhere.workers[1].cpu = Some(100_000);
    let error = Reflector::start(nowhere).unwrap_err();
    assert!(matches!(error, Error::Pin(_)), "{error}");
    let error = Reflector::start(config(2, u32::MAX)).unwrap_err();
    assert!(matches!(error, Error::Engine(_)), "{error}");
}
