//! Turns an authenticated client into an authorized one: who it is, and what ZooKeeper is told of it.

use super::farewell;
use crate::credential::Credential;
use crate::identity::{Identity, IdentityError};
use crate::snapshot::Snapshot;
use crate::tls::{Authenticated, ClientStream};

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
    pub(crate) tls_cipher: &'static str,
    /// When the first certificate of the client's path ends, in Unix seconds.
    pub(crate) not_after: i64,
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
