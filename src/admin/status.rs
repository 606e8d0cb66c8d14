//! What `/status` tells: a snapshot of the process as data, and the query that bounds it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::metrics::{ConnectionState, Metrics, UpstreamState};
use crate::rfc3339::utc;

/// Makes the status when someone asks. It runs on a thread where it may take a lock for a moment.
pub type Source = Arc<dyn Fn(StatusQuery) -> Status + Send + Sync>;

/// Tells what stands in the way of serving clients; nothing means ready. It runs for each probe on a thread that also
/// moves clients' bytes, so it must not wait for anything.
pub type Readiness = Arc<dyn Fn() -> Vec<NotReady> + Send + Sync>;

/// What stands in the way of serving clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// The client's port is not listening yet, or no longer. Word: `not_listening`.
    NotListening,
    /// zoogate is stopping. Word: `draining`.
    Draining,
    /// zoogate's own certificate is past its notAfter. Word: `certificate_expired`.
    CertificateExpired,
    /// ZooKeeper was last found in a state in which it doesn't serve. Word: `upstream_` and the state.
    Upstream(UpstreamState),
}

impl NotReady {
    /// The word that `/readyz` and `/status` print.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotListening => "not_listening",
            Self::Draining => "draining",
            Self::CertificateExpired => "certificate_expired",
            Self::Upstream(state) => match state {
                UpstreamState::Unknown => "upstream_unknown",
                UpstreamState::Leader => "upstream_leader",
                UpstreamState::Follower => "upstream_follower",
                UpstreamState::Observer => "upstream_observer",
                UpstreamState::Standalone => "upstream_standalone",
                UpstreamState::Serving => "upstream_serving",
                UpstreamState::ReadOnly => "upstream_read_only",
                UpstreamState::NotServing => "upstream_not_serving",
                UpstreamState::Unreachable => "upstream_unreachable",
            },
        }
    }
}

/// How much of the status is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusQuery {
    /// The most identities, client certificates and refusals to list, at most [`StatusQuery::MAX_LIMIT`].
    pub limit: usize,
}

impl StatusQuery {
    /// How many of each are listed when the request does not say.
    pub const DEFAULT_LIMIT: usize = 50;
    /// The most of each that are listed.
    pub const MAX_LIMIT: usize = 1000;

    /// Reads the query part of the request's URI; only `limit` is known.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, QueryError> {
        let mut limit = None;
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name != "limit" || limit.is_some() {
                return Err(QueryError);
            }
            let number = value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok()).flatten();
            limit = Some(number.filter(|&number| number <= Self::MAX_LIMIT).ok_or(QueryError)?);
        }
        Ok(Self { limit: limit.unwrap_or(Self::DEFAULT_LIMIT) })
    }
}

/// The query part of the URI is not one that `/status` understands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueryError;

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/status takes one parameter, limit, a number from 0 to {}", StatusQuery::MAX_LIMIT)
    }
}

/// The whole of `/status`, but for readiness, which is added to it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// zoogate's version.
    pub version: &'static str,
    /// The revision it was built from.
    pub revision: &'static str,
    /// When the process started to serve.
    pub started: Timestamp,
    /// For how many seconds it has served.
    pub uptime_seconds: u64,
    /// The addresses at which clients are accepted.
    pub listeners: Vec<SocketAddr>,
    /// What is known of ZooKeeper.
    pub upstream: UpstreamStatus,
    /// The loaded certificates: the server's chain, then the trust store; at most [`Status::MAX_LOADED`].
    pub certificates: Vec<CertificateStatus>,
    /// How many certificates are loaded, listed or not.
    pub certificates_total: usize,
    /// The loaded CRLs, in the order of the configuration; at most [`Status::MAX_LOADED`].
    pub crls: Vec<CrlStatus>,
    /// How many CRLs are loaded, listed or not.
    pub crls_total: usize,
    /// Whether what is on the disk is in use.
    pub reload: ReloadStatus,
    /// Live connections by state.
    pub connections: ConnectionCounts,
    /// How many client certificates have live connections, listed below or not.
    pub client_certificates_total: usize,
    /// The client certificates that have live connections, the first to expire first; cut at the query's limit.
    pub client_certificates: Vec<ClientCertificateStatus>,
    /// The clients that were not let in lately or were sent away, the last one first; cut at the query's limit.
    pub refusals: Vec<RefusalStatus>,
    /// How many identities have live connections, listed below or not.
    pub identities: usize,
    /// How many of them are made of differently named certificates by `identity.mapping`.
    pub merged_identities: usize,
    /// The identities with the most connections, most first; cut at the query's limit.
    pub connections_by_identity: Vec<IdentityStatus>,
}

