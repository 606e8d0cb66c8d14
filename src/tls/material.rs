//! Everything that a handshake needs, checked once and shared by all connections.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::UnixTime;
use tokio::sync::Semaphore;

use super::certificate::Certificate;
use super::connection::ConnectionVerifier;
use super::remembered::RememberingVerifier;
use super::signatures::Signatures;
use super::verifier::{ClientVerifier, TrustKind, VerifyError};
use super::{date, hex, name};
use crate::reason::Refusal;
use crate::rfc3339::unix;
use crate::store::KeyStore;

static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Which TLS versions are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12AndTls13,
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// How TLS is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Which TLS versions are spoken.
    pub versions: TlsVersions,
}

/// The server's certificate and key, the verifier of clients, and the TLS parameters.
pub struct TlsMaterial {
    provider: Arc<CryptoProvider>,
    versions: &'static [&'static SupportedProtocolVersion],
    server: Arc<SingleCertAndKey>,
    verifier: Arc<RememberingVerifier>,
    certificates: Vec<LoadedCertificate>,
    warnings: Vec<String>,
}

/// What a loaded certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateRole {
    /// The server's own.
    Server,
    /// Sent by the server behind its own.
    Intermediate,
    /// An entry of the trust store.
    TrustAnchor,
    /// A client's certificate that is trusted alone.
    Pinned,
}

impl CertificateRole {
    /// The word in labels and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Intermediate => "intermediate",
            Self::TrustAnchor => "trust_anchor",
            Self::Pinned => "pinned_certificate",
        }
    }
}

/// What metrics and `/status` tell of a loaded certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedCertificate {
    /// What it is for.
    pub role: CertificateRole,
    /// Its name in the trust store, where it has one.
    pub alias: Option<String>,
    /// The subject's common name, or the whole subject when it has none; for people.
    pub common_name: String,
    /// The subject; for people.
    pub subject: String,
    /// The issuer; for people.
    pub issuer: String,
    /// The issuer's common name, or the whole issuer when it has none; for people.
    pub issuer_common_name: String,
    /// Lower-case hex.
    pub serial: String,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
}

/// Why the server can't speak TLS with this key store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// The key store has a key but no certificate.
    #[error("the key store has no certificate for its key")]
    NoCertificate,
    /// One of its certificates can't be parsed.
    #[error("certificate {position} of the key store can't be used: {reason}")]
    Certificate {
        /// Position in the chain from 1, the server's own first.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS needs version 3.
    #[error("the server's certificate {subject} is of X.509 version {version}: issue it as version 3")]
    OldVersion {
        /// The subject, for people.
        subject: String,
        /// 1 or 2.
        version: u32,
    },
    /// Clients would refuse it.
    #[error("the server's certificate {subject} expired at {}: renew it", date(*.not_after))]
    Expired {
        /// The subject, for people.
        subject: String,
        /// Unix seconds.
        not_after: i64,
    },
    /// Clients would refuse it.
    #[error("the server's certificate {subject} is not valid before {}: check the clock", date(*.not_before))]
    NotYetValid {
        /// The subject, for people.
        subject: String,
        /// Unix seconds.
        not_before: i64,
    },
    /// Clients that don't have the right issuer themselves would refuse it.
    #[error(
        "the key store's certificate {subject} was not signed by the issuer of that name beside it: put the issuer's \
         certificate there that belongs to its key"
    )]
    BrokenChain {
        /// The subject, for people.
        subject: String,
    },
    /// The certificate's key is too weak or of an unsupported kind.
    #[error("the server's certificate is unusable: {0}")]
    WeakKey(String),
    /// The private key is not the certificate's.
    #[error("the private key does not belong to the server's certificate {subject}")]
    KeyMismatch {
        /// The subject, for people.
        subject: String,
    },
    /// The private key can't be used.
    #[error("the private key can't be used: {0}")]
    Key(String),
}

impl TlsMaterial {
    /// Checks the server's key and certificate as of `now` and puts everything together.
    ///
    /// # Errors
    /// See [`MaterialError`]; each says what to do.
    pub fn new(
        key_store: KeyStore,
        verifier: Arc<ClientVerifier>,
        options: TlsOptions,
        now: UnixTime,
    ) -> Result<Self, MaterialError> {
        let KeyStore { chain, key } = key_store;
        let mut parsed = Vec::with_capacity(chain.len());
        for (index, certificate) in chain.iter().enumerate() {
            let certificate = Certificate::parse(certificate.clone())
                .map_err(|reason| MaterialError::Certificate { position: index + 1, reason })?;
            parsed.push(certificate);
        }
        let leaf = parsed.first().ok_or(MaterialError::NoCertificate)?;
        let seconds = unix(now);
        check_server(leaf, seconds)?;
        check_chain(&parsed)?;
        let provider = Arc::new(provider());
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| key_error(error, leaf))?;
        Ok(Self {
            versions: match options.versions {
                TlsVersions::Tls12AndTls13 => &BOTH,
                TlsVersions::Tls12 => &BOTH[1..],
                TlsVersions::Tls13 => &BOTH[..1],
            },
            certificates: loaded(&parsed, &verifier),
            warnings: warnings(&parsed, seconds),
            server: Arc::new(SingleCertAndKey::from(certified)),
            provider,
            verifier: Arc::new(RememberingVerifier::new(verifier)),
        })
    }

    /// What works but will surprise someone, for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Every loaded certificate: the server's chain, then the trust store.
    pub fn certificates(&self) -> &[LoadedCertificate] {
        &self.certificates
    }

    /// The judge of clients.
    pub fn verifier(&self) -> &Arc<ClientVerifier> {
        self.verifier.verifier()
    }

    pub(crate) fn connection_verifier(&self, places: Arc<Semaphore>) -> Arc<ConnectionVerifier> {
        let algorithms = self.provider.signature_verification_algorithms;
        Arc::new(ConnectionVerifier::new(Arc::clone(&self.verifier), algorithms, places))
    }

    /// A configuration for one connection, so that its verifier can keep the outcome. No session can be
    /// resumed: a resumed handshake would skip the verifier.
    pub(crate) fn server_config(&self, verifier: Arc<ConnectionVerifier>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(self.versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&self.server) as Arc<_>);
        config.ignore_client_order = true;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaterial").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

