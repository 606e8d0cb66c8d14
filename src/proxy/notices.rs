//! What an operator must hear of, once a minute at most however often it happens.

use std::time::Duration;

use tracing::{error, warn};

use super::upstream::DialError;
use crate::telemetry::RateLimit;

/// How often the same notice is logged.
const EVERY: Duration = Duration::from_secs(60);

/// One limit per notice.
#[derive(Debug)]
pub(crate) struct Notices {
    plaintext: RateLimit,
    unreachable: RateLimit,
    auth_failed: RateLimit,
    accept_failed: RateLimit,
}

impl Notices {
    pub(crate) fn new() -> Self {
        let limit = || RateLimit::new(EVERY);
        Self { plaintext: limit(), unreachable: limit(), auth_failed: limit(), accept_failed: limit() }
    }

    /// Whether the record of a plaintext connection may be seen.
    pub(crate) fn plaintext(&self) -> bool {
        self.plaintext.permit().is_some()
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
                "ZooKeeper refused an injected credential (AUTHFAILED): its scheme digest must be enabled \
                 (zookeeper.DigestAuthenticationProvider.enabled)"
            );
        }
    }

    pub(crate) fn accept_failed(&self, error: &std::io::Error) {
        if let Some(suppressed) = self.accept_failed.permit() {
            warn!(%error, suppressed, "accepting connections fails; raise the limit of open files (LimitNOFILE)");
        }
    }
}
