//! Who is connected: one entry per client certificate, however many connections it has, and whose each session is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::admission::ClientName;
use super::reminders::renewal_due;
use crate::identity::Identity;
use crate::metrics::LiveCertificate;

/// The certificates and sessions of the live connections that passed admission.
#[derive(Debug, Default)]
pub struct Roster {
    present: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    certificates: HashMap<Key, InUse>,
    /// The identity of each live session's newest connection, by session id.
    sessions: HashMap<i64, Arc<str>>,
}

/// The certificate's SHA-256, and who ZooKeeper is told it is: rules may change while it is in use.
type Key = (Arc<str>, Arc<str>);

#[derive(Debug)]
struct InUse {
    present: Present,
    /// When the certificate began to be valid, in Unix seconds.
    not_before: i64,
    /// Counted by its connections as requests pass.
    requests: Arc<AtomicU64>,
    /// When the path of each of its connections ends, in Unix seconds; they may have come by several.
    ends: Vec<Arc<AtomicI64>>,
}

/// A certificate in use.
#[derive(Clone, Debug)]
pub struct Present {
    /// Who ZooKeeper is told it is.
    pub identity: String,
    /// What the certificate says, before any mapping.
    pub name: String,
    /// The certificate's serial number in hexadecimal.
    pub serial: String,
    /// The certificate's SHA-256 in hexadecimal.
    pub sha256: String,
    /// When the first certificate of its path ends, in Unix seconds; where its connections have come by several paths,
    /// of the one that ends first.
    pub not_after: i64,
    /// TLS version of the newest of its connections.
    pub tls_version: &'static str,
    /// Live connections.
    pub connections: usize,
    /// How many of them have opened a session.
    pub sessions: usize,
    /// Requests of all its connections since it had none last.
    pub requests: u64,
}

/// A connection's place in the roster; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    roster: Arc<Roster>,
    sha256: Arc<str>,
    /// This connection's own allocation, which tells its session from one that has moved on.
    identity: Arc<str>,
    session: Option<i64>,
    requests: Arc<AtomicU64>,
    until: Arc<AtomicI64>,
}

impl Roster {
    /// Enters a connection of a client whose certificate says `name` and whose path holds `until` then, in Unix seconds.
    pub(crate) fn enter(self: &Arc<Self>, client: &ClientName, name: &Identity, until: Arc<AtomicI64>) -> Place {
        let identity: Arc<str> = client.identity.as_ref().map_or("", Identity::as_str).into();
        let key = (Arc::clone(&client.sha256), Arc::clone(&identity));
        let mut lists = self.lock();
        let in_use = lists.certificates.entry(key).or_insert_with(|| InUse {
            present: Present {
                identity: identity.to_string(),
                name: name.to_string(),
                serial: client.serial.to_string(),
                sha256: client.sha256.to_string(),
                not_after: i64::MAX,
                tls_version: client.tls_version,
                connections: 0,
                sessions: 0,
                requests: 0,
            },
            not_before: client.not_before,
            requests: Arc::default(),
            ends: Vec::new(),
        });
        in_use.present.tls_version = client.tls_version;
        in_use.ends.push(Arc::clone(&until));
        let requests = Arc::clone(&in_use.requests);
        drop(lists);
        let (roster, sha256) = (Arc::clone(self), Arc::clone(&client.sha256));
        Place { roster, sha256, identity, session: None, requests, until }
    }

    /// Everyone present, in no order.
    pub fn present(&self) -> Vec<Present> {
        self.lock().certificates.values().map(InUse::told).collect()
    }

    /// When each certificate in use ends, and from when on it should have been renewed where whoever uses it is named
    /// `warning` before its end; in no order.
    pub fn live(&self, warning: Option<Duration>) -> Vec<LiveCertificate> {
        let told = |in_use: &InUse| LiveCertificate {
            not_after: in_use.first_end(),
            renewal_due: renewal_due(in_use.not_before, in_use.first_end(), warning),
        };
        self.lock().certificates.values().map(told).collect()
    }

    /// Whose a session is, if it is live here.
    pub(crate) fn owner(&self, session_id: i64) -> Option<Arc<str>> {
        self.lock().sessions.get(&session_id).cloned()
    }

    /// A panic elsewhere can't leave the lists half-changed.
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InUse {
    fn told(&self) -> Present {
        Present {
            not_after: self.first_end(),
            connections: self.ends.len(),
            requests: self.requests.load(Ordering::Relaxed),
            ..self.present.clone()
        }
    }

    fn first_end(&self) -> i64 {
        self.ends.iter().map(|end| end.load(Ordering::Relaxed)).min().unwrap_or(i64::MAX)
    }

    fn leave(&mut self, until: &Arc<AtomicI64>) {
        if let Some(index) = self.ends.iter().position(|end| Arc::ptr_eq(end, until)) {
            self.ends.swap_remove(index);
        }
    }
}

impl Place {
    /// Notes the connection's session.
    pub(crate) fn opened(&mut self, session_id: i64) {
        self.session = Some(session_id);
        let mut lists = self.roster.lock();
        lists.sessions.insert(session_id, Arc::clone(&self.identity));
        if let Some(in_use) = lists.certificates.get_mut(&self.key()) {
            in_use.present.sessions += 1;
        }
    }

