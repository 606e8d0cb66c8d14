//! What the process asks of the system before it starts.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Limits;

/// Descriptors besides those of connections: listeners, admin, files, the runtime.
const OTHERS: u64 = 100;

/// The fewest connections at a time that are worth accepting beside those that are admitted.
const FEW: u64 = 256;

/// Allows as many open files as the system lets it, and warns where those are too few for `limits`: a connection takes a
/// descriptor for the client and, once admitted, one for ZooKeeper.
pub fn raise_open_files(limits: &Limits) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        warn!(%error, "the limit of open files can't be raised");
    }
    let needed = 2 * (limits.connections as u64 + FEW.min(limits.handshakes as u64)) + OTHERS;
    if let Some(had) = getrlimit(Resource::Nofile).current.filter(|had| *had < needed) {
        warn!(had, needed, "too few open files for limits.connections: raise the limit (LimitNOFILE) or lower the key");
    }
}

/// How many connections may be open, admitted or not, so that each finds its two descriptors; a few in any case, as long as
/// there are descriptors at all.
pub(super) fn connections_that_fit() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((files.saturating_sub(OTHERS) / 2).max(FEW)).unwrap_or(usize::MAX)
}

/// Forbids core dumps, which would hold the private key and the identity secret. A limit of one byte, unlike
/// zero, also keeps the kernel from feeding a core dump handler (`core(5)`).
pub fn forbid_core_dumps() {
    let limit = Rlimit { current: Some(1), maximum: Some(1) };
    if let Err(error) = setrlimit(Resource::Core, limit) {
        warn!(%error, "core dumps can't be forbidden");
    }
}
