//! Against mosquitto.

use crate::certificates::Certificates;
use crate::port::{Port, is_ready};
use crate::process::{Process, find, piped, skip};
use crate::{Outcome, program, run};
use std::net::{Ipv4Addr, SocketAddr};

/// A mosquitto that speaks TLS, with `server` of these certificates.
pub struct Broker {
    pub port: u16,
    _port: Port,
    _process: Process,
}

/// One whose certificate is `server`, with more lines of configuration; `None` where there is no mosquitto.
pub fn start(certificates: &Certificates, server: &str, more: &str) -> Option<Broker> {
    let Some(mosquitto) = find("mosquitto") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "mosquitto is missing: run tools/test");
        skip("mosquitto is missing: run tools/test");
        return None;
    };
    let (ip, file) = (Ipv4Addr::LOCALHOST, |name: &str| certificates.file(name));
    // Somebody else may take a port between the look at it and the broker's own.
    (0..20).find_map(|_| {
        let port = Port::take(ip.into());
        let text = format!(
            "listener {} {ip}\nallow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\n{more}\npersistence false\n\
             log_dest none\nuser root\nmax_queued_messages 0\nmax_connections -1\n",
            port.number,
            file("ca.pem"),
            file(&format!("{server}.pem")),
            file(&format!("{server}.key")),
        );
        let conf = certificates.folder().join("mosquitto.conf");
        std::fs::write(&conf, text).expect("writable");
        let mut process = Process::spawn(piped(&mosquitto).arg("-c").arg(conf));
        let ready = is_ready(SocketAddr::new(ip.into(), port.number), &mut process);
        ready.then(|| Broker { port: port.number, _port: port, _process: process })
    })
}

#[test]
fn everything_that_is_sent_arrives() {
    let certificates = Certificates::new("ca");
    let Some(broker) = start(&certificates, "server", "") else { return };
    let ca = certificates.file("ca.pem");
    for (qos, flags) in
        [(0, "--tls-version 1.2"), (1, "--tls-version 1.3"), (2, "--ciphers TLS_AES_256_GCM_SHA384")]
    {
        let record = run(&format!(
            "-H mqtts://localhost:{} --cafile {ca} {flags} -q {qos} --clients 20 -n 20 -T 50 --drain 20s",
            broker.port
        ));
        assert_eq!((record.counts.sent, record.latencies.handshake.count), (200, 20));
    }
    // A resumed session is the broker's to give: it does with TLS 1.2 and 1.3.
    for version in ["1.2", "1.3"] {
        let record = run(&format!(
            "-H mqtts://127.0.0.1:{} --cafile {ca} --tls-resume true --tls-version {version} --topology idle \
             --clients 5 --stay 100ms --duration 1s --warmup 0",
            broker.port
        ));
        assert!(record.latencies.handshake_resumed.count > 0, "{:?}", record.latencies.handshake);
    }
}

#[test]
fn the_malaria_commands_speak_tls() {
    let certificates = Certificates::new("ca");
    let Some(broker) = start(&certificates, "server", "") else { return };
    let flags = format!("-H localhost -p {} --tls --cafile {}", broker.port, certificates.file("ca.pem"));
    let Outcome { code, said, .. } =
        program("malaria", &format!("publish {flags} -P 3 -n 20 -T 100 -t -q 1 --json -"));
    assert_eq!(code, 0, "{said}");
}

/// A certificate for each client, by the pattern of its file's name.
#[test]
fn each_client_shows_a_certificate_of_its_own() {
    let certificates = Certificates::new("ca");
    (0..6).for_each(|number| certificates.client(number));
    let more = "require_certificate true\nuse_identity_as_username true";
    let Some(broker) = start(&certificates, "server", more) else { return };
    let at = format!("-H mqtts://localhost:{} --cafile {}", broker.port, certificates.file("ca.pem"));
    let each = format!("--cert {0}/cert-%i.pem --key {0}/cert-%i.key", certificates.folder().display());
    let record = run(&format!("{at} {each} --clients 6 -n 10 -T 50 --drain 20s"));
    assert_eq!(record.broker.transport.client_certificates, 6);
    let Outcome { code, said, .. } = program("malaria-bench", &format!("{at} {each} --clients 7"));
    assert!(code == 2 && said.contains("cert-6.pem"), "a file for each: exit {code}\n{said}");
    // And by lines of a file, for all but the last who has everybody's.
    let clients = certificates.folder().join("clients.csv");
    let line = |number: u32| {
        format!("{0}/cert-{number}.pem,{0}/cert-{number}.key\n", certificates.folder().display())
    };
    let own: String = (0..3).map(line).collect();
    std::fs::write(&clients, format!("cert,key\n{own},\n")).expect("writable");
    let last = format!("--cert {0}/cert-3.pem --key {0}/cert-3.key", certificates.folder().display());
    let record =
        run(&format!("{at} {last} --clients-file {} --clients 4 -n 10 -T 50 --drain 20s", clients.display()));
    assert_eq!((record.broker.transport.client_certificates, record.plan.client_columns.len()), (4, 2));
    let lacks = format!("{at} --clients-file {} --clients 4", clients.display());
    let Outcome { code, said, .. } = program("malaria-bench", &lacks);
    assert!(code == 2 && said.contains("client 3 has no certificate"), "exit {code}\n{said}");
    // Nobody shows one; or one of another CA.
    let Outcome { code, said, .. } = program("malaria-bench", &format!("{at} --clients 2"));
    assert!(code == 4 && said.contains("--cert"), "exit {code}\n{said}");
    let others = Certificates::new("another");
    others.client(0);
    let foreign = format!("--cert {0}/cert-0.pem --key {0}/cert-0.key", others.folder().display());
    let Outcome { code, said, .. } = program("malaria-bench", &format!("{at} {foreign} --clients 2"));
    assert!(code == 4 && said.contains("TLS alert") && said.contains("--cert"), "exit {code}\n{said}");
}

/// Keys and certificates that do not go together are told of before anything is connected.
#[test]
fn files_that_do_not_fit_are_told_of() {
    let certificates = Certificates::new("ca");
    (0..2).for_each(|number| certificates.client(number));
    let file = |name: &str| certificates.file(name);
    for (flags, part) in [
        (format!("--cert {} --key {}", file("cert-0.pem"), file("cert-1.key")), "cert-1.key"),
        (format!("--cert {} --key {}", file("cert-0.key"), file("cert-0.key")), "no certificate"),
        (format!("--cert {} --key {}", file("cert-0.pem"), file("cert-0.pem")), "private key"),
    ] {
        let line = format!("-H mqtts://localhost:1 --insecure {flags}");
        let Outcome { code, said, .. } = program("malaria-bench", &line);
        assert!(code == 2 && said.contains(part), "{flags}: exit {code}\n{said}");
    }
}
