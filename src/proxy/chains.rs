//! Which certificate chains have live connections, so that authority ends when it ends: each distinct chain is judged
//! again on every new snapshot, and once at its notAfter, however many connections it has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::{Notify, watch};
use tracing::info;

use crate::identity::Identity;
use crate::metrics::{Metrics, RevalidationResult, RevalidationTrigger};
use crate::reason::{Ending, Refusal};
use crate::snapshot::Snapshot;

/// The longest time between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(30);

/// How the authority of live connections is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revalidation {
    /// Whether connections are closed, or it is only told that they would be.
    pub enforce: bool,
    /// How long before its certificate's notAfter a connection ends.
    pub margin: Duration,
}

/// The chains of live connections.
#[derive(Debug)]
pub(crate) struct Chains {
    rules: Revalidation,
    live: Mutex<HashMap<Key, Live>>,
    next: AtomicU64,
    added: Notify,
}

/// A SHA-256 of the chain and of who its bearer is.
type Key = [u8; 32];

#[derive(Debug)]
struct Live {
    /// Tells this entry from a later one of the same chain.
    number: u64,
    chain: Arc<[CertificateDer<'static>]>,
    identity: Identity,
    /// Unix seconds; when it is to be looked at again without a new snapshot.
    until: i64,
    connections: usize,
    over: watch::Sender<Option<Ending>>,
}

/// A connection's share in a chain; dropping it gives the share back.
#[derive(Debug)]
pub(crate) struct Share {
    chains: Arc<Chains>,
    key: Key,
    number: u64,
    over: watch::Receiver<Option<Ending>>,
}

impl Share {
    /// Why the connection must end, once it must.
    pub(crate) fn over(&self) -> watch::Receiver<Option<Ending>> {
        self.over.clone()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut live = self.chains.lock();
        if let Entry::Occupied(mut entry) = live.entry(self.key)
            && entry.get().number == self.number
        {
            entry.get_mut().connections -= 1;
            if entry.get().connections == 0 {
                entry.remove();
            }
        }
    }
}

impl Chains {
    pub(crate) fn new(rules: Revalidation) -> Self {
        Self { rules, live: Mutex::default(), next: AtomicU64::new(0), added: Notify::new() }
    }

    /// Enters a connection of a chain that is valid until `until`, in Unix seconds.
    pub(crate) fn enter(self: &Arc<Self>, chain: &[CertificateDer<'static>], identity: &Identity, until: i64) -> Share {
        let key = key(chain, identity);
        let fresh = || Live {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            chain: chain.into(),
            identity: identity.clone(),
            until,
            connections: 0,
            over: watch::Sender::new(None),
        };
        let mut live = self.lock();
        let entry = live.entry(key).or_insert_with(fresh);
        if entry.over.borrow().is_some() {
            // Those connections are about to end; this one was judged later than they.
            *entry = fresh();
        }
        entry.connections += 1;
        let first = entry.connections == 1;
        let share = Share { chains: Arc::clone(self), key, number: entry.number, over: entry.over.subscribe() };
        drop(live);
        if first {
            self.added.notify_one();
        }
        share
    }

    /// Has a connection's chain judged at once.
    pub(crate) fn look_again(&self, share: &Share) {
        if let Some(live) = self.lock().get_mut(&share.key).filter(|live| live.number == share.number) {
            live.until = i64::MIN;
        }
        self.added.notify_one();
    }

    /// Judges chains as long as the program runs: all on a new snapshot, each when its time comes.
    pub(crate) async fn watch(self: Arc<Self>, mut snapshots: watch::Receiver<Arc<Snapshot>>, metrics: Arc<Metrics>) {
        loop {
            let trigger = tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => RevalidationTrigger::Reload,
                    Err(_) => return,
                },
                () = tokio::time::sleep(self.next_look()) => RevalidationTrigger::Expiry,
                () = self.added.notified() => continue,
            };
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let (chains, metrics) = (Arc::clone(&self), Arc::clone(&metrics));
            // Thousands of signatures are not to be verified on a thread that moves clients' bytes.
            let judged = tokio::task::spawn_blocking(move || chains.judge(&snapshot, trigger, &metrics));
            if judged.await.is_err() {
                return;
            }
        }
    }

