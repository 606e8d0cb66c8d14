//! From BER to DER (X.690), as far as the two differ in stores: indefinite and overlong lengths, and octet strings in
//! pieces. NSS and Bouncy Castle write PKCS#12 so.
//!
//! The values stay as they are: an octet string may hold what a signature or MAC covers.

use std::ops::Range;

use zeroize::Zeroizing;

use super::der::OCTET_STRING;

/// Deeper than any store: PKCS#12 and PKCS#7 need some fifteen levels.
const MAX_DEPTH: usize = 40;
/// More than a file of 16 MiB has that anyone wrote: a certificate has some hundred.
const MAX_PIECES: usize = 1 << 20;

const CONSTRUCTED: u8 = 0x20;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// The DER of one element that is all of the data; nothing where it is no whole element, or too deep or too large to
/// be a store. The time is linear in the data's length.
pub(super) fn to_der(data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut reader = Reader { data, at: 0, pieces: Vec::new() };
    let length = reader.element(0)?;
    if reader.at != data.len() {
        return None;
    }
    // One allocation, so that growing leaves no copies of a key behind.
    let mut der = Zeroizing::new(Vec::with_capacity(length));
    for piece in reader.pieces {
        match piece {
            Piece::Header { tag, length } => write_header(&mut der, tag, length),
            Piece::Content(range) => der.extend_from_slice(&data[range]),
        }
    }
    Some(der)
}

/// What will be written, in its order.
enum Piece {
    Header { tag: u8, length: usize },
    Content(Range<usize>),
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    pieces: Vec<Piece>,
}

impl Reader<'_> {
    /// Reads one element; returns how long its DER is.
    fn element(&mut self, depth: usize) -> Option<usize> {
        let (tag, length) = self.header()?;
        let header = self.pieces.len();
        self.push(Piece::Header { tag, length: 0 })?;
        let length = match length {
            Some(length) if tag & CONSTRUCTED == 0 => self.content(length)?,
            None if tag & CONSTRUCTED == 0 => return None,
            length if tag == OCTET_STRING | CONSTRUCTED => {
                self.pieces[header] = Piece::Header { tag: OCTET_STRING, length: 0 };
                self.all(length, depth, Self::segment)?
            }
            length => self.all(length, depth, Self::element)?,
        };
        if let Piece::Header { length: known, .. } = &mut self.pieces[header] {
            *known = length;
        }
        Some(1 + length_octets(length) + length)
    }

    /// Reads a piece of an octet string, which may be in pieces itself; returns how long its value is.
    fn segment(&mut self, depth: usize) -> Option<usize> {
        match self.header()? {
            (OCTET_STRING, Some(length)) => self.content(length),
            (tag, length) if tag == OCTET_STRING | CONSTRUCTED => self.all(length, depth, Self::segment),
            _ => None,
        }
    }

    /// Reads what a constructed element holds, by `each`; returns the sum.
    fn all(
        &mut self,
        length: Option<usize>,
        depth: usize,
        each: fn(&mut Self, usize) -> Option<usize>,
    ) -> Option<usize> {
        if depth == MAX_DEPTH {
            return None;
        }
        let end = match length {
            Some(length) => Some(self.at.checked_add(length).filter(|end| *end <= self.data.len())?),
            None => None,
        };
        let mut sum = 0;
        loop {
            match end {
                Some(end) if self.at == end => return Some(sum),
                Some(end) if self.at > end => return None,
                Some(_) => {}
                None if self.data[self.at..].starts_with(&END_OF_CONTENTS) => {
                    self.at += END_OF_CONTENTS.len();
                    return Some(sum);
                }
                None => {}
            }
            sum += each(self, depth + 1)?;
        }
    }

    fn content(&mut self, length: usize) -> Option<usize> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.data.len())?;
        self.push(Piece::Content(self.at..end))?;
        self.at = end;
        Some(length)
    }

    /// The tag and the length; the length is absent where it is indefinite.
    fn header(&mut self) -> Option<(u8, Option<usize>)> {
        let tag = self.octet()?;
        // Tags of several octets, and the end of contents where none is due.
        if tag & 0x1f == 0x1f || tag == 0 {
            return None;
        }
        let length = match self.octet()? {
            short @ 0..=0x7f => Some(usize::from(short)),
            0x80 => None,
            long @ 0x81..=0x84 => {
                let mut length = 0;
                for _ in 0..long & 0x7f {
                    length = length << 8 | usize::from(self.octet()?);
                }
                Some(length)
            }
            _ => return None,
        };
        Some((tag, length))
    }

    fn octet(&mut self) -> Option<u8> {
        let octet = *self.data.get(self.at)?;
        self.at += 1;
        Some(octet)
    }

    fn push(&mut self, piece: Piece) -> Option<()> {
        if self.pieces.len() == MAX_PIECES {
            return None;
        }
        self.pieces.push(piece);
        Some(())
    }
}

