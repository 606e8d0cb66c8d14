//! PEM as people have it (RFC 7468, and what came before): text around the blocks, any line end, headers.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::fault::StoreFault;
use super::{certificate, key};
use crate::secret::Secret;

/// Whether some line begins a block.
pub(super) fn looks_like(data: &[u8]) -> bool {
    without_mark(data).split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| line.starts_with(BEGIN))
}

/// All certificates, in order.
pub(super) fn certificates(data: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreFault> {
    let found = unchecked_certificates(data)?;
    found.into_iter().map(|(line, der)| certificate::checked(der, &format!("at line {line}"))).collect()
}

/// What the certificate blocks hold, in order, each with the line that it begins at; it may be no certificate at all.
pub(super) fn unchecked_certificates(data: &[u8]) -> Result<Vec<(usize, Vec<u8>)>, StoreFault> {
    let mut found = Vec::new();
    for block in blocks(data)? {
        match block.label {
            "CERTIFICATE" | "X509 CERTIFICATE" => found.push((block.line, block.decode()?.to_vec())),
            "TRUSTED CERTIFICATE" => {
                return Err(StoreFault::Unsupported(format!(
                    "the TRUSTED CERTIFICATE at line {} carries OpenSSL's own trust settings, which would be \
                     ignored here; make it a plain one with `openssl x509 -in OLD.pem -out NEW.pem`",
                    block.line
                )));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// All revocation lists, in order.
pub(super) fn crls(data: &[u8]) -> Result<Vec<Vec<u8>>, StoreFault> {
    blocks(data)?.iter().filter(|block| block.label == "X509 CRL").map(|block| Ok(block.decode()?.to_vec())).collect()
}

/// The one private key.
pub(super) fn private_key(data: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, StoreFault> {
    let mut blocks = blocks(data)?;
    blocks.retain(|block| block.label.ends_with("PRIVATE KEY"));
    match blocks.as_slice() {
        [] => Err(StoreFault::NoKey),
        [block] => block.private_key(password),
        several => Err(StoreFault::SeveralKeys(several.iter().map(|block| format!("line {}", block.line)).collect())),
    }
}

/// One block, not yet decoded: labels of no interest may have any body.
struct Block<'a> {
    label: &'a str,
    /// Of its first line, from 1.
    line: usize,
    /// What is between the first line and the last.
    body: &'a [u8],
}

impl<'a> Block<'a> {
    fn decode(&self) -> Result<Zeroizing<Vec<u8>>, StoreFault> {
        // One allocation, so that growing leaves no copies of a key behind.
        let mut base64 = Zeroizing::new(Vec::with_capacity(self.body.len()));
        for line in self.lines().filter(|line| !is_header(line)) {
            base64.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
        BASE64
            .decode(&*base64)
            .map(Zeroizing::new)
            .map_err(|_| StoreFault::Malformed(format!("the {} at line {} isn't base64", self.label, self.line)))
    }

    fn private_key(&self, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, StoreFault> {
        if self.lines().any(|line| is_header(line) && line.ends_with(b"ENCRYPTED")) {
            return Err(StoreFault::OldEncryption {
                scheme: "PEM's own means (Proc-Type: 4,ENCRYPTED)".into(),
                options: "",
            });
        }
        let der = self.decode()?;
        match self.label {
            "PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs8(der.to_vec().into())),
            "RSA PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs1(der.to_vec().into())),
            "EC PRIVATE KEY" => Ok(PrivateKeyDer::Sec1(der.to_vec().into())),
            "ENCRYPTED PRIVATE KEY" => key::decrypt_pkcs8(&der, password),
            "DSA PRIVATE KEY" => Err(StoreFault::UnsupportedKey("DSA".into())),
            "OPENSSH PRIVATE KEY" => Err(StoreFault::Unsupported(
                "the key is in OpenSSH's own form: convert a copy with `ssh-keygen -p -m PKCS8 -f COPY`".into(),
            )),
            other => Err(StoreFault::UnsupportedKey(format!("of the unknown kind \"{other}\""))),
        }
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.body.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii)
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// As lenient about padding as OpenSSL and Java.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn blocks(data: &[u8]) -> Result<Vec<Block<'_>>, StoreFault> {
    let data = without_mark(data);
    // A carriage return ends a line only in files that have nothing else.
    let newline = if data.contains(&b'\n') { b'\n' } else { b'\r' };
    let mut blocks = Vec::new();
    // The block being read, its body still open-ended.
    let mut open: Option<Block<'_>> = None;
    let mut offset = 0;
    for (line, number) in data.split(|byte| *byte == newline).zip(1..) {
        let start = offset;
        offset += line.len() + 1;
        if line.starts_with(BEGIN) {
            let body = data.get(offset..).unwrap_or_default();
            let begun = Block { label: label(line, BEGIN, number)?, line: number, body };
            if let Some(block) = open.replace(begun) {
                return Err(unfinished(&block));
            }
        } else if line.starts_with(END) {
            let Some(block) = open.take() else {
                return Err(StoreFault::Malformed(format!("line {number} ends a block that never began")));
            };
            if label(line, END, number)? != block.label {
                return Err(unfinished(&block));
            }
            let length = start - (data.len() - block.body.len());
            blocks.push(Block { body: &block.body[..length], ..block });
        } else if open.is_none() && line.iter().any(is_binary) {
            // A DER file behind a PEM one, by `cat`: to skip it would lose a CA, or revocations.
            let what = format!("line {number} is no text, beside PEM: give DER a file of its own, or convert it");
            return Err(StoreFault::Malformed(what));
        }
    }
    open.map_or(Ok(blocks), |block| Err(unfinished(&block)))
}

fn label<'a>(line: &'a [u8], prefix: &[u8], number: usize) -> Result<&'a str, StoreFault> {
    line.trim_ascii_end()
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(b"-----"))
        .and_then(|label| str::from_utf8(label).ok())
        .ok_or_else(|| StoreFault::Malformed(format!("line {number} isn't a whole BEGIN or END line")))
}

fn unfinished(block: &Block<'_>) -> StoreFault {
    StoreFault::Malformed(format!("the {} at line {} has no end", block.label, block.line))
}

fn is_binary(byte: &u8) -> bool {
    byte.is_ascii_control() && !byte.is_ascii_whitespace() && !matches!(byte, 0x0b | 0x1b)
}

fn is_header(line: &[u8]) -> bool {
    line.contains(&b':')
}

/// The data without the byte order mark that some editors put in front.
fn without_mark(data: &[u8]) -> &[u8] {
    data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data)
}
