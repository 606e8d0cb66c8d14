//! Distinguished names as issuers are looked up by, and as people read them.

use x509_parser::der_parser::asn1_rs::{Any, Tag};
use x509_parser::der_parser::oid::Oid;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// Longest name in a message; a peer chooses its own subject.
const TEXT_LIMIT: usize = 256;

/// The OID 2.5.4.3.
pub(crate) const COMMON_NAME: &[u8] = b"\x55\x04\x03";
/// The OID 1.2.840.113549.1.9.1.
pub(crate) const EMAIL_ADDRESS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01";

/// A name in the form in which RFC 5280 §7.1 compares names: strings without regard to their type, case and
/// runs of blanks, and the attributes of one RDN in any order. Names that are equal give equal bytes.
///
/// Only for finding candidate issuers: whether a candidate issued a certificate is told by the signature.
pub(crate) fn canonical(der: &[u8]) -> Vec<u8> {
    let Ok((_, name)) = X509Name::from_der(der) else {
        return [b"?", der].concat();
    };
    let mut out = Vec::with_capacity(der.len());
    for rdn in name.iter_rdn() {
        let mut attributes: Vec<Vec<u8>> = rdn
            .iter()
            .map(|attribute| {
                let mut bytes = Vec::new();
                push(&mut bytes, attribute.attr_type().as_bytes());
                push(&mut bytes, &canonical_value(attribute.attr_value()));
                bytes
            })
            .collect();
        attributes.sort();
        push(&mut out, &attributes.concat());
    }
    out
}

/// A name as people read it, most specific attribute first, with separators and control characters escaped
/// so that one name can't look like another. Cut at 256 characters. For messages, never for identities.
pub(crate) fn text(der: &[u8]) -> String {
    let Ok((_, name)) = X509Name::from_der(der) else {
        return "(unreadable name)".to_owned();
    };
    let mut rdns: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            rdn.iter().map(|a| attribute_text(&oid_text(a.attr_type()), a.attr_value())).collect::<Vec<_>>().join("+")
        })
        .collect();
    rdns.reverse();
    cut(rdns.join(","))
}

/// The last common name of a name, if it has one; otherwise the whole name.
pub(crate) fn common_name(der: &[u8]) -> String {
    let Ok((_, name)) = X509Name::from_der(der) else {
        return text(der);
    };
    let last = name.iter_common_name().last().and_then(|cn| string(cn.attr_value()));
    last.map_or_else(|| text(der), cut)
}

/// Whether the common name, or a name without one, has a word that CAs are called by and clients are not.
pub(crate) fn reads_like_ca(der: &[u8]) -> bool {
    const WORDS: &[&str] =
        &["ca", "root", "authority", "authorities", "issuing", "issuer", "intermediate", "certification"];
    let text = common_name(der);
    let mut words = text.split(|c: char| !c.is_alphabetic());
    words.any(|word| WORDS.contains(&word.to_lowercase().as_str()) || word.ends_with("CA"))
}

/// Whether it is a whole Name, so that [`canonical`] tells what it is.
pub(crate) fn is_readable(der: &[u8]) -> bool {
    X509Name::from_der(der).is_ok_and(|(rest, _)| rest.is_empty())
}

