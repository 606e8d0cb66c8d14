//! Who uses a certificate that ends soon: a line in the log for each identity, once a day.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::identity::Identity;
use crate::rfc3339::utc;
use crate::snapshot::Snapshot;

/// How often an identity is named, in seconds.
const EVERY: i64 = 86_400;

/// How many identities are remembered as named. Beyond that, others are not named until a day is over for some.
const MAX_NAMED: usize = 10_000;

/// The part of a certificate's life that must be left for it to be no news, whatever the threshold: a certificate of
/// a day is always within a week of its end, and due for renewal at two thirds of its life at the latest.
const LAST_PART: i64 = 4;

/// How long before its end a certificate counts as due for renewal where nobody is named in the log.
const WARNING: Duration = Duration::from_secs(7 * 86_400);

/// The life, in seconds, up to which connections last until their certificate's end as a rule: clients don't come back
/// for the next one before.
const SHORT_LIFE: i64 = 7 * 86_400;

/// Whose certificate is in use.
#[derive(Clone, Debug)]
pub(super) struct InUse {
    pub(super) identity: Identity,
    /// The certificate's, in hexadecimal.
    pub(super) serial: Arc<str>,
    /// When it began to be valid, in Unix seconds.
    pub(super) not_before: i64,
    /// When the first certificate of its path ends, in Unix seconds.
    pub(super) not_after: i64,
}

/// Whom the log has named, and when.
#[derive(Debug)]
pub(super) struct Reminders {
    /// In seconds; none is never.
    threshold: Option<i64>,
    /// In Unix seconds.
    named: Mutex<HashMap<Identity, i64>>,
    /// Until when CRLs were looked at, in Unix seconds; 0 before the first look.
    crls_until: AtomicI64,
}

impl Reminders {
    /// Names those whose certificate ends within `threshold`.
    pub(super) fn new(threshold: Option<Duration>) -> Self {
        Self { threshold: threshold.map(seconds), named: Mutex::default(), crls_until: AtomicI64::new(0) }
    }

    /// Whether a certificate ends soon. Cheap enough to ask for each connection.
    pub(super) fn is_soon(&self, certificate: &InUse, now: i64) -> bool {
        self.threshold
            .is_some_and(|threshold| soon_from(certificate.not_before, certificate.not_after, threshold) <= now)
    }

    /// Names the holder of a certificate that ends soon, unless it was named within a day.
    pub(super) fn remind(&self, certificate: &InUse, connections: usize, now: i64) {
        if !self.is_turn(&certificate.identity, now) {
            return;
        }
        warn!(
            identity = certificate.identity.as_str(),
            serial = &*certificate.serial,
            not_after = utc(certificate.not_after),
            connections,
            "a client's certificate ends soon: have it renewed, and the client restarted if it doesn't read it again"
        );
    }

    /// Tells of each CRL that has become overdue since the last look. What was so at its load has been told then.
    pub(super) fn overdue_crls(&self, snapshot: &Snapshot, now: i64) {
        for crl in snapshot.crls() {
            let Some(due) = crl.next_update.filter(|due| self.is_newly_past(*due, now)) else { continue };
            warn!(
                crl = crl.path,
                issuer = crl.issuer_cn,
                next_update = utc(due),
                new_clients_refused = snapshot.requires_crls(),
                "a CRL is overdue: fetch its successor"
            );
        }
        self.crls_until.store(now, Ordering::Relaxed);
    }

    fn is_newly_past(&self, due: i64, now: i64) -> bool {
        let until = self.crls_until.load(Ordering::Relaxed);
        until != 0 && (until..now).contains(&due)
    }

    fn is_turn(&self, identity: &Identity, now: i64) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not silence anyone for longer.
        let lately = |at: i64| (0..EVERY).contains(&now.saturating_sub(at));
        if named.get(identity).is_some_and(|&at| lately(at)) {
            return false;
        }
        if named.len() >= MAX_NAMED {
            named.retain(|_, at| lately(*at));
        }
        if named.len() >= MAX_NAMED {
            return false;
        }
        named.insert(identity.clone(), now);
        true
    }
}

