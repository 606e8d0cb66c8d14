//! Key and trust stores, told apart by what is in the file and never by its name.
//!
//! | content | key store | trust store |
//! |---|---|---|
//! | PEM | certificates and a PKCS#8, PKCS#1 or SEC1 key, in one file or two | every certificate |
//! | PKCS#12, DER or BER | as OpenSSL, keytool, NSS, Bouncy Castle and Go write it | Java's, or one of certificates alone |
//! | JKS, JCEKS | yes, also with a key password of its own | yes, also without a password |
//! | DER, PkiPath | certificates, beside a PEM key | certificates |
//! | PKCS#7 | certificates, beside a PEM key | certificates |
//!
//! A key store must hold exactly one private key. The chain is put in order: the certificate of that key first,
//! then issuer after issuer as far as the file goes; certificates that don't belong to this chain are left out.

mod advice;
mod algorithm;
mod ber;
mod certificate;
mod der;
mod encryption;
mod fault;
mod foreign;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod jks;
mod key;
mod kind;
mod pem;
mod pkcs12;
mod pkcs7;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

pub use self::advice::Advice;
pub use self::fault::{StoreError, StoreFault};
use self::kind::Kind;
use crate::secret::Secret;

/// A server's private key and the certificates to present with it.
pub struct KeyStore {
    /// The key's own certificate first, then its issuers in order. Never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key whose public half the first certificate holds; of a kind that TLS here can sign with.
    pub key: PrivateKeyDer<'static>,
}

/// A certificate that the operator trusts: an authority, or a client certificate pinned by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedCertificate {
    /// The store's name for it (PKCS#12 friendly name, JKS alias); PEM and DER have none.
    pub alias: Option<String>,
    /// The certificate. It has been parsed once, so it is well-formed.
    pub certificate: CertificateDer<'static>,
}

/// What a trust store holds, in the file's order. Several certificates of one subject are all kept, so that an
/// authority's old and new key can be trusted side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustStore {
    /// At least one, where it was loaded from a file.
    pub certificates: Vec<TrustedCertificate>,
}

/// Where a key store is and what opens it.
#[derive(Debug, Clone, Copy)]
pub struct KeyStorePaths<'a> {
    /// The store, or the PEM certificates when the key has a file of its own.
    pub path: &'a Path,
    /// The PEM file of the key, when it isn't in `path`. The certificates may then also be DER.
    pub key_path: Option<&'a Path>,
    /// Opens the store (JKS, PKCS#12), or the key (PEM).
    pub password: Option<&'a Secret>,
    /// Opens the key, where that takes another password than the store. PKCS#12 has one password for both.
    pub key_password: Option<&'a Secret>,
}

/// Reads a key store.
///
/// # Errors
/// When a file can't be read, its content isn't a key store, a password is missing or wrong, there isn't exactly
/// one key, the key is of a kind that can't be used for TLS, or no certificate belongs to the key.
pub fn load_key_store(paths: KeyStorePaths<'_>) -> Result<KeyStore, StoreError> {
    let data = read(paths.path, STORE_LIMIT)?;
    let at = |fault: StoreFault| StoreError::new(paths.path, fault);
    let (key, certificates) = match (recognise(&data).map_err(at)?, paths.key_path) {
        (Format::Pem | Format::Der | Format::Pkcs7, Some(key_path)) => {
            let key_data = read(key_path, STORE_LIMIT)?;
            let key =
                key_file(&key_data, paths.the_key_password()).map_err(|fault| StoreError::new(key_path, fault))?;
            (key, certificates_of(&data).map_err(at)?)
        }
        (Format::Pem, None) => {
            let key = pem::private_key(&data, paths.the_key_password()).map_err(at)?;
            (key, pem::certificates(&data).map_err(at)?)
        }
        (Format::Der | Format::Pkcs7, None) => return Err(at(StoreFault::NoKey)),
        (Format::Pkcs12 | Format::Jks, Some(_)) => {
            return Err(at(StoreFault::Unsupported(
                "this store holds its own key: leave the separate key file out of the configuration".into(),
            )));
        }
        (Format::Pkcs12, None) => pkcs12::key_entry(&data, paths.password, paths.key_password).map_err(at)?,
        (Format::Jks, None) => jks::key_entry(&data, paths.password, paths.key_password).map_err(at)?,
    };
    let public_key =
        key::public_key(&key).map_err(|fault| StoreError::new(paths.key_path.unwrap_or(paths.path), fault))?;
    let chain = certificate::chain_for(&public_key, certificates).map_err(at)?;
    Ok(KeyStore { chain, key })
}

