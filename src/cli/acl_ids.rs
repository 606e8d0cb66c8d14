//! The ids that stand for a certificate in ACLs.

use serde::Serialize;

use crate::config::{Config, Inject};
use crate::identity::{self, Identity};
use crate::snapshot::IdentityRules;

/// Ids without their scheme, which is the key.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct AclIds {
    /// Who a client is in ACLs of the scheme `x509`.
    pub(super) x509: Option<String>,
    /// What the credential of the first secret is called; nothing without a secret.
    pub(super) digest: Option<String>,
}

/// Whose name stands in an `x509` id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum X509Id {
    /// The certificate's subject, wherever the identity is read from, as native ZooKeeper has it.
    Subject,
    /// The identity, as the gate tells it.
    Identity,
}

impl X509Id {
    /// What ACLs behind a gate with this configuration name. Where it leaves the scheme alone, that of a server with
    /// TLS of its own.
    pub(super) fn of(config: &Config) -> Self {
        let told = matches!(config.identity.inject, Inject::X509 { .. }) || config.acl.translate;
        if told { Self::Identity } else { Self::Subject }
    }
}

/// How certificates get their ids.
pub(super) struct Naming {
    pub(super) rules: IdentityRules,
    pub(super) x509: X509Id,
}

impl Naming {
    pub(super) fn ids(&self, leaf: &[u8], identity: &Identity) -> AclIds {
        let x509 = match self.x509 {
            X509Id::Identity => Some(identity.to_string()),
            // An empty subject gives native ZooKeeper an empty id, which stands for nobody in particular.
            X509Id::Subject => identity::subject_name(leaf).ok().filter(|subject| !subject.is_empty()),
        };
        AclIds { x509, digest: self.rules.acl_ids(identity).into_iter().next() }
    }
}
