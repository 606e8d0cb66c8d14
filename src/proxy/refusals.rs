//! Who was not let in lately, or was sent away: the last few of them, for `/status`.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls_pki_types::UnixTime;

use super::admission::ClientName;
use super::record::Closed;
use super::source::Source;
use crate::reason::{CloseReason, Ending};
use crate::rfc3339::unix;

/// How many are remembered.
const MAX_REFUSALS: usize = 500;

/// How many of one reason and source are remembered: some clients of one host.
const MAX_OF_SOURCE: usize = 5;

/// The most bytes of a text that are remembered; a client chooses some of them.
const MAX_TEXT: usize = 512;

/// The clients that were refused last. A client that tries again and again takes one place, and nobody drives out
/// others: of one reason and source only a few are remembered, and where there is no place left, the oldest one of the
/// commonest reason goes. What strangers can be refused for does not drive out what only known certificates are.
#[derive(Debug, Default)]
pub struct Refusals {
    /// The oldest first.
    recent: Mutex<VecDeque<RefusedClient>>,
}

/// A client that was not let in, or was sent away later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedClient {
    /// When it was refused last, in Unix seconds.
    pub at: i64,
    /// How often it was refused so, since it is remembered.
    pub times: u64,
    /// Where it came from last.
    pub peer: SocketAddr,
    /// Why.
    pub reason: CloseReason,
    /// The same in a sentence, of the last time.
    pub detail: Option<String>,
    /// Its certificate's subject, if it showed one that could be read.
    pub subject: Option<String>,
    /// Its certificate's serial number in hexadecimal, likewise.
    pub serial: Option<String>,
    /// Who it is, if that was found out.
    pub identity: Option<String>,
}

impl Refusals {
    /// Those that are remembered, the last one first.
    pub fn recent(&self) -> Vec<RefusedClient> {
        self.lock().iter().rev().cloned().collect()
    }

    /// Remembers a connection's end, if the client was refused by it.
    pub(crate) fn note(&self, peer: SocketAddr, closed: &Closed, client: Option<&ClientName>) {
        if !is_refusal(closed.reason) {
            return;
        }
        let (subject, serial) = match (&closed.certificate, client) {
            (Some((subject, serial)), _) => (Some(&**subject), Some(&**serial)),
            (None, Some(client)) => (Some(&*client.subject), Some(&*client.serial)),
            (None, None) => (None, None),
        };
        let refused = RefusedClient {
            at: unix(UnixTime::now()),
            times: 1,
            peer,
            reason: closed.reason,
            detail: closed.detail.as_deref().map(shortened),
            subject: subject.map(shortened),
            serial: serial.map(shortened),
            identity: client.and_then(|client| client.identity.as_ref()).map(|identity| shortened(identity.as_str())),
        };
        self.remember(refused);
    }

    fn remember(&self, mut refused: RefusedClient) {
        let mut recent = self.lock();
        if let Some(before) = recent.iter().position(|before| before.is_again(&refused)).and_then(|i| recent.remove(i))
        {
            refused.times = before.times.saturating_add(1);
        }
        let mut of_source = recent.iter().enumerate().filter(|(_, other)| other.is_beside(&refused)).map(|(i, _)| i);
        let (oldest, count) = (of_source.next(), of_source.count() + 1);
        if oldest.is_some() && count >= MAX_OF_SOURCE {
            oldest.and_then(|oldest| recent.remove(oldest));
        } else if recent.len() >= MAX_REFUSALS {
            let oldest = oldest_of_commonest(&recent);
            recent.remove(oldest);
        }
        recent.push_back(refused);
    }

    /// A panic elsewhere can't leave the list half-changed.
    fn lock(&self) -> MutexGuard<'_, VecDeque<RefusedClient>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefusedClient {
    /// Whether it was refused for the same reason, and comes from the same source.
    fn is_beside(&self, other: &Self) -> bool {
        self.reason == other.reason && Source::of(self.peer.ip()) == Source::of(other.peer.ip())
    }

