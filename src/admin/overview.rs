//! The page at `/`, for whoever was just paged: what `/status` tells, as HTML that needs nothing but itself.
//!
//! Most of its texts were chosen by clients. The templates escape every value, [`Visible`] shows what can't be seen,
//! and the page's policy lets a browser run no script and fetch nothing, whatever the page may say.

mod time;
mod verdict;
mod visible;

use std::fmt;
use std::sync::LazyLock;

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::status::{
    CertificateStatus, ClientCertificateStatus, CrlStatus, IdentityStatus, NotReady, RefusalStatus, Status,
    StatusQuery, Timestamp,
};
use crate::metrics::UpstreamState;
use time::{Gravity, Moment};
use verdict::Verdict;
use visible::Visible;

/// How many lines each table has when the request does not say.
const LINES: usize = 20;

/// How many of the certificates that end first are shown then; who is connected says it of each identity, too.
const FIRST_TO_END: usize = 5;

/// How many of an identity's names are shown.
const NAMES: usize = 3;

/// How often the page loads itself again, in seconds.
const REFRESH: u32 = 10;

/// From when on a client's certificate is a warning, in seconds before its end.
const CLIENT_SOON: i64 = 86_400;

const STYLE: &str = include_str!("../../templates/overview.css");

/// The page's Content-Security-Policy: its own style sheet and icon, and nothing else.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// What of the page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverviewQuery {
    /// The most lines of a table, if asked for.
    limit: Option<usize>,
    /// Whether it stays as it is.
    pause: bool,
}

impl OverviewQuery {
    /// Reads the query part of the request's URI: `limit` as `/status` takes it, and `pause`.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, OverviewQueryError> {
        let (pauses, rest): (Vec<_>, Vec<_>) =
            query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).partition(|pair| *pair == "pause");
        let limit = match StatusQuery::parse(Some(&rest.join("&"))) {
            Ok(query) => (!rest.is_empty()).then_some(query.limit),
            Err(_) => return Err(OverviewQueryError),
        };
        Ok(Self { limit, pause: !pauses.is_empty() })
    }

    /// What the view is asked for: more than is shown, since the verdict counts.
    pub(super) fn status(self) -> StatusQuery {
        StatusQuery { limit: StatusQuery::MAX_LIMIT }
    }
}

/// The query part of the URI is not one that the page understands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OverviewQueryError;

impl fmt::Display for OverviewQueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/ takes two parameters: limit, a number from 0 to {}, and pause", StatusQuery::MAX_LIMIT)
    }
}

/// The whole page.
#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct Overview {
    style: &'static str,
    refresh: Option<u32>,
    now: Moment,
    verdict: Verdict,
    status: Status,
    name: Option<Visible>,
    upstream: Upstream,
    reload: Moment,
    stale: Vec<String>,
    certificates: Table<Certificate>,
    crls: Table<Crl>,
    identities: Table<Identity>,
    clients: Table<Client>,
    refusals: Table<Refusal>,
}

impl Overview {
    /// The page of a status at a time in Unix seconds.
    pub(super) fn new(not_ready: &[NotReady], status: Status, query: OverviewQuery, now: i64) -> Self {
        let own = status.certificates.iter().find(|certificate| certificate.role == "server");
        let stale = status.reload.materials.iter().filter(|material| !material.current);
        let limit = query.limit.unwrap_or(LINES);
        let first_to_end = query.limit.unwrap_or(FIRST_TO_END);
        Self {
            style: STYLE,
            refresh: (!query.pause).then_some(REFRESH),
            now: Moment::past(Timestamp(now), now),
            verdict: Verdict::new(not_ready, &status, now),
            name: own.map(|certificate| Visible::new(&certificate.subject_cn)),
            upstream: Upstream::new(&status, now),
            reload: Moment::past(status.reload.last, now),
            stale: stale.map(|material| material.material.replace('_', " ")).collect(),
            certificates: Table::new(&by_urgency(&status.certificates), status.certificates_total, limit, |c| {
                Certificate::new(c, now)
            }),
            crls: Table::new(&status.crls, status.crls_total, limit, |crl| Crl::new(crl, now)),
            identities: Table::new(&status.connections_by_identity, status.identities, limit, |identity| {
                Identity::new(identity, now)
            }),
            clients: Table::new(
                &status.client_certificates,
                status.client_certificates_total,
                first_to_end,
                |client| Client::new(client, now),
            ),
            refusals: Table::new(&status.refusals, status.refusals.len(), limit, |refusal| Refusal::new(refusal, now)),
            status,
        }
    }

    fn uptime(&self) -> String {
        time::span(i64::try_from(self.status.uptime_seconds).unwrap_or(i64::MAX))
    }

    /// Connections without a session.
    fn coming_and_going(&self) -> String {
        let counts = self.status.connections;
        let states = [(counts.handshaking, "in handshake"), (counts.opening, "opening"), (counts.draining, "draining")];
        let told: Vec<_> = states.iter().filter(|(n, _)| *n > 0).map(|(n, state)| format!("{n} {state}")).collect();
        if told.is_empty() { "none coming or going".to_owned() } else { told.join(", ") }
    }
}

/// The server's own chain as it is sent, then the trust store, what ends first first.
fn by_urgency(certificates: &[CertificateStatus]) -> Vec<&CertificateStatus> {
    let (mut anchors, mut sorted): (Vec<_>, Vec<_>) =
        certificates.iter().partition(|certificate| is_trusted(certificate));
    anchors.sort_by_key(|certificate| certificate.not_after);
    sorted.extend(anchors);
    sorted
}

