//! `zoogate identity`: the ACL ids of a certificate.

use super::{Exit, IdentityArgs, complain};

pub(super) fn identity(_: &IdentityArgs) -> Exit {
    complain(&"zoogate identity: not built yet", Exit::Internal)
}
