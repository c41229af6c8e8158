//! The reflector on real sockets: with the command line clients of Debian's `mosquitto-clients`, and with
//! plain sockets where those cannot do what is to be shown. Several workers, so that clients meet across them.

#[path = "reflector/starting.rs"]
mod starting;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use malaria_bench::reflector::{Config, Reflector, WorkerPlacement};
use malaria_bench::wire::{self, Connect, Packet, PacketId, Properties, Protocol, Publish, QoS, ReasonCode};

/// Nothing here takes this long on a machine that works.
const BOUND: Duration = Duration::from_secs(30);

const CONNECT: Connect<'_> = Connect {
    protocol: Protocol::V311,
    bridge: false,
    client_id: "",
    keep_alive: 60,
    clean_session: true,
    will: None,
    username: None,
    password: None,
    properties: Properties::NONE,
};

fn start(workers: usize) -> Reflector {
    Reflector::start(config(workers, 1000)).expect("the reflector starts")
}

fn config(workers: usize, max_connections_per_ring: u32) -> Config {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        listen,
        workers: vec![WorkerPlacement::default(); workers],
        rings_per_worker: 1,
        max_connections_per_ring,
    }
}

/// Whether the clients are installed. Where a missing one must not go unnoticed, that is a failure.
fn have_mosquitto() -> bool {
    let found = ["mosquitto_pub", "mosquitto_sub", "stdbuf"].iter().all(|program| {
        Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    });
    if !found {
        let how = "apt-get install mosquitto-clients";
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "mosquitto_pub or mosquitto_sub is missing: {how}"
        );
        eprintln!("\n*** SKIPPED: mosquitto_pub or mosquitto_sub is missing: {how} ***\n");
    }
    found
}

