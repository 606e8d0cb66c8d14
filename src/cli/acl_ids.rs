//! The ids that stand for a certificate in ACLs.

use serde::Serialize;

use crate::identity::{self, Identity};
use crate::snapshot::IdentityRules;

/// Ids without their scheme, which is the key.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct AclIds {
    /// What ZooKeeper's provider is told, where it is told `x509` ids. Else what native ZooKeeper calls the certificate:
    /// its subject, wherever the identity is read from.
    pub(super) x509: Option<String>,
    /// What the credential of the first secret is called; nothing without a secret.
    pub(super) digest: Option<String>,
}

impl AclIds {
    pub(super) fn of(rules: &IdentityRules, leaf: &[u8], identity: &Identity) -> Self {
        if rules.injects_x509() {
            return Self { x509: Some(identity.to_string()), digest: None };
        }
        // An empty subject gives native ZooKeeper an empty id, which stands for nobody in particular.
        let x509 = identity::subject_name(leaf).ok().filter(|subject| !subject.is_empty());
        Self { x509, digest: rules.acl_ids(identity).into_iter().next() }
    }
}
