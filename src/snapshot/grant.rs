//! What an admitted client is given: credentials in front of its session, and the session itself.

use std::sync::Arc;

use crate::credential::{ASSERTION_SCHEME, Credential, DigestAlgorithm, IdentitySecrets, assertion};
use crate::identity::Identity;
use crate::secret::Secret;
use crate::translate::Translator;
use crate::zk::record::auth_packet;

/// How ZooKeeper is told who a client is.
#[derive(Clone, Debug)]
pub(super) enum Injection {
    /// Not at all.
    None,
    /// As a derived user of the scheme `digest`.
    Digest { secrets: Arc<IdentitySecrets>, algorithm: DigestAlgorithm },
    /// As an identity of the scheme `x509`, which ZooKeeper's provider believes the secret's holder.
    X509 { secrets: Arc<IdentitySecrets>, superusers: Vec<Identity> },
}

impl Injection {
    /// What credentials are made with.
    pub(super) fn secrets(&self) -> Option<&Arc<IdentitySecrets>> {
        match self {
            Self::None => None,
            Self::Digest { secrets, .. } | Self::X509 { secrets, .. } => Some(secrets),
        }
    }
}

/// What an admitted client is given.
pub struct Grant {
    /// Who it is, then what it was called before.
    pub(super) names: Vec<Identity>,
    pub(super) injection: Injection,
    /// What sessions are bound to their owners with, if they are.
    pub(super) binding: Option<Arc<IdentitySecrets>>,
    /// Translates the client's ACLs, if the server can't read them.
    pub(super) translator: Option<Arc<Translator>>,
}

/// What a client is to ZooKeeper, for as long as its connection lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Who it is.
    pub identity: Identity,
    /// What it was called before, and still is to old ACLs.
    pub old_names: Vec<Identity>,
    /// Whether it passes every ACL.
    pub superuser: bool,
    /// What its credentials are made with and its session is sealed with, if anything of it depends on a secret that is
    /// still looked at.
    pub secrets: Option<Arc<IdentitySecrets>>,
    /// Whether it has a credential of each secret; else the first alone counts.
    pub of_each: bool,
}

/// What a change of the secrets means to a connection that was opened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It has all that it would be given now.
    Needless,
    /// It lacks credentials, or its session is sealed with a secret that is no longer the first. If it comes back, it is
    /// put right.
    Due,
    /// The secret that its session is sealed with is gone. If it came back, it would lose the session, or have other ids.
    Stranded,
}

impl Authority {
    /// What it has beyond another authority, in words.
    pub fn beyond(&self, other: &Self) -> Option<String> {
        if self.identity != other.identity {
            return Some(format!("it is now {}", other.identity));
        }
        let old = self.old_names.iter().find(|name| !other.old_names.contains(name));
        match old {
            Some(name) => Some(format!("it is no longer {name} too")),
            None => (self.superuser && !other.superuser).then(|| "it is no longer a superuser".to_owned()),
        }
    }

    /// What it means to it that it would now be given another authority.
    pub fn renewal(&self, now: &Self) -> Renewal {
        let (Some(held), Some(now)) = (&self.secrets, &now.secrets) else { return Renewal::Needless };
        let has = |secrets: &IdentitySecrets, one: &Secret| secrets.iter().any(|secret| secret == one);
        let lacks_some = self.of_each && !now.iter().all(|secret| has(held, secret));
        if !has(now, held.first()) {
            Renewal::Stranded
        } else if held.first() != now.first() || lacks_some {
            Renewal::Due
        } else {
            Renewal::Needless
        }
    }
}

/// Auth packets as frames, for one session.
pub struct Packets {
    /// How many there are.
    pub count: usize,
    /// All of them.
    pub frames: Secret,
}

impl Grant {
    /// Who the client is, then what it was called before.
    pub fn names(&self) -> &[Identity] {
        &self.names
    }

    /// What the client is to ZooKeeper.
    pub fn authority(&self) -> Authority {
        let (identity, old_names) = self.names.split_first().expect("a client that was admitted has a name");
        let superuser = match &self.injection {
            Injection::X509 { superusers, .. } => superusers.contains(identity),
            Injection::None | Injection::Digest { .. } => false,
        };
        let (secrets, of_each) = match &self.injection {
            Injection::Digest { secrets, .. } => (Some(secrets), true),
            // An assertion has done its work when the session is open.
            Injection::None | Injection::X509 { .. } => (self.binding.as_ref(), false),
        };
        let (old_names, secrets) = (old_names.to_vec(), secrets.cloned());
        Authority { identity: identity.clone(), old_names, superuser, secrets, of_each }
    }

    /// What sessions are bound to their owners with, if they are.
    pub fn binding(&self) -> Option<&IdentitySecrets> {
        self.binding.as_deref()
    }

    /// Translates the client's ACLs, if the server can't read them.
    pub fn translator(&self) -> Option<Arc<Translator>> {
        self.translator.clone()
    }

    /// What goes in front of a session. The first credential is the one that new ACLs should name.
    pub fn packets(&self, session_id: i64, xids: impl Iterator<Item = i32>) -> Packets {
        let packets = self.credentials(session_id);
        let frame = |((scheme, data), xid): ((&str, Secret), i32)| auth_packet(xid, scheme, data.expose());
        Packets { count: packets.len(), frames: Secret::new(packets.into_iter().zip(xids).flat_map(frame).collect()) }
    }

