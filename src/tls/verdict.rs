//! What is said of a client's certificates, and of files that clients can't be verified with.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::certificate::Certificate;
use super::revocation::CrlError;
use super::{hex, name};
use crate::reason::Refusal;

/// The trust-store entry that a client was accepted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The entry's alias, where the store has aliases.
    pub alias: Option<String>,
    /// SHA-256 of the certificate's DER.
    pub sha256: [u8; 32],
    /// The subject, for people.
    pub subject: String,
}

/// An accepted chain: how long it holds and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChain {
    /// Latest notBefore of the leaf and the intermediates of the accepted path, Unix seconds. The anchor's
    /// does not count.
    pub not_before: i64,
    /// Earliest notAfter of the same, Unix seconds.
    pub not_after: i64,
    /// The leaf's notBefore, Unix seconds.
    pub leaf_not_before: i64,
    /// The leaf's notAfter, Unix seconds.
    pub leaf_not_after: i64,
    /// The leaf's subject as its `x509` id has it; empty if it has none.
    pub subject: Arc<str>,
    /// The leaf's serial number, lower-case hex.
    pub serial: Arc<str>,
    /// SHA-256 of the leaf's DER, lower-case hex.
    pub leaf_sha256: Arc<str>,
    /// The trust-store entry that the path ends at; for a pin, the leaf itself.
    pub anchor: Arc<Anchor>,
    /// Whether the leaf itself is in the trust store, or pinned.
    pub pinned: bool,
    /// The positions of the accepted path's certificates in what the client sent, the leaf's first. The anchor's is not
    /// among them.
    pub path: Arc<[usize]>,
}

impl VerifiedChain {
    /// Of what the client sent, the accepted path: all that is worth keeping.
    pub(crate) fn kept<'c>(&self, sent: &[CertificateDer<'c>]) -> Vec<CertificateDer<'c>> {
        self.path.iter().filter_map(|&position| sent.get(position).cloned()).collect()
    }
}

/// Why a chain is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct VerifyError {
    /// The word from the closed list.
    pub refusal: Refusal,
    /// Which certificate, what is wrong with it, and what to do, for people.
    pub detail: String,
    /// The leaf's subject for people, when it could be parsed.
    pub subject: Option<String>,
    /// The leaf's serial number in lower-case hex, when it could be parsed.
    pub serial: Option<String>,
}

impl VerifyError {
    pub(crate) fn new(refusal: Refusal, detail: String) -> Self {
        Self { refusal, detail, subject: None, serial: None }
    }

    pub(super) fn about(mut self, leaf: &Certificate<'_>) -> Self {
        self.subject = Some(name::text(leaf.subject()));
        self.serial = Some(hex(leaf.serial()));
        self
    }
}

/// Why clients can't be verified with these files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// Nobody could ever connect.
    #[error("the trust store has no certificate")]
    Empty,
    /// An entry can serve neither as a CA nor as a pinned client certificate.
    #[error("the trust store's entry {entry} can't be used: {reason}")]
    Certificate {
        /// The alias, or the position from 1.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pinned certificate can't be used.
    #[error("the pinned certificate can't be used: {reason}")]
    Pinned {
        /// Index in the list that was given.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A CRL can't be taken.
    #[error("CRL {}: {error}", index + 1)]
    Crl {
        /// Index in the list that was given.
        index: usize,
        /// What is wrong with it.
        error: CrlError,
    },
}
