//! The YAML as a person typed it: a tree that keeps the order of keys, duplicates, and where each part stands.
//!
//! The parser knows lines only while it fails. So every part gets a number in the order of the file, and the line
//! of a part that turns out to be wrong is found by parsing again and failing exactly there. Only a file with
//! problems pays for that.

use std::{cell::Cell, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, VariantAccess};

/// Files longer than this are refused unread, in bytes.
pub(super) const MAX_FILE: usize = 1024 * 1024;

/// Brackets nested deeper than this are refused unparsed: the parser's time is quadratic in the depth.
const MAX_NESTING: usize = 64;

/// More parts than this are refused: aliases let a short file stand for a huge one.
const MAX_PARTS: usize = 20_000;

const TOO_MANY_PARTS: &str = "too many keys and values; is it the right file?";

/// The number of a part in the order of the file.
pub(super) type Position = usize;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) position: Position,
    pub(super) kind: Kind,
}

/// A value as YAML understands it.
#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Integer(i64),
    /// A fraction, or a whole number beyond 64 bits.
    Number,
    Text(String),
    List(Vec<Node>),
    Section(Vec<(Node, Node)>),
    /// A value with a `!tag`, which no key of ours has.
    Tagged,
}

impl Kind {
    /// What it is, for "expected …, found …". Text is not repeated: it may be a secret in the wrong place.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => format!("the number {value}"),
            Self::Number => "a number that is not whole, or too large".to_owned(),
            Self::Text(_) => "text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Section(_) => "a section with keys".to_owned(),
            Self::Tagged => "a value with a !tag".to_owned(),
        }
    }
}

/// Why a file is not YAML that can be looked into.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

/// Parses the file. An empty file is an empty section.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let text = without_mark(text);
    check_nesting(text)?;
    let next = Cell::new(0);
    let part = Part { next: &next, fail_at: None };
    part.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let there = line.and_then(|line| text.lines().nth(line - 1)).unwrap_or_default();
        SyntaxError { line, message: plain_message(&error.to_string(), there) }
    })
}

/// The line of a part, counted from 1.
pub(super) fn line_of(text: &str, position: Position) -> Option<usize> {
    let next = Cell::new(0);
    let part = Part { next: &next, fail_at: Some(position) };
    let error = part.deserialize(serde_yaml::Deserializer::from_str(without_mark(text))).err()?;
    error.location().map(|location| location.line())
}

/// The text without the byte order mark that some editors and PowerShell put in front.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The parser's sentence without the position, which is told in front of it, and with what it usually means.
fn plain_message(message: &str, line: &str) -> String {
    if message.contains("more than one document") {
        return "the file holds more than one YAML document (`---`); keep one".to_owned();
    }
    if message.contains(TOO_MANY_PARTS) {
        return TOO_MANY_PARTS.to_owned();
    }
    let indentation = line.len() - line.trim_start().len();
    if line[..indentation].contains('\t') {
        return "a tab in the indentation; YAML wants spaces".to_owned();
    }
    let plain = message.split(" at line ").next().unwrap_or(message);
    let hint = if line.contains("]:") { "; an address like `\"[::]:2281\"` needs its quotes" } else { "" };
    format!("not valid YAML: {plain}{hint}")
}

/// Counts brackets without regard to quotes and comments: too strict only for files that nobody writes.
fn check_nesting(text: &str) -> Result<(), SyntaxError> {
    let too_deep = |line| SyntaxError {
        line: Some(line),
        message: format!("brackets or dashes are nested more than {MAX_NESTING} deep"),
    };
    let mut depth = 0_usize;
    for (index, line) in text.lines().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_NESTING {
                return Err(too_deep(index + 1));
            }
        }
        let dashes = line.trim_start().split([' ', '\t']).take_while(|word| matches!(*word, "-" | "?" | "")).count();
        if dashes > MAX_NESTING {
            return Err(too_deep(index + 1));
        }
    }
    Ok(())
}

/// Reads one part and everything below it, or fails at a chosen part so that the parser tells its line.
#[derive(Clone, Copy)]
struct Part<'a> {
    next: &'a Cell<Position>,
    fail_at: Option<Position>,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let position = self.next.get();
        self.next.set(position + 1);
        if position >= MAX_PARTS {
            return Err(de::Error::custom(TOO_MANY_PARTS));
        }
        if self.fail_at == Some(position) {
            return deserializer.deserialize_any(Fail);
        }
        let kind = deserializer.deserialize_any(self)?;
        Ok(Node { position, kind })
    }
}

impl<'de> de::Visitor<'de> for Part<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    /// An empty file.
    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(i64::try_from(value).map_or(Kind::Number, Kind::Integer))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Kind, E> {
        Ok(Kind::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Kind, E> {
        Ok(Kind::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Kind, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Kind::List(elements))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(self)? {
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Kind::Section(entries))
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, tagged: A) -> Result<Kind, A::Error> {
        let (_, value) = tagged.variant::<String>()?;
        value.newtype_variant::<de::IgnoredAny>()?;
        Ok(Kind::Tagged)
    }
}

/// Accepts nothing: whatever stands there is an error, and the parser adds the line.
struct Fail;

impl<'de> de::Visitor<'de> for Fail {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}
