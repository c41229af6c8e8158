//! What holds for all bytes, however they are cut.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// What one side says.
#[derive(Clone, Debug)]
enum Say {
    Bytes(Vec<u8>),
    Fragments(Vec<Vec<u8>>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn says() -> impl Strategy<Value = Vec<Say>> {
    let bytes = || prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 120..300), 1 => (65_530usize..65_540).prop_map(|n| vec![7; n])];
    let control = || vec(any::<u8>(), 0..=125);
    let say = prop_oneof![
        4 => bytes().prop_map(Say::Bytes),
        2 => vec(vec(any::<u8>(), 0..140), 1..4).prop_map(Say::Fragments),
        1 => control().prop_map(Say::Ping),
        1 => control().prop_map(Say::Pong),
    ];
    vec(say, 0..12)
}

/// A frame with any head, as [`frame::write`] does not write it.
fn part(opcode: Opcode, last: bool, payload: &[u8], key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let at = out.len();
    frame::write(opcode, payload, key, out);
    if !last {
        out[at] &= 0x7f;
    }
}

/// Writes all of `says` as `socket` does, where it does it. Yields what is said.
fn write(socket: &mut WebSocket, says: &[Say], wire: &mut Vec<u8>) -> Vec<u8> {
    let mut said = Vec::new();
    for say in says {
        match say {
            Say::Bytes(bytes) => {
                socket.seal(bytes, wire);
                said.extend_from_slice(bytes);
            }
            Say::Fragments(parts) => {
                for (i, bytes) in parts.iter().enumerate() {
                    let opcode = if i == 0 { Opcode::Binary } else { Opcode::Continuation };
                    part(opcode, i + 1 == parts.len(), bytes, socket.end.mask(), wire);
                    // Control frames may stand between fragments.
                    socket.control(Opcode::Pong, b"", wire);
                    said.extend_from_slice(bytes);
                }
            }
            Say::Ping(payload) => socket.control(Opcode::Ping, payload, wire),
            Say::Pong(payload) => socket.control(Opcode::Pong, payload, wire),
        }
    }
    said
}

/// Feeds `wire` in pieces of the lengths `cuts`, again and again.
fn feed(socket: &mut WebSocket, wire: &[u8], cuts: &[usize]) -> (Result<(), Trouble>, Vec<u8>, Vec<u8>) {
    let (mut plain, mut out, mut rest) = (Vec::new(), Vec::new(), wire);
    for cut in cuts.iter().cycle() {
        let (now, later) = rest.split_at(rest.len().min(*cut));
        if let Err(trouble) = socket.receive(now, &mut plain, &mut out) {
            return (Err(trouble), plain, out);
        }
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    (Ok(()), plain, out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_said_arrives_however_it_is_cut(
        seed: u64, up in says(), down in says(), cuts in vec(1usize..200, 1..8),
    ) {
        let upgrade = Arc::new(Upgrade::new("a", "/", &[]));
        let mut client = WebSocket::client(&upgrade, Draw::of(seed, Purpose::named("test"), 0, 0));
        let (mut server, mut get) = (WebSocket::server(), Vec::new());
        client.start(&mut get);
        let (result, _, mut wire) = feed(&mut server, &get, &cuts);
        prop_assert_eq!(result, Ok(()));
        // What a server says at once stands behind the head.
        let said = write(&mut server, &down, &mut wire);
        let (result, plain, answers) = feed(&mut client, &wire, &cuts);
        prop_assert_eq!((result, plain), (Ok(()), said));
        let pongs = feed(&mut server, &answers, &cuts);
        prop_assert_eq!((pongs.0, pongs.1), (Ok(()), vec![]));
        let mut wire = Vec::new();
        let said = write(&mut client, &up, &mut wire);
        let (result, plain, answers) = feed(&mut server, &wire, &cuts);
        prop_assert_eq!((result, plain), (Ok(()), said));
        prop_assert_eq!(answers.is_empty(), !up.iter().any(|say| matches!(say, Say::Ping(_))));
        prop_assert_eq!(feed(&mut client, &answers, &cuts).0, Ok(()));
        prop_assert!(client.aside.is_none() && server.aside.is_none());
    }

    #[test]
    fn any_bytes_end_in_a_name_or_not_at_all(
        wire in vec(any::<u8>(), 0..300), cuts in vec(1usize..9, 1..8), which in 0..4,
    ) {
        let open = match which {
            0 => client,
            1 => WebSocket::server,
            2 => open_client,
            _ => open_server,
        };
        let whole = receive(&mut open(), &wire);
        let parts = feed(&mut open(), &wire, &cuts);
        prop_assert_eq!(&parts.0, &whole.0, "{:02x?}", wire);
        prop_assert_eq!(parts.1, whole.1);
    }

    #[test]
    fn masking_twice_is_nothing(mut bytes in vec(any::<u8>(), 0..70), key: [u8; 4]) {
        let plain = bytes.clone();
        frame::mask(&mut bytes, key);
        let slowly: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        prop_assert_eq!(&bytes, &slowly);
        frame::mask(&mut bytes, key);
        prop_assert_eq!(bytes, plain);
    }
}

/// One frame of each kind, cut at every place and at every two.
#[test]
fn every_split_of_a_conversation_is_the_same() {
    let mut sender = open_client();
    let mut wire = GET.as_bytes().to_vec();
    let says = [
        Say::Bytes(b"first".to_vec()),
        Say::Ping(b"there?".to_vec()),
        Say::Fragments(vec![b"a".to_vec(), vec![], vec![9; 130]]),
        Say::Bytes(vec![3; 20]),
    ];
    let said = write(&mut sender, &says, &mut wire);
    let start = GET.len() - 2;
    for first in start..=wire.len() {
        for second in first..=wire.len() {
            let mut server = WebSocket::server();
            let (mut plain, mut out) = (Vec::new(), Vec::new());
            for piece in [&wire[..first], &wire[first..second], &wire[second..]] {
                server.receive(piece, &mut plain, &mut out).unwrap();
            }
            assert_eq!(plain, said, "cut at {first} and {second}");
            assert!(
                out.starts_with(ANSWER.as_bytes()) && out.ends_with(b"there?"),
                "cut at {first} and {second}"
            );
        }
    }
    for cut in 0..start {
        let mut server = WebSocket::server();
        assert_eq!(receive(&mut server, &wire[..cut]), (Ok(()), vec![], vec![]), "cut at {cut}");
        assert_eq!(receive(&mut server, &wire[cut..]).1, said, "cut at {cut}");
    }
}
