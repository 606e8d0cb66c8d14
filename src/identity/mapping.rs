//! Names that last: rules that make an identity of a certificate's name, in the syntax of Kafka's
//! `ssl.principal.mapping.rules`.
//!
//! The first rule that matches the whole name decides. A rule may hold for the clients of some trust anchors only, so
//! that the same name under two CAs is not one identity.

use std::fmt;
use std::str::FromStr;

use super::{Identity, IdentityError, MAX_IDENTITY};
use crate::reason::Refusal;

mod pattern;
mod replacement;

use pattern::Pattern;
use replacement::Replacement;

/// Longest rule, in bytes.
pub const MAX_RULE: usize = 4096;

/// The most rules of a mapping; each may be tried for each client.
pub const MAX_RULES: usize = 256;

/// Rules, of which the first that matches decides.
#[derive(Clone, Debug)]
pub struct Mapping {
    rules: Vec<Rule>,
}

/// One rule: what it matches and what it makes of it.
#[derive(Clone, Debug)]
pub struct Rule {
    written: String,
    /// Whose clients it holds for; everyone's if empty.
    issuers: Vec<Issuer>,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    /// The name as it is.
    Default,
    Rewrite {
        pattern: Pattern,
        replacement: Replacement,
        case: Option<Case>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
}

/// A trust anchor as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// The entry's alias in the trust store.
    Alias(String),
    /// SHA-256 of the certificate's DER.
    Sha256([u8; 32]),
}

/// The trust anchor that a client was accepted by.
#[derive(Clone, Copy, Debug)]
pub struct AnchorRef<'a> {
    /// The entry's alias, where the trust store has aliases.
    pub alias: Option<&'a str>,
    /// SHA-256 of the certificate's DER.
    pub sha256: &'a [u8; 32],
}

/// What a mapping made of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Who the client is.
    pub identity: Identity,
    /// The index of the rule that decided.
    pub rule: usize,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Neither of the two forms.
    #[error("is no rule; write `RULE:pattern/replacement/`, with `L` or `U` behind it if you like, or `DEFAULT`")]
    Syntax,
    /// Kafka's way to write a list.
    #[error("holds more than a rule; write each rule as an item of the list")]
    Several,
    /// Longer than [`MAX_RULE`].
    #[error("is longer than {MAX_RULE} bytes")]
    TooLong,
    /// The pattern can't be used.
    #[error("the pattern {0}")]
    Pattern(String),
    /// The replacement doesn't fit the pattern.
    #[error("the replacement {0}")]
    Replacement(String),
}

/// What is wrong with rules that are each right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// No rule, so no client could have a name.
    #[error("has no rule; write one, or take the key out")]
    Empty,
    /// More than [`MAX_RULES`].
    #[error("has more than {MAX_RULES} rules")]
    TooMany,
    /// Rules that nothing can reach.
    #[error("no rule behind `DEFAULT` (number {}) is ever reached; put it last", .0 + 1)]
    Unreachable(usize),
}

/// The word is neither an alias nor a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the alias of a trust-store entry, or the SHA-256 of its certificate")]
pub struct UnknownIssuer;

impl Mapping {
    /// Rules in their order.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, MappingError> {
        if rules.is_empty() {
            return Err(MappingError::Empty);
        }
        if rules.len() > MAX_RULES {
            return Err(MappingError::TooMany);
        }
        let takes_all = |rule: &Rule| matches!(rule.action, Action::Default) && rule.issuers.is_empty();
        match rules.iter().position(takes_all) {
            Some(index) if index + 1 < rules.len() => Err(MappingError::Unreachable(index)),
            _ => Ok(Self { rules }),
        }
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What a client is called whose certificate says `source_name` and who was accepted by `anchor`.
    ///
    /// # Errors
    /// `no_identity` if no rule matches or the result is empty, `malformed` if it is too long, `ambiguous_identity`
    /// if ignoring case would give a name with odd letters the identity of another.
    pub fn apply(&self, source_name: &str, anchor: AnchorRef<'_>) -> Result<Mapped, IdentityError> {
        self.decide(source_name, self.rules.iter().enumerate().filter(|(_, rule)| rule.holds_for(anchor)))
    }

