//! Patterns as `java.util.regex` reads them, for an engine whose time is linear in the name.
//!
//! Where both engines know a construct and mean the same, it passes; where they mean different things, it is
//! translated; where that can't be done, it is refused. A rule that a person brings along from Java never means
//! something else here without a word.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Captures, Regex, RegexBuilder};

/// The most memory of a compiled pattern, in bytes. It bounds the time per name too.
const MAX_COMPILED: usize = 256 * 1024;

/// Letters outside ASCII that `(?i)` takes for an ASCII letter here, and Java does not: long s and the kelvin sign.
const FOLDED_TO_ASCII: [char; 2] = ['\u{17f}', '\u{212a}'];

/// A pattern that matches whole names only.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Whether a part of it ignores case.
    folds: bool,
}

impl Pattern {
    /// Compiles a pattern of Java.
    ///
    /// # Errors
    /// What is wrong with it, or which construct has no meaning here.
    pub(super) fn new(written: &str) -> Result<Self, String> {
        let mut translation = Translation::new(written);
        translation.run()?;
        let Translation { out, folds, beyond_ascii, .. } = translation;
        if folds && beyond_ascii {
            return Err(
                "ignores case by `(?i)` and has characters beyond ASCII or their codes, whose case Java does not \
                        ignore; write out both cases of each letter instead"
                    .to_owned(),
            );
        }
        // On its own first: `a)|(b` must not become sensible by what is put around it.
        compile(&out)?;
        Ok(Self { regex: compile(&format!(r"\A(?:{out})\z"))?, folds })
    }

    /// The groups of a name that matches as a whole.
    pub(super) fn captures<'n>(&self, name: &'n str) -> Option<Captures<'n>> {
        self.regex.captures(name)
    }

    /// Whether this name looks the same as an ASCII one to a pattern that ignores case.
    pub(super) fn confuses(&self, name: &str) -> bool {
        self.folds && name.contains(FOLDED_TO_ASCII)
    }

    /// How many groups there are, without the whole.
    pub(super) fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// The number of a named group.
    pub(super) fn group(&self, name: &str) -> Option<usize> {
        self.regex.capture_names().position(|group| group == Some(name))
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED).nest_limit(64).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "is too large when its repetitions are written out".to_owned(),
        // The engine draws a picture over many lines; its last line says it all.
        error => {
            let message = error.to_string();
            let last = message.lines().last().unwrap_or_default();
            format!("is no regular expression: {}", last.trim_start_matches("error: "))
        }
    })
}

/// What the last thing was that a quantifier may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Atom,
    Quantifier,
    Lazy,
}

/// A pattern on its way from Java's syntax to the engine's.
struct Translation<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    /// Whether a character class is open.
    class: bool,
    folds: bool,
    /// Whether it has a character beyond ASCII, or a code that may be one.
    beyond_ascii: bool,
    last: Last,
}

