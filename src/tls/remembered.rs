//! Chains that were accepted, so that a client that comes back, or the next of many that share a certificate, costs no
//! second search for a path and no signature but its own.
//!
//! What is remembered is what [`ClientVerifier::verify`] said and how long nothing but time can change it. It ends
//! with the verifier: new trust, new CRLs or new options make another one.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};

use super::limits;
use super::revocation::CrlInfo;
use super::verifier::{ClientVerifier, VerifiedChain, VerifyError};
use crate::rfc3339::unix;

/// Bytes that are remembered, enough for some 10,000 chains. All are forgotten when there are more: a client may send
/// one certificate with ever other useless ones behind it, and gains by that only its own search.
const ROOM: usize = 4 * 1024 * 1024;

/// What a chain takes, but for its texts: its entry, the hash as text, and the headers of what is allocated for it.
const EACH: usize = size_of::<([u8; 32], Accepted)>() + 200;

/// A verifier that remembers whom it accepted.
pub struct RememberingVerifier {
    verifier: Arc<ClientVerifier>,
    memory: Mutex<Memory>,
    room: usize,
}

#[derive(Default)]
struct Memory {
    /// By [`key`].
    accepted: HashMap<[u8; 32], Accepted>,
    bytes: usize,
}

struct Accepted {
    chain: VerifiedChain,
    /// When the verifier says the same, in Unix seconds.
    holds: RangeInclusive<i64>,
}

impl RememberingVerifier {
    /// Remembers nobody yet.
    pub fn new(verifier: Arc<ClientVerifier>) -> Self {
        Self { verifier, memory: Mutex::default(), room: ROOM }
    }

    /// The verifier itself.
    pub fn verifier(&self) -> &Arc<ClientVerifier> {
        &self.verifier
    }

    /// As [`ClientVerifier::verify`].
    ///
    /// # Errors
    /// As [`ClientVerifier::verify`]; they are found anew each time.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<VerifiedChain, VerifyError> {
        limits::check_size(chain)?;
        let (key, seconds) = (key(chain), unix(now));
        if let Some(known) = self.lock().accepted.get(&key).filter(|known| known.holds.contains(&seconds)) {
            return Ok(known.chain.clone());
        }
        let verified = self.verifier.verify(chain, now)?;
        let holds = holds((verified.not_before, verified.not_after), self.verifier.crls(), seconds);
        self.learn(key, Accepted { chain: verified.clone(), holds });
        Ok(verified)
    }

    fn learn(&self, key: [u8; 32], accepted: Accepted) {
        let bytes = EACH + accepted.chain.subject.len() + accepted.chain.serial.len();
        let mut memory = self.lock();
        if memory.bytes + bytes > self.room {
            *memory = Memory::default();
        }
        if memory.accepted.insert(key, accepted).is_none() {
            memory.bytes += bytes;
        }
    }

    /// A panic elsewhere can't leave the memory half-changed.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SHA-256 of the certificates, each behind its length.
fn key(chain: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for certificate in chain {
        hash.update((certificate.len() as u64).to_be_bytes());
        hash.update(certificate);
    }
    hash.finalize().into()
}

