use super::*;
use crate::transport::tests::{pair, settle};
use crate::transport::{Acceptor, Channel, Dialer, Keepsake};

fn keys(clients: u32, salt: u64) -> Keys {
    let mut keys = Keys::default();
    (0..clients)
        .for_each(|i| keys.push(&format!("bee-{i}"), &format!("{:040x}", u64::from(i) ^ salt)).unwrap());
    keys
}

fn dialer(versions: Versions, keys: Keys) -> Dialer {
    Dialer::psk(Client::new(&Settings { versions, ..Settings::default() }, keys).unwrap())
}

fn acceptor(versions: Versions, keys: &Keys) -> Acceptor {
    Acceptor::psk(Server::new(&Settings { versions, ..Settings::default() }, keys).unwrap())
}

const EACH: [Versions; 2] = [Versions::V12, Versions::V13];

#[test]
fn what_one_end_says_the_other_hears_whatever_the_pieces_are() {
    for versions in EACH {
        let (dialer, acceptor) = (dialer(versions, keys(3, 0)), acceptor(Versions::Both, &keys(3, 0)));
        for most in [1, 2, 3, 7, 64, 1000, usize::MAX] {
            let (mut client, mut server) = pair(&dialer, &acceptor, &mut Keepsake::default());
            assert_eq!(client.channel.agreed(), None);
            settle(&mut client, &mut server, most).unwrap();
            let agreed = (client.channel.agreed(), server.channel.agreed());
            assert_eq!(agreed, (Some(Agreed::Full), Some(Agreed::Full)), "{versions:?} {most}");
            client.say(b"CONNECT", &mut server);
            server.say(b"CONNACK", &mut client);
            client.say(b"PUBLISH", &mut server);
            let long = vec![7; 40_000];
            server.say(&long, &mut client);
            settle(&mut client, &mut server, most).unwrap();
            assert_eq!(server.told, b"CONNECTPUBLISH");
            assert_eq!((&client.told[..7], &client.told[7..]), (&b"CONNACK"[..], &long[..]));
            client.channel.close(&mut server.arriving);
            settle(&mut client, &mut server, most).unwrap();
            assert_eq!((server.channel.is_closed(), client.channel.is_closed()), (true, false));
        }
    }
}

/// Each place in what a server answers, its last word of the handshake and the first of the application in one.
#[test]
fn the_bytes_may_be_split_anywhere() {
    for versions in EACH {
        let (dialer, acceptor) = (dialer(versions, keys(1, 0)), acceptor(versions, &keys(1, 0)));
        let mut split = 1;
        loop {
            let (mut client, mut server) = pair(&dialer, &acceptor, &mut Keepsake::default());
            server.step(usize::MAX, &mut client).unwrap();
            let length = client.arriving.len();
            client.step(split, &mut server).unwrap();
            settle(&mut client, &mut server, usize::MAX).unwrap();
            client.say(b"hello", &mut server);
            let said = server.arriving.len();
            server.step(split.min(said - 1), &mut client).unwrap();
            assert_eq!(server.told, b"", "a record is heard when it is whole");
            settle(&mut client, &mut server, usize::MAX).unwrap();
            assert_eq!(server.told, b"hello");
            split += 1;
            if split > length {
                break;
            }
        }
        assert!(split > 60, "{split} places in {versions:?}");
    }
}

/// checklist 85, in memory: one context has them all.
#[test]
fn thousands_of_clients_have_a_key_each() {
    for versions in EACH {
        let (dialer, acceptor) = (dialer(versions, keys(3000, 0)), acceptor(versions, &keys(3000, 0)));
        let mut sides = Vec::new();
        for client in 0..3000 {
            let mut channel = dialer.channel(0, client, &mut Keepsake::default()).unwrap();
            let mut wire = Vec::new();
            channel.start(&mut wire).unwrap();
            sides.push((channel, wire));
        }
        // All at once: what one has begun the next does not disturb.
        for (client, wire) in &mut sides {
            let mut server = acceptor.channel().unwrap();
            let (mut back, mut told) = (Vec::new(), Vec::new());
            while server.agreed().is_none() || client.agreed().is_none() {
                server.receive(wire, &mut told, &mut back, &mut Vec::new()).unwrap();
                client.receive(&mut back, &mut Vec::new(), wire, &mut Vec::new()).unwrap();
            }
            client.seal(b"me", wire, &mut Vec::new());
            server.receive(wire, &mut told, &mut back, &mut Vec::new()).unwrap();
            assert_eq!(told, b"me");
        }
    }
}

fn refused(versions: Versions, clients: Keys, servers: &Keys) -> String {
    let (dialer, acceptor) = (dialer(versions, clients), acceptor(versions, servers));
    let (mut client, mut server) = pair(&dialer, &acceptor, &mut Keepsake::default());
    let (_, _) = settle(&mut client, &mut server, usize::MAX).expect_err("the server does not let it in");
    // The server has sent an alert, which is on its way.
    let trouble = client.step(usize::MAX, &mut server).expect_err("an alert");
    assert_eq!(client.channel.agreed(), None);
    trouble.to_string()
}

