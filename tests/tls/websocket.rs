//! WebSocket to the built-in broker, over nothing and over TLS.

use super::{Outcome, program, run};

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

/// What stands in a header may be a secret: it is in no record, and in no summary.
#[test]
fn headers_are_told_to_nobody() {
    let line =
        "--embedded --websocket --ws-header X-Key:s3cr3t --clients 2 --duration 500ms --warmup 0 --json -";
    let Outcome { code, stdout, said } = program("malaria-bench", line);
    assert!(stdout.contains("\"websocket\": true"), "exit {code}: {stdout}");
    assert!(!stdout.contains("s3cr3t") && !said.contains("s3cr3t"), "{said}");
}
