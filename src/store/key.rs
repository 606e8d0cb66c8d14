//! Private keys: decryption of PKCS#8, the public half, and a name for those that can't be used.

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::pbes2::Kdf;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls_pki_types::PrivateKeyDer;
use x509_parser::der_parser::oid::Oid;

use super::der::{Elements, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use super::fault::StoreFault;
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

/// Opens an `EncryptedPrivateKeyInfo` (RFC 5958, §3) that is encrypted by PBES2.
pub(super) fn decrypt_pkcs8(der: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, StoreFault> {
    let damaged = || StoreFault::Malformed("its encrypted private key can't be parsed".into());
    let scheme = encryption_scheme(der).ok_or_else(damaged)?;
    if scheme != PBES2 {
        return Err(StoreFault::OldEncryption {
            scheme: old_scheme_name(&scheme),
            options: if needs_legacy_provider(&scheme) { " -provider legacy -provider default" } else { "" },
        });
    }
    let info = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|_| StoreFault::Unsupported("its private key is encrypted by a cipher that isn't known".into()))?;
    check_cost(&info)?;
    let password = password.ok_or(StoreFault::PasswordNeeded)?;
    match info.decrypt(password.expose()) {
        Ok(key) => Ok(PrivateKeyDer::Pkcs8(key.as_bytes().to_vec().into())),
        // Bytes that look decrypted but aren't DER: one wrong password in some 256 gets that far.
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::DecryptFailed) | pkcs8::Error::Asn1(_)) => {
            Err(StoreFault::WrongPassword)
        }
        Err(error) => Err(StoreFault::Malformed(format!("its encrypted private key: {error}"))),
    }
}

const PBES2: &str = "1.2.840.113549.1.5.13";
/// A hundred times what OpenSSL and Java write; some seconds of work.
const MOST_ITERATIONS: u32 = 10_000_000;
/// Sixteen times what OpenSSL writes.
const MOST_SCRYPT_MEMORY: u64 = 256 << 20;
const MOST_SCRYPT_LANES: u16 = 16;
/// What aws-lc signs with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

fn encryption_scheme(der: &[u8]) -> Option<String> {
    let mut algorithm = Elements::of(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
    algorithm.expect(OBJECT_IDENTIFIER).map(dotted)
}

fn old_scheme_name(scheme: &str) -> String {
    let name = match scheme {
        "1.2.840.113549.1.5.1" => "PBE-MD2-DES",
        "1.2.840.113549.1.5.3" => "PBE-MD5-DES",
        "1.2.840.113549.1.5.4" => "PBE-MD2-RC2-64",
        "1.2.840.113549.1.5.6" => "PBE-MD5-RC2-64",
        "1.2.840.113549.1.5.10" => "PBE-SHA1-DES",
        "1.2.840.113549.1.5.11" => "PBE-SHA1-RC2-64",
        "1.2.840.113549.1.12.1.1" => "PBE-SHA1-RC4-128",
        "1.2.840.113549.1.12.1.2" => "PBE-SHA1-RC4-40",
        "1.2.840.113549.1.12.1.3" => "PBE-SHA1-3DES",
        "1.2.840.113549.1.12.1.4" => "PBE-SHA1-2DES",
        "1.2.840.113549.1.12.1.5" => "PBE-SHA1-RC2-128",
        "1.2.840.113549.1.12.1.6" => "PBE-SHA1-RC2-40",
        other => return format!("scheme {other}"),
    };
    name.into()
}

/// OpenSSL 3 keeps DES, RC2 and RC4 in its legacy provider, but not triple DES.
fn needs_legacy_provider(scheme: &str) -> bool {
    !matches!(scheme, "1.2.840.113549.1.12.1.3" | "1.2.840.113549.1.12.1.4")
}

/// The work that a file may ask for is bounded, so that a damaged number doesn't become hours or gigabytes.
fn check_cost(info: &EncryptedPrivateKeyInfoRef<'_>) -> Result<(), StoreFault> {
    let bearable = match info.encryption_algorithm.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Pbkdf2(pbkdf2)) => pbkdf2.iteration_count <= MOST_ITERATIONS,
        Some(Kdf::Scrypt(scrypt)) => {
            scrypt.parallelization <= MOST_SCRYPT_LANES
                && scrypt
                    .cost_parameter
                    .checked_mul(u64::from(scrypt.block_size))
                    .and_then(|blocks| blocks.checked_mul(128))
                    .is_some_and(|memory| memory <= MOST_SCRYPT_MEMORY)
        }
        _ => false,
    };
    if bearable {
        return Ok(());
    }
    Err(StoreFault::Unsupported("its private key asks for an unreasonable amount of work to be decrypted".into()))
}

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

fn dotted(identifier: &[u8]) -> String {
    Oid::new(identifier.into()).to_id_string()
}
