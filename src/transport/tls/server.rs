//! The server's side, and the certificates of both.

use super::{End, SettingError, Tls, Versions, provider};
use crate::transport::Trouble;
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, UnbufferedServerConnection, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::sync::Arc;

/// A certificate with its chain, and its key.
#[derive(Clone, Debug)]
pub struct Identity(pub Arc<CertifiedKey>);

impl Identity {
    /// Of the PEM texts `cert`, the chain from the end's own on, and `key`; the names are for errors.
    ///
    /// # Errors
    /// No PEM, no certificate, no key, or a key that is another certificate's.
    pub fn read(cert: (&str, &[u8]), key: (&str, &[u8])) -> Result<Identity, SettingError> {
        let chain = certificates(cert.0, cert.1)?;
        let bad = |reason: String| SettingError::Pem { what: key.0.into(), reason };
        let key = PrivateKeyDer::from_pem_slice(key.1)
            .map_err(|error| bad(format!("{error}: expected a private key as PEM, without a passphrase")))?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(|error| bad(format!("{error} (the certificate is that of {})", cert.0)))?;
        Ok(Identity(Arc::new(key)))
    }

    /// A new one, which signs itself, for `names`; and whom to trust to trust it.
    ///
    /// # Errors
    /// Names that cannot be in a certificate.
    pub fn make(names: Vec<String>) -> Result<(Identity, RootCertStore), SettingError> {
        let bad = |error: rcgen::Error| SettingError::Pem {
            what: "the embedded broker's certificate".into(),
            reason: error.to_string(),
        };
        let key = KeyPair::generate().map_err(bad)?;
        let cert = CertificateParams::new(names).and_then(|params| params.self_signed(&key)).map_err(bad)?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = CertifiedKey::from_der(vec![cert.der().clone()], key, &aws_lc_rs::default_provider())?;
        Ok((Identity(Arc::new(key)), roots))
    }
}

/// The certificates in the PEM text of `what`, at least one.
fn certificates(what: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, SettingError> {
    let bad = |reason: String| SettingError::Pem { what: what.into(), reason };
    let all = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| bad(error.to_string()))?;
    if all.is_empty() {
        return Err(bad("there is no certificate in it; expected PEM (-----BEGIN CERTIFICATE-----)".into()));
    }
    Ok(all)
}

/// Those whom the PEM text of `what` has to be trusted.
///
/// # Errors
/// No PEM, or no certificate in it.
pub fn roots(what: &str, text: &[u8], store: &mut RootCertStore) -> Result<(), SettingError> {
    for certificate in certificates(what, text)? {
        store
            .add(certificate)
            .map_err(|error| SettingError::Pem { what: what.into(), reason: error.to_string() })?;
    }
    Ok(())
}

/// Makes TLS of a server.
#[derive(Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
}

impl Server {
    /// One that is `identity`, and wants clients to have a certificate that `clients` signed, if those are given.
    ///
    /// # Errors
    /// What cannot be as asked.
    pub fn new(
        identity: &Identity,
        clients: Option<RootCertStore>,
        versions: Versions,
    ) -> Result<Server, SettingError> {
        let crypto = Arc::new(provider(&[])?);
        let config = ServerConfig::builder_with_provider(crypto.clone())
            .with_protocol_versions(versions.supported())?;
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(roots) => config.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto)
                    .build()
                    .map_err(|error| rustls::Error::General(error.to_string()))?,
            ),
        };
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0.clone())));
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Server { config: Arc::new(config) })
    }

    pub(in crate::transport) fn open(&self) -> Result<Tls, Trouble> {
        let end = UnbufferedServerConnection::new(self.config.clone());
        Ok(Tls::new(End::Server(end.map_err(|error| Trouble::of_tls(&error, None, false))?)))
    }
}
