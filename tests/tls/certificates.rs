//! Certificates made for a test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::fs;
use std::path::Path;

/// Files of one test: `ca.pem`; `server.pem`, signed by it for localhost; `expired.pem`; `cert-<i>.pem` of clients with their
/// names; each with its `.key`.
pub struct Certificates {
    ca: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Certificates {
    /// A new CA called `name`, and a server of it.
    pub fn new(name: &str) -> Certificates {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let made = Certificates { ca, folder: tempfile::tempdir().expect("a folder") };
        fs::write(made.file("ca.pem"), made.ca.pem()).expect("writable");
        made.sign("server", CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap());
        made
    }

    /// A certificate that has expired, for localhost.
    pub fn expired(&self) {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.sign("expired", params);
    }

    /// That of a client called `device-<number>`.
    pub fn client(&self, number: usize) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("device-{number}"));
        self.sign(&format!("cert-{number}"), params);
    }

    fn sign(&self, name: &str, params: CertificateParams) {
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.ca).expect("a certificate");
        fs::write(self.file(&format!("{name}.pem")), cert.pem()).expect("writable");
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).expect("writable");
    }

    /// The path of one of the files.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The folder of all.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
