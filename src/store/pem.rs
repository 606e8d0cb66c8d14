//! PEM as people have it (RFC 7468, and what came before): text around the blocks, any line end, headers.

mod layout;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::advice::Advice;
use super::fault::StoreFault;
use super::kind::Kind;
use super::pkcs7::{self, Bundle};
use super::{ber, certificate, key};
use crate::secret::Secret;

/// Whether some line begins a block.
pub(super) fn looks_like(data: &[u8]) -> bool {
    data.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| without_marks(line).starts_with(BEGIN))
}

/// What keeps a file from being PEM whose BEGIN stands somewhere, but not at the head of a line.
pub(super) fn misplaced(data: &[u8]) -> Option<StoreFault> {
    let newline = newline_of(data);
    data.split(|byte| *byte == newline).zip(1..).find_map(|(line, number)| layout::misplaced(line, number))
}

/// All certificates, in order.
pub(super) fn certificates(data: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreFault> {
    let found = unchecked_certificates(data)?;
    found.into_iter().map(|(line, der)| certificate::checked(der, &format!("at line {line}"))).collect()
}

/// What the blocks of certificates and of bundles hold, in order, each with the line that its block begins at; it may
/// be no certificate at all.
pub(super) fn unchecked_certificates(data: &[u8]) -> Result<Vec<(usize, Vec<u8>)>, StoreFault> {
    let mut found = Vec::new();
    let blocks = blocks(data)?;
    for block in &blocks {
        match block.label {
            "CERTIFICATE" | "X509 CERTIFICATE" => {
                let der = block.decode()?;
                // Windows' certutil writes this label around everything.
                if Kind::of(&der) == Kind::SignedData {
                    found.extend(pkcs7::bundle(&der)?.certificates.into_iter().map(|der| (block.line, der)));
                } else {
                    found.push((block.line, der.to_vec()));
                }
            }
            label if BUNDLES.contains(&label) => {
                found.extend(block.bundle()?.certificates.into_iter().map(|der| (block.line, der)));
            }
            "TRUSTED CERTIFICATE" => {
                return Err(StoreFault::Unsupported(format!(
                    "the TRUSTED CERTIFICATE at line {} carries OpenSSL's own trust settings, which would be \
                     ignored here; make it a plain one with {}",
                    block.line,
                    Advice::PlainCertificate
                )));
            }
            _ => {}
        }
    }
    let instead = || blocks.iter().find_map(|block| NOT_CERTIFICATES.iter().find(|(label, _)| *label == block.label));
    match instead() {
        Some((_, what)) if found.is_empty() => Err(StoreFault::NotCertificates(what)),
        _ => Ok(found),
    }
}

/// Labels of PKCS#7 (RFC 7468, §8 and §9), and what OpenSSL reads besides.
const BUNDLES: &[&str] = &["PKCS7", "CMS", "PKCS #7 SIGNED DATA"];

/// What people take for a certificate.
const NOT_CERTIFICATES: &[(&str, &str)] = &[
    ("CERTIFICATE REQUEST", "a certificate signing request, which no CA has signed yet"),
    ("NEW CERTIFICATE REQUEST", "a certificate signing request, which no CA has signed yet"),
    ("PUBLIC KEY", "a public key"),
    ("RSA PUBLIC KEY", "a public key"),
    ("EC PUBLIC KEY", "a public key"),
    ("X509 CRL", "a certificate revocation list"),
    ("ATTRIBUTE CERTIFICATE", "an attribute certificate"),
];

/// All revocation lists, in order.
pub(super) fn crls(data: &[u8]) -> Result<Vec<Vec<u8>>, StoreFault> {
    let mut found = Vec::new();
    for block in blocks(data)? {
        match block.label {
            "X509 CRL" => found.push(block.decode()?.to_vec()),
            label if BUNDLES.contains(&label) => found.extend(block.bundle()?.crls),
            _ => {}
        }
    }
    Ok(found)
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

    fn bundle(&self) -> Result<Bundle, StoreFault> {
        let der = self.decode()?;
        match Kind::of(&ber::to_der(&der).unwrap_or_default()) {
            Kind::OtherMessage => {
                let what = format!("the {} at line {} is no bundle of certificates", self.label, self.line);
                Err(StoreFault::Unsupported(what))
            }
            _ => pkcs7::bundle(&der),
        }
    }

    /// Labels don't decide what a key is: vendors and old programs write PKCS#8 as `RSA PRIVATE KEY`.
    fn private_key(&self, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, StoreFault> {
        if self.lines().any(|line| is_header(line) && line.ends_with(b"ENCRYPTED")) {
            let cipher = self.lines().find_map(|line| line.strip_prefix(b"DEK-Info:")).unwrap_or_default().trim_ascii();
            // OpenSSL 3 keeps the others in its legacy provider.
            let legacy =
                ![&b"AES-"[..], b"DES-EDE3", b"CAMELLIA-", b"ARIA-"].iter().any(|known| cipher.starts_with(known));
            return Err(StoreFault::old_encryption("PEM's own means (Proc-Type: 4,ENCRYPTED)".into(), legacy));
        }
        key::from_der(&self.decode()?, password)
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
    let newline = newline_of(data);
    let mut blocks = Vec::new();
    // The block being read, its body still open-ended; else where the text between blocks began.
    let mut open: Option<Block<'_>> = None;
    let mut gap = 0;
    let mut offset = 0;
    for (whole, number) in data.split(|byte| *byte == newline).zip(1..) {
        let start = offset;
        offset += whole.len() + 1;
        let line = without_marks(whole);
        if line.starts_with(BEGIN) {
            layout::check_gap(data, gap..start)?;
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
            gap = offset.min(data.len());
        } else if let Some(fault) =
            layout::misplaced(line, number).filter(|_| open.is_some() || layout::is_indented(line))
        {
            return Err(fault);
        }
    }
    if let Some(block) = open {
        return Err(unfinished(&block));
    }
    layout::check_gap(data, gap..data.len())?;
    Ok(blocks)
}

fn label<'a>(line: &'a [u8], prefix: &[u8], number: usize) -> Result<&'a str, StoreFault> {
    if let Some(fault) = layout::overfull(line, number) {
        return Err(fault);
    }
    line.trim_ascii_end()
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(b"-----"))
        .and_then(|label| str::from_utf8(label).ok())
        .ok_or_else(|| StoreFault::Malformed(format!("line {number} isn't a whole BEGIN or END line")))
}

fn unfinished(block: &Block<'_>) -> StoreFault {
    StoreFault::Malformed(format!("the {} at line {} has no end", block.label, block.line))
}

fn is_header(line: &[u8]) -> bool {
    line.contains(&b':')
}

/// A carriage return ends a line only in files that have nothing else.
fn newline_of(data: &[u8]) -> u8 {
    if data.contains(&b'\n') { b'\n' } else { b'\r' }
}

/// A line without the byte order marks that some editors put at the head of a file, and `cat` then into the middle.
fn without_marks(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_prefix(b"\xef\xbb\xbf") {
        line = rest;
    }
    line
}

/// Whether the line has this anywhere.
fn holds(line: &[u8], text: &[u8]) -> bool {
    line.windows(text.len()).any(|window| window == text)
}
