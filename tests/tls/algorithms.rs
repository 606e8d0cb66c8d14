//! Signature algorithms as tools write them.

use rcgen::SigningKey;
use zoogate::reason::Refusal;
use zoogate::tls::revocation::RevocationOptions;
use zoogate::tls::verifier::ClientVerifier;

use crate::pki::{Der, Entity, assert_refused, ca, leaf, trust, verifier, verify};

const ECDSA: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const ECDSA_NULL: &[u8] = b"\x30\x0c\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00";

fn sequence(contents: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let header = match (high, low) {
        (0, 0..=0x7f) => vec![0x30, low],
        (0, _) => vec![0x30, 0x81, low],
        _ => vec![0x30, 0x82, high, low],
    };
    [&header, contents].concat()
}

/// Splits the contents of the first element from what follows it.
fn first(der: &[u8]) -> (&[u8], &[u8]) {
    let (header, length) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
        short => (2, usize::from(short)),
    };
    der[header..].split_at(length)
}

/// A certificate or CRL with a NULL behind its algorithm, signed by this key.
fn with_null(der: &[u8], by: &Entity) -> Vec<u8> {
    let message = first(first(der).0).0;
    let at = message.windows(ECDSA.len()).position(|window| window == ECDSA).unwrap();
    let message = sequence(&[&message[..at], ECDSA_NULL, &message[at + ECDSA.len()..]].concat());
    let signature = by.key.sign(&message).unwrap();
    let signature = [&[0x03, u8::try_from(signature.len()).unwrap() + 1, 0][..], &signature].concat();
    sequence(&[&message, ECDSA_NULL, &signature].concat())
}

#[test]
fn ecdsa_with_a_null_is_taken_in_certificates_and_crls() {
    let root = Entity::root("Root");
    let other = Entity::root("Root");
    let middle = root.issue(ca("Middle"));
    let (alice, bob) = (root.issue(leaf("alice")), root.issue(leaf("bob")));
    let null = |entity: &Entity, by: &Entity| Der::from(with_null(&entity.cert, by));
    let verifier = verifier(&[&root.cert]);
    verify(&verifier, &[&null(&alice, &root)]).unwrap();
    assert_refused(verify(&verifier, &[&null(&alice, &other)]), Refusal::BadSignature, "does not verify");
    let carol = middle.issue(leaf("carol"));
    verify(&verifier, &[&null(&carol, &middle), &null(&middle, &root)]).unwrap();
    verify(&verifier, &[&null(&carol, &middle), &null(&middle, &other)]).unwrap_err();

    let with_crl = |by: &Entity| {
        let crl = with_null(&root.crl(&[&bob]), by);
        ClientVerifier::new(&trust(&[&root.cert]), vec![crl], RevocationOptions::default())
    };
    let judged = with_crl(&root).unwrap();
    verify(&judged, &[&alice.cert]).unwrap();
    assert_refused(verify(&judged, &[&bob.cert]), Refusal::Revoked, "CN=bob");
    assert!(with_crl(&other).is_err());
}