/// Reads a trust store. Without a password a JKS is read without checking its integrity, as Java does; a PKCS#12 is
/// opened with the empty password.
///
/// In a store that also holds private keys, the first certificate of each key is trusted along with those marked as
/// trusted, as Java does; the rest of the key's chain isn't.
///
/// # Errors
/// When the file can't be read, isn't a store, needs another password, or holds no certificate to trust.
pub fn load_trust_store(path: &Path, password: Option<&Secret>) -> Result<TrustStore, StoreError> {
    let at = |fault: StoreFault| StoreError::new(path, fault);
    let data = read(path, STORE_LIMIT)?;
    let certificates = match recognise(&data).map_err(at)? {
        Format::Pem | Format::Der | Format::Pkcs7 => unnamed(certificates_of(&data).map_err(at)?),
        Format::Pkcs12 => pkcs12::trusted(&data, password).map_err(at)?,
        Format::Jks => jks::trusted(&data, password).map_err(at)?,
    };
    if certificates.is_empty() {
        return Err(at(StoreFault::NoCertificates));
    }
    Ok(TrustStore { certificates })
}

/// Reads the certificates of a PEM or DER file in the file's order: for looking at one client's chain.
///
/// They are not parsed: a client may send anything in the place of a certificate, and whoever judges it should judge
/// the same bytes here.
///
/// # Errors
/// When the file can't be read, holds something else, or holds no certificate.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let at = |fault: StoreFault| StoreError::new(path, fault);
    let data = read(path, STORE_LIMIT)?;
    let found: Vec<Vec<u8>> = match recognise(&data).map_err(at)? {
        Format::Pem => pem::unchecked_certificates(&data).map_err(at)?.into_iter().map(|(_, der)| der).collect(),
        Format::Der => certificate::unchecked(&data).map_err(at)?,
        Format::Pkcs7 => pkcs7::bundle(&data).map_err(at)?.certificates,
        Format::Pkcs12 | Format::Jks => {
            return Err(at(StoreFault::Unsupported(format!(
                "this is a store, and a PEM or DER certificate is wanted: export it with {} or, from PKCS#12, {}",
                Advice::ExportByKeytool,
                Advice::ExportByOpenssl
            ))));
        }
    };
    if found.is_empty() {
        return Err(at(StoreFault::NoCertificates));
    }
    Ok(found.into_iter().map(CertificateDer::from).collect())
}

/// Reads revocation lists: each `X509 CRL` block of a PEM file, or one DER list. Returns their DER; signatures and
/// dates aren't looked at here.
///
/// # Errors
/// When the file can't be read, is larger than 64 MiB, or holds no list or something that isn't one.
pub fn load_crls(path: &Path) -> Result<Vec<Vec<u8>>, StoreError> {
    let at = |fault: StoreFault| StoreError::new(path, fault);
    let data = read(path, CRL_LIMIT)?;
    if data.is_empty() {
        return Err(at(StoreFault::Empty));
    }
    let crls = if pem::looks_like(&data) { pem::crls(&data) } else { der_crls(&data) }.map_err(at)?;
    if crls.is_empty() {
        return Err(at(StoreFault::NoCrls));
    }
    if let Some(odd) = crls.iter().position(|crl| !der::is_crl(crl)) {
        return Err(at(StoreFault::Malformed(format!("revocation list {} isn't a whole DER CRL", odd + 1))));
    }
    Ok(crls)
}

/// What is no PEM: one list, or a bundle of them.
fn der_crls(data: &[u8]) -> Result<Vec<Vec<u8>>, StoreFault> {
    if let Some(fault) = no_store(data) {
        return Err(fault);
    }
    if data.first() != Some(&der::SEQUENCE) {
        return Err(StoreFault::NoCrls);
    }
    match message_kind(data) {
        Kind::SignedData => Ok(pkcs7::bundle(data)?.crls),
        _ => Ok(vec![data.to_vec()]),
    }
}