impl Status {
    /// The most loaded certificates, and the most CRLs, that are listed.
    pub const MAX_LOADED: usize = 1000;

    /// Cuts the lists that a query limits.
    pub fn cut(&mut self, query: StatusQuery) {
        self.connections_by_identity.truncate(query.limit);
        self.client_certificates.truncate(query.limit);
        self.refusals.truncate(query.limit);
    }
}

/// What the last probe of ZooKeeper found.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamStatus {
    /// Where zoogate connects to, as configured.
    pub address: String,
    /// The state, one of the words of [`UpstreamState`].
    pub state: &'static str,
    /// ZooKeeper's version, where it tells.
    pub version: Option<String>,
    /// When it was last probed.
    pub last_probe: Option<Timestamp>,
    /// What it said to the last credential of a client, one of the words of
    /// [`InjectionResult`](crate::metrics::InjectionResult); none before there was one.
    pub last_credential: Option<&'static str>,
}

/// A loaded certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateStatus {
    /// What it is for, one of the words of [`CertificateRole`](crate::metrics::CertificateRole).
    pub role: &'static str,
    /// Its subject, as the logs print it.
    pub subject: String,
    /// The subject's common name, or the whole subject where it has none.
    pub subject_cn: String,
    /// Its issuer, as the logs print it.
    pub issuer: String,
    /// The issuer's common name, or the whole issuer where it has none.
    pub issuer_cn: String,
    /// Its name in the trust store, where it has one.
    pub alias: Option<String>,
    /// Its serial number in hexadecimal.
    pub serial: String,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ceases to be valid.
    pub not_after: Timestamp,
}

/// A loaded certificate revocation list.
#[derive(Clone, Debug, Serialize)]
pub struct CrlStatus {
    /// Its issuer, as the logs print it.
    pub issuer: String,
    /// The issuer's common name, or the whole issuer where it has none.
    pub issuer_cn: String,
    /// The file it was read from, as configured.
    pub file: String,
    /// Its number in decimal; CRLs of version 1 have none.
    pub number: Option<String>,
    /// When it was issued.
    pub this_update: Timestamp,
    /// When its successor is due, if it says so.
    pub next_update: Option<Timestamp>,
    /// How many certificates it revokes.
    pub entries: usize,
    /// Whether new clients of its issuer are refused once it is overdue (`tls.revocation_policy: hard`).
    pub required: bool,
}

/// Whether what is on the disk is in use.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadStatus {
    /// When a change was tried last, successfully or not; the start counts as one.
    pub last: Timestamp,
    /// What came of it, one of the words of [`ReloadResult`](crate::metrics::ReloadResult).
    pub result: &'static str,
    /// What is wrong with the files on the disk, if they can't be used.
    pub problem: Option<ReloadProblem>,
    /// Sections of the configuration file that have changed, and that only a restart reads.
    pub needs_restart: Vec<&'static str>,
    /// Each material that is loaded.
    pub materials: Vec<MaterialStatus>,
}

/// Why the files on the disk can't be used; what was loaded before stays in use.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadProblem {
    /// Since when.
    pub since: Timestamp,
    /// Whether it may still be a change that is half written, so that no failure was counted.
    pub pending: bool,
    /// The materials that have changed.
    pub materials: Vec<&'static str>,
    /// What is wrong, a sentence each.
    pub messages: Vec<String>,
}

/// One material: which version of it is in use.
#[derive(Clone, Debug, Serialize)]
pub struct MaterialStatus {
    /// One of the words of [`Material`](crate::metrics::Material).
    pub material: &'static str,
    /// When what is in use was loaded.
    pub loaded: Timestamp,
    /// How often the contents of its files have changed on the disk.
    pub disk_generation: u64,
    /// The same of what is in use.
    pub loaded_generation: u64,
    /// Whether what is in use is what is on the disk.
    pub current: bool,
}

