//! Our own search for a path, for what webpki does not take but the JDK does and people meet: version 1
//! leaves, leaves that are a CA, names equal only after folding (RFC 5280 §7.1), a CA's new key under its old
//! name. It also finds the reason that is told when no path is accepted.
//!
//! It also decides where webpki refuses names, since `name_constraints` compares more forms of them. A path on which
//! any certificate constrains policies is refused, whatever the constraint says.

use super::certificate::Certificate;
use super::limits::over;
use super::name;
use super::name_constraints::{self, Comparisons};
use super::signatures::Signatures;
use super::trusted::Trusted;
use super::verifier::VerifyError;
use super::vouched::Sent;
use crate::reason::Refusal;

/// Most intermediates on a path.
const DEPTH: usize = 8;
/// Most steps from a certificate to a possible issuer. Signatures are counted apart; those checked before cost nothing.
const STEPS: usize = 64;

/// A path from a leaf to an anchor whose signatures verify.
pub(crate) struct Path<'p> {
    pub(crate) leaf: &'p Certificate<'p>,
    /// From the leaf's issuer upwards; the anchor is not among them.
    pub(crate) intermediates: Vec<&'p Certificate<'p>>,
    pub(crate) anchor: &'p Certificate<'p>,
    /// Index of the anchor in the trust store.
    pub(crate) entry: usize,
}

impl<'p> Path<'p> {
    /// Each certificate of the path below the anchor, with its issuer.
    pub(crate) fn links(&self) -> impl Iterator<Item = (&'p Certificate<'p>, &'p Certificate<'p>)> {
        let subjects = std::iter::once(self.leaf).chain(self.intermediates.iter().copied());
        let issuers = self.intermediates.iter().copied().chain([self.anchor]);
        subjects.zip(issuers)
    }

    /// Refuses what webpki does not look at, or not at all of it: keyUsages of issuers, policies and names.
    pub(crate) fn check(&self, comparisons: &Comparisons) -> Result<(), VerifyError> {
        for (certificate, issuer) in self.links() {
            check_policies(certificate)?;
            check_key_cert_sign(issuer)?;
        }
        name_constraints::check(self, comparisons)
    }
}

/// What an accepted path comes to.
pub(crate) struct Found {
    /// Index of the anchor in the trust store.
    pub(crate) entry: usize,
    /// When the last of its certificates begins, in Unix seconds.
    pub(crate) not_before: i64,
    /// When the first of its certificates ends.
    pub(crate) not_after: i64,
    /// DER of the path's intermediates.
    pub(crate) issuers: Vec<Box<[u8]>>,
}

impl Found {
    pub(crate) fn of(path: &Path<'_>) -> Self {
        let not_before = path.links().map(|(certificate, _)| certificate.not_before).max();
        let not_after = path.links().map(|(certificate, _)| certificate.not_after).min();
        Self {
            entry: path.entry,
            not_before: not_before.unwrap_or(path.leaf.not_before),
            not_after: not_after.unwrap_or(path.leaf.not_after),
            issuers: path.intermediates.iter().map(|certificate| certificate.der().into()).collect(),
        }
    }
}

/// The search; consumed by [`Search::run`].
pub(crate) struct Search<'p, C> {
    pub(crate) trusted: &'p Trusted,
    pub(crate) sent: &'p [Sent<'p>],
    /// The positions of those that have a link to the trust store: others are on no path.
    pub(crate) vouched: &'p [usize],
    pub(crate) signatures: &'p Signatures,
    /// Unix seconds.
    pub(crate) now: i64,
    /// What else a complete path must satisfy.
    pub(crate) check: C,
    pub(crate) progress: Progress,
}

/// How far a search has come.
pub(crate) struct Progress {
    steps_left: usize,
    best: Option<VerifyError>,
    errors: Vec<VerifyError>,
}

