//! What an element of DER is, by its outline: people and tools put the wrong label on what they save, or the wrong
//! file in a place.

use super::der::{self, BIT_STRING, Elements, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};

/// Kinds of DER that stand in files of keys and certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A certificate (RFC 5280, §4.1).
    Certificate,
    /// A certificate revocation list (RFC 5280, §5.1).
    Crl,
    /// A certificate signing request (RFC 2986).
    Request,
    /// A chain as Java's `CertPath` encodes it: a sequence of certificates.
    PkiPath,
    /// A PKCS#12 store (RFC 7292).
    Pkcs12,
    /// A PKCS#7 or CMS message of the type signedData, of which a bundle of certificates is one without signatures.
    SignedData,
    /// Another PKCS#7 or CMS message: encrypted, say.
    OtherMessage,
    /// A key in PKCS#8 (RFC 5958).
    Pkcs8,
    /// An RSA key in PKCS#1 (RFC 8017, A.1.2).
    Pkcs1,
    /// An EC key (RFC 5915).
    Sec1,
    /// A DSA key in OpenSSL's own form.
    Dsa,
    /// An encrypted PKCS#8 key.
    EncryptedKey,
    /// A public key: SubjectPublicKeyInfo, or RSA's own form.
    PublicKey,
    /// Bouncy Castle's store for FIPS.
    Bcfks,
    /// None of these.
    Unknown,
}

impl Kind {
    /// What the first element is. Not whether it is well-formed all through.
    pub(super) fn of(data: &[u8]) -> Self {
        let mut file = Elements::of(data);
        file.enter(SEQUENCE).and_then(of_sequence).unwrap_or(Self::Unknown)
    }

    /// With its article, for "this is …".
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate",
            Self::Crl => "a certificate revocation list",
            Self::Request => "a certificate signing request, which no CA has signed yet",
            Self::PkiPath => "a chain of certificates in Java's PkiPath form",
            Self::Pkcs12 => "a PKCS#12 store",
            Self::SignedData => "a PKCS#7 bundle",
            Self::OtherMessage => "an encrypted or otherwise protected PKCS#7 message",
            Self::Pkcs8 | Self::Pkcs1 | Self::Sec1 | Self::Dsa => "a private key",
            Self::EncryptedKey => "an encrypted private key",
            Self::PublicKey => "a public key",
            Self::Bcfks => "a BCFKS store of Bouncy Castle",
            Self::Unknown => "something unknown",
        }
    }

    pub(super) fn is_private_key(self) -> bool {
        matches!(self, Self::Pkcs8 | Self::Pkcs1 | Self::Sec1 | Self::Dsa | Self::EncryptedKey)
    }
}

fn of_sequence(sequence: Elements<'_>) -> Option<Kind> {
    let (mut rest, mut parts) = (sequence, Vec::new());
    // Nine is what an RSA key has; longer sequences need no closer look.
    while parts.len() < 9 && !rest.is_empty() {
        parts.push(rest.next()?);
    }
    let tags: Vec<u8> = parts.iter().map(|(tag, _)| *tag).collect();
    let value = |index: usize| parts[index].1;
    Some(match tags.as_slice() {
        [INTEGER, SEQUENCE, ..] if value(0) == [3] => Kind::Pkcs12,
        [INTEGER, SEQUENCE, OCTET_STRING, ..] => Kind::Pkcs8,
        [INTEGER, OCTET_STRING, ..] => Kind::Sec1,
        [INTEGER, INTEGER] => Kind::PublicKey,
        [INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER] => Kind::Dsa,
        [INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER] => Kind::Pkcs1,
        [OBJECT_IDENTIFIER, ..] if value(0) == SIGNED_DATA => Kind::SignedData,
        [OBJECT_IDENTIFIER, ..] if value(0).starts_with(PKCS7) => Kind::OtherMessage,
        [SEQUENCE, BIT_STRING] if is_algorithm(value(0)) => Kind::PublicKey,
        [SEQUENCE, OCTET_STRING] if is_algorithm(value(0)) => Kind::EncryptedKey,
        [SEQUENCE, SEQUENCE] if is_bcfks(value(0), value(1)) == Some(true) => Kind::Bcfks,
        [SEQUENCE, SEQUENCE, BIT_STRING] => of_signed(value(0)),
        [SEQUENCE, ..]
            if tags.iter().all(|tag| *tag == SEQUENCE)
                && of_sequence(Elements::of(value(0))) == Some(Kind::Certificate) =>
        {
            Kind::PkiPath
        }
        _ => Kind::Unknown,
    })
}

/// By what is signed: a list has a time after the issuer's name, a request has a name and a key and no dates.
fn of_signed(signed: &[u8]) -> Kind {
    let mut parts = Elements::of(signed);
    let first = parts.next();
    let key = |mut parts: Elements<'_>| {
        parts.expect(SEQUENCE)?;
        let mut key = parts.enter(SEQUENCE)?;
        Some(is_algorithm(key.expect(SEQUENCE)?) && key.next()?.0 == BIT_STRING)
    };
    if der::has_time_after_name(Elements::of(signed)).is_some() {
        Kind::Crl
    } else if first.is_some_and(|(tag, _)| tag == INTEGER) && key(parts) == Some(true) {
        Kind::Request
    } else {
        Kind::Certificate
    }
}

fn is_algorithm(value: &[u8]) -> bool {
    Elements::of(value).expect(OBJECT_IDENTIFIER).is_some()
}

/// `ObjectStore`: encrypted data with its algorithm, and a MAC with its algorithms.
fn is_bcfks(data: &[u8], check: &[u8]) -> Option<bool> {
    let (mut data, mut check) = (Elements::of(data), Elements::of(check));
    let encrypted = is_algorithm(data.expect(SEQUENCE)?) && data.next()?.0 == OCTET_STRING;
    let checked =
        is_algorithm(check.expect(SEQUENCE)?) && check.next()?.0 == SEQUENCE && check.next()?.0 == OCTET_STRING;
    Some(encrypted && checked)
}

/// 1.2.840.113549.1.7
const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];
/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
