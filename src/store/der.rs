//! Just enough DER to see what a file is: one element at a time, each length checked against what is there.

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SET: u8 = 0x31;
/// `[0]`, constructed: explicit, or implicit of what is constructed itself.
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Elements that follow one another.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next element's tag and value, if it is whole.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // 0x80 is BER's indefinite length; more than four octets is more than any file read here.
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The next element as it stands, if it is whole and has this tag.
    pub(super) fn raw(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        self.expect(tag)?;
        before.get(..before.len() - self.0.len())
    }

    /// The next element's value as a number of at most four octets, if it is one and not negative.
    pub(super) fn number(&mut self) -> Option<u32> {
        match self.expect(INTEGER)? {
            [] | [0x80..=0xff, ..] => None,
            [0, rest @ ..] | rest if rest.len() <= 4 => {
                Some(rest.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
            }
            _ => None,
        }
    }

    /// Whether the next element has this tag.
    pub(super) fn at(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next element's value, if it is whole and has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().and_then(|(found, value)| (found == tag).then_some(value))
    }

    /// The elements within the next one, which has this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.expect(tag).map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The first element, a sequence, as it stands; and what follows it.
pub(super) fn split_first(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut elements = Elements::of(data);
    elements.expect(SEQUENCE)?;
    data.split_at_checked(data.len() - elements.0.len())
}

/// Whether this begins as a PKCS#12 store does: a sequence of the number 3 and a sequence.
pub(super) fn is_pfx(data: &[u8]) -> bool {
    // By hand, so that a store that was cut short is still called a PKCS#12 store.
    let Some((&SEQUENCE, rest)) = data.split_first() else { return false };
    let length_octets = match rest.first() {
        Some(&first) if first < 0x80 => 1,
        Some(&first) => 1 + usize::from(first & 0x7f),
        None => return false,
    };
    rest.get(length_octets..).is_some_and(|body| body.starts_with(&[INTEGER, 1, 3, SEQUENCE]))
}

/// Whether this is one whole element with the outline of a revocation list: unlike in a certificate, a time follows
/// the issuer's name directly. Not parsed further, for lists may have a million entries.
pub(super) fn is_crl(data: &[u8]) -> bool {
    let mut file = Elements::of(data);
    let signed = file.enter(SEQUENCE).and_then(|mut list| list.enter(SEQUENCE));
    signed.is_some_and(|signed| file.is_empty() && has_time_after_name(signed).is_some())
}

/// Whether the signed part of a list or certificate has a time directly after the issuer's name.
pub(super) fn has_time_after_name(mut signed: Elements<'_>) -> Option<()> {
    // The version is absent from version 1 lists; then this is the algorithm already.
    if signed.next()?.0 == INTEGER {
        signed.expect(SEQUENCE)?;
    }
    signed.expect(SEQUENCE)?;
    let (tag, _) = signed.next()?;
    (tag == UTC_TIME || tag == GENERALIZED_TIME).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_given_one_by_one() {
        let mut elements = Elements::of(&[2, 1, 7, 4, 0x81, 2, 8, 9, 0x30, 0]);
        assert_eq!(elements.next(), Some((INTEGER, &[7][..])));
        assert_eq!(elements.expect(OCTET_STRING), Some(&[8, 9][..]));
        assert!(elements.enter(SEQUENCE).is_some_and(|inner| inner.is_empty()));
        assert!(elements.is_empty());
    }

    #[test]
    fn numbers_are_small_and_not_negative() {
        for (der, number) in [
            (&[2, 1, 0][..], Some(0)),
            (&[2, 2, 0, 0x80], Some(128)),
            (&[2, 5, 0, 0xff, 0xff, 0xff, 0xff], Some(u32::MAX)),
            (&[2, 0], None),
            (&[2, 1, 0x80], None),
            (&[2, 5, 1, 0, 0, 0, 0], None),
            (&[4, 1, 7], None),
        ] {
            assert_eq!(Elements::of(der).number(), number, "{der:?}");
        }
    }

    #[test]
    fn a_length_beyond_the_data_or_of_unknown_form_gives_nothing() {
        for odd in [
            &[][..],
            &[2],
            &[2, 1],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff, 1],
            &[4, 0x82, 1],
            &[4, 0x85, 0, 0, 0, 0, 1, 7],
            &[0x30, 0x80, 0, 0],
            &[0x1f, 0x01, 0],
        ] {
            assert_eq!(Elements::of(odd).next(), None, "{odd:?}");
        }
    }

    #[test]
    fn a_sequence_is_split_off_as_it_stands() {
        assert_eq!(split_first(&[0x30, 1, 7, 0x30, 0]), Some((&[0x30, 1, 7][..], &[0x30, 0][..])));
        for odd in [&[][..], &[0x30, 2, 7], &[2, 1, 7], &[0x30, 0x80, 0, 0]] {
            assert_eq!(split_first(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_pkcs12_store_is_recognised_even_when_cut_short() {
        assert!(is_pfx(&[0x30, 9, 2, 1, 3, 0x30]));
        assert!(is_pfx(&[0x30, 0x82, 9, 9, 2, 1, 3, 0x30, 0x82]));
        for other in [&[][..], &[0x30], &[0x30, 0xff], &[0x30, 0x82, 9, 9, 0x30, 0x82], &[0x30, 9, 2, 1, 0, 0x30]] {
            assert!(!is_pfx(other), "{other:?}");
        }
    }
}
