//! Which of the certificates that a client sent have a link of good signatures to the trust store.
//!
//! Signatures are checked from the trust store downwards, so that a key is used only when somebody whom the operator
//! trusts has signed it: a stranger can't choose what a check costs. What can't be an issuer of the client by its name
//! is not looked at.

use super::certificate::Certificate;
use super::name;
use super::signatures::Signatures;
use super::trusted::Trusted;
use super::verifier::VerifyError;

/// Most issuers of one name. A CA that changes its key has two or three under its name; more would only make paths
/// that differ in nothing.
const SAME_NAME: usize = 4;

/// What a client sent besides its own certificate, with the names by which issuers are found.
pub(crate) struct Sent<'p> {
    pub(crate) certificate: &'p Certificate<'p>,
    /// The canonical subject.
    pub(crate) subject: Vec<u8>,
    /// The canonical issuer.
    issuer: Vec<u8>,
}

impl<'p> Sent<'p> {
    pub(crate) fn all(presented: &'p [Certificate<'p>]) -> Vec<Self> {
        let sent = presented.iter().map(|certificate| Self {
            subject: name::canonical(certificate.subject()),
            issuer: name::canonical(certificate.issuer()),
            certificate,
        });
        sent.collect()
    }
}

/// The positions in `sent` of those from which a link leads to the trust store, and why others have none.
pub(crate) fn vouched(
    leaf: &Certificate<'_>,
    sent: &[Sent<'_>],
    trusted: &Trusted,
    signatures: &Signatures,
) -> (Vec<usize>, Vec<VerifyError>) {
    let mut undecided = above(leaf, sent);
    let (mut vouched, mut errors) = (Vec::new(), Vec::new());
    undecided.retain(|&index| {
        let subject = &sent[index];
        if trusted.named(&subject.subject).any(|(_, anchor)| anchor.der() == subject.certificate.der()) {
            // A path ends there without it.
            return false;
        }
        let anchors = trusted.named(&subject.issuer).map(|(_, anchor)| anchor as &Certificate<'_>);
        let anchors: Vec<_> = anchors.filter(|anchor| anchor.may_anchor()).collect();
        let good = signed_by_one(subject.certificate, anchors, signatures, &mut errors);
        good.then(|| vouched.push(index)).is_none()
    });
    let mut next = 0;
    while let Some(&issuer) = vouched.get(next) {
        next += 1;
        let issuer = &sent[issuer];
        if !issuer.certificate.extensions.ca {
            continue;
        }
        undecided.retain(|&index| {
            let subject = &sent[index];
            let good = subject.issuer == issuer.subject
                && signed_by_one(subject.certificate, vec![issuer.certificate], signatures, &mut errors);
            good.then(|| vouched.push(index)).is_none()
        });
    }
    vouched.sort_unstable();
    (vouched, errors)
}

/// The positions of those that could be an issuer above the leaf by their names.
fn above(leaf: &Certificate<'_>, sent: &[Sent<'_>]) -> Vec<usize> {
    let leaf_issuer = name::canonical(leaf.issuer());
    let mut wanted: Vec<&[u8]> = vec![&leaf_issuer];
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(&name) = wanted.get(next) {
        next += 1;
        for (index, candidate) in
            sent.iter().enumerate().filter(|(_, candidate)| candidate.subject == name).take(SAME_NAME)
        {
            found.push(index);
            if !wanted.contains(&candidate.issuer.as_slice()) {
                wanted.push(&candidate.issuer);
            }
        }
    }
    found
}

/// Whether one of these issuers has signed the certificate. Issuers whose key it names are tried first.
fn signed_by_one(
    subject: &Certificate<'_>,
    mut issuers: Vec<&Certificate<'_>>,
    signatures: &Signatures,
    errors: &mut Vec<VerifyError>,
) -> bool {
    issuers.sort_by_key(|issuer| !subject.names_key_of(issuer));
    issuers.into_iter().any(|issuer| match subject.check_signature(issuer, signatures) {
        Ok(()) => true,
        Err(error) => {
            errors.push(error);
            false
        }
    })
}
