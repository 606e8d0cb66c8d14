//! Text that clients chose, so that a person sees every character of it, and not too many.

use std::sync::LazyLock;

use askama::Template;
use askama::filters::HtmlSafe;
use regex::Regex;

/// The most characters of a text that are shown: so many of its beginning, and of its end.
const SHOWN: (usize, usize) = (120, 40);

/// Characters that show as nothing, as a blank, or as an order to the writing's direction: `U+202E` reverses what
/// follows, and a name with `U+200B` in it looks like the one without.
static UNSEEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u{2800}]--[ ]]$").expect("a valid pattern")
});

/// A text to be shown: what can't be seen is spelt out and marked, and the middle of a long one is left out.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = "<bdi>{% for piece in pieces %}{% match piece %}\
              {% when Piece::Plain(text) %}{{ text }}\
              {% when Piece::MayBreak %}<wbr>\
              {% when Piece::Unseen(code) %}<mark>{{ code }}</mark>\
              {% when Piece::LeftOut(count) %}<mark class=\"cut\">… {{ count }} characters …</mark>\
              {% endmatch %}{% endfor %}</bdi>"
)]
pub(super) struct Visible {
    pieces: Vec<Piece>,
}

/// Made by its own template, which has escaped what is in it.
impl HtmlSafe for Visible {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    /// Between the parts of a name a line may end.
    MayBreak,
    /// The code point's name, `U+202E`.
    Unseen(String),
    LeftOut(usize),
}

impl Visible {
    pub(super) fn new(text: &str) -> Self {
        let (head, tail) = SHOWN;
        let length = text.chars().count();
        let mut visible = Self { pieces: Vec::new() };
        if length <= head + tail {
            visible.push(text);
        } else {
            let at = |position: usize| text.char_indices().nth(position).map_or(text.len(), |(at, _)| at);
            visible.push(&text[..at(head)]);
            visible.pieces.push(Piece::LeftOut(length - head - tail));
            visible.push(&text[at(length - tail)..]);
        }
        visible
    }

    fn push(&mut self, text: &str) {
        // A blank at an edge, or beside another one, is not seen either.
        let mut edge = true;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let blank = character == ' ';
            if (blank && (edge || characters.peek().is_none())) || is_unseen(character) {
                self.pieces.push(Piece::Unseen(format!("U+{:04X}", u32::from(character))));
            } else if let Some(Piece::Plain(plain)) = self.pieces.last_mut() {
                plain.push(character);
            } else {
                self.pieces.push(Piece::Plain(character.to_string()));
            }
            if character == ',' {
                self.pieces.push(Piece::MayBreak);
            }
            edge = blank;
        }
    }
}

fn is_unseen(character: char) -> bool {
    // Names are mostly of these; the pattern is slow.
    !matches!(character, ' '..='~') && UNSEEN.is_match(character.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        Visible::new(text).render().unwrap()
    }

    #[test]
    fn markup_is_text() {
        let html = html(r#"CN=<script>alert(1)</script>"'&"#);
        assert_eq!(html, "<bdi>CN=&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;</bdi>");
    }

    #[test]
    fn what_can_not_be_seen_is_spelt_out() {
        for (unseen, code) in [
            ('\0', "U+0000"),
            ('\n', "U+000A"),
            ('\u{1b}', "U+001B"),
            ('\u{7f}', "U+007F"),
            ('\u{9b}', "U+009B"),
            ('\u{a0}', "U+00A0"),
            ('\u{ad}', "U+00AD"),
            ('\u{34f}', "U+034F"),
            ('\u{115f}', "U+115F"),
            ('\u{200b}', "U+200B"),
            ('\u{200f}', "U+200F"),
            ('\u{2028}', "U+2028"),
            ('\u{202e}', "U+202E"),
            ('\u{2066}', "U+2066"),
            ('\u{2800}', "U+2800"),
            ('\u{3000}', "U+3000"),
            ('\u{3164}', "U+3164"),
            ('\u{fe0f}', "U+FE0F"),
            ('\u{feff}', "U+FEFF"),
            ('\u{e000}', "U+E000"),
            ('\u{e0041}', "U+E0041"),
        ] {
            assert_eq!(html(&format!("a{unseen}b")), format!("<bdi>a<mark>{code}</mark>b</bdi>"));
        }
    }

    #[test]
    fn names_in_other_scripts_are_left_as_they_are() {
        for name in ["CN=Łódź", "CN=日本", "CN=שלום", "CN=e\u{301}", "CN=🦓"] {
            assert_eq!(html(name), format!("<bdi>{name}</bdi>"));
        }
    }

    #[test]
    fn a_line_may_end_behind_a_comma() {
        assert_eq!(html("CN=a,O=Acme"), "<bdi>CN=a,<wbr>O=Acme</bdi>");
    }

    #[test]
    fn blanks_that_nobody_would_notice_are_spelt_out() {
        assert_eq!(html("a b"), "<bdi>a b</bdi>");
        assert_eq!(html(" a  b "), "<bdi><mark>U+0020</mark>a <mark>U+0020</mark>b<mark>U+0020</mark></bdi>");
    }

    #[test]
    fn a_text_that_spells_a_code_point_itself_is_not_marked() {
        assert_eq!(html("U+202E"), "<bdi>U+202E</bdi>");
    }

    #[test]
    fn the_middle_of_a_long_text_is_left_out_and_counted() {
        let long = format!("CN={}END", "é".repeat(4_000));
        let cut = html(&long);
        assert!(cut.contains("<mark class=\"cut\">… 3846 characters …</mark>"), "{cut}");
        assert!(cut.starts_with("<bdi>CN=é") && cut.ends_with("éEND</bdi>"));
        assert_eq!(cut.matches('é').count(), 160 - "CN=END".len());
        let most = "x".repeat(160);
        assert_eq!(html(&most), format!("<bdi>{most}</bdi>"));
    }
}