/// AES-128-GCM-SHA256 first: it costs least, per handshake and in bulk.
fn provider() -> CryptoProvider {
    use aws_lc_rs::cipher_suite::*;
    let cipher_suites = vec![
        TLS13_AES_128_GCM_SHA256,
        TLS13_AES_256_GCM_SHA384,
        TLS13_CHACHA20_POLY1305_SHA256,
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() }
}

fn check_server(leaf: &Certificate<'_>, now: i64) -> Result<(), MaterialError> {
    let subject = name::text(leaf.subject());
    if leaf.version < 3 {
        return Err(MaterialError::OldVersion { subject, version: leaf.version });
    }
    if now > leaf.not_after {
        return Err(MaterialError::Expired { subject, not_after: leaf.not_after });
    }
    if now < leaf.not_before {
        return Err(MaterialError::NotYetValid { subject, not_before: leaf.not_before });
    }
    leaf.check_key().map_err(|error| MaterialError::WeakKey(error.detail))
}

/// Where a certificate's issuer is sent along, it must be the one that signed. That it is not sent at all is a warning:
/// clients may have it.
fn check_chain(chain: &[Certificate<'_>]) -> Result<(), MaterialError> {
    for certificate in chain.iter().filter(|certificate| !certificate.is_self_issued()) {
        let issuer = name::canonical(certificate.issuer());
        let issuers = chain.iter().filter(|candidate| name::canonical(candidate.subject()) == issuer);
        let signed: Vec<_> =
            issuers.map(|issuer| certificate.check_signature(issuer, &Signatures::unlimited())).collect();
        let is_bad = |checked: &Result<(), VerifyError>| {
            checked.as_ref().is_err_and(|error| error.refusal == Refusal::BadSignature)
        };
        if !signed.is_empty() && signed.iter().all(is_bad) {
            return Err(MaterialError::BrokenChain { subject: certificate.label() });
        }
    }
    Ok(())
}

fn key_error(error: rustls::Error, leaf: &Certificate<'_>) -> MaterialError {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            MaterialError::KeyMismatch { subject: name::text(leaf.subject()) }
        }
        rustls::Error::InvalidCertificate(error) => {
            MaterialError::Certificate { position: 1, reason: error.to_string() }
        }
        rustls::Error::General(text) => MaterialError::Key(text),
        other => MaterialError::Key(other.to_string()),
    }
}

fn warnings(chain: &[Certificate<'_>], now: i64) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(leaf) = chain.first().filter(|leaf| !leaf.allows_server()) {
        warnings
            .push(format!("{}: its extendedKeyUsage lacks serverAuth, so most clients will refuse it", leaf.label()));
    }
    for (subject, issuer) in chain.iter().zip(chain.iter().skip(1)) {
        if name::canonical(subject.issuer()) != name::canonical(issuer.subject()) {
            let (subject, issuer) = (subject.label(), issuer.label());
            warnings.push(format!("the key store's chain is out of order: {subject} was not issued by {issuer}"));
        }
    }
    for certificate in chain.iter().skip(1) {
        if let Err(error) = certificate.check_validity(now) {
            warnings.push(error.detail);
        }
    }
    warnings
}

fn loaded(chain: &[Certificate<'_>], verifier: &ClientVerifier) -> Vec<LoadedCertificate> {
    let roles = std::iter::once(CertificateRole::Server).chain(std::iter::repeat(CertificateRole::Intermediate));
    let own = chain.iter().zip(roles).map(|(certificate, role)| describe(certificate, role, None));
    let trusted = verifier.trusted().enumerate().map(|(entry, (certificate, anchor))| {
        let pinned = verifier.trust_kind(entry) == TrustKind::Pinned;
        let role = if pinned { CertificateRole::Pinned } else { CertificateRole::TrustAnchor };
        describe(certificate, role, anchor.alias.clone())
    });
    own.chain(trusted).collect()
}

fn describe(certificate: &Certificate<'_>, role: CertificateRole, alias: Option<String>) -> LoadedCertificate {
    LoadedCertificate {
        role,
        alias,
        common_name: name::common_name(certificate.subject()),
        subject: name::text(certificate.subject()),
        issuer: name::text(certificate.issuer()),
        issuer_common_name: name::common_name(certificate.issuer()),
        serial: hex(certificate.serial()),
        not_before: certificate.not_before,
        not_after: certificate.not_after,
    }
}
