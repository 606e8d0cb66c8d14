//! Reads typed values out of the tree and collects every problem on the way.

use std::path::PathBuf;

use super::{
    keys::{self, KEYS, KeyDefault},
    problem::{ConfigError, Problem},
    raw::{self, Kind, Node, Position},
};

/// Lines for more problems than this are not looked up, and the rest is only counted.
const MAX_PROBLEMS: usize = 100;

/// Where a configuration comes from, as far as its meaning depends on it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// How problems name the file.
    pub(super) file: String,
    /// What relative paths are relative to.
    pub(super) base: PathBuf,
    /// systemd's directory of credentials, if there is one.
    pub(super) credentials: Option<PathBuf>,
}

struct Found {
    position: Option<Position>,
    path: String,
    message: String,
}

/// The tree, and what was found wrong with it so far.
///
/// Every reading method returns `None` only after it noted a problem, so the caller can go on and give up at the end.
pub(super) struct Reader<'a> {
    root: &'a Node,
    pub(super) origin: &'a Origin,
    found: Vec<Found>,
}

/// What stands at a path.
enum Entry<'a> {
    /// Its key, the first one of duplicates.
    Present(&'a Node),
    Absent,
    /// A section above it is not one; that problem is noted already.
    Unreachable,
}

impl<'a> Reader<'a> {
    /// Notes unknown keys, duplicates, and values where sections belong.
    pub(super) fn new(root: &'a Node, origin: &'a Origin) -> Self {
        let mut reader = Self { root, origin, found: Vec::new() };
        reader.check_section(root, "");
        reader
    }

    fn check_section(&mut self, section: &'a Node, path: &str) {
        let entries = match &section.kind {
            Kind::Section(entries) => entries,
            Kind::Null => return,
            other => {
                let message = format!("expected a section (`key: value` lines), found {}", other.describe());
                return self.note(Some(section.position), path, message);
            }
        };
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in entries {
            let Some(word) = key_word(key) else {
                self.note(Some(key.position), path, "a key must be a single word".to_owned());
                continue;
            };
            let below = if path.is_empty() { word } else { format!("{path}.{word}") };
            if seen.contains(&below) {
                self.note(Some(key.position), &below, "is here a second time; keep one".to_owned());
            } else if !keys::is_section(&below) && keys::find(&below).is_none() {
                self.note(Some(key.position), &below, unknown(&below));
            }
            if keys::is_section(&below) {
                self.check_section(value, &below);
            }
            seen.push(below);
        }
    }

    /// The value of a key, or its default.
    pub(super) fn value<T>(
        &mut self,
        path: &'static str,
        parse: impl Fn(&Kind, &Origin) -> Result<T, String>,
    ) -> Option<T> {
        match self.optional(path, &parse)? {
            Some(value) => Some(value),
            None => match keys::find(path).map(|key| key.default) {
                Some(KeyDefault::Written(text)) => {
                    let written = raw::parse(text).expect("the table's defaults are YAML; a test reads them all");
                    Some(parse(&written.kind, self.origin).expect("the table's defaults are valid"))
                }
                _ => {
                    self.problem(path, "is required");
                    None
                }
            },
        }
    }

    /// The value of a key, if it is written. `None` stands for a problem, `Some(None)` for no such key.
    pub(super) fn optional<T>(
        &mut self,
        path: &'static str,
        parse: impl Fn(&Kind, &Origin) -> Result<T, String>,
    ) -> Option<Option<T>> {
        self.each(path, |reader, key, value| reader.read(path, (key, value), &parse))
    }

    /// The elements of a list; a single value is a list of one. `Some(None)` if the key is not written.
    pub(super) fn list<T>(
        &mut self,
        path: &'static str,
        parse: impl Fn(&Kind, &Origin) -> Result<T, String>,
    ) -> Option<Option<Vec<T>>> {
        self.each(path, |reader, key, value| {
            let Kind::List(elements) = &value.kind else {
                return reader.read(path, (key, value), |kind, origin| Ok(vec![parse(kind, origin)?]));
            };
            let mut values = Vec::new();
            for (index, element) in elements.iter().enumerate() {
                match parse(&element.kind, reader.origin) {
                    Ok(value) => values.push(value),
                    Err(message) => reader.note(Some(element.position), &format!("{path}[{index}]"), message),
                }
            }
            (values.len() == elements.len()).then_some(values)
        })
    }

    /// Reads the value of a key, and of its duplicates for their problems alone.
    fn each<T>(
        &mut self,
        path: &'static str,
        mut read: impl FnMut(&mut Self, &'a Node, &'a Node) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.entry(path) {
            Entry::Present(..) => {}
            Entry::Absent => return Some(None),
            Entry::Unreachable => return None,
        }
        let (written, _) = self.written(path);
        let values: Vec<_> = written.into_iter().map(|(key, value)| read(self, key, value)).collect();
        values.into_iter().next()?.map(Some)
    }