/// A running mosquitto_sub. Its lines: what it says about itself, and `topic|payload|qos|retain|length`.
struct Subscriber {
    child: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    fn spawn(reflector: &Reflector, arguments: &[&str]) -> Subscriber {
        let port = reflector.addr().port().to_string();
        // Line by line also into a pipe.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", &port, "-F", "%t|%p|%q|%r|%l"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub runs");
        let stdout = child.stdout.take().expect("piped");
        let (to, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Subscriber { child, lines }
    }

    /// One whose subscription the broker has acknowledged.
    fn subscribed(reflector: &Reflector, arguments: &[&str]) -> Subscriber {
        let subscriber = Subscriber::spawn(reflector, arguments);
        subscriber.wait_for(|line| line.starts_with("Subscribed"));
        subscriber
    }

    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.recv_timeout(BOUND).expect("mosquitto_sub says more");
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The next message.
    fn message(&self) -> String {
        self.wait_for(|line| line.split('|').count() == 5)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn publish(reflector: &Reflector, arguments: &[&str], input: &str) {
    let port = reflector.addr().port().to_string();
    let mut child = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port])
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn mosquitto_clients_talk_at_every_qos() {
    if !have_mosquitto() {
        return;
    }
    let reflector = start(3);
    for quality in ["0", "1", "2"] {
        let subscribers: Vec<_> = (0..4)
            .map(|_| Subscriber::subscribed(&reflector, &["-t", "a/+/c", "-t", "x/#", "-q", quality]))
            .collect();
        publish(&reflector, &["-t", "a/b/c", "-m", "hello", "-q", quality], "");
        publish(&reflector, &["-t", "x", "-m", "parent", "-q", quality], "");
        for subscriber in &subscribers {
            let mut got = [subscriber.message(), subscriber.message()];
            got.sort();
            assert_eq!(got, [format!("a/b/c|hello|{quality}|0|5"), format!("x|parent|{quality}|0|6")]);
        }
    }
    let counters = reflector.stop().expect("it ends well");
    assert_eq!(counters.messages_in, [2, 2, 2]);
    assert_eq!(counters.messages_out, [8, 8, 8]);
    assert_eq!(counters.dropped, [0; 3]);
}

#[test]
fn ten_thousand_lines_arrive_in_order() {
    if !have_mosquitto() {
        return;
    }
    let reflector = start(3);
    let lines: String = (0..10_000).map(|number| format!("line {number}\n")).collect();
    for quality in ["1", "2"] {
        let subscriber = Subscriber::subscribed(&reflector, &["-t", "lines", "-q", quality]);
        publish(&reflector, &["-t", "lines", "-l", "-q", quality], &lines);
        for number in 0..10_000 {
            let message = subscriber.message();
            assert!(message.starts_with(&format!("lines|line {number}|{quality}|0|")), "{message}");
        }
    }
}

#[test]
fn a_large_message_passes_whole() {
    if !have_mosquitto() {
        return;
    }
    let reflector = start(2);
    let port = reflector.addr().port().to_string();
    let subscriber = Subscriber::subscribed(&reflector, &["-t", "large", "-q", "2", "-F", "%t||%q|%r|%l"]);
    let payload = "x".repeat(5_000_000);
    publish(&reflector, &["-t", "large", "-s", "-q", "2"], &payload);
    assert_eq!(subscriber.message(), "large||2|0|5000000", "port {port}");
}

#[test]
fn mosquitto_sees_retained_messages() {
    if !have_mosquitto() {
        return;
    }
    let reflector = start(2);
    publish(&reflector, &["-t", "state/1", "-m", "old", "-q", "1", "-r"], "");
    publish(&reflector, &["-t", "state/1", "-m", "on", "-q", "1", "-r"], "");
    publish(&reflector, &["-t", "state/2", "-m", "off", "-q", "1", "-r"], "");
    publish(&reflector, &["-t", "state/2", "-n", "-q", "1", "-r"], "");
    let subscriber = Subscriber::spawn(&reflector, &["-t", "state/#", "-q", "1"]);
    assert_eq!(subscriber.message(), "state/1|on|1|1|2");
    publish(&reflector, &["-t", "state/1", "-m", "live", "-q", "1", "-r"], "");
    assert_eq!(subscriber.message(), "state/1|live|1|0|4");
}

#[test]
fn the_will_of_a_killed_mosquitto_is_published() {
    if !have_mosquitto() {
        return;
    }
    let reflector = start(3);
    let watcher = Subscriber::subscribed(&reflector, &["-t", "will", "-q", "1"]);
    let will = ["--will-topic", "will", "--will-payload", "gone", "--will-qos", "1"];
    let arguments = [&["-t", "other"][..], &will].concat();
    let mut client = Subscriber::subscribed(&reflector, &arguments);
    client.child.kill().expect("it is ours");
    assert_eq!(watcher.message(), "will|gone|1|0|4");
}

#[test]
fn a_persistent_mosquitto_session_gets_what_it_missed() {
    if !have_mosquitto() {
        return;
    }
    let reflector = start(3);
    let session = ["-c", "-i", "keeper", "-t", "kept", "-q", "2"];
    for round in 0..5 {
        // Ends when SUBACK is in, in good order.
        let mut first = Subscriber::spawn(&reflector, &[&session[..], &["-E"]].concat());
        assert!(first.child.wait().expect("it ends").success());
        for quality in ["1", "2"] {
            publish(&reflector, &["-t", "kept", "-m", &round.to_string(), "-q", quality], "");
        }
        let second = Subscriber::spawn(&reflector, &[&session[..], &["-C", "2"]].concat());
        let mut got = [second.message(), second.message()];
        got.sort();
        assert_eq!(got, [format!("kept|{round}|1|0|1"), format!("kept|{round}|2|0|1")]);
    }
    assert_eq!(reflector.counters().dropped, [0; 3]);
}

/// Checklist 34.
#[test]
fn mosquitto_clients_of_the_old_protocol_talk_to_those_of_the_new() {
    if !have_mosquitto() {
        return;
    }
    let reflector = start(2);
    let versions = ["mqttv31", "mqttv311"];
    let subscribers =
        versions.map(|version| Subscriber::subscribed(&reflector, &["-V", version, "-t", "t", "-q", "2"]));
    for version in versions {
        publish(&reflector, &["-V", version, "-t", "t", "-m", version, "-q", "2"], "");
        for subscriber in &subscribers {
            assert_eq!(subscriber.message(), format!("t|{version}|2|0|{}", version.len()));
        }
    }
}

#[test]
fn mosquitto_clients_of_mqtt_5_are_served() {
    if !have_mosquitto() {
        return;
    }
    let reflector = start(1);
    let port = reflector.addr().port().to_string();
    let output = Command::new("mosquitto_pub")
        .args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &port, "-q", "2", "-t", "t", "-m", "x"])
        .output()
        .expect("mosquitto_pub runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(reflector.stop().expect("it runs").messages_in, [0, 0, 1]);
}

/// A plain client.
struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Client {
    fn connect(reflector: &Reflector, client_id: &str, clean_session: bool) -> (Client, bool) {
        let stream = TcpStream::connect(reflector.addr()).expect("it listens");
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client { stream, bytes: Vec::new() };
        let connect = Connect { client_id, clean_session, ..CONNECT };
        client.send(Packet::Connect(connect));
        let present = client.next(|packet| match packet {
            Packet::ConnAck(connack) => connack.session_present,
            other => panic!("{other:?} is no CONNACK"),
        });
        (client, present)
    }

    fn send(&mut self, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes).unwrap();
        self.stream.write_all(&bytes).expect("it is there");
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        let mut bytes = Vec::new();
        wire::encode_subscribe(PacketId::MIN, [(filter, qos)], &mut bytes).unwrap();
        self.stream.write_all(&bytes).expect("it is there");
        self.next(|packet| assert!(matches!(packet, Packet::SubAck(_)), "{packet:?}"));
    }

    fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) {
        let packet_id = (qos > QoS::AtMostOnce).then_some(PacketId::MIN);
        self.send(Packet::Publish(Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id,
            payload,
            properties: Properties::NONE,
        }));
        if qos == QoS::AtLeastOnce {
            self.next(|packet| assert_eq!(*packet, Packet::PubAck(PacketId::MIN.into())));
        }
    }

    fn next<R>(&mut self, read: impl FnOnce(&Packet<'_>) -> R) -> R {
        loop {
            if let Some((packet, length)) = wire::decode(&self.bytes, wire::MAX_PACKET).expect("MQTT") {
                let result = read(&packet);
                self.bytes.drain(..length);
                return result;
            }
            let mut chunk = [0; 4096];
            let got = self.stream.read(&mut chunk).expect("bytes come in time");
            assert!(got > 0, "the reflector closed the connection");
            self.bytes.extend_from_slice(&chunk[..got]);
        }
    }

    /// Takes a QoS 1 message and acknowledges it.
    fn message(&mut self) -> Vec<u8> {
        let (id, payload) = self.next(|packet| match packet {
            Packet::Publish(publish) => (publish.packet_id.expect("QoS 1"), publish.payload.to_vec()),
            other => panic!("{other:?} is no PUBLISH"),
        });
        self.send(Packet::PubAck(id.into()));
        payload
    }

    /// Waits until the reflector closes.
    fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 64]), Ok(0) | Err(_))
    }
}

#[test]
fn a_session_moves_among_workers_and_takes_over_living_connections() {
    let reflector = start(4);
    let (mut publisher, _) = Client::connect(&reflector, "publisher", true);
    let (mut client, present) = Client::connect(&reflector, "mover", false);
    assert!(!present);
    client.subscribe("t", QoS::AtLeastOnce);
    for round in 0..100_u8 {
        publisher.publish("t", &[round, 0], QoS::AtLeastOnce);
        assert_eq!(client.message(), [round, 0]);
        // PUBACK has been taken when PINGRESP is there: the message does not come again.
        client.send(Packet::PingReq);
        client.next(|packet| assert_eq!(*packet, Packet::PingResp));
        if round % 2 == 0 {
            // Without this the old connection is alive when the new one comes.
            client.send(Packet::Disconnect(ReasonCode::Success.into()));
            assert!(client.is_closed());
            publisher.publish("t", &[round, 1], QoS::AtLeastOnce);
        }
        let (mut next, present) = Client::connect(&reflector, "mover", false);
        assert!(present, "round {round}");
        if round % 2 == 0 {
            assert_eq!(next.message(), [round, 1]);
        } else {
            assert!(client.is_closed());
        }
        client = next;
    }
    assert_eq!(reflector.counters().dropped, [0; 3]);
}

