use proptest::prelude::*;

use super::*;
use crate::identity::der::encode;

const VECTORS: &str = include_str!("../../../tests/vectors/x509-dn-vectors.tsv");

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// An attribute with this type (contents of its OID) and value.
fn attribute(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
    encode(der::SEQUENCE, &[encode(der::OBJECT_IDENTIFIER, oid), encode(tag, value)].concat())
}

fn name_of(rdns: &[Vec<u8>]) -> Vec<u8> {
    let sets: Vec<_> = rdns.iter().map(|rdn| encode(der::SET, rdn)).collect();
    encode(der::SEQUENCE, &sets.concat())
}

/// The printed form of a name that has this common name only.
fn common_name(tag: u8, value: &[u8]) -> String {
    java_name(&name_of(&[attribute(COMMON_NAME, tag, value)])).unwrap()
}

fn printed_oid(oid: &[u8]) -> Result<String, DerError> {
    java_name(&name_of(&[attribute(oid, der::UTF8_STRING, b"")]))
}

#[test]
fn every_vector_is_printed_as_java_prints_it() {
    let mut count = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [case, der, expected, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let expected = String::from_utf8(unhex(expected)).unwrap();
        assert_eq!(java_name(&unhex(der)).as_deref(), Ok(expected.as_str()), "{case}");
        count += 1;
    }
    assert!(count >= 76, "{count} vectors");
}

#[test]
fn what_java_prints_it_also_reads_unless_a_part_is_empty() {
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [case, _, name, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let name = String::from_utf8(unhex(name)).unwrap();
        let empty = case.starts_with("empty RDN") || case == "empty DN";
        assert_eq!(is_x500_name(&name), !empty, "{name}");
    }
}

// As OpenJDK 17 reads them.
#[test]
fn names_are_told_from_other_text_by_types_and_separators() {
    for name in [
        "CN=",
        "cn = a , o=b",
        "CN=a;OU=b+OU=c",
        "CN=a\\,b",
        "CN=a\\\\,O=b",
        "CN=\"a, b\"",
        "CN=\"a \\\" b, c\",O=d",
        "oid.2.5.4.3=a,2.5.4.5=b",
        "emailAddress=a@b",
        "CN=a=b",
    ] {
        assert!(is_x500_name(name), "{name}");
    }
    for text in [
        "",
        " ",
        "alice",
        "*",
        "a:b",
        "=a",
        "CN=a,b",
        "CN=a,,O=b",
        "CN=a,",
        "CN=a\\\\,b",
        "CN=\"a\",b",
        "KN=a",
        "C N=a",
        "spiffe://td/ns",
        "2=a",
        "2.5.=a",
        "2.5.x=a",
        "OID.CN=a",
        "CN=a+b",
        "CN=a;b",
    ] {
        assert!(!is_x500_name(text), "{text}");
    }
}

#[test]
fn relative_names_are_printed_in_reverse_and_attributes_in_order() {
    let cn = |value: &[u8]| attribute(COMMON_NAME, der::UTF8_STRING, value);
    let name = name_of(&[cn(b"a"), [cn(b"d"), cn(b"c")].concat(), vec![], cn(b"e")]);
    assert_eq!(java_name(&name).unwrap(), "CN=e,,CN=d+CN=c,CN=a");
}

#[test]
fn nine_types_have_a_keyword_and_all_others_are_numbers_with_hexadecimal_values() {
    assert_eq!(printed_oid(&[0x55, 0x04, 0x09]).unwrap(), "STREET=");
    assert_eq!(printed_oid(&[0x55, 0x04, 0x05]).unwrap(), "2.5.4.5=#0c00");
    assert_eq!(printed_oid(&[0x55, 0x04]).unwrap(), "2.5.4=#0c00");
    assert_eq!(printed_oid(&[0x55, 0x04, 0x03, 0x01]).unwrap(), "2.5.4.3.1=#0c00");
}

#[test]
fn values_that_are_not_strings_are_hexadecimal_of_the_whole_value() {
    assert_eq!(common_name(der::NUMERIC_STRING, b"12"), "CN=#12023132");
    assert_eq!(common_name(der::OCTET_STRING, b"\xab"), "CN=#0401ab");
    assert_eq!(common_name(0x2c, &encode(der::UTF8_STRING, b"a")), "CN=#2c030c0161", "constructed");
    let long = common_name(der::VISIBLE_STRING, &[b'a'; 200]);
    assert!(long.starts_with("CN=#1a81c86161"), "{long}");
}

#[test]
fn special_characters_are_escaped_anywhere() {
    for special in ",=+<>#;\"\\".chars() {
        let text = format!("a{special}{special}b{special}");
        let expected = format!("CN=a\\{special}\\{special}b\\{special}");
        assert_eq!(common_name(der::UTF8_STRING, text.as_bytes()), expected);
    }
    assert_eq!(common_name(der::UTF8_STRING, b"\0a\0"), "CN=\\00a\\00");
}

#[test]
fn only_leading_and_trailing_spaces_and_carriage_returns_are_escaped() {
    assert_eq!(common_name(der::UTF8_STRING, b" \r a \r b\r "), "CN=\\ \\\r\\ a \r b\\\r\\ ");
    assert_eq!(common_name(der::UTF8_STRING, b"\r \r"), "CN=\\\r\\ \\\r");
    assert_eq!(common_name(der::UTF8_STRING, "\u{a0}\ta\n\u{a0}".as_bytes()), "CN=\u{a0}\ta\n\u{a0}");
    assert_eq!(common_name(der::UTF8_STRING, b" , "), "CN=\\ \\,\\ ");
}