    fn read<T>(
        &mut self,
        path: &str,
        (key, value): (&Node, &Node),
        parse: impl Fn(&Kind, &Origin) -> Result<T, String>,
    ) -> Option<T> {
        let parsed = match &value.kind {
            Kind::Null => Err("has no value; write one, or take the key out".to_owned()),
            Kind::Tagged => Err("`!tags` have no meaning here".to_owned()),
            kind => parse(kind, self.origin),
        };
        parsed.map_err(|message| self.note(Some(key.position), path, message)).ok()
    }

    /// Whether the key is written in the file.
    pub(super) fn is_written(&self, path: &'static str) -> bool {
        matches!(self.entry(path), Entry::Present(..))
    }

    /// Notes a problem at a key, or at the section where it is missing.
    pub(super) fn problem(&mut self, path: &'static str, message: impl Into<String>) {
        let position = match self.entry(path) {
            Entry::Present(key) => Some(key.position),
            Entry::Absent => enclosing(self.root, path),
            // Noted where the section is.
            Entry::Unreachable => return,
        };
        self.note(position, path, message.into());
    }

    /// What was found, in the order of the file, each with its line.
    pub(super) fn finish(mut self, text: &str) -> Result<(), ConfigError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|found| found.position.unwrap_or(usize::MAX));
        let problem = |line, path, message| Problem { file: self.origin.file.clone(), line, path, message };
        let mut problems: Vec<Problem> = Vec::new();
        for found in self.found.iter().take(MAX_PROBLEMS) {
            let line = found.position.and_then(|position| raw::line_of(text, position));
            problems.push(problem(line, found.path.clone(), found.message.clone()));
        }
        if let Some(rest) = self.found.len().checked_sub(MAX_PROBLEMS).filter(|rest| *rest > 0) {
            problems.push(problem(None, String::new(), format!("and {rest} more problems")));
        }
        Err(ConfigError { problems })
    }

    fn note(&mut self, position: Option<Position>, path: &str, message: String) {
        // Keys and values may be repeated in it; a problem is one line all the same.
        let printable = |text: &str| text.replace(char::is_control, "\u{fffd}");
        self.found.push(Found { position, path: printable(path), message: printable(&message) });
    }

    fn entry(&self, path: &'static str) -> Entry<'a> {
        match self.written(path) {
            (written, _) if !written.is_empty() => Entry::Present(written[0].0),
            (_, true) => Entry::Unreachable,
            (_, false) => Entry::Absent,
        }
    }

    /// Every place where the key is written, in the order of the file: several, where it or a section of it is
    /// duplicated. And whether a section of it is none.
    fn written(&self, path: &'static str) -> (Vec<(&'a Node, &'a Node)>, bool) {
        debug_assert!(KEYS.iter().any(|key| key.path == path), "{path} is not in the table of keys");
        let (mut sections, mut written, mut unreachable) = (vec![self.root], Vec::new(), false);
        for word in path.split('.') {
            written.clear();
            for section in sections {
                match &section.kind {
                    Kind::Section(entries) => {
                        let named = entries.iter().filter(|(key, _)| matches!(&key.kind, Kind::Text(k) if k == word));
                        written.extend(named.map(|(key, value)| (key, value)));
                    }
                    Kind::Null => {}
                    _ => unreachable = true,
                }
            }
            sections = written.iter().map(|(_, value)| *value).collect();
        }
        (written, unreachable)
    }
}

/// Where the path stands, or the innermost section of it that is written.
pub(super) fn enclosing(root: &Node, path: &str) -> Option<Position> {
    let mut position = None;
    let mut section = root;
    for word in path.split('.') {
        let Kind::Section(entries) = &section.kind else { break };
        let entry = entries.iter().find(|(key, _)| matches!(&key.kind, Kind::Text(k) if k == word));
        let Some((key, value)) = entry else { break };
        position = Some(key.position);
        section = value;
    }
    position
}

fn key_word(key: &Node) -> Option<String> {
    match &key.kind {
        Kind::Text(word) => Some(word.clone()),
        Kind::Integer(number) => Some(number.to_string()),
        Kind::Bool(value) => Some(value.to_string()),
        Kind::Null | Kind::Number | Kind::List(_) | Kind::Section(_) | Kind::Tagged => None,
    }
}

fn unknown(path: &str) -> String {
    match (path.rsplit('.').next(), keys::near_miss(path)) {
        (Some("<<"), _) => "merge keys are not supported; write the keys out".to_owned(),
        (_, Some(meant)) => format!("unknown key; did you mean `{meant}`?"),
        (_, None) => "unknown key".to_owned(),
    }
}
