//! The properties of certificates, chains, revocation lists and first bytes; see `crate::fuzzing`.

use std::sync::LazyLock;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};

use super::certificate::{Certificate, Signature, verify_signed};
use super::plaintext::{PlaintextKind, classify};
use super::revocation::{Revocation, RevocationOptions};
use super::signatures::Signatures;
use super::trusted::Trusted;
use super::verifier::ClientVerifier;
use super::{der, name};
use crate::identity::{self, Source, subject_name};
use crate::store::{TrustStore, TrustedCertificate};
use crate::zk::four_letter_word::FourLetterWord;

/// A CA, and a client that it issued; both hold until 2046.
const CA: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/trust/ca.der"));
const ALICE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/trust/alice.der"));

/// 2030-01-01.
const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_893_456_000));

static TRUST: LazyLock<TrustStore> = LazyLock::new(|| {
    let certificate = CertificateDer::from(CA);
    TrustStore { certificates: vec![TrustedCertificate { alias: None, certificate }] }
});

static TRUSTED: LazyLock<Trusted> = LazyLock::new(|| Trusted::read(&TRUST, |_, reason| panic!("{reason}")));

static VERIFIER: LazyLock<ClientVerifier> = LazyLock::new(|| {
    ClientVerifier::new(&TRUST, Vec::new(), RevocationOptions::default()).expect("the CA can be used")
});

/// The bytes in which a connection begins, as many as have come.
pub(crate) fn first_bytes(data: &[u8]) {
    let mut told = None;
    for length in 0..=data.len().min(16) {
        let kind = classify(&data[..length]);
        assert!(told.is_none() || kind == told, "{kind:?} is not {told:?} with {length} bytes");
        told = kind;
    }
    assert!(data.len() < 8 || told.is_some(), "eight bytes tell every kind");
    if let Some(word) = data.first_chunk().and_then(|first| FourLetterWord::recognise(*first)) {
        assert_eq!(told, Some(PlaintextKind::FourLetterWord));
        assert_eq!(word.as_str().parse(), Ok(word));
        assert_eq!(word.as_str().as_bytes(), &data[..4]);
    }
}

/// A name as it is looked up and shown.
pub(crate) fn name(data: &[u8]) {
    let (canonical, text, common) = (name::canonical(data), name::text(data), name::common_name(data));
    assert_eq!(canonical, name::canonical(data));
    assert!(!canonical.is_empty() || data == b"\x30\x00" || canonical == name::canonical(b"\x30\x00"));
    assert!(text.chars().count() <= 257 && common.chars().count() <= 257);
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// One certificate.
pub(crate) fn certificate(data: &[u8]) {
    let encoded = CertificateDer::from(data);
    let identities = Source::ALL.iter().map(|source| identity::identify(data, *source)).collect::<Vec<_>>();
    let Ok(parsed) = Certificate::parse(encoded.clone()) else { return };
    name(parsed.subject());
    name(parsed.issuer());
    assert!(!parsed.label().contains(char::is_control));
    if let Ok(printed) = subject_name(data) {
        let read = identity::name::java_name(parsed.subject());
        assert_eq!(read, Ok(printed), "who verifies a subject and who names it read the same");
    } else {
        assert!(identities[0].is_err(), "no identity of a subject that can't be read: {:?}", identities[0]);
    }
    if let Ok(theirs) = webpki::EndEntityCert::try_from(&encoded) {
        assert_eq!(theirs.subject_public_key_info().as_ref(), parsed.public_key());
    }
}

/// Certificates, each behind its length in three bytes, leaf first.
pub(crate) fn chain(data: &[u8]) {
    let Some(certificates) = message(data) else { return };
    let Ok(accepted) = VERIFIER.verify(&certificates, NOW) else {
        assert!(certificates != [CertificateDer::from(ALICE)], "the client is genuine");
        return;
    };
    let leaf = certificates.first().expect("no chain without a leaf");
    let signed = |issuer: &CertificateDer<'_>| {
        let issuer = Certificate::parse(issuer.clone());
        let signed = der::signed(leaf).expect("what is accepted is a certificate");
        issuer.is_ok_and(|issuer| {
            verify_signed(&signed, issuer.public_key(), &Signatures::unlimited()) == Signature::Good
        })
    };
    let genuine = **leaf == *CA || signed(&CertificateDer::from(CA)) || certificates[1..].iter().any(signed);
    assert!(genuine, "{} is accepted and nobody issued it", accepted.subject);
    assert_eq!(subject_name(leaf).as_deref().unwrap_or_default(), &*accepted.subject);
}

fn message(mut rest: &[u8]) -> Option<Vec<CertificateDer<'_>>> {
    let mut certificates = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<3>() {
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (certificate, behind) = behind.split_at_checked(length)?;
        certificates.push(CertificateDer::from(certificate));
        rest = behind;
    }
    rest.is_empty().then_some(certificates)
}

/// A revocation list.
pub(crate) fn crl(data: &[u8]) {
    let read = Revocation::new(vec![data.to_vec()], RevocationOptions::default(), &Trusted::default());
    let Ok(lists) = &read else {
        assert!(Revocation::new(vec![data.to_vec()], RevocationOptions::default(), &TRUSTED).is_err());
        return;
    };
    let info = lists.infos().next().expect("it is there");
    // A serial number and a date take 18 bytes at the least.
    assert!(info.entries <= data.len() / 18, "{} entries in {} bytes", info.entries, data.len());
    assert!(!info.issuer.contains(char::is_control) || info.issuer.is_empty());
    let issuer = TRUSTED.certificates.first().expect("the CA is there");
    let signed = der::signed(data)
        .is_some_and(|signed| verify_signed(&signed, issuer.public_key(), &Signatures::unlimited()) == Signature::Good);
    let taken = Revocation::new(vec![data.to_vec()], RevocationOptions::default(), &TRUSTED).is_ok();
    let theirs = info.issuer == name::text(issuer.subject());
    assert!(!(taken && theirs) || signed, "a list under the CA's name is taken without its signature");
}
