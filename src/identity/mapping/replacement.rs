//! What a rule makes of a name, as Java's `Matcher.appendReplacement` reads it.

use regex::Captures;

use super::pattern::Pattern;
use crate::identity::MAX_IDENTITY;

/// Text with references to groups.
#[derive(Clone, Debug)]
pub(super) struct Replacement(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// Reads `$1`, `${name}` and backslash escapes.
    ///
    /// # Errors
    /// A reference to a group that the pattern doesn't have, or a `$` that refers to none.
    pub(super) fn new(written: &str, pattern: &Pattern) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = written.chars();
        while let Some(next) = rest.next() {
            match next {
                '\\' => text.push(rest.next().ok_or("ends in a backslash")?),
                '$' => {
                    let (group, after) = reference(rest.as_str(), pattern)?;
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    pieces.push(Piece::Group(group));
                    rest = after.chars();
                }
                other => text.push(other),
            }
        }
        pieces.push(Piece::Text(text));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self(pieces))
    }

    /// The result; `None` if it is longer than an identity may be.
    pub(super) fn fill(&self, captures: &Captures<'_>) -> Option<String> {
        let mut result = String::new();
        for piece in &self.0 {
            result.push_str(match piece {
                Piece::Text(text) => text,
                // A group that took no part is empty.
                Piece::Group(group) => captures.get(*group).map_or("", |group| group.as_str()),
            });
            if result.len() > MAX_IDENTITY {
                return None;
            }
        }
        Some(result)
    }
}

/// The group that is named behind a `$`, and what follows. Digits are taken as long as such a group exists: `$12` is
/// group 1 and the digit 2 where there are fewer than 12.
fn reference<'w>(rest: &'w str, pattern: &Pattern) -> Result<(usize, &'w str), String> {
    if let Some(braced) = rest.strip_prefix('{') {
        let (name, after) = braced.split_once('}').ok_or("has a `${` without its `}`")?;
        let group = pattern.group(name).ok_or_else(|| format!("refers to `${{{name}}}`, which is no group"))?;
        return Ok((group, after));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(r"has a `$` without a group's number; for the character write `\$`".to_owned());
    }
    let mut group = 0;
    let mut taken = 0;
    for digit in rest.bytes().take(digits) {
        let longer = group * 10 + usize::from(digit - b'0');
        if longer > pattern.groups() {
            break;
        }
        (group, taken) = (longer, taken + 1);
    }
    if taken == 0 {
        let first = &rest[..1];
        return Err(format!("refers to `${first}`, and the pattern has {} groups", pattern.groups()));
    }
    Ok((group, &rest[taken..]))
}
