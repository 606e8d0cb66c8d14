//! What the admin server shows of the running program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::Registry;
use tokio::sync::watch;

use crate::admin::AdminView;
use crate::admin::status::{
    CertificateStatus, ConnectionCounts, IdentityStatus, NotReady, Status, StatusQuery, Timestamp, UpstreamStatus,
};
use crate::metrics::{Metrics, REVISION, UpstreamState};
use crate::proxy::{Health, Present, Roster};
use crate::shutdown::Drain;
use crate::snapshot::Snapshot;
use crate::tls::material::{CertificateRole, LoadedCertificate};

/// The parts that readiness and status are read from.
pub(super) struct View {
    pub(super) started: SystemTime,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) upstream: String,
    pub(super) metrics: Arc<Metrics>,
    pub(super) roster: Arc<Roster>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What the last probe found, and when in Unix seconds.
    pub(super) health: watch::Receiver<Option<(Health, i64)>>,
    pub(super) listening: Arc<AtomicBool>,
    pub(super) drain: Drain,
}

impl View {
    pub(super) fn into_admin(self, registry: Registry) -> AdminView {
        let view = Arc::new(self);
        let readiness = Arc::clone(&view);
        AdminView {
            registry,
            status: Arc::new(move |query| view.status(query)),
            readiness: Arc::new(move || readiness.not_ready().into_iter().map(NotReady::as_str).collect()),
        }
    }

    /// What stands in the way of serving clients.
    fn not_ready(&self) -> Vec<NotReady> {
        let mut reasons = Vec::new();
        if !self.listening.load(Ordering::Acquire) {
            reasons.push(NotReady::NotListening);
        }
        if self.drain.is_stopping() {
            reasons.push(NotReady::Draining);
        }
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let now = unix(SystemTime::now());
        let expired = |loaded: &LoadedCertificate| loaded.role == CertificateRole::Server && loaded.not_after < now;
        if snapshot.tls.certificates().iter().any(expired) {
            reasons.push(NotReady::CertificateExpired);
        }
        let state = self.health.borrow().as_ref().map_or(UpstreamState::Unknown, |(health, _)| health.state);
        if !state.serves() {
            reasons.push(NotReady::Upstream(state));
        }
        reasons
    }

    fn status(&self, query: StatusQuery) -> Status {
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let mut identities = by_identity(self.roster.present());
        let total = identities.len();
        let merged_identities = identities.iter().filter(|identity| identity.names_total > 1).count();
        identities.truncate(query.limit);
        Status {
            version: env!("CARGO_PKG_VERSION"),
            revision: REVISION,
            started: Timestamp(unix(self.started)),
            uptime_seconds: self.started.elapsed().unwrap_or_default().as_secs(),
            listeners: self.listeners.clone(),
            upstream: self.upstream_status(),
            certificates: snapshot.tls.certificates().iter().map(certificate_status).collect(),
            connections: ConnectionCounts::from(&*self.metrics),
            identities: total,
            merged_identities,
            connections_by_identity: identities,
        }
    }

    fn upstream_status(&self) -> UpstreamStatus {
        let health = self.health.borrow().clone();
        let (health, probed) = health.unzip();
        UpstreamStatus {
            address: self.upstream.clone(),
            state: health.as_ref().map_or(UpstreamState::Unknown, |health| health.state).as_str(),
            version: health.and_then(|health| health.version),
            last_probe: probed.map(Timestamp),
        }
    }
}

/// Adds up the certificates of each identity; the identities with the most connections first.
fn by_identity(present: Vec<Present>) -> Vec<IdentityStatus> {
    let mut identities: BTreeMap<String, (IdentityStatus, BTreeSet<String>)> = BTreeMap::new();
    for certificate in present {
        let not_after = Timestamp(certificate.not_after);
        let (identity, names) = identities.entry(certificate.identity.clone()).or_insert_with(|| {
            let identity = IdentityStatus {
                identity: certificate.identity,
                names: Vec::new(),
                names_total: 0,
                connections: 0,
                not_after,
                tls_versions: Vec::new(),
            };
            (identity, BTreeSet::new())
        });
        names.insert(certificate.name);
        identity.connections += certificate.connections as u64;
        identity.not_after = identity.not_after.min(not_after);
        if !identity.tls_versions.contains(&certificate.tls_version) {
            identity.tls_versions.push(certificate.tls_version);
        }
    }
    let with_names = |(mut identity, names): (IdentityStatus, BTreeSet<String>)| {
        identity.names_total = names.len();
        identity.names = names.into_iter().take(IdentityStatus::MAX_NAMES).collect();
        identity
    };
    let mut identities: Vec<_> = identities.into_values().map(with_names).collect();
    identities.sort_by_key(|identity| std::cmp::Reverse(identity.connections));
    identities
}

fn certificate_status(loaded: &LoadedCertificate) -> CertificateStatus {
    CertificateStatus {
        role: loaded.role.as_str(),
        subject: loaded.subject.clone(),
        issuer: loaded.issuer.clone(),
        serial: loaded.serial.clone(),
        not_before: Timestamp(loaded.not_before),
        not_after: Timestamp(loaded.not_after),
    }
}

fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(identity: &str, name: &str) -> Present {
        Present {
            identity: identity.to_owned(),
            name: name.to_owned(),
            serial: String::new(),
            sha256: String::new(),
            not_after: 7,
            tls_version: "TLSv1.3",
            connections: 1,
        }
    }

    #[test]
    fn an_identity_lists_each_name_once_and_not_endlessly_many() {
        let mut everyone = vec![present("app", "CN=renewed"), present("app", "CN=renewed"), present("other", "CN=x")];
        everyone.extend((0..30).map(|n| present("app", &format!("CN={n:02}"))));
        let identities = by_identity(everyone);
        let told: Vec<_> =
            identities.iter().map(|i| (i.identity.as_str(), i.names.len(), i.names_total, i.connections)).collect();
        assert_eq!(told, [("app", IdentityStatus::MAX_NAMES, 31, 32), ("other", 1, 1, 1)]);
        assert_eq!(identities[0].names[..2], ["CN=00", "CN=01"]);
    }
}