/// Whether a certificate is that of clients or of their CAs, not of this server.
fn is_trusted(certificate: &CertificateStatus) -> bool {
    matches!(certificate.role, "trust_anchor" | "pinned_certificate")
}

/// The lines of a table that are shown, and how many are not.
struct Table<T> {
    lines: Vec<T>,
    total: usize,
}

impl<T> Table<T> {
    fn new<S>(all: &[S], total: usize, limit: usize, line: impl Fn(&S) -> T) -> Self {
        Self { lines: all.iter().take(limit).map(line).collect(), total }
    }

    fn more(&self) -> usize {
        self.total - self.lines.len().min(self.total)
    }
}

struct Upstream {
    address: Visible,
    state: String,
    gravity: Gravity,
    version: Option<Visible>,
    probed: Option<String>,
}

impl Upstream {
    fn new(status: &Status, now: i64) -> Self {
        let upstream = &status.upstream;
        let serves = UpstreamState::ALL.iter().any(|s| s.as_str() == upstream.state && s.serves());
        Self {
            address: Visible::new(&upstream.address),
            state: upstream.state.replace('_', " "),
            gravity: if serves { Gravity::Good } else { Gravity::Bad },
            version: upstream.version.as_deref().map(Visible::new),
            probed: upstream.last_probe.map(|at| time::ago(at, now)),
        }
    }
}

struct Certificate {
    role: &'static str,
    subject: Visible,
    issuer: Option<Visible>,
    serial: Visible,
    end: Moment,
    /// How much of its time is left, in percent.
    left: i64,
}

impl Certificate {
    fn new(certificate: &CertificateStatus, now: i64) -> Self {
        let mut end = Moment::end(certificate.not_after, now, verdict::soon(certificate));
        if is_trusted(certificate) {
            // A CA's date is not looked at when clients come.
            end.gravity = end.gravity.min(Gravity::Warning);
        }
        let (begin, until) = (i128::from(certificate.not_before.0), i128::from(certificate.not_after.0));
        let left = (until - i128::from(now)) * 100 / (until - begin).max(1);
        Self {
            role: match certificate.role {
                "server" => "zoogate’s own",
                "intermediate" => "sent with it",
                "trust_anchor" => "trusted",
                "pinned_certificate" => "pinned client",
                other => other,
            },
            subject: Visible::new(&certificate.subject),
            issuer: (certificate.issuer != certificate.subject).then(|| Visible::new(&certificate.issuer)),
            serial: Visible::new(&certificate.serial),
            end,
            left: left.clamp(0, 100) as i64,
        }
    }
}

struct Crl {
    issuer: Visible,
    file: Visible,
    number: Option<Visible>,
    entries: usize,
    due: Option<Moment>,
}

impl Crl {
    fn new(crl: &CrlStatus, now: i64) -> Self {
        Self {
            issuer: Visible::new(&crl.issuer),
            file: Visible::new(&crl.file),
            number: crl.number.as_deref().map(Visible::new),
            entries: crl.entries,
            due: crl.next_update.map(|at| Moment::due(at, now)),
        }
    }
}

struct Identity {
    identity: Visible,
    /// Names that were mapped to it.
    names: Table<Visible>,
    connections: u64,
    sessions: u64,
    requests: u64,
    tls: String,
    end: Moment,
}

impl Identity {
    fn new(status: &IdentityStatus, now: i64) -> Self {
        let mapped = status.names_total > 1 || status.names.iter().any(|name| *name != status.identity);
        let limit = if mapped { NAMES } else { 0 };
        let total = if mapped { status.names_total } else { 0 };
        Self {
            identity: Visible::new(&status.identity),
            names: Table::new(&status.names, total, limit, |name| Visible::new(name)),
            connections: status.connections,
            sessions: status.sessions,
            requests: status.requests,
            tls: status.tls_versions.join(", ").replace("TLSv", ""),
            end: Moment::end(status.not_after, now, CLIENT_SOON),
        }
    }
}

struct Client {
    identity: Visible,
    serial: Visible,
    sha256: Visible,
    connections: u64,
    end: Moment,
}

impl Client {
    fn new(client: &ClientCertificateStatus, now: i64) -> Self {
        Self {
            identity: Visible::new(&client.identity),
            serial: Visible::new(&client.serial),
            sha256: Visible::new(&client.sha256_prefix),
            connections: client.connections,
            end: Moment::end(client.not_after, now, CLIENT_SOON),
        }
    }
}

struct Refusal {
    time: Moment,
    times: u64,
    peer: String,
    reason: &'static str,
    detail: Option<Visible>,
    who: Option<Visible>,
    serial: Option<Visible>,
}

impl Refusal {
    fn new(refusal: &RefusalStatus, now: i64) -> Self {
        let shown = |name: &str| Visible::new(if name.is_empty() { "(empty subject)" } else { name });
        let who = refusal.identity.as_deref().or(refusal.subject.as_deref());
        Self {
            time: Moment::past(refusal.time, now),
            times: refusal.times,
            peer: refusal.peer.to_string(),
            reason: refusal.reason,
            detail: refusal.detail.as_deref().map(Visible::new),
            who: who.map(shown),
            serial: refusal.serial.as_deref().map(Visible::new),
        }
    }
}

#[cfg(test)]
mod tests;