    fn next_look(&self) -> Duration {
        let now = unix(UnixTime::now());
        let first = self.lock().values().map(|live| live.until).min().unwrap_or(i64::MAX);
        let left = first.saturating_sub(now).saturating_sub(self.margin());
        Duration::from_secs(u64::try_from(left).unwrap_or(0)).clamp(Duration::from_secs(1), LOOK)
    }

    /// Judges every chain, or those whose time has come.
    fn judge(&self, snapshot: &Snapshot, trigger: RevalidationTrigger, metrics: &Metrics) {
        let now = UnixTime::now();
        let due = unix(now).saturating_add(self.margin());
        let all = trigger == RevalidationTrigger::Reload;
        let candidates: Vec<_> = {
            let live = self.lock();
            let due = live.iter().filter(|(_, live)| all || live.until <= due);
            due.map(|(key, live)| (*key, live.number, Arc::clone(&live.chain), live.identity.clone())).collect()
        };
        for (key, number, chain, identity) in candidates {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + self.rules.margin);
            let verdict = verdict(snapshot, &chain, &identity, at);
            if let Some((result, connections)) = self.conclude((key, number), verdict) {
                metrics.revalidated(trigger, result, connections);
            }
        }
    }

    /// Draws the consequences for a chain's connections, if it still has any; says what came of it, and for how many.
    fn conclude(
        &self,
        entry: (Key, u64),
        verdict: Result<i64, (Ending, String)>,
    ) -> Option<(RevalidationResult, usize)> {
        let mut lists = self.lock();
        let live = lists.get_mut(&entry.0).filter(|live| live.number == entry.1)?;
        let result = match verdict {
            Ok(until) => {
                live.until = until;
                RevalidationResult::Kept
            }
            Err((ending, detail)) => {
                // Not looked at again for its time alone.
                live.until = i64::MAX;
                let result = if self.rules.enforce { RevalidationResult::Closed } else { RevalidationResult::Observed };
                info!(
                    identity = live.identity.as_str(),
                    connections = live.connections,
                    reason = ending.as_str(),
                    detail,
                    result = result.as_str(),
                    "the authority of live connections has ended"
                );
                if self.rules.enforce {
                    live.over.send_replace(Some(ending));
                }
                result
            }
        };
        Some((result, live.connections))
    }

    fn margin(&self) -> i64 {
        i64::try_from(self.rules.margin.as_secs()).unwrap_or(i64::MAX)
    }

    /// A panic elsewhere can't leave the map half-changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until when a chain holds, in Unix seconds; or why its bearer would not be let in as who it is.
fn verdict(
    snapshot: &Snapshot,
    chain: &[CertificateDer<'_>],
    identity: &Identity,
    at: UnixTime,
) -> Result<i64, (Ending, String)> {
    let verified = snapshot.tls.verifier().verify(chain, at).map_err(|error| {
        let ending = match error.refusal {
            Refusal::Expired | Refusal::NotYetValid => Ending::CertificateExpired,
            Refusal::Revoked | Refusal::RevocationUnknown => Ending::CertificateRevoked,
            _ => Ending::NoLongerTrusted,
        };
        (ending, error.to_string())
    })?;
    match snapshot.identify(chain, &verified.anchor).verdict {
        Ok(admitted) if admitted.identity == *identity => Ok(verified.not_after),
        Ok(admitted) => Err((Ending::NoLongerAdmitted, format!("it is now {}", admitted.identity))),
        Err(refused) => Err((Ending::NoLongerAdmitted, refused.to_string())),
    }
}

fn key(chain: &[CertificateDer<'_>], identity: &Identity) -> Key {
    let mut digest = Context::new(&SHA256);
    for part in chain.iter().map(|certificate| certificate.as_ref()).chain([identity.as_str().as_bytes()]) {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(digest.finish().as_ref());
    key
}

fn unix(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
