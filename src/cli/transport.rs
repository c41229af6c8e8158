//! What the flags about transports mean.

use super::Usage;
use super::args::{DoorArgs, TlsVersionArg, TransportArgs};
use crate::crew::{Field, Identities};
use crate::engine::{Scheme, Target, WEBSOCKET_PATH};
use crate::seed;
use crate::transport::tls::{self, Client, Host, Identity, Roots, Server, Settings, Versions};
use crate::transport::websocket::{Header, Upgrade};
use crate::transport::{Acceptor, Dialer, Keys};
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// How hosts are spoken with that do not say it themselves. Keys are for TLS.
fn asked(args: &TransportArgs) -> Scheme {
    Scheme::of(args.tls || args.psk_file.is_some(), args.websocket)
}

/// How brokers at `hosts` are spoken with.
///
/// # Errors
/// Some otherwise than others, or a flag that has no sense so.
pub fn scheme(args: &TransportArgs, hosts: &[Target]) -> Result<Scheme, Usage> {
    let asked = asked(args);
    let of = |host: &Target| host.scheme().unwrap_or(asked);
    let scheme = hosts.first().map_or(asked, of);
    if hosts.iter().any(|host| of(host) != scheme) {
        let named: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        return Err(Usage(format!(
            "-H {}: some with TLS or WebSocket and some without; a run measures one of them",
            named.join(", ")
        )));
    }
    for (flag, given, has) in [
        ("--tls", args.tls, Scheme::is_secure as fn(Scheme) -> bool),
        ("--psk_file", args.psk_file.is_some(), Scheme::is_secure),
        ("--websocket", args.websocket, Scheme::is_websocket),
    ] {
        if given && !has(scheme) {
            let both =
                Scheme::of(asked.is_secure() || scheme.is_secure(), args.websocket || scheme.is_websocket());
            return Err(Usage(format!("{flag}: the hosts say {scheme}://, which is without; say {both}://")));
        }
    }
    fits(args, scheme).map(|()| scheme)
}

/// Whether flags that are about TLS and WebSocket have some to be about.
fn fits(args: &TransportArgs, scheme: Scheme) -> Result<(), Usage> {
    if let Some(flag) = args.of_tls().next().filter(|_| !scheme.is_secure()) {
        return Err(Usage(format!("{flag}: it is about TLS; ask for that with --tls, or mqtts://host")));
    }
    match args.of_websocket().filter(|_| !scheme.is_websocket()) {
        Some(flag) => {
            Err(Usage(format!("{flag}: it is about WebSocket; ask for that with --websocket, or ws://host")))
        }
        None => Ok(()),
    }
}

/// The port of brokers that name none.
pub fn port(args: &TransportArgs, hosts: &[Target], given: Option<u16>) -> u16 {
    let asked = asked(args);
    given.unwrap_or_else(|| scheme(args, hosts).unwrap_or(asked).port())
}

/// What carries the connections of `clients` to `hosts`, of which those that name no port are at `port`; `None`: nothing but
/// TCP or a Unix socket. Reads the files with certificates and keys, also of clients that have their own.
///
/// # Errors
/// What does not go together, or cannot be read.
pub fn dialer(
    args: &TransportArgs,
    hosts: &[Target],
    port: u16,
    clients: (usize, &Identities),
) -> Result<Option<Arc<Dialer>>, Usage> {
    let scheme = scheme(args, hosts)?;
    if scheme == Scheme::Mqtt {
        return Ok(None);
    }
    let mut dialer = Dialer::default();
    if args.psk_file.is_some() {
        (dialer, _) = keyed(args, clients.1.keys())?;
    } else if scheme.is_secure() {
        let names = hosts.iter().map(|host| name(args, host)).collect::<Result<_, _>>()?;
        let roots = match (args.insecure, &args.cafile[..]) {
            (true, _) => Roots::Anybody,
            (false, []) => Roots::System,
            (false, files) => Roots::These(Arc::new(trusted("--cafile", files)?)),
        };
        dialer = secure(args, roots, names, clients)?;
    }
    if scheme.is_websocket() {
        let headers = headers(&args.ws_header)?;
        let upgrades = hosts.iter().map(|host| upgrade(host, port, &headers)).collect();
        dialer = dialer.with_websocket(upgrades, seed::fresh());
    }
    Ok(Some(Arc::new(dialer)))
}

