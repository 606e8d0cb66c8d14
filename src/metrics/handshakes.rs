//! Connections whose clients are not known yet, and how they become known.

use std::time::Duration;

use super::{HandshakeResult, Metrics, TlsVersion, observe};
use crate::reason::Refusal;

impl Metrics {
    /// States how many clients are admitted at a time, and how many connections may be open whose clients are not.
    pub fn set_limits(&self, connections: usize, handshakes: usize) {
        for (gauge, limit) in [(&self.connections_limit, connections), (&self.handshakes_limit, handshakes)] {
            gauge.set(i64::try_from(limit).unwrap_or(i64::MAX));
        }
    }

    /// Counts a handshake that has waited so long for its turn.
    pub fn handshake_queued(&self, waited: Duration) {
        observe(&self.handshake_queue, waited);
    }

    /// Counts a client that was authenticated, `elapsed` after its ClientHello.
    pub fn handshake_completed(&self, version: TlsVersion, elapsed: Duration) {
        observe(self.handshake_duration.of(version).of(HandshakeResult::Ok), elapsed);
    }

    /// Counts a client that was not let in; `elapsed` since its ClientHello, if there was one.
    pub fn handshake_refused(&self, refusal: Refusal, version: TlsVersion, elapsed: Option<Duration>) {
        self.handshake_failures.of(refusal).inc();
        if let Some(elapsed) = elapsed {
            observe(self.handshake_duration.of(version).of(HandshakeResult::Refused), elapsed);
        }
    }
}
