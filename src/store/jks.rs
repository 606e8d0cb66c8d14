//! Java's own stores, JKS and JCEKS: the same outline, different protection of keys.
//!
//! Big-endian: magic, version, number of entries; per entry a tag, an alias, a date and the content; at the end a
//! SHA-1 over password and content. There is no specification but `sun.security.provider.JavaKeyStore` and
//! `com.sun.crypto.provider.JceKeyStore` in OpenJDK.

mod protection;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha1::{Digest, Sha1};

use self::protection::Password;
use super::TrustedCertificate;
use super::advice::Advice;
use super::certificate;
use super::fault::StoreFault;
use crate::secret::Secret;

pub(super) fn looks_like(data: &[u8]) -> bool {
    data.starts_with(&JKS) || data.starts_with(&JCEKS)
}

/// The one private key and its chain. The store's password, if given, is checked; the key is opened by its own
/// password, else by the store's.
pub(super) fn key_entry(
    data: &[u8],
    password: Option<&Secret>,
    key_password: Option<&Secret>,
) -> Result<(PrivateKeyDer<'static>, Vec<CertificateDer<'static>>), StoreFault> {
    let mut keys = Vec::new();
    for entry in open(data, password)? {
        if let Content::Key { sealed, chain } = entry.content {
            keys.push((entry.alias, sealed, chain));
        }
    }
    if keys.len() > 1 {
        return Err(StoreFault::SeveralKeys(keys.into_iter().map(|(alias, ..)| alias).collect()));
    }
    let (alias, sealed, chain) = keys.pop().ok_or(StoreFault::NoKey)?;
    let opener = key_password.or(password).ok_or(StoreFault::PasswordNeeded)?;
    let key = protection::unseal(sealed, &Password::new(opener)?)?;
    let chain = chain.into_iter().map(|der| checked(&alias, der)).collect::<Result<_, _>>()?;
    Ok((PrivateKeyDer::Pkcs8(key.to_vec().into()), chain))
}

/// The trusted certificates and the first certificate of each key, as Java's trust manager takes them.
pub(super) fn trusted(data: &[u8], password: Option<&Secret>) -> Result<Vec<TrustedCertificate>, StoreFault> {
    let mut found = Vec::new();
    for entry in open(data, password)? {
        let der = match entry.content {
            Content::Trusted(der) => Some(der),
            Content::Key { chain, .. } => chain.first().copied(),
        };
        if let Some(der) = der {
            let certificate = checked(&entry.alias, der)?;
            found.push(TrustedCertificate { alias: Some(entry.alias), certificate });
        }
    }
    Ok(found)
}

struct Entry<'a> {
    alias: String,
    content: Content<'a>,
}

enum Content<'a> {
    Key { sealed: &'a [u8], chain: Vec<&'a [u8]> },
    Trusted(&'a [u8]),
}

const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const JCEKS: [u8; 4] = [0xce, 0xce, 0xce, 0xce];
const KEY: u32 = 1;
const TRUSTED: u32 = 2;
const SECRET: u32 = 3;
const DIGEST_LENGTH: usize = 20;

fn checked(alias: &str, der: &[u8]) -> Result<CertificateDer<'static>, StoreFault> {
    certificate::checked(der.to_vec(), &format!("\"{alias}\""))
}

/// Checks the integrity of the store if there is a password, and lists its entries.
fn open<'a>(data: &'a [u8], password: Option<&Secret>) -> Result<Vec<Entry<'a>>, StoreFault> {
    let (content, digest) = data
        .len()
        .checked_sub(DIGEST_LENGTH)
        .and_then(|end| data.split_at_checked(end))
        .ok_or_else(|| StoreFault::Malformed("it is cut short".into()))?;
    if let Some(password) = password {
        let expected = Sha1::new()
            .chain_update(Password::new(password)?.utf16())
            .chain_update(b"Mighty Aphrodite")
            .chain_update(content)
            .finalize();
        if expected[..] != *digest {
            return Err(StoreFault::WrongPassword);
        }
    }
    entries(content)
}

