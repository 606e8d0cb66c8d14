//! Values of `identity` that are about names: mapping rules, old names, lists of identities.

use super::{
    OldName,
    raw::{Kind, Node},
    reader::{Origin, Reader},
    value,
};
use crate::identity::{
    Identity, Source,
    mapping::{Issuer, Mapping, Rule, RuleError, UnknownIssuer},
};
use crate::policy::{Glob, Policy};

/// The most old names; each is a credential, times the secrets, in front of every session.
const MAX_OLD_NAMES: usize = 8;

/// What stands in `identity` beside the source and the scheme.
pub(super) struct Names {
    pub(super) mapping: Option<Mapping>,
    pub(super) mapping_shadow: Option<Mapping>,
    pub(super) also_inject: Vec<OldName>,
    pub(super) policy: Policy,
    pub(super) superusers: Vec<Identity>,
}

impl Names {
    /// `from` is the source of the identity, as far as it is known.
    pub(super) fn read(r: &mut Reader<'_>, from: Option<Source>) -> Option<Self> {
        let mapping = rules(r, "identity.mapping");
        let mapping_shadow = rules(r, "identity.mapping_shadow");
        let also_inject =
            r.list("identity.also_inject", old_name(from.unwrap_or_default())).map(Option::unwrap_or_default);
        if also_inject.as_ref().is_some_and(|names| names.len() > MAX_OLD_NAMES) {
            r.problem("identity.also_inject", format!("has more than {MAX_OLD_NAMES} names"));
        }
        let allow = r.list("identity.allow", glob).map(Option::unwrap_or_default);
        let deny = r.list("identity.deny", glob).map(Option::unwrap_or_default);
        let superusers = r.list("identity.super", identity).map(Option::unwrap_or_default);
        Some(Self {
            mapping: mapping?,
            mapping_shadow: mapping_shadow?,
            also_inject: also_inject?,
            policy: Policy::new(allow?, deny?),
            superusers: superusers?,
        })
    }
}

fn rules(r: &mut Reader<'_>, path: &'static str) -> Option<Option<Mapping>> {
    let Some(rules) = r.list(path, rule)? else { return Some(None) };
    Mapping::new(rules).map_err(|error| r.problem(path, error.to_string())).ok().map(Some)
}

/// `RULE:…` or `DEFAULT`, alone or with the issuers that it is bound to.
fn rule(kind: &Kind, _: &Origin) -> Result<Rule, String> {
    let Kind::Section(entries) = kind else {
        return plain_rule(kind);
    };
    let [written, issuers] = fields(entries, ["rule", "issuers"])?;
    let written = written.ok_or("needs `rule: …`")?;
    let issuers = issuers.ok_or("needs `issuers: […]`; a rule for everyone is written without a section")?;
    let issuers = elements(issuers).iter().map(issuer).collect::<Result<Vec<_>, _>>()?;
    if issuers.is_empty() {
        return Err("`issuers` is empty, so the rule would hold for nobody".to_owned());
    }
    Ok(plain_rule(&written.kind)?.bound_to(issuers))
}

fn plain_rule(kind: &Kind) -> Result<Rule, String> {
    text(kind, "a rule")?.parse().map_err(|error: RuleError| error.to_string())
}

fn issuer(node: &Node) -> Result<Issuer, String> {
    let written = text(&node.kind, "an issuer's alias or SHA-256")?;
    written.parse().map_err(|error: UnknownIssuer| format!("`issuers`: {error}"))
}

/// `unmapped`, the word of a source, or a source with the rules that used to be applied to it.
fn old_name(from: Source) -> impl Fn(&Kind, &Origin) -> Result<OldName, String> {
    move |kind, origin| match kind {
        Kind::Section(entries) => mapped_old_name(entries, from, origin),
        kind => {
            let expected = "`unmapped`, the word of a source like `subject`, or `{ from: …, mapping: [ … ] }`";
            match value::text(kind, expected)? {
                "unmapped" => Ok(OldName { from, mapping: None }),
                word => match word.parse() {
                    Ok(from) => Ok(OldName { from, mapping: None }),
                    Err(_) => Err(format!("`{word}` is not {expected}")),
                },
            }
        }
    }
}

fn mapped_old_name(entries: &[(Node, Node)], from: Source, origin: &Origin) -> Result<OldName, String> {
    let [other, rules] = fields(entries, ["from", "mapping"])?;
    let other = other.map(|other| value::word(&other.kind, origin)).transpose();
    let other = other.map_err(|error| format!("`from`: {error}"))?;
    let rules = rules.ok_or("needs `mapping: […]`; without one write the source's word alone")?;
    let rules = elements(rules).iter().map(|node| rule(&node.kind, origin)).collect::<Result<Vec<_>, _>>();
    let mapping = rules.and_then(|rules| Mapping::new(rules).map_err(|error| error.to_string()));
    let mapping = mapping.map_err(|error| format!("`mapping`: {error}"))?;
    Ok(OldName { from: other.unwrap_or(from), mapping: Some(mapping) })
}

fn glob(kind: &Kind, _: &Origin) -> Result<Glob, String> {
    Glob::new(text(kind, "an identity, perhaps with `*` and `?`")?).map_err(|error| error.to_string())
}

fn identity(kind: &Kind, _: &Origin) -> Result<Identity, String> {
    Identity::new(text(kind, "an identity")?.to_owned()).map_err(|error| error.detail)
}

/// Names look like YAML's own syntax more often than other values do.
fn text<'a>(kind: &'a Kind, expected: &str) -> Result<&'a str, String> {
    let hint = match kind {
        Kind::Bool(_) | Kind::Integer(_) | Kind::Number => "; put it in quotes",
        Kind::Null | Kind::Text(_) | Kind::List(_) | Kind::Section(_) | Kind::Tagged => "",
    };
    value::text(kind, expected).map_err(|message| format!("{message}{hint}"))
}

/// The values of a small section within a list.
fn fields<'a>(entries: &'a [(Node, Node)], known: [&str; 2]) -> Result<[Option<&'a Node>; 2], String> {
    let mut found = [None; 2];
    for (key, value) in entries {
        let word = value::text(&key.kind, "a key")?;
        let Some(index) = known.iter().position(|known| *known == word) else {
            return Err(format!("unknown key `{word}`; there are `{}` and `{}`", known[0], known[1]));
        };
        if found[index].replace(value).is_some() {
            return Err(format!("`{word}` is here a second time; keep one"));
        }
    }
    Ok(found)
}

/// A list's elements; a single value is a list of one.
fn elements(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(elements) => elements,
        _ => std::slice::from_ref(node),
    }
}
