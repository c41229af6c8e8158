//! The clients' side.

use super::verify::Unverified;
use super::{End, SettingError, Tls, Versions, provider};
use crate::record::{Transport, TransportKind};
use crate::transport::{Keepsake, Trouble};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{
    ClientConfig, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    UnbufferedClientConnection, WebPkiServerVerifier,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{NamedGroup, RootCertStore};
use std::sync::{Arc, Mutex, PoisonError};

/// Whose signature makes a server's certificate one to be trusted.
#[derive(Clone, Debug)]
pub enum Roots {
    /// Whom the system trusts,
    System,
    /// only these,
    These(Arc<RootCertStore>),
    /// or anybody: the server may be anyone.
    Anybody,
}

/// How clients speak TLS.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whom they trust.
    pub roots: Roots,
    /// Their own certificates and keys: none, one for all, or one for each client by index, from the first again.
    pub identities: Vec<Arc<CertifiedKey>>,
    /// The protocols that they offer (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// Which versions they speak.
    pub versions: Versions,
    /// Cipher suites in their order; none: the usual ones.
    pub ciphers: Vec<String>,
    /// Whether each resumes its own sessions.
    pub resume: bool,
}

impl Settings {
    /// The usual ones of clients that trust `roots`.
    pub fn new(roots: Roots) -> Settings {
        Settings {
            roots,
            identities: Vec::new(),
            alpn: Vec::new(),
            versions: Versions::default(),
            ciphers: Vec::new(),
            resume: false,
        }
    }
}

/// The name that a broker's certificate has to be for, which it is told, too (SNI).
pub type Host = ServerName<'static>;

/// Makes TLS of clients.
#[derive(Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    hosts: Vec<Host>,
    identities: Vec<Arc<CertifiedKey>>,
    verified: bool,
    resume: bool,
}

impl Client {
    /// Clients of brokers that are called `hosts`, by their numbers.
    ///
    /// # Errors
    /// What cannot be as asked.
    pub fn new(settings: &Settings, hosts: Vec<Host>) -> Result<Client, SettingError> {
        let crypto = Arc::new(provider(&settings.ciphers)?);
        let config = ClientConfig::builder_with_provider(crypto.clone())
            .with_protocol_versions(settings.versions.supported())?
            .dangerous()
            .with_custom_certificate_verifier(verifier(settings, crypto)?);
        let mut config = match &*settings.identities {
            [] => config.with_no_client_auth(),
            [first, ..] => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(first.clone()))),
        };
        config.alpn_protocols.clone_from(&settings.alpn);
        config.resumption = Resumption::disabled();
        Ok(Client {
            config: Arc::new(config),
            hosts,
            identities: settings.identities.clone(),
            verified: !matches!(settings.roots, Roots::Anybody),
            resume: settings.resume,
        })
    }

    pub(in crate::transport) fn about(&self) -> Transport {
        Transport {
            kind: TransportKind::Tls,
            websocket: false,
            verified: Some(self.verified),
            resumption: self.resume,
            client_certificates: self.identities.len() as u32,
        }
    }

    /// That of client `client` to broker number `host`; what it may resume is in `keepsake`.
    pub(in crate::transport) fn open(
        &self,
        host: u32,
        client: u32,
        keepsake: &mut Keepsake,
    ) -> Result<Tls, Trouble> {
        let config = self.config_of(client, keepsake);
        let end = UnbufferedClientConnection::new(config, self.hosts[host as usize].clone());
        Ok(Tls::new(End::Client(end.map_err(|error| Trouble::of_tls(&error, None, false))?)))
    }

    fn config_of(&self, client: u32, keepsake: &mut Keepsake) -> Arc<ClientConfig> {
        if self.identities.len() < 2 && !self.resume {
            return self.config.clone();
        }
        let mut config = ClientConfig::clone(&self.config);
        if self.identities.len() > 1 {
            let identity = self.identities[client as usize % self.identities.len()].clone();
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
        }
        if self.resume {
            config.resumption = Resumption::store(keepsake.0.get_or_insert_default().clone());
        }
        Arc::new(config)
    }
}

fn verifier(
    settings: &Settings,
    crypto: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, SettingError> {
    let refused = |error: &dyn std::fmt::Display| rustls::Error::General(error.to_string());
    Ok(match &settings.roots {
        Roots::Anybody => Arc::new(Unverified(crypto)),
        Roots::These(roots) => WebPkiServerVerifier::builder_with_provider(roots.clone(), crypto)
            .build()
            .map_err(|error| refused(&error))?,
        Roots::System => {
            Arc::new(rustls_platform_verifier::Verifier::new(crypto).map_err(|error| match error {
                rustls::Error::General(reason) => rustls::Error::General(format!(
                    "the system's certificates cannot be read ({reason}): install ca-certificates, or name a \
                     file of them with --cafile"
                )),
                other => other,
            })?)
        }
    })
}

/// What one client has kept of its sessions: two tickets, because servers send two (RFC 8446, 4.6.1).
#[derive(Default, Debug)]
pub struct Tickets(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    group: Option<NamedGroup>,
    session: Option<Tls12ClientSessionValue>,
    tickets: [Option<Tls13ClientSessionValue>; 2],
}

impl std::fmt::Debug for Kept {
    /// Without what is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Tickets {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.kept().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.kept().session = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept().session.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.kept().session = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut kept = self.kept();
        kept.tickets.swap(0, 1);
        kept.tickets[0] = Some(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut kept = self.kept();
        let ticket = kept.tickets[0].take();
        kept.tickets.swap(0, 1);
        ticket
    }
}
