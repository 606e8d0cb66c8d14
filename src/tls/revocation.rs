//! Certificate revocation lists: parsed and verified once, then a look-up per certificate.
//!
//! Only CRLs of the certificate's own issuer are taken (RFC 5280 §5). Delta CRLs, indirect CRLs and CRLs for some
//! reasons are refused when they are loaded, because treating one as complete would let a revoked client in. A CRL
//! for some certificates, by their kind or their distribution point, counts for these alone.

mod extensions;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Mutex;

use rustls_pki_types::UnixTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use self::extensions::{CrlExtensions, check_entry};
use super::certificate::{Certificate, Signature, verify_signed};
use super::distribution_point::{Kind, PointName, Scope};
use super::signatures::Signatures;
use super::trusted::Trusted;
use super::verifier::VerifyError;
use super::{date, der, name};
use crate::reason::Refusal;
use crate::rfc3339::unix;

/// Issuer keys remembered per CRL; one CA has one key, or two around a roll-over.
const KEYS_REMEMBERED: usize = 16;

/// Which certificates of a path are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationScope {
    /// Only the client's own certificate.
    Leaf,
    /// Every certificate but the trust anchor.
    #[default]
    Chain,
}

/// What happens to a certificate that no CRL in date covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationPolicy {
    /// It passes.
    Soft,
    /// It is refused as `revocation_unknown`, once any CRL is configured.
    #[default]
    Hard,
}

/// How revocation is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevocationOptions {
    /// Which certificates are looked up.
    pub scope: RevocationScope,
    /// What happens when a status is unknown.
    pub policy: RevocationPolicy,
}

/// When a chain is judged, and by which CRLs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: UnixTime,
    /// Whether CRLs that are past their nextUpdate are taken, or before their thisUpdate.
    pub(crate) overdue_crls: bool,
}

/// What metrics and `/status` tell of one CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlInfo {
    /// The issuer's name, for people.
    pub issuer: String,
    /// The issuer's common name, or the whole issuer when it has none; for people.
    pub issuer_common_name: String,
    /// The CRL number in decimal. CRLs of version 1 have none, nor have those of EasyRSA and cfssl.
    pub number: Option<String>,
    /// Unix seconds.
    pub this_update: i64,
    /// Unix seconds; some version 1 CRLs have none and never grow stale.
    pub next_update: Option<i64>,
    /// How many certificates it revokes.
    pub entries: usize,
}

impl CrlInfo {
    /// Whether it counts at `now`, in Unix seconds.
    pub fn is_in_date(&self, now: i64) -> bool {
        self.this_update <= now && self.next_update.is_none_or(|next| now <= next)
    }

    /// Whether both have a number, and this one's is higher.
    pub(crate) fn has_higher_number(&self, other: &Self) -> bool {
        let number = |crl: &Self| crl.number.clone().map(|number| (number.len(), number));
        number(self).zip(number(other)).is_some_and(|(own, others)| own > others)
    }

    /// What is wrong with one that is not in date.
    pub fn out_of_date(&self) -> String {
        let next = self.next_update.map_or_else(|| "never".to_owned(), date);
        let since = date(self.this_update);
        format!("{self} is out of date, it holds from {since} to {next}: fetch the current one, and compare the clocks")
    }
}

/// Why a CRL is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// It is not a DER CRL.
    #[error("it can't be parsed: {0}")]
    Malformed(String),
    /// It only lists changes to another CRL (RFC 5280 §5.2.4).
    #[error("it is a delta CRL of {0}: give the complete CRL")]
    Delta(String),
    /// It lists certificates of other issuers (RFC 5280 §5.2.5, §5.3.3).
    #[error("it is an indirect CRL of {0}: give the CRL that each CA signs for itself")]
    Indirect(String),
    /// It covers some certificates or some reasons only (RFC 5280 §5.2.5).
    #[error("it is a partial CRL of {0} ({1}): give the complete CRL")]
    Partial(String, &'static str),
    /// A critical extension of the CRL or of an entry is not implemented.
    #[error("the CRL of {0} has the critical extension {1}, which is not supported")]
    UnknownCritical(String, String),
    /// The trust store knows its issuer, and the signature is not the issuer's.
    #[error("the signature of the CRL does not verify with the key of {0} in the trust store")]
    BadSignature(String),
    /// The trust store knows its issuer, which may not sign CRLs.
    #[error("the keyUsage of {0} in the trust store lacks cRLSign")]
    IssuerMayNotSign(String),
}

/// All CRLs, by issuer.
pub(crate) struct Revocation {
    crls: Vec<Crl>,
    by_issuer: HashMap<Vec<u8>, Vec<usize>>,
    options: RevocationOptions,
}

