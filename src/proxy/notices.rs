//! What an operator must hear of, once a minute at most however often it happens.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::left_out::{LeftOut, Untold};
use super::upstream::DialError;
use crate::identity::Identity;
use crate::snapshot::names::{Identified, Shadow};
use crate::telemetry::RateLimit;

/// How often the same notice is logged.
const EVERY: Duration = Duration::from_secs(60);

/// How many clients a notice about each of them names until it starts again.
const MAX_TOLD: usize = 256;

/// One limit per notice.
#[derive(Debug)]
pub(crate) struct Notices {
    unreachable: RateLimit,
    auth_failed: RateLimit,
    accept_failed: RateLimit,
    shadow: Mutex<Told>,
    pub(super) left_out: LeftOut,
}

/// Whose notice was logged since when.
#[derive(Debug, Default)]
struct Told {
    since: Option<Instant>,
    names: HashSet<Identity>,
}

impl Notices {
    pub(crate) fn new() -> Self {
        let limit = || RateLimit::new(EVERY);
        Self {
            unreachable: limit(),
            auth_failed: limit(),
            accept_failed: limit(),
            shadow: Mutex::default(),
            left_out: LeftOut::default(),
        }
    }

    pub(super) fn tell(&self, left_out: &[Untold]) {
        for Untold { reason, source, count } in left_out {
            info!(
                reason = reason.as_str(),
                source = source.map(tracing::field::display),
                left_out = count,
                "refused connections without a record of their own"
            );
        }
    }

    pub(crate) fn unreachable(&self, error: &DialError) {
        if let Some(suppressed) = self.unreachable.permit() {
            warn!(%error, suppressed, "ZooKeeper can't be reached; is it running, and is upstream.address right?");
        }
    }

    pub(crate) fn auth_failed(&self) {
        if let Some(suppressed) = self.auth_failed.permit() {
            error!(
                suppressed,
                "ZooKeeper refused an injected credential (AUTHFAILED): with identity.inject digest, enable that scheme \
                 there (zookeeper.DigestAuthenticationProvider.enabled); with x509, install zoogate's provider there and \
                 give it the file identity.secret_file, and list the server's superUser in identity.super if it is to come \
                 in; ZooKeeper's log says which it is"
            );
        }
    }

    pub(crate) fn accept_failed(&self, error: &std::io::Error) {
        if let Some(suppressed) = self.accept_failed.permit() {
            warn!(%error, suppressed, "accepting connections fails; raise the limit of open files (LimitNOFILE)");
        }
    }

    /// What would change for a client, once a minute for each.
    pub(crate) fn shadow(&self, identified: &Identified) {
        let (Some(name), Some(shadow)) = (&identified.name, &identified.shadow) else { return };
        if *shadow == Shadow::Same || !self.told_of(name) {
            return;
        }
        let used = identified.verdict.as_ref().ok();
        let (other, refusal) = match shadow {
            Shadow::Different(other) => (Some(other.as_str()), None),
            Shadow::Refused(reason) => (None, Some(reason)),
            Shadow::Same => (None, None),
        };
        info!(
            name = name.as_str(),
            identity = used.map(|admitted| admitted.identity.as_str()),
            shadow_identity = other,
            shadow_reason = refusal.map(|reason| reason.refusal().as_str()),
            shadow_detail = refusal.map(tracing::field::display),
            "identity.mapping_shadow would change this client's identity"
        );
    }

    fn told_of(&self, name: &Identity) -> bool {
        let mut told = self.shadow.lock().unwrap_or_else(PoisonError::into_inner);
        if told.since.is_none_or(|since| since.elapsed() >= EVERY) {
            *told = Told { since: Some(Instant::now()), names: HashSet::new() };
        }
        told.names.len() < MAX_TOLD && told.names.insert(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_told_of_once_a_minute_and_not_endlessly_many() {
        let notices = Notices::new();
        let identity = |n: usize| Identity::new(format!("CN={n}")).unwrap();
        assert!(notices.told_of(&identity(0)));
        assert!(!notices.told_of(&identity(0)));
        let told = (0..1000).filter(|&n| notices.told_of(&identity(n))).count();
        assert_eq!(told, MAX_TOLD - 1);
        notices.shadow.lock().unwrap().since = Instant::now().checked_sub(EVERY);
        assert!(notices.told_of(&identity(0)));
        assert!(!notices.told_of(&identity(0)));
    }
}
