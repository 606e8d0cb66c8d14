//! Java's properties, as `java.util.Properties` reads them from a stream.

use super::NotZooCfg;

/// One key and its value, trimmed as ZooKeeper trims them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) key: String,
    pub(super) value: String,
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// Whether the line is the key, `=` and the value as it is, so that a line editor can take it apart.
    pub(super) plain: bool,
}

/// Reads the whole file; of keys that come twice, both.
///
/// # Errors
/// Where Java would throw, and where it would take what is no text.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Property>, NotZooCfg> {
    if file.contains(&0) {
        return Err(NotZooCfg::new("is no text"));
    }
    // ISO 8859-1, whatever the file was written in.
    let text: String = file.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.lines().flat_map(|line| line.split('\r')).enumerate();
    let mut properties = Vec::new();
    while let Some((index, line)) = lines.next() {
        let mut logical = trim_start(line).to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        let mut plain = true;
        while continues(&logical) {
            plain = false;
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(trim_start(next));
        }
        let (key, value) = split(&logical);
        let unescape = |text| unescape(text).map_err(|wrong| NotZooCfg::at(index + 1, wrong));
        let plain = plain && is_plain(line, key, value);
        let (key, value) = (unescape(key)?, unescape(value)?);
        properties.push(Property {
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
            line: index + 1,
            plain,
        });
    }
    Ok(properties)
}

fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn trim_start(line: &str) -> &str {
    line.trim_start_matches(is_white)
}

/// An odd number of backslashes at the end.
fn continues(line: &str) -> bool {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// The key ends at the first `=`, `:` or blank without a backslash; one `=` or `:` with blanks around it is left out.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && (c == '=' || c == ':' || is_white(c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = trim_start(rest);
    (key, trim_start(rest.strip_prefix(['=', ':']).unwrap_or(rest)))
}

fn is_plain(line: &str, key: &str, value: &str) -> bool {
    let written = line.strip_prefix(key).map(|rest| rest.trim_start_matches(' '));
    let written = written.and_then(|rest| rest.strip_prefix('=')).map(|rest| rest.trim_start_matches(' '));
    written == Some(value) && value.is_ascii() && !value.contains('\\') && value.trim() == value
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut units = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        match chars.next() {
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let hexadecimal = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| hexadecimal);
                units.push(unit.ok_or("`\\u` without four hexadecimal digits, which Java refuses")?);
            }
            Some('t') => units.push(u16::from(b'\t')),
            Some('n') => units.push(u16::from(b'\n')),
            Some('r') => units.push(u16::from(b'\r')),
            Some('f') => units.push(0xc),
            Some(other) => units.extend(other.encode_utf16(&mut [0; 2]).iter()),
            None => {}
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let properties = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        properties.into_iter().map(|property| (property.key, property.value)).collect()
    }

    fn pair(text: &str) -> (String, String) {
        let mut pairs = pairs(text);
        assert_eq!(pairs.len(), 1, "{text:?}: {pairs:?}");
        pairs.remove(0)
    }

    #[test]
    fn keys_end_where_java_ends_them() {
        for line in ["a=b", "a:b", "a b", "  a = b", "a\t:\tb", "a  b", "\u{c}a=b  ", "a=\\\n   b", "a=b\r", "\\a=\\b"]
        {
            assert_eq!(pair(line), ("a".to_owned(), "b".to_owned()), "{line:?}");
        }
        assert_eq!(pair("a\\=b\\ c=d=e"), ("a=b c".to_owned(), "d=e".to_owned()));
        assert_eq!(pair("a==b"), ("a".to_owned(), "=b".to_owned()));
        assert_eq!(pair("alone"), ("alone".to_owned(), String::new()));
        assert_eq!(pair("server.1:zk:2888:3888"), ("server.1".to_owned(), "zk:2888:3888".to_owned()));
    }

    #[test]
    fn comments_and_blank_lines_are_left_out_and_do_not_continue() {
        assert_eq!(pairs("# a=1\\\nb=2\n\n   \n ! c=3\r\nd=4\re=5"), pairs("b=2\nd=4\ne=5"));
        // Within a continued line there are no comments.
        assert_eq!(pair("a=1,\\\n  # 2"), ("a".to_owned(), "1,# 2".to_owned()));
        assert_eq!(pair("a=1\\\\"), ("a".to_owned(), "1\\".to_owned()));
        assert_eq!(pair("a=1\\"), ("a".to_owned(), "1".to_owned()));
        assert_eq!(pairs("a=1\\\n\nb=2"), pairs("a=1\nb=2"));
    }

    #[test]
    fn escapes_are_those_of_java_and_bytes_are_latin_1() {
        assert_eq!(pair("a=C\\:\\\\x\\u00e9\\ud83d\\ude00\\q").1, "C:\\xé😀q");
        assert_eq!(parse(b"a=\xe9").unwrap()[0].value, "é");
        for bad in ["a=\\u12", "a=\\u+123", "a=1\nb=\\uxyzw"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(parse(b"a=1\\\n2\n\nb=\\uzzzz").unwrap_err().line, Some(4));
        assert!(parse(b"PK\x03\x04\0\0").is_err());
    }

    #[test]
    fn a_plain_line_is_told_from_one_that_an_editor_would_misread() {
        let plain = |line: &str| parse(line.as_bytes()).unwrap()[0].plain;
        for line in ["key=word", "key = wo#rd=1", "key=wo rd\r"] {
            assert!(plain(line), "{line}");
        }
        for line in ["key:word", " key=word", "key word", "key=wo\\:rd", "key=wor\\\nd", "key=word ", "key=wörd"] {
            assert!(!plain(line), "{line}");
        }
    }
}
