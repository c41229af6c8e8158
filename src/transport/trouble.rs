//! What can go wrong below MQTT, in words that say what would mend it.

use super::websocket;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why a connection cannot go on. Small, because every connection that ends says why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// The peer sent a fatal alert (RFC 8446, 6.2).
    #[error("TLS alert {} ({}){}", name(*.0), u8::from(*.0), remedy(*.0))]
    Alert(AlertDescription),
    /// Nobody who is trusted has signed the certificate.
    #[error(
        "TLS: the broker's certificate is signed by nobody who is trusted; give the CA's certificate with --cafile, or \
         --insecure to trust anybody"
    )]
    UnknownIssuer,
    /// It is a CA's own, or signs itself and is not trusted.
    #[error(
        "TLS: the broker's certificate is a CA's or signs itself; give it with --cafile if it may, or --insecure to \
         trust anybody"
    )]
    SelfSigned,
    /// It is for another name.
    #[error(
        "TLS: the broker's certificate is for another name; connect to the name it is for, or give it with --sni"
    )]
    WrongName,
    /// Its time is over.
    #[error("TLS: the broker's certificate has expired; renew it")]
    Expired,
    /// Its time has not come.
    #[error("TLS: the broker's certificate is not valid yet; look at the clocks of both machines")]
    NotYetValid,
    /// It was revoked.
    #[error("TLS: the broker's certificate was revoked")]
    Revoked,
    /// It cannot be used for this.
    #[error(
        "TLS: the broker's certificate cannot be used: it is malformed, or for another purpose than a server's"
    )]
    BadCertificate,
    /// A client has shown none, and has to.
    #[error("TLS: the client has shown no certificate; give it one with --cert and --key")]
    NoCertificate,
    /// What came is not TLS.
    #[error(
        "TLS: what the broker answered is not TLS; it speaks something else on this port (mqtt:// is plain)"
    )]
    NotTls,
    /// No version, cipher suite or group is common.
    #[error("TLS: there is no version or cipher suite that both speak; see --tls-version and --ciphers")]
    Incompatible,
    /// None of the protocols offered is spoken.
    #[error("TLS: the broker speaks none of the protocols of --alpn")]
    Alpn,
    /// A record longer than 16 KiB and what is around it.
    #[error("TLS: a record is longer than allowed (RFC 8446, 5.2)")]
    OversizedRecord,
    /// Bytes that nobody with the keys has sealed.
    #[error("TLS: a record does not decrypt: it was changed on its way, or keys differ")]
    Undecryptable,
    /// The broker has no key for the client.
    #[error(
        "TLS-PSK alert {} ({}): the broker does not know the client's PSK identity, or no cipher suite is common; add identity \
         and key to the broker's psk_file, or see --ciphers",
        name(*.0), u8::from(*.0)
    )]
    UnknownPsk(AlertDescription),
    /// It has another one.
    #[error(
        "TLS-PSK alert {} ({}): the broker has another key for the client's PSK identity; give both the same",
        name(*.0), u8::from(*.0)
    )]
    WrongPsk(AlertDescription),
    /// It would rather have TLS with certificates.
    #[error(
        "TLS-PSK: the broker answers with a certificate: it takes no keys on this port, or does not know the client's PSK \
         identity; see its psk_hint and psk_file"
    )]
    Certificate,
    /// Any other break of the rules, such as a renegotiation.
    #[error("TLS: the broker broke the protocol")]
    Misbehaved,
    /// The peer has ended the connection within the handshake.
    #[error(
        "ended within the TLS handshake: the broker speaks no TLS on this port, or refuses without a word"
    )]
    Ended,
    /// It is about WebSocket.
    #[error(transparent)]
    WebSocket(#[from] websocket::Trouble),
    /// This machine cannot.
    #[error("TLS: no connection could be set up here")]
    Own,
}

impl Trouble {
    /// What `error` means, in a stream of bytes that began with `first`, within the handshake or after it.
    pub(super) fn of_tls(error: &Error, first: Option<u8>, established: bool) -> Trouble {
        match error {
            // Content types are 20 to 23; alert 21 and handshake 22 begin what a server says.
            Error::InvalidMessage(_) | Error::DecryptError
                if !established && first.is_some_and(|first| !(20..=23).contains(&first)) =>
            {
                Trouble::NotTls
            }
            Error::AlertReceived(alert) => Trouble::Alert(*alert),
            Error::InvalidCertificate(error) => of_certificate(error),
            Error::NoCertificatesPresented => Trouble::NoCertificate,
            Error::PeerIncompatible(_) => Trouble::Incompatible,
            Error::NoApplicationProtocol => Trouble::Alpn,
            Error::PeerSentOversizedRecord | Error::InvalidMessage(InvalidMessage::MessageTooLarge) => {
                Trouble::OversizedRecord
            }
            Error::DecryptError => Trouble::Undecryptable,
            Error::General(_) | Error::FailedToGetRandomBytes | Error::FailedToGetCurrentTime => Trouble::Own,
            _ => Trouble::Misbehaved,
        }
    }
}

fn of_certificate(error: &CertificateError) -> Trouble {
    match error {
        // The latter of a CA with the right name and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Trouble::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Trouble::WrongName
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Trouble::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Trouble::NotYetValid,
        CertificateError::Revoked => Trouble::Revoked,
        // What webpki says of a certificate that signs itself.
        CertificateError::Other(_) => Trouble::SelfSigned,
        _ => Trouble::BadCertificate,
    }
}

/// As RFC 8446 writes it.
fn name(alert: AlertDescription) -> String {
    let name = alert.as_str().unwrap_or("unknown");
    // `HandshakeFailure`, `UnknownCA`: a capital begins a word unless one stands before it.
    let mut text = String::new();
    let mut before = true;
    for letter in name.chars() {
        if letter.is_uppercase() && !before {
            text.push('_');
        }
        before = letter.is_uppercase();
        text.extend(letter.to_lowercase());
    }
    text
}

/// What would mend it, to stand behind the alert's name.
fn remedy(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => {
            ": the broker wants a client certificate; give one with --cert and --key"
        }
        AlertDescription::UnknownCA => {
            ": the broker does not trust who has signed the client's certificate (--cert)"
        }
        AlertDescription::CertificateExpired => ": the client's certificate (--cert) has expired",
        AlertDescription::CertificateRevoked => ": the client's certificate (--cert) was revoked",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            ": the broker does not take the client's certificate, or the lack of one (--cert, --key)"
        }
        AlertDescription::HandshakeFailure => {
            ": no version, cipher suite or key is common, or the broker wants a client certificate (--ciphers, \
             --tls-version, --cert)"
        }
        AlertDescription::ProtocolVersion => {
            ": the broker does not speak this version of TLS; see --tls-version"
        }
        AlertDescription::UnrecognisedName => {
            ": the broker does not know the name it was called by; see --sni"
        }
        AlertDescription::NoApplicationProtocol => ": the broker speaks none of the protocols of --alpn",
        AlertDescription::AccessDenied => ": the broker does not let this client in",
        _ => "",
    }
}
