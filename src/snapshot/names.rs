//! Who a verified client is: the certificate's name, what the rules make of it, and whether that may come in.

use crate::config::{self, OldName};
use crate::identity::mapping::{AnchorRef, Issuer, Mapping, Rule};
use crate::identity::{self, Identity, IdentityError, Source};
use crate::policy::{Denial, Grant, Policy};
use crate::reason::Refusal;
use crate::tls::verifier::Anchor;

use super::LoadProblem;

/// The rules about names, all of them from the configuration itself.
#[derive(Clone, Debug)]
pub struct NameRules {
    from: Source,
    mapping: Option<Mapping>,
    shadow: Option<Mapping>,
    also_inject: Vec<OldName>,
    policy: Policy,
}

/// What is found out about a client whose chain was verified.
#[derive(Clone, Debug)]
pub struct Identified {
    /// What the certificate says, before any rule.
    pub name: Option<Identity>,
    /// Who the client is, or why it may not come in.
    pub verdict: Result<Admitted, NotAdmitted>,
    /// What the rules of `identity.mapping_shadow` would change, if there are any and the certificate has a name.
    pub shadow: Option<Shadow>,
}

/// A client that may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Who it is.
    pub identity: Identity,
    /// The index of the mapping rule that decided; `None` without a mapping.
    pub rule: Option<usize>,
    /// Why it may come in.
    pub grant: Grant,
    /// What it was called before, as far as its certificate says so; injected too.
    pub old_names: Vec<Identity>,
}

/// Why a client that was verified may not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It has no name, or not one clear name.
    #[error(transparent)]
    Nameless(#[from] IdentityError),
    /// It has one, and that one may not come in.
    #[error("{denial}")]
    Denied {
        /// Who it is.
        identity: Identity,
        /// The index of the mapping rule that decided; `None` without a mapping.
        rule: Option<usize>,
        /// Which list says so.
        denial: Denial,
    },
}

impl NotAdmitted {
    /// The word for it.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Nameless(error) => error.refusal,
            Self::Denied { denial, .. } => denial.refusal(),
        }
    }
}

/// What other mapping rules would change for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shadow {
    /// Nothing.
    Same,
    /// It would be this identity.
    Different(Identity),
    /// It would not be let in, and is now.
    Refused(NotAdmitted),
}

impl Shadow {
    /// Compares what was decided with what other rules would have decided.
    pub fn compare(used: Option<&Identity>, other: Result<Identity, NotAdmitted>) -> Self {
        match (used, other) {
            (Some(used), Ok(other)) if *used == other => Self::Same,
            (_, Ok(other)) => Self::Different(other),
            (Some(_), Err(reason)) => Self::Refused(reason),
            (None, Err(_)) => Self::Same,
        }
    }
}

impl NameRules {
    /// The rules of a configuration.
    pub fn new(config: &config::Identity) -> Self {
        Self {
            from: config.from,
            mapping: config.mapping.clone(),
            shadow: config.mapping_shadow.clone(),
            also_inject: config.also_inject.clone(),
            policy: config.policy.clone(),
        }
    }

    /// Whether nothing but a certificate's subject is anyone's name.
    pub fn are_subjects(&self) -> bool {
        self.from == Source::Subject && self.mapping.is_none() && self.also_inject.is_empty()
    }

    /// Where in a certificate the name is looked for.
    pub fn source(&self) -> Source {
        self.from
    }

    /// What a name becomes where the issuer is not known.
    ///
    /// # Errors
    /// As [`Mapping::apply_without_anchor`].
    pub fn rename(&self, name: Identity) -> Result<Identity, IdentityError> {
        match &self.mapping {
            Some(mapping) => Ok(mapping.apply_without_anchor(name.as_str())?.identity),
            None => Ok(name),
        }
    }

    /// The rules that make the identity, for whoever explains which of them decided.
    pub fn mapping(&self) -> Option<&Mapping> {
        self.mapping.as_ref()
    }

    /// Who the holder of a certificate is that was accepted by `anchor`; nothing is verified here.
    pub fn identify(&self, leaf: &[u8], anchor: &Anchor) -> Identified {
        let anchor = anchor_ref(anchor);
        let name = match identity::identify(leaf, self.from) {
            Ok(name) => name,
            Err(error) => return Identified { name: None, verdict: Err(error.into()), shadow: None },
        };
        let mut verdict = self.decide(&name, self.mapping.as_ref(), anchor);
        let shadow = self.shadow.as_ref().map(|shadow| {
            let used = verdict.as_ref().ok().map(|admitted| &admitted.identity);
            Shadow::compare(used, self.decide(&name, Some(shadow), anchor).map(|admitted| admitted.identity))
        });
        if let Ok(admitted) = &mut verdict {
            admitted.old_names = self.old_names(leaf, &admitted.identity, anchor);
        }
        Identified { name: Some(name), verdict, shadow }
    }

