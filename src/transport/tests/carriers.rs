//! TLS, WebSocket, and one over the other, behind the same channel.

use super::*;
use crate::transport::websocket;

fn upgrade() -> Vec<Upgrade> {
    vec![Upgrade::new("localhost", "/mqtt", &[])]
}

/// Both ends of TLS 1.2 and 1.3,
fn tls() -> [(Dialer, Acceptor); 2] {
    [Versions::V12, Versions::V13].map(|versions| {
        let (acceptor, roots) = server(versions);
        (dialer(&settings(roots), "localhost"), acceptor)
    })
}

/// and of WebSocket over nothing, and over TLS.
fn carriers() -> [(Dialer, Acceptor); 2] {
    let [_, (over_tls, acceptor)] = tls();
    [
        (Dialer::default().with_websocket(upgrade(), 7), Acceptor::default().with_websocket()),
        (over_tls.with_websocket(upgrade(), 7), acceptor.with_websocket()),
    ]
}

#[test]
fn what_one_end_says_the_other_hears_whatever_the_pieces_are() {
    let all =
        tls().into_iter().map(|ends| (ends, false)).chain(carriers().into_iter().map(|ends| (ends, true)));
    for ((dialer, acceptor), echoes) in all {
        for most in [1, 2, 3, 7, 64, 1000, usize::MAX] {
            let (mut client, mut server) = pair(&dialer, &acceptor, &mut Keepsake::default());
            assert_eq!(client.channel.agreed(), None);
            settle(&mut client, &mut server, most).unwrap();
            assert_eq!(
                (client.channel.agreed(), server.channel.agreed()),
                (Some(Agreed::Full), Some(Agreed::Full))
            );
            client.say(b"CONNECT", &mut server);
            server.say(b"CONNACK", &mut client);
            client.say(&[8; 70_000], &mut server);
            settle(&mut client, &mut server, most).unwrap();
            assert_eq!((&server.told[..7], server.told.len()), (&b"CONNECT"[..], 70_007));
            assert_eq!(client.told, b"CONNACK");
            assert!(client.held.is_empty() && server.held.is_empty());
            client.channel.close(&mut server.arriving);
            settle(&mut client, &mut server, most).unwrap();
            // The end of a WebSocket is answered by its like (RFC 6455, 5.5.1), that of TLS need not be.
            assert_eq!((server.channel.is_closed(), client.channel.is_closed()), (true, echoes));
        }
    }
}

/// Each client draws its own, and the same seed gives the same bytes.
#[test]
fn clients_say_the_same_in_different_masks() {
    let said = |seed, client| {
        let dialer = Dialer::default().with_websocket(upgrade(), seed);
        let acceptor = Acceptor::default().with_websocket();
        let mut one = Side::new(dialer.channel(0, client, &mut Keepsake::default()).unwrap());
        let mut server = Side::new(acceptor.channel().unwrap());
        one.channel.start(&mut server.arriving).unwrap();
        let get = server.arriving.clone();
        settle(&mut one, &mut server, usize::MAX).unwrap();
        one.say(b"CONNECT", &mut server);
        (get, server.arriving.clone())
    };
    assert_eq!(said(1, 1), said(1, 1));
    for (seed, client) in [(1, 2), (2, 1)] {
        let (get, frame) = said(seed, client);
        assert!(get != said(1, 1).0 && frame != said(1, 1).1, "{seed}, {client}");
    }
}

#[test]
fn trouble_of_both_layers_has_its_name() {
    let [(_, plain), (over_tls, acceptor)] = carriers();
    // TLS at a port for WebSocket without it.
    let (mut client, mut server) = pair(&over_tls, &plain, &mut Keepsake::default());
    let refused = (false, Trouble::WebSocket(websocket::Trouble::Tls));
    assert_eq!(settle(&mut client, &mut server, usize::MAX), Err(refused));
    assert_eq!(client.channel.ended(), Trouble::Ended);
    // MQTT over TLS where WebSocket is spoken.
    let tls_alone = Dialer { websocket: None, ..over_tls };
    let (mut client, mut server) = pair(&tls_alone, &acceptor, &mut Keepsake::default());
    settle(&mut client, &mut server, usize::MAX).unwrap();
    assert_eq!((client.channel.agreed(), server.channel.agreed()), (Some(Agreed::Full), None));
    assert_eq!(server.channel.ended(), Trouble::WebSocket(websocket::Trouble::NoAnswer));
    client.say(b"\x10\x0c\x00\x04MQTT", &mut server);
    let refused = (false, Trouble::WebSocket(websocket::Trouble::NoHttp));
    assert_eq!(settle(&mut client, &mut server, usize::MAX), Err(refused));
}

/// A frame is a stream, so the part of it that has gone was said; of a record only the whole.
#[test]
fn what_is_unsent_of_a_frame_is_what_it_says() {
    let [(dialer, acceptor), (over_tls, tls_acceptor)] = carriers();
    let (mut client, mut server) = pair(&dialer, &acceptor, &mut Keepsake::default());
    settle(&mut client, &mut server, usize::MAX).unwrap();
    client.say(&[1; 1000], &mut server);
    let wire = server.arriving.len();
    assert_eq!(wire, 1008);
    for (unsent, said) in [(0, 0), (1, 1), (999, 999), (1000, 1000), (1008, 1000)] {
        assert_eq!(client.channel.unsent(1000, wire, unsent), said, "{unsent}");
    }
    let (mut client, mut server) = pair(&over_tls, &tls_acceptor, &mut Keepsake::default());
    settle(&mut client, &mut server, usize::MAX).unwrap();
    client.say(&[1; 1000], &mut server);
    for (unsent, said) in [(0, 0), (1, 1000), (1030, 1000)] {
        assert_eq!(client.channel.unsent(1000, server.arriving.len(), unsent), said, "{unsent}");
    }
}

#[test]
fn an_idle_websocket_is_small() {
    assert!(size_of::<Option<Channel>>() <= 32, "{} bytes", size_of::<Option<Channel>>());
    assert!(size_of::<Option<Trouble>>() <= 4, "{} bytes", size_of::<Option<Trouble>>());
}