/// A client certificate that has live connections.
#[derive(Clone, Debug, Serialize)]
pub struct ClientCertificateStatus {
    /// Whose it is.
    pub identity: String,
    /// Its serial number in hexadecimal.
    pub serial: String,
    /// The first 16 digits of its SHA-256; the access log has all of it.
    pub sha256_prefix: String,
    /// When it, or an intermediate that the path of one of its connections needs, ceases to be valid.
    pub not_after: Timestamp,
    /// How many connections it has.
    pub connections: u64,
}

impl ClientCertificateStatus {
    /// How many digits of a SHA-256 are shown.
    pub const PREFIX: usize = 16;
}

/// A client that was not let in, or was sent away.
#[derive(Clone, Debug, Serialize)]
pub struct RefusalStatus {
    /// When it was refused so last.
    pub time: Timestamp,
    /// How often it was, since it is remembered; clients try again.
    pub times: u64,
    /// Its address and port, of the last time.
    pub peer: SocketAddr,
    /// Why, one of the words of [`CloseReason`](crate::reason::CloseReason).
    pub reason: &'static str,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// Its certificate's subject, if it showed one that can be read.
    pub subject: Option<String>,
    /// Its certificate's serial number in hexadecimal, likewise.
    pub serial: Option<String>,
    /// Who it is, if that was found out.
    pub identity: Option<String>,
}

/// Live connections by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionCounts {
    /// TLS is not finished.
    pub handshaking: u64,
    /// The session is being opened.
    pub opening: u64,
    /// Frames are relayed.
    pub established: u64,
    /// To be closed between requests.
    pub draining: u64,
}

impl From<&Metrics> for ConnectionCounts {
    fn from(metrics: &Metrics) -> Self {
        Self {
            handshaking: metrics.connections(ConnectionState::Handshaking),
            opening: metrics.connections(ConnectionState::Opening),
            established: metrics.connections(ConnectionState::Established),
            draining: metrics.connections(ConnectionState::Draining),
        }
    }
}

/// The live connections of one identity.
#[derive(Clone, Debug, Serialize)]
pub struct IdentityStatus {
    /// The identity.
    pub identity: String,
    /// What its certificates in use say, before any mapping: each name once, in order, at most
    /// [`IdentityStatus::MAX_NAMES`].
    pub names: Vec<String>,
    /// How many such names there are, listed or not.
    pub names_total: usize,
    /// How many connections it has.
    pub connections: u64,
    /// How many of them have opened a session.
    pub sessions: u64,
    /// How many requests it has sent, pings included, since it was without a connection last; counted by certificate.
    pub requests: u64,
    /// When the first of its certificates in use expires.
    pub not_after: Timestamp,
    /// The TLS versions it uses, each once.
    pub tls_versions: Vec<&'static str>,
}

impl IdentityStatus {
    /// The most names that are listed for an identity.
    pub const MAX_NAMES: usize = 10;
}

/// A point in time in Unix seconds, shown as RFC 3339 in UTC. Times outside the years 0 to 9999, which RFC 3339 can't
/// tell, are shown as the nearest that it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&utc(self.0))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn timestamps_are_rfc3339_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp(seconds).to_string(), text);
        }
    }

    #[test]
    fn timestamps_agree_with_another_implementation() {
        for day in 0..100_000u64 {
            let seconds = day * 86_400 + day % 86_400;
            let other = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(Timestamp(seconds as i64).to_string(), other.to_string());
        }
    }

    #[test]
    fn the_limit_is_a_number_up_to_the_maximum() {
        let parse = |query| StatusQuery::parse(query).map(|query| query.limit);
        assert_eq!(parse(None), Ok(50));
        assert_eq!(parse(Some("")), Ok(50));
        assert_eq!(parse(Some("limit=0")), Ok(0));
        assert_eq!(parse(Some("limit=1000")), Ok(1000));
        for bad in [
            "limit=1001",
            "limit=-1",
            "limit=+1",
            "limit=",
            "limit",
            "limit=99999999999999999999999",
            "limit=1&limit=2",
            "limt=1",
            "limit=%31",
        ] {
            assert_eq!(parse(Some(bad)), Err(QueryError), "{bad}");
        }
    }

    #[test]
    fn an_upstream_that_does_not_serve_is_named_by_its_state() {
        for state in UpstreamState::ALL {
            assert_eq!(NotReady::Upstream(*state).as_str(), format!("upstream_{state}"));
        }
    }
}
