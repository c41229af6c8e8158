//! What the flags about transports mean.

use super::Usage;
use super::args::{DoorArgs, TlsVersionArg, TransportArgs};
use crate::engine::{Scheme, Target};
use crate::transport::tls::{self, Client, Host, Identity, Roots, Server, Settings, Versions};
use crate::transport::{Acceptor, Dialer};
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// Ports where nothing else is said (IANA: mqtt, secure-mqtt).
const MQTT: u16 = 1883;
const SECURE_MQTT: u16 = 8883;

/// Whether brokers at `hosts` are spoken with over TLS.
///
/// # Errors
/// Some are and some are not, or a flag that has no sense without.
pub fn is_tls(args: &TransportArgs, hosts: &[Target]) -> Result<bool, Usage> {
    let secure = |host: &Target| match host.scheme() {
        Some(scheme) => scheme == Scheme::Mqtts,
        None => args.tls,
    };
    let all = hosts.iter().all(secure);
    if !all && hosts.iter().any(secure) {
        let named: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        return Err(Usage(format!(
            "-H {}: some with TLS and some without; a run measures one of them",
            named.join(", ")
        )));
    }
    if !all && args.tls {
        return Err(Usage("--tls: the hosts say mqtt://, which is without; say mqtts://".into()));
    }
    match args.of_tls().next() {
        Some(flag) if !all => {
            Err(Usage(format!("{flag}: it is about TLS; ask for that with --tls, or mqtts://host")))
        }
        _ => Ok(all),
    }
}

/// The port of brokers that name none.
pub fn port(args: &TransportArgs, hosts: &[Target], given: Option<u16>) -> u16 {
    let secure = is_tls(args, hosts).unwrap_or(args.tls);
    given.unwrap_or(if secure { SECURE_MQTT } else { MQTT })
}

/// What carries the connections of `clients` to `hosts`; `None`: nothing but TCP or a Unix socket. Reads the files with
/// certificates and keys.
///
/// # Errors
/// What does not go together, or cannot be read.
pub fn dialer(args: &TransportArgs, hosts: &[Target], clients: usize) -> Result<Option<Arc<Dialer>>, Usage> {
    if !is_tls(args, hosts)? {
        return Ok(None);
    }
    let names = hosts.iter().map(|host| name(args, host)).collect::<Result<_, _>>()?;
    let roots = match (args.insecure, &args.cafile[..]) {
        (true, _) => Roots::Anybody,
        (false, []) => Roots::System,
        (false, files) => Roots::These(Arc::new(trusted("--cafile", files)?)),
    };
    secure(args, roots, names, clients).map(Some)
}

/// What carries connections to a broker in this process, and what that one speaks.
pub type BothEnds = (Arc<Dialer>, Arc<Acceptor>);

/// The same to a broker in this process, and what that one speaks.
///
/// # Errors
/// As [`dialer`].
pub fn embedded(args: &TransportArgs, clients: usize) -> Result<Option<BothEnds>, Usage> {
    if !args.tls {
        return match args.of_tls().next() {
            Some(flag) => Err(Usage(format!("{flag}: it is about TLS; ask for that with --tls"))),
            None => Ok(None),
        };
    }
    if !args.cafile.is_empty() {
        return Err(Usage(
            "--cafile: the embedded broker's certificate is made for this run, and trusted".into(),
        ));
    }
    let name = args.sni.clone().unwrap_or_else(|| "localhost".into());
    let (identity, roots) = Identity::make(vec![name.clone()]).map_err(usage)?;
    let roots = if args.insecure { Roots::Anybody } else { Roots::These(Arc::new(roots)) };
    let server = Server::new(&identity, None, Versions::Both).map_err(usage)?;
    let dialer = secure(args, roots, vec![host_name(&name)?], clients)?;
    Ok(Some((dialer, Arc::new(Acceptor::new(server)))))
}

/// What a broker on its own speaks; `None`: plain TCP.
///
/// # Errors
/// Files that cannot be read.
pub fn acceptor(args: &DoorArgs, bind: IpAddr) -> Result<Option<Arc<Acceptor>>, Usage> {
    if !args.tls {
        return Ok(None);
    }
    let identity = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => identity(&cert.display().to_string(), &key.display().to_string())?,
        _ => {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), bind.to_string()];
            Identity::make(names.to_vec()).map_err(usage)?.0
        }
    };
    let clients =
        args.cafile.as_ref().map(|file| trusted("--cafile", std::slice::from_ref(file))).transpose()?;
    let server = Server::new(&identity, clients, versions(args.tls_version)).map_err(usage)?;
    Ok(Some(Arc::new(Acceptor::new(server))))
}

fn secure(
    args: &TransportArgs,
    roots: Roots,
    names: Vec<Host>,
    clients: usize,
) -> Result<Arc<Dialer>, Usage> {
    let settings = Settings {
        roots,
        check_name: true,
        identities: identities(args, clients)?,
        alpn: args.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
        versions: versions(args.tls_version),
        ciphers: args.ciphers.iter().flat_map(|list| list.split(':')).map(str::to_owned).collect(),
        resume: args.tls_resume,
    };
    Ok(Arc::new(Dialer::new(Client::new(&settings, names).map_err(usage)?)))
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

/// Certificates of the clients: none, one for all, or one for each.
fn identities(args: &TransportArgs, clients: usize) -> Result<Vec<Arc<CertifiedKey>>, Usage> {
    let (Some(cert), Some(key)) = (&args.cert, &args.key) else { return Ok(Vec::new()) };
    let each = cert.contains("%i");
    if key.contains("%i") && !each {
        return Err(Usage(format!(
            "--key {key}: a key for each client needs a certificate for each, --cert with %i"
        )));
    }
    let of = |number: usize| {
        let number = number.to_string();
        identity(&cert.replace("%i", &number), &key.replace("%i", &number)).map(|identity| identity.0)
    };
    (0..if each { clients } else { 1 }).map(of).collect()
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
