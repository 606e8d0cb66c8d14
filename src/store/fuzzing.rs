//! The properties of stores; see `crate::fuzzing`.

use super::{Secret, TrustedCertificate, der, jks, pem, pkcs12, recognise};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What `load_crls` asks of a list before anybody reads it.
pub(crate) fn crl(data: &[u8]) {
    assert!(!der::is_crl(data) || der::split_first(data) == Some((data, &[][..])), "a list is one whole element");
}

fn password() -> Secret {
    Secret::new(b"changeit".to_vec())
}

/// A store behind its magic.
pub(crate) fn jks(data: &[u8]) {
    let _ = recognise(data);
    let _ = jks::trusted(data, Some(&password()));
    // A JCEKS key may ask for millions of rounds of MD5.
    if data.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) {
        let _ = jks::key_entry(data, None, Some(&password()));
    }
    let Ok(trusted) = jks::trusted(data, None) else { return };
    let written = written(&trusted);
    let again = jks::trusted(&written, None).expect("what was read can be written");
    // An alias that is not of Unicode was read with U+FFFD in it, which is written as such.
    assert_eq!(again, trusted);
}

/// Trusted certificates as Java writes them, with a digest that nobody checks.
fn written(certificates: &[TrustedCertificate]) -> Vec<u8> {
    let mut out = vec![0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
    out.extend_from_slice(&(certificates.len() as u32).to_be_bytes());
    for TrustedCertificate { alias, certificate } in certificates {
        let alias = modified_utf8(alias.as_deref().expect("JKS has aliases"));
        out.extend_from_slice(&[0, 0, 0, 2]);
        out.extend_from_slice(&(alias.len() as u16).to_be_bytes());
        out.extend_from_slice(&alias);
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(b"\0\x05X.509");
        out.extend_from_slice(&(certificate.len() as u32).to_be_bytes());
        out.extend_from_slice(certificate);
    }
    out.extend_from_slice(&[0; 20]);
    out
}

/// Each UTF-16 unit for itself, NUL in two bytes (`DataOutput.writeUTF`), as far as 16 bits of length go.
fn modified_utf8(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in text.encode_utf16() {
        let low = |shift: u16| 0x80 | (unit >> shift & 0x3f) as u8;
        match unit {
            1..=0x7f => out.push(unit as u8),
            0 | 0x80..=0x7ff => out.extend([0xc0 | (unit >> 6) as u8, low(0)]),
            _ => out.extend([0xe0 | (unit >> 12) as u8, low(6), low(0)]),
        }
    }
    out
}

/// A store in DER.
pub(crate) fn pkcs12(data: &[u8]) {
    let _ = recognise(data);
    if asks_for_much_work(data) {
        return;
    }
    let _ = pkcs12::key_entry(data, Some(&password()), None);
    let encrypted = pkcs12::trusted(data, Some(&password()));
    if let Ok(found) = pkcs12::trusted(data, None).or(encrypted) {
        let plain = !contains(data, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06]);
        for TrustedCertificate { certificate, .. } in found {
            assert!(!plain || contains(data, &certificate), "a certificate that is not in the store");
        }
    }
}

/// Whether something in it may be a number of iterations beyond what the tools write, which costs what it says: within
/// the reader's own bound, so no finding, but nothing would be left of the time for fuzzing.
fn asks_for_much_work(data: &[u8]) -> bool {
    const MOST: u64 = 5000;
    data.windows(10).any(|window| match *window {
        [0x02, length @ 2..=8, ..] => {
            window[2..2 + usize::from(length)].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) > MOST
        }
        _ => false,
    })
}

fn contains(data: &[u8], part: &[u8]) -> bool {
    data.windows(part.len()).any(|window| window == part)
}

/// Blocks and what is around them.
pub(crate) fn pem(data: &[u8]) {
    let _ = recognise(data);
    let found = pem::certificates(data);
    let lists = pem::crls(data);
    let key = pem::private_key(data, None);
    let shape = |data: &[u8]| {
        let key = pem::private_key(data, None);
        let certificates = pem::certificates(data).map_err(|error| error.to_string());
        (certificates, pem::crls(data).map_err(|error| error.to_string()), key.map_err(|error| error.to_string()))
    };
    if !data.contains(&b'\r') {
        let windows = data.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
        assert_eq!(shape(data), shape(&windows), "every line end is one");
    }
    let blocks = [
        found.unwrap_or_default().iter().map(|der| block("CERTIFICATE", der)).collect(),
        lists.unwrap_or_default().iter().map(|der| block("X509 CRL", der)).collect(),
        key.iter().map(|key| block(label(key), key.secret_der())).collect::<Vec<_>>(),
    ]
    .concat();
    let printed = blocks.concat();
    let (certificates, lists, key) = shape(printed.as_bytes());
    let again = [
        certificates.unwrap_or_default().iter().map(|der: &CertificateDer<'_>| block("CERTIFICATE", der)).collect(),
        lists.unwrap_or_default().iter().map(|der| block("X509 CRL", der)).collect(),
        key.iter().map(|key| block(label(key), key.secret_der())).collect::<Vec<_>>(),
    ]
    .concat();
    assert_eq!(again, blocks);
}

fn label(key: &PrivateKeyDer<'_>) -> &'static str {
    match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    }
}

fn block(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    let text = BASE64_STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<String>())
}