#[test]
fn object_identifiers_are_printed_with_arcs_of_up_to_128_bits() {
    assert_eq!(printed_oid(&[0x00]).unwrap(), "0.0=#0c00");
    assert_eq!(printed_oid(&[0x27]).unwrap(), "0.39=#0c00");
    assert_eq!(printed_oid(&[0x28]).unwrap(), "1.0=#0c00");
    assert_eq!(printed_oid(&[0x4f]).unwrap(), "1.39=#0c00");
    assert_eq!(printed_oid(&[0x50]).unwrap(), "2.0=#0c00");
    assert_eq!(printed_oid(&[0x88, 0x37, 0x03]).unwrap(), "2.999.3=#0c00");
    let largest = [&[0x69, 0x83][..], &[0xff; 17], &[0x7f]].concat();
    assert_eq!(printed_oid(&largest).unwrap(), format!("2.25.{}=#0c00", u128::MAX));
    let beyond = [&[0x69, 0x84][..], &[0x80; 17], &[0x00]].concat();
    assert_eq!(printed_oid(&beyond), Err(DerError::BadObjectIdentifier));
}

#[test]
fn object_identifiers_that_are_not_der_are_refused() {
    for oid in [&[][..], &[0x55, 0x84], &[0x80, 0x01], &[0x55, 0x80, 0x01], &[0x55; 4097]] {
        assert_eq!(printed_oid(oid), Err(DerError::BadObjectIdentifier), "{oid:x?}");
    }
}

#[test]
fn structures_other_than_a_name_are_refused() {
    let attribute = attribute(COMMON_NAME, der::UTF8_STRING, b"a");
    let refused = |name: &[u8]| java_name(name).unwrap_err();
    let sequence = |contents: &[u8]| encode(der::SEQUENCE, contents);
    let set = |contents: &[u8]| encode(der::SET, contents);

    assert_eq!(refused(&[]), DerError::Truncated);
    assert_eq!(refused(&set(&[])), DerError::Unexpected("a name"));
    assert_eq!(refused(&[sequence(&[]), vec![0]].concat()), DerError::Trailing("a name"));
    assert_eq!(refused(&sequence(&attribute)), DerError::Unexpected("a relative name"));
    assert_eq!(refused(&sequence(&set(&set(&[])))), DerError::Unexpected("an attribute"));
    let longer = sequence(&[&attribute[2..], &[0x05, 0x00]].concat());
    assert_eq!(refused(&sequence(&set(&longer))), DerError::Trailing("an attribute"));
    let no_value = sequence(&encode(der::OBJECT_IDENTIFIER, COMMON_NAME));
    assert_eq!(refused(&sequence(&set(&no_value))), DerError::Truncated);
    let no_type = sequence(&encode(der::UTF8_STRING, b"a"));
    assert_eq!(refused(&sequence(&set(&no_type))), DerError::Unexpected("an attribute's type"));
    assert_eq!(refused(&sequence(&[0; 70_000])), DerError::TooLong);
}

/// Undoes the escaping of one value that was text.
fn unescaped(printed: &str) -> String {
    let mut text = String::new();
    let mut rest = printed.chars();
    while let Some(c) = rest.next() {
        match (c, c == '\\') {
            (_, false) => text.push(c),
            (_, true) => match rest.next().unwrap() {
                '0' => {
                    assert_eq!(rest.next(), Some('0'));
                    text.push('\0');
                }
                escaped => text.push(escaped),
            },
        }
    }
    text
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = java_name(&bytes);
    }

    #[test]
    fn a_damaged_name_never_panics_and_never_outgrows_its_bound(
        vector in 0..76_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let line = VECTORS.lines().filter(|line| !line.starts_with('#')).nth(vector).unwrap();
        let mut der = unhex(line.split('\t').nth(1).unwrap());
        let at = at.index(der.len());
        if cut { der.truncate(at) } else { der[at] = byte }
        if let Ok(name) = java_name(&der) {
            prop_assert!(name.len() <= 4 * der.len(), "{} of {}", name.len(), der.len());
        }
    }

    #[test]
    fn an_escaped_value_is_unambiguous(value in r#"[ \r\n\t\x00,=+<>#;"\\aé😀]{0,12}"#) {
        let printed = common_name(der::UTF8_STRING, value.as_bytes());
        prop_assert_eq!(unescaped(printed.strip_prefix("CN=").unwrap()), value);
    }

    #[test]
    fn names_are_printed_in_reverse_of_their_encoding(values in prop::collection::vec("[a-z]{1,5}", 1..8)) {
        let rdns: Vec<_> = values.iter().map(|v| attribute(COMMON_NAME, der::UTF8_STRING, v.as_bytes())).collect();
        let expected: Vec<_> = values.iter().rev().map(|v| format!("CN={v}")).collect();
        prop_assert_eq!(java_name(&name_of(&rdns)).unwrap(), expected.join(","));
    }

    #[test]
    fn object_identifiers_are_printed_as_their_arcs(second in 0..=u128::MAX - 80, arcs in prop::collection::vec(any::<u128>(), 0..4)) {
        let mut oid = Vec::new();
        for number in [second + 80].into_iter().chain(arcs.iter().copied()) {
            let groups = (128 - number.leading_zeros()).div_ceil(7).max(1);
            for group in (0..groups).rev() {
                oid.push((number >> (7 * group)) as u8 & 0x7f | if group == 0 { 0 } else { 0x80 });
            }
        }
        let dotted: String = arcs.iter().map(|arc| format!(".{arc}")).collect();
        prop_assert_eq!(printed_oid(&oid).unwrap(), format!("2.{second}{dotted}=#0c00"));
    }
}
