//! How a handshake fails.

use std::io;

use rustls::{AlertDescription, InvalidMessage, PeerIncompatible, PeerMisbehaved};

use super::plaintext::PlaintextKind;
use super::socket::TooMuch;
use super::verifier::VerifyError;
use crate::reason::Refusal;

/// Why a connection did not become an authenticated one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The client closed without sending a byte: a load balancer's health check.
    #[error("the client closed the connection without sending anything")]
    Probe,
    /// The client sent the ClientHello of SSL 3.0, which no client sends any more: HAProxy's `ssl-hello-chk`.
    #[error("the client sent the ClientHello of SSL 3.0, as HAProxy's ssl-hello-chk does")]
    Ssl3,
    /// The client does not speak TLS.
    #[error("the client spoke plaintext ({}) to the TLS port{}", .0.as_str(), .0.remedy())]
    Plaintext(PlaintextKind),
    /// A header of the PROXY protocol where none may come, or none where one must; how so.
    #[error("a header of the PROXY protocol: {0}")]
    ProxyHeader(String),
    /// The ClientHello is longer than is read, or cut into too many records.
    #[error("the ClientHello is longer than {} KiB, or cut into too many records", super::client_hello::LONGEST / 1024)]
    LongClientHello,
    /// The client's other messages are longer than is read.
    #[error("{TooMuch}: let it send its certificate and its issuers only")]
    LongHandshake,
    /// The server name that the client asks for can't be read, and rustls goes no further then.
    #[error(
        "the client asks for a server name (SNI) that is no host name: {0}; connect by a name of letters, digits, hyphens and dots, or by an address"
    )]
    ServerName(String),
    /// All places of those that are not admitted yet are taken, or all that one source may have.
    #[error(
        "too many connections that are not admitted yet: `limits.handshakes` of them, or half as many of one source"
    )]
    TooManyHandshakes,
    /// The deadline passed.
    #[error("the handshake was not finished in time")]
    Timeout,
    /// The client went away.
    #[error("the client went away during the handshake")]
    Reset,
    /// The client's certificate is not acceptable.
    #[error("{}", .0.detail)]
    Refused(Box<VerifyError>),
    /// The client has no certificate, or none that fits what it was asked for. Clients don't tell which.
    #[error(
        "the client sent no certificate: its key store is not configured, or no certificate in it fits the CAs and \
         signature algorithms that zoogate asks for; or it is a probe, which needs none"
    )]
    NoCertificate,
    /// The client does not speak a TLS version that is allowed here.
    #[error("the client speaks no TLS version that is allowed here")]
    NoCommonVersion,
    /// No cipher suite, group or signature scheme in common.
    #[error("no cipher suite, group or signature scheme in common with the client: {0}")]
    NoCommonCipher(String),
    /// The client gave up; most often it does not trust the server's certificate.
    #[error("the client refused the handshake with the alert {}: {}", alert_word(*.0), alert_advice(*.0))]
    PeerAlert(AlertDescription),
    /// A message can't be parsed.
    #[error("the client sent a malformed handshake message: {0}")]
    Malformed(String),
    /// The client does not hold the key of the certificate that it sent.
    #[error("the client's signature over the handshake does not verify with its certificate")]
    BadSignature,
    /// Anything else.
    #[error("the handshake failed: {0}")]
    Protocol(String),
}

