//! Who is connected: one entry per client certificate, however many connections it has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::admission::ClientName;

/// The certificates of the live connections that passed admission.
#[derive(Debug, Default)]
pub struct Roster {
    entries: Mutex<HashMap<String, Present>>,
}

/// A certificate in use.
#[derive(Clone, Debug)]
pub struct Present {
    /// Who ZooKeeper is told it is.
    pub identity: String,
    /// The certificate's serial number in hexadecimal.
    pub serial: String,
    /// The certificate's SHA-256 in hexadecimal.
    pub sha256: String,
    /// When the first certificate of its path ends, in Unix seconds.
    pub not_after: i64,
    /// TLS version of the newest of its connections.
    pub tls_version: &'static str,
    /// Live connections.
    pub connections: usize,
}

/// A connection's place in the roster; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    roster: Arc<Roster>,
    sha256: String,
}

impl Roster {
    /// Enters a connection.
    pub(crate) fn enter(self: &Arc<Self>, client: &ClientName) -> Place {
        let place = Place { roster: Arc::clone(self), sha256: client.sha256.clone() };
        let mut entries = self.lock();
        let present = entries.entry(client.sha256.clone()).or_insert_with(|| Present {
            identity: client.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
            serial: client.serial.clone(),
            sha256: client.sha256.clone(),
            not_after: client.not_after,
            tls_version: client.tls_version,
            connections: 0,
        });
        present.tls_version = client.tls_version;
        present.connections += 1;
        drop(entries);
        place
    }

    /// Everyone present, in no order.
    pub fn present(&self) -> Vec<Present> {
        self.lock().values().cloned().collect()
    }

    /// A panic elsewhere can't leave the map half-changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Present>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.roster.lock().entry(std::mem::take(&mut self.sha256)) {
            entry.get_mut().connections -= 1;
            if entry.get().connections == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(sha256: &str) -> ClientName {
        ClientName {
            identity: None,
            subject: "CN=a".to_owned(),
            serial: "01".to_owned(),
            sha256: sha256.to_owned(),
            tls_version: "TLSv1.3",
            tls_cipher: String::new(),
            not_after: 7,
        }
    }

    #[test]
    fn a_certificate_is_present_as_long_as_one_of_its_connections() {
        let roster = Arc::new(Roster::default());
        let (first, second) = (roster.enter(&client("aa")), roster.enter(&client("aa")));
        let other = roster.enter(&client("bb"));
        assert_eq!(roster.present().len(), 2);
        drop(first);
        assert_eq!(roster.present().iter().map(|present| present.connections).sum::<usize>(), 2);
        drop((second, other));
        assert!(roster.present().is_empty());
    }
}