    /// Issuers that the rules name and the trust store doesn't have, or doesn't have once.
    pub(super) fn check_issuers(&self, trusted: &[&Anchor]) -> Vec<LoadProblem> {
        let old = self.also_inject.iter().filter_map(|old| Some(("identity.also_inject", old.mapping.as_ref()?)));
        let used = self.mapping.iter().map(|mapping| ("identity.mapping", mapping));
        let shadow = self.shadow.iter().map(|mapping| ("identity.mapping_shadow", mapping));
        let mut problems = Vec::new();
        for (key, mapping) in used.chain(shadow).chain(old) {
            for (index, rule) in mapping.rules().iter().enumerate() {
                let wrong = rule.issuers().iter().filter_map(|issuer| unclear(issuer, trusted));
                problems.extend(wrong.map(|wrong| {
                    let message = format!("rule {} is bound to {wrong}", index + 1);
                    LoadProblem { key, message }
                }));
            }
        }
        problems
    }

    /// What is open to every CA where other rules tell CAs apart, for the log.
    pub(super) fn warnings(&self, cas: usize) -> Vec<String> {
        let Some(mapping) = self.mapping.as_ref().filter(|mapping| cas > 1 && mapping.rules().iter().any(is_bound))
        else {
            return Vec::new();
        };
        let open = mapping.rules().iter().enumerate().filter(|(_, rule)| !is_bound(rule));
        let open: Vec<String> = open.map(|(index, _)| (index + 1).to_string()).collect();
        let rules = (!open.is_empty()).then(|| {
            format!(
                "identity.mapping: some rules are bound to issuers, and others take certificates of every CA of \
                 tls.trust_store (rule {}): if those CAs are different parties, each can give out names by these rules; \
                 bind all of them",
                open.join(", ")
            )
        });
        let is_open = |old: &OldName| old.mapping.as_ref().is_none_or(|mapping| !mapping.rules().iter().all(is_bound));
        let old = self.also_inject.iter().enumerate().filter(|(_, old)| is_open(old));
        let old = old.map(|(index, old)| {
            format!(
                "identity.also_inject: item {} gives an old name to whoever has it from any CA of tls.trust_store, while \
                 identity.mapping binds rules to issuers; if those CAs are different parties, bind it too: \
                 `{{ from: {}, mapping: [{{ rule: DEFAULT, issuers: [ALIAS] }}] }}`",
                index + 1,
                old.from
            )
        });
        rules.into_iter().chain(old).collect()
    }

    fn decide(
        &self,
        name: &Identity,
        mapping: Option<&Mapping>,
        anchor: AnchorRef<'_>,
    ) -> Result<Admitted, NotAdmitted> {
        let (identity, rule) = match mapping {
            Some(mapping) => {
                let mapped = mapping.apply(name.as_str(), anchor)?;
                (mapped.identity, Some(mapped.rule))
            }
            None => (name.clone(), None),
        };
        match self.policy.decide(&identity) {
            Ok(grant) => Ok(Admitted { identity, rule, grant, old_names: Vec::new() }),
            Err(denial) => Err(NotAdmitted::Denied { identity, rule, denial }),
        }
    }

    /// A certificate that doesn't have one of the names, or that no old rule matches, never had rights by it.
    fn old_names(&self, leaf: &[u8], identity: &Identity, anchor: AnchorRef<'_>) -> Vec<Identity> {
        let mut names: Vec<Identity> = Vec::new();
        for old in &self.also_inject {
            let Ok(name) = identity::identify(leaf, old.from) else { continue };
            let name = match &old.mapping {
                Some(mapping) => mapping.apply(name.as_str(), anchor).map(|mapped| mapped.identity),
                None => Ok(name),
            };
            let Ok(name) = name else { continue };
            if name != *identity && !names.contains(&name) && !self.policy.denies(&name) {
                names.push(name);
            }
        }
        names
    }
}

fn is_bound(rule: &Rule) -> bool {
    !rule.issuers().is_empty()
}

fn anchor_ref(anchor: &Anchor) -> AnchorRef<'_> {
    AnchorRef { alias: anchor.alias.as_deref(), sha256: &anchor.sha256 }
}

/// What is unclear about an issuer; two entries of one name may be two parties.
fn unclear(issuer: &Issuer, trusted: &[&Anchor]) -> Option<String> {
    let mut entries = trusted.iter().filter(|anchor| issuer.is(anchor_ref(anchor)));
    let first = entries.next();
    match (issuer, first) {
        (_, None) => {
            let aliases: Vec<&str> = trusted.iter().filter_map(|anchor| anchor.alias.as_deref()).take(20).collect();
            let there = match aliases[..] {
                [] => "entries without aliases, to be named by SHA-256".to_owned(),
                _ => aliases.join(", "),
            };
            Some(format!("`{issuer}`, which tls.trust_store doesn't have; it has {there}"))
        }
        (Issuer::Alias(alias), Some(first)) if entries.any(|other| other.sha256 != first.sha256) => {
            Some(format!("`{alias}`, which tls.trust_store has more than once; name the entry by its SHA-256"))
        }
        (_, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests;