struct Crl {
    der: Vec<u8>,
    info: CrlInfo,
    revoked: HashSet<Box<[u8]>>,
    scope: Scope,
    /// Issuer keys it was verified with, and the result.
    verified: Mutex<Vec<(Box<[u8]>, bool)>>,
}

impl Revocation {
    /// Parses the CRLs and verifies those whose issuer is in the trust store; errors carry the CRL's index.
    pub(crate) fn new(
        crls: Vec<Vec<u8>>,
        options: RevocationOptions,
        trusted: &Trusted,
    ) -> Result<Self, Vec<(usize, CrlError)>> {
        let mut read = Self { crls: Vec::new(), by_issuer: HashMap::new(), options };
        let mut errors = Vec::new();
        for (index, der) in crls.into_iter().enumerate() {
            match Crl::parse(der).and_then(|(issuer, crl)| crl.check_trusted(&issuer, trusted).map(|()| (issuer, crl)))
            {
                Ok((issuer, crl)) => {
                    read.by_issuer.entry(issuer).or_default().push(read.crls.len());
                    read.crls.push(crl);
                }
                Err(error) => errors.push((index, error)),
            }
        }
        if errors.is_empty() { Ok(read) } else { Err(errors) }
    }

    /// Whether there is no CRL, so that nothing is looked up.
    pub(crate) fn is_empty(&self) -> bool {
        self.crls.is_empty()
    }

    /// Whether an unknown status is a refusal.
    pub(crate) fn is_hard(&self) -> bool {
        self.options.policy == RevocationPolicy::Hard
    }

    /// What there is, in the order it was given.
    pub(crate) fn infos(&self) -> impl Iterator<Item = &CrlInfo> {
        self.crls.iter().map(|crl| &crl.info)
    }

    /// Checks the certificates of a path, each with its issuer, leaf first.
    pub(crate) fn check_path<'c>(
        &self,
        links: impl Iterator<Item = (&'c Certificate<'c>, &'c Certificate<'c>)>,
        moment: Moment,
    ) -> Result<(), VerifyError> {
        if self.is_empty() {
            return Ok(());
        }
        let depth = match self.options.scope {
            RevocationScope::Leaf => 1,
            RevocationScope::Chain => usize::MAX,
        };
        for (subject, issuer) in links.take(depth) {
            self.check(subject, issuer, moment)?;
        }
        Ok(())
    }

    /// Refuses a pinned certificate whose issuer nobody knows when any CRL under its issuer's name lists it. The
    /// CRL's signature can't be verified then, but the operator gave the file.
    pub(crate) fn check_listed(&self, subject: &Certificate<'_>) -> Result<(), VerifyError> {
        let listing = self.of_issuer(subject).find(|crl| crl.lists(subject));
        listing.map_or(Ok(()), |crl| Err(revoked(subject, crl)))
    }

    fn of_issuer(&self, subject: &Certificate<'_>) -> impl Iterator<Item = &Crl> {
        let indices = self.by_issuer.get(&name::canonical(subject.issuer()));
        indices.into_iter().flatten().filter_map(|&index| self.crls.get(index))
    }

    fn check(&self, subject: &Certificate<'_>, issuer: &Certificate<'_>, moment: Moment) -> Result<(), VerifyError> {
        let now = unix(moment.now);
        let mut known = false;
        let mut unknown = Unknown::Absent;
        for crl in self.of_issuer(subject) {
            if !issuer.may_sign_crls() {
                unknown = unknown.max(Unknown::MayNotSign);
            } else if !crl.verifies_with(issuer.public_key()) {
                unknown = unknown.max(Unknown::BadSignature);
            } else if crl.lists(subject) {
                return Err(revoked(subject, crl));
            } else if !crl.covers(subject) {
                unknown = unknown.max(Unknown::OtherScope(crl.other_scope(subject)));
            } else if let Some(next) = crl.info.next_update.filter(|&next| now > next && !moment.overdue_crls) {
                unknown = unknown.max(Unknown::Stale(next));
            } else if now < crl.info.this_update && !moment.overdue_crls {
                unknown = unknown.max(Unknown::Early(crl.info.this_update));
            } else {
                known = true;
            }
        }
        if known || !self.is_hard() {
            return Ok(());
        }
        let detail = format!("{}: the CRL of {} {unknown}", subject.label(), name::text(subject.issuer()));
        Err(VerifyError::new(Refusal::RevocationUnknown, detail))
    }
}