/// The seconds around `now` in which a path holds, and each CRL is in date, overdue or not valid yet as it is now.
fn holds<'a>(
    (mut first, mut last): (i64, i64),
    crls: impl Iterator<Item = &'a CrlInfo>,
    now: i64,
) -> RangeInclusive<i64> {
    for crl in crls {
        // Each begins to be another at these seconds.
        for begins in [Some(crl.this_update), crl.next_update.map(|next| next.saturating_add(1))].into_iter().flatten()
        {
            if begins <= now {
                first = first.max(begins);
            } else {
                last = last.min(begins - 1);
            }
        }
    }
    first..=last
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use rcgen::{CertificateParams, KeyPair};

    use rustls::server::danger::ClientCertVerifier;

    use super::*;
    use crate::store::{TrustStore, TrustedCertificate};
    use crate::tls::connection::ConnectionVerifier;
    use crate::tls::revocation::RevocationOptions;

    fn certificate() -> CertificateDer<'static> {
        let params = CertificateParams::new(Vec::new()).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    /// Trusts this certificate, and has room for two chains of it.
    fn trusting(certificate: &CertificateDer<'static>) -> RememberingVerifier {
        let certificates = vec![TrustedCertificate { alias: None, certificate: certificate.clone() }];
        let verifier = ClientVerifier::new(&TrustStore { certificates }, Vec::new(), RevocationOptions::default());
        RememberingVerifier { room: 2 * EACH + 200, ..RememberingVerifier::new(Arc::new(verifier.unwrap())) }
    }

    #[test]
    fn the_second_time_the_verifier_is_not_asked() {
        let client = certificate();
        let verifier = trusting(&client);
        let now = UnixTime::now();
        let first = verifier.verify(from_ref(&client), now).unwrap();
        verifier.lock().accepted.values_mut().for_each(|known| known.chain.subject = "remembered".into());
        let second = verifier.verify(from_ref(&client), now).unwrap();
        assert_eq!(second, VerifiedChain { subject: "remembered".into(), ..first });
        let longer = verifier.verify(&[client.clone(), client.clone()], now).unwrap();
        assert_ne!(&*longer.subject, "remembered", "another chain");
    }

    #[test]
    fn handshakes_use_the_memory() {
        let client = certificate();
        let verifier = Arc::new(trusting(&client));
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let connection = ConnectionVerifier::new(Arc::clone(&verifier), algorithms);
        connection.verify_client_cert(&client, &[], UnixTime::now()).unwrap();
        verifier.lock().accepted.values_mut().for_each(|known| known.chain.subject = "remembered".into());
        connection.verify_client_cert(&client, &[], UnixTime::now()).unwrap();
        assert_eq!(&*connection.take_outcome().unwrap().unwrap().subject, "remembered");
    }

    #[test]
    fn who_was_refused_is_not_remembered_and_the_memory_has_an_end() {
        let (client, other) = (certificate(), certificate());
        let verifier = trusting(&client);
        let now = UnixTime::now();
        verifier.verify(from_ref(&other), now).unwrap_err();
        assert!(verifier.lock().accepted.is_empty());
        let remembered = |useless: usize| {
            let chain = [vec![client.clone()], vec![other.clone(); useless]].concat();
            verifier.verify(&chain, now).unwrap();
            verifier.lock().accepted.len()
        };
        assert_eq!([0, 1, 1, 2, 3, 4].map(remembered), [1, 2, 2, 1, 2, 1]);
    }

    fn crl(this_update: i64, next_update: Option<i64>) -> CrlInfo {
        let (issuer, issuer_common_name, number) = Default::default();
        CrlInfo { issuer, issuer_common_name, number, this_update, next_update, entries: 0 }
    }

    fn holds_at(now: i64, crls: &[CrlInfo]) -> RangeInclusive<i64> {
        holds((10, 100), crls.iter(), now)
    }

    #[test]
    fn a_verdict_holds_as_long_as_its_path_and_every_crl_is_what_it_was() {
        assert_eq!(holds_at(50, &[]), 10..=100);
        assert_eq!(holds_at(50, &[crl(20, Some(60))]), 20..=60, "in date");
        assert_eq!(holds_at(60, &[crl(20, Some(60))]), 20..=60, "in date for the last time");
        assert_eq!(holds_at(61, &[crl(20, Some(60))]), 61..=100, "overdue");
        assert_eq!(holds_at(19, &[crl(20, Some(60))]), 10..=19, "not valid yet");
        assert_eq!(holds_at(50, &[crl(20, None)]), 20..=100);
        assert_eq!(holds_at(50, &[crl(20, Some(60)), crl(30, Some(40)), crl(55, Some(i64::MAX))]), 41..=54);
        assert_eq!(holds_at(50, &[crl(0, Some(1_000))]), 10..=100);
    }

    #[test]
    fn chains_of_the_same_bytes_in_other_certificates_are_different() {
        let der = |bytes: &'static [u8]| CertificateDer::from(bytes);
        let keys = [
            key(&[der(b"ab"), der(b"c")]),
            key(&[der(b"a"), der(b"bc")]),
            key(&[der(b"abc")]),
            key(&[der(b"c"), der(b"ab")]),
            key(&[der(b"abc"), der(b"")]),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
    }
}
