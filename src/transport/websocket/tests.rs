mod handshake;
mod hostile;
mod literal;
mod mutations;
mod oracle;
mod properties;

use super::*;
use crate::seed::Purpose;

const GET: &str = "GET /mqtt HTTP/1.1\r\nHost: broker.lab:8083\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A client that sends the key of RFC 6455, 1.3, "the sample nonce".
fn client() -> WebSocket {
    let upgrade = Arc::new(Upgrade::new("broker.lab:8083", "/mqtt", &[]));
    let key = upgrade::Key::of(*b"the sample nonce");
    let masks = Draw::of(1, Purpose::named("test"), 0, 0);
    WebSocket { asked: Some(Box::new((upgrade, key))), ..WebSocket::new(Role::Client, masks) }
}

/// What comes of a stream of bytes.
type Heard = (Result<(), Trouble>, Vec<u8>, Vec<u8>);

/// What `socket` makes of the bytes of `pieces`: what they say, and the answers. What it leaves is given again.
fn feed<'a>(socket: &mut WebSocket, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    let (mut plain, mut out, mut wire) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        wire.extend_from_slice(piece);
        match socket.receive(&wire, &mut plain, &mut out) {
            Ok(used) => drop(wire.drain(..used)),
            Err(trouble) => return (Err(trouble), plain, out),
        }
        assert!(wire.len() < if socket.is_established() { 139 } else { upgrade::LONGEST });
    }
    (Ok(()), plain, out)
}

fn receive(socket: &mut WebSocket, wire: &[u8]) -> Heard {
    feed(socket, [wire])
}

fn open_client() -> WebSocket {
    let mut client = client();
    assert_eq!(receive(&mut client, ANSWER.as_bytes()), (Ok(()), vec![], vec![]));
    assert!(client.is_established());
    client
}

fn open_server() -> WebSocket {
    let mut server = WebSocket::server();
    assert_eq!(receive(&mut server, GET.as_bytes()), (Ok(()), vec![], ANSWER.as_bytes().to_vec()));
    assert!(server.is_established());
    server
}

fn seal(socket: &mut WebSocket, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    socket.seal(plain, &mut out);
    out
}

/// A frame as a client writes it, with the mask of RFC 6455, 5.7.
fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(opcode, payload, Some([0x37, 0xfa, 0x21, 0x3d]), &mut out);
    out
}

fn unmasked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(opcode, payload, None, &mut out);
    out
}

#[test]
fn an_idle_end_is_small_and_owns_no_heap() {
    assert!(size_of::<WebSocket>() <= 32, "{} bytes", size_of::<WebSocket>());
    assert!(size_of::<Option<WebSocket>>() == size_of::<WebSocket>());
    assert!(open_client().asked.is_none() && open_server().asked.is_none(), "the upgrade is forgotten");
}