#[test]
fn connections_come_and_go_quickly_without_harm() {
    let reflector = start(2);
    let mut threads = Vec::new();
    for thread in 0..4 {
        let address = reflector.addr();
        threads.push(std::thread::spawn(move || {
            for round in 0..1000 {
                let mut stream = TcpStream::connect(address).expect("it listens");
                stream.set_read_timeout(Some(BOUND)).unwrap();
                let client_id = format!("{thread}-{}", round % 7);
                let connect = Connect { client_id: &client_id, clean_session: round % 3 > 0, ..CONNECT };
                let mut bytes = Vec::new();
                Packet::Connect(connect).encode(&mut bytes).unwrap();
                wire::encode_subscribe(PacketId::MIN, [("a/#", QoS::AtMostOnce)], &mut bytes).unwrap();
                stream.write_all(&bytes).expect("it reads");
                if round % 2 == 0 {
                    // CONNACK, at least; or it is gone in the middle.
                    stream.read_exact(&mut [0; 4]).expect("an answer");
                }
            }
        }));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("all went well"));
    let (mut client, _) = Client::connect(&reflector, "last", true);
    client.subscribe("t", QoS::AtLeastOnce);
    client.publish("t", b"x", QoS::AtMostOnce);
    client.next(|packet| assert!(matches!(packet, Packet::Publish(_)), "{packet:?}"));
    assert!(reflector.stop().expect("no worker has died").connects >= 2000);
}

#[test]
fn clients_that_fight_over_a_name_harm_nobody_else() {
    let reflector = start(4);
    let mut threads = Vec::new();
    for thread in 0..4 {
        let address = reflector.addr();
        threads.push(std::thread::spawn(move || {
            for round in 0..500 {
                let mut stream = TcpStream::connect(address).expect("it listens");
                stream.set_read_timeout(Some(BOUND)).unwrap();
                let connect = Connect {
                    client_id: ["a", "b", "c"][round % 3],
                    clean_session: (round + thread) % 5 == 0,
                    ..CONNECT
                };
                let mut bytes = Vec::new();
                Packet::Connect(connect).encode(&mut bytes).unwrap();
                wire::encode_subscribe(PacketId::MIN, [("a/#", QoS::AtLeastOnce)], &mut bytes).unwrap();
                let (qos, packet_id) = (QoS::ExactlyOnce, Some(PacketId::MIN));
                let publish = Publish {
                    dup: false,
                    qos,
                    retain: false,
                    topic: "a/b",
                    packet_id,
                    payload: b"x",
                    properties: Properties::NONE,
                };
                Packet::Publish(publish).encode(&mut bytes).unwrap();
                // Another thread may have taken the name already: then there is no answer.
                let _ = stream.write_all(&bytes);
                let _ = stream.read(&mut [0; 1000]);
            }
        }));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("all went well"));
    for name in ["a", "b", "c"] {
        let (mut client, present) = Client::connect(&reflector, name, true);
        assert!(!present);
        client.publish("a/b", b"x", QoS::AtLeastOnce);
    }
    assert_eq!(reflector.stop().expect("no worker has died").connects, 2003);
}

#[test]
fn a_subscriber_that_stops_reading_loses_no_qos_1_message() {
    let reflector = start(2);
    let (mut subscriber, _) = Client::connect(&reflector, "slow", true);
    subscriber.subscribe("t", QoS::AtLeastOnce);
    let (mut publisher, _) = Client::connect(&reflector, "fast", true);
    // 20 MB: more than socket buffers and the reflector's bound on unsent bytes hold.
    let mut payload = vec![7; 20_000];
    for number in 0..1000_u32 {
        payload[..4].copy_from_slice(&number.to_be_bytes());
        publisher.publish("t", &payload, QoS::AtLeastOnce);
    }
    for number in 0..1000_u32 {
        assert_eq!(subscriber.message()[..4], number.to_be_bytes());
    }
    assert_eq!(reflector.counters().dropped, [0; 3]);
}

#[test]
fn many_retained_messages_reach_a_subscriber_that_reads() {
    let reflector = start(2);
    let (mut publisher, _) = Client::connect(&reflector, "p", true);
    let payload = vec![1; 5_000];
    for number in 0..1000 {
        let topic = format!("r/{number}");
        let qos = QoS::AtMostOnce;
        let publish = Publish {
            dup: false,
            qos,
            retain: true,
            topic: &topic,
            packet_id: None,
            payload: &payload,
            properties: Properties::NONE,
        };
        publisher.send(Packet::Publish(publish));
    }
    publisher.publish("sync", b"", QoS::AtLeastOnce);
    let (mut subscriber, _) = Client::connect(&reflector, "s", true);
    subscriber.subscribe("r/#", QoS::AtMostOnce);
    for _ in 0..1000 {
        let retained = subscriber.next(|packet| matches!(packet, Packet::Publish(publish) if publish.retain));
        assert!(retained);
    }
}
