//! Failures that the old tool hid, hung on, or lost everything by.

use malaria_bench::wire::{ConnAck, ConnectCode, Packet, PacketType};

use crate::program::{Malaria, publish};
use crate::scripted::{Act, Broker, Heard};

/// Checklist 82: a run whose result cannot be written does not begin.
#[test]
fn an_output_that_cannot_be_written_is_found_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (missing, directory) = (folder.path().join("missing/result.json"), folder.path().to_path_buf());
    for command in ["publish", "subscribe", "watch"] {
        for path in [&missing, &directory] {
            let broker = Broker::honest();
            let mut malaria = Malaria::plain(broker.address, command);
            malaria.command.arg("--json").arg(path);
            let finished = malaria.run();
            assert!(matches!(finished.code, 2 | 3), "exit {}: {}", finished.code, finished.text);
            finished.says(&path.display().to_string());
            assert_eq!(finished.stdout, "", "{command}");
            assert_eq!(broker.stop().connections, 0, "{command} connected before it looked");
        }
    }
}

fn refusal() -> Act {
    let mut bytes = Vec::new();
    let connack = ConnAck::from(ConnectCode::NotAuthorized);
    Packet::ConnAck(connack).encode(&mut bytes).expect("a constant packet");
    Act::Say(bytes)
}

/// Whether this is the CONNECT of `client`.
fn connects(heard: &Heard<'_>, client: &str) -> bool {
    matches!(heard.packet, Some(Packet::Connect(connect)) if connect.client_id == client)
}

/// Checklist 39, 81: a client that is refused, with the others' results.
#[test]
fn a_refused_client_does_not_lose_the_results_of_the_others() {
    let broker = Broker::start(|heard| if connects(heard, "load-1") { refusal() } else { Act::Honest });
    let finished = publish(broker.address, "-P 4 -n 20").run().ends(4);
    assert_eq!(finished.key("count_ok"), 60, "{}", finished.text);
    finished.says("load-1").says("not authorized");
    for client in ["load-0", "load-2", "load-3"] {
        finished.says(&format!("Clientid: {client} Message succes rate: 100.00% (20/20 messages)"));
    }
}

/// Checklist 81: a client that is lost for good on the way, with the others' results.
#[test]
fn a_lost_client_does_not_lose_the_results_of_the_others() {
    let mut lost = None;
    let mut sent = 0;
    let broker = Broker::start(move |heard| {
        if connects(heard, "load-2") {
            if lost.is_some() {
                return refusal();
            }
            lost = Some(heard.conn);
        }
        if lost == Some(heard.conn) && heard.is(PacketType::Publish) {
            sent += 1;
            if sent == 6 {
                return Act::Reset;
            }
        }
        Act::Honest
    });
    let arguments = "-P 4 -n 20 -T 50 --connect-attempts 2 --reconnect-attempts 2 --ack-timeout 1s";
    let finished = publish(broker.address, arguments).run().ends(4);
    let count = finished.number("count_ok");
    assert!((65.0..=66.0).contains(&count), "{count}: {}", finished.text);
    finished.says("load-2");
    for client in ["load-0", "load-1", "load-3"] {
        finished.says(&format!("Clientid: {client} Message succes rate: 100.00% (20/20 messages)"));
    }
}

/// Checklist 75: nobody there is the broker's failure, and ends at once.
#[test]
fn nobody_listens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = port.local_addr().expect("it is bound");
    drop(port);
    for command in ["publish --stagger 0", "subscribe"] {
        let finished = Malaria::plain(address, command).run().ends(4);
        finished.says(&address.port().to_string());
    }
}
