//! The parts of an X.509 certificate (RFC 5280 §4.1) that name its holder, read from DER. Signatures, validity and
//! all else are the verifier's concern.

use super::der::{self, DerError, Reader, Value};

/// `id-ce-subjectAltName` (RFC 5280 §4.2.1.6), contents of its DER.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Tags of a `GeneralName`'s kinds (RFC 5280 §4.2.1.6), each an implicitly tagged IA5String.
pub(crate) const RFC822_NAME: u8 = 0x81;
pub(crate) const DNS_NAME: u8 = 0x82;
pub(crate) const URI: u8 = 0x86;

const VERSION: u8 = 0xa0;
const ISSUER_UNIQUE_ID: u8 = 0x81;
const SUBJECT_UNIQUE_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// A certificate's names, still encoded.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    /// The subject, a whole `Name`.
    pub(crate) subject: &'a [u8],
    extensions: Option<&'a [u8]>,
}

impl<'a> Names<'a> {
    pub(crate) fn read(certificate_der: &'a [u8]) -> Result<Self, DerError> {
        let mut certificate = Reader::new(der::only(certificate_der, der::SEQUENCE, "a certificate")?.contents);
        let mut tbs = Reader::new(certificate.expect(der::SEQUENCE, "a certificate's body")?.contents);
        certificate.expect(der::SEQUENCE, "a signature algorithm")?;
        certificate.expect(der::BIT_STRING, "a signature")?;
        certificate.end("a certificate")?;

        let version = version(&mut tbs)?;
        tbs.expect(der::INTEGER, "a serial number")?;
        tbs.expect(der::SEQUENCE, "a signature algorithm")?;
        tbs.expect(der::SEQUENCE, "an issuer")?;
        tbs.expect(der::SEQUENCE, "a validity")?;
        let subject = tbs.expect(der::SEQUENCE, "a subject")?.encoded;
        tbs.expect(der::SEQUENCE, "a public key")?;
        let extensions = optional_fields(tbs, version)?;
        Ok(Self { subject, extensions })
    }

    /// The entries of the subjectAltName extension; none if there is no such extension.
    pub(crate) fn alternative_names(&self) -> Result<Vec<Value<'a>>, DerError> {
        let Some(names) = self.alternative_name_extension()? else { return Ok(Vec::new()) };
        let mut reader = Reader::new(der::only(names, der::SEQUENCE, "alternative names")?.contents);
        let mut names = Vec::new();
        while !reader.is_empty() {
            names.push(reader.value()?);
        }
        Ok(names)
    }

    fn alternative_name_extension(&self) -> Result<Option<&'a [u8]>, DerError> {
        let Some(extensions) = self.extensions else { return Ok(None) };
        let mut reader = Reader::new(extensions);
        let mut found = None;
        while !reader.is_empty() {
            let mut extension = Reader::new(reader.expect(der::SEQUENCE, "an extension")?.contents);
            let oid = extension.expect(der::OBJECT_IDENTIFIER, "an extension's type")?.contents;
            if extension.peek() == Some(der::BOOLEAN) {
                extension.value()?;
            }
            let value = extension.expect(der::OCTET_STRING, "an extension's value")?.contents;
            extension.end("an extension")?;
            if oid == SUBJECT_ALT_NAME && found.replace(value).is_some() {
                return Err(DerError::DuplicateExtension);
            }
        }
        Ok(found)
    }
}

/// Takes the version, 1 to 3. Version 1 is the default and is normally left out.
fn version(tbs: &mut Reader<'_>) -> Result<u8, DerError> {
    if tbs.peek() != Some(VERSION) {
        return Ok(1);
    }
    match der::only(tbs.value()?.contents, der::INTEGER, "a version")?.contents {
        [number @ 0..=2] => Ok(number + 1),
        _ => Err(DerError::BadVersion),
    }
}

/// Reads what may follow the public key, as far as the version has it, and gives the contents of the extensions.
fn optional_fields<'a>(mut tbs: Reader<'a>, version: u8) -> Result<Option<&'a [u8]>, DerError> {
    for unique_id in [ISSUER_UNIQUE_ID, SUBJECT_UNIQUE_ID] {
        if tbs.peek() == Some(unique_id) {
            if version < 2 {
                return Err(DerError::BadVersion);
            }
            tbs.value()?;
        }
    }
    if tbs.peek() != Some(EXTENSIONS) {
        tbs.end("a certificate's body")?;
        return Ok(None);
    }
    if version < 3 {
        return Err(DerError::BadVersion);
    }
    let extensions = tbs.value()?.contents;
    tbs.end("a certificate's body")?;
    Ok(Some(der::only(extensions, der::SEQUENCE, "extensions")?.contents))
}
