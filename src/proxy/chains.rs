//! Which certificate chains have live connections, so that authority ends when it ends: each distinct chain is judged
//! again on every new snapshot, and once at its notAfter, however many connections it has.

mod verdict;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{error, info};

use self::verdict::{Findings, Verdict};
use super::reminders::{InUse, Reminders, seconds};
use crate::metrics::{Metrics, RevalidationResult, RevalidationTrigger};
use crate::reason::Ending;
use crate::rfc3339::{unix, utc};
use crate::secret::Secret;
use crate::snapshot::{Authority, Renewal, Snapshot};
use crate::tls::verifier::VerifiedChain;

/// The longest time between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(30);

/// The shortest time between two looks at chains whose time has come.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked whose certificate ends soon, and which CRL is overdue.
const REMIND: Duration = Duration::from_secs(60);

/// How the authority of live connections is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revalidation {
    /// Whether connections are closed, or it is only told that they would be.
    pub enforce: bool,
    /// How long before its certificate's notAfter a connection ends.
    pub margin: Duration,
    /// How long before its certificate's notAfter a connected client is named in the log, if at all.
    pub warning: Option<Duration>,
}

/// The chains of live connections.
#[derive(Debug)]
pub(crate) struct Chains {
    rules: Revalidation,
    live: Mutex<HashMap<Key, Live>>,
    next: AtomicU64,
    added: Notify,
    /// When chains are judged next at the latest, in Unix seconds; written while `live` is locked. A chain whose time comes
    /// later wakes nobody: in a storm, a search for the first among all at each of thousands would cost their square.
    planned: AtomicI64,
    reminders: Reminders,
    clock: fn() -> UnixTime,
}

/// A SHA-256 of the chain and of who its bearer is.
type Key = [u8; 32];

#[derive(Debug)]
struct Live {
    /// Tells this entry from a later one of the same chain.
    number: u64,
    chain: Arc<[CertificateDer<'static>]>,
    bearer: InUse,
    authority: Authority,
    /// How long before its end its connections end, in seconds. Nothing for who came later than that: it has nothing
    /// better, and closed again and again it would do its work no more than after the end.
    margin: i64,
    /// When it is to be judged without a new snapshot, in Unix seconds.
    look: i64,
    connections: usize,
    over: watch::Sender<Option<Ending>>,
    /// The bearer's `not_after`, for whoever tells of its connections.
    until: Arc<AtomicI64>,
}

impl Live {
    /// The last second in which its connections may live.
    fn last(&self) -> i64 {
        self.bearer.not_after.saturating_sub(self.margin)
    }

    /// Notes when the first certificate of its path ends, which another snapshot may have changed.
    fn ends_at(&mut self, not_after: i64) {
        self.bearer.not_after = not_after;
        self.until.store(not_after, Ordering::Relaxed);
        self.look_at_the_end();
    }

    /// Whether the authority of its connections has ended.
    fn is_over(&self) -> bool {
        self.over.borrow().is_some_and(|ending| ending != Ending::SecretRotated)
    }

    /// Tells its connections to come back, or that they need not any more; whether that is news to them.
    fn come_back(&self, wanted: bool) -> bool {
        self.over.send_if_modified(|over| {
            let news = match over {
                None => wanted,
                Some(ending) => *ending == Ending::SecretRotated && !wanted,
            };
            if news {
                *over = wanted.then_some(Ending::SecretRotated);
            }
            news
        })
    }

