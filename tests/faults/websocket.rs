//! Servers that speak WebSocket wrongly, or not at all.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use malaria_bench::wire::{self, ConnAck, ConnectCode};
use tungstenite::handshake::derive_accept_key;

use crate::bench::{Bench, Outcome};
use crate::broker::{Act, Broker};

const SECOND: Duration = Duration::from_secs(1);

/// A server that says what `answer` has for the accept key of each client, and hangs up when it `hangs_up`.
fn server(hangs_up: bool, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let head = head(&mut stream);
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
            // Who does not like the beginning may be gone by now.
            let _ = stream.write_all(&answer(&derive_accept_key(key.as_bytes())));
            if !hangs_up {
                kept.push(stream);
            }
        }
    });
    address
}

/// All that stands before an empty line.
fn head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

fn welcome(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

fn run(address: SocketAddr, arguments: &str) -> Outcome {
    Bench::recorded(&format!("-H ws://{address}/mqtt --clients 4 --cores 1 --tolerance 200ms {arguments}"))
        .run()
}

/// Nobody gets in, and it is said why.
#[track_caller]
fn refused(answer: impl Fn(&str) -> Vec<u8> + Send + 'static, said: &[&str]) {
    let address = server(false, answer);
    let outcome = run(address, "");
    outcome.ends(4, said).ends(4, &[&address.to_string()]).is_partial().within(10 * SECOND);
    assert_eq!(outcome.record().counts.connections_established, 0);
}

#[test]
fn answers_other_than_101() {
    for (status, fix) in [
        ("400 Bad Request", "--host ws://host:port/path"),
        ("401 Unauthorized", "--ws-header"),
        ("404 Not Found", "change the path"),
        ("301 Moved Permanently", "give that address with --host"),
        ("200 OK", "not 101"),
        ("503 Service Unavailable", "--connect-rate"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        refused(move |_| answer.clone().into_bytes(), &[&format!("HTTP status {}", &status[..3]), fix]);
    }
}

#[test]
fn an_upgrade_that_is_none() {
    refused(
        |_| welcome("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").into(),
        &["Sec-WebSocket-Accept does not fit the key"],
    );
    refused(|accept| welcome(accept).replace("mqtt", "chat").into(), &["subprotocol mqtt", "MQTT-6.0.0-4"]);
    refused(|accept| welcome(accept).replace("Upgrade: ", "X: ").into(), &["lacks `Upgrade: websocket`"]);
    refused(
        |accept| welcome(accept).replace("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions: x\r\nX").into(),
        &["extension that was not offered"],
    );
    refused(|_| "HTTP/1.1 101 Switching\r\n".repeat(1000).into(), &["is malformed"]);
    refused(|_| format!("HTTP/1.1 101 x\r\nX: {}", "x".repeat(10_000)).into(), &["8 KiB"]);
}

#[test]
fn something_else_than_websocket() {
    refused(|_| b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), &["not HTTP"]);
    // Alert, TLS 1.2: a fatal unexpected_message.
    refused(|_| vec![0x15, 3, 3, 0, 2, 2, 10], &["speaks TLS on this port; use wss://"]);
    let address = server(true, |_| Vec::new());
    run(address, "").ends(4, &["ended within the", "speaks something else on this port"]).within(10 * SECOND);
}

/// What speaks MQTT alone hangs up on a GET.
#[test]
fn plain_mqtt_on_the_port() {
    let broker = Broker::start(|_| Act::Honest);
    run(broker.address, "").ends(4, &["ended within the"]).within(10 * SECOND);
}

#[test]
fn an_answer_that_never_comes() {
    let address = server(false, |_| b"HTTP/1.1 101 Swi".to_vec());
    let outcome = run(address, "--connect-timeout 500ms");
    outcome.ends(4, &["no end of the handshake within 500 ms (--connect-timeout)"]).within(10 * SECOND);
}

#[test]
fn hostile_frames_by_name() {
    for (frame, said) in [
        (&[0x82, 0x81, 1, 2, 3, 4, 5][..], "the broker masked a frame"),
        (b"\x81\x05hello", "the broker sent text"),
        (&[0xc2, 0x01, 0], "turn compression off"),
        (&[0x83, 0x00], "reserved opcode 0x3"),
        (&[0x09, 0x00], "a control frame is fragmented"),
        (&[0x89, 0x7e, 0, 126], "more than 125 bytes"),
        (&[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], "2^63"),
        (&[0x80, 0x00], "not begun"),
        (&[0x02, 0x00, 0x82, 0x00], "before the fragmented one is over"),
        (&[0x88, 0x02, 0x03, 0xf0], "closed with code 1008 (policy violation"),
        (&[0x88, 0x02, 0x03, 0xec], "1004, which must not be sent"),
    ] {
        refused(move |accept| [welcome(accept).as_bytes(), frame].concat(), &[said]);
    }
}

/// A broker that takes the CONNECT and says close in order is a broker that closed the connection.
#[test]
fn a_close_before_connack() {
    refused(|accept| [welcome(accept).as_bytes(), &[0x88, 0x02, 0x03, 0xe8]].concat(), &["closed"]);
}

/// What MQTT refuses is refused by its name, in whatever frames it comes.
#[test]
fn a_refusal_of_mqtt_in_fragments() {
    let mut connack = Vec::new();
    wire::encode_connack(ConnAck::from(ConnectCode::NotAuthorized), &mut connack);
    let [one, two, three, four] = connack[..] else { panic!("a CONNACK has four bytes") };
    let frames = [0x02, 1, one, 0x89, 0, 0x00, 2, two, three, 0x80, 1, four];
    refused(move |accept| [welcome(accept).as_bytes(), &frames].concat(), &["not authorized", "CONNACK 5"]);
}