/// How many octets the length takes in DER.
fn length_octets(length: usize) -> usize {
    if length < 0x80 { 1 } else { 1 + significant(length).len() }
}

fn significant(length: usize) -> Vec<u8> {
    length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect()
}

fn write_header(der: &mut Vec<u8>, tag: u8, length: usize) {
    der.push(tag);
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => der.push(short),
        _ => {
            let octets = significant(length);
            der.push(0x80 | octets.len() as u8);
            der.extend(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(ber: &[u8]) -> Option<Vec<u8>> {
        to_der(ber).map(|der| der.to_vec())
    }

    #[test]
    fn what_is_der_already_stays_as_it_is() {
        let long = [&[0x30, 0x82, 1, 5, 4, 0x82, 1, 1][..], &[7; 257]].concat();
        for same in [&[0x30, 0][..], &[0x30, 3, 2, 1, 3], &[4, 2, 0x30, 0x80], &long] {
            assert_eq!(der(same).as_deref(), Some(same));
        }
    }

    #[test]
    fn indefinite_and_overlong_lengths_become_the_shortest() {
        assert_eq!(der(&[0x30, 0x80, 2, 1, 3, 0, 0]).unwrap(), [0x30, 3, 2, 1, 3]);
        assert_eq!(der(&[0x30, 0x80, 0xa0, 0x80, 5, 0, 0, 0, 0, 0]).unwrap(), [0x30, 4, 0xa0, 2, 5, 0]);
        assert_eq!(der(&[0x30, 0x84, 0, 0, 0, 3, 2, 0x81, 0]).unwrap(), [0x30, 2, 2, 0]);
    }

    #[test]
    fn octet_strings_in_pieces_become_one() {
        assert_eq!(der(&[0x24, 0x80, 4, 1, 7, 4, 0, 4, 2, 8, 9, 0, 0]).unwrap(), [4, 3, 7, 8, 9]);
        assert_eq!(der(&[0x24, 8, 0x24, 0x80, 4, 1, 7, 0, 0, 4, 0][..10]), None);
        assert_eq!(der(&[0x24, 9, 0x24, 0x80, 4, 1, 7, 0, 0, 4, 0]).unwrap(), [4, 1, 7]);
    }

    #[test]
    fn what_is_cut_short_too_deep_or_more_than_one_element_is_nothing() {
        for odd in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x80, 2, 1, 3, 0],
            &[0x30, 4, 2, 1, 3],
            &[0x30, 2, 2, 1, 3],
            &[0x30, 3, 2, 1, 3, 0],
            &[4, 0x80, 1, 0, 0],
            &[0x24, 0x80, 2, 1, 3, 0, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 1, 7],
            &[0x30, 0xff, 0],
            &[0x3f, 1, 0],
            &[0, 0],
        ] {
            assert_eq!(der(odd), None, "{odd:x?}");
        }
        let nested = |depth: usize| [[0x30, 0x80].repeat(depth), [0, 0].repeat(depth)].concat();
        assert!(der(&nested(MAX_DEPTH)).is_some());
        assert_eq!(der(&nested(MAX_DEPTH + 1)), None);
        assert_eq!(der(&[0x30, 0x80].repeat(1 << 20)), None);
    }

    #[test]
    fn a_file_of_nothing_but_tiny_elements_is_given_up() {
        let tiny = [&[0x30, 0x80][..], &[5, 0].repeat(MAX_PIECES), &[0, 0]].concat();
        assert_eq!(der(&tiny), None);
    }

    proptest! {
        #[test]
        fn the_outcome_is_der_and_no_longer(data in proptest::collection::vec(prop_oneof![
            Just(0x30u8), Just(0x24), Just(0x80), Just(0), Just(4), Just(1), any::<u8>()
        ], 0..60)) {
            if let Some(first) = der(&data) {
                prop_assert!(first.len() <= data.len());
                prop_assert_eq!(der(&first), Some(first.clone()));
            }
        }
    }
}
