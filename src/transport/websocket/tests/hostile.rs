//! Frames that nobody may send: each has a name, at any split.

use super::*;

/// What comes of `wire`, a byte at a time; it is the same as all at once.
fn trouble(open: fn() -> WebSocket, wire: &[u8]) -> Result<(), Trouble> {
    let (at_once, plain, out) = receive(&mut open(), wire);
    let mut socket = open();
    let (result, bytes, answers) = feed(&mut socket, wire.chunks(1));
    assert_eq!((result, bytes, answers), (at_once, plain, out), "{wire:02x?}");
    assert_eq!(socket.is_closed(), result.is_err(), "{wire:02x?}");
    result
}

#[test]
fn each_hostile_frame_has_a_name() {
    for (wire, named) in [
        (&[0x82, 0x81, 1, 2, 3, 4, 5][..], Trouble::Masked),
        (&[0x81, 0x01, b'x'], Trouble::Text),
        (&[0x01, 0x01, b'x'], Trouble::Text),
        (&[0xc2, 0x01, b'x'], Trouble::ReservedBits),
        (&[0xa2, 0x01, b'x'], Trouble::ReservedBits),
        (&[0x92, 0x01, b'x'], Trouble::ReservedBits),
        (&[0x83, 0x00], Trouble::Opcode(3)),
        (&[0x87, 0x00], Trouble::Opcode(7)),
        (&[0x8b, 0x00], Trouble::Opcode(11)),
        (&[0x8f, 0x00], Trouble::Opcode(15)),
        (&[0x09, 0x00], Trouble::FragmentedControl),
        (&[0x0a, 0x00], Trouble::FragmentedControl),
        (&[0x08, 0x00], Trouble::FragmentedControl),
        (&[0x89, 0x7e, 0, 126], Trouble::LongControl),
        (&[0x88, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], Trouble::LongControl),
        (&[0x82, 0x7e, 0, 125], Trouble::Length),
        (&[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Trouble::Length),
        (&[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], Trouble::Length),
        (&[0x80, 0x01, b'x'], Trouble::Continuation),
        (&[0x82, 0x01, b'x', 0x00, 0x01, b'x'], Trouble::Continuation),
        (&[0x02, 0x01, b'x', 0x82, 0x01, b'x'], Trouble::Interleaved),
        (&[0x02, 0x01, b'x', 0x00, 0x00, 0x02, 0x01, b'x'], Trouble::Interleaved),
        (&[0x88, 0x01, 0x03], Trouble::CloseCode(0)),
        (&[0x88, 0x02, 0x03, 0xe7], Trouble::CloseCode(999)),
        (&[0x88, 0x02, 0x03, 0xec], Trouble::CloseCode(1004)),
        (&[0x88, 0x02, 0x03, 0xee], Trouble::CloseCode(1006)),
        (&[0x88, 0x02, 0x03, 0xf7], Trouble::CloseCode(1015)),
        (&[0x88, 0x02, 0x0b, 0xb7], Trouble::CloseCode(2999)),
        (&[0x88, 0x02, 0x13, 0x88], Trouble::CloseCode(5000)),
        (&[0x88, 0x02, 0x03, 0xea], Trouble::Closed(1002)),
        (&[0x88, 0x02, 0x13, 0x87], Trouble::Closed(4999)),
        (b"\x15\x03\x03\x00\x02\x02\x0a", Trouble::ReservedBits),
    ] {
        assert_eq!(trouble(open_client, wire), Err(named), "{wire:02x?}");
    }
    assert_eq!(trouble(open_server, &[0x82, 0x01, b'x']), Err(Trouble::Unmasked));
    assert_eq!(trouble(open_server, &[0x88, 0x00]), Err(Trouble::Unmasked));
}

/// What came before it counts, the peer hears why, and nothing after it is looked at.
#[test]
fn a_hostile_frame_is_the_last() {
    let wire = [&unmasked(Opcode::Binary, b"good")[..], &[0x81, 0x00]].concat();
    let mut client = open_client();
    let (result, plain, out) = receive(&mut client, &wire);
    assert_eq!((result, plain.as_slice()), (Err(Trouble::Text), &b"good"[..]));
    let (told, _, _) = receive(&mut open_server(), &out);
    assert_eq!(told, Err(Trouble::Closed(1003)));
    let more = unmasked(Opcode::Binary, b"more");
    assert_eq!(receive(&mut client, &more), (Ok(()), vec![], vec![]));
    assert_eq!(seal(&mut client, b"answer"), b"");
}

/// A frame is a stream: one that never ends is no memory.
#[test]
fn the_longest_frame_is_no_memory() {
    let mut client = open_client();
    let head = [0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(receive(&mut client, &head), (Ok(()), vec![], vec![]));
    for _ in 0..3 {
        assert_eq!(receive(&mut client, &[5; 100]), (Ok(()), vec![5; 100], vec![]));
    }
}

#[test]
fn every_text_says_what_it_was() {
    for (trouble, part) in [
        (Trouble::Status(404), "--host ws://host:port/path"),
        (Trouble::Status(401), "--ws-header"),
        (Trouble::Status(302), "elsewhere"),
        (Trouble::Status(503), "--connect-rate"),
        (Trouble::Status(500), "log"),
        (Trouble::Status(200), "not 101"),
        (Trouble::Tls, "wss://"),
        (Trouble::Closed(1008), "policy"),
        (Trouble::Closed(4000), "4000"),
        (Trouble::Opcode(11), "0xb"),
    ] {
        let text = trouble.to_string();
        assert!(text.contains(part), "{text}");
    }
}