    /// Scheme and data of each packet.
    fn credentials(&self, session_id: i64) -> Vec<(&'static str, Secret)> {
        match &self.injection {
            Injection::None => Vec::new(),
            Injection::Digest { secrets, .. } => {
                let credentials = self.names.iter().flat_map(|name| derive(secrets, name));
                credentials.map(|credential| (Credential::SCHEME, credential.auth_data())).collect()
            }
            Injection::X509 { secrets, superusers } => {
                let assert = |(index, name): (usize, &Identity)| {
                    // An old name gives its rights on znodes, not those of a superuser.
                    let superuser = index == 0 && superusers.contains(name);
                    (ASSERTION_SCHEME, assertion(secrets.first(), name, superuser, session_id))
                };
                self.names.iter().enumerate().map(assert).collect()
            }
        }
    }
}

/// An identity's digest credential of each secret.
pub(super) fn derive(secrets: &IdentitySecrets, name: &Identity) -> Vec<Credential> {
    secrets.iter().map(|secret| Credential::derive(secret, name)).collect()
}

#[cfg(test)]
impl Grant {
    /// For tests of other modules: nothing is injected, and sessions are bound.
    pub(crate) fn bound(names: &[&str], secrets: &[u8]) -> Self {
        let secrets = IdentitySecrets::parse(secrets).unwrap();
        Self { binding: Some(Arc::new(secrets)), ..Self::unbound(names) }
    }

    /// For tests of other modules: nothing is injected, and sessions are free.
    pub(crate) fn unbound(names: &[&str]) -> Self {
        let names = names.iter().map(|name| Identity::new((*name).to_owned()).unwrap()).collect();
        Self { names, injection: Injection::None, binding: None, translator: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity::new(name.to_owned()).unwrap()
    }

    fn grant(injection: Injection) -> Grant {
        Grant { names: vec![identity("new"), identity("old")], injection, binding: None, translator: None }
    }

    fn secrets() -> Arc<IdentitySecrets> {
        Arc::new(
            IdentitySecrets::parse(b"a-secret-of-thirty-two-bytes-or-more\nanother-secret-of-thirty-two-bytes")
                .unwrap(),
        )
    }

    #[test]
    fn a_digest_credential_of_each_name_and_secret_goes_in_front() {
        let grant = grant(Injection::Digest { secrets: secrets(), algorithm: DigestAlgorithm::Sha1 });
        let packets = grant.packets(7, -10..);
        assert_eq!(packets.count, 4);
        let first = Credential::derive(secrets().first(), &identity("new"));
        assert!(packets.frames.expose().starts_with(&auth_packet(-10, "digest", first.auth_data().expose())));
    }

    #[test]
    fn assertions_are_made_with_the_first_secret_and_only_the_name_itself_is_super() {
        let superusers = vec![identity("new"), identity("old")];
        let grant = grant(Injection::X509 { secrets: secrets(), superusers });
        let credentials = grant.credentials(7);
        let expected = [(identity("new"), true), (identity("old"), false)];
        let expected = expected.map(|(name, superuser)| ("x509", assertion(secrets().first(), &name, superuser, 7)));
        assert_eq!(credentials, expected);
    }

    #[test]
    fn a_connection_comes_back_for_what_it_lacks_if_it_keeps_its_session() {
        const A: &str = "the-first-secret-of-thirty-two-bytes-or-more";
        const B: &str = "the-second-secret-of-thirty-two-bytes-or-more";
        const C: &str = "the-third-secret-of-thirty-two-bytes-or-more";
        let authority = |lines: &[&str], of_each: bool| {
            let secrets = IdentitySecrets::parse(lines.join("\n").as_bytes()).ok().map(Arc::new);
            Authority { secrets, of_each, ..grant(Injection::None).authority() }
        };
        use Renewal::*;
        for (held, now, of_each, of_the_first) in [
            (&[A][..], &[A][..], Needless, Needless),
            (&[A, B], &[A], Needless, Needless),
            (&[A, B, C], &[A, C, B], Needless, Needless),
            (&[A], &[A, B], Due, Needless),
            (&[A, B], &[B, A], Due, Due),
            (&[A], &[B, A], Due, Due),
            (&[A, B], &[B], Stranded, Stranded),
            (&[A], &[B], Stranded, Stranded),
            (&[A], &[], Needless, Needless),
            (&[], &[A], Needless, Needless),
        ] {
            for (each, renewal) in [(true, of_each), (false, of_the_first)] {
                let found = authority(held, each).renewal(&authority(now, each));
                assert_eq!(found, renewal, "{held:?} to {now:?}, of each: {each}");
            }
        }
    }

    #[test]
    fn only_what_is_looked_at_again_depends_on_the_secrets() {
        let digest = || Injection::Digest { secrets: secrets(), algorithm: DigestAlgorithm::Sha1 };
        let x509 = || Injection::X509 { secrets: secrets(), superusers: Vec::new() };
        let depends = |injection: Injection, bound: bool| {
            let binding = bound.then(secrets);
            let authority = Grant { binding, ..grant(injection) }.authority();
            (authority.secrets.is_some(), authority.of_each)
        };
        assert_eq!([depends(digest(), true), depends(digest(), false)], [(true, true); 2]);
        assert_eq!([depends(x509(), true), depends(x509(), false)], [(true, false), (false, false)]);
        assert_eq!([depends(Injection::None, true), depends(Injection::None, false)], [(true, false), (false, false)]);
    }

    #[test]
    fn nothing_is_injected_where_nothing_is_configured() {
        let packets = grant(Injection::None).packets(7, -10..);
        assert_eq!((packets.count, packets.frames.expose().len()), (0, 0));
    }
}
