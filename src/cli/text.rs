//! Output that can't play tricks: what stands in a certificate is chosen by whoever asked for it.

use std::fmt::Write;

use serde::Serialize;

/// Text for people. Characters that move a terminal's cursor, or the order in which letters are shown, are written
/// as `\u{1b}`.
pub(super) fn escaped(text: &str) -> String {
    replace_tricky(text, |out, c| out.extend(c.escape_unicode()))
}

/// One line of JSON, in which those characters are escaped too.
pub(super) fn json(value: &impl Serialize) -> String {
    let plain = serde_json::to_string(value).expect("structs of text can be written as JSON");
    // Such characters stand only within strings here.
    replace_tricky(&plain, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String can't fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn replace_tricky(text: &str, write: impl Fn(&mut String, char)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_tricky(c) { write(&mut out, c) } else { out.push(c) }
    }
    out
}

/// Control characters, line and paragraph separators, and format characters that reorder or hide.
fn is_tricky(c: char) -> bool {
    let hides = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(escaped("CN=\u{1b}[2J\r\n"), "CN=\\u{1b}[2J\\u{d}\\u{a}");
        assert_eq!(escaped("a\u{9b}b\u{202e}c"), "a\\u{9b}b\\u{202e}c");
        assert_eq!(escaped("CN=Zoë 北京 😀\\,\\+"), "CN=Zoë 北京 😀\\,\\+");
    }

    #[test]
    fn json_means_the_same_text_and_is_printable() {
        for text in ["\u{1b}[2J\u{9b}\u{7f}\n", "\u{202e}abc", "tag \u{e0041}", "Zoë \"q\" \\ 😀"] {
            let line = json(&text);
            assert!(!line.chars().any(is_tricky), "{line:?}");
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
