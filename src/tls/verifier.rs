//! Decides whether a client's certificate chain is acceptable. Pure: no I/O and no clock of its own, so that
//! handshakes, `zoogate explain --at` and the revalidation of live connections judge by the same code.
//!
//! Three ways to be accepted:
//! 1. The leaf is, byte for byte, a certificate of the trust store or a pinned one (a pin).
//! 2. webpki finds a path to a CA of the trust store, and the path satisfies what webpki does not look at:
//!    keyCertSign on every issuer, the leaf's keyUsage, policies, all names under constraints, our CRLs.
//! 3. Our own search finds a path, for the few kinds of chains that webpki does not take (`path`).
//!
//! The dates of trust anchors are not looked at, as in webpki and in the JDK; their presence in the trust store
//! is the operator's word.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::limits;
use super::name_constraints::Comparisons;
use super::path::{Found, Path, Progress, Search};
use super::revocation::{CrlInfo, Moment, Revocation, RevocationOptions};
use super::signatures::Signatures;
use super::trusted::Trusted;
pub use super::trusted::{TrustEntry, TrustKind};
pub use super::verdict::{Anchor, VerifiedChain, VerifierError, VerifyError};
use super::vouched::{Sent, vouched};
use super::webpki_terms::{ClientPurpose, borrowed, ours_to_judge, refusal_of};
use super::{hex, name};
use crate::identity;
use crate::reason::Refusal;
use crate::rfc3339::unix;
use crate::store::{TrustStore, TrustedCertificate};

/// The certificates that clients are judged by, and the CRLs.
pub struct ClientVerifier {
    trusted: Trusted,
    descriptions: Vec<Arc<Anchor>>,
    /// Entries by SHA-256 of their DER.
    pins: HashMap<[u8; 32], usize>,
    /// By entry; only those that may be a CA have one.
    anchors: Vec<Option<TrustAnchor<'static>>>,
    revocation: Revocation,
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    /// Loads a trust store and the CRLs (DER).
    ///
    /// # Errors
    /// Every entry and CRL that can't be used; see [`VerifierError`].
    pub fn new(trust: &TrustStore, crls: Vec<Vec<u8>>, options: RevocationOptions) -> Result<Self, Vec<VerifierError>> {
        Self::with_pins(trust, &[], crls, options)
    }

    /// As [`new`](Self::new), with certificates that are clients and never issuers; then the trust store may be empty.
    ///
    /// # Errors
    /// Every entry and CRL that can't be used; see [`VerifierError`].
    pub fn with_pins(
        trust: &TrustStore,
        pinned: &[TrustedCertificate],
        crls: Vec<Vec<u8>>,
        options: RevocationOptions,
    ) -> Result<Self, Vec<VerifierError>> {
        let mut problems = Vec::new();
        let mut trusted = Trusted::read(trust, |index, reason| problems.push(unusable(trust, index, reason)));
        trusted.pin(pinned, |index, reason| problems.push(VerifierError::Pinned { index, reason }));
        if trust.certificates.is_empty() && pinned.is_empty() {
            problems.push(VerifierError::Empty);
        }
        let revocation = Revocation::new(crls, options, &trusted).map_err(|errors| {
            errors.into_iter().map(|(index, error)| VerifierError::Crl { index, error }).collect::<Vec<_>>()
        });
        let revocation = match revocation {
            Ok(revocation) if problems.is_empty() => revocation,
            Ok(_) => return Err(problems),
            Err(errors) => return Err([problems, errors].concat()),
        };
        let mut verifier = Self {
            descriptions: Vec::new(),
            pins: HashMap::new(),
            anchors: Vec::new(),
            revocation,
            hints: trusted.hints(),
            trusted,
        };
        for (index, entry) in trust.certificates.iter().chain(pinned).enumerate() {
            let certificate = entry.certificate.clone();
            verifier.descriptions.push(Arc::new(describe(entry.alias.clone(), &certificate)));
            let mut anchor = None;
            if verifier.trusted.is_ca(index) {
                let read = webpki::anchor_from_trusted_cert(&certificate).map(|anchor| anchor.to_owned());
                anchor = Some(read.map_err(|error| vec![unusable(trust, index, error.to_string())])?);
            }
            verifier.anchors.push(anchor);
            verifier.pins.entry(verifier.descriptions[index].sha256).or_insert(index);
        }
        Ok(verifier)
    }

