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

/// Bytes that are remembered, enough for some 10,000 clients. All are forgotten when there are more. What a client sends
/// behind its certificate makes no more of them: there is one entry for each leaf.
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
    /// By the SHA-256 of the leaf.
    accepted: HashMap<[u8; 32], Accepted>,
    bytes: usize,
}

#[derive(Clone)]
struct Accepted {
    chain: VerifiedChain,
    /// SHA-256 of each intermediate of the path, in the order of the path.
    issuers: Arc<[[u8; 32]]>,
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
        limits::check(chain)?;
        let Some((leaf, others)) = chain.split_first() else { return self.verifier.verify(chain, now) };
        let (key, seconds) = (sha256(leaf), unix(now));
        let known = self.lock().accepted.get(&key).filter(|known| known.holds.contains(&seconds)).cloned();
        if let Some(verified) = known.and_then(|known| known.within(others)) {
            self.verifier.check_beside(chain, &verified)?;
            return Ok(verified);
        }
        let verified = self.verifier.verify(chain, now)?;
        let holds = holds((verified.not_before, verified.not_after), self.verifier.crls(), seconds);
        let issuers = verified.kept(chain).iter().skip(1).map(|issuer| sha256(issuer)).collect();
        self.learn(key, Accepted { chain: verified.clone(), issuers, holds });
        Ok(verified)
    }

    fn learn(&self, key: [u8; 32], accepted: Accepted) {
        let bytes = accepted.bytes();
        let mut memory = self.lock();
        if memory.bytes + bytes > self.room {
            *memory = Memory::default();
        }
        let before = memory.accepted.insert(key, accepted).map_or(0, |before| before.bytes());
        memory.bytes = memory.bytes + bytes - before;
    }

    /// A panic elsewhere can't leave the memory half-changed.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accepted {
    fn bytes(&self) -> usize {
        EACH + self.chain.subject.len() + self.chain.serial.len() + self.issuers.len() * size_of::<([u8; 32], usize)>()
    }

    /// The verdict on what a client sends now, if its path is all there.
    fn within(self, others: &[CertificateDer<'_>]) -> Option<VerifiedChain> {
        if self.issuers.is_empty() {
            return Some(self.chain);
        }
        let sent: Vec<_> = others.iter().map(|certificate| sha256(certificate)).collect();
        let position = |issuer: &[u8; 32]| sent.iter().position(|sent| sent == issuer).map(|index| index + 1);
        let issuers = self.issuers.iter().map(position).collect::<Option<Vec<_>>>()?;
        let path: Vec<_> = std::iter::once(0).chain(issuers).collect();
        if *path == *self.chain.path {
            return Some(self.chain);
        }
        Some(VerifiedChain { path: path.into(), ..self.chain })
    }
}

fn sha256(certificate: &[u8]) -> [u8; 32] {
    Sha256::digest(certificate).into()
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
    use tokio::sync::Semaphore;

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
        assert_eq!(&*longer.subject, "remembered", "what is sent behind it does not matter");
    }

    #[test]
    fn handshakes_use_the_memory() {
        let client = certificate();
        let verifier = Arc::new(trusting(&client));
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let connection = ConnectionVerifier::new(Arc::clone(&verifier), algorithms, Arc::new(Semaphore::new(1)));
        connection.verify_client_cert(&client, &[], UnixTime::now()).unwrap();
        verifier.lock().accepted.values_mut().for_each(|known| known.chain.subject = "remembered".into());
        connection.verify_client_cert(&client, &[], UnixTime::now()).unwrap();
        assert_eq!(&*connection.take_outcome().unwrap().unwrap().subject, "remembered");
    }

    #[test]
    fn a_refusal_is_not_remembered_and_junk_takes_no_room() {
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
        assert_eq!([0, 1, 1, 2, 3, 4].map(remembered), [1; 6], "one entry, whatever is sent behind the certificate");
    }

    #[test]
    fn the_memory_has_an_end() {
        let clients = [certificate(), certificate(), certificate()];
        let certificates =
            clients.iter().map(|it| TrustedCertificate { alias: None, certificate: it.clone() }).collect();
        let verifier = ClientVerifier::new(&TrustStore { certificates }, Vec::new(), RevocationOptions::default());
        let verifier =
            RememberingVerifier { room: 2 * EACH + 200, ..RememberingVerifier::new(Arc::new(verifier.unwrap())) };
        let remembered = |client: usize| {
            verifier.verify(from_ref(&clients[client]), UnixTime::now()).unwrap();
            let memory = verifier.lock();
            assert_eq!(memory.bytes, memory.accepted.values().map(Accepted::bytes).sum::<usize>());
            memory.accepted.len()
        };
        assert_eq!([0, 0, 1, 1, 2, 2, 0].map(remembered), [1, 1, 2, 2, 1, 1, 2]);
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
}
