//! The bytes that RFC 6455 prints.

use super::*;

#[test]
fn the_handshake_of_section_1_3() {
    let (mut client, mut get) = (client(), Vec::new());
    client.start(&mut get);
    assert_eq!(str::from_utf8(&get).unwrap(), GET);
    let (result, plain, answer) = receive(&mut WebSocket::server(), &get);
    assert_eq!((result, plain.as_slice()), (Ok(()), &b""[..]));
    assert_eq!(str::from_utf8(&answer).unwrap(), ANSWER);
    assert_eq!(receive(&mut client, &answer), (Ok(()), vec![], vec![]));
}

/// Section 5.7 has text; here its bytes are binary.
#[test]
fn the_frames_of_section_5_7() {
    let whole = [0x82, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(receive(&mut open_client(), &whole), (Ok(()), b"Hello".to_vec(), vec![]));
    assert_eq!(seal(&mut open_server(), b"Hello"), whole);

    let hidden = [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(receive(&mut open_server(), &hidden), (Ok(()), b"Hello".to_vec(), vec![]));
    assert_eq!(masked(Opcode::Binary, b"Hello"), hidden);

    let parts = [0x02, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(receive(&mut open_client(), &parts), (Ok(()), b"Hello".to_vec(), vec![]));

    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let (result, plain, out) = receive(&mut open_client(), &ping);
    assert_eq!((result, plain), (Ok(()), vec![]));
    assert_eq!(out[..2], pong[..2]);
    let mut payload = Vec::new();
    frame::mask(&out[6..], *out[2..].first_chunk().unwrap(), &mut payload);
    assert_eq!(payload, b"Hello");
    assert_eq!(receive(&mut open_server(), &pong), (Ok(()), vec![], vec![]));

    let medium = seal(&mut open_server(), &[7; 256]);
    assert_eq!((&medium[..4], medium.len()), (&[0x82, 0x7e, 0x01, 0x00][..], 260));
    let long = seal(&mut open_server(), &[7; 65_536]);
    assert_eq!(long[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(receive(&mut open_client(), &long).1, [7; 65_536]);
}

#[test]
fn each_frame_of_a_client_has_a_mask_of_its_own() {
    let mut client = open_client();
    let masks: Vec<_> = (0..100).map(|_| seal(&mut client, b"x")[2..6].to_vec()).collect();
    let different: std::collections::BTreeSet<_> = masks.iter().collect();
    assert_eq!(different.len(), 100);
    let again = seal(&mut open_client(), b"x");
    assert_eq!(again[2..6], masks[0], "the same seed, the same bytes");
}

#[test]
fn overhead_is_what_sealing_adds() {
    for length in [1, 125, 126, 127, 65_535, 65_536] {
        for mut socket in [open_client(), open_server()] {
            let overhead = socket.overhead(length);
            assert_eq!(seal(&mut socket, &vec![1; length]).len() - length, overhead, "{length}");
        }
    }
    assert_eq!(seal(&mut open_client(), b""), b"", "nothing is no frame");
}

/// Of the pings that come at once the last is answered, as 5.5.3 lets us: there is no end to what a peer could ask for.
#[test]
fn of_many_pings_the_last_is_answered() {
    let wire =
        [unmasked(Opcode::Ping, b"one"), unmasked(Opcode::Binary, b"two"), unmasked(Opcode::Ping, &[3; 125])];
    let mut client = open_client();
    let mut out = b"before".to_vec();
    let mut plain = Vec::new();
    client.receive(&wire.concat(), &mut plain, &mut out).unwrap();
    assert_eq!((plain.as_slice(), &out[..6]), (&b"two"[..], &b"before"[..]));
    let (result, _, _) = receive(&mut open_server(), &out[6..]);
    assert_eq!((result, out.len()), (Ok(()), 6 + 6 + 125));
}

#[test]
fn either_side_says_close_and_hears_it_again() {
    let (mut client, mut server) = (open_client(), open_server());
    let mut close = Vec::new();
    client.close(&mut close);
    client.close(&mut close);
    assert_eq!(close.len(), 8, "said once");
    assert!(!client.is_closed());
    assert_eq!(seal(&mut client, b"late"), b"", "nothing goes out after it");
    let (result, plain, answer) = receive(&mut server, &close);
    assert_eq!((result, plain, answer.as_slice()), (Ok(()), vec![], &[0x88, 2, 0x03, 0xe8][..]));
    assert!(server.is_closed());
    assert_eq!(seal(&mut server, b"late"), b"");
    let late = [&unmasked(Opcode::Binary, b"on its way")[..], &answer, b"never read"].concat();
    assert_eq!(receive(&mut client, &late), (Ok(()), b"on its way".to_vec(), vec![]));
    assert!(client.is_closed());
}

#[test]
fn a_close_without_a_reason_is_an_end() {
    for (close, answer) in [(&[][..], vec![0x88, 0]), (b"\x03\xe9bye", vec![0x88, 2, 0x03, 0xe9])] {
        let mut server = open_server();
        assert_eq!(receive(&mut server, &masked(Opcode::Close, close)), (Ok(()), vec![], answer));
        assert!(server.is_closed());
    }
}

/// What says close because of what it received tells what it did not like.
#[test]
fn a_close_with_a_reason_is_told() {
    let mut client = open_client();
    let (result, _, answer) = receive(&mut client, &unmasked(Opcode::Close, b"\x03\xf1too long"));
    assert_eq!((result, answer.len()), (Err(Trouble::Closed(1009)), 8));
    assert!(client.is_closed());
    let text = Trouble::Closed(1009).to_string();
    assert!(text.contains("1009") && text.contains("too big") && text.contains("smaller"), "{text}");
}