    /// [`apply`](Self::apply) for a certificate whose issuer is not known.
    ///
    /// # Errors
    /// As there, and `ambiguous_identity` if the issuer matters: the first rule that matches is bound to some.
    pub fn apply_without_anchor(&self, source_name: &str) -> Result<Mapped, IdentityError> {
        let mapped = self.decide(source_name, self.rules.iter().enumerate())?;
        if self.rules.get(mapped.rule).is_some_and(|rule| !rule.issuers.is_empty()) {
            let detail = format!(
                "mapping rule {} matches the certificate's name, for clients of some issuers only; zoogate explain \
                 verifies the chain and tells",
                mapped.rule + 1
            );
            return Err(IdentityError::new(Refusal::AmbiguousIdentity, detail));
        }
        Ok(mapped)
    }

    fn decide<'r>(
        &'r self,
        name: &str,
        rules: impl Iterator<Item = (usize, &'r Rule)>,
    ) -> Result<Mapped, IdentityError> {
        for (rule, candidate) in rules {
            if let Some(result) = candidate.rewrite(name) {
                return Ok(Mapped { identity: named(result.map_err(|error| error.at(rule))?, rule)?, rule });
            }
        }
        Err(self.no_rule(name))
    }

    fn no_rule(&self, source_name: &str) -> IdentityError {
        let elsewhere = self.rules.iter().position(|rule| rule.rewrite(source_name).is_some());
        let detail = match elsewhere {
            Some(rule) => {
                let number = rule + 1;
                format!("mapping rule {number} matches the certificate's name, but not for clients of its issuer")
            }
            None => "no mapping rule matches the certificate's name, and there is no DEFAULT".to_owned(),
        };
        IdentityError::new(Refusal::NoIdentity, detail)
    }
}

impl Rule {
    /// Limits the rule to clients of these trust anchors.
    #[must_use]
    pub fn bound_to(self, issuers: Vec<Issuer>) -> Self {
        Self { issuers, ..self }
    }