    fn key(&self) -> Key {
        (Arc::clone(&self.sha256), Arc::clone(&self.identity))
    }

    /// Where the connection's requests are counted.
    pub(crate) fn requests(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.requests)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lists = self.roster.lock();
        if let Entry::Occupied(mut entry) = lists.certificates.entry(self.key()) {
            let in_use = entry.get_mut();
            in_use.leave(&self.until);
            in_use.present.sessions -= usize::from(self.session.is_some());
            if in_use.ends.is_empty() {
                entry.remove();
            }
        }
        if let Some(Entry::Occupied(entry)) = self.session.map(|id| lists.sessions.entry(id))
            && Arc::ptr_eq(entry.get(), &self.identity)
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(sha256: &str) -> ClientName {
        ClientName {
            identity: None,
            subject: "CN=a".into(),
            serial: "01".into(),
            sha256: sha256.into(),
            tls_version: "TLSv1.3",
            tls_cipher: "",
            not_before: 0,
        }
    }

    fn enter(roster: &Arc<Roster>, sha256: &str) -> Place {
        enter_until(roster, sha256, &until(7))
    }

    fn enter_until(roster: &Arc<Roster>, sha256: &str, until: &Arc<AtomicI64>) -> Place {
        roster.enter(&client(sha256), &Identity::new("CN=a".to_owned()).unwrap(), Arc::clone(until))
    }

    fn until(seconds: i64) -> Arc<AtomicI64> {
        Arc::new(AtomicI64::new(seconds))
    }

    #[test]
    fn a_certificate_ends_as_the_path_of_its_live_connections_that_ends_first() {
        let roster = Arc::new(Roster::default());
        let told = || {
            let told: Vec<_> = roster.present().iter().map(|present| present.not_after).collect();
            let live: Vec<_> = roster.live(None).iter().map(|live| live.not_after).collect();
            assert_eq!(live, told, "metrics tell the same");
            told
        };
        for order in [[14, 5_000], [5_000, 14]] {
            let [short, long] = [until(14), until(5_000)];
            let of = |seconds| if seconds == 14 { &short } else { &long };
            let mut places = order.map(|seconds| Some(enter_until(&roster, "aa", of(seconds))));
            let again = enter_until(&roster, "aa", &short);
            assert_eq!(told(), [14], "{order:?}");
            places[order.iter().position(|&seconds| seconds == 14).unwrap()] = None;
            assert_eq!(told(), [14], "{order:?}: another connection by that path is live");
            drop(again);
            assert_eq!(told(), [5_000], "{order:?}");
            long.store(9_000, Ordering::Relaxed);
            assert_eq!(told(), [9_000], "{order:?}: a snapshot has changed it");
            drop(places);
            assert!(told().is_empty());
        }
    }

    #[test]
    fn a_certificate_is_present_as_long_as_one_of_its_connections() {
        let roster = Arc::new(Roster::default());
        let (first, second) = (enter(&roster, "aa"), enter(&roster, "aa"));
        let other = enter(&roster, "bb");
        assert_eq!(roster.present().len(), 2);
        drop(first);
        assert_eq!(roster.present().iter().map(|present| present.connections).sum::<usize>(), 2);
        drop((second, other));
        assert!(roster.present().is_empty());
    }

    #[test]
    fn sessions_and_requests_are_those_of_all_connections_of_a_certificate() {
        let roster = Arc::new(Roster::default());
        let (mut first, mut second) = (enter(&roster, "aa"), enter(&roster, "aa"));
        first.opened(7);
        second.opened(8);
        first.requests().fetch_add(2, Ordering::Relaxed);
        second.requests().fetch_add(3, Ordering::Relaxed);
        let told = || roster.present().iter().map(|p| (p.sessions, p.requests)).collect::<Vec<_>>();
        assert_eq!(told(), [(2, 5)]);
        drop(first);
        assert_eq!(told(), [(1, 5)]);
        drop((second, enter(&roster, "aa")));
        let _again = enter(&roster, "aa");
        assert_eq!(told(), [(0, 0)]);
    }

    #[test]
    fn a_certificate_that_becomes_somebody_else_is_told_as_both() {
        let roster = Arc::new(Roster::default());
        let name = Identity::new("CN=a".to_owned()).unwrap();
        let [before, after] = ["old", "new"].map(|identity| {
            let identity = Some(Identity::new(identity.to_owned()).unwrap());
            roster.enter(&ClientName { identity, ..client("aa") }, &name, until(7))
        });
        let told = || {
            let mut told: Vec<_> = roster.present().iter().map(|p| (p.identity.clone(), p.connections)).collect();
            told.sort();
            told
        };
        assert_eq!(told(), [("new".to_owned(), 1), ("old".to_owned(), 1)]);
        drop(before);
        assert_eq!(told(), [("new".to_owned(), 1)]);
        drop(after);
        assert_eq!(told(), []);
    }

    #[test]
    fn a_session_that_moved_to_another_connection_stays_when_the_first_one_ends() {
        let roster = Arc::new(Roster::default());
        let (mut first, mut second) = (enter(&roster, "aa"), enter(&roster, "aa"));
        first.opened(7);
        second.opened(7);
        drop(first);
        assert!(roster.owner(7).is_some());
        drop(second);
        assert!(roster.owner(7).is_none());
    }
}
