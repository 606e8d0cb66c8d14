//! Two looks at DER for the properties of names.

use super::der::{Reader, SEQUENCE, SET};

/// Values, as deep as a name goes, with every length written anew.
pub(crate) fn encoded_again(bytes: &[u8], levels: usize) -> Option<Vec<u8>> {
    let (mut reader, mut out) = (Reader::new(bytes), Vec::with_capacity(bytes.len()));
    while !reader.is_empty() {
        let value = reader.value().ok()?;
        let contents = match value.tag {
            SEQUENCE | SET if levels > 0 => encoded_again(value.contents, levels - 1)?,
            _ => value.contents.to_vec(),
        };
        out.push(value.tag);
        match contents.len() {
            length @ 0..=0x7f => out.push(length as u8),
            length => {
                let octets = length.to_be_bytes();
                let octets = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
                out.push(0x80 | octets.len() as u8);
                out.extend_from_slice(octets);
            }
        }
        out.extend_from_slice(&contents);
    }
    Some(out)
}

/// Whether no relative name of a name is empty.
pub(crate) fn has_attribute_in_each(name: &[u8]) -> bool {
    let Ok(name) = Reader::new(name).value() else { return false };
    let mut relative = Reader::new(name.contents);
    let mut any = false;
    while let Ok(value) = relative.value() {
        any = true;
        if value.contents.is_empty() {
            return false;
        }
    }
    any
}