/// The values of an attribute, wherever a name has it; a value that is no string is `None`. Nothing for what is no name.
pub(crate) fn values(der: &[u8], attribute: &[u8]) -> Option<Vec<Option<String>>> {
    let (_, name) = X509Name::from_der(der).ok()?;
    let values = name.iter_attributes().filter(|value| value.attr_type().as_bytes() == attribute);
    Some(values.map(|value| string(value.attr_value())).collect())
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn canonical_value(value: &Any<'_>) -> Vec<u8> {
    let Some(string) = string(value) else {
        return [&value.tag().0.to_be_bytes(), value.data].concat();
    };
    let folded: Vec<String> = string.split_whitespace().map(str::to_lowercase).collect();
    folded.join(" ").into_bytes()
}

fn string(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::GeneralString => std::str::from_utf8(value.data).ok().map(str::to_owned),
        // Latin-1, as everybody writes it, or UTF-8 from those who know no better.
        Tag::T61String => Some(
            std::str::from_utf8(value.data)
                .map_or_else(|_| value.data.iter().copied().map(char::from).collect(), str::to_owned),
        ),
        Tag::UniversalString => {
            let (characters, rest) = value.data.as_chunks::<4>();
            let characters = characters.iter().map(|bytes| char::from_u32(u32::from_be_bytes(*bytes)));
            characters.collect::<Option<String>>().filter(|_| rest.is_empty())
        }
        Tag::BmpString => {
            let units =
                value.data.chunks(2).map(|pair| pair.iter().fold(0_u16, |sum, &byte| (sum << 8) | u16::from(byte)));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        _ => None,
    }
}

/// An object identifier in dotted form, or its bytes if they are not the one encoding that it has (X.690 §8.19.2): cut
/// short or filled up they would read as another's.
fn oid_text(oid: &Oid<'_>) -> String {
    let bytes = oid.as_bytes();
    let begins = |at: usize| at == 0 || bytes[at - 1] & 0x80 == 0;
    let filled = (0..bytes.len()).any(|at| bytes[at] == 0x80 && begins(at));
    let whole = bytes.last().is_some_and(|last| last & 0x80 == 0);
    if whole && !filled { oid.to_id_string() } else { format!("#{}", super::hex(bytes)) }
}

fn attribute_text(oid: &str, value: &Any<'_>) -> String {
    let keyword = match oid {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        other => other,
    };
    let mut out = format!("{keyword}=");
    match string(value) {
        Some(string) => string.chars().for_each(|c| match c {
            ',' | '+' | '=' | '<' | '>' | '#' | ';' | '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }),
        None => out.push_str(&format!("#{}", super::hex(value.data))),
    }
    out
}

/// Cuts a text for a message.
pub(crate) fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(TEXT_LIMIT) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of one attribute per RDN; `tag` is the string type.
    fn name(attributes: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let wrap = |tag: u8, body: Vec<u8>| [vec![tag, u8::try_from(body.len()).unwrap()], body].concat();
        let rdns = attributes.iter().map(|(kind, tag, value)| {
            let attribute = [wrap(6, vec![0x55, 4, *kind]), wrap(*tag, value.to_vec())].concat();
            wrap(0x31, wrap(0x30, attribute))
        });
        wrap(0x30, rdns.collect::<Vec<_>>().concat())
    }

    #[test]
    fn names_that_differ_in_case_blanks_and_string_type_are_equal() {
        let plain = name(&[(10, 0x0c, b"Big Corp"), (3, 0x0c, b"Root")]);
        let odd = name(&[(10, 0x13, b" BIG  corp "), (3, 0x1e, b"\0R\0O\0O\0T")]);
        assert_eq!(canonical(&plain), canonical(&odd));
    }

    #[test]
    fn names_that_differ_in_order_or_words_are_not_equal() {
        let plain = canonical(&name(&[(10, 0x0c, b"Big Corp"), (3, 0x0c, b"Root")]));
        assert_ne!(plain, canonical(&name(&[(3, 0x0c, b"Root"), (10, 0x0c, b"Big Corp")])));
        assert_ne!(plain, canonical(&name(&[(10, 0x0c, b"BigCorp"), (3, 0x0c, b"Root")])));
        assert_ne!(plain, canonical(&name(&[(10, 0x0c, b"Big Corp")])));
    }

    #[test]
    fn a_common_name_can_not_look_like_two_attributes() {
        let forged = name(&[(3, 0x0c, b"a,O=b\n")]);
        assert_eq!(text(&forged), r"CN=a\,O\=b\n");
    }

    #[test]
    fn names_of_cas_are_told_from_names_of_clients() {
        let called = |cn: &[u8]| reads_like_ca(&name(&[(6, 0x13, b"CA"), (3, 0x0c, cn)]));
        for ca in [&b"Example CA"[..], b"ca", b"Zoo Root", b"SubCA", b"clients-ca-2", b"Issuing Authority 1"] {
            assert!(called(ca), "{}", String::from_utf8_lossy(ca));
        }
        for client in [&b"alice"[..], b"kafka-1.example.com", b"replica", b"Monica", b"cause"] {
            assert!(!called(client), "{}", String::from_utf8_lossy(client));
        }
    }

    #[test]
    fn an_attribute_of_an_odd_type_does_not_look_like_a_common_name() {
        for (oid, shown) in
            [(&[0x55, 4, 3][..], "CN=a"), (&[0x55, 4, 0x83], "#550483=a"), (&[0x55, 4, 0x80, 3], "#55048003=a")]
        {
            let wrap = |tag: u8, body: &[u8]| [&[tag, u8::try_from(body.len()).unwrap()], body].concat();
            let attribute = [wrap(6, oid), wrap(0x0c, b"a")].concat();
            assert_eq!(text(&wrap(0x30, &wrap(0x31, &wrap(0x30, &attribute)))), shown);
        }
    }

    #[test]
    fn a_name_is_shown_most_specific_first_and_cut() {
        assert_eq!(text(&name(&[(10, 0x13, b"Corp"), (3, 0x13, b"zk")])), "CN=zk,O=Corp");
        let long = name(&[(3, 0x0c, &[b'x'; 100])]);
        assert_eq!(common_name(&long).len(), 100);
        assert_eq!(cut("é".repeat(300)).chars().count(), 257);
    }
}
