//! The auth packets of clients, as far as their heads reach.

use crate::credential::USER_PREFIX;
use crate::zk::editor::Head;

pub(super) const DIGEST: &[u8] = b"digest";
pub(super) const X509: &[u8] = b"x509";

/// What becomes of a client's own auth packets of scheme `x509`, with which programs for native TLS add the identity
/// that they have already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum X509Auth {
    /// They are the server's business.
    Pass,
    /// They are answered in the server's place: yes, it has that identity.
    Answer,
    /// They are answered as a server does that doesn't know the scheme, which ends the connection.
    Refuse,
}

/// Whether an auth packet is of scheme digest with a user that begins like those that zoogate derives. Nobody
/// can forge such a user's hash, but `whoAmI`, and `getACL` where the server masks hashes, show only the user.
pub(super) fn names_reserved_user(head: Head<'_>) -> bool {
    credential(head, DIGEST)
        .and_then(|packet| packet.get(4..))
        .is_some_and(|user| user.starts_with(USER_PREFIX.as_bytes()))
}

/// What an auth packet has behind its scheme, as far as the head reaches, if the scheme is this one.
pub(super) fn credential<'a>(head: Head<'a>, scheme: &[u8]) -> Option<&'a [u8]> {
    let packet = head.0.get(16..)?.strip_prefix(&(scheme.len() as u32).to_be_bytes())?;
    packet.strip_prefix(scheme)
}
