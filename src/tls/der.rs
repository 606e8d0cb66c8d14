//! The few steps through DER that need the encoded bytes themselves: signatures are made over them.

/// One element: its tag, its contents, and the element whole.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) contents: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// What was signed, by which algorithm, and the signature: the shape of certificates and CRLs alike.
pub(crate) struct Signed<'a> {
    pub(crate) message: &'a [u8],
    /// Contents of the AlgorithmIdentifier, without its SEQUENCE header.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

pub(crate) const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED: u8 = 0x20;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// Reads one element with a definite length; `None` when the bytes don't hold one.
pub(crate) fn next<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    let whole = *input;
    let (&tag, rest) = whole.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0_usize, |sum, &byte| (sum << 8) | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some(Element { tag, contents, whole: &whole[..whole.len() - rest.len()] })
}

/// Reads one element that must have this tag.
pub(crate) fn expect<'a>(input: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    next(input).filter(|element| element.tag == tag)
}

/// Takes a certificate or CRL apart; `None` when it has another shape or bytes follow it.
pub(crate) fn signed(mut input: &[u8]) -> Option<Signed<'_>> {
    let mut outer = expect(&mut input, SEQUENCE)?.contents;
    let message = expect(&mut outer, SEQUENCE)?.whole;
    let algorithm = expect(&mut outer, SEQUENCE)?.contents;
    let (&unused, signature) = expect(&mut outer, BIT_STRING)?.contents.split_first()?;
    (input.is_empty() && outer.is_empty() && unused == 0).then_some(Signed { message, algorithm, signature })
}

/// Where the parts of a certificate lie that a peer can make long.
pub(crate) struct Outline<'a> {
    /// Contents of the issuer's Name.
    pub(crate) issuer: &'a [u8],
    /// Contents of the subject's Name.
    pub(crate) subject: &'a [u8],
    /// The extensions, one behind the other; empty where there are none.
    pub(crate) extensions: &'a [u8],
}

/// The outline of a certificate of any version; `None` where it has another shape.
pub(crate) fn outline(mut certificate: &[u8]) -> Option<Outline<'_>> {
    let mut outer = expect(&mut certificate, SEQUENCE)?.contents;
    let mut tbs = expect(&mut outer, SEQUENCE)?.contents;
    if tbs.first() == Some(&VERSION) {
        next(&mut tbs)?;
    }
    expect(&mut tbs, INTEGER)?;
    let _signature = expect(&mut tbs, SEQUENCE)?;
    let issuer = expect(&mut tbs, SEQUENCE)?.contents;
    let _validity = expect(&mut tbs, SEQUENCE)?;
    let subject = expect(&mut tbs, SEQUENCE)?.contents;
    let _public_key = expect(&mut tbs, SEQUENCE)?;
    let extensions = children(tbs).find(|element| element.tag == EXTENSIONS);
    let extensions = extensions.and_then(|element| expect(&mut &*element.contents, SEQUENCE));
    Some(Outline { issuer, subject, extensions: extensions.map_or(&[], |element| element.contents) })
}

/// The elements of these contents, up to the first that is none.
pub(crate) fn children(contents: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = contents;
    std::iter::from_fn(move || next(&mut rest))
}

/// How many elements these bytes hold, those within others included; as soon as there are more than `limit`, a number
/// above it. What an OCTET STRING holds counts too: there are the contents of extensions.
pub(crate) fn count(input: &[u8], limit: usize) -> usize {
    let mut counted = 0;
    let mut levels: Vec<&[u8]> = vec![input];
    while let Some(mut level) = levels.pop() {
        while let Some(element) = next(&mut level) {
            counted += 1;
            if counted > limit {
                return counted;
            }
            if element.tag & CONSTRUCTED != 0 || element.tag == OCTET_STRING {
                levels.push(element.contents);
            }
        }
    }
    counted
}

/// The SubjectPublicKeyInfo of a certificate of any version, header included.
pub(crate) fn subject_public_key(certificate: &[u8]) -> Option<&[u8]> {
    let mut message = signed(certificate)?.message;
    let mut tbs = expect(&mut message, SEQUENCE)?.contents;
    if tbs.first() == Some(&VERSION) {
        next(&mut tbs)?;
    }
    expect(&mut tbs, INTEGER)?;
    for _signature_issuer_validity_subject in 0..4 {
        expect(&mut tbs, SEQUENCE)?;
    }
    Some(expect(&mut tbs, SEQUENCE)?.whole)
}

/// How many bits an unsigned integer has, without padding.
pub(crate) fn bit_length(integer: &[u8]) -> usize {
    let magnitude = integer.iter().position(|&byte| byte != 0).map_or(&[][..], |at| &integer[at..]);
    magnitude.first().map_or(0, |first| magnitude.len() * 8 - first.leading_zeros() as usize)
}

/// A serial number without padding: some CAs write one, some don't.
pub(crate) fn magnitude(serial: &[u8]) -> &[u8] {
    let start = serial.iter().position(|&byte| byte != 0).unwrap_or(serial.len().saturating_sub(1));
    serial.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_lie_are_refused() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x05\x01",
            b"\x30\x80\x00\x00",
            b"\x30\x85\x01\x01\x01\x01\x01",
            b"\x30\x84\xff\xff\xff\xff\x00",
        ] {
            assert!(next(&mut &*bytes).is_none(), "{bytes:02x?}");
        }
    }

    #[test]
    fn elements_are_counted_at_every_depth_and_no_further_than_asked() {
        let nested = b"\x30\x0a\x30\x03\x02\x01\x07\x04\x03\x0c\x01x";
        assert_eq!(count(nested, 100), 5, "the octet string's contents too");
        assert_eq!(count(nested, 2), 3);
        assert_eq!(count(b"\x30\x05\x01", 100), 0, "what is no DER");
        // As deep as 16 KiB can be: no recursion.
        let mut deep = Vec::new();
        while deep.len() < 16_000 {
            let length = u16::try_from(deep.len()).unwrap().to_be_bytes();
            deep = [&[0x30, 0x82], &length[..], &deep].concat();
        }
        assert_eq!(count(&deep, 10_000), 4_000);
    }

    #[test]
    fn an_element_is_split_from_what_follows() {
        let mut input = &b"\x02\x81\x01\x07rest"[..];
        let element = next(&mut input).unwrap();
        assert_eq!((element.tag, element.contents, element.whole), (2, &b"\x07"[..], &b"\x02\x81\x01\x07"[..]));
        assert_eq!(input, b"rest");
    }

    #[test]
    fn bytes_behind_a_signed_object_are_refused() {
        let object = b"\x30\x09\x30\x00\x30\x00\x03\x03\x00\x01\x02";
        assert_eq!(signed(object).unwrap().signature, b"\x01\x02");
        assert!(signed(&[&object[..], b"\x00"].concat()).is_none());
    }
}