    fn is_again(&self, other: &Self) -> bool {
        let address = |client: &Self| -> IpAddr { client.peer.ip() };
        address(self) == address(other)
            && self.reason == other.reason
            && self.subject == other.subject
            && self.serial == other.serial
    }
}

fn oldest_of_commonest(refusals: &VecDeque<RefusedClient>) -> usize {
    let mut counts = HashMap::new();
    for refused in refusals {
        *counts.entry(refused.reason).or_insert(0_usize) += 1;
    }
    let most = counts.values().copied().max().unwrap_or_default();
    refusals.iter().position(|refused| counts[&refused.reason] == most).unwrap_or_default()
}

/// Whether zoogate, not the client or ZooKeeper, has ended the connection because of who the client is or what it did.
fn is_refusal(reason: CloseReason) -> bool {
    match reason {
        CloseReason::Refused(_) => true,
        CloseReason::Probe => false,
        CloseReason::Ended(ending) => matches!(
            ending,
            Ending::SessionRefused
                | Ending::AuthFailed
                | Ending::ForbiddenOpcode
                | Ending::ReservedXid
                | Ending::ReservedUser
                | Ending::ClientAuthRefused
                | Ending::CertificateExpired
                | Ending::CertificateRevoked
                | Ending::NoLongerTrusted
                | Ending::NoLongerAdmitted
        ),
    }
}