/// From when on a client's certificate should have been renewed, where whoever uses it is named `warning` before its
/// end; none for one that lives so shortly that it is normal to use it to its end. All in Unix seconds.
pub(super) fn renewal_due(not_before: i64, not_after: i64, warning: Option<Duration>) -> Option<i64> {
    let lives_long = not_after.saturating_sub(not_before) > SHORT_LIFE;
    lives_long.then(|| soon_from(not_before, not_after, seconds(warning.unwrap_or(WARNING))))
}

/// From when on a certificate ends soon.
fn soon_from(not_before: i64, not_after: i64, threshold: i64) -> i64 {
    not_after.saturating_sub(threshold.min(not_after.saturating_sub(not_before) / LAST_PART))
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn identity(name: &str) -> Identity {
        Identity::new(name.to_owned()).unwrap()
    }

    fn in_use(not_before: i64, not_after: i64) -> InUse {
        InUse { identity: identity("CN=a"), serial: "01".into(), not_before, not_after }
    }

    fn weekly() -> Reminders {
        Reminders::new(Some(Duration::from_secs(7 * 86_400)))
    }

    #[test]
    fn a_certificate_ends_soon_within_the_threshold_or_the_last_quarter_of_a_short_life() {
        let year = in_use(0, 365 * DAY);
        assert!(!weekly().is_soon(&year, 357 * DAY));
        assert!(weekly().is_soon(&year, 358 * DAY));
        assert!(weekly().is_soon(&year, 366 * DAY), "over, and still in use where nothing is enforced");
        let day = in_use(0, DAY);
        assert!(!weekly().is_soon(&day, DAY / 2), "renewal at two thirds of its life is not late");
        assert!(weekly().is_soon(&day, DAY * 3 / 4));
        assert!(!Reminders::new(None).is_soon(&year, 366 * DAY), "off");
    }

    #[test]
    fn a_renewal_is_due_when_a_certificate_ends_soon_unless_it_lives_for_a_week_at_most() {
        let month = Some(Duration::from_secs(30 * 86_400));
        assert_eq!(renewal_due(0, 365 * DAY, month), Some(335 * DAY));
        assert_eq!(renewal_due(0, 28 * DAY, month), Some(21 * DAY));
        assert_eq!(renewal_due(0, 8 * DAY, month), Some(6 * DAY));
        assert_eq!(renewal_due(0, 7 * DAY, month), None);
        assert_eq!(renewal_due(0, 3_600, month), None);
        assert_eq!(renewal_due(0, 365 * DAY, None), Some(358 * DAY), "a silent log silences no alert");
    }

    #[test]
    fn a_crl_is_overdue_news_once_and_not_from_the_start() {
        let reminders = weekly();
        assert!(!reminders.is_newly_past(90, 100), "told at its load");
        reminders.crls_until.store(100, Ordering::Relaxed);
        assert!(reminders.is_newly_past(100, 160) && reminders.is_newly_past(159, 160));
        assert!(!reminders.is_newly_past(99, 160), "told before");
        assert!(!reminders.is_newly_past(160, 160), "in date in its last second");
    }

    #[test]
    fn an_identity_is_named_once_a_day() {
        let reminders = weekly();
        let turns = [0, 60, DAY - 1, DAY, DAY + 1].map(|now| reminders.is_turn(&identity("CN=a"), now));
        assert_eq!(turns, [true, false, false, true, false]);
        assert!(reminders.is_turn(&identity("CN=b"), DAY + 1));
        assert!(reminders.is_turn(&identity("CN=a"), 5), "the clock was set back");
    }

    #[test]
    fn the_named_are_not_remembered_without_end() {
        let reminders = weekly();
        let turns = (0..2 * MAX_NAMED).filter(|n| reminders.is_turn(&identity(&format!("CN={n}")), 0)).count();
        assert_eq!(turns, MAX_NAMED);
        assert!(reminders.is_turn(&identity("CN=new"), DAY), "yesterday's are forgotten");
        assert_eq!(reminders.named.lock().unwrap().len(), 1);
    }
}