/// What a WebSocket at `host` is asked for.
fn upgrade(host: &Target, port: u16, headers: &[Header]) -> Upgrade {
    let (name, path) = match host.at(port) {
        Target::Tcp { host, port, path, .. } => {
            let name = Target::Tcp { scheme: None, host, port, path: None }.to_string();
            (name, path.unwrap_or_else(|| WEBSOCKET_PATH.into()))
        }
        Target::Unix(_) => ("localhost".into(), WEBSOCKET_PATH.into()),
    };
    Upgrade::new(&name, &path, headers)
}

/// What is added to the heads of requests: as given, or a line each of a file.
fn headers(given: &[String]) -> Result<Vec<Header>, Usage> {
    let parse = |text: &str, place: &str| {
        text.parse::<Header>().map_err(|error| Usage(format!("--ws-header{place}: {error}")))
    };
    let mut all = Vec::new();
    for text in given {
        let Some(file) = text.strip_prefix('@') else {
            all.push(parse(text, "")?);
            continue;
        };
        let lines = String::from_utf8(read("--ws-header", Path::new(file))?)
            .map_err(|_| Usage(format!("--ws-header @{file}: it is no UTF-8")))?;
        for (line, number) in lines.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            all.push(parse(line, &format!(" @{file}, line {number}"))?);
        }
    }
    Ok(all)
}

/// What carries connections to a broker in this process, and what that one speaks.
pub type BothEnds = (Arc<Dialer>, Arc<Acceptor>);

/// The same to a broker in this process, and what that one speaks.
///
/// # Errors
/// As [`dialer`].
pub fn embedded(args: &TransportArgs, clients: (usize, &Identities)) -> Result<Option<BothEnds>, Usage> {
    let scheme = asked(args);
    fits(args, scheme)?;
    if scheme == Scheme::Mqtt {
        return Ok(None);
    }
    let (mut dialer, mut acceptor) = (Dialer::default(), Acceptor::default());
    if args.psk_file.is_some() {
        (dialer, acceptor) = keyed(args, clients.1.keys())?;
    } else if scheme.is_secure() {
        (dialer, acceptor) = secure_ends(args, clients)?;
    }
    if scheme.is_websocket() {
        let upgrade = Upgrade::new("localhost", WEBSOCKET_PATH, &headers(&args.ws_header)?);
        dialer = dialer.with_websocket(vec![upgrade], seed::fresh());
        acceptor = acceptor.with_websocket();
    }
    Ok(Some((Arc::new(dialer), Arc::new(acceptor))))
}

/// TLS to a broker in this process, and its own.
fn secure_ends(args: &TransportArgs, clients: (usize, &Identities)) -> Result<(Dialer, Acceptor), Usage> {
    if !args.cafile.is_empty() {
        return Err(Usage(
            "--cafile: the embedded broker's certificate is made for this run, and trusted; leave it out"
                .into(),
        ));
    }
    let name = args.sni.clone().unwrap_or_else(|| "localhost".into());
    let (identity, roots) = Identity::make(vec![name.clone()]).map_err(usage)?;
    let roots = if args.insecure { Roots::Anybody } else { Roots::These(Arc::new(roots)) };
    let server = Server::new(&identity, None, Versions::Both).map_err(usage)?;
    let dialer = secure(args, roots, vec![host_name(&name)?], clients)?;
    Ok((dialer, Acceptor::new(server)))
}

/// What a broker on its own speaks; `None`: plain TCP.
///
/// # Errors
/// Files that cannot be read.
pub fn acceptor(args: &DoorArgs, bind: IpAddr) -> Result<Option<Arc<Acceptor>>, Usage> {
    let mut acceptor = match args.tls {
        true => Acceptor::new(secure_server(args, bind)?),
        false if !args.websocket => return Ok(None),
        false => Acceptor::default(),
    };
    if args.websocket {
        acceptor = acceptor.with_websocket();
    }
    Ok(Some(Arc::new(acceptor)))
}

/// TLS of a broker on its own.
fn secure_server(args: &DoorArgs, bind: IpAddr) -> Result<Server, Usage> {
    let identity = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => identity(&cert.display().to_string(), &key.display().to_string())?,
        _ => {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), bind.to_string()];
            Identity::make(names.to_vec()).map_err(usage)?.0
        }
    };
    let clients =
        args.cafile.as_ref().map(|file| trusted("--cafile", std::slice::from_ref(file))).transpose()?;
    Server::new(&identity, clients, versions(args.tls_version)).map_err(usage)
}

fn secure(
    args: &TransportArgs,
    roots: Roots,
    names: Vec<Host>,
    (clients, own): (usize, &Identities),
) -> Result<Dialer, Usage> {
    let settings = Settings {
        roots,
        identities: identities(args, clients, own)?,
        alpn: args.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
        versions: versions(args.tls_version),
        ciphers: ciphers(args),
        resume: args.tls_resume,
    };
    Ok(Dialer::new(Client::new(&settings, names).map_err(usage)?))
}

