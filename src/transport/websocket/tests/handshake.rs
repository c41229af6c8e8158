//! Requests and answers, whole and in parts.

use super::*;

fn answered(answer: &str) -> Result<(), Trouble> {
    let (at_once, plain, out) = receive(&mut client(), answer.as_bytes());
    assert_eq!((plain, out), (vec![], vec![]));
    let mut slow = client();
    let (result, ..) = feed(&mut slow, answer.as_bytes().chunks(1));
    assert_eq!(result, at_once, "{answer}");
    assert_eq!(slow.is_closed(), result.is_err());
    result
}

#[test]
fn an_answer_may_be_written_in_other_ways() {
    for answer in [
        ANSWER.to_owned(),
        ANSWER.replace("Upgrade: websocket", "UPGRADE:   WebSocket  "),
        ANSWER.replace("Connection: Upgrade", "connection: keep-alive,upgrade"),
        ANSWER.replace("Connection: Upgrade", "Server: x\r\nConnection: close\r\nConnection: Upgrade"),
        ANSWER.replace("Switching Protocols", ""),
        ANSWER.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions:\r\n\r\n"),
    ] {
        assert_eq!(answered(&answer), Ok(()), "{answer}");
    }
}

#[test]
fn each_wrong_answer_has_a_name() {
    let many = "X: y\r\n".repeat(65);
    let long = format!("X: {}\r\n", "y".repeat(upgrade::LONGEST));
    for (answer, named) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n".to_owned(), Trouble::Status(404)),
        ("HTTP/1.0 400 Bad Request\r\nContent-Length: 2\r\n\r\nno".to_owned(), Trouble::Status(400)),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), Trouble::Status(200)),
        ("HTTP/1.1 302 Found\r\nLocation: /ws\r\n".to_owned(), Trouble::Status(302)),
        (ANSWER.replace("s3p", "S3p"), Trouble::Accept),
        (ANSWER.replace("Sec-WebSocket-Accept", "X-Accept"), Trouble::Accept),
        (ANSWER.replace("Protocol: mqtt", "Protocol: chat"), Trouble::Subprotocol),
        (ANSWER.replace("Protocol: mqtt", "Protocol: mqtt, chat"), Trouble::Subprotocol),
        (ANSWER.replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), Trouble::Subprotocol),
        (ANSWER.replace("Upgrade: websocket\r\n", ""), Trouble::NoUpgrade),
        (ANSWER.replace("Upgrade: websocket", "Upgrade: h2c"), Trouble::NoUpgrade),
        (ANSWER.replace("Connection: Upgrade", "Connection: close"), Trouble::NoUpgrade),
        (
            ANSWER.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            Trouble::Extension,
        ),
        (ANSWER.replace("Upgrade: ", "Up grade: "), Trouble::BadHead),
        (ANSWER.replace("101", "1o1"), Trouble::BadHead),
        (ANSWER.replace("\r\n\r\n", &format!("\r\n{many}\r\n")), Trouble::LongHead),
        (ANSWER.replace("\r\n\r\n", &format!("\r\n{long}\r\n")), Trouble::LongHead),
        ("\u{20}\u{2}\0\0".to_owned(), Trouble::NoHttp),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), Trouble::NoHttp),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}F".to_owned(), Trouble::Tls),
        ("\u{15}\0".to_owned(), Trouble::NoHttp),
    ] {
        assert_eq!(answered(&answer), Err(named), "{answer}");
    }
}

/// What a server refuses it answers, but for what is no HTTP.
#[test]
fn each_wrong_request_is_answered_and_named() {
    let (bad, other) = ("HTTP/1.1 400 ", "HTTP/1.1 426 ");
    for (get, named, answer) in [
        (GET.replace("GET", "PUT"), Trouble::NoHttp, ""),
        ("\u{10}\u{c}\0\u{4}MQTT".to_owned(), Trouble::NoHttp, ""),
        ("\u{16}\u{3}\u{1}".to_owned(), Trouble::Tls, ""),
        (GET.replace("HTTP/1.1", "HTTP/x"), Trouble::BadHead, bad),
        (GET.replace("Upgrade: websocket\r\n", ""), Trouble::NoUpgrade, bad),
        (GET.replace("Connection: Upgrade\r\n", ""), Trouble::NoUpgrade, bad),
        (GET.replace(": 13", ": 8"), Trouble::Version, other),
        (GET.replace("dGhl", ""), Trouble::Key, bad),
        (GET.replace("dGhl", "dGh*"), Trouble::Key, bad),
        (GET.replace("Sec-WebSocket-Key", "X-Key"), Trouble::Key, bad),
        (GET.replace("Protocol: mqtt", "Protocol: chat"), Trouble::Subprotocol, bad),
        (GET.replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), Trouble::Subprotocol, bad),
        (GET.replace("\r\n\r\n", &format!("\r\n{}\r\n", "X: y\r\n".repeat(70))), Trouble::LongHead, bad),
    ] {
        let mut server = WebSocket::server();
        let (result, plain, out) = receive(&mut server, get.as_bytes());
        assert_eq!((result, plain), (Err(named), vec![]), "{get}");
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with(answer) && out.is_empty() == answer.is_empty(), "{get}: {out}");
        assert!(server.is_closed());
    }
    let several = GET.replace("Protocol: mqtt", "Protocol: mqttv3.1, mqtt");
    assert_eq!(receive(&mut WebSocket::server(), several.as_bytes()).0, Ok(()));
}

#[test]
fn headers_stand_in_the_request() {
    let headers =
        ["Authorization: Bearer a:b", "X-Empty:", "host: front.lab"].map(|text| text.parse().unwrap());
    let upgrade = Arc::new(Upgrade::new("broker.lab", "/a?b=c", &headers));
    let mut get = Vec::new();
    WebSocket::client(&upgrade, Draw::of(1, Purpose::named("test"), 0, 0)).start(&mut get);
    let get = String::from_utf8(get).unwrap();
    assert!(get.starts_with("GET /a?b=c HTTP/1.1\r\nUpgrade"), "{get}");
    for line in ["Authorization: Bearer a:b", "X-Empty: ", "host: front.lab"] {
        assert!(get.contains(&format!("\r\n{line}\r\n")), "{get}");
    }
    assert_eq!(receive(&mut WebSocket::server(), get.as_bytes()).0, Ok(()));
}

#[test]
fn senseless_headers_are_refused() {
    for (text, part) in [
        ("Authorization", "`Name: value`"),
        (": x", "`Name: value`"),
        ("A B: x", "`Name: value`"),
        ("Å: x", "`Name: value`"),
        ("X: a\r\nY: b", "`X`"),
        ("X: \u{0}", "`X`"),
        ("upgrade: h2c", "`upgrade`"),
        ("Sec-WebSocket-Protocol: mqttv3.1", "`Sec-WebSocket-Protocol`"),
    ] {
        let error = text.parse::<Header>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let header: Header = "Authorization: Bearer secret".parse().unwrap();
    assert_eq!(format!("{header:?}"), "Header { name: \"Authorization\", .. }");
    let error = "Bearer secret".parse::<Header>().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}
