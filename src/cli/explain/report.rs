//! A verdict in print.

use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Serialize;

use super::{Admission, Rejection, Verdict, advice};
use crate::cli::acl_ids::AclIds;
use crate::cli::text::{self, escaped};
use crate::identity::{self, Identity};
use crate::rfc3339::unix;
use crate::snapshot::names::Shadow;
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
    /// The mapping rule that decided; null without a mapping, or where none has.
    rule: Option<&'a str>,
    /// What `identity.mapping_shadow` would change; null without one.
    shadow: Option<ShadowReport<'a>>,
}

/// `result` is one of the words of the metric `zoogate_identity_shadow_total`.
#[derive(Default, Serialize)]
struct ShadowReport<'a> {
    result: &'static str,
    identity: Option<&'a str>,
    reason: Option<&'static str>,
    detail: Option<String>,
}

impl<'a> ShadowReport<'a> {
    fn of(shadow: &'a Shadow, used: Option<&'a str>) -> Self {
        match shadow {
            Shadow::Same => Self { result: "same", identity: used, ..Self::default() },
            Shadow::Different(other) => Self { result: "different", identity: Some(other.as_str()), ..Self::default() },
            Shadow::Refused(why) => Self {
                result: "refused",
                identity: None,
                reason: Some(why.refusal().as_str()),
                detail: Some(why.to_string()),
            },
        }
    }
}

pub(super) fn json(verdict: &Verdict) -> String {
    let used = verdict.outcome.as_ref().ok().map(|admission| admission.identity.as_str());
    let rule = verdict.rule.as_ref().map(|rule| rule.text.as_str());
    let shadow = verdict.shadow.as_ref().map(|shadow| ShadowReport::of(shadow, used));
    text::json(&match &verdict.outcome {
        Ok(admission) => Report {
            verdict: "admitted",
            reason: None,
            detail: format!("trusted by {}", anchor(&admission.verified)),
            identity: used,
            acl_ids: &admission.acl_ids,
            not_after: Some(date(admission.verified.not_after)),
            rule,
            shadow,
        },
        Err(rejection) => Report {
            verdict: "refused",
            reason: Some(rejection.refusal.as_str()),
            detail: rejection.detail.clone(),
            identity: None,
            acl_ids: &AclIds { x509: None, digest: None },
            not_after: None,
            rule,
            shadow,
        },
    })
}

/// Trusted certificates that are listed; trust stores of public CAs have 150.
const TRUST_LINES: usize = 20;

pub(super) fn text(verdict: &Verdict, (chain, trust): (&[CertificateDer<'_>], &[String]), at: UnixTime) -> String {
    let mapped = mapped(verdict);
    let mut rows = match &verdict.outcome {
        Ok(admission) => admitted(admission, mapped),
        Err(rejection) => refused(rejection, chain, mapped),
    };
    let used = verdict.outcome.as_ref().ok().map(|admission| &admission.identity);
    rows.extend(verdict.shadow.as_ref().map(|shadow| ("in the shadow", in_shadow(shadow, used))));
    rows.extend(labelled("trusted are", trust.iter().take(TRUST_LINES).cloned()));
    let more = trust.len().saturating_sub(TRUST_LINES);
    rows.extend((more > 0).then(|| ("", format!("and {more} more"))));
    rows.push(("judged as of", date(unix(at))));
    let lines = rows.into_iter().map(|(label, value)| format!("{label:<14}{}", escaped(&value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A label, which may be empty, and what it says.
type Row = (&'static str, String);

/// How the identity came about, where there are rules that make it.
fn mapped(verdict: &Verdict) -> Vec<Row> {
    let Some(rule) = &verdict.rule else { return Vec::new() };
    let mut rows: Vec<Row> = verdict.name.iter().map(|name| ("name", name.to_string())).collect();
    rows.push(("by rule", format!("{} (number {} of {})", rule.text, rule.number, rule.of)));
    if !rule.issuers.is_empty() {
        rows.push(("", format!("which holds for clients of {}", rule.issuers.join(", "))));
    }
    rows
}

fn admitted(admission: &Admission, mapped: Vec<Row>) -> Vec<Row> {
    let Admission { identity, acl_ids, other_digest_ids, old_ids, allowed_by, verified } = admission;
    let mut rows = vec![("admitted", identity.to_string()), ("until", until(verified))];
    rows.push(("trusted by", anchor(verified)));
    rows.extend(mapped);
    rows.extend(allowed_by.map(|number| ("allowed by", format!("identity.allow, number {number}"))));
    let digests = acl_ids.digest.iter().chain(other_digest_ids).map(|id| format!("digest:{id}"));
    let x509 = acl_ids.x509.iter().map(|id| format!("x509:{id}"));
    rows.extend(labelled("ACL ids", digests.chain(x509)));
    if !other_digest_ids.is_empty() {
        rows.push(("", "(the first id is the one for new ACLs; the others are of older secrets)".to_owned()));
    }
    rows.extend(labelled("old names", old_ids.iter().cloned()));
    rows
}

/// A label in front of the first value only.
fn labelled(label: &'static str, values: impl Iterator<Item = String>) -> impl Iterator<Item = Row> {
    std::iter::once(label).chain(std::iter::repeat("")).zip(values)
}

fn refused(rejection: &Rejection, chain: &[CertificateDer<'_>], mapped: Vec<Row>) -> Vec<Row> {
    let subject = chain.first().and_then(|leaf| identity::subject_name(leaf).ok());
    let subject = subject.filter(|subject| !subject.is_empty()).unwrap_or_else(|| "(no readable subject)".to_owned());
    let mut rows = vec![("refused", rejection.refusal.to_string()), ("certificate", subject)];
    rows.extend(mapped);
    rows.push(("why", rejection.detail.clone()));
    let advice = match &rejection.denied {
        Some((identity, denial)) => advice::on_denial(identity, denial),
        None => advice::advice(rejection.refusal).to_owned(),
    };
    rows.push(("what to do", advice));
    rows
}

fn in_shadow(shadow: &Shadow, used: Option<&Identity>) -> String {
    match (shadow, used) {
        (Shadow::Same, _) => "identity.mapping_shadow would change nothing".to_owned(),
        (Shadow::Different(other), Some(_)) => format!("identity.mapping_shadow would make it {other}"),
        (Shadow::Different(other), None) => format!("identity.mapping_shadow would let it in, as {other}"),
        (Shadow::Refused(why), _) => {
            format!("identity.mapping_shadow would refuse it ({}): {why}", why.refusal())
        }
    }
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
        return "itself: this very certificate is trusted, in the trust store or as a pinned certificate".to_owned();
    }
    let alias = verified.anchor.alias.as_ref().map(|alias| format!(" (alias {alias})")).unwrap_or_default();
    format!("{}{alias}", verified.anchor.subject)
}
