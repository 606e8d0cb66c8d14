//! What can be wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::advice::Advice;

/// A file that couldn't be used, and why.
#[derive(Debug, Error)]
#[error("{}: {fault}", path.display())]
pub struct StoreError {
    /// The file at fault. For a key in a file of its own this may be either file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: StoreFault,
}

impl StoreError {
    pub(super) fn new(path: &Path, fault: StoreFault) -> Self {
        Self { path: path.to_owned(), fault }
    }
}

/// What is wrong with a file. Texts name the remedy where there is one; none holds a password or a key.
#[derive(Debug, Error)]
pub enum StoreFault {
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// More than any file of its kind has.
    #[error("is larger than {} KiB, so it can't be the right file", limit >> 10)]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// Nothing in it, as after an interrupted copy.
    #[error("is empty")]
    Empty,
    /// No known format.
    #[error("is neither PEM, DER, PKCS#12, JKS nor JCEKS")]
    Unrecognised,
    /// A known format, but damaged or cut short.
    #[error("is damaged: {0}")]
    Malformed(String),
    /// Well-formed, but something that isn't read here.
    #[error("cannot be used: {0}")]
    Unsupported(String),
    /// A key encrypted by a scheme too old to be read.
    #[error(
        "its key is encrypted by {scheme}, which is no longer safe and not read here; encrypt it anew with {advice}"
    )]
    OldEncryption {
        /// The scheme's name.
        scheme: String,
        /// What encrypts it anew.
        advice: Advice,
    },
    /// Encrypted, and no password was given.
    #[error("needs a password, and none is configured")]
    PasswordNeeded,
    /// The password doesn't open it. A changed byte in the file looks the same.
    #[error("the password is wrong (or the file is damaged)")]
    WrongPassword,
    /// The store's password was right, but doesn't open the key.
    #[error("the store opens but its key doesn't: configure the key's own password")]
    WrongKeyPassword,
    /// The password has characters that this format can't hold.
    #[error("the password must be {0} for this kind of store")]
    PasswordText(&'static str),
    /// A password file with nothing in it.
    #[error("holds no password: the file is empty")]
    EmptyPassword,
    /// No private key.
    #[error("holds no private key")]
    NoKey,
    /// More than one private key.
    #[error("holds {} private keys ({}): keep only the one to be used", .0.len(), .0.join(", "))]
    SeveralKeys(Vec<String>),
    /// A private key and no certificate at all.
    #[error("holds no certificate for the private key")]
    NoCertificateForKey,
    /// Certificates, but all of other keys.
    #[error("the private key doesn't belong to the certificate of {subject}: are the two of the same renewal?")]
    KeyMismatch {
        /// Subject of the first certificate, for a person to read; not an identity.
        subject: String,
    },
    /// A key that TLS here can't sign with.
    #[error("its private key is {0}; use RSA (2048 to 8192 bits), EC (P-256, P-384, P-521) or Ed25519")]
    UnsupportedKey(String),
    /// No certificate where some are wanted.
    #[error("holds no certificate")]
    NoCertificates,
    /// No certificate where some are wanted, but something that people take for one.
    #[error("holds no certificate, but {0}")]
    NotCertificates(&'static str),
    /// No revocation list where some are wanted.
    #[error("holds no certificate revocation list, neither in PEM nor in DER; was an error page saved?")]
    NoCrls,
}

impl StoreFault {
    /// A key under a scheme that isn't read; `legacy` is whether OpenSSL 3 keeps it in its legacy provider.
    pub(super) fn old_encryption(scheme: String, legacy: bool) -> Self {
        let advice = if legacy { Advice::EncryptAnewLegacy } else { Advice::EncryptAnew };
        Self::OldEncryption { scheme, advice }
    }
}