fn shortened(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Refusal;

    fn refused(peer: &str, subject: Option<&str>) -> (SocketAddr, Closed) {
        let certificate = subject.map(|subject| (subject.to_owned(), "01".to_owned()));
        let reason = CloseReason::Refused(Refusal::Expired);
        (peer.parse().unwrap(), Closed { reason, detail: Some("why".to_owned()), quiet: false, certificate })
    }

    fn note(refusals: &Refusals, peer: &str, subject: Option<&str>) {
        let (peer, closed) = refused(peer, subject);
        refusals.note(peer, &closed, None);
    }

    #[test]
    fn a_client_that_tries_again_takes_one_place_and_comes_first() {
        let refusals = Refusals::default();
        note(&refusals, "10.0.0.1:1", Some("CN=a"));
        note(&refusals, "10.0.0.2:1", Some("CN=b"));
        note(&refusals, "10.0.0.1:2", Some("CN=a"));
        let told: Vec<_> = refusals.recent().iter().map(|r| (r.peer.to_string(), r.subject.clone(), r.times)).collect();
        let expected = [("10.0.0.1:2", "CN=a", 2), ("10.0.0.2:1", "CN=b", 1)];
        assert_eq!(told, expected.map(|(peer, subject, times)| (peer.to_owned(), Some(subject.to_owned()), times)));
    }

    #[test]
    fn neither_their_number_nor_their_texts_grow_without_end() {
        let refusals = Refusals::default();
        for n in 0..1000 {
            note(&refusals, &format!("10.0.{}.{}:1", n / 256, n % 256), Some(&format!("CN={n}{}", "é".repeat(10_000))));
        }
        let recent = refusals.recent();
        assert_eq!(recent.len(), MAX_REFUSALS);
        assert!(recent[0].subject.as_ref().unwrap().starts_with("CN=999"), "the last one is first");
        assert!(recent.iter().all(|r| r.subject.as_ref().unwrap().len() <= MAX_TEXT + '…'.len_utf8()));
    }

    #[test]
    fn one_source_drives_out_nobody_but_itself() {
        let refusals = Refusals::default();
        note(&refusals, "10.0.0.2:1", Some("CN=b"));
        for n in 0..1000 {
            note(&refusals, "10.0.0.1:1", Some(&format!("CN={n}")));
            note(&refusals, &format!("[2001:db8::{n:x}]:1"), None);
        }
        let recent = refusals.recent();
        let of = |part: &str| recent.iter().filter(|refused| refused.peer.to_string().contains(part)).count();
        assert_eq!((of("10.0.0.2"), of("10.0.0.1"), of("2001:db8")), (1, MAX_OF_SOURCE, MAX_OF_SOURCE));
        assert!(recent[1].subject.as_deref() == Some("CN=999"), "the last ones are remembered");
    }

    #[test]
    fn many_sources_drive_out_nobody_who_was_refused_for_something_rarer() {
        let refusals = Refusals::default();
        let refuse = |peer: &str, refusal| {
            let reason = CloseReason::Refused(refusal);
            refusals.note(
                peer.parse().unwrap(),
                &Closed { reason, detail: None, quiet: false, certificate: None },
                None,
            );
        };
        refuse("10.9.9.9:1", Refusal::Revoked);
        for n in 0..5000 {
            let peer = format!("10.0.{}.{}:1", n / 256, n % 256);
            refuse(&peer, [Refusal::NoCertificate, Refusal::UnknownCa, Refusal::Plaintext][n % 3]);
        }
        let recent = refusals.recent();
        assert_eq!(recent.len(), MAX_REFUSALS);
        assert_eq!(recent.iter().filter(|refused| refused.reason.as_str() == "revoked").count(), 1);
        let commonest = recent.iter().filter(|refused| refused.reason.as_str() == "plaintext").count();
        assert!((MAX_REFUSALS / 3 - 1..=MAX_REFUSALS / 3 + 1).contains(&commonest), "{commonest}");
    }

    #[test]
    fn who_is_refused_for_another_reason_or_by_another_certificate_takes_another_place() {
        let refusals = Refusals::default();
        let peer = "10.0.0.1:1".parse().unwrap();
        let told = [
            (CloseReason::Refused(Refusal::Expired), "01"),
            (CloseReason::Refused(Refusal::UnknownCa), "01"),
            (CloseReason::Ended(Ending::CertificateExpired), "01"),
            (CloseReason::Refused(Refusal::Expired), "02"),
        ];
        for (reason, serial) in told {
            let certificate = Some(("CN=a".to_owned(), serial.to_owned()));
            refusals.note(peer, &Closed { reason, detail: None, quiet: false, certificate }, None);
        }
        let recent: Vec<_> = refusals.recent().into_iter().rev().map(|r| (r.reason, r.serial.unwrap())).collect();
        assert_eq!(recent, told.map(|(reason, serial)| (reason, serial.to_owned())));
        assert!(refusals.recent().iter().all(|r| r.times == 1));
    }

    #[test]
    fn whoever_is_sent_away_for_what_it_is_or_did_is_refused() {
        let sent_away = [
            Ending::SessionRefused,
            Ending::AuthFailed,
            Ending::ForbiddenOpcode,
            Ending::ReservedXid,
            Ending::ReservedUser,
            Ending::ClientAuthRefused,
            Ending::CertificateExpired,
            Ending::CertificateRevoked,
            Ending::NoLongerTrusted,
            Ending::NoLongerAdmitted,
        ];
        for &ending in Ending::ALL {
            let refusals = Refusals::default();
            refusals.note("10.0.0.1:1".parse().unwrap(), &Closed::ended(ending), None);
            let told: Vec<_> = refusals.recent().iter().map(|r| r.reason).collect();
            let expected = sent_away.contains(&ending).then_some(CloseReason::Ended(ending));
            assert_eq!(told, Vec::from_iter(expected), "{ending:?}");
        }
    }

    #[test]
    fn who_merely_left_is_not_refused() {
        let refusals = Refusals::default();
        for reason in [CloseReason::Probe, CloseReason::Ended(Ending::ClientClosed)] {
            let closed = Closed { reason, detail: None, quiet: false, certificate: None };
            refusals.note("10.0.0.1:1".parse().unwrap(), &closed, None);
        }
        assert!(refusals.recent().is_empty());
    }
}
