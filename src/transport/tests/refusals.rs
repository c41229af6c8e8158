//! What ends a handshake, by its name.

use super::*;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

/// Why the client, or else the server, ends the handshake of these.
fn refusal(dialer: &Dialer, acceptor: &Acceptor) -> (bool, Trouble) {
    let (mut client, mut server) = pair(dialer, acceptor, &mut Keepsake::default());
    settle(&mut client, &mut server, usize::MAX).expect_err("the handshake is not to end well")
}

/// A server whose certificate was valid, or will be, in these years.
fn valid(from: i32, to: i32) -> (Acceptor, RootCertStore) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    let cert = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = CertifiedKey::from_der(vec![cert.der().clone()], key, &aws_lc_rs::default_provider()).unwrap();
    (Acceptor::new(Server::new(&Identity(Arc::new(key)), None, Versions::Both).unwrap()), roots)
}

#[test]
fn a_certificate_that_cannot_be_trusted_is_refused() {
    let (acceptor, roots) = server(Versions::Both);
    let (_, others) = server(Versions::Both);
    let at = |settings: &Settings, host: &str| refusal(&dialer(settings, host), &acceptor);
    assert_eq!(at(&settings(others), "localhost"), (true, Trouble::UnknownIssuer));
    assert_eq!(at(&settings(roots), "elsewhere"), (true, Trouble::WrongName));
    let (expired, root) = valid(2001, 2002);
    assert_eq!(refusal(&dialer(&settings(root), "localhost"), &expired), (true, Trouble::Expired));
    let (early, root) = valid(2101, 2102);
    assert_eq!(refusal(&dialer(&settings(root), "localhost"), &early), (true, Trouble::NotYetValid));
    // Who asks for nothing gets that.
    let anybody = dialer(&Settings::new(Roots::Anybody), "elsewhere");
    let (mut client, mut server) = pair(&anybody, &acceptor, &mut Keepsake::default());
    assert_eq!(settle(&mut client, &mut server, usize::MAX), Ok(()));
}

#[test]
fn a_server_that_wants_a_certificate_says_so_in_an_alert() {
    let (identity, roots) = Identity::make(vec!["localhost".into()]).unwrap();
    let (_, clients) = Identity::make(vec!["device".into()]).unwrap();
    let acceptor = Acceptor::new(Server::new(&identity, Some(clients), Versions::V13).unwrap());
    let (mut client, mut server) =
        pair(&dialer(&settings(roots), "localhost"), &acceptor, &mut Keepsake::default());
    assert_eq!(settle(&mut client, &mut server, usize::MAX), Err((false, Trouble::NoCertificate)));
    let trouble = client.step(usize::MAX, &mut server).unwrap_err();
    let text = trouble.to_string();
    assert!(text.contains("certificate_required (116)") && text.contains("--cert"), "{text}");
}

#[test]
fn what_is_no_tls_is_told_from_what_is_broken() {
    let (_, roots) = server(Versions::Both);
    let dialer = dialer(&settings(roots), "localhost");
    for (answer, trouble) in [
        // CONNACK of MQTT, an answer of HTTP, and a record that is too long.
        (&b"\x20\x02\x00\x05"[..], Trouble::NotTls),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Trouble::NotTls),
        (b"\x16\x03\x03\xff\xff\x02\x00", Trouble::OversizedRecord),
        (b"\x15\x03\x03\x00\x02\x02\x28", Trouble::Alert(rustls::AlertDescription::HandshakeFailure)),
    ] {
        let mut client = dialer.channel(0, 0, &mut Keepsake::default()).unwrap();
        client.start(&mut Vec::new()).unwrap();
        let mut wire = answer.to_vec();
        let result = client.receive(&mut wire, &mut Vec::new(), &mut Vec::new(), &mut Vec::new());
        assert_eq!(result, Err(trouble), "{answer:?}");
    }
}

#[test]
fn nothing_in_common_is_told() {
    let (acceptor, roots) = server(Versions::V12);
    let only = Settings { versions: Versions::V13, ..settings(roots) };
    let (by_client, trouble) = refusal(&dialer(&only, "localhost"), &acceptor);
    assert_eq!((by_client, trouble), (false, Trouble::Incompatible));
    let error = Client::new(&Settings { ciphers: vec!["RC4-MD5".into()], ..only }, Vec::new()).unwrap_err();
    assert!(error.to_string().contains("`RC4-MD5`") && error.to_string().contains("TLS_AES_128_GCM_SHA256"));
}

#[test]
fn a_byte_that_was_changed_is_noticed() {
    let (acceptor, roots) = server(Versions::Both);
    let (mut client, mut server) =
        pair(&dialer(&settings(roots), "localhost"), &acceptor, &mut Keepsake::default());
    settle(&mut client, &mut server, usize::MAX).unwrap();
    client.say(b"PUBLISH", &mut server);
    *server.arriving.last_mut().unwrap() ^= 1;
    assert_eq!(settle(&mut client, &mut server, usize::MAX), Err((false, Trouble::Undecryptable)));
    assert_eq!(server.told, b"");
}

#[test]
fn alerts_have_the_names_of_the_standard() {
    for (number, name) in [
        (40, "handshake_failure"),
        (48, "unknown_ca"),
        (42, "bad_certificate"),
        (116, "certificate_required"),
    ] {
        let text = Trouble::Alert(rustls::AlertDescription::from(number)).to_string();
        assert!(text.starts_with(&format!("TLS alert {name} ({number})")), "{text}");
    }
}