/// Why no CRL answered; the greatest is told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Unknown {
    Absent,
    BadSignature,
    MayNotSign,
    OtherScope(String),
    Early(i64),
    Stale(i64),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("is not configured: add it to tls.crls"),
            Self::BadSignature => f.write_str("is signed with another key"),
            Self::MayNotSign => f.write_str("can't be used, because the CA's keyUsage lacks cRLSign"),
            Self::OtherScope(why) => f.write_str(why),
            Self::Early(at) => write!(f, "is not valid before {}: compare the clocks", date(*at)),
            Self::Stale(at) => write!(f, "was due for renewal at {}: fetch the current one", date(*at)),
        }
    }
}

fn revoked(subject: &Certificate<'_>, crl: &Crl) -> VerifyError {
    let detail = format!("{} was revoked by {}", subject.label(), crl.info.issuer);
    VerifyError::new(Refusal::Revoked, detail)
}

impl Crl {
    /// The canonical issuer name and the CRL.
    fn parse(der: Vec<u8>) -> Result<(Vec<u8>, Self), CrlError> {
        if der::signed(&der).is_none() {
            return Err(CrlError::Malformed("it is not a DER CRL".to_owned()));
        }
        let (_, parsed) =
            CertificateRevocationList::from_der(&der).map_err(|error| CrlError::Malformed(error.to_string()))?;
        let tbs = &parsed.tbs_cert_list;
        if tbs.signature != parsed.signature_algorithm {
            return Err(CrlError::Malformed("it names two different signature algorithms".to_owned()));
        }
        let issuer = name::text(tbs.issuer.as_raw());
        let CrlExtensions { number, scope } = CrlExtensions::read(parsed.extensions(), tbs.issuer.as_raw())?;
        let mut revoked = HashSet::with_capacity(tbs.revoked_certificates.len());
        for entry in &tbs.revoked_certificates {
            entry.extensions().iter().try_for_each(|extension| check_entry(extension, &issuer))?;
            revoked.insert(der::magnitude(entry.raw_serial()).into());
        }
        let info = CrlInfo {
            issuer,
            issuer_common_name: name::common_name(tbs.issuer.as_raw()),
            number,
            this_update: tbs.this_update.timestamp(),
            next_update: tbs.next_update.map(|time| time.timestamp()),
            entries: revoked.len(),
        };
        let name = name::canonical(tbs.issuer.as_raw());
        Ok((name, Self { info, revoked, scope, verified: Mutex::default(), der }))
    }

    /// When the trust store has the issuer, one of its keys must have signed the CRL and be allowed to.
    fn check_trusted(&self, issuer: &[u8], trusted: &Trusted) -> Result<(), CrlError> {
        let mut error = None;
        for (_, certificate) in trusted.named(issuer).filter(|(_, certificate)| certificate.may_anchor()) {
            if !self.verifies_with(certificate.public_key()) {
                error.get_or_insert_with(|| CrlError::BadSignature(self.info.issuer.clone()));
            } else if !certificate.may_sign_crls() {
                error = Some(CrlError::IssuerMayNotSign(self.info.issuer.clone()));
            } else {
                return Ok(());
            }
        }
        error.map_or(Ok(()), Err)
    }

    /// Whether this key signed the CRL; verified once per key.
    fn verifies_with(&self, public_key: &[u8]) -> bool {
        let mut verified = self.verified.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, good)) = verified.iter().find(|(key, _)| **key == *public_key) {
            return *good;
        }
        let good = der::signed(&self.der)
            .is_some_and(|signed| verify_signed(&signed, public_key, &Signatures::unlimited()) == Signature::Good);
        if verified.len() < KEYS_REMEMBERED {
            verified.push((public_key.into(), good));
        }
        good
    }

    fn lists(&self, subject: &Certificate<'_>) -> bool {
        self.revoked.contains(der::magnitude(subject.serial()))
    }

    fn covers(&self, subject: &Certificate<'_>) -> bool {
        self.scope.covers(subject.extensions.ca, &subject.extensions.crl_points)
    }

    /// Why it does not cover a certificate.
    fn other_scope(&self, subject: &Certificate<'_>) -> String {
        let names = |points: &[PointName]| match points {
            [] => "none".to_owned(),
            points => points.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        match self.scope.kind {
            Kind::Users if subject.extensions.ca => "covers no CAs (onlyContainsUserCerts)".to_owned(),
            Kind::Cas if !subject.extensions.ca => "covers CAs only (onlyContainsCACerts)".to_owned(),
            _ => format!(
                "is for another distribution point: the certificate names {}, the CRL is that of {}",
                names(&subject.extensions.crl_points),
                names(&self.scope.points)
            ),
        }
    }
}

/// The name of a CRL in messages about its file.
impl fmt::Display for CrlInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CRL {} of {}", self.number.as_deref().unwrap_or("without a number"), self.issuer)
    }
}
