//! Private keys: their forms, decryption of PKCS#8, the public half, and a name for those that can't be used.

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls_pki_types::PrivateKeyDer;

use super::advice::Advice;
use super::algorithm::{self, dotted};
use super::der::{Elements, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use super::encryption::{self, Budget, Failure, Password};
use super::fault::StoreFault;
use super::kind::Kind;
use crate::secret::Secret;

/// The key's SubjectPublicKeyInfo in DER.
///
/// # Errors
/// When the key is damaged or of a kind that can't be used for TLS; the error names the kind.
pub(super) fn public_key(key: &PrivateKeyDer<'static>) -> Result<Vec<u8>, StoreFault> {
    let unusable = || match kind(key) {
        Some(kind) => StoreFault::UnsupportedKey(kind),
        None => StoreFault::Malformed("its private key can't be parsed, or isn't a valid key".into()),
    };
    let signing_key = any_supported_type(key).map_err(|_| unusable())?;
    signing_key.public_key().map(|public| public.to_vec()).ok_or_else(unusable)
}

/// A private key in whatever form its content has; labels of PEM are wrong often enough.
pub(super) fn from_der(der: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, StoreFault> {
    match Kind::of(der) {
        Kind::Pkcs8 => Ok(PrivateKeyDer::Pkcs8(der.to_vec().into())),
        Kind::Pkcs1 => Ok(PrivateKeyDer::Pkcs1(der.to_vec().into())),
        Kind::Sec1 => Ok(PrivateKeyDer::Sec1(der.to_vec().into())),
        Kind::EncryptedKey => decrypt_pkcs8(der, password),
        Kind::Dsa => Err(StoreFault::UnsupportedKey("DSA".into())),
        _ if der.starts_with(OPENSSH) => Err(StoreFault::Unsupported(format!(
            "the key is in OpenSSH's own form: convert a copy with {}",
            Advice::OpenSshKey
        ))),
        Kind::Unknown => Err(StoreFault::Malformed("its private key can't be parsed".into())),
        other => Err(StoreFault::Malformed(format!("in the place of a private key it holds {}", other.name()))),
    }
}

const OPENSSH: &[u8] = b"openssh-key-v1\0";

/// Opens an `EncryptedPrivateKeyInfo` (RFC 5958, §3) that is encrypted by PBES2.
fn decrypt_pkcs8(der: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, StoreFault> {
    let damaged = || StoreFault::Malformed("its encrypted private key can't be parsed".into());
    let mut info = Elements::of(der).enter(SEQUENCE).ok_or_else(damaged)?;
    let algorithm = info.expect(SEQUENCE).ok_or_else(damaged)?;
    let encrypted = info.expect(OCTET_STRING).ok_or_else(damaged)?;
    let scheme = Elements::of(algorithm).expect(OBJECT_IDENTIFIER).map(dotted).ok_or_else(damaged)?;
    if scheme != algorithm::PBES2 {
        // OpenSSL 3 keeps DES, RC2 and RC4 in its legacy provider, but not triple DES.
        let legacy = !matches!(scheme.as_str(), "1.2.840.113549.1.12.1.3" | "1.2.840.113549.1.12.1.4");
        return Err(StoreFault::old_encryption(algorithm::name(&scheme), legacy));
    }
    // Without a password what could not be decrypted with one is told all the same.
    let given = Password { utf8: password.map_or(&[], Secret::expose), utf16: Vec::new() };
    let key = match encryption::decrypt(algorithm, encrypted, &given, &mut Budget::new()) {
        Err(Failure::Unknown(what)) => {
            return Err(StoreFault::Unsupported(format!(
                "its private key is encrypted by {what}, which isn't read here; encrypt it anew with {}",
                Advice::EncryptAnew
            )));
        }
        Err(Failure::TooMuchWork(what)) => {
            return Err(StoreFault::Unsupported(format!(
                "its private key asks for an unreasonable amount of work to be decrypted: {what}"
            )));
        }
        Err(Failure::Damaged) => return Err(damaged()),
        _ if password.is_none() => return Err(StoreFault::PasswordNeeded),
        Err(Failure::Undecipherable) => return Err(StoreFault::WrongPassword),
        Ok(key) => key,
    };
    // Bytes that look decrypted but aren't a key: one wrong password in some 256 gets that far.
    match Kind::of(&key) {
        Kind::Pkcs8 => Ok(PrivateKeyDer::Pkcs8(key.to_vec().into())),
        _ => Err(StoreFault::WrongPassword),
    }
}

/// What aws-lc signs with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What kind of key this is, if it is one that can't be used.
fn kind(key: &PrivateKeyDer<'_>) -> Option<String> {
    match key {
        PrivateKeyDer::Pkcs1(key) => rsa_kind(key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => {
            let mut fields = Elements::of(key.secret_sec1_der()).enter(SEQUENCE)?;
            fields.expect(INTEGER)?;
            fields.expect(OCTET_STRING)?;
            curve_kind(fields.expect(SEC1_PARAMETERS).map(Elements::of)?)
        }
        PrivateKeyDer::Pkcs8(key) => pkcs8_kind(key.secret_pkcs8_der()),
        _ => None,
    }
}

/// `[0]` in RFC 5915.
const SEC1_PARAMETERS: u8 = 0xa0;

fn pkcs8_kind(der: &[u8]) -> Option<String> {
    let mut fields = Elements::of(der).enter(SEQUENCE)?;
    fields.expect(INTEGER)?;
    let mut algorithm = fields.enter(SEQUENCE)?;
    let name = match dotted(algorithm.expect(OBJECT_IDENTIFIER)?).as_str() {
        "1.2.840.113549.1.1.1" => return rsa_kind(fields.expect(OCTET_STRING)?),
        "1.2.840.10045.2.1" => return curve_kind(algorithm),
        "1.3.101.112" => return None,
        "1.2.840.113549.1.1.10" => "RSA restricted to PSS signatures".into(),
        "1.2.840.10040.4.1" => "DSA".into(),
        "1.2.840.113549.1.3.1" => "Diffie-Hellman".into(),
        "1.3.101.110" => "X25519".into(),
        "1.3.101.111" => "X448".into(),
        "1.3.101.113" => "Ed448".into(),
        other => format!("of the unknown algorithm {other}"),
    };
    Some(name)
}

fn rsa_kind(der: &[u8]) -> Option<String> {
    let mut fields = Elements::of(der).enter(SEQUENCE)?;
    fields.expect(INTEGER)?;
    let modulus = fields.expect(INTEGER)?;
    let significant = &modulus[modulus.iter().position(|octet| *octet != 0)?..];
    let bits = significant.len() * 8 - significant.first()?.leading_zeros() as usize;
    (!RSA_BITS.contains(&bits)).then(|| format!("RSA of {bits} bits"))
}

fn curve_kind(mut parameters: Elements<'_>) -> Option<String> {
    let (tag, curve) = parameters.next()?;
    if tag != OBJECT_IDENTIFIER {
        return Some("EC with curve parameters spelt out".into());
    }
    let name = match dotted(curve).as_str() {
        "1.2.840.10045.3.1.7" | "1.3.132.0.34" | "1.3.132.0.35" => return None,
        "1.2.840.10045.3.1.1" => "P-192".into(),
        "1.3.132.0.33" => "P-224".into(),
        "1.3.132.0.10" => "secp256k1".into(),
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1".into(),
        "1.3.36.3.3.2.8.1.1.11" => "brainpoolP384r1".into(),
        "1.3.36.3.3.2.8.1.1.13" => "brainpoolP512r1".into(),
        other => format!("curve {other}"),
    };
    Some(format!("EC on {name}"))
}
