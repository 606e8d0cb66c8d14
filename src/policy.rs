//! Who may come in: lists of identities with wildcards. A denial wins; an empty list of the allowed means everyone.

use std::fmt;

use crate::identity::{Identity, MAX_IDENTITY};
use crate::reason::Refusal;

/// The lists.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allow: Vec<Glob>,
    deny: Vec<Glob>,
}

/// Identities by a pattern: `*` is any run of characters, `?` is any one, everything else is itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(String);

/// An identity may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The index in the list of the allowed; `None` where that list is empty.
    pub rule: Option<usize>,
}

/// An identity may not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// A pattern of the denied matches.
    #[error("the identity is on the list identity.deny, by `{glob}` (number {})", rule + 1)]
    Listed {
        /// The index in the list of the denied.
        rule: usize,
        /// What stands there.
        glob: Glob,
    },
    /// The list of the allowed is not empty, and none of it matches.
    #[error("the identity is not on the list identity.allow")]
    Unlisted,
}

/// The text can't be a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It would match nobody.
    #[error("is empty; write an identity, with `*` for any characters and `?` for one")]
    Empty,
    /// Longer than any identity.
    #[error("is longer than {MAX_IDENTITY} bytes, as no identity is")]
    TooLong,
}

impl Policy {
    /// A policy of two lists.
    pub fn new(allow: Vec<Glob>, deny: Vec<Glob>) -> Self {
        Self { allow, deny }
    }

    /// Whether an identity may come in.
    ///
    /// # Errors
    /// Why it may not.
    pub fn decide(&self, identity: &Identity) -> Result<Grant, Denial> {
        let listed = |globs: &[Glob]| globs.iter().position(|glob| glob.matches(identity.as_str()));
        if let Some(rule) = listed(&self.deny) {
            return Err(Denial::Listed { rule, glob: self.deny[rule].clone() });
        }
        match listed(&self.allow) {
            None if !self.allow.is_empty() => Err(Denial::Unlisted),
            rule => Ok(Grant { rule }),
        }
    }

    /// Whether the identity is on the list of the denied, whatever the other list says.
    pub fn denies(&self, identity: &Identity) -> bool {
        matches!(self.decide(identity), Err(Denial::Listed { .. }))
    }
}

impl Denial {
    /// The word for it.
    pub fn refusal(&self) -> Refusal {
        Refusal::Denied
    }
}

