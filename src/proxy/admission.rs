//! Turns an authenticated client into an authorized one: who it is, and what ZooKeeper is told of it.

use super::farewell;
use crate::credential::Credential;
use crate::identity::{self, Identity, IdentityError};
use crate::snapshot::Snapshot;
use crate::tls::{Authenticated, ClientStream, hex};

/// A client that may open a session. Only [`admit`] makes one.
pub(crate) struct Authorized {
    pub(super) client: ClientStream,
    pub(super) credentials: Vec<Credential>,
}

/// What the access record says of a client's certificate.
#[derive(Clone, Debug)]
pub(crate) struct ClientName {
    pub(crate) identity: Option<Identity>,
    pub(crate) subject: String,
    pub(crate) serial: String,
    pub(crate) sha256: String,
    pub(crate) tls_version: &'static str,
    pub(crate) tls_cipher: String,
    /// When the first certificate of the client's path ends, in Unix seconds.
    pub(crate) not_after: i64,
}

impl ClientName {
    pub(crate) fn of(authenticated: &Authenticated) -> Self {
        let verified = &authenticated.verified;
        let leaf = authenticated.chain.first().map_or(&[][..], |leaf| leaf.as_ref());
        Self {
            identity: None,
            // The verifier has parsed the leaf, so it has a subject.
            subject: identity::subject_name(leaf).unwrap_or_default(),
            serial: verified.serial.clone(),
            sha256: hex(&verified.leaf_sha256),
            tls_version: authenticated.version,
            tls_cipher: authenticated.cipher.clone(),
            not_after: verified.not_after,
        }
    }
}

/// Reads the identity and derives its credentials. A client without a clear identity is sent away.
pub(crate) async fn admit(
    authenticated: Authenticated,
    snapshot: &Snapshot,
) -> Result<(Authorized, Identity), IdentityError> {
    match snapshot.identify(&authenticated.chain) {
        Ok(identity) => {
            let credentials = snapshot.credentials(&identity);
            Ok((Authorized { client: authenticated.stream, credentials }, identity))
        }
        Err(error) => {
            farewell::bid(authenticated.stream).await;
            Err(error)
        }
    }
}
