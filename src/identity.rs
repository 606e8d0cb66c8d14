//! Who a client is: the one name that its certificate bears where the configuration says to look.
//!
//! A certificate that bears none there, or several, is refused; nothing is guessed. The subject's name equals, byte
//! for byte, the `x509` id that native ZooKeeper computes for the same certificate.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::reason::Refusal;

mod certificate;
mod common_name;
mod der;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod java_utf8;
pub mod mapping;
pub mod name;

use certificate::{DNS_NAME, Names, RFC822_NAME, URI};
pub use der::DerError;

/// Longest identity, in bytes of UTF-8. It travels in every injected packet and access record.
pub const MAX_IDENTITY: usize = 4096;

/// Where in a certificate its holder's name is looked for; the values of `identity.from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Source {
    /// The subject, printed as Java prints it; what native ZooKeeper does. Word: `subject`.
    #[default]
    Subject,
    /// The uniformResourceIdentifier among the subjectAltNames, for SPIFFE ids. Word: `san_uri`.
    SanUri,
    /// The dNSName among the subjectAltNames. Word: `san_dns`.
    SanDns,
    /// The rfc822Name among the subjectAltNames. Word: `san_email`.
    SanEmail,
    /// The subject's commonName. Word: `common_name`.
    CommonName,
}

impl Source {
    /// Every source, in the order of the documentation.
    pub const ALL: &'static [Self] = &[Self::Subject, Self::SanUri, Self::SanDns, Self::SanEmail, Self::CommonName];

    /// The word that stands for this source in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::SanUri => "san_uri",
            Self::SanDns => "san_dns",
            Self::SanEmail => "san_email",
            Self::CommonName => "common_name",
        }
    }

    /// What is looked for, for messages.
    fn noun(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::SanUri => "URI alternative name",
            Self::SanDns => "DNS alternative name",
            Self::SanEmail => "e-mail alternative name",
            Self::CommonName => "common name in the subject",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(word: &str) -> Result<Self, UnknownSource> {
        Self::ALL.iter().copied().find(|source| source.as_str() == word).ok_or(UnknownSource)
    }
}

/// The word names no [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of subject, san_uri, san_dns, san_email, common_name")]
pub struct UnknownSource;

/// A client's name: not empty, at most [`MAX_IDENTITY`] bytes. Names taken from a subject may hold any character,
/// line breaks included, as they do in Java; whoever prints one where that matters has to escape it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(String);

impl Identity {
    /// Takes the name as it is.
    ///
    /// # Errors
    ///
    /// `no_identity` when it is empty, `malformed` when it is longer than [`MAX_IDENTITY`].
    pub fn new(name: String) -> Result<Self, IdentityError> {
        if name.is_empty() {
            return Err(IdentityError::new(Refusal::NoIdentity, "the name is empty"));
        }
        if name.len() > MAX_IDENTITY {
            let detail = format!("the name has {} bytes, and {MAX_IDENTITY} is the most", name.len());
            return Err(IdentityError::new(Refusal::Malformed, detail));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a certificate gives no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct IdentityError {
    /// [`Refusal::NoIdentity`], [`Refusal::AmbiguousIdentity`] or [`Refusal::Malformed`].
    pub refusal: Refusal,
    /// What is wrong with the certificate and what to do about it; nothing that the client wrote.
    pub detail: String,
}

impl IdentityError {
    fn new(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self { refusal, detail: detail.into() }
    }

    fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Refusal::Malformed, detail)
    }
}

impl From<DerError> for IdentityError {
    fn from(error: DerError) -> Self {
        Self::malformed(format!("the certificate can't be read: {error}"))
    }
}

/// The one name that a DER-encoded certificate bears at `source`. The certificate is not verified here.
///
/// # Errors
///
/// `no_identity` when it bears none there, `ambiguous_identity` when it bears several (the same alternative name
/// twice is one), `malformed` when the certificate or the name can't be read without doubt.
pub fn identify(leaf_der: &[u8], source: Source) -> Result<Identity, IdentityError> {
    let name = match source {
        Source::Subject => whole_subject(leaf_der)?,
        Source::SanUri => alternative_name(leaf_der, source, URI)?,
        Source::SanDns => alternative_name(leaf_der, source, DNS_NAME)?,
        Source::SanEmail => alternative_name(leaf_der, source, RFC822_NAME)?,
        Source::CommonName => common_name(leaf_der)?,
    };
    Identity::new(name)
}

/// The subject of a DER-encoded certificate as Java prints it; empty when the subject is.
///
/// # Errors
///
/// `malformed` when the certificate can't be read.
pub fn subject_name(leaf_der: &[u8]) -> Result<String, IdentityError> {
    Ok(name::java_name(Names::read(leaf_der)?.subject)?)
}

fn whole_subject(leaf_der: &[u8]) -> Result<String, IdentityError> {
    let subject = subject_name(leaf_der)?;
    if subject.is_empty() {
        let detail = "the certificate's subject is empty; if its name is an alternative name, set identity.from to \
                      san_uri, san_dns or san_email";
        return Err(IdentityError::new(Refusal::NoIdentity, detail));
    }
    Ok(subject)
}

fn alternative_name(leaf_der: &[u8], source: Source, tag: u8) -> Result<String, IdentityError> {
    let mut names = BTreeSet::new();
    for entry in Names::read(leaf_der)?.alternative_names()? {
        if entry.tag == tag {
            names.insert(printable_ascii(entry.contents).ok_or_else(|| unreadable(source))?);
        }
    }
    match names.len() {
        0 => Err(none(source)),
        1 => Ok(names.into_iter().collect()),
        several => Err(ambiguous(several, source)),
    }
}

fn common_name(leaf_der: &[u8]) -> Result<String, IdentityError> {
    let source = Source::CommonName;
    let attributes = name::all_attributes(Names::read(leaf_der)?.subject)?;
    let mut values = attributes.into_iter().filter(|attribute| attribute.oid == name::COMMON_NAME);
    let first = values.next().ok_or_else(|| none(source))?;
    match values.count() {
        0 => common_name::decode(&first.value).ok_or_else(|| unreadable(source)),
        more => Err(ambiguous(more + 1, source)),
    }
}

/// Text of ASCII without control characters. A NUL or a line break in a name is an attack or an accident.
fn printable_ascii(bytes: &[u8]) -> Option<&str> {
    let is_printable = |byte: &u8| matches!(byte, 0x20..=0x7e);
    if bytes.iter().all(is_printable) { std::str::from_utf8(bytes).ok() } else { None }
}

fn none(source: Source) -> IdentityError {
    let detail = format!("the certificate has no {}, where identity.from: {source} looks for its name", source.noun());
    IdentityError::new(Refusal::NoIdentity, detail)
}

fn ambiguous(several: usize, source: Source) -> IdentityError {
    let noun = source.noun();
    let detail = format!("the certificate has {several} times a {noun}, and identity.from: {source} needs exactly one");
    IdentityError::new(Refusal::AmbiguousIdentity, detail)
}

fn unreadable(source: Source) -> IdentityError {
    let noun = source.noun();
    IdentityError::malformed(format!("the certificate's {noun} has bytes that don't belong in a name"))
}

#[cfg(test)]
mod tests;