    /// Judges a chain, leaf first, as it would be at `now`. The other certificates may come in any order and
    /// may be useless.
    ///
    /// # Errors
    /// The most telling reason when several apply.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<VerifiedChain, VerifyError> {
        self.verify_at(chain, Moment { now, overdue_crls: false })
    }

    /// Judges the chain of a client that was let in, as [`verify`](Self::verify) does, but takes CRLs that are past
    /// their nextUpdate, or before their thisUpdate: nothing is known against who is on none of them.
    ///
    /// # Errors
    /// The most telling reason when several apply.
    pub fn verify_again(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<VerifiedChain, VerifyError> {
        self.verify_at(chain, Moment { now, overdue_crls: true })
    }

    fn verify_at(&self, chain: &[CertificateDer<'_>], moment: Moment) -> Result<VerifiedChain, VerifyError> {
        self.verify_on(chain, moment, &Signatures::limited(self.trusted.namesakes()))
    }

    /// Judges a chain, and has its signature checks counted on this account.
    pub(crate) fn verify_on(
        &self,
        chain: &[CertificateDer<'_>],
        moment: Moment,
        signatures: &Signatures,
    ) -> Result<VerifiedChain, VerifyError> {
        let Some((leaf, others)) = chain.split_first() else {
            return Err(VerifyError::new(Refusal::NoCertificate, "the client sent no certificate".to_owned()));
        };
        limits::check(chain)?;
        let leaf = Certificate::parse(CertificateDer::from(leaf.as_ref())).map_err(|error| {
            VerifyError::new(Refusal::Malformed, format!("the client's certificate is unusable: {error}"))
        })?;
        let verified = self.judge(&leaf, others, (moment, signatures)).map_err(|error| error.about(&leaf))?;
        self.check_beside(chain, &verified).map_err(|error| error.about(&leaf))?;
        Ok(verified)
    }

    /// Refuses what was accepted when the client sent too much else.
    pub(crate) fn check_beside(
        &self,
        chain: &[CertificateDer<'_>],
        verified: &VerifiedChain,
    ) -> Result<(), VerifyError> {
        let entry = self.pins.get(&verified.anchor.sha256).and_then(|&entry| self.trusted.certificates.get(entry));
        limits::check_beside(chain, &verified.path, entry.map_or(&[], |anchor| anchor.der()))
    }

    /// The CRLs, in the order in which they were given.
    pub fn crls(&self) -> impl Iterator<Item = &CrlInfo> {
        self.revocation.infos()
    }

    /// Whether clients are refused whose issuer has no CRL in date, once there are any CRLs.
    pub fn requires_crls(&self) -> bool {
        self.revocation.is_hard()
    }

    /// The trust store's certificates, with what they are called.
    pub(crate) fn trusted(&self) -> impl Iterator<Item = (&Certificate<'static>, &Anchor)> {
        self.trusted.certificates.iter().zip(self.descriptions.iter().map(|anchor| &**anchor))
    }

    /// How many CAs issue clients that are accepted.
    pub(crate) fn count_of_cas(&self) -> usize {
        let cas = self.descriptions.iter().enumerate().filter(|(entry, _)| self.trusted.is_ca(*entry));
        cas.map(|(_, anchor)| anchor.sha256).collect::<HashSet<_>>().len()
    }

    /// What a trusted certificate is trusted as, by its position.
    pub(crate) fn trust_kind(&self, entry: usize) -> TrustKind {
        self.trusted.kind(entry)
    }

    /// Every trusted certificate: the trust store's, then the pinned ones.
    pub fn trust_entries(&self) -> impl Iterator<Item = TrustEntry> {
        self.trusted().enumerate().map(|(entry, (certificate, anchor))| {
            let alias = anchor.alias.as_ref().map(|alias| format!(", alias {alias}")).unwrap_or_default();
            let name = format!("{} (serial {}{alias})", anchor.subject, hex(certificate.serial()));
            TrustEntry { name, kind: self.trusted.kind(entry), looks_like_client: certificate.looks_like_client() }
        })
    }

    /// The CA names that a client is told to choose its certificate by; empty when there are too many to send.
    pub(crate) fn hints(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn judge(
        &self,
        leaf: &Certificate<'_>,
        others: &[CertificateDer<'_>],
        (moment, signatures): (Moment, &Signatures),
    ) -> Result<VerifiedChain, VerifyError> {
        leaf.check_validity(unix(moment.now))?;
        leaf.check_key()?;
        leaf.check_client_usage()?;
        // What can't be parsed can't be an issuer; a client may send such certificates beside those that matter.
        let presented: Vec<Certificate<'_>> =
            others.iter().filter_map(|der| Certificate::parse(CertificateDer::from(der.as_ref())).ok()).collect();
        if let Some(entry) = self.pin(leaf) {
            self.check_pin(leaf, &presented, (moment, signatures))?;
            let (not_before, not_after) = (leaf.not_before, leaf.not_after);
            return Ok(self.accepted(leaf, others, Found { entry, not_before, not_after, issuers: Vec::new() }));
        }
        let found = self.path(leaf, &presented, (moment, signatures))?;
        Ok(self.accepted(leaf, others, found))
    }

    fn path<'p>(
        &'p self,
        leaf: &'p Certificate<'p>,
        presented: &'p [Certificate<'p>],
        (moment, signatures): (Moment, &Signatures),
    ) -> Result<Found, VerifyError> {
        let sent = Sent::all(presented);
        let (vouched, errors) = vouched(leaf, &sent, &self.trusted, signatures);
        let issuers: Vec<_> = vouched.iter().map(|&index| sent[index].certificate).collect();
        let comparisons = Comparisons::default();
        let check = |path: &Path<'_>| self.check_path(path, moment, &comparisons);
        let refused = match self.webpki_path(leaf, &issuers, (moment, signatures, &check)) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let search = Search {
            trusted: &self.trusted,
            sent: &sent,
            vouched: &vouched,
            signatures,
            now: unix(moment.now),
            check,
            progress: Progress::new(errors),
        };
        let found = search.run(leaf).map(|path| Found::of(&path));
        match (found, signatures.exhausted()) {
            (Ok(found), _) if ours_to_judge(&refused) => Ok(found),
            (Err(_), Some(exhausted)) => Err(exhausted),
            (Err(error), None) => Err(error),
            (Ok(_), _) => {
                let detail = format!("the path of {} is refused: {refused}", leaf.label());
                Err(VerifyError::new(refusal_of(&refused), detail))
            }
        }
    }

    fn pin(&self, leaf: &Certificate<'_>) -> Option<usize> {
        let sha256: [u8; 32] = Sha256::digest(leaf.der()).into();
        let entry = *self.pins.get(&sha256)?;
        (self.trusted.certificates.get(entry)?.der() == leaf.der()).then_some(entry)
    }

    /// The trust store names this very certificate, so only its revocation is left to check.
    fn check_pin(
        &self,
        leaf: &Certificate<'_>,
        presented: &[Certificate<'_>],
        (moment, signatures): (Moment, &Signatures),
    ) -> Result<(), VerifyError> {
        if leaf.is_self_issued() || self.revocation.is_empty() {
            return Ok(());
        }
        self.revocation.check_listed(leaf)?;
        let issuer_name = name::canonical(leaf.issuer());
        let trusted = self.trusted.named(&issuer_name).map(|(_, certificate)| certificate as &Certificate<'_>);
        let sent = presented.iter().filter(|certificate| name::canonical(certificate.subject()) == issuer_name);
        match trusted.chain(sent).find(|issuer| leaf.check_signature(issuer, signatures).is_ok()) {
            Some(issuer) => self.revocation.check_path(std::iter::once((leaf, issuer)), moment),
            None => Ok(()),
        }
    }

    fn webpki_path<'p>(
        &'p self,
        leaf: &'p Certificate<'p>,
        issuers: &[&'p Certificate<'p>],
        (moment, signatures, check): (Moment, &Signatures, Check<'_>),
    ) -> Result<Found, webpki::Error> {
        let found = RefCell::new(None);
        let leaf_der = CertificateDer::from(leaf.der());
        let end_entity = webpki::EndEntityCert::try_from(&leaf_der)?;
        let others: Vec<_> = issuers.iter().map(|certificate| CertificateDer::from(certificate.der())).collect();
        let entries = self.anchors_of(leaf, issuers);
        let anchors: Vec<_> = entries.iter().filter_map(|&entry| self.anchors[entry].as_ref().map(borrowed)).collect();
        let check_path = |path: &webpki::VerifiedPath<'_>| {
            let position = anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
            let entry = position.map(|position| entries[position]).ok_or(webpki::Error::UnknownIssuer)?;
            let path = self.path_of(path, (leaf, issuers), entry).ok_or(webpki::Error::UnknownIssuer)?;
            // The search that follows a refusal finds this reason again, with its words.
            check(&path).map_err(|_| webpki::Error::CertDistrusted)?;
            found.replace(Some(Found::of(&path)));
            Ok(())
        };
        let algorithms = signatures.algorithms();
        let algorithms: Vec<_> = algorithms.iter().map(|it| it as &dyn SignatureVerificationAlgorithm).collect();
        end_entity.verify_for_usage(
            &algorithms,
            &anchors,
            &others,
            moment.now,
            ClientPurpose,
            None,
            Some(&check_path),
        )?;
        found.take().ok_or(webpki::Error::UnknownIssuer)
    }

    /// The CAs of the trust store at which a path over these certificates may end, by their names. Of several CAs of
    /// one name, those whose key a certificate names, where there are such.
    fn anchors_of(&self, leaf: &Certificate<'_>, issuers: &[&Certificate<'_>]) -> Vec<usize> {
        let mut entries = Vec::new();
        for certificate in std::iter::once(&leaf).chain(issuers) {
            let name = name::canonical(certificate.issuer());
            let named: Vec<_> = self.trusted.named(&name).filter(|(entry, _)| self.anchors[*entry].is_some()).collect();
            let has_key = named.iter().any(|(_, anchor)| certificate.names_key_of(anchor));
            let fitting = named.into_iter().filter(|(_, anchor)| !has_key || certificate.names_key_of(anchor));
            entries.extend(fitting.map(|(entry, _)| entry));
        }
        entries.sort_unstable();
        entries.dedup();
        entries
    }

    /// A path of webpki in our own terms.
    fn path_of<'p>(
        &'p self,
        path: &webpki::VerifiedPath<'_>,
        (leaf, issuers): (&'p Certificate<'p>, &[&'p Certificate<'p>]),
        entry: usize,
    ) -> Option<Path<'p>> {
        let intermediates = path
            .intermediate_certificates()
            .map(|certificate| issuers.iter().find(|candidate| *candidate.der() == *certificate.der()).copied())
            .collect::<Option<_>>()?;
        Some(Path { leaf, intermediates, anchor: self.trusted.certificates.get(entry)?, entry })
    }

    /// What a path of webpki or of our own search must satisfy beyond signatures and dates.
    fn check_path(&self, path: &Path<'_>, moment: Moment, comparisons: &Comparisons) -> Result<(), VerifyError> {
        path.check(comparisons)?;
        self.revocation.check_path(path.links(), moment)
    }

    fn accepted(&self, leaf: &Certificate<'_>, others: &[CertificateDer<'_>], found: Found) -> VerifiedChain {
        let anchor = Arc::clone(&self.descriptions[found.entry]);
        let leaf_sha256: [u8; 32] = Sha256::digest(leaf.der()).into();
        let position = |issuer: &[u8]| others.iter().position(|sent| **sent == *issuer).map(|index| index + 1);
        VerifiedChain {
            path: std::iter::once(0).chain(found.issuers.iter().filter_map(|issuer| position(issuer))).collect(),
            not_before: found.not_before,
            not_after: found.not_after,
            leaf_not_before: leaf.not_before,
            leaf_not_after: leaf.not_after,
            // The subject was parsed, so it can be printed.
            subject: identity::subject_name(leaf.der()).unwrap_or_default().into(),
            serial: hex(leaf.serial()).into(),
            pinned: anchor.sha256 == leaf_sha256,
            leaf_sha256: hex(&leaf_sha256).into(),
            anchor,
        }
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier").field("trusted", &self.descriptions).finish_non_exhaustive()
    }
}

/// What a path must satisfy when its signatures verify.
type Check<'c> = &'c dyn Fn(&Path<'_>) -> Result<(), VerifyError>;

fn unusable(trust: &TrustStore, index: usize, reason: String) -> VerifierError {
    let alias = trust.certificates.get(index).and_then(|entry| entry.alias.clone());
    VerifierError::Certificate { entry: alias.unwrap_or_else(|| format!("number {}", index + 1)), reason }
}

fn describe(alias: Option<String>, certificate: &CertificateDer<'_>) -> Anchor {
    let subject = Certificate::parse(CertificateDer::from(certificate.as_ref()))
        .map_or_else(|_| String::new(), |parsed| name::text(parsed.subject()));
    Anchor { alias, sha256: Sha256::digest(certificate).into(), subject }
}