impl HandshakeError {
    /// The word from the closed list; `None` for a probe, which is not a refused client.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Probe | Self::Ssl3 => None,
            Self::Plaintext(_) => Some(Refusal::Plaintext),
            Self::ProxyHeader(_) => Some(Refusal::ProxyHeader),
            Self::LongClientHello | Self::LongHandshake => Some(Refusal::Malformed),
            Self::ServerName(_) => Some(Refusal::ServerName),
            Self::TooManyHandshakes => Some(Refusal::TooManyHandshakes),
            Self::Timeout => Some(Refusal::Timeout),
            Self::Reset => Some(Refusal::Reset),
            Self::Refused(error) => Some(error.refusal),
            Self::NoCertificate => Some(Refusal::NoCertificate),
            Self::NoCommonVersion => Some(Refusal::NoCommonVersion),
            Self::NoCommonCipher(_) => Some(Refusal::NoCommonCipher),
            Self::PeerAlert(_) => Some(Refusal::PeerAlert),
            Self::Malformed(_) => Some(Refusal::Malformed),
            Self::BadSignature => Some(Refusal::BadSignature),
            Self::Protocol(_) => Some(Refusal::Protocol),
        }
    }

    /// Whether something was written to the client, or it should see an orderly end.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Self::Plaintext(_) | Self::ProxyHeader(_) | Self::Ssl3 | Self::LongClientHello)
    }

    /// From what rustls says, when the client's certificate was not the reason.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        let Some(inner) = error.get_ref() else { return Self::Reset };
        match inner.downcast_ref::<rustls::Error>() {
            Some(error) => Self::from_tls(error),
            None if inner.is::<TooMuch>() => Self::LongHandshake,
            // Without an error of TLS, it is the connection that broke.
            None => Self::Reset,
        }
    }

    fn from_tls(error: &rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::NoCertificatesPresented => Self::NoCertificate,
            E::AlertReceived(description) => Self::PeerAlert(*description),
            E::InvalidMessage(message @ InvalidMessage::InvalidServerName) => Self::ServerName(format!("{message:?}")),
            E::PeerMisbehaved(why @ PeerMisbehaved::ServerNameMustContainOneHostName) => {
                Self::ServerName(format!("{why:?}"))
            }
            E::InvalidMessage(message) => Self::Malformed(format!("{message:?}")),
            E::PeerSentOversizedRecord => Self::Malformed("a record that is too long".to_owned()),
            E::InvalidCertificate(_) => Self::BadSignature,
            E::PeerIncompatible(why) => incompatible(why),
            other => Self::Protocol(other.to_string()),
        }
    }
}

fn incompatible(why: &PeerIncompatible) -> HandshakeError {
    use PeerIncompatible as P;
    match why {
        P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        // TLS 1.1 and older have no such extension, and rustls looks for it before it looks at the version.
        | P::SignatureAlgorithmsExtensionRequired => HandshakeError::NoCommonVersion,
        P::NoCipherSuitesInCommon
        | P::NoKxGroupsInCommon
        | P::NoEcPointFormatsInCommon
        | P::NoSignatureSchemesInCommon
        | P::NoCertificateRequestSignatureSchemesInCommon
        | P::NamedGroupsExtensionRequired
        | P::KeyShareExtensionRequired
        | P::EcPointsExtensionRequired
        | P::UncompressedEcPointsRequired => HandshakeError::NoCommonCipher(format!("{why:?}")),
        other => HandshakeError::Protocol(format!("{other:?}")),
    }
}

/// The name as RFC 8446 §6 writes it.
fn alert_word(alert: AlertDescription) -> String {
    let name = alert.as_str().map_or_else(|| u8::from(alert).to_string(), str::to_owned);
    let mut word = String::new();
    for (index, c) in name.char_indices() {
        if c.is_ascii_uppercase() && index > 0 && !name[..index].ends_with(|before: char| before.is_ascii_uppercase()) {
            word.push('_');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

fn alert_advice(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::CertificateUnknown | AlertDescription::BadCertificate => {
            "its trust store lacks the CA of the server's certificate, or the certificate lacks the name it dialled"
        }
        AlertDescription::CertificateExpired => "it finds the server's certificate expired",
        AlertDescription::UserCanceled => "it gave up",
        _ => "see the client's log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_named_as_in_the_rfc() {
        let error = HandshakeError::PeerAlert(AlertDescription::UnknownCA);
        assert!(error.to_string().contains("the alert unknown_ca: its trust store lacks"), "{error}");
        assert_eq!(alert_word(AlertDescription::CertificateUnknown), "certificate_unknown");
        assert_eq!(alert_word(AlertDescription::Unknown(200)), "200");
    }

    #[test]
    fn a_broken_connection_is_told_from_a_tls_error() {
        assert_eq!(HandshakeError::from_io(&io::ErrorKind::UnexpectedEof.into()), HandshakeError::Reset);
        let tls = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::NoCertificatesPresented);
        assert_eq!(HandshakeError::from_io(&tls), HandshakeError::NoCertificate);
    }
}
