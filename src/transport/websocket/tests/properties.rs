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
                    let at = wire.len();
                    socket.write(opcode, bytes, wire);
                    if i + 1 < parts.len() {
                        wire[at] &= 0x7f;
                    }
                    // Control frames may stand between fragments.
                    socket.write(Opcode::Pong, b"", wire);
                    said.extend_from_slice(bytes);
                }
            }
            Say::Ping(payload) => socket.write(Opcode::Ping, payload, wire),
            Say::Pong(payload) => socket.write(Opcode::Pong, payload, wire),
        }
    }
    said
}

/// `wire` in pieces of the lengths `cuts`, again and again.
fn pieces<'a>(mut wire: &'a [u8], cuts: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    cuts.iter().cycle().map_while(move |cut| {
        let (now, later) = wire.split_at(wire.len().min(*cut));
        wire = later;
        (!now.is_empty()).then_some(now)
    })
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
        let (result, _, mut wire) = feed(&mut server, pieces(&get, &cuts));
        prop_assert_eq!(result, Ok(()));
        // What a server says at once stands behind the head.
        let said = write(&mut server, &down, &mut wire);
        let (result, plain, answers) = feed(&mut client, pieces(&wire, &cuts));
        prop_assert_eq!((result, plain), (Ok(()), said));
        let pongs = feed(&mut server, pieces(&answers, &cuts));
        prop_assert_eq!((pongs.0, pongs.1), (Ok(()), vec![]));
        let mut wire = Vec::new();
        let said = write(&mut client, &up, &mut wire);
        let (result, plain, answers) = feed(&mut server, pieces(&wire, &cuts));
        prop_assert_eq!((result, plain), (Ok(()), said));
        prop_assert_eq!(answers.is_empty(), !up.iter().any(|say| matches!(say, Say::Ping(_))));
        prop_assert_eq!(feed(&mut client, pieces(&answers, &cuts)).0, Ok(()));
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
        let parts = feed(&mut open(), pieces(&wire, &cuts));
        prop_assert_eq!(&parts.0, &whole.0, "{:02x?}", wire);
        prop_assert_eq!(parts.1, whole.1);
    }

    #[test]
    fn masking_twice_is_nothing(plain in vec(any::<u8>(), 0..70), key: [u8; 4]) {
        let (mut masked, mut again) = (b"before".to_vec(), Vec::new());
        frame::mask(&plain, key, &mut masked);
        let slowly: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        prop_assert_eq!((&masked[..6], &masked[6..]), (&b"before"[..], &slowly[..]));
        frame::mask(&masked[6..], key, &mut again);
        prop_assert_eq!(again, plain);
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
            let three = [&wire[..first], &wire[first..second], &wire[second..]];
            let (result, plain, out) = feed(&mut server, three);
            assert_eq!(result, Ok(()));
            assert_eq!(plain, said, "cut at {first} and {second}");
            assert!(
                out.starts_with(ANSWER.as_bytes()) && out.ends_with(b"there?"),
                "cut at {first} and {second}"
            );
        }
    }
    for cut in 0..start {
        let mut server = WebSocket::server();
        let (result, plain, _) = feed(&mut server, [&wire[..cut], &wire[cut..]]);
        assert_eq!((result, plain), (Ok(()), said.clone()), "cut at {cut}");
    }
}