impl Progress {
    /// Nothing done yet; these reasons are known why there may be no path.
    pub(crate) fn new(errors: Vec<VerifyError>) -> Self {
        Self { steps_left: STEPS, best: None, errors }
    }

    /// The most telling reason; of several as telling, that of the search itself.
    fn reason(&mut self) -> Option<VerifyError> {
        std::mem::take(&mut self.errors).into_iter().for_each(|error| self.note(error));
        self.best.take()
    }

    fn note(&mut self, error: VerifyError) {
        if self.best.as_ref().is_none_or(|best| telling(error.refusal) > telling(best.refusal)) {
            self.best = Some(error);
        }
    }
}

impl<'p, C: Fn(&Path<'p>) -> Result<(), VerifyError>> Search<'p, C> {
    /// Finds an acceptable path, or the most telling reason why there is none.
    ///
    /// The leaf's own validity, usage and key are the caller's to check.
    pub(crate) fn run(mut self, leaf: &'p Certificate<'p>) -> Result<Path<'p>, VerifyError> {
        supported(leaf)?;
        let mut intermediates = Vec::new();
        match self.extend(leaf, leaf, &mut intermediates) {
            Some(path) => Ok(path),
            None => Err(self.progress.reason().unwrap_or_else(|| self.unknown_ca(leaf))),
        }
    }

    fn extend(
        &mut self,
        leaf: &'p Certificate<'p>,
        head: &'p Certificate<'p>,
        intermediates: &mut Vec<&'p Certificate<'p>>,
    ) -> Option<Path<'p>> {
        let issuer_name = name::canonical(head.issuer());
        let trusted = self.trusted;
        let mut anchors: Vec<_> = trusted.named(&issuer_name).collect();
        anchors.sort_by_key(|(_, anchor)| !head.names_key_of(anchor));
        for (entry, anchor) in anchors {
            let path = Path { leaf, intermediates: intermediates.clone(), anchor, entry };
            let checked = anchor_allows(anchor)
                .and_then(|()| self.check_signature(head, anchor))
                .and_then(|()| (self.check)(&path));
            match checked {
                Ok(()) => return Some(path),
                Err(error) => self.note(error),
            }
        }
        if intermediates.len() >= DEPTH {
            self.note(VerifyError::new(Refusal::BadCa, format!("the path has more than {DEPTH} intermediates")));
            return None;
        }
        for &index in self.vouched {
            let Sent { subject, certificate: candidate, .. } = &self.sent[index];
            let candidate: &'p Certificate<'p> = candidate;
            if *subject != issuer_name {
                continue;
            }
            let on_path = |other: &Certificate<'_>| {
                other.public_key() == candidate.public_key() && other.subject() == candidate.subject()
            };
            if on_path(leaf) || intermediates.iter().any(|other| on_path(other)) {
                continue;
            }
            let checked =
                issuer_allows(candidate, intermediates, self.now).and_then(|()| self.check_signature(head, candidate));
            if let Err(error) = checked {
                self.note(error);
                continue;
            }
            intermediates.push(candidate);
            let found = self.extend(leaf, candidate, intermediates);
            intermediates.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn check_signature(&mut self, subject: &Certificate<'_>, issuer: &Certificate<'_>) -> Result<(), VerifyError> {
        let Some(left) = self.progress.steps_left.checked_sub(1) else {
            return Err(over(format!("the search for a path takes more than {STEPS} steps")));
        };
        self.progress.steps_left = left;
        subject.check_signature(issuer, self.signatures)
    }

    fn note(&mut self, error: VerifyError) {
        self.progress.note(error);
    }

    /// Follows the issuers by name as far as the client sent them, to name the one that is missing.
    fn unknown_ca(&self, leaf: &Certificate<'p>) -> VerifyError {
        let mut top = leaf;
        for _ in 0..DEPTH {
            let issuer_name = name::canonical(top.issuer());
            match self.sent.iter().find(|sent| sent.subject == issuer_name).map(|sent| sent.certificate) {
                Some(issuer) if !issuer.is_self_issued() => top = issuer,
                Some(issuer) => {
                    top = issuer;
                    break;
                }
                None => break,
            }
        }
        let detail = if top.is_self_issued() {
            format!("{} is self-signed and not in the trust store", top.label())
        } else {
            format!(
                "{} was issued by {}, which is neither in the trust store nor sent by the client",
                top.label(),
                name::text(top.issuer())
            )
        };
        VerifyError::new(Refusal::UnknownCa, detail)
    }
}

