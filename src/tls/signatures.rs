//! The signature checks of one client's certificates: counted, bounded, and none done twice.
//!
//! One account serves every search that a handshake makes: that for certificates with a link to the trust store,
//! webpki's, our own, and that for the issuer of a pinned certificate.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

use super::certificate::algorithms;
use super::limits::over;
use super::verifier::VerifyError;

/// Most signatures checked for one client, but for its own over the handshake.
pub(crate) const MAX_CHECKS: usize = 20;
/// Most of these that may fail. Paths that people have need none or one: a second key of a CA under its old name.
pub(crate) const MAX_FAILURES: usize = 4;

/// The account of one client.
#[derive(Debug)]
pub(crate) struct Signatures {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    checks_left: usize,
    failures_left: usize,
    /// Whether a check was not done because nothing was left.
    refused: bool,
    /// By the hash of algorithm, key, message and signature.
    known: HashMap<[u8; 32], bool>,
}

impl Signatures {
    /// For a client. The trust store has this many CAs that share their name with another, each of which may have to be
    /// tried.
    pub(crate) fn limited(namesakes: usize) -> Self {
        Self::with(MAX_CHECKS + namesakes, MAX_FAILURES + namesakes)
    }

    /// For an operator's own files.
    pub(crate) fn unlimited() -> Self {
        Self::with(usize::MAX, usize::MAX)
    }

    fn with(checks_left: usize, failures_left: usize) -> Self {
        let known = HashMap::new();
        Self { state: Mutex::new(State { checks_left, failures_left, refused: false, known }) }
    }

    /// Every algorithm that certificates may be signed with, on this account.
    pub(crate) fn algorithms(&self) -> Vec<Counted<'_>> {
        algorithms().iter().map(|algorithm| Counted { algorithm: *algorithm, account: self }).collect()
    }

    /// How many signatures were checked.
    #[cfg(test)]
    pub(crate) fn done(&self) -> usize {
        self.lock().known.len()
    }

    /// The refusal, once a check was not done because of the limits.
    pub(crate) fn exhausted(&self) -> Option<VerifyError> {
        self.lock().refused.then(|| {
            over(format!(
                "the client's certificates take more than {MAX_CHECKS} signature checks, or {MAX_FAILURES} that fail"
            ))
        })
    }

    /// A panic elsewhere can't leave the account half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An algorithm whose use is counted.
#[derive(Debug)]
pub(crate) struct Counted<'s> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    account: &'s Signatures,
}

impl SignatureVerificationAlgorithm for Counted<'_> {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = key([self.signature_alg_id().as_ref(), public_key, message, signature]);
        let mut state = self.account.lock();
        let good = match state.known.get(&key) {
            Some(good) => *good,
            None if state.checks_left == 0 || state.failures_left == 0 => {
                state.refused = true;
                return Err(InvalidSignature);
            }
            None => {
                state.checks_left -= 1;
                let good = self.algorithm.verify_signature(public_key, message, signature).is_ok();
                state.failures_left -= usize::from(!good);
                state.known.insert(key, good);
                good
            }
        };
        if good { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.algorithm.fips()
    }
}

/// SHA-256 of the parts, each behind its length.
fn key(parts: [&[u8]; 4]) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(digest.finish().as_ref());
    key
}

#[cfg(test)]
mod tests;