fn entries(content: &[u8]) -> Result<Vec<Entry<'_>>, StoreFault> {
    let mut reader = Reader(content);
    let _magic = reader.u32()?;
    let version = reader.u32()?;
    if !matches!(version, 1 | 2) {
        return Err(StoreFault::Malformed(format!("it has the version {version}, and only 1 and 2 exist")));
    }
    // Not a capacity: the number is the file's word, and each entry is checked against what is there.
    let count = reader.u32()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(reader.entry(version)?);
    }
    if !reader.0.is_empty() {
        return Err(StoreFault::Malformed(format!("{} bytes follow its last entry", reader.0.len())));
    }
    Ok(entries)
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn entry(&mut self, version: u32) -> Result<Entry<'a>, StoreFault> {
        let tag = self.u32()?;
        let alias = self.text()?;
        let _date = self.take(8)?;
        let content = match tag {
            KEY => {
                let sealed = self.block()?;
                let count = self.u32()?;
                let mut chain = Vec::new();
                for _ in 0..count {
                    chain.push(self.certificate(version)?);
                }
                Content::Key { sealed, chain }
            }
            TRUSTED => Content::Trusted(self.certificate(version)?),
            // A serialised Java object whose length is written nowhere: what follows it can't be found.
            SECRET => {
                return Err(StoreFault::Unsupported(format!(
                    "it holds the secret key \"{alias}\", which only Java can read: keep secret keys in another \
                     store, and take this one out with {}",
                    Advice::DeleteEntry
                )));
            }
            other => return Err(StoreFault::Malformed(format!("an entry has the unknown kind {other}"))),
        };
        Ok(Entry { alias, content })
    }

    fn certificate(&mut self, version: u32) -> Result<&'a [u8], StoreFault> {
        if version > 1 {
            let kind = self.text()?;
            if !is_x509(&kind) {
                return Err(StoreFault::Malformed(format!("a certificate has the unknown kind \"{kind}\"")));
            }
        }
        self.block()
    }

    fn block(&mut self) -> Result<&'a [u8], StoreFault> {
        let length = self.u32()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn text(&mut self) -> Result<String, StoreFault> {
        let length = self.array::<2>().map(u16::from_be_bytes)?;
        self.take(length.into()).map(modified_utf8)
    }

    fn u32(&mut self) -> Result<u32, StoreFault> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreFault> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], StoreFault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Java looks the kind up as the name of a `CertificateFactory`: without regard to case, and with `X509` as an alias.
/// Stores of Go programs such as cert-manager have that.
fn is_x509(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("X.509") || kind.eq_ignore_ascii_case("X509")
}

fn cut_short() -> StoreFault {
    StoreFault::Malformed("it is cut short".into())
}

/// `java.io.DataInput.readUTF`: UTF-16 units of which each is written as one to three bytes of UTF-8. Names only, so
/// what is wrong becomes U+FFFD.
fn modified_utf8(bytes: &[u8]) -> String {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let low = |index: usize| tail.get(index).map_or(0, |byte| u16::from(byte & 0x3f));
        let first_bits = u16::from(first);
        let (unit, more) = match first {
            0x00..=0x7f => (first_bits, 0),
            0xc0..=0xdf => ((first_bits & 0x1f) << 6 | low(0), 1),
            0xe0..=0xef => ((first_bits & 0x0f) << 12 | low(0) << 6 | low(1), 2),
            _ => (0xfffd, 0),
        };
        units.push(unit);
        rest = tail.get(more..).unwrap_or_default();
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_read_as_java_writes_them() {
        assert_eq!(modified_utf8(b"mykey"), "mykey");
        assert_eq!(modified_utf8("clé".as_bytes()), "clé");
        // U+1F511 as two surrogates of three bytes each, and NUL as two bytes.
        assert_eq!(modified_utf8(&[0xed, 0xa0, 0xbd, 0xed, 0xb4, 0x91, 0xc0, 0x80]), "\u{1f511}\0");
        assert_eq!(modified_utf8(&[b'a', 0xe2, 0x82]), "a\u{2080}");
    }

    #[test]
    fn an_entry_count_beyond_the_file_is_an_error_and_no_allocation() {
        let mut store = JKS.to_vec();
        store.extend(2u32.to_be_bytes());
        store.extend(u32::MAX.to_be_bytes());
        store.extend([0; DIGEST_LENGTH]);
        assert!(matches!(trusted(&store, None), Err(StoreFault::Malformed(_))));
    }
}