impl<'p> Translation<'p> {
    fn new(written: &'p str) -> Self {
        Self {
            rest: written.chars().peekable(),
            out: String::with_capacity(written.len()),
            class: false,
            folds: false,
            beyond_ascii: false,
            last: Last::Atom,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(next) = self.rest.next() {
            self.beyond_ascii |= !next.is_ascii();
            match next {
                '\\' => self.escape()?,
                other if self.class => self.in_class(other)?,
                '[' => self.open_class()?,
                '(' => self.open_group()?,
                '*' | '+' | '?' => self.quantifier(next)?,
                '{' => self.repetition()?,
                // Java's dot stops at more line ends than the engine's.
                '.' => self.atom(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
                other => self.atom(other.encode_utf8(&mut [0; 4])),
            }
        }
        Ok(())
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Atom;
    }

    fn escape(&mut self) -> Result<(), String> {
        let escaped = self.rest.next().ok_or("ends in a backslash")?;
        self.beyond_ascii |= !escaped.is_ascii() || matches!(escaped, 'x' | 'u');
        match escaped {
            'd' => self.atom("[0-9]"),
            'D' => self.atom("[^0-9]"),
            'w' => self.atom("[a-zA-Z0-9_]"),
            'W' => self.atom("[^a-zA-Z0-9_]"),
            's' => self.atom(r"[ \t\n\x0b\f\r]"),
            'S' => self.atom(r"[^ \t\n\x0b\f\r]"),
            'p' | 'P' => self.property(escaped == 'P')?,
            'a' | 'f' | 'n' | 'r' | 't' | 'x' | 'u' | 'A' | 'z' | 'b' | 'B' => {
                if self.rest.peek() == Some(&'{') && escaped.eq_ignore_ascii_case(&'b') {
                    return Err(format!("has `\\{escaped}{{`, which is not supported"));
                }
                self.atom(&format!("\\{escaped}"));
                self.code(escaped)?;
            }
            '1'..='9' | 'k' => {
                return Err(format!("refers back to a group by `\\{escaped}`, which is not supported"));
            }
            'Q' | 'E' => return Err(r"has `\Q…\E`, which is not supported; escape each character by itself".to_owned()),
            other if other.is_ascii_alphanumeric() => return Err(format!("has `\\{other}`, which is not supported")),
            other => self.atom(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        Ok(())
    }

    /// The digits behind `\x` or `\u`. Their braces are no repetition.
    fn code(&mut self, escaped: char) -> Result<(), String> {
        match (escaped, self.rest.peek()) {
            ('x', Some('{')) => {
                let braces = self.through('}')?;
                self.out.push_str(&braces);
            }
            ('u', Some('{')) => return Err(r"has `\u{`; write `\x{`".to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// `\p{Alpha}` and its kin mean ASCII in Java.
    fn property(&mut self, negated: bool) -> Result<(), String> {
        let braced = self.rest.peek() == Some(&'{');
        let written = if braced { self.through('}')? } else { self.rest.next().map(String::from).unwrap_or_default() };
        const ASCII: &[&str] = &[
            "Lower", "Upper", "ASCII", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl",
            "XDigit", "Space",
        ];
        let name = written.trim_matches(['{', '}']);
        if ASCII.contains(&name) {
            let not = if negated { "^" } else { "" };
            self.atom(&format!("[[:{not}{}:]]", name.to_lowercase()));
        } else {
            self.atom(&format!("\\{}{written}", if negated { 'P' } else { 'p' }));
        }
        Ok(())
    }

    /// What is left up to and with this character.
    fn through(&mut self, end: char) -> Result<String, String> {
        let mut taken = String::new();
        for next in self.rest.by_ref() {
            taken.push(next);
            if next == end {
                return Ok(taken);
            }
        }
        Err(format!("has no `{end}` where one belongs"))
    }

    fn open_class(&mut self) -> Result<(), String> {
        self.class = true;
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if self.rest.next_if_eq(&'-').is_some() {
            self.out.push_str(r"\-");
        }
        match self.rest.peek() {
            Some(']') => Err(r"has a class that begins with `]`; write `\]`".to_owned()),
            _ => Ok(()),
        }
    }

    fn in_class(&mut self, next: char) -> Result<(), String> {
        match next {
            ']' => {
                self.class = false;
                self.atom("]");
            }
            '-' => self.range()?,
            // What brackets within brackets mean depends on Java's version where there is a `^`, too.
            '[' => return Err(r"has a class within a class; write one, or `\[` for the character".to_owned()),
            '&' if self.rest.peek() == Some(&'&') => {
                return Err("has `&&` in a class, which is not supported; write the characters out".to_owned());
            }
            // Two of them would be an operator.
            '~' => self.out.push_str(r"\~"),
            other => self.out.push(other),
        }
        Ok(())
    }

    /// A `-` in a class: a range, unless it is the last.
    fn range(&mut self) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some(']'), _) => self.out.push_str(r"\-"),
            (Some('-'), _) | (Some('\\'), Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P')) => {
                return Err(r"has a class with a `-` that begins no range; write `\-`".to_owned());
            }
            _ => self.out.push('-'),
        }
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), String> {
        self.last = Last::Atom;
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        match self.rest.next() {
            Some(':') => self.out.push(':'),
            Some('<') if !matches!(self.rest.peek(), Some('=' | '!')) => {
                let name = self.through('>')?;
                self.out.push('<');
                self.out.push_str(&name);
            }
            Some('=' | '!' | '<') => {
                return Err("looks ahead or behind (`(?=`, `(?<!`), which is not supported".to_owned());
            }
            Some('>') => {
                return Err("has `(?>`, which is not supported; no pattern takes long here, write `(?:`".to_owned());
            }
            Some('i') if matches!(self.rest.peek(), Some(')' | ':')) => {
                self.folds = true;
                self.out.push('i');
            }
            _ => return Err("has a flag other than `(?i)` and `(?i:…)`, which is not supported".to_owned()),
        }
        Ok(())
    }

    fn quantifier(&mut self, next: char) -> Result<(), String> {
        self.last = match (self.last, next) {
            (Last::Atom, _) => Last::Quantifier,
            (Last::Quantifier, '?') => Last::Lazy,
            (Last::Quantifier, '+') => {
                return Err("has a possessive quantifier (`*+`), which is not supported; no pattern takes long here, leave out the `+`"
                    .to_owned());
            }
            _ => return Err(format!("has a `{next}` behind a quantifier")),
        };
        self.out.push(next);
        Ok(())
    }

    fn repetition(&mut self) -> Result<(), String> {
        if self.last != Last::Atom {
            return Err("has a `{` behind a quantifier".to_owned());
        }
        let times = self.through('}')?;
        let bounds: Vec<&str> = times.trim_end_matches('}').split(',').collect();
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let sensible = match bounds[..] {
            [exactly] => number(exactly),
            [least, most] => number(least) && (most.is_empty() || number(most)),
            _ => false,
        };
        if !sensible {
            return Err(
                r"has a `{` that begins no repetition like `{2}` or `{1,3}`; for the character write `\{`".to_owned()
            );
        }
        self.out.push('{');
        self.out.push_str(&times);
        self.last = Last::Quantifier;
        Ok(())
    }
}
