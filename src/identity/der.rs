//! A reader of DER values that accepts only what a certificate may hold: single-byte tags, definite lengths in
//! their shortest form. BER leniency would give one certificate two readings.

/// Longest certificate or name that is read, in bytes. A TLS handshake message is bounded alike.
pub(crate) const MAX_INPUT: usize = 64 * 1024;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const NUMERIC_STRING: u8 = 0x12;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const TELETEX_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const VISIBLE_STRING: u8 = 0x1a;
pub(crate) const GENERAL_STRING: u8 = 0x1b;
pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Why bytes are not the DER of a certificate or of a name (X.690, RFC 5280 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// The input is longer than anything this reader takes.
    #[error("longer than {MAX_INPUT} bytes")]
    TooLong,
    /// A value says that it is longer than what holds it, or the input ends early.
    #[error("cut short in the middle of a value")]
    Truncated,
    /// A length that is indefinite or not in its shortest form (X.690 §10.1).
    #[error("a length that is not in DER's shortest form")]
    BadLength,
    /// A tag of several bytes; certificates have none.
    #[error("a tag of more than one byte")]
    LongTag,
    /// Another kind of value than the structure has at this place.
    #[error("another kind of value where {0} belongs")]
    Unexpected(&'static str),
    /// Bytes after the end of the structure.
    #[error("bytes after the end of {0}")]
    Trailing(&'static str),
    /// An object identifier that is empty, unfinished, not in its shortest form, or has an arc above 128 bits.
    #[error("an object identifier that can't be read")]
    BadObjectIdentifier,
    /// A certificate version other than 1, 2 and 3, or fields that its version does not have.
    #[error("a version that is unknown or does not fit the certificate's fields")]
    BadVersion,
    /// The same extension twice (RFC 5280 §4.2).
    #[error("the subjectAltName extension more than once")]
    DuplicateExtension,
}

/// One value: its tag, its contents, and the whole of it as encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) tag: u8,
    pub(crate) contents: &'a [u8],
    pub(crate) encoded: &'a [u8],
}

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value's tag, without taking it.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes the next value, whatever its tag.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, DerError> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(DerError::Truncated)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::LongTag);
        }
        let (length, after_length) = length(after_tag)?;
        if length > after_length.len() {
            return Err(DerError::Truncated);
        }
        let (contents, rest) = after_length.split_at(length);
        let encoded = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Ok(Value { tag, contents, encoded })
    }

    /// Takes the next value, which must have this tag; `what` names it in the error.
    pub(crate) fn expect(&mut self, tag: u8, what: &'static str) -> Result<Value<'a>, DerError> {
        let value = self.value()?;
        if value.tag == tag { Ok(value) } else { Err(DerError::Unexpected(what)) }
    }

    /// Ends the reading of `what`: nothing may be left.
    pub(crate) fn end(self, what: &'static str) -> Result<(), DerError> {
        if self.is_empty() { Ok(()) } else { Err(DerError::Trailing(what)) }
    }
}

/// Reads `bytes` as exactly one value with this tag.
pub(crate) fn only<'a>(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<Value<'a>, DerError> {
    if bytes.len() > MAX_INPUT {
        return Err(DerError::TooLong);
    }
    let mut reader = Reader::new(bytes);
    let value = reader.expect(tag, what)?;
    reader.end(what)?;
    Ok(value)
}

/// Splits a length (X.690 §8.1.3, §10.1) off the front.
fn length(bytes: &[u8]) -> Result<(usize, &[u8]), DerError> {
    let (&first, rest) = bytes.split_first().ok_or(DerError::Truncated)?;
    if first < 0x80 {
        return Ok((usize::from(first), rest));
    }
    // Three bytes of length are far beyond MAX_INPUT already.
    let count = usize::from(first & 0x7f);
    if !(1..=3).contains(&count) {
        return Err(DerError::BadLength);
    }
    if count > rest.len() {
        return Err(DerError::Truncated);
    }
    let (digits, rest) = rest.split_at(count);
    let length = digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit));
    if digits[0] == 0 || length < 0x80 {
        return Err(DerError::BadLength);
    }
    Ok((length, rest))
}

/// Encodes a value, for tests.
#[cfg(test)]
pub(crate) fn encode(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut value = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        0x100..=0xffff => vec![tag, 0x82, (length >> 8) as u8, length as u8],
        _ => vec![tag, 0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8],
    };
    value.extend_from_slice(contents);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_taken_with_its_encoding() {
        let mut reader = Reader::new(&[0x0c, 0x02, b'a', b'b', 0x01, 0x00]);
        let value = reader.value().unwrap();
        assert_eq!((value.tag, value.contents, value.encoded), (UTF8_STRING, &b"ab"[..], &[0x0c, 2, b'a', b'b'][..]));
        assert_eq!(reader.peek(), Some(BOOLEAN));
        assert_eq!(reader.clone().end("it"), Err(DerError::Trailing("it")));
        assert!(reader.value().unwrap().contents.is_empty());
        assert_eq!(reader.value().unwrap_err(), DerError::Truncated);
        reader.end("it").unwrap();
    }

    #[test]
    fn a_long_length_is_read_when_it_is_the_shortest_form() {
        let mut long = vec![SEQUENCE, 0x82, 0x01, 0x00];
        long.resize(4 + 256, 0);
        assert_eq!(only(&long, SEQUENCE, "it").unwrap().contents.len(), 256);
    }

    #[test]
    fn lengths_that_are_not_der_are_refused() {
        let refused = |bytes: &[u8]| Reader::new(bytes).value().unwrap_err();
        assert_eq!(refused(&[SEQUENCE, 0x80, 0, 0]), DerError::BadLength, "indefinite");
        assert_eq!(refused(&[SEQUENCE, 0x81, 0x01, 0]), DerError::BadLength, "long form of a short length");
        assert_eq!(refused(&[SEQUENCE, 0x82, 0x00, 0x80]), DerError::BadLength, "leading zero");
        assert_eq!(refused(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), DerError::BadLength, "4 GiB");
        assert_eq!(refused(&[SEQUENCE, 0xff]), DerError::BadLength, "127 bytes of length");
        assert_eq!(refused(&[SEQUENCE, 0x83, 0xff, 0xff]), DerError::Truncated, "length cut short");
        assert_eq!(refused(&[SEQUENCE, 0x05, 0, 0]), DerError::Truncated, "contents cut short");
        assert_eq!(refused(&[SEQUENCE]), DerError::Truncated, "no length");
        assert_eq!(refused(&[]), DerError::Truncated, "nothing");
    }

    #[test]
    fn a_tag_of_several_bytes_is_refused() {
        assert_eq!(Reader::new(&[0x1f, 0x81, 0x01, 0x00]).value().unwrap_err(), DerError::LongTag);
    }

    #[test]
    fn an_input_above_the_bound_is_refused_unread() {
        assert_eq!(only(&vec![0; MAX_INPUT + 1], SEQUENCE, "it").unwrap_err(), DerError::TooLong);
    }
}
