//! Turns an authenticated client into an authorized one: who it is, and what ZooKeeper is told of it.

use std::sync::Arc;

use super::chains::Share;
use super::{Gate, farewell};
use crate::identity::Identity;
use crate::metrics::ShadowResult;
use crate::snapshot::names::{Identified, NotAdmitted, Shadow};
use crate::snapshot::{Grant, Snapshot};
use crate::tls::{Authenticated, ClientStream};

/// A client that may open a session. Only [`admit`] makes one.
pub(crate) struct Authorized {
    /// Boxed, since it is moved from stage to stage, and a connection's task would hold room for it in each.
    pub(super) client: Box<ClientStream>,
    pub(super) grant: Grant,
    /// The connection ends when this does.
    pub(super) share: Box<Share>,
}

/// Who an authorized client is.
pub(crate) struct Recognized {
    /// Who ZooKeeper is told it is.
    pub(crate) identity: Identity,
    /// What its certificate says, before any mapping.
    pub(crate) name: Identity,
}

/// What the access record says of a client's certificate.
#[derive(Clone, Debug)]
pub(crate) struct ClientName {
    pub(crate) identity: Option<Identity>,
    pub(crate) subject: Arc<str>,
    pub(crate) serial: Arc<str>,
    pub(crate) sha256: Arc<str>,
    pub(crate) tls_version: &'static str,
    pub(crate) tls_cipher: &'static str,
    /// When the client's certificate began to be valid, in Unix seconds.
    pub(crate) not_before: i64,
}

impl ClientName {
    pub(crate) fn of(authenticated: &Authenticated) -> Self {
        let verified = &authenticated.verified;
        Self {
            identity: None,
            subject: Arc::clone(&verified.subject),
            serial: Arc::clone(&verified.serial),
            sha256: Arc::clone(&verified.leaf_sha256),
            tls_version: authenticated.version,
            tls_cipher: authenticated.cipher,
            not_before: verified.leaf_not_before,
        }
    }
}

/// Reads the identity and decides what it is given. A client without a clear identity, or with one that may not come in,
/// is sent away.
pub(super) async fn admit(
    authenticated: Box<Authenticated>,
    gate: &Gate,
    snapshot: &Snapshot,
) -> Result<(Authorized, Recognized), NotAdmitted> {
    let identified = snapshot.identify(&authenticated.chain, &authenticated.verified.anchor);
    compared(&identified, gate);
    match identified.verdict {
        Ok(admitted) => {
            let grant = snapshot.grant(&admitted);
            let (chain, verified) = (&authenticated.chain, &authenticated.verified);
            let share = Box::new(gate.chains.enter(chain, &grant.authority(), verified));
            if !std::ptr::eq(&raw const *gate.snapshot(), snapshot) {
                // Judged by what has been replaced meanwhile.
                gate.chains.look_again(&share);
            }
            let identity = admitted.identity;
            let name = identified.name.unwrap_or_else(|| identity.clone());
            let authorized = Authorized { client: Box::new(authenticated.stream), grant, share };
            Ok((authorized, Recognized { identity, name }))
        }
        Err(error) => {
            farewell::bid(authenticated.stream).await;
            Err(error)
        }
    }
}

/// Reports what the rules in the shadow would change.
fn compared(identified: &Identified, gate: &Gate) {
    let Some(shadow) = &identified.shadow else { return };
    gate.metrics.shadow_compared(match shadow {
        Shadow::Same => ShadowResult::Same,
        Shadow::Different(_) => ShadowResult::Different,
        Shadow::Refused(_) => ShadowResult::Refused,
    });
    gate.notices.shadow(identified);
}
