//! Both ends in memory.

mod carriers;
mod refusals;

use super::tls::{Client, Identity, Roots, Server, Settings, Versions};
use super::*;
use proptest::prelude::*;
use rustls::RootCertStore;

/// Of clients that trust these alone.
fn settings(roots: RootCertStore) -> Settings {
    Settings::new(Roots::These(Arc::new(roots)))
}

fn dialer(settings: &Settings, host: &str) -> Dialer {
    Dialer::new(Client::new(settings, vec![host.to_owned().try_into().unwrap()]).unwrap())
}

/// A server called `localhost`, and who trusts it.
fn server(versions: Versions) -> (Acceptor, RootCertStore) {
    let (identity, roots) = Identity::make(vec!["localhost".into()]).unwrap();
    (Acceptor::new(Server::new(&identity, None, versions).unwrap()), roots)
}

/// One end, what is on its way to it, and what it was told.
pub(super) struct Side {
    pub(super) channel: Channel,
    pub(super) arriving: Vec<u8>,
    held: Vec<u8>,
    pub(super) told: Vec<u8>,
}

impl Side {
    fn new(channel: Channel) -> Side {
        Side { channel, arriving: Vec::new(), held: Vec::new(), told: Vec::new() }
    }

    /// Takes the next `most` bytes at most; answers go to `peer`.
    pub(super) fn step(&mut self, most: usize, peer: &mut Side) -> Result<(), Trouble> {
        let some = most.min(self.arriving.len());
        self.held.extend(self.arriving.drain(..some));
        self.channel.receive(&mut self.held, &mut self.told, &mut peer.arriving, &mut Vec::new())
    }

    pub(super) fn say(&mut self, text: &[u8], peer: &mut Side) {
        self.channel.seal(text, &mut peer.arriving, &mut Vec::new());
    }
}

/// A client that has begun, and its server.
pub(super) fn pair(dialer: &Dialer, acceptor: &Acceptor, keepsake: &mut Keepsake) -> (Side, Side) {
    let mut client = Side::new(dialer.channel(0, 0, keepsake).unwrap());
    let mut server = Side::new(acceptor.channel().unwrap());
    client.channel.start(&mut server.arriving).unwrap();
    (client, server)
}

/// Delivers `most` bytes at a time until nothing is on its way.
pub(super) fn settle(client: &mut Side, server: &mut Side, most: usize) -> Result<(), (bool, Trouble)> {
    while !(client.arriving.is_empty() && server.arriving.is_empty()) {
        server.step(most, client).map_err(|trouble| (false, trouble))?;
        client.step(most, server).map_err(|trouble| (true, trouble))?;
    }
    Ok(())
}

#[test]
fn a_batch_is_one_record_and_a_long_one_as_few_as_may_be() {
    let (acceptor, roots) = server(Versions::V13);
    let dialer = dialer(&settings(roots), "localhost");
    let (mut client, mut server) = pair(&dialer, &acceptor, &mut Keepsake::default());
    settle(&mut client, &mut server, usize::MAX).unwrap();
    for (said, records) in [(1, 1), (800, 1), (16_384, 1), (16_385, 2), (100_000, 7)] {
        let mut wire = Vec::new();
        client.channel.seal(&vec![7; said], &mut wire, &mut Vec::new());
        // RFC 8446, 5.2: a header of five bytes, the type, and a tag of sixteen.
        assert_eq!(wire.len(), said + records * 22, "{said} bytes");
    }
}

#[test]
fn a_client_resumes_its_own_sessions_and_nobody_elses() {
    for versions in [Versions::V12, Versions::V13] {
        let (acceptor, roots) = server(versions);
        let dialer = dialer(&Settings { resume: true, ..settings(roots) }, "localhost");
        let mut keepsakes = [Keepsake::default(), Keepsake::default()];
        let mut connect = |client: usize| {
            let (mut client, mut server) = pair(&dialer, &acceptor, &mut keepsakes[client]);
            settle(&mut client, &mut server, usize::MAX).unwrap();
            // A ticket comes behind the handshake (RFC 8446, 4.6.1).
            server.say(b"CONNACK", &mut client);
            settle(&mut client, &mut server, usize::MAX).unwrap();
            client.channel.agreed().unwrap()
        };
        assert_eq!([connect(0), connect(0), connect(0)], [Agreed::Full, Agreed::Resumed, Agreed::Resumed]);
        assert_eq!([connect(1), connect(1)], [Agreed::Full, Agreed::Resumed]);
    }
}

#[test]
fn each_client_shows_a_certificate_of_its_own() {
    let made: Vec<_> = (0..3).map(|_| Identity::make(vec!["device".into()]).unwrap()).collect();
    let (identity, roots) = Identity::make(vec!["localhost".into()]).unwrap();
    // A server that knows the second only.
    let acceptor = Acceptor::new(Server::new(&identity, Some(made[1].1.clone()), Versions::Both).unwrap());
    let identities = made.iter().map(|(identity, _)| identity.0.clone()).collect();
    let dialer = dialer(&Settings { identities, ..settings(roots) }, "localhost");
    let lets_in = |client| {
        let mut client = Side::new(dialer.channel(0, client, &mut Keepsake::default()).unwrap());
        let mut server = Side::new(acceptor.channel().unwrap());
        client.channel.start(&mut server.arriving).unwrap();
        settle(&mut client, &mut server, usize::MAX).is_ok()
    };
    assert_eq!([0, 1, 2, 3, 4].map(lets_in), [false, true, false, false, true]);
}

proptest! {
    /// What has not gone is whole records: those of which a byte is left.
    #[test]
    fn unsent_bytes_are_told_as_what_they_say(said in 1_usize..60_000, around in 1_usize..64, left in 0_usize..70_000) {
        let records = said.div_ceil(LARGEST_RECORD);
        let wire = said + records * around;
        let left = left.min(wire);
        let told = whole_records(said, wire, left);
        // From the front: a record has gone when all of it has.
        let (mut gone, mut at, mut rest) = (0, 0, said);
        while rest > 0 {
            let record = rest.min(LARGEST_RECORD);
            at += record + around;
            if at > wire - left {
                break;
            }
            (gone, rest) = (gone + record, rest - record);
        }
        prop_assert_eq!(told, said - gone);
    }
}
