//! The one line that matters, and what to look at first.

use super::super::status::{CertificateStatus, NotReady, Status};
use super::time::{Gravity, ago, span};
use super::visible::Visible;
use crate::metrics::{InjectionResult, UpstreamState};

const DAY: i64 = 86_400;

const CREDENTIALS_REFUSED: &str = "ZooKeeper refused the last client’s credential. With identity.inject: digest, enable \
    that scheme there; with x509, install zoogate’s provider there, with the same secret. zoogate’s log says more.";

/// Whether clients are served, and what stands or will stand in the way.
pub(super) struct Verdict {
    pub(super) gravity: Gravity,
    pub(super) headline: &'static str,
    /// The gravest first.
    pub(super) findings: Vec<Finding>,
}

/// Something to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) gravity: Gravity,
    pub(super) text: String,
    /// What it is about, in words that others chose.
    pub(super) about: Vec<Visible>,
}

impl Finding {
    fn new(gravity: Gravity, text: impl Into<String>) -> Self {
        Self { gravity, text: text.into(), about: Vec::new() }
    }

    fn about<'a>(mut self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        self.about.extend(texts.into_iter().map(Visible::new));
        self
    }
}

impl Verdict {
    pub(super) fn new(not_ready: &[NotReady], status: &Status, now: i64) -> Self {
        let mut findings: Vec<_> =
            not_ready.iter().map(|reason| Finding::new(Gravity::Bad, sentence(*reason))).collect();
        let refused = status.upstream.last_credential == Some(InjectionResult::Refused.as_str());
        findings.extend(refused.then(|| Finding::new(Gravity::Bad, CREDENTIALS_REFUSED)));
        findings.extend(reload(status, now));
        findings.extend(status.certificates.iter().filter_map(|certificate| ending(certificate, now)));
        findings.extend(overdue(status, now));
        findings.extend(outlived(status, now));
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.gravity));
        let (gravity, headline) = match (not_ready.is_empty(), findings.is_empty()) {
            (false, _) => (Gravity::Bad, "Not ready for clients"),
            _ if refused => (Gravity::Bad, "No client gets in"),
            (true, false) => (Gravity::Warning, "Serving clients, with warnings"),
            (true, true) => (Gravity::Good, "Serving clients"),
        };
        Self { gravity, headline, findings }
    }
}

/// What stands in the way of serving clients, for a person.
fn sentence(reason: NotReady) -> &'static str {
    match reason {
        NotReady::NotListening => "The client port is not served.",
        NotReady::Draining => "zoogate is stopping.",
        NotReady::CertificateExpired => "zoogate’s own certificate has expired: renew it.",
        NotReady::Upstream(UpstreamState::Unknown) => "ZooKeeper has not been asked yet.",
        NotReady::Upstream(UpstreamState::Unreachable) => {
            "ZooKeeper takes no connection, or does not answer. Is it running?"
        }
        NotReady::Upstream(UpstreamState::NotServing) => {
            "ZooKeeper answers, but opens no sessions: it has no quorum, or is starting."
        }
        NotReady::Upstream(UpstreamState::ReadOnly) => "ZooKeeper is cut off from its ensemble and serves reads only.",
        NotReady::Upstream(
            UpstreamState::Leader
            | UpstreamState::Follower
            | UpstreamState::Observer
            | UpstreamState::Standalone
            | UpstreamState::Serving,
        ) => "ZooKeeper serves.",
    }
}

fn reload(status: &Status, now: i64) -> impl Iterator<Item = Finding> {
    let reload = &status.reload;
    let problem = reload.problem.as_ref().filter(|problem| !problem.pending).map(|problem| {
        let text = format!(
            "Changed files can’t be used ({}, noticed {}). What was loaded before stays in use.",
            problem.materials.join(", ").replace('_', " "),
            ago(problem.since, now)
        );
        Finding::new(Gravity::Warning, text).about(problem.messages.iter().map(String::as_str))
    });
    let restart = (!reload.needs_restart.is_empty()).then(|| {
        let text = format!(
            "The configuration file has changed where only a restart reads it: {}.",
            reload.needs_restart.join(", ")
        );
        Finding::new(Gravity::Warning, text)
    });
    problem.into_iter().chain(restart)
}

/// From when on a certificate's end is a warning, in seconds before it: a tenth of its time, a month at most.
pub(super) fn soon(certificate: &CertificateStatus) -> i64 {
    let lifetime = certificate.not_after.0.saturating_sub(certificate.not_before.0);
    (lifetime / 10).min(30 * DAY)
}

/// Trust anchors are left out: their dates are not looked at when clients come.
fn ending(certificate: &CertificateStatus, now: i64) -> Option<Finding> {
    let what = match certificate.role {
        "server" => "zoogate’s own certificate",
        "intermediate" => "A certificate that zoogate sends with its own",
        _ => return None,
    };
    let left = certificate.not_after.0.saturating_sub(now);
    let text = match left {
        // Readiness has said so.
        ..0 if certificate.role == "server" => return None,
        ..0 => format!("{what} ended {}.", ago(certificate.not_after, now)),
        _ if left < soon(certificate) => format!("{what} ends in {}.", span(left)),
        _ => return None,
    };
    let gravity = if left < 0 { Gravity::Bad } else { Gravity::Warning };
    Some(Finding::new(gravity, text).about([&*certificate.subject]))
}

fn overdue(status: &Status, now: i64) -> impl Iterator<Item = Finding> {
    let late = status.crls.iter().filter_map(move |crl| Some((crl, crl.next_update.filter(|at| at.0 < now)?)));
    late.map(move |(crl, due)| {
        let refused = if crl.required { " Until then, new clients of that CA are refused." } else { "" };
        let text = format!("A CRL was to be replaced {}: fetch its successor.{refused}", ago(due, now));
        Finding::new(Gravity::Warning, text).about([&*crl.issuer, &*crl.file])
    })
}

fn outlived(status: &Status, now: i64) -> Option<Finding> {
    let count = status.client_certificates.iter().filter(|client| client.not_after.0 < now).count();
    let text = match count {
        0 => return None,
        1 => "A client is connected whose certificate has expired.".to_owned(),
        _ => format!("{count} clients are connected whose certificates have expired."),
    };
    Some(Finding::new(Gravity::Warning, text))
}