impl Glob {
    /// Takes the text as a pattern; there is no way to write a literal `*` or `?`.
    ///
    /// # Errors
    /// If it could match no identity.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        match text.len() {
            0 => Err(GlobError::Empty),
            1..=MAX_IDENTITY => Ok(Self(text.to_owned())),
            _ => Err(GlobError::TooLong),
        }
    }

    /// Whether it matches the whole name. Time is at most the product of both lengths.
    pub fn matches(&self, name: &str) -> bool {
        let (mut glob, mut rest) = (self.0.chars(), name.chars());
        // Behind the last star, and what of the name it has not swallowed.
        let mut again = None;
        loop {
            match (glob.next(), rest.clone().next()) {
                (Some('*'), _) => again = Some((glob.clone(), rest.clone())),
                (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                    rest.next();
                }
                (None, None) => return true,
                _ => {
                    let Some((behind, left)) = &mut again else { return false };
                    // One more character for the star.
                    if left.next().is_none() {
                        return false;
                    }
                    (glob, rest) = (behind.clone(), left.clone());
                }
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn globs(texts: &[&str]) -> Vec<Glob> {
        texts.iter().map(|text| Glob::new(text).unwrap()).collect()
    }

    fn matches(glob: &str, name: &str) -> bool {
        Glob::new(glob).unwrap().matches(name)
    }

    fn decide(allow: &[&str], deny: &[&str], name: &str) -> Result<Grant, Denial> {
        Policy::new(globs(allow), globs(deny)).decide(&Identity::new(name.to_owned()).unwrap())
    }

    #[test]
    fn a_star_is_any_run_and_a_question_mark_is_one_character() {
        for (glob, name) in [
            ("*", "x"),
            ("CN=*,O=Example", "CN=a,OU=b,O=Example"),
            ("*.example.org", "zk.example.org"),
            ("app-?", "app-é"),
            ("**a**", "bab"),
            ("a*b*c", "abbcbc"),
            ("spiffe://x/*", "spiffe://x/"),
            ("*\n*", "CN=a\nb"),
        ] {
            assert!(matches(glob, name), "{glob} {name}");
        }
        for (glob, name) in [
            ("app", "app-1"),
            ("app", "xapp"),
            ("app-?", "app-"),
            ("app-?", "app-10"),
            ("a*b*c", "abcb"),
            ("App", "app"),
            ("CN=*,O=Example", "CN=a,O=Example,C=US"),
        ] {
            assert!(!matches(glob, name), "{glob} {name}");
        }
    }

    #[test]
    fn every_other_character_stands_for_itself() {
        for literal in ["a.b", "[ab]", "a|b", "(a)", "^a$", "{a,b}", r"a\b", "a+", "!a"] {
            assert!(matches(literal, literal));
        }
        assert!(!matches("a.b", "axb"));
        assert!(!matches("[ab]", "a"));
        assert!(!matches(r"\*", "*"));
    }

    #[test]
    fn a_denial_wins_over_a_grant() {
        assert_eq!(decide(&["app-*"], &["app-2"], "app-1"), Ok(Grant { rule: Some(0) }));
        let denial = decide(&["app-2", "*"], &["x", "app-?"], "app-2").unwrap_err();
        assert_eq!(denial.to_string(), "the identity is on the list identity.deny, by `app-?` (number 2)");
        assert_eq!(denial.refusal(), Refusal::Denied);
    }

    #[test]
    fn an_empty_list_of_the_allowed_means_everyone() {
        assert_eq!(decide(&[], &[], "anyone"), Ok(Grant { rule: None }));
        assert_eq!(decide(&[], &["eve"], "anyone"), Ok(Grant { rule: None }));
        assert_eq!(decide(&["alice", "b*"], &[], "bob"), Ok(Grant { rule: Some(1) }));
        assert_eq!(decide(&["alice"], &[], "eve"), Err(Denial::Unlisted));
    }

    #[test]
    fn only_the_list_of_the_denied_denies_an_old_name() {
        let policy = Policy::new(globs(&["new-*"]), globs(&["old-admin"]));
        let identity = |name: &str| Identity::new(name.to_owned()).unwrap();
        assert!(policy.denies(&identity("old-admin")));
        assert!(!policy.denies(&identity("old-app")));
    }

    #[test]
    fn a_pattern_that_no_identity_can_match_is_refused() {
        assert_eq!(Glob::new(""), Err(GlobError::Empty));
        assert_eq!(Glob::new(&"a".repeat(MAX_IDENTITY + 1)), Err(GlobError::TooLong));
    }

    #[test]
    fn many_stars_against_a_long_name_end_soon() {
        let begun = std::time::Instant::now();
        assert!(!matches(&format!("{}c", "a*".repeat(2000)), &"a".repeat(MAX_IDENTITY)));
        assert!(!matches(&format!("{}c", "*a".repeat(1000)), &"a".repeat(MAX_IDENTITY)));
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }

    /// The definition, in exponential time.
    fn by_definition(glob: &[char], name: &[char]) -> bool {
        match (glob, name) {
            ([], rest) => rest.is_empty(),
            (['*', glob @ ..], rest) => (0..=rest.len()).any(|taken| by_definition(glob, &rest[taken..])),
            (['?', glob @ ..], [_, rest @ ..]) => by_definition(glob, rest),
            ([wanted, glob @ ..], [found, rest @ ..]) => wanted == found && by_definition(glob, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_its_definition_says(glob in "[ab*?]{1,8}", name in "[abé]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&glob, &name), by_definition(&chars(&glob), &chars(&name)));
        }
    }
}