/// How much a reason tells a person when several paths fail for different ones; higher is shown.
fn telling(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Revoked => 100,
        Refusal::RevocationUnknown => 95,
        Refusal::Expired | Refusal::NotYetValid => 90,
        Refusal::BadUsage => 85,
        Refusal::NameConstraints => 80,
        Refusal::BadCa => 75,
        Refusal::UnsupportedExtension => 70,
        Refusal::WeakKey => 65,
        Refusal::BadSignature => 60,
        Refusal::Malformed | Refusal::ChainTooLarge => 30,
        _ => 0,
    }
}

/// Refuses certificates that say something about policies or unknown matters that must be heeded.
fn supported(certificate: &Certificate<'_>) -> Result<(), VerifyError> {
    let extensions = &certificate.extensions;
    if let Some(oid) = &extensions.unknown_critical {
        let detail = format!("{} has the critical extension {oid}, which is not supported", certificate.label());
        return Err(VerifyError::new(Refusal::UnsupportedExtension, detail));
    }
    check_policies(certificate)
}

/// Refuses policyConstraints and inhibitAnyPolicy, critical or not: there is no policy tree to hold them against.
fn check_policies(certificate: &Certificate<'_>) -> Result<(), VerifyError> {
    if certificate.extensions.policy_constraints {
        let detail = format!(
            "{} constrains policies (policyConstraints or inhibitAnyPolicy), which is not supported",
            certificate.label()
        );
        return Err(VerifyError::new(Refusal::UnsupportedExtension, detail));
    }
    Ok(())
}

fn anchor_allows(anchor: &Certificate<'_>) -> Result<(), VerifyError> {
    if !anchor.may_anchor() {
        let detail = format!("{} of the trust store is trusted as a client, not as a CA", anchor.label());
        return Err(VerifyError::new(Refusal::BadCa, detail));
    }
    check_policies(anchor)
}

/// The rules for an intermediate above those already on the path (RFC 5280 §6.1.4 (k)–(n)).
fn issuer_allows(issuer: &Certificate<'_>, below: &[&Certificate<'_>], now: i64) -> Result<(), VerifyError> {
    issuer.check_validity(now)?;
    let refuse = |what: String| Err(VerifyError::new(Refusal::BadCa, format!("{} {what}", issuer.label())));
    if issuer.version < 3 || !issuer.extensions.ca {
        return refuse("issued a certificate of the path, but is not a CA".to_owned());
    }
    check_key_cert_sign(issuer)?;
    let cas_below = below.iter().filter(|certificate| !certificate.is_self_issued()).count();
    if let Some(limit) = issuer.extensions.path_len.filter(|&limit| cas_below > limit as usize) {
        return refuse(format!("allows {limit} intermediates below it, the path has {cas_below}"));
    }
    if !issuer.spans_clients() {
        let detail = format!("{} has an extendedKeyUsage without clientAuth", issuer.label());
        return Err(VerifyError::new(Refusal::BadUsage, detail));
    }
    supported(issuer)
}

/// Refuses an issuer whose keyUsage lacks keyCertSign, which webpki does not look at.
fn check_key_cert_sign(issuer: &Certificate<'_>) -> Result<(), VerifyError> {
    if issuer.may_sign_certificates() {
        return Ok(());
    }
    let detail = format!("{} issued a certificate of the path, but its keyUsage lacks keyCertSign", issuer.label());
    Err(VerifyError::new(Refusal::BadCa, detail))
}
