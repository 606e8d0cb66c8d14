//! Names of algorithms, for messages.

use x509_parser::der_parser::oid::Oid;

/// The second scheme of password-based encryption (RFC 8018, §6.2).
pub(super) const PBES2: &str = "1.2.840.113549.1.5.13";
/// The MAC that goes with it (RFC 9579).
pub(super) const PBMAC1: &str = "1.2.840.113549.1.5.14";
/// RFC 8018, §5.2.
pub(super) const PBKDF2: &str = "1.2.840.113549.1.5.12";

/// An object identifier as people write it.
pub(super) fn dotted(identifier: &[u8]) -> String {
    Oid::new(identifier.into()).to_id_string()
}

/// What people call the algorithm; its number where it has no name here.
pub(super) fn name(identifier: &str) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == identifier);
    known.map_or_else(|| format!("the algorithm {identifier}"), |(_, name)| (*name).to_owned())
}

const NAMES: &[(&str, &str)] = &[
    ("1.2.840.113549.1.5.1", "PBE-MD2-DES"),
    ("1.2.840.113549.1.5.3", "PBE-MD5-DES"),
    ("1.2.840.113549.1.5.4", "PBE-MD2-RC2-64"),
    ("1.2.840.113549.1.5.6", "PBE-MD5-RC2-64"),
    ("1.2.840.113549.1.5.10", "PBE-SHA1-DES"),
    ("1.2.840.113549.1.5.11", "PBE-SHA1-RC2-64"),
    ("1.2.840.113549.1.12.1.1", "PBE-SHA1-RC4-128"),
    ("1.2.840.113549.1.12.1.2", "PBE-SHA1-RC4-40"),
    ("1.2.840.113549.1.12.1.3", "PBE-SHA1-3DES"),
    ("1.2.840.113549.1.12.1.4", "PBE-SHA1-2DES"),
    ("1.2.840.113549.1.12.1.5", "PBE-SHA1-RC2-128"),
    ("1.2.840.113549.1.12.1.6", "PBE-SHA1-RC2-40"),
    (PBKDF2, "PBKDF2"),
    (PBES2, "PBES2"),
    (PBMAC1, "PBMAC1"),
    ("1.3.6.1.4.1.11591.4.11", "scrypt"),
    ("1.2.840.113549.2.7", "HMAC-SHA1"),
    ("1.2.840.113549.2.8", "HMAC-SHA224"),
    ("1.2.840.113549.2.9", "HMAC-SHA256"),
    ("1.2.840.113549.2.10", "HMAC-SHA384"),
    ("1.2.840.113549.2.11", "HMAC-SHA512"),
    ("1.2.840.113549.2.12", "HMAC-SHA512/224"),
    ("1.2.840.113549.2.13", "HMAC-SHA512/256"),
    ("1.2.840.113549.2.5", "MD5"),
    ("1.3.36.3.2.1", "RIPEMD-160"),
    ("2.16.840.1.101.3.4.2.7", "SHA3-224"),
    ("2.16.840.1.101.3.4.2.8", "SHA3-256"),
    ("2.16.840.1.101.3.4.2.9", "SHA3-384"),
    ("2.16.840.1.101.3.4.2.10", "SHA3-512"),
    ("1.3.14.3.2.7", "DES-CBC"),
    ("1.2.840.113549.3.2", "RC2-CBC"),
    ("1.2.840.113549.3.4", "RC4"),
    ("1.2.392.200011.61.1.1.1.2", "Camellia-128-CBC"),
    ("1.2.392.200011.61.1.1.1.3", "Camellia-192-CBC"),
    ("1.2.392.200011.61.1.1.1.4", "Camellia-256-CBC"),
    ("1.2.410.200046.1.1.2", "ARIA-128-CBC"),
    ("1.2.410.200046.1.1.7", "ARIA-192-CBC"),
    ("1.2.410.200046.1.1.12", "ARIA-256-CBC"),
    ("1.2.156.10197.1.104.2", "SM4-CBC"),
    ("1.2.410.200004.1.4", "SEED-CBC"),
    ("2.16.840.1.101.3.4.1.26", "AES-192-GCM"),
    ("2.16.840.1.101.3.4.1.7", "AES-128-CCM"),
    ("2.16.840.1.101.3.4.1.47", "AES-256-CCM"),
    ("1.2.840.113549.1.9.16.3.18", "ChaCha20-Poly1305"),
];
