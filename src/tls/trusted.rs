//! The certificates that an operator trusts: CAs, and clients.

use std::collections::HashMap;

use rustls::DistinguishedName;

use super::certificate::Certificate;
use super::name;
use crate::store::{TrustStore, TrustedCertificate};

/// What a trusted certificate is trusted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustKind {
    /// A CA of the trust store: it issues clients, and may itself be one.
    Ca,
    /// An entry of the trust store that is no CA: a client.
    Client,
    /// A pinned certificate: a client, whatever it says of itself.
    Pinned,
}

/// A trusted certificate, as an operator is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustEntry {
    /// Subject, alias where there is one, and serial number.
    pub name: String,
    /// What it is trusted as.
    pub kind: TrustKind,
    /// Whether a CA reads as if it were meant as a client.
    pub looks_like_client: bool,
}

/// The certificates of the trust store and where to find them by canonical subject name.
#[derive(Default)]
pub(crate) struct Trusted {
    /// Those of the trust store, then the pinned ones.
    pub(crate) certificates: Vec<Certificate<'static>>,
    /// How many of them the trust store has. The others are clients, and found by no name.
    pub(crate) in_store: usize,
    pub(crate) by_name: HashMap<Vec<u8>, Vec<usize>>,
}

impl Trusted {
    /// Reads a trust store. `unusable` is told of the entries that can't be parsed, by their index.
    pub(crate) fn read(store: &TrustStore, mut unusable: impl FnMut(usize, String)) -> Self {
        let mut trusted = Self::default();
        for (index, entry) in store.certificates.iter().enumerate() {
            match Certificate::parse(entry.certificate.clone()) {
                Ok(certificate) => {
                    trusted.by_name.entry(name::canonical(certificate.subject())).or_default().push(index);
                    trusted.certificates.push(certificate);
                }
                Err(reason) => unusable(index, reason),
            }
        }
        trusted.in_store = trusted.certificates.len();
        trusted
    }

    /// Adds certificates that are clients and never issuers.
    pub(crate) fn pin(&mut self, pinned: &[TrustedCertificate], mut unusable: impl FnMut(usize, String)) {
        for (index, entry) in pinned.iter().enumerate() {
            match Certificate::parse(entry.certificate.clone()) {
                Ok(certificate) => self.certificates.push(certificate),
                Err(reason) => unusable(index, reason),
            }
        }
    }

    /// Whether an entry may be at the end of a path.
    pub(crate) fn is_ca(&self, entry: usize) -> bool {
        entry < self.in_store && self.certificates.get(entry).is_some_and(Certificate::may_anchor)
    }

    /// What a trusted certificate is trusted as, by its position.
    pub(crate) fn kind(&self, entry: usize) -> TrustKind {
        if self.is_ca(entry) {
            TrustKind::Ca
        } else if entry < self.in_store {
            TrustKind::Client
        } else {
            TrustKind::Pinned
        }
    }

    /// The entries of the trust store with this canonical subject name.
    pub(crate) fn named(&self, name: &[u8]) -> impl Iterator<Item = (usize, &Certificate<'static>)> {
        let indices = self.by_name.get(name).into_iter().flatten();
        indices.filter_map(|&index| Some((index, self.certificates.get(index)?)))
    }

    /// How many of its CAs share their name with another: the most of one name, less one.
    pub(crate) fn namesakes(&self) -> usize {
        self.by_name.values().map(Vec::len).max().unwrap_or(1).saturating_sub(1)
    }

    /// The CA names that clients are told; none where there are too many. Java clients choose a certificate by them,
    /// so a pinned certificate adds its issuer's.
    pub(crate) fn hints(&self) -> Vec<DistinguishedName> {
        const MAX_NAMES: usize = 64;
        const MAX_BYTES: usize = 16 * 1024;
        let mut names: Vec<&[u8]> = Vec::new();
        for (entry, certificate) in self.certificates.iter().enumerate() {
            let issuer = (!self.is_ca(entry)).then(|| certificate.issuer());
            for name in std::iter::once(certificate.subject()).chain(issuer) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            if names.len() > MAX_NAMES || names.iter().map(|name| name.len()).sum::<usize>() > MAX_BYTES {
                return Vec::new();
            }
        }
        names.into_iter().map(|name| DistinguishedName::from(name.to_vec())).collect()
    }
}
