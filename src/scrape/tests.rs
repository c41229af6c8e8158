//! Texts that are read, and looks that are gathered.

use super::account::Account;
use super::exposition::read;
use super::http::Endpoints;
use super::sys::Topics;
use super::*;
use crate::record::{Phase, SeriesSpan};
use crate::wire;
use crate::wire::Properties;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

fn selectors(names: &[&str]) -> Vec<Selector> {
    names.iter().map(|name| name.parse().unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// What is told of `name`.
fn told(text: &str, name: &str) -> Option<(f64, SeriesKind)> {
    read(text, &selectors(&[name]))[0].map(|told| (told.value, told.kind))
}

const TEXT: &str = r#"# HELP emqx_messages_dropped \ and what not
# TYPE emqx_messages_dropped counter
emqx_messages_dropped{node="a",reason="no \"sub\", {none}"} 3
emqx_messages_dropped{node="b",reason="queue\\full\n"} 4 1700000000000
emqx_messages_dropped_more{node="a"} 100
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1.5e+06
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 7 # {trace="x"} 0.05
took_seconds_bucket{ le = "+Inf" , } 9
took_seconds_sum 0.5
took_seconds_count	9
# TYPE sent counter
sent_total 5
untyped_total 6
broken{ 1
broken{a=1} 1
broken{a="1" 1
broken one
# TYPE odd gauge
odd NaN
odd{b="c"} 2
"#;

#[test]
fn chosen_series_are_read_and_added_up() {
    use SeriesKind::{Counter, Gauge};
    for (name, expected) in [
        ("emqx_messages_dropped", Some((7.0, Counter))),
        ("emqx_messages_dropped{node=\"a\"}", Some((3.0, Counter))),
        (r#"emqx_messages_dropped{ reason = "queue\\full\n" }"#, Some((4.0, Counter))),
        (r#"emqx_messages_dropped{reason="no \"sub\", {none}",node="a"}"#, Some((3.0, Counter))),
        ("emqx_messages_dropped{node=\"c\"}", None),
        ("emqx_messages", None),
        ("process_resident_memory_bytes", Some((1.5e6, Gauge))),
        ("took_seconds_bucket{le=\"+Inf\"}", Some((9.0, Counter))),
        ("took_seconds_bucket{le=\"0.1\"}", Some((7.0, Counter))),
        ("took_seconds_sum", Some((0.5, Counter))),
        ("took_seconds_count", Some((9.0, Counter))),
        ("took_seconds", None),
        ("sent_total", Some((5.0, Counter))),
        ("untyped_total", Some((6.0, Counter))),
        ("broken", None),
        ("odd", None),
        ("odd{b=\"c\"}", Some((2.0, Gauge))),
    ] {
        assert_eq!(told(TEXT, name), expected, "{name}");
    }
    let lines = TEXT.replace('\n', "\r\n");
    assert_eq!(told(&lines, "sent_total"), Some((5.0, Counter)), "as some write them");
}

#[test]
fn selectors_are_the_same_again_as_text() {
    for (typed, printed) in [
        ("up", "up"),
        (" a:b ", "a:b"),
        ("x{}", "x"),
        ("x{b=\"2\",a=\"1\"}", "x{a=\"1\",b=\"2\"}"),
        (r#"x{a="\\ \" \n"}"#, r#"x{a="\\ \" \n"}"#),
        ("$SYS/broker/heap/current size", "error"),
        ("$SYS/broker/messages/sent", "$SYS/broker/messages/sent"),
        ("", "error"),
        ("9a", "error"),
        ("a-b", "error"),
        ("a{b=c}", "error"),
        ("a{b=\"c\"", "error"),
        ("a{b=\"c\"} 1", "error"),
    ] {
        let found = typed.parse::<Selector>().map_or("error".to_owned(), |selector| selector.to_string());
        assert_eq!(found, printed, "{typed}");
    }
}

proptest::proptest! {
    /// What Prometheus's own library writes is read, whatever is in its labels.
    #[test]
    fn what_a_library_writes_is_read(values in proptest::collection::btree_map("\\PC{0,9}", 0u64..1 << 40, 1..5)) {
        use prometheus_client::{encoding::text, metrics::{counter::Counter, family::Family}, registry::Registry};
        let family = Family::<[(String, String); 1], Counter>::default();
        for (label, value) in &values {
            family.get_or_create(&[("label".to_owned(), label.clone())]).inc_by(*value);
        }
        let mut registry = Registry::default();
        registry.register("some", "Help.", family.clone());
        let mut written = String::new();
        text::encode(&mut written, &registry).expect("a string");
        for (label, value) in &values {
            let quoted = label.replace('\\', "\\\\").replace('"', "\\\"");
            let found = told(&written, &format!("some_total{{label=\"{quoted}\"}}"));
            proptest::prop_assert_eq!(found, Some((*value as f64, SeriesKind::Counter)), "{}", written);
        }
        let sum: u64 = values.values().sum();
        proptest::prop_assert_eq!(told(&written, "some_total"), Some((sum as f64, SeriesKind::Counter)));
    }

    #[test]
    fn no_text_is_too_odd(text in "(x|\\{|\\}|=|\"|\\\\|,| |\n|#|1|\\PC){0,60}") {
        let _ = read(&text, &selectors(&["x", "x{x=\"1\"}"]));
        let _ = text.parse::<Selector>();
    }
}

fn look(value: Option<f64>) -> Look {
    let told = value.map(|value| Told { value, kind: SeriesKind::Counter });
    let error = value.is_none().then(|| "down".to_owned());
    Look { values: vec![told], error }
}

/// First, last, least, mean and most.
fn figures(span: &SeriesSpan) -> [Option<f64>; 5] {
    [span.first, span.last, span.least, span.mean, span.most]
}

#[test]
fn a_phase_begins_and_ends_with_a_look() {
    let mut account = Account::new(1);
    account.add(0, look(Some(1.0)));
    account.enter(Phase::Connect);
    account.add(1, look(Some(2.0)));
    account.add(1, look(Some(6.0)));
    // Two phases have begun before anybody looked.
    account.enter(Phase::Subscribe);
    account.enter(Phase::Measure);
    account.add(1, look(Some(7.0)));
    account.add(3, look(Some(8.0)));
    account.enter(Phase::Drain);
    account.add(4, look(None));
    account.add(4, look(Some(9.0)));
    assert_eq!((account.before[0], account.latest[0]), (Some(1.0), Some(9.0)));
    assert_eq!((account.looks, account.failures, account.error.as_deref()), (7, 1, Some("down")));
    let spans = account.take().remove(0);
    let all: Vec<_> = spans.iter().map(|span| (span.phase, figures(span))).collect();
    let [some, none] = [|value: f64| Some(value), |_| None];
    assert_eq!(
        all,
        [
            (Phase::Connect, [some(2.0), some(8.0), some(2.0), some(5.75), some(8.0)]),
            (Phase::Subscribe, [some(8.0); 5]),
            (Phase::Measure, [some(8.0), none(0.0), some(8.0), some(8.0), some(8.0)]),
            (Phase::Drain, [none(0.0), none(0.0), some(9.0), some(9.0), some(9.0)]),
        ]
    );
    assert_eq!((spans[0].rise(), spans[2].rise()), (Some(6.0), None));
    // The next part of a run has phases of its own; what comes late is of none of them.
    account.enter(Phase::Measure);
    account.add(4, look(Some(10.0)));
    account.add(5, look(Some(11.0)));
    account.begun += 1;
    account.add(6, look(Some(13.0)));
    let spans = account.take().remove(0);
    assert_eq!(spans.len(), 1);
    assert_eq!(figures(&spans[0]), [Some(11.0), Some(13.0), Some(11.0), Some(12.0), Some(13.0)]);
}

/// Tells how often it was looked at.
struct Counting(Arc<Mutex<f64>>);

impl Source for Counting {
    fn look(&mut self) -> Look {
        let mut looks = self.0.lock().unwrap();
        *looks += 1.0;
        look(Some(*looks))
    }
}

#[test]
fn a_reader_looks_where_phases_begin() {
    let looks = Arc::new(Mutex::new(0.0));
    let source = Box::new(Counting(looks.clone()));
    let patience = std::time::Duration::from_secs(60);
    let reader =
        Reader::of(source, vec!["here".to_owned()], &selectors(&["looks"]), patience).expect("a thread");
    assert!(*looks.lock().unwrap() >= 1.0, "before the run");
    reader.enter(Phase::Connect);
    reader.enter(Phase::Measure);
    let before = reader.latest()[0].1;
    while reader.latest()[0].1 == before {
        thread::yield_now();
    }
    reader.finish();
    let told = reader.tell();
    let series = &told.series[0];
    assert_eq!((series.name.as_str(), series.kind), ("looks", Some(SeriesKind::Counter)));
    let [connect, measure] = &series.phases[..] else { panic!("{series:?}") };
    assert_eq!((connect.phase, measure.phase), (Phase::Connect, Phase::Measure));
    assert_eq!(connect.last, measure.first);
    assert!(series.before < measure.first && measure.first <= measure.last, "{series:?}");
    assert_eq!(&*reader.latest()[0].0, "looks");
    drop(reader);
}

/// Answers every request with `answer`, and closes.
fn serve(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/metrics", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            // Who has heard enough does not take the rest.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

const UP: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nup 2\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nup \r\n2\r\n3\n\r\n0\r\n\r\n";
const DOWN: &str = "HTTP/1.1 503 Unavailable\r\nConnection: close\r\n\r\nup 9\n";

#[test]
fn the_nodes_of_a_cluster_are_added_up_while_all_answer() {
    let both = Endpoints::new(&[serve(UP), serve(CHUNKED)], &selectors(&["up", "other"])).look();
    assert_eq!(both.values, [Some(Told { value: 5.0, kind: SeriesKind::Gauge }), None]);
    assert_eq!(both.error, None);
    let down = serve(DOWN);
    let one = Endpoints::new(&[serve(UP), down.clone()], &selectors(&["up"])).look();
    assert_eq!(one.values, [None], "a part of the sum is none");
    let error = one.error.expect("one is down");
    assert!(error.starts_with(&down) && error.contains("503"), "{error}");
}

/// Whoever takes a connection and says nothing is given up.
#[test]
fn who_does_not_answer_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let url = format!("http://{address}/metrics");
    let silent = Endpoints::new(std::slice::from_ref(&url), &selectors(&["up"])).look();
    assert!(silent.values == [None] && silent.error.is_some(), "{silent:?}");
    drop(listener);
    let gone = Endpoints::new(&[url], &selectors(&["up"])).look();
    assert!(gone.error.is_some_and(|error| error.contains("refused")));
    let odd = Endpoints::new(&[serve("hello\r\n\r\n")], &selectors(&["up"])).look();
    assert!(odd.error.is_some(), "{odd:?}");
}

/// A broker that lets everybody in, answers SUBSCRIBE and then says `reports`, each once it has heard something again.
fn reporting(code: wire::ConnectCode, reports: &'static [&'static [(&'static str, &'static str)]]) -> Sys {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = Address::Tcp(listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut part, mut packets) = ([0; 1024], Vec::new());
        assert!(stream.read(&mut part).is_ok_and(|count| count > 0), "CONNECT and SUBSCRIBE");
        wire::encode_connack(wire::ConnAck::from(code), &mut packets);
        let granted = [wire::SubAckCode::Granted(wire::QoS::AtMostOnce); 2];
        wire::encode_suback(wire::PacketId::MIN, granted, &mut packets).expect("codes");
        for report in reports {
            for (topic, payload) in *report {
                let (dup, qos, retain, packet_id) = (false, wire::QoS::AtMostOnce, true, None);
                let publish = wire::Publish {
                    dup,
                    qos,
                    retain,
                    topic,
                    packet_id,
                    payload: payload.as_bytes(),
                    properties: Properties::NONE,
                };
                publish.encode(&mut packets).expect("a message");
            }
            stream.write_all(&std::mem::take(&mut packets)).expect("it is heard");
            assert!(stream.read(&mut part).is_ok_and(|count| count > 0), "a ping");
        }
    });
    let (client_id, protocol) = ("me-sys".to_owned(), wire::Protocol::V311);
    Sys { at, protocol, client_id, username: None, password: None }
}

const TOPICS: [&str; 2] = ["$SYS/broker/messages/received", "$SYS/broker/heap/current"];

#[test]
fn what_a_broker_publishes_of_itself_is_read() {
    let (received, heap) = (TOPICS[0], TOPICS[1]);
    static REPORTS: [&[(&str, &str)]; 2] = [
        &[(TOPICS[0], "17"), (TOPICS[1], "4096 bytes"), ("$SYS/other", "1")],
        &[(TOPICS[0], "20"), (TOPICS[1], "none")],
    ];
    let sys = reporting(wire::ConnectCode::Accepted, &REPORTS);
    let mut topics = Topics::new(&sys, &selectors(&[received, heap]));
    let told = |value, kind| Some(Told { value, kind });
    let first = topics.look();
    let expected = vec![told(17.0, SeriesKind::Counter), told(4096.0, SeriesKind::Gauge)];
    assert_eq!((first.error, first.values), (None, expected));
    // The next report comes when the broker has heard of us, which may be a look later.
    let mut look = topics.look();
    while look.error.is_none() && look.values[0] != told(20.0, SeriesKind::Counter) {
        look = topics.look();
    }
    assert_eq!(look.values, [told(20.0, SeriesKind::Counter), told(4096.0, SeriesKind::Gauge)]);
    assert_eq!(look.error, None);
}

#[test]
fn who_is_not_let_in_or_lost_has_no_topics() {
    let sys = reporting(wire::ConnectCode::NotAuthorized, &[&[]]);
    let refused = Topics::new(&sys, &selectors(&TOPICS)).look();
    assert!(
        refused.error.is_some_and(|error| error.starts_with("$SYS: it refuses"))
            && refused.values == [None; 2]
    );
    let sys = reporting(wire::ConnectCode::Accepted, &[&[(TOPICS[0], "17"), (TOPICS[1], "1")]]);
    let mut topics = Topics::new(&sys, &selectors(&TOPICS));
    assert_eq!(topics.look().error, None);
    // It ends when it has heard the first ping.
    let mut look = topics.look();
    while look.error.is_none() {
        look = topics.look();
    }
    assert_eq!(look.values, [None; 2], "what was told is not what is");
}
