//! `tungstenite` at the other end, both ways.

use super::*;
use std::io::{self, Read, Write};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::{Role as Theirs, WebSocketConfig};
use tungstenite::{Message, WebSocket as Oracle};

/// A connection in memory: what it reads was put there, and it tells what it wrote.
#[derive(Default)]
struct Memory {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // Few at a time, so that it sees parts.
        let some = self.incoming.len().min(buffer.len()).min(7);
        buffer[..some].copy_from_slice(&self.incoming[..some]);
        self.incoming.drain(..some);
        Ok(some)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn oracle(role: Theirs) -> Oracle<Memory> {
    Oracle::from_raw_socket(Memory::default(), role, Some(WebSocketConfig::default()))
}

/// Takes what the other end wrote.
fn written(oracle: &mut Oracle<Memory>) -> Vec<u8> {
    std::mem::take(&mut oracle.get_mut().outgoing)
}

fn sizes() -> impl Iterator<Item = Vec<u8>> {
    [1, 2, 124, 125, 126, 127, 128, 1000, 65_535, 65_536, 70_001]
        .into_iter()
        .map(|length| (0..length).map(|at| (at * 7 % 251) as u8).collect())
}

fn both_ways(mut ours: WebSocket, mut theirs: Oracle<Memory>) {
    for payload in sizes() {
        let wire = seal(&mut ours, &payload);
        theirs.get_mut().incoming.extend(wire);
        assert_eq!(theirs.read().unwrap(), Message::binary(payload.clone()));
        theirs.send(Message::binary(payload.clone())).unwrap();
        assert_eq!(receive(&mut ours, &written(&mut theirs)), (Ok(()), payload, vec![]));
    }
    theirs.send(Message::Ping(b"there?"[..].into())).unwrap();
    let (result, plain, pong) = receive(&mut ours, &written(&mut theirs));
    assert_eq!((result, plain), (Ok(()), vec![]));
    theirs.get_mut().incoming.extend(pong);
    assert_eq!(theirs.read().unwrap(), Message::Pong(b"there?"[..].into()));
    let mut close = Vec::new();
    ours.close(&mut close);
    theirs.get_mut().incoming.extend(close);
    let Message::Close(Some(reason)) = theirs.read().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(reason.code), 1000);
    theirs.flush().unwrap_or_default();
    assert_eq!(receive(&mut ours, &written(&mut theirs)), (Ok(()), vec![], vec![]));
    assert!(ours.is_closed());
}

#[test]
fn frames_of_a_client_and_of_a_server() {
    both_ways(open_client(), oracle(Theirs::Server));
    both_ways(open_server(), oracle(Theirs::Client));
}

#[test]
fn its_server_takes_our_request() {
    let (mut ours, mut get) = (client(), Vec::new());
    ours.start(&mut get);
    let memory = Memory { incoming: get, ..Memory::default() };
    #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    let choose = |request: &Request, mut response: Response| {
        assert_eq!(request.uri().path(), "/mqtt");
        assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "mqtt");
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
        Ok(response)
    };
    let mut theirs = tungstenite::accept_hdr(memory, choose).expect("a handshake");
    assert_eq!(receive(&mut ours, &written(&mut theirs)), (Ok(()), vec![], vec![]));
    both_ways(ours, theirs);
}

#[test]
fn its_client_takes_our_answer() {
    use tungstenite::client::IntoClientRequest;
    use tungstenite::handshake::HandshakeError;
    let mut request = "ws://broker.lab/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
    let Err(HandshakeError::Interrupted(mut half)) = tungstenite::client(request, Memory::default()) else {
        panic!("nothing has answered yet")
    };
    let mut ours = WebSocket::server();
    let get = std::mem::take(&mut half.get_mut().get_mut().outgoing);
    let (result, _, answer) = receive(&mut ours, &get);
    assert_eq!(result, Ok(()));
    half.get_mut().get_mut().incoming = answer;
    let (theirs, response) = half.handshake().expect("a handshake");
    assert_eq!(response.status(), 101);
    both_ways(ours, theirs);
}