#[test]
fn a_key_that_is_unknown_or_wrong_is_called_so() {
    let mut others = Keys::default();
    others.push("wasp", "00").unwrap();
    for versions in EACH {
        let unknown = refused(versions, keys(1, 0), &others);
        assert!(unknown.contains("does not know the client's PSK identity"), "{versions:?}: {unknown}");
        let wrong = refused(versions, keys(1, 0), &keys(1, 9));
        assert!(wrong.contains("has another key for the client's PSK identity"), "{versions:?}: {wrong}");
        for text in [unknown, wrong] {
            assert!(text.starts_with("TLS-PSK alert ") && !text.contains("bee-0"), "{text}");
        }
    }
    let means = |alert: u8| of_alert(AlertDescription::from(alert));
    for alert in [40, 115] {
        assert_eq!(means(alert), Trouble::UnknownPsk(AlertDescription::from(alert)));
    }
    for alert in [20, 47, 51] {
        assert_eq!(means(alert), Trouble::WrongPsk(AlertDescription::from(alert)));
    }
    assert_eq!(means(70), Trouble::Alert(AlertDescription::ProtocolVersion));
}

#[test]
fn a_server_that_speaks_something_else_is_called_so() {
    let dialer = dialer(Versions::Both, keys(1, 0));
    let hears = |answer: &[u8]| {
        let mut client = dialer.channel(0, 0, &mut Keepsake::default()).unwrap();
        let mut wire = Vec::new();
        client.start(&mut wire).unwrap();
        client.receive(&mut answer.to_vec(), &mut Vec::new(), &mut wire, &mut Vec::new()).expect_err("no TLS")
    };
    assert_eq!(hears(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Trouble::NotTls);
    assert_eq!(hears(&[0x20, 2, 0, 5, 0, 0, 0]), Trouble::NotTls);
    // A record of 65,535 bytes.
    assert!(matches!(hears(&[22, 3, 3, 0xff, 0xff, 0]), Trouble::OversizedRecord));
    let mut other = Settings { versions: Versions::V12, ..Settings::default() };
    other.ciphers = vec!["ECDHE-PSK-AES128-CBC-SHA256".into()];
    let server = Acceptor::psk(Server::new(&other, &keys(1, 0)).unwrap());
    other.ciphers = vec!["PSK-AES128-GCM-SHA256".into()];
    let dialer = Dialer::psk(Client::new(&other, keys(1, 0)).unwrap());
    let (mut client, mut server) = pair(&dialer, &server, &mut Keepsake::default());
    let (by_client, trouble) = settle(&mut client, &mut server, usize::MAX).expect_err("nothing in common");
    assert_eq!((by_client, trouble), (false, Trouble::Incompatible));
    other.ciphers = vec!["no-such".into()];
    let error = Client::new(&other, keys(1, 0)).unwrap_err().to_string();
    assert!(error.contains("openssl ciphers"), "{error}");
}

#[test]
fn a_broker_with_a_certificate_is_not_trusted_for_it() {
    use crate::transport::tls::{self, Identity};
    for versions in EACH {
        let (identity, _) = Identity::make(vec!["localhost".into()]).unwrap();
        let server = Acceptor::new(tls::Server::new(&identity, None, versions).unwrap());
        let mut settings = Settings { versions, ..Settings::default() };
        settings.ciphers = vec!["PSK-AES128-GCM-SHA256".into(), "ECDHE-ECDSA-AES128-GCM-SHA256".into()];
        let dialer = Dialer::psk(Client::new(&settings, keys(1, 0)).unwrap());
        let (mut client, mut server) = pair(&dialer, &server, &mut Keepsake::default());
        let (by_client, trouble) = settle(&mut client, &mut server, usize::MAX).expect_err("no key");
        assert_eq!((by_client, trouble), (true, Trouble::Certificate), "{versions:?}");
    }
}

#[test]
fn nothing_secret_is_told() {
    let mut keys = Keys::default();
    keys.push("bee-of-mine", "73656372657421").unwrap();
    let dialer = dialer(Versions::Both, keys.clone());
    let acceptor = acceptor(Versions::Both, &keys);
    let told = format!("{dialer:?} {acceptor:?} {keys:?} {:#?}", Settings::default());
    for secret in ["bee-of-mine", "73656372657421", "secret!", "115, 101, 99"] {
        assert!(!told.contains(secret), "{told}");
    }
    fn is_shared<T: Send + Sync>(_: &T) {}
    fn is_moved<T: Send>(_: &T) {}
    is_shared(&dialer);
    let channel: Channel = dialer.channel(0, 0, &mut Keepsake::default()).unwrap();
    is_moved(&channel);
}
