//! What the service manager hears: how it goes, and that it goes on.

use std::sync::Arc;

use rustls_pki_types::UnixTime;
use tokio::sync::{Notify, watch};

use crate::proxy::{Health, Pulse};
use crate::reload::Report;
use crate::rfc3339::unix;
use crate::shutdown::Drain;
use crate::snapshot::Snapshot;
use crate::systemd::{Notifier, Watchdog};
use crate::tls::material::CertificateRole;

/// Has the files looked at when somebody asks, and tells the service manager of it.
pub struct Reload {
    pub(super) asked: Arc<Notify>,
    pub(super) reports: watch::Receiver<Report>,
    pub(super) notifier: Arc<Notifier>,
}

impl Reload {
    /// Has the files looked at now, and waits until they were, once [`App::run`](super::App::run) runs. What came of
    /// it is in the log.
    pub async fn now(&mut self) {
        self.notifier.reloading();
        let before = self.reports.borrow().answered;
        self.asked.notify_one();
        // An error means that nobody will ever answer; the service manager must not wait for that.
        let _ = self.reports.wait_for(|report| report.answered != before).await;
        self.notifier.ready();
    }
}

/// What the status is made of.
pub(super) struct Announcer {
    pub(super) notifier: Arc<Notifier>,
    /// What the last probe found, and when.
    pub(super) health: watch::Receiver<Option<(Health, i64)>>,
    pub(super) reports: watch::Receiver<Report>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) drain: Drain,
}

impl Announcer {
    /// Says that it serves, and from then on what is wrong, until it stops.
    pub(super) async fn run(mut self) {
        if !self.notifier.is_heard() {
            return;
        }
        let mut told = self.status();
        self.notifier.status(&told);
        self.notifier.ready();
        loop {
            tokio::select! {
                () = self.drain.stopping() => return,
                // Each probe sends, so that what time alone brings about shows as well.
                probed = self.health.changed() => if probed.is_err() { return },
                Ok(()) = self.reports.changed() => {}
            }
            let status = self.status();
            if status != told {
                self.notifier.status(&status);
                told = status;
            }
        }
    }

    fn status(&self) -> String {
        let mut parts = vec!["serving".to_owned()];
        parts.extend(reload_trouble(&self.reports.borrow()));
        parts.extend(overdue(&self.snapshots.borrow(), unix(UnixTime::now())));
        parts.extend(upstream_trouble(self.health.borrow().as_ref().map(|(health, _)| health)));
        parts.join("; ")
    }
}

fn reload_trouble(report: &Report) -> Vec<String> {
    let failing = report.problem.as_ref().filter(|problem| problem.told);
    let failing = failing.map(|problem| format!("reload failing: {}", problem.messages.join("; ")));
    let waiting = (!report.needs_restart.is_empty())
        .then(|| format!("restart to apply what has changed in {}", report.needs_restart.join(", ")));
    failing.into_iter().chain(waiting).collect()
}

/// What is past its time.
fn overdue(snapshot: &Snapshot, now: i64) -> Vec<String> {
    let certificates = snapshot.tls.certificates().iter();
    let expired = certificates.filter(|loaded| loaded.role == CertificateRole::Server && loaded.not_after < now);
    let crls = snapshot.crls().into_iter();
    let overdue = crls.filter(|crl| crl.next_update.is_some_and(|due| due < now));
    expired
        .map(|loaded| format!("own certificate expired: {}", loaded.subject))
        .chain(overdue.map(|crl| format!("CRL past its nextUpdate: {}", crl.path)))
        .collect()
}

fn upstream_trouble(health: Option<&Health>) -> Option<String> {
    let Some(health) = health else { return Some("ZooKeeper not asked yet".to_owned()) };
    let word = health.state.as_str().replace('_', " ");
    (!health.state.serves()).then(|| format!("ZooKeeper {word}: {}", health.detail))
}

/// Tells the service manager that it is alive as long as the task moves that accepts connections, until it stops.
pub(super) async fn feed(watchdog: Watchdog, pulse: Arc<Pulse>, notifier: Arc<Notifier>, drain: Drain) {
    let beats = async {
        loop {
            tokio::time::sleep(watchdog.interval()).await;
            pulse.beat().await;
            notifier.alive();
        }
    };
    tokio::select! {
        () = drain.stopping() => {}
        () = beats => {}
    }
}
