//! Distinguished names, printed byte for byte as Java's `X500Principal.getName()` prints them: that string is the
//! id that native ZooKeeper gives a certificate.
//!
//! It looks like RFC 2253 and is not: `=` and every `#` are escaped, string types but UTF8String are taken for
//! UTF-8 all the same, and only nine attributes have a keyword.
//!
//! This is OpenJDK 17's form. Later JDKs (seen with 25) decode the other string types by their own rules and so
//! print another name where such a string is not ASCII, and for every BMPString.

use std::fmt::Write as _;

use super::der::{self, DerError, Reader, Value};
use super::java_utf8;

/// `id-at-commonName` (RFC 5280 appendix A.1), contents of its DER.
pub(crate) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Prints a DER-encoded `Name` (RFC 5280 §4.1.2.4) as `X500Principal.getName()` of OpenJDK does. An empty name
/// is an empty string.
///
/// # Errors
///
/// When the bytes are not exactly one `Name` in DER, are longer than 64 KiB, or an attribute's type has an arc
/// above 128 bits. Java accepts some of these; refusing a name is safe, naming it otherwise would not be.
pub fn java_name(name_der: &[u8]) -> Result<String, DerError> {
    let mut name = String::with_capacity(name_der.len());
    for (index, rdn) in relative_names(name_der)?.into_iter().rev().enumerate() {
        if index > 0 {
            name.push(',');
        }
        // Java keeps the order of the encoding here, also where it is not DER's order of a SET.
        for (index, attribute) in attributes(rdn)?.into_iter().enumerate() {
            if index > 0 {
                name.push('+');
            }
            write_attribute(&mut name, &attribute)?;
        }
    }
    Ok(name)
}

/// Whether Java reads the text as a name (`X500Principal(String)`: RFC 2253, RFC 1779 and some more), as far as the
/// types of its attributes and what separates them tell. What [`java_name`] prints is such a text, unless a relative
/// name or all of it is empty; Java takes the latter all the same.
pub fn is_x500_name(text: &str) -> bool {
    attribute_texts(text).all(|attribute| {
        let Some((kind, _)) = attribute.split_once('=') else { return false };
        let kind = kind.trim().to_ascii_uppercase();
        let oid = kind.strip_prefix("OID.").unwrap_or(&kind);
        READ_KEYWORDS.contains(&kind.as_str()) || is_dotted(oid)
    })
}

/// The keywords that Java reads, in any case; it prints only nine of them.
const READ_KEYWORDS: &[&str] = &[
    "CN",
    "C",
    "L",
    "S",
    "ST",
    "O",
    "OU",
    "T",
    "IP",
    "STREET",
    "DC",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAIL",
    "EMAILADDRESS",
    "UID",
    "SERIALNUMBER",
];

/// What stands between separators that are neither escaped nor quoted.
fn attribute_texts(text: &str) -> impl Iterator<Item = &str> {
    let (mut escaped, mut quoted) = (false, false);
    text.split(move |c| {
        let plain = !escaped;
        escaped = plain && c == '\\';
        quoted ^= plain && c == '"';
        plain && !quoted && matches!(c, ',' | ';' | '+')
    })
}

fn is_dotted(oid: &str) -> bool {
    let is_number = |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
    oid.contains('.') && oid.split('.').all(is_number)
}

/// An `AttributeTypeAndValue`: the contents of its type's OID, and its value.
pub(crate) struct Attribute<'a> {
    pub(crate) oid: &'a [u8],
    pub(crate) value: Value<'a>,
}

/// Every attribute of a DER-encoded `Name`, in the order of the encoding.
pub(crate) fn all_attributes(name_der: &[u8]) -> Result<Vec<Attribute<'_>>, DerError> {
    let mut all = Vec::new();
    for rdn in relative_names(name_der)? {
        all.extend(attributes(rdn)?);
    }
    Ok(all)
}

/// The contents of each `RelativeDistinguishedName`, in the order of the encoding.
fn relative_names(name_der: &[u8]) -> Result<Vec<&[u8]>, DerError> {
    let mut reader = Reader::new(der::only(name_der, der::SEQUENCE, "a name")?.contents);
    let mut rdns = Vec::new();
    while !reader.is_empty() {
        rdns.push(reader.expect(der::SET, "a relative name")?.contents);
    }
    Ok(rdns)
}

