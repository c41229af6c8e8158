//! WebSocket to the built-in broker, over nothing and over TLS.

use crate::certificates::Certificates;
use crate::mosquitto::start;
use crate::{Outcome, program, run};
use malaria_bench::record::Record;
use malaria_bench::reflector::{Config, Manner, Reflector, WorkerPlacement};
use malaria_bench::transport::Acceptor;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// `--embedded --websocket`: nothing has to be there, and every client has asked for an upgrade.
#[test]
fn the_built_in_broker_speaks_websocket() {
    for (line, kind) in [("--websocket", "plain"), ("--websocket --tls", "tls")] {
        for qos in 0..3 {
            let record =
                run(&format!("--embedded {line} --clients 40 --rate 400 -q {qos} --duration 1s --warmup 0"));
            assert_eq!(record.latencies.handshake.count, 40);
            assert!(record.counts.delivered > 300, "{:?}", record.counts);
            let transport = &record.broker.transport;
            assert_eq!((serde_json::json!(transport.kind), transport.websocket), (kind.into(), true));
        }
    }
}

/// Payloads of many frames' lengths, and closed loops that fill sockets.
#[test]
fn long_messages_and_full_sockets_are_exact() {
    for over in ["--websocket", "--websocket --tls"] {
        for line in ["-s 200KiB --rate 20 -q 1", "-s 30KiB -q 0 --rate max", "-q 2 --rate max --inflight 16"]
        {
            let record =
                run(&format!("--embedded {over} --clients 4 {line} --duration 1s --warmup 0 --drain 20s"));
            assert!(record.counts.delivered > 10, "{:?}", record.counts);
        }
    }
}

#[test]
fn what_carries_a_run_is_told() {
    let line = "--embedded --websocket --tls --clients 2 --duration 500ms --warmup 0";
    let Outcome { stdout, said, .. } = program("malaria-bench", line);
    let told = (stdout + &said).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(", WebSocket over TLS"), "{told}");
}

/// What stands in a header may be a secret: that of a file is in no record, and in no summary.
#[test]
fn headers_of_a_file_are_told_to_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("headers");
    std::fs::write(&file, "X-Tenant: lab\n\nAuthorization: Bearer s3cr3t\n").expect("writable");
    let line = format!("--embedded --websocket --ws-header @{} --clients 2 --duration 500ms", file.display());
    let Outcome { stdout, said, .. } = program("malaria-bench", &format!("{line} --warmup 0 --json -"));
    let record = Record::from_json(&stdout).unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert_eq!((record.broker.transport.websocket, record.counts.connections_established), (true, 2));
    assert!(!stdout.contains("s3cr3t") && !said.contains("s3cr3t"), "{said}");
    std::fs::write(&file, "X-Tenant: lab\ns3cr3t\n").expect("writable");
    let Outcome { code, said, .. } = program("malaria-bench", &line);
    assert!(code == 2 && said.contains("line 2") && !said.contains("s3cr3t"), "exit {code}\n{said}");
}

#[test]
fn mosquitto_speaks_websocket_over_tls() {
    let certificates = Certificates::new("ca");
    // With a listener for WebSocket alone mosquitto 2.0 does not start.
    let more = format!("protocol websockets\nlistener 0 {}/plain.sock", certificates.folder().display());
    let Some(broker) = start(&certificates, "server", &more) else { return };
    let at = format!("wss://localhost:{}/mqtt", broker.port);
    let trusted = format!("-H {at} --cafile {}", certificates.file("ca.pem"));
    for qos in 0..3 {
        let record = run(&format!("{trusted} -q {qos} --clients 20 -n 20 -T 50 --drain 20s"));
        assert_eq!((record.counts.sent, record.latencies.handshake.count), (200, 20));
        assert_eq!(record.plan.hosts, [at.as_str()]);
    }
    let line = format!("publish {trusted} -P 3 -n 20 -T 100 -t -q 1 --json -");
    let Outcome { code, said, .. } = program("malaria", &line);
    assert_eq!(code, 0, "{said}");
    // Who is not trusted does not get as far as the upgrade; who speaks no TLS does not, either.
    for (host, part) in [(at.clone(), "--cafile"), (at.replace("wss", "ws"), "upgrade to WebSocket")] {
        let line = format!("-H {host} --clients 2 --connect-timeout 2s");
        let Outcome { code, said, .. } = program("malaria-bench", &line);
        assert!(code == 4 && said.contains(part), "exit {code}\n{said}");
    }
}

/// What comes behind an upgrade in one piece is of a connection that nobody was told of when a frame breaks the rules.
#[test]
fn a_broker_outlives_a_client_that_says_it_all_at_once() {
    let reflector = Reflector::start_as(
        Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            workers: vec![WorkerPlacement::default()],
            rings_per_worker: 1,
            max_connections_per_ring: 10,
        },
        Manner { transport: Some(Arc::new(Acceptor::default().with_websocket())), ..Manner::default() },
    )
    .expect("a port is free");
    let get = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    // A masked frame of two bytes, and one that is not masked.
    let bad = [&get[..], b"\x82\x82\0\0\0\0\x10\x0c", b"\x82\x01x"].concat();
    let mut answers = Vec::new();
    for bytes in [&bad[..], &get[..]] {
        let mut stream = TcpStream::connect(reflector.addr()).expect("it listens");
        stream.write_all(bytes).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("it answers");
        answers.push(String::from_utf8_lossy(&answer).into_owned());
    }
    assert_eq!(answers, ["HTTP/1.1 101", "HTTP/1.1 101"]);
    assert!(reflector.is_running());
}
