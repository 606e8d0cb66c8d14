//! The configuration as it is printed: notes as comments, then keys by section.

use std::fmt::Write;

use crate::cli::text::escaped;

/// Comments are broken at this column, commands and settings are not.
const WIDTH: usize = 110;

/// A configuration to be, and what must be said of it.
#[derive(Default)]
pub(super) struct Page {
    keys: Vec<Key>,
    /// What must be done before zoogate can start.
    pub(super) first: Vec<Note>,
    /// What must be changed in ZooKeeper's settings.
    pub(super) server: Vec<Note>,
    /// Ports beside the gate.
    pub(super) doors: Vec<Note>,
    /// What there is no key for.
    pub(super) lost: Vec<Note>,
}

struct Key {
    section: &'static str,
    name: &'static str,
    value: String,
    comment: Option<&'static str>,
}

/// A sentence, and lines that belong to it as they are: commands, or settings.
pub(super) struct Note {
    pub(super) text: String,
    lines: Vec<String>,
}

impl Note {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), lines: Vec::new() }
    }

    pub(super) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }
}

impl Page {
    /// Sets `section.name` to a value that is YAML.
    pub(super) fn set(&mut self, section: &'static str, name: &'static str, value: impl Into<String>) {
        self.keys.push(Key { section, name, value: value.into(), comment: None });
    }

    /// [`set`](Self::set) with a comment behind it.
    pub(super) fn set_with(&mut self, place: (&'static str, &'static str), value: String, comment: &'static str) {
        self.keys.push(Key { section: place.0, name: place.1, value, comment: Some(comment) });
    }

    pub(super) fn first(&mut self, note: Note) {
        self.first.push(note);
    }

    pub(super) fn server(&mut self, note: Note) {
        self.server.push(note);
    }

    pub(super) fn lost(&mut self, text: impl Into<String>) {
        self.lost.push(Note::new(text));
    }

    /// All of it; `source` is the file that it was made of.
    pub(super) fn print(&self, source: &str) -> String {
        let mut out = format!("# zoogate's configuration for the ZooKeeper server of {}.\n", escaped(source));
        let lists = [
            ("Before `zoogate check --config` finds it good:", &self.first),
            (
                "Doors of this server beside the gate; a firewall may close them too. `zoogate check --upstream` looks again:",
                &self.doors,
            ),
            ("In ZooKeeper's settings; docs/migration.md has the order of steps:", &self.server),
            ("Not carried over:", &self.lost),
        ];
        for (heading, notes) in lists.into_iter().filter(|(_, notes)| !notes.is_empty()) {
            let _ = writeln!(out, "#\n# {heading}");
            notes.iter().for_each(|note| comment(&mut out, note));
        }
        for section in self.sections() {
            let _ = writeln!(out, "\n{section}:");
            for key in self.keys.iter().filter(|key| key.section == section) {
                let comment = key.comment.map(|comment| format!("   # {comment}")).unwrap_or_default();
                let _ = writeln!(out, "  {}: {}{comment}", key.name, key.value);
            }
        }
        out.truncate(out.trim_end().len());
        out
    }

    /// Each once, in the order of their first keys: a section that comes twice is an error.
    fn sections(&self) -> Vec<&'static str> {
        let mut sections = Vec::new();
        for key in &self.keys {
            if !sections.contains(&key.section) {
                sections.push(key.section);
            }
        }
        sections
    }
}

fn comment(out: &mut String, note: &Note) {
    let mut line = "# -".to_owned();
    for word in escaped(&note.text).split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = "#  ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
    for line in &note.lines {
        let _ = writeln!(out, "#       {}", escaped(line));
    }
}

/// Text as YAML.
pub(super) fn scalar(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if text.starts_with('/') && text.chars().all(harmless) {
        return text.to_owned();
    }
    if !text.chars().any(|c| escaped(&c.to_string()).len() > c.len_utf8()) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    // JSON's strings are YAML's too; it escapes what a terminal would obey.
    crate::cli::text::json(&text)
}

/// Text as a word of a shell.
pub(super) fn shell_word(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(harmless) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_can_not_leave_its_comment() {
        let mut page = Page::default();
        page.lost("one\nlisten: { address: evil }");
        page.first(Note::new("x ".repeat(200)).line("run\nme"));
        page.set("tls", "crls", "[ a ]");
        let text = page.print("zoo\n.cfg");
        let outside: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(outside, ["tls:", "  crls: [ a ]"], "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn scalars_come_back_from_yaml_as_they_were() {
        for text in ["/a/b.p12", "it's", "a: b # c", "C:\\x", "é ü", "tab\tand\u{1b}", "- x", "true", "{", "\u{202e}"]
        {
            let yaml: String = serde_yaml::from_str(&scalar(text)).unwrap();
            assert_eq!(yaml, text);
        }
    }

    #[test]
    fn words_for_a_shell_are_quoted_where_they_must_be() {
        assert_eq!(shell_word("/etc/zoo.cfg"), "/etc/zoo.cfg");
        assert_eq!(shell_word("a b'c"), r"'a b'\''c'");
        assert_eq!(shell_word("-n"), "'-n'");
    }
}