fn attributes(rdn: &[u8]) -> Result<Vec<Attribute<'_>>, DerError> {
    let mut reader = Reader::new(rdn);
    let mut attributes = Vec::new();
    while !reader.is_empty() {
        let mut pair = Reader::new(reader.expect(der::SEQUENCE, "an attribute")?.contents);
        let oid = pair.expect(der::OBJECT_IDENTIFIER, "an attribute's type")?.contents;
        let value = pair.value()?;
        pair.end("an attribute")?;
        attributes.push(Attribute { oid, value });
    }
    Ok(attributes)
}

fn write_attribute(name: &mut String, attribute: &Attribute<'_>) -> Result<(), DerError> {
    let value = &attribute.value;
    match keyword(attribute.oid) {
        Some(keyword) => {
            name.push_str(keyword);
            name.push('=');
            if is_string(value.tag) {
                write_escaped(name, &java_utf8::decode(value.contents));
            } else {
                write_hex(name, value.encoded);
            }
        }
        None => {
            write_oid(name, attribute.oid)?;
            name.push('=');
            write_hex(name, value.encoded);
        }
    }
    Ok(())
}

/// The keywords that Java prints in its RFC 2253 form; all other types are printed as numbers.
fn keyword(oid: &[u8]) -> Option<&'static str> {
    match oid {
        COMMON_NAME => Some("CN"),
        [0x55, 0x04, 0x06] => Some("C"),
        [0x55, 0x04, 0x07] => Some("L"),
        [0x55, 0x04, 0x08] => Some("ST"),
        [0x55, 0x04, 0x09] => Some("STREET"),
        [0x55, 0x04, 0x0a] => Some("O"),
        [0x55, 0x04, 0x0b] => Some("OU"),
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => Some("DC"),
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => Some("UID"),
        _ => None,
    }
}

/// The types that Java prints as text; a value of any other type is printed in hexadecimal.
fn is_string(tag: u8) -> bool {
    matches!(
        tag,
        der::PRINTABLE_STRING
            | der::TELETEX_STRING
            | der::IA5_STRING
            | der::GENERAL_STRING
            | der::BMP_STRING
            | der::UTF8_STRING
    )
}

fn write_hex(name: &mut String, encoded: &[u8]) {
    name.push('#');
    for byte in encoded {
        write!(name, "{byte:02x}").expect("a String takes all that is written");
    }
}

fn write_escaped(name: &mut String, text: &str) {
    // Blanks are CR and space, no others: not TAB, LF or NBSP.
    let is_blank = |c: char| matches!(c, ' ' | '\r');
    let lead = text.len() - text.trim_start_matches(is_blank).len();
    let trail = text.trim_end_matches(is_blank).len();
    for (index, c) in text.char_indices() {
        match c {
            '\0' => name.push_str("\\00"),
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => name.extend(['\\', c]),
            _ if index < lead || index >= trail => name.extend(['\\', c]),
            _ => name.push(c),
        }
    }
}

/// Writes the contents of an OBJECT IDENTIFIER (X.690 §8.19) in dotted form.
fn write_oid(name: &mut String, contents: &[u8]) -> Result<(), DerError> {
    // OpenJDK's own limit.
    const MAX_OID: usize = 4096;
    if contents.is_empty() || contents.len() > MAX_OID {
        return Err(DerError::BadObjectIdentifier);
    }
    let mut rest = contents;
    let mut first = true;
    while !rest.is_empty() {
        let (number, after) = subidentifier(rest)?;
        rest = after;
        let written = match (first, number) {
            // The first subidentifier holds two arcs: 40 × the first (0, 1 or 2) + the second.
            (true, 0..=79) => write!(name, "{}.{}", number / 40, number % 40),
            (true, _) => write!(name, "2.{}", number - 80),
            (false, _) => write!(name, ".{number}"),
        };
        written.expect("a String takes all that is written");
        first = false;
    }
    Ok(())
}

/// Splits a subidentifier (base 128, most significant first) off the front.
fn subidentifier(bytes: &[u8]) -> Result<(u128, &[u8]), DerError> {
    const LEADING_ZERO: u8 = 0x80;
    if bytes.first() == Some(&LEADING_ZERO) {
        return Err(DerError::BadObjectIdentifier);
    }
    let mut number: u128 = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if number > u128::MAX >> 7 {
            return Err(DerError::BadObjectIdentifier);
        }
        number = number << 7 | u128::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok((number, &bytes[index + 1..]));
        }
    }
    Err(DerError::BadObjectIdentifier)
}

#[cfg(test)]
mod tests;
