//! What the admin server shows of the running program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::Registry;
use rustls_pki_types::UnixTime;
use tokio::sync::watch;

use crate::admin::status::{
    CertificateStatus, ClientCertificateStatus, ConnectionCounts, CrlStatus, IdentityStatus, MaterialStatus, NotReady,
    RefusalStatus, ReloadProblem, ReloadStatus, Status, StatusQuery, Timestamp, UpstreamStatus,
};
use crate::admin::{AdminView, Hosts};
use crate::metrics::{GenerationOf, InjectionResult, Material, Metrics, REVISION, UpstreamState};
use crate::proxy::{Health, Present, Refusals, RefusedClient, Roster};
use crate::reload::Report;
use crate::rfc3339::unix;
use crate::shutdown::Drain;
use crate::snapshot::Snapshot;
use crate::tls::material::{CertificateRole, LoadedCertificate};
use crate::tls::revocation::CrlInfo;

/// The parts that readiness and status are read from.
pub(super) struct View {
    pub(super) started: UnixTime,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) upstream: String,
    pub(super) metrics: Arc<Metrics>,
    pub(super) roster: Arc<Roster>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) reload: watch::Receiver<Report>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What the last probe found, and when in Unix seconds.
    pub(super) health: watch::Receiver<Option<(Health, i64)>>,
    pub(super) listening: Arc<AtomicBool>,
    pub(super) drain: Drain,
}

impl View {
    pub(super) fn into_admin(self, registry: Registry, hosts: Hosts) -> AdminView {
        let view = Arc::new(self);
        let readiness = Arc::clone(&view);
        AdminView {
            registry,
            status: Arc::new(move |query| view.status(query)),
            readiness: Arc::new(move || readiness.not_ready()),
            hosts,
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
        let now = unix(UnixTime::now());
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
        let present = self.roster.present();
        let client_certificates = by_expiry(&present);
        let identities = by_identity(present);
        let loaded = snapshot.tls.certificates();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION"),
            revision: REVISION,
            started: Timestamp(unix(self.started)),
            uptime_seconds: UnixTime::now().as_secs().saturating_sub(self.started.as_secs()),
            listeners: self.listeners.clone(),
            upstream: self.upstream_status(),
            certificates: loaded.iter().take(Status::MAX_LOADED).map(certificate_status).collect(),
            certificates_total: loaded.len(),
            crls: snapshot
                .crl_files()
                .take(Status::MAX_LOADED)
                .map(|crl| crl_status(crl, snapshot.requires_crls()))
                .collect(),
            crls_total: snapshot.crl_files().count(),
            reload: self.reload_status(),
            connections: ConnectionCounts::from(&*self.metrics),
            client_certificates_total: client_certificates.len(),
            client_certificates,
            refusals: self.refusals.recent().into_iter().map(refusal_status).collect(),
            identities: identities.len(),
            merged_identities: identities.iter().filter(|identity| identity.names_total > 1).count(),
            connections_by_identity: identities,
        };
        status.cut(query);
        status
    }

    fn reload_status(&self) -> ReloadStatus {
        let report = self.reload.borrow().clone();
        let word = |material: Material| material.as_str();
        let problem = report.problem.map(|problem| ReloadProblem {
            since: Timestamp(problem.since),
            pending: !problem.told,
            materials: problem.materials.into_iter().map(word).collect(),
            messages: problem.messages,
        });
        let material_status = |(&material, &loaded): (&Material, &i64)| {
            let generation = |of| self.metrics.generation(material, of);
            let (disk_generation, loaded_generation) =
                (generation(GenerationOf::Disk), generation(GenerationOf::Loaded));
            MaterialStatus {
                material: material.as_str(),
                loaded: Timestamp(loaded),
                disk_generation,
                loaded_generation,
                current: disk_generation == loaded_generation,
            }
        };
        ReloadStatus {
            last: Timestamp(report.tried),
            result: report.result.as_str(),
            problem,
            needs_restart: report.needs_restart,
            materials: report.loaded.iter().map(material_status).collect(),
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
            last_credential: self.metrics.last_injection().map(InjectionResult::as_str),
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
                sessions: 0,
                requests: 0,
                not_after,
                tls_versions: Vec::new(),
            };
            (identity, BTreeSet::new())
        });
        names.insert(certificate.name);
        identity.connections += certificate.connections as u64;
        identity.sessions += certificate.sessions as u64;
        identity.requests += certificate.requests;
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

/// The first to expire first.
fn by_expiry(present: &[Present]) -> Vec<ClientCertificateStatus> {
    let certificate = |present: &Present| ClientCertificateStatus {
        identity: present.identity.clone(),
        serial: present.serial.clone(),
        sha256_prefix: present.sha256.chars().take(ClientCertificateStatus::PREFIX).collect(),
        not_after: Timestamp(present.not_after),
        connections: present.connections as u64,
    };
    let mut certificates: Vec<_> = present.iter().map(certificate).collect();
    certificates.sort_by(|a, b| (a.not_after, &a.identity, &a.serial).cmp(&(b.not_after, &b.identity, &b.serial)));
    certificates
}

fn refusal_status(refused: RefusedClient) -> RefusalStatus {
    RefusalStatus {
        time: Timestamp(refused.at),
        times: refused.times,
        peer: refused.peer,
        reason: refused.reason.as_str(),
        detail: refused.detail,
        subject: refused.subject,
        serial: refused.serial,
        identity: refused.identity,
    }
}

fn crl_status((info, file): (&CrlInfo, &str), required: bool) -> CrlStatus {
    CrlStatus {
        issuer: info.issuer.clone(),
        issuer_cn: info.issuer_common_name.clone(),
        file: file.to_owned(),
        number: info.number.clone(),
        this_update: Timestamp(info.this_update),
        next_update: info.next_update.map(Timestamp),
        entries: info.entries,
        required,
    }
}

fn certificate_status(loaded: &LoadedCertificate) -> CertificateStatus {
    CertificateStatus {
        role: loaded.role.as_str(),
        subject: loaded.subject.clone(),
        subject_cn: loaded.common_name.clone(),
        issuer: loaded.issuer.clone(),
        issuer_cn: loaded.issuer_common_name.clone(),
        alias: loaded.alias.clone(),
        serial: loaded.serial.clone(),
        not_before: Timestamp(loaded.not_before),
        not_after: Timestamp(loaded.not_after),
    }
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
            sessions: 1,
            requests: 2,
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
