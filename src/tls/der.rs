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
const VERSION: u8 = 0xa0;

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
