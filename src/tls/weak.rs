//! Keys and signature algorithms that are not taken, in words.

use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;

use super::der;

/// RSA keys shorter than this are refused, as by every TLS stack since 2014.
const RSA_MIN_BITS: usize = 2048;
/// RSA keys longer than this are not supported by the cryptographic library.
const RSA_MAX_BITS: usize = 8192;
/// RSA public exponents longer than this are refused: a check takes a step for each bit, and every tool makes 65537.
const RSA_MAX_EXPONENT_BITS: usize = 17;

/// Names the hash or algorithm when it is one that nobody should trust any more.
pub(crate) fn weak_signature(algorithm: &[u8]) -> Option<&'static str> {
    let oid = der::expect(&mut &*algorithm, 0x06)?.contents;
    match oid {
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02" => Some("MD2"),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04" => Some("MD5"),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05" | b"\x2b\x0e\x03\x02\x1d" | b"\x2a\x86\x48\xce\x3d\x04\x01" => {
            Some("SHA-1")
        }
        // RSASSA-PSS without parameters means SHA-1 (RFC 4055 §3.1); parameters name their hash first.
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" if !algorithm.windows(6).any(|w| w == b"\x86\x48\x01\x65\x03\x04") => {
            Some("RSASSA-PSS over SHA-1")
        }
        b"\x2a\x86\x48\xce\x38\x04\x03" | b"\x60\x86\x48\x01\x65\x03\x04\x03\x02" => Some("DSA"),
        _ => None,
    }
}

/// Says what is wrong with a key that is too short or of an unsupported kind.
pub(crate) fn weak_key(certificate: &X509Certificate<'_>) -> Option<String> {
    let key = certificate.public_key();
    let oid = key.algorithm.algorithm.to_id_string();
    match oid.as_str() {
        "1.2.840.113549.1.1.1" => match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => {
                let bits = der::bit_length(rsa.modulus);
                let fits = (RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits);
                let exponent = der::bit_length(rsa.exponent);
                if exponent > RSA_MAX_EXPONENT_BITS {
                    return Some(format!(
                        "an RSA key with a public exponent of {exponent} bits; at most {RSA_MAX_EXPONENT_BITS} are \
                         accepted, and 65537 is usual"
                    ));
                }
                (!fits).then(|| format!("an RSA key of {bits} bits; {RSA_MIN_BITS} to {RSA_MAX_BITS} are accepted"))
            }
            _ => Some("an RSA key that can't be parsed".to_owned()),
        },
        "1.2.840.10045.2.1" => {
            let curve =
                key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
            match curve.as_deref() {
                Some("1.2.840.10045.3.1.7" | "1.3.132.0.34" | "1.3.132.0.35") => None,
                _ => Some("a key on an elliptic curve that is not supported; P-256, P-384 and P-521 are".to_owned()),
            }
        }
        "1.3.101.112" | "2.16.840.1.101.3.4.3.17" | "2.16.840.1.101.3.4.3.18" | "2.16.840.1.101.3.4.3.19" => None,
        "1.2.840.10040.4.1" => Some("a DSA key, which TLS no longer uses".to_owned()),
        "1.3.101.113" => Some("an Ed448 key, which is not supported; Ed25519 is".to_owned()),
        "1.2.840.113549.1.1.10" => {
            Some("a key restricted to RSASSA-PSS, which is not supported; plain RSA keys are".to_owned())
        }
        other => Some(format!("a key of the unsupported kind {other}")),
    }
}
