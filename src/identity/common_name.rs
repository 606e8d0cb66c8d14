//! A commonName's value as text, decoded by its type and strictly: unlike Java's printing of a whole name, nothing
//! is replaced, so that two certificates never share a name by accident.

use super::der::{self, Value};
use super::printable_ascii;

/// The text, or nothing when it is not of a known string type, not well-formed, or has a control character.
pub(crate) fn decode(value: &Value<'_>) -> Option<String> {
    let text = match value.tag {
        // Of PrintableString and NumericString, real certificates use more than the few characters allowed. T.61
        // text beyond ASCII is read differently by every program, so there is no right reading of it.
        der::PRINTABLE_STRING
        | der::NUMERIC_STRING
        | der::IA5_STRING
        | der::VISIBLE_STRING
        | der::TELETEX_STRING
        | der::GENERAL_STRING => printable_ascii(value.contents)?.to_owned(),
        der::UTF8_STRING => std::str::from_utf8(value.contents).ok()?.to_owned(),
        der::BMP_STRING => characters(value.contents, |&[a, b]: &[u8; 2]| u32::from(u16::from_be_bytes([a, b])))?,
        der::UNIVERSAL_STRING => characters(value.contents, |&bytes: &[u8; 4]| u32::from_be_bytes(bytes))?,
        _ => return None,
    };
    (!text.contains(char::is_control)).then_some(text)
}

/// Reads characters of `N` bytes each.
fn characters<const N: usize>(contents: &[u8], number: fn(&[u8; N]) -> u32) -> Option<String> {
    let (units, rest) = contents.as_chunks::<N>();
    if !rest.is_empty() {
        return None;
    }
    units.iter().map(|unit| char::from_u32(number(unit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(tag: u8, contents: &[u8]) -> Option<String> {
        decode(&Value { tag, contents, encoded: &[] })
    }

    #[test]
    fn every_string_type_is_decoded_by_its_own_rules() {
        for tag in [0x13, 0x12, 0x16, 0x1a, 0x14, 0x1b, 0x0c] {
            assert_eq!(decoded(tag, b"alice 7*").as_deref(), Some("alice 7*"), "{tag:#x}");
        }
        assert_eq!(decoded(der::UTF8_STRING, "Zoë 😀".as_bytes()).as_deref(), Some("Zoë 😀"));
        assert_eq!(decoded(der::BMP_STRING, &[0x00, b'Z', 0x53, 0x17]).as_deref(), Some("Z北"));
        assert_eq!(decoded(der::UNIVERSAL_STRING, &[0, 0, 0, b'Z', 0, 1, 0xf6, 0]).as_deref(), Some("Z😀"));
    }

    #[test]
    fn what_is_not_well_formed_has_no_text() {
        assert_eq!(decoded(der::UTF8_STRING, b"a\xff"), None);
        assert_eq!(decoded(der::UTF8_STRING, b"\xed\xa0\x80"), None, "surrogate");
        assert_eq!(decoded(der::TELETEX_STRING, b"\xe9"), None, "T.61 beyond ASCII");
        assert_eq!(decoded(der::IA5_STRING, b"\xe9"), None);
        assert_eq!(decoded(der::BMP_STRING, &[0, b'a', 0]), None, "half a character");
        assert_eq!(decoded(der::BMP_STRING, &[0xd8, 0x3d, 0xde, 0x00]), None, "surrogates");
        assert_eq!(decoded(der::UNIVERSAL_STRING, &[0, 0x11, 0, 0]), None, "beyond Unicode");
        assert_eq!(decoded(der::OCTET_STRING, b"alice"), None);
    }

    #[test]
    fn control_characters_are_refused_in_every_type() {
        for bad in ["\0", "a\nb", "a\u{7f}"] {
            for tag in [0x13, 0x12, 0x16, 0x1a, 0x14, 0x1b, 0x0c] {
                assert_eq!(decoded(tag, bad.as_bytes()), None, "{tag:#x} {bad:?}");
            }
        }
        assert_eq!(decoded(der::UTF8_STRING, "\u{85}".as_bytes()), None);
        assert_eq!(decoded(der::BMP_STRING, &[0, 0]), None);
        assert_eq!(decoded(der::UNIVERSAL_STRING, &[0, 0, 0, 10]), None);
    }
}