    /// Whose clients the rule holds for; everyone's if empty.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    fn holds_for(&self, anchor: AnchorRef<'_>) -> bool {
        self.issuers.is_empty() || self.issuers.iter().any(|issuer| issuer.is(anchor))
    }

    /// Nothing if the rule does not match.
    fn rewrite(&self, name: &str) -> Option<Result<String, RewriteError>> {
        let (pattern, replacement, case) = match &self.action {
            Action::Default => return Some(Ok(name.to_owned())),
            Action::Rewrite { pattern, replacement, case } => (pattern, replacement, case),
        };
        let captures = pattern.captures(name)?;
        if pattern.confuses(name) {
            return Some(Err(RewriteError::OddLetters));
        }
        let filled = replacement.fill(&captures).ok_or(RewriteError::TooLong);
        Some(filled.and_then(|filled| match case {
            Some(case) => case.convert(&filled),
            None => Ok(filled),
        }))
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(written: &str) -> Result<Self, RuleError> {
        let written = written.trim();
        if written.len() > MAX_RULE {
            return Err(RuleError::TooLong);
        }
        let action = match written.strip_prefix("RULE:") {
            Some(body) => rewriting(body)?,
            None if written == "DEFAULT" => Action::Default,
            None if written.starts_with("DEFAULT,") => return Err(RuleError::Several),
            None => return Err(RuleError::Syntax),
        };
        Ok(Self { written: written.to_owned(), issuers: Vec::new(), action })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Issuer {
    /// Whether this names that anchor.
    pub fn is(&self, anchor: AnchorRef<'_>) -> bool {
        match self {
            Self::Alias(alias) => anchor.alias == Some(alias),
            Self::Sha256(sha256) => anchor.sha256 == sha256,
        }
    }
}

impl FromStr for Issuer {
    type Err = UnknownIssuer;

    /// Sixty-four hexadecimal digits, with or without colons between the bytes, are a SHA-256; all else is an alias.
    fn from_str(word: &str) -> Result<Self, UnknownIssuer> {
        if word.is_empty() || word.len() > MAX_RULE {
            return Err(UnknownIssuer);
        }
        Ok(sha256(word).map_or_else(|| Self::Alias(word.to_owned()), Self::Sha256))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => f.write_str(alias),
            Self::Sha256(sha256) => sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl Case {
    fn convert(self, text: &str) -> Result<String, RewriteError> {
        let to_ascii = |letter: char| match self {
            Self::Lower => letter.to_lowercase().any(|c| c.is_ascii()),
            Self::Upper => letter.to_uppercase().any(|c| c.is_ascii()),
        };
        // The kelvin sign has a small k: whoever gets a name with it past a CA would be someone else.
        if text.chars().any(|letter| !letter.is_ascii() && to_ascii(letter)) {
            return Err(RewriteError::OddLetters);
        }
        Ok(match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
        })
    }
}

/// Why a name that a rule matches gives no identity.
#[derive(Clone, Copy, Debug)]
enum RewriteError {
    OddLetters,
    TooLong,
}

impl RewriteError {
    fn at(self, rule: usize) -> IdentityError {
        let number = rule + 1;
        match self {
            Self::OddLetters => {
                let detail = format!(
                    "mapping rule {number} ignores case, and the certificate's name has a letter outside ASCII that \
                     would become an ASCII letter"
                );
                IdentityError::new(Refusal::AmbiguousIdentity, detail)
            }
            Self::TooLong => IdentityError::malformed(format!(
                "mapping rule {number} makes a name of more than {MAX_IDENTITY} bytes"
            )),
        }
    }
}

fn named(name: String, rule: usize) -> Result<Identity, IdentityError> {
    if name.is_empty() {
        let detail = format!("mapping rule {} makes an empty name of the certificate's", rule + 1);
        return Err(IdentityError::new(Refusal::NoIdentity, detail));
    }
    Identity::new(name).map_err(|_| RewriteError::TooLong.at(rule))
}

/// `pattern/replacement/[LU]`.
fn rewriting(body: &str) -> Result<Action, RuleError> {
    let (pattern, rest) = until_slash(body).ok_or(RuleError::Syntax)?;
    let (replacement, case) = until_slash(rest).ok_or(RuleError::Syntax)?;
    let case = match case.trim() {
        "" => None,
        "L" => Some(Case::Lower),
        "U" => Some(Case::Upper),
        more if more.contains(',') => return Err(RuleError::Several),
        _ => return Err(RuleError::Syntax),
    };
    let pattern = Pattern::new(pattern).map_err(RuleError::Pattern)?;
    let replacement = Replacement::new(replacement, &pattern).map_err(RuleError::Replacement)?;
    Ok(Action::Rewrite { pattern, replacement, case })
}

/// What stands before and behind the first slash without a backslash. Escapes stay as they are.
fn until_slash(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let slash = text.find(|next| {
        let ends = next == '/' && !escaped;
        escaped = next == '\\' && !escaped;
        ends
    })?;
    Some((&text[..slash], &text[slash + 1..]))
}

fn sha256(word: &str) -> Option<[u8; 32]> {
    let plain = match word.len() {
        64 => word.to_owned(),
        95 if word.split(':').all(|byte| byte.len() == 2) => word.replace(':', ""),
        _ => return None,
    };
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(plain.as_bytes().chunks_exact(2)) {
        *byte = u8::try_from(nibble(digits[0])? << 4 | nibble(digits[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
