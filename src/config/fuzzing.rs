//! The property of the configuration; see `crate::fuzzing`.

use std::fmt::Write as _;
use std::path::Path;

use super::Config;
use super::raw::{self, Kind, Node};

/// A configuration file.
pub(crate) fn yaml(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    // YAML ends lines at more characters than most editors.
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    if let Err(error) = Config::parse(text, Path::new("/etc/zoogate"), "zoogate.yaml") {
        assert!(!error.problems.is_empty());
        for problem in &error.problems {
            let line = problem.line.unwrap_or(1);
            assert!((1..=lines + 1).contains(&line), "{problem} of {lines}");
        }
    }
    let Ok(root) = raw::parse(text) else { return };
    let mut printed = String::new();
    if !print(&root, &mut printed) {
        return;
    }
    // Brackets in text count as nesting, and what is nested by indentation is nested by brackets in print.
    let Ok(again) = raw::parse(&printed) else {
        assert!(printed.matches(['[', '{']).count() > 64, "can't be read again: {printed}");
        return;
    };
    let mut twice = String::new();
    print(&again, &mut twice);
    assert_eq!(twice, printed);
}

/// Prints a value in brackets and quotes; `false` if it holds what is not kept.
fn print(node: &Node, out: &mut String) -> bool {
    match &node.kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Kind::Integer(value) => out.push_str(&value.to_string()),
        Kind::Text(text) => quote(text, out),
        Kind::List(elements) => {
            out.push('[');
            let whole = elements.iter().all(|element| print(element, out) && add(out, ", "));
            out.push(']');
            return whole;
        }
        Kind::Section(entries) => {
            out.push('{');
            let whole = entries.iter().all(|(key, value)| {
                add(out, "? ") && print(key, out) && add(out, " : ") && print(value, out) && add(out, ", ")
            });
            out.push('}');
            return whole;
        }
        Kind::Number | Kind::Tagged => return false,
    }
    true
}

fn add(out: &mut String, text: &str) -> bool {
    out.push_str(text);
    true
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            ' '..='~' if c != '"' && c != '\\' => out.push(c),
            _ => write!(out, "\\U{:08x}", u32::from(c)).expect("a String takes all that is written"),
        }
    }
    out.push('"');
}
