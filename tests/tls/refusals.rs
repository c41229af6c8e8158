//! What goes wrong ends in exit code 4, and in a line that says what it was and what would mend it.

use crate::certificates::Certificates;
use crate::{Outcome, mosquitto, program};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What a run of one attempt with `flags` against port `port` says.
fn fails(port: u16, flags: &str, parts: &[&str]) {
    let line = format!("{flags} -p {port} --clients 2 --connect-timeout 3s --duration 1s");
    let Outcome { code, said, .. } = program("malaria-bench", &line);
    assert_eq!(code, 4, "{line}\n{said}");
    let line = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{said}"));
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
}

/// A server that does this with each connection.
fn server(act: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let act = std::sync::Arc::new(act);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let act = act.clone();
            std::thread::spawn(move || act(stream));
        }
    });
    port
}

/// One that hears the first flight and answers this; then it ends, or waits until the client does.
fn answering(answer: &'static [u8], ends: bool) -> u16 {
    server(move |mut stream| {
        let mut first = [0; 4096];
        let _ = stream.read(&mut first);
        let _ = stream.write_all(answer);
        while !ends && stream.read(&mut first).is_ok_and(|read| read > 0) {}
    })
}

#[test]
fn a_broker_that_cannot_be_trusted() {
    let certificates = Certificates::new("ca");
    certificates.expired();
    let Some(broker) = mosquitto::start(&certificates, "server", "") else { return };
    let (ca, other) = (certificates.file("ca.pem"), Certificates::new("another"));
    let tls = "-H localhost --tls";
    fails(
        broker.port,
        &format!("{tls} --cafile {}", other.file("ca.pem")),
        &["signed by nobody", "--cafile"],
    );
    fails(broker.port, &format!("{tls} --cafile {ca} --sni elsewhere"), &["another name", "--sni"]);
    let Some(expired) = mosquitto::start(&certificates, "expired", "") else { return };
    fails(expired.port, &format!("{tls} --cafile {ca}"), &["expired"]);
    // A CA's own certificate is no server's.
    fails(broker.port, &format!("{tls} --cafile {}", certificates.file("server.pem")), &["signed by nobody"]);
}

#[test]
fn a_broker_that_speaks_something_else() {
    let tls = "-H localhost --tls --insecure";
    fails(answering(b"\x20\x02\x00\x05", false), tls, &["not TLS", "mqtt://"]);
    fails(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", false), tls, &["not TLS"]);
    fails(answering(b"", true), tls, &["ended within the TLS handshake"]);
    fails(answering(b"\x15\x03\x03\x00\x02\x02\x28", false), tls, &["handshake_failure (40)", "--ciphers"]);
    fails(
        answering(b"\x15\x03\x03\x00\x02\x02\x46", false),
        tls,
        &["protocol_version (70)", "--tls-version"],
    );
    fails(answering(b"\x16\x03\x03\xff\xff\x02\x00", false), tls, &["longer than allowed"]);
    // The begin of an answer, and then nothing.
    fails(answering(b"\x16\x03\x03\x00\x7a\x02\x00", true), tls, &["ended within the TLS handshake"]);
}

#[test]
fn a_handshake_that_never_ends() {
    let port = answering(b"\x16\x03\x03\x00\x7a\x02\x00", false);
    fails(
        port,
        "-H localhost --tls --insecure",
        &["gave no end of the handshake within 3.00 s", "--connect-timeout"],
    );
}

/// A broker on a TLS port, and a client that says CONNECT in the clear.
#[test]
fn a_plain_client_at_a_tls_port() {
    let certificates = Certificates::new("ca");
    let Some(broker) = mosquitto::start(&certificates, "server", "") else { return };
    let line = format!("-H localhost -p {} --clients 2 --connect-timeout 3s --duration 1s", broker.port);
    let Outcome { code, said, .. } = program("malaria-bench", &line);
    assert!(code == 4 && said.contains("--tls"), "exit {code}\n{said}");
}
