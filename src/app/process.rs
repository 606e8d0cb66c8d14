//! What the process asks of the system before it starts.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors besides those of connections: listeners, admin, files, the runtime.
const OTHERS: u64 = 100;

/// Allows as many open files as the system lets it, and warns if that is too few for `connections`: each takes
/// a descriptor for the client and one for ZooKeeper.
pub fn raise_open_files(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        warn!(%error, "the limit of open files can't be raised");
    }
    let needed = 2 * connections as u64 + OTHERS;
    if let Some(had) = getrlimit(Resource::Nofile).current.filter(|had| *had < needed) {
        warn!(had, needed, "too few open files for limits.connections: raise the limit (LimitNOFILE) or lower the key");
    }
}

/// Forbids core dumps, which would hold the private key and the identity secret. A limit of one byte, unlike
/// zero, also keeps the kernel from feeding a core dump handler (`core(5)`).
pub fn forbid_core_dumps() {
    let limit = Rlimit { current: Some(1), maximum: Some(1) };
    if let Err(error) = setrlimit(Resource::Core, limit) {
        warn!(%error, "core dumps can't be forbidden");
    }
}
