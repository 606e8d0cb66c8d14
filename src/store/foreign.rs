//! Files that are no stores of any kind read here, but that people put in the place of one: known by how they begin,
//! and refused by name.

use super::advice::Advice;
use super::fault::StoreFault;

/// What is wrong with a file as a whole, if it is one of these.
pub(super) fn named(data: &[u8]) -> Option<StoreFault> {
    utf16(data).or_else(|| signature(data)).or_else(|| base64(data)).map(StoreFault::Unsupported)
}

/// Windows' text, as PowerShell's `>` writes it.
fn utf16(data: &[u8]) -> Option<String> {
    let advice = match data {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Advice::FromUtf16,
        [b'-', 0, b'-', 0, ..] => Advice::FromUtf16Le,
        [0, b'-', 0, b'-', ..] => Advice::FromUtf16Be,
        _ => return None,
    };
    Some(format!("this is UTF-16 text: save it as ASCII or UTF-8, by {advice}"))
}

fn signature(data: &[u8]) -> Option<String> {
    let convert = |what, advice| Some(format!("this is {what}: convert it with {advice}"));
    match data {
        // The version, and the length of the salt.
        [0, 0, 0, 2, 0, 0, 0, 20, ..] => return convert("a BKS store of Bouncy Castle", Advice::BksToPkcs12),
        [0, 0, 0, 1, 0, 0, 0, 20, ..] => return convert("a UBER store of Bouncy Castle", Advice::UberToPkcs12),
        _ => {}
    }
    SIGNATURES.iter().find(|(begin, _)| data.starts_with(begin)).map(|(_, name)| format!("this is {name}"))
}

const SIGNATURES: &[(&[u8], &str)] = &[
    (b"SQLite format 3\0", "a database of NSS (cert9.db or key4.db): export from it, as PKCS#12"),
    (b"ssh-", "a public key of OpenSSH, and a certificate is wanted"),
    (b"ecdsa-sha2-", "a public key of OpenSSH, and a certificate is wanted"),
    (b"---- BEGIN SSH2 ", "a public key of SSH, and a certificate is wanted"),
    (b"PuTTY-User-Key-File", "a private key of PuTTY: convert it with PuTTYgen, to OpenSSH's form first"),
    (b"\x1e\xf1\xb5\xb0", "a private key in Microsoft's PVK form"),
    (b"kych", "a keychain of macOS: export it from there, as PKCS#12"),
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"<", "HTML or XML: was an error page saved?"),
    (b"{", "JSON, and a store or PEM is wanted"),
];

/// Base64 of a PEM file, as `kubectl get secret -o yaml` shows it, or of DER without BEGIN and END lines.
fn base64(data: &[u8]) -> Option<String> {
    let what = match data {
        [b'L', b'S', b'0', b't', b'L', b'S', b'0', b't', ..] => "PEM that was encoded in base64 once more",
        [b'M', b'I', b'I', ..] => "base64 without BEGIN and END lines",
        _ => return None,
    };
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=".contains(byte);
    data.iter().all(is_base64).then(|| format!("this is {what}: decode it with {}", Advice::DecodeBase64))
}