    /// Sets the time to judge it to its end.
    fn look_at_the_end(&mut self) {
        self.look = self.last().saturating_add(1);
    }
}

/// A connection's share in a chain; dropping it gives the share back.
#[derive(Debug)]
pub(crate) struct Share {
    chains: Arc<Chains>,
    key: Key,
    number: u64,
    over: watch::Receiver<Option<Ending>>,
    until: Arc<AtomicI64>,
}

impl Share {
    /// When the first certificate of the connection's path ends, in Unix seconds, as it was judged last.
    pub(crate) fn until(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.until)
    }

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
        Self {
            rules,
            live: Mutex::default(),
            next: AtomicU64::new(0),
            added: Notify::new(),
            planned: AtomicI64::new(i64::MAX),
            reminders: Reminders::new(rules.warning),
            clock: UnixTime::now,
        }
    }

    /// Enters a connection of a chain that was verified.
    pub(crate) fn enter(
        self: &Arc<Self>,
        chain: &[CertificateDer<'static>],
        authority: &Authority,
        verified: &VerifiedChain,
    ) -> Share {
        let (key, now) = (key(chain, authority), self.now());
        let bearer = InUse {
            identity: authority.identity.clone(),
            serial: Arc::clone(&verified.serial),
            not_before: verified.leaf_not_before,
            not_after: verified.not_after,
        };
        let expiring = self.reminders.is_soon(&bearer, now).then(|| bearer.clone());
        let mut live = self.lock();
        let entry = match live.entry(key) {
            Entry::Occupied(mut entry) => {
                if entry.get().is_over() {
                    // Those connections are about to end; this one was judged later than they.
                    entry.insert(self.fresh(chain, (bearer, authority.clone()), now));
                }
                entry.into_mut()
            }
            Entry::Vacant(entry) => entry.insert(self.fresh(chain, (bearer, authority.clone()), now)),
        };
        entry.connections += 1;
        let connections = entry.connections;
        let is_urgent = connections == 1 && entry.look < self.planned.load(Ordering::Relaxed);
        let (number, over, until) = (entry.number, entry.over.subscribe(), Arc::clone(&entry.until));
        let share = Share { chains: Arc::clone(self), key, number, over, until };
        drop(live);
        if is_urgent {
            self.added.notify_one();
        }
        if let Some(expiring) = expiring {
            self.reminders.remind(&expiring, connections, now);
        }
        share
    }

    fn fresh(&self, chain: &[CertificateDer<'static>], (bearer, authority): (InUse, Authority), now: i64) -> Live {
        let margin = seconds(self.rules.margin);
        let margin = if bearer.not_after.saturating_sub(now) > margin { margin } else { 0 };
        let until = Arc::new(AtomicI64::new(bearer.not_after));
        let mut live = Live {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            chain: chain.into(),
            bearer,
            authority,
            margin,
            look: 0,
            connections: 0,
            over: watch::Sender::new(None),
            until,
        };
        live.look_at_the_end();
        live
    }

    /// Has a connection's chain judged at once.
    pub(crate) fn look_again(&self, share: &Share) {
        if let Some(live) = self.lock().get_mut(&share.key).filter(|live| live.number == share.number) {
            live.look = i64::MIN;
        }
        self.added.notify_one();
    }

    /// Judges chains as long as the program runs: all on a new snapshot, each when its time comes.
    pub(crate) async fn watch(self: Arc<Self>, mut snapshots: watch::Receiver<Arc<Snapshot>>, metrics: Arc<Metrics>) {
        let (mut looked, mut reminded) = (Instant::now(), Instant::now());
        let mut replaced = true;
        loop {
            // From the last look on, not from now on: chains that keep coming must not put it off for ever.
            let next = (Instant::now() + self.next_look()).min(looked + LOOK).max(looked + PAUSE);
            let trigger = tokio::select! {
                changed = snapshots.changed(), if replaced => match changed {
                    Ok(()) => RevalidationTrigger::Reload,
                    Err(_) => {
                        // Certificates end also where nothing is reloaded any more.
                        replaced = false;
                        continue;
                    }
                },
                () = tokio::time::sleep_until(next) => RevalidationTrigger::Expiry,
                () = self.added.notified() => continue,
            };
            looked = Instant::now();
            let remind = reminded.elapsed() >= REMIND;
            if remind {
                reminded = looked;
            }
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let (chains, metrics) = (Arc::clone(&self), Arc::clone(&metrics));
            // Thousands of signatures are not to be verified on a thread that moves clients' bytes.
            let judged = tokio::task::spawn_blocking(move || {
                chains.judge(&snapshot, trigger, &metrics);
                if remind {
                    chains.remind();
                    chains.reminders.overdue_crls(&snapshot, chains.now());
                }
            });
            if let Err(defect) = judged.await {
                error!(%defect, "judging live connections has failed by a defect; it goes on");
            }
        }
    }

    /// How long until a chain's time comes.
    fn next_look(&self) -> Duration {
        let live = self.lock();
        let first = live.values().map(|live| live.look).min().unwrap_or(i64::MAX);
        let now = self.now();
        self.planned.store(first.min(now.saturating_add(seconds(LOOK))), Ordering::Relaxed);
        drop(live);
        // Not to overflow the clock that it is added to.
        Duration::from_secs(u64::try_from(first.saturating_sub(now)).unwrap_or(0)).min(LOOK)
    }

    /// Judges every chain, or those whose time has come.
    fn judge(&self, snapshot: &Snapshot, trigger: RevalidationTrigger, metrics: &Metrics) {
        let (at, now) = ((self.clock)(), self.now());
        let all = trigger == RevalidationTrigger::Reload;
        let candidates: Vec<_> = {
            let live = self.lock();
            let due = live.iter().filter(|(_, live)| all || live.look <= now);
            due.map(|(key, live)| (*key, live.number, Arc::clone(&live.chain), live.authority.clone())).collect()
        };
        let mut findings = Findings::default();
        for (key, number, chain, authority) in candidates {
            let mut verdict = Verdict::of(snapshot, &chain, &authority, at);
            let overdue = match &mut verdict {
                Verdict::Holds { overdue, .. } => overdue.take(),
                Verdict::Ends(..) => None,
            };
            let Some((result, connections, renewal)) = self.conclude((key, number), verdict, now) else { continue };
            metrics.revalidated(trigger, result, connections);
            findings.note(connections, overdue, renewal);
        }
        findings.tell(self.rules.enforce);
    }

    /// Draws the consequences for a chain's connections, if it still has any and they have not been told already; says
    /// what came of it, for how many, and what a change of the secrets means to them.
    fn conclude(&self, entry: (Key, u64), verdict: Verdict, now: i64) -> Option<(RevalidationResult, usize, Renewal)> {
        let mut lists = self.lock();
        let live = lists.get_mut(&entry.0).filter(|live| live.number == entry.1 && !live.is_over())?;
        let enforce = self.rules.enforce;
        let result = if enforce { RevalidationResult::Closed } else { RevalidationResult::Observed };
        let (ending, detail) = match verdict {
            Verdict::Holds { not_after, renewal, .. } => {
                live.ends_at(not_after);
                if now <= live.last() {
                    let is_due = renewal == Renewal::Due;
                    let is_news = live.come_back(is_due && enforce);
                    let result = if is_due { result } else { RevalidationResult::Kept };
                    return (is_news || !is_due || !enforce).then_some((result, live.connections, renewal));
                }
                (Ending::CertificateExpired, format!("it ends at {}, and tls.expiry_margin is over", utc(not_after)))
            }
            Verdict::Ends(ending, detail) => (ending, detail),
        };
        info!(
            identity = live.bearer.identity.as_str(),
            serial = &*live.bearer.serial,
            connections = live.connections,
            reason = ending.as_str(),
            detail,
            result = result.as_str(),
            "the authority of live connections has ended"
        );
        live.look_at_the_end();
        if enforce {
            live.over.send_replace(Some(ending));
        }
        if enforce || live.look <= now {
            // Not again for its time alone.
            live.look = i64::MAX;
        }
        Some((result, live.connections, Renewal::Needless))
    }

    /// Names those in the log whose certificate ends soon.
    fn remind(&self) {
        let now = self.now();
        let mut soon: Vec<_> = {
            let lists = self.lock();
            let soon = lists.values().filter(|live| self.reminders.is_soon(&live.bearer, now));
            soon.map(|live| (live.bearer.clone(), live.connections)).collect()
        };
        // Of several certificates of an identity, the first to end is named.
        soon.sort_by_key(|(bearer, _)| bearer.not_after);
        for (bearer, connections) in soon {
            self.reminders.remind(&bearer, connections, now);
        }
    }

    fn now(&self) -> i64 {
        unix((self.clock)())
    }

    /// A panic elsewhere can't leave the map half-changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(chain: &[CertificateDer<'_>], authority: &Authority) -> Key {
    let names = std::iter::once(&authority.identity).chain(&authority.old_names).map(|name| name.as_str().as_bytes());
    let parts = chain.iter().map(|certificate| certificate.as_ref()).chain(names);
    let mut digest = Context::new(&SHA256);
    let secrets = authority.secrets.iter().flat_map(|secrets| secrets.iter()).map(Secret::expose);
    digest.update(&[authority.superuser.into()]);
    for part in parts.chain(secrets) {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(digest.finish().as_ref());
    key
}

#[cfg(test)]
mod tests;