/// Reads a password from a file: all of it but one newline (`\n` or `\r\n`) at the end. At most 4 KiB.
///
/// # Errors
/// When the file can't be read, is too large, or holds nothing.
pub fn read_password(path: &Path) -> Result<Secret, StoreError> {
    let data = read(path, PASSWORD_LIMIT)?;
    let line = data.strip_suffix(b"\n").map_or(&data[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() {
        return Err(StoreError::new(path, StoreFault::EmptyPassword));
    }
    Ok(Secret::new(line.to_vec()))
}

impl KeyStorePaths<'_> {
    /// What opens the key itself: its own password, else the store's.
    fn the_key_password(&self) -> Option<&Secret> {
        self.key_password.or(self.password)
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Real stores are kilobytes; the cap keeps a mistaken path (a disk image, `/dev/zero`) from filling memory.
const STORE_LIMIT: u64 = 16 << 20;
/// Revocation lists of 100,000 entries are some 4 MB.
const CRL_LIMIT: u64 = 64 << 20;
const PASSWORD_LIMIT: u64 = 4 << 10;

/// What is wrong with a file that is neither PEM nor Java's, where its name is known.
fn no_store(data: &[u8]) -> Option<StoreFault> {
    if data.first() == Some(&der::SEQUENCE) { None } else { pem::misplaced(data).or_else(|| foreign::named(data)) }
}

enum Format {
    Pem,
    Der,
    Pkcs12,
    Pkcs7,
    Jks,
}

fn recognise(data: &[u8]) -> Result<Format, StoreFault> {
    if data.is_empty() {
        return Err(StoreFault::Empty);
    }
    if jks::looks_like(data) {
        return Ok(Format::Jks);
    }
    // Before DER: text in front of the first block may well begin with a '0', which is DER's SEQUENCE.
    if pem::looks_like(data) {
        return Ok(Format::Pem);
    }
    if let Some(fault) = no_store(data) {
        return Err(fault);
    }
    if der::is_pfx(data) {
        return Ok(Format::Pkcs12);
    }
    match message_kind(data) {
        Kind::SignedData => return Ok(Format::Pkcs7),
        Kind::Bcfks => {
            let what = Kind::Bcfks.name();
            return Err(StoreFault::Unsupported(format!("this is {what}: convert it with {}", Advice::BcfksToPkcs12)));
        }
        _ => {}
    }
    if data.starts_with(&[der::SEQUENCE, 0x80]) {
        return Err(StoreFault::Unsupported(format!(
            "this is BER with indefinite lengths, cut short or neither PKCS#12 nor PKCS#7. {}",
            pkcs12::rewrite()
        )));
    }
    if data.first() == Some(&der::SEQUENCE) { Ok(Format::Der) } else { Err(StoreFault::Unrecognised) }
}

/// What a file is that may be BER.
fn message_kind(data: &[u8]) -> Kind {
    match Kind::of(data) {
        Kind::Unknown if data.starts_with(&[der::SEQUENCE, 0x80]) => Kind::of(&ber::to_der(data).unwrap_or_default()),
        kind => kind,
    }
}

/// Certificates of a file that `recognise` took for PEM or DER.
fn certificates_of(data: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreFault> {
    if pem::looks_like(data) {
        return pem::certificates(data);
    }
    if message_kind(data) != Kind::SignedData {
        return certificate::concatenated(data);
    }
    let found = pkcs7::bundle(data)?.certificates.into_iter().zip(1..);
    found.map(|(der, number)| certificate::checked(der, &format!("{number} of the bundle"))).collect()
}

fn key_file(data: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, StoreFault> {
    if data.is_empty() {
        return Err(StoreFault::Empty);
    }
    if !pem::looks_like(data) {
        return Err(match recognise(data)? {
            Format::Jks | Format::Pkcs12 => StoreFault::Unsupported(
                "this is a store, with a certificate of its own: configure it as the key store's `path`, alone".into(),
            ),
            Format::Pem | Format::Der | Format::Pkcs7 => not_pem(data),
        });
    }
    pem::private_key(data, password)
}

/// Why a file of a key that is no PEM isn't taken.
fn not_pem(data: &[u8]) -> StoreFault {
    let advice = match Kind::of(data) {
        Kind::EncryptedKey => Advice::EncryptedDerKey,
        kind if kind.is_private_key() => Advice::DerKey,
        Kind::Unknown => return StoreFault::Unrecognised,
        _ => return StoreFault::NoKey,
    };
    StoreFault::Unsupported(format!("a key in a file of its own must be PEM ({advice})"))
}

fn unnamed(certificates: Vec<CertificateDer<'static>>) -> Vec<TrustedCertificate> {
    certificates.into_iter().map(|certificate| TrustedCertificate { alias: None, certificate }).collect()
}

/// Reads the whole file, which may hold a key: hence wiped when dropped, and read into one allocation where the
/// file's size is known, so that growing leaves no copies behind.
fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let unreadable = |error: io::Error| StoreError::new(path, StoreFault::Unreadable(error));
    let file = File::open(path).map_err(unreadable)?;
    let known = file.metadata().map_err(unreadable)?.len().min(limit);
    let mut data = Zeroizing::new(Vec::with_capacity(usize::try_from(known).unwrap_or(0) + 1));
    file.take(limit + 1).read_to_end(&mut data).map_err(unreadable)?;
    if data.len() as u64 > limit {
        return Err(StoreError::new(path, StoreFault::TooLarge { limit }));
    }
    Ok(data)
}
