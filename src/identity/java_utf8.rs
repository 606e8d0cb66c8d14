//! UTF-8 decoded as Java's `new String(bytes, UTF_8)` does it, bad bytes included.

use std::char::REPLACEMENT_CHARACTER;

/// Decodes the bytes; whatever is not UTF-8 becomes U+FFFD, as many of them as Java gives.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let mut rest = bytes;
    let mut text = String::with_capacity(bytes.len());
    while let Some(chunk) = rest.utf8_chunks().next() {
        text.push_str(chunk.valid());
        rest = &rest[chunk.valid().len()..];
        if !chunk.invalid().is_empty() {
            text.push(REPLACEMENT_CHARACTER);
            rest = &rest[replaced(rest, chunk.invalid().len())..];
        }
    }
    text
}

/// How many bytes one U+FFFD stands for. `maximal_subpart` is Unicode's advice (§3.9), which Java follows but for
/// encoded surrogates: the whole of one, or as much as there is of it, is replaced once.
fn replaced(bad: &[u8], maximal_subpart: usize) -> usize {
    match bad {
        [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => 3,
        [0xed, 0xa0..=0xbf, ..] => 2,
        _ => maximal_subpart,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // The expected values are those of OpenJDK 17.
    #[test]
    fn bad_bytes_are_replaced_as_java_replaces_them() {
        let cases: &[(&[u8], &str)] = &[
            (b"a\xffb", "a\u{fffd}b"),
            (b"\xc0\x80", "\u{fffd}\u{fffd}"),
            (b"\xe4\xba", "\u{fffd}"),
            (b"\xe4\xbaA", "\u{fffd}A"),
            (b"\xe0\x80\x80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xf0\x9f\x98", "\u{fffd}"),
            (b"\xf0\x9f\x98A", "\u{fffd}A"),
            (b"\xf4\x90\x80\x80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xf5\x80", "\u{fffd}\u{fffd}"),
        ];
        for (bytes, text) in cases {
            assert_eq!(decode(bytes), *text, "{bytes:x?}");
        }
    }

    #[test]
    fn an_encoded_surrogate_is_replaced_once() {
        assert_eq!(decode(b"a\xed\xa0\x80b"), "a\u{fffd}b");
        assert_eq!(decode(b"\xed\xa0\xbd\xed\xb8\x80"), "\u{fffd}\u{fffd}");
        assert_eq!(decode(b"\xed\xa0"), "\u{fffd}");
        assert_eq!(decode(b"\xed\xa0A"), "\u{fffd}A");
        assert_eq!(decode(b"\xed\x9f\xbf"), "\u{d7ff}");
    }

    proptest! {
        #[test]
        fn text_is_decoded_to_itself(text in any::<String>()) {
            prop_assert_eq!(decode(text.as_bytes()), text);
        }
    }
}
