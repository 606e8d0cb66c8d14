//! What the bags of a PKCS#12 store hold (RFC 7292, §4.2).

use zeroize::Zeroizing;

use crate::store::der::{CONTEXT_0, Elements, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET};

/// A key, a certificate, or something that is of no interest here.
pub(super) struct Bag {
    pub(super) content: Content,
    /// What Java calls the alias.
    pub(super) name: Option<String>,
    /// The same for a key and its certificate.
    pub(super) key_id: Option<Vec<u8>>,
    /// Java's mark of what is trusted by itself.
    pub(super) trusted: bool,
}

pub(super) enum Content {
    /// A certificate in DER, not parsed.
    Certificate(Vec<u8>),
    /// A key in PKCS#8.
    Key(Zeroizing<Vec<u8>>),
    /// An encrypted key: the value of its AlgorithmIdentifier, and the rest.
    Shrouded { algorithm: Vec<u8>, encrypted: Vec<u8> },
    /// A certificate that isn't X.509.
    OtherCertificate,
    /// A revocation list, a secret, or a bag of bags.
    Other,
}

/// The bags of `SafeContents` in DER; nothing where that is damaged.
pub(super) fn read(contents: &[u8]) -> Option<Vec<Bag>> {
    let mut file = Elements::of(contents);
    let mut elements = file.enter(SEQUENCE).filter(|_| file.is_empty())?;
    let mut bags = Vec::new();
    while !elements.is_empty() {
        bags.push(bag(elements.enter(SEQUENCE)?)?);
    }
    Some(bags)
}

fn bag(mut bag: Elements<'_>) -> Option<Bag> {
    let kind = bag.expect(OBJECT_IDENTIFIER)?;
    let value = bag.enter(CONTEXT_0)?;
    let content = match kind.strip_prefix(BAG_TYPES) {
        Some([1]) => Content::Key(Zeroizing::new(Elements::raw(&mut { value }, SEQUENCE)?.to_vec())),
        Some([2]) => shrouded(value)?,
        Some([3]) => certificate(value)?,
        _ => Content::Other,
    };
    let mut found = Bag { content, name: None, key_id: None, trusted: false };
    if !bag.is_empty() {
        let mut attributes = bag.enter(SET)?;
        while !attributes.is_empty() {
            attribute(attributes.enter(SEQUENCE)?, &mut found)?;
        }
    }
    Some(found)
}

fn shrouded(mut value: Elements<'_>) -> Option<Content> {
    let mut info = value.enter(SEQUENCE)?;
    let algorithm = info.expect(SEQUENCE)?.to_vec();
    Some(Content::Shrouded { algorithm, encrypted: info.expect(OCTET_STRING)?.to_vec() })
}

fn certificate(mut value: Elements<'_>) -> Option<Content> {
    let mut bag = value.enter(SEQUENCE)?;
    if bag.expect(OBJECT_IDENTIFIER)? != X509_CERTIFICATE {
        return Some(Content::OtherCertificate);
    }
    Some(Content::Certificate(bag.enter(CONTEXT_0)?.expect(OCTET_STRING)?.to_vec()))
}

fn attribute(mut attribute: Elements<'_>, bag: &mut Bag) -> Option<()> {
    let kind = attribute.expect(OBJECT_IDENTIFIER)?;
    let mut values = attribute.enter(SET)?;
    match kind {
        FRIENDLY_NAME => bag.name = values.expect(BMP_STRING).map(utf16),
        LOCAL_KEY_ID => bag.key_id = values.expect(OCTET_STRING).map(<[u8]>::to_vec),
        TRUSTED_KEY_USAGE => bag.trusted = values.expect(OBJECT_IDENTIFIER) == Some(ANY_EXTENDED_KEY_USAGE),
        _ => {}
    }
    Some(())
}

/// Names only, so what is wrong becomes U+FFFD.
fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
    String::from_utf16_lossy(&units)
}

const BMP_STRING: u8 = 0x1e;
/// 1.2.840.113549.1.12.10.1
const BAG_TYPES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];
/// 1.2.840.113549.1.9.22.1
const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
/// 1.2.840.113549.1.9.20
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];
/// 1.2.840.113549.1.9.21
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];
/// 2.16.840.1.113894.746875.1.1
const TRUSTED_KEY_USAGE: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01];
/// 2.5.29.37.0
const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