fn ciphers(args: &TransportArgs) -> Vec<String> {
    args.ciphers.iter().flat_map(|list| list.split(':')).map(str::to_owned).collect()
}

/// TLS of clients with `keys`, and of a broker that knows them.
#[cfg(feature = "psk")]
fn keyed(args: &TransportArgs, keys: &Keys) -> Result<(Dialer, Acceptor), Usage> {
    use crate::transport::psk::{Client, Server, Settings};
    let settings = Settings { versions: versions(args.tls_version), ciphers: ciphers(args) };
    let client = Client::new(&settings, keys.clone()).map_err(usage)?;
    let server = Server::new(&settings, keys).map_err(usage)?;
    Ok((Dialer::psk(client), Acceptor::psk(server)))
}

/// TLS of clients with `keys`, and of a broker that knows them.
#[cfg(not(feature = "psk"))]
fn keyed(_: &TransportArgs, _: &Keys) -> Result<(Dialer, Acceptor), Usage> {
    Err(Usage(
        "--psk_file: this malaria-bench was built without TLS-PSK, which needs OpenSSL; install it (Debian: apt-get install \
         libssl-dev pkg-config) and build with `cargo install --path . --features psk`, as tools/install does where it \
         finds it"
            .into(),
    ))
}

/// What the certificate of `host` is to be for.
fn name(args: &TransportArgs, host: &Target) -> Result<Host, Usage> {
    match (&args.sni, host) {
        (Some(name), _) => host_name(name),
        (None, Target::Tcp { host, .. }) => host_name(host),
        (None, Target::Unix(_)) => host_name("localhost"),
    }
}

fn host_name(name: &str) -> Result<Host, Usage> {
    name.to_owned().try_into().map_err(|_| usage(tls::SettingError::Name(name.into())))
}

/// Certificates of the clients: none, one for all, or one for each. What is a client's own goes before what is
/// everybody's.
fn identities(
    args: &TransportArgs,
    clients: usize,
    own: &Identities,
) -> Result<Vec<Arc<CertifiedKey>>, Usage> {
    let (cert, key) = (args.cert.as_deref(), args.key.as_deref());
    let varies = |name: Option<&str>| name.is_some_and(|name| name.contains("%i"));
    if varies(key) && !varies(cert) {
        return Err(Usage(format!(
            "--key {}: a key for each client needs a certificate for each, --cert with %i",
            key.unwrap_or_default()
        )));
    }
    let each = own.has(Field::Cert) || varies(cert);
    let of = |index: u32| {
        let number = index.to_string();
        let numbered = |name: Option<&str>| name.map(|name| name.replace("%i", &number));
        let named = |own: Option<&str>, all| own.map(str::to_owned).or_else(|| numbered(all));
        let files = named(own.cert(index), cert).zip(named(own.key(index), key));
        let (cert, key) = files.ok_or_else(|| {
            Usage(format!("--clients-file: client {index} has no certificate or no key; give both, or --cert and --key for \
                           those who have none"))
        })?;
        identity(&cert, &key).map(|identity| identity.0)
    };
    match (each, cert) {
        (true, _) => (0..clients as u32).map(of).collect(),
        (false, Some(_)) => Ok(vec![of(0)?]),
        (false, None) => Ok(Vec::new()),
    }
}

fn identity(cert: &str, key: &str) -> Result<Identity, Usage> {
    let (chain, secret) = (read("--cert", Path::new(cert))?, read("--key", Path::new(key))?);
    Identity::read((cert, &chain), (key, &secret)).map_err(usage)
}

fn trusted(flag: &str, files: &[std::path::PathBuf]) -> Result<RootCertStore, Usage> {
    let mut store = RootCertStore::empty();
    for file in files {
        tls::roots(&file.display().to_string(), &read(flag, file)?, &mut store).map_err(usage)?;
    }
    Ok(store)
}

fn read(flag: &str, file: &Path) -> Result<Vec<u8>, Usage> {
    std::fs::read(file).map_err(|error| Usage(format!("{flag} {}: {error}", file.display())))
}

fn versions(asked: Option<TlsVersionArg>) -> Versions {
    match asked {
        None => Versions::Both,
        Some(TlsVersionArg::V12) => Versions::V12,
        Some(TlsVersionArg::V13) => Versions::V13,
    }
}

fn usage(error: impl Display) -> Usage {
    Usage(error.to_string())
}
