//! A verdict in print.

use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Serialize;

use super::advice::advice;
use super::{Admission, Verdict};
use crate::cli::acl_ids::AclIds;
use crate::cli::text::{self, escaped};
use crate::identity;
use crate::reason::Refusal;
use crate::tls::date;
use crate::tls::verifier::VerifiedChain;

/// The JSON object: public interface. A refused client has no identity, no ids and no `not_after`.
#[derive(Serialize)]
struct Report<'a> {
    verdict: &'static str,
    reason: Option<&'static str>,
    detail: String,
    identity: Option<&'a str>,
    acl_ids: &'a AclIds,
    /// When a connection would be closed; RFC 3339.
    not_after: Option<String>,
}

pub(super) fn json(verdict: &Verdict) -> String {
    text::json(&match verdict {
        Verdict::Admitted(admission) => Report {
            verdict: "admitted",
            reason: None,
            detail: format!("trusted by {}", anchor(&admission.verified)),
            identity: Some(admission.identity.as_str()),
            acl_ids: &admission.acl_ids,
            not_after: Some(date(admission.verified.not_after)),
        },
        Verdict::Refused { refusal, detail } => Report {
            verdict: "refused",
            reason: Some(refusal.as_str()),
            detail: detail.clone(),
            identity: None,
            acl_ids: &AclIds { x509: None, digest: None },
            not_after: None,
        },
    })
}

pub(super) fn text(verdict: &Verdict, chain: &[CertificateDer<'_>], at: UnixTime) -> String {
    let mut rows = match verdict {
        Verdict::Admitted(admission) => admitted(admission),
        Verdict::Refused { refusal, detail } => refused(*refusal, detail, chain),
    };
    rows.push(("judged as of", date(i64::try_from(at.as_secs()).unwrap_or(i64::MAX))));
    let lines = rows.into_iter().map(|(label, value)| format!("{label:<14}{}", escaped(&value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A label, which may be empty, and what it says.
type Row = (&'static str, String);

fn admitted(admission: &Admission) -> Vec<Row> {
    let Admission { identity, acl_ids, other_digest_ids, verified } = admission;
    let mut rows = vec![("admitted", identity.to_string()), ("until", until(verified))];
    rows.push(("trusted by", anchor(verified)));
    let digests = acl_ids.digest.iter().chain(other_digest_ids).map(|id| format!("digest:{id}"));
    let x509 = acl_ids.x509.iter().map(|id| format!("x509:{id}"));
    let labels = std::iter::once("ACL ids").chain(std::iter::repeat(""));
    rows.extend(labels.zip(digests.chain(x509)));
    if !other_digest_ids.is_empty() {
        rows.push(("", "(the first id is the one for new ACLs; the others are of older secrets)".to_owned()));
    }
    rows
}

fn refused(refusal: Refusal, detail: &str, chain: &[CertificateDer<'_>]) -> Vec<Row> {
    let subject = chain.first().and_then(|leaf| identity::subject_name(leaf).ok());
    let subject = subject.filter(|subject| !subject.is_empty()).unwrap_or_else(|| "(no readable subject)".to_owned());
    vec![
        ("refused", refusal.to_string()),
        ("certificate", subject),
        ("why", detail.to_owned()),
        ("what to do", advice(refusal).to_owned()),
    ]
}

fn until(verified: &VerifiedChain) -> String {
    let whose = if verified.not_after < verified.leaf_not_after {
        "a CA certificate on its path expires before its own does"
    } else {
        "its certificate expires"
    };
    format!("{}, when {whose}", date(verified.not_after))
}

fn anchor(verified: &VerifiedChain) -> String {
    if verified.pinned {
        return "itself: the trust store holds this very certificate".to_owned();
    }
    let alias = verified.anchor.alias.as_ref().map(|alias| format!(" (alias {alias})")).unwrap_or_default();
    format!("{}{alias}", verified.anchor.subject)
}
