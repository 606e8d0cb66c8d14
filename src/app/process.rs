//! What the process asks of the system before it starts.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::config::Limits;

/// Descriptors besides those of connections: listeners, admin, files, the runtime.
const OTHERS: u64 = 100;

/// The fewest connections at a time that are worth accepting beside those that are admitted.
const FEW: usize = 256;

/// Allows as many open files as the system lets it, and warns where those are too few for `limits`: an admitted connection
/// takes a descriptor for the client and one for ZooKeeper, another one takes the first alone.
pub fn raise_open_files(limits: &Limits) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        warn!(%error, "the limit of open files can't be raised");
    }
    let Some(had) = getrlimit(Resource::Nofile).current else { return };
    let (left, needed) = (left_for_handshakes(limits, had), needed(limits) + limits.handshakes as u64);
    if left < FEW.min(limits.handshakes) {
        warn!(had, needed, "too few open files for limits.connections: raise the limit (LimitNOFILE) or lower the key");
    } else if left < limits.handshakes {
        info!(
            had,
            needed,
            handshakes = left,
            "limits.handshakes is what the limit of open files (LimitNOFILE) leaves of it"
        );
    }
}

/// How many connections may be open whose clients are not admitted yet: `limits.handshakes`, or what the limit of open files
/// leaves of it.
pub(super) fn handshakes(limits: &Limits) -> usize {
    let left = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |had| left_for_handshakes(limits, had));
    limits.handshakes.min(left.max(FEW))
}

fn needed(limits: &Limits) -> u64 {
    2 * limits.connections as u64 + OTHERS
}

fn left_for_handshakes(limits: &Limits, had: u64) -> usize {
    usize::try_from(had.saturating_sub(needed(limits))).unwrap_or(usize::MAX)
}

/// Forbids core dumps, which would hold the private key and the identity secret. A limit of one byte, unlike
/// zero, also keeps the kernel from feeding a core dump handler (`core(5)`).
pub fn forbid_core_dumps() {
    let limit = Rlimit { current: Some(1), maximum: Some(1) };
    if let Err(error) = setrlimit(Resource::Core, limit) {
        warn!(%error, "core dumps can't be forbidden");
    }
}
